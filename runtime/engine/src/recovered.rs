//! What the store says at the start of an epoch, and the graph that is put together from it.

use crate::alarms::{self, BOARD};
use crate::clock::GatewayClock;
use crate::engine::{BOARD_POLICY, LeavingSink, Running, StartError, policy};
use crate::exits::Exits;
use crate::graph::{Begin, Leaving, Outboxes, PreparedSink, Shared};
use crate::left::Left;
use crate::names;
use crate::pair::InPair;
use crate::plans::Plans;
use crate::release::Release;
use crate::sequencer::Sequencer;
use crate::topology::{StageSpec, TopologyMsg};
use gwp_core::source::Source;
use gwp_core::{Clock, PlanId, Position};
use gwp_journal::{LogReader, Place, SinkPolicy, Store, StoreError, Writer};
use gwp_plan::Plan;
use gwp_redundancy::member::Epoch;
use ractor::ActorRef;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What stands between the graph and the outside.
pub(crate) struct Outside {
    pub exits: Exits,
    pub release: Release,
    pub outboxes: Arc<Outboxes>,
    pub durable: watch::Receiver<Position>,
    pub released: watch::Receiver<Position>,
}

/// What the store says at the start of an epoch.
pub(crate) struct Recovered {
    plan: Arc<Plan>,
    plan_id: PlanId,
    plans: Arc<Plans>,
    pub clock: Arc<GatewayClock>,
    epoch: Epoch,
    pub previous: Position,
    running_hash: u64,
    incarnation: [u8; 16],
    backfill_upto: Position,
    log: LogReader,
    /// By index of the plan's sinks.
    sinks: Vec<Place>,
    leaving: Vec<(LeavingSink, Place)>,
    /// The place of the board of alarms, if the plan has alarms.
    board: Option<Place>,
    /// Where sources stood.
    left: Left,
    pair: Option<InPair>,
}

impl Recovered {
    pub fn new(
        mut store: Store,
        plan: Arc<Plan>,
        leaving: Vec<LeavingSink>,
        (epoch, previous): (Epoch, Position),
        mut pair: Option<InPair>,
    ) -> Result<(Recovered, Store), StartError> {
        let plan_id = plan.id();
        store.put_plan(plan_id, &plan.to_bytes())?;
        let hot = pair.as_ref().and_then(|pair| pair.hot.as_ref());
        let clock = match hot {
            Some(hot) => hot.desk.clock.clone(),
            None => Arc::new(GatewayClock::new(store.last_time()?)),
        };
        if hot.is_some() {
            clock.reach(store.last_time()?);
        }
        if let Some(pair) = &mut pair {
            pair.compare(&plan, &mut store.log_reader(), &store.plan_reader())?;
        }
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
        store.keep_bookmarks_of(|name| plan.sources.iter().any(|source| *source.name == *name))?;
        let left = Left::with_bookmarks(store.bookmarks()?);
        let recovered = Recovered {
            plans: Arc::new(Plans::new(store.plan_reader(), plan_id, plan.clone())),
            plan,
            plan_id,
            clock,
            epoch,
            previous,
            running_hash: store.running_hash(),
            incarnation: store.incarnation(),
            backfill_upto: store.backfill_upto()?,
            log: store.log_reader(),
            sinks,
            leaving,
            board,
            left,
            pair,
        };
        Ok((recovered, store))
    }

    /// What all stages share.
    pub fn shared(&self, writer: &Writer, topology: ActorRef<TopologyMsg>, outside: Outside) -> Shared {
        let (requests, meter) = (writer.sender(), writer.meter.clone());
        let sequencer = Sequencer::new(&self.plan, self.epoch, self.previous, requests.clone(), meter);
        let Outside { exits, release, outboxes, durable, released } = outside;
        Shared {
            plans: self.plans.clone(),
            clock: self.clock.clone(),
            exits,
            previous: self.previous,
            incarnation: self.incarnation,
            backfill_upto: self.backfill_upto,
            log: self.log.fork(),
            sequencer: Arc::new(sequencer),
            requests,
            outboxes,
            release,
            durable,
            released,
            topology,
        }
    }

    /// Puts all stages together and writes the first records of the epoch.
    pub fn graph(
        mut self,
        shared: &Shared,
        sources: Vec<Arc<dyn Source>>,
        sinks: Vec<PreparedSink>,
    ) -> (Running, Vec<StageSpec>) {
        let (plan, plan_id) = (self.plan, self.plan_id);
        let mut specs = Vec::new();
        let mut running = Running {
            plan: plan.clone(),
            plan_id,
            sources: Vec::new(),
            sinks: Vec::new(),
            writes: None,
            board: None,
            desk: None,
            left: Left::default(),
            figures: BTreeMap::new(),
            sources_stopped: false,
            added: Vec::new(),
        };
        // Before the first commit of the epoch: what a journal has from before is released with what was before.
        for (index, (prepared, place)) in sinks.into_iter().zip(self.sinks).enumerate() {
            let (sink, lane) = shared.sink((&plan, plan_id), index, prepared, place, Begin::AsKept);
            running.sinks.push(sink);
            specs.push(lane);
        }
        let staying = running.sinks.len();
        let mut leave = Vec::new();
        for (LeavingSink { plan, index, sink, how }, place) in self.leaving {
            let (sink, lane) = shared.sink((&plan, plan.id()), index, sink, place, Begin::AsKept);
            leave.push(how);
            running.sinks.push(sink);
            specs.push(lane);
        }
        let now = self.clock.now();
        let anchor = self.pair.as_ref().map_or(now, |pair| pair.begins_at(now));
        shared.sequencer.activate(self.previous, self.running_hash, anchor, plan_id);
        let since = shared.sequencer.last();
        for (sink, how) in running.sinks[staying..].iter_mut().zip(leave) {
            sink.leaving = Some(Leaving { since, how });
        }
        running.add_deliveries(shared, &mut specs);
        let mut hot = self.pair.as_mut().map(InPair::sources).unwrap_or_default();
        let mut keys = BTreeMap::new();
        for (index, source) in sources.into_iter().enumerate() {
            let (source, spec) = match hot.remove(&index) {
                Some(hot) => {
                    let number = hot.number;
                    let (source, spec) = shared.hot_source(&plan, index, hot);
                    keys.insert(number, source.key);
                    (source, spec)
                }
                None => shared.source(&plan, index, source, self.left.carried(&plan, index)),
            };
            running.sources.push(source);
            specs.push(spec);
        }
        if let Some(pair) = self.pair.take() {
            pair.begin(shared, keys, &running.sources);
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

fn place(store: &mut Store, name: &str, policy: SinkPolicy) -> Result<Place, StoreError> {
    let registered = store.register(name, policy)?;
    let reader = store
        .journal_reader(registered.id)
        .ok_or_else(|| StoreError::Damaged(format!("the journal of sink `{name}`")))?;
    Ok(Place { registered, reader, added: false })
}
