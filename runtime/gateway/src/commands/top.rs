//! `gwp top`: a running gateway at a glance, drawn anew each second.

use crate::cli::GatewayArgs;
use crate::control::client::ask;
use crate::status_line::grouped;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, execute};
use hyper::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

/// What a gateway said, and when.
struct Said {
    at: Instant,
    status: Value,
}

fn said(gateway: &GatewayArgs) -> anyhow::Result<Said> {
    let status = ask(gateway, Method::GET, "/v1/status", None)?.done()?;
    Ok(Said { at: Instant::now(), status })
}

/// The terminal as it was, whatever happens.
struct Screen;

impl Screen {
    fn take() -> std::io::Result<Screen> {
        enable_raw_mode()?;
        let screen = Screen;
        execute!(std::io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(std::io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

pub fn top(gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let mut before: Option<Said> = None;
    let mut now = said(gateway)?;
    if !std::io::stdout().is_terminal() {
        print!("{}", frame(None, &now));
        return Ok(ExitCode::SUCCESS);
    }
    let _screen = Screen::take()?;
    loop {
        draw(&frame(before.as_ref(), &now))?;
        if ended(Instant::now() + PERIOD)? {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some(std::mem::replace(&mut now, said(gateway)?));
    }
}

/// Draws as much as there is room for.
fn draw(frame: &str) -> std::io::Result<()> {
    let (width, height) = size().unwrap_or((80, 24));
    let mut screen = String::from("\x1b[H");
    for line in frame.lines().take(usize::from(height)) {
        let line: String = line.chars().take(usize::from(width)).collect();
        let _ = write!(screen, "{line}\x1b[K\r\n");
    }
    let screen = screen.strip_suffix("\r\n").unwrap_or(&screen);
    let mut out = std::io::stdout().lock();
    write!(out, "{screen}\x1b[J")?;
    out.flush()
}

/// Waits until a time; true if somebody ends the view.
fn ended(until: Instant) -> std::io::Result<bool> {
    while poll(until.saturating_duration_since(Instant::now()))? {
        let Event::Key(key) = read()? else { continue };
        let is_break = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if key.kind != KeyEventKind::Release && (is_break || key.code == KeyCode::Char('q')) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn list<'v>(status: &'v Value, name: &str) -> &'v [Value] {
    status.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn state(value: &Value) -> &'static str {
    let is = |name: &str| value.get(name).and_then(Value::as_bool) == Some(true);
    match (is("leaving"), is("connected")) {
        (true, _) => "leaving",
        (false, true) => "ok",
        (false, false) => "DOWN",
    }
}

/// Rates against what was said before.
struct Rates<'a>(Option<&'a Said>, Instant);

impl Rates<'_> {
    /// How fast a figure grows each second; `-` while that is not known. One that began anew counts from zero.
    fn of(&self, list_name: &str, one: &Value, figure: &str) -> String {
        let Some(before) = self.0 else { return "-".into() };
        let is_same = |other: &&Value| text(other, "name") == text(one, "name");
        let known = match list_name {
            "" => Some(&before.status),
            name => list(&before.status, name).iter().find(is_same),
        };
        let (Some(known), seconds) = (known, self.1.duration_since(before.at).as_secs_f64()) else {
            return "-".into();
        };
        let (now, then) = (number(one, figure), number(known, figure));
        let grown = now.checked_sub(then).unwrap_or(now);
        grouped((grown as f64 / seconds.max(0.001)).round() as u64)
    }
}

/// All there is to see, as lines.
fn frame(before: Option<&Said>, now: &Said) -> String {
    let (status, rates) = (&now.status, Rates(before, now.at));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}  plan {}  {}  {} values/s  {} alarms active",
        text(status, "node"),
        text(status, "plan").get(..8).unwrap_or_default(),
        text(status, "time"),
        rates.of("", status, "log_samples"),
        number(status, "alarms_active"),
    );
    if status.get("disk_low").and_then(Value::as_bool) == Some(true) {
        out.push_str("DISK FULL: nothing new is stored until there is room\n");
    }
    if let Some(notice) = status.get("notice").and_then(Value::as_str) {
        let _ = writeln!(out, "NOT IN FORCE: {}", notice.lines().next().unwrap_or_default());
    }
    let _ = writeln!(
        out,
        "\n{:<20} {:<7} {:>10} {:>15} {:>9} {:>9} {:>8}",
        "SOURCE", "", "VALUES/S", "SAMPLES", "TIMEOUTS", "ERRORS", "SILENT"
    );
    for source in list(status, "sources") {
        let _ = writeln!(
            out,
            "{:<20} {:<7} {:>10} {:>15} {:>9} {:>9} {:>8}  {}",
            text(source, "name"),
            state(source),
            rates.of("sources", source, "samples"),
            grouped(number(source, "samples")),
            grouped(number(source, "timeouts")),
            grouped(number(source, "errors")),
            grouped(number(source, "devices_silent")),
            text(source, "problem"),
        );
    }
    let _ = writeln!(
        out,
        "\n{:<20} {:<7} {:>10} {:>15} {:>9} {:>9}",
        "SINK", "", "VALUES/S", "DELIVERED", "WAITING", "DROPPED"
    );
    for sink in list(status, "sinks") {
        let _ = writeln!(
            out,
            "{:<20} {:<7} {:>10} {:>15} {:>9} {:>9}  {}",
            text(sink, "name"),
            state(sink),
            rates.of("sinks", sink, "delivered"),
            grouped(number(sink, "delivered")),
            grouped(number(sink, "waiting")),
            grouped(number(sink, "dropped")),
            text(sink, "problem"),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(at: Instant, samples: u64, delivered: u64) -> Said {
        let status = json!({
            "node": "alpha", "plan": "0123456789abcdef", "time": "t", "log_samples": samples,
            "alarms_active": 2, "notice": "the files have errors\nmore",
            "sources": [{ "name": "press", "connected": true, "samples": samples }],
            "sinks": [{ "name": "db", "connected": false, "delivered": delivered, "waiting": 12_431,
                        "dropped": 7, "problem": "refused" }],
        });
        Said { at, status }
    }

    #[test]
    fn a_frame_has_rates_from_what_was_said_before() {
        let start = Instant::now();
        let first = said(start, 1_000, 500);
        let alone = frame(None, &first);
        assert!(
            alone
                .starts_with("alpha  plan 01234567  t  - values/s  2 alarms active\nNOT IN FORCE: the files")
        );
        let second = said(start + Duration::from_secs(2), 5_000, 100);
        let both = frame(Some(&first), &second);
        let line = |name: &str| both.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let words = |name: &str| {
            line(name).split("  ").filter(|w| !w.is_empty()).map(|w| w.trim().to_owned()).collect::<Vec<_>>()
        };
        assert!(both.contains("  2 000 values/s"), "{both}");
        assert_eq!(words("press"), ["press", "ok", "2 000", "5 000", "0", "0", "0"]);
        // It began anew: what it has now came since.
        assert_eq!(words("db"), ["db", "DOWN", "50", "100", "12 431", "7", "refused"]);
    }
}
