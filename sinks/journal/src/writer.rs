//! The writer: the one thread that owns the store.
//!
//! ```text
//! requests --gather--> Work --commit (one synced batch)--> Event::Committed
//!             | nothing for 2 ms, or 10 ms after the oldest record, or enough bytes
//!             | delivered cursors and checkpoints alone wait up to 100 ms for company
//! ```
//! The request queue is bounded by what rides in it: records carry the credit
//! of their source and blocks that of their lane, given back when durable.

use crate::change::{Mirror, Standing};
use crate::configurations::KeptConfigurations;
use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_DELAY_MAX_MS, COMMIT_IDLE_MS, HOUSEKEEPING_MS, RIDE_DELAY_MAX_MS,
    SLOW_COMMIT_MS, SLOW_COMMIT_TOLD,
};
use crate::snapshot::Snapshot;
use crate::space::{SpacePolicy, SpaceWatch};
use crate::store::{
    Block, Checkpoint, Committed, Delivered, Prepared, Rejected, Store, StoreError, Switch, Wanted, Work,
};
use gwp_core::edge::Credit;
use gwp_core::{Batch, Clock, PlanId, Position, Record, SinkId};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the writer is asked to do.
pub enum Request {
    Record(Arc<Record>, Option<Credit>),
    Block(Block, Option<Credit>),
    Delivered(SinkId, Delivered),
    /// The destination refused these samples for good and no dead letter sink takes them.
    Rejected(SinkId, Rejected),
    /// Samples another sink's destination refused: (route, samples) for this sink's journal.
    DeadLetter(SinkId, PlanId, Vec<(u32, Arc<Batch>)>),
    Checkpoint(SinkId, Checkpoint),
    /// Where a source stands: kept with what was asked for before or after it, never before that.
    Bookmark(Arc<str>, String, Arc<[u8]>),
    /// Gets ready for a plan before records name it: keeps it, and finds or makes the places of its sinks. Answers
    /// when that is durable.
    Prepare(PlanId, Vec<u8>, Vec<Wanted>, Sender<Prepared>),
    /// What the gateway says of its programs. Records that were asked for before it come before it, and those after it
    /// after it.
    Configurations(KeptConfigurations),
    /// The record that names another plan, and what comes with it in the same commit.
    Switch(Switch),
    /// A sink that is in no plan any more and whose lane has ended: the log is not kept for it.
    Retire(SinkId),
    /// Gives up a sink with everything that waits for it; the ledger has what that was.
    Forget(SinkId),
    /// Gateway time stepped forward by this many nanoseconds: what waits is no older for it.
    ClockStepped(i64),
    /// Commits all that came before and answers; at once, without committing, while there is no room.
    Flush(Sender<()>),
    /// Tells every change from now on to a mirror, or to none any more. Answers after which place they follow.
    Mirror(Option<Box<dyn Mirror>>, Sender<Standing>),
    /// All of the store as it is now, to be copied.
    Snapshot(Sender<Snapshot>),
    /// Is called as it is taken, without a commit: that shows that the writer goes on. Must not block.
    Turn(Box<dyn FnOnce() + Send>),
    /// Commits all that came before and ends.
    Stop,
}

/// What the writer reports.
#[derive(Debug)]
pub enum Event {
    Committed(Committed),
    /// The store cannot be written any more: the process must end and start anew.
    Failed(StoreError),
}

/// Figures of the writer, for status and metrics.
#[derive(Debug, Default)]
pub struct WriterMeter {
    pub commits: AtomicU64,
    /// Time spent in commits, nanoseconds, and the longest one.
    pub commit_ns: AtomicU64,
    pub commit_ns_max: AtomicU64,
    pub records: AtomicU64,
    pub samples: AtomicU64,
    pub log_bytes: AtomicU64,
    pub free_bytes: AtomicU64,
    pub low_space: AtomicBool,
    durable: Mutex<Position>,
}

