//! Aggregates: what a window makes of the values of an expression over its time.
//!
//! A window is [start, end). Between samples a value is held; the value held at the start
//! belongs to the window if it stands there for any time, that is, unless a sample at the very
//! start replaces it.
//!
//! Only good values are folded and cover time; uncertain counts as bad, the default of OPC UA
//! Part 13 (4.2.1.2, TreatUncertainAsBad). Averages and integrals are over the covered time.

mod quantiles;
#[cfg(test)]
mod tests;

use crate::state::Counter;
use crate::sum::Sum;
use gwp_core::time::NS_PER_S;
use gwp_core::{Quality, Timestamp, Value};
use quantiles::Quantiles;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Which aggregate. Between samples a value is held.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum AggregateFunction {
    /// Time-weighted average. Float.
    Avg,
    /// Average of the samples. Float.
    Mean,
    /// Extremes of samples and of the value held at the start. Type of the argument.
    Min,
    Max,
    /// First and last sample; in a window without samples the held value. Type of the argument.
    First,
    Last,
    /// Sum of the samples. Float, or int for an int.
    Sum,
    /// Number of good samples. Int.
    Count,
    /// Standard deviation of the samples (divisor n - 1; of one sample 0). Float.
    Stddev,
    /// Percentile of the samples, 0 to 100, interpolated. Float.
    Percentile(f64),
    /// What a counter has gained, the step across the start included, even if the time around the start was lost:
    /// so the windows add up to what the counter shows. Float.
    Increase(Counter),
    /// Integral over time, in unit times seconds. Float.
    Integral,
    /// Seconds in which a condition held. Float.
    TimeIn,
}

/// An open window of one aggregate; plain data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fold {
    /// Everything before is folded.
    upto: Timestamp,
    /// What stands since then, if it is good.
    held: Option<Value>,
    covered_ns: i64,
    /// Number of good samples.
    samples: u64,
    memory: Memory,
}

/// What is gathered, by function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Memory {
    /// Avg, integral: sum of value times nanoseconds.
    Area(Sum),
    /// Time in: nanoseconds.
    True(i64),
    /// Min, max.
    Extreme(Option<Value>),
    /// First, last.
    End {
        sample: Option<Value>,
        held: Option<Value>,
    },
    /// Count, which needs no more.
    Count,
    /// Sum, mean: whole numbers apart, so that they stay exact.
    Total {
        whole: i128,
        floats: Sum,
        is_float: bool,
    },
    /// Stddev (Welford 1962): mean, and sum of squared differences from it.
    Spread {
        mean: f64,
        squares: f64,
    },
    Quantiles(Quantiles),
    Increase {
        last: Option<Value>,
        gained: Sum,
    },
}

/// What a window has made of an argument.
#[derive(Clone, PartialEq, Debug)]
pub struct Folded {
    /// Nothing if the quality is bad.
    pub value: Value,
    /// Good, or bad: bad(waiting) without anything to fold, bad(overflow).
    pub quality: Quality,
    /// Nanoseconds of the window in which the argument was good.
    pub covered_ns: i64,
}

impl AggregateFunction {
    /// A window that begins at `start`; `held` is the argument as it stood before.
    pub fn begin(&self, start: Timestamp, held: Option<&(Value, Quality)>) -> Fold {
        let held = held.and_then(|(value, quality)| self.admit(value, *quality));
        let memory = match self {
            Self::Avg | Self::Integral => Memory::Area(Sum::default()),
            Self::TimeIn => Memory::True(0),
            Self::Min | Self::Max => Memory::Extreme(None),
            Self::First | Self::Last => Memory::End { sample: None, held: None },
            Self::Count => Memory::Count,
            Self::Sum | Self::Mean => Memory::Total {
                whole: 0,
                floats: Sum::default(),
                is_float: matches!(held, Some(Value::Float(_))),
            },
            Self::Stddev => Memory::Spread { mean: 0.0, squares: 0.0 },
            Self::Percentile(_) => Memory::Quantiles(Quantiles::default()),
            Self::Increase(_) => Memory::Increase { last: held.clone(), gained: Sum::default() },
        };
        Fold { upto: start, held, covered_ns: 0, samples: 0, memory }
    }

