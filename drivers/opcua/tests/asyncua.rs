//! The driver against the servers of asyncua and node-opcua, stacks of other people's making.
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, npm and node. Otherwise it says that it was skipped.

#[path = "asyncua/contents.rs"]
#[allow(dead_code)]
mod contents;
#[path = "security/peer.rs"]
#[allow(dead_code)]
mod peer;
#[path = "asyncua/rig.rs"]
#[allow(dead_code)]
mod rig;

use contents::at;
use gwp_core::Value;
use gwp_core::command::CommandFault;
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_driver_contract::capture;
use gwp_driver_contract::rig::ms;
use peer::{Folder, Peer, enabled};
use rig::{Relay, quick, start};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

fn counter() -> Vec<(String, PlcType, bool)> {
    vec![(at("Counter"), PlcType::Udint, false), (at("Line.Speed"), PlcType::Lreal, true)]
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

async fn writes(mode: &str) {
    let folder = Folder::new(&format!("writes-{mode}"));
    let mut peer = Peer::asyncua(&folder.0, &["--plain"]);
    let points = vec![
        (at("Line.Speed"), PlcType::Lreal, true),
        (at("Line.Count"), PlcType::Lint, true),
        (at("Types.Int32"), PlcType::Dint, true),
        (at("Line.Nothing"), PlcType::Dint, true),
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
        contents::types().iter().map(|(name, plc_type, _)| (at(name), *plc_type, false)).collect();
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
