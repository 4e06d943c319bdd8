//! Entries that do not come from a lane: replays and dead letters.
//!
//! They are samples by value under cursors of their own, after everything the
//! lane has covered: `(covered position, 2^31 + n)`. So they are delivered like
//! new entries, whatever cursor the destination keeps; that is what is meant by
//! sending again.

use crate::frame::{Content, JournalEntry};
use crate::store::{Block, LiveEntry, Size, Store, StoreError};
use gwp_core::{Batch, Cursor, PlanId, SinkId, Timestamp};
use std::sync::Arc;

/// First part of injected entries.
const INJECTED: u32 = 1 << 31;

/// Entries in one frame at most.
const FRAME_ENTRIES: usize = 64;

/// Marks a route that belongs to another sink of the plan: a dead letter.
const FOREIGN: u32 = 1 << 31;

/// Route number of a dead letter: which sink of the plan refused it, on which of its routes.
/// `None` beyond 32,767 sinks or 65,535 routes.
pub fn foreign_route(sink_index: usize, route: u32) -> Option<u32> {
    let sink = u32::try_from(sink_index).ok().filter(|sink| *sink < 1 << 15)?;
    (route < 1 << 16).then_some(FOREIGN | sink << 16 | route)
}

/// The sink index and route of a dead letter; `None` for a sink's own routes.
pub const fn read_foreign_route(route: u32) -> Option<(usize, u32)> {
    if route & FOREIGN == 0 { None } else { Some(((route & !FOREIGN) as usize >> 16, route & 0xffff)) }
}

impl Store {
    /// Appends samples to a sink's journal, past its lane. Gives back the block as it was
    /// appended, for delivery in step.
    ///
    /// # Errors
    /// The disk refused.
    pub fn inject(
        &mut self,
        sink: SinkId,
        plan: PlanId,
        samples: Vec<(u32, Arc<Batch>)>,
        now: Timestamp,
    ) -> Result<Option<Block>, StoreError> {
        let Some(journal) = self.sinks.get_mut(&sink) else { return Ok(None) };
        let covered = journal.state.covered;
        let last = journal.segments.upto().max(journal.floor());
        let mut part = match last.position == covered && last.part >= INJECTED {
            true => last.part.saturating_add(1),
            false => INJECTED,
        };
        let mut entries = Vec::with_capacity(samples.len());
        for (route, batch) in samples {
            let cursor = Cursor::new(covered, part);
            part = part.saturating_add(1);
            let content = Content::Values(batch.clone());
            let entry = JournalEntry { cursor, route, samples: batch.len() as u32, content };
            entries.push(LiveEntry { entry, batch });
        }
        // Values hold no segment of the log, so they may join whatever chunk is open.
        let log_segment = journal.chunks.back().map_or(0, |chunk| chunk.log_segment);
        let mut change = self.trail.begin();
        let size = Size::of(&entries, self.sample_bytes);
        if journal.refuses(size.bytes) || journal.is_blocked() {
            // Nobody waits for these: at the bound they are refused and counted.
            journal.refuse(&mut change, &mut self.ledger, &entries, size, now);
            entries.clear();
        }
        for run in entries.chunks(FRAME_ENTRIES) {
            journal.append_block(&self.db, &mut change, plan, run, self.sample_bytes, log_segment, now)?;
        }
        journal.drop_what_must_go(&mut change, &self.meta, &mut self.ledger, now);
        journal.put_state(&mut change, &self.meta);
        self.trail.commit(change)?;
        journal.publish();
        Ok(Some(Block { sink, plan, entries, covered, passed_over: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_route_keeps_its_sink_and_route() {
        assert_eq!(foreign_route(7, 9).and_then(read_foreign_route), Some((7, 9)));
        assert_eq!(read_foreign_route(9), None);
        assert_eq!(foreign_route(1 << 15, 0), None);
        assert_eq!(foreign_route(0, 1 << 16), None);
    }
}
