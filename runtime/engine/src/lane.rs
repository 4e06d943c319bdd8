//! A lane at work: reads records in order, computes, hands entries to the writer.
//!
//! ```text
//! tail (memory) or log (disk) --Record--> gwp_plan::Lane --Block+credit--> writer
//! ```
//! One reader serves all cases: in step it reads the tail; after a start, a
//! restart or a long wait it reads the log from its checkpoint until it is in
//! step again. What the journal already covers is ignored there, so computing
//! it again is harmless.

use crate::alarms::{self, AlarmBoard};
use crate::limits::{
    BLOCKED_RETRY, CHECKPOINT_EVERY, CHECKPOINT_IDLE, LANE_CREDIT_SAMPLES, LANE_RECORDS_MAX, READ_BYTES_MAX,
};
use crate::live::LaneLook;
use crate::plans::Plans;
use crate::recent::Read;
use crate::sequencer::Sequencer;
use crate::stage::panic_text;
use crate::status::LaneMeter;
use crate::trials::{Interrupted, Trials};
use gwp_core::edge::Edge;
use gwp_core::stop::Stop;
use gwp_core::{Cursor, Fact, PlanId, Position, Record, SinkId};
use gwp_journal::{
    Block, Checkpoint, Content, JournalEntry, LiveEntry, LogReader, PassedOver, Request, SinkShared,
};
use gwp_plan::{Entry, Lane, Payload, Plan, Route, SinkPlan};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes of records after which state is checkpointed, however little time has passed.
const CHECKPOINT_BYTES: usize = 64 << 20;

/// The place of a lane: what outlives its restarts.
pub struct LaneSeat {
    pub name: Arc<str>,
    pub sink: SinkId,
    /// Plan it starts with when there is no checkpoint.
    pub plan: PlanId,
    pub plans: Arc<Plans>,
    pub sequencer: Arc<Sequencer>,
    pub writer: Sender<Request>,
    pub log: LogReader,
    pub journal: Arc<SinkShared>,
    pub edge: Edge,
    pub meter: Arc<LaneMeter>,
    resume: Mutex<Resume>,
    trials: Mutex<Trials>,
    compute: Compute,
    /// The plan as this lane runs it.
    own: fn(&Arc<Plan>) -> Arc<Plan>,
}

/// Computes one record: [`Lane::step`], or what stands in for it.
type Compute = Arc<dyn Fn(&mut Lane, &Record, &mut Vec<Entry>) + Send + Sync>;

/// Where a lane goes on.
#[derive(Clone)]
struct Resume {
    from: Position,
    checkpoint: Option<Checkpoint>,
    /// The plan in force there, if it is not that of the checkpoint: one without this sink.
    in_force: Option<PlanId>,
}

