//! What the two nodes say on their stream: the store, commit by commit, and what is said about it.
//!
//! ```text
//!  standby                                             active
//!     | Join: where I stand ----------------------------> |
//!     | <------ Follow | SetAside | Resync | Refused ---- |
//!     |         (Resync: Piece*, PiecesEnd)               |
//!     | <---------------------------------------- Frame* |
//!     | Acknowledge*, AskTime*, Readings (fill)* -------> |
//!     | <------------------------------------------ Time* |
//!     | Readings (rejoin): what only I have ------------> |
//!     | <---------------- KeptBy, before the next of them |
//!     | Ping, while a whole store is copied ------------> |
//! ```
//!
//! ```text
//! length u32 (of what follows) | version u8 | kind u8 | fields | bytes to the end
//! ```
//! Little-endian, one form for every message. Length, version and kind are looked at before room is
//! made for the rest, and room is made as it arrives: nobody makes a node allocate what it does
//! not send.
//!
//! Who may say what follows from the roles, which change: the caller looks at it. The frames and
//! pieces are the store's, opaque here, and checked there.

mod form;
mod link;

pub use link::{Receiver, Sender, split};

use crate::apart::Apart;
use gwp_core::Position;
use gwp_redundancy::limits::EPOCHS_KEPT;
use gwp_redundancy::member::Epoch;
use gwp_redundancy::mirror::fill::From;
use gwp_redundancy::mirror::{Head, History, Place, RunningHash};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Version of this form.
pub const VERSION: u8 = 2;

/// Longest frame, and longest piece, of a store: what the journal makes of one change at most.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest readings in one message.
pub const READINGS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest reason in [`Message::Refused`]; what is longer is cut.
pub const REASON_BYTES_MAX: usize = 1024;
/// Bytes that wait in a [`Sender`] before it wants to be flushed. One message may go beyond it.
pub const BACKLOG_BYTES: usize = 1024 * 1024;

/// One message. Opaque bytes are shared, not copied, on their way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Either way: I am here. Proves nothing else.
    Ping,
    /// Standby: this is where my store stands, what next?
    Join(Join),
    /// Standby: how far the copy is in memory and on disk.
    Acknowledge { received: Place, durable: Place },
    /// Standby: readings that the active's log may lack. Those of its shadow ([`From::Fill`]) have no answer, it comes
    /// with the copy. Those of a store that it has set aside ([`From::Rejoin`]) are answered by [`Message::KeptBy`],
    /// and not sent before the ones before are; none of them asks for that answer alone. Never [`From::Own`].
    Readings { from: From, bytes: Arc<[u8]> },
    /// Standby: what time is it at the active? `sent` by its own clock; `apart` is what it knows so far.
    AskTime { sent: i64, apart: Option<Apart> },
    /// Active: when the question came and when this answer went, by its own clock.
    Time { sent: i64, received: i64, answered: i64 },
    /// Active: your store is the beginning of mine; frames after this place follow.
    Follow { after: Place },
    /// Active: set aside what you have above this position, and join again.
    SetAside { above: Position },
    /// Active: start empty; the pieces of a full copy of my store at this place follow.
    Resync { after: Place, hash: RunningHash },
    /// Active: one commit. `head.bytes` is the length of `bytes`, and stands once.
    Frame { head: Head, bytes: Arc<[u8]> },
    /// Active: a piece of a full copy.
    Piece { bytes: Arc<[u8]> },
    /// Active: those were all the pieces of the copy at this place; frames after it follow.
    PiecesEnd { place: Place, hash: RunningHash, pieces: u32 },
    /// Active: all that was handed over so far stands at or before this place, which is durable here; but for so many
    /// of the last readings, which were refused, as they are of another plan.
    KeptBy { place: Place, refused: u32 },
    /// Either way: I will not go on, and why; for the operator.
    Refused { why: String },
}

