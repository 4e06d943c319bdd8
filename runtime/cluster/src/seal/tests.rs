//! One step at a time: meeting, refusing, restarting.

use super::frame::HEADER;
use super::*;
use crate::{samples, wire};
use proptest::prelude::*;

pub(super) const A: Member = Member::Node(Primary);
pub(super) const B: Member = Member::Node(Backup);
pub(super) const W: Member = Member::Witness;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TAG: usize = 16;

/// [`Opened`] without the datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Got {
    Message(Member, Vec<u8>),
    Greet(Vec<u8>),
    Met,
    Second(Vec<u8>),
    TurnedAway,
    Again(Member),
    Nothing(Why),
}

pub(super) fn sealer(me: Member, boot: u128) -> Sealer {
    Sealer::new(&SECRET.parse().unwrap(), me, NonZeroU128::new(boot).unwrap())
}

pub(super) fn seal(sealer: &mut Sealer, to: Member, body: &[u8]) -> Vec<u8> {
    let mut out = b"what was there before".to_vec();
    sealer.seal(to, body, &mut out).unwrap();
    out
}

/// Where every other process of a member is heard in place of the one before.
pub(super) fn open(sealer: &mut Sealer, now: Mono, frame: &[u8]) -> Got {
    open_if(sealer, now, frame, true)
}

fn open_if(sealer: &mut Sealer, now: Mono, frame: &[u8], admitted: bool) -> Got {
    match sealer.open(now, &mut frame.to_vec(), |_, _| admitted) {
        Opened::Message { from, body } => Got::Message(from, body.to_vec()),
        Opened::Greet { frame, .. } => Got::Greet(frame),
        Opened::Met { .. } => Got::Met,
        Opened::Second { frame, .. } => Got::Second(frame),
        Opened::TurnedAway { .. } => Got::TurnedAway,
        Opened::Again { from } => Got::Again(from),
        Opened::Nothing(why) => Got::Nothing(why),
    }
}

/// Instants so far apart that every boot may be greeted.
pub(super) fn later(step: u64) -> Mono {
    Mono(1 + step * peer::GREETING_GAP)
}

fn greeting(got: Got) -> Vec<u8> {
    match got {
        Got::Greet(frame) => frame,
        other => panic!("no greeting: {other:?}"),
    }
}

/// All that decides about frames; keys are not shown, but they follow from boots.
fn state(sealer: &Sealer) -> String {
    format!("{:?}", sealer.peers)
}

/// Two that have met.
fn pair() -> (Sealer, Sealer) {
    let (mut a, mut b) = (sealer(A, 7), sealer(B, 9));
    meet(&mut a, &mut b, later(0));
    (a, b)
}

fn meet(a: &mut Sealer, b: &mut Sealer, now: Mono) {
    let first = seal(a, b.me, b"lost");
    let greeting = greeting(open(b, now, &first));
    assert_eq!(open(a, now, &greeting), Got::Met);
    let second = seal(a, b.me, b"met");
    assert_eq!(open(b, now, &second), Got::Message(a.me, b"met".to_vec()));
    assert_eq!((a.met(b.me), b.met(a.me)), (Some(b.boot), Some(a.boot)));
}

fn passes(from: &mut Sealer, to: &mut Sealer, body: &[u8]) {
    let (frame, before) = (seal(from, to.me, body), to.refused(Why::Replayed));
    assert_eq!(open(to, Mono(1), &frame), Got::Message(from.me, body.to_vec()));
    assert_eq!(open(to, Mono(1), &frame), Got::Again(from.me), "by the second link");
    assert_eq!(to.refused(Why::Replayed), before + 1);
}

