//! What a running graph is made of: the stages of sources and sinks, and what is kept of each.
//!
//! A stage's *seat* outlives its restarts, its *component* (the driver's source, the sink) outlives changes of the plan
//! that leave it alone. Both starting an engine and changing its plan put stages together here.

use crate::alarms::{AlarmBoard, AlarmDesk};
use crate::clock::GatewayClock;
use crate::delivery::{DeliveryLimits, DeliverySeat};
use crate::exits::Exits;
use crate::hot::{HotRun, HotSource};
use crate::inbox::command_groups;
use crate::lane::LaneSeat;
use crate::limits::OUTCOME_CREDIT_SAMPLES;
use crate::outbox::Outbox;
use crate::plans::Plans;
use crate::release::Release;
use crate::sequencer::{Link, Sequencer, SourceKey};
use crate::source::SourceSeat;
use crate::stage::{StageMake, StageWork};
use crate::status::{SinkStatus, SourceStatus, StageStatus, WriteMeter, WriteStatus};
use crate::topology::{StageId, StageSpec, Tier, TopologyMsg};
use crate::translation::Translation;
use crate::writes::{SourceInlet, WritesSeat};
use gwp_core::command::{CommandSender, Commands, command_channel};
use gwp_core::edge::{Credit, Edge, EdgeMeter};
use gwp_core::exit::ExitCheck;
use gwp_core::sink::{Sink, SinkMeter};
use gwp_core::source::{Carried, Outlet, Source, SourceMeter};
use gwp_core::stop::Stop;
use gwp_core::{BoxFuture, Cursor, GroupId, PlanId, Position, SinkId, TagId, limits};
use gwp_journal::{JournalReader, LogReader, Place, Request};
use gwp_plan::{OnDisconnect, Plan, SinkPlan};
use ractor::ActorRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// A sink ready to run, with the limits its manifest states.
#[derive(Clone)]
pub struct PreparedSink {
    pub sink: Arc<dyn Sink>,
    pub limits: DeliveryLimits,
}

/// What becomes of a sink that a plan does not have any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removed {
    /// What waits is delivered, then the journal is deleted.
    #[default]
    Drain,
    /// The journal stays for the sink to come back, until it is too old.
    Keep,
    /// The journal is deleted; the gap ledger has what waited.
    Discard,
}

impl Removed {
    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Removed::Drain => "drain",
            Removed::Keep => "keep",
            Removed::Discard => "discard",
        }
    }
}

/// The way of released entries to the deliveries, by sink.
#[derive(Default)]
pub(crate) struct Outboxes(RwLock<BTreeMap<SinkId, Arc<Outbox>>>);

impl Outboxes {
    pub fn get(&self, sink: SinkId) -> Option<Arc<Outbox>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sink).cloned()
    }

    pub fn add(&self, sink: SinkId, outbox: Arc<Outbox>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sink, outbox);
    }

    pub fn remove(&self, sink: SinkId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&sink);
    }
}

/// What all stages of an engine share.
pub(crate) struct Shared {
    pub plans: Arc<Plans>,
    pub clock: Arc<GatewayClock>,
    pub exits: Exits,
    /// End of the log before this epoch.
    pub previous: Position,
    pub incarnation: [u8; 16],
    /// What was logged up to here is delivered as backfill.
    pub backfill_upto: Position,
    pub log: LogReader,
    pub sequencer: Arc<Sequencer>,
    pub requests: Sender<Request>,
    pub outboxes: Arc<Outboxes>,
    pub release: Release,
    /// The log is durable here up to this record. Not for effects.
    pub durable: watch::Receiver<Position>,
    /// Commands up to this record may have effects.
    pub released: watch::Receiver<Position>,
    pub topology: ActorRef<TopologyMsg>,
}

/// A source at work.
pub(crate) struct RunningSource {
    pub name: Arc<str>,
    pub key: SourceKey,
    pub component: Arc<dyn Source>,
    /// The plan in whose numbers it speaks, and its place there.
    pub home: Arc<Plan>,
    pub index: usize,
    pub stage: StageId,
    pub outlet: Outlet,
    pub commands: CommandSender,
    pub status: Arc<SourceStatus>,
}

/// What the stage of a source is made of.
struct OfSource {
    key: SourceKey,
    outlet: Outlet,
    edge: Arc<EdgeMeter>,
    meter: Arc<SourceMeter>,
    commands: Commands,
    sender: CommandSender,
    clock: Arc<GatewayClock>,
    /// Its run, if it runs.
    running: Option<HotRun>,
}

impl RunningSource {
    /// What it speaks in under another plan.
    pub fn translation(&self, plan: &Plan, at: usize) -> Option<Arc<Translation>> {
        Translation::new(&self.home, self.index, plan, at).map(Arc::new)
    }
}

