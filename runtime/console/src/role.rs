//! Who may do what: four roles, each of which may do what the ones before it may.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What somebody may do; a later one may do all that an earlier one may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks: status, alarms, history, journals, live values.
    Viewer,
    /// Also gives orders to alarms and writes to tags.
    Operator,
    /// Also changes what runs.
    Engineer,
    /// Also users, tokens, the audit log, and the end of the process.
    Admin,
}

/// All roles, the least first.
pub const ROLES: [Role; 4] = [Role::Viewer, Role::Operator, Role::Engineer, Role::Admin];

impl Role {
    /// As files and answers write it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Engineer => "engineer",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let found = ROLES.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| format!("`{text}` is no role: viewer, operator, engineer or admin"))
    }
}

/// How somebody was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// The token of `control.json`, over loopback.
    Local,
    /// A password; the number is the hash of the session's token.
    Session([u8; 32]),
    /// A named token; the number is its hash.
    Token([u8; 32]),
}

/// Somebody who was let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    pub means: Means,
}

impl Caller {
    /// Who has the token of `control.json`.
    pub fn local() -> Caller {
        Caller { name: LOCAL.into(), role: Role::Admin, means: Means::Local }
    }
}

/// Name of who has the token of `control.json`; no user or token can be called so.
pub const LOCAL: &str = "local";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_rise_and_are_read_as_they_are_written() {
        assert!(ROLES.windows(2).all(|pair| pair[0] < pair[1]));
        for role in ROLES {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
        }
        assert!("root".parse::<Role>().unwrap_err().contains("viewer"));
    }
}
