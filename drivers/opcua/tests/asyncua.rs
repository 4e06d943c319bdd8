//! The driver against the servers of asyncua and node-opcua, stacks of other people's making.
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, npm and node. Otherwise it says that it was skipped.

#[path = "security/peer.rs"]
#[allow(dead_code)]
mod peer;
#[path = "asyncua/rig.rs"]
mod rig;

use gwp_core::command::CommandFault;
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_core::{Quality, Timestamp, Value};
use gwp_driver_contract::capture;
use gwp_driver_contract::rig::ms;
use peer::{Folder, Peer, enabled};
use rig::{Relay, quick, start};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

const PLANT: &str = "nsu=urn:gwp:plant;s=";

/// Addresses of the server, with what they hold.
fn types() -> Vec<(&'static str, PlcType, Value)> {
    use PlcType::*;
    let text = |text: &str| Value::Text(text.into());
    vec![
        ("Types.Boolean", Bool, Value::Bool(true)),
        ("Types.SByte", Sint, Value::Int(-8)),
        ("Types.Byte", Usint, Value::Int(8)),
        ("Types.Int16", Int, Value::Int(-1616)),
        ("Types.UInt16", Uint, Value::Int(1616)),
        ("Types.Int32", Dint, Value::Int(-323_232)),
        ("Types.UInt32", Udint, Value::Int(323_232)),
        ("Types.Int64", Lint, Value::Int(i64::MIN)),
        ("Types.UInt64", Ulint, Value::UInt(u64::MAX)),
        ("Types.Float", Real, Value::Float(1.5)),
        ("Types.Double", Lreal, Value::Float(2.25)),
        ("Types.String", String, text("Größe Ω")),
        ("Types.DateTime", Time, Value::Time(Timestamp(1_709_208_000_500_000_000))),
        ("Types.Guid", String, text("12345678-1234-5678-1234-567812345678")),
        ("Types.ByteString", String, text("0001ff")),
        ("Types.XmlElement", String, text("<a/>")),
        ("Types.NodeId", String, text("i=2253")),
        ("Types.StatusCode", Udint, Value::Int(0x808D_0000)),
        ("Types.QualifiedName", String, text("name")),
        ("Types.LocalizedText", String, text("text")),
        ("Types.Phase", Dint, Value::Int(1)),
        ("Arrays.Int32#/1", Dint, Value::Int(-2)),
        ("Arrays.String#/1", String, text("b")),
        ("Arrays.Matrix#/1/0", Lreal, Value::Float(3.0)),
        ("Types.Recipe#/name", String, text("bread")),
        ("Types.Recipe#/first/temperature", Lreal, Value::Float(210.5)),
        ("Types.Recipe#/first/minutes", Int, Value::Int(40)),
        ("Types.Recipe#/numbers/2", Dint, Value::Int(3)),
    ]
}

/// What is bad, and why.
fn bad() -> Vec<(&'static str, PlcType, Quality)> {
    vec![
        ("Types.Nothing", PlcType::Dint, Quality::UNKNOWN_ADDRESS),
        ("Types.String", PlcType::Dint, Quality::NOT_A_NUMBER),
        ("Types.Int32", PlcType::Uint, Quality::OVERFLOW),
        ("Arrays.Int32#/3", PlcType::Dint, Quality::UNKNOWN_ADDRESS),
        ("Types.Recipe#/colour", PlcType::String, Quality::UNKNOWN_ADDRESS),
    ]
}

async fn every_type(mode: &str) {
    let folder = Folder::new(&format!("types-{mode}"));
    let peer = Peer::asyncua(&folder.0, &["--plain"]);
    let (good, bad) = (types(), bad());
    let of = |name: &str| format!("{PLANT}{name}");
    let mut points: Vec<(String, PlcType, bool)> =
        good.iter().map(|(name, plc_type, _)| (of(name), *plc_type, false)).collect();
    points.extend(bad.iter().map(|(name, plc_type, _)| (of(name), *plc_type, false)));
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
async fn every_built_in_type_by_subscription() {
    if enabled() {
        every_type("subscribe").await;
    }
}

#[tokio::test]
async fn every_built_in_type_in_scan_slots() {
    if enabled() {
        every_type("poll").await;
    }
}

fn counter() -> Vec<(String, PlcType, bool)> {
    vec![
        (format!("{PLANT}Counter"), PlcType::Udint, false),
        (format!("{PLANT}Line.Speed"), PlcType::Lreal, true),
    ]
}

/// Reads the counter over `cuts` cuts of the connection; no number may be missing or come twice.
async fn count_over_cuts(peer: &Peer, outage: bool) {
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut reader = start(&url, &quick(), 0, &counter());
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        // Some more, then the cut.
        for _ in 0..5 {
            reader.count(0, &mut seen).await;
        }
        if outage {
            relay.refuse();
        }
        relay.cut();
        if outage {
            assert!(!reader.connected().await, "the break is told");
            relay.pass();
        }
        let newest = *seen.last().unwrap();
        while *seen.last().unwrap() < newest + 20 {
            reader.count(0, &mut seen).await;
        }
    }
    complete(&seen);
    assert_eq!(reader.newest(1).await.1, Value::Float(12.5));
    reader.stop().await;
}

