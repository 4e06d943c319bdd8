//! What operators see of the pair at this node, and what they want of it.

use super::asides::Shown;
use super::words;
use crate::configuration::desk::listed;
use crate::configuration::history::History;
use crate::configuration::shared::Active;
use crate::node::Node;
use gwp_cluster::apart::Apart;
use gwp_cluster::driver::{Inputs, Look};
use gwp_cluster::mirror::hub::{Hub, Lag};
use gwp_console::{Outcome, PairCommand, Refusal};
use gwp_core::PlanId;
use gwp_engine::{HotDesk, HotFigures};
use gwp_journal::asides;
use gwp_redundancy::member::{Epoch, NodeId};
use gwp_redundancy::message::{Report, Stance};
use gwp_redundancy::node::{Command, Obstacle, Refusal as NodeRefusal, Settings, State, SwitchObstacle};
use gwp_redundancy::policy::Quorum;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is shown of the pair at this node, as it is now.
pub struct Figures {
    pub look: Look,
    pub peer: NodeId,
    pub is_redundant: bool,
    /// The copy at the standby holds everything, and deliveries wait for it.
    pub is_in_step: bool,
    /// What the copy lacks; only the active knows.
    pub lag: Option<Lag>,
    /// Bytes of the store that it was given in this epoch; the same.
    pub given_bytes: u64,
    /// Stores that were set aside here.
    pub asides: usize,
    /// Records of the one that is being handed over that are still to be looked at.
    pub aside_records_left: u64,
}

/// The pair, for the control interface of this node.
pub struct PairDesk {
    node: String,
    data: PathBuf,
    pub(super) me: NodeId,
    pub(super) settings: Settings,
    /// How a majority comes about, and why so.
    policy: &'static str,
    pub(super) inputs: Inputs,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// While it is active.
    hub: Option<Hub>,
    /// While it is not: how far the copy of the active's store has come.
    copy: Arc<str>,
    /// ... and what it reads meanwhile.
    hot: Option<Arc<HotDesk>>,
    /// How far the peer's clock is from the one here, as far as it is known.
    apart: Option<Apart>,
    /// What this node runs, or would; none while there is nothing that it could run.
    plan: Option<PlanId>,
    /// Why it cannot run the program.
    problem: Option<Arc<str>>,
    /// Which program this node could not run, and why, so that it was not put in force.
    refused: Option<Arc<str>>,
    /// While it is not active: who is, as the copy says.
    active: Option<Active>,
    /// What becomes of what is set aside here.
    asides: Shown,
}

impl PairDesk {
    pub fn new(node: &Node, settings: Settings, policy: &'static str, inputs: Inputs) -> PairDesk {
        let (node, data) = (node.id.clone(), node.data.clone());
        PairDesk { node, data, me: settings.me, settings, policy, inputs, now: Mutex::default() }
    }

