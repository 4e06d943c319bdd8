//! The store against a plain model: random commits, acknowledgements, drops, trims,
//! restarts and kills, and after each of them everything that is promised.

use super::*;
use crate::frame::{Content, JournalEntry};
use crate::sinks::Full;
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Kind, Qualities, Quality, Record, TagId, Timestamp};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::path::Path;

const OPTIONS: StoreOptions = StoreOptions { segment_bytes_max: 1_500, chunk_bytes_min: 300 };
const SINKS: [&str; 3] = ["a", "b", "c"];
const SECOND: i64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// So many records with samples, and a tick.
    Records(u8),
    /// A lane computes so many of the records it has not seen.
    Lane {
        sink: u8,
        records: u8,
    },
    /// The destination acknowledges so many of the entries it has.
    Ack {
        sink: u8,
        entries: u8,
    },
    /// It refuses so many of them for good.
    Refuse {
        sink: u8,
        entries: u8,
    },
    Checkpoint(u8),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit(Vec<Piece>),
    /// A delivery takes so many more entries from the journal.
    Take {
        sink: u8,
        entries: u8,
    },
    Inject {
        sink: u8,
        samples: u8,
    },
    Wait(u8),
    Trim {
        at_bound: bool,
    },
    Reopen {
        killed: bool,
    },
}

fn pieces() -> impl Strategy<Value = Piece> {
    prop_oneof![
        3 => (1u8..9).prop_map(Piece::Records),
        4 => (0u8..3, 1u8..12).prop_map(|(sink, records)| Piece::Lane { sink, records }),
        3 => (0u8..3, 1u8..6).prop_map(|(sink, entries)| Piece::Ack { sink, entries }),
        1 => (0u8..3, 1u8..3).prop_map(|(sink, entries)| Piece::Refuse { sink, entries }),
        1 => (0u8..3).prop_map(Piece::Checkpoint),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(pieces(), 1..8).prop_map(Step::Commit),
        4 => (0u8..3, 1u8..10).prop_map(|(sink, entries)| Step::Take { sink, entries }),
        1 => (0u8..3, 1u8..5).prop_map(|(sink, samples)| Step::Inject { sink, samples }),
        1 => (1u8..30).prop_map(Step::Wait),
        3 => any::<bool>().prop_map(|at_bound| Step::Trim { at_bound }),
        1 => any::<bool>().prop_map(|killed| Step::Reopen { killed }),
    ]
}

pub(crate) fn policies() -> impl Strategy<Value = SinkPolicy> {
    let full = prop_oneof![Just(Full::DropOldest), Just(Full::DropNewest), Just(Full::Block)];
    (full, prop_oneof![Just(1u64 << 40), 1_000u64..8_000], prop_oneof![Just(1 << 50), Just(40 * SECOND)])
        .prop_map(|(full, capacity_bytes, keep_ns)| SinkPolicy { capacity_bytes, keep_ns, full })
}

