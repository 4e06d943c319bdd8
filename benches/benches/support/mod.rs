//! What the benches share: batches that look like a plant's, a plan around them, and short runs.
#![allow(dead_code)]

use criterion::Criterion;
use gwp_core::manifest::Standby;
use gwp_core::record::SlotMark;
use gwp_core::source::PlcType;
use gwp_core::{
    Batch, Column, Fact, GroupId, Kind, Position, Record, Settings, TagId, TagInfo, Timestamp, Value,
};
use gwp_plan::*;
use std::sync::Arc;
use std::time::Duration;

/// Samples of the batch that every bench works on. One microsecond per batch is one
/// nanosecond per sample.
pub const SAMPLES: usize = 1_000;

/// Slot time of the first batch, 2027-01-15, nanoseconds.
const FIRST: i64 = 1_800_000_000_000_000_000;

/// Runs that are short, so that the whole set is: ratios within one run are what counts.
pub fn short() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args()
}

/// Slot time of batch `slot`, 100 ms apart.
pub fn time(slot: u64) -> Timestamp {
    Timestamp(FIRST + slot as i64 * 100_000_000)
}

/// A walk that is the same in every run (a linear congruential generator, upper bits).
pub struct Walk(u64);

impl Walk {
    pub fn new(seed: u64) -> Walk {
        Walk(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A measured value: 0 to 100 with two decimals.
    pub fn float(&mut self) -> f64 {
        self.below(10_000) as f64 / 100.0
    }
}

/// Tag 0 is the source's `connected`; the points follow it.
pub fn points(samples: usize) -> Arc<[TagId]> {
    (1..=samples as u32).map(TagId).collect()
}

/// A full batch of group 0.
pub fn batch(slot: u64, values: Column) -> Batch {
    Batch::uniform(GroupId(0), points(values.len()), time(slot), values)
}

/// 16-bit registers.
pub fn ints(slot: u64) -> Batch {
    let mut walk = Walk::new(slot);
    batch(slot, Column::uniform(Kind::Int, (0..SAMPLES).map(|_| walk.below(65_536)).collect()))
}

/// Measured values with two decimals: not exact in 32 bits, so each takes 8 bytes before compression.
pub fn floats(slot: u64) -> Batch {
    let mut walk = Walk::new(slot);
    batch(slot, Column::uniform(Kind::Float, (0..SAMPLES).map(|_| walk.float().to_bits()).collect()))
}

/// Of 200 values 171 floats, 16 ints, 9 bools and 4 texts, in runs, as the tags of a device mostly stand.
pub fn mixed(slot: u64) -> Batch {
    let mut walk = Walk::new(slot);
    let mut column = Column::with_capacity(SAMPLES);
    for index in 0..SAMPLES {
        column.push(match index % 200 {
            0..171 => Value::Float(walk.float()),
            171..187 => Value::Int(walk.below(5_000) as i64),
            187..196 => Value::Bool(walk.below(2) == 1),
            _ => Value::Text(["running", "stopped", "fault", "setup"][walk.below(4) as usize].into()),
        });
    }
    batch(slot, column)
}

pub fn record(seq: u64, batch: Batch) -> Arc<Record> {
    let slot = SlotMark { number: seq, skipped: 0 };
    Arc::new(Record { position: Position::new(1, seq), fact: Fact::Samples { slot, batch: Arc::new(batch) } })
}

fn tag(name: String, kind: Kind, origin: Origin) -> Tag {
    Tag {
        info: TagInfo {
            path: format!("plant.{name}").into(),
            device: "plant".into(),
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
    }
}

/// One source with one group of [`SAMPLES`] points of a kind, one sink, one flow of all points.
pub fn plan(kind: Kind) -> Plan {
    let points = points(SAMPLES);
    let mut tags = vec![tag("connected".into(), Kind::Bool, Origin::Connected { source: 0 })];
    tags.extend((0..SAMPLES).map(|index| {
        let origin = Origin::Point { address: format!("{index}").into(), plc_type: PlcType::Lreal };
        tag(format!("t{index:04}"), kind, origin)
    }));
    Plan {
        version: gwp_plan::plan::PLAN_VERSION,
        gateway: GatewayPlan { name: "bench".into(), timezone: "UTC".into(), settings: Settings::default() },
        tags,
        groups: vec![Group {
            source: 0,
            device: "plant".into(),
            device_settings: Settings::default(),
            period_ns: 100_000_000,
            phase_ns: 0,
            tags: points.clone(),
        }],
        sources: vec![SourcePlan {
            name: "plant".into(),
            driver: "bench".into(),
            settings: Settings::default(),
            standby: Standby::Hot,
            late_ns: 0,
            device_time: false,
            on_disconnect: OnDisconnect::MarkBad,
            connected: TagId(0),
        }],
        calcs: Vec::new(),
        writes: Vec::new(),
        sinks: vec![sink(points.to_vec())],
        flows: Vec::new(),
        moved: Vec::new(),
    }
}

fn sink(tags: Vec<TagId>) -> SinkPlan {
    SinkPlan {
        name: "null".into(),
        driver: "bench".into(),
        settings: Settings::default(),
        journal: JournalPolicy {
            capacity_bytes: 1 << 40,
            keep_ns: i64::MAX,
            full: FullPolicy::DropOldest,
            mirror: MirrorPolicy::Async,
        },
        retry: RetryPolicy { first_ns: 5_000_000, max_ns: 50_000_000 },
        order: Order::PerTag,
        key: Vec::new(),
        bad: BadPolicy::Send,
        dead_letter: None,
        routes: vec![Route {
            flow: "all".into(),
            tags,
            stages: Vec::new(),
            window: None,
            row_conditions: Vec::new(),
            names: Default::default(),
            high_priority: false,
        }],
    }
}

/// [`plan`] with a calc `c<n> = expr(n)` for each n, all of them (and no point) in the flow.
pub fn plan_with_calcs(count: usize, expr: impl Fn(usize) -> Expr) -> Plan {
    let mut plan = plan(Kind::Float);
    let first = plan.tags.len() as u32;
    for index in 0..count {
        plan.tags.push(tag(format!("u{index:04}"), Kind::Float, Origin::Calc));
        plan.calcs.push(Calc::pure(TagId(first + index as u32), expr(index)));
    }
    plan.sinks[0].routes[0].tags = (first..first + count as u32).map(TagId).collect();
    plan
}
