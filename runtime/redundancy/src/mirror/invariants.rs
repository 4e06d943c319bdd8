//! What must hold at any time, as plain functions: for the model checker, the simulator and
//! assertions in production. Each gives the first thing that is wrong.
//!
//! The names D1..D4 and I11..I21 are those under which the tests and the model report them.

use super::held::{Held, lacking};
use super::identity::{Identity, Reading, TagSet};
use super::place::Place;
use gwp_core::Cursor;
use std::collections::BTreeMap;

/// D1: a reading of which the log of deliveries lacks a good value. To be asked when nothing is
/// under way any more, for the readings of all nodes whose disk is there.
pub fn undelivered<R: Reading>(read: impl IntoIterator<Item = R>, delivered: &[R]) -> Option<Identity> {
    let lost = |reading: &R| {
        let got = delivered.good(&reading.identity()).unwrap_or_default();
        !reading.good().minus(&got).is_empty()
    };
    read.into_iter().find(lost).map(|reading| reading.identity())
}

/// D2, I16: a delivery that is older than one before it in its stream, is no repetition, and is
/// not flagged `backfill`.
pub fn out_of_order<R: Reading>(delivered: &[R]) -> Option<Identity> {
    let mut newest = BTreeMap::new();
    for (at, reading) in delivered.iter().enumerate() {
        if reading.is_backfill() || lacking(reading, &delivered[..at]).is_none() {
            continue;
        }
        let identity = reading.identity();
        let before = newest.entry(identity.stream()).or_insert(i64::MIN);
        if identity.order() < *before {
            return Some(identity);
        }
        *before = identity.order();
    }
    None
}

/// D3, D4: something that was delivered again, adding nothing, more than `allowed` times. None
/// are allowed without a crash, and one for each crash while one entry is in flight.
pub fn repeated<R: Reading>(delivered: &[R], allowed: usize) -> Option<Identity> {
    let adds_nothing = |at: &usize| lacking(&delivered[*at], &delivered[..*at]).is_none();
    let repeats: Vec<&R> = (0..delivered.len()).filter(adds_nothing).map(|at| &delivered[at]).collect();
    let same = |one: &R, other: &R| one.identity() == other.identity() && one.good() == other.good();
    let count = |one: &R| repeats.iter().filter(|other| same(one, other)).count();
    repeats.iter().find(|one| count(one) > allowed).map(|one| one.identity())
}

/// I11: a reading of this node that is in none of its stores (log, tails, shadow), all durable.
pub fn in_no_store<R: Reading>(read: impl IntoIterator<Item = R>, stores: &[&[R]]) -> Option<Identity> {
    let lost = |reading: &R| {
        let mut left = reading.good();
        for store in stores {
            left = left.minus(&store.good(&reading.identity()).unwrap_or_default());
        }
        !left.is_empty()
    };
    read.into_iter().find(lost).map(|reading| reading.identity())
}

/// I12: index of the first frame that the copy has and the active has not there.
pub fn not_a_prefix<F: PartialEq>(copy: &[F], active: &[F]) -> Option<usize> {
    (0..copy.len()).find(|&at| active.get(at) != Some(&copy[at]))
}

/// I13, I15, I20: something has left (to a sink, or as an acknowledgement to a source) that is
/// not durable on both disks, and no mark stands for it.
pub fn left_unmirrored(left: Place, own_durable: Place, peer_durable: Place, marked: bool) -> bool {
    left > own_durable || (left > peer_durable && !marked)
}

/// I14: an entry at or below the delivered cursor that no sink has acknowledged.
pub fn cursor_ahead<R: Reading>(
    entries: impl IntoIterator<Item = (Cursor, R)>,
    delivered: Cursor,
    acknowledged: &[R],
) -> Option<Cursor> {
    let ahead =
        |(cursor, reading): &(Cursor, R)| *cursor <= delivered && lacking(reading, acknowledged).is_some();
    entries.into_iter().find(ahead).map(|(cursor, _)| cursor)
}

