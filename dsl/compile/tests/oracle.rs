//! Windows over generated streams against a naive computation: gaps, bad samples, duplicates of a time, late
//! samples, days with 23 hours, counters that wrap.

mod manifests;
mod naive;
mod streams;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use gwp_core::quality::Severity;
use gwp_core::{Batch, Fact, GroupId, Quality, Record, Value};
use gwp_plan::{Entry, Lane, Origin, Plan};
use manifests::{compiled, words};
use naive::{Kind, Row};
use proptest::prelude::*;
use streams::{
    BEGINS, NS, Sample, TAGS, Tag, activated, arriving, batch, samples, slots, sorted_by_arrival, steps, tick,
};

const COLUMNS: &str = "{
  a = avg(x), lo = min(x), hi = max(x), f = first(x), l = last(x), m = mean(x), sm = sum(x), c = count(x)
  sd = stddev(x), e = integral(x), made = increase(n), t = time_in(b), tx = time_in(x > 1)
}";

/// The window, its kind, the unit of time of its streams in seconds, and how long it waits in seconds.
const WINDOWS: [(&str, Kind, i64, i64); 11] = [
    ("every 1 min", Kind::Elapsed(60), 7, 0),
    ("every 1 min wait 45 s", Kind::Elapsed(60), 10, 45),
    ("every 5 min", Kind::Elapsed(300), 30, 0),
    ("every 1 h", Kind::Elapsed(3_600), 600, 0),
    ("every 6 h", Kind::Clock(6, 0), 1_800, 0),
    ("every 12 h at 02:30", Kind::Clock(12, 150), 3_600, 0),
    ("every 1 d", Kind::Clock(24, 0), 3_600, 0),
    ("every 1 d at 02:30", Kind::Clock(24, 150), 3_600, 0),
    ("every 10 s over 40 s", Kind::Over(10, 40), 3, 0),
    ("on b", Kind::On, 5, 0),
    ("while b", Kind::While, 5, 0),
];

/// Units of time that samples of the device may be late.
const LATE_UNITS: i64 = 3;

fn program(source: &str, window: &str, unit: i64) -> Arc<Plan> {
    program_of(source, window, unit, "", COLUMNS)
}

fn program_of(source: &str, window: &str, unit: i64, calcs: &str, columns: &str) -> Arc<Plan> {
    let settings = match source {
        "simulator" => format!("scan = {unit} s"),
        _ => format!("time = device, late = {} s, on_disconnect = hold(1 h)", unit * LATE_UNITS),
    };
    let result = compiled(&format!(
        r#"gateway g {{ timezone = "Europe/Berlin" }}
source s : {source} {{
  {settings}
  tag x at "1" : real
  tag n at "2" : uint counter 0..999
  tag b at "3" : bool
  {calcs}}}
sink out : console {{ journal {{ full = drop_oldest }} }}
flow w = s -> {window} {columns} -> out
"#
    ));
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result))))
}

