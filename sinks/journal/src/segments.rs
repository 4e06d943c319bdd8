//! Segments: a log or journal as a row of fjall keyspaces that are deleted whole.
//!
//! Removing keys one by one never gives a drained backlog's space back (old
//! versions are freed only when a watermark moves that a drain does not move);
//! deleting a keyspace does, at once. So a stream of frames is cut into
//! keyspaces of about equal size, and trimming is deleting those nothing needs.
//!
//! Frames are stored under their last cursor; nothing is ever removed from a
//! segment, so no reader meets a tombstone.

use crate::change::Change;
use crate::limits::MEMTABLE_BYTES;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use gwp_core::Cursor;
use std::sync::{Arc, RwLock};

/// One keyspace of a stream.
#[derive(Clone)]
pub struct Segment {
    pub number: u32,
    pub keyspace: Keyspace,
    /// Last cursor in it; [`Cursor::ZERO`] while empty.
    pub upto: Cursor,
    /// Bytes of its frames.
    pub bytes: u64,
}

/// The segments of one stream, shared with its readers.
pub type SharedSegments = Arc<RwLock<Vec<Segment>>>;

/// The writer's view of one stream.
pub struct Segments {
    prefix: String,
    /// A segment is closed at this size.
    bytes_max: u64,
    shared: SharedSegments,
}

/// Options of every keyspace: our frames are compressed already.
pub fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .data_block_compression_policy(fjall::config::CompressionPolicy::disabled())
}

impl Segments {
    /// Opens the segments named `prefix.number`, oldest first.
    pub fn open(db: &Database, prefix: &str, bytes_max: u64) -> fjall::Result<Segments> {
        let mut numbers: Vec<u32> = db
            .list_keyspace_names()
            .iter()
            .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('.')?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let mut segments = Vec::with_capacity(numbers.len());
        for number in numbers {
            let keyspace = db.keyspace(&name(prefix, number), keyspace_options)?;
            let last = keyspace.last_key_value().map(|guard| guard.key()).transpose()?;
            let upto = last.and_then(|key| Cursor::from_bytes(&key)).unwrap_or_default();
            // What fjall has not flushed yet takes no space of the keyspace's own.
            let bytes = match keyspace.disk_space() {
                flushed if flushed >= bytes_max => flushed,
                _ => keyspace.iter().map(|guard| guard.size().map(u64::from)).sum::<fjall::Result<u64>>()?,
            };
            segments.push(Segment { number, keyspace, upto, bytes });
        }
        Ok(Segments { prefix: prefix.into(), bytes_max, shared: Arc::new(RwLock::new(segments)) })
    }

    pub fn shared(&self) -> SharedSegments {
        self.shared.clone()
    }

    /// All segments, oldest first. A poisoned lock means a panic between two plain
    /// assignments, so what it guards is whole.
    pub fn list(&self) -> Vec<Segment> {
        read(&self.shared).clone()
    }

    pub fn bytes(&self) -> u64 {
        read(&self.shared).iter().map(|segment| segment.bytes).sum()
    }

    /// Last cursor of the stream.
    pub fn upto(&self) -> Cursor {
        read(&self.shared).iter().map(|segment| segment.upto).max().unwrap_or_default()
    }

    /// Number of the segment that holds `cursor`, or would.
    pub fn holding(&self, cursor: Cursor) -> u32 {
        let segments = read(&self.shared);
        let found = segments.iter().find(|segment| segment.upto >= cursor);
        found.or(segments.last()).map_or(0, |segment| segment.number)
    }

