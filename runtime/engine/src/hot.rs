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
//!
//! Another plan ([`HotReader::follow`]) stops what differs in it alone, as at the active: the shadow has what was read
//! before, in the numbers of the new plan. So it is also where a takeover comes in the middle of a change, or brings the
//! plan before back.

mod numbers;

use self::numbers::{Crossing, Numbers, Run};
use crate::admission::{Admission, Newest, newest};
use crate::clock::{Disciplined, GatewayClock};
use crate::limits::{OFFERS_LOOKED, STAGE_STOP, TICK_EVERY};
use crate::reading::{GoodTags, SlotReading};
use crate::sequencer::{Sequencer, SourceKey};
use crate::source::SourceSeat;
use crate::stage::AbortOnDrop;
use crate::supervise::Backoff;
use crate::translation::Translation;
use gwp_core::command::{CommandSender, command_channel};
use gwp_core::edge::{Credit, Edge, EdgeMeter};
use gwp_core::exit::ExitCheck;
use gwp_core::source::{Emission, Outlet, Source, SourceMeter};
use gwp_core::stop::{Stop, StopSource, stop_pair};
use gwp_core::{Clock, Fact, GroupId, PlanId, Record, Timestamp, limits};
use gwp_journal::{LogReader, PlanReader, StoreError};
use gwp_plan::Plan;
use gwp_plan::diff::same_source;
use gwp_redundancy::limits::SHADOW_BYTES_MAX;
use gwp_redundancy::mirror::takeover::take_over;
use gwp_redundancy::mirror::{HeldIndex, Place, Reading, Shadow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Sources at work on a standby.
pub struct HotReader {
    pub(crate) desk: Arc<HotDesk>,
    pub(crate) sources: Vec<HotSource>,
    /// Runs that were begun.
    runs: usize,
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
    /// Of its run.
    pub number: usize,
    /// The plan in whose numbers it speaks, and its place there.
    pub home: Arc<Plan>,
    pub index: usize,
    how: Readiness,
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
    pub(crate) clock: Arc<GatewayClock>,
    /// None while this node is a standby.
    log: RwLock<Option<HotLog>>,
    state: Mutex<HotState>,
}

struct HotState {
    numbers: Numbers,
    shadow: Shadow<SlotReading>,
    held: HeldIndex<GoodTags>,
    /// `held` knows the newest records of the log here.
    is_compared: bool,
    /// How far the clocks of the nodes are apart, nanoseconds.
    offset_ns: i64,
    /// Groups whose slots do not count: the clocks of the nodes are too far apart for their period.
    off_grid: BTreeSet<GroupId>,
    dropped: u64,
}

struct HotLog {
    sequencer: Arc<Sequencer>,
    exit: ExitCheck,
    /// By number of the run.
    keys: BTreeMap<usize, SourceKey>,
}

impl HotReader {
    /// Runs sources of a plan, by index. Their readings go to a shadow of at most 64 MiB; a warm one holds its
    /// connection and reads nothing until it is the active's.
    pub fn start(plan: Arc<Plan>, sources: Vec<(usize, Arc<dyn Source>, Readiness)>) -> HotReader {
        let clock = Arc::new(GatewayClock::new(None));
        let desk = Arc::new(HotDesk {
            clock: clock.clone(),
            log: RwLock::default(),
            state: Mutex::new(HotState {
                numbers: Numbers::new(plan.clone(), BTreeMap::new()),
                shadow: Shadow::new(SHADOW_BYTES_MAX),
                held: HeldIndex::default(),
                is_compared: false,
                offset_ns: 0,
                off_grid: BTreeSet::new(),
                dropped: 0,
            }),
        });
        let clock_task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK_EVERY).await;
                if let Disciplined::Stepped(now) = clock.discipline() {
                    tracing::info!(%now, "gateway time stepped forward to UTC");
                }
            }
        });
        let mut reader = HotReader { desk, sources: Vec::new(), runs: 0, clock_task };
        let wanted: Vec<(usize, Readiness)> = sources.iter().map(|(index, _, how)| (*index, *how)).collect();
        let mut components: BTreeMap<usize, Arc<dyn Source>> =
            sources.into_iter().map(|(index, component, _)| (index, component)).collect();
        reader.follow(&plan, &wanted, |index| components.remove(&index));
        reader
    }

    /// Reads by another plan. Sources that it declares as before, and wants as before, go on; the others of `wanted` are
    /// made and begin, and what is not wanted ends. What was read of sources that both plans have stays.
    pub fn follow(
        &mut self,
        plan: &Arc<Plan>,
        wanted: &[(usize, Readiness)],
        mut make: impl FnMut(usize) -> Option<Arc<dyn Source>>,
    ) {
        let (mut runs, mut ended) = (BTreeMap::new(), Vec::new());
        let mut missing: BTreeMap<usize, Readiness> = wanted.iter().copied().collect();
        for source in std::mem::take(&mut self.sources) {
            let name = &source.home.sources[source.index].name;
            let named = missing.iter().find(|(at, _)| plan.sources[**at].name == *name);
            let at = named.filter(|(_, how)| **how == source.how).map(|(at, _)| *at);
            let at = at.filter(|at| same_source(&source.home, source.index, plan, *at));
            let Some(at) = at else {
                ended.push(source);
                continue;
            };
            missing.remove(&at);
            let translation = Translation::new(&source.home, source.index, plan, at);
            let run = Run { at, how: source.how, translation, meter: source.meter.clone() };
            runs.insert(source.number, run);
            self.sources.push(source);
        }
        let mut fresh = Vec::new();
        for (at, how) in missing {
            let Some(component) = make(at) else { continue };
            let (number, meter) = (self.runs, Arc::new(SourceMeter::default()));
            self.runs += 1;
            runs.insert(number, Run { at, how, translation: None, meter: meter.clone() });
            fresh.push((number, at, component, how, meter));
        }
        // Before they begin: what a run gives that nobody knows of is dropped.
        self.desk.renumber(Numbers::new(plan.clone(), runs));
        let fresh = fresh.into_iter().map(|(number, index, component, how, meter)| {
            self.desk.source(plan, (number, index), component, how, meter)
        });
        self.sources.extend(fresh.collect::<Vec<_>>());
        if !ended.is_empty() {
            // Nobody waits for a device that does not let go.
            tokio::spawn(ended_in_time(ended));
        }
    }

    /// For a takeover: as [`HotReader::follow`], with nothing begun.
    pub(crate) fn go_on_in(&mut self, plan: &Arc<Plan>) {
        if plan.id() == self.plan_id() {
            return;
        }
        let how = |name: &str| {
            let named = self.sources.iter().find(|source| *source.home.sources[source.index].name == *name);
            named.map(|source| source.how)
        };
        let wanted = plan.sources.iter().enumerate();
        let wanted: Vec<(usize, Readiness)> =
            wanted.filter_map(|(at, source)| Some((at, how(&source.name)?))).collect();
        let before = self.sources.len();
        self.follow(plan, &wanted, |_| None);
        tracing::info!(
            sources = before,
            go_on = self.sources.len(),
            "the program that is in force now is another than this node has read by as the standby: sources that both have go on"
        );
    }

    /// For who copies the log and makes offers.
    pub fn desk(&self) -> Arc<HotDesk> {
        self.desk.clone()
    }

    /// The plan whose sources it reads.
    pub fn plan_id(&self) -> PlanId {
        self.desk.state().numbers.id
    }

    /// What reads or waits, by index in the plan.
    pub(crate) fn take_sources(&mut self) -> BTreeMap<usize, HotSource> {
        let sources = std::mem::take(&mut self.sources);
        let state = self.desk.state();
        let at = |source: &HotSource| state.numbers.runs.get(&source.number).map(|run| run.at);
        sources.into_iter().filter_map(|source| Some((at(&source)?, source))).collect()
    }

    /// Ends all sources; what the shadow has is lost. For a node that ends, or whose plan has none to read.
    pub async fn stop(mut self) {
        ended_in_time(std::mem::take(&mut self.sources)).await;
    }
}

