use super::*;
use crate::expr::{BinaryOp, Expr, Function, Type, Word};
use crate::plan::tests::plan as tags;
use crate::plan::{
    BadPolicy, Calc, FullPolicy, JournalPolicy, MirrorPolicy, Order, Origin, RetryPolicy, Route, SinkPlan,
    Stage,
};
use crate::schedule::WeekSchedule;
use gwp_core::record::SlotMark;
use gwp_core::{Kind, Position, Settings, Times};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
/// Tags 0 to 9 are polled together; 10, 11 and 12 are calcs, 13 comes unsolicited.
const POLLED: u32 = 10;

fn tag(index: u32) -> Box<Expr> {
    Box::new(Expr::Tag(TagId(index), Type::Float))
}

fn add(a: u32, b: u32) -> Expr {
    Expr::Binary(BinaryOp::Add, tag(a), tag(b))
}

fn above(limit: f64) -> Stage {
    let value = Box::new(Expr::Word(Word::Value(Type::Float)));
    Stage::Where(Expr::Binary(BinaryOp::Gt, value, Box::new(Expr::Const(Value::Float(limit)))))
}

fn route(flow: &str, tags: &[u32], stages: Vec<Stage>) -> Route {
    let tags = tags.iter().copied().map(TagId).collect();
    Route {
        flow: flow.into(),
        tags,
        stages,
        window: None,
        row_conditions: Vec::new(),
        names: BTreeMap::new(),
        high_priority: false,
    }
}

fn plan(bad: BadPolicy, routes: Vec<Route>) -> Plan {
    let mut plan = tags(14);
    plan.groups[0].tags = (0..POLLED).map(TagId).collect();
    (10..13).for_each(|index: usize| plan.tags[index].origin = Origin::Calc);
    plan.calcs = vec![
        Calc::pure(TagId(10), add(0, 1)),
        Calc::pure(TagId(11), add(10, 13)),
        Calc::pure(
            TagId(12),
            Expr::Call(Function::Within(WeekSchedule::parse("00:00-12:00", "UTC").unwrap()), vec![]),
        ),
    ];
    plan.sinks.push(SinkPlan {
        name: "s".into(),
        driver: "d".into(),
        settings: Settings::default(),
        journal: JournalPolicy {
            capacity_bytes: 1 << 30,
            keep_ns: 1 << 60,
            full: FullPolicy::DropOldest,
            mirror: MirrorPolicy::Async,
        },
        retry: RetryPolicy { first_ns: 1, max_ns: 2 },
        order: Order::PerTag,
        key: Vec::new(),
        bad,
        dead_letter: None,
        routes,
    });
    plan
}

fn lane(plan: Plan) -> Lane {
    Lane::new(Arc::new(plan), 0)
}

fn record(fact: Fact) -> Record {
    Record { position: Position::new(1, 1), fact }
}

fn samples(batch: Batch) -> Record {
    // The slots of these tests are whole seconds.
    let number = if batch.group == GroupId::NONE { 0 } else { (batch.times.get(0).0 / SECOND) as u64 };
    record(Fact::Samples { slot: SlotMark { number, skipped: 0 }, batch: Arc::new(batch) })
}

/// A slot of the poll group: `None` is a bad sample without a value.
fn slot(second: i64, values: [Option<f64>; POLLED as usize]) -> Record {
    let mut column = Column::new();
    values.iter().for_each(|value| column.push(value.map_or(Value::Nothing, Value::Float)));
    let tags = (0..POLLED).map(TagId).collect();
    let mut batch = Batch::uniform(GroupId(0), tags, Timestamp(second * SECOND), column);
    for (index, value) in values.iter().enumerate() {
        if value.is_none() {
            batch.qualities.set(index, Quality::TIMEOUT, values.len());
        }
    }
    samples(batch)
}

fn all(value: f64) -> [Option<f64>; POLLED as usize] {
    [Some(value); POLLED as usize]
}

