//! The active's side of the mirror: what to send next, what may leave, when to go on alone.
//!
//! ```text
//!            waited T_solo          registered             all is sent to the peer
//!   Clear ----------------> Asked -------------> Solo ------------------------------> Pairing
//!     ^  <----refused-------                      ^  <----link lost, waited T_solo----   |
//!     |                                                                                  | peer has what
//!     +------- cleared ------- Clearing <------------------------------------------------+ left alone
//!
//!   Inherited (found set at activation): like Clear, and Clearing once the peer has this log
//! ```
//!
//! The mark stands for "the peer may lack what has been delivered". So nothing leaves alone
//! before it is registered, and it is taken back only when the gate is shut again to what the
//! peer lacks and the peer has all that left through it.

use super::place::{Head, Place};
use crate::limits;
use crate::mono::Mono;
use std::collections::VecDeque;

/// What must hold an entry before it may leave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MirrorMode {
    /// Both disks. The claims of the pair are made for this.
    #[default]
    BeforeSend,
    /// The own disk and the peer's memory.
    Memory,
    /// The own disk alone. After a takeover the order holds only up to `backfill`.
    Local,
}

/// What the active wants of who keeps the mark (the witness; without one, its own superblock).
/// Asked for until it is answered; requests are carried out in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wish {
    /// Register that entries after `since` may be delivered without the peer having them.
    Solo { since: Place },
    /// The peer has everything that was delivered: take the mark back.
    Clear,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Mark {
    Clear,
    Inherited { until: Place },
    Asked { inherited: Option<Place> },
    Solo,
    Pairing { released: Place },
    Clearing,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Link {
    sent: Place,
    /// Frames under way or in the peer's memory, in order, with their bytes.
    in_flight: VecDeque<(Place, u32)>,
    in_flight_bytes: u64,
}

/// Progress of the active's store here and there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ActiveSide {
    mode: MirrorMode,
    t_solo_ns: u64,
    window_bytes: u64,
    own: Place,
    peer_received: Place,
    peer_durable: Place,
    link: Option<Link>,
    mark: Mark,
    /// Places the peer lacks and since when the first frame up to each has waited; oldest first.
    waiting: VecDeque<(Place, Mono)>,
}

impl ActiveSide {
    /// A node is activated. `own` is durable here; `marked` if the mark of an earlier
    /// activation, whoever's, is still set; after `t_solo_ns` of waiting it asks to go on alone.
    pub fn new(mode: MirrorMode, t_solo_ns: u64, own: Place, marked: bool) -> Self {
        ActiveSide {
            mode,
            t_solo_ns,
            window_bytes: limits::LINK_WINDOW_BYTES as u64,
            own,
            peer_received: Place::ZERO,
            peer_durable: Place::ZERO,
            link: None,
            mark: if marked { Mark::Inherited { until: own } } else { Mark::Clear },
            waiting: VecDeque::new(),
        }
    }

    /// The same with another credit for the link, in bytes.
    pub fn with_window(self, window_bytes: u64) -> Self {
        ActiveSide { window_bytes, ..self }
    }

    /// Newest place durable here.
    pub fn own_durable(&self) -> Place {
        self.own
    }

    /// Newest place known to be durable there. What it had stays known while it is away.
    pub fn peer_durable(&self) -> Place {
        self.peer_durable
    }

    /// True while entries may leave that the peer lacks.
    pub fn is_solo(&self) -> bool {
        matches!(self.mark, Mark::Solo | Mark::Pairing { .. })
    }

    /// True if the peer follows and no mark is set or asked for.
    pub fn is_paired(&self) -> bool {
        self.link.is_some() && self.mark == Mark::Clear
    }

    /// Everything up to `place` is durable here.
    pub fn committed(&mut self, place: Place, now: Mono) {
        if place <= self.own {
            return;
        }
        self.own = place;
        if self.mode != MirrorMode::Local && place > self.peer_counts() {
            let step = self.t_solo_ns / limits::WAITING_STEPS as u64;
            match self.waiting.back_mut() {
                Some((last, since)) if now.since(*since) <= step => *last = place,
                _ => self.waiting.push_back((place, now)),
            }
            if self.waiting.len() > limits::WAITING_STEPS + 1
                && let Some((_, oldest)) = self.waiting.pop_front()
                && let Some((_, since)) = self.waiting.front_mut()
            {
                *since = oldest;
            }
        }
        self.settle();
    }

    /// The peer follows from `place`, where its store was found equal to this one.
    pub fn attached(&mut self, place: Place) {
        self.link = Some(Link { sent: place, in_flight: VecDeque::new(), in_flight_bytes: 0 });
        self.peer_received = place;
        self.peer_durable = place;
        self.forget_waiting();
        self.settle();
    }

    /// The link to the peer is gone, or it has to rejoin.
    pub fn detached(&mut self) {
        self.link = None;
        self.peer_received = self.peer_durable;
        if let Mark::Pairing { .. } = self.mark {
            self.mark = Mark::Solo;
        }
    }

    /// After which place the next frame is to be sent; none while the peer does not follow.
    pub fn next_after(&self) -> Option<Place> {
        self.link.as_ref().map(|link| link.sent)
    }

    /// True if the link has credit for a frame of `bytes`. One frame may always be under way,
    /// however large.
    pub fn has_credit(&self, bytes: u32) -> bool {
        self.link.as_ref().is_some_and(|link| {
            link.in_flight.is_empty() || link.in_flight_bytes + u64::from(bytes) <= self.window_bytes
        })
    }

