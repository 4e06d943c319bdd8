//! The formatter: one look for all programs, with every comment and every line break where its author put it.
//!
//! It works on tokens, not on the tree, so that there is nothing it could lose: it moves pieces of a line apart
//! or together, indents lines, and aligns the columns of consecutive lines of one kind. Afterwards the text is
//! read again and compared with what was given ([`check`]); a difference is an error, and nothing is changed.

mod check;
mod columns;
mod layout;
mod lines;
mod spacing;
#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostic;
use crate::parse;
use crate::span::FileId;

/// Why a text is not formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It has syntax errors, all of which are here.
    #[error("a file with syntax errors is not formatted")]
    Syntax(Vec<Diagnostic>),
    /// The formatted text would not mean the same: a fault of the formatter.
    #[error("formatting would change what the program means, so the file is left as it is")]
    Changed,
}

/// The text of a program in the one look: two blanks per level, columns aligned, units in their normal spelling.
/// Comments and line breaks stay, several blank lines become one. The line ending is that of the first line.
///
/// # Errors
/// The text has syntax errors, or the result would not mean the same.
pub fn format(file: FileId, text: &str) -> Result<String, FormatError> {
    let parsed = parse(file, text);
    if !parsed.diagnostics.is_empty() {
        return Err(FormatError::Syntax(parsed.diagnostics));
    }
    let before = lines::read(text);
    let formatted = written(text, &columns::align(&layout::lay_out(&before)));
    if check::same_lines(&before, &lines::read(&formatted)) && check::same_tree(text, &formatted) {
        Ok(formatted)
    } else {
        Err(FormatError::Changed)
    }
}

/// Joins lines as the file had them: its byte order mark and its line ending.
fn written(text: &str, lines: &[String]) -> String {
    let newline = text.find('\n').map_or("\n", |at| if text[..at].ends_with('\r') { "\r\n" } else { "\n" });
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    out.push_str(mark);
    for line in lines {
        out.push_str(line);
        out.push_str(newline);
    }
    out
}
