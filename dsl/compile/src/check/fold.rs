//! Aggregates: each folds the samples of a window into one value, which its column reads.

use gwp_core::Value;
use gwp_plan::{Aggregate, AggregateFunction, Counter, Expr};
use gwp_syntax::ast::{self, Call};
use gwp_syntax::{Diagnostic, Span};

use super::state::tag_of;
use super::{Checker, Place, Scope, WindowScope};
use crate::types::{Ty, Typed};
use crate::units::Unit;

/// Aggregates, which fold the samples of a window; `min`, `max` and `integral` have a meaning outside of one, too.
pub(super) const AGGREGATES: &[&str] =
    &["avg", "mean", "first", "last", "sum", "count", "stddev", "percentile", "increase", "time_in"];

/// Locals of aggregates while a window is compiled, when it is not known yet how many operators stand before them.
pub(crate) const AGGREGATE_BASE: u32 = 2 << 20;

impl Checker<'_, '_> {
    /// A call of an aggregate, wherever it stands.
    pub(super) fn aggregate(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let (name, span) = (&call.name, call.name.span);
        match scope.place {
            Place::Column(window) => self.fold(call, args, window, scope),
            Place::Input(_) => {
                let message = format!("`{name}` stands inside of something that folds or remembers samples");
                let fault = Diagnostic::new("E313", span, message).here("this has one value per window");
                self.wrong(fault.help("give it a column of its own, and compute with the columns"))
            }
            _ => {
                let fault = Diagnostic::new("E303", span, format!("`{name}` needs a window"))
                    .here("an aggregate outside of a window");
                let over_devices = call.args.iter().any(
                    |arg| matches!(&arg.value.kind, ast::ExprKind::Path(path) if path.members.is_some()),
                );
                self.wrong(fault.help(match name.text.as_str() {
                    "avg" | "mean" if over_devices => "over devices write `avg_of( )`",
                    "sum" | "count" if over_devices => "over devices write `sum_of( )` or `count_of( )`",
                    "avg" | "mean" => "use `moving_avg(x, 1 min)` or `-> every 1 min { }`",
                    _ => "fold the samples of a window: `-> every 1 min { }`",
                }))
            }
        }
    }

    fn fold(
        &mut self,
        call: &Call,
        args: &[&ast::Expr],
        window: &WindowScope<'_>,
        scope: &Scope<'_>,
    ) -> Typed {
        let scope = &Scope { place: Place::Input(window), ..scope.clone() };
        let name = call.name.text.as_str();
        if name == "percentile" {
            return self.percentile(call, args, scope);
        }
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        match name {
            "first" | "last" | "count" => {
                let value = self.anything(arg, scope);
                let (function, ty) = match name {
                    "first" => (AggregateFunction::First, value.ty.clone()),
                    "last" => (AggregateFunction::Last, value.ty.clone()),
                    _ => (AggregateFunction::Count, Ty::plain(false)),
                };
                self.folded(function, value, ty)
            }
            "time_in" => {
                let condition = self.condition(arg, "`time_in` needs a condition", scope);
                self.folded(AggregateFunction::TimeIn, condition, Ty::number(true, Unit::second()))
            }
            "increase" => self.increase(arg, scope),
            _ => self.fold_of_number(name, arg, scope),
        }
    }

    fn fold_of_number(&mut self, name: &str, arg: &ast::Expr, scope: &Scope<'_>) -> Typed {
        let doing = match name {
            "sum" => Some("summed"),
            "integral" => Some("integrated over time"),
            _ => None,
        };
        let Some((value, number)) = self.number(arg, doing, scope) else { return Typed::error() };
        let unit = number.unit.clone();
        let real = Ty::number(true, unit.clone());
        let same = Ty::Number(number.clone());
        match name {
            "avg" => self.folded(AggregateFunction::Avg, value.into_real(), real),
            "mean" => self.folded(AggregateFunction::Mean, value.into_real(), real),
            "min" => self.folded(AggregateFunction::Min, value, same),
            "max" => self.folded(AggregateFunction::Max, value, same),
            "sum" => self.folded(AggregateFunction::Sum, value, same),
            "stddev" => {
                let ty = Ty::number(true, unit.difference());
                self.folded(AggregateFunction::Stddev, value.into_real(), ty)
            }
            _ => {
                let raw = Ty::number(true, unit.times(&Unit::second()));
                let total = self.folded(AggregateFunction::Integral, value.into_real(), raw);
                total.into_unit(&self.integral_unit(&number))
            }
        }
    }

