//! `[[inputs.mqtt_consumer]]` as a source: one tag per topic, for what has one value per message.

use super::section::Section;
use super::{Import, broker};
use crate::commands::import::draft::{Entry, Group, Source, Tag};
use crate::commands::import::text::{self, Names, line};

/// One input as a source.
pub fn input(import: &mut Import, section: &Section<'_>) {
    let name = import.items.take(section.text("alias").unwrap_or("mqtt"));
    let Some(mut settings) = broker(import, section, &name, "inputs.mqtt_consumer") else { return };
    if let Some(client) = section.text("client_id") {
        settings.push(format!("client_id = {}", text::quoted(client)));
    }
    section.ignore(&[
        "qos",
        "persistent_session",
        "max_undelivered_messages",
        "connection_timeout",
        "topic_tag",
    ]);
    let format = section.text("data_format").unwrap_or("influx");
    let value_type = match section.text("data_type").unwrap_or_default() {
        "integer" | "int" | "long" => "lint",
        "string" => "string",
        "boolean" | "bool" => "bool",
        _ => "lreal",
    };
    let mut group = Group::default();
    let mut names = Names::with(&["connected", "alarms"]);
    let places = json_places(section);
    for topic in section.texts("topics") {
        let last = topic.rsplit('/').next().unwrap_or(topic);
        let mut none = |why: &str| {
            import.report.comments += 1;
            import.report.lost(section.line_of("topics"), format!("{} is no tag here: {why}", line(topic)));
            group.entries.push(Entry::Comment(format!("{}: {why}", line(topic))));
        };
        if topic.contains(['+', '#', '\0']) || topic.is_empty() || topic.starts_with("$share/") {
            none("a tag has one topic: write a tag for each");
        } else if format == "value" {
            let tag =
                Tag { name: names.take(last), address: topic.into(), plc_type: value_type, ..Tag::default() };
            group.entries.push(Entry::Tag(tag));
        } else if places.is_empty() {
            none(&format!(
                "its values ({}) are not named in the configuration: write a tag for each, such as `tag a at \"{topic}#/a\" : lreal`",
                line(format)
            ));
        } else {
            for (name, pointer, plc_type) in &places {
                let tag = Tag {
                    name: names.take(name),
                    address: format!("{topic}#{pointer}"),
                    plc_type,
                    ..Tag::default()
                };
                group.entries.push(Entry::Tag(tag));
            }
        }
    }
    section.ignore(&["data_format", "data_type", "json_v2", "interval"]);
    section.rest("inputs.mqtt_consumer", &mut import.report);
    let tags = group.entries.iter().filter(|entry| matches!(entry, Entry::Tag(_))).count();
    import.tags += tags;
    let settings = settings.into_iter().map(|setting| (setting, String::new())).collect();
    import.sources.push(Source { name, driver: "mqtt".into(), settings, groups: vec![group], wrong: None });
}

/// Name, place and type of the values that `json_v2` takes out of a message, where the place is a plain path.
fn json_places(section: &Section<'_>) -> Vec<(String, String, &'static str)> {
    let mut places = Vec::new();
    for json in section.sections("json_v2") {
        for field in json.sections("field") {
            let Some(path) = field.text("path") else { continue };
            if !path.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
                continue;
            }
            let last = path.rsplit('.').next().unwrap_or(path);
            let plc_type = match field.text("type").unwrap_or_default() {
                "int" => "lint",
                "uint" => "ulint",
                "string" => "string",
                "bool" => "bool",
                _ => "lreal",
            };
            let name = field.text("rename").unwrap_or(last).to_owned();
            places.push((name, format!("/{}", path.replace('.', "/")), plc_type));
        }
    }
    places
}
