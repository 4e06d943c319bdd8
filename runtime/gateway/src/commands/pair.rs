//! `gwp pair`: the key of a pair, what a node is in it, and what operators want of it.

mod asides;

use crate::cli::GatewayArgs;
use crate::control::client::ask;
use crate::pair::key::{Mirror, PairKey, Profile};
use asides::AsidesCommand;
use clap::Subcommand;
use gwp_cluster::seal::Why;
use hyper::Method;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum PairCommand {
    /// Make the key of a new pair; both nodes and the witness need a copy of the file
    Keys {
        /// Where to write it; never over an old one
        #[arg(default_value = "pair.key")]
        file: PathBuf,
        /// How long leases are
        #[arg(long, value_enum, default_value_t = Profile::Default)]
        profile: Profile,
        /// What must hold a sample before it is delivered
        #[arg(long, value_enum, default_value_t = Mirror::BothDisks)]
        mirror: Mirror,
    },
    /// What this node is, and what it hears of the others; exit code 1 when it could not lose one of them
    Status {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Move the graph from the active node, which is asked, to its peer
    Switchover,
    /// Keep a node that is not active from taking over, or let it again
    Maintenance {
        #[arg(value_parser = ["on", "off"])]
        what: String,
    },
    /// Move the graph from the backup, which is active and is asked, back to the primary
    Failback {
        /// Move nothing now: only let the graph move by itself again, after that was latched by too many switches
        #[arg(long)]
        clear: bool,
    },
    /// Stores that were set aside on this machine, and that the gateway hands over to the active: list, export, delete
    Asides {
        #[command(subcommand)]
        command: AsidesCommand,
    },
    /// Become active without votes: only when it is certain that the peer is not active
    ForceActivate {
        /// It is certain: the peer is off, or cut off for good
        #[arg(long, required = true)]
        peer_is_off: bool,
    },
}

pub fn pair(command: &PairCommand, gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let (method, path) = match command {
        PairCommand::Keys { file, profile, mirror } => {
            PairKey::make(file, *profile, *mirror)?;
            println!(
                "{}: copy it to both nodes and to the witness, readable by their user alone",
                file.display()
            );
            return Ok(ExitCode::SUCCESS);
        }
        PairCommand::Asides { command } => {
            asides::run(command, &gateway.data)?;
            return Ok(ExitCode::SUCCESS);
        }
        PairCommand::Status { json } => return status(gateway, *json),
        PairCommand::Switchover => (Method::POST, "/v1/pair/switchover"),
        PairCommand::Maintenance { what } if what == "on" => (Method::POST, "/v1/pair/maintenance"),
        PairCommand::Maintenance { .. } => (Method::DELETE, "/v1/pair/maintenance"),
        PairCommand::Failback { clear: false } => (Method::POST, "/v1/pair/failback"),
        PairCommand::Failback { clear: true } => (Method::DELETE, "/v1/pair/latch"),
        PairCommand::ForceActivate { .. } => (Method::POST, "/v1/pair/force-activate"),
    };
    let answer = ask(gateway, method, path, None)?.done()?;
    if let Some(said) = answer.get("said").and_then(Value::as_str) {
        println!("{said}");
    }
    Ok(ExitCode::SUCCESS)
}

fn status(gateway: &GatewayArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(gateway, Method::GET, "/v1/pair", None)?.done()?;
    let well = answer.get("redundant").and_then(Value::as_bool) == Some(true);
    let code = if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        println!("{answer:#}");
        return Ok(code);
    }
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    println!("{} ({}): {}", text(&answer, "node"), text(&answer, "member"), text(&answer, "state"));
    for name in ["epoch", "lease_left_ms", "switches", "asides"] {
        if let Some(number) = answer.get(name).and_then(Value::as_u64) {
            println!("  {:<22} {number}", name.replace('_', " "));
        }
    }
    for name in [
        "not_redundant",
        "does_not_stand",
        "handing_over",
        "second",
        "copy",
        "program",
        "refused",
        "policy",
        "failback",
    ] {
        if let Some(why) = answer.get(name).and_then(Value::as_str) {
            println!("  {:<22} {why}", name.replace('_', " "));
        }
    }
    for why in answer.get("asides_stay").and_then(Value::as_array).into_iter().flatten() {
        println!("  {:<22} {}", "set aside", why.as_str().unwrap_or("-"));
    }
    reading(&answer);
    // They are counted since the start: of what is over nobody need hear.
    for why in Why::ALL.into_iter().filter(|why| !well && !why.remedy().is_empty()) {
        let count =
            answer.get("datagrams_refused").and_then(|all| all.get(why.label())).and_then(Value::as_u64);
        if let Some(count) = count.filter(|count| *count > 0) {
            println!("  {:<22} {count} {}{}", "datagrams refused", why.label(), why.remedy());
        }
    }
    println!("\n{:<10} {:<28} {:>10}", "MEMBER", "SAYS", "SILENT");
    for member in answer.get("members").and_then(Value::as_array).into_iter().flatten() {
        let silent = member.get("silent_ms").and_then(Value::as_u64);
        let silent = silent.map_or("never heard".into(), |ms| format!("{ms} ms"));
        println!("{:<10} {:<28} {:>10}", text(member, "member"), text(member, "says"), silent);
    }
    println!("\n{:<6} {:>16} {:>16}", "LINK", "PEER SILENT", "WITNESS SILENT");
    for (number, link) in answer.get("links").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let silent = |name: &str| match link.get(name).and_then(Value::as_u64) {
            Some(ms) => format!("{ms} ms"),
            None => "-".into(),
        };
        println!("{number:<6} {:>16} {:>16}", silent("peer_silent_ms"), silent("witness_silent_ms"));
    }
    Ok(code)
}

/// What the standby reads, and how far the clocks are apart.
fn reading(answer: &Value) {
    if let Some(offset) = answer.get("clock_offset").filter(|offset| offset.is_object()) {
        let of = |name: &str| offset.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        println!(
            "  {:<22} the peer's is {:+.1} ms from this one's, to {:.1} ms",
            "clock",
            of("ms"),
            of("error_ms")
        );
    }
    if let Some(reads) = answer.get("standby_reads").filter(|reads| reads.is_object()) {
        let of = |name: &str| reads.get(name).and_then(Value::as_u64).unwrap_or(0);
        let list = |name: &str| -> String {
            let all = reads.get(name).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let (readings, dropped, off_grid) = (of("readings"), of("dropped"), of("off_grid"));
        let (hot, warm) = (list("sources"), list("warm"));
        if !hot.is_empty() {
            println!("  {:<22} {hot}: {readings} readings that the log here lacks", "reads as standby");
        }
        if !warm.is_empty() {
            println!("  {:<22} {warm}", "connected as standby");
        }
        let unconnected = list("unconnected");
        if !unconnected.is_empty() {
            println!("  {:<22} no connection from here: {unconnected}", "");
        }
        if dropped > 0 {
            println!("  {:<22} {dropped} readings had no room and are dropped", "");
        }
        if off_grid > 0 {
            println!(
                "  {:<22} the clocks are too far apart for {off_grid} poll groups: they are not read",
                ""
            );
        }
    }
}
