//! Attempts to connect, and the pauses between them.
//!
//! A refused user or password is tried again after minutes only: most servers lock an account after a few
//! attempts. Whatever else is wrong is tried with the pauses of `reconnect`.

use crate::calls::{Call, What};
use crate::limits::{REFUSED_FIRST, REFUSED_MAX};
use crate::link::Link;
use crate::prepare::Prepared;
use crate::security::ConnectError;
use gwp_core::backoff::Backoff;
use gwp_core::command::CommandFault;
use gwp_core::sink::with_causes;
use gwp_core::source::SourceContext;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Why a command that came without a connection was not carried out.
pub const NO_CONNECTION: &str = "there is no connection to the server";

/// Attempts of one source.
pub struct Dialer<'a> {
    prepared: &'a Prepared,
    pauses: Backoff,
    pauses_of_refusals: Backoff,
    /// What was said last, so that it is not said again and again.
    told: String,
    attempts: usize,
}

impl<'a> Dialer<'a> {
    pub fn new(prepared: &'a Prepared) -> Dialer<'a> {
        let options = &prepared.options;
        Dialer {
            prepared,
            pauses: Backoff::new(options.reconnect_first, options.reconnect_max, &prepared.name),
            pauses_of_refusals: Backoff::new(REFUSED_FIRST, REFUSED_MAX, &prepared.name),
            told: String::new(),
            attempts: 0,
        }
    }

    /// One attempt.
    ///
    /// # Errors
    /// How long to wait before the next one. What was wrong stands in the log.
    pub async fn open(&mut self) -> Result<Link, Duration> {
        let Some(options) = &self.prepared.options.connection else {
            // Refused when the source was prepared.
            return Err(REFUSED_MAX);
        };
        self.attempts += 1;
        let call = Call::begin(&self.prepared.options.log, What("Connect, attempt", self.attempts));
        let opened = Link::open(options).await;
        match &opened {
            Ok(link) => call.ended(format_args!("security {}", link.context.mode)),
            Err(error) => call.ended(with_causes(error)),
        }
        match opened {
            Ok(link) => {
                let (source, server) = (&self.prepared.name, &link.context.server);
                tracing::info!(%source, url = options.url, server, security = %link.context.mode, "connected");
                for warning in &link.context.warnings {
                    tracing::warn!(%source, warning);
                }
                self.told.clear();
                Ok(link)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Says what is wrong, and how long to wait.
    pub fn failed(&mut self, error: &ConnectError) -> Duration {
        let pause = if error.locks_out() { self.pauses_of_refusals.wait() } else { self.pauses.wait() };
        let text = with_causes(error);
        if text != self.told {
            let (source, next_s) = (&self.prepared.name, pause.as_secs());
            if error.needs_person() {
                tracing::error!(%source, next_s, "{text}");
            } else {
                tracing::warn!(%source, next_s, "{text}");
            }
            self.told = text;
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
