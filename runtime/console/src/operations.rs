//! What only the gateway can do for its operators: the contract between it and this room.

use gwp_core::BoxFuture;
use gwp_engine::Removed;
use serde_json::Value;

/// What an operation answers: a JSON object, or why not.
pub type Outcome = Result<Value, Refusal>;

/// What the gateway does for its operators. `by` is the name of who asks, for the record.
///
/// An operation runs to its end, also when who asked for it is gone. One that takes longer than
/// [`crate::limits::ANSWER_TIME`] is answered with 503 meanwhile.
pub trait Operations: Send + Sync {
    /// The difference between what runs and what would run.
    fn plan(&self, change: Change) -> BoxFuture<'_, Outcome>;

    /// Runs another program.
    fn apply<'a>(&'a self, change: Change, options: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome>;

    /// Ends a probation: what was applied with `confirm_within_s` stays.
    fn confirm<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome>;

    /// What ran, the newest first.
    fn history(&self) -> BoxFuture<'_, Outcome>;

    /// One configuration of the history, with its files.
    fn configuration<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Outcome>;

    /// Runs a configuration of the history again.
    fn rollback<'a>(&'a self, id: &'a str, options: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome>;

    /// Sinks, what waits for them, and what was dropped.
    fn journals(&self) -> BoxFuture<'_, Outcome>;

    /// Stops the sources and delivers what waits; the process stays.
    fn drain<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome>;

    /// What this node is in its pair.
    fn pair(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async { Err(no_peer()) })
    }

    /// An operator wants something of the pair.
    fn pair_command<'a>(&'a self, _: PairCommand, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Err(no_peer()) })
    }

    /// Has the process end in order. Answers at once; the end waits for this answer to be sent, see
    /// [`crate::server::Serving::stop`].
    fn stop<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome>;
}

/// Of a gateway that is no pair's.
pub fn no_peer() -> Refusal {
    Refusal::Unsupported("this gateway has no peer: its node.toml has no [pair]".into())
}

/// What an operator can want of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PairCommand {
    /// The active moves the graph to its peer.
    Switchover,
    /// A node that is not active does not take over, or does again.
    Maintenance(bool),
    /// Become active without votes.
    ForceActivate,
    /// The backup, which is active, moves the graph back to the primary.
    Failback,
    /// What was latched after too many switches may move by itself again.
    ClearLatch,
}

/// A program: its files by name. The names are relative, have no `..` and differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Name and text, in the order they were given.
    pub files: Vec<(String, String)>,
}

/// How another program takes over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApplyOptions {
    /// Why, for the history.
    pub message: String,
    /// Without `confirm` within this many seconds, what ran before runs again.
    pub confirm_within_s: Option<u32>,
    /// What becomes of what waits for sinks that are no longer there.
    pub removed: Removed,
    /// The plan that is meant to run before; [`Refusal::Conflict`] if another one does.
    pub expected: Option<String>,
    /// In a pair: also with the peer away, or not able to run it. It takes the program over when it is back.
    pub single: bool,
}

/// Why an operation was not done.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The program has errors: its diagnostics, as `gwp check --json` prints them. 422.
    #[error("the program has errors")]
    Invalid(Value),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// It does not fit what is the case. 409.
    #[error("{0}")]
    Conflict(String),
    /// Not now. 503.
    #[error("{0}")]
    Unavailable(String),
    /// This gateway cannot do it. 501.
    #[error("{0}")]
    Unsupported(String),
}
