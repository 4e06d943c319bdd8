//! `gwp graph`: the graph of a program, for merge requests.

use super::program;
use crate::cli::GraphForm;
use crate::report;
use gwp_core::TagId;
use gwp_plan::{Origin, Plan, Tag};
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
    let boxes = Boxes::new(plan);
    for group in &plan.groups {
        let source = &plan.sources[group.source as usize].name;
        if group.device != *source {
            edges.insert((format!("source_{source}"), boxes.of(&group.device)));
        }
    }
    computed(plan, &boxes, &mut vertices, &mut edges);
    for device in plan.tags.iter().filter(|tag| tag.origin != Origin::Column).map(|tag| &*tag.info.device) {
        let id = boxes.of(device);
        if id.starts_with("device_") {
            vertices.push((id, boxes.label(device)));
        }
    }
    for flow in &plan.flows {
        let mut label = flow.name.to_string();
        flow.stages.iter().for_each(|stage| label.push_str(&format!("\\n{stage}")));
        vertices.push((format!("flow_{}", flow.name), label));
        for input in &flow.inputs {
            let head = input.split(['.', '[']).next().unwrap_or(input);
            let froms = match head {
                _ if flows.contains(head) => vec![format!("flow_{head}")],
                "*" => boxes.having(plan, input.strip_prefix("*.").unwrap_or("")),
                _ => vec![boxes.of(head)],
            };
            edges.extend(froms.into_iter().map(|from| (from, format!("flow_{}", flow.name))));
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

/// Which box a device stands in. A family is one box: forty meters look alike.
struct Boxes<'p> {
    families: BTreeMap<&'p str, &'p str>,
    sources: BTreeSet<&'p str>,
    writes: BTreeSet<&'p str>,
}

impl<'p> Boxes<'p> {
    fn new(plan: &'p Plan) -> Boxes<'p> {
        let family = |tag: &'p Tag| Some((&*tag.info.device, &*tag.family.as_ref()?.family));
        Boxes {
            families: plan.tags.iter().filter_map(family).collect(),
            sources: plan.sources.iter().map(|source| &*source.name).collect(),
            writes: plan.writes.iter().map(|write| &*write.name).collect(),
        }
    }

    /// The vertex of a device, source or write by its name; a device of a family may go by its own.
    fn of(&self, name: &str) -> String {
        match (self.sources.contains(name), self.writes.contains(name)) {
            (true, _) => format!("source_{name}"),
            (_, true) => format!("write_{name}"),
            _ => format!("device_{}", self.families.get(name).copied().unwrap_or(name)),
        }
    }

    fn label(&self, device: &str) -> String {
        self.families.get(device).map_or(device.to_owned(), |family| format!("{family}[*]"))
    }

    /// The boxes of all devices with a member of that name, which may end in `*`.
    fn having(&self, plan: &Plan, member: &str) -> Vec<String> {
        let fits = |tag: &&Tag| match (member, member.strip_suffix('*')) {
            ("alarms", _) => tag.origin == Origin::Column && &*tag.info.row == "alarms",
            (_, Some(prefix)) => tag.info.tag.starts_with(prefix),
            _ => &*tag.info.tag == member,
        };
        plan.tags.iter().filter(fits).map(|tag| self.of(&tag.info.device)).collect()
    }
}

/// What calcs and alarms read of other devices, and what writes set.
fn computed(
    plan: &Plan,
    boxes: &Boxes<'_>,
    vertices: &mut Vec<(String, String)>,
    edges: &mut BTreeSet<(String, String)>,
) {
    let of_tag = |tag: TagId| plan.tag(tag).map(|tag| boxes.of(&tag.info.device));
    for calc in &plan.calcs {
        let Some(to) = of_tag(calc.tag) else { continue };
        calc.for_each_expr(&mut |expr| {
            expr.for_each_tag(&mut |tag| {
                edges.extend(of_tag(tag).filter(|from| *from != to).map(|from| (from, to.clone())));
            });
        });
    }
    for write in &plan.writes {
        let id = format!("write_{}", write.name);
        vertices.push((id.clone(), write.name.to_string()));
        edges.extend(of_tag(write.command).filter(|from| *from != id).map(|from| (from, id.clone())));
        edges.extend(of_tag(write.target).filter(|to| *to != id).map(|to| (id.clone(), to)));
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

    #[test]
    fn what_calcs_read_is_drawn() {
        let text = "template T() {\n  tag p at \"constant 1\" : real kW\n  calc high = p > 5 kW\n  alarm hot when high\n}\n\
                    source s : simulator {}\ndevice meter[01..40] : T() on s\n\
                    device site {\n  calc sum = sum_of(meter[*].p)\n  calc half = sum / 2\n}\nsink out : console {}\n\
                    flow a = site, meter[*].p -> out\nflow b = *.alarms -> out\n";
        let plan = program::of_text("a.gwp", text).plan.unwrap();
        let drawn = draw(&plan, GraphForm::Mermaid);
        for edge in [
            "source_s --> device_meter",
            "device_meter --> device_site",
            "device_site --> flow_a",
            "device_meter --> flow_a",
            "device_meter --> flow_b",
        ] {
            assert!(drawn.contains(&format!("  {edge}\n")), "{edge}\n{drawn}");
        }
        assert!(drawn.contains("device_site[\"site\"]") && !drawn.contains("tags_"), "{drawn}");
        let vertices = drawn.lines().filter(|line| line.contains("[\""));
        let names: Vec<&str> = vertices.filter_map(|line| line.trim().split('[').next()).collect();
        let without = names.iter().filter(|name| !drawn.contains(&format!("--> {name}\n")));
        assert_eq!(without.collect::<Vec<_>>(), [&"source_s"], "{drawn}");
    }
}
