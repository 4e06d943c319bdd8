//! Functions: how many arguments they take, of which type, and what they give.

use gwp_core::Value;
use gwp_plan::schedule::WeekSchedule;
use gwp_plan::{Expr, Function};
use gwp_syntax::ast::{self, Call, MemberPick};
use gwp_syntax::{Diagnostic, Span};

use super::fold::AGGREGATES;
use super::operators::{Operands, point_fault};
use super::state::{STATEFUL, bare_path};
use super::{Checker, Pick, Place, Scope, habits};
use crate::items::nearest;
use crate::types::{Number, Ty, Typed, describe_unit};
use crate::units::Unit;

/// Functions of this version.
pub(super) const FUNCTIONS: &[&str] = &[
    "abs", "sqrt", "exp", "ln", "log10", "sin", "cos", "tan", "power", "round", "floor", "ceil", "min",
    "max", "bit", "good", "within", "json", "length", "lower", "upper", "contains", "sum_of", "avg_of",
    "min_of", "max_of", "any_of", "all_of", "count_of",
];

/// Would give other results on the other node, or at another time.
const RANDOM: &[&str] = &["now", "random", "rand", "today"];

impl Checker<'_, '_> {
    pub(super) fn call(&mut self, call: &Call, span: Span, scope: &Scope<'_>) -> Typed {
        let name = call.name.text.as_str();
        if let Some(keyed) = call.args.iter().find_map(|arg| arg.key.as_ref()) {
            let fault = Diagnostic::new("E112", keyed.span, format!("`{name}` takes no named arguments"));
            return self.wrong(fault.help("write the value alone"));
        }
        let args: Vec<&ast::Expr> = call.args.iter().map(|arg| &arg.value).collect();
        let in_column = matches!(scope.place, Place::Column(_));
        match name {
            "min" | "max" if in_column && args.len() == 1 => self.aggregate(call, &args, scope),
            "integral" if in_column => self.aggregate(call, &args, scope),
            _ if STATEFUL.contains(&name) => self.state_function(call, &args, scope),
            _ if AGGREGATES.contains(&name) => self.aggregate(call, &args, scope),
            "abs" | "round" | "floor" | "ceil" => self.keeps_unit(call, &args, scope),
            "sqrt" => self.square_root(call, &args, scope),
            "exp" | "ln" | "log10" | "sin" | "cos" | "tan" => self.of_plain_number(call, &args, scope),
            "power" => self.power(call, &args, scope),
            "min" | "max" => self.extreme(call, &args, scope),
            "bit" => self.bit(call, &args, scope),
            "good" => {
                let Some([arg]) = self.take(call, &args) else { return Typed::error() };
                if is_value_word(arg, scope) {
                    return good_sample();
                }
                let inner = self.expr(arg, scope);
                Typed::new_if(&[&inner], || Expr::Good(Box::new(inner.expr.clone())), Ty::Bool)
            }
            "within" => self.within(call, &args, scope),
            "json" => self.json(call, &args, scope),
            "length" | "lower" | "upper" | "contains" => self.of_text(call, &args, scope),
            "sum_of" | "avg_of" | "min_of" | "max_of" | "any_of" | "all_of" | "count_of" => {
                self.over_devices(call, &args, span, scope)
            }
            _ => self.unknown_function(call),
        }
    }

    fn unknown_function(&mut self, call: &Call) -> Typed {
        let (name, span) = (call.name.text.as_str(), call.name.span);
        let fault = match name {
            "secret" | "node" => {
                let message = format!("`{name}()` is allowed in settings only");
                Diagnostic::new("E410", span, message)
                    .help("what differs from node to node must not change results")
            }
            _ if RANDOM.contains(&name) => {
                let message = format!("`{name}()` would differ between the two nodes");
                Diagnostic::new("E305", span, message).help("use `time`, the time stamp of the sample")
            }
            _ => {
                let fault = Diagnostic::new("E113", span, format!("there is no function `{name}`"));
                if let Some((same, help)) = habits::function(name) {
                    let fault = fault.help(help);
                    return self.wrong(same.into_iter().fold(fault, |fault, same| fault.fix_here(same)));
                }
                let known = FUNCTIONS.iter().chain(STATEFUL).chain(AGGREGATES).copied();
                match nearest(name, known) {
                    Some(near) => fault.help(format!("did you mean `{near}`?")).fix_here(near),
                    None => fault,
                }
            }
        };
        self.wrong(fault)
    }

