//! What a drill can try without leaving anything behind.

use std::fs;
use std::path::{Path, PathBuf};

/// Tries whether files can be made in a folder, or in the nearest one above it that exists.
///
/// # Errors
/// A sentence for people.
pub fn folder(wanted: &Path) -> Result<(), String> {
    let wanted = if wanted.as_os_str().is_empty() { Path::new(".") } else { wanted };
    let there = wanted.ancestors().map(|folder| match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    });
    let there = there.into_iter().find(|folder| folder.exists()).unwrap_or_else(|| PathBuf::from("."));
    if !there.is_dir() {
        return Err(format!(
            "{} is no folder, so nothing can be written to {}",
            there.display(),
            wanted.display()
        ));
    }
    let trial = there.join(format!(".gwp-drill-{}", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&trial);
    let _ = fs::remove_file(&trial);
    made.map(drop).map_err(|error| format!("nothing can be written to {}: {error}", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = std::env::temp_dir().join(format!("gwp-drill-test-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        assert_eq!(folder(&dir.join("not/yet/there")), Ok(()));
        fs::write(dir.join("file"), "").unwrap();
        assert!(folder(&dir.join("file/below")).unwrap_err().contains("is no folder"));
        let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["file"]);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(folder(Path::new("")), Ok(()));
    }
}
