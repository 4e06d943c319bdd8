//! Sources that read on a standby, so that a takeover misses no slot.
//!
//! ```text
//!                     standby                            active
//! source --Outlet--> shadow                    source --Outlet--> Sequencer
//!                      ^  |                        (the same source, the same outlet)
//!  copy of the log ----+  +--offers--> peer
//!  (what it holds leaves the shadow)
//! ```
//! At a takeover the source runs on; only where its outlet leads to changes, under one lock: first what the shadow has
//! and the log lacks is appended, then what the source gives next. So no slot falls between the two, and none is read
//! by two runs of the source. The other way, to start a second run and to compare what both give, needs a further
//! connection to each device just when the network is in trouble.

use crate::admission::{Admission, GroupTags, Newest, group_tags, newest, note};
use crate::clock::{Disciplined, GatewayClock};
use crate::limits::{OFFERS_LOOKED, STAGE_STOP, TICK_EVERY};
use crate::reading::{GoodTags, SlotReading};
use crate::sequencer::{Sequencer, SourceKey};
use crate::source::SourceSeat;
use crate::stage::AbortOnDrop;
use crate::supervise::Backoff;
use gwp_core::command::{CommandSender, command_channel};
use gwp_core::edge::{Credit, Edge, EdgeMeter};
use gwp_core::exit::ExitCheck;
use gwp_core::source::{Emission, Outlet, Source, SourceMeter};
use gwp_core::stop::{Stop, StopSource, stop_pair};
use gwp_core::{Clock, Fact, GroupId, PlanId, Record, Timestamp, limits};
use gwp_journal::{LogReader, StoreError};
use gwp_plan::{Conditioner, Plan};
use gwp_redundancy::limits::SHADOW_BYTES_MAX;
use gwp_redundancy::mirror::takeover::take_over;
use gwp_redundancy::mirror::{HeldIndex, Place, Reading, Shadow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Sources at work on a standby.
pub struct HotReader {
    pub(crate) desk: Arc<HotDesk>,
    pub(crate) sources: Vec<HotSource>,
    clock_task: JoinHandle<()>,
}

impl Drop for HotReader {
    fn drop(&mut self) {
        self.clock_task.abort();
    }
}

/// What a source does on a standby.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// It reads.
    Hot,
    /// It is connected.
    Warm,
}

/// One of them: what an engine needs to run on with it.
pub(crate) struct HotSource {
    /// Index in the plan.
    pub index: usize,
    pub component: Arc<dyn Source>,
    pub outlet: Outlet,
    pub edge: Arc<EdgeMeter>,
    pub meter: Arc<SourceMeter>,
    pub commands: CommandSender,
    pub seat: Arc<SourceSeat>,
    pub run: HotRun,
}

/// A source's run that began before the epoch.
pub struct HotRun {
    stop: StopSource,
    task: AbortOnDrop,
    /// Set when an engine has it: then the engine starts it again when it fails.
    is_adopted: watch::Sender<bool>,
    /// Lets one that only holds its connection read.
    release: Option<StopSource>,
}

impl HotRun {
    /// The run of a stage from here on.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn until(mut self, mut stop: Stop) -> Result<(), String> {
        self.is_adopted.send_replace(true);
        self.release.iter().for_each(StopSource::stop);
        tokio::select! {
            ended = &mut self.task => return ended,
            () = stop.stopped() => self.stop.stop(),
        }
        self.task.await
    }
}

/// What the shadow is, for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HotFigures {
    /// Sources that are read.
    pub sources: Vec<Arc<str>>,
    /// Sources that hold their connection and read nothing.
    pub warm: Vec<Arc<str>>,
    /// Those of all that have no connection now: what they are to read a takeover would miss.
    pub unconnected: Vec<Arc<str>>,
    pub readings: usize,
    pub bytes: usize,
    /// Readings that had no room.
    pub dropped: u64,
    /// What the copy of the log holds is known: what it holds leaves the shadow.
    pub is_compared: bool,
    /// Poll groups that do not count, as the clocks of the nodes are too far apart for their period.
    pub off_grid: usize,
}

