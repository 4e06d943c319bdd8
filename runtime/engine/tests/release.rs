//! The active of a pair: nothing leaves before it is released, and nothing is lost on the way.

mod support;

use gwp_core::{Fact, Position, Record, TagId};
use gwp_engine::exits::{Exits, exits};
use gwp_engine::status::SinkStatus;
use gwp_engine::{Engine, EngineConfig, PairStart, Release, Removed, StartError, Target};
use gwp_journal::{Store, StoreError};
use gwp_redundancy::mirror::Place;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::{Got, config, gate, plan, slots_of, stopped, until};

const TAGS: usize = 20;

struct Active {
    engine: Engine,
    got: Arc<Got>,
    release: Release,
    /// Place of the store when it was opened.
    from: Place,
}

async fn start(dir: &Path, got: &Arc<Got>, (epoch, exits): (u32, &Exits), release: Release) -> Active {
    start_as((dir, false), got, (epoch, exits), release).await
}

async fn start_as(
    (dir, stale): (&Path, bool),
    got: &Arc<Got>,
    (epoch, exits): (u32, &Exits),
    release: Release,
) -> Active {
    let store = Store::open(dir).unwrap().store;
    let from = store.place();
    let (config, _) = config(plan(TAGS, 5, &["a"]), dir, std::slice::from_ref(got));
    let start = PairStart { store, epoch, exits: exits.clone(), release: release.clone(), hot: None, stale };
    let engine = Engine::start_in_pair(config, start).await.unwrap();
    Active { engine, got: got.clone(), release, from }
}

impl Active {
    fn sink(&self) -> Arc<SinkStatus> {
        self.engine.status.graph().sinks[0].clone()
    }

    fn logged(&self) -> u64 {
        self.sink().lane.samples.load(SeqCst)
    }

    /// Reading and logging go on for so many slots.
    async fn log(&self, slots: usize) {
        let upto = self.logged() + (TAGS * slots) as u64;
        until("the log", || self.logged() >= upto).await;
    }

    /// The place of a commit, and how many samples at least were committed for the sink by then.
    async fn committed(&self) -> (Place, u64) {
        let lane = self.sink().lane.clone();
        let (sent, at) = (lane.samples.load(SeqCst), lane.position());
        until("the lane", || lane.position() > at).await;
        // The first may have been under way by then; what comes in order is in the second.
        for _ in 0..2 {
            let before = self.release.newest();
            until("a commit", || self.release.newest() > before).await;
        }
        (self.release.newest(), sent)
    }

    fn received(&self) -> u64 {
        self.got.samples.lock().unwrap().len() as u64
    }

    fn acknowledged(&self) -> Position {
        self.got.acknowledged.lock().unwrap().position
    }
}

