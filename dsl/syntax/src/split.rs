//! Where one item ends and the next begins, and the same for the entries of a block.
//!
//! The rules are those of a reader: an item starts on a new line outside all brackets, or at the very left of a
//! line with an item's word (then whatever was open before was forgotten to be closed). A line goes on when it ends
//! with an operator, or when the next one starts with one.

use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Lexed, Token, too_deep};
use crate::limits::NESTING_MAX;
use crate::span::{FileId, Span};
use crate::words::{is_item, is_member};

/// A run of tokens that is one item, or one entry of a block.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Indices into the tokens; neither end is a new line, and there is at least one token.
    pub first: usize,
    pub last: usize,
    /// Closing brackets to add so that the unit can be read in spite of those forgotten; the fault is reported.
    pub closers: String,
    /// It cannot be parsed at all; the fault is reported.
    pub unreadable: bool,
}

impl Unit {
    fn new(first: usize, last: usize) -> Self {
        Unit { first, last, closers: String::new(), unreadable: false }
    }

    pub(crate) fn tokens<'a>(&self, lexed: &'a Lexed) -> &'a [Token] {
        lexed.tokens.get(self.first..=self.last).unwrap_or(&[])
    }
}

/// Splits a file into its items.
pub(crate) fn items(file: FileId, text: &str, lexed: &mut Lexed) -> Vec<Unit> {
    let tokens = std::mem::take(&mut lexed.tokens);
    let mut splitter =
        Items { file, text, tokens: &tokens, lexed, units: Vec::new(), open: Vec::new(), ifs: 0 };
    for at in 0..tokens.len() {
        splitter.take(at);
    }
    splitter.close_all(None);
    let units = splitter.units;
    lexed.tokens = tokens;
    units
}

struct Items<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    lexed: &'a mut Lexed,
    units: Vec<Unit>,
    /// The brackets open at this place, as indices of tokens.
    open: Vec<usize>,
    /// `if`s since the last sign that starts a new expression: they nest without brackets.
    ifs: usize,
}

impl Items<'_> {
    fn take(&mut self, at: usize) {
        let token = self.tokens[at];
        if token.kind == Kind::Newline {
            return;
        }
        let line_start = at == 0 || self.tokens[at - 1].kind == Kind::Newline;
        if line_start {
            self.start_of_line(at);
        }
        match self.units.last_mut() {
            Some(unit) => unit.last = at,
            None => self.units.push(Unit::new(at, at)),
        }
        self.nest(at, token);
    }

    fn start_of_line(&mut self, at: usize) {
        let starts_item = starts(self.text, self.tokens, at, is_item);
        if !self.open.is_empty() {
            let leftmost = self.tokens[at].start == 0
                || self.text.as_bytes()[..self.tokens[at].start as usize].ends_with(b"\n");
            if starts_item && leftmost {
                self.close_all(Some(at));
                self.units.push(Unit::new(at, at));
            } else if starts(self.text, self.tokens, at, is_member) {
                self.close_round();
            }
            return;
        }
        self.ifs = 0;
        let Some(unit) = self.units.last() else {
            return self.units.push(Unit::new(at, at));
        };
        let last = unit.last;
        if !starts_item && self.tokens[at].str(self.text) == "{" {
            return self.brace_on_its_own(last, at);
        }
        if starts_item || !continues(self.text, self.tokens, last, at) {
            self.units.push(Unit::new(at, at));
        }
    }

    /// Counts brackets, and reports those that do not match.
    fn nest(&mut self, at: usize, token: Token) {
        let written = token.str(self.text);
        match token.kind {
            Kind::Open => self.open.push(at),
            Kind::Close => self.close(at, written),
            Kind::Word if written == "if" => self.ifs += 1,
            Kind::Sign if matches!(written, "=" | "," | "->") => self.ifs = 0,
            _ => {}
        }
        if self.open.len() + self.ifs + usize::from(token.depth) > NESTING_MAX
            && let Some(unit) = self.units.last_mut().filter(|unit| !unit.unreadable)
        {
            unit.unreadable = true;
            self.lexed.fault(too_deep(self.span(at)));
        }
    }

    fn close(&mut self, at: usize, written: &str) {
        let opener = match written {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        let is_opener = |open: &usize| self.tokens[*open].str(self.text) == opener;
        match self.open.iter().rposition(is_opener) {
            Some(place) if place + 1 == self.open.len() => {
                self.open.pop();
            }
            // `( ... }`: the round bracket was forgotten; `{ ... )`: the closing one is too much
            Some(place) if written == "}" => {
                while self.open.len() > place + 1 {
                    self.not_closed();
                }
                self.open.pop();
            }
            _ => {
                self.lexed.fault(
                    Diagnostic::new("E015", self.span(at), format!("this `{written}` closes nothing"))
                        .help("remove it, or add the bracket that it should close"),
                );
                let token = self.tokens[at];
                self.lexed.mend(self.text, token.start as usize, token.end as usize, b" ");
            }
        }
    }

    /// The innermost bracket has no partner.
    fn not_closed(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let written = self.tokens[open].str(self.text);
        let partner = match written {
            "(" => ")",
            "[" => "]",
            _ => "}",
        };
        self.lexed.fault(
            Diagnostic::new("E015", self.span(open), format!("this `{written}` is not closed"))
                .here("opened here")
                .help(format!("add `{partner}`")),
        );
        let token = self.tokens[open];
        self.lexed.unreadable.push((token.start, token.end));
    }

    /// A member starts inside round or square brackets: they were forgotten to be closed.
    fn close_round(&mut self) {
        while self.open.last().is_some_and(|open| self.tokens[*open].str(self.text) != "{") {
            self.not_closed();
        }
    }

    /// Ends the last item, at the start of the next one or at the end of the file.
    fn close_all(&mut self, next: Option<usize>) {
        let mut closers = String::new();
        let open = std::mem::take(&mut self.open);
        for at in open.iter().rev() {
            closers.push(match self.tokens[*at].str(self.text) {
                "(" => ')',
                "[" => ']',
                _ => '}',
            });
        }
        self.ifs = 0;
        let (Some(outermost), Some(unit)) = (open.first(), self.units.last_mut()) else {
            return;
        };
        if self.tokens[*outermost].str(self.text) != "{" {
            unit.unreadable = true;
            self.open = open;
            while !self.open.is_empty() {
                self.not_closed();
            }
            return;
        }
        unit.closers = closers;
        let tokens = unit.tokens_of(self.tokens);
        let title: Vec<_> = tokens.iter().take(2).map(|token| token.str(self.text)).collect();
        let opened = self.span(*outermost);
        let fault = Diagnostic::new("E008", opened, format!("`{}` is not closed", title.join(" ")))
            .here("opened here");
        self.lexed.fault(match next {
            Some(next) => {
                fault.label(self.span(next), "next item starts here").help("add `}` before this item")
            }
            None => fault.help("add `}` at the end"),
        });
    }

    /// `{` on the line after its item.
    fn brace_on_its_own(&mut self, last: usize, at: usize) {
        self.lexed.fault(
            Diagnostic::new("E012", self.span(at), "`{` stands on a line of its own")
                .here("a new line ends the statement before it")
                .help("put it at the end of the line above"),
        );
        let gap = self.tokens[last].end as usize..self.tokens[at].start as usize;
        self.lexed.mend(self.text, gap.start, gap.end, b" ");
    }

    fn span(&self, at: usize) -> Span {
        let token = self.tokens[at];
        Span::new(self.file, token.start as usize, token.end as usize)
    }
}

