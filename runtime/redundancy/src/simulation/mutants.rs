//! Broken rules that the simulation has to find: those that show in long runs of a whole pair
//! only. What a model finds is listed with the models.
//!
//! A build with `--cfg mutant="NAME"` breaks that rule; `tests/mutants.sh` makes them.

use super::run;

struct Mutant {
    name: &'static str,
    /// Seeds that are known to find it; the first that does ends the search.
    known: &'static [u64],
    /// This is a build with that rule broken.
    is_this: bool,
}

macro_rules! mutants {
    ($($name:literal, $known:expr;)*) => {
        &[$(Mutant { name: $name, known: &$known, is_this: cfg!(mutant = $name) }),*]
    };
}

const MUTANTS: &[Mutant] = mutants! {
    "draining_says_unpaired", [9];
    "old_mark_counts", [12];
    "lower_epoch_goes_on", [1_836];
    "led_counts_as_whole", [1_483];
};

/// Seeds after the known ones.
const MORE: u64 = 5_000;

#[test]
fn simulation_finds_mutant() {
    for mutant in MUTANTS.iter().filter(|mutant| mutant.is_this) {
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
    assert!(!MUTANTS.is_empty());
}
