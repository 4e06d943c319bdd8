//! What a server is asked besides subscriptions: its namespaces, its limits, values of nodes.

use crate::address::{Namespace, NodeName};
use crate::calls::{Call, What};
use crate::limits::{NAMESPACES_MAX, NODES_PER_REQUEST};
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::services::Read;
use opcua::client::{Session, UARequest};
use opcua::types::{
    AttributeId, DataValue, Error, NodeId, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What is known of a server since the session stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts {
    namespaces: HashMap<Arc<str>, u16>,
    /// When the server was started, in its own counting; `None` if it does not tell. Numbers of subscriptions are of
    /// use for one start alone.
    pub start: Option<i64>,
    /// Nodes in one Read at most.
    pub nodes_per_read: usize,
    /// Monitored items in one call at most.
    pub items_per_call: usize,
}

impl Facts {
    /// Asks a server for them. Limits that it does not tell are ours.
    ///
    /// # Errors
    /// The request has failed.
    pub async fn ask(session: &Session, log: &WireLog) -> Result<Facts, Error> {
        let wanted = [
            VariableId::Server_NamespaceArray,
            VariableId::Server_ServerStatus_StartTime,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        ];
        let ids: Vec<ReadValueId> = wanted.into_iter().map(|id| ReadValueId::new_value(id.into())).collect();
        let read = read(session, log, &ids, NODES_PER_REQUEST).await?;
        let mut values = read.into_iter().map(|data| data.value);
        let namespaces = namespaces(values.next().flatten());
        let start = match values.next().flatten() {
            Some(Variant::DateTime(time)) if !time.is_null() => Some(time.ticks()),
            _ => None,
        };
        let mut limit = || bound(values.next().flatten());
        Ok(Facts { namespaces, start, nodes_per_read: limit(), items_per_call: limit() })
    }

    /// The node as this server numbers it now; `None` if it has no such namespace.
    pub fn resolve(&self, name: &NodeName) -> Option<NodeId> {
        let namespace = match &name.namespace {
            Namespace::Index(index) => *index,
            Namespace::Uri(uri) => *self.namespaces.get(uri)?,
        };
        Some(NodeId { namespace, identifier: name.identifier.clone() })
    }

    /// Tells whether the namespaces are numbered as they were: for one build alone.
    pub fn namespaces_hash(&self) -> u64 {
        let sorted: BTreeMap<_, _> = self.namespaces.iter().collect();
        let mut hasher = DefaultHasher::new();
        sorted.hash(&mut hasher);
        hasher.finish()
    }

    /// The URI of an index.
    pub fn uri(&self, index: u16) -> Option<&str> {
        self.namespaces.iter().find(|(_, number)| **number == index).map(|(uri, _)| &**uri)
    }
}

fn namespaces(value: Option<Variant>) -> HashMap<Arc<str>, u16> {
    let Some(Variant::Array(array)) = value else { return HashMap::new() };
    let uris = array.values.into_iter().take(NAMESPACES_MAX).zip(0u16..=u16::MAX);
    let mut found = HashMap::new();
    for (uri, index) in uris {
        if let Variant::String(uri) = uri {
            // Of two with one name the first one counts.
            found.entry(uri.as_ref().into()).or_insert(index);
        }
    }
    found
}

/// A limit of the server; 0 and nothing say that it has none.
fn bound(value: Option<Variant>) -> usize {
    match value {
        Some(Variant::UInt32(limit @ 1..)) => NODES_PER_REQUEST.min(limit as usize),
        _ => NODES_PER_REQUEST,
    }
}

/// Reads attributes, in as many requests as the server needs.
///
/// # Errors
/// A request has failed, or was answered with another number of values.
pub async fn read(
    session: &Session,
    log: &WireLog,
    ids: &[ReadValueId],
    per_request: usize,
) -> Result<Vec<DataValue>, Error> {
    let mut values = Vec::with_capacity(ids.len());
    let mut size = per_request.max(1);
    while let Some(part) = ids.get(values.len()..).filter(|part| !part.is_empty()) {
        let part = part.get(..size).unwrap_or(part);
        let request = Read::new(session)
            .timestamps_to_return(TimestampsToReturn::Both)
            .max_age(0.0)
            .nodes_to_read(part.to_vec());
        let call = Call::begin(log, What("Read, nodes", part.len()));
        match call.answer(request.send(session.channel()).await) {
            Ok(answer) => {
                let answered = answer.results.unwrap_or_default();
                if answered.len() != part.len() {
                    return Err(Error::new(
                        StatusCode::BadDecodingError,
                        "another number of values than asked for",
                    ));
                }
                values.extend(answered);
            }
            Err(error) if is_too_much(error.status()) && size > 1 => {
                size = part.len().div_ceil(2).max(1).min(size - 1)
            }
            Err(error) => return Err(error),
        }
    }
    Ok(values)
}

/// Whether a smaller request may be answered.
pub fn is_too_much(status: StatusCode) -> bool {
    [
        StatusCode::BadTooManyOperations,
        StatusCode::BadRequestTooLarge,
        StatusCode::BadResponseTooLarge,
        StatusCode::BadEncodingLimitsExceeded,
        StatusCode::BadTcpMessageTooLarge,
    ]
    .contains(&status)
}

/// The value of a node.
pub fn value_of(node: NodeId) -> ReadValueId {
    ReadValueId::new(node, AttributeId::Value)
}

/// Says which addresses depend on the order of the server's namespaces, and how to write one that does not.
pub fn warn_of_indexes(source: &str, nodes: &[NodeName], facts: &Facts) {
    let by_index = |name: &&NodeName| matches!(name.namespace, Namespace::Index(1..));
    let count = nodes.iter().filter(by_index).count();
    let example = nodes.iter().find(by_index).and_then(|name| {
        let Namespace::Index(index) = name.namespace else { return None };
        let better = NodeName { namespace: Namespace::Uri(facts.uri(index)?.into()), ..name.clone() };
        Some((name, better))
    });
    if let Some((name, better)) = example {
        tracing::warn!(
            source,
            count,
            "addresses name a namespace by an index, which the server may change at a restart: instead of `{name}` write `{better}`"
        );
    }
}
