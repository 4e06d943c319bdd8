//! Gateway time: an anchor plus the boot clock.
//!
//! ```text
//! anchor = max(UTC, newest time in the log + 100 ms)      at each activation; the clock of a standby that
//!                                                         reads goes on, behind the newest time in the log
//! now    = anchor + time since, 5 % slower while ahead of UTC; steps forward when behind
//! ```
//! It never goes back while a process runs, nor behind what the log has seen, so
//! slots and ticks are strictly ordered whatever the wall clock does.

use gwp_core::time::NS_PER_MS;
use gwp_core::{BoxFuture, Clock, Timestamp};
use gwp_redundancy::mono::Mono;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A new anchor lies at least this far behind the newest time in the log.
const AFTER_LOG_NS: i64 = 100 * NS_PER_MS;
/// Differences from UTC below this are left alone.
const TOLERANCE_NS: i64 = 20 * NS_PER_MS;
/// A difference from which an alarm is due.
const ALARM_NS: i64 = 1_000 * NS_PER_MS;

/// The clock of a running gateway.
#[derive(Debug)]
pub struct GatewayClock {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Gateway time at `boot_ns`.
    base_ns: i64,
    boot_ns: i64,
    slow: bool,
}

impl State {
    fn at(&self, boot_ns: i64) -> i64 {
        let passed = (boot_ns - self.boot_ns).max(0);
        self.base_ns + if self.slow { passed / 20 * 19 } else { passed }
    }
}

/// What [`GatewayClock::discipline`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disciplined {
    Kept,
    /// Stepped forward: to be written to the log as an anchor.
    Stepped(Timestamp),
    /// Ahead of UTC by this many nanoseconds: runs slow.
    Ahead(i64),
}

impl GatewayClock {
    /// A clock that continues after the newest time in the log.
    pub fn new(newest_in_log: Option<Timestamp>) -> Self {
        Self::anchored(newest_in_log, utc_ns(), boot_ns())
    }

    fn anchored(newest_in_log: Option<Timestamp>, utc_ns: i64, boot_ns: i64) -> Self {
        let floor = newest_in_log.map_or(i64::MIN, |time| time.0.saturating_add(AFTER_LOG_NS));
        GatewayClock { state: Mutex::new(State { base_ns: utc_ns.max(floor), boot_ns, slow: false }) }
    }

    /// Goes on from where it is, in a log with this newest time: behind it, if it is not yet.
    pub fn reach(&self, newest_in_log: Option<Timestamp>) {
        self.reach_at(newest_in_log, boot_ns());
    }

    fn reach_at(&self, newest_in_log: Option<Timestamp>, boot_ns: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = newest_in_log.map_or(i64::MIN, |time| time.0.saturating_add(1));
        *state = State { base_ns: state.at(boot_ns).max(floor), boot_ns, ..*state };
    }

    /// Compares with UTC and corrects; call it about once a second.
    pub fn discipline(&self) -> Disciplined {
        self.discipline_at(utc_ns(), boot_ns())
    }

    fn discipline_at(&self, utc_ns: i64, boot_ns: i64) -> Disciplined {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.at(boot_ns);
        let ahead = now.saturating_sub(utc_ns);
        let slow = ahead > if state.slow { 0 } else { TOLERANCE_NS };
        *state = State { base_ns: now, boot_ns, slow };
        if ahead < -TOLERANCE_NS {
            state.base_ns = utc_ns;
            return Disciplined::Stepped(Timestamp(utc_ns));
        }
        if ahead > ALARM_NS { Disciplined::Ahead(ahead) } else { Disciplined::Kept }
    }

    fn now_at(&self, boot_ns: i64) -> Timestamp {
        Timestamp(self.state.lock().unwrap_or_else(PoisonError::into_inner).at(boot_ns))
    }
}

impl Clock for GatewayClock {
    fn now(&self) -> Timestamp {
        self.now_at(boot_ns())
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let left = at.since(self.now());
                if left.is_zero() {
                    return;
                }
                // In pieces, because the clock may step forward meanwhile.
                tokio::time::sleep(left.min(Duration::from_secs(1))).await;
            }
        })
    }
}

fn utc_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Now, by the clock that leases are counted on: it also counts while the machine sleeps.
pub fn boot() -> Mono {
    Mono(u64::try_from(boot_ns()).unwrap_or(0).max(1))
}

/// Nanoseconds of a clock that also counts while the machine sleeps.
#[cfg(target_os = "linux")]
fn boot_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Nanoseconds since the first call. `Instant` counts through sleep on Windows; on
/// other systems a sleeping machine falls behind and steps forward when it wakes.
#[cfg(not(target_os = "linux"))]
fn boot_ns() -> i64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn continues_after_the_log_even_when_utc_was_set_back() {
        let clock = GatewayClock::anchored(Some(Timestamp(500 * S)), 400 * S, 0);
        assert_eq!(clock.now_at(0), Timestamp(500 * S + AFTER_LOG_NS));
        // Ahead by 100 s: runs 5 % slow, never back.
        assert!(matches!(clock.discipline_at(400 * S, 0), Disciplined::Ahead(_)));
        let before = clock.now_at(10 * S);
        assert_eq!(before.0 - (500 * S + AFTER_LOG_NS), 10 * S / 20 * 19);
    }

    #[test]
    fn a_clock_that_runs_goes_on_behind_the_log_that_it_gets() {
        let clock = GatewayClock::anchored(None, 100 * S, 0);
        clock.reach_at(Some(Timestamp(100 * S)), S);
        assert_eq!(clock.now_at(S), Timestamp(101 * S), "it is ahead: nothing changes");
        clock.reach_at(Some(Timestamp(103 * S)), S);
        assert_eq!(clock.now_at(2 * S), Timestamp(104 * S + 1));
        clock.reach_at(None, 2 * S);
        assert_eq!(clock.now_at(2 * S), Timestamp(104 * S + 1));
    }

    #[test]
    fn steps_forward_and_never_back() {
        let clock = GatewayClock::anchored(None, 100 * S, 0);
        assert_eq!(clock.discipline_at(101 * S, S), Disciplined::Kept);
        assert_eq!(clock.discipline_at(105 * S, 2 * S), Disciplined::Stepped(Timestamp(105 * S)));
        assert_eq!(clock.now_at(2 * S), Timestamp(105 * S));
        // UTC is set back by an hour: the clock goes on, slowly.
        let mut last = clock.now_at(2 * S);
        for second in 3..100 {
            clock.discipline_at((105 - 3600 + second) * S, second * S);
            let now = clock.now_at(second * S);
            assert!(now > last);
            last = now;
        }
    }
}
