//! How long leases, promises and holds are, and the failover time that follows from them.

use crate::limits;

const MS: u64 = 1_000_000;

/// Durations in nanoseconds. Checked by [`Timing::check`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// A node speaks this often.
    pub beat: u64,
    /// A vote carries its holder for this long from the moment it was asked for.
    pub lease: u64,
    /// A voter promises itself to nobody else for this long from the moment it was asked.
    pub promise: u64,
    /// Deliveries wait this long for a silent peer before the active asks to go on alone.
    pub solo: u64,
    /// A node that is not in step with the last active waits this long before it stands.
    pub start_hold: u64,
    /// A standby that hears its active says hello to the witness this often.
    pub idle_hello: u64,
}

impl Timing {
    /// Local network, quick disks.
    pub const FAST: Timing = Timing::of(40 * MS, 400 * MS, 500 * MS, 5_000 * MS);
    pub const DEFAULT: Timing = Timing::of(100 * MS, 1_200 * MS, 2_000 * MS, 5_000 * MS);
    /// Links with long or changing delays.
    pub const WAN: Timing = Timing::of(500 * MS, 5_000 * MS, 8_000 * MS, 20_000 * MS);

    const fn of(beat: u64, lease: u64, solo: u64, start_hold: u64) -> Timing {
        let promise = lease + lease * limits::PROMISE_MARGIN_PERMILLE / 1_000;
        Timing { beat, lease, promise, solo, start_hold, idle_hello: lease }
    }

    /// Tells what is wrong with these durations.
    pub fn check(&self) -> Result<(), TimingError> {
        if self.lease < limits::LEASE_MIN || self.lease > limits::LEASE_MAX {
            return Err(TimingError::Lease);
        }
        if self.beat == 0 || self.lease / self.beat < limits::RENEWALS_MIN {
            return Err(TimingError::Renewals);
        }
        let least = self.lease + self.lease * limits::PROMISE_MARGIN_PERMILLE / 1_000;
        if self.promise < least {
            return Err(TimingError::Promise);
        }
        Ok(())
    }

    /// Longest time from the death of the active to deliveries by its peer:
    /// the promise runs out, one way and one retry, a round trip to a voter and one more for
    /// its report, two votes on disk, sinks opened. All in nanoseconds.
    pub const fn failover_bound(&self, path: &Path) -> u64 {
        let drift = self.promise * path.drift_permille / 1_000;
        self.promise
            + drift
            + path.delay
            + self.beat
            + 2 * path.round_trip
            + 2 * path.vote_fsync
            + path.activate
    }
}

/// What a failover also takes, in nanoseconds; measured by the node itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    pub delay: u64,
    pub round_trip: u64,
    pub vote_fsync: u64,
    pub activate: u64,
    /// Rate error of a clock, in permille.
    pub drift_permille: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimingError {
    Lease,
    Renewals,
    Promise,
}

impl std::fmt::Display for TimingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TimingError::Lease => "a lease lasts between 0.2 s and 60 s",
            TimingError::Renewals => "a lease must hold ten renewals: make it longer, or renew more often",
            TimingError::Promise => "a promise must last 5 % longer than the lease, or clocks could break it",
        })
    }
}

impl std::error::Error for TimingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_sound_and_meet_their_bounds() {
        let lan = Path {
            delay: 10 * MS,
            round_trip: 10 * MS,
            vote_fsync: 35 * MS,
            activate: 200 * MS,
            drift_permille: 1,
        };
        for (timing, bound_ms) in [(Timing::FAST, 800), (Timing::DEFAULT, 2_000), (Timing::WAN, 8_000)] {
            assert_eq!(timing.check(), Ok(()));
            assert!(timing.failover_bound(&lan) < bound_ms * MS, "{}", timing.failover_bound(&lan));
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let sound = Timing::DEFAULT;
        assert_eq!(Timing { lease: 100 * MS, ..sound }.check(), Err(TimingError::Lease));
        assert_eq!(Timing { beat: 200 * MS, ..sound }.check(), Err(TimingError::Renewals));
        assert_eq!(Timing { beat: 0, ..sound }.check(), Err(TimingError::Renewals));
        assert_eq!(Timing { promise: sound.lease, ..sound }.check(), Err(TimingError::Promise));
    }
}
