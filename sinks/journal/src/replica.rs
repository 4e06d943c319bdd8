//! A copy of the other node's store, change by change.
//!
//! ```text
//!                begin_full          end_full
//! empty, behind ------------> filling ------> whole at a place --apply--> whole at the next
//!      ^                         |
//!      +---- opened again <------+  piece
//! ```
//! It stands in the folder in which [`Store::open`] looks: a takeover is to drop it and open the
//! store. While it fills, `meta/filling` says so in the same batches, and there is no place in
//! it: neither this nor `Store::open` takes half a copy for a whole one.

use crate::change::wire::{FrameKind, Op, open_change, open_frame};
use crate::change::{Change, Standing, Trail, damaged};
use crate::ledger::Ledger;
use crate::limits::GROUP_BYTES;
use crate::reader::{LogReader, PlanReader};
use crate::segments::{Segments, keyspace_options};
use crate::store::{FILLING, FOLDER, FORMAT, Opened, Store, StoreError, StoreOptions, fixed, open_folder};
use fjall::{Database, Keyspace};
use gwp_redundancy::mirror::{Head, Place, RunningHash, StandbySide, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The copy of a store on the standby. Not shared: one thread owns it.
pub struct Replica {
    dir: PathBuf,
    db: Database,
    meta: Keyspace,
    trail: Trail,
    state: State,
}

enum State {
    /// Nothing in it, or half a copy.
    Empty,
    Filling {
        place: Place,
        hash: RunningHash,
        pieces: u32,
    },
    Whole(StandbySide),
    /// The disk refused: opened anew it goes on.
    Failed,
}

/// What is to be applied at once.
struct Group {
    change: Change,
    bytes: usize,
    place: Place,
    hash: RunningHash,
}

impl Replica {
    /// Opens the copy in `dir`, or an empty one. It can be what was a store of this node.
    ///
    /// # Errors
    /// The directory cannot be used, another process holds it, or its data is of
    /// another layout or damaged beyond the last batch.
    pub fn open(dir: &Path) -> Result<Replica, StoreError> {
        let (db, _) = open_folder(dir, FOLDER)?;
        let meta = db.keyspace("meta", keyspace_options)?;
        let trail = Trail::load(&db, &meta)?;
        let whole = is_whole(&meta)?;
        let state = match whole {
            true => {
                make_ledger(&db)?;
                State::Whole(StandbySide::new(trail.place(), trail.hash()))
            }
            false => State::Empty,
        };
        Ok(Replica { dir: dir.into(), db, meta, trail, state })
    }

    /// Where the copy stands, durably; none while it is empty or was not finished.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn standing(&self) -> Result<Option<Standing>, StoreError> {
        let State::Whole(side) = &self.state else { return Ok(None) };
        let incarnation = fixed(&self.meta, "incarnation")?;
        Ok(Some(Standing {
            place: side.durable(),
            hash: side.hash(),
            history: self.trail.history()?,
            incarnation: incarnation.ok_or_else(|| StoreError::Damaged("no incarnation".into()))?,
        }))
    }

    /// The newest epoch that was begun or logged in it; 0 in an empty one.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn last_epoch(&self) -> Result<u32, StoreError> {
        let begun = fixed(&self.meta, "epoch")?.map_or(0, u32::from_be_bytes);
        Ok(begun.max(self.trail.place().position.epoch))
    }

    pub(crate) fn meta(&self) -> &Keyspace {
        &self.meta
    }

    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    /// The place alone.
    pub fn place(&self) -> Option<Place> {
        match &self.state {
            State::Whole(side) => Some(side.durable()),
            _ => None,
        }
    }

    /// Reads the log of the copy as it is now.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn log_reader(&self) -> Result<LogReader, StoreError> {
        // The size of segments does not matter to who reads them.
        Ok(LogReader::new(Segments::open(&self.db, "log", 0)?.shared()))
    }

    /// Reads the plans that number its log.
    pub fn plan_reader(&self) -> PlanReader {
        PlanReader::new(self.meta.clone())
    }

    /// Applies one change, durably. Any verdict but [`Verdict::Append`] has changed nothing.
    ///
    /// # Errors
    /// The frame is damaged (nothing has changed), or the disk refused: then the copy must be
    /// dropped and opened anew.
    pub fn apply(&mut self, head: &Head, frame: &[u8]) -> Result<Verdict, StoreError> {
        self.apply_many([(head, frame)])
    }

    /// Applies changes in order, as few times synced as can be, up to the first that does not
    /// follow; gives its verdict, or that of the last. What came before it is durable.
    ///
    /// # Errors
    /// The same; of the changes before a damaged frame all are applied.
    pub fn apply_many<'a>(
        &mut self,
        frames: impl IntoIterator<Item = (&'a Head, &'a [u8])>,
    ) -> Result<Verdict, StoreError> {
        let mut side = match self.state {
            State::Whole(side) => side,
            State::Failed => return Err(StoreError::Poisoned(fjall::Error::Poisoned)),
            State::Empty | State::Filling { .. } => return Ok(Verdict::Gap { after: Place::ZERO }),
        };
        // Believed again only when all of it is durable.
        self.state = State::Failed;
        let mut group: Option<Group> = None;
        let mut result = Ok(Verdict::Have);
        for (head, bytes) in frames {
            let frame = match open_change(head, bytes) {
                Ok(frame) => frame,
                Err(error) => {
                    result = Err(damaged(&error));
                    break;
                }
            };
            let verdict = side.accept(head);
            result = Ok(verdict);
            match verdict {
                Verdict::Have => continue,
                Verdict::Append => {}
                Verdict::Gap { .. } | Verdict::Diverged => break,
            }
            let mut next = group.take().unwrap_or_else(|| self.group());
            self.put(&mut next.change, frame.ops())?;
            next.bytes += bytes.len();
            (next.place, next.hash) = (head.place, head.hash);
            // Keyspaces are deleted before the next change, there as here.
            match next.change.deletes() || next.bytes >= GROUP_BYTES {
                true => self.make_durable(&mut side, next)?,
                false => group = Some(next),
            }
        }
        if let Some(last) = group {
            self.make_durable(&mut side, last)?;
        }
        self.state = State::Whole(side);
        result
    }

    fn group(&self) -> Group {
        let (place, hash) = (self.trail.place(), self.trail.hash());
        Group { change: self.trail.begin_copied(), bytes: 0, place, hash }
    }

    fn make_durable(&mut self, side: &mut StandbySide, group: Group) -> Result<(), StoreError> {
        self.trail.commit_copied(group.change, group.place, group.hash)?;
        side.persisted(group.place);
        Ok(())
    }

    fn put<'a>(&self, change: &mut Change, ops: impl Iterator<Item = Op<'a>>) -> Result<(), StoreError> {
        let mut opened: BTreeMap<&str, Keyspace> = BTreeMap::new();
        for op in ops {
            let (Op::Insert { keyspace: name, .. }
            | Op::Remove { keyspace: name, .. }
            | Op::Delete { keyspace: name }) = op;
            // What is not there need not be made to be deleted.
            if matches!(op, Op::Delete { .. }) && !self.db.keyspace_exists(name) {
                change.delete_nothing(name);
                continue;
            }
            if !opened.contains_key(name) {
                opened.insert(name, self.db.keyspace(name, keyspace_options)?);
            }
            let Some(keyspace) = opened.get(name) else { continue };
            match op {
                Op::Insert { key, value, .. } => change.insert(keyspace, key, value),
                Op::Remove { key, .. } => change.remove(keyspace, key),
                Op::Delete { .. } => change.delete(keyspace.clone()),
            }
        }
        Ok(())
    }

    /// Empties the copy and begins a full one, of a [`Snapshot`](crate::Snapshot) at this place.
    ///
    /// # Errors
    /// The disk refused: then the copy must be dropped and opened anew. It is empty.
    pub fn begin_full(&mut self, place: Place, hash: RunningHash) -> Result<(), StoreError> {
        self.state = State::Failed;
        // Known as unfinished before anything goes.
        let mut change = self.trail.begin_copied();
        change.insert(&self.meta, FILLING, [1]);
        self.trail.commit_unfinished(change)?;
        let mut change = self.trail.begin_copied();
        for name in self.db.list_keyspace_names().iter().filter(|name| &***name != "meta") {
            change.delete(self.db.keyspace(name, keyspace_options)?);
        }
        for guard in self.meta.iter() {
            let key = guard.key()?;
            if &*key != FILLING.as_bytes() {
                change.remove(&self.meta, key);
            }
        }
        self.trail.commit_unfinished(change)?;
        self.state = State::Filling { place, hash, pieces: 0 };
        Ok(())
    }

    fn filling(&self) -> Result<(Place, RunningHash, u32), StoreError> {
        match self.state {
            State::Filling { place, hash, pieces } => Ok((place, hash, pieces)),
            State::Failed => Err(StoreError::Poisoned(fjall::Error::Poisoned)),
            _ => Err(StoreError::Damaged("a piece of a copy that was not begun".into())),
        }
    }

    /// Takes the next piece, durably.
    ///
    /// # Errors
    /// It is damaged or not the next of this copy (nothing has changed), or the disk refused:
    /// then the copy must be dropped, opened and begun anew.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (place, hash, pieces) = self.filling()?;
        let frame = open_frame(bytes).map_err(|error| damaged(&error))?;
        let only_inserts = frame.ops().all(|op| matches!(op, Op::Insert { .. }));
        if frame.kind != FrameKind::Piece || frame.place != place || frame.number != pieces || !only_inserts {
            return Err(StoreError::Damaged(format!(
                "piece {} instead of {pieces} of {place}",
                frame.number
            )));
        }
        self.state = State::Failed;
        let mut change = self.trail.begin_copied();
        self.put(&mut change, frame.ops())?;
        self.trail.commit_unfinished(change)?;
        self.state = State::Filling { place, hash, pieces: pieces + 1 };
        Ok(())
    }

    /// All pieces are here: from now on it is a whole copy and follows by [`Replica::apply`].
    ///
    /// # Errors
    /// They are not, or are no store that this program knows, or the disk refused: the copy is to
    /// be begun again.
    pub fn end_full(&mut self, pieces: u32) -> Result<(), StoreError> {
        let (place, hash, here) = self.filling()?;
        if pieces != here {
            return Err(StoreError::Damaged(format!("{here} pieces of {pieces}")));
        }
        let format: Option<[u8; 1]> = fixed(&self.meta, "format")?;
        let incarnation: Option<[u8; 16]> = fixed(&self.meta, "incarnation")?;
        if format != Some([FORMAT]) {
            return Err(StoreError::Format { found: format.map_or(0, |[found]| found) });
        }
        let log = Segments::open(&self.db, "log", 0)?.upto().position;
        if incarnation.is_none() || log != place.position {
            return Err(StoreError::Damaged(format!("a copy of {place} whose log ends at {log}")));
        }
        self.state = State::Failed;
        make_ledger(&self.db)?;
        let mut change = self.trail.begin_copied();
        change.remove(&self.meta, FILLING);
        self.trail.commit_copied(change, place, hash)?;
        self.trail = Trail::load(&self.db, &self.meta)?;
        self.state = State::Whole(StandbySide::new(place, hash));
        Ok(())
    }

    /// The copy as the store of this node: a takeover.
    ///
    /// # Errors
    /// As of [`Store::open`].
    pub fn into_store(self, options: StoreOptions) -> Result<Opened, StoreError> {
        // The database stays open: to read again what was just written takes its time.
        match self.state {
            State::Failed => {
                let dir = self.dir.clone();
                drop(self);
                Store::open_with(&dir, options)
            }
            _ => Ok(Opened { store: Store::load(self.db, options)?, salvaged: None }),
        }
    }
}

/// A store has a ledger, and a copy of one without a gap has none: to make a keyspace takes a dozen syncs, which a
/// takeover should not wait for.
fn make_ledger(db: &Database) -> Result<(), StoreError> {
    Ledger::open(db)?;
    Ok(())
}

fn is_whole(meta: &Keyspace) -> Result<bool, StoreError> {
    if meta.contains_key(FILLING)? {
        return Ok(false);
    }
    match fixed(meta, "format")? {
        None => Ok(false),
        Some([FORMAT]) => Ok(true),
        Some([found]) => Err(StoreError::Format { found }),
    }
}

#[cfg(test)]
mod link;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
