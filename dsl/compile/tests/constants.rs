//! What reads nothing is computed once, at the start: not again after a restart, and again when a changed plan begins.

mod manifests;
mod streams;

use std::sync::Arc;

use gwp_core::{Record, Value};
use gwp_plan::{Entry, Lane, Plan};
use manifests::{compiled, words};
use streams::{BEGINS, NS, activated, batch, group_of, tick};

const BEGIN: i64 = BEGINS[0] * NS;

/// `limit` is the value of a constant, `more` are further calcs that read it.
fn program(limit: &str, more: &str) -> Arc<Plan> {
    let result = compiled(&format!(
        r#"source s : simulator {{
  scan = 5 s
  tag x at "1" : real kW
  calc high : bool = x > d.limit
}}
device d {{
  calc limit : int kW = {limit}
  calc half : real kW = limit / 2
  calc began : time = time
  alarm always when true {{ message = "limit {{limit}}" }}
{more}}}
sink out : console {{ journal {{ full = drop_oldest }} }}
flow f = s, d, *.alarms -> out
flow w = s.x, d.limit -> every 10 s {{ a = avg(d.limit), k = avg(1 kW), c = count(x) }} -> out"#
    ));
    Arc::new(result.plan.clone().unwrap_or_else(|| panic!("{}", words(&result))))
}

/// Path, seconds after the beginning, value.
type Shown = (String, i64, String);

fn run(lane: &mut Lane, record: &Record) -> Vec<Shown> {
    let mut out: Vec<Entry> = Vec::new();
    lane.step(record, &mut out);
    let plan = lane.plan().clone();
    let of_entry = |entry: &Entry| {
        let batch = entry.payload.batch().clone();
        let one = |index: usize| {
            let path = plan.tag(batch.tags[index]).expect("known").info.path.to_string();
            (path, (batch.times.get(index).0 - BEGIN) / NS, batch.values.get(index).to_string())
        };
        (0..batch.len()).map(one).collect::<Vec<_>>()
    };
    out.iter().flat_map(of_entry).collect()
}

/// A slot of the source, with the value of its tag.
fn slot(plan: &Plan, second: i64, value: f64) -> Record {
    let tag = plan.tag_ids()[&Arc::from("s.x")];
    batch(group_of(plan, tag), BEGIN + second * NS, &[(tag, Some(Value::Float(value)))])
}

fn of<'s>(shown: &'s [Shown], path: &str) -> Vec<(i64, &'s str)> {
    shown.iter().filter(|one| one.0 == path).map(|one| (one.1, one.2.as_str())).collect()
}

#[test]
fn a_constant_comes_once_and_all_that_reads_it_follows() {
    let plan = program("2 kW", "");
    let mut lane = Lane::new(plan.clone(), 0);
    let mut all = run(&mut lane, &activated(BEGIN));
    for second in 0..4 {
        all.extend(run(&mut lane, &slot(&plan, second * 5, second as f64)));
        all.extend(run(&mut lane, &tick(BEGIN + (second * 5 + 1) * NS)));
    }
    assert_eq!(of(&all, "d.limit"), [(0, "2")]);
    assert_eq!(of(&all, "d.half"), [(0, "1")]);
    assert_eq!(of(&all, "d.began").len(), 1);
    assert_eq!(of(&all, "d.alarms.event"), [(0, "raised")]);
    assert_eq!(of(&all, "s.high"), [(0, "false"), (5, "false"), (10, "false"), (15, "true")]);
    assert_eq!((of(&all, "w.w.a"), of(&all, "w.w.k")), (vec![(0, "2")], vec![(0, "1")]));
}

#[test]
fn a_restart_does_not_give_it_again_and_a_changed_plan_does() {
    let plan = program("2 kW", "");
    let mut lane = Lane::new(plan.clone(), 0);
    run(&mut lane, &activated(BEGIN));
    run(&mut lane, &slot(&plan, 0, 3.0));
    let stored = lane.snapshot(plan.id());

    let mut same = Lane::new(plan.clone(), 0);
    same.restore(plan.id(), &stored).expect("restored");
    let mut all = run(&mut same, &activated(BEGIN + 7 * NS));
    all.extend(run(&mut same, &slot(&plan, 10, 3.0)));
    assert_eq!((of(&all, "d.limit"), of(&all, "d.began")), (vec![], vec![]));
    assert_eq!(of(&all, "s.high").last(), Some(&(10, "true")));

    let changed = program("4 kW", "  calc twice : int kW = limit * 2\n");
    let mut next = lane.migrate(changed.clone(), 0);
    let mut all = run(&mut next, &activated(BEGIN + 7 * NS));
    all.extend(run(&mut next, &slot(&changed, 10, 3.0)));
    all.extend(run(&mut next, &tick(BEGIN + 30 * NS)));
    assert_eq!((of(&all, "d.limit"), of(&all, "d.twice")), (vec![(7, "4")], vec![(7, "8")]));
    assert_eq!(of(&all, "s.high").last(), Some(&(10, "false")));
    assert_eq!(of(&all, "d.alarms.event"), [], "it stands already");

    let more = program("2 kW", "  calc twice : int kW = limit * 2\n");
    let mut next = lane.migrate(more, 0);
    assert_eq!(of(&run(&mut next, &activated(BEGIN + 7 * NS)), "d.twice"), [(7, "4")]);
}
