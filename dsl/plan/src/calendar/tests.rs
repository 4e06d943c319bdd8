use super::*;
use gwp_core::time::NS_PER_S;
use proptest::prelude::*;

const MINUTE_NS: i64 = 60 * NS_PER_S;

fn at(text: &str) -> Timestamp {
    clamped(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond())
}

/// Boundaries in [from, to].
fn boundaries(calendar: &Calendar, from: &str, to: &str) -> Vec<String> {
    let zone = calendar.zone();
    let mut found = Vec::new();
    let mut next = calendar.next_after(Timestamp(at(from).0 - 1), &zone);
    while next <= at(to) {
        found.push(next.to_string().replace(":00.000Z", "Z"));
        next = calendar.next_after(next, &zone);
    }
    found
}

fn every(period: Period, at_min: u16, zone: &str) -> Calendar {
    Calendar::new(period, at_min, zone).unwrap()
}

const fn hours(count: i64) -> Period {
    Period::Time(count * HOUR_NS)
}

#[test]
fn days_of_23_and_25_hours_have_as_many_windows() {
    let hourly = every(hours(1), 0, "Europe/Berlin");
    for (from, to, windows) in [
        ("2025-03-29T23:00Z", "2025-03-30T22:00Z", 23),
        ("2025-10-25T22:00Z", "2025-10-26T23:00Z", 25),
        ("2025-10-26T23:00Z", "2025-10-27T23:00Z", 24),
    ] {
        assert_eq!(boundaries(&hourly, from, to).len(), windows + 1);
        let daily = every(Period::Days(1), 0, "Europe/Berlin");
        assert_eq!(boundaries(&daily, from, to).len(), 2);
    }
}

#[test]
fn shifts_keep_to_the_clock() {
    let shifts = every(hours(8), 6 * 60, "Europe/Berlin");
    assert_eq!(
        boundaries(&shifts, "2025-03-29T13:00Z", "2025-03-30T12:00Z"),
        ["2025-03-29T13:00Z", "2025-03-29T21:00Z", "2025-03-30T04:00Z", "2025-03-30T12:00Z"]
    );
    assert_eq!(
        boundaries(&shifts, "2025-10-25T20:00Z", "2025-10-26T05:00Z"),
        ["2025-10-25T20:00Z", "2025-10-26T05:00Z"],
        "nine hours"
    );
}

#[test]
fn quarters_of_hours_of_offset_are_right() {
    let hourly = every(hours(1), 0, "Asia/Kathmandu");
    assert_eq!(
        boundaries(&hourly, "2025-06-01T00:00Z", "2025-06-01T02:00Z"),
        ["2025-06-01T00:15Z", "2025-06-01T01:15Z"]
    );
    // The clocks of Lord Howe go forward by half an hour: the last window of the day is cut.
    let lord_howe = every(hours(1), 0, "Australia/Lord_Howe");
    assert_eq!(
        boundaries(&lord_howe, "2025-10-05T11:00Z", "2025-10-05T14:00Z"),
        ["2025-10-05T11:30Z", "2025-10-05T12:30Z", "2025-10-05T13:00Z", "2025-10-05T14:00Z"]
    );
}

#[test]
fn days_without_a_midnight_begin_when_the_clocks_have_passed_it() {
    let brazil = every(Period::Days(1), 0, "America/Sao_Paulo");
    assert_eq!(
        boundaries(&brazil, "2017-10-14T00:00Z", "2017-10-16T12:00Z"),
        ["2017-10-14T03:00Z", "2017-10-15T03:00Z", "2017-10-16T02:00Z"]
    );
    // Samoa had no 30 December 2011 at all.
    let samoa = every(Period::Days(1), 6 * 60, "Pacific/Apia");
    assert_eq!(
        boundaries(&samoa, "2011-12-29T00:00Z", "2012-01-01T00:00Z"),
        ["2011-12-29T16:00Z", "2011-12-30T16:00Z", "2011-12-31T16:00Z"]
    );
    assert_eq!(samoa.start_of(at("2011-12-30T13:00Z"), &samoa.zone()), at("2011-12-29T16:00Z"));
    // In Cuba midnight comes twice; the first counts.
    let cuba = every(Period::Days(1), 0, "America/Havana");
    assert_eq!(
        boundaries(&cuba, "2025-11-02T00:00Z", "2025-11-03T06:00Z"),
        ["2025-11-02T04:00Z", "2025-11-03T05:00Z"]
    );
}

