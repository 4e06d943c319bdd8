//! Starting and stopping an engine. What a change of its plan is stands in [`change`](crate::change).

use crate::alarms::{self, AlarmDesk, BOARD};
use crate::change::Slots;
use crate::clock::{Disciplined, GatewayClock};
use crate::exits::{ExitKeeper, Exits, exits};
use crate::graph::{
    Begin, Leaving, Outboxes, PreparedSink, Removed, RunningBoard, RunningSink, RunningSource, RunningWrites,
    Shared,
};
use crate::limits::{SINK_GRACE, SWEEP_EVERY, TICK_EVERY};
use crate::live::{self, LiveBoard};
use crate::names;
use crate::plans::Plans;
use crate::sequencer::{Sequencer, SourceKey};
use crate::status::{EngineStatus, GraphStatus, SinkStatus, WriteMeter};
use crate::topology::{StageSpec, Tier, TopologyActor, TopologyMsg};
use crate::writes::SourceInlet;
use gwp_core::sink::with_causes;
use gwp_core::source::Source;
use gwp_core::{Clock, Fact, PlanId, Position, SinkId};
use gwp_journal::{
    Event, Full, LogReader, Place, Request, SinkPolicy, SpacePolicy, Store, StoreError, Writer, WriterMeter,
};
use gwp_plan::{FullPolicy, Plan, SinkPlan};
use gwp_redundancy::lone::{self, LoneError};
use gwp_redundancy::member::Epoch;
use gwp_redundancy::token::Gate;
use ractor::{Actor, ActorRef, call_t};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What an engine is made of.
pub struct EngineConfig {
    pub plan: Arc<Plan>,
    /// By index of the plan's sources.
    pub sources: Vec<Arc<dyn Source>>,
    /// By index of the plan's sinks.
    pub sinks: Vec<PreparedSink>,
    /// Sinks of earlier plans that have not ended yet.
    pub leaving: Vec<LeavingSink>,
    pub data_dir: PathBuf,
    pub space: SpacePolicy,
}

/// A sink that left the plan before this start.
pub struct LeavingSink {
    /// A plan that has it, and its place there.
    pub plan: Arc<Plan>,
    pub index: usize,
    pub sink: PreparedSink,
    pub how: Removed,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the operating system gives no thread for the journal")]
    Thread(#[from] std::io::Error),
    #[error("the actor graph cannot start: {0}")]
    Actors(String),
    #[error("the plan has {plan} {what}, {given} were prepared")]
    Mismatch { what: &'static str, plan: usize, given: usize },
    #[error(
        "the machine that decides who is active broke its rule `{0}`: nothing is delivered; please report it"
    )]
    Defect(&'static str),
}

/// A running engine.
pub struct Engine {
    pub status: Arc<EngineStatus>,
    pub clock: Arc<GatewayClock>,
    pub(crate) inner: Arc<Inner>,
    failed: watch::Receiver<Option<Arc<str>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What changes of the plan and the tasks of the engine share.
pub(crate) struct Inner {
    pub shared: Shared,
    pub writer: Arc<Writer>,
    pub status: Arc<EngineStatus>,
    pub running: tokio::sync::Mutex<Running>,
    /// Opens the exits. A lone gateway leaves them open as long as it runs.
    pub exits: ExitKeeper,
}

/// What runs now.
pub(crate) struct Running {
    pub plan: Arc<Plan>,
    pub plan_id: PlanId,
    pub sources: Vec<RunningSource>,
    pub sinks: Vec<RunningSink>,
    pub writes: Option<RunningWrites>,
    pub board: Option<RunningBoard>,
    pub desk: Option<(SourceKey, Arc<AlarmDesk>)>,
    /// Slots of sources that are being made anew.
    pub slots: Slots,
    /// Figures of writes by name: they outlive a change of the plan.
    pub figures: BTreeMap<Arc<str>, Arc<WriteMeter>>,
    /// There is no way back: sinks drain.
    pub sources_stopped: bool,
    /// Sinks that the change under way has added.
    pub added: Vec<SinkId>,
}

/// The board's lane gives no entries.
pub(crate) const BOARD_POLICY: SinkPolicy =
    SinkPolicy { capacity_bytes: 0, keep_ns: 0, full: Full::DropOldest };

/// How long a whole tier may take to stop before it is given up.
pub(crate) const STOP_TIMEOUT_MS: u64 = 15_000;

impl Engine {
    /// Opens the store, recovers, and starts all stages.
    ///
    /// # Errors
    /// The store cannot be opened, or what was prepared does not fit the plan.
    pub async fn start(config: EngineConfig) -> Result<Engine, StartError> {
        let EngineConfig { plan, sources, sinks, leaving, data_dir, space } = config;
        fits("sources", plan.sources.len(), sources.len())?;
        fits("sinks", plan.sinks.len(), sinks.len())?;

        let opened = Store::open(&data_dir)?;
        let mut store = opened.store;
        let previous = store.durable();
        let gate = activate_alone(&mut store)?;
        let epoch = gate.epoch();
        let (recovered, store) = Recovered::new(store, plan, leaving, (epoch, previous))?;
        let (keeper, exits) = exits();
        keeper.set(gate);
        let (failed_tx, failed) = watch::channel(None);
        let clock = recovered.clock.clone();
        let outboxes = Arc::new(Outboxes::default());
        let (durable_tx, durable) = watch::channel(recovered.previous);
        let told = outboxes.clone();
        let report = Box::new(move |event| report(&told, &durable_tx, &failed_tx, event));
        let writer = Arc::new(Writer::start(store, &data_dir, space, clock.clone(), report)?);
        let (topology, _) = Actor::spawn(None, TopologyActor, ())
            .await
            .map_err(|error| StartError::Actors(error.to_string()))?;
        let status = Arc::new(EngineStatus::new(writer.meter.clone()));
        let shared = recovered.shared(&writer, outboxes, durable, topology, exits);
        let (running, specs) = recovered.graph(&shared, sources, sinks);
        let inner = Inner { shared, writer, status: status.clone(), running: running.into(), exits: keeper };
        inner.show(&*inner.running.lock().await);
        inner.add(specs).await.map_err(StartError::Actors)?;
        let inner = Arc::new(inner);
        let Shared { sequencer, .. } = &inner.shared;
        let ticker =
            tick(clock.clone(), sequencer.clone(), inner.writer.sender(), inner.writer.meter.clone());
        let reader = live::read(sequencer.clone(), inner.shared.plans.clone());
        let tasks = vec![tokio::spawn(ticker), tokio::spawn(sweep(inner.clone())), tokio::spawn(reader)];
        Ok(Engine { status, clock, inner, failed, tasks: tasks.into() })
    }

