//! One linear scan of a file into tokens, made before the grammar sees the text.
//!
//! The grammar stops at its first error. The tokens know strings, quoted names, comments and brackets, so they
//! say where one item or entry ends and the next begins, which sign was probably meant, and how deep the text is
//! nested (which must be known before a recursive parser is let loose on it). Signs that are plainly foreign
//! (`:=`, `;`, `#`) are reported here and mended in a copy of the text, so that each costs one error only.

use crate::diagnostic::Diagnostic;
use crate::foreign::{self, Foreign};
use crate::limits::{FAULTS_MAX, NESTING_MAX};
use crate::span::{FileId, Span};

/// What a token is; its text is looked up in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Word,
    Number,
    /// `"..."`, with its inserts.
    Text,
    /// `'...'`
    Quoted,
    /// `(`, `[` or `{`
    Open,
    /// `)`, `]` or `}`
    Close,
    /// An operator, `->`, a comma or a dot.
    Sign,
    Newline,
    /// A character that no token starts with.
    Other,
}

pub(crate) use TokenKind as Kind;

/// A piece of the text, comments and blanks left out.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub kind: TokenKind,
    /// First byte in the text.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
    /// Nesting inside a text with inserts; 0 for all other tokens.
    pub depth: u16,
}

impl Token {
    /// Its piece of the text that was read.
    pub fn str<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// A `//` comment, kept for the formatter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    pub span: Span,
    /// True when it follows something on its line, false when it has the line for itself.
    pub trailing: bool,
}

/// What the scan finds.
pub(crate) struct Lexed {
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
    pub faults: Vec<Diagnostic>,
    /// Places that cannot be parsed; the fault that says why is already in `faults`.
    pub unreadable: Vec<(u32, u32)>,
    /// The text with foreign signs replaced, byte for byte as long; `None` if nothing was replaced.
    pub mended: Option<Vec<u8>>,
}

impl Lexed {
    /// Reports, up to a bound: a file of wrong signs must not fill the memory.
    pub(crate) fn fault(&mut self, fault: Diagnostic) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// Replaces bytes of the copy that is parsed. `with` must be as long as the range, or a single blank to repeat.
    pub(crate) fn mend(&mut self, text: &str, start: usize, end: usize, with: &[u8]) {
        let copy = self.mended.get_or_insert_with(|| text.as_bytes().to_vec());
        let Some(range) = copy.get_mut(start..end) else {
            return;
        };
        for (at, byte) in range.iter_mut().enumerate() {
            *byte = with.get(at).copied().unwrap_or(b' ');
        }
    }
}

const SIGNS: [&str; 19] = [
    ":=", "->", "==", "!=", "<=", ">=", "..", "&&", "||", "<>", "**", "=", ":", ",", ".", "+", "-", "*", "/",
];

/// The tokens of a text, for tools that look at a place of it: faults are passed over.
pub fn tokens(text: &str) -> Vec<Token> {
    lex(FileId(0), text).tokens
}

pub(crate) fn lex(file: FileId, text: &str) -> Lexed {
    let out = Lexed {
        tokens: Vec::with_capacity(text.len() / 4),
        comments: Vec::new(),
        faults: Vec::new(),
        unreadable: Vec::new(),
        mended: None,
    };
    let mut lexer = Lexer { file, text, at: 0, line_end: None, out };
    if text.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.out
}

