//! The gateway's own application certificate and its key.
//!
//! Made once and never overwritten: every server's operator has to trust it by hand. The whole folder appears
//! at once, so neither a second process nor a crash leaves half of it.

use super::certificate::Facts;
use super::store::StoreError;
use jiff::Timestamp;
use opcua::crypto::{X509, X509Data};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use x509_cert::der::pem::LineEnding;

/// Valid for ten years: replacing it means a visit to every server.
const VALID_DAYS: u32 = 3_650;
/// From this many days before its end on it is warned about.
const WARN_DAYS: i64 = 60;
/// What every OPC UA server takes; longer ones are slow on small PLCs.
const KEY_BITS: u32 = 2_048;

/// Certificate and key of this gateway.
#[derive(Clone, Debug)]
pub struct Own {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub facts: Facts,
}

impl Own {
    /// The application URI, by which servers know the gateway.
    pub fn application_uri(&self) -> &str {
        self.facts.application_uri.as_deref().unwrap_or("urn:gwp")
    }

    /// What an operator should know of its end; `None` while that is far away.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let days = self.facts.days_left(now);
        let folder = self.certificate.parent().unwrap_or(Path::new("")).display();
        let remedy = format!(
            "to have a new one, move {folder} away and start again; then trust the new certificate on every server"
        );
        match days {
            ..0 => {
                Some(format!("the gateway's OPC UA certificate ended {:.0}; {remedy}", self.facts.not_after))
            }
            0..=WARN_DAYS => Some(format!(
                "the gateway's OPC UA certificate ends in {days} days ({:.0}); {remedy}",
                self.facts.not_after
            )),
            _ => None,
        }
    }
}

/// Paths of certificate and key below the folder of the pki.
pub fn paths() -> (PathBuf, PathBuf) {
    (Path::new("own").join("cert.der"), Path::new("own").join("key.pem"))
}

/// Reads certificate and key; makes them when neither is there. Takes some tenths of a second then.
///
/// # Errors
/// One of them is missing or damaged, or the folder cannot be written.
pub fn open(pki: &Path) -> Result<Own, StoreError> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _guard = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = pki.join("own");
    let has_content = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    if !has_content {
        make(pki, &folder)?;
    }
    read(pki)?.ok_or(StoreError::Half { folder })
}

/// Reads certificate and key; `None` when there are none yet.
///
/// # Errors
/// One of them is missing or damaged.
pub fn read(pki: &Path) -> Result<Option<Own>, StoreError> {
    let (certificate, key) = paths();
    let (certificate, key) = (pki.join(certificate), pki.join(key));
    match (certificate.exists(), key.exists()) {
        (false, false) => return Ok(None),
        (true, true) => {}
        _ => return Err(StoreError::Half { folder: pki.join("own") }),
    }
    let bytes = fs::read(&certificate).map_err(|error| StoreError::io("read", &certificate, error))?;
    let facts = Facts::of_bytes(&bytes)
        .map_err(|unfit| StoreError::Certificate { file: certificate.clone(), unfit })?;
    opcua::crypto::CertificateStore::read_pkey(&key).map_err(|_| StoreError::Key { file: key.clone() })?;
    Ok(Some(Own { certificate, key, facts }))
}

fn make(pki: &Path, folder: &Path) -> Result<(), StoreError> {
    let host = opcua::crypto::hostname().unwrap_or_default();
    let host: String =
        host.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(60).collect();
    let host = if host.is_empty() { "localhost".into() } else { host };
    // Distinguishes gateways on one machine, and a later certificate from this one: the library numbers all
    // certificates alike, so the name has to tell them apart.
    let distinct = distinct();
    let uri = format!("urn:{host}:gwp:{distinct}");
    let data = X509Data {
        key_size: KEY_BITS,
        common_name: format!("gwp on {host}"),
        organization: "gwp".into(),
        organizational_unit: distinct,
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(&uri, Some(vec![host]), false, false, false),
        certificate_duration_days: VALID_DAYS,
    };
    let (certificate, key) = X509::cert_and_pkey(&data).map_err(|why| StoreError::Make { why })?;
    let der = certificate.to_der().map_err(|error| StoreError::Make { why: error.to_string() })?;
    let key = key.to_der().map_err(|error| StoreError::Make { why: error.to_string() })?;
    let key = key
        .to_pem("PRIVATE KEY", LineEnding::LF)
        .map_err(|error| StoreError::Make { why: error.to_string() })?;

    let fresh = pki.join(format!("own.new-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    make_private_folder(&fresh)?;
    write_new(&fresh.join("key.pem"), key.as_bytes(), true)?;
    write_new(&fresh.join("cert.der"), &der, false)?;
    // Fails if another process was first: then its certificate counts.
    let moved = fs::remove_dir(folder).or_else(absent_is_fine).and_then(|()| fs::rename(&fresh, folder));
    if let Err(error) = moved {
        let _ = fs::remove_dir_all(&fresh);
        if !folder.exists() {
            return Err(StoreError::io("write", folder, error));
        }
    }
    Ok(())
}

fn absent_is_fine(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        _ => Err(error),
    }
}

/// Sixteen hexadecimal digits, different each time.
fn distinct() -> String {
    opcua::types::Guid::new().to_string().chars().filter(char::is_ascii_hexdigit).take(16).collect()
}

fn make_private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| StoreError::io("make", folder, error))
}

/// Writes a file that must not be there yet and makes it durable; `private`: for its owner only.
pub(super) fn write_new(path: &Path, bytes: &[u8], private: bool) -> Result<(), StoreError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    options
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| StoreError::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    #[test]
    fn it_is_made_once_and_stays() {
        let pki = crate::scratch("own");
        assert!(read(&pki).unwrap().is_none());
        let own = open(&pki).unwrap();
        assert!(own.application_uri().starts_with("urn:") && own.application_uri().contains(":gwp:"));
        assert_eq!(own.facts.hosts.len(), 1, "{:?}", own.facts);
        assert_eq!(own.facts.key_bits, Some(2048));
        own.facts.check(Timestamp::now()).unwrap();
        assert!(own.facts.days_left(Timestamp::now()) > 3_600);
        let again = open(&pki).unwrap();
        assert_eq!(again.facts.der, own.facts.der);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&own.key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // The end is told of, in time.
        let end = own.facts.not_after;
        assert_eq!(own.warning(end - (61 * 24).hours()), None);
        let warned = own.warning(end - (30 * 24).hours()).unwrap();
        assert!(
            warned.contains("ends in 30 days") && warned.contains("trust the new certificate"),
            "{warned}"
        );
        assert!(own.warning(end + 48.hours()).unwrap().contains("ended"));

        // Half of it is never completed with a key that fits nothing.
        fs::remove_file(&own.key).unwrap();
        assert!(matches!(open(&pki), Err(StoreError::Half { .. })));
        assert!(own.certificate.exists());
        fs::remove_dir_all(&pki).unwrap();
    }
}
