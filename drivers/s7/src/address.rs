//! Addresses as people write them.
//!
//! ```text
//! DB10.DBW2   DB10.DBX8.0   DB10,REAL8    a data block: as in STEP 7, or as in an OPC server
//! M10.3  MW20  I0.1  QB4  E0.1  AW2       flags, inputs (E), outputs (A); with % in front, too
//! VW100                                   a LOGO!: its variable memory is data block 1
//! T5   C3  Z3                             timers and counters
//! ... len 20 | char | s5time | dtl        behind it: length of a text, how the PLC keeps the value
//! ```
//! The letter tells the width, the tag's type the meaning; what has neither one, two nor four bytes
//! begins at a byte (`DBB`).

use crate::format::Format;
use crate::protocol::telegram::Area;
use std::fmt;

/// A parsed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    pub area: Area,
    /// Number of the data block; 0 in other areas.
    pub block: u16,
    /// First byte, or number of the timer or counter.
    pub start: u16,
    pub width: Width,
    /// How the PLC keeps the value, when the type alone does not tell.
    pub format: Option<Format>,
    /// Characters of a text.
    pub len: Option<u16>,
}

/// What the letter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// One bit, 0 = lowest.
    Bit(u8),
    /// One byte, or from it on.
    Byte,
    Word,
    Double,
    /// A timer or counter.
    Element,
}

impl Width {
    /// The letter in an address.
    pub const fn letter(self) -> &'static str {
        match self {
            Width::Bit(_) => "X",
            Width::Byte => "B",
            Width::Word => "W",
            Width::Double => "D",
            Width::Element => "",
        }
    }
}

/// The notation of STEP 7, which [`parse`] reads.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, start) = (self.width.letter(), self.start);
        match (self.area, self.width) {
            (Area::Blocks, _) => write!(f, "DB{}.DB{letter}{start}", self.block)?,
            (Area::Timers, _) => write!(f, "T{start}")?,
            (Area::Counters, _) => write!(f, "C{start}")?,
            (area, Width::Bit(_)) => write!(f, "{}{start}", area_letter(area))?,
            (area, _) => write!(f, "{}{letter}{start}", area_letter(area))?,
        }
        if let Width::Bit(bit) = self.width {
            write!(f, ".{bit}")?;
        }
        if let Some(format) = self.format {
            write!(f, " {}", format.word())?;
        }
        self.len.map_or(Ok(()), |len| write!(f, " len {len}"))
    }
}

