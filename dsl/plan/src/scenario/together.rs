//! Which simulated devices answer together.
//!
//! Nothing is computed of when a device answers within a slot: calcs, alarms and windows wait until all they read have
//! come that far. So the poll groups of one source and period can give one record for each slot, which costs a lane
//! little more than the record of one of them. Where something does see which groups there are, every group answers
//! on its own: a condition of a stage that reads tags sees the order of records; of several alarms of a device, those
//! that wait for more groups have the newest row; and who waits for more groups than an alarm that it reads is computed
//! when the alarm changes, else with each slot.

use super::Mode;
use crate::lane::waits;
use crate::plan::{Group, Plan, Stage};
use gwp_core::limits::BATCH_SAMPLES_MAX;
use gwp_core::{GroupId, TagId};
use std::collections::{BTreeMap, BTreeSet};

/// Records of each slot that come in another order each time, if there are so many groups.
const SHUFFLED: usize = 16;

/// The poll groups as they answer: in one record for each source and period, as far as a batch holds them, or in
/// several that can be shuffled.
pub(super) fn answering(plan: &Plan, mode: Mode) -> Vec<Group> {
    if sees_order(plan) {
        return plan.groups.clone();
    }
    let wanted = if mode == Mode::Shuffled { SHUFFLED } else { 1 };
    let mut answering: Vec<Group> = Vec::new();
    let mut tags: Vec<Vec<TagId>> = Vec::new();
    // Those in which there may be room.
    let mut open: BTreeMap<(u32, i64), Vec<usize>> = BTreeMap::new();
    for group in &plan.groups {
        let open = open.entry((group.source, group.period_ns)).or_default();
        let smallest = open.iter().copied().min_by_key(|place| tags[*place].len());
        let room = |place: &usize| tags[*place].len() + group.tags.len() <= BATCH_SAMPLES_MAX;
        match smallest.filter(|place| group.period_ns > 0 && open.len() >= wanted && room(place)) {
            Some(place) => tags[place].extend(group.tags.iter()),
            None => {
                // The ones before are full, or not enough.
                open.retain(|place| tags[*place].len() < BATCH_SAMPLES_MAX);
                open.push(answering.len());
                answering.push(group.clone());
                tags.push(group.tags.to_vec());
            }
        }
    }
    for (group, mut tags) in answering.iter_mut().zip(tags) {
        tags.sort_unstable();
        group.tags = tags.into();
    }
    answering
}

/// Whether something follows from the order in which the groups answer, or from which there are.
fn sees_order(plan: &Plan) -> bool {
    let mut stages = plan.sinks.iter().flat_map(|sink| &sink.routes).flat_map(|route| &route.stages);
    stages.any(reads_tags) || alarms_wait_apart(plan)
}

/// Whether a stage looks at other samples than those that pass it.
fn reads_tags(stage: &Stage) -> bool {
    let mut reads = false;
    if let Stage::Where(condition) = stage {
        condition.for_each_tag(&mut |_| reads = true);
    }
    reads
}

/// Whether alarms of one device, or an alarm and who reads it, wait for other groups.
fn alarms_wait_apart(plan: &Plan) -> bool {
    let waits = waits(plan, |_| true);
    let none = BTreeSet::new();
    let of = |tag: TagId| waits.get(&tag).unwrap_or(&none);
    let alarms: BTreeSet<TagId> =
        plan.calcs.iter().filter(|calc| calc.alarm.is_some()).map(|calc| calc.tag).collect();
    let mut of_devices: BTreeMap<TagId, &BTreeSet<GroupId>> = BTreeMap::new();
    plan.calcs.iter().any(|calc| {
        let own = of(calc.tag);
        let mut apart = false;
        calc.for_each_expr(&mut |expr| {
            expr.for_each_tag(&mut |tag| apart |= alarms.contains(&tag) && of(tag) != own);
        });
        let device = calc.alarm.as_ref().and_then(|alarm| alarm.columns.first());
        apart || device.is_some_and(|device| *of_devices.entry(*device).or_insert(own) != own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{BinaryOp, Expr, Type};
    use crate::plan::tests::plan as tags;
    use crate::plan::{Route, SinkPlan};
    use gwp_core::Value;

    /// So many groups with one tag each.
    fn plan(groups: u32) -> Plan {
        let mut plan = tags(groups as usize);
        let group = plan.groups[0].clone();
        plan.groups = (0..groups).map(|tag| Group { tags: [TagId(tag)].into(), ..group.clone() }).collect();
        plan.sinks = vec![SinkPlan::internal("out".into(), vec![Route::plain("f".into(), vec![TagId(0)])])];
        plan
    }

    fn sizes(plan: &Plan, mode: Mode) -> Vec<usize> {
        answering(plan, mode).iter().map(|group| group.tags.len()).collect()
    }

    #[test]
    fn groups_of_one_source_and_period_answer_together_as_far_as_a_batch_holds_them() {
        let mut plan = plan(2_500);
        assert_eq!(sizes(&plan, Mode::Plain), [1_000, 1_000, 500]);
        assert_eq!(sizes(&plan, Mode::Shuffled).len(), SHUFFLED);
        let tags: BTreeSet<TagId> =
            answering(&plan, Mode::Shuffled).iter().flat_map(|group| group.tags.to_vec()).collect();
        assert_eq!(tags.len(), 2_500);
        let ascending = |group: &Group| group.tags.is_sorted();
        assert!(answering(&plan, Mode::Moved).iter().all(ascending));
        plan.groups.truncate(10);
        assert_eq!(sizes(&plan, Mode::Shuffled), [1; 10]);
        plan.groups[3].period_ns *= 2;
        plan.groups[5].source = 1;
        // What reports on its own says when.
        plan.groups[7].period_ns = 0;
        plan.groups[8].period_ns = 0;
        assert_eq!(sizes(&plan, Mode::Restart), [6, 1, 1, 1, 1]);
    }

    #[test]
    fn groups_answer_on_their_own_where_a_stage_reads_tags() {
        let mut plan = plan(3);
        let greater = |left| {
            let zero = Box::new(Expr::Const(Value::Float(0.0)));
            vec![Stage::Where(Expr::Binary(BinaryOp::Gt, Box::new(left), zero))]
        };
        plan.sinks[0].routes[0].stages = greater(Expr::Word(crate::expr::Word::Value(Type::Float)));
        assert_eq!(sizes(&plan, Mode::Plain), [3]);
        plan.sinks[0].routes[0].stages = greater(Expr::Tag(TagId(2), Type::Float));
        assert_eq!(sizes(&plan, Mode::Plain), [1; 3]);
    }
}
