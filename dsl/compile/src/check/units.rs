//! Numbers with units, and values in the unit that a declaration wants.

use gwp_core::Value;
use gwp_plan::{BinaryOp, Expr};
use gwp_syntax::ast::{self, Name, Path, Quantity, UnitText};
use gwp_syntax::{Diagnostic, Span};

use super::resolve::Meaning;
use super::{Checker, Scope, as_json};
use crate::types::{Number, Ty, Typed, describe_unit};
use crate::units::Unit;

impl Checker<'_, '_> {
    /// A unit as written; reports an unknown one.
    pub(crate) fn unit(&mut self, written: &UnitText) -> Option<Unit> {
        let found = self.world.units.find(&written.text);
        match &found {
            Some(unit) => self.no_temperature(&written.text, unit, written.span),
            None => self.unknown_unit(&written.text, written.span),
        }
        found
    }

    /// `C` and `F` are no temperatures, but often meant as such.
    fn no_temperature(&mut self, text: &str, unit: &Unit, span: Span) {
        let (quantity, degree) = match text {
            "C" => ("coulomb", "degC"),
            "F" => ("farad", "degF"),
            _ => return,
        };
        // A project may have a unit of its own of that name.
        if matches!(crate::units::quantity_name(&unit.dim), "a charge" | "a capacity") {
            let message = format!("`{text}` is {quantity}; a temperature is written `{degree}`");
            let fault = Diagnostic::new("W606", span, message);
            self.report.push(fault.help(format!("write `{degree}`")).fix_here(degree));
        }
    }

    fn unknown_unit(&mut self, text: &str, span: Span) {
        let fault = Diagnostic::new("E201", span, format!("unknown unit `{text}`"));
        self.report.push(match self.world.units.nearest(text) {
            Some(near) => {
                let fault =
                    fault.help(format!("did you mean `{near}`? A new unit is declared with `unit {text}`"));
                if text.starts_with('/') { fault } else { fault.fix_here(near) }
            }
            None => fault.help(format!("a new unit is declared with `unit {text}`")),
        });
    }

