//! What this gateway can do for its operators.

use gwp_console::live::{LiveReceiver, LiveTag, LiveView};
use gwp_console::{ApplyOptions, Change, Operations, Outcome, Refusal};
use gwp_core::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// Refuses everything: a gateway runs the program it was started with.
pub struct Fixed;

fn unsupported<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(format!("this gateway cannot {what}")))
}

fn refuse(what: &str) -> BoxFuture<'static, Outcome> {
    let refused = unsupported(what);
    Box::pin(async move { refused })
}

impl Operations for Fixed {
    fn plan(&self, _: Change) -> BoxFuture<'_, Outcome> {
        refuse("compare programs")
    }

    fn apply<'a>(&'a self, _: Change, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("change its program")
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("change its program")
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        refuse("tell what ran")
    }

    fn configuration<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("tell what ran")
    }

    fn rollback<'a>(&'a self, _: &'a str, _: ApplyOptions, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("change its program")
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        refuse("look into its journals")
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("drain")
    }

    fn stop<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("be stopped from here; send it SIGTERM")
    }
}

impl LiveView for Fixed {
    fn tags(&self) -> Result<Vec<LiveTag>, Refusal> {
        unsupported("show live values")
    }

    fn watch(&self, _: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        unsupported("show live values")
    }

    fn write<'a>(&'a self, _: &'a str, _: &'a Value, _: &'a str) -> BoxFuture<'a, Outcome> {
        refuse("write to tags from here")
    }
}
