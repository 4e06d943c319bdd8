//! Following references from node to node, level by level.

use super::{Bounds, BrowseError, Found, Namespaces};
use crate::security::printable;
use opcua::client::Session;
use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResult, ByteString, NodeClass, NodeId, ObjectId,
    ReferenceDescription, ReferenceTypeId, StatusCode,
};
use std::collections::HashSet;

/// Nodes that are asked about in one request.
const NODES_PER_REQUEST: usize = 50;
/// References that one answer has of a node; the rest comes piece by piece.
const REFERENCES_PER_ANSWER: u32 = 1_000;
/// Pieces of one node: more are no honest answer.
const PIECES_MAX: usize = 10_000;
/// What is asked of a reference: class, browse name, and no more (OPC UA Part 4, 5.8.2).
const WANTED: u32 = 4 | 8 | 16;
const OBJECTS_AND_VARIABLES: u32 = 1 | 2;

/// Nodes in the order in which they were found.
#[derive(Default)]
pub struct Walk {
    pub nodes: Vec<Found>,
    pub ids: Vec<NodeId>,
    pub left_out: Vec<String>,
}

/// Everything below `start`, within bounds.
pub async fn walk(
    session: &Session,
    namespaces: &Namespaces,
    start: NodeId,
    bounds: &Bounds,
) -> Result<Walk, BrowseError> {
    let mut walk = Walk::default();
    let mut seen: HashSet<NodeId> = [start.clone()].into();
    if !bounds.server {
        seen.insert(ObjectId::Server.into());
    }
    let mut level: Vec<(Option<usize>, NodeId)> = vec![(None, start)];
    for depth in 0..=bounds.depth {
        if level.is_empty() {
            break;
        }
        if depth == bounds.depth {
            walk.left_out.push(format!("what lies deeper than {depth} levels (--depth)"));
            break;
        }
        let mut below = Vec::new();
        for chunk in level.chunks(NODES_PER_REQUEST) {
            let ids: Vec<&NodeId> = chunk.iter().map(|(_, id)| id).collect();
            let room = bounds.nodes.saturating_sub(walk.nodes.len());
            let answers = references(session, &ids, room).await?;
            for ((parent, id), answer) in chunk.iter().zip(answers) {
                if depth == 0 && !answer.status.is_good() {
                    return Err(unknown(answer.status, namespaces.address(id)));
                }
                if !answer.status.is_good() && walk.left_out.len() < 20 {
                    walk.left_out.push(format!(
                        "what is below {} ({})",
                        namespaces.address(id),
                        answer.status
                    ));
                }
                for reference in answer.references {
                    let node = reference.node_id.node_id.clone();
                    if reference.node_id.server_index != 0 || !seen.insert(node.clone()) {
                        continue;
                    }
                    if walk.nodes.len() >= bounds.nodes {
                        walk.left_out.push(format!("what comes after {} nodes (--count)", bounds.nodes));
                        return Ok(walk);
                    }
                    below.push((Some(walk.nodes.len()), node.clone()));
                    walk.nodes.push(Found {
                        parent: *parent,
                        depth,
                        name: printable(reference.browse_name.name.as_ref()),
                        address: namespaces.address(&node),
                        data: (reference.node_class == NodeClass::Variable).then(Default::default),
                    });
                    walk.ids.push(node);
                }
            }
        }
        level = below;
    }
    Ok(walk)
}

fn unknown(status: StatusCode, address: String) -> BrowseError {
    match status {
        StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid => BrowseError::NoNode(address),
        other => BrowseError::Refused(other),
    }
}

struct References {
    status: StatusCode,
    references: Vec<ReferenceDescription>,
}

/// The references of some nodes, about `room` in all. A server that takes fewer nodes at once, or keeps fewer
/// places in its answers, is asked in smaller pieces.
async fn references(
    session: &Session,
    nodes: &[&NodeId],
    room: usize,
) -> Result<Vec<References>, BrowseError> {
    let mut answered: Vec<Option<References>> = nodes.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..nodes.len()).collect();
    let (mut step, mut taken) = (nodes.len(), 0);
    while !waiting.is_empty() {
        let chunk: Vec<usize> = waiting.iter().copied().take(step).collect();
        let descriptions: Vec<BrowseDescription> =
            chunk.iter().map(|index| description(nodes[*index])).collect();
        let answers = match session.browse(&descriptions, REFERENCES_PER_ANSWER, None).await {
            Ok(answers) if answers.len() == chunk.len() => answers,
            Ok(_) => return Err(BrowseError::Refused(StatusCode::BadUnknownResponse)),
            Err(error) if is_too_much(error.status()) && step > 1 => {
                step = step.div_ceil(2);
                continue;
            }
            Err(error) => return Err(BrowseError::Refused(error.status())),
        };
        waiting.drain(..chunk.len());
        let mut again = Vec::new();
        for (index, answer) in chunk.iter().zip(answers) {
            if answer.status_code == StatusCode::BadNoContinuationPoints && chunk.len() > 1 {
                again.push(*index);
                continue;
            }
            let references = rest(session, answer, room.saturating_sub(taken)).await?;
            taken += references.references.len();
            answered[*index] = Some(references);
        }
        if !again.is_empty() {
            step = 1;
            waiting.splice(0..0, again);
        }
    }
    Ok(answered.into_iter().flatten().collect())
}

fn is_too_much(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadTooManyOperations
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadRequestTooLarge
            | StatusCode::BadEncodingLimitsExceeded
    )
}

/// An answer with what the server has kept back of it, as far as there is room; a place that is not needed any
/// more is given back.
async fn rest(session: &Session, first: BrowseResult, room: usize) -> Result<References, BrowseError> {
    let mut all = References { status: first.status_code, references: first.references.unwrap_or_default() };
    let mut point: ByteString = first.continuation_point;
    let mut pieces = 0;
    while !point.is_null_or_empty() {
        pieces += 1;
        let release = all.references.len() > room || pieces > PIECES_MAX;
        let answers = session.browse_next(release, &[point]).await;
        if release {
            break;
        }
        let answers = answers.map_err(|error| BrowseError::Refused(error.status()))?;
        let Some(next) = answers.into_iter().next() else {
            return Err(BrowseError::Refused(StatusCode::BadUnknownResponse));
        };
        all.status = next.status_code;
        all.references.extend(next.references.unwrap_or_default());
        point = next.continuation_point;
    }
    Ok(all)
}

fn description(node: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: OBJECTS_AND_VARIABLES,
        result_mask: WANTED,
    }
}
