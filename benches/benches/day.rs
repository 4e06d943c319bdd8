//! `gwp test` over a simulated day of 1,000 tags each second, in all modes, on one core.
//!
//! `cargo bench -p gwp-benches --bench day` plays two hours and tells what a day takes; with `-- 24` it plays the day,
//! with `-- 24 100` that of 100 devices only.
//! Beside it a plain loop that folds the same samples into the same four aggregates.

#[path = "support/programs.rs"]
mod programs;

use gwp_plan::scenario::{Mode, play};
use std::hint::black_box;
use std::time::Instant;

/// Devices and tags of each: 1,000 tags in all.
const SHAPES: [(usize, usize); 4] = [(1, 1_000), (10, 100), (100, 10), (1_000, 1)];

fn main() {
    // Cargo adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let hours = numbers.next().unwrap_or(2);
    let only = numbers.next();
    let per_day = 24.0 / hours as f64;
    println!("| Devices x tags | Mode | s per day | ns per sample |");
    println!("|---|---|---|---|");
    for (devices, tags) in SHAPES.into_iter().filter(|shape| only.is_none_or(|only| only == shape.0)) {
        let compiled = programs::compiled(&programs::day(devices, tags, hours));
        let plan = compiled.plan.as_ref().expect("checked");
        let scenario = &compiled.scenarios[0].scenario;
        let (mut all, mut digests) = (0.0, None);
        for mode in Mode::ALL {
            let began = Instant::now();
            let outcome = play(plan, scenario, mode).expect("a scenario that can be played");
            let took = began.elapsed().as_secs_f64();
            all += took;
            assert_eq!(outcome.failures, []);
            assert_eq!(*digests.get_or_insert(outcome.digests.clone()), outcome.digests);
            let ns = took * 1e9 / outcome.samples as f64;
            println!("| {devices} x {tags} | {mode:?} | {:.1} | {ns:.1} |", took * per_day);
        }
        println!("| {devices} x {tags} | all | {:.1} | |", all * per_day);
    }
    let (took, samples) = plain(hours);
    println!("| plain loop | | {:.1} | {:.1} |", took * per_day, took * 1e9 / samples as f64);
}

/// Time-weighted mean, least, greatest and integral of 1,000 series, a value each second: (seconds, samples).
fn plain(hours: usize) -> (f64, usize) {
    let began = Instant::now();
    let values: Vec<f64> = (0..1_000).map(f64::from).collect();
    let mut folds = vec![(0.0f64, f64::MAX, f64::MIN, 0.0f64); values.len()];
    for _ in 0..hours * 3_600 {
        for (value, fold) in black_box(&values).iter().zip(&mut folds) {
            *fold = (fold.0 + value, fold.1.min(*value), fold.2.max(*value), fold.3 + value * 1e9);
        }
    }
    black_box(folds);
    (began.elapsed().as_secs_f64(), hours * 3_600 * values.len())
}
