//! The configurations of the pair that are visited to the last state, and which of them finds
//! which broken rule.
//!
//! `GWP_LONG_MODELS=1 cargo test -p gwp-redundancy --lib long_models -- --nocapture` runs the
//! large ones, too (or those whose names begin with one of the given words, by commas).

use super::explore::explore;
use super::pair::Pair;
use crate::policy::{PairPolicy, Quorum};
use crate::timing::Timing;

struct Run {
    name: &'static str,
    pair: Pair,
    /// Takes more than some seconds.
    long: bool,
}

const fn short(name: &'static str, pair: Pair) -> Run {
    Run { name, pair, long: false }
}

const fn long(name: &'static str, pair: Pair) -> Run {
    Run { name, pair, long: true }
}

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
const RUNS: &[Run] = &[
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
    long("pair-e2-m1-any-c1", Pair { crashes: 1, ..ONE }),
    long("pair-e2-any-lost", Pair { any_lost: true, ..BASE }),
    long("pair-e3", Pair { epoch_max: 3, ..BASE }),
    long("pair-e3-c1", Pair { epoch_max: 3, crashes: 1, ..BASE }),
    long("safety-e2-c1-marks", Pair { crashes: 1, marks: 2, ..SAFETY }),
    long("safety-e3-c2-marks", Pair { epoch_max: 3, crashes: 2, marks: 2, ..SAFETY }),
    long("availability-e2-marks", Pair { marks: 2, ..AVAILABILITY }),
];

/// Only for what is broken on purpose: surroundings that the rules do not bear.
const WEAKER: &[(Run, &str)] = &[
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

struct Mutant {
    name: &'static str,
    run: &'static str,
    property: &'static str,
    /// This is a build with that rule broken.
    is_this: bool,
}

macro_rules! mutants {
    ($($name:literal, $run:literal, $property:literal;)*) => {
        &[$(Mutant { name: $name, run: $run, property: $property, is_this: cfg!(mutant = $name) }),*]
    };
}

const MUTANTS: &[Mutant] = mutants! {
    "vote_not_durable", "pair-e2-c1", "I4";
    "vote_without_restart_wait", "pair-e2-c1", "I1";
    "lease_from_receipt", "pair-e2-any-lost", "I1";
    "destination_without_fence", "pair-e2-effects", "I3";
    "relinquish_before_closed", "pair-e2-effects", "I7";
    "handover_before_drained", "pair-e2-switchover-effects", "I7";
    "renewal_while_hung", "pair-e2-hang", "a hung";
    "alone_without_mark", "pair-e2-marks", "I15";
    "late_mark_counts", "pair-e2-marks", "I15";
    "mark_ignored_at_takeover", "pair-e2-marks", "a takeover";
    "safety_ignored", "safety-e2-c1", "I1";
    "mark_at_witness_alone", "pair-e2-marks", "a takeover";
    "own_mark_not_kept", "safety-e2-c1-marks", "I15";
};

fn run(name: &str) -> &'static Run {
    RUNS.iter().find(|run| run.name == name).expect("a run of this name")
}

/// In the small models nothing is forgotten that would have mattered: from each state the same
/// follows with it and without it.
#[test]
fn what_is_forgotten_does_not_matter() {
    let runs = ["pair-e2", "pair-e2-hang", "safety-e2-c1", "availability-e2-c1"];
    for run in runs.map(run) {
        explore(run.name, Pair { forgets: false, ..run.pair.clone() }).assert_holds();
    }
}

#[test]
fn short_models_hold() {
    for run in RUNS.iter().filter(|run| !run.long) {
        explore(run.name, run.pair.clone()).assert_holds();
    }
}

#[test]
fn long_models_hold() {
    let Ok(wanted) = std::env::var("GWP_LONG_MODELS") else {
        println!("set GWP_LONG_MODELS=1 to run them, or to the beginnings of names");
        return;
    };
    let is_wanted = |run: &&Run| match wanted.as_str() {
        "1" => run.long,
        words => words.split(',').any(|word| run.name.starts_with(word)),
    };
    for run in RUNS.iter().filter(is_wanted) {
        explore(run.name, run.pair.clone()).assert_holds();
    }
}

#[test]
fn what_the_rules_do_not_bear_breaks_them() {
    for (run, property) in WEAKER {
        explore(run.name, run.pair.clone()).assert_violates(property);
    }
}

/// One line each: `mutant NAME RUN PROPERTY short|long`; a long run takes minutes.
#[test]
fn mutants_are_listed() {
    for mutant in MUTANTS {
        assert!(!mutant.property.is_empty());
        let length = if run(mutant.run).long { "long" } else { "short" };
        println!("mutant {} {} {} {length}", mutant.name, mutant.run, mutant.property);
    }
}

/// To be run in a build with `--cfg mutant="NAME"`; without one it has nothing to find.
#[test]
fn mutant_is_found() {
    for mutant in MUTANTS.iter().filter(|mutant| mutant.is_this) {
        explore(mutant.run, run(mutant.run).pair.clone()).assert_violates(mutant.property);
        println!("found {} by {} as {}", mutant.name, mutant.run, mutant.property);
    }
}
