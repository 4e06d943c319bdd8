//! Alarms by ANSI/ISA-18.2-2016 (alarm state transition diagram; also IEC 62682).
//!
//! ```text
//!                        raised                        acknowledged
//!      +--------+ -----------------> +----------------+ ----------> +--------------+
//!      | normal |                    | unacknowledged |             | acknowledged |
//!      +--------+ <--+               +----------------+             +--------------+
//!       ^      ^     |                |           ^                        |
//!       |      |     | acknowledged   | cleared   | raised                 |
//!       |      |    +--------------------------+  |                        |
//!       |      |    | returned_unacknowledged  |--+                        |
//!       |      |    +--------------------------+                           |
//!       |      +--------------------------- cleared -----------------------+
//!       |
//!       |  unshelved or time has passed    +---------+
//!       +--------------------------------- | shelved | <--- shelved, from any state
//!                                          +---------+
//! ```
//!
//! Behind it stands the condition with its delays: it stands when it has been true for
//! `on_delay`, and no more when `clear` (or without it, the end of the condition) has been true
//! for `off_delay` while the condition was false.
//!
//! **Bad input holds.** While the condition, or a `clear` that matters, is bad, the condition
//! stands or does not as before, and delays that run keep their beginning: when the input is
//! usable again and says the same as before, the time in between has counted.
//!
//! **Shelved** alarms follow their condition silently and are not active. When shelving ends
//! while the condition stands, the alarm is raised at that time, unacknowledged.

pub mod order;
#[cfg(test)]
mod tests;

use crate::plan::Alarm;
use gwp_core::{Quality, Timestamp};
use serde::{Deserialize, Serialize};

/// An alarm at work; plain data, at first normal.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct AlarmState {
    phase: Phase,
    /// The condition stands, delays included.
    standing: bool,
    /// Since when the condition or `clear` has been saying the opposite.
    turning: Option<Timestamp>,
    /// The input is bad: nothing is decided.
    blind: bool,
    /// Until when it is shelved.
    shelved: Option<Timestamp>,
    /// The last step or command.
    at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
enum Phase {
    #[default]
    Normal,
    Unacknowledged,
    Acknowledged,
    /// Returned to normal, unacknowledged.
    Returned,
}

/// What an operator can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AlarmCommand {
    Acknowledge,
    /// Silences the alarm until a time; of a shelved one it sets another time.
    Shelve {
        until: Timestamp,
    },
    Unshelve,
}

/// What has happened to an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AlarmEvent {
    Raised,
    Cleared,
    Acknowledged,
    Shelved,
    /// By command, or because its time has passed.
    Unshelved,
    /// A command had no effect; the message says why.
    Refused,
}

impl AlarmEvent {
    /// Its name in the column `event`.
    pub fn word(self) -> &'static str {
        match self {
            AlarmEvent::Raised => "raised",
            AlarmEvent::Cleared => "cleared",
            AlarmEvent::Acknowledged => "acknowledged",
            AlarmEvent::Shelved => "shelved",
            AlarmEvent::Unshelved => "unshelved",
            AlarmEvent::Refused => "refused",
        }
    }
}

/// Why a command has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AlarmRefusal {
    #[error("there is nothing to acknowledge")]
    NothingToAcknowledge,
    #[error("the alarm is acknowledged already")]
    AlreadyAcknowledged,
    #[error("the alarm is shelved")]
    IsShelved,
    #[error("the alarm is not shelved")]
    NotShelved,
    #[error("the time until which to shelve has passed")]
    TimePassed,
}