#[test]
fn weeks_begin_on_monday_and_years_in_january() {
    let weekly = every(Period::Days(7), 6 * 60, "UTC");
    assert_eq!(
        boundaries(&weekly, "2026-01-01T00:00Z", "2026-01-13T00:00Z"),
        ["2026-01-05T06:00Z", "2026-01-12T06:00Z"]
    );
    let quarterly = every(Period::Months(3), 0, "Europe/Berlin");
    assert_eq!(
        boundaries(&quarterly, "2025-01-01T00:00Z", "2025-12-31T23:00Z"),
        ["2025-03-31T22:00Z", "2025-06-30T22:00Z", "2025-09-30T22:00Z", "2025-12-31T23:00Z"]
    );
    let yearly = every(Period::Months(12), 0, "UTC");
    assert_eq!(yearly.start_of(at("2024-12-31T23:59:59Z"), &TimeZone::UTC), at("2024-01-01T00:00Z"));
    let leap = every(Period::Months(1), 0, "UTC");
    assert_eq!(leap.next_after(at("2024-02-29T12:00Z"), &TimeZone::UTC), at("2024-03-01T00:00Z"));
}

#[test]
fn what_is_no_grid_is_refused() {
    let refused = |period, at_min, zone: &str| Calendar::new(period, at_min, zone).unwrap_err();
    assert_eq!(refused(Period::Time(7 * MINUTE_NS), 0, "UTC"), CalendarError::Uneven);
    assert_eq!(refused(Period::Time(0), 0, "UTC"), CalendarError::Uneven);
    assert_eq!(refused(Period::Months(0), 0, "UTC"), CalendarError::Uneven);
    assert_eq!(refused(Period::Days(1), 1_440, "UTC"), CalendarError::NoTimeOfDay);
    assert_eq!(refused(Period::Days(1), 0, "Mars/Base"), CalendarError::UnknownZone("Mars/Base".into()));
}

const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Pacific/Kwajalein",
];

/// Times of 1972 to 2037, half of them near a change of the clocks.
fn times() -> impl Strategy<Value = (TimeZone, &'static str, Timestamp)> {
    let day = 24 * 60_i64;
    (0..ZONES.len(), 730 * day..24_800 * day, any::<bool>(), -40 * 60..40 * 60_i64, 0..60_i64).prop_map(
        |(zone, minute, near, off, second)| {
            let name = ZONES[zone];
            let zone = TimeZone::get(name).unwrap();
            let mut time = minute * 60;
            if near {
                let instant = jiff::Timestamp::from_second(time).unwrap();
                let change = zone.following(instant).next().map(|change| change.timestamp().as_second());
                time = change.filter(|change| *change < 2_140_000_000).unwrap_or(time) + off * 60;
            }
            (zone, name, Timestamp((time + second) * NS_PER_S))
        },
    )
}

fn periods() -> impl Strategy<Value = Period> {
    prop_oneof![
        proptest::sample::select(vec![1_i64, 2, 5, 15, 20, 30, 45, 60])
            .prop_map(|minutes| Period::Time(minutes * MINUTE_NS)),
        proptest::sample::select(vec![72_i64, 90, 120, 180, 240, 360, 480, 720, 1_440])
            .prop_map(|minutes| Period::Time(minutes * MINUTE_NS)),
        (1..9_u16).prop_map(Period::Days),
        (1..13_u16).prop_map(Period::Months),
    ]
}

