//! `gwp alarm`: alarms of a running gateway, and what operators do to them.

use crate::cli::GatewayArgs;
use crate::control::client::ask;
use anyhow::bail;
use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum AlarmCommand {
    /// Alarms that are not normal; with --all every alarm
    Ls {
        /// Also alarms that are normal
        #[arg(long)]
        all: bool,
        /// Print as JSON, with the latest events
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge an alarm: it is known, and somebody sees to it
    Ack {
        #[command(flatten)]
        which: Which,
    },
    /// Silence an alarm for some time; what stands then is raised again
    Shelve {
        #[command(flatten)]
        which: Which,
        /// For how long: 30min, 8h, 2d; at most 31d
        #[arg(long = "for", value_name = "TIME")]
        time: String,
    },
    /// End the shelving of an alarm
    Unshelve {
        #[command(flatten)]
        which: Which,
    },
}

/// Which alarm, and who acts.
#[derive(clap::Args)]
pub struct Which {
    /// `press.oil_hot`, or `'press.*'` for all alarms of a device
    alarm: String,
    /// Who does it, for the record [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub fn alarm(command: &AlarmCommand, gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let (action, which, time) = match command {
        AlarmCommand::Ls { all, json } => return ls(gateway, *all, *json),
        AlarmCommand::Ack { which } => ("acknowledge", which, None),
        AlarmCommand::Shelve { which, time } => ("shelve", which, Some(time)),
        AlarmCommand::Unshelve { which } => ("unshelve", which, None),
    };
    let Some((device, alarm)) = which.alarm.split_once('.') else {
        bail!("`{}` names no alarm: write `device.alarm`, or `device.*` for all of it", which.alarm);
    };
    let user = || ["USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let by = which.by.clone().or_else(user).unwrap_or_else(|| "gwp alarm".into());
    // As JSON, so that no name has to be quoted.
    let order = json!({ "command": action, "alarm": alarm, "for": time, "by": by });
    let body = json!({ "device": device, "order": order.to_string() });
    let answer = ask(gateway, Method::POST, "/v1/alarms", Some(&body))?;
    if answer.status.is_client_error() {
        eprintln!("{}: {}", which.alarm, text(&answer.body, "error"));
        return Ok(ExitCode::FAILURE);
    }
    let answer = answer.done()?;
    let events = answer.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for event in events {
        println!(
            "{}.{}: {}, now {}",
            text(event, "device"),
            text(event, "alarm"),
            text(event, "event"),
            text(event, "state")
        );
    }
    if events.is_empty() {
        println!("in the log; it counts as soon as the devices of the alarm have been read that far");
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

fn ls(gateway: &GatewayArgs, all: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(gateway, Method::GET, "/v1/alarms", None)?.done()?;
    if as_json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let alarms = answer.get("alarms").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let shown: Vec<&Value> = alarms.iter().filter(|alarm| all || text(alarm, "state") != "normal").collect();
    if shown.is_empty() {
        println!("{} alarms, all normal", alarms.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("{:<28} {:<9} {:<25} {:<24} MESSAGE", "ALARM", "SEVERITY", "STATE", "SINCE");
    for alarm in shown {
        println!(
            "{:<28} {:<9} {:<25} {:<24} {}",
            format!("{}.{}", text(alarm, "device"), text(alarm, "alarm")),
            text(alarm, "severity"),
            text(alarm, "state"),
            text(alarm, "since"),
            text(alarm, "message")
        );
    }
    Ok(ExitCode::SUCCESS)
}
