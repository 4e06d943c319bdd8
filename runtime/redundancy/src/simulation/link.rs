//! The link that mirrors the log: a connection of the standby to the active, in order while it
//! holds, and the rules of [`crate::mirror`] at its two ends.

use super::plan::MS;
use super::process::Follow;
use super::store::{Base, Body, Entry, Handing, SINKS, Sample};
use super::world::{Event, World, ix};
use crate::limits;
use crate::member::{Epoch, Member, NodeId};
use crate::mirror::fill::{From, admit};
use crate::mirror::held::lacking;
use crate::mirror::rejoin::{AtPlace, Joining, join, kept_by};
use crate::mirror::{Head, History, Place, RunningHash, StandbySide, Verdict};
use gwp_core::Cursor;

/// Bytes of any frame.
const FRAME: u32 = 100;

pub struct Conn {
    id: u32,
    /// When the last of each direction arrives.
    last: [u64; 2],
}

#[derive(Clone, Debug)]
pub enum Wire {
    Join {
        epoch: Epoch,
        history: History,
        place: Place,
        hash: RunningHash,
    },
    Joined(Joining),
    /// It starts anew, after the place of this.
    Resync(Base),
    Frame(Head, Entry),
    Acknowledged {
        received: Place,
        durable: Place,
    },
    Delivered([Cursor; SINKS]),
    /// The answer: the standby keeps these.
    Knows([Cursor; SINKS]),
    Offers(Vec<Sample>),
    HandOver(Vec<Sample>),
    KeptBy(Place),
}

impl World {
    /// Puts something on the link; a lost packet only delays it.
    pub fn wire(&mut self, conn: u32, to: NodeId, wire: Wire) {
        let mut delay = self.random.between(MS / 4, self.delay / 2 + MS);
        if self.random.chance(self.loss) {
            delay += 200 * MS;
        }
        let at = self.t + delay;
        let Some(of) = self.conn.as_mut().filter(|of| of.id == conn) else { return };
        let last = &mut of.last[to.index()];
        *last = at.max(*last + 1);
        let delay = *last - self.t;
        self.later(delay, Event::Link { conn, to, wire });
    }

    /// A node calls the active.
    pub fn connect(&mut self, id: NodeId, epoch: Epoch) {
        if !self.reaches(Member::Node(id), Member::Node(id.peer()))
            || self.nodes[id.peer().index()].work.is_none()
        {
            return;
        }
        self.break_link();
        self.conns += 1;
        let conn = self.conns;
        self.conn = Some(Conn { id: conn, last: [self.t; 2] });
        self.nodes[id.index()].follow = Some(Follow { conn, epoch, side: None });
        self.ask_to_join(id);
    }

    fn ask_to_join(&mut self, id: NodeId) {
        let process = &self.nodes[id.index()];
        let Some(Follow { conn, epoch, .. }) = process.follow else { return };
        let store = &process.store;
        let (place, hash) = (store.durable(), store.hash(store.synced));
        self.wire(conn, id.peer(), Wire::Join { epoch, history: store.history.clone(), place, hash });
    }

    /// The connection is gone; each end learns of it some time later.
    pub fn break_link(&mut self) {
        if let Some(Conn { id: conn, .. }) = self.conn.take() {
            for id in NodeId::BOTH {
                self.later_between(0, 500 * MS, Event::LinkLost(conn, id));
            }
        }
    }

    pub fn break_link_if(&mut self, conn: u32) {
        if self.conn.as_ref().is_some_and(|of| of.id == conn) {
            self.break_link();
        }
    }

    pub fn link_lost(&mut self, conn: u32, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        if let Some(work) = process.work.as_mut().filter(|work| work.conn == Some(conn)) {
            work.side.detached();
            (work.conn, work.handed) = (None, None);
        }
        if process.follow.as_ref().is_some_and(|follow| follow.conn == conn) {
            process.follow = None;
            process.store.aside.hand_over_again();
            if let Some(handing) = &mut process.store.handing {
                handing.kept_by = None;
            }
        }
    }

    /// This node ends the connection, and knows it at once.
    pub fn unfollow(&mut self, id: NodeId) {
        let process = &self.nodes[id.index()];
        let of_work = process.work.as_ref().and_then(|work| work.conn);
        if let Some(conn) = of_work.or(process.follow.as_ref().map(|follow| follow.conn)) {
            self.break_link_if(conn);
            self.link_lost(conn, id);
        }
    }

