//! What breaks a copy, and what must not.

use super::link::{Contents, Frames, assert_equal, contents};
use super::*;
use crate::ledger::GapReason;
use crate::sinks::SinkPolicy;
use crate::store::Work;
use crate::store::model::copy_dir;
use gwp_core::{Fact, Position, Record, Timestamp};
use gwp_redundancy::mirror::History;
use gwp_redundancy::mirror::rejoin::{AtPlace, Joining, join};
use proptest::prelude::*;
use std::sync::Arc;

/// Every record has a segment of its own.
const OPTIONS: StoreOptions = StoreOptions { segment_bytes_max: 1, chunk_bytes_min: 300 };

fn open(dir: &Path) -> Store {
    Store::open_with(dir, OPTIONS).unwrap().store
}

fn record(store: &mut Store, epoch: u32, seq: u64) {
    let fact = Fact::Tick { now: Timestamp(seq as i64) };
    let records = vec![Arc::new(Record { position: Position::new(epoch, seq), fact })];
    store.commit(Work { records, ..Work::default() }, Timestamp(1)).unwrap();
}

fn trim(store: &mut Store) -> usize {
    store.trim(u64::MAX, Timestamp(1), false).unwrap().segments
}

fn full(replica: &mut Replica, store: &Store) {
    let mut snapshot = store.snapshot().unwrap();
    replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    while let Some(piece) = snapshot.next_piece().unwrap() {
        replica.piece(&piece).unwrap();
    }
    replica.end_full(snapshot.pieces()).unwrap();
}

/// A store with some records, and a whole copy of it.
struct Pair {
    here: tempfile::TempDir,
    there: tempfile::TempDir,
    store: Store,
    replica: Replica,
    frames: Frames,
}

fn pair() -> Pair {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut store, mut replica) = (open(here.path()), Replica::open(there.path()).unwrap());
    let sink = store.register("a", SinkPolicy::default()).unwrap().id;
    // Its lane does not hold the log.
    store.retire(sink);
    (1..=3).for_each(|seq| record(&mut store, 1, seq));
    full(&mut replica, &store);
    let frames = Frames::default();
    store.set_mirror(Some(Box::new(frames.clone())));
    Pair { here, there, store, replica, frames }
}

impl Pair {
    fn deliver(&mut self, index: usize) -> Verdict {
        let (head, frame) = self.frames.get(index).unwrap();
        self.replica.apply(&head, &frame).unwrap()
    }

    fn copied(&self) -> Contents {
        contents(&self.replica.db)
    }
}

#[test]
fn a_frame_of_another_history_changes_nothing() {
    let mut pair = pair();
    // The same store up to here goes on differently elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    copy_dir(pair.here.path(), elsewhere.path());
    let mut other = open(elsewhere.path());
    let other_frames = Frames::default();
    other.set_mirror(Some(Box::new(other_frames.clone())));
    assert_eq!(other.standing().unwrap(), pair.store.standing().unwrap());
    other.put_plan(gwp_core::PlanId([9; 16]), b"another").unwrap();
    other.put_plan(gwp_core::PlanId([8; 16]), b"another").unwrap();
    record(&mut other, 1, 4);
    pair.store.put_plan(gwp_core::PlanId([9; 16]), b"plan").unwrap();
    assert_eq!(pair.deliver(0), Verdict::Append);

    let before = pair.copied();
    for index in 0..2 {
        let (head, frame) = other_frames.get(index).unwrap();
        assert_eq!(pair.replica.apply(&head, &frame).unwrap(), Verdict::Diverged);
    }
    let (head, frame) = other_frames.get(2).unwrap();
    let gap = Verdict::Gap { after: pair.replica.place().unwrap() };
    assert_eq!(pair.replica.apply(&head, &frame).unwrap(), gap);
    assert_equal(&pair.copied(), &before);

    // A new epoch there that skips what is here.
    pair.store.put_plan(gwp_core::PlanId([7; 16]), b"plan").unwrap();
    assert_eq!(pair.deliver(1), Verdict::Append);
    let before = pair.copied();
    assert_eq!(pair.replica.apply(&head, &frame).unwrap(), Verdict::Diverged, "ends elsewhere");
    assert_equal(&pair.copied(), &before);
}

