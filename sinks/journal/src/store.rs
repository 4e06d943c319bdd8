//! The store: one fjall database per node, owned by one writer.
//!
//! ```text
//! keyspace        key                        value
//! meta            format                     u8
//!                 incarnation                16 random bytes, shared by a pair
//!                 epoch, running_hash        u32, u64 (big-endian)
//!                 n/<sink name>              sink id, u32
//!                 s/<sink id>                SinkState
//!                 c/<sink id><chunk number>  Chunk
//!                 k/<sink id>                Checkpoint
//!                 p/<plan id>                plan bytes
//! ledger          line number, u64           GapLine
//! log.<n>         last position              log frame
//! j<sink id>.<n>  last cursor                journal frame
//! ```
//! Rules: a commit is one atomic write batch, synced. Records are numbered
//! before they are committed. An entry is never committed before its record.
//! Appends at or below `covered` are ignored, so replay after a crash is idempotent.

use crate::frame::{self, Content, JournalEntry};
use crate::ledger::Ledger;
use crate::limits::{CACHE_BYTES, CHUNK_BYTES_MIN, FRAME_BYTES_MAX, SEGMENT_BYTES_MAX, WRITE_AHEAD_BYTES};
use crate::reader::{JournalReader, LogReader, PlanReader};
use crate::salvage::{self, Salvaged};
use crate::segments::{Segments, keyspace_options};
use crate::sinks::{SinkJournal, SinkPolicy, SinkState};
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use gwp_core::{Batch, Cursor, Fact, PlanId, Position, Record, SinkId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the store's layout.
const FORMAT: u8 = 1;

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
}

/// One group commit.
#[derive(Default, Debug)]
pub struct Work {
    /// In order of position.
    pub records: Vec<Arc<Record>>,
    pub blocks: Vec<Block>,
    pub delivered: BTreeMap<SinkId, Delivered>,
    pub rejected: Vec<(SinkId, Rejected)>,
    pub checkpoints: BTreeMap<SinkId, Checkpoint>,
}

impl Work {
    /// Nothing that asks for a commit of its own.
    pub fn only_rides(&self) -> bool {
        self.records.is_empty() && self.blocks.is_empty() && self.rejected.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.only_rides() && self.delivered.is_empty() && self.checkpoints.is_empty()
    }
}

/// Entries of one sink, in order, and how far its lane has come with them.
#[derive(Clone, Debug)]
pub struct Block {
    pub sink: SinkId,
    pub plan: PlanId,
    pub entries: Vec<LiveEntry>,
    /// The lane is complete up to here.
    pub covered: Position,
}

/// An entry with its samples at hand, as delivery in step takes it.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    pub entry: JournalEntry,
    pub batch: Arc<Batch>,
}

/// What a destination has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub upto: Cursor,
    /// Samples acknowledged since the last report.
    pub samples: u64,
}

/// What a destination has refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub from: Cursor,
    pub upto: Cursor,
    pub samples: u64,
}

/// State of a lane at a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub position: Position,
    pub plan: PlanId,
    pub state: Vec<u8>,
}

/// What [`Store::verify`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    /// Samples of those records.
    pub samples: u64,
    /// Journal entries that wait for delivery.
    pub entries: u64,
    /// Samples of those entries.
    pub pending: u64,
}

/// Bytes read in one go while verifying.
const VERIFY_BYTES: usize = 1 << 20;

/// What a commit has made durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// The log is durable up to here.
    pub upto: Position,
    /// Blocks with the entries that were appended (not those dropped or known).
    pub blocks: Vec<Block>,
}

/// The store. Not shared: its owner is the writer thread.
pub struct Store {
    pub(crate) db: Database,
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
    /// Opens or creates the store in `dir`, mending a torn last batch.
    ///
    /// # Errors
    /// The directory cannot be used, another process holds it, or its data is of
    /// another layout or damaged beyond the last batch.
    pub fn open(dir: &Path) -> Result<Opened, StoreError> {
        Store::open_with(dir, StoreOptions::default())
    }

