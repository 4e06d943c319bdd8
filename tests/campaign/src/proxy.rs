//! A plant's network on loopback: between the members stand proxies that lose, cut, double and delay, in each
//! direction on its own. Needs no root. They keep some datagrams, to send them again when a scenario forges.
//!
//! ```text
//! node --datagram, TCP--> front | way: trouble? | back --> here of the other --answers--> the same way home
//! ```
//! TCP through a way that is cut stands still, as it would behind a firewall that drops.

use crate::net::{End, LinkPlan, Trouble, Troubles, Way};
use crate::random::Random;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Datagrams that are kept of each way.
const KEPT: usize = 64;
/// TCP looks this often whether its way is whole again.
const LOOK: Duration = Duration::from_millis(20);
const CHUNK: usize = 16 * 1024;

#[derive(Default)]
struct Shared {
    troubles: Troubles,
    kept: VecDeque<(SocketAddr, Vec<u8>)>,
}

type State = Arc<Mutex<Shared>>;

fn locked(state: &State) -> MutexGuard<'_, Shared> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trouble(state: &State, way: Way) -> Trouble {
    locked(state).troubles.get(&way).copied().unwrap_or_default()
}

/// A datagram that leaves later; the earliest is the greatest.
struct Late {
    due: Instant,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl PartialEq for Late {
    fn eq(&self, other: &Late) -> bool {
        self.due == other.due
    }
}
impl Eq for Late {}
impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Late) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Late {
    fn cmp(&self, other: &Late) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

/// All proxies of a plant, and its free ports.
pub struct Proxies {
    heres: [[SocketAddr; 2]; 2],
    /// By node: to the peer by link, to the witness.
    fronts: [[SocketAddr; 3]; 2],
    pub witness: SocketAddr,
    pub servers: Vec<SocketAddr>,
    state: State,
}

/// Free for TCP and UDP, below the ports that systems give away, so that it stays free while a node is down; and given
/// only once by this process, as runs side by side hold none of theirs yet.
fn port(random: &mut Random) -> Result<SocketAddr, String> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1_000 {
        let port = u16::try_from(random.between(12_000, 31_000)).unwrap_or(12_000);
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        if UdpSocket::bind(address).is_ok()
            && TcpListener::bind(address).is_ok()
            && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
        {
            return Ok(address);
        }
    }
    Err("no free port".into())
}

impl Proxies {
    /// Starts them.
    pub fn make(seed: u64) -> Result<Proxies, String> {
        let mut random = Random::new(seed ^ (u64::from(std::process::id()) << 32));
        let mut free = || port(&mut random);
        let heres = [[free()?, free()?], [free()?, free()?]];
        let witness = free()?;
        let servers = vec![free()?, free()?, free()?];
        let (late, due) = channel();
        std::thread::spawn(move || send_late(&due));
        let state = State::default();
        let mut fronts = heres.map(|[first, second]| [first, second, first]);
        for node in 0..2 {
            let (me, peer) = (End::node(node), End::node(1 - node));
            let ways =
                [(peer, 0, heres[1 - node][0]), (peer, 1, heres[1 - node][1]), (End::Witness, 0, witness)];
            for (front, (to, link, target)) in fronts[node].iter_mut().zip(ways) {
                let home = heres[node][link];
                let pipe =
                    Pipe { way: (me, to, link), home, target, state: state.clone(), late: late.clone() };
                *front = pipe.start(seed ^ u64::from(target.port()))?;
            }
        }
        Ok(Proxies { heres, fronts, witness, servers, state })
    }

    pub fn links(&self, node: usize) -> [LinkPlan; 2] {
        [0, 1].map(|link| LinkPlan {
            here: self.heres[node][link],
            peer: self.fronts[node][link],
            witness: (link == 0).then_some(self.fronts[node][2]),
        })
    }

    pub fn apply(&self, troubles: &Troubles) {
        locked(&self.state).troubles.clone_from(troubles);
    }

    /// Sends what was heard before again: as it was, cut short, with a bit turned; noise; and noise by TCP.
    pub fn forge(&self, random: &mut Random, count: usize) -> Result<(), String> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        for _ in 0..count {
            let kept = locked(&self.state).kept.clone();
            let Some((to, genuine)) = kept.get(random.next() as usize % kept.len().max(1)) else { continue };
            let mut datagram = genuine.clone();
            match random.between(0, 3) {
                0 => {}
                1 => datagram.truncate(random.next() as usize % datagram.len().max(1)),
                2 => {
                    let at = random.next() as usize % datagram.len().max(1);
                    datagram[at] ^= 1 << random.between(0, 7);
                }
                _ => datagram.iter_mut().for_each(|byte| *byte = random.next() as u8),
            }
            let _ = socket.send_to(&datagram, to);
            if random.percent(2)
                && let Ok(mut stream) = TcpStream::connect_timeout(to, Duration::from_millis(50))
            {
                let _ = stream.write_all(&datagram);
            }
        }
        Ok(())
    }
}

