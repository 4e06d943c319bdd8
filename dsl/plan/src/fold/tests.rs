use super::*;
use AggregateFunction as A;
use proptest::prelude::*;

const GOOD: Quality = Quality::GOOD;
const MS: i64 = 1_000_000;

type Samples = [(i64, Value, Quality)];

/// Folds samples at times in milliseconds.
fn fold(
    function: &A,
    start: i64,
    end: i64,
    held: Option<&(Value, Quality)>,
    samples: &Samples,
) -> (Value, Quality, i64) {
    let mut fold = function.begin(Timestamp(start * MS), held);
    for (time, value, quality) in samples {
        fold.sample(function, Timestamp(time * MS), value, *quality);
        // What is stored and read again goes on as the same.
        let stored = postcard::to_stdvec(&fold).unwrap();
        assert_eq!(postcard::from_bytes::<Fold>(&stored).unwrap(), fold);
    }
    let folded = fold.finish(function, Timestamp(end * MS));
    assert_eq!(fold.finish(function, Timestamp(end * MS)), folded);
    (folded.value, folded.quality, folded.covered_ns / MS)
}

fn good(value: impl Into<f64>) -> (Value, Quality) {
    (Value::Float(value.into()), GOOD)
}

fn at(time: i64, value: i64) -> (i64, Value, Quality) {
    (time, Value::Int(value), GOOD)
}

fn bad_at(time: i64) -> (i64, Value, Quality) {
    (time, Value::Nothing, Quality::COMM_LOST)
}

#[test]
fn a_sample_that_says_again_what_stands_changes_nothing() {
    let functions = [A::Avg, A::Integral, A::TimeIn, A::Min, A::Max, A::First, A::Last];
    for function in functions {
        assert!(function.sees_only_what_stands());
        let value = |high: bool| match function {
            A::TimeIn => Value::Bool(high),
            _ => Value::Float(if high { 0.3 } else { 0.1 }),
        };
        for held in [None, Some((value(true), GOOD)), Some((value(false), GOOD))] {
            let once =
                [(10, value(true), GOOD), (40, value(false), GOOD), bad_at(70), (80, value(false), GOOD)];
            let mut again = Vec::new();
            for (index, (time, value, quality)) in once.iter().enumerate() {
                let end = once.get(index + 1).map_or(100, |(time, ..)| *time);
                again.extend((*time..end).map(|time| (time, value.clone(), *quality)));
            }
            let fold = |samples| fold(&function, 0, 100, held.as_ref(), samples);
            assert_eq!(fold(&once), fold(&again), "{function:?}");
        }
    }
    for function in [A::Mean, A::Sum, A::Count, A::Stddev, A::Percentile(50.0)] {
        assert!(!function.sees_only_what_stands());
    }
}

#[test]
fn a_quiet_window_is_made_of_the_held_value() {
    let held = (Value::Int(7), GOOD);
    for (function, expected) in [
        (A::Avg, Value::Float(7.0)),
        (A::Min, Value::Int(7)),
        (A::Max, Value::Int(7)),
        (A::First, Value::Int(7)),
        (A::Last, Value::Int(7)),
        (A::Sum, Value::Int(0)),
        (A::Count, Value::Int(0)),
        (A::Integral, Value::Float(0.7)),
        (A::Increase(Counter { wrap: None }), Value::Float(0.0)),
    ] {
        assert_eq!(fold(&function, 0, 100, Some(&held), &[]), (expected, GOOD, 100), "{function:?}");
    }
    for function in [A::Mean, A::Stddev, A::Percentile(50.0)] {
        assert_eq!(fold(&function, 0, 100, Some(&held), &[]), (Value::Nothing, Quality::WAITING, 100));
    }
    assert_eq!(fold(&A::Sum, 0, 100, Some(&good(2.5)), &[]).0, Value::Float(0.0));
}

fn all() -> Vec<A> {
    let counter = Counter { wrap: None };
    vec![
        A::Avg,
        A::Mean,
        A::Min,
        A::Max,
        A::First,
        A::Last,
        A::Sum,
        A::Count,
        A::Stddev,
        A::Percentile(90.0),
        A::Increase(counter),
        A::Integral,
        A::TimeIn,
    ]
}

