//! Evaluation: expressions become typed closures over the latest values.
//!
//! A closure yields (value, quality). Of a bad result the value is never looked
//! at. Quality is the worst of the inputs actually used; nothing panics: an
//! overflow, a division by zero or a missing input is a bad result.

mod functions;
mod slots;
#[cfg(test)]
mod tests;

pub use slots::Slots;

use crate::expr::{BinaryOp, Expr, Type, Word};
use crate::plan::Tag;
use gwp_core::quality::Severity;
use gwp_core::time::NS_PER_S;
use gwp_core::{Batch, Kind, Quality, Timestamp, Value};
use std::sync::Arc;

/// A compiled expression of one type.
pub type Eval<T> = Box<dyn Fn(&Frame<'_>) -> (T, Quality) + Send + Sync>;

/// A compiled expression.
pub enum Compiled {
    Bool(Eval<bool>),
    Int(Eval<i64>),
    Float(Eval<f64>),
    Text(Eval<Arc<str>>),
    Time(Eval<i64>),
}

/// What an expression sees.
pub struct Frame<'a> {
    pub latest: &'a Latest,
    /// Event time of the evaluation.
    pub time: Timestamp,
    /// The sample that passes a stage; none in a calc.
    pub sample: Option<SampleRef<'a>>,
}

/// One sample of a batch, with the names around it.
#[derive(Clone, Copy)]
pub struct SampleRef<'a> {
    pub batch: &'a Batch,
    pub index: usize,
    pub tags: &'a [Tag],
    pub flow: &'a Arc<str>,
}

/// Latest sample of each tag that expressions read, by slot.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    // One array: a slot is one place in memory, and lanes with many windows wait for memory.
    slots: Vec<Slot>,
    texts: Vec<Option<Arc<str>>>,
}

/// A sample as [`Column`](gwp_core::Column) holds it; the text of one stands beside it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    cell: u64,
    time: Timestamp,
    quality: Quality,
    kind: Kind,
}

impl Latest {
    /// No sample yet, `len` slots.
    pub fn new(len: usize) -> Self {
        let none =
            Slot { cell: 0, time: Timestamp::default(), quality: Quality::WAITING, kind: Kind::Nothing };
        Latest { slots: vec![none; len], texts: vec![None; len] }
    }

    /// Takes over sample `index` of a batch.
    pub fn take(&mut self, slot: usize, batch: &Batch, index: usize) {
        let kind = batch.values.kind(index);
        self.slots[slot] = Slot {
            cell: batch.values.cells.get(index).copied().unwrap_or(0),
            time: batch.times.get(index),
            quality: batch.qualities.get(index),
            kind,
        };
        if kind == Kind::Text
            && let Value::Text(text) = batch.values.get(index)
        {
            self.texts[slot] = Some(text);
        }
    }

    /// Takes over sample `index` of a batch, unless it comes as backfill behind a newer one.
    pub fn take_unless_old(&mut self, slot: usize, batch: &Batch, index: usize) {
        if !batch.backfill || batch.times.get(index) >= self.slots[slot].time {
            self.take(slot, batch, index);
        }
    }

    /// Whether sample `index` of a batch is what the slot has already, whenever it was. A text counts as another one.
    pub fn has(&self, slot: usize, batch: &Batch, index: usize) -> bool {
        let Slot { cell, quality, kind, .. } = self.slots[slot];
        kind != Kind::Text
            && kind == batch.values.kind(index)
            && batch.values.cells.get(index) == Some(&cell)
            && batch.qualities.get(index) == quality
    }

    /// What a slot has already was said again at another time.
    pub fn stands_at(&mut self, slot: usize, time: Timestamp) {
        self.slots[slot].time = time;
    }

    /// Sets a slot from a single value.
    pub fn set(&mut self, slot: usize, value: Value, quality: Quality, time: Timestamp) {
        let kind = value.kind();
        let cell = match value {
            Value::Nothing | Value::Bytes(_) => 0,
            Value::Bool(value) => u64::from(value),
            Value::Int(value) => value as u64,
            Value::UInt(value) => value,
            Value::Float(value) => value.to_bits(),
            Value::Time(value) => value.0 as u64,
            Value::Text(text) => {
                self.texts[slot] = Some(text);
                0
            }
        };
        self.slots[slot] = Slot { cell, time, quality, kind };
    }

