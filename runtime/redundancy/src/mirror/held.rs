//! What a log holds of late, by identity: the question that fill, takeover and rejoin ask.

use super::identity::{Identity, Reading, Stream, TagSet};
use crate::limits;
use std::collections::{BTreeMap, VecDeque};

/// What the rules ask of a log.
pub trait Held<R: Reading> {
    /// Tags of which the log holds a good value for this identity; none if it has no record of it.
    fn good(&self, identity: &Identity) -> Option<R::Good>;

    /// Largest order ([`Identity::order`]) the log holds of a stream.
    fn newest(&self, stream: Stream) -> Option<i64>;
}

/// What of a reading a log lacks: all of it without a record of its identity, else the tags
/// that are good in it and not in the log. `None` if it lacks nothing.
pub fn lacking<R: Reading>(reading: &R, log: &(impl Held<R> + ?Sized)) -> Option<R> {
    let identity = reading.identity();
    let Some(held) = log.good(&identity) else {
        return Some(reading.clone());
    };
    if let Identity::Event { .. } = identity {
        // Its quality is part of the identity: what is held is held whole.
        return None;
    }
    let mut add = reading.good().minus(&held);
    if mutant!("fill_overwrites_canonical") {
        add = reading.good();
    }
    if add.is_empty() { None } else { Some(reading.keep(&add)) }
}

/// True if a reading that is appended now comes behind newer ones of its stream.
pub fn comes_late<R: Reading>(identity: &Identity, log: &(impl Held<R> + ?Sized)) -> bool {
    log.newest(identity.stream()).is_some_and(|newest| newest > identity.order())
}

/// [`Held`] for the newest records of a log, in memory.
///
/// It must reach back as far as the peer's shadow and a handed-over tail can; what is older
/// than its oldest entry has to be asked of the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HeldIndex<G> {
    good: BTreeMap<Identity, G>,
    order: VecDeque<Identity>,
    newest: BTreeMap<Stream, i64>,
    /// Order of each stream from which on nothing is missing here.
    complete_from: BTreeMap<Stream, i64>,
    /// Nothing of the log is missing here.
    is_whole: bool,
    identities_max: usize,
}

impl<G: TagSet> Default for HeldIndex<G> {
    fn default() -> Self {
        HeldIndex::new(limits::HELD_IDENTITIES_MAX)
    }
}

impl<G: TagSet> HeldIndex<G> {
    /// An index of at most `identities_max` identities; beyond it the oldest are forgotten.
    pub fn new(identities_max: usize) -> Self {
        HeldIndex {
            good: BTreeMap::new(),
            order: VecDeque::new(),
            newest: BTreeMap::new(),
            complete_from: BTreeMap::new(),
            is_whole: false,
            identities_max,
        }
    }

