//! The graph as a whole: order, restart, isolation, back-pressure.

mod support;

use gwp_core::{Fact, Position, Quality, TagId, Value};
use gwp_engine::EngineStatus;
use gwp_journal::Store;
use gwp_plan::FullPolicy;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::{Got, plan, slots_of, start, stopped, until};

fn received(got: &Got) -> usize {
    got.samples.lock().unwrap().len()
}

/// Each slot once, in order. (A busy machine may skip slots of a 2 ms grid; the log counts those.)
fn assert_rising(slots: &[i64]) {
    assert!(slots.len() > 1);
    assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "{slots:?}");
}

/// What both sinks got is the same, as far as the shorter one goes.
fn assert_same(a: &[i64], b: &[i64]) {
    let len = a.len().min(b.len());
    assert!(len > 1);
    assert_eq!(a[..len], b[..len]);
    assert_rising(&a[..len]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_arrive_in_order_and_a_restart_continues_without_loss_or_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let mut produced = 0;
    for run in 1..=3usize {
        let before = received(&got);
        let plant = start(plan(20, 10, &["a"]), dir.path(), vec![got.clone()]).await;
        let status = plant.engine.status.clone();
        until("samples", || received(&got) >= before + 20 * 15).await;
        stopped(plant.engine).await;
        assert_eq!(got.runs.load(SeqCst), run);
        produced += status.graph().sinks[0].lane.samples.load(SeqCst);
    }
    let first = slots_of(&got, TagId(1));
    assert_eq!(first, slots_of(&got, TagId(20)));
    assert_rising(&first);
    assert_eq!(received(&got) as u64, produced, "all that was produced has arrived, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sink_slows_no_other_and_gets_everything_later() {
    let dir = tempfile::tempdir().unwrap();
    let (alive, dead) = (Arc::new(Got::default()), Arc::new(Got::default()));
    dead.down.store(true, SeqCst);
    let plant = start(plan(100, 5, &["alive", "dead"]), dir.path(), vec![alive.clone(), dead.clone()]).await;
    until("the living sink", || received(&alive) >= 100 * 100).await;
    assert_eq!(received(&dead), 0);
    assert!(dead.runs.load(SeqCst) > 1, "it is tried again");
    dead.down.store(false, SeqCst);
    until("the backlog", || received(&dead) >= 100 * 100).await;
    stopped(plant.engine).await;
    assert_same(&slots_of(&dead, TagId(1)), &slots_of(&alive, TagId(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_survives_a_restart_and_is_read_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    got.down.store(true, SeqCst);
    let plant = start(plan(500, 5, &["a"]), dir.path(), vec![got.clone()]).await;
    let status = plant.engine.status.clone();
    until("a journal", || status.graph().sinks[0].journal.pending_samples.load(SeqCst) > 500 * 50).await;
    stopped(plant.engine).await;
    let pending = status.graph().sinks[0].journal.pending_samples.load(SeqCst) as usize;
    got.down.store(false, SeqCst);
    let plant = start(plan(500, 5, &["a"]), dir.path(), vec![got.clone()]).await;
    let status_of_second = plant.engine.status.clone();
    until("the backlog", || received(&got) > pending).await;
    stopped(plant.engine).await;
    let slots = slots_of(&got, TagId(3));
    assert!(slots.len() > pending / 500);
    assert_rising(&slots);
    let produced = |status: &EngineStatus| status.graph().sinks[0].lane.samples.load(SeqCst);
    assert_eq!(received(&got) as u64, produced(&status) + produced(&status_of_second));
    assert!(got.runs.load(SeqCst) >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_are_supervised_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Arc::new(Got::default()), Arc::new(Got::default()));
    let plant = start(plan(10, 5, &["a", "b"]), dir.path(), vec![a.clone(), b.clone()]).await;
    until("samples", || received(&a) > 200).await;
    a.panic_once.store(true, SeqCst);
    until("the sink to run again", || a.runs.load(SeqCst) == 2 && !a.panic_once.load(SeqCst)).await;
    let before = received(&b);
    plant.source_panics.store(true, SeqCst);
    let status = plant.engine.status.clone();
    until("the source to be restarted", || status.graph().sources[0].stage.restarts.load(SeqCst) == 1).await;
    until("samples again", || received(&b) > before + 500).await;
    stopped(plant.engine).await;
    for got in [&a, &b] {
        assert_rising(&slots_of(got, TagId(5)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_source_turns_its_tags_bad_and_its_slots_are_all_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let plant = start(plan(10, 10, &["a"]), dir.path(), vec![got.clone()]).await;
    until("samples", || received(&got) > 100).await;
    plant.source_panics.store(true, SeqCst);
    let status = plant.engine.status.clone();
    until("the source to be restarted", || status.graph().sources[0].stage.restarts.load(SeqCst) == 1).await;
    let before = received(&got);
    until("samples again", || received(&got) > before + 100).await;
    stopped(plant.engine).await;

    let mut log = Store::open(dir.path()).unwrap().store.log_reader();
    let records = log.records_after(Position::ZERO, usize::MAX).unwrap();
    let mut last_slot = None;
    let mut skipped_after_bad = None;
    let (mut bad, mut down) = (0, 0);
    for (_, record) in records {
        let Fact::Samples { slot, batch } = &record.fact else { continue };
        if batch.tags[..] == [TagId(0)] {
            down += usize::from(batch.values.get(0) == Value::Bool(false));
        } else if slot.number == 0 {
            assert_eq!((batch.len(), batch.qualities.get(9)), (10, Quality::COMM_LOST));
            assert_eq!(down, 1, "`connected` goes first");
            bad += 1;
        } else {
            if let Some(last) = last_slot.replace(slot.number) {
                assert_eq!(slot.number - last, 1 + u64::from(slot.skipped), "no slot is left out");
            }
            if bad == 1 && skipped_after_bad.is_none() {
                skipped_after_bad = Some(slot.skipped);
            }
        }
    }
    assert_eq!((bad, down), (1, 1));
    // It was down for the back-off of 100 ms.
    assert!(skipped_after_bad.unwrap() >= 5, "{skipped_after_bad:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_repeats_only_what_was_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let plant = start(plan(10, 5, &["a"]), dir.path(), vec![got.clone()]).await;
    until("samples", || received(&got) > 200).await;
    let plant_status = plant.engine.status.clone();
    got.fail_once.store(true, SeqCst);
    until("it to run again", || got.runs.load(SeqCst) == 2).await;
    let before = received(&got);
    until("more samples", || received(&got) > before + 200).await;
    stopped(plant.engine).await;
    let mut slots = slots_of(&got, TagId(1));
    let repeated = slots.len() - {
        slots.sort_unstable();
        slots.dedup();
        slots.len()
    };
    assert!((1..=4 * 100).contains(&repeated), "{repeated} repeated");
    // Nothing is missing: what the lane produced has arrived.
    let produced = plant_status.graph().sinks[0].lane.samples.load(SeqCst);
    assert_eq!(slots.len() as u64 * 10, produced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_hold_and_every_dropped_sample_is_counted() {
    for full in [FullPolicy::DropOldest, FullPolicy::DropNewest] {
        let dir = tempfile::tempdir().unwrap();
        let got = Arc::new(Got::default());
        got.down.store(true, SeqCst);
        let mut plan = plan(1_000, 2, &["a"]);
        plan.sinks[0].journal.capacity_bytes = 300_000;
        plan.sinks[0].journal.full = full;
        let plant = start(plan, dir.path(), vec![got.clone()]).await;
        let status = plant.engine.status.clone();
        let journal = status.graph().sinks[0].journal.clone();
        until("drops", || journal.dropped_samples.load(SeqCst) > 100_000).await;
        let pending = journal.pending_bytes.load(SeqCst);
        // What an entry takes is estimated before it is encoded: a frame may reach over a little.
        assert!(pending <= 303_000, "{full:?}: {pending} bytes wait");
        got.down.store(false, SeqCst);
        until("delivery", || received(&got) > 0 && journal.pending_samples.load(SeqCst) < 50_000).await;
        stopped(plant.engine).await;
        let produced = status.graph().sinks[0].lane.samples.load(SeqCst);
        let counted = journal.dropped_samples.load(SeqCst)
            + journal.delivered_samples.load(SeqCst)
            + journal.pending_samples.load(SeqCst);
        assert_eq!(counted, produced, "{full:?}: produced = dropped + delivered + pending");
        assert_eq!(received(&got) as u64, journal.delivered_samples.load(SeqCst), "{full:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_waits_for_room_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (blocked, other) = (Arc::new(Got::default()), Arc::new(Got::default()));
    blocked.down.store(true, SeqCst);
    let mut plan = plan(1_000, 2, &["blocked", "other"]);
    plan.sinks[0].journal.capacity_bytes = 300_000;
    plan.sinks[0].journal.full = FullPolicy::Block;
    let plant = start(plan, dir.path(), vec![blocked.clone(), other.clone()]).await;
    let status = plant.engine.status.clone();
    until("the lane to wait", || status.graph().sinks[0].lane.waiting.load(SeqCst)).await;
    let before = received(&other);
    until("the other sink to go on", || received(&other) > before + 1_500_000).await;
    blocked.down.store(false, SeqCst);
    let target = received(&other);
    until("it to catch up", || received(&blocked) >= target).await;
    assert!(status.graph().sinks[0].lane.records_read_back.load(SeqCst) > 0, "it read the log from disk");
    stopped(plant.engine).await;
    assert_same(&slots_of(&blocked, TagId(500)), &slots_of(&other, TagId(500)));
    assert_eq!(status.graph().sinks[0].journal.dropped_samples.load(SeqCst), 0);
}