    /// Value, quality and time of a slot.
    pub fn get(&self, slot: usize) -> (Value, Quality, Timestamp) {
        let Slot { cell, time, quality, kind } = self.slots[slot];
        let value = match kind {
            Kind::Nothing | Kind::Bytes => Value::Nothing,
            Kind::Bool => Value::Bool(cell != 0),
            Kind::Int => Value::Int(cell as i64),
            Kind::UInt => Value::UInt(cell),
            Kind::Float => Value::Float(f64::from_bits(cell)),
            Kind::Time => Value::Time(Timestamp(cell as i64)),
            Kind::Text => self.texts[slot].clone().map_or(Value::Nothing, Value::Text),
        };
        (value, quality, time)
    }
}

/// Reads one cell as a number type; text never comes here.
fn as_int(cell: u64, kind: Kind, quality: Quality) -> (i64, Quality) {
    match kind {
        Kind::Int | Kind::Time | Kind::Bool => (cell as i64, quality),
        Kind::UInt => match i64::try_from(cell) {
            Ok(value) => (value, quality),
            Err(_) => (0, quality.worst(Quality::OVERFLOW)),
        },
        _ => (0, missing(quality)),
    }
}

fn as_float(cell: u64, kind: Kind, quality: Quality) -> (f64, Quality) {
    match kind {
        Kind::Float => {
            let value = f64::from_bits(cell);
            (value, if value.is_finite() { quality } else { quality.worst(Quality::NOT_A_NUMBER) })
        }
        Kind::Int => (cell as i64 as f64, quality),
        Kind::UInt => (cell as f64, quality),
        Kind::Bool => (f64::from(u8::from(cell != 0)), quality),
        _ => (0.0, missing(quality)),
    }
}

fn as_bool(cell: u64, kind: Kind, quality: Quality) -> (bool, Quality) {
    match kind {
        Kind::Bool | Kind::Int | Kind::UInt => (cell != 0, quality),
        _ => (false, missing(quality)),
    }
}

/// Quality of a value that is not there or has another type.
fn missing(quality: Quality) -> Quality {
    quality.worst(Quality::NOT_A_NUMBER)
}

pub(crate) const fn severity_number(quality: Quality) -> i64 {
    match quality.severity() {
        Severity::Good => 0,
        Severity::Uncertain => 1,
        Severity::Bad => 2,
    }
}

/// A result that must be a finite number.
pub(crate) fn finite(value: f64, quality: Quality) -> (f64, Quality) {
    if value.is_finite() { (value, quality) } else { (0.0, quality.worst(Quality::OVERFLOW)) }
}

pub(crate) fn checked(value: Option<i64>, quality: Quality) -> (i64, Quality) {
    match value {
        Some(value) => (value, quality),
        None => (0, quality.worst(Quality::OVERFLOW)),
    }
}

fn ill_typed<T: Clone + Send + Sync + 'static>(value: T) -> Eval<T> {
    Box::new(move |_| (value.clone(), Quality::NOT_A_NUMBER))
}

/// Compiles an expression; tags it reads get slots.
pub fn compile(expr: &Expr, slots: &mut Slots) -> Compiled {
    match expr.ty() {
        Some(Type::Bool) => Compiled::Bool(bools(expr, slots)),
        Some(Type::Int) => Compiled::Int(ints(expr, slots)),
        Some(Type::Float) | None => Compiled::Float(floats(expr, slots)),
        Some(Type::Text) => Compiled::Text(texts(expr, slots)),
        Some(Type::Time) => Compiled::Time(ints(expr, slots)),
    }
}

impl Compiled {
    /// Evaluates to a value; a bad result has none.
    pub fn value(&self, frame: &Frame<'_>) -> (Value, Quality) {
        let (value, quality) = match self {
            Compiled::Bool(eval) => map(eval(frame), Value::Bool),
            Compiled::Int(eval) => map(eval(frame), Value::Int),
            Compiled::Float(eval) => map(eval(frame), Value::Float),
            Compiled::Text(eval) => map(eval(frame), Value::Text),
            Compiled::Time(eval) => map(eval(frame), |ns| Value::Time(Timestamp(ns))),
        };
        (if quality.is_bad() { Value::Nothing } else { value }, quality)
    }
}

