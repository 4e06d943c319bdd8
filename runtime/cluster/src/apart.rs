//! How far the clocks of the nodes are apart, measured over their stream.
//!
//! ```text
//!  standby: sent ------> active: received
//!                                answered ------> standby: now
//!  offset = ((received - sent) + (answered - now)) / 2       error: at most half of what both ways took
//! ```
//! Frames go over the same stream, so an answer may wait behind them: of the last few measurements the one with the
//! shortest way counts.

use std::collections::VecDeque;

/// Measurements that are looked at.
const KEPT: usize = 8;

/// How far apart, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Apart {
    /// The active's clock less the own.
    pub offset_ns: i64,
    /// The truth is at most this far from it, either way.
    pub error_ns: i64,
}

impl Apart {
    /// As the other node sees it.
    pub fn reversed(self) -> Apart {
        Apart { offset_ns: self.offset_ns.saturating_neg(), ..self }
    }

    /// So far apart they are surely.
    pub fn at_least_ns(self) -> i64 {
        self.offset_ns.saturating_abs().saturating_sub(self.error_ns).max(0)
    }
}

/// What was measured lately.
#[derive(Debug, Default)]
pub struct Measured(VecDeque<Apart>);

impl Measured {
    /// An answer has come: all by the clock of who says it, nanoseconds since 1970. Gives what holds now; `None` when
    /// the times cannot be true and there is nothing else.
    pub fn answer(&mut self, sent: i64, (received, answered): (i64, i64), now: i64) -> Option<Apart> {
        let way = now.saturating_sub(sent).saturating_sub(answered.saturating_sub(received));
        if now >= sent && answered >= received && way >= 0 {
            let there = i128::from(received) - i128::from(sent);
            let back = i128::from(answered) - i128::from(now);
            let offset = i64::try_from((there + back) / 2).unwrap_or(i64::MAX);
            self.0.push_back(Apart { offset_ns: offset, error_ns: way / 2 + 1 });
            if self.0.len() > KEPT {
                self.0.pop_front();
            }
        }
        self.0.iter().copied().min_by_key(|apart| apart.error_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_way_counts_until_it_is_old() {
        let mut measured = Measured::default();
        // The active's clock is 1,000 ahead; 10 there, 10 back.
        let apart = measured.answer(100, (1_110, 1_120), 130).unwrap();
        assert_eq!(apart, Apart { offset_ns: 1_000, error_ns: 11 });
        // 200 there, as a frame was before it.
        assert_eq!(measured.answer(100, (1_300, 1_300), 310), Some(apart));
        assert_eq!(apart.at_least_ns(), 989);
        assert_eq!(apart.reversed().offset_ns, -1_000);
        for _ in 0..KEPT {
            measured.answer(100, (300, 300), 500);
        }
        assert_eq!(measured.answer(100, (300, 300), 500), Some(Apart { offset_ns: 0, error_ns: 201 }));
        assert_eq!(Apart { offset_ns: -5, error_ns: 9 }.at_least_ns(), 0);
    }

    #[test]
    fn times_that_cannot_be_are_left_out() {
        let mut measured = Measured::default();
        assert_eq!(measured.answer(100, (50, 60), 90), None, "answered before it was asked");
        assert_eq!(measured.answer(100, (60, 50), 200), None);
        assert_eq!(measured.answer(100, (0, 500), 200), None, "longer there than away");
        assert!(measured.answer(i64::MIN, (i64::MAX, i64::MAX), i64::MAX).is_some(), "and nothing overflows");
    }
}
