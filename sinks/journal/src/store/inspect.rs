//! Reading all of a store: to check it, and to learn how far its time has come.

use super::{Store, StoreError};
use crate::codec::TagLists;
use crate::frame;
use gwp_core::{Fact, Position, Timestamp};

/// What [`Store::verify`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    /// Samples of those records.
    pub samples: u64,
    /// Journal entries that wait for delivery.
    pub entries: u64,
    /// Samples of those entries.
    pub pending: u64,
}

/// Bytes read in one go while verifying.
const VERIFY_BYTES: usize = 1 << 20;

impl Store {
    /// Reads every frame of the log and every entry that waits, with its samples.
    ///
    /// # Errors
    /// The first damaged frame or broken reference.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let mut log = self.log_reader();
        let mut at = Position::ZERO;
        loop {
            let records = log.records_after(at, VERIFY_BYTES)?;
            let Some((_, last)) = records.last() else { break };
            if let Some(pair) = records.windows(2).find(|pair| pair[1].1.position <= pair[0].1.position) {
                let position = pair[1].1.position;
                return Err(StoreError::Damaged(format!("record {position} stands out of order")));
            }
            at = last.position;
            verified.records += records.len() as u64;
            verified.samples += records.iter().map(|(_, record)| record.samples() as u64).sum::<u64>();
        }
        for sink in self.sinks.values() {
            let Some(mut reader) = self.journal_reader(sink.id) else { continue };
            let mut at = sink.floor();
            loop {
                let entries = reader.entries_after(at, VERIFY_BYTES)?;
                let Some((_, last)) = entries.last() else { break };
                at = last.entry.cursor;
                verified.entries += entries.len() as u64;
                verified.pending += entries.iter().map(|(_, live)| live.batch.len() as u64).sum::<u64>();
            }
        }
        Ok(verified)
    }

    /// Newest time in the log: gateway time never goes back behind it.
    ///
    /// # Errors
    /// One of the newest frames is damaged.
    pub fn last_time(&self) -> Result<Option<Timestamp>, StoreError> {
        // The newest frame may hold nothing but samples with times of the device.
        for segment in self.log.list().into_iter().rev() {
            for guard in segment.keyspace.iter().rev() {
                let records = frame::decode_log(&guard.value()?, Position::ZERO, &mut TagLists::default())
                    .map_err(|error| StoreError::Damaged(error.to_string()))?;
                let newest = records.iter().filter_map(|record| newest_time(&record.fact)).max();
                if newest.is_some() {
                    return Ok(newest);
                }
            }
        }
        Ok(None)
    }
}

fn newest_time(fact: &Fact) -> Option<Timestamp> {
    match fact {
        Fact::Activated { anchor: time, .. } | Fact::Tick { now: time } | Fact::Anchor { now: time } => {
            Some(*time)
        }
        Fact::Failed { time, .. } => Some(*time),
        // Times the device gave may be anything; slot times are the gateway's own.
        Fact::Samples { batch, .. } => match batch.times {
            gwp_core::Times::Same(time) if batch.group != gwp_core::GroupId::NONE => Some(time),
            _ => None,
        },
        Fact::Configured { .. } => None,
    }
}
