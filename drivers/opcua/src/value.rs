//! From what a server sends to the value of a tag, by the tag's type, and back.
//!
//! A value that the type cannot hold exactly is bad, never cut or wrapped: `bad(not_a_number)` when it is of
//! another kind, `bad(overflow)` when it is a number that does not fit.

use crate::address::Step;
use gwp_core::limits::TEXT_BYTES_MAX;
use gwp_core::source::PlcType;
use gwp_core::{Quality, Timestamp, Value};
use opcua::types::custom::DynamicStructure;
use opcua::types::{Array, DataValue, DateTime, StatusCode, UAString, Variant, VariantScalarTypeId};

/// 100 ns from 1601 to 1970.
const TICKS_TO_1970: i64 = 116_444_736_000_000_000;

/// Nanoseconds of a tick.
const NS_PER_TICK: i64 = 100;

/// One value of a node, as it came.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    pub value: Value,
    pub quality: Quality,
    /// When the value was true at its source.
    pub source_time: Option<Timestamp>,
    /// When the server had it.
    pub server_time: Option<Timestamp>,
}

impl Reading {
    /// A reading without a value.
    pub fn bad(quality: Quality) -> Reading {
        Reading { value: Value::Nothing, quality, source_time: None, server_time: None }
    }
}

/// What a data value says of one tag.
pub fn reading(data: &DataValue, place: &[Step], plc_type: PlcType) -> Reading {
    let status = quality(data.status.unwrap_or(StatusCode::Good));
    let (value, quality) = match &data.value {
        _ if status.is_bad() => (Value::Nothing, status),
        None | Some(Variant::Empty) => (Value::Nothing, Quality::WAITING),
        Some(variant) => match at(variant, place).and_then(|variant| value(variant, plc_type)) {
            // What the server says of the value comes before that it was cut.
            Ok((value, cut)) => (value, status.worst(cut)),
            Err(why) => (Value::Nothing, why),
        },
    };
    Reading {
        value,
        quality,
        source_time: data.source_timestamp.as_ref().and_then(moment),
        server_time: data.server_timestamp.as_ref().and_then(moment),
    }
}

/// A status code without the bits that describe the value it came with (OPC UA Part 4, 7.39).
pub fn quality(status: StatusCode) -> Quality {
    Quality(status.bits() & 0xFFFF_0000)
}

/// Nanoseconds since 1970; `None` for no time and for one that a sample cannot have.
pub fn moment(date: &DateTime) -> Option<Timestamp> {
    if date.is_null() {
        return None;
    }
    date.as_chrono().timestamp_nanos_opt().map(Timestamp)
}

/// What stands at a place inside a value.
fn at<'v>(variant: &'v Variant, place: &[Step]) -> Result<&'v Variant, Quality> {
    let Some((step, rest)) = place.split_first() else { return Ok(plain(variant)) };
    match plain(variant) {
        Variant::Array(array) => element(array, place),
        Variant::ExtensionObject(object) => {
            let structure = object.inner_as::<DynamicStructure>().ok_or(Quality::DECODING)?;
            at(structure.get_field_by_name(&step.name).ok_or(Quality::UNKNOWN_ADDRESS)?, rest)
        }
        _ => Err(Quality::UNKNOWN_ADDRESS),
    }
}

fn plain(variant: &Variant) -> &Variant {
    match variant {
        Variant::Variant(inner) => plain(inner),
        Variant::DataValue(inner) => inner.value.as_ref().map_or(variant, plain),
        other => other,
    }
}

/// An element by one index per dimension; the last dimension runs fastest (OPC UA Part 6, 5.2.5).
fn element<'v>(array: &'v Array, place: &[Step]) -> Result<&'v Variant, Quality> {
    let whole = [u32::try_from(array.values.len()).unwrap_or(u32::MAX)];
    let dimensions = array.dimensions.as_deref().filter(|all| !all.is_empty()).unwrap_or(&whole);
    let (indexes, rest) = place.split_at_checked(dimensions.len()).ok_or(Quality::UNKNOWN_ADDRESS)?;
    let mut flat = 0usize;
    for (step, size) in indexes.iter().zip(dimensions) {
        let index = step.index.filter(|index| index < size).ok_or(Quality::UNKNOWN_ADDRESS)?;
        flat = flat
            .checked_mul(*size as usize)
            .and_then(|flat| flat.checked_add(index as usize))
            .ok_or(Quality::UNKNOWN_ADDRESS)?;
    }
    at(array.values.get(flat).ok_or(Quality::UNKNOWN_ADDRESS)?, rest)
}

