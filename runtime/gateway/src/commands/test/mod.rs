//! `gwp test`: plays the `test` blocks of a program.
//!
//! Each is played as written and again in the other modes ([`Mode`]): what comes out must be the
//! same, so every test is a test of restart, of late arrivals and of failover as well.

mod junit;

use super::program::{self, Program};
use crate::report;
use gwp_compile::PlacedScenario;
use gwp_plan::scenario::{Failure, Mode, Outcome, fed_before, play};
use gwp_plan::{Plan, scenario::ScenarioError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// How often `--watch` looks at the files.
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// Values that were fed before are shown up to so many.
const FED_SHOWN: usize = 6;

/// What to test and how.
#[derive(clap::Args)]
pub struct TestArgs {
    #[command(flatten)]
    pub project: crate::cli::ProjectArgs,
    /// Only tests whose name contains this
    #[arg(long)]
    pub only: Option<String>,
    /// Only as written, without restarts, shuffled arrivals and a second instance
    #[arg(long)]
    pub plain: bool,
    /// Test again whenever a file changes, until stopped
    #[arg(long)]
    pub watch: bool,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// A test and what came of it.
struct Tested {
    name: String,
    /// `file:line`
    place: String,
    took: Duration,
    samples: u64,
    modes: usize,
    problems: Vec<String>,
}

/// Exit code 0: all passed; 1: one failed, or the program has errors or no tests.
pub fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    if !args.watch {
        return once(args).map(|(code, _)| code);
    }
    loop {
        let seen = SystemTime::now();
        let files = match once(args) {
            Ok((_, files)) => files,
            Err(error) => {
                eprintln!("gwp: {error:#}");
                args.project.files.clone()
            }
        };
        eprintln!("watching {} files; Ctrl-C ends", files.len());
        while !files.iter().any(|file| changed_since(file, seen)) {
            std::thread::sleep(WATCH_EVERY);
        }
        eprintln!();
    }
}

fn changed_since(file: &Path, seen: SystemTime) -> bool {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified > seen)
}

/// Tests once; gives the files of the program, too.
fn once(args: &TestArgs) -> anyhow::Result<(ExitCode, Vec<PathBuf>)> {
    let program = program::load(&args.project.files)?;
    let files = program.sources.names().map(PathBuf::from).collect();
    let Some(plan) = &program.plan else {
        report::print(&program.diagnostics, &program.sources);
        return Ok((ExitCode::FAILURE, files));
    };
    report::print_problems(&program.diagnostics, &program.sources);
    let wanted = |test: &&PlacedScenario| {
        args.only.as_ref().is_none_or(|only| test.scenario.name.to_lowercase().contains(&only.to_lowercase()))
    };
    let tests: Vec<&PlacedScenario> = program.scenarios.iter().filter(wanted).collect();
    if tests.is_empty() {
        let what =
            if program.scenarios.is_empty() { "has no `test` block" } else { "has no test of that name" };
        eprintln!("gwp: the program {what}");
        return Ok((ExitCode::FAILURE, files));
    }
    let modes = if args.plain { &[Mode::Plain][..] } else { &Mode::ALL };
    let mut all = Vec::with_capacity(tests.len());
    for test in tests {
        let tested = run(plan, test, modes, &program);
        show(&tested);
        all.push(tested);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::xml(&all))?;
    }
    let failed = all.iter().filter(|tested| !tested.problems.is_empty()).count();
    let (count, samples) = (all.len(), all.iter().map(|tested| tested.samples).sum::<u64>());
    let took: f64 = all.iter().map(|tested| tested.took.as_secs_f64()).sum();
    let modes = modes.len();
    println!(
        "\n{} passed, {failed} failed in {modes} modes; {samples} samples in {took:.2} s",
        count - failed
    );
    Ok((if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }, files))
}

fn run(plan: &Plan, test: &PlacedScenario, modes: &[Mode], program: &Program) -> Tested {
    let began = Instant::now();
    let mut problems = Vec::new();
    let mut samples = 0;
    let mut plain: Option<Outcome> = None;
    for &mode in modes {
        match play(plan, &test.scenario, mode) {
            Ok(outcome) => {
                samples += outcome.samples;
                problems.extend(judge(plan, test, mode, &outcome, plain.as_ref(), program));
                plain.get_or_insert(outcome);
            }
            Err(error) => problems.push(cannot(mode, &error)),
        }
        // What fails as written would fail again.
        if mode == Mode::Plain && !problems.is_empty() {
            break;
        }
    }
    let name = test.scenario.name.to_string();
    let place = program.sources.place(test.span);
    Tested { name, place, took: began.elapsed(), samples, modes: modes.len(), problems }
}

fn cannot(mode: Mode, error: &ScenarioError) -> String {
    format!("  {}: {error}", mode.words())
}

/// What is wrong with an outcome, in words.
fn judge(
    plan: &Plan,
    test: &PlacedScenario,
    mode: Mode,
    outcome: &Outcome,
    plain: Option<&Outcome>,
    program: &Program,
) -> Option<String> {
    let mut lines: Vec<String> =
        outcome.failures.iter().flat_map(|failure| told(plan, test, failure, program)).collect();
    for (before, after) in plain.into_iter().flat_map(|plain| plain.digests.iter().zip(&outcome.digests)) {
        if before != after {
            lines.push(format!("    sink `{}` gets other samples or rows than as written", before.0));
        }
    }
    if lines.is_empty() {
        return None;
    }
    lines.insert(0, format!("  {}:", mode.words()));
    Some(lines.join("\n"))
}

/// An expectation that was not met, with the timeline around it.
fn told(plan: &Plan, test: &PlacedScenario, failure: &Failure, program: &Program) -> Vec<String> {
    let Some(step) = test.scenario.steps.get(failure.step) else { return Vec::new() };
    let place = test.steps.get(failure.step).map_or(String::new(), |span| program.sources.place(*span));
    let mut lines = vec![
        format!("    {place}   at {}: {}", clock(step.at_ns), step.text),
        format!("      expected  {}", failure.expected),
        format!("      found     {}", failure.found),
    ];
    let mut timeline: Vec<(i64, String)> = failure.before.clone();
    // What was fed before and reaches it is part of the story.
    let fed = fed_before(plan, &test.scenario, failure.step, FED_SHOWN);
    let fed = fed.into_iter().filter_map(|index| test.scenario.steps.get(index));
    timeline.extend(fed.map(|step| (step.at_ns, format!("{} (fed)", step.text))));
    timeline.sort_by_key(|(time, _)| *time);
    lines.extend(timeline.into_iter().map(|(time, text)| format!("        {:>12}  {text}", clock(time))));
    lines
}

/// `90 s`, `1:02:03`.
fn clock(ns: i64) -> String {
    let seconds = ns as f64 / 1e9;
    if seconds.abs() < 600.0 {
        return format!("{seconds} s");
    }
    let whole = seconds.floor() as i64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

fn show(tested: &Tested) {
    if tested.problems.is_empty() {
        let (name, place) = (&tested.name, &tested.place);
        println!("ok      {name}  ({place}, {} modes, {:.2} s)", tested.modes, tested.took.as_secs_f64());
        return;
    }
    println!("FAILED  {}  ({})", tested.name, tested.place);
    tested.problems.iter().for_each(|problem| println!("{problem}"));
}
