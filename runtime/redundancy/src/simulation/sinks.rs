//! Deliveries: checked at the gate, emitted some time later, arrived, acknowledged.

use super::doubles::{pieces, told};
use super::plan::MS;
use super::process::Flight;
use super::store::{SINKS, Sample};
use super::world::{Answer, Event, World};
use crate::invariants;
use crate::member::{Epoch, NodeId};
use crate::mirror::{MirrorMode, Place, invariants as mirrored};
use crate::node::Input;
use gwp_core::Cursor;

/// Entries in one batch; one batch is under way to a sink.
pub const BATCH: usize = 16;

impl World {
    pub fn deliver(&mut self, id: NodeId) {
        let now = self.now(id);
        for sink in 0..SINKS {
            self.serial += 1;
            let serial = self.serial;
            let process = &mut self.nodes[id.index()];
            let open = process.gate.as_ref().is_some_and(|gate| gate.open(now));
            let busy = process.store.failed || process.flights[sink].is_some();
            let draining = process.draining;
            let Some(work) = process.work.as_mut().filter(|_| open && !busy) else { continue };
            let (outlet, gate) = (&mut work.outlets[sink], work.side.gate());
            let (mut batch, mut left) = (Vec::new(), Place::ZERO);
            for at in process.store.after(outlet.submitted()).take(BATCH) {
                let entry = process.store.log[at];
                let Some(sample) = process.store.as_delivered(at) else { continue };
                // What was under way is delivered again until it is acknowledged, nothing else.
                if draining && entry.cursor() > work.upto[sink] {
                    break;
                }
                if !outlet.submit(entry.cursor(), entry.place(), gate) {
                    break;
                }
                left = entry.place();
                work.upto[sink] = entry.cursor().max(work.upto[sink]);
                batch.push((entry.cursor(), sample));
            }
            if batch.is_empty() {
                continue;
            }
            process.store.delivered[sink] = outlet.delivered();
            let (epoch, boot, solo) = (work.epoch, process.boot, work.side.is_solo());
            self.facts.submits(sink, epoch, &batch);
            process.flights[sink] = Some(Flight { serial, epoch, batch, emitted: false });
            let slow = self.random.chance(50);
            let upto = if slow && !self.calm { 150 * MS } else { 2 * MS };
            self.later_between(0, upto, Event::Emit { of: id, boot, sink, serial });
            if let Some(lasts) = self.nodes[id.index()].pause_at_gate.take() {
                self.coverage.saw("pause");
                self.say(|| format!("{id}: stands still behind the gate"));
                let rest = self.plan.calm_at.saturating_sub(self.t);
                self.pause(id, lasts.min(rest), false);
            }
            self.check_left(id, epoch, left, solo, "I13 I15");
        }
    }

    /// I13, I15, I20: what leaves is on both disks, or a mark stands for it.
    pub fn check_left(&mut self, id: NodeId, epoch: Epoch, left: Place, solo: bool, rule: &str) {
        let own = &self.nodes[id.index()];
        let peer = &self.nodes[id.peer().index()].store;
        let kept = match &own.node {
            Some(node) if node.witness_keeps_mark() => self.witness.disk.newest().mark,
            _ => own.disk.newest().mark,
        };
        let marked = kept.is_some_and(|mark| mark.solo && mark.holder == id && mark.epoch == epoch);
        let trimmed = left < peer.oldest() && peer.history.common(&own.store.history) >= left.position;
        let memory =
            self.plan.mode == MirrorMode::Memory && self.facts.received[id.peer().index()] >= (epoch, left);
        let there = memory || trimmed || peer.index(left).is_some_and(|count| count <= peer.synced);
        // What it had on its disk was there, even if the disk is gone since, or trimmed.
        let (followed, copied) = self.facts.copied[id.peer().index()];
        let peer_durable = match there {
            true => left,
            false if followed == epoch => copied,
            false => Place::ZERO,
        };
        // Whoever took the vote since knows that it was solo, or is on the way to refuse this epoch.
        let moved_on =
            kept.is_some_and(|mark| mark.epoch > epoch) || !self.ordered() || self.overlapped(epoch);
        if mirrored::left_unmirrored(left, own.store.durable(), peer_durable, marked || moved_on) {
            let what = "what leaves is on both disks, or a mark stands for it";
            self.fail(format!("{rule} {what}: {left} of {id}, solo: {solo}"));
        }
    }

