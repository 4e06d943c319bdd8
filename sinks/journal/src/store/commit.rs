//! The group commit: records, entries, cursors and checkpoints in one synced batch.

use super::{Block, Committed, LiveEntry, Size, Store, StoreError, Work, checkpoint_key};
use crate::change::Change;
use crate::frame;
use crate::limits::FRAME_BYTES_MAX;
use crate::sinks::SinkJournal;
use gwp_core::{Cursor, Fact, Record, Timestamp};
use std::sync::Arc;

impl Store {
    /// Makes one group commit durable.
    ///
    /// # Errors
    /// The disk refused: the store must be dropped and opened anew, nothing may be retried.
    pub fn commit(&mut self, work: Work, now: Timestamp) -> Result<Committed, StoreError> {
        let mut change = self.trail.begin();
        self.put_records(&mut change, &work.records)?;
        for switch in &work.switches {
            self.switch(&mut change, switch);
        }
        let mut blocks = Vec::with_capacity(work.blocks.len());
        for block in work.blocks {
            if let Some(block) = self.put_block(&mut change, block, now)? {
                blocks.push(block);
            }
        }
        for (id, rejected) in &work.rejected {
            if let Some(sink) = self.sinks.get_mut(id) {
                sink.rejected(&mut change, &mut self.ledger, *rejected, now);
            }
        }
        for (id, delivered) in &work.delivered {
            if let Some(sink) = self.sinks.get_mut(id) {
                sink.delivered(&mut change, &self.meta, *delivered);
            }
        }
        // Of sinks for which the log is kept: others may have been given up meanwhile.
        let checkpoints: Vec<_> =
            work.checkpoints.into_iter().filter(|(id, _)| self.needed_from.contains_key(id)).collect();
        for (id, checkpoint) in &checkpoints {
            // Plain data into a growing buffer cannot fail.
            let bytes = postcard::to_stdvec(checkpoint).expect("a checkpoint can always be encoded");
            change.insert(&self.meta, checkpoint_key(*id), bytes);
        }
        self.put_bookmarks(&mut change, &work.bookmarks);
        for sink in self.sinks.values_mut() {
            sink.put_state(&mut change, &self.meta);
        }
        self.trail.commit(change)?;
        for (id, checkpoint) in checkpoints {
            self.needed_from.insert(id, checkpoint.position);
        }
        if let Some(last) = work.records.last() {
            self.durable = last.position;
        }
        self.sinks.values().for_each(SinkJournal::publish);
        Ok(Committed { upto: self.durable, place: self.place(), blocks, receipts: Vec::new() })
    }

    /// Records as frames, a new one at each change of the plan.
    fn put_records(&mut self, change: &mut Change, records: &[Arc<Record>]) -> Result<(), StoreError> {
        let mut rest = records;
        while let Some(first) = rest.first() {
            if let Fact::Configured { plan } = first.fact {
                self.plan = plan;
            }
            let same_plan =
                rest[1..].iter().take_while(|record| !matches!(record.fact, Fact::Configured { .. }));
            let (head, tail) = rest.split_at(1 + same_plan.count());
            rest = tail;
            // Twice what a record takes in memory is more than it takes encoded.
            for part in split(head, |record| record.bytes() * 2) {
                let frame = frame::encode_log(self.plan, part);
                let samples: usize = part.iter().map(|record| record.samples()).sum();
                if samples > 0 {
                    self.sample_bytes += (frame.len() as f64 / samples as f64 - self.sample_bytes) * 0.05;
                }
                let crc = u64::from(frame::frame_checksum(&frame));
                self.running_hash = (self.running_hash ^ crc).wrapping_mul(0x0000_0100_0000_01B3);
                let upto = part.last().map_or(Cursor::ZERO, |record| Cursor::complete(record.position));
                self.log.append(&self.db, change, upto, frame)?;
            }
        }
        if !records.is_empty() {
            change.records(records);
            change.insert(&self.meta, "running_hash", self.running_hash.to_be_bytes());
        }
        Ok(())
    }

    /// Entries of a sink; gives back what was appended.
    fn put_block(
        &mut self,
        change: &mut Change,
        mut block: Block,
        now: Timestamp,
    ) -> Result<Option<Block>, StoreError> {
        let Some(sink) = self.sinks.get_mut(&block.sink) else { return Ok(None) };
        let known = Cursor::complete(sink.state.covered);
        block.entries.retain(|live| live.entry.cursor > known);
        let size = Size::of(&block.entries, self.sample_bytes);
        if sink.refuses(size.bytes) {
            sink.refuse(change, &mut self.ledger, &block.entries, size, now);
            block.entries.clear();
        }
        // A block may reach over the end of a segment of the log: each of them is held
        // by what points into it.
        let home = |live: &LiveEntry| self.log.holding(Cursor::complete(live.entry.cursor.position));
        for run in block.entries.chunk_by(|a, b| home(a) == home(b)) {
            let log_segment = home(&run[0]);
            sink.append_block(&self.db, change, block.plan, run, self.sample_bytes, log_segment, now)?;
        }
        if let Some(passed_over) = block.passed_over {
            sink.passed_over(change, &mut self.ledger, passed_over, now);
        }
        sink.state.covered = block.covered.max(sink.state.covered);
        sink.changed = true;
        sink.drop_what_must_go(change, &self.meta, &mut self.ledger, now);
        let floor = sink.floor();
        block.entries.retain(|live| live.entry.cursor > floor);
        Ok(Some(block))
    }
}

/// Cuts items into runs that fit one frame by their encoded size (an upper bound of it).
pub(crate) fn split<T>(items: &[T], bytes_of: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, item) in items.iter().enumerate() {
        let more = bytes_of(item);
        bytes += more;
        if bytes > FRAME_BYTES_MAX && index > start {
            parts.push(&items[start..index]);
            (start, bytes) = (index, more);
        }
    }
    parts.push(&items[start..]);
    parts
}
