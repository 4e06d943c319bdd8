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
//! policy = "safety"              # as without this line; without a witness also "availability", where the program allows it
//! failback = "auto"              # or "manual" (as without this line): `gwp pair failback` moves the graph back
//! failback_after = "10 min"      # how long the primary must have held everything; "5 min" without this line
//! failback_window = "01:00-05:00"  # and only then, by the clock on the wall; at any time without this line
//!
//! [witness]
//! key = "pair.key"
//! listen = ["0.0.0.0:9470"]
//! ```

use super::failback::{Failback, HOLD, HOLD_MAX, Window};
use super::{NodeReader, Value};
use gwp_redundancy::policy::PairPolicy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// More ways than anybody has.
const LINKS_MAX: usize = 8;

/// This machine as one of two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PairMember {
    pub is_primary: bool,
    pub key: PathBuf,
    pub links: Vec<PairLink>,
    pub failback: Failback,
    /// Without a witness; `None` = safety.
    pub policy: Option<PairPolicy>,
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
        let (mut auto, mut after, mut window, mut policy) = (false, None, None, None);
        let known = ["me", "key", "links", "policy", "failback", "failback_after", "failback_window"];
        self.each(entries, &known, |reader, name, value| match name {
            "me" => me = reader.choice(value, &["primary", "backup"]),
            "key" => key = Some(reader.path(value)),
            "links" => links = reader.links(value),
            "failback" => auto = reader.choice(value, &["auto", "manual"]).is_some_and(|word| word == "auto"),
            "policy" => policy = reader.policy(value),
            "failback_after" => after = reader.hold(value),
            _ => window = reader.window(value),
        });
        if !auto && (after.is_some() || window.is_some()) {
            self.wrong(
                section,
                "when the graph goes back is told, but it does not go back by itself",
                "failback = \"auto\"",
            );
        }
        let failback = match auto {
            true => Failback::Auto { after: after.unwrap_or(HOLD), window },
            false => Failback::Manual,
        };
        let whole = me.zip(key).filter(|_| !links.is_empty());
        let is_missing = |name: &&str| !entries.keys().any(|key| key.get_ref() == *name);
        let missing: Vec<String> = ["me", "key", "links"]
            .iter()
            .filter(|name| is_missing(name))
            .map(|name| format!("`{name}`"))
            .collect();
        if !missing.is_empty() {
            let help = "me = \"primary\", key = \"pair.key\" and links = [{ here = \"10.0.1.1:9470\", peer = \"10.0.1.2:9470\", witness = \"10.0.1.9:9470\" }]";
            self.wrong(section, &format!("a pair needs {}", missing.join(" and ")), help);
        }
        whole.map(|(me, key)| PairMember { is_primary: me == "primary", key, links, failback, policy })
    }

    fn policy(&mut self, value: &Value<'_>) -> Option<PairPolicy> {
        let word = self.choice(value, &["availability", "safety"])?;
        Some(if word == "availability" { PairPolicy::Availability } else { PairPolicy::Safety })
    }

    /// How long all must have been well before the graph goes back.
    fn hold(&mut self, value: &Value<'_>) -> Option<Duration> {
        let hold = crate::duration::parse_duration(&self.text(value)?).ok();
        let hold = hold.filter(|hold| (Duration::from_secs(1)..=HOLD_MAX).contains(hold));
        if hold.is_none() {
            self.wrong(value, "a time from 1 s to 4 h is expected here", "failback_after = \"10 min\"");
        }
        hold
    }

    fn window(&mut self, value: &Value<'_>) -> Option<Window> {
        let window = self.text(value)?.parse().ok();
        if window.is_none() {
            let help = "failback_window = \"01:00-05:00\"";
            self.wrong(value, "two times of day are expected here", help);
        }
        window
    }

    fn links(&mut self, value: &Value<'_>) -> Vec<PairLink> {
        let help =
            "links = [{ here = \"10.0.1.1:9470\", peer = \"10.0.1.2:9470\", witness = \"10.0.1.9:9470\" }]";
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong(value, "a list of links is expected here", help);
            return Vec::new();
        };
        if list.is_empty() {
            self.wrong(value, "a pair has at least one link", help);
        }
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
