//! What this gateway can do for its operators.

use super::live::Looks;
use crate::configuration::bundle::File;
use crate::configuration::desk::ChangeDesk;
use crate::pair::desk::PairDesk;
use gwp_console::live::{LiveReceiver, LiveTag, LiveView};
use gwp_console::operations::no_peer;
use gwp_console::{ApplyOptions, Change, Operations, Outcome, PairCommand, Refusal};
use gwp_core::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;

/// The gateway, for its control interface.
pub struct Gateway {
    pub desk: Arc<ChangeDesk>,
    /// Set to end the process in order.
    pub end: watch::Sender<bool>,
    pub looks: Looks,
    /// The other node, if there is one.
    pub peer: Option<Arc<PairDesk>>,
}

/// The peer would read on as soon as it is active, and whoever drains means to end the graph.
const DRAIN_IN_PAIR: &str = "in a pair the peer would go on reading: stop the other node first, then this one: it ends in order, and what waits is kept for the next start";

fn files(change: Change) -> Vec<File> {
    change.files.into_iter().map(|(name, text)| File { name, text }).collect()
}

/// Runs to its end, also when who asked is gone.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let gone = |error: tokio::task::JoinError| Refusal::Unavailable(error.to_string());
    tokio::spawn(work).await.map_err(gone)?
}

impl Operations for Gateway {
    fn plan(&self, change: Change) -> BoxFuture<'_, Outcome> {
        Box::pin(self.desk.plan(files(change)))
    }

    fn apply<'a>(&'a self, change: Change, options: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome> {
        let (desk, by) = (self.desk.clone(), by.to_owned());
        Box::pin(whole(async move { desk.apply(files(change), options, &by).await }))
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.desk.confirm())
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async { Ok(self.desk.history().await) })
    }

    fn configuration<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.desk.configuration(id))
    }

    fn rollback<'a>(&'a self, id: &'a str, options: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome> {
        let (desk, id, by) = (self.desk.clone(), id.to_owned(), by.to_owned());
        Box::pin(whole(async move { desk.rollback(&id, options, &by).await }))
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        let graph = self.desk.engine.status.graph();
        let journal = |sink: &Arc<gwp_engine::status::SinkStatus>| {
            let figures = &sink.journal;
            let (covered, floor) = figures.cursors();
            json!({
                "sink": &*sink.name,
                "leaving": sink.leaving,
                "waiting": figures.pending_samples.load(Relaxed),
                "waiting_bytes": figures.pending_bytes.load(Relaxed),
                "oldest_ns": figures.oldest_ns.load(Relaxed),
                "delivered": figures.delivered_samples.load(Relaxed),
                "dropped": figures.dropped_samples.load(Relaxed),
                "covered": covered.to_string(),
                "delivered_up_to": floor.to_string(),
            })
        };
        let journals: Vec<Value> = graph.sinks.iter().map(journal).collect();
        Box::pin(async move { Ok(json!({ "journals": journals })) })
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        let desk = self.desk.clone();
        let in_pair = self.peer.is_some();
        Box::pin(whole(async move {
            if in_pair {
                return Err(Refusal::Unsupported(DRAIN_IN_PAIR.into()));
            }
            desk.engine.stop_sources().await;
            Ok(json!({ "waiting": desk.waiting() }))
        }))
    }

    fn pair(&self) -> BoxFuture<'_, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(peer.status()),
            None => Box::pin(async { Err(no_peer()) }),
        }
    }

    fn pair_command<'a>(&'a self, command: PairCommand, _: &'a str) -> BoxFuture<'a, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(peer.command(command)),
            None => Box::pin(async { Err(no_peer()) }),
        }
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            self.end.send_replace(true);
            Ok(json!({ "stopping": true }))
        })
    }
}

/// No graph runs here: all that needs one is refused.
pub struct NoGraph {
    /// The pair, where this node waits to take over.
    pub peer: Option<Arc<PairDesk>>,
    /// Set to end the process in order, if there is one that waits.
    pub end: Option<watch::Sender<bool>>,
}

impl NoGraph {
    /// No gateway runs at all.
    pub fn nobody() -> NoGraph {
        NoGraph { peer: None, end: None }
    }

    /// Why, for who asks.
    fn why(&self) -> String {
        self.peer.as_ref().map_or_else(|| "no gateway runs here".into(), |peer| peer.elsewhere())
    }

    fn refuse(&self) -> BoxFuture<'static, Outcome> {
        let why = self.why();
        Box::pin(async move { Err(Refusal::Unavailable(why)) })
    }
}

impl Operations for NoGraph {
    fn plan(&self, _: Change) -> BoxFuture<'_, Outcome> {
        self.refuse()
    }

    fn apply<'a>(&'a self, _: Change, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        self.refuse()
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        self.refuse()
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(peer.history()),
            None => self.refuse(),
        }
    }

    fn configuration<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(async move { peer.configuration(id) }),
            None => self.refuse(),
        }
    }

    fn rollback<'a>(&'a self, _: &'a str, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        self.refuse()
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        self.refuse()
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        self.refuse()
    }

    fn pair(&self) -> BoxFuture<'_, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(peer.status()),
            None => self.refuse(),
        }
    }

    fn pair_command<'a>(&'a self, command: PairCommand, _: &'a str) -> BoxFuture<'a, Outcome> {
        match &self.peer {
            Some(peer) => Box::pin(peer.command(command)),
            None => self.refuse(),
        }
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        let Some(end) = &self.end else { return self.refuse() };
        end.send_replace(true);
        Box::pin(async { Ok(json!({ "stopping": true })) })
    }
}

impl LiveView for NoGraph {
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    fn watch(&self, _: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        Err(Refusal::Unavailable(self.why()))
    }

    fn write<'a>(&'a self, _: &'a str, _: &'a Value, _: &'a str) -> BoxFuture<'a, Outcome> {
        self.refuse()
    }
}
