//! The console's files in the data directory: one process at a time may change them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Who holds the lock on this file may change users and the audit log.
const LOCK: &str = "console.lock";

/// Why the console's files cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("the data directory {0} is in use by another gwp")]
    Taken(PathBuf),
    #[error("{0} cannot be used")]
    Io(PathBuf, #[source] io::Error),
}

/// The right to change the console's files of a data directory, until it is dropped.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    _lock: fs::File,
}

impl Home {
    /// Takes the right; the directory is made if there is none.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be used.
    pub fn open(data: &Path) -> Result<Home, HomeError> {
        let failed = |error| HomeError::Io(data.into(), error);
        fs::create_dir_all(data).map_err(failed)?;
        let lock =
            private().write(true).create(true).truncate(false).open(data.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Home { folder: data.into(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(HomeError::Taken(data.into())),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Options of a file that only this user may read.
pub(crate) fn private() -> fs::OpenOptions {
    #[allow(unused_mut)]
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Replaces a file as a whole, on disk before this returns; only this user may read it.
///
/// # Errors
/// It cannot be written; the file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let _ = fs::remove_file(&fresh);
    let mut file = private().write(true).create_new(true).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(path)
}

/// Makes names in the folder of a file durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(folder) => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_right_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("deep/data")).unwrap();
        assert!(matches!(Home::open(home.folder()), Err(HomeError::Taken(_))));
        let data = home.folder().to_owned();
        drop(home);
        Home::open(&data).unwrap();
    }
}
