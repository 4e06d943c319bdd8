//! Writing: from a value to one item and its bytes, and from a refusal to what became of it.
//!
//! One write is one request with one item, so the PLC takes a value as a whole or not at all. A bit
//! is written as a bit: its neighbours are not touched. Of a STRING and WSTRING the actual length and
//! the characters are written; the greatest length stays what the PLC's program made it, and is read
//! before, so that no text runs over what lies behind.

use crate::bcd;
use crate::moment;
use crate::point::{Form, Point};
use crate::protocol::telegram::Item;
use gwp_core::source::PlcType;
use gwp_core::{Timestamp, Value};

/// One write, as it goes over the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub item: Item,
    pub bytes: Vec<u8>,
    pub room: Option<Room>,
}

/// What has to hold of a text at the PLC before it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Where its greatest length stands.
    pub item: Item,
    /// Characters to be written.
    pub characters: u16,
}

impl Room {
    /// Whether the text fits, by the bytes of the greatest length.
    ///
    /// # Errors
    /// It does not; in words.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let greatest = bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        if u32::from(self.characters) <= greatest {
            return Ok(());
        }
        Err(format!(
            "the text has {} characters, the string in the PLC has room for {greatest}",
            self.characters
        ))
    }
}

impl Change {
    /// The request that gives a point a value.
    ///
    /// # Errors
    /// The value does not fit the point; in words.
    pub fn new(point: &Point, value: &Value) -> Result<Change, String> {
        let span = point.span;
        let item = |start: u32, bit, count: usize| Item {
            area: span.area,
            block: span.block,
            start,
            bit,
            count: u16::try_from(count).unwrap_or(u16::MAX),
        };
        match (point.form, value) {
            (Form::Bit(bit), Value::Bool(on)) => {
                Ok(Change { item: item(span.start, Some(bit), 1), bytes: vec![u8::from(*on)], room: None })
            }
            (Form::Text { len }, Value::Text(text)) => {
                let text = latin(text, len)?;
                // The greatest length stands in front.
                let bytes = [&[text.len() as u8][..], &text].concat();
                let room = Room { item: item(span.start, None, 1), characters: text.len() as u16 };
                Ok(Change { item: item(span.start + 1, None, bytes.len()), bytes, room: Some(room) })
            }
            (Form::WText { len }, Value::Text(text)) => {
                let units = wide(text, len)?;
                let characters = units.len() as u16;
                let words = std::iter::once(characters).chain(units);
                let bytes: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
                let room = Room { item: item(span.start, None, 2), characters };
                Ok(Change { item: item(span.start + 2, None, bytes.len()), bytes, room: Some(room) })
            }
            _ => {
                let unfit = || format!("{value} does not fit {}", point.plc_type);
                let bytes = plain(point, value)?.ok_or_else(unfit)?;
                Ok(Change { item: item(span.start, None, bytes.len()), bytes, room: None })
            }
        }
    }
}

/// Characters of ISO 8859-1, at most `len`.
fn latin(text: &str, len: u16) -> Result<Vec<u8>, String> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c).map_err(|_| c))
        .collect::<Result<_, _>>()
        .map_err(|c| format!("`{c}` is no character of ISO 8859-1, and the PLC has no other here"))?;
    fits(bytes.len(), len)?;
    Ok(bytes)
}

fn wide(text: &str, len: u16) -> Result<Vec<u16>, String> {
    let units: Vec<u16> = text.encode_utf16().collect();
    fits(units.len(), len)?;
    Ok(units)
}

fn fits(have: usize, len: u16) -> Result<(), String> {
    if have <= usize::from(len) {
        Ok(())
    } else {
        Err(format!("the text has {have} characters, the tag {len}"))
    }
}

/// All bytes of the point; `None` if the value is of another kind or does not fit.
fn plain(point: &Point, value: &Value) -> Result<Option<Vec<u8>>, String> {
    let bytes = point.form.bytes() as usize;
    Ok(match (point.form, value) {
        (Form::Float32, Value::Float(number)) => Some((*number as f32).to_be_bytes().to_vec()),
        (Form::Float64, Value::Float(number)) => Some(number.to_be_bytes().to_vec()),
        (Form::Date | Form::DateAndTime | Form::Dtl | Form::Ldt, Value::Time(time)) => {
            moment(point.form, *time)
        }
        (Form::Chars { len }, Value::Text(text)) => {
            let mut text = latin(text, len)?;
            text.resize(bytes, 0);
            Some(text)
        }
        (Form::WChar, Value::Text(text)) => match wide(text, 1)?.as_slice() {
            [unit] => Some(unit.to_be_bytes().to_vec()),
            _ => None,
        },
        (form, Value::Int(_) | Value::UInt(_)) => {
            whole(point.plc_type, value).and_then(|number| match form {
                Form::Bcd16 { signed } | Form::Bcd32 { signed } => bcd::of_number(number, bytes, signed),
                Form::S5Time => bcd::of_s5time(number).map(|time| time.to_vec()),
                form if is_whole(form) => number.to_be_bytes().get(8 - bytes.min(8)..).map(<[u8]>::to_vec),
                _ => None,
            })
        }
        _ => None,
    })
}

const fn is_whole(form: Form) -> bool {
    matches!(
        form,
        Form::Unsigned8
            | Form::Signed8
            | Form::Unsigned16
            | Form::Signed16
            | Form::Unsigned32
            | Form::Signed32
            | Form::Whole64
    )
}

