//! State functions: functions of a value and of its past, in event time.
//!
//! Timers, counters, edges and the bistable follow IEC 61131-3:2013, 6.6.3.5 with tables 43
//! (SR), 44 (R_TRIG, F_TRIG), 45 (CTU), 46 (TON, TOF, TP) and figure 15; execution of a
//! function block is a step here. Everything is total: what cannot be computed is bad.
//!
//! **Bad input** makes the result bad for that time and leaves the memory as it is: totals
//! and counts stand still, differences go on from the last usable value, running timers keep
//! their beginning but take no decision until the input is usable again. Where the other
//! argument decides alone (the set input of a latch, the reset of a counter), it does.

mod moving;
#[cfg(test)]
mod tests;
mod timer;

use crate::sum::Sum;
use gwp_core::time::NS_PER_S;
use gwp_core::{Quality, Timestamp, Value};
use moving::MovingAvg;
use serde::{Deserialize, Serialize};
use timer::Timer;

/// Which function; times in nanoseconds. The IEC 61131-3 name stands in brackets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum StateFunction {
    /// Change per second between the last two samples. Float.
    Rate(Option<Counter>),
    /// Change between the last two samples; bad(waiting) at the first. Float, or int for an int.
    Delta(Option<Counter>),
    /// The value before the last change of time. Any type.
    Previous,
    /// Integral over time since the start, in unit times seconds; a value is held until the
    /// next sample. Float.
    Integral,
    /// First-order low pass with this time constant, exact for a value that is held until the
    /// next sample. Float.
    Smooth { tau_ns: i64 },
    /// Time-weighted average over the last such time, up to the sample. Float.
    MovingAvg { span_ns: i64 },
    /// True at the sample at which a condition has become true (R_TRIG). The memory of the
    /// standard begins with false, so a first true is an edge.
    Rising,
    /// The same for false (F_TRIG); by the standard a first false is an edge, too.
    Falling,
    /// True once the condition has held so long (TON).
    OnDelay { delay_ns: i64 },
    /// True until the condition has not held so long (TOF).
    OffDelay { delay_ns: i64 },
    /// True for so long from the rising edge (TP).
    Pulse { length_ns: i64 },
    /// Set, reset; set wins (SR).
    Latch,
    /// Counts rising edges; the second condition resets (CTU). Int.
    CountUp,
    /// True at a sample whose value differs from the one before; never at the first.
    Changed,
    /// True once there has been no sample that is not bad for so long.
    Stale { after_ns: i64 },
}

/// The argument counts upwards.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Counter {
    /// Lowest and highest value, if it wraps there; without it a fall is a reset to 0.
    pub wrap: Option<(f64, f64)>,
}

/// What a state function remembers; plain data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum State {
    /// As it was before `time` and as it is since: a second step at the same time replaces the
    /// first one.
    Memory {
        time: Option<Timestamp>,
        before: Memory,
        now: Memory,
    },
    MovingAvg(MovingAvg),
}

/// The small memories.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Memory {
    /// Rate, delta, previous, changed: the last usable sample.
    Sample(Option<Sample>),
    Integral {
        total: Sum,
        held: Option<Held>,
    },
    Smooth {
        level: Option<f64>,
        held: Option<Held>,
    },
    /// Rising, falling: whether the condition was the one that makes no edge.
    Edge {
        armed: bool,
    },
    Latch {
        on: bool,
    },
    Count {
        input: bool,
        count: i64,
    },
    Timer(Timer),
    /// Since when there has been no usable sample.
    Stale {
        since: Option<Timestamp>,
        stale: bool,
    },
}

/// A sample as a memory keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    time: Timestamp,
    value: Value,
    quality: Quality,
}

/// A number that stands until the next sample.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Held {
    time: Timestamp,
    value: f64,
    quality: Quality,
}

type Outcome = (Value, Quality);

