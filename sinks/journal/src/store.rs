//! The store: one fjall database per node, owned by one writer.
//!
//! ```text
//! keyspace        key                        value
//! meta            format                     u8
//!                 incarnation                16 random bytes, shared by a pair
//!                 epoch, running_hash        u32, u64 (big-endian)
//!                 place                      place of the last change (16), running hash u64
//!                 ends                       last positions of epochs before, 12 bytes each
//!                 x/<keyspace>               note: deleted with the last change
//!                 filling                    there while a copy of another node's store is not finished
//!                 next_sink                  u32: numbers of sinks are never given twice
//!                 n/<sink name>              sink id, u32
//!                 f/<sink id>                names it had before, each with the last position under it
//!                 s/<sink id>                SinkState
//!                 c/<sink id><chunk number>  Chunk
//!                 k/<sink id>                Checkpoint
//!                 p/<plan id>                plan bytes
//!                 configuration, b/<id>      programs, see configurations.rs
//!                 m/<source>/<name>          where a source stands, see bookmarks.rs
//!                 above, h/<plan id>, stays  of a store that is set aside, see aside.rs
//! ledger          line number, u64           GapLine
//! log.<n>         last position              log frame
//! j<sink id>.<n>  last cursor                journal frame
//! ```
//! Rules: a commit is one atomic write batch, synced. Records are numbered
//! before they are committed. An entry is never committed before its record.
//! Appends at or below `covered` are ignored, so replay after a crash is idempotent.

mod commit;
mod inspect;
mod open;
mod rename;
mod switch;
mod work;

pub(crate) use commit::split;
pub use inspect::Verified;
pub(crate) use open::{FOLDER, open_folder};
pub use rename::Renamed;
pub use switch::{Place, Prepared, Rename, Switch, Wanted};
pub(crate) use work::Size;
pub use work::{Block, Checkpoint, Committed, Delivered, LiveEntry, PassedOver, Rejected, Work};

use crate::change::Trail;
use crate::frame;
use crate::ledger::Ledger;
use crate::limits::{CHUNK_BYTES_MIN, SEGMENT_BYTES_MAX};
use crate::reader::{JournalReader, LogReader, PlanReader};
use crate::salvage::Salvaged;
use crate::segments::{Segments, keyspace_options};
use crate::sinks::{SinkJournal, SinkPolicy, SinkState};
use fjall::{Database, Keyspace};
use gwp_core::{Cursor, PlanId, Position, SinkId};
use gwp_redundancy::mirror;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Version of the store's layout.
pub(crate) const FORMAT: u8 = 1;

/// Key in `meta` while a copy is not finished: this is no store.
pub(crate) const FILLING: &str = "filling";
/// Key in `meta`: entries up to this position are delivered as backfill.
const BACKFILL: &str = "backfill";

