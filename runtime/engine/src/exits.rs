//! The exits of the graph: all that the outside can see goes through one gate.
//!
//! ```text
//! machine of the pair --token, permits--> ExitKeeper --open/shut--> Exits --Pass--> deliveries
//!                                                                            |      writes to devices
//!                                                                            +-----> receipts of sources
//! ```
//! A receipt is asked for and given in one moment; its acknowledgement on the wire follows.
//! The gate cannot be made without an [`ActivationToken`], which only the machine makes; a lone
//! gateway has the same machine with nobody to ask. Who goes through holds a [`Pass`] meanwhile, so
//! that the keeper can wait until nothing of an epoch is on its way any more.

use crate::clock;
use gwp_redundancy::member::Epoch;
use gwp_redundancy::mono::Mono;
use gwp_redundancy::token::{ActivationToken, Gate, Permit};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug)]
struct Shared {
    gate: Mutex<Option<Gate>>,
    /// Rung when the gate opens, shuts or is another one.
    changed: watch::Sender<()>,
    /// Passes that are held.
    inside: AtomicUsize,
    left: watch::Sender<()>,
    superseded: watch::Sender<Option<Superseded>>,
}

/// A destination takes another writer's word instead of this node's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Superseded {
    /// Of the pass it was refused to.
    pub epoch: Epoch,
    /// The newer one, where the destination tells it.
    pub by: Option<Epoch>,
}

impl Shared {
    /// Epoch and end of the permit, if the gate is open now.
    fn open(&self, now: Mono) -> Option<(Epoch, Mono)> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.as_ref().filter(|gate| gate.open(now)).map(|gate| (gate.epoch(), gate.until()))
    }
}

/// Opens and shuts the exits. There is one; whoever drives the machine has it.
#[derive(Debug)]
pub struct ExitKeeper(Arc<Shared>);

/// What every stage with effects asks.
#[derive(Clone, Debug)]
pub struct Exits {
    shared: Arc<Shared>,
    /// They are shut in all other epochs.
    only: Option<Epoch>,
}

/// The right to have effects in an epoch, as long as it is open; dropped when nothing of its
/// holder is on its way any more.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<Shared>,
    epoch: Epoch,
}

/// Exits that are shut, and their keeper.
pub fn exits() -> (ExitKeeper, Exits) {
    let shared = Arc::new(Shared {
        gate: Mutex::new(None),
        changed: watch::Sender::new(()),
        inside: AtomicUsize::new(0),
        left: watch::Sender::new(()),
        superseded: watch::Sender::new(None),
    });
    (ExitKeeper(shared.clone()), Exits { shared, only: None })
}

impl ExitKeeper {
    /// A new epoch. It is shut until its first permit; passes of the one before are void.
    pub fn activate(&self, token: ActivationToken) {
        self.set(Gate::new(token));
    }

    /// As [`ExitKeeper::activate`], with a gate that has its permit.
    pub fn set(&self, gate: Gate) {
        *self.0.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate);
        self.0.changed.send_replace(());
    }

    /// Effects are allowed for longer; a permit of another epoch changes nothing.
    pub fn permit(&self, permit: Permit) {
        let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gate) = &mut *gate else { return };
        // Not before the lock: who waits at the gate looked at a clock before its own, and must have seen it open now.
        let (was_open, before) = (gate.open(clock::boot()), gate.until());
        gate.permit(permit);
        // Who is inside looks again by itself at the old end, unless that has come nearer.
        if !was_open || gate.until() < before {
            self.0.changed.send_replace(());
        }
    }

    /// Nothing enters any more. [`ExitKeeper::emptied`] tells when nothing is on its way either.
    pub fn shut(&self) {
        *self.0.gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.changed.send_replace(());
    }

    /// What destinations say of other writers, the newest word.
    pub fn superseded(&self) -> watch::Receiver<Option<Superseded>> {
        self.0.superseded.subscribe()
    }

    /// Completes when no pass is held.
    pub async fn emptied(&self) {
        let mut left = self.0.left.subscribe();
        while self.0.inside.load(SeqCst) > 0 {
            // The sender lives as long as `self`.
            let _ = left.changed().await;
        }
    }
}

