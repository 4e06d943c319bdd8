//! Many runs: each in a process of its own, some at a time, with the lines of figures and the table at the end.
//!
//! As root a run has network, mounts and processes of its own (`unshare`): whatever happens to it, the kernel removes
//! all of that with its first process.

use crate::controls::Control;
use crate::report::{Outcome, table};
use crate::scenario::{Needs, Scenario};
use crate::single::{is_root, lacks};
use crate::{clock, table as scenarios};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// No run takes longer, for each time that it makes its fault.
const RUN_MAX: Duration = Duration::from_secs(900);

/// The twenty runs that every landing makes.
const SMOKE: [&str; 20] = [
    "S01", "S02", "S03", "S04", "S05b", "S05c", "S07", "S08", "S09", "S10", "S11", "S12", "S13", "S14",
    "S15", "S16", "S21a", "S22a", "S29", "S36",
];

#[derive(clap::Args, Debug)]
pub struct CampaignArgs {
    /// Runs of each scenario, each with another seed
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// How often each run does what its scenario says, in the same plant
    #[arg(long, default_value_t = 1)]
    times: u64,
    /// Which, with commas; `S05`, which is none itself, means all that begin so. Without it all but S15l
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// How long leases are: fast or default
    #[arg(long, default_value = "default", value_parser = ["fast", "default"])]
    profile: String,
    /// Whether the standby reads devices; with `hot` no slot may be missing
    #[arg(long, default_value = "hot", value_parser = ["hot", "cold"])]
    standby: String,
    /// The first seed; without it the clock gives one
    #[arg(long)]
    seed: Option<u64>,
    /// Proxies on loopback instead of namespaces: needs no root
    #[arg(long)]
    proxy: bool,
    /// Runs at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Bounds of time are multiplied by this, for debug builds and busy machines
    #[arg(long, default_value_t = 1)]
    slack: u64,
    /// Where runs leave what they wrote; a run that holds leaves nothing but its figures
    #[arg(long, default_value = "target/campaign")]
    folder: PathBuf,
    /// The gateway's binary; without it the one beside this tool, built if need be
    #[arg(long)]
    gwp: Option<PathBuf>,
    /// Keeps the folders of all runs
    #[arg(long)]
    keep: bool,
    /// Twenty runs of different scenarios
    #[arg(long)]
    smoke: bool,
    /// Runs with something broken on purpose, each of which must be found
    #[arg(long)]
    controls: bool,
    /// A gateway built with `--cfg mutants`, for the control that breaks a rule of the pair itself
    #[arg(long)]
    broken_gwp: Option<PathBuf>,
    /// Only the table of figures that were kept: files `runs.jsonl`, with commas
    #[arg(long, value_delimiter = ',')]
    table: Vec<PathBuf>,
    /// Lists the scenarios
    #[arg(long)]
    list: bool,
}

struct Job {
    scenario: Scenario,
    seed: u64,
    control: Option<Control>,
}

impl Job {
    /// A control is judged by what is broken once.
    fn times(&self, args: &CampaignArgs) -> u64 {
        if self.control.is_some() { 1 } else { args.times }
    }
}

impl CampaignArgs {
    fn wants(&self, scenario: &Scenario) -> bool {
        if self.smoke {
            return SMOKE.contains(&scenario.id);
        }
        let is_meant = |wanted: &String| {
            let is_whole = scenarios::all().iter().any(|known| known.id == wanted);
            if is_whole { scenario.id == wanted } else { scenario.id.starts_with(wanted.as_str()) }
        };
        match self.scenario.is_empty() {
            true => !scenario.on_demand,
            false => self.scenario.iter().any(is_meant),
        }
    }

