//! A TCP port in front of a device, which passes bytes on, or does to them what networks do.

use crate::{Adapter, Device};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Bytes passed on at once at most.
const CHUNK: usize = 4_096;

/// What happens to answers. Requests always reach the device of an open connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Pass,
    /// New connections are refused.
    Refuse,
    /// New connections are taken and closed at once.
    Shut,
    /// Answers are swallowed.
    Silence,
    /// Answers come so much later.
    Delay(Duration),
    /// Other bytes come in place of the answers.
    Garbage,
    /// Only the first half of each answer comes.
    Half,
    /// Answers come byte by byte.
    Dribble,
    /// The connection ends in place of an answer.
    Drop,
}

/// A running proxy. It ends with this value.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Counts the cuts; connections made before the newest end.
    cuts: watch::Sender<usize>,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of this machine; each connection gets a stream to the device.
    pub async fn start(adapter: Arc<dyn Adapter>, device: Arc<Device>, mode: Mode) -> Proxy {
        // Never listens: it keeps the port while connections are refused.
        let guard = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = guard.local_addr().expect("an address");
        let ((mode, mut seen), (cuts, cut)) = (watch::channel(mode), watch::channel(0));
        // Before anybody is told of the address.
        let first = (*seen.borrow() != Mode::Refuse).then(|| listen(address));
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = accepted.clone();
        let task = tokio::spawn(async move {
            let (_guard, mut listener) = (guard, first);
            loop {
                let Some(open) = &listener else {
                    if seen.wait_for(|mode| *mode != Mode::Refuse).await.is_err() {
                        return;
                    }
                    listener = Some(listen(address));
                    continue;
                };
                let stream = tokio::select! {
                    stream = open.accept() => stream.map(|(stream, _)| stream),
                    refused = seen.wait_for(|mode| *mode == Mode::Refuse) => {
                        if refused.is_err() {
                            return;
                        }
                        listener = None;
                        continue;
                    }
                };
                counter.fetch_add(1, Relaxed);
                let now = *seen.borrow();
                if let (Ok(stream), false) = (stream, matches!(now, Mode::Refuse | Mode::Shut)) {
                    let (near, far) = tokio::io::duplex(CHUNK);
                    tokio::spawn(adapter.serve(far, device.clone()));
                    tokio::spawn(join(stream, near, seen.clone(), cut.clone()));
                }
            }
        });
        Proxy { address, mode, cuts, accepted, task }
    }

    /// From now on this happens.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Connections that were asked for until now.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    #[cfg(unix)]
    socket.set_reuseport(true).expect("a port of two sockets");
    socket.bind(address).expect("a port");
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    socket(address).listen(16).expect("it listens")
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// Both directions of one connection, until one of them ends or it is cut.
async fn join(
    stream: TcpStream,
    device: tokio::io::DuplexStream,
    mode: watch::Receiver<Mode>,
    mut cut: watch::Receiver<usize>,
) {
    let _ = stream.set_nodelay(true);
    let (from_source, to_source) = stream.into_split();
    let (from_device, to_device) = tokio::io::split(device);
    let before = *cut.borrow_and_update();
    tokio::select! {
        () = requests(from_source, to_device) => {}
        () = answers(from_device, to_source, mode) => {}
        _ = cut.wait_for(|cuts| *cuts > before) => {}
    }
}

async fn requests(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mode: watch::Receiver<Mode>,
) {
    let mut room = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut room).await {
        let answer = &room[..count];
        let now = *mode.borrow();
        let sent = match now {
            Mode::Pass | Mode::Refuse | Mode::Shut => to.write_all(answer).await,
            Mode::Silence => Ok(()),
            Mode::Drop => return,
            Mode::Half => to.write_all(&answer[..count / 2]).await,
            Mode::Garbage => {
                let garbage: Vec<u8> =
                    (0u8..).cycle().take(count).map(|n| n.wrapping_mul(73) ^ 0xA5).collect();
                to.write_all(&garbage).await
            }
            Mode::Delay(time) => {
                tokio::time::sleep(time).await;
                to.write_all(answer).await
            }
            Mode::Dribble => dribble(&mut to, answer).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn dribble(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        to.write_all(&[*byte]).await?;
        to.flush().await?;
        // The other side may read it before the next one comes.
        tokio::task::yield_now().await;
    }
    Ok(())
}
