//! The reference of all settings, as Markdown, from the manifests.
//!
//! `drivers/README.md` and `sinks/README.md` hold it between two markers; a test
//! fails when they have drifted, and mends them when `GWP_WRITE_REFERENCE=1` is set.

use crate::catalog;
use gwp_core::manifest::{
    Manifest, Need, PlaceOfData, Setting, SettingKind, Slots, written_bytes, written_duration,
};
use std::fmt::Write;

pub const BEGIN: &str = "<!-- reference:begin -->";
pub const END: &str = "<!-- reference:end -->";

/// Reference of all drivers.
pub fn drivers() -> String {
    let mut manifests: Vec<&'static Manifest> =
        catalog::drivers().iter().map(|driver| driver.manifest()).collect();
    manifests.sort_by_key(|manifest| manifest.name);
    manifests.into_iter().map(driver).collect()
}

/// Reference of all sinks.
pub fn sinks() -> String {
    let mut manifests: Vec<&'static Manifest> = catalog::sinks().iter().map(|sink| sink.manifest()).collect();
    manifests.sort_by_key(|manifest| manifest.name);
    manifests.into_iter().map(sink).collect()
}

fn driver(manifest: &Manifest) -> String {
    let mut out = heading(manifest);
    let Some(traits) = manifest.source() else { return out };
    table(&mut out, "Settings of the source", manifest.settings);
    table(&mut out, "Settings of a device on it", traits.device_settings);
    if !traits.addresses.is_empty() {
        out.push_str("| Address | Meaning |\n|---|---|\n");
        for (form, meaning) in traits.addresses {
            let _ = writeln!(out, "| `{}` | {} |", cell(form), cell(meaning));
        }
        out.push('\n');
    }
    let standby: Vec<String> = traits.standby.iter().map(|mode| format!("{mode:?}").to_lowercase()).collect();
    let _ = writeln!(
        out,
        "{}; {}; standby modes: {}.\n",
        match traits.polled {
            Slots::Always => "Polled in scan slots".to_owned(),
            Slots::Never => "Reports on its own".to_owned(),
            Slots::When(setting, word) => {
                format!("Reports on its own, or is polled in scan slots with `{setting} = {word}`")
            }
        },
        if traits.buffers { "can be paused, the device keeps its samples" } else { "cannot be held back" },
        standby.join(", ")
    );
    out
}

fn sink(manifest: &Manifest) -> String {
    let mut out = heading(manifest);
    table(&mut out, "Settings", manifest.settings);
    let Some(traits) = manifest.sink() else { return out };
    let _ = writeln!(
        out,
        "Deliveries of up to {} samples, {} in flight; {}; data ends up {}.\n",
        traits.batch_samples,
        traits.in_flight,
        match (traits.transactional, traits.idempotent) {
            (true, _) => "exactly once: the cursor is written in the same transaction".to_owned(),
            (false, true) => "a repeated delivery leaves the destination as once".to_owned(),
            (false, false) => format!(
                "at least once: up to {} samples can come twice after a failure",
                traits.in_flight * traits.batch_samples
            ),
        },
        match traits.place {
            PlaceOfData::Node => "on this node",
            PlaceOfData::Shared => "at a destination both nodes of a pair reach",
        }
    );
    out
}

fn heading(manifest: &Manifest) -> String {
    let mut out = format!("### `{}`\n\n{}\n\n", manifest.name, manifest.doc);
    if let Some(exclusive) = &manifest.exclusive {
        let settings: Vec<_> = exclusive.settings.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            out,
            "One {} ({}) can be in one source or sink only.\n",
            exclusive.what,
            settings.join(", ")
        );
    }
    out
}

fn table(out: &mut String, title: &str, settings: &[Setting]) {
    if settings.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}:\n\n| Name | Type | Default | Meaning |\n|---|---|---|---|");
    rows(out, "", settings);
    out.push('\n');
}

fn rows(out: &mut String, prefix: &str, settings: &[Setting]) {
    for setting in settings {
        let name = format!("{prefix}{}", setting.name);
        let default = match setting.need {
            Need::Required => "required".to_owned(),
            Need::Optional => "-".to_owned(),
            Need::Default(default) => format!("`{}`", cell(default)),
        };
        let _ = writeln!(out, "| `{name}` | {} | {default} | {} |", kind(&setting.kind), cell(setting.doc));
        if let SettingKind::Block(inner) = setting.kind {
            rows(out, &format!("{name}."), inner);
        }
    }
}

fn kind(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Bool => "`true` or `false`".into(),
        SettingKind::Int { min, max: i64::MAX } => format!("whole number from {min}"),
        SettingKind::Int { min, max } => format!("whole number {min}..{max}"),
        SettingKind::Float { min, max } => format!("number {min}..{max}"),
        SettingKind::Duration { min_ms, max_ms } => {
            let written = |ms: i64| written_duration(ms.saturating_mul(1_000_000));
            format!("time {}..{}", written(*min_ms), written(*max_ms))
        }
        SettingKind::Bytes { min, max } => {
            format!("amount of data {}..{}", written_bytes(*min), written_bytes(*max))
        }
        SettingKind::Text => "text".into(),
        SettingKind::Secret => "`secret(\"name\")`".into(),
        SettingKind::Choice(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        SettingKind::TextList => "list of texts".into(),
        SettingKind::Block(_) => "block".into(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check(file: &str, reference: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let begin = text.find(BEGIN).expect("marker") + BEGIN.len();
        let end = text.find(END).expect("marker");
        let wanted = format!("\n\n{reference}");
        if std::env::var_os("GWP_WRITE_REFERENCE").is_some() {
            std::fs::write(&path, format!("{}{wanted}{}", &text[..begin], &text[end..])).unwrap();
            return;
        }
        assert_eq!(&text[begin..end], wanted, "{file} has drifted: run the test with GWP_WRITE_REFERENCE=1");
    }

    #[test]
    fn the_pages_agree_with_the_manifests() {
        check("drivers/README.md", &drivers());
        check("sinks/README.md", &sinks());
    }
}
