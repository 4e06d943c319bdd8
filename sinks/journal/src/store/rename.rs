//! Another name for a sink: journal, checkpoint, cursors and number stay.

use super::{Store, StoreError};
use crate::sinks::SinkJournal;
use gwp_core::SinkId;
use std::sync::Arc;

/// What [`Store::rename`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// There is nothing of that name that could move.
    Nothing,
    Done,
    /// Both names have a journal that is needed; each keeps its own.
    Refused {
        /// Samples that wait under the old name.
        waiting: u64,
    },
}

impl Store {
    /// Gives the sink `old` the name `new` from the next record on. To be called before either is registered.
    ///
    /// A journal that has the new name already gives way if nothing waits in it and its lane
    /// stopped earlier: it stays in the store under a name that no program can give.
    ///
    /// # Errors
    /// The write failed; the names are then as they were.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<Renamed, StoreError> {
        let find = |name: &str| self.sinks.values().find(|sink| &*sink.name == name);
        let Some(from) = find(old) else { return Ok(Renamed::Nothing) };
        let in_the_way = find(new);
        if let Some(not) = in_the_way.and_then(|other| keeps_its_name(from, other)) {
            return Ok(not);
        }
        let (from, in_the_way) = (from.id, in_the_way.map(|sink| sink.id));
        let mut change = self.trail.begin();
        let upto = self.durable;
        if let Some(other) = in_the_way.and_then(|id| self.sinks.get_mut(&id)) {
            let aside = aside(new, other.id);
            other.rename(&mut change, &self.meta, &aside, upto);
        }
        if let Some(sink) = self.sinks.get_mut(&from) {
            sink.rename(&mut change, &self.meta, &new.into(), upto);
        }
        self.trail.commit(change)?;
        Ok(Renamed::Done)
    }
}

/// Why a journal cannot take the name of another one, if so.
pub(super) fn keeps_its_name(from: &SinkJournal, other: &SinkJournal) -> Option<Renamed> {
    let (waiting, later) = (from.pending_samples(), from.state.covered > other.state.covered);
    match (waiting, later) {
        // Left over from an earlier time.
        (0, false) => Some(Renamed::Nothing),
        (_, true) if other.pending_samples() == 0 => None,
        _ => Some(Renamed::Refused { waiting }),
    }
}

