//! Functions that remember: each becomes an operator beside the expression, which reads its result.

use gwp_core::TagId;
use gwp_plan::{Counter, Expr, Operator, StateFunction};
use gwp_syntax::ast::{self, Call};
use gwp_syntax::{Diagnostic, Span};

use super::operators::point_fault;
use super::resolve::Meaning;
use super::{Checker, Place, Scope};
use crate::alarms::DELAY_MAX_S;
use crate::limits::OPERATORS_MAX;
use crate::types::{Number, Ty, Typed};
use crate::units::Unit;

/// Functions that remember earlier samples.
pub(super) const STATEFUL: &[&str] = &[
    "rate",
    "delta",
    "previous",
    "integral",
    "smooth",
    "moving_avg",
    "rising",
    "falling",
    "on_delay",
    "off_delay",
    "pulse",
    "latch",
    "count_up",
    "changed",
    "stale",
];

/// Shortest delay, in seconds.
const DELAY_MIN_S: f64 = 0.001;

impl Checker<'_, '_> {
    /// A call of one of [`STATEFUL`].
    pub(super) fn state_function(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let name = call.name.text.as_str();
        let place = match scope.place {
            Place::State => Place::State,
            Place::Input(window) | Place::Column(window) => Place::Input(window),
            Place::Plain | Place::Row(_) | Place::Address(_) if scope.constant => {
                let fault = Diagnostic::new("E210", call.span, "a fixed value is needed here");
                return self.wrong(fault.here("this changes at run time"));
            }
            Place::Plain | Place::Row(_) | Place::Address(_) => {
                let fault =
                    Diagnostic::new("E312", call.span, format!("`{name}` remembers, a stage does not"));
                return self.wrong(
                    fault.help(format!("make a calc of it, such as `calc x = {call}`, and use that here")),
                );
            }
        };
        let scope = &Scope { place, ..scope.clone() };
        match name {
            "rate" | "delta" | "integral" => self.of_number_and_past(call, args, scope),
            "smooth" | "moving_avg" => self.average(call, args, scope),
            "previous" => self.previous(call, args, scope),
            "rising" | "falling" => {
                let Some([arg]) = self.take(call, args) else { return Typed::error() };
                let function = if name == "rising" { StateFunction::Rising } else { StateFunction::Falling };
                self.of_conditions(call, function, &[arg], Ty::Bool, scope)
            }
            "on_delay" | "off_delay" | "pulse" => self.timer(call, args, scope),
            "latch" | "count_up" => {
                let Some([first, reset]) = self.take(call, args) else { return Typed::error() };
                let (function, ty) = match name {
                    "latch" => (StateFunction::Latch, Ty::Bool),
                    _ => (StateFunction::CountUp, Ty::plain(false)),
                };
                self.of_conditions(call, function, &[first, reset], ty, scope)
            }
            "changed" => {
                let Some([arg]) = self.take(call, args) else { return Typed::error() };
                let value = self.anything(arg, scope);
                self.remember(StateFunction::Changed, vec![value], Ty::Bool, call.span)
            }
            _ => {
                let Some([arg, after]) = self.take(call, args) else { return Typed::error() };
                let value = self.anything(arg, scope);
                let Some(after_ns) = self.delay(after, scope) else { return Typed::error() };
                self.remember(StateFunction::Stale { after_ns }, vec![value], Ty::Bool, call.span)
            }
        }
    }

    /// A positive time in nanoseconds; parameters of the device may be used.
    pub(crate) fn delay(&mut self, value: &ast::Expr, scope: &Scope<'_>) -> Option<i64> {
        let fixed = Scope { device: scope.device, ..Scope::constant() };
        let seconds = self.fixed_number(value, &Unit::second(), false, &fixed)?;
        if !(DELAY_MIN_S..=DELAY_MAX_S).contains(&seconds) {
            let fault = Diagnostic::new("E407", value.span, "a time from 1 ms to 366 d is needed here");
            self.report.push(fault.here(format!("this is {seconds} s")));
            return None;
        }
        Some((seconds * 1e9).round() as i64)
    }

    /// A value of any type.
    pub(super) fn anything(&mut self, arg: &ast::Expr, scope: &Scope<'_>) -> Typed {
        let typed = self.expr(arg, scope);
        if typed.ty == Ty::Json { super::as_json(typed, &Ty::plain(true)) } else { typed }
    }

    /// Adds an operator; its result is what the expression reads.
    fn remember(&mut self, function: StateFunction, args: Vec<Typed>, ty: Ty, at: Span) -> Typed {
        if args.iter().any(Typed::is_error) {
            return Typed::error();
        }
        self.operators_made += 1;
        if self.operators_made > OPERATORS_MAX {
            let message = format!(
                "all calcs, alarms and windows together have more than {OPERATORS_MAX} functions that remember"
            );
            return self.wrong(Diagnostic::new("E199", at, message).help("split the project"));
        }
        let index = self.operator_base + u32::try_from(self.operators.len()).unwrap_or(0);
        let plan_type = ty.plan_type();
        let args = args.into_iter().map(|arg| arg.expr).collect();
        self.operators.push(Operator { function, args, ty: plan_type });
        Typed::new(Expr::Local(index, plan_type), ty)
    }

