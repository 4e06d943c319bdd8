//! A gateway without a peer: the same machine, with nobody to ask.
//!
//! It wins an epoch at each start and holds it until its process ends. So there is one way to open
//! an exit, whether there is a peer or not, and a lone gateway becomes the primary of a pair
//! without a change of its store.

use crate::failback::FailbackMode;
use crate::invariants::{self, Broken};
use crate::member::{Epoch, NodeId};
use crate::mono::Mono;
use crate::node::{Input, Node, Output, Settings, StalePolicy};
use crate::policy::Quorum;
use crate::timing::Timing;
use crate::token::Gate;
use crate::vote::Superblock;

/// Why a lone gateway is not active.
#[derive(Debug, PartialEq, Eq)]
pub enum LoneError<E> {
    /// The epoch could not be kept.
    Keep(E),
    /// The machine breaks a rule, or does not come to an end: a defect.
    Defect(&'static str),
}

/// Wins the first epoch of the primary's above `last`, the highest that was ever held here, and
/// gives a gate that is open for good. `keep` makes the epoch durable before it counts; it may be
/// asked several times for the same.
///
/// # Errors
/// The epoch cannot be kept. The machine breaks a rule: nothing is opened then.
pub fn activate<E>(last: Epoch, mut keep: impl FnMut(Epoch) -> Result<(), E>) -> Result<Gate, LoneError<E>> {
    // No promise of its own binds it: there is nobody whom it could have been given to.
    let mut disk = Superblock { led: last, whole: last, ..Superblock::default() };
    // Nothing here takes time.
    let now = Mono(1);
    let settings = Settings {
        me: NodeId::Primary,
        quorum: Quorum::Lone,
        timing: Timing::DEFAULT,
        stale: StalePolicy::Allow,
        failback: FailbackMode::Manual,
    };
    let mut node = Node::boot(settings, disk, now);
    let mut gate = None;
    let mut inputs = vec![Input::Opened];
    let mut out = Vec::new();
    while let Some(input) = inputs.pop() {
        node.step(now, input, &mut out);
        for output in out.drain(..) {
            match output {
                Output::Persist(block) => {
                    keep(block.promise.epoch).map_err(LoneError::Keep)?;
                    disk = block;
                    inputs.push(Input::Persisted);
                }
                Output::Activate { token, .. } => {
                    inputs.push(Input::Activated(token.epoch()));
                    gate = Some(Gate::new(token));
                }
                Output::Permit(permit) => {
                    if let Some(gate) = &mut gate {
                        gate.permit(permit);
                    }
                }
                _ => {}
            }
        }
        let open = gate.as_ref().filter(|gate| gate.open(now)).map(Gate::epoch);
        invariants::of_node(&node, &disk, open, now).map_err(|Broken(rule)| LoneError::Defect(rule))?;
    }
    gate.filter(|gate| gate.open(now)).ok_or(LoneError::Defect("a lone gateway becomes active"))
}

#[cfg(all(test, not(mutants)))]
mod tests {
    use super::*;

    #[test]
    fn a_lone_gateway_is_active_for_good_in_an_epoch_of_its_own() {
        let mut kept = Vec::new();
        let gate = activate(4, |epoch| {
            kept.push(epoch);
            Ok::<(), ()>(())
        });
        let gate = gate.unwrap();
        assert_eq!(gate.epoch(), 5);
        assert!(gate.open(Mono(u64::MAX - 1)) && gate.open_for_writes(Mono(u64::MAX - 1)));
        assert!(!kept.is_empty() && kept.iter().all(|epoch| *epoch == 5), "{kept:?}");
        assert_eq!(activate(5, |_| Ok::<(), ()>(())).unwrap().epoch(), 7);
        assert_eq!(activate(0, |_| Ok::<(), ()>(())).unwrap().epoch(), 1);
    }

    #[test]
    fn without_its_disk_it_opens_nothing() {
        assert_eq!(activate(0, |_| Err("full")), Err(LoneError::Keep("full")));
    }
}