fn map<T>((value, quality): (T, Quality), wrap: impl Fn(T) -> Value) -> (Value, Quality) {
    (wrap(value), quality)
}

/// Compiles the parts that every type has: tags' fallback, `if`, `otherwise`.
macro_rules! common {
    ($expr:expr, $slots:expr, $compile:ident) => {
        match $expr {
            Expr::If(cond, then, other) => {
                let (cond, then, other) =
                    (bools(cond, $slots), $compile(then, $slots), $compile(other, $slots));
                return Box::new(move |frame| {
                    let (yes, quality) = cond(frame);
                    let (value, of_branch) = if yes { then(frame) } else { other(frame) };
                    (value, quality.worst(of_branch))
                });
            }
            Expr::Otherwise(first, second) => {
                let (first, second) = ($compile(first, $slots), $compile(second, $slots));
                return Box::new(move |frame| {
                    let (value, quality) = first(frame);
                    if !quality.is_bad() {
                        return (value, quality);
                    }
                    let (value, quality) = second(frame);
                    (value, Quality::SUBSTITUTED.worst(quality))
                });
            }
            _ => {}
        }
    };
}

/// Expressions of type float; ints are converted.
pub(crate) fn floats(expr: &Expr, slots: &mut Slots) -> Eval<f64> {
    if expr.ty() == Some(Type::Int) {
        return int_as_float(expr, slots);
    }
    common!(expr, slots, floats);
    match expr {
        Expr::Const(value) => match value.as_f64() {
            Some(value) => Box::new(move |_| (value, Quality::GOOD)),
            None => ill_typed(0.0),
        },
        Expr::Tag(..) | Expr::Local(..) => {
            let Some(slot) = slots.of(expr) else { return ill_typed(0.0) };
            Box::new(move |frame| {
                let latest = frame.latest;
                let Slot { cell, kind, quality, .. } = latest.slots[slot];
                as_float(cell, kind, quality)
            })
        }
        Expr::Word(Word::Value(_)) => Box::new(|frame| match frame.sample {
            Some(SampleRef { batch, index, .. }) => as_float(
                batch.values.cells.get(index).copied().unwrap_or(0),
                batch.values.kind(index),
                batch.qualities.get(index),
            ),
            None => (0.0, Quality::NOT_A_NUMBER),
        }),
        Expr::Neg(inner) => {
            let inner = floats(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner(frame);
                (-value, quality)
            })
        }
        Expr::ToFloat(inner) if inner.ty() == Some(Type::Bool) => {
            let inner = bools(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner(frame);
                (f64::from(u8::from(value)), quality)
            })
        }
        Expr::ToFloat(inner) => floats(inner, slots),
        Expr::Binary(BinaryOp::Sub, left, right) if left.ty() == Some(Type::Time) => {
            let (left, right) = (ints(left, slots), ints(right, slots));
            Box::new(move |frame| {
                let ((a, qa), (b, qb)) = (left(frame), right(frame));
                (a.saturating_sub(b) as f64 / NS_PER_S as f64, qa.worst(qb))
            })
        }
        Expr::Binary(op, left, right) if expr.ty() == Some(Type::Float) => {
            float_binary(*op, left, right, slots)
        }
        Expr::Call(function, args) if expr.ty() == Some(Type::Float) => {
            functions::call_floats(function, args, slots)
        }
        _ => ill_typed(0.0),
    }
}

/// An int is converted after it was computed, so that its overflows are the same everywhere.
fn int_as_float(expr: &Expr, slots: &mut Slots) -> Eval<f64> {
    // Scaling an int tag is the common case: one closure.
    if let Some(slot) = slots.of(expr) {
        return Box::new(move |frame| {
            let latest = frame.latest;
            let Slot { cell, kind, quality, .. } = latest.slots[slot];
            let (value, quality) = as_int(cell, kind, quality);
            (value as f64, quality)
        });
    }
    let inner = ints(expr, slots);
    Box::new(move |frame| {
        let (value, quality) = inner(frame);
        (value as f64, quality)
    })
}

