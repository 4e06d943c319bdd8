//! What a node does to become and stay the holder of an epoch, and how it ends.

use super::{Event, Node, Output, Role, mark_of};
use crate::lease::Basis;
use crate::member::{Epoch, Member};
use crate::message::Body;
use crate::mono::Mono;
use crate::policy::Quorum;
use crate::token::{ActivationToken, Permit};
use crate::vote::Mark;

/// What only an active has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Holder {
    /// What waits here may already have been delivered by somebody else.
    pub stale: bool,
    /// The peer holds all that was logged.
    pub peer_in_step: bool,
    /// Since when, or when it did last; [`Mono::NEVER`] = not in this epoch.
    pub in_step_since: Mono,
    alone: Alone,
    /// Changes of the mark in this epoch.
    turn: u32,
}

/// Whether the active may deliver what its peer does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Alone {
    #[default]
    No,
    /// Once the mark is on disk.
    Asked,
    Yes,
    /// No more; the mark has yet to be cleared.
    Clearing,
}

impl Holder {
    pub(super) fn begin(stale: bool) -> Holder {
        Holder { stale, ..Holder::default() }
    }

    #[cfg(test)]
    pub(super) fn instants(&mut self) -> [&mut Mono; 1] {
        [&mut self.in_step_since]
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone == Alone::Yes
    }

    fn peer_was_in_step(&self) -> bool {
        self.in_step_since != Mono::NEVER
    }

    /// The mark that is to be kept, if one has yet to be.
    fn pending(&self, node: &Node) -> Option<Mark> {
        match self.alone {
            Alone::Asked => Some(mark_of(node, self.turn, true)),
            Alone::Clearing => Some(mark_of(node, self.turn, false)),
            Alone::No | Alone::Yes => None,
        }
    }
}

impl Node {
    /// Speaks to the others when it is time.
    pub(super) fn beat(&mut self, now: Mono, out: &mut Vec<Output>) {
        let timing = self.settings.timing;
        self.next_beat = now.plus(timing.beat);
        if self.settings.quorum == Quorum::Lone {
            return;
        }
        let peer = Member::Node(self.peer());
        let witness = (self.settings.quorum == Quorum::Witnessed).then_some(Member::Witness);
        let wants = self.role == Role::Candidate || self.role.holds();
        if wants && (self.progresses(now) || mutant!("renewal_while_hung")) {
            self.voter.until = now.plus(timing.promise);
            for to in [Some(peer), witness].into_iter().flatten() {
                self.send(now, to, Body::Ask { epoch: self.lease.epoch, sent: now }, out);
            }
        } else {
            // Who is asked often enough answers, and need not say hello as well.
            let unasked = now >= self.peer_hello_at;
            if let Some(epoch) = self.epoch_of_switch() {
                self.send(now, peer, Body::Ask { epoch, sent: now }, out);
            } else if unasked {
                self.send(now, peer, Body::Hello, out);
            }
            if let Some(witness) = witness.filter(|_| unasked || now >= self.next_witness_hello) {
                self.next_witness_hello = now.plus(timing.idle_hello);
                self.send(now, witness, Body::Hello, out);
            }
        }
        if let (Some(mark), Some(witness)) = (self.holder.pending(self), witness) {
            self.send(now, witness, Body::Mark(mark), out);
        }
    }

    /// A hung pipeline must lose its lease like a dead one.
    pub(super) fn progresses(&self, now: Mono) -> bool {
        let moved = |at: Mono| now.since(at) < self.settings.timing.lease;
        moved(self.sequencer_moved) && moved(self.store_moved)
    }

    /// The epoch is won and on disk: the shell may open the sinks.
    pub(super) fn announce(&mut self, now: Mono, out: &mut Vec<Output>) {
        // A lease may have ended since; the token would be of no use.
        if now < self.lease.until() {
            self.announced = true;
            let token = ActivationToken::new(self.lease.epoch);
            out.push(Output::Activate { token, stale: self.holder.stale });
        }
    }

    pub(super) fn activated(&mut self, now: Mono, epoch: Epoch, out: &mut Vec<Output>) {
        if self.role == Role::Activating && self.announced && epoch == self.lease.epoch {
            self.voter.block.whole = epoch;
            self.become_role(now, Role::Active, out);
            self.permit(out);
            out.push(Output::Notify(Event::Activated { epoch, stale: self.holder.stale }));
        }
    }

