//! The topology: supervisor of all stages of a plan.
//!
//! ```text
//! gateway actor -> topology actor -> source/..., lane/..., sink/...
//! ```
//! Stages come and go with changes of the plan. A stage that fails or panics starts again after its back-off while its
//! neighbours go on. Stages start from the sinks upwards and stop from the
//! sources downwards.

use crate::stage::{StageActor, StageMake, StageMsg};
use crate::status::StageStatus;
use crate::supervise::Backoff;
use ractor::concurrency::Duration;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

/// Which stage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StageId(u64);

impl StageId {
    /// One that no other stage of this process has.
    pub fn fresh() -> StageId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        StageId(NEXT.fetch_add(1, Relaxed))
    }
}

/// A stage to run.
pub struct StageSpec {
    pub id: StageId,
    pub tier: Tier,
    pub make: StageMake,
    /// Its name (`source/press`) and what supervision knows of it.
    pub status: Arc<StageStatus>,
}

/// The supervisor.
pub struct TopologyActor;

/// What the topology is told.
pub enum TopologyMsg {
    /// Run these, too; answers when all have been started.
    Add(Vec<StageSpec>, RpcReplyPort<Result<(), String>>),
    /// Start a stage again.
    Start(StageId),
    /// Stop these for good, all at once, wait for them, answer.
    Remove(Vec<StageId>, RpcReplyPort<()>),
    /// Stop all stages of a tier for good, wait for them, answer.
    Stop(Tier, RpcReplyPort<()>),
}

/// A stage of the topology.
struct Member {
    spec: StageSpec,
    backoff: Backoff,
    running: Option<ActorRef<StageMsg>>,
}

/// State of the supervisor.
#[derive(Default)]
pub struct TopologyState {
    members: BTreeMap<StageId, Member>,
    by_actor: BTreeMap<ActorId, StageId>,
    /// Tiers that are not to start again.
    stopped: Vec<Tier>,
}

impl Actor for TopologyActor {
    type Msg = TopologyMsg;
    type State = TopologyState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<TopologyMsg>, (): ()) -> Result<TopologyState, ActorProcessingErr> {
        Ok(TopologyState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<TopologyMsg>,
        message: TopologyMsg,
        state: &mut TopologyState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TopologyMsg::Add(specs, reply) => {
                let _ = reply.send(state.add(&myself, specs).await);
            }
            TopologyMsg::Start(id) => state.start(&myself, id).await?,
            TopologyMsg::Remove(ids, reply) => {
                state.remove(&ids).await;
                let _ = reply.send(());
            }
            TopologyMsg::Stop(tier, reply) => {
                state.stop(tier).await;
                let _ = reply.send(());
            }
        }
        Ok(())
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
        let Some(id) = state.by_actor.remove(&actor) else { return Ok(()) };
        let Some(member) = state.members.get_mut(&id) else { return Ok(()) };
        member.running = None;
        let status = &member.spec.status;
        status.running.store(false, Relaxed);
        if state.stopped.contains(&member.spec.tier) {
            return Ok(());
        }
        let wait = member.backoff.after_failure(Instant::now());
        status.failed(&reason);
        tracing::warn!(stage = %status.name, %reason, wait_ms = wait.as_millis() as u64, "stage failed; starting it again");
        myself.send_after(Duration::from_nanos(wait.as_nanos() as u64), move || TopologyMsg::Start(id));
        Ok(())
    }
}

impl TopologyState {
    /// Starts stages, from the sinks upwards.
    async fn add(&mut self, myself: &ActorRef<TopologyMsg>, mut specs: Vec<StageSpec>) -> Result<(), String> {
        specs.sort_by_key(|spec| spec.tier);
        for spec in specs {
            let id = spec.id;
            self.members.insert(id, Member { spec, backoff: Backoff::default(), running: None });
            self.start(myself, id).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn start(&mut self, myself: &ActorRef<TopologyMsg>, id: StageId) -> Result<(), ActorProcessingErr> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        if member.running.is_some() || self.stopped.contains(&member.spec.tier) {
            return Ok(());
        }
        let work = (member.spec.make)();
        let (actor, _) = Actor::spawn_linked(None, StageActor, work, myself.get_cell()).await?;
        member.spec.status.running.store(true, Relaxed);
        self.by_actor.insert(actor.get_id(), id);
        member.running = Some(actor);
        Ok(())
    }

    async fn remove(&mut self, ids: &[StageId]) {
        let members: Vec<Member> = ids.iter().filter_map(|id| self.members.remove(id)).collect();
        end(members.iter().filter_map(|member| member.running.clone()).collect()).await;
        for member in members {
            if let Some(actor) = member.running {
                self.by_actor.remove(&actor.get_id());
            }
            member.spec.status.running.store(false, Relaxed);
        }
    }

    async fn stop(&mut self, tier: Tier) {
        self.stopped.push(tier);
        let of_tier = self.members.values().filter(|member| member.spec.tier == tier);
        end(of_tier.filter_map(|member| member.running.clone()).collect()).await;
    }
}

/// Stops actors, all at once: one slow stage must not hold up the others.
async fn end(actors: Vec<ActorRef<StageMsg>>) {
    actors.iter().for_each(|actor| actor.stop(None));
    for actor in actors {
        let _ = actor.wait(None).await;
    }
}
