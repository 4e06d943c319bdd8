//! What the active has for its peer: frames that are not there yet, and how far they have come.
//!
//! ```text
//! writer of the store --made--> ring of frames --> link to the peer (serve)
//!        |                                              |
//!        +--durable--> ActiveSide <---acknowledged------+
//!                         |  gate: what may leave  --> release
//!                         +- wish: go alone, paired --> the machine
//! ```
//! The ring is bounded in bytes. A peer whose next frame is not in it any more gets a copy of the whole
//! store; so the mirror never holds up the store, nor its trimming.

use crate::limits::{COPYING_BYTES_MAX, RING_BYTES_MAX};
use gwp_journal::{Mirror, Standing};
use gwp_redundancy::mirror::rejoin::{AtPlace, Joining, join};
use gwp_redundancy::mirror::{ActiveSide, Head, Place, RunningHash, Wish};
use gwp_redundancy::mono::Mono;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The active's side of the mirror, for one epoch. Clones are the same.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Rung when a link has something to send.
    bell: Notify,
    /// Rung when the peer no longer follows, or is no longer waited for.
    unpaired: Notify,
    clock: fn() -> Mono,
    /// Lets out what was committed up to a place.
    release: Box<dyn Fn(Place) + Send + Sync>,
}

struct State {
    side: ActiveSide,
    /// Frames after `begin`, in order. One without bytes is too large for a link.
    ring: VecDeque<(Head, Option<Arc<[u8]>>)>,
    bytes: usize,
    begin: (Place, RunningHash),
    standing: Standing,
    /// Copies of the whole store that are under way.
    copies: u32,
    /// Bytes of the store that were given to links, frames and pieces of whole copies.
    given: u64,
    /// Number of the link that is served; an older one has ended.
    link: u64,
}

/// A copy of the whole store is under way, as long as this is held.
pub struct Copying(Hub);

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.state().copies -= 1;
    }
}

/// What a link does next.
#[derive(Debug)]
pub enum Next {
    Frames(Vec<(Head, Arc<[u8]>)>),
    /// Nothing, until the bell rings.
    Wait,
    /// The peer has to join again.
    Lost,
}

/// Figures for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HubFigures {
    pub own: Place,
    pub peer: Place,
    pub gate: Place,
    pub has_link: bool,
    pub is_paired: bool,
    pub is_solo: bool,
    pub ring_bytes: usize,
    pub lag: Lag,
    /// Bytes of the store that went to the peer, frames and whole copies.
    pub given_bytes: u64,
}

/// What is durable here and not at the peer; of one that is far behind, what is kept for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lag {
    /// Changes of the store, each one commit.
    pub changes: u64,
    pub bytes: u64,
    /// Nanoseconds for which the oldest has waited.
    pub ns: u64,
}

impl State {
    fn lag(&self, now: Mono) -> Lag {
        let (own, peer) = (self.side.own_durable(), self.side.peer_durable());
        let lacks = self.ring.iter().rev().skip_while(|(head, _)| head.place > own);
        let lacks = lacks.take_while(|(head, _)| head.place > peer);
        let begin = Lag { ns: self.side.waits_for(now), ..Lag::default() };
        lacks.fold(begin, |lag, (_, bytes)| Lag {
            changes: lag.changes + 1,
            bytes: lag.bytes + bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            ..lag
        })
    }
}

impl Hub {
    /// For an epoch that begins with the store at `standing`; `release` is called with the newest place that may
    /// leave whenever that has moved.
    pub fn new(
        side: ActiveSide,
        standing: Standing,
        clock: fn() -> Mono,
        release: Box<dyn Fn(Place) + Send + Sync>,
    ) -> Hub {
        let begin = (standing.place, standing.hash);
        let state =
            State { side, ring: VecDeque::new(), bytes: 0, begin, standing, copies: 0, given: 0, link: 0 };
        Hub(Arc::new(Shared {
            state: Mutex::new(state),
            bell: Notify::new(),
            unpaired: Notify::new(),
            clock,
            release,
        }))
    }