impl StateFunction {
    /// The state before the first sample.
    pub fn initial(&self) -> State {
        let memory = match self {
            Self::Rate(_) | Self::Delta(_) | Self::Previous | Self::Changed => Memory::Sample(None),
            Self::Integral => Memory::Integral { total: Sum::default(), held: None },
            Self::Smooth { .. } => Memory::Smooth { level: None, held: None },
            Self::MovingAvg { .. } => return State::MovingAvg(MovingAvg::default()),
            Self::Rising | Self::Falling => Memory::Edge { armed: true },
            Self::OnDelay { .. } | Self::OffDelay { .. } | Self::Pulse { .. } => {
                Memory::Timer(Timer::default())
            }
            Self::Latch => Memory::Latch { on: false },
            Self::CountUp => Memory::Count { input: false, count: 0 },
            Self::Stale { .. } => Memory::Stale { since: None, stale: false },
        };
        State::Memory { time: None, before: memory.clone(), now: memory }
    }
}

impl State {
    /// The result at `time`: called in order of time, whenever one of the arguments has a
    /// sample, and at the [due](State::due) time with the arguments as they are held. A second
    /// call at the same time replaces the first.
    ///
    /// Only these calls: for `rate`, `changed`, `stale` and others each call is a sample.
    pub fn step(
        &mut self,
        function: &StateFunction,
        time: Timestamp,
        args: &[(Value, Quality)],
    ) -> (Value, Quality) {
        match (&mut *self, function) {
            (State::MovingAvg(average), StateFunction::MovingAvg { span_ns }) => {
                match average.step(*span_ns, time, number(args, 0)) {
                    Ok((mean, quality)) => float(mean, quality),
                    Err(why) => bad(why),
                }
            }
            (State::Memory { time: last, before, now }, _) => {
                let again = last.is_some_and(|last| time <= last);
                if !again {
                    *last = Some(time);
                    std::mem::swap(before, now);
                }
                let Some((memory, outcome)) = before.step(function, last.unwrap_or(time), args, again) else {
                    *self = function.initial();
                    return bad(Quality::WAITING);
                };
                *now = memory;
                outcome
            }
            // A state of another function: begin anew.
            (State::MovingAvg(_), _) => {
                *self = function.initial();
                bad(Quality::WAITING)
            }
        }
    }

    /// The next time at which the result changes by itself (timers, `stale`), if there is one;
    /// the arguments must be held until then.
    ///
    /// When an argument has a sample at that very time, step twice: once with the arguments as
    /// they were, then with the new ones; the second result counts. (For `stale` the first call
    /// at its due time is the passing of time, not a sample.)
    pub fn due(&self, function: &StateFunction) -> Option<Timestamp> {
        match (self, function) {
            (State::Memory { now: Memory::Timer(timer), .. }, _) => timer.due(function),
            (
                State::Memory { now: Memory::Stale { since: Some(since), stale: false }, .. },
                StateFunction::Stale { after_ns },
            ) => Some(since.plus(*after_ns)),
            _ => None,
        }
    }
}

impl Memory {
    /// What is remembered after a step, and the result. `again` = not the first step at this
    /// time. `None`: the memory is that of another function.
    fn step(
        &self,
        function: &StateFunction,
        time: Timestamp,
        args: &[Outcome],
        again: bool,
    ) -> Option<(Memory, Outcome)> {
        use StateFunction as F;
        Some(match (self, function) {
            (Memory::Sample(last), F::Rate(_) | F::Delta(_) | F::Previous | F::Changed) => {
                against(last.as_ref(), function, time, args)
            }
            (Memory::Integral { total, held }, F::Integral) => integrate(*total, *held, time, args),
            (Memory::Smooth { level, held }, F::Smooth { tau_ns }) => {
                smooth(*level, *held, *tau_ns, time, args)
            }
            (Memory::Edge { armed }, F::Rising | F::Falling) => match condition(args, 0) {
                Ok((input, quality)) => {
                    let wanted = (*function == F::Rising) == input;
                    (Memory::Edge { armed: !wanted }, (Value::Bool(wanted && *armed), quality))
                }
                Err(why) => (self.clone(), bad(why)),
            },
            (Memory::Latch { on }, F::Latch) => latch(*on, args),
            (Memory::Count { input, count }, F::CountUp) => count_up(*input, *count, args),
            (Memory::Timer(timer), F::OnDelay { .. } | F::OffDelay { .. } | F::Pulse { .. }) => {
                let (timer, outcome) = timer.step(function, time, condition(args, 0));
                (Memory::Timer(timer), outcome)
            }
            (Memory::Stale { since, stale }, F::Stale { after_ns }) => {
                let usable = args.first().is_some_and(|(_, quality)| !quality.is_bad());
                let due = since.unwrap_or(time).plus(*after_ns);
                // The first step at the due time is not a sample; see `State::due`.
                let passing = time == due && !again && !stale && since.is_some();
                let stale = if usable && !passing { false } else { since.is_some() && time >= due };
                let since = if usable && !passing { time } else { since.unwrap_or(time) };
                (Memory::Stale { since: Some(since), stale }, (Value::Bool(stale), Quality::GOOD))
            }
            _ => return None,
        })
    }
}

