//! Looking whether what the server reports is what it has: some nodes a server forgets to report.
//!
//! A node that was removed, and one that was made anew under the same name, may leave a monitored item behind that
//! says nothing any more. So from time to time a part of the nodes is read. One that is unknown is bad; one whose
//! value was newer than what was reported, and still is at the next look, is monitored anew.

use super::{Fault, Subscriber};
use crate::server;
use crate::tags::Samples;
use crate::value;
use opcua::client::Session;
use opcua::types::DataValue;
use std::sync::Arc;
use tokio::time::Instant;

impl Subscriber<'_> {
    /// Looks at the next part of the nodes, if it is time.
    pub(super) async fn audit(&mut self, session: &Arc<Session>, now: Instant) -> Result<(), Fault> {
        if self.audit_at > now {
            return Ok(());
        }
        self.audit_at = now + self.prepared.options.retry;
        let count = self.items.len();
        let order = (0..count).map(|offset| (self.audit_from + offset) % count.max(1));
        let placed = order.filter_map(|index| {
            let item = self.items.get(index).filter(|item| item.at.is_some() && item.retry.is_none())?;
            Some((index, server::value_of(item.node.clone()?)))
        });
        let (indexes, ids): (Vec<usize>, Vec<_>) = placed.take(self.facts.nodes_per_read).unzip();
        let Some(last) = indexes.last() else { return Ok(()) };
        self.audit_from = last + 1;
        let values = match server::read(session, &self.prepared.options.log, &ids, self.facts.nodes_per_read)
            .await
        {
            Ok(values) => values,
            Err(error) => {
                // Whether the session is still there is told by its subscriptions.
                tracing::debug!(source = %self.prepared.name, status = %error.status(), "nodes cannot be read");
                return Ok(());
            }
        };
        let mut samples = Samples::default();
        for (index, data) in indexes.into_iter().zip(values) {
            if data.status.is_some_and(super::notify::is_unknown) {
                self.take(index, &data, &mut samples);
            } else {
                self.compare(index, &data, now);
            }
        }
        if !samples.is_empty() {
            self.queue.push_read(samples);
        }
        Ok(())
    }

    /// Whether a node's reports lag behind its value since the look before.
    fn compare(&mut self, index: usize, data: &DataValue, now: Instant) {
        let options = &self.prepared.options;
        let tag = self.prepared.tags_of.get(index).and_then(|tags| tags.first());
        let (Some(item), Some(tag)) = (self.items.get_mut(index), tag) else { return };
        // What is held back on purpose is no lag.
        let slow = options.publishing.as_secs_f64() * 1e3 + options.sampling_ms;
        if item.deadband || options.retry.as_secs_f64() * 1e3 < 2.0 * slow {
            return;
        }
        let Some(reported) = self.tags.source_time(*tag) else {
            // Of a run before: what it was at the first look is in the log.
            let found = data.source_timestamp.as_ref().and_then(value::moment);
            match item.newer.zip(found) {
                Some((before, found)) if found > before => (item.retry, item.newer) = (Some(now), None),
                Some(_) => {}
                None => item.newer = found,
            }
            return;
        };
        let is_behind = |time| reported < time;
        let found = data.source_timestamp.as_ref().and_then(value::moment).filter(|time| is_behind(*time));
        if item.newer.is_some_and(is_behind) {
            let node = self.prepared.nodes.get(index);
            tracing::warn!(source = %self.prepared.name, node = node.map(tracing::field::display), "the server does not report a node that it monitors: it is monitored anew");
            item.retry = Some(now);
            item.newer = None;
        } else {
            item.newer = found;
        }
    }
}