    /// The gate was asked before; a process that was paused in between emits all the same.
    pub fn emit(&mut self, of: NodeId, sink: usize, serial: u64) {
        let process = &mut self.nodes[of.index()];
        let boot = process.boot;
        let Some(flight) = process.flights[sink].as_mut().filter(|flight| flight.serial == serial) else {
            return;
        };
        flight.emitted = true;
        let (epoch, batch) = (flight.epoch, flight.batch.clone());
        if !self.calm && self.random.chance(20) {
            let answer = Answer::Lost;
            self.later_between(50 * MS, 300 * MS, Event::Answer { of, boot, sink, serial, answer });
        } else {
            self.later_between(MS, 20 * MS, Event::Arrive { of, boot, sink, serial, epoch, batch });
        }
    }

    pub fn at_sink(&mut self, sink: usize, epoch: Epoch, batch: &[(Cursor, Sample)]) -> Answer {
        if self.facts.sinks[sink].down {
            return Answer::Lost;
        }
        let overlapped = self.overlapped(epoch);
        let (strict, ordered) = (self.strict() && !overlapped, self.ordered());
        let mut late = false;
        let to = &mut self.facts.sinks[sink];
        if sink == 0 {
            if invariants::fenced(to.accepted, epoch).is_err() {
                self.coverage.saw("refused by fence");
                return Answer::Refused(self.facts.sinks[sink].accepted);
            }
            to.accepted = epoch;
            to.cursors.extend(batch.iter().map(|(cursor, _)| (cursor.position.epoch, *cursor)));
        } else {
            match to.take_epoch(epoch) {
                Some(is_late) => late = is_late,
                None if strict => {
                    self.fail("I22 epochs do not mix at a destination beyond what was in flight")
                }
                None => late = true,
            }
            if late {
                self.coverage.saw("late arrival of an epoch before");
            }
        }
        for (cursor, sample) in batch {
            let before = self.facts.sinks[sink].doubles;
            if let Some(what) = self.facts.arrived(sink, sample, late, strict && ordered) {
                self.fail(format!("{what} at sink {sink} in epoch {epoch}"));
            }
            if sink == 0 && self.facts.sinks[sink].doubles > before {
                self.say(|| format!("again at sink 0 in epoch {epoch}: {sample:?} of {:?}", cursor.position));
            }
        }
        if strict {
            self.check_doubles(sink);
        }
        // The answer may be lost; then all comes again.
        if !self.calm && self.random.chance(20) { Answer::Lost } else { Answer::Acknowledged }
    }

    pub fn answer(&mut self, of: NodeId, sink: usize, serial: u64, answer: Answer) {
        let process = &mut self.nodes[of.index()];
        let Some(flight) = process.flights[sink].take_if(|flight| flight.serial == serial) else { return };
        let work = process.work.as_mut().filter(|work| work.epoch == flight.epoch);
        if let Some(work) = work {
            let outlet = &mut work.outlets[sink];
            match (answer, flight.batch.last()) {
                (Answer::Acknowledged, Some((cursor, _))) => outlet.acknowledge(*cursor),
                _ => {
                    // Opened again, the transactional one says what it has, if nobody newer did.
                    let to = &self.facts.sinks[sink];
                    if sink == 0 && to.accepted == flight.epoch {
                        outlet.acknowledge(told(to, &process.store.history));
                    }
                    outlet.disconnected();
                    self.facts.sinks[sink].allowed +=
                        flight.batch.iter().map(|of| pieces(&of.1)).sum::<usize>();
                }
            }
            process.store.delivered[sink] = outlet.delivered();
        }
        if let Answer::Refused(by) = answer {
            self.feed(of, Input::FencedBy(by));
        }
        self.deliver(of);
    }
}
