//! The standby's side of the mirror: accept the active's frames in order, or say what is wrong.

use super::identity::Reading;
use super::place::{Head, Place, RunningHash};
use super::shadow::Shadow;
use gwp_core::Cursor;

/// What to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It is the next: append it.
    Append,
    /// It is here already.
    Have,
    /// Frames before it are missing: ask to send again after this place.
    Gap { after: Place },
    /// What is here is not what the active has before it: rejoin.
    Diverged,
}

/// How far the copy has come, while one link holds.
///
/// When the link is lost, what was received is made durable all the same (in mode `memory` it
/// may have been delivered already), and the node joins again from there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StandbySide {
    received: Place,
    hash: RunningHash,
    durable: Place,
}

impl StandbySide {
    /// Follows from `place`, where the own store (with that running hash) was found equal to
    /// the active's.
    pub fn new(place: Place, hash: RunningHash) -> StandbySide {
        StandbySide { received: place, hash, durable: place }
    }

    /// Newest place in memory.
    pub fn received(&self) -> Place {
        self.received
    }

    /// Newest place durable here.
    pub fn durable(&self) -> Place {
        self.durable
    }

    /// Running hash of the copy up to what was received.
    pub fn hash(&self) -> RunningHash {
        self.hash
    }

    /// Looks at the next frame from the link and counts it as received if it is the next.
    pub fn accept(&mut self, head: &Head) -> Verdict {
        let equal = |hash: RunningHash| hash == self.hash || mutant!("hash_not_checked");
        if head.place <= self.received {
            let differs = head.place == self.received && !equal(head.hash);
            return if differs { Verdict::Diverged } else { Verdict::Have };
        }
        if head.before > self.received {
            return Verdict::Gap { after: self.received };
        }
        if head.before < self.received || !equal(head.hash_before) {
            return Verdict::Diverged;
        }
        self.received = head.place;
        self.hash = head.hash;
        Verdict::Append
    }

    /// Everything up to `place` is durable here, to be told to the active.
    pub fn persisted(&mut self, place: Place) {
        debug_assert!(place <= self.received, "only what was received can be durable");
        self.durable = self.durable.max(place.min(self.received));
    }

    /// How much of a delivered cursor that the active told may be kept here: never beyond the
    /// own log, or what is missing in it would count as delivered after a takeover.
    pub fn adopt<R: Reading>(&self, told: Cursor, shadow: &mut Shadow<R>) -> Cursor {
        if mutant!("trim_on_delivered") {
            shadow.clear();
        }
        if mutant!("delivered_beyond_log") {
            return told;
        }
        told.min(Cursor::complete(self.durable.position))
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::Tiny;
    use super::*;
    use gwp_core::Position;

    fn at(seq: u64) -> Place {
        Place::log(Position::new(1, seq))
    }

    /// Hash of a log whose frames have the hashes 1, 2, ..., `seq`.
    fn hash(seq: u64) -> RunningHash {
        (1..=seq).fold(RunningHash::EMPTY, RunningHash::then)
    }

    fn frame(before: u64, place: u64) -> Head {
        Head { before: at(before), hash_before: hash(before), place: at(place), hash: hash(place), bytes: 10 }
    }

    #[test]
    fn the_next_frame_is_appended_and_others_are_named() {
        let mut standby = StandbySide::new(at(4), hash(4));
        assert_eq!(standby.accept(&frame(4, 5)), Verdict::Append);
        assert_eq!((standby.received(), standby.durable(), standby.hash()), (at(5), at(4), hash(5)));
        assert_eq!(standby.accept(&frame(4, 5)), Verdict::Have);
        assert_eq!(standby.accept(&frame(2, 3)), Verdict::Have);
        assert_eq!(standby.accept(&frame(7, 8)), Verdict::Gap { after: at(5) });
        assert_eq!(standby.accept(&frame(4, 6)), Verdict::Diverged, "its frames end elsewhere");
    }

    #[test]
    fn equal_places_with_other_content_are_found() {
        let mut standby = StandbySide::new(at(4), hash(4).then(9));
        assert_eq!(standby.accept(&frame(4, 5)), Verdict::Diverged);
        assert_eq!(standby.accept(&frame(3, 4)), Verdict::Diverged);
        assert_eq!(standby.received(), at(4));
    }

    #[test]
    fn what_is_in_memory_is_not_yet_durable() {
        let mut standby = StandbySide::new(at(0), hash(0));
        for seq in 1..=3 {
            assert_eq!(standby.accept(&frame(seq - 1, seq)), Verdict::Append);
        }
        standby.persisted(at(2));
        assert_eq!((standby.received(), standby.durable()), (at(3), at(2)));
    }

    #[test]
    fn a_delivered_cursor_is_adopted_up_to_the_own_log() {
        let mut shadow = Shadow::<Tiny>::new(100);
        shadow.push(&Tiny::new(9, 1), &[][..]);
        let standby = StandbySide::new(at(4), hash(4));
        let own = Cursor::complete(Position::new(1, 4));
        assert_eq!(standby.adopt(Cursor::new(Position::new(1, 7), 3), &mut shadow), own);
        let behind = Cursor::new(Position::new(1, 2), 3);
        assert_eq!(standby.adopt(behind, &mut shadow), behind);
        assert_eq!(shadow.len(), 1, "nothing leaves the shadow for it");
    }
}
