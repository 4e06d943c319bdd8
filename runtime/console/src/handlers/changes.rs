//! Changes of what runs: handed to the gateway.

use crate::answer::{Call, Handled, Refused, of_outcome};
use crate::bodies::{self, Apply, Plan, Rollback};
use crate::console::Console;
use crate::operations::{ApplyOptions, Change, PairCommand};
use serde_json::{Value, json};
use std::sync::Arc;

/// Names of files that the audit log lists.
const NAMES_LISTED: usize = 8;

/// What the audit log keeps of a program: enough to know whether another one is the same.
fn summary(change: &Change) -> Value {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in &change.files {
        for part in [name, text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    let names: Vec<&str> = change.files.iter().take(NAMES_LISTED).map(|(name, _)| name.as_str()).collect();
    json!({ "files": change.files.len(), "names": names, "hash": hasher.finalize().to_hex().as_str() })
}

fn with_options(mut summary: Value, options: &ApplyOptions) -> Value {
    summary["message"] = options.message.clone().into();
    summary["confirm_within_s"] = options.confirm_within_s.into();
    summary["removed"] = options.removed.word().into();
    summary["expected"] = options.expected.clone().into();
    summary["single"] = options.single.into();
    summary
}

pub async fn plan(console: Arc<Console>, call: Call) -> Handled {
    let body: Plan = bodies::read(&call.body).map_err(Refused::bad)?;
    of_outcome(console.operations.plan(body.change()).await)
}

pub async fn apply(console: Arc<Console>, call: Call) -> Handled {
    let body: Apply = bodies::read(&call.body).map_err(Refused::bad)?;
    let (change, options) = body.parts();
    call.note.edit(|note| note.detail = with_options(summary(&change), &options));
    of_outcome(console.operations.apply(change, options, call.by()).await)
}

pub async fn confirm(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.confirm(call.by()).await)
}

pub async fn history(console: Arc<Console>, _: Call) -> Handled {
    of_outcome(console.operations.history().await)
}

pub async fn configuration(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.configuration(call.part("id")).await)
}

pub async fn rollback(console: Arc<Console>, call: Call) -> Handled {
    let body: Rollback = bodies::read(&call.body).map_err(Refused::bad)?;
    let (id, options) = body.parts();
    call.note.edit(|note| {
        note.target = id.clone();
        note.detail = with_options(json!({}), &options);
    });
    of_outcome(console.operations.rollback(&id, options, call.by()).await)
}

pub async fn journals(console: Arc<Console>, _: Call) -> Handled {
    of_outcome(console.operations.journals().await)
}

pub async fn drain(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.drain(call.by()).await)
}

pub async fn stop(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.stop(call.by()).await)
}

pub async fn pair(console: Arc<Console>, _: Call) -> Handled {
    of_outcome(console.operations.pair().await)
}

pub async fn switchover(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::Switchover, call.by()).await)
}

pub async fn maintenance_on(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::Maintenance(true), call.by()).await)
}

pub async fn maintenance_off(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::Maintenance(false), call.by()).await)
}

pub async fn failback(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::Failback, call.by()).await)
}

pub async fn clear_latch(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::ClearLatch, call.by()).await)
}

pub async fn force_activate(console: Arc<Console>, call: Call) -> Handled {
    of_outcome(console.operations.pair_command(PairCommand::ForceActivate, call.by()).await)
}