/// Where the sources hand over, on the standby and later.
pub struct HotDesk {
    plan_id: PlanId,
    plan: Arc<Plan>,
    /// Of the sources.
    names: Vec<(Arc<str>, Readiness)>,
    /// In the same order; empty until they are started.
    meters: OnceLock<Vec<Arc<SourceMeter>>>,
    /// Of all polled groups.
    tags: GroupTags,
    /// Those of hot sources.
    groups: Vec<GroupId>,
    /// Those of all sources: what they read next may be in the log.
    joining: Vec<GroupId>,
    conditioners: Vec<Conditioner>,
    pub(crate) clock: Arc<GatewayClock>,
    /// None while this node is a standby.
    log: RwLock<Option<HotLog>>,
    state: Mutex<HotState>,
}

struct HotState {
    shadow: Shadow<SlotReading>,
    held: HeldIndex<GoodTags>,
    /// `held` knows the newest records of the log here.
    is_compared: bool,
    /// Groups whose slots do not count: the clocks of the nodes are too far apart for their period.
    off_grid: BTreeSet<GroupId>,
    dropped: u64,
}

struct HotLog {
    sequencer: Arc<Sequencer>,
    exit: ExitCheck,
    /// By index of the source.
    keys: BTreeMap<usize, SourceKey>,
}

impl HotReader {
    /// Runs sources of a plan, by index. Their readings go to a shadow of at most 64 MiB; a warm one holds its
    /// connection and reads nothing until it is the active's.
    pub fn start(plan: Arc<Plan>, sources: Vec<(usize, Arc<dyn Source>, Readiness)>) -> HotReader {
        let clock = Arc::new(GatewayClock::new(None));
        let is_hot =
            |source: usize| sources.iter().any(|(index, _, how)| *index == source && *how == Readiness::Hot);
        let is_run = |source: usize| sources.iter().any(|(index, ..)| *index == source);
        let tags = group_tags(&plan);
        let groups = tags.keys().copied();
        let of = |runs: &dyn Fn(usize) -> bool| -> Vec<GroupId> {
            let groups = groups.clone();
            groups.filter(|id| plan.group(*id).is_some_and(|group| runs(group.source as usize))).collect()
        };
        let (groups, joining) = (of(&is_hot), of(&is_run));
        let names =
            sources.iter().filter_map(|(index, _, how)| Some((plan.sources.get(*index)?.name.clone(), *how)));
        let desk = Arc::new(HotDesk {
            plan_id: plan.id(),
            names: names.collect(),
            meters: OnceLock::new(),
            tags,
            groups,
            joining,
            conditioners: Conditioner::of_plan(&plan),
            clock: clock.clone(),
            log: RwLock::default(),
            state: Mutex::new(HotState {
                shadow: Shadow::new(SHADOW_BYTES_MAX),
                held: HeldIndex::default(),
                is_compared: false,
                off_grid: BTreeSet::new(),
                dropped: 0,
            }),
            plan,
        });
        let sources: Vec<HotSource> =
            sources.into_iter().map(|(index, source, how)| desk.source(index, source, how)).collect();
        let _ = desk.meters.set(sources.iter().map(|source| source.meter.clone()).collect());
        let clock_task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK_EVERY).await;
                if let Disciplined::Stepped(now) = clock.discipline() {
                    tracing::info!(%now, "gateway time stepped forward to UTC");
                }
            }
        });
        HotReader { desk, sources, clock_task }
    }

    /// For who copies the log and makes offers.
    pub fn desk(&self) -> Arc<HotDesk> {
        self.desk.clone()
    }

    /// The plan whose sources it reads.
    pub fn plan_id(&self) -> PlanId {
        self.desk.plan_id
    }

    /// Ends all sources; what the shadow has is lost. For a node that ends, or that runs another plan.
    pub async fn stop(mut self) {
        let sources = std::mem::take(&mut self.sources);
        sources.iter().for_each(|source| source.run.stop.stop());
        let ended = async {
            for source in sources {
                let _ = source.run.task.await;
            }
        };
        // One that does not end is aborted with what is left.
        let _ = tokio::time::timeout(STAGE_STOP, ended).await;
    }
}

