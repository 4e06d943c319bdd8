//! The examples of `gwp explain` are true: the wrong one gives its code and nothing else, the right one nothing.

mod manifests;

use gwp_syntax::codes;
use manifests::{compiled, words};

/// Examples of syntax are about syntax: `gwp-syntax` runs them itself.
fn rows() -> impl Iterator<Item = &'static codes::Code> {
    codes::all().filter(|row| !row.code.starts_with("E0"))
}

#[test]
fn every_wrong_example_gives_its_code() {
    let mut untrue = Vec::new();
    for row in rows().filter(|row| !row.wrong.is_empty()) {
        let result = compiled(row.wrong);
        let beside = |code: &str| code != row.code && (code.starts_with('N') || code == "W604");
        let found: Vec<_> =
            result.diagnostics.iter().map(|found| found.code).filter(|code| !beside(code)).collect();
        if found != [row.code] {
            untrue.push(format!("{}: {}\n{}", row.code, row.wrong, words(&result)));
        }
    }
    assert!(untrue.is_empty(), "{}", untrue.join("\n\n"));
}

#[test]
fn every_right_example_compiles() {
    let mut untrue = Vec::new();
    for row in rows().filter(|row| !row.right.is_empty()) {
        let result = compiled(row.right);
        if result.plan.is_none() || result.diagnostics.iter().any(|found| found.code == row.code) {
            untrue.push(format!("{}: {}\n{}", row.code, row.right, words(&result)));
        }
    }
    assert!(untrue.is_empty(), "{}", untrue.join("\n\n"));
}
