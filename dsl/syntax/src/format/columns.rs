//! Columns of consecutive lines of one kind, and of their comments.

use super::layout::{Kind, Laid};

/// Lines longer than this do not push the comments of other lines aside.
const LINE_WIDTH_MAX: usize = 90;
/// Blanks before a comment.
const COMMENT_GAP: usize = 2;

/// The lines as text, blank lines included.
pub(super) fn align(lines: &[Laid<'_>]) -> Vec<String> {
    let group = |one: &Laid<'_>, next: &Laid<'_>| {
        !next.apart && one.columns().is_some() && one.columns() == next.columns()
    };
    let mut texts = lines.chunk_by(group).flat_map(align_rows);
    let mut whole = Vec::with_capacity(lines.len());
    let commented = |one: &Laid<'_>, next: &Laid<'_>| !next.apart && one.has_comment() && next.has_comment();
    for run in lines.chunk_by(commented) {
        let texts: Vec<String> = texts.by_ref().take(run.len()).collect();
        let widths = texts.iter().map(|text| width(text));
        let column = widths.filter(|width| *width <= LINE_WIDTH_MAX).max().unwrap_or(0);
        for (line, mut text) in run.iter().zip(texts) {
            if line.apart {
                whole.push(String::new());
            }
            if let Some(comment) = line.comment {
                if line.has_comment() {
                    let code = width(&text);
                    pad(&mut text, column.max(code) + COMMENT_GAP);
                }
                text.push_str(comment);
            }
            text.truncate(text.trim_end().len());
            whole.push(text);
        }
    }
    whole
}

impl Laid<'_> {
    /// What lines of a group have in common.
    fn columns(&self) -> Option<(Kind, usize)> {
        self.kind.map(|kind| (kind, self.indent))
    }

    /// True when a comment stands behind something.
    fn has_comment(&self) -> bool {
        self.comment.is_some() && self.cells.iter().any(|cell| !cell.is_empty())
    }
}

/// The text of lines with equal columns, without comments.
fn align_rows(rows: &[Laid<'_>]) -> Vec<String> {
    let alone = rows.len() == 1;
    let count = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let kind = rows.first().and_then(|row| row.kind);
    let width_max = kind.map_or(0, Kind::cell_width_max);
    let gap = |column| match kind {
        Some(kind) if !alone => kind.gap(column),
        _ => 1,
    };
    let mut starts = Vec::with_capacity(count);
    let mut end = 0;
    for column in 0..count {
        // the last cell of a line needs no room beside it
        let full =
            rows.iter().filter(|row| row.cells.len() > column + 1).filter_map(|row| row.cells.get(column));
        let widths = full.map(|cell| width(cell)).filter(|width| *width <= width_max);
        let widest = if alone { 0 } else { widths.max().unwrap_or(0) };
        let start = if column == 0 { 0 } else { end + gap(column) };
        starts.push(start);
        if widest > 0 {
            end = start + widest;
        }
    }
    let row_text = |row: &Laid<'_>| {
        let mut text = " ".repeat(row.indent);
        let cells = row.cells.iter().zip(&starts).enumerate();
        for (column, (cell, start)) in cells.filter(|(_, (cell, _))| !cell.is_empty()) {
            if column > 0 {
                let least = width(&text) + gap(column);
                pad(&mut text, least.max(row.indent + start));
            }
            text.push_str(cell);
        }
        text
    };
    rows.iter().map(row_text).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &mut String, to: usize) {
    let blanks = to.saturating_sub(width(text));
    text.extend(std::iter::repeat_n(' ', blanks));
}
