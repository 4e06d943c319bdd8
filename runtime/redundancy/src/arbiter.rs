//! The third vote: what a pair asks of whoever breaks its ties.
//!
//! The built-in witness is one ([`crate::witness`]). A lease of a cluster store can be another
//! one: it gives its own epochs' order through `acquire`, and must keep a promise for as long.

use crate::member::{Epoch, NodeId};
use crate::mono::Mono;
use crate::vote::{Mark, Promise, Verdict};

/// Who holds the vote, and for how much longer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Held {
    pub promise: Promise,
    pub before: Promise,
    pub mark: Option<Mark>,
    /// Nanoseconds until anybody may have it; 0 = now.
    pub bound_for: u64,
}

/// A keeper of one vote and of the mark. What it grants is durable before anybody is told.
pub trait Arbiter {
    /// `node` wants to hold `epoch`, for the first time or again. A grant binds the vote for
    /// one promise from `now`.
    fn acquire(&mut self, now: Mono, node: NodeId, epoch: Epoch) -> Verdict;

    /// `node` was active in `epoch` and never will be again.
    fn release(&mut self, node: NodeId, epoch: Epoch);

    fn watch(&self, now: Mono) -> Held;

    /// Keeps a mark of the present holder; `false` = it is not the holder, or the mark is old.
    fn mark(&mut self, mark: Mark) -> bool;
}
