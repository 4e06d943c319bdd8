//! Rules that are broken on purpose, to see that the checks find it.
//!
//! A build with `--cfg mutants` breaks the rule that `GWP_MUTANT` names; `tests/mutants.sh` makes
//! one and runs it for each rule. In every other build [`mutant!`] is the word `false`.

/// Whether this rule is broken on purpose.
#[cfg(mutants)]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_broken($name)
    };
}
#[cfg(not(mutants))]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

#[cfg(mutants)]
pub fn is_broken(rule: &str) -> bool {
    static BROKEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BROKEN.get_or_init(|| std::env::var("GWP_MUTANT").unwrap_or_default()) == rule
}

/// For the tables of what finds which.
#[cfg(all(test, not(mutants)))]
pub fn is_broken(_: &str) -> bool {
    false
}
