//! The configurations of a data directory: which is in force, and which were.
//!
//! ```text
//! data/configurations/<id>.json   Bundle, named by its content
//! data/configurations/state.json  { current, seen, pending, probation }
//! ```
//! `pending` stands there while a change is under way. If the process dies, the plan that the log names says whether
//! the change was in force: [`History::resolve`]. In a pair the same goes into the store with each save, so that the
//! copy has it: [`super::shared`].

use super::bundle::Bundle;
use super::shared::Publisher;
use gwp_console::home::replace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Configurations that are kept.
const KEPT_MAX: usize = 1_000;

/// Configurations beyond that at which the oldest are deleted.
const KEPT_SLACK: usize = 50;

/// A larger file is none of ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

const VERSION: u8 = 1;

/// What is known beside the configurations themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub version: u8,
    /// The configuration in force.
    pub current: Option<String>,
    /// Fingerprint of the files that a start, SIGHUP or `--watch` took last.
    pub seen: Option<String>,
    /// A change that is under way.
    pub pending: Option<Pending>,
    /// The configuration in force holds only if that is confirmed.
    pub probation: Option<Probation>,
}

/// A change that is under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub id: String,
    pub plan: String,
    /// It is to be confirmed.
    #[serde(default)]
    pub probation: Option<Probation>,
}

/// How long a configuration holds without being confirmed, and what comes then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Probation {
    pub back_to: String,
    /// Milliseconds since 1970.
    pub until_ms: i64,
}

/// The configurations of a data directory. Its owner holds the store.
#[derive(Clone)]
pub struct History {
    folder: PathBuf,
    pub state: State,
    /// In a pair: takes it to the store.
    pub publisher: Option<Arc<Publisher>>,
}

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("{0} cannot be used")]
    File(PathBuf, #[source] io::Error),
    #[error("{0}")]
    Damaged(String),
    #[error("there is no configuration {0}; `gwp history` lists them")]
    Unknown(String),
    #[error("{0} names several configurations; write more of it")]
    Ambiguous(String),
}

