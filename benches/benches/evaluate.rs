//! Cost of computing: scaling, conditions, calcs and lanes, per batch of 1,000 samples
//! (microseconds per batch are nanoseconds per sample). `plain` is the same sum or
//! comparison in a bare loop over a slice.

#[path = "support/programs.rs"]
mod programs;
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gwp_core::{Batch, Column, GroupId, Kind, TagId, Value};
use gwp_plan::eval::{Frame, Latest, Slots, compile};
use gwp_plan::mask::{Mask, Scene};
use gwp_plan::{BinaryOp, Conditioner, Expr, Lane, Linear, Plan, Stage, Type, Word};
use std::hint::black_box;
use std::sync::Arc;
use support::*;

const GAIN: f64 = 0.1;
const OFFSET: f64 = -40.0;

/// `scale` and `range` of every tag of a group.
fn condition(c: &mut Criterion) {
    let mut group = c.benchmark_group("evaluate/scale");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let scaled = |ranged: bool| {
        let mut plan = plan(Kind::Float);
        for tag in &mut plan.tags[1..] {
            tag.scale = Some(Linear { gain: GAIN, offset: OFFSET });
            tag.range = ranged.then_some((-40.0, 6_500.0));
        }
        Conditioner::new(&plan, &points(SAMPLES))
    };
    let scale = scaled(false);
    for (name, raw) in [("floats", floats(1)), ("ints", ints(1))] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(|| raw.clone(), |batch| scale.apply(batch), BatchSize::SmallInput)
        });
    }
    let scale_and_range = scaled(true);
    group.bench_function("ints and range", |b| {
        b.iter_batched_ref(|| ints(1), |batch| scale_and_range.apply(batch), BatchSize::SmallInput)
    });
    let raw: Vec<f64> = floats(1).values.cells.iter().map(|cell| f64::from_bits(*cell)).collect();
    let factors = vec![(GAIN, OFFSET); SAMPLES];
    group.bench_function("plain floats", |b| {
        b.iter_batched_ref(
            || raw.clone(),
            |values| {
                let each = values.iter_mut().zip(black_box(&factors));
                each.for_each(|(value, (gain, offset))| *value = *value * gain + offset);
            },
            BatchSize::SmallInput,
        )
    });
    group.finish();
}

fn value() -> Expr {
    Expr::Word(Word::Value(Type::Float))
}

