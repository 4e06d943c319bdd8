//! Broken rules that the simulation has to find: those that show in long runs of a whole pair
//! only. What a model finds is listed with the models.
//!
//! `tests/mutants.sh` breaks them, one at a time.

use super::run;
use crate::mutants::is_broken;

struct Mutant {
    name: &'static str,
    /// Seeds that are known to find it; the first that does ends the search.
    known: &'static [u64],
}

const MUTANTS: &[Mutant] = &[
    Mutant { name: "handover_before_drained", known: &[7] },
    Mutant { name: "draining_says_unpaired", known: &[9] },
    Mutant { name: "old_mark_counts", known: &[12] },
    Mutant { name: "lower_epoch_goes_on", known: &[1_836] },
    Mutant { name: "led_counts_as_whole", known: &[1_483] },
    Mutant { name: "end_of_promise_not_due", known: &[54] },
];

/// Seeds after the known ones.
const MORE: u64 = 5_000;

#[test]
fn simulation_finds_mutant() {
    for mutant in MUTANTS.iter().filter(|mutant| is_broken(mutant.name)) {
        let seeds = mutant.known.iter().copied().chain(0..MORE);
        let found = seeds.filter_map(|seed| run(seed).err()).next();
        let failure = found.unwrap_or_else(|| panic!("no seed finds {}", mutant.name));
        println!("found {} by simulation as {} (seed {})", mutant.name, failure.what, failure.seed);
    }
}

#[test]
fn simulation_mutants_are_listed() {
    for mutant in MUTANTS {
        println!("mutant {} simulation - short", mutant.name);
    }
}
