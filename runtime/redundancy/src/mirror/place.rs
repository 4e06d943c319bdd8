//! Places in the stream of frames, and the hash that proves two streams equal.

use gwp_core::Position;
use std::fmt;

/// Where a frame stands in the order of commits, equal in both stores.
///
/// A frame of the log that ends with the record at `position` has `after` 0. What is derived
/// (journal entries, checkpoints) and committed before the next record has 1, 2, ... So "the
/// peer is durable up to this place" says it for log and journals at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Place {
    pub position: Position,
    pub after: u32,
}

impl Place {
    /// Before every frame.
    pub const ZERO: Place = Place { position: Position::ZERO, after: 0 };

    /// Place of the frame of the log that ends with the record at `position`.
    pub const fn log(position: Position) -> Place {
        Place { position, after: 0 }
    }

    /// Place of the next frame that is derived from records up to here.
    pub const fn derived(self) -> Place {
        Place { position: self.position, after: self.after + 1 }
    }
}

/// `epoch:seq`, or `epoch:seq+after` for derived frames.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.fmt(f)?;
        if self.after > 0 { write!(f, "+{}", self.after) } else { Ok(()) }
    }
}

/// Hash over all frames up to a place, in order. It finds what a checksum per frame cannot:
/// a frame that is whole but is not the one the peer has there. It is no protection against
/// forgery; that is the link's business.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RunningHash(pub u64);

impl RunningHash {
    /// Of no frame at all.
    pub const EMPTY: RunningHash = RunningHash(0);

    /// The hash with one more frame, given the hash of that frame's bytes.
    pub const fn then(self, frame: u64) -> RunningHash {
        // The finalizer of SplitMix64 over both: order matters, and each bit reaches all others.
        let mut mixed = self.0.rotate_left(23) ^ frame.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        RunningHash(mixed ^ (mixed >> 31))
    }
}

/// What precedes a frame on the link: where it belongs and what must stand before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Head {
    /// Place of the frame before this one, and the running hash up to it.
    pub before: Place,
    pub hash_before: RunningHash,
    /// Place of this frame, and the running hash with it.
    pub place: Place,
    pub hash: RunningHash,
    /// Bytes of the frame on the link; what credit is counted in.
    pub bytes: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_frames_stand_between_the_records_around_them() {
        let record = Place::log(Position::new(2, 7));
        assert!(record < record.derived());
        assert!(record.derived().derived() < Place::log(Position::new(2, 8)));
        assert!(Place::log(Position::new(2, 900)) < Place::log(Position::new(3, 1)));
        assert_eq!(record.derived().to_string(), "2:7+1");
        assert_eq!(record.to_string(), "2:7");
    }

    #[test]
    fn the_running_hash_depends_on_content_and_order() {
        let ab = RunningHash::EMPTY.then(1).then(2);
        assert_ne!(ab, RunningHash::EMPTY.then(2).then(1));
        assert_ne!(ab, RunningHash::EMPTY.then(1).then(3));
        assert_ne!(RunningHash::EMPTY.then(0), RunningHash::EMPTY);
    }
}
