//! What the three drivers are and which settings they take.

use crate::address::{Order, STRING_BYTES_MAX};
use gwp_core::manifest::{
    Exclusive, Manifest, Need, Role, Setting, SettingKind, Slots, SourceTraits, Standby,
};
use gwp_driver_kit::wire_log::WIRE_LOG;

const ADDRESS: Setting = Setting {
    name: "address",
    kind: SettingKind::Text,
    need: Need::Required,
    doc: "Host and port of the device or gateway: `\"10.1.4.20:502\"`.",
};

const PORT: Setting = Setting {
    name: "port",
    kind: SettingKind::Text,
    need: Need::Required,
    doc: "Serial port: `\"/dev/ttyS0\"`, better `node(\"serial_a\")`.",
};

const UNIT_ID: Setting = Setting {
    name: "unit_id",
    kind: SettingKind::Int { min: 0, max: 255 },
    need: Need::Default("1"),
    doc: "Unit identifier of the tags in the source, and of devices that name none.",
};

const WORDS: Setting = Setting {
    name: "words",
    kind: SettingKind::Choice(Order::WORDS),
    need: Need::Default("high_first"),
    doc: "Order of the registers of 32 and 64 bit values.",
};

const BYTES: Setting = Setting {
    name: "bytes",
    kind: SettingKind::Choice(Order::WORDS),
    need: Need::Default("high_first"),
    doc: "Order of the two bytes in a register; `low_first` is rare and against the standard.",
};

const TIMEOUT: Setting = Setting {
    name: "timeout",
    kind: SettingKind::Duration { min_ms: 10, max_ms: 60_000 },
    need: Need::Default("1 s"),
    doc: "Longest time from a request to its whole answer.",
};

const CONNECT_TIMEOUT: Setting = Setting {
    name: "connect_timeout",
    kind: SettingKind::Duration { min_ms: 10, max_ms: 60_000 },
    need: Need::Default("3 s"),
    doc: "Longest time one attempt to connect may take.",
};

const REGISTERS_MAX: Setting = Setting {
    name: "registers_max",
    kind: SettingKind::Int { min: 1, max: 125 },
    need: Need::Default("125"),
    doc: "Registers one request reads at most; less for devices that cannot answer more.",
};

const COILS_MAX: Setting = Setting {
    name: "coils_max",
    kind: SettingKind::Int { min: 1, max: 2_000 },
    need: Need::Default("2000"),
    doc: "Coils or discrete inputs one request reads at most.",
};

const GAP_MAX: Setting = Setting {
    name: "gap_max",
    kind: SettingKind::Int { min: 0, max: 124 },
    need: Need::Default("16"),
    doc: "Unlisted registers that may be read over to save a request (coils: 16 times as many); \
          0 reads no unlisted register ever.",
};

const DELAY: Setting = Setting {
    name: "delay",
    kind: SettingKind::Duration { min_ms: 0, max_ms: 10_000 },
    need: Need::Default("0 ms"),
    doc: "Silence before each request, for slow devices; a serial line always keeps 3.5 characters.",
};

/// Retries: TCP repairs lost packets itself, a serial line does not.
const fn retries(default: &'static str) -> Setting {
    Setting {
        name: "retries",
        kind: SettingKind::Int { min: 0, max: 5 },
        need: Need::Default(default),
        doc: "Further tries in the same slot when no answer or a wrong one came.",
    }
}

const DEMOTE_AFTER: Setting = Setting {
    name: "demote_after",
    kind: SettingKind::Int { min: 1, max: 100 },
    need: Need::Default("2"),
    doc: "Requests in a row without a proper answer after which a unit counts as silent and is only probed.",
};

const PROBE: Setting = Setting {
    name: "probe",
    kind: SettingKind::Duration { min_ms: 100, max_ms: 3_600_000 },
    need: Need::Default("10 s"),
    doc: "Time between two probes of a silent unit.",
};

const RECONNECT: Setting = Setting {
    name: "reconnect",
    kind: SettingKind::Block(&[
        Setting {
            name: "first",
            kind: SettingKind::Duration { min_ms: 10, max_ms: 600_000 },
            need: Need::Default("500 ms"),
            doc: "Pause after the first failed attempt to connect; it doubles each time.",
        },
        Setting {
            name: "max",
            kind: SettingKind::Duration { min_ms: 10, max_ms: 600_000 },
            need: Need::Default("10 s"),
            doc: "Longest pause between attempts to connect.",
        },
    ]),
    need: Need::Optional,
    doc: "Pauses between attempts to connect.",
};

const BAUD: Setting = Setting {
    name: "baud",
    kind: SettingKind::Int { min: 300, max: 4_000_000 },
    need: Need::Default("19200"),
    doc: "Bits per second on the line.",
};

const PARITY: Setting = Setting {
    name: "parity",
    kind: SettingKind::Choice(&["even", "odd", "none"]),
    need: Need::Default("even"),
    doc: "Parity bit; with `none` the standard wants two stop bits.",
};

