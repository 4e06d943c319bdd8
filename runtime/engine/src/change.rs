//! Changing the plan of a running engine.
//!
//! ```text
//! prepare   the store keeps the plan and has places for its sinks     (nothing that runs notices)
//! stop      sources and deliveries that differ, and those that leave  (everything else goes on)
//! drill     new components try what they need of this machine
//! switch    the record `Configured`: one position of the log
//! start     what is new, once the record is durable
//! ```
//! Lanes do not stop: each passes the record in its own time and takes its state over by names
//! ([`Lane::migrate`](gwp_plan::Lane::migrate)), so success never waits for a reader that is behind. Sources that go on
//! keep their connection and their numbers ([`Translation`](crate::translation)).
//!
//! What is to be done follows from the plan that is wanted and from what runs, whatever that is. So if a step fails,
//! the same function brings the plan before back: from any step, by the same rules.
//!
//! Until the record is durable a node that dies comes back with the old plan, from then on with the new one: names and
//! bounds of journals are in the same commit.

use crate::alarms::{self, BOARD};
use crate::engine::{BOARD_POLICY, Engine, Inner, Running, STOP_TIMEOUT_MS, fits, policy};
use crate::graph::{Begin, Leaving, PreparedSink, Removed, RunningSource, lane_stage};
use crate::left::Left;
use crate::limits::{CHANGE_DRILL, CHANGE_DURABLE, CHANGE_PREPARE};
use crate::sequencer::{Link, Next, SourceKey};
use crate::status::{SinkStatus, StageStatus};
use crate::topology::{StageId, StageSpec, TopologyMsg};
use gwp_core::sink::Disposition;
use gwp_core::source::Source;
use gwp_core::{PlanId, Position, SinkId, TagId};
use gwp_journal::{Place, Prepared, Request, Wanted};
use gwp_plan::Plan;
use gwp_plan::diff::{same_delivery, same_source};
use ractor::call_t;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A plan and everything that runs it.
pub struct Target {
    pub plan: Arc<Plan>,
    /// By index of the plan's sources.
    pub sources: Vec<Arc<dyn Source>>,
    /// By index of the plan's sinks.
    pub sinks: Vec<PreparedSink>,
    /// What becomes of sinks that leave.
    pub removed: Removed,
}

/// What ran before a change, to come back to.
struct Back {
    target: Target,
    /// The places of its sinks, whatever they are called by then.
    places: Vec<SinkId>,
}

/// What has been done of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Prepared,
    Stopped,
    Drilled,
    /// The record has its position; whether it is on disk nobody knows yet.
    Switched,
    Durable,
    Started,
}

/// Is told of every step; an error makes the change fail there.
pub type Observer<'a> = &'a (dyn Fn(Step) -> Result<(), String> + Send + Sync);

/// A change that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The plan before.
    pub before: PlanId,
    pub plan: PlanId,
    /// The record from which on it holds; none if the plan was in force already.
    pub at: Option<Position>,
    /// What is to be known, though it did not keep the plan from being put in force.
    pub warnings: Vec<String>,
}

/// Why a plan is not in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{0}; the plan before runs on")]
    Undone(String),
    #[error(
        "{first}; and bringing the plan before back failed as well: {second}. Restart the gateway: it starts with the plan that its log names"
    )]
    Stuck { first: String, second: String },
}

