//! `gwp check` and `gwp explain`.

use super::program;
use crate::report::{self, counted};
use std::path::PathBuf;
use std::process::ExitCode;

pub fn check(files: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let program = program::load(files)?;
    if json {
        println!("{:#}", report::json(&program.diagnostics, &program.sources));
    } else {
        report::print(&program.diagnostics, &program.sources);
        if let Some(plan) = &program.plan {
            println!(
                "ok: {}, {}, {}, {}, {}; plan {}",
                counted(plan.tags.len(), "tag"),
                counted(plan.calcs.len(), "calc"),
                counted(plan.sources.len(), "source"),
                counted(plan.flows.len(), "flow"),
                counted(plan.sinks.len(), "sink"),
                plan.id()
            );
        }
    }
    Ok(if program.plan.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub fn explain(code: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(code) = code else {
        for code in gwp_syntax::codes::all() {
            println!("{}  {}", code.code, code.title);
        }
        return Ok(ExitCode::SUCCESS);
    };
    match gwp_syntax::codes::find(&code.to_uppercase()) {
        Some(code) => {
            println!("{}: {}\n\n{}", code.code, code.title, code.explanation);
            for (title, example) in [("Wrong", code.wrong), ("Right", code.right)] {
                if !example.is_empty() {
                    println!("\n{title}:\n{}", indented(example));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("there is no code {code}; `gwp explain` lists all");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
