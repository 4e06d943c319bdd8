//! The steps of the model: which are possible, and what the shell does in each.

use super::node::{Body, Node, T_SOLO, active_side};
use super::{AtWork, Damage, Following, Handed, Pair, Step, World};
use crate::member::NodeId;
use crate::mirror::fill::{From, admit};
use crate::mirror::identity::tiny::{Bits, Tiny};
use crate::mirror::rejoin::{AtPlace, Joining, join, kept_by};
use crate::mirror::takeover::take_over;
use crate::mirror::{Head, Outlet, Place, Reading, Shadow, StandbySide, TagSet, Verdict, Wish};
use crate::mono::Mono;

/// Steps that may change something; one that does not is dropped by the model.
pub fn possible(pair: &Pair, world: &World, steps: &mut Vec<Step>) {
    if world.slot <= pair.slots {
        reads(pair, world, steps);
    }
    for node in NodeId::BOTH {
        let own = world.node(node);
        if own.up && world.crashes < pair.crashes_max {
            crashes(pair, world, node, steps);
        }
        if !own.up && (!own.destroyed || pair.replace) {
            steps.push(Step::Restart(node));
        }
        if own.up && world.active.is_none() && !own.log.is_empty() {
            steps.push(Step::Activate(node));
        }
        if own.up && own.aside.may_delete(own.durable()) {
            steps.push(Step::DeleteTail);
        }
    }
    if world.cut {
        steps.push(Step::Heal);
    } else if world.cuts < pair.cuts_max {
        steps.push(Step::Cut);
    }
    if let Some(active) = &world.active {
        of_active(pair, world, active, steps);
    }
}

fn crashes(pair: &Pair, world: &World, node: NodeId, steps: &mut Vec<Step>) {
    let active = world.active.as_ref().filter(|active| active.node == node);
    let in_flight = active.is_some_and(|active| active.outlet.is_in_flight());
    let one_is_destroyed = world.nodes.iter().any(|node| node.destroyed);
    let mut ways = vec![Damage::None];
    ways.extend((pair.destroy && !one_is_destroyed).then_some(Damage::Destroyed));
    ways.extend((pair.damage && !world.ever.damage).then_some(Damage::Newest));
    for how in ways {
        steps.push(Step::Crash { node, how, loses_in_flight: false });
        if in_flight {
            steps.push(Step::Crash { node, how, loses_in_flight: true });
        }
    }
}

fn of_active(pair: &Pair, world: &World, active: &AtWork, steps: &mut Vec<Step>) {
    let (mine, other) = (world.node(active.node), world.node(active.node.peer()));
    if active.outlet.is_in_flight() {
        steps.push(Step::SinkAcknowledges { mirrored: false });
        if !pair.fine && world.standby.is_some() {
            steps.push(Step::SinkAcknowledges { mirrored: true });
        }
    } else if mine.next_after(active.outlet.submitted()).is_some() {
        steps.push(Step::Deliver);
    } else if !pair.fine && world.standby.is_some() {
        steps.push(Step::MirrorDelivered);
    }
    if mine.synced < mine.log.len() {
        steps.push(Step::Commit);
    }
    if active.side.wish() == Some(Wish::Clear) {
        steps.push(Step::ClearMark);
    }
    if (world.standby.is_none() || pair.slow_peer) && !active.side.is_solo() {
        steps.push(Step::GoSolo);
    }
    let Some(following) = &world.standby else {
        if !world.cut && other.up {
            steps.push(Step::Join);
        }
        return;
    };
    if active.side.next_after().is_some_and(|sent| sent < mine.end()) {
        steps.push(Step::Send);
    }
    if pair.fill && !other.shadow.is_empty() {
        steps.push(Step::Fill);
    }
    if following.handed == Handed::Nothing {
        steps.push(Step::HandOver);
    }
    if pair.fine {
        steps.extend([Step::MirrorDelivered, Step::Acknowledge]);
        if other.synced < other.log.len() {
            steps.push(Step::Persist);
        }
        if let Handed::Given(_) = following.handed {
            steps.push(Step::AnswerKept);
        }
    }
}