impl Engine {
    /// Puts another plan in force. Only what differs is stopped and started; on any failure the plan before runs on.
    ///
    /// # Errors
    /// Why it does not hold.
    pub async fn change(&self, target: Target, observer: Observer<'_>) -> Result<Changed, ChangeError> {
        let undone = |error: &dyn std::fmt::Display| ChangeError::Undone(error.to_string());
        fits("sources", target.plan.sources.len(), target.sources.len()).map_err(|error| undone(&error))?;
        fits("sinks", target.plan.sinks.len(), target.sinks.len()).map_err(|error| undone(&error))?;
        let inner = &self.inner;
        let mut running = inner.running.lock().await;
        if running.sources_stopped {
            return Err(ChangeError::Undone("the gateway is being stopped".into()));
        }
        if inner.writer.meter.low_space.load(Relaxed) {
            let why = "the data directory is nearly full: nothing new can be stored";
            return Err(ChangeError::Undone(why.into()));
        }
        let back = running.back();
        let result = inner.change(&mut running, &target, observer, None).await;
        let result = match result {
            Ok(changed) => Ok(changed),
            Err(first) => match inner.go_back(&mut running, &back).await {
                Ok(()) => Err(ChangeError::Undone(first)),
                Err(second) => Err(ChangeError::Stuck { first, second }),
            },
        };
        inner.show(&running);
        result
    }
}

impl Running {
    /// What runs, to come back to.
    fn back(&self) -> Back {
        let source = |name: &Arc<str>| self.sources.iter().find(|source| source.name == *name);
        let sink =
            |name: &Arc<str>| self.sinks.iter().find(|sink| sink.name == *name && sink.leaving.is_none());
        let (sources, sinks) = (&self.plan.sources, &self.plan.sinks);
        let running: Vec<_> = sinks.iter().filter_map(|plan| sink(&plan.name)).collect();
        let target = Target {
            plan: self.plan.clone(),
            sources: sources.iter().filter_map(|plan| Some(source(&plan.name)?.component.clone())).collect(),
            sinks: running.iter().map(|sink| sink.component.clone()).collect(),
            removed: Removed::Keep,
        };
        Back { target, places: running.iter().map(|sink| sink.id).collect() }
    }
}

/// What differs between what runs and what is wanted.
struct Difference {
    /// Sources of the plan that go on, by their index in it: key and link.
    kept: BTreeMap<usize, (SourceKey, Link)>,
    stop_sources: Vec<usize>,
    /// Running sinks whose delivery is made anew or ends.
    stop_deliveries: Vec<usize>,
    /// The executor of writes is made anew or ends.
    stop_writes: bool,
}

impl Difference {
    fn new(running: &Running, target: &Target, places: &[Place]) -> Difference {
        let plan = &target.plan;
        let mut kept = BTreeMap::new();
        let mut stop_sources = Vec::new();
        for (index, source) in running.sources.iter().enumerate() {
            let at = plan.sources.iter().position(|wanted| wanted.name == source.name);
            match at.filter(|at| same_source(&source.home, source.index, plan, *at)) {
                Some(at) => {
                    let translation = source.translation(plan, at);
                    let link = Link::of(plan, at, translation);
                    kept.insert(at, (source.key, link));
                }
                None => stop_sources.push(index),
            }
        }
        let goes_on = |sink: &crate::graph::RunningSink| match places
            .iter()
            .position(|place| place.registered.id == sink.id)
        {
            Some(at) => same_delivery(&sink.home, sink.index, plan, at),
            None => match sink.leaving {
                Some(_) => true,
                None => target.removed == Removed::Drain,
            },
        };
        let sinks = running.sinks.iter().enumerate();
        let stop_deliveries = sinks.filter(|(_, sink)| !goes_on(sink)).map(|(index, _)| index).collect();
        let before = &running.plan;
        // It knows tags, writes and sources by their numbers.
        let same_writes = before.tags == plan.tags
            && before.groups == plan.groups
            && before.writes == plan.writes
            && kept.len() == plan.sources.len()
            && stop_sources.is_empty();
        Difference { kept, stop_sources, stop_deliveries, stop_writes: !same_writes }
    }
}

impl Inner {
    /// Brings back what ran before a change that failed.
    async fn go_back(&self, running: &mut Running, back: &Back) -> Result<(), String> {
        let Target { plan, sources, sinks, .. } = &back.target;
        fits("sources", plan.sources.len(), sources.len()).map_err(|error| error.to_string())?;
        fits("sinks", plan.sinks.len(), sinks.len()).map_err(|error| error.to_string())?;
        self.change(running, &back.target, &|_| Ok(()), Some(&back.places)).await.map(drop)
    }

