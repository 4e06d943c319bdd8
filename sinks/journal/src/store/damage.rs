//! What damage and unusual loads do to a store on disk.

use super::model::copy_dir;
use super::*;
use crate::frame::{Content, JournalEntry};
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Kind, Record, TagId, Timestamp, Value};

const SMALL: StoreOptions = StoreOptions { segment_bytes_max: 1_500, chunk_bytes_min: 300 };

fn samples(seq: u64, count: usize) -> Arc<Record> {
    let tags: Arc<[TagId]> = (0..count as u32).map(TagId).collect();
    let cells = (0..count as u64).map(|i| (i * 7919 + seq * 104_729) % 60_000).collect();
    let batch = Batch::uniform(GroupId(0), tags, Timestamp(1), Column::uniform(Kind::Int, cells));
    let fact = Fact::Samples { slot: SlotMark::default(), batch: Arc::new(batch) };
    Arc::new(Record { position: Position::new(1, seq), fact })
}

fn reference(record: &Record) -> LiveEntry {
    let Fact::Samples { batch, .. } = &record.fact else { panic!("no samples") };
    let (cursor, content) = (Cursor::new(record.position, 0), Content::Reference { bits: None });
    let entry = JournalEntry { cursor, route: 0, samples: batch.len() as u32, content };
    LiveEntry { entry, batch: batch.clone() }
}

fn block(sink: SinkId, records: &[Arc<Record>]) -> Block {
    let entries = records.iter().map(|record| reference(record)).collect();
    let covered = records.last().unwrap().position;
    Block { sink, plan: PlanId::default(), entries, covered, passed_over: None }
}

fn work(records: &[Arc<Record>], blocks: Vec<Block>) -> Work {
    Work { records: records.to_vec(), blocks, ..Work::default() }
}

fn checkpoint(store: &mut Store, sinks: &[SinkId]) {
    let at = Checkpoint { position: store.durable(), plan: PlanId::default(), state: Vec::new() };
    let checkpoints = sinks.iter().map(|sink| (*sink, at.clone())).collect();
    store.commit(Work { checkpoints, ..Work::default() }, Timestamp(1)).unwrap();
}

fn trim_all(store: &mut Store, log_bytes_max: u64) {
    while store.trim(log_bytes_max, Timestamp(1), false).unwrap().copied {}
}

fn read(store: &Store, sink: SinkId) -> Vec<(Cursor, u32, Arc<Batch>)> {
    let entries = store.journal_reader(sink).unwrap().entries_after(Cursor::ZERO, usize::MAX).unwrap();
    entries.into_iter().map(|(_, live)| (live.entry.cursor, live.entry.route, live.batch)).collect()
}

/// A store with commits of one record each and where its write-ahead file ends after each.
struct Written {
    dir: tempfile::TempDir,
    file: String,
    ends: Vec<u64>,
}

fn written() -> Written {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    // Opened anew, the file has its real length: what was preallocated is cut off.
    let mut store = Store::open(dir.path()).unwrap().store;
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    let mut ends = Vec::new();
    let file = "store/0.jnl".to_owned();
    for seq in 1..=4 {
        let record = samples(seq, 6_000);
        store
            .commit(
                work(std::slice::from_ref(&record), vec![block(sink, std::slice::from_ref(&record))]),
                Timestamp(1),
            )
            .unwrap();
        ends.push(std::fs::metadata(dir.path().join(&file)).unwrap().len());
    }
    Written { dir, file, ends }
}

/// Opens a copy of the store whose write-ahead file was damaged: (torn, records, cut batches).
fn open_damaged(written: &Written, damage: impl Fn(&mut Vec<u8>)) -> (bool, u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(written.dir.path(), dir.path());
    let file = dir.path().join(&written.file);
    let mut bytes = std::fs::read(&file).unwrap();
    damage(&mut bytes);
    std::fs::write(&file, &bytes).unwrap();
    let opened = Store::open(dir.path()).unwrap();
    let mut store = opened.store;
    let verified = store.verify().unwrap();
    assert_eq!(verified.records, verified.entries);
    assert_eq!(store.durable(), Position::new(if verified.records > 0 { 1 } else { 0 }, verified.records));
    // It goes on from there, and that is whole after another start.
    let next = samples(verified.records + 1, 50);
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    store
        .commit(
            work(std::slice::from_ref(&next), vec![block(sink, std::slice::from_ref(&next))]),
            Timestamp(1),
        )
        .unwrap();
    drop(store);
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(again.salvaged, None);
    assert_eq!(again.store.verify().unwrap().records, verified.records + 1);
    let cut = opened.salvaged.map(|salvaged| {
        let kept = std::fs::read(&salvaged.kept_as).unwrap();
        let whole = salvaged.bytes as usize;
        assert!(!kept.is_empty() && bytes[whole..].starts_with(&kept));
        assert!(bytes[whole + kept.len()..].iter().all(|byte| *byte == 0));
        salvaged.batches_cut
    });
    (cut.is_some(), verified.records, cut.unwrap_or(0))
}

