//! How to reach a broker, and as whom: from settings to the options of the client library.

use crate::CONNECT_TIMEOUT;
use gwp_core::SettingError;
use gwp_core::Settings;
use gwp_core::manifest::Place;
use rumqttc::v5;
use rumqttc::{TlsConfiguration, Transport};
use rustls::ClientConfig;
use std::time::Duration;

/// One client at one broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub broker: Broker,
    pub version: Version,
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    pub tls: TlsFiles,
    pub keep_alive: Duration,
    pub session_expiry: Duration,
}

/// Where the broker is.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    pub tls: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "ssl" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V5,
    V311,
}

/// PEM files on the node.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsFiles {
    pub ca: Option<String>,
    /// Certificate and private key.
    pub client: Option<(String, String)>,
}

impl Link {
    /// Reads the settings of an item; everything wrong with them goes to the list. Settings that are
    /// still references are taken as right. Without a client id it is `gwp-` and the item's name.
    pub fn read(settings: &Settings, item: &str, errors: &mut Vec<SettingError>) -> Link {
        let broker = read_broker(settings, errors);
        Link {
            tls: read_tls(settings, broker.tls, errors),
            broker,
            version: if settings.text("version") == Some("v311") { Version::V311 } else { Version::V5 },
            client_id: read_client_id(settings, item, errors),
            login: read_login(settings, errors),
            keep_alive: settings.duration("keep_alive").unwrap_or(Duration::from_secs(10)),
            session_expiry: settings.duration("session_expiry").unwrap_or(Duration::from_secs(3_600)),
        }
    }

    /// Options of an MQTT 5.0 client that takes packets of so many bytes.
    pub fn options_v5(&self, tls: Option<ClientConfig>, clean: bool, incoming_bytes: u32) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(&self.client_id, self.host(), self.broker.port);
        options
            .set_transport(transport(tls))
            .set_network_options(network())
            .set_connection_timeout(CONNECT_TIMEOUT.as_secs())
            .set_keep_alive(self.keep_alive.max(Duration::from_secs(5)))
            .set_clean_start(clean)
            .set_session_expiry_interval(u32::try_from(self.session_expiry.as_secs()).ok())
            .set_max_packet_size(Some(incoming_bytes));
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }

    /// Options of an MQTT 3.1.1 client that takes and gives packets of so many bytes. The network's
    /// own ones belong to its event loop: [`network`].
    pub fn options_v311(
        &self,
        tls: Option<ClientConfig>,
        clean: bool,
        incoming_bytes: usize,
        outgoing_bytes: usize,
    ) -> rumqttc::MqttOptions {
        let mut options = rumqttc::MqttOptions::new(&self.client_id, self.host(), self.broker.port);
        options
            .set_transport(transport(tls))
            .set_keep_alive(self.keep_alive.max(Duration::from_secs(5)))
            .set_clean_session(clean)
            .set_max_packet_size(incoming_bytes, outgoing_bytes);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }

    fn host(&self) -> String {
        match self.broker.host.contains(':') {
            true => format!("[{}]", self.broker.host),
            false => self.broker.host.clone(),
        }
    }
}

/// Options of the socket: small packets go out at once.
pub fn network() -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    network
}

fn transport(tls: Option<ClientConfig>) -> Transport {
    tls.map_or(Transport::Tcp, |config| Transport::tls_with_config(TlsConfiguration::from(config)))
}

/// What is wrong with a setting.
pub fn setting_error(
    name: &'static str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> SettingError {
    SettingError { place: Place::Setting(name), code: None, message: message.into(), help: help.into() }
}

/// Settings of a manifest that have no value on this node.
pub fn unresolved(settings: &Settings, table: &'static [gwp_core::Setting]) -> Vec<SettingError> {
    let open = table.iter().filter(|setting| settings.is_unresolved(setting.name));
    open.map(|setting| {
        let message = format!("`{}` has no value on this node", setting.name);
        setting_error(setting.name, message, "give it one in node.toml")
    })
    .collect()
}