/// Unsolicited samples: (tag, second, value).
fn loose(of: &[(u32, i64, f64)]) -> Record {
    let cells = of.iter().map(|(.., value)| value.to_bits()).collect();
    let tags = of.iter().map(|(tag, ..)| TagId(*tag)).collect();
    let mut batch = Batch::uniform(GroupId::NONE, tags, Timestamp(0), Column::uniform(Kind::Float, cells));
    batch.times = Times::Each(of.iter().map(|(_, second, _)| Timestamp(second * SECOND)).collect());
    samples(batch)
}

fn tick(second: i64) -> Record {
    record(Fact::Tick { now: Timestamp(second * SECOND) })
}

fn step(lane: &mut Lane, record: &Record) -> Vec<Entry> {
    let mut out = Vec::new();
    lane.step(record, &mut out);
    for entry in &out {
        check_payload(record, entry);
    }
    out
}

/// A reference means exactly the samples it stands for.
fn check_payload(record: &Record, entry: &Entry) {
    if let Payload::Reference { bits, batch } = &entry.payload {
        let Fact::Samples { batch: whole, .. } = &record.fact else { panic!("no samples to refer to") };
        let meant = bits.as_ref().map_or_else(|| Batch::clone(whole), |bits| unpack(whole, bits));
        assert_eq!(format!("{meant:?}"), format!("{batch:?}"));
    }
    assert!(!entry.payload.batch().is_empty());
    assert!(entry.payload.batch().len() <= BATCH_SAMPLES_MAX);
}

/// (route, tag, second, value, quality) of all samples in entries.
fn shown(entries: &[Entry]) -> Vec<(u32, u32, i64, Value, Quality)> {
    let of = |entry: &Entry| {
        let (route, batch) = (entry.route, entry.payload.batch().clone());
        (0..batch.len())
            .map(|i| {
                let time = batch.times.get(i).0 / SECOND;
                (route, batch.tags[i].0, time, batch.values.get(i), batch.qualities.get(i))
            })
            .collect::<Vec<_>>()
    };
    entries.iter().flat_map(of).collect()
}

fn values_of(entries: &[Entry], tag: u32) -> Vec<(i64, Value)> {
    shown(entries).into_iter().filter(|s| s.1 == tag).map(|(_, _, at, value, _)| (at, value)).collect()
}

#[test]
fn backfill_is_delivered_and_is_not_the_present() {
    let mut lane = lane(plan(BadPolicy::Null, vec![route("r", &[11, 13], Vec::new())]));
    step(&mut lane, &slot(1, all(1.0)));
    step(&mut lane, &loose(&[(13, 5, 7.0)]));
    step(&mut lane, &slot(6, all(1.0)));
    let now = |lane: &Lane| (lane.latest(TagId(13)), lane.latest(TagId(11)));
    let before = now(&lane);
    assert_eq!(before.1.as_ref().map(|(value, ..)| value.clone()), Some(Value::Float(9.0)));
    let late = |of: Record| match of.fact {
        Fact::Samples { slot, mut batch } => {
            Arc::make_mut(&mut batch).backfill = true;
            record(Fact::Samples { slot, batch })
        }
        _ => panic!(),
    };
    let entries = step(&mut lane, &late(loose(&[(13, 2, 100.0)])));
    assert_eq!(entries.len(), 1, "it passes, and nothing is computed of it");
    assert_eq!(now(&lane), before);
    step(&mut lane, &late(loose(&[(13, 7, 8.0)])));
    step(&mut lane, &slot(8, all(1.0)));
    assert_eq!(now(&lane).0.map(|(value, ..)| value), Some(Value::Float(8.0)), "it is newer");
}

