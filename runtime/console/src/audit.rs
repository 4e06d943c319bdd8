//! The audit log: who changed what, who tried to, on disk before it is answered.
//!
//! Lines of JSON in `audit.jsonl` of the data directory, chained by hashes (see [`chain`]). Whoever can write the
//! directory can write another chain, so number and hash of the last line also go to the program's log at each start
//! and at each line: what was shipped from there shows whether the files are still the ones that were written.

pub mod chain;
mod files;

pub use files::{Problem, Verified, newest, verify};

use crate::home::{Home, private, sync_folder};
use chain::{End, Event};
use files::{CURRENT, LINE_BYTES_MAX, Scan, aside, set_aside};
use gwp_core::Timestamp;
use serde_json::json;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// A file is set aside when it has this many bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Files that are kept beside the one that is written.
const FILES_KEPT: usize = 8;

/// Longest text of an event, in characters, and longest detail, in bytes.
const TEXT_CHARS_MAX: usize = 300;
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// The log of a data directory, to be added to.
pub struct AuditLog {
    home: PathBuf,
    file: fs::File,
    /// Bytes of whole lines in the file.
    size: u64,
    /// Number of its first line.
    first: u64,
    end: End,
    /// A write has failed: what is behind `size` has to go before the next one.
    is_torn: bool,
    file_bytes_max: u64,
}

/// Name of events of the log itself.
const ITSELF: &str = "gwp";

impl AuditLog {
    /// Opens the log, mends a line that was cut off, and tells what is wrong with it in the program's log and in
    /// itself. A broken chain goes on from its last good line.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn open(home: &Home, now: Timestamp) -> io::Result<AuditLog> {
        let data = home.folder();
        let path = data.join(CURRENT);
        let mut scan = Scan::default();
        let kept = set_aside(data)?;
        if let Some(newest) = kept.last() {
            scan.file(newest)?;
        }
        let before = scan.found.end.number;
        let mut file = private().read(true).append(true).create(true).open(&path)?;
        let cut = mend(&mut file)?;
        scan.file(&path)?;
        let Verified { problems, end, .. } = scan.found;
        let size = file.metadata()?.len();
        let (first, home) = (before + 1, data.to_owned());
        let mut log =
            AuditLog { home, file, size, first, end, is_torn: false, file_bytes_max: FILE_BYTES_MAX };
        sync_folder(&path)?;
        if let Some(cut) = cut {
            tracing::warn!(
                bytes = cut,
                "the last line of the audit log was cut off; what there was of it is removed"
            );
            log.add(&itself("mend", "a line was cut off", json!({ "bytes": cut })), now)?;
        }
        if let Some(problem) = problems.first() {
            let (file, line, what) = (problem.file.display(), problem.line, &problem.what);
            let breaks = problems.len();
            tracing::error!(%file, line, what, breaks, "the audit log is not what was written; see `gwp audit --verify`");
            let detail = json!({ "file": file.to_string(), "line": line, "what": what, "breaks": breaks });
            log.add(&itself("damage", "the chain is broken", detail), now)?;
        }
        tracing::info!(number = log.end.number, hash = log.end.hash, "the audit log goes on");
        Ok(log)
    }

    /// Adds an event; it is on disk when this returns. Gives back its number.
    ///
    /// # Errors
    /// It cannot be written; the log is as it was.
    pub fn add(&mut self, event: &Event, now: Timestamp) -> io::Result<u64> {
        let event = bounded(event);
        if self.size >= self.file_bytes_max {
            self.set_aside()?;
        }
        if self.is_torn {
            self.file.set_len(self.size)?;
        }
        self.is_torn = true;
        let (line, end) = self.end.add(&event, now);
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.is_torn = false;
        self.size += line.len() as u64;
        self.end = end;
        let (by, action, outcome) = (&event.by, &event.action, &event.outcome);
        tracing::info!(number = self.end.number, hash = self.end.hash, by, action, outcome, "audit");
        Ok(self.end.number)
    }

    /// Sees that the log can be written, if the last write failed.
    ///
    /// # Errors
    /// It still cannot.
    pub fn check(&mut self, now: Timestamp) -> io::Result<()> {
        match self.is_torn {
            true => self.add(&itself("mend", "a line could not be written", json!({})), now).map(drop),
            false => Ok(()),
        }
    }

    /// Starts another file; the oldest ones go.
    fn set_aside(&mut self) -> io::Result<()> {
        let path = self.home.join(CURRENT);
        fs::rename(&path, self.home.join(aside(self.first)))?;
        self.file = private().read(true).append(true).create(true).open(&path)?;
        sync_folder(&path)?;
        (self.size, self.first, self.is_torn) = (0, self.end.number + 1, false);
        let kept = set_aside(&self.home)?;
        for old in kept.iter().take(kept.len().saturating_sub(FILES_KEPT)) {
            fs::remove_file(old)?;
        }
        Ok(())
    }
}

fn itself(action: &str, outcome: &str, detail: serde_json::Value) -> Event {
    Event {
        by: ITSELF.into(),
        role: String::new(),
        from: String::new(),
        action: action.into(),
        target: String::new(),
        outcome: outcome.into(),
        status: 0,
        detail,
    }
}

