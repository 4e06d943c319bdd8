//! From the settings of a declaration to typed options, with everything that is wrong with them.

use crate::encode::{Grouping, KeyForm, Shape, TimeForm};
use crate::topic::Template;
use gwp_core::SettingError;
use gwp_core::Settings;
use gwp_core::manifest::Place;
use gwp_core::sink::SinkDeclaration;
use gwp_mqtt::Link;
use gwp_mqtt::link::setting_error;

/// Everything one sink needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub link: Link,
    pub shape: Shape,
    pub qos: Qos,
    pub retain: bool,
    pub clean: bool,
    /// Messages not acknowledged at most.
    pub window: u16,
    /// Bytes of a payload at most.
    pub payload_max: usize,
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

/// Reads a declaration; settings that are still references are taken as right.
///
/// # Errors
/// Everything that is wrong.
pub fn read(declaration: &SinkDeclaration) -> Result<Options, Vec<SettingError>> {
    let settings = &declaration.item.settings;
    let mut errors = Vec::new();
    let link = Link::read(settings, &declaration.item.name, &mut errors);
    let shape = read_shape(settings, &mut errors);
    let options = Options {
        link,
        shape,
        qos: match settings.int("qos") {
            Some(0) => Qos::Zero,
            Some(2) => Qos::Two,
            _ => Qos::One,
        },
        retain: settings.bool("retain").unwrap_or(false),
        clean: settings.bool("clean").unwrap_or(false),
        window: settings.int("in_flight").and_then(|n| u16::try_from(n).ok()).unwrap_or(100).max(1),
        payload_max: settings
            .bytes("message_bytes")
            .map_or(100_000, |n| usize::try_from(n).unwrap_or(100_000)),
    };
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

fn read_shape(settings: &Settings, errors: &mut Vec<SettingError>) -> Shape {
    let grouping = if settings.text("message") == Some("tag") { Grouping::Tag } else { Grouping::Slot };
    let default_topic = match grouping {
        Grouping::Slot => "gwp/{device}",
        Grouping::Tag => "gwp/{device}/{tag}",
    };
    let text = settings.text("topic").unwrap_or(default_topic);
    let topic = Template::parse(text).unwrap_or_else(|found| {
        errors.extend(found.into_iter().map(|found| setting_error("topic", found.message, found.help)));
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
        errors.push(setting_error(
            "topic",
            "with `message = tag` each tag needs a topic of its own",
            "put {device} and {tag}, or {path}, into the topic",
        ));
    }
    if shape.keys_can_collide() {
        errors.push(setting_error(
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
    use gwp_mqtt::Version;

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
        assert_eq!(options.link.version, Version::V5);
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
        assert_eq!(promised("keep_alive"), format!("{} s", options.link.keep_alive.as_secs()));
        assert_eq!(
            promised("session_expiry"),
            format!("{} h", options.link.session_expiry.as_secs() / 3_600)
        );
        assert_eq!(promised("in_flight"), options.window.to_string());
        assert_eq!(promised("message_bytes"), format!("{} KB", options.payload_max / 1_000));
        assert_eq!(options.link.client_id, "gwp-scada");
        assert_eq!(options.shape.topic, Template::parse("gwp/{device}").unwrap());
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