/// A name that no program can give, for a journal that gives way to another one.
pub(super) fn aside(name: &str, id: SinkId) -> Arc<str> {
    format!("{name}'{}", id.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Content, JournalEntry};
    use crate::sinks::SinkPolicy;
    use crate::store::{Block, Checkpoint, Delivered, LiveEntry, Work};
    use gwp_core::record::SlotMark;
    use gwp_core::{Batch, Column, Cursor, Fact, GroupId, Kind, PlanId, Position, Record, TagId, Timestamp};

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(dir.path()).unwrap().store
    }

    fn register(store: &mut Store, name: &str) -> SinkId {
        store.register(name, SinkPolicy::default()).unwrap().id
    }

    /// A record of one sample, which each of the sinks has an entry of.
    fn commit_one(store: &mut Store, seq: u64, sinks: &[SinkId]) {
        let tags: Arc<[TagId]> = [TagId(0)].into();
        let column = Column::uniform(Kind::Int, vec![seq]);
        let batch = Arc::new(Batch::uniform(GroupId(0), tags, Timestamp(1), column));
        let position = Position::new(1, seq);
        let fact = Fact::Samples { slot: SlotMark::default(), batch: batch.clone() };
        let entry = |sink: &SinkId| {
            let (cursor, content) = (Cursor::new(position, 0), Content::Reference { bits: None });
            let entry = JournalEntry { cursor, route: 0, samples: 1, content };
            let entries = vec![LiveEntry { entry, batch: batch.clone() }];
            Block { sink: *sink, plan: PlanId::default(), entries, covered: position, passed_over: None }
        };
        let state = vec![seq as u8];
        let checkpoint = Checkpoint { position, plan: PlanId::default(), state };
        let work = Work {
            records: vec![Arc::new(Record { position, fact })],
            blocks: sinks.iter().map(entry).collect(),
            checkpoints: sinks.iter().map(|sink| (*sink, checkpoint.clone())).collect(),
            ..Work::default()
        };
        store.commit(work, Timestamp(1)).unwrap();
    }

    fn acknowledge(store: &mut Store, sink: SinkId, seq: u64) {
        let upto = Cursor::complete(Position::new(1, seq));
        let delivered = [(sink, Delivered { upto, samples: 1 })].into();
        store.commit(Work { delivered, ..Work::default() }, Timestamp(1)).unwrap();
    }

    fn waiting(store: &Store) -> Vec<(String, u64)> {
        store.sinks().map(|sink| (sink.name.to_string(), sink.pending_samples())).collect()
    }

    #[test]
    fn everything_of_a_sink_follows_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = store(&dir);
        let id = register(&mut first, "a");
        (1..=3).for_each(|seq| commit_one(&mut first, seq, &[id]));
        acknowledge(&mut first, id, 1);
        assert_eq!(first.rename("a", "b").unwrap(), Renamed::Done);
        assert_eq!(first.rename("a", "b").unwrap(), Renamed::Nothing, "it has moved");
        commit_one(&mut first, 4, &[id]);
        assert_eq!(first.rename("b", "c").unwrap(), Renamed::Done);
        drop(first);

        let mut second = store(&dir);
        assert_eq!(waiting(&second), [("c".to_owned(), 3)]);
        let registered = second.register("c", SinkPolicy::default()).unwrap();
        assert_eq!(registered.id, id, "destinations know it by its number");
        assert_eq!(registered.checkpoint.unwrap().state, [4]);
        assert_eq!(registered.shared.cursors().1, Cursor::complete(Position::new(1, 1)));
        let called = |seq| registered.shared.names().at(Position::new(1, seq)).to_string();
        assert_eq!([1, 3, 4, 5].map(called), ["a", "a", "b", "c"]);
        let found = |seq, known: &[&str]| {
            let name = |name: &str| known.contains(&name).then(|| name.to_owned());
            registered.shared.names().find(Position::new(1, seq), name)
        };
        assert_eq!(found(1, &["a", "c"]).as_deref(), Some("a"));
        assert_eq!(found(9, &["a", "b"]).as_deref(), Some("b"));
        assert_eq!(found(9, &["x"]), None);
        let entries = second.journal_reader(id).unwrap().entries_after(Cursor::ZERO, usize::MAX).unwrap();
        assert_eq!(entries.len(), 4);
        assert_eq!(second.verify().unwrap().pending, 3);
    }

    #[test]
    fn two_journals_that_are_needed_are_not_made_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let (a, b) = (register(&mut store, "a"), register(&mut store, "b"));
        commit_one(&mut store, 1, &[a, b]);
        commit_one(&mut store, 2, &[a]);
        assert_eq!(store.rename("a", "b").unwrap(), Renamed::Refused { waiting: 2 });
        assert_eq!(waiting(&store), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        acknowledge(&mut store, b, 1);
        assert_eq!(store.rename("a", "b").unwrap(), Renamed::Done);
        assert_eq!(waiting(&store), [("b".to_owned(), 2), ("b'2".to_owned(), 0)]);
        assert_eq!(register(&mut store, "b"), a);
    }

    #[test]
    fn what_was_left_over_earlier_takes_no_journal_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let (a, b) = (register(&mut store, "a"), register(&mut store, "b"));
        commit_one(&mut store, 1, &[a]);
        commit_one(&mut store, 2, &[b]);
        assert_eq!(store.rename("a", "b").unwrap(), Renamed::Refused { waiting: 1 });
        acknowledge(&mut store, a, 1);
        acknowledge(&mut store, b, 2);
        assert_eq!(store.rename("a", "b").unwrap(), Renamed::Nothing);
        assert_eq!(store.rename("x", "b").unwrap(), Renamed::Nothing);
        assert_eq!(register(&mut store, "b"), b);
    }
}
