//! What was probably meant where the grammar stopped: each usual mistake has a code of its own, all others say what
//! was expected.

use crate::diagnostic::Diagnostic;
use crate::grammar::{Rule, Stop};
use crate::lexer::{Kind, Token, text_needs_quotes, too_deep};
use crate::limits::PARSED_BYTES_MAX;
use crate::span::{FileId, Span};
use crate::words;

/// The place where the grammar stopped, with the tokens around it.
pub(crate) struct Place<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    stop: &'a Stop,
    /// Index of the token that does not fit; the number of tokens when the text ends too early.
    pub(crate) at: usize,
}

impl<'a> Place<'a> {
    /// `tokens` are those of the piece that was parsed.
    pub(crate) fn new(file: FileId, text: &'a str, tokens: &'a [Token], stop: &'a Stop) -> Self {
        let start = tokens.first().map_or(0, |token| token.start as usize);
        let mut at = tokens.partition_point(|token| token.end as usize <= start + stop.at);
        while tokens.get(at).is_some_and(|token| token.kind == Kind::Newline) {
            at += 1;
        }
        Place { file, text, tokens, stop, at }
    }

    /// The most helpful diagnostic for this place.
    pub(crate) fn explain(&self) -> Diagnostic {
        if self.stop.bounded {
            let end = self.tokens.last().map_or(0, |token| token.end);
            if end.saturating_sub(self.span(0).start) as usize > PARSED_BYTES_MAX {
                let message = format!("this is larger than {} MiB", PARSED_BYTES_MAX >> 20);
                return Diagnostic::new("E020", self.span(0), message)
                    .help("divide it into several statements");
            }
            return too_deep(self.span(self.at));
        }
        self.foreign_sign()
            .or_else(|| self.foreign_letter())
            .or_else(|| self.address())
            .or_else(|| self.text())
            .or_else(|| self.type_name())
            .or_else(|| self.branch())
            .or_else(|| self.reserved())
            .or_else(|| self.equals())
            .or_else(|| self.attribute())
            .or_else(|| self.keyword())
            .or_else(|| self.comma())
            .unwrap_or_else(|| self.general())
    }