    /// `back`: what runs by the old plan, with these places, must run again, whatever the disk and what it needs say
    /// to that now.
    async fn change(
        &self,
        running: &mut Running,
        target: &Target,
        observer: Observer<'_>,
        back: Option<&Vec<SinkId>>,
    ) -> Result<Changed, String> {
        let (before, plan_id) = (running.plan_id, target.plan.id());
        let mut prepared = self.prepare(running, plan_id, target, back).await?;
        let back = back.is_some();
        let places = std::mem::take(&mut prepared.places);
        let fresh = fresh(running, &places);
        if !back {
            running.added =
                places.iter().filter(|place| place.added).map(|place| place.registered.id).collect();
        }
        let mut warnings: Vec<String> = prepared.refused.iter().map(|(old, new, waiting)| {
            format!("`moved {old} -> {new}` cannot be followed: both names have a journal; {waiting} samples wait under the old one")
        }).collect();
        let difference = Difference::new(running, target, &places);
        let mut begun = self.stop(running, &difference, observer).await;
        if begun.is_ok() && !back {
            begun = drill(running, target, &difference, &mut warnings).await;
        }
        begun = begun.and_then(|()| observer(Step::Drilled));
        let mut at = None;
        if begun.is_ok() && plan_id != before {
            let position = self.switch(running, target, plan_id, &difference, &places, prepared);
            at = Some(position);
            running.leave(if back { None } else { Some(target.removed) }, position, &places);
            begun =
                self.settle(position, observer).await.or_else(|error| if back { Ok(()) } else { Err(error) });
        }
        if let Err(error) = begun {
            self.give_back(&fresh);
            return Err(error);
        }
        let specs = running.build(self, target, places, at.map(|at| (at, before)));
        self.restart_renamed(running).await?;
        self.add(specs).await?;
        observer(Step::Started)?;
        running.left = Left::default();
        Ok(Changed { before, plan: plan_id, at, warnings })
    }

    /// Has the store keep the plan and find the places of its sinks, that of the board of alarms behind them.
    async fn prepare(
        &self,
        running: &Running,
        id: PlanId,
        target: &Target,
        back: Option<&Vec<SinkId>>,
    ) -> Result<Prepared, String> {
        let renames = target.plan.renames();
        // A place that a change has given another name takes the one before again.
        let called_now = |index: usize| {
            let id = back?.get(index)?;
            let sink = running.sinks.iter().find(|sink| sink.id == *id)?;
            Some(sink.status.journal.names().now).filter(|now| *now != target.plan.sinks[index].name)
        };
        let sinks = target.plan.sinks.iter().enumerate().map(|(index, sink)| Wanted {
            name: sink.name.clone(),
            former: match back {
                Some(_) => called_now(index).into_iter().collect(),
                None => renames.former_names_of_sink(&sink.name),
            },
            policy: policy(sink),
        });
        let board = Wanted { name: BOARD.into(), former: Vec::new(), policy: BOARD_POLICY };
        let board = alarms::has_alarms(&target.plan).then_some(board);
        let (answer, answered) = std::sync::mpsc::channel();
        let wanted = sinks.chain(board).collect();
        self.writer.ask(Request::Prepare(id, target.plan.to_bytes(), wanted, answer));
        let wait = move || answered.recv_timeout(CHANGE_PREPARE);
        let prepared = tokio::task::spawn_blocking(wait).await.map_err(|error| error.to_string())?;
        prepared.map_err(|_| "the store does not answer".into())
    }

    /// Places that only this change wanted are given back.
    fn give_back(&self, fresh: &[(SinkId, bool)]) {
        for (id, added) in fresh {
            self.writer.ask(if *added { Request::Forget(*id) } else { Request::Retire(*id) });
        }
    }

