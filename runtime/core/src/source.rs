//! Contract of a driver and its sources.
//!
//! A [`Driver`] checks declarations (pure, all errors at once) and prepares
//! sources; a [`Source`] runs one connection until it is stopped. A fault of a
//! device is data (a bad quality), never an error of the source.

use crate::command::{Command, CommandFault, Commands};
use crate::edge::{Credit, Edge, Receipt};
use crate::limits::{BATCH_SAMPLES_MAX, BOOKMARK_BYTES_MAX, BOOKMARKS_MAX};
use crate::manifest::{Declaration, Manifest, SettingError, Settings};
use crate::record::SlotMark;
use crate::stop::{Stop, StopSource, stop_pair};
use crate::{Batch, BoxFuture, Clock, GroupId, Quality, TagId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// IEC 61131-3 types a tag can have at the device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PlcType {
    Bool,
    Byte,
    Sint,
    Usint,
    Int,
    Uint,
    Word,
    Dint,
    Udint,
    Dword,
    Lint,
    Ulint,
    Lword,
    Real,
    Lreal,
    String,
    Time,
}

impl PlcType {
    pub const ALL: [PlcType; 17] = [
        PlcType::Bool,
        PlcType::Byte,
        PlcType::Sint,
        PlcType::Usint,
        PlcType::Int,
        PlcType::Uint,
        PlcType::Word,
        PlcType::Dint,
        PlcType::Udint,
        PlcType::Dword,
        PlcType::Lint,
        PlcType::Ulint,
        PlcType::Lword,
        PlcType::Real,
        PlcType::Lreal,
        PlcType::String,
        PlcType::Time,
    ];

    /// The word in a program.
    pub const fn word(self) -> &'static str {
        match self {
            PlcType::Bool => "bool",
            PlcType::Byte => "byte",
            PlcType::Sint => "sint",
            PlcType::Usint => "usint",
            PlcType::Int => "int",
            PlcType::Uint => "uint",
            PlcType::Word => "word",
            PlcType::Dint => "dint",
            PlcType::Udint => "udint",
            PlcType::Dword => "dword",
            PlcType::Lint => "lint",
            PlcType::Ulint => "ulint",
            PlcType::Lword => "lword",
            PlcType::Real => "real",
            PlcType::Lreal => "lreal",
            PlcType::String => "string",
            PlcType::Time => "time",
        }
    }

    /// Width in bits; 0 for strings, whose length the address gives.
    pub const fn bits(self) -> usize {
        match self {
            PlcType::Bool => 1,
            PlcType::Byte | PlcType::Sint | PlcType::Usint => 8,
            PlcType::Int | PlcType::Uint | PlcType::Word => 16,
            PlcType::Dint | PlcType::Udint | PlcType::Dword | PlcType::Real => 32,
            PlcType::Lint | PlcType::Ulint | PlcType::Lword | PlcType::Lreal | PlcType::Time => 64,
            PlcType::String => 0,
        }
    }

    /// Smallest and largest whole number it holds; `None` for types that are no whole numbers.
    pub const fn whole_bounds(self) -> Option<(i128, i128)> {
        match self {
            PlcType::Byte
            | PlcType::Usint
            | PlcType::Uint
            | PlcType::Word
            | PlcType::Udint
            | PlcType::Dword
            | PlcType::Ulint
            | PlcType::Lword => Some((0, (1 << self.bits()) - 1)),
            PlcType::Sint | PlcType::Int | PlcType::Dint | PlcType::Lint => {
                Some((-(1 << (self.bits() - 1)), (1 << (self.bits() - 1)) - 1))
            }
            PlcType::Bool | PlcType::Real | PlcType::Lreal | PlcType::String | PlcType::Time => None,
        }
    }

    /// Kind of the value a sample of this type has before scaling.
    pub const fn kind(self) -> crate::Kind {
        match self {
            PlcType::Bool => crate::Kind::Bool,
            PlcType::Ulint | PlcType::Lword => crate::Kind::UInt,
            PlcType::Real | PlcType::Lreal => crate::Kind::Float,
            PlcType::String => crate::Kind::Text,
            PlcType::Time => crate::Kind::Time,
            _ => crate::Kind::Int,
        }
    }
}

impl fmt::Display for PlcType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Everything a driver is told of one `source`.
#[derive(Clone, Debug)]
pub struct SourceDeclaration {
    pub item: Declaration,
    /// Poll groups: one per device (or connection) and scan class, at most
    /// [`BATCH_SAMPLES_MAX`](crate::limits::BATCH_SAMPLES_MAX) points each.
    pub groups: Vec<GroupDeclaration>,
    /// `time = device`: samples carry the device's own time stamps.
    pub device_time: bool,
}