/// No number between the first and the last one is missing.
fn complete(seen: &BTreeSet<i64>) {
    let (first, last) = (*seen.first().unwrap(), *seen.last().unwrap());
    let missing: Vec<i64> = (first..=last).filter(|number| !seen.contains(number)).collect();
    assert!(missing.is_empty(), "between {first} and {last} are missing {missing:?}");
}

#[tokio::test]
async fn asyncua_after_a_cut_nothing_is_lost_and_nothing_stalls() {
    if enabled() {
        let folder = Folder::new("cut");
        count_over_cuts(&Peer::asyncua(&folder.0, &["--plain"]), false).await;
    }
}

#[tokio::test]
async fn node_opcua_after_a_cut_nothing_is_lost_and_nothing_stalls() {
    if enabled() {
        let folder = Folder::new("cut-node");
        count_over_cuts(&Peer::node(&folder.0, &[]), false).await;
    }
}

#[tokio::test]
async fn node_opcua_after_an_outage_nothing_is_lost() {
    if enabled() {
        let folder = Folder::new("outage-node");
        count_over_cuts(&Peer::node(&folder.0, &[]), true).await;
    }
}

#[tokio::test]
async fn node_opcua_connected_but_silent_is_noticed_and_nothing_is_lost() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("silent-node");
    let peer = Peer::node(&folder.0, &[]);
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut settings = quick();
    settings.retain(|(name, _)| *name != "keep_alive");
    settings.extend([("keep_alive", ms(500)), ("timeout", ms(1_000)), ("connect_timeout", ms(2_000))]);
    let mut reader = start(&url, &settings, 0, &counter());
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        reader.count(0, &mut seen).await;
    }
    relay.swallow();
    assert!(!reader.connected().await, "a connection that stands and says nothing is none");
    relay.pass();
    assert!(reader.connected().await);
    let newest = *seen.last().unwrap();
    while *seen.last().unwrap() < newest + 60 {
        reader.count(0, &mut seen).await;
    }
    complete(&seen);
    reader.stop().await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_values_go_on_and_namespaces_may_have_moved() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("restart");
    let peer = Peer::asyncua(&folder.0, &["--plain"]);
    let port = peer.port.to_string();
    let mut points = counter();
    points.push((format!("{PLANT}Line.Count"), PlcType::Dint, true));
    let mut reader = start(&peer.url, &quick(), 0, &points);
    assert_eq!(reader.newest(2).await.1, Value::Int(7));
    drop(peer);
    assert!(!reader.connected().await);
    let mut peer = Peer::asyncua(
        &folder.0,
        &["--plain", "--port", &port, "--namespaces", "urn:first,urn:gwp:other,urn:gwp:plant"],
    );
    assert!(reader.connected().await);
    assert_eq!(peer.tell("set Line.Count 8"), "ok");
    reader.until(2, |value| *value == Value::Int(8)).await;
    let again = reader.number(0).await;
    reader.until(0, |value| matches!(value, Value::Int(number) if *number > again)).await;
    // The same node by its new index.
    assert_eq!(reader.written(2, Value::Int(9)).await, Ok(()));
    assert_eq!(peer.tell("get Line.Count"), "9");
    reader.stop().await;
}

#[tokio::test]
async fn a_node_that_goes_is_bad_alone_and_good_when_it_comes_back() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("nodes");
    let mut peer = Peer::asyncua(&folder.0, &["--plain"]);
    let mut points = counter();
    points.push((format!("{PLANT}Line.Count"), PlcType::Dint, false));
    points.push((format!("{PLANT}Line.Later"), PlcType::Dint, false));
    let mut settings = quick();
    settings.push(("retry", ms(1_000)));
    let mut reader = start(&peer.url, &settings, 0, &points);
    assert_eq!(reader.newest(2).await.1, Value::Int(7));
    assert_eq!(reader.newest(3).await.2, Quality::UNKNOWN_ADDRESS);
    assert_eq!(peer.tell("remove Count"), "ok");
    reader.until_quality(2, Quality::UNKNOWN_ADDRESS).await;
    let others = reader.number(0).await;
    reader.until(0, |value| matches!(value, Value::Int(number) if *number > others + 5)).await;
    assert_eq!(peer.tell("add Count"), "ok");
    assert_eq!(peer.tell("add Later"), "ok");
    reader.until_quality(2, Quality::GOOD).await;
    reader.until_quality(3, Quality::GOOD).await;
    assert_eq!(peer.tell("set Line.Count 11"), "ok");
    reader.until(2, |value| *value == Value::Int(11)).await;
    reader.stop().await;
}

