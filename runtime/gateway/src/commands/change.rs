//! `gwp apply`, `confirm`, `history`, `rollback`, and `plan --against`: changes of a running gateway.

use super::{plan, program};
use crate::cli::{GatewayArgs, ProjectArgs};
use crate::configuration::bundle::{File, files_of, may_use};
use crate::control::client::{Answer, ask};
use crate::duration::parse_duration;
use crate::report;
use anyhow::{Context, bail};
use gwp_compile::normal_path;
use gwp_plan::diff::{Changes, Journal};
use gwp_syntax::Severity;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What to put in force, and how.
#[derive(clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// How a change is made.
#[derive(clap::Args)]
struct HowArgs {
    /// Why, for the history
    #[arg(long, short, default_value = "", hide_default_value = true, value_name = "TEXT")]
    message: String,
    /// Go back by itself unless `gwp confirm` comes within this time, for example 60s
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    confirm_within: Option<Duration>,
    /// Give up what waits for sinks that leave; the gap ledger counts it
    #[arg(long)]
    discard: bool,
    /// Keep what waits for sinks that leave, for them to come back
    #[arg(long, conflicts_with = "discard")]
    keep: bool,
    /// Only if this plan runs now, as `gwp plan --json` names it
    #[arg(long, value_name = "PLAN")]
    expect: Option<String>,
    /// In a pair: also with the peer away or not able to run it; it takes the program over when it is back
    #[arg(long)]
    single: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl HowArgs {
    fn added_to(&self, mut body: Value) -> Value {
        let removed = match (self.discard, self.keep) {
            (true, _) => "discard",
            (_, true) => "keep",
            _ => "drain",
        };
        body["message"] = self.message.clone().into();
        body["removed"] = removed.into();
        body["single"] = self.single.into();
        body["confirm_within_s"] = self.confirm_within.map(|within| within.as_secs()).into();
        body["expected"] = self.expect.clone().into();
        body
    }
}

/// Which programs to list.
#[derive(clap::Args)]
pub struct HistoryArgs {
    /// Print the files of this one
    id: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// What to go back to.
#[derive(clap::Args)]
pub struct RollbackArgs {
    /// Beginning of its id, as `gwp history` shows it
    id: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// Asks the gateway about a program. If there is something to say of the program it is compiled here, too: findings
/// are shown with their lines. `None`: it has errors, which are printed.
fn ask_about(
    files: &[PathBuf],
    gateway: &GatewayArgs,
    path: &str,
    body: &dyn Fn(&[File]) -> Value,
) -> anyhow::Result<Option<Answer>> {
    let asked = |files: Vec<File>| ask(gateway, Method::POST, path, Some(&body(&relative(files))));
    let Some(alone) = alone(files)? else {
        let program = program::load(files)?;
        report::print_problems(&program.diagnostics, &program.sources);
        let whole = program.plan.map(|_| files_of(&program.sources));
        return whole.map(asked).transpose();
    };
    let answer = asked(alone);
    let done = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
    if done && answer.as_ref().is_ok_and(|answer| has_no_findings(&answer.body)) {
        return answer.map(Some);
    }
    let program = program::load(files)?;
    report::print_problems(&program.diagnostics, &program.sources);
    // The gateway, if it was reached, has refused it for the same errors.
    if program.plan.is_none() { Ok(None) } else { answer.map(Some) }
}

/// The gateway compiled what it was asked about, and found no errors or warnings in it.
fn has_no_findings(body: &Value) -> bool {
    let found = body["diagnostics"].as_array();
    found.is_some_and(|found| found.iter().all(|one| one["severity"] == Severity::Note.word()))
}

/// The files themselves if they use no others, which only a parser could tell.
fn alone(files: &[PathBuf]) -> anyhow::Result<Option<Vec<File>>> {
    let mut all = Vec::new();
    for path in files {
        let text = program::read(path).with_context(|| format!("{}", path.display()))?;
        if may_use(&text) {
            return Ok(None);
        }
        let name = normal_path(&path.display().to_string());
        if !all.iter().any(|file: &File| file.name == name) {
            all.push(File { name, text });
        }
    }
    Ok(Some(all))
}

/// File names that mean the same everywhere: what leads to the folder they share is cut off, if they are absolute or
/// lead out of where this command runs.
fn relative(mut files: Vec<File>) -> Vec<File> {
    let leads_out = |file: &File| {
        file.name.starts_with("../") || file.name.starts_with('/') || file.name.get(1..2) == Some(":")
    };
    if !files.iter().any(leads_out) {
        return files;
    }
    let folder = |file: &File| file.name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let folders: Vec<String> = files.iter().map(folder).collect();
    let shared = folders.iter().fold(folders.first().cloned().unwrap_or_default(), |shared, folder| {
        let parts = shared.split('/').zip(folder.split('/')).take_while(|(a, b)| a == b);
        parts.map(|(part, _)| part).collect::<Vec<_>>().join("/")
    });
    for file in &mut files {
        if let Some(rest) = file.name.strip_prefix(&shared) {
            file.name = rest.trim_start_matches('/').to_owned();
        }
    }
    files
}

fn sent(files: &[File]) -> Value {
    json!({ "files": files })
}

/// What the gateway did, or `None` if the program has errors for it, which are printed.
fn done(answer: Answer) -> anyhow::Result<Option<Value>> {
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
        let found = answer.body["diagnostics"].as_array().cloned().unwrap_or_default();
        for found in &found {
            let text = found.as_str().or_else(|| found["message"].as_str()).unwrap_or_default();
            let place = &found["place"];
            match place["file"].as_str() {
                Some(file) => eprintln!("error: {file}:{}: {text}", place["line"]),
                None => eprintln!("error: {text}"),
            }
        }
        if found.is_empty() {
            eprintln!("error: {}", answer.body["error"].as_str().unwrap_or("the program has errors"));
        }
        return Ok(None);
    }
    answer.done().map(Some)
}

fn changes(answer: &Value) -> anyhow::Result<Changes> {
    serde_json::from_value(answer["changes"].clone()).context("the gateway is of another version")
}

/// Samples that wait for each sink.
fn waiting(answer: &Value) -> plan::changes::Waiting {
    let journals = answer["journals"].as_object().into_iter().flatten();
    journals.filter_map(|(sink, waits)| Some((sink.clone(), waits.as_u64()?))).collect()
}

/// Compares a program with what runs.
pub fn plan_against(
    files: &[PathBuf],
    gateway: &GatewayArgs,
    as_json: bool,
    markdown: bool,
) -> anyhow::Result<ExitCode> {
    let answer = ask_about(files, gateway, "/v1/plan", &sent)?;
    let Some(answer) = answer.map(done).transpose()?.flatten() else { return Ok(ExitCode::FAILURE) };
    let changes = changes(&answer)?;
    if as_json {
        println!("{answer:#}");
    } else if markdown {
        print!("{}", plan::changes::markdown(&changes, &waiting(&answer)));
    } else {
        print!("{}", plan::changes::text(&changes, &waiting(&answer)));
    }
    let problems: Vec<&str> =
        answer["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    problems.iter().for_each(|problem| eprintln!("error: {problem}"));
    Ok(match (problems.is_empty(), changes.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(3),
    })
}

pub fn apply(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    let body = |files: &[File]| args.how.added_to(sent(files));
    match ask_about(&args.project.files, &args.gateway, "/v1/apply", &body)? {
        Some(answer) => in_force(answer, &args.how),
        None => Ok(ExitCode::FAILURE),
    }
}

pub fn rollback(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let body = args.how.added_to(json!({ "id": args.id }));
    let answer = ask(&args.gateway, Method::POST, "/v1/rollback", Some(&body))?;
    in_force(answer, &args.how)
}

/// Shows what is in force now.
fn in_force(answer: Answer, how: &HowArgs) -> anyhow::Result<ExitCode> {
    if answer.status == StatusCode::CONFLICT {
        eprintln!("not in force: {}", answer.body["error"].as_str().unwrap_or_default());
        return Ok(ExitCode::FAILURE);
    }
    let Some(answer) = done(answer)? else { return Ok(ExitCode::FAILURE) };
    if how.json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let id = answer["id"].as_str().unwrap_or_default();
    if answer["unchanged"] == true {
        println!("nothing to change: configuration {id} is in force");
        return Ok(ExitCode::SUCCESS);
    }
    let mut changes = changes(&answer)?;
    if how.discard || how.keep {
        // What the difference says of them is what happens without these.
        let left = changes.changes.iter_mut().filter(|change| change.effect.journal == Some(Journal::Drains));
        left.for_each(|change| change.effect.words = vec!["leaves".into()]);
    }
    print!("{}", plan::changes::text(&changes, &waiting(&answer)));
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("warning: {warning}");
    }
    match (how.discard, how.keep) {
        (true, _) => println!("what waited for sinks that left is given up; the gap ledger has it"),
        (_, true) => println!("what waited for sinks that left is kept for them to come back"),
        _ => {}
    }
    println!("configuration {id} is in force");
    if let Some(seconds) = answer["confirm_within_s"].as_u64() {
        println!("`gwp confirm` within {seconds} s keeps it; else the one before comes back");
    }
    Ok(ExitCode::SUCCESS)
}

pub fn confirm(gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let answer = ask(gateway, Method::POST, "/v1/confirm", None)?.done()?;
    println!("configuration {} stays in force", answer["id"].as_str().unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

pub fn history(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    if let Some(id) = &args.id {
        if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("`{id}` is no id of a configuration; `gwp history` lists them");
        }
        let bundle = ask(&args.gateway, Method::GET, &format!("/v1/history/{id}"), None)?.done()?;
        if args.json {
            println!("{bundle:#}");
            return Ok(ExitCode::SUCCESS);
        }
        for file in bundle["files"].as_array().into_iter().flatten() {
            println!("// {}", file["name"].as_str().unwrap_or_default());
            println!("{}", file["text"].as_str().unwrap_or_default());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = ask(&args.gateway, Method::GET, "/v1/history", None)?.done()?;
    if args.json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    for entry in answer["configurations"].as_array().into_iter().flatten() {
        let id = text(entry, "id");
        let mark = if answer["current"] == entry["id"] { '*' } else { ' ' };
        let time = text(entry, "time").chars().take(19).collect::<String>();
        println!(
            "{mark} {}  {time}  {:<12} {}",
            &id[..8.min(id.len())],
            text(entry, "author"),
            text(entry, "message")
        );
    }
    if let Some(until) = answer["unconfirmed_until"].as_str() {
        println!("* goes back at {until} unless `gwp confirm` keeps it");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &[&str]) -> Vec<String> {
        let file = |name: &&str| File { name: (*name).into(), text: String::new() };
        relative(given.iter().map(file).collect()).into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn names_lead_into_no_folder_of_this_machine() {
        assert_eq!(names(&["plant/a.gwp", "b.gwp"]), ["plant/a.gwp", "b.gwp"]);
        assert_eq!(names(&["/etc/gwp/a.gwp", "/etc/gwp/parts/b.gwp"]), ["a.gwp", "parts/b.gwp"]);
        assert_eq!(names(&["../x/a.gwp"]), ["a.gwp"]);
        assert_eq!(names(&["/a.gwp"]), ["a.gwp"]);
        assert_eq!(names(&["C:/gwp/a.gwp", "C:/gwp/b.gwp"]), ["a.gwp", "b.gwp"]);
    }
}
