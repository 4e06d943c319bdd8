//! What publish answers say: values, gaps, the end of a subscription.

use super::{Fault, Subscriber};
use crate::calls::{Call, What};
use crate::items::index_of;
use crate::limits::OVERFLOW_TOLD;
use crate::sequence::Arrival;
use crate::tags::{Samples, Told};
use crate::value;
use gwp_core::Quality;
use opcua::client::services::Republish;
use opcua::client::{Session, UARequest};
use opcua::types::{
    DataChangeNotification, DataValue, NotificationMessage, PublishResponse, StatusChangeNotification,
    StatusCode,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// What a republished number was answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Republished {
    Came,
    /// The server has it no more.
    Unavailable,
    /// The subscription is not there.
    NoSubscription,
}

impl Subscriber<'_> {
    /// Takes a publish answer.
    pub(super) async fn notified(
        &mut self,
        session: &Arc<Session>,
        answer: PublishResponse,
    ) -> Result<(), Fault> {
        let (id, message) = (answer.subscription_id, answer.notification_message);
        let is_last = !answer.more_notifications;
        let available = answer.available_sequence_numbers.unwrap_or_default();
        let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == id) else {
            tracing::debug!(source = %self.prepared.name, subscription = id, "of a subscription that is given up");
            return Ok(());
        };
        found.heard = Instant::now();
        found.is_unproved = false;
        let number = message.sequence_number;
        if message.notification_data.as_ref().is_none_or(Vec::is_empty) {
            found.is_catching_up = false;
            for number in found.sequence.kept_alive(number) {
                if self.republish(session, id, number).await? != Republished::Came {
                    break;
                }
            }
            return Ok(());
        }
        let arrival = found.sequence.arrived(number, &available);
        let filled = self.fill(session, id).await;
        // It has come, whatever became of what is missing before it.
        if arrival == Arrival::Fresh {
            self.deliver(session, id, message).await?;
        }
        // What was queued while nobody listened has come with it.
        if is_last && let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == id) {
            found.is_catching_up = false;
        }
        filled
    }

    /// Takes an answer of a connection that is lost: gaps are filled once there is another one.
    pub(super) fn keep(&mut self, answer: &PublishResponse) {
        let (id, message) = (answer.subscription_id, &answer.notification_message);
        if message.notification_data.as_ref().is_none_or(Vec::is_empty) {
            return;
        }
        let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == id) else { return };
        let available = answer.available_sequence_numbers.as_deref().unwrap_or_default();
        if found.sequence.arrived(message.sequence_number, available) == Arrival::Fresh {
            let upto = found.sequence.reached();
            let samples = self.samples(message, Told::Now);
            self.queue.push(samples, Some((id, message.sequence_number)), upto);
        }
    }

    /// Asks for what is missing of a subscription, before what came later is handed over.
    pub(super) async fn fill(&mut self, session: &Arc<Session>, id: u32) -> Result<(), Fault> {
        let missing = match self.subscriptions.iter().find(|found| found.id == id) {
            Some(found) => found.sequence.missing(),
            None => return Ok(()),
        };
        for number in missing {
            if self.republish(session, id, number).await? == Republished::Came {
                continue;
            }
            if let Some(found) = self.subscriptions.iter_mut().find(|found| found.id == id) {
                found.sequence.unavailable(number);
                let lost = found.sequence.lost();
                self.cx.meter.errors.fetch_add(1, Relaxed);
                tracing::warn!(
                    source = %self.prepared.name,
                    subscription = id,
                    number,
                    lost,
                    "a notification is lost: the server has it no more"
                );
            }
        }
        Ok(())
    }

    /// Asks for one notification once more, and takes it if it never came.
    pub(super) async fn republish(
        &mut self,
        session: &Arc<Session>,
        id: u32,
        number: u32,
    ) -> Result<Republished, Fault> {
        self.cx.meter.requests.fetch_add(1, Relaxed);
        let call = Call::begin(&self.prepared.options.log, What("Republish, number", number as usize));
        let answer = call.answer(Republish::new(id, number, session).send(session.channel()).await);
        let message = match answer {
            Ok(answer) => answer.notification_message,
            Err(error) => {
                return match error.status() {
                    StatusCode::BadSubscriptionIdInvalid => Ok(Republished::NoSubscription),
                    // Some servers lack the service.
                    StatusCode::BadMessageNotAvailable
                    | StatusCode::BadServiceUnsupported
                    | StatusCode::BadNotImplemented
                    | StatusCode::BadNotSupported => Ok(Republished::Unavailable),
                    _ => Err(Fault::Request { what: "asking for a notification again", error }),
                };
            }
        };
        // Some servers say with an empty message that they have it no more.
        if message.sequence_number != number || message.notification_data.as_ref().is_none_or(Vec::is_empty) {
            return Ok(Republished::Unavailable);
        }
        let found = self.subscriptions.iter_mut().find(|found| found.id == id);
        if let Some(found) = found
            && found.sequence.arrived(number, &[]) == Arrival::Fresh
        {
            let upto = found.sequence.reached();
            // What it says of the subscription itself is over by now.
            let samples = self.samples(&message, Told::Then);
            self.queue.push(samples, Some((id, number)), upto);
        }
        Ok(Republished::Came)
    }

    /// Hands over what a notification says.
    async fn deliver(
        &mut self,
        session: &Arc<Session>,
        id: u32,
        message: NotificationMessage,
    ) -> Result<(), Fault> {
        let found = self.subscriptions.iter().find(|found| found.id == id);
        let (told, upto) = match found {
            Some(found) if found.is_catching_up => (Told::Then, found.sequence.reached()),
            Some(found) => (Told::Now, found.sequence.reached()),
            None => return Ok(()),
        };
        let samples = self.samples(&message, told);
        self.queue.push(samples, Some((id, message.sequence_number)), upto);
        let changes = message.notification_data.iter().flatten();
        let ended = changes
            .filter_map(|data| data.inner_as::<StatusChangeNotification>())
            .find(|change| change.status.is_bad());
        if let Some(change) = ended {
            let status = change.status;
            tracing::warn!(source = %self.prepared.name, subscription = id, %status, "the server has ended a subscription: it is made anew");
            self.forget(|found| found == id);
            self.place_lost(session).await?;
        }
        Ok(())
    }

    /// Values of all tags that a notification tells of.
    fn samples(&mut self, message: &NotificationMessage, told: Told) -> Samples {
        let mut samples = Samples::default();
        for data in message.notification_data.iter().flatten() {
            let Some(changes) = data.inner_as::<DataChangeNotification>() else { continue };
            for change in changes.monitored_items.iter().flatten() {
                if let Some(node) = index_of(change.client_handle) {
                    self.take_as(node, &change.value, told, &mut samples);
                }
            }
        }
        samples
    }

    /// Takes what is said of a node for each of its tags.
    pub(super) fn take(&mut self, node: usize, data: &DataValue, samples: &mut Samples) {
        self.take_as(node, data, Told::Now, samples);
    }

    fn take_as(&mut self, node: usize, data: &DataValue, told: Told, samples: &mut Samples) {
        let now = self.cx.clock.now();
        for index in self.prepared.tags_of.get(node).into_iter().flatten() {
            let Some(tag) = self.prepared.tags.get(*index) else { continue };
            let reading = value::reading(data, &tag.place, tag.plc_type);
            self.tags.take(*index, reading, (told, now), samples);
        }
        self.types.shown(node, data);
        if data.status.is_some_and(has_overflowed) {
            self.overflowed(node);
        }
        let is_unknown = data.status.is_some_and(is_unknown);
        if let Some(item) = self.items.get_mut(node) {
            // The node is gone. It may come back as another one under the same name.
            item.retry = is_unknown.then(|| Instant::now() + self.prepared.options.retry);
        }
    }

    /// Changes of a node are lost for good; told once a minute.
    fn overflowed(&mut self, node: usize) {
        self.cx.meter.errors.fetch_add(1, Relaxed);
        let now = Instant::now();
        if self.overflow_told.is_some_and(|told| now.duration_since(told) < OVERFLOW_TOLD) {
            return;
        }
        self.overflow_told = Some(now);
        let node = self.prepared.nodes.get(node).map(tracing::field::display);
        tracing::warn!(source = %self.prepared.name, node, queue = self.prepared.options.queue, "the server's queue was too short, and changes are lost: make `queue` longer");
    }

    /// All tags of a node are bad.
    pub(super) fn take_bad(&mut self, node: usize, status: StatusCode, samples: &mut Samples) {
        let quality = match value::quality(status) {
            quality if quality.is_bad() => quality,
            _ => Quality::BAD,
        };
        self.take(
            node,
            &DataValue { status: Some(StatusCode::from(quality.0)), ..DataValue::null() },
            samples,
        );
    }
}

/// The queue of the node was too short, and the server says so: InfoType DataValue with the bit Overflow (OPC UA Part 4,
/// 7.39.1).
fn has_overflowed(status: StatusCode) -> bool {
    status.bits() & 0x480 == 0x480
}

/// The server does not know the node.
pub(super) const fn is_unknown(status: StatusCode) -> bool {
    matches!(status, StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid)
}
