//! What the machine of the pair says, in words for people.

use crate::status_line::grouped;
use gwp_redundancy::member::NodeId;
use gwp_redundancy::node::{
    Event, FailbackView, ForceObstacle, Obstacle, Refusal, SwitchCause, SwitchObstacle,
};

pub fn obstacle(obstacle: Obstacle) -> String {
    match obstacle {
        Obstacle::Role(_) => "it need not".into(),
        Obstacle::Closing => "what it had under way in its last epoch has not ended yet".into(),
        Obstacle::NoProgress => "its own log does not move".into(),
        Obstacle::Configuration => "it cannot run the program".into(),
        Obstacle::Promised => "its vote is still promised to its peer".into(),
        Obstacle::PeerActive => "its peer is active".into(),
        Obstacle::Hold => "it waits whether another node that has more comes back".into(),
        Obstacle::NoVoter => {
            "it hears nobody who would vote for it, so nothing runs: start the peer or the witness; if both are gone for good, `gwp pair force-activate --peer-is-off` here. Do not start this node again before: what it has read as the standby is in memory alone".into()
        }
        Obstacle::PeerUnknown => {
            "it does not know what its peer does: at its first start a node has to hear the witness or its peer; without a witness, also when its peer falls silent".into()
        }
    }
}

/// The peer is not heard here, and the witness votes for it.
pub const CUT_OFF: &str = "the witness votes for the peer, so that is active, and only this node does not hear it: look after the links of the two";

/// When the graph would go back to the preferred node by itself. `is_away`: the other one is active, and says this.
pub fn failback(view: &FailbackView, is_away: bool) -> String {
    let seconds = |ns: u64| ns.div_ceil(1_000_000_000);
    if view.latched {
        return "latched after too many switches: nothing moves by itself until `gwp pair failback --clear`"
            .into();
    }
    match (view.hold, view.due_in) {
        (None, _) => "by hand: `gwp pair failback`".into(),
        (Some(_), Some(0)) if view.waits_for_window => "when its time window opens".into(),
        (Some(_), Some(ns)) if view.waits_for_window => {
            format!("in {} s at the earliest, and when its time window opens", seconds(ns))
        }
        (Some(_), Some(ns)) => format!("in {} s, if all stays well", seconds(ns)),
        (Some(hold), None) if is_away => {
            format!("when the primary has held everything for {} s", seconds(hold))
        }
        (Some(hold), None) => format!("by itself, {} s after the primary is back", seconds(hold)),
    }
}

/// A store that was set aside is on its way to the active.
pub fn handing_over((number, left): (u32, u64)) -> String {
    format!("store.aside-{number}: {} records to go", grouped(left))
}

/// One that stays, and why.
pub fn stays((number, why): (&u32, &String)) -> String {
    format!("store.aside-{number} stays: {why}")
}

/// Another process is heard in the place of this one.
pub fn second(me: NodeId) -> String {
    format!(
        "another process says it is the {me}, and is heard: stop one of them, or mend `me` in its node.toml"
    )
}

pub fn refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::Switchover(why) => format!("no switchover now: {}", switch_obstacle(why)),
        Refusal::MaintenanceOfActive => {
            "this node is active, about to be, starting or faulted: switch over first, then maintain it"
                .into()
        }
        Refusal::ForceActivate(why) => format!("not by force: {}", force_obstacle(why)),
    }
}

fn force_obstacle(obstacle: ForceObstacle) -> &'static str {
    match obstacle {
        ForceObstacle::Active => "this node is active already, or about to be",
        ForceObstacle::Store => "its store or its votes are not open, or cannot be trusted: see its log",
        ForceObstacle::Closing => {
            "what it had under way in its last epoch has not ended yet: try again in a moment"
        }
        ForceObstacle::Configuration => "it cannot run the program: `gwp pair status` says why",
        ForceObstacle::PeerActive => {
            "its peer is heard, and active: `gwp pair switchover` there moves the graph, or switch its machine off"
        }
        ForceObstacle::PeerVoted => {
            "the witness is heard, and votes for the peer: that is active, and only this node does not hear it; if it has just been switched off, try again in a moment"
        }
        ForceObstacle::PeerUnknown => {
            "this node has never been one of a pair, and does not know what its peer was: start the peer or the witness once"
        }
    }
}

fn switch_obstacle(obstacle: SwitchObstacle) -> &'static str {
    match obstacle {
        SwitchObstacle::NotActive => "this node is about to be active, or not to be any more",
        SwitchObstacle::UnderWay => "one is under way",
        SwitchObstacle::PeerSilent => "the peer is not heard",
        SwitchObstacle::PeerNotReady => "the peer is in maintenance, or does not hold everything yet",
        SwitchObstacle::OtherConfiguration => "the peer cannot run the program, or does not have it yet",
    }
}

/// What is worth a line in the log, and whether somebody must act.
pub fn event(event: Event) -> (String, bool) {
    let (text, act) = match event {
        Event::Activated { epoch, stale: false } => (format!("this node is active, epoch {epoch}"), false),
        Event::Activated { epoch, stale: true } => (
            format!(
                "this node is active, epoch {epoch}; its peer may have delivered newer samples: what waits here goes out as backfill"
            ),
            true,
        ),
        Event::LeaseLost { epoch } => {
            (format!("the lease of epoch {epoch} has run out: nothing leaves this node"), true)
        }
        Event::DualActive { epoch, higher } => (
            format!("the peer is active in epoch {higher}, above {epoch} of this node, which gives way"),
            true,
        ),
        Event::Fenced { epoch, by } => (
            format!(
                "a destination has another writer than epoch {epoch}, of epoch {by} or later: this node steps down"
            ),
            true,
        ),
        Event::HandedOver { epoch } => (format!("epoch {epoch} is handed over to the peer"), false),
        Event::PeerLost => ("the peer is not heard any more".into(), true),
        Event::PeerBack => ("the peer is heard again".into(), false),
        Event::WitnessLost => ("the witness is not heard any more".into(), true),
        Event::WitnessBack => ("the witness is heard again".into(), false),
        Event::RedundancyLost { .. } => {
            ("the peer does not hold everything any more: no redundancy".into(), true)
        }
        Event::RedundancyRestored { .. } => ("the peer holds everything: redundant".into(), false),
        Event::SwitchoverBegun { why, .. } => {
            let why = match why {
                SwitchCause::Operator => "an operator wants it",
                SwitchCause::Failback => "failback",
                SwitchCause::Health => "the peer is healthier",
            };
            (format!("a switchover begins: {why}"), false)
        }
        Event::SwitchoverAborted { why, .. } => {
            let why = why.map_or("it took too long", switch_obstacle);
            (format!("the switchover is given up: {why}"), true)
        }
        Event::FailbackLatched => ("failback is latched after too many switches".into(), true),
        Event::StaleRefused => {
            ("this node could take over, but its log may be behind: an operator has to say so".into(), true)
        }
        Event::Forced { epoch } => (format!("an operator made this node active, epoch {epoch}"), true),
        Event::ConfigInvalid => {
            ("this node cannot run the program, and does not take over: see `gwp pair status`".into(), true)
        }
        Event::Faulted { .. } => ("the store or the votes of this node cannot be trusted".into(), true),
    };
    (text, act)
}
