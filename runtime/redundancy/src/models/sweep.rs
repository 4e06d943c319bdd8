//! Visits every state of a model that is too large for [`explore`](super::explore): of a visited state only eight bytes
//! stay, a hash, and going deep first few states wait. So it cannot tell how it came to a violation, only the state; a
//! smaller model or [`explore`](super::explore) then finds the way.
//!
//! As in any search that keeps hashes, two states with the same hash of 64 bits would count as one: with 10^8 states
//! this happens once in 3,700 runs.

use super::explore::{Explored, Found, peak_rss_kib};
use super::runs::Checked;
use stateright::Expectation;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// States after which it says how far it has come.
const TOLD_EVERY: usize = 10_000_000;

/// Parts of the set that are locked on their own.
const PARTS: usize = 256;

const THREADS: usize = 2;

/// A hash is its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are given as numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The hashes of all states that were met.
struct Met(Vec<Mutex<HashSet<u64, BuildHasherDefault<AsItIs>>>>);

impl Met {
    fn new() -> Met {
        Met((0..PARTS).map(|_| Mutex::default()).collect())
    }

    /// False if it was met before.
    fn insert(&self, state: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let hash = hasher.finish();
        // The set uses the lowest bits and the highest seven.
        let part = &self.0[(hash >> 40) as usize % PARTS];
        locked(part).insert(hash)
    }

    fn len(&self) -> usize {
        self.0.iter().map(|part| locked(part).len()).sum()
    }
}

/// What two threads share while they visit.
struct Visit<'m, M: Checked> {
    model: &'m M,
    met: Met,
    generated: AtomicUsize,
    /// Longest way so far.
    longest: AtomicUsize,
    seen: Mutex<Vec<&'static str>>,
    violated: Mutex<Vec<Found>>,
    shared: Mutex<Shared<M>>,
    /// A thread has nothing to do.
    is_wanted: AtomicBool,
}

struct Shared<M: Checked> {
    /// States that are met and not looked at, each with the length of the way to it.
    given: Vec<(M::State, usize)>,
    busy: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Visits all states depth-first, so that few wait; or stops at the first violations. The depth is that of the longest
/// way that was gone, not of the shortest one to a state.
pub fn sweep<M: Checked>(name: &str, model: &M) -> Explored {
    let started = Instant::now();
    let mut given: Vec<_> = model.init_states().into_iter().map(|state| (state, 0)).collect();
    let met = Met::new();
    given.retain(|(state, _)| model.within_boundary(state) && met.insert(state));
    let visit = Visit {
        model,
        met,
        generated: AtomicUsize::new(given.len()),
        longest: AtomicUsize::new(0),
        seen: Mutex::default(),
        violated: Mutex::default(),
        shared: Mutex::new(Shared { given, busy: THREADS }),
        is_wanted: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(|| visit.work(name))));
    });
    let seen = locked(&visit.seen).clone();
    let wanted = model.properties().into_iter().filter(|one| one.expectation == Expectation::Sometimes);
    let (was, was_not): (Vec<_>, Vec<_>) =
        wanted.map(|one| one.name).partition(|property| seen.contains(property));
    let explored = Explored {
        name: name.to_string(),
        unique: visit.met.len(),
        generated: visit.generated.load(Relaxed),
        depth: visit.longest.load(Relaxed),
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_kib: peak_rss_kib(),
        violated: std::mem::take(&mut *locked(&visit.violated)),
        seen: was.into_iter().map(|property| Found { property, steps: Vec::new() }).collect(),
        unseen: was_not,
    };
    println!("{}", explored.line());
    explored
}

impl<M: Checked> Visit<'_, M> {
    fn work(&self, name: &str) {
        let mut own = Vec::new();
        let mut looked = 0usize;
        while let Some((state, way)) = own.pop().or_else(|| self.given()) {
            self.look(&state, way);
            let from = own.len();
            let count = self.follow(&state, way, &mut own);
            let before = self.generated.fetch_add(count, Relaxed);
            if before / TOLD_EVERY != (before + count) / TOLD_EVERY {
                println!("{name}: {} states, {} generated", self.met.len(), before + count);
            }
            self.longest.fetch_max(way + usize::from(own.len() > from), Relaxed);
            looked += 1;
            if own.len() > 1 && self.is_wanted.swap(false, Relaxed) {
                // The oldest have most before them.
                let given = own.drain(..own.len() / 2);
                locked(&self.shared).given.extend(given);
            }
            if looked.is_multiple_of(1_000) && !locked(&self.violated).is_empty() {
                return;
            }
        }
    }

    /// A state that the other thread has given; none when all are visited.
    fn given(&self) -> Option<(M::State, usize)> {
        locked(&self.shared).busy -= 1;
        loop {
            let mut shared = locked(&self.shared);
            if let Some(given) = shared.given.pop() {
                shared.busy += 1;
                return Some(given);
            }
            if shared.busy == 0 || !locked(&self.violated).is_empty() {
                return None;
            }
            drop(shared);
            self.is_wanted.store(true, Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks the properties of a state.
    fn look(&self, state: &M::State, way: usize) {
        for property in self.model.properties() {
            let is_so = (property.condition)(self.model, state);
            match property.expectation {
                Expectation::Always if !is_so => {
                    let steps = vec![format!("{way} steps, to {state:?}")];
                    locked(&self.violated).push(Found { property: property.name, steps });
                }
                Expectation::Sometimes if is_so => {
                    let mut seen = locked(&self.seen);
                    if !seen.contains(&property.name) {
                        seen.push(property.name);
                    }
                }
                Expectation::Always | Expectation::Sometimes => {}
                Expectation::Eventually => panic!("{}: the end of a way is not looked for", property.name),
            }
        }
    }

    /// Adds the states that follow and were not met before; how many follow at all.
    fn follow(&self, state: &M::State, way: usize, own: &mut Vec<(M::State, usize)>) -> usize {
        let mut actions = Vec::new();
        self.model.actions(state, &mut actions);
        let mut count = 0;
        for action in actions {
            let next = self.model.next_state(state, action);
            let Some(next) = next.filter(|next| self.model.within_boundary(next)) else { continue };
            count += 1;
            if self.met.insert(&next) {
                own.push((next, way + 1));
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::{Model, Property};

    /// Counts up by one or two, to a hundred, and must not come to the number.
    #[derive(Clone)]
    struct Count(u8);

    impl Model for Count {
        type State = u8;
        type Action = u8;

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, _: &u8, actions: &mut Vec<u8>) {
            actions.extend([1, 2]);
        }

        fn next_state(&self, last: &u8, step: u8) -> Option<u8> {
            Some(last + step)
        }

        fn within_boundary(&self, state: &u8) -> bool {
            *state <= 100
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![
                Property::always("never there", |model: &Count, state| *state != model.0),
                Property::sometimes("at the end", |_, state| *state == 100),
                Property::sometimes("beyond it", |_, state| *state > 100),
            ]
        }
    }

    #[test]
    fn all_is_visited_and_what_is_violated_is_found() {
        let whole = sweep("to a hundred", &Count(101));
        // Two ways lead on from each number but the last two.
        assert_eq!((whole.unique, whole.generated), (101, 1 + 2 * 100 - 1));
        assert!(whole.violated.is_empty());
        assert_eq!((whole.seen.len(), whole.unseen), (1, vec!["beyond it"]));
        let found = sweep("to a number", &Count(70)).violated;
        assert_eq!(found.iter().map(|found| found.property).collect::<Vec<_>>(), ["never there"]);
    }
}
