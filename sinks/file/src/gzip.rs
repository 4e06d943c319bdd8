//! Compressing finished files.
//!
//! `x.csv.gz.part` (plain, complete) is compressed into `x.csv.gz.tmp`, which
//! becomes `x.csv.gz` in one step; only then the plain one goes. Whatever a crash
//! leaves is completed or begun anew by the next call.

use crate::names::{folder_of, sync_folder, with_suffix};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

/// Compresses a file named `*.gz.part`; one without that name is left alone.
///
/// # Errors
/// When a file cannot be read or written; the plain one is then still there.
pub fn pack(part: &Path) -> std::io::Result<()> {
    let Some(name) = part.to_str().and_then(|name| name.strip_suffix(".part")) else { return Ok(()) };
    let target = Path::new(name);
    // Both: a crash came after the last step but one.
    if !target.exists() {
        let temporary = with_suffix(target, ".tmp");
        let mut from = BufReader::new(File::open(part)?);
        let mut to = GzEncoder::new(BufWriter::new(File::create(&temporary)?), Compression::default());
        std::io::copy(&mut from, &mut to)?;
        let file = to.finish()?.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&temporary, target)?;
        sync_folder(&folder_of(target))?;
    }
    std::fs::remove_file(part)?;
    sync_folder(&folder_of(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_part_becomes_its_compressed_form_and_a_crash_does_not_double_it() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("a.csv.gz.part");
        let target = dir.path().join("a.csv.gz");
        let text = "line\n".repeat(100_000);
        std::fs::write(&part, &text).unwrap();
        std::fs::write(dir.path().join("a.csv.gz.tmp"), "left by a crash").unwrap();
        pack(&part).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.csv.gz"]);
        let unpacked = || {
            let mut back = String::new();
            flate2::read::GzDecoder::new(File::open(&target).unwrap()).read_to_string(&mut back).unwrap();
            back
        };
        assert_eq!(unpacked(), text);
        // The crash between the last two steps.
        std::fs::write(&part, &text).unwrap();
        pack(&part).unwrap();
        assert!(!part.exists());
        assert_eq!(unpacked(), text);
    }
}
