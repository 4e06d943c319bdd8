//! The journal of one sink: what is pending, what it costs, what must go.
//!
//! Pending entries are accounted in *chunks* of about 1/256 of the journal's
//! capacity (or age): enough to drop the oldest in small steps, few enough to
//! keep in memory through a week's outage. A chunk's references point into one
//! segment of the log, so chunks also tell which segments are still needed.

use crate::change::Change;
use crate::codec::{DecodeError, TagLists};
use crate::frame::{Content, JournalEntry, decode_journal, encode_journal};
use crate::ledger::{GapReason, Ledger};
use crate::segments::{Segments, frames_after};
use crate::store::{Delivered, LiveEntry, PassedOver, Rejected, Size, StoreError, StoreOptions};
use fjall::{Database, Keyspace};
use gwp_core::{Cursor, PlanId, Position, SinkId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Names a sink had before that are kept.
const FORMER_NAMES_MAX: usize = 100;

/// Chunks a full journal is divided into, by bytes and by age.
const CHUNKS: u64 = 256;

/// Bounds of a journal, from the plan. Kept with its state, so that they hold also
/// for a sink that is in no plan any more.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SinkPolicy {
    pub capacity_bytes: u64,
    pub keep_ns: i64,
    pub full: Full,
}

/// What happens when a journal is at its capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Full {
    DropOldest,
    DropNewest,
    /// The lane waits; only when the log itself is at its bound are new entries refused.
    Block,
}

impl Default for SinkPolicy {
    /// What the language says when a program says nothing.
    fn default() -> Self {
        SinkPolicy { capacity_bytes: 1 << 30, keep_ns: 7 * 86_400 * 1_000_000_000, full: Full::DropOldest }
    }
}

/// What the store keeps of a sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkState {
    pub policy: SinkPolicy,
    /// Where its lane began: from there it computes again as long as it has no checkpoint.
    pub since: Position,
    /// The lane is complete up to here; appends at or below are ignored.
    pub covered: Position,
    /// The destination has acknowledged up to here.
    pub delivered: Cursor,
    /// Everything up to here was dropped or delivered: readers start after it.
    pub low: Cursor,
    /// Samples of the oldest chunk that were delivered already.
    pub front_delivered: u64,
    /// Every sample counts once: taken by the destination ...
    pub delivered_samples: u64,
    /// ... or dropped or refused for good ...
    pub dropped_samples: u64,
    /// ... or pending. Refused ones are still acknowledged, as taken care of: so many of
    /// the samples acknowledged next are no delivered ones.
    pub refused_ahead: u64,
}

/// The name of a sink, and those it had before. Plans know it by the name it had under them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkNames {
    pub now: Arc<str>,
    /// In order, each with the last position under it.
    pub(crate) before: Vec<(Arc<str>, Position)>,
}

impl SinkNames {
    /// A sink that always had this name.
    pub fn only(now: Arc<str>) -> SinkNames {
        SinkNames { now, before: Vec::new() }
    }

    /// What it was called at a position of the log.
    pub fn at(&self, position: Position) -> &Arc<str> {
        self.before.iter().find(|(_, upto)| position <= *upto).map_or(&self.now, |(name, _)| name)
    }

    /// What `find` finds by the name it had at a position, else by any it had, the latest first: what is sent
    /// again has the position at which that was asked for, not that of its plan.
    pub fn find<T>(&self, at: Position, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let all = std::iter::once(&self.now).chain(self.before.iter().rev().map(|(name, _)| name));
        std::iter::once(self.at(at)).chain(all).find_map(|name| find(name))
    }
}

/// A run of pending entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub from: Cursor,
    pub upto: Cursor,
    pub samples: u64,
    pub bytes: u64,
    /// Bytes of the log that its references hold.
    pub referenced: u64,
    /// Segment of the log its references point into.
    pub log_segment: u32,
    /// When its first entry was written.
    pub written: Timestamp,
}

