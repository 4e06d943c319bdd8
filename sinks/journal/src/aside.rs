//! Stores that are set aside: what only a returning node has, until the active has taken it over.
//!
//! ```text
//! store  --set_aside--> store.aside-1  --read, handed over--> delete_aside
//! ```
//! The whole folder is renamed, so it is all there or not at all, and is read like any store. How far it is handed
//! over, and why it stays, is noted in its own `meta`, beside the row of its changes: it is nobody's copy any more.

use crate::limits::ASIDE_MAX;
use crate::replica::Replica;
use crate::store::{FOLDER, Opened, Store, StoreError, StoreOptions, fixed};
use fjall::{Database, Keyspace, PersistMode};
use gwp_core::{PlanId, Position};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "store.aside-";

/// On its way to be deleted: nothing of it counts any more.
const GONE: &str = "store.gone";

/// Key in `meta`: what is above this position only this store has.
const ABOVE: &str = "above";
/// Prefix of keys in `meta`, with a plan: all records of the plan up to this position are handed over.
const HANDED: &str = "h/";
/// Key in `meta`: why it is not handed over, for people.
const STAYS: &str = "stays";

/// Why a store cannot be set aside or deleted.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    #[error("the data directory {path} cannot be used")]
    Directory { path: PathBuf, source: io::Error },
    #[error("{path} is in use by a gwp")]
    Locked { path: PathBuf },
    #[error("{ASIDE_MAX} stores are set aside in {path} already: they must be handed over or deleted first")]
    TooMany { path: PathBuf },
}

/// Sets the store in `dir` aside, durably; the number it has from now on. `None` when there is
/// no store. It must not be open.
///
/// # Errors
/// It is open, too many are set aside, or the file system refused.
pub fn set_aside(dir: &Path) -> Result<Option<u32>, AsideError> {
    let usable = |source| AsideError::Directory { path: dir.into(), source };
    let store = dir.join(FOLDER);
    if !store.try_exists().map_err(usable)? {
        return Ok(None);
    }
    let known = asides(dir)?;
    if known.len() >= ASIDE_MAX {
        return Err(AsideError::TooMany { path: dir.into() });
    }
    if is_open(&store).map_err(usable)? {
        return Err(AsideError::Locked { path: dir.into() });
    }
    let number = known.last().map_or(1, |last| last + 1);
    fs::rename(&store, dir.join(folder(number))).map_err(usable)?;
    sync_dir(dir).map_err(usable)?;
    Ok(Some(number))
}

/// Numbers of the stores that are set aside in `dir`, oldest first.
///
/// # Errors
/// The file system refused.
pub fn asides(dir: &Path) -> Result<Vec<u32>, AsideError> {
    let usable = |source| AsideError::Directory { path: dir.into(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(usable)? {
        let name = entry.map_err(usable)?.file_name();
        let number: Option<u32> = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Deletes a store that was set aside. After a crash in the middle it is gone all the same, or
/// whole; one that is not there is gone already.
///
/// # Errors
/// It is open, or the file system refused.
pub fn delete_aside(dir: &Path, number: u32) -> Result<(), AsideError> {
    let usable = |source| AsideError::Directory { path: dir.into(), source };
    if is_open(&dir.join(folder(number))).map_err(usable)? {
        return Err(AsideError::Locked { path: dir.join(folder(number)) });
    }
    let gone = dir.join(GONE);
    let delete_rest = || match fs::remove_dir_all(&gone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    delete_rest().map_err(usable)?;
    match fs::rename(dir.join(folder(number)), &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(usable)?,
    }
    sync_dir(dir).and_then(|()| delete_rest()).map_err(usable)
}

impl Store {
    /// Opens a store that was set aside, to be read.
    ///
    /// # Errors
    /// As of [`Store::open`]; it is not there.
    pub fn open_aside(dir: &Path, number: u32, options: StoreOptions) -> Result<Opened, StoreError> {
        let folder = folder(number);
        if !dir.join(&folder).exists() {
            let source = io::ErrorKind::NotFound.into();
            return Err(StoreError::Directory { path: dir.join(folder), source });
        }
        Store::open_in(dir, &folder, options)
    }

    /// Of a store that was set aside: above this position it has what its peer has not. `None` if it was not noted.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn set_aside_above(&self) -> Result<Option<Position>, StoreError> {
        let kept: Option<[u8; 12]> = fixed(&self.meta, ABOVE)?;
        Ok(kept.and_then(|bytes| Position::from_bytes(&bytes)))
    }

    /// By plan: all records under it up to there are handed over.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn handed_over(&self) -> Result<BTreeMap<PlanId, Position>, StoreError> {
        let mut plans = BTreeMap::new();
        for guard in self.meta.prefix(HANDED) {
            let (key, upto) = guard.into_inner()?;
            if let (Some(plan), Some(upto)) = (key.last_chunk(), Position::from_bytes(&upto)) {
                plans.insert(PlanId(*plan), upto);
            }
        }
        Ok(plans)
    }

    /// Notes that, durably.
    ///
    /// # Errors
    /// The disk refused.
    pub fn note_handed_over(&self, plan: PlanId, upto: Position) -> Result<(), StoreError> {
        note(&self.db, &self.meta, &[HANDED.as_bytes(), &plan.0].concat(), &upto.to_bytes())
    }

    /// Why it is not handed over, as it was noted last.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn stays(&self) -> Result<Option<String>, StoreError> {
        let why = self.meta.get(STAYS)?.filter(|why| !why.is_empty());
        Ok(why.map(|why| String::from_utf8_lossy(&why).into_owned()))
    }

    /// Notes why it is not handed over; `None` when it is.
    ///
    /// # Errors
    /// The disk refused.
    pub fn note_stays(&self, why: Option<&str>) -> Result<(), StoreError> {
        note(&self.db, &self.meta, STAYS.as_bytes(), why.unwrap_or("").as_bytes())
    }

    /// Records after one position up to another, by the last position of each epoch.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn records_between(&self, after: Position, upto: Position) -> Result<u64, StoreError> {
        let history = self.trail.history()?;
        let ends = history.ends().iter().filter(|end| end.epoch >= after.epoch && end.epoch <= upto.epoch);
        let of_epoch = |end: &Position| {
            let from = if end.epoch == after.epoch { after.seq } else { 0 };
            (*end).min(upto).seq.saturating_sub(from)
        };
        Ok(ends.map(of_epoch).sum())
    }
}

impl Replica {
    /// Notes, durably, that it is to be set aside, as what it has above this position its peer has not. Done anew it
    /// counts anew.
    ///
    /// # Errors
    /// The disk refused.
    pub fn note_above(&self, above: Position) -> Result<(), StoreError> {
        note(self.database(), self.meta(), ABOVE.as_bytes(), &above.to_bytes())
    }
}

fn note(db: &Database, meta: &Keyspace, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    meta.insert(key, value)?;
    Ok(db.persist(PersistMode::SyncData)?)
}

fn folder(number: u32) -> String {
    format!("{PREFIX}{number}")
}

/// Whether a process, or this one, has it open.
fn is_open(store: &Path) -> io::Result<bool> {
    let lock = match OpenOptions::new().read(true).write(true).open(store.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        lock => lock?,
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
        // Closing it gives the lock back, too, whatever this says.
        Ok(()) => lock.unlock().or(Ok(())).map(|()| false),
    }
}

/// Makes a rename durable. Only unix can; elsewhere the file system does it in its own time.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
