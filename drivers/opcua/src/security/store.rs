//! The folders `trusted` and `rejected`, for the driver and for the operator's commands.

use super::certificate::{CERTIFICATE_BYTES_MAX, Facts, Unfit, printable};
use super::own::{self, Own};
use jiff::Timestamp;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Rejected certificates that are kept; the oldest go first.
const REJECTED_MAX: usize = 50;
/// Files of a folder that are looked at.
const FILES_MAX: usize = 2_000;
/// Longest name of a file that every system takes.
const FILE_NAME_MAX: usize = 200;

/// Folder of the process, see [`set_folder`].
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Says where certificates of this process are kept, for sources that name no folder. Drivers are not told of the
/// data directory of the node they run on, so the gateway says it once, before anything starts.
pub fn set_folder(pki: PathBuf) {
    let _ = FOLDER.set(pki);
}

/// The folder of sources that name none: below the data directory, `data/pki` unless [`set_folder`] said another.
pub fn folder() -> PathBuf {
    FOLDER.get().cloned().unwrap_or_else(|| Path::new("data").join("pki"))
}

/// What can be wrong with the folders.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{what} {path}: {error}", path = .path.display())]
    Io { what: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{file}: {unfit}", file = .file.display())]
    Certificate { file: PathBuf, unfit: Unfit },
    #[error("{file} is no RSA key in PEM (PKCS#8 or PKCS#1, without a password)", file = .file.display())]
    Key { file: PathBuf },
    #[error(
        "{folder} has a certificate without its key, or the other way round: bring the missing file back, or move the \
         folder away to have both made anew (every server has to trust the new certificate then)",
        folder = .folder.display()
    )]
    Half { folder: PathBuf },
    #[error("the gateway's certificate cannot be made: {why}")]
    Make { why: String },
    #[error("there is no certificate {0} here; `gwp certs ls` lists them")]
    Unknown(String),
    #[error("{thumbprint} is the beginning of several thumbprints; give more of it")]
    Ambiguous { thumbprint: String },
    #[error(
        "the certificate's name `{name}` cannot be the name of a file on every system; the server needs another certificate"
    )]
    Name { name: String },
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path, error: std::io::Error) -> StoreError {
        StoreError::Io { what, path: path.into(), error }
    }
}

/// What is thought of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trust {
    Trusted,
    Rejected,
}

impl Trust {
    /// The folder, and the word in messages.
    pub const fn word(self) -> &'static str {
        match self {
            Trust::Trusted => "trusted",
            Trust::Rejected => "rejected",
        }
    }
}

/// Where and when a certificate was met first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub url: String,
    pub time: Timestamp,
}

/// A certificate in one of the folders.
#[derive(Clone, Debug)]
pub struct Entry {
    pub trust: Trust,
    pub file: PathBuf,
    pub facts: Facts,
    pub seen: Option<Seen>,
}

/// The folders of a gateway.
#[derive(Clone, Debug)]
pub struct Store {
    pki: PathBuf,
}

