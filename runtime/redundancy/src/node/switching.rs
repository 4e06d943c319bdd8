//! Planned switchover: the active hands its vote over, so nobody has to wait for a promise.
//!
//! ```text
//! active                                   standby
//! Preparing   -- "switching" in reports ->  Prepare: connects, without effect
//!             <- Ask(next epoch), again --  prepared
//! Draining: no new delivery, waits for acknowledgements
//! Fenced      -- Vote + "relinquished" -->  has two votes: Activating
//! ```
//!
//! Each step may be lost: the standby asks again with every beat, and the vote, once given,
//! is given again. Until the vote is given the active can go on as if nothing was.

use super::{Event, Node, Output, Role, SwitchCause};
use crate::limits;
use crate::member::{Epoch, NodeId};
use crate::message::{Report, Stance};
use crate::mono::Mono;
use crate::vote::Promise;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Switch {
    None,
    /// Active: waits for the standby to be prepared.
    Preparing {
        since: Mono,
    },
    /// Active: waits for acknowledgements; the standby's last request.
    Draining {
        since: Mono,
        epoch: Epoch,
        sent: Mono,
    },
    /// Standby: the shell connects.
    Asked,
    /// Standby: all is connected.
    Prepared,
    /// Standby: it could not be prepared.
    Failed,
}

impl Switch {
    #[cfg(test)]
    pub(super) fn instants(&mut self) -> Option<&mut Mono> {
        match self {
            Switch::Preparing { since } | Switch::Draining { since, .. } => Some(since),
            Switch::None | Switch::Asked | Switch::Prepared | Switch::Failed => None,
        }
    }

    /// Instants of the peer's clock.
    #[cfg(test)]
    pub(super) fn heard(&mut self) -> Option<&mut Mono> {
        match self {
            Switch::Draining { sent, .. } => Some(sent),
            _ => None,
        }
    }
}

/// Why a switchover cannot be begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwitchObstacle {
    NotActive,
    UnderWay,
    PeerSilent,
    /// Its log does not hold everything yet, or its last readiness drill failed.
    PeerNotReady,
    /// It runs another configuration, or cannot run this one.
    OtherConfiguration,
}

impl Node {
    /// Whether a switchover to the peer could begin now.
    pub fn may_switch(&self, now: Mono) -> Result<(), SwitchObstacle> {
        if self.role != Role::Active {
            return Err(SwitchObstacle::NotActive);
        }
        if self.switch != Switch::None {
            return Err(SwitchObstacle::UnderWay);
        }
        self.peer_may_take_over(now)
    }

    fn peer_may_take_over(&self, now: Mono) -> Result<(), SwitchObstacle> {
        if !self.peer.within(now, self.settings.timing.lease) {
            return Err(SwitchObstacle::PeerSilent);
        }
        let peer = &self.peer.report.node;
        if self.configured != Some(peer.configured) {
            return Err(SwitchObstacle::OtherConfiguration);
        }
        if !self.holder.peer_in_step || !peer.ready {
            return Err(SwitchObstacle::PeerNotReady);
        }
        Ok(())
    }

    pub(super) fn begin_switch(&mut self, now: Mono, why: SwitchCause, out: &mut Vec<Output>) {
        out.push(Output::Notify(Event::SwitchoverBegun { epoch: self.lease.epoch, why }));
        self.switch = Switch::Preparing { since: now };
        self.next_beat = now;
    }

    pub(super) fn is_switching(&self) -> bool {
        matches!(self.switch, Switch::Preparing { .. } | Switch::Draining { .. } | Switch::Prepared)
    }

    /// As the standby: the epoch to ask the active for.
    pub(super) fn epoch_of_switch(&self) -> Option<Epoch> {
        (self.role == Role::Standby && self.switch == Switch::Prepared).then(|| self.epoch_to_stand_for())
    }

    /// As the standby: this granted vote is the one of a switchover.
    pub(super) fn handed_over(&self, epoch: Epoch) -> bool {
        let given_up = self.peer_gave_up >= self.leader;
        self.epoch_of_switch() == Some(epoch) && given_up
    }

    /// As the standby that stands by itself: a switchover in which the active did not give its role up is none.
    pub(super) fn let_go_of_switch(&mut self, out: &mut Vec<Output>) {
        if self.switch != Switch::None && self.peer_gave_up < self.leader {
            self.switch = Switch::None;
            out.push(Output::Cancel);
        }
    }

