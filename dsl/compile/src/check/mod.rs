//! Expressions: names become tags and constants, units become factors, and every operand is checked.
//!
//! A part that is wrong is reported where it stands and then has the type [`Ty::Error`], which silences everything
//! that would follow from it.

pub(crate) mod call;
pub(crate) mod fold;
mod habits;
mod operators;
pub(crate) mod resolve;
pub(crate) mod state;
mod units;

use std::collections::HashSet;
use std::sync::Arc;

use gwp_core::{TagId, Timestamp, Value};
use gwp_plan::{Aggregate, BinaryOp, Expr, Function, Operator, Word};
use gwp_syntax::ast::{self, ExprKind, TextPart, UnaryOp};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::limits::EXPRESSIONS_NODES_MAX;
use crate::types::{Labels, Number, Ty, Typed};
use crate::world::World;
use resolve::{Meaning, SampleWord};

/// Names of all functions: plain ones, those that remember, aggregates.
#[cfg(test)]
pub(crate) fn functions() -> (&'static [&'static str], &'static [&'static str], &'static [&'static str]) {
    (call::FUNCTIONS, state::STATEFUL, fold::AGGREGATES)
}

/// Where an expression stands: which names it sees.
#[derive(Clone, Default)]
pub(crate) struct Scope<'s> {
    /// The device whose members and parameters are siblings.
    pub device: Option<usize>,
    /// The head of the flow, for stages.
    pub head: Option<&'s Head>,
    /// Only constants are allowed: a setting, an attribute, an argument of a template.
    pub constant: bool,
    /// Inside `sum_of(meter[*]...)`: the device that stands for the family at the moment.
    pub pick: Option<Pick<'s>>,
    pub place: Place<'s>,
    /// In the message of an alarm: its name.
    pub alarm: Option<&'s str>,
}

/// What may be folded, remembered and read where an expression stands.
#[derive(Clone, Copy, Default)]
pub(crate) enum Place<'s> {
    /// Values of one moment: a stage, a setting.
    #[default]
    Plain,
    /// A calc or alarm, which may remember.
    State,
    /// Where a window takes samples: its condition, the argument of an aggregate. It may remember.
    Input(&'s WindowScope<'s>),
    /// A column of a window, which may fold, and read columns above.
    Column(&'s WindowScope<'s>),
    /// A condition on rows with these columns.
    Row(&'s [RowColumn]),
    /// The address of a write's commands, which names the target: its tag is this.
    Address(&'s str),
}

/// What columns of a window see besides tags.
pub(crate) struct WindowScope<'s> {
    /// Device of its rows.
    pub device: Arc<str>,
    /// One window for each device.
    pub by_device: bool,
    /// Columns above.
    pub columns: &'s [RowColumn],
}

/// A column of rows.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RowColumn {
    pub name: Arc<str>,
    pub ty: Ty,
}

/// What a stage of a flow knows of the samples that pass it.
pub(crate) struct Head {
    /// Devices whose members are siblings.
    pub devices: Vec<usize>,
    /// Type of `value`; or why it has none.
    pub value: Result<Ty, String>,
}

/// One device of a family.
#[derive(Clone, Copy)]
pub(crate) struct Pick<'s> {
    pub family: &'s str,
    pub device: usize,
}

impl Scope<'_> {
    /// Constants only, with nothing else around.
    pub(crate) fn constant() -> Scope<'static> {
        Scope { constant: true, ..Scope::default() }
    }
}

/// Lowers expressions of one project.
pub(crate) struct Checker<'w, 'a> {
    pub world: &'w World<'a>,
    pub report: &'w mut Diagnostics,
    /// Nodes lowered so far, over all expressions.
    pub nodes: usize,
    /// State functions of the calc, alarm or window that is being lowered.
    pub operators: Vec<Operator>,
    /// Local that reads the first of them.
    pub operator_base: u32,
    /// State functions so far, over all expressions.
    pub operators_made: usize,
    /// Aggregates of the window that is being lowered.
    pub aggregates: Vec<Aggregate>,
    /// Calcs that are computed after the one being lowered, or are it, as far as it reads their previous value.
    pub later: HashSet<TagId>,
}

impl<'w, 'a> Checker<'w, 'a> {
    pub(crate) fn new(world: &'w World<'a>, report: &'w mut Diagnostics) -> Self {
        Checker {
            world,
            report,
            nodes: 0,
            operators: Vec::new(),
            operator_base: 0,
            operators_made: 0,
            aggregates: Vec::new(),
            later: HashSet::new(),
        }
    }

