//! Values that operators write to tags: commands like those from a source, carried out by the same executor.
//!
//! ```text
//! operator --value--> Engine::write --command sample--> Sequencer --> log --> executor --> device
//!      ^                                                                        |
//!      +------------------------------ outcome --------------------------------+
//! ```
//! So what `allow`, `limit` and `expire` of the `write` item say holds for operators, too, and the log has the command
//! before anything is done.

use crate::engine::Engine;
use crate::limits::{OPERATOR_ANSWER, OPERATOR_COMMANDS_MAX};
use crate::sequencer::{Sequencer, SourceKey};
use gwp_core::record::SlotMark;
use gwp_core::source::Emission;
use gwp_core::{Batch, Clock, Column, GroupId, Kind, Timestamp, Value};
use gwp_plan::Plan;
use gwp_plan::plan::Tag;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Why a value is not written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteRefused {
    #[error("there is no tag `{0}`")]
    NoTag(String),
    #[error(
        "no write of the program may change `{0}`: declare `write NAME to {0} from SOURCE at \"...\" {{ allow = ... }}`"
    )]
    NoWrite(String),
    #[error("`{path}` takes {kind}")]
    Kind { path: String, kind: &'static str },
    #[error("too many commands wait for their outcome; try again later")]
    TooMany,
    #[error("the gateway is being stopped, or its plan changed; nothing was written")]
    Stopping,
    #[error("no outcome of the command within {seconds} s; the tag `{tag}` will tell", seconds = OPERATOR_ANSWER.as_secs())]
    NoOutcome { tag: String },
}

type Key = (Arc<str>, Timestamp);

/// Operators who wait for the outcome of their command, by the path of the outcome and the time of the command.
#[derive(Default)]
pub struct AwaitedOutcomes(Mutex<BTreeMap<Key, oneshot::Sender<String>>>);

/// The place of one who waits, given back when dropped.
struct Awaited<'a> {
    outcomes: &'a AwaitedOutcomes,
    key: Key,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.outcomes.awaited().remove(&self.key);
    }
}

impl AwaitedOutcomes {
    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn awaited(&self) -> MutexGuard<'_, BTreeMap<Key, oneshot::Sender<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, key: Key) -> Option<(Awaited<'_>, oneshot::Receiver<String>)> {
        let mut awaited = self.awaited();
        if awaited.len() >= OPERATOR_COMMANDS_MAX || awaited.contains_key(&key) {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        awaited.insert(key.clone(), sender);
        drop(awaited);
        Some((Awaited { outcomes: self, key }, outcome))
    }

    /// Tells what became of a command to who waits for it.
    pub fn tell(&self, path: &Arc<str>, command: Timestamp, outcome: &str) {
        let awaited = self.awaited().remove(&(path.clone(), command));
        if let Some(sender) = awaited {
            // Nobody listens any more: the outcome is in the log all the same.
            let _ = sender.send(outcome.to_owned());
        }
    }
}

/// A way into the log, closed when dropped.
struct Admitted<'a>(&'a Sequencer, SourceKey);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.dismiss(self.1);
    }
}

/// A value as the commands for a tag have it.
fn fitting(tag: &Tag, kind: Kind, value: Value) -> Option<Value> {
    match (kind, value) {
        (kind, value) if value.kind() == kind => Some(value),
        (Kind::Float, value @ (Value::Int(_) | Value::UInt(_))) => value.as_f64().map(Value::Float),
        (Kind::Int, Value::UInt(number)) => i64::try_from(number).ok().map(Value::Int),
        (Kind::UInt, Value::Int(number)) => u64::try_from(number).ok().map(Value::UInt),
        // JSON has one kind of numbers; above 2^53 not every whole one is there.
        (Kind::Int, Value::Float(number)) if number.fract() == 0.0 && number.abs() <= (1u64 << 53) as f64 => {
            Some(Value::Int(number as i64))
        }
        (Kind::Int, Value::Text(label)) => {
            let raw = tag.info.labels.iter().find(|(_, known)| *known == label).map(|(raw, _)| *raw);
            raw.map(Value::Int)
        }
        _ => None,
    }
}

/// A kind as operators call it.
pub fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Nothing => "nothing",
        Kind::Bool => "bool",
        Kind::Int | Kind::UInt => "int",
        Kind::Float => "real",
        Kind::Text => "text",
        Kind::Bytes => "bytes",
        Kind::Time => "time",
    }
}

