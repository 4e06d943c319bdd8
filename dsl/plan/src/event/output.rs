//! What comes out of a circuit.

use crate::alarm::AlarmEvent;
use gwp_core::{Quality, Timestamp, Value};
use std::sync::Arc;

/// A result of a step.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Output {
    /// Index of the step.
    pub step: u32,
    pub time: Timestamp,
    pub value: Value,
    pub quality: Quality,
    /// How many times the circuit has computed at this time before.
    pub repeat: u32,
}

/// What happened to an alarm.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Happened {
    pub step: u32,
    pub time: Timestamp,
    pub event: AlarmEvent,
    pub message: Value,
    /// The state it is in now.
    pub state: &'static str,
    /// Who did it; empty if nobody did.
    pub by: Arc<str>,
}

/// What came out of a circuit, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Outputs {
    pub samples: Vec<Output>,
    pub events: Vec<Happened>,
}

impl Outputs {
    /// Whether nothing came out.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.events.is_empty()
    }
}