    pub(super) fn quantity(&mut self, quantity: &Quantity, span: Span, scope: &Scope<'_>) -> Typed {
        let digits = quantity.number.replace('_', "");
        let value = match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(int), _) => Typed::int(int),
            (_, Ok(real)) if real.is_finite() => Typed::new(Expr::Const(Value::Float(real)), Ty::plain(true)),
            _ => return self.wrong(Diagnostic::new("E208", span, "this number is too large")),
        };
        let Some(written) = &quantity.unit else { return value };
        let text = match written.text.strip_prefix('/') {
            Some(below) => format!("1/{below}"),
            None => written.text.clone(),
        };
        let Some(unit) = self.world.units.find(&text) else {
            return self.division(value, written, scope);
        };
        self.no_temperature(&text, &unit, written.span);
        let real = value.as_number().is_some_and(|number| number.real);
        Typed { expr: value.expr, ty: Ty::number(real, unit) }
    }

    /// `100 m/x`, where x is no unit but a name: a number divided by it.
    fn division(&mut self, value: Typed, written: &UnitText, scope: &Scope<'_>) -> Typed {
        let Some((unit, below)) = written.text.split_once('/') else {
            self.unknown_unit(&written.text, written.span);
            return Typed::error();
        };
        let start = written.span.start + u32::try_from(unit.len()).unwrap_or(0) + 1;
        let path = path_of(below, Span { start, ..written.span });
        let known = !matches!(self.world.resolve(&path, scope), Meaning::Unknown(_)) && !below.contains('/');
        let unit = if unit.is_empty() { Some(Unit::none()) } else { self.world.units.find(unit) };
        let Some(unit) = unit else {
            self.unknown_unit(&written.text, written.span);
            return Typed::error();
        };
        if !known {
            let fault =
                Diagnostic::new("E201", path.span, format!("`{below}` is neither a unit nor a name here"));
            let near = self.world.units.nearest(&written.text);
            return self.wrong(match near {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help("to divide by a value put blanks around the `/`"),
            });
        }
        let real = value.as_number().is_some_and(|number| number.real);
        let value = Typed { expr: value.expr, ty: Ty::number(real, unit) };
        let divisor = self.path(&path, scope);
        self.arithmetic(BinaryOp::Div, value, divisor, (written.span, path.span), [false; 2])
    }

    /// A value in the unit and with the kind of number that is declared; `what` names what is declared.
    pub(crate) fn declared(
        &mut self,
        value: Typed,
        wanted: &Ty,
        at: Span,
        declared: Span,
        what: &str,
    ) -> Typed {
        match (&value.ty, wanted) {
            (Ty::Error, _) | (_, Ty::Error) => Typed::error(),
            (Ty::Json, Ty::Bool | Ty::Text) => as_json(value, wanted),
            (Ty::Json, Ty::Number(Number { real: false, .. })) => {
                let real = as_json(value, wanted);
                Typed { expr: Expr::ToInt(Box::new(real.expr)), ty: wanted.clone() }
            }
            (Ty::Json, Ty::Number(_)) => as_json(value, wanted),
            (Ty::Number(have), Ty::Number(want)) => match unit_fault(have, want, at, declared, what) {
                Some(fault) => self.wrong(fault),
                None => self.as_declared_number(value, want.clone(), at),
            },
            // an enum is a number with names for its values
            (Ty::Enum(_), Ty::Number(number)) if number.unit.is_none() => {
                let number = number.clone();
                let plain = Typed { expr: value.expr, ty: Ty::plain(false) };
                self.as_declared_number(plain, number, at)
            }
            (Ty::Number(number), Ty::Enum(_)) if !number.real => {
                Typed { expr: value.expr, ty: wanted.clone() }
            }
            (Ty::Enum(have), Ty::Enum(want)) if have == want => value,
            (Ty::Bool, Ty::Bool) | (Ty::Text, Ty::Text) | (Ty::Time, Ty::Time) => value,
            (have, want) => {
                let message =
                    format!("{what} is declared as {} but this is {}", want.describe(), have.describe());
                let fault = Diagnostic::new("E207", at, message).label(declared, "declared here");
                self.wrong(match (have, want) {
                    (Ty::Number(_), Ty::Bool) => fault.help("write a comparison, such as `x > 5`"),
                    (_, Ty::Text) => fault.help("write it as text with an insert: `\"{x}\"`"),
                    _ => fault,
                })
            }
        }
    }

    fn as_declared_number(&mut self, value: Typed, want: Number, at: Span) -> Typed {
        let value = value.into_unit(&want.unit);
        let real = value.as_number().is_some_and(|number| number.real);
        match (real, want.real) {
            (_, true) => value.into_real(),
            (false, false) => value,
            (true, false) => {
                let whole = value.constant().and_then(Value::as_f64).filter(|value| value.fract() == 0.0);
                if whole.is_some() {
                    return Typed::new(Expr::ToInt(Box::new(value.expr)), Ty::Number(want));
                }
                let fault = Diagnostic::new("E207", at, "a real number does not fit into an integer");
                self.wrong(fault.help("say how: `round(x)`, `floor(x)` or `ceil(x)`; or declare it `real`"))
            }
        }
    }

    /// `real % = a / b * 100`: a percentage comes of the ratio alone.
    pub(crate) fn percent_twice(&mut self, value: &ast::Expr, typed: &Typed, wanted: &Ty) {
        let (Ty::Number(want), Some(have)) = (wanted, typed.as_number()) else { return };
        let ast::ExprKind::Binary(binary) = &value.kind else { return };
        let hundred = |expr: &ast::Expr| match &expr.kind {
            ast::ExprKind::Quantity(quantity) => {
                quantity.unit.is_none() && quantity.number.parse() == Ok(100.0)
            }
            _ => false,
        };
        let times = binary.op == ast::BinaryOp::Mul;
        if &*want.unit.text != "%" || !have.unit.is_none() || !times {
            return;
        }
        let message = "a ratio becomes a percentage by itself: times 100 makes 10000 % of 1";
        let fault = Diagnostic::new("W607", value.span, message);
        let (left, right) = (&binary.left, &binary.right);
        if hundred(right) {
            let behind = Span { start: left.span.end, ..right.span };
            self.report.push(fault.help(format!("write `{left}`")).fix(behind, ""));
        } else if hundred(left) {
            let before = Span { end: right.span.start, ..left.span };
            self.report.push(fault.help(format!("write `{right}`")).fix(before, ""));
        }
    }

    /// A fixed number in a given unit, for settings and attributes. A literal in a scale's unit is a difference if
    /// `difference` says so.
    pub(crate) fn fixed_number(
        &mut self,
        expr: &ast::Expr,
        unit: &Unit,
        difference: bool,
        scope: &Scope<'_>,
    ) -> Option<f64> {
        let mut value = self.expr(expr, scope);
        let mut unit = unit.clone();
        if difference {
            unit = unit.difference();
            if let Ty::Number(number) = &mut value.ty {
                number.unit = number.unit.difference();
            }
        }
        match &value.ty {
            Ty::Error => None,
            Ty::Number(have) => {
                if have.unit.dim != unit.dim {
                    let fault =
                        Diagnostic::new("E206", expr.span, format!("{} is needed here", needed(&unit)));
                    let fault = fault.here(format!("this is {}", describe_unit(&have.unit)));
                    self.report.push(match (have.unit.is_none(), value.constant()) {
                        (true, Some(number)) => {
                            let fault = fault.help(format!("write `{number} {unit}`"));
                            let literal = matches!(expr.kind, ast::ExprKind::Quantity(_));
                            if literal { fault.fix(expr.span.after(), format!(" {unit}")) } else { fault }
                        }
                        (false, Some(_)) if unit.is_none() => {
                            let fault = fault.help("leave the unit out");
                            match &expr.kind {
                                ast::ExprKind::Quantity(quantity) => fault.fix_here(quantity.number.clone()),
                                _ => fault,
                            }
                        }
                        _ => fault,
                    });
                    return None;
                }
                let want = Number { real: true, unit: unit.clone() };
                if let Some(fault) = unit_fault(have, &want, expr.span, expr.span, "this") {
                    self.report.push(fault);
                    return None;
                }
                let number = value.number_in(&unit);
                if number.is_none() {
                    self.report.push(Diagnostic::new("E210", expr.span, "a fixed value is needed here"));
                }
                number
            }
            ty => {
                let message = format!("{} is needed here", needed(&unit));
                self.report.push(
                    Diagnostic::new("E207", expr.span, message).here(format!("this is {}", ty.describe())),
                );
                None
            }
        }
    }
}

