//! Settings of a source and its devices as typed values.
//!
//! The compiler has checked names, types and bounds and filled in defaults;
//! what is left is what only this protocol knows. Absent settings read as
//! their manifest's default, so a hand-made declaration works too.

use crate::address::Order;
use crate::blocks::Limits;
use crate::client::Framing;
use crate::link::Timing;
use crate::manifest::{RTU, RTU_TCP, TCP};
use crate::wire::{Dial, SerialDial, TcpDial};
use gwp_core::manifest::{Manifest, SettingError, Settings};
use gwp_driver_kit::settings::{error, host_and_port, present};
use std::sync::Arc;
use std::time::Duration;

/// Which of the three drivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    Tcp,
    Rtu,
    RtuTcp,
}

impl Transport {
    pub fn manifest(self) -> &'static Manifest {
        match self {
            Transport::Tcp => &TCP,
            Transport::Rtu => &RTU,
            Transport::RtuTcp => &RTU_TCP,
        }
    }

    pub fn framing(self) -> Framing {
        if self == Transport::Tcp { Framing::Tcp } else { Framing::Rtu }
    }
}

/// What a source's settings say of its link.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// `None` while address or port are references that only a node can resolve.
    pub dial: Option<Arc<dyn Dial>>,
    pub timing: Timing,
    pub connect_timeout: Duration,
    pub retries: u32,
    pub demote_after: u32,
    pub probe: Duration,
    pub reconnect_first: Duration,
    pub reconnect_max: Duration,
    /// Nanoseconds one byte takes on a serial line; 0 on others.
    pub byte_ns: i64,
}

/// What the settings say of one device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSettings {
    pub unit: u8,
    pub words: Order,
    pub bytes: Order,
    pub limits: Limits,
}

/// The error of a source that is to run while its address is still a reference.
pub fn unresolved(transport: Transport) -> SettingError {
    let name = if transport == Transport::Rtu { "port" } else { "address" };
    error(name, format!("`{name}` has no value on this node"), "give it one in node.toml")
}

impl LinkSettings {
    /// Reads the source's settings; what is wrong goes to `errors`.
    pub fn new(transport: Transport, settings: &Settings, errors: &mut Vec<SettingError>) -> LinkSettings {
        let ms = Duration::from_millis;
        let duration = |name: &str, default| settings.duration(name).unwrap_or(default);
        let count =
            |name: &str, default| settings.int(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        let reconnect = settings.block("reconnect");
        let pause = |name: &str, default| reconnect.and_then(|block| block.duration(name)).unwrap_or(default);
        let mut gap = duration("delay", Duration::ZERO);
        let mut byte_ns = 0;
        let dial: Option<Arc<dyn Dial>> = match transport {
            Transport::Tcp | Transport::RtuTcp => {
                tcp_address(settings, errors).map(|address| Arc::new(TcpDial { address }) as Arc<dyn Dial>)
            }
            Transport::Rtu => {
                let line = Line::new(settings, errors);
                gap = gap.max(line.frame_gap());
                byte_ns = line.byte_ns();
                let port = present(settings, "port", "write `port = \"/dev/ttyS0\"`", errors);
                port.map(|port| Arc::new(line.dial(port)) as Arc<dyn Dial>)
            }
        };
        LinkSettings {
            dial,
            timing: Timing { timeout: duration("timeout", ms(1_000)), gap },
            connect_timeout: duration("connect_timeout", ms(3_000)),
            retries: count("retries", if transport == Transport::Tcp { 0 } else { 1 }),
            demote_after: count("demote_after", 2),
            probe: duration("probe", ms(10_000)),
            reconnect_first: pause("first", ms(500)),
            reconnect_max: pause("max", ms(10_000)),
            byte_ns,
        }
    }
}

fn tcp_address(settings: &Settings, errors: &mut Vec<SettingError>) -> Option<String> {
    host_and_port(settings, "write `address = \"10.1.4.20:502\"`; 502 is the usual port", None, errors)
}

/// Characters on a serial line.
struct Line {
    baud: u32,
    parity: tokio_serial::Parity,
    stop_bits: u32,
}

impl Line {
    fn new(settings: &Settings, errors: &mut Vec<SettingError>) -> Line {
        if settings.int("data_bits").is_some_and(|bits| bits != 8) {
            errors.push(error("data_bits", "Modbus RTU has 8 data bits", "remove `data_bits`"));
        }
        Line {
            baud: settings.int("baud").and_then(|baud| u32::try_from(baud).ok()).unwrap_or(19_200).max(1),
            parity: match settings.text("parity") {
                Some("none") => tokio_serial::Parity::None,
                Some("odd") => tokio_serial::Parity::Odd,
                _ => tokio_serial::Parity::Even,
            },
            stop_bits: if settings.int("stop_bits") == Some(2) { 2 } else { 1 },
        }
    }

    /// Start bit, 8 data bits, parity, stop bits.
    fn byte_ns(&self) -> i64 {
        let parity = u32::from(self.parity != tokio_serial::Parity::None);
        i64::from(9 + parity + self.stop_bits) * 1_000_000_000 / i64::from(self.baud)
    }