#[test]
fn what_comes_before_a_frame_that_does_not_follow_is_durable() {
    let mut pair = pair();
    (4..=9).for_each(|seq| record(&mut pair.store, 1, seq));
    let frames: Vec<_> = [0, 1, 0, 2, 4].map(|index| pair.frames.get(index).unwrap()).into();
    let verdict = pair.replica.apply_many(frames.iter().map(|(head, frame)| (head, &**frame))).unwrap();
    let place = frames[3].0.place;
    assert_eq!((verdict, pair.replica.place()), (Verdict::Gap { after: place }, Some(place)));
    let rest: Vec<_> = (3..6).map(|index| pair.frames.get(index).unwrap()).collect();
    let damaged = rest[1].1[..50].to_vec();
    let frames = [(&rest[0].0, &*rest[0].1), (&rest[1].0, &*damaged), (&rest[2].0, &*rest[2].1)];
    assert!(matches!(pair.replica.apply_many(frames), Err(StoreError::Damaged(_))));
    assert_eq!(pair.replica.place(), Some(rest[0].0.place), "it is no worse for the damaged one");
    assert_eq!((pair.deliver(4), pair.deliver(5)), (Verdict::Append, Verdict::Append));
    assert_equal(&pair.copied(), &contents(&pair.store.db));
}

#[test]
fn a_full_copy_that_breaks_off_is_no_store_and_begins_again() {
    let mut pair = pair();
    (4..=9).for_each(|seq| record(&mut pair.store, 1, seq));
    let mut snapshot = pair.store.snapshot().unwrap().with_piece_bytes(100);
    pair.replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    let pieces: Vec<_> = (&mut snapshot).map(Result::unwrap).collect();
    assert!(pieces.len() > 5, "{}", pieces.len());
    let dir = pair.there.path().to_path_buf();
    let mut replica = pair.replica;
    for crashed_after in 0..pieces.len() {
        for piece in &pieces[..=crashed_after] {
            replica.piece(piece).unwrap();
        }
        drop(replica);
        assert!(matches!(Store::open(&dir).map(|_| ()), Err(StoreError::Unfinished)));
        replica = Replica::open(&dir).unwrap();
        assert_eq!((replica.place(), replica.standing().unwrap()), (None, None));
        assert!(replica.piece(&pieces[0]).is_err() && replica.end_full(snapshot.pieces()).is_err());
        replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    }
    assert!(replica.piece(&pieces[1]).is_err(), "not the next");
    for piece in &pieces {
        let mut damaged = piece.to_vec();
        damaged[60] ^= 1;
        assert!(replica.piece(&damaged).is_err());
        replica.piece(piece).unwrap();
    }
    replica.end_full(snapshot.pieces()).unwrap();
    assert_equal(&contents(&replica.db), &contents(&pair.store.db));
}

#[test]
fn a_full_copy_leaves_nothing_of_what_was_there() {
    let mut pair = pair();
    pair.store.put_plan(gwp_core::PlanId([9; 16]), b"plan").unwrap();
    trim(&mut pair.store);
    assert_eq!((pair.deliver(0), pair.deliver(1)), (Verdict::Append, Verdict::Append));
    let dir = tempfile::tempdir().unwrap();
    let mut other = open(dir.path());
    record(&mut other, 1, 1);
    full(&mut pair.replica, &other);
    assert_equal(&pair.copied(), &contents(&other.db));
    assert_eq!(pair.replica.standing().unwrap(), Some(other.standing().unwrap()));
    drop(pair.replica);
    let again = Replica::open(pair.there.path()).unwrap();
    assert_equal(&contents(&again.db), &contents(&other.db));
}

