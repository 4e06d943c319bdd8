//! What goes over a connection, as a capture that Wireshark reads.
//!
//! A relay stands between driver and server and keeps every chunk; the capture wraps them into IP and
//! TCP headers of its own, with port 102 at the server's end.

use std::path::Path;
use std::process::Command;
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

    /// Lets tshark read all that was passed on. It must find nothing malformed, requests and answers of
    /// these functions, and no byte that is not part of an S7 telegram or of the connecting.
    pub fn must_be_understood(&self, functions: &[&str]) {
        let file = std::env::temp_dir().join(format!("gwp-s7-{}.pcap", std::process::id()));
        std::fs::write(&file, pcap(&self.chunks.lock().expect("no panic"))).expect("a file");
        let tshark = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/tshark.sh");
        let found = Command::new("sh").arg(tshark).output().expect("sh runs");
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let tshark = String::from_utf8(found.stdout).expect("a path");
        let read = |arguments: &[&str]| {
            let out =
                Command::new(tshark.trim()).arg("-r").arg(&file).args(arguments).output().expect("it runs");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).expect("text")
        };
        let wrong = read(&["-Y", "_ws.malformed || _ws.expert.severity >= 0x800000 || tcp.analysis.flags"]);
        let seen = read(&["-T", "fields", "-e", "s7comm.header.rosctr", "-e", "s7comm.param.func"]);
        let not_s7 = read(&["-Y", "tcp.len > 0 && !s7comm && !cotp"]);
        std::fs::remove_file(&file).expect("it was there");
        assert_eq!(wrong, "", "malformed frames");
        assert_eq!(not_s7, "", "frames that are not of the protocol");
        let [jobs, answers] =
            ["1\t", "3\t"].map(|kind| seen.lines().filter(|line| line.starts_with(kind)).count());
        assert!(jobs > 0 && jobs == answers, "{jobs} requests, {answers} answers");
        for function in functions {
            assert!(seen.lines().any(|line| line.contains(function)), "no {function} in {seen}");
        }
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
fn pcap(chunks: &[Chunk]) -> Vec<u8> {
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
        let ports = if *to_server { [client, 102] } else { [102, client] };
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