    /// [`Store::open`] with other sizes.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(dir: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
        let usable = |source| StoreError::Directory { path: dir.into(), source };
        std::fs::create_dir_all(dir).map_err(usable)?;
        let path = dir.join("store");
        let (db, salvaged) = match open_database(&path) {
            Ok(db) => (db, None),
            Err(fjall::Error::JournalRecovery(error)) => {
                tracing::error!(%error, "the store's last batch is torn; cutting back to the last whole one");
                let salvaged = salvage::cut_torn_batch(&path).map_err(usable)?;
                (open_database(&path).map_err(|error| open_error(error, dir))?, Some(salvaged))
            }
            Err(error) => return Err(open_error(error, dir)),
        };
        let store = Store::load(db, options)?;
        Ok(Opened { store, salvaged })
    }

    fn load(db: Database, options: StoreOptions) -> Result<Store, StoreError> {
        let meta = db.keyspace("meta", keyspace_options)?;
        match meta.get("format")?.map(|value| value.to_vec()) {
            None => {
                let mut batch = db.batch().durability(Some(PersistMode::SyncData));
                batch.insert(&meta, "format", [FORMAT]);
                batch.insert(&meta, "incarnation", random_16());
                batch.commit()?;
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
        Ok(())
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

    /// Hash over all log frames so far.
    pub fn running_hash(&self) -> u64 {
        self.running_hash
    }

    /// Plan in force at the end of the log; zero in an empty store.
    pub fn plan(&self) -> PlanId {
        self.plan
    }

    /// Raises and keeps the epoch: each activation or restart has its own.
    ///
    /// # Errors
    /// The write failed.
    pub fn next_epoch(&mut self) -> Result<u32, StoreError> {
        self.epoch = self.epoch.max(self.durable.epoch) + 1;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, "epoch", self.epoch.to_be_bytes());
        commit(batch)?;
        Ok(self.epoch)
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
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, key, bytes);
        commit(batch)
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
        let checkpoint = match self.meta.get(checkpoint_key(id))? {
            Some(bytes) => Some(
                postcard::from_bytes::<Checkpoint>(&bytes)
                    .map_err(|error| StoreError::Damaged(format!("checkpoint of `{name}`: {error}")))?,
            ),
            None => None,
        };
        let Some(sink) = self.sinks.get_mut(&id) else {
            return Err(StoreError::Damaged(format!("sink `{name}`")));
        };
        // Without a checkpoint its lane computes again from where it began: what it had
        // not covered yet when the node died is in the log only.
        let from = checkpoint.as_ref().map_or(sink.state.since, |checkpoint| checkpoint.position);
        self.needed_from.insert(id, from);
        sink.changed |= sink.state.policy != policy;
        sink.state.policy = policy;
        sink.publish();
        Ok(Registered { id, checkpoint, from, shared: sink.shared.clone() })
    }

    /// A new sink begins with the records that come from now on.
    fn add_sink(&mut self, name: &str, policy: SinkPolicy) -> Result<SinkId, StoreError> {
        let id = SinkId(self.sinks.keys().map(|id| id.0 + 1).max().unwrap_or(1));
        let mut sink = SinkJournal::load(&self.db, &self.meta, id, name.into(), &self.options)?;
        sink.state = SinkState { policy, since: self.durable, covered: self.durable, ..SinkState::default() };
        sink.changed = true;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, format!("n/{name}"), id.0.to_be_bytes());
        sink.put_state(&mut batch, &self.meta);
        commit(batch)?;
        self.sinks.insert(id, sink);
        Ok(id)
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

    /// Reads every frame of the log and every entry that waits, with its samples.
    ///
    /// # Errors
    /// The first damaged frame or broken reference.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let mut log = self.log_reader();
        let mut at = Position::ZERO;
        loop {
            let records = log.records_after(at, VERIFY_BYTES)?;
            let Some((_, last)) = records.last() else { break };
            if let Some(pair) = records.windows(2).find(|pair| pair[1].1.position <= pair[0].1.position) {
                let position = pair[1].1.position;
                return Err(StoreError::Damaged(format!("record {position} stands out of order")));
            }
            at = last.position;
            verified.records += records.len() as u64;
            verified.samples += records.iter().map(|(_, record)| record.samples() as u64).sum::<u64>();
        }
        for sink in self.sinks.values() {
            let Some(mut reader) = self.journal_reader(sink.id) else { continue };
            let mut at = sink.floor();
            loop {
                let entries = reader.entries_after(at, VERIFY_BYTES)?;
                let Some((_, last)) = entries.last() else { break };
                at = last.entry.cursor;
                verified.entries += entries.len() as u64;
                verified.pending += entries.iter().map(|(_, live)| live.batch.len() as u64).sum::<u64>();
            }
        }
        Ok(verified)
    }

    /// Newest time in the log: gateway time never goes back behind it.
    ///
    /// # Errors
    /// One of the newest frames is damaged.
    pub fn last_time(&self) -> Result<Option<Timestamp>, StoreError> {
        // The newest frame may hold nothing but samples with times of the device.
        for segment in self.log.list().into_iter().rev() {
            for guard in segment.keyspace.iter().rev() {
                let records = frame::decode_log(
                    &guard.value()?,
                    Position::ZERO,
                    &mut crate::codec::TagLists::default(),
                )
                .map_err(|error| StoreError::Damaged(error.to_string()))?;
                let newest = records.iter().filter_map(|record| newest_time(&record.fact)).max();
                if newest.is_some() {
                    return Ok(newest);
                }
            }
        }
        Ok(None)
    }

    /// Makes one group commit durable.
    ///
    /// # Errors
    /// The disk refused: the store must be dropped and opened anew, nothing may be retried.
    pub fn commit(&mut self, work: Work, now: Timestamp) -> Result<Committed, StoreError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        self.put_records(&mut batch, &work.records)?;
        let mut blocks = Vec::with_capacity(work.blocks.len());
        for block in work.blocks {
            if let Some(block) = self.put_block(&mut batch, block, now)? {
                blocks.push(block);
            }
        }
        for (id, rejected) in &work.rejected {
            if let Some(sink) = self.sinks.get_mut(id) {
                sink.rejected(&mut batch, &mut self.ledger, *rejected, now);
            }
        }
        for (id, delivered) in &work.delivered {
            if let Some(sink) = self.sinks.get_mut(id) {
                sink.delivered(&mut batch, &self.meta, *delivered);
            }
        }
        for (id, checkpoint) in &work.checkpoints {
            // Plain data into a growing buffer cannot fail.
            let bytes = postcard::to_stdvec(checkpoint).expect("a checkpoint can always be encoded");
            batch.insert(&self.meta, checkpoint_key(*id), bytes);
        }
        for sink in self.sinks.values_mut() {
            sink.put_state(&mut batch, &self.meta);
        }
        commit(batch)?;
        for (id, checkpoint) in work.checkpoints {
            self.needed_from.insert(id, checkpoint.position);
        }
        if let Some(last) = work.records.last() {
            self.durable = last.position;
        }
        self.sinks.values().for_each(SinkJournal::publish);
        Ok(Committed { upto: self.durable, blocks })
    }

    /// Records as frames, a new one at each change of the plan.
    fn put_records(
        &mut self,
        batch: &mut OwnedWriteBatch,
        records: &[Arc<Record>],
    ) -> Result<(), StoreError> {
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
                self.log.append(&self.db, batch, upto, frame)?;
            }
        }
        if !records.is_empty() {
            batch.insert(&self.meta, "running_hash", self.running_hash.to_be_bytes());
        }
        Ok(())
    }

    /// Entries of a sink; gives back what was appended.
    fn put_block(
        &mut self,
        batch: &mut OwnedWriteBatch,
        mut block: Block,
        now: Timestamp,
    ) -> Result<Option<Block>, StoreError> {
        let Some(sink) = self.sinks.get_mut(&block.sink) else { return Ok(None) };
        let known = Cursor::complete(sink.state.covered);
        block.entries.retain(|live| live.entry.cursor > known);
        let size = Size::of(&block.entries, self.sample_bytes);
        if sink.refuses(size.bytes) {
            sink.refuse(batch, &mut self.ledger, &block.entries, size, now);
            block.entries.clear();
        }
        // A block may reach over the end of a segment of the log: each of them is held
        // by what points into it.
        let home = |live: &LiveEntry| self.log.holding(Cursor::complete(live.entry.cursor.position));
        for run in block.entries.chunk_by(|a, b| home(a) == home(b)) {
            let log_segment = home(&run[0]);
            sink.append_block(&self.db, batch, block.plan, run, self.sample_bytes, log_segment, now)?;
        }
        sink.state.covered = block.covered.max(sink.state.covered);
        sink.changed = true;
        sink.drop_what_must_go(batch, &self.meta, &mut self.ledger, now);
        let floor = sink.floor();
        block.entries.retain(|live| live.entry.cursor > floor);
        Ok(Some(block))
    }
}

