//! An older plan under the names of today, so that what has only another name is not taken for something else.

use crate::moved::{Place, Renames};
use crate::plan::{Origin, Plan};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `old` with the names that `renames` gives; numbers of tags stay, so they are in no order any more. What
/// would take the name of something that the plan has already keeps its own.
pub(super) fn renamed(old: &Plan, renames: &Renames) -> Plan {
    let mut plan = old.clone();
    if renames.is_empty() {
        return plan;
    }
    let device = |name: &Arc<str>| renames.device(name).unwrap_or_else(|| name.clone());
    let row_device = |name: &Arc<str>| renames.row_device(name).unwrap_or_else(|| name.clone());
    let flow = |name: &Arc<str>| renames.flow(name).unwrap_or_else(|| name.clone());
    tags(&mut plan, old, renames);
    for group in &mut plan.groups {
        group.device = device(&group.device);
    }
    plan.sources.iter_mut().for_each(|source| source.name = device(&source.name));
    plan.writes.iter_mut().for_each(|write| write.name = device(&write.name));
    for calc in &mut plan.calcs {
        if let (Some(alarm), Some(tag)) = (&mut calc.alarm, plan.tags.get(calc.tag.index())) {
            alarm.name = tag.info.tag.clone();
        }
    }
    for sink in &mut plan.sinks {
        sink.name = sink_name(renames, &sink.name);
        for route in &mut sink.routes {
            route.flow = flow(&route.flow);
            if let Some(window) = &mut route.window {
                window.name = flow(&window.name);
                window.instances.iter_mut().for_each(|one| one.device = row_device(&one.device));
            }
        }
    }
    plan.flows.iter_mut().for_each(|summary| summary.name = flow(&summary.name));
    plan
}

/// What a sink is called now.
pub(super) fn sink_name(renames: &Renames, old: &Arc<str>) -> Arc<str> {
    renames.sink(old).unwrap_or_else(|| old.clone())
}

fn tags(plan: &mut Plan, old: &Plan, renames: &Renames) {
    let taken: BTreeSet<&str> = old.tags.iter().map(|tag| &*tag.info.path).collect();
    for (tag, before) in plan.tags.iter_mut().zip(&old.tags) {
        let info = &mut tag.info;
        let row_now = renames.flow(&info.row).filter(|_| tag.origin == Origin::Column);
        let device = match tag.origin {
            Origin::Column => renames.row_device(&info.device),
            _ => renames.device(&info.device),
        };
        if let Some(path) = renames.path(before).filter(|path| !taken.contains(&**path)) {
            let member = || renames.place(&Place::member(&info.device, &info.tag));
            let own = !matches!(tag.origin, Origin::Column | Origin::Outcome);
            let device = member().filter(|_| own).map(|place| place.item).or(device);
            info.device = device.unwrap_or_else(|| info.device.clone());
            if tag.origin != Origin::Column
                && let Some(rest) = path.strip_prefix(&*info.device).and_then(|rest| rest.strip_prefix('.'))
            {
                info.tag = rest.into();
            }
            info.path = path.into();
        }
        if let Some(member) = &mut tag.family
            && info.device != before.info.device
            && let Some(number) = before.info.device.strip_prefix(&*member.family)
            && let Some(family) = info.device.strip_suffix(number)
        {
            member.family = family.into();
        }
        if let Some(row) = row_now {
            info.row = row;
        }
    }
}
