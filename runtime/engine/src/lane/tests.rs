use super::*;
use gwp_core::manifest::Settings;
use gwp_core::record::SlotMark;
use gwp_core::stop::stop_pair;
use gwp_core::{Batch, Column, GroupId, Kind, TagId, Timestamp, Value};
use gwp_journal::{GapReason, SinkPolicy, SpacePolicy, Store, Writer};
use gwp_plan::{
    BadPolicy, FullPolicy, GatewayPlan, JournalPolicy, MirrorPolicy, Order, Plan, RetryPolicy, Stage,
};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Values from here on cannot be computed.
const POISON: u64 = 600;

/// One sink `a` that gets the changes of tag 0.
fn plan() -> Plan {
    let changes = Stage::Changes { deadband: Default::default(), heartbeat_ns: None };
    Plan {
        version: gwp_plan::plan::PLAN_VERSION,
        gateway: GatewayPlan { name: "test".into(), timezone: "UTC".into(), settings: Settings::default() },
        tags: Vec::new(),
        groups: Vec::new(),
        sources: Vec::new(),
        calcs: Vec::new(),
        writes: Vec::new(),
        sinks: vec![SinkPlan {
            name: "a".into(),
            driver: "test".into(),
            settings: Settings::default(),
            journal: JournalPolicy {
                capacity_bytes: 1 << 30,
                keep_ns: i64::MAX,
                full: FullPolicy::DropOldest,
                mirror: MirrorPolicy::Async,
            },
            retry: RetryPolicy { first_ns: 1, max_ns: 1 },
            order: Order::PerTag,
            key: Vec::new(),
            bad: BadPolicy::Send,
            dead_letter: None,
            routes: vec![Route {
                flow: "f".into(),
                tags: vec![TagId(0)],
                stages: vec![changes],
                window: None,
                row_conditions: Vec::new(),
                names: Default::default(),
                high_priority: false,
            }],
        }],
        flows: Vec::new(),
        moved: Vec::new(),
    }
}

fn value_of(record: &Record) -> u64 {
    match &record.fact {
        Fact::Samples { batch, .. } => batch.values.cells.first().copied().unwrap_or(0),
        _ => 0,
    }
}

/// What a run of the lane over a store has left there.
#[derive(Debug, PartialEq)]
struct Left {
    /// How often computing a record panicked.
    failures: usize,
    /// Runs that ended with a panic, for supervision to start the lane again.
    restarts: usize,
    delivered: Vec<Value>,
    /// Samples of the lines of the ledger.
    ledger: Vec<u64>,
}

/// Appends records with these values of tag 0 and runs the lane until it has all of them;
/// from the first record on if `anew`.
async fn run(dir: &Path, values: &[u64], anew: bool) -> Left {
    let plan = Arc::new(plan());
    let id = plan.id();
    let mut store = Store::open(dir).unwrap().store;
    store.put_plan(id, &plan.to_bytes()).unwrap();
    let mut registered = store.register("a", SinkPolicy { keep_ns: i64::MAX, ..Default::default() }).unwrap();
    if anew {
        (registered.checkpoint, registered.from) = (None, Position::ZERO);
    }
    let (epoch, previous, hash) = (store.last_epoch() + 1, store.durable(), store.running_hash());
    store.begin_epoch(epoch).unwrap();
    let (log, plans) = (store.log_reader(), store.plan_reader());
    let clock = Arc::new(crate::GatewayClock::new(None));
    let space = SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 };
    let writer = Writer::start(store, dir, space, clock, Box::new(|_| {})).unwrap();
    let sequencer = Arc::new(Sequencer::new(&plan, epoch, previous, writer.sender(), writer.meter.clone()));
    let plans = Arc::new(Plans::new(plans, id, plan));
    let mut seat = LaneSeat::new("a".into(), &registered, id, plans, sequencer.clone(), writer.sender(), log);
    let failures = Arc::new(AtomicUsize::new(0));
    let failed = failures.clone();
    seat.compute = Arc::new(move |lane, record, out| {
        lane.step(record, out);
        if value_of(record) >= POISON {
            failed.fetch_add(1, Relaxed);
            panic!("poison");
        }
    });
    sequencer.activate(previous, hash, Timestamp(1), id);
    for value in values {
        let column = Column::uniform(Kind::Int, vec![*value]);
        let batch = Arc::new(Batch::uniform(GroupId::NONE, [TagId(0)].into(), Timestamp(1), column));
        sequencer.fact(Fact::Samples { slot: SlotMark::default(), batch });
    }
    let (stop_source, stop) = stop_pair();
    let seat = Arc::new(seat);
    let mut restarts = 0;
    let stopper = tokio::spawn({
        let (seat, last, since) = (seat.clone(), sequencer.last(), Instant::now());
        async move {
            while seat.meter.position() < last && since.elapsed() < Duration::from_secs(20) {
                tokio::task::yield_now().await;
            }
            stop_source.stop();
        }
    });
    while let Err(error) = tokio::spawn(seat.clone().run(stop.clone())).await {
        assert!(error.is_panic());
        restarts += 1;
    }
    stopper.await.unwrap();
    writer.stop();
    drop((seat, sequencer, writer));
    let store = Store::open(dir).unwrap().store;
    let mut journal = store.journal_reader(registered.id).unwrap();
    let entries = journal.entries_after(Cursor::ZERO, usize::MAX).unwrap();
    let ledger = store.ledger().lines();
    assert!(ledger.iter().all(|line| line.reason == GapReason::NotComputed));
    let dropped: u64 = store.sinks().map(|sink| sink.state.dropped_samples).sum();
    assert_eq!(dropped, ledger.iter().map(|line| line.samples).sum::<u64>());
    Left {
        failures: failures.load(Relaxed),
        restarts,
        delivered: entries.iter().map(|(_, live)| live.batch.values.get(0)).collect(),
        ledger: ledger.iter().map(|line| line.samples).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_computed_is_left_out_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let left = run(dir.path(), &[1, POISON, POISON + 1, 1, 3], false).await;
    // The second 1 is no change: the state is that before the records left out.
    let delivered = vec![Value::Int(1), Value::Int(3)];
    assert_eq!(left, Left { failures: 4, restarts: 2, delivered: delivered.clone(), ledger: vec![2] });
    // Its checkpoint lies behind them: they are not met again.
    let left = run(dir.path(), &[3, 4], false).await;
    let delivered = [delivered, vec![Value::Int(4)]].concat();
    assert_eq!(left, Left { failures: 0, restarts: 0, delivered: delivered.clone(), ledger: vec![2] });
    // Computed once more from the start they fail again, and are not counted again.
    let left = run(dir.path(), &[4], true).await;
    assert_eq!(left, Left { failures: 4, restarts: 2, delivered, ledger: vec![2] });
}