    /// Silence between two frames: 3.5 characters, above 19,200 baud fixed
    /// (MODBUS over Serial Line V1.02, 2.5.1.1).
    fn frame_gap(&self) -> Duration {
        if self.baud > 19_200 {
            return Duration::from_micros(1_750);
        }
        Duration::from_nanos(u64::try_from(self.byte_ns()).unwrap_or(0) * 7 / 2)
    }

    fn dial(&self, port: String) -> SerialDial {
        let stop_bits =
            if self.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
        SerialDial { port, baud: self.baud, parity: self.parity, stop_bits }
    }
}

impl DeviceSettings {
    /// A device's settings over those of its source.
    pub fn new(device: &Settings, source: &Settings) -> DeviceSettings {
        let int = |name: &str, default: u16| {
            let value = device.int(name).or_else(|| source.int(name));
            value.and_then(|value| u16::try_from(value).ok()).unwrap_or(default)
        };
        let order = |name: &str| {
            let word = device.text(name).or_else(|| source.text(name));
            word.and_then(Order::of_word).unwrap_or_default()
        };
        DeviceSettings {
            unit: u8::try_from(int("unit_id", 1)).unwrap_or(1),
            words: order("words"),
            bytes: order("bytes"),
            limits: Limits {
                registers_max: int("registers_max", 125).clamp(1, 125),
                coils_max: int("coils_max", 2_000).clamp(1, 2_000),
                gap_max: int("gap_max", 16),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::{Place, SettingValue};

    fn link(transport: Transport, pairs: &[(&str, SettingValue)]) -> (LinkSettings, Vec<SettingError>) {
        let mut settings = Settings::default();
        pairs.iter().for_each(|(name, value)| settings.set(name, value.clone()));
        let mut errors = Vec::new();
        (LinkSettings::new(transport, &settings, &mut errors), errors)
    }

    fn text(value: &str) -> SettingValue {
        SettingValue::Text(value.into())
    }

    #[test]
    fn an_address_is_host_and_port() {
        for good in ["10.1.4.20:502", "plc-7.plant.example:1502", "[fe80::1]:502"] {
            let (link, errors) = link(Transport::Tcp, &[("address", text(good))]);
            assert!(errors.is_empty() && link.dial.is_some(), "{good}");
        }
        for bad in ["10.1.4.20", ":502", "plc:0", "plc:70000", "fe80::1:502", "a b:502"] {
            let (link, errors) = link(Transport::RtuTcp, &[("address", text(bad))]);
            assert_eq!(errors[0].place, Place::Setting("address"));
            assert_eq!(errors[0].message, format!("`{bad}` is no host and port"));
            assert!(link.dial.is_none());
        }
        let (_, errors) = link(Transport::Tcp, &[]);
        assert_eq!(errors[0].message, "`address` is missing");
        let (_, errors) = link(Transport::Tcp, &[("address", SettingValue::NodeRef("plc".into()))]);
        assert!(errors.is_empty());
    }

    #[test]
    fn a_serial_line_keeps_its_silence() {
        let rtu = |pairs: &[(&str, SettingValue)]| {
            let mut all = vec![("port", text("/dev/ttyS0"))];
            all.extend_from_slice(pairs);
            link(Transport::Rtu, &all)
        };
        let (link, errors) = rtu(&[("baud", SettingValue::Int(9_600))]);
        assert!(errors.is_empty());
        // 11 bits x 3.5 at 9,600 baud.
        assert_eq!(link.timing.gap.as_micros(), 4_010);
        assert_eq!(link.byte_ns, 1_145_833);
        let (link, _) = rtu(&[("baud", SettingValue::Int(115_200)), ("parity", text("none"))]);
        assert_eq!((link.timing.gap.as_micros(), link.byte_ns), (1_750, 86_805));
        let (link, _) = rtu(&[("delay", SettingValue::Duration(20_000_000))]);
        assert_eq!(link.timing.gap.as_millis(), 20);
        let (_, errors) = rtu(&[("data_bits", SettingValue::Int(7))]);
        assert_eq!(errors[0].place, Place::Setting("data_bits"));
    }

    #[test]
    fn a_device_refines_its_source() {
        let (mut source, mut device) = (Settings::default(), Settings::default());
        source.set("unit_id", SettingValue::Int(3));
        source.set("words", text("low_first"));
        source.set("gap_max", SettingValue::Int(0));
        let plain = DeviceSettings::new(&device, &source);
        assert_eq!((plain.unit, plain.words, plain.bytes), (3, Order::LowFirst, Order::HighFirst));
        assert_eq!(plain.limits, Limits { registers_max: 125, coils_max: 2_000, gap_max: 0 });
        device.set("unit_id", SettingValue::Int(9));
        device.set("words", text("high_first"));
        device.set("registers_max", SettingValue::Int(32));
        let refined = DeviceSettings::new(&device, &source);
        assert_eq!((refined.unit, refined.words, refined.limits.registers_max), (9, Order::HighFirst, 32));
    }
}
