//! `gwp tags`: tags of a running gateway, their values as they change, and values written to them.

use crate::cli::GatewayArgs;
use crate::control::client::{ask, follow};
use anyhow::bail;
use clap::Subcommand;
use gwp_console::limits::WATCHED_TAGS_MAX;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum TagsCommand {
    /// All tags with kind, unit and newest value, or those that match
    Ls {
        /// A path, `*` stands for anything: 'press.*'
        pattern: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the newest values of tags: time, path, value, unit, quality
    Get {
        /// Paths, `*` stands for anything
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print values of tags as they change, until Ctrl-C: time, path, value, unit, quality
    Watch {
        /// Paths, `*` stands for anything
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
    },
    /// Write a value to a tag and print what came of it
    Write {
        /// `press.limit`
        path: String,
        /// In the unit of the tag: a number, true, false, a label or a text; '"12"' is the text 12
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
}

pub fn tags(command: &TagsCommand, gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    match command {
        TagsCommand::Ls { pattern, json } => ls(gateway, pattern.as_deref().unwrap_or("*"), *json),
        TagsCommand::Get { paths, json } => get(gateway, paths, *json),
        TagsCommand::Watch { paths } => watch(gateway, paths),
        TagsCommand::Write { path, value } => write(gateway, path, value),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// A value as people read it.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// Whether a path is what a pattern says.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn all(gateway: &GatewayArgs) -> anyhow::Result<Vec<Value>> {
    let answer = ask(gateway, Method::GET, "/v1/tags", None)?.done()?;
    Ok(answer.get("tags").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// Tags that are asked for, by path; `None` once it is said that a pattern matches none.
fn wanted(gateway: &GatewayArgs, patterns: &[String]) -> anyhow::Result<Option<BTreeMap<String, Value>>> {
    let tags = all(gateway)?;
    let mut found = BTreeMap::new();
    for pattern in patterns {
        let before = found.len();
        let matching = tags.iter().filter(|tag| matches(pattern, text(tag, "path")));
        let matching: Vec<_> = matching.map(|tag| (text(tag, "path").to_owned(), tag.clone())).collect();
        if matching.is_empty() && before == found.len() {
            eprintln!("there is no tag `{pattern}`; `gwp tags ls` has them all");
            return Ok(None);
        }
        found.extend(matching);
    }
    Ok(Some(found))
}

fn ls(gateway: &GatewayArgs, pattern: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut tags = all(gateway)?;
    tags.retain(|tag| matches(pattern, text(tag, "path")));
    if as_json {
        println!("{:#}", json!({ "tags": tags }));
        return Ok(ExitCode::SUCCESS);
    }
    let width = tags.iter().map(|tag| text(tag, "path").chars().count()).max().unwrap_or(0).clamp(4, 60);
    let mut out = std::io::stdout().lock();
    let head = format!("{:<width$}  KIND  {:>20} {:<8} {:<30} QUALITY", "TAG", "VALUE", "UNIT", "TIME");
    if writeln!(out, "{head}").is_err() {
        return Ok(ExitCode::SUCCESS);
    }
    for tag in &tags {
        let latest = tag.get("latest").unwrap_or(&Value::Null);
        let line = format!(
            "{:<width$}  {:<5} {:>20} {:<8} {:<30} {}",
            text(tag, "path"),
            text(tag, "kind"),
            shown(latest.get("value")),
            tag.get("unit").and_then(Value::as_str).unwrap_or_default(),
            text(latest, "time"),
            text(latest, "quality"),
        );
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `time path value unit quality`
fn line(value: &Value, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let (time, path, quality) = (text(value, "time"), text(value, "path"), text(value, "quality"));
    format!("{time} {path} {}{unit} {quality}", shown(value.get("value")))
}

fn unit(tag: &Value) -> &str {
    tag.get("unit").and_then(Value::as_str).unwrap_or_default()
}

fn get(gateway: &GatewayArgs, paths: &[String], as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(tags) = wanted(gateway, paths)? else { return Ok(ExitCode::FAILURE) };
    if as_json {
        println!("{:#}", json!({ "tags": tags.values().collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    for (path, tag) in &tags {
        match tag.get("latest").filter(|latest| latest.is_object()) {
            Some(latest) => println!("{}", line(latest, unit(tag))),
            None => println!("- {path} - has no value yet"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn watch(gateway: &GatewayArgs, paths: &[String]) -> anyhow::Result<ExitCode> {
    let Some(tags) = wanted(gateway, paths)? else { return Ok(ExitCode::FAILURE) };
    if tags.len() > WATCHED_TAGS_MAX {
        bail!("these are {} tags, {WATCHED_TAGS_MAX} can be watched at once; name fewer", tags.len());
    }
    let names: Vec<String> =
        tags.keys().map(|path| utf8_percent_encode(path, NON_ALPHANUMERIC).to_string()).collect();
    let mut out = std::io::stdout().lock();
    follow(gateway, &format!("/v1/live?tags={}", names.join(",")), |value| {
        let unit = tags.get(text(&value, "path")).map_or("", unit);
        writeln!(out, "{}", line(&value, unit)).and_then(|()| out.flush()).is_ok()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `true`, `12.5`, `"12"` as JSON has them; all else is a text.
fn value_of(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
        _ => text.into(),
    }
}

fn write(gateway: &GatewayArgs, path: &str, value: &str) -> anyhow::Result<ExitCode> {
    let route = format!("/v1/tags/{}", utf8_percent_encode(path, NON_ALPHANUMERIC));
    let answer = ask(gateway, Method::POST, &route, Some(&json!({ "value": value_of(value) })))?;
    if matches!(answer.status.as_u16(), 404 | 409) {
        eprintln!("{path}: {}", text(&answer.body, "error"));
        return Ok(ExitCode::FAILURE);
    }
    let answer = answer.done()?;
    println!("{path}: {}", text(&answer, "outcome"));
    let done = answer.get("done").and_then(Value::as_bool) == Some(true);
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, path, is) in [
            ("*", "press.oil", true),
            ("press.*", "press.oil", true),
            ("press.*", "pressure.oil", false),
            ("*.oil", "press.oil", true),
            ("p*.o*l", "press.oil", true),
            ("p*s*s.*", "press.oil", true),
            ("p*x*l", "press.oil", false),
            ("press.oil", "press.oil", true),
            ("press.oil", "press.oil_hot", false),
            ("press.oil*oil", "press.oil", false),
        ] {
            assert_eq!(matches(pattern, path), is, "{pattern} {path}");
        }
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        let read = ["true", "-12.5", "7", "\"7\"", "auto", "[1]"].map(value_of);
        assert_eq!(read, [json!(true), json!(-12.5), json!(7), json!("7"), json!("auto"), json!("[1]")]);
    }

    #[test]
    fn a_line_has_time_path_value_unit_and_quality() {
        let value = json!({ "time": "t", "path": "s.x", "value": 80.5, "quality": "good" });
        assert_eq!(line(&value, "degC"), "t s.x 80.5 degC good");
        assert_eq!(
            line(&json!({ "time": "t", "path": "s.x", "value": null, "quality": "bad" }), ""),
            "t s.x - bad"
        );
    }
}
