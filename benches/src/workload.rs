//! The workloads and their table.

use crate::process::{Process, free_port};
use anyhow::Context;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names of all workloads, in the order of the table.
pub const NAMES: [&str; 10] =
    ["w1", "w2", "w3", "w3x30", "start", "outage", "change", "pair", "rejoin", "opcua"];

pub const WAIT: Duration = Duration::from_secs(20);

/// Where the measured gateway serves its metrics.
pub const METRICS_PORT: u16 = 19464;

/// A value of the measured gateway's metrics, summed over labels.
pub fn metric(name: &str) -> anyhow::Result<f64> {
    metric_at(METRICS_PORT, name)
}

/// The same of a gateway that serves them on another port.
pub fn metric_at(port: u16, name: &str) -> anyhow::Result<f64> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let lines = page.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Devices, scan and who runs it.
struct Workload {
    name: &'static str,
    what: &'static str,
    devices: usize,
    scan_ms: u64,
}

const WORKLOADS: [Workload; 4] = [
    Workload { name: "w1", what: "10 devices x 1,000 registers each 1 s", devices: 10, scan_ms: 1000 },
    Workload { name: "w2", what: "10 devices x 1,000 registers each 100 ms", devices: 10, scan_ms: 100 },
    Workload { name: "w3", what: "10 devices, as fast as possible", devices: 10, scan_ms: 1 },
    Workload { name: "w3x30", what: "30 devices, as fast as possible", devices: 30, scan_ms: 1 },
];

/// Runs the named workloads (all when none is named) and prints a table.
pub fn run_all(only: &[&str], time: Duration) -> anyhow::Result<()> {
    let chosen = |name: &str| only.is_empty() || only.contains(&name);
    println!("| workload | who | values/s | CPU-s per million | p50 ms | p99 ms | max ms | peak MB |");
    println!("|---|---|---|---|---|---|---|---|");
    for workload in WORKLOADS.iter().filter(|workload| chosen(workload.name)) {
        for plain in [false, true] {
            let row = run(workload, plain, time)?;
            println!("| {} | {} | {} |", workload.what, if plain { "plain loop" } else { "gwp" }, row);
        }
    }
    if chosen("start") {
        let first = first_value()?;
        println!(
            "\nstart to first value at a subscriber, 10,000 tags configured: {:.0} ms",
            first.as_secs_f64() * 1e3
        );
    }
    if chosen("outage") {
        crate::outage::run(Duration::from_secs(60))?;
    }
    if chosen("change") {
        crate::change::run()?;
    }
    if chosen("pair") {
        crate::pair::run(time)?;
    }
    if chosen("rejoin") {
        crate::pair::rejoin()?;
    }
    if chosen("opcua") {
        crate::opcua::run(time)?;
    }
    Ok(())
}

pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().context("no folder")?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: build gwp-gateway in the same profile first",
        path.display()
    );
    Ok(path)
}

pub fn own(mode: &str, args: &[String]) -> anyhow::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode).args(args);
    Process::start(command)
}

pub fn broker(folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let config = folder.join("mosquitto.conf");
    std::fs::write(
        &config,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nmax_inflight_messages 1000\n"
        ),
    )?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(&config).stderr(Stdio::null());
    let broker = Process::start(command).context("mosquitto must be installed")?;
    let deadline = Instant::now() + WAIT;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((broker, port))
}

/// A program over the devices at `ports`; `hot`: a standby reads them as well.
pub fn program(ports: &[String], broker: u16, scan_ms: u64, hot: bool) -> String {
    let standby = if hot { ", standby = hot" } else { "" };
    let mut text = String::new();
    for (index, port) in ports.iter().enumerate() {
        let _ = writeln!(
            text,
            "source d{index} : modbus_tcp {{\n  address = \"127.0.0.1:{port}\", scan = {scan_ms} ms{standby}"
        );
        for tag in 0..1000 {
            let _ = writeln!(text, "  tag t{tag:04} at \"hr {tag}\" : uint");
        }
        text.push_str("}\n");
    }
    let sources: Vec<String> = (0..ports.len()).map(|index| format!("d{index}")).collect();
    let _ = write!(
        text,
        "sink broker : mqtt {{ broker = \"mqtt://127.0.0.1:{broker}\", journal {{ capacity = 20 GB }} }}\nflow all = {} -> broker\n",
        sources.join(", ")
    );
    text
}

