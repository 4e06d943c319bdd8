use super::*;
use proptest::prelude::*;

const GOOD: Quality = Quality::GOOD;

fn at(s: f64) -> Timestamp {
    Timestamp((s * 1e9).round() as i64)
}

fn s(seconds: i64) -> i64 {
    seconds * NS_PER_S
}

/// A function at work.
struct Bench {
    function: StateFunction,
    state: State,
}

impl Bench {
    fn new(function: StateFunction) -> Bench {
        Bench { state: function.initial(), function }
    }

    fn put(&mut self, time: f64, args: &[Outcome]) -> Outcome {
        self.state.step(&self.function, at(time), args)
    }

    fn bool(&mut self, time: f64, input: bool) -> bool {
        match self.put(time, &[(Value::Bool(input), GOOD)]) {
            (Value::Bool(result), quality) if quality.is_good() => result,
            other => panic!("{other:?}"),
        }
    }

    fn float(&mut self, time: f64, input: f64) -> f64 {
        match self.put(time, &[(Value::Float(input), GOOD)]) {
            (Value::Float(result), quality) if quality.is_good() => result,
            other => panic!("{other:?}"),
        }
    }

    fn bad(&mut self, time: f64) -> Quality {
        let (value, quality) = self.put(time, &[(Value::Nothing, Quality::TIMEOUT)]);
        assert_eq!(value, Value::Nothing);
        quality
    }

    fn due(&self) -> Option<Timestamp> {
        self.state.due(&self.function)
    }
}

fn int(value: i64) -> [Outcome; 1] {
    [(Value::Int(value), GOOD)]
}

#[test]
fn differences_wait_for_a_second_sample_and_bridge_bad_ones() {
    let mut rate = Bench::new(StateFunction::Rate(None));
    assert_eq!(rate.put(0.0, &int(10)), bad(Quality::WAITING));
    assert_eq!(rate.put(2.0, &int(30)), (Value::Float(10.0), GOOD));
    assert_eq!(rate.bad(3.0), Quality::TIMEOUT);
    assert_eq!(rate.put(4.0, &int(20)), (Value::Float(-5.0), GOOD), "against the last usable one");

    let mut delta = Bench::new(StateFunction::Delta(None));
    delta.put(0.0, &int(i64::MAX));
    assert_eq!(delta.put(1.0, &int(-2)), bad(Quality::OVERFLOW));
    assert_eq!(delta.put(2.0, &int(4)), (Value::Int(6), GOOD));
    assert_eq!(delta.put(3.0, &[(Value::Float(4.5), Quality::OUT_OF_RANGE)]).1, Quality::OUT_OF_RANGE);
    assert_eq!(delta.put(4.0, &int(4)), (Value::Float(-0.5), Quality::OUT_OF_RANGE), "both are used");
}

#[test]
fn a_counter_wraps_or_is_reset() {
    let mut delta = Bench::new(StateFunction::Delta(Some(Counter { wrap: Some((0.0, 32_767.0)) })));
    delta.put(0.0, &int(32_760));
    assert_eq!(delta.put(1.0, &int(5)), (Value::Int(13), GOOD));
    let mut rate = Bench::new(StateFunction::Rate(Some(Counter { wrap: None })));
    rate.put(0.0, &int(32_760));
    assert_eq!(rate.put(5.0, &int(10)), (Value::Float(2.0), GOOD));
}

#[test]
fn previous_and_changed_look_at_the_time_before() {
    let text = |text: &str| [(Value::Text(text.into()), GOOD)];
    let mut previous = Bench::new(StateFunction::Previous);
    assert_eq!(previous.put(0.0, &text("a")), bad(Quality::WAITING));
    assert_eq!(previous.put(1.0, &text("b")).0, text("a")[0].0);
    assert_eq!(previous.put(1.0, &text("c")).0, text("a")[0].0, "replaces what came at the same time");
    assert_eq!(previous.put(2.0, &text("d")).0, text("c")[0].0);

    let mut changed = Bench::new(StateFunction::Changed);
    let results: Vec<Value> = ["a", "a", "b", "b"]
        .iter()
        .zip([0.0, 1.0, 2.0, 3.0])
        .map(|(value, time)| changed.put(time, &text(value)).0)
        .collect();
    assert_eq!(results, [false, false, true, false].map(Value::Bool));
    assert_eq!(changed.put(4.0, &text("c")).0, Value::Bool(true));
    assert_eq!(changed.put(4.0, &text("b")).0, Value::Bool(false));
}

