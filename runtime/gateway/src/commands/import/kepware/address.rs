//! Modbus addresses as KEPServerEX writes them, and as this gateway does.
//!
//! `40001`, `400001`, `41` (padded), `H40064` (hexadecimal), `40001.3` (bit), `40001.20H` (text, high byte first),
//! `40001.20L` (low byte first), `40001[10]` and `40001[2][5]` (arrays). All count from 1.

/// Registers of a table.
const PLACES: u32 = 65_536;

/// A parsed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// `0` coils, `1` discrete inputs, `3` input registers, `4` holding registers.
    pub table: char,
    /// Counted from 1.
    pub place: u32,
    /// It was written with 5 digits or fewer.
    short: bool,
    pub bit: Option<u8>,
    /// Bytes of a text.
    pub text_bytes: Option<u16>,
    /// The low byte of each register of a text comes first.
    pub low_byte_first: bool,
    /// Elements of an array; `None` for a single value.
    pub elements: Option<u32>,
}

impl Address {
    /// True for tables of single bits.
    pub fn is_bits(&self) -> bool {
        matches!(self.table, '0' | '1')
    }

    /// The address of one element, in the notation of manuals; `None` beyond the table.
    pub fn written(&self, places_behind: u32, width: u32) -> Option<String> {
        let place = self.place.checked_add(places_behind)?;
        if place.checked_add(width)? > PLACES + 1 {
            return None;
        }
        let table = self.table;
        let number = if self.short && place <= 9_999 {
            format!("{table}{place:04}")
        } else {
            format!("{table}{place:05}")
        };
        Some(match (self.bit, self.text_bytes) {
            (Some(bit), _) => format!("{number}.{bit}"),
            (None, Some(bytes)) => format!("{number} len {bytes}"),
            (None, None) => number,
        })
    }
}

/// Reads an address; `None` if it is none of Modbus.
pub fn parse(text: &str) -> Option<Address> {
    let text = text.trim();
    let (text, hexadecimal) = match text.strip_prefix(['H', 'h']) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let table = text.chars().next().filter(|table| matches!(table, '0' | '1' | '3' | '4'))?;
    let rest = text.get(1..)?;
    let end = rest.find(['.', '[', ' ']).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let place = u32::from_str_radix(digits, if hexadecimal { 16 } else { 10 }).ok()?;
    if !(1..=PLACES).contains(&place) {
        return None;
    }
    let short = digits.len() <= 4;
    let plain =
        Address { table, place, short, bit: None, text_bytes: None, low_byte_first: false, elements: None };
    match behind.strip_prefix('.') {
        Some(part) => part_of_register(plain, part),
        None => Some(Address { elements: elements(behind.trim())?, ..plain }),
    }
}

/// `3`, `20H` or `20L` behind the dot.
fn part_of_register(address: Address, part: &str) -> Option<Address> {
    if address.is_bits() {
        return None;
    }
    let order = part.chars().last().filter(|c| matches!(c, 'H' | 'h' | 'L' | 'l'));
    match order {
        Some(order) => {
            let bytes = part.get(..part.len() - 1)?.parse().ok().filter(|bytes| (1..=240).contains(bytes))?;
            Some(Address {
                text_bytes: Some(bytes),
                low_byte_first: order.eq_ignore_ascii_case(&'l'),
                ..address
            })
        }
        None => Some(Address { bit: Some(part.parse().ok().filter(|bit| *bit <= 16)?), ..address }),
    }
}

/// `[10]` or `[2][5]`: how many elements; nothing for a single value.
fn elements(text: &str) -> Option<Option<u32>> {
    if text.is_empty() {
        return Some(None);
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut product = 1u32;
    for size in inner.split("][") {
        let size: u32 = size.trim().parse().ok().filter(|size| *size >= 1)?;
        product = product.checked_mul(size).filter(|product| *product <= PLACES)?;
    }
    Some(Some(product))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_forms_are_read_and_written_in_the_notation_of_manuals() {
        for (text, width, expected) in [
            ("40001", 1, "40001"),
            ("400001", 1, "400001"),
            ("41", 1, "40001"),
            ("H40064", 1, "40100"),
            ("H464", 2, "40100"),
            ("465535", 2, "465535"),
            ("40001.3", 1, "40001.3"),
            ("300011.20H", 10, "300011 len 20"),
            ("00005", 1, "00005"),
            ("100005 [4]", 1, "100005"),
        ] {
            assert_eq!(parse(text).unwrap().written(0, width).as_deref(), Some(expected), "{text}");
        }
        let array = parse("40009[2][5]").unwrap();
        assert_eq!(array.elements, Some(10));
        assert_eq!(array.written(9_991, 2).as_deref(), Some("410000"));
        assert_eq!(parse("40001.20L").map(|address| address.low_byte_first), Some(true));
        assert_eq!(parse("465536").unwrap().written(0, 2), None, "a value of two registers");
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "4",
            "40000",
            "50001",
            "DB1.DBW0",
            "N7:0",
            "465537",
            "40001.17",
            "40001.0H",
            "40001[",
            "40001[0]",
            "00001.3",
            "4000a",
            "40001.20X",
            "40001[70000]",
            "4é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[Hh]?[0134][0-9A-Fa-f.\\[\\]HL ]{0,12}|\\PC{0,12}") {
            if let Some(address) = parse(&text) {
                let _ = address.written(address.elements.unwrap_or(0), 4);
            }
        }
    }
}