struct Lexer<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    /// Where the line ends that was measured last.
    line_end: Option<usize>,
    out: Lexed,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// The length of the rest of the line, measured once for each line, however long.
    fn line(&mut self) -> usize {
        let known = self.line_end.filter(|end| *end >= self.at);
        let end = known.unwrap_or_else(|| self.at + line_length(self.rest()));
        self.line_end = Some(end);
        end - self.at
    }

    fn push(&mut self, kind: Kind, length: usize, depth: usize) {
        let start = self.at;
        self.at += length;
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let depth = u16::try_from(depth).unwrap_or(u16::MAX);
        self.out.tokens.push(Token { kind, start: offset(start), end: offset(self.at), depth });
    }

    /// Reads one token, comment or run of blanks.
    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            self.at = self.text.len();
            return;
        };
        let length_while = |keep: fn(char) -> bool| rest.len() - rest.trim_start_matches(keep).len();
        match first {
            ' ' | '\t' => self.at += length_while(|c| c == ' ' || c == '\t'),
            '\r' if rest.starts_with("\r\n") => self.push(Kind::Newline, 2, 0),
            '\n' | '\r' => self.push(Kind::Newline, 1, 0),
            '/' if rest.starts_with("//") => self.comment(line_length(rest)),
            '#' => self.hash(line_length(rest)),
            ';' => self.semicolon(),
            '"' => self.string(),
            '\'' => self.quoted(),
            '(' | '[' | '{' => self.push(Kind::Open, 1, 0),
            ')' | ']' | '}' => self.push(Kind::Close, 1, 0),
            '0'..='9' => match foreign::prefixed(rest) {
                Some(literal) => self.foreign(&literal),
                None => self.push(Kind::Number, number_length(rest), 0),
            },
            c if is_word(c) => self.push(Kind::Word, length_while(is_word), 0),
            _ => self.sign(first),
        }
    }

    fn comment(&mut self, length: usize) {
        if self.address_without_quotes() {
            return;
        }
        let trailing = self.out.tokens.last().is_some_and(|token| token.kind != Kind::Newline);
        let span = self.span(self.at, self.at + length);
        self.out.comments.push(Comment { span, trailing });
        self.at += length;
    }

    /// `https://host` without quotes would be a word, a colon and a comment: says so instead.
    fn address_without_quotes(&mut self) -> bool {
        let [.., word, colon] = self.out.tokens.as_slice() else {
            return false;
        };
        let (word, colon) = (*word, *colon);
        let joined = word.kind == Kind::Word && word.end == colon.start && colon.end as usize == self.at;
        if !joined || colon.str(self.text) != ":" {
            return false;
        }
        self.out.tokens.truncate(self.out.tokens.len() - 2);
        self.at = word.start as usize;
        let length =
            self.rest().find([' ', '\t', '\n', '\r', ',', '}', ']', ')']).unwrap_or(self.rest().len());
        let span = self.span(self.at, self.at + length);
        let written = self.rest().get(..length).unwrap_or("");
        self.out.fault(text_needs_quotes(span, written));
        self.unreadable(length, Kind::Word);
        true
    }

    fn hash(&mut self, length: usize) {
        let last = self.out.tokens.last().copied();
        if let Some(prefix) = last.filter(|last| last.end as usize == self.at)
            && matches!(prefix.kind, Kind::Number | Kind::Word)
            && let Some(literal) = foreign::typed(self.text.get(prefix.start as usize..).unwrap_or(""))
        {
            self.out.tokens.pop();
            self.at = prefix.start as usize;
            return self.foreign(&literal);
        }
        let span = self.span(self.at, self.at + 1);
        let fault = Diagnostic::new("E003", span, "`#` is not used here")
            .here("this sign")
            .help("comments start with `//`");
        // Behind something else it may be no comment at all.
        let first = last.is_none_or(|last| last.kind == Kind::Newline);
        self.out.fault(if first { fault.fix_here("//") } else { fault });
        self.out.mend(self.text, self.at, self.at + length, b" ");
        self.at += length;
    }

    /// A literal of another language; read on as if it had been written plainly.
    fn foreign(&mut self, literal: &Foreign) {
        let end = self.at + literal.length;
        let written = self.text.get(self.at..end).unwrap_or("");
        let message = format!("`{written}` is not written like this here");
        let fault = Diagnostic::new("E018", self.span(self.at, end), message).help(literal.help.clone());
        match &literal.plain {
            Some(plain) if plain.len() <= literal.length => {
                self.out.fault(fault.fix_here(plain.clone()));
                self.out.mend(self.text, self.at, end, plain.as_bytes());
                self.push(Kind::Number, literal.length, 0);
            }
            _ => {
                self.out.fault(fault);
                self.unreadable(literal.length, Kind::Word);
            }
        }
    }

    fn semicolon(&mut self) {
        let ends_line = self.rest().get(1..).is_none_or(|after| {
            let after = after.trim_start_matches([' ', '\t']);
            after.is_empty() || after.starts_with(['\n', '\r', '}', '#']) || after.starts_with("//")
        });
        let span = self.span(self.at, self.at + 1);
        self.out.fault(
            Diagnostic::new("E002", span, "`;` is not used here")
                .here("this sign")
                .help("leave it out: a new line or a comma ends an entry")
                .fix_here(if ends_line { "" } else { "," }),
        );
        if ends_line {
            self.out.mend(self.text, self.at, self.at + 1, b" ");
            self.at += 1;
        } else {
            self.out.mend(self.text, self.at, self.at + 1, b",");
            self.push(Kind::Sign, 1, 0);
        }
    }

    fn sign(&mut self, first: char) {
        let rest = self.rest();
        let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) else {
            let kind = if "<>!%".contains(first) { Kind::Sign } else { Kind::Other };
            return self.push(kind, first.len_utf8(), 0);
        };
        if *sign == ":=" {
            let span = self.span(self.at, self.at + 2);
            self.out.fault(
                Diagnostic::new("E001", span, "`:=` is not used here")
                    .here("this sign")
                    .help("write `=`")
                    .fix_here("="),
            );
            self.out.mend(self.text, self.at, self.at + 2, b" =");
            self.at += 1;
            return self.push(Kind::Sign, 1, 0);
        }
        self.push(Kind::Sign, sign.len(), 0);
    }

    fn quoted(&mut self) {
        let line = self.line();
        let inside = self.rest().get(1..line).unwrap_or("");
        match inside.find('\'') {
            Some(0) => {
                let span = self.span(self.at, self.at + 2);
                self.out.fault(Diagnostic::new("E011", span, "a name in single quotes cannot be empty"));
                self.unreadable(2, Kind::Quoted);
            }
            Some(length) => self.push(Kind::Quoted, length + 2, 0),
            None => self.not_closed(line, Kind::Quoted, "name", "'"),
        }
    }

    fn not_closed(&mut self, length: usize, kind: Kind, what: &str, sign: &str) {
        let length = self.rest().get(..length).map_or(length, |line| line.trim_end().len());
        let span = self.span(self.at, self.at + length);
        self.out.fault(
            Diagnostic::new("E011", span, format!("this {what} is not closed"))
                .here("it must end on the same line")
                .help(format!("add `{sign}` where the {what} ends")),
        );
        self.unreadable(length, kind);
    }

    fn unreadable(&mut self, length: usize, kind: Kind) {
        self.push(kind, length, 0);
        if let Some(token) = self.out.tokens.last() {
            self.out.unreadable.push((token.start, token.end));
        }
    }

    /// Reads a text with its inserts, in which expressions with texts of their own may stand.
    fn string(&mut self) {
        let line = self.line();
        let rest = self.rest();
        let bytes = rest.as_bytes().get(..line).unwrap_or(b"");
        // An item never ends with blanks, also when it ends in an open text.
        let open = || rest.get(..line).map_or(line, |text| text.trim_end().len());
        match scan_string(bytes) {
            StringEnd::Closed { length, depth } => self.push(Kind::Text, length, depth),
            StringEnd::Open { insert: None } => self.not_closed(line, Kind::Text, "text", "\""),
            StringEnd::Open { insert: Some(at) } => {
                let span = self.span(self.at + at, self.at + at + 1);
                self.out.fault(
                    Diagnostic::new("E011", span, "the insert that starts here is not closed")
                        .help("add `}` at its end, or write `{{` for a brace that is no insert"),
                );
                self.unreadable(open(), Kind::Text);
            }
            StringEnd::TooDeep => {
                let span = self.span(self.at, self.at + line);
                self.out.fault(too_deep(span));
                self.unreadable(open(), Kind::Text);
            }
        }
    }
}