/// `a time`, `a power`.
fn needed(unit: &Unit) -> String {
    if unit.dim.is_none() {
        "a plain number".to_owned()
    } else {
        crate::units::quantity_name(&unit.dim).to_owned()
    }
}

/// Why a number cannot be taken as one in another unit.
fn unit_fault(have: &Number, want: &Number, at: Span, declared: Span, what: &str) -> Option<Diagnostic> {
    if have.unit.dim != want.unit.dim {
        let wanted = describe_unit(&want.unit);
        let message = format!(
            "{what} is in {} but the expression gives {}",
            unit_words(&want.unit),
            unit_words(&have.unit)
        );
        let fault =
            Diagnostic::new("E206", at, message).here(format!("this is {}", describe_unit(&have.unit)));
        let fault =
            if declared == at { fault } else { fault.label(declared, format!("declared as {wanted}")) };
        let integral = !have.unit.is_none() && have.unit.times(&Unit::second()).dim == want.unit.dim;
        return Some(match (integral, have.unit.is_none(), want.unit.is_none()) {
            (true, ..) => fault.help(format!(
                "this is in {}: `delta(x)` is the change since the sample before, and `integral(x)` adds up over time",
                have.unit
            )),
            (_, true, false) => fault.help(format!("give the number its unit, such as `5 {}`", want.unit)),
            (_, false, true) => fault.help(format!("declare it with its unit: `real {}`", have.unit)),
            _ => fault,
        });
    }
    if have.unit.point != want.unit.point && !have.unit.dim.is_none() {
        let (scale, other) =
            if have.unit.point { (&have.unit, &want.unit) } else { (&want.unit, &have.unit) };
        let message = format!("a point on the scale {scale} is not a difference in {other}");
        let fault = Diagnostic::new("E204", at, message);
        return Some(if have.unit.point {
            fault.help(format!("subtract a reference first, such as `x - 20 {scale}`"))
        } else {
            fault.help(format!("add it to a reference, such as `20 {scale} + x`"))
        });
    }
    None
}

fn unit_words(unit: &Unit) -> String {
    if unit.is_none() { "no unit".to_owned() } else { unit.to_string() }
}

/// Names joined by dots, as a path.
pub(super) fn path_of(text: &str, span: Span) -> Path {
    let mut names = text.split('.').map(|part| Name { text: part.to_owned(), span, quoted: false });
    let root = names.next().unwrap_or(Name { text: String::new(), span, quoted: false });
    Path { root, members: None, rest: names.collect(), span }
}