/// One poll group.
#[derive(Clone, Debug)]
pub struct GroupDeclaration {
    pub id: GroupId,
    /// Device it belongs to; the source's own name for tags directly in the source.
    pub device: Arc<str>,
    /// Settings of that device, defaults filled in.
    pub device_settings: Settings,
    /// Period of its scan slots in nanoseconds; 0 = not polled.
    pub period_ns: i64,
    /// Offset of its slots on the grid in nanoseconds (staggering within one link).
    pub phase_ns: i64,
    /// Tags of its full batch, in the order of `points`.
    pub tags: Arc<[TagId]>,
    pub points: Vec<PointDeclaration>,
}

/// One tag as the driver sees it.
#[derive(Clone, Debug)]
pub struct PointDeclaration {
    /// `device.tag`, for messages.
    pub path: Arc<str>,
    pub address: Arc<str>,
    pub plc_type: PlcType,
    pub writable: bool,
    /// Its samples are the commands of a `write`: each counts once and only while it is fresh.
    pub command: bool,
}

/// A protocol: one per name in the catalog.
pub trait Driver: Send + Sync {
    fn manifest(&self) -> &'static Manifest;

    /// All that is wrong with a declaration. Pure: no I/O, no clock. Settings that
    /// are still `secret()` or `node()` references are taken as right.
    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError>;

    /// A source ready to run.
    ///
    /// # Errors
    /// Everything [`Driver::check`] finds, once references are resolved.
    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>>;

    /// Requests each poll group needs per slot and their share of the link, for `gwp plan`.
    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad>;
}

/// What reading one poll group once costs.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct GroupLoad {
    pub requests: usize,
    /// Bytes on the wire, requests and answers.
    pub bytes: usize,
    /// Time on the link in nanoseconds, as far as it can be computed (baud rate, frame gaps); else 0.
    pub link_ns: i64,
}

/// One connection.
pub trait Source: Send + Sync {
    /// Runs until stopped (`Ok`) or until it has to be started anew (`Err`).
    fn run<'a>(&'a self, cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>>;

    /// Tries, while nothing of it runs, whether what it needs of this machine can be had (a port, a file): a plan
    /// that cannot have it is not put in force. Devices that do not answer are no reason; leaves nothing behind.
    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Why a source has to be started anew. The engine waits with back-off and runs it again.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    pub message: String,
}

/// What a running source is given.
#[derive(Clone)]
pub struct SourceContext {
    pub outlet: Outlet,
    pub clock: Arc<dyn Clock>,
    pub stop: Stop,
    pub meter: Arc<SourceMeter>,
    /// Values to write into its devices.
    pub commands: Commands,
    /// Groups without slots whose tags turn bad when the connection breaks; those with slots
    /// turn bad in their next one.
    pub unpolled: Arc<[(GroupId, Arc<[TagId]>)]>,
}

/// Counters a source keeps; read by status and metrics.
#[derive(Debug, Default)]
pub struct SourceMeter {
    pub requests: AtomicU64,
    pub timeouts: AtomicU64,
    /// Answers that were refused, malformed or an exception.
    pub errors: AtomicU64,
    pub connects: AtomicU64,
    /// Slots that could not be polled because the one before was still running.
    pub slots_skipped: AtomicU64,
    pub slots_failed: AtomicU64,
    /// Devices that are silent now and only probed.
    pub devices_silent: AtomicU64,
    /// 1 while connected.
    pub connected: AtomicU64,
}

/// What a source hands over.
#[derive(Debug)]
pub enum Emission {
    /// A due slot, read or failed for the first time; or unsolicited samples ([`GroupId::NONE`]).
    Samples { slot: SlotMark, batch: Batch },
    /// A due slot that failed like the one before.
    Failed { group: GroupId, slot: SlotMark, time: Timestamp, why: Quality },
    /// The connection came up or broke: the built-in tag `connected`.
    Connected { up: bool, time: Timestamp },
    /// Where the source stands, see [`Outlet::set_bookmark`].
    Bookmark { name: &'static str, bytes: Arc<[u8]> },
}

/// Name of the bookmark with the moment (nanoseconds since 1970, big-endian) from which on all tags of a source that
/// sets bookmarks are bad because of its connection, or of its end. The source clears it when they are good again.
pub const BROKEN: &str = "broken";

/// What a source said last of where it stands, by name.
pub type Bookmarks = BTreeMap<String, Arc<[u8]>>;

/// What a source has from the one before it.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Last slot of each poll group that a record accounts for.
    pub slots: BTreeMap<GroupId, u64>,
    pub bookmarks: Bookmarks,
}

type Hand = dyn Fn(Emission, Credit) + Send + Sync;

