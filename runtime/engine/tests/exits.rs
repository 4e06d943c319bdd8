//! What the outside sees of a graph goes through one gate, and only while that is open.

mod support;

use gwp_core::TagId;
use gwp_redundancy::lone;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use support::{Got, plan, slots_of, start, stopped, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_shut_exits_all_is_logged_and_nothing_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::new(Got::default());
    let plant = start(plan(20, 5, &["a"]), dir.path(), vec![got.clone()]).await;
    until("samples", || slots_of(&got, TagId(1)).len() >= 20).await;
    let keeper = plant.engine.exits().unwrap();
    keeper.shut();
    keeper.emptied().await;
    let (arrived, runs) = (slots_of(&got, TagId(1)), got.runs.load(SeqCst));
    // Reading and logging go on.
    let lane = plant.engine.status.graph().sinks[0].lane.clone();
    let logged = lane.samples.load(Relaxed);
    until("the log", || lane.samples.load(Relaxed) >= logged + 20 * 50).await;
    assert_eq!(slots_of(&got, TagId(1)), arrived, "nothing leaves behind shut exits");
    assert_eq!(got.runs.load(SeqCst), runs, "nor is anybody connected to");

    // Another epoch opens them, and what waited leaves in order.
    keeper.set(lone::activate(got.epoch.load(SeqCst) as u32, |_| Ok::<(), ()>(())).unwrap());
    until("what waited", || slots_of(&got, TagId(1)).len() >= arrived.len() + 50).await;
    assert_eq!(got.epoch.load(SeqCst), 3, "destinations are fenced with it");
    stopped(plant.engine).await;
    let slots = slots_of(&got, TagId(1));
    assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "each once, in order: {slots:?}");
    let total = got.samples.lock().unwrap().len() as u64;
    assert_eq!(total, lane.samples.load(Relaxed), "all that was logged");
}