    /// Exactly N arguments, or a report.
    pub(super) fn take<'e, const N: usize>(
        &mut self,
        call: &Call,
        args: &[&'e ast::Expr],
    ) -> Option<[&'e ast::Expr; N]> {
        let found = <[&ast::Expr; N]>::try_from(args).ok();
        if found.is_none() {
            let plural = if N == 1 { "" } else { "s" };
            let message = format!("`{}` takes {N} argument{plural}, not {}", call.name, args.len());
            self.report.push(Diagnostic::new("E112", call.span, message));
        }
        found
    }

    /// A number that is no point on a scale, if `points` says so.
    pub(super) fn number(
        &mut self,
        expr: &ast::Expr,
        points: Option<&str>,
        scope: &Scope<'_>,
    ) -> Option<(Typed, Number)> {
        let mut typed = self.expr(expr, scope);
        if typed.ty == Ty::Json {
            typed = super::as_json(typed, &Ty::plain(true));
        }
        match typed.ty.clone() {
            Ty::Error => None,
            Ty::Number(number) => match points {
                Some(doing) if number.unit.point => {
                    self.report.push(point_fault(expr.span, &number, doing));
                    None
                }
                _ => Some((typed, number)),
            },
            ty => {
                let fault = Diagnostic::new("E203", expr.span, "a number is needed here");
                self.report.push(fault.here(format!("this is {}", ty.describe())));
                None
            }
        }
    }

    fn keeps_unit(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let points = (call.name.text == "abs").then_some("without its sign");
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        let Some((typed, number)) = self.number(arg, points, scope) else { return Typed::error() };
        let function = match call.name.text.as_str() {
            "abs" => return Typed::new(Expr::Call(Function::Abs, vec![typed.expr]), Ty::Number(number)),
            "round" => Function::Round,
            "floor" => Function::Floor,
            _ => Function::Ceil,
        };
        if !number.real {
            return typed;
        }
        let whole = Expr::Call(function, vec![typed.expr]);
        Typed::new(Expr::ToInt(Box::new(whole)), Ty::number(false, number.unit))
    }

    fn square_root(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        let Some((typed, number)) = self.number(arg, Some("under a root"), scope) else {
            return Typed::error();
        };
        let Some(unit) = number.unit.root() else {
            let message = format!("there is no square root of {}", describe_unit(&number.unit));
            return self.wrong(
                Diagnostic::new("E202", arg.span, message).help("its unit must be a square, such as m2"),
            );
        };
        Typed::new(Expr::Call(Function::Sqrt, vec![typed.into_real().expr]), Ty::number(true, unit))
    }

    /// A number in a fixed unit, as floating point.
    fn number_as(&mut self, expr: &ast::Expr, unit: &Unit, call: &Call, scope: &Scope<'_>) -> Option<Expr> {
        let (typed, number) = self.number(expr, Some("an argument here"), scope)?;
        if number.unit.dim != unit.dim {
            let message = format!("`{}` needs {}", call.name, describe_unit(unit));
            let fault = Diagnostic::new("E202", expr.span, message);
            self.report.push(fault.here(format!("this is {}", describe_unit(&number.unit))));
            return None;
        }
        Some(typed.into_unit(unit).into_real().expr)
    }

    fn of_plain_number(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        let (function, angle) = match call.name.text.as_str() {
            "exp" => (Function::Exp, false),
            "ln" => (Function::Ln, false),
            "log10" => (Function::Log10, false),
            "sin" => (Function::Sin, true),
            "cos" => (Function::Cos, true),
            _ => (Function::Tan, true),
        };
        let unit = if angle { Unit::radian() } else { Unit::none() };
        match self.number_as(arg, &unit, call, scope) {
            Some(expr) => Typed::new(Expr::Call(function, vec![expr]), Ty::plain(true)),
            None => Typed::error(),
        }
    }

