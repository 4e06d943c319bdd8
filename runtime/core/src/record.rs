//! Records of the input log: every fact that cannot be computed.
//!
//! Operators are pure functions of (state, record), so restart, replay,
//! standby and test all run the same records and give the same bytes.

use crate::{Batch, GroupId, PlanId, Position, Quality, Timestamp};
use std::sync::Arc;

/// A numbered fact. The sequencer gives the position; nothing renumbers it later.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub position: Position,
    pub fact: Fact,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// First record of every epoch. `running_hash` chains the epochs: CRC-32C is kept
    /// per frame, this is the hash over all frames before.
    Activated { previous: Position, running_hash: u64, anchor: Timestamp },
    /// Records from here on are read under this plan.
    Configured { plan: PlanId },
    /// Gateway time: a registered due time has passed, or a second has.
    Tick { now: Timestamp },
    /// The gateway's time was moved: forward when it was behind UTC, back only by an operator.
    Anchor { now: Timestamp },
    /// A due slot of a poll group, or unsolicited samples. A slot in which reading
    /// failed for the first time carries its tags with a bad quality.
    Samples { slot: SlotMark, batch: Arc<Batch> },
    /// A due slot of a poll group that failed like the one before it: no new samples.
    Failed { group: GroupId, slot: SlotMark, time: Timestamp, why: Quality },
}

/// Which scan slot a record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SlotMark {
    /// Slot number on the group's grid (time / period); 0 for samples without a slot.
    pub number: u64,
    /// Slots of the group skipped since its record before this one.
    pub skipped: u32,
}

impl Record {
    /// Samples it carries.
    pub fn samples(&self) -> usize {
        match &self.fact {
            Fact::Samples { batch, .. } => batch.len(),
            _ => 0,
        }
    }

    /// Bytes it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        match &self.fact {
            Fact::Samples { batch, .. } => 64 + batch.bytes(),
            _ => 64,
        }
    }
}
