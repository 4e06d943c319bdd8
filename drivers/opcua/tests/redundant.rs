//! A redundant set of two servers of asyncua: the source goes to the healthy one, leaves one that says that it is not,
//! and one that is gone.

#[path = "security/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of security, which use more of it")]
mod peer;

use gwp_core::Value;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, Emission, PlcType};
use gwp_driver_contract::rig::{Running, declare, ms};
use gwp_driver_opcua::OpcUa;
use peer::{Folder, Peer, enabled};
use std::time::{Duration, Instant};

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the set says this number; false if the tag was bad meanwhile.
async fn until(running: &mut Running, wanted: i64) -> bool {
    let (began, mut was_good) = (Instant::now(), true);
    loop {
        assert!(began.elapsed() < PATIENCE, "{wanted} does not come");
        let Emission::Samples { batch, .. } = running.next().await else { continue };
        for index in 0..batch.len() {
            was_good &= batch.qualities.get(index).is_good();
            if batch.values.get(index) == Value::Int(wanted) && batch.qualities.get(index).is_good() {
                return was_good;
            }
        }
    }
}

async fn moves(mode: &str, period_ms: i64) {
    let folders = [Folder::new(&format!("set-a-{mode}")), Folder::new(&format!("set-b-{mode}"))];
    let mut first = Peer::asyncua(&folders[0].0, &[]);
    let mut second = Peer::asyncua(&folders[1].0, &[]);
    assert_eq!(first.tell("set Line.Count 1"), "ok");
    assert_eq!(second.tell("set Line.Count 2"), "ok");
    let text = |text: &str| SettingValue::Text(text.into());
    let pauses = [("first", ms(50)), ("max", ms(500))].map(|(name, value)| (name.into(), value));
    let settings = [
        ("address", text(&first.url)),
        ("redundant", SettingValue::List(vec![second.url.as_str().into()])),
        ("security", text("none")),
        ("mode", text(mode)),
        ("publishing", ms(100)),
        ("timeout", ms(1_000)),
        ("reconnect", SettingValue::Block(Settings(pauses.into()))),
        ("pki", text(&folders[0].0.join("gateway").display().to_string())),
    ];
    let points = [("nsu=urn:gwp:plant;s=Line.Count", PlcType::Dint, false)];
    let source = OpcUa.prepare(declare(&settings, &[(period_ms, &points)])).expect("it is right");
    let mut running = Running::of(source);
    until(&mut running, 1).await;

    assert_eq!(first.tell("level 100"), "ok");
    assert!(until(&mut running, 2).await, "the tag is good all the while");
    assert_eq!((first.tell("sessions"), second.tell("sessions")), ("0".into(), "1".into()));

    drop(second);
    until(&mut running, 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_moves_to_the_better_server_and_away_from_one_that_is_gone() {
    if enabled() {
        moves("subscribe", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_move_to_the_better_server_and_away_from_one_that_is_gone() {
    if enabled() {
        moves("poll", 200).await;
    }
}