/// What others may see of a sink's journal while the writer writes.
#[derive(Debug, Default)]
pub struct SinkShared {
    pub pending_samples: AtomicU64,
    pub pending_bytes: AtomicU64,
    pub dropped_samples: AtomicU64,
    pub delivered_samples: AtomicU64,
    /// At capacity with `full = block`: the lane is to wait.
    pub blocked: AtomicBool,
    /// Written time of the oldest pending entry, nanoseconds; 0 when there is none.
    pub oldest_ns: AtomicU64,
    cursors: Mutex<(Position, Cursor)>,
    names: Mutex<SinkNames>,
}

impl SinkShared {
    /// Where the lane is complete, and after which cursor delivery goes on.
    pub fn cursors(&self) -> (Position, Cursor) {
        *self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is called, and was.
    pub fn names(&self) -> SinkNames {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is called `name` from the records after `upto` on. Once for each change of its name: further calls with
    /// the same name do nothing.
    pub fn call(&self, name: &Arc<str>, upto: Position) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.now == *name {
            return;
        }
        let old = std::mem::replace(&mut names.now, name.clone());
        names.before.push((old, upto));
        if names.before.len() > FORMER_NAMES_MAX {
            names.before.remove(0);
        }
    }
}

/// The journal of one sink.
pub struct SinkJournal {
    pub id: SinkId,
    pub name: Arc<str>,
    pub state: SinkState,
    pub(crate) segments: Segments,
    pub(crate) shared: Arc<SinkShared>,
    /// The state must be written with the next commit.
    pub(crate) changed: bool,
    /// The log is at its bound: a blocked journal refuses instead of waiting.
    pub(crate) refuse_when_full: bool,
    pub(crate) chunks: VecDeque<Chunk>,
    /// Number of the first chunk.
    first_chunk: u64,
    /// Chunks from this number on are not stored as they are now.
    unstored_chunk: u64,
    chunk_bytes_min: u64,
}

impl SinkJournal {
    pub(crate) fn load(
        db: &Database,
        meta: &Keyspace,
        id: SinkId,
        name: Arc<str>,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("{what} of sink `{name}`"));
        let state = match meta.get(key(b"s/", id))? {
            Some(bytes) => postcard::from_bytes(&bytes).map_err(|_| damaged("state"))?,
            None => SinkState::default(),
        };
        let before = match meta.get(names_key(id))? {
            Some(bytes) => postcard::from_bytes(&bytes).map_err(|_| damaged("names"))?,
            None => Vec::new(),
        };
        let mut chunks = VecDeque::new();
        let mut first_chunk = 0;
        for guard in meta.prefix(key(b"c/", id)) {
            let (chunk_key, value) = guard.into_inner()?;
            let number = chunk_key.get(6..14).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            let chunk = postcard::from_bytes(&value).map_err(|_| damaged("chunk"))?;
            let number = number.ok_or_else(|| damaged("chunk"))?;
            if chunks.is_empty() {
                first_chunk = number;
            }
            if number != first_chunk + chunks.len() as u64 {
                return Err(damaged("row of chunks"));
            }
            chunks.push_back(chunk);
        }
        Ok(SinkJournal {
            segments: Segments::open(db, &format!("j{}", id.0), options.segment_bytes_max)?,
            unstored_chunk: first_chunk + chunks.len() as u64,
            chunk_bytes_min: options.chunk_bytes_min,
            id,
            shared: Arc::new(SinkShared {
                names: Mutex::new(SinkNames { now: name.clone(), before }),
                ..SinkShared::default()
            }),
            name,
            state,
            changed: false,
            refuse_when_full: false,
            chunks,
            first_chunk,
        })
    }

    /// Samples that wait for delivery.
    pub fn pending_samples(&self) -> u64 {
        let all: u64 = self.chunks.iter().map(|chunk| chunk.samples).sum();
        all.saturating_sub(self.state.front_delivered + self.state.refused_ahead)
    }

