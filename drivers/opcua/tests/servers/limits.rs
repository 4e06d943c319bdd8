//! What a server takes no more of, and 10,000 nodes.

use crate::contents::at;
use crate::peer::{Peer, enabled};
use crate::rig::{Reader, Relay, quick, start};
use crate::{Start, Tag, asyncua, open62541, plain};
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_core::{Quality, Value};
use gwp_driver_contract::rig::ms;
use std::ops::Range;

/// The server has no more subscriptions for us (`Bad_TooManySubscriptions`).
const TOO_MANY_SUBSCRIPTIONS: Quality = Quality(0x8077_0000);

fn many(count: usize) -> Vec<Tag> {
    (0..count).map(|number| (at(&format!("Many.{number}")), PlcType::Dint, false)).collect()
}

fn settings() -> Vec<(&'static str, SettingValue)> {
    let mut settings = quick();
    settings.push(("retry", ms(1_000)));
    settings
}

/// Waits until these tags are good with their number and this.
async fn have(reader: &mut Reader, tags: Range<usize>, more: i64) {
    for tag in tags {
        reader.until(tag, |value| *value == Value::Int(tag as i64 + more)).await;
    }
}

/// Changes nodes at the server and waits until all is told.
async fn change(reader: &mut Reader, peer: &mut Peer, tags: Range<usize>, more: i64) {
    for tag in tags.clone() {
        assert_eq!(peer.tell(&format!("set Many.{tag} {}", tag as i64 + more)), "ok");
    }
    have(reader, tags, more).await;
}

/// Some nodes are bad for this reason, the others go on over attempts for those.
async fn some_go_on(reader: &mut Reader, peer: &mut Peer, taken: usize, why: Quality) {
    have(reader, 0..taken, 0).await;
    for tag in taken..40 {
        reader.until_quality(tag, why).await;
    }
    let subscriptions = peer.tell("subscriptions");
    // Longer than several times `retry`: each change waits for a report.
    for round in 1..=25 {
        change(reader, peer, 0..taken, round * 1_000).await;
    }
    assert_eq!(peer.tell("subscriptions"), subscriptions, "no more of them at each attempt");
    assert_eq!(peer.tell("sessions-made"), "1", "nobody is disturbed");
    for tag in 0..taken {
        assert!(reader.taken(tag).iter().all(|(_, quality)| quality.is_good()), "Many.{tag}");
    }
}

#[tokio::test]
async fn a_server_with_small_subscriptions_and_calls_delivers_all_nodes() {
    if !enabled() {
        return;
    }
    let options = ["--nodes", "40", "--items-per-subscription", "7", "--items-per-call", "5"];
    let options = [&options[..], &["--nodes-per-read", "6"]].concat();
    let (_folder, mut peer) = plain(Peer::node, "small", &options);
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut reader = start(&url, &settings(), 0, &many(40));
    have(&mut reader, 0..40, 0).await;
    assert_eq!(peer.tell("subscriptions"), "6");
    change(&mut reader, &mut peer, 0..40, 1_000).await;
    relay.refuse();
    relay.cut();
    assert!(!reader.connected().await);
    for tag in 0..40 {
        assert_eq!(peer.tell(&format!("set Many.{tag} {}", tag + 2_000)), "ok");
    }
    relay.pass();
    have(&mut reader, 0..40, 2_000).await;
    change(&mut reader, &mut peer, 0..40, 3_000).await;
    assert_eq!(peer.tell("subscriptions"), "6", "they were taken up again");
    reader.stop().await;
    // The same in scan slots.
    let mut settings = settings();
    settings.push(("mode", SettingValue::Text("poll".into())));
    let mut reader = start(&url, &settings, 200, &many(40));
    have(&mut reader, 0..40, 3_000).await;
    change(&mut reader, &mut peer, 0..40, 4_000).await;
    reader.stop().await;
}