impl WriterMeter {
    /// The log is durable up to here.
    pub fn durable(&self) -> Position {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running writer.
pub struct Writer {
    requests: Sender<Request>,
    pub meter: Arc<WriterMeter>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `report` must not block.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        store: Store,
        dir: &Path,
        policy: SpacePolicy,
        clock: Arc<dyn Clock>,
        report: Box<dyn Fn(Event) + Send>,
    ) -> std::io::Result<Writer> {
        let (requests, inbox) = channel();
        let meter = Arc::new(WriterMeter::default());
        *meter.durable.lock().unwrap_or_else(PoisonError::into_inner) = store.durable();
        let mut run = Run {
            space: SpaceWatch::new(dir, policy),
            log_bytes_max: policy.log_bytes_max,
            meter: meter.clone(),
            gathered: Gathered::default(),
            slow: SlowCommits::default(),
            store,
            clock,
            report,
            inbox,
        };
        let thread = std::thread::Builder::new().name("gwp-journal".into()).spawn(move || run.run())?;
        Ok(Writer { requests, meter, thread: Mutex::new(Some(thread)) })
    }

    /// Asks; after the writer has failed or ended, requests are dropped.
    pub fn ask(&self, request: Request) {
        let _ = self.requests.send(request);
    }

    /// A sender of requests for others.
    pub fn sender(&self) -> Sender<Request> {
        self.requests.clone()
    }

    /// Commits what is pending, ends the thread and waits for it.
    pub fn stop(&self) {
        self.ask(Request::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in it has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// What waits for the next commit.
#[derive(Default)]
struct Gathered {
    work: Work,
    /// Given back when the commit is done.
    credits: Vec<Credit>,
    /// Stored before the acknowledgements that stand for them.
    letters: Vec<Letter>,
    answers: Vec<Sender<()>>,
    bytes: usize,
    /// Arrival of the oldest record or block.
    since: Option<Instant>,
    /// Arrival of the oldest request of any kind.
    ride_since: Option<Instant>,
}

/// Samples for a dead letter sink.
struct Letter {
    sink: SinkId,
    plan: PlanId,
    samples: Vec<(u32, Arc<Batch>)>,
}

impl Gathered {
    /// A block that only says how far its lane has come joins the one before it, so that
    /// waiting for room gathers no blocks.
    fn push_block(&mut self, block: Block) {
        let before = self.work.blocks.iter_mut().rev().find(|before| before.sink == block.sink);
        match before {
            Some(before)
                if block.entries.is_empty() && block.passed_over.is_none() && before.plan == block.plan =>
            {
                before.covered = before.covered.max(block.covered);
            }
            _ => self.work.blocks.push(block),
        }
    }
}

struct Run {
    store: Store,
    space: SpaceWatch,
    log_bytes_max: u64,
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(Event) + Send>,
    inbox: Receiver<Request>,
    meter: Arc<WriterMeter>,
    gathered: Gathered,
    slow: SlowCommits,
}

/// Commits that took long: nothing is delivered meanwhile, and whoever looks for the cause finds it in the log. A disk
/// that is always slow is told of now and then.
#[derive(Default)]
struct SlowCommits {
    told: Option<Instant>,
    told_ms: u64,
    untold: u64,
}

impl SlowCommits {
    fn committed(&mut self, took_ns: u64) {
        let ms = took_ns / 1_000_000;
        if ms < SLOW_COMMIT_MS {
            return;
        }
        let is_recent = self.told.is_some_and(|told| told.elapsed() < SLOW_COMMIT_TOLD);
        if is_recent && ms < self.told_ms.saturating_mul(2) {
            self.untold += 1;
            return;
        }
        tracing::warn!(
            ms,
            untold = self.untold,
            "the disk was slow to keep records: nothing is delivered meanwhile"
        );
        *self = SlowCommits { told: Some(Instant::now()), told_ms: ms, untold: 0 };
    }
}

/// Whether to go on.
enum Next {
    More,
    Stop,
}

impl Run {
    fn run(&mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the store failed");
            (self.report)(Event::Failed(error));
        }
    }

    fn serve(&mut self) -> Result<(), StoreError> {
        let mut housekeeping = Instant::now();
        loop {
            let next = self.gather()?;
            let stop = matches!(next, Next::Stop);
            self.commit(stop)?;
            if stop {
                return Ok(());
            }
            if housekeeping.elapsed() >= Duration::from_millis(HOUSEKEEPING_MS) {
                let now = self.clock.now();
                let low = self.meter.low_space.load(Relaxed);
                let trimmed = self.store.trim(self.log_bytes_max, now, low)?;
                if !trimmed.copied {
                    housekeeping = Instant::now();
                }
                self.meter.log_bytes.store(self.store.log_bytes(), Relaxed);
                self.meter.free_bytes.store(self.space.available, Relaxed);
            }
        }
    }

    /// Takes requests until it is time to commit.
    fn gather(&mut self) -> Result<Next, StoreError> {
        let began = Instant::now();
        loop {
            // Without room nothing is committed, so what the credits let in is taken however
            // much it is: among it are the acknowledgements that will give room.
            if self.gathered.bytes >= COMMIT_BYTES_MAX && !self.meter.low_space.load(Relaxed) {
                return Ok(Next::More);
            }
            // No patience left still means: what is queued already comes along.
            match self.inbox.recv_timeout(self.patience(began)) {
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(Next::Stop),
                Ok(Request::Turn(taken)) => taken(),
                Ok(request) => {
                    if self.take(request)? {
                        return Ok(Next::More);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Next::More),
            }
        }
    }

    /// How long to wait for the next request before committing, or before it is time for the rest of the work.
    fn patience(&self, began: Instant) -> Duration {
        let left = |since: Instant, ms: u64| Duration::from_millis(ms).saturating_sub(since.elapsed());
        match (self.gathered.since, self.gathered.ride_since) {
            (Some(since), _) => left(since, COMMIT_DELAY_MAX_MS).min(Duration::from_millis(COMMIT_IDLE_MS)),
            (None, Some(since)) => left(since, RIDE_DELAY_MAX_MS),
            (None, None) => left(began, HOUSEKEEPING_MS),
        }
    }

    /// Adds a request; true when it wants to be committed at once.
    fn take(&mut self, request: Request) -> Result<bool, StoreError> {
        let gathered = &mut self.gathered;
        let now = Instant::now();
        gathered.ride_since.get_or_insert(now);
        match request {
            Request::Record(record, credit) => {
                gathered.since.get_or_insert(now);
                gathered.bytes += record.bytes();
                gathered.work.records.push(record);
                gathered.credits.extend(credit);
            }
            Request::Block(block, credit) => {
                gathered.since.get_or_insert(now);
                gathered.bytes += block.entries.len() * 32;
                gathered.push_block(block);
                gathered.credits.extend(credit);
            }
            Request::Delivered(sink, delivered) => {
                let known = gathered.work.delivered.entry(sink).or_default();
                known.upto = known.upto.max(delivered.upto);
                known.samples += delivered.samples;
            }
            Request::Rejected(sink, rejected) => {
                gathered.since.get_or_insert(now);
                gathered.work.rejected.push((sink, rejected));
            }
            Request::DeadLetter(sink, plan, samples) => {
                gathered.since.get_or_insert(now);
                gathered.letters.push(Letter { sink, plan, samples });
            }
            Request::Checkpoint(sink, checkpoint) => {
                gathered.work.checkpoints.insert(sink, checkpoint);
            }
            Request::Bookmark(source, name, bytes) => {
                gathered.work.bookmarks.insert((source, name), bytes);
            }
            Request::Switch(switch) => {
                gathered.since.get_or_insert(now);
                gathered.bytes += switch.record.bytes();
                gathered.work.records.push(switch.record.clone());
                gathered.work.switches.push(switch);
            }
            Request::Flush(answer) => {
                gathered.answers.push(answer);
                return Ok(true);
            }
            other => self.carry_out(other)?,
        }
        Ok(false)
    }

    /// What is done between two commits.
    fn carry_out(&mut self, request: Request) -> Result<(), StoreError> {
        match request {
            Request::ClockStepped(ns) => self.store.clock_stepped(ns),
            Request::Prepare(id, bytes, wanted, answer) => {
                // What is gathered may give places other names.
                self.commit(false)?;
                self.store.put_plan(id, &bytes)?;
                if let Err(unheard) = answer.send(self.store.prepare(&wanted)?) {
                    let places = unheard.0.places.into_iter().filter(|place| place.added);
                    for id in places.map(|place| place.registered.id).collect::<Vec<_>>() {
                        self.store.forget(id, self.clock.now())?;
                    }
                }
            }
            Request::Configurations(kept) => {
                self.commit(false)?;
                self.store.keep_configurations(&kept)?;
            }
            Request::Retire(sink) => self.store.retire(sink),
            Request::Forget(sink) => {
                // What is gathered may be about it.
                self.commit(false)?;
                self.store.forget(sink, self.clock.now())?;
            }
            Request::Mirror(mirror, answer) => {
                self.store.set_mirror(mirror);
                // Who does not wait for the answer any more has no use for it.
                let _ = answer.send(self.store.standing()?);
            }
            Request::Snapshot(answer) => {
                let _ = answer.send(self.store.snapshot()?);
            }
            // The rest is gathered for a commit.
            _ => {}
        }
        Ok(())
    }

    fn commit(&mut self, last: bool) -> Result<(), StoreError> {
        let low = self.space.is_low(Instant::now());
        self.meter.low_space.store(low, Relaxed);
        if low && !last {
            return self.commit_rides_only();
        }
        let gathered = std::mem::take(&mut self.gathered);
        if low && !(gathered.work.only_rides() && gathered.letters.is_empty()) {
            tracing::error!(
                "stopping with the data directory full: records not yet stored are not acknowledged"
            );
            return Ok(());
        }
        for Letter { sink, plan, samples } in gathered.letters {
            if let Some(block) = self.store.inject(sink, plan, samples, self.clock.now())? {
                let (upto, place) = (self.store.durable(), self.store.place());
                let committed = Committed { upto, place, blocks: vec![block], receipts: Vec::new() };
                (self.report)(Event::Committed(committed));
            }
        }
        if !gathered.work.is_empty() {
            self.commit_work(gathered.work, gathered.credits)?;
        }
        gathered.answers.into_iter().for_each(|answer| {
            let _ = answer.send(());
        });
        Ok(())
    }

    /// Without room only what gives room is written: delivered cursors, so that segments
    /// can be trimmed. Everything else stays gathered; its credits hold the sources.
    fn commit_rides_only(&mut self) -> Result<(), StoreError> {
        // Dead letters would take room, and what they stand for must not be forgotten before them.
        if self.gathered.letters.is_empty() {
            let delivered = std::mem::take(&mut self.gathered.work.delivered);
            let rejected = std::mem::take(&mut self.gathered.work.rejected);
            if !delivered.is_empty() || !rejected.is_empty() {
                self.commit_work(Work { delivered, rejected, ..Work::default() }, Vec::new())?;
            }
        }
        self.gathered.answers.drain(..).for_each(|answer| {
            let _ = answer.send(());
        });
        std::thread::sleep(Duration::from_millis(crate::limits::SPACE_CHECK_MS));
        Ok(())
    }

    /// Credits go back at once: what they bound is on this disk. Receipts are for who hears of the
    /// commit to give.
    fn commit_work(&mut self, work: Work, credits: Vec<Credit>) -> Result<(), StoreError> {
        let records = work.records.len() as u64;
        let samples: usize = work.records.iter().map(|record| record.samples()).sum();
        let started = Instant::now();
        let mut committed = self.store.commit(work, self.clock.now())?;
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.meter.commits.fetch_add(1, Relaxed);
        self.meter.commit_ns.fetch_add(took, Relaxed);
        self.meter.commit_ns_max.fetch_max(took, Relaxed);
        self.slow.committed(took);
        self.meter.records.fetch_add(records, Relaxed);
        self.meter.samples.fetch_add(samples as u64, Relaxed);
        *self.meter.durable.lock().unwrap_or_else(PoisonError::into_inner) = committed.upto;
        committed.receipts = credits.into_iter().filter_map(Credit::settle).collect();
        (self.report)(Event::Committed(committed));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