#[test]
fn what_comes_again_after_long_tells_nothing() {
    let (mut a, mut b) = pair();
    let old = seal(&mut a, B, b"old");
    assert_eq!(open(&mut b, later(1), &old), Got::Message(A, b"old".to_vec()));
    for _ in 0..127 {
        passes(&mut a, &mut b, b"newer");
    }
    assert_eq!(open(&mut b, later(2), &old), Got::Again(A));
    passes(&mut a, &mut b, b"newest");
    assert_eq!(open(&mut b, later(2), &old), Got::Nothing(Why::Replayed));
}

#[test]
fn strangers_have_met_after_two_round_trips() {
    let (mut a, mut b) = pair();
    // The second way back.
    passes(&mut b, &mut a, b"answer");
    passes(&mut a, &mut b, b"question");
}

#[test]
fn strangers_that_speak_at_once_have_met_after_two_round_trips() {
    let (mut a, mut b) = (sealer(A, 7), sealer(B, 9));
    let (to_b, to_a) = (seal(&mut a, B, b"a"), seal(&mut b, A, b"b"));
    let from_b = greeting(open(&mut b, later(0), &to_b));
    let from_a = greeting(open(&mut a, later(0), &to_a));
    assert_eq!((open(&mut a, later(0), &from_b), open(&mut b, later(0), &from_a)), (Got::Met, Got::Met));
    passes(&mut a, &mut b, b"second");
    passes(&mut b, &mut a, b"second");
}

#[test]
fn three_talk_and_hear_only_what_is_theirs() {
    let (mut a, mut b, mut w) = (sealer(A, 7), sealer(B, 9), sealer(W, 7));
    meet(&mut a, &mut b, later(0));
    meet(&mut b, &mut w, later(1));
    meet(&mut a, &mut w, later(2));
    passes(&mut w, &mut a, b"vote");
    passes(&mut w, &mut b, b"vote");
    passes(&mut b, &mut a, b"hello");
    let frame = seal(&mut a, B, b"x");
    assert_eq!(open(&mut w, later(3), &frame), Got::Nothing(Why::NotForMe));
    assert_eq!(open(&mut a, later(3), &frame), Got::Nothing(Why::NotForMe), "sent back to its sender");
    let mut double = sealer(B, 10);
    assert_eq!(open(&mut b, later(3), &seal(&mut double, A, b"x")), Got::Nothing(Why::NotForMe));
    let mut to_itself = Vec::new();
    double.send(B, Some((b.boot, 0)), b"x", &mut to_itself).unwrap();
    assert_eq!(open(&mut b, later(3), &to_itself), Got::Nothing(Why::NotForMe));
    assert_eq!(b.refused(Why::NotForMe), 2);
}

/// Made by another implementation of HKDF and ChaCha20-Poly1305.
#[test]
fn the_form_is_fixed() {
    let mut a = sealer(A, 7);
    let frame = seal(&mut a, B, b"hello");
    let mut clear = vec![1];
    clear.extend(a.cluster);
    clear.extend([1, 2, 7]);
    clear.resize(HEADER, 0);
    clear[HEADER - 8] = 1;
    assert_eq!(frame[..HEADER], clear);
    let sealed: String = frame[HEADER..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sealed, "a6757d31c949c5e0f7294239a3f26116e2a5e7d06b");
}

#[test]
fn every_flipped_bit_is_refused_and_changes_nothing() {
    let (mut a, mut b) = pair();
    let mut new = sealer(A, 8);
    let first = seal(&mut new, B, b"to nobody");
    let answer = greeting(open(&mut b, later(1), &first));
    let message = seal(&mut a, B, b"met");
    // A message of the boot that was met, one that is to be greeted, and the greeting.
    for (receiver, frame, expected) in [
        (&mut b, message, Got::Message(A, b"met".to_vec())),
        (&mut sealer(B, 10), first, Got::Met),
        (&mut new, answer, Got::Met),
    ] {
        let before = state(receiver);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let got = open(receiver, later(2), &bad);
            let expected = match bit / 8 {
                0 => vec![Why::Version],
                1..=CLUSTER => vec![Why::Foreign],
                9 | 10 => vec![Why::Malformed, Why::NotForMe, Why::Forged],
                // A boot or counter of 0 is none.
                _ => vec![Why::Malformed, Why::Forged],
            };
            assert!(matches!(&got, Got::Nothing(why) if expected.contains(why)), "bit {bit}: {got:?}");
        }
        assert_eq!(state(receiver), before);
        match (open(receiver, later(2), &frame), expected) {
            (Got::Greet(_), Got::Met) => {}
            (got, expected) => assert_eq!(got, expected, "and the frame itself is good"),
        }
    }
}

