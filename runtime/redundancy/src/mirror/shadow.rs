//! The standby's own readings, kept until its copy of the active's log holds them.

use super::held::{Held, comes_late, lacking};
use super::identity::{Identity, Reading, Stream, TagSet};
use std::collections::{BTreeMap, VecDeque};

/// A ring of readings, bounded in bytes.
///
/// A reading leaves it only when the active's record of its slot, and a fill for the tags that
/// record has not good, is durable in the *own* log: not on a position heard of, not on a
/// delivered cursor, not on having sent a fill.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shadow<R> {
    readings: BTreeMap<Identity, R>,
    /// Identities in the order in which they were read.
    order: VecDeque<Identity>,
    bytes: usize,
    bytes_max: usize,
}

/// Readings of one stream that the ring had no room for: a line in the gap ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dropped {
    pub stream: Stream,
    /// Smallest and largest order ([`Identity::order`]) of them.
    pub from: i64,
    pub upto: i64,
    pub readings: u32,
}

impl<R: Reading> Shadow<R> {
    pub fn new(bytes_max: usize) -> Self {
        Shadow { readings: BTreeMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Bytes of the readings in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The readings in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.order.iter().filter_map(|identity| self.readings.get(identity))
    }

    /// Takes a reading in, unless the own log holds all of it already. Gives what had to be
    /// dropped for it, the oldest first, a line per stream.
    pub fn push(&mut self, reading: &R, log: &(impl Held<R> + ?Sized)) -> Vec<Dropped> {
        let identity = reading.identity();
        let known = log.good(&identity).is_some() && lacking(reading, log).is_none();
        if known || self.readings.contains_key(&identity) {
            return Vec::new();
        }
        self.bytes += reading.bytes();
        self.readings.insert(identity, reading.clone());
        self.order.push_back(identity);
        let mut dropped: BTreeMap<Stream, Dropped> = BTreeMap::new();
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(&oldest);
            let order = oldest.order();
            let line = dropped.entry(oldest.stream()).or_insert_with(|| Dropped {
                stream: oldest.stream(),
                from: order,
                upto: order,
                readings: 0,
            });
            line.from = line.from.min(order);
            line.upto = line.upto.max(order);
            line.readings += 1;
        }
        dropped.into_values().collect()
    }

    /// A record of the active is durable in the own log: what it holds leaves the ring, tags
    /// that it has not good stay until the fill for them is durable, too.
    pub fn arrived(&mut self, record: &R) {
        let identity = record.identity();
        if mutant!("trim_beyond_arrived") {
            let gone: Vec<Identity> =
                self.order.iter().copied().filter(|one| one.stream() == identity.stream()).collect();
            gone.iter().for_each(|one| self.remove(one));
            return;
        }
        let Some(reading) = self.readings.get(&identity) else {
            return;
        };
        let rest = match identity {
            Identity::Slot { .. } => reading.good().minus(&record.good()),
            Identity::Event { .. } => R::Good::default(),
        };
        if rest.is_empty() {
            self.remove(&identity);
            return;
        }
        let rest = reading.keep(&rest);
        self.bytes += rest.bytes();
        if let Some(before) = self.readings.insert(identity, rest) {
            self.bytes = self.bytes.saturating_sub(before.bytes());
        }
    }

    /// What to offer to the active, the oldest first, at most `count`: readings of which the own
    /// copy of its log has no good value although it is past them. Sending changes nothing here;
    /// an offer that is lost is made again.
    pub fn offers(&self, log: &(impl Held<R> + ?Sized), count: usize) -> Vec<R> {
        if mutant!("no_peer_fill") {
            return Vec::new();
        }
        let past = self.iter().filter(|reading| {
            let identity = reading.identity();
            log.good(&identity).is_some() || comes_late(&identity, log)
        });
        past.filter(|reading| !reading.good().is_empty())
            .filter_map(|reading| lacking(reading, log))
            .take(count)
            .collect()
    }

    /// Forgets everything. For the readings of a plan that is not in force any more, once they
    /// are handed over or in the gap ledger; never because a position was heard of.
    pub fn clear(&mut self) {
        self.readings.clear();
        self.order.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, identity: &Identity) {
        // What arrives is near the oldest, so the search is short.
        if let Some(at) = self.order.iter().position(|one| one == identity) {
            self.order.remove(at);
            self.forget(identity);
        }
    }

