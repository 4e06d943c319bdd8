//! Starting and stopping an engine.

use crate::alarms::{self, AlarmBoard, AlarmDesk, BOARD};
use crate::clock::{Disciplined, GatewayClock};
use crate::delivery::{DeliveryLimits, DeliverySeat, Outbox};
use crate::inbox::command_groups;
use crate::lane::LaneSeat;
use crate::limits::{OUTCOME_CREDIT_SAMPLES, TICK_EVERY};
use crate::names;
use crate::plans::Plans;
use crate::sequencer::Sequencer;
use crate::source::SourceSeat;
use crate::stage::{StageMake, StageWork};
use crate::status::{EngineStatus, SinkStatus, SourceStatus, StageStatus, WriteMeter, WriteStatus};
use crate::topology::{StageSpec, Tier, TopologyActor, TopologyMsg};
use crate::writes::WritesSeat;
use gwp_core::command::{CommandSender, command_channel};
use gwp_core::edge::Edge;
use gwp_core::sink::{Sink, SinkIdentity, SinkMeter};
use gwp_core::source::{Outlet, Source, SourceMeter};
use gwp_core::stop::Stop;
use gwp_core::{Clock, Cursor, Fact, GroupId, PlanId, Position, SinkId, TagId, limits};
use gwp_journal::{
    Event, Full, JournalReader, LogReader, Registered, Request, SinkPolicy, SpacePolicy, Store, StoreError,
    Writer, WriterMeter,
};
use gwp_plan::{FullPolicy, OnDisconnect, Plan, SinkPlan};
use ractor::{Actor, ActorRef, call_t};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What an engine is made of.
pub struct EngineConfig {
    pub plan: Arc<Plan>,
    /// By index of the plan's sources.
    pub sources: Vec<Arc<dyn Source>>,
    /// By index of the plan's sinks.
    pub sinks: Vec<PreparedSink>,
    pub data_dir: PathBuf,
    pub space: SpacePolicy,
}

/// A sink ready to run, with the limits its manifest states.
pub struct PreparedSink {
    pub sink: Arc<dyn Sink>,
    pub limits: DeliveryLimits,
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
}

/// A running engine.
pub struct Engine {
    pub status: Arc<EngineStatus>,
    pub clock: Arc<GatewayClock>,
    /// If the plan has alarms.
    pub alarms: Option<Arc<AlarmDesk>>,
    topology: ActorRef<TopologyMsg>,
    writer: Arc<Writer>,
    failed: watch::Receiver<Option<Arc<str>>>,
    ticker: JoinHandle<()>,
}

/// The board's lane gives no entries.
const BOARD_POLICY: SinkPolicy = SinkPolicy { capacity_bytes: 0, keep_ns: 0, full: Full::DropOldest };

/// How long a whole tier may take to stop before it is given up.
const STOP_TIMEOUT_MS: u64 = 15_000;