#[tokio::test]
async fn nodes_for_which_the_server_has_no_items_are_bad_until_it_has_some() {
    if !enabled() {
        return;
    }
    let options = ["--nodes", "40", "--items", "30", "--items-per-subscription", "12"];
    let (_folder, mut peer) = plain(Peer::node, "total", &options);
    let mut reader = start(&peer.url, &settings(), 0, &many(40));
    some_go_on(&mut reader, &mut peer, 30, Quality::TOO_MANY_ITEMS).await;
    assert_eq!(peer.tell("subscriptions"), "3", "none that is empty");
    assert_eq!(peer.tell("items 100"), "ok");
    have(&mut reader, 30..40, 0).await;
    assert_eq!(peer.tell("subscriptions"), "4", "the third one is filled up first");
    change(&mut reader, &mut peer, 0..40, 90_000).await;
    reader.stop().await;
}

#[tokio::test]
async fn nodes_for_which_the_server_has_no_subscriptions_are_bad() {
    if !enabled() {
        return;
    }
    let options = ["--nodes", "40", "--subscriptions", "2", "--items-per-subscription", "12"];
    let (_folder, mut peer) = plain(Peer::node, "subscriptions", &options);
    let mut reader = start(&peer.url, &settings(), 0, &many(40));
    some_go_on(&mut reader, &mut peer, 24, TOO_MANY_SUBSCRIPTIONS).await;
    reader.stop().await;
}

#[tokio::test]
async fn more_nodes_than_go_in_a_call_may_go_at_once_and_come_back() {
    if !enabled() {
        return;
    }
    let (_folder, mut peer) = plain(Peer::node, "calls", &["--nodes", "24", "--items-per-call", "5"]);
    let mut reader = start(&peer.url, &settings(), 0, &many(24));
    have(&mut reader, 0..24, 0).await;
    for tag in 0..12 {
        assert_eq!(peer.tell(&format!("remove Many.{tag}")), "ok");
    }
    for tag in 0..12 {
        reader.until_quality(tag, Quality::UNKNOWN_ADDRESS).await;
    }
    change(&mut reader, &mut peer, 12..24, 1_000).await;
    for tag in 0..12 {
        assert_eq!(peer.tell(&format!("add Many.{tag}")), "ok");
    }
    for tag in 0..12 {
        reader.until(tag, |value| *value == Value::Int(7)).await;
    }
    change(&mut reader, &mut peer, 0..24, 2_000).await;
    assert_eq!(peer.tell("sessions-made"), "1", "nobody is disturbed");
    reader.stop().await;
}

async fn ten_thousand(start_peer: Start, name: &str) {
    let (_folder, mut peer) = plain(start_peer, name, &["--nodes", "10000"]);
    let mut points = many(10_000);
    points.push((at("Counter"), PlcType::Udint, false));
    let mut settings = quick();
    settings.push(("timeout", ms(60_000)));
    let mut reader = start(&peer.url, &settings, 0, &points);
    for number in 0..10_000 {
        assert_eq!(reader.newest(number).await.1, Value::Int(number as i64));
    }
    let before = reader.number(10_000).await;
    reader.until(10_000, |value| matches!(value, Value::Int(number) if *number > before)).await;
    for part in [0..100, 5_000..5_100, 9_900..10_000] {
        change(&mut reader, &mut peer, part, 1_000_000).await;
    }
    reader.stop().await;
}

#[tokio::test]
async fn ten_thousand_nodes_of_asyncua() {
    if enabled() {
        ten_thousand(asyncua, "many-asyncua").await;
    }
}

#[tokio::test]
async fn ten_thousand_nodes_of_node_opcua() {
    if enabled() {
        ten_thousand(Peer::node, "many-node").await;
    }
}

#[tokio::test]
async fn ten_thousand_nodes_of_open62541() {
    if enabled() {
        ten_thousand(open62541, "many-open62541").await;
    }
}
