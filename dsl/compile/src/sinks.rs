//! Sinks, and what is worth a warning about them.

use std::collections::{HashMap, HashSet};

use gwp_plan::KeyPart;
use gwp_syntax::ast::Stage;
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::assemble::SourcePart;
use crate::catalog::Catalog;
use crate::check::Checker;
use crate::flows::Flows;
use crate::order::order;
use crate::settings::{self, SinkFields};
use crate::world::World;

/// Checks all sinks, by index in the items; `None` for those whose driver is not known.
pub(crate) fn sinks(
    world: &World<'_>,
    catalog: &Catalog,
    report: &mut Diagnostics,
) -> Vec<Option<SinkFields>> {
    let mut parts = Vec::new();
    for item in &world.items.sinks {
        let Some(driver) = catalog.sink(&item.driver.text) else {
            let fault = Diagnostic::new(
                "E408",
                item.driver.span,
                format!("there is no sink driver `{}`", item.driver),
            );
            report.push(catalog.help(fault, &item.driver.text, true));
            parts.push(None);
            continue;
        };
        parts.push(Some(settings::sink(item, driver, &mut Checker::new(world, report))));
    }
    dead_letter_rings(world, &parts, report);
    parts
}

/// A refused sample must come to rest somewhere.
fn dead_letter_rings(world: &World<'_>, parts: &[Option<SinkFields>], report: &mut Diagnostics) {
    let sinks = &world.items.sinks;
    let index: HashMap<&str, usize> =
        sinks.iter().enumerate().map(|(at, sink)| (sink.name.text.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = parts
        .iter()
        .map(|part| {
            let next = part.as_ref().and_then(|part| part.dead_letter.as_deref());
            next.and_then(|name| index.get(name).copied()).into_iter().collect()
        })
        .collect();
    for ring in order(&needs).rings {
        let names: Vec<_> =
            ring.iter().filter_map(|at| sinks.get(*at)).map(|sink| sink.name.text.as_str()).collect();
        if let Some(sink) = ring.first().and_then(|at| sinks.get(*at)) {
            let fault = Diagnostic::new("E104", sink.name.span, "dead letters would go round in a ring");
            report.push(fault.here(format!("{} -> {}", names.join(" -> "), sink.name)));
        }
    }
}

/// Rows that are issued again must find the row they replace.
pub(crate) fn revised(
    world: &World<'_>,
    sinks: &[Option<SinkFields>],
    flows: &Flows,
    report: &mut Diagnostics,
) {
    for (index, revised) in &flows.revised {
        let fields = sinks.get(*index).and_then(Option::as_ref).filter(|fields| fields.replaces);
        let (Some(fields), Some(item)) = (fields, world.items.sinks.get(*index)) else { continue };
        let Some(key_at) = fields.key_at else { continue };
        let has = |part| fields.key.contains(&part) || fields.key.contains(&KeyPart::Path);
        let told = has(KeyPart::Flow) && (has(KeyPart::Device) || !revised.many);
        let in_time = fields.key.contains(&KeyPart::Start) || fields.key.contains(&KeyPart::Time);
        if told && in_time && !fields.key.contains(&KeyPart::Seq) {
            continue;
        }
        let message = format!("`revise` needs a key at `{}`", item.name);
        let fault = Diagnostic::new("E405", key_at, message)
            .here("a corrected row would not replace the earlier one")
            .label(revised.at, "rows that are issued again arrive here");
        report.push(fault.help("write `key = [flow, device, start]`"));
    }
}

/// Sinks that nothing flows into, and `full = block` that cannot hold anything back.
pub(crate) fn warnings(
    world: &World<'_>,
    sources: &[Option<SourcePart>],
    sinks: &[Option<SinkFields>],
    flows: &Flows,
    report: &mut Diagnostics,
) {
    let dead_letters = sinks.iter().flatten().filter_map(|sink| sink.dead_letter.as_deref());
    let mut used: HashSet<&str> = dead_letters.collect();
    // As they are written: a flow that is in error uses its sinks all the same.
    world.items.flows.iter().for_each(|flow| targets(&flow.stages, &mut used));
    for (index, (item, fields)) in world.items.sinks.iter().zip(sinks).enumerate() {
        let name = item.name.text.as_str();
        if !used.contains(name) && !world.items.is_mentioned(name) {
            let fault =
                Diagnostic::new("W604", item.name.span, format!("nothing flows into `{}`", item.name));
            report.push(fault.help(format!("write a flow that ends in `-> {}`", item.name)));
        }
        let Some(block_at) = fields.as_ref().and_then(|fields| fields.block_at) else { continue };
        let tags = flows.routes.get(&index).into_iter().flatten().flat_map(|route| &route.tags);
        let polled = tags.filter_map(|tag| world.tag(*tag)).find_map(|tag| {
            let source = world.device(tag.device)?.source?;
            let polled = sources.get(source)?.as_ref()?.polled;
            polled.then(|| world.items.sources.get(source)).flatten()
        });
        if let Some(source) = polled {
            let message = format!("`block` cannot hold back `{}`, which is polled", source.name);
            let fault = Diagnostic::new("W601", block_at, message).label(source.name.span, "a polled source");
            report.push(fault.help(
                "when the input log is at its bound, new samples of this sink are lost and counted; consider `drop_oldest`",
            ));
        }
    }
}

/// Names at the ends of a chain of stages.
fn targets<'a>(stages: &'a [Stage], found: &mut HashSet<&'a str>) {
    for stage in stages {
        match stage {
            Stage::Targets(names, _) => found.extend(names.iter().map(|name| name.text.as_str())),
            Stage::Split(branches, _) => branches.iter().for_each(|branch| targets(&branch.stages, found)),
            Stage::Window(_) | Stage::Where(..) | Stage::Call(_) => {}
        }
    }
}