#[test]
fn frames_cut_or_lengthened_are_refused() {
    let (mut a, mut b) = pair();
    let frame = seal(&mut a, B, b"met");
    for length in 0..frame.len() {
        let why = if length < HEADER + TAG { Why::Malformed } else { Why::Forged };
        assert_eq!(open(&mut b, later(1), &frame[..length]), Got::Nothing(why));
    }
    for more in [1, FRAME_MAX] {
        let why = if frame.len() + more > FRAME_MAX { Why::Malformed } else { Why::Forged };
        assert_eq!(open(&mut b, later(1), &[frame.clone(), vec![0; more]].concat()), Got::Nothing(why));
    }
}

#[test]
fn members_with_another_secret_are_not_heard() {
    let (_, mut b) = pair();
    let mut foreign = Sealer::new(&Secret::new([3; 32]).unwrap(), A, NonZeroU128::new(7).unwrap());
    let mut frame = seal(&mut foreign, B, b"x");
    assert_eq!(open(&mut b, later(1), &frame), Got::Nothing(Why::Foreign));
    frame[1..=CLUSTER].copy_from_slice(&b.cluster);
    assert_eq!(open(&mut b, later(1), &frame), Got::Nothing(Why::Forged));
}

#[test]
fn a_restarted_sender_is_met_and_its_earlier_boot_is_over() {
    let (mut a, mut b) = pair();
    let late = seal(&mut a, B, b"late");
    let mut a = sealer(A, 8);
    meet(&mut a, &mut b, later(1));
    assert_eq!(open(&mut b, later(2), &late), Got::Nothing(Why::EarlierBoot));
    passes(&mut b, &mut a, b"answer");
}

#[test]
fn a_second_process_is_turned_away_while_the_first_one_lives() {
    let (mut a, mut b) = pair();
    let mut second = sealer(A, 8);
    let frame = seal(&mut second, B, b"mine");
    let Got::Second(told) = open_if(&mut b, later(1), &frame, false) else { panic!("it is let in") };
    assert!(told.len() <= frame.len());
    assert_eq!(open(&mut second, later(1), &told), Got::TurnedAway);
    assert_eq!(open_if(&mut b, later(1), &told, false), Got::Nothing(Why::NotForMe), "it is not answered");
    // It knows now whom it speaks to, and is turned away all the same, as seldom as it would be greeted.
    let frame = seal(&mut second, B, b"mine");
    assert_eq!(open_if(&mut b, later(1), &frame, false), Got::Nothing(Why::Second));
    assert_eq!(b.refused(Why::Second), 2);
    passes(&mut a, &mut b, b"the first one");
    passes(&mut b, &mut a, b"is still heard");

    // Once the first one is over it is heard, after a greeting, as the era has not changed.
    let frame = seal(&mut second, B, b"now");
    assert_eq!(open(&mut b, later(2), &frame), Got::Message(A, b"now".to_vec()));
    assert_eq!(open(&mut b, later(3), &seal(&mut a, B, b"late")), Got::Nothing(Why::EarlierBoot));
}

