//! What the driver is and which settings it takes.

use gwp_core::manifest::{Manifest, Need, Role, Setting, SettingKind, Slots, SourceTraits, Standby};
use gwp_driver_kit::wire_log::WIRE_LOG;

/// Words of the setting `connection`, in the order of their codes from 1 on.
pub const CONNECTION_KINDS: &[&str] = &["pg", "op", "basic"];

/// Connections of one source at most; small PLCs have no more for all their partners.
pub const CONNECTIONS_MAX: i64 = 8;

const fn count(name: &'static str, min: i64, max: i64, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: SettingKind::Int { min, max }, need: Need::Default(default), doc }
}

const fn time(
    name: &'static str,
    (min_ms, max_ms): (i64, i64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, kind: SettingKind::Duration { min_ms, max_ms }, need: Need::Default(default), doc }
}

const fn tsap(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: SettingKind::Text, need: Need::Optional, doc }
}

const SETTINGS: &[Setting] = &[
    Setting {
        name: "address",
        kind: SettingKind::Text,
        need: Need::Required,
        doc: "Host of the PLC, with another port than 102 behind it if need be: `\"10.1.4.31\"`.",
    },
    count("rack", 0, 7, "0", "Rack of the CPU; with `slot` it makes the TSAP of the PLC."),
    count(
        "slot",
        0,
        31,
        "1",
        "Slot of the CPU: 2 for S7-300, as in the hardware configuration for S7-400, 1 (or 0) for S7-1200 \
         and S7-1500.",
    ),
    Setting {
        name: "connection",
        kind: SettingKind::Choice(CONNECTION_KINDS),
        need: Need::Default("basic"),
        doc: "Which of the PLC's connections is taken: of programming devices, of panels, or of others.",
    },
    tsap("tsap_local", "TSAP of the gateway, `\"01.00\"` without one; a LOGO! wants it as in its program."),
    tsap(
        "tsap_remote",
        "TSAP of the PLC in place of `rack`, `slot` and `connection`: `\"02.00\"` for a LOGO!.",
    ),
    count(
        "pdu_size",
        112,
        960,
        "960",
        "Bytes of a telegram to ask for; the PLC's answer counts (S7-300, S7-1200 240; S7-400 480; S7-1500 960).",
    ),
    count("connections", 1, CONNECTIONS_MAX, "1", "Connections that share the requests of a slot."),
    count(
        "gap_max",
        0,
        200,
        "32",
        "Unlisted bytes that may be read over to join two tags; 0 reads no unlisted byte ever.",
    ),
    time("timeout", (10, 60_000), "2 s", "Longest time from a request to its whole answer."),
    time("connect_timeout", (10, 60_000), "5 s", "Longest time one attempt to connect may take."),
    Setting {
        name: "reconnect",
        kind: SettingKind::Block(&[
            time(
                "first",
                (10, 600_000),
                "500 ms",
                "Pause after the first failed attempt to connect; it doubles each time.",
            ),
            time("max", (10, 600_000), "10 s", "Longest pause between attempts to connect."),
        ]),
        need: Need::Optional,
        doc: "Pauses between attempts to connect.",
    },
    WIRE_LOG,
];

const ADDRESSES: &[(&str, &str)] = &[
    (
        "DB10.DBW2",
        "Two bytes of data block 10 from byte 2 on; `DBD` four, `DBB` one, or the first of any other number.",
    ),
    ("DB10.DBX8.0", "Bit 0 (the lowest) of byte 8."),
    (
        "DB10,REAL8",
        "The same places in the notation of OPC servers: `X8.0`, `B`, `W`, `INT`, `DINT`, `REAL`, `STRING8.20`, ..",
    ),
    ("MW20", "Flags (M), inputs (I or E) and outputs (Q or A): `M10.3`, `IB0`, `QD4`."),
    ("VW100", "Variable memory of a LOGO!, which is data block 1."),
    ("T5", "Timer 5 in milliseconds; `C3` or `Z3` is counter 3."),
    (
        "DB10.DBB40 len 20",
        "STRING of up to 20 characters; without `len` 254. `wstring len 20` and `char len 20` likewise.",
    ),
    (
        "DB10.DBB60 dtl",
        "How the PLC keeps a tag of type time: `date`, `date_and_time` (also without a word), `dtl`, `ldt`.",
    ),
    (
        "DB10.DBW72 s5time",
        "Spans and times of day as numbers: `s5time`, `time`, `time_of_day` in ms, `ltime`, `ltime_of_day` in ns.",
    ),
    ("DB10.DBW74 bcd", "Decimal digits, of int and dint with a sign."),
];

pub static S7: Manifest = Manifest {
    name: "s7",
    doc: "Siemens S7-300, S7-400, S7-1200, S7-1500 and LOGO! over their own protocol (PUT/GET). An S7-1200 or \
          S7-1500 must allow PUT/GET, and its data blocks must not be optimized.",
    settings: SETTINGS,
    exclusive: None,
    role: Role::Source(SourceTraits {
        device_settings: &[],
        addresses: ADDRESSES,
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby: &[Standby::Hot, Standby::Warm, Standby::Cold],
    }),
};

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