impl HotDesk {
    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn state(&self) -> MutexGuard<'_, HotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a source.
    fn source(self: &Arc<HotDesk>, index: usize, component: Arc<dyn Source>, how: Readiness) -> HotSource {
        let edge = Edge::new(limits::SOURCE_CREDIT_SAMPLES);
        let edge_meter = edge.meter.clone();
        let desk = self.clone();
        let outlet = Outlet::new(edge, Arc::new(move |emission, credit| desk.take(index, emission, credit)));
        let (outlet, release) = match how {
            Readiness::Hot => (outlet, None),
            Readiness::Warm => {
                let (outlet, release) = outlet.held();
                (outlet, Some(release))
            }
        };
        let (commands, queue) = command_channel();
        let meter = Arc::new(SourceMeter::default());
        let seat = Arc::new(SourceSeat {
            source: component.clone(),
            // Said by the seat of the epoch: here nobody reads it.
            groups: Vec::new(),
            outlet: outlet.clone(),
            clock: self.clock.clone(),
            meter: meter.clone(),
            commands: queue,
            unpolled: [].into(),
            running: Mutex::default(),
        });
        let (stop, stopped) = stop_pair();
        let (is_adopted, adopted) = watch::channel(false);
        let name = self.plan.sources.get(index).map_or_else(|| "".into(), |source| source.name.clone());
        let task = AbortOnDrop(tokio::spawn(run(seat.clone(), name, stopped, adopted)));
        let run = HotRun { stop, task, is_adopted, release };
        HotSource { index, component, outlet, edge: edge_meter, meter, commands, seat, run }
    }

    /// Takes what a source gives. Never waits.
    fn take(&self, index: usize, emission: Emission, mut credit: Credit) {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = &*log else {
            // Given back at once: the shadow has a bound of its own. Dropped, it gives no receipt.
            drop(credit);
            return self.shadow(emission);
        };
        if let Some(key) = log.keys.get(&index) {
            credit.behind(&log.exit);
            log.sequencer.emission(*key, emission, credit);
        }
    }

    fn shadow(&self, emission: Emission) {
        let fact = match emission {
            Emission::Samples { slot, mut batch } => {
                if let Some(conditioner) = self.conditioners.get(batch.group.index()) {
                    conditioner.apply(&mut batch);
                }
                Fact::Samples { slot, batch: Arc::new(batch) }
            }
            Emission::Failed { group, slot, time, why } => Fact::Failed { group, slot, time, why },
            // Of this node alone: said when it is the active's.
            Emission::Connected { .. } | Emission::Bookmark { .. } => return,
        };
        let Some(reading) = SlotReading::of(&fact, |group| self.tags.get(&group).cloned()) else { return };
        let state = &mut *self.state();
        if state.off_grid.contains(&reading.batch.group) {
            return;
        }
        for dropped in state.shadow.push(&reading, &state.held) {
            if state.dropped == 0 {
                tracing::warn!(
                    "the standby has no room for more of its own readings: the oldest are dropped; a takeover may miss slots"
                );
            }
            state.dropped += u64::from(dropped.readings);
        }
    }

    pub fn figures(&self) -> HotFigures {
        let meters = self.meters.get().into_iter().flatten();
        let without = self.names.iter().zip(meters).filter(|(_, meter)| meter.connected.load(Relaxed) == 0);
        let of = |wanted| {
            let names = self.names.iter().filter(move |(_, how)| *how == wanted);
            names.map(|(name, _)| name.clone()).collect()
        };
        let state = self.state();
        HotFigures {
            sources: of(Readiness::Hot),
            warm: of(Readiness::Warm),
            unconnected: without.map(|((name, _), _)| name.clone()).collect(),
            readings: state.shadow.len(),
            bytes: state.shadow.bytes(),
            dropped: state.dropped,
            is_compared: state.is_compared,
            off_grid: state.off_grid.len(),
        }
    }

    /// These records are durable in the copy of the log: what they hold leaves the shadow.
    pub fn arrived(&self, records: &[(PlanId, Arc<Record>)]) {
        let HotState { shadow, held, .. } = &mut *self.state();
        note(held, records, (self.plan_id, &self.tags), |reading| shadow.arrived(reading));
    }

