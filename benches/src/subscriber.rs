//! A counting MQTT 3.1.1 subscriber (QoS 1), fast enough not to be the limit.
//!
//! Each second it prints `values p50_ms p99_ms max_ms messages` of that second.

use crate::devices::moment;
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const LATENCY_MAX: usize = 1 << 16;

/// Subscribes to `gwp/#` and counts until killed.
pub fn count(port: u16) -> anyhow::Result<()> {
    let mut stream = connect(port)?;
    let mut second = Second::new();
    let mut buffer = vec![0u8; 4 << 20];
    let (mut start, mut end) = (0, 0);
    println!("ready");
    loop {
        while let Some((header, body, next)) = packet(&buffer[start..end]) {
            if header >> 4 == 3 {
                let body = start + body.start..start + body.end;
                publish(&mut stream, header, &buffer[body], &mut second)?;
            }
            start += next;
        }
        buffer.copy_within(start..end, 0);
        end -= start;
        start = 0;
        if end == buffer.len() {
            bail!("a message is larger than {} bytes", buffer.len());
        }
        match stream.read(&mut buffer[end..]) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(read) => end += read,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        second.print_when_over();
    }
}

fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("broker")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    // CONNECT: MQTT 4, clean session, no keep-alive, client id "count".
    stream.write_all(&[
        0x10, 17, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 5, b'c', b'o', b'u', b'n', b't',
    ])?;
    let topic = b"gwp/#";
    let mut subscribe = vec![0x82, (2 + 2 + topic.len() + 1) as u8, 0, 1, 0, topic.len() as u8];
    subscribe.extend_from_slice(topic);
    subscribe.push(1);
    stream.write_all(&subscribe)?;
    let mut answers = [0u8; 9];
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.read_exact(&mut answers).context("the broker does not answer")?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(stream)
}

/// First byte, place of the body and length of the first whole packet.
fn packet(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>, usize)> {
    let (mut length, mut at) = (0usize, 1);
    for shift in (0..28).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    (bytes.len() >= at + length).then(|| (bytes[0], at..at + length, at + length))
}

fn publish(stream: &mut TcpStream, header: u8, body: &[u8], second: &mut Second) -> anyhow::Result<()> {
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut payload = 2 + topic;
    if header & 0x06 != 0 {
        stream.write_all(&[0x40, 2, body[payload], body[payload + 1]])?;
        payload += 2;
    }
    second.messages += 1;
    second.values(&body[payload..]);
    Ok(())
}

/// What arrived in the current second.
struct Second {
    began: Instant,
    values: u64,
    messages: u64,
    latencies: Vec<u32>,
}

impl Second {
    fn new() -> Second {
        Second { began: Instant::now(), values: 0, messages: 0, latencies: vec![0; LATENCY_MAX] }
    }

    /// Counts the numbers of the `values` object of a payload and their ages.
    fn values(&mut self, payload: &[u8]) {
        let now = moment();
        let key = b"\"values\":{";
        let Some(found) = payload.windows(key.len()).position(|window| window == key) else { return };
        let mut at = found + key.len();
        // `"name":123,"name":456}`: names in this workload have no quotes or colons.
        while let Some(colon) = payload[at..].iter().position(|byte| matches!(byte, b':' | b'}')) {
            at += colon;
            if payload[at] == b'}' {
                return;
            }
            at += 1;
            let mut value = 0u32;
            while let Some(digit @ b'0'..=b'9') = payload.get(at) {
                value = value * 10 + u32::from(digit - b'0');
                at += 1;
            }
            self.values += 1;
            self.latencies[usize::from(now.wrapping_sub(value as u16))] += 1;
        }
    }

    fn print_when_over(&mut self) {
        if self.began.elapsed() < Duration::from_secs(1) {
            return;
        }
        let at = |share: f64| {
            let wanted = (self.values as f64 * share) as u64;
            let mut seen = 0;
            self.latencies.iter().position(|count| {
                seen += u64::from(*count);
                seen > wanted
            })
        };
        let max = self.latencies.iter().rposition(|count| *count > 0).unwrap_or(0);
        let per_second = self.values as f64 / self.began.elapsed().as_secs_f64();
        println!(
            "{per_second:.0} {} {} {max} {}",
            at(0.5).unwrap_or(0),
            at(0.99).unwrap_or(0),
            self.messages
        );
        self.began = Instant::now();
        (self.values, self.messages) = (0, 0);
        self.latencies.fill(0);
    }
}