fn float_binary(op: BinaryOp, left: &Expr, right: &Expr, slots: &mut Slots) -> Eval<f64> {
    // A constant operand is folded into the closure: scaling by a factor is the common case.
    if let (BinaryOp::Mul | BinaryOp::Add, Expr::Const(value)) = (op, right)
        && let Some(constant) = value.as_f64()
    {
        let left = floats(left, slots);
        return if op == BinaryOp::Mul {
            Box::new(move |frame| {
                let (value, quality) = left(frame);
                finite(value * constant, quality)
            })
        } else {
            Box::new(move |frame| {
                let (value, quality) = left(frame);
                finite(value + constant, quality)
            })
        };
    }
    let (left, right) = (floats(left, slots), floats(right, slots));
    macro_rules! both {
        (|$a:ident, $b:ident, $q:ident| $body:expr) => {
            Box::new(move |frame| {
                let (($a, qa), ($b, qb)) = (left(frame), right(frame));
                let $q = qa.worst(qb);
                $body
            })
        };
    }
    match op {
        BinaryOp::Add => both!(|a, b, q| finite(a + b, q)),
        BinaryOp::Sub => both!(|a, b, q| finite(a - b, q)),
        BinaryOp::Mul => both!(|a, b, q| finite(a * b, q)),
        BinaryOp::Div => both!(|a, b, q| match b {
            0.0 => (0.0, q.worst(Quality::DIVISION_BY_ZERO)),
            _ => finite(a / b, q),
        }),
        BinaryOp::Mod => both!(|a, b, q| match b {
            0.0 => (0.0, q.worst(Quality::DIVISION_BY_ZERO)),
            _ => finite(a - b * (a / b).floor(), q),
        }),
        _ => ill_typed(0.0),
    }
}

/// Expressions of type int, and times as nanoseconds.
pub(crate) fn ints(expr: &Expr, slots: &mut Slots) -> Eval<i64> {
    common!(expr, slots, ints);
    match expr {
        Expr::Const(Value::Int(value)) => {
            let value = *value;
            Box::new(move |_| (value, Quality::GOOD))
        }
        Expr::Const(Value::UInt(value)) => {
            let value = as_int(*value, Kind::UInt, Quality::GOOD);
            Box::new(move |_| value)
        }
        Expr::Const(Value::Time(Timestamp(ns))) => {
            let ns = *ns;
            Box::new(move |_| (ns, Quality::GOOD))
        }
        Expr::Tag(..) | Expr::Local(..) => {
            let Some(slot) = slots.of(expr) else { return ill_typed(0) };
            Box::new(move |frame| {
                let latest = frame.latest;
                let Slot { cell, kind, quality, .. } = latest.slots[slot];
                as_int(cell, kind, quality)
            })
        }
        Expr::TimeOf(tag) => {
            let slot = slots.slot(*tag);
            Box::new(move |frame| {
                let Slot { time, kind, .. } = frame.latest.slots[slot];
                let known = kind != Kind::Nothing || time.0 != 0;
                (time.0, if known { Quality::GOOD } else { Quality::WAITING })
            })
        }
        Expr::Word(word) => word_int(*word),
        Expr::Quality(inner) => {
            let quality = quality_of(inner, slots);
            Box::new(move |frame| (severity_number(quality(frame)), Quality::GOOD))
        }
        Expr::Neg(inner) => {
            let inner = ints(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner(frame);
                checked(value.checked_neg(), quality)
            })
        }
        Expr::ToInt(inner) => {
            let inner = floats(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner(frame);
                let value = value.round();
                // i64::MIN is a float, i64::MAX is not: the next one above is 2^63.
                let fits = (i64::MIN as f64..-(i64::MIN as f64)).contains(&value);
                checked(fits.then_some(value as i64), quality)
            })
        }
        Expr::Binary(BinaryOp::TimeAdd, left, right) => {
            let (left, right) = (ints(left, slots), floats(right, slots));
            Box::new(move |frame| {
                let ((time, qa), (seconds, qb)) = (left(frame), right(frame));
                (time.saturating_add((seconds * NS_PER_S as f64) as i64), qa.worst(qb))
            })
        }
        Expr::Binary(op, left, right) if expr.ty() == Some(Type::Int) => int_binary(*op, left, right, slots),
        Expr::Call(function, args) if expr.ty() == Some(Type::Int) => {
            functions::call_ints(function, args, slots)
        }
        _ => ill_typed(0),
    }
}