    /// The keeper of the exits, for whoever decides who is active.
    pub fn exits(&self) -> &ExitKeeper {
        &self.inner.exits
    }

    /// Takes orders to alarms, if the plan in force has any.
    pub fn alarms(&self) -> Option<Arc<AlarmDesk>> {
        self.status.graph().alarms.clone()
    }

    /// Latest values of tags, for who watches.
    pub fn live(&self) -> Arc<LiveBoard> {
        self.inner.shared.sequencer.live.clone()
    }

    /// The plan in force.
    pub fn plan_id(&self) -> PlanId {
        self.status.graph().plan
    }

    /// The plan in force, as a whole.
    ///
    /// # Errors
    /// It is not in memory any more and cannot be read.
    pub fn plan(&self) -> Result<Arc<Plan>, String> {
        self.inner.shared.plans.get(self.plan_id())
    }

    /// Completes when the engine cannot go on: the store failed.
    pub async fn failed(&self) -> Arc<str> {
        let mut failed = self.failed.clone();
        loop {
            if let Some(reason) = failed.borrow_and_update().clone() {
                return reason;
            }
            if failed.changed().await.is_err() {
                return "the journal's thread has ended".into();
            }
        }
    }

    /// Stops sources and writes; sinks go on delivering what the journals hold. There is no way back but [`stop`].
    ///
    /// [`stop`]: Engine::stop
    pub async fn stop_sources(&self) {
        self.inner.running.lock().await.sources_stopped = true;
        for tier in [Tier::Write, Tier::Source] {
            self.inner.stop_tier(tier).await;
        }
    }