/// The diagnostic for a text that stands without quotes.
pub(crate) fn text_needs_quotes(span: Span, written: &str) -> Diagnostic {
    let quoted = format!("\"{written}\"");
    let fault = Diagnostic::new("E017", span, "text needs double quotes").help(format!("write `{quoted}`"));
    if written.contains(['"', '{', '}', '\\']) { fault } else { fault.fix_here(quoted) }
}

/// The diagnostic for nesting beyond [`NESTING_MAX`].
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new("E021", span, format!("nested more than {NESTING_MAX} levels deep"))
        .help("take a part of it out into a calc of its own")
}

enum StringEnd {
    Closed {
        length: usize,
        depth: usize,
    },
    /// Not closed on this line; `insert` is where the insert starts that is not closed either.
    Open {
        insert: Option<usize>,
    },
    TooDeep,
}

/// Finds the end of the text that starts at the first byte, within one line.
fn scan_string(line: &[u8]) -> StringEnd {
    #[derive(PartialEq)]
    enum Mode {
        Text,
        Insert,
        Bracket,
    }
    let mut modes = vec![Mode::Text];
    let (mut at, mut depth, mut ifs, mut insert) = (1, 0, 0, 0);
    while at < line.len() {
        let (byte, next) = (line[at], line.get(at + 1).copied());
        let top = modes.last();
        at += 1;
        if top == Some(&Mode::Text) {
            match byte {
                b'\\' => at += 1,
                b'{' | b'}' if next == Some(byte) => at += 1,
                b'{' => {
                    insert = if modes.len() == 1 { at - 1 } else { insert };
                    modes.push(Mode::Insert);
                }
                b'"' => {
                    modes.pop();
                }
                _ => {}
            }
        } else {
            match byte {
                b'"' => modes.push(Mode::Text),
                b'\'' => {
                    at += line[at..].iter().position(|b| *b == b'\'').map_or(line.len(), |found| found + 1)
                }
                b'(' | b'[' | b'{' => modes.push(Mode::Bracket),
                b')' | b']' | b'}' => {
                    modes.pop();
                }
                b'f' if line.get(at.wrapping_sub(2)) == Some(&b'i') => ifs += 1,
                _ => {}
            }
        }
        depth = depth.max(modes.len() + ifs);
        if modes.is_empty() {
            return StringEnd::Closed { length: at, depth: depth.saturating_sub(1) };
        }
        if depth > NESTING_MAX {
            return StringEnd::TooDeep;
        }
    }
    StringEnd::Open { insert: (modes.len() > 1).then_some(insert) }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_°µμΩ‰²³".contains(c)
}

