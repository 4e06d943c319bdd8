//! `[pair]` and `[witness]` of a `node.toml`: who this machine is in a pair, and where the others are.
//!
//! ```toml
//! [pair]
//! me = "primary"                 # or "backup": what it is preferred to be, not its role now
//! key = "pair.key"               # made by `gwp pair keys`, the same file on all members
//! links = [                      # two or more, over separate ways
//!   { here = "10.0.1.1:9470", peer = "10.0.1.2:9470", witness = "10.0.1.9:9470" },
//!   { here = "10.0.2.1:9470", peer = "10.0.2.2:9470" },
//! ]
//!
//! [witness]
//! key = "pair.key"
//! listen = ["0.0.0.0:9470"]
//! ```

use super::{NodeReader, Value};
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// More ways than anybody has.
const LINKS_MAX: usize = 8;

/// This machine as one of two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PairMember {
    pub is_primary: bool,
    pub key: PathBuf,
    pub links: Vec<PairLink>,
}

/// One way to the others; its port is the same for datagrams and for the mirror's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PairLink {
    pub here: SocketAddr,
    pub peer: SocketAddr,
    pub witness: Option<SocketAddr>,
}

/// This machine as the third vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessMember {
    pub key: PathBuf,
    pub listen: Vec<SocketAddr>,
}

impl NodeReader<'_> {
    pub(super) fn pair(&mut self, section: &Value<'_>, entries: &DeTable<'_>) -> Option<PairMember> {
        let (mut me, mut key, mut links) = (None, None, Vec::new());
        self.each(entries, &["me", "key", "links"], |reader, name, value| match name {
            "me" => me = reader.choice(value, &["primary", "backup"]),
            "key" => key = Some(reader.path(value)),
            _ => links = reader.links(value),
        });
        let whole = me.zip(key).filter(|_| !links.is_empty());
        if whole.is_none() {
            let help = "me = \"primary\", key = \"pair.key\" and links = [{ here = \"10.0.1.1:9470\", peer = \"10.0.1.2:9470\", witness = \"10.0.1.9:9470\" }]";
            self.wrong(section, "a pair needs `me`, `key` and `links`", help);
        }
        whole.map(|(me, key)| PairMember { is_primary: me == "primary", key, links })
    }

    fn links(&mut self, value: &Value<'_>) -> Vec<PairLink> {
        let help =
            "links = [{ here = \"10.0.1.1:9470\", peer = \"10.0.1.2:9470\", witness = \"10.0.1.9:9470\" }]";
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong(value, "a list of links is expected here", help);
            return Vec::new();
        };
        if list.len() > LINKS_MAX {
            self.wrong(value, &format!("a pair has at most {LINKS_MAX} links"), "leave some out");
        }
        let mut links = Vec::new();
        for value in list.iter().take(LINKS_MAX) {
            let DeValue::Table(table) = value.get_ref() else {
                self.wrong(value, "a link is expected here", help);
                continue;
            };
            let (mut here, mut peer, mut witness) = (None, None, None);
            self.each(table, &["here", "peer", "witness"], |reader, name, value| match name {
                "here" => here = reader.address(value),
                "peer" => peer = reader.address(value),
                _ => witness = reader.address(value),
            });
            match here.zip(peer) {
                Some((here, peer)) => links.push(PairLink { here, peer, witness }),
                None => self.wrong(value, "a link needs `here` and `peer`", help),
            }
        }
        links
    }

    pub(super) fn witness(&mut self, section: &Value<'_>, entries: &DeTable<'_>) -> Option<WitnessMember> {
        let (mut key, mut listen) = (None, Vec::new());
        self.each(entries, &["key", "listen"], |reader, name, value| match name {
            "key" => key = Some(reader.path(value)),
            _ => match value.get_ref() {
                DeValue::Array(list) => {
                    listen = list.iter().take(LINKS_MAX).filter_map(|value| reader.address(value)).collect();
                }
                _ => {
                    reader.wrong(value, "a list of addresses is expected here", "listen = [\"0.0.0.0:9470\"]")
                }
            },
        });
        let whole = key.filter(|_| !listen.is_empty());
        if whole.is_none() {
            let help = "key = \"pair.key\" and listen = [\"0.0.0.0:9470\"]";
            self.wrong(section, "a witness needs `key` and `listen`", help);
        }
        whole.map(|key| WitnessMember { key, listen })
    }
}
