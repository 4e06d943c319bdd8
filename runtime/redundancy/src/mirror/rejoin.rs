//! Rejoin: where two logs part, and how a returning node gives up what only it has.
//!
//! ```text
//! returning node                                   active
//!   History, place, hash ------------------------->  join: where do we part?
//!   set the tail above it aside  <----- SetAside --
//!   follow from there            <------ frames ---
//!   tail and shadow --------------reading by-------> admit: append what is lacking, flagged
//!   kept_by                      <-- all durable ---
//!   own copy reaches kept_by: delete the tail
//! ```
//!
//! Nothing is cut off before: until then the tail is merged like a shadow if this node has to
//! take over. So it is safe, too, if the active dies, or loses its disk, in between.

use super::place::{Place, RunningHash};
use crate::limits;
use crate::member::Epoch;
use gwp_core::Position;

/// Last position of each epoch in a log, ascending.
///
/// An epoch has one holder and a copy is made in order. So two logs that both hold records of
/// an epoch are equal up to its shorter end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct History {
    ends: Vec<Position>,
}

impl History {
    /// Of a log whose epochs end at these positions.
    pub fn of(ends: impl IntoIterator<Item = Position>) -> History {
        let mut history = History::default();
        ends.into_iter().for_each(|end| history.extend(end));
        history
    }

    /// The log holds a record more.
    pub fn extend(&mut self, position: Position) {
        debug_assert!(position >= self.end(), "a log only grows");
        match self.ends.last_mut() {
            Some(last) if last.epoch == position.epoch => *last = position,
            _ => self.ends.push(position),
        }
        if self.ends.len() > limits::EPOCHS_KEPT {
            self.ends.remove(0);
        }
    }

    /// What is above `position` is not part of the log any more.
    pub fn cut(&mut self, position: Position) {
        self.ends.retain(|end| end.epoch <= position.epoch);
        if let Some(last) = self.ends.last_mut() {
            *last = position.min(*last);
        }
    }

    /// The last positions, one of each epoch, ascending; at most
    /// [`EPOCHS_KEPT`](limits::EPOCHS_KEPT).
    pub fn ends(&self) -> &[Position] {
        &self.ends
    }

    /// Last position of the log.
    pub fn end(&self) -> Position {
        self.ends.last().copied().unwrap_or(Position::ZERO)
    }

    /// Whether the log has records of this epoch.
    pub fn has_epoch(&self, epoch: Epoch) -> bool {
        self.end_of(epoch).is_some()
    }

    fn end_of(&self, epoch: Epoch) -> Option<Position> {
        self.ends.iter().find(|end| end.epoch == epoch).copied()
    }

    /// Last position that both logs hold.
    pub fn common(&self, other: &History) -> Position {
        let both = self.ends.iter().rev().find_map(|end| Some((*end).min(other.end_of(end.epoch)?)));
        both.unwrap_or(Position::ZERO)
    }
}

/// How a node that comes back goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joining {
    /// Its store is the beginning of the active's: frames follow after its place.
    Follow { after: Place },
    /// It sets aside what it has above this position and asks again.
    SetAside { above: Position },
    /// What it would need next is trimmed: it starts empty, after this place, with the active's
    /// [`History`] up to there. Its log does not tell then what of its shadow was delivered: until
    /// that is handed over, it counts as a tail.
    Resync { after: Place },
}

/// What the active knows of its own log at the other's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtPlace {
    /// Its running hash up to there.
    Hash(RunningHash),
    /// Trimmed, or not a place of this log.
    Unknown,
}

/// Decides at the active how the other goes on, which stands at `place` with `hash`. `oldest` is
/// the place before the oldest frame that is kept here.
pub fn join(
    mine: &History,
    theirs: &History,
    place: Place,
    hash: RunningHash,
    here: AtPlace,
    oldest: Place,
) -> Joining {
    let common = mine.common(theirs);
    if theirs.end() > common {
        return Joining::SetAside { above: common };
    }
    match here {
        AtPlace::Hash(own) if own == hash || mutant!("hash_not_checked") => Joining::Follow { after: place },
        // The places agree and the content does not: nothing of it can be trusted to be a copy.
        AtPlace::Hash(_) => Joining::SetAside { above: Position::ZERO },
        AtPlace::Unknown if place == Place::ZERO || place < oldest => Joining::Resync { after: oldest },
        // Derived frames that the active has not made: again from the record before them.
        AtPlace::Unknown => Joining::SetAside { above: previous(place.position) },
    }
}

/// The position before, within the epoch.
fn previous(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), ..position }
}

/// Tails of earlier activations that this node has set aside: ranges of its log that are no
/// part of it any more and are not deleted yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Aside {
    tails: Vec<Tail>,
    kept_by: Option<Place>,
}

/// Records after `above` up to `upto`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tail {
    pub above: Position,
    pub upto: Position,
}

impl Aside {
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    pub fn tails(&self) -> &[Tail] {
        &self.tails
    }

    /// Sets the log's records after `above` up to its end `upto` aside. False if there are too
    /// many tails already: then the log must stay as it is, and a person has to look at it.
    #[must_use]
    pub fn set_aside(&mut self, above: Position, upto: Position) -> bool {
        if upto <= above || mutant!("rejoin_truncates") {
            return true;
        }
        if self.tails.len() >= limits::TAILS_MAX {
            return false;
        }
        self.tails.push(Tail { above, upto });
        self.kept_by = None;
        true
    }

    /// The active says that everything handed over is durable there, in its log up to `place`.
    pub fn handed_over(&mut self, place: Place) {
        self.kept_by = Some(place);
    }

    /// Another active, or the link was lost: it has to be handed over again.
    pub fn hand_over_again(&mut self) {
        self.kept_by = None;
    }