impl Engine {
    /// Writes a value, in the unit of the tag, by the `write` item that has the tag as its target. Answers with the
    /// outcome as the log has it, such as `confirmed: 50 kW` or `refused: ...`.
    ///
    /// # Errors
    /// No command was given, or its outcome is not known in time.
    pub async fn write(&self, path: &str, value: Value) -> Result<String, WriteRefused> {
        let mut outcome = None;
        let written = self.command(path, value, &mut outcome);
        match (tokio::time::timeout(OPERATOR_ANSWER, written).await, outcome) {
            (Ok(written), _) => written,
            (Err(_), Some(outcome)) => Err(WriteRefused::NoOutcome { tag: outcome }),
            (Err(_), None) => Err(WriteRefused::Stopping),
        }
    }

    /// `told` becomes the path of the outcome once there may be one.
    async fn command(
        &self,
        path: &str,
        value: Value,
        told: &mut Option<String>,
    ) -> Result<String, WriteRefused> {
        let shared = &self.inner.shared;
        if self.inner.running.lock().await.sources_stopped {
            return Err(WriteRefused::Stopping);
        }
        // In this order: should the plan change now, nothing is taken from this way in any more, so the command can
        // not mean another tag.
        let (key, outlet) = shared.own_outlet();
        let _admitted = Admitted(&shared.sequencer, key);
        let plan = shared.sequencer.live.plan();
        let plan = shared.plans.get(plan).map_err(|_| WriteRefused::Stopping)?;
        let (outcome, mut batch) = command(&plan, path, value)?;
        let now = self.clock.now();
        batch.times = gwp_core::Times::Same(now);
        let awaited = shared.sequencer.commands.awaited.expect((outcome.clone(), now));
        let (_awaited, answer) = awaited.ok_or(WriteRefused::TooMany)?;
        *told = Some(outcome.to_string());
        let emission = Emission::Samples { slot: SlotMark::default(), batch };
        let receipt = outlet.emit_for_receipt(emission).await;
        if !receipt.ok_or(WriteRefused::Stopping)?.settled().await {
            return Err(WriteRefused::Stopping);
        }
        answer.await.map_err(|_| WriteRefused::NoOutcome { tag: outcome.to_string() })
    }
}

/// The path of the outcome and the command, still without its time.
fn command(plan: &Plan, path: &str, value: Value) -> Result<(Arc<str>, Batch), WriteRefused> {
    let target = plan.tag_at(path).ok_or_else(|| WriteRefused::NoTag(path.to_owned()))?;
    let no_write = || WriteRefused::NoWrite(path.to_owned());
    let write = plan.writes.iter().find(|write| write.target == target).ok_or_else(no_write)?;
    let tag = |id| plan.tag(id).ok_or_else(no_write);
    let (target, command, outcome) = (tag(target)?, tag(write.command)?, tag(write.outcome)?);
    let wrong = || WriteRefused::Kind { path: path.to_owned(), kind: kind_word(command.kind) };
    let value = fitting(target, command.kind, value).ok_or_else(wrong)?;
    let groups = (0..).map(GroupId).zip(&plan.groups);
    let group = groups.into_iter().find(|(_, group)| group.tags.contains(&write.command));
    let (group, _) = group.ok_or_else(no_write)?;
    let mut column = Column::new();
    column.push(value);
    let batch = Batch::uniform(group, [write.command].into(), Timestamp::default(), column);
    Ok((outcome.info.path.clone(), batch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reaches_who_waits_for_it_and_places_are_given_back() {
        let outcomes = AwaitedOutcomes::default();
        let key = |number| (Arc::from("set.s"), Timestamp(number));
        let (first, mut answer) = outcomes.expect(key(1)).unwrap();
        assert!(outcomes.expect(key(1)).is_none());
        outcomes.tell(&"set.s".into(), Timestamp(2), "done: 2");
        assert!(answer.try_recv().is_err());
        outcomes.tell(&"set.s".into(), Timestamp(1), "done: 1");
        assert_eq!(answer.try_recv().unwrap(), "done: 1");
        drop(first);
        let held: Vec<_> = (0..).map_while(|number| outcomes.expect(key(number))).collect();
        assert_eq!(held.len(), OPERATOR_COMMANDS_MAX);
        drop(held);
        assert!(outcomes.expect(key(1)).is_some());
    }
}
