//! Positions in the input log and cursors in a journal.
//!
//! Everything that is derived (journal entries, checkpoints, delivered
//! cursors) names the position it covers, so appending is idempotent in it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Place of one record in the input log: `(epoch, seq)`, ordered.
///
/// The epoch rises at each activation (pair) or restart (alone); `seq` starts
/// at 1 in each epoch. On disk and wire 12 bytes, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    pub epoch: u32,
    pub seq: u64,
}

impl Position {
    /// Before every record.
    pub const ZERO: Position = Position { epoch: 0, seq: 0 };
    /// After every record.
    pub const MAX: Position = Position { epoch: u32::MAX, seq: u64::MAX };

    pub const fn new(epoch: u32, seq: u64) -> Self {
        Position { epoch, seq }
    }

    /// The next position of the same epoch.
    pub const fn next(self) -> Self {
        Position { epoch: self.epoch, seq: self.seq + 1 }
    }

    /// 12 bytes whose byte order is the order of positions.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.epoch.to_be_bytes());
        out[4..].copy_from_slice(&self.seq.to_be_bytes());
        out
    }

    /// Reads what [`Position::to_bytes`] wrote; `None` when fewer than 12 bytes are given.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let epoch = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
        let seq = u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?);
        Some(Position { epoch, seq })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

/// Parses `epoch:seq`.
impl std::str::FromStr for Position {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, seq) = text.split_once(':').ok_or(PositionError)?;
        Ok(Position {
            epoch: epoch.parse().map_err(|_| PositionError)?,
            seq: seq.parse().map_err(|_| PositionError)?,
        })
    }
}

/// A text is not a position.
#[derive(Debug, thiserror::Error)]
#[error("a position is written `epoch:seq`, for example 3:1042")]
pub struct PositionError;

/// Place of one entry in a sink's journal: the position it was derived from and
/// its part there (a record can give several entries, ordered by flow name, then emission).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Cursor {
    pub position: Position,
    pub part: u32,
}

impl Cursor {
    /// Before every entry.
    pub const ZERO: Cursor = Cursor { position: Position::ZERO, part: 0 };
    /// The part that stands for "all parts of this position".
    pub const END: u32 = u32::MAX;

    pub const fn new(position: Position, part: u32) -> Self {
        Cursor { position, part }
    }

    /// The cursor that covers all of `position`.
    pub const fn complete(position: Position) -> Self {
        Cursor { position, part: Cursor::END }
    }

    /// 16 bytes whose byte order is the order of cursors.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..12].copy_from_slice(&self.position.to_bytes());
        out[12..].copy_from_slice(&self.part.to_be_bytes());
        out
    }

    /// Reads what [`Cursor::to_bytes`] wrote; `None` when fewer than 16 bytes are given.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let position = Position::from_bytes(bytes)?;
        let part = u32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
        Some(Cursor { position, part })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Cursor::END => write!(f, "{}", self.position),
            part => write!(f, "{}/{part}", self.position),
        }
    }
}

/// Number of a sink in one store, allotted at its first appearance and never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SinkId(pub u32);

/// Content hash of a plan (BLAKE3, first 16 bytes). Equal text, equal plan, equal id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct PlanId(pub [u8; 16]);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for PlanId {
    type Err = &'static str;

    /// Reads 32 hexadecimal digits, as they are shown.
    fn from_str(text: &str) -> Result<PlanId, &'static str> {
        let wrong = "a plan is named by 32 hexadecimal digits";
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong);
        }
        let mut id = [0; 16];
        for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong)?;
        }
        Ok(PlanId(id))
    }
}

impl fmt::Debug for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_id_is_read_as_it_is_shown() {
        let id = PlanId([0, 1, 0x7F, 0xFF, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "00", &"g".repeat(32), &"é".repeat(16)] {
            assert!(wrong.parse::<PlanId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn byte_order_is_the_order_of_cursors() {
        let ordered = [
            Cursor::ZERO,
            Cursor::new(Position::new(1, 1), 0),
            Cursor::new(Position::new(1, 1), 7),
            Cursor::complete(Position::new(1, 1)),
            Cursor::new(Position::new(1, 300), 0),
            Cursor::new(Position::new(2, 1), 0),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
            assert_eq!(Cursor::from_bytes(&pair[1].to_bytes()), Some(pair[1]));
        }
        assert_eq!(Cursor::from_bytes(&[0; 15]), None);
    }

    #[test]
    fn a_position_reads_what_it_shows() {
        let position = Position::new(3, 1042);
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        assert!("3".parse::<Position>().is_err());
    }
}
