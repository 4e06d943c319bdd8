//! Operators: what may stand on both sides, and in which unit it is computed.

use gwp_core::Value;
use gwp_plan::{BinaryOp, Expr};
use gwp_syntax::ast::{self, BinaryOp as Written};
use gwp_syntax::{Diagnostic, Span};

use super::{Checker, Scope, as_json};
use crate::items::nearest;
use crate::types::{Labels, Number, Ty, Typed, describe_unit};
use crate::units::Unit;

/// Both operands of something, for messages.
pub(super) struct Operands<'m> {
    pub left: Span,
    pub right: Span,
    /// Where the message stands.
    pub span: Span,
    /// `cannot compare`, `cannot add`, ...
    pub what: &'m str,
    /// Which of the two is a number written without a unit, so that one can be put behind it.
    pub plain: [bool; 2],
}

/// True for a number written without a unit.
fn is_plain(expr: &ast::Expr) -> bool {
    matches!(&expr.kind, ast::ExprKind::Quantity(quantity) if quantity.unit.is_none())
}

impl Checker<'_, '_> {
    pub(super) fn binary(&mut self, binary: &ast::Binary, span: Span, scope: &Scope<'_>) -> Typed {
        let (left_at, right_at) = (binary.left.span, binary.right.span);
        let plain = [is_plain(&binary.left), is_plain(&binary.right)];
        match binary.op {
            Written::And | Written::Or => {
                let why = format!("`{}` joins conditions", binary.op);
                let left = self.condition(&binary.left, &why, scope);
                let right = self.condition(&binary.right, &why, scope);
                let op = if binary.op == Written::And { BinaryOp::And } else { BinaryOp::Or };
                let build = || Expr::Binary(op, Box::new(left.expr.clone()), Box::new(right.expr.clone()));
                Typed::new_if(&[&left, &right], build, Ty::Bool)
            }
            Written::Otherwise => {
                let left = self.expr(&binary.left, scope);
                let right = self.expr(&binary.right, scope);
                let what = "the value and what stands for it cannot be";
                let operands = Operands { left: left_at, right: right_at, span: right_at, what, plain };
                let Some((left, right)) = self.unified(left, right, &operands) else { return Typed::error() };
                let ty = left.ty.clone();
                Typed::new(Expr::Otherwise(Box::new(left.expr), Box::new(right.expr)), ty)
            }
            op => {
                let left = self.expr(&binary.left, scope);
                if self.label_without_quotes(&left, &binary.right, scope) {
                    return Typed::error();
                }
                let right = self.expr(&binary.right, scope);
                match arithmetic_op(op) {
                    Some(op) => self.arithmetic(op, left, right, (left_at, right_at), plain),
                    None => self.comparison(
                        comparison_op(op),
                        left,
                        right,
                        &Operands { left: left_at, right: right_at, span, what: "cannot compare", plain },
                    ),
                }
            }
        }
    }

    fn comparison(&mut self, op: BinaryOp, left: Typed, right: Typed, operands: &Operands<'_>) -> Typed {
        if left.is_error() || right.is_error() {
            return Typed::error();
        }
        let Some((left, right)) = self.labels(left, right, operands) else { return Typed::error() };
        let Some((left, right)) = self.unified(left, right, operands) else { return Typed::error() };
        let ordered = !matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        if ordered && left.ty == Ty::Bool {
            let fault = Diagnostic::new("E203", operands.span, "true and false have no order");
            return self.wrong(fault.help("use `and`, `or`, `not`, `==` or `!=`"));
        }
        Typed::new(Expr::Binary(op, Box::new(left.expr), Box::new(right.expr)), Ty::Bool)
    }

    /// Turns a label that is compared with an enum into its number. `None` if it is not one; that is reported.
    fn labels(&mut self, left: Typed, right: Typed, operands: &Operands<'_>) -> Option<(Typed, Typed)> {
        match (&left.ty, &right.ty) {
            (Ty::Enum(labels), Ty::Text) => {
                let labels = labels.clone();
                Some((left, self.label(right, &labels, operands.right)?))
            }
            (Ty::Text, Ty::Enum(labels)) => {
                let labels = labels.clone();
                Some((self.label(left, &labels, operands.left)?, right))
            }
            _ => Some((left, right)),
        }
    }

    /// `state == running`: a label is text.
    fn label_without_quotes(&mut self, left: &Typed, right: &ast::Expr, scope: &Scope<'_>) -> bool {
        let (Ty::Enum(labels), ast::ExprKind::Path(path)) = (&left.ty, &right.kind) else { return false };
        let name = &path.root.text;
        let is_label = path.rest.is_empty() && labels.iter().any(|(_, label)| **label == **name);
        if !is_label || !matches!(self.world.resolve(path, scope), super::resolve::Meaning::Unknown(_)) {
            return false;
        }
        let fault = Diagnostic::new("E212", right.span, format!("the label `{name}` needs quotes"));
        self.wrong(fault.help(format!("write \"{name}\"")).fix_here(format!("\"{name}\"")));
        true
    }

