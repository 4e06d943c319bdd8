//! What is known of each tag: what it said last, so that nothing comes twice and a value that did not change over
//! an outage is good again.
//!
//! After a break tags are `bad(comm_lost)` from a moment of the gateway's clock on; at the start nothing is known of
//! them. A value that has been the same
//! since long before has an older time stamp of its source; as it is said anew by the server it is stamped anew,
//! behind that moment. What happened before that moment and is told now, by a notification that was kept or by
//! history, keeps its own time and makes nothing good. Pure: `now` is an argument.

use crate::value::Reading;
use gwp_core::batch::Times;
use gwp_core::{Batch, Column, GroupId, Qualities, Quality, TagId, Timestamp, Value};
use std::collections::BTreeMap;

/// Whose clock stamps samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamp {
    /// The source's, else the server's, else that of arrival.
    Device,
    /// That of arrival.
    Arrival,
}

/// One tag of the source.
#[derive(Clone, Debug)]
struct Known {
    tag: TagId,
    group: GroupId,
    /// As the server sent it last.
    last: Option<Reading>,
    /// Since when it is bad because of the connection.
    broken: Option<Timestamp>,
    /// It is so only because nothing is known of it: no bad sample has said so, and what history knows is enough.
    is_unknown: bool,
    /// History has told what happened up to then.
    told_upto: Option<Timestamp>,
}

/// When what is told has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// It is so now.
    Now,
    /// It was so at the time of its source.
    Then,
}

/// All tags of the source, by number.
#[derive(Clone, Debug)]
pub struct Tags {
    known: Vec<Known>,
    stamp: Stamp,
}

/// Samples of one or more tags on their way out.
#[derive(Debug, Default)]
pub struct Samples {
    groups: BTreeMap<GroupId, Vec<(TagId, Timestamp, Value, Quality)>>,
    /// Bytes of texts.
    pub payload: usize,
    /// Newest time of a source, whatever they are stamped with.
    pub newest: Option<Timestamp>,
}

impl Tags {
    /// Tags with their groups, in the order of their numbers.
    pub fn new(tags: impl IntoIterator<Item = (TagId, GroupId)>, stamp: Stamp) -> Tags {
        let known =
            |(tag, group)| Known { tag, group, last: None, broken: None, is_unknown: false, told_upto: None };
        Tags { known: tags.into_iter().map(known).collect(), stamp }
    }

    /// All tags turn bad because the connection is gone.
    pub fn break_off(&mut self, now: Timestamp) {
        for known in &mut self.known {
            (known.broken, known.is_unknown) = (Some(now), false);
        }
    }

    /// Nothing is known of a tag: what comes of it is told as what is so now.
    pub fn is_unknown(&mut self, tag: usize, now: Timestamp) {
        if let Some(known) = self.known.get_mut(tag).filter(|known| known.broken.is_none()) {
            (known.broken, known.is_unknown) = (Some(now), true);
        }
    }

    /// What a tag is now counts, whatever history has told.
    pub fn history_is_over(&mut self, tag: usize) {
        if let Some(known) = self.known.get_mut(tag) {
            known.told_upto = None;
        }
    }

    /// Whether a tag is still bad because of the connection.
    pub fn is_broken(&self, tag: usize) -> bool {
        self.known.get(tag).is_some_and(|known| known.broken.is_some())
    }

    /// The source's time of what a tag said last.
    pub fn source_time(&self, tag: usize) -> Option<Timestamp> {
        self.known.get(tag)?.last.as_ref()?.source_time
    }

    /// Takes a value of history: what is reported up to its time has been told by it.
    pub fn take_past(&mut self, tag: usize, reading: Reading, now: Timestamp, samples: &mut Samples) {
        let upto = reading.source_time;
        self.take(tag, reading, (Told::Then, now), samples);
        if let Some(known) = self.known.get_mut(tag) {
            known.told_upto = known.told_upto.max(upto);
            if std::mem::take(&mut known.is_unknown) {
                known.broken = None;
            }
        }
    }