/// A value in the tag's type, and whether it had to be cut.
fn value(variant: &Variant, plc_type: PlcType) -> Result<(Value, Quality), Quality> {
    let good = |value| Ok((value, Quality::GOOD));
    match plc_type {
        PlcType::Bool => match variant {
            Variant::Boolean(on) => good(Value::Bool(*on)),
            _ => Err(Quality::NOT_A_NUMBER),
        },
        PlcType::Real | PlcType::Lreal => {
            let number = match variant {
                Variant::Float(number) => f64::from(*number),
                Variant::Double(number) => *number,
                other => whole(other).ok_or(Quality::NOT_A_NUMBER)? as f64,
            };
            if number.is_nan() { Err(Quality::NOT_A_NUMBER) } else { good(Value::Float(number)) }
        }
        PlcType::Time => match variant {
            Variant::DateTime(date) => good(Value::Time(moment(date).ok_or(Quality::OVERFLOW)?)),
            _ => Err(Quality::NOT_A_NUMBER),
        },
        PlcType::String => text(variant).map(cut).ok_or(Quality::NOT_A_NUMBER),
        _ => {
            let number = whole(variant).ok_or(Quality::NOT_A_NUMBER)?;
            let (low, high) = plc_type.whole_bounds().ok_or(Quality::NOT_A_NUMBER)?;
            if !(low..=high).contains(&number) {
                return Err(Quality::OVERFLOW);
            }
            good(match plc_type {
                PlcType::Ulint | PlcType::Lword => Value::UInt(number as u64),
                _ => Value::Int(number as i64),
            })
        }
    }
}

fn whole(variant: &Variant) -> Option<i128> {
    Some(match variant {
        Variant::SByte(number) => (*number).into(),
        Variant::Byte(number) => (*number).into(),
        Variant::Int16(number) => (*number).into(),
        Variant::UInt16(number) => (*number).into(),
        Variant::Int32(number) => (*number).into(),
        Variant::UInt32(number) => (*number).into(),
        Variant::Int64(number) => (*number).into(),
        Variant::UInt64(number) => (*number).into(),
        Variant::StatusCode(status) => status.bits().into(),
        _ => return None,
    })
}