    fn label(&mut self, text: Typed, labels: &Labels, at: Span) -> Option<Typed> {
        let list = || labels.iter().map(|(_, label)| format!("\"{label}\"")).collect::<Vec<_>>().join(", ");
        let Some(Value::Text(written)) = text.constant() else {
            let fault = Diagnostic::new("E203", at, "an enum is compared with one of its labels");
            let fault = fault.here("this is text that changes");
            self.report.push(fault.help(format!("its labels are {}", list())));
            return None;
        };
        if let Some((raw, _)) = labels.iter().find(|(_, label)| label == written) {
            return Some(Typed::new(Expr::Const(Value::Int(*raw)), Ty::Enum(labels.clone())));
        }
        let fault = Diagnostic::new("E212", at, format!("there is no label \"{written}\""));
        self.report.push(match nearest(written, labels.iter().map(|(_, label)| &**label)) {
            Some(near) => fault.help(format!("did you mean \"{near}\"?")).fix_here(format!("\"{near}\"")),
            None => fault.help(format!("the labels are {}", list())),
        });
        None
    }

    pub(super) fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: Typed,
        right: Typed,
        (left_at, right_at): (Span, Span),
        plain: [bool; 2],
    ) -> Typed {
        let operands =
            Operands { left: left_at, right: right_at, span: left_at.to(right_at), what: verb(op), plain };
        if left.is_error() || right.is_error() {
            return Typed::error();
        }
        let (left, right) = both_json(left, right);
        match (&left.ty, &right.ty) {
            (Ty::Text, Ty::Text) if op == BinaryOp::Add => {
                Typed::new(Expr::Binary(op, Box::new(left.expr), Box::new(right.expr)), Ty::Text)
            }
            (Ty::Time, _) | (_, Ty::Time) => self.with_time(op, left, right, &operands),
            (Ty::Number(a), Ty::Number(b)) => {
                let (a, b) = (a.clone(), b.clone());
                match op {
                    BinaryOp::Mul | BinaryOp::Div => self.product(op, (left, a), (right, b), &operands),
                    _ => self.sum(op, left, right, &operands),
                }
            }
            _ => self.no_arithmetic(&left, &right, &operands),
        }
    }

    fn no_arithmetic(&mut self, left: &Typed, right: &Typed, operands: &Operands<'_>) -> Typed {
        let number = |typed: &Typed| typed.as_number().is_some();
        let (wrong, at) = if number(left) { (right, operands.right) } else { (left, operands.left) };
        let message = format!("{} {} and {}", operands.what, left.ty.describe(), right.ty.describe());
        let fault = Diagnostic::new("E203", at, message).here(format!("this is {}", wrong.ty.describe()));
        self.wrong(match &wrong.ty {
            Ty::Bool => fault.help("write `if x then 1 else 0`"),
            Ty::Text => fault.help("to join texts write an insert: `\"{a} and {b}\"`"),
            Ty::Enum(_) => fault.help("compare it with one of its labels"),
            _ => fault,
        })
    }

    /// time - time, time + duration.
    fn with_time(&mut self, op: BinaryOp, left: Typed, right: Typed, operands: &Operands<'_>) -> Typed {
        let second = Unit::second();
        let duration = |typed: &Typed| typed.as_number().is_some_and(|number| number.unit.dim == second.dim);
        let binary = |op, a: Expr, b: Expr| Expr::Binary(op, Box::new(a), Box::new(b));
        match (op, &left.ty, &right.ty) {
            (BinaryOp::Sub, Ty::Time, Ty::Time) => {
                Typed::new(binary(BinaryOp::Sub, left.expr, right.expr), Ty::number(true, second))
            }
            (BinaryOp::Add, Ty::Time, _) if duration(&right) => {
                let seconds = right.into_unit(&second).into_real().expr;
                Typed::new(binary(BinaryOp::TimeAdd, left.expr, seconds), Ty::Time)
            }
            (BinaryOp::Add, _, Ty::Time) if duration(&left) => {
                let seconds = left.into_unit(&second).into_real().expr;
                Typed::new(binary(BinaryOp::TimeAdd, right.expr, seconds), Ty::Time)
            }
            (BinaryOp::Sub, Ty::Time, _) if duration(&right) => {
                let seconds = right.into_unit(&second).into_real();
                let back = Typed::new(Expr::Neg(Box::new(seconds.expr)), seconds.ty);
                Typed::new(binary(BinaryOp::TimeAdd, left.expr, back.expr), Ty::Time)
            }
            _ => {
                let message = format!("{} {} and {}", operands.what, left.ty.describe(), right.ty.describe());
                let fault = Diagnostic::new("E204", operands.span, message);
                self.wrong(
                    fault.help("points in time are subtracted: `a.time - b.time`, or moved: `a.time + 5 s`"),
                )
            }
        }
    }

    fn product(
        &mut self,
        op: BinaryOp,
        left: (Typed, Number),
        right: (Typed, Number),
        operands: &Operands<'_>,
    ) -> Typed {
        let doing = if op == BinaryOp::Mul { "multiplied" } else { "divided" };
        for ((_, number), at) in [(&left, operands.left), (&right, operands.right)] {
            if number.unit.point {
                return self.wrong(point_fault(at, number, doing));
            }
        }
        let unit = match op {
            BinaryOp::Mul => left.1.unit.times(&right.1.unit),
            _ => left.1.unit.per(&right.1.unit),
        };
        let real = op == BinaryOp::Div || left.1.real || right.1.real;
        let (left, right) = if real { (left.0.into_real(), right.0.into_real()) } else { (left.0, right.0) };
        let result = Typed::new(
            Expr::Binary(op, Box::new(left.expr), Box::new(right.expr)),
            Ty::number(real, unit.clone()),
        );
        // a ratio such as MW/kW has no unit of its own: it is a plain number
        let ratio = unit.dim.is_none() && (unit.text.is_empty() || unit.text.contains(['*', '/']));
        if ratio { result.into_unit(&Unit::none()) } else { result }
    }

    /// `+`, `-` and `mod`.
    fn sum(&mut self, op: BinaryOp, left: Typed, right: Typed, operands: &Operands<'_>) -> Typed {
        let (Some(a), Some(b)) = (left.as_number().cloned(), right.as_number().cloned()) else {
            return Typed::error();
        };
        if a.unit.dim != b.unit.dim {
            return self.wrong(dimension_fault(&left, &right, operands));
        }
        let (unit, result) = match (op, a.unit.point, b.unit.point) {
            (_, false, false) => (common_unit(&left, &a, &right, &b), None),
            (BinaryOp::Sub, true, true) => (a.unit.clone(), Some(a.unit.difference())),
            (BinaryOp::Add | BinaryOp::Sub, true, false) => {
                let right = right.into_unit(&a.unit.difference());
                return finish(op, left, right, a.unit);
            }
            (BinaryOp::Add, false, true) => {
                let left = left.into_unit(&b.unit.difference());
                return finish(op, left, right, b.unit);
            }
            (_, point, _) => {
                let (number, at) = if point { (&a, operands.left) } else { (&b, operands.right) };
                return self.wrong(point_fault(at, number, "added to another"));
            }
        };
        let (left, right) = (left.into_unit(&unit), right.into_unit(&unit));
        finish(op, left, right, result.unwrap_or(unit))
    }

    /// Two values as one type and unit, for comparisons and branches.
    pub(super) fn unified(
        &mut self,
        left: Typed,
        right: Typed,
        operands: &Operands<'_>,
    ) -> Option<(Typed, Typed)> {
        let (left, right) = both_json(left, right);
        match (&left.ty, &right.ty) {
            (Ty::Error, _) | (_, Ty::Error) => None,
            (Ty::Number(a), Ty::Number(b)) => {
                if a.unit.dim != b.unit.dim {
                    self.report.push(dimension_fault(&left, &right, operands));
                    return None;
                }
                if a.unit.point != b.unit.point {
                    let (point, at) = if a.unit.point { (a, operands.left) } else { (b, operands.right) };
                    let message = format!("a point on the scale {} is not a difference", point.unit);
                    let fault =
                        Diagnostic::new("E204", operands.span, message).label(at, "a point on a scale");
                    self.report.push(fault.help(format!("give both in {}", point.unit)));
                    return None;
                }
                let unit = common_unit(&left, a, &right, b);
                let (left, right) = (left.into_unit(&unit), right.into_unit(&unit));
                let real = |typed: &Typed| typed.as_number().is_some_and(|number| number.real);
                if real(&left) || real(&right) {
                    return Some((left.into_real(), right.into_real()));
                }
                Some((left, right))
            }
            (Ty::Enum(a), Ty::Enum(b)) if a == b => Some((left, right)),
            (Ty::Bool, Ty::Bool) | (Ty::Text, Ty::Text) | (Ty::Time, Ty::Time) | (Ty::Json, Ty::Json) => {
                Some((left, right))
            }
            (a, b) => {
                let message = format!("{} {} with {}", operands.what, a.describe(), b.describe());
                let fault = Diagnostic::new("E203", operands.span, message)
                    .label(operands.left, a.describe())
                    .label(operands.right, b.describe());
                let labels = match (a, b) {
                    (Ty::Enum(labels), _) | (_, Ty::Enum(labels)) => labels.first().cloned(),
                    _ => None,
                };
                self.report.push(match labels {
                    Some((_, label)) => {
                        fault.help(format!("an enum is compared with a label such as \"{label}\""))
                    }
                    None => fault,
                });
                None
            }
        }
    }
}

