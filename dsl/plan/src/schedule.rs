//! Weekly schedules: `within("Mon-Fri 06:00-22:00")`.
//!
//! Evaluated at an event time in the gateway's time zone, so both nodes and a
//! replay agree.

use gwp_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Days and times of day, in a time zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeekSchedule {
    /// IANA name.
    pub timezone: Arc<str>,
    pub spans: Vec<WeekSpan>,
}

/// One entry of a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeekSpan {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minutes since midnight: from inclusive, to exclusive. With `to <= from` it
    /// ends on the next day and belongs to the day on which it starts.
    pub from_min: u16,
    pub to_min: u16,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_PER_DAY: u16 = 24 * 60;

impl WeekSchedule {
    /// Parses entries like `Mon-Fri 06:00-22:00`, `Sat,Sun 08:00-12:00`, `06:00-14:00`,
    /// separated by `;`.
    ///
    /// # Errors
    /// A text for people that says which part is not understood.
    pub fn parse(text: &str, timezone: &str) -> Result<WeekSchedule, String> {
        if jiff::tz::TimeZone::get(timezone).is_err() {
            return Err(format!("there is no time zone `{timezone}`"));
        }
        let spans = text.split(';').map(|part| parse_span(part.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(WeekSchedule { timezone: timezone.into(), spans })
    }

    /// The zone to evaluate in; UTC where this machine does not know it.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.timezone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// The first time after `time` at which [`contains`](Self::contains) changes, if it ever does.
    pub fn next_change(&self, time: Timestamp, zone: &jiff::tz::TimeZone) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok()?;
        let today = zone.to_datetime(instant).date();
        let inside = self.contains(time, zone);
        // A week and a day, so that a schedule of one span a week is seen to its end.
        let days = (0..=8).filter_map(|ahead| today.checked_add(jiff::Span::new().days(ahead)).ok());
        let minutes = |span: &WeekSpan| [span.from_min % MINUTES_PER_DAY, span.to_min % MINUTES_PER_DAY];
        let mut edges: Vec<Timestamp> = days
            .flat_map(|day| self.spans.iter().flat_map(minutes).map(move |minute| (day, minute)))
            .filter_map(|(day, minute)| {
                let local = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                let edge = zone.to_zoned(local).ok()?.timestamp().as_nanosecond();
                i64::try_from(edge).ok().map(Timestamp)
            })
            .filter(|edge| *edge > time)
            .collect();
        edges.sort_unstable();
        edges.into_iter().find(|edge| self.contains(*edge, zone) != inside)
    }

    /// Whether `time` lies in one of the spans.
    pub fn contains(&self, time: Timestamp, zone: &jiff::tz::TimeZone) -> bool {
        let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(time.0)) else {
            return false;
        };
        let local = zone.to_datetime(instant);
        let day = local.weekday().to_monday_zero_offset() as u8;
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let yesterday = (day + 6) % 7;
        self.spans.iter().any(|span| {
            let on = |day: u8| span.days >> day & 1 == 1;
            if span.from_min < span.to_min {
                on(day) && (span.from_min..span.to_min).contains(&minute)
            } else {
                (on(day) && minute >= span.from_min) || (on(yesterday) && minute < span.to_min)
            }
        })
    }
}

fn parse_span(text: &str) -> Result<WeekSpan, String> {
    let (days, times) = match text.rsplit_once(' ') {
        Some((days, times)) => (parse_days(days)?, times),
        None => (0x7f, text),
    };
    let (from, to) =
        times.split_once('-').ok_or_else(|| format!("`{times}` is not a time span like 06:00-22:00"))?;
    let (from_min, to_min) = (parse_time(from)?, parse_time(to)?);
    Ok(WeekSpan { days, from_min: from_min % MINUTES_PER_DAY, to_min })
}

fn parse_days(text: &str) -> Result<u8, String> {
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_day(first)?, parse_day(last)?);
        let mut day = first;
        loop {
            days |= 1 << day;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(days)
}

fn parse_day(text: &str) -> Result<u8, String> {
    let wanted = text.trim().to_lowercase();
    DAYS.iter()
        .position(|day| *day == wanted)
        .map(|index| index as u8)
        .ok_or_else(|| format!("`{}` is not a day: Mon Tue Wed Thu Fri Sat Sun", text.trim()))
}

fn parse_time(text: &str) -> Result<u16, String> {
    let parse = || {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour * 60 + minute <= MINUTES_PER_DAY && hour <= 24 && minute < 60).then_some(hour * 60 + minute)
    };
    parse().ok_or_else(|| format!("`{}` is not a time of day like 06:00", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap())
    }

    #[test]
    fn follows_the_local_clock_through_summer_time() {
        let schedule = WeekSchedule::parse("Mon-Fri 06:00-22:00", "Europe/Berlin").unwrap();
        let zone = schedule.zone();
        // 2026-03-27 is a Friday in winter time, 2026-03-30 a Monday in summer time.
        assert!(!schedule.contains(at("2026-03-27T04:59:59Z"), &zone));
        assert!(schedule.contains(at("2026-03-27T05:00:00Z"), &zone));
        assert!(!schedule.contains(at("2026-03-28T12:00:00Z"), &zone));
        assert!(!schedule.contains(at("2026-03-30T03:59:59Z"), &zone));
        assert!(schedule.contains(at("2026-03-30T04:00:00Z"), &zone));
        assert!(!schedule.contains(at("2026-03-30T20:00:00Z"), &zone));
    }

    #[test]
    fn a_night_shift_belongs_to_the_day_it_starts_on() {
        let schedule = WeekSchedule::parse("Fri 22:00-06:00; Sun 00:00-24:00", "UTC").unwrap();
        let zone = schedule.zone();
        assert!(schedule.contains(at("2026-03-27T23:00:00Z"), &zone));
        assert!(schedule.contains(at("2026-03-28T05:59:00Z"), &zone));
        assert!(!schedule.contains(at("2026-03-28T06:00:00Z"), &zone));
        assert!(!schedule.contains(at("2026-03-28T23:00:00Z"), &zone));
        assert!(schedule.contains(at("2026-03-29T23:59:00Z"), &zone));
    }

    #[test]
    fn the_next_change_is_where_it_begins_or_ends() {
        let schedule = WeekSchedule::parse("Mon-Fri 06:00-22:00", "Europe/Berlin").unwrap();
        let zone = schedule.zone();
        let next = |text| schedule.next_change(at(text), &zone).unwrap();
        assert_eq!(next("2026-03-27T04:59:59Z"), at("2026-03-27T05:00:00Z"));
        assert_eq!(next("2026-03-27T05:00:00Z"), at("2026-03-27T21:00:00Z"));
        assert_eq!(next("2026-03-27T21:00:00Z"), at("2026-03-30T04:00:00Z"));
        let always = WeekSchedule::parse("00:00-24:00", "UTC").unwrap();
        assert_eq!(always.next_change(at("2026-03-27T21:00:00Z"), &always.zone()), None);
    }

    #[test]
    fn says_what_it_does_not_understand() {
        assert!(WeekSchedule::parse("Mon-Fry 06:00-22:00", "UTC").unwrap_err().contains("Fry"));
        assert!(WeekSchedule::parse("Mon 6-22", "UTC").unwrap_err().contains('6'));
        assert!(WeekSchedule::parse("06:00-22:00", "Mars/Base").unwrap_err().contains("Mars"));
    }
}
