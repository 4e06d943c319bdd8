//! From payloads to values of the declared type, and to times.
//!
//! | type | raw payload or JSON text | JSON |
//! |---|---|---|
//! | bool | `true false on off 1 0` | `true false 1 0` |
//! | integers | `42`, `42.0` | numbers without a fraction |
//! | reals | `21.5` | numbers |
//! | string | UTF-8 | texts; anything else as it is written |
//! | time | RFC 3339, or a number in the unit of `time_unit` | the same |

use gwp_core::limits::TEXT_BYTES_MAX;
use gwp_core::source::PlcType;
use gwp_core::{Kind, Quality, Timestamp, Value};
use serde_json::Value as Json;

/// Unit of times that are numbers since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    pub const WORDS: &[&str] = &["ms", "s", "us", "ns"];

    pub fn of_word(word: &str) -> TimeUnit {
        match word {
            "s" => TimeUnit::Seconds,
            "us" => TimeUnit::Microseconds,
            "ns" => TimeUnit::Nanoseconds,
            _ => TimeUnit::Milliseconds,
        }
    }

    const fn ns(self) -> i64 {
        match self {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        }
    }
}

/// A value with its quality; without one the quality is bad.
pub type Decoded = (Value, Quality);

const fn bad(why: Quality) -> Decoded {
    (Value::Nothing, why)
}

/// The whole payload as a value.
pub fn raw(plc_type: PlcType, payload: &[u8], unit: TimeUnit) -> Decoded {
    match std::str::from_utf8(payload) {
        Ok(text) => of_text(plc_type, text, unit),
        Err(_) if plc_type == PlcType::String => text(&String::from_utf8_lossy(payload)),
        Err(_) => bad(Quality::DECODING),
    }
}

/// A part of a JSON payload as a value.
pub fn json(plc_type: PlcType, json: &Json, unit: TimeUnit) -> Decoded {
    match (plc_type, json) {
        (_, Json::Null) => bad(Quality::BAD),
        (PlcType::String, Json::String(content)) => text(content),
        (PlcType::String, other) => text(&other.to_string()),
        (_, Json::String(content)) => of_text(plc_type, content, unit),
        (PlcType::Bool, Json::Bool(value)) => (Value::Bool(*value), Quality::GOOD),
        // As it is written, so that no digit is lost on the way.
        (_, Json::Number(number)) => of_text(plc_type, &number.to_string(), unit),
        _ => bad(Quality::NOT_A_NUMBER),
    }
}

fn of_text(plc_type: PlcType, content: &str, unit: TimeUnit) -> Decoded {
    let trimmed = content.trim();
    let value = match plc_type {
        PlcType::String => return text(content),
        PlcType::Bool => truth(trimmed).map(Value::Bool),
        PlcType::Real | PlcType::Lreal => {
            trimmed.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
        }
        PlcType::Time => time_of_text(trimmed, unit).map(Value::Time),
        _ => match whole(trimmed) {
            None => None,
            Some(number) => match fit(plc_type, number) {
                None => return bad(Quality::OVERFLOW),
                value => value,
            },
        },
    };
    value.map_or(bad(Quality::NOT_A_NUMBER), |value| (value, Quality::GOOD))
}

fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "on", "1"]) {
        Some(true)
    } else if is(["false", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A number without a fraction: `42`, `42.0`, `4.2e1`.
fn whole(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse::<i128>() {
        return Some(number);
    }
    let number = text.parse::<f64>().ok()?;
    // Beyond 2^53 a float no longer says which whole number was meant.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i128)
}

fn fit(plc_type: PlcType, number: i128) -> Option<Value> {
    let (low, high) = plc_type.whole_bounds()?;
    if number < low || number > high {
        return None;
    }
    match plc_type.kind() {
        Kind::UInt => u64::try_from(number).ok().map(Value::UInt),
        _ => i64::try_from(number).ok().map(Value::Int),
    }
}

fn text(content: &str) -> Decoded {
    if content.len() <= TEXT_BYTES_MAX {
        return (Value::Text(content.into()), Quality::GOOD);
    }
    let mut end = TEXT_BYTES_MAX;
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    (Value::Text(content[..end].into()), Quality::TRUNCATED)
}

/// A time in a JSON payload.
pub fn time_of_json(json: &Json, unit: TimeUnit) -> Option<Timestamp> {
    match json {
        Json::String(text) => time_of_text(text.trim(), unit),
        Json::Number(number) => time_of_text(&number.to_string(), unit),
        _ => None,
    }
}

/// RFC 3339, or a number since 1970.
pub fn time_of_text(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        return number.checked_mul(unit.ns()).map(Timestamp);
    }
    if let Ok(number) = text.parse::<f64>() {
        let ns = number * unit.ns() as f64;
        return (ns.abs() < i64::MAX as f64).then_some(Timestamp(ns as i64));
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(plc_type: PlcType, payload: &str) -> Decoded {
        raw(plc_type, payload.as_bytes(), TimeUnit::Milliseconds)
    }

    fn of_json(plc_type: PlcType, written: &str) -> Decoded {
        json(plc_type, &serde_json::from_str(written).unwrap(), TimeUnit::Milliseconds)
    }

    fn good(value: Value) -> Decoded {
        (value, Quality::GOOD)
    }

    #[test]
    fn raw_payloads_are_read_as_the_declared_type() {
        assert_eq!(of(PlcType::Lreal, " 21.50\n"), good(Value::Float(21.5)));
        assert_eq!(of(PlcType::Int, "42"), good(Value::Int(42)));
        assert_eq!(of(PlcType::Int, "42.0"), good(Value::Int(42)));
        assert_eq!(of(PlcType::Ulint, "18446744073709551615"), good(Value::UInt(u64::MAX)));
        assert_eq!(of(PlcType::Bool, "ON"), good(Value::Bool(true)));
        assert_eq!(of(PlcType::Bool, "0"), good(Value::Bool(false)));
        assert_eq!(of(PlcType::String, " x "), good(Value::Text(" x ".into())));
        assert_eq!(of(PlcType::Time, "1500"), good(Value::Time(Timestamp(1_500_000_000))));
        assert_eq!(of(PlcType::Int, "42.5"), bad(Quality::NOT_A_NUMBER));
        assert_eq!(of(PlcType::Int, "40000"), bad(Quality::OVERFLOW));
        assert_eq!(of(PlcType::Real, "nan"), bad(Quality::NOT_A_NUMBER));
        assert_eq!(of(PlcType::Real, ""), bad(Quality::NOT_A_NUMBER));
        assert_eq!(raw(PlcType::Real, &[0xFF], TimeUnit::Seconds), bad(Quality::DECODING));
        assert_eq!(raw(PlcType::String, b"a\xFF", TimeUnit::Seconds), good(Value::Text("a\u{FFFD}".into())));
        assert_eq!(of(PlcType::String, &"ä".repeat(40_000)).1, Quality::TRUNCATED);
    }

    #[test]
    fn json_values_are_read_as_the_declared_type() {
        assert_eq!(of_json(PlcType::Real, "1e3"), good(Value::Float(1_000.0)));
        assert_eq!(of_json(PlcType::Dint, "7"), good(Value::Int(7)));
        assert_eq!(of_json(PlcType::Dint, "\"7\""), good(Value::Int(7)));
        assert_eq!(of_json(PlcType::Bool, "true"), good(Value::Bool(true)));
        assert_eq!(of_json(PlcType::Bool, "1"), good(Value::Bool(true)));
        assert_eq!(of_json(PlcType::String, "\"a\""), good(Value::Text("a".into())));
        assert_eq!(of_json(PlcType::String, "{\"a\":1}"), good(Value::Text("{\"a\":1}".into())));
        assert_eq!(of_json(PlcType::Real, "null"), bad(Quality::BAD));
        assert_eq!(of_json(PlcType::Real, "{}"), bad(Quality::NOT_A_NUMBER));
        assert_eq!(of_json(PlcType::Real, "true"), bad(Quality::NOT_A_NUMBER));
    }

    #[test]
    fn times_are_texts_or_numbers() {
        let ns = 1_735_689_600_500_000_000;
        assert_eq!(time_of_text("2025-01-01T00:00:00.5Z", TimeUnit::Seconds), Some(Timestamp(ns)));
        assert_eq!(time_of_text("2025-01-01T01:00:00.5+01:00", TimeUnit::Seconds), Some(Timestamp(ns)));
        assert_eq!(time_of_text("1735689600500", TimeUnit::Milliseconds), Some(Timestamp(ns)));
        assert_eq!(time_of_text("1735689600.5", TimeUnit::Seconds), Some(Timestamp(ns)));
        assert_eq!(time_of_text("yesterday", TimeUnit::Seconds), None);
        assert_eq!(time_of_text("1e300", TimeUnit::Seconds), None);
        assert_eq!(time_of_text("9223372036854775807", TimeUnit::Seconds), None);
    }

    proptest! {
        #[test]
        fn any_payload_is_a_value_or_bad(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            for plc_type in PlcType::ALL {
                let (value, quality) = raw(plc_type, &payload, TimeUnit::Nanoseconds);
                prop_assert_eq!(value == Value::Nothing, quality.is_bad());
                prop_assert!(quality.is_bad() || value.kind() == plc_type.kind());
            }
        }
    }
}
