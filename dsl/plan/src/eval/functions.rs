//! Functions without state.

use super::{Eval, Slots, bools, checked, finite, floats, ill_typed, ints, texts};
use crate::expr::{Expr, Function};
use gwp_core::{Quality, limits};
use std::sync::Arc;

/// Texts joined, cut at the longest text a value may have.
pub(super) fn joined(parts: &[Arc<str>]) -> Arc<str> {
    let mut out = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.push_str(part));
    bounded(out)
}

fn bounded(mut out: String) -> Arc<str> {
    if out.len() > limits::TEXT_BYTES_MAX {
        out.truncate(out.floor_char_boundary(limits::TEXT_BYTES_MAX));
    }
    out.into()
}

pub(super) fn floats_of(args: &[Expr], slots: &mut Slots) -> Vec<Eval<f64>> {
    args.iter().map(|arg| floats(arg, slots)).collect()
}

/// Folds all arguments; the quality is the worst of them.
fn fold<T: 'static, A: Copy + Send + Sync + 'static>(
    args: Vec<Eval<T>>,
    start: A,
    step: fn(A, T) -> A,
    finish: fn(A, usize, Quality) -> (A, Quality),
) -> Eval<A> {
    let count = args.len();
    Box::new(move |frame| {
        let mut quality = Quality::GOOD;
        let mut total = start;
        for arg in &args {
            let (value, of_arg) = arg(frame);
            total = step(total, value);
            quality = quality.worst(of_arg);
        }
        finish(total, count, quality)
    })
}

pub(super) fn floats_unary(function: &Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Sqrt => f64::sqrt,
        Function::Exp => f64::exp,
        Function::Ln => f64::ln,
        Function::Log10 => f64::log10,
        Function::Sin => f64::sin,
        Function::Cos => f64::cos,
        Function::Tan => f64::tan,
        Function::Round => f64::round,
        Function::Floor => f64::floor,
        Function::Ceil => f64::ceil,
        _ => return None,
    })
}

pub(super) fn call_floats(function: &Function, args: &[Expr], slots: &mut Slots) -> Eval<f64> {
    let extreme = |start: f64, step: fn(f64, f64) -> f64, slots: &mut Slots| {
        fold(floats_of(args, slots), start, step, |total, _, quality| finite(total, quality))
    };
    if let (Some(apply), [arg]) = (floats_unary(function), args) {
        let arg = floats(arg, slots);
        return Box::new(move |frame| {
            let (value, quality) = arg(frame);
            let result = apply(value);
            // Outside its domain a function gives NaN; too large a result is infinite.
            if result.is_nan() {
                (0.0, quality.worst(Quality::NOT_A_NUMBER))
            } else {
                finite(result, quality)
            }
        });
    }
    match (function, args) {
        (Function::Power, [base, exponent]) => {
            let (base, exponent) = (floats(base, slots), floats(exponent, slots));
            Box::new(move |frame| {
                let ((a, qa), (b, qb)) = (base(frame), exponent(frame));
                let (result, quality) = (a.powf(b), qa.worst(qb));
                if result.is_nan() {
                    (0.0, quality.worst(Quality::NOT_A_NUMBER))
                } else {
                    finite(result, quality)
                }
            })
        }
        (Function::Min | Function::MinOf, [_, ..]) => extreme(f64::INFINITY, f64::min, slots),
        (Function::Max | Function::MaxOf, [_, ..]) => extreme(f64::NEG_INFINITY, f64::max, slots),
        (Function::SumOf, _) => extreme(0.0, |a, b| a + b, slots),
        (Function::AvgOf, [_, ..]) => fold(
            floats_of(args, slots),
            0.0,
            |a, b| a + b,
            |total, count, quality| finite(total / count as f64, quality),
        ),
        (Function::JsonNumber(pointer), [text]) => {
            let (text, pointer) = (texts(text, slots), pointer.clone());
            Box::new(move |frame| json(text(frame), &pointer, 0.0, |value| value.as_f64()))
        }
        _ => ill_typed(0.0),
    }
}

pub(super) fn call_ints(function: &Function, args: &[Expr], slots: &mut Slots) -> Eval<i64> {
    let all = |slots: &mut Slots| args.iter().map(|arg| ints(arg, slots)).collect::<Vec<_>>();
    match (function, args) {
        (Function::Abs, [arg]) => {
            let arg = ints(arg, slots);
            Box::new(move |frame| {
                let (value, quality) = arg(frame);
                checked(value.checked_abs(), quality)
            })
        }
        (Function::Min, [_, ..]) => {
            fold(all(slots), i64::MAX, i64::min, |total, _, quality| (total, quality))
        }
        (Function::Max, [_, ..]) => {
            fold(all(slots), i64::MIN, i64::max, |total, _, quality| (total, quality))
        }
        (Function::CountOf, _) => {
            let args = args.iter().map(|arg| bools(arg, slots)).collect();
            fold(args, 0i64, |count, yes| count + i64::from(yes), |count, _, quality| (count, quality))
        }
        (Function::Length, [text]) => {
            let text = texts(text, slots);
            Box::new(move |frame| {
                let (text, quality) = text(frame);
                (text.chars().count() as i64, quality)
            })
        }
        _ => ill_typed(0),
    }
}