    /// Adds a frame to `change`, opening a new segment when the last one is full.
    /// The frame counts from now on, so the change must be committed or the store closed.
    pub(crate) fn append(
        &mut self,
        db: &Database,
        change: &mut Change,
        upto: Cursor,
        frame: Vec<u8>,
    ) -> fjall::Result<()> {
        let full = read(&self.shared).last().is_none_or(|last| last.bytes >= self.bytes_max);
        if full {
            let number = read(&self.shared).last().map_or(0, |last| last.number + 1);
            let keyspace = db.keyspace(&name(&self.prefix, number), keyspace_options)?;
            let segment = Segment { number, keyspace, upto: Cursor::ZERO, bytes: 0 };
            write(&self.shared).push(segment);
        }
        let mut segments = write(&self.shared);
        if let Some(last) = segments.last_mut() {
            last.bytes += frame.len() as u64;
            last.upto = upto;
            change.insert(&last.keyspace, upto.to_bytes(), frame);
        }
        Ok(())
    }

    /// Deletes the segments of which `gone` says so, with `change`. The newest that holds something
    /// always stays, and what was opened after it: it tells where the stream ends.
    pub(crate) fn trim(&mut self, change: &mut Change, mut gone: impl FnMut(&Segment) -> bool) -> usize {
        let mut count = 0;
        loop {
            let found = {
                let mut segments = write(&self.shared);
                let closed = segments.iter().rposition(|segment| segment.upto > Cursor::ZERO).unwrap_or(0);
                match segments[..closed].iter().position(&mut gone) {
                    Some(index) => segments.remove(index),
                    None => return count,
                }
            };
            change.delete(found.keyspace);
            count += 1;
        }
    }
}

/// The number of the sink whose journal a keyspace is a segment of.
pub(crate) fn segments_of(keyspace: &str) -> Option<u32> {
    keyspace.strip_prefix('j')?.split_once('.')?.0.parse().ok()
}

/// Whether a keyspace of this name can be a store's.
pub(crate) fn is_ours(keyspace: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match keyspace.split_once('.') {
        None => ["meta", "ledger"].contains(&keyspace),
        Some((stream, number)) => {
            let known = stream == "log" || stream.strip_prefix('j').is_some_and(digits);
            known && number.len() == 10 && digits(number)
        }
    }
}

fn name(prefix: &str, number: u32) -> String {
    format!("{prefix}.{number:010}")
}

pub(crate) fn read(shared: &SharedSegments) -> std::sync::RwLockReadGuard<'_, Vec<Segment>> {
    shared.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write(shared: &SharedSegments) -> std::sync::RwLockWriteGuard<'_, Vec<Segment>> {
    shared.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The newest frames of a stream, oldest first: about `bytes_max` bytes of them, one at least if there is one.
pub(crate) fn newest_frames(shared: &SharedSegments, bytes_max: usize) -> fjall::Result<Vec<fjall::Slice>> {
    let segments: Vec<Segment> = read(shared).clone();
    let (mut frames, mut bytes) = (Vec::new(), 0);
    'all: for segment in segments.iter().rev() {
        for guard in segment.keyspace.iter().rev() {
            let frame = guard.value()?;
            bytes += frame.len();
            frames.push(frame);
            if bytes >= bytes_max {
                break 'all;
            }
        }
    }
    frames.reverse();
    Ok(frames)
}

/// Frames of a stream after a cursor, oldest first, until about `bytes_max` bytes are read.
/// At least one frame is given when there is one.
pub fn frames_after(
    shared: &SharedSegments,
    after: Cursor,
    bytes_max: usize,
) -> fjall::Result<Vec<(Cursor, fjall::Slice)>> {
    let segments: Vec<Segment> =
        read(shared).iter().filter(|segment| segment.upto > after).cloned().collect();
    let mut frames = Vec::new();
    let mut bytes = 0;
    let start = std::ops::Bound::Excluded(after.to_bytes());
    for segment in segments {
        for guard in segment.keyspace.range((start, std::ops::Bound::Unbounded)) {
            let (key, frame) = guard.into_inner()?;
            let Some(upto) = Cursor::from_bytes(&key) else { continue };
            bytes += frame.len();
            frames.push((upto, frame));
            if bytes >= bytes_max {
                return Ok(frames);
            }
        }
    }
    Ok(frames)
}
