//! Delivery: from a sink's journal to its destination, in order, acknowledged.
//!
//! ```text
//!        released entries            merged up to batch_samples / batch_bytes
//! outbox (memory) or journal (disk) --------> Delivery --Inlet--> Sink::run
//!                                              |  at most in_flight      |
//!                                              +--- unacknowledged <--ack/reject
//!                                                       | Delivered(cursor) --> writer --> trim
//! ```
//! Only committed entries come here, once they are [released](crate::release), and only while the
//! [exits](crate::exits) are open: a connection lives within one epoch. When the sink fails, it is
//! run again after its back-off and gets everything unacknowledged again, in order.

use crate::exits::{Exits, Pass};
use crate::limits::{READ_BYTES_MAX, SINK_DRAIN, SINK_GRACE};
use crate::outbox::{Outbox, Reach};
use crate::plans::{Names, Plans};
use crate::recent::Read;
use crate::status::StageStatus;
use gwp_core::sink::{
    Delivery, Disposition, InletHandle, Part, Sink, SinkContext, SinkError, SinkIdentity, SinkMeter,
    SinkReport, inlet_pair,
};
use gwp_core::stop::{Stop, StopSource, stop_pair};
use gwp_core::{Batch, Cursor, PlanId, Position, Qualities, SinkId};
use gwp_journal::{Delivered, JournalReader, LiveEntry, Rejected, Request, SinkShared};
use gwp_plan::{BadPolicy, RetryPolicy};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Limits of a delivery, from the sink's manifest.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    pub batch_samples: usize,
    pub batch_bytes: usize,
    pub in_flight: usize,
}

/// The place of a delivery: what outlives its restarts.
pub struct DeliverySeat {
    pub name: Arc<str>,
    pub sink_id: SinkId,
    pub sink: Arc<dyn Sink>,
    pub limits: DeliveryLimits,
    pub bad: BadPolicy,
    pub retry: RetryPolicy,
    pub incarnation: [u8; 16],
    /// What was logged up to here is delivered as backfill.
    pub backfill_upto: Position,
    pub exits: Exits,
    pub plans: Arc<Plans>,
    pub outbox: Arc<Outbox>,
    pub reader: JournalReader,
    pub journal: Arc<SinkShared>,
    pub writer: Sender<Request>,
    pub meter: Arc<SinkMeter>,
    pub status: Arc<StageStatus>,
    /// The sink that takes what the destination refuses.
    pub dead_letter: Option<SinkId>,
    /// Acknowledged up to here in this process; the journal may learn of it a commit later.
    pub acknowledged: Arc<Mutex<Cursor>>,
    /// Another delivery takes its place: when it is stopped it finishes what is in hand and does not drain.
    pub replaced: AtomicBool,
}

impl DeliverySeat {
    /// Runs until stopped and, as far as the destination goes along, drained.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn run(self: Arc<Self>, mut stop: Stop) -> Result<(), String> {
        let mut queue = Queue::new(&self);
        let mut wait = nanos(self.retry.first_ns);
        loop {
            let pass = tokio::select! {
                biased;
                () = stop.stopped() => return Ok(()),
                pass = self.exits.enter() => pass,
            };
            let ended = queue.connection(&self, &pass, &mut stop).await?;
            self.meter.connected.store(0, Relaxed);
            let Ended::Connection { result, acknowledged } = ended else {
                // Whoever was active meanwhile has delivered: what is left is read anew.
                queue = Queue::new(&self);
                continue;
            };
            if let Err(SinkError { disposition: Disposition::Superseded { by }, .. }) = result {
                pass.superseded(by);
            }
            drop(pass);
            if stop.is_stopped() {
                return Ok(());
            }
            if acknowledged {
                wait = nanos(self.retry.first_ns);
            }
            let error = result.err().unwrap_or_else(|| SinkError::retry("the connection ended"));
            let pause = match error.disposition {
                Disposition::Retry { after } => after.unwrap_or(wait),
                Disposition::Halt | Disposition::Superseded { .. } => nanos(self.retry.max_ns),
            };
            self.report(&error, pause);
            wait = (wait * 2).min(nanos(self.retry.max_ns));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.stopped() => return Ok(()),
            }
        }
    }

    fn report(&self, error: &SinkError, pause: Duration) {
        let text = error.to_string();
        let pause_ms = pause.as_millis() as u64;
        let known = self.status.last_error().is_some_and(|last| *last == *text);
        match error.disposition {
            Disposition::Superseded { .. } if !known => {
                tracing::warn!(sink = %self.name, error = %text, pause_ms, "another writer has taken its place; the journal keeps everything");
            }
            Disposition::Halt if !known => {
                tracing::error!(sink = %self.name, error = %text, pause_ms, "a person must act; the journal keeps everything until then");
            }
            _ if !known => {
                tracing::warn!(sink = %self.name, error = %text, pause_ms, "not delivering; the journal keeps everything");
            }
            _ => tracing::debug!(sink = %self.name, error = %text, pause_ms, "still not delivering"),
        }
        self.status.set_error(Some(&text));
    }
}

