//! Deadbands that the server applies, and one that it refuses.

use crate::contents::at;
use crate::peer::{Folder, Peer, enabled};
use crate::rig::{Reader, quick, start};
use crate::{Start, Tag, asyncua, line, open62541, plain};
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_core::{Quality, Value};

const SPEED: usize = 1;
const COUNT: usize = 2;
/// One more, for which the server refuses it.
const OTHER: usize = 3;

fn good(numbers: &[f64]) -> Vec<(Value, Quality)> {
    numbers.iter().map(|number| (Value::Float(*number), Quality::GOOD)).collect()
}

/// Sets a double to numbers. After each it waits for a change elsewhere that the server must report later; a server
/// may take changes at one moment together.
async fn set(reader: &mut Reader, peer: &mut Peer, name: &str, numbers: &[f64]) {
    for number in numbers {
        assert_eq!(peer.tell(&format!("set {name} {number}")), "ok");
        let mark = reader.number(COUNT).await + 100;
        assert_eq!(peer.tell(&format!("set Line.Count {mark}")), "ok");
        reader.until(COUNT, |value| *value == Value::Int(mark)).await;
    }
}

async fn with_a_deadband(start_peer: Start, name: &str, more: &[Tag]) -> (Reader, Peer, Folder) {
    let (folder, mut peer) = plain(start_peer, name, &[]);
    let mut settings = quick();
    settings.push(("deadband", SettingValue::Float(5.0)));
    let mut reader = start(&peer.url, &settings, 0, &[&line(), more].concat());
    reader.newest(COUNT).await;
    reader.newest(SPEED).await;
    assert_eq!(reader.taken(SPEED), good(&[12.5]));
    set(&mut reader, &mut peer, "Line.Speed", &[14.0, 16.5]).await;
    assert_eq!(reader.taken(SPEED), [], "below the deadband");
    set(&mut reader, &mut peer, "Line.Speed", &[30.0, 31.0]).await;
    assert_eq!(reader.taken(SPEED), good(&[30.0]));
    (reader, peer, folder)
}

#[tokio::test]
async fn asyncua_reports_no_change_below_the_deadband() {
    if enabled() {
        with_a_deadband(asyncua, "deadband-asyncua", &[]).await.0.stop().await;
    }
}

#[tokio::test]
async fn node_opcua_reports_no_change_below_the_deadband_and_a_node_that_takes_none_is_monitored_without() {
    if !enabled() {
        return;
    }
    // It may hold any type, so the server refuses the filter.
    let loose = [(at("Line.Loose"), PlcType::Lreal, false)];
    let (mut reader, mut peer, _folder) = with_a_deadband(Peer::node, "deadband-node", &loose).await;
    reader.newest(OTHER).await;
    assert_eq!(reader.taken(OTHER), good(&[12.5]));
    set(&mut reader, &mut peer, "Line.Loose", &[13.0, 13.5]).await;
    assert_eq!(reader.taken(OTHER), good(&[13.0, 13.5]));
    reader.stop().await;
}

#[tokio::test]
async fn open62541_reports_no_change_below_the_deadband_and_a_text_is_monitored_without() {
    if !enabled() {
        return;
    }
    // The server refuses a deadband for a text. Then it is one that is no number, and not one that is refused.
    let text = [(at("Types.String"), PlcType::Lreal, false)];
    let (mut reader, _peer, _folder) = with_a_deadband(open62541, "deadband-open62541", &text).await;
    reader.until_quality(OTHER, Quality::NOT_A_NUMBER).await;
    reader.stop().await;
}
