//! A node's stores as a shell would keep them: a log that loses its unsynced end in a crash,
//! tails set aside, the shadow, delivered cursors; and the superblock file with its two slots.

use super::random::Random;
use crate::member::{Epoch, NodeId};
use crate::mirror::identity::tiny::Bits;
use crate::mirror::{Aside, Held, HeldIndex, History, Identity, Place, Reading, RunningHash, Shadow};
use crate::node::Configured;
use crate::vote::Superblock;
use gwp_core::{Cursor, GroupId, PlanId, Position, TagId, Timestamp};
use std::collections::BTreeMap;

/// Streams: two poll groups, and one tag whose device stamps its samples.
pub const STREAMS: u8 = 3;
pub const EVENTS: u8 = 2;
/// A source that sends each message to whoever is active, and forgets it when acknowledged.
pub const MESSAGES: u8 = 3;
/// Destinations: the first is fenced, the second takes what comes.
pub const SINKS: usize = 2;

/// One reading, with a value that tells who has read what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sample {
    pub stream: u8,
    pub number: u32,
    pub good: Bits,
    pub value: u64,
    pub backfill: bool,
}

impl Sample {
    pub fn read(stream: u8, number: u32, good: u8, by: NodeId) -> Sample {
        Sample { stream, number, good: Bits(good), value: Sample::value(stream, number, by), backfill: false }
    }

    /// Two nodes never read quite the same, but an event is the device's own.
    pub fn value(stream: u8, number: u32, by: NodeId) -> u64 {
        let by = if stream >= EVENTS { 0 } else { by.index() as u64 };
        RunningHash(u64::from(stream)).then(u64::from(number)).then(by).0
    }
}

impl Reading for Sample {
    type Good = Bits;

    fn identity(&self) -> Identity {
        match self.stream {
            EVENTS | MESSAGES => Identity::Event {
                tag: TagId((self.stream - EVENTS).into()),
                time: Timestamp(i64::from(self.number)),
                content: self.value,
            },
            group => Identity::Slot { group: GroupId(group.into()), number: self.number.into() },
        }
    }
    fn good(&self) -> Bits {
        self.good
    }
    fn keep(&self, tags: &Bits) -> Sample {
        Sample { good: Bits(self.good.0 & tags.0), ..*self }
    }
    fn is_backfill(&self) -> bool {
        self.backfill
    }
    fn flagged(self) -> Sample {
        Sample { backfill: true, ..self }
    }
    fn bytes(&self) -> usize {
        32
    }
}

/// A record of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    pub position: Position,
    pub body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// First of an epoch. What is before this place is delivered flagged, if stale.
    Activated {
        backfill_upto: Option<Place>,
    },
    Sample(Sample),
    Config(u8),
}

impl Entry {
    pub fn sample(&self) -> Option<Sample> {
        match self.body {
            Body::Sample(sample) => Some(sample),
            Body::Activated { .. } | Body::Config(_) => None,
        }
    }

    pub fn place(&self) -> Place {
        Place::log(self.position)
    }

    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.position, 0)
    }

    fn content(&self) -> u64 {
        let of_body = match self.body {
            Body::Activated { backfill_upto } => 1 + 2 * u64::from(backfill_upto.is_some()),
            Body::Config(plan) => 2 + u64::from(plan) * 8,
            Body::Sample(sample) => sample.value ^ u64::from(sample.good.0) << 1 ^ u64::from(sample.backfill),
        };
        RunningHash(of_body).then(u64::from(self.position.epoch)).then(self.position.seq).0
    }
}

/// What a log begins with that was made anew from the active's: what is before is there no more.
#[derive(Clone, Debug, Default)]
pub struct Base {
    pub place: Place,
    pub hash: RunningHash,
    pub history: History,
    pub configured: Configured,
}

/// A shadow on its way to the active, and the place in its log that holds all of it.
#[derive(Default)]
pub struct Handing {
    pub readings: Vec<Sample>,
    pub kept_by: Option<Place>,
}

pub struct Store {
    pub base: Base,
    pub log: Vec<Entry>,
    /// Records before this one are trimmed. Only the index of what they held outlives them, as
    /// the rules of [`crate::mirror::held`] ask.
    pub first: usize,
    /// Running hash with each record.
    hashes: Vec<RunningHash>,
    pub synced: usize,
    /// A sync is under way.
    pub syncing: bool,
    /// A sync has failed: nothing is written any more.
    pub failed: bool,
    pub held: HeldIndex<Bits>,
    pub history: History,
    pub tails: Vec<Sample>,
    pub aside: Aside,
    /// Made anew: what the shadow has may have been trimmed with the log, and leaves when it was
    /// handed over.
    pub handing: Option<Handing>,
    pub shadow: Shadow<Sample>,
    pub delivered: [Cursor; SINKS],
    pub saved: [Cursor; SINKS],
    backfill_upto: Place,
    /// Readings the shadow had no room for.
    pub dropped: BTreeMap<Identity, Bits>,
    /// What this node has read or copied and must not lose: all while it runs, what is on disk
    /// after a crash.
    pub owed: BTreeMap<Identity, Bits>,
}

