//! Time of this machine for logs that are compared: the clock since boot orders what happens, UTC names slots.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, sleep included. No process can set it.
pub fn boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Nanoseconds since 1970.
pub fn utc() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Hours, minutes, seconds and milliseconds of a UTC time, as the nodes' logs have them.
pub fn of_day(utc: i64) -> String {
    let ms = utc.div_euclid(1_000_000).rem_euclid(86_400_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}
