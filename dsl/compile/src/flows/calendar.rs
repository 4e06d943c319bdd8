//! The words of a window: how long it is, where it begins, how long it waits.

use std::sync::Arc;

use gwp_plan::{Calendar, Period, WindowKind};
use gwp_syntax::ast::{self, Expr, ExprKind, Name};
use gwp_syntax::{Diagnostic, Span};

use crate::check::state::bare_path;
use crate::check::{Checker, Scope};
use crate::limits::OVERLAPS_MAX;
use crate::units::Unit;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 86_400 * SECOND;

/// Shortest window.
const SHORTEST: i64 = SECOND / 10;

const DAYS_MAX: i64 = 366;

/// Longest `wait` and longest `revise`, in seconds.
const WAIT_MAX_S: f64 = 7.0 * 86_400.0;
const REVISE_MAX_S: f64 = 31.0 * 86_400.0;

/// Months that divide a year.
const MONTHS: [u16; 6] = [1, 2, 3, 4, 6, 12];

/// What stands between the kind of a window and its columns.
pub(super) struct Words {
    pub kind: WindowKind,
    pub wait_ns: i64,
    pub revise_ns: i64,
    pub min_coverage: f64,
    pub by_device: bool,
    /// Given with `as`.
    pub name: Option<Name>,
}

/// The words as written, each once.
#[derive(Default)]
struct Written<'e> {
    over: Option<&'e Expr>,
    zone: Option<&'e Expr>,
    at: Option<&'e Expr>,
    by: Option<&'e Expr>,
    wait: Option<&'e Expr>,
    revise: Option<(&'e Name, &'e Expr)>,
    name: Option<&'e Expr>,
    min_coverage: Option<&'e Expr>,
}

/// Reads the words of a window. `None` if its grid is not known; what is wrong is reported.
pub(super) fn words(checker: &mut Checker<'_, '_>, window: &ast::Window) -> Option<Words> {
    let written = written(checker, window);
    let wait_ns = written.wait.and_then(|value| time(checker, value, 0.0, WAIT_MAX_S, "7 d"));
    let revise = written.revise;
    let revise_ns = revise.and_then(|(_, value)| time(checker, value, 0.0, REVISE_MAX_S, "31 d"));
    if let (Some((word, _)), false) = (revise, window.kind == ast::WindowKind::Every) {
        let fault = Diagnostic::new("E316", word.span, "only `every` windows are issued again");
        checker.report.push(fault.help("leave `revise` out; `wait` says how long to wait for late samples"));
    }
    let kind = match window.kind {
        ast::WindowKind::On => Some(WindowKind::On),
        ast::WindowKind::While => Some(WindowKind::While),
        ast::WindowKind::Every => every(checker, window, &written),
    };
    Some(Words {
        kind: kind?,
        wait_ns: wait_ns.unwrap_or(0),
        revise_ns: revise_ns.unwrap_or(0),
        min_coverage: written.min_coverage.map_or(0.8, |value| coverage(checker, value)),
        by_device: written.by.is_some_and(|value| by_device(checker, value)),
        name: written.name.and_then(|value| given_name(checker, value)),
    })
}

fn written<'e>(checker: &mut Checker<'_, '_>, window: &'e ast::Window) -> Written<'e> {
    let mut written = Written::default();
    for (at, (word, value)) in window.attrs.iter().enumerate() {
        if let Some((first, _)) = window.attrs.iter().take(at).find(|(other, _)| other.text == word.text) {
            let fault = Diagnostic::new("E409", word.span, format!("`{word}` is given twice"));
            checker.report.push(fault.label(first.span, "the first time"));
        }
        let of_every = matches!(word.text.as_str(), "over" | "in" | "at");
        if of_every && window.kind != ast::WindowKind::Every {
            let fault = Diagnostic::new("E316", word.span, format!("`{word}` belongs to `every`"));
            checker.report.push(fault.help("this window begins and ends with its condition: leave it out"));
            continue;
        }
        match word.text.as_str() {
            "over" => written.over = Some(value),
            "in" => written.zone = Some(value),
            "at" => written.at = Some(value),
            "by" => written.by = Some(value),
            "wait" => written.wait = Some(value),
            "revise" => written.revise = Some((word, value)),
            "as" => written.name = Some(value),
            _ => written.min_coverage = Some(value),
        }
    }
    written
}

