//! Giving space back: trimming the log and journals, and copying what only
//! references hold.
//!
//! A segment of the log lives until no lane's checkpoint and no pending
//! reference needs it. When only references hold it and they are worth less
//! than half of its bytes (or the log is at its bound), the referenced samples
//! are copied by value under the same journal keys and the segment goes. So
//! references hold at most twice what the journals' capacities allow.

use crate::frame::{Content, JournalEntry, encode_journal};
use crate::limits::COPY_BYTES_MAX;
use crate::segments::Segment;
use crate::sinks::is_reference;
use crate::store::{Store, StoreError};
use gwp_core::{Cursor, Position, SinkId, Timestamp};

/// What housekeeping found to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trimmed {
    pub segments: usize,
    /// A chunk was copied by value: there may be more to do at once.
    pub copied: bool,
}

impl Store {
    /// One small step of housekeeping: deletes what nothing needs and, unless the disk is
    /// `low`, copies at most one chunk. `log_bytes_max` is the bound of the log.
    ///
    /// # Errors
    /// The disk refused.
    pub fn trim(&mut self, log_bytes_max: u64, now: Timestamp, low: bool) -> Result<Trimmed, StoreError> {
        let mut trimmed = Trimmed::default();
        let needed = self.needed_from.values().copied().min().unwrap_or(self.durable());
        let sinks = &self.sinks;
        let mut change = self.trail.begin();
        trimmed.segments += self.log.trim(&mut change, |segment| {
            segment.upto.position <= needed && sinks.values().all(|sink| sink.references(segment.number) == 0)
        });
        for sink in self.sinks.values_mut() {
            let floor = sink.floor();
            trimmed.segments += sink.segments.trim(&mut change, |segment| segment.upto <= floor);
        }
        self.trail.commit(change)?;
        self.drop_by_age(now)?;
        // Copying writes before it gives back: not without room.
        if !low && let Some((sink, chunk)) = self.chunk_to_copy(needed, log_bytes_max) {
            self.copy_chunk(sink, chunk)?;
            trimmed.copied = true;
        }
        // A lane that waits for its journal must not hold the log beyond its bound.
        let over = self.log.bytes() > log_bytes_max;
        let below = self.log.bytes() < log_bytes_max / 10 * 8;
        for sink in self.sinks.values_mut() {
            if over || below {
                sink.refuse_when_full = over;
                sink.publish();
            }
        }
        Ok(trimmed)
    }

    /// Gateway time stepped forward: what waits was written that much later than it seems.
    /// Without this a node that starts with an old clock would drop its journals as too old
    /// in the moment it learns the time.
    pub(crate) fn clock_stepped(&mut self, ns: i64) {
        for sink in self.sinks.values_mut() {
            for chunk in &mut sink.chunks {
                chunk.written = chunk.written.plus(ns);
            }
            sink.store_all_chunks();
        }
    }

    /// Age counts also while nothing is appended.
    fn drop_by_age(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // Synced, because what it drops may be deleted next: a chunk must not come back after that.
        let mut change = self.trail.begin();
        let mut any = false;
        for sink in self.sinks.values_mut() {
            sink.drop_what_must_go(&mut change, &self.meta, &mut self.ledger, now);
            any |= sink.changed;
            sink.put_state(&mut change, &self.meta);
        }
        if any {
            self.trail.commit(change)?;
            self.sinks.values().for_each(crate::sinks::SinkJournal::publish);
        }
        Ok(())
    }

    /// The oldest chunk whose references should become values: its log segment is closed,
    /// no lane needs it, and it is held for too little.
    fn chunk_to_copy(&self, needed: Position, log_bytes_max: u64) -> Option<(SinkId, usize)> {
        let segments = self.log.list();
        let (_, closed) = segments.split_last()?;
        let at_bound = self.log.bytes() > log_bytes_max;
        let wasteful = |segment: &&Segment| {
            let held: u64 = self.sinks.values().map(|sink| sink.references(segment.number)).sum();
            held > 0 && segment.upto.position <= needed && (at_bound || held * 2 < segment.bytes)
        };
        let segment = closed.iter().find(wasteful)?;
        self.sinks.values().find_map(|sink| {
            let chunk = sink
                .chunks
                .iter()
                .position(|chunk| chunk.log_segment == segment.number && chunk.referenced > 0)?;
            Some((sink.id, chunk))
        })
    }

    /// Rewrites the frames of one chunk with their samples by value. A large chunk takes
    /// several steps; it holds its segment of the log until the last of them.
    fn copy_chunk(&mut self, id: SinkId, index: usize) -> Result<(), StoreError> {
        let Some(mut reader) = self.journal_reader(id) else { return Ok(()) };
        let Some(sink) = self.sinks.get_mut(&id) else { return Ok(()) };
        let Some(chunk) = sink.chunks.get(index).cloned() else { return Ok(()) };
        let mut at = sink.floor().max(before(chunk.from));
        let mut change = self.trail.begin();
        let mut copied = 0;
        while at < chunk.upto && copied < COPY_BYTES_MAX {
            let read = reader.entries_after(at, 1)?;
            let Some((plan, last)) = read.last().map(|(plan, live)| (*plan, live.entry.cursor)) else {
                break;
            };
            if read.iter().any(|(_, live)| is_reference(&live.entry)) {
                let entries: Vec<JournalEntry> = read
                    .into_iter()
                    .map(|(_, live)| JournalEntry { content: Content::Values(live.batch), ..live.entry })
                    .collect();
                copied += entries.iter().map(content_bytes).sum::<usize>();
                let home = sink.segments.list().into_iter().find(|segment| segment.upto >= last);
                if let Some(home) = home {
                    change.insert(&home.keyspace, last.to_bytes(), encode_journal(plan, &entries));
                }
            }
            at = last;
        }
        if copied < COPY_BYTES_MAX
            && let Some(chunk) = sink.chunks.get_mut(index)
        {
            chunk.referenced = 0;
            sink.put_chunk(&mut change, &self.meta, index);
        }
        self.trail.commit(change)
    }
}

fn content_bytes(entry: &JournalEntry) -> usize {
    match &entry.content {
        Content::Values(batch) => batch.bytes(),
        Content::Reference { .. } => 0,
    }
}

/// A cursor just before another one.
fn before(cursor: Cursor) -> Cursor {
    match cursor.part {
        0 => Cursor::complete(Position { seq: cursor.position.seq.saturating_sub(1), ..cursor.position }),
        part => Cursor::new(cursor.position, part - 1),
    }
}
