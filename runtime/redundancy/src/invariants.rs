//! What must hold of a pair at every instant, as functions that the model checker, the
//! simulation and the gateway itself call. Those of the mirrored data are in
//! [`mirror::invariants`](crate::mirror::invariants).

use crate::member::{Epoch, NodeId};
use crate::mono::Mono;
use crate::node::{Node, Role};
use crate::vote::{Mark, Superblock};

/// A rule that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Broken(pub &'static str);

/// I1. At most one node holds a live lease. `now` of each by its own clock. Holds wherever a
/// witness votes and no operator forced a node; pairs without a witness promise it for `safety`.
pub fn one_holder(nodes: [(&Node, Mono); 2]) -> Result<(), Broken> {
    let live = |(node, now): (&Node, Mono)| now < node.lease_until();
    let [one, other] = nodes;
    if live(one) && live(other) { Err(Broken("I1 one holder of a live lease")) } else { Ok(()) }
}

/// I2. An epoch belongs to one node.
pub fn own_epoch(node: NodeId, epoch: Epoch) -> Result<(), Broken> {
    let own = epoch == 0 || (epoch % 2 == 1) == (node == NodeId::Primary);
    if own { Ok(()) } else { Err(Broken("I2 one holder per epoch")) }
}

/// What must hold of one node after each of its steps, whatever befalls the others: I2, I4, I6, I7.
/// `on_disk` = its superblock there, `open` = the epoch its exits are open for now.
pub fn of_node(node: &Node, on_disk: &Superblock, open: Option<Epoch>, now: Mono) -> Result<(), Broken> {
    let settings = node.settings();
    own_epoch(settings.me, node.epoch())
        .and(durable(node, on_disk))
        .and(bounded_lease(now, node.lease_until(), settings.timing.lease))
        .and(gate(open, node))
}

/// I3. A fenced destination that has accepted `accepted` is given nothing older.
pub fn fenced(accepted: Epoch, coming: Epoch) -> Result<(), Broken> {
    if coming >= accepted { Ok(()) } else { Err(Broken("I3 epochs at a destination rise")) }
}

/// I4. Who holds an epoch has its own vote for it on disk. (That of others is behind I1.)
pub fn durable(node: &Node, on_disk: &Superblock) -> Result<(), Broken> {
    if !node.role().holds() || on_disk.promise.epoch >= node.epoch() {
        Ok(())
    } else {
        Err(Broken("I4 a vote is on disk before it counts"))
    }
}

/// I6. A lease is never longer than one lease from now, where votes carry it.
pub fn bounded_lease(now: Mono, until: Mono, lease_ns: u64) -> Result<(), Broken> {
    if until == Mono::FOREVER || until.since(now) <= lease_ns {
        Ok(())
    } else {
        Err(Broken("I6 a lease counts from when it was asked for"))
    }
}

/// I7. An exit that is open belongs to the epoch its node holds now, and its node is active.
pub fn gate(open_for: Option<Epoch>, node: &Node) -> Result<(), Broken> {
    match open_for {
        Some(epoch) if !matches!(node.role(), Role::Active | Role::Draining) || node.epoch() != epoch => {
            Err(Broken("I7 an open exit has its epoch"))
        }
        _ => Ok(()),
    }
}

/// I7. Who says that an epoch is over for good has no exit open for it, and nothing on its way.
pub fn relinquished(epoch: Epoch, exits: &[Option<Epoch>]) -> Result<(), Broken> {
    if epoch != 0 && exits.contains(&Some(epoch)) {
        return Err(Broken("I7 an epoch is given up after its exits are shut"));
    }
    Ok(())
}

/// I15. Who delivers alone has its mark where the next active will see it: at the witness, or on its own disk, if there
/// is none or the epoch alone says as much ([`Node::witness_keeps_mark`]).
pub fn marked(
    id: NodeId,
    node: &Node,
    own: Option<Mark>,
    witness: Option<Mark>,
    now: Mono,
) -> Result<(), Broken> {
    let kept = if node.witness_keeps_mark() { witness } else { own };
    let live = now < node.lease_until();
    let stands = kept.is_some_and(|mark| mark.holder == id && mark.epoch == node.epoch() && mark.solo);
    if !live || !node.is_alone() || stands { Ok(()) } else { Err(Broken("I15 alone only with a mark")) }
}
