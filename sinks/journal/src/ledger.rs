//! The gap ledger: every range of samples that was dropped, and why.
//!
//! A line is written in the same commit as the drop. Drops of one sink that
//! follow each other for the same reason within a minute extend one line.

use crate::change::Change;
use crate::limits::LEDGER_LINES_MAX;
use crate::segments::keyspace_options;
use fjall::{Database, Keyspace};
use gwp_core::{Cursor, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const EXTEND_NS: i64 = 60_000_000_000;

/// Why samples were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GapReason {
    /// The journal was at its capacity.
    Full,
    /// They were older than `keep`.
    Age,
    /// The destination refused them and there is no dead letter sink.
    Rejected,
    /// The lane failed at their record each time it was tried.
    NotComputed,
    /// Their sink was removed and what waited for it given up.
    Discarded,
}

impl std::fmt::Display for GapReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GapReason::Full => "journal full",
            GapReason::Age => "older than keep",
            GapReason::Rejected => "refused by the destination",
            GapReason::NotComputed => "could not be computed",
            GapReason::Discarded => "given up with their sink",
        })
    }
}

/// A range of dropped samples.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GapLine {
    pub sink: Arc<str>,
    pub from: Cursor,
    pub upto: Cursor,
    pub samples: u64,
    pub bytes: u64,
    pub reason: GapReason,
    /// First and last time of dropping.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// The ledger.
pub struct Ledger {
    keyspace: Keyspace,
    next: u64,
    oldest: u64,
    /// Newest line per sink: it may be extended.
    open: BTreeMap<Arc<str>, (u64, GapLine)>,
}

impl Ledger {
    pub(crate) fn open(db: &Database) -> fjall::Result<Ledger> {
        let keyspace = db.keyspace("ledger", keyspace_options)?;
        let number = |guard: Option<fjall::Guard>| -> fjall::Result<Option<u64>> {
            let key = guard.map(|guard| guard.key()).transpose()?;
            Ok(key.and_then(|key| key[..].try_into().ok()).map(u64::from_be_bytes))
        };
        let oldest = number(keyspace.first_key_value())?;
        let newest = number(keyspace.last_key_value())?;
        Ok(Ledger {
            next: newest.map_or(0, |newest| newest + 1),
            oldest: oldest.unwrap_or(0),
            open: BTreeMap::new(),
            keyspace,
        })
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add(
        &mut self,
        change: &mut Change,
        sink: &Arc<str>,
        from: Cursor,
        upto: Cursor,
        samples: u64,
        bytes: u64,
        reason: GapReason,
        now: Timestamp,
    ) {
        let oldest = self.oldest;
        let extends = self.open.get_mut(sink).filter(|(number, line)| {
            // A line that has been given up meanwhile is not brought back.
            *number >= oldest && line.reason == reason && now.0.saturating_sub(line.until.0) < EXTEND_NS
        });
        let (number, line) = match extends {
            Some((number, line)) => {
                line.upto = line.upto.max(upto);
                line.samples += samples;
                line.bytes += bytes;
                line.until = now;
                (*number, line.clone())
            }
            None => {
                tracing::warn!(%sink, %reason, samples, "samples are dropped from the journal");
                let line = GapLine {
                    sink: sink.clone(),
                    from,
                    upto,
                    samples,
                    bytes,
                    reason,
                    since: now,
                    until: now,
                };
                let number = self.next;
                self.next += 1;
                self.open.insert(sink.clone(), (number, line.clone()));
                (number, line)
            }
        };
        // Plain data into a growing buffer cannot fail.
        let bytes = postcard::to_stdvec(&line).expect("a ledger line can always be encoded");
        change.insert(&self.keyspace, number.to_be_bytes(), bytes);
        while self.next - self.oldest > LEDGER_LINES_MAX as u64 {
            change.remove(&self.keyspace, self.oldest.to_be_bytes());
            self.oldest += 1;
        }
    }

    /// All lines, oldest first; totals per sink are in its state and outlive the lines.
    pub fn lines(&self) -> Vec<GapLine> {
        let from = self.oldest.to_be_bytes();
        self.keyspace
            .range(from..)
            .filter_map(|guard| guard.value().ok())
            .filter_map(|value| postcard::from_bytes(&value).ok())
            .collect()
    }
}
