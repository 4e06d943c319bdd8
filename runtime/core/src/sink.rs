//! Contract of a sink.
//!
//! A sink is one connection. It takes deliveries in order and acknowledges
//! them cumulatively: an acknowledgement means that the destination has taken
//! responsibility. It never retries: on a fault it returns, and the engine runs
//! it again with everything not acknowledged.
//!
//! ```text
//! journal -> gate -> Inlet::next() -> destination -> Inlet::ack(cursor) -> trim
//! ```

use crate::manifest::{Declaration, Manifest, SettingError};
use crate::stop::Stop;
use crate::{Batch, BoxFuture, Cursor, SinkId, TagId, TagInfo, TagTable};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// Everything a sink is told of one `sink` item.
#[derive(Clone, Debug)]
pub struct SinkDeclaration {
    pub item: Declaration,
    /// Time zone of the gateway (IANA name), for file names and the like.
    pub timezone: Arc<str>,
}

/// A destination family: one per name in the catalog.
pub trait SinkDriver: Send + Sync {
    fn manifest(&self) -> &'static Manifest;

    /// All that is wrong with a declaration. Pure: no I/O, no clock. Settings that
    /// are still `secret()` or `node()` references are taken as right.
    fn check(&self, declaration: &SinkDeclaration) -> Vec<SettingError>;

    /// A sink ready to run.
    ///
    /// # Errors
    /// Everything [`SinkDriver::check`] finds, once references are resolved.
    fn prepare(&self, declaration: SinkDeclaration) -> Result<Box<dyn Sink>, Vec<SettingError>>;
}

/// One destination.
pub trait Sink: Send + Sync {
    /// Connects, calls [`Inlet::ready`], delivers until the inlet ends (`Ok`) or
    /// something fails (`Err`). Deliveries not acknowledged when it returns come again.
    fn run<'a>(&'a self, cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Tries, while nothing of it runs, whether it could deliver; leaves nothing behind. [`Disposition::Halt`] keeps a
    /// plan from being put in force; anything else may pass by itself and is only told.
    fn drill<'a>(&'a self) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What a running sink is given.
#[derive(Debug)]
pub struct SinkContext {
    pub inlet: Inlet,
    /// Set when the gateway stops at once, without draining.
    pub stop: Stop,
    pub identity: SinkIdentity,
    pub meter: Arc<SinkMeter>,
}

/// Who is writing: what a transactional sink stores beside its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkIdentity {
    /// Random number of the store, shared by a pair. A cursor of another incarnation means nothing.
    pub incarnation: [u8; 16],
    pub sink: SinkId,
    /// Epoch of the running gateway, for fencing.
    pub epoch: u32,
}

/// Counters a sink keeps; read by status and metrics.
#[derive(Debug, Default)]
pub struct SinkMeter {
    pub samples: AtomicU64,
    pub bytes: AtomicU64,
    pub requests: AtomicU64,
    pub connects: AtomicU64,
    pub rejected: AtomicU64,
    /// 1 while connected.
    pub connected: AtomicU64,
}

/// Some journal entries, merged, in order.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Cursor of the first part; a destination's cursor at or above `upto` means "already there".
    pub from: Cursor,
    /// Cursor of the last part: what to acknowledge.
    pub upto: Cursor,
    pub parts: Vec<Part>,
}

/// Samples of one flow at one position.
#[derive(Clone, Debug)]
pub struct Part {
    pub cursor: Cursor,
    pub flow: Arc<FlowNames>,
    pub batch: Arc<Batch>,
}

impl Delivery {
    pub fn samples(&self) -> usize {
        self.parts.iter().map(|part| part.batch.len()).sum()
    }
}

/// Names as one flow of one plan shows them. One allocation per flow and plan, so a
/// sink may cache what it derives by the address of it and of [`Batch::tags`].
#[derive(Debug)]
pub struct FlowNames {
    pub flow: Arc<str>,
    pub tags: Arc<TagTable>,
    /// Names given by `rename`, by tag; tags that are not here go by their path.
    pub renamed: std::collections::BTreeMap<TagId, Arc<str>>,
}

impl FlowNames {
    /// Name of a tag in this flow. A tag the plan does not know (a damaged journal) shows as `?`.
    pub fn name(&self, tag: TagId) -> &str {
        match self.renamed.get(&tag) {
            Some(name) => name,
            None => self.tags.get(tag).map_or("?", |info| &*info.path),
        }
    }

