//! What there is from before: subscriptions that an earlier run had, and what the server has kept of the time in
//! which nobody listened.
//!
//! ```text
//! bookmark --> subscriptions, items, numbers --> take up --+-- the server has them: nothing is lost
//!                                                          +-- it has not: history, where it keeps one
//! ```

use super::{Fault, Subscriber};
use crate::bookmark::{Left, SUBSCRIPTIONS, Standing};
use crate::history::{self, HistoryError};
use crate::items::Subscription;
use crate::limits::{HISTORY_TIME_MAX, HISTORY_VALUES_MAX};
use crate::sequence::Sequence;
use crate::server;
use crate::tags::Samples;
use crate::value;
use gwp_core::Timestamp;
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, NodeId, ReadValueId, Variant};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bit of the attribute AccessLevel (OPC UA Part 3, 8.57).
const HISTORY_READ: u8 = 1 << 2;

/// The server's clock may be so far ahead.
const HISTORY_AHEAD_NS: i64 = 60_000_000_000;

impl Subscriber<'_> {
    /// Takes over what a run before has left.
    pub(super) fn go_on_with(&mut self, left: Standing) {
        let next = self.queue.progress().next.clone();
        let subscription = |left: &Left| Subscription {
            id: left.id,
            sequence: Sequence::left(next.get(&left.id).copied()),
            heard: Instant::now(),
            patience: Duration::from_millis(left.patience_ms),
            is_full: left.is_full,
            is_unproved: true,
        };
        self.subscriptions = left.subscriptions.iter().map(subscription).collect();
        for (index, at, item) in &left.items {
            let place = left.subscriptions.get(*at as usize).map(|subscription| (subscription.id, *item));
            if let Some(item) = self.items.get_mut(*index as usize) {
                item.at = place;
            }
        }
        self.left_by = Some(left.namespaces);
        self.home = left.server;
    }

    /// Another server of the set has nothing for us.
    pub(super) fn come_home(&mut self) {
        let Some(link) = &self.link else { return };
        if self.home != link.context.url {
            self.home = link.context.url.clone();
            self.forget(|_| true);
        }
    }

    /// Nodes of items of a run before are what they are called, if the server numbers its namespaces as it did then.
    pub(super) fn know_nodes(&mut self) {
        let Some(namespaces) = self.left_by else { return };
        if namespaces != self.facts.namespaces_hash() {
            return;
        }
        for (item, name) in self.items.iter_mut().zip(&self.prepared.nodes) {
            item.node = item.at.and_then(|_| self.facts.resolve(name));
        }
    }

    /// Nodes that an earlier session monitored, or an earlier run, and that no subscription tells of any more; from
    /// when on nothing is known of them.
    pub(super) fn lost_items(&mut self) -> Vec<(usize, Timestamp)> {
        let is_first = self.left_by.take().is_some();
        let now = self.cx.clock.now();
        let newest = self.queue.newest();
        let mut lost = Vec::new();
        for (node, item) in self.items.iter().enumerate().filter(|(_, item)| item.at.is_none()) {
            let tags = self.prepared.tags_of.get(node).into_iter().flatten();
            if is_first {
                tags.clone().for_each(|tag| self.tags.break_off_one(*tag, now));
            }
            let known = tags.filter_map(|tag| self.tags.source_time(*tag)).max();
            if item.retry.is_none()
                && let Some(from) = known.or(newest)
            {
                lost.push((node, from));
            }
        }
        lost
    }

    /// Says where this run stands, if that has changed.
    pub(super) async fn set_bookmark(&mut self) {
        if !std::mem::take(&mut self.has_moved) {
            return;
        }
        let left = |found: &Subscription| Left {
            id: found.id,
            patience_ms: u64::try_from(found.patience.as_millis()).unwrap_or(u64::MAX),
            is_full: found.is_full,
        };
        let subscriptions: Vec<Left> = self.subscriptions.iter().map(left).collect();
        let at = |id: u32| (0u32..).zip(&subscriptions).find(|(_, left)| left.id == id).map(|(at, _)| at);
        let items = (0u32..).zip(&self.items).filter_map(|(index, item)| {
            let (id, number) = item.at?;
            Some((index, at(id)?, number))
        });
        let items = items.collect();
        let mut standing = Standing::new(self.prepared, self.facts.namespaces_hash(), subscriptions);
        (standing.items, standing.server) = (items, self.home.clone());
        if !self.cx.outlet.set_bookmark(SUBSCRIPTIONS, standing.to_bytes()).await {
            tracing::warn!(source = %self.prepared.name, "the subscriptions are too many to be taken up by the next run");
        }
    }

    /// Reads what the server has kept of nodes, each since a time, at most as far back as `history` says. What is
    /// reported from now on waits at the server meanwhile.
    pub(super) async fn fill_from_history(
        &mut self,
        session: &Arc<Session>,
        lost: &[(usize, Timestamp)],
    ) -> Result<(), Fault> {
        let span = i64::try_from(self.prepared.options.history.as_nanos()).unwrap_or(i64::MAX);
        if span == 0 || lost.is_empty() {
            return Ok(());
        }
        let known = lost.iter().filter_map(|(node, since)| {
            Some((*node, self.items.get(*node).filter(|item| item.at.is_some())?.node.clone()?, *since))
        });
        let kept =
            with_history((session, &self.prepared.options.log), known.collect(), self.facts.nodes_per_read)
                .await;
        if kept.is_empty() {
            return Ok(());
        }
        let source = &self.prepared.name;
        let (now, began) = (self.cx.clock.now(), Instant::now());
        let (mut values, mut nodes, mut cut) = (0, 0, 0);
        for (node, id, since) in &kept {
            if began.elapsed() > HISTORY_TIME_MAX {
                tracing::warn!(%source, nodes, of = kept.len(), "reading history takes too long: the rest stays unread");
                break;
            }
            let from = since.plus(1).max(now.plus(-span));
            match history::read(session, id, from, now.plus(HISTORY_AHEAD_NS), HISTORY_VALUES_MAX).await {
                Ok(history) => {
                    cut += u32::from(history.cut);
                    values += self.take_history(*node, &history.values).await?;
                    nodes += 1;
                }
                // A server says that it keeps history and refuses: no other node will be different.
                Err(HistoryError::None(status)) => {
                    tracing::info!(%source, %status, "the server gives no history");
                    break;
                }
                Err(error) => tracing::debug!(%source, node = %id, %error, "no history of a node"),
            }
        }
        tracing::info!(%source, values, nodes, cut, "what the server has kept of the outage is read from its history");
        Ok(())
    }

    /// Hands over values of a node, the oldest first.
    async fn take_history(&mut self, node: usize, values: &[DataValue]) -> Result<usize, Fault> {
        let now = self.cx.clock.now();
        let mut samples = Samples::default();
        for data in values.iter().filter(|data| data.source_timestamp.is_some()) {
            for index in self.prepared.tags_of.get(node).into_iter().flatten() {
                let Some(tag) = self.prepared.tags.get(*index) else { continue };
                let reading = value::reading(data, &tag.place, tag.plc_type);
                self.tags.take_past(*index, reading, now, &mut samples);
            }
        }
        let count = values.len();
        if !samples.is_empty() {
            self.queue.push(samples, None);
        }
        while !self.queue.has_room() {
            if let Some(number) = self.queue.stored().await? {
                self.acknowledge(number);
            }
        }
        Ok(count)
    }
}

/// Nodes with their number and since when nothing is known of them: those of which the server says that it keeps
/// history.
async fn with_history(
    (session, log): (&Session, &WireLog),
    known: Vec<(usize, NodeId, Timestamp)>,
    per_read: usize,
) -> Vec<(usize, NodeId, Timestamp)> {
    let ids: Vec<ReadValueId> =
        known.iter().map(|(_, id, _)| ReadValueId::new(id.clone(), AttributeId::AccessLevel)).collect();
    // Whether the session is still there is told by its subscriptions.
    let levels = server::read(session, log, &ids, per_read).await.unwrap_or_default();
    let keeps =
        |level: &DataValue| matches!(level.value, Some(Variant::Byte(level)) if level & HISTORY_READ != 0);
    known.into_iter().zip(levels).filter(|(_, level)| keeps(level)).map(|(known, _)| known).collect()
}