const fn area_letter(area: Area) -> &'static str {
    match area {
        Area::Inputs => "I",
        Area::Outputs => "Q",
        _ => "M",
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

const FORMS: &str = "write for example `\"DB10.DBW2\"`, `\"DB10.DBX8.0\"`, `\"MW20\"` or `\"I0.1\"`";

/// Characters of a text at most: of `STRING`, and of `WSTRING` and arrays of characters.
pub const STRING_MAX: u16 = 254;
pub const LONG_TEXT_MAX: u16 = 16_382;

/// Parses an address.
///
/// # Errors
/// What is wrong with it, with the edit that mends it.
pub fn parse(text: &str) -> Result<Address, AddressError> {
    let mut words = text.split_whitespace();
    let Some(first) = words.next() else {
        return Err(AddressError::new("the address is empty", FORMS));
    };
    let mut address = location(first)?;
    while let Some(option) = words.next() {
        match (option, Format::of_word(option)) {
            ("len", _) if address.len.is_none() => address.len = Some(text_length(words.next())?),
            (_, Some(format)) if address.format.is_none() => address.format = Some(format),
            _ => {
                return Err(AddressError::new(
                    format!("`{option}` is not expected here"),
                    format!(
                        "behind the place may stand `len 20` (characters of a text) and one of {}",
                        Format::words()
                    ),
                ));
            }
        }
    }
    Ok(address)
}

/// The part without blanks.
fn location(written: &str) -> Result<Address, AddressError> {
    let upper = written.trim_start_matches('%').to_ascii_uppercase();
    let wrong = || AddressError::new(format!("`{written}` is no S7 address"), FORMS);
    if let Some(rest) = upper.strip_prefix("DB") {
        let (block, rest) = leading_number(rest).ok_or_else(wrong)?;
        let item = rest.strip_prefix(".DB").or_else(|| rest.strip_prefix(','));
        let item = item.ok_or_else(|| {
            AddressError::new(
                format!("`{written}` names a data block and no place in it"),
                format!("write for example `DB{block}.DBW0`"),
            )
        })?;
        let block = u16::try_from(block).ok().filter(|block| *block > 0).ok_or_else(|| {
            AddressError::new(format!("there is no data block {block}"), "they are counted from 1 to 65535")
        })?;
        return place(written, (Area::Blocks, block), true, item);
    }
    let (letter, rest) = upper.split_at_checked(1).ok_or_else(wrong)?;
    match letter {
        "M" => place(written, (Area::Flags, 0), false, rest),
        "I" | "E" => place(written, (Area::Inputs, 0), false, rest),
        "Q" | "A" => place(written, (Area::Outputs, 0), false, rest),
        "V" => place(written, (Area::Blocks, 1), false, rest),
        "T" => element(written, Area::Timers, rest),
        "C" | "Z" => element(written, Area::Counters, rest),
        "P" => Err(AddressError::new(
            "the periphery (PI, PE, PQ, PA) is not read",
            "read the process image: `IW64` in place of `PIW64`; it must hold that address",
        )),
        _ => Err(wrong()),
    }
}

/// `W2`, `X8.0`, `REAL8`, or `0.1` for a bit outside of a block.
fn place(
    written: &str,
    (area, block): (Area, u16),
    bit_has_letter: bool,
    item: &str,
) -> Result<Address, AddressError> {
    let wrong = || AddressError::new(format!("`{written}` is no S7 address"), FORMS);
    let name = item.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (number, extra) = match item.get(name.len()..).ok_or_else(wrong)?.split_once('.') {
        Some((number, extra)) => (number, Some(extra)),
        None => (item.get(name.len()..).unwrap_or_default(), None),
    };
    let (start, _) = leading_number(number).filter(|(_, rest)| rest.is_empty()).ok_or_else(wrong)?;
    let start = u16::try_from(start).map_err(|_| {
        AddressError::new(format!("byte {start} is beyond any area"), "bytes are counted from 0 to 65535")
    })?;
    let address = |width, format, len| Address { area, block, start, width, format, len };
    let plain = |width, format| match extra {
        None => Ok(address(width, format, None)),
        Some(_) => Err(AddressError::new(
            format!("`{written}` names a bit of more than a bit"),
            format!("write `{}`", address(Width::Bit(0), None, None)),
        )),
    };
    match name {
        "X" | "" if name == "X" || !bit_has_letter => {
            let bit = extra.and_then(|bit| bit.parse::<u8>().ok()).filter(|bit| *bit < 8);
            bit.map(|bit| address(Width::Bit(bit), None, None)).ok_or_else(|| {
                AddressError::new(
                    format!("`{written}` needs the number of a bit, .0 (lowest) to .7"),
                    format!("write for example `{}`", address(Width::Bit(0), None, None)),
                )
            })
        }
        "STRING" | "S" | "WSTRING" => {
            let format = if name == "WSTRING" { Some(Format::WString) } else { None };
            let len = extra.map(|len| text_length(Some(len))).transpose()?;
            Ok(address(Width::Byte, format, len))
        }
        _ => {
            let (width, format) = named(name).ok_or_else(wrong)?;
            plain(width, format)
        }
    }
}

/// Names of types in the notation of OPC servers, and the plain letters.
fn named(name: &str) -> Option<(Width, Option<Format>)> {
    Some(match name {
        "B" | "BYTE" | "SINT" | "USINT" => (Width::Byte, None),
        "C" | "CHAR" => (Width::Byte, None),
        "W" | "WORD" | "INT" | "UINT" => (Width::Word, None),
        "D" | "DW" | "DI" | "DWORD" | "DINT" | "UDINT" | "REAL" | "R" => (Width::Double, None),
        "LWORD" | "LINT" | "ULINT" | "LREAL" | "LI" | "LR" => (Width::Byte, None),
        "DATE" => (Width::Word, Some(Format::Date)),
        "TIME" => (Width::Double, Some(Format::Time)),
        "TOD" => (Width::Double, Some(Format::TimeOfDay)),
        "DT" => (Width::Byte, Some(Format::DateAndTime)),
        "DTL" => (Width::Byte, Some(Format::Dtl)),
        _ => return None,
    })
}

/// `5` of `T5`.
fn element(written: &str, area: Area, number: &str) -> Result<Address, AddressError> {
    let number = leading_number(number).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number);
    match number.map(u16::try_from) {
        Some(Ok(start)) => {
            Ok(Address { area, block: 0, start, width: Width::Element, format: None, len: None })
        }
        _ => Err(AddressError::new(
            format!("`{written}` is no timer or counter"),
            "write for example `T5` or `C3`, numbers are 0 to 65535",
        )),
    }
}

fn text_length(word: Option<&str>) -> Result<u16, AddressError> {
    word.and_then(leading_number)
        .filter(|(_, rest)| rest.is_empty())
        .and_then(|(len, _)| u16::try_from(len).ok())
        .filter(|len| (1..=LONG_TEXT_MAX).contains(len))
        .ok_or_else(|| {
            AddressError::new(
                format!("`len` needs a number of characters from 1 to {LONG_TEXT_MAX}"),
                "write for example `DB10.DBB4 len 20` for a STRING[20]",
            )
        })
}

