//! Notifications on their way into the log, in their order.
//!
//! ```text
//! push -> arrived (bounded) -> outlet -> handed -> receipt: the log holds it -> to be acknowledged
//!                                   \-> bookmark: up to where, behind what it tells of
//! ```

use crate::bookmark::{PROGRESS, Progress};
use crate::limits::{UNSTORED_BYTES_MAX, UNSTORED_MESSAGES_MAX};
use crate::tags::Samples;
use gwp_core::edge::Receipt;
use gwp_core::record::SlotMark;
use gwp_core::source::{Emission, Outlet};
use gwp_core::{Batch, BoxFuture, Timestamp};
use std::collections::VecDeque;

/// A subscription and a sequence number of it.
pub type Number = (u32, u32);

/// The log takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFailed;

struct Arrived {
    batches: Vec<Batch>,
    payload: usize,
    number: Option<Number>,
    /// All of its subscription before this number is in what was pushed so far.
    upto: u32,
    newest: Option<Timestamp>,
}

struct Handed {
    /// Of its last batch; `None` if it has no samples.
    receipt: Option<Receipt>,
    payload: usize,
    number: Option<Number>,
}

/// What has come and is not in the log.
pub struct Queue {
    outlet: Outlet,
    arrived: VecDeque<Arrived>,
    handing: Option<BoxFuture<'static, Handed>>,
    handed: VecDeque<Handed>,
    payload: usize,
    /// Of what is handed over.
    progress: Progress,
}

impl Queue {
    /// Goes on from what the log has.
    pub fn new(outlet: Outlet, progress: Progress) -> Queue {
        Queue {
            outlet,
            arrived: VecDeque::new(),
            handing: None,
            handed: VecDeque::new(),
            payload: 0,
            progress,
        }
    }

    /// How far the log has come with what was handed over.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Newest time of a source that was handed over, in this run or before.
    pub fn newest(&self) -> Option<Timestamp> {
        self.progress.newest()
    }

    /// Of other subscriptions there is nothing to go on with, nor to acknowledge: their numbers may come again.
    pub fn only(&mut self, is_there: impl Fn(u32) -> bool) {
        self.progress.next.retain(|id, _| is_there(*id));
        let is_gone = |number: &mut Number| !is_there(number.0);
        for arrived in &mut self.arrived {
            arrived.number.take_if(is_gone);
        }
        for handed in &mut self.handed {
            handed.number.take_if(is_gone);
        }
    }

    /// Adds what no notification says.
    pub fn push_read(&mut self, samples: Samples) {
        self.push(samples, None, 0);
    }

    /// Adds what one notification says; `number` is to be acknowledged when the log holds it, and with it the log has all
    /// before `upto`.
    pub fn push(&mut self, samples: Samples, number: Option<Number>, upto: u32) {
        let Samples { payload, newest, .. } = samples;
        self.payload = self.payload.saturating_add(payload);
        self.arrived.push_back(Arrived { batches: samples.into_batches(), payload, number, upto, newest });
    }

    /// Whether more may be fetched from the server.
    pub fn has_room(&self) -> bool {
        self.arrived.len() + self.handed.len() < UNSTORED_MESSAGES_MAX && self.payload < UNSTORED_BYTES_MAX
    }

    /// Whether all has been handed over, though not stored.
    fn is_handed(&self) -> bool {
        self.arrived.is_empty() && self.handing.is_none()
    }

    pub fn is_empty(&self) -> bool {
        self.is_handed() && self.handed.is_empty()
    }

    /// Waits until the log holds the next one; for ever if there is none. The future may be dropped and asked for
    /// anew.
    ///
    /// # Errors
    /// The log takes no more.
    pub async fn stored(&mut self) -> Result<Option<Number>, LogFailed> {
        loop {
            self.hand_over();
            tokio::select! {
                stored = settled(self.handed.front_mut()) => {
                    let Some(handed) = self.handed.pop_front().filter(|_| stored) else { return Err(LogFailed) };
                    self.payload = self.payload.saturating_sub(handed.payload);
                    return Ok(handed.number);
                }
                handed = of(&mut self.handing) => {
                    self.handing = None;
                    self.handed.push_back(handed);
                }
            }
        }
    }

