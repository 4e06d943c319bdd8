//! Outputs that have a sink here: MQTT, SQLite, files.

use super::section::Section;
use super::{Import, broker};
use crate::commands::import::draft::Sink;
use crate::commands::import::text::{self, line};

/// `[[outputs.mqtt]]`.
pub fn mqtt(import: &mut Import, section: &Section<'_>) {
    let name = import.items.take(section.text("alias").unwrap_or("broker"));
    let Some(mut settings) = broker(import, section, &name, "outputs.mqtt") else { return };
    let topic = section.text("topic").or(section.text("topic_prefix")).unwrap_or("telegraf");
    let fixed: Vec<&str> = topic
        .split('/')
        .take_while(|level| !level.contains(['{', '+', '#', '$', '\0']))
        .filter(|level| !level.is_empty())
        .collect();
    let topic = if fixed.is_empty() { "gwp".to_owned() } else { fixed.join("/") };
    settings.push(format!("topic = {}", topic_text(&topic)));
    if let Some(qos) = section.int("qos").filter(|qos| (0..=2).contains(qos)) {
        settings.push(format!("qos = {qos}"));
    }
    if section.flag("retain") {
        settings.push("retain = true".into());
    }
    if let Some(client) = section.text("client_id") {
        settings.push(format!("client_id = {}", text::quoted(client)));
    }
    section.ignore(&["timeout", "batch", "layout", "keep_alive", "protocol", "data_format"]);
    section.rest("outputs.mqtt", &mut import.report);
    import.report.lost(
        section.line,
        "the payload is the JSON of this gateway, the topic ends in the name of the device",
    );
    import.sink(section.line, Sink { name, driver: "mqtt", settings });
}

/// The fixed part in front of the device.
fn topic_text(fixed: &str) -> String {
    let quoted = text::quoted(fixed);
    format!("{}/{{device}}\"", quoted.trim_end_matches('"'))
}

/// `[[outputs.sql]]`: SQLite only.
pub fn sql(import: &mut Import, section: &Section<'_>) {
    let driver = section.text("driver").unwrap_or_default();
    let source = section.text("data_source_name").unwrap_or_default();
    if driver != "sqlite" {
        section.ignore(&["table_template", "convert", "init_sql"]);
        import.remark(
            section.line,
            "outputs.sql",
            &format!(
                "there is no sink for `{}` in this version: sqlite, or MQTT to a program that writes there",
                line(driver)
            ),
        );
        return;
    }
    let path = source.trim_start_matches("file:").split('?').next().unwrap_or_default();
    let name = import.items.take(section.text("alias").unwrap_or("db"));
    let path = if path.is_empty() { "telegraf.db" } else { path };
    section.rest("outputs.sql", &mut import.report);
    import.report.lost(section.line, "all values are in one view `samples` (time, path, value, quality, unit), not in a table per measurement");
    import.sink(
        section.line,
        Sink { name, driver: "sqlite", settings: vec![format!("path = {}", path_text(path))] },
    );
}

/// A path as a text; braces in it would be read as fields to fill in.
fn path_text(path: &str) -> String {
    text::quoted(&path.replace(['{', '}'], "_"))
}

/// `[[outputs.file]]`: the terminal and CSV files.
pub fn file(import: &mut Import, section: &Section<'_>) {
    if section.text("data_format") != Some("csv") {
        import.report.lost(
            section.line_of("data_format"),
            "files are CSV here, with the columns time, path, value, quality, unit",
        );
    }
    for file in section.texts("files") {
        let sink = if matches!(file, "stdout" | "stderr") {
            Sink { name: import.items.take("screen"), driver: "console", settings: Vec::new() }
        } else if file.trim().is_empty() {
            continue;
        } else {
            Sink {
                name: import.items.take("file"),
                driver: "csv",
                settings: vec![format!("path = {}", path_text(file))],
            }
        };
        import.sink(section.line_of("files"), sink);
    }
    section.ignore(&[
        "use_batch_format",
        "rotation_interval",
        "rotation_max_size",
        "rotation_max_archives",
        "data_format",
    ]);
    if section.has("rotation_interval") || section.has("rotation_max_size") {
        import.report.lost(section.line, "rotation: `{date}` or `{hour}` in `path`, or `rotate = 100 MB`");
    }
    section.rest("outputs.file", &mut import.report);
}
