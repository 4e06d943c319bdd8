//! Starting and stopping an engine. What a change of its plan is stands in [`change`](crate::change).

use crate::alarms::{self, AlarmDesk};
use crate::clock::{Disciplined, GatewayClock};
use crate::exits::{ExitKeeper, Exits, exits};
use crate::graph::{
    Outboxes, PreparedSink, Removed, RunningBoard, RunningSink, RunningSource, RunningWrites, Shared,
};
use crate::left::Left;
use crate::limits::{PEER_CREDIT_SAMPLES, SINK_GRACE, SWEEP_EVERY, TICK_EVERY};
use crate::live::{self, LiveBoard};
use crate::pair::InPair;
use crate::recovered::{Outside, Recovered};
use crate::release::{Release, Ways};
use crate::sequencer::{Sequencer, SourceKey};
use crate::status::{EngineStatus, GraphStatus, SinkStatus, WriteMeter};
use crate::topology::{StageSpec, Tier, TopologyActor, TopologyMsg};
use crate::writes::SourceInlet;
use gwp_core::edge::Edge;
use gwp_core::sink::with_causes;
use gwp_core::source::Source;
use gwp_core::{Clock, Fact, PlanId, Position, SinkId};
use gwp_journal::{
    Event, Full, KeptConfigurations, Request, SinkPolicy, Snapshot, SpacePolicy, Store, StoreError, Writer,
    WriterMeter,
};
use gwp_plan::{FullPolicy, Plan, SinkPlan};
use gwp_redundancy::lone::{self, LoneError};
use gwp_redundancy::member::Epoch;
use gwp_redundancy::mirror;
use gwp_redundancy::token::Gate;
use ractor::{Actor, call_t};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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

impl EngineConfig {
    /// What was prepared must be what the plan has.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        fits("sources", self.plan.sources.len(), self.sources.len())?;
        fits("sinks", self.plan.sinks.len(), self.sinks.len())
    }
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
    #[error("a release serves one engine: make another for this one")]
    ReleaseInUse,
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
    /// Credit of what the peer has read.
    pub of_peer: Edge,
    /// Opens the exits. A lone gateway leaves them open as long as it runs; in a pair others have it.
    pub exits: Option<ExitKeeper>,
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
    /// Of sources that are being made anew.
    pub left: Left,
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

/// An engine that is to run, with its epoch won.
pub(crate) struct Begun {
    pub store: Store,
    pub epoch: Epoch,
    /// End of the log before it, and place of the newest change then.
    pub previous: Position,
    pub place: mirror::Place,
    pub exits: Exits,
    /// In a pair somebody else has it.
    pub keeper: Option<ExitKeeper>,
    pub release: Release,
    /// With a peer.
    pub pair: Option<InPair>,
}

impl Engine {
    /// Opens the store, recovers, and starts all stages of a gateway without a peer.
    ///
    /// # Errors
    /// The store cannot be opened, or what was prepared does not fit the plan.
    pub async fn start(config: EngineConfig) -> Result<Engine, StartError> {
        config.check()?;
        let mut store = Store::open(&config.data_dir)?.store;
        let (previous, place) = (store.durable(), store.place());
        let gate = activate_alone(&mut store)?;
        let (epoch, (keeper, exits)) = (gate.epoch(), exits());
        keeper.set(gate);
        let (keeper, release, pair) = (Some(keeper), Release::at_once(), None);
        Engine::begin(config, Begun { store, epoch, previous, place, exits, keeper, release, pair }).await
    }

