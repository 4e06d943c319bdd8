//! A run in a process of its own, so that the kernel ends all that belongs to it when it ends.

use crate::net::Net;
use crate::plant::{Build, Disk, FAKETIME, NAMES, Plant};
use crate::proxy::Proxies;
use crate::report::{Outcome, Strictness, violations};
use crate::runner::Runner;
use crate::scenario::{Needs, Scenario};
use crate::spaces::Spaces;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug)]
pub struct OneArgs {
    #[arg(long)]
    pub scenario: String,
    #[arg(long)]
    pub seed: u64,
    #[arg(long)]
    pub folder: PathBuf,
    /// The gateway's binary.
    #[arg(long)]
    pub gwp: PathBuf,
    #[arg(long)]
    pub profile: String,
    #[arg(long)]
    pub standby: String,
    #[arg(long)]
    pub slack: u64,
    /// Proxies instead of namespaces.
    #[arg(long)]
    pub proxy: bool,
    /// How often the scenario's steps are done.
    #[arg(long)]
    pub times: u64,
    /// Something that must be found: see `controls.rs`.
    #[arg(long)]
    pub control: Option<crate::controls::Control>,
}

/// Whether a program can be found.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let standard = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(standard).any(|folder| folder.join(program).is_file())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why a scenario cannot be run here, if it cannot.
pub fn lacks(scenario: &Scenario, proxy: bool) -> Option<String> {
    let tools: &[&str] = match scenario.needs {
        Needs::Nothing | Needs::Faketime | Needs::Proxies => &[],
        Needs::Root if scenario.disk == Disk::Image => &["xfs_io", "mkfs.ext4"],
        Needs::Root => &[],
        Needs::Strace => &["strace"],
    };
    if let Some(tool) = tools.iter().find(|tool| !has(tool)) {
        return Some(format!("{tool} is not installed"));
    }
    if scenario.needs == Needs::Faketime && !Path::new(FAKETIME).exists() {
        return Some("libfaketime is not installed".into());
    }
    if !is_root() && (!proxy || scenario.needs == Needs::Root) {
        return Some("it needs root".into());
    }
    None
}

/// Runs it and leaves `outcome.json` in the folder.
pub fn run(args: &OneArgs, scenario: &Scenario) -> Result<(), String> {
    let begin = Instant::now();
    let mut outcome = match carry_out(args, scenario) {
        Ok(outcome) => outcome,
        Err(error) => Outcome { violations: vec![error], ..Outcome::default() },
    };
    outcome.scenario.clone_from(&args.scenario);
    outcome.seed = args.seed;
    outcome.profile.clone_from(&args.profile);
    outcome.standby.clone_from(&args.standby);
    outcome.seconds = begin.elapsed().as_secs();
    outcome.net = if args.proxy { "proxies" } else { "namespaces" }.into();
    if outcome.violations.is_empty() {
        let strict =
            Strictness { is_hot: args.standby == "hot", is_fast: args.profile == "fast", slack: args.slack };
        outcome.violations = violations(&outcome, scenario, strict);
    }
    let complaints = complaints(&args.folder);
    outcome.violations.extend(complaints);
    let text = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
    std::fs::write(args.folder.join("outcome.json"), text).map_err(|error| error.to_string())
}

fn carry_out(args: &OneArgs, scenario: &Scenario) -> Result<Outcome, String> {
    let net = if args.proxy {
        if is_root() {
            // The namespace of this run is new, and its loopback is down.
            let _ = Command::new("ip")
                .stderr(std::process::Stdio::null())
                .args(["link", "set", "lo", "up"])
                .status();
        }
        Net::Proxies(Box::new(Proxies::make(args.seed)?))
    } else {
        Net::Spaces(Spaces::make()?)
    };
    let build = Build {
        gwp: args.gwp.clone(),
        profile: args.profile.clone(),
        load: scenario.load,
        hot: args.standby == "hot",
        mqtt: ["mosquitto", "mosquitto_sub", "stdbuf"].iter().all(|tool| has(tool)),
        disk: scenario.disk,
        fake_clock: scenario.needs == Needs::Faketime,
        preload: None,
        mutant: None,
        guarded: scenario.is_guarded,
        is_single: false,
    };
    let build = match args.control {
        Some(control) => control.build(build, &args.folder)?,
        None => build,
    };
    let mut runner = Runner::new(Plant::new(&args.folder, net, build)?, args.seed)?;
    if args.control.is_some() {
        // What is broken on purpose may well stand still.
        runner.patience = Duration::from_secs(45);
    }
    runner.begin()?;
    if let Some(control) = args.control {
        control.sabotage(&runner.plant)?;
    }
    for time in 0..args.times {
        if time > 0 {
            runner.rest()?;
        }
        runner.steps(&scenario.steps, scenario.expect.is_failover)?;
    }
    let whole = runner.settle()?;
    let outcome = runner.outcome(scenario, whole)?;
    Ok(Outcome {
        exits: runner.plant.exits.iter().map(|exit| exit.code.unwrap_or(-1)).collect(),
        asides: (0..2).map(|node| asides(&runner.plant.data(node))).sum(),
        notes: runner.notes.iter().chain(&outcome.notes).cloned().collect(),
        ..outcome
    })
}

fn asides(data: &Path) -> u64 {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("store.aside-")).count() as u64
}

/// Lines of the members' logs that must never be.
fn complaints(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in NAMES.iter().chain(&["witness"]) {
        let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        for line in
            log.lines().filter(|line| line.contains("panicked at") || line.contains("breaks a rule")).take(3)
        {
            found.push(format!("{name}: {line}"));
        }
    }
    found
}