const STOP_BITS: Setting = Setting {
    name: "stop_bits",
    kind: SettingKind::Int { min: 1, max: 2 },
    need: Need::Default("1"),
    doc: "Stop bits of each character.",
};

const DATA_BITS: Setting = Setting {
    name: "data_bits",
    kind: SettingKind::Int { min: 7, max: 8 },
    need: Need::Default("8"),
    doc: "Data bits of each character; RTU has no other number than 8.",
};

/// A device's own value of a setting; without one the source's counts.
const fn of_device(setting: Setting) -> Setting {
    Setting { need: Need::Optional, ..setting }
}

const DEVICE_SETTINGS: &[Setting] = &[
    of_device(UNIT_ID),
    of_device(WORDS),
    of_device(BYTES),
    of_device(REGISTERS_MAX),
    of_device(COILS_MAX),
    of_device(GAP_MAX),
    of_device(WIRE_LOG),
];

const ADDRESSES: &[(&str, &str)] = &[
    (
        "40101",
        "Holding register as in the manual: 5 or 6 digits, counted from 1; input registers begin with 3.",
    ),
    ("hr 100", "The same holding register as on the wire, counted from 0; input registers are `ir`."),
    ("00001", "Coil as in the manual; discrete inputs begin with 1."),
    ("co 0", "The same coil as on the wire; discrete inputs are `di`."),
    ("hr 100.3", "Bit 3 of a register (0 is the lowest) as bool; `.0` and `.8` also begin a byte."),
    ("hr 100 len 20", "String of up to 20 bytes, two per register, ended early by a zero byte."),
    ("hr 100 low_first", "Low register first for this tag only, against the setting `words`."),
];

const fn traits(standby: &'static [Standby]) -> Role {
    Role::Source(SourceTraits {
        device_settings: DEVICE_SETTINGS,
        addresses: ADDRESSES,
        polled: Slots::Always,
        device_time: false,
        buffers: false,
        writes: true,
        commands: false,
        standby,
    })
}

/// Two masters on one serial line collide, so nothing polls from standby there.
const SERIAL_STANDBY: &[Standby] = &[Standby::Warm, Standby::Cold];

pub static TCP: Manifest = Manifest {
    name: "modbus_tcp",
    doc: "Modbus TCP. One connection; several units may stand behind one gateway. Values of type time are \
          four registers with milliseconds since 1970.",
    settings: &[
        ADDRESS,
        UNIT_ID,
        WORDS,
        BYTES,
        TIMEOUT,
        CONNECT_TIMEOUT,
        REGISTERS_MAX,
        COILS_MAX,
        GAP_MAX,
        DELAY,
        retries("0"),
        DEMOTE_AFTER,
        PROBE,
        RECONNECT,
        WIRE_LOG,
    ],
    exclusive: None,
    role: traits(&[Standby::Hot, Standby::Warm, Standby::Cold]),
};

pub static RTU: Manifest = Manifest {
    name: "modbus_rtu",
    doc: "Modbus RTU on a serial line. One request at a time; several units share the line. Values of type \
          time are four registers with milliseconds since 1970.",
    settings: &[
        PORT,
        BAUD,
        PARITY,
        STOP_BITS,
        DATA_BITS,
        UNIT_ID,
        WORDS,
        BYTES,
        TIMEOUT,
        CONNECT_TIMEOUT,
        REGISTERS_MAX,
        COILS_MAX,
        GAP_MAX,
        DELAY,
        retries("1"),
        DEMOTE_AFTER,
        PROBE,
        RECONNECT,
        WIRE_LOG,
    ],
    exclusive: Some(Exclusive { what: "serial port", settings: &["port"] }),
    role: traits(SERIAL_STANDBY),
};

pub static RTU_TCP: Manifest = Manifest {
    name: "modbus_rtu_tcp",
    doc: "Modbus RTU through a serial device server: RTU frames over a TCP connection. Values of type time \
          are four registers with milliseconds since 1970.",
    settings: &[
        ADDRESS,
        UNIT_ID,
        WORDS,
        BYTES,
        TIMEOUT,
        CONNECT_TIMEOUT,
        REGISTERS_MAX,
        COILS_MAX,
        GAP_MAX,
        DELAY,
        retries("1"),
        DEMOTE_AFTER,
        PROBE,
        RECONNECT,
        WIRE_LOG,
    ],
    exclusive: None,
    role: traits(SERIAL_STANDBY),
};

// A string fits into the answer to one request of the standard's largest size.
const _: () = assert!(STRING_BYTES_MAX == 125 * 2);

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
    fn setting_names_are_unique_and_devices_only_refine_the_source() {
        for manifest in [&TCP, &RTU, &RTU_TCP] {
            let names: Vec<_> = manifest.settings.iter().map(|setting| setting.name).collect();
            assert!(names.iter().enumerate().all(|(i, name)| !names[i + 1..].contains(name)), "{names:?}");
            for setting in manifest.source().unwrap().device_settings {
                assert!(names.contains(&setting.name), "{}", setting.name);
                assert!(matches!(setting.need, Need::Optional), "{}", setting.name);
            }
        }
    }
}