fn text(variant: &Variant) -> Option<String> {
    Some(match variant {
        Variant::String(text) => text.as_ref().into(),
        Variant::LocalizedText(text) => text.text.as_ref().into(),
        Variant::QualifiedName(name) => name.to_string(),
        Variant::XmlElement(element) => element.to_string(),
        Variant::Guid(guid) => guid.to_string(),
        Variant::NodeId(node) => node.to_string(),
        Variant::ExpandedNodeId(node) => node.to_string(),
        Variant::StatusCode(status) => status.to_string(),
        Variant::DateTime(date) => match moment(date) {
            Some(time) => time.to_string(),
            None => date.to_rfc3339(),
        },
        // Twice as long as the bytes, so what would be cut need not be made.
        Variant::ByteString(bytes) => {
            let bytes: &[u8] = bytes.as_ref();
            let shown = bytes.get(..TEXT_BYTES_MAX / 2 + 1).unwrap_or(bytes);
            shown.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        _ => return None,
    })
}

fn cut(mut text: String) -> (Value, Quality) {
    if text.len() <= TEXT_BYTES_MAX {
        return (Value::Text(text.into()), Quality::GOOD);
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    (Value::Text(text.into()), Quality::TRUNCATED)
}

/// A value as the server's type of the node has it.
///
/// # Errors
/// It does not fit; in words.
pub fn to_variant(value: &Value, wanted: VariantScalarTypeId) -> Result<Variant, String> {
    use VariantScalarTypeId as Id;
    let unfit = || format!("{value} does not fit the node's type {wanted:?}");
    let whole = match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::UInt(number) => Some(i128::from(*number)),
        _ => None,
    };
    macro_rules! whole {
        ($kind:ident) => {
            whole.and_then(|number| number.try_into().ok()).map(Variant::$kind)
        };
    }
    let variant = match (wanted, value) {
        (Id::Boolean, Value::Bool(on)) => Some(Variant::Boolean(*on)),
        (Id::SByte, _) => whole!(SByte),
        (Id::Byte, _) => whole!(Byte),
        (Id::Int16, _) => whole!(Int16),
        (Id::UInt16, _) => whole!(UInt16),
        (Id::Int32, _) => whole!(Int32),
        (Id::UInt32, _) => whole!(UInt32),
        (Id::Int64, _) => whole!(Int64),
        (Id::UInt64, _) => whole!(UInt64),
        (Id::Float, Value::Float(number)) => {
            let narrow = *number as f32;
            (narrow.is_finite() == number.is_finite()).then_some(Variant::Float(narrow))
        }
        (Id::Double, Value::Float(number)) => Some(Variant::Double(*number)),
        // Only what comes back as the same number.
        (Id::Float, _) => whole
            .filter(|number| number.unsigned_abs() <= 1 << 24)
            .map(|number| Variant::Float(number as f32)),
        (Id::Double, _) => whole
            .filter(|number| number.unsigned_abs() <= 1 << 53)
            .map(|number| Variant::Double(number as f64)),
        (Id::String, Value::Text(text)) => Some(Variant::String(UAString::from(&**text))),
        (Id::LocalizedText, Value::Text(text)) => {
            Some(Variant::from(opcua::types::LocalizedText::new("", text)))
        }
        (Id::DateTime, Value::Time(time)) => {
            let ticks = time.0.div_euclid(NS_PER_TICK).checked_add(TICKS_TO_1970);
            ticks.filter(|ticks| *ticks > 0).map(|ticks| Variant::from(DateTime::from(ticks)))
        }
        _ => None,
    };
    variant.ok_or_else(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::parse;
    use opcua::types::{ByteString, Guid, LocalizedText, NodeId, QualifiedName};
    use std::str::FromStr;

    fn of(variant: impl Into<Variant>, plc_type: PlcType) -> Result<Value, Quality> {
        at_place(variant, "", plc_type)
    }

    fn at_place(variant: impl Into<Variant>, place: &str, plc_type: PlcType) -> Result<Value, Quality> {
        let place = parse(&format!("i=1#/{place}")).unwrap().place;
        let data = DataValue::value_only(variant.into());
        let reading = reading(&data, &place, plc_type);
        if reading.quality.is_bad() {
            assert_eq!(reading.value, Value::Nothing);
            return Err(reading.quality);
        }
        Ok(reading.value)
    }

    fn text(value: &str) -> Result<Value, Quality> {
        Ok(Value::Text(value.into()))
    }

    #[test]
    fn every_built_in_type_has_a_tag_type() {
        use PlcType::*;
        assert_eq!(of(true, Bool), Ok(Value::Bool(true)));
        assert_eq!(of(-1i8, Sint), Ok(Value::Int(-1)));
        assert_eq!(of(200u8, Usint), Ok(Value::Int(200)));
        assert_eq!(of(-30_000i16, Int), Ok(Value::Int(-30_000)));
        assert_eq!(of(60_000u16, Word), Ok(Value::Int(60_000)));
        assert_eq!(of(i32::MIN, Dint), Ok(Value::Int(i32::MIN.into())));
        assert_eq!(of(u32::MAX, Udint), Ok(Value::Int(u32::MAX.into())));
        assert_eq!(of(i64::MIN, Lint), Ok(Value::Int(i64::MIN)));
        assert_eq!(of(u64::MAX, Ulint), Ok(Value::UInt(u64::MAX)));
        assert_eq!(of(1.5f32, Real), Ok(Value::Float(1.5)));
        assert_eq!(of(0.1f64, Lreal), Ok(Value::Float(0.1)));
        assert_eq!(of("ä", String), text("ä"));
        assert_eq!(of(LocalizedText::new("de", "läuft"), String), text("läuft"));
        assert_eq!(of(QualifiedName::new(2, "Speed"), String), text("2:Speed"));
        assert_eq!(of(ByteString::from(vec![0, 0xAB]), String), text("00ab"));
        assert_eq!(of(NodeId::new(2, "x"), String), text("ns=2;s=x"));
        let guid = "72962b91-fa75-4ae6-8d28-b404dc7daf63";
        assert_eq!(of(Guid::from_str(guid).unwrap(), String), text(guid));
        assert_eq!(of(StatusCode::BadTimeout, Udint), Ok(Value::Int(0x800A_0000)));
        let date = DateTime::from(TICKS_TO_1970 + 12_345);
        assert_eq!(of(date, Time), Ok(Value::Time(Timestamp(1_234_500))));
        assert_eq!(of(date, String), text("1970-01-01T00:00:00.001234500Z"));
    }

    #[test]
    fn a_number_that_fits_another_type_is_taken_and_no_other() {
        assert_eq!(of(5i32, PlcType::Usint), Ok(Value::Int(5)));
        assert_eq!(of(5u8, PlcType::Real), Ok(Value::Float(5.0)));
        assert_eq!(of(256i32, PlcType::Usint), Err(Quality::OVERFLOW));
        assert_eq!(of(-1i32, PlcType::Ulint), Err(Quality::OVERFLOW));
        for (variant, plc_type) in [
            (Variant::from(1.5f64), PlcType::Dint),
            (Variant::from(1i32), PlcType::Bool),
            (Variant::from("1"), PlcType::Dint),
            (Variant::from(1i32), PlcType::String),
            (Variant::from(f64::NAN), PlcType::Lreal),
            (Variant::from(vec![1i32, 2]), PlcType::Dint),
        ] {
            assert_eq!(of(variant.clone(), plc_type), Err(Quality::NOT_A_NUMBER), "{variant:?}");
        }
        assert_eq!(of(Variant::Empty, PlcType::Dint), Err(Quality::WAITING));
        assert_eq!(of(DateTime::endtimes(), PlcType::Time), Err(Quality::OVERFLOW));
    }

    #[test]
    fn an_element_is_found_by_its_indexes() {
        let flat = Variant::from(vec![10i32, 11, 12]);
        assert_eq!(at_place(flat.clone(), "2", PlcType::Dint), Ok(Value::Int(12)));
        for missing in ["3", "x", "1/0"] {
            assert_eq!(
                at_place(flat.clone(), missing, PlcType::Dint),
                Err(Quality::UNKNOWN_ADDRESS),
                "{missing}"
            );
        }
        let values: Vec<Variant> = (0..6i32).map(Variant::from).collect();
        let matrix =
            Variant::from(Array::new_multi(VariantScalarTypeId::Int32, values, vec![2u32, 3]).unwrap());
        assert_eq!(at_place(matrix.clone(), "1/2", PlcType::Dint), Ok(Value::Int(5)));
        assert_eq!(at_place(matrix.clone(), "0/2", PlcType::Dint), Ok(Value::Int(2)));
        for missing in ["1", "2/0", "0/3"] {
            assert_eq!(
                at_place(matrix.clone(), missing, PlcType::Dint),
                Err(Quality::UNKNOWN_ADDRESS),
                "{missing}"
            );
        }
        assert_eq!(at_place(5i32, "0", PlcType::Dint), Err(Quality::UNKNOWN_ADDRESS));
    }

    #[test]
    fn what_the_server_says_of_a_value_is_kept() {
        let data = |status| DataValue { status: Some(status), ..DataValue::value_only(7i32) };
        let of = |status| reading(&data(status), &[], PlcType::Dint);
        assert_eq!(of(StatusCode::Good).quality, Quality::GOOD);
        let uncertain = of(StatusCode::UncertainLastUsableValue);
        assert_eq!((uncertain.value, uncertain.quality), (Value::Int(7), Quality::LAST_USABLE));
        let bad = of(StatusCode::BadSensorFailure);
        assert_eq!((bad.value, bad.quality), (Value::Nothing, Quality::SENSOR_FAILURE));
        assert_eq!(of(StatusCode::Good.set_overflow(true)).quality, Quality::GOOD);
        assert_eq!(of(StatusCode::BadNodeIdUnknown).quality, Quality::UNKNOWN_ADDRESS);
    }

    #[test]
    fn a_text_too_long_is_cut_between_characters() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        let data = DataValue::value_only(Variant::from(long.as_str()));
        let reading = reading(&data, &[], PlcType::String);
        assert_eq!(reading.quality, Quality::TRUNCATED);
        assert_eq!(reading.value, Value::Text("ä".repeat(TEXT_BYTES_MAX / 2).into()));
    }

    #[test]
    fn a_value_is_written_in_the_nodes_type_or_not_at_all() {
        use VariantScalarTypeId as Id;
        assert_eq!(to_variant(&Value::Int(5), Id::Byte), Ok(Variant::Byte(5)));
        assert_eq!(to_variant(&Value::UInt(u64::MAX), Id::UInt64), Ok(Variant::UInt64(u64::MAX)));
        assert_eq!(to_variant(&Value::Float(1.5), Id::Float), Ok(Variant::Float(1.5)));
        assert_eq!(to_variant(&Value::Int(3), Id::Double), Ok(Variant::Double(3.0)));
        assert_eq!(to_variant(&Value::Text("x".into()), Id::String), Ok(Variant::from("x")));
        let time = Timestamp(1_700_000_000_123_456_700);
        let written = to_variant(&Value::Time(time), Id::DateTime).unwrap();
        assert_eq!(of(written, PlcType::Time), Ok(Value::Time(time)));
        for (value, wanted) in [
            (Value::Int(256), Id::Byte),
            (Value::Int(-1), Id::UInt32),
            (Value::Float(1e300), Id::Float),
            (Value::Float(1.5), Id::Int32),
            (Value::Bool(true), Id::Int16),
            (Value::Int(1), Id::Boolean),
            (Value::Int(i64::MAX), Id::Double),
            (Value::Text("1".into()), Id::Int32),
            (Value::Int(1), Id::ExtensionObject),
        ] {
            assert!(to_variant(&value, wanted).unwrap_err().contains("does not fit"), "{value} {wanted:?}");
        }
    }
}