impl History {
    /// Opens or begins that of a data directory.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn open(data: &Path) -> Result<History, HistoryError> {
        let folder = data.join("configurations");
        fs::create_dir_all(&folder).map_err(|error| HistoryError::File(folder.clone(), error))?;
        let path = folder.join("state.json");
        let state = match read(&path) {
            Ok(text) => {
                let damaged = |error: &dyn std::fmt::Display| {
                    HistoryError::Damaged(format!(
                        "{} is damaged: {error}; without it the gateway forgets which configuration was in force and runs the files it is given",
                        path.display()
                    ))
                };
                let state: State = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
                if state.version != VERSION {
                    return Err(damaged(&format!("form {} is not known", state.version)));
                }
                state
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                State { version: VERSION, ..State::default() }
            }
            Err(error) => return Err(HistoryError::File(path, error)),
        };
        Ok(History { folder, state, publisher: None })
    }

    /// Decides about a change that was under way when the process ended: `plan` is the one that the log names.
    pub fn resolve(&mut self, plan: &str) {
        if let Some(pending) = self.state.pending.take()
            && pending.plan == plan
        {
            self.state.current = Some(pending.id);
            self.state.probation = pending.probation;
        }
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn current(&self) -> Result<Option<(String, Bundle)>, HistoryError> {
        let Some(id) = &self.state.current else { return Ok(None) };
        Ok(Some((id.clone(), self.get(id)?)))
    }

    /// A configuration by its whole id.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn get(&self, id: &str) -> Result<Bundle, HistoryError> {
        Bundle::read(id, &self.text(id)?).map_err(HistoryError::Damaged)
    }

    /// The text of a configuration, as it is stored.
    ///
    /// # Errors
    /// The same.
    pub fn text(&self, id: &str) -> Result<String, HistoryError> {
        let path = self.path(id);
        read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HistoryError::Unknown(id.into()),
            _ => HistoryError::File(path, error),
        })
    }

    /// A configuration by the beginning of its id.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find(&self, beginning: &str) -> Result<(String, Bundle), HistoryError> {
        let unknown = || HistoryError::Unknown(beginning.chars().take(64).collect());
        if beginning.len() < 4 || !beginning.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let mut found = self.ids()?.into_iter().filter(|id| id.starts_with(&beginning.to_lowercase()));
        match (found.next(), found.next()) {
            (Some(id), None) => {
                let bundle = self.get(&id)?;
                Ok((id, bundle))
            }
            (Some(_), Some(_)) => Err(HistoryError::Ambiguous(beginning.into())),
            (None, _) => Err(unknown()),
        }
    }

    /// The configurations that are kept here.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn ids(&self) -> Result<BTreeSet<String>, HistoryError> {
        let listed =
            fs::read_dir(&self.folder).map_err(|error| HistoryError::File(self.folder.clone(), error))?;
        let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        let id = |name: String| Some(name.strip_suffix(".json").filter(|id| id.len() == 32)?.to_owned());
        Ok(listed.filter_map(name).filter_map(id).collect())
    }

    /// What was in force, the newest first, at most so many; without the texts of the files.
    pub fn list(&self, most: usize) -> Vec<(String, Bundle)> {
        let mut list = Vec::new();
        let mut next = self.state.current.clone();
        while let Some(id) = next.take()
            && list.len() < most
        {
            // What was deleted, or cannot be read any more, ends the list.
            let Ok(mut bundle) = self.get(&id) else { break };
            bundle.files.iter_mut().for_each(|file| file.text = String::new());
            next.clone_from(&bundle.parent);
            list.push((id, bundle));
        }
        list
    }

    /// Keeps a configuration; gives its id.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, bundle: &Bundle) -> Result<String, HistoryError> {
        let (id, text) = bundle.stored();
        self.put_text(&id, &text)?;
        Ok(id)
    }

    /// Keeps the text of one that another node has made.
    ///
    /// # Errors
    /// It is not what its id says, or cannot be written.
    pub fn put_text(&self, id: &str, text: &str) -> Result<(), HistoryError> {
        Bundle::read(id, text).map_err(HistoryError::Damaged)?;
        write(&self.path(id), text)
    }

    /// Takes back one that never was in force.
    pub fn take_back(&self, id: &str) {
        let _ = fs::remove_file(self.path(id));
    }

    /// Keeps the state.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self) -> Result<(), HistoryError> {
        // Plain data cannot fail.
        let text = serde_json::to_string_pretty(&self.state).expect("the state can always be encoded");
        write(&self.folder.join("state.json"), &text)?;
        if let Some(publisher) = &self.publisher {
            publisher.publish(self);
        }
        Ok(())
    }

    /// Deletes the oldest configurations if there are too many.
    pub fn prune(&self) {
        let Ok(ids) = self.ids() else { return };
        if ids.len() <= KEPT_MAX + KEPT_SLACK {
            return;
        }
        let kept: BTreeSet<String> = self.list(KEPT_MAX).into_iter().map(|(id, _)| id).collect();
        ids.difference(&kept).for_each(|id| self.take_back(id));
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// Whoever dies meanwhile leaves the file before. Only this user may read it: programs name hosts and users.
fn write(path: &Path, text: &str) -> Result<(), HistoryError> {
    replace(path, text.as_bytes()).map_err(|error| HistoryError::File(path.into(), error))
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(parent: Option<&str>, message: &str) -> Bundle {
        Bundle::new(parent.map(str::to_owned), "anna", message, "plan".into(), Vec::new())
    }

    #[test]
    fn the_log_decides_about_a_change_that_was_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path()).unwrap();
        let first = history.put(&bundle(None, "first")).unwrap();
        history.state.current = Some(first.clone());
        let second = history.put(&bundle(Some(&first), "second")).unwrap();
        history.state.pending = Some(Pending { id: second.clone(), plan: "new".into(), probation: None });
        history.save().unwrap();

        let mut died_before = History::open(dir.path()).unwrap();
        died_before.resolve("old");
        assert_eq!(died_before.current().unwrap().unwrap().0, first);
        let mut died_after = History::open(dir.path()).unwrap();
        died_after.resolve("new");
        assert_eq!(died_after.current().unwrap().unwrap().1.message, "second");
        let listed: Vec<String> = died_after.list(9).into_iter().map(|(_, bundle)| bundle.message).collect();
        assert_eq!(listed, ["second", "first"]);
    }

    #[test]
    fn a_configuration_is_found_by_the_beginning_of_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path()).unwrap();
        let id = history.put(&bundle(None, "first")).unwrap();
        assert_eq!(history.find(&id[..8]).unwrap().0, id);
        for wrong in ["", "abc", "../state", "ffffffff0", &"0".repeat(10_000)] {
            assert!(matches!(history.find(wrong), Err(HistoryError::Unknown(_))), "{wrong:.20}");
        }
        fs::write(history.path(&id), "{}").unwrap();
        assert!(matches!(history.find(&id), Err(HistoryError::Damaged(_))));
    }

    #[test]
    fn a_damaged_state_is_told() {
        let dir = tempfile::tempdir().unwrap();
        History::open(dir.path()).unwrap().save().unwrap();
        fs::write(dir.path().join("configurations/state.json"), "{").unwrap();
        assert!(matches!(History::open(dir.path()), Err(HistoryError::Damaged(_))));
    }
}