    /// The range in which a tag counts, if the value is that of a tag that counts.
    pub(super) fn counter_of(&self, value: &Typed) -> Option<Counter> {
        let tag = tag_of(&value.expr)?;
        self.world.tag(tag)?.attrs.counter.map(|wrap| Counter { wrap })
    }

    /// `rate`, `delta`, `integral`.
    fn of_number_and_past(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        let Some((value, number)) = self.number(arg, None, scope) else { return Typed::error() };
        let counter = self.counter_of(&value);
        let change = number.unit.difference();
        match call.name.text.as_str() {
            "rate" => {
                let ty = Ty::number(true, change.per(&Unit::second()));
                // Whole counts stay whole: a wrap is then known to the count.
                self.remember(StateFunction::Rate(counter), vec![value], ty, call.span)
            }
            "delta" => {
                let ty = Ty::number(number.real, change);
                self.remember(StateFunction::Delta(counter), vec![value], ty, call.span)
            }
            _ if number.unit.point => self.wrong(point_fault(arg.span, &number, "integrated over time")),
            _ => {
                let raw = Ty::number(true, number.unit.times(&Unit::second()));
                let total = self.remember(StateFunction::Integral, vec![value.into_real()], raw, call.span);
                total.into_unit(&self.integral_unit(&number))
            }
        }
    }

    /// The unit in which people say an integral: kWh for kW, m3 for m3/h, else the unit times seconds.
    pub(super) fn integral_unit(&self, number: &Number) -> Unit {
        let unit = &number.unit;
        let exact = unit.times(&Unit::second());
        let per_time = ["/s", "/min", "/h", "/d"].iter().find_map(|time| unit.text.strip_suffix(time));
        let spoken = match per_time {
            Some(amount) => self.world.units.find(amount),
            None => self.world.units.find(&format!("{}h", unit.text)),
        };
        spoken.filter(|spoken| spoken.dim == exact.dim && !unit.text.is_empty()).unwrap_or(exact)
    }

    /// `smooth`, `moving_avg`.
    fn average(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg, time]) = self.take(call, args) else { return Typed::error() };
        let value = self.number(arg, None, scope);
        let ns = self.delay(time, scope);
        let (Some((value, number)), Some(ns)) = (value, ns) else { return Typed::error() };
        let function = match call.name.text.as_str() {
            "smooth" => StateFunction::Smooth { tau_ns: ns },
            _ => StateFunction::MovingAvg { span_ns: ns },
        };
        self.remember(function, vec![value.into_real()], Ty::number(true, number.unit), call.span)
    }

    /// What is computed later still has its previous value now; anything else is remembered.
    fn previous(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        if let Some(path) = bare_path(arg)
            && let Meaning::Tag(tag) = self.world.resolve(path, scope)
            && self.later.contains(&tag)
        {
            return self.tag(tag);
        }
        let value = self.anything(arg, scope);
        let ty = value.ty.clone();
        self.remember(StateFunction::Previous, vec![value], ty, call.span)
    }

    fn timer(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg, time]) = self.take(call, args) else { return Typed::error() };
        let condition = self.condition(arg, &format!("`{}` needs a condition", call.name), scope);
        let Some(ns) = self.delay(time, scope) else { return Typed::error() };
        let function = match call.name.text.as_str() {
            "on_delay" => StateFunction::OnDelay { delay_ns: ns },
            "off_delay" => StateFunction::OffDelay { delay_ns: ns },
            _ => StateFunction::Pulse { length_ns: ns },
        };
        self.remember(function, vec![condition], Ty::Bool, call.span)
    }

    fn of_conditions(
        &mut self,
        call: &Call,
        function: StateFunction,
        args: &[&ast::Expr],
        ty: Ty,
        scope: &Scope<'_>,
    ) -> Typed {
        let why = format!("`{}` needs a condition", call.name);
        let conditions = args.iter().map(|arg| self.condition(arg, &why, scope)).collect();
        self.remember(function, conditions, ty, call.span)
    }
}

/// The tag whose value an expression is.
pub(super) fn tag_of(expr: &Expr) -> Option<TagId> {
    match expr {
        Expr::Tag(tag, _) => Some(*tag),
        Expr::ToFloat(inner) => tag_of(inner),
        _ => None,
    }
}

/// A path without anything around it but brackets.
pub(crate) fn bare_path(expr: &ast::Expr) -> Option<&ast::Path> {
    match &expr.kind {
        ast::ExprKind::Path(path) => Some(path),
        ast::ExprKind::Group(inner) => bare_path(inner),
        _ => None,
    }
}
