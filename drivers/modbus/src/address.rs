//! Addresses as people write them.
//!
//! Two notations exist and differ by one. Manuals count from 1 and put the
//! table in the first digit (`40101`); the wire counts from 0 (`hr 100`).
//! A bare number such as `100` could be either and is refused.
//!
//! Source: MODBUS Application Protocol Specification V1.1b3, 4.3 and 4.4 (data
//! model, addressing).

use std::fmt;

/// The four tables of a Modbus device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    Coils,
    DiscreteInputs,
    InputRegisters,
    HoldingRegisters,
}

impl Table {
    /// True for tables of single bits.
    pub const fn is_bits(self) -> bool {
        matches!(self, Table::Coils | Table::DiscreteInputs)
    }

    /// True for tables that can be written.
    pub const fn is_writable(self) -> bool {
        matches!(self, Table::Coils | Table::HoldingRegisters)
    }

    /// The word in an address.
    pub const fn word(self) -> &'static str {
        match self {
            Table::Coils => "co",
            Table::DiscreteInputs => "di",
            Table::InputRegisters => "ir",
            Table::HoldingRegisters => "hr",
        }
    }

    /// Its name in texts, plural.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Coils => "coils",
            Table::DiscreteInputs => "discrete inputs",
            Table::InputRegisters => "input registers",
            Table::HoldingRegisters => "holding registers",
        }
    }

    fn of_word(word: &str) -> Option<Table> {
        [Table::Coils, Table::DiscreteInputs, Table::InputRegisters, Table::HoldingRegisters]
            .into_iter()
            .find(|table| table.word() == word)
    }

    fn of_digit(digit: u8) -> Option<Table> {
        match digit {
            b'0' => Some(Table::Coils),
            b'1' => Some(Table::DiscreteInputs),
            b'3' => Some(Table::InputRegisters),
            b'4' => Some(Table::HoldingRegisters),
            _ => None,
        }
    }
}

/// Which part comes first: of the registers of a value, or of the bytes of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    #[default]
    HighFirst,
    LowFirst,
}

impl Order {
    /// The words in a program, in the order of a choice.
    pub const WORDS: &[&str] = &["high_first", "low_first"];

    pub fn of_word(word: &str) -> Option<Order> {
        match word {
            "high_first" => Some(Order::HighFirst),
            "low_first" => Some(Order::LowFirst),
            _ => None,
        }
    }
}

/// A parsed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    pub table: Table,
    /// Counted from 0, as on the wire.
    pub start: u16,
    /// Bit of the register, 0 = lowest.
    pub bit: Option<u8>,
    /// Bytes of a string.
    pub len: Option<u16>,
    /// Order of the registers of this value only.
    pub words: Option<Order>,
}

/// The notation that [`parse`] reads, so every address can be shown on its own terms.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table.word(), self.start)?;
        if let Some(bit) = self.bit {
            write!(f, ".{bit}")?;
        }
        if let Some(len) = self.len {
            write!(f, " len {len}")?;
        }
        match self.words {
            Some(Order::HighFirst) => f.write_str(" high_first"),
            Some(Order::LowFirst) => f.write_str(" low_first"),
            None => Ok(()),
        }
    }
}

/// Why a text is no address, and what would be one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    pub message: String,
    pub help: String,
}

impl AddressError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        AddressError { message: message.into(), help: help.into() }
    }
}

const FORMS: &str = "`\"40101\"` counts from 1 as in the manual, `\"hr 100\"` from 0 as on the wire";

/// Parses an address.
///
/// # Errors
/// What is wrong with it, with the edit that mends it.
pub fn parse(text: &str) -> Result<Address, AddressError> {
    let mut words = text.split_whitespace();
    let Some(first) = words.next() else {
        return Err(AddressError::new("the address is empty", FORMS));
    };
    if is_s7(first) {
        return Err(AddressError::new(
            format!("`{first}` is an address of a Siemens S7, and this source speaks Modbus"),
            format!("look up the register in the manual of the device: {FORMS}"),
        ));
    }
    let (table, start, bit) = match Table::of_word(first) {
        Some(table) => wire_location(table, words.next().unwrap_or_default())?,
        None => manual_location(first)?,
    };
    let mut address = Address { table, start, bit, len: None, words: None };
    while let Some(option) = words.next() {
        match (option, Order::of_word(option)) {
            ("len", _) if address.len.is_none() => address.len = Some(string_length(words.next())?),
            (_, Some(order)) if address.words.is_none() => address.words = Some(order),
            _ => {
                return Err(AddressError::new(
                    format!("`{option}` is not expected here"),
                    "behind the number may stand `len 20` (bytes of a string) and `low_first` or `high_first`",
                ));
            }
        }
    }
    Ok(address)
}

