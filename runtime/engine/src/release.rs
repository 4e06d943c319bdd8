//! Between what is durable here and what may be seen outside.
//!
//! ```text
//! writer --Committed--> durable here: credits back to sources, the plan changed
//!             |
//!          Release   waits in order until somebody says release(place);
//!             |      a lone gateway's passes everything at once
//!             +--entries---> outboxes --> deliveries
//!             +--position--> released --> writes to devices
//!             +--receipts--> sources
//! ```
//! In a pair nothing may be seen that the peer could lack after a takeover. Who drives the mirror
//! knows the newest place that may leave, and says so here. Reading and logging do not wait for it:
//! what waits is bounded in memory, and what was given up is read from the journals.

use crate::graph::Outboxes;
use crate::limits::{RELEASE_BYTES_MAX, RELEASE_COMMITS_MAX};
use crate::outbox::{Outbox, bytes_of};
use gwp_core::edge::DueReceipt;
use gwp_core::{Cursor, Position, SinkId};
use gwp_journal::{Block, Committed};
use gwp_redundancy::mirror::Place;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Lets out what commits have made durable, in order, each once its place is released. It serves
/// one engine; its clones are the same.
#[derive(Clone)]
pub struct Release(Arc<Mutex<State>>);

/// What waits for its release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Commits; very many are counted several as one.
    pub waiting: usize,
    /// Of entries in memory. What was given up is not among them.
    pub bytes: usize,
}

/// The ways out of an engine.
pub(crate) struct Ways {
    pub outboxes: Arc<Outboxes>,
    /// Commands up to here may have effects.
    pub released: watch::Sender<Position>,
}

struct State {
    /// What is committed up to here may leave; none: everything may, at once.
    upto: Option<Place>,
    /// Of the newest commit.
    newest: Place,
    /// In order of their places.
    waiting: VecDeque<Waiting>,
    /// So many commits are released as one at most: more while very many wait.
    together: u64,
    /// So many of them, the oldest, have no entries in memory.
    given_up: usize,
    bytes: usize,
    bytes_max: usize,
    engine: EngineState,
}

enum EngineState {
    None,
    Bound(Ways),
    Stopped,
}

/// What one commit lets out, or several that are released as one.
struct Waiting {
    place: Place,
    /// Last record.
    upto: Position,
    commits: u64,
    /// Entries that are on disk only, by the last of each sink; they come before the blocks.
    on_disk: Vec<(SinkId, Cursor)>,
    blocks: Vec<Block>,
    receipts: Vec<DueReceipt>,
    bytes: usize,
}

impl Release {
    /// Of a lone gateway: nothing waits.
    pub fn at_once() -> Release {
        Release::new(None, RELEASE_BYTES_MAX)
    }

    /// Of the active of a pair: nothing leaves before it is released.
    pub fn held() -> Release {
        Release::held_within(RELEASE_BYTES_MAX)
    }

    /// The same with another bound of the entries that wait in memory, in bytes. Beyond it they
    /// are read from the journals after their release.
    pub fn held_within(bytes_max: usize) -> Release {
        Release::new(Some(Place::ZERO), bytes_max)
    }

    fn new(upto: Option<Place>, bytes_max: usize) -> Release {
        Release(Arc::new(Mutex::new(State {
            upto,
            newest: Place::ZERO,
            waiting: VecDeque::new(),
            together: 1,
            given_up: 0,
            bytes: 0,
            bytes_max,
            engine: EngineState::None,
        })))
    }

    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was committed up to this place may leave, as far as the exits are open. It cannot be
    /// called back: a place below that of an earlier call changes nothing. Does not block; may be
    /// called before its engine starts, and does nothing after that has stopped.
    pub fn release(&self, upto: Place) {
        let mut state = self.state();
        state.upto = state.upto.map(|before| before.max(upto));
        state.let_out();
    }

    /// Place of the newest commit; before the first one, that of the store at the engine's start.
    pub fn newest(&self) -> Place {
        self.state().newest
    }

    /// What waits for its release now.
    pub fn backlog(&self) -> Backlog {
        let state = self.state();
        Backlog { waiting: state.waiting.len(), bytes: state.bytes }
    }

    /// An engine begins with the store at `place`. False if it had an engine before.
    pub(crate) fn bind(&self, place: Place, ways: Ways) -> bool {
        let mut state = self.state();
        let fresh = matches!(state.engine, EngineState::None);
        if fresh {
            state.newest = place;
            state.engine = EngineState::Bound(ways);
        }
        fresh
    }

    /// A sink's way out is there. What its journal has already, up to `kept`, may leave with what
    /// was committed last.
    pub(crate) fn admit(&self, sink: SinkId, outbox: &Outbox, kept: Cursor) {
        let mut state = self.state();
        if state.upto.is_none() {
            return outbox.open();
        }
        let waiting = Waiting {
            place: state.newest,
            upto: Position::ZERO,
            commits: 1,
            on_disk: vec![(sink, kept)],
            blocks: Vec::new(),
            receipts: Vec::new(),
            bytes: 0,
        };
        state.waiting.push_back(waiting);
        state.let_out();
    }

