//! What the `mqtt` driver is and which settings it takes.

use crate::payload::TimeUnit;
use gwp_core::Manifest;
use gwp_core::manifest::{Exclusive, Need, Role, Setting, SettingKind, Slots, SourceTraits, Standby};
use gwp_mqtt::rows;

/// The driver `mqtt`.
pub static MANIFEST: Manifest = Manifest {
    name: "mqtt",
    doc: "Subscribes to topics of an MQTT broker (3.1.1 or 5.0), one address per tag. A message is acknowledged \
          when the log holds it on disk, and the session is kept: what is published while the gateway is away \
          arrives when it is back (QoS 1; a broker may send again what was not acknowledged). Its messages can be \
          the commands of a `write`: those are subscribed to with QoS 0 and taken at most once, so none waits at \
          the broker and none comes twice. A user property `time` (5.0) or the place `time_at` in the payload dates \
          a command for `expire`.",
    settings: SETTINGS,
    exclusive: Some(Exclusive { what: "client id at a broker", settings: &["broker", "client_id"] }),
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: &[
            ("site/press/oil", "The payload of this topic, read as the type of the tag."),
            (
                "site/press#/values/oil",
                "A place in the JSON payload of this topic, as JSON Pointer (RFC 6901). A message without that \
                 place gives no sample; `null` is bad.",
            ),
        ],
        polled: Slots::Never,
        device_time: false,
        buffers: true,
        writes: false,
        commands: true,
        standby: &[Standby::Transfer, Standby::Cold],
    }),
};

const fn setting(name: &'static str, kind: SettingKind, need: Need, doc: &'static str) -> Setting {
    Setting { name, kind, need, doc }
}

static SETTINGS: &[Setting] = &[
    rows::BROKER,
    setting("version", SettingKind::Choice(&["v5", "v311"]), Need::Default("v5"), "MQTT 5.0 or 3.1.1."),
    setting(
        "client_id",
        SettingKind::Text,
        Need::Optional,
        "Client id, under which the broker keeps the session; without it `gwp-` and the name of the source. Two \
         gateways at one broker need different ones.",
    ),
    rows::USER,
    rows::PASSWORD,
    rows::CA,
    rows::CERT,
    rows::CERT_KEY,
    setting(
        "retained",
        SettingKind::Choice(&["mark", "good", "skip"]),
        Need::Default("mark"),
        "Messages that the broker kept from an earlier time: `mark` = uncertain(initial), `good` = as any other, \
         `skip` = no sample. As commands they are always refused.",
    ),
    setting(
        "time_at",
        SettingKind::Text,
        Need::Optional,
        "JSON Pointer to the time of a message, such as `/time`. With `time = device` it is the time stamp of the \
         samples; a message without it has that of its arrival and is uncertain.",
    ),
    setting(
        "time_unit",
        SettingKind::Choice(TimeUnit::WORDS),
        Need::Default("ms"),
        "Unit of times that are numbers since 1970; texts are RFC 3339.",
    ),
    rows::KEEP_ALIVE,
    rows::session_expiry("1 d"),
    setting(
        "in_flight",
        SettingKind::Int { min: 1, max: 10_000 },
        Need::Default("100"),
        "Messages received and not yet acknowledged at most (5.0; over 3.1.1 the broker's own bound holds).",
    ),
    setting(
        "message_bytes",
        SettingKind::Bytes { min: 256, max: 16 * 1024 * 1024 },
        Need::Default("256 KiB"),
        "Payload of one message at most. A broker does not send larger ones (5.0); over 3.1.1 they end the \
         connection.",
    ),
];