/// All that was logged is with the sink or waits in its journal, in order and once.
fn assert_nothing_is_lost(dir: &Path, got: &Got, logged: u64) {
    let store = Store::open(dir).unwrap().store;
    let waiting: u64 = store.sinks().map(|sink| sink.pending_samples()).sum();
    assert_eq!(got.samples.lock().unwrap().len() as u64 + waiting, logged);
    let slot = |record: &Record| match &record.fact {
        Fact::Samples { slot, batch } if batch.tags.contains(&TagId(1)) => Some(slot.number as i64),
        _ => None,
    };
    let records = store.log_reader().records_after(Position::ZERO, usize::MAX).unwrap();
    let slots: Vec<i64> = records.iter().filter_map(|(_, record)| slot(record)).collect();
    let received = slots_of(got, TagId(1));
    assert!(!received.is_empty() && slots.starts_with(&received), "{received:?} of {slots:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_behind_flags_what_waited_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let (keeper, exits) = exits();
    keeper.set(gate(0));
    let before = start(dir.path(), &got, (1, &exits), Release::held()).await;
    before.log(20).await;
    stopped(before.engine).await;
    assert_eq!(got.samples.lock().unwrap().len(), 0, "nothing was released");
    let waited = {
        let store = Store::open(dir.path()).unwrap().store;
        store.sinks().map(|sink| sink.pending_samples()).sum::<u64>() as usize
    };
    keeper.shut();
    keeper.set(gate(1));
    let behind = start_as((dir.path(), true), &got, (3, &exits), Release::at_once()).await;
    until("old and new", || got.samples.lock().unwrap().len() > waited + 20 * TAGS).await;
    stopped(behind.engine).await;
    let slots = slots_of(&got, TagId(1));
    assert_eq!(waited % TAGS, 0, "slots are logged whole");
    assert_eq!(*got.backfill.lock().unwrap(), slots[..waited / TAGS]);

    // The next one delivers nothing of it again, and flags nothing.
    let flagged = got.backfill.lock().unwrap().len();
    keeper.shut();
    keeper.set(gate(3));
    let next = start(dir.path(), &got, (5, &exits), Release::at_once()).await;
    let upto = got.samples.lock().unwrap().len() + 20 * TAGS;
    until("new ones", || got.samples.lock().unwrap().len() >= upto).await;
    stopped(next.engine).await;
    assert_eq!(got.backfill.lock().unwrap().len(), flagged);
}

/// Releases twice, with records before, between and after.
async fn releases_in_steps(release: Release) {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let (keeper, exits) = exits();
    keeper.set(gate(0));
    let active = start(dir.path(), &got, (1, &exits), release).await;
    active.release.release(active.from);
    active.log(50).await;
    assert_eq!(active.received(), 0, "nothing is released");
    for _ in 0..2 {
        let (place, sent) = active.committed().await;
        active.log(30).await;
        assert!(active.received() < sent);
        active.release.release(place);
        until("what was released", || active.received() >= sent).await;
        active.log(30).await;
        assert!(active.acknowledged() <= place.position, "{} of {place}", active.acknowledged());
    }
    let lane = active.sink().lane.clone();
    stopped(active.engine).await;
    assert_nothing_is_lost(dir.path(), &got, lane.samples.load(SeqCst));
    assert!(exits.are_open(), "they are not the engine's to shut");
    tokio::time::timeout(std::time::Duration::from_secs(20), keeper.emptied()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_leaves_in_order_and_once_and_nothing_else() {
    releases_in_steps(Release::held()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_does_not_hold_is_read_from_disk_up_to_what_is_released() {
    let release = Release::held_within(4_000);
    releases_in_steps(release.clone()).await;
    assert_eq!(release.backlog().bytes, 0);
    // Not a byte in memory: all comes from the journal.
    releases_in_steps(Release::held_within(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_behind_stops_at_what_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let (keeper, exits) = exits();
    keeper.set(gate(0));
    got.down.store(true, SeqCst);
    let active = start(dir.path(), &got, (1, &exits), Release::held_within(0)).await;
    active.log(50).await;
    let (place, sent) = active.committed().await;
    active.release.release(place);
    active.log(50).await;
    got.down.store(false, SeqCst);
    until("what was released", || active.received() >= sent).await;
    active.log(50).await;
    assert!(active.acknowledged() <= place.position);
    active.release.release(active.release.newest());
    until("the next", || active.acknowledged() > place.position).await;
    let lane = active.sink().lane.clone();
    stopped(active.engine).await;
    assert_nothing_is_lost(dir.path(), &got, lane.samples.load(SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_engine_did_not_release_the_next_one_does_behind_the_same_exits() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let (keeper, exits) = exits();
    keeper.set(gate(0));
    let first = start(dir.path(), &got, (1, &exits), Release::held()).await;
    first.log(50).await;
    let (lane, old) = (first.sink().lane.clone(), first.release.clone());
    stopped(first.engine).await;
    let mut logged = lane.samples.load(SeqCst);
    keeper.shut();
    keeper.emptied().await;
    let waiting = {
        let store = Store::open(dir.path()).unwrap().store;
        store.sinks().map(|sink| sink.pending_samples()).sum::<u64>()
    };
    assert_eq!((waiting, got.samples.lock().unwrap().len()), (logged, 0));

    let second = start(dir.path(), &got, (3, &exits), Release::held()).await;
    old.release(Place::log(Position::MAX));
    second.release.release(second.from);
    second.log(50).await;
    assert_eq!(second.received(), 0, "the exits are shut");
    // Another epoch is none of its own.
    keeper.set(gate(0));
    second.log(50).await;
    assert_eq!(second.received(), 0, "the exits are open for another epoch");
    keeper.set(gate(1));
    until("what was left", || second.received() == waiting).await;
    second.log(50).await;
    assert_eq!(second.received(), waiting, "nothing of its own is released");
    assert_eq!(got.epoch.load(SeqCst), 3);
    let (place, _) = second.committed().await;
    second.release.release(place);
    until("its own", || second.received() > waiting).await;
    let lane = second.sink().lane.clone();
    stopped(second.engine).await;
    logged += lane.samples.load(SeqCst);
    assert_nothing_is_lost(dir.path(), &got, logged);
}

/// A plan with these sinks, and what runs it.
fn target(dir: &Path, sinks: &[&str], got: &[Arc<Got>]) -> Target {
    let EngineConfig { plan, sources, sinks, .. } = config(plan(TAGS, 5, sinks), dir, got).0;
    Target { plan, sources, sinks, removed: Removed::Keep }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_changes_while_nothing_is_released_and_a_sink_that_comes_back_waits_for_all_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let (got, other) = (Arc::new(Got::default()), Arc::new(Got::default()));
    let (keeper, exits) = exits();
    keeper.set(gate(0));
    let active = start(dir.path(), &got, (1, &exits), Release::held()).await;
    let both = || target(dir.path(), &["a", "b"], &[got.clone(), other.clone()]);
    let received = |got: &Got| got.samples.lock().unwrap().len() as u64;
    let sinks = || active.engine.status.graph().sinks.clone();
    active.engine.change(both(), &|_| Ok(())).await.unwrap();
    until("its lane", || sinks()[1].lane.samples.load(SeqCst) > 1_000).await;
    active.engine.change(target(dir.path(), &["a"], std::slice::from_ref(&got)), &|_| Ok(())).await.unwrap();
    let lane = sinks()[1].lane.clone();
    until("its end", || sinks().len() == 1).await;
    let first = lane.samples.load(SeqCst);
    active.engine.change(both(), &|_| Ok(())).await.unwrap();
    until("its lane", || sinks()[1].lane.samples.load(SeqCst) > 1_000).await;
    assert_eq!((received(&got), received(&other)), (0, 0));

    let (place, _) = active.committed().await;
    active.release.release(place);
    until("what it had and more", || received(&other) > first).await;
    active.log(30).await;
    for got in [&got, &other] {
        assert!(got.acknowledged.lock().unwrap().position <= place.position);
        let slots = slots_of(got, TagId(1));
        assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "{slots:?}");
    }
    let lane = sinks()[1].lane.clone();
    stopped(active.engine).await;
    let store = Store::open(dir.path()).unwrap().store;
    let waiting = store.sinks().find(|sink| &*sink.name == "b").unwrap().pending_samples();
    assert_eq!(received(&other) + waiting, first + lane.samples.load(SeqCst));
}

#[tokio::test]
async fn an_epoch_that_is_over_and_a_release_of_another_engine_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let (_keeper, exits) = exits();
    let first = start(dir.path(), &got, (2, &exits), Release::held()).await;
    let used = first.release.clone();
    stopped(first.engine).await;
    for (epoch, release) in [(2, Release::held()), (4, used)] {
        let store = Store::open(dir.path()).unwrap().store;
        let (config, _) = config(plan(TAGS, 5, &["a"]), dir.path(), std::slice::from_ref(&got));
        let start = PairStart { store, epoch, exits: exits.clone(), release, hot: None, stale: false };
        match Engine::start_in_pair(config, start).await {
            Err(StartError::Store(StoreError::EpochOver { epoch: 2, last: 2 })) => assert_eq!(epoch, 2),
            Err(StartError::ReleaseInUse) => assert_eq!(epoch, 4),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it starts"),
        }
    }
}
