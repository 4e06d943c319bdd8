//! What operators see of the pair at this node, and what they want of it.

use super::words;
use crate::node::Node;
use gwp_cluster::driver::{Inputs, Look};
use gwp_cluster::mirror::hub::{Hub, Lag};
use gwp_console::{Outcome, PairCommand, Refusal};
use gwp_core::PlanId;
use gwp_journal::asides;
use gwp_redundancy::member::NodeId;
use gwp_redundancy::message::{Report, Stance};
use gwp_redundancy::node::{Command, Obstacle, Settings, State};
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
    /// Stores that were set aside here.
    pub asides: usize,
}

/// The pair, for the control interface of this node.
pub struct PairDesk {
    node: String,
    me: NodeId,
    /// What this node runs, or would.
    plan: PlanId,
    settings: Settings,
    /// How a majority comes about, and why so.
    policy: String,
    inputs: Inputs,
    data: PathBuf,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// While it is active.
    hub: Option<Hub>,
    /// While it is not: how far the copy of the active's store has come.
    copy: Arc<str>,
}

impl PairDesk {
    pub fn new(node: &Node, plan: PlanId, settings: Settings, policy: String, inputs: Inputs) -> PairDesk {
        let (data, now) = (node.data.clone(), Mutex::default());
        PairDesk { node: node.id.clone(), me: settings.me, plan, settings, policy, inputs, data, now }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirror of the epoch that runs here, or none.
    pub fn set_hub(&self, hub: Option<Hub>) {
        self.now().hub = hub;
    }

    /// How far the copy of the active's store has come.
    pub fn set_copy(&self, copy: &str) {
        self.now().copy = copy.into();
    }

    /// `None` if the driver of the pair has ended.
    pub async fn figures(&self) -> Option<Figures> {
        let look = self.inputs.look().await?;
        let data = self.data.clone();
        let asides =
            tokio::task::spawn_blocking(move || asides(&data).map_or(0, |all| all.len())).await.unwrap_or(0);
        Some(Figures {
            peer: self.me.peer(),
            is_redundant: self.is_redundant(&look),
            is_in_step: matches!(look.state, State::Paired | State::Standby),
            lag: self.now().hub.as_ref().map(|hub| hub.figures().lag),
            asides,
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
                (Command::Maintenance(true), "this node does not take over any more")
            }
            PairCommand::Maintenance(false) => (Command::Maintenance(false), "this node takes over again"),
            PairCommand::Failback => {
                if self.me == NodeId::Primary {
                    let said = "this is the primary: ask the backup, if it is active";
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
            Some(why) => Err(Refusal::Conflict(words::refusal(why))),
        }
    }

    /// What is wrong with the programs of the two, if anything is: only with the same one is a node a standby.
    fn program(&self, look: &Look) -> Option<String> {
        let theirs = look.peer.as_ref()?.0.node.configured.plan;
        (theirs != self.plan).then(|| {
            format!(
                "the peer has another one (plan {theirs}, here {}): start both with the same files",
                self.plan
            )
        })
    }

    /// One of the others could be lost now, and the rest would go on.
    fn is_redundant(&self, look: &Look) -> bool {
        let timing = &self.settings.timing;
        let patience = timing.lease.max(timing.idle_hello.saturating_mul(3));
        let witness = look.witness.as_ref().is_some_and(|(_, silent)| *silent < patience);
        matches!(look.state, State::Paired | State::Standby)
            && (witness || self.settings.quorum != Quorum::Witnessed)
    }

    fn shown(&self, figures: &Figures) -> Value {
        let look = &figures.look;
        let peer = self.me.peer();
        let ms = |ns: u64| ns / 1_000_000;
        let member = |name: &str, heard: &Option<(Report, u64)>| {
            json!({
                "member": name,
                "says": heard.as_ref().map(|(report, _)| says(report)),
                "silent_ms": heard.as_ref().map(|(_, ns)| ms(*ns)),
            })
        };
        let links = look.wire.silent_for.iter().map(|link| {
            json!({ "peer_silent_ms": link[peer.index()].map(ms), "witness_silent_ms": link[2].map(ms) })
        });
        let refused: serde_json::Map<String, Value> =
            look.wire.refused.iter().map(|(why, count)| ((*why).to_owned(), json!(count))).collect();
        let now = self.now();
        let hub = now.hub.as_ref().map(Hub::figures);
        let copy = match &hub {
            Some(hub) => {
                format!("durable here up to {}, at the peer {}, may leave {}", hub.own, hub.peer, hub.gate)
            }
            None => now.copy.to_string(),
        };
        json!({
            "node": self.node,
            "member": self.me.to_string(),
            "state": look.state.name(),
            "service_level": look.state.service_level(),
            "redundant": figures.is_redundant,
            "is_active": look.role.holds(),
            "epoch": (look.epoch > 0).then_some(look.epoch),
            "lease_left_ms": look.lease_left.map(ms),
            "does_not_stand": look.obstacle.filter(|why| !matches!(why, Obstacle::Role(_))).map(words::obstacle),
            "policy": self.policy,
            "alone": look.alone,
            "switches": look.switches,
            "asides": figures.asides,
            "in_step": figures.is_in_step,
            "lag": figures.lag.map(|lag| json!({ "changes": lag.changes, "bytes": lag.bytes, "ms": ms(lag.ns) })),
            "second": look.wire.is_second.then(|| words::second(self.me)),
            "copy": copy,
            "program": self.program(look),
            "failback": words::failback(&look.failback, look.role.holds() && self.me == NodeId::Backup),
            "failback_in_ms": look.failback.due_in.map(ms),
            "latched": look.failback.latched,
            "members": [member(&peer.to_string(), &look.peer), member("witness", &look.witness)],
            "links": links.collect::<Vec<_>>(),
            "datagrams_refused": refused,
        })
    }
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