    /// Takes note of a record of the log.
    pub fn record(&mut self, reading: &impl Reading<Good = G>) {
        let identity = reading.identity();
        let newest = self.newest.entry(identity.stream()).or_insert(i64::MIN);
        *newest = identity.order().max(*newest);
        let good = reading.good();
        if let Some(held) = self.good.get_mut(&identity) {
            *held = held.plus(&good);
            return;
        }
        // What was filled in stands behind what is newer: it does not tell where the index begins.
        if !reading.is_backfill() {
            self.complete_from.entry(identity.stream()).or_insert(identity.order());
        }
        self.good.insert(identity, good);
        self.order.push_back(identity);
        if self.order.len() > self.identities_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.good.remove(&oldest);
            self.is_whole = false;
            let from = self.complete_from.entry(oldest.stream()).or_insert(i64::MIN);
            *from = oldest.order().saturating_add(1).max(*from);
        }
    }

    /// All records of the log have been recorded here.
    pub fn has_whole_log(&mut self) {
        self.is_whole = true;
    }

    /// Whether the index reaches back so far: that it does not hold the identity means that the log does not. Of a
    /// stream that it has nothing of it knows nothing, unless it has the whole log.
    pub fn reaches(&self, identity: &Identity) -> bool {
        self.is_whole
            || self.complete_from.get(&identity.stream()).is_some_and(|from| identity.order() >= *from)
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<R: Reading> Held<R> for HeldIndex<R::Good> {
    fn good(&self, identity: &Identity) -> Option<R::Good> {
        self.good.get(identity).cloned()
    }

    fn newest(&self, stream: Stream) -> Option<i64> {
        self.newest.get(&stream).copied()
    }
}

/// A few readings in order, asked by looking at each.
impl<R: Reading> Held<R> for [R] {
    fn good(&self, identity: &Identity) -> Option<R::Good> {
        let same = self.iter().filter(|reading| reading.identity() == *identity);
        same.map(|reading| reading.good()).reduce(|held, more| held.plus(&more))
    }

    fn newest(&self, stream: Stream) -> Option<i64> {
        let orders = self.iter().map(Reading::identity).filter(|identity| identity.stream() == stream);
        orders.map(|identity| identity.order()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::{Bits, Stamped, Tiny};
    use super::*;
    use gwp_core::GroupId;

    #[test]
    fn a_log_lacks_slots_without_a_record_and_tags_without_a_good_value() {
        let log = [Tiny::new(1, 0b11), Tiny::new(2, 0b01)];
        let lacks = |slot, good| lacking(&Tiny::new(slot, good), &log[..]);
        assert_eq!(lacks(1, 0b11), None);
        assert_eq!(lacks(2, 0b01), None);
        assert_eq!(lacks(2, 0b11), Some(Tiny::new(2, 0b10)));
        assert_eq!(lacks(3, 0b01), Some(Tiny::new(3, 0b01)));
        assert_eq!(lacks(3, 0), Some(Tiny::new(3, 0)), "a failed slot is a record, too");
    }

    #[test]
    fn an_event_is_the_same_by_tag_time_and_content() {
        let event = |tag, time, content| Stamped { tag, time, content, backfill: false };
        let log = [event(1, 10, 7)];
        assert_eq!(lacking(&event(1, 10, 7), &log[..]), None);
        for other in [event(2, 10, 7), event(1, 11, 7), event(1, 10, 8)] {
            assert_eq!(lacking(&other, &log[..]), Some(other));
        }
        assert!(comes_late(&event(1, 9, 7).identity(), &log[..]));
        assert!(!comes_late(&event(2, 9, 7).identity(), &log[..]), "another stream");
    }

    #[test]
    fn the_index_says_what_a_look_at_every_record_says() {
        let mut log = Vec::new();
        let mut index = HeldIndex::<Bits>::default();
        for step in 0u8..40 {
            let reading = Tiny::new(step.wrapping_mul(7) % 12, step % 4);
            log.push(reading);
            index.record(&reading);
            for slot in 0..13 {
                let identity = Tiny::new(slot, 0).identity();
                assert_eq!(Held::<Tiny>::good(&index, &identity), log[..].good(&identity));
            }
            let stream = Stream::Group(GroupId(0));
            assert_eq!(Held::<Tiny>::newest(&index, stream), log[..].newest(stream));
        }
    }

    #[test]
    fn the_index_forgets_the_oldest_beyond_its_bound() {
        let mut index = HeldIndex::<Bits>::new(2);
        assert!(index.is_empty());
        for slot in 1..=3 {
            index.record(&Tiny::new(slot, 1));
        }
        assert_eq!(index.len(), 2);
        assert_eq!(Held::<Tiny>::good(&index, &Tiny::new(1, 1).identity()), None);
        assert_eq!(Held::<Tiny>::good(&index, &Tiny::new(2, 1).identity()), Some(Bits(1)));
    }

    #[test]
    fn the_index_says_how_far_back_it_knows_everything() {
        let mut index = HeldIndex::<Bits>::new(3);
        let reaches = |index: &HeldIndex<Bits>, slot| index.reaches(&Tiny::new(slot, 0).identity());
        assert!(!reaches(&index, 9), "of nothing");
        index.record(&Tiny::new(3, 1).flagged());
        assert!(!reaches(&index, 9), "a fill does not tell");
        index.record(&Tiny::new(7, 1));
        assert!(!reaches(&index, 6) && reaches(&index, 7) && reaches(&index, 9));
        index.record(&Tiny::new(8, 1));
        index.record(&Tiny::new(9, 1));
        index.record(&Tiny::new(10, 1));
        assert!(!reaches(&index, 7) && reaches(&index, 8), "the oldest are forgotten");
        index.has_whole_log();
        assert!(reaches(&index, 1));
        index.record(&Tiny::new(11, 1));
        assert!(!reaches(&index, 8) && reaches(&index, 9), "until it forgets");
    }
}