    pub(crate) fn str(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.str(self.text))
    }

    /// The text in front of the token that does not fit.
    pub(crate) fn text_before(&self) -> &'a str {
        self.tokens.get(self.at).and_then(|token| self.text.get(..token.start as usize)).unwrap_or("")
    }

    pub(crate) fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    pub(crate) fn before(&self, back: usize) -> Option<usize> {
        self.at.checked_sub(back)
    }

    fn span(&self, at: usize) -> Span {
        match (self.tokens.get(at), self.tokens.last()) {
            (Some(token), _) => Span::new(self.file, token.start as usize, token.end as usize),
            (None, Some(last)) => Span::new(self.file, last.end as usize, last.end as usize),
            (None, None) => Span::new(self.file, 0, 0),
        }
    }

    pub(crate) fn expects(&self, rules: &[Rule]) -> bool {
        self.stop.expected.iter().any(|rule| rules.contains(rule))
    }

    fn expects_operator(&self) -> bool {
        self.expects(&[Rule::add, Rule::sub, Rule::mul, Rule::div, Rule::cmp, Rule::W_and, Rule::W_or])
    }

    fn expects_name(&self) -> bool {
        self.expects(&[Rule::ident, Rule::quoted])
    }

    /// True if the token can end a value.
    fn ends_value(&self, at: usize) -> bool {
        match self.kind(at) {
            Some(Kind::Number | Kind::Text | Kind::Quoted | Kind::Close) => true,
            Some(Kind::Word) => !words::is_reserved(self.str(at)),
            _ => self.str(at) == "%",
        }
    }

    fn foreign_sign(&self) -> Option<Diagnostic> {
        let remainder = self.before(1).filter(|before| self.str(*before) == "%");
        let at = remainder.unwrap_or(self.at);
        let mend = match self.str(at) {
            "&&" | "&" => "write `and`",
            "||" | "|" if self.expects(&[Rule::chain, Rule::arrow]) => {
                "write `->`: stages and sinks follow one another"
            }
            "||" | "|" => "write `or`",
            "!" => "write `not`",
            "<>" | "≠" => "write `!=`",
            "≤" => "write `<=`",
            "≥" => "write `>=`",
            "**" | "^" => "write the product, such as `x * x`",
            "%" if remainder.is_none() || self.ends_value(self.at) || self.str(self.at) == "(" => {
                "`%` is the unit percent; write `mod` for the remainder of a division"
            }
            "“" | "”" | "„" | "«" | "»" | "`" => "write straight double quotes: `\"text\"`",
            "‘" | "’" => "write straight single quotes: `'name'`",
            "×" | "·" => "write `*`",
            "–" | "—" | "−" => "write `-`",
            _ => return None,
        };
        let message = format!("`{}` is not an operator here", self.str(at));
        let fault = Diagnostic::new("E013", self.span(at), message).here("this sign").help(mend);
        let operator = mend.strip_prefix("write `").and_then(|rest| rest.strip_suffix('`'));
        Some(match operator {
            Some(operator) if !operator.contains(['"', '\'', ',']) => {
                let span = fault.span;
                fault.fix(span, self.apart(operator, span))
            }
            _ => fault,
        })
    }

    /// A word with a blank to each side where there is none yet.
    fn apart(&self, word: &str, span: Span) -> String {
        if !word.starts_with(|c: char| c.is_alphabetic()) {
            return word.to_owned();
        }
        let blank = |near: Option<char>| near.is_none_or(|c| c.is_whitespace() || "([{".contains(c));
        let before = self.text.get(..span.start as usize).and_then(|text| text.chars().next_back());
        let after = self.text.get(span.end as usize..).and_then(|text| text.chars().next());
        let gap = |is: bool| if is { "" } else { " " };
        format!("{}{word}{}", gap(blank(before)), gap(after.is_some_and(char::is_whitespace)))
    }

    fn foreign_letter(&self) -> Option<Diagnostic> {
        let word = self.str(self.at);
        let foreign = self.kind(self.at)? == Kind::Word && !word.is_ascii() && self.expects_name();
        let inside = self.kind(self.at)? == Kind::Word
            && word.chars().any(|c| !c.is_ascii() && c.is_alphabetic() && !"°µμΩ".contains(c));
        (foreign || inside).then(|| {
            Diagnostic::new("E014", self.span(self.at), format!("`{word}` has letters outside of a to z"))
                .here("used as a name")
                .help(format!("write `'{word}'` in single quotes"))
                .fix_here(format!("'{word}'"))
        })
    }

    fn address(&self) -> Option<Diagnostic> {
        let at_word = self.before(1).filter(|before| self.str(*before) == "at")?;
        let takes_address = matches!(self.str(0), "tag" | "write") && at_word > 0;
        let token = self.tokens.get(self.at).filter(|token| token.kind != Kind::Text && takes_address)?;
        let rest = self.text.get(token.start as usize..)?;
        let line = rest.find(['\n', '\r']).map_or(rest, |end| rest.get(..end).unwrap_or(""));
        // an address may have blanks: then it goes as far as the colon before the type
        let blank = line.find([' ', '\t', ',']).unwrap_or(line.len());
        let to_colon =
            || line.find(" : ").map_or(blank, |colon| line.get(..colon).unwrap_or("").trim_end().len());
        let length = match token.kind {
            Kind::Quoted => token.str(self.text).len(),
            _ => to_colon(),
        };
        let written = rest.get(..length)?;
        let span = Span::new(self.file, token.start as usize, token.start as usize + length);
        let plain = written.trim_matches('\'').trim_end_matches(':');
        Some(quoted_address(
            Diagnostic::new("E006", span, "the address needs double quotes")
                .here("address")
                .help(format!("write `at \"{plain}\"`")),
            plain,
            written.ends_with(':'),
        ))
    }

    /// A word where only text can stand.
    fn text(&self) -> Option<Diagnostic> {
        let only_text = self.stop.expected.iter().all(|rule| *rule == Rule::string);
        let token = self
            .tokens
            .get(self.at)
            .filter(|token| only_text && matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Number))?;
        let rest = self.text.get(token.start as usize..)?;
        let length = rest.find([' ', '\t', '\n', '\r', ',', '{', '}', ']', ')']).unwrap_or(rest.len());
        let written = rest.get(..length)?.trim_matches('\'');
        let span = Span::new(self.file, token.start as usize, token.start as usize + length);
        Some(text_needs_quotes(span, written))
    }

    fn type_name(&self) -> Option<Diagnostic> {
        let word = self.str(self.at);
        let after_colon = self.before(1).is_some_and(|before| self.str(before) == ":");
        let here = after_colon
            && self.kind(self.at)? == Kind::Word
            && self.expects(&[Rule::type_ref, Rule::type_word]);
        if !here {
            return None;
        }
        let fault = Diagnostic::new("E005", self.span(self.at), format!("`{word}` is not a PLC type"));
        let name = self.before(2).map_or("", |name| self.str(name));
        let fault = if self.str(0) == "tag" {
            fault.here(format!("type of `{}`", self.str(1)))
        } else {
            fault.here(format!("type of `{name}`"))
        };
        Some(match (words::plc_type(word), words::nearest_type(word)) {
            (Some((plc, what)), _) => fault.help(format!("use `{plc}` ({what})")).fix_here(plc),
            (None, Some(near)) => fault.did_you_mean(near),
            (None, None) => fault
                .help("types are bool, int, dint, real, string and their relatives; see `gwp explain E005`"),
        })
    }

    /// True if `when` or `else` stands directly between the braces of a `split`.
    fn begins_branch(&self) -> bool {
        let mut closed = 0_usize;
        let before = self.tokens.get(..self.at.min(self.tokens.len())).unwrap_or(&[]);
        let open = before.iter().rposition(|token| match token.kind {
            Kind::Close => {
                closed += 1;
                false
            }
            Kind::Open if closed > 0 => {
                closed -= 1;
                false
            }
            kind => kind == Kind::Open,
        });
        let of_split = open.and_then(|open| open.checked_sub(1)).is_some_and(|at| self.str(at) == "split");
        of_split && matches!(self.str(self.at), "when" | "else")
    }

    /// A branch that does not stand on a line of its own.
    fn branch(&self) -> Option<Diagnostic> {
        let word = self.str(self.at);
        let before = self.before(1).filter(|_| self.begins_branch())?;
        let comma = self.tokens.get(..self.at)?.iter().rposition(|token| token.kind != Kind::Newline)?;
        let (help, at, mend) = match (self.str(comma), self.kind(before)) {
            (",", Some(Kind::Newline)) => (format!("remove the comma before `{word}`"), self.span(comma), ""),
            (",", _) => {
                (format!("write a new line instead of the comma before `{word}`"), self.span(comma), "\n")
            }
            (_, Some(Kind::Newline)) => return None,
            _ if !self.ends_value(comma) => return None,
            _ => (format!("start a new line before `{word}`"), self.span(self.at).before(), "\n"),
        };
        let fault =
            Diagnostic::new("E010", self.span(self.at), "each branch of a `split` stands on its own line");
        Some(fault.here("the next branch").help(help).fix(at, mend))
    }

    fn reserved(&self) -> Option<Diagnostic> {
        let word = self.str(self.at);
        if !words::is_reserved(word) || self.begins_branch() {
            return None;
        }
        if self.before(1).is_some_and(|before| self.str(before) == "->") && self.str(self.at + 1) == "(" {
            let fault = Diagnostic::new("E009", self.span(self.at), format!("`{word}` is not a stage"));
            return Some(fault.help(match word {
                "deadband" | "heartbeat" => format!("write `changes({word} = ...)`"),
                _ => "stages are `where`, `changes`, `sample`, `rename` and `split`".to_owned(),
            }));
        }
        let as_value =
            self.expects(&[Rule::expr, Rule::path, Rule::range, Rule::head, Rule::picks, Rule::select])
                && (self.kind(self.at + 1).is_none()
                    || matches!(self.kind(self.at + 1), Some(Kind::Sign | Kind::Close | Kind::Newline)));
        (self.expects_name() || as_value).then(|| {
            Diagnostic::new("E007", self.span(self.at), format!("`{word}` is a reserved word"))
                .here("used as a name")
                .help(format!("write `'{word}'` in single quotes, or choose another name"))
                .fix_here(format!("'{word}'"))
        })
    }

    fn equals(&self) -> Option<Diagnostic> {
        if self.str(self.at) != "=" || !self.expects_operator() {
            return None;
        }
        let name = self.before(1).filter(|name| self.kind(*name) == Some(Kind::Word));
        if let Some((name, value)) = name.zip(self.before(2))
            && self.ends_value(value)
            && !words::is_reserved(self.str(name))
        {
            return Some(self.missing_comma(name));
        }
        Some(
            Diagnostic::new("E004", self.span(self.at), "`=` gives a name its value")
                .here("comparison expected here")
                .help("to compare, write `==`")
                .fix_here("=="),
        )
    }

    fn missing_comma(&self, at: usize) -> Diagnostic {
        let fault = Diagnostic::new("E010", self.span(at), "a comma is missing")
            .here("before this")
            .help(format!("write `, {}`, or start a new line", self.str(at)));
        match at.checked_sub(1).filter(|before| self.kind(*before) != Some(Kind::Newline)) {
            Some(before) => fault.fix(self.span(before).after(), ","),
            None => fault,
        }
    }

    fn attribute(&self) -> Option<Diagnostic> {
        if !self.expects(&[Rule::attr, Rule::attr_word]) {
            return None;
        }
        let candidates = [Some(self.at), self.before(1)];
        let (at, near) = candidates.into_iter().flatten().find_map(|at| {
            let word = self.str(at);
            let near = words::nearest_attribute(word)
                .filter(|near| *near != word && self.kind(at) == Some(Kind::Word));
            near.map(|near| (at, near))
        })?;
        Some(
            Diagnostic::new(
                "E009",
                self.span(at),
                format!("`{}` is not an attribute of a tag", self.str(at)),
            )
            .help(format!("did you mean `{near}`?"))
            .fix_here(near),
        )
    }

    fn keyword(&self) -> Option<Diagnostic> {
        let word = self.str(0);
        if self.at == 0 && words::is_member(word) {
            let message = format!("`{word}` must stand inside a source, device or template");
            return Some(
                Diagnostic::new("E009", self.span(0), message)
                    .help("put it between the braces of its device"),
            );
        }
        let near = match self.at {
            0 => words::nearest_item(word),
            1 if matches!(self.kind(1), Some(Kind::Word | Kind::Quoted)) => words::nearest_member(word),
            _ => None,
        };
        let near = near.filter(|near| *near != word && self.kind(0) == Some(Kind::Word))?;
        let message = format!("`{word}` is not a word of the language");
        Some(
            Diagnostic::new("E009", self.span(0), message)
                .help(format!("did you mean `{near}`?"))
                .fix_here(near),
        )
    }

    fn comma(&self) -> Option<Diagnostic> {
        let before = self.before(1)?;
        let starts_value = match self.kind(self.at)? {
            Kind::Word => !words::is_reserved(self.str(self.at)),
            Kind::Number | Kind::Text | Kind::Quoted => true,
            _ => false,
        };
        let expects = self.expects_operator() || self.expects(&[Rule::EOI]);
        let inside = self.tokens.iter().take(self.at).any(|token| token.kind == Kind::Open);
        let setting = self.str(self.at + 1) == "=";
        (starts_value && expects && self.ends_value(before) && (inside || setting))
            .then(|| self.missing_comma(self.at))
    }

    fn general(&self) -> Diagnostic {
        let mut expected: Vec<_> =
            self.stop.expected.iter().filter_map(|rule| words::rule_words(*rule)).collect();
        expected.sort_unstable();
        expected.dedup();
        if expected.contains(&"a value") {
            let kinds_of_value = ["`(`", "a name", "a number", "text in double quotes"];
            expected.retain(|word| !kinds_of_value.contains(word));
        }
        let found = self.str(self.at);
        if expected.contains(&"a stage or a sink") {
            expected.retain(|word| !["`where`", "`split`", "a name"].contains(word));
        }
        let message = match self.kind(self.at) {
            None if self.at == 0 => "nothing stands here".to_owned(),
            None => "the statement ends too early".to_owned(),
            Some(_) if self.at == 0 && self.expects(&[Rule::chunk, Rule::header]) => {
                format!("`{found}` does not start an item")
            }
            Some(_) => format!("`{found}` does not fit here"),
        };
        let fault = Diagnostic::new("E009", self.span(self.at), message);
        let fault = self.habit().into_iter().fold(fault, |fault, edit| fault.help(edit));
        let parameter = self.str(0) == "template" && expected == ["`:`"];
        let name = self.before(1).filter(|_| parameter).map(|name| self.str(name));
        let fault = name.into_iter().fold(fault, |fault, name| {
            fault.help(format!("a parameter has a type: `{name}: int`, `{name}: real kW`"))
        });
        match expected.split_last() {
            None => fault,
            Some((only, [])) => fault.here(format!("expected {only}")),
            Some((last, rest)) => fault.here(format!("expected {} or {last}", rest.join(", "))),
        }
    }
}

/// The edit that puts an address into quotes; none where the quotes would have to end elsewhere.
fn quoted_address(fault: Diagnostic, plain: &str, colon: bool) -> Diagnostic {
    if plain.is_empty() || plain.contains(['"', '{', '}', '\\']) {
        return fault;
    }
    fault.fix_here(format!("\"{plain}\"{}", if colon { " :" } else { "" }))
}
