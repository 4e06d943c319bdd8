//! What a connection is asked for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How messages are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Neither signed nor encrypted: anybody on the way can read and change them.
    None,
    /// Signed, and readable.
    Sign,
    /// Signed and encrypted.
    #[default]
    SignAndEncrypt,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::None, Mode::Sign, Mode::SignAndEncrypt];

    /// The word in a program.
    pub const fn word(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Sign => "sign",
            Mode::SignAndEncrypt => "sign_and_encrypt",
        }
    }

    /// The mode of a word.
    pub fn of_word(word: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Set of algorithms of a secure channel. Those that are not here are broken or not spoken by the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    Basic256Sha256,
    Aes128Sha256RsaOaep,
    Aes256Sha256RsaPss,
}

impl Policy {
    /// The best first.
    pub const ALL: [Policy; 3] =
        [Policy::Aes256Sha256RsaPss, Policy::Aes128Sha256RsaOaep, Policy::Basic256Sha256];

    /// The word in a program.
    pub const fn word(self) -> &'static str {
        match self {
            Policy::Basic256Sha256 => "basic256_sha256",
            Policy::Aes128Sha256RsaOaep => "aes128_sha256_rsa_oaep",
            Policy::Aes256Sha256RsaPss => "aes256_sha256_rsa_pss",
        }
    }

    /// Its name in the standard, by which servers list it.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Basic256Sha256 => "Basic256Sha256",
            Policy::Aes128Sha256RsaOaep => "Aes128_Sha256_RsaOaep",
            Policy::Aes256Sha256RsaPss => "Aes256_Sha256_RsaPss",
        }
    }

    /// The policy of a word, in the spelling of a program or of the standard.
    pub fn of_word(word: &str) -> Option<Policy> {
        let bare = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        Policy::ALL.into_iter().find(|policy| bare(policy.word()) == bare(word))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As whom the gateway logs in.
#[derive(Clone, Default)]
pub enum Identity {
    #[default]
    Anonymous,
    User {
        name: String,
        password: String,
    },
    /// Files of the node: the user's certificate (DER or PEM) and its private key (PEM).
    Certificate {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl Identity {
    /// What it is called in messages.
    pub const fn words(&self) -> &'static str {
        match self {
            Identity::Anonymous => "anonymous",
            Identity::User { .. } => "user and password",
            Identity::Certificate { .. } => "user certificate",
        }
    }
}

impl fmt::Debug for Identity {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Anonymous => f.write_str("Anonymous"),
            Identity::User { name, .. } => write!(f, "User({name})"),
            Identity::Certificate { certificate, .. } => write!(f, "Certificate({})", certificate.display()),
        }
    }
}

/// All of a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// `opc.tcp://host:4840`, with a path if the server has one. Always this address is connected to, whatever
    /// the server says of itself, so that it may stand behind a router.
    pub url: String,
    pub mode: Mode,
    /// `None` takes the best that the server offers.
    pub policy: Option<Policy>,
    pub identity: Identity,
    /// Compares host name and application URI of the server's certificate with address and server. Without it
    /// the certificate must still be trusted and valid.
    pub check_names: bool,
    /// How long the server keeps a session of which it hears nothing.
    pub session_timeout: Duration,
    /// Longest time from a request to its answer.
    pub request_timeout: Duration,
    /// Longest time until the session stands.
    pub connect_timeout: Duration,
    /// Time without traffic after which the server is asked for a sign of life.
    pub keep_alive: Duration,
    /// Folder with `own`, `trusted` and `rejected`.
    pub pki: PathBuf,
    /// Name of the session in the server's diagnostics.
    pub session_name: String,
}

impl Options {
    /// Security and times as by default.
    pub fn new(url: impl Into<String>, pki: impl Into<PathBuf>) -> Options {
        Options {
            url: url.into(),
            mode: Mode::default(),
            policy: None,
            identity: Identity::default(),
            check_names: true,
            session_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            pki: pki.into(),
            session_name: "gwp".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for mode in Mode::ALL {
            assert_eq!(Mode::of_word(mode.word()), Some(mode));
        }
        for policy in Policy::ALL {
            assert_eq!(Policy::of_word(policy.word()), Some(policy));
            assert_eq!(Policy::of_word(policy.name()), Some(policy));
        }
        assert_eq!(Policy::of_word("Basic256"), None);
        assert_eq!(Mode::of_word("encrypt"), None);
    }

    #[test]
    fn a_password_is_never_printed() {
        let mut options = Options::new("opc.tcp://plc", "pki");
        options.identity = Identity::User { name: "anna".into(), password: "hunter2".into() };
        let printed = format!("{options:?}");
        assert!(printed.contains("anna") && !printed.contains("hunter2"), "{printed}");
    }
}
