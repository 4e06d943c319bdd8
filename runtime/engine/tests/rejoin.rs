//! What a store that was set aside has and a log lacks: by slot and by sample, once, in bounded batches.

mod support;

use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Kind, PlanId, Position, Quality, Record, TagId, Timestamp};
use gwp_engine::limits::{TAIL_BATCH_BYTES, TAIL_WINDOW_BYTES};
use gwp_engine::{Tail, TailBatch, TailError, TailFound, TailSpan};
use gwp_journal::{LogReader, Store, Work};
use gwp_plan::Plan;
use gwp_plan::plan::{Origin, Tag};
use std::sync::Arc;
use support::{MS, plan};

/// Two tags that are polled, a third that takes orders.
fn two_tags() -> (Plan, PlanId) {
    let mut plan = plan(2, 100, &[]);
    plan.tags.push(Tag { origin: Origin::Orders, ..plan.tags[1].clone() });
    let id = plan.id();
    (plan, id)
}

const ORDERS: u32 = 3;

fn slot(number: u64, good: [bool; 2]) -> Fact {
    let values = Column::uniform(Kind::Int, vec![number, 10 * number]);
    let time = Timestamp(number as i64 * 100 * MS);
    let mut batch = Batch::uniform(GroupId(0), [TagId(1), TagId(2)].into(), time, values);
    for (index, good) in good.into_iter().enumerate() {
        let quality = if good { Quality::GOOD } else { Quality::TIMEOUT };
        batch.qualities.set(index, quality, 2);
    }
    Fact::Samples { slot: SlotMark { number, skipped: 0 }, batch: Arc::new(batch) }
}

/// Samples without a slot: (tag, value), at one time.
fn loose(time: i64, of: &[(u32, u64)]) -> Fact {
    let values = Column::uniform(Kind::Int, of.iter().map(|(_, value)| *value).collect());
    let tags = of.iter().map(|(tag, _)| TagId(*tag)).collect();
    let batch = Batch::uniform(GroupId::NONE, tags, Timestamp(time), values);
    Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) }
}

/// A log of these facts from position 1 of epoch 1 on, after the record that names the plan.
fn log(plan: PlanId, facts: &[Fact]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let all = [&[Fact::Configured { plan }], facts].concat();
    let records = (1u64..).zip(all);
    let records: Vec<_> =
        records.map(|(seq, fact)| Arc::new(Record { position: Position::new(1, seq), fact })).collect();
    // Several frames.
    for some in records.chunks(100) {
        store.commit(Work { records: some.to_vec(), ..Work::default() }, Timestamp(1)).unwrap();
    }
    (dir, store)
}

fn span(store: &Store, above: u64) -> TailSpan {
    TailSpan { above: Position::new(1, above), upto: store.durable(), ..TailSpan::default() }
}

/// All batches.
fn all(tail: &mut Tail, log: &mut LogReader) -> Vec<TailBatch> {
    std::iter::from_fn(|| tail.next(log, &|| false).unwrap()).collect()
}

fn facts(batches: Vec<TailBatch>) -> Vec<Fact> {
    batches.into_iter().flat_map(|batch| batch.facts).collect()
}

#[test]
fn only_what_the_log_lacks_is_given_and_nothing_that_acts() {
    let (plan, id) = two_tags();
    let failed = Fact::Failed {
        group: GroupId(0),
        slot: SlotMark { number: 9, skipped: 0 },
        time: Timestamp(900 * MS),
        why: Quality::TIMEOUT,
    };
    let common = [slot(1, [true; 2])];
    let tail = [
        slot(2, [true; 2]),
        slot(3, [true; 2]),
        slot(4, [true, false]),
        loose(70, &[(1, 5), (ORDERS, 6)]),
        loose(71, &[(ORDERS, 7)]),
        loose(72, &[(1, 5), (2, 8)]),
        failed.clone(),
        Fact::Tick { now: Timestamp(5) },
    ];
    let (_dir, aside) = log(id, &[&common[..], &tail].concat());
    let other = [slot(2, [true, false]), slot(3, [true; 2]), loose(72, &[(2, 8)]), failed];
    let (_other, mine) = log(id, &[&common[..], &other].concat());
    let mut tail = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 2));
    let batches = all(&mut tail, &mut mine.log_reader());
    assert_eq!(batches.iter().map(|batch| batch.upto).collect::<Vec<_>>(), [aside.durable()]);
    let given = facts(batches);
    let told: Vec<(i64, Vec<u32>)> = given
        .iter()
        .map(|fact| {
            let Fact::Samples { batch, .. } = fact else { panic!("{fact:?}") };
            (batch.times.get(0).0, batch.tags.iter().map(|tag| tag.0).collect())
        })
        .collect();
    assert_eq!(told, [(200 * MS, vec![2]), (400 * MS, vec![1, 2]), (70, vec![1]), (72, vec![1])]);
    assert_eq!(tail.found(), &TailFound { lacking: 5, held: 4, withheld: 2, ..TailFound::default() });
    assert_eq!(all(&mut tail, &mut mine.log_reader()), []);

    // What has come of it in the log is not given again.
    let (_other, mine) = log(id, &[&common[..], &other, &given].concat());
    let mut again = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 2));
    assert_eq!(all(&mut again, &mut mine.log_reader()), []);
    assert_eq!((again.found().lacking, again.at()), (0, aside.durable()));
}