    /// Stops in order: writes, sources, then lanes up to the last record, then sinks as far as
    /// their destinations go along, then the writer. What is left stays in the journals.
    pub async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        // A change of the plan that is under way comes to its end first, and none comes after it.
        let mut running = self.inner.running.lock().await;
        running.sources_stopped = true;
        for tier in [Tier::Write, Tier::Source, Tier::Lane, Tier::Sink] {
            self.inner.stop_tier(tier).await;
            self.inner.flush().await;
        }
        // Stages that did not stop in time deliver nothing any more, and are waited for a little.
        self.inner.exits.shut();
        let _ = tokio::time::timeout(SINK_GRACE, self.inner.exits.emptied()).await;
        self.inner.shared.topology.stop(None);
        let writer = self.inner.writer.clone();
        let _ = tokio::task::spawn_blocking(move || writer.stop()).await;
    }
}

/// The next epoch of a gateway without a peer, kept by the store.
fn activate_alone(store: &mut Store) -> Result<Gate, StartError> {
    let last = store.last_epoch();
    lone::activate(last, |epoch| store.begin_epoch(epoch)).map_err(|error| match error {
        LoneError::Keep(error) => error.into(),
        LoneError::Defect(rule) => StartError::Defect(rule),
    })
}

/// What was prepared must be what the plan has.
pub(crate) fn fits(what: &'static str, plan: usize, given: usize) -> Result<(), StartError> {
    match plan == given {
        true => Ok(()),
        false => Err(StartError::Mismatch { what, plan, given }),
    }
}

impl Inner {
    /// Runs further stages.
    pub async fn add(&self, specs: Vec<StageSpec>) -> Result<(), String> {
        let added = call_t!(self.shared.topology, |reply| TopologyMsg::Add(specs, reply), STOP_TIMEOUT_MS);
        added.map_err(|error| format!("the topology does not answer: {error}"))?
    }

    async fn stop_tier(&self, tier: Tier) {
        if call_t!(self.shared.topology, |reply| TopologyMsg::Stop(tier, reply), STOP_TIMEOUT_MS).is_err() {
            tracing::warn!(tier = tier.word(), "stages did not stop in time");
        }
    }

    /// Waits until everything asked of the writer so far is durable. A full disk holds that up; stopping must not
    /// wait for it.
    pub async fn flush(&self) {
        let (answer, flushed) = std::sync::mpsc::channel();
        self.writer.ask(Request::Flush(answer));
        let wait = move || flushed.recv_timeout(std::time::Duration::from_secs(5));
        let _ = tokio::task::spawn_blocking(wait).await;
    }

    /// Shows what runs.
    pub fn show(&self, running: &Running) {
        let in_plan = |sink: &&RunningSink| sink.leaving.is_none();
        let staying = running.sinks.iter().filter(in_plan).map(|sink| sink.status.clone());
        let leaving = running
            .sinks
            .iter()
            .filter(|sink| sink.leaving.is_some())
            .map(|sink| Arc::new(SinkStatus { leaving: true, ..SinkStatus::clone(&sink.status) }));
        let mut sources: Vec<_> = running.sources.iter().collect();
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let stages = running.writes.iter().map(|writes| writes.status.clone());
        let stages = stages.chain(running.board.iter().map(|board| board.status.clone()));
        self.status.show(GraphStatus {
            plan: running.plan_id,
            sources: sources.into_iter().map(|source| source.status.clone()).collect(),
            sinks: staying.chain(leaving).collect(),
            writes: running.writes.iter().flat_map(RunningWrites::statuses).collect(),
            stages: stages.collect(),
            alarms: running.desk.as_ref().map(|(_, desk)| desk.clone()),
        });
    }
}

/// Writes ticks and keeps gateway time close to UTC.
async fn tick(
    clock: Arc<GatewayClock>,
    sequencer: Arc<Sequencer>,
    requests: Sender<Request>,
    meter: Arc<WriterMeter>,
) {
    let mut warned = false;
    loop {
        tokio::time::sleep(TICK_EVERY).await;
        if meter.low_space.load(Relaxed) {
            // Nothing is stored now, and ticks have no credit that would bound them.
            continue;
        }
        let before = clock.now();
        match clock.discipline() {
            Disciplined::Stepped(now) => {
                let _ = requests.send(Request::ClockStepped(now.0.saturating_sub(before.0)));
                tracing::info!(%now, "gateway time stepped forward to UTC");
                sequencer.fact(Fact::Anchor { now });
            }
            Disciplined::Ahead(ns) if !warned => {
                tracing::warn!(
                    ahead_ms = ns / 1_000_000,
                    "gateway time is ahead of UTC and runs slower until they agree"
                );
                warned = true;
            }
            Disciplined::Ahead(_) => {}
            Disciplined::Kept => warned = false,
        }
        sequencer.fact(Fact::Tick { now: clock.now() });
    }
}

/// Ends sinks that have left the plan, once they have nothing to do.
async fn sweep(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        inner.sweep().await;
    }
}