    pub fn link(&mut self, conn: u32, to: NodeId, wire: Wire) {
        if self.conn.as_ref().is_none_or(|of| of.id != conn) {
            return;
        }
        if self.cut[to.peer().index()][ix(Member::Node(to))] || self.nodes[to.index()].node.is_none() {
            return self.break_link();
        }
        match wire {
            Wire::Join { epoch, history, place, hash } => self.joins(conn, to, epoch, &history, place, hash),
            Wire::Acknowledged { .. } | Wire::Knows(_) | Wire::Offers(_) | Wire::HandOver(_) => {
                self.at_active(conn, to, wire);
            }
            Wire::Joined(_) | Wire::Resync(_) | Wire::Frame(..) | Wire::Delivered(_) | Wire::KeptBy(_) => {
                self.at_standby(conn, to, wire);
            }
        }
    }

    /// At the active: the other asks to follow.
    fn joins(
        &mut self,
        conn: u32,
        at: NodeId,
        epoch: Epoch,
        history: &History,
        place: Place,
        hash: RunningHash,
    ) {
        let process = &mut self.nodes[at.index()];
        let store = &process.store;
        let Some(work) = process.work.as_mut().filter(|work| work.epoch == epoch && !store.failed) else {
            return self.break_link();
        };
        if work.conn.is_some() {
            work.side.detached();
            (work.conn, work.handed) = (None, None);
        }
        let here = store.index(place).map_or(AtPlace::Unknown, |count| AtPlace::Hash(store.hash(count)));
        let joining = join(&store.history, history, place, hash, here, store.oldest());
        if let Joining::Follow { after } = joining {
            self.facts.copied[at.peer().index()] = (epoch, after);
        }
        if let Joining::Follow { after } | Joining::Resync { after } = joining {
            work.side.attached(after);
            work.conn = Some(conn);
        }
        let answer = match joining {
            Joining::Resync { .. } => Wire::Resync(store.base_at_oldest()),
            other => Wire::Joined(other),
        };
        self.say(|| format!("{at}: the other is at {place}: {joining:?}"));
        self.wire(conn, at.peer(), answer);
        self.send_frames(at);
    }

    fn at_active(&mut self, conn: u32, at: NodeId, wire: Wire) {
        let process = &mut self.nodes[at.index()];
        let store = &mut process.store;
        let Some(work) = process.work.as_mut().filter(|work| work.conn == Some(conn)) else { return };
        let (samples, from) = match wire {
            Wire::Acknowledged { received, durable } => {
                work.side.acknowledged(received, durable);
                return self.pump(at);
            }
            Wire::Knows(cursors) => {
                work.known = cursors;
                return;
            }
            Wire::Offers(samples) => (samples, From::Fill),
            Wire::HandOver(samples) => (samples, From::Rejoin),
            _ => return,
        };
        if store.failed {
            return;
        }
        for sample in samples {
            if let Some(sample) = admit(&sample, from, &store.held) {
                if from == From::Fill {
                    self.coverage.saw("fill");
                }
                store.append(work.epoch, Body::Sample(sample));
            }
        }
        if from == From::Rejoin {
            work.handed = Some(store.end());
        }
        self.start_sync(at);
        self.pump(at);
        self.answer_kept(at);
    }

    /// Tells the one who has handed over that all of it is durable here, once it is.
    fn answer_kept(&mut self, at: NodeId) {
        let Some(work) = &mut self.nodes[at.index()].work else { return };
        let kept = work.handed.and_then(|place| kept_by(place, work.side.own_durable()));
        if let (Some(conn), Some(place)) = (work.conn, kept) {
            work.handed = None;
            self.wire(conn, at.peer(), Wire::KeptBy(place));
        }
    }

    fn at_standby(&mut self, conn: u32, at: NodeId, wire: Wire) {
        let follows = |follow: &Follow| follow.conn == conn;
        let process = &mut self.nodes[at.index()];
        if !process.follow.as_ref().is_some_and(follows) || process.store.failed {
            return;
        }
        match wire {
            Wire::Joined(joining) => self.joined(conn, at, joining),
            Wire::Resync(base) => {
                self.start_anew(at, base);
                self.follow_from_here(conn, at);
            }
            Wire::Frame(head, entry) => self.frame(at, head, entry),
            Wire::Delivered(told) => {
                let Some(Follow { side: Some(side), .. }) = &process.follow else { return };
                let store = &mut process.store;
                for (kept, told) in store.delivered.iter_mut().zip(told) {
                    *kept = side.adopt(told, &mut store.shadow).max(*kept);
                }
                let knows = store.delivered;
                self.wire(conn, at.peer(), Wire::Knows(knows));
            }
            Wire::KeptBy(place) => {
                process.store.aside.handed_over(place);
                if let Some(handing) = &mut process.store.handing {
                    handing.kept_by = Some(place);
                }
                let synced = process.store.synced;
                process.store.synced_to(synced);
                self.handed_shadow(at);
            }
            _ => {}
        }
    }

