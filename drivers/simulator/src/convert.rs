//! From a signal's number or a written text to the value of a tag's type.

use crate::signal::Range;
use gwp_core::source::PlcType;
use gwp_core::time::NS_PER_MS;
use gwp_core::{Timestamp, Value};

/// True when every number of `range` has a value in the type.
pub fn holds(plc_type: PlcType, range: Range) -> bool {
    match plc_type.whole_bounds() {
        Some((low, high)) => range.low.round() >= low as f64 && range.high.round() <= high as f64,
        None if plc_type == PlcType::Real => {
            range.low >= f64::from(f32::MIN) && range.high <= f64::from(f32::MAX)
        }
        None => true,
    }
}

/// The range of a type in words, for messages.
pub fn range_text(plc_type: PlcType) -> String {
    plc_type.whole_bounds().map_or_else(|| "32-bit floats".to_owned(), |(low, high)| format!("{low}..{high}"))
}

/// A signal's number as a value: rounded for whole types, true from `middle` on for bool,
/// milliseconds since 1970 for time, as it is written for string.
pub fn from_number(plc_type: PlcType, number: f64, middle: f64) -> Value {
    match plc_type {
        PlcType::Bool => Value::Bool(number >= middle),
        PlcType::Real => Value::Float(f64::from(number as f32)),
        PlcType::Lreal => Value::Float(number),
        PlcType::String => Value::Text(number.to_string().into()),
        PlcType::Time => Value::Time(Timestamp((number as i64).saturating_mul(NS_PER_MS))),
        PlcType::Ulint | PlcType::Lword => Value::UInt(number.round() as u64),
        _ => Value::Int(number.round() as i64),
    }
}

/// A written text as a value; `None` when the type has no such value.
pub fn from_text(plc_type: PlcType, text: &str) -> Option<Value> {
    match plc_type {
        PlcType::Bool => match text {
            "true" | "1" => Some(Value::Bool(true)),
            "false" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        PlcType::String => Some(Value::Text(text.into())),
        PlcType::Real | PlcType::Lreal => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
            let range = Range { low: number, high: number };
            holds(plc_type, range).then(|| from_number(plc_type, number, 0.0))
        }
        PlcType::Time => {
            text.parse::<i64>().ok()?.checked_mul(NS_PER_MS).map(|ns| Value::Time(Timestamp(ns)))
        }
        _ => {
            let number = text.parse::<i128>().ok()?;
            let (low, high) = plc_type.whole_bounds()?;
            if number < low || number > high {
                return None;
            }
            match plc_type {
                PlcType::Ulint | PlcType::Lword => u64::try_from(number).ok().map(Value::UInt),
                _ => i64::try_from(number).ok().map(Value::Int),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_a_number_as_its_own_kind() {
        for plc_type in PlcType::ALL {
            assert_eq!(from_number(plc_type, 1.0, 0.5).kind(), plc_type.kind(), "{plc_type}");
            assert_eq!(
                from_text(plc_type, "1").map(|value| value.kind()),
                Some(plc_type.kind()),
                "{plc_type}"
            );
        }
        assert_eq!(from_number(PlcType::Int, -2.6, 0.0), Value::Int(-3));
        assert_eq!(from_number(PlcType::Real, 0.1, 0.0), Value::Float(f64::from(0.1f32)));
        assert_eq!(from_number(PlcType::Bool, 0.4, 0.5), Value::Bool(false));
        assert_eq!(from_number(PlcType::Time, 1_500.0, 0.0), Value::Time(Timestamp(1_500_000_000)));
    }

    #[test]
    fn bounds_of_types_are_kept() {
        assert!(holds(PlcType::Int, Range { low: -32_768.0, high: 32_767.4 }));
        assert!(!holds(PlcType::Int, Range { low: 0.0, high: 32_768.0 }));
        assert!(!holds(PlcType::Usint, Range { low: -1.0, high: 5.0 }));
        assert!(holds(PlcType::Bool, Range { low: -1e9, high: 1e9 }));
        assert!(!holds(PlcType::Real, Range { low: 0.0, high: 1e300 }));
        assert_eq!(from_text(PlcType::Byte, "256"), None);
        assert_eq!(from_text(PlcType::Ulint, "18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!(from_text(PlcType::Dint, "1.5"), None);
        assert_eq!(from_text(PlcType::Lreal, "nan"), None);
        assert_eq!(from_text(PlcType::Bool, "yes"), None);
        assert_eq!(range_text(PlcType::Sint), "-128..127");
    }
}
