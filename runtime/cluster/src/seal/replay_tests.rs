//! Any schedule of sends, losses, delays, doubles, restarts and replays of all that was ever sent.

use super::tests::{A, B, Got, W, later, open, seal, sealer};
use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};

const MEMBERS: [Member; 3] = [A, B, W];

#[derive(Clone, Debug)]
enum Op {
    Send(usize, usize),
    /// Any frame that was ever sent, of the living or the dead.
    Deliver(Index),
    DeliverNewest,
    /// Sends until the message arrives.
    Talk(usize, usize),
    Restart(usize),
    Wait,
    ReplayAll,
}

fn op() -> impl Strategy<Value = Op> {
    let two = || (0..3usize, 1..3usize).prop_map(|(from, step)| (from, (from + step) % 3));
    prop_oneof![
        4 => two().prop_map(|(from, to)| Op::Send(from, to)),
        6 => any::<Index>().prop_map(Op::Deliver),
        4 => Just(Op::DeliverNewest),
        2 => two().prop_map(|(from, to)| Op::Talk(from, to)),
        2 => (0..3usize).prop_map(Op::Restart),
        2 => Just(Op::Wait),
        1 => Just(Op::ReplayAll),
    ]
}

/// A message that was sealed.
#[derive(Clone, Copy)]
struct Sent {
    from: usize,
    to: usize,
    /// Lives of its sender, and of its receiver at that time.
    from_life: u128,
    to_life: u128,
}

#[derive(Clone)]
struct Frame {
    to: usize,
    bytes: Vec<u8>,
}

struct World {
    sealers: Vec<Sealer>,
    /// How often each member has started.
    lives: [u128; 3],
    step: u64,
    /// Replays begin with the newest.
    backwards: bool,
    /// Of so many recorded frames one is sent again, as the dice fall.
    one_of: u64,
    dice: u64,
    recorded: Vec<Frame>,
    sent: Vec<Sent>,
    delivered: BTreeSet<usize>,
    /// By receiver, its life and sender: the newest life of the sender that was heard.
    heard: BTreeMap<(usize, u128, usize), u128>,
}

impl World {
    fn new() -> World {
        World {
            sealers: MEMBERS.map(|member| sealer(member, 1)).into(),
            lives: [1; 3],
            step: 0,
            backwards: false,
            one_of: 1,
            dice: 1,
            recorded: Vec::new(),
            sent: Vec::new(),
            delivered: BTreeSet::new(),
            heard: BTreeMap::new(),
        }
    }

    /// Boot ids in no order.
    fn restart(&mut self, member: usize) {
        self.lives[member] += 1;
        let boot = self.lives[member].wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        self.sealers[member] = sealer(MEMBERS[member], boot);
    }

    fn send(&mut self, from: usize, to: usize) -> (usize, Frame) {
        let (from_life, to_life) = (self.lives[from], self.lives[to]);
        let number = self.sent.len();
        self.sent.push(Sent { from, to, from_life, to_life });
        let frame = seal(&mut self.sealers[from], MEMBERS[to], &(number as u64).to_le_bytes());
        (number, Frame { to, bytes: frame })
    }

    /// Gives a frame to the member it is for, checks what comes of it, and gives the greeting.
    fn deliver(&mut self, frame: &Frame) -> Option<Frame> {
        let to = frame.to;
        let (from, body) = match open(&mut self.sealers[to], later(self.step), &frame.bytes) {
            Got::Message(from, body) => (from, body),
            Got::Greet(greeting) => {
                assert!(greeting.len() <= frame.bytes.len());
                return Some(Frame { to: frame.bytes[9] as usize - 1, bytes: greeting });
            }
            Got::Met | Got::Second(_) | Got::TurnedAway | Got::Again(_) | Got::Nothing(_) => return None,
        };
        let number = u64::from_le_bytes(body.try_into().unwrap()) as usize;
        let sent = self.sent[number];
        assert_eq!((from, to), (MEMBERS[sent.from], sent.to));
        assert!(self.delivered.insert(number), "message {number} came twice");
        assert_eq!(sent.to_life, self.lives[to], "sealed for an earlier life of its receiver");
        let heard = self.heard.entry((to, self.lives[to], sent.from)).or_default();
        assert!(*heard <= sent.from_life, "life {} was heard after {heard}", sent.from_life);
        *heard = sent.from_life;
        None
    }

    fn deliver_recorded(&mut self, at: usize) {
        let frame = self.recorded[at].clone();
        let greeting = self.deliver(&frame);
        self.recorded.extend(greeting);
    }

