//! From the settings of a declaration to typed options, with everything that is wrong with them.

use crate::encode::{Grouping, KeyForm, Shape, TimeForm};
use crate::topic::Template;
use gwp_core::SettingError;
use gwp_core::Settings;
use gwp_core::manifest::Place;
use gwp_core::sink::SinkDeclaration;
use std::time::Duration;

/// Everything one sink needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub broker: Broker,
    pub version: Version,
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    pub tls: TlsFiles,
    pub shape: Shape,
    pub qos: Qos,
    pub retain: bool,
    pub keep_alive: Duration,
    pub clean: bool,
    pub session_expiry: Duration,
    /// Messages not acknowledged at most.
    pub window: u16,
    /// Bytes of a payload at most.
    pub payload_max: usize,
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

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// At most once.
    Zero,
    /// At least once.
    One,
    /// Exactly once, as long as the connection lasts.
    Two,
}

/// PEM files on the node.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsFiles {
    pub ca: Option<String>,
    /// Certificate and private key.
    pub client: Option<(String, String)>,
}

/// Reads a declaration; settings that are still references are taken as right.
///
/// # Errors
/// Everything that is wrong.
pub fn read(declaration: &SinkDeclaration) -> Result<Options, Vec<SettingError>> {
    let settings = &declaration.item.settings;
    let mut errors = Vec::new();
    let broker = read_broker(settings, &mut errors);
    let shape = read_shape(settings, &mut errors);
    let options = Options {
        tls: read_tls(settings, broker.tls, &mut errors),
        broker,
        version: if settings.text("version") == Some("v311") { Version::V311 } else { Version::V5 },
        client_id: read_client_id(settings, &declaration.item.name, &mut errors),
        login: read_login(settings, &mut errors),
        shape,
        qos: match settings.int("qos") {
            Some(0) => Qos::Zero,
            Some(2) => Qos::Two,
            _ => Qos::One,
        },
        retain: settings.bool("retain").unwrap_or(false),
        keep_alive: settings.duration("keep_alive").unwrap_or(Duration::from_secs(10)),
        clean: settings.bool("clean").unwrap_or(false),
        session_expiry: settings.duration("session_expiry").unwrap_or(Duration::from_secs(3_600)),
        window: settings.int("in_flight").and_then(|n| u16::try_from(n).ok()).unwrap_or(100).max(1),
        payload_max: settings
            .bytes("message_bytes")
            .map_or(100_000, |n| usize::try_from(n).unwrap_or(100_000)),
    };
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

fn error(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> SettingError {
    SettingError { place: Place::Setting(name), code: None, message: message.into(), help: help.into() }
}

fn read_broker(settings: &Settings, errors: &mut Vec<SettingError>) -> Broker {
    let nowhere = Broker { tls: false, host: String::new(), port: 0 };
    if settings.is_unresolved("broker") {
        return nowhere;
    }
    const HELP: &str = "write `mqtt://host:1883`, or `ssl://host:8883` over TLS";
    match settings.text("broker").map(parse_broker) {
        Some(Ok(broker)) => return broker,
        Some(Err(message)) => errors.push(error("broker", message, HELP)),
        None => errors.push(error("broker", "the address of the broker is missing", HELP)),
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

fn read_client_id(settings: &Settings, sink: &str, errors: &mut Vec<SettingError>) -> String {
    let Some(id) = settings.text("client_id") else { return format!("gwp-{sink}") };
    if id.is_empty() || id.len() > 65_535 || id.contains(char::is_control) {
        errors.push(error(
            "client_id",
            "a client id is 1 to 65,535 bytes without control characters",
            "leave `client_id` out to use the name of the sink",
        ));
    }
    id.into()
}

fn read_login(settings: &Settings, errors: &mut Vec<SettingError>) -> Option<(String, String)> {
    let has = |name| settings.get(name).is_some();
    if has("password") && !has("user") {
        errors.push(error("password", "a password without a user", "add `user = \"...\"`"));
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
                errors.push(error(
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
            errors.push(error("cert", "a certificate without its private key", "add `cert_key = \"...\"`"));
        }
        (false, true) => {
            errors.push(error("cert_key", "a private key without its certificate", "add `cert = \"...\"`"));
        }
        _ => {}
    }
    let file = |name| settings.text(name).map(str::to_owned);
    TlsFiles { ca: file("ca"), client: file("cert").zip(file("cert_key")) }
}

fn read_shape(settings: &Settings, errors: &mut Vec<SettingError>) -> Shape {
    let grouping = if settings.text("message") == Some("tag") { Grouping::Tag } else { Grouping::Slot };
    let default_topic = match grouping {
        Grouping::Slot => "gwp/{device}",
        Grouping::Tag => "gwp/{device}/{tag}",
    };
    let text = settings.text("topic").unwrap_or(default_topic);
    let topic = Template::parse(text).unwrap_or_else(|found| {
        errors.extend(found.into_iter().map(|found| error("topic", found.message, found.help)));
        Template::default()
    });
    let shape = Shape {
        topic,
        grouping,
        time: if settings.text("time") == Some("iso") { TimeForm::Iso } else { TimeForm::Milliseconds },
        keys: if settings.text("names") == Some("tag") { KeyForm::Tag } else { KeyForm::Path },
        labels: settings.text("enums") == Some("label"),
    };
    // Whether they fit each other is known when all of them are.
    let unresolved = ["topic", "message", "names"].iter().any(|name| settings.is_unresolved(name));
    if unresolved || errors.iter().any(|error| error.place == Place::Setting("topic")) {
        return shape;
    }
    if grouping == Grouping::Tag && !shape.topic.distinguishes_tags() {
        errors.push(error(
            "topic",
            "with `message = tag` each tag needs a topic of its own",
            "put {device} and {tag}, or {path}, into the topic",
        ));
    }
    if shape.keys_can_collide() {
        errors.push(error(
            "names",
            "tags of several devices could share a topic and, with `names = tag`, a key",
            "put {device} into the topic, or write `names = path`",
        ));
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::MANIFEST;
    use gwp_core::Declaration;
    use gwp_core::manifest::{Need, SettingValue};

    fn declaration(settings: &[(&str, SettingValue)]) -> SinkDeclaration {
        let mut all = Settings::default();
        settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
        SinkDeclaration { item: Declaration { name: "scada".into(), settings: all }, timezone: "UTC".into() }
    }

    fn text(text: &str) -> SettingValue {
        SettingValue::Text(text.into())
    }

    /// Settings in error, with the message.
    fn wrong(settings: &[(&str, SettingValue)]) -> Vec<(Place, String)> {
        let errors = read(&declaration(settings)).unwrap_err();
        assert!(errors.iter().all(|error| !error.help.is_empty()));
        errors.into_iter().map(|error| (error.place, error.message)).collect()
    }

    #[test]
    fn what_is_absent_is_what_the_manifest_promises() {
        let options = read(&declaration(&[("broker", text("mqtt://host"))])).unwrap();
        let promised = |name: &str| {
            let setting = MANIFEST.settings.iter().find(|setting| setting.name == name).unwrap();
            match setting.need {
                Need::Default(text) => text,
                _ => panic!("{name} has no default"),
            }
        };
        assert_eq!(promised("version"), "v5");
        assert_eq!(options.version, Version::V5);
        assert_eq!(promised("message"), "slot");
        assert_eq!(options.shape.grouping, Grouping::Slot);
        assert_eq!(promised("names"), "path");
        assert_eq!(options.shape.keys, KeyForm::Path);
        assert_eq!(promised("time"), "ms");
        assert_eq!(options.shape.time, TimeForm::Milliseconds);
        assert_eq!(promised("enums"), "raw");
        assert!(!options.shape.labels);
        assert_eq!(promised("qos"), "1");
        assert_eq!(options.qos, Qos::One);
        assert_eq!(promised("retain"), options.retain.to_string());
        assert_eq!(promised("clean"), options.clean.to_string());
        assert_eq!(promised("keep_alive"), format!("{} s", options.keep_alive.as_secs()));
        assert_eq!(promised("session_expiry"), format!("{} h", options.session_expiry.as_secs() / 3_600));
        assert_eq!(promised("in_flight"), options.window.to_string());
        assert_eq!(promised("message_bytes"), format!("{} KB", options.payload_max / 1_000));
        assert_eq!(options.client_id, "gwp-scada");
        assert_eq!(options.shape.topic, Template::parse("gwp/{device}").unwrap());
    }

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

    #[test]
    fn all_errors_are_reported_together() {
        let wrong = wrong(&[
            ("broker", text("mqtt//host")),
            ("client_id", text("")),
            ("password", text("x")),
            ("cert", text("a.pem")),
            ("topic", text("a/#")),
        ]);
        let places: Vec<_> = wrong.iter().map(|(place, _)| place.clone()).collect();
        for name in ["broker", "client_id", "password", "cert", "topic"] {
            assert!(places.contains(&Place::Setting(name)), "{name}: {wrong:?}");
        }
    }

    #[test]
    fn topics_must_tell_apart_what_the_messages_do_not() {
        let broker = ("broker", text("mqtt://host"));
        let found = wrong(&[broker.clone(), ("message", text("tag")), ("topic", text("gwp/{tag}"))]);
        assert_eq!(found[0].0, Place::Setting("topic"));
        let found = wrong(&[broker.clone(), ("names", text("tag")), ("topic", text("gwp/all"))]);
        assert_eq!(found[0].0, Place::Setting("names"));
        assert!(read(&declaration(&[broker, ("message", text("tag"))])).is_ok());
    }

    #[test]
    fn references_are_taken_as_right() {
        let options = read(&declaration(&[
            ("broker", SettingValue::NodeRef("broker".into())),
            ("user", text("gw")),
            ("password", SettingValue::SecretRef("mqtt".into())),
            ("ca", text("ca.pem")),
        ]));
        assert!(options.is_ok(), "{options:?}");
        for (open, other) in [("message", ("topic", "gwp/{tag}")), ("names", ("message", "tag"))] {
            let options = read(&declaration(&[
                ("broker", text("mqtt://host")),
                (open, SettingValue::NodeRef("var".into())),
                (other.0, text(other.1)),
                ("topic", text("gwp/all")),
            ]));
            assert!(options.is_ok(), "{open}: {options:?}");
        }
    }
}
