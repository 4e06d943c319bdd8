//! One sink's progress at the active: what was submitted, what the sink has acknowledged.

use super::place::Place;
use super::rejoin::History;
use gwp_core::Cursor;

/// Deliveries to one sink, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Outlet {
    submitted: Cursor,
    acknowledged: Cursor,
}

impl Outlet {
    /// Goes on after what was delivered before.
    pub fn new(delivered: Cursor) -> Outlet {
        Outlet { submitted: delivered, acknowledged: delivered }
    }

    /// Goes on after what a transactional destination keeps of what it was given (`told`: the
    /// newest cursor of each epoch), or after what was `kept` here.
    ///
    /// A cursor says something of this log only if the log has records of its epoch: then all logs
    /// that have are equal up to there. A single cursor would not do: what is older than one of an
    /// epoch that this log lacks may have been left behind by the log that went on in it, and would
    /// be skipped.
    pub fn resumed(kept: Cursor, told: &[Cursor], log: &History) -> Outlet {
        let of_this_log = told.iter().filter(|told| log.has_epoch(told.position.epoch)).max();
        Outlet::new(of_this_log.map_or(kept, |told| kept.max(*told)))
    }

    /// The entry `cursor`, committed at `place`, is next. False if the gate is shut to it.
    #[must_use]
    pub fn submit(&mut self, cursor: Cursor, place: Place, gate: Place) -> bool {
        debug_assert!(cursor > self.submitted, "entries are submitted in order");
        if place > gate {
            return false;
        }
        self.submitted = cursor;
        true
    }

    /// The sink has taken responsibility for everything up to `cursor`. What was not submitted
    /// cannot be acknowledged; such an answer belongs to a connection before and counts as far
    /// as it goes.
    pub fn acknowledge(&mut self, cursor: Cursor) {
        self.acknowledged = self.acknowledged.max(cursor.min(self.submitted));
    }

    /// The delivered cursor: what is kept, mirrored and trimmed by. Never past what was
    /// acknowledged without a gap.
    pub fn delivered(&self) -> Cursor {
        if mutant!("cursor_before_acknowledgement") { self.submitted } else { self.acknowledged }
    }

    /// Newest entry submitted.
    pub fn submitted(&self) -> Cursor {
        self.submitted
    }

    /// True while the sink owes an acknowledgement.
    pub fn is_in_flight(&self) -> bool {
        self.submitted > self.acknowledged
    }

    /// The sink has to be connected again: what it has not acknowledged is submitted again.
    pub fn disconnected(&mut self) {
        self.submitted = self.acknowledged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Position;

    fn at(seq: u64) -> (Cursor, Place) {
        let position = Position::new(1, seq);
        (Cursor::new(position, 0), Place::log(position))
    }

    #[test]
    fn the_delivered_cursor_moves_with_acknowledgements_alone() {
        let mut outlet = Outlet::new(Cursor::ZERO);
        let ((one, place_one), (two, place_two)) = (at(1), at(2));
        assert!(outlet.submit(one, place_one, place_two));
        assert!(outlet.submit(two, place_two, place_two));
        assert_eq!((outlet.delivered(), outlet.submitted()), (Cursor::ZERO, two));
        outlet.acknowledge(one);
        assert_eq!((outlet.delivered(), outlet.is_in_flight()), (one, true));
        outlet.disconnected();
        assert_eq!((outlet.submitted(), outlet.is_in_flight()), (one, false));
        outlet.acknowledge(two);
        assert_eq!(outlet.delivered(), one, "nothing is owed");
    }

    #[test]
    fn a_destinations_cursor_counts_where_the_log_has_its_epoch() {
        let cursor = |epoch, seq| Cursor::new(Position::new(epoch, seq), 0);
        let log = History::of([Position::new(1, 30), Position::new(4, 2)]);
        let resumed = |told: &[Cursor]| Outlet::resumed(cursor(1, 9), told, &log).delivered();
        assert_eq!(resumed(&[cursor(1, 20)]), cursor(1, 20));
        assert_eq!(resumed(&[cursor(1, 5)]), cursor(1, 9));
        assert_eq!(resumed(&[cursor(3, 5)]), cursor(1, 9), "what 3 went on from may lack the end of 1");
        assert_eq!(resumed(&[cursor(1, 20), cursor(3, 5)]), cursor(1, 20));
        assert_eq!(resumed(&[cursor(1, 50)]), cursor(1, 50));
    }

    #[test]
    fn the_gate_holds_back_what_was_committed_behind_it() {
        let mut outlet = Outlet::new(Cursor::ZERO);
        let (one, place) = at(1);
        assert!(!outlet.submit(one, place.derived(), place));
        assert!(!outlet.is_in_flight());
        assert!(outlet.submit(one, place, place));
    }
}