    /// Stops what differs.
    async fn stop(
        &self,
        running: &mut Running,
        difference: &Difference,
        observer: Observer<'_>,
    ) -> Result<(), String> {
        observer(Step::Prepared)?;
        let writes = if difference.stop_writes { running.writes.take() } else { None };
        if let Some(writes) = writes {
            // Its last outcomes are in the log before the tags have other numbers.
            self.remove(vec![writes.stage]).await?;
            self.shared.sequencer.dismiss(writes.key);
        }
        let (mut stages, mut stopped): (Vec<StageId>, Vec<RunningSource>) = Default::default();
        for index in difference.stop_sources.iter().rev() {
            let source = running.sources.remove(*index);
            stages.push(source.stage);
            stopped.push(source);
        }
        for index in &difference.stop_deliveries {
            if let Some((stage, seat)) = running.sinks[*index].delivery.take() {
                seat.replaced.store(true, Relaxed);
                stages.push(stage);
            }
        }
        let removed = self.remove(stages).await;
        // Also of those that do not end in time: what is made in their place would say everything twice.
        for source in stopped {
            self.shared.sequencer.dismiss(source.key);
            running.left.remember(&source);
        }
        removed?;
        observer(Step::Stopped)
    }

    /// Puts the plan in force at one position.
    fn switch(
        &self,
        running: &mut Running,
        target: &Target,
        id: PlanId,
        difference: &Difference,
        places: &[Place],
        prepared: Prepared,
    ) -> Position {
        let (old, plan) = (running.plan.clone(), &target.plan);
        let (ids, renames) = (plan.tag_ids(), plan.renames());
        let renumber = |tag: TagId| {
            let tag = old.tag(tag)?;
            ids.get(&tag.info.path).or_else(|| ids.get(&*renames.path(tag)?)).copied()
        };
        let write = |index: usize| {
            let command = renumber(old.writes.get(index)?.command)?;
            plan.writes.iter().position(|write| write.command == command)
        };
        let mut sources: BTreeMap<SourceKey, Link> = difference.kept.values().cloned().collect();
        sources.extend(running.writes.as_ref().map(|writes| (writes.key, Link::own())));
        let ids_of = |place: &&Place| place.added;
        self.shared.plans.add(id, plan.clone());
        let policies = plan.sinks.iter().zip(places);
        let at = self.shared.sequencer.switch(Next {
            plan,
            id,
            sources,
            renumber: &renumber,
            write: &write,
            renames: prepared.renames,
            policies: policies.map(|(sink, place)| (place.registered.id, policy(sink))).collect(),
            added: places.iter().filter(ids_of).map(|place| place.registered.id).collect(),
        });
        (running.plan, running.plan_id) = (plan.clone(), id);
        at
    }

    /// Waits until the record of the switch is on this disk. The peer may still lack it: what the plan lets out waits
    /// for its release, as ever, and a change must not fail because the peer is away.
    async fn settle(&self, position: Position, observer: Observer<'_>) -> Result<(), String> {
        observer(Step::Switched)?;
        let mut durable = self.shared.durable.clone();
        let wait = durable.wait_for(|upto| *upto >= position);
        match tokio::time::timeout(CHANGE_DURABLE, wait).await {
            Ok(Ok(_)) => observer(Step::Durable),
            Ok(Err(_)) => Err("the store has failed".into()),
            Err(_) => Err(format!("the disk does not take the change within {} s", CHANGE_DURABLE.as_secs())),
        }
    }

    async fn remove(&self, stages: Vec<StageId>) -> Result<(), String> {
        if stages.is_empty() {
            return Ok(());
        }
        let removed =
            call_t!(self.shared.topology, |reply| TopologyMsg::Remove(stages, reply), STOP_TIMEOUT_MS);
        removed.map_err(|error| format!("stages do not stop: {error}"))
    }

