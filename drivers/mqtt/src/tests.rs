//! Declarations in, batches out.

use super::*;
use crate::topics::{Message, Subscription};
use gwp_core::manifest::{Declaration, Need, Place, SettingValue, Settings};
use gwp_core::source::{GroupDeclaration, PlcType, PointDeclaration};
use gwp_core::{Batch, GroupId, Quality, TagId, Timestamp, Value};

const NOW: Timestamp = Timestamp(1_735_689_600_000_000_000);

/// Tags with their addresses; those whose address begins with `!` are commands.
fn declaration(settings: &[(&str, &str)], points: &[(&str, PlcType)]) -> SourceDeclaration {
    let mut all = Settings::default();
    all.set("broker", SettingValue::Text("mqtt://127.0.0.1".into()));
    settings.iter().for_each(|(name, value)| all.set(name, SettingValue::Text((*value).into())));
    let point = |(address, plc_type): &(&str, PlcType)| PointDeclaration {
        path: (*address).into(),
        address: address.trim_start_matches('!').into(),
        plc_type: *plc_type,
        writable: false,
        command: address.starts_with('!'),
    };
    SourceDeclaration {
        item: Declaration { name: "scada".into(), settings: all },
        groups: vec![GroupDeclaration {
            id: GroupId(3),
            device: "scada".into(),
            device_settings: Settings::default(),
            period_ns: 0,
            phase_ns: 0,
            tags: (0..points.len() as u32).map(TagId).collect(),
            points: points.iter().map(point).collect(),
        }],
        device_time: settings.iter().any(|(name, _)| *name == "time_at"),
    }
}

fn message<'m>(topic: &'m str, payload: &'m str) -> Message<'m> {
    Message { topic, payload: payload.as_bytes(), retained: false, repeated: false, time: None }
}