/// All ways in which the due slot can be read by nodes that are up.
fn reads(pair: &Pair, world: &World, steps: &mut Vec<Step>) {
    let all = 1 << pair.tags;
    let left = u32::from(pair.fails_max - world.fails);
    for primary in 0..all {
        for backup in 0..all {
            let fails: [u8; 2] = [primary, backup];
            let reading = |id: NodeId| fails[id.index()] == 0 || does_read(pair, world, id);
            let count: u32 = fails.iter().map(|tags| tags.count_ones()).sum();
            if count <= left && NodeId::BOTH.into_iter().all(reading) {
                steps.push(Step::Read { fails });
            }
        }
    }
}

fn does_read(pair: &Pair, world: &World, id: NodeId) -> bool {
    let active = world.active.as_ref().is_some_and(|active| active.node == id);
    world.node(id).up && (active || pair.hot)
}

pub fn apply(pair: &Pair, world: &mut World, step: Step) {
    match step {
        Step::Read { fails } => read(pair, world, fails),
        Step::Crash { node, how, loses_in_flight } => {
            if loses_in_flight {
                world.sink.pop();
            }
            crash(pair, world, node, how);
        }
        Step::Restart(node) => world.node_mut(node).up = true,
        Step::Activate(node) => activate(pair, world, node),
        Step::Cut => {
            world.cut = true;
            world.cuts += 1;
            link_lost(world);
        }
        Step::Heal => world.cut = false,
        Step::DeleteTail => delete_tail(world),
        _ => with_active(pair, world, step),
    }
}

fn read(pair: &Pair, world: &mut World, fails: [u8; 2]) {
    let all = (1 << pair.tags) - 1;
    for id in NodeId::BOTH {
        let failed = fails[id.index()];
        let reading = Tiny::new(world.slot, all & !failed);
        let reads = does_read(pair, world, id);
        let active = world.active.as_mut().filter(|active| active.node == id);
        let epoch = world.epoch;
        let node = &mut world.nodes[id.index()];
        let slot = usize::from(world.slot) - 1;
        node.read[slot] = if reads { reading.good() } else { Bits(0) };
        match active {
            Some(active) => {
                if let Some(reading) = admit(&reading, From::Own, node) {
                    node.append(epoch, Body::Reading(reading));
                }
                commit(active, node);
            }
            None if reads => {
                let mut shadow = node.shadow.clone();
                assert!(shadow.push(&reading, node).is_empty(), "the shadow is large enough");
                node.shadow = shadow;
            }
            None => {}
        }
        world.fails += failed.count_ones() as u8;
    }
    world.slot += 1;
}

fn commit(active: &mut AtWork, node: &mut Node) {
    node.sync();
    active.side.committed(node.end(), Mono(0));
}

fn crash(pair: &Pair, world: &mut World, id: NodeId, how: Damage) {
    world.crashes += 1;
    link_lost(world);
    if world.active.as_ref().is_some_and(|active| active.node == id) {
        world.active = None;
    }
    let node = world.node_mut(id);
    node.up = false;
    node.log.truncate(node.synced);
    if !pair.shadow_survives {
        for reading in node.shadow.iter() {
            let slot = usize::from(reading.slot) - 1;
            node.read[slot] = node.read[slot].minus(&reading.good);
        }
        node.shadow = Shadow::new(1_000);
    }
    match how {
        Damage::None => {}
        Damage::Destroyed => {
            *node = Node { up: false, destroyed: true, ..Node::empty() };
        }
        Damage::Newest => {
            if let Some(Body::Reading(reading)) = node.log.last_mut().map(|entry| &mut entry.body) {
                let slot = usize::from(reading.slot) - 1;
                node.read[slot] = node.read[slot].minus(&reading.good);
                reading.good = Bits(0);
                world.ever.damage = true;
            }
        }
    }
}

/// What was received is made durable; the rest is found out anew at the next join.
fn link_lost(world: &mut World) {
    let Some(active) = &mut world.active else {
        return;
    };
    active.side.detached();
    if let Some(mut following) = world.standby.take() {
        let node = &mut world.nodes[active.node.peer().index()];
        persist(&mut following, node);
        node.aside.hand_over_again();
    }
}

