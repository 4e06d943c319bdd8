//! A program as lines of pieces: what the formatter moves, and what must be the same before and after.
//!
//! A piece is a token, or several that only mean something together: a unit (`m3/h`), a point in time, a time of
//! day. Units are in their normal spelling already.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::lexer::{self, Kind, Token};
use crate::span::FileId;
use crate::units::normal_unit;
use crate::words::{is_reserved, is_type};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Word,
    Number,
    /// `06:00` or `2025-06-01T00:00Z`
    Time,
    Unit,
    /// `"..."`
    Text,
    /// `'...'`
    Quoted,
    Sign,
    Open,
    Close,
    Other,
}

/// A part of a line that is written without blanks inside.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub class: Class,
    pub text: Cow<'a, str>,
    /// True when it touched the piece before it.
    pub joined: bool,
}

impl Piece<'_> {
    pub(super) fn is(&self, class: Class, text: &str) -> bool {
        self.class == class && self.text == text
    }

    pub(super) fn is_sign(&self, text: &str) -> bool {
        self.is(Class::Sign, text)
    }

    /// True for words that cannot be names.
    pub(super) fn is_reserved(&self) -> bool {
        self.class == Class::Word && is_reserved(&self.text)
    }
}

/// Meaning does not depend on blanks between pieces.
impl PartialEq for Piece<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.class == other.class && self.text == other.text
    }
}

/// One line of the file; without pieces and comment it is a blank one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line<'a> {
    pub pieces: Vec<Piece<'a>>,
    pub comment: Option<&'a str>,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.pieces.is_empty() && self.comment.is_none()
    }
}

/// Reads a text into its lines.
pub(super) fn read(text: &str) -> Vec<Line<'_>> {
    let lexed = lexer::lex(FileId::default(), text);
    let own = declared_units(text, &lexed.tokens);
    let mut comments = lexed.comments.iter().peekable();
    let mut lines = Vec::new();
    let mut rest = lexed.tokens.as_slice();
    loop {
        let length = rest.iter().position(|token| token.kind == Kind::Newline).unwrap_or(rest.len());
        let (line, after) = rest.split_at(length);
        let end = after.first().map_or(u32::MAX, |newline| newline.start);
        let comment = comments.next_if(|comment| comment.span.start < end);
        let comment = comment.and_then(|comment| text.get(comment.span.range())).map(str::trim_end);
        lines.push(Line { pieces: Reader { text, tokens: line, own: &own }.pieces(), comment });
        let Some((_, next)) = after.split_first() else { return lines };
        rest = next;
    }
}

/// The units that this file declares itself.
fn declared_units<'a>(text: &'a str, tokens: &[Token]) -> HashSet<&'a str> {
    let begins = |at: usize| at == 0 || tokens.get(at - 1).is_some_and(|before| before.kind == Kind::Newline);
    let pairs = tokens.iter().zip(tokens.iter().skip(1)).enumerate();
    pairs
        .filter(|(at, (word, name))| begins(*at) && word.str(text) == "unit" && name.kind == Kind::Word)
        .map(|(_, (_, name))| name.str(text))
        .collect()
}

/// Reads the tokens of one line.
struct Reader<'a, 't> {
    text: &'a str,
    tokens: &'t [Token],
    own: &'t HashSet<&'a str>,
}

