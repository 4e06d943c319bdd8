//! What somebody outside sees: the devices that are read, the destinations that are delivered
//! to, and who said when that it is active.

use super::store::{MESSAGES, SINKS, Sample};
use crate::member::{Epoch, NodeId};
use crate::mirror::identity::tiny::Bits;
use crate::mirror::{Identity, Place, Reading, Stream};
use crate::node::Role;
use gwp_core::Cursor;
use std::collections::{BTreeMap, BTreeSet};

/// A destination and what it was given.
#[derive(Default)]
pub struct Sink {
    pub down: bool,
    /// Newest epoch that it was opened for, or has seen.
    pub accepted: Epoch,
    pub got: BTreeMap<Identity, Bits>,
    /// Of the transactional one: the newest of each epoch, kept with what it was given.
    pub cursors: BTreeMap<Epoch, Cursor>,
    /// Of all entries that were ever submitted to it.
    pub submitted: BTreeMap<Cursor, usize>,
    /// What arrived and had all arrived before, and how much of that the failovers and lost
    /// answers so far explain; in pieces ([`super::doubles::pieces`]).
    pub doubles: usize,
    pub last_double: Option<Sample>,
    pub allowed: usize,
    /// One of them that says it is in order.
    pub plain_double: Option<Identity>,
    /// Order of the newest of each stream that was new and not flagged.
    newest: BTreeMap<Stream, i64>,
    /// Epochs of which something came after something of a newer one.
    late: BTreeSet<Epoch>,
}

#[derive(Default)]
pub struct Facts {
    pub sinks: [Sink; SINKS],
    /// Good tags that each node has read.
    reads: BTreeMap<(u8, u32), [u8; 2]>,
    pub last_active: Option<NodeId>,
    /// This node has handed over, and nobody has become active since.
    handed: Option<NodeId>,
    pub last_epoch: Epoch,
    /// Epochs that went on beside a newer one, for a clock.
    pub overlapped: BTreeSet<Epoch>,
    /// How far each node has copied the log of which epoch's active, durably.
    pub copied: [(Epoch, Place); 2],
    /// And in its memory.
    pub received: [(Epoch, Place); 2],
    /// Messages that the source has not forgotten.
    pub queue: BTreeSet<u32>,
    /// Messages that were acknowledged, and whether a mark stood for that.
    pub acknowledged: BTreeMap<Identity, bool>,
    /// Beginnings and ends of epochs that people were told of, by node.
    pub told: [BTreeSet<(&'static str, Epoch)>; 2],
    /// Somebody delivered alone, or took over and could not know whether anybody had.
    pub apart: bool,
    /// Its disk is gone, and it does not have everything again.
    pub destroyed: Option<NodeId>,
    /// What only a destroyed disk held.
    pub lost: BTreeMap<Identity, Bits>,
    /// Who is to be active until when, or what is broken.
    expected: Option<(NodeId, u64, &'static str)>,
    /// A switchover is looked at.
    pub smooth: bool,
    /// What each node was before it stood.
    stood_from: [Option<Role>; 2],
}

impl Facts {
    pub fn read(&mut self, by: NodeId, stream: u8, number: u32, good: u8) {
        self.reads.entry((stream, number)).or_default()[by.index()] |= good;
    }

    pub fn role(&mut self, id: NodeId, from: Role, to: Role) {
        if (from, to) == (Role::Draining, Role::Fenced) {
            self.handed = Some(id);
        }
        if to == Role::Candidate {
            self.stood_from[id.index()] = Some(from);
        }
    }

    /// The epoch of the last active, if `id` stood as a standby to take over from it.
    pub fn stood_by(&self, id: NodeId) -> Option<Epoch> {
        let from_standby = self.stood_from[id.index()] == Some(Role::Standby);
        (from_standby && self.last_active == Some(id.peer())).then_some(self.last_epoch)
    }

    pub fn expect(&mut self, id: NodeId, by: u64, what: &'static str) {
        self.expected = Some((id, by, what));
        self.smooth = false;
    }

    pub fn is_timed(&self) -> bool {
        self.expected.is_some()
    }

    /// A node is active now: what it breaks by being so late, or by being the wrong one.
    pub fn in_time(&mut self, id: NodeId, t: u64) -> Option<&'static str> {
        let (expected, by, what) = self.expected.take()?;
        (expected != id || t > by).then_some(what)
    }

    /// A node became active. Gives whether it took over from the other, and by a switchover.
    pub fn activated(&mut self, id: NodeId, epoch: Epoch) -> (bool, bool) {
        let takeover = self.last_active == Some(id.peer());
        let handed = takeover && self.handed == Some(id.peer());
        (self.last_active, self.handed, self.last_epoch) = (Some(id), None, epoch);
        (takeover, handed)
    }

    /// I18: the value is one that a node has read, and only good tags of that reading.
    fn is_true(&self, sample: &Sample) -> bool {
        let read = self.reads.get(&(sample.stream, sample.number)).copied().unwrap_or_default();
        NodeId::BOTH.into_iter().any(|by| {
            sample.value == Sample::value(sample.stream, sample.number, by)
                && sample.good.0 & !read[by.index()] == 0
        })
    }

    /// Something arrives at a sink in an epoch that is not refused. Gives what is wrong with it.
    pub fn arrived(&mut self, sink: usize, sample: &Sample, late: bool, ordered: bool) -> Option<String> {
        if !self.is_true(sample) {
            return Some(format!("I18 what arrives was read so: {sample:?}"));
        }
        let sink = &mut self.sinks[sink];
        let identity = sample.identity();
        let known = sink.got.get(&identity).copied();
        let is_new = known.is_none_or(|had| sample.good.0 & !had.0 != 0);
        sink.got.entry(identity).or_default().0 |= sample.good.0;
        if !is_new {
            sink.last_double = Some(*sample);
            sink.doubles += sample.good.0.count_ones().max(1) as usize;
            // A message that was delivered alone and not acknowledged is sent again, as if it were new.
            let new = sample.backfill || sample.stream == MESSAGES && self.apart;
            sink.plain_double = sink.plain_double.or((!new).then_some(identity));
        }
        if sample.backfill || !is_new || late || !ordered {
            return None;
        }
        let newest = sink.newest.entry(identity.stream()).or_insert(i64::MIN);
        if identity.order() < *newest {
            return Some(format!("I16 in order but for backfill: {sample:?} after {newest}"));
        }
        *newest = identity.order();
        None
    }
}

impl Facts {
    /// Which of these good tags all destinations were given.
    pub fn delivered(&self, identity: &Identity) -> u8 {
        self.sinks.iter().fold(u8::MAX, |all, sink| all & sink.got.get(identity).map_or(0, |bits| bits.0))
    }
}

impl Sink {
    /// An epoch comes to a sink that does not refuse old ones. `Some(late)`, or none if it is
    /// the second batch of an epoch that is over.
    pub fn take_epoch(&mut self, epoch: Epoch) -> Option<bool> {
        let late = epoch < self.accepted;
        self.accepted = epoch.max(self.accepted);
        (!late || self.late.insert(epoch)).then_some(late)
    }
}
