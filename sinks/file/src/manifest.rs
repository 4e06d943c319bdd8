//! What the `csv` sink is and which settings it takes.

use gwp_core::Manifest;
use gwp_core::manifest::{Exclusive, Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits};

/// The `csv` sink.
pub static CSV: Manifest = Manifest {
    name: "csv",
    doc: "Writes samples as lines of CSV files on this node. A delivery counts as done when its lines are on the \
          disk; a line that a crash has cut is removed when the file is opened again.",
    settings: SETTINGS,
    exclusive: Some(Exclusive { what: "file", settings: &["path"] }),
    role: Role::Sink(SinkTraits {
        batch_samples: 5_000,
        batch_bytes: 512 * 1024,
        // Deliveries that wait share one wait for the disk.
        in_flight: 8,
        idempotent: false,
        fencing: false,
        transactional: false,
        place: PlaceOfData::Node,
    }),
};

const fn setting(name: &'static str, kind: SettingKind, need: Need, doc: &'static str) -> Setting {
    Setting { name, kind, need, doc }
}

static SETTINGS: &[Setting] = &[
    setting(
        "path",
        SettingKind::Text,
        Need::Required,
        "File, with {date} (2026-01-31), {hour} (00 to 23) and {sink}; date and hour are those of the sample in the \
         time zone of the gateway. Folders are made when they are not there.",
    ),
    setting(
        "columns",
        SettingKind::TextList,
        Need::Default("[\"time\", \"path\", \"value\", \"quality\", \"unit\"]"),
        "Columns in their order, of: time, path (as the flow names the tag), value, quality, unit, repeat, backfill, \
         device, tag, flow.",
    ),
    setting(
        "separator",
        SettingKind::Choice(&["comma", "semicolon", "tab"]),
        Need::Default("comma"),
        "What stands between two columns.",
    ),
    setting(
        "rotate",
        SettingKind::Bytes { min: 4_096, max: 1 << 40 },
        Need::Optional,
        "Size at which a file is finished, renamed (`name.1.csv`, `name.2.csv` ...) and begun anew.",
    ),
    setting(
        "gzip",
        SettingKind::Bool,
        Need::Default("false"),
        "Compress finished files: those that have reached `rotate`, and those of past dates and hours ten minutes \
         after their last line.",
    ),
];
