//! Conditioning: raw values of a poll group become values of its tags.
//!
//! Applies `scale` and `range` before the input log, so the log holds
//! engineering values and pass-through flows need no evaluation. Columnar: a
//! group whose tags have neither costs nothing.

use crate::plan::{Plan, Tag};
use gwp_core::batch::Kinds;
use gwp_core::{Batch, GroupId, Kind, Quality, TagId};

/// Conditions the batches of one poll group.
#[derive(Debug)]
pub struct Conditioner {
    /// Tags that have a scale: index in the batch, gain, offset.
    scaled: Vec<(u32, f64, f64)>,
    /// Tags that have a range: index in the batch, low, high.
    ranged: Vec<(u32, f64, f64)>,
    len: usize,
}

impl Conditioner {
    /// For the tags of one group, in batch order.
    pub fn new(plan: &Plan, tags: &[TagId]) -> Self {
        let each = |pick: &dyn Fn(&Tag) -> Option<(f64, f64)>| {
            (0u32..)
                .zip(tags)
                .filter_map(|(index, &tag)| plan.tag(tag).and_then(pick).map(|(a, b)| (index, a, b)))
                .collect::<Vec<_>>()
        };
        Conditioner {
            scaled: each(&|tag| tag.scale.map(|scale| (scale.gain, scale.offset))),
            ranged: each(&|tag| tag.range),
            len: tags.len(),
        }
    }

    /// Conditioners of all groups of a plan, by [`GroupId`].
    pub fn of_plan(plan: &Plan) -> Vec<Conditioner> {
        plan.groups.iter().map(|group| Conditioner::new(plan, &group.tags)).collect()
    }

    /// Scales and checks a full batch of the group. A batch of another length is left alone.
    pub fn apply(&self, batch: &mut Batch) {
        if batch.len() != self.len || (self.scaled.is_empty() && self.ranged.is_empty()) {
            return;
        }
        debug_assert_ne!(batch.group, GroupId::NONE);
        self.scale(batch);
        for &(index, low, high) in &self.ranged {
            let index = index as usize;
            let outside = number(batch, index).is_some_and(|value| value < low || value > high);
            if outside && batch.qualities.get(index).is_good() {
                batch.qualities.set(index, Quality::OUT_OF_RANGE, self.len);
            }
        }
    }

    fn scale(&self, batch: &mut Batch) {
        let all = self.scaled.len() == self.len;
        match &mut batch.values.kinds {
            // Every tag is scaled and has one number kind: one tight loop.
            Kinds::Same(kind @ (Kind::Int | Kind::Float)) if all => {
                let from_int = *kind == Kind::Int;
                *kind = Kind::Float;
                for (cell, &(_, gain, offset)) in batch.values.cells.iter_mut().zip(&self.scaled) {
                    let raw = if from_int { *cell as i64 as f64 } else { f64::from_bits(*cell) };
                    *cell = (raw * gain + offset).to_bits();
                }
            }
            _ => {
                for &(index, gain, offset) in &self.scaled {
                    let index = index as usize;
                    if let Some(raw) = number(batch, index) {
                        set_float(batch, index, raw * gain + offset);
                    }
                }
            }
        }
    }
}

fn number(batch: &Batch, index: usize) -> Option<f64> {
    let cell = *batch.values.cells.get(index)?;
    match batch.values.kind(index) {
        Kind::Int => Some(cell as i64 as f64),
        Kind::UInt => Some(cell as f64),
        Kind::Float => Some(f64::from_bits(cell)),
        _ => None,
    }
}

fn set_float(batch: &mut Batch, index: usize, value: f64) {
    let len = batch.values.cells.len();
    if let Kinds::Same(kind) = batch.values.kinds
        && kind != Kind::Float
    {
        batch.values.kinds = Kinds::Each(vec![kind; len]);
    }
    if let Kinds::Each(kinds) = &mut batch.values.kinds {
        kinds[index] = Kind::Float;
    }
    batch.values.cells[index] = value.to_bits();
}
