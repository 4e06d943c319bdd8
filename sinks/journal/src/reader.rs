//! Readers of the log and of journals. Any number, beside the writer.

use crate::change::wire::{self, Op};
use crate::codec::{DecodeError, TagLists};
use crate::frame::{self, Content};
use crate::segments::{SharedSegments, frames_after, newest_frames};
use crate::store::{LiveEntry, StoreError};
use gwp_core::{Batch, Cursor, Fact, PlanId, Position, Record};
use std::sync::Arc;

/// Reads records in order.
pub struct LogReader {
    segments: SharedSegments,
    lists: TagLists,
    /// Records of the frame read last: references of a journal come in order too.
    recent: Vec<Arc<Record>>,
}

impl LogReader {
    pub(crate) fn new(segments: SharedSegments) -> Self {
        LogReader { segments, lists: TagLists::default(), recent: Vec::new() }
    }

    /// Another reader of the same log.
    pub fn fork(&self) -> LogReader {
        LogReader::new(self.segments.clone())
    }

    /// Committed records after a position, oldest first, about `bytes_max` stored bytes
    /// of them, each with the plan it is read under.
    ///
    /// # Errors
    /// The disk cannot be read or a frame is damaged.
    pub fn records_after(
        &mut self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(PlanId, Arc<Record>)>, StoreError> {
        let mut records = Vec::new();
        for (upto, frame) in frames_after(&self.segments, Cursor::complete(after), bytes_max)? {
            let header = frame::open_frame(&frame).map_err(|error| damaged(upto, &error))?;
            let decoded =
                frame::decode_log(&frame, after, &mut self.lists).map_err(|error| damaged(upto, &error))?;
            records.extend(decoded.into_iter().map(|record| (header.plan, record)));
        }
        Ok(records)
    }

    /// Whether all records after a position are kept still.
    ///
    /// # Errors
    /// The disk cannot be read, or its oldest frame is damaged.
    pub fn reaches(&mut self, after: Position) -> Result<bool, StoreError> {
        let oldest = self.records_after(Position::ZERO, 1)?;
        Ok(match oldest.first().map(|(_, record)| &**record) {
            None => after == Position::ZERO,
            Some(Record { position, .. }) if *position <= after.next() => true,
            Some(Record { fact: Fact::Activated { previous, .. }, .. }) => *previous <= after,
            Some(_) => false,
        })
    }

    /// The newest committed records, oldest first, of about `bytes_max` stored bytes.
    ///
    /// # Errors
    /// The same.
    pub fn newest_records(&mut self, bytes_max: usize) -> Result<Vec<(PlanId, Arc<Record>)>, StoreError> {
        let mut records = Vec::new();
        for frame in newest_frames(&self.segments, bytes_max)? {
            records.extend(
                records_of(&frame, &mut self.lists)
                    .map_err(|error| StoreError::Damaged(error.to_string()))?,
            );
        }
        Ok(records)
    }

    /// The samples of one record.
    fn samples_at(&mut self, position: Position) -> Result<Arc<Batch>, StoreError> {
        let inside = self.recent.first().is_some_and(|first| first.position <= position)
            && self.recent.last().is_some_and(|last| last.position >= position);
        if !inside {
            let before = Cursor::new(position, 0);
            self.recent.clear();
            if let Some((upto, frame)) = frames_after(&self.segments, before, 1)?.into_iter().next() {
                self.recent = frame::decode_log(&frame, Position::ZERO, &mut self.lists)
                    .map_err(|error| damaged(upto, &error))?;
            }
        }
        let found = self.recent.binary_search_by_key(&position, |record| record.position);
        match found.map(|index| &self.recent[index].fact) {
            Ok(Fact::Samples { batch, .. }) => Ok(batch.clone()),
            _ => Err(StoreError::Damaged(format!("the log does not hold the samples of {position}"))),
        }
    }
}

/// The records of a frame of the log, each with the plan it is read under.
fn records_of(
    frame: &[u8],
    lists: &mut TagLists,
) -> Result<impl Iterator<Item = (PlanId, Arc<Record>)>, DecodeError> {
    let plan = frame::open_frame(frame)?.plan;
    Ok(frame::decode_log(frame, Position::ZERO, lists)?.into_iter().map(move |record| (plan, record)))
}

/// The records that a change on its way to a copy adds to the log, each with the plan it is read under.
///
/// # Errors
/// The change is damaged.
pub fn records_of_change(
    change: &[u8],
    lists: &mut TagLists,
) -> Result<Vec<(PlanId, Arc<Record>)>, DecodeError> {
    let mut records = Vec::new();
    for op in wire::open_frame(change)?.ops() {
        if let Op::Insert { keyspace, value, .. } = op
            && keyspace.starts_with("log.")
        {
            records.extend(records_of(value, lists)?);
        }
    }
    Ok(records)
}

/// Facts that are in no log here, on their way to one: in the form of a frame of the log, with no positions of their
/// own. They must be numbered by `plan`, and not be none.
pub fn encode_facts(plan: PlanId, facts: &[Fact]) -> Vec<u8> {
    let numbered = (1u64..).zip(facts);
    let records: Vec<Arc<Record>> = numbered
        .map(|(seq, fact)| Arc::new(Record { position: Position::new(0, seq), fact: fact.clone() }))
        .collect();
    frame::encode_log(plan, &records)
}

/// Reads what [`encode_facts`] wrote, with the plan that numbers it.
///
/// # Errors
/// The bytes are damaged.
pub fn decode_facts(bytes: &[u8]) -> Result<(PlanId, Vec<Fact>), DecodeError> {
    let plan = frame::open_frame(bytes)?.plan;
    let records = frame::decode_log(bytes, Position::ZERO, &mut TagLists::default())?;
    Ok((plan, records.into_iter().map(|record| Arc::unwrap_or_clone(record).fact).collect()))
}

/// Reads the entries of one sink in order, with their samples.
pub struct JournalReader {
    segments: SharedSegments,
    log: LogReader,
    lists: TagLists,
}

impl JournalReader {
    pub(crate) fn new(segments: SharedSegments, log: LogReader) -> Self {
        JournalReader { segments, log, lists: TagLists::default() }
    }

