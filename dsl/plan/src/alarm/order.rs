//! Orders of operators to alarms, as text: what a control room sends, what the log keeps.
//!
//! ```text
//! acknowledge oil_hot by anna          {"command": "acknowledge", "alarm": "oil_hot", "by": "anna"}
//! shelve 'TT-101 high' for 30 min      {"command": "shelve", "alarm": "TT-101 high", "for": "30 min"}
//! unshelve *                           {"command": "unshelve", "alarm": "*"}
//! ```
//! `*` means all alarms of the device. Every alarm of a device is offered the order and takes what is its own, at
//! the event time of the order; so orders are replayed like everything else in the log.

use super::AlarmCommand;
use gwp_core::Timestamp;
use std::fmt;
use std::sync::Arc;

/// Longest shelving: what is silent for longer is taken out of service, not shelved. Nanoseconds.
pub const SHELVE_NS_MAX: i64 = 31 * 86_400 * 1_000_000_000;

/// Longest text of an order, in bytes.
const ORDER_BYTES_MAX: usize = 1_024;

/// An order to one alarm of a device or to all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlarmOrder {
    pub action: AlarmAction,
    /// Name of the alarm; `None` = all of the device.
    pub alarm: Option<Arc<str>>,
    /// Who gave it; empty if that is not known.
    pub by: Arc<str>,
}

/// What an order wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlarmAction {
    Acknowledge,
    /// Nanoseconds from the time of the order.
    Shelve(i64),
    Unshelve,
}

/// Words of the actions, as `allow` of a `write` lists them.
pub const ALARM_ACTIONS: [&str; 3] = ["acknowledge", "shelve", "unshelve"];

/// A text that is no order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    #[error("an order has at most {ORDER_BYTES_MAX} bytes")]
    TooLong,
    #[error("`{0}` is no order: acknowledge, shelve or unshelve")]
    Action(String),
    #[error("the order names no alarm: `acknowledge oil_hot`, or `*` for all of the device")]
    NoAlarm,
    #[error("`shelve` says for how long: `shelve oil_hot for 30 min`")]
    NoTime,
    #[error("`{0}` is no time to shelve for: ms, s, min, h or d, at most 31 d")]
    Time(String),
    #[error("`{0}` is not expected here: `shelve oil_hot for 30 min by anna`")]
    Unexpected(String),
    #[error("the quotes of `{0}` are not closed")]
    Open(String),
    #[error("the JSON has no text `{0}`")]
    Field(&'static str),
}

impl AlarmAction {
    /// As in [`ALARM_ACTIONS`].
    pub fn word(self) -> &'static str {
        match self {
            AlarmAction::Acknowledge => ALARM_ACTIONS[0],
            AlarmAction::Shelve(_) => ALARM_ACTIONS[1],
            AlarmAction::Unshelve => ALARM_ACTIONS[2],
        }
    }

    fn new(word: &str, time: Option<&str>) -> Result<AlarmAction, OrderError> {
        let action = match word {
            "acknowledge" | "ack" => AlarmAction::Acknowledge,
            "unshelve" => AlarmAction::Unshelve,
            "shelve" => return shelve_ns(time.ok_or(OrderError::NoTime)?).map(AlarmAction::Shelve),
            other => return Err(OrderError::Action(other.to_owned())),
        };
        time.map_or(Ok(action), |_| Err(OrderError::Unexpected("for".into())))
    }
}

impl AlarmOrder {
    /// Reads an order, as words or as a JSON object.
    ///
    /// # Errors
    /// It is no order, and why.
    pub fn read(text: &str) -> Result<AlarmOrder, OrderError> {
        if text.len() > ORDER_BYTES_MAX {
            return Err(OrderError::TooLong);
        }
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(object)) => Self::of_json(&object),
            _ => Self::of_words(text),
        }
    }

    fn of_json(object: &serde_json::Map<String, serde_json::Value>) -> Result<AlarmOrder, OrderError> {
        let text = |name: &'static str| match object.get(name) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(serde_json::Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(OrderError::Field(name)),
        };
        let action = AlarmAction::new(text("command")?.ok_or(OrderError::Field("command"))?, text("for")?)?;
        let alarm = text("alarm")?.ok_or(OrderError::NoAlarm)?;
        Ok(Self::new(action, alarm, text("by")?.unwrap_or_default()))
    }

    fn of_words(text: &str) -> Result<AlarmOrder, OrderError> {
        let mut words = Words(text);
        let action = words.next()?.unwrap_or_default();
        let alarm = words.next()?;
        let (mut time, mut by) = (None, None);
        while let Some(word) = words.next()? {
            match word.as_str() {
                "for" if time.is_none() => {
                    let number = words.next()?.ok_or(OrderError::NoTime)?;
                    // `30 min` or `30min`
                    let whole = number.ends_with(|c: char| c.is_alphabetic());
                    let unit = if whole { None } else { words.next()? };
                    time = Some(format!("{number} {}", unit.unwrap_or_default()));
                }
                "by" if by.is_none() => {
                    by = Some(words.next()?.ok_or_else(|| OrderError::Unexpected("by".into()))?);
                }
                _ => return Err(OrderError::Unexpected(word)),
            }
        }
        let action = AlarmAction::new(&action, time.as_deref())?;
        Ok(Self::new(action, &alarm.ok_or(OrderError::NoAlarm)?, by.as_deref().unwrap_or_default()))
    }

    pub fn new(action: AlarmAction, alarm: &str, by: &str) -> AlarmOrder {
        AlarmOrder { action, alarm: (alarm != "*").then(|| alarm.into()), by: by.into() }
    }

    /// True if it is meant for an alarm of that name.
    pub fn concerns(&self, alarm: &str) -> bool {
        self.alarm.as_ref().is_none_or(|name| **name == *alarm)
    }

    /// The command it is at its event time.
    pub fn command(&self, time: Timestamp) -> AlarmCommand {
        match self.action {
            AlarmAction::Acknowledge => AlarmCommand::Acknowledge,
            AlarmAction::Shelve(ns) => AlarmCommand::Shelve { until: time.plus(ns) },
            AlarmAction::Unshelve => AlarmCommand::Unshelve,
        }
    }
}

