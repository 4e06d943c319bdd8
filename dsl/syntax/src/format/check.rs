//! Whether two texts are the same program: the proof that is asked of every formatted text.

use std::borrow::Cow;

use pest::iterators::Pairs;

use super::lines::Line;
use crate::grammar::{self, Rule};
use crate::lexer::{self, Kind, Lexed, Token};
use crate::recover;
use crate::span::FileId;
use crate::split::{self, Unit};
use crate::units::normal_unit;

/// Items with more tokens are compared entry by entry, so that the parser's working memory stays small. Counted in
/// tokens, because these are the same before and after.
const WHOLE_ITEM_TOKENS_MAX: usize = 8 * 1024;

/// True when both have the same pieces on the same lines and the same comments; blank lines do not count.
pub(super) fn same_lines(one: &[Line<'_>], other: &[Line<'_>]) -> bool {
    let full = |line: &&Line<'_>| !line.is_blank();
    one.iter().filter(full).eq(other.iter().filter(full))
}

/// True when the parser takes both for the same, item by item; units are compared in their normal spelling.
pub(super) fn same_tree(one: &str, other: &str) -> bool {
    let (one, other) = (parts(one), parts(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| same_part(one, other))
}

/// A text that is parsed by itself.
struct Part<'a> {
    rule: Rule,
    text: Cow<'a, str>,
}

fn same_part(one: &Part<'_>, other: &Part<'_>) -> bool {
    match (grammar::parse(one.rule, &one.text), grammar::parse(other.rule, &other.text)) {
        (Ok(one), Ok(other)) => nodes(one).eq(nodes(other)),
        _ => false,
    }
}

/// The items of a file, and of large ones the head and the entries.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut lexed = lexer::lex(FileId::default(), text);
    let units = split::items(FileId::default(), text, &mut lexed);
    let mut parts = Vec::with_capacity(units.len());
    for unit in &units {
        let tokens = unit.tokens(&lexed);
        let entries = (tokens.len() > WHOLE_ITEM_TOKENS_MAX).then(|| entries(text, &lexed, unit)).flatten();
        parts.extend(
            entries.unwrap_or_else(|| vec![Part { rule: Rule::chunk, text: written(text, tokens).into() }]),
        );
    }
    parts
}

fn entries<'a>(text: &'a str, lexed: &Lexed, unit: &Unit) -> Option<Vec<Part<'a>>> {
    let tokens = unit.tokens(lexed);
    let rule = recover::entry_rule(tokens.first()?.str(text))?;
    let is_brace = |token: &Token| token.kind == Kind::Open && token.str(text) == "{";
    let brace = tokens.iter().position(is_brace)?;
    let head = Part { rule: Rule::chunk, text: format!("{}}}", written(text, tokens.get(..=brace)?)).into() };
    let commas = rule != Rule::one_step;
    let entries = split::entries(text, &lexed.tokens, unit.first + brace + 1, unit.last, commas);
    let entries = entries.iter().map(|entry| Part { rule, text: written(text, entry.tokens(lexed)).into() });
    Some(std::iter::once(head).chain(entries).collect())
}

/// The text from the first to the last of some tokens.
fn written<'a>(text: &'a str, tokens: &[Token]) -> &'a str {
    let bounds = tokens.first().zip(tokens.last());
    bounds.and_then(|(first, last)| text.get(first.start as usize..last.end as usize)).unwrap_or("")
}

/// Every node in reading order, with the word that it is.
fn nodes(pairs: Pairs<'_, Rule>) -> impl Iterator<Item = (Rule, Option<Cow<'_, str>>)> {
    pairs.flatten().map(|node| {
        let (rule, text) = (node.as_rule(), node.as_str().trim());
        let word = node.into_inner().next().is_none() && !text.starts_with(['(', '[', '{']);
        let word = word.then(|| match rule {
            Rule::unit | Rule::per_unit => normal_unit(text, |_| false),
            _ => Cow::Borrowed(text),
        });
        (rule, word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines::read;
    use super::*;

    #[test]
    fn what_changes_the_meaning_is_seen() {
        let same = |one: &str, other: &str| {
            let lines = same_lines(&read(one), &read(other));
            (lines, same_tree(one, other))
        };
        assert_eq!(same("const a = 1/x\n", "\nconst  a=1/x"), (true, true));
        assert_eq!(same("const a = 5 °C", "const a = 5 degC"), (true, true));
        assert_eq!(same("const a = 1/x", "const a = 1 / x"), (false, false));
        assert!(!same("const a = b.c", "const a = b .c").1);
        assert_eq!(same("const a = b // c", "const a = b // d"), (false, true));
        assert_eq!(same("const a = (b\n+ c)", "const a = (b + c)"), (false, true));
        assert_eq!(same("const a = x", "const a = y"), (false, false));
        assert!(!same("flow f = a.b* -> c", "flow f = a.b * -> c").1);
    }

    #[test]
    fn large_items_are_compared_entry_by_entry() {
        let tags: String =
            (0..2_000).map(|n| format!("  tag t{n} at \"{n}\" : real kW, k{n} = [1, 2]\n")).collect();
        let text = format!("source s : d {{\n{tags}}}\n");
        assert_eq!(parts(&text).len(), 4_001);
        assert!(same_tree(&text, &text.replace(" kW", "  kW").replace(", 2", ",2")));
        assert!(!same_tree(&text, &text.replace("t1999 ", "t1998 ")));
        assert!(!same_tree(&text, &text.replace("source s", "source r")));
    }
}