/// `DB1.DBW0`, `%MW10`, `M0.1`, `EW4`: how an S7 names its memory.
fn is_s7(text: &str) -> bool {
    let upper = text.trim_start_matches('%').to_ascii_uppercase();
    let digit = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    if upper.strip_prefix("DB").is_some_and(digit) {
        return true;
    }
    let area = upper.strip_prefix(['M', 'I', 'Q', 'E', 'A']);
    area.is_some_and(|rest| digit(rest.strip_prefix(['B', 'W', 'D', 'X']).unwrap_or(rest)))
}

type Location = (Table, u16, Option<u8>);

/// `100` or `100.3` behind a table's word.
fn wire_location(table: Table, text: &str) -> Result<Location, AddressError> {
    let (number, bit) = number_and_bit(text)?;
    match digits(number) {
        Some(number) => match u16::try_from(number) {
            Ok(start) => Ok((table, start, bit)),
            Err(_) => Err(AddressError::new(
                format!("{} {number} is beyond the table", table.word()),
                "a table has the addresses 0..65535",
            )),
        },
        None => Err(AddressError::new(
            format!("`{}` needs a number from 0 to 65535", table.word()),
            format!("write for example `{} 100`", table.word()),
        )),
    }
}

/// `40101`, `400101` or `40101.3`.
fn manual_location(text: &str) -> Result<Location, AddressError> {
    let (number, bit) = number_and_bit(text)?;
    let Some(value) = digits(number) else {
        return Err(AddressError::new(
            format!("`{text}` is no Modbus address"),
            format!("tables are co, di, ir, hr: {FORMS}"),
        ));
    };
    let (Some(&digit), 5..=6) = (number.as_bytes().first(), number.len()) else {
        return Err(AddressError::new(format!("Modbus address `{text}` is ambiguous"), FORMS));
    };
    let Some(table) = Table::of_digit(digit) else {
        return Err(AddressError::new(
            format!("`{text}` is in no table"),
            "the first digit is 0 for coils, 1 discrete inputs, 3 input registers, 4 holding registers",
        ));
    };
    let within = value % if number.len() == 5 { 10_000 } else { 100_000 };
    match within.checked_sub(1).and_then(|start| u16::try_from(start).ok()) {
        Some(start) => Ok((table, start, bit)),
        None if within == 0 => Err(AddressError::new(
            format!("`{text}` does not exist: the manual's numbers begin at 1"),
            format!("the first is `{}1`, on the wire `{} 0`", &number[..number.len() - 1], table.word()),
        )),
        None => Err(AddressError::new(
            format!("`{text}` is beyond the table"),
            format!("the last is `{}65536`, on the wire `{} 65535`", char::from(digit), table.word()),
        )),
    }
}

fn number_and_bit(text: &str) -> Result<(&str, Option<u8>), AddressError> {
    let Some((number, bit)) = text.split_once('.') else { return Ok((text, None)) };
    match digits(bit).and_then(|bit| u8::try_from(bit).ok()) {
        Some(bit @ 0..=15) => Ok((number, Some(bit))),
        _ => Err(AddressError::new(
            format!("`.{bit}` is no bit of a register"),
            "a register has the bits .0 (lowest) to .15",
        )),
    }
}

fn string_length(word: Option<&str>) -> Result<u16, AddressError> {
    word.and_then(digits)
        .and_then(|len| u16::try_from(len).ok())
        .filter(|len| (1..=STRING_BYTES_MAX).contains(len))
        .ok_or_else(|| {
            AddressError::new(
                format!("`len` needs a number of bytes from 1 to {STRING_BYTES_MAX}"),
                "write for example `hr 100 len 20`",
            )
        })
}

/// Bytes of a string at most: the 125 registers of one answer.
pub const STRING_BYTES_MAX: u16 = 250;

