//! Inputs of Siemens S7 PLCs.

use super::section::Section;
use super::{Import, address_or_node};
use crate::commands::import::draft::{Entry, Group, Source, Tag};
use crate::commands::import::text::{self, Names, line};

/// `[[inputs.s7comm]]`.
pub fn s7comm(import: &mut Import, section: &Section<'_>) {
    let name = import.items.take(section.text("name").unwrap_or("s7"));
    let mut source = Source { name, driver: "s7".into(), ..Source::default() };
    let server = section.text("server").unwrap_or_default();
    let server = server.strip_suffix(":102").unwrap_or(server);
    let mut settings = vec![
        format!("address = {}", address_or_node(server, &source.name, &mut import.report)),
        format!("rack = {}", section.int("rack").unwrap_or(0)),
        format!("slot = {}", section.int("slot").unwrap_or(0)),
    ];
    let interval = section.milliseconds("interval").unwrap_or(import.interval);
    settings.push(format!("scan = {}", text::milliseconds(interval.clamp(1, 86_400_000))));
    section.ignore(&["pdu_size", "debug_connection", "log_level", "idle_timeout", "timeout"]);
    let mut group = Group::default();
    let mut names = Names::with(&["connected", "alarms"]);
    for metric in section.sections("metric") {
        metric.ignore(&["name"]);
        for field in metric.sections("fields") {
            let address = field.text("address").unwrap_or_default();
            let wanted = field.text("name").unwrap_or(address);
            match s7_address(address) {
                Some((address, plc_type, note)) => {
                    let name = names.take(wanted);
                    group.entries.push(Entry::Tag(Tag { name, address, plc_type, note, ..Tag::default() }));
                }
                None => {
                    let why = format!("{} is no address this import knows", line(address));
                    import.report.lost(field.line, format!("{} is no tag here: {why}", line(wanted)));
                    group.entries.push(Entry::Comment(format!("{}: {why}", line(wanted))));
                }
            }
        }
        metric.rest("inputs.s7comm.metric", &mut import.report);
    }
    section.rest("inputs.s7comm", &mut import.report);
    source.settings = settings.into_iter().map(|setting| (setting, String::new())).collect();
    source.groups.push(group);
    import.planned(source);
}

/// `DB1.R4`, `DB1.X2.1`, `DB2.S1.32` in the notation of Siemens, with type and remark.
fn s7_address(text: &str) -> Option<(String, &'static str, String)> {
    let (area, rest) = text.split_once('.')?;
    let number = area.strip_prefix("DB")?;
    let (item, extra) = match rest.split_once('.') {
        Some((item, extra)) => (item, Some(extra)),
        None => (rest, None),
    };
    let kind = item.trim_end_matches(|c: char| c.is_ascii_digit());
    let start = item.get(kind.len()..)?;
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(number) || !digits(start) || !extra.is_none_or(digits) {
        return None;
    }
    let of = |letter: &str, plc_type, note: String| {
        Some((format!("DB{number}.DB{letter}{start}"), plc_type, note))
    };
    match (kind, extra) {
        ("X", Some(bit)) => Some((format!("DB{number}.DBX{start}.{bit}"), "bool", String::new())),
        ("B", None) => of("B", "byte", String::new()),
        ("C", None) => of("B", "usint", "a character".into()),
        ("W", None) => of("W", "uint", String::new()),
        ("I", None) => of("W", "int", String::new()),
        ("DW", None) => of("D", "udint", String::new()),
        ("DI", None) => of("D", "dint", String::new()),
        ("R", None) => of("D", "real", String::new()),
        ("LI", None) => of("B", "lint", String::new()),
        ("LR", None) => of("B", "lreal", String::new()),
        ("DT", None) => of("B", "time", String::new()),
        ("S", Some(length)) => Some((format!("DB{number}.DBB{start} len {length}"), "string", String::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_manual() {
        for (telegraf, address, plc_type) in [
            ("DB1.R4", "DB1.DBD4", "real"),
            ("DB1.X2.1", "DB1.DBX2.1", "bool"),
            ("DB2.S1.32", "DB2.DBB1 len 32", "string"),
            ("DB2.DT2", "DB2.DBB2", "time"),
            ("DB3.LR12", "DB3.DBB12", "lreal"),
            ("DB3.DW0", "DB3.DBD0", "udint"),
        ] {
            let found = s7_address(telegraf).map(|(address, plc_type, _)| (address, plc_type));
            assert_eq!(found, Some((address.to_owned(), plc_type)), "{telegraf}");
        }
        for text in ["", "DB1", "DB1.X2", "M0.X1.1", "DB1.Q4", "DB1.R", "DBx.R4", "DB1.R4.2"] {
            assert_eq!(s7_address(text), None, "{text}");
        }
    }
}
