//! A standby hands over what it has set aside, a batch at a time, while it follows.
//!
//! ```text
//! rests --> asks --KeptBy--> reaches the place --> makes --batch--> waits --KeptBy--> reaches the place --> rests
//!   ^        what was handed over before,            |               at most one            it is in both logs,
//!   |        is in the copy that is compared         |                                      durably: noted
//!   +------------------ nothing more ----------------+
//! ```
//! Nothing of it is kept over a connection: the next one asks first. What was under way then may be in the log or not;
//! the copy says, and it is handed over again or not. Frames never wait for any of it, and it rests for as long as a
//! batch took, so that it has half of the time at most.

use crate::limits::{TAIL_REST_MAX, TAILS_LOOKED_AT_EVERY};
use gwp_journal::LogReader;
use gwp_redundancy::mirror::Place;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What a node has set aside.
pub trait Tails: Send + Sync {
    /// Whether there is anything. Does not wait.
    fn any(&self) -> bool;

    /// The next readings that `log` lacks, as [`encode_facts`](gwp_journal::encode_facts) writes them; none if there
    /// are none that could be handed over now. Blocks; soon after `is_over` says so it gives none.
    fn next(&self, log: &mut LogReader, is_over: &dyn Fn() -> bool) -> Option<Arc<[u8]>>;

    /// Those given last are in the log here, durably, but for so many that were refused as they are of another plan.
    /// Blocks.
    fn handed_over(&self, refused: u32);
}

/// How far a node is with it.
#[derive(Debug)]
pub(crate) struct HandingOver {
    state: State,
    /// The log here holds what was handed over so far.
    is_level: bool,
    /// When the batch under way was begun.
    began: Instant,
    /// Refused readings of a batch that is handed over, until that is noted.
    unnoted: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Rests {
        until: Instant,
    },
    /// For the answer; `is_batch`: to readings, and not to the question alone.
    Waits {
        is_batch: bool,
    },
    Reaches {
        place: Place,
        is_batch: bool,
        refused: u32,
    },
    Makes,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Nothing,
    /// Ask by which place all is kept that was handed over before.
    Ask,
    /// Note what is handed over, if something is, and make the next batch.
    Make {
        note: Option<u32>,
    },
}

/// An answer to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAsked;

impl HandingOver {
    /// Of a connection that begins.
    pub fn new(now: Instant) -> HandingOver {
        HandingOver { state: State::Rests { until: now }, is_level: false, began: now, unnoted: None }
    }

    /// Completes when [`HandingOver::due`] has something to say.
    pub async fn rested(&self) {
        match self.state {
            State::Rests { until } => tokio::time::sleep_until(until).await,
            _ => std::future::pending().await,
        }
    }

    /// What is to be done now; `any`: something is set aside.
    pub fn due(&mut self, now: Instant, any: bool) -> Due {
        match self.state {
            State::Rests { until } if until <= now => {}
            _ => return Due::Nothing,
        }
        if self.is_level {
            self.begin(now)
        } else if any {
            self.state = State::Waits { is_batch: false };
            Due::Ask
        } else {
            self.state = State::Rests { until: now + TAILS_LOOKED_AT_EVERY };
            Due::Nothing
        }
    }

    fn begin(&mut self, now: Instant) -> Due {
        (self.state, self.began) = (State::Makes, now);
        Due::Make { note: self.unnoted.take() }
    }

    /// The next batch is made, or there is none. True if it is to be sent.
    pub fn made(&mut self, now: Instant, is_some: bool) -> bool {
        self.state = match is_some {
            true => State::Waits { is_batch: true },
            false => State::Rests { until: now + TAILS_LOOKED_AT_EVERY },
        };
        self.is_level &= is_some;
        is_some
    }

    /// The active's answer.
    ///
    /// # Errors
    /// Nothing waits for one.
    pub fn kept_by(&mut self, place: Place, refused: u32) -> Result<(), NotAsked> {
        let State::Waits { is_batch } = self.state else { return Err(NotAsked) };
        self.state = State::Reaches { place, is_batch, refused };
        Ok(())
    }

