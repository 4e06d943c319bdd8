//! Waiting times between attempts to connect: doubling, bounded, spread.

use std::time::Duration;

/// Waits of one link. The spread comes from the link's name, so that many links
/// that lost one switch do not all come back at once, and a test can foretell it.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Waits from `first` up to `max`, spread by `name`.
    pub fn new(first: Duration, max: Duration, name: &str) -> Backoff {
        // FNV-1a.
        let random = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Backoff { first, max: max.max(first), attempts: 0, random }
    }

    /// The next wait: between half and the whole of first, 2 x first, 4 x first, ... up to max.
    pub fn wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempts.min(20)).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // xorshift64 (Marsaglia, Xorshift RNGs, 2003); zero would stay zero.
        self.random = self.random.max(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        full.mul_f64(0.5 + share / 2.0)
    }

    /// The connection has proved itself: the next loss begins at the first wait.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_are_spread() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1_000), "press");
        for full in [100, 200, 400, 800, 1_000, 1_000] {
            let wait = backoff.wait();
            assert!(wait >= ms(full / 2) && wait <= ms(full), "{wait:?} of {full} ms");
        }
        (0..100).for_each(|_| assert!(backoff.wait() <= ms(1_000)));
        backoff.reset();
        assert!(backoff.wait() <= ms(100));
        let (mut a, mut b) = (Backoff::new(ms(100), ms(100), "a"), Backoff::new(ms(100), ms(100), "b"));
        assert_ne!(a.wait(), b.wait());
    }
}
