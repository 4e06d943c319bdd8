//! Which of the values that a scenario feeds reach an expectation: what people want to see first when it is not met.

use super::{Scenario, ScenarioAction, Subject};
use crate::plan::{Origin, Plan};
use gwp_core::TagId;
use std::collections::BTreeSet;

/// Steps before `step` that feed what it depends on, by their index, in order: the newest of each input, and those
/// before as far as there is room. At most `most`.
pub fn fed_before(plan: &Plan, scenario: &Scenario, step: usize, most: usize) -> Vec<usize> {
    let Some(expectation) = scenario.steps.get(step) else { return Vec::new() };
    let reach = inputs(plan, &expectation.action);
    let fed: Vec<(usize, TagId)> = scenario.steps[..step]
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(index, step)| match &step.action {
            ScenarioAction::Feed { tag, .. } if reach.contains(tag) => Some((index, *tag)),
            _ => None,
        })
        .collect();
    let mut seen = BTreeSet::new();
    let (newest, older): (Vec<_>, Vec<_>) = fed.into_iter().partition(|(_, tag)| seen.insert(*tag));
    let mut chosen: Vec<usize> = newest.into_iter().chain(older).take(most).map(|(index, _)| index).collect();
    chosen.sort_unstable();
    chosen
}

/// All tags that what is expected depends on.
fn inputs(plan: &Plan, action: &ScenarioAction) -> BTreeSet<TagId> {
    let mut tags = BTreeSet::new();
    match action {
        ScenarioAction::Feed { .. } => return tags,
        ScenarioAction::Expect { tag, .. } | ScenarioAction::ExpectNo { what: Subject::Tag(tag) } => {
            tags.insert(*tag);
        }
        ScenarioAction::ExpectRow { row } => of_rows(plan, &row.name, &mut tags),
        ScenarioAction::ExpectNo { what: Subject::Rows(name, _) } => of_rows(plan, name, &mut tags),
    }
    loop {
        let before = tags.len();
        for write in &plan.writes {
            if tags.contains(&write.outcome) || tags.contains(&write.target) {
                tags.insert(write.command);
            }
        }
        for calc in plan.calcs.iter().rev().filter(|calc| tags.contains(&calc.tag)).collect::<Vec<_>>() {
            tags.extend(calc.alarm.iter().map(|alarm| alarm.orders));
            calc.for_each_expr(&mut |expr| {
                expr.for_each_tag(&mut |tag| {
                    tags.insert(tag);
                });
            });
        }
        if tags.len() == before {
            return tags;
        }
    }
}

/// What the rows of a name are made of.
fn of_rows(plan: &Plan, name: &str, tags: &mut BTreeSet<TagId>) {
    let alarms = plan.calcs.iter().filter(|calc| {
        let columns = calc.alarm.iter().flat_map(|alarm| &alarm.columns);
        let mut rows = columns.filter_map(|tag| plan.tag(*tag));
        rows.any(|tag| tag.origin == Origin::Column && &*tag.info.row == name)
    });
    tags.extend(alarms.map(|calc| calc.tag));
    for route in plan.sinks.iter().flat_map(|sink| &sink.routes) {
        let Some(window) = route.window.as_ref().filter(|window| &*window.name == name) else { continue };
        for instance in &window.instances {
            let mut take = |expr: &crate::Expr| {
                expr.for_each_tag(&mut |tag| {
                    tags.insert(tag);
                });
            };
            instance.operators.iter().flat_map(|operator| &operator.args).for_each(&mut take);
            instance.condition.iter().for_each(&mut take);
            instance.aggregates.iter().map(|aggregate| &aggregate.arg).for_each(&mut take);
            instance.columns.iter().map(|column| &column.expr).for_each(&mut take);
        }
    }
}
