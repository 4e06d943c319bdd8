//! What members say to each other. Every message carries a report of its sender, so a lost
//! one costs time and nothing else.
//!
//! The shell authenticates, refuses replays and frames of an earlier boot of the sender, and
//! sends over all links at once; the machine sees a message at most a few times, in any order.

use crate::member::Epoch;
use crate::mono::Mono;
use crate::node::Configured;
use crate::vote::{Mark, Promise};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    pub report: Report,
    pub body: Body,
}

impl Message {
    /// For model checkers: the stamp of a message under way gets older.
    #[cfg(test)]
    pub(crate) fn age(&mut self, ns: u64) {
        if let Body::Ask { sent, .. } | Body::Vote { sent, .. } = &mut self.body {
            crate::mono::age(sent, ns);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// I am here. The witness answers with its own; a node does not.
    Hello,
    /// Be my voter for `epoch`. `sent` = the sender's clock; the answer brings it back.
    Ask { epoch: Epoch, sent: Mono },
    /// Answer to [`Body::Ask`].
    Vote { epoch: Epoch, sent: Mono, granted: bool },
    /// Keep this mark (to the witness).
    Mark(Mark),
    /// This mark is on disk (from the witness).
    Marked(Mark),
}

/// What a member says of itself in every message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Report {
    pub stance: Stance,
    /// Epoch the sender holds or stands for; 0 = none.
    pub epoch: Epoch,
    /// Epoch in which it was active and never will be again: whoever promised it is free.
    /// 0 = none.
    pub relinquished: Epoch,
    /// Its vote, and for how many nanoseconds that still keeps the receiver from having it.
    pub promise: Promise,
    pub bound_for: u64,
    /// The promise before; who may have been active before.
    pub before: Promise,
    pub mark: Option<Mark>,
    /// Only a node's.
    pub node: NodeReport,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NodeReport {
    /// What it runs, or would run.
    pub configured: Configured,
    /// As the active: the peer holds all that was logged, and deliveries wait for it.
    pub paired: bool,
    /// As the active: a switchover is wanted. As the standby: it is prepared for one.
    pub switching: bool,
    /// 0 (worst) to 100.
    pub health: u8,
    /// As a standby: it could take over at once, and its last readiness drill passed.
    pub ready: bool,
}

/// What a sender is to its peer, in as many cases as the peer needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Stance {
    #[default]
    Witness,
    /// Neither active nor about to be.
    Aside,
    Candidate,
    /// Activating, active or draining.
    Active,
}
