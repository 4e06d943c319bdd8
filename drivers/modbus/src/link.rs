//! A link: one physical line or connection, one request at a time.
//!
//! The rule above all others: an answer that comes late is never taken for
//! the answer to a later request. On TCP every timeout and every mismatch ends
//! the connection, and late bytes end with it. On RTU the line is given time
//! to fall silent, what has come is thrown away, and [`Owed`] decides whether
//! a request can be told apart from what may still come.
//!
//! ```text
//! owed answers     request           what is sent first
//! none alike       any               nothing
//! some alike       2 values or more  a shorter read of the same, unlike all owed
//! all alike        any               over TCP: a new connection; on a line: nothing at
//!                                    all, until it was silent for five timeouts
//! ```

use crate::client::{Client, Fault, Framing};
use crate::connector::{Lost, Supply};
use crate::decode::Answer;
use crate::owed::Owed;
use crate::point::Span;
use crate::settings::Transport;
use gwp_core::Quality;
use gwp_core::source::SourceMeter;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Silence that RTU needs after a fault before the line is used again, at most the timeout.
const QUIET_AFTER_FAULT: Duration = Duration::from_millis(100);

/// A request that cannot be told apart from an owed answer waits for so many timeouts of silence.
const OWED_TIMEOUTS: u32 = 5;

/// A line that is never silent is used again after so many such times.
const QUIET_ROUNDS_MAX: usize = 10;

/// Times of one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// From a request to its whole answer.
    pub timeout: Duration,
    /// Silence before each request.
    pub gap: Duration,
}

/// One request at a time over one wire.
pub struct Link {
    supply: Supply,
    client: Option<Client>,
    transport: Transport,
    timing: Timing,
    owed: Owed,
    /// The wire has given an answer since it was opened.
    proven: bool,
    /// No request before this moment.
    free_at: Option<Instant>,
    /// Silence that is due before the next request because something went wrong.
    quiet_due: Duration,
    /// There has been a wire since the start.
    ever_connected: bool,
    outages: u32,
    meter: Arc<SourceMeter>,
}

impl Link {
    pub fn new(supply: Supply, transport: Transport, timing: Timing, meter: Arc<SourceMeter>) -> Link {
        Link {
            supply,
            client: None,
            transport,
            timing,
            owed: Owed::default(),
            proven: false,
            free_at: None,
            quiet_due: Duration::ZERO,
            ever_connected: false,
            outages: 0,
            meter,
        }
    }

    /// Quality of points that cannot be asked for because there is no connection.
    pub fn unavailable(&self) -> Quality {
        if self.ever_connected { Quality::COMM_LOST } else { Quality::NOT_CONNECTED }
    }

    /// How often there was no connection when one was needed.
    pub fn outages(&self) -> u32 {
        self.outages
    }

    /// Reads `span` from `unit`. A connection that had worked and turns out to be closed is opened
    /// again, once and at no charge.
    pub async fn read(&mut self, unit: u8, span: Span) -> Result<Answer, Fault> {
        let proven = self.proven;
        match self.attempt(unit, span).await {
            Err(Fault::Closed(_)) if proven => self.attempt(unit, span).await,
            result => result,
        }
    }

    async fn attempt(&mut self, unit: u8, span: Span) -> Result<Answer, Fault> {
        self.connect().await?;
        if self.owed.is_ambiguous(unit, span) {
            match self.owed.distinct_read(unit, span) {
                Some(shorter) => drop(self.exchange(unit, shorter).await?),
                None => self.outlast(unit).await?,
            }
        }
        self.exchange(unit, span).await
    }

    /// Gets rid of owed answers that no request could be told apart from.
    async fn outlast(&mut self, unit: u8) -> Result<(), Fault> {
        if self.transport == Transport::RtuTcp {
            // What is late comes over the old connection.
            self.hang_up(true);
            self.connect().await?;
        } else if !self.owed.is_expired(unit, self.timing.timeout * OWED_TIMEOUTS, Instant::now()) {
            return Err(Fault::Owed);
        }
        self.quiet_due = self.quiet_after_fault();
        self.owed.settle(unit);
        Ok(())
    }

