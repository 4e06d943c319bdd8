//! Conditions over whole batches.
//!
//! The common forms (`value > 5`, `good(value)`, joined by `and`, `or`) run as
//! loops over columns; everything else runs its closure per sample. A sample
//! passes when the condition is true and not bad.

use crate::eval::{self, Eval, Frame, Latest, SampleRef, Slots};
use crate::expr::{BinaryOp, Expr, Type, Word};
use crate::plan::Tag;
use gwp_core::batch::Kinds;
use gwp_core::{Batch, Kind, Qualities, Quality, Value};
use std::sync::Arc;

/// A compiled condition.
pub enum Mask {
    /// `value op constant`, for numbers.
    Compare {
        op: BinaryOp,
        constant: f64,
        general: Eval<bool>,
    },
    /// `quality == "good"`.
    Good,
    /// `good(value)`: the value must be one of its type as well.
    GoodValue {
        of: Type,
        general: Eval<bool>,
    },
    And(Box<Mask>, Box<Mask>),
    Or(Box<Mask>, Box<Mask>),
    PerSample(Eval<bool>),
}

/// What a condition sees besides the batch.
pub struct Scene<'a> {
    pub latest: &'a Latest,
    pub tags: &'a [Tag],
    pub flow: &'a Arc<str>,
}

impl Mask {
    pub fn compile(expr: &Expr, slots: &mut Slots) -> Mask {
        match expr {
            Expr::Binary(BinaryOp::And, a, b) => {
                Mask::And(Box::new(Mask::compile(a, slots)), Box::new(Mask::compile(b, slots)))
            }
            Expr::Binary(BinaryOp::Or, a, b) => {
                Mask::Or(Box::new(Mask::compile(a, slots)), Box::new(Mask::compile(b, slots)))
            }
            Expr::Good(inner) => match **inner {
                Expr::Word(Word::Value(of)) => Mask::GoodValue { of, general: eval::bools(expr, slots) },
                _ => Mask::PerSample(eval::bools(expr, slots)),
            },
            Expr::Binary(BinaryOp::Eq, a, b)
                if **a == Expr::Word(Word::Quality) && **b == Expr::Const(Value::Int(0)) =>
            {
                Mask::Good
            }
            Expr::Binary(op, a, b) if op.is_comparison() => match (&**a, &**b) {
                (Expr::Word(Word::Value(Type::Float)), Expr::Const(Value::Float(constant))) => {
                    Mask::Compare { op: *op, constant: *constant, general: eval::bools(expr, slots) }
                }
                _ => Mask::PerSample(eval::bools(expr, slots)),
            },
            _ => Mask::PerSample(eval::bools(expr, slots)),
        }
    }

    /// Clears `pass[i]` of every sample that does not pass.
    pub fn apply(&self, batch: &Batch, scene: &Scene<'_>, pass: &mut [bool]) {
        match self {
            Mask::And(a, b) => {
                a.apply(batch, scene, pass);
                b.apply(batch, scene, pass);
            }
            Mask::Or(a, b) => {
                let mut other = pass.to_vec();
                a.apply(batch, scene, pass);
                b.apply(batch, scene, &mut other);
                pass.iter_mut().zip(other).for_each(|(pass, other)| *pass |= other);
            }
            Mask::Good => retain_quality(batch, pass, Quality::is_good),
            Mask::GoodValue { of, general } => match (&batch.values.kinds, of) {
                (Kinds::Same(Kind::Float), Type::Float) => {
                    let cells = batch.values.cells.iter();
                    cells.zip(&mut *pass).for_each(|(&cell, pass)| *pass &= f64::from_bits(cell).is_finite());
                    retain_quality(batch, pass, Quality::is_good);
                }
                (Kinds::Same(Kind::Int), Type::Float | Type::Int)
                | (Kinds::Same(Kind::Bool), Type::Bool)
                | (Kinds::Same(Kind::Text), Type::Text) => retain_quality(batch, pass, Quality::is_good),
                _ => per_sample(general, batch, scene, pass),
            },
            Mask::Compare { op, constant, general } => match &batch.values.kinds {
                Kinds::Same(Kind::Float) => {
                    compare(*op, *constant, &batch.values.cells, f64::from_bits, pass);
                    retain_quality(batch, pass, |quality| !quality.is_bad());
                }
                Kinds::Same(Kind::Int) => {
                    compare(*op, *constant, &batch.values.cells, |cell| cell as i64 as f64, pass);
                    retain_quality(batch, pass, |quality| !quality.is_bad());
                }
                _ => per_sample(general, batch, scene, pass),
            },
            Mask::PerSample(condition) => per_sample(condition, batch, scene, pass),
        }
    }
}

/// One loop per operator, so that each is a plain vectorisable comparison.
fn compare(op: BinaryOp, constant: f64, cells: &[u64], read: impl Fn(u64) -> f64, pass: &mut [bool]) {
    macro_rules! run {
        ($op:tt) => {
            cells.iter().zip(pass).for_each(|(&cell, pass)| {
                let value = read(cell);
                // A number that is not finite is bad and never passes.
                *pass &= (value $op constant) & value.is_finite();
            })
        };
    }
    match op {
        BinaryOp::Eq => run!(==),
        BinaryOp::Ne => run!(!=),
        BinaryOp::Lt => run!(<),
        BinaryOp::Le => run!(<=),
        BinaryOp::Gt => run!(>),
        BinaryOp::Ge => run!(>=),
        _ => pass.fill(false),
    }
}

pub(crate) fn retain_quality(batch: &Batch, pass: &mut [bool], keep: impl Fn(Quality) -> bool) {
    match &batch.qualities {
        Qualities::Same(quality) if keep(*quality) => {}
        Qualities::Same(_) => pass.fill(false),
        Qualities::Each(all) => all.iter().zip(pass).for_each(|(quality, pass)| *pass &= keep(*quality)),
    }
}

fn per_sample(condition: &Eval<bool>, batch: &Batch, scene: &Scene<'_>, pass: &mut [bool]) {
    for (index, pass) in pass.iter_mut().enumerate().filter(|(_, pass)| **pass) {
        let sample = SampleRef { batch, index, tags: scene.tags, flow: scene.flow };
        let frame = Frame { latest: scene.latest, time: batch.times.get(index), sample: Some(sample) };
        let (value, quality) = condition(&frame);
        *pass = value && !quality.is_bad();
    }
}
