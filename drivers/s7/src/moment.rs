//! Points in time as a PLC keeps them. Its clock has no time zone: it is taken as UTC.
//!
//! | kept as | bytes | from | to |
//! |---|---|---|---|
//! | DATE | days:2 since 1990-01-01 | 1990 | 2169 |
//! | DATE_AND_TIME | decimal: year month day hour minute second ms:1.5 weekday:0.5 | 1990 | 2089 |
//! | DTL | year:2 month day weekday hour minute second ns:4 | 1970 | 2262 |

use crate::bcd::digits;
use gwp_core::Timestamp;
use gwp_core::time::NS_PER_S;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

const NS_PER_DAY: i64 = 86_400 * NS_PER_S;

/// 1990-01-01 as days since 1970-01-01.
const DAYS_TO_1990: i64 = 7_305;

/// Years that DATE_AND_TIME has two digits for.
const SHORT_YEARS: std::ops::RangeInclusive<i64> = 1990..=2089;

/// Nanoseconds since 1970; `None` if there is no such time.
fn nanoseconds(parts: [i64; 6], ns: i64) -> Option<i64> {
    let [year, month, day, hour, minute, second] = parts;
    let small = |part: i64| i8::try_from(part).ok();
    let moment = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        i32::try_from(ns).ok()?,
    );
    let zoned = moment.ok()?.to_zoned(TimeZone::UTC).ok()?;
    i64::try_from(zoned.timestamp().as_nanosecond()).ok()
}

/// Day of the week, 1 = Sunday.
fn weekday(year: i64, month: u32, day: u32) -> Option<u8> {
    let date = Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?;
    u8::try_from(date.weekday().to_sunday_one_offset()).ok()
}

/// A DATE as nanoseconds since 1970.
pub fn of_date(bytes: &[u8]) -> Option<i64> {
    let days = i64::from(u16::from_be_bytes(bytes.try_into().ok()?));
    Some((days + DAYS_TO_1990) * NS_PER_DAY)
}

/// A DATE_AND_TIME as nanoseconds since 1970.
pub fn of_date_and_time(bytes: &[u8]) -> Option<i64> {
    let [year, month, day, hour, minute, second, ms, last] = *bytes else { return None };
    let two = |byte: u8| digits(&[byte]);
    let short = two(year)?;
    let year = if short < 90 { 2000 + short } else { 1900 + short };
    let ms = two(ms)? * 10 + i64::from(Some(last >> 4).filter(|digit| *digit < 10)?);
    nanoseconds([year, two(month)?, two(day)?, two(hour)?, two(minute)?, two(second)?], ms * 1_000_000)
}

/// A DTL as nanoseconds since 1970.
pub fn of_dtl(bytes: &[u8]) -> Option<i64> {
    let [y, year, month, day, _, hour, minute, second, a, b, c, d] = *bytes else { return None };
    let year = i64::from(u16::from_be_bytes([y, year]));
    let ns = i64::from(u32::from_be_bytes([a, b, c, d]));
    nanoseconds([year, month.into(), day.into(), hour.into(), minute.into(), second.into()], ns)
}

/// A point in time as DATE; `None` if it is out of range or no midnight.
pub fn to_date(time: Timestamp) -> Option<Vec<u8>> {
    if time.0.rem_euclid(NS_PER_DAY) != 0 {
        return None;
    }
    let days = u16::try_from(time.0.div_euclid(NS_PER_DAY) - DAYS_TO_1990).ok()?;
    Some(days.to_be_bytes().to_vec())
}

/// A point in time as DATE_AND_TIME, down to the millisecond; `None` if it is out of range.
pub fn to_date_and_time(time: Timestamp) -> Option<Vec<u8>> {
    let (year, month, day, hour, minute, second, ns) = time.civil();
    if !SHORT_YEARS.contains(&year) {
        return None;
    }
    let two = |number: u32| (number / 10 % 10 * 16 + number % 10) as u8;
    let (ms, year_digits) = (ns / 1_000_000, u32::try_from(year % 100).ok()?);
    let last = (ms % 10 * 16) as u8 | weekday(year, month, day)?;
    Some(vec![
        two(year_digits),
        two(month),
        two(day),
        two(hour),
        two(minute),
        two(second),
        two(ms / 10),
        last,
    ])
}

/// A point in time as DTL; `None` if it is before 1970.
pub fn to_dtl(time: Timestamp) -> Option<Vec<u8>> {
    let (year, month, day, hour, minute, second, ns) = time.civil();
    if time.0 < 0 {
        return None;
    }
    let mut bytes = u16::try_from(year).ok()?.to_be_bytes().to_vec();
    bytes.extend([
        month as u8,
        day as u8,
        weekday(year, month, day)?,
        hour as u8,
        minute as u8,
        second as u8,
    ]);
    bytes.extend(ns.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ns: Option<i64>) -> String {
        ns.map_or("none".into(), |ns| Timestamp(ns).to_string())
    }

    #[test]
    fn known_moments_are_read() {
        assert_eq!(shown(of_date(&[0, 0])), "1990-01-01T00:00:00.000Z");
        assert_eq!(shown(of_date(&[0xFF, 0xFF])), "2169-06-06T00:00:00.000Z");
        // 1993-12-25 08:12:34.567, a Saturday: the example of the STEP 7 help.
        let bytes = [0x93, 0x12, 0x25, 0x08, 0x12, 0x34, 0x56, 0x77];
        assert_eq!(shown(of_date_and_time(&bytes)), "1993-12-25T08:12:34.567Z");
        let bytes = [0x07, 0xE8, 2, 29, 5, 23, 59, 58, 0, 0, 0, 9];
        assert_eq!(shown(of_dtl(&bytes)), "2024-02-29T23:59:58.000000009Z");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        assert_eq!(of_date_and_time(&[0; 8]), None, "a clock that was never set");
        assert_eq!(of_date_and_time(&[0x93, 0x13, 0x25, 0, 0, 0, 0, 0]), None);
        assert_eq!(of_date_and_time(&[0x9A, 0x12, 0x25, 0, 0, 0, 0, 0]), None);
        assert_eq!(of_dtl(&[0x07, 0xE7, 2, 29, 5, 0, 0, 0, 0, 0, 0, 0]), None, "2023 had none");
        assert_eq!(of_dtl(&[0xFF, 0xFF, 2, 2, 5, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!((of_date(&[1]), of_dtl(&[]), of_date_and_time(&[1])), (None, None, None));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ns in [of_date(&[0x30, 0x39]).unwrap(), 1_700_000_000_123_000_000, 0, 3_755_289_599_999_000_000] {
            let time = Timestamp(ns);
            if let Some(bytes) = to_date_and_time(time) {
                assert_eq!(of_date_and_time(&bytes), Some(ns), "{time}");
            }
            assert_eq!(of_dtl(&to_dtl(time).unwrap()), Some(ns), "{time}");
        }
        assert_eq!(to_date_and_time(Timestamp(0)), None);
        assert_eq!(to_date_and_time(Timestamp(756_807_154_567_000_000)).unwrap()[7] & 0xF, 7, "a Saturday");
        assert_eq!(to_date(Timestamp(of_date(&[0x30, 0x39]).unwrap())), Some(vec![0x30, 0x39]));
        assert_eq!((to_date(Timestamp(1)), to_date(Timestamp(0)), to_dtl(Timestamp(-1))), (None, None, None));
    }
}
