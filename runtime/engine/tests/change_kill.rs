//! A process that dies at any step of a change comes back with the old plan or the new one, never with a mixture.

mod support;

use gwp_core::manifest::SettingValue;
use gwp_core::source::Source;
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{Engine, EngineConfig, PreparedSink, Removed, Step, Target};
use gwp_journal::{SpacePolicy, Store};
use gwp_plan::{Moved, MovedKind, Place, Plan};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::*;

const STEPS: [Step; 6] =
    [Step::Prepared, Step::Stopped, Step::Drilled, Step::Switched, Step::Durable, Step::Started];

/// A journal with something in it, which moves; a tag more; a sink more.
fn plans() -> (Plan, Plan) {
    let old = plan(10, 5, &["x"]);
    let mut new = plan(12, 5, &["y", "z"]);
    new.sinks[0].settings.set("to", SettingValue::Text("elsewhere".into()));
    new.moved = vec![Moved { kind: MovedKind::Sink, old: Place::item("x"), new: Place::item("y") }];
    (old, new)
}

fn parts(plan: &Plan, got: &[Arc<Got>]) -> (Vec<Arc<dyn Source>>, Vec<PreparedSink>) {
    let groups = plan.source_declaration(0).unwrap().groups;
    let source: Arc<dyn Source> = Arc::new(SlotSource { groups, panic_once: Arc::default() });
    let limits = DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 4 };
    let sink = |got: &Arc<Got>| PreparedSink { sink: Arc::new(TestSink(got.clone())), limits };
    (vec![source], got.iter().map(sink).collect())
}

async fn start_engine(plan: &Plan, dir: &Path, got: &[Arc<Got>]) -> Engine {
    let (sources, sinks) = parts(plan, got);
    let space = SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 };
    let (plan, data_dir) = (Arc::new(plan.clone()), dir.to_owned());
    Engine::start(EngineConfig { plan, sources, sinks, leaving: Vec::new(), data_dir, space }).await.unwrap()
}

/// What the child process does; without its environment it is no test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(dir), Ok(step)) = (std::env::var("GWP_TEST_DIR"), std::env::var("GWP_TEST_STEP")) else { return };
    let dying = STEPS[step.parse::<usize>().unwrap()];
    let (old, new) = plans();
    let down = Arc::new(Got::default());
    down.down.store(true, SeqCst);
    let engine = start_engine(&old, Path::new(&dir), std::slice::from_ref(&down)).await;
    let journal = engine.status.graph().sinks[0].journal.clone();
    until("a journal", || journal.pending_samples.load(SeqCst) > 300).await;
    let (sources, sinks) = parts(&new, &[down.clone(), down]);
    let target = Target { plan: Arc::new(new), sources, sinks, removed: Removed::Drain };
    let observer = move |step| if step == dying { std::process::abort() } else { Ok(()) };
    let _ = engine.change(target, &observer).await;
    panic!("it should have died");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_at_a_step_has_the_old_plan_or_the_new_one_and_every_sample() {
    let (old, new) = plans();
    for (index, step) in STEPS.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env("GWP_TEST_DIR", dir.path())
            .env("GWP_TEST_STEP", index.to_string())
            .output()
            .unwrap()
            .status;
        assert!(!status.success(), "{step:?}");
        let store = Store::open(dir.path()).unwrap().store;
        let is_new = store.plan() == new.id();
        assert!(is_new || store.plan() == old.id());
        match step {
            Step::Prepared | Step::Stopped | Step::Drilled => assert!(!is_new, "{step:?}"),
            // Whether the record was on disk yet is not known.
            Step::Switched => {}
            Step::Durable | Step::Started => assert!(is_new, "{step:?}"),
        }
        let names: Vec<String> = store.sinks().map(|sink| sink.name.to_string()).collect();
        let moved = names.iter().any(|name| name == "y");
        assert_eq!((moved, names.iter().any(|name| name == "x")), (is_new, !is_new), "{step:?}: {names:?}");
        let waiting: u64 = store.sinks().map(|sink| sink.pending_samples()).sum();
        assert!(waiting > 300, "{step:?}: {waiting}");
        store.verify().unwrap();
        drop(store);

        // It goes on with that plan, and all that waited arrives.
        let plan = if is_new { &new } else { &old };
        let got: Vec<Arc<Got>> = plan.sinks.iter().map(|_| Arc::default()).collect();
        let engine = start_engine(plan, dir.path(), &got).await;
        let first = got[0].clone();
        let received = || first.samples.lock().unwrap().len() as u64;
        until("what waited", || received() > waiting + 100).await;
        stopped(engine).await;
        let slots = slots_of(&first, gwp_core::TagId(5));
        assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "{step:?}: in order, none twice");
    }
}
