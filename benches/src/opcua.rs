//! The OPC UA driver beside a bare loop over the same client library, against one server: values per second,
//! CPU, and memory per monitored item.
//!
//! Server and readers are processes of their own. The server gives ready answers, so that flat out the reader is the
//! limit: the columns `busy` and `server busy`, shares of one core, tell whether it is.

mod reader;
mod server;

pub use reader::{Work, driver, plain};
pub use server::serve;

use crate::process::Process;
use crate::workload::{WAIT, own};
use std::time::{Duration, Instant};

/// Monitored items, or polled nodes: the difference of memory tells what one costs.
const ITEMS: [u32; 2] = [1_000, 10_000];
const READERS: [&str; 2] = ["plain", "driver"];

/// What the server does and how it is read from.
struct Case {
    what: &'static str,
    /// Changes of each node a second; 0 = as fast as they are fetched.
    rate: u32,
    polls: bool,
}

const CASES: [Case; 3] = [
    Case { what: "subscribed, each changes once a second", rate: 1, polls: false },
    Case { what: "subscribed, as fast as possible", rate: 0, polls: false },
    Case { what: "polled, as fast as possible", rate: 0, polls: true },
];

/// One reader over a while.
#[derive(Clone, Copy, Default)]
struct Seen {
    rate: f64,
    per_million: f64,
    busy: f64,
    server_busy: f64,
    peak_mb: f64,
}

/// The mean of several times.
fn mean(seen: &[Seen]) -> Seen {
    let of = |part: fn(&Seen) -> f64| seen.iter().map(part).sum::<f64>() / seen.len().max(1) as f64;
    Seen {
        rate: of(|seen| seen.rate),
        per_million: of(|seen| seen.per_million),
        busy: of(|seen| seen.busy),
        server_busy: of(|seen| seen.server_busy),
        peak_mb: of(|seen| seen.peak_mb),
    }
}

/// Runs all and prints a table.
pub fn run(time: Duration) -> anyhow::Result<()> {
    println!(
        "\n| OPC UA | items | who | values/s | CPU-s per million | busy | server busy | peak MB | bytes per item |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for case in &CASES {
        let server = own("opcua-server", &[case.rate.to_string()])?;
        let port: u16 = server.line(WAIT)?.parse()?;
        let few = both(case, &server, Work { port, items: ITEMS[0], polls: case.polls }, time)?;
        let many = both(case, &server, Work { port, items: ITEMS[1], polls: case.polls }, time)?;
        for (items, seen) in ITEMS.iter().zip([&few, &many]) {
            for (at, who) in READERS.iter().enumerate() {
                let bytes = match *items == ITEMS[1] {
                    true => {
                        let more = (many[at].peak_mb - few[at].peak_mb) * 1024.0 * 1024.0;
                        format!("{:.0}", more / f64::from(ITEMS[1] - ITEMS[0]))
                    }
                    false => String::new(),
                };
                let Seen { rate, per_million, busy, server_busy, peak_mb } = seen[at];
                println!(
                    "| {} | {items} | {who} | {rate:.0} | {per_million:.3} | {:.0} % | {:.0} % | {peak_mb:.1} | {bytes} |",
                    case.what,
                    busy * 100.0,
                    server_busy * 100.0,
                );
            }
            if case.rate == 0 {
                ratios.push(format!(
                    "{}, {items} items: driver to plain {:.0} % of the values/s, {:.2} times the CPU",
                    case.what,
                    seen[1].rate / seen[0].rate * 100.0,
                    seen[1].per_million / seen[0].per_million
                ));
            }
        }
    }
    println!("\n{}", ratios.join("\n"));
    Ok(())
}

/// Both readers, in the order of [`READERS`], each twice and in turn.
fn both(case: &Case, server: &Process, work: Work, time: Duration) -> anyhow::Result<[Seen; 2]> {
    let mut seen = [Vec::new(), Vec::new()];
    for at in [0, 1, 1, 0] {
        seen[at].push(one(READERS[at], case, server, work, time)?);
    }
    Ok(seen.map(|seen| mean(&seen)))
}

fn one(who: &str, case: &Case, server: &Process, work: Work, time: Duration) -> anyhow::Result<Seen> {
    let mode = if case.polls { "poll" } else { "subscribe" };
    let reader = own(&format!("opcua-{who}"), &[work.port.to_string(), work.items.to_string(), mode.into()])?;
    // The first seconds are not counted: connecting, making items, growing buffers.
    reader.line(WAIT)?;
    std::thread::sleep(Duration::from_secs(2));
    reader.lines();
    let (began, cpu, busy) = (Instant::now(), reader.cpu_seconds(), server.cpu_seconds());
    std::thread::sleep(time);
    let (cpu, busy) = (reader.cpu_seconds() - cpu, server.cpu_seconds() - busy);
    let elapsed = began.elapsed().as_secs_f64();
    let seconds: Vec<f64> = reader.lines().iter().filter_map(|line| line.parse().ok()).collect();
    anyhow::ensure!(!seconds.is_empty(), "opcua-{who} tells nothing");
    let rate = seconds.iter().sum::<f64>() / seconds.len() as f64;
    Ok(Seen {
        rate,
        per_million: cpu / (rate * elapsed / 1e6),
        busy: cpu / elapsed,
        server_busy: busy / elapsed,
        peak_mb: reader.peak_memory_mb(),
    })
}
