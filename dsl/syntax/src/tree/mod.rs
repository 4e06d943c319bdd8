//! From pairs of the generated parser to the typed tree.
//!
//! Every function takes one pair of the rule it is named after. `None` means that the pair cannot become a node;
//! the reason is then in `faults` (or, if grammar and this module ever disagree, the caller reports that).

mod exprs;
mod flows;
mod items;

pub(crate) use flows::TestEntry;
pub(crate) use items::Entry;

use std::iter::Peekable;

use pest::iterators::{Pair as PestPair, Pairs};

use crate::ast::{Digits, Name, UnitText};
use crate::diagnostic::Diagnostic;
use crate::grammar::Rule;
use crate::lexer::{Kind, Token};
use crate::span::{FileId, Span};

pub(crate) type Node<'i> = PestPair<'i, Rule>;

/// Builds the nodes of one parsed piece of a file.
pub(crate) struct Tree<'a> {
    file: FileId,
    /// Where the parsed piece starts in the file.
    base: usize,
    /// Length of the file; closing brackets added for recovery lie beyond it.
    length: usize,
    /// Tokens of the whole file, to end a node at its last token instead of at the blanks and comments after it.
    tokens: &'a [Token],
    /// Nodes of the expression being built.
    nodes: usize,
    pub(crate) faults: Vec<Diagnostic>,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(file: FileId, base: usize, length: usize, tokens: &'a [Token]) -> Self {
        Tree { file, base, length, tokens, nodes: 0, faults: Vec::new() }
    }

    /// The place of a pair that ends with its last token.
    fn exact(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        let end = (self.base + span.end()).min(self.length);
        Span::new(self.file, (self.base + span.start()).min(end), end)
    }

    /// The place of a pair, without blanks and comments that the parser took in behind it.
    fn span(&self, node: &Node<'_>) -> Span {
        let exact = self.exact(node);
        let after = self.tokens.partition_point(|token| token.start < exact.end);
        let before = self.tokens.get(..after).unwrap_or(&[]);
        let last = before.iter().rev().find(|token| token.kind != Kind::Newline);
        match last {
            Some(token) if token.start >= exact.start && token.end <= exact.end => {
                Span { end: token.end, ..exact }
            }
            _ => {
                let blanks = node.as_str().len() - node.as_str().trim_end().len();
                Span {
                    end: exact.end.saturating_sub(u32::try_from(blanks).unwrap_or(0)).max(exact.start),
                    ..exact
                }
            }
        }
    }

    fn name(&self, node: &Node<'_>) -> Name {
        let quoted = node.as_rule() == Rule::quoted;
        let text = node.as_str();
        let text = if quoted { text.trim_matches('\'') } else { text };
        Name { text: text.to_owned(), span: self.exact(node), quoted }
    }

    fn digits(&self, node: &Node<'_>) -> Digits {
        Digits { text: node.as_str().to_owned(), span: self.exact(node) }
    }

    fn unit(&self, node: &Node<'_>) -> UnitText {
        UnitText { text: node.as_str().to_owned(), span: self.exact(node) }
    }
}

/// The children of a pair, read in order; signs and keywords between them are passed over.
struct Kids<'i>(Peekable<Pairs<'i, Rule>>);

impl<'i> Kids<'i> {
    fn of(node: Node<'i>) -> Self {
        Kids(node.into_inner().peekable())
    }

    /// The next child if it is of that rule.
    fn one(&mut self, rule: Rule) -> Option<Node<'i>> {
        self.any(&[rule])
    }

    /// The next child if it is of one of those rules.
    fn any(&mut self, rules: &[Rule]) -> Option<Node<'i>> {
        while self.0.peek().is_some_and(|next| is_mark(next.as_rule()) && !rules.contains(&next.as_rule())) {
            self.0.next();
        }
        self.0.next_if(|next| rules.contains(&next.as_rule()))
    }

    fn name(&mut self) -> Option<Node<'i>> {
        self.any(&[Rule::ident, Rule::quoted])
    }

    /// The next child whatever it is, but for signs and keywords.
    fn next(&mut self) -> Option<Node<'i>> {
        while self.0.peek().is_some_and(|next| is_mark(next.as_rule())) {
            self.0.next();
        }
        self.0.next()
    }
}

fn is_mark(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        eq | colon
            | arrow
            | EOI
            | K_gwp
            | K_use
            | K_gateway
            | K_const
            | K_unit
            | K_template
            | K_source
            | K_device
            | K_sink
            | K_flow
            | K_write
            | K_moved
            | K_test
            | K_tag
            | K_calc
            | K_alarm
            | W_on
            | W_at
            | W_to
            | W_from
            | W_when
            | W_for
            | W_every
            | W_while
            | W_where
            | W_split
            | W_if
            | W_then
            | W_else
            | W_except
            | W_per
            | W_expect
            | W_no
    )
}
