//! Expressions: precedence through pest's Pratt parser, and the atoms below it.

use std::sync::LazyLock;

use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::{Kids, Node, Tree};
use crate::ast::{
    Arg, Binary, BinaryOp, Call, Expr, ExprKind, If, MemberPick, Members, Path, Quantity, Range, Text,
    TextPart, UnaryOp,
};
use crate::diagnostic::Diagnostic;
use crate::grammar::Rule;
use crate::limits::EXPRESSION_NODES_MAX;
use crate::span::Span;

/// Weakest first, as the reference says: a comparison binds looser than `+`, `not` looser than a comparison.
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    PrattParser::new()
        .op(Op::infix(Rule::W_otherwise, Assoc::Left))
        .op(Op::infix(Rule::W_or, Assoc::Left))
        .op(Op::infix(Rule::W_and, Assoc::Left))
        .op(Op::prefix(Rule::W_not))
        .op(Op::infix(Rule::cmp, Assoc::Left))
        .op(Op::infix(Rule::add, Assoc::Left) | Op::infix(Rule::sub, Assoc::Left))
        .op(Op::infix(Rule::mul, Assoc::Left)
            | Op::infix(Rule::div, Assoc::Left)
            | Op::infix(Rule::W_mod, Assoc::Left))
        .op(Op::prefix(Rule::neg))
});

