//! Manifests of drivers and sinks of other crates and of later versions: programs for them compile, as far as the
//! language goes.

use super::{SINK_TRAITS, setting};
use gwp_core::Manifest;
use gwp_core::manifest::Need::{Default, Optional, Required};
use gwp_core::manifest::SettingKind::{Choice, Duration, Int, Secret, Text, TextList};
use gwp_core::manifest::{Role, Setting, SinkTraits, Slots, SourceTraits, Standby};

const ADDRESS: Setting = setting("address", Text, Required);
const URL: Setting = setting("url", Text, Required);
const USER: Setting = setting("user", Text, Optional);
const PASSWORD: Setting = setting("password", Secret, Optional);
const TOKEN: Setting = setting("token", Secret, Optional);
const BROKER: Setting = setting("broker", Text, Required);

const fn number(name: &'static str, default: &'static str) -> Setting {
    setting(name, Int { min: 0, max: 65_535 }, Default(default))
}

/// A driver that asks its devices in scan slots.
const fn polled(name: &'static str, settings: &'static [Setting]) -> Manifest {
    source(name, settings, true, false, &[Standby::Hot, Standby::Warm, Standby::Cold])
}

/// A driver whose devices report, and keep their samples.
const fn reporting(name: &'static str, settings: &'static [Setting], commands: bool) -> Manifest {
    source(name, settings, false, commands, &[Standby::Transfer, Standby::Warm, Standby::Cold])
}

const fn source(
    name: &'static str,
    settings: &'static [Setting],
    polled: bool,
    commands: bool,
    standby: &'static [Standby],
) -> Manifest {
    let role = Role::Source(SourceTraits {
        device_settings: &[],
        addresses: &[],
        polled: if polled { Slots::Always } else { Slots::Never },
        device_time: false,
        buffers: !polled,
        writes: true,
        commands,
        standby,
    });
    Manifest { name, doc: "A driver that these tests do not have.", settings, exclusive: None, role }
}

const fn sink(name: &'static str, settings: &'static [Setting], idempotent: bool) -> Manifest {
    let role = Role::Sink(SinkTraits { idempotent, ..SINK_TRAITS });
    Manifest { name, doc: "A sink that these tests do not have.", settings, exclusive: None, role }
}

const PLC: &[Setting] = &[ADDRESS, number("rack", "0"), number("slot", "1")];
const OPCUA: &[Setting] = &[
    ADDRESS,
    setting("security", Choice(&["none", "sign", "sign_and_encrypt"]), Default("none")),
    USER,
    PASSWORD,
];
const DNP3: &[Setting] = &[
    ADDRESS,
    number("master", "1"),
    number("outstation", "10"),
    setting("classes", TextList, Optional),
    setting("integrity_poll", Duration { min_ms: 1_000, max_ms: 86_400_000 }, Default("1 h")),
];
const REST: &[Setting] = &[URL, setting("method", Choice(&["post", "put"]), Default("post")), USER, TOKEN];

/// All of them.
pub static PLANNED: [Manifest; 13] = [
    polled("s7", PLC),
    polled("eip", PLC),
    polled("bacnet", &[ADDRESS]),
    reporting("opcua", OPCUA, false),
    reporting("dnp3", DNP3, false),
    reporting("mqtt", &[BROKER, USER, PASSWORD], true),
    sink("rest", REST, true),
    sink("omf", &[URL, USER, PASSWORD], true),
    sink("postgres", &[URL, USER, PASSWORD, setting("table", Text, Default("samples"))], true),
    sink("influx", &[URL, TOKEN, setting("bucket", Text, Required)], true),
    sink(
        "sparkplug",
        &[BROKER, USER, PASSWORD, setting("group", Text, Required), setting("edge_node", Text, Required)],
        false,
    ),
    sink("kafka", &[setting("brokers", TextList, Required), setting("topic", Text, Required)], false),
    sink("mqtt", &[BROKER, USER, PASSWORD, setting("topic", Text, Optional)], false),
];
