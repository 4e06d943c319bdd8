//! What a change of the plan leaves alone: numbers of tags and groups differ from plan to plan and do not count.

use crate::plan::{Plan, SinkPlan, SourcePlan};
use gwp_core::source::{GroupDeclaration, PointDeclaration};

/// True if `old.sources[i]` and `new.sources[j]` are one to a driver, so that a running source goes on: scale, range
/// and the like are applied behind it.
pub fn same_source(old: &Plan, i: usize, new: &Plan, j: usize) -> bool {
    let item = |plan: &Plan, index: usize| plan.sources.get(index).cloned();
    let (Some(was), Some(is)) = (item(old, i), item(new, j)) else { return false };
    let seen_by_driver = |source: SourcePlan| {
        let SourcePlan { name, driver, settings, device_time, on_disconnect, .. } = source;
        (name, driver, settings, device_time, on_disconnect)
    };
    if seen_by_driver(was) != seen_by_driver(is) {
        return false;
    }
    let groups = |plan: &Plan, index| plan.source_declaration(index).map(|declared| declared.groups);
    match (groups(old, i), groups(new, j)) {
        (Some(was), Some(is)) => {
            was.len() == is.len() && was.iter().zip(&is).all(|(was, is)| same_group(was, is))
        }
        _ => false,
    }
}

fn same_group(was: &GroupDeclaration, is: &GroupDeclaration) -> bool {
    let place = |group: &GroupDeclaration| (group.device.clone(), group.period_ns, group.phase_ns);
    place(was) == place(is)
        && was.device_settings == is.device_settings
        && was.tags.len() == is.tags.len()
        && was.points.len() == is.points.len()
        && was.points.iter().zip(&is.points).all(|(was, is)| same_point(was, is))
}

fn same_point(was: &PointDeclaration, is: &PointDeclaration) -> bool {
    was.path == is.path
        && was.address == is.address
        && was.plc_type == is.plc_type
        && was.writable == is.writable
        && was.command == is.command
}

/// True if `old.sinks[i]` and `new.sinks[j]` deliver in the same way to the same place, so that a running sink goes on.
/// What flows into it and the bounds of its journal are not asked.
pub fn same_delivery(old: &Plan, i: usize, new: &Plan, j: usize) -> bool {
    let (Some(was), Some(is)) = (old.sinks.get(i), new.sinks.get(j)) else { return false };
    let told = |plan: &Plan, sink: &SinkPlan| {
        let dead_letter =
            sink.dead_letter.and_then(|index| Some(plan.sinks.get(index as usize)?.name.clone()));
        (sink.name.clone(), sink.driver.clone(), sink.bad, sink.retry, dead_letter)
    };
    told(old, was) == told(new, is)
        && was.settings == is.settings
        // Sinks name files by it.
        && old.gateway.timezone == new.gateway.timezone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Linear, OnDisconnect, tests};
    use gwp_core::manifest::Standby;
    use gwp_core::{Settings, TagId};

    /// Three tags of one source, and a sink.
    fn plan() -> Plan {
        let mut plan = tests::plan(3);
        plan.sources.push(SourcePlan {
            name: "s".into(),
            driver: "test".into(),
            settings: Settings::default(),
            standby: Standby::Hot,
            late_ns: 0,
            device_time: false,
            on_disconnect: OnDisconnect::MarkBad,
            connected: TagId(0),
        });
        plan.sinks.push(SinkPlan::internal("a".into(), Vec::new()));
        plan
    }

    #[test]
    fn what_a_driver_does_not_see_leaves_its_source_alone() {
        let old = plan();
        let mut new = old.clone();
        new.tags[0].scale = Some(Linear { gain: 2.0, offset: 0.0 });
        new.sources[0].late_ns += 1;
        assert!(same_source(&old, 0, &new, 0));
        for edit in [
            (|plan: &mut Plan| plan.sources[0].on_disconnect = OnDisconnect::Hold(1)) as fn(&mut Plan),
            |plan| plan.sources[0].driver = "other".into(),
            |plan| plan.groups[0].period_ns += 1,
            |plan| plan.groups[0].tags = plan.groups[0].tags[1..].into(),
        ] {
            let mut new = old.clone();
            edit(&mut new);
            assert!(!same_source(&old, 0, &new, 0));
        }
        assert!(!same_source(&old, 0, &new, 99));
    }

    #[test]
    fn what_flows_into_a_sink_and_its_bounds_leave_its_delivery_alone() {
        let old = plan();
        let mut new = old.clone();
        new.sinks[0].routes.clear();
        new.sinks[0].journal.capacity_bytes += 1;
        assert!(same_delivery(&old, 0, &new, 0));
        for edit in [
            (|plan: &mut Plan| plan.sinks[0].retry.max_ns += 1) as fn(&mut Plan),
            |plan| plan.sinks[0].driver = "other".into(),
            |plan| plan.gateway.timezone = "Asia/Tokyo".into(),
            |plan| plan.sinks[0].dead_letter = Some(0),
        ] {
            let mut new = old.clone();
            edit(&mut new);
            assert!(!same_delivery(&old, 0, &new, 0));
        }
    }
}
