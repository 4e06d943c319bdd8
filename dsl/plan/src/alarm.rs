//! Alarms.
use crate::plan::Alarm;
use gwp_core::{Quality, Timestamp};
use serde::{Deserialize, Serialize};
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlarmState {}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlarmEvent {
    Raised,
}
impl AlarmEvent {
    pub fn word(self) -> &'static str {
        ""
    }
}
impl AlarmState {
    pub fn step(
        &mut self,
        _alarm: &Alarm,
        _time: Timestamp,
        _condition: (bool, Quality),
        _clear: Option<(bool, Quality)>,
    ) -> Option<AlarmEvent> {
        None
    }
    pub fn due(&self, _alarm: &Alarm) -> Option<Timestamp> {
        None
    }
    pub fn is_active(&self) -> bool {
        false
    }
    pub fn word(&self) -> &'static str {
        ""
    }
}