/// The way out of a source: a bounded edge to the sequencer.
#[derive(Clone)]
pub struct Outlet {
    edge: Edge,
    hand: Arc<Hand>,
    /// Last slot of each poll group that a record accounts for.
    accounted: Arc<Mutex<BTreeMap<GroupId, u64>>>,
    bookmarks: Arc<Mutex<Bookmarks>>,
    /// Slots are let pass until this is stopped.
    held: Option<Stop>,
}

impl Outlet {
    /// An outlet that passes each emission with its credit to `hand`, which must not block.
    pub fn new(edge: Edge, hand: Arc<Hand>) -> Self {
        Outlet { edge, hand, accounted: Arc::default(), bookmarks: Arc::default(), held: None }
    }

    /// One whose source connects and reads no slot until the other end is stopped: `standby = warm`.
    pub fn held(self) -> (Self, StopSource) {
        let (release, held) = stop_pair();
        (Outlet { held: Some(held), ..self }, release)
    }

    /// Completes when slots are to be read.
    pub async fn released(&self) {
        if let Some(held) = &self.held {
            held.clone().stopped().await;
        }
    }

    /// The last slot of a group that a record accounts for. Before its first record that is
    /// `passed`, the newest slot that had passed when this was asked first.
    ///
    /// It outlives a run of the source: the next run goes on after it, so that the slots
    /// between two runs are in the `skipped` count of its first record.
    pub fn accounted(&self, group: GroupId, passed: u64) -> u64 {
        *self.accounted.lock().unwrap_or_else(PoisonError::into_inner).entry(group).or_insert(passed)
    }

    /// All of them, by group.
    pub fn slots(&self) -> BTreeMap<GroupId, u64> {
        self.accounted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a source before it has left: this one goes on after that.
    pub fn go_on_after(&self, Carried { slots, bookmarks }: Carried) {
        *self.accounted.lock().unwrap_or_else(PoisonError::into_inner) = slots;
        *self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner) = bookmarks;
    }

