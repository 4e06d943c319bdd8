//! State functions: functions of a value and of its past, in event time.

use serde::{Deserialize, Serialize};

/// Which function; times in nanoseconds. The IEC 61131-3 name stands in brackets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum StateFunction {
    /// Change per second between the last two samples. Float.
    Rate(Option<Counter>),
    /// Change between the last two samples. Float, or int for an int.
    Delta(Option<Counter>),
    /// The value before the last change of time. Any type.
    Previous,
    /// Integral over time since the start, in unit times seconds. Float.
    Integral,
    /// First-order low pass with this time constant. Float.
    Smooth { tau_ns: i64 },
    /// Time-weighted average over the last such time. Float.
    MovingAvg { span_ns: i64 },
    /// True at the sample at which a condition has become true (R_TRIG).
    Rising,
    /// The same for false (F_TRIG).
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
    /// True at a sample whose value differs from the one before.
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

use gwp_core::{Quality, Timestamp, Value};
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum State {
    None,
}
impl StateFunction {
    pub fn initial(&self) -> State {
        State::None
    }
}
impl State {
    pub fn step(
        &mut self,
        _function: &StateFunction,
        _time: Timestamp,
        args: &[(Value, Quality)],
    ) -> (Value, Quality) {
        args[0].clone()
    }
    pub fn due(&self, _function: &StateFunction) -> Option<Timestamp> {
        None
    }
}