    /// Whether an epoch can only have been the peer's.
    pub fn is_of_peer(&self, epoch: Epoch) -> bool {
        self.me.peer().epoch_after(epoch - 1) == epoch
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirror of the epoch that runs here, or none.
    pub fn set_hub(&self, hub: Option<Hub>) {
        self.now().hub = hub;
    }

    pub(super) fn hub(&self) -> Option<Hub> {
        self.now().hub.clone()
    }

    pub fn plan(&self) -> Option<PlanId> {
        self.now().plan
    }

    /// What this node runs, or would.
    pub fn set_plan(&self, plan: Option<PlanId>) {
        self.now().plan = plan;
    }

    /// Why this node cannot run the program, if it cannot.
    pub fn set_problem(&self, problem: Option<&str>) {
        self.now().problem = problem.map(Into::into);
    }

    /// A program was not put in force, as this node cannot run it; `None`: another one was, since.
    pub fn set_refused(&self, refused: Option<&str>) {
        self.now().refused = refused.map(Into::into);
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.now().problem.as_deref().map(str::to_owned)
    }

    /// Who is active, by what the copy says.
    pub fn set_active(&self, active: Option<Active>) {
        self.now().active = active;
    }

    /// What who asks this node is told of where the graph runs.
    pub fn elsewhere(&self) -> String {
        let ask = match &self.now().active {
            Some(Active { node, control: Some(url) }) => format!("{node}, {url}"),
            Some(Active { node, control: None }) => format!("its peer, {node}"),
            None => "its peer".into(),
        };
        format!("this node is not active, and the graph does not run here: ask {ask}")
    }

    /// The configurations that this node has of the active.
    pub async fn history(&self) -> Outcome {
        let history = History::open(&self.data).map_err(|error| Refusal::Unavailable(error.to_string()))?;
        Ok(listed(history).await)
    }

    /// One of them.
    pub fn configuration(&self, id: &str) -> Outcome {
        let history = History::open(&self.data).map_err(|error| Refusal::Unavailable(error.to_string()))?;
        crate::configuration::desk::one(&history, id)
    }

    /// How far the copy of the active's store has come.
    pub fn set_copy(&self, copy: &str) {
        self.now().copy = copy.into();
    }

    /// What reads while the node is not active, or nothing does.
    pub fn set_hot(&self, hot: Option<Arc<HotDesk>>) {
        let mut now = self.now();
        (now.hot, now.apart) = (hot, None);
    }

    /// What becomes of what is set aside here.
    pub fn set_asides(&self, shown: Shown) {
        self.now().asides = shown;
    }

    /// How far the peer's clock is from the one here.
    pub fn set_apart(&self, apart: Option<Apart>) {
        self.now().apart = apart;
    }

    /// `None` if the driver of the pair has ended.
    pub async fn figures(&self) -> Option<Figures> {
        let look = self.inputs.look().await?;
        let data = self.data.clone();
        let asides =
            tokio::task::spawn_blocking(move || asides(&data).map_or(0, |all| all.len())).await.unwrap_or(0);
        let hub = self.now().hub.as_ref().map(Hub::figures);
        let aside_records_left = self.now().asides.under_way.map_or(0, |(_, left)| left);
        Some(Figures {
            peer: self.me.peer(),
            is_redundant: self.lacks(&look).is_none(),
            is_in_step: matches!(look.state, State::Paired | State::Standby),
            lag: hub.as_ref().map(|hub| hub.lag),
            given_bytes: hub.map_or(0, |hub| hub.given_bytes),
            asides,
            aside_records_left,
            look,
        })
    }

    pub async fn status(&self) -> Outcome {
        let gone = || Refusal::Unavailable("the driver of the pair has ended".into());
        let figures = self.figures().await.ok_or_else(gone)?;
        Ok(self.shown(&figures))
    }

    pub async fn command(&self, command: PairCommand) -> Outcome {
        let (command, said) = match command {
            PairCommand::Switchover => {
                (Command::Switchover, "the graph moves to the peer: see `gwp pair status`")
            }
            PairCommand::Maintenance(true) => {
                let said = "this node does not take over any more, until `gwp pair maintenance off` or its next start";
                (Command::Maintenance(true), said)
            }
            PairCommand::Maintenance(false) => (Command::Maintenance(false), "this node takes over again"),
            PairCommand::Failback => {
                if self.me == NodeId::Primary {
                    let said = match self.holds().await {
                        true => "this is the primary, and active: nothing is to be moved back",
                        false => "this is the primary: ask the backup, if it is active",
                    };
                    return Err(Refusal::Conflict(said.into()));
                }
                // Whoever wants this has looked at it.
                self.inputs.command(Command::Acknowledge).await;
                (Command::Switchover, "the graph moves back to the primary: see `gwp pair status`")
            }
            PairCommand::ClearLatch => {
                (Command::Acknowledge, "the graph may move by itself again, where node.toml says so")
            }
            PairCommand::ForceActivate => {
                (Command::ForceActivate, "this node becomes active: see `gwp pair status`")
            }
        };
        match self.inputs.command(command).await {
            None => Ok(json!({ "said": said })),
            Some(NodeRefusal::Switchover(SwitchObstacle::NotActive)) if !self.holds().await => {
                Err(Refusal::Unavailable(self.elsewhere()))
            }
            Some(why) => Err(Refusal::Conflict(words::refusal(why))),
        }
    }

    async fn holds(&self) -> bool {
        self.inputs.look().await.is_some_and(|look| look.role.holds())
    }

    /// What is wrong with the programs of the two, if anything is: only with the same one is a node a standby.
    fn program(&self, look: &Look) -> Option<String> {
        let now = self.now();
        if let Some(problem) = &now.problem {
            return Some(format!("this node cannot run it, and is no standby: {problem}"));
        }
        let theirs = look.peer.as_ref()?.0.node.configured.plan;
        let theirs = (theirs != PlanId::default()).then_some(theirs);
        let named = |plan: Option<PlanId>| plan.map_or("none".into(), |plan| plan.to_string());
        let differ = format!("plan {} here, {} at the peer", named(now.plan), named(theirs));
        match look.role.holds() {
            _ if theirs == now.plan => None,
            true => Some(format!(
                "{differ}: it takes this one over, or `gwp pair status` there says why it cannot"
            )),
            false => {
                Some(format!("{differ}: this node takes that of the active over, with the copy of its store"))
            }
        }
    }

    /// So long a member may say nothing that has nothing to say, nanoseconds.
    fn patience(&self) -> u64 {
        let timing = &self.settings.timing;
        timing.lease.max(timing.idle_hello.saturating_mul(3))
    }

    /// Why the rest would not go on if one of the others was lost now.
    fn lacks(&self, look: &Look) -> Option<&'static str> {
        let witness = look.witness.as_ref().is_some_and(|(_, silent)| *silent < self.patience());
        let peer = look.peer.is_some_and(|(_, silent)| silent < self.patience());
        // A peer in maintenance holds everything, and would not take over.
        let is_ready = look.peer.is_some_and(|(report, _)| report.node.ready);
        match look.state {
            _ if self.program(look).is_some() => Some("the two do not run the same program"),
            State::Maintenance => Some("this node is in maintenance"),
            State::Draining => Some("a switchover is under way"),
            _ if !peer => Some("the peer is not heard"),
            State::Paired if !is_ready => {
                Some("the peer would not take over: it is in maintenance, or is getting ready")
            }
            State::Standby if !self.hears_active(look) => Some("the peer is not active just now"),
            State::Paired | State::Standby if witness || self.settings.quorum != Quorum::Witnessed => None,
            State::Paired | State::Standby => Some("the witness is not heard: start it again"),
            _ => Some("the standby does not hold everything, or nobody is active"),
        }
    }