impl LaneSeat {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        name: Arc<str>,
        registered: &gwp_journal::Registered,
        plan: PlanId,
        plans: Arc<Plans>,
        sequencer: Arc<Sequencer>,
        writer: Sender<Request>,
        log: LogReader,
    ) -> Self {
        LaneSeat {
            name,
            sink: registered.id,
            plan,
            plans,
            sequencer,
            writer,
            log,
            journal: registered.shared.clone(),
            edge: Edge::new(LANE_CREDIT_SAMPLES),
            meter: Arc::default(),
            resume: Mutex::new(Resume {
                from: registered.from,
                checkpoint: registered.checkpoint.clone(),
                in_force: None,
            }),
            trials: Mutex::default(),
            compute: Arc::new(Lane::step),
            own: Arc::clone,
        }
    }

    /// A lane that begins, or begins again, with the record after `before`. `in_force`: the plan up to there, which has
    /// no such sink; none if the sink is new.
    pub fn beginning(self, before: Position, in_force: Option<PlanId>) -> Self {
        let mut resume = self.resume.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = resume.checkpoint.take().filter(|_| in_force.is_some());
        let in_force = in_force.filter(|_| checkpoint.is_some());
        *resume = Resume { from: before, checkpoint, in_force };
        drop(resume);
        self
    }

    /// The lane of the board of alarms: its events go to the board and no journal.
    pub fn of_board(self, board: Arc<AlarmBoard>) -> Self {
        let compute =
            move |lane: &mut Lane, record: &Record, out: &mut Vec<Entry>| board.step(lane, record, out);
        LaneSeat { compute: Arc::new(compute), own: alarms::with_board, ..self }
    }

    /// A plan by id, as this lane runs it.
    fn plan(&self, id: PlanId) -> Result<Arc<Plan>, String> {
        Ok((self.own)(&self.plans.get(id)?))
    }

    /// Runs until stopped and complete.
    ///
    /// # Errors
    /// The log cannot be read or a plan it names is missing.
    pub async fn run(self: Arc<Self>, mut stop: Stop) -> Result<(), String> {
        loop {
            match self.work(&mut stop).await {
                Ok(()) => return Ok(()),
                Err(Interrupted::Failed(reason)) => return Err(reason),
                Err(Interrupted::Record) => {}
            }
        }
    }

    async fn work(&self, stop: &mut Stop) -> Result<(), Interrupted> {
        let mut at_work = AtWork::resume(self)?;
        loop {
            if self.journal.blocked.load(Relaxed) {
                self.meter.waiting.store(true, Relaxed);
                if stop.is_stopped() {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep(BLOCKED_RETRY) => continue,
                    () = stop.stopped() => break,
                }
            }
            self.meter.waiting.store(false, Relaxed);
            match self.sequencer.read(at_work.at, LANE_RECORDS_MAX) {
                Read::Items(records) => at_work.take(self, &records, stop).await?,
                // A lane that is far behind goes on from its checkpoint at the next start.
                Read::Behind if stop.is_stopped() => break,
                Read::Behind => {
                    for (plan, records) in at_work.read_back(self).await? {
                        let Some(first) = records.first() else { continue };
                        at_work.be_under(self, plan, first.position)?;
                        at_work.take(self, &records, stop).await?;
                    }
                }
                Read::UpToDate if stop.is_stopped() => break,
                Read::UpToDate => {
                    let at = at_work.at;
                    tokio::select! {
                        () = self.sequencer.wait_beyond(at) => {}
                        () = stop.stopped() => {}
                    }
                }
            }
            at_work.checkpoint_if_due(self);
        }
        at_work.checkpoint(self);
        Ok(())
    }
}

/// A running lane.
struct AtWork {
    lane: Lane,
    plan: PlanId,
    /// The plan in force where it stands: another than `plan` while that has no such sink.
    in_force: PlanId,
    idle: bool,
    at: Position,
    /// The record to leave out and why.
    given_up: Option<(Position, String)>,
    log: Option<LogReader>,
    checkpointed: Instant,
    bytes_since: usize,
    samples_since: bool,
    look: LaneLook,
    out: Vec<Entry>,
}

impl AtWork {
    fn resume(seat: &LaneSeat) -> Result<AtWork, String> {
        let resume = seat.resume.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let plan = resume.checkpoint.as_ref().map_or(seat.plan, |checkpoint| checkpoint.plan);
        // Without a checkpoint it begins under the running plan, which knows the present name.
        let at = resume.checkpoint.as_ref().map_or(Position::MAX, |checkpoint| checkpoint.position);
        let mut lane = match seat.lane(plan, at) {
            Ok(lane) => lane,
            Err(error) => {
                tracing::warn!(sink = %seat.name, %error, "the plan of the last checkpoint cannot be read; records under it are passed over");
                let mut idle = AtWork::at(seat.lane(seat.plan, Position::MAX)?, seat.plan, resume.from, seat);
                (idle.idle, idle.in_force) = (true, plan);
                return Ok(idle);
            }
        };
        if let Some(checkpoint) = &resume.checkpoint {
            // A checkpoint that cannot be read must not hold the log for ever.
            if let Err(error) = lane.restore(plan, &checkpoint.state) {
                tracing::error!(sink = %seat.name, %error, "the state of calcs and stages is lost; going on without it");
            }
        }
        let mut at_work = AtWork::at(lane, plan, resume.from, seat);
        if let Some(in_force) = resume.in_force {
            (at_work.idle, at_work.in_force) = (true, in_force);
        }
        Ok(at_work)
    }

    fn at(lane: Lane, plan: PlanId, at: Position, seat: &LaneSeat) -> AtWork {
        AtWork {
            lane,
            plan,
            in_force: plan,
            idle: false,
            at,
            given_up: seat.trials().given_up(),
            log: Some(seat.log.fork()),
            checkpointed: Instant::now(),
            bytes_since: 0,
            samples_since: false,
            look: LaneLook::default(),
            out: Vec::new(),
        }
    }

