//! From a plan to components ready to run: references get the values of this node, drivers and sinks are asked.

use crate::catalog;
use crate::node::Node;
use crate::resolve::{lines, resolve};
use gwp_core::Declaration;
use gwp_core::manifest::Setting;
use gwp_core::sink::SinkDeclaration;
use gwp_core::source::Source;
use gwp_engine::PreparedSink;
use gwp_engine::delivery::DeliveryLimits;
use gwp_plan::{Plan, SinkPlan, SourcePlan};
use std::sync::Arc;

/// Everything a plan runs with.
pub struct Components {
    /// By index of the plan's sources.
    pub sources: Vec<Arc<dyn Source>>,
    /// By index of the plan's sinks.
    pub sinks: Vec<PreparedSink>,
}

/// Prepares all components of a plan.
///
/// # Errors
/// Everything that is wrong, a line each.
pub fn components(plan: &Plan, node: &Node) -> Result<Components, Vec<String>> {
    let mut errors: Vec<String> = crate::pair::policy::forbids(node, plan).into_iter().collect();
    let sources = (0..plan.sources.len()).filter_map(|at| source(plan, at, node, &mut errors)).collect();
    let sinks = plan.sinks.iter().filter_map(|declared| sink(plan, declared, node, &mut errors)).collect();
    if errors.is_empty() { Ok(Components { sources, sinks }) } else { Err(errors) }
}

/// Prepares one source; what is wrong goes to `errors`.
pub fn source(plan: &Plan, index: usize, node: &Node, errors: &mut Vec<String>) -> Option<Arc<dyn Source>> {
    let SourcePlan { name, driver, .. } = plan.sources.get(index)?;
    let of = format!("source/{name}");
    let mut declaration = plan.source_declaration(index)?;
    let Some(driver) = catalog::driver(driver) else {
        errors.push(format!("{of}: this gwp has no driver `{driver}`"));
        return None;
    };
    let before = errors.len();
    let (manifest, item) = (driver.manifest(), &mut declaration.item);
    item.settings = resolve(&item.settings, manifest.settings, node, &of, errors);
    let of_devices = manifest.source().map_or(&[] as &[Setting], |traits| traits.device_settings);
    for group in &mut declaration.groups {
        group.device_settings = resolve(&group.device_settings, of_devices, node, &of, errors);
    }
    // What has no value is said; a check finds what else is wrong, and takes that as right.
    let prepared = match errors.len() > before {
        true => Err(driver.check(&declaration)),
        false => driver.prepare(declaration),
    };
    prepared.map(Arc::from).map_err(|found| errors.extend(lines(&of, found))).ok()
}

/// Prepares one sink; what is wrong goes to `errors`.
pub fn sink(plan: &Plan, sink: &SinkPlan, node: &Node, errors: &mut Vec<String>) -> Option<PreparedSink> {
    let of = format!("sink/{}", sink.name);
    let known = catalog::sink(&sink.driver).and_then(|driver| Some((driver, driver.manifest().sink()?)));
    let Some((driver, traits)) = known else {
        errors.push(format!("{of}: this gwp has no sink `{}`", sink.driver));
        return None;
    };
    let before = errors.len();
    let settings = resolve(&sink.settings, driver.manifest().settings, node, &of, errors);
    let declaration = SinkDeclaration {
        item: Declaration { name: sink.name.clone(), settings },
        timezone: plan.gateway.timezone.clone(),
    };
    let prepared = match errors.len() > before {
        true => Err(driver.check(&declaration)),
        false => driver.prepare(declaration),
    };
    let limits = DeliveryLimits {
        batch_samples: traits.batch_samples,
        batch_bytes: traits.batch_bytes,
        in_flight: traits.in_flight,
    };
    let prepared = prepared.map_err(|found| errors.extend(lines(&of, found))).ok()?;
    Some(PreparedSink { sink: prepared.into(), limits })
}