    /// Lanes of sinks with another name go by it.
    async fn restart_renamed(&self, running: &mut Running) -> Result<(), String> {
        let renamed = |sink: &&mut crate::graph::RunningSink| {
            *sink.status.lane_stage.name != *format!("lane/{}", sink.name)
        };
        let mut specs: Vec<StageSpec> = Vec::new();
        for sink in running.sinks.iter_mut().filter(renamed) {
            self.remove(vec![sink.lane_stage]).await?;
            let status = SinkStatus {
                name: sink.name.clone(),
                lane_stage: StageStatus::new(format!("lane/{}", sink.name)),
                ..SinkStatus::clone(&sink.status)
            };
            let spec = lane_stage(&sink.lane, &status.lane_stage);
            (sink.status, sink.lane_stage) = (Arc::new(status), spec.id);
            specs.push(spec);
        }
        self.add(specs).await
    }

    /// Ends sinks that have left the plan and have nothing to do any more.
    pub async fn sweep(&self) {
        if self.writer.meter.low_space.load(Relaxed) {
            // What is gathered for them is not stored yet, and figures are old.
            return;
        }
        let mut running = self.running.lock().await;
        // What others' destinations refuse may still come to them.
        let deliveries = running.sinks.iter().filter_map(|sink| Some((sink.id, &sink.delivery.as_ref()?.1)));
        let letters_for: Vec<SinkId> =
            deliveries.filter_map(|(id, seat)| seat.dead_letter.filter(|letters| *letters != id)).collect();
        let mut gone = Vec::new();
        for (index, sink) in running.sinks.iter_mut().enumerate() {
            let Some(leaving) = sink.leaving else { continue };
            if !sink.lane_ended {
                let done = leaving.how == Removed::Discard || sink.lane.meter.position() >= leaving.since;
                if !done || self.remove(vec![sink.lane_stage]).await.is_err() {
                    continue;
                }
                self.flush().await;
                self.writer.ask(Request::Retire(sink.id));
                sink.lane_ended = true;
            }
            let waits = sink.status.journal.pending_samples.load(Relaxed);
            if (leaving.how == Removed::Drain && waits > 0) || letters_for.contains(&sink.id) {
                continue;
            }
            if let Some((stage, _)) = sink.delivery.take() {
                let _ = self.remove(vec![stage]).await;
                self.flush().await;
            }
            if leaving.how != Removed::Keep {
                self.writer.ask(Request::Forget(sink.id));
            }
            tracing::info!(sink = %sink.name, how = leaving.how.word(), "a sink that has left the plan has ended");
            self.shared.outboxes.remove(sink.id);
            gone.push(index);
        }
        if !gone.is_empty() {
            gone.into_iter().rev().for_each(|index| {
                running.sinks.remove(index);
            });
            self.show(&running);
        }
    }
}

