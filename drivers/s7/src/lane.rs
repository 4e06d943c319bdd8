//! A lane: one connection of a source, with as many open requests as the PLC agrees to.
//!
//! A connection that had worked and turns out to be closed is opened again, once and at no charge.
//! Any other fault ends it: after a good answer the next attempt follows at once, without one the
//! connector pauses, and until then requests fail without waiting.

use crate::client::{Client, Fault, Values, number_of, values_of};
use crate::pack::Request;
use crate::protocol::Malformed;
use crate::protocol::refusal::ReturnCode;
use crate::protocol::telegram::Item;
use gwp_core::source::SourceMeter;
use gwp_driver_kit::connector::{Lost, Supply};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests that lanes share.
#[derive(Debug)]
pub struct Queue(Mutex<VecDeque<Request>>);

impl Queue {
    pub fn new(requests: Vec<Request>) -> Queue {
        Queue(Mutex::new(requests.into()))
    }

    fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What nobody has taken.
    pub fn left(self) -> VecDeque<Request> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and what came of it.
pub type Outcome = (Request, Result<Values, Fault>);

/// A request that was sent.
struct Open {
    reference: u16,
    items: Vec<Item>,
    request: Request,
}

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
        self.connect(patience).await.ok().map(|client| client.agreed().pdu)
    }

    async fn connect(&mut self, patience: Duration) -> Result<&mut Client, Fault> {
        if self.client.is_none() {
            self.client = self.supply.take(patience.min(self.timeout)).await;
            self.proven = self.client.is_some() && self.supply.had_stood();
            self.ever_connected |= self.client.is_some();
        }
        self.client.as_mut().ok_or(Fault::Unavailable)
    }

    /// Carries out shared requests until none is left or the connection is at fault. What was sent
    /// and is not answered by then goes back to the others, except the one that the fault is told of.
    pub async fn work(&mut self, queue: &Queue) -> Vec<Outcome> {
        let (mut outcomes, mut open) = (Vec::new(), VecDeque::new());
        let mut may_reopen = true;
        loop {
            let fault = match self.step(queue, &mut open).await {
                Ok(Some(outcome)) => {
                    outcomes.push(outcome);
                    continue;
                }
                Ok(None) => return outcomes,
                Err(fault) => fault,
            };
            may_reopen &= self.proven;
            self.learn(Some(&fault));
            let give_back = open.drain(..).rev().map(|open: Open| open.request);
            give_back.for_each(|request| queue.requests().push_front(request));
            if may_reopen && matches!(fault, Fault::Closed(_)) {
                may_reopen = false;
                continue;
            }
            let victim = queue.requests().pop_front();
            outcomes.extend(victim.map(|request| (request, Err(fault))));
            return outcomes;
        }
    }

    /// Sends what the PLC may be asked now, and takes one answer; `None` when nothing is left.
    async fn step(&mut self, queue: &Queue, open: &mut VecDeque<Open>) -> Result<Option<Outcome>, Fault> {
        let timeout = self.timeout;
        if open.is_empty() && queue.requests().is_empty() {
            return Ok(None);
        }
        self.connect(timeout).await?;
        let Some(client) = &mut self.client else { return Err(Fault::Unavailable) };
        if open.is_empty() {
            client.is_quiet().await?;
        }
        while open.len() < usize::from(client.agreed().jobs) {
            let Some(request) = queue.requests().pop_front() else { break };
            let items = request.items();
            match client.ask(&items).await {
                Ok(reference) => open.push_back(Open { reference, items, request }),
                Err(fault) => {
                    queue.requests().push_front(request);
                    return Err(fault);
                }
            }
            self.meter.requests.fetch_add(1, Relaxed);
        }
        if open.is_empty() {
            return Ok(None);
        }
        let answer = client.answer(timeout).await?;
        let number = number_of(&answer)?;
        let Some(at) = open.iter().position(|open| open.reference == number) else {
            return Err(Malformed::new(format!("the answer to request {number}, which is not open")).into());
        };
        let result = match open.get(at).map(|open| values_of(&answer, number, &open.items)) {
            Some(Err(fault @ Fault::Refused(_))) => {
                self.learn(Some(&fault));
                Err(fault)
            }
            Some(Ok(values)) => {
                self.learn(None);
                self.count_refused(&values);
                Ok(values)
            }
            Some(Err(fault)) => return Err(fault),
            None => return Err(Fault::Unavailable),
        };
        Ok(open.remove(at).map(|open| (open.request, result)))
    }

    fn count_refused(&self, values: &Values) {
        let refused = values.iter().filter(|value| value.is_err()).count();
        self.meter.errors.fetch_add(refused as u64, Relaxed);
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
            self.count_refused(values);
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
