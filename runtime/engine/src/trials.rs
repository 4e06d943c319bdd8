//! Records at which a lane fails: how often one is tried before the lane goes on
//! without it. Pure; `now` is an argument.
//!
//! A lane that failed at the same record for ever would hold the log for ever.

use crate::limits::{RECORD_TRIALS, RESTART_QUIET};
use gwp_core::Position;
use std::time::Instant;

/// What a lane has tried in vain.
#[derive(Debug, Default)]
pub struct Trials {
    at: Position,
    failures: u32,
    given_up: Option<(Position, String)>,
    /// When a record was left out last.
    left_out: Option<Instant>,
}

impl Trials {
    /// Notes a failure at a record; true when the lane is to go on without it.
    pub fn failed(&mut self, at: Position, reason: &str, now: Instant) -> bool {
        if self.at != at {
            (self.at, self.failures) = (at, 0);
        }
        self.failures += 1;
        // What fails at one record mostly fails at many: they are not all tried so often.
        let give_up = self.failures >= RECORD_TRIALS || !self.is_quiet(now);
        if give_up {
            self.given_up = Some((at, reason.to_owned()));
        }
        give_up
    }

    /// The record to leave out and why.
    pub fn given_up(&self) -> Option<(Position, String)> {
        self.given_up.clone()
    }

    /// The record is left out; true for the first one after a quiet time.
    pub fn left_out(&mut self, now: Instant) -> bool {
        let first = self.is_quiet(now);
        self.given_up = None;
        self.left_out = Some(now);
        first
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.left_out.is_none_or(|last| now.saturating_duration_since(last) >= RESTART_QUIET)
    }
}

/// Why a lane's run ends before it is stopped.
pub enum Interrupted {
    /// It cannot go on: supervision starts it again.
    Failed(String),
    /// It goes on from its checkpoint, without the record that was given up.
    Record,
}

impl From<String> for Interrupted {
    fn from(reason: String) -> Self {
        Interrupted::Failed(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_record_is_tried_three_times_and_those_after_it_once() {
        let (mut trials, mut now) = (Trials::default(), Instant::now());
        let at = |seq| Position::new(1, seq);
        assert!(!trials.failed(at(7), "x", now));
        assert!(!trials.failed(at(7), "x", now));
        assert_eq!(trials.given_up(), None);
        assert!(trials.failed(at(7), "x", now));
        assert_eq!(trials.given_up(), Some((at(7), "x".to_owned())));
        assert!(trials.left_out(now));
        assert_eq!(trials.given_up(), None);
        assert!(trials.failed(at(8), "x", now));
        assert!(!trials.left_out(now), "told already");
        now += RESTART_QUIET + Duration::from_secs(1);
        assert!(!trials.failed(at(9), "x", now));
        assert!(!trials.failed(at(10), "x", now), "another record, counted anew");
        assert!(!trials.failed(at(9), "x", now));
    }
}