    pub(super) fn was_handed_over(&self) -> bool {
        self.switch == Switch::Prepared
    }

    pub(super) fn prepared(&mut self, prepared: bool) {
        if self.switch == Switch::Asked {
            self.switch = if prepared { Switch::Prepared } else { Switch::Failed };
        }
    }

    /// What is due in a switchover, and whether to begin one by itself.
    pub(super) fn advance_switch(&mut self, now: Mono, out: &mut Vec<Output>) {
        match (self.role, self.switch) {
            (Role::Active, Switch::Preparing { since }) => {
                // That it could was a word of it that may have been a beat old. One that is silent may be heard again.
                let obstacle = self.peer_may_take_over(now).err();
                let is_over = obstacle.is_some_and(|why| why != SwitchObstacle::PeerSilent);
                if is_over || now.since(since) >= limits::PREPARE_MAX {
                    self.abort_switch(obstacle, out);
                }
            }
            (Role::Draining, Switch::Draining { since, .. }) if now.since(since) >= limits::DRAIN_MAX => {
                self.abort_switch(None, out);
                self.become_role(now, Role::Active, out);
                out.push(Output::Resume);
            }
            (Role::Active, Switch::None) => self.switch_by_itself(now, out),
            (Role::Standby, switch) => {
                // What an active that has died in the middle of it said last is not said any more.
                let heard = self.peer.within(now, self.settings.timing.promise);
                let wanted = heard && self.peer.report.node.switching && self.is_active(&self.peer.report);
                if wanted && switch == Switch::None {
                    self.switch = Switch::Asked;
                    out.push(Output::Prepare);
                } else if !wanted && switch != Switch::None {
                    self.switch = Switch::None;
                    out.push(Output::Cancel);
                }
            }
            (Role::Active | Role::Draining | Role::Candidate, _) | (_, Switch::None) => {}
            (_, _) => {
                self.switch = Switch::None;
                out.push(Output::Cancel);
            }
        }
    }

    fn switch_by_itself(&mut self, now: Mono, out: &mut Vec<Output>) {
        let healthier = self.better.peer_is_better(now, self.health, self.peer.report.node.health);
        let back = self.settings.me == NodeId::Backup && self.failback.due(now, self.holder.in_step_since);
        if !back && (!healthier || self.failback.latched()) || self.may_switch(now).is_err() {
            return;
        }
        self.begin_switch(now, if back { SwitchCause::Failback } else { SwitchCause::Health }, out);
    }

    fn abort_switch(&mut self, why: Option<SwitchObstacle>, out: &mut Vec<Output>) {
        self.switch = Switch::None;
        out.push(Output::Notify(Event::SwitchoverAborted { epoch: self.lease.epoch, why }));
    }

    /// As the active: the prepared standby asks for the vote. `true` = it is taken care of.
    pub(super) fn switch_takes(
        &mut self,
        now: Mono,
        epoch: Epoch,
        sent: Mono,
        report: &Report,
        out: &mut Vec<Output>,
    ) -> bool {
        let prepared = report.node.switching && report.stance == Stance::Aside && epoch > self.lease.epoch;
        match self.switch {
            Switch::Preparing { .. } if prepared && self.role == Role::Active => {
                self.switch = Switch::Draining { since: now, epoch, sent };
                self.become_role(now, Role::Draining, out);
                out.push(Output::Drain);
                if mutant!("handover_before_drained") {
                    self.hand_over(now, out);
                }
                true
            }
            Switch::Draining { since, epoch: wanted, sent: before } if epoch == wanted => {
                self.switch = Switch::Draining { since, epoch, sent: sent.max(before) };
                true
            }
            _ => false,
        }
    }

    /// All exits are shut and all is acknowledged: the vote goes to the standby.
    pub(super) fn drained(&mut self, now: Mono, out: &mut Vec<Output>) {
        if self.role == Role::Draining {
            self.hand_over(now, out);
        }
    }

    fn hand_over(&mut self, now: Mono, out: &mut Vec<Output>) {
        let Switch::Draining { epoch, sent, .. } = self.switch else { return };
        let promise = Promise { epoch, holder: Some(self.peer()) };
        self.voter.give(now, &self.settings.timing, promise);
        self.owed = Some((epoch, sent));
        self.failback.switched(now);
        out.push(Output::Notify(Event::HandedOver { epoch: self.lease.epoch }));
        out.push(Output::Close);
        self.end_epoch(now, out);
    }
}