/// Passes on what the writer reports. Runs on the writer's thread: nothing here blocks.
fn report(
    outboxes: &Outboxes,
    durable: &watch::Sender<Position>,
    failed: &watch::Sender<Option<Arc<str>>>,
    event: Event,
) {
    match event {
        Event::Committed(committed) => {
            durable.send_replace(committed.upto);
            for block in committed.blocks {
                if let Some(outbox) = outboxes.get(block.sink) {
                    outbox.push(block.plan, block.entries);
                }
            }
        }
        Event::Failed(error) => {
            failed.send_replace(Some(with_causes(&error).into()));
        }
    }
}

/// What the store says at the start of an epoch.
struct Recovered {
    plan: Arc<Plan>,
    plan_id: PlanId,
    plans: Arc<Plans>,
    clock: Arc<GatewayClock>,
    epoch: Epoch,
    previous: Position,
    running_hash: u64,
    incarnation: [u8; 16],
    log: LogReader,
    /// By index of the plan's sinks.
    sinks: Vec<Place>,
    leaving: Vec<(LeavingSink, Place)>,
    /// The place of the board of alarms, if the plan has alarms.
    board: Option<Place>,
}

impl Recovered {
    fn new(
        mut store: Store,
        plan: Arc<Plan>,
        leaving: Vec<LeavingSink>,
        (epoch, previous): (Epoch, Position),
    ) -> Result<(Recovered, Store), StartError> {
        let plan_id = plan.id();
        store.put_plan(plan_id, &plan.to_bytes())?;
        let clock = Arc::new(GatewayClock::new(store.last_time()?));
        names::follow_names(&mut store, &plan)?;
        let leaving = leaving.into_iter().filter_map(|sink| {
            let name = sink.plan.sinks.get(sink.index)?.name.clone();
            let known = store.sinks().any(|journal| journal.name == name);
            (known && plan.sinks.iter().all(|other| other.name != name)).then_some((name, sink))
        });
        let leaving: Vec<(Arc<str>, LeavingSink)> = leaving.collect();
        names::warn_of_orphans(&store, &plan, |name| leaving.iter().any(|(leaving, _)| **leaving == *name));
        let sinks = plan.sinks.iter().map(|sink| place(&mut store, &sink.name, policy(sink)));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let leaving = leaving.into_iter().map(|(name, sink)| {
            let policy = policy(&sink.plan.sinks[sink.index]);
            Ok((sink, place(&mut store, &name, policy)?))
        });
        let leaving = leaving.collect::<Result<_, StoreError>>()?;
        let board = match alarms::has_alarms(&plan) {
            true => Some(place(&mut store, BOARD, BOARD_POLICY)?),
            false => None,
        };
        names::forget_empty(&mut store, clock.now())?;
        let recovered = Recovered {
            plans: Arc::new(Plans::new(store.plan_reader(), plan_id, plan.clone())),
            plan,
            plan_id,
            clock,
            epoch,
            previous,
            running_hash: store.running_hash(),
            incarnation: store.incarnation(),
            log: store.log_reader(),
            sinks,
            leaving,
            board,
        };
        Ok((recovered, store))
    }

    fn shared(
        &self,
        writer: &Writer,
        outboxes: Arc<Outboxes>,
        durable: watch::Receiver<Position>,
        topology: ActorRef<TopologyMsg>,
        exits: Exits,
    ) -> Shared {
        let (requests, meter) = (writer.sender(), writer.meter.clone());
        let sequencer = Sequencer::new(&self.plan, self.epoch, self.previous, requests.clone(), meter);
        Shared {
            plans: self.plans.clone(),
            clock: self.clock.clone(),
            exits,
            previous: self.previous,
            incarnation: self.incarnation,
            log: self.log.fork(),
            sequencer: Arc::new(sequencer),
            requests,
            outboxes,
            durable,
            topology,
        }
    }

