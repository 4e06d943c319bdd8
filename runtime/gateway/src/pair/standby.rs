//! The control interface of a node that is not active: the pair, and nothing that needs a graph.

use super::desk::PairDesk;
use crate::control::operations::refuse;
use gwp_console::live::{LiveReceiver, LiveTag, LiveView};
use gwp_console::{ApplyOptions, Change, Operations, Outcome, PairCommand, Refusal};
use gwp_core::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

/// What refuses all that needs the graph.
const ELSEWHERE: &str = "this node is not active, and the graph does not run here: ask its peer";

pub struct StandbyDesk {
    pub pair: Arc<PairDesk>,
    /// Set to end the process in order.
    pub end: watch::Sender<bool>,
}

impl Operations for StandbyDesk {
    fn plan(&self, _: Change) -> BoxFuture<'_, Outcome> {
        refuse(ELSEWHERE)
    }

    fn apply<'a>(&'a self, _: Change, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        refuse(ELSEWHERE)
    }

    fn configuration<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }

    fn rollback<'a>(&'a self, _: &'a str, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        refuse(ELSEWHERE)
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }

    fn pair(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.pair.status())
    }

    fn pair_command<'a>(&'a self, command: PairCommand, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.pair.command(command))
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            self.end.send_replace(true);
            Ok(json!({ "stopping": true }))
        })
    }
}

impl LiveView for StandbyDesk {
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    fn watch(&self, _: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        Err(Refusal::Unavailable(ELSEWHERE.into()))
    }

    fn write<'a>(&'a self, _: &'a str, _: &'a Value, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse(ELSEWHERE)
    }
}
