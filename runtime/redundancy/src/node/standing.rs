//! When a node stands for an epoch, and when it has won.

use super::{Event, Node, Output, Refusal, Role, Seen, StalePolicy};
use crate::lease::{Basis, Lease};
use crate::member::Epoch;
use crate::mono::Mono;
use crate::policy::{PairPolicy, Quorum};
use crate::vote::{Mark, Promise};

/// Why a node does not stand. The status shows it: an operator asks this first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Obstacle {
    /// It is active, or about to be, or must not be.
    Role(Role),
    /// Exits of its last epoch are not confirmed shut.
    Closing,
    /// Its sequencer or store does not move.
    NoProgress,
    /// It cannot run the program that is in force.
    Configuration,
    /// Its own vote is promised.
    Promised,
    /// The peer is active.
    PeerActive,
    /// It waits for others, or for a node that holds more.
    Hold,
    /// No other voter was heard that would vote for it.
    NoVoter,
    /// Without a witness: the peer is silent, and nothing proves that it is not active. Or this
    /// node knows of no epoch, and has yet to hear from its peer which were taken.
    PeerUnknown,
}

/// Why an operator's word does not make a node active.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ForceObstacle {
    /// It is already, or is about to be.
    Active,
    /// Its store or its votes are not open, or cannot be trusted.
    Store,
    /// Exits of its last epoch are not confirmed shut.
    Closing,
    /// It cannot run the program that is in force.
    Configuration,
    /// The peer says that it is active.
    PeerActive,
    /// The witness says that its vote is the peer's, for a time that is not over.
    PeerVoted,
    /// Its superblock is empty, and it has not heard the peer, which could tell which epochs were taken. If that is gone
    /// for good, too, so are both stores, and this is a new pair.
    PeerUnknown,
}

impl Node {
    /// Whether to stand now; otherwise the first reason not to.
    pub fn may_stand(&self, now: Mono) -> Result<(), Obstacle> {
        let timing = &self.settings.timing;
        if !matches!(self.role, Role::Starting | Role::CatchingUp | Role::Standby | Role::Fenced) {
            return Err(Obstacle::Role(self.role));
        }
        if self.closing {
            return Err(Obstacle::Closing);
        }
        if !self.progresses(now) {
            return Err(Obstacle::NoProgress);
        }
        if self.unfit {
            return Err(Obstacle::Configuration);
        }
        if !self.voter.free(now) {
            return Err(Obstacle::Promised);
        }
        let peer_heard = self.peer.within(now, timing.promise);
        if peer_heard && self.is_active(&self.peer.report) {
            return Err(Obstacle::PeerActive);
        }
        if self.knows_nothing() {
            return Err(Obstacle::PeerUnknown);
        }
        if now < self.since.plus(self.hold()) || now < self.stand_after {
            return Err(Obstacle::Hold);
        }
        let votes = |seen: &Seen| {
            seen.within(now, timing.lease) && (now >= seen.free_at || self.promised_to_me(seen))
        };
        match self.settings.quorum {
            Quorum::Lone => Ok(()),
            Quorum::Witnessed if votes(&self.peer) || votes(&self.witness) => Ok(()),
            Quorum::Witnessed => Err(Obstacle::NoVoter),
            Quorum::Pair(PairPolicy::Availability) if !peer_heard || votes(&self.peer) => Ok(()),
            Quorum::Pair(PairPolicy::Safety)
                if votes(&self.peer) || self.evidence(&self.voter.block.promise) =>
            {
                Ok(())
            }
            Quorum::Pair(_) if mutant!("safety_ignored") && !peer_heard => Ok(()),
            Quorum::Pair(_) => Err(Obstacle::PeerUnknown),
        }
    }

    /// An empty superblock: this node is new, or its disk was exchanged. In which epochs it has
    /// been active its peer knows; that there were none, the witness, too.
    fn knows_nothing(&self) -> bool {
        let none_yet = self.witness.at != Mono::NEVER && self.witness.report.promise.epoch == 0;
        let paired = self.settings.quorum != Quorum::Lone;
        paired && self.voter.block.promise.epoch == 0 && self.peer.at == Mono::NEVER && !none_yet
    }

    fn promised_to_me(&self, seen: &Seen) -> bool {
        seen.report.promise.holder == Some(self.settings.me)
    }