fn read_broker(settings: &Settings, errors: &mut Vec<SettingError>) -> Broker {
    let nowhere = Broker { tls: false, host: String::new(), port: 0 };
    if settings.is_unresolved("broker") {
        return nowhere;
    }
    const HELP: &str = "write `mqtt://host:1883`, or `ssl://host:8883` over TLS";
    match settings.text("broker").map(parse_broker) {
        Some(Ok(broker)) => return broker,
        Some(Err(message)) => errors.push(setting_error("broker", message, HELP)),
        None => errors.push(setting_error("broker", "the address of the broker is missing", HELP)),
    }
    nowhere
}

fn parse_broker(text: &str) -> Result<Broker, String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("mqtt", rest)) => (false, rest),
        Some(("ssl", rest)) => (true, rest),
        Some((scheme, _)) => return Err(format!("`{scheme}://` is not known here")),
        None => return Err(format!("`{text}` does not say how to connect")),
    };
    if rest.contains('@') {
        return Err("user and password do not belong into the address: use `user` and `password`".into());
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a `[` in the address is not closed")?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some("")))
        }
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, Some("")),
        },
    };
    let port = match port {
        Some("") if rest.ends_with(':') => None,
        Some("") => Some(if tls { 8883 } else { 1883 }),
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => None,
    };
    let port = port.ok_or_else(|| format!("the port of `{text}` is not a number from 1 to 65535"))?;
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '[' | ']');
    if host.is_empty() || host.contains(strange) {
        return Err(format!("`{text}` names no host"));
    }
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(format!("`{host}` is not an IPv6 address"));
    }
    if tls && host.contains(':') {
        return Err("TLS needs a host name or an IPv4 address".into());
    }
    Ok(Broker { tls, host: host.into(), port })
}

fn read_client_id(settings: &Settings, item: &str, errors: &mut Vec<SettingError>) -> String {
    let Some(id) = settings.text("client_id") else { return format!("gwp-{item}") };
    if id.is_empty() || id.len() > 65_535 || id.contains(char::is_control) {
        errors.push(setting_error(
            "client_id",
            "a client id is 1 to 65,535 bytes without control characters",
            "leave `client_id` out to use the name of the item",
        ));
    }
    id.into()
}

fn read_login(settings: &Settings, errors: &mut Vec<SettingError>) -> Option<(String, String)> {
    let has = |name| settings.get(name).is_some();
    if has("password") && !has("user") {
        errors.push(setting_error("password", "a password without a user", "add `user = \"...\"`"));
    }
    if settings.is_unresolved("user") || settings.is_unresolved("password") {
        return None;
    }
    let user = settings.text("user")?;
    Some((user.into(), settings.text("password").unwrap_or_default().into()))
}

fn read_tls(settings: &Settings, tls: bool, errors: &mut Vec<SettingError>) -> TlsFiles {
    if !tls && !settings.is_unresolved("broker") {
        for name in ["ca", "cert", "cert_key"] {
            if settings.get(name).is_some() {
                errors.push(setting_error(
                    name,
                    format!("`{name}` is of use only over TLS"),
                    "write `broker = \"ssl://...\"`",
                ));
            }
        }
    }
    let has = |name| settings.get(name).is_some();
    match (has("cert"), has("cert_key")) {
        (true, false) => {
            errors.push(setting_error(
                "cert",
                "a certificate without its private key",
                "add `cert_key = \"...\"`",
            ));
        }
        (false, true) => {
            errors.push(setting_error(
                "cert_key",
                "a private key without its certificate",
                "add `cert = \"...\"`",
            ));
        }
        _ => {}
    }
    let file = |name| settings.text(name).map(str::to_owned);
    TlsFiles { ca: file("ca"), client: file("cert").zip(file("cert_key")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_addresses() {
        for (text, shown) in [
            ("mqtt://host", "mqtt://host:1883"),
            ("ssl://mqtt.acme.example:8884/", "ssl://mqtt.acme.example:8884"),
            ("ssl://10.0.0.1", "ssl://10.0.0.1:8883"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
        ] {
            assert_eq!(parse_broker(text).unwrap().to_string(), shown);
        }
        for text in [
            "host:1883",
            "http://host",
            "mqtt://",
            "mqtt://host:0",
            "mqtt://host:70000",
            "mqtt://host:",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://a b",
            "mqtt://user:pw@host",
            "ssl://[::1]",
            "mqtt://host/path",
            "mqtt://a:b:1883",
        ] {
            assert!(parse_broker(text).is_err(), "{text}");
        }
    }
}