    fn power(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([base, exponent]) = self.take(call, args) else { return Typed::error() };
        let Some((value, number)) = self.number(base, Some("raised to a power"), scope) else {
            return Typed::error();
        };
        let Some(by) = self.number_as(exponent, &Unit::none(), call, scope) else { return Typed::error() };
        let whole = match &by {
            Expr::Const(Value::Float(by)) if by.fract() == 0.0 && by.abs() <= 12.0 => Some(*by as i16),
            _ => None,
        };
        let unit = match whole {
            Some(whole) => number.unit.power(whole),
            None if number.unit.dim.is_none() => Some(Unit::none()),
            None => {
                let message = format!("{} needs a whole, fixed exponent", describe_unit(&number.unit));
                return self
                    .wrong(Diagnostic::new("E202", exponent.span, message).help("such as `power(x, 2)`"));
            }
        };
        let Some(unit) = unit else {
            return self.wrong(Diagnostic::new("E202", exponent.span, "this power is too large"));
        };
        let value = if whole.is_some() { value } else { value.into_unit(&Unit::none()) };
        Typed::new(Expr::Call(Function::Power, vec![value.into_real().expr, by]), Ty::number(true, unit))
    }

    fn extreme(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let name = call.name.text.as_str();
        if args.len() < 2 && matches!(scope.place, Place::Input(_)) {
            return self.aggregate(call, args, scope);
        }
        if args.len() < 2 {
            let fault = Diagnostic::new("E303", call.span, format!("`{name}` of one value needs a window"));
            return self.wrong(
                fault.help(format!("give two values, such as `{name}(a, b)`; or use `-> every 1 min {{ }}`")),
            );
        }
        let Some(values) = self.same_unit(args, scope) else { return Typed::error() };
        let ty = values.first().map_or(Ty::Error, |first| first.ty.clone());
        let function = if name == "min" { Function::Min } else { Function::Max };
        Typed::new(Expr::Call(function, values.into_iter().map(|value| value.expr).collect()), ty)
    }

    /// Numbers in the unit of the first, all of one kind.
    fn same_unit(&mut self, args: &[&ast::Expr], scope: &Scope<'_>) -> Option<Vec<Typed>> {
        let mut values = Vec::with_capacity(args.len());
        let mut complete = true;
        for arg in args {
            match self.number(arg, None, scope) {
                Some((typed, _)) => values.push((typed, arg.span)),
                None => complete = false,
            }
        }
        if complete { self.brought_together(values) } else { None }
    }

    fn brought_together(&mut self, values: Vec<(Typed, Span)>) -> Option<Vec<Typed>> {
        // a constant takes the unit of what is measured
        let lead = values.iter().position(|(typed, _)| typed.constant().is_none()).unwrap_or(0);
        let (first, first_at) = values.get(lead)?.clone();
        let mut same = Vec::with_capacity(values.len());
        for (typed, at) in values {
            let operands =
                Operands { left: at, right: first_at, span: at, what: "cannot compare", plain: [false; 2] };
            let (typed, _) = self.unified(typed, first.clone(), &operands)?;
            same.push(match first.as_number() {
                Some(number) => typed.into_unit(&number.unit),
                None => typed,
            });
        }
        if same.iter().any(|typed| typed.as_number().is_some_and(|number| number.real)) {
            return Some(same.into_iter().map(Typed::into_real).collect());
        }
        Some(same)
    }

    fn bit(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([word, number]) = self.take(call, args) else { return Typed::error() };
        let mut parts = Vec::new();
        for arg in [word, number] {
            let typed = self.expr(arg, scope);
            match &typed.ty {
                Ty::Error => return Typed::error(),
                Ty::Enum(_) => parts.push(typed),
                Ty::Number(found) if !found.real && found.unit.is_none() => parts.push(typed),
                ty => {
                    let fault = Diagnostic::new("E203", arg.span, "`bit` needs an integer without unit");
                    return self.wrong(fault.here(format!("this is {}", ty.describe())));
                }
            }
        }
        if let Some(Value::Int(bit)) = parts.get(1).and_then(Typed::constant)
            && !(0..64).contains(bit)
        {
            return self.wrong(Diagnostic::new("E208", number.span, "bits are numbered from 0 to 63"));
        }
        Typed::new(Expr::Call(Function::Bit, parts.into_iter().map(|part| part.expr).collect()), Ty::Bool)
    }

    /// A text that is known now.
    fn fixed_text(&mut self, arg: &ast::Expr, scope: &Scope<'_>) -> Option<String> {
        let typed = self.expr(arg, scope);
        match typed.constant() {
            _ if typed.is_error() => None,
            Some(Value::Text(text)) => Some(text.to_string()),
            _ => {
                self.report.push(Diagnostic::new("E210", arg.span, "a fixed text is needed here"));
                None
            }
        }
    }

