//! Changing the plan of a running engine: what differs is made anew, all else goes on, and a change that fails leaves
//! the plan before in force.

mod support;

use gwp_core::source::{GroupDeclaration, Source, SourceContext, SourceError};
use gwp_core::{BoxFuture, TagId};
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{ChangeError, PreparedSink, Removed, Step, Target};
use gwp_plan::{Linear, Moved, MovedKind, Origin, Place, Plan};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use support::*;

/// A source that counts its runs and may refuse the drill.
struct Counted {
    inner: SlotSource,
    runs: Arc<AtomicUsize>,
    refuses: bool,
}

impl Source for Counted {
    fn run<'a>(&'a self, cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        self.runs.fetch_add(1, SeqCst);
        self.inner.run(cx)
    }

    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        let message = "the port is taken".to_owned();
        Box::pin(async move { if self.refuses { Err(SourceError { message }) } else { Ok(()) } })
    }
}

fn counted(groups: Vec<GroupDeclaration>, runs: &Arc<AtomicUsize>) -> Arc<dyn Source> {
    let inner = SlotSource { groups, panic_once: Arc::new(AtomicBool::new(false)) };
    Arc::new(Counted { inner, runs: runs.clone(), refuses: false })
}

/// Sources and destinations of a test, over all its plans.
#[derive(Default)]
struct World {
    runs: BTreeMap<String, Arc<AtomicUsize>>,
    got: BTreeMap<String, Arc<Got>>,
}

impl World {
    fn runs(&mut self, source: &str) -> Arc<AtomicUsize> {
        self.runs.entry(source.into()).or_default().clone()
    }

    fn got(&mut self, sink: &str) -> Arc<Got> {
        self.got.entry(sink.into()).or_default().clone()
    }

    fn target(&mut self, plan: &Plan) -> Target {
        let sources = plan.sources.iter().enumerate();
        let sources = sources.map(|(index, source)| {
            counted(plan.source_declaration(index).unwrap().groups, &self.runs(&source.name))
        });
        let sources = sources.collect();
        let sinks = plan.sinks.iter().map(|sink| PreparedSink {
            sink: Arc::new(TestSink(self.got(sink.settings.text("to").unwrap_or(&sink.name)))),
            limits: DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 4 },
        });
        let sinks = sinks.collect();
        Target { plan: Arc::new(plan.clone()), sources, sinks, removed: Removed::Drain }
    }

    async fn start(&mut self, plan: &Plan, dir: &std::path::Path) -> gwp_engine::Engine {
        let Target { plan, sources, sinks, .. } = self.target(plan);
        let space = gwp_journal::SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 };
        let config =
            gwp_engine::EngineConfig { plan, sources, sinks, leaving: vec![], data_dir: dir.into(), space };
        gwp_engine::Engine::start(config).await.unwrap()
    }
}

fn received(got: &Got) -> usize {
    got.samples.lock().unwrap().len()
}

/// A second source before the first one: every number of the first changes.
fn with_another_source(old: &Plan) -> Plan {
    let mut plan = plan(3, 10, &[]);
    for tag in &mut plan.tags {
        (tag.info.device, tag.info.path) = ("a".into(), tag.info.path.replacen("s.", "a.", 1).into());
    }
    plan.sources[0].name = "a".into();
    plan.groups[0].device = "a".into();
    let (tags, moved) = (plan.tags.len() as u32, plan.sources.len() as u32);
    let up = |tag: &TagId| TagId(tag.0 + tags);
    for tag in &old.tags {
        let mut tag = tag.clone();
        if let Origin::Connected { source } = &mut tag.origin {
            *source += moved;
        }
        plan.tags.push(tag);
    }
    for group in &old.groups {
        let mut group = group.clone();
        group.source += moved;
        group.tags = group.tags.iter().map(up).collect();
        plan.groups.push(group);
    }
    for source in &old.sources {
        let mut source = source.clone();
        source.connected = up(&source.connected);
        plan.sources.push(source);
    }
    for sink in &old.sinks {
        let mut sink = sink.clone();
        for route in &mut sink.routes {
            route.tags = route.tags.iter().map(up).collect();
        }
        plan.sinks.push(sink);
    }
    plan
}

/// Samples of a tag came once and in order; a busy machine may skip slots.
fn assert_rising(got: &Got, tags: &[TagId]) {
    let samples = got.samples.lock().unwrap();
    let slots: Vec<i64> =
        samples.iter().filter(|(tag, _)| tags.contains(tag)).map(|(_, slot)| *slot).collect();
    let wrong = slots.windows(2).find(|pair| pair[1] <= pair[0]);
    assert!(wrong.is_none() && slots.len() > 10, "{wrong:?} of {}", slots.len());
}

