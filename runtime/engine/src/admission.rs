//! Which readings go into the log of an active in a pair: what it lacks, each once.
//!
//! ```text
//! source that read on while its node took over --own---> joining? lacking --\
//! peer: shadow (fill), set-aside tail (rejoin) --peer--> lacking, flagged ---+--> Sequencer
//! source of this epoch --------------------------own-----------------------/
//! ```
//! The rules are those of `gwp_redundancy::mirror::fill`; here is the log's side of them. A source's own reading is
//! compared only until the source is past what the log holds: from there on its slots only rise.
//!
//! What makes something happen, commands and orders to alarms, is never taken of a peer: it would happen late.

use crate::limits::COMPARED_BYTES_MAX;
use crate::reading::{GoodTags, SlotReading};
use gwp_core::{Batch, Fact, GroupId, PlanId, Position, Record, TagId};
use gwp_journal::{LogReader, StoreError};
use gwp_plan::Plan;
use gwp_plan::plan::Origin;
use gwp_redundancy::mirror::fill::{From, admit};
use gwp_redundancy::mirror::{Held, HeldIndex, Reading};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tags of the polled groups of a plan.
pub type GroupTags = BTreeMap<GroupId, Arc<[TagId]>>;

/// Of all polled groups.
pub fn group_tags(plan: &Plan) -> GroupTags {
    let groups = (0u32..).map(GroupId).zip(&plan.groups);
    groups.filter(|(_, group)| group.period_ns > 0).map(|(id, group)| (id, group.tags.clone())).collect()
}

/// Tags whose samples make something happen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ActingTags(BTreeSet<TagId>);

impl ActingTags {
    /// Commands of a plan, and orders to its alarms.
    pub fn of(plan: &Plan) -> ActingTags {
        let orders = (0u32..).map(TagId).zip(&plan.tags).filter(|(_, tag)| tag.origin == Origin::Orders);
        let commands = plan.writes.iter().map(|write| write.command);
        ActingTags(commands.chain(orders.map(|(id, _)| id)).collect())
    }

    /// The batch without their samples, and how many those are.
    pub fn without(&self, batch: &Arc<Batch>) -> (Arc<Batch>, usize) {
        let acts = |tag: &TagId| self.0.contains(tag);
        if self.0.is_empty() || !batch.tags.iter().any(acts) {
            return (batch.clone(), 0);
        }
        let rest = (0u32..).zip(batch.tags.iter()).filter(|(_, tag)| !acts(tag));
        let (indexes, tags): (Vec<u32>, Vec<TagId>) = rest.map(|(index, tag)| (index, *tag)).unzip();
        let withheld = batch.len() - indexes.len();
        (Arc::new(batch.select(&indexes, tags.into())), withheld)
    }
}

/// What becomes of a reading of the peer.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Append(Fact),
    /// The log has all of it that is good.
    Held,
    /// It would make something happen, late.
    Withheld,
    /// It is of another plan, or so old that whether the log has it is not known in memory.
    Refused,
}

/// What the log holds of late, by slot.
pub struct Admission {
    /// The plan that numbers tags and groups.
    plan: PlanId,
    tags: GroupTags,
    acting: ActingTags,
    held: HeldIndex<GoodTags>,
    /// Groups whose next reading may be one that the log holds.
    joining: BTreeSet<GroupId>,
}

impl Admission {
    /// For a log of which `held` knows the newest records.
    pub fn new(plan: &Plan, id: PlanId, held: HeldIndex<GoodTags>) -> Admission {
        Admission::of_tags(id, group_tags(plan), ActingTags::of(plan), held)
    }

    fn of_tags(plan: PlanId, tags: GroupTags, acting: ActingTags, held: HeldIndex<GoodTags>) -> Admission {
        Admission { plan, tags, acting, held, joining: BTreeSet::new() }
    }

    /// Another plan is in force: slots before it are not known by its numbers.
    pub fn follow(&mut self, plan: &Plan, id: PlanId) {
        *self = Admission::new(plan, id, HeldIndex::default());
    }

    /// Sources of these groups have read before the epoch began: their next readings are compared with the log.
    pub fn join(&mut self, groups: impl IntoIterator<Item = GroupId>) {
        self.joining.extend(groups);
    }

    fn reading(&self, fact: &Fact) -> Option<SlotReading> {
        SlotReading::of(fact, |group| self.tags.get(&group).cloned())
    }

    /// A fact of this node, as it goes into the log; `None` if the log holds it.
    pub fn own(&mut self, fact: Fact) -> Option<Fact> {
        let Some(reading) = self.reading(&fact) else { return Some(fact) };
        if !self.joining.contains(&reading.batch.group) {
            self.held.record(&reading);
            return Some(fact);
        }
        let add = admit(&reading, From::Own, &self.held)?;
        Some(self.append(add))
    }

