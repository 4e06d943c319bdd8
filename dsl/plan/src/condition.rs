//! Conditioning: raw values of a poll group become values of its tags.
//!
//! Applies `scale` and `range` before the input log, so the log holds
//! engineering values and pass-through flows need no evaluation. Columnar: a
//! group whose tags have neither costs nothing.
//!
//! 0.1 is no binary fraction, so 3 x 0.1 is 0.30000000000000004 while 3 / 10 is
//! 0.3: a scale is therefore computed as a ratio of whole numbers where it is one
//! ([`Ratio`]), and the result is then the number nearest to the true one.

use crate::plan::{Linear, Plan};
use gwp_core::batch::Kinds;
use gwp_core::{Batch, GroupId, Kind, Quality, TagId};
use std::sync::Arc;

/// Conditions the batches of one poll group.
#[derive(Debug)]
pub struct Conditioner {
    /// Tags that have a scale, by index in the batch.
    scaled: Vec<(u32, Ratio)>,
    /// Tags that have a range: index in the batch, low, high.
    ranged: Vec<(u32, f64, f64)>,
    /// Tags of a full batch.
    tags: Arc<[TagId]>,
}

impl Conditioner {
    /// For the tags of one group, in batch order.
    pub fn new(plan: &Plan, all: &Arc<[TagId]>) -> Self {
        let tags = || (0u32..).zip(all.iter()).filter_map(|(index, tag)| Some((index, plan.tag(*tag)?)));
        Conditioner {
            scaled: tags().filter_map(|(index, tag)| Some((index, Ratio::of(tag.scale?)))).collect(),
            ranged: tags()
                .filter_map(|(index, tag)| tag.range.map(|(low, high)| (index, low, high)))
                .collect(),
            tags: all.clone(),
        }
    }

    /// Conditioners of all groups of a plan, by [`GroupId`].
    pub fn of_plan(plan: &Plan) -> Vec<Conditioner> {
        plan.groups.iter().map(|group| Conditioner::new(plan, &group.tags)).collect()
    }

    /// Scales and checks a batch of the group: a full one, or some of its tags.
    pub fn apply(&self, batch: &mut Batch) {
        if self.scaled.is_empty() && self.ranged.is_empty() {
            return;
        }
        debug_assert_ne!(batch.group, GroupId::NONE);
        if Arc::ptr_eq(&batch.tags, &self.tags) || batch.tags == self.tags {
            self.scale(batch);
            self.ranged.iter().for_each(|&(index, low, high)| check(batch, index as usize, low, high));
            return;
        }
        for index in 0..batch.len() {
            let Ok(place) = self.tags.binary_search(&batch.tags[index]) else { continue };
            let of = |place_of: &u32| (*place_of as usize).cmp(&place);
            if let Ok(found) = self.scaled.binary_search_by(|(place, _)| of(place))
                && let Some(raw) = number(batch, index)
            {
                set_float(batch, index, self.scaled[found].1.apply(raw));
            }
            if let Ok(found) = self.ranged.binary_search_by(|(place, ..)| of(place)) {
                let (_, low, high) = self.ranged[found];
                check(batch, index, low, high);
            }
        }
    }

    fn scale(&self, batch: &mut Batch) {
        let all = self.scaled.len() == self.tags.len();
        match &mut batch.values.kinds {
            // Every tag is scaled and has one number kind: one tight loop.
            Kinds::Same(kind @ (Kind::Int | Kind::Float)) if all => {
                let from_int = *kind == Kind::Int;
                *kind = Kind::Float;
                for (cell, (_, ratio)) in batch.values.cells.iter_mut().zip(&self.scaled) {
                    let raw = if from_int { *cell as i64 as f64 } else { f64::from_bits(*cell) };
                    *cell = ratio.apply(raw).to_bits();
                }
            }
            _ => {
                for &(index, ratio) in &self.scaled {
                    let index = index as usize;
                    if let Some(raw) = number(batch, index) {
                        set_float(batch, index, ratio.apply(raw));
                    }
                }
            }
        }
    }
}

/// A scale as `(raw * gain + offset) / divisor`. All three are whole numbers when gain and
/// offset are ratios of whole numbers up to [`PART_MAX`]; else the divisor is 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Ratio {
    gain: f64,
    offset: f64,
    divisor: f64,
}

