//! From one plan to the next while records come.
//!
//! ```text
//! Prepare: the plan is kept; its sinks have places    (durable, changes nothing that runs)
//! Switch:  the record `Configured`, names, bounds     (one commit: a node that dies has all of it or nothing)
//! Retire, Forget: sinks that have left                (once nothing of theirs is needed)
//! ```

use super::rename::{aside, keeps_its_name};
use super::{Registered, Renamed, Store, StoreError, checkpoint_key};
use crate::change::Change;
use crate::ledger::GapReason;
use crate::reader::JournalReader;
use crate::segments::segments_of;
use crate::sinks::{SinkJournal, SinkPolicy, SinkShared};
use gwp_core::{Cursor, Position, Record, SinkId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sink of the next plan.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: Arc<str>,
    /// Names it had before, the latest first.
    pub former: Vec<Arc<str>>,
    pub policy: SinkPolicy,
}

/// The place of a sink of the next plan.
pub struct Place {
    pub registered: Registered,
    pub reader: JournalReader,
    /// It has no journal yet: it begins with the switch.
    pub added: bool,
}

/// What [`Store::prepare`] found.
pub struct Prepared {
    /// In the order in which they were wanted.
    pub places: Vec<Place>,
    /// Names that sinks are to take at the switch.
    pub renames: Vec<Rename>,
    /// `moved` lines that cannot be followed: old name, new name, samples that wait under the old one.
    pub refused: Vec<(Arc<str>, Arc<str>, u64)>,
}

/// A sink that takes another name.
#[derive(Clone, Debug)]
pub struct Rename {
    pub sink: SinkId,
    pub to: Arc<str>,
    pub shared: Arc<SinkShared>,
}

/// What a change of the plan is for the store.
#[derive(Clone, Debug)]
pub struct Switch {
    /// `Configured`.
    pub record: Arc<Record>,
    pub renames: Vec<Rename>,
    pub policies: Vec<(SinkId, SinkPolicy)>,
    /// Sinks that begin with it.
    pub added: Vec<SinkId>,
}

impl Switch {
    /// Everything up to here is under the plan before.
    pub fn before(&self) -> Position {
        let at = self.record.position;
        Position { seq: at.seq.saturating_sub(1), ..at }
    }
}

impl SinkJournal {
    fn renamed(&self, to: Arc<str>) -> Rename {
        Rename { sink: self.id, to, shared: self.shared.clone() }
    }
}

impl Store {
    /// Finds or makes the places of the sinks of the next plan. Until the switch nothing has another name or bound.
    ///
    /// # Errors
    /// The disk refused, or a checkpoint is damaged.
    pub fn prepare(&mut self, wanted: &[Wanted]) -> Result<Prepared, StoreError> {
        let mut names: BTreeMap<Arc<str>, SinkId> =
            self.sinks.values().map(|sink| (sink.name.clone(), sink.id)).collect();
        let mut prepared = Prepared { places: Vec::new(), renames: Vec::new(), refused: Vec::new() };
        for sink in wanted {
            for old in &sink.former {
                self.follow(&mut names, &mut prepared, old, &sink.name);
            }
            let (id, added) = match names.get(&sink.name) {
                Some(id) => (*id, false),
                None => (self.add_sink(&sink.name, sink.policy)?, true),
            };
            names.insert(sink.name.clone(), id);
            let registered = self.registered(id)?;
            let reader = self.journal_reader(id);
            let reader = reader.ok_or_else(|| StoreError::Damaged(format!("journal of `{}`", sink.name)))?;
            prepared.places.push(Place { registered, reader, added });
        }
        Ok(prepared)
    }

    /// Whether a journal takes another name, by the same rules as at a start.
    fn follow(
        &self,
        names: &mut BTreeMap<Arc<str>, SinkId>,
        prepared: &mut Prepared,
        old: &Arc<str>,
        new: &Arc<str>,
    ) {
        let journal = |id: &SinkId| self.sinks.get(id);
        let Some(from) = names.get(old).and_then(journal) else { return };
        if let Some(other) = names.get(new).and_then(journal) {
            match keeps_its_name(from, other) {
                Some(Renamed::Refused { waiting }) => {
                    return prepared.refused.push((old.clone(), new.clone(), waiting));
                }
                Some(_) => return,
                None => prepared.renames.push(other.renamed(aside(new, other.id))),
            }
        }
        prepared.renames.push(from.renamed(new.clone()));
        names.remove(old);
        names.insert(new.clone(), from.id);
    }

    /// What comes with the record of a switch, for the commit that holds it.
    pub(super) fn switch(&mut self, change: &mut Change, switch: &Switch) {
        let before = switch.before();
        for Rename { sink, to, .. } in &switch.renames {
            if let Some(sink) = self.sinks.get_mut(sink) {
                sink.rename(change, &self.meta, to, before);
            }
        }
        for (id, policy) in &switch.policies {
            if let Some(sink) = self.sinks.get_mut(id) {
                sink.changed |= sink.state.policy != *policy;
                sink.state.policy = *policy;
            }
        }
        for id in &switch.added {
            if let Some(sink) = self.sinks.get_mut(id) {
                (sink.state.since, sink.state.covered) = (before, before.max(sink.state.covered));
                sink.changed = true;
                self.needed_from.insert(*id, before);
            }
        }
    }

    /// The log is not kept any more for a sink whose lane has ended.
    pub fn retire(&mut self, id: SinkId) {
        self.needed_from.remove(&id);
    }

    /// Deletes everything of a sink; the ledger counts what waited for it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn forget(&mut self, id: SinkId, now: Timestamp) -> Result<(), StoreError> {
        self.retire(id);
        let Some(sink) = self.sinks.remove(&id) else { return Ok(()) };
        let mut change = self.trail.begin();
        let (samples, bytes) = (sink.pending_samples(), sink.pending_bytes());
        if samples > 0 {
            let (from, upto) = (sink.floor(), Cursor::complete(sink.state.covered));
            self.ledger.add(&mut change, &sink.name, from, upto, samples, bytes, GapReason::Discarded, now);
        }
        sink.remove(&mut change, &self.meta);
        change.remove(&self.meta, checkpoint_key(id));
        sink.segments.list().into_iter().for_each(|segment| change.delete(segment.keyspace));
        self.trail.commit(change)
    }

    /// Deletes journals whose sinks were forgotten by a gwp that made no notes of it and died.
    pub(super) fn delete_forgotten(&mut self) -> Result<(), StoreError> {
        let mut change = self.trail.begin();
        for name in self.db.list_keyspace_names() {
            if segments_of(&name).is_some_and(|sink| !self.sinks.contains_key(&SinkId(sink))) {
                change.delete(self.db.keyspace(&name, crate::segments::keyspace_options)?);
            }
        }
        self.trail.commit(change)
    }
}

#[cfg(test)]
mod tests;
