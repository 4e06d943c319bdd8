//! Visits every state of a model that is too large for [`explore`](super::explore): of a visited state only eight bytes
//! stay, a hash. So it cannot tell how it came to a violation, only the state and how far it is from the start; a
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
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// States are taken from a layer so many at a time.
const TAKEN_AT_ONCE: usize = 256;

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
        part.lock().unwrap_or_else(PoisonError::into_inner).insert(hash)
    }

    fn len(&self) -> usize {
        self.0.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// Visits all states, layer by layer, to the first layer with a violation.
pub fn sweep<M: Checked>(name: &str, model: &M) -> Explored {
    let started = Instant::now();
    let met = Met::new();
    let mut layer: Vec<M::State> = model.init_states();
    layer.retain(|state| model.within_boundary(state) && met.insert(state));
    let generated = AtomicUsize::new(layer.len());
    let seen: Mutex<Vec<&'static str>> = Mutex::default();
    let violated: Mutex<Vec<Found>> = Mutex::default();
    let mut depth = 0;
    while !layer.is_empty() && violated.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
        depth += 1;
        let left = Mutex::new(std::mem::take(&mut layer));
        let next = Mutex::new(Vec::new());
        let work = || {
            let mut found = Vec::new();
            loop {
                let mut states = left.lock().unwrap_or_else(PoisonError::into_inner);
                let from = states.len().saturating_sub(TAKEN_AT_ONCE);
                let taken = states.split_off(from);
                drop(states);
                if taken.is_empty() {
                    break;
                }
                for state in &taken {
                    look(model, state, depth, &seen, &violated);
                    generated.fetch_add(follow(model, state, &met, &mut found), Relaxed);
                }
                next.lock().unwrap_or_else(PoisonError::into_inner).append(&mut found);
            }
        };
        std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
        layer = next.into_inner().unwrap_or_else(PoisonError::into_inner);
        if depth % 10 == 0 {
            let so_far = generated.load(Relaxed);
            println!("{name}: depth {depth}, {} next, {so_far} generated", layer.len());
        }
    }
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let wanted = model.properties().into_iter().filter(|one| one.expectation == Expectation::Sometimes);
    let (was, was_not): (Vec<_>, Vec<_>) =
        wanted.map(|one| one.name).partition(|property| seen.contains(property));
    let explored = Explored {
        name: name.to_string(),
        unique: met.len(),
        generated: generated.into_inner(),
        depth,
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_kib: peak_rss_kib(),
        violated: violated.into_inner().unwrap_or_else(PoisonError::into_inner),
        seen: was.into_iter().map(|property| Found { property, steps: Vec::new() }).collect(),
        unseen: was_not,
    };
    println!("{}", explored.line());
    explored
}

/// Asks the properties of a state.
fn look<M: Checked>(
    model: &M,
    state: &M::State,
    depth: usize,
    seen: &Mutex<Vec<&'static str>>,
    violated: &Mutex<Vec<Found>>,
) {
    for property in model.properties() {
        let is_so = (property.condition)(model, state);
        match property.expectation {
            Expectation::Always if !is_so => {
                let steps = vec![format!("{} steps, to {state:?}", depth - 1)];
                let found = Found { property: property.name, steps };
                violated.lock().unwrap_or_else(PoisonError::into_inner).push(found);
            }
            Expectation::Sometimes if is_so => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if !seen.contains(&property.name) {
                    seen.push(property.name);
                }
            }
            Expectation::Always | Expectation::Sometimes => {}
            Expectation::Eventually => panic!("{}: what comes in the end is not looked for", property.name),
        }
    }
}

/// Adds the states that follow and were not met before; how many follow at all.
fn follow<M: Checked>(model: &M, state: &M::State, met: &Met, found: &mut Vec<M::State>) -> usize {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    let mut count = 0;
    for action in actions {
        let next = model.next_state(state, action).filter(|next| model.within_boundary(next));
        let Some(next) = next else { continue };
        count += 1;
        if met.insert(&next) {
            found.push(next);
        }
    }
    count
}
