//! The topology: supervisor of all stages of a plan.
//!
//! ```text
//! gateway actor -> topology actor -> source/..., lane/..., sink/...
//! ```
//! A stage that fails or panics starts again after its back-off while its
//! neighbours go on. Stages start from the sinks upwards and stop from the
//! sources downwards.

use crate::stage::{StageActor, StageMake, StageMsg};
use crate::status::StageStatus;
use crate::supervise::Backoff;
use ractor::concurrency::Duration;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Where a stage stands; tiers start in this order and stop in the reverse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    Sink,
    Lane,
    Source,
    /// The executor of writes.
    Write,
}

impl Tier {
    /// As in the names of its stages.
    pub fn word(self) -> &'static str {
        match self {
            Tier::Sink => "sink",
            Tier::Lane => "lane",
            Tier::Source => "source",
            Tier::Write => "write",
        }
    }
}

/// A stage to run.
pub struct StageSpec {
    pub tier: Tier,
    pub make: StageMake,
    /// Its name (`source/press`) and what supervision knows of it.
    pub status: Arc<StageStatus>,
}

/// The supervisor.
pub struct TopologyActor;

/// What the topology is told.
#[derive(Debug)]
pub enum TopologyMsg {
    /// Start (again) the stage with this index.
    Start(usize),
    /// Stop all stages of a tier, wait for them, answer.
    Stop(Tier, RpcReplyPort<()>),
}

/// State of the supervisor.
pub struct TopologyState {
    specs: Vec<StageSpec>,
    backoffs: Vec<Backoff>,
    running: BTreeMap<ActorId, (usize, ActorRef<StageMsg>)>,
    /// Tiers that are not to start again.
    stopped: Vec<Tier>,
}

impl Actor for TopologyActor {
    type Msg = TopologyMsg;
    type State = TopologyState;
    type Arguments = Vec<StageSpec>;

    async fn pre_start(
        &self,
        myself: ActorRef<TopologyMsg>,
        mut specs: Vec<StageSpec>,
    ) -> Result<TopologyState, ActorProcessingErr> {
        specs.sort_by_key(|spec| spec.tier);
        for index in 0..specs.len() {
            myself.cast(TopologyMsg::Start(index))?;
        }
        Ok(TopologyState {
            backoffs: vec![Backoff::default(); specs.len()],
            running: BTreeMap::new(),
            stopped: Vec::new(),
            specs,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<TopologyMsg>,
        message: TopologyMsg,
        state: &mut TopologyState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TopologyMsg::Start(index) => state.start(&myself, index).await,
            TopologyMsg::Stop(tier, reply) => {
                state.stop(tier).await;
                let _ = reply.send(());
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<TopologyMsg>,
        event: SupervisionEvent,
        state: &mut TopologyState,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, reason) = match event {
            SupervisionEvent::ActorFailed(actor, error) => (actor.get_id(), error.to_string()),
            SupervisionEvent::ActorTerminated(actor, ..) => (actor.get_id(), "ended".to_owned()),
            _ => return Ok(()),
        };
        let Some((index, _)) = state.running.remove(&actor) else { return Ok(()) };
        let spec = &state.specs[index];
        spec.status.running.store(false, Relaxed);
        if state.stopped.contains(&spec.tier) {
            return Ok(());
        }
        let wait = state.backoffs[index].after_failure(Instant::now());
        spec.status.failed(&reason);
        tracing::warn!(stage = %spec.status.name, %reason, wait_ms = wait.as_millis() as u64, "stage failed; starting it again");
        myself.send_after(Duration::from_nanos(wait.as_nanos() as u64), move || TopologyMsg::Start(index));
        Ok(())
    }
}

impl TopologyState {
    async fn start(
        &mut self,
        myself: &ActorRef<TopologyMsg>,
        index: usize,
    ) -> Result<(), ActorProcessingErr> {
        let Some(spec) = self.specs.get(index) else { return Ok(()) };
        if self.stopped.contains(&spec.tier) {
            return Ok(());
        }
        let (actor, _) = Actor::spawn_linked(None, StageActor, (spec.make)(), myself.get_cell()).await?;
        spec.status.running.store(true, Relaxed);
        self.running.insert(actor.get_id(), (index, actor));
        Ok(())
    }

    async fn stop(&mut self, tier: Tier) {
        self.stopped.push(tier);
        let actors: Vec<ActorRef<StageMsg>> = self
            .running
            .values()
            .filter(|(index, _)| self.specs[*index].tier == tier)
            .map(|(_, actor)| actor.clone())
            .collect();
        // All at once: one slow stage must not hold up the others.
        actors.iter().for_each(|actor| actor.stop(None));
        for actor in actors {
            let _ = actor.wait(None).await;
        }
    }
}
