//! Open files: append, wait for the disk, finish.
//!
//! Everything here blocks and runs on a thread of its own. After an error the
//! files are thrown away; what was not acknowledged is cut off as far as possible.
//!
//! ```text
//! demo.csv -> (rotate) -> demo.1.csv            without gzip
//! demo.csv -> demo.1.csv.gz.part -> demo.1.csv.gz   with gzip: renamed at once, compressed beside
//! ```

use crate::format::{Format, LineScan};
use crate::names;
use crate::settings::Options;
use gwp_core::sink::{Delivery, Part};
use gwp_core::time::NS_PER_S;
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files open at most; the one not written for longest is closed.
pub const OPEN_MAX: usize = 8;

/// Time without a line after which a file of a past date or hour is finished.
pub const IDLE: Duration = Duration::from_secs(600);

/// Nanoseconds of a quarter of an hour.
const QUARTER_NS: i64 = 900 * NS_PER_S;

/// Lines written between two looks at the size.
const LINES: usize = 64;

/// Bytes collected before they are written.
const PENDING_BYTES: usize = 256 * 1024;

/// Why files cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {doing} `{}`{}", path.display(), remedy(source))]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("somebody else writes `{}`: give each sink a `path` of its own", path.display())]
    Busy { path: PathBuf },
    /// Elsewhere an open file cannot be removed.
    #[cfg(unix)]
    #[error("`{}` was removed or replaced", path.display())]
    Moved { path: PathBuf },
}

impl FileError {
    /// What could not be written.
    pub fn path(&self) -> &Path {
        match self {
            FileError::Io { path, .. } | FileError::Busy { path } => path,
            #[cfg(unix)]
            FileError::Moved { path } => path,
        }
    }

    /// True when it stays so until a person acts.
    pub fn needs_a_person(&self) -> bool {
        match self {
            FileError::Busy { .. } => false,
            #[cfg(unix)]
            FileError::Moved { .. } => false,
            FileError::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::IsADirectory
                    | ErrorKind::NotADirectory
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::InvalidFilename
            ),
        }
    }
}

/// What an error means in a plant; empty when it says it well enough itself.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ": the disk is full; it goes on by itself when there is room"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ": the gateway may not write there",
        ErrorKind::IsADirectory => ": it is a folder",
        _ => "",
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { doing, path, source }
}

/// Finds out whether a file that could not be written can be now: it can be had, and the disk takes a few lines.
///
/// # Errors
/// It cannot.
pub fn probe(path: &Path) -> Result<(), FileError> {
    let folder = names::folder_of(path);
    std::fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
    if path.exists() {
        OpenFile::open(path.to_owned(), Instant::now())?;
    }
    let beside = folder.join(format!(".gwp-{}.probe", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&[b'\n'; 16 * 1024])?;
        file.sync_data()
    };
    let written = write().map_err(failed("write", path));
    let _ = std::fs::remove_file(&beside);
    written
}

/// All files of one sink.
pub struct Files {
    options: Options,
    format: Format,
    open: Vec<OpenFile>,
    /// File of the samples of one quarter of an hour; offsets of all zones are whole quarters.
    period: Option<(i64, PathBuf)>,
    /// Newest of them, and its file, which stays open.
    newest: (i64, PathBuf),
    /// Folders that were looked through for files left by an earlier run.
    seen: HashSet<PathBuf>,
    /// Finished files that wait to be compressed, named `*.gz.part`.
    finished: Vec<PathBuf>,
}

struct OpenFile {
    path: PathBuf,
    file: File,
    /// Bytes that are on the disk.
    synced: u64,
    /// Bytes handed to the system.
    written: u64,
    pending: Vec<u8>,
    last_line: Instant,
    /// Its folder does not surely know it yet.
    new: bool,
}

impl Files {
    pub fn new(options: Options) -> Files {
        Files {
            format: Format::new(options.columns.clone(), options.separator),
            options,
            open: Vec::new(),
            period: None,
            newest: (i64::MIN, PathBuf::new()),
            seen: HashSet::new(),
            finished: Vec::new(),
        }
    }

