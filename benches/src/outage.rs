//! The broker is away for a minute at 10,000 values/s: what is lost, what comes
//! twice, how fast the backlog drains, and what memory it takes.

use crate::process::free_port;
use crate::workload::{WAIT, broker, gateway, metric, own};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A way to the broker that can be cut: for the gateway the broker is down, while
/// the subscriber stays connected and counts everything.
pub struct Gate {
    pub port: u16,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    pub fn heal(&self) {
        self.open.store(true, SeqCst);
    }

    pub fn before(broker: u16) -> anyhow::Result<Gate> {
        let listener = TcpListener::bind(("127.0.0.1", free_port()?))?;
        let gate = Gate {
            port: listener.local_addr()?.port(),
            open: Arc::new(AtomicBool::new(true)),
            streams: Arc::default(),
        };
        let (open, streams) = (gate.open.clone(), gate.streams.clone());
        std::thread::spawn(move || {
            for inside in listener.incoming().flatten() {
                let Ok(outside) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                if !open.load(SeqCst) {
                    continue;
                }
                for (from, to) in [(&inside, &outside), (&outside, &inside)] {
                    if let (Ok(from), Ok(to), Ok(kept)) = (from.try_clone(), to.try_clone(), from.try_clone())
                    {
                        let _ = from.set_nodelay(true);
                        streams.lock().unwrap_or_else(|poison| poison.into_inner()).push(kept);
                        std::thread::spawn(move || pump(from, to));
                    }
                }
            }
        });
        Ok(gate)
    }

    pub fn cut(&self) {
        self.open.store(false, SeqCst);
        for stream in self.streams.lock().unwrap_or_else(|poison| poison.into_inner()).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0u8; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Runs it and prints what was seen.
pub fn run(outage: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (_broker, port) = broker(folder.path())?;
    let gate = Gate::before(port)?;
    let devices = own("devices", &["10".into()])?;
    let ports: Vec<String> = devices.line(WAIT)?.split(' ').map(str::to_owned).collect();
    let subscriber = own("subscriber", &[port.to_string()])?;
    subscriber.line(WAIT)?;
    let gateway = gateway(folder.path(), &ports, gate.port, 1000)?;
    std::thread::sleep(Duration::from_secs(5));
    let memory = gateway.peak_memory_mb();
    gate.cut();
    std::thread::sleep(outage);
    let waiting = metric("gwp_journal_pending_samples{")?;
    let during = gateway.peak_memory_mb();
    gate.heal();
    let began = Instant::now();
    // The drain begins with the connection, not with the wait of the back-off before it.
    let mut back = None;
    while began.elapsed() < WAIT {
        if back.is_none() && metric("gwp_sink_connected{")? > 0.0 {
            back = Some(Instant::now());
        }
        if metric("gwp_journal_pending_samples{")? <= 20_000.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let drained = began.elapsed();
    let drain = back.map_or(drained, |back| back.elapsed());
    let connected = metric("gwp_sink_connected{")?;
    std::thread::sleep(Duration::from_secs(5));
    let delivered = metric("gwp_journal_delivered_samples_total{")?;
    let dropped = metric("gwp_journal_dropped_samples_total{")?;
    std::thread::sleep(Duration::from_secs(1));
    let received: f64 =
        subscriber.lines().iter().filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum();
    println!("\nbroker away for {} s at 10,000 values/s:", outage.as_secs());
    println!("  waiting when it came back   {waiting:.0} values");
    println!(
        "  until all were delivered    {:.2} s, reconnecting included (connected: {connected})",
        drained.as_secs_f64()
    );
    println!(
        "  from connected to delivered {:.0} ms: {:.0} values/s, live ones among them",
        drain.as_secs_f64() * 1e3,
        waiting / drain.as_secs_f64()
    );
    println!("  delivered, dropped          {delivered:.0}, {dropped:.0}");
    println!("  counted at the subscriber   about {received:.0} (rates of whole seconds)");
    println!("  peak memory before, during  {memory:.0} MB, {during:.0} MB");
    Ok(())
}