impl Tree<'_> {
    /// A whole expression; its size is bounded from here on.
    pub(super) fn expr(&mut self, node: Node<'_>) -> Option<Expr> {
        self.nodes = 0;
        self.inner_expr(node)
    }

    fn inner_expr(&mut self, node: Node<'_>) -> Option<Expr> {
        let span = self.exact(&node);
        let pairs = node.into_inner();
        self.nodes += pairs.clone().count();
        if self.nodes > EXPRESSION_NODES_MAX {
            let message = format!("this expression has more than {EXPRESSION_NODES_MAX} parts");
            self.faults.push(
                Diagnostic::new("E022", span, message)
                    .help("take a part of it out into a calc of its own, or use `sum_of` over devices"),
            );
            return None;
        }
        let (file, base, length) = (self.file, self.base, self.length);
        let place = Tree::new(file, base, length, &[]);
        PRECEDENCE
            .map_primary(|atom| self.atom(atom))
            .map_prefix(|op, operand| {
                let operand: Expr = operand?;
                let unary = if op.as_rule() == Rule::neg { UnaryOp::Neg } else { UnaryOp::Not };
                let span = place.exact(&op).to(operand.span);
                Some(Expr { kind: ExprKind::Unary(unary, Box::new(operand)), span })
            })
            .map_infix(|left, op, right| {
                let (left, right): (Expr, Expr) = (left?, right?);
                let span = left.span.to(right.span);
                let binary = Binary { op: binary_op(&op)?, op_span: place.exact(&op), left, right };
                Some(Expr { kind: ExprKind::Binary(Box::new(binary)), span })
            })
            .parse(pairs)
    }

    fn atom(&mut self, node: Node<'_>) -> Option<Expr> {
        let span = self.exact(&node);
        let written = node.as_str();
        let kind = match node.as_rule() {
            Rule::quantity => ExprKind::Quantity(self.quantity(node)?),
            Rule::string => ExprKind::Text(self.inner_text(node)?),
            Rule::instant => ExprKind::Instant(written.to_owned()),
            Rule::clock => ExprKind::Clock(written.to_owned()),
            Rule::path => ExprKind::Path(self.path(node)?),
            Rule::call => ExprKind::Call(self.call(node)?),
            Rule::group => ExprKind::Group(Box::new(self.inner_expr(Kids::of(node).one(Rule::expr)?)?)),
            Rule::choose => {
                let choice = self.choose(node)?;
                let span = Span { end: choice.or_else.span.end, ..span };
                return Some(Expr { kind: ExprKind::If(Box::new(choice)), span });
            }
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    fn choose(&mut self, node: Node<'_>) -> Option<If> {
        let mut kids = Kids::of(node);
        let condition = self.inner_expr(kids.one(Rule::expr)?)?;
        let then = self.inner_expr(kids.one(Rule::expr)?)?;
        let or_else = self.inner_expr(kids.one(Rule::expr)?)?;
        Some(If { condition, then, or_else })
    }

    fn quantity(&mut self, node: Node<'_>) -> Option<Quantity> {
        let mut kids = Kids::of(node);
        let number = kids.one(Rule::number)?.as_str().to_owned();
        let unit = kids.any(&[Rule::unit, Rule::per_unit]).map(|unit| self.unit(&unit));
        Some(Quantity { number, unit })
    }

    pub(super) fn text(&mut self, node: Node<'_>) -> Option<Text> {
        self.nodes = 0;
        self.inner_text(node)
    }

    fn inner_text(&mut self, node: Node<'_>) -> Option<Text> {
        let span = self.exact(&node);
        let mut parts = Vec::new();
        let mut literal = String::new();
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::chars => literal.push_str(part.as_str()),
                Rule::escape => literal.push_str(unescape(part.as_str())),
                _ => {
                    if !literal.is_empty() {
                        parts.push(TextPart::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(TextPart::Insert(self.inner_expr(Kids::of(part).one(Rule::expr)?)?));
                }
            }
        }
        if !literal.is_empty() {
            parts.push(TextPart::Literal(literal));
        }
        Some(Text { parts, span })
    }

    pub(super) fn path(&mut self, node: Node<'_>) -> Option<Path> {
        let span = self.exact(&node);
        let mut kids = Kids::of(node);
        let root = self.name(&kids.name()?);
        let members = match kids.one(Rule::members) {
            Some(members) => Some(self.members(members)?),
            None => None,
        };
        let rest = std::iter::from_fn(|| kids.name()).map(|name| self.name(&name)).collect();
        Some(Path { root, members, rest, span })
    }

    pub(super) fn members(&mut self, node: Node<'_>) -> Option<Members> {
        let span = self.exact(&node);
        let mut kids = Kids::of(node);
        let pick = match kids.one(Rule::digits) {
            None => MemberPick::All,
            Some(first) => match kids.one(Rule::digits) {
                None => MemberPick::One(self.digits(&first)),
                Some(last) => MemberPick::Range(self.digits(&first), self.digits(&last)),
            },
        };
        Some(Members { pick, span })
    }

    /// A call; the caller has set the bound of its size.
    pub(super) fn call(&mut self, node: Node<'_>) -> Option<Call> {
        let span = self.exact(&node);
        let mut kids = Kids::of(node);
        let name = self.name(&kids.name()?);
        let args = self.args(kids.one(Rule::args)?)?;
        Some(Call { name, args, span })
    }

    pub(super) fn args(&mut self, node: Node<'_>) -> Option<Vec<Arg>> {
        node.into_inner()
            .map(|arg| {
                let mut kids = Kids::of(arg);
                let key = kids.one(Rule::key).map(|key| self.name(&key));
                Some(Arg { key, value: self.inner_expr(kids.one(Rule::expr)?)? })
            })
            .collect()
    }

    /// A call or a list of arguments that is not part of a larger expression.
    pub(super) fn whole<T>(&mut self, build: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.nodes = 0;
        build(self)
    }

    pub(super) fn range(&mut self, node: Node<'_>) -> Option<Range> {
        let mut kids = Kids::of(node);
        let low = self.expr(kids.one(Rule::expr)?)?;
        let high = kids.one(Rule::expr).map(|node| self.expr(node));
        let to_low = kids.one(Rule::expr).map(|node| self.expr(node));
        let to_high = kids.one(Rule::expr).map(|node| self.expr(node));
        let to = match (to_low, to_high) {
            (Some(low), Some(high)) => Some(Box::new((low?, high?))),
            _ => None,
        };
        let high = match high {
            Some(high) => Some(high?),
            None => None,
        };
        let last = to.as_ref().map(|ends| ends.1.span).or(high.as_ref().map(|high| high.span));
        let span = low.span.to(last.unwrap_or(low.span));
        Some(Range { low, high, to, span })
    }
}

fn unescape(written: &str) -> &str {
    match written {
        "{{" => "{",
        "}}" => "}",
        "\\n" => "\n",
        "\\t" => "\t",
        other => other.strip_prefix('\\').unwrap_or(other),
    }
}

fn binary_op(node: &Node<'_>) -> Option<BinaryOp> {
    Some(match (node.as_rule(), node.as_str()) {
        (Rule::W_otherwise, _) => BinaryOp::Otherwise,
        (Rule::W_or, _) => BinaryOp::Or,
        (Rule::W_and, _) => BinaryOp::And,
        (Rule::W_mod, _) => BinaryOp::Mod,
        (Rule::add, _) => BinaryOp::Add,
        (Rule::sub, _) => BinaryOp::Sub,
        (Rule::mul, _) => BinaryOp::Mul,
        (Rule::div, _) => BinaryOp::Div,
        (_, "==") => BinaryOp::Equal,
        (_, "!=") => BinaryOp::NotEqual,
        (_, "<") => BinaryOp::Less,
        (_, "<=") => BinaryOp::LessEqual,
        (_, ">") => BinaryOp::Greater,
        (_, ">=") => BinaryOp::GreaterEqual,
        _ => return None,
    })
}