/// From a node to another member by one link, and home.
#[derive(Clone)]
struct Pipe {
    way: Way,
    home: SocketAddr,
    target: SocketAddr,
    state: State,
    late: Sender<Late>,
}

impl Pipe {
    /// Gives the address that the node sends to.
    fn start(self, seed: u64) -> Result<SocketAddr, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut ports = Random::new(seed);
        let front = port(&mut ports)?;
        let (listener, near) =
            (TcpListener::bind(front).map_err(text)?, UdpSocket::bind(front).map_err(text)?);
        let far = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?);
        let near = Arc::new(near);
        let (from, to, link) = self.way;
        let ways = [((from, to, link), &near, &far, self.target), ((to, from, link), &far, &near, self.home)];
        for (way, input, output, target) in ways {
            let (pipe, input, output) = (self.clone(), input.clone(), output.clone());
            let mut random = Random::new(seed.wrapping_add(way.0.index() as u64));
            std::thread::spawn(move || pipe.datagrams(way, &input, &output, target, &mut random));
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let pipe = self.clone();
                std::thread::spawn(move || pipe.connection(stream));
            }
        });
        Ok(front)
    }

    fn datagrams(
        &self,
        way: Way,
        input: &UdpSocket,
        output: &Arc<UdpSocket>,
        to: SocketAddr,
        random: &mut Random,
    ) {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok((bytes, _)) = input.recv_from(&mut buffer) else { continue };
            let datagram = &buffer[..bytes];
            let Trouble { is_cut, loss_percent, twice_percent, late_ms } = trouble(&self.state, way);
            {
                let kept = &mut locked(&self.state).kept;
                if kept.len() >= KEPT {
                    kept.pop_front();
                }
                kept.push_back((to, datagram.to_vec()));
            }
            if is_cut || random.percent(u64::from(loss_percent)) {
                continue;
            }
            for _ in 0..=u8::from(random.percent(u64::from(twice_percent))) {
                if late_ms == 0 {
                    let _ = output.send_to(datagram, to);
                    continue;
                }
                let due = Instant::now() + Duration::from_millis(random.between(0, u64::from(late_ms)));
                let _ = self.late.send(Late { due, socket: output.clone(), to, datagram: datagram.to_vec() });
            }
        }
    }

    fn connection(&self, near: TcpStream) {
        let (from, to, link) = self.way;
        self.wait(from, to, link);
        let Ok(far) = TcpStream::connect(self.target) else { return };
        let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
        let pipe = self.clone();
        let back = std::thread::spawn(move || pipe.copy((to, from, link), far_too, near_too));
        self.copy(self.way, near, far);
        let _ = back.join();
    }

    fn wait(&self, from: End, to: End, link: usize) {
        while trouble(&self.state, (from, to, link)).is_cut || trouble(&self.state, (to, from, link)).is_cut {
            std::thread::sleep(LOOK);
        }
    }

    /// Copies until one side ends. A loss on the way costs a stream time, nothing else; so does a cut way back, by
    /// which acknowledgements would go.
    fn copy(&self, way: Way, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; CHUNK];
        let mut random = Random::new(u64::from(self.target.port()));
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            self.wait(way.0, way.1, way.2);
            let Trouble { loss_percent, late_ms, .. } = trouble(&self.state, way);
            let lost = random.percent(u64::from(loss_percent));
            let wait = random.between(0, u64::from(late_ms)) + if lost { 200 } else { 0 };
            std::thread::sleep(Duration::from_millis(wait));
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn send_late(due: &Receiver<Late>) {
    let mut waiting: BinaryHeap<Late> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|late| late.due <= now) {
            if let Some(late) = waiting.pop() {
                let _ = late.socket.send_to(&late.datagram, late.to);
            }
        }
        let next =
            waiting.peek().map_or(Duration::from_secs(1), |late| late.due.saturating_duration_since(now));
        match due.recv_timeout(next) {
            Ok(late) => waiting.push(late),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
