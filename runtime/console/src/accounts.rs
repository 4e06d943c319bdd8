//! `users.json`: users with their passwords' hashes, and named tokens.
//!
//! ```json
//! {"version": 1,
//!  "users":  [{"name": "anna", "role": "engineer", "password": "$argon2id$v=19$...", "since": "2026-11-28T08:20:44.000Z"}],
//!  "tokens": [{"name": "scada", "role": "viewer", "hash": "<BLAKE3>", "since": "...", "expires_ms": 1790000000000}]}
//! ```
//! Readable by the gateway's user only, replaced as a whole, at most 256 users and 256 tokens.

use crate::home::replace;
use crate::role::{LOCAL, Role};
use crate::secret::token_hash;
use gwp_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file in the data directory.
const FILE: &str = "users.json";

/// A larger file is none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

const VERSION: u32 = 1;

/// Most users, and most tokens.
pub const ACCOUNTS_MAX: usize = 256;

/// Longest name of a user or token, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Who may log in with a password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub role: Role,
    /// A PHC string, see [`crate::secret::hash_password`].
    pub password: String,
    /// RFC 3339.
    pub since: String,
}

/// A program that is let in with a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// BLAKE3 of the token, in hexadecimal digits.
    pub hash: String,
    /// RFC 3339.
    pub since: String,
    /// Milliseconds since 1970; from then on it lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
}

impl Token {
    /// What is kept of a token.
    pub fn new(name: String, role: Role, secret: &str, expires_in_s: Option<u64>, now: Timestamp) -> Token {
        let life_ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Token {
            name,
            role,
            hash: blake3::Hash::from_bytes(token_hash(secret)).to_hex().to_string(),
            since: now.to_string(),
            expires_ms: expires_in_s.map(|seconds| now.millis().saturating_add(life_ms(seconds))),
        }
    }
}