/// Samples and accounted bytes of some entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub samples: u64,
    /// Own bytes and the share of the log that references hold.
    pub bytes: u64,
    pub referenced: u64,
}

impl Size {
    pub(crate) fn of(entries: &[LiveEntry], sample_bytes: f64) -> Size {
        let mut size = Size::default();
        for live in entries {
            let samples = u64::from(live.entry.samples);
            let share = (samples as f64 * sample_bytes) as u64 + 24;
            size.samples += samples;
            size.bytes += share;
            if matches!(live.entry.content, Content::Reference { .. }) {
                size.referenced += share;
            }
        }
        size
    }
}

fn newest_time(fact: &Fact) -> Option<Timestamp> {
    match fact {
        Fact::Activated { anchor: time, .. } | Fact::Tick { now: time } | Fact::Anchor { now: time } => {
            Some(*time)
        }
        Fact::Failed { time, .. } => Some(*time),
        // Times the device gave may be anything; slot times are the gateway's own.
        Fact::Samples { batch, .. } => match batch.times {
            gwp_core::Times::Same(time) if batch.group != gwp_core::GroupId::NONE => Some(time),
            _ => None,
        },
        Fact::Configured { .. } => None,
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

fn open_database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(WRITE_AHEAD_BYTES)
        .worker_threads(1)
        .open()
}

fn open_error(error: fjall::Error, dir: &Path) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Locked { path: dir.into() },
        fjall::Error::Io(source) => StoreError::Directory { path: dir.into(), source },
        error => StoreError::Database(error),
    }
}

/// A failed commit poisons the database: nothing of it may be believed until it is opened anew.
fn commit(batch: OwnedWriteBatch) -> Result<(), StoreError> {
    batch.commit().map_err(StoreError::Poisoned)
}

fn fixed<const N: usize>(meta: &Keyspace, key: &str) -> Result<Option<[u8; N]>, StoreError> {
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
mod model;