/// A fixed time in nanoseconds.
fn time(checker: &mut Checker<'_, '_>, value: &Expr, least: f64, most: f64, most_words: &str) -> Option<i64> {
    let seconds = checker.fixed_number(value, &Unit::second(), false, &Scope::constant())?;
    if !(least..=most).contains(&seconds) {
        let message = format!("a time up to {most_words} is needed here");
        checker
            .report
            .push(Diagnostic::new("E407", value.span, message).here(format!("this is {seconds} s")));
        return None;
    }
    Some((seconds * 1e9).round() as i64)
}

fn coverage(checker: &mut Checker<'_, '_>, value: &Expr) -> f64 {
    let share = checker.fixed_number(value, &Unit::none(), false, &Scope::constant());
    if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        let fault = Diagnostic::new("E407", value.span, "a coverage goes from 0 % to 100 %");
        checker.report.push(fault.help("such as `min_coverage 90 %`"));
    }
    // a percentage is not exact as a binary share: 95 % is 0.95, not what the conversion leaves
    share.map_or(0.8, |share| (share * 1e9).round() / 1e9)
}

fn by_device(checker: &mut Checker<'_, '_>, value: &Expr) -> bool {
    let found = bare_path(value).is_some_and(|path| path.root.text == "device" && path.rest.is_empty());
    if !found {
        let fault = Diagnostic::new("E316", value.span, "windows are kept by device only");
        checker.report.push(
            fault.here("this could take any number of values").help("write `by device`, or leave `by` out"),
        );
    }
    found
}

fn given_name(checker: &mut Checker<'_, '_>, value: &Expr) -> Option<Name> {
    let name = bare_path(value).filter(|path| path.rest.is_empty() && path.members.is_none());
    if name.is_none() {
        checker.report.push(
            Diagnostic::new("E316", value.span, "the name of the rows is a single name")
                .help("such as `as hourly`"),
        );
    }
    name.map(|path| path.root.clone())
}

fn every(checker: &mut Checker<'_, '_>, window: &ast::Window, written: &Written<'_>) -> Option<WindowKind> {
    let zone = written.zone.and_then(|value| zone(checker, value));
    let at = written.at.and_then(|value| clock(checker, value));
    let period = period(checker, &window.expr)?;
    let length = nominal(period);
    let over_ns = match written.over {
        Some(value) => {
            let over = time(checker, value, 0.0, 366.0 * 86_400.0, "366 d")?;
            check_over(checker, over, length, value.span)?;
            Some(over).filter(|over| *over > length)
        }
        None => None,
    };
    let timezone = zone.unwrap_or_else(|| checker.world.timezone.clone());
    let at_min = at.map_or(0, |at| within_period(at, period));
    Some(WindowKind::Every { calendar: Calendar { period, at_min, timezone }, over_ns })
}

fn check_over(checker: &mut Checker<'_, '_>, over: i64, length: i64, at: Span) -> Option<()> {
    if over < length {
        let fault = Diagnostic::new("E316", at, "`over` is shorter than the window");
        checker.report.push(fault.help("samples between would be lost; give a shorter `every`"));
        return None;
    }
    if over / length > OVERLAPS_MAX {
        let message = format!("`over` is more than {OVERLAPS_MAX} times as long as the window");
        checker.report.push(Diagnostic::new("E199", at, message).help("give a longer `every`"));
        return None;
    }
    Some(())
}

/// The same grid has one anchor: the first boundary behind midnight.
fn within_period(at_min: u16, period: Period) -> u16 {
    let Period::Time(ns) = period else { return at_min };
    let behind = i64::from(at_min) * MINUTE % ns;
    if behind % MINUTE == 0 { u16::try_from(behind / MINUTE).unwrap_or(at_min) } else { at_min }
}

/// Nanoseconds of a usual window of the period.
fn nominal(period: Period) -> i64 {
    match period {
        Period::Time(ns) => ns,
        Period::Days(days) => i64::from(days) * DAY,
        Period::Months(months) => i64::from(months) * 31 * DAY,
    }
}

