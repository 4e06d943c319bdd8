//! Stores that are set aside: what only a returning node has, until the active has taken it over.
//!
//! ```text
//! store  --set_aside--> store.aside-1  --read, handed over--> delete_aside
//! ```
//! The whole folder is renamed, so it is all there or not at all, and is read like any store.

use crate::limits::ASIDE_MAX;
use crate::store::{FOLDER, Opened, Store, StoreError, StoreOptions};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "store.aside-";

/// On its way to be deleted: nothing of it counts any more.
const GONE: &str = "store.gone";

/// Why a store cannot be set aside or deleted.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    #[error("the data directory {path} cannot be used")]
    Directory { path: PathBuf, source: io::Error },
    #[error("the data directory {path} is in use by another gwp")]
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
/// The file system refused.
pub fn delete_aside(dir: &Path, number: u32) -> Result<(), AsideError> {
    let usable = |source| AsideError::Directory { path: dir.into(), source };
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