fn subscriber(settings: &[(&str, &str)], points: &[(&str, PlcType)]) -> Subscriber {
    prepare(&declaration(settings, points)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn samples(subscriber: &Subscriber, message: &Message<'_>) -> Vec<(u32, Value, Quality, Timestamp)> {
    let batches = subscriber.topics.samples(&subscriber.options, message, NOW);
    assert!(batches.iter().all(|batch| batch.group == GroupId(3)));
    let of = |batch: &Batch| -> Vec<_> {
        let one = |at: usize| {
            (batch.tags[at].0, batch.values.get(at), batch.qualities.get(at), batch.times.get(at))
        };
        (0..batch.len()).map(one).collect()
    };
    batches.iter().flat_map(of).collect()
}

#[test]
fn one_message_feeds_the_tags_it_speaks_of() {
    let source = subscriber(
        &[],
        &[
            ("press#/values/oil", PlcType::Real),
            ("press#/values/state", PlcType::Int),
            ("press", PlcType::String),
            ("other", PlcType::Real),
        ],
    );
    let good = Quality::GOOD;
    let text = r#"{"values":{"oil":42.5}}"#;
    assert_eq!(
        samples(&source, &message("press", text)),
        [(0, Value::Float(42.5), good, NOW), (2, Value::Text(text.into()), good, NOW)]
    );
    assert_eq!(
        samples(&source, &message("press", "no json")),
        [
            (0, Value::Nothing, Quality::DECODING, NOW),
            (1, Value::Nothing, Quality::DECODING, NOW),
            (2, Value::Text("no json".into()), good, NOW)
        ]
    );
    assert_eq!(samples(&source, &message("unknown", "5")), []);
    let topics: Vec<String> = source.topics.subscriptions().into_iter().map(|one| one.topic).collect();
    assert_eq!(topics, ["other", "press"]);
}

#[test]
fn retained_messages_are_marked_taken_or_left_out() {
    let retained = Message { retained: true, ..message("a", "5") };
    let of = |word| samples(&subscriber(&[("retained", word)], &[("a", PlcType::Int)]), &retained);
    assert_eq!(of("mark"), [(0, Value::Int(5), Quality::INITIAL, NOW)]);
    assert_eq!(of("good"), [(0, Value::Int(5), Quality::GOOD, NOW)]);
    assert_eq!(of("skip"), []);
}

#[test]
fn commands_are_marked_unless_they_come_fresh_and_for_the_first_time() {
    let source =
        subscriber(&[("retained", "good")], &[("!set", PlcType::Int), ("!set#/value", PlcType::Int)]);
    let only = [Subscription { topic: "set".into(), commands: true }];
    assert_eq!(source.topics.subscriptions(), only);
    let quality = |message: Message<'_>| samples(&source, &message)[0].2;
    assert_eq!(quality(message("set", "5")), Quality::GOOD);
    assert_eq!(quality(Message { retained: true, ..message("set", "5") }), Quality::INITIAL);
    assert_eq!(quality(Message { repeated: true, ..message("set", "5") }), Quality::INITIAL);
    assert_eq!(quality(Message { time: Some("soon"), ..message("set", "5") }), Quality::DECODING);
    // Its own time counts, whatever the setting `time` says.
    let dated = Message { time: Some("2024-12-31T23:59:50Z"), ..message("set", "5") };
    assert_eq!(samples(&source, &dated)[0].3, NOW.plus(-10_000_000_000));
    // A command that says nothing is one that must be refused.
    assert_eq!(samples(&source, &message("set", "{}"))[1].2, Quality::DECODING);
}

#[test]
fn time_stamps_come_from_the_message_when_asked_for() {
    let source = subscriber(&[("time_at", "/t"), ("time_unit", "s")], &[("a#/v", PlcType::Int)]);
    assert_eq!(
        samples(&source, &message("a", r#"{"v":5,"t":1735689590}"#)),
        [(0, Value::Int(5), Quality::GOOD, NOW.plus(-10_000_000_000))]
    );
    assert_eq!(samples(&source, &message("a", r#"{"v":5}"#)), [(0, Value::Int(5), Quality::UNCERTAIN, NOW)]);
    let arrival = subscriber(&[], &[("a#/v", PlcType::Int)]);
    assert_eq!(samples(&arrival, &message("a", r#"{"v":5,"t":1}"#))[0].3, NOW);
}

#[test]
fn all_errors_are_reported_at_once_each_at_its_place() {
    let mut wrong = declaration(
        &[("broker", "host"), ("time_at", "t"), ("client_id", "")],
        &[("site/#", PlcType::Int), ("ok", PlcType::Int), ("x#/~", PlcType::Int)],
    );
    wrong.groups[0].points[1].writable = true;
    let places: Vec<Place> = Mqtt.check(&wrong).into_iter().map(|error| error.place).collect();
    for place in [
        Place::Setting("broker"),
        Place::Setting("time_at"),
        Place::Setting("client_id"),
        Place::Address { group: 0, point: 0 },
        Place::Address { group: 0, point: 1 },
        Place::Address { group: 0, point: 2 },
    ] {
        assert!(places.contains(&place), "{place:?} {places:?}");
    }
    let mut undated = declaration(&[("version", "v311")], &[]);
    undated.device_time = true;
    assert_eq!(Mqtt.check(&undated)[0].place, Place::Item);
    let mut open = declaration(&[], &[]);
    open.item.settings.set("password", SettingValue::SecretRef("mqtt".into()));
    open.item.settings.set("user", SettingValue::Text("gw".into()));
    assert!(Mqtt.check(&open).is_empty());
    assert!(Mqtt.prepare(open).is_err());
}

#[test]
fn what_is_absent_is_what_the_manifest_promises() {
    let options = subscriber(&[], &[]).options;
    let promised = |name: &str| {
        let setting = MANIFEST.settings.iter().find(|setting| setting.name == name).unwrap();
        match setting.need {
            Need::Default(text) => text,
            _ => panic!("{name} has no default"),
        }
    };
    assert_eq!(promised("retained"), "mark");
    assert_eq!(promised("time_unit"), "ms");
    assert_eq!(promised("in_flight"), options.window.to_string());
    assert_eq!(promised("message_bytes"), format!("{} KiB", options.payload_max / 1024));
    assert_eq!(options.link.client_id, "gwp-scada");
    for (form, _) in MANIFEST.source().unwrap().addresses {
        assert!(address::parse(form).is_ok(), "{form}");
    }
}
