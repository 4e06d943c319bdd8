//! The holder's side of votes: until when it may act.

use crate::member::{Epoch, Member, NodeId};
use crate::mono::Mono;
use crate::timing::Timing;

/// What a holder rests on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Basis {
    /// Votes of others, for a time each.
    Votes,
    /// Without a witness, or without a peer: the role ends by hand, or by a higher epoch.
    Alone,
    /// An operator said so. With the first vote it becomes [`Basis::Votes`].
    Forced,
}

/// One candidacy and what follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lease {
    /// 0 = nothing is held.
    pub epoch: Epoch,
    pub basis: Basis,
    /// Until when the vote of each counts.
    pub peer: Mono,
    pub witness: Mono,
}

impl Lease {
    pub const NONE: Lease = Lease { epoch: 0, basis: Basis::Votes, peer: Mono::NEVER, witness: Mono::NEVER };

    pub fn for_epoch(epoch: Epoch, basis: Basis) -> Lease {
        Lease { epoch, basis, ..Lease::NONE }
    }

    /// Takes a granted vote that was asked for at `sent` by this node's clock. It counts from
    /// then, never from now: the voter's promise began in between. `true` = it counts at all.
    pub fn vote(&mut self, now: Mono, timing: &Timing, from: Member, me: NodeId, sent: Mono) -> bool {
        if sent > now {
            return false;
        }
        let from_when = if mutant!("lease_from_receipt") { now } else { sent };
        let until = from_when.plus(timing.lease);
        if until <= now {
            return false;
        }
        let slot = match from {
            Member::Witness => &mut self.witness,
            Member::Node(node) if node != me => &mut self.peer,
            Member::Node(_) => return false,
        };
        *slot = until.max(*slot);
        if self.basis == Basis::Forced {
            self.basis = Basis::Votes;
        }
        true
    }

    /// Whether somebody else's vote counts now.
    pub fn voted(&self, now: Mono) -> bool {
        now < self.peer.max(self.witness)
    }

    /// Until when the holder may act. The own vote lasts longer than this.
    pub fn until(&self) -> Mono {
        match self.basis {
            Basis::Votes => self.peer.max(self.witness),
            Basis::Alone | Basis::Forced => Mono::FOREVER,
        }
    }

    #[cfg(test)]
    pub(crate) fn instants(&mut self) -> [&mut Mono; 2] {
        [&mut self.peer, &mut self.witness]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeId::{Backup, Primary};

    const T: Timing = Timing { beat: 1, lease: 20, promise: 21, solo: 30, start_hold: 50, idle_hello: 20 };

    #[cfg(not(mutants))]
    #[test]
    fn a_vote_counts_from_when_it_was_asked_for() {
        let mut lease = Lease::for_epoch(1, Basis::Votes);
        assert!(!lease.vote(Mono(120), &T, Member::Witness, Primary, Mono(100)), "it came too late");
        assert!(!lease.vote(Mono(100), &T, Member::Witness, Primary, Mono(101)), "of another boot");
        assert!(!lease.vote(Mono(101), &T, Member::Node(Primary), Primary, Mono(100)), "its own");
        assert!(lease.vote(Mono(119), &T, Member::Node(Backup), Primary, Mono(100)));
        assert!(lease.voted(Mono(119)) && !lease.voted(Mono(120)));
        assert!(lease.vote(Mono(119), &T, Member::Witness, Primary, Mono(110)));
        assert!(
            lease.vote(Mono(119), &T, Member::Witness, Primary, Mono(105)),
            "an older one takes nothing away"
        );
        assert_eq!(lease.until(), Mono(130));
    }

    #[test]
    fn the_first_vote_ends_the_operators_word() {
        let mut lease = Lease::for_epoch(2, Basis::Forced);
        assert_eq!(lease.until(), Mono::FOREVER);
        assert!(lease.vote(Mono(100), &T, Member::Witness, Backup, Mono(100)));
        assert_eq!(lease.until(), Mono(120));
    }
}