#[test]
fn nothing_good_is_bad() {
    let lost = (Value::Nothing, Quality::COMM_LOST);
    let doubtful = (5, Value::Float(1.0), Quality::OUT_OF_RANGE);
    for function in all() {
        for held in [None, Some(&lost)] {
            for samples in
                [&[][..], &[bad_at(3)], std::slice::from_ref(&doubtful), &[(5, Value::Float(f64::NAN), GOOD)]]
            {
                assert_eq!(
                    fold(&function, 0, 10, held, samples),
                    (Value::Nothing, Quality::WAITING, 0),
                    "{function:?}"
                );
            }
        }
    }
}

#[test]
fn a_sample_at_the_start_replaces_the_held_value() {
    let held = (Value::Int(450), GOOD);
    assert_eq!(fold(&A::Max, 0, 10, Some(&held), &[at(0, 3)]).0, Value::Int(3));
    assert_eq!(fold(&A::Max, 0, 10, Some(&held), &[at(1, 3)]).0, Value::Int(450));
    assert_eq!(fold(&A::Last, 0, 10, Some(&held), &[bad_at(0)]).1, Quality::WAITING);
    assert_eq!(fold(&A::Last, 0, 10, Some(&held), &[bad_at(1)]).0, Value::Int(450));
    assert_eq!(fold(&A::First, 0, 10, Some(&held), &[at(4, 3), at(5, 8)]).0, Value::Int(3));
    let increase = A::Increase(Counter { wrap: None });
    assert_eq!(fold(&increase, 0, 10, Some(&held), &[at(0, 453)]).0, Value::Float(3.0), "across the edge");
}

#[test]
fn whole_sums_stay_whole_and_exact() {
    let large = 1_i64 << 60;
    let samples = [at(0, large), at(1, large), at(2, -large), at(3, 1)];
    assert_eq!(fold(&A::Sum, 0, 10, None, &samples).0, Value::Int(large + 1));
    let much = [at(0, i64::MAX), at(1, 1)];
    assert_eq!(fold(&A::Sum, 0, 10, None, &much).1, Quality::OVERFLOW);
    assert_eq!(fold(&A::Mean, 0, 10, None, &samples).0, Value::Float((large + 1) as f64 / 4.0));
    let huge = (Value::Float(f64::MAX), GOOD);
    assert_eq!(fold(&A::Integral, 0, 10, Some(&huge), &[]).1, Quality::OVERFLOW);
}

#[test]
fn an_outage_is_bridged_by_the_counter_and_shown_by_the_coverage() {
    let energy = [at(0, 1_000), bad_at(20), at(50, 1_075), at(55, 1_100)];
    let increase = A::Increase(Counter { wrap: None });
    assert_eq!(fold(&increase, 0, 60, None, &energy), (Value::Float(100.0), GOOD, 30));
}

#[test]
fn texts_and_times_have_ends_and_extremes() {
    let text = |time, text: &str| (time, Value::Text(text.into()), GOOD);
    let samples = [text(1, "b"), text(2, "c"), text(3, "a")];
    for (function, expected) in [(A::First, "b"), (A::Last, "a"), (A::Min, "a"), (A::Max, "c")] {
        assert_eq!(fold(&function, 0, 9, None, &samples).0, Value::Text(expected.into()));
    }
    assert_eq!(fold(&A::Count, 0, 9, None, &samples).0, Value::Int(3));
    assert_eq!(fold(&A::Avg, 0, 9, None, &samples), (Value::Nothing, Quality::WAITING, 0));
}

/// A stream as it may come: times may repeat, values may be missing, doubtful or held.
#[derive(Clone, Debug)]
struct Stream {
    start: i64,
    end: i64,
    held: Option<(Value, Quality)>,
    samples: Vec<(i64, Value, Quality)>,
}

fn outcomes(values: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = (Value, Quality)> {
    prop_oneof![
        6 => values.prop_map(|value| (value, GOOD)),
        1 => Just((Value::Nothing, Quality::COMM_LOST)),
        1 => Just((Value::Float(1e6), Quality::OUT_OF_RANGE)),
    ]
}

fn streams(values: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Stream> {
    let held = proptest::option::of(outcomes(values.clone()));
    let steps = proptest::collection::vec((prop_oneof![Just(0_i64), 0..40_i64], outcomes(values)), 0..25);
    (-500..500_i64, held, steps, 0..40_i64).prop_map(|(start, held, steps, rest)| {
        let mut time = start;
        let samples: Vec<_> = steps
            .into_iter()
            .map(|(ahead, (value, quality))| {
                time += ahead;
                (time, value, quality)
            })
            .collect();
        // Samples belong to the window, so the last one is before its end.
        let end = time + rest + i64::from(!samples.is_empty());
        Stream { start, end, held, samples }
    })
}

fn numbers() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        (-1_000..1_000_i64).prop_map(Value::Int),
        (-1_000..1_000_i64).prop_map(|tenths| Value::Float(tenths as f64 / 10.0)),
    ]
}