    /// Appends deliveries and waits for the disk; gives the number of bytes.
    ///
    /// # Errors
    /// The lines of these deliveries are then cut off again, as far as that is possible.
    pub fn write(&mut self, deliveries: &[Arc<Delivery>], now: Instant) -> Result<u64, FileError> {
        let result = self.append_all(deliveries, now);
        if result.is_err() {
            for open in &mut self.open {
                let _ = open.file.set_len(open.synced);
            }
            self.open.clear();
        }
        result
    }

    /// Closes files of past dates and hours that get no more lines.
    ///
    /// # Errors
    /// When one cannot be finished.
    pub fn retire(&mut self, now: Instant) -> Result<(), FileError> {
        while let Some(index) = self.open.iter().position(|open| {
            open.path != self.newest.1 && now.saturating_duration_since(open.last_line) >= IDLE
        }) {
            self.close(index, false)?;
        }
        Ok(())
    }

    /// Takes a finished file that waits to be compressed.
    pub fn take_finished(&mut self) -> Option<PathBuf> {
        self.finished.pop()
    }

    fn append_all(&mut self, deliveries: &[Arc<Delivery>], now: Instant) -> Result<u64, FileError> {
        let mut bytes = 0;
        for part in deliveries.iter().flat_map(|delivery| &delivery.parts) {
            let mut from = 0;
            while from < part.batch.len() {
                let upto = self.choose(part, from);
                bytes += self.append(part, from..upto, now)?;
                from = upto;
            }
        }
        for open in &mut self.open {
            open.sync()?;
        }
        Ok(bytes)
    }

    /// Sets the file of a sample, and says before which sample to look again.
    fn choose(&mut self, part: &Part, from: usize) -> usize {
        let quarter = |index| part.batch.times.get(index).0.div_euclid(QUARTER_NS);
        let first = quarter(from);
        let most = part.batch.len().min(from + LINES);
        let upto = (from + 1..most).find(|index| quarter(*index) != first).unwrap_or(most);
        if self.period.as_ref().is_none_or(|(known, _)| *known != first) {
            let path = self.options.path.render(part.batch.times.get(from), &self.options.zone);
            self.period = Some((first, path));
        }
        upto
    }

    fn append(&mut self, part: &Part, range: std::ops::Range<usize>, now: Instant) -> Result<u64, FileError> {
        let Some((quarter, path)) = self.period.clone() else { return Ok(0) };
        if quarter >= self.newest.0 {
            self.newest = (quarter, path.clone());
        }
        let index = match self.open.iter().position(|open| open.path == path) {
            Some(index) => index,
            None => self.begin(path, now)?,
        };
        let open = &mut self.open[index];
        if open.last_line != now {
            open.check_place()?;
            open.last_line = now;
        }
        let before = open.pending.len();
        self.format.lines(part, range, &mut open.pending);
        let bytes = (open.pending.len() - before) as u64;
        if open.pending.len() >= PENDING_BYTES {
            open.flush()?;
        }
        if self.options.rotate.is_some_and(|max| open.written + open.pending.len() as u64 >= max) {
            self.close(index, true)?;
        }
        Ok(bytes)
    }

    /// Opens a file, cuts off a torn line, and gives its place among the open ones.
    fn begin(&mut self, path: PathBuf, now: Instant) -> Result<usize, FileError> {
        if self.open.len() >= OPEN_MAX
            && let Some(oldest) = (0..self.open.len()).min_by_key(|index| self.open[*index].last_line)
        {
            self.close(oldest, false)?;
        }
        let folder = names::folder_of(&path);
        std::fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        if self.options.gzip && self.seen.insert(folder.clone()) {
            self.finish_left_behind(&folder, &path)?;
        }
        let header = self.format.header();
        let mut open = OpenFile::open(path.clone(), now)?;
        if !open.recover(&header)? {
            // Other columns: that file is finished as it is.
            drop(open);
            self.finish(&path, true)?;
            open = OpenFile::open(path, now)?;
        }
        if open.written == 0 {
            open.pending = header;
            open.new = true;
        }
        self.open.push(open);
        Ok(self.open.len() - 1)
    }