    fn replay_all(&mut self) {
        let count = self.recorded.len();
        for at in 0..count {
            self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (self.dice >> 33).is_multiple_of(self.one_of) {
                self.deliver_recorded(if self.backwards { count - 1 - at } else { at });
            }
        }
    }

    /// Delivers what is under way, after all replays if there are any, and records it.
    fn arrive(&mut self, frame: Frame, replays: bool) -> Option<Frame> {
        if replays {
            self.replay_all();
        }
        let greeting = self.deliver(&frame);
        self.recorded.push(frame);
        greeting
    }

    /// How many messages of `from` it takes until one is heard, with or without somebody who sends
    /// all again before each frame.
    fn talk(&mut self, from: usize, to: usize, replays: bool) -> usize {
        for exchange in 1..=9 {
            self.step += 1;
            let (number, frame) = self.send(from, to);
            let greeting = self.arrive(frame, replays);
            if self.delivered.contains(&number) {
                return exchange;
            }
            if let Some(greeting) = greeting {
                self.arrive(greeting, replays);
            }
        }
        usize::MAX
    }

    fn take(&mut self, op: &Op) {
        match op {
            Op::Send(from, to) => {
                let (_, frame) = self.send(*from, *to);
                self.recorded.push(frame);
            }
            Op::Deliver(_) | Op::DeliverNewest if self.recorded.is_empty() => {}
            Op::Deliver(index) => self.deliver_recorded(index.index(self.recorded.len())),
            Op::DeliverNewest => self.deliver_recorded(self.recorded.len() - 1),
            Op::Talk(from, to) => assert!(self.talk(*from, *to, false) <= 2),
            Op::Restart(member) => self.restart(*member),
            Op::Wait => self.step += 1,
            Op::ReplayAll => self.replay_all(),
        }
    }

    /// Every frame has a nonce of its own under its key.
    fn check_nonces(&self) {
        let mut seen = BTreeSet::new();
        for frame in &self.recorded {
            let header = Header::read(&self.sealers[0].cluster, &frame.bytes).unwrap();
            let (from, to) = (encode::number(header.from), encode::number(header.to));
            assert!(seen.insert((from, to, header.from_boot, header.counter)));
        }
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|from| (0..3).filter(move |to| *to != from).map(move |to| (from, to)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_happened_nothing_is_heard_twice_or_late_and_all_talk_again(
        ops in prop::collection::vec(op(), 0..70),
    ) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.take(op));
        for (from, to) in pairs() {
            let took = world.talk(from, to, false);
            prop_assert!(took <= 2, "{from} to {to} took {took} exchanges");
        }
        world.replay_all();
        for (from, to) in pairs() {
            prop_assert_eq!(world.talk(from, to, true), 1, "who has met stays met");
        }
        world.check_nonces();
    }

    /// All that was ever recorded, or some of it, is sent again before each frame, also while they
    /// meet. That takes two exchanges; a replay that is greeted, and a held-back frame on each side,
    /// can each spoil one. Who sends all at once has spent the held-back ones before the first.
    #[test]
    fn replays_spoil_a_few_exchanges_at_most(
        ops in prop::collection::vec(op(), 0..50),
        restarted in 0..3usize,
        backwards in any::<bool>(),
        one_of in 1..6u64,
        dice in any::<u64>(),
    ) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.take(op));
        world.restart(restarted);
        world = World { backwards, one_of, dice, ..world };
        let most = if one_of == 1 { 3 } else { 5 };
        for (from, to) in pairs() {
            let took = world.talk(from, to, true);
            prop_assert!(took <= most, "{from} to {to} took {took} exchanges");
        }
        for (from, to) in pairs() {
            prop_assert_eq!(world.talk(from, to, true), 1);
        }
        world.check_nonces();
    }

    /// Loss, doubles and any order between two that have met, within the width of the window.
    #[test]
    fn what_arrives_is_heard_once(order in prop::collection::vec(0..120usize, 0..240)) {
        let mut world = World::new();
        prop_assert_eq!(world.talk(0, 1, false), 2);
        let (frame, number) = (world.recorded.len(), world.sent.len());
        (0..120).for_each(|_| world.take(&Op::Send(0, 1)));
        order.iter().for_each(|at| world.deliver_recorded(frame + at));
        for at in 0..120 {
            prop_assert_eq!(world.delivered.contains(&(number + at)), order.contains(&at));
        }
    }
}
