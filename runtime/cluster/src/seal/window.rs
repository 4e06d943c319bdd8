//! Which counters of a sender were seen: each passes once, in any order within a width.

/// A datagram may come this many frames late. At the quickest beat, 40 ms, and with an answer to
/// each beat of the peer, that is two and a half seconds.
pub(super) const WIDTH: u64 = 128;

/// Counters seen, from the highest down. Counters begin at 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Window {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u128,
}

impl Window {
    /// Whether a counter was not seen and is not too old to know.
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter > self.highest {
            return true;
        }
        let age = self.highest - counter;
        counter != 0 && age < WIDTH && (self.seen >> age) & 1 == 0
    }

    /// Whether it is known if a counter was seen: neither too old nor newer than all.
    pub fn is_known(&self, counter: u64) -> bool {
        counter != 0 && self.highest.checked_sub(counter).is_some_and(|age| age < WIDTH)
    }

    /// Keeps a counter for which [`Window::is_fresh`] holds.
    pub fn keep(&mut self, counter: u64) {
        if counter > self.highest {
            let step = counter - self.highest;
            self.seen = if step < WIDTH { self.seen << step } else { 0 };
            self.highest = counter;
        }
        self.seen |= 1 << (self.highest - counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_width_is_counted_from_the_highest() {
        let mut window = Window::default();
        assert!(!window.is_fresh(0));
        window.keep(129);
        assert!(window.is_fresh(2) && !window.is_fresh(1) && !window.is_fresh(129) && window.is_fresh(130));
        window.keep(2);
        assert!(!window.is_fresh(2));
        window.keep(u64::MAX);
        assert!(!window.is_fresh(u64::MAX) && window.is_fresh(u64::MAX - 127) && !window.is_fresh(130));
    }

    proptest! {
        /// Against a set that forgets nothing.
        #[test]
        fn each_counter_passes_once(counters in prop::collection::vec(1..400u64, 0..600)) {
            let mut window = Window::default();
            let mut seen = BTreeSet::new();
            for counter in counters {
                let highest = seen.last().copied().unwrap_or(0);
                let fresh = !seen.contains(&counter) && counter + WIDTH > highest;
                prop_assert_eq!(window.is_fresh(counter), fresh, "{} after {}", counter, highest);
                let known = counter <= highest && counter + WIDTH > highest;
                prop_assert_eq!(window.is_known(counter), known, "{} after {}", counter, highest);
                if fresh {
                    window.keep(counter);
                    seen.insert(counter);
                }
            }
        }
    }
}