    /// A frame was put on the link. It may go out before it is durable here.
    pub fn sent(&mut self, head: &Head) {
        if let Some(link) = &mut self.link {
            debug_assert_eq!(link.sent, head.before, "frames are sent in order");
            link.sent = head.place;
            link.in_flight.push_back((head.place, head.bytes));
            link.in_flight_bytes += u64::from(head.bytes);
        }
        self.settle();
    }

    /// The peer has everything up to `received` in memory and up to `durable` on disk.
    /// Cumulative, so a lost acknowledgement is made good by the next.
    pub fn acknowledged(&mut self, received: Place, durable: Place) {
        let Some(link) = &mut self.link else {
            return;
        };
        // Nothing else can be there; an acknowledgement of a link before counts for nothing.
        if durable > link.sent || received > link.sent {
            return;
        }
        while let Some((place, bytes)) = link.in_flight.front().copied()
            && place <= durable
        {
            link.in_flight.pop_front();
            link.in_flight_bytes -= u64::from(bytes);
        }
        let durable = if mutant!("received_counts_as_durable") { received } else { durable };
        self.peer_durable = durable.max(self.peer_durable);
        self.peer_received = received.max(self.peer_received).max(self.peer_durable);
        self.forget_waiting();
        self.settle();
    }

    /// For how many nanoseconds the oldest of what the peer lacks has waited for it; 0 = it lacks nothing.
    pub fn waits_for(&self, now: Mono) -> u64 {
        self.waiting.front().map_or(0, |(_, since)| now.since(*since))
    }

    /// Time has come to `now`: what has waited T_solo for the peer, for whatever cause, makes
    /// the active ask to go on alone.
    pub fn tick(&mut self, now: Mono) {
        let Some((_, since)) = self.waiting.front() else {
            return;
        };
        if now.since(*since) < self.t_solo_ns {
            return;
        }
        self.ask();
        self.settle();
    }

    /// Nothing is heard of the peer, nor does it follow: there is no use in waiting for it, so the
    /// active asks at once. Asking is safe at any time, as nothing leaves before the mark is kept.
    pub fn peer_is_gone(&mut self) {
        if self.link.is_some() || self.waiting.is_empty() {
            return;
        }
        self.ask();
        self.settle();
    }

    fn ask(&mut self) {
        self.mark = match self.mark {
            Mark::Clear => Mark::Asked { inherited: None },
            Mark::Inherited { until } => Mark::Asked { inherited: Some(until) },
            Mark::Pairing { .. } => Mark::Solo,
            other => other,
        };
    }

    /// What to ask of the keeper of the mark, until it is answered.
    pub fn wish(&self) -> Option<Wish> {
        match self.mark {
            Mark::Asked { .. } => Some(Wish::Solo { since: self.peer_counts() }),
            Mark::Clearing => Some(Wish::Clear),
            _ => None,
        }
    }

    /// The mark is registered, durably.
    pub fn solo_registered(&mut self) {
        if let Mark::Asked { .. } = self.mark {
            self.mark = Mark::Solo;
            self.settle();
        }
    }

    /// The mark was refused; it is asked for again with the next tick.
    pub fn solo_refused(&mut self) {
        if let Mark::Asked { inherited } = self.mark {
            self.mark = inherited.map_or(Mark::Clear, |until| Mark::Inherited { until });
        }
    }

    /// The mark is taken back.
    pub fn mark_cleared(&mut self) {
        if self.mark == Mark::Clearing {
            self.mark = Mark::Clear;
        }
    }

    /// Newest place of which entries may leave to sinks and sources may be acknowledged.
    pub fn gate(&self) -> Place {
        if mutant!("deliver_before_replicate") {
            return self.own;
        }
        if mutant!("unreplicated_without_mark") && self.link.is_none() {
            return self.own;
        }
        let both = self.own.min(self.peer_counts());
        match (self.mode, self.mark) {
            (MirrorMode::Local, _) | (_, Mark::Solo) => self.own,
            // Left before; it cannot be called back, and the mark still stands for it.
            (_, Mark::Pairing { released }) => released.max(both),
            (_, Mark::Clearing) if mutant!("gate_open_while_clearing") => self.own,
            _ => both,
        }
    }

    /// True if what was committed at `place` may leave.
    pub fn may_leave(&self, place: Place) -> bool {
        place <= self.gate()
    }

    fn peer_counts(&self) -> Place {
        match self.mode {
            MirrorMode::Memory => self.peer_received,
            MirrorMode::BeforeSend | MirrorMode::Local => self.peer_durable,
        }
    }

    fn forget_waiting(&mut self) {
        let counts = self.peer_counts();
        while self.waiting.front().is_some_and(|(place, _)| *place <= counts) {
            self.waiting.pop_front();
        }
    }

    /// Moves the mark on as far as the progress allows.
    fn settle(&mut self) {
        if let (Mark::Solo, Some(link)) = (self.mark, &self.link)
            && link.sent >= self.own
        {
            self.mark = Mark::Pairing { released: self.own };
        }
        let upto = match self.mark {
            Mark::Inherited { until } => until,
            Mark::Pairing { released } => released,
            _ => return,
        };
        let has_it = self.peer_durable >= upto || mutant!("mark_cleared_before_paired");
        if self.link.is_some() && has_it {
            self.mark = Mark::Clearing;
        }
    }
}

#[cfg(test)]
#[path = "active_tests.rs"]
mod tests;