    fn quiet_after_fault(&self) -> Duration {
        QUIET_AFTER_FAULT.min(self.timing.timeout).max(self.timing.gap)
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        if self.client.is_some() {
            return Ok(());
        }
        match self.supply.take(self.timing.timeout).await {
            Some(wire) => {
                self.client = Some(Client::new(wire, self.transport.framing()));
                self.proven = false;
                self.quiet_due = Duration::ZERO;
                self.ever_connected = true;
                Ok(())
            }
            None => {
                self.outages = self.outages.wrapping_add(1);
                Err(Fault::Unavailable)
            }
        }
    }

    /// One request, one answer, and what follows from it for the link.
    async fn exchange(&mut self, unit: u8, span: Span) -> Result<Answer, Fault> {
        let result = match self.prepare().await {
            Ok(()) => {
                self.meter.requests.fetch_add(1, Relaxed);
                match &mut self.client {
                    Some(client) => client.read(unit, span, self.timing.timeout).await,
                    None => Err(Fault::Unavailable),
                }
            }
            Err(fault) => Err(fault),
        };
        if !self.timing.gap.is_zero() {
            self.free_at = Some(Instant::now() + self.timing.gap);
        }
        match &result {
            Ok(_) => {
                self.proven = true;
                self.owed.settle(unit);
            }
            Err(Fault::Exception(_)) => {
                self.proven = true;
                self.meter.errors.fetch_add(1, Relaxed);
            }
            Err(Fault::Timeout) => {
                self.meter.timeouts.fetch_add(1, Relaxed);
                self.recover(unit, span, true);
            }
            Err(Fault::Broken(_)) => {
                self.meter.errors.fetch_add(1, Relaxed);
                self.recover(unit, span, self.proven);
            }
            Err(Fault::Stale { table, bytes }) => {
                self.meter.errors.fetch_add(1, Relaxed);
                self.owed.came(unit, *table, *bytes);
                self.owed.stray(Instant::now());
                self.recover(unit, span, self.proven);
            }
            Err(Fault::Closed(_)) => {
                self.meter.errors.fetch_add(1, Relaxed);
                self.hang_up(self.proven);
            }
            Err(Fault::Unavailable | Fault::Owed) => {}
        }
        result
    }

    /// Waits for the silence that is due and removes what nobody waits for.
    async fn prepare(&mut self) -> Result<(), Fault> {
        if !self.quiet_due.is_zero() {
            self.fall_silent(self.quiet_due).await?;
            self.quiet_due = Duration::ZERO;
        } else if let Some(free_at) = self.free_at {
            tokio::time::sleep_until(free_at).await;
        }
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        match (client.drain().await?, self.transport.framing()) {
            (0, _) => Ok(()),
            (_, Framing::Rtu) => {
                self.owed.stray(Instant::now());
                Ok(())
            }
            (bytes, Framing::Tcp) => Err(Fault::Broken(format!("{bytes} bytes that nobody asked for"))),
        }
    }

    /// Waits until nothing has come for `quiet`.
    async fn fall_silent(&mut self, quiet: Duration) -> Result<(), Fault> {
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        for _ in 0..QUIET_ROUNDS_MAX {
            tokio::time::sleep(quiet).await;
            if client.drain().await? == 0 {
                break;
            }
            self.owed.stray(Instant::now());
        }
        Ok(())
    }

    /// After a fault on an open wire: nothing of this exchange may reach the next one.
    fn recover(&mut self, unit: u8, span: Span, working: bool) {
        match self.transport.framing() {
            Framing::Tcp => self.hang_up(working),
            Framing::Rtu => {
                self.owed.add(unit, span, Instant::now());
                self.quiet_due = self.quiet_after_fault();
                if let Some(client) = &mut self.client {
                    client.reattach();
                }
            }
        }
    }

    fn hang_up(&mut self, working: bool) {
        self.client = None;
        self.proven = false;
        self.supply.lost(if working { Lost::Working } else { Lost::Useless });
    }
}