impl fmt::Display for AlarmOrder {
    /// As words, to be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.word(), self.alarm.as_deref().map_or("*".into(), quoted))?;
        if let AlarmAction::Shelve(ns) = self.action {
            write!(f, " for {}", exact_time(ns))?;
        }
        if !self.by.is_empty() {
            write!(f, " by {}", quoted(&self.by))?;
        }
        Ok(())
    }
}

/// Whole milliseconds in the largest unit of which they are a whole number.
fn exact_time(ns: i64) -> String {
    let ms = ns / 1_000_000;
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    let fits = units.into_iter().find(|(_, factor)| ms % factor == 0);
    let (unit, factor) = fits.unwrap_or(("ms", 1));
    format!("{} {unit}", ms / factor)
}

/// A name that is one word, in quotes if it must be.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
    if !name.is_empty() && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "''"))
}

/// `30 min` in nanoseconds.
fn shelve_ns(text: &str) -> Result<i64, OrderError> {
    let wrong = || OrderError::Time(text.trim().to_owned());
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit.trim() {
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 6e10,
        "h" => 3.6e12,
        "d" => 8.64e13,
        _ => return Err(wrong()),
    };
    let ns = number * factor;
    if !(1e6..=SHELVE_NS_MAX as f64).contains(&ns) {
        return Err(wrong());
    }
    // Whole milliseconds, which its text gives back exactly.
    Ok((ns / 1e6).round() as i64 * 1_000_000)
}

/// Words separated by blanks; `'...'` is one word, `''` in it a quote.
struct Words<'t>(&'t str);

impl Words<'_> {
    fn next(&mut self) -> Result<Option<String>, OrderError> {
        let rest = self.0.trim_start();
        let Some(mut inside) = rest.strip_prefix('\'') else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, left) = rest.split_at(end);
            self.0 = left;
            return Ok((!word.is_empty()).then(|| word.to_owned()));
        };
        let mut word = String::new();
        loop {
            let (text, left) = inside.split_once('\'').ok_or_else(|| OrderError::Open(rest.to_owned()))?;
            word.push_str(text);
            match left.strip_prefix('\'') {
                Some(left) => {
                    word.push('\'');
                    inside = left;
                }
                None => {
                    self.0 = left;
                    return Ok(Some(word));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<AlarmOrder, OrderError> {
        AlarmOrder::read(text)
    }

    #[test]
    fn words_and_json_say_the_same() {
        let anna = AlarmOrder::new(AlarmAction::Acknowledge, "oil_hot", "anna");
        assert_eq!(read("acknowledge oil_hot by anna"), Ok(anna.clone()));
        assert_eq!(read(r#"{"command": "ack", "alarm": "oil_hot", "by": "anna"}"#), Ok(anna));
        let shelve = AlarmOrder::new(AlarmAction::Shelve(1_800_000_000_000), "TT-101 high", "");
        for text in [
            "shelve 'TT-101 high' for 30 min",
            "  shelve  'TT-101 high'  for 0.5h ",
            r#"{"command": "shelve", "alarm": "TT-101 high", "for": "30 min", "by": null}"#,
        ] {
            assert_eq!(read(text), Ok(shelve.clone()), "{text}");
        }
        assert_eq!(shelve.to_string(), "shelve 'TT-101 high' for 30 min");
        let all = read("unshelve *").unwrap();
        assert!(all.concerns("oil_hot") && all.concerns("x") && all.alarm.is_none());
        assert!(!shelve.concerns("oil_hot"));
    }

    #[test]
    fn what_is_no_order_is_told_so() {
        for (text, part) in [
            ("", "`` is no order"),
            ("reset oil_hot", "`reset` is no order"),
            ("acknowledge", "names no alarm"),
            ("acknowledge oil_hot anna", "`anna` is not expected"),
            ("acknowledge oil_hot for 5 min", "`for` is not expected"),
            ("shelve oil_hot", "for how long"),
            ("shelve oil_hot for", "for how long"),
            ("shelve oil_hot for 5 weeks", "`5 weeks` is no time"),
            ("shelve oil_hot for 32 d", "`32 d` is no time"),
            ("shelve oil_hot for -5 min", "is no time"),
            ("acknowledge 'oil_hot", "not closed"),
            (r#"{"command": 7, "alarm": "x"}"#, "no text `command`"),
            (r#"{"command": "shelve", "alarm": "x"}"#, "for how long"),
            (r#"{"alarm": "x"}"#, "no text `command`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(read(&"x".repeat(2_000)), Err(OrderError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            alarm in "[a-zA-Z' _*-]{1,12}",
            by in "[a-z' .@]{0,9}",
            ms in 1..SHELVE_NS_MAX / 1_000_000,
            which in 0..3usize,
        ) {
            prop_assume!(alarm != "*");
            let shelve = AlarmAction::Shelve(ms * 1_000_000);
            let action = [AlarmAction::Acknowledge, AlarmAction::Unshelve, shelve][which];
            let order = AlarmOrder::new(action, &alarm, &by);
            prop_assert_eq!(read(&order.to_string()), Ok(order));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            let _ = read(&text);
        }
    }
}
