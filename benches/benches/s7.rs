//! Values per second of the S7 driver, beside a bare loop over the same codec against the same server.
//!
//! ```text
//! cargo bench -p gwp-benches --bench s7           # two seconds each
//! cargo bench -p gwp-benches --bench s7 -- 10     # ten
//! ```
//! The server only counts bytes and sends a ready answer, so it costs both sides little. The driver's slots
//! are always due: it reads as fast as it can, with columns, qualities and slots; the loop has none of these.

use gwp_core::command::Commands;
use gwp_core::edge::Edge;
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::source::{
    Driver, Emission, GroupDeclaration, Outlet, PlcType, PointDeclaration, SourceContext, SourceDeclaration,
    SourceMeter,
};
use gwp_core::stop::stop_pair;
use gwp_core::{BoxFuture, Clock, GroupId, TagId, Timestamp};
use gwp_driver_s7::protocol::frame::{self, Tsaps, Unit};
use gwp_driver_s7::protocol::telegram::{self, Agreement, Area, Item};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Values of one poll group, four bytes each, one behind the other.
const VALUES: usize = 1_000;
const PDU: u16 = 960;
/// What one item of an answer has room for, in whole values.
const ITEM_BYTES: usize = 940;

/// One whole packet.
fn packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; frame::HEADER];
    stream.read_exact(&mut header)?;
    let length = frame::packet_length(header).map_err(std::io::Error::other)?;
    let mut packet = header.to_vec();
    packet.resize(length, 0);
    stream.read_exact(&mut packet[frame::HEADER..])?;
    Ok(packet)
}

/// Answers the reads of one connection: one item each, all bytes 1. It agrees to as many open requests as are
/// wanted, as an S7-1500 does to several: the loop wants one, the driver what it always wants.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let request = packet(&mut stream)?;
        let reference = |at: usize| [request[at], request[at + 1]];
        let telegram = match request[5] {
            0xE0 => {
                stream.write_all(&[3, 0, 0, 11, 6, 0xD0, 0, 1, 0, 7, 0])?;
                continue;
            }
            _ if request[17] == 0xF0 => {
                let [high, low] = PDU.to_be_bytes();
                let [a, b] = reference(11);
                let jobs = request[20];
                vec![0x32, 3, 0, 0, a, b, 0, 8, 0, 0, 0, 0, 0xF0, 0, 0, jobs, 0, jobs, high, low]
            }
            _ => {
                let count = u16::from_be_bytes([request[23], request[24]]);
                let ([a, b], [c, d]) = (reference(11), (count + 4).to_be_bytes());
                let [e, f] = (count * 8).to_be_bytes();
                let mut answer = vec![0x32, 3, 0, 0, a, b, 0, 2, c, d, 0, 0, 4, 1, 0xFF, 4, e, f];
                answer.resize(answer.len() + usize::from(count), 1);
                answer
            }
        };
        stream.write_all(&frame::data(&telegram))?;
    }
}

/// Values per second of the loop.
fn bare(port: u16, time: Duration) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(&frame::connect(Tsaps { local: 0x100, remote: 0x102 }))?;
    packet(&mut stream)?;
    stream.write_all(&frame::data(&telegram::setup(0, Agreement { pdu: PDU, jobs: 1 })))?;
    packet(&mut stream)?;
    let (start, mut values, mut sum) = (Instant::now(), 0, 0u64);
    while start.elapsed() < time {
        for from in (0..VALUES * 4).step_by(ITEM_BYTES) {
            let count = (VALUES * 4 - from).min(ITEM_BYTES) as u16;
            let item = Item { area: Area::Blocks, block: 1, start: from as u32, bit: None, count };
            stream.write_all(&frame::data(&telegram::read(1, &[item])))?;
            let packet = packet(&mut stream)?;
            let Ok(Unit::Data { bytes, .. }) = frame::unit(&packet) else { panic!("no data") };
            let telegram = telegram::parse(bytes).map_err(std::io::Error::other)?;
            for value in telegram.values(&[item]).map_err(std::io::Error::other)? {
                let bytes = value.expect("a value");
                let words = bytes.as_chunks::<4>().0.iter();
                sum += words.map(|word| u64::from(u32::from_be_bytes(*word))).sum::<u64>();
                values += bytes.len() / 4;
            }
        }
    }
    assert_eq!(sum, values as u64 * 0x0101_0101);
    Ok(values as f64 / start.elapsed().as_secs_f64())
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}

fn declaration(port: u16) -> SourceDeclaration {
    let mut settings = Settings::default();
    settings.set("address", SettingValue::Text(format!("127.0.0.1:{port}").into()));
    let point = |at: usize| PointDeclaration {
        path: format!("plc.{at}").into(),
        address: format!("DB1.DBD{}", at * 4).into(),
        plc_type: PlcType::Udint,
        writable: false,
        command: false,
    };
    let group = GroupDeclaration {
        id: GroupId(0),
        device: "plc".into(),
        device_settings: Settings::default(),
        // Always due.
        period_ns: 1_000,
        phase_ns: 0,
        tags: (0..VALUES as u32).map(TagId).collect(),
        points: (0..VALUES).map(point).collect(),
    };
    SourceDeclaration {
        item: Declaration { name: "plc".into(), settings },
        groups: vec![group],
        device_time: false,
    }
}

/// Values per second of the driver.
async fn driver(port: u16, time: Duration) -> f64 {
    let source = gwp_driver_s7::S7.prepare(declaration(port)).unwrap_or_else(|errors| panic!("{errors:?}"));
    let values = Arc::new(AtomicU64::new(0));
    let counter = values.clone();
    let hand = move |emission, credit| {
        if let Emission::Samples { batch, .. } = emission {
            assert!(batch.qualities.get(0).is_good());
            counter.fetch_add(batch.len() as u64, Relaxed);
        }
        drop(credit);
    };
    let (stop_source, stop) = stop_pair();
    let cx = SourceContext {
        outlet: Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), Arc::new(hand)),
        clock: Arc::new(SystemClock),
        stop,
        meter: Arc::new(SourceMeter::default()),
        commands: Commands::none(),
        unpolled: [].into(),
    };
    let task = tokio::spawn(async move { source.run(cx).await.expect("it runs") });
    while values.load(Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (start, before) = (Instant::now(), values.load(Relaxed));
    tokio::time::sleep(time).await;
    let rate = (values.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    stop_source.stop();
    task.await.expect("it ends");
    rate
}

fn main() {
    // `cargo bench` adds `--bench`.
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2);
    let time = Duration::from_secs(seconds);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(|| serve(stream));
        }
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("S7, {VALUES} values of 4 bytes, PDU {PDU}, values/s");
    for round in 1..=3 {
        let (bare, driver) = (bare(port, time).expect("a server"), runtime.block_on(driver(port, time)));
        println!(
            "round {round}: bare loop {bare:.0}, driver {driver:.0}, ratio {:.0} %",
            driver / bare * 100.0
        );
    }
}