/// Rate, delta, previous and changed: the new sample against the last usable one.
fn against(
    last: Option<&Sample>,
    function: &StateFunction,
    time: Timestamp,
    args: &[Outcome],
) -> (Memory, Outcome) {
    let (value, quality) = match usable(args, 0) {
        Ok((value, quality)) => (value.clone(), quality),
        Err(why) => return (Memory::Sample(last.cloned()), bad(why)),
    };
    let outcome = match (last, function) {
        (None, StateFunction::Changed) => (Value::Bool(false), quality),
        (None, _) => bad(Quality::WAITING),
        (Some(last), StateFunction::Changed) => {
            (Value::Bool(last.value != value), quality.worst(last.quality))
        }
        (Some(last), StateFunction::Previous) => (last.value.clone(), last.quality),
        (Some(last), StateFunction::Rate(counter)) => match change(*counter, &last.value, &value) {
            Ok(change) => match change.as_f64() {
                Some(change) => float(change / seconds(last.time, time), quality.worst(last.quality)),
                None => bad(Quality::NOT_A_NUMBER),
            },
            Err(why) => bad(why),
        },
        (Some(last), StateFunction::Delta(counter)) => match change(*counter, &last.value, &value) {
            Ok(change) => (change, quality.worst(last.quality)),
            Err(why) => bad(why),
        },
        _ => bad(Quality::NOT_A_NUMBER),
    };
    (Memory::Sample(Some(Sample { time, value, quality })), outcome)
}

/// Difference of two numbers, of a counter its gain; whole for whole numbers.
fn change(counter: Option<Counter>, last: &Value, new: &Value) -> Result<Value, Quality> {
    if let (Value::Int(last), Value::Int(new)) = (last, new) {
        let change = match counter {
            Some(counter) => counter.gain_int(*last, *new),
            None => new.checked_sub(*last),
        };
        return change.map(Value::Int).ok_or(Quality::OVERFLOW);
    }
    let (Some(last), Some(new)) = (last.as_f64(), new.as_f64()) else { return Err(Quality::NOT_A_NUMBER) };
    let change = counter.map_or(new - last, |counter| counter.gain(last, new));
    if change.is_finite() { Ok(Value::Float(change)) } else { Err(Quality::OVERFLOW) }
}

fn integrate(total: Sum, held: Option<Held>, time: Timestamp, args: &[Outcome]) -> (Memory, Outcome) {
    let total = held.map_or(total, |held| total.with(held.value * seconds(held.time, time)));
    match number(args, 0) {
        Ok((value, quality)) => {
            let held = Some(Held { time, value, quality });
            (Memory::Integral { total, held }, float(total.total(), quality))
        }
        Err(why) => (Memory::Integral { total, held: None }, bad(why)),
    }
}