    /// Bytes that count against the capacity.
    pub fn pending_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// When the oldest pending entry was written.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.chunks.front().map(|chunk| chunk.written)
    }

    /// After which cursor delivery goes on.
    pub fn floor(&self) -> Cursor {
        self.state.low.max(self.state.delivered)
    }

    /// What it is called, and was.
    pub fn names(&self) -> SinkNames {
        self.shared.names()
    }

    /// Gives it another name from the records after `upto` on.
    pub(crate) fn rename(&mut self, change: &mut Change, meta: &Keyspace, name: &Arc<str>, upto: Position) {
        self.shared.call(name, upto);
        change.remove(meta, format!("n/{}", self.name));
        change.insert(meta, format!("n/{name}"), self.id.0.to_be_bytes());
        put(change, meta, names_key(self.id), &self.names().before);
        self.name = name.clone();
    }

    /// Takes everything that is kept of it in `meta` away.
    pub(crate) fn remove(&self, change: &mut Change, meta: &Keyspace) {
        change.remove(meta, format!("n/{}", self.name));
        change.remove(meta, names_key(self.id));
        change.remove(meta, key(b"s/", self.id));
        let stored = self.unstored_chunk.min(self.first_chunk + self.chunks.len() as u64);
        (self.first_chunk..stored).for_each(|number| change.remove(meta, chunk_key(self.id, number)));
    }

    pub(crate) fn publish(&self) {
        let shared = &self.shared;
        let bytes = self.pending_bytes();
        shared.pending_samples.store(self.pending_samples(), Relaxed);
        shared.pending_bytes.store(bytes, Relaxed);
        shared.dropped_samples.store(self.state.dropped_samples, Relaxed);
        shared.delivered_samples.store(self.state.delivered_samples, Relaxed);
        let policy = self.state.policy;
        let blocked = policy.full == Full::Block && !self.refuse_when_full && bytes >= policy.capacity_bytes;
        shared.blocked.store(blocked, Relaxed);
        let oldest = self.oldest().and_then(|time| u64::try_from(time.0).ok()).unwrap_or(0);
        shared.oldest_ns.store(oldest, Relaxed);
        *shared.cursors.lock().unwrap_or_else(PoisonError::into_inner) = (self.state.covered, self.floor());
    }

    /// Whether new entries of this size are not taken.
    pub(crate) fn refuses(&self, bytes: u64) -> bool {
        let full = self.pending_bytes() + bytes > self.state.policy.capacity_bytes;
        match self.state.policy.full {
            Full::DropOldest => false,
            Full::DropNewest => full,
            Full::Block => full && self.refuse_when_full,
        }
    }

    /// At its capacity with `full = block`.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state.policy.full == Full::Block && self.pending_bytes() >= self.state.policy.capacity_bytes
    }

    pub(crate) fn refuse(
        &mut self,
        change: &mut Change,
        ledger: &mut Ledger,
        entries: &[LiveEntry],
        size: Size,
        now: Timestamp,
    ) {
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let span = (first.entry.cursor, last.entry.cursor);
            self.count_drop(change, ledger, span, size.samples, size.bytes, GapReason::Full, now);
        }
    }

    /// Adds entries (in order, all of one plan, their references into one segment of the
    /// log) and accounts for them.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn append_block(
        &mut self,
        db: &Database,
        change: &mut Change,
        plan: PlanId,
        entries: &[LiveEntry],
        sample_bytes: f64,
        log_segment: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for entries in split_by_bytes(entries) {
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
            let (from, upto) = (first.entry.cursor, last.entry.cursor);
            let size = Size::of(entries, sample_bytes);
            let plain: Vec<JournalEntry> = entries.iter().map(|live| live.entry.clone()).collect();
            let frame = encode_journal(plan, &plain);
            // Long texts by value are far more than the log's average sample.
            let bytes = size.bytes.max(size.referenced + frame.len() as u64);
            self.segments.append(db, change, upto, frame)?;
            if !self.newest_chunk_takes(log_segment, now) {
                self.chunks.push_back(Chunk { from, log_segment, written: now, ..Chunk::default() });
            }
            let newest = self.first_chunk + self.chunks.len() as u64 - 1;
            self.unstored_chunk = self.unstored_chunk.min(newest);
            if let Some(chunk) = self.chunks.back_mut() {
                chunk.upto = upto;
                chunk.samples += size.samples;
                chunk.bytes += bytes;
                chunk.referenced += size.referenced;
            }
        }
        self.changed = true;
        Ok(())
    }

    fn newest_chunk_takes(&self, log_segment: u32, now: Timestamp) -> bool {
        let policy = &self.state.policy;
        self.chunks.back().is_some_and(|chunk| {
            chunk.log_segment == log_segment
                && chunk.bytes < (policy.capacity_bytes / CHUNKS).max(self.chunk_bytes_min)
                && now.0.saturating_sub(chunk.written.0) < (policy.keep_ns / CHUNKS as i64).max(1_000_000_000)
        })
    }

    /// Takes over what the destination has acknowledged.
    pub(crate) fn delivered(&mut self, change: &mut Change, meta: &Keyspace, delivered: Delivered) {
        if delivered.upto <= self.floor() {
            // Late acknowledgement of something that was dropped meanwhile: the ledger has it.
            return;
        }
        self.changed = true;
        // Some of what is acknowledged may have been dropped while it was on its way: it
        // is in the ledger, and one sample counts once.
        let samples = match self.state.low > self.state.delivered {
            true => self.samples_between(self.state.low, delivered.upto).unwrap_or(delivered.samples),
            false => delivered.samples,
        };
        self.state.delivered = delivered.upto;
        self.state.front_delivered += samples;
        let refused = samples.min(self.state.refused_ahead);
        self.state.refused_ahead -= refused;
        self.state.delivered_samples += samples - refused;
        while self.chunks.front().is_some_and(|chunk| chunk.upto <= delivered.upto) {
            if let Some(chunk) = self.pop_chunk(change, meta) {
                self.state.front_delivered = self.state.front_delivered.saturating_sub(chunk.samples);
            }
        }
        if self.chunks.is_empty() {
            self.state.front_delivered = 0;
        }
    }

    /// Samples of the stored entries after `after` and up to `upto`.
    fn samples_between(&self, after: Cursor, upto: Cursor) -> Result<u64, StoreError> {
        let segments = self.segments.shared();
        let (mut at, mut samples) = (after, 0);
        while at < upto {
            let Some((last, frame)) = frames_after(&segments, at, 1)?.into_iter().next() else { break };
            let damaged = |error: DecodeError| StoreError::Damaged(format!("frame {last}: {error}"));
            let (_, entries) = decode_journal(&frame, at, &mut TagLists::default()).map_err(damaged)?;
            let within = entries.iter().filter(|entry| entry.cursor <= upto);
            samples += within.map(|entry| u64::from(entry.samples)).sum::<u64>();
            at = last;
        }
        Ok(samples)
    }

    /// Notes what the destination has refused for good; its acknowledgement comes with it or later.
    pub(crate) fn rejected(
        &mut self,
        change: &mut Change,
        ledger: &mut Ledger,
        rejected: Rejected,
        now: Timestamp,
    ) {
        let span = (rejected.from, rejected.upto);
        self.state.refused_ahead += rejected.samples;
        self.count_drop(change, ledger, span, rejected.samples, 0, GapReason::Rejected, now);
    }

    /// Notes a record that the lane leaves out: once, however often it is computed again.
    pub(crate) fn passed_over(
        &mut self,
        change: &mut Change,
        ledger: &mut Ledger,
        passed_over: PassedOver,
        now: Timestamp,
    ) {
        let PassedOver { at, samples } = passed_over;
        if at <= self.state.covered {
            return;
        }
        self.changed = true;
        self.state.dropped_samples += samples;
        // A line even when nobody knows of a sample: calcs may have been to give some.
        let span = (Cursor::new(at, 0), Cursor::complete(at));
        ledger.add(change, &self.name, span.0, span.1, samples, 0, GapReason::NotComputed, now);
    }

    /// Drops the oldest chunks while the journal is over its capacity (`drop_oldest`) or they are too old.
    pub(crate) fn drop_what_must_go(
        &mut self,
        change: &mut Change,
        meta: &Keyspace,
        ledger: &mut Ledger,
        now: Timestamp,
    ) {
        let policy = self.state.policy;
        while let Some(front) = self.chunks.front() {
            let over = policy.full == Full::DropOldest && self.pending_bytes() > policy.capacity_bytes;
            let old = now.0.saturating_sub(front.written.0) > policy.keep_ns;
            let reason = match (over, old) {
                (true, _) => GapReason::Full,
                (false, true) => GapReason::Age,
                (false, false) => return,
            };
            let Some(chunk) = self.pop_chunk(change, meta) else { return };
            let samples = chunk.samples.saturating_sub(self.state.front_delivered);
            let from = chunk.from.max(self.floor());
            self.state.front_delivered = 0;
            self.state.low = self.state.low.max(chunk.upto);
            self.count_drop(change, ledger, (from, chunk.upto), samples, chunk.bytes, reason, now);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn count_drop(
        &mut self,
        change: &mut Change,
        ledger: &mut Ledger,
        (from, upto): (Cursor, Cursor),
        samples: u64,
        bytes: u64,
        reason: GapReason,
        now: Timestamp,
    ) {
        if samples == 0 {
            return;
        }
        self.changed = true;
        self.state.dropped_samples += samples;
        ledger.add(change, &self.name, from, upto, samples, bytes, reason, now);
    }

    fn pop_chunk(&mut self, change: &mut Change, meta: &Keyspace) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        change.remove(meta, chunk_key(self.id, self.first_chunk));
        self.first_chunk += 1;
        self.changed = true;
        Some(chunk)
    }

    /// Writes what has changed.
    pub(crate) fn put_state(&mut self, change: &mut Change, meta: &Keyspace) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        put(change, meta, key(b"s/", self.id), &self.state);
        // One commit can open many chunks; dropped ones among them were never stored.
        let count = self.chunks.len();
        for index in self.unstored_chunk.saturating_sub(self.first_chunk) as usize..count {
            self.put_chunk(change, meta, index);
        }
        self.unstored_chunk = self.first_chunk + count as u64;
    }

    /// Every chunk has changed: all of them are written with the next commit.
    pub(crate) fn store_all_chunks(&mut self) {
        self.unstored_chunk = self.first_chunk;
        self.changed = true;
    }

    pub(crate) fn put_chunk(&self, change: &mut Change, meta: &Keyspace, index: usize) {
        if let Some(chunk) = self.chunks.get(index) {
            put(change, meta, chunk_key(self.id, self.first_chunk + index as u64), chunk);
        }
    }

    /// Whether pending references point into a segment of the log.
    pub(crate) fn references(&self, log_segment: u32) -> u64 {
        self.chunks
            .iter()
            .filter(|chunk| chunk.log_segment == log_segment)
            .map(|chunk| chunk.referenced)
            .sum()
    }
}

