//! Other spellings of units, and the one spelling that the formatter writes.
//!
//! The compiler reads every spelling; what a unit means is its business. Both share the table of aliases, so
//! that what the formatter writes is what the compiler takes a spelling for.

use std::borrow::Cow;

/// Other spellings: signs, long names, and codes of UN/ECE Recommendation 20.
#[rustfmt::skip]
const ALIASES: &[(&str, &str)] = &[
    ("°C", "degC"), ("°F", "degF"), ("°", "deg"), ("Ω", "Ohm"), ("ohm", "Ohm"), ("Nm³", "Nm3"), ("Sm³", "Sm3"),
    ("sec", "s"), ("hr", "h"), ("day", "d"), ("week", "wk"), ("pct", "%"), ("Btu", "BTU"), ("byte", "B"),
    ("CEL", "degC"), ("FAH", "degF"), ("KEL", "K"), ("SEC", "s"), ("MIN", "min"), ("HUR", "h"), ("MTR", "m"),
    ("MTK", "m2"), ("MTQ", "m3"), ("MQH", "m3/h"), ("KGM", "kg"), ("TNE", "t"), ("LTR", "l"), ("VLT", "V"),
    ("AMP", "A"), ("WTT", "W"), ("KWT", "kW"), ("MAW", "MW"), ("KWH", "kWh"), ("HTZ", "Hz"), ("PAL", "Pa"),
    ("BAR", "bar"), ("JOU", "J"), ("NEW", "N"),
];

/// All aliases with the name each stands for.
pub fn unit_aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALIASES.iter().copied()
}

/// The name that a spelling stands for; itself when it is no alias.
pub fn unit_alias(written: &str) -> &str {
    ALIASES.iter().find(|(other, _)| *other == written).map_or(written, |(_, name)| name)
}

/// The one spelling of a unit such as `m³/h`: `m3/h`. Names for which `own` is true, which a program declares
/// itself, stay as they are.
pub fn normal_unit(written: &str, own: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if own(written) {
        return Cow::Borrowed(written);
    }
    let whole = unit_alias(written);
    if whole != written {
        return Cow::Borrowed(whole);
    }
    let mut normal = String::with_capacity(written.len());
    for part in written.split_inclusive(['/', '.', '·']) {
        let atom = part.trim_end_matches(['/', '.', '·']);
        push_atom(&mut normal, atom, &own);
        normal.push_str(if part.ends_with('·') { "." } else { part.get(atom.len()..).unwrap_or("") });
    }
    if normal == written { Cow::Borrowed(written) } else { Cow::Owned(normal) }
}

/// Adds one name with its exponent.
fn push_atom(out: &mut String, atom: &str, own: &impl Fn(&str) -> bool) {
    let plain = |name: &str| name.ends_with(|c: char| c.is_alphabetic()) && !name.contains('/');
    if own(atom) {
        return out.push_str(atom);
    }
    let (name, exponent) = match atom.char_indices().last() {
        Some((at, '²')) => (atom.get(..at).unwrap_or(""), "2"),
        Some((at, '³')) => (atom.get(..at).unwrap_or(""), "3"),
        _ => {
            let name = atom.trim_end_matches(|c: char| c.is_ascii_digit());
            (name, atom.get(name.len()..).unwrap_or(""))
        }
    };
    let alias = unit_alias(name);
    if own(name) {
        out.push_str(name);
    } else if alias != name && plain(alias) {
        out.push_str(alias);
    } else {
        // of a prefix and a sign: µm, kΩ
        let (micro, rest) = match name.strip_prefix(['µ', 'μ']) {
            Some(rest) if !rest.is_empty() => ("u", rest),
            _ => ("", name),
        };
        out.push_str(micro);
        match rest.strip_suffix('Ω') {
            Some(prefix) => out.extend([prefix, "Ohm"]),
            None => out.push_str(rest),
        }
    }
    out.push_str(exponent);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(written: &str) -> String {
        normal_unit(written, |name| name == "day").into_owned()
    }

    #[test]
    fn every_spelling_has_one_normal_form() {
        let pairs = [
            ("°C", "degC"),
            ("m³/h", "m3/h"),
            ("MQH", "m3/h"),
            ("kW/°C", "kW/degC"),
            ("µm", "um"),
            ("kΩ", "kOhm"),
            ("N·m", "N.m"),
            ("/sec", "/s"),
            ("1/min", "1/min"),
            ("m2", "m2"),
            ("m/s²", "m/s2"),
            ("pcs/day", "pcs/day"),
            ("sec2", "s2"),
            ("%", "%"),
            ("l/MQH", "l/MQH"),
        ];
        for (written, expected) in pairs {
            assert_eq!(normal(written), expected, "{written}");
            assert_eq!(normal(expected), expected);
        }
    }

    #[test]
    fn aliases_lead_to_names_and_not_to_other_aliases() {
        for (alias, name) in unit_aliases() {
            assert_eq!(unit_alias(name), name, "{alias}");
            assert_eq!(normal_unit(alias, |_| false), name);
        }
    }
}