/// New components try what they need.
async fn drill(
    running: &Running,
    target: &Target,
    difference: &Difference,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for (index, source) in target.sources.iter().enumerate() {
        if !difference.kept.contains_key(&index) {
            let name = &target.plan.sources[index].name;
            let source = source.clone();
            let tried = in_time(async move { source.drill().await.map_err(|error| error.to_string()) });
            tried.await.and_then(|tried| tried).map_err(|error| format!("source/{name}: {error}"))?;
        }
    }
    for (sink, prepared) in target.plan.sinks.iter().zip(&target.sinks) {
        let of = running.sinks.iter().find(|running| running.name == sink.name);
        if of.is_some_and(|running| running.delivery.is_some()) {
            continue;
        }
        let component = prepared.sink.clone();
        let tried = in_time(async move { component.drill().await }).await;
        match tried.map_err(|error| format!("sink/{}: {error}", sink.name))? {
            Err(error) if !matches!(error.disposition, Disposition::Retry { .. }) => {
                return Err(format!("sink/{}: {error}", sink.name));
            }
            Err(error) => warnings.push(format!("sink/{}: {error}; its journal keeps everything", sink.name)),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// A drill, but not for ever: it may meet a disk that does not answer.
async fn in_time<T: Send + 'static>(drill: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
    match tokio::time::timeout(CHANGE_DRILL, tokio::spawn(drill)).await {
        Ok(tried) => tried.map_err(|error| error.to_string()),
        Err(_) => Err(format!("what it needs does not answer within {} s", CHANGE_DRILL.as_secs())),
    }
}

/// Sinks among the places that nothing runs for yet, and whether they are new to the store.
fn fresh(running: &Running, places: &[Place]) -> Vec<(SinkId, bool)> {
    let runs = |id: SinkId| {
        running.sinks.iter().any(|sink| sink.id == id && !sink.lane_ended)
            || running.board.as_ref().is_some_and(|board| board.id == id)
    };
    let fresh = places.iter().filter(|place| !runs(place.registered.id));
    fresh.map(|place| (place.registered.id, place.added)).collect()
}

impl Running {
    /// Marks the sinks that the plan in force does not have, and those it has again. `removed`: what becomes of those
    /// that leave now; none on the way back, on which only what the failed change has added leaves nothing behind.
    fn leave(&mut self, removed: Option<Removed>, since: Position, places: &[Place]) {
        for sink in &mut self.sinks {
            let added = self.added.contains(&sink.id);
            let how = removed.unwrap_or(if added { Removed::Discard } else { Removed::Keep });
            let stays = places.iter().any(|place| place.registered.id == sink.id);
            sink.leaving = match (stays, sink.leaving) {
                (true, _) => None,
                (false, Some(leaving)) => Some(leaving),
                (false, None) => Some(Leaving { since, how }),
            };
        }
    }

    /// Makes what the target has and nothing runs for. `switched`: the record of the switch and the plan before it, if
    /// there was one.
    fn build(
        &mut self,
        inner: &Inner,
        target: &Target,
        places: Vec<Place>,
        switched: Option<(Position, PlanId)>,
    ) -> Vec<StageSpec> {
        let (shared, plan, id) = (&inner.shared, target.plan.clone(), self.plan_id);
        let begin = |place: &Place| match switched {
            Some((at, before)) => {
                let end = Position { seq: at.seq.saturating_sub(1), ..at };
                if place.added { Begin::New(end) } else { Begin::Again(end, before) }
            }
            None => Begin::AsKept,
        };
        let mut specs = Vec::new();
        for (index, place) in places.into_iter().enumerate() {
            let known = self.sinks.iter_mut().find(|sink| sink.id == place.registered.id);
            match (plan.sinks.get(index), known) {
                (Some(wanted), Some(sink)) => {
                    sink.name = wanted.name.clone();
                    if std::mem::take(&mut sink.lane_ended) {
                        let lane = lane_stage(&sink.lane, &sink.status.lane_stage);
                        sink.lane_stage = lane.id;
                        specs.push(lane);
                    }
                    if sink.delivery.is_none() {
                        sink.component = target.sinks[index].clone();
                        (sink.home, sink.index) = (plan.clone(), index);
                        sink.renew_status();
                    }
                }
                (Some(_), None) => {
                    let (begin, prepared) = (begin(&place), target.sinks[index].clone());
                    let (sink, lane) = shared.sink((&plan, id), index, prepared, place, begin);
                    self.sinks.push(sink);
                    specs.push(lane);
                }
                (None, _) if self.board.is_none() => {
                    let begin = begin(&place);
                    let (board, lane) = shared.board(id, place, begin);
                    self.board = Some(board);
                    specs.push(lane);
                }
                (None, _) => {}
            }
        }
        self.add_deliveries(shared, &mut specs);
        for (index, wanted) in plan.sources.iter().enumerate() {
            if self.sources.iter().any(|source| source.name == wanted.name) {
                continue;
            }
            let component = target.sources[index].clone();
            let carried = self.left.carried(&plan, index);
            let (source, spec) = shared.source(&plan, index, component, carried);
            self.sources.push(source);
            specs.push(spec);
        }
        self.renew_desk(shared);
        self.add_writes(shared, false, &mut specs);
        specs
    }
}
