//! Sinks that have another name: what waits for them, and the state of what they compute, follows `moved`.

mod support;

use gwp_core::{Fact, Position, Record, TagId};
use gwp_engine::names::{Orphan, orphans};
use gwp_journal::Store;
use gwp_plan::{FullPolicy, Moved, MovedKind, Place, Plan};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::{Got, plan, slots_of, start, stopped, until};

const TAGS: usize = 20;

fn moved(sinks: &[&str], lines: &[(&str, &str)]) -> Plan {
    let line = |(old, new): &(&str, &str)| Moved {
        kind: MovedKind::Sink,
        old: Place::item(old),
        new: Place::item(new),
    };
    Plan { moved: lines.iter().map(line).collect(), ..plan(TAGS, 5, sinks) }
}

fn received(got: &Got) -> usize {
    got.samples.lock().unwrap().len()
}

/// Runs while its destination is down, until so many samples wait for it; gives what its lane has produced.
async fn collect(plan: Plan, dir: &Path, samples: u64) -> u64 {
    let got = Arc::new(Got::default());
    got.down.store(true, SeqCst);
    let plant = start(plan, dir, vec![got.clone()]).await;
    let status = plant.engine.status.clone();
    let before = status.graph().sinks[0].journal.pending_samples.load(SeqCst);
    until("a journal", || status.graph().sinks[0].journal.pending_samples.load(SeqCst) >= before + samples)
        .await;
    stopped(plant.engine).await;
    assert_eq!(received(&got), 0);
    status.graph().sinks[0].lane.samples.load(SeqCst)
}

/// Runs until everything has arrived; gives what its lane has produced.
async fn deliver(plan: Plan, dir: &Path, got: &Arc<Got>, samples: u64) -> u64 {
    let plant = start(plan, dir, vec![got.clone()]).await;
    let status = plant.engine.status.clone();
    until("what waits", || received(got) as u64 > samples).await;
    stopped(plant.engine).await;
    status.graph().sinks[0].lane.samples.load(SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_sink_follows_its_names_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut produced = collect(plan(TAGS, 5, &["a"]), dir.path(), 600).await;
    produced += collect(moved(&["b"], &[("a", "b")]), dir.path(), 600).await;
    let got = Arc::new(Got::default());
    let lines = [("a", "b"), ("b", "c"), ("never", "seen")];
    produced += deliver(moved(&["c"], &lines), dir.path(), &got, produced).await;
    // The lines may stay.
    produced += deliver(moved(&["c"], &lines), dir.path(), &got, produced).await;
    let slots = slots_of(&got, TagId(1));
    assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "{slots:?}");
    assert_eq!(received(&got) as u64, produced, "all that was produced has arrived, once");
    let store = Store::open(dir.path()).unwrap().store;
    let names: Vec<String> = store.sinks().map(|sink| sink.name.to_string()).collect();
    assert_eq!(names, ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_line_a_journal_stays_where_it_is_and_the_line_is_proposed() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = collect(plan(TAGS, 5, &["a"]), dir.path(), 600).await;
    let next = plan(TAGS, 5, &["b"]);
    {
        let store = Store::open(dir.path()).unwrap().store;
        let proposed = Orphan { name: "a".into(), samples: waiting, perhaps_now: Some("b".into()) };
        assert_eq!(orphans(&store, &next), std::slice::from_ref(&proposed));
        let mut other = next.clone();
        other.sinks[0].driver = "another".into();
        assert_eq!(orphans(&store, &other), [Orphan { perhaps_now: None, ..proposed }]);
    }
    let got = Arc::new(Got::default());
    let produced = deliver(next.clone(), dir.path(), &got, 100).await;
    assert_eq!(received(&got) as u64, produced, "`b` begins anew");
    let store = Store::open(dir.path()).unwrap().store;
    assert_eq!(orphans(&store, &next), [Orphan { name: "a".into(), samples: waiting, perhaps_now: None }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_journals_are_not_made_one_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let of_a = collect(plan(TAGS, 5, &["a"]), dir.path(), 600).await;
    let of_b = collect(plan(TAGS, 5, &["b"]), dir.path(), 600).await;
    let got = Arc::new(Got::default());
    let produced = deliver(moved(&["b"], &[("a", "b")]), dir.path(), &got, of_b).await;
    assert_eq!(received(&got) as u64, of_b + produced);
    let store = Store::open(dir.path()).unwrap().store;
    let waiting: Vec<_> = store.sinks().map(|sink| (sink.name.to_string(), sink.pending_samples())).collect();
    assert_eq!(waiting, [("a".to_owned(), of_a), ("b".to_owned(), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_behind_computes_what_came_under_the_old_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = plan(TAGS, 5, &["a"]);
    first.sinks[0].journal.capacity_bytes = 2_000;
    first.sinks[0].journal.full = FullPolicy::Block;
    let down = Arc::new(Got::default());
    down.down.store(true, SeqCst);
    let plant = start(first, dir.path(), vec![down]).await;
    let status = plant.engine.status.clone();
    let blocked = || status.graph().sinks[0].journal.blocked.load(SeqCst);
    until("a full journal", blocked).await;
    let produced = status.graph().sinks[0].lane.samples.load(SeqCst);
    let read = || status.writer.samples.load(SeqCst);
    let before = read();
    until("more in the log", || read() > before + 100 * TAGS as u64).await;
    stopped(plant.engine).await;
    assert!(blocked() && status.graph().sinks[0].lane.samples.load(SeqCst) < produced + 100 * TAGS as u64);

    let got = Arc::new(Got::default());
    deliver(moved(&["b"], &[("a", "b")]), dir.path(), &got, read()).await;
    let mut log = Store::open(dir.path()).unwrap().store.log_reader();
    let records = log.records_after(Position::ZERO, usize::MAX).unwrap();
    let slot = |record: &Record| match &record.fact {
        Fact::Samples { slot, batch } if batch.tags.contains(&TagId(1)) => Some(slot.number as i64),
        _ => None,
    };
    let logged: Vec<i64> = records.iter().filter_map(|(_, record)| slot(record)).collect();
    assert_eq!(slots_of(&got, TagId(1)), logged);
}
