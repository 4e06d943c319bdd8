//! Habits from other languages (PLC texts, YAML, C, Excel) at places where the grammar only knows what it expected:
//! the edit that makes of it what was meant.

use crate::grammar::Rule;
use crate::lexer::Kind;
use crate::mistakes::Place;

impl Place<'_> {
    /// The edit for a usual slip, if the place looks like one.
    pub(crate) fn habit(&self) -> Option<String> {
        self.piece()
            .or_else(|| self.operator())
            .or_else(|| self.sign())
            .or_else(|| self.step())
            .or_else(|| self.order())
            .or_else(|| self.stage())
            .or_else(|| self.condition())
    }

    /// What can be seen by the token that does not fit, and what stands directly before it.
    fn piece(&self) -> Option<String> {
        let found = self.str(self.at);
        let before = self.text_before();
        match self.kind(self.at)? {
            // `5,3` is taken for the end of an entry and another one.
            Kind::Number if self.at == 0 && before.ends_with(',') => {
                let digits = before.trim_end_matches(',');
                let first = digits.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
                let number = digits.get(first.len()..).filter(|number| !number.is_empty())?;
                Some(format!("numbers have a point: `{number}.{found}`"))
            }
            // `"{x:.1f}"`
            Kind::Text if has_format(found) => Some(
                "an insert has no format: write `{round(x)}`, or `{round(x * 10) / 10}` for one digit"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// `AND`, `Or`, `NOT` and `TRUE` as on a PLC.
    fn operator(&self) -> Option<String> {
        // behind a number it was taken for a unit
        [Some(self.at), self.before(1)].into_iter().flatten().find_map(|at| {
            let word = self.str(at);
            let lower = word.to_ascii_lowercase();
            let known = matches!(lower.as_str(), "and" | "or" | "not" | "mod" | "then" | "else" | "if");
            (known && lower != word).then(|| format!("words are written in small letters: `{lower}`"))
        })
    }

    fn sign(&self) -> Option<String> {
        let (found, next) = (self.str(self.at), self.str(self.at + 1));
        let before = self.before(1).map_or("", |before| self.str(before));
        Some(match found {
            "/" if next == "*" || next == "**" => "comments begin with `//`, on each line".to_owned(),
            "/*" | "/**" | "--" | "(*" => "comments begin with `//`, on each line".to_owned(),
            ":" if self.expects(&[Rule::eq]) && self.str(0) == "flow" => {
                format!("write `flow {before} = ...`")
            }
            ":" if self.expects(&[Rule::eq]) => format!("write `{before} = ...`"),
            ":" if self.is_short_clock() => "a time of day has two digits: `06:00`".to_owned(),
            "->" if self.expects(&[Rule::eq]) && self.str(0) == "flow" => {
                format!("write `flow {before} = ...`: the name, then what flows")
            }
            "(" if self.expects(&[Rule::eq]) && self.str(0) == "flow" => self.column_name(before, next),
            "=" if self.expects(&[Rule::body, Rule::settings]) => "leave the `=` out: `{` follows".to_owned(),
            "=" | "=>" | ">" if self.expects(&[Rule::chain, Rule::arrow]) => "write `->`".to_owned(),
            "[" if self.expects(&[Rule::unit]) => {
                format!("a unit stands without brackets: `{before} {next}`")
            }
            "?" => "write `if condition then a else b`".to_owned(),
            "," if self.is_decimal_comma() => {
                format!("numbers have a point: `{before}.{next}`")
            }
            "." if self.kind(self.at.wrapping_sub(1)) == Some(Kind::Number) => {
                "a text such as an address needs double quotes: `\"10.0.0.1:502\"`".to_owned()
            }
            _ => return None,
        })
    }

    /// `at 6:00`
    fn is_short_clock(&self) -> bool {
        let number = |at: Option<usize>| at.filter(|at| self.kind(*at) == Some(Kind::Number));
        let hour = number(self.before(1)).is_some_and(|at| self.str(at).len() == 1);
        hour && number(Some(self.at + 1)).is_some_and(|at| self.str(at).len() == 2)
    }

    /// `{ avg(p) }`: a column without a name.
    fn column_name(&self, function: &str, arg: &str) -> String {
        let plain = self.kind(self.at + 1) == Some(Kind::Word) && self.str(self.at + 2) == ")";
        match plain {
            true => format!("name the column: `{function}_{arg} = {function}({arg})`"),
            false => format!("name the column: `{function}_x = {function}(...)`"),
        }
    }

    /// What a step of a test expects.
    fn step(&self) -> Option<String> {
        let compares = matches!(self.str(self.at), "<" | "<=" | ">" | ">=" | "!=" | "==");
        if self.str(0) != "at" || !compares || !self.expects(&[Rule::eq, Rule::checks]) {
            return None;
        }
        Some(match self.str(self.at) {
            "==" => "write `=`: a test compares with the value that is expected".to_owned(),
            sign => format!("a test compares with `=`: make a calc, such as `calc high = p {sign} 4 kW`"),
        })
    }

    /// Stages of other languages.
    fn stage(&self) -> Option<String> {
        let selects = |at: &usize| self.str(*at).eq_ignore_ascii_case("select");
        if [Some(self.at), self.before(1), self.before(2)].iter().flatten().any(selects) {
            return Some("queries are flows: `flow f = device.tag -> where value > 5 -> sink`".to_owned());
        }
        let stage = self
            .before(1)
            .map(|before| self.str(before))
            .filter(|_| self.before(2).is_some_and(|arrow| self.str(arrow) == "->"));
        match stage? {
            "filter" | "when" | "having" => {
                Some("write `where condition`, such as `-> where good(value)`".to_owned())
            }
            "map" | "select" | "aggregate" | "window" => {
                Some("write a window, such as `-> every 1 min { a = avg(x) }`".to_owned())
            }
            _ => None,
        }
    }

    /// `5,5 kW` where no list is.
    fn is_decimal_comma(&self) -> bool {
        let number = |at: Option<usize>| at.is_some_and(|at| self.kind(at) == Some(Kind::Number));
        number(self.before(1)) && number(Some(self.at + 1))
    }

    /// Parts of a statement in another order.
    fn order(&self) -> Option<String> {
        let (first, found) = (self.str(0), self.str(self.at));
        match first {
            "tag" if self.at == 2 && crate::words::is_type(self.str(1)) => Some(format!(
                "the type stands behind the address: `tag {found} at \"...\" : {}`",
                self.str(1)
            )),
            "tag" if found == "at" => {
                Some(format!("the address stands before the type: `tag {} at \"...\" : ...`", self.str(1)))
            }
            "source" | "sink" if self.at == 2 && self.expects(&[Rule::colon]) => {
                Some(format!("write `{first} {} : {found}`", self.str(1)))
            }
            _ => None,
        }
    }

    fn condition(&self) -> Option<String> {
        // behind a number it was taken for a unit
        let before = self.before(1).map_or("", |before| self.str(before));
        let found = if matches!(before, "elsif" | "elseif" | "elif") { before } else { self.str(self.at) };
        match found {
            "elsif" | "elseif" | "elif" | "ELSIF" => Some("write `else if`".to_owned()),
            "if" | "on" | "=" if self.str(0) == "alarm" && self.expects(&[Rule::W_when]) => {
                Some("write `when`".to_owned())
            }
            "" if self.expects(&[Rule::W_else]) => {
                Some("every `if` has an `else`: say what the value is otherwise".to_owned())
            }
            _ => None,
        }
    }
}

/// A colon in an insert of a text.
fn has_format(text: &str) -> bool {
    text.split('{').skip(1).any(|insert| insert.split('}').next().is_some_and(|inside| inside.contains(':')))
}
