//! Calendar grids of windows: where they begin and end, in a time zone.
//!
//! A grid is a set of instants. Windows lie between neighbours in it, so they join without
//! gap or overlap whatever the clocks do.

#[cfg(test)]
mod tests;

use gwp_core::Timestamp;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A grid of window boundaries.
///
/// Periods up to one hour are counted from local midnight in elapsed time; longer ones that
/// divide a day stand at wall clock times (a shift with a change of summer time is longer or
/// shorter); days and months begin at local dates.
///
/// A wall clock time that the clocks skip is as much later as they skip; one that they show
/// twice is the first of the two (RFC 5545, 3.3.5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Calendar {
    pub period: Period,
    /// `at`: minutes after local midnight at which the grid is anchored.
    pub at_min: u16,
    /// IANA name.
    pub timezone: Arc<str>,
}

/// Length of the windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Period {
    /// Nanoseconds, at most one day; divides a day.
    Time(i64),
    /// Days; 7 begin on Monday, other numbers are counted from Monday, 5 January 1970.
    Days(u16),
    /// Months; 12 begin in January, other numbers are counted from January of the year 0.
    Months(u16),
}

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
const DAY_MINUTES: u16 = 24 * 60;
/// Days are counted from here.
const MONDAY: Date = date(1970, 1, 5);
/// How many periods (of shifts: days) around a time are looked at: clocks have been set back
/// and forth by up to a day.
const AROUND: i64 = 2;

/// Why there is no such grid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CalendarError {
    #[error("there is no time zone `{0}`")]
    UnknownZone(Arc<str>),
    #[error("a period must divide a day, or be a number of days or months")]
    Uneven,
    #[error("the time of day must be before 24:00")]
    NoTimeOfDay,
}

impl Calendar {
    /// A grid that can be followed exactly.
    ///
    /// # Errors
    /// An unknown zone, a period that does not divide a day, a time of day of 24:00 or later.
    pub fn new(period: Period, at_min: u16, timezone: &str) -> Result<Calendar, CalendarError> {
        let even = match period {
            Period::Time(ns) => ns > 0 && DAY_NS % ns == 0,
            Period::Days(count) | Period::Months(count) => count > 0,
        };
        if !even {
            return Err(CalendarError::Uneven);
        }
        if at_min >= DAY_MINUTES {
            return Err(CalendarError::NoTimeOfDay);
        }
        if TimeZone::get(timezone).is_err() {
            return Err(CalendarError::UnknownZone(timezone.into()));
        }
        Ok(Calendar { period, at_min, timezone: timezone.into() })
    }

    /// The zone to evaluate in; UTC where this machine does not know it.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    /// The last boundary at or before `time`; at the lower end of time that end.
    pub fn start_of(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.elapsed(time, zone) {
            Some((start, _)) => start,
            None => self.start_by_clock(time, zone),
        }
    }

    /// The first boundary after `time`; at the upper end of time that end.
    pub fn next_after(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.elapsed(time, zone) {
            Some((_, end)) => end,
            None => self.next_by_clock(time, zone),
        }
    }

    /// The window around `time` if the grid counts elapsed time; the last one of a day ends
    /// with it.
    fn elapsed(&self, time: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let Period::Time(period_ns @ ..=HOUR_NS) = self.period else { return None };
        let day = Calendar { period: Period::Days(1), ..self.clone() };
        let midnight = day.start_by_clock(time, zone);
        let period_ns = i128::from(period_ns.max(1));
        let since = i128::from(time.0) - i128::from(midnight.0);
        let start = i128::from(midnight.0) + since / period_ns * period_ns;
        Some((clamped(start), clamped(start + period_ns).min(day.next_by_clock(time, zone))))
    }

    fn start_by_clock(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        self.around(time, zone).filter(|boundary| *boundary <= time).max().unwrap_or(Timestamp(i64::MIN))
    }

    fn next_by_clock(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        self.around(time, zone).filter(|boundary| *boundary > time).min().unwrap_or(Timestamp(i64::MAX))
    }

    /// Boundaries that stand at wall clock times, around `time`, in no order.
    fn around(&self, time: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        // Years 1677 to 2262 are far inside of what jiff knows.
        let instant = jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
        let today = zone.to_datetime(instant).date();
        let at = SignedDuration::from_mins(i64::from(self.at_min % DAY_MINUTES));
        let (period, per_day) = match self.period {
            Period::Time(ns) => {
                let ns = ns.max(HOUR_NS);
                (SignedDuration::from_nanos(ns), (DAY_NS - 1) / ns + 1)
            }
            _ => (SignedDuration::ZERO, 1),
        };
        (-AROUND..=AROUND)
            .filter_map(move |index| self.first_date(today, index))
            .flat_map(move |date| (0..per_day).map(move |index| (date, index)))
            .filter_map(move |(date, index)| {
                let wall = date.to_datetime(Time::midnight()).checked_add(at).ok()?;
                wall.checked_add(period.checked_mul(i32::try_from(index).ok()?)?).ok()
            })
            .filter_map(|wall| instant_of(wall, zone))
    }

    /// First date of the period that is so many ahead of that around `today`; periods shorter
    /// than a day belong to their day.
    fn first_date(&self, today: Date, ahead: i64) -> Option<Date> {
        match self.period {
            Period::Time(_) => day(today.duration_since(MONDAY).as_hours() / 24 + ahead),
            Period::Days(count) => {
                let count = i64::from(count.max(1));
                day(((today.duration_since(MONDAY).as_hours() / 24).div_euclid(count) + ahead) * count)
            }
            Period::Months(count) => {
                let count = i64::from(count.max(1));
                let month = i64::from(today.year()) * 12 + i64::from(today.month()) - 1;
                let first = (month.div_euclid(count) + ahead) * count;
                let year = i16::try_from(first.div_euclid(12)).ok()?;
                Date::new(year, first.rem_euclid(12) as i8 + 1, 1).ok()
            }
        }
    }
}

/// The date so many days after [`MONDAY`].
fn day(index: i64) -> Option<Date> {
    MONDAY.checked_add(SignedDuration::from_hours(index.checked_mul(24)?)).ok()
}

/// When the clocks show this; before or after the range of time stamps, its end.
fn instant_of(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let instant = zone.to_ambiguous_timestamp(wall).compatible().ok()?;
    Some(clamped(instant.as_nanosecond()))
}

fn clamped(ns: i128) -> Timestamp {
    Timestamp(ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