impl Unit {
    fn tokens_of<'a>(&self, tokens: &'a [Token]) -> &'a [Token] {
        tokens.get(self.first..=self.last).unwrap_or(&[])
    }
}

/// Splits what stands between the braces of a block, given without them, into its entries. `commas` says whether a
/// comma ends an entry; in a test it does not.
pub(crate) fn entries(text: &str, tokens: &[Token], first: usize, end: usize, commas: bool) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut depth = 0_usize;
    let mut open = false;
    for at in first..end {
        let token = tokens[at];
        let written = token.str(text);
        if token.kind == Kind::Newline {
            continue;
        }
        let line_start = at == first || tokens[at - 1].kind == Kind::Newline;
        let member = line_start && starts(text, tokens, at, is_member);
        if member {
            depth = 0;
        }
        if commas && depth == 0 && written == "," && token.kind == Kind::Sign {
            open = false;
            continue;
        }
        let goes_on =
            units.last().is_some_and(|unit| open && (!line_start || continues(text, tokens, unit.last, at)));
        match units.last_mut() {
            Some(unit) if depth > 0 || (goes_on && !member) => unit.last = at,
            _ => units.push(Unit::new(at, at)),
        }
        open = true;
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    units
}

/// True if a word of that kind stands at `at` and what follows makes it the start of a statement: `tag x`, not `tag = 1`.
fn starts(text: &str, tokens: &[Token], at: usize, kind: fn(&str) -> bool) -> bool {
    let token = tokens[at];
    token.kind == Kind::Word
        && kind(token.str(text))
        && tokens
            .get(at + 1)
            .is_some_and(|next| matches!(next.kind, Kind::Word | Kind::Quoted | Kind::Text | Kind::Number))
}

/// True if the statement whose last token is `last` goes on with `next` on a new line.
fn continues(text: &str, tokens: &[Token], last: usize, next: usize) -> bool {
    let (before, after) = (tokens[last], tokens[next]);
    let (before_str, after_str) = (before.str(text), after.str(text));
    let after_goes_on = match after.kind {
        Kind::Sign => !matches!(after_str, "!" | "%"),
        Kind::Word => matches!(after_str, "and" | "or" | "mod" | "otherwise" | "then" | "else" | "except"),
        _ => false,
    };
    let before_goes_on = match before.kind {
        Kind::Sign => before_str != "%",
        Kind::Word => matches!(
            before_str,
            "and" | "or" | "not" | "mod" | "otherwise" | "if" | "then" | "else" | "when" | "where" | "except"
        ),
        _ => false,
    };
    after_goes_on || before_goes_on
}
