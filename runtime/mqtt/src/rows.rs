//! Lines of a manifest that every component over MQTT has.

use gwp_core::Setting;
use gwp_core::manifest::{Need, SettingKind};

const fn setting(name: &'static str, kind: SettingKind, need: Need, doc: &'static str) -> Setting {
    Setting { name, kind, need, doc }
}

pub const BROKER: Setting = setting(
    "broker",
    SettingKind::Text,
    Need::Required,
    "Address of the broker: `mqtt://host:1883`, or `ssl://host:8883` over TLS; the ports are the defaults.",
);

pub const USER: Setting = setting("user", SettingKind::Text, Need::Optional, "User name at the broker.");

pub const PASSWORD: Setting = setting("password", SettingKind::Secret, Need::Optional, "Password of `user`.");

pub const CA: Setting = setting(
    "ca",
    SettingKind::Text,
    Need::Optional,
    "PEM file, on the node, of the authority that signed the broker's certificate; without it the node's own list.",
);

pub const CERT: Setting = setting(
    "cert",
    SettingKind::Text,
    Need::Optional,
    "PEM file, on the node, of the client certificate (and its chain).",
);

pub const CERT_KEY: Setting = setting(
    "cert_key",
    SettingKind::Text,
    Need::Optional,
    "PEM file, on the node, of the private key of `cert`.",
);

pub const KEEP_ALIVE: Setting = setting(
    "keep_alive",
    SettingKind::Duration { min_ms: 5_000, max_ms: 3_600_000 },
    Need::Default("10 s"),
    "Time without traffic after which the connection is probed; a silent broker is noticed within twice of it.",
);

/// How long the broker keeps the session, with its default.
pub const fn session_expiry(default: &'static str) -> Setting {
    setting(
        "session_expiry",
        SettingKind::Duration { min_ms: 0, max_ms: 30 * 86_400_000 },
        Need::Default(default),
        "How long the broker keeps the session of a lost connection (5.0).",
    )
}