/// A sink at work, with its lane.
pub(crate) struct RunningSink {
    pub id: SinkId,
    pub name: Arc<str>,
    pub component: PreparedSink,
    /// The plan by which it delivers, and its place there.
    pub home: Arc<Plan>,
    pub index: usize,
    pub lane: Arc<LaneSeat>,
    pub lane_stage: StageId,
    /// None once nothing is to be delivered any more.
    pub delivery: Option<(StageId, Arc<DeliverySeat>)>,
    pub outbox: Arc<Outbox>,
    pub reader: JournalReader,
    pub acknowledged: Arc<Mutex<Cursor>>,
    pub meter: Arc<SinkMeter>,
    pub status: Arc<SinkStatus>,
    pub leaving: Option<Leaving>,
    /// Its lane has nothing to do any more and is gone; the log is not kept for it.
    pub lane_ended: bool,
}

impl RunningSink {
    /// Its delivery starts anew: what was said of the one before is not true of it.
    pub fn renew_status(&mut self) {
        let (name, stage) = (self.name.clone(), StageStatus::new(format!("sink/{}", self.name)));
        self.status = Arc::new(SinkStatus { name, stage, leaving: false, ..SinkStatus::clone(&self.status) });
    }
}

/// A sink that is not in the plan any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// The record from which on it has nothing to do.
    pub since: Position,
    pub how: Removed,
}

/// With which record a lane begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// Where its place in the store says.
    AsKept,
    /// A new sink, after this record.
    New(Position),
    /// One that was in no plan for a while, after this record; the plan up to there.
    Again(Position, PlanId),
}

impl Begin {
    fn of(self, lane: LaneSeat) -> LaneSeat {
        match self {
            Begin::AsKept => lane,
            Begin::New(before) => lane.beginning(before, None),
            Begin::Again(before, in_force) => lane.beginning(before, Some(in_force)),
        }
    }
}

/// The executor of writes at work.
pub(crate) struct RunningWrites {
    pub stage: StageId,
    pub key: SourceKey,
    pub status: Arc<StageStatus>,
    pub meters: BTreeMap<Arc<str>, Arc<WriteMeter>>,
}

impl RunningWrites {
    pub fn statuses(&self) -> Vec<WriteStatus> {
        let of = |(name, meter): (&Arc<str>, &Arc<WriteMeter>)| WriteStatus {
            name: name.clone(),
            meter: meter.clone(),
        };
        self.meters.iter().map(of).collect()
    }
}

/// The board of alarms at work.
pub(crate) struct RunningBoard {
    pub id: SinkId,
    pub board: Arc<AlarmBoard>,
    pub status: Arc<StageStatus>,
}

type Work = BoxFuture<'static, Result<(), String>>;

/// A stage to run.
pub(crate) fn stage(
    tier: Tier,
    status: &Arc<StageStatus>,
    make: impl Fn(Stop) -> Work + Send + Sync + 'static,
) -> StageSpec {
    let make = Arc::new(make);
    let make: StageMake = Arc::new(move || {
        let make = make.clone();
        Box::new(move |stop| make(stop)) as StageWork
    });
    StageSpec { id: StageId::fresh(), tier, make, status: status.clone() }
}

impl Shared {
    /// A source of a plan that is in force. It goes on after what it is given.
    pub fn source(
        &self,
        plan: &Arc<Plan>,
        index: usize,
        component: Arc<dyn Source>,
        carried: Carried,
    ) -> (RunningSource, StageSpec) {
        let key = self.sequencer.admit(Link::of(plan, index, None));
        let edge = Edge::new(limits::SOURCE_CREDIT_SAMPLES);
        let edge_meter = edge.meter.clone();
        let outlet = self.source_outlet(key, edge);
        outlet.go_on_after(carried);
        let (sender, commands) = command_channel();
        let (meter, clock) = (Arc::new(SourceMeter::default()), self.clock.clone());
        let of_source =
            OfSource { key, outlet, edge: edge_meter, meter, commands, sender, clock, running: None };
        self.seated(plan, index, component, of_source)
    }

    /// A source that this node has read as the standby runs on, as that of this index in the plan. Gives it with its
    /// key; what it gives still leads to the shadow.
    pub fn hot_source(&self, plan: &Arc<Plan>, at: usize, hot: HotSource) -> (RunningSource, StageSpec) {
        let HotSource { home, index, component, outlet, edge, meter, commands: sender, seat, run, .. } = hot;
        let translation = Translation::new(&home, index, plan, at).map(Arc::new);
        let key = self.sequencer.admit(Link::of(plan, at, translation));
        let (commands, clock, running) = (seat.commands.clone(), self.clock.clone(), Some(run));
        let of_source = OfSource { key, outlet, edge, meter, commands, sender, clock, running };
        self.seated(&home, index, component, of_source)
    }