/// The received frames are synced, and what they hold leaves the shadow.
fn persist(following: &mut Following, node: &mut Node) {
    let before = node.synced;
    node.sync();
    following.side.persisted(node.end());
    for entry in &node.log[before..] {
        if let Some(reading) = entry.reading() {
            node.shadow.arrived(&reading);
        }
    }
}

/// Here roles are given from outside, and so is what the votes tell a node of the mark: the peer may
/// have delivered what this one lacks if the mark is the peer's.
fn is_stale(marked_by: Option<NodeId>, me: NodeId) -> bool {
    !mutant!("mark_ignored") && marked_by == Some(me.peer())
}

fn activate(pair: &Pair, world: &mut World, id: NodeId) {
    let stale = is_stale(world.mark, id);
    let marked = world.mark.is_some();
    world.epoch = id.epoch_after(world.epoch);
    let epoch = world.epoch;
    let node = world.node_mut(id);
    let takeover = take_over(node, node.end(), &node.tails, &node.shadow, stale);
    node.append(epoch, Body::Activated { stale: takeover.backfill_upto.is_some() });
    takeover.append.iter().for_each(|reading| node.append(epoch, Body::Reading(*reading)));
    node.sync();
    // They are durable: the log holds what was beside it.
    takeover.append.iter().for_each(|reading| node.shadow.arrived(reading));
    if mutant!("takeover_drops_shadow") {
        node.shadow.clear();
    }
    node.tails.clear();
    node.aside.deleted();
    let side = active_side(pair.mode, node.end(), marked);
    let outlet = Outlet::new(node.delivered);
    world.ever.takeover |= world.crashes > 0 && id == NodeId::Backup;
    world.active = Some(AtWork { node: id, side, outlet, left: Place::ZERO });
}

fn delete_tail(world: &mut World) {
    let Some(active) = &world.active else {
        return;
    };
    let node = &mut world.nodes[active.node.peer().index()];
    if node.up && node.aside.may_delete(node.durable()) {
        node.tails.clear();
        node.aside.deleted();
    }
}

/// The steps of an active and of the one that follows it.
fn with_active(pair: &Pair, world: &mut World, step: Step) {
    let Some(mut active) = world.active.take() else {
        return;
    };
    let mut standby = world.standby.take();
    match step {
        Step::Commit => {
            let node = active.node.index();
            commit(&mut active, &mut world.nodes[node]);
        }
        Step::Deliver => deliver(world, &mut active),
        Step::SinkAcknowledges { mirrored } => {
            active.outlet.acknowledge(active.outlet.submitted());
            world.node_mut(active.node).delivered = active.outlet.delivered();
            if let (true, Some(following)) = (mirrored, &mut standby) {
                linked(pair, world, &mut active, following, Step::MirrorDelivered);
            }
        }
        Step::GoSolo => {
            active.side.tick(Mono(T_SOLO));
            if let Some(Wish::Solo { .. }) = active.side.wish() {
                world.mark = Some(active.node);
                active.side.solo_registered();
                world.ever.solo = true;
            }
        }
        Step::ClearMark => {
            if active.side.wish() == Some(Wish::Clear) {
                world.mark = None;
                active.side.mark_cleared();
            }
        }
        Step::Join => standby = joined(world, &mut active),
        _ => {
            standby = standby.take().and_then(|mut following| {
                linked(pair, world, &mut active, &mut following, step).then_some(following)
            });
        }
    }
    if standby.is_none() && active.side.next_after().is_some() {
        active.side.detached();
    }
    world.active = Some(active);
    world.standby = standby;
}

fn deliver(world: &mut World, active: &mut AtWork) {
    if active.outlet.is_in_flight() {
        return;
    }
    let node = &mut world.nodes[active.node.index()];
    let Some(at) = node.next_after(active.outlet.submitted()) else {
        return;
    };
    let entry = node.log[at];
    if active.outlet.submit(entry.cursor(), entry.place(), active.side.gate()) {
        active.left = entry.place();
        world.sink.extend(node.as_delivered(at));
        node.delivered = active.outlet.delivered();
    }
}

