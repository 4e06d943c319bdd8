//! Which units answer: a dead one must not cost the others their scans.
//!
//! ```text
//!            demote_after misses in a row
//! Answering -----------------------------> Silent: its groups fail at once
//!     ^                                       |  every `probe`: one request
//!     +------------- it answers --------------+
//! ```
//! While some unit answers, probes of the silent ones together take at most a
//! fifth of the link's time. Pure: `now` is an argument.

use gwp_core::{Quality, Timestamp};

/// A link's time is shared: after a failed probe it is free of probes so many times as long.
const PROBE_PAUSE: i64 = 4;

/// State of all units on one link.
#[derive(Debug)]
pub struct Units {
    /// By unit identifier.
    units: Vec<Unit>,
    demote_after: u32,
    probe_ns: i64,
    /// What an unanswered request costs.
    timeout_ns: i64,
    next_probe: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    declared: bool,
    state: State,
    /// Times it has come back.
    returns: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Answering { misses: u32 },
    Silent { why: Quality, probe_at: Timestamp },
}

/// Whether a request may be sent to a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Ask,
    /// One request, to see whether it is back.
    Probe,
    Refuse(Quality),
}

/// A change worth telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    None,
    Silent,
    Back,
}

impl Units {
    /// All `declared` units answer until shown otherwise.
    pub fn new(
        declared: impl IntoIterator<Item = u8>,
        demote_after: u32,
        probe_ns: i64,
        timeout_ns: i64,
    ) -> Units {
        let unit = Unit { declared: false, state: State::Answering { misses: 0 }, returns: 0 };
        let mut units = vec![unit; 256];
        for id in declared {
            if let Some(unit) = units.get_mut(usize::from(id)) {
                unit.declared = true;
            }
        }
        Units {
            units,
            demote_after: demote_after.max(1),
            probe_ns,
            timeout_ns,
            next_probe: Timestamp(i64::MIN),
        }
    }

    pub fn admit(&self, id: u8, now: Timestamp) -> Admission {
        match self.units.get(usize::from(id)).map(|unit| unit.state) {
            Some(State::Silent { why, probe_at }) if now < probe_at || now < self.next_probe => {
                Admission::Refuse(why)
            }
            Some(State::Silent { .. }) => Admission::Probe,
            _ => Admission::Ask,
        }
    }

    /// The unit answered, if only with an exception of its own.
    pub fn answered(&mut self, id: u8) -> Change {
        let Some(unit) = self.units.get_mut(usize::from(id)) else { return Change::None };
        let before = std::mem::replace(&mut unit.state, State::Answering { misses: 0 });
        if matches!(before, State::Silent { .. }) {
            unit.returns = unit.returns.wrapping_add(1);
            return Change::Back;
        }
        Change::None
    }

    /// No proper answer came, and `why`.
    pub fn missed(&mut self, id: u8, why: Quality, now: Timestamp) -> Change {
        let probe_at = now.plus(self.probe_ns);
        let others_answer = self.units.iter().enumerate().any(|(other, unit)| {
            unit.declared && other != usize::from(id) && matches!(unit.state, State::Answering { .. })
        });
        let Some(unit) = self.units.get_mut(usize::from(id)) else { return Change::None };
        match &mut unit.state {
            State::Answering { misses } if *misses + 1 < self.demote_after => {
                *misses += 1;
                Change::None
            }
            State::Answering { .. } => {
                unit.state = State::Silent { why, probe_at };
                Change::Silent
            }
            // `why` stays: another quality would mark all tags of the unit once more.
            State::Silent { probe_at: next, .. } => {
                *next = probe_at;
                if others_answer {
                    self.next_probe = now.plus(self.timeout_ns.saturating_mul(PROBE_PAUSE));
                }
                Change::None
            }
        }
    }

    /// How often the unit has come back; its blocks are asked for as a whole again then.
    pub fn returns(&self, id: u8) -> u32 {
        self.units.get(usize::from(id)).map_or(0, |unit| unit.returns)
    }

    /// Units that are silent now.
    pub fn silent(&self) -> u64 {
        self.units.iter().filter(|unit| matches!(unit.state, State::Silent { .. })).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::time::NS_PER_S;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * NS_PER_S)
    }

    fn units(declared: &[u8]) -> Units {
        Units::new(declared.iter().copied(), 2, 10 * NS_PER_S, NS_PER_S)
    }

    #[test]
    fn a_unit_is_silent_after_misses_in_a_row_and_comes_back_by_a_probe() {
        let mut units = units(&[5]);
        assert_eq!(units.missed(5, Quality::TIMEOUT, at(0)), Change::None);
        assert_eq!(units.answered(5), Change::None);
        assert_eq!(units.missed(5, Quality::TIMEOUT, at(1)), Change::None);
        assert_eq!(units.missed(5, Quality::TIMEOUT, at(2)), Change::Silent);
        assert_eq!(units.silent(), 1);
        assert_eq!(units.admit(5, at(3)), Admission::Refuse(Quality::TIMEOUT));
        assert_eq!(units.admit(5, at(12)), Admission::Probe);
        assert_eq!(units.missed(5, Quality::DECODING, at(13)), Change::None);
        assert_eq!(units.admit(5, at(22)), Admission::Refuse(Quality::TIMEOUT));
        assert_eq!(units.admit(5, at(23)), Admission::Probe);
        assert_eq!(units.answered(5), Change::Back);
        assert_eq!((units.admit(5, at(23)), units.silent(), units.returns(5)), (Admission::Ask, 0, 1));
    }

    #[test]
    fn probes_of_many_silent_units_leave_the_link_to_the_others() {
        let mut units = units(&[1, 2, 3]);
        for id in [2, 3] {
            units.missed(id, Quality::TIMEOUT, at(0));
            units.missed(id, Quality::TIMEOUT, at(0));
        }
        assert_eq!(units.admit(2, at(10)), Admission::Probe);
        units.missed(2, Quality::TIMEOUT, at(11));
        assert_eq!(units.admit(3, at(14)), Admission::Refuse(Quality::TIMEOUT));
        assert_eq!(units.admit(3, at(15)), Admission::Probe);
        assert_eq!(units.admit(1, at(12)), Admission::Ask);
    }

    #[test]
    fn with_nothing_else_to_do_probes_are_not_held_back() {
        let mut units = units(&[2, 3]);
        for id in [2, 3] {
            units.missed(id, Quality::TIMEOUT, at(0));
            units.missed(id, Quality::TIMEOUT, at(0));
        }
        units.missed(2, Quality::TIMEOUT, at(11));
        assert_eq!(units.admit(3, at(11)), Admission::Probe);
    }
}
