//! Settings: names, types, units and bounds against the table of whoever takes them.

mod common;
mod place;
mod value;

pub(crate) use common::{
    GATEWAY, GatewayFields, SINK, SOURCE, SinkFields, SourceFields, check_only_device, device, gateway, sink,
    source,
};
pub use value::setting_from_text;

use std::collections::HashMap;

use gwp_core::Settings;
use gwp_core::manifest::{Need, Setting, SettingKind, SettingValue};
use gwp_syntax::ast;
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::check::{Checker, Scope};
use crate::items::nearest;

/// Stands for the value of a setting in error. Drivers take references as right, so they say nothing of it again.
fn in_error() -> SettingValue {
    SettingValue::NodeRef("".into())
}

/// The settings of one block, taken out one by one.
pub(crate) struct Fields<'a> {
    /// `source `press``, for messages.
    owner: String,
    /// Where to point when something is missing.
    at: Span,
    left: Vec<&'a ast::Setting>,
    /// Settings that could not be read, or are wrong: they count as given.
    broken: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// Settings of a block; names given twice are reported.
    pub(crate) fn new(
        owner: String,
        at: Span,
        list: impl IntoIterator<Item = &'a ast::Setting>,
        broken: &'a [ast::Name],
        report: &mut Diagnostics,
    ) -> Fields<'a> {
        let mut first: HashMap<&str, Span> = HashMap::new();
        let mut left = Vec::new();
        for setting in list {
            if let Some(first) = first.get(setting.name.text.as_str()) {
                let fault =
                    Diagnostic::new("E409", setting.name.span, format!("`{}` is given twice", setting.name));
                report.push(fault.label(*first, "the first time").help("remove one of them"));
                continue;
            }
            first.insert(&setting.name.text, setting.name.span);
            left.push(setting);
        }
        Fields { owner, at, left, broken: broken.iter().map(|name| name.text.as_str()).collect() }
    }

    /// Takes a setting out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a ast::Setting> {
        let at = self.left.iter().position(|setting| setting.name.text == name)?;
        Some(self.left.remove(at))
    }

    /// Checks all that is left against a table. `others` are names that were taken out before, for suggestions;
    /// `required` says whether missing settings are reported.
    pub(crate) fn finish(
        self,
        table: &'static [Setting],
        others: &[&str],
        required: bool,
        checker: &mut Checker<'_, '_>,
        scope: &Scope<'_>,
    ) -> Settings {
        let mut settings = Settings::default();
        let unknown: Vec<_> = self
            .left
            .iter()
            .filter(|setting| !table.iter().any(|def| def.name == setting.name.text))
            .collect();
        let known = || table.iter().map(|def| def.name).chain(others.iter().copied());
        let meant: Vec<_> = unknown.iter().map(|setting| nearest(&setting.name.text, known())).collect();
        for def in table {
            let written = self.left.iter().find(|setting| setting.name.text == def.name);
            let value = match written {
                Some(written) => Some(checker.setting(written, def, scope).unwrap_or_else(in_error)),
                None if self.broken.contains(&def.name) || meant.contains(&Some(def.name)) => {
                    Some(in_error())
                }
                None => match def.need {
                    Need::Default(text) => value::default(def, text, checker, scope),
                    Need::Required if required => {
                        let message = format!("{} needs the setting `{}`", self.owner, def.name);
                        let help = format!("add `{} = {}`. {}", def.name, example(def), def.doc);
                        checker.report.push(Diagnostic::new("E406", self.at, message).help(help));
                        Some(in_error())
                    }
                    Need::Required | Need::Optional => None,
                },
            };
            if let Some(value) = value {
                settings.set(def.name, value);
            }
        }
        for (setting, meant) in unknown.iter().zip(meant) {
            let message = format!("{} has no setting `{}`", self.owner, setting.name);
            let fault = Diagnostic::new("E402", setting.name.span, message);
            checker.report.push(match meant {
                Some(near) => fault.did_you_mean(near),
                None => fault.help(format!("it has: {}", known().collect::<Vec<_>>().join(", "))),
            });
        }
        settings
    }
}

/// A value of a setting: the first one in quotes that its description names.
fn example(def: &Setting) -> &'static str {
    let told = def.doc.split('`').nth(1).filter(|told| told.starts_with('"'));
    told.unwrap_or(match def.kind {
        SettingKind::Text => "\"...\"",
        SettingKind::Secret => "secret(\"name\")",
        SettingKind::Choice(words) => words.first().copied().unwrap_or("..."),
        _ => "...",
    })
}
