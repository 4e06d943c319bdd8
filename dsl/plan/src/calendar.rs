//! Calendar grids of windows: where they begin and end, in a time zone.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A grid of window boundaries.
///
/// Periods up to one hour are counted from local midnight in elapsed time; longer ones that
/// divide a day stand at wall clock times (a shift with a change of summer time is longer or
/// shorter); days and months begin at local dates.
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
    /// Days; 7 begin on Monday.
    Days(u16),
    /// Months; 12 begin in January.
    Months(u16),
}

use gwp_core::Timestamp;
use jiff::tz::TimeZone;
impl Calendar {
    pub fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
    pub fn start_of(&self, time: Timestamp, _zone: &TimeZone) -> Timestamp {
        time
    }
    pub fn next_after(&self, time: Timestamp, _zone: &TimeZone) -> Timestamp {
        time.plus(1)
    }
}
