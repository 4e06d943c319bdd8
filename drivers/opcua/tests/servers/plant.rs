//! Values of every type; nodes that go and come; namespaces that move; a server that restarts or ends sessions.

use crate::contents::{self, Row, at};
use crate::peer::{Peer, enabled};
use crate::rig::{Relay, quick, start};
use crate::{Start, Tag, asyncua, line, open62541, plain};
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_core::{Quality, Value};
use gwp_driver_contract::rig::ms;

const COUNTER: usize = 0;
const COUNT: usize = 2;

/// All of these, by subscription and in scan slots.
async fn every_type(start_peer: Start, name: &str, good: &[Row]) {
    let (_folder, peer) = plain(start_peer, name, &[]);
    for mode in ["subscribe", "poll"] {
        types_of(&peer, mode, good).await;
    }
}

async fn types_of(peer: &Peer, mode: &str, good: &[Row]) {
    let bad = contents::bad();
    let mut points: Vec<Tag> = good.iter().map(|(name, plc_type, _)| (at(name), *plc_type, false)).collect();
    points.extend(bad.iter().map(|(name, plc_type, _)| (at(name), *plc_type, false)));
    points.push(("nsu=urn:nowhere;i=1".into(), PlcType::Dint, false));
    let mut settings = quick();
    settings.push(("mode", SettingValue::Text(mode.into())));
    let mut reader = start(&peer.url, &settings, if mode == "poll" { 200 } else { 0 }, &points);
    for (index, (name, _, value)) in good.iter().enumerate() {
        let (_, found, quality) = reader.newest(index).await;
        assert_eq!((found, quality), (value.clone(), Quality::GOOD), "{name}");
    }
    for (index, (name, plc_type, why)) in bad.iter().enumerate() {
        let (_, found, quality) = reader.newest(good.len() + index).await;
        assert_eq!((found, quality), (Value::Nothing, *why), "{name} as {plc_type}");
    }
    assert_eq!(reader.newest(good.len() + bad.len()).await.2, Quality::UNKNOWN_ADDRESS, "no such namespace");
    reader.stop().await;
}

#[tokio::test]
async fn every_built_in_type_of_asyncua_by_subscription_and_in_scan_slots() {
    if enabled() {
        let mut rows = [contents::types(), contents::extremes(), contents::structures()].concat();
        // A value in a value, which only this one has.
        rows.push(("Types.DataValue", PlcType::Dint, Value::Int(5)));
        every_type(asyncua, "types-asyncua", &rows).await;
    }
}

#[tokio::test]
async fn every_built_in_type_of_node_opcua_by_subscription_and_in_scan_slots() {
    if enabled() {
        let rows = [contents::types(), contents::extremes(), contents::structures()].concat();
        every_type(Peer::node, "types-node", &rows).await;
    }
}

#[tokio::test]
async fn every_built_in_type_of_open62541_by_subscription_and_in_scan_slots() {
    if enabled() {
        let mut rows = [contents::types(), contents::extremes()].concat();
        rows.retain(|(name, ..)| !contents::NOT_IN_O6.iter().any(|missing| name.starts_with(missing)));
        every_type(open62541, "types-open62541", &rows).await;
    }
}

async fn restart(start_peer: Start, name: &str) {
    let (folder, peer) = plain(start_peer, name, &[]);
    let mut reader = start(&peer.url, &quick(), 0, &line());
    assert_eq!(reader.newest(COUNT).await.1, Value::Int(7));
    let port = peer.port.to_string();
    drop(peer);
    assert!(!reader.connected().await);
    let namespaces = ["--namespaces", "urn:first,urn:gwp:other,urn:gwp:plant", "--port", &port];
    let mut peer = start_peer(&folder.0, &namespaces);
    assert!(reader.connected().await);
    reader.taken(COUNTER);
    assert_eq!(peer.tell("set Line.Count 8"), "ok");
    reader.until(COUNT, |value| *value == Value::Int(8)).await;
    reader.follow(COUNTER, &mut Vec::new(), 5).await;
    // The same node by its new index.
    assert_eq!(reader.written(COUNT as u32, Value::Int(9)).await, Ok(()));
    assert_eq!(peer.tell("get Line.Count"), "9");
    reader.stop().await;
}