/// Why accounts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    #[error("{0} cannot be read or written")]
    Io(PathBuf, #[source] io::Error),
    #[error("{0} is damaged: {1}; mend it, or remove it and add the users again with `gwp user add`")]
    Damaged(PathBuf, String),
    #[error("there is no {0} `{1}`")]
    NotFound(&'static str, String),
    #[error("there is a {0} `{1}` already")]
    Exists(&'static str, String),
    #[error("there are {ACCOUNTS_MAX} {0}s already; remove one first")]
    Full(&'static str),
    #[error(
        "`{0}` is no name: at most 64 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter, and not `local`"
    )]
    Name(String),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    users: Vec<User>,
    tokens: Vec<Token>,
}

/// Users and tokens of a data directory.
pub struct Accounts {
    path: PathBuf,
    content: Content,
}

/// Checks a new name.
///
/// # Errors
/// It is none.
pub fn check_name(name: &str) -> Result<(), AccountsError> {
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    match begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(known) && name != LOCAL {
        true => Ok(()),
        false => Err(AccountsError::Name(name.chars().take(NAME_BYTES_MAX).collect())),
    }
}

impl Accounts {
    /// Reads the file of a data directory; without one there is nobody.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(data: &Path) -> Result<Accounts, AccountsError> {
        let path = data.join(FILE);
        let empty = Content { version: VERSION, ..Content::default() };
        let size = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Accounts { path, content: empty });
            }
            Err(error) => return Err(AccountsError::Io(path, error)),
            Ok(meta) => meta.len(),
        };
        if size > FILE_BYTES_MAX {
            return Err(AccountsError::Damaged(path, format!("{size} bytes are too many")));
        }
        let bytes = match fs::read(&path) {
            Err(error) => return Err(AccountsError::Io(path, error)),
            Ok(bytes) => bytes,
        };
        match serde_json::from_slice::<Content>(&bytes) {
            Err(error) => Err(AccountsError::Damaged(path, error.to_string())),
            Ok(content) if content.version != VERSION => {
                let why = format!("version {} is not known to this gwp", content.version);
                Err(AccountsError::Damaged(path, why))
            }
            Ok(content) => Ok(Accounts { path, content }),
        }
    }

    pub fn users(&self) -> &[User] {
        &self.content.users
    }

    pub fn tokens(&self) -> &[Token] {
        &self.content.tokens
    }

    /// The user with a name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.content.users.iter().find(|user| user.name == name)
    }

    /// The named token that this one is, unless it has expired.
    pub fn token(&self, token: &str, now: Timestamp) -> Option<&Token> {
        let hash = blake3::Hash::from_bytes(token_hash(token));
        // Equality of hashes takes the same time wherever they differ.
        let found = self
            .content
            .tokens
            .iter()
            .find(|known| blake3::Hash::from_hex(&known.hash).is_ok_and(|known| known == hash));
        found.filter(|token| token.expires_ms.is_none_or(|expires| now.millis() < expires))
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The name is no name or in use, or there are too many; or the file cannot be written.
    pub fn add_user(&mut self, user: User) -> Result<(), AccountsError> {
        check_name(&user.name)?;
        if self.user(&user.name).is_some() {
            return Err(AccountsError::Exists("user", user.name));
        }
        if self.content.users.len() >= ACCOUNTS_MAX {
            return Err(AccountsError::Full("user"));
        }
        self.change(|content| content.users.push(user))
    }

    /// Gives a user another role, another password's hash, or both.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be written.
    pub fn change_user(
        &mut self,
        name: &str,
        role: Option<Role>,
        password: Option<String>,
    ) -> Result<(), AccountsError> {
        let at = self.content.users.iter().position(|user| user.name == name);
        let at = at.ok_or_else(|| AccountsError::NotFound("user", name.into()))?;
        self.change(|content| {
            if let Some(user) = content.users.get_mut(at) {
                user.role = role.unwrap_or(user.role);
                user.password = password.unwrap_or_else(|| std::mem::take(&mut user.password));
            }
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be written.
    pub fn remove_user(&mut self, name: &str) -> Result<(), AccountsError> {
        if self.user(name).is_none() {
            return Err(AccountsError::NotFound("user", name.into()));
        }
        self.change(|content| content.users.retain(|user| user.name != name))
    }

    /// Adds a token.
    ///
    /// # Errors
    /// The name is no name or in use, or there are too many; or the file cannot be written.
    pub fn add_token(&mut self, token: Token) -> Result<(), AccountsError> {
        check_name(&token.name)?;
        if self.content.tokens.iter().any(|known| known.name == token.name) {
            return Err(AccountsError::Exists("token", token.name));
        }
        if self.content.tokens.len() >= ACCOUNTS_MAX {
            return Err(AccountsError::Full("token"));
        }
        self.change(|content| content.tokens.push(token))
    }

    /// Removes a token.
    ///
    /// # Errors
    /// There is no such token, or the file cannot be written.
    pub fn remove_token(&mut self, name: &str) -> Result<(), AccountsError> {
        if !self.content.tokens.iter().any(|token| token.name == name) {
            return Err(AccountsError::NotFound("token", name.into()));
        }
        self.change(|content| content.tokens.retain(|token| token.name != name))
    }

    /// Changes what is kept; what cannot be written is not kept.
    fn change(&mut self, change: impl FnOnce(&mut Content)) -> Result<(), AccountsError> {
        let (users, tokens) = (self.content.users.clone(), self.content.tokens.clone());
        let mut content = Content { version: VERSION, users, tokens };
        change(&mut content);
        let text = serde_json::to_vec_pretty(&content).map_err(io::Error::from);
        let written = text.and_then(|text| replace(&self.path, &text));
        written.map_err(|error| AccountsError::Io(self.path.clone(), error))?;
        self.content = content;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User { name: name.into(), role: Role::Viewer, password: "$x".into(), since: "then".into() }
    }

    fn token(name: &str, text: &str, expires_ms: Option<i64>) -> Token {
        let hash = blake3::Hash::from_bytes(token_hash(text)).to_hex().to_string();
        Token { name: name.into(), role: Role::Operator, hash, since: "then".into(), expires_ms }
    }

    #[test]
    fn what_is_changed_is_found_again_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut accounts = Accounts::load(folder.path()).unwrap();
        accounts.add_user(user("anna")).unwrap();
        accounts.add_user(user("bert")).unwrap();
        accounts.change_user("anna", Some(Role::Admin), None).unwrap();
        accounts.change_user("bert", None, Some("$y".into())).unwrap();
        accounts.add_token(token("scada", "s3cret", None)).unwrap();
        assert!(matches!(accounts.add_user(user("anna")), Err(AccountsError::Exists(..))));
        assert!(matches!(accounts.add_token(token("scada", "x", None)), Err(AccountsError::Exists(..))));
        assert!(matches!(accounts.remove_user("carl"), Err(AccountsError::NotFound(..))));
        let mut again = Accounts::load(folder.path()).unwrap();
        let anna = again.user("anna").unwrap();
        assert_eq!((anna.role, &*anna.password), (Role::Admin, "$x"));
        let bert = again.user("bert").unwrap();
        assert_eq!((bert.role, &*bert.password), (Role::Viewer, "$y"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        again.remove_user("anna").unwrap();
        again.remove_token("scada").unwrap();
        let last = Accounts::load(folder.path()).unwrap();
        assert_eq!((last.users().len(), last.tokens().len()), (1, 0));
    }

    #[test]
    fn a_token_is_found_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let mut accounts = Accounts::load(folder.path()).unwrap();
        accounts.add_token(token("scada", "s3cret", Some(5_000))).unwrap();
        let named =
            |text: &str, ms: i64| accounts.token(text, Timestamp::from_millis(ms)).map(|found| &*found.name);
        assert_eq!(named("s3cret", 4_999), Some("scada"));
        assert_eq!(named("s3cret", 5_000), None);
        assert_eq!(named("s3cre", 0), None);
    }

    #[test]
    fn names_and_numbers_are_bounded() {
        for wrong in ["", "local", "Anna", "9a", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_name("anna.b-c_9").is_ok());
        let folder = tempfile::tempdir().unwrap();
        let mut accounts = Accounts::load(folder.path()).unwrap();
        accounts.content.users = (0..ACCOUNTS_MAX).map(|number| user(&format!("u{number}"))).collect();
        assert!(matches!(accounts.add_user(user("one.more")), Err(AccountsError::Full(_))));
    }

    #[test]
    fn a_damaged_file_lets_nobody_in_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in [
            "",
            "{}",
            r#"{"version": 2, "users": [], "tokens": []}"#,
            r#"{"version": 1, "users": [], "tokens": [], "more": 1}"#,
        ] {
            fs::write(folder.path().join(FILE), wrong).unwrap();
            assert!(matches!(Accounts::load(folder.path()), Err(AccountsError::Damaged(..))), "{wrong}");
        }
    }
}
