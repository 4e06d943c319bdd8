//! The witness: a third voter that holds no data, only its vote and the mark.

use crate::arbiter::{Arbiter, Held};
use crate::member::{Epoch, NodeId};
use crate::message::{Body, Message, NodeReport, Report, Stance};
use crate::mono::Mono;
use crate::timing::Timing;
use crate::vote::{Mark, Superblock, Verdict, Voter};

/// What happens to a witness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WitnessInput {
    /// An authenticated message of this boot of its sender.
    Message { from: NodeId, message: Message },
    /// The last [`WitnessOutput::Persist`] is on disk.
    Persisted,
    /// It could not be written: this witness votes no more.
    PersistFailed,
}

/// What it wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WitnessOutput {
    Send {
        to: NodeId,
        message: Message,
    },
    /// Write and sync, then [`WitnessInput::Persisted`]. At most one is under way.
    Persist(Superblock),
}

/// The built-in arbiter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Witness {
    timing: Timing,
    voter: Voter,
    written: Superblock,
    writing: Option<Superblock>,
    failed: bool,
    /// Answers that wait for the disk, by node.
    owed: [Owed; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Owed {
    vote: Option<(Epoch, Mono)>,
    mark: Option<Mark>,
}

impl Arbiter for Witness {
    fn acquire(&mut self, now: Mono, node: NodeId, epoch: Epoch) -> Verdict {
        self.voter.ask(now, &self.timing, node, epoch)
    }

    fn release(&mut self, node: NodeId, epoch: Epoch) {
        self.voter.relinquished(node, epoch);
    }

    fn watch(&self, now: Mono) -> Held {
        let block = &self.voter.block;
        Held {
            promise: block.promise,
            before: block.before,
            mark: block.mark,
            bound_for: self.voter.until.since(now),
        }
    }

    fn mark(&mut self, mark: Mark) -> bool {
        self.voter.mark(mark)
    }
}

impl Witness {
    /// A witness whose process has just started, with what its superblock holds.
    pub fn boot(timing: Timing, superblock: Superblock, now: Mono) -> Witness {
        Witness {
            timing,
            voter: Voter::start(superblock, now, &timing),
            written: superblock,
            writing: None,
            failed: false,
            owed: Default::default(),
        }
    }

    /// What its superblock is to hold.
    pub fn superblock(&self) -> Superblock {
        self.voter.block
    }

    /// Takes one input at `now` and appends what is to be done.
    pub fn step(&mut self, now: Mono, input: WitnessInput, out: &mut Vec<WitnessOutput>) {
        match input {
            WitnessInput::Message { from, message } if !self.failed => self.hear(now, from, message, out),
            WitnessInput::Message { .. } => {}
            WitnessInput::Persisted => {
                if let Some(block) = self.writing.take() {
                    self.written = block;
                }
            }
            WitnessInput::PersistFailed => self.failed = true,
        }
        if self.failed {
            return;
        }
        if mutant!("vote_not_durable") {
            self.written = self.voter.block;
        }
        if self.writing.is_none() && self.written != self.voter.block {
            self.writing = Some(self.voter.block);
            out.push(WitnessOutput::Persist(self.voter.block));
        }
        if self.writing.is_none() {
            self.speak(now, out);
        }
    }

    fn hear(&mut self, now: Mono, from: NodeId, message: Message, out: &mut Vec<WitnessOutput>) {
        self.release(from, message.report.relinquished);
        match message.body {
            Body::Hello => self.send(now, from, Body::Hello, out),
            Body::Ask { epoch, sent } => match self.acquire(now, from, epoch) {
                Verdict::Denied => self.send(now, from, Body::Vote { epoch, sent, granted: false }, out),
                Verdict::Given | Verdict::Renewed => self.owed[from.index()].vote = Some((epoch, sent)),
            },
            Body::Mark(mark) if mark.holder == from && self.mark(mark) => {
                self.owed[from.index()].mark = Some(mark);
            }
            Body::Mark(_) | Body::Vote { .. } | Body::Marked(_) => {}
        }
    }

    /// All is on disk: what waited for that is said, if it still holds.
    fn speak(&mut self, now: Mono, out: &mut Vec<WitnessOutput>) {
        for node in NodeId::BOTH {
            let owed = std::mem::take(&mut self.owed[node.index()]);
            let promise = self.voter.block.promise;
            if let Some((epoch, sent)) = owed.vote
                && promise.epoch == epoch
                && promise.holder == Some(node)
            {
                self.send(now, node, Body::Vote { epoch, sent, granted: true }, out);
            }
            if let Some(mark) = owed.mark
                && self.voter.block.mark == Some(mark)
            {
                self.send(now, node, Body::Marked(mark), out);
            }
        }
    }

    fn send(&self, now: Mono, to: NodeId, body: Body, out: &mut Vec<WitnessOutput>) {
        let held = self.watch(now);
        let report = Report {
            stance: Stance::Witness,
            epoch: 0,
            relinquished: 0,
            promise: held.promise,
            bound_for: if held.promise.holder == Some(to) { 0 } else { held.bound_for },
            before: held.before,
            mark: held.mark,
            node: NodeReport::default(),
        };
        out.push(WitnessOutput::Send { to, message: Message { report, body } });
    }

    /// For model checkers. The stamps it owes are of other clocks, and not owed between steps.
    #[cfg(test)]
    pub(crate) fn age(&mut self, ns: u64, now: Mono) {
        crate::mono::near(&mut self.voter.until, ns, now);
    }
}
