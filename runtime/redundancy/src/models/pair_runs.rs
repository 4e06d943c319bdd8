//! The configurations of the pair that are visited to the last state, and which of them finds
//! which broken rule.

use super::explore::explore;
use super::pair::Pair;
use super::runs::{
    Mutant, Run, find, large, list, long, long_hold, mutant, named, open, promise_less, short, short_hold,
    sweep_is_explore,
};
use crate::policy::{PairPolicy, Quorum};
use crate::timing::Timing;

/// A lease of two ticks and a promise of three; a node speaks every tick.
const TIMING: Timing = Timing { beat: 1, lease: 2, promise: 3, solo: 4, start_hold: 0, idle_hello: u64::MAX };

/// The primary is active and the backup in step; two messages under way.
const BASE: Pair = Pair {
    quorum: Quorum::Witnessed,
    timing: TIMING,
    epoch_max: 2,
    crashes: 0,
    messages: 2,
    any_lost: false,
    lag: 0,
    doubled: false,
    effects: false,
    switchovers: 0,
    marks: 0,
    hangs: 0,
    force: 0,
    running: true,
    forgets: true,
};
const SAFETY: Pair = Pair { quorum: Quorum::Pair(PairPolicy::Safety), ..BASE };
const AVAILABILITY: Pair = Pair { quorum: Quorum::Pair(PairPolicy::Availability), ..BASE };
/// One message under way, any of those that are sent.
const ONE: Pair = Pair { messages: 1, any_lost: true, ..BASE };

/// In a name: e epochs, c crashes, m messages under way (2 if not said).
const RUNS: &[Run<Pair>] = &[
    short("pair-e2", BASE),
    short("pair-e2-doubled", Pair { doubled: true, ..BASE }),
    short("pair-e2-hang", Pair { hangs: 1, ..BASE }),
    short("pair-e2-switchover", Pair { switchovers: 1, ..BASE }),
    short("safety-e2-c1", Pair { crashes: 1, ..SAFETY }),
    short("safety-e2-c1-switchover", Pair { crashes: 1, switchovers: 1, ..SAFETY }),
    short("safety-e2-force", Pair { force: 1, ..SAFETY }),
    short("availability-e2-c1", Pair { crashes: 1, ..AVAILABILITY }),
    long("pair-e2-c1", Pair { crashes: 1, ..BASE }),
    long("pair-e2-lag", Pair { lag: 1, ..BASE }),
    long("pair-e2-effects", Pair { effects: true, ..BASE }),
    long("pair-e2-marks", Pair { marks: 2, ..BASE }),
    long("pair-e2-switchover-effects", Pair { switchovers: 1, effects: true, ..BASE }),
    long("pair-e2-cold", Pair { running: false, ..BASE }),
    long("pair-e2-c1-switchover", Pair { crashes: 1, switchovers: 1, ..BASE }),
    short("pair-e2-m1", ONE),
    long("pair-e2-m1-doubled", Pair { doubled: true, ..ONE }),
    long("pair-e2-m1-lag", Pair { lag: 1, ..ONE }),
    long("pair-e2-m1-lag-c1", Pair { lag: 1, crashes: 1, ..ONE }),
    open("pair-e2-any-lost-marks3", Pair { any_lost: true, marks: 3, ..BASE }),
    long("pair-e2-m1-marks", Pair { marks: 2, ..ONE }),
    // The peer may not have been in step yet when its active goes alone; nobody but an operator may speak for it.
    long("pair-e2-cold-m1-marks", Pair { running: false, marks: 2, ..ONE }),
    short("pair-e2-force-marks", Pair { force: 1, marks: 1, ..ONE }),
    large("pair-e3-force-marks", Pair { epoch_max: 3, force: 1, marks: 1, ..ONE }),
    long("pair-e2-m1-marks-c1", Pair { marks: 2, crashes: 1, ..ONE }),
    long("pair-e2-m1-switchover-effects-c1", Pair { crashes: 1, switchovers: 1, effects: true, ..ONE }),
    long("pair-e3-m1", Pair { epoch_max: 3, ..ONE }),
    long("pair-e3-m1-c1", Pair { epoch_max: 3, crashes: 1, ..ONE }),
    large("pair-e3-m1-c2", Pair { epoch_max: 3, crashes: 2, ..ONE }),
    long("pair-e2-m1-c1", Pair { crashes: 1, ..ONE }),
    long("pair-e2-any-lost", Pair { any_lost: true, ..BASE }),
    long("pair-e3", Pair { epoch_max: 3, ..BASE }),
    long("pair-e3-c1", Pair { epoch_max: 3, crashes: 1, ..BASE }),
    long("safety-e2-c1-marks", Pair { crashes: 1, marks: 2, ..SAFETY }),
    long("safety-e3-c2-marks", Pair { epoch_max: 3, crashes: 2, marks: 2, ..SAFETY }),
    long("availability-e2-marks", Pair { marks: 2, ..AVAILABILITY }),
];