fn float(value: f64) -> Expr {
    Expr::Const(Value::Float(value))
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

/// `value > 50`: half of the samples pass.
fn above() -> Expr {
    binary(BinaryOp::Gt, value(), float(50.0))
}

/// Conditions over a whole batch.
fn conditions(c: &mut Criterion) {
    let mut group = c.benchmark_group("evaluate/where");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let batch = floats(1);
    let (latest, flow) = (Latest::new(0), Arc::from("all"));
    let scene = Scene { latest: &latest, tags: &[], flow: &flow };
    let good = Expr::Good(Box::new(value()));
    let cases = [
        ("value > 50", above()),
        ("value > 50 and good(value)", binary(BinaryOp::And, above(), good)),
        // Not one of the columnar forms: a closure per sample.
        ("value * 2 > 100", binary(BinaryOp::Gt, binary(BinaryOp::Mul, value(), float(2.0)), float(100.0))),
    ];
    for (name, expr) in cases {
        let mask = Mask::compile(&expr, &mut Slots::default());
        let mut pass = vec![true; SAMPLES];
        mask.apply(&batch, &scene, &mut pass);
        assert!((400..600).contains(&pass.iter().filter(|pass| **pass).count()));
        group.bench_function(name, |b| {
            b.iter(|| {
                pass.fill(true);
                mask.apply(black_box(&batch), &scene, &mut pass);
            })
        });
    }
    let values: Vec<f64> = batch.values.cells.iter().map(|cell| f64::from_bits(*cell)).collect();
    let mut pass = vec![true; SAMPLES];
    group.bench_function("plain value > 50", |b| {
        b.iter(|| {
            let each = pass.iter_mut().zip(black_box(&values));
            each.for_each(|(pass, value)| *pass = *value > 50.0);
        })
    });
    group.finish();
}

/// `t<2n> + t<2n+1> * 0.5`
fn sum_of_two(index: usize) -> Expr {
    let tag = |offset: usize| Expr::Tag(TagId((1 + 2 * index + offset) as u32), Type::Float);
    binary(BinaryOp::Add, tag(0), binary(BinaryOp::Mul, tag(1), float(0.5)))
}

/// A calc over two tags: the closure alone, and 500 of them in a lane.
fn calcs(c: &mut Criterion) {
    const CALCS: usize = SAMPLES / 2;
    let mut group = c.benchmark_group("evaluate/calc");
    group.throughput(Throughput::Elements(CALCS as u64));
    let batch = floats(1);
    let mut slots = Slots::default();
    let compiled: Vec<_> = (0..CALCS).map(|index| compile(&sum_of_two(index), &mut slots)).collect();
    let mut latest = Latest::new(slots.len());
    for (tag, slot) in slots.iter() {
        latest.take(slot, &batch, tag.index() - 1);
    }
    group.bench_function("500 closures", |b| {
        b.iter(|| {
            for calc in &compiled {
                let frame = Frame { latest: &latest, time: time(1), sample: None };
                black_box(calc.value(&frame));
            }
        })
    });
    let mut lane = Lane::new(Arc::new(plan_with_calcs(CALCS, sum_of_two)), 0);
    let record = record(1, batch.clone());
    let mut out = Vec::new();
    lane.step(&record, &mut out);
    assert_eq!(out[0].payload.batch().len(), CALCS);
    group.bench_function("500 in a lane", |b| {
        b.iter(|| {
            out.clear();
            lane.step(black_box(&record), &mut out);
        })
    });
    let values: Vec<f64> = batch.values.cells.iter().map(|cell| f64::from_bits(*cell)).collect();
    let mut sums = vec![0.0; CALCS];
    group.bench_function("plain 500", |b| {
        b.iter(|| {
            let pairs = black_box(&values).chunks_exact(2);
            sums.iter_mut().zip(pairs).for_each(|(sum, pair)| *sum = pair[0] + pair[1] * 0.5);
            black_box(&mut sums);
        })
    });
    group.finish();
}

/// A lane with one stage and route; `part` of the points are in the flow.
fn lane(part: usize, stages: Vec<Stage>) -> Lane {
    let mut plan: Plan = plan(Kind::Float);
    plan.sinks[0].routes[0].tags.truncate(part);
    plan.sinks[0].routes[0].stages = stages;
    Lane::new(Arc::new(plan), 0)
}

/// What a sink's lane costs per record.
fn lanes(c: &mut Criterion) {
    let mut group = c.benchmark_group("evaluate/lane");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let changes = || vec![Stage::Changes { deadband: Default::default(), heartbeat_ns: None }];
    let (first, second) = (record(1, floats(1)), record(2, floats(2)));
    // Name, lane, the records that take turns, samples that pass of the last one.
    let cases = [
        ("all pass through", lane(SAMPLES, vec![]), [&first, &second], 1_000..1_001),
        ("half of the group", lane(SAMPLES / 2, vec![]), [&first, &second], 500..501),
        ("where, half pass", lane(SAMPLES, vec![Stage::Where(above())]), [&first, &second], 400..600),
        ("changes, all news", lane(SAMPLES, changes()), [&first, &second], 950..1_001),
        ("changes, no news", lane(SAMPLES, changes()), [&first, &first], 0..1),
    ];
    for (name, mut lane, turns, passing) in cases {
        let mut out = Vec::new();
        let mut turn = 0;
        let mut step = |out: &mut Vec<_>| {
            out.clear();
            turn = 1 - turn;
            lane.step(black_box(turns[turn]), out);
        };
        step(&mut out);
        step(&mut out);
        let passed: usize = out.iter().map(|entry| entry.payload.batch().len()).sum();
        assert!(passing.contains(&passed), "{name}: {passed}");
        group.bench_function(name, |b| b.iter(|| step(&mut out)));
    }
    let [first, second] = [floats(1), floats(2)].map(|batch| batch.values.cells);
    let mut last = first.clone();
    let mut turn = false;
    group.bench_function("plain changes, all news", |b| {
        b.iter(|| {
            turn = !turn;
            let now = black_box(if turn { &second } else { &first });
            let news =
                |(last, now): (&mut u64, &u64)| (std::mem::replace(last, *now) != *now).then_some(*now);
            last.iter_mut().zip(now).filter_map(news).collect::<Vec<u64>>()
        })
    });
    let pass: Vec<bool> = (0..SAMPLES).map(|index| index % 2 == 0).collect();
    group.bench_function("plain copy of half", |b| {
        b.iter(|| {
            let each = black_box(&first).iter().zip(&pass);
            each.filter_map(|(cell, pass)| pass.then_some(*cell)).collect::<Vec<u64>>()
        })
    });
    group.finish();
}

/// Windows of 1 min with four aggregates of each of their 20 tags, for 50 devices: a sample each second.
fn windows(c: &mut Criterion) {
    const TAGS: usize = 20;
    let mut group = c.benchmark_group("evaluate/window");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let plan = Arc::new(programs::compiled(&programs::windows(SAMPLES / TAGS, TAGS)).plan.expect("checked"));
    let mut lane = Lane::new(plan.clone(), 0);
    let values: Vec<Column> = floats(1)
        .values
        .cells
        .chunks(TAGS)
        .map(|cells| Column::uniform(Kind::Float, cells.to_vec()))
        .collect();
    let mut out = Vec::new();
    let (mut slot, mut rows) = (0, 0);
    let mut step = || {
        slot += 10;
        for ((id, group), values) in (0..).map(GroupId).zip(&plan.groups).zip(&values) {
            let batch = Batch::uniform(id, group.tags.clone(), time(slot), values.clone());
            out.clear();
            lane.step(&record(slot, batch), &mut out);
            rows += out.len();
        }
    };
    (0..130).for_each(|_| step());
    group.bench_function("1 min, four aggregates", |b| b.iter(&mut step));
    assert!(rows >= 2 * plan.groups.len(), "{rows} rows");
    let values: Vec<f64> = floats(1).values.cells.iter().map(|cell| f64::from_bits(*cell)).collect();
    let mut folds = vec![(0.0f64, f64::MAX, f64::MIN, 0u64); SAMPLES];
    group.bench_function("plain four aggregates", |b| {
        b.iter(|| {
            for (value, fold) in black_box(&values).iter().zip(&mut folds) {
                *fold = (fold.0 + value * 1e9, fold.1.min(*value), fold.2.max(*value), fold.3 + 1);
            }
            black_box(&mut folds);
        })
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = condition, conditions, calcs, lanes, windows
}
criterion_main!(benches);