/// A number of plain digits only: no sign, no blanks, at most 6.
fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(table: Table, start: u16) -> Address {
        Address { table, start, bit: None, len: None, words: None }
    }

    #[test]
    fn both_notations_name_the_same_places() {
        for (manual, wire, expected) in [
            ("40101", "hr 100", plain(Table::HoldingRegisters, 100)),
            ("400101", "hr 100", plain(Table::HoldingRegisters, 100)),
            ("30001", "ir 0", plain(Table::InputRegisters, 0)),
            ("10006", "di 5", plain(Table::DiscreteInputs, 5)),
            ("00006", "co 5", plain(Table::Coils, 5)),
            ("000006", "co 5", plain(Table::Coils, 5)),
            ("49999", "hr 9998", plain(Table::HoldingRegisters, 9_998)),
            ("465536", "hr 65535", plain(Table::HoldingRegisters, 65_535)),
            ("40101.3", "hr 100.3", Address { bit: Some(3), ..plain(Table::HoldingRegisters, 100) }),
            (
                "40101 len 20",
                "hr 100 len 20",
                Address { len: Some(20), ..plain(Table::HoldingRegisters, 100) },
            ),
            (
                "40101 low_first",
                " hr  100   low_first ",
                Address { words: Some(Order::LowFirst), ..plain(Table::HoldingRegisters, 100) },
            ),
        ] {
            assert_eq!(parse(manual), Ok(expected), "{manual}");
            assert_eq!(parse(wire), Ok(expected), "{wire}");
        }
    }

    #[test]
    fn a_bare_number_is_ambiguous() {
        for text in ["100", "0", "9999", "100.3"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, format!("Modbus address `{text}` is ambiguous"));
            assert_eq!(
                error.help,
                "`\"40101\"` counts from 1 as in the manual, `\"hr 100\"` from 0 as on the wire"
            );
        }
    }

    #[test]
    fn wrong_addresses_say_what_would_be_right() {
        for (text, message, help) in [
            ("", "the address is empty", "hr 100"),
            ("hr", "`hr` needs a number", "`hr 100`"),
            ("hr -1", "`hr` needs a number", "`hr 100`"),
            ("ir 65536", "ir 65536 is beyond the table", "0..65535"),
            ("holding 5", "`holding` is no Modbus address", "co, di, ir, hr"),
            ("DB1.DBW0", "`DB1.DBW0` is an address of a Siemens S7", "40101"),
            ("%MW10", "`%MW10` is an address of a Siemens S7", "hr 100"),
            ("I0.1", "`I0.1` is an address of a Siemens S7", "hr 100"),
            ("50001", "`50001` is in no table", "4 holding registers"),
            ("40000", "`40000` does not exist", "`40001`, on the wire `hr 0`"),
            ("465537", "`465537` is beyond the table", "`465536`"),
            ("hr 100.16", "`.16` is no bit", ".15"),
            ("hr 100.x", "`.x` is no bit", ".15"),
            ("hr 100 len 0", "`len` needs a number of bytes from 1 to 250", "len 20"),
            ("hr 100 len 251", "`len` needs a number of bytes from 1 to 250", "len 20"),
            ("hr 100 swapped", "`swapped` is not expected here", "low_first"),
            ("hr 100 low_first high_first", "`high_first` is not expected here", "low_first"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert!(error.help.contains(help), "{text}: {}", error.help);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_shown_is_parsed_again(
            table in 0usize..4, start: u16, bit in proptest::option::of(0u8..16),
            len in proptest::option::of(1u16..=250), low in proptest::option::of(any::<bool>()),
        ) {
            let table =
                [Table::Coils, Table::DiscreteInputs, Table::InputRegisters, Table::HoldingRegisters][table];
            let words = low.map(|low| if low { Order::LowFirst } else { Order::HighFirst });
            let address = Address { table, start, bit, len, words };
            prop_assert_eq!(parse(&address.to_string()), Ok(address));
        }

        #[test]
        fn manual_and_wire_differ_by_one(start: u16) {
            let manual = parse(&format!("4{:05}", u32::from(start) + 1)).unwrap();
            prop_assert_eq!(manual, parse(&format!("hr {start}")).unwrap());
        }
    }
}
