//! What goes over a connection, as a capture that Wireshark reads.
//!
//! A relay stands between driver and server and keeps every chunk; the capture wraps them into IP and
//! TCP headers of its own, with the port at the server's end by which tshark knows the protocol.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A chunk of bytes: number of the connection, towards the server or not, bytes.
type Chunk = (u16, bool, Vec<u8>);

/// A relay to a port of this machine.
pub struct Relay {
    /// Where it listens.
    pub port: u16,
    chunks: Arc<Mutex<Vec<Chunk>>>,
}

impl Relay {
    /// Starts one on a free port.
    pub async fn start(to: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let chunks: Arc<Mutex<Vec<Chunk>>> = Arc::default();
        let kept = chunks.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((near, _)) = listener.accept().await else { return };
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near.0, far.1, (number, true), kept.clone()));
                tokio::spawn(pass(far.0, near.1, (number, false), kept.clone()));
            }
        });
        Relay { port, chunks }
    }

    /// All that was passed on so far, with this port at the server's end, as tshark reads it.
    pub fn read(&self, port: u16) -> Capture {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gwp-capture-{}-{}.pcap", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, pcap(&self.chunks.lock().expect("no panic"), port)).expect("a file");
        let tshark = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/tshark.sh");
        let found = Command::new("sh").arg(tshark).output().expect("sh runs");
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        Capture { file, tshark: String::from_utf8(found.stdout).expect("a path").trim().to_owned() }
    }
}

/// A capture file and who reads it.
pub struct Capture {
    file: PathBuf,
    tshark: String,
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Capture {
    fn tshark(&self, arguments: &[&str]) -> String {
        let out = Command::new(&self.tshark).arg("-r").arg(&self.file).args(arguments).output();
        let out = out.expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    }

    /// There must be nothing malformed, and no byte that is not of these protocols (a display filter).
    pub fn must_be_whole(&self, protocols: &str) {
        let wrong =
            self.tshark(&["-Y", "_ws.malformed || _ws.expert.severity >= 0x800000 || tcp.analysis.flags"]);
        assert_eq!(wrong, "", "malformed frames");
        // Read twice: a part of a frame is known as such only by what comes behind it.
        let others =
            self.tshark(&["-2", "-Y", &format!("tcp.len > 0 && !tcp.reassembled_in && !({protocols})")]);
        assert_eq!(others, "", "frames that are not of the protocol");
    }

    /// These fields of each frame, with tabs between them.
    pub fn fields(&self, names: &[&str]) -> Vec<String> {
        let mut arguments = vec!["-T", "fields"];
        names.iter().for_each(|name| arguments.extend(["-e", name]));
        self.tshark(&arguments).lines().map(str::to_owned).collect()
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    (number, to_server): (u16, bool),
    kept: Arc<Mutex<Vec<Chunk>>>,
) {
    let mut room = vec![0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut room).await {
        kept.lock().expect("no panic").push((number, to_server, room[..count].to_vec()));
        if to.write_all(&room[..count]).await.is_err() {
            return;
        }
    }
}

/// A capture file of raw IPv4 packets (libpcap format, link type 101).
fn pcap(chunks: &[Chunk], port: u16) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xA1B2_C3D4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    let mut sent: std::collections::BTreeMap<(u16, bool), u32> = std::collections::BTreeMap::new();
    for (at, (number, to_server, bytes)) in (0u32..).zip(chunks) {
        let seq = *sent.get(&(*number, *to_server)).unwrap_or(&1);
        let ack = *sent.get(&(*number, !*to_server)).unwrap_or(&1);
        sent.insert((*number, *to_server), seq + bytes.len() as u32);
        let client = 40_000 + number;
        let ports = if *to_server { [client, port] } else { [port, client] };
        let mut packet = vec![0x45, 0];
        packet.extend((40 + bytes.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        ports.iter().for_each(|port| packet.extend(port.to_be_bytes()));
        packet.extend(seq.to_be_bytes());
        packet.extend(ack.to_be_bytes());
        // Header of 20 bytes; PSH and ACK; window; no checksum.
        packet.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
        packet.extend(bytes);
        for word in [at / 1_000, at % 1_000 * 1_000, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}
