//! What the `mqtt` sink is and which settings it takes.

use crate::limits::{DELIVERIES_IN_FLIGHT, DELIVERY_BYTES, DELIVERY_SAMPLES};
use gwp_core::Manifest;
use gwp_core::manifest::{Exclusive, Need, PlaceOfData, Role, Setting, SettingKind, SinkTraits};
use gwp_mqtt::rows;

/// The `mqtt` sink.
pub static MANIFEST: Manifest = Manifest {
    name: "mqtt",
    doc: "Publishes samples as JSON to an MQTT broker (3.1.1 or 5.0). A delivery counts as done when the broker \
          has acknowledged every message of it; after a broken connection everything not acknowledged is \
          published again, in order.",
    settings: SETTINGS,
    exclusive: Some(Exclusive { what: "client id at a broker", settings: &["broker", "client_id"] }),
    role: Role::Sink(SinkTraits {
        batch_samples: DELIVERY_SAMPLES,
        batch_bytes: DELIVERY_BYTES,
        in_flight: DELIVERIES_IN_FLIGHT,
        idempotent: false,
        fencing: false,
        transactional: false,
        place: PlaceOfData::Shared,
    }),
};

const fn setting(name: &'static str, kind: SettingKind, need: Need, doc: &'static str) -> Setting {
    Setting { name, kind, need, doc }
}

static SETTINGS: &[Setting] = &[
    rows::BROKER,
    setting(
        "version",
        SettingKind::Choice(&["v5", "v311"]),
        Need::Default("v5"),
        "MQTT 5.0 or 3.1.1. Only 5.0 lets a broker say that it refuses a message.",
    ),
    setting(
        "client_id",
        SettingKind::Text,
        Need::Optional,
        "Client id; without it `gwp-` and the name of the sink. Two gateways at one broker need different ones.",
    ),
    rows::USER,
    rows::PASSWORD,
    rows::CA,
    rows::CERT,
    rows::CERT_KEY,
    setting(
        "topic",
        SettingKind::Text,
        Need::Optional,
        "Topic, with {device}, {tag}, {path} (as the flow names the tag) and {flow}. \
         Without it `gwp/{device}`, or `gwp/{device}/{tag}` with `message = tag`.",
    ),
    setting(
        "message",
        SettingKind::Choice(&["slot", "tag"]),
        Need::Default("slot"),
        "`slot`: one message for all samples with one topic and time; `tag`: one message per sample.",
    ),
    setting(
        "names",
        SettingKind::Choice(&["path", "tag"]),
        Need::Default("path"),
        "Keys of `values`: `path` = as the flow names the tag, `tag` = without the device (a renamed tag by its new name).",
    ),
    setting(
        "time",
        SettingKind::Choice(&["ms", "iso"]),
        Need::Default("ms"),
        "`ms` = milliseconds since 1970 as a number, `iso` = RFC 3339 text in UTC with full resolution.",
    ),
    setting(
        "enums",
        SettingKind::Choice(&["raw", "label"]),
        Need::Default("raw"),
        "Values of enums as number or as label.",
    ),
    setting(
        "qos",
        SettingKind::Int { min: 0, max: 2 },
        Need::Default("1"),
        "0 = done once written to the network (may be lost with the connection), 1 = at least once, \
         2 = once per connection, at the price of a second round trip.",
    ),
    setting(
        "retain",
        SettingKind::Bool,
        Need::Default("false"),
        "The broker keeps the last message of each topic for later subscribers.",
    ),
    rows::KEEP_ALIVE,
    setting(
        "clean",
        SettingKind::Bool,
        Need::Default("false"),
        "Begin each connection with a new session. Nothing depends on the session: what is not acknowledged is \
         kept here. With `qos = 2` sessions always begin anew, because an older one could take a new message for \
         a repetition.",
    ),
    rows::session_expiry("1 h"),
    setting(
        "in_flight",
        SettingKind::Int { min: 1, max: 10_000 },
        Need::Default("100"),
        "Messages published and not yet acknowledged at most; the broker may allow fewer (5.0). \
         With `qos = 2` over 3.1.1 never more than 20.",
    ),
    setting(
        "message_bytes",
        SettingKind::Bytes { min: 256, max: 256 * 1024 * 1024 },
        Need::Default("100 KB"),
        "Payload of one message at most; larger ones are divided. A smaller bound of the broker wins (5.0).",
    ),
];
