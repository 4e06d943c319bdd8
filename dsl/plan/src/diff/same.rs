//! What goes on untouched when another plan takes over: a connection is given up only for a reason.

use crate::plan::{Plan, SinkPlan};
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

fn is_same_declaration(a: &SourceDeclaration, b: &SourceDeclaration) -> bool {
    a.item.name == b.item.name
        && a.item.settings == b.item.settings
        && a.device_time == b.device_time
        && a.groups.len() == b.groups.len()
        && a.groups.iter().zip(&b.groups).all(|(a, b)| is_same_group(a, b))
}

fn is_same_group(a: &GroupDeclaration, b: &GroupDeclaration) -> bool {
    a.device == b.device
        && a.device_settings == b.device_settings
        && (a.period_ns, a.phase_ns) == (b.period_ns, b.phase_ns)
        && a.tags.len() == b.tags.len()
        && a.points.len() == b.points.len()
        && a.points.iter().zip(&b.points).all(|(a, b)| is_same_point(a, b))
}

fn is_same_point(a: &PointDeclaration, b: &PointDeclaration) -> bool {
    (&a.path, &a.address, a.plc_type) == (&b.path, &b.address, b.plc_type)
        && (a.writable, a.command) == (b.writable, b.command)
}

/// True if `new.sinks[j]` delivers to the same destination in the same way as `old.sinks[i]`: its
/// connection may stay. Bounds of the journal and what flows into it make no difference.
///
/// False too if there is no such sink.
pub fn same_delivery(old: &Plan, i: usize, new: &Plan, j: usize) -> bool {
    let (Some(before), Some(after)) = (old.sinks.get(i), new.sinks.get(j)) else { return false };
    before.name == after.name
        && before.driver == after.driver
        && before.settings == after.settings
        && before.retry == after.retry
        && before.bad == after.bad
        && dead_letter(old, before) == dead_letter(new, after)
        && old.gateway.timezone == new.gateway.timezone
}

/// Name of the sink that takes what the destination refuses.
pub(super) fn dead_letter<'p>(plan: &'p Plan, sink: &SinkPlan) -> Option<&'p str> {
    Some(&*plan.sinks.get(sink.dead_letter? as usize)?.name)
}
