//! One tag's scale changes in a plan of 20,000 tags, while they are read: how long that takes, as who applies it sees
//! it, and whether any scan slot is missed meanwhile.

use crate::process::Process;
use crate::workload::{METRICS_PORT, WAIT, metric, tool};
use anyhow::ensure;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOURCES: usize = 20;
const TAGS: usize = 1_000;
const CHANGES: usize = 10;

/// 20 sources of 1,000 tags each second; tag `t000` of the first has this scale.
fn program(scale: usize) -> String {
    let mut text = String::new();
    for source in 0..SOURCES {
        text.push_str(&format!("source s{source:02} : simulator {{ scan = 1 s\n"));
        for tag in 0..TAGS {
            let scale = if (source, tag) == (0, 0) { format!(" scale {scale}") } else { String::new() };
            text.push_str(&format!("  tag t{tag:03} at \"counter 0..1000000000 step 1\" : real{scale}\n"));
        }
        text.push_str("}\n");
    }
    let all: Vec<String> = (0..SOURCES).map(|source| format!("s{source:02}")).collect();
    text + &format!("sink db : sqlite {{ path = \"out.db\" }}\nflow all = {} -> db\n", all.join(", "))
}

fn gwp(folder: &Path, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(tool("gwp")?);
    command.current_dir(folder).args(args).stderr(Stdio::null());
    Ok(command)
}

pub fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    std::fs::write(folder.join("p.gwp"), program(2))?;
    let metrics = format!("127.0.0.1:{METRICS_PORT}");
    let _gateway = Process::start(gwp(folder, &["run", "p.gwp", "--quiet", "--metrics", &metrics])?)?;
    let began = Instant::now();
    while !metric("gwp_journal_delivered_samples_total").is_ok_and(|delivered| delivered > 20_000.0) {
        ensure!(began.elapsed() < WAIT * 3, "the gateway delivers nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    let missed = || -> anyhow::Result<f64> {
        Ok(metric("gwp_source_slots_skipped_total")? + metric("gwp_source_slots_failed_total")?)
    };
    let before = missed()?;
    let mut took = Vec::new();
    for change in 0..CHANGES {
        std::fs::write(folder.join("p.gwp"), program(3 + change))?;
        let began = Instant::now();
        let done = gwp(folder, &["apply", "p.gwp"])?.stdout(Stdio::null()).status()?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(done.success(), "a change was not put in force");
        std::thread::sleep(Duration::from_millis(700));
    }
    took.sort_by(f64::total_cmp);
    println!(
        "\none scale of 20,000 tags changed, {CHANGES} times: median {:.0} ms, longest {:.0} ms from `gwp apply` to its end; {} scan slots missed",
        took[CHANGES / 2],
        took[CHANGES - 1],
        missed()? - before,
    );
    Ok(())
}
