//! Names of finished files: `demo.csv` becomes `demo.1.csv`, compressed `demo.1.csv.gz`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Folder of a file; `.` for a bare name.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => ".".into(),
    }
}

/// A path with something appended to its last part.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().into();
    name.push(suffix);
    name.into()
}

/// Name in front of the number and what follows it: `demo` and `.csv`.
fn halves(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map_or_else(String::new, |part| format!(".{}", part.to_string_lossy()));
    (text(path.file_stem()), extension)
}

/// `demo.csv` of `demo.12.csv`; the name as it is when there is no number.
pub fn without_number(name: &str) -> String {
    let (stem, extension) = halves(Path::new(name));
    match stem.rsplit_once('.') {
        Some((front, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{front}{extension}")
        }
        _ => name.into(),
    }
}

/// A name under which neither a file nor its compressed form exists: the path itself when
/// `numbered` is false and only itself is there, else the next number.
///
/// # Errors
/// When the folder cannot be read.
pub fn free_name(path: &Path, numbered: bool) -> std::io::Result<PathBuf> {
    let taken = |path: &Path| with_suffix(path, ".gz").exists() || with_suffix(path, ".gz.part").exists();
    if !numbered && !taken(path) {
        return Ok(path.into());
    }
    let (stem, extension) = halves(path);
    let mut last = 0;
    for entry in std::fs::read_dir(folder_of(path))? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let name = name.strip_suffix(".part").unwrap_or(&name);
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let number = name
            .strip_suffix(extension.as_str())
            .and_then(|name| name.strip_prefix(stem.as_str()))
            .and_then(|name| name.strip_prefix('.'))
            .and_then(|number| number.parse::<u64>().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(path.with_file_name(format!("{stem}.{}{extension}", last + 1)))
}

/// Waits until a folder's entries are on the disk.
///
/// # Errors
/// When the folder cannot be opened or written.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Elsewhere a rename is durable by itself.
#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_the_largest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.csv");
        let free = |numbered| free_name(&path, numbered).unwrap().file_name().unwrap().to_owned();
        assert_eq!(free(false), "demo.csv");
        assert_eq!(free(true), "demo.1.csv");
        for name in [
            "demo.2.csv",
            "demo.9.csv.gz",
            "demo.11.csv.gz.part",
            "demo.x.csv",
            "demo2.99.csv",
            "demo.50.txt",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(free(true), "demo.12.csv");
        std::fs::write(dir.path().join("demo.csv.gz"), "").unwrap();
        assert_eq!(free(false), "demo.12.csv");
    }

    #[test]
    fn numbers_are_recognised() {
        assert_eq!(without_number("demo.12.csv"), "demo.csv");
        assert_eq!(without_number("demo.csv"), "demo.csv");
        assert_eq!(without_number("demo.1x.csv"), "demo.1x.csv");
        assert_eq!(without_number("demo.3"), "demo.3");
    }
}