/// Sizes that suit a store; tests make them small to see many segments and chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreOptions {
    /// A segment of the log or of a journal is closed at this size.
    pub segment_bytes_max: u64,
    /// Pending entries are accounted, dropped and copied in pieces of at least this size.
    pub chunk_bytes_min: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { segment_bytes_max: SEGMENT_BYTES_MAX, chunk_bytes_min: CHUNK_BYTES_MIN }
    }
}

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the data directory {path} cannot be used")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("the data directory {path} is in use by another gwp")]
    Locked { path: PathBuf },
    #[error(
        "the store has layout {found}, this program knows {FORMAT}: use the version of gwp that wrote it"
    )]
    Format { found: u8 },
    #[error("the disk refused a write; the store must be opened anew")]
    Poisoned(#[source] fjall::Error),
    #[error("the store cannot be read or written")]
    Database(#[from] fjall::Error),
    #[error("the store holds damaged data: {0}")]
    Damaged(String),
    #[error("the store is a copy that was not finished: it goes on once the other node is there")]
    Unfinished,
    #[error("epoch {epoch} is over: the store has seen {last}")]
    EpochOver { epoch: u32, last: u32 },
}

/// The store. Not shared: its owner is the writer thread.
pub struct Store {
    pub(crate) db: Database,
    pub(crate) trail: Trail,
    pub(crate) meta: Keyspace,
    pub(crate) ledger: Ledger,
    pub(crate) log: Segments,
    pub(crate) sinks: BTreeMap<SinkId, SinkJournal>,
    /// Checkpoints of the sinks of the running plan: what the log must be kept for.
    pub(crate) needed_from: BTreeMap<SinkId, Position>,
    options: StoreOptions,
    incarnation: [u8; 16],
    epoch: u32,
    running_hash: u64,
    plan: PlanId,
    durable: Position,
    /// Stored bytes per sample of recent log frames, for the share of references.
    pub(crate) sample_bytes: f64,
}

/// What [`Store::open`] found.
pub struct Opened {
    pub store: Store,
    /// Set when the last batch was torn and had to be cut off.
    pub salvaged: Option<Salvaged>,
}

impl Store {
    pub(crate) fn load(db: Database, options: StoreOptions) -> Result<Store, StoreError> {
        let meta = db.keyspace("meta", keyspace_options)?;
        if meta.contains_key(FILLING)? {
            return Err(StoreError::Unfinished);
        }
        let mut trail = Trail::load(&db, &meta)?;
        match meta.get("format")?.map(|value| value.to_vec()) {
            None => {
                let mut change = trail.begin();
                change.insert(&meta, "format", [FORMAT]);
                change.insert(&meta, "incarnation", random_16());
                trail.commit(change)?;
            }
            Some(found) if found == [FORMAT] => {}
            Some(found) => return Err(StoreError::Format { found: found.first().copied().unwrap_or(0) }),
        }
        let incarnation = fixed(&meta, "incarnation")?;
        let epoch = fixed(&meta, "epoch")?.map_or(0, u32::from_be_bytes);
        let running_hash = fixed(&meta, "running_hash")?.map_or(0, u64::from_be_bytes);
        let log = Segments::open(&db, "log", options.segment_bytes_max)?;
        let durable = log.upto().position;
        let mut store = Store {
            ledger: Ledger::open(&db)?,
            sinks: BTreeMap::new(),
            needed_from: BTreeMap::new(),
            options,
            incarnation: incarnation.ok_or_else(|| StoreError::Damaged("no incarnation".into()))?,
            epoch,
            running_hash,
            plan: PlanId::default(),
            durable,
            sample_bytes: 6.0,
            log,
            trail,
            meta,
            db,
        };
        store.load_sinks()?;
        store.plan = store.last_plan()?;
        Ok(store)
    }

    fn load_sinks(&mut self) -> Result<(), StoreError> {
        for guard in self.meta.prefix("n/") {
            let (key, value) = guard.into_inner()?;
            let id = value[..].try_into().map(u32::from_be_bytes);
            let (Ok(id), Ok(name)) = (id, std::str::from_utf8(&key[2..])) else {
                return Err(StoreError::Damaged("the list of sinks".into()));
            };
            let sink = SinkJournal::load(&self.db, &self.meta, SinkId(id), name.into(), &self.options)?;
            self.sinks.insert(SinkId(id), sink);
        }
        self.delete_forgotten()
    }

    /// The plan in force at the end of the log.
    fn last_plan(&self) -> Result<PlanId, StoreError> {
        let last = self.log.list().into_iter().rev().find_map(|segment| segment.keyspace.last_key_value());
        let Some(last) = last else { return Ok(PlanId::default()) };
        let frame = last.value()?;
        let header = frame::open_frame(&frame).map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(header.plan)
    }

    /// Random number of this store, shared by a pair.
    pub fn incarnation(&self) -> [u8; 16] {
        self.incarnation
    }

    /// Epoch of the last activation.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The log is durable up to here.
    pub fn durable(&self) -> Position {
        self.durable
    }

    /// Place of the newest change.
    pub fn place(&self) -> mirror::Place {
        self.trail.place()
    }

    /// Hash over all log frames so far.
    pub fn running_hash(&self) -> u64 {
        self.running_hash
    }

    /// Plan in force at the end of the log; zero in an empty store.
    pub fn plan(&self) -> PlanId {
        self.plan
    }

    /// Highest epoch that was ever begun or logged here; 0 = none.
    pub fn last_epoch(&self) -> u32 {
        self.epoch.max(self.durable.epoch)
    }

    /// Keeps the epoch of a new activation; it is above [`Store::last_epoch`], or that very one, begun
    /// and not yet written in.
    ///
    /// # Errors
    /// The write failed. The epoch is over: positions would be given twice.
    pub fn begin_epoch(&mut self, epoch: u32) -> Result<(), StoreError> {
        if epoch <= self.durable.epoch || epoch < self.epoch {
            return Err(StoreError::EpochOver { epoch, last: self.last_epoch() });
        }
        self.epoch = epoch;
        let mut change = self.trail.begin();
        change.insert(&self.meta, "epoch", self.epoch.to_be_bytes());
        self.trail.commit(change)
    }

    /// Flags all that is not delivered yet, whoever delivers it: newer samples may have been delivered than what is here.
    ///
    /// # Errors
    /// The write failed.
    pub fn flag_backfill(&mut self) -> Result<(), StoreError> {
        let Position { epoch, seq } = self.durable;
        let mut change = self.trail.begin();
        change.insert(&self.meta, BACKFILL, [&epoch.to_be_bytes()[..], &seq.to_be_bytes()].concat());
        self.trail.commit(change)
    }

    /// Entries up to here are delivered as backfill ([`Batch::backfill`](gwp_core::Batch::backfill)).
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn backfill_upto(&self) -> Result<Position, StoreError> {
        let kept: Option<[u8; 12]> = fixed(&self.meta, BACKFILL)?;
        Ok(kept.map_or(Position::ZERO, |bytes| {
            let (epoch, seq) = bytes.split_at(4);
            let number =
                |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            Position::new(number(epoch) as u32, number(seq))
        }))
    }

    /// Keeps a plan; one that is known already costs nothing.
    ///
    /// # Errors
    /// The write failed.
    pub fn put_plan(&mut self, id: PlanId, bytes: &[u8]) -> Result<(), StoreError> {
        let key = plan_key(id);
        if self.meta.contains_key(&key)? {
            return Ok(());
        }
        let mut change = self.trail.begin();
        change.insert(&self.meta, key, bytes);
        self.trail.commit(change)
    }

    /// A reader of the plans that are kept.
    pub fn plan_reader(&self) -> PlanReader {
        PlanReader::new(self.meta.clone())
    }

    /// Makes a sink of the running plan known: its number, and from where its lane goes on.
    ///
    /// # Errors
    /// The read or write failed, or its checkpoint is damaged.
    pub fn register(&mut self, name: &str, policy: SinkPolicy) -> Result<Registered, StoreError> {
        let id = match self.sinks.values().find(|sink| &*sink.name == name) {
            Some(sink) => sink.id,
            None => self.add_sink(name, policy)?,
        };
        let registered = self.registered(id)?;
        if let Some(sink) = self.sinks.get_mut(&id) {
            sink.changed |= sink.state.policy != policy;
            sink.state.policy = policy;
            sink.publish();
        }
        Ok(registered)
    }

    /// Where the lane of a sink goes on; from there on the log is kept for it.
    fn registered(&mut self, id: SinkId) -> Result<Registered, StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("{what} of sink {}", id.0));
        let checkpoint = match self.meta.get(checkpoint_key(id))? {
            Some(bytes) => Some(
                postcard::from_bytes::<Checkpoint>(&bytes)
                    .map_err(|error| damaged(&format!("checkpoint ({error})")))?,
            ),
            None => None,
        };
        let Some(sink) = self.sinks.get(&id) else { return Err(damaged("journal")) };
        // Without a checkpoint its lane computes again from where it began: what it had
        // not covered yet when the node died is in the log only.
        let from = checkpoint.as_ref().map_or(sink.state.since, |checkpoint| checkpoint.position);
        self.needed_from.insert(id, from);
        Ok(Registered { id, checkpoint, from, shared: sink.shared.clone() })
    }

    /// A new sink begins with the records that come from now on.
    fn add_sink(&mut self, name: &str, policy: SinkPolicy) -> Result<SinkId, StoreError> {
        let next = fixed(&self.meta, "next_sink")?.map_or(1, u32::from_be_bytes);
        let id = SinkId(self.sinks.keys().map(|id| id.0 + 1).max().unwrap_or(1).max(next));
        let mut sink = SinkJournal::load(&self.db, &self.meta, id, name.into(), &self.options)?;
        sink.state = SinkState { policy, since: self.durable, covered: self.durable, ..SinkState::default() };
        sink.changed = true;
        let mut change = self.trail.begin();
        change.insert(&self.meta, "next_sink", (id.0 + 1).to_be_bytes());
        change.insert(&self.meta, format!("n/{name}"), id.0.to_be_bytes());
        sink.put_state(&mut change, &self.meta);
        self.trail.commit(change)?;
        self.sinks.insert(id, sink);
        Ok(id)
    }

    /// Whether the log is kept for a sink.
    pub fn is_registered(&self, sink: SinkId) -> bool {
        self.needed_from.contains_key(&sink)
    }

    /// A reader of the log; any number may read while the writer writes.
    pub fn log_reader(&self) -> LogReader {
        LogReader::new(self.log.shared())
    }

    /// A reader of a sink's journal.
    pub fn journal_reader(&self, sink: SinkId) -> Option<JournalReader> {
        Some(JournalReader::new(self.sinks.get(&sink)?.segments.shared(), self.log_reader()))
    }

    /// All sinks the store has journals of.
    pub fn sinks(&self) -> impl Iterator<Item = &SinkJournal> {
        self.sinks.values()
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes of the log on disk.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Position of the oldest record that is kept, exclusive, and the newest.
    pub fn log_span(&self) -> (Option<Cursor>, Position) {
        let first = self.log.list().into_iter().find_map(|segment| segment.keyspace.first_key_value());
        let header =
            first.and_then(|guard| guard.value().ok()).and_then(|frame| frame::open_frame(&frame).ok());
        (header.map(|header| header.from), self.durable)
    }
}

