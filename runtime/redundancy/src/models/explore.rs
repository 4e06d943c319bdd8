//! Runs a model to its end and says how large it was: what all exhaustive checks share.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What a run has found.
pub struct Explored {
    pub name: String,
    /// Different states, and states including those met again.
    pub unique: usize,
    pub generated: usize,
    /// Steps from the start to the state that is farthest from it.
    pub depth: usize,
    pub seconds: f64,
    /// Largest resident memory of the process so far, in KiB; 0 where the system does not tell.
    pub peak_rss_kib: u64,
    /// Properties that must hold always and do not, with the steps that lead there.
    pub violated: Vec<Found>,
    /// Properties that were to be seen once, and were.
    pub seen: Vec<Found>,
    /// Properties that were to be seen once, and were not.
    pub unseen: Vec<&'static str>,
}

/// A property that was found, and how.
pub struct Found {
    pub property: &'static str,
    pub steps: Vec<String>,
}

/// One model at a time: each takes both threads and much memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Visits every state of `model` breadth-first with two threads, or stops at the first
/// violation. There is no bound on time or states: without a violation the run was exhaustive.
pub fn explore<M>(name: &str, model: M) -> Explored
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Debug + Send + Sync + 'static,
{
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let started = Instant::now();
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let seconds = started.elapsed().as_secs_f64();
    let mut found = checker.discoveries();
    let mut explored = Explored {
        name: name.to_string(),
        unique: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth(),
        seconds,
        peak_rss_kib: peak_rss_kib(),
        violated: Vec::new(),
        seen: Vec::new(),
        unseen: Vec::new(),
    };
    for property in checker.model().properties() {
        let path = found.remove(property.name);
        let steps = path.map(|path| path.into_actions().iter().map(|action| format!("{action:?}")).collect());
        match (property.expectation, steps) {
            (Expectation::Sometimes, Some(steps)) => {
                explored.seen.push(Found { property: property.name, steps });
            }
            (Expectation::Sometimes, None) => explored.unseen.push(property.name),
            (_, Some(steps)) => explored.violated.push(Found { property: property.name, steps }),
            (_, None) => {}
        }
    }
    assert!(!explored.violated.is_empty() || checker.is_done(), "{name}: states are left");
    println!("{}", explored.line());
    explored
}

impl Explored {
    /// All of it in one line.
    pub fn line(&self) -> String {
        let list = |found: &[Found]| {
            let each = found.iter().map(|found| format!("{} at depth {}", found.property, found.steps.len()));
            each.collect::<Vec<_>>().join(", ")
        };
        let mut line = format!(
            "{}: {} unique, {} generated, depth {}, {:.1} s, peak {} MiB",
            self.name,
            self.unique,
            self.generated,
            self.depth,
            self.seconds,
            self.peak_rss_kib / 1024
        );
        if !self.violated.is_empty() {
            line += &format!("; VIOLATED: {}", list(&self.violated));
        }
        if !self.unseen.is_empty() {
            line += &format!("; not seen: {}", self.unseen.join(", "));
        }
        line
    }

    /// Fails unless every state was visited, nothing is violated, and all was seen that was to
    /// be seen.
    pub fn assert_holds(&self) {
        for found in &self.violated {
            println!("{}: {} violated by:", self.name, found.property);
            found.steps.iter().for_each(|step| println!("  {step}"));
        }
        assert!(self.violated.is_empty() && self.unseen.is_empty(), "{}", self.line());
    }

    /// Fails unless this property is violated.
    pub fn assert_violates(&self, property: &str) {
        let found = self.violated.iter().any(|found| found.property.starts_with(property));
        assert!(found, "{property} is not violated; {}", self.line());
    }
}

/// `VmHWM` of this process.
pub fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
