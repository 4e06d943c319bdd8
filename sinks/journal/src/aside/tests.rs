//! Setting stores aside, reading and deleting them.

use super::*;
use crate::sinks::SinkPolicy;
use crate::store::Work;
use gwp_core::{Fact, Position, Record, Timestamp};
use std::sync::Arc;

fn store_with(dir: &Path, seq: u64) -> Store {
    let mut store = Store::open(dir).unwrap().store;
    store.register("a", SinkPolicy::default()).unwrap();
    let fact = Fact::Tick { now: Timestamp(seq as i64) };
    let records = vec![Arc::new(Record { position: Position::new(1, seq), fact })];
    store.commit(Work { records, ..Work::default() }, Timestamp(1)).unwrap();
    store
}

fn records(store: &Store) -> Vec<u64> {
    let records = store.log_reader().records_after(Position::ZERO, usize::MAX).unwrap();
    records.iter().map(|(_, record)| record.position.seq).collect()
}

#[test]
fn a_store_that_is_set_aside_is_read_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(set_aside(dir).unwrap(), None, "there is none");
    let open = store_with(dir, 5);
    assert!(matches!(set_aside(dir), Err(AsideError::Locked { .. })));
    drop(open);
    assert_eq!(set_aside(dir).unwrap(), Some(1));
    drop(store_with(dir, 6));
    assert_eq!(set_aside(dir).unwrap(), Some(2));
    assert_eq!(asides(dir).unwrap(), [1, 2]);
    assert!(!dir.join(FOLDER).exists());

    let read =
        |number| Store::open_aside(dir, number, StoreOptions::default()).map(|opened| records(&opened.store));
    assert_eq!((read(1).unwrap(), read(2).unwrap()), (vec![5], vec![6]));
    assert!(matches!(read(3), Err(StoreError::Directory { .. })));
    assert_eq!(records(&Store::open(dir).unwrap().store), [0; 0], "the place is free");
}

#[test]
fn what_is_deleted_is_gone_and_its_number_not_given_while_later_ones_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for seq in [5, 6] {
        drop(store_with(dir, seq));
        set_aside(dir).unwrap();
    }
    // Left over by a death in the middle of deleting another one.
    std::fs::create_dir_all(dir.join(GONE).join("keyspaces")).unwrap();
    delete_aside(dir, 1).unwrap();
    delete_aside(dir, 1).unwrap();
    assert_eq!(asides(dir).unwrap(), [2]);
    assert!(!dir.join(GONE).exists());
    drop(store_with(dir, 7));
    assert_eq!(set_aside(dir).unwrap(), Some(3));
}

#[test]
fn their_number_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=ASIDE_MAX as u32 {
        std::fs::create_dir_all(dir.path().join(folder(number))).unwrap();
    }
    drop(store_with(dir.path(), 1));
    assert!(matches!(set_aside(dir.path()), Err(AsideError::TooMany { .. })));
    assert!(dir.path().join(FOLDER).exists());
    delete_aside(dir.path(), 1).unwrap();
    assert_eq!(set_aside(dir.path()).unwrap(), Some(ASIDE_MAX as u32 + 1));
}

#[test]
fn how_far_it_is_handed_over_and_why_it_stays_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(store_with(dir, 5));
    Replica::open(dir).unwrap().note_above(Position::new(1, 3)).unwrap();
    set_aside(dir).unwrap();
    let open = || Store::open_aside(dir, 1, StoreOptions::default()).unwrap().store;
    let plan = PlanId([7; 16]);
    let store = open();
    assert_eq!(store.set_aside_above().unwrap(), Some(Position::new(1, 3)));
    assert_eq!((store.handed_over().unwrap(), store.stays().unwrap()), (BTreeMap::new(), None));
    store.note_handed_over(plan, Position::new(1, 4)).unwrap();
    store.note_stays(Some("of another plan")).unwrap();
    assert!(matches!(delete_aside(dir, 1), Err(AsideError::Locked { .. })), "it is open");
    drop(store);
    let store = open();
    assert_eq!(store.handed_over().unwrap(), [(plan, Position::new(1, 4))].into());
    assert_eq!(store.stays().unwrap().as_deref(), Some("of another plan"));
    store.note_stays(None).unwrap();
    assert_eq!(store.stays().unwrap(), None);
    let left = |after: Position| store.records_between(after, Position::new(1, 5)).unwrap();
    assert_eq!([left(Position::ZERO), left(Position::new(1, 3)), left(Position::new(1, 5))], [5, 2, 0]);
    drop(store);
    delete_aside(dir, 1).unwrap();
    assert_eq!(asides(dir).unwrap(), [0; 0]);
}