/// I21: an identity with a tag that is good in two records of one log.
pub fn overwritten<R: Reading>(log: &[R]) -> Option<Identity> {
    let twice = |at: usize, reading: &R| {
        let before = log[..at].good(&reading.identity());
        before.is_some_and(|held| reading.good().minus(&held) != reading.good())
    };
    log.iter().enumerate().find(|(at, reading)| twice(*at, reading)).map(|(_, reading)| reading.identity())
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::Tiny;
    use super::*;
    use gwp_core::Position;

    fn t(slot: u8) -> Tiny {
        Tiny::new(slot, 1)
    }

    fn id(slot: u8) -> Option<Identity> {
        Some(t(slot).identity())
    }

    #[test]
    fn d1_counts_each_good_tag() {
        assert_eq!(undelivered([t(1), t(2)], &[t(2), t(1)]), None);
        assert_eq!(undelivered([t(1), t(2)], &[t(1)]), id(2));
        assert_eq!(undelivered([Tiny::new(1, 0b11)], &[t(1)]), id(1));
        assert_eq!(undelivered([Tiny::new(1, 0b11)], &[t(1), Tiny::new(1, 0b10)]), None);
        assert_eq!(undelivered([Tiny::new(3, 0)], &[]), None, "nothing was read");
    }

    #[test]
    fn d2_lets_repetitions_and_backfill_pass() {
        assert_eq!(out_of_order(&[t(1), t(2), t(1), t(3)]), None);
        assert_eq!(out_of_order(&[t(2), t(1).flagged(), t(3)]), None);
        assert_eq!(out_of_order(&[t(2), t(1)]), id(1));
        assert_eq!(out_of_order(&[t(5).flagged(), t(1)]), None, "the flagged one claims no order");
    }

    #[test]
    fn d3_and_d4_count_what_adds_nothing() {
        assert_eq!(repeated(&[t(1), Tiny::new(1, 0b10), t(2)], 0), None);
        assert_eq!(repeated(&[t(1), t(2), t(1)], 0), id(1));
        assert_eq!(repeated(&[t(1), t(2), t(1)], 1), None);
    }

    #[test]
    fn i11_looks_into_all_stores_tag_by_tag() {
        let (log, shadow) = ([t(1)], [Tiny::new(1, 0b10), t(2)]);
        assert_eq!(in_no_store([Tiny::new(1, 0b11), t(2)], &[&log, &shadow]), None);
        assert_eq!(in_no_store([Tiny::new(1, 0b11)], &[&log]), id(1));
    }

    #[test]
    fn i12_to_i21_name_what_is_wrong() {
        assert_eq!(not_a_prefix(&[1, 2], &[1, 2, 3]), None);
        assert_eq!(not_a_prefix(&[1, 4], &[1, 2, 3]), Some(1));
        assert_eq!(not_a_prefix(&[1, 2], &[1]), Some(1));
        let at = |seq| Place::log(Position::new(1, seq));
        assert!(!left_unmirrored(at(2), at(2), at(2), false));
        assert!(left_unmirrored(at(2), at(2), at(1), false));
        assert!(!left_unmirrored(at(2), at(2), at(1), true));
        assert!(left_unmirrored(at(2), at(1), at(2), true), "the own disk counts always");
        let entry = |seq, slot| (Cursor::new(Position::new(1, seq), 0), t(slot));
        let delivered = entry(2, 0).0;
        assert_eq!(cursor_ahead([entry(1, 1), entry(2, 2)], delivered, &[t(1)]), Some(delivered));
        assert_eq!(cursor_ahead([entry(1, 1), entry(3, 3)], delivered, &[t(1)]), None);
        assert_eq!(overwritten(&[t(1), Tiny::new(1, 0b10), Tiny::new(1, 0)]), None);
        assert_eq!(overwritten(&[t(1), t(1).flagged()]), id(1));
    }
}
