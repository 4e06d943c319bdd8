//! A redundant set of servers: which of them to speak with (OPC UA Part 4, 6.6.2, non-transparent redundancy).
//!
//! ```text
//! open:   the one that was used last, then the others --- the first healthy one, else the one with the best level
//! later:  its level falls below healthy --> are others better? (beside what goes on) --> yes: change over
//! ```
//! A server that is healthy is stayed with, however much better others are: changing over costs a subscription.

use crate::dial::Dialer;
use crate::limits::{LEVEL_EVERY, SEARCH_EVERY};
use crate::link::Link;
use crate::prepare::Prepared;
use crate::security;
use futures_util::FutureExt;
use gwp_core::BoxFuture;
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::Session;
use opcua::types::{ReadValueId, VariableId, Variant};
use tokio::time::Instant;

/// A server from this level on is healthy; below 200 it is degraded, at 1 it has no data, at 0 it is in maintenance
/// (Part 4, 6.6.2.4.2).
const HEALTHY: u8 = 200;

/// ServiceLevel of a server; `None` if it does not tell, as one without redundancy may.
async fn level(session: &Session, log: &WireLog) -> Option<u8> {
    let wanted = ReadValueId::new_value(VariableId::Server_ServiceLevel.into());
    let values = crate::server::read(session, log, &[wanted], 1).await.ok()?;
    match values.first()?.value {
        Some(Variant::Byte(level)) => Some(level),
        _ => None,
    }
}

/// Looks after the level of the server that is used, and for a better one.
pub struct Levels<'a> {
    prepared: &'a Prepared,
    due: Instant,
    search: Option<BoxFuture<'static, Found>>,
}

/// What a search has come to.
pub struct Found {
    /// A session with a better server, and which.
    pub better: Option<(usize, Link)>,
    /// Servers that refuse the user: they are not asked again soon.
    pub refused: Vec<usize>,
}

impl<'a> Levels<'a> {
    pub fn new(prepared: &'a Prepared) -> Levels<'a> {
        Levels { prepared, due: Instant::now() + LEVEL_EVERY, search: None }
    }

    /// Looks at the level of the server that `dialer` has opened, if it is time.
    pub async fn look(&mut self, session: &Session, dialer: &Dialer<'_>) {
        let servers = self.prepared.options.servers();
        let now = Instant::now();
        if servers.len() < 2 || self.search.is_some() || now < self.due {
            return;
        }
        self.due = now + LEVEL_EVERY;
        let Some(level) = level(session, &self.prepared.options.log).await.filter(|level| *level < HEALTHY)
        else {
            return;
        };
        self.due = now + SEARCH_EVERY;
        tracing::warn!(source = %self.prepared.name, level, "the server says that it is not healthy; others of its set are asked");
        let others = servers.into_iter().enumerate();
        let others = others.filter(|(other, _)| *other != dialer.at && dialer.may_try(*other)).collect();
        self.search = Some(better(others, level, self.prepared.options.log.clone()).boxed());
    }

    /// What the search has come to; for ever if there is none. May be dropped and asked for anew.
    pub async fn found(&mut self) -> Found {
        let Some(search) = &mut self.search else { return std::future::pending().await };
        let found = search.await;
        self.search = None;
        found
    }
}

/// The best of the servers that were met so far; the others are left at once.
#[derive(Default)]
pub struct Best {
    /// Levels up to this one are not good enough.
    above: Option<u8>,
    found: Option<(u8, usize, Link)>,
}

impl Best {
    /// Takes a session with a server, or leaves it; whether that is healthy, so that there is no use in asking others.
    pub async fn offer(&mut self, at: usize, link: Link, log: &WireLog) -> bool {
        let level = level(&link.session, log).await.unwrap_or(0);
        let least = self.found.as_ref().map(|(level, ..)| *level).or(self.above);
        let worse = match least {
            Some(least) if level <= least => Some(link),
            _ => self.found.replace((level, at, link)).map(|(.., link)| link),
        };
        if let Some(worse) = worse {
            worse.close().await;
        }
        level >= HEALTHY
    }

    pub fn found(self) -> Option<(usize, Link)> {
        self.found.map(|(_, at, link)| (at, link))
    }
}

/// The best of some servers, if its level is above.
async fn better(servers: Vec<(usize, security::Options)>, above: u8, log: WireLog) -> Found {
    let mut best = Best { above: Some(above), found: None };
    let mut refused = Vec::new();
    for (at, options) in servers {
        match Link::open(&options).await {
            Ok(link) => {
                if best.offer(at, link, &log).await {
                    break;
                }
            }
            Err(error) if error.locks_out() => refused.push(at),
            Err(_) => {}
        }
    }
    Found { better: best.found(), refused }
}