#[test]
fn a_torn_last_batch_is_cut_off_and_kept() {
    let written = written();
    let (third, last) = (written.ends[2] as usize, written.ends[3] as usize);
    assert!(last - third > 9_000, "the last batch spans pages");
    assert_eq!(open_damaged(&written, |_| {}), (false, 4, 0));
    let page = (third / 4096 + 1) * 4096;
    assert_eq!(open_damaged(&written, |bytes| bytes[page..page + 4096].fill(0)), (true, 3, 0));
    for at in [third, third + 1, third + 13, third + 14, third + 26, third + 30, third + 700, last - 5] {
        assert_eq!(open_damaged(&written, |bytes| bytes[at] ^= 0x41), (true, 3, 0), "flipped at {at}");
    }
    for len in [third + 1, third + 12, third + 40, page, last - 1] {
        assert_eq!(open_damaged(&written, |bytes| bytes.truncate(len)), (true, 3, 0), "cut at {len}");
        let hole = |bytes: &mut Vec<u8>| bytes[len..].fill(0);
        assert_eq!(open_damaged(&written, hole), (true, 3, 0), "zeros from {len}");
    }
    assert_eq!(open_damaged(&written, |bytes| bytes.truncate(third)), (false, 3, 0));
    assert_eq!(open_damaged(&written, |bytes| bytes.resize(last + 900_000, 0)), (false, 4, 0));
    let garbage = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&[1, 9, 77]);
    assert_eq!(open_damaged(&written, garbage), (true, 4, 0));
    let far = |bytes: &mut Vec<u8>| {
        bytes.resize(last + 900_000, 0);
        bytes.push(5);
    };
    assert_eq!(open_damaged(&written, far), (true, 4, 0));
}

#[test]
fn damage_before_durable_batches_is_told() {
    let written = written();
    let second = written.ends[1] as usize + 300;
    assert_eq!(open_damaged(&written, |bytes| bytes[second] ^= 1), (true, 2, 1));
}

#[test]
fn another_process_store_is_not_touched() {
    let written = written();
    let held = Store::open(written.dir.path()).unwrap();
    let file = written.dir.path().join(&written.file);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(&[1, 2, 3]);
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(Store::open(written.dir.path()), Err(StoreError::Locked { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    drop(held);
}

#[test]
fn a_damaged_frame_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    let records = [samples(1, 9), samples(2, 9)];
    store.commit(work(&records[..1], vec![block(sink, &records[..1])]), Timestamp(1)).unwrap();
    store.commit(work(&records[1..], vec![block(sink, &records[1..])]), Timestamp(1)).unwrap();
    for stream in [store.log.list(), store.sinks[&sink].segments.list()] {
        let keyspace = stream[0].keyspace.clone();
        let last = keyspace.last_key_value().unwrap().into_inner().unwrap();
        for at in [0, 3, 40, 70] {
            let mut frame = last.1.to_vec();
            frame[at] ^= 0x10;
            keyspace.insert(last.0.clone(), frame).unwrap();
            let Err(StoreError::Damaged(what)) = store.verify() else { panic!("byte {at} is not missed") };
            assert!(what.contains("1:2"), "{what}");
            let mut reader = store.journal_reader(sink).unwrap();
            assert!(matches!(
                reader.entries_after(Cursor::complete(Position::new(1, 1)), 1),
                Err(StoreError::Damaged(_))
            ));
            // What stands before it is still there.
            assert_eq!(reader.entries_after(Cursor::ZERO, 1).unwrap().len(), 1);
        }
        keyspace.insert(last.0, last.1).unwrap();
    }
    assert_eq!(store.verify().unwrap().records, 2);
}

/// A block may point into two segments of the log: both live until it is delivered.
#[test]
fn a_block_over_the_end_of_a_log_segment_holds_both() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), SMALL).unwrap().store;
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    let records: Vec<_> = (1..=40).map(|seq| samples(seq, 100)).collect();
    records.iter().for_each(|record| {
        store.commit(work(std::slice::from_ref(record), Vec::new()), Timestamp(1)).unwrap();
    });
    assert!(store.log.list().len() > 3);
    store.commit(work(&[], vec![block(sink, &records)]), Timestamp(1)).unwrap();
    checkpoint(&mut store, &[sink]);
    let before = read(&store, sink);
    assert_eq!(before.len(), 40);
    trim_all(&mut store, u64::MAX);
    assert_eq!(read(&store, sink), before);
}

