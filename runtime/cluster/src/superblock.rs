//! The votes of one member on disk, apart from the store: a member must keep its word even when
//! the data disk is full or its database has poisoned itself.
//!
//! ```text
//! file:  slot 0 (4 KiB) | slot 1 (4 KiB)
//! slot:  magic 8 | version u16 | length of body u16 | sequence u64 | body | CRC32 of all before | zeros
//! ```
//!
//! Writes go to the slots in turn and are synced, so a write that power loss tears leaves the
//! one before whole; the highest whole sequence counts. All blocks of the file are written when
//! it is made, so a later write needs no room. Magic, version, length and CRC stand at the same
//! places in every version.
//!
//! - **Never silently new.** Only a path with nothing there is a new member. A file is made under
//!   another name, synced and then renamed, so one that is empty, short or without a whole slot
//!   was damaged later, and opening it is an error: a voter that forgot its vote could vote twice.
//! - **One process.** The file is locked while it is open, and a write fails when the path no
//!   longer leads to it: the next start would not find what was voted.
//! - **One failure is the last.** What a failed write or sync has left behind is not known (the
//!   kernel may have dropped the pages), so nothing is written after it.
//!
//! A slot that rots later looks like a torn one, and the block before counts then. The vote that
//! is lost with it was given at least one start ago, and a voter that starts is bound for a whole
//! promise.

use crate::encode::{Reader, SUPERBLOCK_MAX, Unreadable, Writer};
use gwp_redundancy::vote::Superblock;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of a slot: what disks and page caches write as one, or in parts of it.
const SLOT: usize = 4096;
/// Bytes of the file.
const FILE: usize = 2 * SLOT;
const MAGIC: [u8; 8] = *b"gwpvotes";
/// Version of the body.
const VERSION: u16 = 1;
/// Magic, version, length, sequence.
const HEAD: usize = 8 + 2 + 2 + 8;
const CRC: usize = 4;

const _: () = assert!(HEAD + SUPERBLOCK_MAX + CRC <= 512, "one sector holds it");

/// Whether there was a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing was there: a new member, or one whose disk was exchanged.
    Fresh,
    Kept,
}

/// Why the votes cannot be read. A member that meets this must not vote.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process: stop the one that runs with it", path = .path.display())]
    Locked { path: PathBuf },
    #[error(
        "{path} holds no whole record of what this member has voted, and with an empty one it could vote twice: \
         check the disk; then, two minutes after this member last ran at the earliest, move the file away and \
         it starts as a new member",
        path = .path.display()
    )]
    Damaged { path: PathBuf },
    #[error(
        "{path} was written by another version of gwp (format {version}, this one reads {VERSION}): \
         start that version",
        path = .path.display()
    )]
    Version { path: PathBuf, version: u16 },
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Why a vote could not be kept. It must not be told, and the member votes no more until a start.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("an earlier write to {path} has failed: check the disk and start again", path = .path.display())]
    Unusable { path: PathBuf },
    #[error("{path} was removed or replaced while in use: put it back and start again", path = .path.display())]
    Moved { path: PathBuf },
    #[error("cannot write {path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { action, path, source }
}

/// The open and locked file. Its methods block on the disk.
#[derive(Debug)]
pub struct SuperblockFile {
    path: PathBuf,
    file: File,
    /// Of the newest block on disk; its slot is that of the last bit.
    sequence: u64,
    failed: bool,
}

impl SuperblockFile {
    /// Opens the file at `path`, or makes it if nothing is there. The folder must exist, on a
    /// file system of this machine.
    pub fn open(path: &Path) -> Result<(SuperblockFile, Superblock, Found), OpenError> {
        let (mut file, found) = match open_existing(path)? {
            Some(file) => (file, Found::Kept),
            None => create(path)?,
        };
        // Also of a file that was found: who made it may have died before this.
        sync_folder_of(path).map_err(failed("sync the folder of", path))?;
        let mut bytes = Vec::with_capacity(FILE + 1);
        file.seek(SeekFrom::Start(0)).map_err(failed("read", path))?;
        (&mut file).take(FILE as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
        let (sequence, block) = newest(&bytes, path)?;
        Ok((SuperblockFile { path: path.to_path_buf(), file, sequence, failed: false }, block, found))
    }

    /// Writes `block` and waits until it is on disk. After an error every further call fails.
    pub fn write(&mut self, block: &Superblock) -> Result<(), WriteError> {
        let path = || self.path.clone();
        if self.failed {
            return Err(WriteError::Unusable { path: path() });
        }
        self.failed = true;
        let sequence = self.sequence.checked_add(1).ok_or_else(|| WriteError::Unusable { path: path() })?;
        let written = write_slot(&mut self.file, sequence, block).and_then(|()| self.file.sync_data());
        written.map_err(|source| WriteError::Io { path: path(), source })?;
        if !leads_to(&self.path, &self.file) {
            return Err(WriteError::Moved { path: path() });
        }
        self.sequence = sequence;
        self.failed = false;
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", path)(source)),
    }
}

fn open_existing(path: &Path) -> Result<Option<File>, OpenError> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    lock(&file, path)?;
    Ok(Some(file))
}