    /// How long to wait in the present role before standing.
    pub(super) fn hold(&self) -> u64 {
        let timing = &self.settings.timing;
        match self.role {
            _ if self.settings.quorum == Quorum::Lone => 0,
            // It holds everything, and its promise to the last active has run out.
            Role::Standby => 0,
            // Whoever took over meanwhile is heard first.
            Role::Fenced => timing.promise,
            _ => {
                let last = self.voter.block.promise.epoch;
                let fresh = self.voter.block.led == last || self.in_step == last;
                let behind = if fresh { 0 } else { timing.start_hold };
                // Two nodes that start together do not stand together.
                let turn = self.settings.me.index() as u64 * timing.lease;
                timing.start_hold + behind + turn
            }
        }
    }

    /// Proof, without a witness, that the peer is not active: it gave the epoch up that it was
    /// last promised, or it has no power.
    fn evidence(&self, last: &Promise) -> bool {
        let gave_up = last.holder == Some(self.peer()) && last.epoch == self.peer_gave_up;
        gave_up || self.peer_off
    }

    /// The epoch to stand for: one that was promised to this node already, or a new one.
    ///
    /// What others have promised to it while its own superblock is empty belongs to a disk that is
    /// gone, and may have been led: it is never taken again.
    pub(super) fn epoch_to_stand_for(&self) -> Epoch {
        let block = &self.voter.block;
        let known = [self.peer.report.promise, self.witness.report.promise, block.promise];
        let is_mine = |promise: &Promise| promise.holder == Some(self.settings.me) && block.promise.epoch > 0;
        let (mine, others): (Vec<Promise>, Vec<Promise>) = known.iter().partition(|promise| is_mine(promise));
        let highest = others.iter().map(|promise| promise.epoch).max().unwrap_or(0);
        let highest = highest.max(self.leader).max(block.led);
        match mine.iter().map(|promise| promise.epoch).max() {
            Some(epoch) if epoch > highest => epoch,
            _ => self.settings.me.epoch_after(highest),
        }
    }

    pub(super) fn stand(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.let_go_of_switch(out);
        self.stand_for(now, self.epoch_to_stand_for(), out);
    }

    /// Promises itself the own vote. The caller has seen that the vote is free.
    pub(super) fn stand_for(&mut self, now: Mono, epoch: Epoch, out: &mut Vec<Output>) {
        let promise = Promise { epoch, holder: Some(self.settings.me) };
        if self.voter.block.promise == promise {
            self.voter.until = now.plus(self.settings.timing.promise);
        } else {
            self.voter.give(now, &self.settings.timing, promise);
        }
        self.owed = None;
        self.lease = Lease::for_epoch(epoch, Basis::Votes);
        self.next_beat = now;
        self.become_role(now, Role::Candidate, out);
    }

    /// An operator makes it active, whoever else may be.
    pub(super) fn force(&mut self, now: Mono, out: &mut Vec<Output>) {
        if let Err(why) = self.may_be_forced(now) {
            out.push(Output::Refused(Refusal::ForceActivate(why)));
            return;
        }
        let epoch = self.epoch_to_stand_for();
        out.push(Output::Notify(Event::Forced { epoch }));
        self.stand_for(now, epoch, out);
        self.lease.basis = Basis::Forced;
    }

