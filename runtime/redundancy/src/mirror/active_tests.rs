//! The active's side step by step: gate, credit, waiting, the mark.

use super::super::place::RunningHash;
use super::*;
use gwp_core::Position;

const T_SOLO: u64 = 2_000_000_000;

fn at(seq: u64) -> Place {
    Place::log(Position::new(1, seq))
}

fn frame(before: u64, place: u64, bytes: u32) -> Head {
    let hash = RunningHash::EMPTY;
    Head { before: at(before), hash_before: hash, place: at(place), hash, bytes }
}

/// Paired at `seq`.
fn paired(mode: MirrorMode, seq: u64) -> ActiveSide {
    let mut active = ActiveSide::new(mode, T_SOLO, at(seq), false);
    active.attached(at(seq));
    active
}

/// Paired at 1, then alone with 2 delivered under the mark.
fn solo() -> ActiveSide {
    let mut active = paired(MirrorMode::BeforeSend, 1);
    active.detached();
    active.committed(at(2), Mono(0));
    active.tick(Mono(T_SOLO));
    active.solo_registered();
    assert_eq!(active.gate(), at(2));
    active
}

#[test]
fn the_gate_follows_what_the_mode_asks_for() {
    for (mode, gates) in [
        (MirrorMode::BeforeSend, [1, 1, 1, 2]),
        (MirrorMode::Memory, [1, 1, 2, 2]),
        (MirrorMode::Local, [2, 2, 2, 2]),
    ] {
        let mut active = paired(mode, 1);
        let mut seen = Vec::new();
        active.committed(at(2), Mono(0));
        seen.push(active.gate());
        active.sent(&frame(1, 2, 10));
        seen.push(active.gate());
        active.acknowledged(at(2), at(1));
        seen.push(active.gate());
        active.acknowledged(at(2), at(2));
        seen.push(active.gate());
        assert_eq!(seen, gates.map(at), "{mode:?}");
        assert!(active.may_leave(at(2)) && !active.may_leave(at(2).derived()));
    }
}

#[test]
fn what_is_durable_there_alone_may_not_leave() {
    let mut active = paired(MirrorMode::BeforeSend, 1);
    active.sent(&frame(1, 2, 10));
    active.acknowledged(at(2), at(2));
    assert_eq!(active.gate(), at(1), "the own disk counts, too");
    active.committed(at(2), Mono(0));
    assert_eq!(active.gate(), at(2));
}

#[test]
fn frames_go_out_in_order_within_the_credit() {
    let mut active = paired(MirrorMode::BeforeSend, 0).with_window(100);
    assert_eq!(active.next_after(), Some(at(0)));
    assert!(active.has_credit(5000), "one frame may always go");
    active.sent(&frame(0, 1, 60));
    assert!(active.has_credit(40) && !active.has_credit(41));
    active.sent(&frame(1, 2, 40));
    assert_eq!(active.next_after(), Some(at(2)));
    active.acknowledged(at(2), at(1));
    assert!(active.has_credit(60) && !active.has_credit(61));
    active.acknowledged(at(9), at(9));
    assert_eq!(active.peer_durable(), at(1), "more than was sent cannot be there");
    active.detached();
    assert_eq!(active.next_after(), None);
    assert!(!active.has_credit(1));
    active.attached(at(1));
    assert_eq!(active.next_after(), Some(at(1)), "what was not durable there is sent again");
    assert!(active.has_credit(5000));
}

#[test]
fn nothing_leaves_alone_before_the_mark_is_registered() {
    let mut active = paired(MirrorMode::BeforeSend, 1);
    active.detached();
    active.committed(at(2), Mono(10));
    active.tick(Mono(10 + T_SOLO - 1));
    assert_eq!(active.wish(), None);
    active.tick(Mono(10 + T_SOLO));
    assert_eq!(active.wish(), Some(Wish::Solo { since: at(1) }));
    assert_eq!(active.gate(), at(1));
    active.solo_refused();
    assert_eq!((active.wish(), active.gate()), (None, at(1)));
    active.tick(Mono(10 + T_SOLO));
    active.solo_registered();
    assert_eq!((active.wish(), active.gate(), active.is_solo()), (None, at(2), true));
}