    /// Poisoned only by a panic between plain changes: what it guards is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store's writer tells.
    pub fn mirror(&self) -> Box<dyn Mirror> {
        Box::new(self.clone())
    }

    /// Changes the side, and lets out what may leave then.
    fn change<T>(&self, change: impl FnOnce(&mut State, Mono) -> T) -> T {
        let mut state = self.state();
        let (before, was_paired) = (state.side.gate(), state.side.is_paired());
        let done = change(&mut state, (self.0.clock)());
        let (gate, is_paired) = (state.side.gate(), state.side.is_paired());
        drop(state);
        if was_paired && !is_paired {
            self.0.unpaired.notify_one();
        }
        if gate != before {
            (self.0.release)(gate);
        }
        done
    }

    /// Time has come to now: gives what the machine must be asked for. `silent`: nothing was heard of the peer for as
    /// long as a lease.
    pub fn tick(&self, silent: bool) -> Option<Wish> {
        self.change(|state, now| {
            state.side.tick(now);
            if silent {
                state.side.peer_is_gone();
            }
            match state.side.wish() {
                // The peer came back before the mark was registered.
                Some(Wish::Solo { .. })
                    if state.side.next_after().is_some()
                        && state.side.peer_durable() >= state.side.own_durable() =>
                {
                    state.side.solo_refused();
                    None
                }
                wish => wish,
            }
        })
    }

    /// The mark is registered: what the peer lacks may leave.
    pub fn may_go_alone(&self) {
        self.change(|state, _| state.side.solo_registered());
    }

    /// The machine knows that the peer is in step: nothing leaves alone any more.
    pub fn mark_cleared(&self) {
        self.change(|state, _| state.side.mark_cleared());
    }

    /// The peer follows, and nothing leaves alone.
    pub fn is_paired(&self) -> bool {
        self.state().side.is_paired()
    }

    /// Waits until the pair is one no longer; it may complete once too often. For one waiter.
    pub async fn unpaired(&self) {
        self.0.unpaired.notified().await;
    }

    /// Nanoseconds for which the oldest that is durable here has waited for the peer; 0 = nothing waits.
    pub fn waits_for(&self) -> u64 {
        self.state().side.waits_for((self.0.clock)())
    }

    /// The peer has all that is durable here.
    pub fn peer_has_all(&self) -> bool {
        let state = self.state();
        state.side.next_after().is_some() && state.side.peer_durable() >= state.side.own_durable()
    }

    pub fn figures(&self) -> HubFigures {
        let state = self.state();
        HubFigures {
            own: state.side.own_durable(),
            peer: state.side.peer_durable(),
            gate: state.side.gate(),
            has_link: state.side.next_after().is_some(),
            is_paired: state.side.is_paired(),
            is_solo: state.side.is_solo(),
            ring_bytes: state.bytes,
            lag: state.lag((self.0.clock)()),
            given_bytes: state.given,
        }
    }

    /// How a peer goes on that stands there; none = its copy is empty or half.
    pub fn join(&self, theirs: Option<&Standing>) -> Joining {
        let state = self.state();
        let everything = Joining::Resync { after: state.begin.0 };
        let Some(theirs) = theirs else { return everything };
        if theirs.incarnation != state.standing.incarnation {
            // Another store altogether: it is kept, beside the copy of this one.
            return Joining::SetAside { above: gwp_core::Position::ZERO };
        }
        let here = state.hash_at(theirs.place).map_or(AtPlace::Unknown, AtPlace::Hash);
        join(&state.standing.history, &theirs.history, theirs.place, theirs.hash, here, state.begin.0)
    }

    /// A peer gets a copy of the whole store: until that is dropped many more frames are kept.
    pub fn copying(&self) -> Copying {
        self.state().copies += 1;
        Copying(self.clone())
    }

