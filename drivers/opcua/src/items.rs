//! Monitored items: one per node, over as many subscriptions as the server needs.

use crate::calls::{Call, What};
use crate::limits::{KEEP_ALIVE_MAX, NODES_PER_REQUEST, NOTIFICATIONS_PER_PUBLISH, SUBSCRIPTIONS_MAX};
use crate::prepare::Prepared;
use crate::sequence::Sequence;
use crate::server::{self, Facts, is_too_much};
use crate::settings::Options;
use gwp_core::Timestamp;
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::services::{
    CreateMonitoredItems, CreateSubscription, DeleteMonitoredItems, DeleteSubscriptions,
};
use opcua::client::{Session, UARequest};
use opcua::types::{
    DataChangeFilter, DataChangeTrigger, DeadbandType, Error, ExtensionObject, MonitoredItemCreateRequest,
    MonitoredItemCreateResult, MonitoringMode, MonitoringParameters, NodeId, StatusCode, TimestampsToReturn,
};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A node's item at the server.
#[derive(Clone, Debug)]
pub struct Item {
    /// Subscription and number there, when it is monitored.
    pub at: Option<(u32, u32)>,
    /// When a node that is not monitored, or not known to the server, is asked for again.
    pub retry: Option<Instant>,
    /// As the server numbers it; `None` if it lacks the namespace.
    pub node: Option<NodeId>,
    /// Wanted with a deadband; not when the server refuses that.
    pub deadband: bool,
    /// Time of a value that was read and had not been reported by then.
    pub newer: Option<Timestamp>,
}

impl Item {
    pub fn new(deadband: bool) -> Item {
        Item { at: None, retry: None, node: None, deadband, newer: None }
    }
}

/// One subscription at the server.
#[derive(Debug)]
pub struct Subscription {
    pub id: u32,
    pub sequence: Sequence,
    /// It has said something, or was not asked.
    pub heard: Instant,
    /// Silence of this length means that it is dead.
    pub patience: Duration,
    /// The server takes no more items into it.
    pub is_full: bool,
    /// A new session has taken it over, and it has said nothing since.
    pub is_unproved: bool,
    /// It was taken up, and what it kept meanwhile may still come: that happened then, and is not so now.
    pub is_catching_up: bool,
}

impl Subscription {
    /// Makes an empty one.
    ///
    /// # Errors
    /// The server refuses, or does not answer.
    pub async fn create(session: &Session, options: &Options) -> Result<Subscription, Error> {
        let count = |time: Duration| {
            let count = (time.as_secs_f64() / options.publishing.as_secs_f64().max(0.001)).ceil();
            (count as u32).max(1)
        };
        let keep_alives = count(options.keep_alive);
        let request = CreateSubscription::new(session)
            .publishing_interval(options.publishing)
            .max_keep_alive_count(keep_alives)
            // Three times the other one at least (OPC UA Part 4, 5.14.2.2).
            .max_lifetime_count(count(options.lifetime).max(keep_alives.saturating_mul(3)))
            .max_notifications_per_publish(NOTIFICATIONS_PER_PUBLISH)
            .publishing_enabled(true);
        let call = Call::begin(&options.log, What("CreateSubscription, subscriptions", 1));
        let created = call.answer(request.send(session.channel()).await)?;
        let interval = created.revised_publishing_interval / 1e3;
        let interval = Duration::try_from_secs_f64(interval).unwrap_or(options.publishing);
        let keep_alive =
            interval.saturating_mul(created.revised_max_keep_alive_count.max(1)).max(options.keep_alive);
        Ok(Subscription {
            id: created.subscription_id,
            sequence: Sequence::default(),
            heard: Instant::now(),
            patience: keep_alive.min(KEEP_ALIVE_MAX).saturating_mul(2).saturating_add(options.timeout),
            is_full: false,
            is_unproved: false,
            is_catching_up: false,
        })
    }
}

/// What came of placing items: those that are not monitored, and why.
pub type Refused = Vec<(usize, StatusCode)>;

