//! Changes as a table, for a merge request.

use super::lines::lines;
use super::{LINES_MAX, Waiting, counts};
use crate::status_line::grouped;
use gwp_plan::diff::Changes;

/// The same as the text. Ends with a new line.
pub fn markdown(changes: &Changes, waiting: &Waiting) -> String {
    let lines = lines(changes, waiting);
    let shown = &lines[..lines.len().min(LINES_MAX)];
    let mut out = String::new();
    if !shown.is_empty() {
        out.push_str("| | Item | Change | Effect |\n|---|---|---|---|\n");
    }
    for line in shown {
        out.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            line.sign.symbol(),
            cell(&line.item),
            cell(&line.details),
            cell(&line.effect)
        ));
    }
    let rest: usize = lines[shown.len()..].iter().map(|line| line.count).sum();
    if rest > 0 {
        out.push_str(&format!("| | ... and {} more | | |\n", grouped(rest as u64)));
    }
    if !shown.is_empty() {
        out.push('\n');
    }
    for hint in &changes.hints {
        out.push_str(&format!("- hint: {} add `{}`\n", escaped(&hint.why), hint.add));
    }
    for note in &changes.notes {
        out.push_str(&format!("- note: {}\n", escaped(note)));
    }
    if !changes.hints.is_empty() || !changes.notes.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{}\n", counts(&changes.summary)));
    out
}

fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// What Markdown would take for its own, except for code between backticks.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for letter in text.chars() {
        code ^= letter == '`';
        if !code && matches!(letter, '\\' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