/// Gives a part of a JSON text the type of the other side.
fn both_json(left: Typed, right: Typed) -> (Typed, Typed) {
    match (&left.ty, &right.ty) {
        (Ty::Json, Ty::Json) => (as_json(left, &Ty::plain(true)), as_json(right, &Ty::plain(true))),
        (Ty::Json, other) if *other != Ty::Error => (as_json(left, &right.ty), right),
        (other, Ty::Json) if *other != Ty::Error => {
            let right = as_json(right, &left.ty);
            (left, right)
        }
        _ => (left, right),
    }
}

/// The unit both sides are brought to: that of what is not constant, so that constants are converted once and for all.
fn common_unit(left: &Typed, a: &Number, right: &Typed, b: &Number) -> Unit {
    if left.constant().is_some() && right.constant().is_none() { b.unit.clone() } else { a.unit.clone() }
}

fn finish(op: BinaryOp, left: Typed, right: Typed, unit: Unit) -> Typed {
    let real = |typed: &Typed| typed.as_number().is_some_and(|number| number.real);
    let real = real(&left) || real(&right);
    let (left, right) = if real { (left.into_real(), right.into_real()) } else { (left, right) };
    Typed::new(Expr::Binary(op, Box::new(left.expr), Box::new(right.expr)), Ty::number(real, unit))
}