impl Engine {
    /// Opens the store, recovers, and starts all stages.
    ///
    /// # Errors
    /// The store cannot be opened, or what was prepared does not fit the plan.
    pub async fn start(config: EngineConfig) -> Result<Engine, StartError> {
        let EngineConfig { plan, sources, sinks, data_dir, space } = config;
        let fits = |what, plan, given| match plan == given {
            true => Ok(()),
            false => Err(StartError::Mismatch { what, plan, given }),
        };
        fits("sources", plan.sources.len(), sources.len())?;
        fits("sinks", plan.sinks.len(), sinks.len())?;

        let opened = Store::open(&data_dir)?;
        let (recovered, store) = Recovered::new(opened.store, plan)?;
        let (failed_tx, failed) = watch::channel(None);
        let clock = recovered.clock.clone();
        let outboxes: BTreeMap<SinkId, Arc<Outbox>> =
            recovered.sinks.iter().map(|sink| (sink.registered.id, sink.outbox.clone())).collect();
        let (durable_tx, durable) = watch::channel(recovered.previous);
        let report = Box::new(move |event| report(&outboxes, &durable_tx, &failed_tx, event));
        let writer = Arc::new(Writer::start(store, &data_dir, space, clock.clone(), report)?);
        let mut graph = Graph::new(recovered, &writer);
        for (index, prepared) in sinks.into_iter().enumerate() {
            graph.add_sink(index, prepared);
        }
        for (index, source) in sources.into_iter().enumerate() {
            graph.add_source(index, source);
        }
        graph.add_writes(durable);
        let alarms = graph.add_alarms();
        let sequencer = graph.sequencer.clone();
        graph.activate();
        let Graph { specs, mut status, .. } = graph;
        status.writer = writer.meter.clone();
        let (topology, _) = Actor::spawn(None, TopologyActor, specs)
            .await
            .map_err(|error| StartError::Actors(error.to_string()))?;
        let ticker =
            tokio::spawn(tick(clock.clone(), sequencer.clone(), writer.sender(), writer.meter.clone()));
        Ok(Engine { status: Arc::new(status), clock, alarms, topology, writer, failed, ticker })
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

    /// Stops in order: writes, sources, then lanes up to the last record, then sinks as far as
    /// their destinations go along, then the writer. What is left stays in the journals.
    pub async fn stop(self) {
        self.ticker.abort();
        for tier in [Tier::Write, Tier::Source, Tier::Lane, Tier::Sink] {
            if call_t!(self.topology, |reply| TopologyMsg::Stop(tier, reply), STOP_TIMEOUT_MS).is_err() {
                tracing::warn!(tier = tier.word(), "stages did not stop in time");
            }
            let writer = self.writer.clone();
            let (answer, flushed) = std::sync::mpsc::channel();
            writer.ask(Request::Flush(answer));
            // A full disk holds a flush up; stopping must not wait for it.
            let wait = move || flushed.recv_timeout(std::time::Duration::from_secs(5));
            let _ = tokio::task::spawn_blocking(wait).await;
        }
        self.topology.stop(None);
        let writer = self.writer;
        let _ = tokio::task::spawn_blocking(move || writer.stop()).await;
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

/// Passes on what the writer reports. Runs on the writer's thread: nothing here blocks.
fn report(
    outboxes: &BTreeMap<SinkId, Arc<Outbox>>,
    durable: &watch::Sender<Position>,
    failed: &watch::Sender<Option<Arc<str>>>,
    event: Event,
) {
    match event {
        Event::Committed(committed) => {
            durable.send_replace(committed.upto);
            for block in committed.blocks {
                if let Some(outbox) = outboxes.get(&block.sink) {
                    outbox.push(block.plan, block.entries);
                }
            }
        }
        Event::Failed(error) => {
            failed.send_replace(Some(error_chain(&error).into()));
        }
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What the store says at the start of an epoch.
struct Recovered {
    plan: Arc<Plan>,
    plan_id: PlanId,
    plans: Arc<Plans>,
    clock: Arc<GatewayClock>,
    epoch: u32,
    previous: Position,
    running_hash: u64,
    incarnation: [u8; 16],
    log: LogReader,
    sinks: Vec<RecoveredSink>,
    /// The place of the board of alarms, if the plan has alarms.
    board: Option<Registered>,
}

/// A sink of the plan with its journal.
struct RecoveredSink {
    registered: Registered,
    reader: JournalReader,
    outbox: Arc<Outbox>,
}

impl Recovered {
    fn new(mut store: Store, plan: Arc<Plan>) -> Result<(Recovered, Store), StartError> {
        let plan_id = plan.id();
        store.put_plan(plan_id, &plan.to_bytes())?;
        let previous = store.durable();
        let clock = Arc::new(GatewayClock::new(store.last_time()?));
        let epoch = store.next_epoch()?;
        names::follow_names(&mut store, &plan)?;
        names::warn_of_orphans(&store, &plan);
        let sinks = plan.sinks.iter().map(|sink| recover_sink(&mut store, sink)).collect::<Result<_, _>>()?;
        let board = match alarms::has_alarms(&plan) {
            true => Some(store.register(BOARD, BOARD_POLICY)?),
            false => None,
        };
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
            board,
        };
        Ok((recovered, store))
    }
}

fn recover_sink(store: &mut Store, sink: &SinkPlan) -> Result<RecoveredSink, StoreError> {
    let registered = store.register(&sink.name, policy(sink))?;
    let (covered, _) = registered.shared.cursors();
    let reader = store
        .journal_reader(registered.id)
        .ok_or_else(|| StoreError::Damaged(format!("the journal of sink `{}`", sink.name)))?;
    let outbox = Arc::new(Outbox::new(Cursor::complete(covered)));
    Ok(RecoveredSink { registered, reader, outbox })
}

/// The stages of a plan, being put together.
struct Graph {
    recovered: Recovered,
    sequencer: Arc<Sequencer>,
    requests: Sender<Request>,
    specs: Vec<StageSpec>,
    status: EngineStatus,
    /// Where commands go, by index of the sources.
    commands: Vec<CommandSender>,
}

impl Graph {
    fn new(recovered: Recovered, writer: &Writer) -> Graph {
        let sequencer = Sequencer::new(
            &recovered.plan,
            recovered.epoch,
            recovered.previous,
            writer.sender(),
            writer.meter.clone(),
        );
        Graph {
            recovered,
            sequencer: Arc::new(sequencer),
            requests: writer.sender(),
            specs: Vec::new(),
            status: EngineStatus::default(),
            commands: Vec::new(),
        }
    }

    /// Writes the first records of the epoch.
    fn activate(&self) {
        let Recovered { previous, running_hash, plan_id, clock, .. } = &self.recovered;
        self.sequencer.activate(*previous, *running_hash, clock.now(), *plan_id);
    }

    fn add_stage(
        &mut self,
        tier: Tier,
        status: &Arc<StageStatus>,
        make: impl Fn(Stop) -> Work + Send + Sync + 'static,
    ) {
        let make = Arc::new(make);
        let make: StageMake = Arc::new(move || {
            let make = make.clone();
            Box::new(move |stop| make(stop)) as StageWork
        });
        self.specs.push(StageSpec { tier, make, status: status.clone() });
    }

    fn add_sink(&mut self, index: usize, prepared: PreparedSink) {
        let plan = self.recovered.plan.clone();
        let (Some(sink), Some(recovered)) = (plan.sinks.get(index), self.recovered.sinks.get(index)) else {
            return;
        };
        let registered = &recovered.registered;
        let (stage, lane_stage) = (
            StageStatus::new(format!("sink/{}", sink.name)),
            StageStatus::new(format!("lane/{}", sink.name)),
        );
        let meter = Arc::new(SinkMeter::default());
        let lane = Arc::new(self.lane_seat(sink.name.clone(), registered));
        let delivery = Arc::new(DeliverySeat {
            name: sink.name.clone(),
            names: registered.names.clone(),
            sink_id: registered.id,
            sink: prepared.sink,
            limits: prepared.limits,
            bad: sink.bad,
            retry: sink.retry,
            identity: SinkIdentity {
                incarnation: self.recovered.incarnation,
                sink: registered.id,
                epoch: self.recovered.epoch,
            },
            plans: self.recovered.plans.clone(),
            outbox: recovered.outbox.clone(),
            reader: recovered.reader.fork(),
            journal: registered.shared.clone(),
            writer: self.requests.clone(),
            meter: meter.clone(),
            status: stage.clone(),
            dead_letter: self.dead_letter(sink),
            acknowledged: Mutex::default(),
        });
        self.status.sinks.push(SinkStatus {
            name: sink.name.clone(),
            stage: stage.clone(),
            lane_stage: lane_stage.clone(),
            meter,
            lane: lane.meter.clone(),
            lane_edge: lane.edge.meter.clone(),
            journal: registered.shared.clone(),
        });
        self.add_stage(Tier::Lane, &lane_stage, move |stop| Box::pin(lane.clone().run(stop)));
        self.add_stage(Tier::Sink, &stage, move |stop| Box::pin(delivery.clone().run(stop)));
    }

    fn dead_letter(&self, sink: &SinkPlan) -> Option<SinkId> {
        Some(self.recovered.sinks.get(sink.dead_letter? as usize)?.registered.id)
    }

    fn add_source(&mut self, index: usize, source: Arc<dyn Source>) {
        let plan = self.recovered.plan.clone();
        let Some(source_plan) = plan.sources.get(index) else { return };
        let stage = StageStatus::new(format!("source/{}", source_plan.name));
        let meter = Arc::new(SourceMeter::default());
        let edge = Edge::new(limits::SOURCE_CREDIT_SAMPLES);
        self.status.sources.push(SourceStatus {
            stage: stage.clone(),
            meter: meter.clone(),
            edge: edge.meter.clone(),
        });
        let (sequencer, connected) = (self.sequencer.clone(), source_plan.connected);
        let hand = Arc::new(move |emission, credit| sequencer.emission(emission, credit, connected));
        let outlet = Outlet::new(edge, hand);
        let clock: Arc<dyn Clock> = self.recovered.clock.clone();
        let groups = match source_plan.on_disconnect {
            OnDisconnect::MarkBad => groups_of(&plan, index),
            // The device keeps what happens meanwhile.
            OnDisconnect::Hold(_) => Vec::new(),
        };
        let polled = |id: &GroupId| plan.group(*id).is_some_and(|group| group.period_ns > 0);
        let unpolled = groups.iter().filter(|(id, _)| !polled(id)).cloned().collect();
        let (sender, commands) = command_channel();
        self.commands.push(sender);
        let seat = Arc::new(SourceSeat { source, groups, outlet, clock, meter, commands, unpolled });
        self.add_stage(Tier::Source, &stage, move |stop| Box::pin(seat.clone().run(stop)));
    }

    /// The board of alarms and the desk for orders to them, if there are any.
    fn add_alarms(&mut self) -> Option<Arc<AlarmDesk>> {
        let registered = self.recovered.board.as_ref()?;
        let board = Arc::new(AlarmBoard::default());
        let stage = StageStatus::new("lane/alarms".into());
        let lane = Arc::new(self.lane_seat(BOARD.into(), registered).of_board(board.clone()));
        let outlet = self.own_outlet();
        self.status.stages.push(stage.clone());
        self.add_stage(Tier::Lane, &stage, move |stop| Box::pin(lane.clone().run(stop)));
        Some(Arc::new(AlarmDesk {
            board,
            plan: self.recovered.plan.clone(),
            outlet,
            clock: self.recovered.clock.clone(),
        }))
    }

    fn lane_seat(&self, name: Arc<str>, registered: &Registered) -> LaneSeat {
        LaneSeat::new(
            name,
            registered,
            self.recovered.plan_id,
            self.recovered.plans.clone(),
            self.sequencer.clone(),
            self.requests.clone(),
            self.recovered.log.fork(),
        )
    }

    /// The way into the log for samples of the gateway itself: from no source whose connection could be told.
    fn own_outlet(&self) -> Outlet {
        let sequencer = self.sequencer.clone();
        let hand = move |emission, credit| sequencer.emission(emission, credit, TagId(u32::MAX));
        Outlet::new(Edge::new(OUTCOME_CREDIT_SAMPLES), Arc::new(hand))
    }

    /// The executor of writes, if there are any. Sources must have been added.
    fn add_writes(&mut self, durable: watch::Receiver<Position>) {
        let plan = self.recovered.plan.clone();
        if plan.writes.is_empty() {
            return;
        }
        let mut by_name: BTreeMap<Arc<str>, Arc<WriteMeter>> = BTreeMap::new();
        let meters =
            plan.writes.iter().map(|write| by_name.entry(write.name.clone()).or_default().clone()).collect();
        self.status.writes = by_name.into_iter().map(|(name, meter)| WriteStatus { name, meter }).collect();
        let stage = StageStatus::new("writes".into());
        let seat = Arc::new(WritesSeat {
            plans: self.recovered.plans.clone(),
            sequencer: self.sequencer.clone(),
            clock: self.recovered.clock.clone(),
            outlet: self.own_outlet(),
            sources: self.commands.clone(),
            meters,
            durable,
            before: Mutex::new(Some((self.recovered.log.fork(), self.recovered.previous))),
            plan,
        });
        self.status.stages.push(stage.clone());
        self.add_stage(Tier::Write, &stage, move |stop| Box::pin(seat.clone().run(stop)));
    }
}

/// Poll groups of a source with their tags; that a connection broke is no command.
fn groups_of(plan: &Plan, source: usize) -> Vec<(GroupId, Arc<[TagId]>)> {
    let groups = (0..).map(GroupId).zip(&plan.groups);
    let commands = command_groups(plan);
    let own = groups.filter(|(id, group)| group.source as usize == source && !commands.contains(id));
    own.map(|(id, group)| (id, group.tags.clone())).collect()
}

type Work = gwp_core::BoxFuture<'static, Result<(), String>>;

fn policy(sink: &SinkPlan) -> SinkPolicy {
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