    /// The stage of a source.
    fn seated(
        &self,
        plan: &Arc<Plan>,
        index: usize,
        component: Arc<dyn Source>,
        of_source: OfSource,
    ) -> (RunningSource, StageSpec) {
        let OfSource { key, outlet, edge, meter, commands, sender, clock, running } = of_source;
        let source_plan = &plan.sources[index];
        let status = StageStatus::new(format!("source/{}", source_plan.name));
        let source_status = SourceStatus { stage: status.clone(), meter: meter.clone(), edge };
        let groups = match source_plan.on_disconnect {
            OnDisconnect::MarkBad => groups_of(plan, index),
            // The device keeps what happens meanwhile.
            OnDisconnect::Hold(_) => Vec::new(),
        };
        let polled = |id: &GroupId| plan.group(*id).is_some_and(|group| group.period_ns > 0);
        let unpolled = groups.iter().filter(|(id, _)| !polled(id)).cloned().collect();
        let seat = Arc::new(SourceSeat {
            source: component.clone(),
            groups,
            outlet: outlet.clone(),
            clock,
            meter,
            commands,
            unpolled,
            running: Mutex::new(running),
        });
        let spec = stage(Tier::Source, &status, move |stop| Box::pin(seat.clone().run(stop)));
        let running = RunningSource {
            name: source_plan.name.clone(),
            key,
            component,
            home: plan.clone(),
            index,
            stage: spec.id,
            outlet,
            commands: sender,
            status: Arc::new(source_status),
        };
        (running, spec)
    }

    fn outlet(&self, key: SourceKey, edge: Edge) -> Outlet {
        let sequencer = self.sequencer.clone();
        Outlet::new(edge, Arc::new(move |emission, credit| sequencer.emission(key, emission, credit)))
    }

    /// As [`Shared::outlet`], for a source: its receipts are acknowledgements that make a device forget.
    fn source_outlet(&self, key: SourceKey, edge: Edge) -> Outlet {
        let (sequencer, exit) = (self.sequencer.clone(), self.exit_check());
        let hand_over = move |emission, mut credit: Credit| {
            credit.behind(&exit);
            sequencer.emission(key, emission, credit);
        };
        Outlet::new(edge, Arc::new(hand_over))
    }

    /// Whether what makes a device forget may go out.
    pub fn exit_check(&self) -> ExitCheck {
        let exits = self.exits.clone();
        ExitCheck::new(move || exits.are_open())
    }

    /// The way into the log for samples of the gateway itself.
    pub fn own_outlet(&self) -> (SourceKey, Outlet) {
        let key = self.sequencer.admit(Link::own());
        (key, self.outlet(key, Edge::new(OUTCOME_CREDIT_SAMPLES)))
    }

    /// A sink of a plan with its lane.
    pub fn sink(
        &self,
        (plan, plan_id): (&Arc<Plan>, PlanId),
        index: usize,
        component: PreparedSink,
        place: Place,
        begin: Begin,
    ) -> (RunningSink, StageSpec) {
        let sink = &plan.sinks[index];
        let Place { registered, reader, .. } = place;
        let lane = Arc::new(begin.of(self.lane(sink.name.clone(), &registered, plan_id)));
        let covered = match begin {
            Begin::New(before) => before,
            _ => registered.shared.cursors().0,
        };
        let kept = Cursor::complete(covered);
        let outbox = Arc::new(Outbox::new(kept));
        self.outboxes.add(registered.id, outbox.clone());
        self.release.admit(registered.id, &outbox, kept);
        let meter = Arc::new(SinkMeter::default());
        let status = Arc::new(SinkStatus {
            name: sink.name.clone(),
            leaving: false,
            stage: StageStatus::new(format!("sink/{}", sink.name)),
            lane_stage: StageStatus::new(format!("lane/{}", sink.name)),
            meter: meter.clone(),
            lane: lane.meter.clone(),
            lane_edge: lane.edge.meter.clone(),
            journal: registered.shared.clone(),
        });
        let spec = lane_stage(&lane, &status.lane_stage);
        let running = RunningSink {
            id: registered.id,
            name: sink.name.clone(),
            component,
            home: plan.clone(),
            index,
            lane,
            lane_stage: spec.id,
            delivery: None,
            outbox,
            reader,
            acknowledged: Arc::default(),
            meter,
            status,
            leaving: None,
            lane_ended: false,
        };
        (running, spec)
    }

