//! What a pair costs beside a gateway alone, and a standby without a store that comes to a large backlog.
//!
//! Both nodes and the witness run on this machine beside devices, broker and subscriber: what is slow here is what two
//! cores do for all of them. CPU seconds are each process's own.

use crate::outage::Gate;
use crate::process::{Process, free_port};
use crate::workload::{
    METRICS_PORT, WAIT, broker, gateway, median, metric_at, own, program, rate, seconds, tool,
};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Undelivered samples to which a standby without a store comes.
const BACKLOG: f64 = 5_000_000.0;

const NAMES: [&str; 2] = ["primary", "backup"];

fn metrics_port(node: usize) -> u16 {
    METRICS_PORT + node as u16
}

fn gwp(folder: &Path, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(tool("gwp")?);
    command.current_dir(folder).args(args);
    if std::env::var_os("SHOW").is_none() {
        command.stderr(Stdio::null());
    }
    Ok(command)
}

/// Two nodes and a witness.
struct Pair {
    folder: PathBuf,
    nodes: [Option<Process>; 2],
    _witness: Process,
}

impl Pair {
    /// One that has come to be redundant.
    fn start(folder: &Path, program: &str) -> anyhow::Result<Pair> {
        std::fs::write(folder.join("bench.gwp"), program)?;
        let made = gwp(folder, &["pair", "keys", "pair.key"])?.stdout(Stdio::null()).status()?;
        ensure!(made.success(), "no key");
        let ports: Vec<u16> = (0..5).map(|_| free_port()).collect::<anyhow::Result<_>>()?;
        for (node, name) in NAMES.iter().enumerate() {
            let link = |link: usize, witness: &str| {
                let (here, peer) = (ports[2 * node + link], ports[2 - 2 * node + link]);
                format!("{{ here = \"127.0.0.1:{here}\", peer = \"127.0.0.1:{peer}\"{witness} }}")
            };
            let witness = format!(", witness = \"127.0.0.1:{}\"", ports[4]);
            let text = format!(
                "[node]\nid = \"{name}\"\ndata = \"{name}\"\n[listen]\nmetrics = \"127.0.0.1:{}\"\n[pair]\nme = \"{name}\"\nkey = \"pair.key\"\nlinks = [{}, {}]\n",
                metrics_port(node),
                link(0, &witness),
                link(1, ""),
            );
            std::fs::write(folder.join(format!("{name}.toml")), text)?;
        }
        let listen = format!("[witness]\nkey = \"pair.key\"\nlisten = [\"127.0.0.1:{}\"]\n", ports[4]);
        std::fs::write(folder.join("witness.toml"), format!("[node]\ndata = \"witness\"\n{listen}"))?;
        let witness = Process::start(gwp(folder, &["witness", "witness.toml"])?)?;
        let mut pair = Pair { folder: folder.into(), nodes: [None, None], _witness: witness };
        for node in 0..2 {
            pair.start_node(node)?;
        }
        pair.until_redundant()?;
        Ok(pair)
    }

    fn start_node(&mut self, node: usize) -> anyhow::Result<()> {
        let machine = format!("{}.toml", NAMES[node]);
        let args = ["run", "bench.gwp", "--node", &machine, "--quiet"];
        self.nodes[node] = Some(Process::start(gwp(&self.folder, &args)?)?);
        Ok(())
    }

