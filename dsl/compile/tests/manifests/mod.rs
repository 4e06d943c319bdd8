//! Components that exist only for tests: a polled and a reporting driver, and two sinks.
#![allow(dead_code)]

mod planned;

use gwp_compile::{Catalog, Compiled, Project, compile};
use gwp_core::Manifest;
use gwp_core::manifest::{
    Exclusive, Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits, Slots, SourceTraits, Standby,
};

const fn setting(name: &'static str, kind: SettingKind, need: Need) -> Setting {
    Setting { name, kind, need, doc: "A setting for tests." }
}

static SIMULATOR: Manifest = Manifest {
    name: "simulator",
    doc: "A polled driver without any required setting.",
    settings: &[setting("seed", SettingKind::Int { min: 0, max: 1_000 }, Need::Default("7"))],
    exclusive: None,
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: &[],
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby: &[Standby::Hot, Standby::Warm, Standby::Cold],
    }),
};

static MODBUS: Manifest = Manifest {
    name: "modbus_tcp",
    doc: "A polled driver with settings of every kind.",
    settings: &[
        setting("address", SettingKind::Text, Need::Required),
        setting("unit_id", SettingKind::Int { min: 0, max: 255 }, Need::Default("1")),
        setting("words", SettingKind::Choice(&["high_first", "low_first"]), Need::Default("high_first")),
        setting("timeout", SettingKind::Duration { min_ms: 10, max_ms: 60_000 }, Need::Default("1 s")),
        setting("ratio", SettingKind::Float { min: 0.0, max: 1.0 }, Need::Default("0.5")),
        setting("trace", SettingKind::Bool, Need::Default("false")),
        setting(
            "reconnect",
            SettingKind::Block(&[setting(
                "first",
                SettingKind::Duration { min_ms: 1, max_ms: 60_000 },
                Need::Default("500 ms"),
            )]),
            Need::Optional,
        ),
    ],
    exclusive: None,
    role: Role::Source(SourceTraits {
        device_settings: &[
            setting("unit_id", SettingKind::Int { min: 0, max: 255 }, Need::Required),
            setting("label", SettingKind::Text, Need::Optional),
        ],
        addresses: &[],
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby: &[Standby::Warm, Standby::Cold],
    }),
};

static REPORTER: Manifest = Manifest {
    name: "reporter",
    doc: "A driver that reports on its own.",
    settings: &[
        setting("password", SettingKind::Secret, Need::Optional),
        setting("broker", SettingKind::Text, Need::Optional),
        setting("client_id", SettingKind::Text, Need::Optional),
    ],
    exclusive: Some(Exclusive { what: "client id at a broker", settings: &["broker", "client_id"] }),
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: &[],
        polled: Slots::Never,
        device_time: false,
        buffers: true,
        writes: false,
        commands: true,
        standby: &[Standby::Transfer, Standby::Cold],
    }),
};

static CONSOLE: Manifest = Manifest {
    name: "console",
    doc: "A sink without settings.",
    settings: &[],
    exclusive: None,
    role: Role::Sink(SINK_TRAITS),
};

const SINK_TRAITS: SinkTraits = SinkTraits {
    batch_samples: 1_000,
    batch_bytes: 100_000,
    in_flight: 2,
    idempotent: false,
    fencing: false,
    transactional: false,
    place: PlaceOfData::Shared,
};

static CSV: Manifest = Manifest {
    name: "csv",
    doc: "A sink with settings of every kind.",
    settings: &[
        setting("path", SettingKind::Text, Need::Required),
        setting("password", SettingKind::Secret, Need::Optional),
        setting("hosts", SettingKind::TextList, Need::Optional),
        setting("size", SettingKind::Bytes { min: 1_000, max: 1_000_000_000 }, Need::Default("100 KB")),
    ],
    exclusive: Some(Exclusive { what: "file", settings: &["path"] }),
    role: Role::Sink(SINK_TRAITS),
};

static SQLITE: Manifest = Manifest {
    name: "sqlite",
    doc: "A sink that replaces what comes under the same key.",
    settings: &[setting("path", SettingKind::Text, Need::Required)],
    exclusive: None,
    role: Role::Sink(SinkTraits { idempotent: true, ..SINK_TRAITS }),
};

/// All of them.
pub fn catalog() -> Catalog {
    let own: [&Manifest; 6] = [&SIMULATOR, &MODBUS, &REPORTER, &CONSOLE, &CSV, &SQLITE];
    Catalog::new(own.into_iter().chain(&planned::PLANNED))
}

/// Compiles one text.
pub fn compiled(text: &str) -> Compiled {
    compile(&Project::single("test.gwp", text), &catalog())
}

/// `line code` of everything that was found, in order of place.
pub fn found(compiled: &Compiled) -> Vec<(usize, &'static str)> {
    let line = |d: &gwp_syntax::Diagnostic| {
        compiled.sources.get(d.span.file).map_or(0, |file| file.line_col(d.span.start).0)
    };
    compiled.diagnostics.iter().map(|d| (line(d), d.code)).collect()
}

/// Everything that was found, in words.
pub fn words(compiled: &Compiled) -> String {
    let one = |d: &gwp_syntax::Diagnostic| {
        let labels: Vec<_> = d
            .labels
            .iter()
            .map(|label| format!("[{}] {}", compiled.sources.text(label.span), label.text))
            .collect();
        let place = compiled.sources.place(d.span);
        let help = d.help.as_deref().unwrap_or("");
        format!("{place} {} {} | {} | {help}", d.code, d.message, labels.join("; ")).trim_end().to_owned()
    };
    compiled.diagnostics.iter().map(one).collect::<Vec<_>>().join("\n")
}