    /// Takes a commit. Called by the writer; does not block.
    pub(crate) fn committed(&self, committed: Committed) {
        self.state().committed(committed);
    }

    /// The engine has stopped: what waits stays in the journals, and its receipts are never given.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.engine = EngineState::Stopped;
        state.waiting.clear();
        (state.given_up, state.bytes, state.together) = (0, 0, 1);
    }
}

impl State {
    fn may_leave(&self, place: Place) -> bool {
        self.upto.is_none_or(|upto| place <= upto)
    }

    fn committed(&mut self, committed: Committed) {
        let Committed { upto, place, mut blocks, receipts } = committed;
        let EngineState::Bound(ways) = &self.engine else { return };
        self.newest = self.newest.max(place);
        blocks.retain(|block| !block.entries.is_empty());
        let mut waiting =
            Waiting { place, upto, commits: 1, on_disk: Vec::new(), blocks, receipts, bytes: 0 };
        if self.waiting.is_empty() && self.may_leave(place) {
            return ways.let_out(waiting);
        }
        waiting.bytes = waiting.blocks.iter().flat_map(|block| &block.entries).map(bytes_of).sum();
        self.bytes += waiting.bytes;
        match self.waiting.back_mut() {
            Some(last) if last.commits < self.together => {
                last.join(waiting);
                self.given_up = self.given_up.min(self.waiting.len() - 1);
            }
            _ => self.waiting.push_back(waiting),
        }
        self.let_out();
        self.keep_within_bounds();
    }

    fn let_out(&mut self) {
        while self.waiting.front().is_some_and(|waiting| self.may_leave(waiting.place)) {
            let Some(waiting) = self.waiting.pop_front() else { return };
            self.given_up = self.given_up.saturating_sub(1);
            self.bytes -= waiting.bytes;
            if let EngineState::Bound(ways) = &self.engine {
                ways.let_out(waiting);
            }
        }
        if self.waiting.is_empty() {
            self.together = 1;
        }
    }

    /// The oldest entries are given up first: so each outbox has the newest in memory and the
    /// older ones on disk, as if its ring had given them up.
    fn keep_within_bounds(&mut self) {
        while self.bytes > self.bytes_max
            && let Some(waiting) = self.waiting.get_mut(self.given_up)
        {
            self.bytes -= waiting.bytes;
            self.given_up += 1;
            waiting.give_up_entries();
        }
        if self.waiting.len() > RELEASE_COMMITS_MAX {
            self.join_pairs();
        }
    }

    /// Half as many wait then, each released with the younger of two: later than it could be,
    /// never earlier. All stand for about as many commits, so that a peer that comes nearer lets out
    /// the more the nearer it is.
    fn join_pairs(&mut self) {
        self.together *= 2;
        let mut all = std::mem::take(&mut self.waiting).into_iter();
        while let Some(mut first) = all.next() {
            if let Some(second) = all.next() {
                first.join(second);
            }
            self.waiting.push_back(first);
        }
        self.given_up = self.waiting.iter().take_while(|waiting| waiting.blocks.is_empty()).count();
    }
}

impl Waiting {
    fn give_up_entries(&mut self) {
        for block in self.blocks.drain(..) {
            if let Some(last) = block.entries.last() {
                note(&mut self.on_disk, block.sink, last.entry.cursor);
            }
        }
        self.bytes = 0;
        self.receipts.retain(DueReceipt::is_awaited);
    }

    fn join(&mut self, next: Waiting) {
        (self.place, self.upto) = (next.place, self.upto.max(next.upto));
        self.commits += next.commits;
        next.on_disk.into_iter().for_each(|(sink, upto)| note(&mut self.on_disk, sink, upto));
        self.blocks.extend(next.blocks);
        self.receipts.extend(next.receipts);
        self.receipts.retain(DueReceipt::is_awaited);
        self.bytes += next.bytes;
    }
}

fn note(on_disk: &mut Vec<(SinkId, Cursor)>, sink: SinkId, upto: Cursor) {
    match on_disk.iter_mut().find(|(known, _)| *known == sink) {
        Some((_, cursor)) => *cursor = upto.max(*cursor),
        None => on_disk.push((sink, upto)),
    }
}

impl Ways {
    fn let_out(&self, waiting: Waiting) {
        self.released.send_if_modified(|released| {
            let more = waiting.upto > *released;
            *released = waiting.upto.max(*released);
            more
        });
        for (sink, upto) in waiting.on_disk {
            if let Some(outbox) = self.outboxes.get(sink) {
                outbox.pass(upto);
            }
        }
        for block in waiting.blocks {
            if let Some(outbox) = self.outboxes.get(block.sink) {
                outbox.push(block.plan, block.entries);
            }
        }
        waiting.receipts.into_iter().for_each(DueReceipt::give);
    }
}

#[cfg(test)]
mod tests;