/// A number of one to six digits at the beginning, and what follows.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if (1..=6).contains(&digits) { Some((number.parse().ok()?, rest)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(area: Area, block: u16, start: u16, width: Width) -> Address {
        Address { area, block, start, width, format: None, len: None }
    }

    #[test]
    fn all_notations_name_the_same_places() {
        let db = |start, width| at(Area::Blocks, 10, start, width);
        for (texts, expected) in [
            (&["DB10.DBW2", "db10.dbw2", "%DB10.DBW2", "DB10,W2", "DB10,INT2"][..], db(2, Width::Word)),
            (&["DB10.DBX8.3", "DB10,X8.3"], db(8, Width::Bit(3))),
            (&["DB10.DBD4", "DB10,REAL4", "DB10,DINT4", "DB10,D4"], db(4, Width::Double)),
            (&["DB10.DBB4", "DB10,B4", "DB10,BYTE4", "DB10,LREAL4"], db(4, Width::Byte)),
            (&["M10.3", "MX10.3", "%M10.3"], at(Area::Flags, 0, 10, Width::Bit(3))),
            (&["MW20"], at(Area::Flags, 0, 20, Width::Word)),
            (&["I0.1", "E0.1", "%I0.1"], at(Area::Inputs, 0, 0, Width::Bit(1))),
            (&["QB4", "AB4"], at(Area::Outputs, 0, 4, Width::Byte)),
            (&["QD65535"], at(Area::Outputs, 0, 65_535, Width::Double)),
            (&["VW100"], at(Area::Blocks, 1, 100, Width::Word)),
            (&["V7.2"], at(Area::Blocks, 1, 7, Width::Bit(2))),
            (&["T5"], at(Area::Timers, 0, 5, Width::Element)),
            (&["C3", "Z3"], at(Area::Counters, 0, 3, Width::Element)),
            (
                &["DB10.DBB4 len 20", "DB10,STRING4.20", "DB10,S4.20"],
                Address { len: Some(20), ..db(4, Width::Byte) },
            ),
            (&["DB10.DBW4 date", "DB10,DATE4"], Address { format: Some(Format::Date), ..db(4, Width::Word) }),
            (&["DB10.DBB4 dtl"], Address { format: Some(Format::Dtl), ..db(4, Width::Byte) }),
            (
                &["DB10.DBB4 wstring len 9", "DB10,WSTRING4.9"],
                Address { format: Some(Format::WString), len: Some(9), ..db(4, Width::Byte) },
            ),
        ] {
            for text in texts {
                assert_eq!(parse(text), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn wrong_addresses_say_what_would_be_right() {
        for (text, message, help) in [
            ("", "the address is empty", "DB10.DBW2"),
            ("DB10", "`DB10` names a data block and no place in it", "`DB10.DBW0`"),
            ("DB0.DBW2", "there is no data block 0", "1 to 65535"),
            ("DB70000.DBW2", "there is no data block 70000", "1 to 65535"),
            ("DB1.DBW70000", "byte 70000 is beyond any area", "65535"),
            ("DB1.DBX8", "`DB1.DBX8` needs the number of a bit", "`DB1.DBX8.0`"),
            ("DB1.DBX8.9", "`DB1.DBX8.9` needs the number of a bit", "`DB1.DBX8.0`"),
            ("M10", "`M10` needs the number of a bit", "`M10.0`"),
            ("MW10.3", "`MW10.3` names a bit of more than a bit", "`M10.0`"),
            ("DB1.DBQ4", "`DB1.DBQ4` is no S7 address", "DB10.DBW2"),
            ("hr 100", "`hr` is no S7 address", "DB10.DBW2"),
            ("40101", "`40101` is no S7 address", "DB10.DBW2"),
            ("ü", "`ü` is no S7 address", "DB10.DBW2"),
            ("DB1.4", "`DB1.4` names a data block", "`DB1.DBW0`"),
            ("PIW64", "the periphery", "`IW64`"),
            ("T", "`T` is no timer or counter", "`T5`"),
            ("C70000", "`C70000` is no timer or counter", "`C3`"),
            ("DB1.DBB4 len 0", "`len` needs a number of characters from 1", "len 20"),
            ("DB1.DBB4 len", "`len` needs a number of characters from 1", "len 20"),
            ("DB1.DBW4 swapped", "`swapped` is not expected here", "s5time"),
            ("DB1.DBW4 date dtl", "`dtl` is not expected here", "s5time"),
        ] {
            let error = parse(text).expect_err(text);
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
        fn near_misses_are_parsed_or_refused(text in "(DB|M|I|V|%|T)[0-9]{0,6}[.,]?(DB)?[XBWDS]?[0-9]{0,6}(\\.[0-9]{0,3})?( len)?") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_shown_is_parsed_again(
            area in 0usize..6, block in 1u16.., start: u16, width in 0usize..4, bit in 0u8..8,
            format in proptest::option::of(0usize..Format::ALL.len()), len in proptest::option::of(1u16..=LONG_TEXT_MAX),
        ) {
            let area =
                [Area::Inputs, Area::Outputs, Area::Flags, Area::Blocks, Area::Counters, Area::Timers][area];
            let width = if area.is_counted() {
                Width::Element
            } else {
                [Width::Bit(bit), Width::Byte, Width::Word, Width::Double][width]
            };
            let block = if area == Area::Blocks { block } else { 0 };
            let address =
                Address { area, block, start, width, format: format.map(|at| Format::ALL[at]), len };
            prop_assert_eq!(parse(&address.to_string()), Ok(address));
        }
    }
}