fn word_int(word: Word) -> Eval<i64> {
    Box::new(move |frame| {
        let Some(SampleRef { batch, index, tags, .. }) = frame.sample else {
            return (frame.time.0, if word == Word::Time { Quality::GOOD } else { Quality::NOT_A_NUMBER });
        };
        match word {
            Word::Value(_) => as_int(
                batch.values.cells.get(index).copied().unwrap_or(0),
                batch.values.kind(index),
                batch.qualities.get(index),
            ),
            Word::Quality => (severity_number(batch.qualities.get(index)), Quality::GOOD),
            Word::Time => (batch.times.get(index).0, Quality::GOOD),
            Word::Index => {
                let tag = batch.tags.get(index).and_then(|tag| tags.get(tag.index()));
                let member = tag.and_then(|tag| tag.family.as_ref());
                member.map_or((0, Quality::NOT_A_NUMBER), |member| (member.index, Quality::GOOD))
            }
            _ => (0, Quality::NOT_A_NUMBER),
        }
    })
}

fn int_binary(op: BinaryOp, left: &Expr, right: &Expr, slots: &mut Slots) -> Eval<i64> {
    let (left, right) = (ints(left, slots), ints(right, slots));
    Box::new(move |frame| {
        let ((a, qa), (b, qb)) = (left(frame), right(frame));
        let quality = qa.worst(qb);
        match op {
            BinaryOp::Add => checked(a.checked_add(b), quality),
            BinaryOp::Sub => checked(a.checked_sub(b), quality),
            BinaryOp::Mul => checked(a.checked_mul(b), quality),
            BinaryOp::Mod if b == 0 => (0, quality.worst(Quality::DIVISION_BY_ZERO)),
            BinaryOp::Mod => {
                let rest = a.wrapping_rem(b);
                (if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }, quality)
            }
            _ => (0, Quality::NOT_A_NUMBER),
        }
    })
}

/// Expressions of type bool.
pub(crate) fn bools(expr: &Expr, slots: &mut Slots) -> Eval<bool> {
    common!(expr, slots, bools);
    match expr {
        Expr::Const(Value::Bool(value)) => {
            let value = *value;
            Box::new(move |_| (value, Quality::GOOD))
        }
        Expr::Tag(..) | Expr::Local(..) => {
            let Some(slot) = slots.of(expr) else { return ill_typed(false) };
            Box::new(move |frame| {
                let latest = frame.latest;
                let Slot { cell, kind, quality, .. } = latest.slots[slot];
                as_bool(cell, kind, quality)
            })
        }
        Expr::Word(Word::Value(_)) => Box::new(|frame| match frame.sample {
            Some(SampleRef { batch, index, .. }) => as_bool(
                batch.values.cells.get(index).copied().unwrap_or(0),
                batch.values.kind(index),
                batch.qualities.get(index),
            ),
            None => (false, Quality::NOT_A_NUMBER),
        }),
        Expr::Not(inner) => {
            let inner = bools(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner(frame);
                (!value, quality)
            })
        }
        Expr::Good(inner) => {
            let quality = quality_of(inner, slots);
            Box::new(move |frame| (quality(frame).is_good(), Quality::GOOD))
        }
        Expr::Binary(op @ (BinaryOp::And | BinaryOp::Or), left, right) => {
            // The operand that decides alone: false for `and`, true for `or`.
            let decides = *op == BinaryOp::Or;
            let (left, right) = (bools(left, slots), bools(right, slots));
            Box::new(move |frame| {
                let (a, qa) = left(frame);
                if a == decides && !qa.is_bad() {
                    return (decides, qa);
                }
                let (b, qb) = right(frame);
                if b == decides && !qb.is_bad() { (decides, qb) } else { (!decides, qa.worst(qb)) }
            })
        }
        Expr::Binary(op, left, right) if op.is_comparison() => comparison(*op, left, right, slots),
        Expr::Call(function, args) => functions::call_bools(function, args, slots),
        _ => ill_typed(false),
    }
}

/// Whether an ordering satisfies a comparison.
pub(crate) fn holds(op: BinaryOp, ordering: std::cmp::Ordering) -> bool {
    match op {
        BinaryOp::Eq => ordering.is_eq(),
        BinaryOp::Ne => ordering.is_ne(),
        BinaryOp::Lt => ordering.is_lt(),
        BinaryOp::Le => ordering.is_le(),
        BinaryOp::Gt => ordering.is_gt(),
        BinaryOp::Ge => ordering.is_ge(),
        _ => false,
    }
}