/// What stands in each millisecond of the window, if it is good.
fn milliseconds(stream: &Stream) -> Vec<Option<Value>> {
    let mut shown = Vec::new();
    for now in stream.start..stream.end {
        let mut standing = stream.held.clone();
        for (time, value, quality) in &stream.samples {
            if *time <= now {
                standing = Some((value.clone(), *quality));
            }
        }
        shown.push(standing.filter(|(_, quality)| quality.is_good()).map(|(value, _)| value));
    }
    shown
}

/// Every aggregate of numbers, the slow way.
fn naive(function: &A, stream: &Stream) -> Option<f64> {
    let shown = milliseconds(stream);
    let standing: Vec<f64> = shown.iter().flatten().map(|value| value.as_f64().unwrap()).collect();
    let samples: Vec<f64> = stream
        .samples
        .iter()
        .filter(|(_, _, quality)| quality.is_good())
        .map(|(_, value, _)| value.as_f64().unwrap())
        .collect();
    let both = standing.iter().chain(&samples).copied();
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let known = !standing.is_empty() || !samples.is_empty();
    let some = |known: bool, value: f64| known.then_some(value);
    match function {
        A::Avg => some(!standing.is_empty(), standing.iter().sum::<f64>() / standing.len() as f64),
        A::Integral => some(!standing.is_empty(), standing.iter().sum::<f64>() / 1e3),
        A::Mean => some(!samples.is_empty(), mean),
        A::Sum => some(known, samples.iter().sum()),
        A::Count => some(known, samples.len() as f64),
        A::Min => both.min_by(f64::total_cmp),
        A::Max => both.max_by(f64::total_cmp),
        A::First => samples.first().or(standing.first()).copied(),
        A::Last => samples.last().or(standing.first()).copied(),
        A::Stddev if samples.len() == 1 => Some(0.0),
        A::Stddev => {
            let squares: f64 = samples.iter().map(|value| (value - mean).powi(2)).sum();
            some(!samples.is_empty(), (squares / (samples.len() as f64 - 1.0)).sqrt())
        }
        A::Percentile(p) => {
            let mut sorted = samples.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = (sorted.len().checked_sub(1)?) as f64 * p / 100.0;
            let low = sorted[rank as usize];
            let high = sorted.get(rank as usize + 1).copied().unwrap_or(low);
            Some(low + (rank - rank.floor()) * (high - low))
        }
        A::TimeIn | A::Increase(_) => unreachable!("tested apart"),
    }
}