/// `cannot compare a power with a plain number`.
fn dimension_fault(left: &Typed, right: &Typed, operands: &Operands<'_>) -> Diagnostic {
    let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else {
        return Diagnostic::new("E202", operands.span, "these do not fit together");
    };
    let quantity = |number: &Number| crate::units::quantity_name(&number.unit.dim);
    let with = if operands.what.ends_with("compare") { "with" } else { "and" };
    let message = match (quantity(a), quantity(b)) {
        (x, y) if x == y => format!("{} {} {with} {}", operands.what, a.unit, b.unit),
        (x, y) => format!("{} {x} {with} {y}", operands.what),
    };
    let seen = |number: &Number| match number.unit.is_none() {
        true => "this has no unit".to_owned(),
        false => format!("this is {}", describe_unit(&number.unit)),
    };
    let fault = Diagnostic::new("E202", operands.span, message)
        .label(operands.left, seen(a))
        .label(operands.right, seen(b));
    let plain = |typed: &Typed, number: &Number| {
        number.unit.is_none().then(|| typed.constant().map(ToString::to_string))
    };
    let (value, unit, at, literal) = match (plain(left, a).flatten(), plain(right, b).flatten()) {
        (None, Some(value)) => (value, &a.unit, operands.right, operands.plain[1]),
        (Some(value), None) => (value, &b.unit, operands.left, operands.plain[0]),
        _ => return fault,
    };
    let fault = fault.help(format!("write `{value} {unit}`"));
    if literal { fault.fix(at.after(), format!(" {unit}")) } else { fault }
}

/// Points on a scale take no part in this operation.
pub(super) fn point_fault(at: Span, number: &Number, doing: &str) -> Diagnostic {
    let what = if number.unit.dim == Unit::second().dim { "a point in time" } else { "a temperature" };
    Diagnostic::new("E204", at, format!("{what} cannot be {doing}"))
        .here(format!("{} is a point on a scale", number.unit))
        .help(format!("subtract a reference first, such as `(x - 20 {})`", number.unit))
}

fn arithmetic_op(op: Written) -> Option<BinaryOp> {
    Some(match op {
        Written::Add => BinaryOp::Add,
        Written::Sub => BinaryOp::Sub,
        Written::Mul => BinaryOp::Mul,
        Written::Div => BinaryOp::Div,
        Written::Mod => BinaryOp::Mod,
        _ => return None,
    })
}

fn comparison_op(op: Written) -> BinaryOp {
    match op {
        Written::NotEqual => BinaryOp::Ne,
        Written::Less => BinaryOp::Lt,
        Written::LessEqual => BinaryOp::Le,
        Written::Greater => BinaryOp::Gt,
        Written::GreaterEqual => BinaryOp::Ge,
        _ => BinaryOp::Eq,
    }
}

fn verb(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "cannot add",
        BinaryOp::Sub => "cannot subtract",
        BinaryOp::Mul => "cannot multiply",
        BinaryOp::Div => "cannot divide",
        _ => "cannot take the remainder of",
    }
}
