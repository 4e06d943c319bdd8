//! Salvage of a torn last batch, before fjall sees it.
//!
//! A kill or a power cut can leave the newest, unacknowledged batch of fjall's
//! write-ahead journal incomplete: cut short, with a hole of zeros where
//! write-back was reordered, or with garbage. fjall mends some of that itself,
//! refuses to open after other, and believes a damaged length. So the newest
//! file is read first and cut back to its last batch whose checksum holds.
//! Everything that was ever acknowledged stands before it.
//!
//! Format read here: fjall 3 (`FJL3`), file `<n>.jnl`, preallocated with zeros,
//! integers little-endian:
//! ```text
//! start: 1, items u32, seqno u64        item: 2, type u8, compression u8, keyspace u64,
//! end:   3, xxh3 of items u64, "FJL3"         key len u16, value len u32, stored len u32, key, value
//! clear: 4, keyspace u64
//! ```

use crate::limits::SALVAGE_PIECE_BYTES;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const END_MAGIC: [u8; 4] = [b'F', b'J', b'L', 3];

/// What was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Salvaged {
    /// The file that was cut.
    pub file: PathBuf,
    /// What was cut off it.
    pub kept_as: PathBuf,
    /// Whole batches that remain in it, and bytes.
    pub batches: u64,
    pub bytes: u64,
    /// Whole batches behind the damage. A torn last batch has none: then the disk has
    /// damaged what was durable.
    pub batches_cut: u64,
}

/// Cuts the newest write-ahead file below `store` back to its last whole batch; `None`
/// when nothing stands after that, there is no store yet, or another process has it open
/// (opening it says so).
///
/// # Errors
/// The file system refused.
pub fn cut_torn_batch(store: &Path) -> io::Result<Option<Salvaged>> {
    // Under fjall's own lock: what looks torn may be what another process is writing.
    let lock = match OpenOptions::new().read(true).write(true).open(store.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let salvaged = cut(store);
    // Closing it gives the lock back, too, whatever this says (wine calls it a violation).
    let _ = lock.unlock();
    salvaged
}

fn cut(store: &Path) -> io::Result<Option<Salvaged>> {
    let Some(file) = newest_journal(store)? else { return Ok(None) };
    let (bytes, batches) = whole_batches(&file)?;
    let mut handle = OpenOptions::new().read(true).write(true).open(&file)?;
    handle.seek(SeekFrom::Start(bytes))?;
    let Some(torn) = read_torn(&mut handle)? else { return Ok(None) };
    // Outside the store's own folder: fjall refuses files it does not know there.
    let kept_as = store.with_file_name(file.with_extension("torn").file_name().unwrap_or_default());
    let mut copy = File::create(&kept_as)?;
    copy.write_all(&torn)?;
    copy.sync_all()?;
    handle.set_len(bytes)?;
    handle.sync_all()?;
    Ok(Some(Salvaged { file, kept_as, batches, bytes, batches_cut: batches_in(&torn) }))
}

fn newest_journal(store: &Path) -> io::Result<Option<PathBuf>> {
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
    Ok(newest.map(|(_, path)| path))
}

/// Bytes after the last whole batch without the zeros at the end; `None` when nothing
/// but zeros is there.
fn read_torn(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let (mut torn, mut filled) = (Vec::new(), 0);
    let mut piece = vec![0; SALVAGE_PIECE_BYTES];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            torn.truncate(filled);
            return Ok((filled > 0).then_some(torn));
        }
        // Zeros are kept only once something stands behind them.
        match piece[..count].iter().rposition(|byte| *byte != 0) {
            Some(last) => {
                torn.resize(filled.max(torn.len()), 0);
                torn.extend_from_slice(&piece[..count]);
                filled = torn.len() - count + last + 1;
            }
            None => torn.resize(torn.len() + count, 0),
        }
    }
}

/// Length of the run of whole batches at the start of a file, and their number.
fn whole_batches(file: &Path) -> io::Result<(u64, u64)> {
    let file = File::open(file)?;
    let mut left = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(SALVAGE_PIECE_BYTES, file);
    let (mut bytes, mut batches) = (0, 0);
    while let Some(len) = batch_len(&mut reader, left)? {
        bytes += len;
        left -= len;
        batches += 1;
    }
    Ok((bytes, batches))
}

/// Whole batches that start anywhere in `bytes`.
fn batches_in(bytes: &[u8]) -> u64 {
    let (mut at, mut batches) = (0, 0);
    while at < bytes.len() {
        let mut rest = &bytes[at..];
        match batch_len(&mut rest, (bytes.len() - at) as u64) {
            Ok(Some(len)) => {
                batches += 1;
                at += len as usize;
            }
            _ => at += 1,
        }
    }
    batches
}

/// Length of the batch that starts here, if it is whole; `left` bytes are there at most.
fn batch_len(reader: &mut impl Read, left: u64) -> io::Result<Option<u64>> {
    match read_batch(reader, left) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result,
    }
}

fn read_batch(reader: &mut impl Read, left: u64) -> io::Result<Option<u64>> {
    let mut start = [0; 13];
    reader.read_exact(&mut start[..1])?;
    if start[0] != 1 {
        return Ok(None);
    }
    reader.read_exact(&mut start[1..])?;
    let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
    let mut len = start.len() as u64;
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut item = Vec::new();
    for _ in 0..items {
        item.resize(1, 0);
        reader.read_exact(&mut item)?;
        let head = match item[0] {
            2 => 21,
            4 => 9,
            _ => return Ok(None),
        };
        item.resize(head, 0);
        reader.read_exact(&mut item[1..])?;
        if item[0] == 2 {
            let key = u64::from(u16::from_le_bytes([item[11], item[12]]));
            let value = u32::from_le_bytes([item[13], item[14], item[15], item[16]]);
            let stored = u32::from_le_bytes([item[17], item[18], item[19], item[20]]);
            // Values are stored as they are; and a damaged length must not allocate.
            if value != stored || len + key + u64::from(stored) > left {
                return Ok(None);
            }
            item.resize(head + key as usize + stored as usize, 0);
            reader.read_exact(&mut item[head..])?;
        }
        hasher.update(&item);
        len += item.len() as u64;
    }
    let mut end = [0; 13];
    reader.read_exact(&mut end)?;
    let sum = hasher.digest().to_le_bytes();
    let whole = end[0] == 3 && end[1..9] == sum && end[9..] == END_MAGIC;
    Ok(whole.then_some(len + end.len() as u64))
}
