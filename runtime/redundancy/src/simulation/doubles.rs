//! I17: how often destinations get again what they have.
//!
//! A failover repeats what the one before had submitted and the next does not know to be
//! acknowledged; a lost answer repeats its batch. A transactional destination, which keeps the
//! cursor with the data, gets nothing twice, unless a tail comes back that was delivered alone: then
//! it is flagged.

use super::facts::{Facts, Sink};
use super::sinks::BATCH;
use super::store::{SINKS, Sample};
use super::world::World;
use crate::member::{Epoch, NodeId};
use crate::mirror::{History, Outlet};
use gwp_core::Cursor;
use std::ops::Bound;

/// Entries whose acknowledgement the standby may not have heard of when a pair lacks nothing:
/// all that comes in while a message is under way, and a tick.
const UNTOLD: usize = 8;

/// In how many pieces a reading can come back at the most: one without a good tag, from a node
/// that could not read it, and one for each tag.
pub fn pieces(sample: &Sample) -> usize {
    1 + sample.good.0.count_ones() as usize
}

/// How far a transactional destination was given a log.
pub fn told(sink: &Sink, log: &History) -> Cursor {
    let cursors: Vec<Cursor> = sink.cursors.values().copied().collect();
    Outlet::resumed(Cursor::ZERO, &cursors, log).delivered()
}

impl Facts {
    /// Entries pass the gate. One of an epoch that is over knows nothing of what its successor
    /// delivers.
    pub fn submits(&mut self, sink: usize, epoch: Epoch, batch: &[(Cursor, Sample)]) {
        let over = epoch < self.last_epoch;
        let to = &mut self.sinks[sink];
        let parts = batch.iter().map(|(cursor, sample)| (*cursor, pieces(sample)));
        to.submitted.extend(parts.clone());
        to.allowed += if over { parts.map(|of| of.1).sum() } else { 0 };
    }
}

impl World {
    /// The transactional destination is opened: it says how far it was given.
    pub fn resume_transactional(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let Some(work) = &mut process.work else { return };
        let to = &self.facts.sinks[0];
        let kept = process.store.delivered[0];
        let cursors: Vec<Cursor> = to.cursors.values().copied().collect();
        work.outlets[0] = Outlet::resumed(kept, &cursors, &process.store.history);
        let delivered = work.outlets[0].delivered();
        process.store.delivered[0] = delivered;
        if delivered > kept {
            self.coverage.saw("resumed at the destination");
        }
        if cursors.iter().any(|cursor| *cursor > delivered) {
            self.coverage.saw("cursor of another log");
        }
    }

    /// The destinations are opened: what this node will deliver again, at the most.
    pub fn note_lag(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let Some(work) = &mut process.work else { return };
        let store = &mut process.store;
        let has = |cursor: &Cursor| store.log.binary_search_by_key(cursor, |entry| entry.cursor()).is_ok();
        // A log that was made anew does not know what its shadow was made of, until that is handed over.
        let again = store.handing.as_ref().map_or(0, |of| of.readings.iter().map(pieces).sum());
        self.facts.apart |= again > 0;
        for sink in 0..SINKS {
            let (kept, from) = (work.kept[sink], work.outlets[sink].delivered());
            let to = &mut self.facts.sinks[sink];
            // What it has no copy of may come back as a tail, whatever the destination says.
            let beyond = to.submitted.range((Bound::Excluded(kept), Bound::Unbounded));
            let beyond = beyond.filter(|(cursor, _)| **cursor > from || !has(cursor));
            let (lag, parts) = beyond.fold((0, 0), |(lag, sum), (_, pieces)| (lag + 1, sum + pieces));
            work.lag[sink] = lag;
            to.allowed += parts + again;
        }
        store.handing = None;
    }

    /// How long this node was to take over was looked at, and so is what it repeats.
    pub fn check_lag(&mut self, id: NodeId, handed: bool) {
        let most = self.nodes[id.index()].work.as_ref().and_then(|work| work.lag.into_iter().max());
        match most {
            Some(lag) if handed && lag > 0 => {
                self.fail(format!("I29 a switchover delivers nothing twice: {lag}"));
            }
            Some(lag) if lag > BATCH + UNTOLD => {
                self.fail(format!("I17 a failover repeats what was in flight: {lag}"));
            }
            _ => {}
        }
    }

    pub fn check_doubles(&mut self, sink: usize) {
        let to = &self.facts.sinks[sink];
        if to.doubles > 0 {
            self.coverage.saw(if sink == 0 { "double at the transactional" } else { "double" });
        }
        // Two holders for a clock both deliver what they read themselves.
        let exact = self.ordered() && self.facts.overlapped.is_empty();
        let to = &self.facts.sinks[sink];
        if to.doubles > to.allowed {
            let (doubles, allowed) = (to.doubles, to.allowed);
            self.fail(format!("I17 doubles are explained: {doubles} of {allowed} at sink {sink}"));
        } else if sink == 0
            && exact
            && let Some(identity) = to.plain_double
        {
            self.fail(format!("I17 a transactional destination gets nothing twice: {identity:?}"));
        } else if sink == 0 && to.doubles > 0 && !self.facts.apart && exact {
            let double = to.last_double;
            self.fail(format!(
                "I17 a transactional destination gets nothing twice, nobody was alone: {double:?}"
            ));
        }
    }
}
