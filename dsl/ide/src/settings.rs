//! Which settings a block takes: those of its driver, and those that the language gives.

use crate::Analysis;
use crate::cursor::Cursor;
use gwp_compile::reference::{self, Entry, Owner};
use gwp_core::Manifest;
use gwp_core::manifest::{Need, Setting, SettingKind, written_bytes, written_duration};
use gwp_syntax::ast::Item;

impl Analysis {
    /// The driver that is named in the head of the source or sink a place is in.
    pub(crate) fn driver_at(&self, cursor: &Cursor<'_>) -> Option<&'static Manifest> {
        let head = cursor.item();
        let colon = head.clone().find(|at| cursor.str(*at) == ":")?;
        let name = cursor.name(colon + 1);
        match cursor.item_word() {
            "source" => self.catalog.source(name),
            "sink" => self.catalog.sink(name),
            _ => None,
        }
    }

    /// Settings of the innermost block around a place; `None` where no settings stand.
    pub(crate) fn settings_at(&self, cursor: &Cursor<'_>) -> Option<Vec<Entry>> {
        let mut braces = cursor.braces();
        braces.next()?;
        let mut entries = self.item_settings(cursor)?;
        for block in braces {
            if cursor.str(block.statement) == "alarm" {
                entries = reference::settings(Owner::Alarm);
                continue;
            }
            let name = cursor.before_block(block);
            let inner = entries.iter().find(|entry| entry.name() == name)?;
            let Entry::Table(Setting { kind: SettingKind::Block(inner), .. }) = inner else { return None };
            entries = inner.iter().map(Entry::Table).collect();
        }
        Some(entries)
    }

    fn item_settings(&self, cursor: &Cursor<'_>) -> Option<Vec<Entry>> {
        let of_driver = |table: &'static [Setting]| table.iter().map(Entry::Table);
        let manifest = self.driver_at(cursor);
        let own = manifest.map_or(&[][..], |manifest| manifest.settings);
        Some(match cursor.item_word() {
            "source" => of_driver(own).chain(reference::settings(Owner::Source)).collect(),
            "sink" => of_driver(own).chain(reference::settings(Owner::Sink)).collect(),
            "gateway" => reference::settings(Owner::Gateway),
            "write" => reference::settings(Owner::Write),
            "test" => reference::settings(Owner::Test),
            "device" => {
                let head = cursor.item();
                let on = head.clone().find(|at| cursor.str(*at) == "on");
                let source = on.and_then(|on| self.item(cursor.name(on + 1)));
                let Some(Item::Source(source)) = source else { return Some(Vec::new()) };
                let manifest = self.catalog.source(&source.driver.text);
                let traits = manifest.and_then(|manifest| manifest.source());
                let own = traits.map_or(&[][..], |traits| traits.device_settings);
                of_driver(own).chain(reference::settings(Owner::Device)).collect()
            }
            "template" => Vec::new(),
            _ => return None,
        })
    }
}

/// Words that a setting takes as its value.
pub(crate) fn words_of(entry: &Entry) -> Vec<&'static str> {
    match entry {
        Entry::Table(setting) => match setting.kind {
            SettingKind::Bool => vec!["true", "false"],
            SettingKind::Choice(words) => words.to_vec(),
            _ => Vec::new(),
        },
        Entry::Special(special) => special.words.to_vec(),
    }
}

/// True if a setting may be named with `secret()` and `node()`.
pub(crate) fn takes_reference(entry: &Entry) -> bool {
    matches!(entry, Entry::Table(setting) if matches!(setting.kind, SettingKind::Secret | SettingKind::Text))
}

/// A setting as it is written, with its type and default.
pub(crate) fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Special(special) => special.form.to_owned(),
        Entry::Table(setting) => {
            let need = match setting.need {
                Need::Required => ", required".to_owned(),
                Need::Optional => String::new(),
                Need::Default(default) => format!(", default {default}"),
            };
            format!("{}: {}{need}", setting.name, kind(&setting.kind))
        }
    }
}

fn kind(kind: &SettingKind) -> String {
    let time = |ms: i64| written_duration(ms.saturating_mul(1_000_000));
    match kind {
        SettingKind::Bool => "true or false".into(),
        SettingKind::Int { min, max: i64::MAX } => format!("whole number from {min}"),
        SettingKind::Int { min, max } => format!("whole number {min}..{max}"),
        SettingKind::Float { min, max } => format!("number {min}..{max}"),
        SettingKind::Duration { min_ms, max_ms } => format!("time {}..{}", time(*min_ms), time(*max_ms)),
        SettingKind::Bytes { min, max } => {
            format!("amount of data {}..{}", written_bytes(*min), written_bytes(*max))
        }
        SettingKind::Text => "text".into(),
        SettingKind::Secret => "secret(\"name\")".into(),
        SettingKind::Choice(words) => words.join(", "),
        SettingKind::TextList => "list of texts".into(),
        SettingKind::Block(_) => "block".into(),
    }
}
