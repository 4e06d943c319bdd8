//! Samples as text: for people, line by line, and as JSON lines.

use gwp_core::sink::{FlowNames, Part};
use gwp_core::{Quality, TagId, Value};
use std::io::Write as _;

/// Lines of a part for people: time, path, value with unit, quality.
pub fn lines(part: &Part, out: &mut Vec<u8>) {
    for (index, tag) in part.batch.tags.iter().enumerate() {
        let (value, quality) = judged(part, index);
        let value = shown(&value, &part.flow, *tag, false);
        let unit = part.flow.info(*tag).map_or("", |info| &info.unit);
        let space = if unit.is_empty() { "" } else { " " };
        let path = visible(part.flow.name(*tag));
        // Writing to memory cannot fail, here and below.
        let _ = writeln!(out, "{} {path} {value}{space}{unit} {quality}", part.batch.times.get(index));
    }
}

/// One JSON object per sample and line.
pub fn json(part: &Part, out: &mut Vec<u8>) {
    for (index, tag) in part.batch.tags.iter().enumerate() {
        let (value, quality) = judged(part, index);
        let _ = write!(out, "{{\"time\":\"{}\",\"path\":", part.batch.times.get(index));
        let _ = serde_json::to_writer(&mut *out, part.flow.name(*tag));
        if part.batch.repeat(index) != 0 {
            let _ = write!(out, ",\"repeat\":{}", part.batch.repeat(index));
        }
        if part.batch.backfill {
            out.extend_from_slice(b",\"backfill\":true");
        }
        out.extend_from_slice(b",\"value\":");
        let _ = match &value {
            Value::Nothing => serde_json::to_writer(&mut *out, &()),
            Value::Bool(v) => serde_json::to_writer(&mut *out, v),
            Value::Int(v) => serde_json::to_writer(&mut *out, v),
            Value::UInt(v) => serde_json::to_writer(&mut *out, v),
            Value::Float(v) => serde_json::to_writer(&mut *out, v),
            Value::Text(v) => serde_json::to_writer(&mut *out, &**v),
            Value::Bytes(_) | Value::Time(_) => serde_json::to_writer(&mut *out, &value.to_string()),
        };
        let _ = write!(out, ",\"quality\":\"{quality}\"");
        if let Some(info) = part.flow.info(*tag).filter(|info| !info.unit.is_empty()) {
            out.extend_from_slice(b",\"unit\":");
            let _ = serde_json::to_writer(&mut *out, &*info.unit);
        }
        out.extend_from_slice(b"}\n");
    }
}

/// A sample's value and quality; a float that is no number is no value and bad.
pub fn judged(part: &Part, index: usize) -> (Value, Quality) {
    let quality = part.batch.qualities.get(index);
    match part.batch.values.get(index) {
        Value::Float(v) if !v.is_finite() => (Value::Nothing, quality.worst(Quality::NOT_A_NUMBER)),
        value => (value, quality),
    }
}

/// A value for people: the label of an enum, a short form of a float if wanted, nothing that
/// could move the cursor.
pub fn shown(value: &Value, names: &FlowNames, tag: TagId, short: bool) -> String {
    let number = match value {
        Value::Int(v) => Some(*v),
        Value::UInt(v) => i64::try_from(*v).ok(),
        _ => None,
    };
    let labels = names.info(tag).map_or(&[][..], |info| &info.labels);
    let label = number.and_then(|number| labels.binary_search_by_key(&number, |(value, _)| *value).ok());
    match (value, label.and_then(|at| labels.get(at))) {
        (_, Some((_, label))) => visible(label),
        (Value::Float(v), _) if short => seven_digits(*v),
        (Value::Float(v), _) => format!("{v:?}"),
        (Value::Text(text), _) => visible(text),
        _ => value.to_string(),
    }
}

/// A text without control characters: a value from a device must not command the terminal.
pub fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.into();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A float with at most seven significant digits.
fn seven_digits(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.4e}");
    }
    let before = if size < 1.0 { 1 } else { size.log10() as usize + 1 };
    let text = format!("{value:.*}", 7usize.saturating_sub(before));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use gwp_core::Timestamp;

    fn text(write: fn(&Part, &mut Vec<u8>), part: &Part) -> String {
        let mut out = Vec::new();
        write(part, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_for_people() {
        let values = vec![
            Value::Float(42.5),
            Value::Text("run\x1b[2J\n".into()),
            Value::Nothing,
            Value::Float(f64::NAN),
            Value::Int(1),
        ];
        let mut batch = batch(1_500, values);
        batch.qualities.set(2, Quality::COMM_LOST, 5);
        assert_eq!(
            text(lines, &part(1, &names(5, "%", 4), batch)),
            "1970-01-01T00:00:01.500Z m.t0 42.5 % good\n\
             1970-01-01T00:00:01.500Z m.t1 run\\u{1b}[2J\\n % good\n\
             1970-01-01T00:00:01.500Z m.t2 - % bad(comm_lost)\n\
             1970-01-01T00:00:01.500Z m.t3 - % bad(not_a_number)\n\
             1970-01-01T00:00:01.500Z m.t4 running % good\n"
        );
    }

    #[test]
    fn json_lines_are_for_programs() {
        let values = vec![
            Value::Float(20.0),
            Value::Text("a\"\n".into()),
            Value::UInt(u64::MAX),
            Value::Bool(false),
            Value::Bytes(vec![255].into()),
            Value::Time(Timestamp(0)),
            Value::Float(f64::INFINITY),
        ];
        let mut batch = batch(1_500, values);
        batch.repeats = vec![0, 0, 0, 2, 0, 0, 0];
        let text = text(json, &part(1, &names(7, "", 99), batch));
        let parsed: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = [
            serde_json::json!(20.0),
            "a\"\n".into(),
            u64::MAX.into(),
            false.into(),
            "ff".into(),
            "1970-01-01T00:00:00.000Z".into(),
            serde_json::Value::Null,
        ];
        for (index, (object, value)) in parsed.iter().zip(expected).enumerate() {
            assert_eq!(object["path"], format!("m.t{index}"));
            assert_eq!(object["time"], "1970-01-01T00:00:01.500Z");
            assert_eq!(object["value"], value);
        }
        assert_eq!(parsed.len(), 7);
        assert_eq!(parsed[3]["repeat"], 2);
        assert_eq!(parsed[6]["quality"], "bad(not_a_number)");
        assert!(parsed[0].get("unit").is_none() && parsed[0].get("repeat").is_none());
    }

    #[test]
    fn floats_are_short_in_a_table() {
        for (value, text) in [
            (0.0, "0"),
            (42.5, "42.5"),
            (61.483_129_31, "61.48313"),
            (-0.000_123_456_789, "-0.000123"),
            (123_456_789.123, "123456789"),
            (1e300, "1.0000e300"),
            (-1e-9, "-1.0000e-9"),
            (9.999_999_99, "10"),
        ] {
            assert_eq!(seven_digits(value), text);
        }
    }
}
