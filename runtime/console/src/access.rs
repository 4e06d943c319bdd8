//! `control.json`: where a running gateway listens and the token it asks for.

use crate::secret::{new_token, token_hash};
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Name of the file in the data directory.
const FILE: &str = "control.json";

/// A larger file is none of ours.
const FILE_BYTES_MAX: u64 = 4_096;

/// Where to find a gateway and how to be let in.
#[derive(Clone)]
pub struct Access {
    pub address: SocketAddr,
    pub token: String,
}

/// Why a gateway cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "no gateway runs on {0} (there is no {FILE}); start one with `gwp run ... --data`, or name another directory with --data"
    )]
    None(PathBuf),
    #[error("{0} cannot be read")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is damaged; it is written anew when the gateway starts")]
    Damaged(PathBuf),
}

impl Access {
    /// A new token for an address.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn new(address: SocketAddr) -> io::Result<Access> {
        Ok(Access { address, token: new_token()? })
    }

    /// True for the token; takes as long for a wrong one, wherever it differs.
    pub fn admits(&self, token: &str) -> bool {
        blake3::Hash::from_bytes(token_hash(&self.token)) == blake3::Hash::from_bytes(token_hash(token))
    }

    /// Leaves it in a data directory, for this user only, until it is dropped.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&self, data: &Path) -> io::Result<Published> {
        let path = data.join(FILE);
        let fresh = data.join(format!("{FILE}.new"));
        let _ = fs::remove_file(&fresh);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = json!({ "address": self.address.to_string(), "token": self.token });
        options.open(&fresh)?.write_all(text.to_string().as_bytes())?;
        fs::rename(&fresh, &path)?;
        Ok(Published { path })
    }

    /// That of the gateway on a data directory.
    ///
    /// # Errors
    /// There is none, or the file cannot be read.
    pub fn of(data: &Path) -> Result<Access, AccessError> {
        let path = data.join(FILE);
        let found = fs::metadata(&path).and_then(|meta| match meta.len() > FILE_BYTES_MAX {
            true => Ok(String::new()),
            false => fs::read_to_string(&path),
        });
        let text = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AccessError::None(data.into()));
            }
            Err(error) => return Err(AccessError::Read(path, error)),
            Ok(text) => text,
        };
        let read = || {
            let value: serde_json::Value = serde_json::from_str(&text).ok()?;
            let address: SocketAddr = value.get("address")?.as_str()?.parse().ok()?;
            Some(Access { address, token: value.get("token")?.as_str()?.to_owned() })
        };
        // A token must not be sent to another machine.
        read().filter(|access| access.address.ip().is_loopback()).ok_or(AccessError::Damaged(path))
    }
}

/// The file; gone when this is.
pub struct Published {
    path: PathBuf,
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_found_and_only_the_token_is_admitted() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Access::of(folder.path()), Err(AccessError::None(_))));
        let access = Access::new("127.0.0.1:4711".parse().unwrap()).unwrap();
        let published = access.publish(folder.path()).unwrap();
        let found = Access::of(folder.path()).unwrap();
        assert_eq!(found.address, access.address);
        assert!(access.admits(&found.token));
        assert!(!access.admits("") && !access.admits(&found.token[1..]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(published);
        assert!(matches!(Access::of(folder.path()), Err(AccessError::None(_))));
        for wrong in ["", "{}", r#"{"address": "10.0.0.1:80", "token": "x"}"#, "\0"] {
            fs::write(folder.path().join(FILE), wrong).unwrap();
            assert!(matches!(Access::of(folder.path()), Err(AccessError::Damaged(_))), "{wrong}");
        }
    }
}