impl AlarmState {
    /// Goes on to `time`: called in order of time whenever the condition or `clear` has a
    /// sample, and at the [due](AlarmState::due) time with both as they are held. One event at
    /// a time: another one may be due at once.
    pub fn step(
        &mut self,
        alarm: &Alarm,
        time: Timestamp,
        condition: (bool, Quality),
        clear: Option<(bool, Quality)>,
    ) -> Option<AlarmEvent> {
        self.at = time;
        self.follow(alarm, time, condition, clear);
        if let Some(until) = self.shelved {
            if time < until {
                return None;
            }
            self.shelved = None;
            return Some(AlarmEvent::Unshelved);
        }
        let (phase, event) = match (self.standing, self.phase) {
            (true, Phase::Normal | Phase::Returned) => (Phase::Unacknowledged, AlarmEvent::Raised),
            (false, Phase::Unacknowledged) => (Phase::Returned, AlarmEvent::Cleared),
            (false, Phase::Acknowledged) => (Phase::Normal, AlarmEvent::Cleared),
            _ => return None,
        };
        self.phase = phase;
        Some(event)
    }

    /// Whether the condition stands, by its delays.
    fn follow(
        &mut self,
        alarm: &Alarm,
        time: Timestamp,
        condition: (bool, Quality),
        clear: Option<(bool, Quality)>,
    ) {
        let (holds, quality) = condition;
        let (clears, of_clear) = clear.unwrap_or((true, Quality::GOOD));
        self.blind = quality.is_bad() || (self.standing && of_clear.is_bad());
        if self.blind {
            return;
        }
        let turns = if self.standing { !holds && clears } else { holds };
        if !turns {
            self.turning = None;
            return;
        }
        let since = *self.turning.get_or_insert(time);
        if time >= since.plus(self.delay_ns(alarm)) {
            self.standing = !self.standing;
            self.turning = None;
        }
    }

    /// How long the opposite must be said.
    fn delay_ns(&self, alarm: &Alarm) -> i64 {
        if self.standing { alarm.off_delay_ns } else { alarm.on_delay_ns }
    }

    /// Obeys an operator at `time`; a step at the same time should follow, which raises an
    /// unshelved alarm whose condition stands.
    ///
    /// # Errors
    /// The command has no effect in this state.
    pub fn command(&mut self, time: Timestamp, command: AlarmCommand) -> Result<AlarmEvent, AlarmRefusal> {
        let event = match command {
            AlarmCommand::Acknowledge => {
                self.phase = match self.phase {
                    _ if self.shelved.is_some() => return Err(AlarmRefusal::IsShelved),
                    Phase::Unacknowledged => Phase::Acknowledged,
                    Phase::Returned => Phase::Normal,
                    Phase::Acknowledged => return Err(AlarmRefusal::AlreadyAcknowledged),
                    Phase::Normal => return Err(AlarmRefusal::NothingToAcknowledge),
                };
                AlarmEvent::Acknowledged
            }
            AlarmCommand::Shelve { until } if until <= time => return Err(AlarmRefusal::TimePassed),
            AlarmCommand::Shelve { until } => {
                (self.shelved, self.phase) = (Some(until), Phase::Normal);
                AlarmEvent::Shelved
            }
            AlarmCommand::Unshelve => {
                self.shelved.take().ok_or(AlarmRefusal::NotShelved)?;
                AlarmEvent::Unshelved
            }
        };
        self.at = self.at.max(time);
        Ok(event)
    }

    /// The next time at which something happens by itself: a delay or the shelving ends.
    pub fn due(&self, alarm: &Alarm) -> Option<Timestamp> {
        // A shelved alarm is normal; what stands then is told when the shelving ends.
        let untold = self.shelved.is_none() && self.standing != self.is_active();
        let turn = self.turning.filter(|_| !self.blind).map(|since| since.plus(self.delay_ns(alarm)));
        [untold.then_some(self.at), turn, self.shelved].into_iter().flatten().min()
    }

    /// Whether it is raised: acknowledged or not, but neither cleared nor shelved.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Unacknowledged | Phase::Acknowledged)
    }

    /// Its name in the column `state`.
    pub fn word(&self) -> &'static str {
        match self.phase {
            _ if self.shelved.is_some() => "shelved",
            Phase::Normal => "normal",
            Phase::Unacknowledged => "unacknowledged",
            Phase::Acknowledged => "acknowledged",
            Phase::Returned => "returned_unacknowledged",
        }
    }
}
