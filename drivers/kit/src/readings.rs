//! The columns of one slot of a poll group while they fill, point by point.

use gwp_core::batch::Kinds;
use gwp_core::scan::Polled;
use gwp_core::source::PlcType;
use gwp_core::{Column, Kind, Qualities, Quality};

/// Kinds of a group's values, worked out once.
pub fn kinds(types: impl Iterator<Item = PlcType> + Clone) -> Kinds {
    let mut each = types.clone().map(PlcType::kind);
    match each.next() {
        Some(first) if each.all(|kind| kind == first) => Kinds::Same(first),
        Some(_) => Kinds::Each(types.map(PlcType::kind).collect()),
        None => Kinds::Same(Kind::Nothing),
    }
}

/// The columns of one slot while they fill.
#[derive(Debug)]
pub struct Readings {
    /// Cells and blobs are written in place; a point that gets none must be failed.
    pub values: Column,
    qualities: Qualities,
    failed: usize,
}

impl Readings {
    /// Room for a group of `len` points of these kinds. Each is to be decoded or failed.
    pub fn new(kinds: Kinds, len: usize) -> Readings {
        let values = Column { kinds, cells: vec![0; len], blobs: Vec::new() };
        Readings { values, qualities: Qualities::Same(Quality::GOOD), failed: 0 }
    }

    /// Leaves one point without a value. Call it at most once per point.
    pub fn fail(&mut self, index: usize, why: Quality) {
        let len = self.values.len();
        self.values.clear_at(index);
        self.qualities.set(index, why, len);
        self.failed += 1;
    }

    /// Qualifies the value of one point that has one.
    pub fn mark(&mut self, index: usize, quality: Quality) {
        let len = self.values.len();
        self.qualities.set(index, quality, len);
    }

    /// What the slot gave; when all points failed alike, just why.
    pub fn finish(self) -> Polled {
        let len = self.values.len();
        if self.failed >= len && len > 0 {
            let why = self.qualities.get(0);
            if (0..len).all(|index| self.qualities.get(index) == why) {
                return Polled::Failed(why);
            }
        }
        Polled::Values { values: self.values, qualities: self.qualities }
    }
}
