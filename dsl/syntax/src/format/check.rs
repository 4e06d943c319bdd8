//! Whether two texts are the same program: the proof that is asked of every formatted text.

use pest::iterators::Pairs;

use super::lines::Line;
use crate::grammar::{self, Rule};
use crate::lexer;
use crate::span::FileId;
use crate::split;
use crate::units::normal_unit;

/// True when both have the same pieces on the same lines and the same comments; blank lines do not count.
pub(super) fn same_lines(one: &[Line<'_>], other: &[Line<'_>]) -> bool {
    let full = |line: &&Line<'_>| !line.is_blank();
    one.iter().filter(full).eq(other.iter().filter(full))
}

/// True when the parser takes both for the same, item by item; units are compared in their normal spelling.
pub(super) fn same_tree(one: &str, other: &str) -> bool {
    let (one, other) = (items(one), items(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| {
            let parsed = (grammar::parse(Rule::chunk, one), grammar::parse(Rule::chunk, other));
            let (Ok(one), Ok(other)) = parsed else { return false };
            nodes(one).eq(nodes(other))
        })
}

/// The texts of the items of a file.
fn items(text: &str) -> Vec<&str> {
    let mut lexed = lexer::lex(FileId::default(), text);
    let units = split::items(FileId::default(), text, &mut lexed);
    let bounds = units.iter().map(|unit| match unit.tokens(&lexed) {
        [first, .., last] => text.get(first.start as usize..last.end as usize).unwrap_or(""),
        [only] => only.str(text),
        [] => "",
    });
    bounds.collect()
}

/// Every node in reading order, with the words that stand in it.
fn nodes(pairs: Pairs<'_, Rule>) -> impl Iterator<Item = (Rule, Option<String>)> {
    pairs.flatten().map(|node| {
        let rule = node.as_rule();
        let text = node.as_str().trim();
        let word = node.clone().into_inner().next().is_none() && !text.starts_with(['(', '[', '{']);
        let text = match rule {
            Rule::unit | Rule::per_unit => normal_unit(text, |_| false).into_owned(),
            _ => text.to_owned(),
        };
        (rule, word.then_some(text))
    })
}
