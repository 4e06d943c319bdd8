//! What this gateway can do for its operators.

use super::live::Looks;
use crate::configuration::bundle::File;
use crate::configuration::desk::ChangeDesk;
use gwp_console::live::{LiveReceiver, LiveTag, LiveView};
use gwp_console::{ApplyOptions, Change, Operations, Outcome, Refusal};
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
}

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
        Box::pin(whole(async move {
            desk.engine.stop_sources().await;
            Ok(json!({ "waiting": desk.waiting() }))
        }))
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            self.end.send_replace(true);
            Ok(json!({ "stopping": true }))
        })
    }
}

/// Nothing runs: all that needs a gateway is refused.
pub struct Nothing;

fn refuse() -> BoxFuture<'static, Outcome> {
    Box::pin(async { Err(Refusal::Unavailable("no gateway runs here".into())) })
}

impl Operations for Nothing {
    fn plan(&self, _: Change) -> BoxFuture<'_, Outcome> {
        refuse()
    }

    fn apply<'a>(&'a self, _: Change, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        refuse()
    }

    fn configuration<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }

    fn rollback<'a>(&'a self, _: &'a str, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        refuse()
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }
}

impl LiveView for Nothing {
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    fn watch(&self, _: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        Err(Refusal::Unavailable("no gateway runs here".into()))
    }

    fn write<'a>(&'a self, _: &'a str, _: &'a Value, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse()
    }
}
