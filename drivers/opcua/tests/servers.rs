//! What befalls a plant, with servers of other people's making: asyncua (Python), node-opcua (JavaScript) and
//! open62541 (C).
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, npm and node. Otherwise it says that it was skipped.

#[path = "servers/channels.rs"]
mod channels;
#[path = "asyncua/contents.rs"]
mod contents;
#[path = "servers/deadband.rs"]
mod deadband;
#[path = "servers/limits.rs"]
mod limits;
#[path = "security/peer.rs"]
mod peer;
#[path = "servers/plant.rs"]
mod plant;
#[path = "asyncua/rig.rs"]
#[allow(dead_code)]
mod rig;

use contents::at;
use gwp_core::source::PlcType;
use peer::{Folder, Peer};
use std::path::Path;

/// A server by another stack, started with options.
type Start = fn(&Path, &[&str]) -> Peer;

/// An address, its type, and whether it is written.
type Tag = (String, PlcType, bool);

/// A server without security in a folder of its own.
fn plain(start: Start, name: &str, options: &[&str]) -> (Folder, Peer) {
    let folder = Folder::new(name);
    let peer = start(&folder.0, options);
    (folder, peer)
}

fn asyncua(folder: &Path, options: &[&str]) -> Peer {
    Peer::asyncua(folder, &[&["--plain"], options].concat())
}

fn open62541(folder: &Path, options: &[&str]) -> Peer {
    Peer::open62541(folder, &[&["--plain"], options].concat())
}

/// A counter, a number that is written, a whole number.
fn line() -> Vec<Tag> {
    vec![
        (at("Counter"), PlcType::Udint, false),
        (at("Line.Speed"), PlcType::Lreal, true),
        (at("Line.Count"), PlcType::Dint, true),
    ]
}
