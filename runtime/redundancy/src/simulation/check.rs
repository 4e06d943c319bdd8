//! What is asked of the machines after every step.

use super::world::{World, ix};
use crate::invariants;
use crate::member::{Epoch, Member, NodeId};
use crate::mirror::MirrorMode;
use crate::policy::{PairPolicy, Quorum};
use crate::token::Gate;

impl World {
    /// What must hold after every step of a machine.
    pub fn check(&mut self, of: NodeId) {
        if self.strict() {
            self.check_holders();
        }
        let process = &self.nodes[of.index()];
        let Some(node) = &process.node else { return };
        let now = self.now(of);
        let open = process.gate.as_ref().filter(|gate| gate.open(now)).map(Gate::epoch);
        let mut found = invariants::of_node(node, &process.disk.newest(), open, now);
        // Whoever took the vote since has a mark of its own.
        let (own, witness) = (process.disk.newest().mark, self.witness.disk.newest().mark);
        let kept = if node.witness_keeps_mark() { witness } else { own };
        let kept_by_newer = kept.is_some_and(|mark| mark.epoch > node.epoch());
        let late = self.t < self.loose_until && kept_by_newer;
        if !late && !self.overlapped(node.epoch()) {
            found = found.and(invariants::marked(of, node, own, witness, now));
        }
        if let Err(invariants::Broken(what)) = found {
            self.fail(what);
        }
    }

    /// A node says that an epoch is over. What is past the gate and not answered is on its way out.
    pub fn check_relinquished(&mut self, of: NodeId, epoch: Epoch) {
        let process = &self.nodes[of.index()];
        let gate = process.gate.as_ref().map(Gate::epoch);
        let flights = process.flights.iter().map(|flight| flight.as_ref().map(|of| of.epoch));
        let exits: Vec<Option<Epoch>> = flights.chain([gate]).collect();
        if let Err(invariants::Broken(what)) = invariants::relinquished(epoch, &exits) {
            self.fail(what);
        }
    }

    /// What only a witness, or waiting for evidence, can promise: one active at a time.
    pub fn strict(&self) -> bool {
        self.plan.quorum != Quorum::Pair(PairPolicy::Availability) && !self.plan.forced
    }

    /// Whether what leaves is on both sides, and comes in order: not where the own disk is enough.
    pub fn ordered(&self) -> bool {
        self.strict() && self.plan.mode != MirrorMode::Local
    }

    /// Whether a member could be reached in both directions.
    pub fn reaches(&self, one: Member, other: Member) -> bool {
        !self.cut[ix(one)][ix(other)] && !self.cut[ix(other)][ix(one)]
    }

    /// It was in step with the last active, which no mark says went alone, and nobody has stood in
    /// between without a result.
    pub fn had_everything(&self, id: NodeId) -> bool {
        let (process, peer) = (&self.nodes[id.index()], &self.nodes[id.peer().index()]);
        let Some(epoch) = self.facts.stood_by(id).filter(|_| self.plan.quorum == Quorum::Witnessed) else {
            return false;
        };
        let marks = [self.witness.disk.newest().mark, peer.disk.newest().mark];
        let marked = marks.into_iter().flatten().any(|mark| mark.epoch == epoch && mark.solo);
        let block = process.disk.newest();
        let before = [block.before, self.witness.disk.newest().before, peer.disk.newest().before];
        let direct = before.into_iter().all(|promise| promise.epoch <= epoch);
        direct && !marked && process.in_step == epoch && !self.plan.forced
    }
}
