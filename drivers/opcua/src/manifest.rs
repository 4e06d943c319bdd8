//! What the `opcua` driver is and which settings it takes.

use crate::access;
use gwp_core::Manifest;
use gwp_core::manifest::{Need, Role, Setting, SettingKind, Slots, SourceTraits, Standby};
use gwp_driver_kit::wire_log::WIRE_LOG;

/// The driver `opcua`.
pub static MANIFEST: Manifest = Manifest {
    name: "opcua",
    doc: "Subscribes to nodes of an OPC UA server, or reads them in scan slots. A notification is acknowledged when \
          the log holds it on disk; what the server kept over a lost connection, a crash of the gateway or a takeover \
          by the other node is asked for again. Samples carry \
          the time stamps of their source, else of the server; with `time = gateway` those of arrival.",
    settings: SETTINGS,
    exclusive: None,
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: ADDRESSES,
        polled: Slots::When("mode", "poll"),
        device_time: true,
        buffers: true,
        writes: true,
        commands: false,
        standby: &[Standby::Transfer, Standby::Hot, Standby::Warm, Standby::Cold],
    }),
};

const fn setting(name: &'static str, kind: SettingKind, need: Need, doc: &'static str) -> Setting {
    Setting { name, kind, need, doc }
}

const fn time(name: &'static str, (min_ms, max_ms): (i64, i64), need: Need, doc: &'static str) -> Setting {
    setting(name, SettingKind::Duration { min_ms, max_ms }, need, doc)
}

static SETTINGS: &[Setting] = &[
    setting(
        "address",
        SettingKind::Text,
        Need::Required,
        "Address of the server: `\"opc.tcp://10.1.4.40:4840\"`. It is always this address that is connected to, \
         whatever the server says of itself.",
    ),
    setting(
        "redundant",
        SettingKind::TextList,
        Need::Optional,
        "Further servers of the same redundant set: `[\"opc.tcp://10.1.4.41:4840\"]`. One that says that it is healthy \
         (ServiceLevel 200 or more) is used until it is lost or says otherwise; then the best of the others.",
    ),
    access::SECURITY,
    access::POLICY,
    access::USER,
    access::PASSWORD,
    access::USER_CERTIFICATE,
    access::USER_KEY,
    access::CHECK_NAMES,
    access::PKI_FOLDER,
    setting(
        "mode",
        SettingKind::Choice(&["subscribe", "poll"]),
        Need::Default("subscribe"),
        "`subscribe`: the server reports changes. `poll`: nodes are read in the scan slots of their tags, for \
         servers whose subscriptions are not to be trusted; samples have the times of their slots.",
    ),
    time(
        "publishing",
        (10, 600_000),
        Need::Default("500 ms"),
        "Time between two reports of a subscription; the server may make it longer.",
    ),
    time(
        "sampling",
        (0, 600_000),
        Need::Optional,
        "Time between two looks of the server at a node; as `publishing` without it, `0 s` as fast as it can.",
    ),
    setting(
        "queue",
        SettingKind::Int { min: 1, max: 100_000 },
        Need::Default("100"),
        "Changes of a node that the server keeps until they are reported. An outage is survived without loss as \
         long as they have room: outage / `sampling`.",
    ),
    setting(
        "deadband",
        SettingKind::Float { min: 0.0, max: 1e300 },
        Need::Default("0"),
        "Changes of a number by less than this are not reported, if the server can tell.",
    ),
    time(
        "keep_alive",
        (100, 600_000),
        Need::Default("5 s"),
        "Time after which a subscription without changes says that it lives. One that is silent for more than \
         twice of it is set up anew.",
    ),
    time(
        "lifetime",
        (10_000, 86_400_000),
        Need::Default("5 min"),
        "How long the server keeps a subscription of which the gateway fetches nothing: while it is not there, \
         starts anew, or the other node takes over.",
    ),
    time(
        "retry",
        (1_000, 86_400_000),
        Need::Default("30 s"),
        "Time after which a node that the server does not know, or refuses, is asked for again.",
    ),
    time(
        "history",
        (0, 2_592_000_000),
        Need::Default("1 h"),
        "After an outage in which the server has lost the subscription, values of nodes of which it keeps history are \
         read from there, at most from so long ago; `0 s` reads none.",
    ),
    time(
        "session_timeout",
        (1_000, 3_600_000),
        Need::Default("30 s"),
        "How long the server keeps a session of which it hears nothing; short, since small servers have few.",
    ),
    time("timeout", (100, 60_000), Need::Default("5 s"), "Longest time from a request to its answer."),
    time(
        "connect_timeout",
        (100, 300_000),
        Need::Default("15 s"),
        "Longest time one attempt to connect may take.",
    ),
    setting(
        "reconnect",
        SettingKind::Block(&[
            time(
                "first",
                (10, 600_000),
                Need::Default("500 ms"),
                "Pause after the first failed attempt to connect; it doubles each time.",
            ),
            time("max", (10, 600_000), Need::Default("10 s"), "Longest pause between attempts to connect."),
        ]),
        Need::Optional,
        "Pauses between attempts to connect. After a refused user or certificate they are minutes, so that no \
         account is locked.",
    ),
    WIRE_LOG,
];

const ADDRESSES: &[(&str, &str)] = &[
    (
        "nsu=urn:plant:line;s=Line1.Speed",
        "A node by the URI of its namespace: stays right when the server numbers its namespaces anew.",
    ),
    (
        "ns=2;s=Line1.Speed",
        "The same by the index of the namespace, which a server may change at a restart. `i=` number, `g=` GUID and \
         `b=` Base64 are the other identifiers; without a namespace it is that of the standard: `i=2258`.",
    ),
    ("ns=2;s=Line1.Steps#/3", "Element 3 of an array, counted from 0; `#/3/2` of one with two dimensions."),
    (
        "ns=2;s=Line1.Recipe#/oven/temperature",
        "A field of a structure, of which the server must give the type. A node whose identifier contains `#/` \
         itself has another `#/` behind it.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address;

    #[test]
    fn every_address_form_is_one() {
        for (form, _) in ADDRESSES {
            assert!(address::parse(form).is_ok(), "{form}");
        }
    }

    #[test]
    fn setting_names_are_unique() {
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert!(names.iter().enumerate().all(|(i, name)| !names[i + 1..].contains(name)), "{names:?}");
    }
}
