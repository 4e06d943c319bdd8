//! Modbus TCP devices whose registers hold the moment of the answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, modulo 2^16.
pub fn moment() -> u16 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_millis() & 0xffff) as u16
}

/// Listens on one free port per device, prints the ports in one line, serves until killed. `noise`: registers hold
/// values that have nothing to do with each other, which cannot be made smaller; they tell no latency.
pub fn serve(count: u16, noise: bool) -> anyhow::Result<()> {
    let mut ports = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        ports.push(listener.local_addr()?.port().to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream, noise));
            }
        });
    }
    println!("{}", ports.join(" "));
    loop {
        std::thread::park();
    }
}

/// Answers reads of holding or input registers; anything else ends the connection.
fn answer(mut stream: TcpStream, noise: bool) {
    let _ = stream.set_nodelay(true);
    let mut buffer = [0u8; 4096];
    let mut filled = 0;
    let mut out = Vec::with_capacity(4096);
    // Another row of values for each connection, or those of one device would tell those of the next.
    let port = stream.peer_addr().map_or(1, |peer| peer.port());
    let mut random = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(u64::from(port) | 1);
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += read;
        let mut at = 0;
        out.clear();
        while filled - at >= 12 {
            let request = &buffer[at..at + 12];
            let registers = u16::from_be_bytes([request[10], request[11]]);
            if !matches!(request[7], 3 | 4) || !(1..=125).contains(&registers) {
                return;
            }
            let bytes = registers * 2;
            out.extend_from_slice(&request[..4]);
            out.extend_from_slice(&(bytes + 3).to_be_bytes());
            out.extend_from_slice(&[request[6], request[7], bytes as u8]);
            let value = moment().to_be_bytes();
            for _ in 0..registers {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                out.extend_from_slice(&if noise { (random as u16).to_be_bytes() } else { value });
            }
            at += 12;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}
