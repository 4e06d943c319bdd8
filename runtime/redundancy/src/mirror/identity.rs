//! When two readings are the same: the rule for fill, takeover and rejoin.
//!
//! A polled reading is (poll group, slot number), and within it the tags that are good. A
//! device-stamped sample is (tag, time, value, quality). Never the repeat number of a sample:
//! each node's sequencer gives its own.

use gwp_core::{GroupId, Quality, TagId, Timestamp, Value};
use std::fmt::Debug;
use std::hash::Hash;

/// What makes a reading the same one, whichever node has read it.
///
/// Tags and groups are meant by the plan in force; both nodes have the same, or are no pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Identity {
    /// A due slot of a poll group, on the grid that both nodes share.
    Slot { group: GroupId, number: u64 },
    /// One sample stamped by its device; `content` is [`content_hash`] of value and quality.
    Event { tag: TagId, time: Timestamp, content: u64 },
}

/// What has an order of its own: a poll group or a tag stamped by its device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stream {
    Group(GroupId),
    Tag(TagId),
}

impl Identity {
    pub const fn stream(&self) -> Stream {
        match self {
            Identity::Slot { group, .. } => Stream::Group(*group),
            Identity::Event { tag, .. } => Stream::Tag(*tag),
        }
    }

    /// Order within the stream: the slot number, or nanoseconds of the device's time.
    pub const fn order(&self) -> i64 {
        match self {
            // Slot numbers are time / period: they fit for any time that a Timestamp can hold.
            Identity::Slot { number, .. } => *number as i64,
            Identity::Event { time, .. } => time.0,
        }
    }
}

/// A set of tags of one reading.
pub trait TagSet: Clone + Eq + Hash + Debug + Default {
    fn is_empty(&self) -> bool;
    /// The tags of this set that are not in `other`.
    fn minus(&self, other: &Self) -> Self;
    /// The tags of both sets.
    fn plus(&self, other: &Self) -> Self;
}

/// Tags by number, ascending and each once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TagList(Vec<TagId>);

impl FromIterator<TagId> for TagList {
    fn from_iter<I: IntoIterator<Item = TagId>>(tags: I) -> TagList {
        let mut list: Vec<TagId> = tags.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        TagList(list)
    }
}

impl TagList {
    pub fn as_slice(&self) -> &[TagId] {
        &self.0
    }
}

impl TagSet for TagList {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn minus(&self, other: &TagList) -> TagList {
        TagList(self.0.iter().copied().filter(|tag| other.0.binary_search(tag).is_err()).collect())
    }

    fn plus(&self, other: &TagList) -> TagList {
        self.0.iter().chain(&other.0).copied().collect()
    }
}

/// What the rules need to know of a reading: a record's samples, or a piece of them.
///
/// A polled batch is one reading. An unsolicited batch is as many readings as it has samples,
/// since each has an identity of its own.
pub trait Reading: Clone + Eq + Hash + Debug {
    type Good: TagSet;

    fn identity(&self) -> Identity;

    /// Tags it has a good value of. Uncertain counts as not good, so that the peer's good
    /// value is added beside it.
    fn good(&self) -> Self::Good;

    /// The same reading with these tags alone: what a fill carries.
    fn keep(&self, tags: &Self::Good) -> Self;

    /// True if it may be older than what was delivered before it.
    fn is_backfill(&self) -> bool;

    /// The same reading, flagged.
    fn flagged(self) -> Self;

    /// Bytes it takes in memory, roughly.
    fn bytes(&self) -> usize;
}

/// 64-bit FNV-1a of a value and its quality, the part of an event's identity that is not its
/// tag or time. Floats count by their bits, so that a NaN equals itself.
pub fn content_hash(value: &Value, quality: Quality) -> u64 {
    let eat = |hash: u64, bytes: &[u8]| {
        bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
    };
    let hash = eat(0xCBF2_9CE4_8422_2325, &quality.0.to_le_bytes());
    let hash = eat(hash, &[value.kind() as u8]);
    match value {
        Value::Nothing => hash,
        Value::Bool(v) => eat(hash, &[u8::from(*v)]),
        Value::Int(v) => eat(hash, &v.to_le_bytes()),
        Value::UInt(v) => eat(hash, &v.to_le_bytes()),
        Value::Float(v) => eat(hash, &v.to_bits().to_le_bytes()),
        Value::Text(v) => eat(hash, v.as_bytes()),
        Value::Bytes(v) => eat(hash, v),
        Value::Time(v) => eat(hash, &v.0.to_le_bytes()),
    }
}