    fn permit(&self, out: &mut Vec<Output>) {
        let until = self.lease.until();
        let writes_until = match until {
            Mono::FOREVER => until,
            Mono(ns) => Mono(ns.saturating_sub(self.settings.timing.lease / 2)),
        };
        out.push(Output::Permit(Permit::new(self.lease.epoch, until, writes_until)));
    }

    /// Tells the exits when the lease became longer (or an operator's word became a vote).
    pub(super) fn permit_if_longer(&self, before: Mono, out: &mut Vec<Output>) {
        if matches!(self.role, Role::Active | Role::Draining) && self.lease.until() != before {
            self.permit(out);
        }
    }

    /// The epoch is over: exits shut, and nothing of it is left but that it was led.
    pub(super) fn lose(&mut self, now: Mono, out: &mut Vec<Output>) {
        out.push(Output::Close);
        self.closing = true;
        self.end_epoch(now, out);
    }

    pub(super) fn end_epoch(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.lease = crate::lease::Lease::NONE;
        self.holder = Holder::default();
        self.announced = false;
        self.switch = super::switching::Switch::None;
        self.become_role(now, Role::Fenced, out);
    }

    pub(super) fn peer_in_step(&mut self, now: Mono, in_step: bool, out: &mut Vec<Output>) {
        if !matches!(self.role, Role::Active | Role::Draining) || in_step == self.holder.peer_in_step {
            return;
        }
        let epoch = self.lease.epoch;
        self.holder.peer_in_step = in_step;
        if !in_step {
            out.push(Output::Notify(Event::RedundancyLost { epoch }));
            return;
        }
        self.holder.in_step_since = now;
        out.push(Output::Notify(Event::RedundancyRestored { epoch }));
        if self.holder.alone != Alone::No {
            out.push(Output::Alone(false));
            self.holder.alone = Alone::Clearing;
            self.holder.turn += 1;
            self.keep_own_mark();
        }
    }

    /// Deliveries have waited for the peer for too long.
    pub(super) fn go_alone(&mut self, now: Mono, out: &mut Vec<Output>) {
        if self.role != Role::Active || matches!(self.holder.alone, Alone::Asked | Alone::Yes) {
            return;
        }
        self.peer_in_step(now, false, out);
        self.holder.alone = Alone::Asked;
        self.holder.turn += 1;
        // Said at once: people wait for deliveries.
        self.next_beat = now;
        self.keep_own_mark();
        if mutant!("alone_without_mark") {
            self.holder.alone = Alone::Yes;
            out.push(Output::Alone(true));
        }
    }

    /// The mark is kept here, too, and before the witness is asked: the peer may win with this
    /// node's vote alone, and must see it then.
    fn keep_own_mark(&mut self) {
        if let Some(mark) = self.holder.pending(self)
            && !(mutant!("mark_at_witness_alone") && self.settings.quorum == Quorum::Witnessed)
            && !mutant!("own_mark_not_kept")
        {
            self.voter.mark(mark);
        }
    }

    /// The own mark has reached the disk: where the witness need not keep it, that is all.
    /// An operator's word is not taken for more than it says while the witness is heard: what that has promised to
    /// another may still be in use. It votes, or it is silent.
    pub(super) fn own_mark_kept(&mut self, now: Mono, out: &mut Vec<Output>) {
        let skipped = mutant!("own_mark_not_kept");
        let mark = if skipped { self.holder.pending(self) } else { self.voter.block.mark };
        let by_word =
            self.lease.basis == Basis::Forced && self.witness.within(now, self.settings.timing.promise);
        if let Some(mark) = mark.filter(|_| !self.witness_keeps_mark() && !by_word) {
            self.marked(mark, out);
        }
    }

    /// Whether the mark counts once the witness has it: where there is one, and the peer has been in step in this
    /// epoch. Until then the peer needs no mark: whoever votes for it next knows of the epoch, and by that it knows
    /// that it does not have everything. So who is active by an operator's word delivers with nobody else there.
    pub fn witness_keeps_mark(&self) -> bool {
        self.settings.quorum == Quorum::Witnessed
            && self.holder.peer_was_in_step()
            && !mutant!("own_mark_enough")
    }

    pub(super) fn marked(&mut self, mark: Mark, out: &mut Vec<Output>) {
        if self.holder.pending(self) != Some(mark) {
            return;
        }
        if mark.solo {
            self.holder.alone = Alone::Yes;
            out.push(Output::Alone(true));
        } else {
            self.holder.alone = Alone::No;
        }
    }
}