    /// True if it still has to be handed over.
    pub fn must_hand_over(&self) -> bool {
        !self.is_empty() && self.kept_by.is_none()
    }

    /// True when the tails may be deleted: the own copy holds what the active made of them.
    pub fn may_delete(&self, own_durable: Place) -> bool {
        if mutant!("tail_removed_before_durable") {
            return !self.is_empty();
        }
        !self.is_empty() && self.kept_by.is_some_and(|place| own_durable >= place)
    }

    /// They are deleted, or their readings are in the own log (after a takeover).
    pub fn deleted(&mut self) {
        *self = Aside::default();
    }
}

/// Place to answer to a node that has handed over all it has: that of the last record appended
/// for it, once it is durable at the active.
pub fn kept_by(appended_upto: Place, own_durable: Place) -> Option<Place> {
    (own_durable >= appended_upto).then_some(appended_upto)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(epoch: u32, seq: u64) -> Position {
        Position::new(epoch, seq)
    }

    fn history(ends: &[(u32, u64)]) -> History {
        History::of(ends.iter().map(|(epoch, seq)| p(*epoch, *seq)))
    }

    #[test]
    fn logs_part_at_the_shorter_end_of_the_newest_epoch_that_both_have() {
        let mine = history(&[(1, 10), (2, 4), (4, 3)]);
        for (theirs, common) in [
            (history(&[(1, 10), (2, 4), (4, 2)]), p(4, 2)),
            (history(&[(1, 10), (2, 9)]), p(2, 4)),
            (history(&[(1, 10), (3, 2)]), p(1, 10)),
            (history(&[(1, 14), (3, 2)]), p(1, 10)),
            (history(&[(1, 7)]), p(1, 7)),
            (history(&[(5, 7)]), Position::ZERO),
            (history(&[]), Position::ZERO),
        ] {
            assert_eq!(mine.common(&theirs), common, "{theirs:?}");
            assert_eq!(theirs.common(&mine), common, "{theirs:?}");
        }
    }

    #[test]
    fn a_history_grows_with_the_log_and_is_cut_with_it() {
        let mut log = history(&[(1, 10), (2, 4)]);
        log.extend(p(2, 5));
        log.extend(p(5, 1));
        assert_eq!((log.end(), &log), (p(5, 1), &history(&[(1, 10), (2, 5), (5, 1)])));
        log.cut(p(2, 3));
        assert_eq!(log, history(&[(1, 10), (2, 3)]));
        log.cut(p(1, 99));
        assert_eq!(log, history(&[(1, 10)]));
        log.cut(Position::ZERO);
        assert_eq!(log.end(), Position::ZERO);
        for epoch in 1..2000 {
            log.extend(p(epoch, 1));
        }
        assert_eq!(log.ends.len(), limits::EPOCHS_KEPT);
    }

    #[test]
    fn a_node_that_comes_back_follows_sets_aside_or_starts_anew() {
        let mine = history(&[(1, 10), (2, 4)]);
        let hash = RunningHash(7);
        let join_at = |theirs: &History, place, here, oldest| join(&mine, theirs, place, hash, here, oldest);
        let at = |epoch, seq| Place::log(p(epoch, seq));
        let same = AtPlace::Hash(hash);
        let prefix = history(&[(1, 8)]);
        assert_eq!(join_at(&prefix, at(1, 8), same, Place::ZERO), Joining::Follow { after: at(1, 8) });
        let tail = history(&[(1, 12)]);
        let aside = Joining::SetAside { above: p(1, 10) };
        assert_eq!(join_at(&tail, at(1, 12), AtPlace::Unknown, Place::ZERO), aside);
        let other = AtPlace::Hash(RunningHash(8));
        let all = Joining::SetAside { above: Position::ZERO };
        assert_eq!(join_at(&prefix, at(1, 8), other, Place::ZERO), all);
        let resync = Joining::Resync { after: at(1, 9) };
        assert_eq!(join_at(&prefix, at(1, 8), AtPlace::Unknown, at(1, 9)), resync);
        assert_eq!(join_at(&history(&[]), Place::ZERO, AtPlace::Unknown, at(1, 9)), resync);
        let derived = at(1, 8).derived();
        let again = Joining::SetAside { above: p(1, 7) };
        assert_eq!(join_at(&prefix, derived, AtPlace::Unknown, Place::ZERO), again);
    }

    #[test]
    fn a_tail_is_deleted_only_when_the_own_copy_holds_what_became_of_it() {
        let at = |seq| Place::log(p(2, seq));
        let mut aside = Aside::default();
        assert!(aside.set_aside(p(1, 5), p(1, 5)) && aside.is_empty());
        assert!(aside.set_aside(p(1, 5), p(1, 7)));
        assert_eq!(aside.tails(), [Tail { above: p(1, 5), upto: p(1, 7) }]);
        assert!(aside.must_hand_over() && !aside.may_delete(at(100)));
        assert_eq!(kept_by(at(9), at(8)), None);
        aside.handed_over(kept_by(at(9), at(9)).unwrap());
        assert!(!aside.must_hand_over() && !aside.may_delete(at(8)));
        assert!(aside.may_delete(at(9)));
        aside.hand_over_again();
        assert!(!aside.may_delete(at(9)));
        aside.deleted();
        assert!(aside.is_empty() && !aside.must_hand_over());
    }

    #[test]
    fn tails_are_bounded_in_number() {
        let mut aside = Aside::default();
        for epoch in 0..limits::TAILS_MAX as u32 {
            assert!(aside.set_aside(p(epoch, 1), p(epoch, 2)));
        }
        assert!(!aside.set_aside(p(99, 1), p(99, 2)));
        assert_eq!(aside.tails().len(), limits::TAILS_MAX);
    }
}
