//! Changes of a plan for people: as text for a terminal, as a table for a merge request.
//!
//! What a node has computed is only laid out here. Devices of a family that change alike share a line, and
//! beyond some hundred lines the rest is counted.

mod lines;
mod markdown;
mod text;

pub use markdown::markdown;
pub use text::text;

use crate::report::counted;
use crate::status_line::grouped;
use std::collections::BTreeMap;

/// Lines that are shown; more are counted.
const LINES_MAX: usize = 200;

/// Samples that wait in the journals of the running plan, by the name of the sink there.
pub type Waiting = BTreeMap<String, u64>;

/// `214 samples`.
fn samples(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "sample")
}

/// The last line.
fn counts(summary: &gwp_plan::diff::Summary) -> String {
    let number = |count: usize| grouped(count as u64);
    format!(
        "{} added, {} changed in place, {} moved, {} removed, {} replaced, {} unchanged",
        number(summary.added),
        number(summary.changed),
        number(summary.moved),
        number(summary.removed),
        number(summary.replaced),
        number(summary.unchanged)
    )
}

#[cfg(test)]
mod tests;
