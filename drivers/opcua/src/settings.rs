//! Settings of a source as typed values.
//!
//! The compiler has checked names, types and bounds and filled in defaults. Absent settings read as their
//! manifest's default, so a hand-made declaration works too.

use crate::access;
use crate::limits::SERVERS_MAX;
use crate::security;
use crate::tags::Stamp;
use gwp_core::manifest::SettingError;
use gwp_core::source::SourceDeclaration;
use gwp_driver_kit::settings::{error, present};
use gwp_driver_kit::wire_log::WireLog;
use std::time::Duration;

/// What a source's settings say.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None` while the address is a reference that only a node can resolve.
    pub connection: Option<security::Options>,
    /// Addresses of further servers of its redundant set.
    pub others: Vec<String>,
    pub polls: bool,
    pub publishing: Duration,
    /// In milliseconds, as the protocol has it.
    pub sampling_ms: f64,
    pub queue: u32,
    pub deadband: f64,
    pub keep_alive: Duration,
    pub lifetime: Duration,
    pub retry: Duration,
    /// As far back history is read after an outage; zero = it is not.
    pub history: Duration,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub reconnect_first: Duration,
    pub reconnect_max: Duration,
    pub stamp: Stamp,
    pub log: WireLog,
}

impl Options {
    /// Reads a declaration; what is wrong goes to `errors`.
    pub fn read(declaration: &SourceDeclaration, errors: &mut Vec<SettingError>) -> Options {
        let settings = &declaration.item.settings;
        let ms = Duration::from_millis;
        let duration = |name: &str, default| settings.duration(name).unwrap_or(default);
        let reconnect = settings.block("reconnect");
        let pause = |name: &str, default| reconnect.and_then(|block| block.duration(name)).unwrap_or(default);
        let publishing = duration("publishing", ms(500));
        let timeout = duration("timeout", ms(5_000));
        let connect_timeout = duration("connect_timeout", ms(15_000));
        const HELP: &str = "write `address = \"opc.tcp://10.1.4.40:4840\"`";
        let url = present(settings, "address", HELP, errors);
        let connection = url.and_then(|url| {
            let mut options = access::connection(settings, url, errors)?;
            options.session_timeout = duration("session_timeout", ms(30_000));
            options.request_timeout = timeout;
            options.connect_timeout = connect_timeout;
            options.session_name = format!("gwp {}", declaration.item.name);
            Some(options)
        });
        let others = settings.list("redundant").unwrap_or_default();
        if others.len() >= SERVERS_MAX {
            let message = format!("a redundant set has {SERVERS_MAX} servers at most");
            errors.push(error("redundant", message, "name fewer"));
        }
        if let Some(wrong) = others.iter().find(|url| !security::is_address(url)) {
            errors.push(error("redundant", format!("`{wrong}` is no address of a server"), HELP));
        }
        let sampling_ms = duration("sampling", publishing).as_secs_f64() * 1e3;
        let queue = settings.int("queue").and_then(|queue| u32::try_from(queue).ok()).unwrap_or(100).max(1);
        let needed = (publishing.as_secs_f64() * 1e3 / sampling_ms.max(1.0)).ceil();
        if sampling_ms >= 1.0 && f64::from(queue) < needed && settings.text("mode") != Some("poll") {
            let message =
                format!("a queue of {queue} is too short: {needed} changes may come between two reports");
            errors.push(error(
                "queue",
                message,
                format!("make `queue` {needed} or more, or `publishing` shorter"),
            ));
        }
        Options {
            connection,
            others: others.iter().map(|url| url.to_string()).collect(),
            polls: settings.text("mode") == Some("poll"),
            publishing,
            sampling_ms,
            queue,
            deadband: settings.float("deadband").unwrap_or(0.0),
            keep_alive: duration("keep_alive", ms(5_000)),
            lifetime: duration("lifetime", ms(300_000)),
            retry: duration("retry", ms(30_000)),
            history: duration("history", ms(3_600_000)),
            timeout,
            connect_timeout,
            reconnect_first: pause("first", ms(500)),
            reconnect_max: pause("max", ms(10_000)),
            log: WireLog::new(&declaration.item.name, settings),
            stamp: if declaration.device_time { Stamp::Device } else { Stamp::Arrival },
        }
    }

    /// The servers of the set, that of `address` first; none while the address is a reference.
    pub fn servers(&self) -> Vec<security::Options> {
        let Some(first) = &self.connection else { return Vec::new() };
        let other = |url: &String| security::Options { url: url.clone(), ..first.clone() };
        std::iter::once(first.clone()).chain(self.others.iter().map(other)).collect()
    }
}
