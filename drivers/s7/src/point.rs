//! Points: which bytes of the PLC a tag reads and how they make its value.

use crate::address::{Address, AddressError, LONG_TEXT_MAX, STRING_MAX, Width};
use crate::format::Format;
use crate::protocol::telegram::Area;
use gwp_core::source::PlcType;
use std::fmt;

/// Consecutive bytes of one area or block; timers or counters where those are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span {
    pub area: Area,
    pub block: u16,
    pub start: u32,
    /// At least 1; `start + count` is at most 65,536.
    pub count: u32,
}

impl Span {
    /// First address behind it.
    pub const fn end(self) -> u32 {
        self.start + self.count
    }

    /// Bytes one address takes.
    pub const fn unit(self) -> usize {
        if self.area.is_counted() { 2 } else { 1 }
    }

    /// Bytes of its values.
    pub const fn bytes(self) -> usize {
        self.count as usize * self.unit()
    }
}

/// For logs: `DB10, bytes 2 to 5`, `flags 20 to 21`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.area {
            Area::Blocks => write!(f, "DB{}, bytes", self.block)?,
            Area::Inputs => f.write_str("inputs")?,
            Area::Outputs => f.write_str("outputs")?,
            Area::Flags => f.write_str("flags")?,
            Area::Counters => f.write_str("counters")?,
            Area::Timers => f.write_str("timers")?,
        }
        write!(f, " {} to {}", self.start, self.end().saturating_sub(1))
    }
}

/// How bytes make a value. All numbers have the high byte first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One bit of a byte, 0 = lowest.
    Bit(u8),
    Unsigned8,
    Signed8,
    Unsigned16,
    Signed16,
    Unsigned32,
    Signed32,
    /// 64 bits, signed or not: the cell holds either.
    Whole64,
    Float32,
    Float64,
    Bcd16 {
        signed: bool,
    },
    Bcd32 {
        signed: bool,
    },
    /// A counter: three decimal digits.
    Counter,
    /// Three decimal digits and a base, also of a timer; in milliseconds.
    S5Time,
    /// Days since 1990-01-01.
    Date,
    DateAndTime,
    Dtl,
    /// Nanoseconds since 1970-01-01.
    Ldt,
    /// So many characters of one byte.
    Chars {
        len: u16,
    },
    WChar,
    /// STRING: greatest and actual number of characters, one byte each, then the characters.
    Text {
        len: u16,
    },
    /// WSTRING: the same with words.
    WText {
        len: u16,
    },
}

impl Form {
    /// Bytes it takes.
    pub const fn bytes(self) -> u32 {
        match self {
            Form::Bit(_) | Form::Unsigned8 | Form::Signed8 => 1,
            Form::Unsigned16 | Form::Signed16 | Form::Bcd16 { .. } | Form::Counter => 2,
            Form::S5Time | Form::Date | Form::WChar => 2,
            Form::Unsigned32 | Form::Signed32 | Form::Float32 | Form::Bcd32 { .. } => 4,
            Form::Whole64 | Form::Float64 | Form::DateAndTime | Form::Ldt => 8,
            Form::Dtl => 12,
            Form::Chars { len } => len as u32,
            Form::Text { len } => 2 + len as u32,
            Form::WText { len } => 4 + 2 * len as u32,
        }
    }

    /// The letter of its address.
    const fn width(self) -> Width {
        match (self, self.bytes()) {
            (Form::Bit(bit), _) => Width::Bit(bit),
            (Form::Chars { .. } | Form::Text { .. } | Form::WText { .. }, _) => Width::Byte,
            (_, 2) => Width::Word,
            (_, 4) => Width::Double,
            _ => Width::Byte,
        }
    }
}

/// One tag, ready to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    pub span: Span,
    pub plc_type: PlcType,
    pub form: Form,
}

/// What a tag's declaration may be wrong in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PointError {
    Address(AddressError),
    Type(AddressError),
}

