//! Clocks that do what the votes do not allow for, and what can be promised then.
//!
//! A lease rests on clocks that run at most 2.4 % wrong. A machine that sleeps is within that: its
//! boot clock counts on. One that is frozen with its clock goes on with a lease that is over for
//! everybody else, and a voter whose clock jumps ahead frees its vote too early. For as long as
//! such a lease can last there may be two holders; what holds even then is that a fenced
//! destination refuses the older, and that nothing is lost.

use super::plan::MS;
use super::world::World;
use crate::invariants;
use crate::member::{Epoch, Member, NodeId};

impl World {
    pub fn pause(&mut self, id: NodeId, lasts: u64, asleep: bool) {
        let process = &mut self.nodes[id.index()];
        (process.paused_until, process.asleep) = (self.t + lasts, asleep);
    }

    pub fn suspend(&mut self, of: Member, lasts: u64, ahead: u64) {
        let clock = match of {
            Member::Witness => {
                self.coverage.saw(if ahead > 0 { "witness clock jumps" } else { "witness suspended" });
                self.witness.asleep_until = self.t + lasts;
                &mut self.witness.clock
            }
            Member::Node(id) => {
                self.coverage.saw(if ahead > 0 { "node clock jumps" } else { "node suspended" });
                self.pause(id, lasts, true);
                &mut self.nodes[id.index()].clock
            }
        };
        clock.offset += ahead;
        if ahead > 0 {
            self.loosen(lasts);
        }
    }

    pub fn freeze(&mut self, id: NodeId, lasts: u64) {
        self.coverage.saw("frozen");
        self.pause(id, lasts, false);
        let process = &mut self.nodes[id.index()];
        process.clock.offset = process.clock.show(self.t).0;
        process.clock.since = self.t + lasts;
        self.loosen(lasts);
    }

    fn loosen(&mut self, lasts: u64) {
        // As long as a lease or promise can last that was given before.
        let runs_out = self.plan.timing.promise + self.plan.timing.promise / 10 + 50 * MS;
        self.loose_until = self.loose_until.max(self.t + lasts + runs_out);
    }

    /// I1, or that a clock is the cause. The older of two holders is remembered: what it still
    /// does unfenced comes late.
    pub fn check_holders(&mut self) {
        let (Some(one), Some(other)) = (&self.nodes[0].node, &self.nodes[1].node) else { return };
        let clocks = NodeId::BOTH.map(|id| self.now(id));
        let Err(invariants::Broken(what)) = invariants::one_holder([(one, clocks[0]), (other, clocks[1])])
        else {
            return;
        };
        if self.t >= self.loose_until {
            return self.fail(what);
        }
        let older = one.epoch().min(other.epoch());
        if self.facts.overlapped.insert(older) {
            self.coverage.saw("two holders by a clock");
            self.say(|| format!("epoch {older} goes on beside a newer one"));
        }
    }

    /// Whether an epoch went on beside a newer one, for a clock.
    pub fn overlapped(&self, epoch: Epoch) -> bool {
        self.facts.overlapped.contains(&epoch)
    }
}
