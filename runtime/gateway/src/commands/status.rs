//! `gwp status`: what a running gateway says of itself.

use crate::cli::GatewayArgs;
use crate::control::client::ask;
use crate::status_line::grouped;
use hyper::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Exit code 0: everything is connected and nothing is dropped, and in a pair there is an active; 1: something needs a
/// look.
pub fn status(gateway: &GatewayArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut answer = ask(gateway, Method::GET, "/v1/status", None)?.done()?;
    // Refused where there is no pair.
    let pair = ask(gateway, Method::GET, "/v1/pair", None)?.done().ok();
    if let (Some(answer), Some(pair)) = (answer.as_object_mut(), &pair) {
        answer.insert("pair".into(), pair.clone());
    }
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (sources, sinks) = (list("sources"), list("sinks"));
    let is_up = |one: &Value| one.get("connected").and_then(Value::as_bool) == Some(true);
    let low = answer.get("disk_low").and_then(Value::as_bool) == Some(true);
    let well = pair.as_ref().is_none_or(has_active) && !low && sources.iter().chain(&sinks).all(is_up);
    let code = if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        println!("{answer:#}");
        return Ok(code);
    }
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |value: &Value, name: &str| grouped(value.get(name).and_then(Value::as_u64).unwrap_or(0));
    println!(
        "node {}, plan {}, gateway time {}, {} alarms active",
        text(&answer, "node").unwrap_or_default(),
        text(&answer, "plan").unwrap_or_default(),
        text(&answer, "time").unwrap_or_default(),
        number(&answer, "alarms_active"),
    );
    if let Some(pair) = &pair {
        println!("{}", of_pair(pair));
    }
    if let Some(notice) = text(&answer, "notice") {
        println!("NOT IN FORCE: {notice}");
    }
    if low {
        println!("DISK FULL: nothing new is stored until there is room");
    }
    println!(
        "\n{:<20} {:<6} {:>16} {:>10} {:>10} {:>8}",
        "SOURCE", "", "SAMPLES", "TIMEOUTS", "ERRORS", "SILENT"
    );
    for source in &sources {
        println!(
            "{:<20} {:<6} {:>16} {:>10} {:>10} {:>8}{}",
            text(source, "name").unwrap_or_default(),
            if is_up(source) { "ok" } else { "DOWN" },
            number(source, "samples"),
            number(source, "timeouts"),
            number(source, "errors"),
            number(source, "devices_silent"),
            problem(text(source, "problem")),
        );
    }
    println!("\n{:<20} {:<6} {:>16} {:>10} {:>10}", "SINK", "", "DELIVERED", "WAITING", "DROPPED");
    for sink in &sinks {
        println!(
            "{:<20} {:<6} {:>16} {:>10} {:>10}{}",
            text(sink, "name").unwrap_or_default(),
            if is_up(sink) { "ok" } else { "DOWN" },
            number(sink, "delivered"),
            number(sink, "waiting"),
            number(sink, "dropped"),
            match sink.get("leaving").and_then(Value::as_bool) {
                Some(true) => format!("  leaving{}", problem(text(sink, "problem"))),
                _ => problem(text(sink, "problem")),
            },
        );
    }
    Ok(code)
}

/// One line; `gwp pair status` has the rest.
fn of_pair(pair: &Value) -> String {
    let text = |name: &str| pair.get(name).and_then(Value::as_str).unwrap_or("-");
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let mut line = format!("pair: the {} is {}", text("member"), text("state"));
    if let Some(epoch) = number(pair, "epoch") {
        line += &format!(", epoch {epoch}");
    }
    if let Some(ms) = number(pair, "lease_left_ms") {
        line += &format!(", lease {ms} ms");
    }
    for member in pair.get("members").and_then(Value::as_array).into_iter().flatten() {
        let name = member.get("member").and_then(Value::as_str).unwrap_or("-");
        match number(member, "silent_ms") {
            Some(ms) => line += &format!("; {name} heard {ms} ms ago"),
            None => line += &format!("; {name} never heard"),
        }
    }
    if let Some(lag) = pair.get("lag").filter(|lag| lag.is_object()) {
        let of = |name: &str| number(lag, name).unwrap_or(0);
        line +=
            &format!("; the copy lacks {} commits, {} bytes, {} ms", of("changes"), of("bytes"), of("ms"));
    }
    if let Some(asides) = number(pair, "asides").filter(|count| *count > 0) {
        line += &format!("; {asides} stores set aside");
    }
    if !has_active(pair) {
        line += "\nNOTHING RUNS: this node hears no active; `gwp pair status` says why it does not run the program itself";
    }
    line
}

/// Whether this node is active, or hears the one that is.
fn has_active(pair: &Value) -> bool {
    pair.get("an_active") != Some(&Value::Bool(false))
}

fn problem(why: Option<String>) -> String {
    why.map_or(String::new(), |why| format!("  {why}"))
}