impl<'a> Reader<'a, '_> {
    fn pieces(&self) -> Vec<Piece<'a>> {
        let mut pieces: Vec<Piece<'a>> = Vec::with_capacity(self.tokens.len());
        let mut at = 0;
        while let Some(first) = self.tokens.get(at) {
            let (class, count) = match (self.unit(at, &pieces), self.time(at)) {
                (Some(count), _) => (Class::Unit, count),
                (None, Some(count)) => (Class::Time, count),
                (None, None) => (class(first.kind), 1),
            };
            let last = self.tokens.get(at + count - 1).unwrap_or(first);
            let written = self.text.get(first.start as usize..last.end as usize).unwrap_or("");
            let text = match class {
                Class::Unit => normal_unit(written, |name| self.own.contains(name)),
                _ => Cow::Borrowed(written),
            };
            pieces.push(Piece { class, text, joined: self.joined(at) });
            at += count;
        }
        pieces
    }

    fn str(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.str(self.text))
    }

    fn joined(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.zip(self.tokens.get(at)).is_some_and(|(before, token)| before.end == token.start)
    }

    fn is_word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Word) && !is_reserved(self.str(at))
    }

    /// How many tokens are the unit that starts here, if one can stand here: after a number, a type or `unit`.
    fn unit(&self, at: usize, before: &[Piece<'a>]) -> Option<usize> {
        let number = before.last().is_some_and(|piece| piece.class == Class::Number);
        let place = match before {
            _ if number => true,
            [word] => word.is(Class::Word, "unit"),
            [.., colon, word] => colon.is_sign(":") && word.class == Class::Word && is_type(&word.text),
            [] => false,
        };
        if !place {
            return None;
        }
        if self.str(at) == "%" {
            return Some(1);
        }
        let below = if number { self.tail(at) } else { 0 };
        if below == 0 && !self.is_word(at) {
            return None;
        }
        let mut count = below.max(1);
        loop {
            match self.tail(at + count) {
                0 => return Some(count),
                more => count += more,
            }
        }
    }

    /// The two tokens of `/h` in `m3/h`; 0 when it is a division, as before a call.
    fn tail(&self, at: usize) -> usize {
        let call = self.joined(at + 2) && matches!(self.str(at + 2), "(" | "[");
        let tail = matches!(self.str(at), "/" | "." | "·")
            && self.joined(at)
            && self.joined(at + 1)
            && self.is_word(at + 1)
            && !call;
        if tail { 2 } else { 0 }
    }

    /// How many tokens are the time of day or the point in time that starts here.
    fn time(&self, at: usize) -> Option<usize> {
        let first = self.tokens.get(at).filter(|token| token.kind == Kind::Number)?;
        let length = time_length(self.text.get(first.start as usize..)?)?;
        let end = first.start as usize + length;
        let count = self.tokens.get(at..)?.iter().take_while(|token| token.end as usize <= end).count();
        (count > 0).then_some(count)
    }
}

fn class(kind: Kind) -> Class {
    match kind {
        Kind::Word => Class::Word,
        Kind::Number => Class::Number,
        Kind::Text => Class::Text,
        Kind::Quoted => Class::Quoted,
        Kind::Open => Class::Open,
        Kind::Close => Class::Close,
        Kind::Sign => Class::Sign,
        Kind::Newline | Kind::Other => Class::Other,
    }
}

/// The length of an `instant` or a `clock` of the grammar.
fn time_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let Some(date) = matches(bytes, 0, b"0000-00-00T") else {
        return clock_length(bytes, 0);
    };
    let end = clock_length(bytes, date)?;
    Some(match bytes.get(end) {
        Some(b'Z') => end + 1,
        Some(b'+' | b'-') => clock_length(bytes, end + 1).unwrap_or(end),
        _ => end,
    })
}

/// The end of `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff` that starts at `from`.
fn clock_length(bytes: &[u8], from: usize) -> Option<usize> {
    let minutes = matches(bytes, from, b"00:00")?;
    let Some(seconds) = matches(bytes, minutes, b":00") else { return Some(minutes) };
    let digits = bytes.iter().skip(seconds + 1).take_while(|byte| byte.is_ascii_digit()).count();
    Some(if bytes.get(seconds) == Some(&b'.') && digits > 0 { seconds + 1 + digits } else { seconds })
}

/// The end of what looks like `pattern`, in which `0` is any digit.
fn matches(bytes: &[u8], from: usize, pattern: &[u8]) -> Option<usize> {
    let part = bytes.get(from..from + pattern.len())?;
    let fits = part.iter().zip(pattern).all(|(byte, sign)| match sign {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    });
    fits.then_some(from + pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        read(text).iter().flat_map(|line| &line.pieces).map(|piece| piece.text.to_string()).collect()
    }

    #[test]
    fn units_and_times_are_one_piece() {
        assert_eq!(
            pieces("a = 5 m³/h/K - 1/min + 1/f(x) / 2 kW / y"),
            [
                "a", "=", "5", "m3/h/K", "-", "1", "/min", "+", "1", "/", "f", "(", "x", ")", "/", "2", "kW",
                "/", "y"
            ]
        );
        assert_eq!(pieces("tag t : real °C range"), ["tag", "t", ":", "real", "degC", "range"]);
        assert_eq!(pieces("unit sec\nx : int sec"), ["unit", "sec", "x", ":", "int", "sec"]);
        assert_eq!(
            pieces("2025-06-01T00:00+02:00 06:30:05.25 5: 6"),
            ["2025-06-01T00:00+02:00", "06:30:05.25", "5", ":", "6"]
        );
    }

    #[test]
    fn lines_keep_their_comments() {
        let lines = read("// a  \r\nx // b\n\ny");
        let comments: Vec<_> = lines.iter().map(|line| line.comment).collect();
        assert_eq!(comments, [Some("// a"), Some("// b"), None, None]);
        assert!(lines[2].is_blank());
    }
}