/// The other node asks to follow. What it sets aside is one step, that it follows the next.
fn joined(world: &mut World, active: &mut AtWork) -> Option<Following> {
    let (mine, other) = (world.node(active.node), world.node(active.node.peer()));
    let (place, hash) = (other.durable(), other.hash(other.synced));
    let here = mine.index(place).map_or(AtPlace::Unknown, |count| AtPlace::Hash(mine.hash(count)));
    let joining = join(&mine.history(), &other.history(), place, hash, here, Place::ZERO);
    let damage = matches!(here, AtPlace::Hash(own) if own != hash);
    match joining {
        Joining::Follow { after } => {
            active.side.attached(after);
            Some(Following { side: StandbySide::new(place, hash), handed: Handed::Nothing })
        }
        Joining::SetAside { above } => {
            let other = &mut world.nodes[active.node.peer().index()];
            assert!(other.aside.set_aside(above, place.position), "few tails");
            other.cut(above);
            world.ever.damage_found |= damage;
            None
        }
        Joining::Resync { .. } => unreachable!("nothing is trimmed"),
    }
}

/// A step on the link. False if the standby has to join again.
fn linked(
    pair: &Pair,
    world: &mut World,
    active: &mut AtWork,
    following: &mut Following,
    step: Step,
) -> bool {
    let [primary, backup] = &mut world.nodes;
    let (mine, other) = match active.node {
        NodeId::Primary => (primary, backup),
        NodeId::Backup => (backup, primary),
    };
    match step {
        Step::Send => {
            let follows = send(active, following, mine, other);
            if !pair.fine {
                persist(following, other);
                active.side.acknowledged(following.side.received(), following.side.durable());
            }
            return follows;
        }
        Step::Persist => persist(following, other),
        Step::Acknowledge => {
            active.side.acknowledged(following.side.received(), following.side.durable());
        }
        Step::MirrorDelivered => {
            let told = following.side.adopt(mine.delivered, &mut other.shadow);
            other.delivered = other.delivered.max(told);
        }
        Step::Fill => {
            let offers = other.shadow.offers(other, usize::MAX);
            if let Some(fill) = offers.iter().find_map(|offer| admit(offer, From::Fill, mine)) {
                mine.append(world.epoch, Body::Reading(fill));
                world.ever.fill = true;
                if !pair.fine {
                    commit(active, mine);
                }
            }
        }
        Step::HandOver if following.handed == Handed::Nothing => {
            world.ever.tail_handed_over |= !other.tails.is_empty();
            for reading in other.tails.iter().chain(other.shadow.iter()) {
                if let Some(reading) = admit(reading, From::Rejoin, mine) {
                    mine.append(world.epoch, Body::Reading(reading));
                }
            }
            following.handed = Handed::Given(mine.end());
            if !pair.fine {
                commit(active, mine);
                answer_kept(active, following, other);
            }
        }
        Step::AnswerKept => answer_kept(active, following, other),
        _ => {}
    }
    true
}

/// Sends the next frame, if there is one and credit for it. False if it does not fit.
fn send(active: &mut AtWork, following: &mut Following, mine: &Node, other: &mut Node) -> bool {
    let Some(before) = active.side.next_after() else {
        return true;
    };
    let Some(at) = mine.index(before).filter(|at| *at < mine.log.len()) else {
        return true;
    };
    if !active.side.has_credit(1) {
        return true;
    }
    let place = mine.log[at].place();
    let head = Head { before, hash_before: mine.hash(at), place, hash: mine.hash(at + 1), bytes: 1 };
    active.side.sent(&head);
    match following.side.accept(&head) {
        Verdict::Append => other.log.push(mine.log[at]),
        Verdict::Have => {}
        Verdict::Gap { .. } | Verdict::Diverged => return false,
    }
    true
}

/// Tells the one who has handed over that all of it is durable here, once it is.
fn answer_kept(active: &AtWork, following: &mut Following, other: &mut Node) {
    if let Handed::Given(place) = following.handed
        && let Some(place) = kept_by(place, active.side.own_durable())
    {
        other.aside.handed_over(place);
        following.handed = Handed::Kept;
    }
}
