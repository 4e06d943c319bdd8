//! Random work on a store and a link that loses, repeats and breaks: the copy is equal, and goes
//! on as the original does.

use super::link::{Link, LinkStep, assert_equal, contents, link_steps};
use super::*;
use crate::frame::{Content, JournalEntry};
use crate::sinks::{Full, SinkPolicy};
use crate::store::model::{Model, Step, policies, steps};
use crate::store::{Block, Checkpoint, Delivered, LiveEntry, PassedOver, Rejected, Switch, Wanted, Work};
use gwp_core::record::SlotMark;
use gwp_core::{
    Batch, Column, Cursor, Fact, GroupId, Kind, PlanId, Position, Record, SinkId, TagId, Timestamp,
};
use proptest::prelude::*;
use std::sync::Arc;

const OPTIONS: StoreOptions = StoreOptions { segment_bytes_max: 1_500, chunk_bytes_min: 300 };
const SECOND: i64 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Act {
    Epoch,
    /// Records, and with them what some of the lanes compute of those they lack.
    Commit {
        records: u8,
        lanes: u8,
        pass_over: bool,
    },
    /// A sink takes or refuses what waits first.
    Ack {
        sink: u8,
        bytes: u16,
        refuse: bool,
    },
    Checkpoint {
        sink: u8,
    },
    Inject {
        sink: u8,
        samples: u8,
    },
    Rename {
        sink: u8,
    },
    Switch {
        rename: u8,
        add: bool,
        capacity: u16,
    },
    Retire {
        sink: u8,
    },
    Forget {
        sink: u8,
    },
    Trim {
        at_bound: bool,
    },
    Clock {
        seconds: u8,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    let sink = 0u8..8;
    prop_oneof![
        1 => Just(Act::Epoch),
        9 => (0u8..9, any::<u8>(), any::<bool>())
            .prop_map(|(records, lanes, pass_over)| Act::Commit { records, lanes, pass_over }),
        4 => (sink.clone(), 1u16..3_000, any::<bool>())
            .prop_map(|(sink, bytes, refuse)| Act::Ack { sink, bytes, refuse }),
        3 => sink.clone().prop_map(|sink| Act::Checkpoint { sink }),
        2 => (sink.clone(), 1u8..5).prop_map(|(sink, samples)| Act::Inject { sink, samples }),
        1 => sink.clone().prop_map(|sink| Act::Rename { sink }),
        2 => (sink.clone(), any::<bool>(), 800u16..9_000)
            .prop_map(|(rename, add, capacity)| Act::Switch { rename, add, capacity }),
        1 => sink.clone().prop_map(|sink| Act::Retire { sink }),
        1 => sink.prop_map(|sink| Act::Forget { sink }),
        4 => any::<bool>().prop_map(|at_bound| Act::Trim { at_bound }),
        1 => (1u8..40).prop_map(|seconds| Act::Clock { seconds }),
    ]
}

/// What a node does with its store, apart from the store itself.
#[derive(Clone)]
struct World {
    last: Position,
    now: Timestamp,
    plan: PlanId,
    names: u32,
    recent: Vec<(PlanId, Arc<Record>)>,
}

impl World {
    fn new(store: &mut Store) -> World {
        let mut world = World {
            last: Position::ZERO,
            now: Timestamp(1_000 * SECOND),
            plan: PlanId::default(),
            names: 0,
            recent: Vec::new(),
        };
        for full in [Full::DropOldest, Full::DropNewest, Full::Block] {
            let policy = SinkPolicy { capacity_bytes: 4_000, keep_ns: 60 * SECOND, full };
            let name = world.name();
            store.register(&name, policy).unwrap();
        }
        world.act(store, &Act::Epoch);
        world
    }

    fn name(&mut self) -> Arc<str> {
        self.names += 1;
        format!("sink{}", self.names).into()
    }

    /// A sink that the log is kept for.
    fn pick(&self, store: &Store, of: u8) -> Option<SinkId> {
        let live: Vec<SinkId> =
            store.sinks().map(|sink| sink.id).filter(|id| store.is_registered(*id)).collect();
        live.get(usize::from(of) % live.len().max(1)).copied()
    }

    fn record(&mut self, fact: Fact) -> Arc<Record> {
        self.last = self.last.next();
        let record = Arc::new(Record { position: self.last, fact });
        self.recent.push((self.plan, record.clone()));
        record
    }

    fn samples(&mut self) -> Arc<Record> {
        let seed = self.last.seq.wrapping_mul(7_919) ^ u64::from(self.last.epoch);
        let batch = batch(seed, 1 + (seed % 30) as usize, self.now);
        self.record(Fact::Samples { slot: SlotMark { number: seed, skipped: 0 }, batch })
    }

    fn act(&mut self, store: &mut Store, act: &Act) {
        match *act {
            Act::Epoch => {
                let previous = self.last;
                self.last = Position::new(store.last_epoch() + 1, 0);
                store.begin_epoch(self.last.epoch).unwrap();
                let anchor = self.now;
                let record = self.record(Fact::Activated { previous, running_hash: 0, anchor });
                self.commit(store, Work { records: vec![record], ..Work::default() });
            }
            Act::Commit { records, lanes, pass_over } => {
                let records = (0..records).map(|_| self.samples()).collect();
                let blocks = self.blocks(store, lanes, pass_over);
                self.commit(store, Work { records, blocks, ..Work::default() });
            }
            Act::Ack { sink, bytes, refuse } => self.acknowledge(store, sink, usize::from(bytes), refuse),
            Act::Checkpoint { sink } => {
                let Some(id) = self.pick(store, sink) else { return };
                let position = store.sinks().find(|sink| sink.id == id).unwrap().state.covered;
                let checkpoint = Checkpoint { position, plan: self.plan, state: vec![sink; 20] };
                self.commit(store, Work { checkpoints: [(id, checkpoint)].into(), ..Work::default() });
            }
            Act::Inject { sink, samples } => {
                let Some(id) = self.pick(store, sink) else { return };
                let samples =
                    (0..u32::from(samples)).map(|i| (i, batch(u64::from(i), 3, self.now))).collect();
                store.inject(id, self.plan, samples, self.now).unwrap();
            }
            Act::Rename { sink } => {
                let Some(id) = self.pick(store, sink) else { return };
                let old = store.sinks().find(|sink| sink.id == id).unwrap().name.clone();
                let new = self.name();
                store.rename(&old, &new).unwrap();
            }
            Act::Switch { rename, add, capacity } => self.switch(store, rename, add, capacity),
            Act::Retire { sink } => {
                if let Some(id) = self.pick(store, sink).filter(|_| store.sinks().count() > 2) {
                    store.retire(id);
                }
            }
            Act::Forget { sink } => {
                let all: Vec<SinkId> = store.sinks().map(|sink| sink.id).collect();
                if all.len() > 2 {
                    store.forget(all[usize::from(sink) % all.len()], self.now).unwrap();
                }
            }
            Act::Trim { at_bound } => {
                let bound = if at_bound { 0 } else { u64::MAX };
                while store.trim(bound, self.now, false).unwrap().copied {}
            }
            Act::Clock { seconds } => {
                let ns = i64::from(seconds) * SECOND;
                self.now = self.now.plus(ns);
                if seconds.is_multiple_of(2) {
                    store.clock_stepped(ns / 2);
                }
            }
        }
    }

    fn commit(&self, store: &mut Store, work: Work) {
        store.commit(work, self.now).unwrap();
    }

    /// The lanes whose bit is set compute up to the newest record, in one block for each plan.
    fn blocks(&self, store: &Store, lanes: u8, pass_over: bool) -> Vec<Block> {
        let live = store.sinks().filter(|sink| store.is_registered(sink.id)).enumerate();
        let chosen = live.filter(|(index, _)| lanes >> (index % 8) & 1 == 1).map(|(_, sink)| sink);
        let mut blocks = Vec::new();
        for sink in chosen {
            let lacking = self.recent.iter().filter(|(_, record)| record.position > sink.state.covered);
            for run in lacking.collect::<Vec<_>>().chunk_by(|a, b| a.0 == b.0) {
                let entries = run.iter().filter_map(|(_, record)| entry(sink.id, record)).collect();
                let covered = run.last().unwrap().1.position;
                let passed_over = pass_over.then_some(PassedOver { at: covered, samples: 1 });
                blocks.push(Block { sink: sink.id, plan: run[0].0, entries, covered, passed_over });
            }
        }
        blocks
    }

    fn acknowledge(&self, store: &mut Store, sink: u8, bytes: usize, refuse: bool) {
        let Some(id) = self.pick(store, sink) else { return };
        let floor = store.sinks().find(|sink| sink.id == id).unwrap().floor();
        let entries = store.journal_reader(id).unwrap().entries_after(floor, bytes).unwrap();
        let (Some((_, first)), Some((_, last))) = (entries.first(), entries.last()) else { return };
        let (from, upto) = (first.entry.cursor, last.entry.cursor);
        let samples = entries.iter().map(|(_, live)| live.batch.len() as u64).sum();
        let mut work = Work { delivered: [(id, Delivered { upto, samples })].into(), ..Work::default() };
        if refuse {
            work.rejected.push((id, Rejected { from, upto, samples }));
        }
        self.commit(store, work);
    }

    fn switch(&mut self, store: &mut Store, rename: u8, add: bool, capacity: u16) {
        let policy =
            SinkPolicy { capacity_bytes: u64::from(capacity), keep_ns: 60 * SECOND, full: Full::DropOldest };
        let mut wanted = Vec::new();
        if let Some(id) = self.pick(store, rename) {
            let old = store.sinks().find(|sink| sink.id == id).unwrap().name.clone();
            wanted.push(Wanted { name: self.name(), former: vec![old], policy });
        }
        if add {
            wanted.push(Wanted { name: self.name(), former: Vec::new(), policy });
        }
        self.plan = PlanId([self.names as u8; 16]);
        store.put_plan(self.plan, &[self.names as u8; 99]).unwrap();
        let prepared = store.prepare(&wanted).unwrap();
        let before = self.samples();
        let record = self.record(Fact::Configured { plan: self.plan });
        let switch = Switch {
            record: record.clone(),
            renames: prepared.renames,
            policies: prepared.places.iter().map(|place| (place.registered.id, policy)).collect(),
            added: prepared
                .places
                .iter()
                .filter(|place| place.added)
                .map(|place| place.registered.id)
                .collect(),
        };
        self.commit(store, Work { records: vec![before, record], switches: vec![switch], ..Work::default() });
    }

    /// Everything is computed, acknowledged and checkpointed: segments are deleted.
    fn drain(&mut self, store: &mut Store) {
        self.act(store, &Act::Commit { records: 9, lanes: u8::MAX, pass_over: false });
        self.act(store, &Act::Commit { records: 9, lanes: u8::MAX, pass_over: false });
        self.act(store, &Act::Commit { records: 0, lanes: u8::MAX, pass_over: false });
        for sink in 0..store.sinks().count() as u8 {
            self.acknowledge(store, sink, usize::MAX, false);
            self.act(store, &Act::Checkpoint { sink });
        }
        self.act(store, &Act::Trim { at_bound: false });
    }

    /// A node opens its store and registers its sinks.
    fn start(&mut self, store: &mut Store) {
        let policy = SinkPolicy { capacity_bytes: 5_000, keep_ns: 60 * SECOND, full: Full::DropOldest };
        for name in store.sinks().map(|sink| sink.name.clone()).collect::<Vec<_>>() {
            store.register(&name, policy).unwrap();
        }
        // What the lanes have not computed yet is in the log.
        let from = store.needed_from.values().copied().min().unwrap_or(store.durable());
        self.recent = store.log_reader().records_after(from, usize::MAX).unwrap();
        self.act(store, &Act::Epoch);
    }
}

fn batch(seed: u64, len: usize, now: Timestamp) -> Arc<Batch> {
    let tags: Arc<[TagId]> = (0..len as u32).map(TagId).collect();
    let cells = (0..len as u64).map(|i| seed.wrapping_mul(i + 1) % 60_000).collect();
    Arc::new(Batch::uniform(GroupId(0), tags, now, Column::uniform(Kind::Int, cells)))
}

fn entry(sink: SinkId, record: &Record) -> Option<LiveEntry> {
    let Fact::Samples { batch, .. } = &record.fact else { return None };
    let content = match (record.position.seq + u64::from(sink.0)) % 4 {
        0 => return None,
        1 => Content::Values(batch.clone()),
        _ => Content::Reference { bits: None },
    };
    let entry = JournalEntry {
        cursor: Cursor::new(record.position, 0),
        route: 0,
        samples: batch.len() as u32,
        content,
    };
    Some(LiveEntry { entry, batch: batch.clone() })
}

#[derive(Clone, Debug)]
enum Either {
    Act(Act),
    Link(LinkStep),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_is_equal_and_goes_on_like_the_original(
        steps in proptest::collection::vec(
            prop_oneof![2 => acts().prop_map(Either::Act), 1 => link_steps().prop_map(Either::Link)], 10..120),
        later in proptest::collection::vec(acts(), 5..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open_with(dir.path(), OPTIONS).unwrap().store;
        let mut link = Link::new(&mut store);
        let mut world = World::new(&mut store);
        link.finish(&store);
        for step in &steps {
            match step {
                Either::Act(act) => world.act(&mut store, act),
                Either::Link(step) => link.step(&store, step),
            }
        }
        world.drain(&mut store);
        link.finish(&store);

        // The original restarts, and the copy takes over: the same work makes the same of both.
        drop(store);
        let original = Store::open_with(dir.path(), OPTIONS).unwrap().store;
        let copy = link.replica.take().unwrap().into_store(OPTIONS).unwrap().store;
        let mut both = [(original, world.clone()), (copy, world)];
        // Frames are taken of one of them only: nothing depends on whether they are.
        both[1].0.set_mirror(Some(Box::new(link.frames.clone())));
        for (store, world) in &mut both {
            world.start(store);
            later.iter().for_each(|act| world.act(store, act));
        }
        let [(original, _), (copy, _)] = both;
        prop_assert_eq!(original.standing().unwrap(), copy.standing().unwrap());
        assert_equal(&contents(&original.db), &contents(&copy.db));
        prop_assert_eq!(original.verify().unwrap(), copy.verify().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same with the store's own model, which checks what the store promises and restarts it.
    #[test]
    fn a_copy_follows_through_restarts_and_kills_of_the_original(
        policies in proptest::collection::vec(policies(), 3),
        steps in proptest::collection::vec((steps(), proptest::option::of(link_steps())), 5..40),
    ) {
        let mut model = Model::new(&policies);
        let mut link = Link::new(model.store());
        link.finish(model.store());
        let frames = link.frames.clone();
        model.on_open = Box::new(move |store| store.set_mirror(Some(Box::new(frames.clone()))));
        for (step, link_step) in &steps {
            if matches!(step, Step::Reopen { .. }) {
                link.drop_snapshot();
            }
            // The frames after a restart follow those before it, or the mirror finds the gap.
            model.step(step);
            if let Some(step) = link_step {
                link.step(model.store(), step);
            }
        }
        model.drain();
        link.finish(model.store());
    }
}