/// Ends sources; one that does not is aborted with what is left.
async fn ended_in_time(sources: Vec<HotSource>) {
    sources.iter().for_each(|source| source.run.stop.stop());
    let ended = async {
        for source in sources {
            let _ = source.run.task.await;
        }
    };
    let _ = tokio::time::timeout(STAGE_STOP, ended).await;
}

impl HotDesk {
    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn state(&self) -> MutexGuard<'_, HotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other numbers count from here on.
    fn renumber(&self, mut numbers: Numbers) {
        let before = self.state().numbers.plan.clone();
        // Without the lock: it takes a while, and sources wait for that.
        let crossing = Crossing::new(&before, &numbers.plan);
        let state = &mut *self.state();
        if numbers.id == state.numbers.id {
            numbers.keep_others(&mut state.numbers);
        } else {
            let before = std::mem::replace(&mut state.shadow, Shadow::new(SHADOW_BYTES_MAX));
            (state.held, state.is_compared) = (HeldIndex::default(), false);
            for reading in before.iter().filter_map(|reading| crossing.reading(reading)) {
                state.shadow.push(&reading, &state.held);
            }
            numbers.learn(crossing);
        }
        state.numbers = numbers;
        state.look_at_grid();
    }

    /// Starts a source: number of the run and index in the plan.
    fn source(
        self: &Arc<HotDesk>,
        home: &Arc<Plan>,
        (number, index): (usize, usize),
        component: Arc<dyn Source>,
        how: Readiness,
        meter: Arc<SourceMeter>,
    ) -> HotSource {
        let edge = Edge::new(limits::SOURCE_CREDIT_SAMPLES);
        let edge_meter = edge.meter.clone();
        let desk = self.clone();
        let outlet = Outlet::new(edge, Arc::new(move |emission, credit| desk.take(number, emission, credit)));
        let (outlet, release) = match how {
            Readiness::Hot => (outlet, None),
            Readiness::Warm => {
                let (outlet, release) = outlet.held();
                (outlet, Some(release))
            }
        };
        let (commands, queue) = command_channel();
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
        let (name, home) = (home.sources[index].name.clone(), home.clone());
        let task = AbortOnDrop(tokio::spawn(run(seat.clone(), name, stopped, adopted)));
        let run = HotRun { stop, task, is_adopted, release };
        HotSource {
            number,
            home,
            index,
            how,
            component,
            outlet,
            edge: edge_meter,
            meter,
            commands,
            seat,
            run,
        }
    }

