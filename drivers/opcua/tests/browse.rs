//! Looking around and into the past, against servers of other people's making: asyncua (Python) and node-opcua
//! (JavaScript).
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, node and npm. Otherwise it says that it was skipped.

#[path = "security/peer.rs"]
#[allow(dead_code)]
mod peer;

use futures_util::StreamExt;
use gwp_core::Timestamp;
use gwp_core::source::PlcType;
use gwp_driver_opcua::browse::{Bounds, Found, Tree, browse};
use gwp_driver_opcua::history::{self, HistoryError};
use gwp_driver_opcua::security::{Connection, Mode, Options, connect};
use opcua::client::Session;
use opcua::types::{NodeId, StatusCode, Variant};
use peer::{Folder, Peer, enabled};
use std::sync::Arc;
use std::time::Duration;

/// A session without security that is driven until it ends.
async fn session(peer: &Peer, folder: &Folder) -> Arc<Session> {
    let mut options = Options::new(&peer.url, folder.0.join("pki"));
    options.mode = Mode::None;
    options.connect_timeout = Duration::from_secs(60);
    options.request_timeout = Duration::from_secs(30);
    let Connection { session, mut events, .. } = connect(&options).await.expect("it connects");
    tokio::spawn(async move { while let Some(Ok(_)) = events.next().await {} });
    session
}

fn node<'t>(tree: &'t Tree, address: &str) -> &'t Found {
    tree.nodes.iter().find(|node| node.address == address).unwrap_or_else(|| panic!("no {address}"))
}

