//! Live values: raw and computed ones, over a change of the plan, and nothing while nobody watches.

mod support;

use gwp_core::{Kind, TagId, Value};
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{LiveSample, PreparedSink, Removed, Target};
use gwp_plan::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use support::*;

/// The tags `s.t00000` ... without the first `gone`, and `s.twice`, twice the value of `s.t00001`.
fn with_calc(gone: usize) -> Plan {
    let mut plan = plan(2, 10, &["x"]);
    plan.tags.drain(1..1 + gone);
    let raw = plan.tags.len() as u32 - 1;
    let (last, twice) = (TagId(raw), TagId(raw + 1));
    let mut tag = plan.tags[1].clone();
    (tag.info.path, tag.info.tag) = ("s.twice".into(), "twice".into());
    (tag.origin, tag.kind) = (Origin::Calc, Kind::Int);
    plan.tags.push(tag);
    let points: Arc<[TagId]> = (1..=raw).map(TagId).collect();
    plan.sinks[0].routes[0].tags = vec![last, twice];
    plan.groups[0].tags = points;
    let read = || Box::new(Expr::Tag(last, Type::Int));
    plan.calcs.push(Calc::pure(twice, Expr::Binary(BinaryOp::Add, read(), read())));
    plan
}

fn target(plan: &Plan, got: &Arc<Got>) -> Target {
    let groups = plan.source_declaration(0).unwrap().groups;
    let sink = PreparedSink {
        sink: Arc::new(TestSink(got.clone())),
        limits: DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 4 },
    };
    Target {
        plan: Arc::new(plan.clone()),
        sources: vec![Arc::new(SlotSource { groups, panic_once: Arc::new(AtomicBool::new(false)) })],
        sinks: vec![sink],
        removed: Removed::Drain,
    }
}

fn received(got: &Got) -> usize {
    got.samples.lock().unwrap().len()
}

const WATCHED: [&str; 4] = ["s.nothing", "s.t00000", "s.t00001", "s.twice"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_values_come_raw_and_computed_and_go_on_over_a_change_of_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let got = Arc::<Got>::default();
    let plant = start(with_calc(0), dir.path(), vec![got.clone()]).await;
    until("samples", || received(&got) > 200).await;
    let board = plant.engine.live();
    assert_eq!(board.taken(), 0, "nobody watches");

    let mut watch = board.watch(WATCHED.map(Arc::from));
    let mut seen: BTreeMap<Arc<str>, Vec<LiveSample>> = BTreeMap::new();
    let is_enough = |seen: &BTreeMap<Arc<str>, Vec<LiveSample>>, paths: &[&str], after| {
        paths.iter().all(|path| {
            let samples = seen.get(*path).map_or(&[][..], Vec::as_slice);
            samples.iter().filter(|sample| sample.time > after).count() >= 3
        })
    };
    let beginning = gwp_core::Timestamp(0);
    while !is_enough(&seen, &WATCHED[1..], beginning) {
        for sample in watch.next().await {
            seen.entry(sample.path.clone()).or_default().push(sample);
        }
    }
    assert!(!seen.contains_key("s.nothing"));

    // The first tag is gone, the others have other numbers.
    plant.engine.change(target(&with_calc(1), &got), &|_| Ok(())).await.unwrap();
    let changed = gwp_core::Clock::now(&*plant.engine.clock);
    while !is_enough(&seen, &WATCHED[2..], changed) {
        for sample in watch.next().await {
            seen.entry(sample.path.clone()).or_default().push(sample);
        }
    }
    assert!(seen["s.t00000"].iter().all(|sample| sample.time <= changed));
    for (path, samples) in &seen {
        let times: Vec<_> = samples.iter().map(|sample| sample.time).collect();
        assert!(times.is_sorted(), "{path}: {times:?}");
        let factor = if &**path == "s.twice" { 2 } else { 1 };
        // A source that starts anew says first that it is not connected.
        for sample in samples.iter().filter(|sample| sample.quality.is_good()) {
            assert_eq!(sample.value, Value::Int(factor * (sample.time.0 / (10 * MS))), "{path}");
        }
        assert!(samples.iter().filter(|sample| sample.quality.is_good()).count() >= 3, "{path}");
    }

    drop(watch);
    let (mut taken, mut samples, mut quiet) = (board.taken(), received(&got), 0);
    until("copying to stop", || {
        if received(&got) < samples + 20 {
            return false;
        }
        quiet = if board.taken() == taken { quiet + 1 } else { 0 };
        (taken, samples) = (board.taken(), received(&got));
        quiet >= 5
    })
    .await;
    stopped(plant.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_watch_and_each_hears_of_its_tags() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(with_calc(0), dir.path(), vec![Arc::default()]).await;
    let board = plant.engine.live();
    let mut raw = board.watch(["s.t00001".into()]);
    raw.next().await;
    let mut both = board.watch(["s.connected".into(), "s.twice".into()]);
    let mut heard: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    while heard.len() < 2 {
        heard.extend(both.next().await.into_iter().map(|sample| (sample.path, sample.value)));
    }
    // That it is connected was said before anybody watched.
    assert_eq!(heard["s.connected"], Value::Bool(true));
    drop(both);
    for _ in 0..3 {
        assert!(raw.next().await.iter().all(|sample| &*sample.path == "s.t00001"));
    }
    stopped(plant.engine).await;
}