    fn may_be_forced(&self, now: Mono) -> Result<(), ForceObstacle> {
        let promise = self.settings.timing.promise;
        let heard = self.peer.within(now, promise);
        let voted = self.witness.within(now, promise)
            && now < self.witness.free_at
            && self.witness.report.promise.holder == Some(self.peer());
        let obstacles = [
            (self.role.holds(), ForceObstacle::Active),
            (self.disk.failed || matches!(self.role, Role::Booting | Role::Faulted), ForceObstacle::Store),
            (self.closing, ForceObstacle::Closing),
            (self.unfit, ForceObstacle::Configuration),
            (heard && self.is_active(&self.peer.report), ForceObstacle::PeerActive),
            (voted, ForceObstacle::PeerVoted),
            (self.knows_nothing(), ForceObstacle::PeerUnknown),
        ];
        obstacles.into_iter().find(|(applies, _)| *applies).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The candidacy ends without a result. Nothing rests on the own vote, so it is free.
    pub(super) fn step_aside(&mut self, now: Mono, out: &mut Vec<Output>) {
        let timing = &self.settings.timing;
        self.voter.until = now;
        self.lease = Lease::NONE;
        // Two that failed together do not try again together.
        self.stand_after = now.plus((2 + self.settings.me.index() as u64) * timing.beat);
        let in_step = self.in_step != 0 && self.in_step == self.voter.block.before.epoch;
        self.become_role(now, if in_step { Role::Standby } else { Role::CatchingUp }, out);
    }

    pub(super) fn has_majority(&self, now: Mono) -> bool {
        let silent = !self.peer.within(now, self.settings.timing.promise);
        if self.lease.basis == Basis::Forced || self.lease.voted(now) {
            return true;
        }
        match self.settings.quorum {
            Quorum::Lone => true,
            Quorum::Witnessed => false,
            Quorum::Pair(PairPolicy::Availability) => silent,
            Quorum::Pair(PairPolicy::Safety) => {
                self.evidence(&self.voter.block.before) || mutant!("safety_ignored") && silent
            }
        }
    }

    /// A majority has voted for it.
    pub(super) fn win(&mut self, now: Mono, out: &mut Vec<Output>) {
        let epoch = self.lease.epoch;
        let stale = self.is_stale(now);
        if stale && self.settings.stale == StalePolicy::Ask && self.lease.basis != Basis::Forced {
            out.push(Output::Notify(Event::StaleRefused));
            self.step_aside(now, out);
            self.stand_after = now.plus(self.settings.timing.start_hold);
            return;
        }
        if let Quorum::Pair(_) | Quorum::Lone = self.settings.quorum {
            self.lease.basis = Basis::Alone;
        }
        if self.was_handed_over() {
            self.failback.switched(now);
        } else if self.voter.block.before.holder == Some(self.peer()) && self.failback.failover(now) {
            out.push(Output::Notify(Event::FailbackLatched));
        }
        self.switch = super::switching::Switch::None;
        self.voter.block.led = epoch;
        if !stale || mutant!("led_counts_as_whole") {
            self.voter.block.whole = epoch;
        }
        self.leader = self.leader.max(epoch);
        self.holder = super::holding::Holder::begin(stale);
        self.announced = false;
        self.become_role(now, Role::Activating, out);
    }

    /// Whether somebody may have delivered what this node does not hold: its log is not that
    /// of the last epoch, or the last active went alone.
    fn is_stale(&self, now: Mono) -> bool {
        let me = self.settings.me;
        let epoch = self.lease.epoch;
        let voted = [(&self.peer, self.lease.peer), (&self.witness, self.lease.witness)];
        let voters = voted.iter().filter(|(seen, until)| now < *until && seen.report.promise.epoch == epoch);
        // One that was won without this node's vote, and that it heard of, counts as well.
        let mut before = self.voter.block.before.epoch.max(self.leader);
        let mut mark: Option<Mark> = None;
        for (seen, _) in voters {
            before = before.max(seen.report.before.epoch);
            mark = mark.into_iter().chain(seen.report.mark).max_by_key(Mark::order);
        }
        if self.voter.block.whole == 0 && self.in_step == 0 {
            // New, or with a new disk: whatever there was before, it has nothing of it.
            let heard = [self.peer.report.promise.epoch, self.witness.report.promise.epoch];
            before = heard.into_iter().filter(|heard| *heard < epoch).fold(before, Epoch::max);
        }
        let behind = before != 0 && self.voter.block.whole != before && self.in_step != before;
        // An older mark is of a time of which this node has everything, or it is behind anyway.
        let went_alone = mark.is_some_and(|mark| {
            mark.solo && mark.holder != me && (mark.epoch >= before || mutant!("old_mark_counts"))
        }) && !mutant!("mark_ignored_at_takeover");
        // Who voted knows who was active last, and whether alone. Without any vote nobody does: by an operator's word, or
        // without a witness.
        let by_word = self.lease.basis == Basis::Forced;
        let peer_before = self.voter.block.before.holder == Some(self.peer());
        let unknown = before != 0 && !self.lease.voted(now) && (by_word || peer_before);
        behind || went_alone || unknown
    }
}

#[cfg(all(test, not(mutants)))]
mod tests {
    use super::Obstacle;
    use crate::failback::FailbackMode;
    use crate::member::NodeId::Primary;
    use crate::mono::Mono;
    use crate::node::{Command, Configured, Input, Node, Output, Role, Settings, StalePolicy};
    use crate::policy::{PairPolicy, Quorum};
    use crate::timing::Timing;
    use crate::token::ActivationToken;
    use crate::vote::{Promise, Superblock};

    /// Restarts the last active of epoch 1 without its peer: its next token, and whether it is stale.
    fn restarted(heard: Option<Input>) -> (ActivationToken, bool) {
        let quorum = Quorum::Pair(PairPolicy::Availability);
        let (stale, failback) = (StalePolicy::Allow, FailbackMode::Manual);
        let settings = Settings { me: Primary, quorum, timing: Timing::DEFAULT, stale, failback };
        let promise = Promise { epoch: 1, holder: Some(Primary) };
        let disk = Superblock { promise, led: 1, whole: 1, ..Superblock::default() };
        let mut node = Node::boot(settings, disk, Mono(1));
        let mut inputs: Vec<Input> = heard.into_iter().chain([Input::Opened]).rev().collect();
        for tick in 1..1_000u64 {
            let now = Mono(tick * 50_000_000);
            inputs.insert(0, Input::Moved { sequencer: true, store: true });
            while let Some(input) = inputs.pop() {
                let mut out = Vec::new();
                node.step(now, input, &mut out);
                for output in out {
                    match output {
                        Output::Persist(_) => inputs.push(Input::Persisted),
                        Output::Activate { token, stale } => return (token, stale),
                        _ => {}
                    }
                }
            }
        }
        panic!("it does not become active: {node:?}");
    }

