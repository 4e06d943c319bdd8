//! Points: which registers or bits a tag reads and how they make its value.

use crate::address::{Address, AddressError, Order, Table};
use gwp_core::source::PlcType;

/// Consecutive registers (or bits) of one table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span {
    pub table: Table,
    pub start: u16,
    /// At least 1; `start + count` is at most 65,536.
    pub count: u16,
}

impl Span {
    /// First address behind it.
    pub const fn end(self) -> u32 {
        self.start as u32 + self.count as u32
    }

    /// Bytes of values in the answer to reading it.
    pub const fn answer_bytes(self) -> usize {
        if self.table.is_bits() { (self.count as usize).div_ceil(8) } else { self.count as usize * 2 }
    }
}

/// How registers make a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A coil or discrete input.
    Bit,
    /// One bit of a register, 0 = lowest.
    RegisterBit(u8),
    /// Eight bits of a register from bit 0 or 8 on.
    Byte {
        shift: u8,
        signed: bool,
    },
    /// One register.
    Unsigned16,
    Signed16,
    /// Two registers.
    Unsigned32,
    Signed32,
    Float32,
    /// Four registers.
    Unsigned64,
    Signed64,
    Float64,
    /// Four registers: signed milliseconds since 1970-01-01T00:00:00Z.
    Time64,
    /// A text of so many bytes, two per register, ended early by a zero byte.
    Text {
        bytes: u16,
    },
}

impl Form {
    /// Registers (or bits) it takes.
    pub const fn width(self) -> u16 {
        match self {
            Form::Bit | Form::RegisterBit(_) | Form::Byte { .. } | Form::Unsigned16 | Form::Signed16 => 1,
            Form::Unsigned32 | Form::Signed32 | Form::Float32 => 2,
            Form::Unsigned64 | Form::Signed64 | Form::Float64 | Form::Time64 => 4,
            Form::Text { bytes } => bytes.div_ceil(2),
        }
    }
}

/// One tag, ready to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    pub span: Span,
    pub plc_type: PlcType,
    pub form: Form,
    /// Order of its registers.
    pub words: Order,
    /// Order of the bytes in each register.
    pub bytes: Order,
}

/// What a tag's declaration may be wrong in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PointError {
    Address(AddressError),
    Type(AddressError),
}

/// What the device's settings say for all its points.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    pub words: Order,
    pub bytes: Order,
    /// Registers one request may read.
    pub registers_max: u16,
}

impl Point {
    /// The point of an address and a type.
    ///
    /// # Errors
    /// Address and type do not fit each other, the table or the device.
    pub fn new(
        address: Address,
        plc_type: PlcType,
        writable: bool,
        traits: Traits,
    ) -> Result<Point, PointError> {
        if writable && !address.table.is_writable() {
            return Err(at_address(
                format!("{} cannot be written", address.table.name()),
                "remove `writable`, or take a coil (`co`) or holding register (`hr`)",
            ));
        }
        if writable && address.bit.is_some() {
            return Err(at_address(
                "a part of a register cannot be written alone: another one could change meanwhile",
                "remove `writable`, or write the whole register",
            ));
        }
        let form =
            if address.table.is_bits() { bit_form(address, plc_type) } else { form(address, plc_type) }?;
        if address.words.is_some() && form.width() == 1 {
            return Err(at_address(
                format!("{plc_type} has one register, so there is no order of registers"),
                "remove `low_first` or `high_first`; the order of bytes is the setting `bytes`",
            ));
        }
        let span = Span { table: address.table, start: address.start, count: form.width() };
        if span.end() > 1 << 16 {
            return Err(at_address(
                format!("{plc_type} needs {} registers and the table ends at 65535", span.count),
                format!(
                    "the last possible is `{} {}`",
                    span.table.word(),
                    (1u32 << 16) - u32::from(span.count)
                ),
            ));
        }
        if !span.table.is_bits() && span.count > traits.registers_max {
            return Err(at_address(
                format!(
                    "{plc_type} needs {} registers, one request reads {}",
                    span.count, traits.registers_max
                ),
                "raise `registers_max` if the device can answer more at once",
            ));
        }
        let words = address.words.unwrap_or(traits.words);
        Ok(Point { span, plc_type, form, words, bytes: traits.bytes })
    }
}

fn at_address(message: impl Into<String>, help: impl Into<String>) -> PointError {
    PointError::Address(AddressError::new(message, help))
}

fn at_type(message: impl Into<String>, help: impl Into<String>) -> PointError {
    PointError::Type(AddressError::new(message, help))
}

fn bit_form(address: Address, plc_type: PlcType) -> Result<Form, PointError> {
    if plc_type != PlcType::Bool {
        return Err(at_type(
            format!("{} are single bits and hold no {plc_type}", address.table.name()),
            "declare the tag as bool, or read a register (`hr`, `ir`)",
        ));
    }
    if address.bit.is_some() || address.len.is_some() {
        return Err(at_address(
            format!("{} are single bits", address.table.name()),
            format!("write `{} {}`", address.table.word(), address.start),
        ));
    }
    Ok(Form::Bit)
}

