//! What decides where windows begin and end.

use crate::calendar::Calendar;
use crate::plan::{Window, WindowKind};

/// What all instances of a window share.
pub(crate) struct Rule {
    pub window: Window,
    pub zone: jiff::tz::TimeZone,
}

impl Rule {
    pub fn new(window: &Window) -> Rule {
        let zone = match &window.kind {
            WindowKind::Every { calendar, .. } => calendar.zone(),
            _ => jiff::tz::TimeZone::UTC,
        };
        // Every instance has its own part of it.
        Rule { window: Window { instances: Vec::new(), ..window.clone() }, zone }
    }

    /// For windows of the calendar: the calendar, and the length of windows that overlap, nanoseconds.
    pub fn calendar(&self) -> Option<(&Calendar, Option<i64>)> {
        match &self.window.kind {
            WindowKind::Every { calendar, over_ns } => Some((calendar, *over_ns)),
            _ => None,
        }
    }
}