    /// What the log here holds is not known any more, until it is [compared](HotDesk::compare) anew.
    pub fn forget(&self) {
        let mut state = self.state();
        state.held = HeldIndex::default();
        state.is_compared = false;
    }

    /// Learns what the log here holds of late, from its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn compare(&self, log: &mut LogReader) -> Result<(), StoreError> {
        self.forget();
        let Newest { records, is_whole } = newest(log)?;
        self.arrived(&records);
        let mut state = self.state();
        if is_whole {
            state.held.has_whole_log();
        }
        state.is_compared = true;
        Ok(())
    }

    /// What the active's log lacks and the shadow has, the oldest first: at most `count` readings of about
    /// `bytes_max`.
    pub fn offers(&self, count: usize, bytes_max: usize) -> (PlanId, Vec<Fact>) {
        let state = self.state();
        let mut bytes = 0;
        // What is so old that nobody knows whether the log has it would be refused, each time.
        let past = state.shadow.offers(&state.held, OFFERS_LOOKED).into_iter();
        let past = past.filter(|reading| state.held.reaches(&reading.identity())).take(count);
        let few = past.take_while(|reading| {
            let has_room = bytes < bytes_max;
            bytes += reading.bytes();
            has_room
        });
        (self.plan_id, few.map(|reading| reading.into_fact(0, false)).collect())
    }

    /// The oldest slot that the log lacks.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.state().shadow.iter().map(|reading| reading.batch.times.get(0)).min()
    }

    /// Gateway time, which the sources read by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clocks of the nodes are this far apart, nanoseconds: slots of groups whose period is at most four times as
    /// long are no slots of the other node's, and are not kept. Gives how many of the groups that are polled those are.
    pub fn set_offset(&self, offset_ns: i64) -> usize {
        let off = |group: &GroupId| {
            let period = self.plan.group(*group).map_or(0, |group| group.period_ns);
            offset_ns.saturating_abs() >= period / 4
        };
        let off_grid: BTreeSet<GroupId> = self.groups.iter().copied().filter(off).collect();
        let count = off_grid.len();
        self.state().off_grid = off_grid;
        count
    }

    /// This node is active: appends what the shadow has and the log lacks, and leads all outlets to the log. `first` is
    /// said before.
    pub(crate) fn take_over(
        &self,
        sequencer: &Arc<Sequencer>,
        keys: BTreeMap<usize, SourceKey>,
        (exit, end, stale): (ExitCheck, Place, bool),
        first: impl FnOnce(),
    ) {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *self.state();
        let takeover = take_over(&state.held, end, &[], &state.shadow, stale);
        tracing::info!(
            readings = takeover.append.len(),
            "what this node has read as the standby and the log lacks is appended"
        );
        sequencer.compare(Admission::new(&self.plan, self.plan_id, std::mem::take(&mut state.held)));
        first();
        sequencer.take_over(takeover.append, self.joining.iter().copied());
        state.shadow.clear();
        *log = Some(HotLog { sequencer: sequencer.clone(), exit, keys });
    }

    /// Whether what the log here holds is known.
    pub(crate) fn is_compared(&self) -> bool {
        self.state().is_compared
    }
}

/// Runs a source again and again, until it is stopped, or fails as the source of an engine.
async fn run(
    seat: Arc<SourceSeat>,
    name: Arc<str>,
    mut stop: Stop,
    mut adopted: watch::Receiver<bool>,
) -> Result<(), String> {
    let mut backoff = Backoff::default();
    loop {
        let ended = seat.run_once(stop.clone()).await;
        let is_over = stop.is_stopped() || *adopted.borrow();
        if is_over {
            return ended;
        }
        let wait = backoff.after_failure(Instant::now());
        let reason = ended.as_ref().err().map_or("ended", String::as_str);
        tracing::warn!(source = %name, reason, wait_ms = wait.as_millis() as u64, "a source that reads on the standby failed; starting it again");
        seat.meter.connected.store(0, Relaxed);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_nanos(wait.as_nanos() as u64)) => {}
            () = stop.stopped() => return Ok(()),
            // The engine has its own pauses.
            _ = adopted.wait_for(|adopted| *adopted) => return ended.and(Err("ended".into())),
        }
    }
}