    fn joined(&mut self, conn: u32, at: NodeId, joining: Joining) {
        let process = &mut self.nodes[at.index()];
        let store = &mut process.store;
        match joining {
            Joining::Follow { .. } | Joining::Resync { .. } => self.follow_from_here(conn, at),
            Joining::SetAside { above } => {
                let end = store.end().position;
                if !store.aside.set_aside(above, end) {
                    return self.fail("too many tails");
                }
                store.cut(above);
                self.say(|| format!("{at}: sets {above} to {end} aside"));
                self.reconfigure(at);
                self.ask_to_join(at);
            }
        }
    }

    /// The own log is the beginning of the active's: frames come, and what is beside the log goes.
    fn follow_from_here(&mut self, conn: u32, at: NodeId) {
        let process = &mut self.nodes[at.index()];
        let store = &mut process.store;
        let Some(follow) = &mut process.follow else { return };
        follow.side = Some(StandbySide::new(store.durable(), store.hash(store.synced)));
        if !store.tails.is_empty() {
            self.coverage.saw("rejoin with tail");
        }
        // What the own copy holds the active has.
        let beside = store.shadow.iter().filter_map(|sample| lacking(sample, &store.held));
        let beside: Vec<Sample> = beside.collect();
        if let Some(handing) = &mut store.handing {
            *handing = Handing { readings: beside.clone(), kept_by: None };
        }
        let all = store.tails.iter().copied().chain(beside).collect();
        self.wire(conn, at.peer(), Wire::HandOver(all));
    }

    fn frame(&mut self, at: NodeId, head: Head, entry: Entry) {
        let process = &mut self.nodes[at.index()];
        let Some(Follow { side: Some(side), epoch, .. }) = &mut process.follow else { return };
        let epoch = *epoch;
        match side.accept(&head) {
            Verdict::Append => {
                let active = &self.nodes[at.peer().index()].store;
                let at_active = active.index(entry.place()).filter(|count| *count > 0);
                let at_active = at_active.map(|count| &active.log[count - 1]);
                // The active may be gone by now, and a torn end with it; what is there is equal.
                if at_active.is_some_and(|there| *there != entry) {
                    return self.fail("I12 the copy is a prefix");
                }
                self.facts.received[at.index()] = (epoch, entry.place());
                self.nodes[at.index()].store.push(entry);
                self.start_sync(at);
            }
            Verdict::Have => {}
            Verdict::Gap { .. } | Verdict::Diverged => self.unfollow(at),
        }
    }

    /// After a sync: the standby tells how far it is, the active whether it keeps what it got.
    pub fn acknowledge(&mut self, id: NodeId) {
        let process = &mut self.nodes[id.index()];
        let durable = process.store.durable();
        if let Some(Follow { conn, side: Some(side), epoch }) = &mut process.follow {
            side.persisted(durable.min(side.received()));
            self.facts.copied[id.index()] = (*epoch, side.durable());
            let (conn, received, durable) = (*conn, side.received(), side.durable());
            self.wire(conn, id.peer(), Wire::Acknowledged { received, durable });
        }
        self.answer_kept(id);
    }

    pub fn send_frames(&mut self, id: NodeId) {
        loop {
            let process = &mut self.nodes[id.index()];
            let store = &process.store;
            let Some(work) = &mut process.work else { return };
            let (Some(conn), Some(before)) = (work.conn, work.side.next_after()) else { return };
            let Some(at) = store.index(before).filter(|at| *at < store.log.len()) else { return };
            if !work.side.has_credit(FRAME) {
                return;
            }
            let entry = store.log[at];
            let (hash_before, hash) = (store.hash(at), store.hash(at + 1));
            let head = Head { before, hash_before, place: entry.place(), hash, bytes: FRAME };
            work.side.sent(&head);
            self.wire(conn, id.peer(), Wire::Frame(head, entry));
        }
    }

    /// At the standby: what the active lacks.
    pub fn offer(&mut self, id: NodeId) {
        let process = &self.nodes[id.index()];
        let Some(follow) = &process.follow else { return };
        let store = &process.store;
        let offers = store.shadow.offers(&store.held, limits::OFFERS_MAX);
        if !offers.is_empty() {
            self.wire(follow.conn, id.peer(), Wire::Offers(offers));
        }
    }
}
