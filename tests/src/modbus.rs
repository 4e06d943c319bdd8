//! A Modbus TCP device that counts: connections, requests, and as values of its registers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// A device on loopback; it ends with its handle.
pub struct Device {
    pub address: SocketAddr,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    connections: AtomicU64,
    requests: AtomicU64,
    ended: AtomicBool,
}

impl Device {
    /// Listens on a free port.
    pub fn start() -> Device {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let counted = Arc::new(Counted::default());
        let device = Device { address, counted: counted.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if counted.ended.load(SeqCst) {
                    return;
                }
                counted.connections.fetch_add(1, SeqCst);
                let counted = counted.clone();
                std::thread::spawn(move || serve(stream, &counted));
            }
        });
        device
    }

    /// Connections it has taken.
    pub fn connections(&self) -> u64 {
        self.counted.connections.load(SeqCst)
    }

    /// Requests it has answered. The two registers of each answer hold their number, high word first.
    pub fn requests(&self) -> u64 {
        self.counted.requests.load(SeqCst)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.counted.ended.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers reads of holding registers (function 3); all pairs of registers hold the number of the request.
fn serve(mut stream: TcpStream, counted: &Counted) {
    let mut head = [0; 12];
    while !counted.ended.load(SeqCst) && stream.read_exact(&mut head).is_ok() {
        let count = u16::from_be_bytes([head[10], head[11]]);
        let number = u32::try_from(counted.requests.fetch_add(1, SeqCst) + 1).unwrap_or(u32::MAX);
        let registers: Vec<u8> =
            number.to_be_bytes().iter().copied().cycle().take(usize::from(count) * 2).collect();
        let mut answer = head[..4].to_vec();
        answer.extend((registers.len() as u16 + 3).to_be_bytes());
        answer.extend([head[6], 3, registers.len() as u8]);
        answer.extend(registers);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
