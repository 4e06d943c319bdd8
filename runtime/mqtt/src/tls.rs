//! TLS of the connection: rustls with ring, named explicitly.
//!
//! The provider is handed over here and never taken from a process default, so
//! it works in any process and beside any other user of rustls.

use crate::link::TlsFiles;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Where Linux distributions keep the authorities they trust: Debian and Alpine, Fedora and RHEL, SUSE, others.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why there is no TLS configuration. A person must act on each of them.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read `{file}`")]
    Unreadable { file: String, source: PemError },
    #[error("`{file}` holds no certificate that can be used")]
    NoCertificate { file: String },
    #[error("this node has no list of trusted authorities: name the broker's with `ca`")]
    NoAuthorities,
    #[error("`{cert}` and `{key}` make no client certificate")]
    Client { cert: String, key: String, source: rustls::Error },
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Reads the files and makes a configuration; done at each connect, so renewed files are taken.
///
/// # Errors
/// When a file is missing or not what it should be.
pub fn configure(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(files.ca.as_deref())?);
    let Some((cert, key)) = &files.client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Unreadable { file: key.clone(), source })?;
    builder.with_client_auth_cert(chain, private).map_err(|source| TlsError::Client {
        cert: cert.clone(),
        key: key.clone(),
        source,
    })
}

fn authorities(ca: Option<&str>) -> Result<RootCertStore, TlsError> {
    let file = match ca {
        Some(file) => file,
        None => SYSTEM_AUTHORITIES
            .into_iter()
            .find(|file| Path::new(file).exists())
            .ok_or(TlsError::NoAuthorities)?,
    };
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates(file)?);
    if usable == 0 { Err(TlsError::NoCertificate { file: file.into() }) } else { Ok(store) }
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: file.into(), source };
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if all.is_empty() { Err(TlsError::NoCertificate { file: file.into() }) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.pem").to_string_lossy().into_owned();
        let error = configure(&TlsFiles { ca: Some(missing.clone()), client: None }).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read `{missing}`"));

        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        let empty = empty.to_string_lossy().into_owned();
        let error = configure(&TlsFiles { ca: Some(empty.clone()), client: None }).unwrap_err();
        assert_eq!(error.to_string(), format!("`{empty}` holds no certificate that can be used"));
    }
}