fn period(checker: &mut Checker<'_, '_>, value: &Expr) -> Option<Period> {
    if let ExprKind::Quantity(quantity) = &value.kind
        && let Some(unit) = &quantity.unit
        && matches!(unit.text.as_str(), "month" | "months")
    {
        let found = MONTHS.iter().find(|months| months.to_string() == quantity.number);
        if found.is_none() {
            let fault = Diagnostic::new("E316", value.span, "these months do not divide a year");
            checker.report.push(fault.help("take 1, 2, 3, 4, 6 or 12 months"));
        }
        return found.map(|months| Period::Months(*months));
    }
    let seconds = checker.fixed_number(value, &Unit::second(), false, &Scope::constant())?;
    let ns = (seconds * 1e9).round() as i64;
    let within_day = (SHORTEST..DAY).contains(&ns);
    if within_day && DAY % ns == 0 {
        return Some(Period::Time(ns));
    }
    if ns > 0 && ns % DAY == 0 && ns / DAY <= DAYS_MAX {
        return u16::try_from(ns / DAY).ok().map(Period::Days);
    }
    let message = match within_day {
        true => "windows of this length do not divide a day",
        false if ns < SHORTEST => "a window is at least 100 ms long",
        false => "longer windows are whole days, up to 366, or months",
    };
    let fault = Diagnostic::new("E316", value.span, message);
    let fault = if within_day { fault.here("they would begin at another time each day") } else { fault };
    checker.report.push(match nearest_lengths(ns) {
        (Some(shorter), Some(longer)) => {
            fault.help(format!("the nearest that fit are `every {shorter}` and `every {longer}`"))
        }
        (_, Some(longer)) => fault.help(format!("such as `every {longer}`")),
        _ => fault.help("such as `every 7 d` or `every 1 month`"),
    });
    None
}

/// The nearest lengths of a window below and above, in the unit in which this one is a whole number.
fn nearest_lengths(ns: i64) -> (Option<String>, Option<String>) {
    let units = [(DAY, "d"), (60 * MINUTE, "h"), (MINUTE, "min"), (SECOND, "s"), (SECOND / 1_000, "ms")];
    let whole = |ns: i64| units.iter().find(|(unit, _)| ns % unit == 0).copied();
    let words = |ns: i64| whole(ns).map(|(unit, name)| format!("{} {name}", ns / unit));
    let fits = |length: &i64| match *length {
        length if length < DAY => length >= SHORTEST && DAY % length == 0,
        length => length % DAY == 0 && length / DAY <= DAYS_MAX,
    };
    let finest = if ns < SECOND { SECOND / 1_000 } else { SECOND };
    let step = whole(ns).map_or(finest, |(unit, _)| unit.max(finest));
    let count = ns.max(0) / step;
    // A day is a whole number of every step, and what is longer is looked for from the days.
    let shorter = (1..=count).rev().map(|count| count * step).filter(|length| *length < ns).find(fits);
    let longer = (count + 1..).map(|count| count * step).take_while(|length| *length <= DAY).find(fits);
    let longer = longer.or_else(|| Some((ns / DAY + 1) * DAY).filter(fits));
    (shorter.and_then(words), longer.and_then(words))
}

fn zone(checker: &mut Checker<'_, '_>, value: &Expr) -> Option<Arc<str>> {
    let text = if let ExprKind::Text(text) = &value.kind { text.literal() } else { None };
    let known = text.as_deref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_ok());
    if !known {
        let message = match &text {
            Some(zone) => format!("there is no time zone `{zone}`"),
            None => "`in` needs a time zone".to_owned(),
        };
        let fault = Diagnostic::new("E407", value.span, message);
        checker.report.push(fault.help("zones have names such as `in \"Europe/Berlin\"`"));
        return None;
    }
    text.map(Into::into)
}

/// Minutes after midnight.
fn clock(checker: &mut Checker<'_, '_>, value: &Expr) -> Option<u16> {
    let found = match &value.kind {
        ExprKind::Clock(written) => minutes(written),
        _ => None,
    };
    if found.is_none() {
        let fault = Diagnostic::new("E407", value.span, "`at` needs a time of day in whole minutes");
        checker.report.push(fault.help("such as `at 06:00`"));
    }
    found
}

fn minutes(written: &str) -> Option<u16> {
    let mut parts = written.split(':');
    let hours: u16 = parts.next()?.parse().ok()?;
    let minutes: u16 = parts.next()?.parse().ok()?;
    let whole = parts.all(|seconds| seconds.chars().all(|c| matches!(c, '0' | '.')));
    (hours < 24 && minutes < 60 && whole).then_some(hours * 60 + minutes)
}