    /// A fact of the peer's, numbered by `plan`.
    pub fn peer(&mut self, fact: &Fact, from: From, plan: PlanId) -> Verdict {
        if plan != self.plan {
            return Verdict::Refused;
        }
        let Some(reading) = self.reading(fact) else {
            return match (from, fact) {
                (From::Rejoin, Fact::Samples { slot, batch }) => match self.acting.without(batch) {
                    (rest, 1..) if rest.is_empty() => Verdict::Withheld,
                    (mut rest, _) => {
                        Arc::make_mut(&mut rest).backfill = true;
                        Verdict::Append(Fact::Samples { slot: *slot, batch: rest })
                    }
                },
                _ => Verdict::Held,
            };
        };
        let group = self.tags.get(&reading.batch.group);
        let is_of_group =
            group.is_some_and(|tags| reading.batch.tags.iter().all(|tag| tags.binary_search(tag).is_ok()));
        // What a returning node has set aside was compared on disk, and is marked where that could not be.
        let is_known = from == From::Rejoin || self.held.reaches(&reading.identity());
        if !is_of_group || !is_known {
            return Verdict::Refused;
        }
        match admit(&reading, from, &self.held) {
            Some(add) => Verdict::Append(self.append(add)),
            None => Verdict::Held,
        }
    }

    /// A reading that the log lacks, as it is appended now.
    pub fn append(&mut self, add: SlotReading) -> Fact {
        let (identity, group) = (add.identity(), add.batch.group);
        let newest = Held::<SlotReading>::newest(&self.held, identity.stream());
        let is_second = Held::<SlotReading>::good(&self.held, &identity).is_some();
        let skipped = match newest {
            Some(newest) => u32::try_from(identity.order().saturating_sub(newest) - 1).unwrap_or(0),
            None => add.slot.skipped,
        };
        if newest.is_none_or(|newest| identity.order() > newest) {
            self.joining.remove(&group);
        }
        self.held.record(&add);
        add.into_fact(skipped, is_second)
    }

    /// As [`Admission::append`], of the peer or of this node before the epoch: the source of the group may still read
    /// the same slot.
    pub fn append_read_before(&mut self, add: SlotReading) -> Fact {
        let group = add.batch.group;
        let fact = self.append(add);
        self.joining.insert(group);
        fact
    }
}

/// The newest records of a log.
pub struct Newest {
    /// With the plans that number them.
    pub records: Vec<(PlanId, Arc<Record>)>,
    /// Those are all.
    pub is_whole: bool,
}

/// Reads them.
///
/// # Errors
/// They cannot be read.
pub fn newest(log: &mut LogReader) -> Result<Newest, StoreError> {
    let records = log.newest_records(COMPARED_BYTES_MAX)?;
    let first = records.first().map(|(_, record)| &record.fact);
    let is_whole = matches!(first, None | Some(Fact::Activated { previous: Position::ZERO, .. }));
    Ok(Newest { records, is_whole })
}