    /// Computes records and hands what they give to the writer.
    async fn take(
        &mut self,
        seat: &LaneSeat,
        records: &[Arc<Record>],
        stop: &mut Stop,
    ) -> Result<(), Interrupted> {
        let Some(last) = records.last() else { return Ok(()) };
        let mut entries: Vec<LiveEntry> = Vec::new();
        for record in records {
            if let Fact::Configured { plan } = record.fact
                && plan != self.in_force
            {
                // Entries are numbered under one plan per block.
                self.send(seat, std::mem::take(&mut entries), self.at, stop).await;
                self.change_plan(seat, plan, record.position)?;
            }
            if self.given_up.as_ref().is_some_and(|(at, _)| *at == record.position) {
                self.send(seat, std::mem::take(&mut entries), self.at, stop).await;
                self.leave_out(seat, record);
                continue;
            }
            self.bytes_since += record.bytes();
            self.samples_since |= record.samples() > 0;
            self.at = record.position;
            if self.idle {
                continue;
            }
            let compute = || (seat.compute)(&mut self.lane, record, &mut self.out);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(compute)) {
                let reason = panic_text(&*panic);
                let give_up = seat.trials().failed(record.position, &reason, Instant::now());
                if give_up {
                    return Err(Interrupted::Record);
                }
                // Supervision starts the lane again from its checkpoint.
                resume_unwind(panic);
            }
            for (part, entry) in (0u32..).zip(self.out.drain(..)) {
                entries.push(live_entry(Cursor::new(record.position, part), entry));
            }
        }
        seat.meter.records.fetch_add(records.len() as u64, Relaxed);
        if !entries.is_empty() {
            self.send(seat, entries, last.position, stop).await;
        }
        seat.meter.set_position(last.position);
        if !self.idle {
            self.look.look(&seat.sequencer.live, &self.lane, self.plan);
        }
        // A lane in step runs as long as records come; others must have their turn.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn send(&self, seat: &LaneSeat, entries: Vec<LiveEntry>, covered: Position, stop: &mut Stop) {
        let samples: usize = entries.iter().map(|live| live.batch.len()).sum();
        let payload = entries.iter().map(|live| live.batch.payload()).sum();
        let credit = tokio::select! {
            credit = seat.edge.acquire(samples, payload) => Some(credit),
            // Stopping while the disk is full: what is not durable is computed again.
            () = stop.stopped() => None,
        };
        seat.meter.samples.fetch_add(samples as u64, Relaxed);
        let block = Block { sink: seat.sink, plan: self.plan, entries, covered, passed_over: None };
        let _ = seat.writer.send(Request::Block(block, credit));
    }

    /// Goes on after a record that cannot be computed; the gap ledger gets its samples.
    fn leave_out(&mut self, seat: &LaneSeat, record: &Record) {
        let Some((at, reason)) = self.given_up.take() else { return };
        let samples = samples_for(self.lane.sink(), record);
        let passed_over = Some(PassedOver { at, samples });
        seat.meter.samples.fetch_add(samples, Relaxed);
        let block = Block { sink: seat.sink, plan: self.plan, entries: Vec::new(), covered: at, passed_over };
        let _ = seat.writer.send(Request::Block(block, None));
        if seat.trials().left_out(Instant::now()) {
            tracing::error!(sink = %seat.name, record = %at, samples, reason, "the lane fails at a record each time and goes on without it; the gap ledger counts its samples");
        } else {
            tracing::debug!(sink = %seat.name, record = %at, samples, reason, "another record is left out");
        }
        self.at = at;
        // The state is that before the record: it must not be met again.
        self.checkpoint(seat);
    }

    /// Goes on under another plan. While a plan has no such sink the lane computes nothing,
    /// but keeps its state: the sink may come back.
    fn change_plan(&mut self, seat: &LaneSeat, plan: PlanId, at: Position) -> Result<(), String> {
        self.in_force = plan;
        let next = match seat.plan(plan) {
            Ok(next) => next,
            Err(error) => {
                // To fail here would hold the log for ever.
                tracing::error!(sink = %seat.name, %error, "the plan of older records cannot be read; they are passed over");
                self.idle = true;
                return Ok(());
            }
        };
        match next.sinks.iter().position(|sink| sink.name == *seat.journal.names().at(at)) {
            Some(sink) => {
                self.lane = self.lane.migrate(next, sink);
                self.plan = plan;
                self.idle = false;
            }
            None => self.idle = true,
        }
        Ok(())
    }

    /// Changes the plan before records that were read under another one.
    fn be_under(&mut self, seat: &LaneSeat, plan: PlanId, at: Position) -> Result<(), String> {
        match plan == self.in_force || plan == PlanId::default() {
            true => Ok(()),
            false => self.change_plan(seat, plan, at),
        }
    }

    /// Records from disk, in runs of one plan.
    async fn read_back(&mut self, seat: &LaneSeat) -> Result<Vec<(PlanId, Vec<Arc<Record>>)>, String> {
        let mut log = self.log.take().unwrap_or_else(|| seat.log.fork());
        let at = self.at;
        let read = move || {
            let read = log.records_after(at, READ_BYTES_MAX);
            (log, read)
        };
        let (log, read) = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        self.log = Some(log);
        let records = read.map_err(|error| error.to_string())?;
        if records.is_empty() {
            return Err(format!("the log does not hold the records after {at}"));
        }
        seat.meter.records_read_back.fetch_add(records.len() as u64, Relaxed);
        let mut runs: Vec<(PlanId, Vec<Arc<Record>>)> = Vec::new();
        for (plan, record) in records {
            match runs.last_mut() {
                Some((of, run)) if *of == plan => run.push(record),
                _ => runs.push((plan, vec![record])),
            }
        }
        Ok(runs)
    }

    fn checkpoint_if_due(&mut self, seat: &LaneSeat) {
        let elapsed = self.checkpointed.elapsed();
        // With nothing but ticks the state is what it was: only the log's trim waits for it.
        let due = if self.samples_since { CHECKPOINT_EVERY } else { CHECKPOINT_IDLE };
        if elapsed >= due || self.bytes_since >= CHECKPOINT_BYTES {
            self.checkpoint(seat);
        }
    }

    /// The writer takes requests in order, so everything up to `at` is covered before.
    fn checkpoint(&mut self, seat: &LaneSeat) {
        self.checkpointed = Instant::now();
        seat.meter.late.store(self.lane.late(), Relaxed);
        self.bytes_since = 0;
        self.samples_since = false;
        let checkpoint =
            Checkpoint { position: self.at, plan: self.plan, state: self.lane.snapshot(self.plan) };
        let block = Block {
            sink: seat.sink,
            plan: self.plan,
            entries: Vec::new(),
            covered: self.at,
            passed_over: None,
        };
        let _ = seat.writer.send(Request::Block(block, None));
        let _ = seat.writer.send(Request::Checkpoint(seat.sink, checkpoint.clone()));
        *seat.resume.lock().unwrap_or_else(PoisonError::into_inner) = Resume {
            from: self.at,
            checkpoint: Some(checkpoint),
            in_force: self.idle.then_some(self.in_force),
        };
    }
}