/// Cuts entries into runs that fit one frame.
fn split_by_bytes(entries: &[LiveEntry]) -> Vec<&[LiveEntry]> {
    // Twice what a batch takes in memory is more than it takes encoded.
    crate::store::split(entries, |live| match &live.entry.content {
        Content::Values(batch) => 64 + batch.bytes() * 2,
        Content::Reference { bits } => 64 + bits.as_ref().map_or(0, |bits| bits.len()),
    })
}

/// Whether an entry points into the log.
pub(crate) fn is_reference(entry: &JournalEntry) -> bool {
    matches!(entry.content, Content::Reference { .. })
}

fn put<T: Serialize>(change: &mut Change, meta: &Keyspace, key: Vec<u8>, value: &T) {
    // Plain data into a growing buffer cannot fail.
    let bytes = postcard::to_stdvec(value).expect("plain data can always be encoded");
    change.insert(meta, key, bytes);
}

fn key(prefix: &[u8; 2], id: SinkId) -> Vec<u8> {
    [prefix.as_slice(), &id.0.to_be_bytes()].concat()
}

fn names_key(id: SinkId) -> Vec<u8> {
    key(b"f/", id)
}

fn chunk_key(id: SinkId, number: u64) -> Vec<u8> {
    [key(b"c/", id).as_slice(), &number.to_be_bytes()].concat()
}