impl Exits {
    /// The same for one epoch: who is left over from it does not go out in the next.
    pub fn only_in(&self, epoch: Epoch) -> Exits {
        Exits { shared: self.shared.clone(), only: Some(epoch) }
    }

    /// Waits until the gate is open, and goes in.
    pub async fn enter(&self) -> Pass {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(pass) = self.try_enter() {
                return pass;
            }
            let _ = changed.changed().await;
        }
    }

    /// Goes in if the gate is open.
    pub fn try_enter(&self) -> Option<Pass> {
        // Counted first: who shuts and then looks either finds this one, or this one finds it shut.
        self.shared.inside.fetch_add(1, SeqCst);
        let mut pass = Pass { shared: self.shared.clone(), epoch: 0 };
        pass.epoch = self.open()?;
        Some(pass)
    }

    /// Whether deliveries and acknowledgements may leave now.
    pub fn are_open(&self) -> bool {
        self.open().is_some()
    }

    fn open(&self) -> Option<Epoch> {
        let (epoch, _) = self.shared.open(clock::boot())?;
        self.only.is_none_or(|only| only == epoch).then_some(epoch)
    }
}

impl Pass {
    /// Epoch that destinations are fenced with.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A destination has refused this pass: another writer has taken its place.
    pub fn superseded(&self, by: Option<Epoch>) {
        self.shared.superseded.send_replace(Some(Superseded { epoch: self.epoch, by }));
    }

    /// Whether effects of the epoch may leave now.
    pub fn is_open(&self) -> bool {
        self.shared.open(clock::boot()).is_some_and(|(epoch, _)| epoch == self.epoch)
    }

    /// Whether a new write to a device may leave now: from half a lease before the end of a permit
    /// on it may not, as what a device was told cannot be taken back.
    pub fn is_open_for_writes(&self) -> bool {
        let gate = self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.as_ref().is_some_and(|gate| gate.epoch() == self.epoch && gate.open_for_writes(clock::boot()))
    }

