//! Files on disk: the programs of the workspace, and texts that are read again only when they have changed.

use super::uri::{is_no_file, name_of_path};
use crate::commands::program;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Most programs that are looked for in a workspace.
const PROGRAMS_MAX: usize = 2_000;

/// Most entries of folders that are looked at for them.
const ENTRIES_MAX: usize = 50_000;

/// Folders that hold no programs.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// Most bytes of texts that are kept.
const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A text as it was read.
struct Read {
    modified: Option<SystemTime>,
    length: u64,
    text: Arc<str>,
}

/// Texts by name.
#[derive(Default)]
pub struct Disk {
    read: HashMap<String, Read>,
    kept: usize,
}

impl Disk {
    /// The text of a file.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    pub fn text(&mut self, name: &str) -> Result<Arc<str>, String> {
        if is_no_file(name) {
            return Err("it is in no file".into());
        }
        let path = Path::new(name);
        let data = std::fs::metadata(path).map_err(|error| error.to_string())?;
        let (modified, length) = (data.modified().ok(), data.len());
        if let Some(read) = self.read.get(name)
            && (read.modified, read.length) == (modified, length)
            && modified.is_some()
        {
            return Ok(read.text.clone());
        }
        let text: Arc<str> = program::read(path).map_err(|error| error.to_string())?.into();
        if self.kept + text.len() > KEPT_BYTES_MAX {
            self.read.clear();
            self.kept = 0;
        }
        self.kept += text.len();
        self.read.insert(name.to_owned(), Read { modified, length, text: text.clone() });
        Ok(text)
    }
}

/// Names of the programs in some folders and their folders; hidden ones and links to folders are left out.
pub fn programs(folders: &[PathBuf]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<PathBuf> = folders.to_vec();
    let mut looked = 0;
    while let Some(folder) = next.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            looked += 1;
            if looked > ENTRIES_MAX || found.len() >= PROGRAMS_MAX {
                return found;
            }
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    let skipped = hidden || SKIPPED.iter().any(|skipped| name == *skipped);
                    next.extend((!skipped).then_some(path));
                }
                Ok(_) if path.extension().is_some_and(|extension| extension == "gwp") => {
                    found.insert(name_of_path(&path));
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_texts_read_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for inner in ["lib", ".git", "target"] {
            std::fs::create_dir(path(inner)).unwrap();
            std::fs::write(path(inner).join("x.gwp"), "unit x\n").unwrap();
        }
        std::fs::write(path("a.gwp"), "unit a\n").unwrap();
        std::fs::write(path("a.txt"), "").unwrap();
        let found = programs(&[folder.path().to_owned()]);
        let names: Vec<_> =
            [path("a.gwp"), path("lib/x.gwp")].iter().map(|path| name_of_path(path)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), names);

        let mut disk = Disk::default();
        assert_eq!(&*disk.text(&names[0]).unwrap(), "unit a\n");
        std::fs::write(path("a.gwp"), "unit longer\n").unwrap();
        assert_eq!(&*disk.text(&names[0]).unwrap(), "unit longer\n");
        assert!(disk.text(&name_of_path(&path("none.gwp"))).is_err());
        assert!(disk.text("untitled:1").is_err());
    }
}