pub fn gateway(folder: &Path, ports: &[String], broker: u16, scan_ms: u64) -> anyhow::Result<Process> {
    let file = folder.join("bench.gwp");
    std::fs::write(&file, program(ports, broker, scan_ms, false))?;
    let mut command = Command::new(tool("gwp")?);
    command.arg("run").arg(&file).arg("--data").arg(folder.join("data")).args(["--quiet", "--metrics"]);
    command.arg(format!("127.0.0.1:{}", METRICS_PORT));
    if std::env::var_os("SHOW").is_none() {
        command.stderr(Stdio::null());
    }
    Process::start(command)
}

fn run(workload: &Workload, plain: bool, time: Duration) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let (_broker, port) = broker(folder.path())?;
    let devices = own("devices", &[workload.devices.to_string()])?;
    let ports: Vec<String> = devices.line(WAIT)?.split(' ').map(str::to_owned).collect();
    let subscriber = own("subscriber", &[port.to_string()])?;
    subscriber.line(WAIT)?;
    let measured = if plain {
        let period = if workload.scan_ms <= 1 { 0 } else { workload.scan_ms };
        let mut args = vec![port.to_string(), period.to_string()];
        args.extend(ports);
        own("plain", &args)?
    } else {
        gateway(folder.path(), &ports, port, workload.scan_ms)?
    };
    // The first seconds are not counted: connecting, growing buffers.
    std::thread::sleep(Duration::from_secs(3));
    subscriber.lines();
    let (cpu, began) = (measured.cpu_seconds(), Instant::now());
    std::thread::sleep(time);
    let cpu = measured.cpu_seconds() - cpu;
    let elapsed = began.elapsed().as_secs_f64();
    let seconds = seconds(&subscriber);
    let memory = measured.peak_memory_mb();
    Ok(row(&seconds, cpu, elapsed, memory))
}

/// What a subscriber has told of whole seconds since the last look: values, p50, p99, longest, and more.
pub fn seconds(subscriber: &Process) -> Vec<Vec<f64>> {
    let numbers = |line: &String| line.split(' ').filter_map(|number| number.parse().ok()).collect();
    subscriber.lines().iter().map(numbers).filter(|second: &Vec<f64>| second.len() == 5).collect()
}

/// Values per second: the mean of whole seconds.
pub fn rate(seconds: &[Vec<f64>]) -> f64 {
    seconds.iter().map(|second| second[0]).sum::<f64>() / seconds.len().max(1) as f64
}

/// The median of seconds: 1 = p50, 2 = p99, in milliseconds.
pub fn median(seconds: &[Vec<f64>], index: usize) -> f64 {
    let mut all: Vec<f64> = seconds.iter().map(|second| second[index]).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn row(seconds: &[Vec<f64>], cpu: f64, elapsed: f64, memory: f64) -> String {
    let rate = rate(seconds);
    let max = seconds.iter().map(|second| second[3]).fold(0.0, f64::max);
    let per_million = cpu / (rate * elapsed / 1e6);
    let (p50, p99) = (median(seconds, 1), median(seconds, 2));
    format!("{rate:.0} | {per_million:.3} | {p50:.0} | {p99:.0} | {max:.0} | {memory:.0}")
}

/// From the start of the process to the first message at a subscriber.
fn first_value() -> anyhow::Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..5 {
        let folder = tempfile::tempdir()?;
        let (_broker, port) = broker(folder.path())?;
        let devices = own("devices", &["10".into()])?;
        let ports: Vec<String> = devices.line(WAIT)?.split(' ').map(str::to_owned).collect();
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "gwp/#", "-q", "1", "-F", "%t"]);
        let subscriber = Process::start(command).context("mosquitto_sub must be installed")?;
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let _gateway = gateway(folder.path(), &ports, port, 20)?;
        subscriber.line(WAIT)?;
        all.push(began.elapsed());
    }
    all.sort();
    Ok(all[all.len() / 2])
}
