//! From the settings of a declaration to typed options, with everything that is wrong with them.

use crate::format::Column;
use crate::path::Template;
use gwp_core::SettingError;
use gwp_core::manifest::Place;
use gwp_core::sink::SinkDeclaration;
use jiff::tz::TimeZone;

/// Everything one sink needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub path: Template,
    pub zone: TimeZone,
    pub columns: Vec<Column>,
    pub separator: u8,
    /// Bytes at which a file is finished.
    pub rotate: Option<u64>,
    pub gzip: bool,
}

const PATH_HELP: &str =
    "for example `path = \"out/{sink}-{date}.csv\"`; it may hold {date}, {hour} and {sink}";
const COLUMNS_HELP: &str =
    "columns are time, path, value, quality, unit, repeat, backfill, device, tag and flow";

/// Reads a declaration; settings that are still references are taken as right.
///
/// # Errors
/// Everything that is wrong.
pub fn read(declaration: &SinkDeclaration) -> Result<Options, Vec<SettingError>> {
    let settings = &declaration.item.settings;
    let mut errors = Vec::new();
    let written = match settings.text("path") {
        Some(path) => path,
        None if settings.is_unresolved("path") => "unresolved.csv",
        None => "",
    };
    let path = Template::parse(written, &declaration.item.name).unwrap_or_else(|message| {
        errors.push(error(Place::Setting("path"), message, PATH_HELP));
        Template::default()
    });
    let zone = TimeZone::get(&declaration.timezone).unwrap_or_else(|_| {
        let message = format!("there is no time zone `{}`", declaration.timezone);
        errors.push(error(
            Place::Item,
            message,
            "set `timezone` of the gateway, for example \"Europe/Berlin\"",
        ));
        TimeZone::UTC
    });
    let mut columns = Vec::new();
    match settings.list("columns") {
        None => columns.extend([Column::Time, Column::Path, Column::Value, Column::Quality, Column::Unit]),
        Some(words) => {
            for word in words {
                match Column::from_word(word) {
                    Some(column) if columns.contains(&column) => {
                        let message = format!("the column `{word}` stands twice");
                        errors.push(error(Place::Setting("columns"), message, "remove one"));
                    }
                    Some(column) => columns.push(column),
                    None => {
                        let message = format!("there is no column `{word}`");
                        errors.push(error(Place::Setting("columns"), message, COLUMNS_HELP));
                    }
                }
            }
            if words.is_empty() {
                errors.push(error(Place::Setting("columns"), "a file needs a column", COLUMNS_HELP));
            }
        }
    }
    let options = Options {
        path,
        zone,
        columns,
        separator: match settings.text("separator") {
            Some("semicolon") => b';',
            Some("tab") => b'\t',
            _ => b',',
        },
        rotate: settings.bytes("rotate"),
        gzip: settings.bool("gzip").unwrap_or(false),
    };
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

fn error(place: Place, message: impl Into<String>, help: impl Into<String>) -> SettingError {
    SettingError { place, code: None, message: message.into(), help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Declaration;
    use gwp_core::manifest::{Need, SettingValue, Settings};

    fn read_with(settings: &[(&str, SettingValue)], timezone: &str) -> Result<Options, Vec<SettingError>> {
        let mut all = Settings::default();
        settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
        read(&SinkDeclaration {
            item: Declaration { name: "file".into(), settings: all },
            timezone: timezone.into(),
        })
    }

    #[test]
    fn what_is_absent_is_what_the_manifest_promises() {
        let options = read_with(&[("path", SettingValue::Text("a.csv".into()))], "Europe/Berlin").unwrap();
        let promised: Vec<_> = crate::manifest::CSV
            .settings
            .iter()
            .filter_map(|setting| match setting.need {
                Need::Default(text) => Some(text.to_owned()),
                _ => None,
            })
            .collect();
        let columns: Vec<_> = options.columns.iter().map(|column| format!("\"{}\"", column.word())).collect();
        assert_eq!(promised, [format!("[{}]", columns.join(", ")), "comma".into(), "false".into()]);
        assert_eq!((options.separator, options.gzip, options.rotate), (b',', false, None));
    }

    #[test]
    fn all_errors_are_reported_together() {
        let list = SettingValue::List(vec!["time".into(), "times".into(), "time".into()]);
        let path = SettingValue::Text("out/{day}.csv".into());
        let errors = read_with(&[("path", path), ("columns", list)], "Mars/Olympus").unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors.iter().all(|error| !error.help.is_empty()));
    }
}