    /// Makes the delivery of a sink, which has none.
    pub fn delivery(&self, sink: &mut RunningSink, dead_letter: Option<SinkId>) -> StageSpec {
        let SinkPlan { name, bad, retry, .. } = &sink.home.sinks[sink.index];
        let seat = Arc::new(DeliverySeat {
            name: name.clone(),
            sink_id: sink.id,
            sink: sink.component.sink.clone(),
            limits: sink.component.limits,
            bad: *bad,
            retry: *retry,
            incarnation: self.incarnation,
            backfill_upto: self.backfill_upto,
            exits: self.exits.clone(),
            plans: self.plans.clone(),
            outbox: sink.outbox.clone(),
            reader: sink.reader.fork(),
            journal: sink.status.journal.clone(),
            writer: self.requests.clone(),
            meter: sink.meter.clone(),
            status: sink.status.stage.clone(),
            dead_letter,
            acknowledged: sink.acknowledged.clone(),
            replaced: AtomicBool::new(false),
        });
        let run = seat.clone();
        let spec = stage(Tier::Sink, &sink.status.stage, move |stop| Box::pin(run.clone().run(stop)));
        sink.delivery = Some((spec.id, seat));
        spec
    }

    fn lane(&self, name: Arc<str>, registered: &gwp_journal::Registered, plan: PlanId) -> LaneSeat {
        LaneSeat::new(
            name,
            registered,
            plan,
            self.plans.clone(),
            self.sequencer.clone(),
            self.requests.clone(),
            self.log.fork(),
        )
    }

    /// The lane of the board of alarms.
    pub fn board(&self, plan: PlanId, place: Place, begin: Begin) -> (RunningBoard, StageSpec) {
        let (id, board) = (place.registered.id, Arc::new(AlarmBoard::default()));
        let status = StageStatus::new("lane/alarms".into());
        let lane = begin.of(self.lane(crate::alarms::BOARD.into(), &place.registered, plan));
        let spec = lane_stage(&Arc::new(lane.of_board(board.clone())), &status);
        (RunningBoard { id, board, status }, spec)
    }

    /// Takes orders to alarms under a plan.
    pub fn desk(&self, board: &Arc<AlarmBoard>, plan: &Arc<Plan>) -> (SourceKey, AlarmDesk) {
        let (key, outlet) = self.own_outlet();
        let (board, plan) = (board.clone(), plan.clone());
        (key, AlarmDesk { board, plan, outlet, clock: self.clock.clone() })
    }

    /// The executor of the writes of a plan. `first` is the first one of this process: it tells what an earlier epoch
    /// has left open. Figures go on by name.
    pub fn writes(
        &self,
        plan: &Arc<Plan>,
        sources: Vec<SourceInlet>,
        first: bool,
        figures: &BTreeMap<Arc<str>, Arc<WriteMeter>>,
    ) -> (RunningWrites, StageSpec) {
        let (key, outlet) = self.own_outlet();
        let mut meters: BTreeMap<Arc<str>, Arc<WriteMeter>> = BTreeMap::new();
        let by_write = plan.writes.iter().map(|write| {
            let known = || figures.get(&write.name).cloned().unwrap_or_default();
            meters.entry(write.name.clone()).or_insert_with(known).clone()
        });
        let by_write = by_write.collect();
        let status = StageStatus::new("writes".into());
        let seat = Arc::new(WritesSeat {
            plans: self.plans.clone(),
            sequencer: self.sequencer.clone(),
            clock: self.clock.clone(),
            outlet,
            sources,
            meters: by_write,
            released: self.released.clone(),
            exits: self.exits.clone(),
            before: Mutex::new(first.then(|| (self.log.fork(), self.previous))),
            plan: plan.clone(),
        });
        let spec = stage(Tier::Write, &status, move |stop| Box::pin(seat.clone().run(stop)));
        (RunningWrites { stage: spec.id, key, status, meters }, spec)
    }
}

/// The stage of a lane.
pub(crate) fn lane_stage(lane: &Arc<LaneSeat>, status: &Arc<StageStatus>) -> StageSpec {
    let lane = lane.clone();
    stage(Tier::Lane, status, move |stop| Box::pin(lane.clone().run(stop)))
}

/// Poll groups of a source with their tags; that a connection broke is no command.
fn groups_of(plan: &Plan, source: usize) -> Vec<(GroupId, Arc<[TagId]>)> {
    let groups = (0..).map(GroupId).zip(&plan.groups);
    let commands = command_groups(plan);
    let own = groups.filter(|(id, group)| group.source as usize == source && !commands.contains(id));
    own.map(|(id, group)| (id, group.tags.clone())).collect()
}
