//! The store: group commits with their fsync, and reading back. `plain` appends the same
//! frames to one file with `fdatasync`, and reads them from it. The file system of the
//! temporary directory (`TMPDIR`) decides the commits: use the disk that counts.

mod support;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use gwp_core::{Batch, Cursor, Fact, PlanId, Position, Record, SinkId};
use gwp_journal::codec::TagLists;
use gwp_journal::frame::{decode_log, encode_log};
use gwp_journal::{Block, Content, Delivered, Full, JournalEntry, LiveEntry, SinkPolicy, Store, Work};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use support::*;

const PLAN: PlanId = PlanId([7; 16]);

/// Records of one commit: 1,000 samples each.
const SIZES: [usize; 2] = [1, 50];

/// Records that are read back.
const BACKLOG: usize = 500;

/// Length of the plain file; longer than what is written to it.
const PLAIN_BYTES: u64 = 1 << 30;

/// What a reader that is behind takes in one go.
const READ_BYTES: usize = 256 * 1024;

fn batch_of(record: &Record) -> &Arc<Batch> {
    match &record.fact {
        Fact::Samples { batch, .. } => batch,
        _ => unreachable!("every record of these benches carries samples"),
    }
}

/// A store with one sink, and the next position.
struct Bed {
    store: Store,
    sink: SinkId,
    next: Position,
    /// A few batches of ints that take turns.
    batches: Vec<Arc<Batch>>,
}

impl Bed {
    fn new(dir: &Path) -> Bed {
        let mut store = Store::open(dir).expect("a new directory").store;
        let epoch = store.last_epoch() + 1;
        store.begin_epoch(epoch).expect("an epoch");
        let policy = SinkPolicy { capacity_bytes: 1 << 40, keep_ns: i64::MAX, full: Full::DropOldest };
        let sink = store.register("bench", policy).expect("a sink").id;
        let batches = (0..16).map(|slot| Arc::new(ints(slot))).collect();
        Bed { store, sink, next: Position::new(epoch, 1), batches }
    }

    fn records(&mut self, count: usize) -> Vec<Arc<Record>> {
        let record = |_| {
            let position = self.next;
            self.next = position.next();
            let batch = self.batches[position.seq as usize % self.batches.len()].clone();
            Arc::new(Record { position, fact: Fact::Samples { slot: Default::default(), batch } })
        };
        (0..count).map(record).collect()
    }

    /// One group commit: records, an entry by reference for each, and the acknowledgement of what was before.
    fn commit(&mut self, count: usize, acknowledge: bool) {
        let records = self.records(count);
        let entries = records.iter().map(|record| {
            let entry = JournalEntry {
                cursor: Cursor::new(record.position, 0),
                route: 0,
                samples: SAMPLES as u32,
                content: Content::Reference { bits: None },
            };
            LiveEntry { entry, batch: batch_of(record).clone() }
        });
        let covered = records[count - 1].position;
        let block =
            Block { sink: self.sink, plan: PLAN, entries: entries.collect(), covered, passed_over: None };
        let upto = Cursor::complete(self.store.durable());
        let mut work = Work { records, blocks: vec![block], ..Work::default() };
        if acknowledge {
            work.delivered.insert(self.sink, Delivered { upto, samples: (count * SAMPLES) as u64 });
        }
        self.store.commit(work, time(0)).expect("a commit");
    }
}

/// The limit: frames with their length in front, one after the other in one file.
struct Plain {
    file: File,
}

impl Plain {
    /// The file has its length from the start, so that a commit need not write that, too.
    fn new(path: &Path) -> Plain {
        let file = File::create(path).expect("a new file");
        file.set_len(PLAIN_BYTES).expect("a length");
        Plain { file }
    }

    fn commit(&mut self, records: &[Arc<Record>]) {
        let frame = encode_log(PLAN, records);
        let framed = [&(frame.len() as u32).to_le_bytes()[..], &frame].concat();
        self.file.write_all(&framed).and_then(|()| self.file.sync_data()).expect("an append");
    }

    /// All that was written, read anew.
    fn written(&mut self, path: &Path) -> Vec<u8> {
        let length = self.file.stream_position().expect("a place in the file");
        let mut bytes = Vec::with_capacity(length as usize);
        let file = File::open(path).expect("the file just written");
        file.take(length).read_to_end(&mut bytes).expect("its bytes");
        bytes
    }
}

fn commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/commit");
    for count in SIZES {
        group.throughput(Throughput::Elements((count * SAMPLES) as u64));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut bed = Bed::new(&dir.path().join("store"));
        group.bench_function(format!("{count} records"), |b| b.iter(|| bed.commit(count, true)));
        let mut plain = Plain::new(&dir.path().join("plain"));
        let records = bed.records(count);
        group.bench_function(format!("plain {count} records"), |b| b.iter(|| plain.commit(&records)));
    }
    group.finish();
}

fn read_back(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/read back");
    group.throughput(Throughput::Elements((BACKLOG * SAMPLES) as u64));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bed = Bed::new(&dir.path().join("store"));
    let path = dir.path().join("plain");
    let mut plain = Plain::new(&path);
    for _ in 0..BACKLOG / 10 {
        bed.commit(10, false);
        plain.commit(&bed.batches[..10].iter().map(in_a_record).collect::<Vec<_>>());
    }
    read_store(&mut group, &bed);
    group.bench_function("plain records", |b| {
        b.iter(|| {
            let bytes = plain.written(&path);
            let mut lists = TagLists::default();
            let (mut rest, mut samples) = (&bytes[..], 0);
            while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                let (frame, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
                rest = tail;
                let records = decode_log(frame, Position::ZERO, &mut lists).expect("a frame just encoded");
                samples += records.iter().map(|record| record.samples()).sum::<usize>();
            }
            assert_eq!(samples, BACKLOG * SAMPLES);
        })
    });
    group.finish();
}

fn in_a_record(batch: &Arc<Batch>) -> Arc<Record> {
    let fact = Fact::Samples { slot: Default::default(), batch: batch.clone() };
    Arc::new(Record { position: Position::new(1, 1), fact })
}

fn read_store(group: &mut BenchmarkGroup<'_, WallTime>, bed: &Bed) {
    group.bench_function("records", |b| {
        b.iter(|| {
            let (mut reader, mut at, mut samples) = (bed.store.log_reader(), Position::ZERO, 0);
            loop {
                let records = reader.records_after(at, READ_BYTES).expect("records");
                let Some((_, last)) = records.last() else { break };
                at = last.position;
                samples += records.iter().map(|(_, record)| record.samples()).sum::<usize>();
            }
            assert_eq!(samples, BACKLOG * SAMPLES);
        })
    });
    group.bench_function("entries with their samples", |b| {
        b.iter(|| {
            let mut reader = bed.store.journal_reader(bed.sink).expect("the sink's journal");
            let (mut at, mut samples) = (Cursor::ZERO, 0);
            loop {
                let entries = reader.entries_after(at, READ_BYTES).expect("entries");
                let Some((_, last)) = entries.last() else { break };
                at = last.entry.cursor;
                samples += entries.iter().map(|(_, live)| live.batch.len()).sum::<usize>();
            }
            assert_eq!(samples, BACKLOG * SAMPLES);
        })
    });
}

criterion_group! {
    name = benches;
    config = short();
    targets = commits, read_back
}
criterion_main!(benches);
