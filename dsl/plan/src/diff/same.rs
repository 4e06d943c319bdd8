//! What goes on untouched when another plan takes over: a connection is given up only for a reason.

use crate::plan::{Plan, SinkPlan};
use gwp_core::Declaration;
use gwp_core::source::{GroupDeclaration, PointDeclaration, SourceDeclaration};

/// True if the driver of `new.sources[j]` is told the same as that of `old.sources[i]`, but for the
/// numbers of groups and tags: the source may go on, and needs only to learn these. What is done to its
/// samples behind the driver (scale, range, deadband, labels, descriptions) makes no difference.
///
/// False too if there is no such source.
pub fn same_source(old: &Plan, i: usize, new: &Plan, j: usize) -> bool {
    let (Some(before), Some(after)) = (old.sources.get(i), new.sources.get(j)) else { return false };
    let (Some(told), Some(tells)) = (old.source_declaration(i), new.source_declaration(j)) else {
        return false;
    };
    before.driver == after.driver
        && before.on_disconnect == after.on_disconnect
        && is_same_declaration(&told, &tells)
}

// Every field is named below, so that a new one must be thought of.

fn is_same_declaration(a: &SourceDeclaration, b: &SourceDeclaration) -> bool {
    let SourceDeclaration { item: Declaration { name, settings }, groups, device_time } = a;
    *name == b.item.name
        && *settings == b.item.settings
        && *device_time == b.device_time
        && groups.len() == b.groups.len()
        && groups.iter().zip(&b.groups).all(|(a, b)| is_same_group(a, b))
}

fn is_same_group(a: &GroupDeclaration, b: &GroupDeclaration) -> bool {
    let GroupDeclaration { id: _, device, device_settings, period_ns, phase_ns, tags, points } = a;
    *device == b.device
        && *device_settings == b.device_settings
        && (*period_ns, *phase_ns) == (b.period_ns, b.phase_ns)
        && tags.len() == b.tags.len()
        && points.len() == b.points.len()
        && points.iter().zip(&b.points).all(|(a, b)| is_same_point(a, b))
}

fn is_same_point(a: &PointDeclaration, b: &PointDeclaration) -> bool {
    let PointDeclaration { path, address, plc_type, writable, command } = a;
    (path, address, *plc_type) == (&b.path, &b.address, b.plc_type)
        && (*writable, *command) == (b.writable, b.command)
}

/// True if `new.sinks[j]` delivers to the same destination in the same way as `old.sinks[i]`: its
/// connection may stay. Bounds of the journal and what flows into it make no difference.
///
/// False too if there is no such sink.
pub fn same_delivery(old: &Plan, i: usize, new: &Plan, j: usize) -> bool {
    let (Some(before), Some(after)) = (old.sinks.get(i), new.sinks.get(j)) else { return false };
    // Bounds of the journal belong to the store; order and key are no setting that a component sees.
    let SinkPlan {
        name,
        driver,
        settings,
        journal: _,
        retry,
        order: _,
        key: _,
        bad,
        dead_letter: _,
        routes: _,
    } = before;
    *name == after.name
        && *driver == after.driver
        && *settings == after.settings
        && *retry == after.retry
        && *bad == after.bad
        && dead_letter(old, before) == dead_letter(new, after)
        && old.gateway.timezone == new.gateway.timezone
}

/// Name of the sink that takes what the destination refuses.
pub(super) fn dead_letter<'p>(plan: &'p Plan, sink: &SinkPlan) -> Option<&'p str> {
    Some(&*plan.sinks.get(sink.dead_letter? as usize)?.name)
}
