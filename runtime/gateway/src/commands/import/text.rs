//! Bytes of foreign files as text, and values in the spelling of the language.

use gwp_compile::is_unit;
use gwp_core::manifest::written_duration;
use gwp_syntax::is_reserved;
use std::collections::HashSet;

/// Longest name that is taken over; longer ones are cut.
const NAME_CHARS_MAX: usize = 100;
/// Longest text (description, address) that is taken over; longer ones are cut.
const TEXT_CHARS_MAX: usize = 1_000;

/// What the bytes 0x80 to 0x9F stand for in Windows-1252; the others are those of Latin 1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// UTF-8 with or without a byte order mark, else Windows-1252.
pub fn decoded(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .map(|byte| match byte {
                0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                other => char::from(*other),
            })
            .collect(),
    }
}

/// Line numbers of places in a text.
#[derive(Debug)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    pub fn of(text: &str) -> LineIndex {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        LineIndex { starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> u64 {
        self.starts.partition_point(|start| *start <= at) as u64
    }
}

/// One line without signs that no editor shows.
pub fn line(text: &str) -> String {
    let plain = text.trim().chars().take(TEXT_CHARS_MAX);
    plain.map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// A text in double quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in line(text).chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '{' | '}' => out.extend([c, c]),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A name as it stands in a program: in single quotes where it has to.
pub fn name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("'{name}'") }
}

/// Names of one space. No two differ in capital letters only.
#[derive(Default)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// A space in which some names are taken from the beginning.
    pub fn with(taken: &[&str]) -> Names {
        Names { taken: taken.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// True if that very name can be taken.
    pub fn is_free(&self, name: &str) -> bool {
        !self.taken.contains(&name.to_lowercase())
    }

    /// The name nearest to the wanted one that is free and can be a name. Dots would be read as paths.
    pub fn take(&mut self, wanted: &str) -> String {
        let plain = line(wanted).replace(['.', '\''], "_");
        let mut plain: String = plain.chars().take(NAME_CHARS_MAX).collect();
        plain.truncate(plain.trim_end().len());
        if plain.is_empty() {
            plain.push_str("unnamed");
        }
        let mut free = plain.clone();
        let mut number = 2;
        while !self.taken.insert(free.to_lowercase()) {
            free = format!("{plain}_{number}");
            number += 1;
        }
        free
    }
}

/// A number as a program writes it.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-6..1e15).contains(&size) { format!("{value:e}") } else { format!("{value}") }
}

/// A time in milliseconds as a program writes it.
pub fn milliseconds(ms: u64) -> String {
    written_duration(i64::try_from(ms).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000))
}

/// A text of digits, with a decimal comma where the file has them.
pub fn parsed_number(text: &str, decimal_comma: bool) -> Option<f64> {
    let text = text.trim();
    let number = if decimal_comma { text.replace(',', ".").parse::<f64>() } else { text.parse::<f64>() };
    number.ok().filter(|number| number.is_finite())
}