    fn within(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        if scope.constant {
            let fault = Diagnostic::new("E210", call.span, "a fixed value is needed here");
            return self.wrong(fault.here("this changes at run time"));
        }
        let Some(text) = self.fixed_text(arg, scope) else { return Typed::error() };
        match WeekSchedule::parse(&text, &self.world.timezone) {
            Ok(schedule) => Typed::new(Expr::Call(Function::Within(schedule), Vec::new()), Ty::Bool),
            Err(why) => {
                let fault = Diagnostic::new("E211", arg.span, why);
                self.wrong(fault.help("write it like `Mon-Fri 06:00-22:00; Sat 08:00-12:00`"))
            }
        }
    }

    fn json(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let Some([text, pointer]) = self.take(call, args) else { return Typed::error() };
        let Some(text) = self.text_argument(text, scope) else { return Typed::error() };
        let at = pointer.span;
        let Some(pointer) = self.fixed_text(pointer, scope) else { return Typed::error() };
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let fault = Diagnostic::new("E208", at, "a place in a JSON text starts with `/`");
            return self
                .wrong(fault.help(format!("write \"/{pointer}\"")).fix_here(format!("\"/{pointer}\"")));
        }
        Typed { expr: Expr::Call(Function::JsonNumber(pointer.into()), vec![text.expr]), ty: Ty::Json }
    }

    fn text_argument(&mut self, arg: &ast::Expr, scope: &Scope<'_>) -> Option<Typed> {
        let typed = self.expr(arg, scope);
        match &typed.ty {
            Ty::Error => None,
            Ty::Text => Some(typed),
            Ty::Json => Some(super::as_json(typed, &Ty::Text)),
            ty => {
                let fault = Diagnostic::new("E203", arg.span, "text is needed here");
                self.report.push(fault.here(format!("this is {}", ty.describe())));
                None
            }
        }
    }

    fn of_text(&mut self, call: &Call, args: &[&ast::Expr], scope: &Scope<'_>) -> Typed {
        let (function, ty, count) = match call.name.text.as_str() {
            "length" => (Function::Length, Ty::plain(false), 1),
            "lower" => (Function::Lower, Ty::Text, 1),
            "upper" => (Function::Upper, Ty::Text, 1),
            _ => (Function::Contains, Ty::Bool, 2),
        };
        if args.len() != count {
            let message = format!("`{}` takes {count} argument(s), not {}", call.name, args.len());
            return self.wrong(Diagnostic::new("E112", call.span, message));
        }
        let parts: Option<Vec<_>> = args.iter().map(|arg| self.text_argument(arg, scope)).collect();
        match parts {
            Some(parts) => {
                Typed::new(Expr::Call(function, parts.into_iter().map(|part| part.expr).collect()), ty)
            }
            None => Typed::error(),
        }
    }

    /// `sum_of(meter[*].power)`: the argument once for each device of the family.
    fn over_devices(&mut self, call: &Call, args: &[&ast::Expr], span: Span, scope: &Scope<'_>) -> Typed {
        let Some([arg]) = self.take(call, args) else { return Typed::error() };
        let Some((family, devices)) = self.picked(arg, call) else { return Typed::error() };
        let conditions = matches!(call.name.text.as_str(), "any_of" | "all_of" | "count_of");
        let points = (call.name.text == "sum_of").then_some("summed");
        let mut values = Vec::with_capacity(devices.len());
        for device in devices {
            let scope = Scope { pick: Some(Pick { family: &family, device }), ..scope.clone() };
            let value = if conditions {
                let why = format!("`{}` needs a condition", call.name);
                Some(self.condition(arg, &why, &scope)).filter(|typed| !typed.is_error())
            } else {
                self.number(arg, points, &scope).map(|(typed, _)| typed)
            };
            // the others are made of the same template: their errors would be the same
            let Some(value) = value else { return Typed::error() };
            values.push((value, arg.span));
        }
        let function = match call.name.text.as_str() {
            "sum_of" => Function::SumOf,
            "avg_of" => Function::AvgOf,
            "min_of" => Function::MinOf,
            "max_of" => Function::MaxOf,
            "any_of" => Function::AnyOf,
            "all_of" => Function::AllOf,
            _ => Function::CountOf,
        };
        if values.is_empty() {
            return self.wrong(Diagnostic::new("E308", span, "no device is left here"));
        }
        if conditions {
            let ty = if function == Function::CountOf { Ty::plain(false) } else { Ty::Bool };
            return Typed::new(
                Expr::Call(function, values.into_iter().map(|(value, _)| value.expr).collect()),
                ty,
            );
        }
        let Some(values) = self.brought_together(values) else { return Typed::error() };
        let unit =
            values.first().and_then(Typed::as_number).map_or(Unit::none(), |number| number.unit.clone());
        let parts = values.into_iter().map(|value| value.into_real().expr).collect();
        Typed::new(Expr::Call(function, parts), Ty::number(true, unit))
    }

    /// The family that the argument of `sum_of` runs over, and its devices.
    fn picked(&mut self, arg: &ast::Expr, call: &Call) -> Option<(String, Vec<usize>)> {
        let mut many = Vec::new();
        for_each_path(arg, &mut |path, _| {
            if let Some(members) = &path.members
                && !matches!(members.pick, MemberPick::One(_))
            {
                many.push((path.root.text.clone(), members.clone(), path.span));
            }
        });
        let Some((family, members, at)) = many.first().cloned() else {
            let fault = Diagnostic::new(
                "E112",
                arg.span,
                format!("`{}` runs over the devices of a family", call.name),
            );
            self.report.push(fault.help(format!("write `{}(meter[*].power)`", call.name)));
            return None;
        };
        if let Some((_, _, other)) =
            many.iter().find(|(name, other, _)| *name != family || other.pick_differs(&members))
        {
            let fault = Diagnostic::new("E112", *other, "one expression runs over one family");
            self.report.push(fault.label(at, "the first one"));
            return None;
        }
        let Some(found) = self.world.families.get(family.as_str()) else {
            // says what is wrong with the name
            self.expr(arg, &Scope::default());
            return None;
        };
        let (first, last) = match &members.pick {
            MemberPick::Range(first, last) => {
                (first.text.parse().unwrap_or(0), last.text.parse().unwrap_or(u64::MAX))
            }
            _ => (0, u64::MAX),
        };
        let devices =
            found.devices.iter().filter(|(number, _)| (first..=last).contains(*number)).map(|(_, d)| *d);
        Some((family, devices.collect()))
    }
}

