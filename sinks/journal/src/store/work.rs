//! What one group commit is made of, and what it has made durable.

use super::Switch;
use crate::frame::{Content, JournalEntry};
use gwp_core::edge::DueReceipt;
use gwp_core::{Batch, Cursor, PlanId, Position, Record, SinkId};
use gwp_redundancy::mirror::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One group commit.
#[derive(Default, Debug)]
pub struct Work {
    /// In order of position.
    pub records: Vec<Arc<Record>>,
    pub blocks: Vec<Block>,
    pub delivered: BTreeMap<SinkId, Delivered>,
    pub rejected: Vec<(SinkId, Rejected)>,
    pub checkpoints: BTreeMap<SinkId, Checkpoint>,
    /// What comes with the records that name another plan.
    pub switches: Vec<Switch>,
    /// Where sources stand, by source and name.
    pub bookmarks: BTreeMap<(Arc<str>, String), Arc<[u8]>>,
}

impl Work {
    /// Nothing that asks for a commit of its own.
    pub fn only_rides(&self) -> bool {
        self.records.is_empty() && self.blocks.is_empty() && self.rejected.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.only_rides()
            && self.delivered.is_empty()
            && self.checkpoints.is_empty()
            && self.bookmarks.is_empty()
    }
}

/// Entries of one sink, in order, and how far its lane has come with them.
#[derive(Clone, Debug)]
pub struct Block {
    pub sink: SinkId,
    pub plan: PlanId,
    pub entries: Vec<LiveEntry>,
    /// The lane is complete up to here.
    pub covered: Position,
    /// A record after which the lane goes on without having computed it.
    pub passed_over: Option<PassedOver>,
}

/// A record that a lane cannot compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub at: Position,
    /// Samples of it that the sink would have been given, as far as that can be known.
    pub samples: u64,
}

/// An entry with its samples at hand, as delivery in step takes it.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    pub entry: JournalEntry,
    pub batch: Arc<Batch>,
}

/// What a destination has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub upto: Cursor,
    /// Samples acknowledged since the last report.
    pub samples: u64,
}

/// What a destination has refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub from: Cursor,
    pub upto: Cursor,
    pub samples: u64,
}

/// State of a lane at a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub position: Position,
    pub plan: PlanId,
    pub state: Vec<u8>,
}

/// What a commit has made durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// The log is durable up to here.
    pub upto: Position,
    /// Where the commit stands among all changes of the store: a peer that has this has it, too.
    pub place: Place,
    /// Blocks with the entries that were appended (not those dropped or known).
    pub blocks: Vec<Block>,
    /// Of its records, for the sources that want to know.
    pub receipts: Vec<DueReceipt>,
}

/// Samples and accounted bytes of some entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub samples: u64,
    /// Own bytes and the share of the log that references hold.
    pub bytes: u64,
    pub referenced: u64,
}

impl Size {
    pub(crate) fn of(entries: &[LiveEntry], sample_bytes: f64) -> Size {
        let mut size = Size::default();
        for live in entries {
            let samples = u64::from(live.entry.samples);
            let share = (samples as f64 * sample_bytes) as u64 + 24;
            size.samples += samples;
            size.bytes += share;
            if matches!(live.entry.content, Content::Reference { .. }) {
                size.referenced += share;
            }
        }
        size
    }
}