fn nanos(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0).max(1_000_000))
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// How a connection ended.
enum Ended {
    /// The exits were shut.
    Epoch,
    Connection {
        result: Result<(), SinkError>,
        /// Something was acknowledged in it: the next back-off starts small.
        acknowledged: bool,
    },
}

/// What is to be delivered, in order.
struct Queue {
    /// Last cursor taken from the outbox or the journal.
    taken: Cursor,
    /// Taken and not yet in a delivery.
    waiting: VecDeque<(PlanId, LiveEntry)>,
    /// In a delivery and not acknowledged; the first `handed` of them are with the sink.
    unacknowledged: VecDeque<Arc<Delivery>>,
    handed: usize,
    /// The destination has everything up to here, whatever our own record says.
    resume: Cursor,
    names: Names,
    reader: Option<JournalReader>,
}

/// The running sink.
struct Connection {
    handle: InletHandle,
    task: JoinHandle<Result<(), SinkError>>,
    /// Dropping it tells the sink to end at once.
    _stop: StopSource,
    ready: bool,
    acknowledged: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    fn open(seat: &DeliverySeat, epoch: u32) -> Connection {
        let (handle, inlet) = inlet_pair(seat.limits.in_flight, seat.meter.clone());
        let (stop_source, stop) = stop_pair();
        let identity = SinkIdentity { incarnation: seat.incarnation, sink: seat.sink_id, epoch };
        let cx = SinkContext { inlet, stop, identity, meter: seat.meter.clone() };
        let sink = seat.sink.clone();
        let task = tokio::spawn(async move { sink.run(cx).await });
        Connection { handle, task, _stop: stop_source, ready: false, acknowledged: false }
    }

    /// Ends it in order: no more deliveries, what is in hand is finished.
    async fn close(mut self, queue: &mut Queue, seat: &DeliverySeat) -> Ended {
        let (closed, _) = tokio::sync::mpsc::channel(1);
        drop(std::mem::replace(&mut self.handle.deliveries, closed));
        if tokio::time::timeout(SINK_GRACE, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = (&mut self.task).await;
        }
        while let Ok(report) = self.handle.reports.try_recv() {
            queue.report(seat, report, &mut self.acknowledged, &mut self.ready);
        }
        Ended::Connection { result: Ok(()), acknowledged: self.acknowledged }
    }

    /// Ends it at once. What it gave to a thread of its own (a commit, a write to a file) may still be
    /// under way then: it was begun while the exits were open, and the destination's fence is behind it.
    async fn cut(mut self, queue: &mut Queue, seat: &DeliverySeat) -> Ended {
        self.task.abort();
        let _ = (&mut self.task).await;
        while let Ok(report) = self.handle.reports.try_recv() {
            queue.report(seat, report, &mut self.acknowledged, &mut self.ready);
        }
        Ended::Epoch
    }
}