/// Where the store of a node that joins stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// Newest epoch it has heard of.
    pub epoch: Epoch,
    pub incarnation: [u8; 16],
    pub place: Place,
    /// Running hash up to there.
    pub hash: RunningHash,
    /// False while a full copy of it is not finished.
    pub complete: bool,
    /// Where the epochs of its log end.
    pub history: History,
}

/// Why a message was not sent or not received. After any but [`BulkError::Full`],
/// [`BulkError::TooLarge`] and [`BulkError::HeadLength`] the stream is to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error("the stream to the peer broke: {0}")]
    Io(io::Error),
    #[error("the peer closed the stream")]
    Closed,
    #[error("the stream ended within a message, after {0} bytes of it: the peer or the network went down")]
    Cut(usize),
    #[error("nothing was heard of the peer for {0:?}")]
    Silent(Duration),
    #[error("a message of version {0}, not {VERSION}: run the same version of gwp on both nodes")]
    Version(u8),
    #[error(
        "a {kind} of {len} bytes, and at most {max} are allowed: run the same version of gwp on both nodes"
    )]
    TooLarge { kind: &'static str, len: usize, max: usize },
    #[error("a message of {0} bytes that is none: run the same version of gwp on both nodes")]
    Malformed(usize),
    #[error("the head tells of {told} bytes, and the frame has {len}")]
    HeadLength { told: u32, len: usize },
    #[error("{0} bytes wait to be sent: flush them first")]
    Full(usize),
}

/// Kinds on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ping = 0,
    Join = 1,
    Acknowledge = 2,
    Readings = 3,
    Follow = 4,
    SetAside = 5,
    Resync = 6,
    Frame = 7,
    Piece = 8,
    PiecesEnd = 9,
    KeptBy = 10,
    Refused = 11,
    AskTime = 12,
    Time = 13,
}

const POSITION: usize = 12;
const PLACE: usize = POSITION + 4;
const HASH: usize = 8;
/// A head without the length of its frame.
const HEAD: usize = 2 * (PLACE + HASH);

impl Kind {
    const ALL: [Kind; 14] = [
        Kind::Ping,
        Kind::Join,
        Kind::Acknowledge,
        Kind::Readings,
        Kind::Follow,
        Kind::SetAside,
        Kind::Resync,
        Kind::Frame,
        Kind::Piece,
        Kind::PiecesEnd,
        Kind::KeptBy,
        Kind::Refused,
        Kind::AskTime,
        Kind::Time,
    ];

    fn of(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number)).copied()
    }

    /// Longest form of fields and bytes.
    const fn max(self) -> usize {
        match self {
            Kind::Ping => 0,
            Kind::Join => 4 + 16 + PLACE + HASH + 1 + 4 + EPOCHS_KEPT * POSITION,
            Kind::Acknowledge => 2 * PLACE,
            Kind::Readings => 1 + READINGS_BYTES_MAX,
            Kind::AskTime => 8 + 1 + 16,
            Kind::Time => 24,
            Kind::Follow => PLACE,
            Kind::KeptBy => PLACE + 4,
            Kind::SetAside => POSITION,
            Kind::Resync => PLACE + HASH,
            Kind::Frame => HEAD + FRAME_BYTES_MAX,
            Kind::Piece => FRAME_BYTES_MAX,
            Kind::PiecesEnd => PLACE + HASH + 4,
            Kind::Refused => REASON_BYTES_MAX,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Kind::Ping => "ping",
            Kind::Join => "join",
            Kind::Acknowledge => "acknowledgement",
            Kind::Readings => "set of readings",
            Kind::Follow => "follow",
            Kind::SetAside => "set aside",
            Kind::Resync => "resync",
            Kind::Frame => "frame",
            Kind::Piece => "piece",
            Kind::PiecesEnd => "end of pieces",
            Kind::KeptBy => "kept by",
            Kind::Refused => "refusal",
            Kind::AskTime => "question for the time",
            Kind::Time => "time",
        }
    }
}

#[cfg(test)]
#[path = "bulk/link_tests.rs"]
mod link_tests;
#[cfg(test)]
#[path = "bulk/tests.rs"]
mod tests;
