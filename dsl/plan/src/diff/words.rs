//! Values of a plan as a program writes them.

use super::changes::Detail;
use crate::plan::{KeyPart, Linear, OnDisconnect};
use crate::state::StateFunction;
use gwp_core::manifest::{SettingValue, Settings, Standby, written_bytes, written_duration};
use std::collections::BTreeSet;
use std::fmt::Display;

/// What stands for something that is not there.
pub(super) const NONE: &str = "none";

/// A detail if the two differ.
pub(super) fn compared<T: PartialEq>(
    details: &mut Vec<Detail>,
    what: &str,
    (old, new): (&T, &T),
    shown: impl Fn(&T) -> String,
) {
    if old != new {
        details.push(Detail::value(what, shown(old), shown(new)));
    }
}

/// Settings that differ, those of blocks with the name of the block in front.
pub(super) fn settings(details: &mut Vec<Detail>, prefix: &str, old: &Settings, new: &Settings) {
    let names: BTreeSet<_> = old.0.keys().chain(new.0.keys()).collect();
    for name in names {
        let what = format!("{prefix}{name}");
        match (old.get(name), new.get(name)) {
            (Some(SettingValue::Block(old)), Some(SettingValue::Block(new))) => {
                settings(details, &format!("{what}."), old, new);
            }
            (old, new) if old != new => details.push(Detail::value(&what, setting(old), setting(new))),
            _ => {}
        }
    }
}

fn setting(value: Option<&SettingValue>) -> String {
    let Some(value) = value else { return NONE.to_owned() };
    match value {
        SettingValue::Bool(value) => value.to_string(),
        SettingValue::Int(value) => value.to_string(),
        SettingValue::Float(value) => value.to_string(),
        SettingValue::Duration(ns) => written_duration(*ns),
        SettingValue::Bytes(bytes) => written_bytes(*bytes),
        SettingValue::Text(text) => quoted(&without_login(text)),
        SettingValue::List(list) => {
            let list: Vec<String> = list.iter().map(|text| quoted(&without_login(text))).collect();
            format!("[{}]", list.join(", "))
        }
        SettingValue::Block(block) => {
            let one = |(name, value): (&std::sync::Arc<str>, &SettingValue)| {
                format!("{name} = {}", setting(Some(value)))
            };
            format!("{{ {} }}", block.0.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        SettingValue::SecretRef(name) => format!("secret({})", quoted(name)),
        SettingValue::NodeRef(name) => format!("node({})", quoted(name)),
    }
}

/// What stands before the host in an address is nobody's business: `mqtt://...@host`.
fn without_login(text: &str) -> String {
    let rest = text.find("://").and_then(|at| text.split_at_checked(at + 3));
    let host_at = rest.and_then(|(_, rest)| rest.split('/').next()?.rfind('@'));
    match (rest, host_at) {
        (Some((scheme, rest)), Some(at)) => format!("{scheme}...{}", &rest[at..]),
        _ => text.to_owned(),
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn scale(scale: Option<Linear>) -> String {
    match scale {
        None => NONE.to_owned(),
        Some(Linear { gain, offset: 0.0 }) => gain.to_string(),
        Some(Linear { gain, offset }) => format!("x * {gain} + {offset}"),
    }
}

pub(super) fn range(range: Option<(f64, f64)>) -> String {
    range.map_or_else(|| NONE.to_owned(), |(low, high)| format!("{low}..{high}"))
}

pub(super) fn with_unit(value: Option<f64>, unit: &str) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if unit.is_empty() => value.to_string(),
        Some(value) => format!("{value} {unit}"),
    }
}

/// Of a text that may be empty.
pub(super) fn or_none(text: &str) -> String {
    if text.is_empty() { NONE.to_owned() } else { text.to_owned() }
}

pub(super) fn standby(standby: Standby) -> String {
    format!("{standby:?}").to_lowercase()
}

pub(super) fn on_disconnect(what: OnDisconnect) -> String {
    match what {
        OnDisconnect::MarkBad => "mark_bad".to_owned(),
        OnDisconnect::Hold(ns) => format!("hold({})", written_duration(ns)),
    }
}

pub(super) fn key(parts: &[KeyPart]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| format!("{part:?}").to_lowercase()).collect();
    format!("[{}]", parts.join(", "))
}

/// `DropOldest` as a program has it: `drop_oldest`.
pub(super) fn choice(value: impl std::fmt::Debug) -> String {
    let mut word = String::new();
    for letter in format!("{value:?}").chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// A function that remembers, with its time.
pub(super) fn function(function: &StateFunction) -> String {
    use StateFunction as F;
    let timed = |name: &str, ns: &i64| format!("{name}({})", written_duration(*ns));
    match function {
        F::Rate(_) => "rate".to_owned(),
        F::Delta(_) => "delta".to_owned(),
        F::Smooth { tau_ns } => timed("smooth", tau_ns),
        F::MovingAvg { span_ns } => timed("moving_avg", span_ns),
        F::OnDelay { delay_ns } => timed("on_delay", delay_ns),
        F::OffDelay { delay_ns } => timed("off_delay", delay_ns),
        F::Pulse { length_ns } => timed("pulse", length_ns),
        F::Stale { after_ns } => timed("stale", after_ns),
        F::Previous | F::Integral | F::Rising | F::Falling | F::Latch | F::CountUp | F::Changed => {
            choice(function)
        }
    }
}

/// `3 tags`, `1 tag`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first names of a list, and how many there are besides.
pub(super) fn some_of<T: Display>(names: impl ExactSizeIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let more = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// Elements of lists of names that are only in one of them.
pub(super) fn names<'n>(
    details: &mut Vec<Detail>,
    what: &str,
    old: &BTreeSet<&'n str>,
    new: &BTreeSet<&'n str>,
) {
    let named = |name: &&str| format!("{what} `{name}`");
    details.extend(new.difference(old).map(|name| Detail::Added { what: named(name) }));
    details.extend(old.difference(new).map(|name| Detail::Removed { what: named(name) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_in_addresses_are_not_shown() {
        assert_eq!(without_login("mqtts://anna:pw@host:8883/x"), "mqtts://...@host:8883/x");
        assert_eq!(without_login("http://host/a@b"), "http://host/a@b");
        assert_eq!(without_login("plain@text"), "plain@text");
        let secret = SettingValue::SecretRef("pg".into());
        assert_eq!(setting(Some(&secret)), "secret(\"pg\")");
    }
}
