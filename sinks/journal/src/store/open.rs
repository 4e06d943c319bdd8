//! Opening a store's folder.

use super::{Opened, Store, StoreError, StoreOptions};
use crate::limits::{CACHE_BYTES, WRITE_AHEAD_BYTES};
use crate::salvage::{self, Salvaged};
use fjall::Database;
use std::path::Path;

/// Folder of the store in the data directory.
pub(crate) const FOLDER: &str = "store";

impl Store {
    /// Opens or creates the store in `dir`, mending a torn last batch.
    ///
    /// # Errors
    /// The directory cannot be used, another process holds it, or its data is of
    /// another layout, damaged beyond the last batch, or a copy that is not finished.
    pub fn open(dir: &Path) -> Result<Opened, StoreError> {
        Store::open_with(dir, StoreOptions::default())
    }

    /// [`Store::open`] with other sizes.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(dir: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
        Store::open_in(dir, FOLDER, options)
    }

    pub(crate) fn open_in(dir: &Path, folder: &str, options: StoreOptions) -> Result<Opened, StoreError> {
        let (db, salvaged) = open_folder(dir, folder)?;
        let store = Store::load(db, options)?;
        Ok(Opened { store, salvaged })
    }
}

/// Opens or creates the database in a folder of `dir`, mending a torn last batch.
pub(crate) fn open_folder(dir: &Path, folder: &str) -> Result<(Database, Option<Salvaged>), StoreError> {
    let usable = |source| StoreError::Directory { path: dir.into(), source };
    std::fs::create_dir_all(dir).map_err(usable)?;
    let path = dir.join(folder);
    let salvaged = salvage::cut_torn_batch(&path).map_err(usable)?;
    if let Some(salvaged) = &salvaged {
        report_salvage(salvaged);
    }
    let db = open_database(&path).map_err(|error| open_error(error, dir))?;
    Ok((db, salvaged))
}

fn open_database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(WRITE_AHEAD_BYTES)
        .worker_threads(1)
        .open()
}

fn report_salvage(salvaged: &Salvaged) {
    let (file, kept_as) = (salvaged.file.display(), salvaged.kept_as.display());
    if salvaged.batches_cut > 0 {
        tracing::error!(%file, %kept_as, batches_cut = salvaged.batches_cut, "the disk has damaged what was stored; everything after the damage was cut off");
    } else {
        tracing::warn!(%file, %kept_as, "the store's last batch was torn and is cut off; nothing acknowledged was in it");
    }
}

fn open_error(error: fjall::Error, dir: &Path) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Locked { path: dir.into() },
        fjall::Error::Io(source) => StoreError::Directory { path: dir.into(), source },
        error => StoreError::Database(error),
    }
}