    /// Gives who is active, and how long it took.
    fn until_redundant(&self) -> anyhow::Result<(usize, Duration)> {
        let began = Instant::now();
        let is = |node: usize, name: &str| metric_at(metrics_port(node), name).is_ok_and(|value| value > 0.0);
        loop {
            for node in 0..2 {
                if is(node, "gwp_pair_active ") && is(node, "gwp_pair_redundant ") {
                    return Ok((node, began.elapsed()));
                }
            }
            ensure!(began.elapsed() < WAIT * 9, "the pair is not redundant");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn node(&self, node: usize) -> anyhow::Result<&Process> {
        self.nodes[node].as_ref().context("it does not run")
    }
}

/// Broker, devices and subscriber.
struct Plant {
    broker: u16,
    devices: Vec<String>,
    subscriber: Process,
    _others: [Process; 2],
}

impl Plant {
    /// `values`: `moment` tells latencies, `noise` cannot be made smaller.
    fn start(folder: &Path, values: &str) -> anyhow::Result<Plant> {
        let (process, broker) = broker(folder)?;
        let serving = own("devices", &["10".into(), values.into()])?;
        let devices = serving.line(WAIT)?.split(' ').map(str::to_owned).collect();
        let subscriber = own("subscriber", &[broker.to_string()])?;
        subscriber.line(WAIT)?;
        Ok(Plant { broker, devices, subscriber, _others: [process, serving] })
    }
}

/// A gateway alone, a pair, and one whose standby reads as well, in turn over the same load.
pub fn run(time: Duration) -> anyhow::Result<()> {
    println!(
        "\n| workload | who | values/s | CPU-s per million, active | standby | p50 ms | p99 ms | MB, active | standby | bytes per value |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (what, scan_ms) in
        [("10 devices x 1,000 registers each 1 s", 1_000), ("10 devices x 1,000 registers each 100 ms", 100)]
    {
        for (who, hot) in [("alone", None), ("pair", Some(false)), ("pair, standby = hot", Some(true))] {
            println!("| {what} | {who} | {} |", row(scan_ms, hot, "moment", time)?);
        }
    }
    let noise = row(100, Some(false), "noise", time)?;
    println!("| the same, values that cannot be made smaller (no latency) | pair | {noise} |");
    Ok(())
}

/// `hot`: none is a gateway alone.
fn row(scan_ms: u64, hot: Option<bool>, values: &str, time: Duration) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let plant = Plant::start(folder.path(), values)?;
    let (alone, pair);
    let (active, standby, active_node) = match hot {
        None => {
            alone = gateway(folder.path(), &plant.devices, plant.broker, scan_ms)?;
            (&alone, None, 0)
        }
        Some(hot) => {
            let program = program(&plant.devices, plant.broker, scan_ms, hot);
            pair = Pair::start(folder.path(), &program)?;
            let (active, _) = pair.until_redundant()?;
            (pair.node(active)?, Some(pair.node(1 - active)?), active)
        }
    };
    // The first seconds are not counted: connecting, growing buffers.
    std::thread::sleep(Duration::from_secs(4));
    plant.subscriber.lines();
    let cpu = || (active.cpu_seconds(), standby.map_or(0.0, Process::cpu_seconds));
    let given = || metric_at(metrics_port(active_node), "gwp_pair_given_bytes_total ").unwrap_or(0.0);
    let (before, given_before, began) = (cpu(), given(), Instant::now());
    std::thread::sleep(time);
    let (after, given, elapsed) = (cpu(), given() - given_before, began.elapsed().as_secs_f64());
    let seconds = seconds(&plant.subscriber);
    let values = rate(&seconds) * elapsed;
    let per_million = |cpu: f64| cpu / values * 1e6;
    let dash = || "-".to_owned();
    Ok(format!(
        "{:.0} | {:.3} | {} | {:.0} | {:.0} | {:.0} | {} | {}",
        rate(&seconds),
        per_million(after.0 - before.0),
        standby.map_or_else(dash, |_| format!("{:.3}", per_million(after.1 - before.1))),
        median(&seconds, 1),
        median(&seconds, 2),
        active.peak_memory_mb(),
        standby.map_or_else(dash, |standby| format!("{:.0}", standby.peak_memory_mb())),
        standby.map_or_else(dash, |_| format!("{:.2}", given / values)),
    ))
}

/// The broker is away at 100,000 values/s, and the standby lost its store; then it comes back.
pub fn rejoin() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plant = Plant::start(folder.path(), "noise")?;
    let gate = Gate::before(plant.broker)?;
    let mut pair = Pair::start(folder.path(), &program(&plant.devices, gate.port, 100, true))?;
    let (active, _) = pair.until_redundant()?;
    let (standby, port) = (1 - active, metrics_port(active));
    gate.cut();
    pair.nodes[standby] = None;
    std::fs::remove_dir_all(folder.path().join(NAMES[standby]))?;
    let pending = || metric_at(port, "gwp_journal_pending_samples{");
    let began = Instant::now();
    while pending()? < BACKLOG {
        ensure!(began.elapsed() < WAIT * 9, "the backlog does not grow");
        std::thread::sleep(Duration::from_millis(50));
    }
    let missed = || -> anyhow::Result<f64> {
        Ok(metric_at(port, "gwp_source_slots_skipped_total")?
            + metric_at(port, "gwp_source_slots_failed_total")?)
    };
    let (memory, missed_before, waiting) = (pair.node(active)?.peak_memory_mb(), missed()?, pending()?);
    pair.start_node(standby)?;
    let (still_active, took) = pair.until_redundant()?;
    ensure!(still_active == active, "the graph has moved");
    let missed = missed()? - missed_before;
    println!(
        "\na standby without a store comes to {waiting:.0} undelivered values, 100,000 more each second:"
    );
    println!("  redundant after             {:.1} s from the start of its process", took.as_secs_f64());
    println!("  scan slots that were missed {missed}");
    println!("  bytes that it was given     {:.0} MB", metric_at(port, "gwp_pair_given_bytes_total ")? / 1e6);
    println!(
        "  peak memory                 active {memory:.0} MB before, {:.0} MB with it; standby {:.0} MB",
        pair.node(active)?.peak_memory_mb(),
        pair.node(standby)?.peak_memory_mb()
    );
    gate.heal();
    let began = Instant::now();
    while pending()? > 200_000.0 {
        ensure!(began.elapsed() < WAIT * 9, "the backlog does not drain");
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(
        "  delivered                   {:.1} s after the broker is back; dropped {}",
        began.elapsed().as_secs_f64(),
        metric_at(port, "gwp_journal_dropped_samples_total{")?
    );
    Ok(())
}
