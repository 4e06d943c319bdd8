//! The timers TON, TOF and TP of IEC 61131-3:2013, table 46 and figure 15.

use super::{Outcome, StateFunction, bad};
use gwp_core::{Quality, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// A timer, Q = `on`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Timer {
    input: bool,
    on: bool,
    /// Since when it has been running.
    since: Option<Timestamp>,
    /// The input is bad: nothing is decided.
    blind: bool,
}

impl Timer {
    /// One execution: the timer after it, and Q.
    pub(super) fn step(
        mut self,
        function: &StateFunction,
        time: Timestamp,
        input: Result<(bool, Quality), Quality>,
    ) -> (Timer, Outcome) {
        let (input, quality) = match input {
            Ok(usable) => usable,
            Err(why) => return (Timer { blind: true, ..self }, bad(why)),
        };
        self.blind = false;
        let length_ns = length_ns(function);
        let over = |since: Timestamp| time >= since.plus(length_ns);
        match function {
            // Q := IN has been true for PT.
            StateFunction::OnDelay { .. } if input => {
                if !self.on {
                    let since = *self.since.get_or_insert(time);
                    self.on = over(since);
                }
                self.since = self.since.filter(|_| !self.on);
            }
            StateFunction::OnDelay { .. } => (self.on, self.since) = (false, None),
            // Q := IN, and PT longer.
            StateFunction::OffDelay { .. } if input => (self.on, self.since) = (true, None),
            StateFunction::OffDelay { .. } => {
                if self.on {
                    let since = *self.since.get_or_insert(time);
                    self.on = !over(since);
                }
                self.since = self.since.filter(|_| self.on);
            }
            // Q := PT from a rising edge; edges in between do not count.
            _ => {
                self.since = self.since.filter(|since| !over(*since));
                if self.since.is_none() && input && !self.input && length_ns > 0 {
                    self.since = Some(time);
                }
                self.on = self.since.is_some();
            }
        }
        self.input = input;
        (self, (Value::Bool(self.on), quality))
    }

    /// When Q changes by itself.
    pub(super) fn due(self, function: &StateFunction) -> Option<Timestamp> {
        self.since.filter(|_| !self.blind).map(|since| since.plus(length_ns(function)))
    }
}

/// PT.
fn length_ns(function: &StateFunction) -> i64 {
    match function {
        StateFunction::OnDelay { delay_ns } | StateFunction::OffDelay { delay_ns } => *delay_ns,
        StateFunction::Pulse { length_ns } => *length_ns,
        _ => 0,
    }
}