#[test]
fn the_integral_holds_values_and_leaves_out_bad_time() {
    let mut integral = Bench::new(StateFunction::Integral);
    assert_eq!(integral.float(0.0, 2.0), 0.0);
    assert_eq!(integral.float(10.0, 5.0), 20.0);
    integral.bad(12.0);
    assert_eq!(integral.float(20.0, 1.0), 30.0);
    assert_eq!(integral.float(20.0, 3.0), 30.0);
    assert_eq!(integral.float(21.0, 0.0), 33.0, "the second value at 20 s has replaced the first");
    integral.put(22.0, &[(Value::Float(f64::MAX), GOOD)]);
    assert_eq!(integral.put(1e9, &int(0)), bad(Quality::OVERFLOW));
}

#[test]
fn the_low_pass_does_not_depend_on_how_often_a_held_value_is_sampled() {
    let function = StateFunction::Smooth { tau_ns: s(10) };
    let (mut often, mut rarely) = (Bench::new(function.clone()), Bench::new(function));
    for bench in [&mut often, &mut rarely] {
        assert_eq!(bench.float(0.0, 4.0), 4.0);
        assert_eq!(bench.float(5.0, 14.0), 4.0);
    }
    for tenth in 51..250 {
        often.float(f64::from(tenth) / 10.0, 14.0);
    }
    let expected = 14.0 - 10.0 * (-2.0_f64).exp();
    assert!((rarely.float(25.0, 14.0) - expected).abs() < 1e-12);
    assert!((often.float(25.0, 14.0) - expected).abs() < 1e-9);
    rarely.bad(30.0);
    let level = 14.0 - 10.0 * (-2.5_f64).exp();
    assert!((rarely.float(500.0, 0.0) - level).abs() < 1e-12, "stands still while the input is bad");
}

#[test]
fn the_moving_average_weighs_by_time() {
    let mut average = Bench::new(StateFunction::MovingAvg { span_ns: s(10) });
    assert_eq!(average.float(0.0, 6.0), 6.0);
    assert_eq!(average.float(5.0, 0.0), 6.0);
    assert_eq!(average.float(10.0, 2.0), 3.0);
    assert_eq!(average.float(12.0, 9.0), (3.0 * 6.0 + 2.0 * 2.0) / 10.0);
    average.bad(13.0);
    assert_eq!(average.float(21.0, 1.0), (1.0 * 2.0 + 1.0 * 9.0) / 2.0, "over the time that was not bad");
    assert_eq!(average.float(100.0, 5.0), 1.0);
    average.bad(101.0);
    assert_eq!(average.float(200.0, 7.0), 7.0, "nothing usable in the span: the sample itself");
}

#[test]
fn edges_begin_with_a_false_memory() {
    let mut rising = Bench::new(StateFunction::Rising);
    assert!(rising.bool(0.0, true), "R_TRIG after a cold start");
    assert!(!rising.bool(1.0, true));
    assert!(!rising.bool(2.0, false));
    rising.bad(3.0);
    assert!(rising.bool(4.0, true));
    assert!(rising.bool(4.0, true), "still the same step");
    rising.bad(5.0);
    assert!(!rising.bool(6.0, true), "the memory has outlived the bad sample");
    let mut falling = Bench::new(StateFunction::Falling);
    assert!(falling.bool(0.0, false), "F_TRIG after a cold start");
    assert!(!falling.bool(1.0, true));
    assert!(falling.bool(2.0, false));
}

#[test]
fn the_set_input_of_a_latch_wins() {
    let mut latch = Bench::new(StateFunction::Latch);
    let (yes, no, lost) =
        ((Value::Bool(true), GOOD), (Value::Bool(false), GOOD), (Value::Nothing, Quality::COMM_LOST));
    for (time, set, reset, expected) in [
        (0.0, &no, &lost, &no),
        (1.0, &lost, &no, &lost),
        (2.0, &yes, &yes, &yes),
        (3.0, &lost, &no, &yes),
        (4.0, &no, &lost, &lost),
        (5.0, &no, &no, &yes),
        (6.0, &lost, &yes, &lost),
        (7.0, &no, &yes, &no),
        (8.0, &yes, &lost, &yes),
    ] {
        assert_eq!(latch.put(time, &[set.clone(), reset.clone()]), *expected, "at {time}");
    }
}