/// The window around a time, read off clocks that are looked at every minute.
fn naive(calendar: &Calendar, zone: &TimeZone, time: Timestamp) -> (i64, i64) {
    let days = match calendar.period {
        Period::Time(_) => 4,
        Period::Days(count) => i64::from(count) + 3,
        Period::Months(count) => i64::from(count) * 31 + 3,
    };
    let now = time.0.div_euclid(MINUTE_NS);
    let range = now - days * 1_440..now + days * 1_440;
    let shown: Vec<i64> = range.clone().map(|minute| minute + offset(zone, minute)).collect();
    let at_min = i64::from(calendar.at_min);
    let (wall_period, step) = match calendar.period {
        Period::Time(ns) if ns <= HOUR_NS => (1_440, Some(ns / MINUTE_NS)),
        Period::Time(ns) => (ns / MINUTE_NS, None),
        _ => (1_440, None),
    };
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (minute, pair) in range.zip(shown.windows(2)) {
        // All wall times that the clocks show or skip in this minute.
        for wall in pair[0]..(pair[1]).max(pair[0] + 1) {
            if (wall - at_min).rem_euclid(wall_period) == 0 && begins(calendar, wall) && seen.insert(wall) {
                found.push(minute + wall - pair[0]);
            }
        }
    }
    found.sort_unstable();
    if let Some(step) = step {
        let ends = found.windows(2).flat_map(|day| (day[0]..day[1]).step_by(step as usize));
        found = ends.collect();
    }
    let start = found.iter().rev().find(|boundary| **boundary <= now).unwrap();
    let next = found.iter().find(|boundary| **boundary > now).unwrap();
    (*start, *next)
}

fn offset(zone: &TimeZone, minute: i64) -> i64 {
    i64::from(zone.to_offset(jiff::Timestamp::from_second(minute * 60).unwrap()).seconds()) / 60
}

/// Whether a period of days or months begins on the date of a wall time.
fn begins(calendar: &Calendar, wall: i64) -> bool {
    let (year, month, day, ..) = Timestamp(wall * MINUTE_NS).civil();
    match calendar.period {
        Period::Time(_) => true,
        Period::Days(count) => (wall.div_euclid(1_440) - 4).rem_euclid(i64::from(count)) == 0,
        Period::Months(count) => {
            day == 1 && (year * 12 + i64::from(month) - 1).rem_euclid(i64::from(count)) == 0
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn windows_equal_those_read_off_the_clock(
        (zone, name, time) in times(),
        period in periods(),
        at_min in prop_oneof![Just(0_u16), 0..1_440_u16],
    ) {
        // A year of minutes takes too long to look at.
        prop_assume!(!matches!(period, Period::Months(2..)));
        let calendar = every(period, at_min, name);
        let (start, next) = naive(&calendar, &zone, time);
        prop_assert_eq!(calendar.start_of(time, &zone), Timestamp(start * MINUTE_NS));
        prop_assert_eq!(calendar.next_after(time, &zone), Timestamp(next * MINUTE_NS));
    }

    #[test]
    fn windows_join(
        (zone, name, time) in times(),
        period in periods(),
        at_min in prop_oneof![Just(0_u16), 0..1_440_u16],
    ) {
        let calendar = every(period, at_min, name);
        let (start, mut next) = (calendar.start_of(time, &zone), calendar.next_after(time, &zone));
        prop_assert!(start <= time && time < next);
        prop_assert_eq!(calendar.next_after(start, &zone), next);
        prop_assert_eq!(calendar.start_of(start, &zone), start);
        for _ in 0..30 {
            let after = calendar.next_after(next, &zone);
            prop_assert!(after > next);
            prop_assert_eq!(calendar.start_of(next, &zone), next);
            prop_assert_eq!(calendar.start_of(Timestamp(after.0 - 1), &zone), next);
            next = after;
        }
    }

    /// Any time and any declaration, also one that `new` would refuse.
    #[test]
    fn every_time_lies_in_a_window(
        time in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(i64::MAX - 1)],
        zone in proptest::sample::select(ZONES.to_vec()),
        period in prop_oneof![
            periods(),
            any::<i64>().prop_map(Period::Time),
            any::<u16>().prop_map(Period::Days),
            any::<u16>().prop_map(Period::Months)
        ],
        at_min in any::<u16>(),
    ) {
        let calendar = Calendar { period, at_min, timezone: zone.into() };
        let zone = calendar.zone();
        let time = Timestamp(time);
        let (start, next) = (calendar.start_of(time, &zone), calendar.next_after(time, &zone));
        prop_assert!(start <= time);
        prop_assert!(time < next || next == Timestamp(i64::MAX));
        prop_assert_eq!(calendar.next_after(start, &zone), next);
    }
}
