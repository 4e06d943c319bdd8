//! What goes on beside a graph, and tells the machine of the pair of it: that it moves, what its mirror wishes, and that
//! a destination has another writer.

use gwp_cluster::driver::Inputs;
use gwp_cluster::mirror::hub::Hub;
use gwp_engine::Engine;
use gwp_engine::exits::Superseded;
use gwp_redundancy::message::Stance;
use gwp_redundancy::mirror::Wish;
use gwp_redundancy::node::{Input, Role};
use gwp_redundancy::timing::Timing;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the mirror's wishes are looked at.
const WISHES_EVERY: Duration = Duration::from_millis(10);

/// The engine at work, if there is one.
pub type Working = Arc<Mutex<Option<Arc<Engine>>>>;

pub fn set_working(working: &Working, engine: Option<Arc<Engine>>) {
    *working.lock().unwrap_or_else(PoisonError::into_inner) = engine;
}

/// Takes the mirror's wishes to the machine.
pub fn wishes(inputs: Inputs, hub: Hub, timing: Timing) -> JoinHandle<()> {
    let Timing { lease, solo, .. } = timing;
    tokio::spawn(async move {
        let mut in_step = false;
        loop {
            // There is no wish before something has waited for the peer for so long, or it follows no more.
            if in_step && hub.tick(false).is_none() && hub.is_paired() {
                let calm = Duration::from_nanos(solo.saturating_sub(hub.waits_for())).max(WISHES_EVERY);
                let _ = tokio::time::timeout(calm, hub.unpaired()).await;
                continue;
            }
            let look = inputs.look().await;
            // What this task has asked for is answered before this look: it is never an older word.
            if look.as_ref().is_some_and(|look| look.alone) {
                hub.may_go_alone();
            }
            // A node that takes over need not wait for a peer that it has just seen die.
            let silent = look.as_ref().and_then(|look| look.peer.as_ref()).is_none_or(|(_, ns)| *ns >= lease);
            if in_step && !hub.figures().has_link {
                in_step = false;
                inputs.send(Input::PeerInStep(false));
            }
            match hub.tick(silent) {
                Some(Wish::Solo { .. }) => {
                    in_step = false;
                    inputs.send(Input::GoAlone);
                }
                Some(Wish::Clear) => {
                    in_step = true;
                    inputs.send(Input::PeerInStep(true));
                    // From here on nothing leaves alone, whatever the keeper of the mark still has.
                    hub.mark_cleared();
                }
                None if hub.is_paired() && !in_step => {
                    in_step = true;
                    inputs.send(Input::PeerInStep(true));
                }
                None => {}
            }
            // An activation that is not over takes neither; it is told again.
            let role = look.map(|look| look.role);
            in_step &= matches!(role, Some(Role::Active | Role::Draining));
            tokio::time::sleep(WISHES_EVERY).await;
        }
    })
}

/// Tells the machine that this process moves: the runtime, and while it is active sequencer and log. On a full disk
/// the log stands still, and its writer goes on: what is delivered makes room, so that is no reason to give the role up.
pub async fn moving(inputs: Inputs, every: u64, working: Working) {
    loop {
        let engine = working.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_working = engine.is_some();
        if let Some(engine) = engine {
            let told = inputs.clone();
            // Does not come back from a sequencer that is stuck.
            engine.turn(move || told.moved(false, true));
        }
        inputs.moved(true, !is_working);
        tokio::time::sleep(Duration::from_nanos(every)).await;
    }
}

/// Tells the machine when a destination has another writer. One that tells its epoch proves it. One that does not, such
/// as a broker at which another client has the session, is believed if the peer is not heard: that may be active by force.
/// Otherwise it is a stranger.
pub async fn superseded(mut said: watch::Receiver<Option<Superseded>>, inputs: Inputs, lease: u64) {
    while said.changed().await.is_ok() {
        let Some(Superseded { epoch, by }) = *said.borrow_and_update() else { continue };
        let look = inputs.look().await;
        let is_heard = look.and_then(|look| look.peer).is_some_and(|(_, silent)| silent < lease);
        match by {
            Some(by) => inputs.send(Input::FencedBy(by)),
            // Whatever epoch the peer may have: it counts as one in which newer samples may have been delivered, so
            // what waits here goes out as backfill if this node is active again.
            None if !is_heard => inputs.send(Input::FencedBy(epoch + 1)),
            None => tracing::warn!("another client has taken a session, and it is not the peer"),
        }
    }
}

/// Says why this node asks to be the active one, unless its peer has just said that it is not any more.
pub fn told_why(inputs: Inputs, lease: u64) {
    tokio::spawn(async move {
        let Some(look) = inputs.look().await else { return };
        let why = match look.peer {
            None => "its peer was not heard since it has started".into(),
            Some((_, silent)) if silent < lease => "its peer, which is heard, is not active".into(),
            Some((report, silent)) => {
                let what = if report.stance == Stance::Active { "active" } else { "not active" };
                format!("its peer, by its last word {what}, has been silent for {} ms", silent / 1_000_000)
            }
        };
        tracing::info!(%why, "this node asks for the role of the active");
    });
}
