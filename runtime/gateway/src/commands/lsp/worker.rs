//! Compiles in the background, always the newest texts: what comes while a run is under way waits in one slot, and
//! what is in the slot is replaced.

use super::disk::{Disk, programs};
use super::uri::is_no_file;
use crate::catalog;
use crate::commands::program;
use gwp_compile::{EntryFile, Project};
use gwp_ide::Analysis;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Programs that are compiled at once for the open files.
const ENTRIES_MAX: usize = 50;

/// What to compile.
#[derive(Clone, Default)]
pub struct Job {
    /// Counts the states of the open files.
    pub generation: u64,
    /// Open texts by name.
    pub open: BTreeMap<String, Arc<str>>,
    /// Folders of the workspace.
    pub folders: Vec<PathBuf>,
    /// The folders must be looked through again.
    pub search: bool,
}

/// What came out of it.
pub struct Outcome {
    pub generation: u64,
    /// One for each program that an open file belongs to.
    pub analyses: Vec<Arc<Analysis>>,
    /// What went wrong beside the programs, for the log.
    pub faults: Vec<String>,
}

/// The newest job that nobody has taken yet.
#[derive(Default)]
pub struct Slot {
    state: Mutex<(Option<Job>, bool)>,
    changed: Condvar,
}

impl Slot {
    /// Puts a job in; one that still waits is replaced, but not what it has to look for.
    pub fn put(&self, mut job: Job) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        job.search |= state.0.as_ref().is_some_and(|waiting| waiting.search);
        state.0 = Some(job);
        self.changed.notify_one();
    }

    /// No job comes any more.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_one();
    }

    /// Waits for a job; `None` when no one comes any more.
    pub fn take(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.1 {
                return None;
            }
            if let Some(job) = state.0.take() {
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A compiled program with the texts it was made of.
struct Known {
    analysis: Arc<Analysis>,
    /// Texts by name; `None` for files that could not be read.
    texts: BTreeMap<String, Option<Arc<str>>>,
}

/// Keeps from job to job what has not changed.
#[derive(Default)]
pub struct Worker {
    disk: Disk,
    programs: BTreeSet<String>,
    known: BTreeMap<String, Known>,
    /// Files that a text uses, with that text.
    uses: BTreeMap<String, (Arc<str>, Vec<String>)>,
}

impl Worker {
    /// Does a job.
    pub fn work(&mut self, job: &Job) -> Outcome {
        if job.search {
            self.programs = programs(&folders(job));
        }
        let open: Vec<String> = job.open.keys().cloned().collect();
        let uses = self.uses(job);
        let mut faults = Vec::new();
        let entries: Vec<String> = gwp_ide::entries(&open, &uses).into_iter().take(ENTRIES_MAX).collect();
        self.known.retain(|name, _| entries.contains(name));
        for name in &entries {
            if self.is_unchanged(name, job) {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| self.compiled(name, job))) {
                Ok(Ok(known)) => {
                    self.known.insert(name.clone(), known);
                }
                Ok(Err(why)) => faults.push(format!("{name}: {why}")),
                Err(_) => faults.push(format!("{name}: the compiler has a defect")),
            }
        }
        let analyses = self.known.values().map(|known| known.analysis.clone()).collect();
        Outcome { generation: job.generation, analyses, faults }
    }

    /// The text of a file: that of the editor, else that on disk.
    fn text(disk: &mut Disk, job: &Job, name: &str) -> Result<Arc<str>, String> {
        job.open.get(name).map_or_else(|| disk.text(name), |text| Ok(text.clone()))
    }

    /// Which file uses which.
    fn uses(&mut self, job: &Job) -> BTreeMap<String, Vec<String>> {
        let names: BTreeSet<String> = job.open.keys().chain(&self.programs).cloned().collect();
        self.uses.retain(|name, _| names.contains(name));
        for name in names {
            let Ok(text) = Self::text(&mut self.disk, job, &name) else {
                self.uses.remove(&name);
                continue;
            };
            let same = self.uses.get(&name).is_some_and(|(old, _)| same_text(old, &text));
            if !same {
                let used = gwp_ide::used_files(&name, &text);
                self.uses.insert(name, (text, used));
            }
        }
        self.uses.iter().map(|(name, (_, used))| (name.clone(), used.clone())).collect()
    }

    fn is_unchanged(&mut self, name: &str, job: &Job) -> bool {
        let Some(known) = self.known.get(name) else { return false };
        known.texts.iter().all(|(name, old)| match (old, Self::text(&mut self.disk, job, name)) {
            (Some(old), Ok(text)) => same_text(old, &text),
            (None, Err(_)) => true,
            _ => false,
        })
    }

    fn compiled(&mut self, name: &str, job: &Job) -> Result<Known, String> {
        let text = Self::text(&mut self.disk, job, name)?;
        let texts = RefCell::new(BTreeMap::from([(name.to_owned(), Some(text.clone()))]));
        let disk = RefCell::new(&mut self.disk);
        let load = |name: &str| {
            let found = Self::text(&mut disk.borrow_mut(), job, name);
            texts.borrow_mut().insert(name.to_owned(), found.as_ref().ok().cloned());
            found.map(|text| text.to_string())
        };
        let entry = vec![EntryFile { name: name.to_owned(), text: text.to_string() }];
        let compiled = program::compile(&Project { entry, load: Box::new(load) });
        let analysis = Arc::new(Analysis::new(compiled, catalog::catalog()));
        Ok(Known { analysis, texts: texts.into_inner() })
    }
}

fn same_text(old: &Arc<str>, new: &Arc<str>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

/// Folders of the workspace, and those of open files outside of them.
fn folders(job: &Job) -> Vec<PathBuf> {
    let mut folders = job.folders.clone();
    for name in job.open.keys().filter(|name| !is_no_file(name)) {
        let Some(folder) = Path::new(name).parent() else { continue };
        // not a whole disk because of one file at its top
        let top = folder.parent().is_none();
        if !top && !folders.iter().any(|known| folder.starts_with(known)) {
            folders.push(folder.to_owned());
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::super::uri::name_of_path;
    use super::*;

    #[test]
    fn a_library_is_compiled_with_what_uses_it_and_only_again_when_something_changed() {
        let folder = tempfile::tempdir().unwrap();
        let name = |file: &str| name_of_path(&folder.path().join(file));
        std::fs::write(folder.path().join("main.gwp"), "use \"lib.gwp\"\nconst b = a\n").unwrap();
        std::fs::write(folder.path().join("lib.gwp"), "const a = c\n").unwrap();
        let mut job = Job { generation: 1, search: true, ..Job::default() };
        job.open.insert(name("lib.gwp"), "const a = 5\n".into());
        let mut worker = Worker::default();
        let first = worker.work(&job);
        assert_eq!(first.analyses.len(), 1);
        let names: Vec<_> = first.analyses[0].compiled.sources.names().map(str::to_owned).collect();
        assert_eq!(names, [name("main.gwp"), name("lib.gwp")]);
        assert!(first.analyses[0].compiled.diagnostics.iter().all(|found| !found.code.starts_with('E')));

        let again = worker.work(&Job { generation: 2, search: false, ..job.clone() });
        assert!(Arc::ptr_eq(&first.analyses[0], &again.analyses[0]));
        job.open.insert(name("lib.gwp"), "const a = \n".into());
        let changed = worker.work(&job);
        assert!(changed.analyses[0].compiled.diagnostics.iter().any(|found| found.code.starts_with('E')));
    }

    #[test]
    fn the_newest_job_wins_and_keeps_what_is_to_be_looked_for() {
        let slot = Slot::default();
        slot.put(Job { generation: 1, search: true, ..Job::default() });
        slot.put(Job { generation: 2, ..Job::default() });
        let taken = slot.take().unwrap();
        assert!(taken.generation == 2 && taken.search);
        slot.close();
        assert!(slot.take().is_none());
    }
}
