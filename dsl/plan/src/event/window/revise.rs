//! Rows once more: what late samples change in windows that have been issued.

use super::{Held, Instance, Open};
use crate::event::output::Outputs;
use crate::event::progress::Watermark;
use crate::event::saved::CircuitState;
use crate::plan::WindowKind;
use gwp_core::{Batch, Quality, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Windows that can be issued again, per instance.
const REVISABLE_WINDOWS_MAX: usize = 1_000;

/// Samples kept for `revise`, per instance.
const REVISABLE_INPUTS_MAX: usize = 50_000;

/// A window that has been issued and may be again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) revision: u32,
    pub(super) at_start: Start,
}

/// What a window begins with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) circuit: CircuitState,
    pub(super) held: Vec<Held>,
}

/// An input that may be needed again: slot, value, quality.
pub(super) type Kept = (u32, Value, Quality);

impl Instance {
    /// Whether late samples issue its rows again.
    pub fn revises(&self) -> bool {
        self.may_be_late
            && self.rule.window.revise_ns > 0
            && matches!(self.rule.window.kind, WindowKind::Every { over_ns: None, .. })
    }

    /// What a window that opens now begins with.
    pub(super) fn as_start(&self) -> Start {
        let mut circuit = self.circuit.state();
        // What waits comes from what is kept, and what the last row said is nobody's input.
        circuit.clear(self.built_in_slots.iter().chain(&self.aggregate_slots).chain(&self.column_slots));
        Start { circuit, held: self.held.clone() }
    }

    /// Folds the windows of late samples again, and those behind them that they change.
    pub(super) fn fold_again(&mut self, rows: &mut Vec<Batch>) {
        let changed = std::mem::take(&mut self.changed);
        let touched = |start, end| changed.iter().any(|time| (start..end).contains(time));
        let mut scratch = Instance::new(self.rule.clone(), &self.plan);
        let mut carry: Option<Start> = None;
        for issued in &mut self.issued {
            let moved = carry.take().filter(|start| !start.is_like(&issued.at_start));
            if moved.is_none() && !touched(issued.start, issued.end) {
                continue;
            }
            if let Some(start) = moved {
                issued.at_start = start;
            }
            issued.revision += 1;
            let open = scratch.replay(&issued.at_start, issued.start, issued.end, &self.kept);
            carry = Some(scratch.as_start());
            scratch.issue(&open, issued.end, issued.revision, rows);
        }
        let (Some(open), Some(start)) = (self.open.first(), self.start.clone()) else { return };
        let moved = carry.filter(|carry| !carry.is_like(&start));
        if moved.is_none() && !touched(open.start, open.end) {
            return;
        }
        let start = moved.unwrap_or(start);
        let now = self.circuit.at().plus(1);
        let replayed = scratch.replay(&start, open.start, now, &self.kept);
        self.circuit.rewrite(scratch.circuit.state());
        self.held = scratch.held;
        self.start = Some(start);
        self.open[0].folds = replayed.folds;
    }

    /// Folds kept inputs of [start, end) from a start.
    fn replay(
        &mut self,
        from: &Start,
        start: Timestamp,
        end: Timestamp,
        kept: &BTreeMap<Timestamp, Vec<Kept>>,
    ) -> Open {
        self.circuit.set_state(from.circuit.clone());
        self.held = from.held.clone();
        self.open.clear();
        self.open_window(start, Timestamp(i64::MAX));
        let mut outputs = Outputs::default();
        for (time, inputs) in kept.range(start..end) {
            for (slot, value, quality) in inputs {
                self.circuit.push(*time, *slot as usize, value.clone(), *quality, false);
            }
        }
        let last = end.plus(-1);
        let until = Watermark { input: last, timer: last };
        while let Some(time) = self.circuit.next(until) {
            self.compute(time, &mut outputs, &mut Vec::new());
        }
        self.open.pop().unwrap_or(Open { start, end, folds: Vec::new() })
    }

    /// Forgets what can no longer be issued again.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if !self.revises() {
            return;
        }
        let since = now.plus(-self.rule.window.revise_ns);
        while let Some(issued) = self.issued.front() {
            let over = self.issued.len() > REVISABLE_WINDOWS_MAX || self.kept_count > REVISABLE_INPUTS_MAX;
            if issued.end >= since && !over {
                break;
            }
            let rest = self.kept.split_off(&issued.end);
            self.kept_count -= self.kept.values().map(Vec::len).sum::<usize>();
            self.kept = rest;
            self.issued.pop_front();
        }
        if self.kept_count > REVISABLE_INPUTS_MAX {
            // The open window alone has more: it is issued once.
            self.kept.clear();
            (self.kept_count, self.start) = (0, None);
        }
    }
}

impl Start {
    /// Equal values and states, whenever they were computed.
    fn is_like(&self, other: &Start) -> bool {
        self.held == other.held && self.circuit.is_like(&other.circuit)
    }
}