impl Queue {
    fn new(seat: &DeliverySeat) -> Queue {
        let (_, floor) = seat.journal.cursors();
        Queue {
            taken: floor.max(*seat.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)),
            waiting: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            handed: 0,
            resume: Cursor::ZERO,
            names: Names::new(seat.journal.clone()),
            reader: Some(seat.reader.fork()),
        }
    }

    /// Runs the sink once, from connecting to its end, or to that of the epoch.
    async fn connection(
        &mut self,
        seat: &DeliverySeat,
        pass: &Pass,
        stop: &mut Stop,
    ) -> Result<Ended, String> {
        let mut connection = Connection::open(seat, pass.epoch());
        let shut = pass.shut();
        tokio::pin!(shut);
        self.handed = 0;
        let mut drain_ends = None;
        loop {
            if stop.is_stopped() && seat.replaced.load(Relaxed) {
                return Ok(connection.close(self, seat).await);
            }
            if stop.is_stopped() && drain_ends.is_none() {
                drain_ends = Some(tokio::time::Instant::now() + SINK_DRAIN);
            }
            if connection.ready {
                self.fill(seat).await?;
                if !pass.is_open() {
                    return Ok(connection.cut(self, seat).await);
                }
                self.hand_over(&mut connection);
                if stop.is_stopped() && self.is_drained(seat) {
                    return Ok(connection.close(self, seat).await);
                }
            } else if stop.is_stopped() {
                return Ok(connection.close(self, seat).await);
            }
            let bell = seat.outbox.bell.notified();
            tokio::select! {
                biased;
                report = connection.handle.reports.recv() => match report {
                    Some(report) => {
                        self.report(seat, report, &mut connection.acknowledged, &mut connection.ready);
                        while let Ok(report) = connection.handle.reports.try_recv() {
                            self.report(seat, report, &mut connection.acknowledged, &mut connection.ready);
                        }
                    }
                    None => return Ok(Self::ended(connection).await),
                },
                () = &mut shut => return Ok(connection.cut(self, seat).await),
                () = bell, if connection.ready && self.has_room(seat) => {}
                () = stop.stopped(), if drain_ends.is_none() => {}
                () = sleep_until(drain_ends), if drain_ends.is_some() => {
                    return Ok(connection.close(self, seat).await);
                }
            }
        }
    }

    async fn ended(mut connection: Connection) -> Ended {
        let result = match (&mut connection.task).await {
            Ok(result) => result,
            Err(error) => Err(SinkError::retry(format!("the sink panicked: {error}"))),
        };
        Ended::Connection { result, acknowledged: connection.acknowledged }
    }

    fn is_drained(&self, seat: &DeliverySeat) -> bool {
        self.waiting.is_empty()
            && self.unacknowledged.is_empty()
            && matches!(seat.outbox.after(self.taken, 1), Read::UpToDate)
    }

    fn has_room(&self, seat: &DeliverySeat) -> bool {
        self.unacknowledged.len() < seat.limits.in_flight
    }

    /// Makes deliveries as long as there are entries and room.
    async fn fill(&mut self, seat: &DeliverySeat) -> Result<(), String> {
        while self.has_room(seat) {
            if self.waiting.is_empty() && !self.take_entries(seat).await? {
                return Ok(());
            }
            if let Some(delivery) = self.merge(seat)? {
                self.unacknowledged.push_back(Arc::new(delivery));
            }
        }
        Ok(())
    }

    /// Takes entries from memory or disk; false when there are none.
    async fn take_entries(&mut self, seat: &DeliverySeat) -> Result<bool, String> {
        // What was dropped meanwhile is not read any more.
        self.taken = self.taken.max(seat.journal.cursors().1);
        let entries = match seat.outbox.after(self.taken, 256) {
            Read::UpToDate => return Ok(false),
            Read::Items(entries) => entries,
            Read::Behind => {
                let Reach { floor, released } = seat.outbox.reach();
                let mut entries = self.read_back(seat).await?;
                // The disk has what waits for its release, too.
                entries.retain(|(_, live)| live.entry.cursor <= released);
                if entries.is_empty() {
                    // The disk has nothing up to there either: what follows is in memory, or not released.
                    self.taken = self.taken.max(floor.min(released));
                }
                entries
            }
        };
        let Some((_, last)) = entries.last() else { return Ok(false) };
        self.taken = last.entry.cursor;
        self.waiting.extend(entries);
        self.skip_resumed(seat);
        Ok(true)
    }

    /// Settles waiting entries that the destination has already.
    fn skip_resumed(&mut self, seat: &DeliverySeat) {
        let mut delivered = Delivered::default();
        while let Some((_, live)) = self.waiting.front().filter(|(_, live)| live.entry.cursor <= self.resume)
        {
            delivered.upto = live.entry.cursor;
            delivered.samples += u64::from(live.entry.samples);
            self.waiting.pop_front();
        }
        if delivered.samples > 0 {
            let _ = seat.writer.send(Request::Delivered(seat.sink_id, delivered));
        }
    }

    /// Reads from disk. A frame may be rewritten or dropped in the very moment it is read
    /// (references copied by value, a bound reached): the second look is right.
    async fn read_back(&mut self, seat: &DeliverySeat) -> Result<Vec<(PlanId, LiveEntry)>, String> {
        match self.read_once(seat).await {
            Ok(entries) => Ok(entries),
            Err(error) => {
                tracing::debug!(sink = %seat.name, %error, "reading the journal again");
                self.taken = self.taken.max(seat.journal.cursors().1);
                self.read_once(seat).await
            }
        }
    }

    async fn read_once(&mut self, seat: &DeliverySeat) -> Result<Vec<(PlanId, LiveEntry)>, String> {
        let mut reader = self.reader.take().unwrap_or_else(|| seat.reader.fork());
        let after = self.taken;
        let read = move || {
            let read = reader.entries_after(after, 4 * READ_BYTES_MAX);
            (reader, read)
        };
        let (reader, read) = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        self.reader = Some(reader);
        read.map_err(|error| error.to_string())
    }

    /// One delivery from the waiting entries.
    fn merge(&mut self, seat: &DeliverySeat) -> Result<Option<Delivery>, String> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut samples, mut bytes) = (0, 0);
        while let Some((plan, live)) = self.waiting.front() {
            let (more, size) = (live.batch.len(), live.batch.bytes());
            let full = samples + more > seat.limits.batch_samples || bytes + size > seat.limits.batch_bytes;
            if full && !parts.is_empty() {
                break;
            }
            let flow = self.names.get(&seat.plans, *plan, live.entry.cursor.position, live.entry.route)?;
            let mut batch = match seat.bad {
                BadPolicy::Null => without_bad_values(&live.batch),
                _ => live.batch.clone(),
            };
            if live.entry.cursor.position <= seat.backfill_upto {
                Arc::make_mut(&mut batch).backfill = true;
            }
            parts.push(Part { cursor: live.entry.cursor, flow, batch });
            samples += more;
            bytes += size;
            self.waiting.pop_front();
        }
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(None) };
        Ok(Some(Delivery { from: first.cursor, upto: last.cursor, parts }))
    }

    /// Gives the sink what it has room for.
    fn hand_over(&mut self, connection: &mut Connection) {
        while let Some(delivery) = self.unacknowledged.get(self.handed) {
            if connection.handle.deliveries.try_send(delivery.clone()).is_err() {
                return;
            }
            self.handed += 1;
        }
    }

    fn report(&mut self, seat: &DeliverySeat, report: SinkReport, acknowledged: &mut bool, ready: &mut bool) {
        match report {
            SinkReport::Ready { resume } => {
                *ready = true;
                if seat.status.last_error().is_some() {
                    tracing::info!(sink = %seat.name, "delivering again");
                }
                seat.status.set_error(None);
                if let Some(upto) = resume {
                    // Its cursor was written with the data; our record of it may be older.
                    self.resume = upto;
                    self.settle(seat, upto);
                    self.skip_resumed(seat);
                }
            }
            SinkReport::Ack { upto } => {
                *acknowledged = true;
                self.settle(seat, upto);
            }
            SinkReport::Reject { upto, reason } => {
                *acknowledged = true;
                self.reject(seat, upto, &reason);
            }
        }
    }

    /// Everything up to a cursor is the destination's now.
    fn settle(&mut self, seat: &DeliverySeat, upto: Cursor) {
        let mut delivered = Delivered::default();
        while let Some(delivery) = self.unacknowledged.front().filter(|delivery| delivery.upto <= upto) {
            delivered.upto = delivery.upto;
            delivered.samples += delivery.samples() as u64;
            self.unacknowledged.pop_front();
            self.handed = self.handed.saturating_sub(1);
        }
        if delivered.samples > 0 {
            seat.meter.samples.fetch_add(delivered.samples, Relaxed);
            *seat.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = delivered.upto;
            let _ = seat.writer.send(Request::Delivered(seat.sink_id, delivered));
        }
    }

    fn reject(&mut self, seat: &DeliverySeat, upto: Cursor, reason: &str) {
        let refused: Vec<Arc<Delivery>> =
            self.unacknowledged.iter().take_while(|delivery| delivery.upto <= upto).cloned().collect();
        let samples: usize = refused.iter().map(|delivery| delivery.samples()).sum();
        tracing::warn!(sink = %seat.name, samples, reason, "the destination refuses samples for good");
        if let Some(to) = seat.dead_letter {
            for (plan, letters) in self.letters(seat, &refused) {
                let _ = seat.writer.send(Request::DeadLetter(to, plan, letters));
            }
        } else if let Some(first) = refused.first() {
            let rejected = Rejected { from: first.from, upto, samples: samples as u64 };
            let _ = seat.writer.send(Request::Rejected(seat.sink_id, rejected));
        }
        self.settle(seat, upto);
    }
}