/// Monitors nodes, by index.
///
/// # Errors
/// A request has failed, so that nothing is known of the rest.
pub async fn place(
    session: &Session,
    facts: &Facts,
    prepared: &Prepared,
    items: &mut [Item],
    subscriptions: &mut Vec<Subscription>,
    wanted: impl IntoIterator<Item = usize>,
) -> Result<Refused, Error> {
    let (mut waiting, mut refused) = resolve(facts, prepared, items, wanted);
    let mut per_call = facts.items_per_call.max(1);
    let mut fresh: HashSet<u32> = HashSet::new();
    // One that was full may have room by now: it is asked with one item first.
    let mut was_full = HashSet::new();
    for subscription in subscriptions.iter_mut().filter(|found| found.is_full) {
        subscription.is_full = false;
        was_full.insert(subscription.id);
    }
    let mut why = StatusCode::BadTooManyMonitoredItems;
    while !waiting.is_empty() {
        let subscription = match open(session, prepared, subscriptions, &mut fresh).await? {
            Ok(subscription) => subscription,
            Err(none) => {
                why = none;
                break;
            }
        };
        let size = if was_full.remove(&subscription.id) { 1 } else { per_call };
        let part: Vec<usize> = waiting.iter().copied().take(size).collect();
        let requests = part.iter().filter_map(|index| request(*index, items, &prepared.options)).collect();
        let request = CreateMonitoredItems::new(subscription.id, session)
            .timestamps_to_return(TimestampsToReturn::Both)
            .items_to_create(requests);
        let call = Call::begin(&prepared.options.log, What("CreateMonitoredItems, items", part.len()));
        let results = match call.answer(request.send(session.channel()).await) {
            Ok(answer) => answer.results.into_iter().map(|created| created.result),
            Err(error) if is_too_much(error.status()) && per_call > 1 => {
                per_call = part.len().div_ceil(2).min(per_call - 1).max(1);
                continue;
            }
            Err(error) if error.status() == StatusCode::BadTooManyMonitoredItems => {
                subscription.is_full = true;
                if fresh.contains(&subscription.id) {
                    break;
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        waiting.drain(..part.len());
        sort_out(part.into_iter().zip(results), items, subscription, &mut fresh, &mut waiting, &mut refused);
        // A subscription that takes nothing at all: another one would not, either.
        if subscription.is_full && fresh.contains(&subscription.id) {
            break;
        }
    }
    refused.extend(waiting.into_iter().map(|index| (index, why)));
    for subscription in subscriptions.iter_mut().filter(|found| was_full.contains(&found.id)) {
        subscription.is_full = true;
    }
    // It would be one more at each attempt. The only one stays: it tells whether the server lives.
    if subscriptions.len() > 1 {
        let useless = subscriptions.extract_if(.., |found| found.is_full && fresh.contains(&found.id));
        give_up(session, useless.map(|found| found.id).collect()).await;
    }
    Ok(refused)
}

/// Nodes that the server may know, and those of namespaces that it lacks.
fn resolve(
    facts: &Facts,
    prepared: &Prepared,
    items: &mut [Item],
    wanted: impl IntoIterator<Item = usize>,
) -> (VecDeque<usize>, Refused) {
    let (mut waiting, mut refused) = (VecDeque::new(), Refused::new());
    for index in wanted {
        let Some((item, name)) = items.get_mut(index).zip(prepared.nodes.get(index)) else { continue };
        item.node = facts.resolve(name);
        match &item.node {
            Some(_) => waiting.push_back(index),
            None => refused.push((index, StatusCode::BadNodeIdUnknown)),
        }
    }
    (waiting, refused)
}

/// Has the server forget subscriptions. If it does not, it keeps them for their lifetime.
pub async fn give_up(session: &Session, subscriptions: Vec<u32>) {
    if !subscriptions.is_empty() {
        let request = DeleteSubscriptions::new(session).subscription_ids(subscriptions);
        let _ = request.send(session.channel()).await;
    }
}

/// A subscription that may take more items, or why there is none.
async fn open<'s>(
    session: &Session,
    prepared: &Prepared,
    subscriptions: &'s mut Vec<Subscription>,
    fresh: &mut HashSet<u32>,
) -> Result<Result<&'s mut Subscription, StatusCode>, Error> {
    if subscriptions.iter().all(|subscription| subscription.is_full)
        && subscriptions.len() < SUBSCRIPTIONS_MAX
    {
        match Subscription::create(session, &prepared.options).await {
            Ok(subscription) => {
                fresh.insert(subscription.id);
                subscriptions.push(subscription);
            }
            // Those that are there go on.
            Err(error) if error.status() == StatusCode::BadTooManySubscriptions => {
                return Ok(Err(error.status()));
            }
            Err(error) => return Err(error),
        }
    }
    let found = subscriptions.iter_mut().find(|subscription| !subscription.is_full);
    Ok(found.ok_or(StatusCode::BadTooManyMonitoredItems))
}

/// Puts each item where its result says.
fn sort_out(
    results: impl Iterator<Item = (usize, MonitoredItemCreateResult)>,
    items: &mut [Item],
    subscription: &mut Subscription,
    fresh: &mut HashSet<u32>,
    waiting: &mut VecDeque<usize>,
    refused: &mut Refused,
) {
    for (index, result) in results {
        let Some(item) = items.get_mut(index) else { continue };
        match result.status_code {
            status if !status.is_bad() => {
                item.at = Some((subscription.id, result.monitored_item_id));
                item.retry = None;
                fresh.remove(&subscription.id);
            }
            StatusCode::BadTooManyMonitoredItems => {
                subscription.is_full = true;
                waiting.push_back(index);
            }
            status if item.deadband && is_of_filter(status) => {
                item.deadband = false;
                waiting.push_back(index);
            }
            status => refused.push((index, status)),
        }
    }
}

fn request(index: usize, items: &[Item], options: &Options) -> Option<MonitoredItemCreateRequest> {
    let item = items.get(index)?;
    let filter = if item.deadband {
        ExtensionObject::from_message(DataChangeFilter {
            trigger: DataChangeTrigger::StatusValue,
            deadband_type: DeadbandType::Absolute as u32,
            deadband_value: options.deadband,
        })
    } else {
        ExtensionObject::null()
    };
    let parameters = MonitoringParameters {
        client_handle: handle_of(index),
        sampling_interval: options.sampling_ms,
        filter,
        queue_size: options.queue,
        discard_oldest: true,
    };
    let node = server::value_of(item.node.clone()?);
    Some(MonitoredItemCreateRequest::new(node, MonitoringMode::Reporting, parameters))
}

/// The number by which notifications name a node; 0 would be replaced by the library.
fn handle_of(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1))
}

