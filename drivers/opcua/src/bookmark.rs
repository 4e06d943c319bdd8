//! Where a subscribing source stands, for its next run: after a crash, after an update, on the other node of a pair.
//!
//! ```text
//! subscriptions   which the server has for us, and which node is which item     told when that has changed
//! progress        the number each goes on with, the newest source time          told behind what each notification says
//! ```
//! The next run moves the subscriptions into its own session (TransferSubscriptions, OPC UA Part 4, 5.14.7) and asks
//! for what was not acknowledged (Republish, 5.14.6). What the log holds already is known by its number and not taken
//! twice. Pure: owns no session.

use crate::prepare::Prepared;
use crate::sequence::is_from;
use gwp_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Names of the bookmarks.
pub const SUBSCRIPTIONS: &str = "subscriptions";
pub const PROGRESS: &str = "progress";

/// Version of both.
const VERSION: u8 = 1;

/// What a server has for us.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    version: u8,
    /// Of what is monitored and how: numbers of items are of use for the same alone.
    declared: u64,
    /// Address of the server that has them.
    pub server: String,
    /// When that was started: another start knows nothing of them, and may give their numbers to others.
    pub start: Option<i64>,
    /// Of its namespaces, by which nodes were numbered.
    pub namespaces: u64,
    pub subscriptions: Vec<Left>,
    /// Index of the node, place among the subscriptions, number of the item.
    pub items: Vec<(u32, u32, u32)>,
    /// Nodes whose history is still to be read, each since a time (nanoseconds since 1970).
    pub owed: Vec<(u32, i64)>,
}

/// A subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Left {
    pub id: u32,
    /// Milliseconds of silence after which it is dead.
    pub patience_ms: u64,
    pub is_full: bool,
}

/// How far the log has come.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    version: u8,
    /// Number that comes next, by subscription.
    pub next: BTreeMap<u32, u32>,
    /// Newest time of a source, nanoseconds since 1970.
    pub newest: Option<i64>,
}

impl Standing {
    /// With the place that items have.
    pub fn new(prepared: &Prepared, namespaces: u64, subscriptions: Vec<Left>) -> Standing {
        let declared = declared(prepared);
        Standing { version: VERSION, declared, namespaces, subscriptions, ..Standing::default() }
    }

    /// What a run before has left.
    pub fn read(bytes: &[u8]) -> Option<Standing> {
        let standing: Standing = postcard::from_bytes(bytes).ok()?;
        (standing.version == VERSION && !standing.subscriptions.is_empty()).then_some(standing)
    }

    /// Whether it is of the same declaration: else its subscriptions are of no use.
    pub fn is_of(&self, prepared: &Prepared) -> bool {
        self.declared == declared(prepared)
    }

    pub fn to_bytes(&self) -> Arc<[u8]> {
        encoded(self)
    }
}

impl Progress {
    pub fn read(bytes: &[u8]) -> Option<Progress> {
        let progress: Progress = postcard::from_bytes(bytes).ok()?;
        (progress.version == VERSION).then_some(progress)
    }

    pub fn to_bytes(&self) -> Arc<[u8]> {
        encoded(&Progress { version: VERSION, ..self.clone() })
    }

    /// The log has all of a subscription before a number, and with it what happened up to a time.
    pub fn reached(&mut self, (subscription, upto): (u32, u32), newest: Option<Timestamp>) {
        self.newest = self.newest.max(newest.map(|time| time.0));
        let next = self.next.entry(subscription).or_insert(upto);
        if is_from(upto, *next) {
            *next = upto;
        }
    }

    /// The log has what the source said up to then.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest.map(Timestamp)
    }
}

/// Plain data into a growing buffer cannot fail; if it did, there would be no bookmark.
fn encoded(what: &impl Serialize) -> Arc<[u8]> {
    postcard::to_stdvec(what).unwrap_or_default().into()
}

/// What decides whether items of a run before are items of this one. The same in each run of one build; another build
/// may make its subscriptions anew.
fn declared(prepared: &Prepared) -> u64 {
    let mut hasher = DefaultHasher::new();
    let options = &prepared.options;
    (options.publishing, options.sampling_ms.to_bits(), options.queue, options.deadband.to_bits())
        .hash(&mut hasher);
    prepared.nodes.iter().for_each(|node| node.to_string().hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::SettingValue;
    use gwp_core::source::PlcType;
    use gwp_driver_contract::rig::declare;

    fn prepared(nodes: &[&'static str]) -> Prepared {
        let settings = [("address", SettingValue::Text("opc.tcp://plc:4840".into()))];
        let points: Vec<_> = nodes.iter().map(|node| (*node, PlcType::Dint, false)).collect();
        Prepared::new(&declare(&settings, &[(0, &points)])).0
    }

    #[test]
    fn a_standing_is_of_use_for_the_same_declaration_alone() {
        let one = prepared(&["ns=2;s=a", "ns=2;s=b"]);
        let left = Left { id: 7, patience_ms: 20_000, is_full: false };
        let mut standing = Standing::new(&one, 5, vec![left]);
        standing.items = vec![(0, 0, 11), (1, 0, 12)];
        let bytes = standing.to_bytes();
        let read = Standing::read(&bytes).expect("it is whole");
        assert_eq!(read, standing);
        assert!(read.is_of(&one) && !read.is_of(&prepared(&["ns=2;s=b", "ns=2;s=a"])), "another order");
        assert_eq!(Standing::read(&bytes[..bytes.len() - 1]), None, "cut short");
        let nothing = Standing::new(&one, 5, Vec::new());
        assert_eq!(Standing::read(&nothing.to_bytes()), None, "nothing is left");
    }

    #[test]
    fn progress_comes_back() {
        let progress = Progress { next: [(7, 3)].into(), newest: Some(1_000), ..Progress::default() };
        let back = Progress::read(&progress.to_bytes()).unwrap();
        assert_eq!((back.next, back.newest), (progress.next, progress.newest));
        assert_eq!(Progress::read(&[9]), None);
    }
}
