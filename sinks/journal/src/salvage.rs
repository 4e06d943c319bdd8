//! Salvage of a torn last batch.
//!
//! A power cut with reordered write-back can leave a hole inside the newest,
//! unacknowledged batch of fjall's write-ahead journal; fjall then refuses to
//! open. The cure is to cut the newest journal file back to its last batch whose
//! checksum holds. Everything that was ever acknowledged stands before it.
//!
//! Format read here: fjall 3 (`FJL3`), file `<n>.jnl`, integers little-endian:
//! ```text
//! start: 1, items u32, seqno u64        item: 2, type u8, compression u8, keyspace u64,
//! end:   3, xxh3 of items u64, "FJL3"         key len u16, value len u32, stored len u32, key, value
//! clear: 4, keyspace u64
//! ```

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

const END_MAGIC: [u8; 4] = [b'F', b'J', b'L', 3];

/// What was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Salvaged {
    /// The file that was cut.
    pub file: PathBuf,
    /// A copy of it as it was found.
    pub kept_as: PathBuf,
    /// Whole batches that remain in it, and bytes.
    pub batches: u64,
    pub bytes: u64,
}

/// Cuts the newest write-ahead file below `store` back to its last whole batch.
///
/// # Errors
/// The file system refused, or there is no such file.
pub fn cut_torn_batch(store: &Path) -> io::Result<Salvaged> {
    let (_, file) = newest_journal(store)?;
    let bytes = fs::read(&file)?;
    let (whole, batches) = whole_batches(&bytes);
    let kept_as = file.with_extension("torn");
    // Outside the store's own folder: fjall refuses files it does not know there.
    let kept_as = store.with_file_name(kept_as.file_name().unwrap_or_default());
    fs::copy(&file, &kept_as)?;
    let handle = OpenOptions::new().write(true).open(&file)?;
    handle.set_len(whole)?;
    handle.sync_all()?;
    Ok(Salvaged { file, kept_as, batches, bytes: whole })
}

fn newest_journal(store: &Path) -> io::Result<(u64, PathBuf)> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let number = path
            .extension()
            .filter(|extension| *extension == "jnl")
            .and_then(|_| path.file_stem()?.to_str()?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(known, _)| number > *known)
        {
            newest = Some((number, path));
        }
    }
    newest.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the store has no write-ahead journal"))
}

/// Length of the run of whole batches at the start of `bytes`, and their number.
fn whole_batches(bytes: &[u8]) -> (u64, u64) {
    let mut at = 0;
    let mut batches = 0;
    while let Some(end) = batch_end(bytes, at) {
        at = end;
        batches += 1;
    }
    (at as u64, batches)
}

/// End of the batch that starts at `at`, if it is whole.
fn batch_end(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != 1 {
        return None;
    }
    let items = u32::from_le_bytes(bytes.get(at + 1..at + 5)?.try_into().ok()?);
    let mut at = at + 13;
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for _ in 0..items {
        let len = match *bytes.get(at)? {
            2 => {
                let key = u16::from_le_bytes(bytes.get(at + 11..at + 13)?.try_into().ok()?) as usize;
                let stored = u32::from_le_bytes(bytes.get(at + 17..at + 21)?.try_into().ok()?) as usize;
                21 + key + stored
            }
            4 => 9,
            _ => return None,
        };
        hasher.update(bytes.get(at..at.checked_add(len)?)?);
        at += len;
    }
    let sum = u64::from_le_bytes(bytes.get(at + 1..at + 9)?.try_into().ok()?);
    let ends = *bytes.get(at)? == 3 && bytes.get(at + 9..at + 13)? == END_MAGIC && sum == hasher.digest();
    ends.then_some(at + 13)
}
