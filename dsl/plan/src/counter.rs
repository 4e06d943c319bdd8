//! What a counter has gained between two of its values: one rule for rates, differences and
//! increases.

use crate::state::Counter;

impl Counter {
    /// Gain from `last` to `new`; never negative.
    ///
    /// A value that falls has either wrapped or been reset. Where the range is known it has
    /// wrapped if that explains a gain of less than half of the range; a reset goes to the
    /// lowest value. A float counter stands at `low` again when it reaches `high`.
    pub fn gain(&self, last: f64, new: f64) -> f64 {
        if new >= last {
            return new - last;
        }
        let Some((low, high)) = self.wrap else { return new.max(0.0) };
        let span = high - low;
        let wrapped = (high - last) + (new - low);
        if (0.0..span / 2.0).contains(&wrapped) { wrapped } else { (new - low).max(0.0) }
    }

    /// The same for whole numbers, where `high` is the highest value that is shown: from
    /// `high` to `low` is a step of one. `None` when the gain does not fit.
    pub fn gain_int(&self, last: i64, new: i64) -> Option<i64> {
        let (last, new) = (i128::from(last), i128::from(new));
        let gain = if new >= last {
            new - last
        } else if let Some((low, high)) = self.wrap {
            // Casts of floats saturate; far below the limits of i128 whatever is declared.
            let (low, high) = (i128::from(low as i64), i128::from(high as i64));
            let span = high - low + 1;
            let wrapped = new - last + span;
            if wrapped >= 0 && wrapped * 2 < span { wrapped } else { (new - low).max(0) }
        } else {
            new.max(0)
        };
        i64::try_from(gain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Counter = Counter { wrap: None };
    const WORD: Counter = Counter { wrap: Some((0.0, 65_535.0)) };

    #[test]
    fn whole_numbers_wrap_with_a_step_of_one() {
        assert_eq!(WORD.gain_int(65_535, 0), Some(1));
        assert_eq!(WORD.gain_int(65_000, 100), Some(636));
        assert_eq!(Counter { wrap: Some((-32_768.0, 32_767.0)) }.gain_int(32_767, -32_768), Some(1));
    }

    #[test]
    fn a_fall_that_would_be_half_a_turn_or_more_is_a_reset() {
        assert_eq!(WORD.gain_int(40_000, 7_231), Some(32_767));
        assert_eq!(WORD.gain_int(40_000, 7_232), Some(7_232), "half of the range is a reset");
        assert_eq!(Counter { wrap: Some((100.0, 1_100.0)) }.gain(900.0, 700.0), 600.0);
        assert_eq!(Counter { wrap: Some((100.0, 1_100.0)) }.gain(900.0, 200.0), 300.0);
    }

    #[test]
    fn without_a_range_a_fall_is_a_reset_to_zero() {
        assert_eq!(FREE.gain(1_000.0, 25.0), 25.0);
        assert_eq!(FREE.gain_int(1_000, 25), Some(25));
        assert_eq!(FREE.gain(10.0, 12.5), 2.5);
        assert_eq!(FREE.gain_int(10, -3), Some(0), "a counter never runs backwards");
    }

    #[test]
    fn a_gain_that_does_not_fit_is_none() {
        assert_eq!(FREE.gain_int(i64::MIN, i64::MAX), None);
        let widest = Counter { wrap: Some((f64::MIN, f64::MAX)) };
        assert_eq!(widest.gain_int(5, 4), None, "a reset to the lowest whole number");
        assert_eq!(widest.gain_int(i64::MAX, i64::MIN), Some(1));
    }
}