/// A dead sink that takes a hundredth of the data does not hold the log.
#[test]
fn few_references_are_copied_and_the_log_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), SMALL).unwrap().store;
    let dead = store.register("dead", SinkPolicy::default()).unwrap().id;
    let live = store.register("live", SinkPolicy::default()).unwrap().id;
    let mut most = 0;
    for seq in 1..=300 {
        let record = samples(seq, 100);
        let mut blocks = vec![block(live, std::slice::from_ref(&record))];
        if seq % 100 == 7 {
            blocks.push(block(dead, std::slice::from_ref(&record)));
        }
        store.commit(work(std::slice::from_ref(&record), blocks), Timestamp(1)).unwrap();
        let delivered = Delivered { upto: Cursor::new(record.position, 0), samples: 100 };
        let delivered = [(live, delivered)].into();
        store.commit(Work { delivered, ..Work::default() }, Timestamp(1)).unwrap();
        if seq % 20 == 0 {
            checkpoint(&mut store, &[dead, live]);
            trim_all(&mut store, u64::MAX);
            most = most.max(store.log_bytes());
        }
    }
    let entries = read(&store, dead);
    let cursors: Vec<u64> = entries.iter().map(|(cursor, ..)| cursor.position.seq).collect();
    assert_eq!(cursors, [7, 107, 207]);
    for (cursor, _, batch) in &entries {
        assert_eq!(**batch, *reference(&samples(cursor.position.seq, 100)).batch);
    }
    assert!(most < 4 * SMALL.segment_bytes_max, "the log has {most} bytes");
    assert!(store.log.list().len() <= 2);
    drop(store);
    let store = Store::open_with(dir.path(), SMALL).unwrap().store;
    assert_eq!(read(&store, dead), entries);
    assert_eq!(store.verify().unwrap().entries, 3);
}

/// At its bound the log is given up for values whatever they are worth.
#[test]
fn at_its_bound_the_log_is_copied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), SMALL).unwrap().store;
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    for seq in 1..=100 {
        let record = samples(seq, 100);
        store
            .commit(
                work(std::slice::from_ref(&record), vec![block(sink, std::slice::from_ref(&record))]),
                Timestamp(1),
            )
            .unwrap();
    }
    checkpoint(&mut store, &[sink]);
    let before = read(&store, sink);
    trim_all(&mut store, u64::MAX);
    let held = store.log.list().len();
    assert!(held > 5, "{held}");
    trim_all(&mut store, 3_000);
    assert!(store.log.list().len() <= 3, "{} segments of {held}", store.log.list().len());
    assert_eq!(read(&store, sink), before);
}

/// Texts as long as they may be make frames that are large, but never unreadable.
#[test]
fn long_texts_come_back_from_log_and_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let policy = SinkPolicy { capacity_bytes: 1 << 30, ..SinkPolicy::default() };
    let sink = store.register("a", policy).unwrap().id;
    let mut column = Column::new();
    for index in 0..100 {
        let mut x = 0x9E37_79B9u32 + index;
        let mut letter = || {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            char::from(b'a' + (x >> 8) as u8 % 26)
        };
        let text: String = (0..60_000).map(|_| letter()).collect();
        column.push(Value::Text(text.into()));
    }
    let tags: Arc<[TagId]> = (0..100).map(TagId).collect();
    let batch = Arc::new(Batch::uniform(GroupId(0), tags, Timestamp(1), column));
    let fact = Fact::Samples { slot: SlotMark::default(), batch: batch.clone() };
    let record = Arc::new(Record { position: Position::new(1, 1), fact });
    let entries = (0..3)
        .map(|part| {
            let content = Content::Values(batch.clone());
            let cursor = Cursor::new(record.position, part);
            let entry = JournalEntry { cursor, route: part, samples: 100, content };
            LiveEntry { entry, batch: batch.clone() }
        })
        .collect();
    let block = Block { sink, plan: PlanId::default(), entries, covered: record.position, passed_over: None };
    store.commit(work(&[record], vec![block]), Timestamp(1)).unwrap();
    assert_eq!(store.verify().unwrap().pending, 300);
    assert!(read(&store, sink).iter().all(|(.., read)| *read == batch));
    // Their real size counts, not that of an average sample.
    assert!(store.sinks[&sink].pending_bytes() > 3_000_000);
}
