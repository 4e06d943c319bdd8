//! The data plane of a pair, every order of events: reads that fail, frames under way, crashes,
//! destroyed disks, cut links, the solo mark, fills, takeovers and rejoins step by step.
//!
//! The state holds the rule types themselves ([`ActiveSide`], [`StandbySide`], [`Shadow`],
//! [`Aside`], [`Outlet`]); this file stands for the shell around them: a store that keeps what
//! was synced, a link, a sink. One poll group with one or two tags is read over a few slots; a
//! frame is one record; one entry is in flight to the sink. Roles are given from outside: a node
//! may be activated whenever no other is.

mod check;
mod node;
pub mod runs;
mod step;

use crate::member::NodeId;
use crate::mirror::identity::tiny::Tiny;
use crate::mirror::{ActiveSide, MirrorMode, Outlet, Place, StandbySide};
use node::Node;
use stateright::{Model, Property};

/// What may happen, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub mode: MirrorMode,
    /// Slots, and tags of the one poll group (1 or 2).
    pub slots: u8,
    pub tags: u8,
    /// The standby reads, too.
    pub hot: bool,
    /// The standby offers what the active lacks.
    pub fill: bool,
    /// The standby's shadow is on disk.
    pub shadow_survives: bool,
    /// The active may go on alone although the peer is connected, only slow.
    pub slow_peer: bool,
    /// What a frame, a fill or a hand-over goes through (sent, synced, acknowledged, answered)
    /// is one step each. Else each is one step as a whole, and the delivered cursor is mirrored
    /// with the sink's acknowledgement or not before the next.
    pub fine: bool,
    /// A crash may take the disk with it, of one node at most; the node may come back with an
    /// empty one.
    pub destroy: bool,
    pub replace: bool,
    /// A crash may damage the newest synced reading of the log, once.
    pub damage: bool,
    pub crashes_max: u8,
    pub fails_max: u8,
    pub cuts_max: u8,
    /// Look at what is delivered alone (D1 to D4), not at the invariants inside.
    pub from_outside: bool,
}

impl Pair {
    /// A hot pair on both disks in which nothing fails.
    pub const HOT: Pair = Pair {
        mode: MirrorMode::BeforeSend,
        slots: 3,
        tags: 1,
        hot: true,
        fill: true,
        shadow_survives: true,
        slow_peer: false,
        fine: true,
        destroy: false,
        replace: false,
        damage: false,
        crashes_max: 0,
        fails_max: 0,
        cuts_max: 0,
        from_outside: false,
    };

    /// The same in fewer steps.
    pub const FEW: Pair = Pair { fine: false, ..Pair::HOT };
}

/// The active at work.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AtWork {
    pub node: NodeId,
    pub side: ActiveSide,
    pub outlet: Outlet,
    /// Newest place whose entry was delivered in this activation.
    pub left: Place,
}

/// The other node while it follows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Following {
    pub side: StandbySide,
    pub handed: Handed,
}

/// How far a node that has joined is with handing over what only it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Handed {
    Nothing,
    /// All was given; the active has it in its log up to here, perhaps in memory only.
    Given(Place),
    Kept,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    /// The next slot.
    pub slot: u8,
    pub nodes: [Node; 2],
    pub active: Option<AtWork>,
    pub standby: Option<Following>,
    /// Who has registered that it goes on alone.
    pub mark: Option<NodeId>,
    /// Largest epoch so far.
    pub epoch: u32,
    /// What the sink was given, in order.
    pub sink: Vec<Tiny>,
    pub cut: bool,
    pub cuts: u8,
    pub crashes: u8,
    pub fails: u8,
    pub ever: Ever,
}

/// What has happened once: so that a run can show that it was not empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ever {
    pub takeover: bool,
    pub fill: bool,
    pub tail_handed_over: bool,
    pub solo: bool,
    pub damage: bool,
    pub damage_found: bool,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The slot is due; each node fails to read these tags.
    Read {
        fails: [u8; 2],
    },
    /// Active: what was appended from the peer is synced.
    Commit,
    Send,
    Persist,
    Acknowledge,
    Deliver,
    SinkAcknowledges {
        mirrored: bool,
    },
    MirrorDelivered,
    Fill,
    /// T_solo has passed, and the mark is registered.
    GoSolo,
    ClearMark,
    Join,
    HandOver,
    AnswerKept,
    DeleteTail,
    /// What was in flight to the sink may be lost on its way.
    Crash {
        node: NodeId,
        how: Damage,
        loses_in_flight: bool,
    },
    Restart(NodeId),
    Activate(NodeId),
    Cut,
    Heal,
}

/// What a crash does to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    None,
    Newest,
    Destroyed,
}

impl Model for Pair {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::paired(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        step::possible(self, world, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        step::apply(self, &mut next, step);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Pair>> {
        check::properties(self)
    }
}