#[tokio::test]
async fn ten_thousand_nodes() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("many");
    let peer = Peer::node(&folder.0, &["--nodes", "10000"]);
    let mut points: Vec<_> =
        (0..10_000).map(|number| (format!("{PLANT}Many.{number}"), PlcType::Dint, false)).collect();
    points.push((format!("{PLANT}Counter"), PlcType::Udint, false));
    let mut settings = quick();
    settings.push(("timeout", ms(60_000)));
    let mut reader = start(&peer.url, &settings, 0, &points);
    for number in 0..10_000 {
        assert_eq!(reader.newest(number).await.1, Value::Int(number as i64));
    }
    let before = reader.number(10_000).await;
    reader.until(10_000, |value| matches!(value, Value::Int(number) if *number > before)).await;
    reader.stop().await;
}

async fn writes(mode: &str) {
    let folder = Folder::new(&format!("writes-{mode}"));
    let mut peer = Peer::asyncua(&folder.0, &["--plain"]);
    let points = vec![
        (format!("{PLANT}Line.Speed"), PlcType::Lreal, true),
        (format!("{PLANT}Line.Count"), PlcType::Lint, true),
        (format!("{PLANT}Types.Int32"), PlcType::Dint, true),
        (format!("{PLANT}Line.Nothing"), PlcType::Dint, true),
    ];
    let mut settings = quick();
    settings.push(("mode", SettingValue::Text(mode.into())));
    let mut reader = start(&peer.url, &settings, if mode == "poll" { 200 } else { 0 }, &points);
    reader.newest(0).await;
    assert_eq!(reader.written(0, Value::Float(99.5)).await, Ok(()));
    assert_eq!(peer.tell("get Line.Speed"), "99.5");
    reader.until(0, |value| *value == Value::Float(99.5)).await;
    assert_eq!(reader.written(1, Value::Int(-3)).await, Ok(()));
    assert_eq!(peer.tell("get Line.Count"), "-3");
    let failed = |answer: Result<(), CommandFault>, words: &str| match answer {
        Err(CommandFault::Failed(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    failed(reader.written(1, Value::Int(1 << 40)).await, "does not fit");
    failed(reader.written(2, Value::Int(1)).await, "refuses");
    failed(reader.written(3, Value::Int(1)).await, "type cannot be read");
    assert_eq!(peer.tell("get Line.Count"), "-3");
    reader.stop().await;
}

#[tokio::test]
async fn writes_by_subscription_and_in_slots() {
    if enabled() {
        writes("subscribe").await;
        writes("poll").await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_and_again() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("password");
    let peer = Peer::node(&folder.0, &[]);
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut settings = quick();
    settings.push(("user", SettingValue::Text("anna".into())));
    settings.push(("password", SettingValue::Text("wrong".into())));
    let mut reader = start(&url, &settings, 0, &counter());
    assert!(!reader.connected().await);
    let (attempts, errors) = (relay.accepted(), reader.meter().errors.load(Relaxed));
    assert!(attempts <= 3, "{attempts} connections, {errors} errors");
    reader.stop().await;
    assert_eq!(relay.accepted(), attempts);
}

/// Numbers of services in their binary encoding (OPC UA Part 6, A.3; `Opc.Ua.NodeIds.csv`).
const REQUESTS: [(&str, &str); 9] = [
    ("428", "GetEndpoints"),
    ("446", "OpenSecureChannel"),
    ("461", "CreateSession"),
    ("467", "ActivateSession"),
    ("631", "Read"),
    ("673", "Write"),
    ("751", "CreateMonitoredItems"),
    ("787", "CreateSubscription"),
    ("826", "Publish"),
];

#[tokio::test]
async fn wireshark_understands_all_that_is_said() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("capture");
    let peer = Peer::asyncua(&folder.0, &["--plain"]);
    let relay = capture::Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port);
    let mut points: Vec<(String, PlcType, bool)> =
        types().iter().map(|(name, plc_type, _)| (format!("{PLANT}{name}"), *plc_type, false)).collect();
    points.extend(counter());
    let speed = points.len() - 1;
    let mut reader = start(&url, &quick(), 0, &points);
    reader.newest(speed).await;
    assert_eq!(reader.written(speed as u32, Value::Float(77.5)).await, Ok(()));
    reader.until(speed, |value| *value == Value::Float(77.5)).await;
    reader.stop().await;
    let capture = relay.read(4840);
    capture.must_be_whole("opcua");
    let seen: BTreeSet<String> = capture
        .fields(&["opcua.servicenodeid.numeric"])
        .iter()
        .flat_map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for (number, name) in REQUESTS {
        assert!(seen.contains(number), "no {name} in {seen:?}");
    }
}