#[test]
fn what_is_not_the_store_at_that_place_is_no_whole_copy() {
    let mut pair = pair();
    let snapshot = pair.store.snapshot().unwrap();
    record(&mut pair.store, 1, 4);
    // Nothing but the marks of a store is there.
    pair.replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    assert!(matches!(pair.replica.end_full(0), Err(StoreError::Format { .. })));
    // All of it but the log: what a sender that forgets a keyspace would give.
    let mut only_meta = crate::change::wire::Recorder::new(true);
    for guard in pair.store.meta.iter() {
        let (key, value) = guard.into_inner().unwrap();
        only_meta.insert((1, "meta"), &key, &value);
    }
    let (_, _, piece) = only_meta.finish(FrameKind::Piece, 0, snapshot.place());
    pair.replica.piece(&piece.unwrap()).unwrap();
    assert!(matches!(pair.replica.end_full(1), Err(StoreError::Damaged(_))));
    assert_eq!(pair.replica.place(), None);
}

#[test]
fn a_deletion_that_was_cut_short_is_made_good_at_the_next_start() {
    let mut pair = pair();
    assert!(trim(&mut pair.store) > 0);
    assert_eq!(pair.deliver(0), Verdict::Append);
    let gone = "log.0000000000";
    assert!(!pair.store.db.keyspace_exists(gone) && !pair.replica.db.keyspace_exists(gone));
    let expected = contents(&pair.store.db);
    // As if each node had died between its note and the deletion.
    for db in [&pair.store.db, &pair.replica.db] {
        let keyspace = db.keyspace(gone, keyspace_options).unwrap();
        keyspace.insert(gwp_core::Cursor::ZERO.to_bytes(), "frame").unwrap();
    }
    let Pair { here, there, store, replica, frames } = pair;
    drop((store, replica));
    let mut store = open(here.path());
    let mut replica = Replica::open(there.path()).unwrap();
    assert_equal(&contents(&store.db), &expected);
    assert_equal(&contents(&replica.db), &expected);
    // The notes go with the next change, there as here.
    store.set_mirror(Some(Box::new(frames.clone())));
    record(&mut store, 1, 4);
    let (head, frame) = frames.get(1).unwrap();
    assert_eq!(replica.apply(&head, &frame).unwrap(), Verdict::Append);
    assert_eq!(store.meta.prefix("x/").count(), 0);
    assert_equal(&contents(&replica.db), &contents(&store.db));
}

#[test]
fn changes_after_a_deletion_do_not_lose_it_when_they_arrive_together() {
    let mut pair = pair();
    trim(&mut pair.store);
    record(&mut pair.store, 1, 4);
    trim(&mut pair.store);
    let sink = pair.store.sinks().next().unwrap().id;
    let sample = Arc::new(gwp_core::Batch::uniform(
        gwp_core::GroupId(0),
        [gwp_core::TagId(0)].into(),
        Timestamp(1),
        gwp_core::Column::uniform(gwp_core::Kind::Int, vec![7]),
    ));
    pair.store.inject(sink, gwp_core::PlanId::default(), vec![(0, sample)], Timestamp(1)).unwrap();
    assert!(contents(&pair.store.db).contains_key("j1.0000000000"));
    pair.store.forget(sink, Timestamp(1)).unwrap();
    let frames: Vec<_> = (0..pair.frames.len()).map(|index| pair.frames.get(index).unwrap()).collect();
    pair.replica.apply_many(frames.iter().map(|(head, frame)| (head, &**frame))).unwrap();
    assert_equal(&pair.copied(), &contents(&pair.store.db));
    for gone in ["log.0000000000", "j1.0000000000"] {
        assert!(!pair.replica.db.keyspace_exists(gone), "{gone}");
    }
    drop(pair.replica);
    let lines = open(pair.there.path()).ledger().lines();
    assert_eq!(
        lines.iter().map(|line| (line.reason, line.samples)).collect::<Vec<_>>(),
        [(GapReason::Discarded, 1)]
    );
}