/// Takes note of records of the log that are numbered by `plan`.
pub fn note<'a>(
    held: &mut HeldIndex<GoodTags>,
    records: impl IntoIterator<Item = &'a (PlanId, Arc<Record>)>,
    (plan, tags): (PlanId, &GroupTags),
) {
    for (_, record) in records.into_iter().filter(|(of, _)| *of == plan) {
        if let Some(reading) = SlotReading::of(&record.fact, |group| tags.get(&group).cloned()) {
            held.record(&reading);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::record::SlotMark;
    use gwp_core::{Column, Kind, Quality, Timestamp};

    const GROUP: GroupId = GroupId(0);
    const PLAN: PlanId = PlanId([1; 16]);

    fn tags() -> Arc<[TagId]> {
        [1, 2].map(TagId).into()
    }

    fn read(number: u64, good: &[bool; 2]) -> Fact {
        let mut batch = Batch::uniform(
            GROUP,
            tags(),
            Timestamp(number as i64),
            Column::uniform(Kind::Int, vec![number; 2]),
        );
        for (index, good) in good.iter().enumerate() {
            let quality = if *good { Quality::GOOD } else { Quality::TIMEOUT };
            batch.qualities.set(index, quality, 2);
        }
        Fact::Samples { slot: SlotMark { number, skipped: 7 }, batch: Arc::new(batch) }
    }

    fn failed(number: u64) -> Fact {
        let slot = SlotMark { number, skipped: 0 };
        Fact::Failed { group: GROUP, slot, time: Timestamp(number as i64), why: Quality::TIMEOUT }
    }

    /// Slot, skipped slots, tags and whether it is marked as a second one or flagged as a late one.
    fn told(fact: &Fact) -> (u64, u32, Vec<u32>, bool) {
        let Fact::Samples { slot, batch } = fact else { panic!("{fact:?}") };
        let tags = batch.tags.iter().map(|tag| tag.0).collect();
        (slot.number, slot.skipped, tags, !batch.repeats.is_empty() || batch.backfill)
    }

    fn log_of(facts: &[Fact]) -> Admission {
        let acting = ActingTags([TagId(7), TagId(8)].into());
        let mut admission = Admission::of_tags(PLAN, [(GROUP, tags())].into(), acting, HeldIndex::default());
        facts.iter().for_each(|fact| assert_eq!(admission.own(fact.clone()).as_ref(), Some(fact)));
        admission
    }

    #[test]
    fn a_source_that_joins_gives_what_the_log_lacks_and_is_not_asked_any_more() {
        let mut log = log_of(&[read(3, &[true; 2]), read(4, &[true; 2])]);
        log.join([GROUP]);
        assert_eq!(log.own(read(3, &[true; 2])), None);
        assert_eq!(log.own(read(4, &[true; 2])), None);
        let next = log.own(failed(6)).unwrap();
        assert_eq!(told(&next), (6, 1, vec![1, 2], false), "its tags turn bad, whatever it has said before");
        assert_eq!(log.own(failed(7)), Some(failed(7)));
        assert_eq!(log.own(Fact::Tick { now: Timestamp(1) }), Some(Fact::Tick { now: Timestamp(1) }));
    }

    #[test]
    fn a_fill_is_taken_once_and_marked_and_what_is_not_known_is_refused() {
        let mut log = log_of(&[read(3, &[true; 2]), read(5, &[true, false]), failed(6), read(8, &[true; 2])]);
        let fill = |log: &mut Admission, fact: Fact| log.peer(&fact, From::Fill, PLAN);
        let Verdict::Append(part) = fill(&mut log, read(5, &[true; 2])) else { panic!() };
        assert_eq!(told(&part), (5, 0, vec![2], true));
        assert_eq!(fill(&mut log, read(5, &[true; 2])), Verdict::Held);
        let Verdict::Append(whole) = fill(&mut log, read(7, &[true; 2])) else { panic!() };
        assert_eq!(told(&whole), (7, 0, vec![1, 2], true), "behind a newer one");
        assert!(matches!(fill(&mut log, read(6, &[true; 2])), Verdict::Append(_)));
        assert_eq!(fill(&mut log, failed(6)), Verdict::Held);
        assert_eq!(
            fill(&mut log, read(2, &[true; 2])),
            Verdict::Refused,
            "the index does not reach back so far"
        );
        assert_eq!(log.peer(&read(9, &[true; 2]), From::Fill, PlanId([2; 16])), Verdict::Refused);
        let Verdict::Append(old) = log.peer(&read(2, &[true; 2]), From::Rejoin, PLAN) else { panic!() };
        assert_eq!(told(&old), (2, 0, vec![1, 2], true));
    }

    #[test]
    fn what_was_read_before_the_epoch_is_followed_by_what_comes_next() {
        let mut log = log_of(&[read(3, &[true; 2])]);
        let of = |fact: &Fact| SlotReading::of(fact, |_| None).unwrap();
        let appended = log.append_read_before(of(&read(4, &[true; 2])));
        assert_eq!(told(&appended), (4, 0, vec![1, 2], false));
        assert_eq!(log.own(read(4, &[true; 2])), None, "the source is compared until it is past it");
        assert_eq!(told(&log.own(read(5, &[true; 2])).unwrap()), (5, 0, vec![1, 2], false));
    }

    #[test]
    fn what_makes_something_happen_is_not_taken_of_a_peer() {
        let mut log = log_of(&[read(3, &[true; 2])]);
        let loose = |tags: &[u32]| {
            let values = Column::uniform(Kind::Int, tags.iter().map(|tag| u64::from(*tag)).collect());
            let tags = tags.iter().copied().map(TagId).collect();
            let batch = Arc::new(Batch::uniform(GroupId::NONE, tags, Timestamp(1), values));
            Fact::Samples { slot: SlotMark::default(), batch }
        };
        assert_eq!(log.peer(&loose(&[7]), From::Rejoin, PLAN), Verdict::Withheld);
        assert_eq!(log.peer(&loose(&[7, 8]), From::Rejoin, PLAN), Verdict::Withheld);
        let Verdict::Append(rest) = log.peer(&loose(&[7, 9]), From::Rejoin, PLAN) else { panic!() };
        assert_eq!(told(&rest), (0, 0, vec![9], true));
        let Fact::Samples { batch, .. } = rest else { panic!() };
        assert_eq!((batch.values.cells.as_slice(), batch.backfill), (&[9][..], true));
        assert_eq!(
            log.peer(&loose(&[9]), From::Fill, PLAN),
            Verdict::Held,
            "a shadow has none without a slot"
        );
    }

    #[test]
    fn another_plan_begins_with_nothing_known() {
        let (tags, held) = ([(GROUP, tags())].into(), HeldIndex::default());
        let mut log = Admission::of_tags(PlanId([2; 16]), tags, ActingTags::default(), held);
        assert_eq!(log.peer(&read(3, &[true; 2]), From::Fill, PLAN), Verdict::Refused);
        assert_eq!(log.peer(&read(3, &[true; 2]), From::Fill, PlanId([2; 16])), Verdict::Refused);
    }
}