    /// Puts all stages together and writes the first records of the epoch.
    fn graph(
        self,
        shared: &Shared,
        sources: Vec<Arc<dyn Source>>,
        sinks: Vec<PreparedSink>,
    ) -> (Running, Vec<StageSpec>) {
        let (plan, plan_id) = (self.plan, self.plan_id);
        shared.sequencer.activate(self.previous, self.running_hash, self.clock.now(), plan_id);
        let since = shared.sequencer.last();
        let mut specs = Vec::new();
        let mut running = Running {
            plan: plan.clone(),
            plan_id,
            sources: Vec::new(),
            sinks: Vec::new(),
            writes: None,
            board: None,
            desk: None,
            slots: Slots::new(),
            figures: BTreeMap::new(),
            sources_stopped: false,
            added: Vec::new(),
        };
        for (index, (prepared, place)) in sinks.into_iter().zip(self.sinks).enumerate() {
            let (sink, lane) = shared.sink((&plan, plan_id), index, prepared, place, Begin::AsKept);
            running.sinks.push(sink);
            specs.push(lane);
        }
        for (LeavingSink { plan, index, sink, how }, place) in self.leaving {
            let (mut sink, lane) = shared.sink((&plan, plan.id()), index, sink, place, Begin::AsKept);
            sink.leaving = Some(Leaving { since, how });
            running.sinks.push(sink);
            specs.push(lane);
        }
        running.add_deliveries(shared, &mut specs);
        for (index, source) in sources.into_iter().enumerate() {
            let (source, spec) = shared.source(&plan, index, source, BTreeMap::new());
            running.sources.push(source);
            specs.push(spec);
        }
        if let Some(place) = self.board {
            let (board, lane) = shared.board(plan_id, place, Begin::AsKept);
            running.board = Some(board);
            specs.push(lane);
        }
        running.renew_desk(shared);
        running.add_writes(shared, true, &mut specs);
        (running, specs)
    }
}

impl Running {
    /// Makes the deliveries of the sinks that should have one and have none.
    pub fn add_deliveries(&mut self, shared: &Shared, specs: &mut Vec<StageSpec>) {
        let by_name: BTreeMap<Arc<str>, _> = self
            .sinks
            .iter()
            .filter(|sink| sink.leaving.is_none())
            .map(|sink| (sink.name.clone(), sink.id))
            .collect();
        for sink in &mut self.sinks {
            let delivers = sink.leaving.is_none_or(|leaving| leaving.how == Removed::Drain);
            if sink.delivery.is_none() && delivers {
                let dead_letter = sink.home.sinks[sink.index].dead_letter;
                let name = dead_letter.and_then(|index| Some(&sink.home.sinks.get(index as usize)?.name));
                let dead_letter = name.and_then(|name| by_name.get(name).copied());
                specs.push(shared.delivery(sink, dead_letter));
            }
        }
    }

    /// Orders to alarms are taken under the plan in force.
    pub fn renew_desk(&mut self, shared: &Shared) {
        if let Some((key, _)) = self.desk.take() {
            shared.sequencer.dismiss(key);
        }
        if let Some(board) = self.board.as_ref().filter(|_| alarms::has_alarms(&self.plan)) {
            let (key, desk) = shared.desk(&board.board, &self.plan);
            self.desk = Some((key, Arc::new(desk)));
        }
    }

    /// The executor, if the plan has writes and none runs. Sources must be there.
    pub fn add_writes(&mut self, shared: &Shared, first: bool, specs: &mut Vec<StageSpec>) {
        if self.plan.writes.is_empty() || self.writes.is_some() {
            return;
        }
        let inlet = |(at, source): (usize, &gwp_plan::SourcePlan)| {
            let running = self.sources.iter().find(|running| running.name == source.name)?;
            let translation = running.translation(&self.plan, at);
            Some(SourceInlet { commands: running.commands.clone(), translation })
        };
        let inlets = self.plan.sources.iter().enumerate().filter_map(inlet).collect();
        let (writes, spec) = shared.writes(&self.plan, inlets, first, &self.figures);
        self.figures.clone_from(&writes.meters);
        self.writes = Some(writes);
        specs.push(spec);
    }
}

fn place(store: &mut Store, name: &str, policy: SinkPolicy) -> Result<Place, StoreError> {
    let registered = store.register(name, policy)?;
    let reader = store
        .journal_reader(registered.id)
        .ok_or_else(|| StoreError::Damaged(format!("the journal of sink `{name}`")))?;
    Ok(Place { registered, reader, added: false })
}

pub(crate) fn policy(sink: &SinkPlan) -> SinkPolicy {
    SinkPolicy {
        capacity_bytes: sink.journal.capacity_bytes,
        keep_ns: sink.journal.keep_ns,
        full: match sink.journal.full {
            FullPolicy::DropOldest => Full::DropOldest,
            FullPolicy::DropNewest => Full::DropNewest,
            FullPolicy::Block => Full::Block,
        },
    }
}