#[test]
fn a_calc_is_evaluated_once_per_record_and_a_chain_follows() {
    let mut lane = lane(plan(BadPolicy::Send, vec![route("f", &[10, 11], vec![])]));
    let first = shown(&step(&mut lane, &slot(1, all(2.0))));
    // Both inputs are in the record: one result, not two; the chain waits for tag 13.
    assert_eq!(first[0], (0, 10, 1, Value::Float(4.0), Quality::GOOD));
    assert_eq!((first.len(), first[1].1, first[1].4), (2, 11, Quality::WAITING));
    // What was computed at a time already is computed again, told apart by its repeat number.
    let again = step(&mut lane, &loose(&[(13, 1, 0.5)]));
    assert_eq!(shown(&again), [(0, 11, 1, Value::Float(4.5), Quality::GOOD)]);
    assert_eq!(again[0].payload.batch().repeat(0), 1);
    // A sample of the next slot's time waits for the slot: one result, not two.
    assert!(step(&mut lane, &loose(&[(13, 2, 1.5)])).is_empty());
    let joined = step(&mut lane, &slot(2, all(2.0)));
    assert_eq!(values_of(&joined, 11), [(2, Value::Float(5.5))]);
    assert_eq!(joined[0].payload.batch().repeat(0), 0);
    let mut one_bad = all(2.0);
    one_bad[1] = None;
    let bad = shown(&step(&mut lane, &slot(3, one_bad)));
    assert_eq!(bad[0], (0, 10, 3, Value::Nothing, Quality::TIMEOUT));
    assert_eq!(bad[1], (0, 11, 3, Value::Nothing, Quality::TIMEOUT));
}

#[test]
fn interleaved_device_times_are_computed_time_by_time() {
    let mut plan = plan(BadPolicy::Send, vec![route("f", &[10], vec![])]);
    plan.groups[0].period_ns = 0;
    let mut lane = lane(plan);
    let record = loose(&[(0, 1, 1.0), (0, 2, 2.0), (1, 1, 10.0), (1, 2, 20.0), (1, 3, 30.0)]);
    let sums = values_of(&step(&mut lane, &record), 10);
    let expected = [(1, 11.0), (2, 22.0), (3, 32.0)].map(|(at, value)| (at, Value::Float(value)));
    assert_eq!(sums, expected);
}

#[test]
fn the_clock_alone_drives_a_schedule_and_only_changes_show() {
    let mut lane = lane(plan(BadPolicy::Send, vec![route("f", &[12], vec![])]));
    assert_eq!(values_of(&step(&mut lane, &tick(10)), 12), [(10, Value::Bool(true))]);
    assert!(step(&mut lane, &tick(11)).is_empty());
    let noon = 12 * 3600;
    assert!(step(&mut lane, &tick(noon - 1)).is_empty());
    assert_eq!(values_of(&step(&mut lane, &tick(noon)), 12), [(noon, Value::Bool(false))]);
    assert!(step(&mut lane, &slot(noon, all(1.0))).is_empty());
}