/// Programs by window, compiled once.
fn plans(source: &'static str) -> &'static [Arc<Plan>] {
    static POLLED: OnceLock<Vec<Arc<Plan>>> = OnceLock::new();
    static REPORTED: OnceLock<Vec<Arc<Plan>>> = OnceLock::new();
    let all = || WINDOWS.iter().map(|(window, _, unit, _)| program(source, window, *unit)).collect();
    if source == "simulator" { POLLED.get_or_init(all) } else { REPORTED.get_or_init(all) }
}

fn run(lane: &mut Lane, records: &[Record]) -> Vec<Entry> {
    let mut out = Vec::new();
    records.iter().for_each(|record| lane.step(record, &mut out));
    out
}

/// Rows as batches, in the order in which they were issued.
fn batches(plan: &Arc<Plan>, records: &[Record]) -> Vec<Batch> {
    let entries = run(&mut Lane::new(plan.clone(), 0), records);
    let is_row = |batch: &Batch| plan.tag(batch.tags[0]).is_some_and(|tag| tag.origin == Origin::Column);
    entries.iter().map(|entry| (**entry.payload.batch()).clone()).filter(is_row).collect()
}

fn column(plan: &Plan, row: &Batch, name: &str) -> (Value, Quality) {
    let is = |index: &usize| {
        plan.tag(row.tags[*index]).is_some_and(|tag| tag.info.path.ends_with(&format!(".{name}")))
    };
    let index = (0..row.len()).find(is).expect("a column");
    (row.values.get(index), row.qualities.get(index))
}

fn time(value: &Value) -> i64 {
    match value {
        Value::Time(time) => time.0,
        other => panic!("{other:?} is no time"),
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// How a row differs from what it must be, if it does.
fn difference(plan: &Plan, row: &Batch, meant: &Row) -> Option<String> {
    let value = |name: &str| column(plan, row, name);
    if (time(&value("start").0), time(&value("end").0)) != (meant.start, meant.end) {
        return Some(format!("[{:?}, {:?}) is not {meant:?}", value("start"), value("end")));
    }
    let coverage = value("coverage").0.as_f64().expect("a number");
    if !near(coverage, meant.coverage) {
        return Some(format!("coverage {coverage}, not {meant:?}"));
    }
    let wrong = |(name, meant): (&&str, &Option<(f64, bool)>)| {
        let (value, quality) = column(plan, row, name);
        let severity = match meant {
            None => Severity::Bad,
            Some((_, true)) => Severity::Good,
            Some((_, false)) => Severity::Uncertain,
        };
        let equal = match (meant, value.as_f64()) {
            (Some((meant, _)), Some(value)) => near(*meant, value),
            (meant, value) => meant.is_none() && value.is_none(),
        };
        (!equal || quality.severity() != severity)
            .then(|| format!("{name}: {value:?} {quality}, not {meant:?}"))
    };
    let wrong: Vec<String> = meant.columns.iter().filter_map(wrong).collect();
    (!wrong.is_empty()).then(|| format!("{} in [{}, {})", wrong.join("; "), meant.start, meant.end))
}

fn compare(plan: &Plan, rows: &[Batch], meant: &[Row]) -> Result<(), TestCaseError> {
    for (row, meant) in rows.iter().zip(meant) {
        let difference = difference(plan, row, meant);
        prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
    prop_assert_eq!(rows.len(), meant.len());
    Ok(())
}

/// A stream of the reporting device, and up to where its rows are complete.
fn reported(plan: &Plan, which: usize, made: &[Sample], delays: &[i64], begin: i64) -> (Vec<Record>, i64) {
    let (_, kind, unit, wait) = WINDOWS[which];
    let mut records = vec![activated(begin)];
    records.extend(sorted_by_arrival(arriving(plan, "s", made, delays, begin)));
    let last = made.iter().map(|sample| sample.time).max().unwrap_or(begin);
    let more = if let Kind::Clock(hours, _) = kind { hours * 3_600 } else { unit * 10 };
    let end = last + (more + LATE_UNITS * unit + wait + 1) * NS;
    records.push(tick(last + delays.iter().max().copied().unwrap_or(0)));
    records.push(tick(end));
    (records, end - (LATE_UNITS * unit + wait + 1) * NS)
}

fn delays(most: i64) -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(0..most, 1..40)
}

/// The polled programs with windows over calcs of the tags.
fn over_calcs(which: usize) -> Arc<Plan> {
    static PLANS: OnceLock<Vec<Arc<Plan>>> = OnceLock::new();
    let one = |(window, _, unit, _): &(&str, Kind, i64, i64)| {
        let columns = COLUMNS.replace("(x", "(cx").replace("(b", "(cb");
        let window = window.replace(" b", " cb");
        program_of("simulator", &window, *unit, "calc cx : real = x + 0\n  calc cb = b or false\n", &columns)
    };
    PLANS.get_or_init(|| WINDOWS.iter().map(one).collect())[which].clone()
}

/// The gateway was down from one slot to another: nobody read them.
fn with_downtime(slots: Vec<Record>, made: &mut Vec<Sample>, unit: i64, down: (usize, usize)) -> Vec<Record> {
    let time = |record: &Record| match &record.fact {
        Fact::Samples { batch, .. } => batch.times.get(0).0,
        Fact::Failed { time, .. } => time.0,
        _ => 0,
    };
    let (from, length) = (1 + down.0 % slots.len(), down.1);
    let Some(back) = slots.get(from + length).map(time) else { return slots };
    let due = time(&slots[from - 1]) + unit * NS;
    made.retain(|sample| !(due..back).contains(&sample.time));
    if length > 0 {
        made.extend(TAGS.map(|tag| Sample { time: due, tag, value: None }));
    }
    made.sort_by_key(|sample| sample.time);
    let mut records = slots[..from].to_vec();
    records.push(activated(back - unit * NS / 2));
    records.extend_from_slice(&slots[from + length..]);
    records
}

/// The program of a window that is issued again when late samples come.
fn revising(which: usize) -> Arc<Plan> {
    static PLANS: OnceLock<Vec<Arc<Plan>>> = OnceLock::new();
    let one =
        |window: &(&str, Kind, i64, i64)| program("reporter", &format!("{} revise 31 d", window.0), window.2);
    PLANS.get_or_init(|| WINDOWS[..REVISED].iter().map(one).collect())[which].clone()
}

/// So many of the windows can be revised.
const REVISED: usize = 8;

/// The last issue of each row, without its revision; and how often rows were issued again.
fn final_rows(plan: &Plan, rows: &[Batch]) -> (Vec<Batch>, usize) {
    let mut last: BTreeMap<i64, (u32, Batch)> = BTreeMap::new();
    for row in rows {
        let start = time(&column(plan, row, "start").0);
        let revision = row.repeat(0);
        assert_eq!(column(plan, row, "revision").0, Value::Int(i64::from(revision)));
        let before = last.insert(start, (revision, row.clone()));
        assert_eq!(revision, before.map_or(0, |(revision, _)| revision + 1), "revisions count from 0");
    }
    let again = rows.len() - last.len();
    (last.into_values().map(|(_, row)| Batch { repeats: Vec::new(), ..row }).collect(), again)
}

/// All values of a row but the revision, to the bit.
fn bits(plan: &Plan, row: &Batch) -> Vec<(u64, String, Quality)> {
    let is =
        |index: &usize| plan.tag(row.tags[*index]).is_some_and(|tag| !tag.info.path.ends_with(".revision"));
    let one = |index: usize| {
        let value = row.values.get(index);
        let bits = value.as_f64().map_or(0, f64::to_bits);
        (bits, value.to_string(), row.qualities.get(index))
    };
    (0..row.len()).filter(is).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn polled_windows(
        which in 0..WINDOWS.len(), steps in steps(), begin in 0..BEGINS.len(), calcs in any::<bool>(),
        down in (any::<usize>(), 0usize..25),
    ) {
        let plan = &if calcs { over_calcs(which) } else { plans("simulator")[which].clone() };
        let (_, kind, unit, wait) = WINDOWS[which];
        let begin = BEGINS[begin] / unit * unit * NS;
        let (slots, mut made) = slots(plan, "s", &steps, begin, unit);
        let mut records = vec![activated(begin)];
        let upto = slots.last().map_or(begin, |record| match &record.fact {
            Fact::Samples { batch, .. } => batch.times.get(0).0,
            Fact::Failed { time, .. } => time.0,
            _ => begin,
        });
        records.extend(with_downtime(slots, &mut made, unit, down));
        records.push(tick(upto));
        let meant = naive::rows(kind, &naive::sorted(&made), begin, upto - wait * NS);
        compare(plan, &batches(plan, &records), &meant)?;
    }

    #[test]
    fn reported_windows_in_any_order_inside_late(
        which in 0..WINDOWS.len(), steps in steps(), begin in 0..BEGINS.len(), delays in delays(1_000),
    ) {
        let plan = &plans("reporter")[which];
        let (_, kind, unit, _) = WINDOWS[which];
        let begin = BEGINS[begin] * NS;
        let made = samples(&steps, begin, unit);
        let delays: Vec<i64> = delays.iter().map(|share| share * LATE_UNITS * unit * NS / 1_000).collect();
        let (in_order, upto) = reported(plan, which, &made, &[0], begin);
        let rows = batches(plan, &in_order);
        compare(plan, &rows, &naive::rows(kind, &naive::sorted(&made), begin, upto))?;
        let (shuffled, _) = reported(plan, which, &made, &delays, begin);
        prop_assert_eq!(batches(plan, &shuffled), rows);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn revised_rows_are_those_of_the_sorted_stream(
        which in 0..REVISED, steps in steps(), begin in 0..BEGINS.len(), delays in delays(1_000),
    ) {
        let plan = &revising(which);
        let (_, kind, unit, _) = WINDOWS[which];
        let begin = BEGINS[begin] * NS;
        let made = samples(&steps, begin, unit);
        // Far behind `late`.
        let delays: Vec<i64> = delays.iter().map(|share| share * 100 * unit * NS / 1_000).collect();
        let (in_order, upto) = reported(plan, which, &made, &[0], begin);
        let (meant, none) = final_rows(plan, &batches(plan, &in_order));
        prop_assert_eq!(none, 0);
        let (shuffled, _) = reported(plan, which, &made, &delays, begin);
        let (got, _) = final_rows(plan, &batches(plan, &shuffled));
        let (got, meant): (Vec<Batch>, Vec<Batch>) = {
            let ended = |row: &Batch| time(&column(plan, row, "end").0) <= upto;
            (got.into_iter().filter(ended).collect(), meant.into_iter().filter(ended).collect())
        };
        compare(plan, &got, &naive::rows(kind, &naive::sorted(&made), begin, upto))?;
        let bits = |rows: &[Batch]| rows.iter().map(|row| bits(plan, row)).collect::<Vec<_>>();
        prop_assert_eq!(bits(&got), bits(&meant));
    }
}

/// A device that buffers: what it reads while the connection is broken comes at once behind the break.
fn held_back(plan: &Plan, made: &[Sample], broken: (i64, i64), begin: i64) -> Vec<Record> {
    let (from, to) = broken;
    let backlog = made.iter().filter(|sample| (from..to).contains(&sample.time)).count() as i64;
    let (mut nth, mut delays) = (0, Vec::new());
    for sample in made {
        nth += i64::from((from..to).contains(&sample.time));
        let at = if (from..to).contains(&sample.time) { to + nth * 1_000_000 } else { sample.time };
        let behind = if sample.time >= to { to + (backlog + 1) * 1_000_000 } else { at };
        delays.push(at.max(behind) - sample.time);
    }
    let mut all = arriving(plan, "s", made, &delays, begin);
    let connected = plan.tag_ids()[&Arc::from("s.connected")];
    for (at, value) in [(from, false), (to, true)] {
        all.push((at, batch(GroupId::NONE, at, &[(connected, Some(Value::Bool(value)))])));
    }
    all.extend((0..60).map(|index| from + (to - from) * index / 60).map(|at| (at, tick(at))));
    // Time is told before what comes at it.
    all.sort_by_key(|(at, record)| (*at, !matches!(&record.fact, Fact::Tick { .. })));
    [activated(begin)].into_iter().chain(all.into_iter().map(|(_, record)| record)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_wait_for_what_a_device_holds_back(
        which in prop_oneof![0usize..3, 8usize..11], steps in steps(), from in 1i64..60, length in 1i64..60,
    ) {
        let plan = &plans("reporter")[which];
        let (_, kind, unit, wait) = WINDOWS[which];
        let begin = BEGINS[0] * NS;
        let made = samples(&steps, begin, unit);
        let broken = (begin + from * unit * NS - NS / 2, begin + (from + length) * unit * NS - NS / 2);
        let mut records = held_back(plan, &made, broken, begin);
        let last = made.iter().map(|sample| sample.time).max().unwrap_or(begin).max(broken.1);
        let upto = last + 10 * unit * NS;
        // The backlog counts as delivered when nothing has come for a while.
        records.extend([last + 3 * NS, upto + (LATE_UNITS * unit + wait + 1) * NS].map(tick));
        let meant = naive::rows(kind, &naive::sorted(&made), begin, upto);
        compare(plan, &batches(plan, &records), &meant)?;
    }
}

/// Samples of x by second, with a value; then one that comes at 260 s.
fn one_late(late: (i64, f64)) -> Vec<(i64, u32)> {
    let plan = revising(0);
    let begin = BEGINS[0] * NS;
    let sample = |(second, value): (i64, f64)| Sample {
        time: begin + second * NS,
        tag: Tag::X,
        value: Some(Value::Float(value)),
    };
    let mut made: Vec<Sample> = [(0, 1.0), (50, 2.0), (70, 3.0), (170, 4.0)].map(sample).into();
    made.push(sample(late));
    let mut delays = vec![0; made.len()];
    delays[made.len() - 1] = (260 - late.0) * NS;
    let rows = batches(&plan, &reported(&plan, 0, &made, &delays, begin).0);
    let minute = |row: &Batch| (time(&column(&plan, row, "start").0) - begin) / NS / 60;
    let again = rows.iter().filter(|row| row.repeat(0) > 0);
    again.map(|row| (minute(row), row.repeat(0))).collect()
}

#[test]
fn only_rows_that_a_late_sample_changes_are_issued_again() {
    assert_eq!(one_late((10, 9.0)), [(0, 1)], "another sample of the same minute follows");
    assert_eq!(one_late((55, 9.0)), [(0, 1), (1, 1)], "it is held into the next minute, but not behind");
    assert_eq!(one_late((100, 9.0)), [(1, 1), (2, 1)]);
    assert_eq!(one_late((190, 9.0)), [], "its minute is still open");
}