    /// Takes what a source gives. Never waits.
    fn take(&self, number: usize, emission: Emission, mut credit: Credit) {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = &*log else {
            // Given back at once: the shadow has a bound of its own. Dropped, it gives no receipt.
            drop(credit);
            return self.shadow(number, emission);
        };
        if let Some(key) = log.keys.get(&number) {
            credit.behind(&log.exit);
            log.sequencer.emission(*key, emission, credit);
        }
    }

    fn shadow(&self, number: usize, emission: Emission) {
        let state = &mut *self.state();
        let Some(reading) = state.numbers.given(number, emission) else { return };
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
        let state = self.state();
        let Numbers { plan, runs, .. } = &state.numbers;
        let of = |is_wanted: &dyn Fn(&Run) -> bool| {
            let runs = runs.values().filter(|run| is_wanted(run));
            runs.map(|run| plan.sources[run.at].name.clone()).collect()
        };
        HotFigures {
            sources: of(&|run| run.how == Readiness::Hot),
            warm: of(&|run| run.how == Readiness::Warm),
            unconnected: of(&|run| run.meter.connected.load(Relaxed) == 0),
            readings: state.shadow.len(),
            bytes: state.shadow.bytes(),
            dropped: state.dropped,
            is_compared: state.is_compared,
            off_grid: state.off_grid.len(),
        }
    }

