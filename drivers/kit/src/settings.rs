//! Settings that drivers have in common, understood.

use gwp_core::manifest::{Place, SettingError, Settings};

/// An error at a setting of the source.
pub fn error(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> SettingError {
    SettingError { place: Place::Setting(name), code: None, message: message.into(), help: help.into() }
}

/// A required text; `None` with an error when it is missing, without one when it is a reference
/// that only a node resolves.
pub fn present(
    settings: &Settings,
    name: &'static str,
    help: &str,
    errors: &mut Vec<SettingError>,
) -> Option<String> {
    if settings.is_unresolved(name) {
        return None;
    }
    let text = settings.text(name).filter(|text| !text.trim().is_empty());
    if text.is_none() {
        errors.push(error(name, format!("`{name}` is missing"), help));
    }
    text.map(str::to_owned)
}

/// The setting `address` as `host:port`, with `usual_port` behind a host that names none; as [`present`].
pub fn host_and_port(
    settings: &Settings,
    help: &str,
    usual_port: Option<u16>,
    errors: &mut Vec<SettingError>,
) -> Option<String> {
    let written = present(settings, "address", help, errors)?;
    let has_port = if written.starts_with('[') { !written.ends_with(']') } else { written.contains(':') };
    let address = match usual_port {
        Some(port) if !has_port => format!("{written}:{port}"),
        _ => written.clone(),
    };
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(char::is_whitespace));
    // An IPv6 address has colons of its own and stands in brackets.
    let host_is_plain = port.is_some_and(|(host, _)| host.starts_with('[') == host.contains(':'));
    let port = port.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port != 0);
    if !host_is_plain || port.is_none() {
        let what = if usual_port.is_some() { "host" } else { "host and port" };
        errors.push(error("address", format!("`{written}` is no {what}"), help));
        return None;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::SettingValue;

    #[test]
    fn a_host_gets_the_usual_port_and_keeps_its_own() {
        let of = |text: &str| {
            let mut settings = Settings::default();
            settings.set("address", SettingValue::Text(text.into()));
            let mut errors = Vec::new();
            let address = host_and_port(&settings, "help", Some(102), &mut errors);
            assert_eq!(address.is_none(), errors.len() == 1, "{text}");
            address
        };
        assert_eq!(of("10.1.4.30").as_deref(), Some("10.1.4.30:102"));
        assert_eq!(of("plc-7.plant.example:1102").as_deref(), Some("plc-7.plant.example:1102"));
        assert_eq!(of("[fe80::1]").as_deref(), Some("[fe80::1]:102"));
        assert_eq!(of("[fe80::1]:103").as_deref(), Some("[fe80::1]:103"));
        for bad in ["fe80::1", "a b", "plc:0", "plc:70000", ":102"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
