//! Drawing on a terminal: lines over the lines drawn before.
//!
//! Each picture ends with the cursor shown and colours reset, so the terminal is
//! as it was whenever the gateway ends, and the last picture stays.

use crate::table::Line;
use crossterm::style::{Color, Print, ResetColor, SetForegroundColor};
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, queue};
use gwp_core::quality::Severity;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};

/// A terminal has room for one table.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The place on the terminal where the table stands; given back when dropped.
#[derive(Debug)]
pub struct Screen {
    /// Lines drawn before, to go up by.
    drawn: u16,
    /// Columns and rows of the terminal then.
    size: (u16, u16),
}

impl Screen {
    /// Takes the terminal; `None` while another table has it.
    pub fn take() -> Option<Screen> {
        (!TAKEN.swap(true, AcqRel)).then_some(Screen { drawn: 0, size: (0, 0) })
    }

    /// Bytes that draw these lines over the ones before, on a terminal of this size.
    pub fn redraw(&mut self, lines: &[Line], size: (u16, u16)) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing to memory cannot fail.
        let _ = self.queue(lines, size, &mut out);
        self.size = size;
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        out
    }

    fn queue(&self, lines: &[Line], size: (u16, u16), out: &mut Vec<u8>) -> std::io::Result<()> {
        queue!(out, cursor::Hide)?;
        if self.drawn > 0 {
            if size == self.size {
                queue!(out, cursor::MoveUp(self.drawn), cursor::MoveToColumn(0))?;
            } else {
                // Lines have wrapped differently: nobody knows where the table stands now.
                queue!(out, Clear(ClearType::All), cursor::MoveTo(0, 0))?;
            }
        }
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
}

impl Drop for Screen {
    fn drop(&mut self) {
        TAKEN.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_drawn_over_itself_and_the_cursor_comes_back() {
        let line = |text: &str, severity| Line { text: text.into(), severity };
        let lines =
            [line("tag", None), line("m.t0", Some(Severity::Good)), line("m.t1", Some(Severity::Bad))];
        let mut screen = Screen { drawn: 0, size: (0, 0) };
        let first = String::from_utf8(screen.redraw(&lines, (80, 24))).unwrap();
        assert!(!first.contains("\x1b[3A"), "nothing to go up by yet");
        assert!(first.contains("m.t0\x1b[K\r\n"));
        assert!(first.ends_with("\x1b[J\x1b[?25h"), "{first:?}");
        let again = String::from_utf8(screen.redraw(&lines[..2], (80, 24))).unwrap();
        assert!(again.contains("\x1b[3A"), "{again:?}");
        let smaller = String::from_utf8(screen.redraw(&lines, (40, 24))).unwrap();
        assert!(smaller.contains("\x1b[2J") && !smaller.contains("\x1b[2A"), "{smaller:?}");
        std::mem::forget(screen);
    }
}
