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

use crate::client::{Client, Fault};
use crate::decode::Answer;
use crate::owed::Owed;
use crate::point::Span;
use crate::settings::Transport;
use crate::write::WriteRequest;
use gwp_core::Quality;
use gwp_core::source::SourceMeter;
use gwp_driver_kit::connector::{Lost, Supply};
use gwp_driver_kit::wire_log::WireLogs;
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
    /// Something went wrong: until then nothing may come, else the wait begins again.
    must_be_silent: bool,
    /// There has been a wire since the start.
    ever_connected: bool,
    outages: u32,
    meter: Arc<SourceMeter>,
    logs: WireLogs,
}

impl Link {
    pub fn new(
        supply: Supply,
        transport: Transport,
        timing: Timing,
        meter: Arc<SourceMeter>,
        logs: WireLogs,
    ) -> Link {
        Link {
            supply,
            client: None,
            transport,
            timing,
            owed: Owed::default(),
            proven: false,
            free_at: None,
            must_be_silent: false,
            ever_connected: false,
            outages: 0,
            meter,
            logs,
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
        self.connect().await?;
        let proven = self.proven;
        match self.attempt(unit, span).await {
            Err(Fault::Closed(_)) if proven => self.attempt(unit, span).await,
            result => result,
        }
    }

    /// Carries out a change on `unit`. What may have been sent is never sent again; only a connection
    /// that is found closed before is opened anew.
    pub async fn write(&mut self, unit: u8, request: &WriteRequest) -> Result<(), Fault> {
        self.connect().await?;
        if self.prepare().await.is_err() {
            self.hang_up(self.proven);
            self.connect().await?;
            if let Err(fault) = self.prepare().await {
                self.count(&fault);
                self.hang_up(false);
                return Err(Fault::Unavailable);
            }
        }
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        self.meter.requests.fetch_add(1, Relaxed);
        let result = client.write(unit, request, self.timing.timeout).await;
        if !self.timing.gap.is_zero() {
            self.free_at = Some(Instant::now() + self.timing.gap);
        }
        match &result {
            Ok(()) => {
                self.proven = true;
                // It answers in order, so nothing asked before can still come.
                self.owed.settle(unit);
            }
            Err(Fault::Exception(_)) => {
                self.proven = true;
                self.meter.errors.fetch_add(1, Relaxed);
            }
            Err(fault) => {
                self.count(fault);
                match (self.transport, fault) {
                    (Transport::Tcp, _) => self.hang_up(self.proven || matches!(fault, Fault::Timeout)),
                    (_, Fault::Closed(_)) => self.hang_up(self.proven),
                    _ => {
                        self.demand_silence();
                        if let Some(client) = &mut self.client {
                            client.reattach();
                        }
                    }
                }
            }
        }
        result
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
        self.demand_silence();
        self.owed.settle(unit);
        Ok(())
    }

    fn demand_silence(&mut self) {
        self.must_be_silent = true;
        self.free_at = Some(Instant::now() + self.quiet_time());
    }

    fn quiet_time(&self) -> Duration {
        QUIET_AFTER_FAULT.min(self.timing.timeout).max(self.timing.gap)
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        if self.client.is_some() {
            return Ok(());
        }
        match self.supply.take(self.timing.timeout).await {
            Some(wire) => {
                self.client = Some(Client::new(wire, self.transport.framing(), self.logs.clone()));
                self.proven = self.supply.had_stood();
                self.must_be_silent = false;
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
        if let Err(fault) = self.prepare().await {
            self.count(&fault);
            self.hang_up(self.proven);
            return Err(fault);
        }
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        self.meter.requests.fetch_add(1, Relaxed);
        let result = client.read(unit, span, self.timing.timeout).await;
        if !self.timing.gap.is_zero() {
            self.free_at = Some(Instant::now() + self.timing.gap);
        }
        match &result {
            Ok(_) => {
                self.proven = true;
                self.owed.settle(unit);
            }
            Err(fault) => {
                self.count(fault);
                self.recover(unit, span, fault);
            }
        }
        result
    }

    /// Waits until a request may be sent, and removes what nobody waits for.
    async fn prepare(&mut self) -> Result<(), Fault> {
        for _ in 0..QUIET_ROUNDS_MAX {
            if let Some(free_at) = self.free_at {
                tokio::time::sleep_until(free_at).await;
            }
            let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
            let stray = client.drain().await?;
            if stray == 0 {
                break;
            }
            if self.transport == Transport::Tcp {
                return Err(Fault::Broken(format!("{stray} bytes that nobody asked for")));
            }
            self.owed.stray(Instant::now());
            if !self.must_be_silent {
                break;
            }
            self.demand_silence();
        }
        self.must_be_silent = false;
        Ok(())
    }

    /// After a fault: nothing of this exchange may reach a later one.
    fn recover(&mut self, unit: u8, span: Span, fault: &Fault) {
        match fault {
            Fault::Exception(_) => {
                self.proven = true;
                if !self.owed.owes(unit, span.table) {
                    self.owed.settle(unit);
                    return;
                }
                // It may belong to an earlier request; then the answer to this one is still to come.
            }
            Fault::Stale { table, bytes } => {
                self.owed.came(unit, *table, *bytes);
                self.owed.stray(Instant::now());
            }
            _ => {}
        }
        if self.transport == Transport::Tcp {
            return self.hang_up(self.proven || matches!(fault, Fault::Timeout));
        }
        self.owed.add(unit, span, Instant::now());
        if let Fault::Closed(_) = fault {
            return self.hang_up(self.proven);
        }
        self.demand_silence();
        if let Some(client) = &mut self.client {
            client.reattach();
        }
    }

    fn count(&self, fault: &Fault) {
        let counter = if let Fault::Timeout = fault { &self.meter.timeouts } else { &self.meter.errors };
        counter.fetch_add(1, Relaxed);
    }

    fn hang_up(&mut self, working: bool) {
        self.client = None;
        self.proven = false;
        self.free_at = None;
        self.supply.lost(if working { Lost::Working } else { Lost::Useless });
    }
}