    /// Another reader of the same journal.
    pub fn fork(&self) -> JournalReader {
        JournalReader::new(self.segments.clone(), self.log.fork())
    }

    /// Committed entries after a cursor, oldest first, until about `bytes_max` bytes of
    /// samples are read.
    ///
    /// # Errors
    /// The disk cannot be read, a frame is damaged, or a reference leads nowhere.
    pub fn entries_after(
        &mut self,
        after: Cursor,
        bytes_max: usize,
    ) -> Result<Vec<(PlanId, LiveEntry)>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut at = after;
        while bytes < bytes_max {
            // One frame at a time: a frame of references is small and stands for much.
            let Some((upto, frame)) = frames_after(&self.segments, at, 1)?.into_iter().next() else {
                break;
            };
            let (plan, decoded) =
                frame::decode_journal(&frame, at, &mut self.lists).map_err(|error| damaged(upto, &error))?;
            at = upto;
            for entry in decoded {
                let batch = match &entry.content {
                    Content::Values(batch) => batch.clone(),
                    Content::Reference { bits } => {
                        let whole = self.log.samples_at(entry.cursor.position)?;
                        match bits {
                            None => whole,
                            Some(bits) => Arc::new(select(&whole, bits)),
                        }
                    }
                };
                bytes += batch.bytes();
                entries.push((plan, LiveEntry { entry, batch }));
            }
        }
        Ok(entries)
    }
}

impl JournalReader {
    /// Steps over the next frame without reading its samples: its last cursor and how many there are.
    ///
    /// # Errors
    /// The disk cannot be read or the frame is damaged.
    pub fn skip_frame(&mut self, after: Cursor) -> Result<Option<(Cursor, u32)>, StoreError> {
        let Some((upto, frame)) = frames_after(&self.segments, after, 1)?.into_iter().next() else {
            return Ok(None);
        };
        let header = frame::open_frame(&frame).map_err(|error| damaged(upto, &error))?;
        Ok(Some((upto, header.samples)))
    }
}

/// The samples of a record whose bit is set, least significant bit first.
fn select(batch: &Batch, bits: &[u8]) -> Batch {
    let set = |index: &u32| bits.get(*index as usize / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
    let indexes: Vec<u32> = (0..batch.len() as u32).filter(set).collect();
    let tags = indexes.iter().map(|&index| batch.tags[index as usize]).collect();
    Batch { group: gwp_core::GroupId::NONE, ..batch.select(&indexes, tags) }
}

fn damaged(at: Cursor, error: &DecodeError) -> StoreError {
    StoreError::Damaged(format!("frame {at}: {error}"))
}

/// Reads plans the store keeps; any number, beside the writer.
#[derive(Clone)]
pub struct PlanReader {
    meta: fjall::Keyspace,
}

impl PlanReader {
    pub(crate) fn new(meta: fjall::Keyspace) -> Self {
        PlanReader { meta }
    }

    /// Bytes of a kept plan.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn get(&self, id: PlanId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(crate::store::plan_key(id))?.map(|bytes| bytes.to_vec()))
    }
}
