//! Typed expressions: what the compiler lowers calcs and conditions to.
//!
//! Units are gone: the compiler has folded their factors into constants. Names
//! are gone: tags are ids, enum labels are their numbers, constants are values.

use gwp_core::{TagId, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Type of an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Type {
    Bool,
    /// 64-bit signed; a `ulint` beyond it reads as bad(overflow).
    Int,
    Float,
    Text,
    /// Nanoseconds UTC.
    Time,
}

/// An expression. The compiler has checked it, so an ill-typed tree is a defect;
/// the evaluator answers it with bad(not_a_number) instead of panicking.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Expr {
    /// A value that is not [`Value::Nothing`].
    Const(Value),
    /// The latest sample of a tag, read with the given type.
    Tag(TagId, Type),
    /// A word of the current sample; only in stages of a route.
    Word(Word),
    /// A result computed before, next to the expression: of an operator, an aggregate, a column.
    Local(u32, Type),
    /// `-x`: int (checked) or float.
    Neg(Box<Expr>),
    Not(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `if a then b else c`; both branches have one type.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `x otherwise y`: y, uncertain(substituted), where x is bad.
    Otherwise(Box<Expr>, Box<Expr>),
    /// `good(x)`: bool, itself always good.
    Good(Box<Expr>),
    /// `x.quality`: int 0 good, 1 uncertain, 2 bad; itself always good.
    Quality(Box<Expr>),
    /// `x.time` of a tag's latest sample.
    TimeOf(TagId),
    /// Int to float. Also folds a bool to 0 or 1.
    ToFloat(Box<Expr>),
    /// Float to int, rounded half away from zero; bad(overflow) beyond 64 bits.
    ToInt(Box<Expr>),
    /// Any type to text, as shown to people.
    ToText(Box<Expr>),
    Call(Function, Vec<Expr>),
}

/// Words of the sample that passes a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// Its value, read with this type.
    Value(Type),
    /// Int 0 good, 1 uncertain, 2 bad.
    Quality,
    Time,
    /// `device.tag`
    Path,
    Device,
    Tag,
    /// The flow's name.
    Flow,
    /// Int: the number of the sample's device in its family; bad of a device that is in none.
    Index,
}

/// Operators on two operands of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BinaryOp {
    /// Int (checked), float; text joins.
    Add,
    /// Int (checked), float; time - time gives float seconds.
    Sub,
    /// Int (checked), float.
    Mul,
    /// Float.
    Div,
    /// Remainder with the sign of the divisor: int, float.
    Mod,
    /// Time + float seconds.
    TimeAdd,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl BinaryOp {
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

/// Functions without state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Function {
    /// Int (checked) or float.
    Abs,
    /// Float to float.
    Sqrt,
    Exp,
    Ln,
    Log10,
    Sin,
    Cos,
    Tan,
    /// `power(x, y)`, floats.
    Power,
    /// Float to float; half away from zero.
    Round,
    Floor,
    Ceil,
    /// Two or more of one number type.
    Min,
    Max,
    /// `bit(word, n)`: bool; n is 0 to 63.
    Bit,
    /// Numbers of several devices; bad ones make the result bad. Float.
    SumOf,
    AvgOf,
    MinOf,
    MaxOf,
    /// Bools of several devices.
    AnyOf,
    AllOf,
    /// How many are true: int.
    CountOf,
    /// Texts joined: the inserts of a text.
    Join,
    /// `json(text, "/a/b")`: RFC 6901 pointer; a number as float.
    JsonNumber(Arc<str>),
    /// The same for text.
    JsonText(Arc<str>),
    /// The same for bool.
    JsonBool(Arc<str>),
    /// `within("Mon-Fri 06:00-22:00")` at the evaluation's time: bool.
    Within(crate::schedule::WeekSchedule),
    /// Text functions: length (int), lower and upper case, does the first contain the second.
    Length,
    Lower,
    Upper,
    Contains,
    /// A float as text for people: the nearest number of six digits.
    SixDigits,
}

