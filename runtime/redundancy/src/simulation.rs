//! The pair under weather: seeded runs of two nodes and a witness in virtual time.
//!
//! The machines ([`crate::node`], [`crate::witness`]) and the rules of the mirror
//! ([`crate::mirror`]) are the real ones, with the durations of each profile of [`crate::timing`]
//! and each mode of the mirror. This module is the world around them: clocks that run at different
//! rates, jump and stand still, a network that loses, doubles and reorders, links that break, disks
//! that fail, tear and burn, processes that pause, sleep, hang, crash and come back, logs that are
//! trimmed, devices, a source that forgets, destinations, and people who switch over, configure and
//! decide. What the models prove of small pairs in every order, this looks for in long runs of whole
//! ones.
//!
//! After every step of a machine the invariants of [`crate::invariants`] are asked; outside
//! facts (what was read, what arrived, in which order and epoch) are kept by [`facts`]. At the
//! end all faults stop, and within a time there must be one active, with both nodes in step and
//! everything delivered.
//!
//! Where what holds:
//!
//! | | witness | pair, safety | pair, availability | an operator forced |
//! |---|---|---|---|---|
//! | I1 one holder, I13/I15/I20 mark before leaving, I16 order, I17 doubles, I22 epochs | yes | yes | no | no |
//! | I2, I3 (fence), I4, I6, I7, I9, I11, I12, I18, I32, I33 | yes | yes | yes | yes |
//!
//! After a clock was wrong ([`clocks`]) the first row does not hold of the older of two holders. In
//! the mode `local` what leaves is on one disk, and there is no order.
//!
//! A seed that fails tells its story. More seeds: `GWP_SEED=10000 GWP_SEEDS=100000 cargo test
//! -p gwp-redundancy --lib daily_seeds -- --nocapture`.

mod check;
mod clocks;
mod coverage;
mod disks;
mod doubles;
mod facts;
mod faults;
mod link;
mod mutants;
mod plan;
mod process;
mod random;
mod sinks;
mod source;
mod store;
mod told;
mod world;

use crate::member::NodeId;
use crate::mirror::MirrorMode;
use crate::mirror::fill::{From, admit};
use crate::node::{Role, StalePolicy};
use crate::timing::Timing;
use coverage::Coverage;
use plan::{MS, Plan, S};
use store::lacks;
use world::World;

/// Seeds that failed once.
const KEPT: &[u64] = &[
    21_150, 37_684, 48_305, 50_708, 50_885, 53_782, 61_504, 62_874, 72_523, 76_974, 96_547, 102_077, 103_908,
    105_524, 212_617,
];

/// From the end of all faults to one active: restarted processes wait for a promise, look around
/// for two holds and a turn, stand, and open their sinks; an operator may have to come.
fn one_active(plan: &Plan) -> u64 {
    let asks = if plan.stale == StalePolicy::Ask { 2 * (plan.timing.start_hold + 6 * S) } else { 0 };
    2 * plan.timing.start_hold + 3 * plan.timing.lease + 2 * plan.timing.promise + 4_400 * MS + asks
}

/// From one active to all delivered.
const CALM: u64 = 42 * S;

struct Failure {
    seed: u64,
    what: String,
    story: String,
}

impl World {
    /// First thing that is still under way after the calm; nothing if the pair is quiet.
    fn unquiet(&self) -> Option<String> {
        let Some(active) = self.only_active() else { return Some("no single active".into()) };
        let (mine, other) = (&self.nodes[active.index()], &self.nodes[active.peer().index()]);
        let Some(work) = &mine.work else { return Some("no work".into()) };
        let log = &mine.store;
        let there = &other.store;
        if other.role() != Some(Role::Standby) {
            return Some(format!("the other is {:?}", other.role()));
        }
        if log.synced != log.log.len() || there.end() != log.end() || there.synced != there.log.len() {
            return Some("the logs differ in length".into());
        }
        if there.hash(there.synced) != log.hash(log.synced) {
            return Some("the logs differ".into());
        }
        if !work.side.is_paired() || work.side.peer_durable() != log.end() || work.side.wish().is_some() {
            return Some(format!("not paired: {:?}", work.side));
        }
        if mine.node.as_ref().is_some_and(|node| node.is_alone()) {
            return Some("it still goes alone".into());
        }
        if mine.flights.iter().any(Option::is_some)
            || log.delivered.iter().any(|cursor| log.after(*cursor).next().is_some())
        {
            return Some("not all is delivered".into());
        }
        if !self.facts.queue.is_empty() {
            return Some("a message is not acknowledged".into());
        }
        if !there.aside.is_empty() || work.handed.is_some() {
            return Some("a tail is aside".into());
        }
        let offers = there.shadow.offers(&there.held, usize::MAX);
        let fills = offers.iter().any(|offer| admit(offer, From::Fill, &log.held).is_some());
        fills.then(|| "the active lacks what the other has".into())
    }

