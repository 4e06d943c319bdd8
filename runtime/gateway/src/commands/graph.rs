//! `gwp graph`: the graph of a program, for merge requests.

use super::program;
use crate::cli::GraphForm;
use crate::report;
use gwp_plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub fn graph(files: &[PathBuf], form: GraphForm) -> anyhow::Result<ExitCode> {
    let program = program::load(files)?;
    report::print_problems(&program.diagnostics, &program.sources);
    let Some(plan) = program.plan else { return Ok(ExitCode::FAILURE) };
    print!("{}", draw(&plan, form));
    Ok(ExitCode::SUCCESS)
}

/// Vertices with their labels, and edges between them.
fn draw(plan: &Plan, form: GraphForm) -> String {
    let mut vertices: Vec<(String, String)> = Vec::new();
    let mut edges: BTreeSet<(String, String)> = BTreeSet::new();
    let flows: BTreeSet<&str> = plan.flows.iter().map(|flow| &*flow.name).collect();
    for source in &plan.sources {
        vertices.push((format!("source_{}", source.name), format!("{}\\n{}", source.name, source.driver)));
    }
    // A family is one box: forty meters look alike.
    let families: BTreeMap<&str, &str> =
        plan.tags.iter().filter_map(|tag| Some((&*tag.info.device, &*tag.family.as_ref()?.family))).collect();
    for group in &plan.groups {
        let source = &plan.sources[group.source as usize].name;
        if group.device != *source {
            let (device, label) = match families.get(&*group.device) {
                Some(family) => (*family, format!("{family}[*]")),
                None => (&*group.device, group.device.to_string()),
            };
            vertices.push((format!("device_{device}"), label));
            edges.insert((format!("source_{source}"), format!("device_{device}")));
        }
    }
    let named: BTreeSet<String> = vertices.iter().map(|(id, _)| id.clone()).collect();
    for flow in &plan.flows {
        let mut label = flow.name.to_string();
        flow.stages.iter().for_each(|stage| label.push_str(&format!("\\n{stage}")));
        vertices.push((format!("flow_{}", flow.name), label));
        for input in &flow.inputs {
            let head = input.split(['.', '[']).next().unwrap_or(input);
            // one device of a family, by its own name
            let head = families.get(head).copied().unwrap_or(head);
            let from = ["flow", "device", "source"]
                .iter()
                .map(|kind| format!("{kind}_{head}"))
                .find(|id| named.contains(id) || (id.starts_with("flow_") && flows.contains(head)));
            let from = from.unwrap_or_else(|| {
                let id = format!("tags_{input}");
                vertices.push((id.clone(), input.to_string()));
                id
            });
            edges.insert((from, format!("flow_{}", flow.name)));
        }
        for output in flow.outputs.iter().filter(|output| !flows.contains(&***output)) {
            edges.insert((format!("flow_{}", flow.name), format!("sink_{output}")));
        }
    }
    for sink in &plan.sinks {
        vertices.push((format!("sink_{}", sink.name), format!("{}\\n{}", sink.name, sink.driver)));
    }
    vertices.sort();
    vertices.dedup();
    match form {
        GraphForm::Mermaid => mermaid(&vertices, &edges),
        GraphForm::Dot => dot(&vertices, &edges),
    }
}

fn mermaid(vertices: &[(String, String)], edges: &BTreeSet<(String, String)>) -> String {
    let mut out = String::from("flowchart LR\n");
    for (id, label) in vertices {
        let label = label.replace("\\n", "<br>").replace('"', "#quot;");
        let _ = writeln!(out, "  {}[\"{label}\"]", plain(id));
    }
    for (from, to) in edges {
        let _ = writeln!(out, "  {} --> {}", plain(from), plain(to));
    }
    out
}

fn dot(vertices: &[(String, String)], edges: &BTreeSet<(String, String)>) -> String {
    let mut out = String::from("digraph gwp {\n  rankdir=LR; node [shape=box];\n");
    for (id, label) in vertices {
        let _ = writeln!(out, "  \"{}\" [label=\"{}\"];", plain(id), label.replace('"', "\\\""));
    }
    for (from, to) in edges {
        let _ = writeln!(out, "  \"{}\" -> \"{}\";", plain(from), plain(to));
    }
    out.push_str("}\n");
    out
}

/// An identifier both forms accept; names keep apart because other characters become their code.
fn plain(id: &str) -> String {
    id.chars()
        .map(
            |c| {
                if c.is_ascii_alphanumeric() || c == '_' { c.to_string() } else { format!("x{:x}", c as u32) }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_one_box() {
        let text = "template T() {\n  tag x at \"constant 1\" : real\n}\nsource s : simulator {}\ndevice meter[01..40] : T() on s\n\
                    device main : T() on s\nsink out : console {}\nflow a = meter[*], main -> out\nflow b = meter07.x -> out\n";
        let plan = program::of_text("a.gwp", text).plan.unwrap();
        let drawn = draw(&plan, GraphForm::Mermaid);
        assert!(!drawn.contains("meter0") && drawn.matches("meter[*]").count() == 1, "{drawn}");
        assert!(drawn.contains("device_meter[\"meter[*]\"]"), "{drawn}");
        assert!(
            drawn.contains("source_s --> device_meter\n") && drawn.contains("device_meter --> flow_b\n"),
            "{drawn}"
        );
        assert!(drawn.contains("device_main --> flow_a\n"), "{drawn}");
    }
}
