//! The words of the language, and grammar rules said in words that a plant engineer uses.

use crate::grammar::Rule;

/// What kind of word a keyword is; editors colour by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WordClass {
    /// Starts an item of a file.
    Item,
    /// Starts a member of a device, source or template.
    Member,
    /// An attribute of a tag.
    Attribute,
    /// A data type of a PLC.
    Type,
    /// Joins the parts of a statement.
    Connective,
    /// An operator written as a word.
    Operator,
}

const ITEMS: &[&str] = &[
    "gwp", "use", "gateway", "const", "unit", "template", "source", "device", "sink", "flow", "write",
    "moved", "test",
];
const MEMBERS: &[&str] = &["tag", "calc", "alarm"];
const ATTRIBUTES: &[&str] = &["scan", "deadband", "scale", "range", "counter", "enum", "writable", "desc"];
const TYPES: &[&str] = &[
    "bool", "byte", "sint", "usint", "int", "uint", "word", "dint", "udint", "dword", "lint", "ulint",
    "lword", "real", "lreal", "string", "time",
];
const CONNECTIVES: &[&str] = &[
    "at",
    "on",
    "to",
    "from",
    "when",
    "for",
    "every",
    "while",
    "where",
    "split",
    "over",
    "in",
    "by",
    "wait",
    "revise",
    "min_coverage",
    "as",
    "priority",
    "standby",
    "if",
    "then",
    "else",
    "except",
    "per",
    "expect",
    "no",
];
const OPERATORS: &[&str] = &["and", "or", "not", "mod", "otherwise"];

/// All words with a meaning in the grammar, with their class, in the order of the reference.
pub fn keywords() -> Vec<(&'static str, WordClass)> {
    let classes = [
        (ITEMS, WordClass::Item),
        (MEMBERS, WordClass::Member),
        (ATTRIBUTES, WordClass::Attribute),
        (TYPES, WordClass::Type),
        (CONNECTIVES, WordClass::Connective),
        (OPERATORS, WordClass::Operator),
    ];
    classes.iter().flat_map(|(words, class)| words.iter().map(|word| (*word, *class))).collect()
}

pub(crate) fn is_item(word: &str) -> bool {
    ITEMS.contains(&word)
}

pub(crate) fn is_member(word: &str) -> bool {
    MEMBERS.contains(&word)
}

pub(crate) fn is_attribute(word: &str) -> bool {
    ATTRIBUTES.contains(&word)
}

pub(crate) fn is_type(word: &str) -> bool {
    TYPES.contains(&word)
}

/// True for words that cannot be names unless in single quotes.
pub fn is_reserved(word: &str) -> bool {
    ATTRIBUTES.contains(&word) || CONNECTIVES.contains(&word) || OPERATORS.contains(&word)
}

/// A name as a program writes it: in single quotes where it is not made of letters, digits and `_`, or is reserved.
pub fn written_name(name: &str) -> String {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if begins && plain && !is_reserved(name) { name.to_owned() } else { format!("'{name}'") }
}

pub(crate) fn nearest_item(word: &str) -> Option<&'static str> {
    nearest(word, ITEMS.iter().copied())
}

pub(crate) fn nearest_attribute(word: &str) -> Option<&'static str> {
    nearest(word, ATTRIBUTES.iter().copied())
}

pub(crate) fn nearest_member(word: &str) -> Option<&'static str> {
    nearest(word, MEMBERS.iter().copied())
}

/// The candidate most like `word`, if one is like enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let scored = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate));
    let (distance, best) = scored.min()?;
    // of one or two letters everything is a letter away: only capital letters may differ
    let far = match word.chars().count() {
        0..=2 => 0,
        length => (length / 3).max(1),
    };
    (distance <= far).then_some(best)
}

/// The PLC type that a type name of another language stands for, with what it is.
pub(crate) fn plc_type(foreign: &str) -> Option<(&'static str, &'static str)> {
    let lower = foreign.to_ascii_lowercase();
    let found = match lower.as_str() {
        "i8" | "int8" | "int8_t" => ("sint", "8 bit signed"),
        "u8" | "uint8" | "uint8_t" | "uchar" => ("usint", "8 bit unsigned"),
        "i16" | "int16" | "int16_t" | "short" | "s16" => ("int", "16 bit signed"),
        "u16" | "uint16" | "uint16_t" | "ushort" => ("uint", "16 bit unsigned"),
        "i32" | "int32" | "int32_t" | "integer" | "long" | "s32" => ("dint", "32 bit signed; int is 16 bit"),
        "u32" | "uint32" | "uint32_t" | "ulong" => ("udint", "32 bit unsigned"),
        "i64" | "int64" | "int64_t" | "longlong" | "s64" => ("lint", "64 bit signed"),
        "u64" | "uint64" | "uint64_t" => ("ulint", "64 bit unsigned"),
        "f32" | "float" | "float32" | "single" | "number" => ("real", "32 bit floating point"),
        "f64" | "float64" | "double" => ("lreal", "64 bit floating point"),
        "boolean" | "bit" | "flag" => ("bool", "true or false"),
        "str" | "text" | "char" | "varchar" | "wstring" => ("string", "text"),
        "date" | "datetime" | "timestamp" | "dt" | "date_and_time" | "dtl" => ("time", "a point in time"),
        other => {
            return TYPES
                .iter()
                .find(|name| **name == other)
                .map(|name| (*name, "types are written in small letters"));
        }
    };
    Some(found)
}