impl Expr {
    /// Its type; `None` for an ill-typed tree.
    pub fn ty(&self) -> Option<Type> {
        Some(match self {
            Expr::Const(value) => match value {
                Value::Bool(_) => Type::Bool,
                Value::Int(_) | Value::UInt(_) => Type::Int,
                Value::Float(_) => Type::Float,
                Value::Text(_) => Type::Text,
                Value::Time(_) => Type::Time,
                Value::Nothing | Value::Bytes(_) => return None,
            },
            Expr::Tag(_, ty) | Expr::Local(_, ty) | Expr::Word(Word::Value(ty)) => *ty,
            Expr::Word(Word::Quality | Word::Index) | Expr::Quality(_) | Expr::ToInt(_) => Type::Int,
            Expr::Word(Word::Time) | Expr::TimeOf(_) => Type::Time,
            Expr::Word(_) | Expr::ToText(_) => Type::Text,
            Expr::Neg(inner) => inner.ty()?,
            Expr::Not(_) | Expr::Good(_) => Type::Bool,
            Expr::ToFloat(_) => Type::Float,
            Expr::If(_, then, _) => then.ty()?,
            Expr::Otherwise(first, _) => first.ty()?,
            Expr::Binary(op, left, right) => binary_type(*op, left.ty()?, right.ty()?)?,
            Expr::Call(function, args) => function.ty(args)?,
        })
    }

    /// Calls `visit` with it and every expression in it.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match self {
            Expr::Const(_) | Expr::Tag(..) | Expr::TimeOf(_) | Expr::Word(_) | Expr::Local(..) => {}
            Expr::Neg(a)
            | Expr::Not(a)
            | Expr::Good(a)
            | Expr::Quality(a)
            | Expr::ToFloat(a)
            | Expr::ToInt(a)
            | Expr::ToText(a) => a.for_each(visit),
            Expr::Binary(_, a, b) | Expr::Otherwise(a, b) => {
                a.for_each(visit);
                b.for_each(visit);
            }
            Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|part| part.for_each(visit)),
            Expr::Call(_, args) => args.iter().for_each(|arg| arg.for_each(visit)),
        }
    }

    /// Calls `visit` with every tag it reads.
    pub fn for_each_tag(&self, visit: &mut dyn FnMut(TagId)) {
        self.for_each(&mut |expr| {
            if let Expr::Tag(tag, _) | Expr::TimeOf(tag) = expr {
                visit(*tag);
            }
        });
    }
}

fn binary_type(op: BinaryOp, left: Type, right: Type) -> Option<Type> {
    use BinaryOp::*;
    Some(match (op, left, right) {
        (Add | Sub | Mul | Mod, Type::Int, Type::Int) => Type::Int,
        (Add | Sub | Mul | Div | Mod, Type::Float, Type::Float) => Type::Float,
        (Add, Type::Text, Type::Text) => Type::Text,
        (Sub, Type::Time, Type::Time) => Type::Float,
        (TimeAdd, Type::Time, Type::Float) => Type::Time,
        (And | Or, Type::Bool, Type::Bool) => Type::Bool,
        (Eq | Ne | Lt | Le | Gt | Ge, l, r) if l == r => Type::Bool,
        _ => return None,
    })
}

impl Function {
    fn ty(&self, args: &[Expr]) -> Option<Type> {
        Some(match self {
            Function::Abs | Function::Min | Function::Max => args.first()?.ty()?,
            Function::Bit
            | Function::AnyOf
            | Function::AllOf
            | Function::JsonBool(_)
            | Function::Within(_)
            | Function::Contains => Type::Bool,
            Function::CountOf | Function::Length => Type::Int,
            Function::Join
            | Function::JsonText(_)
            | Function::Lower
            | Function::Upper
            | Function::SixDigits => Type::Text,
            _ => Type::Float,
        })
    }
}
