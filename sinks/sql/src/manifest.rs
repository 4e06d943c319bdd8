//! What the `sqlite` sink is and which settings it takes.

use gwp_core::Manifest;
use gwp_core::manifest::{Exclusive, Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits};

/// The `sqlite` sink.
pub static SQLITE: Manifest = Manifest {
    name: "sqlite",
    doc: "Writes samples into an SQLite file on this node, each exactly once: the place in the journal is \
          written in the same transaction as the data.",
    settings: SETTINGS,
    exclusive: Some(Exclusive { what: "table of a file", settings: &["path", "table"] }),
    role: Role::Sink(SinkTraits {
        batch_samples: 5_000,
        batch_bytes: 512 * 1024,
        // Deliveries that wait are merged into one transaction: one fsync for up to 40,000 samples.
        in_flight: 8,
        idempotent: true,
        fencing: true,
        transactional: true,
        place: PlaceOfData::Node,
    }),
};

static SETTINGS: &[Setting] = &[
    Setting {
        name: "path",
        kind: SettingKind::Text,
        need: Need::Required,
        doc: "File of the database; it and its folder are made when they are not there.",
    },
    Setting {
        name: "table",
        kind: SettingKind::Text,
        need: Need::Default("samples"),
        doc: "Name of the view to read; what it is made of is kept in tables with this name in front.",
    },
    Setting {
        name: "synchronous",
        kind: SettingKind::Choice(&["full", "normal"]),
        need: Need::Default("full"),
        doc: "`full`: a transaction survives a power cut; `normal`: the last ones may be lost then, though \
              never in part, and are written again from the journal only if they are still in it.",
    },
    Setting {
        name: "index_by_tag",
        kind: SettingKind::Bool,
        need: Need::Default("false"),
        doc: "Keep a second index by tag and time: long histories of single tags are found fast, at the price \
              of writing several times as much.",
    },
];
