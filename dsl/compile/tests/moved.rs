//! State follows `moved`: a lane goes on under other names as it does under those it had.

mod manifests;
mod streams;

use std::collections::BTreeSet;
use std::sync::Arc;

use gwp_core::{Quality, Record, TagId, Timestamp};
use gwp_plan::{Entry, Lane, Plan};
use manifests::{compiled, words};
use proptest::prelude::*;
use streams::{BEGINS, NS, activated, slots, steps, tick};

/// What stands between two `$` has another name in the second program.
const PROGRAM: &str = r#"
source $s$ : simulator {
  scan = 5 s
  tag x at "1" : real
  tag n at "2" : uint counter 0..999
  tag b at "3" : bool
  calc $total$ = integral(x)
  calc mean = moving_avg(x, 45 s)
  calc $runs$ = count_up(b, x > 1.5)
  calc late_on = on_delay(b, 25 s)
  alarm $high$ when x > 1 for 20 s { clear = x < 0.5, clear_for = 10 s, message = "{x} at {time}" }
  alarm low when x < -0.5
}
template T() {
  calc $gained$ = delta($s$.n)
}
device $m$[1..2] : T() on $s$
device $site$ {
  calc energy = integral($s$.x)
  alarm much when energy > 36 s for 15 s { clear_for = 5 s }
}
sink $out$ : console { bad = last }
flow $raw$ = $s$, $m$[*], $site$, *.alarms -> changes(heartbeat = 30 s) -> $out$
flow $w1$ = $s$ -> every 1 min by device { a = avg(x), made = increase(n), t = time_in(b) } -> $out$
flow $w2$ = $s$, $site$ -> every 10 s over 30 s { a = avg(x), e = max(energy) } -> $out$
flow $w3$ = $s$ -> while b and x > 0 as spans { a = avg(x), c = count(n), r = max(rate(x)) } -> $out$
"#;

/// The lines, with a chain, and a member that moved before its device did.
const MOVED: &str = "
moved s0 -> s_q
moved s -> s0
moved s.total -> s.sum
moved s.sum -> s_q.total_q
moved s_q.runs -> s_q.runs_q
moved s0.high -> s0.high_q
moved m -> m_q
moved m_q[*].gained -> m_q[*].gained_q
moved site -> site_q
moved out -> out_q
moved raw -> raw_q
moved w1 -> w1_q
moved w2 -> w2_q
moved w3 -> w3_q
";

fn program(text: &str) -> Arc<Plan> {
    let result = compiled(text);
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result))))
}

fn before() -> Arc<Plan> {
    program(&PROGRAM.replace('$', ""))
}

/// The same with other names, which sort as those before: so tags keep their numbers.
fn after(moved: &str) -> Arc<Plan> {
    let mut text = String::new();
    for (index, part) in PROGRAM.split('$').enumerate() {
        text += part;
        text += if index % 2 == 1 { "_q" } else { "" };
    }
    program(&(text + moved))
}

/// One sample of one tag, as a sink gets it.
type Shown = (u32, TagId, Timestamp, String, Quality);

fn run(lane: &mut Lane, records: &[Record]) -> Vec<Shown> {
    let mut all = Vec::new();
    for record in records {
        let mut out: Vec<Entry> = Vec::new();
        lane.step(record, &mut out);
        for entry in &out {
            let batch = entry.payload.batch();
            let one = |index: usize| {
                // Rows and messages say names.
                let value = format!("{:?}", batch.values.get(index)).replace("_q", "");
                (entry.route, batch.tags[index], batch.times.get(index), value, batch.qualities.get(index))
            };
            all.extend((0..batch.len()).map(one));
        }
    }
    all
}

fn records(plan: &Plan, steps: &[streams::Step]) -> Vec<Record> {
    let begin = BEGINS[0] * NS;
    let mut records = vec![activated(begin)];
    records.extend(slots(plan, "s", steps, begin, 5).0);
    let last = begin + 10_000 * NS;
    records.extend((0..4).map(|index| tick(last + index * 20 * NS)));
    records
}

#[test]
fn every_tag_has_its_new_name() {
    let (before, after) = (before(), after(MOVED));
    let renames = after.renames();
    let old = before.tags.iter().map(|tag| renames.path(tag).unwrap_or_else(|| tag.info.path.to_string()));
    let new: Vec<String> = after.tags.iter().map(|tag| tag.info.path.to_string()).collect();
    assert_eq!(old.collect::<Vec<_>>(), new);
    assert_eq!(renames.former_names_of_sink("out_q"), ["out".into()]);
    let kept = Plan::from_bytes(&after.to_bytes()).unwrap();
    assert_eq!(kept.moved, after.moved);
    assert!(after.moved.is_sorted());
}

#[test]
fn without_the_lines_everything_begins_anew() {
    let (before, after) = (before(), after(""));
    // On all the time, and so much that the alarms stand.
    let steps: Vec<streams::Step> =
        (0..30).map(|_| (1, [Some(Some(9)), Some(Some(3)), Some(Some(1))])).collect();
    let records = records(&before, &steps);
    let cut = records.len() / 2;
    let mut first = Lane::new(before.clone(), 0);
    run(&mut first, &records[..cut]);
    let went_on = run(&mut first.migrate(after.clone(), 0), &records[cut..]);
    let mut anew = Lane::new(after, 0);
    let integral = |all: &[Shown]| {
        let total = before.tag_ids()["s.total"];
        all.iter().find(|shown| shown.1 == total && shown.4 == Quality::GOOD).map(|shown| shown.3.clone())
    };
    let meant = integral(&run(&mut anew, &records[cut..]));
    assert!(meant.is_some());
    assert_eq!(integral(&went_on), meant);
    let same = run(&mut first.migrate(before.clone(), 0), &records[cut..]);
    assert_ne!(integral(&same), meant, "it would go on under its name");
}

#[test]
fn the_order_of_the_lines_does_not_matter() {
    let mut lines: Vec<&str> = MOVED.trim().lines().collect();
    lines.reverse();
    let turned = format!("\n{}\n", lines.join("\n"));
    assert_eq!(after(&turned).id(), after(MOVED).id());
    let paths: BTreeSet<_> = after(MOVED).tags.iter().map(|tag| tag.info.path.clone()).collect();
    assert!(paths.contains("m_q2.gained_q") && paths.contains("w2_q.w2_q.e"), "{paths:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lane_goes_on_under_other_names(steps in steps(), cut in any::<usize>()) {
        let (before, after) = (before(), after(MOVED));
        let records = records(&before, &steps);
        let cut = cut % records.len();
        let mut first = Lane::new(before.clone(), 0);
        run(&mut first, &records[..cut]);
        let mut same = first.migrate(before, 0);
        let mut moved = first.migrate(after, 0);
        prop_assert_eq!(run(&mut moved, &records[cut..]), run(&mut same, &records[cut..]));
    }
}
