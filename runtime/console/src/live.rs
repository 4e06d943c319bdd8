//! Live values of tags: the contract with the engine, and a queue that keeps the latest value of each tag.

use crate::operations::Refusal;
use gwp_core::{BoxFuture, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What can be seen of tags while the gateway runs.
pub trait LiveView: Send + Sync {
    /// All tags of the running plan, by path. May take a second, until the values are gathered.
    ///
    /// # Errors
    /// They cannot be told.
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>>;

    /// Watches tags: their latest values first, then each change. The paths differ and are at most
    /// [`crate::limits::WATCHED_TAGS_MAX`]. Use [`channel`] and stop when [`LiveSender::send`] says so.
    ///
    /// # Errors
    /// There is no such tag, or values cannot be told.
    fn watch(&self, paths: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal>;

    /// Writes a value (a bool, number or text) to a tag; answers with the outcome.
    fn write<'a>(
        &'a self,
        path: &'a str,
        value: &'a Value,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Value, Refusal>>;
}

/// A tag as operators see it.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveTag {
    /// `device.tag`
    pub path: Arc<str>,
    /// `bool`, `int`, `real`, `text`, ...
    pub kind: String,
    pub unit: Option<String>,
    /// Its newest value, if there has been one.
    pub latest: Option<LiveValue>,
}

/// A value of a tag.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveValue {
    pub path: Arc<str>,
    pub time: Timestamp,
    pub value: Value,
    /// `good`, or what is wrong with it.
    pub quality: String,
}

struct Shared {
    /// The latest value of each watched tag that has not been taken.
    latest: Mutex<Latest>,
    changed: Notify,
}

struct Latest {
    slots: BTreeMap<Arc<str>, Option<LiveValue>>,
    sender_is_gone: bool,
    receiver_is_gone: bool,
}

impl Shared {
    /// Poisoned only by a panic between plain assignments: what it guards is whole.
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where changes go. Never waits: a value that was not taken yet is replaced.
pub struct LiveSender(Arc<Shared>);

/// Where changes come from.
pub struct LiveReceiver(Arc<Shared>);

/// A queue with one place for each path.
pub fn channel(paths: impl IntoIterator<Item = Arc<str>>) -> (LiveSender, LiveReceiver) {
    let slots = paths.into_iter().map(|path| (path, None)).collect();
    let latest = Latest { slots, sender_is_gone: false, receiver_is_gone: false };
    let shared = Arc::new(Shared { latest: Mutex::new(latest), changed: Notify::new() });
    (LiveSender(shared.clone()), LiveReceiver(shared))
}

impl LiveSender {
    /// Tells a value; one of a tag that is not watched is nothing. False when nobody listens any more.
    pub fn send(&self, value: LiveValue) -> bool {
        let mut latest = self.0.latest();
        if latest.receiver_is_gone {
            return false;
        }
        if let Some(slot) = latest.slots.get_mut(&value.path) {
            *slot = Some(value);
            drop(latest);
            self.0.changed.notify_one();
        }
        true
    }
}

impl LiveSender {
    /// False when nobody listens any more.
    pub fn is_heard(&self) -> bool {
        !self.0.latest().receiver_is_gone
    }
}

impl Drop for LiveSender {
    fn drop(&mut self) {
        self.0.latest().sender_is_gone = true;
        self.0.changed.notify_one();
    }
}

impl LiveReceiver {
    /// What changed since the last call, at least one value; `None` when nothing will come any more.
    pub async fn next(&mut self) -> Option<Vec<LiveValue>> {
        loop {
            let is_over = {
                let mut latest = self.0.latest();
                let changed: Vec<LiveValue> = latest.slots.values_mut().filter_map(Option::take).collect();
                if !changed.is_empty() {
                    return Some(changed);
                }
                latest.sender_is_gone
            };
            if is_over {
                return None;
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for LiveReceiver {
    fn drop(&mut self) {
        self.0.latest().receiver_is_gone = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(path: &str, number: i64) -> LiveValue {
        LiveValue { path: path.into(), time: Timestamp(number), value: number.into(), quality: "good".into() }
    }

    #[tokio::test]
    async fn who_is_slow_gets_the_latest_value_of_each_tag() {
        let (sender, mut receiver) = channel(["a".into(), "b".into()]);
        for number in 0..1_000 {
            assert!(sender.send(value("a", number)));
        }
        assert!(sender.send(value("b", 7)));
        assert!(sender.send(value("not watched", 7)));
        assert_eq!(receiver.next().await, Some(vec![value("a", 999), value("b", 7)]));
        sender.send(value("a", 1_000));
        drop(sender);
        assert_eq!(receiver.next().await, Some(vec![value("a", 1_000)]));
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_waiting_receiver_is_woken_and_the_sender_hears_when_it_is_gone() {
        let (sender, mut receiver) = channel(["a".into()]);
        let waiting = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        sender.send(value("a", 1));
        assert_eq!(waiting.await.unwrap(), Some(vec![value("a", 1)]));
        assert!(!sender.send(value("a", 2)) && !sender.is_heard());
    }
}