    /// Whether a sample changes nothing if it says again what stands: only how long that stands counts.
    pub(crate) fn sees_only_what_stands(&self) -> bool {
        matches!(
            self,
            Self::Avg | Self::Integral | Self::TimeIn | Self::Min | Self::Max | Self::First | Self::Last
        )
    }

    /// The value if it is good and of a kind that this function can fold.
    fn admit(&self, value: &Value, quality: Quality) -> Option<Value> {
        let fits = match (self, value) {
            (_, Value::Nothing) => false,
            (_, Value::Float(value)) if !value.is_finite() => false,
            (Self::Min | Self::Max | Self::First | Self::Last | Self::Count, _) => true,
            (Self::TimeIn, _) => matches!(value, Value::Bool(_)),
            _ => value.as_f64().is_some(),
        };
        (fits && quality.is_good()).then(|| value.clone())
    }
}

impl Fold {
    /// The last good value before the start, whatever came behind it: what counts goes on from it.
    pub fn count_from(&mut self, good: Option<&Value>) {
        if let Memory::Increase { last, .. } = &mut self.memory
            && last.is_none()
        {
            *last = good.filter(|value| value.as_f64().is_some_and(f64::is_finite)).cloned();
        }
    }

    /// The next sample of the argument: in order of time, not before the start.
    pub fn sample(&mut self, function: &AggregateFunction, time: Timestamp, value: &Value, quality: Quality) {
        // What a sample has said and this one says again goes on standing: it is taken in once it has ended.
        let again = self.samples > 0 && quality.is_good() && self.held.as_ref() == Some(value);
        if again && function.sees_only_what_stands() {
            return;
        }
        let held_ns = self.held_ns(time);
        self.covered_ns = self.covered_ns.saturating_add(held_ns);
        if let Some(held) = self.held.as_ref().filter(|_| held_ns > 0) {
            self.memory.hold(function, held, held_ns);
        }
        self.upto = self.upto.max(time);
        self.held = function.admit(value, quality);
        if let Some(value) = &self.held {
            self.samples += 1;
            self.memory.sample(function, value, self.samples);
        }
    }

    /// The result if the window ends at `end`; the fold can go on.
    pub fn finish(&self, function: &AggregateFunction, end: Timestamp) -> Folded {
        let held_ns = self.held_ns(end);
        let covered_ns = self.covered_ns.saturating_add(held_ns);
        let result = match self.held.as_ref().filter(|_| held_ns > 0) {
            // Values of samples are in the memory already; only these few see how long they stand.
            Some(held) if self.memory.sees_time() => {
                let mut memory = self.memory.clone();
                memory.hold(function, held, held_ns);
                memory.result(function, covered_ns, self.samples)
            }
            _ => self.memory.result(function, covered_ns, self.samples),
        };
        match result.ok_or(Quality::WAITING).and_then(finite) {
            Ok(value) => Folded { value, quality: Quality::GOOD, covered_ns },
            Err(quality) => Folded { value: Value::Nothing, quality, covered_ns },
        }
    }

    /// How long the held value stands until `time`.
    fn held_ns(&self, time: Timestamp) -> i64 {
        if self.held.is_some() { time.0.saturating_sub(self.upto.0).max(0) } else { 0 }
    }
}

impl Memory {
    /// Whether `hold` changes anything.
    fn sees_time(&self) -> bool {
        matches!(self, Memory::Area(_) | Memory::True(_) | Memory::Extreme(_) | Memory::End { .. })
    }

    /// A value has stood for so long (more than nothing).
    fn hold(&mut self, function: &AggregateFunction, value: &Value, ns: i64) {
        match self {
            Memory::Area(area) => area.add(value.as_f64().unwrap_or(0.0) * ns as f64),
            Memory::True(sum) if *value == Value::Bool(true) => *sum = sum.saturating_add(ns),
            Memory::Extreme(extreme) => improve(extreme, function, value),
            Memory::End { held, .. } if held.is_none() => *held = Some(value.clone()),
            _ => {}
        }
    }