    /// Recovers, and starts all stages.
    pub(crate) async fn begin(config: EngineConfig, begun: Begun) -> Result<Engine, StartError> {
        let EngineConfig { plan, sources, sinks, leaving, data_dir, space } = config;
        let Begun { store, epoch, previous, place, exits, keeper, release, pair } = begun;
        let (recovered, store) = Recovered::new(store, plan, leaving, (epoch, previous), pair)?;
        let (failed_tx, failed) = watch::channel(None);
        let clock = recovered.clock.clone();
        let outboxes = Arc::new(Outboxes::default());
        let (durable_tx, durable) = watch::channel(previous);
        let (released_tx, released) = watch::channel(previous);
        let ways = Ways { outboxes: outboxes.clone(), released: released_tx };
        if !release.bind(place, ways) {
            return Err(StartError::ReleaseInUse);
        }
        let told = release.clone();
        let report = Box::new(move |event| report(&told, &durable_tx, &failed_tx, event));
        let writer = Arc::new(Writer::start(store, &data_dir, space, clock.clone(), report)?);
        let (topology, _) = Actor::spawn(None, TopologyActor, ())
            .await
            .map_err(|error| StartError::Actors(error.to_string()))?;
        let status = Arc::new(EngineStatus::new(writer.meter.clone()));
        let outside = Outside { exits, release, outboxes, durable, released };
        let shared = recovered.shared(&writer, topology, outside);
        let (running, specs) = recovered.graph(&shared, sources, sinks);
        let of_peer = Edge::new(PEER_CREDIT_SAMPLES);
        let (exits, status_of) = (keeper, status.clone());
        let inner = Inner { shared, writer, status: status_of, running: running.into(), of_peer, exits };
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

    /// The keeper of the exits of a gateway without a peer; none in a pair, where whoever decides
    /// who is active has it.
    pub fn exits(&self) -> Option<&ExitKeeper> {
        self.inner.exits.as_ref()
    }

    /// Takes orders to alarms, if the plan in force has any.
    pub fn alarms(&self) -> Option<Arc<AlarmDesk>> {
        self.status.graph().alarms.clone()
    }

    /// Latest values of tags, for who watches.
    pub fn live(&self) -> Arc<LiveBoard> {
        self.inner.shared.sequencer.live.clone()
    }

    /// The newest record.
    pub fn last(&self) -> Position {
        self.inner.shared.sequencer.last()
    }

    /// Calls `moved` once the writer of the log gets to it, which one that is held up by its disk does not. Nor does this
    /// return while the sequencer is stuck. Nothing is written for it.
    pub fn turn(&self, moved: impl FnOnce() + Send + 'static) {
        self.last();
        self.inner.writer.ask(Request::Turn(Box::new(moved)));
    }

    /// Makes snapshots of the store while its writer goes on, for a peer that needs a copy of it. Blocks.
    pub fn snapshots(&self) -> Arc<dyn Fn() -> Option<Snapshot> + Send + Sync> {
        let requests = self.inner.writer.sender();
        Arc::new(move || {
            let (answer, made) = std::sync::mpsc::channel();
            requests.send(Request::Snapshot(answer)).ok()?;
            made.recv().ok()
        })
    }

    /// Has the store keep what the gateway says of its programs, in its place among what else the store is asked: what
    /// is said before a change is in the log before it. Does not wait.
    pub fn keeper(&self) -> impl Fn(KeptConfigurations) + Send + Sync + 'static {
        let requests = self.inner.writer.sender();
        move |kept| {
            // A store that has ended keeps nothing any more.
            let _ = requests.send(Request::Configurations(kept));
        }
    }

    /// Waits until what the store was asked so far is on disk; for a few seconds at most.
    pub async fn flush(&self) {
        self.inner.flush().await;
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
    /// In a pair sinks deliver what is released and wait for no more, and the exits are left as they are: shut them
    /// and wait until they are [emptied](ExitKeeper::emptied), as a stage that does not stop in time may be inside.
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
        if let Some(exits) = &self.inner.exits {
            exits.shut();
            let _ = tokio::time::timeout(SINK_GRACE, exits.emptied()).await;
        }
        self.inner.shared.topology.stop(None);
        let writer = self.inner.writer.clone();
        let _ = tokio::task::spawn_blocking(move || writer.stop()).await;
        self.inner.shared.release.close();
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
        let wait = move || flushed.recv_timeout(Duration::from_secs(5));
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
    release: &Release,
    durable: &watch::Sender<Position>,
    failed: &watch::Sender<Option<Arc<str>>>,
    event: Event,
) {
    match event {
        Event::Committed(committed) => {
            durable.send_replace(committed.upto);
            release.committed(committed);
        }
        Event::Failed(error) => {
            failed.send_replace(Some(with_causes(&error).into()));
        }
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