fn at_address(message: impl Into<String>, help: impl Into<String>) -> PointError {
    PointError::Address(AddressError::new(message, help))
}

fn at_type(message: impl Into<String>, help: impl Into<String>) -> PointError {
    PointError::Type(AddressError::new(message, help))
}

impl Point {
    /// The point of an address and a type.
    ///
    /// # Errors
    /// Address and type do not fit each other or the area.
    pub fn new(address: Address, plc_type: PlcType, writable: bool) -> Result<Point, PointError> {
        if writable && matches!(address.area, Area::Inputs | Area::Timers | Area::Counters) {
            let what = if address.area == Area::Inputs { "inputs" } else { "timers and counters" };
            return Err(at_address(
                format!("{what} belong to the PLC and cannot be written"),
                "remove `writable`, or write a data block, flag or output",
            ));
        }
        let form = if address.area.is_counted() {
            element_form(address, plc_type)?
        } else {
            place_form(address, plc_type)?
        };
        let count = if address.area.is_counted() { 1 } else { form.bytes() };
        let span = Span { area: address.area, block: address.block, start: u32::from(address.start), count };
        if span.end() > 1 << 16 {
            return Err(at_address(
                format!("{plc_type} needs {count} bytes here and the last byte is 65535"),
                format!("the last possible place is {}", (1u32 << 16) - count),
            ));
        }
        Ok(Point { span, plc_type, form })
    }
}

/// What a timer or counter is.
fn element_form(address: Address, plc_type: PlcType) -> Result<Form, PointError> {
    let (form, what, types): (_, _, &[PlcType]) = match address.area {
        Area::Timers => (Form::S5Time, "a timer is milliseconds", &[PlcType::Udint, PlcType::Dint]),
        _ => (Form::Counter, "a counter is 0 to 999", &[PlcType::Uint, PlcType::Int, PlcType::Word]),
    };
    if address.format.is_some() || address.len.is_some() {
        return Err(at_address(format!("nothing stands behind `{}`", place_of(address)), "remove it"));
    }
    allowed(plc_type, what, types)?;
    Ok(form)
}

fn place_of(address: Address) -> String {
    Address { format: None, len: None, ..address }.to_string()
}

fn allowed(plc_type: PlcType, what: &str, types: &[PlcType]) -> Result<(), PointError> {
    if types.contains(&plc_type) {
        return Ok(());
    }
    let words = types.iter().map(|plc_type| plc_type.word()).collect::<Vec<_>>().join(" or ");
    Err(at_type(format!("{what} and no {plc_type}"), format!("declare the tag as {words}")))
}

/// What stands at a place of an area of bytes; letter, format, length and type must agree.
fn place_form(address: Address, plc_type: PlcType) -> Result<Form, PointError> {
    let form = match address.format {
        Some(format) => formatted(format, address.len, plc_type)?,
        None => natural(address, plc_type)?,
    };
    let is_text = matches!(form, Form::Chars { .. } | Form::Text { .. } | Form::WText { .. });
    if address.len.is_some() && !is_text {
        return Err(at_address(
            format!("`len` is for texts, not for {plc_type}"),
            format!("write `{}`", Address { len: None, ..address }),
        ));
    }
    if form.width() == address.width {
        return Ok(form);
    }
    let right = Address { width: form.width(), ..address };
    Err(match (address.width, form) {
        (Width::Bit(_), _) => at_address(
            format!("`{address}` names one bit, {plc_type} is more"),
            format!("declare the tag as bool, or write `{right}`"),
        ),
        _ => at_address(
            format!("{plc_type} has {} here, and `{address}` names something else", bytes(form.bytes())),
            format!("write `{right}`"),
        ),
    })
}

fn bytes(count: u32) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

