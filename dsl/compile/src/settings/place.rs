//! `path` of a device: its place in the plant, which goes before the names of its tags at destinations.
//!
//! A place becomes part of names that others split at `/` (topics, above all), so each level has to be there and to
//! mean itself.

use std::sync::Arc;

use gwp_syntax::{Diagnostic, ast};

use crate::check::{Checker, Scope};

/// Bytes of a place at most.
const PLACE_BYTES_MAX: usize = 256;

impl Checker<'_, '_> {
    /// The place that a device is given; reports what is wrong with it.
    pub(super) fn place(&mut self, written: &ast::Setting, scope: &Scope<'_>) -> Option<Arc<str>> {
        let value = match &written.value {
            ast::SettingValue::Range(range) if range.high.is_none() => &range.low,
            _ => {
                let fault = Diagnostic::new("E407", written.span, "`path` needs text in double quotes");
                self.report.push(fault.help("for example `path = \"site/energy\"`"));
                return None;
            }
        };
        let place = self.text_value(value, written, scope)?;
        if let Some((wrong, help)) = fault(&place) {
            self.report.push(Diagnostic::new("E407", value.span, wrong).help(help));
            return None;
        }
        Some(place)
    }
}

/// What is wrong with a place, and what to do.
fn fault(place: &str) -> Option<(String, &'static str)> {
    let forbidden = |c: &char| c.is_control() || matches!(c, '+' | '#' | '{' | '}');
    if place.len() > PLACE_BYTES_MAX {
        let message = format!("a `path` has at most {PLACE_BYTES_MAX} bytes, this one {}", place.len());
        return Some((message, "name the levels shorter"));
    }
    if place.split('/').any(|level| level.trim().is_empty()) {
        let message = "each level of a `path` needs a name".into();
        return Some((
            message,
            "write it without a `/` at its ends and without two in a row: `\"site/energy\"`",
        ));
    }
    let found = place.chars().find(forbidden)?;
    let message = format!("a `path` cannot hold `{}`", found.escape_debug());
    let help = match found {
        '+' | '#' => "these are wildcards of subscribers",
        '{' | '}' => "parameters of the template and `index` may stand in braces, nothing else",
        _ => "leave control characters out",
    };
    Some((message, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_made_of_levels_that_mean_themselves() {
        for right in ["site", "site/energy", "Werk 2/Halle \u{fc}/a.b"] {
            assert_eq!(fault(right), None, "{right}");
        }
        for wrong in ["", "/", "/site", "site/", "a//b", "a/ /b", "a/+/b", "#", "a\u{7}", "{device}"] {
            assert!(fault(wrong).is_some(), "{wrong:?}");
        }
        assert_eq!(fault(&"a".repeat(PLACE_BYTES_MAX)), None);
        assert!(fault(&"a".repeat(PLACE_BYTES_MAX + 1)).is_some());
    }
}
