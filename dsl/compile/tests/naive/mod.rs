//! Windows computed the obvious way: all samples at hand, sorted by time, each window walked from scratch.
#![allow(dead_code)]

use std::collections::BTreeMap;

use gwp_core::Value;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::streams::{BEGIN_DAYS, NS, Sample, Tag};

/// Counters of the programs wrap here.
pub const COUNTER_HIGH: i64 = 999;

/// Share of good time below which a value is uncertain.
const MIN_COVERAGE: f64 = 0.8;

/// Which windows a program has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Seconds, counted from midnight in elapsed time.
    Elapsed(i64),
    /// Hours of the clock on the wall, from so many minutes after midnight.
    Clock(i64, i64),
    /// Step and length in seconds.
    Over(i64, i64),
    On,
    While,
}

/// What a row must say.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub start: i64,
    pub end: i64,
    pub coverage: f64,
    /// By name: a value, and whether it is good. None: bad.
    pub columns: BTreeMap<&'static str, Option<(f64, bool)>>,
}

/// Samples by tag, sorted by time; those of one time in the order in which they were made.
pub type Sorted = BTreeMap<Tag, Vec<(i64, Option<f64>)>>;

pub fn sorted(samples: &[Sample]) -> Sorted {
    let mut all = Sorted::new();
    for sample in samples {
        let number = sample.value.as_ref().map(|value| match value {
            Value::Bool(value) => f64::from(u8::from(*value)),
            value => value.as_f64().expect("a number"),
        });
        all.entry(sample.tag).or_default().push((sample.time, number));
    }
    all.values_mut().for_each(|of_tag| of_tag.sort_by_key(|(time, _)| *time));
    all
}

/// Every row of the windows that have ended at `upto`.
pub fn rows(kind: Kind, samples: &Sorted, begin: i64, upto: i64) -> Vec<Row> {
    windows(kind, samples, begin, upto).into_iter().map(|(start, end)| row(samples, start, end)).collect()
}

fn windows(kind: Kind, samples: &Sorted, begin: i64, upto: i64) -> Vec<(i64, i64)> {
    let mut list: Vec<(i64, i64)> = match kind {
        Kind::Elapsed(seconds) => pairs(&elapsed(seconds)),
        Kind::Clock(hours, at) => pairs(&clock(hours, at)),
        Kind::Over(step, length) => elapsed(step).into_iter().map(|end| (end - length * NS, end)).collect(),
        Kind::On => {
            let rises = edges(samples).into_iter().filter(|(_, to)| *to).map(|(time, _)| time);
            pairs(&[begin].into_iter().chain(rises).collect::<Vec<_>>())
        }
        Kind::While => pairs(&edges(samples).into_iter().map(|(time, _)| time).collect::<Vec<_>>())
            .into_iter()
            .step_by(2)
            .collect(),
    };
    list.retain(|(start, end)| *end > begin && *end <= upto && start < end);
    list
}

fn pairs(times: &[i64]) -> Vec<(i64, i64)> {
    times.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("known")
}

fn days() -> impl Iterator<Item = Date> {
    let first = Date::new(BEGIN_DAYS.0, BEGIN_DAYS.1, BEGIN_DAYS.2).expect("a date");
    first.series(jiff::Span::new().days(1)).take(40)
}

fn instant(day: Date, minutes: i64) -> i64 {
    let wall = day.to_datetime(Time::midnight()) + jiff::SignedDuration::from_mins(minutes);
    let at = wall.to_zoned(zone()).expect("inside of time").timestamp();
    i64::try_from(at.as_nanosecond()).expect("inside of time")
}

/// The grid around the days of the streams.
fn elapsed(seconds: i64) -> Vec<i64> {
    let midnights: Vec<i64> = days().map(|day| instant(day, 0)).collect();
    let mut grid = Vec::new();
    for (midnight, next) in pairs(&midnights) {
        grid.extend((0..).map(|index| midnight + index * seconds * NS).take_while(|time| *time < next));
    }
    grid
}

fn clock(hours: i64, at: i64) -> Vec<i64> {
    let of_day = |day: Date| (0..24 / hours).map(move |index| instant(day, at + index * hours * 60));
    let mut grid: Vec<i64> = days().flat_map(of_day).collect();
    grid.sort_unstable();
    grid.dedup();
    grid
}

/// When the condition became true or false, in turn, beginning with true.
fn edges(samples: &Sorted) -> Vec<(i64, bool)> {
    let (mut now, mut edges) = (false, Vec::new());
    let all = &samples[&Tag::B];
    for (index, (time, value)) in all.iter().enumerate() {
        let last_of_time = all.get(index + 1).is_none_or(|next| next.0 > *time);
        if let (true, Some(value)) = (last_of_time, value)
            && (*value == 1.0) != now
        {
            now = !now;
            edges.push((*time, now));
        }
    }
    edges
}

