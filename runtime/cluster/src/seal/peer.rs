//! What a sealer keeps of one other member.

use super::Why;
use super::frame::Header;
use super::secret::Key;
use super::window::Window;
use gwp_redundancy::mono::Mono;
use std::collections::VecDeque;
use std::num::NonZeroU128;

/// Boots of a peer that are remembered as over. One that is forgotten is refused by its era.
pub(super) const SUPERSEDED_MAX: usize = 1024;
/// A boot of a peer is greeted once in so many nanoseconds.
pub(super) const GREETING_GAP: u64 = 20_000_000;
/// Boots of a peer of which it is known when and for what they were greeted last.
pub(super) const GREETED_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Peer {
    /// For what this boot sends to it.
    pub key: Key,
    /// Counter of the last frame to it.
    pub sent: u64,
    /// The boot of it that is heard.
    pub met: Option<Met>,
    /// How many boots of it were met.
    pub era: u64,
    superseded: VecDeque<NonZeroU128>,
    greeted: Vec<Greeted>,
}

#[derive(Clone, Copy, Debug)]
struct Greeted {
    boot: NonZeroU128,
    at: Mono,
    /// Highest counter of what could have been greeted: older frames are not, so that a replay
    /// cannot take the place of what a living boot says now.
    counter: u64,
}

/// A boot of a peer that has proved to have been alive in the present era.
#[derive(Debug)]
pub(super) struct Met {
    pub boot: NonZeroU128,
    pub key: Key,
    pub window: Window,
    /// How many boots of this member it had met when it last spoke.
    pub their_era: u64,
}

impl Met {
    /// Takes an authentic frame of this boot for the present boot of the receiver; false if it has come before.
    pub fn hear(&mut self, header: &Header) -> Result<bool, Why> {
        if !self.window.is_fresh(header.counter) {
            return if self.window.is_known(header.counter) { Ok(false) } else { Err(Why::Replayed) };
        }
        self.window.keep(header.counter);
        self.their_era = self.their_era.max(header.from_era);
        Ok(true)
    }
}

impl Peer {
    pub fn new(key: Key) -> Peer {
        Peer { key, sent: 0, met: None, era: 0, superseded: VecDeque::new(), greeted: Vec::new() }
    }

    pub fn is_superseded(&self, boot: NonZeroU128) -> bool {
        self.superseded.contains(&boot)
    }

    /// The sender of `header` is the boot that is heard from now on; the one before never again.
    pub fn meet(&mut self, header: &Header, key: Key) {
        let mut window = Window::default();
        window.keep(header.counter);
        let met = Met { boot: header.from_boot, key, window, their_era: header.from_era };
        if let Some(before) = self.met.replace(met) {
            if self.superseded.len() == SUPERSEDED_MAX {
                self.superseded.pop_front();
            }
            self.superseded.push_back(before.boot);
        }
        self.era += 1;
    }

    /// Whether a frame of a boot may be greeted now; if so, it counts as greeted.
    pub fn may_greet(&mut self, now: Mono, boot: NonZeroU128, counter: u64) -> bool {
        let due = |greeted: &Greeted| now.since(greeted.at) >= GREETING_GAP;
        let new = Greeted { boot, at: now, counter };
        if let Some(known) = self.greeted.iter_mut().find(|greeted| greeted.boot == boot) {
            let may = counter > known.counter && due(known);
            known.counter = known.counter.max(counter);
            if may {
                *known = new;
            }
            return may;
        }
        if self.greeted.len() < GREETED_MAX {
            self.greeted.push(new);
            return true;
        }
        match self.greeted.iter_mut().min_by_key(|greeted| greeted.at).filter(|oldest| due(oldest)) {
            Some(oldest) => {
                *oldest = new;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::{Keys, Secret};
    use super::*;
    use gwp_redundancy::member::{Member, NodeId};

    fn boot(number: u128) -> NonZeroU128 {
        NonZeroU128::new(number).unwrap()
    }

    fn key() -> Key {
        Keys::new(&Secret::new([1; 32]).unwrap()).key(Member::Witness, Member::Witness, boot(1))
    }

    #[test]
    fn greetings_are_rare_for_each_boot_and_in_all() {
        let mut peer = Peer::new(key());
        let most = GREETED_MAX as u128;
        let gap = GREETING_GAP;
        assert!((1..=most).all(|number| peer.may_greet(Mono(number as u64), boot(number), 1)));
        assert!(!peer.may_greet(Mono(gap), boot(1), 2), "greeted at 1");
        assert!(!peer.may_greet(Mono(gap), boot(99), 1), "no place");
        assert!(!peer.may_greet(Mono(0), boot(1), 3), "a clock that stands");
        assert!(peer.may_greet(Mono(gap + 1), boot(99), 1), "in the place of boot 1");
        assert!(!peer.may_greet(Mono(gap + 1), boot(1), 4), "boot 2 is not due");
        assert!(peer.may_greet(Mono(gap + 2), boot(2), 2));
        assert_eq!(peer.greeted.len(), GREETED_MAX);
    }

    #[test]
    fn a_replay_does_not_take_the_greeting_of_a_newer_frame() {
        let mut peer = Peer::new(key());
        let gap = GREETING_GAP;
        assert!(peer.may_greet(Mono(1), boot(1), 5), "a replay that came first");
        assert!(!peer.may_greet(Mono(2), boot(1), 9), "the newest, too soon");
        assert!((1..=9).all(|counter| !peer.may_greet(Mono(1 + gap), boot(1), counter)), "replays");
        assert!(peer.may_greet(Mono(1 + gap), boot(1), 10), "the next");
    }

    #[test]
    fn the_oldest_boots_are_forgotten() {
        let mut peer = Peer::new(key());
        let all = SUPERSEDED_MAX as u128 + 2;
        for number in 1..=all {
            let header = Header {
                from: Member::Witness,
                to: Member::Node(NodeId::Primary),
                from_boot: boot(number),
                to_boot: None,
                from_era: 0,
                to_era: 0,
                counter: 1,
            };
            peer.meet(&header, key());
        }
        assert!(peer.met.as_ref().is_some_and(|met| met.boot == boot(all)) && !peer.is_superseded(boot(all)));
        assert!(
            !peer.is_superseded(boot(1)) && peer.is_superseded(boot(2)) && peer.is_superseded(boot(all - 1))
        );
        assert_eq!(peer.era, all as u64);
    }
}