    /// Closes a file; one that is full gives its name free.
    fn close(&mut self, index: usize, full: bool) -> Result<(), FileError> {
        self.open[index].sync()?;
        let open = self.open.swap_remove(index);
        drop(open.file);
        if full || self.options.gzip { self.finish(&open.path, full) } else { Ok(()) }
    }

    /// Renames a file nobody writes any more; with gzip it then waits to be compressed.
    fn finish(&mut self, path: &Path, numbered: bool) -> Result<(), FileError> {
        let folder = names::folder_of(path);
        let free = names::free_name(path, numbered).map_err(failed("look into the folder", &folder))?;
        let target = if self.options.gzip { names::with_suffix(&free, ".gz.part") } else { free };
        std::fs::rename(path, &target).map_err(failed("rename", path))?;
        names::sync_folder(&folder).map_err(failed("write the folder", &folder))?;
        if self.options.gzip {
            self.finished.push(target);
        }
        Ok(())
    }

    /// Finds files that an earlier run did not finish or compress.
    fn finish_left_behind(&mut self, folder: &Path, current: &Path) -> Result<(), FileError> {
        let look = || -> std::io::Result<Vec<String>> {
            let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
            Ok(names.collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let mut found = look().map_err(failed("look into the folder", folder))?;
        found.sort();
        for name in found {
            let path = folder.join(&name);
            if let Some(name) = name.strip_suffix(".gz.part") {
                if self.options.path.matches(name) || self.options.path.matches(&names::without_number(name))
                {
                    self.finished.push(path);
                }
            } else if self.options.path.matches(&name)
                && path != current
                && self.open.iter().all(|open| open.path != path)
            {
                // Only when no other sink or process has it.
                let free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
                if free {
                    self.finish(&path, false)?;
                }
            }
        }
        Ok(())
    }
}

impl OpenFile {
    fn open(path: PathBuf, now: Instant) -> Result<OpenFile, FileError> {
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::Busy { path }),
            // A file system without locks: go on without.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        Ok(OpenFile { path, file, synced: 0, written: 0, pending: Vec::new(), last_line: now, new: false })
    }

    /// Goes to the end of the last whole line and cuts off what follows. False when the
    /// file begins with another header.
    fn recover(&mut self, header: &[u8]) -> Result<bool, FileError> {
        let mut scan = LineScan::default();
        let mut same = true;
        let mut at = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = self.file.read(&mut buffer).map_err(failed("read", &self.path))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            scan.feed(bytes);
            let due = header.len().saturating_sub(at).min(read);
            same &= header.get(at..at + due).is_none_or(|due| bytes.starts_with(due));
            at += read;
        }
        if scan.whole == 0 {
            same = true;
        }
        if scan.whole < at as u64 && same {
            let cut = at as u64 - scan.whole;
            tracing::warn!(file = %self.path.display(), bytes = cut, "an unfinished line is cut off");
            self.file.set_len(scan.whole).map_err(failed("cut", &self.path))?;
        }
        self.file.seek(SeekFrom::Start(scan.whole)).map_err(failed("read", &self.path))?;
        self.written = scan.whole;
        self.synced = scan.whole;
        Ok(same)
    }

    /// A file that was removed would go on taking lines which nobody finds.
    #[cfg(unix)]
    fn check_place(&self) -> Result<(), FileError> {
        use std::os::unix::fs::MetadataExt;
        let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
        let ours = self.file.metadata().map(identity).map_err(failed("look at", &self.path))?;
        match std::fs::metadata(&self.path).map(identity) {
            Ok(there) if there == ours => Ok(()),
            _ => Err(FileError::Moved { path: self.path.clone() }),
        }
    }

    /// Elsewhere an open file cannot be removed.
    #[cfg(not(unix))]
    fn check_place(&self) -> Result<(), FileError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), FileError> {
        self.file.write_all(&self.pending).map_err(failed("write", &self.path))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), FileError> {
        self.flush()?;
        if self.written != self.synced {
            self.file.sync_data().map_err(failed("write", &self.path))?;
            if self.new {
                let folder = names::folder_of(&self.path);
                names::sync_folder(&folder).map_err(failed("write the folder", &folder))?;
                self.new = false;
            }
            self.synced = self.written;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