impl Queue {
    /// Refused samples as entries of the dead letter sink, by the plan that names them.
    fn letters(
        &self,
        seat: &DeliverySeat,
        refused: &[Arc<Delivery>],
    ) -> BTreeMap<PlanId, Vec<(u32, Arc<Batch>)>> {
        let mut letters: BTreeMap<PlanId, Vec<(u32, Arc<Batch>)>> = BTreeMap::new();
        for part in refused.iter().flat_map(|delivery| &delivery.parts) {
            match self.names.origin(&seat.plans, part.cursor.position, &part.flow) {
                Some((plan, route)) => letters.entry(plan).or_default().push((route, part.batch.clone())),
                None => {
                    tracing::error!(sink = %seat.name, cursor = %part.cursor, "a refused sample cannot be named in the dead letter and is lost")
                }
            }
        }
        letters
    }
}

/// The batch with bad samples stripped of their values (`bad = null`).
fn without_bad_values(batch: &Arc<Batch>) -> Arc<Batch> {
    let any = match &batch.qualities {
        Qualities::Same(quality) => quality.is_bad(),
        Qualities::Each(all) => all.iter().any(|quality| quality.is_bad()),
    };
    if !any {
        return batch.clone();
    }
    let mut out = Batch::clone(batch);
    for index in 0..out.len() {
        if out.qualities.get(index).is_bad() {
            out.values.clear_at(index);
        }
    }
    Arc::new(out)
}