/// Larger numerators and denominators are not looked for: any number would be such a ratio.
const PART_MAX: f64 = 1e7;

/// With whole numbers up to this one, products with raw values of 16 bits are exact.
const WHOLE_MAX: f64 = (1u64 << 37) as f64;

impl Linear {
    /// The same as `(raw * gain + offset) / divisor`: whole numbers where these are few digits, so that
    /// what comes out is the number nearest to the true one; else the divisor is 1.
    pub fn parts(self) -> [f64; 3] {
        let Ratio { gain, offset, divisor } = Ratio::of(self);
        [gain, offset, divisor]
    }
}

impl Ratio {
    pub(crate) fn of(scale: Linear) -> Ratio {
        let Linear { gain, offset } = scale;
        let whole = || {
            let ((gain, gain_under), (offset, offset_under)) = (ratio(gain)?, ratio(offset)?);
            let divisor = gain_under / common(gain_under, offset_under) * offset_under;
            let (gain, offset) = (gain * (divisor / gain_under), offset * (divisor / offset_under));
            let small = [gain, offset, divisor].into_iter().all(|whole| whole.abs() <= WHOLE_MAX);
            small.then_some(Ratio { gain, offset, divisor })
        };
        whole().unwrap_or(Ratio { gain, offset, divisor: 1.0 })
    }

    pub(crate) fn apply(&self, raw: f64) -> f64 {
        (raw * self.gain + self.offset) / self.divisor
    }

    /// The raw value that gives this one. The gain is never 0.
    pub(crate) fn undo(&self, value: f64) -> f64 {
        (value * self.divisor - self.offset) / self.gain
    }
}

/// The simplest ratio of whole numbers that is this number, but for the error of having
/// computed it: the first convergent of its continued fraction within two units in the last
/// place.
fn ratio(value: f64) -> Option<(f64, f64)> {
    let (mut over, mut under) = ((0.0, 1.0), (1.0, 0.0));
    let mut rest = value.abs();
    // Denominators grow at least like Fibonacci's numbers, so the bound is met before.
    for _ in 0..64 {
        let whole = rest.floor();
        over = (over.1, whole * over.1 + over.0);
        under = (under.1, whole * under.1 + under.0);
        let simple = over.1 <= PART_MAX && under.1 <= PART_MAX;
        if !simple {
            return None;
        }
        if (over.1 / under.1 - value.abs()).abs() <= value.abs() * 2.0 * f64::EPSILON {
            return Some((over.1.copysign(value), under.1));
        }
        rest = 1.0 / (rest - whole);
    }
    None
}