#[tokio::test]
async fn after_a_restart_of_asyncua_values_go_on_and_namespaces_may_have_moved() {
    if enabled() {
        restart(asyncua, "restart-asyncua").await;
    }
}

#[tokio::test]
async fn after_a_restart_of_node_opcua_values_go_on_and_namespaces_may_have_moved() {
    if enabled() {
        restart(Peer::node, "restart-node").await;
    }
}

#[tokio::test]
async fn after_a_restart_of_open62541_values_go_on_and_namespaces_may_have_moved() {
    if enabled() {
        restart(open62541, "restart-open62541").await;
    }
}

async fn a_node_goes_and_comes(start_peer: Start, name: &str) {
    let (_folder, mut peer) = plain(start_peer, name, &[]);
    let mut points = line();
    points.push((at("Line.Later"), PlcType::Dint, false));
    const LATER: usize = 3;
    let mut settings = quick();
    settings.push(("retry", ms(1_000)));
    let mut reader = start(&peer.url, &settings, 0, &points);
    assert_eq!(reader.newest(COUNT).await.1, Value::Int(7));
    assert_eq!(reader.newest(LATER).await.2, Quality::UNKNOWN_ADDRESS);
    assert_eq!(peer.tell("remove Count"), "ok");
    reader.until_quality(COUNT, Quality::UNKNOWN_ADDRESS).await;
    assert_eq!(peer.tell("add Count"), "ok");
    assert_eq!(peer.tell("add Later"), "ok");
    reader.until_quality(COUNT, Quality::GOOD).await;
    reader.until_quality(LATER, Quality::GOOD).await;
    assert_eq!(peer.tell("set Line.Count 11"), "ok");
    reader.until(COUNT, |value| *value == Value::Int(11)).await;
    // The others never noticed.
    reader.follow(COUNTER, &mut Vec::new(), 15).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_node_of_asyncua_that_goes_is_bad_alone_and_good_when_it_comes_back() {
    if enabled() {
        a_node_goes_and_comes(asyncua, "nodes-asyncua").await;
    }
}

#[tokio::test]
async fn a_node_of_node_opcua_that_goes_is_bad_alone_and_good_when_it_comes_back() {
    if enabled() {
        a_node_goes_and_comes(Peer::node, "nodes-node").await;
    }
}

#[tokio::test]
async fn a_node_of_open62541_that_goes_is_bad_alone_and_good_when_it_comes_back() {
    if enabled() {
        a_node_goes_and_comes(open62541, "nodes-open62541").await;
    }
}

/// Settings with which silence is noticed soon.
fn impatient() -> Vec<(&'static str, SettingValue)> {
    let mut settings = quick();
    settings.retain(|(name, _)| *name != "keep_alive");
    settings.extend([("keep_alive", ms(500)), ("timeout", ms(1_000)), ("connect_timeout", ms(5_000))]);
    settings
}

/// The server ends the session and its subscriptions: what follows comes over others.
async fn sessions_end(start_peer: Start, name: &str) {
    let (_folder, mut peer) = plain(start_peer, name, &[]);
    let mut reader = start(&peer.url, &impatient(), 0, &line());
    for round in 1..=2 {
        reader.follow(COUNTER, &mut Vec::new(), 5).await;
        assert_eq!(peer.tell("close drop"), "ok");
        assert_eq!(peer.tell("subscriptions"), "0");
        // What has come until the end is over; then a change that only a new subscription can tell.
        assert_eq!(peer.tell(&format!("set Line.Count {}", 100 + round)), "ok");
        reader.until(COUNT, |value| *value == Value::Int(100 + round)).await;
        reader.taken(COUNTER);
    }
    reader.follow(COUNTER, &mut Vec::new(), 5).await;
    assert_eq!((peer.tell("sessions"), peer.tell("subscriptions")), ("1".into(), "1".into()));
    reader.stop().await;
}

#[tokio::test]
async fn sessions_that_asyncua_ends_are_made_anew() {
    if enabled() {
        sessions_end(asyncua, "sessions-asyncua").await;
    }
}

#[tokio::test]
async fn sessions_that_node_opcua_ends_are_made_anew() {
    if enabled() {
        sessions_end(Peer::node, "sessions-node").await;
    }
}

#[tokio::test]
async fn sessions_that_open62541_ends_are_made_anew() {
    if enabled() {
        sessions_end(open62541, "sessions-open62541").await;
    }
}

#[tokio::test]
async fn subscriptions_that_outlive_their_session_are_taken_over_and_nothing_is_lost() {
    if !enabled() {
        return;
    }
    let (_folder, mut peer) = plain(Peer::node, "orphans", &[]);
    let mut reader = start(&peer.url, &impatient(), 0, &line());
    let mut seen = Vec::new();
    for _ in 0..2 {
        reader.follow(COUNTER, &mut seen, 5).await;
        assert_eq!(peer.tell("close keep"), "ok");
        reader.follow(COUNTER, &mut seen, 15).await;
    }
    assert_eq!((peer.tell("sessions"), peer.tell("subscriptions")), ("1".into(), "1".into()));
    reader.stop().await;
}

#[tokio::test]
async fn a_subscription_that_says_nothing_once_it_is_taken_over_is_made_anew() {
    if !enabled() {
        return;
    }
    // Without --whole-transfer: what is taken over stays silent.
    let (_folder, mut peer) = plain(asyncua, "mute", &[]);
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut reader = start(&url, &impatient(), 0, &line());
    reader.follow(COUNTER, &mut Vec::new(), 5).await;
    relay.refuse();
    relay.cut();
    assert!(!reader.connected().await);
    relay.pass();
    assert!(reader.connected().await);
    assert_eq!(peer.tell("set Line.Count 8"), "ok");
    reader.until(COUNT, |value| *value == Value::Int(8)).await;
    reader.taken(COUNTER);
    reader.follow(COUNTER, &mut Vec::new(), 10).await;
    reader.stop().await;
}

/// Structures that the standard describes have fields, like those of the server's own; asyncua and open62541 give no
/// types of them.
async fn structures_of_the_standard(start_peer: Start, name: &str) {
    let (_folder, peer) = plain(start_peer, name, &[]);
    let points: Vec<Tag> = vec![
        ("i=2256#/State".into(), PlcType::Dint, false),
        ("i=2256#/BuildInfo/ProductName".into(), PlcType::String, false),
        ("i=2256#/StartTime".into(), PlcType::Time, false),
        ("i=2261".into(), PlcType::String, false),
        ("i=2257".into(), PlcType::Time, false),
        (at("Counter"), PlcType::Udint, false),
    ];
    for mode in ["subscribe", "poll"] {
        let mut settings = quick();
        settings.push(("mode", SettingValue::Text(mode.into())));
        let mut reader = start(&peer.url, &settings, if mode == "poll" { 200 } else { 0 }, &points);
        let (_, state, quality) = reader.newest(0).await;
        assert_eq!((state, quality), (Value::Int(0), Quality::GOOD), "it runs");
        // The same stands in nodes of its own.
        for (field, node) in [(1, 3), (2, 4)] {
            let (_, of_field, quality) = reader.newest(field).await;
            assert_eq!(quality, Quality::GOOD, "{}", points[field].0);
            assert_eq!(of_field, reader.newest(node).await.1, "{}", points[field].0);
        }
        // Notifications are still what they are.
        let count = reader.number(5).await;
        reader.until(5, |value| *value != Value::Int(count)).await;
        reader.stop().await;
    }
}

#[tokio::test]
async fn structures_of_the_standard_at_node_opcua() {
    if enabled() {
        structures_of_the_standard(Peer::node, "standard-node").await;
    }
}
