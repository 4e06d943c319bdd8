//! Released entries of one sink on their way to its delivery.
//!
//! ```text
//! release --push--> ring (memory) --+
//!         \-pass--> journal (disk) -+--> delivery, never above `released`
//! ```

use crate::recent::{Read, Recent};
use gwp_core::limits::DELIVERY_BYTES_MAX;
use gwp_core::{Cursor, PlanId, Position};
use gwp_journal::LiveEntry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a delivery may take, and where it finds it.
pub struct Outbox {
    kept: Mutex<Kept>,
    /// Rung when there may be more to take.
    pub(crate) bell: Notify,
}

struct Kept {
    recent: Recent<Cursor, (PlanId, LiveEntry)>,
    /// Nothing above this may leave, wherever it is found.
    released: Cursor,
}

/// How far the sources of a delivery reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reach {
    /// Everything released above this cursor is in memory; the rest is on disk.
    pub floor: Cursor,
    /// Nothing above this may leave. The disk has more.
    pub released: Cursor,
}

impl Outbox {
    /// Everything up to `floor` is on disk only, and nothing is released.
    pub fn new(floor: Cursor) -> Self {
        let kept = Kept { recent: Recent::new(floor, DELIVERY_BYTES_MAX), released: Cursor::ZERO };
        Outbox { kept: Mutex::new(kept), bell: Notify::new() }
    }

    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever comes here, now or later, is released: nobody else must have it.
    pub(crate) fn open(&self) {
        self.kept().released = Cursor::complete(Position::MAX);
    }

    /// Adds entries that are durable and released. Does not block.
    pub(crate) fn push(&self, plan: PlanId, entries: Vec<LiveEntry>) {
        let mut kept = self.kept();
        for live in entries {
            let cursor = live.entry.cursor;
            kept.released = kept.released.max(cursor);
            // What is known to be on disk only is read there.
            if cursor > kept.recent.floor() {
                // It is durable, so it may be given up at once and read from disk later.
                kept.recent.push(cursor, bytes_of(&live), (plan, live), cursor);
            }
        }
        drop(kept);
        self.bell.notify_one();
    }

    /// Everything up to a cursor is released, and on disk only.
    pub(crate) fn pass(&self, upto: Cursor) {
        let mut kept = self.kept();
        kept.released = kept.released.max(upto);
        kept.recent.skip_to(upto);
        drop(kept);
        self.bell.notify_one();
    }

    pub(crate) fn reach(&self) -> Reach {
        let kept = self.kept();
        Reach { floor: kept.recent.floor(), released: kept.released }
    }

    pub(crate) fn after(&self, cursor: Cursor, count: usize) -> Read<(PlanId, LiveEntry)> {
        let mut kept = self.kept();
        // Also of what is on disk there is nothing to take then.
        let read = match cursor >= kept.released {
            true => Read::UpToDate,
            false => kept.recent.after(cursor, count),
        };
        kept.recent.release(cursor);
        read
    }
}

/// What an entry counts in memory, whatever else holds its samples.
pub(crate) fn bytes_of(live: &LiveEntry) -> usize {
    96 + live.batch.bytes()
}
