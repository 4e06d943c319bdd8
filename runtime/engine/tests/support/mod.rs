//! A small plant: sources and sinks whose behaviour a test decides.
#![allow(dead_code)]

use gwp_core::manifest::Standby;
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::sink::{Sink, SinkContext, SinkError};
use gwp_core::source::{GroupDeclaration, PlcType, Source, SourceContext, SourceError};
use gwp_core::{
    BoxFuture, Column, Cursor, Kind, Qualities, Quality, Settings, TagId, TagInfo, Timestamp, Value,
};
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{Engine, EngineConfig, PreparedSink};
use gwp_journal::SpacePolicy;
use gwp_plan::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const MS: i64 = 1_000_000;

/// One source `s` with `tags` tags polled every `period_ms`, sinks by name with a route each.
pub fn plan(tags: usize, period_ms: i64, sinks: &[&str]) -> Plan {
    let tag = |name: String, origin: Origin, kind: Kind| Tag {
        info: TagInfo {
            path: format!("s.{name}").into(),
            device: "s".into(),
            tag: name.into(),
            unit: "".into(),
            labels: [].into(),
            desc: "".into(),
            row: "".into(),
        },
        kind,
        origin,
        scale: None,
        range: None,
        deadband: None,
        counter: None,
        writable: false,
        family: None,
    };
    let mut all = vec![tag("connected".into(), Origin::Connected { source: 0 }, Kind::Bool)];
    all.extend((0..tags).map(|index| {
        let origin = Origin::Point { address: format!("{index}").into(), plc_type: PlcType::Lint };
        tag(format!("t{index:05}"), origin, Kind::Int)
    }));
    let points: Arc<[TagId]> = (1..=tags as u32).map(TagId).collect();
    Plan {
        version: gwp_plan::plan::PLAN_VERSION,
        gateway: GatewayPlan { name: "test".into(), timezone: "UTC".into(), settings: Settings::default() },
        tags: all,
        groups: vec![Group {
            source: 0,
            device: "s".into(),
            device_settings: Settings::default(),
            period_ns: period_ms * MS,
            phase_ns: 0,
            tags: points.clone(),
        }],
        sources: vec![SourcePlan {
            name: "s".into(),
            driver: "test".into(),
            settings: Settings::default(),
            standby: Standby::Hot,
            late_ns: 0,
            device_time: false,
            on_disconnect: OnDisconnect::MarkBad,
            connected: TagId(0),
        }],
        calcs: Vec::new(),
        writes: Vec::new(),
        sinks: sinks.iter().map(|name| sink(name, &points)).collect(),
        flows: Vec::new(),
        moved: Vec::new(),
    }
}

/// A sink that takes `tags` on one route.
fn sink(name: &str, tags: &[TagId]) -> SinkPlan {
    SinkPlan {
        name: name.into(),
        driver: "test".into(),
        settings: Settings::default(),
        journal: JournalPolicy {
            capacity_bytes: 1 << 30,
            keep_ns: 7 * 86_400 * 1_000 * MS,
            full: FullPolicy::DropOldest,
            mirror: MirrorPolicy::Async,
        },
        retry: RetryPolicy { first_ns: 5 * MS, max_ns: 50 * MS },
        order: Order::PerTag,
        key: Vec::new(),
        bad: BadPolicy::Send,
        dead_letter: None,
        routes: vec![Route {
            flow: "all".into(),
            tags: tags.to_vec(),
            stages: Vec::new(),
            window: None,
            row_conditions: Vec::new(),
            names: Default::default(),
            high_priority: false,
        }],
    }
}

/// Every tag's value is the number of its slot.
pub struct SlotSource {
    pub groups: Vec<GroupDeclaration>,
    /// The next poll panics.
    pub panic_once: Arc<AtomicBool>,
}

struct SlotPoller<'a>(&'a SlotSource);

impl Poller for SlotPoller<'_> {
    fn poll<'a>(&'a mut self, group: usize, time: Timestamp) -> BoxFuture<'a, Polled> {
        Box::pin(async move {
            assert!(!self.0.panic_once.swap(false, SeqCst), "asked to panic");
            let group = &self.0.groups[group];
            let slot = (time.0 / group.period_ns) as u64;
            let values = Column::uniform(Kind::Int, vec![slot; group.tags.len()]);
            Polled::Values { values, qualities: Qualities::Same(Quality::GOOD) }
        })
    }
}