fn smooth(
    level: Option<f64>,
    held: Option<Held>,
    tau_ns: i64,
    time: Timestamp,
    args: &[Outcome],
) -> (Memory, Outcome) {
    let level = match (level, held) {
        (Some(level), Some(held)) if tau_ns > 0 => {
            let share = -(-seconds(held.time, time) / (tau_ns as f64 / NS_PER_S as f64)).exp_m1();
            // As a mean of both, so that it cannot overflow.
            Some(level * (1.0 - share) + held.value * share)
        }
        _ => level.filter(|_| tau_ns > 0),
    };
    match number(args, 0) {
        Ok((value, quality)) => {
            let level = level.unwrap_or(value);
            let held = Some(Held { time, value, quality });
            (Memory::Smooth { level: Some(level), held }, float(level, quality))
        }
        Err(why) => (Memory::Smooth { level, held: None }, bad(why)),
    }
}

/// `Q1 := S1 OR (NOT R AND Q1)`, with what is certain in spite of a bad operand.
fn latch(on: bool, args: &[Outcome]) -> (Memory, Outcome) {
    let result = match (condition(args, 0), condition(args, 1)) {
        (Ok((true, quality)), _) => Ok((true, quality)),
        (Ok((false, quality)), _) if !on => Ok((false, quality)),
        (Ok((false, set)), Ok((reset, quality))) => Ok((!reset, set.worst(quality))),
        (Err(_), Ok((false, quality))) if on => Ok((true, quality)),
        (Err(why), _) | (_, Err(why)) => Err(why),
    };
    match result {
        Ok((on, quality)) => (Memory::Latch { on }, (Value::Bool(on), quality)),
        Err(why) => (Memory::Latch { on }, bad(why)),
    }
}

/// `IF R THEN CV := 0 ELSIF CU AND CV < PVmax THEN CV := CV + 1`, CU being edge-triggered.
fn count_up(before: bool, count: i64, args: &[Outcome]) -> (Memory, Outcome) {
    let (input, count, quality) = match (condition(args, 0), condition(args, 1)) {
        (input, Ok((true, quality))) => (input.map_or(before, |(input, _)| input), 0, quality),
        (Ok((input, of_input)), Ok((false, quality))) => {
            let edge = input && !before;
            (input, if edge { count.saturating_add(1) } else { count }, of_input.worst(quality))
        }
        (Err(why), _) | (_, Err(why)) => return (Memory::Count { input: before, count }, bad(why)),
    };
    (Memory::Count { input, count }, (Value::Int(count), quality))
}

/// An argument that has a value, or why it has none.
fn usable(args: &[Outcome], index: usize) -> Result<(&Value, Quality), Quality> {
    match args.get(index) {
        Some((_, quality)) if quality.is_bad() => Err(*quality),
        None | Some((Value::Nothing, _)) => Err(Quality::NOT_A_NUMBER),
        Some((Value::Float(value), _)) if !value.is_finite() => Err(Quality::NOT_A_NUMBER),
        Some((value, quality)) => Ok((value, *quality)),
    }
}

fn number(args: &[Outcome], index: usize) -> Result<(f64, Quality), Quality> {
    let (value, quality) = usable(args, index)?;
    Ok((value.as_f64().ok_or(Quality::NOT_A_NUMBER)?, quality))
}

fn condition(args: &[Outcome], index: usize) -> Result<(bool, Quality), Quality> {
    match usable(args, index)? {
        (Value::Bool(value), quality) => Ok((*value, quality)),
        _ => Err(Quality::NOT_A_NUMBER),
    }
}

fn float(value: f64, quality: Quality) -> Outcome {
    if value.is_finite() { (Value::Float(value), quality) } else { bad(Quality::OVERFLOW) }
}

fn bad(why: Quality) -> Outcome {
    (Value::Nothing, why)
}

/// Seconds from one time to another.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    nanoseconds(from, to) / NS_PER_S as f64
}

/// Nanoseconds from one time to another, without overflow.
fn nanoseconds(from: Timestamp, to: Timestamp) -> f64 {
    (i128::from(to.0) - i128::from(from.0)) as f64
}
