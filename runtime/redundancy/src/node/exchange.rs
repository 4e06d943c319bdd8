//! What goes into a node and what comes out of it.

use super::{Configured, ForceObstacle, Role, SwitchObstacle};
use crate::member::{Epoch, Member};
use crate::message::Message;
use crate::token::{ActivationToken, Permit};
use crate::vote::Superblock;

/// What happens to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// Time has passed. At least once per [`Timing::beat`].
    Tick,
    /// An authenticated message of this boot of its sender.
    Message {
        from: Member,
        message: Message,
    },
    /// The last [`Output::Persist`] is on disk.
    Persisted,
    /// It could not be written: this node votes no more.
    PersistFailed,
    /// The store is open and verified.
    Opened,
    /// The newest epoch in the log, before [`Input::Opened`]: whoever led it has won it, whether
    /// or not this node's superblock knows. It stands for none up to it.
    Logged(Epoch),
    /// The store has failed (write, fsync, corruption).
    StoreFailed,
    /// The store was made anew from the peer, or verified.
    Repaired,
    /// The sequencer, the writer of the store, have gone on since they were asked last.
    Moved {
        sequencer: bool,
        store: bool,
    },
    /// Sinks are open and fenced for this epoch.
    Activated(Epoch),
    /// After [`Output::Close`]: all exits are shut and nothing is on its way through one.
    Closed,
    /// After [`Output::Drain`], and not after [`Output::Resume`]: what was under way is acknowledged and
    /// the peer knows it, so that it delivers nothing twice; all exits are shut and nothing is on its way
    /// through one.
    Drained,
    /// After [`Output::Prepare`]: sources and sinks are connected (or cannot be).
    Prepared(bool),
    /// As the active: the peer holds everything and deliveries wait for it (or no longer).
    PeerInStep(bool),
    /// As the active: deliveries have waited for the peer for [`Timing::solo`].
    GoAlone,
    /// As the active: what runs for the epoch has ended, and does not come back in it.
    GiveUp,
    /// A destination has refused this node for a higher epoch.
    FencedBy(Epoch),
    /// It is certain that the peer is without power.
    PeerOff,
    /// Own score, 0 to 100.
    Health(u8),
    /// Result of the readiness drill.
    Ready(bool),
    /// As the active: what it runs. As the standby: the newest that the log says or is about to say,
    /// and that can run here; `None` = the one in force cannot, so it does not stand.
    Configured(Option<Configured>),
    /// As the standby, around a change: the other of the two that the log may say by the time it takes
    /// over, and that can run here as well.
    AlsoConfigured(Option<Configured>),
    /// The time window for failback has opened or closed.
    FailbackWindow(bool),
    Operator(Command),
}

/// What an operator can want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The active moves the graph to its peer.
    Switchover,
    /// A node that is not active does not take over, or does again.
    Maintenance(bool),
    /// Become active without votes. The shell has audited and confirmed it.
    ForceActivate,
    /// Automatic switching may go on after it was latched.
    Acknowledge,
}

/// What a node wants done, in this order.
#[derive(PartialEq, Eq, Debug)]
pub enum Output {
    Send {
        to: Member,
        message: Message,
    },
    /// Write and sync, then [`Input::Persisted`]. At most one is under way.
    Persist(Superblock),
    /// Merge the shadow, load the checkpoint, open and fence the sinks, then
    /// [`Input::Activated`]. `stale`: what waits is to be flagged as backfill.
    Activate {
        token: ActivationToken,
        stale: bool,
    },
    /// Effects of the epoch are allowed for a time.
    Permit(Permit),
    /// Shut all exits, then [`Input::Closed`].
    Close,
    /// As the active: what the peer does not hold may be delivered (or no longer).
    Alone(bool),
    /// Connect to sources and sinks without effect, then [`Input::Prepared`].
    Prepare,
    /// The switchover does not come: let go of what was prepared.
    Cancel,
    /// Begin nothing new at any exit, wait for what is under way, then [`Input::Drained`].
    Drain,
    /// The switchover does not come: deliver again.
    Resume,
    Role {
        from: Role,
        to: Role,
    },
    Notify(Event),
    /// To the operator whose command this step took.
    Refused(Refusal),
}

/// What people are told. With the epoch it is the key that lets channels drop doubles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// This node became the active of an epoch.
    Activated {
        epoch: Epoch,
        stale: bool,
    },
    LeaseLost {
        epoch: Epoch,
    },
    /// The peer is active in a higher epoch, while this node was in a lower one.
    DualActive {
        epoch: Epoch,
        higher: Epoch,
    },
    Fenced {
        epoch: Epoch,
        by: Epoch,
    },
    /// It gave its vote to the peer in a switchover.
    HandedOver {
        epoch: Epoch,
    },
    PeerLost,
    PeerBack,
    WitnessLost,
    WitnessBack,
    /// The peer no longer holds everything (or does again).
    RedundancyLost {
        epoch: Epoch,
    },
    RedundancyRestored {
        epoch: Epoch,
    },
    SwitchoverBegun {
        epoch: Epoch,
        why: SwitchCause,
    },
    SwitchoverAborted {
        epoch: Epoch,
        /// What is in its way; `None` = it took too long.
        why: Option<SwitchObstacle>,
    },
    FailbackLatched,
    /// It could take over, but its log may be behind, and an operator has to say so.
    StaleRefused,
    Forced {
        epoch: Epoch,
    },
    ConfigInvalid,
    /// Its store or superblock cannot be trusted. `epoch` = the one it held; 0 = none.
    Faulted {
        epoch: Epoch,
    },
}

/// Why a switchover was begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwitchCause {
    Operator,
    Failback,
    Health,
}

/// Why a command was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    Switchover(SwitchObstacle),
    /// It is active, about to be, starting or faulted. An active is switched over first.
    MaintenanceOfActive,
    ForceActivate(ForceObstacle),
}