/// How plants write units that have another spelling here, in small letters.
const SPELLINGS: &[(&str, &str)] = &[
    ("deg c", "degC"),
    ("deg. c", "degC"),
    ("degc", "degC"),
    ("degree c", "degC"),
    ("degrees c", "degC"),
    ("celsius", "degC"),
    ("grad c", "degC"),
    ("deg f", "degF"),
    ("degf", "degF"),
    ("degrees f", "degF"),
    ("fahrenheit", "degF"),
    ("kelvin", "K"),
    ("percent", "%"),
    ("prozent", "%"),
    ("amp", "A"),
    ("amps", "A"),
    ("ampere", "A"),
    ("volt", "V"),
    ("volts", "V"),
    ("watt", "W"),
    ("watts", "W"),
    ("kw", "kW"),
    ("mw", "MW"),
    ("kwh", "kWh"),
    ("mwh", "MWh"),
    ("kva", "kVA"),
    ("kvar", "kvar"),
    ("kvarh", "kvarh"),
    ("hz", "Hz"),
    ("khz", "kHz"),
    ("rpm", "rpm"),
    ("u/min", "rpm"),
    ("1/min", "rpm"),
    ("gpm", "gpm"),
    ("lpm", "l/min"),
    ("cfm", "cfm"),
    ("psi", "psi"),
    ("bar", "bar"),
    ("mbar", "mbar"),
    ("pa", "Pa"),
    ("kpa", "kPa"),
    ("mpa", "MPa"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("minute", "min"),
    ("minutes", "min"),
    ("mins", "min"),
    ("hour", "h"),
    ("hours", "h"),
    ("hrs", "h"),
    ("days", "d"),
    ("meter", "m"),
    ("metre", "m"),
    ("inch", "inch"),
    ("inches", "inch"),
    ("feet", "ft"),
    ("foot", "ft"),
    ("lbs", "lb"),
    ("pounds", "lb"),
    ("gallon", "gal"),
    ("gallons", "gal"),
    ("liter", "l"),
    ("litre", "l"),
    ("liters", "l"),
    ("litres", "l"),
    ("kg/hr", "kg/h"),
    ("m3/hr", "m3/h"),
    ("t/hr", "t/h"),
    ("l/hr", "l/h"),
    ("cbm/h", "m3/h"),
    ("ph", "pH"),
];

/// One letter that is a unit here, but mostly another on a plant: `C` would be coulomb, `F` farad, `T` tesla.
const MISLEADING: &[&str] = &["C", "F", "T", "H", "S", "P", "M", "G"];

/// The unit of the language that a text of a plant means; `None` when there is no such unit.
pub fn unit(text: &str) -> Option<String> {
    let text = line(text);
    let lower = text.to_lowercase();
    if !MISLEADING.contains(&&*text) && is_unit(&text) {
        return Some(gwp_syntax::normal_unit(&text, |_| false).into_owned());
    }
    SPELLINGS.iter().find(|(other, _)| *other == lower).map(|(_, unit)| (*unit).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_both_encodings_are_read() {
        assert_eq!(decoded("\u{feff}°C".as_bytes()), "°C");
        assert_eq!(decoded(b"\xb0C \x80"), "°C €");
    }

    #[test]
    fn names_are_free_and_readable() {
        let mut names = Names::with(&["connected"]);
        for (wanted, expected) in [
            ("Temp", "Temp"),
            ("TEMP", "TEMP_2"),
            ("a.b", "a_b"),
            ("Connected", "Connected_2"),
            (" it's\n", "it_s"),
            ("", "unnamed"),
        ] {
            assert_eq!(names.take(wanted), expected);
        }
        assert_eq!(
            [name("a1"), name("1a"), name("range"), name("TT-1")],
            ["a1", "'1a'", "'range'", "'TT-1'"]
        );
    }

    #[test]
    fn texts_and_numbers_are_written_as_in_a_program() {
        assert_eq!(quoted("a \"b\" {c}\\\n"), "\"a \\\"b\\\" {{c}}\\\\\"");
        assert_eq!([number(0.1), number(-4095.0), number(1e20), number(0.0)], ["0.1", "-4095", "1e20", "0"]);
        assert_eq!([milliseconds(500), milliseconds(60_000)], ["500 ms", "1 min"]);
        assert_eq!(parsed_number("0,5", true), Some(0.5));
        assert_eq!([parsed_number("0,5", false), parsed_number("inf", false)], [None, None]);
    }

    #[test]
    fn units_of_plants_are_understood_and_misleading_ones_are_not() {
        for (written, expected) in
            [("°C", "degC"), ("Deg C", "degC"), ("KW", "kW"), ("m³/h", "m3/h"), ("%", "%"), ("kg/hr", "kg/h")]
        {
            assert_eq!(unit(written).as_deref(), Some(expected), "{written}");
        }
        for written in ["C", "F", "furlongs", "kg/cm2g", ""] {
            assert_eq!(unit(written), None, "{written}");
        }
        for (_, unit) in SPELLINGS {
            assert!(is_unit(unit), "{unit}");
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let index = LineIndex::of("a\nbc\n\nd");
        assert_eq!([0, 1, 2, 4, 5, 6].map(|at| index.line(at)), [1, 1, 2, 2, 3, 4]);
    }
}
