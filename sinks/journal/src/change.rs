//! The one place through which the store changes, and the row its changes stand in.
//!
//! ```text
//!  commit, trim, inject, rename, ...            the other node
//!        | insert, remove, delete                    ^
//!        v                                           | Head + frame
//!     Change ------> Trail::commit ---- made ------> Mirror
//!                      |  one batch, synced:          ^
//!                      |  operations, notes, place    |
//!                      v                              |
//!                    fjall ------------ durable ------+
//!                      |
//!                      +--> keyspaces that are noted as deleted are deleted
//! ```
//!
//! Every change has a [`Place`] and a running hash; both are in the same batch as the change, so
//! they tell of any store, live or copied, what exactly is in it.
//!
//! fjall deletes a keyspace at once and outside of any batch. So the batch first makes a note of
//! it (`x/<name>` in `meta`), the keyspace is deleted after that, and the next change takes the
//! note away. A node that dies in between finds the note when the store is opened and deletes the
//! keyspace then; deleting is idempotent, and names of deleted keyspaces are never given again.
//! Notes follow from the deletions alone, so they are equal in a copy, which does the same: a
//! copy that dies in between has a note of its own, and is not a change behind for it.

pub(crate) mod wire;

use crate::codec::DecodeError;
use crate::segments::{Segments, keyspace_options};
use crate::store::StoreError;
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode, UserKey, UserValue};
use gwp_core::{Position, Record};
use gwp_redundancy::limits::EPOCHS_KEPT;
use gwp_redundancy::mirror::{Head, History, Place, RunningHash};
use std::sync::Arc;
use wire::{FrameKind, Recorder, place_bytes, read_place};

/// Key in `meta` of place (16) and running hash (8, big-endian).
const PLACE: &str = "place";
/// Last positions of the epochs before the newest, 12 bytes each, ascending.
const ENDS: &str = "ends";
/// Prefix of the notes of deleted keyspaces.
const DELETED: &str = "x/";

/// Is told of every change of a store, on its thread: it must not block.
pub trait Mirror: Send {
    /// A change was made and goes to the disk now; its frame may go out at the same time. No
    /// frame when it is larger than [`CHANGE_BYTES_MAX`](crate::limits::CHANGE_BYTES_MAX): then a
    /// copy can only be made anew.
    fn made(&mut self, head: &Head, frame: Option<Arc<[u8]>>);

    /// Everything up to here is durable.
    fn durable(&mut self, place: Place);
}

/// Where a store stands: equal in two stores only if all that is in them is equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    pub place: Place,
    /// Running hash over all changes up to there.
    pub hash: RunningHash,
    pub history: History,
    pub incarnation: [u8; 16],
}

/// What is to change, all of it or nothing.
pub(crate) struct Change {
    batch: OwnedWriteBatch,
    /// None in a copy: there the frame was the beginning.
    recorder: Option<Recorder>,
    /// Keyspaces that are deleted with it; one that is not there is noted all the same.
    deleted: Vec<(Vec<u8>, Option<Keyspace>)>,
    /// Newest record with it.
    upto: Position,
    /// Epochs that ended before that.
    ended: Vec<Position>,
}

impl Change {
    pub(crate) fn insert(&mut self, at: &Keyspace, key: impl Into<UserKey>, value: impl Into<UserValue>) {
        let (key, value) = (key.into(), value.into());
        if let Some(recorder) = &mut self.recorder {
            recorder.insert((at.id(), at.name()), &key, &value);
        }
        self.batch.insert(at, key, value);
    }

    pub(crate) fn remove(&mut self, at: &Keyspace, key: impl Into<UserKey>) {
        let key = key.into();
        if let Some(recorder) = &mut self.recorder {
            recorder.remove((at.id(), at.name()), &key);
        }
        self.batch.remove(at, key);
    }

    /// Deletes a keyspace with all that is in it. Nothing is inserted into it before or after.
    pub(crate) fn delete(&mut self, keyspace: Keyspace) {
        if let Some(recorder) = &mut self.recorder {
            recorder.delete(keyspace.name());
        }
        self.deleted.push((note(keyspace.name()), Some(keyspace)));
    }

    /// The same of a keyspace that is in the other store and was never made in this.
    pub(crate) fn delete_nothing(&mut self, name: &str) {
        self.deleted.push((note(name), None));
    }

    /// These are in the frames of the log that it holds.
    pub(crate) fn records(&mut self, records: &[Arc<Record>]) {
        for record in records {
            let position = record.position;
            if position.epoch != self.upto.epoch && self.upto != Position::ZERO {
                self.ended.push(self.upto);
            }
            self.upto = position;
        }
    }

    pub(crate) fn deletes(&self) -> bool {
        !self.deleted.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.deleted.is_empty()
    }
}

/// The row of changes of one store, and its end.
pub(crate) struct Trail {
    db: Database,
    meta: Keyspace,
    place: Place,
    hash: RunningHash,
    /// Deleted keyspaces whose notes the next change takes away.
    noted: Vec<Vec<u8>>,
    mirror: Option<Box<dyn Mirror>>,
}

