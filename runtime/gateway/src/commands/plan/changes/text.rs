//! Changes in columns, for a terminal.

use super::lines::lines;
use super::{LINES_MAX, Waiting, counts};
use crate::status_line::grouped;
use gwp_plan::diff::Changes;

/// Columns are as wide as what stands in them, up to this.
const ITEM_WIDTH_MAX: usize = 36;
const DETAILS_WIDTH_MAX: usize = 40;

/// All changes, hints and notes, at the end the counts. Ends with a new line.
pub fn text(changes: &Changes, waiting: &Waiting) -> String {
    let lines = lines(changes, waiting);
    let shown = &lines[..lines.len().min(LINES_MAX)];
    let width = |most: usize, of: &dyn Fn(usize) -> usize| {
        (0..shown.len()).map(of).filter(|width| *width <= most).max()
    };
    let items = width(ITEM_WIDTH_MAX, &|at| shown[at].item.chars().count()).unwrap_or(0);
    let details = width(DETAILS_WIDTH_MAX, &|at| shown[at].details.chars().count()).unwrap_or(0);
    let mut out = String::new();
    for line in shown {
        let row = format!(
            "{} {:<items$}  {:<details$}  {}",
            line.sign.symbol(),
            line.item,
            line.details,
            line.effect
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    let rest: usize = lines[shown.len()..].iter().map(|line| line.count).sum();
    if rest > 0 {
        out.push_str(&format!("... and {} more\n", grouped(rest as u64)));
    }
    for hint in &changes.hints {
        out.push_str(&format!("hint: {} add `{}`\n", hint.why, hint.add));
    }
    for note in &changes.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out.push_str(&counts(&changes.summary));
    out.push('\n');
    out
}
