//! TLS of the control interface: certificate and key of this machine, from PEM files.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where certificate and key stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// PEM: the certificate of this machine, then those between it and the authority.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, String),
    #[error("{0} has no certificate: it holds `-----BEGIN CERTIFICATE-----`")]
    NoCertificate(PathBuf),
    #[error("{0} and {1} cannot be used: {2}; the key must be the one of the first certificate")]
    Unusable(PathBuf, PathBuf, rustls::Error),
}

/// Certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |error: rustls::pki_types::pem::Error| TlsError::Read(path.into(), error.to_string());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    let found = found.map_err(read)?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate(path.into()));
    }
    Ok(found)
}

/// What agrees on TLS 1.2 or 1.3 with clients.
///
/// # Errors
/// The files cannot be read, or do not fit each other.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::Read(files.key.clone(), error.to_string()))?;
    let unusable = |error| TlsError::Unusable(files.certificate.clone(), files.key.clone(), error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
