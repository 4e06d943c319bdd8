//! Logs that are trimmed, disks that are destroyed, and nodes that start anew.

use super::store::{Base, Handing, Sample, Store, Superblocks};
use super::world::World;
use crate::member::{Member, NodeId};
use crate::mirror::identity::tiny::Bits;
use crate::mirror::{Identity, MirrorMode, Place, Reading};
use crate::node::Role;
use gwp_core::Cursor;
use std::collections::BTreeMap;

impl Store {
    /// What a node begins with that starts anew after the oldest place of this log.
    pub fn base_at_oldest(&self) -> Base {
        let (place, mut history) = (self.oldest(), self.history.clone());
        history.cut(place.position);
        Base { place, hash: self.hash(self.first), history, configured: self.configured_at(self.first) }
    }

    /// Trims what is delivered everywhere, up to `upto`, but for the newest `keep` records.
    fn trim(&mut self, upto: Place, keep: usize) -> Vec<Sample> {
        let done = self.saved.into_iter().min().unwrap_or(Cursor::ZERO);
        let most = self.synced.min(self.log.len().saturating_sub(keep));
        let trimmed = self.log.partition_point(|entry| entry.cursor() <= done && entry.place() <= upto);
        let trimmed = trimmed.min(most).max(self.first);
        let gone = self.log[self.first..trimmed].iter().filter_map(|entry| entry.sample()).collect();
        self.first = trimmed;
        gone
    }
}

impl World {
    /// The active trims what its peer has, or what is too much to keep for one that is away; a
    /// standby what it knows to be delivered.
    pub fn trim(&mut self, id: NodeId) {
        let Some((keep, for_peer)) = self.plan.trims else { return };
        let process = &mut self.nodes[id.index()];
        if process.store.failed || process.store.log.len() - process.store.first <= keep {
            return;
        }
        let (what, upto, keep) = match &process.work {
            Some(work) if work.conn.is_some() => ("trimmed by the active", work.side.peer_durable(), keep),
            Some(_) => ("trimmed alone", process.store.end(), for_peer),
            None if process.follow.is_some() => ("trimmed by the standby", process.store.end(), keep),
            None => return,
        };
        let gone = process.store.trim(upto, keep);
        if !gone.is_empty() {
            self.coverage.saw(what);
            self.is_delivered(id, &gone, "trimmed is only what is delivered");
        }
    }

    /// These leave the stores of a node: all destinations have them.
    fn is_delivered(&mut self, id: NodeId, gone: &[Sample], rule: &str) {
        for sample in gone {
            let identity = sample.identity();
            if sample.good.0 & !self.facts.delivered(&identity) != 0 {
                return self.fail(format!("{rule}: {identity:?} of {id}"));
            }
        }
    }

    /// A node's log is made anew from the active's.
    pub fn start_anew(&mut self, id: NodeId, base: Base) {
        let empty = self.nodes[id.index()].store.end() == Place::ZERO;
        self.coverage.saw(if empty { "resync of an empty node" } else { "resync of one behind" });
        let store = &mut self.nodes[id.index()].store;
        let gone: Vec<Sample> = store.log[store.first..].iter().filter_map(|entry| entry.sample()).collect();
        let delivered = Cursor::complete(base.place.position);
        store.restart(base);
        store.delivered = store.delivered.map(|_| delivered);
        store.saved = store.delivered;
        store.handing = Some(Handing::default());
        self.is_delivered(id, &gone, "a log that is behind the active's oldest record is delivered");
        self.reconfigure(id);
    }

    /// What was handed over from the shadow is at the active, and what it made of it is here.
    pub fn handed_shadow(&mut self, id: NodeId) {
        let store = &mut self.nodes[id.index()].store;
        let durable = store.durable();
        let Some(handing) = store.handing.take_if(|of| of.kept_by.is_some_and(|place| durable >= place))
        else {
            return;
        };
        handing.readings.iter().for_each(|sample| store.shadow.arrived(sample));
        self.coverage.saw("shadow handed over");
    }

    /// Whether the pair can bear to lose this node's disk: the other has what counts.
    fn bears_loss_of(&self, id: NodeId) -> bool {
        let (own, other) = (&self.nodes[id.index()], &self.nodes[id.peer().index()]);
        let holds = |role: Option<Role>| role.is_some_and(Role::holds);
        if own.node.is_none() || other.store.failed || self.facts.destroyed == Some(id.peer()) {
            return false;
        }
        let alone = own.node.as_ref().is_some_and(|node| node.is_alone());
        let paired = own.work.as_ref().is_some_and(|work| work.side.is_paired());
        let newest = self.facts.last_active;
        match (own.role(), other.role()) {
            (Some(Role::Active), Some(Role::Standby)) => paired && !alone && newest == Some(id),
            (own, Some(Role::Active)) => !holds(own) && newest == Some(id.peer()),
            _ => false,
        }
    }

    /// A disk is gone with all that is on it, votes included. What nobody else has is lost, and
    /// it is known what that is.
    pub fn destroy(&mut self, id: NodeId, back: u64) {
        if !self.bears_loss_of(id) {
            return;
        }
        let own = &self.nodes[id.index()];
        let was_active = own.role() == Some(Role::Active);
        let there = self.nodes[id.peer().index()].store.stored();
        let mut lost: BTreeMap<Identity, Bits> = BTreeMap::new();
        for (identity, bits) in &own.store.owed {
            let has = there.get(identity).map_or(0, |bits| bits.0) | self.facts.delivered(identity);
            if bits.0 & !has != 0 {
                lost.insert(*identity, Bits(bits.0 & !has));
            }
        }
        self.coverage.saw(if was_active { "active destroyed" } else { "other destroyed" });
        // Only what was acknowledged alone can be lost with one disk.
        let acknowledged = |of: &&Identity| self.facts.acknowledged.get(of) == Some(&false);
        if let Some(identity) = lost
            .keys()
            .find(acknowledged)
            .filter(|_| self.ordered() && self.plan.mode == MirrorMode::BeforeSend)
        {
            return self.fail(format!("I20 what was acknowledged is on both disks: {identity:?} of {id}"));
        }
        if !lost.is_empty() {
            self.coverage.saw("lost with a disk");
            self.say(|| format!("{id}: lost with its disk: {lost:?}"));
        }
        lost.into_iter()
            .for_each(|(identity, bits)| self.facts.lost.entry(identity).or_default().0 |= bits.0);
        self.facts.destroyed = Some(id);
        self.crash(Member::Node(id), back, true);
        let process = &mut self.nodes[id.index()];
        process.store = Store::empty(self.plan.shadow_bytes);
        process.disk = Superblocks::default();
    }
}
