//! The links of a member: UDP sockets over which everything is said at once.
//!
//! ```text
//! socket --reader thread--> [at most so many datagrams] --> driver
//! driver --sealed datagram--> every address of the member, over every link
//! ```
//! A link is one way to the others: a local address, and where the others are by it. A witness is told
//! no addresses: it answers where it heard from.

use gwp_redundancy::member::Member;
use gwp_redundancy::mono::Mono;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::limits::{ADDRESS_KEPT, ADDRESSES_MAX, DATAGRAMS_WAITING_MAX};
use crate::seal::FRAME_MAX;

/// One way to the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkAddresses {
    /// Local address, with the port that the others send to.
    pub here: SocketAddr,
    /// Where the others are by this link; none for a witness, which answers where it heard from.
    pub others: Vec<(Member, SocketAddr)>,
}

/// A datagram that has come.
#[derive(Debug)]
pub struct Arrived {
    pub link: usize,
    pub from: SocketAddr,
    pub datagram: Vec<u8>,
    _place: Place,
}

/// A place among the datagrams that wait; free again when it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// An address where a member was heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    member: Member,
    address: SocketAddr,
    at: Mono,
}

struct Link {
    socket: Arc<UdpSocket>,
    others: Vec<(Member, SocketAddr)>,
    heard: Vec<Heard>,
}

/// The sockets of a member.
pub struct Links {
    links: Vec<Link>,
    stop: Arc<AtomicBool>,
}

impl Links {
    /// Binds all of them; what comes goes to `inbox`.
    ///
    /// # Errors
    /// An address cannot be bound; it is named.
    pub fn bind<T: From<Arrived> + Send + 'static>(
        addresses: &[LinkAddresses],
        inbox: &Sender<T>,
    ) -> io::Result<Links> {
        let (stop, waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut links = Vec::new();
        for (number, LinkAddresses { here, others }) in addresses.iter().enumerate() {
            let socket = UdpSocket::bind(here)
                .map_err(|error| io::Error::new(error.kind(), format!("{here} cannot be bound: {error}")))?;
            socket.set_read_timeout(Some(Duration::from_millis(200)))?;
            // A link that takes nothing must not keep the driver from the others.
            socket.set_write_timeout(Some(Duration::from_millis(1)))?;
            let socket = Arc::new(socket);
            let reader =
                Reader { link: number, socket: socket.clone(), stop: stop.clone(), waiting: waiting.clone() };
            let inbox = inbox.clone();
            std::thread::Builder::new()
                .name(format!("gwp-link-{number}"))
                .spawn(move || reader.run(&inbox))?;
            links.push(Link { socket, others: others.clone(), heard: Vec::new() });
        }
        Ok(Links { links, stop })
    }

    /// Local addresses, as bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.links.iter().filter_map(|link| link.socket.local_addr().ok()).collect()
    }

    /// A member was heard at an address of a link: it is answered there if no other is known.
    pub fn heard(&mut self, link: usize, member: Member, address: SocketAddr, now: Mono) {
        let Some(link) = self.links.get_mut(link) else { return };
        if link.others.iter().any(|(other, _)| *other == member) {
            return;
        }
        let known = link.heard.iter_mut().find(|heard| (heard.member, heard.address) == (member, address));
        if let Some(known) = known {
            known.at = now;
            return;
        }
        link.heard.retain(|heard| now.since(heard.at) < ADDRESS_KEPT);
        if link.heard.iter().filter(|heard| heard.member == member).count() >= ADDRESSES_MAX {
            let of_member = link.heard.iter().enumerate().filter(|(_, heard)| heard.member == member);
            if let Some((oldest, _)) = of_member.min_by_key(|(_, heard)| heard.at) {
                link.heard.remove(oldest);
            }
        }
        link.heard.push(Heard { member, address, at: now });
    }

    /// Sends a datagram to a member over every link. What a link refuses is as lost on the way.
    pub fn send(&self, to: Member, datagram: &[u8], now: Mono) {
        for link in &self.links {
            let told = link.others.iter().filter(|(member, _)| *member == to).map(|(_, address)| *address);
            let heard = link.heard.iter().filter(|heard| heard.member == to);
            let heard = heard.filter(|heard| now.since(heard.at) < ADDRESS_KEPT).map(|heard| heard.address);
            for address in told.chain(heard) {
                let _ = link.socket.send_to(datagram, address);
            }
        }
    }

    /// Answers where something came from, and only there.
    pub fn send_to(&self, link: usize, address: SocketAddr, datagram: &[u8]) {
        if let Some(link) = self.links.get(link) {
            let _ = link.socket.send_to(datagram, address);
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

struct Reader {
    link: usize,
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
}

impl Reader {
    fn run(&self, inbox: &Sender<impl From<Arrived>>) {
        // One more than the longest, so that a longer one is seen to be too long.
        let mut buffer = [0; FRAME_MAX + 1];
        while !self.stop.load(Relaxed) {
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(came) => came,
                Err(error) if is_timeout(&error) => continue,
                // Such as an answer that a port is closed; a pause keeps it from spinning.
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
            };
            if self.waiting.fetch_add(1, Relaxed) >= DATAGRAMS_WAITING_MAX {
                self.waiting.fetch_sub(1, Relaxed);
                continue;
            }
            let place = Place(self.waiting.clone());
            let datagram = buffer[..length].to_vec();
            if inbox.send(Arrived { link: self.link, from, datagram, _place: place }.into()).is_err() {
                return;
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
