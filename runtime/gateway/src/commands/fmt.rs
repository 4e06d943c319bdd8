//! `gwp fmt`: programs in the one look, on disk.

use super::program;
use crate::report;
use anyhow::Context;
use gwp_syntax::{FormatError, SourceMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to format, and whether to write it.
#[derive(clap::Args)]
pub struct FmtArgs {
    /// Pipeline files, or folders in which all `.gwp` files are meant
    #[arg(default_value = ".")]
    pub files: Vec<PathBuf>,
    /// Write nothing; name the files that would change, and exit 1 if there are any
    #[arg(long, conflicts_with = "stdout")]
    pub check: bool,
    /// Write nothing; print the formatted programs
    #[arg(long)]
    pub stdout: bool,
}

/// Formats files. Those with syntax errors are left alone; their errors are printed and the exit code is 1.
///
/// # Errors
/// A file or folder cannot be read or written.
pub fn fmt(args: &FmtArgs) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.files {
        find(path, &mut files).with_context(|| format!("{}", path.display()))?;
    }
    let mut sources = SourceMap::default();
    let mut diagnostics = Vec::new();
    let mut failed = false;
    for path in &files {
        let name = path.display();
        let text = program::read(path).with_context(|| format!("{name}"))?;
        let file = sources.add(name.to_string(), text.clone());
        let formatted = match gwp_syntax::format(file, &text) {
            Ok(formatted) => formatted,
            Err(FormatError::Syntax(found)) => {
                diagnostics.extend(found);
                continue;
            }
            Err(error @ FormatError::Changed) => {
                eprintln!("{name}: {error}");
                failed = true;
                continue;
            }
        };
        if args.stdout {
            std::io::stdout().write_all(formatted.as_bytes())?;
        } else if formatted != text {
            println!("{name}");
            if args.check {
                failed = true;
            } else {
                replace(path, &formatted).with_context(|| format!("{name}"))?;
            }
        }
    }
    report::print(&diagnostics, &sources);
    Ok(if failed || !diagnostics.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Adds a file, or all programs of a folder and its folders but hidden ones, in order of their names.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut folders = vec![path.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // not through links, which may lead back
            if entry.file_type()?.is_dir() {
                folders.extend((!hidden).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "gwp") && path.is_file() {
                found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
            }
        }
    }
    found.sort();
    files.append(&mut found);
    Ok(())
}

/// Replaces a file as a whole: whoever reads it meanwhile, or after a crash, has the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // the file itself, not a link to it
    let path = fs::canonicalize(path)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create_new(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, check: bool) -> bool {
        let args = FmtArgs { files: vec![folder.to_owned()], check, stdout: false };
        fmt(&args).unwrap() == ExitCode::SUCCESS
    }

    #[test]
    fn files_are_replaced_when_they_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("lib/.git")).unwrap();
        fs::write(path("lib/a.gwp"), "unit  pcs\n").unwrap();
        fs::write(path("lib/.git/b.gwp"), "unit  pcs\n").unwrap();
        fs::write(path("lib/c.txt"), "unit  pcs\n").unwrap();
        let text = |name: &str| fs::read_to_string(path(name)).unwrap();

        assert!(!run(folder.path(), true), "one would change");
        assert_eq!(text("lib/a.gwp"), "unit  pcs\n", "and is not written");
        assert!(run(folder.path(), false));
        assert_eq!(text("lib/a.gwp"), "unit pcs\n");
        assert_eq!((text("lib/.git/b.gwp"), text("lib/c.txt")), ("unit  pcs\n".into(), "unit  pcs\n".into()));
        assert!(run(folder.path(), true));
        let written = fs::metadata(path("lib/a.gwp")).unwrap().modified().unwrap();
        assert!(run(folder.path(), false));
        assert_eq!(fs::metadata(path("lib/a.gwp")).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read_dir(path("lib")).unwrap().count(), 3, "nothing is left beside");
    }

    #[test]
    fn a_file_with_syntax_errors_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.gwp"), "unit  := \n").unwrap();
        fs::write(folder.path().join("b.gwp"), "unit  b").unwrap();
        assert!(!run(folder.path(), false));
        assert_eq!(fs::read_to_string(folder.path().join("a.gwp")).unwrap(), "unit  := \n");
        assert_eq!(
            fs::read_to_string(folder.path().join("b.gwp")).unwrap(),
            "unit b\n",
            "others are formatted"
        );
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let args = FmtArgs { files: vec!["no/such.gwp".into()], check: false, stdout: false };
        assert!(fmt(&args).unwrap_err().to_string().contains("no/such.gwp"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_rights_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.gwp"), folder.path().join("link"));
        fs::write(&file, "unit  a\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(run(&link, false));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "unit a\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
