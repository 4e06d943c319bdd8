//! Drawing on a terminal: lines over the lines drawn before, and other text above them.
//!
//! Each picture ends with the cursor shown and colours reset, so the terminal is
//! as it was whenever the gateway ends, and the last picture stays. A log line in
//! between would push the table down unseen; it goes through [`above`] instead.

use crate::table::Line;
use crossterm::style::{Color, Print, ResetColor, SetForegroundColor};
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, queue};
use gwp_core::quality::Severity;
use std::io::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The picture on the terminal, which has room for one table.
static STANDING: Mutex<Option<Picture>> = Mutex::new(None);

/// Poisoned only by a writer that panics: what is kept is whole.
fn standing() -> MutexGuard<'static, Option<Picture>> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to the table's place on the terminal; given back when dropped.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes the terminal; `None` while another table has it.
    pub fn take() -> Option<Screen> {
        let mut standing = standing();
        standing.is_none().then(|| {
            *standing = Some(Picture::default());
            Screen(())
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        *standing() = None;
    }
}

/// Draws over what was drawn before, on a terminal of this many columns and rows. Nothing
/// once the screen is given back. May block as long as `write` does.
///
/// # Errors
/// Those of `write`.
pub fn draw(lines: &[Line], size: (u16, u16), write: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
    match &mut *standing() {
        Some(picture) => write(&picture.redraw(lines, size)),
        None => Ok(()),
    }
}

/// Writes whole lines above the table, if one stands; else as they are.
///
/// # Errors
/// Those of `write`.
pub fn above(text: &[u8], write: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
    match &*standing() {
        Some(picture) => write(&picture.below(text)),
        None => write(text),
    }
}

/// What was drawn last. Without I/O.
#[derive(Debug, Default)]
struct Picture {
    /// Its lines, to go up by.
    height: u16,
    /// Columns and rows of the terminal then.
    size: (u16, u16),
    /// From its first line to its end.
    bytes: Vec<u8>,
}

impl Picture {
    /// Bytes that draw these lines over the ones before.
    fn redraw(&mut self, lines: &[Line], size: (u16, u16)) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing to memory cannot fail, here and below.
        let _ = self.back(size, &mut out);
        self.size = size;
        self.height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        self.bytes.clear();
        let _ = queue_lines(lines, &mut self.bytes);
        out.extend_from_slice(&self.bytes);
        out
    }

    /// Bytes that put a text where the picture stands, and the picture below it.
    fn below(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let _ = self.back(self.size, &mut out);
        let _ = queue!(out, Clear(ClearType::FromCursorDown));
        out.extend_from_slice(text);
        out.extend_from_slice(&self.bytes);
        out
    }

    /// To the picture's first line.
    fn back(&self, size: (u16, u16), out: &mut Vec<u8>) -> Result<()> {
        match self.height {
            0 => Ok(()),
            height if size == self.size => queue!(out, cursor::MoveUp(height), cursor::MoveToColumn(0)),
            // Lines have wrapped differently: nobody knows where the table stands now.
            _ => queue!(out, Clear(ClearType::All), cursor::MoveTo(0, 0)),
        }
    }
}

fn queue_lines(lines: &[Line], out: &mut Vec<u8>) -> Result<()> {
    queue!(out, cursor::Hide)?;
    for line in lines {
        let color = match line.severity {
            Some(Severity::Bad) => Some(Color::Red),
            Some(Severity::Uncertain) => Some(Color::Yellow),
            Some(Severity::Good) => None,
            None => Some(Color::DarkGrey),
        };
        match color {
            Some(color) => queue!(out, SetForegroundColor(color), Print(&line.text), ResetColor)?,
            None => queue!(out, Print(&line.text))?,
        }
        queue!(out, Clear(ClearType::UntilNewLine), Print("\r\n"))?;
    }
    queue!(out, Clear(ClearType::FromCursorDown), cursor::Show)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, severity: Option<Severity>) -> Line {
        Line { text: text.into(), severity }
    }

    /// What a terminal without scrolling shows: only the codes used here are understood.
    fn shown(bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut rows = vec![String::new()];
        let (mut row, mut column, mut rest) = (0usize, 0usize, text.as_str());
        while let Some(next) = rest.chars().next() {
            rest = &rest[next.len_utf8()..];
            match next {
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    let number = rest[1..end].parse().unwrap_or(0);
                    match rest.as_bytes()[end] {
                        b'A' => row -= number,
                        b'G' => column = number - 1,
                        b'K' => rows[row].truncate(column),
                        b'J' => {
                            rows[row].truncate(column);
                            rows.truncate(row + 1);
                        }
                        b'm' | b'h' | b'l' => {}
                        other => panic!("{}", other as char),
                    }
                    rest = &rest[end + 1..];
                }
                '\r' => column = 0,
                '\n' => {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), String::new());
                }
                letter => {
                    match column < rows[row].len() {
                        true => rows[row].replace_range(column..=column, &letter.to_string()),
                        false => rows[row].push(letter),
                    }
                    column += 1;
                }
            }
        }
        rows
    }

    #[test]
    fn a_table_is_drawn_over_itself_and_the_cursor_comes_back() {
        let lines =
            [line("tag", None), line("m.t0", Some(Severity::Good)), line("m.t1", Some(Severity::Bad))];
        let mut picture = Picture::default();
        let first = String::from_utf8(picture.redraw(&lines, (80, 24))).unwrap();
        assert!(!first.contains("\x1b[3A"), "nothing to go up by yet");
        assert!(first.contains("m.t0\x1b[K\r\n"));
        assert!(first.ends_with("\x1b[J\x1b[?25h"), "{first:?}");
        let again = String::from_utf8(picture.redraw(&lines[..2], (80, 24))).unwrap();
        assert!(again.contains("\x1b[3A"), "{again:?}");
        let smaller = String::from_utf8(picture.redraw(&lines, (40, 24))).unwrap();
        assert!(smaller.contains("\x1b[2J") && !smaller.contains("\x1b[2A"), "{smaller:?}");
    }

    #[test]
    fn log_lines_stand_above_the_table_and_its_header_is_there_once() {
        let lines = |value: &str| [line("tag value", None), line(value, Some(Severity::Good))];
        let mut picture = Picture::default();
        let mut bytes = picture.below(b"INFO running\n");
        bytes.extend(picture.redraw(&lines("x 1"), (80, 24)));
        bytes.extend(picture.below(b"INFO a longer line than the table\n"));
        bytes.extend(picture.redraw(&lines("x 2"), (80, 24)));
        bytes.extend(picture.below(b"INFO stopping\n"));
        bytes.extend(picture.redraw(&lines("x 3"), (80, 24)));
        assert_eq!(
            shown(&bytes),
            ["INFO running", "INFO a longer line than the table", "INFO stopping", "tag value", "x 3", ""]
        );
    }
}
