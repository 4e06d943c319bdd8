//! Types of expressions, and expressions that know their type.

use std::sync::Arc;

use gwp_core::{Kind, Timestamp, Value};
use gwp_plan::eval::{Frame, Latest, Slots, compile};
use gwp_plan::{BinaryOp, Expr, Function, Linear, Type};

use crate::units::{Unit, quantity_name};

/// Labels of an enum by raw value, ascending.
pub(crate) type Labels = Arc<[(i64, Arc<str>)]>;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Ty {
    /// Already reported; silences what follows from it.
    Error,
    Bool,
    Number(Number),
    Text,
    Time,
    Enum(Labels),
    /// A part of a JSON text, whose type follows from where it is used.
    Json,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Number {
    /// Computed as floating point, else as 64 bit integer.
    pub real: bool,
    pub unit: Unit,
}

impl Ty {
    pub(crate) fn number(real: bool, unit: Unit) -> Ty {
        Ty::Number(Number { real, unit })
    }

    /// A number without a unit.
    pub(crate) fn plain(real: bool) -> Ty {
        Ty::number(real, Unit::none())
    }

    /// The type in plant words: `a power (kW)`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Ty::Error => "something unknown".to_owned(),
            Ty::Bool => "true or false".to_owned(),
            Ty::Number(number) if number.unit.is_none() => "a plain number".to_owned(),
            Ty::Number(number) => describe_unit(&number.unit),
            Ty::Text => "text".to_owned(),
            Ty::Time => "a point in time".to_owned(),
            Ty::Enum(_) => "an enum".to_owned(),
            Ty::Json => "a part of a JSON text".to_owned(),
        }
    }

    /// Kind of the samples of a tag of this type.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Ty::Bool => Kind::Bool,
            Ty::Number(Number { real: true, .. }) => Kind::Float,
            Ty::Number(_) | Ty::Enum(_) => Kind::Int,
            Ty::Text => Kind::Text,
            Ty::Time => Kind::Time,
            Ty::Error | Ty::Json => Kind::Nothing,
        }
    }

    /// Type by which the evaluator reads a tag of this type.
    pub(crate) fn plan_type(&self) -> Type {
        match self {
            Ty::Bool => Type::Bool,
            Ty::Number(Number { real: false, .. }) | Ty::Enum(_) => Type::Int,
            Ty::Text => Type::Text,
            Ty::Time => Type::Time,
            Ty::Number(_) | Ty::Error | Ty::Json => Type::Float,
        }
    }
}

/// `a power (kW)`, `a percentage`.
pub(crate) fn describe_unit(unit: &Unit) -> String {
    match (&*unit.text, unit.dim.is_none()) {
        ("", _) => quantity_name(&unit.dim).to_owned(),
        (text, true) => format!("a ratio ({text})"),
        (text, false) => format!("{} ({text})", quantity_name(&unit.dim)),
    }
}

/// A lowered expression with its type. The value of a number is in the unit of its type.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Typed {
    pub expr: Expr,
    pub ty: Ty,
}

impl Typed {
    pub(crate) fn new(expr: Expr, ty: Ty) -> Typed {
        Typed { expr: fold(expr), ty }
    }

    /// Stands for what has been reported.
    pub(crate) fn error() -> Typed {
        Typed { expr: Expr::Const(Value::Bool(false)), ty: Ty::Error }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.ty == Ty::Error
    }

    pub(crate) fn constant(&self) -> Option<&Value> {
        match &self.expr {
            Expr::Const(value) => Some(value),
            _ => None,
        }
    }

    /// The number type, if it is one.
    pub(crate) fn as_number(&self) -> Option<&Number> {
        match &self.ty {
            Ty::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A number as floating point in its unit.
    pub(crate) fn into_real(self) -> Typed {
        match self.ty {
            Ty::Number(Number { real: false, unit }) => {
                Typed::new(Expr::ToFloat(Box::new(self.expr)), Ty::number(true, unit))
            }
            ty => Typed { expr: self.expr, ty },
        }
    }

    /// A number in another unit of its dimension; integers stay integers only if nothing has to be computed.
    pub(crate) fn into_unit(self, unit: &Unit) -> Typed {
        let Ty::Number(number) = &self.ty else { return self };
        let (gain, offset) = number.unit.to(unit);
        if gain == 1.0 && offset == 0.0 {
            let ty = Ty::number(number.real, unit.clone());
            return Typed { expr: self.expr, ty };
        }
        let mut expr = self.into_real().expr;
        let with = |op, expr, by| Expr::Binary(op, Box::new(expr), Box::new(Expr::Const(Value::Float(by))));
        let [gain, offset, divisor] = Linear { gain, offset }.parts();
        for (op, by, neutral) in
            [(BinaryOp::Mul, gain, 1.0), (BinaryOp::Add, offset, 0.0), (BinaryOp::Div, divisor, 1.0)]
        {
            if by != neutral {
                // Folded at once, so that a constant stays one.
                expr = fold(with(op, expr, by));
            }
        }
        Typed::new(expr, Ty::number(true, unit.clone()))
    }

    /// A number literal or anything else as a constant number in a unit of its dimension.
    pub(crate) fn number_in(self, unit: &Unit) -> Option<f64> {
        let value = self.into_unit(unit);
        value.constant().and_then(Value::as_f64)
    }
}

/// Evaluates an expression whose parts are constants. Parts that are bad (a division by zero) stay as they are.
fn fold(expr: Expr) -> Expr {
    let constant = |part: &Expr| matches!(part, Expr::Const(_));
    let foldable = match &expr {
        Expr::Neg(a) | Expr::Not(a) | Expr::ToFloat(a) | Expr::ToInt(a) | Expr::ToText(a) => constant(a),
        Expr::Binary(_, a, b) | Expr::Otherwise(a, b) => constant(a) && constant(b),
        Expr::If(a, b, c) => constant(a) && constant(b) && constant(c),
        Expr::Call(Function::Within(_), _) => false,
        Expr::Call(_, args) => !args.is_empty() && args.iter().all(constant),
        _ => false,
    };
    if !foldable {
        return expr;
    }
    let compiled = compile(&expr, &mut Slots::default());
    let frame = Frame { latest: &Latest::new(0), time: Timestamp(0), sample: None };
    match compiled.value(&frame) {
        (value, quality) if quality.is_good() && value != Value::Nothing => Expr::Const(value),
        _ => expr,
    }
}