/// The usual form of a type.
fn natural(address: Address, plc_type: PlcType) -> Result<Form, PointError> {
    Ok(match plc_type {
        PlcType::Bool => match address.width {
            Width::Bit(bit) => Form::Bit(bit),
            _ => {
                return Err(at_address(
                    format!("`{address}` has several bits, a bool is one"),
                    format!("name the bit, `{}` is the lowest", Address { width: Width::Bit(0), ..address }),
                ));
            }
        },
        PlcType::Byte | PlcType::Usint => Form::Unsigned8,
        PlcType::Sint => Form::Signed8,
        PlcType::Int => Form::Signed16,
        PlcType::Uint | PlcType::Word => Form::Unsigned16,
        PlcType::Dint => Form::Signed32,
        PlcType::Udint | PlcType::Dword => Form::Unsigned32,
        PlcType::Lint | PlcType::Ulint | PlcType::Lword => Form::Whole64,
        PlcType::Real => Form::Float32,
        PlcType::Lreal => Form::Float64,
        PlcType::Time => Form::DateAndTime,
        PlcType::String => {
            let len = address.len.unwrap_or(STRING_MAX);
            if len > STRING_MAX {
                return Err(at_address(
                    format!("a STRING has at most {STRING_MAX} characters"),
                    format!("write `len {STRING_MAX}` or less; `wstring` and `char` may be longer"),
                ));
            }
            Form::Text { len }
        }
    })
}

/// The form that a word behind the address names.
fn formatted(format: Format, len: Option<u16>, plc_type: PlcType) -> Result<Form, PointError> {
    use PlcType::{Dint, Dword, Int, Lint, Time, Udint, Uint, Ulint, Word};
    let text = &[PlcType::String][..];
    let (form, types) = match (format, plc_type) {
        (Format::Char, _) => (Form::Chars { len: len.unwrap_or(1) }, text),
        (Format::WChar, _) => (Form::WChar, text),
        (Format::WString, _) => (Form::WText { len: len.unwrap_or(STRING_MAX) }, text),
        (Format::Bcd, Int) => (Form::Bcd16 { signed: true }, &[Int][..]),
        (Format::Bcd, Uint | Word) => (Form::Bcd16 { signed: false }, &[Uint, Word][..]),
        (Format::Bcd, Dint) => (Form::Bcd32 { signed: true }, &[Dint][..]),
        (Format::Bcd, _) => (Form::Bcd32 { signed: false }, &[Int, Uint, Word, Dint, Udint, Dword][..]),
        (Format::S5Time, _) => (Form::S5Time, &[Udint, Dint][..]),
        (Format::Time, _) => (Form::Signed32, &[Dint][..]),
        (Format::LTime, _) => (Form::Whole64, &[Lint][..]),
        (Format::TimeOfDay, _) => (Form::Unsigned32, &[Udint, Dword][..]),
        (Format::LTimeOfDay, _) => (Form::Whole64, &[Ulint, Lint][..]),
        (Format::Date, _) => (Form::Date, &[Time][..]),
        (Format::DateAndTime, _) => (Form::DateAndTime, &[Time][..]),
        (Format::Dtl, _) => (Form::Dtl, &[Time][..]),
        (Format::Ldt, _) => (Form::Ldt, &[Time][..]),
    };
    allowed(plc_type, &format!("`{}` is {}", format.word(), meaning(format)), types)?;
    if format == Format::WChar && len.is_some() {
        return Err(at_address("`wchar` is one character", "remove `len`, or write `wstring`"));
    }
    debug_assert!(len.is_none_or(|len| len <= LONG_TEXT_MAX));
    Ok(form)
}