    /// A link follows from `place` on; gives its number.
    pub fn attach(&self, place: Place) -> u64 {
        let link = self.change(|state, _| {
            state.side.attached(place);
            state.link += 1;
            state.link
        });
        self.0.bell.notify_waiters();
        link
    }

    /// A link has ended; a newer one goes on.
    pub fn detach(&self, link: u64) {
        self.change(|state, _| {
            if state.link == link {
                state.side.detached();
            }
        });
    }

    /// The peer has everything up to there.
    pub fn acknowledged(&self, link: u64, received: Place, durable: Place) {
        self.change(|state, _| {
            if state.link == link {
                state.side.acknowledged(received, durable);
            }
        });
        self.0.bell.notify_waiters();
    }

    /// Frames for a link, as far as it has credit: about `bytes_max` bytes at most.
    pub fn next(&self, link: u64, bytes_max: usize) -> Next {
        self.change(|state, _| {
            let after = state.side.next_after().filter(|_| state.link == link);
            let Some(after) = after else { return Next::Lost };
            if after < state.begin.0 {
                return Next::Lost;
            }
            let from = state.ring.partition_point(|(head, _)| head.place <= after);
            let (mut frames, mut bytes) = (Vec::new(), 0);
            for (head, frame) in state.ring.range(from..) {
                let Some(frame) = frame else { return if frames.is_empty() { Next::Lost } else { break } };
                if bytes >= bytes_max || !state.side.has_credit(head.bytes) {
                    break;
                }
                bytes += frame.len();
                state.side.sent(head);
                frames.push((*head, frame.clone()));
            }
            state.given += bytes as u64;
            if frames.is_empty() { Next::Wait } else { Next::Frames(frames) }
        })
    }

    /// A piece of a whole copy goes to the peer.
    pub fn gave(&self, bytes: usize) {
        self.state().given += bytes as u64;
    }

    /// Waits until a link may have something to do; register before looking at [`Hub::next`].
    pub fn rung(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.bell.notified()
    }
}

impl State {
    /// The running hash up to a place, if it is known.
    fn hash_at(&self, place: Place) -> Option<RunningHash> {
        if place == self.begin.0 {
            return Some(self.begin.1);
        }
        let at = self.ring.binary_search_by_key(&place, |(head, _)| head.place).ok()?;
        Some(self.ring[at].0.hash)
    }
}

impl Mirror for Hub {
    fn made(&mut self, head: &Head, frame: Option<Arc<[u8]>>) {
        let mut state = self.state();
        state.bytes += frame.as_ref().map_or(0, |frame| frame.len());
        state.ring.push_back((*head, frame));
        state.standing.history.extend(head.place.position);
        (state.standing.place, state.standing.hash) = (head.place, head.hash);
        let bytes_max = if state.copies > 0 { COPYING_BYTES_MAX } else { RING_BYTES_MAX };
        while state.bytes > bytes_max
            && let Some((head, frame)) = state.ring.pop_front()
        {
            state.bytes -= frame.map_or(0, |frame| frame.len());
            state.begin = (head.place, head.hash);
        }
        drop(state);
        self.0.bell.notify_waiters();
    }