    pub fn info(&self, tag: TagId) -> Option<&TagInfo> {
        self.tags.get(tag)
    }
}

/// What a sink says back.
#[derive(Debug)]
pub enum SinkReport {
    /// Connected. A transactional sink says where its destination stands for this
    /// incarnation; everything at or below is not sent again.
    Ready { resume: Option<Cursor> },
    /// Everything up to here is the destination's responsibility now.
    Ack { upto: Cursor },
    /// The destination refuses this delivery for good: to the dead letter, then go on.
    /// Counts as acknowledged up to it.
    Reject { upto: Cursor, reason: String },
}

/// The way into a sink. Bounded: at most `in_flight` deliveries are handed over and
/// not acknowledged.
#[derive(Debug)]
pub struct Inlet {
    deliveries: mpsc::Receiver<Arc<Delivery>>,
    reports: mpsc::UnboundedSender<SinkReport>,
    meter: Arc<SinkMeter>,
}

/// The engine's side of an [`Inlet`].
#[derive(Debug)]
pub struct InletHandle {
    pub deliveries: mpsc::Sender<Arc<Delivery>>,
    /// At most one report per delivery and one `Ready`: bounded by `in_flight`.
    pub reports: mpsc::UnboundedReceiver<SinkReport>,
}

/// A connected pair with room for `in_flight` deliveries.
pub fn inlet_pair(in_flight: usize, meter: Arc<SinkMeter>) -> (InletHandle, Inlet) {
    let (deliveries_tx, deliveries) = mpsc::channel(in_flight.max(1));
    let (reports, reports_rx) = mpsc::unbounded_channel();
    (InletHandle { deliveries: deliveries_tx, reports: reports_rx }, Inlet { deliveries, reports, meter })
}

impl Inlet {
    /// Says that the destination is connected; nothing is delivered before.
    pub fn ready(&self, resume: Option<Cursor>) {
        self.meter.connects.fetch_add(1, Relaxed);
        self.meter.connected.store(1, Relaxed);
        let _ = self.reports.send(SinkReport::Ready { resume });
    }

    /// The next delivery; `None` when there will be none: finish what is open and return `Ok`.
    pub async fn next(&mut self) -> Option<Arc<Delivery>> {
        self.deliveries.recv().await
    }

    /// A delivery if one is waiting.
    pub fn try_next(&mut self) -> Option<Arc<Delivery>> {
        self.deliveries.try_recv().ok()
    }

    /// Acknowledges everything up to a cursor.
    pub fn ack(&self, upto: Cursor) {
        let _ = self.reports.send(SinkReport::Ack { upto });
    }

    /// Gives up everything after the last acknowledgement up to a cursor.
    pub fn reject(&self, upto: Cursor, reason: String) {
        self.meter.rejected.fetch_add(1, Relaxed);
        let _ = self.reports.send(SinkReport::Reject { upto, reason });
    }
}

/// Why a sink returned, and what the engine is to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    pub message: String,
    pub disposition: Disposition,
}

/// What the engine does after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Run again after the sink's back-off, or after the time the destination asked for.
    Retry { after: Option<Duration> },
    /// A person must act (wrong password, not authorized): run again only at the slowest back-off.
    Halt,
    /// Another writer has taken this one's place at the destination. In a pair that is the peer, and this node steps
    /// down; otherwise as [`Disposition::Halt`].
    Superseded {
        /// The newer epoch, where the destination tells it.
        by: Option<u32>,
    },
}

impl SinkError {
    /// A fault that may pass by itself.
    pub fn retry(message: impl Into<String>) -> Self {
        SinkError { message: message.into(), disposition: Disposition::Retry { after: None } }
    }

    /// A fault that a person must mend.
    pub fn halt(message: impl Into<String>) -> Self {
        SinkError { message: message.into(), disposition: Disposition::Halt }
    }

    /// Another writer has taken this one's place.
    pub fn superseded(by: Option<u32>, message: impl Into<String>) -> Self {
        SinkError { message: message.into(), disposition: Disposition::Superseded { by } }
    }
}

/// An error with everything that caused it, in one line: for [`SinkError::message`] and logs.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
