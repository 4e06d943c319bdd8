//! OPC UA: `inputs.opcua` reads in scan slots, `inputs.opcua_listener` subscribes.

use super::section::Section;
use super::{Import, address_or_node, secret};
use crate::commands::import::draft::{Entry, Group, Source, Tag};
use crate::commands::import::text::{self, Names, line};

/// `[[inputs.opcua]]`, or `[[inputs.opcua_listener]]` when it `listens`.
pub fn opcua(import: &mut Import, section: &Section<'_>, listens: bool) {
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
    let from_source = section.text("timestamp") == Some("source");
    if listens {
        let interval = section.milliseconds("subscription_interval").unwrap_or(100);
        settings.push(format!("publishing = {}", text::milliseconds(interval.clamp(10, 600_000))));
        settings.extend((!from_source).then(|| "time = gateway".into()));
    } else {
        let interval = section.milliseconds("interval").unwrap_or(import.interval);
        settings.push("mode = poll".into());
        settings.push(format!("scan = {}", text::milliseconds(interval.clamp(1, 86_400_000))));
    }
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
