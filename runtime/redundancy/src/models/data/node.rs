//! A node's stores, as a shell would keep them.

use super::{AtWork, Ever, Following, Handed, Pair, World};
use crate::member::NodeId;
use crate::mirror::identity::tiny::{Bits, Tiny};
use crate::mirror::{
    ActiveSide, Aside, Held, History, Identity, MirrorMode, Outlet, Place, Reading, RunningHash, Shadow,
    StandbySide, Stream,
};
use gwp_core::{Cursor, Position};

/// Nanoseconds of waiting after which the active asks to go on alone.
pub const T_SOLO: u64 = 1;

/// Slots of a run at most.
pub const SLOTS_MAX: usize = 4;

/// A record of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    pub position: Position,
    pub body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// First of an epoch. What is before it and not delivered is delivered flagged, if stale.
    Activated {
        stale: bool,
    },
    Reading(Tiny),
}

impl Entry {
    pub fn reading(&self) -> Option<Tiny> {
        match self.body {
            Body::Reading(reading) => Some(reading),
            Body::Activated { .. } => None,
        }
    }

    pub fn place(&self) -> Place {
        Place::log(self.position)
    }

    /// Hash of the frame's bytes.
    fn content(&self) -> u64 {
        let body = match self.body {
            Body::Activated { stale } => 1 + u64::from(stale),
            Body::Reading(reading) => {
                let Tiny { slot, good: Bits(good), backfill } = reading;
                4 + (u64::from(slot) << 16 | u64::from(good) << 8 | u64::from(backfill) << 3)
            }
        };
        u64::from(self.position.epoch) << 48 | self.position.seq << 32 | body
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    pub up: bool,
    pub destroyed: bool,
    /// The log; a crash leaves the first `synced` records of it.
    pub log: Vec<Entry>,
    pub synced: usize,
    /// Readings of the tails in `aside`, flagged as they would have been delivered.
    pub tails: Vec<Tiny>,
    pub aside: Aside,
    pub shadow: Shadow<Tiny>,
    /// The delivered cursor, on disk.
    pub delivered: Cursor,
    /// Good tags of each slot that this node has read and put on its disk.
    pub read: [Bits; SLOTS_MAX],
}

impl Node {
    pub fn empty() -> Node {
        Node {
            up: true,
            destroyed: false,
            log: Vec::new(),
            synced: 0,
            tails: Vec::new(),
            aside: Aside::default(),
            shadow: Shadow::new(1_000),
            delivered: Cursor::ZERO,
            read: Default::default(),
        }
    }

    /// Place of the last record.
    pub fn end(&self) -> Place {
        self.log.last().map_or(Place::ZERO, Entry::place)
    }

    /// Place of the last synced record.
    pub fn durable(&self) -> Place {
        self.log[..self.synced].last().map_or(Place::ZERO, Entry::place)
    }

    pub fn append(&mut self, epoch: u32, body: Body) {
        let position = match self.log.last() {
            Some(last) if last.position.epoch == epoch => last.position.next(),
            _ => Position::new(epoch, 1),
        };
        self.log.push(Entry { position, body });
    }

    pub fn sync(&mut self) {
        self.synced = self.log.len();
    }

    pub fn history(&self) -> History {
        History::of(self.log.iter().map(|entry| entry.position))
    }

    /// Running hash over the first `count` records.
    pub fn hash(&self, count: usize) -> RunningHash {
        self.log[..count].iter().map(Entry::content).fold(RunningHash::EMPTY, RunningHash::then)
    }

    /// Records up to this place; none if it is no place of this log.
    pub fn index(&self, place: Place) -> Option<usize> {
        if place == Place::ZERO {
            return Some(0);
        }
        self.log.iter().position(|entry| entry.place() == place).map(|at| at + 1)
    }

    pub fn readings(&self) -> impl Iterator<Item = Tiny> {
        self.log.iter().filter_map(Entry::reading)
    }

    /// The reading at `at` as it is delivered: flagged, too, if a stale activation comes behind it.
    pub fn as_delivered(&self, at: usize) -> Option<Tiny> {
        let stale = self.log[at..].iter().any(|entry| entry.body == Body::Activated { stale: true });
        self.log[at].reading().map(|reading| if stale { reading.flagged() } else { reading })
    }

    /// Index of the first reading behind the cursor.
    pub fn next_after(&self, cursor: Cursor) -> Option<usize> {
        let behind = |entry: &Entry| entry.reading().is_some() && entry.cursor() > cursor;
        self.log.iter().position(behind)
    }

    /// Cuts the log behind `above`; what the rules have set aside is kept.
    pub fn cut(&mut self, above: Position) {
        let keep = self.log.iter().take_while(|entry| entry.position <= above).count();
        if !self.aside.is_empty() {
            let tail = (keep..self.log.len()).filter_map(|at| self.as_delivered(at));
            self.tails.extend(tail.collect::<Vec<_>>());
        }
        self.log.truncate(keep);
        self.sync();
        self.delivered = self.delivered.min(Cursor::complete(above));
    }
}

impl Entry {
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.position, 0)
    }
}

impl Held<Tiny> for Node {
    fn good(&self, identity: &Identity) -> Option<Bits> {
        let same = self.readings().filter(|reading| reading.identity() == *identity);
        same.map(|reading| reading.good).reduce(|held, more| Bits(held.0 | more.0))
    }

    fn newest(&self, _: Stream) -> Option<i64> {
        self.readings().map(|reading| i64::from(reading.slot)).max()
    }
}

impl World {
    /// The primary is active in epoch 1 and the backup follows it.
    pub fn paired(pair: &Pair) -> World {
        let mut node = Node::empty();
        node.append(1, Body::Activated { stale: false });
        node.sync();
        let (place, hash) = (node.end(), node.hash(1));
        let mut world = World {
            slot: 1,
            nodes: [node.clone(), node],
            active: None,
            standby: Some(Following { side: StandbySide::new(place, hash), handed: Handed::Kept }),
            mark: None,
            epoch: 1,
            sink: Vec::new(),
            cut: false,
            cuts: 0,
            crashes: 0,
            fails: 0,
            ever: Ever::default(),
        };
        let mut side = active_side(pair.mode, place, false);
        side.attached(place);
        let outlet = Outlet::new(Cursor::ZERO);
        world.active = Some(AtWork { node: NodeId::Primary, side, outlet, left: Place::ZERO });
        world
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }
}

/// A frame counts one byte, and two may be under way.
pub fn active_side(mode: MirrorMode, own: Place, marked: bool) -> ActiveSide {
    ActiveSide::new(mode, T_SOLO, own, marked).with_window(2)
}