impl Store {
    pub fn empty(shadow_bytes: usize) -> Store {
        Store {
            base: Base::default(),
            log: Vec::new(),
            first: 0,
            handing: None,
            hashes: Vec::new(),
            synced: 0,
            syncing: false,
            failed: false,
            held: HeldIndex::new(1 << 20),
            history: History::default(),
            tails: Vec::new(),
            aside: Aside::default(),
            shadow: Shadow::new(shadow_bytes),
            delivered: [Cursor::ZERO; SINKS],
            saved: [Cursor::ZERO; SINKS],
            backfill_upto: Place::ZERO,
            dropped: BTreeMap::new(),
            owed: BTreeMap::new(),
        }
    }

    pub fn end(&self) -> Place {
        self.log.last().map_or(self.base.place, Entry::place)
    }

    pub fn durable(&self) -> Place {
        self.log[..self.synced].last().map_or(self.base.place, Entry::place)
    }

    /// Place before the oldest record that is kept.
    pub fn oldest(&self) -> Place {
        self.log[..self.first].last().map_or(self.base.place, Entry::place)
    }

    /// Running hash over the first `count` records.
    pub fn hash(&self, count: usize) -> RunningHash {
        if count == 0 { self.base.hash } else { self.hashes[count - 1] }
    }

    /// Records up to this place; none if it is no place of this log, or trimmed.
    pub fn index(&self, place: Place) -> Option<usize> {
        if place < self.oldest() {
            return None;
        }
        if place == self.base.place {
            return Some(0);
        }
        self.log.binary_search_by_key(&place, Entry::place).ok().map(|at| at + 1)
    }

    pub fn append(&mut self, epoch: Epoch, body: Body) {
        let position = match self.log.last() {
            Some(last) if last.position.epoch == epoch => last.position.next(),
            _ => Position::new(epoch, 1),
        };
        self.push(Entry { position, body });
    }

    pub fn push(&mut self, entry: Entry) {
        self.hashes.push(self.hash(self.log.len()).then(entry.content()));
        self.history.extend(entry.position);
        self.note(&entry);
        self.log.push(entry);
    }

    fn note(&mut self, entry: &Entry) {
        match entry.body {
            Body::Sample(sample) => self.held.record(&sample),
            Body::Activated { backfill_upto: Some(place) } => {
                self.backfill_upto = self.backfill_upto.max(place);
            }
            Body::Activated { backfill_upto: None } | Body::Config(_) => {}
        }
    }

    /// Takes a reading of its own in beside the log. `true` = another was dropped for it.
    pub fn shadow(&mut self, sample: &Sample) -> bool {
        owe(&mut self.owed, sample);
        let before: Vec<Sample> = self.shadow.iter().copied().collect();
        let lines = self.shadow.push(sample, &self.held);
        for line in &lines {
            let gone = before.iter().chain([sample]).filter(|sample| {
                let identity = sample.identity();
                identity.stream() == line.stream && (line.from..=line.upto).contains(&identity.order())
            });
            gone.for_each(|sample| owe(&mut self.dropped, sample));
        }
        !lines.is_empty()
    }

    /// Records up to `upto` are durable.
    pub fn synced_to(&mut self, upto: usize) {
        for at in self.synced..upto {
            if let Some(sample) = self.log[at].sample() {
                self.shadow.arrived(&sample);
                owe(&mut self.owed, &sample);
            }
        }
        self.synced = upto;
        self.saved = self.delivered;
        if self.aside.may_delete(self.durable()) {
            self.tails.clear();
            self.aside.deleted();
        }
    }

    /// The reading at `at` as it is delivered.
    pub fn as_delivered(&self, at: usize) -> Option<Sample> {
        let late = self.log[at].place() <= self.backfill_upto;
        self.log[at].sample().map(|sample| if late { sample.flagged() } else { sample })
    }

    /// Indices of the readings behind the cursor.
    pub fn after(&self, cursor: Cursor) -> impl Iterator<Item = usize> {
        let from = self.log.partition_point(|entry| entry.cursor() <= cursor);
        (from.max(self.first)..self.log.len()).filter(|at| self.log[*at].sample().is_some())
    }

    /// Cuts the log behind `above`; what the rules have set aside is kept.
    pub fn cut(&mut self, above: Position) {
        let keep = self.log.partition_point(|entry| entry.position <= above);
        if !self.aside.is_empty() {
            let tail: Vec<Sample> =
                (keep.max(self.first)..self.log.len()).filter_map(|at| self.as_delivered(at)).collect();
            self.tails.extend(tail);
        }
        if above < self.oldest().position {
            // What is left is trimmed, all of it.
            self.restart(Base::default());
        } else {
            self.truncate(keep);
        }
        for cursor in self.delivered.iter_mut().chain(&mut self.saved) {
            *cursor = (*cursor).min(Cursor::complete(above));
        }
    }