/// Names from the top down to a node.
fn path<'t>(tree: &'t Tree, mut node: &'t Found) -> String {
    let mut names = vec![node.name.as_str()];
    while let Some(parent) = node.parent {
        node = &tree.nodes[parent];
        names.insert(0, &node.name);
    }
    names.join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_a_server_is_seen_with_its_value() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("types");
    // The plant's namespace is not where it was.
    let peer = Peer::asyncua(&folder.0.join("server"), &["--namespaces", "urn:gwp:other,urn:gwp:plant"]);
    let session = session(&peer, &folder).await;
    let tree = browse(&session, None, &Bounds::default()).await.expect("a tree");
    assert!(tree.left_out.is_empty(), "{:?}", tree.left_out);
    for (name, plc_type, type_name, value) in [
        ("Boolean", Some(PlcType::Bool), "Boolean", "true"),
        ("SByte", Some(PlcType::Sint), "SByte", "-8"),
        ("Byte", Some(PlcType::Usint), "Byte", "8"),
        ("Int16", Some(PlcType::Int), "Int16", "-1616"),
        ("UInt16", Some(PlcType::Uint), "UInt16", "1616"),
        ("Int32", Some(PlcType::Dint), "Int32", "-323232"),
        ("UInt32", Some(PlcType::Udint), "UInt32", "323232"),
        ("Int64", Some(PlcType::Lint), "Int64", "-9223372036854775808"),
        ("UInt64", Some(PlcType::Ulint), "UInt64", "18446744073709551615"),
        ("Float", Some(PlcType::Real), "Float", "1.5"),
        ("Double", Some(PlcType::Lreal), "Double", "2.25"),
        ("String", Some(PlcType::String), "String", "\"Größe Ω\""),
        ("Guid", Some(PlcType::String), "Guid", "12345678-1234-5678-1234-567812345678"),
        ("ByteString", Some(PlcType::String), "ByteString", "0001ff"),
        ("StatusCode", Some(PlcType::Dword), "StatusCode", "BadOutOfService"),
        ("LocalizedText", Some(PlcType::String), "LocalizedText", "\"text\""),
        ("QualifiedName", Some(PlcType::String), "QualifiedName", "\"name\""),
        ("Null", Some(PlcType::Lreal), "Double", "(nothing)"),
        ("Recipe", None, "Structure", "{..}"),
        // An enumeration of the server's own, two steps above it is the built-in type.
        ("Phase", Some(PlcType::Dint), "Enumeration", "1"),
    ] {
        let found = node(&tree, &format!("nsu=urn:gwp:plant;s=Types.{name}"));
        assert_eq!(path(&tree, found), format!("Plant/Types/{name}"));
        let data = found.data.as_ref().expect("a variable");
        assert_eq!((data.plc_type, data.type_name.as_str()), (plc_type, type_name), "{name}");
        assert_eq!(data.value.as_deref(), Some(value), "{name}");
        assert_eq!((data.readable, data.writable, data.dimensions), (true, false, Some(0)), "{name}");
    }
    let data = |address: &str| node(&tree, address).data.clone().expect("a variable");
    assert!(data("nsu=urn:gwp:plant;s=Line.Speed").writable);
    let array = data("nsu=urn:gwp:plant;s=Arrays.Int32");
    assert_eq!((array.dimensions, array.value.as_deref()), (Some(1), Some("[1, -2, 3]")));
    assert_eq!(data("nsu=urn:gwp:plant;s=Arrays.Matrix").dimensions, Some(2));
    // A part of it, by an address as it was printed.
    let part = browse(&session, Some("nsu=urn:gwp:plant;s=Line"), &Bounds::default()).await.expect("a tree");
    let names: Vec<&str> = part.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["Speed", "Count"]);
    let gone = browse(&session, Some("nsu=urn:gwp:plant;s=Gone"), &Bounds::default()).await.unwrap_err();
    assert_eq!(gone.to_string(), "there is no node nsu=urn:gwp:plant;s=Gone at the server");
    session.disconnect().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_and_lengths_of_a_server_are_seen() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("units");
    let peer = Peer::asyncua(&folder.0.join("server"), &[]);
    let session = session(&peer, &folder).await;
    let start = Some("nsu=urn:gwp:plant;s=Measured");
    let tree = browse(&session, start, &Bounds::default()).await.expect("a tree");
    let of = |name: &str| {
        let data = node(&tree, &format!("nsu=urn:gwp:plant;s=Measured.{name}")).data.clone();
        let data = data.expect("a variable");
        (data.dimensions, data.length, data.unit)
    };
    assert_eq!(of("Oil"), (Some(0), None, Some("°C".into())));
    assert_eq!(of("Way"), (Some(0), None, Some("furlong".into())));
    assert_eq!(of("Profile"), (Some(1), Some(3), Some("bar".into())));
    assert_eq!(of("Planned"), (Some(1), Some(4), None));
    // Without values there are no units, and lengths only as declared.
    let bounds = Bounds { values: false, ..Bounds::default() };
    let tree = browse(&session, start, &bounds).await.expect("a tree");
    let planned = node(&tree, "nsu=urn:gwp:plant;s=Measured.Planned").data.clone().expect("a variable");
    assert_eq!((planned.length, planned.value), (Some(4), None));
    let oil = node(&tree, "nsu=urn:gwp:plant;s=Measured.Oil").data.clone().expect("a variable");
    assert_eq!(oil.unit, None);
    session.disconnect().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_nodes_come_in_pieces_and_within_bounds() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("many");
    let peer = Peer::asyncua(&folder.0.join("server"), &["--nodes", "10000"]);
    let session = session(&peer, &folder).await;
    let bounds = Bounds { nodes: 20_000, ..Bounds::default() };
    let tree = browse(&session, Some("nsu=urn:gwp:plant;s=Many"), &bounds).await.expect("a tree");
    assert!(tree.left_out.is_empty(), "{:?}", tree.left_out);
    let values = tree.nodes.iter().filter_map(|node| node.data.as_ref()?.value.clone());
    // Folders come behind the nodes that lie beside them.
    assert_eq!(values.collect::<Vec<_>>(), (0..10_000).map(|number| number.to_string()).collect::<Vec<_>>());
    let bounds = Bounds { nodes: 1_200, values: false, ..Bounds::default() };
    let tree = browse(&session, Some("nsu=urn:gwp:plant;s=Many"), &bounds).await.expect("a tree");
    assert_eq!(tree.nodes.len(), 1_200);
    assert_eq!(tree.left_out, ["what comes after 1200 nodes (--count)"]);
    assert_eq!(tree.nodes[7].data.as_ref().expect("a variable").value, None);
    let bounds = Bounds { depth: 1, ..Bounds::default() };
    let tree = browse(&session, None, &bounds).await.expect("a tree");
    assert!(tree.nodes.iter().all(|node| node.depth == 0), "{tree:?}");
    assert_eq!(tree.left_out, ["what lies deeper than 1 levels (--depth)"]);
    session.disconnect().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_with_its_own_diagnostics_is_walked_to_the_end() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("walk-node");
    let peer = Peer::node(&folder.0.join("server"), &[]);
    let session = session(&peer, &folder).await;
    let bounds = Bounds { server: true, ..Bounds::default() };
    let tree = browse(&session, None, &bounds).await.expect("a tree");
    assert!(tree.left_out.is_empty(), "{:?}", tree.left_out);
    let speed = node(&tree, "nsu=urn:gwp:plant;s=Line.Speed");
    assert_eq!(path(&tree, speed), "Plant/Speed");
    assert_eq!(speed.data.as_ref().expect("a variable").value.as_deref(), Some("12.5"));
    // The namespace array, which every server has.
    let namespaces = node(&tree, "i=2255").data.clone().expect("a variable");
    assert_eq!((namespaces.type_name.as_str(), namespaces.dimensions), ("String", Some(1)));
    assert!(tree.nodes.len() > 100, "{}", tree.nodes.len());
    // It keeps no history.
    let index = session.get_namespace_index("urn:gwp:plant").await.expect("the namespace");
    let counter = NodeId::new(index, "Counter");
    let error =
        history::read(&session, &counter, Timestamp(0), Timestamp(1_000_000_000), 5).await.unwrap_err();
    assert!(matches!(error, HistoryError::None(_)), "{error}");
    session.disconnect().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_comes_in_pieces_and_within_bounds() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("past");
    let peer = Peer::asyncua(&folder.0.join("server"), &[]);
    let session = session(&peer, &folder).await;
    let index = session.get_namespace_index("urn:gwp:plant").await.expect("the namespace");
    let past = NodeId::new(index, "Past");
    let start = 1_704_067_200;
    let at = |second: i64| Timestamp((start + second) * 1_000_000_000);
    let all = history::read(&session, &past, at(0), at(2_000), 10_000).await.expect("values");
    assert!(!all.cut);
    let seconds: Vec<i64> = all
        .values
        .iter()
        .map(|value| value.source_timestamp.expect("a time").as_chrono().timestamp() - start)
        .collect();
    assert!(
        seconds == (0..1_000).collect::<Vec<_>>(),
        "{} values, the last ones {:?}",
        seconds.len(),
        seconds.iter().rev().take(3)
    );
    assert_eq!(all.values[7].value, Some(Variant::Double(3.5)));
    assert_eq!(all.values[500].status, Some(StatusCode::BadSensorFailure));
    let some = history::read(&session, &past, at(100), at(2_000), 25).await.expect("values");
    assert_eq!((some.values.len(), some.cut), (25, true));
    assert_eq!(some.values[0].value, Some(Variant::Double(50.0)));
    let none = history::read(&session, &past, at(5_000), at(6_000), 25).await.expect("nothing");
    assert_eq!((none.values.len(), none.cut), (0, false));
    session.disconnect().await.expect("it ends");
}