    /// Reports and gives the error type.
    fn wrong(&mut self, diagnostic: Diagnostic) -> Typed {
        self.report.push(diagnostic);
        Typed::error()
    }

    /// Checks and lowers an expression.
    pub(crate) fn expr(&mut self, expr: &ast::Expr, scope: &Scope<'_>) -> Typed {
        if let Err(fault) = self.world.unfolded.node(expr.span) {
            self.report.extend(fault);
            return Typed::error();
        }
        self.nodes += 1;
        if self.nodes > EXPRESSIONS_NODES_MAX + 1 {
            return Typed::error();
        }
        if self.nodes > EXPRESSIONS_NODES_MAX {
            let message = format!("all expressions together have more than {EXPRESSIONS_NODES_MAX} parts");
            return self.wrong(Diagnostic::new("E199", expr.span, message).help("split the project"));
        }
        match &expr.kind {
            ExprKind::Quantity(quantity) => self.quantity(quantity, expr.span, scope),
            ExprKind::Text(text) => self.text(text, scope),
            ExprKind::Instant(written) => self.instant(written, expr.span),
            ExprKind::Clock(_) => {
                let fault = Diagnostic::new("E207", expr.span, "a time of day has no value of its own");
                self.wrong(fault.help("to ask for a time of day write `within(\"06:00-22:00\")`"))
            }
            ExprKind::Path(path) => self.path(path, scope),
            ExprKind::Call(call) => self.call(call, expr.span, scope),
            ExprKind::Group(inner) => self.expr(inner, scope),
            ExprKind::Unary(UnaryOp::Neg, operand) => self.negate(operand, scope),
            ExprKind::Unary(UnaryOp::Not, operand) => {
                let inner = self.condition(operand, "`not` turns a condition round", scope);
                Typed::new_if(&[&inner], || Expr::Not(Box::new(inner.expr.clone())), Ty::Bool)
            }
            ExprKind::Binary(binary) => self.binary(binary, expr.span, scope),
            ExprKind::If(choice) => self.choice(choice, scope),
        }
    }

    /// An expression that must be true or false; `why` says what needs it.
    pub(crate) fn condition(&mut self, expr: &ast::Expr, why: &str, scope: &Scope<'_>) -> Typed {
        let typed = self.expr(expr, scope);
        match &typed.ty {
            Ty::Bool => typed,
            Ty::Error => Typed::error(),
            Ty::Json => as_json(typed, &Ty::Bool),
            ty => {
                let what = ty.describe();
                let fault = Diagnostic::new("E205", expr.span, why).here(format!("this is {what}"));
                let fault = match ty {
                    Ty::Number(number) => {
                        let unit =
                            if number.unit.is_none() { String::new() } else { format!(" {}", number.unit) };
                        fault.help(format!("for example `{expr} > 400{unit}`"))
                    }
                    Ty::Enum(labels) => match labels.first() {
                        Some((_, label)) => fault.help(format!("for example `{expr} == \"{label}\"`")),
                        None => fault,
                    },
                    Ty::Text => fault.help(format!("for example `{expr} == \"running\"`")),
                    _ => fault,
                };
                self.wrong(fault)
            }
        }
    }

    fn path(&mut self, path: &ast::Path, scope: &Scope<'_>) -> Typed {
        let meaning = self.world.resolve(path, scope);
        let reads_tag = matches!(meaning, Meaning::Tag(_) | Meaning::QualityOf(_) | Meaning::TimeOf(_));
        if scope.constant && reads_tag {
            let fault = Diagnostic::new("E210", path.span, "a fixed value is needed here")
                .here("this changes at run time");
            return self.wrong(fault.help("use a number, a constant or a parameter"));
        }
        match meaning {
            Meaning::Value(value) => value,
            Meaning::Column(name) => self.column_in_fold(&name, path.span),
            Meaning::Tag(tag) => self.tag(tag),
            Meaning::QualityOf(tag) => {
                let inner = self.tag(tag);
                Typed::new_if(&[&inner], || Expr::Quality(Box::new(inner.expr.clone())), quality_type())
            }
            Meaning::TimeOf(tag) => Typed::new(Expr::TimeOf(tag), Ty::Time),
            Meaning::Word(word) => self.word(word, path.span, scope),
            Meaning::Silent => Typed::error(),
            Meaning::Unknown(diagnostic) => self.wrong(*diagnostic),
        }
    }