    /// Takes what came for a tag; nothing is added when it came before.
    pub fn take(
        &mut self,
        tag: usize,
        reading: Reading,
        (told, now): (Told, Timestamp),
        samples: &mut Samples,
    ) {
        let Some(known) = self.known.get_mut(tag) else { return };
        let is_same = known.last.as_ref().is_some_and(|last| {
            last.source_time == reading.source_time
                && last.value == reading.value
                && last.quality == reading.quality
        });
        // Without a time of its source the same value may be a new one.
        let is_known = is_same && (reading.source_time.is_some() || reading.quality.is_bad());
        if is_known && (known.broken.is_none() || told == Told::Then) {
            return;
        }
        // History has had it, unless it is what a tag that is still bad is now.
        if known.told_upto.is_some_and(|upto| reading.source_time.is_some_and(|time| time <= upto))
            && !is_same
        {
            return;
        }
        let own = match self.stamp {
            Stamp::Device => reading.source_time.or(reading.server_time).unwrap_or(now),
            Stamp::Arrival => now,
        };
        let time = match known.broken {
            Some(since) if own <= since && told == Told::Now => match self.stamp {
                Stamp::Device => reading.server_time.filter(|time| *time > since).unwrap_or(now),
                Stamp::Arrival => now,
            }
            .max(since.plus(1)),
            _ => own,
        };
        // A clock that runs ahead tells nothing of what is still to come.
        samples.newest = samples.newest.max(reading.source_time.filter(|time| *time <= now));
        known.told_upto = known.told_upto.filter(|upto| reading.source_time.is_none_or(|time| time <= *upto));
        known.broken = known.broken.filter(|since| told == Told::Then && own <= *since);
        samples.push(known.group, known.tag, time, reading.value.clone(), reading.quality);
        known.last = Some(reading);
    }
}