/// The node that a notification names.
pub fn index_of(handle: u32) -> Option<usize> {
    usize::try_from(handle.checked_sub(1)?).ok()
}

const fn is_of_filter(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadFilterNotAllowed
            | StatusCode::BadMonitoredItemFilterInvalid
            | StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadDeadbandFilterInvalid
    )
}

/// Gives up items whose nodes the server has lost; that they may be gone already is no fault.
///
/// # Errors
/// A request has failed.
pub async fn remove(
    session: &Session,
    log: &WireLog,
    items: &mut [Item],
    indexes: &[usize],
) -> Result<(), Error> {
    let mut of_subscription: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for index in indexes {
        if let Some((subscription, id)) = items.get_mut(*index).and_then(|item| item.at.take()) {
            of_subscription.entry(subscription).or_default().push(id);
        }
    }
    for (subscription, ids) in of_subscription {
        let (mut done, mut size) = (0, NODES_PER_REQUEST);
        while let Some(part) = ids.get(done..).filter(|part| !part.is_empty()) {
            let part = part.get(..size).unwrap_or(part);
            let request = DeleteMonitoredItems::new(subscription, session).items_to_delete(part.to_vec());
            let call = Call::begin(log, What("DeleteMonitoredItems, items", part.len()));
            match call.answer(request.send(session.channel()).await) {
                Ok(_) => done += part.len(),
                Err(error) if error.status() == StatusCode::BadSubscriptionIdInvalid => break,
                // It takes fewer in one call, as when they were made.
                Err(error) if is_too_much(error.status()) && size > 1 => {
                    size = part.len().div_ceil(2).min(size - 1).max(1);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