/// A reading of one poll group for the tests of the rules: a slot and a bit for each good tag.
#[cfg(test)]
pub mod tiny {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Tiny {
        pub slot: u8,
        pub good: Bits,
        pub backfill: bool,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Bits(pub u8);

    impl TagSet for Bits {
        fn is_empty(&self) -> bool {
            self.0 == 0
        }
        fn minus(&self, other: &Bits) -> Bits {
            Bits(self.0 & !other.0)
        }
        fn plus(&self, other: &Bits) -> Bits {
            Bits(self.0 | other.0)
        }
    }

    impl Tiny {
        pub const fn new(slot: u8, good: u8) -> Tiny {
            Tiny { slot, good: Bits(good), backfill: false }
        }
    }

    impl Reading for Tiny {
        type Good = Bits;
        fn identity(&self) -> Identity {
            Identity::Slot { group: GroupId(0), number: u64::from(self.slot) }
        }
        fn good(&self) -> Bits {
            self.good
        }
        fn keep(&self, tags: &Bits) -> Tiny {
            Tiny { good: Bits(self.good.0 & tags.0), ..*self }
        }
        fn is_backfill(&self) -> bool {
            self.backfill
        }
        fn flagged(self) -> Tiny {
            Tiny { backfill: true, ..self }
        }
        fn bytes(&self) -> usize {
            8
        }
    }

    /// A sample of one tag stamped by its device.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Stamped {
        pub tag: u32,
        pub time: i64,
        pub content: u64,
        pub backfill: bool,
    }

    impl Reading for Stamped {
        type Good = Bits;
        fn identity(&self) -> Identity {
            Identity::Event { tag: TagId(self.tag), time: Timestamp(self.time), content: self.content }
        }
        fn good(&self) -> Bits {
            Bits(1)
        }
        fn keep(&self, _: &Bits) -> Stamped {
            *self
        }
        fn is_backfill(&self) -> bool {
            self.backfill
        }
        fn flagged(self) -> Stamped {
            Stamped { backfill: true, ..self }
        }
        fn bytes(&self) -> usize {
            8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_differs_by_kind_value_and_quality_and_a_nan_equals_itself() {
        let contents = [
            content_hash(&Value::Int(1), Quality::GOOD),
            content_hash(&Value::UInt(1), Quality::GOOD),
            content_hash(&Value::Int(1), Quality::UNCERTAIN),
            content_hash(&Value::Int(2), Quality::GOOD),
            content_hash(&Value::Nothing, Quality::GOOD),
            content_hash(&Value::Float(0.0), Quality::GOOD),
            content_hash(&Value::Float(-0.0), Quality::GOOD),
        ];
        for (i, one) in contents.iter().enumerate() {
            assert!(contents[i + 1..].iter().all(|other| other != one), "{i}");
        }
        let nan = Value::Float(f64::NAN);
        assert_eq!(content_hash(&nan, Quality::GOOD), content_hash(&nan.clone(), Quality::GOOD));
    }

    #[test]
    fn tag_lists_are_sets() {
        let of = |tags: &[u32]| tags.iter().copied().map(TagId).collect::<TagList>();
        assert_eq!(of(&[3, 1, 3]), of(&[1, 3]));
        assert_eq!(of(&[1, 2, 3]).minus(&of(&[2, 9])), of(&[1, 3]));
        assert_eq!(of(&[1]).plus(&of(&[0, 1])).as_slice(), [TagId(0), TagId(1)]);
        assert!(of(&[1]).minus(&of(&[1])).is_empty());
    }

    #[test]
    fn an_event_is_ordered_by_the_devices_time_in_the_stream_of_its_tag() {
        let event = Identity::Event { tag: TagId(4), time: Timestamp(-5), content: 1 };
        assert_eq!((event.stream(), event.order()), (Stream::Tag(TagId(4)), -5));
        let slot = Identity::Slot { group: GroupId(4), number: 12 };
        assert_eq!((slot.stream(), slot.order()), (Stream::Group(GroupId(4)), 12));
    }
}