/// True for `value` in a flow.
fn is_value_word(arg: &ast::Expr, scope: &Scope<'_>) -> bool {
    let ast::ExprKind::Path(path) = &arg.kind else { return false };
    scope.head.is_some() && path.root.text == "value" && path.rest.is_empty() && path.members.is_none()
}

/// `good(value)` asks for the quality of the sample, whatever its type.
fn good_sample() -> Typed {
    let quality = Expr::Word(gwp_plan::Word::Quality);
    let good = Expr::Const(Value::Int(0));
    Typed::new(Expr::Binary(gwp_plan::BinaryOp::Eq, Box::new(quality), Box::new(good)), Ty::Bool)
}

/// Calls `visit` with every path of an expression, and with what may be one behind a number: `1/x`. The flag says that
/// `previous` asks for the value before.
pub(crate) fn for_each_path(expr: &ast::Expr, visit: &mut dyn FnMut(&ast::Path, bool)) {
    use ast::ExprKind;
    match &expr.kind {
        ExprKind::Path(path) => visit(path, false),
        ExprKind::Quantity(quantity) => {
            if let Some((_, below)) = quantity.unit.as_ref().and_then(|unit| unit.text.split_once('/')) {
                visit(&super::units::path_of(below, expr.span), false);
            }
        }
        ExprKind::Instant(_) | ExprKind::Clock(_) => {}
        ExprKind::Text(text) => {
            for part in &text.parts {
                if let ast::TextPart::Insert(insert) = part {
                    for_each_path(insert, visit);
                }
            }
        }
        ExprKind::Call(call) => match call.args.as_slice() {
            [arg] if call.name.text == "previous" && bare_path(&arg.value).is_some() => {
                for_each_path(&arg.value, &mut |path, _| visit(path, true));
            }
            args => args.iter().for_each(|arg| for_each_path(&arg.value, visit)),
        },
        ExprKind::Group(inner) | ExprKind::Unary(_, inner) => for_each_path(inner, visit),
        ExprKind::Binary(binary) => {
            for_each_path(&binary.left, visit);
            for_each_path(&binary.right, visit);
        }
        ExprKind::If(choice) => {
            for_each_path(&choice.condition, visit);
            for_each_path(&choice.then, visit);
            for_each_path(&choice.or_else, visit);
        }
    }
}
