//! The protocol as pure functions from bytes to bytes: no socket, no clock.
//!
//! ```text
//! frame      TPKT (RFC 1006) around COTP class 0 (ISO 8073 = ITU-T X.224)
//! telegram   S7 communication inside it: setup, read var, write var
//! refusal    what a PLC says when it does not do what it is asked, in words
//! summary    what a packet says, in a few words
//! ```
//! RFC 1006 and X.224 are public standards. For S7 communication there is none: field names and
//! code numbers here are those under which the protocol is publicly known, as the dissector of
//! Wireshark shows them, and were checked against a server of other people's making.

pub mod frame;
pub mod refusal;
pub mod summary;
pub mod telegram;

/// Bytes that are no part of the protocol, or not in this place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    pub fn new(what: impl Into<String>) -> Malformed {
        Malformed(what.into())
    }
}