fn line_length(rest: &str) -> usize {
    rest.find(['\n', '\r']).unwrap_or(rest.len())
}

/// The length of a number; a unit that follows without a blank is a word of its own (`5s`), a clock is one number.
fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(length + 1);
    }
    if bytes.get(length).is_some_and(|b| *b == b'e' || *b == b'E') {
        let sign = usize::from(bytes.get(length + 1).is_some_and(|b| *b == b'+' || *b == b'-'));
        if bytes.get(length + 1 + sign).is_some_and(u8::is_ascii_digit) {
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let lexed = lex(FileId(0), text);
        lexed.tokens.iter().map(|token| token.str(text).to_owned()).collect()
    }

    #[test]
    fn signs_numbers_units_and_texts_are_told_apart() {
        assert_eq!(
            words("a[1..2]->'x y' 5s 1.5e3 \"t {f(\"}\")} {{\" m³"),
            ["a", "[", "1", "..", "2", "]", "->", "'x y'", "5", "s", "1.5e3", "\"t {f(\"}\")} {{\"", "m³"]
        );
    }

    #[test]
    fn comments_are_kept_apart_with_their_place() {
        let lexed = lex(FileId(0), "// a\nx // b\n\"// no\"");
        let trailing: Vec<_> = lexed.comments.iter().map(|comment| comment.trailing).collect();
        assert_eq!(trailing, [false, true]);
        assert!(lexed.faults.is_empty());
    }

    #[test]
    fn foreign_signs_are_mended_byte_for_byte() {
        let text = "a := 1; b = 2; # see {\nc = 3";
        let mended = lex(FileId(0), text).mended.unwrap();
        assert_eq!(String::from_utf8(mended).unwrap(), "a  = 1, b = 2         \nc = 3");
    }

    #[test]
    fn an_open_text_ends_with_its_line() {
        let lexed = lex(FileId(0), "a = \"x {y\nb = 1");
        assert_eq!(lexed.faults[0].code, "E011");
        assert_eq!(lexed.tokens.len(), 7);
    }
}