    /// I9, I20, and what else is looked at in the end.
    fn check_end(&mut self) {
        let facts = &self.facts;
        let missing = facts
            .acknowledged
            .keys()
            .find(|identity| facts.delivered(identity) & 1 == 0 && !facts.lost.contains_key(identity));
        if let Some(identity) = missing {
            return self.fail(format!("I20 what the source forgot is delivered: {identity:?}"));
        }
        for id in NodeId::BOTH {
            self.all_is_stored(id);
            for sink in 0..store::SINKS {
                let store = &self.nodes[id.index()].store;
                let dropped = &store.dropped;
                if let Some(identity) = lacks(&store.owed, &[&self.facts.sinks[sink].got, dropped]) {
                    let held = NodeId::BOTH.map(|id| store::held(&self.nodes[id.index()].store, &identity));
                    let what =
                        format!("I9 all is delivered: {identity:?} of {id} to sink {sink}, logs {held:?}");
                    self.fail(what);
                }
            }
        }
    }

    fn run(&mut self) {
        let calm_at = self.plan.calm_at;
        let one_active = one_active(&self.plan);
        while self.broken.is_none() && self.step(calm_at + one_active) {}
        // A failback may be under way just then.
        let mut upto = calm_at + one_active;
        while self.broken.is_none() && self.only_active().is_none() && upto < calm_at + one_active + S {
            upto += 50 * MS;
            while self.broken.is_none() && self.step(upto) {}
        }
        if self.broken.is_none() && self.only_active().is_none() {
            let roles = NodeId::BOTH.map(|id| self.nodes[id.index()].role());
            return self.fail(format!("I32 one active after the calm, and not {roles:?}"));
        }
        // An event that only the standby has got is offered when a newer one of its tag is in the
        // log: so the last ones are got by both.
        self.nodes.iter_mut().for_each(|process| process.reads_fail = 0);
        while self.broken.is_none() && self.step(calm_at + one_active + 2 * S) {}
        self.reads_end = true;
        let mut until = calm_at + one_active + 3 * S;
        let mut why = None;
        while self.broken.is_none() && until < calm_at + one_active + CALM {
            while self.broken.is_none() && self.step(until) {}
            why = self.unquiet();
            if why.is_none() {
                return self.check_end();
            }
            until += 200 * MS;
        }
        if let Some(why) = why {
            self.fail(format!("I32 a pair at peace in the end: {why}"));
        }
    }
}

fn run(seed: u64) -> Result<Coverage, Failure> {
    let mut world = World::new(seed, false);
    world.run();
    if world.broken.is_none() {
        world.coverage.saw(match world.plan.quorum {
            crate::policy::Quorum::Witnessed => "witnessed",
            crate::policy::Quorum::Pair(crate::policy::PairPolicy::Safety) => "pair for safety",
            _ => "pair for availability",
        });
        world.coverage.saw(match world.plan.timing {
            Timing::FAST => "fast",
            Timing::WAN => "wan",
            _ => "default timing",
        });
        world.coverage.saw(match world.plan.mode {
            MirrorMode::BeforeSend => "both disks",
            MirrorMode::Memory => "memory",
            MirrorMode::Local => "local",
        });
        return Ok(world.coverage);
    }
    // The same again, told.
    let mut world = World::new(seed, true);
    world.run();
    let story: Vec<String> = world.story.into_iter().collect();
    let what = format!("{} ({:?})", world.broken.unwrap_or_default(), world.plan.quorum);
    Err(Failure { seed, what, story: story.join("\n") })
}

/// Runs seeds and gives what they met; tells the story of the first that fails.
fn run_all(seeds: impl IntoIterator<Item = u64>) -> Coverage {
    let mut coverage = Coverage::default();
    let mut failures: Vec<Failure> = Vec::new();
    for seed in seeds {
        match run(seed) {
            Ok(of_one) => coverage.add(&of_one),
            Err(failure) => {
                println!("seed {} fails: {}", failure.seed, failure.what);
                failures.push(failure);
            }
        }
    }
    if let Some(first) = failures.first() {
        let all: Vec<String> =
            failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.what)).collect();
        panic!("{}\n\n{} of the seeds fail:\n{}", first.story, all.len(), all.join("\n"));
    }
    coverage
}

/// A number of the environment; a wrong one must not pass for another.
fn number(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number from 0 to 18446744073709551615"))
}

#[test]
fn daily_seeds() {
    let first = number("GWP_SEED", 0);
    let count = number("GWP_SEEDS", 2_000);
    assert!(count > 0, "GWP_SEEDS=0 tries nothing");
    let end = first.checked_add(count).expect("GWP_SEED + GWP_SEEDS is too large");
    let kept = if count < 10 { &[] } else { KEPT };
    let coverage = run_all(kept.iter().copied().chain(first..end));
    println!("{}", coverage.table());
    // A few seeds need not meet everything.
    if count >= 2_000 {
        assert_eq!(coverage.missing(), Vec::<String>::new());
    }
}

#[test]
fn a_seed_is_a_run() {
    let told = |seed| {
        let mut world = World::new(seed, true);
        world.run();
        world.story
    };
    assert_eq!(told(3), told(3));
    assert_ne!(told(3), told(4));
}
