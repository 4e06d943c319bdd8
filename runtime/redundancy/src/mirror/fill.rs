//! What the active takes from the peer: fills, handed-over tails and shadows, each once.

use super::held::{Held, comes_late, lacking};
use super::identity::Reading;

/// Where a reading that the active takes in comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The own source: a due slot has been read.
    Own,
    /// The standby's shadow, for a past slot.
    Fill,
    /// The tail or shadow of a node that comes back.
    Rejoin,
}

/// What to append of a reading: what the log lacks, flagged `backfill` if it can be older than
/// what was delivered. `None` if the log has it all; a value that is there is never replaced.
///
/// The sequencer asks this for readings of its own, too: after a takeover the copied log may
/// hold the slot that has just been read.
pub fn admit<R: Reading>(reading: &R, from: From, log: &(impl Held<R> + ?Sized)) -> Option<R> {
    let add = lacking(reading, log)?;
    let identity = add.identity();
    let late = match from {
        From::Fill if mutant!("fill_not_flagged") => false,
        From::Own | From::Fill => comes_late(&identity, log),
        // It was the active once: what of its tail it had delivered, nobody here knows.
        From::Rejoin => true,
    };
    Some(if late || add.is_backfill() { add.flagged() } else { add })
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::Tiny;
    use super::*;

    #[test]
    fn a_fill_is_appended_once_and_flagged_behind_later_slots() {
        let mut log = vec![Tiny::new(1, 1), Tiny::new(2, 0), Tiny::new(3, 1)];
        let fill = admit(&Tiny::new(2, 1), From::Fill, &log[..]).unwrap();
        assert_eq!(fill, Tiny::new(2, 1).flagged());
        log.push(fill);
        assert_eq!(admit(&Tiny::new(2, 1), From::Fill, &log[..]), None);
        let newest = admit(&Tiny::new(3, 0b11), From::Fill, &log[..]);
        assert_eq!(newest, Some(Tiny::new(3, 0b10)), "nothing later was delivered");
    }

    #[test]
    fn a_canonical_value_is_never_replaced() {
        let log = [Tiny::new(1, 0b01)];
        let add = admit(&Tiny::new(1, 0b11), From::Rejoin, &log[..]);
        assert_eq!(add, Some(Tiny::new(1, 0b10).flagged()));
        assert_eq!(admit(&Tiny::new(1, 0b01), From::Rejoin, &log[..]), None);
    }

    #[test]
    fn what_comes_back_is_flagged_even_if_it_is_the_newest() {
        let log = [Tiny::new(1, 1)];
        assert_eq!(admit(&Tiny::new(2, 1), From::Rejoin, &log[..]), Some(Tiny::new(2, 1).flagged()));
        assert_eq!(admit(&Tiny::new(2, 1), From::Own, &log[..]), Some(Tiny::new(2, 1)));
        assert_eq!(admit(&Tiny::new(1, 1), From::Own, &log[..]), None);
    }
}