#[test]
fn the_history_has_the_end_of_each_epoch() {
    let mut pair = pair();
    record(&mut pair.store, 2, 1);
    record(&mut pair.store, 2, 2);
    pair.store.begin_epoch(5).unwrap();
    record(&mut pair.store, 5, 1);
    (0..pair.frames.len()).for_each(|index| assert_eq!(pair.deliver(index), Verdict::Append));
    let ends = [(1, 3), (2, 2), (5, 1)].map(|(epoch, seq)| Position::new(epoch, seq));
    let standing = pair.replica.standing().unwrap().unwrap();
    assert_eq!(standing.history, History::of(ends));
    assert_eq!(standing, pair.store.standing().unwrap());
    let Standing { place, hash, history, .. } = standing;
    let joined =
        join(&pair.store.standing().unwrap().history, &history, place, hash, AtPlace::Hash(hash), place);
    assert_eq!(joined, Joining::Follow { after: place });
    drop((pair.store, pair.replica));
    assert_eq!(open(pair.here.path()).standing().unwrap(), open(pair.there.path()).standing().unwrap());
}

#[test]
fn the_history_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let epochs = gwp_redundancy::limits::EPOCHS_KEPT as u32 + 3;
    let records = |epoch| {
        let fact = Fact::Tick { now: Timestamp(1) };
        Arc::new(Record { position: Position::new(epoch, 1), fact })
    };
    let records = (1..=epochs).map(records).collect();
    store.commit(Work { records, ..Work::default() }, Timestamp(1)).unwrap();
    let history = store.standing().unwrap().history;
    assert_eq!([1, 3, 4, epochs].map(|epoch| history.has_epoch(epoch)), [false, false, true, true]);
    record(&mut store, epochs + 1, 1);
    let history = store.standing().unwrap().history;
    assert_eq!([4, 5, epochs + 1].map(|epoch| history.has_epoch(epoch)), [false, true, true]);
}

#[test]
fn stores_without_places_are_not_taken_for_equal() {
    let standing = |seq| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        record(&mut store, 1, seq);
        // As a gwp that knew no places left it.
        store.meta.remove("place").unwrap();
        drop(store);
        let first = open(dir.path()).standing().unwrap();
        assert_eq!(open(dir.path()).standing().unwrap(), first);
        first
    };
    let (one, other) = (standing(7), standing(7));
    assert_eq!((one.place, other.place), (Place::log(Position::new(1, 7)), one.place));
    assert_ne!(one.hash, other.hash);
}

#[test]
fn a_snapshot_is_of_its_place_whatever_comes_after() {
    let mut pair = pair();
    let expected = contents(&pair.store.db);
    let mut snapshot = pair.store.snapshot().unwrap().with_piece_bytes(100);
    assert!(trim(&mut pair.store) > 0, "segments that the snapshot has yet to read");
    (4..=9).for_each(|seq| record(&mut pair.store, 1, seq));
    // Old versions that nothing but the snapshot reads.
    pair.store.meta.rotate_memtable_and_wait().unwrap();
    pair.store.meta.major_compact().unwrap();
    pair.replica.begin_full(snapshot.place(), snapshot.hash()).unwrap();
    while let Some(piece) = snapshot.next_piece().unwrap() {
        pair.replica.piece(&piece).unwrap();
        trim(&mut pair.store);
    }
    pair.replica.end_full(snapshot.pieces()).unwrap();
    assert_equal(&pair.copied(), &expected);
    assert_eq!(pair.deliver(0), Verdict::Append, "and the frames follow");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_frame_changes_nothing(
        damages in proptest::collection::vec((any::<usize>(), 1u8.., 0u8..3), 60),
    ) {
        let mut pair = pair();
        record(&mut pair.store, 1, 4);
        let (head, frame) = pair.frames.get(0).unwrap();
        let before = pair.copied();
        for (at, flip, how) in damages {
            let mut bytes = frame.to_vec();
            let at = at % bytes.len();
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_slice(&vec![flip; at]),
                _ => bytes[at] ^= flip,
            }
            if bytes[..] != frame[..] {
                prop_assert!(matches!(pair.replica.apply(&head, &bytes), Err(StoreError::Damaged(_))));
            }
        }
        assert_equal(&pair.copied(), &before);
        prop_assert_eq!(pair.deliver(0), Verdict::Append);
    }
}