    fn tag(&self, tag: TagId) -> Typed {
        match self.world.tag(tag) {
            Some(found) if found.ty != Ty::Error => {
                Typed::new(Expr::Tag(tag, found.ty.plan_type()), found.ty.clone())
            }
            _ => Typed::error(),
        }
    }

    fn word(&mut self, word: SampleWord, span: Span, scope: &Scope<'_>) -> Typed {
        let text = |word| Typed::new(Expr::Word(word), Ty::Text);
        match (word, scope.head) {
            (SampleWord::Value, Some(head)) => match &head.value {
                Ok(ty) if *ty == Ty::Error => Typed::error(),
                Ok(ty) => Typed::new(Expr::Word(Word::Value(ty.plan_type())), ty.clone()),
                Err(why) => {
                    let fault =
                        Diagnostic::new("E202", span, "`value` has no common unit here").here(why.clone());
                    self.wrong(fault.help("make one flow for each unit"))
                }
            },
            (SampleWord::Quality, _) => Typed::new(Expr::Word(Word::Quality), quality_type()),
            (SampleWord::Time, _) => Typed::new(Expr::Word(Word::Time), Ty::Time),
            (SampleWord::Path, _) => text(Word::Path),
            (SampleWord::Device, _) => text(Word::Device),
            (SampleWord::Tag, _) => text(Word::Tag),
            (SampleWord::Flow, _) => text(Word::Flow),
            (SampleWord::Index, _) => Typed::new(Expr::Word(Word::Index), Ty::plain(false)),
            (SampleWord::Value, None) => Typed::error(),
        }
    }

    /// A text; inserts are joined to it.
    fn text(&mut self, text: &ast::Text, scope: &Scope<'_>) -> Typed {
        let literals = text.parts.iter().map(|part| match part {
            TextPart::Literal(literal) => literal.len(),
            TextPart::Insert(_) => 0,
        });
        if let Err(fault) = self.world.unfolded.text(literals.sum(), text.span) {
            self.report.extend(fault);
            return Typed::error();
        }
        if let Some(literal) = text.literal() {
            return Typed::text(&literal);
        }
        let mut parts = Vec::new();
        let mut failed = false;
        for (at, part) in text.parts.iter().enumerate() {
            match part {
                TextPart::Literal(literal) => parts.push(Typed::text(literal).expr),
                TextPart::Insert(insert) => {
                    let typed = self.expr(insert, scope);
                    failed |= typed.is_error();
                    let behind = match text.parts.get(at + 1) {
                        Some(TextPart::Literal(literal)) => literal,
                        _ => "",
                    };
                    match typed.as_number().cloned() {
                        Some(number) if scope.alarm.is_some() => {
                            parts.extend(told(typed, &number, behind));
                        }
                        _ => parts.push(shown(typed)),
                    }
                }
            }
        }
        if failed { Typed::error() } else { Typed::new(Expr::Call(Function::Join, parts), Ty::Text) }
    }

    fn instant(&mut self, written: &str, span: Span) -> Typed {
        // minutes are enough in a program, a time stamp of RFC 3339 needs seconds and a zone
        let parsed = [written.to_owned(), format!("{written}Z"), complete(written)];
        let found = parsed.iter().find_map(|text| text.parse::<jiff::Timestamp>().ok());
        match found.and_then(|time| i64::try_from(time.as_nanosecond()).ok()) {
            Some(ns) => Typed::new(Expr::Const(Value::Time(Timestamp(ns))), Ty::Time),
            None => {
                let fault = Diagnostic::new("E208", span, format!("`{written}` is not a point in time"));
                self.wrong(fault.help("write it like `2025-06-01T00:00Z`"))
            }
        }
    }

    fn negate(&mut self, operand: &ast::Expr, scope: &Scope<'_>) -> Typed {
        let inner = self.expr(operand, scope);
        match &inner.ty {
            Ty::Error => Typed::error(),
            Ty::Number(number) if number.unit.point && inner.constant().is_none() => {
                self.wrong(operators::point_fault(operand.span, number, "negated"))
            }
            Ty::Number(_) => {
                let ty = inner.ty.clone();
                Typed::new(Expr::Neg(Box::new(inner.expr)), ty)
            }
            ty => {
                let fault = Diagnostic::new("E203", operand.span, "`-` needs a number");
                self.wrong(fault.here(format!("this is {}", ty.describe())))
            }
        }
    }