    /// What a counter has gained; a tag has to say that it counts.
    fn increase(&mut self, arg: &ast::Expr, scope: &Scope<'_>) -> Typed {
        let Some((value, number)) = self.number(arg, Some("counted up"), scope) else {
            return Typed::error();
        };
        let counter = match (self.counter_of(&value), tag_of(&value.expr)) {
            (Some(counter), _) => counter,
            (None, None) => Counter { wrap: None },
            (None, Some(tag)) => {
                let tag = self.world.tag(tag);
                let name = tag.map_or("it", |tag| &tag.name);
                let fault = Diagnostic::new("E315", arg.span, format!("`{name}` is no counter"))
                    .here("`increase` adds up what a counter gains");
                let fault = match tag {
                    Some(tag) => fault.label(tag.decl.span(), "declared here"),
                    None => fault,
                };
                return self.wrong(fault.help(format!(
                    "add `counter` to `{name}`; the change of a value that also falls is `last(x) - first(x)`"
                )));
            }
        };
        let ty = Ty::number(true, number.unit);
        // Whole counts stay whole: a wrap is then known to the count.
        self.folded(AggregateFunction::Increase(counter), value, ty)
    }

    /// `percentile(x, 95)`
    fn percentile(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg, share]) = self.take(call, args) else { return Typed::error() };
        let value = self.number(arg, None, scope);
        let percent = self.percent(share, scope);
        let (Some((value, number)), Some(percent)) = (value, percent) else { return Typed::error() };
        let ty = Ty::number(true, number.unit);
        self.folded(AggregateFunction::Percentile(percent), value.into_real(), ty)
    }

    /// `95` or `95 %`.
    fn percent(&mut self, share: &ast::Expr, scope: &Scope<'_>) -> Option<f64> {
        let typed = self.expr(share, &Scope { device: scope.device, ..Scope::constant() });
        if typed.is_error() {
            return None;
        }
        let plain = typed.as_number().map(|number| (number.unit.is_none(), number.unit.dim.is_none()));
        let value = typed.constant().and_then(Value::as_f64);
        let found = match (plain, value) {
            (Some((true, _)), Some(value)) => Some(value),
            (Some((false, true)), Some(_)) => typed.number_in(&Unit::none()).map(|share| share * 100.0),
            _ => None,
        };
        if found.is_none_or(|percent| !(0.0..=100.0).contains(&percent)) {
            let fault = Diagnostic::new("E208", share.span, "a percentile is a fixed number from 0 to 100");
            self.report.push(fault.help("such as `percentile(x, 95)`"));
            return None;
        }
        found
    }

    fn folded(&mut self, function: AggregateFunction, arg: Typed, ty: Ty) -> Typed {
        if arg.is_error() {
            return Typed::error();
        }
        let index = AGGREGATE_BASE + u32::try_from(self.aggregates.len()).unwrap_or(0);
        let plan_type = ty.plan_type();
        self.aggregates.push(Aggregate { function, arg: arg.expr, ty: plan_type });
        Typed::new(Expr::Local(index, plan_type), ty)
    }

    /// A column is read where samples are folded or remembered.
    pub(super) fn column_in_fold(&mut self, column: &str, at: Span) -> Typed {
        let fault = Diagnostic::new("E313", at, format!("`{column}` is a column of this window"));
        self.wrong(
            fault
                .here("it has one value per window, there are no samples to fold")
                .help(format!("use `{column}` outside of the function")),
        )
    }
}