#[test]
fn a_poll_group_passes_by_reference_and_few_samples_by_value() {
    let everything: Vec<u32> = (0..POLLED).collect();
    let routes = vec![
        route("a", &everything, vec![]),
        route("b", &everything, vec![above(1.5)]),
        route("c", &[0, 1], vec![]),
    ];
    let mut lane = lane(plan(BadPolicy::Send, routes));
    let mut values = all(2.0);
    values[4] = Some(1.0);
    let record = slot(1, values);
    let entries = step(&mut lane, &record);
    assert_eq!(entries.iter().map(|entry| entry.route).collect::<Vec<_>>(), [0, 1, 2]);
    let Fact::Samples { batch, .. } = &record.fact else { panic!() };
    match &entries[0].payload {
        Payload::Reference { bits: None, batch: passed } => assert!(Arc::ptr_eq(passed, batch)),
        other => panic!("{other:?}"),
    }
    match &entries[1].payload {
        Payload::Reference { bits: Some(bits), batch } => {
            assert_eq!((&bits[..], batch.len()), ([0b1110_1111, 0b11].as_slice(), 9));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(&entries[2].payload, Payload::Values(batch) if batch.len() == 2));
}

#[test]
fn bad_samples_are_skipped_or_replaced_by_the_last_usable() {
    let mut gap = all(2.0);
    gap[3] = None;
    let everything: Vec<u32> = (0..POLLED).collect();
    for bad in [BadPolicy::Send, BadPolicy::Null, BadPolicy::Skip, BadPolicy::Last] {
        let mut lane = lane(plan(bad, vec![route("f", &everything, vec![])]));
        let first = shown(&step(&mut lane, &slot(1, gap)));
        step(&mut lane, &slot(2, all(7.0)));
        let third = shown(&step(&mut lane, &slot(3, gap)));
        let of = |samples: &[(u32, u32, i64, Value, Quality)]| {
            samples.iter().find(|sample| sample.1 == 3).map(|sample| (sample.3.clone(), sample.4))
        };
        let sent = Some((Value::Nothing, Quality::TIMEOUT));
        match bad {
            BadPolicy::Skip => assert_eq!((of(&first), of(&third), third.len()), (None, None, 9)),
            BadPolicy::Last => {
                let held = Some((Value::Float(7.0), Quality::LAST_USABLE));
                assert_eq!((of(&first), of(&third), third.len()), (sent, held, 10));
            }
            _ => assert_eq!((of(&first), of(&third), third.len()), (sent.clone(), sent, 10)),
        }
    }
}

/// One poll group can feed more calcs than a batch may have samples.
#[test]
fn many_computed_samples_are_split_into_batches() {
    let mut wide = plan(BadPolicy::Send, vec![]);
    let count = 2 * BATCH_SAMPLES_MAX as u32 + 300;
    let first = wide.tags.len() as u32;
    for index in 0..count {
        let mut tag = wide.tags[10].clone();
        tag.info.path = format!("w.t{index:05}").into();
        wide.tags.push(tag);
        wide.calcs.push(Calc::pure(TagId(first + index), add(0, 1)));
    }
    let computed: Vec<u32> = (first..first + count).collect();
    wide.sinks[0].routes = vec![route("f", &computed, vec![]), route("g", &[0, first], vec![])];
    let mut lane = lane(wide);
    let entries = step(&mut lane, &slot(1, all(3.0)));
    let tags: Vec<u32> = shown(&entries).into_iter().filter(|s| s.0 == 0).map(|s| s.1).collect();
    assert_eq!(tags, computed);
    assert!(entries.is_sorted_by_key(|entry| entry.route));
    assert_eq!(entries.iter().filter(|entry| entry.route == 0).count(), 3);
}

/// A slot of one of two poll groups of five tags each, one second apart in their slots.
fn half(group: u32, second: i64, value: f64) -> Record {
    let tags = (group * 5..group * 5 + 5).map(TagId).collect();
    let column = Column::uniform(Kind::Float, vec![value.to_bits(); 5]);
    samples(Batch::uniform(GroupId(group), tags, Timestamp(second * SECOND), column))
}

fn failed(group: u32, second: i64) -> Record {
    let (slot, time) = (SlotMark::default(), Timestamp(second * SECOND));
    record(Fact::Failed { group: GroupId(group), slot, time, why: Quality::TIMEOUT })
}

/// A calc over two devices: tag 10 = tag 0 + tag 5.
fn two_devices() -> Lane {
    let mut plan = plan(BadPolicy::Send, vec![route("f", &[10], vec![])]);
    plan.calcs = vec![Calc::pure(TagId(10), add(0, 5))];
    plan.groups.push(plan.groups[0].clone());
    plan.groups[0].tags = (0..5).map(TagId).collect();
    plan.groups[1].tags = (5..10).map(TagId).collect();
    lane(plan)
}

#[test]
fn values_read_at_one_time_by_two_devices_give_one_result() {
    let mut lane = two_devices();
    assert!(step(&mut lane, &half(0, 1, 1.0)).is_empty());
    assert_eq!(values_of(&step(&mut lane, &half(1, 1, 10.0)), 10), [(1, Value::Float(11.0))]);
    // The other order, and one of them two slots behind.
    assert!(step(&mut lane, &half(1, 2, 20.0)).is_empty());
    assert!(step(&mut lane, &half(1, 3, 30.0)).is_empty());
    assert_eq!(values_of(&step(&mut lane, &half(0, 2, 2.0)), 10), [(2, Value::Float(22.0))]);
    assert_eq!(values_of(&step(&mut lane, &half(0, 3, 3.0)), 10), [(3, Value::Float(33.0))]);
    // A slot that failed again has no samples, but is over.
    assert!(step(&mut lane, &half(0, 4, 4.0)).is_empty());
    assert_eq!(values_of(&step(&mut lane, &failed(1, 4)), 10), [(4, Value::Float(34.0))]);
    assert_eq!(lane.late(), 0);
}

#[test]
fn a_device_that_gives_nothing_is_waited_for_only_so_long() {
    let mut lane = two_devices();
    step(&mut lane, &tick(0));
    assert!(step(&mut lane, &half(0, 1, 1.0)).is_empty());
    assert!(step(&mut lane, &tick(12)).is_empty());
    // Then it keeps nobody waiting.
    assert_eq!(values_of(&step(&mut lane, &tick(13)), 10), [(1, Value::Nothing)]);
    assert_eq!(values_of(&step(&mut lane, &half(0, 14, 1.5)), 10), [(14, Value::Nothing)]);
    // Once it is back it counts again; its slot was overtaken.
    assert!(step(&mut lane, &half(1, 13, 9.0)).is_empty());
    assert_eq!(lane.late(), 1);
    assert!(step(&mut lane, &half(0, 15, 2.0)).is_empty());
    assert_eq!(values_of(&step(&mut lane, &half(1, 15, 10.0)), 10), [(15, Value::Float(12.0))]);
}

/// Everything that keeps state, on two ways of one flow.
fn stateful(bad: BadPolicy) -> Plan {
    let everything: Vec<u32> = (0..POLLED).chain([10, 11, 12, 13]).collect();
    let band: BTreeMap<TagId, f64> = (0..5).map(|index| (TagId(index), 0.7)).collect();
    let reads_latest = Stage::Where(Expr::Binary(BinaryOp::Ge, tag(10), tag(13)));
    plan(
        bad,
        vec![
            route("f", &everything, vec![Stage::Deadband(band.clone())]),
            route("f", &everything, vec![Stage::Deadband((0..5).map(|i| (TagId(i), 2.5)).collect())]),
            route("g", &everything, vec![Stage::Changes { deadband: band, heartbeat_ns: Some(5 * SECOND) }]),
            route("h", &everything, vec![above(-1.0), Stage::Sample { period_ns: 3 * SECOND }, reads_latest]),
        ],
    )
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let value = || prop_oneof![6 => (-3i64..4).prop_map(|v| Some(v as f64 / 2.0)), 1 => Just(None)];
    let one = prop_oneof![
        4 => proptest::collection::vec(value(), POLLED as usize).prop_map(|values| (values, Vec::new())),
        2 => proptest::collection::vec((prop_oneof![Just(13u32), 0u32..3], 0i64..3, -3i64..4), 1..5)
            .prop_map(|loose| (Vec::new(), loose)),
        1 => Just((Vec::new(), Vec::new())),
    ];
    proptest::collection::vec(one, 1..25).prop_map(|all| {
        (0i64..)
            .zip(all)
            .map(|(second, (values, unsolicited))| {
                // Around noon, so that the schedule changes on the way.
                let second = second + 12 * 3600 - 8;
                if let Ok(values) = <[Option<f64>; POLLED as usize]>::try_from(values) {
                    slot(second, values)
                } else if unsolicited.is_empty() {
                    tick(second)
                } else {
                    let of = |(tag, ago, value): (u32, i64, i64)| (tag, second - ago, value as f64 / 2.0);
                    loose(&unsolicited.into_iter().map(of).collect::<Vec<_>>())
                }
            })
            .collect()
    })
}

fn policies() -> impl Strategy<Value = BadPolicy> {
    prop_oneof![Just(BadPolicy::Send), Just(BadPolicy::Skip), Just(BadPolicy::Last)]
}

/// The same plan with its tags in the opposite order; calcs and routes follow.
fn renumbered(plan: &Plan) -> Plan {
    let last = plan.tags.len() as u32 - 1;
    let to = |tag: TagId| TagId(last - tag.0);
    let mut next = plan.clone();
    next.tags.reverse();
    let mut group: Vec<TagId> = plan.groups[0].tags.iter().map(|tag| to(*tag)).collect();
    group.sort_unstable();
    next.groups[0].tags = group.into();
    for calc in &mut next.calcs {
        calc.tag = to(calc.tag);
        renumber(&mut calc.expr, &to);
    }
    for route in &mut next.sinks[0].routes {
        route.tags = route.tags.iter().map(|tag| to(*tag)).rev().collect();
        for stage in &mut route.stages {
            match stage {
                Stage::Where(expr) => renumber(expr, &to),
                Stage::Deadband(bands) | Stage::Changes { deadband: bands, .. } => {
                    *bands = bands.iter().map(|(tag, band)| (to(*tag), *band)).collect();
                }
                Stage::Sample { .. } => {}
            }
        }
    }
    next
}

fn renumber(expr: &mut Expr, to: &dyn Fn(TagId) -> TagId) {
    match expr {
        Expr::Tag(tag, _) => *tag = to(*tag),
        Expr::Binary(_, a, b) => {
            renumber(a, to);
            renumber(b, to);
        }
        _ => {}
    }
}

/// A record as it is numbered under the renumbered plan.
fn renumbered_record(record: &Record, last: u32) -> Record {
    let Fact::Samples { slot, batch } = &record.fact else { return record.clone() };
    let indexes: Vec<u32> = match batch.group {
        GroupId::NONE => (0..batch.len() as u32).collect(),
        _ => (0..batch.len() as u32).rev().collect(),
    };
    let tags = indexes.iter().map(|&index| TagId(last - batch.tags[index as usize].0)).collect();
    Record {
        position: record.position,
        fact: Fact::Samples { slot: *slot, batch: Arc::new(batch.select(&indexes, tags)) },
    }
}

fn run(lane: &mut Lane, records: &[Record]) -> Vec<Vec<(u32, u32, i64, String)>> {
    let one = |record: &Record| {
        let entries = step(lane, record);
        let line = |(route, tag, at, value, quality)| (route, tag, at, format!("{value:?} {quality}"));
        shown(&entries).into_iter().map(line).collect()
    };
    records.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_lane_goes_on_as_the_same(records in records(), cut in any::<usize>(), bad in policies()) {
        let plan = Arc::new(stateful(bad));
        let id = plan.id();
        let cut = cut % records.len();
        let mut whole = Lane::new(plan.clone(), 0);
        let meant = run(&mut whole, &records);
        let mut first = Lane::new(plan.clone(), 0);
        run(&mut first, &records[..cut]);
        let snapshot = first.snapshot(id);
        let mut second = Lane::new(plan, 0);
        second.restore(id, &snapshot).unwrap();
        prop_assert_eq!(second.snapshot(id), snapshot);
        prop_assert_eq!(run(&mut second, &records[cut..]), &meant[cut..]);
        prop_assert_eq!(second.snapshot(id), whole.snapshot(id));
    }

    #[test]
    fn a_change_of_the_plan_keeps_state_by_name(records in records(), cut in any::<usize>(), bad in policies()) {
        let plan = stateful(bad);
        let last = plan.tags.len() as u32 - 1;
        let next = Arc::new(renumbered(&plan));
        let cut = cut % records.len();
        let mut whole = lane(plan.clone());
        let mut meant = run(&mut whole, &records);
        let mut first = lane(plan);
        run(&mut first, &records[..cut]);
        let mut second = first.migrate(next, 0);
        let renumbered: Vec<Record> = records.iter().map(|record| renumbered_record(record, last)).collect();
        let mut got = run(&mut second, &renumbered[cut..]);
        // The order of tags within a record follows their numbers.
        got.iter_mut().flatten().for_each(|sample| sample.1 = last - sample.1);
        got.iter_mut().chain(&mut meant).for_each(|record| record.sort());
        prop_assert_eq!(got, &meant[cut..]);
    }

    #[test]
    fn damaged_snapshots_are_refused_or_plain_state(records in records(), at in any::<usize>(), bits in 1u8..) {
        let plan = Arc::new(stateful(BadPolicy::Last));
        let id = plan.id();
        let mut lane = Lane::new(plan.clone(), 0);
        run(&mut lane, &records);
        let mut bytes = lane.snapshot(id);
        let cut = at % bytes.len();
        prop_assert!(Lane::new(plan.clone(), 0).restore(id, &bytes[..cut]).is_err());
        bytes[cut] ^= bits;
        let _ = Lane::new(plan.clone(), 0).restore(id, &bytes);
        prop_assert!(Lane::new(plan, 0).restore(gwp_core::PlanId([9; 16]), &lane.snapshot(id)).is_err());
    }
}
