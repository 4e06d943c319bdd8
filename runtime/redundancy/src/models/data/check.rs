//! What must hold in every state, and what must be seen in some.

use super::node::Entry;
use super::{Handed, Pair, World};
use crate::member::NodeId;
use crate::mirror::fill::{From, admit};
use crate::mirror::identity::tiny::Tiny;
use crate::mirror::{MirrorMode, Wish, invariants};
use gwp_core::Cursor;
use stateright::Property;

pub fn properties(pair: &Pair) -> Vec<Property<Pair>> {
    let mut properties = outside();
    if !pair.from_outside {
        properties.extend(inside());
        properties.extend(seen(pair));
    }
    properties
}

/// What the destination can find out.
fn outside() -> Vec<Property<Pair>> {
    vec![
        Property::<Pair>::always("D1 nothing that was read is missing", |pair, world| {
            !is_quiet(pair, world)
                || invariants::undelivered(read(world, &NodeId::BOTH), &world.sink).is_none()
        }),
        Property::<Pair>::always("D2 I16 in order but for backfill", |_, world| {
            invariants::out_of_order(&world.sink).is_none()
        }),
        Property::<Pair>::always("D3 D4 one repetition per crash", |_, world| {
            // A damaged reading says something else than before, so it counts as another.
            let allowed = usize::from(world.crashes);
            world.ever.damage || invariants::repeated(&world.sink, allowed).is_none()
        }),
    ]
}

/// What the two nodes keep to, so that it is so.
fn inside() -> Vec<Property<Pair>> {
    vec![
        Property::<Pair>::always("I11 what was read is in a store", |_, world| {
            NodeId::BOTH.iter().all(|id| is_covered(world, *id))
        }),
        Property::<Pair>::always("I12 the copy is a prefix", |_, world| is_prefix(world)),
        Property::<Pair>::always("I13 I15 I20 nothing leaves alone without a mark", |pair, world| {
            pair.mode != MirrorMode::BeforeSend || pair.damage || is_mirrored(world)
        }),
        Property::<Pair>::always("I14 the cursor follows acknowledgements and the log", |_, world| {
            NodeId::BOTH.iter().all(|id| cursor_is_acknowledged(world, *id))
        }),
        Property::<Pair>::always("I21 no value is overwritten", |_, world| {
            let logs = world.nodes.iter().map(|node| node.readings().collect::<Vec<_>>());
            logs.into_iter().all(|log| invariants::overwritten(&log).is_none())
        }),
    ]
}

/// What a run must have met, or it shows nothing.
fn seen(pair: &Pair) -> Vec<Property<Pair>> {
    let mut properties = vec![Property::<Pair>::sometimes("quiet", |pair, world| {
        world.slot > pair.slots && is_quiet(pair, world)
    })];
    if pair.crashes_max > 0 {
        properties.push(Property::<Pair>::sometimes("takeover", |_, world| world.ever.takeover));
        properties.push(Property::<Pair>::sometimes("quiet after a takeover", |pair, world| {
            world.slot > pair.slots && is_quiet(pair, world) && world.ever.takeover && world.sink.len() > 1
        }));
        properties.push(Property::<Pair>::sometimes("solo", |_, world| world.ever.solo));
    }
    if pair.fails_max > 0 && pair.hot && pair.fill {
        properties.push(Property::<Pair>::sometimes("fill", |_, world| world.ever.fill));
    }
    if pair.damage {
        properties.push(Property::<Pair>::sometimes("damage found", |_, world| world.ever.damage_found));
    }
    let parts = pair.crashes_max > 0 && pair.mode == MirrorMode::BeforeSend && !pair.damage;
    if parts && !pair.destroy {
        properties.push(Property::<Pair>::sometimes("quiet after a tail was handed over", |pair, world| {
            is_quiet(pair, world) && world.ever.tail_handed_over
        }));
    }
    properties
}

/// Readings of these nodes that were on a disk that is there.
fn read<'a>(world: &'a World, nodes: &'a [NodeId]) -> impl Iterator<Item = Tiny> + 'a {
    nodes.iter().flat_map(|id| {
        let slots = world.node(*id).read.iter().zip(1..);
        slots.map(|(good, slot)| Tiny::new(slot, good.0))
    })
}

/// All slots are over and nothing is under way: no step but a fault would change a log or the
/// sink any more.
fn is_quiet(pair: &Pair, world: &World) -> bool {
    let Some(active) = &world.active else {
        return false;
    };
    let (mine, other) = (world.node(active.node), world.node(active.node.peer()));
    let delivered = mine.next_after(mine.delivered).is_none();
    if world.cut || active.outlet.is_in_flight() || !delivered || mine.synced != mine.log.len() {
        return false;
    }
    if other.destroyed && !other.up {
        return !pair.replace;
    }
    let Some(following) = &world.standby else {
        return false;
    };
    let same = following.side.durable() == mine.end() && other.next_after(other.delivered).is_none();
    let fills = || other.shadow.offers(other, usize::MAX);
    same && active.side.peer_durable() == mine.end()
        && following.handed != Handed::Nothing
        && other.aside.is_empty()
        && active.side.wish() != Some(Wish::Clear)
        && (!pair.fill || fills().iter().all(|offer| admit(offer, From::Fill, mine).is_none()))
}

fn is_covered(world: &World, id: NodeId) -> bool {
    let node = world.node(id);
    let log: Vec<Tiny> = node.log[..node.synced].iter().filter_map(Entry::reading).collect();
    let shadow: Vec<Tiny> = node.shadow.iter().copied().collect();
    let stores: [&[Tiny]; 3] = [&log, &node.tails, &shadow];
    invariants::in_no_store(read(world, &[id]), &stores).is_none()
}

fn is_prefix(world: &World) -> bool {
    let (Some(active), Some(_)) = (&world.active, &world.standby) else {
        return true;
    };
    let (mine, other) = (world.node(active.node), world.node(active.node.peer()));
    invariants::not_a_prefix(&other.log, &mine.log).is_none()
}

/// What left in this activation is on both disks, or the mark stands for it. A destroyed disk
/// had it.
fn is_mirrored(world: &World) -> bool {
    let Some(active) = &world.active else {
        return true;
    };
    let (mine, other) = (world.node(active.node), world.node(active.node.peer()));
    let marked = world.mark == Some(active.node) || other.destroyed;
    !invariants::left_unmirrored(active.left, mine.durable(), other.durable(), marked)
}

fn cursor_is_acknowledged(world: &World, id: NodeId) -> bool {
    let node = world.node(id);
    if node.delivered > Cursor::complete(node.durable().position) {
        return false;
    }
    let in_flight = world.active.as_ref().is_some_and(|active| active.outlet.is_in_flight());
    let acknowledged = &world.sink[..world.sink.len() - usize::from(in_flight)];
    let entries = node.log.iter().filter_map(|entry| Some((entry.cursor(), entry.reading()?)));
    invariants::cursor_ahead(entries, node.delivered, acknowledged).is_none()
}
