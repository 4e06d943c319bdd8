//! What a certificate says, and whether it fits a server: pure.

use jiff::Timestamp;
use opcua::crypto::{CertificateStore, X509};
use std::net::IpAddr;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::pem::LineEnding;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Larger files and answers are no certificates.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Names of a certificate that are kept.
const NAMES_MAX: usize = 32;

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// SHA-1 of the certificate in small hexadecimal digits, as OPC UA tools show it.
    pub thumbprint: String,
    /// `CN=line 1,O=Acme`.
    pub subject: String,
    pub application_uri: Option<String>,
    /// Host names and addresses.
    pub hosts: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Length of the RSA key; `None` for other keys.
    pub key_bits: Option<usize>,
    pub der: Vec<u8>,
    /// The name under which the library looks for it.
    pub file_name: String,
}

/// Why a certificate cannot be used for a server.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    #[error("it is no X.509 certificate in DER or PEM")]
    Unreadable,
    #[error("it is a chain of certificates; only a server's own certificate is understood")]
    Chain,
    #[error("it is not valid before {0:.0}; is the clock of this machine right?")]
    TooEarly(Timestamp),
    #[error("it ended {0:.0}; the server needs a new one, or the clock of this machine is wrong")]
    Ended(Timestamp),
    #[error("it is for {}, not for {wanted}", if hosts.is_empty() { "no host".into() } else { hosts.join(", ") })]
    Host { wanted: String, hosts: Vec<String> },
    #[error("it is for the application {}, but the server says it is {wanted}", .has.as_deref().unwrap_or("(none)"))]
    Application { wanted: String, has: Option<String> },
    #[error("its key has {0} bits; OPC UA wants RSA keys of 2048 to 4096")]
    Key(usize),
    #[error("its key is no RSA key")]
    NotRsa,
}

impl Facts {
    /// Reads a certificate in DER or PEM.
    ///
    /// # Errors
    /// It is none, or a chain.
    pub fn of_bytes(bytes: &[u8]) -> Result<Facts, Unfit> {
        if bytes.len() > CERTIFICATE_BYTES_MAX {
            return Err(Unfit::Unreadable);
        }
        let pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
        let read = if pem { X509::from_pem(bytes.trim_ascii_start()) } else { X509::from_der(bytes) };
        let x509 = read.map_err(|_| if is_chain(bytes) { Unfit::Chain } else { Unfit::Unreadable })?;
        let der = x509.to_der().map_err(|_| Unfit::Unreadable)?;
        let parsed = Certificate::from_der(&der).map_err(|_| Unfit::Unreadable)?;
        let time = |unix: std::time::Duration| {
            Timestamp::from_second(i64::try_from(unix.as_secs()).unwrap_or(i64::MAX))
                .unwrap_or(Timestamp::MAX)
        };
        let validity = &parsed.tbs_certificate.validity;
        let (application_uri, hosts) = alternative_names(&parsed);
        Ok(Facts {
            thumbprint: x509.thumbprint().as_hex_string(),
            subject: printable(&parsed.tbs_certificate.subject.to_string()),
            application_uri,
            hosts,
            not_before: time(validity.not_before.to_unix_duration()),
            not_after: time(validity.not_after.to_unix_duration()),
            key_bits: x509.key_length().ok(),
            file_name: CertificateStore::cert_file_name(&x509),
            der,
        })
    }

    /// Whether it is valid now and has a key that OPC UA allows.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now: Timestamp) -> Result<(), Unfit> {
        if now < self.not_before {
            return Err(Unfit::TooEarly(self.not_before));
        }
        if now > self.not_after {
            return Err(Unfit::Ended(self.not_after));
        }
        match self.key_bits {
            Some(2048..=4096) => Ok(()),
            Some(bits) => Err(Unfit::Key(bits)),
            None => Err(Unfit::NotRsa),
        }
    }

    /// Whether it is that of `host` and of the application that the server says it is.
    ///
    /// # Errors
    /// Which of them differs.
    pub fn check_names(&self, host: &str, application_uri: &str) -> Result<(), Unfit> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = bare.parse().ok();
        let same = |name: &String| match address {
            Some(address) => name.parse() == Ok(address),
            None => name.eq_ignore_ascii_case(bare),
        };
        if !self.hosts.iter().any(same) {
            return Err(Unfit::Host { wanted: bare.into(), hosts: self.hosts.clone() });
        }
        if self.application_uri.as_deref() != Some(application_uri) {
            let has = self.application_uri.clone();
            return Err(Unfit::Application { wanted: application_uri.into(), has });
        }
        Ok(())
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        let label = "CERTIFICATE";
        x509_cert::der::pem::encode_string(label, LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// Whole days until it ends; negative when it has ended.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }
}

/// A certificate followed by others, as servers with an authority send it.
fn is_chain(bytes: &[u8]) -> bool {
    let Ok(mut reader) = x509_cert::der::SliceReader::new(bytes) else { return false };
    use x509_cert::der::Reader;
    reader.decode::<Certificate>().is_ok() && !reader.is_finished()
}

fn alternative_names(certificate: &Certificate) -> (Option<String>, Vec<String>) {
    let mut uri = None;
    let mut hosts = Vec::new();
    let Ok(Some((_, names))) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return (None, hosts);
    };
    for name in names.0.iter().take(NAMES_MAX) {
        match name {
            GeneralName::UniformResourceIdentifier(text) if uri.is_none() => {
                uri = Some(printable(text.as_str()))
            }
            GeneralName::DnsName(text) => hosts.push(printable(text.as_str())),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
                hosts.extend(v4.or(v6).map(|address| address.to_string()));
            }
            _ => {}
        }
    }
    (uri, hosts)
}

/// Text of others without what would steer a terminal, and not longer than a line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(crate) mod tests;