    /// Completes when effects of the epoch may leave no more. A sleep does not count the time of a suspended machine,
    /// a permit does: whoever holds the leases shuts the gate then, and who is about to have an effect looks
    /// ([`Pass::is_open`]).
    pub async fn shut(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let now = clock::boot();
            let left = match self.shared.open(now) {
                Some((epoch, until)) if epoch == self.epoch => until.since(now),
                _ => return,
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep(Duration::from_nanos(left)), if left < u64::MAX / 2 => {}
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.shared.inside.fetch_sub(1, SeqCst);
        self.shared.left.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_redundancy::failback::FailbackMode;
    use gwp_redundancy::member::{Member, NodeId};
    use gwp_redundancy::node::{Input, Node, Output, Settings, StalePolicy};
    use gwp_redundancy::policy::Quorum;
    use gwp_redundancy::timing::Timing;
    use gwp_redundancy::vote::Superblock;
    use gwp_redundancy::witness::{Witness, WitnessInput, WitnessOutput};

    fn gate(last: Epoch) -> Gate {
        gwp_redundancy::lone::activate(last, |_| Ok::<(), ()>(())).unwrap()
    }

    #[tokio::test]
    async fn nobody_goes_out_before_the_gate_is_open() {
        let (keeper, exits) = exits();
        assert!(exits.try_enter().is_none() && !exits.are_open());
        keeper.emptied().await;
        let waiting = tokio::spawn({
            let exits = exits.clone();
            async move { exits.enter().await.epoch() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        keeper.set(gate(0));
        assert_eq!(waiting.await.unwrap(), 1);
        assert!(exits.are_open());
    }

    #[tokio::test]
    async fn a_shut_gate_ends_passes_and_its_keeper_waits_for_them() {
        let (keeper, exits) = exits();
        keeper.set(gate(0));
        let pass = exits.enter().await;
        assert!(pass.is_open() && pass.is_open_for_writes());
        keeper.shut();
        pass.shut().await;
        assert!(!pass.is_open() && !pass.is_open_for_writes() && exits.try_enter().is_none());
        let emptied = keeper.emptied();
        tokio::pin!(emptied);
        assert!(futures_poll(emptied.as_mut()).await.is_none());
        drop(pass);
        emptied.await;
    }

    /// What a future says when it is asked once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    /// A primary and a witness that have talked until now: what the primary was given last.
    fn voted() -> (ActivationToken, Permit) {
        let timing = Timing { start_hold: 0, ..Timing::FAST };
        let (quorum, stale, failback) = (Quorum::Witnessed, StalePolicy::Allow, FailbackMode::Manual);
        let settings = Settings { me: NodeId::Primary, quorum, timing, stale, failback };
        let mut now = Mono(clock::boot().0.saturating_sub(1_000_000_000).max(1));
        let mut node = Node::boot(settings, Superblock::default(), now);
        let mut witness = Witness::boot(timing, Superblock::default(), now);
        let (mut token, mut permit) = (None, None);
        let mut inputs = vec![Input::Opened];
        while now < clock::boot() {
            now = now.plus(timing.beat);
            inputs.push(Input::Moved { sequencer: true, store: true });
            while let Some(input) = inputs.pop() {
                let mut out = Vec::new();
                node.step(now, input, &mut out);
                for output in out {
                    match output {
                        Output::Persist(_) => inputs.push(Input::Persisted),
                        Output::Send { to: Member::Witness, message } => {
                            let mut said = Vec::new();
                            let from = NodeId::Primary;
                            witness.step(now, WitnessInput::Message { from, message }, &mut said);
                            witness.step(now, WitnessInput::Persisted, &mut said);
                            inputs.extend(said.into_iter().filter_map(|said| match said {
                                WitnessOutput::Send { message, .. } => {
                                    Some(Input::Message { from: Member::Witness, message })
                                }
                                WitnessOutput::Persist(_) => None,
                            }));
                        }
                        Output::Activate { token: won, .. } => {
                            inputs.push(Input::Activated(won.epoch()));
                            token = Some(won);
                        }
                        Output::Permit(longer) => permit = Some(longer),
                        _ => {}
                    }
                }
            }
        }
        (token.expect("a majority"), permit.expect("a permit"))
    }

    #[tokio::test]
    async fn a_permit_that_is_not_renewed_runs_out() {
        let (keeper, exits) = exits();
        let (token, permit) = voted();
        keeper.activate(token);
        assert!(!exits.are_open(), "it waits for a permit");
        let waiting = tokio::spawn({
            let exits = exits.clone();
            async move { exits.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        keeper.permit(permit);
        let pass = waiting.await.unwrap();
        pass.shut().await;
        assert!(clock::boot() >= permit.until());
        assert!(!pass.is_open() && !pass.is_open_for_writes() && !exits.are_open());
    }

    #[tokio::test]
    async fn the_keeper_hears_of_another_writer() {
        let (keeper, exits) = exits();
        let mut said = keeper.superseded();
        keeper.set(gate(4));
        let pass = exits.enter().await;
        assert!(!said.has_changed().unwrap());
        pass.superseded(Some(9));
        assert_eq!(*said.borrow_and_update(), Some(Superseded { epoch: pass.epoch(), by: Some(9) }));
    }

    #[tokio::test]
    async fn a_pass_is_for_one_epoch() {
        let (keeper, exits) = exits();
        keeper.set(gate(0));
        let old = exits.enter().await;
        keeper.set(gate(1));
        old.shut().await;
        assert!(!old.is_open());
        assert_eq!(exits.enter().await.epoch(), 3);
        let (before, now) = (exits.only_in(1), exits.only_in(3));
        assert!(before.try_enter().is_none() && !before.are_open());
        assert!(now.try_enter().is_some() && now.are_open());
        drop(old);
        keeper.emptied().await;
    }
}
