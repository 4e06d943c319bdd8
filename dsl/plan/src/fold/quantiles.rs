//! Percentiles of a stream in bounded memory, without chance.

use serde::{Deserialize, Serialize};

/// Up to so many samples a percentile is exact. Beyond that, with n samples, the rank of the
/// result is off by at most `log2(n / KEPT) / KEPT` of n: 0.02 % after 100 million samples
/// (Manku, Rajagopalan, Lindsay 1998: full buffers collapse to every second value).
const KEPT: usize = 100_000;

/// The values of a stream; of long ones a representative part.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// A value of level i stands for 2^i values.
    levels: Vec<Level>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Level {
    values: Vec<f64>,
    /// Which half the next collapse keeps; alternating, errors mostly cancel.
    odd: bool,
}

impl Quantiles {
    pub fn insert(&mut self, value: f64) {
        self.insert_within(value, KEPT);
    }

    fn insert_within(&mut self, value: f64, kept: usize) {
        self.level(0).values.push(value);
        let mut index = 0;
        while self.level(index).values.len() >= kept {
            let level = self.level(index);
            let mut values = std::mem::take(&mut level.values);
            let first = usize::from(level.odd);
            level.odd = !level.odd;
            values.sort_by(f64::total_cmp);
            let half = values.into_iter().skip(first).step_by(2);
            index += 1;
            self.level(index).values.extend(half);
        }
    }

    fn level(&mut self, index: usize) -> &mut Level {
        if self.levels.len() <= index {
            self.levels.resize_with(index + 1, Level::default);
        }
        &mut self.levels[index]
    }

    /// Percentile `p` (0 to 100) by linear interpolation between order statistics, with rank
    /// `(n - 1) p / 100` counted from 0: type 7 of Hyndman and Fan (1996). `None` of nothing.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let weights = (0..).map(|level| 1_u64.checked_shl(level).unwrap_or(u64::MAX));
        let mut values: Vec<(f64, u64)> = weights
            .zip(&self.levels)
            .flat_map(|(weight, level)| level.values.iter().map(move |value| (*value, weight)))
            .collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = values.iter().fold(0_u64, |total, (_, weight)| total.saturating_add(*weight));
        let rank = total.checked_sub(1)? as f64 * (p / 100.0).clamp(0.0, 1.0);
        let (below, above) = (at_rank(&values, rank.floor() as u64)?, at_rank(&values, rank.ceil() as u64)?);
        let share = rank - rank.floor();
        let step = above - below;
        Some(if step.is_finite() { below + share * step } else { below * (1.0 - share) + above * share })
    }
}

/// The value with so many before it, each counted by its weight.
fn at_rank(values: &[(f64, u64)], rank: u64) -> Option<f64> {
    let mut before = 0_u64;
    for (value, weight) in values {
        before = before.saturating_add(*weight);
        if before > rank {
            return Some(*value);
        }
    }
    values.last().map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Quantiles {
        let mut quantiles = Quantiles::default();
        values.iter().for_each(|value| quantiles.insert(*value));
        quantiles
    }

    #[test]
    fn interpolates_between_order_statistics() {
        let four = of(&[40.0, 10.0, 30.0, 20.0]);
        assert_eq!(four.percentile(0.0), Some(10.0));
        assert_eq!(four.percentile(50.0), Some(25.0));
        assert_eq!(four.percentile(90.0), Some(37.0));
        assert_eq!(four.percentile(100.0), Some(40.0));
        assert_eq!(of(&[7.0]).percentile(95.0), Some(7.0));
        assert_eq!(of(&[]).percentile(95.0), None);
        assert_eq!(of(&[-f64::MAX, f64::MAX]).percentile(50.0), Some(0.0));
    }

    #[test]
    fn a_long_stream_is_off_by_a_bounded_rank() {
        const SMALL: usize = 100;
        const COUNT: u64 = 50_000;
        let mut quantiles = Quantiles::default();
        for index in 0..COUNT {
            // 7919 is coprime to COUNT: every rank once, in a jumble.
            quantiles.insert_within((index * 7_919 % COUNT) as f64, SMALL);
        }
        let kept: usize = quantiles.levels.iter().map(|level| level.values.len()).sum();
        assert!(kept <= SMALL * quantiles.levels.len(), "{kept}");
        let bound = (COUNT as f64 / SMALL as f64).log2() / SMALL as f64;
        for p in [1.0, 25.0, 50.0, 75.0, 95.0, 99.0] {
            let off = quantiles.percentile(p).unwrap() / COUNT as f64 - p / 100.0;
            assert!(off.abs() <= bound, "{p}: {off}");
        }
    }
}