    /// A good sample, the `count`-th.
    fn sample(&mut self, function: &AggregateFunction, value: &Value, count: u64) {
        let number = value.as_f64().unwrap_or(0.0);
        match self {
            Memory::Area(_) | Memory::True(_) | Memory::Count => {}
            Memory::Extreme(extreme) => improve(extreme, function, value),
            Memory::End { sample, .. } => {
                if sample.is_none() || *function == AggregateFunction::Last {
                    *sample = Some(value.clone());
                }
            }
            Memory::Total { whole, floats, is_float } => match value {
                Value::Int(value) => *whole += i128::from(*value),
                Value::UInt(value) => *whole += i128::from(*value),
                Value::Bool(value) => *whole += i128::from(*value),
                _ => {
                    floats.add(number);
                    *is_float = true;
                }
            },
            Memory::Spread { mean, squares } => {
                let off = number - *mean;
                *mean += off / count as f64;
                *squares += off * (number - *mean);
            }
            Memory::Quantiles(quantiles) => quantiles.insert(number),
            Memory::Increase { last, gained } => {
                if let (Some(last), AggregateFunction::Increase(counter)) = (last.as_ref(), function) {
                    gained.add(gain(counter, last, value));
                }
                *last = Some(value.clone());
            }
        }
    }

    /// `None`: there is nothing to make a result of.
    fn result(&self, function: &AggregateFunction, covered_ns: i64, samples: u64) -> Option<Value> {
        let covered = covered_ns > 0;
        let some = covered || samples > 0;
        match self {
            Memory::Area(area) if *function == AggregateFunction::Avg => {
                covered.then(|| Value::Float(area.total() / covered_ns as f64))
            }
            Memory::Area(area) => covered.then(|| Value::Float(area.total() / NS_PER_S as f64)),
            Memory::True(ns) => covered.then(|| Value::Float(*ns as f64 / NS_PER_S as f64)),
            Memory::Extreme(extreme) => extreme.clone(),
            Memory::End { sample, held } => sample.clone().or_else(|| held.clone()),
            Memory::Count => some.then(|| Value::Int(i64::try_from(samples).unwrap_or(i64::MAX))),
            Memory::Total { whole, floats, .. } if *function == AggregateFunction::Mean => {
                (samples > 0).then(|| Value::Float((*whole as f64 + floats.total()) / samples as f64))
            }
            Memory::Total { whole, floats, is_float: true } => {
                some.then(|| Value::Float(*whole as f64 + floats.total()))
            }
            // What does not fit becomes infinite, so an overflow.
            Memory::Total { whole, .. } => {
                some.then(|| i64::try_from(*whole).map_or(Value::Float(f64::INFINITY), Value::Int))
            }
            Memory::Spread { squares, .. } => {
                let degrees = samples.checked_sub(1)?.max(1);
                Some(Value::Float((squares / degrees as f64).max(0.0).sqrt()))
            }
            Memory::Quantiles(quantiles) => match function {
                AggregateFunction::Percentile(p) => quantiles.percentile(*p).map(Value::Float),
                _ => None,
            },
            Memory::Increase { gained, .. } => some.then(|| Value::Float(gained.total())),
        }
    }
}

/// What a counter has gained, as a float.
fn gain(counter: &Counter, last: &Value, new: &Value) -> f64 {
    if let (Value::Int(last), Value::Int(new)) = (last, new) {
        return counter.gain_int(*last, *new).map_or(f64::INFINITY, |gain| gain as f64);
    }
    counter.gain(last.as_f64().unwrap_or(0.0), new.as_f64().unwrap_or(0.0))
}

/// Replaces an extreme by a value that is more so.
fn improve(extreme: &mut Option<Value>, function: &AggregateFunction, value: &Value) {
    let wanted = if *function == AggregateFunction::Min { Ordering::Less } else { Ordering::Greater };
    if extreme.as_ref().is_none_or(|extreme| order(value, extreme) == wanted) {
        *extreme = Some(value.clone());
    }
}

/// Order of two values of one kind; of other pairs that of their numbers, if they are any.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            _ => Ordering::Equal,
        },
    }
}

fn finite(value: Value) -> Result<Value, Quality> {
    match value {
        Value::Float(number) if !number.is_finite() => Err(Quality::OVERFLOW),
        value => Ok(value),
    }
}
