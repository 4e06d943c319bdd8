//! Time stamps and the clock contract.
//!
//! Only the engine's shell owns a clock; everything else is handed `now`.

use crate::BoxFuture;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z, without leap seconds. Range: years 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

pub const NS_PER_MS: i64 = 1_000_000;
pub const NS_PER_S: i64 = 1_000_000_000;

impl Timestamp {
    pub const fn from_millis(ms: i64) -> Self {
        Timestamp(ms * NS_PER_MS)
    }

    /// Milliseconds since 1970, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(NS_PER_MS)
    }

    /// This time plus `ns` nanoseconds, held at the ends of the range.
    pub const fn plus(self, ns: i64) -> Self {
        Timestamp(self.0.saturating_add(ns))
    }

    /// Time from `earlier` to this one; zero when it is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Year, month, day, hour, minute, second, nanosecond in UTC (proleptic Gregorian calendar).
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32, u32) {
        let seconds = self.0.div_euclid(NS_PER_S);
        let nanos = self.0.rem_euclid(NS_PER_S) as u32;
        let (year, month, day) = civil_of_day(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400) as u32;
        (year, month, day, second / 3600, second / 60 % 60, second % 60, nanos)
    }
}

/// Date of a day number counted from 1970-01-01.
///
/// Years are counted from 1 March, so the leap day is the last of its year and
/// month lengths follow one linear formula.
fn civil_of_day(day: i64) -> (i64, u32, u32) {
    const DAYS_400_YEARS: i64 = 146_097;
    const MARCH_0000: i64 = 719_468;
    let shifted = day + MARCH_0000;
    let cycle = shifted.div_euclid(DAYS_400_YEARS);
    let in_cycle = shifted.rem_euclid(DAYS_400_YEARS);
    let year_in_cycle = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let day_of_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = cycle * 400 + year_in_cycle + i64::from(month <= 2);
    (year, month as u32, day_of_month as u32)
}

/// RFC 3339 in UTC; three fractional digits, or nine when they are needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second, nanos) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")?;
        if nanos % 1_000_000 == 0 { write!(f, "{:03}Z", nanos / 1_000_000) } else { write!(f, "{nanos:09}Z") }
    }
}

/// Gateway time: never steps back while a process runs (see the engine's clock for its rules).
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Completes at or shortly after `at` of this clock.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_known_instants() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(seconds * NS_PER_S).to_string(), text);
        }
        assert_eq!(Timestamp(1_500_000_001).to_string(), "1970-01-01T00:00:01.500000001Z");
    }
}
