//! From the settings of a declaration to typed options, with everything that is wrong with them.

use gwp_core::SettingError;
use gwp_core::manifest::Place;
use gwp_core::sink::SinkDeclaration;
use std::path::PathBuf;

/// Everything one sink needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub path: PathBuf,
    pub table: String,
    pub synchronous: Synchronous,
    pub index_by_tag: bool,
}

/// How often SQLite waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// At each commit.
    Full,
    /// At checkpoints of the write-ahead log.
    Normal,
}

/// Bytes of a table name at most.
const TABLE_BYTES_MAX: usize = 100;

/// Reads a declaration; settings that are still references are taken as right.
///
/// # Errors
/// Everything that is wrong.
pub fn read(declaration: &SinkDeclaration) -> Result<Options, Vec<SettingError>> {
    let settings = &declaration.item.settings;
    let mut errors = Vec::new();
    let path = settings.text("path").unwrap_or_default();
    if !settings.is_unresolved("path") {
        if path.is_empty() {
            errors.push(error(
                "path",
                "the file of the database is missing",
                "for example `path = \"out/plant.db\"`",
            ));
        } else if path.contains('\0') || path.starts_with(':') {
            errors.push(error(
                "path",
                format!("`{path}` is not a file"),
                "name a file, for example `out/plant.db`",
            ));
        } else if path.contains(['{', '}']) {
            errors.push(error(
                "path",
                "the path of a database holds no {names}: its place in the journal is kept in one file",
                "name one file, for example `out/plant.db`",
            ));
        }
    }
    let table = settings.text("table").unwrap_or("samples");
    if !settings.is_unresolved("table") {
        errors.extend(check_table(table));
    }
    let options = Options {
        path: path.into(),
        table: table.into(),
        synchronous: match settings.text("synchronous") {
            Some("normal") => Synchronous::Normal,
            _ => Synchronous::Full,
        },
        index_by_tag: settings.bool("index_by_tag").unwrap_or(false),
    };
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

fn check_table(table: &str) -> Option<SettingError> {
    let lower = table.to_lowercase();
    let message = if table.is_empty() || table.len() > TABLE_BYTES_MAX || table.contains(char::is_control) {
        format!("a table name has 1 to {TABLE_BYTES_MAX} bytes and no control characters")
    } else if lower.starts_with("sqlite_") {
        "names that begin with `sqlite_` belong to SQLite".into()
    } else if lower.starts_with("gwp_") {
        "names that begin with `gwp_` belong to the gateway".into()
    } else {
        return None;
    };
    Some(error("table", message, "for example `table = \"samples\"`"))
}

fn error(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> SettingError {
    SettingError { place: Place::Setting(name), code: None, message: message.into(), help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Declaration;
    use gwp_core::manifest::{Need, SettingValue, Settings};

    fn read_texts(settings: &[(&str, &str)]) -> Result<Options, Vec<SettingError>> {
        let mut all = Settings::default();
        settings.iter().for_each(|(name, text)| all.set(name, SettingValue::Text((*text).into())));
        read(&SinkDeclaration {
            item: Declaration { name: "db".into(), settings: all },
            timezone: "UTC".into(),
        })
    }

    #[test]
    fn what_is_absent_is_what_the_manifest_promises() {
        let options = read_texts(&[("path", "a.db")]).unwrap();
        let promised: Vec<_> = crate::manifest::SQLITE
            .settings
            .iter()
            .filter_map(|setting| match setting.need {
                Need::Default(text) => Some((setting.name, text)),
                _ => None,
            })
            .collect();
        assert_eq!(promised, [("table", "samples"), ("synchronous", "full"), ("index_by_tag", "false")]);
        let expected = Options {
            path: "a.db".into(),
            table: "samples".into(),
            synchronous: Synchronous::Full,
            index_by_tag: false,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = read_texts(&[("path", "out/{date}.db"), ("table", "sqlite_x")]).unwrap_err();
        let places: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
        assert_eq!(places, [Place::Setting("path"), Place::Setting("table")]);
        for (name, wrong) in [("path", ""), ("path", ":memory:"), ("table", ""), ("table", "gwp_cursor")] {
            let mut settings = vec![("path", "a.db"), ("table", "t")];
            settings.push((name, wrong));
            assert!(read_texts(&settings).is_err(), "{name} = {wrong:?}");
        }
    }
}