/// Samples of a record that the routes of a sink take as they are. What stages would have
/// taken away and calcs would have added nobody knows.
fn samples_for(sink: &SinkPlan, record: &Record) -> u64 {
    let Fact::Samples { batch, .. } = &record.fact else { return 0 };
    let taken = |route: &Route| batch.tags.iter().filter(|tag| route.tags.binary_search(tag).is_ok()).count();
    sink.routes.iter().map(taken).sum::<usize>() as u64
}

impl LaneSeat {
    fn trials(&self) -> MutexGuard<'_, Trials> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane under a plan that was in force at a position.
    fn lane(&self, plan: PlanId, at: Position) -> Result<Lane, String> {
        let plan = self.plan(plan)?;
        let sink =
            self.journal.names().find(at, |name| plan.sinks.iter().position(|sink| &*sink.name == name));
        let sink = sink.ok_or_else(|| format!("the plan has no sink `{}`", self.name))?;
        Ok(Lane::new(plan, sink))
    }
}

fn live_entry(cursor: Cursor, entry: Entry) -> LiveEntry {
    let batch = entry.payload.batch().clone();
    let content = match entry.payload {
        Payload::Reference { bits, .. } => Content::Reference { bits },
        Payload::Values(batch) => Content::Values(batch),
    };
    LiveEntry {
        entry: JournalEntry { cursor, route: entry.route, samples: batch.len() as u32, content },
        batch,
    }
}

#[cfg(test)]
mod tests;