#[test]
fn a_restarted_receiver_hears_nothing_that_was_sealed_before() {
    let (mut a, mut b) = pair();
    let late = seal(&mut a, B, b"late");
    let mut b2 = sealer(B, 10);
    let before = greeting(open(&mut b2, later(1), &late));
    assert_eq!(open(&mut a, later(1), &before), Got::Met);
    passes(&mut a, &mut b2, b"fresh");
    assert_eq!(open(&mut b2, later(2), &late), Got::Nothing(Why::Unmet));
    assert_eq!(open(&mut a, later(2), &seal(&mut b, A, b"x")), Got::Nothing(Why::EarlierBoot));
}

/// A boot whose frames are all held back: none of its life came, so no list knows that it is over.
#[test]
fn held_back_frames_of_a_dead_boot_do_not_come_after_its_successor() {
    let (_, mut b) = pair();
    let mut dead = sealer(A, 8);
    let greeting_of_dead = greeting(open(&mut b, later(1), &seal(&mut dead, B, b"x")));
    assert_eq!(open(&mut dead, later(1), &greeting_of_dead), Got::Met);
    let held = seal(&mut dead, B, b"held back");
    let mut a = sealer(A, 9);
    meet(&mut a, &mut b, later(2));
    let got = open(&mut b, later(3), &held);
    assert!(matches!(got, Got::Greet(_)), "{got:?}");
    assert_eq!(open(&mut a, later(3), &greeting(got)), Got::Nothing(Why::Unmet), "it is for the dead");
    passes(&mut a, &mut b, b"still heard");
    passes(&mut b, &mut a, b"still heard");
}

#[test]
fn held_back_frames_that_come_while_the_successor_meets_cost_one_exchange() {
    let (_, mut b) = pair();
    let mut dead = sealer(A, 8);
    let to_dead = greeting(open(&mut b, later(1), &seal(&mut dead, B, b"x")));
    assert_eq!(open(&mut dead, later(1), &to_dead), Got::Met);
    let held = [seal(&mut dead, B, b"held back"), seal(&mut dead, B, b"held back, too")];
    let mut a = sealer(A, 9);
    let first = greeting(open(&mut b, later(2), &seal(&mut a, B, b"x")));
    assert_eq!(open(&mut b, later(2), &held[0]), Got::Message(A, b"held back".to_vec()));
    assert_eq!(open(&mut a, later(2), &first), Got::Met);
    let second = greeting(open(&mut b, later(3), &seal(&mut a, B, b"void")));
    assert_eq!(open(&mut b, later(3), &held[1]), Got::Message(A, b"held back, too".to_vec()));
    assert_eq!(open(&mut a, later(3), &second), Got::Met);
    passes(&mut a, &mut b, b"heard");
    assert_eq!(open(&mut b, later(4), &held[1]), Got::Nothing(Why::EarlierBoot));
}

#[test]
fn a_greeting_of_an_older_era_that_comes_late_is_not_believed() {
    let (mut a, mut dead, mut b) = (sealer(A, 7), sealer(B, 8), sealer(B, 9));
    let to_dead = greeting(open(&mut a, later(1), &seal(&mut dead, A, b"x")));
    assert_eq!(open(&mut dead, later(1), &to_dead), Got::Met);
    let held = seal(&mut dead, A, b"held back");
    let older = greeting(open(&mut a, later(2), &seal(&mut b, A, b"x")));
    assert_eq!(open(&mut a, later(2), &held), Got::Message(B, b"held back".to_vec()));
    let newer = greeting(open(&mut a, later(3), &seal(&mut b, A, b"x")));
    assert_eq!((open(&mut b, later(3), &newer), open(&mut b, later(3), &older)), (Got::Met, Got::Met));
    passes(&mut b, &mut a, b"of the present era");
}

#[test]
fn an_old_greeting_does_not_lead_away() {
    let (mut a, b) = (sealer(A, 7), sealer(B, 9));
    let first = seal(&mut a, B, b"x");
    let old = greeting(open(&mut { b }, later(0), &first));
    let mut b = sealer(B, 10);
    meet(&mut a, &mut b, later(1));
    assert_eq!(open(&mut a, later(2), &old), Got::Nothing(Why::Unmet));
    passes(&mut a, &mut b, b"to the living");
}

