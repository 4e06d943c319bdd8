//! Supervision: when a failed stage starts again. Pure; `now` is an argument.

use crate::limits::{RESTART_FIRST, RESTART_MAX, RESTART_QUIET};
use std::time::{Duration, Instant};

/// Back-off of one stage: doubles from failure to failure, starts anew after a quiet time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    next: Option<Duration>,
    failed: Option<Instant>,
}

impl Backoff {
    /// How long to wait after a failure at `now`.
    pub fn after_failure(&mut self, now: Instant) -> Duration {
        let quiet = self.failed.is_none_or(|failed| now.duration_since(failed) > RESTART_QUIET);
        let wait = match self.next {
            Some(next) if !quiet => next,
            _ => RESTART_FIRST,
        };
        self.next = Some((wait * 2).min(RESTART_MAX));
        self.failed = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_bound_and_forgets_after_a_quiet_time() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let waits: Vec<_> = (0..10)
            .map(|_| {
                let wait = backoff.after_failure(now);
                now += wait;
                wait.as_millis()
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        now += RESTART_QUIET + Duration::from_secs(1);
        assert_eq!(backoff.after_failure(now).as_millis(), 100);
    }
}