const fn meaning(format: Format) -> &'static str {
    match format {
        Format::Char | Format::WChar | Format::WString => "text",
        Format::Bcd => "a whole number of two or four bytes",
        Format::S5Time | Format::Time => "whole milliseconds",
        Format::TimeOfDay => "milliseconds since midnight",
        Format::LTime => "whole nanoseconds",
        Format::LTimeOfDay => "nanoseconds since midnight",
        Format::Date | Format::DateAndTime | Format::Dtl | Format::Ldt => "a point in time",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::address::parse;

    pub(crate) fn point(address: &str, plc_type: PlcType) -> Point {
        Point::new(parse(address).unwrap(), plc_type, false).unwrap()
    }

    #[test]
    fn every_type_takes_its_bytes() {
        for plc_type in PlcType::ALL {
            let (address, bytes) = match plc_type {
                PlcType::Bool => ("DB1.DBX7.5", 1),
                PlcType::String => ("DB1.DBB7 len 5", 7),
                _ => match plc_type.bits() {
                    16 => ("DB1.DBW7", 2),
                    32 => ("DB1.DBD7", 4),
                    bits => ("DB1.DBB7", bits / 8),
                },
            };
            let point = point(address, plc_type);
            assert_eq!((point.span.start, point.span.bytes()), (7, bytes), "{plc_type}");
        }
        assert_eq!(point("DB1.DBB7", PlcType::String).span.count, 256);
        assert_eq!(point("DB1.DBB7 wstring len 3", PlcType::String).span.count, 10);
        assert_eq!(point("DB1.DBB7 char", PlcType::String).form, Form::Chars { len: 1 });
        assert_eq!(point("T4", PlcType::Udint).span.bytes(), 2);
        assert_eq!(point("DB1.DBB7 dtl", PlcType::Time).span.count, 12);
        assert_eq!(point("DB1.DBD7", PlcType::Real).span.to_string(), "DB1, bytes 7 to 10");
    }

    #[test]
    fn mismatches_are_told_at_their_place() {
        for (address, plc_type, writable, place, message, help) in [
            ("I0.1", PlcType::Bool, true, "address", "inputs belong to the PLC", "`writable`"),
            ("C1", PlcType::Uint, true, "address", "timers and counters belong", "`writable`"),
            ("DB1.DBW2", PlcType::Bool, false, "address", "`DB1.DBW2` has several bits", "`DB1.DBX2.0`"),
            ("DB1.DBX2.0", PlcType::Int, false, "address", "`DB1.DBX2.0` names one bit", "`DB1.DBW2`"),
            ("DB1.DBB2", PlcType::Int, false, "address", "int has 2 bytes", "`DB1.DBW2`"),
            ("MW2", PlcType::Real, false, "address", "real has 4 bytes", "`MD2`"),
            ("DB1.DBD2", PlcType::Lreal, false, "address", "lreal has 8 bytes", "`DB1.DBB2`"),
            ("DB1.DBW2 len 3", PlcType::Int, false, "address", "`len` is for texts", "`DB1.DBW2`"),
            ("DB1.DBB2 len 300", PlcType::String, false, "address", "a STRING has at most 254", "wstring"),
            ("DB1.DBW2 date", PlcType::Int, false, "type", "`date` is a point in time", "time"),
            ("DB1.DBW2 s5time", PlcType::Int, false, "type", "`s5time` is whole milliseconds", "udint"),
            ("DB1.DBB2 date", PlcType::Time, false, "address", "time has 2 bytes", "`DB1.DBW2 date`"),
            ("DB1.DBW2 wchar len 2", PlcType::String, false, "address", "`wchar` is one", "wstring"),
            ("T1", PlcType::Real, false, "type", "a timer is milliseconds and no real", "udint or dint"),
            ("T1 date", PlcType::Udint, false, "address", "nothing stands behind `T1`", "remove"),
            ("DB1.DBD65533", PlcType::Real, false, "address", "real needs 4 bytes", "65532"),
        ] {
            let error = Point::new(parse(address).unwrap(), plc_type, writable).expect_err(address);
            let (at, error) = match error {
                PointError::Address(error) => ("address", error),
                PointError::Type(error) => ("type", error),
            };
            assert_eq!(at, place, "{address}");
            assert!(error.message.starts_with(message), "{address}: {}", error.message);
            assert!(error.help.contains(help), "{address}: {}", error.help);
        }
    }
}
