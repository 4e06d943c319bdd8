//! Habits from other languages (PLC texts, YAML, C, Excel) at places where the grammar only knows what it expected:
//! the edit that makes of it what was meant.

use crate::grammar::Rule;
use crate::lexer::Kind;
use crate::mistakes::Place;

impl Place<'_> {
    /// The edit for a usual slip, if the place looks like one.
    pub(crate) fn habit(&self) -> Option<String> {
        self.operator().or_else(|| self.sign()).or_else(|| self.order()).or_else(|| self.condition())
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