fn comparison(op: BinaryOp, left: &Expr, right: &Expr, slots: &mut Slots) -> Eval<bool> {
    macro_rules! compare {
        ($compile:ident, |$a:ident, $b:ident| $order:expr) => {{
            let (left, right) = ($compile(left, slots), $compile(right, slots));
            Box::new(move |frame| {
                let (($a, qa), ($b, qb)) = (left(frame), right(frame));
                (holds(op, $order), qa.worst(qb))
            })
        }};
    }
    match left.ty() {
        // Operands are finite or the result is bad, so a total order serves.
        Some(Type::Float) => compare!(floats, |a, b| (a + 0.0).total_cmp(&(b + 0.0))),
        Some(Type::Int | Type::Time) => compare!(ints, |a, b| a.cmp(&b)),
        Some(Type::Bool) => compare!(bools, |a, b| a.cmp(&b)),
        Some(Type::Text) => compare!(texts, |a, b| a.cmp(&b)),
        None => ill_typed(false),
    }
}

/// Expressions of type text.
pub(crate) fn texts(expr: &Expr, slots: &mut Slots) -> Eval<Arc<str>> {
    common!(expr, slots, texts);
    let empty: Arc<str> = "".into();
    match expr {
        Expr::Const(Value::Text(text)) => {
            let text = text.clone();
            Box::new(move |_| (text.clone(), Quality::GOOD))
        }
        Expr::Tag(..) | Expr::Local(..) => {
            let Some(slot) = slots.of(expr) else { return ill_typed(empty) };
            Box::new(move |frame| match (&frame.latest.texts[slot], frame.latest.slots[slot]) {
                (Some(text), Slot { kind: Kind::Text, quality, .. }) => (text.clone(), quality),
                (_, Slot { quality, .. }) => (empty.clone(), missing(quality)),
            })
        }
        Expr::Word(word) => word_text(*word),
        Expr::ToText(inner) => {
            let inner = compile(inner, slots);
            Box::new(move |frame| {
                let (value, quality) = inner.value(frame);
                (value.to_string().into(), quality)
            })
        }
        Expr::Binary(BinaryOp::Add, left, right) => {
            let (left, right) = (texts(left, slots), texts(right, slots));
            Box::new(move |frame| {
                let ((a, qa), (b, qb)) = (left(frame), right(frame));
                (functions::joined(&[a, b]), qa.worst(qb))
            })
        }
        Expr::Call(function, args) => functions::call_texts(function, args, slots),
        _ => ill_typed(empty),
    }
}

fn word_text(word: Word) -> Eval<Arc<str>> {
    let empty: Arc<str> = "".into();
    Box::new(move |frame| {
        let Some(SampleRef { batch, index, tags, flow }) = frame.sample else {
            return (empty.clone(), Quality::NOT_A_NUMBER);
        };
        if let Word::Value(_) = word {
            return match batch.values.get(index) {
                Value::Text(text) => (text, batch.qualities.get(index)),
                _ => (empty.clone(), missing(batch.qualities.get(index))),
            };
        }
        let info = batch.tags.get(index).and_then(|tag| tags.get(tag.index())).map(|tag| &tag.info);
        let text = match word {
            Word::Path => info.map(|info| info.path.clone()),
            Word::Device => info.map(|info| info.device.clone()),
            Word::Tag => info.map(|info| info.tag.clone()),
            Word::Flow => Some(flow.clone()),
            _ => None,
        };
        match text {
            Some(text) => (text, Quality::GOOD),
            None => (empty.clone(), Quality::NOT_A_NUMBER),
        }
    })
}

/// Quality of any expression, without its value.
fn quality_of(expr: &Expr, slots: &mut Slots) -> Box<dyn Fn(&Frame<'_>) -> Quality + Send + Sync> {
    macro_rules! second {
        ($eval:expr) => {{
            let eval = $eval;
            Box::new(move |frame| eval(frame).1)
        }};
    }
    match compile(expr, slots) {
        Compiled::Bool(eval) => second!(eval),
        Compiled::Int(eval) | Compiled::Time(eval) => second!(eval),
        Compiled::Float(eval) => second!(eval),
        Compiled::Text(eval) => second!(eval),
    }
}