/// A number that depends on a sink and position alone, as a lane's results do.
fn mix(sink: u32, position: Position) -> u64 {
    let mut x = (u64::from(sink) << 40) ^ (u64::from(position.epoch) << 32) ^ position.seq;
    x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

fn batch(seed: u64, len: usize, now: Timestamp) -> Batch {
    let tags: Arc<[TagId]> = (0..len as u32).map(TagId).collect();
    let cells = (0..len as u64).map(|i| seed.wrapping_mul(i + 1) % 60_000).collect();
    let mut batch = Batch::uniform(GroupId(0), tags, now, Column::uniform(Kind::Int, cells));
    if seed.is_multiple_of(3) {
        batch.qualities = Qualities::Each(
            (0..len).map(|i| if i % 2 == 0 { Quality::GOOD } else { Quality::BAD }).collect(),
        );
    }
    batch
}

/// What a lane gives for a record: nothing, references whole or in part, values, or two entries.
fn lane(sink: u32, record: &Record) -> Vec<LiveEntry> {
    let Fact::Samples { batch, .. } = &record.fact else { return Vec::new() };
    let form = mix(sink, record.position);
    let entry = |part: u32, content: Content, batch: Arc<Batch>| LiveEntry {
        entry: JournalEntry {
            cursor: Cursor::new(record.position, part),
            route: (form % 5) as u32,
            samples: batch.len() as u32,
            content,
        },
        batch,
    };
    let whole = |part| entry(part, Content::Reference { bits: None }, batch.clone());
    let odd = |part| {
        let bits: Arc<[u8]> = vec![0b0101_0101; batch.len().div_ceil(8)].into();
        let indexes: Vec<u32> = (0..batch.len() as u32).step_by(2).collect();
        let tags = indexes.iter().map(|&i| TagId(i)).collect();
        let picked = Batch { group: GroupId::NONE, ..batch.select(&indexes, tags) };
        entry(part, Content::Reference { bits: Some(bits) }, Arc::new(picked))
    };
    let values = |part| entry(part, Content::Values(batch.clone()), batch.clone());
    match form % 8 {
        0 | 1 => Vec::new(),
        2 | 3 => vec![whole(0)],
        4 => vec![odd(0)],
        5 => vec![values(0)],
        6 => vec![whole(0), values(1)],
        _ => vec![odd(0), whole(1)],
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Pending {
    cursor: Cursor,
    plan: PlanId,
    route: u32,
    batch: Arc<Batch>,
}

struct ModelSink {
    id: SinkId,
    policy: SinkPolicy,
    /// Everything appended and neither acknowledged nor dropped.
    pending: VecDeque<Pending>,
    /// With the destination, first cursor first.
    in_flight: VecDeque<(Cursor, u64)>,
    taken: Cursor,
    covered: Position,
    /// Where its lane has come to, and goes on after a restart.
    at: Position,
    from: Position,
    produced: u64,
    delivered: u64,
    dropped: u64,
}

pub(crate) struct Model {
    dir: tempfile::TempDir,
    store: Option<Store>,
    records: Vec<(PlanId, Arc<Record>)>,
    last: Position,
    plan: PlanId,
    sinks: Vec<ModelSink>,
    now: Timestamp,
    /// What else is done with the store as soon as it is opened again.
    pub(crate) on_open: Box<dyn Fn(&mut Store)>,
}

impl Model {
    pub(crate) fn new(policies: &[SinkPolicy]) -> Model {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), OPTIONS).unwrap().store;
        let mut model = Model {
            dir,
            store: Some(store),
            records: Vec::new(),
            last: Position::ZERO,
            plan: PlanId::default(),
            sinks: Vec::new(),
            now: Timestamp(1_000 * SECOND),
            on_open: Box::new(|_| ()),
        };
        for (name, policy) in SINKS.iter().zip(policies) {
            let registered = model.store.as_mut().unwrap().register(name, *policy).unwrap();
            model.sinks.push(ModelSink {
                id: registered.id,
                policy: *policy,
                pending: VecDeque::new(),
                in_flight: VecDeque::new(),
                taken: Cursor::ZERO,
                covered: registered.from,
                at: registered.from,
                from: registered.from,
                produced: 0,
                delivered: 0,
                dropped: 0,
            });
        }
        model.activate();
        model
    }

    pub(crate) fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// A new epoch and its first records.
    fn activate(&mut self) {
        let epoch = self.store().last_epoch() + 1;
        self.store().begin_epoch(epoch).unwrap();
        assert!(self.store().begin_epoch(epoch - 1).is_err());
        let previous = self.last;
        assert!(epoch > previous.epoch);
        self.last = Position::new(epoch, 0);
        let mut work = Work::default();
        let anchor = self.now;
        self.record(&mut work, Fact::Activated { previous, running_hash: 0, anchor });
        self.plan = PlanId([epoch as u8; 16]);
        let plan = self.plan;
        self.record(&mut work, Fact::Configured { plan });
        self.store.as_mut().unwrap().commit(work, anchor).unwrap();
    }

    fn record(&mut self, work: &mut Work, fact: Fact) {
        self.last = self.last.next();
        let record = Arc::new(Record { position: self.last, fact });
        self.records.push((self.plan, record.clone()));
        work.records.push(record);
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(pieces) => self.commit(pieces),
            Step::Take { sink, entries } => self.take(usize::from(*sink), usize::from(*entries)),
            Step::Inject { sink, samples } => self.inject(usize::from(*sink), usize::from(*samples)),
            Step::Wait(seconds) => self.now = self.now.plus(i64::from(*seconds) * SECOND),
            Step::Trim { at_bound } => self.trim(if *at_bound { 0 } else { u64::MAX }),
            Step::Reopen { killed } => self.reopen(*killed),
        }
        self.check();
    }

    fn commit(&mut self, pieces: &[Piece]) {
        let mut work = Work::default();
        // Per sink what its lane computed now, and how many acknowledged entries.
        let mut news: Vec<Vec<Pending>> = vec![Vec::new(); self.sinks.len()];
        let mut checkpoints = Vec::new();
        for piece in pieces {
            match *piece {
                Piece::Records(count) => {
                    for _ in 0..count {
                        let seed = mix(9, self.last.next());
                        let samples = batch(seed, 1 + (seed % 40) as usize, self.now);
                        let slot = SlotMark { number: seed, skipped: 0 };
                        self.record(&mut work, Fact::Samples { slot, batch: Arc::new(samples) });
                    }
                    let now = self.now;
                    self.record(&mut work, Fact::Tick { now });
                }
                Piece::Lane { sink, records } => {
                    self.lane(&mut work, usize::from(sink), usize::from(records), &mut news)
                }
                Piece::Ack { sink, entries } => self.acknowledge(&mut work, sink, entries, false),
                Piece::Refuse { sink, entries } => self.acknowledge(&mut work, sink, entries, true),
                Piece::Checkpoint(sink) => {
                    let of = &self.sinks[usize::from(sink)];
                    let checkpoint = Checkpoint { position: of.at, plan: self.plan, state: vec![7; 9] };
                    work.checkpoints.insert(of.id, checkpoint);
                    checkpoints.push((usize::from(sink), of.at));
                }
            }
        }
        let before: Vec<u64> = self.sinks.iter().map(|sink| self.journal(sink.id).pending_bytes()).collect();
        let (delivered, rejected) = (work.delivered.clone(), work.rejected.clone());
        let now = self.now;
        let committed = self.store().commit(work, now).unwrap();
        assert_eq!(committed.upto, self.last);
        for (sink, at) in checkpoints {
            self.sinks[sink].from = at;
        }
        for (index, news) in news.into_iter().enumerate() {
            let id = self.sinks[index].id;
            let refused: u64 =
                rejected.iter().filter(|(of, _)| *of == id).map(|(_, rejected)| rejected.samples).sum();
            let upto = delivered.get(&id).map_or(Cursor::ZERO, |delivered| delivered.upto);
            let appended = committed.blocks.iter().filter(|block| block.sink == id).flat_map(|b| &b.entries);
            let appended: Vec<Cursor> = appended.map(|live| live.entry.cursor).collect();
            self.settle(index, news, &appended, before[index], upto, refused);
        }
    }

    /// Follows what a commit did to one sink: appends, drops, then acknowledgements.
    fn settle(
        &mut self,
        index: usize,
        news: Vec<Pending>,
        appended: &[Cursor],
        before: u64,
        upto: Cursor,
        refused: u64,
    ) {
        let sample_bytes = self.store().sample_bytes;
        let id = self.sinks[index].id;
        let (low, after) = (self.journal(id).state.low, self.journal(id).pending_bytes());
        let sink = &mut self.sinks[index];
        let policy = sink.policy;
        // Estimates follow the log's average, so allow for it to move within the commit.
        let most: f64 =
            news.iter().map(|new| new.batch.len() as f64 * (sample_bytes * 3.0 + 20.0) + 400.0).sum();
        let could_be_full = before as f64 + most > policy.capacity_bytes as f64;
        for new in news {
            sink.produced += new.batch.len() as u64;
            if !appended.contains(&new.cursor) && new.cursor > low {
                assert!(policy.full != Full::DropOldest && could_be_full, "refused without need");
                sink.dropped += new.batch.len() as u64;
            } else {
                sink.pending.push_back(new);
            }
        }
        let mut by_age = false;
        while sink.pending.front().is_some_and(|entry| entry.cursor <= low) {
            let entry = sink.pending.pop_front().unwrap();
            sink.dropped += entry.batch.len() as u64;
            by_age |= self.now.0 - entry.batch.times.get(0).0 > policy.keep_ns;
            assert!(by_age || (policy.full == Full::DropOldest && could_be_full), "dropped without need");
        }
        while sink.pending.front().is_some_and(|entry| entry.cursor <= upto) {
            sink.delivered += sink.pending.pop_front().unwrap().batch.len() as u64;
        }
        sink.delivered -= refused;
        sink.dropped += refused;
        if policy.full == Full::DropOldest {
            assert!(after <= policy.capacity_bytes);
        }
    }

    /// One block of a lane; sometimes with entries that are known already in front.
    fn lane(&mut self, work: &mut Work, index: usize, count: usize, news: &mut [Vec<Pending>]) {
        let sink = &mut self.sinks[index];
        let again = mix(7, sink.at).is_multiple_of(4);
        let start = self.records.partition_point(|(_, record)| record.position <= sink.at);
        let Some((plan, _)) = self.records.get(start) else { return };
        let known = self.records[..start].iter().rev().take_while(|(of, _)| of == plan).count();
        let start = if again { start - known.min(3) } else { start };
        let run: Vec<_> =
            self.records[start..].iter().take(count + 3).take_while(|(of, _)| of == plan).cloned().collect();
        let Some((_, last)) = run.last() else { return };
        let entries: Vec<LiveEntry> = run.iter().flat_map(|(_, record)| lane(index as u32, record)).collect();
        for live in entries.iter().filter(|live| live.entry.cursor.position > sink.covered) {
            let (cursor, route) = (live.entry.cursor, live.entry.route);
            news[index].push(Pending { cursor, plan: *plan, route, batch: live.batch.clone() });
        }
        let covered = last.position;
        sink.at = sink.at.max(covered);
        sink.covered = sink.covered.max(covered);
        work.blocks.push(Block { sink: sink.id, plan: *plan, entries, covered, passed_over: None });
    }

    fn acknowledge(&mut self, work: &mut Work, sink: u8, entries: u8, refuse: bool) {
        let sink = &mut self.sinks[usize::from(sink)];
        if work.rejected.iter().any(|(id, _)| *id == sink.id) {
            return;
        }
        // What a delivery refuses is still in the journal in this test, so that it counts once.
        let low = sink.pending.front().map_or(Cursor::complete(Position::MAX), |entry| entry.cursor);
        if refuse
            && (sink.in_flight.front().is_none_or(|(cursor, _)| *cursor < low)
                || sink.policy.keep_ns < 1 << 50
                || sink.policy.full == Full::DropOldest)
        {
            return;
        }
        let count = usize::from(entries).min(sink.in_flight.len());
        let settled: Vec<(Cursor, u64)> = sink.in_flight.drain(..count).collect();
        let (Some((from, _)), Some((upto, _))) = (settled.first(), settled.last()) else { return };
        let samples = settled.iter().map(|(_, samples)| samples).sum();
        if refuse {
            work.rejected.push((sink.id, Rejected { from: *from, upto: *upto, samples }));
        }
        let delivered = work.delivered.entry(sink.id).or_default();
        delivered.upto = delivered.upto.max(*upto);
        delivered.samples += samples;
    }

    fn take(&mut self, index: usize, count: usize) {
        let id = self.sinks[index].id;
        let floor = self.journal(id).floor();
        let sink = &mut self.sinks[index];
        sink.taken = sink.taken.max(floor);
        let taken = sink.taken;
        let next: Vec<_> = sink
            .pending
            .iter()
            .filter(|entry| entry.cursor > taken)
            .take(count)
            .map(|entry| (entry.cursor, entry.batch.len() as u64))
            .collect();
        sink.taken = next.last().map_or(taken, |(cursor, _)| *cursor);
        sink.in_flight.extend(next);
    }

    fn inject(&mut self, index: usize, count: usize) {
        let (id, plan, now) = (self.sinks[index].id, self.plan, self.now);
        let samples: Vec<(u32, Arc<Batch>)> =
            (0..count as u64).map(|i| (i as u32, Arc::new(batch(i + 1, 3, now)))).collect();
        let before = self.journal(id).pending_bytes() + 1_000;
        let block = self.store().inject(id, plan, samples.clone(), now).unwrap().unwrap();
        if block.entries.is_empty() {
            let refused: u64 = samples.iter().map(|(_, batch)| batch.len() as u64).sum();
            let most = refused as f64 * (self.store().sample_bytes * 3.0 + 20.0) + 400.0 * count as f64;
            let sink = &mut self.sinks[index];
            let could_be_full = before as f64 + most > sink.policy.capacity_bytes as f64;
            assert!(sink.policy.full != Full::DropOldest && could_be_full, "refused without need");
            sink.produced += refused;
            sink.dropped += refused;
            return;
        }
        assert_eq!(block.entries.len(), count);
        let news = block.entries.iter().zip(&samples).map(|(live, (route, batch))| Pending {
            cursor: live.entry.cursor,
            plan,
            route: *route,
            batch: batch.clone(),
        });
        let appended: Vec<Cursor> = block.entries.iter().map(|live| live.entry.cursor).collect();
        self.settle(index, news.collect(), &appended, before, Cursor::ZERO, 0);
    }

    fn trim(&mut self, log_bytes_max: u64) {
        let now = self.now;
        for _ in 0..200 {
            if !self.store().trim(log_bytes_max, now, false).unwrap().copied {
                break;
            }
        }
        for index in 0..self.sinks.len() {
            self.settle(index, Vec::new(), &[], 0, Cursor::ZERO, 0);
        }
    }

    fn reopen(&mut self, killed: bool) {
        if killed {
            // As after a kill: the files as they are while the store still runs.
            let copy = tempfile::tempdir().unwrap();
            copy_dir(self.dir.path(), copy.path());
            self.store = None;
            self.dir = copy;
        } else {
            self.store = None;
        }
        let opened = Store::open_with(self.dir.path(), OPTIONS).unwrap();
        assert_eq!(opened.salvaged, None);
        self.store = Some(opened.store);
        (self.on_open)(self.store.as_mut().unwrap());
        assert_eq!(self.store().durable(), self.last);
        for (index, name) in SINKS.iter().enumerate() {
            let policy = self.sinks[index].policy;
            let registered = self.store().register(name, policy).unwrap();
            let sink = &mut self.sinks[index];
            assert_eq!((registered.id, registered.from), (sink.id, sink.from));
            // The lane computes again what it has computed since; the destination asks again.
            sink.at = registered.from;
            sink.in_flight.clear();
            sink.taken = Cursor::ZERO;
        }
        self.activate();
    }

    fn journal(&self, id: SinkId) -> &SinkJournal {
        self.store.as_ref().unwrap().sinks().find(|sink| sink.id == id).unwrap()
    }

    /// Everything that is promised.
    fn check(&self) {
        let store = self.store.as_ref().unwrap();
        let mut waiting = (0, 0);
        for sink in &self.sinks {
            let journal = self.journal(sink.id);
            let pending: u64 = sink.pending.iter().map(|entry| entry.batch.len() as u64).sum();
            let (entries, samples) = self.compare_entries(sink, journal.floor());
            assert_eq!((entries, samples), (sink.pending.len(), pending));
            waiting = (waiting.0 + entries as u64, waiting.1 + samples);
            let state = &journal.state;
            assert_eq!(
                (journal.pending_samples(), state.dropped_samples, state.delivered_samples, state.covered),
                (pending, sink.dropped, sink.delivered, sink.covered),
                "sink {:?}",
                sink.id
            );
            assert_eq!(sink.produced, sink.dropped + sink.delivered + pending);
            if pending == 0 {
                assert_eq!(journal.pending_bytes(), 0);
            }
            self.compare_log(sink.from);
        }
        let verified = store.verify().unwrap();
        assert_eq!((verified.entries, verified.pending), waiting);
        let dropped: u64 = self.sinks.iter().map(|sink| sink.dropped).sum();
        let told: u64 = store.ledger().lines().iter().map(|line| line.samples).sum();
        assert_eq!(told, dropped, "every dropped sample is in the gap ledger");
    }

    fn compare_entries(&self, sink: &ModelSink, floor: Cursor) -> (usize, u64) {
        let mut reader = self.store.as_ref().unwrap().journal_reader(sink.id).unwrap();
        let (mut at, mut entries, mut samples) = (floor, 0, 0);
        let mut expected = sink.pending.iter();
        loop {
            let read = reader.entries_after(at, 700).unwrap();
            let Some((_, last)) = read.last() else { return (entries, samples) };
            at = last.entry.cursor;
            for (plan, live) in read {
                let LiveEntry { entry, batch } = live;
                entries += 1;
                samples += u64::from(entry.samples);
                assert_eq!(entry.samples as usize, batch.len());
                let read = Pending { cursor: entry.cursor, plan, route: entry.route, batch };
                assert_eq!(Some(&read), expected.next());
            }
        }
    }

    /// A lane that starts at `from` reads every record after it.
    fn compare_log(&self, from: Position) {
        let mut reader = self.store.as_ref().unwrap().log_reader();
        let mut at = from;
        let start = self.records.partition_point(|(_, record)| record.position <= from);
        let mut expected = self.records[start..].iter();
        loop {
            let read = reader.records_after(at, 900).unwrap();
            let Some((_, last)) = read.last() else { break };
            at = last.position;
            for (_, record) in read {
                assert_eq!(Some(&record), expected.next().map(|(_, record)| record));
            }
        }
        assert_eq!(expected.next(), None);
    }

    /// Everything computed, acknowledged, checkpointed and trimmed: the space comes back.
    pub(crate) fn drain(&mut self) {
        for sink in 0..self.sinks.len() as u8 {
            for _ in 0..300 {
                self.commit(&[Piece::Lane { sink, records: 12 }]);
                self.take(usize::from(sink), usize::MAX);
                self.commit(&[Piece::Ack { sink, entries: u8::MAX }]);
                if self.sinks[usize::from(sink)].at == self.last {
                    break;
                }
            }
            assert_eq!(self.sinks[usize::from(sink)].at, self.last);
            while !self.sinks[usize::from(sink)].pending.is_empty() {
                self.take(usize::from(sink), usize::MAX);
                self.commit(&[Piece::Ack { sink, entries: u8::MAX }]);
            }
            self.commit(&[Piece::Checkpoint(sink)]);
        }
        self.trim(u64::MAX);
        self.check();
        let store = self.store.as_ref().unwrap();
        assert!(store.log.list().len() <= 2, "{} segments of the log", store.log.list().len());
        for sink in store.sinks() {
            assert!(sink.segments.list().len() <= 2);
        }
        assert!(store.log_bytes() <= 2 * (OPTIONS.segment_bytes_max + 5_000), "{}", store.log_bytes());
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_plain_model_does(
        policies in proptest::collection::vec(policies(), 3),
        steps in proptest::collection::vec(steps(), 5..60),
    ) {
        let mut model = Model::new(&policies);
        for step in &steps {
            model.step(step);
        }
        model.drain();
    }
}
