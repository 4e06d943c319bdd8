//! The configurations of the pair that are visited to the last state, and the rules broken on
//! purpose that they must find.
//!
//! The daily ones are ordinary tests. The large ones are run by
//! `cargo test --release -p gwp-redundancy --lib large -- --ignored --nocapture`.

use super::explore::explore;
use super::pair::Pair;
use crate::policy::{PairPolicy, Quorum};
use crate::timing::Timing;

/// A lease of two ticks and a promise of three; a node speaks every tick.
const TIMING: Timing = Timing { beat: 1, lease: 2, promise: 3, solo: 4, start_hold: 0, idle_hello: u64::MAX };
/// A promise that only lasts as long as the lease.
const SHORT: Timing = Timing { promise: 2, ..TIMING };

const BASE: Pair = Pair {
    quorum: Quorum::Witnessed,
    timing: TIMING,
    epoch_max: 2,
    crashes: 1,
    messages: 2,
    lag: 0,
    doubled: false,
    effects: false,
    switchovers: 0,
    solo: false,
    hangs: 0,
    force: 0,
    running: true,
};

const SAFETY: Pair = Pair { quorum: Quorum::Pair(PairPolicy::Safety), ..BASE };
const AVAILABILITY: Pair = Pair { quorum: Quorum::Pair(PairPolicy::Availability), ..BASE };

/// Small enough for every day.
const DAILY: &[(&str, Pair)] = &[
    ("two epochs, no crash", Pair { crashes: 0, ..BASE }),
    ("two epochs, one crash", BASE),
    ("cold start, no crash", Pair { crashes: 0, running: false, ..BASE }),
    ("doubled messages, no crash", Pair { crashes: 0, doubled: true, ..BASE }),
    ("a clock that lags, no crash", Pair { crashes: 0, lag: 1, ..BASE }),
    ("effects, no crash", Pair { crashes: 0, effects: true, ..BASE }),
    ("going alone, no crash", Pair { crashes: 0, solo: true, ..BASE }),
    ("switchover, no crash", Pair { crashes: 0, switchovers: 1, ..BASE }),
    ("switchover, effects", Pair { crashes: 0, switchovers: 1, effects: true, ..BASE }),
    ("a pipeline that hangs", Pair { crashes: 0, hangs: 1, ..BASE }),
    ("safety pair, one crash", SAFETY),
    ("safety pair, switchover, one crash", Pair { switchovers: 1, ..SAFETY }),
    ("safety pair, going alone, three epochs", Pair { solo: true, epoch_max: 3, ..SAFETY }),
    ("safety pair, forced", Pair { force: 1, ..SAFETY }),
    ("availability pair, one crash", AVAILABILITY),
    ("availability pair, going alone", Pair { solo: true, ..AVAILABILITY }),
];

/// For a release.
const LARGE: &[(&str, Pair)] = &[
    ("two epochs, one crash, three messages", Pair { messages: 3, ..BASE }),
    ("two epochs, one crash, effects", Pair { effects: true, ..BASE }),
    ("two epochs, one crash, a clock that lags", Pair { lag: 1, ..BASE }),
    ("two epochs, one crash, going alone", Pair { solo: true, ..BASE }),
    ("switchover, one crash", Pair { switchovers: 1, ..BASE }),
    ("three epochs, no crash", Pair { epoch_max: 3, crashes: 0, ..BASE }),
    ("three epochs, one crash", Pair { epoch_max: 3, ..BASE }),
];

fn run(all: &[(&'static str, Pair)], name: &str) {
    let (name, pair) = all.iter().find(|(named, _)| *named == name).expect("a run of this name");
    explore(name, pair.clone()).assert_holds();
}

#[test]
fn try_one() {
    if let Ok(name) = std::env::var("RUN") {
        let all: Vec<_> = DAILY.iter().chain(LARGE).cloned().collect();
        run(&all, &name);
    }
}
