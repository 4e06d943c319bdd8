//! Payloads are read back with a JSON parser and compared with the samples they came from.

use super::*;
use crate::fixture::{batch, names, part};
use gwp_core::batch::{Column, Qualities, Times};
use gwp_core::{GroupId, Kind, Quality, TagInfo, TagTable, Value};
use proptest::prelude::*;
use serde_json::json;

const NOON: Timestamp = Timestamp(1_767_268_800_123_000_000);

fn shape(topic: &str) -> Shape {
    Shape {
        topic: Template::parse(topic).unwrap(),
        grouping: Grouping::Slot,
        time: TimeForm::Milliseconds,
        keys: KeyForm::Path,
        labels: false,
    }
}

/// Topic and payload of each message.
fn encoded(encoder: &mut Encoder, part: &Part) -> Vec<(String, serde_json::Value)> {
    let mut out = VecDeque::new();
    encoder.encode(part, &mut out);
    let parse = |message: &Message| {
        let text = std::str::from_utf8(&message.payload).unwrap();
        (message.topic.to_string(), serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
    };
    out.iter().map(parse).collect()
}

#[test]
fn a_slot_of_a_poll_group_is_one_message() {
    let names = names(&["press.oil_temp", "press.state", "press.lit"]);
    let batch = batch(NOON, vec![Value::Float(61.5), Value::Int(-1), Value::Bool(true)]);
    let mut out = VecDeque::new();
    Encoder::new(shape("gwp/{device}"), 1 << 20).encode(&part(1042, &names, batch), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(&*out[0].topic, "gwp/press");
    assert_eq!(
        std::str::from_utf8(&out[0].payload).unwrap(),
        "{\"time\":1767268800123,\"position\":\"3:1042/0/0\",\
         \"values\":{\"press.oil_temp\":61.5,\"press.state\":-1,\"press.lit\":true}}"
    );
}

#[test]
fn what_may_be_older_than_what_came_before_says_so() {
    let names = names(&["a.b", "a.c"]);
    let flagged = Batch { backfill: true, ..batch(NOON, vec![Value::Int(1), Value::Int(2)]) };
    let mut encoder = Encoder::new(shape("gwp"), 1 << 20);
    assert_eq!(encoded(&mut encoder, &part(1, &names, flagged.clone()))[0].1["backfill"], true);
    let plain = part(2, &names, batch(NOON, vec![Value::Int(1), Value::Int(2)]));
    assert_eq!(encoded(&mut encoder, &plain)[0].1.get("backfill"), None);
    let each = Shape { grouping: Grouping::Tag, ..shape("gwp") };
    let messages = encoded(&mut Encoder::new(each, 1 << 20), &part(3, &names, flagged));
    assert!(messages.iter().all(|(_, payload)| payload["backfill"] == true));
}

#[test]
fn every_kind_of_value_has_a_json_form() {
    let names = names(&["a.b", "a.c", "a.d", "a.e", "a.f", "a.g", "a.h", "a.i"]);
    let values = vec![
        Value::UInt(u64::MAX),
        Value::Text("say \"hi\"\n\u{1}".into()),
        Value::Bytes(vec![0, 0x7f, 0xff].into()),
        Value::Time(Timestamp::from_millis(1_500)),
        Value::Float(20.0),
        Value::Float(1e300),
        Value::Int(i64::MIN),
        Value::Nothing,
    ];
    let part = part(1, &names, batch(NOON, values));
    let messages = encoded(&mut Encoder::new(shape("gwp"), 1 << 20), &part);
    assert_eq!(
        messages[0].1["values"],
        json!({"a.b": u64::MAX, "a.c": "say \"hi\"\n\u{1}", "a.d": "007fff", "a.e": 1500,
               "a.f": 20.0, "a.g": 1e300, "a.h": i64::MIN, "a.i": null})
    );
    let iso = Shape { time: TimeForm::Iso, ..shape("gwp") };
    let messages = encoded(&mut Encoder::new(iso, 1 << 20), &part);
    assert_eq!(messages[0].1["time"], "2026-01-01T12:00:00.123Z");
    assert_eq!(messages[0].1["values"]["a.e"], "1970-01-01T00:00:01.500Z");
}

#[test]
fn only_exceptions_carry_a_quality_and_nan_is_one() {
    let names = names(&["a.b", "a.c", "a.d", "a.e"]);
    let values = vec![Value::Int(1), Value::Float(f64::NAN), Value::Nothing, Value::Float(f64::INFINITY)];
    let mut batch = batch(NOON, values);
    batch.qualities = Qualities::Each(vec![
        Quality::LAST_USABLE,
        Quality::GOOD,
        Quality::COMM_LOST,
        Quality::DEVICE_FAILURE,
    ]);
    let (_, payload) = encoded(&mut Encoder::new(shape("gwp"), 1 << 20), &part(1, &names, batch)).remove(0);
    assert_eq!(payload["values"], json!({"a.b": 1, "a.c": null, "a.d": null, "a.e": null}));
    assert_eq!(
        payload["quality"],
        json!({"a.b": "uncertain(last_usable)", "a.c": "bad(not_a_number)",
               "a.d": "bad(comm_lost)", "a.e": "bad(device_failure)"})
    );
}

#[test]
fn samples_are_divided_by_topic_time_and_repeat_in_order() {
    let names = names(&["m1.p", "m2.p"]);
    let batch = Batch {
        group: GroupId::NONE,
        tags: [TagId(0), TagId(1), TagId(0), TagId(0), TagId(1)].into(),
        times: Times::Each([10, 10, 20, 20, 10].map(Timestamp::from_millis).into()),
        repeats: vec![0, 0, 0, 1, 1],
        values: Column::uniform(Kind::Int, vec![1, 2, 3, 4, 5]),
        qualities: Qualities::Same(Quality::GOOD),
        read_after_ns: 0,
        backfill: false,
    };
    let messages = encoded(&mut Encoder::new(shape("gwp/{device}"), 1 << 20), &part(7, &names, batch));
    let expected = [
        ("gwp/m1", json!({"time": 10, "position": "3:7/0/0", "values": {"m1.p": 1}})),
        ("gwp/m1", json!({"time": 20, "position": "3:7/0/1", "values": {"m1.p": 3}})),
        ("gwp/m1", json!({"time": 20, "position": "3:7/0/2", "repeat": 1, "values": {"m1.p": 4}})),
        ("gwp/m2", json!({"time": 10, "position": "3:7/0/3", "values": {"m2.p": 2}})),
        ("gwp/m2", json!({"time": 10, "position": "3:7/0/4", "repeat": 1, "values": {"m2.p": 5}})),
    ];
    assert_eq!(messages, expected.map(|(topic, payload)| (topic.to_owned(), payload)));
}

#[test]
fn a_message_per_tag_holds_one_value() {
    let names = names(&["m1.p", "m2.p"]);
    let mut batch = batch(NOON, vec![Value::Int(5), Value::Nothing]);
    batch.qualities = Qualities::Each(vec![Quality::GOOD, Quality::TIMEOUT]);
    batch.repeats = vec![0, 2];
    let shape = Shape { grouping: Grouping::Tag, ..shape("gwp/{device}/{tag}") };
    let messages = encoded(&mut Encoder::new(shape, 1 << 20), &part(7, &names, batch));
    assert_eq!(messages[0].0, "gwp/m1/p");
    assert_eq!(messages[0].1, json!({"time": 1767268800123i64, "position": "3:7/0/0", "value": 5}));
    assert_eq!(messages[1].0, "gwp/m2/p");
    assert_eq!(
        messages[1].1,
        json!({"time": 1767268800123i64, "position": "3:7/0/1", "repeat": 2, "value": null, "quality": "bad(timeout)"})
    );
}

#[test]
fn keys_follow_renames_and_may_leave_the_device_out() {
    let mut flow = FlowNames {
        flow: "live".into(),
        tags: names(&["m1.p", "m1.q"]).tags.clone(),
        renamed: Default::default(),
    };
    flow.renamed.insert(TagId(1), "quick \"q\"".into());
    let part = part(1, &Arc::new(flow), batch(NOON, vec![Value::Int(1), Value::Int(2)]));
    let short = Shape { keys: KeyForm::Tag, ..shape("gwp/{device}") };
    let messages = encoded(&mut Encoder::new(short, 1 << 20), &part);
    assert_eq!(messages[0].1["values"], json!({"p": 1, "quick \"q\"": 2}));
}

#[test]
fn the_place_of_a_device_is_no_new_name() {
    let renamed = [(TagId(0), "site/hall 1/m1.p".into()), (TagId(1), "site.m1.q".into())].into();
    let flow = FlowNames { flow: "live".into(), tags: names(&["m1.p", "m1.q"]).tags.clone(), renamed };
    let part = part(1, &Arc::new(flow), batch(NOON, vec![Value::Int(1), Value::Int(2)]));
    let long = encoded(&mut Encoder::new(shape("gwp/{device}"), 1 << 20), &part);
    assert_eq!(long[0].1["values"], json!({"site/hall 1/m1.p": 1, "site.m1.q": 2}));
    let short = Shape { keys: KeyForm::Tag, ..shape("gwp/{device}") };
    let short = encoded(&mut Encoder::new(short, 1 << 20), &part);
    assert_eq!(short[0].1["values"], json!({"p": 1, "site.m1.q": 2}));
    let each = Shape { grouping: Grouping::Tag, ..shape("{path}") };
    let each = encoded(&mut Encoder::new(each, 1 << 20), &part);
    assert_eq!(each[0].0, "site/hall 1/m1.p");
}

#[test]
fn enums_show_their_label_where_they_have_one() {
    let labels: Arc<[(i64, Arc<str>)]> = Arc::new([(0, "stopped".into()), (1, "running".into())]);
    let info = TagInfo { labels, ..names(&["m.s"]).tags.tags[0].clone() };
    let flow = FlowNames {
        flow: "live".into(),
        tags: Arc::new(TagTable { tags: vec![info.clone(), info.clone(), info] }),
        renamed: [(TagId(1), "s2".into()), (TagId(2), "s3".into())].into(),
    };
    let part =
        part(1, &Arc::new(flow), batch(NOON, vec![Value::Int(1), Value::UInt(u64::MAX), Value::UInt(0)]));
    let labelled = Shape { labels: true, ..shape("gwp") };
    let messages = encoded(&mut Encoder::new(labelled, 1 << 20), &part);
    assert_eq!(messages[0].1["values"], json!({"m.s": "running", "s2": u64::MAX, "s3": "stopped"}));
}

#[test]
fn a_message_is_divided_before_it_exceeds_its_bound() {
    let paths: Vec<String> = (0..100).map(|n| format!("m.tag{n:03}")).collect();
    let names = names(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut batch = batch(NOON, (0..100).map(Value::Int).collect());
    batch.qualities = Qualities::Same(Quality::COMM_LOST);
    let mut out = VecDeque::new();
    Encoder::new(shape("gwp"), 400).encode(&part(1, &names, batch.clone()), &mut out);
    assert!(out.len() > 5);
    assert!(out.iter().all(|message| message.payload.len() <= 400));
    let back: usize = out
        .iter()
        .map(|message| serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap())
        .map(|payload| payload["values"].as_object().unwrap().len())
        .sum();
    assert_eq!(back, 100);

    // A bound below one sample still gives every sample, one a message.
    let mut each = VecDeque::new();
    Encoder::new(shape("gwp"), 1).encode(&part(1, &names, batch), &mut each);
    assert_eq!(each.len(), 100);
}

#[test]
fn names_are_kept_per_flow_and_never_confused() {
    let mut encoder = Encoder::new(shape("gwp/{flow}"), 1 << 20);
    for round in 0..2 {
        for flow in 0..2 * FLOWS_MAX {
            let path = format!("m.flow{flow}round{round}");
            let flow = names(&[&path]);
            let messages = encoded(&mut encoder, &part(1, &flow, batch(NOON, vec![Value::Int(1)])));
            assert_eq!(messages[0].1["values"], json!({ path: 1 }));
        }
    }
    assert_eq!(encoder.flows.len(), FLOWS_MAX);
}

#[test]
fn tags_a_plan_does_not_know_are_shown_and_kept_in_bounds() {
    let names = names(&["m.a"]);
    let mut batch = batch(NOON, vec![Value::Int(1)]);
    batch.tags = [TagId(u32::MAX)].into();
    let mut encoder = Encoder::new(shape("gwp/{device}"), 1 << 20);
    let messages = encoded(&mut encoder, &part(1, &names, batch));
    assert_eq!(messages[0].0, "gwp/?");
    assert_eq!(messages[0].1["values"], json!({"?": 1}));
    assert!(encoder.flows[0].entries.len() <= 2);
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>().prop_map(Value::Float),
        ".*".prop_map(|text: String| Value::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

fn read_back(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::UInt(v) => json!(v),
        // The reader may round the last bit, so what was printed is read the same way.
        Value::Float(v) => {
            let printed = zmij::Buffer::new().format_finite(*v).to_owned();
            assert_eq!(printed.parse::<f64>().unwrap(), *v);
            serde_json::from_str(&printed).unwrap()
        }
        Value::Text(v) => json!(v.as_ref()),
        Value::Bytes(_) => json!(value.to_string()),
        Value::Nothing | Value::Time(_) => json!(null),
    }
}

proptest! {
    /// Each sample arrives once, with its value and quality, under its name and time,
    /// and the samples of each tag arrive in their order.
    #[test]
    fn every_sample_arrives_once_in_its_tags_order(
        samples in prop::collection::vec((0u32..6, 0i64..3, 0u32..2, values(), any::<bool>()), 0..60),
        bound in 1usize..600,
        device_names in prop::collection::vec("[^.]{1,6}", 3),
    ) {
        // The sequencer never gives one tag the same time and repeat number twice, so neither may the test.
        let mut seen = std::collections::HashSet::new();
        let mut samples = samples;
        samples.retain(|sample| seen.insert((sample.0, sample.1, sample.2)));
        let mut paths: Vec<String> = Vec::new();
        for (number, device) in device_names.iter().enumerate() {
            paths.push(format!("{device}{number}.a\"\\"));
            paths.push(format!("{device}{number}.b\u{7f}"));
        }
        let flow = names(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let mut batch = Batch {
            group: GroupId::NONE,
            tags: samples.iter().map(|sample| TagId(sample.0)).collect(),
            times: Times::Each(samples.iter().map(|sample| Timestamp::from_millis(sample.1)).collect()),
            repeats: samples.iter().map(|sample| sample.2).collect(),
            values: Column::new(),
            qualities: Qualities::Same(Quality::GOOD),
            read_after_ns: 0,
            backfill: false,
        };
        for (index, sample) in samples.iter().enumerate() {
            batch.values.push(sample.3.clone());
            if sample.4 {
                batch.qualities.set(index, Quality::TIMEOUT, samples.len());
            }
        }
        let messages = encoded(&mut Encoder::new(shape("gwp/{device}"), bound), &part(1, &flow, batch));
        for (tag, path) in paths.iter().enumerate() {
            let expected: Vec<_> = samples
                .iter()
                .filter(|sample| sample.0 as usize == tag)
                .map(|(_, time, repeat, value, bad)| {
                    let nan = matches!(value, Value::Float(v) if !v.is_finite());
                    let quality = match (bad, nan) {
                        (true, _) => json!("bad(timeout)"),
                        (false, true) => json!("bad(not_a_number)"),
                        (false, false) => json!(null),
                    };
                    (*time, *repeat, read_back(value), quality)
                })
                .collect();
            let arrived: Vec<_> = messages
                .iter()
                .filter_map(|(_, payload)| {
                    let value = payload["values"].get(path)?.clone();
                    let time = payload["time"].as_i64().unwrap();
                    let repeat = payload["repeat"].as_u64().unwrap_or(0) as u32;
                    Some((time, repeat, value, payload["quality"][path.as_str()].clone()))
                })
                .collect();
            prop_assert_eq!(expected, arrived);
        }
    }
}