#[test]
fn a_peer_that_is_there_but_slow_counts_as_one_that_is_away() {
    let mut active = paired(MirrorMode::BeforeSend, 1);
    active.committed(at(2), Mono(0));
    active.sent(&frame(1, 2, 10));
    active.committed(at(3), Mono(T_SOLO / 2));
    active.acknowledged(at(2), at(2));
    active.tick(Mono(T_SOLO));
    assert_eq!(active.wish(), None, "3 has waited half of it");
    active.tick(Mono(T_SOLO + T_SOLO / 2));
    assert_eq!(active.wish(), Some(Wish::Solo { since: at(2) }));
}

#[test]
fn the_ages_of_what_waits_are_bounded_in_number() {
    let mut active = paired(MirrorMode::BeforeSend, 0);
    for seq in 1..1000 {
        active.committed(at(seq), Mono(seq * T_SOLO / 10));
    }
    assert!(active.waiting.len() <= limits::WAITING_STEPS + 1);
    assert_eq!(active.waiting.front().unwrap().1, Mono(T_SOLO / 10), "the oldest is not forgotten");
    active.tick(Mono(T_SOLO / 10 + T_SOLO));
    assert!(active.wish().is_some());
}

#[test]
fn the_mark_is_taken_back_only_when_the_peer_has_what_left_alone() {
    let mut active = solo();
    active.attached(at(1));
    assert_eq!(active.wish(), None, "2 was delivered and is not there");
    active.sent(&frame(1, 2, 10));
    active.committed(at(3), Mono(0));
    assert_eq!(active.gate(), at(2), "the gate is shut to what is new before the mark goes");
    active.acknowledged(at(2), at(1));
    assert_eq!(active.wish(), None);
    active.acknowledged(at(2), at(2));
    assert_eq!(active.wish(), Some(Wish::Clear));
    assert!(!active.is_solo() && !active.is_paired());
    active.mark_cleared();
    assert!(active.is_paired());
    assert_eq!(active.gate(), at(2));
}

#[test]
fn a_peer_that_is_lost_while_pairing_leaves_the_mark_in_force() {
    let mut active = solo();
    active.attached(at(1));
    active.sent(&frame(1, 2, 10));
    active.committed(at(3), Mono(0));
    active.detached();
    assert_eq!((active.is_solo(), active.gate()), (true, at(3)));
    active.attached(at(1));
    active.sent(&frame(1, 2, 10));
    active.sent(&frame(2, 3, 10));
    active.committed(at(4), Mono(0));
    active.tick(Mono(T_SOLO));
    assert_eq!(active.gate(), at(4), "a slow peer, too");
}

#[test]
fn a_mark_found_set_is_cleared_once_the_peer_has_this_log() {
    let mut active = ActiveSide::new(MirrorMode::BeforeSend, T_SOLO, at(5), true);
    assert_eq!((active.gate(), active.wish()), (Place::ZERO, None));
    active.attached(at(4));
    active.sent(&frame(4, 5, 10));
    assert_eq!(active.wish(), None);
    active.acknowledged(at(5), at(5));
    assert_eq!(active.wish(), Some(Wish::Clear));
    // Alone from the start it registers a mark of its own.
    let mut alone = ActiveSide::new(MirrorMode::BeforeSend, T_SOLO, at(5), true);
    alone.committed(at(6), Mono(0));
    alone.tick(Mono(T_SOLO));
    alone.solo_refused();
    alone.tick(Mono(T_SOLO));
    assert_eq!(alone.wish(), Some(Wish::Solo { since: Place::ZERO }));
    alone.solo_registered();
    assert_eq!(alone.gate(), at(6));
}
