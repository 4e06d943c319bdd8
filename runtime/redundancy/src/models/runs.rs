//! Tables of runs, and of broken rules with the runs that find them: what both models share.
//!
//! `GWP_LONG_MODELS=1 cargo test -p gwp-redundancy --lib long_models -- --nocapture` runs the
//! large ones, too; instead of `1` names can be given, by commas, with `*` at the end for all that
//! begin so.

use super::explore::explore;
use super::sweep::sweep;
use crate::mutants::is_broken;
use stateright::Model;
use std::fmt::Debug;
use std::hash::Hash;

/// A configuration with a name.
pub struct Run<M> {
    pub name: &'static str,
    pub model: M,
    pub size: Size,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Some seconds: every day.
    Short,
    /// Minutes.
    Long,
    /// Minutes, and more memory than most machines have: only hashes are kept of what was visited.
    Large,
    /// Not visited to the end: only to find a broken rule, which shows early.
    Open,
}

pub const fn short<M>(name: &'static str, model: M) -> Run<M> {
    Run { name, model, size: Size::Short }
}

pub const fn long<M>(name: &'static str, model: M) -> Run<M> {
    Run { name, model, size: Size::Long }
}

pub const fn large<M>(name: &'static str, model: M) -> Run<M> {
    Run { name, model, size: Size::Large }
}

pub const fn open<M>(name: &'static str, model: M) -> Run<M> {
    Run { name, model, size: Size::Open }
}

/// A rule broken on purpose, the run that finds it and the property that is violated then.
pub struct Mutant {
    pub name: &'static str,
    pub run: &'static str,
    pub property: &'static str,
}

/// A row of a table of broken rules.
pub const fn mutant(name: &'static str, run: &'static str, property: &'static str) -> Mutant {
    Mutant { name, run, property }
}

/// A model that can be visited to the end.
pub trait Checked: Model<State: Seen, Action: Taken> + Clone + Send + Sync + 'static {}
impl<M: Model<State: Seen, Action: Taken> + Clone + Send + Sync + 'static> Checked for M {}

pub trait Seen: Clone + PartialEq + Hash + Debug + Send + Sync + 'static {}
impl<T: Clone + PartialEq + Hash + Debug + Send + Sync + 'static> Seen for T {}

pub trait Taken: Clone + PartialEq + Debug + Send + Sync + 'static {}
impl<T: Clone + PartialEq + Debug + Send + Sync + 'static> Taken for T {}

/// The run of this name.
pub fn named<'a, M>(runs: &'a [Run<M>], name: &str) -> &'a Run<M> {
    runs.iter().find(|run| run.name == name).expect("a run of this name")
}

/// All that are run every day.
pub fn short_hold<M: Checked>(runs: &[Run<M>]) {
    for run in runs.iter().filter(|run| run.size == Size::Short) {
        explore(run.name, run.model.clone()).assert_holds();
    }
}

/// Whether a word of `GWP_LONG_MODELS` means this run.
pub fn means(word: &str, name: &str) -> bool {
    word.strip_suffix('*').map_or(name == word, |begin| name.starts_with(begin))
}

/// Those that the environment asks for.
pub fn long_hold<M: Checked>(runs: &[Run<M>]) {
    let Ok(wanted) = std::env::var("GWP_LONG_MODELS") else {
        println!("set GWP_LONG_MODELS=1 to run them, or to their names");
        return;
    };
    let is_wanted = |run: &&Run<M>| match wanted.as_str() {
        "1" => matches!(run.size, Size::Long | Size::Large),
        words => words.split(',').any(|word| means(word, run.name)),
    };
    for run in runs.iter().filter(is_wanted) {
        match run.size {
            Size::Large => sweep(run.name, &run.model).assert_holds(),
            _ => explore(run.name, run.model.clone()).assert_holds(),
        }
    }
}

/// What keeps only hashes visits the same states as what keeps all, and sees the same.
pub fn sweep_is_explore<M: Checked>(run: &Run<M>) {
    let (all, hashes) = (explore(run.name, run.model.clone()), sweep(run.name, &run.model));
    hashes.assert_holds();
    assert_eq!((hashes.unique, hashes.generated), (all.unique, all.generated));
    assert!(!hashes.seen.is_empty() && hashes.seen.len() == all.seen.len());
}

/// Configurations that promise less, and the property they break.
pub fn promise_less<M: Checked>(weaker: &[(Run<M>, &str)]) {
    for (run, property) in weaker {
        explore(run.name, run.model.clone()).assert_violates(property);
    }
}

/// One line each: `mutant NAME RUN PROPERTY short|long`; a long run takes minutes.
pub fn list<M>(mutants: &[Mutant], runs: &[Run<M>]) {
    for mutant in mutants {
        assert!(!mutant.property.is_empty());
        let length = if named(runs, mutant.run).size == Size::Short { "short" } else { "long" };
        println!("mutant {} {} {} {length}", mutant.name, mutant.run, mutant.property.replace(' ', "_"));
    }
}

/// In a build with a rule broken: each run of its lines finds it. In others there is nothing to
/// find.
pub fn find<M: Checked>(mutants: &[Mutant], runs: &[Run<M>], looking: impl Fn(&Mutant, M) -> M) {
    for mutant in mutants.iter().filter(|mutant| is_broken(mutant.name)) {
        let model = looking(mutant, named(runs, mutant.run).model.clone());
        explore(mutant.run, model).assert_violates(mutant.property);
        println!("found {} by {} as {}", mutant.name, mutant.run, mutant.property);
    }
}
