//! What goes wrong while a session is made, in plant words and with what mends it: pure.

use super::certificate::Unfit;
use super::connect::Context;
use super::endpoint::NoEndpoint;
use super::options::{Identity, Mode};
use super::store::StoreError;
use opcua::types::StatusCode;
use std::path::PathBuf;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{url} is no address of an OPC UA server; it looks like opc.tcp://10.1.4.40:4840")]
    Address { url: String },
    #[error(
        "nothing answers at {url} ({why}): is the server on, are host and port right, is a firewall between?"
    )]
    Unreachable { url: String, why: String },
    #[error(
        "what answers at {url} does not list its endpoints ({why}): is it an OPC UA server over opc.tcp?"
    )]
    NoServer { url: String, why: String },
    #[error("{0}")]
    Endpoint(#[from] NoEndpoint),
    #[error(
        "the certificate of {url} is not trusted: {subject}, thumbprint {thumbprint}. If it is the server's (compare \
         the thumbprint there), run `gwp certs trust {thumbprint} --pki {pki}`; it lies in {file}",
        file = .file.display(),
        pki = .pki.display()
    )]
    Untrusted { url: String, subject: String, thumbprint: String, file: PathBuf, pki: PathBuf },
    #[error("the certificate of {url} cannot be used: {unfit} (thumbprint {thumbprint})")]
    Unfit { url: String, thumbprint: String, unfit: Unfit },
    #[error(
        "the certificate of {url} cannot be used: {unfit}. If it is the right one, set the address to what it is for, \
         or say `check_names = false`, `--ignore-names` with `gwp browse` (the certificate must still be trusted)"
    )]
    Names { url: String, unfit: Unfit },
    #[error(
        "{url} ended the secure connection ({status}): most likely it does not trust the gateway yet. Trust \
         {certificate} there (thumbprint {thumbprint}; `gwp certs export own.der` writes a copy), often by moving it \
         from the server's list of rejected certificates",
        certificate = .certificate.display()
    )]
    NotTrustedThere { url: String, status: StatusCode, certificate: PathBuf, thumbprint: String },
    #[error("{url} refuses the gateway's certificate {certificate}: {why} ({status})", certificate = .certificate.display())]
    CertificateThere { url: String, status: StatusCode, certificate: PathBuf, why: &'static str },
    #[error("{url} refuses {who} ({status}): {remedy}")]
    Login { url: String, status: StatusCode, who: String, remedy: &'static str },
    #[error(
        "{url} has no session left ({status}): end one, or wait until those of lost connections have timed out"
    )]
    Full { url: String, status: StatusCode },
    #[error("{url} did not answer within {seconds} s")]
    Silent { url: String, seconds: u64 },
    #[error("no session with {url}: {status}")]
    Other { url: String, status: StatusCode },
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl ConnectError {
    /// True when only a person can mend it: trying again soon is no use, and may lock a user out.
    pub fn needs_person(&self) -> bool {
        match self {
            ConnectError::Unreachable { .. }
            | ConnectError::NoServer { .. }
            | ConnectError::Full { .. }
            | ConnectError::Silent { .. }
            | ConnectError::Other { .. } => false,
            ConnectError::Address { .. }
            | ConnectError::Endpoint(_)
            | ConnectError::Untrusted { .. }
            | ConnectError::Unfit { .. }
            | ConnectError::Names { .. }
            | ConnectError::NotTrustedThere { .. }
            | ConnectError::CertificateThere { .. }
            | ConnectError::Login { .. }
            | ConnectError::Store(_) => true,
        }
    }

    /// True when trying again at all is harmful: a server may lock a user after some wrong passwords.
    pub fn locks_out(&self) -> bool {
        matches!(self, ConnectError::Login { .. })
    }
}

/// What a status means that ended a session or the making of one.
pub fn explain(status: StatusCode, at: &Context) -> ConnectError {
    use StatusCode as S;
    let url = at.url.clone();
    let certificate = at.own_certificate.clone();
    let secure = at.mode != Mode::None;
    match status {
        S::BadUserAccessDenied | S::BadIdentityTokenRejected | S::BadIdentityTokenInvalid => {
            let (who, remedy) = login(&at.identity);
            ConnectError::Login { url, status, who, remedy }
        }
        S::BadTooManySessions
        | S::BadTcpNotEnoughResources
        | S::BadMaxConnectionsReached
        | S::BadTcpServerTooBusy => ConnectError::Full { url, status },
        _ if !secure => ConnectError::Other { url, status },
        S::BadSecureChannelClosed | S::BadConnectionClosed | S::BadConnectionRejected if at.has_stood => {
            ConnectError::Other { url, status }
        }
        S::BadCertificateTimeInvalid | S::BadCertificateIssuerTimeInvalid => {
            let why = "it has ended, or the server's clock is wrong";
            ConnectError::CertificateThere { url, status, certificate, why }
        }
        S::BadCertificateUriInvalid | S::BadCertificateHostNameInvalid => {
            let why = "its names are not those that the server expects";
            ConnectError::CertificateThere { url, status, certificate, why }
        }
        S::BadCertificateUseNotAllowed | S::BadCertificatePolicyCheckFailed => {
            let why = "the server wants other properties of it; put one made by your authority in its place";
            ConnectError::CertificateThere { url, status, certificate, why }
        }
        S::BadCertificateRevoked | S::BadCertificateIssuerRevoked => {
            let why = "it is on the server's list of revoked ones";
            ConnectError::CertificateThere { url, status, certificate, why }
        }
        S::BadSecurityChecksFailed
        | S::BadCertificateUntrusted
        | S::BadCertificateChainIncomplete
        | S::BadCertificateInvalid
        | S::BadSecureChannelClosed
        | S::BadConnectionClosed
        | S::BadConnectionRejected
        | S::BadSecurityPolicyRejected => {
            ConnectError::NotTrustedThere { url, status, certificate, thumbprint: at.own_thumbprint.clone() }
        }
        _ => ConnectError::Other { url, status },
    }
}

fn login(identity: &Identity) -> (String, &'static str) {
    match identity {
        Identity::Anonymous => {
            ("a login without a user".into(), "give this source a user and a password, or a user certificate")
        }
        Identity::User { name, .. } => (
            format!("the user {name}"),
            "check user and password; it is not tried again soon, so that the user is not locked",
        ),
        Identity::Certificate { certificate, .. } => (
            format!("the user certificate {}", certificate.display()),
            "trust it on the server, as that of a user",
        ),
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