pub(super) fn call_bools(function: &Function, args: &[Expr], slots: &mut Slots) -> Eval<bool> {
    match (function, args) {
        (Function::Bit, [word, bit]) => {
            let (word, bit) = (ints(word, slots), ints(bit, slots));
            Box::new(move |frame| {
                let ((word, qa), (bit, qb)) = (word(frame), bit(frame));
                let quality = qa.worst(qb);
                match u32::try_from(bit) {
                    Ok(bit @ 0..=63) => (word >> bit & 1 == 1, quality),
                    _ => (false, quality.worst(Quality::OVERFLOW)),
                }
            })
        }
        (Function::AnyOf | Function::AllOf, _) => {
            // Like a chain of `or` (`and`): one that decides alone makes the others' quality irrelevant.
            let decides = *function == Function::AnyOf;
            let args: Vec<Eval<bool>> = args.iter().map(|arg| bools(arg, slots)).collect();
            Box::new(move |frame| {
                let mut quality = Quality::GOOD;
                for arg in &args {
                    let (value, of_arg) = arg(frame);
                    if value == decides && !of_arg.is_bad() {
                        return (decides, of_arg);
                    }
                    quality = quality.worst(of_arg);
                }
                (!decides, quality)
            })
        }
        (Function::JsonBool(pointer), [text]) => {
            let (text, pointer) = (texts(text, slots), pointer.clone());
            Box::new(move |frame| json(text(frame), &pointer, false, |value| value.as_bool()))
        }
        (Function::Within(schedule), []) => {
            let (schedule, zone) = (schedule.clone(), schedule.zone());
            Box::new(move |frame| (schedule.contains(frame.time, &zone), Quality::GOOD))
        }
        (Function::Contains, [text, part]) => {
            let (text, part) = (texts(text, slots), texts(part, slots));
            Box::new(move |frame| {
                let ((text, qa), (part, qb)) = (text(frame), part(frame));
                (text.contains(&*part), qa.worst(qb))
            })
        }
        _ => ill_typed(false),
    }
}

pub(super) fn call_texts(function: &Function, args: &[Expr], slots: &mut Slots) -> Eval<Arc<str>> {
    match (function, args) {
        (Function::Join, _) => {
            let args: Vec<Eval<Arc<str>>> = args.iter().map(|arg| texts(arg, slots)).collect();
            Box::new(move |frame| {
                let (parts, qualities): (Vec<_>, Vec<_>) = args.iter().map(|arg| arg(frame)).unzip();
                (joined(&parts), qualities.into_iter().fold(Quality::GOOD, Quality::worst))
            })
        }
        (Function::Lower | Function::Upper, [text]) => {
            let (text, lower) = (texts(text, slots), *function == Function::Lower);
            Box::new(move |frame| {
                let (text, quality) = text(frame);
                // Some letters take more bytes in the other case.
                (bounded(if lower { text.to_lowercase() } else { text.to_uppercase() }), quality)
            })
        }
        (Function::SixDigits, [number]) => {
            let number = floats(number, slots);
            Box::new(move |frame| {
                let (number, quality) = number(frame);
                (six_digits(number).into(), quality)
            })
        }
        (Function::JsonText(pointer), [text]) => {
            let (text, pointer) = (texts(text, slots), pointer.clone());
            let empty: Arc<str> = "".into();
            Box::new(move |frame| {
                json(text(frame), &pointer, empty.clone(), |value| value.as_str().map(Into::into))
            })
        }
        _ => ill_typed("".into()),
    }
}

/// The nearest number of six digits, without zeros at its end.
fn six_digits(number: f64) -> String {
    let rounded = format!("{number:.5e}").parse::<f64>();
    rounded.map_or_else(|_| number.to_string(), |rounded| rounded.to_string())
}

/// A member of a JSON text; bad(decoding) when the text is no JSON or has no such member of that type.
fn json<T>(
    (text, quality): (Arc<str>, Quality),
    pointer: &str,
    nothing: T,
    read: impl Fn(&serde_json::Value) -> Option<T>,
) -> (T, Quality) {
    if quality.is_bad() {
        return (nothing, quality);
    }
    let document = serde_json::from_str::<serde_json::Value>(&text).ok();
    match document.as_ref().and_then(|document| document.pointer(pointer)).and_then(read) {
        Some(value) => (value, quality),
        None => (nothing, quality.worst(Quality::DECODING)),
    }
}

#[cfg(test)]
mod tests {
    use super::six_digits;

    #[test]
    fn numbers_for_people_have_six_digits_at_most() {
        let cases = [
            (71.0, "71"),
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.333333"),
            (-123_456.789, "-123457"),
            (1_234_567.0, "1234570"),
            (0.000_123_456_78, "0.000123457"),
            (0.0, "0"),
        ];
        for (number, text) in cases {
            assert_eq!(six_digits(number), text);
        }
    }
}
