//! Takeover: the new active's log is the copied prefix and what the node has beside it.

use super::held::{Held, comes_late, lacking};
use super::identity::Reading;
use super::place::Place;
use super::shadow::Shadow;

/// What a node does to its log when it becomes active, before anything leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Takeover<R> {
    /// Readings to append after the record of the activation, in this order. They leave the
    /// shadow, and the tails are deleted, when these are durable.
    pub append: Vec<R>,
    /// Everything up to here that is delivered from now on is flagged `backfill`, whoever
    /// delivers it: kept with the record of the activation. None unless stale, or with a tail aside.
    pub backfill_upto: Option<Place>,
}

/// Merges set-aside tails and the shadow into the log, which ends at `end`. Readings come in
/// ascending order within their stream; one of a tail goes before the shadow's of the same slot.
pub fn take_over<R: Reading>(
    log: &(impl Held<R> + ?Sized),
    end: Place,
    tails: &[R],
    shadow: &Shadow<R>,
    stale: bool,
) -> Takeover<R> {
    let flag = stale && !mutant!("stale_not_flagged");
    // With a tail aside the copy was not finished: newer things than what it holds were delivered, by
    // the peer, or by this node itself before it set its tail aside.
    let unfinished = !tails.is_empty() && !mutant!("unfinished_copy_not_flagged");
    let shadow = shadow.iter().filter(|_| !mutant!("takeover_drops_shadow"));
    let tails = if mutant!("takeover_drops_tails") { &[] } else { tails };
    let mut beside: Vec<&R> = tails.iter().chain(shadow).collect();
    // Stable, so tails stay before the shadow.
    beside.sort_by_key(|reading| (reading.identity().order(), reading.identity()));
    let mut append: Vec<R> = Vec::with_capacity(beside.len());
    let mut of_one = 0;
    for reading in beside {
        let identity = reading.identity();
        if append.get(of_one).is_some_and(|first| first.identity() != identity) {
            of_one = append.len();
        }
        let add = lacking(reading, log);
        let Some(add) = add.and_then(|add| lacking(&add, &append[of_one..])) else {
            continue;
        };
        let late = flag || unfinished || add.is_backfill() || comes_late(&identity, log);
        append.push(if late { add.flagged() } else { add });
    }
    Takeover { append, backfill_upto: (flag || unfinished).then_some(end) }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::Tiny;
    use super::*;

    fn shadow(readings: &[Tiny]) -> Shadow<Tiny> {
        let mut shadow = Shadow::new(1000);
        readings.iter().for_each(|reading| assert!(shadow.push(reading, &[][..]).is_empty()));
        shadow
    }

    #[test]
    fn the_log_goes_on_with_the_shadows_slots_that_it_lacks_ascending() {
        let log = [Tiny::new(1, 1), Tiny::new(2, 0), Tiny::new(3, 1)];
        let shadow = shadow(&[Tiny::new(5, 1), Tiny::new(2, 1), Tiny::new(3, 1), Tiny::new(4, 0)]);
        let takeover = take_over(&log[..], Place::ZERO, &[], &shadow, false);
        assert_eq!(takeover.append, [Tiny::new(2, 1).flagged(), Tiny::new(4, 0), Tiny::new(5, 1)]);
        assert_eq!(takeover.backfill_upto, None);
    }

    #[test]
    fn a_stale_node_flags_all_that_is_not_delivered() {
        let log = [Tiny::new(1, 1)];
        let end = Place::ZERO.derived();
        let takeover = take_over(&log[..], end, &[], &shadow(&[Tiny::new(2, 1)]), true);
        assert_eq!(takeover.append, [Tiny::new(2, 1).flagged()]);
        assert_eq!(takeover.backfill_upto, Some(end));
    }

    #[test]
    fn a_tail_goes_before_the_shadow_and_each_tag_is_taken_once() {
        let tails = [Tiny::new(3, 0b01), Tiny::new(2, 0b01)];
        let shadow = shadow(&[Tiny::new(2, 0b11), Tiny::new(3, 0b01)]);
        let takeover = take_over(&[][..], Place::ZERO, &tails, &shadow, false);
        let order = [Tiny::new(2, 0b01), Tiny::new(2, 0b10), Tiny::new(3, 0b01)];
        assert_eq!(takeover.append, order.map(Reading::flagged), "the copy was not finished");
        assert_eq!(takeover.backfill_upto, Some(Place::ZERO));
    }
}