/// A whole number as the 64 bits it has in its type, if it is within its bounds.
fn whole(plc_type: PlcType, value: &Value) -> Option<i64> {
    let (number, bits) = match value {
        Value::Int(number) => (i128::from(*number), *number),
        Value::UInt(number) => (i128::from(*number), number.cast_signed()),
        _ => return None,
    };
    let (low, high) = plc_type.whole_bounds()?;
    (low..=high).contains(&number).then_some(bits)
}

fn moment(form: Form, time: Timestamp) -> Option<Vec<u8>> {
    match form {
        Form::Date => moment::to_date(time),
        Form::DateAndTime => moment::to_date_and_time(time),
        Form::Dtl => moment::to_dtl(time),
        _ => Some(time.0.to_be_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::parse;
    use crate::protocol::telegram::Area;

    fn change(address: &str, plc_type: PlcType, value: Value) -> Result<Change, String> {
        Change::new(&Point::new(parse(address).unwrap(), plc_type, true).unwrap(), &value)
    }

    fn written(address: &str, plc_type: PlcType, value: Value) -> Vec<u8> {
        let change = change(address, plc_type, value).unwrap();
        assert_eq!((change.item.start, change.item.bytes()), (7, change.bytes.len()));
        change.bytes
    }

    #[test]
    fn every_type_becomes_its_bytes() {
        use PlcType::*;
        for (address, plc_type, value, bytes) in [
            ("DB1.DBB7", Usint, Value::Int(255), &[255][..]),
            ("DB1.DBB7", Sint, Value::Int(-2), &[0xFE]),
            ("DB1.DBW7", Int, Value::Int(-2), &[0xFF, 0xFE]),
            ("DB1.DBW7", Word, Value::Int(0xFFFE), &[0xFF, 0xFE]),
            ("DB1.DBD7", Dint, Value::Int(-2), &[0xFF, 0xFF, 0xFF, 0xFE]),
            ("DB1.DBB7", Lint, Value::Int(-2), &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE]),
            ("DB1.DBB7", Ulint, Value::UInt(u64::MAX), &[0xFF; 8]),
            ("DB1.DBD7", Real, Value::Float(1.5), &[0x3F, 0xC0, 0, 0]),
            ("DB1.DBB7", Lreal, Value::Float(1.5), &[0x3F, 0xF8, 0, 0, 0, 0, 0, 0]),
            ("DB1.DBW7 bcd", Int, Value::Int(-123), &[0xF1, 0x23]),
            ("DB1.DBD7 bcd", Udint, Value::Int(12_345_678), &[0x12, 0x34, 0x56, 0x78]),
            ("DB1.DBW7 s5time", Udint, Value::Int(12_300), &[0x11, 0x23]),
            ("DB1.DBD7 time", Dint, Value::Int(-1), &[0xFF; 4]),
            ("DB1.DBW7 date", Time, Value::Time(Timestamp(0)), &[]),
            ("DB1.DBB7 ldt", Time, Value::Time(Timestamp(258)), &[0, 0, 0, 0, 0, 0, 1, 2]),
            ("DB1.DBB7 char len 3", String, Value::Text("aü".into()), &[b'a', 0xFC, 0]),
            ("DB1.DBW7 wchar", String, Value::Text("ß".into()), &[0, 0xDF]),
        ] {
            if bytes.is_empty() {
                assert!(change(address, plc_type, value).is_err(), "1970 is before the first DATE");
            } else {
                assert_eq!(written(address, plc_type, value), bytes, "{address} {plc_type}");
            }
        }
    }

    #[test]
    fn a_bit_is_written_alone() {
        let change = change("DB1.DBX7.5", PlcType::Bool, Value::Bool(true)).unwrap();
        assert_eq!((change.item.start, change.item.bit, change.item.count), (7, Some(5), 1));
        assert_eq!((change.item.area, change.bytes), (Area::Blocks, vec![1]));
    }

    #[test]
    fn a_text_keeps_within_what_the_plc_has_room_for() {
        let text = change("DB1.DBB7 len 5", PlcType::String, Value::Text("abc".into())).unwrap();
        assert_eq!((text.item.start, &text.bytes[..]), (8, &[3, b'a', b'b', b'c'][..]));
        let room = text.room.unwrap();
        assert_eq!((room.item.start, room.item.count, room.check(&[3])), (7, 1, Ok(())));
        assert_eq!(
            room.check(&[2]),
            Err("the text has 3 characters, the string in the PLC has room for 2".into())
        );
        let wide = change("DB1.DBB7 wstring len 5", PlcType::String, Value::Text("aß".into())).unwrap();
        assert_eq!((wide.item.start, &wide.bytes[..]), (9, &[0, 2, 0, b'a', 0, 0xDF][..]));
        assert_eq!(wide.room.unwrap().check(&[1, 0]), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (address, plc_type, value, why) in [
            ("DB1.DBW7", PlcType::Int, Value::Int(40_000), "40000 does not fit int"),
            ("DB1.DBW7", PlcType::Uint, Value::Int(-1), "-1 does not fit uint"),
            ("DB1.DBD7", PlcType::Real, Value::Text("x".into()), "x does not fit real"),
            ("DB1.DBX7.0", PlcType::Bool, Value::Int(1), "1 does not fit bool"),
            ("DB1.DBW7 bcd", PlcType::Int, Value::Int(1_000), "1000 does not fit int"),
            (
                "DB1.DBB7 len 2",
                PlcType::String,
                Value::Text("abc".into()),
                "the text has 3 characters, the tag 2",
            ),
            (
                "DB1.DBB7 len 2",
                PlcType::String,
                Value::Text("€".into()),
                "`€` is no character of ISO 8859-1, and the PLC has no other here",
            ),
        ] {
            assert_eq!(change(address, plc_type, value), Err(why.into()));
        }
    }
}
