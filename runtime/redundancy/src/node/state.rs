//! What people are shown of a node.

use super::{Node, Role, Settings};
use crate::member::{Epoch, NodeId};
use crate::mono::Mono;

/// State of a node in the words of the status, with what OPC UA calls it (Part 4, 6.6.2.4.2:
/// ServiceLevel 0 maintenance, 1 no data, 2 to 199 degraded, 200 to 255 healthy).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    Booting,
    Starting,
    CatchingUp,
    Standby,
    Candidate,
    Activating,
    /// Active, and the peer holds everything.
    Paired,
    /// Active, and delivers what the peer does not hold.
    Solo,
    /// Active; the peer does not hold everything, and deliveries wait for it.
    Waiting,
    /// Active, but half of the lease is over: no new writes to devices.
    Suspect,
    Draining,
    Fenced,
    /// Not active, and nobody is heard.
    Isolated,
    Maintenance,
    Faulted,
}

impl State {
    /// OPC UA ServiceLevel.
    pub fn service_level(self) -> u8 {
        match self {
            State::Maintenance => 0,
            State::Standby => 150,
            State::Activating | State::Draining => 199,
            State::Suspect => 200,
            State::Solo | State::Waiting => 230,
            State::Paired => 255,
            _ => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            State::Booting => "booting",
            State::Starting => "starting",
            State::CatchingUp => "catching up",
            State::Standby => "standby",
            State::Candidate => "candidate",
            State::Activating => "activating",
            State::Paired => "active, paired",
            State::Solo => "active, alone",
            State::Waiting => "active, waiting for its peer",
            State::Suspect => "active, lease running out",
            State::Draining => "handing over",
            State::Fenced => "fenced",
            State::Isolated => "isolated",
            State::Maintenance => "maintenance",
            State::Faulted => "faulted",
        }
    }
}

impl Node {
    pub fn state(&self, now: Mono) -> State {
        let timing = &self.settings.timing;
        let heard = self.peer.within(now, timing.promise)
            || self.witness.within(now, timing.idle_hello.saturating_mul(3));
        match self.role {
            Role::Booting => State::Booting,
            Role::Candidate => State::Candidate,
            Role::Activating => State::Activating,
            Role::Draining => State::Draining,
            Role::Maintenance => State::Maintenance,
            Role::Faulted => State::Faulted,
            Role::Active if self.lease.until().since(now) < timing.lease / 2 => State::Suspect,
            Role::Active if self.holder.peer_in_step => State::Paired,
            Role::Active if self.holder.is_alone() => State::Solo,
            Role::Active => State::Waiting,
            _ if !heard => State::Isolated,
            Role::Starting => State::Starting,
            Role::CatchingUp => State::CatchingUp,
            Role::Standby => State::Standby,
            Role::Fenced => State::Fenced,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Epoch it holds or stands for; 0 = none.
    pub fn epoch(&self) -> Epoch {
        self.lease.epoch
    }

    /// Until when it may act; [`Mono::NEVER`] when it holds nothing.
    pub fn lease_until(&self) -> Mono {
        if self.role.holds() { self.lease.until() } else { Mono::NEVER }
    }

    /// What its superblock is to hold.
    pub fn superblock(&self) -> crate::vote::Superblock {
        self.voter.block
    }

    /// Whether it may deliver what its peer does not hold.
    pub fn is_alone(&self) -> bool {
        self.role.holds() && self.holder.is_alone()
    }

    /// When the graph would go back to the preferred node by itself.
    pub fn failback(&self, now: Mono) -> FailbackView {
        let can_move =
            self.settings.me == NodeId::Backup && self.role == Role::Active && self.holder.peer_in_step;
        let due_in = self.failback.due_in(now, self.holder.in_step_since);
        FailbackView {
            hold: self.failback.hold(),
            due_in: due_in.filter(|_| can_move),
            waits_for_window: self.failback.waits_for_window() == Some(true),
            latched: self.failback.latched(),
        }
    }

    /// Whether a new configuration may be put in force here: only at the active, and with the
    /// peer in step unless the operator takes the peer's absence into account (`single`).
    pub fn may_configure(&self, single: bool) -> Result<(), ConfigureObstacle> {
        match self.role {
            Role::Active if single || self.holder.peer_in_step => Ok(()),
            Role::Active => Err(ConfigureObstacle::PeerAway),
            _ => Err(ConfigureObstacle::NotActive),
        }
    }
}

/// What people are shown of failback. Times are nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FailbackView {
    /// How long all must have been well before, as it is now; `None` = only an operator moves the graph back.
    pub hold: Option<u64>,
    /// How much of that is left; `None` = there is nothing to move back, the preferred node is not ready, or it is latched.
    pub due_in: Option<u64>,
    /// Its time window is closed.
    pub waits_for_window: bool,
    /// Nothing moves by itself until an operator has looked at it.
    pub latched: bool,
}

/// Why a configuration is not put in force.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConfigureObstacle {
    /// The active of the pair takes it.
    NotActive,
    /// The peer would come back with another configuration.
    PeerAway,
}
