//! A table of a configuration, with the lines its values stand on and the settings nobody has looked at.

use crate::commands::import::report::Report;
use crate::commands::import::text::{LineIndex, line};
use std::cell::RefCell;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table such as `[[inputs.modbus]]`.
pub struct Section<'t> {
    table: &'t DeTable<'t>,
    lines: &'t LineIndex,
    /// Line on which it begins.
    pub line: u64,
    read: RefCell<BTreeSet<&'static str>>,
}

impl<'t> Section<'t> {
    pub fn of(value: &'t Spanned<DeValue<'t>>, lines: &'t LineIndex) -> Option<Section<'t>> {
        let table = value.get_ref().as_table()?;
        // The span of a table of an array is its heading, that of others may be its first value.
        let line = lines.line(value.span().start);
        Some(Section { table, lines, line, read: RefCell::default() })
    }

    fn value(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.read.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// True if the setting is there.
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The line of a setting, or of the section.
    pub fn line_of(&self, key: &str) -> u64 {
        self.table.get(key).map_or(self.line, |value| self.lines.line(value.span().start))
    }

    /// A text that is not empty.
    pub fn text(&self, key: &'static str) -> Option<&'t str> {
        self.value(key)?.get_ref().as_str().filter(|text| !text.is_empty())
    }

    /// A text, or a whole number written as one.
    pub fn word(&self, key: &'static str) -> Option<String> {
        let value = self.value(key)?.get_ref();
        value
            .as_str()
            .map(str::to_owned)
            .or_else(|| whole(value).map(|number| number.to_string()))
            .filter(|text| !text.is_empty())
    }

    pub fn int(&self, key: &'static str) -> Option<i64> {
        whole(self.value(key)?.get_ref())
    }

    pub fn float(&self, key: &'static str) -> Option<f64> {
        let value = self.value(key)?.get_ref();
        let number = match value.as_float() {
            Some(float) => float.as_str().parse::<f64>().ok(),
            None => whole(value).map(|number| number as f64),
        };
        number.filter(|number| number.is_finite())
    }

    pub fn flag(&self, key: &'static str) -> bool {
        self.value(key).and_then(|value| value.get_ref().as_bool()).unwrap_or(false)
    }

    /// A time such as `"10s"` in milliseconds.
    pub fn milliseconds(&self, key: &'static str) -> Option<u64> {
        match self.int(key) {
            Some(seconds) => u64::try_from(seconds).ok()?.checked_mul(1_000),
            None => milliseconds(self.text(key)?),
        }
    }

    /// The texts of a list.
    pub fn texts(&self, key: &'static str) -> Vec<&'t str> {
        let list = self.value(key).and_then(|value| value.get_ref().as_array());
        list.into_iter().flatten().filter_map(|value| value.get_ref().as_str()).collect()
    }

    /// The whole numbers of a list.
    pub fn ints(&self, key: &'static str) -> Vec<i64> {
        let list = self.value(key).and_then(|value| value.get_ref().as_array());
        list.into_iter().flatten().filter_map(|value| whole(value.get_ref())).collect()
    }

    /// The table below.
    pub fn section(&self, key: &'static str) -> Option<Section<'t>> {
        Section::of(self.value(key)?, self.lines)
    }

    /// The tables of a list.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'t>> {
        let list = self.value(key).and_then(|value| value.get_ref().as_array());
        list.into_iter().flatten().filter_map(|value| Section::of(value, self.lines)).collect()
    }

    /// Says of settings nobody has read that they do not come over.
    pub fn rest(&self, name: &str, report: &mut Report) {
        let read = self.read.borrow();
        let rest = self.table.keys().filter(|key| !read.contains(&**key.get_ref()));
        for key in rest {
            let place = self.line_of(key.get_ref());
            report.lost(place, format!("`{}` of {name} does not come over", line(key.get_ref())));
        }
    }

    /// Settings that have no meaning here, and nothing is lost by it.
    pub fn ignore(&self, keys: &[&'static str]) {
        self.read.borrow_mut().extend(keys);
    }
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `1m30s`, `500ms`, `10s`, in milliseconds; also a plain number of seconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return rounded(seconds * 1_000.0);
    }
    let mut rest = text.trim();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, after) = behind.split_at(end);
        let factor = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 6e4,
            "h" => 3.6e6,
            "d" => 8.64e7,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    rounded(sum)
}

fn rounded(ms: f64) -> Option<u64> {
    (ms.is_finite() && (0.0..1e12).contains(&ms)).then_some(ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_telegraf_does() {
        for (text, ms) in
            [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("20", 20_000)]
        {
            assert_eq!(milliseconds(text), Some(ms), "{text}");
        }
        for text in ["", "s", "5 fortnights", "-1s", "1e99h", "5m5"] {
            assert!(milliseconds(text).is_none_or(|ms| text.is_empty() && ms == 0), "{text}");
        }
    }
}
