//! Keeping a connection up, beside the scan slots and never inside one.
//!
//! ```text
//!            ok: wire -> Supply                     lost (had answered)
//! Dialling ---------------------> Connected --------------------------> Dialling
//!   ^  | failed: Down -> Supply       | lost (never answered)
//!   |  v                              v
//!   +- waiting (back-off) <-----------+
//! ```
//! The polling side takes wires from a [`Supply`] and gives word when one is
//! lost. A connection that is dropped on purpose and comes back at once is no
//! change of `connected`. A source with several connections is connected while
//! one of them is: they share a [`Presence`].

use crate::wire::{Dial, Wire};
use gwp_core::backoff::Backoff;
use gwp_core::source::SourceContext;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// A connection attempt has failed; further ones follow with growing pauses.
#[derive(Debug)]
struct Down;

/// A wire is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// It worked until now: try again at once.
    Working,
    /// It never gave an answer: pause before the next attempt.
    Useless,
}

/// Whether a source is connected, by any of its connections.
pub struct Presence {
    cx: SourceContext,
    state: Mutex<State>,
}

/// Connections of a source by what is known of them.
struct State {
    /// Not tried to the end yet.
    untried: usize,
    up: usize,
    reported: Option<bool>,
}

impl Presence {
    /// Of so many connections, none of which has been tried yet.
    pub fn new(cx: SourceContext, connections: usize) -> Arc<Presence> {
        Arc::new(Presence { cx, state: Mutex::new(State { untried: connections, up: 0, reported: None }) })
    }

    /// One connection has changed from `before`.
    async fn changed(&self, before: Option<bool>, up: bool) {
        // Held over the report, so that reports come in the order of the changes.
        let mut state = self.state.lock().await;
        if before.is_none() {
            state.untried = state.untried.saturating_sub(1);
        }
        match (before, up) {
            (None | Some(false), true) => state.up += 1,
            (Some(true), false) => state.up = state.up.saturating_sub(1),
            _ => {}
        }
        let connected = state.up > 0;
        let is_known = connected || state.untried == 0;
        if is_known && state.reported.replace(connected) != Some(connected) {
            self.cx.connected(connected).await;
        } else if up {
            self.again();
        }
    }

    /// A connection was opened and `connected` did not change.
    fn again(&self) {
        self.cx.meter.connects.fetch_add(1, Relaxed);
    }
}

/// A wire that nobody has used for so long may have been closed by its device.
const STOOD: Duration = Duration::from_secs(1);

/// The connecting side.
pub struct Connector<W = Wire> {
    dial: Arc<dyn Dial<W>>,
    connect_timeout: Duration,
    backoff: Backoff,
    wires: mpsc::Sender<Result<(W, Instant), Down>>,
    lost: mpsc::Receiver<Lost>,
    presence: Arc<Presence>,
    name: Arc<str>,
}

/// The polling side.
#[derive(Debug)]
pub struct Supply<W = Wire> {
    wires: mpsc::Receiver<Result<(W, Instant), Down>>,
    lost: mpsc::Sender<Lost>,
    /// A wire may come at any moment: worth a wait. Else only a look.
    hopeful: bool,
    /// The wire taken last had stood for a while.
    had_stood: bool,
}

/// Both sides for one connection.
pub fn connector<W>(
    name: Arc<str>,
    dial: Arc<dyn Dial<W>>,
    connect_timeout: Duration,
    backoff: Backoff,
    presence: Arc<Presence>,
) -> (Connector<W>, Supply<W>) {
    let (wires_tx, wires) = mpsc::channel(1);
    let (lost, lost_rx) = mpsc::channel(1);
    let connector =
        Connector { dial, connect_timeout, backoff, wires: wires_tx, lost: lost_rx, presence, name };
    (connector, Supply { wires, lost, hopeful: true, had_stood: false })
}

impl<W> Supply<W> {
    /// The next wire; waits at most `patience`, and not at all once it is known that there is none.
    pub async fn take(&mut self, patience: Duration) -> Option<W> {
        loop {
            let item = if self.hopeful {
                tokio::time::timeout(patience, self.wires.recv()).await.ok().flatten()
            } else {
                self.wires.try_recv().ok()
            };
            self.hopeful = false;
            match item {
                Some(Ok((wire, since))) => {
                    self.had_stood = since.elapsed() >= STOOD;
                    return Some(wire);
                }
                // Behind the word of a failure may already stand the wire of a later attempt.
                Some(Err(Down)) => {}
                None => return None,
            }
        }
    }

    /// Whether the wire taken last had stood open for a while before anybody asked for it, as on a warm standby: found
    /// closed it is one that had worked.
    pub fn had_stood(&self) -> bool {
        self.had_stood
    }

    /// Gives word that the wire taken last is lost.
    pub fn lost(&mut self, lost: Lost) {
        self.hopeful = lost == Lost::Working;
        // One word per wire taken, so there is room for it.
        let _ = self.lost.try_send(lost);
    }
}

impl<W> Connector<W> {
    /// Connects, and connects again whenever the wire is lost; ends with its [`Supply`].
    pub async fn run(mut self) {
        let mut up = None;
        loop {
            match self.dial().await {
                Err(error) => {
                    let wait = self.backoff.wait();
                    if up != Some(false) {
                        tracing::warn!(source = %self.name, error = %error, "cannot connect, trying on");
                        self.report(&mut up, false).await;
                    } else {
                        tracing::debug!(source = %self.name, error = %error, wait_ms = wait.as_millis() as u64, "still cannot connect");
                    }
                    let _ = self.wires.try_send(Err(Down));
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Ok(wire) => {
                    if up == Some(true) {
                        self.presence.again();
                    } else {
                        tracing::info!(source = %self.name, "connected");
                        self.report(&mut up, true).await;
                    }
                    if self.wires.send(Ok((wire, Instant::now()))).await.is_err() {
                        return;
                    }
                }
            }
            match self.lost.recv().await {
                None => return,
                Some(Lost::Working) => self.backoff.reset(),
                Some(Lost::Useless) => {
                    if up == Some(true) {
                        tracing::warn!(source = %self.name, "the connection was lost before any answer");
                        self.report(&mut up, false).await;
                    }
                    tokio::time::sleep(self.backoff.wait()).await;
                }
            }
        }
    }

    async fn dial(&self) -> io::Result<W> {
        match tokio::time::timeout(self.connect_timeout, self.dial.dial()).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn report(&self, up: &mut Option<bool>, now: bool) {
        let before = up.replace(now);
        self.presence.changed(before, now).await;
    }
}
