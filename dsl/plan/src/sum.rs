//! Compensated sums: long sums of floats that neither drift nor depend on the order of their terms
//! beyond the last digits.

use serde::{Deserialize, Serialize};

/// A sum after Neumaier: what rounding drops from `sum` is kept in `rest`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sum {
    sum: f64,
    rest: f64,
}

impl Sum {
    /// Adds a term. A sum that has overflowed stays infinite.
    pub fn add(&mut self, term: f64) {
        if !self.sum.is_finite() {
            return;
        }
        let next = self.sum + term;
        if !next.is_finite() {
            *self = Sum { sum: f64::INFINITY, rest: 0.0 };
            return;
        }
        self.rest +=
            if self.sum.abs() >= term.abs() { (self.sum - next) + term } else { (term - next) + self.sum };
        self.sum = next;
    }

    /// The same sum with one more term.
    pub fn with(mut self, term: f64) -> Sum {
        self.add(term);
        self
    }

    /// The sum; infinite once it has overflowed.
    pub fn total(self) -> f64 {
        self.sum + self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_rounding_drops() {
        let sum = |terms: &[f64]| terms.iter().fold(Sum::default(), |sum, term| sum.with(*term)).total();
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn an_overflow_is_for_ever() {
        let sum = Sum::default().with(f64::MAX).with(f64::MAX);
        assert_eq!(sum.total(), f64::INFINITY);
        assert_eq!(sum.with(-f64::MAX).with(-f64::MAX).total(), f64::INFINITY);
    }
}
