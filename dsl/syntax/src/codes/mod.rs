//! The table of all diagnostics, for `gwp explain E202`, the reference and editors.
//!
//! Families: E0 syntax, E1 names, E2 types and units, E3 flows, E4 settings and addresses, E5 writes, W6 warnings,
//! N7 notes, E8 tests. A code is never given a new meaning. The examples are whole programs; the tests of this crate and of the
//! compiler run them: `wrong` gives the code, `right` gives nothing.

mod flows;
mod names;
mod notes;
mod scenarios;
mod settings;
mod syntax;
mod types;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Such as `E202`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it matters and how to mend it, as running text.
    pub explanation: &'static str,
    /// A program that gives this diagnostic; empty if no text alone can.
    pub wrong: &'static str,
    /// The same program, mended.
    pub right: &'static str,
}

/// All codes in order.
pub fn all() -> impl Iterator<Item = &'static Code> {
    [syntax::CODES, names::CODES, types::CODES, flows::CODES, settings::CODES, notes::CODES, scenarios::CODES]
        .into_iter()
        .flatten()
}

/// The row of a code, written in small or capital letters.
pub fn find(code: &str) -> Option<&'static Code> {
    all().find(|row| row.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileId, parse};

    #[test]
    fn codes_are_unique_and_in_order() {
        let codes: Vec<_> = all().map(|row| row.code).collect();
        assert!(codes.is_sorted_by(|a, b| family(a) < family(b)), "{codes:?}");
    }

    fn family(code: &str) -> &str {
        &code[1..]
    }

    #[test]
    fn every_row_says_something() {
        for row in all() {
            assert!(row.title.len() > 10 && row.explanation.len() > 60, "{}", row.code);
            assert!(!row.title.ends_with('.') && row.explanation.ends_with('.'), "{}", row.code);
        }
    }

    #[test]
    fn a_wrong_example_of_a_syntax_code_gives_that_code_and_no_other() {
        for row in all().filter(|row| row.code.starts_with("E0") && !row.wrong.is_empty()) {
            let found: Vec<_> = parse(FileId(0), row.wrong).diagnostics.iter().map(|d| d.code).collect();
            assert_eq!(found, [row.code], "{}", row.wrong);
        }
    }

    #[test]
    fn every_right_example_has_no_syntax_error() {
        for row in all() {
            let found = parse(FileId(0), row.right).diagnostics;
            assert!(found.is_empty(), "{}: {found:?}", row.code);
        }
    }
}