#[test]
fn rising_edges_are_counted_once() {
    let mut count = Bench::new(StateFunction::CountUp);
    let mut put = |time: f64, input: bool, reset: bool| {
        count.put(time, &[(Value::Bool(input), GOOD), (Value::Bool(reset), GOOD)]).0
    };
    let results = [
        put(0.0, true, false),
        put(0.0, true, false),
        put(1.0, true, false),
        put(2.0, false, false),
        put(3.0, true, false),
        put(4.0, true, true),
        put(5.0, true, false),
        put(6.0, false, true),
        put(7.0, true, false),
    ];
    assert_eq!(results, [1, 1, 1, 1, 2, 0, 0, 0, 1].map(Value::Int));
    assert_eq!(
        count.put(8.0, &[(Value::Bool(false), GOOD), (Value::Nothing, Quality::BAD)]),
        bad(Quality::BAD)
    );
    let lost = (Value::Nothing, Quality::BAD);
    assert_eq!(count.put(9.0, &[lost, (Value::Bool(true), GOOD)]), (Value::Int(0), GOOD));
}

#[test]
fn a_timer_with_bad_input_keeps_its_beginning_and_decides_nothing() {
    let mut timer = Bench::new(StateFunction::OnDelay { delay_ns: s(10) });
    assert!(!timer.bool(0.0, true));
    assert_eq!(timer.due(), Some(at(10.0)));
    assert_eq!(timer.bad(5.0), Quality::TIMEOUT);
    assert_eq!(timer.due(), None);
    assert_eq!(timer.bad(20.0), Quality::TIMEOUT);
    assert!(timer.bool(21.0, true), "the delay has passed meanwhile");
    timer.bad(22.0);
    assert!(timer.bool(23.0, true));
    assert!(!timer.bool(24.0, false));

    let mut pulse = Bench::new(StateFunction::Pulse { length_ns: s(10) });
    assert!(pulse.bool(0.0, true));
    pulse.bad(1.0);
    assert_eq!(pulse.due(), None);
    assert!(!pulse.bool(12.0, true), "no new edge");
}

#[test]
fn silence_is_stale_at_its_due_time_and_a_sample_ends_it() {
    let mut stale = Bench::new(StateFunction::Stale { after_ns: s(60) });
    assert_eq!(stale.due(), None);
    assert!(!stale.bool(0.0, true));
    assert!(!stale.bool(30.0, false));
    assert_eq!(stale.due(), Some(at(90.0)));
    assert!(stale.bool(90.0, false), "time has passed");
    assert_eq!(stale.due(), None);
    assert!(!stale.bool(90.0, false), "a sample at that very time is in time");
    assert_eq!(stale.due(), Some(at(150.0)));
    let lost = [(Value::Nothing, Quality::COMM_LOST)];
    assert_eq!(stale.put(100.0, &lost), (Value::Bool(false), GOOD));
    assert_eq!(stale.put(150.0, &lost), (Value::Bool(true), GOOD));
    assert_eq!(stale.put(151.0, &lost), (Value::Bool(true), GOOD));
    assert!(!stale.bool(152.0, true));

    let mut never = Bench::new(StateFunction::Stale { after_ns: s(60) });
    assert_eq!(never.put(5.0, &lost).0, Value::Bool(false));
    assert_eq!(never.due(), Some(at(65.0)), "bad from the start counts from the start");
}

#[test]
fn memory_of_a_moving_average_is_bounded() {
    let mut average = MovingAvg::default();
    let mut most = 0;
    for step in 0..100_000_i64 {
        let value = if step % 3 == 0 { Err(Quality::TIMEOUT) } else { Ok((1.0, GOOD)) };
        let _ = average.step(s(60), Timestamp(step * 1_000_000), value);
        most = most.max(average.pieces());
    }
    assert!((256..=514).contains(&most), "{most}");
}

