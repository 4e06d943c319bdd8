//! Aggregates: what a window makes of the values of an expression over its time.

use crate::state::Counter;
use serde::{Deserialize, Serialize};

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
    /// First and last sample. Type of the argument.
    First,
    Last,
    /// Sum of the samples. Float, or int for an int.
    Sum,
    /// Samples that are not bad. Int.
    Count,
    /// Standard deviation of the samples. Float.
    Stddev,
    /// Percentile of the samples, 0 to 100. Float.
    Percentile(f64),
    /// What a counter has gained, the step across the start included. Float.
    Increase(Counter),
    /// Integral over time, in unit times seconds. Float.
    Integral,
    /// Seconds in which a condition held. Float.
    TimeIn,
}

use gwp_core::{Quality, Timestamp, Value};
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Fold {
    None,
}
pub struct Folded {
    pub value: Value,
    pub quality: Quality,
    pub covered_ns: i64,
}
impl AggregateFunction {
    pub fn begin(&self, _start: Timestamp, _held: Option<&(Value, Quality)>) -> Fold {
        Fold::None
    }
}
impl Fold {
    pub fn sample(
        &mut self,
        _function: &AggregateFunction,
        _time: Timestamp,
        _value: &Value,
        _quality: Quality,
    ) {
    }
    pub fn finish(&self, _function: &AggregateFunction, _end: Timestamp) -> Folded {
        Folded { value: Value::Nothing, quality: Quality::GOOD, covered_ns: 0 }
    }
}