impl Source for SlotSource {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            cx.connected(true).await;
            run_polled(&mut cx, &self.groups, &mut SlotPoller(self)).await;
            Ok(())
        })
    }
}

/// What a test sink has got: (tag, slot number), in order of arrival.
#[derive(Default)]
pub struct Got {
    pub samples: Mutex<Vec<(TagId, i64)>>,
    /// Slots that came flagged as backfill, of tag 1.
    pub backfill: Mutex<Vec<i64>>,
    pub acknowledged: Mutex<Cursor>,
    /// Epoch of the last connection.
    pub epoch: AtomicUsize,
    pub runs: AtomicUsize,
    /// Not connecting while set.
    pub down: AtomicBool,
    /// Panic at the next delivery.
    pub panic_once: AtomicBool,
    /// Take, then fail without acknowledging, at the next delivery.
    pub fail_once: AtomicBool,
}

pub struct TestSink(pub Arc<Got>);

impl Sink for TestSink {
    fn run<'a>(&'a self, mut cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.0.runs.fetch_add(1, SeqCst);
            self.0.epoch.store(cx.identity.epoch as usize, SeqCst);
            if self.0.down.load(SeqCst) {
                return Err(SinkError::retry("down"));
            }
            cx.inlet.ready(None);
            while let Some(delivery) = cx.inlet.next().await {
                if self.0.down.load(SeqCst) {
                    return Err(SinkError::retry("down"));
                }
                assert!(!self.0.panic_once.swap(false, SeqCst), "asked to panic");
                let mut samples = self.0.samples.lock().unwrap();
                for part in &delivery.parts {
                    for (index, tag) in part.batch.tags.iter().enumerate() {
                        if let Value::Int(slot) = part.batch.values.get(index) {
                            samples.push((*tag, slot));
                            if part.batch.backfill && *tag == TagId(1) {
                                self.0.backfill.lock().unwrap().push(slot);
                            }
                        }
                    }
                }
                drop(samples);
                if self.0.fail_once.swap(false, SeqCst) {
                    return Err(SinkError::retry("asked to fail"));
                }
                *self.0.acknowledged.lock().unwrap() = delivery.upto;
                cx.inlet.ack(delivery.upto);
            }
            Ok(())
        })
    }
}

/// A running engine over a plan of [`plan`], and handles on its parts.
pub struct Plant {
    pub engine: Engine,
    pub got: Vec<Arc<Got>>,
    pub source_panics: Arc<AtomicBool>,
}

/// What an engine over a plan of [`plan`] is made of, and what makes its sources panic.
pub fn config(plan: Plan, dir: &Path, got: &[Arc<Got>]) -> (EngineConfig, Arc<AtomicBool>) {
    let source_panics = Arc::new(AtomicBool::new(false));
    let sources = (0..plan.sources.len())
        .map(|index| {
            let groups = plan.source_declaration(index).unwrap().groups;
            Arc::new(SlotSource { groups, panic_once: source_panics.clone() }) as Arc<dyn Source>
        })
        .collect();
    let sinks = got
        .iter()
        .map(|got| PreparedSink {
            sink: Arc::new(TestSink(got.clone())),
            limits: DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 4 },
        })
        .collect();
    let config = EngineConfig {
        plan: Arc::new(plan),
        sources,
        sinks,
        leaving: Vec::new(),
        data_dir: dir.into(),
        space: SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 },
    };
    (config, source_panics)
}

pub async fn start(plan: Plan, dir: &Path, got: Vec<Arc<Got>>) -> Plant {
    let (config, source_panics) = config(plan, dir, &got);
    Plant { engine: Engine::start(config).await.unwrap(), got, source_panics }
}

/// The exits' gate in the first epoch of the primary's above `last`, open for good.
pub fn gate(last: u32) -> gwp_redundancy::token::Gate {
    gwp_redundancy::lone::activate(last, |_| Ok::<(), ()>(())).unwrap()
}

/// Stops an engine and lets go of its store.
pub async fn stopped(engine: Engine) {
    engine.stop().await;
}

/// Waits for a condition; fails the test when it does not come.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Slots of one tag in order of arrival.
pub fn slots_of(got: &Got, tag: TagId) -> Vec<i64> {
    got.samples.lock().unwrap().iter().filter(|(of, _)| *of == tag).map(|(_, slot)| *slot).collect()
}