/// Gives a last line its line break, or removes it when it is no whole line; says how many bytes went.
fn mend(file: &mut fs::File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(LINE_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LINE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() || bytes.ends_with(b"\n") {
        return Ok(None);
    }
    let at = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let last = bytes.get(at..).unwrap_or_default();
    if std::str::from_utf8(last).is_ok_and(|text| chain::read(text).is_ok()) {
        file.write_all(b"\n")?;
        file.sync_data()?;
        return Ok(None);
    }
    let cut = last.len() as u64;
    file.set_len(size - cut)?;
    file.sync_data()?;
    Ok(Some(cut))
}

/// The event with texts of a length that a line holds.
fn bounded(event: &Event) -> Event {
    let clip = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    let long = event.detail.to_string().len() > DETAIL_BYTES_MAX;
    Event {
        by: clip(&event.by),
        role: clip(&event.role),
        from: clip(&event.from),
        action: clip(&event.action),
        target: clip(&event.target),
        outcome: clip(&event.outcome),
        status: event.status,
        detail: if long { json!({ "left_out": "it was too long" }) } else { event.detail.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(target: &str) -> Event {
        Event { target: target.into(), ..itself("apply", "done", json!({})) }
    }

    fn open(folder: &std::path::Path) -> AuditLog {
        AuditLog::open(&Home::open(folder).unwrap(), Timestamp(0)).unwrap()
    }

    #[test]
    fn lines_are_found_newest_first_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        for start in 0..3 {
            let mut log = open(folder.path());
            assert_eq!(log.add(&event("a"), Timestamp(5)).unwrap(), start * 2 + 1);
            assert_eq!(log.add(&event("b"), Timestamp(6)).unwrap(), start * 2 + 2);
        }
        let numbers = |after, before, limit| {
            let lines = newest(folder.path(), after, before, limit).unwrap();
            lines.iter().map(|line| line.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0, u64::MAX, 10), [6, 5, 4, 3, 2, 1]);
        assert_eq!(numbers(4, u64::MAX, 10), [6, 5]);
        assert_eq!(numbers(0, 4, 2), [3, 2]);
        let verified = verify(folder.path()).unwrap();
        assert_eq!((verified.lines, verified.end.number, verified.torn), (6, 6, false));
        assert_eq!(verified.problems, []);
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_chain_goes_on_over_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path());
        log.file_bytes_max = 2_000;
        for _ in 0..100 {
            log.add(&event("x"), Timestamp(0)).unwrap();
        }
        assert_eq!(set_aside(folder.path()).unwrap().len(), FILES_KEPT);
        let verified = verify(folder.path()).unwrap();
        assert_eq!((verified.problems.len(), verified.end.number), (0, 100));
        assert!(verified.lines < 100, "the oldest lines are gone");
        drop(log);
        let mut log = open(folder.path());
        assert_eq!(log.add(&event("y"), Timestamp(0)).unwrap(), 101);
        assert_eq!(verify(folder.path()).unwrap().problems, []);
        let lines = newest(folder.path(), 0, u64::MAX, 30).unwrap();
        assert!(lines.windows(2).all(|pair| pair[0].number == pair[1].number + 1) && lines.len() == 30);
        // A file in the middle cannot be taken out.
        let kept = set_aside(folder.path()).unwrap();
        fs::remove_file(&kept[3]).unwrap();
        assert_eq!(verify(folder.path()).unwrap().problems.len(), 1);
    }

    #[test]
    fn a_line_that_was_cut_off_is_mended_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CURRENT);
        let mut log = open(folder.path());
        log.add(&event("first"), Timestamp(0)).unwrap();
        let first = fs::read(&path).unwrap().len();
        log.add(&event("second"), Timestamp(0)).unwrap();
        drop(log);
        let whole = fs::read(&path).unwrap();
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(verify(folder.path()).unwrap().torn, cut > first);
            drop(open(folder.path()));
            let verified = verify(folder.path()).unwrap();
            assert!(verified.problems.is_empty() && !verified.torn, "{cut}: {verified:?}");
            let told = newest(folder.path(), 1, u64::MAX, 9).unwrap();
            let what = told.first().map(|line| &*line.event.action);
            let expected = if cut == first {
                None
            } else if cut == whole.len() - 1 {
                Some("apply")
            } else {
                Some("mend")
            };
            assert_eq!(what, expected, "{cut}");
        }
    }

    #[test]
    fn what_was_changed_is_told_and_the_log_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CURRENT);
        let mut log = open(folder.path());
        for target in ["first", "second", "third"] {
            log.add(&event(target), Timestamp(0)).unwrap();
        }
        drop(log);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("second", "nobody")).unwrap();
        let problems = verify(folder.path()).unwrap().problems;
        assert_eq!((problems.len(), problems[0].line), (1, 2));
        drop(open(folder.path()));
        let lines = newest(folder.path(), 3, u64::MAX, 9).unwrap();
        assert_eq!((lines.len(), &*lines[0].event.action, lines[0].number), (1, "damage", 4));
        // Without its second line, and without any.
        let without: String =
            text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, l)| format!("{l}\n")).collect();
        fs::write(&path, without).unwrap();
        assert_eq!(verify(folder.path()).unwrap().problems.len(), 1);
        fs::write(&path, vec![b'x'; 3 * LINE_BYTES_MAX]).unwrap();
        assert_eq!(verify(folder.path()).unwrap().problems.len(), 1);
        let mut log = open(folder.path());
        log.add(&event("after"), Timestamp(0)).unwrap();
    }

    #[test]
    fn endless_texts_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path());
        let long = "\u{1}".repeat(100_000);
        let event = Event { by: long.clone(), detail: json!(long), outcome: long.clone(), ..event(&long) };
        log.add(&event, Timestamp(0)).unwrap();
        assert!(log.size < LINE_BYTES_MAX as u64);
        assert_eq!(newest(folder.path(), 0, u64::MAX, 9).unwrap().len(), 1);
    }
}
