//! Settings of a source as typed values.
//!
//! The compiler has checked names, types and bounds and filled in defaults; what is left is what
//! only this protocol knows. Absent settings read as their manifest's default, so a hand-made
//! declaration works too.

use crate::manifest::CONNECTION_KINDS;
use crate::protocol::frame::Tsaps;
use crate::protocol::telegram::{PDU_MAX, PDU_MIN};
use gwp_core::manifest::{SettingError, Settings};
use gwp_driver_kit::settings::{error, host_and_port};
use std::time::Duration;

/// The usual port of the protocol (RFC 1006).
const PORT: u16 = 102;

/// What a source's settings say.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// Host and port; `None` while it is a reference that only a node can resolve.
    pub address: Option<String>,
    pub tsaps: Tsaps,
    pub pdu: u16,
    pub connections: usize,
    pub gap_max: u32,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub reconnect_first: Duration,
    pub reconnect_max: Duration,
}

/// The error of a source that is to run while its address is still a reference.
pub fn unresolved() -> SettingError {
    error("address", "`address` has no value on this node", "give it one in node.toml")
}

impl LinkSettings {
    /// Reads the source's settings; what is wrong goes to `errors`.
    pub fn new(settings: &Settings, errors: &mut Vec<SettingError>) -> LinkSettings {
        let ms = Duration::from_millis;
        let duration = |name: &str, default| settings.duration(name).unwrap_or(default);
        let int = |name: &str, default: u16| {
            settings.int(name).and_then(|value| u16::try_from(value).ok()).unwrap_or(default)
        };
        let reconnect = settings.block("reconnect");
        let pause = |name: &str, default| reconnect.and_then(|block| block.duration(name)).unwrap_or(default);
        const HELP: &str = "write `address = \"10.1.4.31\"`; behind it may stand another port than 102";
        let mut tsap = |name, default| tsap(settings, name, errors).unwrap_or(default);
        // The kind of connection in the high byte, in the low one the rack in three bits and the slot.
        let kind = settings.text("connection").and_then(|word| {
            CONNECTION_KINDS.iter().zip(1u16..).find(|(kind, _)| **kind == word).map(|(_, code)| code)
        });
        let place = kind.unwrap_or(3) << 8 | (int("rack", 0) & 7) << 5 | (int("slot", 1) & 31);
        let tsaps = Tsaps { local: tsap("tsap_local", 0x0100), remote: tsap("tsap_remote", place) };
        LinkSettings {
            address: host_and_port(settings, HELP, Some(PORT), errors),
            tsaps,
            pdu: int("pdu_size", PDU_MAX).clamp(PDU_MIN, PDU_MAX),
            connections: usize::from(int("connections", 1).max(1)),
            gap_max: u32::from(int("gap_max", 32)),
            timeout: duration("timeout", ms(2_000)),
            connect_timeout: duration("connect_timeout", ms(5_000)),
            reconnect_first: pause("first", ms(500)),
            reconnect_max: pause("max", ms(10_000)),
        }
    }
}

/// `02.00`, as engineering tools show it; also without the point.
fn tsap(settings: &Settings, name: &'static str, errors: &mut Vec<SettingError>) -> Option<u16> {
    let written = settings.text(name)?;
    let plain = match written.split_once('.') {
        Some((high, low)) if high.len() == 2 && low.len() == 2 => format!("{high}{low}"),
        _ => written.trim_start_matches("0x").to_owned(),
    };
    let digits = plain.len() == 4 && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    let tsap = u16::from_str_radix(&plain, 16).ok().filter(|_| digits);
    if tsap.is_none() {
        let message = format!("`{written}` is no TSAP");
        errors.push(error(name, message, "write two bytes in hexadecimal: `\"02.00\"`"));
    }
    tsap
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::{Place, SettingValue};

    fn link(pairs: &[(&str, SettingValue)]) -> (LinkSettings, Vec<SettingError>) {
        let mut settings = Settings::default();
        settings.set("address", text("plc"));
        pairs.iter().for_each(|(name, value)| settings.set(name, value.clone()));
        let mut errors = Vec::new();
        (LinkSettings::new(&settings, &mut errors), errors)
    }

    fn text(value: &str) -> SettingValue {
        SettingValue::Text(value.into())
    }

    #[test]
    fn rack_slot_and_kind_make_the_tsap() {
        let remote = |pairs: &[(&str, SettingValue)]| {
            let (link, errors) = link(pairs);
            assert_eq!(errors, []);
            link.tsaps.remote
        };
        assert_eq!(remote(&[]), 0x0301);
        assert_eq!(remote(&[("slot", SettingValue::Int(2)), ("connection", text("pg"))]), 0x0102);
        assert_eq!(remote(&[("rack", SettingValue::Int(1)), ("slot", SettingValue::Int(3))]), 0x0323);
        for written in ["02.00", "0200", "0x0200"] {
            assert_eq!(remote(&[("tsap_remote", text(written))]), 0x0200);
        }
        assert_eq!(link(&[("tsap_local", text("20.00"))]).0.tsaps.local, 0x2000);
        for wrong in ["2", "02.0", "xx.yy", "02000", "", "+200"] {
            let (_, errors) = link(&[("tsap_remote", text(wrong))]);
            assert_eq!(errors[0].place, Place::Setting("tsap_remote"), "{wrong}");
        }
    }

    #[test]
    fn the_usual_port_is_added() {
        assert_eq!(link(&[]).0.address.as_deref(), Some("plc:102"));
        assert_eq!(link(&[("address", text("plc:1102"))]).0.address.as_deref(), Some("plc:1102"));
        let (link, errors) = link(&[("address", SettingValue::NodeRef("plc".into()))]);
        assert!(link.address.is_none() && errors.is_empty());
    }
}