fn form(address: Address, plc_type: PlcType) -> Result<Form, PointError> {
    let place = format!("{} {}", address.table.word(), address.start);
    if address.len.is_some() && plc_type != PlcType::String {
        return Err(at_address(
            format!("`len` is for strings, not for {plc_type}"),
            format!("write `{place}`"),
        ));
    }
    if let Some(bit) = address.bit {
        return match plc_type {
            PlcType::Bool => Ok(Form::RegisterBit(bit)),
            PlcType::Byte | PlcType::Usint | PlcType::Sint if bit == 0 || bit == 8 => {
                Ok(Form::Byte { shift: bit, signed: plc_type == PlcType::Sint })
            }
            PlcType::Byte | PlcType::Usint | PlcType::Sint => Err(at_address(
                format!("no byte begins at bit {bit}"),
                format!("write `{place}.0` for the low byte or `{place}.8` for the high one"),
            )),
            _ => Err(at_address(
                format!("`.{bit}` names one bit, {plc_type} is more"),
                format!("declare the tag as bool, or write `{place}`"),
            )),
        };
    }
    Ok(match plc_type {
        PlcType::Bool => {
            return Err(at_address(
                "a register has 16 bits, a bool is one",
                format!("name the bit, `{place}.0` is the lowest"),
            ));
        }
        PlcType::Byte | PlcType::Usint => Form::Byte { shift: 0, signed: false },
        PlcType::Sint => Form::Byte { shift: 0, signed: true },
        PlcType::Int => Form::Signed16,
        PlcType::Uint | PlcType::Word => Form::Unsigned16,
        PlcType::Dint => Form::Signed32,
        PlcType::Udint | PlcType::Dword => Form::Unsigned32,
        PlcType::Lint => Form::Signed64,
        PlcType::Ulint | PlcType::Lword => Form::Unsigned64,
        PlcType::Real => Form::Float32,
        PlcType::Lreal => Form::Float64,
        PlcType::Time => Form::Time64,
        PlcType::String => match address.len {
            Some(bytes) => Form::Text { bytes },
            None => {
                return Err(at_address(
                    "a string needs its length in bytes",
                    format!("write for example `{place} len 20`"),
                ));
            }
        },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::address::parse;

    pub(crate) const PLAIN: Traits =
        Traits { words: Order::HighFirst, bytes: Order::HighFirst, registers_max: 125 };

    pub(crate) fn point(address: &str, plc_type: PlcType) -> Point {
        Point::new(parse(address).unwrap(), plc_type, false, PLAIN).unwrap()
    }

    #[test]
    fn every_type_takes_as_many_registers_as_it_has_bits() {
        for plc_type in PlcType::ALL {
            let (address, width) = match plc_type {
                PlcType::Bool => ("hr 7.15", 1),
                PlcType::String => ("hr 7 len 5", 3),
                _ => ("hr 7", plc_type.bits().div_ceil(16)),
            };
            let point = point(address, plc_type);
            assert_eq!((point.span.start, usize::from(point.span.count)), (7, width), "{plc_type}");
        }
        assert_eq!(point("co 3", PlcType::Bool).form, Form::Bit);
        assert_eq!(point("hr 3.8", PlcType::Sint).form, Form::Byte { shift: 8, signed: true });
        assert_eq!(point("hr 3 low_first", PlcType::Real).words, Order::LowFirst);
    }

    #[test]
    fn mismatches_are_told_at_their_place() {
        let error = |address: &str, plc_type, writable| {
            Point::new(parse(address).unwrap(), plc_type, writable, PLAIN).unwrap_err()
        };
        let texts = |error: PointError| match error {
            PointError::Address(error) => ("address", error.message, error.help),
            PointError::Type(error) => ("type", error.message, error.help),
        };
        for (address, plc_type, writable, place, message, help) in [
            ("ir 5", PlcType::Int, true, "address", "input registers cannot be written", "`hr`"),
            ("di 5", PlcType::Bool, true, "address", "discrete inputs cannot be written", "`co`"),
            ("hr 5.3", PlcType::Bool, true, "address", "a part of a register", "the whole register"),
            ("co 5", PlcType::Int, false, "type", "coils are single bits and hold no int", "bool"),
            ("co 5.1", PlcType::Bool, false, "address", "coils are single bits", "`co 5`"),
            ("hr 5", PlcType::Bool, false, "address", "a register has 16 bits", "`hr 5.0`"),
            ("hr 5.3", PlcType::Int, false, "address", "`.3` names one bit", "`hr 5`"),
            ("hr 5.3", PlcType::Byte, false, "address", "no byte begins at bit 3", "`hr 5.8`"),
            ("hr 5", PlcType::String, false, "address", "a string needs its length", "`hr 5 len 20`"),
            ("hr 5 len 4", PlcType::Int, false, "address", "`len` is for strings", "`hr 5`"),
            ("hr 5 low_first", PlcType::Int, false, "address", "int has one register", "`bytes`"),
            ("hr 65535", PlcType::Real, false, "address", "real needs 2 registers", "`hr 65534`"),
        ] {
            let (at, text, mend) = texts(error(address, plc_type, writable));
            assert_eq!(at, place, "{address}");
            assert!(text.starts_with(message), "{address}: {text}");
            assert!(mend.contains(help), "{address}: {mend}");
        }
        let narrow = Traits { registers_max: 3, ..PLAIN };
        let error = Point::new(parse("hr 0").unwrap(), PlcType::Lreal, false, narrow).unwrap_err();
        assert!(texts(error).1.starts_with("lreal needs 4 registers, one request reads 3"));
    }
}
