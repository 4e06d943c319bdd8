//! Inputs whose drivers this version does not have yet: OPC UA and S7. Their sources stand in the program as comments.

use super::section::Section;
use super::{Import, address_or_node, secret};
use crate::commands::import::draft::{Entry, Group, Source, Tag};
use crate::commands::import::text::{self, Names, line};

/// `[[inputs.opcua]]`.
pub fn opcua(import: &mut Import, section: &Section<'_>) {
    let name = import.items.take(section.text("name").unwrap_or("opcua"));
    let mut source = Source { name, driver: "opcua".into(), ..Source::default() };
    let endpoint = section.text("endpoint").unwrap_or("opc.tcp://localhost:4840");
    let mut settings =
        vec![format!("address = {}", address_or_node(endpoint, &source.name, &mut import.report))];
    let security = match (section.text("security_policy"), section.text("security_mode")) {
        (Some("None"), _) | (_, Some("None")) => Some("none"),
        (_, Some("Sign")) => Some("sign"),
        (_, Some("SignAndEncrypt")) => Some("sign_and_encrypt"),
        _ => None,
    };
    settings.extend(security.map(|word| format!("security = {word}")));
    if let Some(user) = section.text("username") {
        settings.push(format!("user = {}", text::quoted(user)));
    }
    if section.has("password") {
        settings.push(secret(&source.name, section.line_of("password"), &mut import.report));
    }
    if section.text("timestamp") == Some("source") {
        settings.push("time = device".into());
    }
    let interval = section.milliseconds("interval").unwrap_or(import.interval);
    settings.push(format!("scan = {}", text::milliseconds(interval.clamp(1, 86_400_000))));
    section.ignore(&["auth_method", "client_trace", "optional_fields"]);
    let mut group = Group::default();
    let mut names = Names::with(&["connected", "alarms"]);
    let none = (None, None);
    section.sections("nodes").iter().for_each(|node| opcua_node(import, node, &none, &mut names, &mut group));
    for parent in section.sections("group") {
        let defaults = (parent.word("namespace"), parent.word("identifier_type"));
        parent
            .sections("nodes")
            .iter()
            .for_each(|node| opcua_node(import, node, &defaults, &mut names, &mut group));
        parent.ignore(&["name"]);
        parent.rest("inputs.opcua.group", &mut import.report);
    }
    section.rest("inputs.opcua", &mut import.report);
    import.report.remind(format!(
        "write the types of the tags of `{}`: they are not in the configuration",
        source.name
    ));
    source.settings = settings.into_iter().map(|setting| (setting, String::new())).collect();
    source.groups.push(group);
    import.planned(source);
}

fn opcua_node(
    import: &mut Import,
    node: &Section<'_>,
    defaults: &(Option<String>, Option<String>),
    names: &mut Names,
    group: &mut Group,
) {
    let namespace = node.word("namespace").or_else(|| defaults.0.clone());
    let kind = node.word("identifier_type").or_else(|| defaults.1.clone());
    let (Some(namespace), Some(kind), Some(identifier)) = (namespace, kind, node.word("identifier")) else {
        import.report.lost(node.line, "a node needs `namespace`, `identifier_type` and `identifier`");
        return;
    };
    let name = names.take(node.text("name").or(node.text("field_name")).unwrap_or(&identifier));
    let address = format!("ns={};{}={}", line(&namespace), line(&kind), line(&identifier));
    node.rest("a node", &mut import.report);
    let note = "the type is not in the configuration".to_owned();
    group.entries.push(Entry::Tag(Tag { name, address, plc_type: "lreal", note, ..Tag::default() }));
}

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
        ("LI", None) => of("B", "lint", "8 bytes".into()),
        ("LR", None) => of("B", "lreal", "8 bytes".into()),
        ("DT", None) => of("B", "time", "DATE_AND_TIME".into()),
        ("S", Some(length)) => of("B", "string", format!("at most {length} characters")),
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
            ("DB2.S1.32", "DB2.DBB1", "string"),
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