fn close(left: f64, right: f64, scale: f64) -> bool {
    (left - right).abs() <= 1e-9 * scale.max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn aggregates_equal_the_naive_ones(stream in streams(numbers()), p in 0..=100_u8) {
        let Stream { start, end, held, samples } = &stream;
        let covered = milliseconds(&stream).iter().flatten().count() as i64;
        for function in all() {
            let function = match function {
                A::TimeIn | A::Increase(_) => continue,
                A::Percentile(_) => A::Percentile(f64::from(p)),
                other => other,
            };
            let (value, quality, covered_ms) = fold(&function, *start, *end, held.as_ref(), samples);
            prop_assert_eq!(covered_ms, covered, "{:?}", function);
            match (naive(&function, &stream), value.as_f64()) {
                (None, None) => prop_assert_eq!(quality, Quality::WAITING, "{:?}", function),
                (Some(expected), Some(value)) => {
                    prop_assert!(close(value, expected, 1e3), "{:?}: {} {}", function, value, expected);
                    prop_assert!(quality.is_good());
                }
                other => prop_assert!(false, "{:?}: {:?}", function, other),
            }
        }
    }

    #[test]
    fn time_in_counts_the_milliseconds_that_are_true(stream in streams(any::<bool>().prop_map(Value::Bool))) {
        let shown = milliseconds(&stream);
        let (covered, of_them) = (
            shown.iter().flatten().count(),
            shown.iter().flatten().filter(|value| **value == Value::Bool(true)).count(),
        );
        let (value, quality, covered_ms) =
            fold(&A::TimeIn, stream.start, stream.end, stream.held.as_ref(), &stream.samples);
        prop_assert_eq!(covered_ms, covered as i64);
        prop_assert_eq!(quality.is_good(), covered > 0);
        prop_assert_eq!(value.as_f64(), (covered > 0).then_some(of_them as f64 / 1e3));
    }

    /// A device that counts to 999 and wraps, or is switched off and begins at 0 again, against
    /// what it has really counted. Some of its samples are lost.
    #[test]
    fn an_increase_is_what_the_device_has_counted(
        first in 0..1_000_i64,
        steps in proptest::collection::vec((0..12_i64, 0..10_u8, any::<bool>()), 0..40),
        whole in any::<bool>(),
        edge in any::<bool>(),
    ) {
        let shown = |count: i64| if whole { Value::Int(count) } else { Value::Float(count as f64) };
        // A whole counter shows 999 as its highest; as a float it turns over at 1000.
        let high = if whole { 999.0 } else { 1_000.0 };
        let counter = Counter { wrap: Some((0.0, high)) };
        let (mut count, mut counted, mut pending) = (first, 0, 0);
        let mut samples = vec![(0, shown(first), GOOD)];
        for (time, (step, chance, restart)) in (1..).zip(&steps) {
            // A restart from the upper half could be a wrap, which nobody can tell apart.
            if *restart && *chance == 0 && pending == 0 && (100..500).contains(&count) {
                (count, pending) = (0, *step);
                count += step;
            } else {
                count = (count + step) % 1_000;
                pending += step;
            }
            let lost = *chance > 6;
            samples.push((time, shown(count), if lost { Quality::TIMEOUT } else { GOOD }));
            if !lost {
                counted += pending;
                pending = 0;
            }
        }
        // The first sample may also be the one held from before.
        let held = edge.then(|| (samples[0].1.clone(), GOOD));
        let (start, samples) = if edge { (1, &samples[1..]) } else { (0, &samples[..]) };
        let (value, ..) = fold(&A::Increase(counter), start, 100, held.as_ref(), samples);
        // A bad sample at the very start leaves nothing of what was held.
        let known = samples.is_empty() || samples.iter().any(|(_, _, quality)| quality.is_good());
        prop_assert_eq!(value, if known { Value::Float(counted as f64) } else { Value::Nothing });
    }

    /// Two windows side by side, the second beginning with what the first leaves, are one.
    #[test]
    fn windows_side_by_side_add_up(
        stream in streams((0..1_000_i64).prop_map(Value::Int)),
        share in 0.0..1.0_f64,
    ) {
        let Stream { start, end, held, samples } = &stream;
        let middle = start + ((end - start) as f64 * share) as i64;
        let cut = samples.iter().position(|(time, ..)| *time >= middle).unwrap_or(samples.len());
        let (before, after) = samples.split_at(cut);
        let standing = before.last().map(|(_, value, quality)| (value.clone(), *quality)).or(held.clone());
        for function in [A::Count, A::Sum, A::Integral, A::Increase(Counter { wrap: Some((0.0, 999.0)) })] {
            // A counter goes on from its last good value only while that is held.
            let counts = matches!(function, A::Increase(_));
            if counts && samples.iter().any(|(_, _, quality)| !quality.is_good()) {
                continue;
            }
            let number = |value: Value| value.as_f64().unwrap_or(0.0);
            let (first, _, first_ms) = fold(&function, *start, middle, held.as_ref(), before);
            let (second, _, second_ms) = fold(&function, middle, *end, standing.as_ref(), after);
            let (whole, _, whole_ms) = fold(&function, *start, *end, held.as_ref(), samples);
            prop_assert_eq!(first_ms + second_ms, whole_ms);
            let (parts, whole) = (number(first) + number(second), number(whole));
            prop_assert!(close(parts, whole, 1e3), "{:?}: {} {}", function, parts, whole);
        }
    }

    /// Whatever comes: no panic, finite or bad, and never more cover than time.
    #[test]
    fn every_aggregate_is_total(
        start in any::<i64>(),
        end in any::<i64>(),
        samples in proptest::collection::vec((any::<i64>(), any::<f64>(), any::<bool>()), 0..10),
    ) {
        for function in all() {
            let mut fold = function.begin(Timestamp(start), Some(&good(1.5)));
            for (time, value, whole) in &samples {
                let value = if *whole { Value::Int(*time) } else { Value::Float(*value) };
                fold.sample(&function, Timestamp(*time), &value, GOOD);
            }
            let folded = fold.finish(&function, Timestamp(end));
            prop_assert_eq!(folded.quality.is_bad(), folded.value == Value::Nothing);
            prop_assert!(folded.value.as_f64().is_none_or(f64::is_finite));
            prop_assert!(folded.covered_ns >= 0);
        }
    }
}