#[test]
fn who_never_speaks_first_is_met_too() {
    let (mut a, mut w) = (sealer(A, 7), sealer(W, 9));
    let greeted = greeting(open(&mut a, later(0), &seal(&mut w, A, b"once")));
    assert_eq!(open(&mut w, later(0), &greeted), Got::Met, "W has met a, but a knows nothing of it");
    let greeted = greeting(open(&mut w, later(0), &seal(&mut a, W, b"to nobody")));
    assert_eq!(open(&mut a, later(0), &greeted), Got::Met);
    passes(&mut a, &mut w, b"ask");
    passes(&mut w, &mut a, b"vote");
}

#[test]
fn greetings_are_limited_and_never_answered() {
    let (mut a, mut b) = (sealer(A, 7), sealer(B, 9));
    let frames = [(); 4].map(|()| seal(&mut a, B, b"x"));
    let first = greeting(open(&mut b, Mono(5), &frames[1]));
    assert!(first.len() < frames[1].len());
    let late = Mono(5 + peer::GREETING_GAP);
    let unmet = Got::Nothing(Why::Unmet);
    assert_eq!(open(&mut b, Mono(late.0 - 1), &frames[2]), unmet, "too soon");
    assert!(frames[..3].iter().all(|frame| open(&mut b, late, frame) == unmet), "newer ones were here");
    assert!(matches!(open(&mut b, late, &frames[3]), Got::Greet(_)));
    let mut restarted = sealer(A, 8);
    let before = state(&restarted);
    assert_eq!(open(&mut restarted, later(9), &first), unmet);
    assert_eq!((state(&restarted), restarted.refused(Why::Unmet)), (before, 1));
}

#[test]
fn frames_have_a_length_and_go_to_another() {
    let (mut a, mut b) = pair();
    let longest = vec![5; BODY_MAX];
    assert_eq!(seal(&mut a, B, &longest).len(), FRAME_MAX);
    passes(&mut a, &mut b, &longest);
    let mut out = Vec::new();
    assert_eq!(a.seal(B, &[], &mut out), Err(SealError::Length(0)));
    assert_eq!(a.seal(B, &[0; BODY_MAX + 1], &mut out), Err(SealError::Length(BODY_MAX + 1)));
    assert_eq!(a.seal(A, b"x", &mut out), Err(SealError::ToMyself));
    a.peers[index(B)].sent = u64::MAX;
    assert_eq!(a.seal(B, b"x", &mut out), Err(SealError::Spent));
}

#[test]
fn labels_and_counts_are_those_of_their_reason() {
    for (at, why) in Why::ALL.into_iter().enumerate() {
        assert_eq!(why as usize, at);
        assert!(Why::ALL[..at].iter().all(|other| other.label() != why.label()));
    }
}

const _: () = assert!(wire::MESSAGE_MAX <= BODY_MAX);

proptest! {
    #[test]
    fn messages_come_as_they_were_sent(message in samples::message()) {
        let (mut a, mut b) = pair();
        let mut body = Vec::new();
        wire::encode(&message, &mut body);
        let Got::Message(from, body) = open(&mut b, later(1), &seal(&mut a, B, &body)) else {
            return Err(TestCaseError::fail("not let through"));
        };
        prop_assert_eq!((from, wire::decode(&body)), (A, Ok(message)));
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600), near in any::<bool>()) {
        let (_, mut b) = pair();
        if near && bytes.len() > 10 {
            bytes[0] = 1;
            bytes[1..=CLUSTER].copy_from_slice(&b.cluster);
            bytes[9..11].copy_from_slice(&[1, 2]);
        }
        let before = state(&b);
        prop_assert!(matches!(b.open(later(1), &mut bytes, |_, _| true), Opened::Nothing(_)));
        prop_assert_eq!(state(&b), before);
    }
}
