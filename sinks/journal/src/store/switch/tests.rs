use super::*;
use crate::frame::{Content, JournalEntry};
use crate::sinks::Full;
use crate::store::{Block, LiveEntry, Work};
use gwp_core::record::SlotMark;
use gwp_core::{Batch, Column, Fact, GroupId, Kind, PlanId, TagId};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path()).unwrap().store
}

fn wanted(name: &str, former: &[&str]) -> Wanted {
    let former = former.iter().map(|name| Arc::from(*name)).collect();
    Wanted { name: name.into(), former, policy: SinkPolicy::default() }
}

fn position(seq: u64) -> Position {
    Position::new(1, seq)
}

/// A record of one sample that each of the sinks has an entry of.
fn sample(seq: u64, sinks: &[SinkId]) -> Work {
    let column = Column::uniform(Kind::Int, vec![seq]);
    let batch = Arc::new(Batch::uniform(GroupId(0), [TagId(0)].into(), Timestamp(1), column));
    let fact = Fact::Samples { slot: SlotMark::default(), batch: batch.clone() };
    let block = |sink: &SinkId| {
        let content = Content::Reference { bits: None };
        let entry = JournalEntry { cursor: Cursor::new(position(seq), 0), route: 0, samples: 1, content };
        let entries = vec![LiveEntry { entry, batch: batch.clone() }];
        Block { sink: *sink, plan: PlanId::default(), entries, covered: position(seq), passed_over: None }
    };
    Work {
        records: vec![Arc::new(Record { position: position(seq), fact })],
        blocks: sinks.iter().map(block).collect(),
        ..Work::default()
    }
}

/// A commit of records up to the one that names another plan.
fn switch(seq: u64, switch: Switch) -> Work {
    let mut records: Vec<Arc<Record>> = (2..seq).flat_map(|seq| sample(seq, &[]).records).collect();
    records.push(switch.record.clone());
    Work { records, switches: vec![switch], ..Work::default() }
}

fn names(store: &Store) -> Vec<(u32, String, u64)> {
    store.sinks().map(|sink| (sink.id.0, sink.name.to_string(), sink.pending_samples())).collect()
}

#[test]
fn names_bounds_and_new_sinks_change_with_the_record_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let a = store.register("a", SinkPolicy::default()).unwrap().id;
    store.commit(sample(1, &[a]), Timestamp(1)).unwrap();
    let prepared = store.prepare(&[wanted("b", &["a"]), wanted("n", &[])]).unwrap();
    assert!(!prepared.places[0].added && prepared.places[1].added && prepared.refused.is_empty());
    let n = prepared.places[1].registered.id;
    assert_eq!(names(&store), [(1, "a".into(), 1), (2, "n".into(), 0)], "nothing has moved yet");
    let renames = prepared.renames;
    drop((store, prepared.places));

    // A node that dies here has the old plan and the old names.
    let mut store = open(&dir);
    assert_eq!((store.plan(), names(&store)[0].1.as_str()), (PlanId::default(), "a"));
    let record = Arc::new(Record { position: position(3), fact: Fact::Configured { plan: PlanId([3; 16]) } });
    let policies = vec![(a, SinkPolicy { full: Full::Block, ..SinkPolicy::default() })];
    store.commit(switch(3, Switch { record, renames, policies, added: vec![n] }), Timestamp(1)).unwrap();
    drop(store);

    let mut store = open(&dir);
    assert_eq!(names(&store), [(1, "b".into(), 1), (2, "n".into(), 0)]);
    assert_eq!(store.plan(), PlanId([3; 16]));
    let sink = store.sinks().find(|sink| sink.id == a).unwrap();
    assert_eq!((sink.names().at(position(2)).as_ref(), sink.names().at(position(3)).as_ref()), ("a", "b"));
    assert_eq!(sink.state.policy.full, Full::Block);
    let from = store.register("n", SinkPolicy::default()).unwrap().from;
    assert_eq!(from, position(2), "its lane begins with the record of the switch");
}

#[test]
fn two_journals_that_are_needed_keep_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let [a, b] = ["a", "b"].map(|name| store.register(name, SinkPolicy::default()).unwrap().id);
    store.commit(sample(1, &[a, b]), Timestamp(1)).unwrap();
    let prepared = store.prepare(&[wanted("b", &["a"])]).unwrap();
    assert_eq!(prepared.refused, [("a".into(), "b".into(), 1)]);
    assert!(prepared.renames.is_empty() && prepared.places[0].registered.id == b);
}

#[test]
fn a_forgotten_sink_leaves_a_line_in_the_ledger_and_its_number_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let [a, b] = ["a", "b"].map(|name| store.register(name, SinkPolicy::default()).unwrap().id);
    store.commit(sample(1, &[a, b]), Timestamp(1)).unwrap();
    store.forget(b, Timestamp(2)).unwrap();
    let lines = store.ledger().lines();
    assert_eq!(lines.len(), 1);
    assert_eq!((&*lines[0].sink, lines[0].samples, lines[0].reason), ("b", 1, GapReason::Discarded));
    drop(store);

    let mut store = open(&dir);
    assert_eq!(names(&store), [(1, "a".into(), 1)]);
    assert!(store.journal_reader(b).is_none());
    let again = store.register("b", SinkPolicy::default()).unwrap().id;
    assert_eq!(again, SinkId(3));
    assert_eq!(store.verify().unwrap().pending, 1);
}

#[test]
fn journals_left_over_by_a_death_in_the_middle_go_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let a = store.register("a", SinkPolicy::default()).unwrap().id;
    store.commit(sample(1, &[a]), Timestamp(1)).unwrap();
    let left_over = store.db.keyspace("j7.0000000000", crate::segments::keyspace_options).unwrap();
    left_over.insert([0; 16], [1]).unwrap();
    drop((left_over, store));
    let store = open(&dir);
    assert!(!store.db.list_keyspace_names().iter().any(|name| name.starts_with("j7")));
    assert_eq!(names(&store), [(1, "a".into(), 1)]);
}
