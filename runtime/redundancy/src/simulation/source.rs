//! A source that forgets: it keeps each message until the active acknowledges it.
//!
//! I20: it is acknowledged when it is on both disks, or a mark stands, and only while the gate is
//! open. A message that was taken and not acknowledged is sent again, to whoever is active then.

use super::plan::MS;
use super::store::{Body, MESSAGES, Sample, owe};
use super::world::{Event, World};
use crate::member::NodeId;
use crate::mirror::fill::{From, admit};
use crate::mirror::{Place, Reading};
use std::collections::VecDeque;

/// Messages that are taken at a time.
const TAKEN: usize = 8;

/// What the active has taken from the source in its epoch.
#[derive(Default)]
pub struct Inbox {
    upto: u32,
    /// Not acknowledged yet, and where in the log each is.
    waiting: VecDeque<(Place, u32)>,
}

impl World {
    pub fn posted(&mut self, number: u32) {
        if self.reads_end {
            return;
        }
        self.facts.queue.insert(number);
        self.later(400 * MS, Event::Posted(number + 1));
    }

    /// Takes what the source has, and acknowledges what may be.
    pub fn consume(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let store = &mut process.store;
        let Some(work) = process.work.as_mut().filter(|_| !store.failed && !process.hung) else { return };
        let new: Vec<u32> = self.facts.queue.range(work.inbox.upto + 1..).take(TAKEN).copied().collect();
        let epoch = work.epoch;
        for number in new {
            let sample = Sample::read(MESSAGES, number, 1, id);
            self.facts.read(id, MESSAGES, number, 1);
            owe(&mut store.owed, &sample);
            match admit(&sample, From::Own, &store.held) {
                Some(sample) => {
                    self.coverage.saw("message logged");
                    store.append(epoch, Body::Sample(sample));
                }
                None => self.coverage.saw("message logged before"),
            }
            work.inbox.upto = number;
            work.inbox.waiting.push_back((store.end(), number));
        }
        self.start_sync(id);
        self.acknowledge_messages(id);
    }

    fn acknowledge_messages(&mut self, id: NodeId) {
        let now = self.now(id);
        let process = &mut self.nodes[id.index()];
        let open = process.gate.as_ref().is_some_and(|gate| gate.open(now)) && !process.draining;
        let (boot, Some(work)) = (process.boot, process.work.as_mut().filter(|_| open)) else { return };
        let (epoch, solo) = (work.epoch, work.side.is_solo());
        let inbox = &mut work.inbox.waiting;
        let gate = work.side.gate();
        let may = inbox.iter().take_while(|(place, _)| *place <= gate).count();
        let leave: Vec<(Place, u32)> = inbox.drain(..may).collect();
        let there = work.side.peer_durable();
        for (place, number) in leave {
            let identity = Sample::read(MESSAGES, number, 1, id).identity();
            let alone = place > there;
            let before = self.facts.acknowledged.insert(identity, alone);
            self.coverage.saw(if alone { "message acknowledged alone" } else { "message acknowledged" });
            if before.is_some() {
                self.coverage.saw("acknowledged twice");
            }
            self.later_between(0, 30 * MS, Event::Forget { of: id, boot, number });
            self.check_left(id, epoch, place, solo, "I20");
        }
    }

    pub fn forget(&mut self, number: u32) {
        self.facts.queue.remove(&number);
    }
}