    fn choice(&mut self, choice: &ast::If, scope: &Scope<'_>) -> Typed {
        let condition = self.condition(&choice.condition, "`if` needs a condition", scope);
        let then = self.expr(&choice.then, scope);
        let or_else = self.expr(&choice.or_else, scope);
        let operands = operators::Operands {
            left: choice.then.span,
            right: choice.or_else.span,
            span: choice.or_else.span,
            what: "the branches of `if` cannot be",
            plain: [false; 2],
        };
        let Some((then, or_else)) = self.unified(then, or_else, &operands) else { return Typed::error() };
        let ty = then.ty.clone();
        let parts = [&condition, &then, &or_else];
        let build = || {
            Expr::If(
                Box::new(condition.expr.clone()),
                Box::new(then.expr.clone()),
                Box::new(or_else.expr.clone()),
            )
        };
        Typed::new_if(&parts, build, ty)
    }
}

/// Adds what a time stamp of RFC 3339 may not leave out: seconds and a zone.
fn complete(written: &str) -> String {
    let (date, clock) = written.split_once('T').unwrap_or((written, "00:00"));
    let (clock, zone) = match clock.find(['Z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, "Z"),
    };
    let seconds = if clock.matches(':').count() == 1 { ":00" } else { "" };
    format!("{date}T{clock}{seconds}{zone}")
}

/// `x.quality`: compared with "good", "uncertain" and "bad".
fn quality_type() -> Ty {
    let labels: Labels = [(0, "good".into()), (1, "uncertain".into()), (2, "bad".into())].into();
    Ty::Enum(labels)
}

/// Most labels of an enum that are shown as words in a text; others are shown as numbers.
const SHOWN_LABELS_MAX: usize = 64;

/// A number in a message, for people: with its unit, unless that stands `behind` it.
fn told(typed: Typed, number: &Number, behind: &str) -> Vec<Expr> {
    let value = match number.real {
        true => Expr::Call(Function::SixDigits, vec![typed.expr]),
        false => Expr::ToText(Box::new(typed.expr)),
    };
    let (value, unit) = (Typed::new(value, Ty::Text).expr, &number.unit.text);
    match unit.is_empty() || behind.trim_start().starts_with(&**unit) {
        true => vec![value],
        false => vec![value, Typed::text(&format!(" {unit}")).expr],
    }
}

/// A value as text for people; an enum by its label.
fn shown(typed: Typed) -> Expr {
    let number = || Expr::ToText(Box::new(typed.expr.clone()));
    match &typed.ty {
        Ty::Text => typed.expr,
        Ty::Json => as_json(typed, &Ty::Text).expr,
        Ty::Enum(labels) if labels.len() <= SHOWN_LABELS_MAX => {
            labels.iter().rev().fold(number(), |rest, (raw, label)| {
                let is_it = Expr::Binary(
                    BinaryOp::Eq,
                    Box::new(typed.expr.clone()),
                    Box::new(Expr::Const(Value::Int(*raw))),
                );
                Expr::If(Box::new(is_it), Box::new(Expr::Const(Value::Text(label.clone()))), Box::new(rest))
            })
        }
        _ => Typed::new(number(), Ty::Text).expr,
    }
}

/// A part of a JSON text, read as the type its place needs.
pub(crate) fn as_json(typed: Typed, wanted: &Ty) -> Typed {
    let Expr::Call(Function::JsonNumber(pointer), args) = typed.expr else { return Typed::error() };
    let function = match wanted {
        Ty::Bool => Function::JsonBool(pointer),
        Ty::Text | Ty::Enum(_) => Function::JsonText(pointer),
        _ => Function::JsonNumber(pointer),
    };
    let ty = match wanted {
        Ty::Bool => Ty::Bool,
        Ty::Text | Ty::Enum(_) => Ty::Text,
        Ty::Number(number) => Ty::number(true, number.unit.clone()),
        _ => Ty::plain(true),
    };
    Typed::new(Expr::Call(function, args), ty)
}

impl Typed {
    pub(crate) fn int(value: i64) -> Typed {
        Typed::new(Expr::Const(Value::Int(value)), Ty::plain(false))
    }

    pub(crate) fn bool(value: bool) -> Typed {
        Typed::new(Expr::Const(Value::Bool(value)), Ty::Bool)
    }

    pub(crate) fn text(value: &str) -> Typed {
        Typed::new(Expr::Const(Value::Text(value.into())), Ty::Text)
    }

    /// Builds an expression unless one of its parts is in error.
    fn new_if(parts: &[&Typed], build: impl FnOnce() -> Expr, ty: Ty) -> Typed {
        if parts.iter().any(|part| part.is_error()) { Typed::error() } else { Typed::new(build(), ty) }
    }
}