    /// What the source said last of where it stands, in this process or in one before, on this node or, in a pair, on
    /// the other. Bytes of another version or another program are possible: whoever reads them says what they are for.
    pub fn bookmark(&self, name: &str) -> Option<Arc<[u8]>> {
        self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them.
    pub fn bookmarks(&self) -> Bookmarks {
        self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that all tags are bad from `time` on: a next run must make them good again.
    pub async fn set_broken(&self, time: Timestamp) {
        self.set_bookmark(BROKEN, time.0.to_be_bytes().as_slice().into()).await;
    }

    /// Since when they are.
    pub fn broken(&self) -> Option<Timestamp> {
        let bytes = self.bookmark(BROKEN)?;
        Some(Timestamp(i64::from_be_bytes(bytes[..].try_into().ok()?)))
    }

    /// Says where the source stands, for its next run: kept in the store with or after what was emitted before,
    /// never without it, and mirrored with that. What a device keeps for the gateway is named here: subscriptions,
    /// sequence numbers. No bytes = nothing to go on with. At most [`BOOKMARK_BYTES_MAX`], and
    /// [`BOOKMARKS_MAX`] names; more is not kept, and false.
    pub async fn set_bookmark(&self, name: &'static str, bytes: Arc<[u8]>) -> bool {
        {
            let mut bookmarks = self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = !bookmarks.contains_key(name);
            if bytes.len() > BOOKMARK_BYTES_MAX || (is_new && bookmarks.len() >= BOOKMARKS_MAX) {
                return false;
            }
            bookmarks.insert(name.to_owned(), bytes.clone());
        }
        self.emit(Emission::Bookmark { name, bytes }).await;
        true
    }

    fn account(&self, group: GroupId, slot: SlotMark) {
        // Samples between slots have number 0.
        if slot.number > 0 {
            self.accounted.lock().unwrap_or_else(PoisonError::into_inner).insert(group, slot.number);
        }
    }

    /// Hands over one emission; waits while the input log is behind. More samples than a
    /// batch may have go in several: the first one stands for the slot.
    pub async fn emit(&self, emission: Emission) {
        self.emit_all(emission, false).await;
    }

    /// As [`Outlet::emit`]; the receipt tells when the log holds it on disk.
    pub async fn emit_for_receipt(&self, emission: Emission) -> Option<Receipt> {
        self.emit_all(emission, true).await
    }

    /// Records become durable in order, so the receipt of the last part stands for all.
    async fn emit_all(&self, emission: Emission, wanted: bool) -> Option<Receipt> {
        match emission {
            Emission::Samples { slot, batch } if batch.len() > BATCH_SAMPLES_MAX => {
                let mut receipt = None;
                for (part, slot) in
                    parts(&batch).zip(iter::once(slot).chain(iter::repeat(SlotMark::default())))
                {
                    receipt = self.emit_one(Emission::Samples { slot, batch: part }, wanted).await;
                }
                receipt
            }
            emission => self.emit_one(emission, wanted).await,
        }
    }

    async fn emit_one(&self, emission: Emission, wanted: bool) -> Option<Receipt> {
        let (samples, payload) = match &emission {
            Emission::Samples { batch, .. } => (batch.len(), batch.payload()),
            Emission::Failed { .. } | Emission::Connected { .. } => (1, 0),
            Emission::Bookmark { bytes, .. } => (1, bytes.len()),
        };
        let mut credit = self.edge.acquire(samples, payload).await;
        let receipt = wanted.then(|| credit.receipt());
        match &emission {
            Emission::Samples { slot, batch } => self.account(batch.group, *slot),
            Emission::Failed { group, slot, .. } => self.account(*group, *slot),
            Emission::Connected { .. } | Emission::Bookmark { .. } => {}
        }
        (self.hand)(emission, credit);
        receipt
    }
}

/// Cuts a batch into parts of a size a batch may have. They are no full batches of their
/// poll group, except that the first keeps it.
fn parts(batch: &Batch) -> impl Iterator<Item = Batch> {
    let indexes: Vec<u32> = (0..).take(batch.len()).collect();
    let starts = (0..batch.len()).step_by(BATCH_SAMPLES_MAX);
    starts.map(move |start| {
        let end = batch.len().min(start + BATCH_SAMPLES_MAX);
        let mut part = batch.select(&indexes[start..end], batch.tags[start..end].into());
        if start > 0 {
            part.group = GroupId::NONE;
        }
        part
    })
}

impl SourceContext {
    /// Reports the connection's state: log record, built-in tag, meter, tags of unpolled groups.
    /// Call it on changes only.
    pub async fn connected(&self, up: bool) {
        self.meter.connected.store(u64::from(up), Relaxed);
        if up {
            self.meter.connects.fetch_add(1, Relaxed);
        }
        let time = self.clock.now();
        self.outlet.emit(Emission::Connected { up, time }).await;
        if !up {
            let is_first = self.meter.connects.load(Relaxed) == 0;
            let why = if is_first { Quality::NOT_CONNECTED } else { Quality::COMM_LOST };
            for (group, tags) in self.unpolled.iter() {
                let batch = Batch::failed(*group, tags.clone(), time, why);
                self.outlet.emit(Emission::Samples { slot: SlotMark::default(), batch }).await;
            }
        }
    }

    /// Answers a command of a source that cannot write.
    pub fn refuse(&self, command: Command) {
        command.answer(Err(CommandFault::Failed("this driver cannot write".into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Kind};

    #[tokio::test]
    async fn more_samples_than_a_batch_may_have_go_in_several_and_take_one_slot() {
        let handed = Arc::new(Mutex::new(Vec::new()));
        let hand = {
            let handed = handed.clone();
            move |emission, _| match emission {
                Emission::Samples { slot, batch } => handed.lock().unwrap().push((slot, batch)),
                other => panic!("{other:?}"),
            }
        };
        let outlet = Outlet::new(Edge::new(100), Arc::new(hand));
        let count = 2 * BATCH_SAMPLES_MAX + 1;
        let tags: Arc<[TagId]> = (0..count as u32).map(TagId).collect();
        let values = Column::uniform(Kind::UInt, (0..count as u64).collect());
        let mut whole = Batch::uniform(GroupId(3), tags, Timestamp(9), values);
        whole.qualities.set(count - 1, Quality::TIMEOUT, count);
        let slot = SlotMark { number: 7, skipped: 2 };
        outlet.emit(Emission::Samples { slot, batch: whole.clone() }).await;

        let handed = handed.lock().unwrap();
        let lengths: Vec<usize> = handed.iter().map(|(_, batch)| batch.len()).collect();
        assert_eq!(lengths, [BATCH_SAMPLES_MAX, BATCH_SAMPLES_MAX, 1]);
        let slots: Vec<SlotMark> = handed.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(slots, [slot, SlotMark::default(), SlotMark::default()]);
        let groups: Vec<GroupId> = handed.iter().map(|(_, batch)| batch.group).collect();
        assert_eq!(groups, [GroupId(3), GroupId::NONE, GroupId::NONE]);
        let samples = |batch: &Batch| -> Vec<_> {
            (0..batch.len()).map(|i| (batch.tags[i], batch.values.get(i), batch.qualities.get(i))).collect()
        };
        let together: Vec<_> = handed.iter().flat_map(|(_, batch)| samples(batch)).collect();
        assert_eq!(together, samples(&whole));
        assert_eq!(outlet.accounted(GroupId(3), 0), 7);
    }
}