/// Greatest common divisor of two positive whole numbers.
fn common(a: f64, b: f64) -> f64 {
    let (mut a, mut b) = (a, b);
    while b > 0.0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A good value outside of its range is uncertain.
fn check(batch: &mut Batch, index: usize, low: f64, high: f64) {
    let outside = number(batch, index).is_some_and(|value| value < low || value > high);
    if outside && batch.qualities.get(index).is_good() {
        batch.qualities.set(index, Quality::OUT_OF_RANGE, batch.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(gain: f64, offset: f64, raw: i64) -> f64 {
        Ratio::of(Linear { gain, offset }).apply(raw as f64)
    }

    #[test]
    fn some_tags_of_a_group_are_conditioned_like_all_of_them() {
        let mut plan = crate::plan::tests::plan(3);
        plan.tags[1].scale = Some(Linear { gain: 0.1, offset: 0.0 });
        plan.tags[1].range = Some((0.0, 5.0));
        plan.tags[2].range = Some((0.0, 5.0));
        let conditioner = Conditioner::new(&plan, &plan.groups[0].tags);
        let conditioned = |tags: &[u32], raw: &[u64]| {
            let values = gwp_core::Column::uniform(Kind::Int, raw.to_vec());
            let tags = tags.iter().map(|tag| TagId(*tag)).collect();
            let mut batch = Batch::uniform(GroupId(0), tags, gwp_core::Timestamp(0), values);
            conditioner.apply(&mut batch);
            (0..batch.len()).map(|at| (batch.values.get(at), batch.qualities.get(at))).collect::<Vec<_>>()
        };
        let all = conditioned(&[0, 1, 2], &[7, 30, 6]);
        assert_eq!(all[1], (gwp_core::Value::Float(3.0), Quality::GOOD));
        assert_eq!(all[2], (gwp_core::Value::Int(6), Quality::OUT_OF_RANGE));
        assert_eq!(conditioned(&[2, 1], &[6, 30]), [all[2].clone(), all[1].clone()]);
        assert_eq!(conditioned(&[1], &[99])[0], (gwp_core::Value::Float(9.9), Quality::OUT_OF_RANGE));
    }

    /// Tenths, hundredths and so on come out as they are written.
    #[test]
    fn decimal_scales_give_the_decimal_that_is_written() {
        for raw in -70_000i64..70_000 {
            for (gain, digits) in [(0.1, 1), (0.01, 2), (0.001, 3), (0.000_1, 4)] {
                let sign = if raw < 0 { "-" } else { "" };
                let power = 10u64.pow(digits);
                let (whole, part) = (raw.unsigned_abs() / power, raw.unsigned_abs() % power);
                let written = format!("{sign}{whole}.{part:0width$}", width = digits as usize);
                assert_eq!(scaled(gain, 0.0, raw), written.parse::<f64>().unwrap(), "{raw} x {gain}");
            }
        }
        assert_eq!(scaled(0.1, 0.0, 3).to_string(), "0.3");
        assert_eq!(scaled(0.1, 0.0, 231).to_string(), "23.1");
        assert_eq!(scaled(0.3, 0.0, 3).to_string(), "0.9");
        assert_eq!(scaled(-0.05, 0.0, 7).to_string(), "-0.35");
        assert_eq!(scaled(1.0 / 3.0, 0.0, 9), 3.0);
    }

    /// `scale 0..1000 -> -50..150`: no noise where gain and offset nearly cancel.
    #[test]
    fn ranges_meet_their_ends_and_their_middle() {
        let range = |raw: (f64, f64), to: (f64, f64)| {
            let gain = (to.1 - to.0) / (raw.1 - raw.0);
            Ratio::of(Linear { gain, offset: to.0 - raw.0 * gain })
        };
        let ratio = range((0.0, 1_000.0), (-50.0, 150.0));
        assert_eq!(
            [0.0, 249.0, 250.0, 251.0, 1_000.0].map(|raw| ratio.apply(raw)),
            [-50.0, -0.2, 0.0, 0.2, 150.0]
        );
        let ratio = range((0.0, 27_648.0), (0.0, 150.0));
        assert_eq!([0.0, 13_824.0, 27_648.0].map(|raw| ratio.apply(raw)), [0.0, 75.0, 150.0]);
        let ratio = range((819.0, 4_095.0), (0.0, 1.6));
        assert_eq!([819.0, 2_457.0, 4_095.0].map(|raw| ratio.apply(raw)), [0.0, 0.8, 1.6]);
    }

    #[test]
    fn scales_that_are_no_ratio_stay_as_they_are() {
        for (gain, offset) in
            [(std::f64::consts::PI, 0.0), (0.1, std::f64::consts::E), (1e-12, 0.0), (1e300, 1.0)]
        {
            let ratio = Ratio::of(Linear { gain, offset });
            assert_eq!(ratio, Ratio { gain, offset, divisor: 1.0 });
            assert_eq!(ratio.apply(7.0), 7.0 * gain + offset);
        }
        for gain in [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(Ratio::of(Linear { gain, offset: 0.0 }).divisor, 1.0);
        }
    }

    #[test]
    fn a_scale_can_be_undone() {
        let ratio = Ratio::of(Linear { gain: 0.1, offset: -50.0 });
        for raw in -30_000..30_000 {
            assert_eq!(ratio.undo(ratio.apply(f64::from(raw))).round(), f64::from(raw));
        }
    }

    /// Never farther from the exact scale than the plain product was.
    #[test]
    fn any_scale_is_as_near_as_a_product() {
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1u64 << 53) as f64
        };
        for _ in 0..20_000 {
            let (gain, raw) =
                (random() * 10f64.powi((random() * 12.0) as i32 - 6), (random() * 65_536.0).floor());
            let (ratio, product) = (Ratio::of(Linear { gain, offset: 0.0 }).apply(raw), raw * gain);
            assert!((ratio - product).abs() <= product * 4.0 * f64::EPSILON, "{gain} {raw}");
        }
    }
}