    fn truncate(&mut self, keep: usize) {
        self.log.truncate(keep);
        self.hashes.truncate(keep);
        self.synced = keep;
        self.history = self.base.history.clone();
        self.log.iter().for_each(|entry| self.history.extend(entry.position));
        self.held = HeldIndex::new(1 << 20);
        self.backfill_upto = Place::ZERO;
        let log = std::mem::take(&mut self.log);
        log.iter().for_each(|entry| self.note(entry));
        self.log = log;
    }

    /// The machine or the process stops: what was not synced is gone from some point on.
    /// `true` = something was.
    pub fn crash(&mut self, random: &mut Random, keep_shadow: bool) -> bool {
        let unsynced = self.log.len() - self.synced;
        let keep = self.synced + random.between(0, unsynced as u64 + 1) as usize;
        let torn = keep < self.log.len();
        let synced = self.synced;
        self.truncate(keep);
        // What is found whole when the store is opened is synced then.
        self.synced = synced;
        self.synced_to(keep);
        self.delivered = self.saved;
        (self.syncing, self.failed) = (false, false);
        if !keep_shadow {
            self.shadow.clear();
        }
        self.owed = self.stored();
        torn
    }

    /// All this node has, by identity.
    pub fn stored(&self) -> BTreeMap<Identity, Bits> {
        let mut all = BTreeMap::new();
        let log = self.log[self.first..].iter().filter_map(Entry::sample);
        log.chain(self.tails.iter().copied())
            .chain(self.shadow.iter().copied())
            .for_each(|s| owe(&mut all, &s));
        all
    }

    /// Its log is empty, and goes on after this.
    pub fn restart(&mut self, base: Base) {
        (self.base, self.first) = (base, 0);
        self.truncate(0);
    }

    pub fn configured(&self) -> Configured {
        self.configured_at(self.synced)
    }

    /// What was in force after so many records.
    pub fn configured_at(&self, count: usize) -> Configured {
        let of = |entry: &Entry| match entry.body {
            Body::Config(plan) => Some(Configured { plan: PlanId([plan; 16]), at: entry.position }),
            _ => None,
        };
        self.log[..count].iter().rev().find_map(of).unwrap_or(self.base.configured)
    }
}

/// Adds the good tags of a reading.
pub fn owe(to: &mut BTreeMap<Identity, Bits>, sample: &Sample) {
    to.entry(sample.identity()).or_default().0 |= sample.good.0;
}

/// First identity in `owed` of which `had` has not all good tags.
pub fn lacks(owed: &BTreeMap<Identity, Bits>, had: &[&BTreeMap<Identity, Bits>]) -> Option<Identity> {
    let got = |identity: &Identity| had.iter().fold(0, |bits, of| bits | of.get(identity).map_or(0, |b| b.0));
    owed.iter().find(|(identity, bits)| bits.0 & !got(identity) != 0).map(|(identity, _)| *identity)
}

/// What the log of this store has of an identity.
pub fn held(store: &Store, identity: &Identity) -> Bits {
    Held::<Sample>::good(&store.held, identity).unwrap_or_default()
}

/// The superblock file: a write goes to the older slot, so one whole slot is always there.
#[derive(Default)]
pub struct Superblocks {
    slots: [Option<(u64, Superblock)>; 2],
    writing: Option<(u64, Superblock)>,
    /// The next write fails.
    pub fails: bool,
}

impl Superblocks {
    pub fn newest(&self) -> Superblock {
        self.slots
            .iter()
            .flatten()
            .max_by_key(|(version, _)| *version)
            .map_or_else(Default::default, |of| of.1)
    }

    fn older(&self) -> usize {
        usize::from(self.slots[0].map(|of| of.0) > self.slots[1].map(|of| of.0))
    }

    pub fn begin(&mut self, block: Superblock) {
        let version = self.slots.iter().flatten().map(|of| of.0).max().unwrap_or(0) + 1;
        let older = self.older();
        self.slots[older] = None;
        self.writing = Some((version, block));
    }

    pub fn finish(&mut self) {
        if let Some(written) = self.writing.take() {
            let hole = usize::from(self.slots[0].is_some());
            self.slots[hole] = Some(written);
        }
    }

    /// The write does not come to its end: it is there or it is torn. `true` = it was torn.
    pub fn interrupt(&mut self, random: &mut Random) -> bool {
        let torn = self.writing.is_some() && random.chance(500);
        if torn {
            self.writing = None;
        }
        self.finish();
        torn
    }
}