    #[test]
    fn who_cannot_run_the_program_does_not_stand() {
        let quorum = Quorum::Pair(PairPolicy::Availability);
        let (stale, failback) = (StalePolicy::Allow, FailbackMode::Manual);
        let settings = Settings { me: Primary, quorum, timing: Timing::DEFAULT, stale, failback };
        let promise = Promise { epoch: 1, holder: Some(Primary) };
        let disk = Superblock { promise, led: 1, whole: 1, ..Superblock::default() };
        let mut node = Node::boot(settings, disk, Mono(1));
        let mut out = Vec::new();
        node.step(Mono(2), Input::Opened, &mut out);
        node.step(Mono(2), Input::Configured(None), &mut out);
        let ticks = |node: &mut Node, from: u64| {
            for tick in from..from + 1_000 {
                let now = Mono(tick * 50_000_000);
                node.step(now, Input::Moved { sequencer: true, store: true }, &mut Vec::new());
            }
            node.may_stand(Mono((from + 1_000) * 50_000_000))
        };
        assert_eq!(ticks(&mut node, 1), Err(Obstacle::Configuration));
        assert_eq!(node.role(), Role::Starting);
        node.step(Mono(1_001 * 50_000_000), Input::Configured(Some(Configured::default())), &mut out);
        assert_eq!(node.role(), Role::Candidate);
    }

    /// Gives a node inputs, and what its shell answers.
    fn fed(node: &mut Node, now: Mono, input: Input) -> Vec<Output> {
        let (mut inputs, mut given) = (vec![input], Vec::new());
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            node.step(now, input, &mut out);
            for output in &out {
                match output {
                    Output::Persist(_) => inputs.push(Input::Persisted),
                    Output::Activate { token, .. } => inputs.push(Input::Activated(token.epoch())),
                    _ => {}
                }
            }
            given.extend(out);
        }
        given
    }

    /// One that was active before, and of whose others none was heard yet.
    fn forced() -> Node {
        let (stale, failback) = (StalePolicy::Allow, FailbackMode::Manual);
        let timing = Timing::DEFAULT;
        let settings = Settings { me: Primary, quorum: Quorum::Witnessed, timing, stale, failback };
        let promise = Promise { epoch: 1, holder: Some(Primary) };
        let disk = Superblock { promise, led: 1, whole: 1, ..Superblock::default() };
        let mut node = Node::boot(settings, disk, Mono(1));
        fed(&mut node, Mono(2), Input::Opened);
        fed(&mut node, Mono(2), Input::Operator(Command::ForceActivate));
        assert_eq!(node.role(), Role::Active);
        node
    }

    /// With nobody else there, an operator's word is enough to deliver: the mark is on its own disk.
    #[test]
    fn who_is_forced_goes_alone_without_a_witness_that_is_gone() {
        let mut node = forced();
        let given = fed(&mut node, Mono(3), Input::GoAlone);
        assert!(given.contains(&Output::Alone(true)) && node.is_alone(), "{given:?}");
        assert_eq!(node.superblock().mark.map(|mark| mark.solo), Some(true), "its own next start sees it");
    }

    /// What a witness that lives has promised to another may be in use.
    #[test]
    fn who_is_forced_waits_for_a_witness_that_is_heard() {
        let (mut node, promise) = (forced(), Timing::DEFAULT.promise);
        node.witness.at = Mono(3);
        fed(&mut node, Mono(4), Input::GoAlone);
        assert!(!node.is_alone());
        assert!(node.due(Mono(4)) <= Mono(3 + promise));
        fed(&mut node, Mono(2 + promise), Input::Tick);
        assert!(!node.is_alone());
        fed(&mut node, Mono(3 + promise), Input::Tick);
        assert!(node.is_alone(), "it is silent for longer than it could have promised anything");
    }

    #[test]
    fn who_was_refused_for_a_higher_epoch_knows_that_its_log_lacks_it() {
        let (token, stale) = restarted(None);
        assert_eq!((token.epoch(), stale), (3, false));
        let (token, stale) = restarted(Some(Input::FencedBy(4)));
        assert_eq!((token.epoch(), stale), (5, true));
    }
}