fn functions() -> impl Strategy<Value = StateFunction> {
    let ns = prop_oneof![Just(0_i64), 1..20_i64, Just(i64::MAX)];
    let counter = prop_oneof![
        Just(None),
        Just(Some(Counter { wrap: None })),
        Just(Some(Counter { wrap: Some((0.0, 99.0)) }))
    ];
    (0..15_u8, ns, counter).prop_map(|(which, ns, counter)| match which {
        0 => StateFunction::Rate(counter),
        1 => StateFunction::Delta(counter),
        2 => StateFunction::Previous,
        3 => StateFunction::Integral,
        4 => StateFunction::Smooth { tau_ns: ns },
        5 => StateFunction::MovingAvg { span_ns: ns },
        6 => StateFunction::Rising,
        7 => StateFunction::Falling,
        8 => StateFunction::OnDelay { delay_ns: ns },
        9 => StateFunction::OffDelay { delay_ns: ns },
        10 => StateFunction::Pulse { length_ns: ns },
        11 => StateFunction::Latch,
        12 => StateFunction::CountUp,
        13 => StateFunction::Changed,
        _ => StateFunction::Stale { after_ns: ns },
    })
}

fn arguments() -> impl Strategy<Value = Vec<Outcome>> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (0..100_i64).prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Text("x".into())),
        Just(Value::Nothing),
        any::<i64>().prop_map(|ns| Value::Time(Timestamp(ns))),
    ];
    let quality = prop_oneof![4 => Just(GOOD), 1 => Just(Quality::UNCERTAIN), 1 => Just(Quality::TIMEOUT)];
    proptest::collection::vec((value, quality), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes: no panic, finite results, bad exactly without a value; due times lie
    /// ahead; a state that was stored goes on as the same.
    #[test]
    fn every_function_is_total(
        function in functions(),
        steps in proptest::collection::vec((prop_oneof![0..5_i64, any::<i64>()], arguments()), 1..30),
    ) {
        let mut state = function.initial();
        let mut time = 0_i64;
        for (ahead, args) in steps {
            time = time.saturating_add(ahead.saturating_abs());
            let stored = postcard::to_stdvec(&state).unwrap();
            let mut restored: State = postcard::from_bytes(&stored).unwrap();
            let (value, quality) = state.step(&function, Timestamp(time), &args);
            prop_assert_eq!(restored.step(&function, Timestamp(time), &args), (value.clone(), quality));
            prop_assert_eq!(&restored, &state);
            prop_assert_eq!(quality.is_bad(), value == Value::Nothing);
            if let Value::Float(value) = value {
                prop_assert!(value.is_finite());
            }
            if let Some(due) = state.due(&function) {
                prop_assert!(due.0 >= time);
            }
        }
    }

    /// What is replaced leaves no trace.
    #[test]
    fn only_the_last_step_at_a_time_counts(
        function in functions(),
        steps in proptest::collection::vec((arguments(), arguments()), 1..20),
    ) {
        // For `stale` a sample that was good does not become undone.
        prop_assume!(!matches!(function, StateFunction::Stale { .. }));
        let (mut twice, mut once) = (function.initial(), function.initial());
        for (time, (first, last)) in (0..).map(|step| Timestamp(step * 7)).zip(&steps) {
            twice.step(&function, time, first);
            prop_assert_eq!(twice.step(&function, time, last), once.step(&function, time, last));
            prop_assert_eq!(&twice, &once);
        }
    }

    /// Timers, stepped at samples and due times only, against figure 15 read off millisecond
    /// by millisecond.
    #[test]
    fn timers_equal_their_timing_diagrams(
        which in 0..3_u8,
        length in 1..12_i64,
        runs in proptest::collection::vec((any::<bool>(), 1..9_i64), 1..30),
    ) {
        let length_ns = length * 1_000_000;
        let function = match which {
            0 => StateFunction::OnDelay { delay_ns: length_ns },
            1 => StateFunction::OffDelay { delay_ns: length_ns },
            _ => StateFunction::Pulse { length_ns },
        };
        let input: Vec<bool> = runs.iter().flat_map(|(on, ms)| vec![*on; *ms as usize]).collect();
        let expected = diagram(which, length as usize, &input);
        let mut state = function.initial();
        let mut output = Vec::new();
        for (ms, on) in input.iter().enumerate() {
            let time = Timestamp::from_millis(ms as i64);
            let sampled = ms == 0 || input[ms - 1] != *on;
            if sampled || state.due(&function) == Some(time) {
                let (value, _) = state.step(&function, time, &[(Value::Bool(*on), GOOD)]);
                output.push(value == Value::Bool(true));
            } else {
                output.push(output[ms - 1]);
            }
        }
        prop_assert_eq!(output, expected);
    }

    /// Edges, counts, changes, differences and the integral against the plain list of samples;
    /// `None` is a bad one.
    #[test]
    fn functions_of_samples_equal_the_list(
        samples in proptest::collection::vec((proptest::option::weighted(0.8, 0..4_i64), 1..50_i64), 1..40),
    ) {
        let no = (Value::Bool(false), GOOD);
        let mut rising = Bench::new(StateFunction::Rising);
        let mut count = Bench::new(StateFunction::CountUp);
        let mut changed = Bench::new(StateFunction::Changed);
        let mut delta = Bench::new(StateFunction::Delta(None));
        let mut rate = Bench::new(StateFunction::Rate(None));
        let mut integral = Bench::new(StateFunction::Integral);
        let mut good: Vec<(i64, i64)> = Vec::new();
        let (mut ms, mut milliseconds) = (0, 0);
        for (value, ahead) in &samples {
            let time = ms as f64 / 1e3;
            let Some(value) = value else {
                for bench in [&mut rising, &mut changed, &mut delta, &mut rate, &mut integral] {
                    prop_assert_eq!(bench.bad(time), Quality::TIMEOUT);
                }
                ms += ahead;
                continue;
            };
            let on = |value: i64| value >= 2;
            let last = good.last().copied();
            let edge = on(*value) && !last.is_some_and(|(_, last)| on(last));
            good.push((ms, *value));
            let edges = good.windows(2).filter(|pair| on(pair[1].1) && !on(pair[0].1)).count()
                + usize::from(on(good[0].1));
            let input = (Value::Bool(on(*value)), GOOD);
            prop_assert_eq!(rising.put(time, std::slice::from_ref(&input)).0, Value::Bool(edge));
            prop_assert_eq!(count.put(time, &[input, no.clone()]).0, Value::Int(edges as i64));
            prop_assert_eq!(
                changed.put(time, &int(*value)).0,
                Value::Bool(last.is_some_and(|(_, last)| last != *value))
            );
            let (difference, slope) = (delta.put(time, &int(*value)).0, rate.put(time, &int(*value)).0);
            match last {
                None => prop_assert_eq!((difference, slope), (Value::Nothing, Value::Nothing)),
                Some((then, last)) => {
                    prop_assert_eq!(difference, Value::Int(value - last));
                    let expected = (value - last) as f64 * 1e3 / (ms - then) as f64;
                    prop_assert!((slope.as_f64().unwrap() - expected).abs() < 1e-6);
                }
            }
            let total = integral.put(time, &int(*value)).0.as_f64().unwrap();
            prop_assert!((total - milliseconds as f64 / 1e3).abs() < 1e-9);
            milliseconds += value * ahead;
            ms += ahead;
        }
    }

    /// The moving average against a sum over each millisecond.
    #[test]
    fn a_moving_average_equals_the_mean_of_its_milliseconds(
        runs in proptest::collection::vec((proptest::option::of(-100..100_i64), 1..20_usize), 1..60),
    ) {
        const SPAN: usize = 50;
        let function = StateFunction::MovingAvg { span_ns: SPAN as i64 * 1_000_000 };
        let mut state = function.initial();
        let mut past: Vec<Option<i64>> = Vec::new();
        for (value, ms) in runs {
            let arg = value.map_or((Value::Nothing, Quality::BAD), |value| (Value::Int(value), GOOD));
            let (result, _) = state.step(&function, Timestamp::from_millis(past.len() as i64), &[arg]);
            let usable: Vec<i64> = past.iter().rev().take(SPAN).flatten().copied().collect();
            match (value, result.as_f64()) {
                (None, None) => {}
                (Some(value), Some(result)) => {
                    let expected = match usable.len() {
                        0 => value as f64,
                        count => usable.iter().sum::<i64>() as f64 / count as f64,
                    };
                    prop_assert!((result - expected).abs() < 1e-9, "{} {}", result, expected);
                }
                other => prop_assert!(false, "{:?}", other),
            }
            past.extend(vec![value; ms]);
        }
    }
}

/// Q of TON, TOF, TP for an input given per millisecond.
fn diagram(which: u8, length: usize, input: &[bool]) -> Vec<bool> {
    let mut pulse_end = 0;
    (0..input.len())
        .map(|now| match which {
            0 => now >= length && input[now - length..=now].iter().all(|on| *on),
            1 => input[now.saturating_sub(length)..=now].iter().any(|on| *on),
            _ => {
                let edge = input[now] && (now == 0 || !input[now - 1]);
                if edge && now >= pulse_end {
                    pulse_end = now + length;
                }
                now < pulse_end
            }
        })
        .collect()
}