impl Samples {
    fn push(&mut self, group: GroupId, tag: TagId, time: Timestamp, value: Value, quality: Quality) {
        self.payload += match &value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        self.groups.entry(group).or_default().push((tag, time, value, quality));
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// One batch per group, each in the order of arrival.
    pub fn into_batches(self) -> Vec<Batch> {
        self.groups.into_iter().map(|(group, samples)| batch(group, samples)).collect()
    }
}

fn batch(group: GroupId, samples: Vec<(TagId, Timestamp, Value, Quality)>) -> Batch {
    let len = samples.len();
    let tags = samples.iter().map(|(tag, ..)| *tag).collect();
    let mut values = Column::with_capacity(len);
    let mut times = Vec::with_capacity(len);
    let mut qualities = Qualities::Same(Quality::GOOD);
    for (index, (_, time, value, quality)) in samples.into_iter().enumerate() {
        values.push(value);
        times.push(time);
        qualities.set(index, quality, len);
    }
    let first = times.first().copied().unwrap_or_default();
    let mut batch = Batch::uniform(group, tags, first, values);
    if times.iter().any(|time| *time != first) {
        batch.times = Times::Each(times);
    }
    batch.qualities = qualities;
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(0);

    fn tags(stamp: Stamp) -> Tags {
        Tags::new([(TagId(7), GROUP), (TagId(8), GroupId(1))], stamp)
    }

    fn reading(value: i64, source: i64) -> Reading {
        let source_time = Some(Timestamp(source));
        Reading { value: Value::Int(value), quality: Quality::GOOD, source_time, server_time: None }
    }

    fn take(tags: &mut Tags, reading: Reading, now: i64) -> Option<(i64, Value)> {
        let mut samples = Samples::default();
        tags.take(0, reading, (Told::Now, Timestamp(now)), &mut samples);
        let batch = samples.into_batches().pop()?;
        Some((batch.times.get(0).0, batch.values.get(0)))
    }

    #[test]
    fn what_came_before_does_not_come_again() {
        let mut tags = tags(Stamp::Device);
        assert_eq!(take(&mut tags, reading(1, 100), 200), Some((100, Value::Int(1))));
        assert_eq!(take(&mut tags, reading(1, 100), 300), None);
        assert_eq!(take(&mut tags, reading(2, 100), 300), Some((100, Value::Int(2))), "another value");
        assert_eq!(take(&mut tags, reading(2, 101), 300), Some((101, Value::Int(2))), "another time");
        let timeless = Reading { source_time: None, ..reading(3, 0) };
        assert!(take(&mut tags, timeless.clone(), 400).is_some());
        assert!(take(&mut tags, timeless, 401).is_some());
        let gone = Reading::bad(Quality::UNKNOWN_ADDRESS);
        assert!(take(&mut tags, gone.clone(), 500).is_some());
        assert!(take(&mut tags, gone, 501).is_none(), "it is still unknown");
    }

    #[test]
    fn after_an_outage_a_value_that_did_not_change_is_good_again_and_newer() {
        let mut tags = tags(Stamp::Device);
        take(&mut tags, reading(1, 100), 200);
        tags.break_off(Timestamp(1_000));
        assert!(tags.is_broken(0));
        assert_eq!(take(&mut tags, reading(1, 100), 2_000), Some((2_000, Value::Int(1))));
        assert_eq!(take(&mut tags, reading(1, 100), 2_100), None);
        tags.break_off(Timestamp(3_000));
        let verified = Reading { server_time: Some(Timestamp(3_500)), ..reading(1, 100) };
        assert_eq!(take(&mut tags, verified, 4_000), Some((3_500, Value::Int(1))));
        tags.break_off(Timestamp(5_000));
        assert_eq!(take(&mut tags, reading(2, 5_500), 6_000), Some((5_500, Value::Int(2))), "its own time");
        tags.break_off(Timestamp(7_000));
        assert_eq!(take(&mut tags, reading(2, 5_500), 6_500), Some((7_001, Value::Int(2))), "never before");
    }

    #[test]
    fn what_happened_before_a_break_keeps_its_time_and_makes_nothing_good() {
        let mut tags = tags(Stamp::Device);
        let at = |tags: &mut Tags, told, reading: Reading, now| {
            let mut samples = Samples::default();
            tags.take(0, reading, (told, Timestamp(now)), &mut samples);
            samples.into_batches().pop().map(|batch| (batch.times.get(0).0, batch.values.get(0)))
        };
        assert_eq!(at(&mut tags, Told::Now, reading(1, 100), 150), Some((100, Value::Int(1))));
        tags.break_off(Timestamp(1_000));
        assert_eq!(at(&mut tags, Told::Then, reading(2, 900), 2_000), Some((900, Value::Int(2))));
        assert!(tags.is_broken(0));
        assert_eq!(at(&mut tags, Told::Then, reading(2, 900), 2_001), None, "it came before");
        assert_eq!(
            at(&mut tags, Told::Now, reading(2, 900), 2_002),
            Some((2_002, Value::Int(2))),
            "and is so now"
        );
        tags.break_off(Timestamp(3_000));
        assert_eq!(at(&mut tags, Told::Then, reading(3, 3_500), 4_000), Some((3_500, Value::Int(3))));
        assert!(!tags.is_broken(0), "it happened after the break");
    }

    #[test]
    fn what_history_has_told_is_not_told_again() {
        let mut tags = tags(Stamp::Device);
        tags.break_off(Timestamp(1_000));
        let mut samples = Samples::default();
        for (value, time) in [(1, 500), (2, 600), (3, 700)] {
            tags.take_past(0, reading(value, time), Timestamp(2_000), &mut samples);
        }
        assert_eq!(samples.into_batches().iter().map(Batch::len).sum::<usize>(), 3);
        assert_eq!(take(&mut tags, reading(2, 600), 2_001), None, "of the queue of the server");
        assert_eq!(take(&mut tags, reading(3, 700), 2_002), Some((2_002, Value::Int(3))), "as it is now");
        assert_eq!(take(&mut tags, reading(4, 800), 2_003), Some((800, Value::Int(4))), "newer");
    }

    #[test]
    fn arrival_stamps_when_the_gateways_clock_is_wanted() {
        let mut tags = tags(Stamp::Arrival);
        assert_eq!(take(&mut tags, reading(1, 100), 200), Some((200, Value::Int(1))));
        assert_eq!(take(&mut tags, reading(1, 100), 300), None);
    }

    #[test]
    fn samples_go_in_one_batch_per_group() {
        let mut tags = tags(Stamp::Device);
        let mut samples = Samples::default();
        tags.take(0, reading(1, 10), (Told::Now, Timestamp(50)), &mut samples);
        tags.take(1, reading(2, 11), (Told::Now, Timestamp(50)), &mut samples);
        tags.take(0, reading(3, 12), (Told::Now, Timestamp(50)), &mut samples);
        let batches = samples.into_batches();
        assert_eq!(batches.len(), 2);
        assert_eq!(&batches[0].tags[..], [TagId(7), TagId(7)]);
        assert_eq!((batches[0].times.get(0), batches[0].times.get(1)), (Timestamp(10), Timestamp(12)));
        assert_eq!(&batches[1].tags[..], [TagId(8)]);
    }
}
