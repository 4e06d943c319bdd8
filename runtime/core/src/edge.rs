//! Bounded edges: credit, measured depth and blocked time.
//!
//! Credit is counted in samples, and a sample's text or bytes count beside it:
//! one for each started [`PAYLOAD_BYTES`]. So an edge bounds bytes, too.
//! ractor mailboxes are unbounded, so what bounds an edge is its credit: a
//! message carries a permit, and dropping the message gives it back. A dead
//! consumer therefore leaks none.

use crate::exit::ExitCheck;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Bytes of texts and bytes values that take as much credit as a sample.
pub const PAYLOAD_BYTES: usize = 64;

/// Credit of one edge.
#[derive(Clone, Debug)]
pub struct Edge {
    credit: Arc<Semaphore>,
    capacity: u32,
    pub meter: Arc<EdgeMeter>,
}

/// What an edge has seen; read by status and metrics.
#[derive(Debug, Default)]
pub struct EdgeMeter {
    /// Samples that have passed.
    pub samples: AtomicU64,
    /// Samples on the edge now.
    pub depth: AtomicU64,
    /// Nanoseconds its sender has waited for credit.
    pub blocked_ns: AtomicU64,
}

/// The right to have some samples on an edge; given back when dropped.
#[derive(Debug)]
pub struct Credit {
    _permit: OwnedSemaphorePermit,
    samples: u64,
    meter: Arc<EdgeMeter>,
    receipt: Option<oneshot::Sender<()>>,
    exit: Option<ExitCheck>,
}

/// Tells that what went with a credit has been taken over by the other end.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<()>);

impl Receipt {
    /// Waits until the other end has taken over: true; false when it never will.
    /// The future may be dropped and asked for anew until it has given its answer.
    pub async fn settled(&mut self) -> bool {
        (&mut self.0).await.is_ok()
    }
}

impl Credit {
    /// A receipt for what goes with this credit.
    pub fn receipt(&mut self) -> Receipt {
        let (giver, taker) = oneshot::channel();
        self.receipt = Some(giver);
        Receipt(taker)
    }

    /// Its receipt, if one is wanted, is only given if the exit is open by then: it lets a source
    /// make its device forget.
    pub fn behind(&mut self, exit: &ExitCheck) {
        if self.receipt.is_some() {
            self.exit = Some(exit.clone());
        }
    }

    /// Gives the credit back because what went with it is taken over: the log holds it. Hands on
    /// the receipt, if one is wanted, to be given when what was taken over may be seen outside.
    /// A credit that is only dropped gives no receipt.
    pub fn settle(mut self) -> Option<DueReceipt> {
        Some(DueReceipt { giver: self.receipt.take()?, exit: self.exit.take() })
    }
}

/// A receipt that is still to be given. Dropped, it never will be.
#[derive(Debug)]
pub struct DueReceipt {
    giver: oneshot::Sender<()>,
    exit: Option<ExitCheck>,
}

impl DueReceipt {
    /// Gives it, unless its exit is shut now: then it is never given.
    pub fn give(self) {
        if self.exit.is_none_or(|exit| exit.is_open()) {
            let _ = self.giver.send(());
        }
    }

    /// Whether anybody still waits for it.
    pub fn is_awaited(&self) -> bool {
        !self.giver.is_closed()
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.meter.depth.fetch_sub(self.samples, Relaxed);
    }
}

impl Edge {
    /// An edge that holds at most `capacity` samples without texts, at least one.
    pub fn new(capacity: u32) -> Self {
        Edge {
            credit: Arc::new(Semaphore::new(capacity.max(1) as usize)),
            capacity: capacity.max(1),
            meter: Arc::new(EdgeMeter::default()),
        }
    }

    /// Waits until `samples` with texts and bytes of `payload` bytes more fit (at least 1,
    /// at most the capacity are counted).
    pub async fn acquire(&self, samples: usize, payload: usize) -> Credit {
        let wanted = samples.saturating_add(payload.div_ceil(PAYLOAD_BYTES));
        let counted = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, self.capacity);
        let permit = match self.credit.clone().try_acquire_many_owned(counted) {
            Ok(permit) => permit,
            Err(_) => {
                let since = Instant::now();
                let permit = self.credit.clone().acquire_many_owned(counted).await;
                let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.meter.blocked_ns.fetch_add(waited, Relaxed);
                // The semaphore is never closed.
                permit.expect("an edge's semaphore is never closed")
            }
        };
        let samples = samples as u64;
        self.meter.samples.fetch_add(samples, Relaxed);
        self.meter.depth.fetch_add(samples, Relaxed);
        Credit { _permit: permit, samples, meter: self.meter.clone(), receipt: None, exit: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credit_bounds_the_edge_and_comes_back_when_dropped() {
        let edge = Edge::new(10);
        let first = edge.acquire(8, 0).await;
        assert_eq!(edge.meter.depth.load(Relaxed), 8);
        let waiting = tokio::spawn({
            let edge = edge.clone();
            async move { edge.acquire(5, 0).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        let second = waiting.await.unwrap();
        assert_eq!(edge.meter.depth.load(Relaxed), 5);
        assert!(edge.meter.blocked_ns.load(Relaxed) > 0);
        drop(second);
        // More than the capacity is still possible, one at a time.
        drop(edge.acquire(1_000, 0).await);
        assert_eq!(edge.meter.depth.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn only_a_settled_credit_gives_a_receipt() {
        let edge = Edge::new(10);
        let (mut kept, mut lost) = (edge.acquire(1, 0).await, edge.acquire(1, 0).await);
        let (mut first, mut second) = (kept.receipt(), lost.receipt());
        let due = kept.settle().unwrap();
        assert_eq!(edge.credit.available_permits(), 9, "credit does not wait for the receipt");
        assert!(due.is_awaited());
        due.give();
        drop(lost);
        assert!(first.settled().await);
        assert!(!second.settled().await);
        for open in [true, false] {
            let mut gated = edge.acquire(1, 0).await;
            let mut receipt = gated.receipt();
            gated.behind(&ExitCheck::new(move || open));
            gated.settle().unwrap().give();
            assert_eq!(receipt.settled().await, open);
        }
        let mut forgotten = edge.acquire(1, 0).await;
        drop(forgotten.receipt());
        assert!(!forgotten.settle().unwrap().is_awaited());
        assert!(edge.acquire(1, 0).await.settle().is_none());
        assert_eq!(edge.credit.available_permits(), 10);
    }

    #[tokio::test]
    async fn long_texts_take_more_credit_but_are_no_more_samples() {
        let edge = Edge::new(10);
        let text = edge.acquire(1, 8 * PAYLOAD_BYTES + 1).await;
        assert_eq!((edge.meter.depth.load(Relaxed), edge.credit.available_permits()), (1, 0));
        drop(text);
        assert_eq!((edge.meter.samples.load(Relaxed), edge.credit.available_permits()), (1, 10));
    }
}
