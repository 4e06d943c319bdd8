//! End to end, side by side: devices -> gateway -> broker -> subscriber, each in
//! a process of its own, on loopback. Run it on a machine that is otherwise idle:
//!
//! ```text
//! cargo build --release -p gwp-gateway -p gwp-benches
//! target/release/side_by_side           # all workloads, a table at the end
//! target/release/side_by_side w2 -s 30  # one workload for 30 s
//! ```
//! Every register holds the moment at which its device answered (milliseconds,
//! modulo 2^16), so each value carries its own latency. CPU seconds and peak
//! memory are the operating system's own accounting of the gateway process.
//! The row `plain loop` is the limit: the same libraries in a bare loop, with no
//! journal, no tag model, no quality, no supervision.

mod change;
mod devices;
mod opcua;
mod outage;
mod pair;
mod plain;
mod process;
mod subscriber;
mod workload;

use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse::<u16>().ok());
    match args.first().map(String::as_str) {
        Some("devices") => {
            devices::serve(number(1).unwrap_or(10), args.get(2).is_some_and(|word| word == "noise"))
        }
        Some("subscriber") => subscriber::count(number(1).unwrap_or(1883)),
        Some("plain") => plain::run(
            number(1).unwrap_or(1883),
            u64::from(number(2).unwrap_or(0)),
            args.get(3..).unwrap_or_default(),
        ),
        Some("opcua-server") => opcua::serve(u32::from(number(1).unwrap_or(0))),
        Some(reader @ ("opcua-plain" | "opcua-driver")) => {
            let work = opcua::Work {
                port: number(1).unwrap_or(4840),
                items: u32::from(number(2).unwrap_or(1_000)),
                polls: args.get(3).is_some_and(|word| word == "poll"),
            };
            if reader == "opcua-driver" { opcua::driver(work) } else { opcua::plain(work) }
        }
        _ => {
            let seconds = args.iter().position(|arg| arg == "-s").and_then(|at| args.get(at + 1));
            let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(15);
            let only: Vec<&str> =
                args.iter().map(String::as_str).filter(|arg| workload::NAMES.contains(arg)).collect();
            workload::run_all(&only, Duration::from_secs(seconds))
        }
    }
}