/// What [`Store::register`] tells of a sink.
pub struct Registered {
    pub id: SinkId,
    pub checkpoint: Option<Checkpoint>,
    /// Its lane goes on with the record after this one.
    pub from: Position,
    pub shared: Arc<crate::sinks::SinkShared>,
}

pub(crate) fn fixed<const N: usize>(meta: &Keyspace, key: &str) -> Result<Option<[u8; N]>, StoreError> {
    match meta.get(key)? {
        None => Ok(None),
        Some(value) => {
            value[..].try_into().map(Some).map_err(|_| StoreError::Damaged(format!("`{key}` in meta")))
        }
    }
}

pub(crate) fn plan_key(id: PlanId) -> String {
    format!("p/{id}")
}

fn checkpoint_key(id: SinkId) -> Vec<u8> {
    [b"k/".as_slice(), &id.0.to_be_bytes()].concat()
}

/// 16 bytes nobody else has. The standard library seeds its hashers from the
/// operating system's random source; two of them with the time and the process
/// id folded in serve for an identity (it is no secret).
fn random_16() -> [u8; 16] {
    use std::hash::{BuildHasher, Hasher};
    let mut out = [0; 16];
    for half in out.chunks_mut(8) {
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    out
}

#[cfg(test)]
mod damage;
#[cfg(test)]
pub(crate) mod model;
