//! Who takes part: two nodes and, recommended, a witness.

use std::fmt;

/// Epoch of an activation; rises with each. 0 = none yet. The same number as in
/// [`Position::epoch`](gwp_core::Position).
pub type Epoch = u32;

/// One of the two gateways, named by what it is preferred to be, not by its role now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeId {
    Primary,
    Backup,
}

impl NodeId {
    pub const BOTH: [NodeId; 2] = [NodeId::Primary, NodeId::Backup];

    /// The other node.
    pub const fn peer(self) -> NodeId {
        match self {
            NodeId::Primary => NodeId::Backup,
            NodeId::Backup => NodeId::Primary,
        }
    }

    /// 0 for the primary, 1 for the backup.
    pub const fn index(self) -> usize {
        match self {
            NodeId::Primary => 0,
            NodeId::Backup => 1,
        }
    }

    /// The smallest epoch above `seen` that this node may take: odd ones belong to the
    /// primary, even ones to the backup. So an epoch has one possible holder, whatever fails.
    pub const fn epoch_after(self, seen: Epoch) -> Epoch {
        // At the end of all epochs it is none above `seen`, and nobody votes for that.
        let next = seen.saturating_add(1);
        if (next % 2 == 1) == matches!(self, NodeId::Primary) { next } else { next.saturating_add(1) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeId::Primary => "primary",
            NodeId::Backup => "backup",
        })
    }
}

/// A voter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Member {
    Node(NodeId),
    Witness,
}

impl Member {
    pub const fn node(self) -> Option<NodeId> {
        match self {
            Member::Node(node) => Some(node),
            Member::Witness => None,
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Node(node) => node.fmt(f),
            Member::Witness => f.write_str("witness"),
        }
    }
}
