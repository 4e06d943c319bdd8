//! Attempts to connect, and the pauses between them.
//!
//! A refused user or password is tried again after minutes only: most servers lock an account after a few
//! attempts. Whatever else is wrong is tried with the pauses of `reconnect`.

use crate::calls::{Call, What};
use crate::limits::{NEXT_SERVER_AFTER, REFUSED_FIRST, REFUSED_MAX};
use crate::link::Link;
use crate::prepare::Prepared;
use crate::redundant::Best;
use crate::security::{self, ConnectError};
use gwp_core::backoff::Backoff;
use gwp_core::command::CommandFault;
use gwp_core::sink::with_causes;
use gwp_core::source::SourceContext;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Why a command that came without a connection was not carried out.
pub const NO_CONNECTION: &str = "there is no connection to the server";

/// Attempts of one source.
pub struct Dialer<'a> {
    prepared: &'a Prepared,
    pauses: Backoff,
    pauses_of_refusals: Backoff,
    /// What was said last of each server, so that it is not said again and again.
    told: Vec<String>,
    /// Which server of the set is used, or was last.
    pub at: usize,
    /// Servers that have refused the user are not asked before.
    not_before: Vec<Option<Instant>>,
    attempts: usize,
}

impl<'a> Dialer<'a> {
    pub fn new(prepared: &'a Prepared) -> Dialer<'a> {
        let options = &prepared.options;
        Dialer {
            prepared,
            pauses: Backoff::new(options.reconnect_first, options.reconnect_max, &prepared.name),
            pauses_of_refusals: Backoff::new(REFUSED_FIRST, REFUSED_MAX, &prepared.name),
            told: vec![String::new(); 1 + options.others.len()],
            at: 0,
            not_before: vec![None; 1 + options.others.len()],
            attempts: 0,
        }
    }

    /// One attempt.
    ///
    /// # Errors
    /// How long to wait before the next one. What was wrong stands in the log.
    pub async fn open(&mut self) -> Result<Link, Duration> {
        let servers = self.prepared.options.servers();
        let count = servers.len();
        let mut best = Best::default();
        // Without an address it was refused when the source was prepared.
        let mut pause = REFUSED_MAX;
        for step in 0..count {
            let at = (self.at + step) % count;
            let rest = self.rest(at);
            if count > 1 && !rest.is_zero() {
                pause = pause.min(rest);
                continue;
            }
            let mut options = servers[at].clone();
            if step + 1 < count {
                options.connect_timeout = options.connect_timeout.min(NEXT_SERVER_AFTER);
            }
            match self.attempt(&options).await {
                Ok(link) if count == 1 => return Ok(self.opened(at, link)),
                Ok(link) => {
                    if best.offer(at, link, &self.prepared.options.log).await {
                        break;
                    }
                }
                Err(error) => pause = pause.min(self.failed_at(at, &error)),
            }
        }
        best.found().map(|(at, link)| self.opened(at, link)).ok_or(pause)
    }

    /// How long a server of the set is not asked: it has refused the user of late.
    fn rest(&self, at: usize) -> Duration {
        let until = self.not_before.get(at).copied().flatten();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    pub fn may_try(&self, at: usize) -> bool {
        self.rest(at).is_zero()
    }

    /// A server has refused the user; how long it is left alone.
    pub fn refused(&mut self, at: usize) -> Duration {
        let pause = self.pauses_of_refusals.wait();
        if let Some(until) = self.not_before.get_mut(at) {
            *until = Some(Instant::now() + pause);
        }
        pause
    }

    /// One attempt at one server.
    async fn attempt(&mut self, options: &security::Options) -> Result<Link, ConnectError> {
        self.attempts += 1;
        let call = Call::begin(&self.prepared.options.log, What("Connect, attempt", self.attempts));
        let opened = Link::open(options).await;
        match &opened {
            Ok(link) => call.ended(format_args!("security {}", link.context.mode)),
            Err(error) => call.ended(with_causes(error)),
        }
        opened
    }

    /// A session stands with a server of the set.
    pub fn opened(&mut self, at: usize, link: Link) -> Link {
        let (source, server) = (&self.prepared.name, &link.context.server);
        tracing::info!(%source, url = link.context.url, server, security = %link.context.mode, "connected");
        for warning in &link.context.warnings {
            tracing::warn!(%source, warning);
        }
        self.at = at;
        self.told.iter_mut().for_each(String::clear);
        link
    }

    /// Says what is wrong with the server that was used, and how long to wait.
    pub fn failed(&mut self, error: &ConnectError) -> Duration {
        self.failed_at(self.at, error)
    }

    fn failed_at(&mut self, at: usize, error: &ConnectError) -> Duration {
        let pause = if error.locks_out() { self.refused(at) } else { self.pauses.wait() };
        let text = with_causes(error);
        if self.told.get(at) != Some(&text) {
            let (source, next_s) = (&self.prepared.name, pause.as_secs());
            if error.needs_person() {
                tracing::error!(%source, next_s, "{text}");
            } else {
                tracing::warn!(%source, next_s, "{text}");
            }
            if let Some(told) = self.told.get_mut(at) {
                *told = text;
            }
        }
        pause
    }

    /// The connection has proved itself.
    pub fn proved(&mut self) {
        self.pauses.reset();
        self.pauses_of_refusals.reset();
    }
}

/// Waits while whatever is to be written is refused.
pub async fn without_connection<T>(cx: &SourceContext, wait: impl Future<Output = T>) -> T {
    tokio::select! {
        done = wait => done,
        never = refuse(cx) => never,
    }
}

/// Goes on for ever.
async fn refuse<T>(cx: &SourceContext) -> T {
    loop {
        cx.commands.next().await.answer(Err(CommandFault::Failed(NO_CONNECTION.into())));
    }
}

/// Whether the connection has been reported, and reports of changes.
pub struct Presence {
    cx: SourceContext,
    reported: Option<bool>,
}

impl Presence {
    pub fn new(cx: SourceContext) -> Presence {
        Presence { cx, reported: None }
    }

    /// Whether this is news.
    pub fn is_news(&self, up: bool) -> bool {
        self.reported != Some(up)
    }

    /// The connection is up or down now; true if it was reported.
    pub async fn is(&mut self, up: bool) -> bool {
        if self.is_news(up) {
            self.reported = Some(up);
            self.cx.connected(up).await;
            return true;
        }
        if up {
            // Dropped and back at once: no change.
            self.cx.meter.connects.fetch_add(1, Relaxed);
        }
        false
    }
}
