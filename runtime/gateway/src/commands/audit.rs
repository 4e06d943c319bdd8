//! `gwp audit`: who changed what, read from the files of a data directory, also while no gateway runs.

use anyhow::{Context, bail};
use gwp_console::audit::{newest, verify};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct AuditArgs {
    /// Data directory of the gateway, as in its node.toml
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Follow the chain from the first line that is kept; exit 1 when it is broken
    #[arg(long)]
    verify: bool,
    /// How many of the newest lines
    #[arg(short, default_value_t = 20, value_name = "COUNT")]
    n: usize,
    /// Print lines as JSON
    #[arg(long)]
    json: bool,
}

pub fn audit(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    if !args.data.is_dir() {
        bail!("there is no data directory {}; name the one of the gateway with --data", args.data.display());
    }
    let unreadable = || format!("the audit log of {} cannot be read", args.data.display());
    if args.verify {
        let found = verify(&args.data).with_context(unreadable)?;
        for problem in &found.problems {
            eprintln!("{}:{}: {}", problem.file.display(), problem.line, problem.what);
        }
        if found.torn {
            println!("the last line has no end: it is being written, or it is mended at the next start");
        }
        let is_whole = found.problems.is_empty();
        let verdict = if is_whole { "ok" } else { "BROKEN" };
        println!("{verdict}: {} lines, the last one is {} {}", found.lines, found.end.number, found.end.hash);
        return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let lines = newest(&args.data, 0, u64::MAX, args.n).with_context(unreadable)?;
    for line in lines.iter().rev() {
        if args.json {
            println!("{}", serde_json::to_string(line)?);
            continue;
        }
        let event = &line.event;
        let detail = if event.detail.is_null() { String::new() } else { format!("  {}", event.detail) };
        println!(
            "{:>6}  {}  {:<12} {:<12} {:<16} {}{detail}",
            line.number, line.time, event.by, event.action, event.target, event.outcome
        );
    }
    Ok(ExitCode::SUCCESS)
}
