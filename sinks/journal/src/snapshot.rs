//! All of a store at one place, in pieces, while its writer goes on.
//!
//! ```text
//! Store::set_mirror  ->  frames after p0 are kept by the shell
//! Store::snapshot    ->  Snapshot at p1 >= p0: piece 0, 1, ... n-1  ->  Replica::piece
//!                        then the frames after p1                   ->  Replica::apply
//! ```
//! What it reads stays on disk until it is dropped: segments trimmed meanwhile and old versions
//! in `meta`. So does the lock of the store.

use crate::change::wire::{FrameKind, Recorder};
use crate::change::{Mirror, Standing};
use crate::limits::{CHANGE_BYTES_MAX, PIECE_BYTES};
use crate::store::{Store, StoreError};
use fjall::{Keyspace, Readable};
use gwp_redundancy::mirror::{Place, RunningHash};
use std::ops::Bound;
use std::sync::Arc;

impl Store {
    /// Where this store stands.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn standing(&self) -> Result<Standing, StoreError> {
        Ok(Standing {
            place: self.trail.place(),
            hash: self.trail.hash(),
            history: self.trail.history()?,
            incarnation: self.incarnation(),
        })
    }

    /// Tells every change from now on to a mirror, in order and without a gap; `None` ends it.
    pub fn set_mirror(&mut self, mirror: Option<Box<dyn Mirror>>) {
        self.trail.set_mirror(mirror);
    }

    /// All of the store as it is now.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            keyspaces: self.db.list_keyspace_names().iter().try_fold(Vec::new(), |mut all, name| {
                all.push(self.db.keyspace(name, crate::segments::keyspace_options)?);
                Ok::<_, fjall::Error>(all)
            })?,
            snapshot: self.db.snapshot(),
            place: self.trail.place(),
            hash: self.trail.hash(),
            after: None,
            given: 0,
            piece_bytes: PIECE_BYTES,
        })
    }
}

/// All of a store at one place.
pub struct Snapshot {
    snapshot: fjall::Snapshot,
    /// Not read to the end yet; the last of them is being read.
    keyspaces: Vec<Keyspace>,
    /// Key that was read last.
    after: Option<fjall::UserKey>,
    place: Place,
    hash: RunningHash,
    given: u32,
    piece_bytes: usize,
}

impl Snapshot {
    /// The same in pieces of another size; tests make them small to see many.
    pub fn with_piece_bytes(self, piece_bytes: usize) -> Snapshot {
        Snapshot { piece_bytes, ..self }
    }

    /// Where the store stood.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Running hash up to there.
    pub fn hash(&self) -> RunningHash {
        self.hash
    }

    /// Pieces given so far: once there are no more, what [`Replica::end_full`](crate::Replica::end_full) wants.
    pub fn pieces(&self) -> u32 {
        self.given
    }

    /// The next piece: about [`PIECE_BYTES`], or one larger entry.
    ///
    /// # Errors
    /// The disk cannot be read, or an entry is larger than can be copied.
    pub fn next_piece(&mut self) -> Result<Option<Arc<[u8]>>, StoreError> {
        let mut piece = Recorder::new(true);
        while let Some(keyspace) = self.keyspaces.last() {
            let start = self.after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&**key));
            let mut whole = true;
            let mut last = None;
            for guard in self.snapshot.range::<&[u8], _>(keyspace, (start, Bound::Unbounded)) {
                let (key, value) = guard.into_inner()?;
                piece.insert((keyspace.id(), keyspace.name()), &key, &value);
                last = Some(key);
                if piece.body_bytes() >= self.piece_bytes {
                    whole = false;
                    break;
                }
            }
            if !whole {
                self.after = last;
                return self.give(piece).map(Some);
            }
            self.after = None;
            self.keyspaces.pop();
        }
        match piece.body_bytes() {
            0 => Ok(None),
            _ => self.give(piece).map(Some),
        }
    }

    fn give(&mut self, piece: Recorder) -> Result<Arc<[u8]>, StoreError> {
        let (_, _, frame) = piece.finish(FrameKind::Piece, self.given, self.place);
        self.given += 1;
        let large = || StoreError::Damaged(format!("an entry of more than {CHANGE_BYTES_MAX} bytes"));
        frame.ok_or_else(large)
    }
}

impl Iterator for Snapshot {
    type Item = Result<Arc<[u8]>, StoreError>;

    /// [`Snapshot::next_piece`].
    fn next(&mut self) -> Option<Self::Item> {
        self.next_piece().transpose()
    }
}
