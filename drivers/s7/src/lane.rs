//! A lane: one connection of a source, one request at a time.
//!
//! A connection that had worked and turns out to be closed is opened again, once and at no charge.
//! Any other fault ends it: after a good answer the next attempt follows at once, without one the
//! connector pauses, and until then requests fail without waiting.

use crate::client::{Client, Fault, Values};
use crate::protocol::refusal::ReturnCode;
use crate::protocol::telegram::Item;
use gwp_core::source::SourceMeter;
use gwp_driver_kit::connector::{Lost, Supply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One connection, or the way to the next.
pub struct Lane {
    supply: Supply<Client>,
    client: Option<Client>,
    timeout: Duration,
    /// The connection has given an answer since it was opened.
    proven: bool,
    ever_connected: bool,
    meter: Arc<SourceMeter>,
}

impl Lane {
    pub fn new(supply: Supply<Client>, timeout: Duration, meter: Arc<SourceMeter>) -> Lane {
        Lane { supply, client: None, timeout, proven: false, ever_connected: false, meter }
    }

    /// There has been a connection since the start.
    pub fn ever_connected(&self) -> bool {
        self.ever_connected
    }

    /// There is a connection, as far as is known.
    pub fn is_up(&self) -> bool {
        self.client.is_some()
    }

    /// The PDU of the connection, waiting for one at most `patience`.
    pub async fn pdu(&mut self, patience: Duration) -> Option<u16> {
        self.connect(patience).await.ok().map(|client| client.pdu())
    }

    async fn connect(&mut self, patience: Duration) -> Result<&mut Client, Fault> {
        if self.client.is_none() {
            self.client = self.supply.take(patience.min(self.timeout)).await;
            self.proven = false;
            self.ever_connected |= self.client.is_some();
        }
        self.client.as_mut().ok_or(Fault::Unavailable)
    }

    /// Reads items; one result for each.
    pub async fn read(&mut self, items: &[Item]) -> Result<Values, Fault> {
        let proven = self.proven;
        match self.attempt(items).await {
            Err(Fault::Closed(_)) if proven => self.attempt(items).await,
            result => result,
        }
    }

    async fn attempt(&mut self, items: &[Item]) -> Result<Values, Fault> {
        let timeout = self.timeout;
        self.connect(timeout).await?;
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        let result = match client.is_quiet().await {
            Ok(()) => {
                self.meter.requests.fetch_add(1, Relaxed);
                client.read(items, timeout).await
            }
            Err(fault) => Err(fault),
        };
        if let Ok(values) = &result {
            let refused = values.iter().filter(|value| value.is_err()).count();
            self.meter.errors.fetch_add(refused as u64, Relaxed);
        }
        self.learn(result.as_ref().err());
        result
    }

    /// Gives one item a value. What may have been sent is never sent again; only a connection that
    /// is found closed before is opened anew.
    pub async fn write(&mut self, item: &Item, bytes: &[u8]) -> Result<Result<(), ReturnCode>, Fault> {
        let timeout = self.timeout;
        if let Err(fault) = self.connect(timeout).await?.is_quiet().await {
            self.learn(Some(&fault));
            if let Err(fault) = self.connect(timeout).await?.is_quiet().await {
                self.learn(Some(&fault));
                return Err(Fault::Unavailable);
            }
        }
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        self.meter.requests.fetch_add(1, Relaxed);
        let result = client.write(item, bytes, timeout).await;
        if let Ok(Err(_)) = result {
            self.meter.errors.fetch_add(1, Relaxed);
        }
        self.learn(result.as_ref().err());
        result
    }

    /// What an exchange says of the connection.
    fn learn(&mut self, fault: Option<&Fault>) {
        let Some(fault) = fault else {
            self.proven = true;
            return;
        };
        let counter = if let Fault::Timeout = fault { &self.meter.timeouts } else { &self.meter.errors };
        counter.fetch_add(1, Relaxed);
        match fault {
            // The PLC has answered.
            Fault::Refused(_) => self.proven = true,
            Fault::TooLong(_) | Fault::Unavailable => {}
            Fault::Timeout | Fault::Broken(_) | Fault::Closed(_) => {
                let lost = if self.proven { Lost::Working } else { Lost::Useless };
                self.client = None;
                self.proven = false;
                self.supply.lost(lost);
            }
        }
    }
}