    fn forget(&mut self, identity: &Identity) {
        if let Some(reading) = self.readings.remove(identity) {
            self.bytes = self.bytes.saturating_sub(reading.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tiny::Tiny;
    use super::*;
    use gwp_core::GroupId;

    const NOTHING: &[Tiny] = &[];

    fn shadow(readings: &[Tiny]) -> Shadow<Tiny> {
        let mut shadow = Shadow::new(1000);
        readings.iter().for_each(|reading| assert_eq!(shadow.push(reading, NOTHING), []));
        shadow
    }

    fn content(shadow: &Shadow<Tiny>) -> Vec<Tiny> {
        shadow.iter().copied().collect()
    }

    #[test]
    fn only_the_slot_that_arrived_leaves() {
        let mut ring = shadow(&[Tiny::new(1, 1), Tiny::new(2, 1), Tiny::new(3, 1)]);
        ring.arrived(&Tiny::new(2, 1));
        ring.arrived(&Tiny::new(9, 1));
        assert_eq!(content(&ring), [Tiny::new(1, 1), Tiny::new(3, 1)]);
        assert_eq!(ring.bytes(), 16);
    }

    #[test]
    fn tags_that_are_bad_in_the_record_stay_until_the_fill_is_durable() {
        let mut ring = shadow(&[Tiny::new(1, 0b11)]);
        ring.arrived(&Tiny::new(1, 0b01));
        assert_eq!(content(&ring), [Tiny::new(1, 0b10)]);
        ring.arrived(&Tiny::new(1, 0b10));
        assert!(ring.is_empty());
        assert_eq!((ring.bytes(), ring.len()), (0, 0));
    }

    #[test]
    fn a_slot_that_failed_here_too_leaves_with_the_record() {
        let mut ring = shadow(&[Tiny::new(1, 0)]);
        ring.arrived(&Tiny::new(1, 0));
        assert!(ring.is_empty());
    }

    #[test]
    fn overflow_drops_the_oldest_and_tells_the_range() {
        let mut ring = Shadow::new(16);
        assert_eq!(ring.push(&Tiny::new(1, 1), NOTHING), []);
        assert_eq!(ring.push(&Tiny::new(2, 1), NOTHING), []);
        let stream = Stream::Group(GroupId(0));
        let line = |from, upto, readings| vec![Dropped { stream, from, upto, readings }];
        assert_eq!(ring.push(&Tiny::new(3, 1), NOTHING), line(1, 1, 1));
        assert_eq!(content(&ring), [Tiny::new(2, 1), Tiny::new(3, 1)]);
        let mut none = Shadow::new(0);
        assert_eq!(none.push(&Tiny::new(4, 1), NOTHING), line(4, 4, 1), "a ring of no bytes keeps nothing");
    }

    #[test]
    fn offers_are_past_slots_that_are_good_here_and_not_there() {
        let ring = shadow(&[Tiny::new(1, 0b11), Tiny::new(2, 0b11), Tiny::new(3, 0), Tiny::new(5, 1)]);
        let log = [Tiny::new(2, 0b01), Tiny::new(3, 0), Tiny::new(4, 1)];
        assert_eq!(ring.offers(&log[..], 9), [Tiny::new(1, 0b11), Tiny::new(2, 0b10)]);
        assert_eq!(ring.offers(&log[..], 1), [Tiny::new(1, 0b11)]);
        assert_eq!(ring.len(), 4, "an offer is not an arrival");
    }

    #[test]
    fn what_the_log_holds_already_is_not_taken_in() {
        let mut ring = Shadow::new(1000);
        let log = [Tiny::new(1, 0b11), Tiny::new(2, 0b01)];
        for reading in [Tiny::new(1, 0b11), Tiny::new(2, 0b11), Tiny::new(2, 0b11)] {
            ring.push(&reading, &log[..]);
        }
        assert_eq!(content(&ring), [Tiny::new(2, 0b11)]);
        ring.clear();
        assert!(ring.is_empty());
    }
}