impl Store {
    /// The store in this folder. Nothing is made or read yet.
    pub fn at(pki: impl Into<PathBuf>) -> Store {
        Store { pki: pki.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.pki
    }

    /// The gateway's own certificate, made when there is none.
    ///
    /// # Errors
    /// It is damaged, or cannot be written.
    pub fn own(&self) -> Result<Own, StoreError> {
        self.make_folders()?;
        own::open(&self.pki)
    }

    /// The gateway's own certificate, if it was made already.
    ///
    /// # Errors
    /// It is damaged.
    pub fn own_if_made(&self) -> Result<Option<Own>, StoreError> {
        own::read(&self.pki)
    }

    pub(super) fn make_folders(&self) -> Result<(), StoreError> {
        for trust in [Trust::Trusted, Trust::Rejected] {
            let folder = self.pki.join(trust.word());
            fs::create_dir_all(&folder).map_err(|error| StoreError::io("make", &folder, error))?;
        }
        Ok(())
    }

    /// All certificates of others, trusted ones first, and files that are none.
    ///
    /// # Errors
    /// A folder cannot be read; one that is not there is empty.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<PathBuf>), StoreError> {
        let (mut entries, mut strange) = (Vec::new(), Vec::new());
        for trust in [Trust::Trusted, Trust::Rejected] {
            let folder = self.pki.join(trust.word());
            let files = match fs::read_dir(&folder) {
                Ok(files) => files,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("read", &folder, error)),
            };
            for file in files.flatten().map(|file| file.path()).take(FILES_MAX) {
                if file.extension().is_some_and(|ending| ending == "seen") {
                    continue;
                }
                match read_certificate(&file) {
                    Ok(facts) => {
                        let seen = read_seen(&folder.join(format!("{}.seen", facts.thumbprint)));
                        entries.push(Entry { trust, file, facts, seen });
                    }
                    Err(_) => strange.push(file),
                }
            }
        }
        entries.sort_by(|a, b| {
            (a.trust, &a.facts.subject, &a.facts.thumbprint).cmp(&(
                b.trust,
                &b.facts.subject,
                &b.facts.thumbprint,
            ))
        });
        strange.sort();
        Ok((entries, strange))
    }

    /// The one certificate whose thumbprint begins like this.
    ///
    /// # Errors
    /// None or several do.
    pub fn find(&self, thumbprint: &str) -> Result<Entry, StoreError> {
        let wanted: String =
            thumbprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        let (entries, _) = self.list()?;
        let mut fitting: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| !wanted.is_empty() && entry.facts.thumbprint.starts_with(&wanted))
            .collect();
        if fitting.iter().any(|entry| entry.facts.thumbprint != fitting[0].facts.thumbprint) {
            return Err(StoreError::Ambiguous { thumbprint: wanted });
        }
        if fitting.is_empty() {
            Err(StoreError::Unknown(thumbprint.into()))
        } else {
            Ok(fitting.swap_remove(0))
        }
    }

    /// Puts a certificate where `trust` says and takes it away from the other folder. Answers whether it was
    /// elsewhere before.
    ///
    /// # Errors
    /// The folders cannot be written.
    pub fn put(&self, facts: &Facts, trust: Trust) -> Result<bool, StoreError> {
        self.make_folders()?;
        let (entries, _) = self.list()?;
        let of_it: Vec<&Entry> = entries.iter().filter(|entry| entry.facts.der == facts.der).collect();
        let target = self.target(facts, trust)?;
        let there = of_it.iter().any(|entry| entry.file == target);
        if !there {
            write_whole(&target, &facts.der)?;
        }
        let mut changed = true;
        for entry in &of_it {
            changed &= entry.trust != trust;
            if entry.file != target {
                fs::remove_file(&entry.file).map_err(|error| StoreError::io("delete", &entry.file, error))?;
            }
            if entry.trust != trust {
                let name = format!("{}.seen", facts.thumbprint);
                let from = self.pki.join(entry.trust.word()).join(&name);
                let _ = fs::rename(from, self.pki.join(trust.word()).join(name));
            }
        }
        Ok(changed)
    }

    /// The library knows trusted certificates by the name it gives them.
    fn target(&self, facts: &Facts, trust: Trust) -> Result<PathBuf, StoreError> {
        let folder = self.pki.join(trust.word());
        if trust == Trust::Rejected {
            return Ok(folder.join(format!("{}.der", facts.thumbprint)));
        }
        let name = &facts.file_name;
        let bad = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
        if name.len() > FILE_NAME_MAX || name.contains(bad) {
            return Err(StoreError::Name { name: printable(name) });
        }
        Ok(folder.join(name))
    }

    /// Whether a server that was just met is trusted. One that is not is kept in `rejected`, with its address.
    /// A trusted file that an operator put there under another name is renamed.
    ///
    /// # Errors
    /// The folders cannot be read or written.
    pub fn judge(&self, facts: &Facts, url: &str, now: Timestamp) -> Result<Trust, StoreError> {
        self.make_folders()?;
        let (entries, _) = self.list()?;
        let mut of_it = entries.iter().filter(|entry| entry.facts.der == facts.der);
        let trust = if of_it.clone().any(|entry| entry.trust == Trust::Trusted) {
            Trust::Trusted
        } else {
            Trust::Rejected
        };
        let target = self.target(facts, trust)?;
        let settled = of_it.clone().count() == 1 && of_it.all(|entry| entry.file == target);
        if !settled {
            self.put(facts, trust)?;
        }
        let seen = self.pki.join(trust.word()).join(format!("{}.seen", facts.thumbprint));
        if !seen.exists() {
            write_whole(&seen, format!("{}\n{now:.0}\n", printable(url)).as_bytes())?;
        }
        if trust == Trust::Rejected && !settled {
            self.forget_oldest(&entries)?;
        }
        Ok(trust)
    }

    /// Keeps `rejected` within its bound, whoever offers how many certificates.
    fn forget_oldest(&self, before: &[Entry]) -> Result<(), StoreError> {
        let mut rejected: Vec<(Option<Timestamp>, &Entry)> = before
            .iter()
            .filter(|entry| entry.trust == Trust::Rejected)
            .map(|entry| (entry.seen.as_ref().map(|seen| seen.time), entry))
            .collect();
        rejected.sort_by_key(|(time, _)| *time);
        let over = (rejected.len() + 1).saturating_sub(REJECTED_MAX);
        for (_, entry) in rejected.iter().take(over) {
            let gone = |file: &Path| match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::io("delete", file, error))
                }
                _ => Ok(()),
            };
            gone(&entry.file)?;
            gone(&self.pki.join("rejected").join(format!("{}.seen", entry.facts.thumbprint)))?;
        }
        Ok(())
    }
}

/// Reads a certificate from a file, DER or PEM.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_certificate(file: &Path) -> Result<Facts, StoreError> {
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(CERTIFICATE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| StoreError::io("read", file, error))?;
    Facts::of_bytes(&bytes).map_err(|unfit| StoreError::Certificate { file: file.into(), unfit })
}

fn read_seen(file: &Path) -> Option<Seen> {
    let mut text = String::new();
    fs::File::open(file).ok()?.take(4_096).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Seen { url: printable(lines.next()?), time: lines.next()?.parse().ok()? })
}

/// Replaces a file as a whole.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".new-{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let _ = fs::remove_file(&fresh);
    own::write_new(&fresh, bytes, false)?;
    fs::rename(&fresh, path).map_err(|error| StoreError::io("write", path, error))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
