//! Literals as PLC programs and C write them: `16#FF`, `T#5s`, `REAL#1.5`, `0xFF`. None of them exists here, and none may
//! be taken for something else, such as a number with a comment behind it.

/// A literal in a foreign notation.
#[derive(Debug, PartialEq)]
pub(crate) struct Foreign {
    /// Bytes that belong to it.
    pub length: usize,
    /// How the same is written here.
    pub help: String,
    /// The same, where one edit says it.
    pub plain: Option<String>,
}

const TIMES: [&str; 6] = ["T", "TIME", "LT", "LTIME", "S5T", "S5TIME"];
const DATES: [&str; 10] =
    ["D", "DATE", "LDATE", "DT", "LDT", "DATE_AND_TIME", "DTL", "TOD", "LTOD", "TIME_OF_DAY"];
const TYPES: [&str; 16] = [
    "BOOL", "BYTE", "WORD", "DWORD", "LWORD", "SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT",
    "ULINT", "REAL", "LREAL", "STRING",
];
const UNITS: [(&str, &str); 7] =
    [("d", "d"), ("h", "h"), ("m", "min"), ("s", "s"), ("ms", "ms"), ("us", "us"), ("ns", "ns")];

/// Reads a literal with `#` that begins with `text`; `None` if it is not known as one.
pub(crate) fn typed(text: &str) -> Option<Foreign> {
    let (prefix, rest) = text.split_once('#')?;
    let upper = prefix.to_ascii_uppercase();
    let of_date = DATES.contains(&&*upper);
    let part = |c: char| c.is_ascii_alphanumeric() || "_.#".contains(c) || (of_date && "-:".contains(c));
    let body = rest.get(..rest.find(|c| !part(c)).unwrap_or(rest.len()))?;
    if body.is_empty() {
        return None;
    }
    let length = prefix.len() + 1 + body.len();
    let foreign = |help: String, plain| Some(Foreign { length, help, plain });
    if let Ok(base) = prefix.parse::<u32>() {
        return based(base, body).map(|of_base| Foreign { length, ..of_base });
    }
    if of_date {
        return foreign("a point in time is written `2025-06-01T06:00Z`".to_owned(), None);
    }
    if TIMES.contains(&&*upper) {
        let plain = time(body);
        let shown = plain.as_deref().unwrap_or("5 s");
        return foreign(format!("times are written `{shown}`"), plain);
    }
    if !TYPES.contains(&&*upper) {
        return None;
    }
    if let Some((base, digits)) = body.split_once('#') {
        return based(base.parse().ok()?, digits).map(|of_base| Foreign { length, ..of_base });
    }
    foreign(format!("write the value alone: `{body}`"), Some(body.to_owned()))
}

/// Reads `0xFF`, `0b101` or `0o17` at the beginning of `text`.
pub(crate) fn prefixed(text: &str) -> Option<Foreign> {
    let base = match text.get(..2)? {
        "0x" | "0X" => 16,
        "0b" | "0B" => 2,
        "0o" | "0O" => 8,
        _ => return None,
    };
    let body = text.get(2..)?;
    let body =
        body.get(..body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len()))?;
    let begins = body.chars().next().is_some_and(|first| first.is_digit(base));
    begins.then(|| based(base, body)).flatten().map(|of_base| Foreign { length: 2 + body.len(), ..of_base })
}

/// Digits to a base, as a decimal number; `None` for a base that nobody writes.
fn based(base: u32, digits: &str) -> Option<Foreign> {
    let name = match base {
        2 => "binary",
        8 => "octal",
        10 => "typed",
        16 => "hexadecimal",
        _ => return None,
    };
    let plain = i64::from_str_radix(&digits.replace('_', ""), base).ok().map(|value| value.to_string());
    let help = match &plain {
        Some(plain) => format!("there are no {name} numbers: write `{plain}`"),
        None => format!("there are no {name} numbers: write it as a decimal one"),
    };
    Some(Foreign { length: 0, help, plain })
}

/// `5s` as `5 s`; several parts (`1m30s`) have no plain form.
fn time(body: &str) -> Option<String> {
    let end = body.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = body.split_at_checked(end)?;
    let lower = unit.to_ascii_lowercase();
    let (_, unit) = UNITS.iter().find(|(written, _)| *written == lower)?;
    (!number.is_empty()).then(|| format!("{number} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(found: Option<Foreign>) -> Option<(usize, String)> {
        found.map(|foreign| (foreign.length, foreign.plain.unwrap_or(foreign.help)))
    }

    #[test]
    fn literals_of_a_plc_have_a_plain_form() {
        let cases = [
            ("16#FF + 1", 5, "255"),
            ("2#1010_0001", 11, "161"),
            ("T#5s", 4, "5 s"),
            ("TIME#500ms, x", 10, "500 ms"),
            ("t#2.5m", 6, "2.5 min"),
            ("T#1m30s", 7, "times are written `5 s`"),
            ("WORD#16#00ff", 12, "255"),
            ("REAL#1.5", 8, "1.5"),
            ("DT#2025-06-01-06:00:00 x", 22, "a point in time is written `2025-06-01T06:00Z`"),
            ("16#GG", 5, "there are no hexadecimal numbers: write it as a decimal one"),
        ];
        for (text, length, plain) in cases {
            assert_eq!(told(typed(text)), Some((length, plain.to_owned())), "{text}");
        }
        assert_eq!(
            [typed("x#5"), typed("5# five"), typed("7#12"), typed("T# time")],
            [None, None, None, None]
        );
    }

    #[test]
    fn prefixes_of_c_are_known() {
        assert_eq!(told(prefixed("0xFF kW")), Some((4, "255".to_owned())));
        assert_eq!(told(prefixed("0b101)")), Some((5, "5".to_owned())));
        assert_eq!(
            [prefixed("0 x"), prefixed("0x"), prefixed("0bar"), prefixed("0.5")],
            [None, None, None, None]
        );
    }
}
