//! The files of the audit log: which there are, what they say, whether the chain holds.
//!
//! `audit.jsonl` is written; when it is full it is set aside as `audit-<number of its first line>.jsonl`. Reading needs
//! no right and is possible while a gateway writes.

use super::chain::{self, End, Line};
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The file that is written.
pub(super) const CURRENT: &str = "audit.jsonl";

/// Longest line that is read; none that is written is longer.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Breaks of the chain that are listed.
const PROBLEMS_MAX: usize = 100;

/// Where the chain of a log is broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub file: PathBuf,
    /// Line of the file, from 1.
    pub line: u64,
    pub what: String,
}

/// What a look at the whole log found.
#[derive(Default, Debug)]
pub struct Verified {
    pub lines: u64,
    /// The first 100.
    pub problems: Vec<Problem>,
    /// The last line has no line break: it is being written, or the power went at that moment.
    pub torn: bool,
    /// The last good line.
    pub end: End,
}

/// The name of a file that is set aside.
pub(super) fn aside(first: u64) -> String {
    format!("audit-{first:020}.jsonl")
}

/// Files that are set aside, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn set_aside(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let digits = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".jsonl"));
        if digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// All files of the log, oldest first.
fn all(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = set_aside(data)?;
    let current = data.join(CURRENT);
    if current.exists() {
        files.push(current);
    }
    Ok(files)
}

/// Follows the chain through files.
#[derive(Default)]
pub(super) struct Scan {
    pub found: Verified,
    /// Where the next line should go on; `None` when that is not known.
    expected: Option<End>,
}

impl Scan {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, path: &Path) -> io::Result<()> {
        let mut reader = BufReader::new(fs::File::open(path)?);
        let (mut bytes, mut number) = (Vec::new(), 0);
        loop {
            bytes.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            match bytes.strip_suffix(b"\n") {
                Some(text) => self.line(path, number, text),
                None if read <= LINE_BYTES_MAX => self.found.torn = true,
                None => {
                    self.problem(path, number, "it is longer than any line of audit".into());
                    // The rest of it, piece by piece.
                    while bytes.last() != Some(&b'\n') && !bytes.is_empty() {
                        bytes.clear();
                        (&mut reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
                    }
                }
            }
        }
    }

    fn line(&mut self, path: &Path, number: u64, text: &[u8]) {
        self.found.lines += 1;
        let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned());
        let line = match text.and_then(chain::read) {
            Ok(line) => line,
            Err(what) => return self.problem(path, number, what),
        };
        // Older lines are gone by rotation, so only the first of all says that nothing came before it.
        let expected = self.expected.take().or_else(|| (line.number == 1).then(End::default));
        if let Some(Err(what)) = expected.map(|end| end.follow(&line)) {
            self.problem(path, number, what);
        }
        let end = End { number: line.number, hash: line.hash };
        self.found.end = end.clone();
        self.expected = Some(end);
    }

    fn problem(&mut self, path: &Path, line: u64, what: String) {
        self.expected = None;
        if self.found.problems.len() < PROBLEMS_MAX {
            self.found.problems.push(Problem { file: path.into(), line, what });
        }
    }
}

/// Reads the whole log of a data directory and follows its chain.
///
/// # Errors
/// A file cannot be read.
pub fn verify(data: &Path) -> io::Result<Verified> {
    let mut scan = Scan::default();
    for file in all(data)? {
        scan.file(&file)?;
    }
    Ok(scan.found)
}

/// Lines with a number above `after` and below `before`, the newest first, at most `limit`. Lines that cannot be read
/// are left out; [`verify`] tells them.
///
/// # Errors
/// A file cannot be read.
pub fn newest(data: &Path, after: u64, before: u64, limit: usize) -> io::Result<Vec<Line>> {
    let mut found = Vec::new();
    for file in all(data)?.iter().rev() {
        let text = fs::read(file)?;
        for line in text.rsplit(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line).map_err(|_| String::new()).and_then(chain::read) else {
                continue;
            };
            if line.number <= after {
                return Ok(found);
            }
            if line.number < before {
                found.push(line);
            }
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}