    /// These records are durable in the copy of the log: what they hold leaves the shadow.
    pub fn arrived(&self, records: &[(PlanId, Arc<Record>)]) {
        let state = &mut *self.state();
        state.note(records);
    }

    /// What the log here holds is not known any more, until it is [compared](HotDesk::compare) anew.
    pub fn forget(&self) {
        let mut state = self.state();
        state.held = HeldIndex::default();
        state.is_compared = false;
    }

    /// Whether records are numbered by a plan that has to be [learned](HotDesk::learn) first.
    pub fn lacks_plan_of(&self, records: &[(PlanId, Arc<Record>)]) -> bool {
        let state = self.state();
        records.iter().any(|record| state.is_unknown(record))
    }

    /// Learns the plans that number these records.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn learn(&self, records: &[(PlanId, Arc<Record>)], plans: &PlanReader) -> Result<(), StoreError> {
        let (unknown, now) = {
            let state = self.state();
            let of_slots = records.iter().filter(|record| state.is_unknown(record));
            let unknown: BTreeSet<PlanId> = of_slots.map(|(id, _)| *id).collect();
            (unknown, state.numbers.plan.clone())
        };
        for id in unknown {
            let plan = plans.get(id)?.and_then(|bytes| Plan::from_bytes(&bytes).ok());
            let crossing = plan.map_or_else(|| Crossing::unknown(id), |plan| Crossing::new(&plan, &now));
            let mut state = self.state();
            // Otherwise this node follows another plan by now, and learns again.
            if Arc::ptr_eq(&state.numbers.plan, &now) {
                state.numbers.learn(crossing);
            }
        }
        Ok(())
    }

    /// Learns what the log here holds of late, from its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn compare(&self, log: &mut LogReader, plans: &PlanReader) -> Result<(), StoreError> {
        let Newest { records, is_whole } = newest(log)?;
        self.learn(&records, plans)?;
        let state = &mut *self.state();
        (state.held, state.is_compared) = (HeldIndex::default(), true);
        state.note(&records);
        if is_whole {
            state.held.has_whole_log();
        }
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
        (state.numbers.id, few.map(|reading| reading.into_fact(0, false)).collect())
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
        let mut state = self.state();
        state.offset_ns = offset_ns;
        state.look_at_grid()
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
        let numbers = &state.numbers;
        sequencer.compare(Admission::new(&numbers.plan, numbers.id, std::mem::take(&mut state.held)));
        first();
        // What all of them read next may be in the log.
        sequencer.take_over(takeover.append, numbers.groups(|_| true));
        state.shadow.clear();
        *log = Some(HotLog { sequencer: sequencer.clone(), exit, keys });
    }

    /// Whether what the log here holds is known; after a change of the plan it is not.
    pub fn is_compared(&self) -> bool {
        self.state().is_compared
    }
}

impl HotState {
    fn is_unknown(&self, (plan, record): &(PlanId, Arc<Record>)) -> bool {
        matches!(record.fact, Fact::Samples { .. } | Fact::Failed { .. }) && !self.numbers.knows(*plan)
    }

    /// Takes note of records of the log.
    fn note(&mut self, records: &[(PlanId, Arc<Record>)]) {
        let HotState { numbers, shadow, held, .. } = self;
        for (plan, record) in records {
            if let Some(reading) = numbers.logged(*plan, &record.fact) {
                held.record(&reading);
                shadow.arrived(&reading);
            }
        }
    }

    /// Which groups do not count; gives how many those are.
    fn look_at_grid(&mut self) -> usize {
        let off = |group: &GroupId| {
            let period = self.numbers.plan.group(*group).map_or(0, |group| group.period_ns);
            self.offset_ns.saturating_abs() >= period / 4
        };
        self.off_grid = self.numbers.groups(|how| how == Readiness::Hot).into_iter().filter(off).collect();
        self.off_grid.len()
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
