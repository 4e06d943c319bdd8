//! What there is from before: subscriptions that an earlier run had, and what the server has kept of the time in
//! which nobody listened.
//!
//! ```text
//! bookmark --> subscriptions, items, numbers --> take up --+-- the server has them: nothing is lost
//!                                                          +-- it has not: history, where it keeps one
//! ```

use super::take_up::is_of_connection;
use super::{Fault, Subscriber, failed};
use crate::bookmark::{Left, SUBSCRIPTIONS, Standing};
use crate::history::{self, HistoryError};
use crate::items::{self, Subscription};
use crate::limits::{HISTORY_TIME_MAX, HISTORY_VALUES_MAX};
use crate::sequence::Sequence;
use crate::server;
use crate::tags::Samples;
use crate::value;
use gwp_core::Timestamp;
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, Error, NodeId, ReadValueId, StatusCode, Variant};
use std::collections::BTreeSet;
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
            is_catching_up: false,
        };
        self.subscriptions = left.subscriptions.iter().map(subscription).collect();
        for (index, at, item) in &left.items {
            let place = left.subscriptions.get(*at as usize).map(|subscription| (subscription.id, *item));
            if let Some(item) = self.items.get_mut(*index as usize) {
                item.at = place;
            }
        }
        let owed = left.owed.iter().map(|(node, since)| (*node as usize, Timestamp(*since)));
        self.owed = owed.collect();
        self.left_by = Some(left.namespaces);
        (self.home, self.home_start) = (left.server, left.start);
    }

    /// Another server of the set has nothing for us, nor has the same one after another start: it may have given our
    /// numbers to others. What is of no use at the one that has it is given up there.
    pub(super) async fn come_home(&mut self, session: &Arc<Session>) {
        let Some(link) = &self.link else { return };
        let is_other = !self.home.is_empty() && self.home != link.context.url;
        let is_home = !is_other && self.home_start == self.facts.start;
        (self.home, self.home_start) = (link.context.url.clone(), self.facts.start);
        let useless = std::mem::take(&mut self.useless);
        if is_other {
            // Its values are told as what is so now, however long they have been: the log has those of another one.
            self.tags.break_off(self.cx.clock.now());
        }
        if !is_home {
            let gone = self.subscriptions.len();
            if gone > 0 {
                tracing::warn!(source = %self.prepared.name, gone, "the server was started again, or is another one: its subscriptions are made anew");
            }
            self.forget(|_| true);
        } else if !useless.is_empty() && self.transfer(session, &useless).await.is_ok() {
            items::give_up(session, useless).await;
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

    /// Nodes that an earlier session monitored, or an earlier run, and that no subscription tells of any more: their
    /// history is owed from when on nothing is known of them. A tag of which this run knows nothing is told of anew, as
    /// it is now.
    pub(super) fn note_lost(&mut self) {
        self.left_by = None;
        let now = self.cx.clock.now();
        let newest = self.queue.newest();
        for (node, item) in self.items.iter().enumerate().filter(|(_, item)| item.at.is_none()) {
            let tags = self.prepared.tags_of.get(node).into_iter().flatten();
            let unknown = tags.clone().filter(|tag| self.tags.source_time(**tag).is_none());
            let unknown: Vec<usize> = unknown.copied().collect();
            let known = tags.filter_map(|tag| self.tags.source_time(*tag)).max();
            unknown.into_iter().for_each(|tag| self.tags.is_unknown(tag, now));
            if item.retry.is_none()
                && self.prepared.options.history > Duration::ZERO
                && let Some(from) = known.or(newest)
            {
                self.owed.entry(node).or_insert(from);
            }
        }
    }

    /// Says where this run stands, if that has changed.
    pub(super) async fn set_bookmark(&mut self) {
        if !std::mem::take(&mut self.has_moved) {
            return;
        }
        // What it takes back must be in the log before.
        self.queue.all_handed().await;
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
        (standing.items, standing.server, standing.start) = (items, self.home.clone(), self.home_start);
        let owed = self.owed.iter().filter_map(|(node, since)| Some((u32::try_from(*node).ok()?, since.0)));
        standing.owed = owed.collect();
        if !self.cx.outlet.set_bookmark(SUBSCRIPTIONS, standing.to_bytes()).await {
            self.cx.outlet.set_bookmark(SUBSCRIPTIONS, [].into()).await;
            tracing::warn!(source = %self.prepared.name, "the subscriptions are too many to be taken up by the next run");
        }
    }

    /// Reads what the server has kept of nodes whose history is owed, each since a time, at most as far back as
    /// `history` says. What is reported from now on waits at the server meanwhile. What a lost connection or a crash
    /// interrupts is owed still.
    pub(super) async fn fill_from_history(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        let span = i64::try_from(self.prepared.options.history.as_nanos()).unwrap_or(i64::MAX);
        let known = self.owed.iter().filter_map(|(node, since)| {
            Some((*node, self.items.get(*node).filter(|item| item.at.is_some())?.node.clone()?, *since))
        });
        let known: Vec<(usize, NodeId, Timestamp)> = known.collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut without: BTreeSet<usize> = known.iter().map(|(node, ..)| *node).collect();
        let log = &self.prepared.options.log;
        let kept = with_history((session, log), known, self.facts.nodes_per_read).await?;
        kept.iter().for_each(|(node, ..)| {
            without.remove(node);
        });
        self.owed.retain(|node, _| !without.contains(node));
        self.has_moved = true;
        if kept.is_empty() {
            return Ok(());
        }
        let source = &self.prepared.name;
        let (now, began) = (self.cx.clock.now(), Instant::now());
        let (mut values, mut nodes, mut cut) = (0, 0, 0);
        for (node, id, since) in &kept {
            if began.elapsed() > HISTORY_TIME_MAX {
                tracing::warn!(%source, nodes, of = kept.len(), "reading history takes too long: the rest stays unread");
                self.owed.clear();
                break;
            }
            let from = since.plus(1).max(now.plus(-span));
            match history::read(session, id, from, now.plus(HISTORY_AHEAD_NS), HISTORY_VALUES_MAX).await {
                Ok(history) => {
                    cut += u32::from(history.cut);
                    values += self.take_history(*node, &history.values).await;
                    nodes += 1;
                }
                Err(HistoryError::Refused(status)) if is_of_connection(status) => {
                    let error = Error::new(status, "reading history");
                    return Err(Fault::Request { what: "reading history", error });
                }
                Err(HistoryError::None(status)) if is_of_service(status) => {
                    tracing::info!(%source, %status, "the server gives no history");
                    self.owed.clear();
                    break;
                }
                Err(error) => tracing::info!(%source, node = %id, %error, "no history of a node"),
            }
            self.owed.remove(node);
        }
        tracing::info!(%source, values, nodes, cut, "what the server has kept of the outage is read from its history");
        Ok(())
    }

    /// Hands over values of a node, the oldest first.
    async fn take_history(&mut self, node: usize, values: &[DataValue]) -> usize {
        let now = self.cx.clock.now();
        let mut samples = Samples::default();
        for data in values.iter().filter(|data| data.source_timestamp.is_some()) {
            for index in self.prepared.tags_of.get(node).into_iter().flatten() {
                let Some(tag) = self.prepared.tags.get(*index) else { continue };
                let reading = value::reading(data, &tag.place, tag.plc_type);
                self.tags.take_past(*index, reading, now, &mut samples);
            }
        }
        if !samples.is_empty() {
            self.queue.push_read(samples);
            // At the pace of the log: one node's values are in memory.
            self.queue.all_handed().await;
        }
        values.len()
    }
}

/// Nodes with their number and since when nothing is known of them: those of which the server says that it keeps
/// history.
async fn with_history(
    (session, log): (&Session, &WireLog),
    known: Vec<(usize, NodeId, Timestamp)>,
    per_read: usize,
) -> Result<Vec<(usize, NodeId, Timestamp)>, Fault> {
    let ids: Vec<ReadValueId> =
        known.iter().map(|(_, id, _)| ReadValueId::new(id.clone(), AttributeId::AccessLevel)).collect();
    let levels = server::read(session, log, &ids, per_read).await.map_err(failed("asking for history"))?;
    let keeps =
        |level: &DataValue| matches!(level.value, Some(Variant::Byte(level)) if level & HISTORY_READ != 0);
    Ok(known.into_iter().zip(levels).filter(|(_, level)| keeps(level)).map(|(known, _)| known).collect())
}

/// No node of this server has history.
const fn is_of_service(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadHistoryOperationUnsupported
            | StatusCode::BadNotSupported
            | StatusCode::BadServiceUnsupported
    )
}