impl Trail {
    /// Finds the end of the row, and deletes what is noted as deleted.
    pub(crate) fn load(db: &Database, meta: &Keyspace) -> Result<Trail, StoreError> {
        let mut noted = Vec::new();
        for guard in meta.prefix(DELETED) {
            let key = guard.key()?;
            let name = std::str::from_utf8(&key[DELETED.len()..])
                .map_err(|_| StoreError::Damaged("the note of a deletion".into()))?;
            if db.keyspace_exists(name) {
                db.delete_keyspace(db.keyspace(name, keyspace_options)?)?;
            }
            noted.push(key.to_vec());
        }
        let stored = meta.get(PLACE)?.map(|bytes| read_end(&bytes)).transpose()?;
        let (place, hash) = stored.unwrap_or_default();
        let mut trail = Trail { db: db.clone(), meta: meta.clone(), place, hash, noted, mirror: None };
        // The size of segments does not matter here.
        let upto = Segments::open(db, "log", 0)?.upto().position;
        if upto != trail.place.position {
            // A gwp that knew no places has written: from here on they count.
            trail.place = Place::log(upto);
            trail.hash = trail.seed()?;
        }
        Ok(trail)
    }

    /// A hash that a store of another origin does not have.
    fn seed(&self) -> Result<RunningHash, StoreError> {
        let mut hash = self.hash;
        for key in ["incarnation", "running_hash"] {
            if let Some(value) = self.meta.get(key)? {
                hash = hash.then(xxhash_rust::xxh3::xxh3_64(&value));
            }
        }
        Ok(hash)
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn hash(&self) -> RunningHash {
        self.hash
    }

    /// Last position of each epoch in the log.
    pub(crate) fn history(&self) -> Result<History, StoreError> {
        let now = Some(self.place.position).filter(|position| *position > Position::ZERO);
        Ok(History::of(self.ends()?.into_iter().chain(now)))
    }

    fn ends(&self) -> Result<Vec<Position>, StoreError> {
        let bytes = self.meta.get(ENDS)?.unwrap_or_default();
        Ok(bytes.chunks_exact(12).filter_map(Position::from_bytes).collect())
    }

    pub(crate) fn set_mirror(&mut self, mirror: Option<Box<dyn Mirror>>) {
        self.mirror = mirror;
    }

    pub(crate) fn begin(&self) -> Change {
        Change { recorder: Some(Recorder::new(self.mirror.is_some())), ..self.begin_copied() }
    }

    /// A change that is not the own: it is not taken down.
    pub(crate) fn begin_copied(&self) -> Change {
        let batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let upto = self.place.position;
        Change { batch, recorder: None, deleted: Vec::new(), upto, ended: Vec::new() }
    }

    /// Makes a change durable at the next place; one of nothing costs nothing.
    ///
    /// # Errors
    /// The disk refused: nothing of the store may be believed until it is opened anew.
    pub(crate) fn commit(&mut self, mut change: Change) -> Result<(), StoreError> {
        if change.is_empty() {
            return Ok(());
        }
        if !change.ended.is_empty() {
            let mut ends = self.ends()?;
            ends.append(&mut change.ended);
            // The newest epoch is the place's own.
            let kept = &ends[(ends.len() + 1).saturating_sub(EPOCHS_KEPT)..];
            change.insert(&self.meta, ENDS, kept.iter().flat_map(|end| end.to_bytes()).collect::<Vec<u8>>());
        }
        let place = match change.upto > self.place.position {
            true => Place::log(change.upto),
            false => self.place.derived(),
        };
        let recorder = change.recorder.take().unwrap_or_else(|| Recorder::new(false));
        let (checksum, bytes, frame) = recorder.finish(FrameKind::Change, 0, place);
        let hash = self.hash.then(checksum);
        if let Some(mirror) = &mut self.mirror {
            let head = Head { before: self.place, hash_before: self.hash, place, hash, bytes };
            mirror.made(&head, frame);
        }
        self.commit_copied(change, place, hash)?;
        if let Some(mirror) = &mut self.mirror {
            mirror.durable(place);
        }
        Ok(())
    }

    /// Makes the changes up to a place durable.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn commit_copied(
        &mut self,
        mut change: Change,
        place: Place,
        hash: RunningHash,
    ) -> Result<(), StoreError> {
        for note in self.noted.drain(..) {
            change.batch.remove(&self.meta, note);
        }
        for (note, _) in &change.deleted {
            change.batch.insert(&self.meta, note.as_slice(), [1]);
        }
        let end = [place_bytes(place).as_slice(), &hash.0.to_be_bytes()].concat();
        change.batch.insert(&self.meta, PLACE, end);
        change.batch.commit().map_err(StoreError::Poisoned)?;
        (self.place, self.hash) = (place, hash);
        for (note, keyspace) in change.deleted {
            self.noted.push(note);
            keyspace.map_or(Ok(()), |keyspace| self.db.delete_keyspace(keyspace))?;
        }
        Ok(())
    }

    /// Makes a piece of an unfinished copy durable; it has no place yet.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn commit_unfinished(&mut self, mut change: Change) -> Result<(), StoreError> {
        (self.place, self.hash) = (Place::ZERO, RunningHash::EMPTY);
        self.noted.clear();
        change.batch.remove(&self.meta, PLACE);
        change.batch.commit().map_err(StoreError::Poisoned)?;
        let mut deleted = change.deleted.into_iter().filter_map(|(_, keyspace)| keyspace);
        Ok(deleted.try_for_each(|keyspace| self.db.delete_keyspace(keyspace))?)
    }
}

fn note(keyspace: &str) -> Vec<u8> {
    [DELETED, keyspace].concat().into_bytes()
}

fn read_end(bytes: &[u8]) -> Result<(Place, RunningHash), StoreError> {
    let place = read_place(bytes).filter(|_| bytes.len() == 24);
    let hash = bytes.last_chunk().map(|hash| RunningHash(u64::from_be_bytes(*hash)));
    place.zip(hash).ok_or_else(|| StoreError::Damaged("the place of the last change".into()))
}

/// A frame that cannot be applied.
pub(crate) fn damaged(error: &DecodeError) -> StoreError {
    StoreError::Damaged(error.to_string())
}