    /// The copy here is durable up to there.
    pub fn reached(&mut self, now: Instant, durable: Place) -> Due {
        let State::Reaches { place, is_batch, refused } = self.state else { return Due::Nothing };
        if durable < place {
            return Due::Nothing;
        }
        if !is_batch {
            self.is_level = true;
            return self.begin(now);
        }
        self.unnoted = Some(refused);
        let rest = match refused {
            0 => now.duration_since(self.began).min(TAIL_REST_MAX),
            // Another plan is in force there: it comes with the copy.
            _ => Duration::from_secs(1),
        };
        self.state = State::Rests { until: now + rest };
        Due::Nothing
    }
}

/// A batch that is being made, on a thread that blocks.
#[derive(Default)]
pub(crate) struct Making {
    task: Option<JoinHandle<Option<Arc<[u8]>>>>,
    is_over: Arc<AtomicBool>,
}

impl Making {
    /// Begins with one; `note`: first, what was handed over is noted.
    pub fn begin(&mut self, tails: &Arc<dyn Tails>, mut log: LogReader, note: Option<u32>) {
        let (tails, is_over) = (tails.clone(), self.is_over.clone());
        self.task = Some(tokio::task::spawn_blocking(move || {
            note.into_iter().for_each(|refused| tails.handed_over(refused));
            tails.next(&mut log, &|| is_over.load(Relaxed))
        }));
    }

    /// Completes when it is made.
    pub async fn done(&mut self) -> Option<Arc<[u8]>> {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let made = task.await;
        self.task = None;
        made.ok().flatten()
    }

    /// Gives up what is being made; `waits` until nothing reads the log any more.
    pub async fn end(&mut self, waits: bool) {
        self.is_over.store(true, Relaxed);
        if let Some(task) = self.task.take().filter(|_| waits) {
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Position;

    fn at(seq: u64) -> Place {
        Place::log(Position::new(2, seq))
    }

    #[test]
    fn a_batch_is_noted_when_both_logs_hold_it_and_the_next_one_is_not_begun_before() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut handing = HandingOver::new(start);
        assert_eq!(handing.due(start, true), Due::Ask);
        assert_eq!(handing.due(after(9), true), Due::Nothing, "it waits");
        assert_eq!(handing.reached(start, at(99)), Due::Nothing);
        handing.kept_by(at(5), 0).unwrap();
        assert_eq!(handing.kept_by(at(6), 0), Err(NotAsked));
        assert_eq!(
            handing.reached(after(10), at(4)),
            Due::Nothing,
            "the copy that is compared lacks something"
        );
        assert_eq!(handing.reached(after(10), at(5)), Due::Make { note: None });
        assert!(handing.made(after(20), true));
        assert_eq!(
            handing.reached(after(20), at(99)),
            Due::Nothing,
            "the active has not said that it has it"
        );
        handing.kept_by(at(8), 0).unwrap();
        assert_eq!(handing.reached(after(50), at(7)), Due::Nothing);
        assert_eq!(handing.reached(after(60), at(8)), Due::Nothing);
        assert_eq!(handing.due(after(109), true), Due::Nothing, "it rests as long as that took");
        assert_eq!(handing.due(after(110), true), Due::Make { note: Some(0) });
        assert!(!handing.made(after(120), false));
        assert_eq!(handing.due(after(130), true), Due::Nothing);
        let later = after(120) + TAILS_LOOKED_AT_EVERY;
        assert_eq!(handing.due(later, true), Due::Ask, "what was handed over meanwhile is not known");
    }

    #[test]
    fn what_is_refused_is_told_and_with_nothing_aside_nothing_is_asked() {
        let start = Instant::now();
        let mut handing = HandingOver::new(start);
        assert_eq!(handing.due(start, false), Due::Nothing);
        assert_eq!(handing.kept_by(at(5), 0), Err(NotAsked));
        let start = start + TAILS_LOOKED_AT_EVERY;
        assert_eq!(handing.due(start, true), Due::Ask);
        handing.kept_by(at(5), 0).unwrap();
        assert_eq!(handing.reached(start, at(5)), Due::Make { note: None });
        assert!(handing.made(start, true));
        handing.kept_by(at(6), 3).unwrap();
        assert_eq!(handing.reached(start, at(6)), Due::Nothing);
        assert_eq!(handing.due(start, true), Due::Nothing);
        assert_eq!(handing.due(start + Duration::from_secs(1), true), Due::Make { note: Some(3) });
    }
}