#[test]
fn what_stands_beside_another_sample_or_cannot_be_compared_has_a_repeat_number() {
    let (plan, id) = two_tags();
    let tail = [loose(5, &[(1, 1), (2, 2)]), slot(7, [true; 2])];
    let (_dir, aside) = log(id, &tail);
    let (_other, mine) = log(id, &[loose(5, &[(1, 9)])]);
    let repeats = |tail: &mut Tail, log: &mut LogReader| -> Vec<Vec<u32>> {
        let given = facts(all(tail, log));
        let of = |fact: &Fact| match fact {
            Fact::Samples { batch, .. } => (0..batch.len()).map(|index| batch.repeat(index)).collect(),
            _ => panic!(),
        };
        given.iter().map(of).collect()
    };
    let mut tail = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 0));
    assert_eq!(repeats(&mut tail, &mut mine.log_reader()), [[1, 0], [0, 0]]);
    // A log that begins behind where the two part.
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let record = Record { position: Position::new(2, 4), fact: Fact::Configured { plan: id } };
    let work = Work { records: vec![Arc::new(record)], ..Work::default() };
    store.commit(work, Timestamp(1)).unwrap();
    assert!(!store.log_reader().reaches(Position::new(1, 0)).unwrap());
    let mut tail = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 0));
    assert_eq!(repeats(&mut tail, &mut store.log_reader()), [[1, 1], [1, 1]]);
}

#[test]
fn a_long_tail_comes_in_bounded_batches_and_goes_on_where_it_was() {
    let (plan, id) = two_tags();
    let one = match slot(1, [true; 2]) {
        Fact::Samples { batch, .. } => batch.bytes(),
        _ => panic!(),
    };
    let count = (TAIL_WINDOW_BYTES / one) as u64;
    let slots: Vec<Fact> = (1..=count).map(|number| slot(number, [true; 2])).collect();
    let (_dir, aside) = log(id, &slots);
    // Each third one is there already.
    let (_other, mine) = log(id, &slots.iter().step_by(3).cloned().collect::<Vec<_>>());
    let mut log = mine.log_reader();
    let mut tail = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 1));
    let batches = all(&mut tail, &mut log);
    assert!(batches.len() > 3 && batches.is_sorted_by_key(|batch| batch.upto), "{}", batches.len());
    for batch in &batches {
        assert!(batch.facts.len() * one <= TAIL_BATCH_BYTES + one, "{}", batch.facts.len());
    }
    let done = batches[1].upto;
    let given = facts(batches);
    let wanted: Vec<Fact> =
        slots.iter().enumerate().filter(|(index, _)| index % 3 != 0).map(|(_, slot)| slot.clone()).collect();
    assert!(given == wanted, "{} of {}", given.len(), wanted.len());
    let further = TailSpan { done: [(id, done)].into(), ..span(&aside, 1) };
    let mut tail = Tail::new(aside.log_reader(), Some(&plan), id, further);
    let first = tail.next(&mut log, &|| false).unwrap().unwrap();
    let after = wanted.iter().position(|fact| *fact == first.facts[0]).unwrap();
    assert_eq!(given[after..], facts([vec![first], all(&mut tail, &mut log)].concat()));
    let Fact::Samples { slot: last, .. } = &wanted[after - 1] else { panic!() };
    let Fact::Samples { slot: next, .. } = &wanted[after] else { panic!() };
    // The record that names the plan is the first.
    assert!(last.number < done.seq && done.seq < next.number + 1, "{last:?} {done} {next:?}");
}

#[test]
fn records_of_other_plans_stay_and_who_is_in_a_hurry_gets_the_same_batch_later() {
    let (plan, id) = two_tags();
    let other = PlanId([9; 16]);
    let tail = [slot(1, [true; 2]), Fact::Configured { plan: other }, slot(2, [true; 2]), slot(3, [true; 2])];
    let (_dir, aside) = log(id, &tail);
    let (_mine, mine) = log(id, &[]);
    let mut log = mine.log_reader();
    let mut of_plan = Tail::new(aside.log_reader(), Some(&plan), id, span(&aside, 0));
    assert!(matches!(of_plan.next(&mut log, &|| true), Err(TailError::Over)));
    assert_eq!(facts(all(&mut of_plan, &mut log)), [slot(1, [true; 2])]);
    assert_eq!(of_plan.found().other_plans, [(other, 2)].into());
    // Once that one is done, nothing is left of it.
    let done = TailSpan { done: [(other, aside.durable())].into(), ..span(&aside, 0) };
    let mut of_plan = Tail::new(aside.log_reader(), Some(&plan), id, done);
    assert_eq!(facts(all(&mut of_plan, &mut log)), [slot(1, [true; 2])]);
    assert!(of_plan.found().other_plans.is_empty());
    // Of a plan that it does not know there is nothing.
    let mut unknown = Tail::new(aside.log_reader(), None, PlanId([7; 16]), span(&aside, 0));
    assert_eq!(all(&mut unknown, &mut log), []);
    assert_eq!(unknown.found().other_plans, [(id, 1), (other, 2)].into());
}
