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