    fn hears_active(&self, look: &Look) -> bool {
        let lease = self.settings.timing.lease;
        look.peer.is_some_and(|(report, silent)| report.stance == Stance::Active && silent < lease)
    }

    /// The peer is not heard, but the witness is, and has voted for it.
    fn is_cut_off(&self, look: &Look) -> bool {
        let of_peer = |report: &Report, silent: u64| {
            report.promise.holder == Some(self.me.peer()) && silent < report.bound_for.min(self.patience())
        };
        !look.role.holds() && look.witness.is_some_and(|(report, silent)| of_peer(&report, silent))
    }

    /// Why it would not take over. That its peer is active, and has its vote, is how it should be.
    fn does_not_stand(&self, look: &Look) -> Option<String> {
        let active = self.hears_active(look);
        let obstacle = look.obstacle.filter(|why| match why {
            Obstacle::Role(_) => false,
            Obstacle::Promised | Obstacle::PeerActive => !active,
            _ => true,
        });
        obstacle.map(|why| match why {
            Obstacle::NoVoter if self.is_cut_off(look) => words::CUT_OFF.into(),
            why => words::obstacle(why),
        })
    }

    fn shown(&self, figures: &Figures) -> Value {
        let look = &figures.look;
        let peer = self.me.peer();
        let ms = |ns: u64| ns / 1_000_000;
        let patience = self.patience();
        let member = |name: &str, heard: &Option<(Report, u64)>| {
            let says = |(report, silent): &(Report, u64)| {
                let said = says(report);
                if *silent < patience { said } else { format!("said: {said}") }
            };
            json!({
                "member": name,
                "says": heard.as_ref().map(says),
                "silent_ms": heard.as_ref().map(|(_, ns)| ms(*ns)),
            })
        };
        let links = look.wire.silent_for.iter().map(|link| {
            json!({ "peer_silent_ms": link[peer.index()].map(ms), "witness_silent_ms": link[2].map(ms) })
        });
        let refused: serde_json::Map<String, Value> =
            look.wire.refused.iter().map(|(why, count)| ((*why).to_owned(), json!(count))).collect();
        let (hub, copied, plan, hot, apart, asides) = {
            let now = self.now();
            (now.hub.clone(), now.copy.to_string(), now.plan, now.hot.clone(), now.apart, now.asides.clone())
        };
        let copy = match hub.as_ref().map(Hub::figures) {
            Some(hub) => {
                format!("durable here up to {}, at the peer {}, may leave {}", hub.own, hub.peer, hub.gate)
            }
            None if copied.is_empty() => "none yet: it waits for an active that it can copy".into(),
            None => copied,
        };
        json!({
            "node": self.node,
            "member": self.me.to_string(),
            "state": look.state.name(),
            "service_level": look.state.service_level(),
            "redundant": figures.is_redundant,
            "not_redundant": self.lacks(look),
            "is_active": look.role.holds(),
            "an_active": look.role.holds() || self.hears_active(look) || self.is_cut_off(look),
            "epoch": (look.epoch > 0).then_some(look.epoch),
            "lease_left_ms": look.lease_left.map(ms),
            "does_not_stand": self.does_not_stand(look),
            "policy": self.policy,
            "alone": look.alone,
            "switches": look.switches,
            "asides": figures.asides,
            "handing_over": asides.under_way.map(words::handing_over),
            "asides_stay": asides.stay.iter().map(words::stays).collect::<Vec<_>>(),
            "in_step": figures.is_in_step,
            "lag": figures.lag.map(|lag| json!({ "changes": lag.changes, "bytes": lag.bytes, "ms": ms(lag.ns) })),
            "second": look.wire.is_second.then(|| words::second(self.me)),
            "copy": copy,
            "clock_offset": apart.map(|apart| json!({
                "ms": apart.offset_ns as f64 / 1e6,
                "error_ms": apart.error_ns as f64 / 1e6,
            })),
            "standby_reads": hot.as_ref().map(|hot| reads(&hot.figures())),
            "plan": plan.map(|plan| plan.to_string()),
            "program": self.program(look),
            "refused": self.now().refused.as_deref(),
            "failback": words::failback(&look.failback, look.role.holds() && self.me == NodeId::Backup),
            "failback_in_ms": look.failback.due_in.map(ms),
            "latched": look.failback.latched,
            "members": [member(&peer.to_string(), &look.peer), member("witness", &look.witness)],
            "links": links.collect::<Vec<_>>(),
            "datagrams_refused": refused,
        })
    }
}

fn reads(figures: &HotFigures) -> Value {
    let HotFigures { sources, warm, unconnected, readings, bytes, dropped, is_compared, off_grid } = figures;
    json!({
        "sources": sources, "warm": warm, "unconnected": unconnected, "readings": readings, "bytes": bytes, "dropped": dropped, "is_compared": is_compared,
        "off_grid": off_grid,
    })
}

fn says(report: &Report) -> String {
    match report.stance {
        Stance::Witness => match report.promise.holder {
            Some(node) => format!("votes for the {node}, epoch {}", report.promise.epoch),
            None => "has voted for nobody yet".into(),
        },
        Stance::Active if report.node.paired => format!("active, epoch {}, paired", report.epoch),
        Stance::Active => format!("active, epoch {}", report.epoch),
        Stance::Candidate => format!("stands for epoch {}", report.epoch),
        Stance::Aside => "not active".into(),
    }
}
