//! Instants of one node's boot clock.

use std::fmt;

/// Nanoseconds on the boot clock of one node (CLOCK_BOOTTIME on Linux): it counts through
/// suspend and is never set. Instants of two nodes cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// Before every instant a machine is given.
    pub const NEVER: Mono = Mono(0);
    /// After every instant a machine is given.
    pub const FOREVER: Mono = Mono(u64::MAX);

    /// This instant plus `ns` nanoseconds, held at [`Mono::FOREVER`].
    pub const fn plus(self, ns: u64) -> Mono {
        Mono(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this instant; 0 when it is not earlier.
    pub const fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Seconds with three decimals: `12.345 s`.
impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000_000;
        write!(f, "{}.{:03} s", millis / 1000, millis % 1000)
    }
}

/// For model checkers: what happened at an instant moves into the past, to 1 at the most.
#[cfg(test)]
pub(crate) fn age(instant: &mut Mono, ns: u64) {
    if *instant != Mono::FOREVER && *instant != Mono::NEVER {
        instant.0 = instant.0.saturating_sub(ns).max(1);
    }
}

/// For model checkers: what is due at an instant comes nearer; all that is due is as one.
#[cfg(test)]
pub(crate) fn near(instant: &mut Mono, ns: u64, now: Mono) {
    if *instant != Mono::FOREVER {
        let left = instant.0.saturating_sub(ns);
        *instant = if left <= now.0 { Mono::NEVER } else { Mono(left) };
    }
}