/// What an argument of an aggregate gives in a window.
struct Seen {
    /// Good samples.
    samples: Vec<f64>,
    /// Good values and how long they stand, in seconds.
    held: Vec<(f64, f64)>,
    /// It stands at the start, and no sample takes its place there.
    at_start: Option<f64>,
    /// The last good value ever before the start.
    before: Option<f64>,
    share: f64,
}

fn see(of_tag: &[(i64, Option<f64>)], start: i64, end: i64) -> Seen {
    let at = |time: i64| of_tag.iter().rev().find(|sample| sample.0 <= time).and_then(|sample| sample.1);
    let inside: Vec<_> = of_tag.iter().filter(|sample| (start..end).contains(&sample.0)).collect();
    let mut times: Vec<i64> = inside.iter().map(|sample| sample.0).chain([start, end]).collect();
    times.sort_unstable();
    let stand = |(from, to): (i64, i64)| at(from).map(|value| (value, (to - from) as f64 / NS as f64));
    let held: Vec<(f64, f64)> =
        pairs(&times).into_iter().filter_map(stand).filter(|(_, s)| *s > 0.0).collect();
    let replaced = inside.first().is_some_and(|sample| sample.0 == start);
    Seen {
        samples: inside.iter().filter_map(|sample| sample.1).collect(),
        share: held.iter().map(|(_, seconds)| seconds).sum::<f64>() / ((end - start) as f64 / NS as f64),
        at_start: if replaced { None } else { at(start) },
        before: of_tag.iter().rev().filter(|sample| sample.0 < start).find_map(|sample| sample.1),
        held,
    }
}

/// What a counter has gained from one value to another.
fn gain(last: f64, new: f64) -> f64 {
    let wrapped = new - last + (COUNTER_HIGH + 1) as f64;
    match new >= last {
        true => new - last,
        false if wrapped * 2.0 < (COUNTER_HIGH + 1) as f64 => wrapped,
        false => new,
    }
}

fn row(samples: &Sorted, start: i64, end: i64) -> Row {
    let empty = Vec::new();
    let of = |tag| see(samples.get(&tag).unwrap_or(&empty), start, end);
    let (x, n, b) = (of(Tag::X), of(Tag::N), of(Tag::B));
    let seconds: f64 = x.held.iter().map(|(_, seconds)| seconds).sum();
    let area: f64 = x.held.iter().map(|(value, seconds)| value * seconds).sum();
    let count = x.samples.len() as f64;
    let sum: f64 = x.samples.iter().sum();
    let mean = sum / count;
    let spread: f64 = x.samples.iter().map(|value| (value - mean).powi(2)).sum();
    let values = || x.at_start.iter().chain(&x.samples).copied();
    let time = |seen: &Seen, holds: &dyn Fn(f64) -> bool| -> f64 {
        seen.held.iter().filter(|(value, _)| holds(*value)).map(|(_, seconds)| seconds).sum()
    };
    let some = |seen: &Seen, value: f64| (!seen.held.is_empty() || !seen.samples.is_empty()).then_some(value);
    let stands = |seen: &Seen, value: f64| (!seen.held.is_empty()).then_some(value);
    let counted: Vec<f64> = n.before.iter().chain(&n.samples).copied().collect();
    let made: f64 = counted.windows(2).map(|pair| gain(pair[0], pair[1])).sum();
    let list = [
        ("a", &x, stands(&x, area / seconds)),
        ("lo", &x, values().reduce(f64::min)),
        ("hi", &x, values().reduce(f64::max)),
        ("f", &x, x.samples.first().or(x.at_start.as_ref()).copied()),
        ("l", &x, x.samples.last().or(x.at_start.as_ref()).copied()),
        ("m", &x, (count > 0.0).then_some(mean)),
        ("sm", &x, some(&x, sum)),
        ("c", &x, some(&x, count)),
        ("sd", &x, (count > 0.0).then(|| (spread / (count - 1.0).max(1.0)).sqrt())),
        ("e", &x, stands(&x, area)),
        ("made", &n, some(&n, made)),
        ("t", &b, stands(&b, time(&b, &|value| value == 1.0))),
        ("tx", &x, stands(&x, time(&x, &|value| value > 1.0))),
    ];
    let graded = |seen: &Seen, value: f64| (value, seen.share >= MIN_COVERAGE - 1e-12);
    Row {
        start,
        end,
        coverage: 100.0 * x.share.min(n.share).min(b.share),
        columns: list.into_iter().map(|(name, seen, value)| (name, value.map(|v| graded(seen, v)))).collect(),
    }
}