    /// Waits until all is handed over, so that what is emitted next comes after it.
    pub async fn all_handed(&mut self) {
        while !self.is_handed() {
            self.hand_over();
            let handed = of(&mut self.handing).await;
            self.handing = None;
            self.handed.push_back(handed);
        }
    }

    fn hand_over(&mut self) {
        if self.handing.is_none()
            && let Some(Arrived { batches, payload, number, upto, newest }) = self.arrived.pop_front()
        {
            let outlet = self.outlet.clone();
            let bookmark = number.map(|(subscription, _)| {
                self.progress.reached((subscription, upto), newest);
                self.progress.to_bytes()
            });
            self.handing = Some(Box::pin(async move {
                let mut receipt = None;
                for batch in batches {
                    let emission = Emission::Samples { slot: SlotMark::default(), batch };
                    receipt = outlet.emit_for_receipt(emission).await;
                }
                if let Some(bookmark) = bookmark {
                    outlet.set_bookmark(PROGRESS, bookmark).await;
                }
                Handed { receipt, payload, number }
            }));
        }
    }
}

/// The future that is there, or none that ever completes.
async fn of<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// True when the log holds it; waits for ever if there is none.
async fn settled(handed: Option<&mut Handed>) -> bool {
    match handed {
        Some(Handed { receipt: Some(receipt), .. }) => receipt.settled().await,
        Some(Handed { receipt: None, .. }) => true,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::{Stamp, Tags, Told};
    use crate::value::Reading;
    use futures_util::FutureExt;
    use gwp_core::edge::{Credit, Edge};
    use gwp_core::{GroupId, Quality, TagId, Timestamp, Value};
    use std::sync::{Arc, Mutex};

    /// What a log has taken and not stored.
    type Taken = Arc<Mutex<VecDeque<Credit>>>;

    fn queue() -> (Queue, Taken) {
        let taken = Taken::default();
        let hand = {
            let taken = taken.clone();
            move |emission, credit| {
                if !matches!(emission, Emission::Bookmark { .. }) {
                    taken.lock().unwrap().push_back(credit);
                }
            }
        };
        (Queue::new(Outlet::new(Edge::new(1_000), Arc::new(hand)), Progress::default()), taken)
    }

    fn sample(value: &str) -> Samples {
        let mut tags = Tags::new([(TagId(0), GroupId(0))], Stamp::Arrival);
        let mut samples = Samples::default();
        let reading = Reading { value: Value::Text(value.into()), ..Reading::bad(Quality::GOOD) };
        tags.take(0, reading, (Told::Now, Timestamp(1)), &mut samples);
        samples
    }

    fn store(taken: &Taken) {
        let credit = taken.lock().unwrap().pop_front().expect("something was handed over");
        credit.settle().expect("a receipt is wanted").give();
    }

    #[test]
    fn a_number_comes_back_when_the_log_holds_it_and_not_before() {
        let (mut queue, taken) = queue();
        queue.push(sample("a"), Some((1, 5)), 6);
        queue.push(Samples::default(), Some((1, 6)), 7);
        assert_eq!(queue.stored().now_or_never(), None);
        assert_eq!(taken.lock().unwrap().len(), 1);
        store(&taken);
        assert_eq!(queue.stored().now_or_never(), Some(Ok(Some((1, 5)))));
        assert_eq!(queue.stored().now_or_never(), Some(Ok(Some((1, 6)))), "it has no samples");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_log_that_takes_no_more_gives_none_back() {
        let (mut queue, taken) = queue();
        queue.push(sample("a"), Some((1, 5)), 6);
        assert_eq!(queue.stored().now_or_never(), None);
        taken.lock().unwrap().clear();
        assert_eq!(queue.stored().now_or_never(), Some(Err(LogFailed)));
    }

    #[test]
    fn what_the_log_does_not_hold_is_bounded() {
        let (mut messages, _taken) = queue();
        for number in 0..UNSTORED_MESSAGES_MAX {
            assert!(messages.has_room());
            messages.push(sample("a"), Some((1, number as u32)), number as u32 + 1);
        }
        assert!(!messages.has_room());
        let (mut long, taken) = queue();
        long.push_read(sample(&"x".repeat(UNSTORED_BYTES_MAX)));
        assert!(!long.has_room());
        assert_eq!(long.stored().now_or_never(), None);
        store(&taken);
        assert_eq!(long.stored().now_or_never(), Some(Ok(None)));
        assert!(long.has_room());
    }
}