/// The PLC type most like a misspelt one.
pub(crate) fn nearest_type(word: &str) -> Option<&'static str> {
    nearest(word, TYPES.iter().copied())
}

/// What a rule of the grammar is called in a message; `None` for rules that would not help the reader.
pub(crate) fn rule_words(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::EOI => "the end of the statement",
        Rule::eq => "`=`",
        Rule::colon => "`:`",
        Rule::arrow => "`->`",
        Rule::ident | Rule::quoted => "a name",
        Rule::key | Rule::setting | Rule::one_setting => "a setting such as `scan = 1 s`",
        Rule::string => "text in double quotes",
        Rule::digits | Rule::number | Rule::label => "a number",
        Rule::unit | Rule::per_unit => "a unit",
        Rule::type_ref | Rule::type_word => "a type such as `real`",
        Rule::attr | Rule::attr_word => "an attribute such as `range`",
        Rule::body | Rule::settings | Rule::columns | Rule::checks | Rule::pairs => "`{`",
        Rule::args | Rule::params | Rule::model | Rule::group => "`(`",
        Rule::list | Rule::family | Rule::members => "`[`",
        Rule::param => "a parameter such as `ct: int`",
        Rule::range => "a value or a range",
        Rule::expr
        | Rule::quantity
        | Rule::path
        | Rule::call
        | Rule::choose
        | Rule::instant
        | Rule::clock => "a value",
        Rule::neg | Rule::arg => "a value",
        Rule::add | Rule::sub | Rule::mul | Rule::div | Rule::cmp => "an operator",
        Rule::W_and | Rule::W_or | Rule::W_mod | Rule::W_otherwise => "an operator",
        Rule::W_not => "a value",
        Rule::tag | Rule::calc | Rule::alarm | Rule::one_member => "a tag, calc, alarm or setting",
        Rule::K_tag | Rule::K_calc | Rule::K_alarm => "a tag, calc, alarm or setting",
        Rule::head | Rule::picks | Rule::select | Rule::star => "the devices or tags that the flow takes",
        Rule::chain => "`->`",
        Rule::window | Rule::r#where | Rule::split | Rule::targets => "a stage or a sink",
        Rule::branch => "a branch such as `when x > 1 -> sink`",
        Rule::check => "a column such as `peak = 450 kW`",
        Rule::column => "a column such as `peak = max(power)`",
        Rule::step | Rule::one_step => "a step such as `at 5 s: x = 1`",
        Rule::feed | Rule::expect => "`x = value` or `expect x = value`",
        Rule::repeat | Rule::W_to => "`to`",
        Rule::pair => "an entry such as `0 = \"stopped\"`",
        Rule::flow_attr | Rule::flow_word => "an attribute such as `standby hot`",
        Rule::win_attr | Rule::win_word => "`wait`, `over`, `by` or another word of a window",
        Rule::W_on => "`on`",
        Rule::W_at => "`at`",
        Rule::W_from => "`from`",
        Rule::W_when => "`when`",
        Rule::W_for => "`for`",
        Rule::W_every => "`every`",
        Rule::W_where => "`where`",
        Rule::W_then => "`then`",
        Rule::W_else => "`else`",
        Rule::W_except => "`except`",
        Rule::W_per => "`per`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_tables_are_those_of_the_grammar() {
        let grammar = include_str!("grammar.pest");
        for (word, class) in keywords() {
            let standing = format!("\"{word}\"");
            assert!(grammar.contains(&standing), "{word} ({class:?}) is not in the grammar");
        }
    }

    #[test]
    fn only_likely_words_are_suggested() {
        assert_eq!(nearest("powr", ["power", "tower"]), Some("power"));
        assert_eq!(nearest("Kw", ["kW", "K"]), Some("kW"));
        assert_eq!(nearest("zzz", ["power"]), None);
        assert_eq!(plc_type("INT"), Some(("int", "types are written in small letters")));
    }
}