/// All that the lane of a sink gave to its journal has arrived, and nothing else.
fn assert_all(status: &gwp_engine::status::SinkStatus, got: &Got) {
    assert_eq!(status.journal.dropped_samples.load(SeqCst), 0);
    assert_eq!(status.lane.samples.load(SeqCst), received(got) as u64);
}

const ANY: gwp_engine::change::Observer<'static> = &|_| Ok(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_differ_goes_on_without_a_gap_under_other_numbers() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(2, 5, &["x"]);
    let engine = world.start(&old, dir.path()).await;
    let (got, runs) = (world.got("x"), world.runs("s"));
    until("samples", || received(&got) > 100).await;
    let new = with_another_source(&old);
    let changed = engine.change(world.target(&new), ANY).await.unwrap();
    assert_eq!((changed.before, changed.plan), (old.id(), new.id()));
    let before = received(&got);
    until("samples of the new plan", || received(&got) > before + 300).await;
    assert_eq!(engine.status.graph().sources.len(), 2);
    let changed = engine.change(world.target(&old), ANY).await.unwrap();
    assert_eq!(changed.plan, old.id());
    let before = received(&got);
    until("samples of the old plan", || received(&got) > before + 300).await;
    engine.stop().await;
    assert_eq!(runs.load(SeqCst), 1, "it was never connected again");
    // Tag 2 of the old plan is tag 6 of the new one.
    assert_rising(&got, &[TagId(2), TagId(6)]);
    assert!(slots_of(&got, TagId(6)).len() > 20);
    assert_all(&engine.status.graph().sinks[0], &got);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_is_in_force_from_one_record_on_and_nothing_is_made_anew() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    let engine = world.start(&old, dir.path()).await;
    let (got, runs) = (world.got("x"), world.runs("s"));
    until("samples", || received(&got) > 300).await;
    let mut new = old.clone();
    // Scaled ones are no whole numbers any more: this sink does not take them.
    new.tags[3].scale = Some(Linear { gain: 0.5, offset: 0.0 });
    engine.change(world.target(&new), ANY).await.unwrap();
    let before = received(&got);
    until("samples of the new plan", || received(&got) > before + 300).await;
    engine.stop().await;
    assert_eq!((runs.load(SeqCst), got.runs.load(SeqCst)), (1, 1));
    assert_rising(&got, &[TagId(4)]);
    let (scaled, plain) = (slots_of(&got, TagId(3)), slots_of(&got, TagId(4)));
    assert!(plain.starts_with(&scaled) && scaled.len() + 20 < plain.len(), "one cut for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_of_a_source_is_read_anew_and_slots_stay_accounted_for() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    let engine = world.start(&old, dir.path()).await;
    let (got, runs) = (world.got("x"), world.runs("s"));
    until("samples", || received(&got) > 300).await;
    let new = plan(20, 5, &["x"]);
    engine.change(world.target(&new), ANY).await.unwrap();
    let before = received(&got);
    until("samples of the new plan", || received(&got) > before + 300).await;
    engine.stop().await;
    assert_eq!((runs.load(SeqCst), got.runs.load(SeqCst)), (2, 1));
    assert!(slots_of(&got, TagId(20)).len() > 5);
    drop(engine);
    let mut log = gwp_journal::Store::open(dir.path()).unwrap().store.log_reader();
    let mut last = None;
    for (_, record) in log.records_after(gwp_core::Position::ZERO, usize::MAX).unwrap() {
        let gwp_core::Fact::Samples { slot, .. } = &record.fact else { continue };
        if slot.number > 0
            && let Some(last) = last.replace(slot.number)
        {
            assert_eq!(slot.number - last, 1 + u64::from(slot.skipped), "no slot is left out");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_goes_to_another_place_and_follows_another_name() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    world.got("x").down.store(true, SeqCst);
    let engine = world.start(&old, dir.path()).await;
    let journal = engine.status.graph().sinks[0].journal.clone();
    until("a journal", || journal.pending_samples.load(SeqCst) > 500).await;
    let mut new = plan(10, 5, &["y"]);
    new.sinks[0].settings.set("to", gwp_core::manifest::SettingValue::Text("elsewhere".into()));
    let (kind, old_name, new_name) = (MovedKind::Sink, Place::item("x"), Place::item("y"));
    new.moved = vec![Moved { kind, old: old_name, new: new_name }];
    engine.change(world.target(&new), ANY).await.unwrap();
    let got = world.got("elsewhere");
    until("all of it", || received(&got) > 1_000).await;
    let status = engine.status.graph();
    assert_eq!((status.sinks.len(), &*status.sinks[0].name), (1, "y"));
    assert_eq!(&*status.sinks[0].lane_stage.name, "lane/y");
    engine.stop().await;
    assert_rising(&got, &[TagId(7)]);
    assert_eq!(received(&world.got("x")), 0);
    assert_all(&status.sinks[0], &got);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_sink_drains_and_is_forgotten_and_one_that_comes_back_goes_on() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let both = plan(10, 5, &["x", "y"]);
    let engine = world.start(&both, dir.path()).await;
    let (x, y) = (world.got("x"), world.got("y"));
    until("samples", || received(&x) > 300 && received(&y) > 300).await;
    y.down.store(true, SeqCst);
    let journal = engine.status.graph().sinks[1].journal.clone();
    until("a journal", || journal.pending_samples.load(SeqCst) > 300).await;
    let one = plan(10, 5, &["x"]);
    engine.change(world.target(&one), ANY).await.unwrap();
    let leaving = |name: &str| {
        let graph = engine.status.graph();
        graph.sinks.iter().find(|sink| &*sink.name == name).map(|sink| sink.leaving)
    };
    assert_eq!((leaving("x"), leaving("y")), (Some(false), Some(true)));
    // Back again while it waits: as if nothing had been.
    engine.change(world.target(&both), ANY).await.unwrap();
    assert_eq!(leaving("y"), Some(false));
    engine.change(world.target(&one), ANY).await.unwrap();
    y.down.store(false, SeqCst);
    until("y to end", || leaving("y").is_none()).await;
    let delivered = received(&y);
    until("x to go on", || received(&x) > 1_500).await;
    engine.stop().await;
    assert_eq!(received(&y), delivered, "it has left");
    assert_rising(&x, &[TagId(7)]);
    drop(engine);
    let store = gwp_journal::Store::open(dir.path()).unwrap().store;
    let names: Vec<String> = store.sinks().map(|sink| sink.name.to_string()).collect();
    assert_eq!(names, ["x"]);
    assert!(store.ledger().lines().is_empty(), "nothing was lost");
    // The samples while it was not in the plan are not its own; those before and after are.
    let slots = slots_of(&y, TagId(7));
    assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "in order and none twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_fails_at_any_step_leaves_the_plan_before() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    let engine = world.start(&old, dir.path()).await;
    let got = world.got("x");
    let mut new = with_another_source(&plan(20, 5, &["x", "z"]));
    let other = gwp_core::manifest::SettingValue::Text("elsewhere".into());
    new.sinks[0].settings.set("to", other);
    let steps = [Step::Prepared, Step::Stopped, Step::Drilled, Step::Switched, Step::Durable, Step::Started];
    for failing in steps {
        let seen = Mutex::new(Vec::new());
        let observer = |step| {
            seen.lock().unwrap().push(step);
            if step == failing { Err(format!("no {step:?}")) } else { Ok(()) }
        };
        let error = engine.change(world.target(&new), &observer).await.unwrap_err();
        assert_eq!(error, ChangeError::Undone(format!("no {failing:?}")));
        assert_eq!(seen.lock().unwrap().last(), Some(&failing));
        let graph = engine.status.graph();
        assert_eq!((graph.plan, graph.sources.len()), (old.id(), 1), "{failing:?}");
        let before = received(&got);
        until("samples of the old plan", || received(&got) > before + 100).await;
        until("the sink that was added to go", || engine.status.graph().sinks.len() == 1).await;
    }
    engine.change(world.target(&new), ANY).await.unwrap();
    let elsewhere = world.got("elsewhere");
    until("samples of the new plan", || received(&elsewhere) > 500).await;
    engine.stop().await;
    drop(engine);
    let store = gwp_journal::Store::open(dir.path()).unwrap().store;
    assert_eq!(store.plan(), new.id());
    assert!(store.ledger().lines().iter().all(|line| &*line.sink == "z"), "{:?}", store.ledger().lines());
    assert!(store.verify().unwrap().pending < 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_comes_back_while_it_drains_gets_new_samples_too() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let (both, one) = (plan(10, 5, &["x", "y"]), plan(10, 5, &["x"]));
    let engine = world.start(&both, dir.path()).await;
    let y = world.got("y");
    y.down.store(true, SeqCst);
    let status = engine.status.graph().sinks[1].clone();
    until("a journal", || status.journal.pending_samples.load(SeqCst) > 300).await;
    for removed in [Removed::Drain, Removed::Keep] {
        let target = Target { removed, ..world.target(&one) };
        engine.change(target, ANY).await.unwrap();
        let leaving = |engine: &gwp_engine::Engine| {
            let graph = engine.status.graph();
            graph.sinks.iter().find(|sink| &*sink.name == "y").cloned()
        };
        match removed {
            Removed::Keep => until("y to be gone", || leaving(&engine).is_none()).await,
            _ => {
                let lane = leaving(&engine).unwrap().lane_stage.clone();
                until("its lane to end", || !lane.running.load(SeqCst)).await;
            }
        }
        engine.change(world.target(&both), ANY).await.unwrap();
        let lane = leaving(&engine).unwrap().lane.clone();
        let before = lane.samples.load(SeqCst);
        until("new samples", || lane.samples.load(SeqCst) > before + 200).await;
    }
    y.down.store(false, SeqCst);
    let journal = engine.status.graph().sinks[1].journal.clone();
    until("all of it", || journal.pending_samples.load(SeqCst) < 50).await;
    engine.stop().await;
    let slots = slots_of(&y, TagId(7));
    assert!(slots.windows(2).all(|pair| pair[1] > pair[0]), "in order and none twice");
    assert_eq!(journal.dropped_samples.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_has_moved_is_there_again_when_the_change_fails() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    world.got("x").down.store(true, SeqCst);
    world.got("y").down.store(true, SeqCst);
    let engine = world.start(&old, dir.path()).await;
    let journal = engine.status.graph().sinks[0].journal.clone();
    until("a journal", || journal.pending_samples.load(SeqCst) > 300).await;
    let mut new = plan(10, 5, &["y"]);
    let (kind, old_name, new_name) = (MovedKind::Sink, Place::item("x"), Place::item("y"));
    new.moved = vec![Moved { kind, old: old_name, new: new_name }];
    for failing in [Step::Drilled, Step::Switched, Step::Durable, Step::Started] {
        let observer = |step| if step == failing { Err("no".to_owned()) } else { Ok(()) };
        assert!(engine.change(world.target(&new), &observer).await.is_err());
        let waits = journal.pending_samples.load(SeqCst);
        assert_eq!(&*journal.names().now, "x", "{failing:?}");
        until("the lane to go on", || journal.pending_samples.load(SeqCst) > waits + 100).await;
        until("nothing else to be left", || engine.status.graph().sinks.len() == 1).await;
    }
    world.got("x").down.store(false, SeqCst);
    let got = world.got("x");
    until("all of it", || journal.pending_samples.load(SeqCst) < 50 && received(&got) > 300).await;
    let status = engine.status.graph();
    engine.stop().await;
    assert_rising(&got, &[TagId(7)]);
    assert_all(&status.sinks[0], &got);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_found_before_the_switch() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let old = plan(10, 5, &["x"]);
    let engine = world.start(&old, dir.path()).await;
    let last = engine.status.graph();
    let mut target = world.target(&plan(20, 5, &["x"]));
    let groups = target.plan.source_declaration(0).unwrap().groups;
    let inner = SlotSource { groups, panic_once: Arc::default() };
    target.sources[0] = Arc::new(Counted { inner, runs: Arc::default(), refuses: true });
    let error = engine.change(target, ANY).await.unwrap_err();
    assert_eq!(error.to_string(), "source/s: the port is taken; the plan before runs on");
    let got = world.got("x");
    until("samples", || received(&got) > 300).await;
    assert_eq!(engine.status.graph().plan, last.plan);
    engine.stop().await;
    drop(engine);
    let mut log = gwp_journal::Store::open(dir.path()).unwrap().store.log_reader();
    let records = log.records_after(gwp_core::Position::ZERO, usize::MAX).unwrap();
    let configured = |record: &gwp_core::Record| matches!(record.fact, gwp_core::Fact::Configured { .. });
    assert_eq!(records.iter().filter(|(_, record)| configured(record)).count(), 1, "nothing was switched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_left_before_a_restart_still_drains() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::default());
    let both = plan(10, 5, &["x", "y"]);
    let y = world.got("y");
    y.down.store(true, SeqCst);
    let engine = world.start(&both, dir.path()).await;
    let journal = engine.status.graph().sinks[1].journal.clone();
    until("a journal", || journal.pending_samples.load(SeqCst) > 300).await;
    let one = plan(10, 5, &["x"]);
    engine.change(world.target(&one), ANY).await.unwrap();
    let status = engine.status.graph();
    stopped(engine).await;
    let waiting = status.sinks[1].journal.pending_samples.load(SeqCst);
    assert!(waiting > 300);

    let Target { sinks, .. } = world.target(&both);
    let leaving = gwp_engine::LeavingSink {
        plan: Arc::new(both.clone()),
        index: 1,
        sink: sinks[1].clone(),
        how: Removed::Drain,
    };
    let Target { plan, sources, sinks, .. } = world.target(&one);
    let space = gwp_journal::SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 };
    let config = gwp_engine::EngineConfig {
        plan,
        sources,
        sinks,
        leaving: vec![leaving],
        data_dir: dir.path().into(),
        space,
    };
    y.down.store(false, SeqCst);
    let engine = gwp_engine::Engine::start(config).await.unwrap();
    until("y to end", || engine.status.graph().sinks.len() == 1).await;
    engine.stop().await;
    assert_eq!(received(&y) as u64, waiting);
    assert_rising(&y, &[TagId(3)]);
}
