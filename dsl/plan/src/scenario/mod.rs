//! Scenarios: the `test` blocks of a program, resolved, and what is expected of them.
//!
//! A scenario is played (see [`play`]) on lanes of the real plan with a simulated clock: poll
//! groups give records per slot with the values fed so far, together where their order means
//! nothing; feeds of other tags are samples of their own, a tick stands for each second.

mod player;
mod reach;
#[cfg(test)]
mod tests;
mod together;
mod watch;

pub use player::{Failure, Mode, Outcome, ScenarioError, play, play_apart};

pub use reach::fed_before;

use gwp_core::{TagId, Timestamp, Value};
use std::sync::Arc;

/// A `test` block.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    pub name: Arc<str>,
    /// Gateway time at 0 s.
    pub start: Timestamp,
    /// By time; those of one time as written, feeds before expectations.
    pub steps: Vec<ScenarioStep>,
}

/// What happens or is expected at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct ScenarioStep {
    /// Nanoseconds after the start.
    pub at_ns: i64,
    pub action: ScenarioAction,
    /// The action as written, for reports.
    pub text: Arc<str>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ScenarioAction {
    /// A device has this value from now on.
    Feed { tag: TagId, value: Fed },
    /// A tag has this value.
    Expect { tag: TagId, expected: Expected },
    /// The last row that was issued and has the values of `select` has those of `columns`, too.
    ExpectRow { row: ExpectedRow },
    /// There has been no sample of the tag but `bad(waiting)`, and no row, since the start.
    ExpectNo { what: Subject },
}

/// A value that a device has.
#[derive(Clone, PartialEq, Debug)]
pub enum Fed {
    Good(Value),
    /// Bad, without a value.
    Bad,
}

/// What a value must be.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// Whole numbers are equal, others agree to 9 digits.
    Value(Value),
    Bad,
    /// 0 good, 1 uncertain, 2 bad.
    Quality(i64),
}

/// A row that must have been issued.
#[derive(Clone, PartialEq, Debug)]
pub struct ExpectedRow {
    /// Name of the rows.
    pub name: Arc<str>,
    /// Column, by name: which of the rows is meant.
    pub select: Vec<(Arc<str>, Expected)>,
    pub columns: Vec<(Arc<str>, Expected)>,
}

/// What must not be.
#[derive(Clone, PartialEq, Debug)]
pub enum Subject {
    Tag(TagId),
    /// Rows by name, of one device if it is given.
    Rows(Arc<str>, Option<Arc<str>>),
}

impl Expected {
    /// Whether a sample is as expected.
    pub fn fits(&self, value: &Value, quality: gwp_core::Quality) -> bool {
        match self {
            Expected::Bad => quality.is_bad(),
            Expected::Quality(severity) => crate::eval::severity_number(quality) == *severity,
            Expected::Value(Value::Int(expected)) if let Value::Int(value) = value => expected == value,
            Expected::Value(expected) => match (expected.as_f64(), value.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-300),
                _ => expected == value,
            },
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Value(value) => write!(f, "{value}"),
            Expected::Bad => f.write_str("bad"),
            Expected::Quality(0) => f.write_str("quality = \"good\""),
            Expected::Quality(1) => f.write_str("quality = \"uncertain\""),
            Expected::Quality(_) => f.write_str("quality = \"bad\""),
        }
    }
}