    fn jobs(&self, seed: u64) -> Vec<Job> {
        if self.controls {
            return Control::ALL
                .iter()
                .filter(|control| control.mutant().is_none() || self.broken_gwp.is_some())
                .map(|control| control.job())
                .map(|(control, scenario)| Job { scenario, seed, control: Some(control) })
                .collect();
        }
        let wanted = scenarios::all().into_iter().filter(|scenario| self.wants(scenario));
        let seeds = |scenario: Scenario| {
            (0..self.runs).map(move |run| Job { scenario: scenario.clone(), seed: seed + run, control: None })
        };
        wanted.flat_map(seeds).collect()
    }
}

/// Gives whether all that was asked for holds.
pub fn run(args: &CampaignArgs) -> Result<bool, String> {
    if args.list {
        for scenario in scenarios::all() {
            println!("{:5} {}", scenario.id, scenario.what);
        }
        return Ok(true);
    }
    if !args.table.is_empty() {
        let texts = args.table.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>();
        let text = texts.map_err(|error| error.to_string())?.concat();
        let outcomes: Result<Vec<Outcome>, _> = text.lines().map(serde_json::from_str).collect();
        println!("{}", table(&outcomes.map_err(|error| error.to_string())?));
        return Ok(true);
    }
    let seed = args.seed.unwrap_or_else(|| clock::utc().unsigned_abs() / 1_000_000 % 1_000_000_000);
    let jobs = args.jobs(seed);
    if jobs.is_empty() {
        return Err("no scenario has this name; --list tells them".into());
    }
    // Built before anything is cut off from the world.
    let gwp = args.gwp.clone().unwrap_or_else(gwp_tests::gwp);
    println!("gateway: {}", gwp.display());
    let folder = std::path::absolute(&args.folder).map_err(|error| error.to_string())?;
    let folder = folder.join(format!("{}-{}", clock::utc() / 1_000_000_000, std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    println!(
        "{} runs, first seed {seed}, {} at a time, figures in {}/runs.jsonl",
        jobs.len(),
        args.jobs,
        folder.display()
    );
    let figures = std::fs::File::create(folder.join("runs.jsonl")).map_err(|error| error.to_string())?;
    let (figures, next, outcomes) = (Mutex::new(figures), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, SeqCst)) {
                    let outcome = one(args, job, &gwp, &folder);
                    let line = serde_json::to_string(&outcome).unwrap_or_default();
                    if let Ok(mut figures) = figures.lock() {
                        let _ = writeln!(figures, "{line}");
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let _ = std::fs::write(folder.join("table.md"), table(&outcomes));
    println!("\n{}", table(&outcomes));
    let (failed, skipped) = (
        outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).count(),
        outcomes.iter().filter(|outcome| outcome.skipped.is_some()).count(),
    );
    println!("{} runs, {failed} failed, {skipped} not run", outcomes.len());
    Ok(failed == 0)
}

/// A run as a process; its folder stays only if it failed.
fn one(args: &CampaignArgs, job: &Job, gwp: &Path, folder: &Path) -> Outcome {
    let id = job.scenario.id;
    let proxy = args.proxy || job.scenario.needs == Needs::Proxies;
    let name = job.control.map_or(id.to_owned(), |control| format!("{control:?}"));
    let unsaid = || Outcome { scenario: name.clone(), seed: job.seed, ..Outcome::default() };
    let broken = job.control.filter(|control| control.mutant().is_some()).map(|_| args.broken_gwp.as_deref());
    let gwp = broken.map_or(Some(gwp), |broken| broken);
    let lacks = lacks(&job.scenario, proxy);
    let lacks = lacks.or_else(|| gwp.is_none().then(|| "it needs a gateway to break: --broken-gwp".into()));
    let (None, Some(gwp)) = (&lacks, gwp) else {
        let why = lacks.unwrap_or_default();
        println!("{name} seed {}: NOT RUN, {why}", job.seed);
        return Outcome { skipped: Some(why), ..unsaid() };
    };
    let folder = folder.join(format!("{name}-{}", job.seed));
    let ended = start(args, job, proxy, [gwp, &folder]);
    let ended = match ended {
        Ok(said) | Err(said) => said,
    };
    let outcome = std::fs::read_to_string(folder.join("outcome.json"));
    let outcome = outcome.ok().and_then(|text| serde_json::from_str::<Outcome>(&text).ok());
    let mut outcome = outcome.unwrap_or_else(|| Outcome {
        violations: vec![format!("the run ended without an outcome: {}", ended)],
        ..unsaid()
    });
    outcome.scenario.clone_from(&name);
    if let Some(control) = job.control {
        outcome.violations = control.judge(&outcome);
    }
    tell(args, job, &outcome, &folder);
    if outcome.violations.is_empty() && !args.keep {
        let _ = std::fs::remove_dir_all(&folder);
    }
    outcome
}

/// Whether a run has network, mounts and processes of its own.
fn is_alone(job: &Job, proxy: bool) -> bool {
    is_root() && (!proxy || job.scenario.needs == Needs::Root)
}

/// Gives what it said.
fn start(args: &CampaignArgs, job: &Job, proxy: bool, [gwp, folder]: [&Path; 2]) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(folder).map_err(text)?;
    let me = std::env::current_exe().map_err(text)?;
    let mut command = Command::new(if is_root() { "nice" } else { "setpriv" });
    if is_root() {
        // What else this machine does must not look like a fault of the gateway.
        command.args(["-n", "-10", "setpriv"]);
    }
    command.args(["--pdeathsig", "KILL"]);
    if is_alone(job, proxy) {
        command.args(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    }
    command.arg(me).args(["one", "--scenario", job.scenario.id, "--seed", &job.seed.to_string()]);
    command.arg("--gwp").arg(gwp);
    command.arg("--folder").arg(folder).args(["--profile", &args.profile, "--standby", &args.standby]);
    command.args(["--slack", &args.slack.to_string(), "--times", &job.times(args).to_string()]);
    if proxy {
        command.arg("--proxy");
    }
    if let Some(control) = job.control {
        command.args(["--control", control.name()]);
    }
    let log = std::fs::File::create(folder.join("run.log")).map_err(text)?;
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(text)?).stderr(log);
    let mut child = command.spawn().map_err(text)?;
    let longest = RUN_MAX * u32::try_from(job.times(args)).unwrap_or(u32::MAX);
    let deadline = Instant::now() + longest;
    while child.try_wait().map_err(text)?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it took more than {} s", longest.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::read_to_string(folder.join("run.log")).map_err(text)
}

fn tell(args: &CampaignArgs, job: &Job, outcome: &Outcome, folder: &Path) {
    let found = &outcome.findings;
    let mut text = format!("{} seed {}: ", outcome.scenario, job.seed);
    if let Some(why) = &outcome.skipped {
        println!("{text}NOT RUN, {why}");
        return;
    }
    text += if outcome.violations.is_empty() { "holds" } else { "FAILED" };
    text += &format!(
        " ({} s, {} samples, {} switches, missing {}, stalled {}, late {}, gap {} ms, outage {} ms, failover {:?} ms, doubled {}/{}, backfill {})",
        outcome.seconds,
        outcome.samples,
        found.switches,
        found.missing,
        found.stalled,
        found.late,
        found.gap_ms,
        found.outage_ms,
        found.failover_ms,
        found.doubled_rows,
        found.doubled_messages,
        found.backfilled
    );
    for note in &outcome.notes {
        text += &format!("\n    {note}");
    }
    if !outcome.violations.is_empty() {
        for violation in outcome.violations.iter().chain(&found.told) {
            text += &format!("\n    ! {violation}");
        }
        let proxy = if args.proxy { " --proxy" } else { "" };
        text += &format!(
            "\n    kept: {}\n    again: tests/campaign.sh --scenario {} --seed {} --times {} --profile {} --standby {}{proxy}",
            folder.display(),
            job.scenario.id,
            job.seed,
            job.times(args),
            args.profile,
            args.standby
        );
    }
    println!("{text}");
}
