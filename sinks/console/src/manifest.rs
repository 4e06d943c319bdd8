//! What the `console` sink is and which settings it takes.

use gwp_core::Manifest;
use gwp_core::manifest::{Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits};

/// The `console` sink.
pub static CONSOLE: Manifest = Manifest {
    name: "console",
    doc: "Shows samples on the terminal the gateway was started from: a live table of the latest values, or one \
          line for each sample when the output goes elsewhere.",
    settings: &[Setting {
        name: "format",
        kind: SettingKind::Choice(&["auto", "table", "lines", "json"]),
        need: Need::Default("auto"),
        doc: "`auto`: `table` on a terminal, else `lines`. `table`: one row per tag (needs a terminal). `lines`: time, \
              path, value, unit and quality. `json`: one JSON object per line.",
    }],
    exclusive: None,
    role: Role::Sink(SinkTraits {
        batch_samples: 1_000,
        batch_bytes: 256 * 1024,
        in_flight: 4,
        idempotent: false,
        fencing: false,
        transactional: false,
        place: PlaceOfData::Node,
    }),
};