/// Makes the file whole under a name of its own, which also keeps a second process out, and gives
/// it its name then.
fn create(path: &Path) -> Result<(File, Found), OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&new);
    let mut file = opened.map_err(failed("create", &new))?;
    lock(&file, path)?;
    // Another process may have been quicker, even with this very file.
    if path.try_exists().map_err(failed("look for", path))? {
        let ours = !leads_to(path, &file);
        drop(file);
        if ours {
            let _ = std::fs::remove_file(&new);
        }
        let file = open_existing(path)?.ok_or_else(|| failed("open", path)(ErrorKind::NotFound.into()))?;
        return Ok((file, Found::Kept));
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.write_all(&[0; FILE])?;
        write_slot(file, 1, &Superblock::default())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write(&mut file).map_err(failed("create", path))?;
    Ok((file, Found::Fresh))
}

fn write_slot(file: &mut File, sequence: u64, block: &Superblock) -> io::Result<()> {
    file.seek(SeekFrom::Start(place(sequence) as u64))?;
    file.write_all(&slot(sequence, block))
}

/// Where the block of a sequence number stands in the file.
fn place(sequence: u64) -> usize {
    (sequence % 2) as usize * SLOT
}

fn slot(sequence: u64, block: &Superblock) -> Vec<u8> {
    let mut body = Vec::with_capacity(SUPERBLOCK_MAX);
    Writer(&mut body).superblock(block);
    let mut bytes = Vec::with_capacity(SLOT);
    let mut writer = Writer(&mut bytes);
    writer.bytes(&MAGIC);
    writer.bytes(&VERSION.to_le_bytes());
    writer.bytes(&(body.len() as u16).to_le_bytes());
    writer.u64(sequence);
    writer.bytes(&body);
    let crc = crc32fast::hash(&bytes);
    Writer(&mut bytes).u32(crc);
    bytes.resize(SLOT, 0);
    bytes
}

/// What a whole slot says.
struct Whole<'a> {
    version: u16,
    sequence: u64,
    body: &'a [u8],
}

/// `None` = never written, torn, or damaged.
fn whole(slot: &[u8]) -> Option<Whole<'_>> {
    let mut reader = Reader::new(slot);
    let magic: [u8; 8] = reader.array().ok()?;
    let version = u16::from_le_bytes(reader.array().ok()?);
    let length = u16::from_le_bytes(reader.array().ok()?) as usize;
    let sequence = reader.u64().ok()?;
    let body = slot.get(HEAD..HEAD + length)?;
    let crc = slot.get(HEAD + length..HEAD + length + CRC)?;
    let sound = magic == MAGIC && crc == crc32fast::hash(&slot[..HEAD + length]).to_le_bytes();
    sound.then_some(Whole { version, sequence, body })
}

fn newest(bytes: &[u8], path: &Path) -> Result<(u64, Superblock), OpenError> {
    let damaged = || OpenError::Damaged { path: path.to_path_buf() };
    if bytes.len() != FILE {
        return Err(damaged());
    }
    let mut best: Option<(u64, Superblock)> = None;
    for (at, slot) in bytes.chunks_exact(SLOT).enumerate() {
        let Some(Whole { version, sequence, body }) = whole(slot) else { continue };
        if version != VERSION {
            return Err(OpenError::Version { path: path.to_path_buf(), version });
        }
        // Whole and yet not what is ever written: not torn but made by somebody else.
        let block = read(body).map_err(|Unreadable| damaged())?;
        if place(sequence) != at * SLOT {
            return Err(damaged());
        }
        if best.is_none_or(|(highest, _)| highest < sequence) {
            best = Some((sequence, block));
        }
    }
    best.ok_or_else(damaged)
}

fn read(body: &[u8]) -> Result<Superblock, Unreadable> {
    let mut reader = Reader::new(body);
    let block = reader.superblock()?;
    reader.end()?;
    Ok(block)
}

/// A file that was removed would go on taking votes which no start finds.
#[cfg(unix)]
fn leads_to(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
    let there = std::fs::metadata(path).map(identity);
    file.metadata().map(identity).is_ok_and(|ours| there.is_ok_and(|there| there == ours))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn leads_to(path: &Path, _file: &File) -> bool {
    path.exists()
}

/// Elsewhere folders cannot be synced, and need not be.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "superblock_tests.rs"]
mod tests;
