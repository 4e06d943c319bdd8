//! What a circuit is to remember, as plain data: it goes into checkpoints and from one plan to the next.

use crate::alarm::AlarmState;
use crate::state::State;
use gwp_core::{Quality, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// State of a circuit as plain data; only for the circuit of the same plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct CircuitState {
    /// By slot.
    pub(super) latest: Vec<(Value, Quality, Timestamp)>,
    pub(super) steps: Vec<StepState>,
    pub(super) pending: BTreeMap<Timestamp, Vec<SavedInput>>,
    pub(super) at: Timestamp,
    pub(super) begin: Option<Timestamp>,
    pub(super) round: u32,
    pub(super) late: u64,
    pub(super) started: bool,
}

/// Slot, value, quality.
pub(super) type SavedInput = (u32, Value, Quality);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct StepState {
    pub(super) operator: Option<State>,
    /// With the message it was raised with.
    pub(super) alarm: Option<(AlarmState, Value)>,
    pub(super) change: Option<Timestamp>,
    pub(super) has_run: bool,
}

impl CircuitState {
    /// Forgets what waits and what stands in these slots.
    pub fn clear<'s>(&mut self, slots: impl Iterator<Item = &'s usize>) {
        self.pending.clear();
        for slot in slots {
            if let Some(latest) = self.latest.get_mut(*slot) {
                *latest = (Value::Nothing, Quality::WAITING, Timestamp(0));
            }
        }
    }

    /// Equal values and states, whenever they were computed and whatever waits.
    pub fn is_like(&self, other: &CircuitState) -> bool {
        self.latest == other.latest && self.steps == other.steps
    }
}
