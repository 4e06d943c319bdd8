//! Votes: promises for a time, kept on disk.
//!
//! Each of the three members is a voter. A vote for (epoch, holder) is durable; how long it
//! binds is counted in memory only, from the moment it was last asked for, and again in full
//! after a restart. Two majorities of three share a voter, so two holders never have a live
//! lease at once, as long as a lease ends before the promises it rests on.

use crate::member::{Epoch, NodeId};
use crate::mono::Mono;
use crate::timing::Timing;

/// For whom a vote is, and for which epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Promise {
    /// 0 = none was ever given.
    pub epoch: Epoch,
    pub holder: Option<NodeId>,
}

/// The active of an epoch delivers what its peer does not hold. Only the newest turn counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    pub holder: NodeId,
    pub epoch: Epoch,
    /// Counts the changes of the mark within the epoch: an older one that comes late is void.
    pub turn: u32,
    /// Whether it goes alone, or no longer does.
    pub solo: bool,
}

impl Mark {
    /// Which of two marks is the newer one.
    pub fn order(&self) -> (Epoch, u32) {
        (self.epoch, self.turn)
    }
}

/// What a member keeps on disk, in a small file of its own beside the store: votes must
/// survive a full or failing data disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Superblock {
    pub promise: Promise,
    /// The promise before this one: who may have been active before.
    pub before: Promise,
    /// Epoch in which this node was active last; 0 = never, or a witness.
    pub led: Epoch,
    /// The last of these in which what could be older was flagged in its log, if anything could.
    /// An activation that ends before has put nothing right.
    pub whole: Epoch,
    pub mark: Option<Mark>,
}

/// One voter: what it has promised, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Voter {
    pub block: Superblock,
    /// Nobody else gets this vote before.
    pub until: Mono,
}

/// What a voter says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Granted again: nothing new to keep.
    Renewed,
    /// Granted; the answer waits until this is on disk.
    Given,
    Denied,
}

impl Voter {
    /// A voter that has just started. What it promised before may still bind it, and it
    /// cannot know for how long: it waits a whole promise.
    pub fn start(block: Superblock, now: Mono, timing: &Timing) -> Voter {
        let waits = block.promise.holder.is_some() && !mutant!("vote_without_restart_wait");
        Voter { block, until: if waits { now.plus(timing.promise) } else { now } }
    }

    /// Whether anybody may have this vote now.
    pub fn free(&self, now: Mono) -> bool {
        now >= self.until
    }

    /// Answers the request of `from` to be the holder of `epoch`.
    pub fn ask(&mut self, now: Mono, timing: &Timing, from: NodeId, epoch: Epoch) -> Verdict {
        let promise = self.block.promise;
        let wanted = Promise { epoch, holder: Some(from) };
        if wanted == promise {
            self.until = now.plus(timing.promise);
            return Verdict::Renewed;
        }
        if epoch <= promise.epoch || !self.free(now) {
            return Verdict::Denied;
        }
        self.give(now, timing, wanted);
        Verdict::Given
    }

    /// Gives the vote. The caller answers for it: the vote is free, or the holder of it gives it on.
    pub fn give(&mut self, now: Mono, timing: &Timing, promise: Promise) {
        self.block.before = self.block.promise;
        self.block.promise = promise;
        self.until = now.plus(timing.promise);
    }

    /// The holder of `epoch` has said that it is active in it no more, and never will be again.
    pub fn relinquished(&mut self, from: NodeId, epoch: Epoch) {
        if epoch != 0 && self.block.promise == (Promise { epoch, holder: Some(from) }) {
            self.until = Mono::NEVER;
        }
    }

    /// Takes a mark from the holder of the present promise; an older one, or one of somebody
    /// whose time is over, is refused. `true` = it stands (perhaps it already did).
    pub fn mark(&mut self, mark: Mark) -> bool {
        let promise = self.block.promise;
        if promise != (Promise { epoch: mark.epoch, holder: Some(mark.holder) }) {
            return false;
        }
        let newer = self.block.mark.is_none_or(|had| had.order() < mark.order());
        if newer || mutant!("late_mark_counts") {
            self.block.mark = Some(mark);
        }
        self.block.mark == Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeId::{Backup, Primary};

    const T: Timing = Timing { beat: 1, lease: 20, promise: 21, solo: 30, start_hold: 50, idle_hello: 20 };

    #[test]
    fn a_vote_is_for_one_holder_until_its_time_is_over() {
        let mut voter = Voter::start(Superblock::default(), Mono(100), &T);
        assert_eq!(voter.ask(Mono(100), &T, Primary, 1), Verdict::Given);
        assert_eq!(voter.ask(Mono(110), &T, Primary, 1), Verdict::Renewed);
        assert_eq!(voter.ask(Mono(130), &T, Backup, 2), Verdict::Denied, "bound until 131");
        assert_eq!(voter.ask(Mono(131), &T, Backup, 2), Verdict::Given);
        assert_eq!(voter.ask(Mono(500), &T, Primary, 1), Verdict::Denied, "an epoch that is over");
        assert_eq!(voter.block.before, Promise { epoch: 1, holder: Some(Primary) });
    }

    #[test]
    fn only_the_holder_can_free_a_vote() {
        let mut voter = Voter::start(Superblock::default(), Mono(100), &T);
        voter.ask(Mono(100), &T, Primary, 1);
        voter.relinquished(Backup, 1);
        voter.relinquished(Primary, 3);
        assert!(!voter.free(Mono(101)));
        voter.relinquished(Primary, 1);
        assert!(voter.free(Mono(101)));
    }

    #[cfg(not(mutants))]
    #[test]
    fn a_restarted_voter_waits() {
        let block = Superblock { promise: Promise { epoch: 1, holder: Some(Primary) }, ..Default::default() };
        let mut voter = Voter::start(block, Mono(7), &T);
        assert_eq!(voter.ask(Mono(27), &T, Backup, 2), Verdict::Denied);
        assert_eq!(voter.ask(Mono(28), &T, Backup, 2), Verdict::Given);
        assert!(Voter::start(Superblock::default(), Mono(7), &T).free(Mono(7)), "a new one owes nothing");
    }

    #[test]
    fn an_old_mark_is_void() {
        let mut voter = Voter::start(Superblock::default(), Mono(100), &T);
        voter.ask(Mono(100), &T, Primary, 1);
        let mark = |turn, solo| Mark { holder: Primary, epoch: 1, turn, solo };
        assert!(voter.mark(mark(1, true)) && voter.mark(mark(1, true)));
        assert!(voter.mark(mark(2, false)) && voter.mark(mark(3, true)));
        assert!(!voter.mark(mark(2, false)), "the clearing of turn 2 came late");
        voter.ask(Mono(200), &T, Backup, 2);
        assert!(!voter.mark(mark(4, true)), "its time is over");
        assert_eq!(voter.block.mark, Some(mark(3, true)));
    }
}