/// Only for what is broken on purpose: surroundings that the rules do not bear.
const WEAKER: &[(Run<Pair>, &str)] = &[
    // Two clocks that differ by more than the promise outlasts the lease.
    (short("pair-e2-lag2", Pair { lag: 2, ..ONE }), "I1"),
    (
        short(
            "pair-e2-promise-as-lease-lag",
            Pair { lag: 1, timing: Timing { promise: 2, ..TIMING }, ..ONE },
        ),
        "I1",
    ),
];

const MUTANTS: &[Mutant] = &[
    mutant("vote_not_durable", "pair-e2-c1", "I4"),
    mutant("vote_without_restart_wait", "pair-e2-m1-c1", "I1"),
    mutant("lease_from_receipt", "pair-e2-m1-doubled", "I1"),
    mutant("destination_without_fence", "pair-e2-effects", "I3"),
    mutant("relinquish_before_closed", "pair-e2-effects", "I7"),
    mutant("renewal_while_hung", "pair-e2-hang", "a hung"),
    mutant("alone_without_mark", "pair-e2-marks", "I15"),
    mutant("late_mark_counts", "pair-e2-any-lost-marks3", "I15"),
    mutant("own_mark_enough", "pair-e2-m1-marks", "a takeover"),
    mutant("mark_ignored_at_takeover", "pair-e2-m1-marks", "a takeover"),
    mutant("safety_ignored", "safety-e2-c1", "I1"),
    mutant("mark_at_witness_alone", "pair-e2-m1-marks", "I15"),
    mutant("own_mark_not_kept", "safety-e2-c1-marks", "I15"),
];

/// Nothing is forgotten that would have mattered: from each state the same follows with it and
/// without it. A few models every day, more with the large ones.
#[test]
fn what_is_forgotten_does_not_matter() {
    let daily = ["pair-e2-m1", "safety-e2-c1", "availability-e2-c1"];
    let more = [
        "pair-e2",
        "pair-e2-hang",
        "pair-e2-switchover",
        "pair-e2-m1-c1",
        "pair-e2-m1-lag",
        "pair-e2-m1-marks",
    ];
    let all = std::env::var_os("GWP_LONG_MODELS").is_some_and(|wanted| wanted == "1");
    for name in daily.into_iter().chain(more.into_iter().filter(|_| all)) {
        explore(name, Pair { forgets: false, ..named(RUNS, name).model.clone() }).assert_holds();
    }
}

pub fn names() -> impl Iterator<Item = &'static str> {
    RUNS.iter().map(|run| run.name)
}

#[test]
fn short_models_hold() {
    short_hold(RUNS);
}

#[test]
fn long_models_hold() {
    long_hold(RUNS);
}

#[test]
fn a_switchover_to_who_has_just_gone_into_maintenance_is_given_up() {
    let wide = Pair { messages: 20, ..BASE };
    assert_eq!(wide.switched_to_who_is_in_maintenance(), (true, true));
}

/// As long as it is asked for the switchover it hears no other vote; it must not go on so.
#[test]
fn who_is_to_take_over_does_so_when_the_active_dies_in_the_middle_of_it() {
    let wide = Pair { messages: 20, ..BASE };
    let stuck: Vec<usize> =
        (0..30).filter(|messages| !wide.takes_over_from_a_switchover(*messages)).collect();
    assert_eq!(stuck, [0usize; 0]);
}

#[test]
fn keeping_hashes_alone_visits_the_same_states() {
    sweep_is_explore(named(RUNS, "pair-e2-m1"));
}

#[test]
fn what_the_rules_do_not_bear_breaks_them() {
    promise_less(WEAKER);
}

#[test]
fn mutants_are_listed() {
    list(MUTANTS, RUNS);
}

#[test]
fn mutant_is_found() {
    find(MUTANTS, RUNS, |_, pair| pair);
}