    fn durable(&mut self, place: Place) {
        self.change(|state, now| state.side.committed(place, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Position;
    use gwp_redundancy::mirror::{History, MirrorMode};
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    const SOLO: u64 = 2_000;

    static NOW: AtomicU64 = AtomicU64::new(1);

    fn at(seq: u64) -> Place {
        Place::log(Position::new(1, seq))
    }

    /// A frame that ends with record `seq`; the hash up to it is its number.
    fn head(seq: u64) -> Head {
        let hash = RunningHash;
        Head { before: at(seq - 1), hash_before: hash(seq - 1), place: at(seq), hash: hash(seq), bytes: 8 }
    }

    fn standing(seq: u64, history: u64) -> Standing {
        let history = History::of([Position::new(1, history)]);
        Standing { place: at(seq), hash: RunningHash(seq), history, incarnation: [1; 16] }
    }

    /// A hub whose store stands at record 10, and what it has let out.
    fn hub() -> (Hub, Arc<Mutex<Vec<Place>>>) {
        let out = Arc::new(Mutex::new(Vec::new()));
        let side = ActiveSide::new(MirrorMode::BeforeSend, SOLO, at(10), false);
        let told = out.clone();
        let release = Box::new(move |place| told.lock().unwrap().push(place));
        (Hub::new(side, standing(10, 10), || Mono(NOW.load(SeqCst)), release), out)
    }

    fn commit(hub: &mut Hub, seq: u64, bytes: usize) {
        hub.made(&head(seq), Some(vec![0; bytes].into()));
        hub.durable(at(seq));
    }

    #[test]
    fn what_the_peer_has_may_leave_and_a_newer_link_ends_the_one_before() {
        let (mut hub, out) = hub();
        commit(&mut hub, 11, 8);
        assert_eq!(*out.lock().unwrap(), []);
        assert_eq!(hub.join(Some(&standing(10, 10))), Joining::Follow { after: at(10) });
        let first = hub.attach(at(10));
        let Next::Frames(frames) = hub.next(first, 1_000) else { panic!("there is a frame") };
        assert_eq!(frames.iter().map(|(head, _)| head.place).collect::<Vec<_>>(), [at(11)]);
        assert!(matches!(hub.next(first, 1_000), Next::Wait));
        hub.acknowledged(first, at(11), at(11));
        assert_eq!(out.lock().unwrap().last(), Some(&at(11)));
        assert!(hub.peer_has_all());
        commit(&mut hub, 12, 8);
        let second = hub.attach(at(11));
        assert!(matches!(hub.next(first, 1_000), Next::Lost));
        hub.acknowledged(first, at(12), at(12));
        assert_eq!(out.lock().unwrap().last(), Some(&at(11)), "of a link that has ended");
        hub.detach(first);
        assert!(matches!(hub.next(second, 1_000), Next::Frames(_)));
    }

    #[test]
    fn who_is_behind_the_ring_gets_everything_and_who_has_more_sets_it_aside() {
        let (mut hub, _) = hub();
        for seq in 11..15 {
            commit(&mut hub, seq, RING_BYTES_MAX / 2);
        }
        assert!(hub.figures().ring_bytes <= RING_BYTES_MAX);
        let begin = at(12);
        assert_eq!(hub.join(Some(&standing(12, 12))), Joining::Follow { after: begin });
        assert_eq!(hub.join(Some(&standing(11, 11))), Joining::Resync { after: begin });
        assert_eq!(hub.join(None), Joining::Resync { after: begin });
        let more = Standing { history: History::of([Position::new(1, 20)]), ..standing(20, 20) };
        assert_eq!(hub.join(Some(&more)), Joining::SetAside { above: Position::new(1, 14) });
        let other = Standing { incarnation: [2; 16], ..standing(12, 12) };
        assert_eq!(hub.join(Some(&other)), Joining::SetAside { above: Position::ZERO });
        let same_place = Standing { hash: RunningHash(99), ..standing(13, 13) };
        assert_eq!(hub.join(Some(&same_place)), Joining::SetAside { above: Position::ZERO });
        let link = hub.attach(at(11));
        assert!(matches!(hub.next(link, 1_000), Next::Lost), "its next frame is not here any more");
    }

    #[test]
    fn a_peer_that_is_silent_is_not_waited_for() {
        let (mut hub, out) = hub();
        assert_eq!(hub.tick(true), None, "nothing waits");
        commit(&mut hub, 11, 8);
        assert_eq!(hub.tick(false), None, "it may come back");
        assert!(matches!(hub.tick(true), Some(Wish::Solo { .. })));
        assert_eq!(*out.lock().unwrap(), [], "the mark is not kept yet");
        hub.may_go_alone();
        assert_eq!(*out.lock().unwrap(), [at(11)]);
    }
}
