//! I33: people are told of each activation and of each end of one, once.

use super::world::World;
use crate::member::{Epoch, NodeId};
use crate::node::{Event, Output, Role};

/// What tells that an epoch has begun or ended here, and which.
fn turn(event: &Event) -> Option<(&'static str, Epoch)> {
    match *event {
        Event::Activated { epoch, .. } => Some(("activated", epoch)),
        Event::LeaseLost { epoch } => Some(("lease lost", epoch)),
        Event::DualActive { epoch, .. } => Some(("dual active", epoch)),
        Event::Fenced { epoch, .. } => Some(("fenced", epoch)),
        Event::HandedOver { epoch } => Some(("handed over", epoch)),
        Event::Faulted { epoch } if epoch > 0 => Some(("faulted", epoch)),
        _ => None,
    }
}

impl World {
    /// `before` and `after` a step of a node that gave `out`: its role and the epoch it held.
    pub fn check_told(&mut self, id: NodeId, before: (Role, Epoch), after: (Role, Epoch), out: &[Output]) {
        let active = |role: Role| matches!(role, Role::Active | Role::Draining);
        let told: Vec<(&'static str, Epoch)> = out
            .iter()
            .filter_map(|output| match output {
                Output::Notify(event) => turn(event),
                _ => None,
            })
            .collect();
        let begun = |of: &&(&'static str, Epoch)| of.0 == "activated";
        let begins: Vec<Epoch> = told.iter().filter(begun).map(|of| of.1).collect();
        let ends: Vec<Epoch> = told.iter().filter(|of| !begun(of)).map(|of| of.1).collect();
        let (was, is) = (active(before.0), active(after.0));
        let due = if is && !was { vec![after.1] } else { Vec::new() };
        if begins != due {
            return self.fail(format!("I33 each activation is told once: {begins:?} for {due:?} of {id}"));
        }
        if was && (!is || before.1 != after.1) && ends != [before.1] {
            return self.fail(format!("I33 each end is told once: {ends:?} for {} of {id}", before.1));
        }
        if was && is && before.1 == after.1 && !ends.is_empty() {
            return self.fail(format!("I33 an end is told that is none: {ends:?} of {id}"));
        }
        // An epoch that was never active may be tried, and end, again.
        for key in told.into_iter().filter(|_| was || is) {
            if !self.facts.told[id.index()].insert(key) {
                self.fail(format!("I33 one key for each notification: {key:?} of {id}"));
            }
            self.coverage.saw(key.0);
        }
    }
}
