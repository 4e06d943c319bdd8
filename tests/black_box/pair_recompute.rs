//! A graph that remembers moves from node to node: what is delivered must be what one run without any interruption
//! would have made of the same log.

use crate::pair_plant::{BACKUP, PRIMARY, Plant};
use crate::recompute::{delivered, faults, newest_in, recomputed, with_memory};
use gwp_tests::{PATIENCE, until};
use std::time::Duration;

/// Rows of this tag arrive when a run of the machine has ended, with all that was in it.
const LAST: &str = "s.batches.area";

#[test]
fn no_move_of_the_graph_changes_a_total_a_delay_or_a_window() {
    let program =
        format!("gateway plant {{}}\n{}", with_memory(10, "scan = 100 ms, standby = hot", "out", "out.db"));
    let mut plant = Plant::with("default", &program, ["", ""]);
    plant.start_witness();
    [PRIMARY, BACKUP].into_iter().for_each(|node| plant.start(node));
    let mut active = plant.wait_until_redundant();
    for round in 0..3u64 {
        let (epoch, before) = (plant.epoch(active), plant.newest());
        until("windows", PATIENCE, || newest_in(&plant.database(), Some("s.sliding.gain")) > before);
        // Somewhere in a window, a delay and a run of the machine.
        std::thread::sleep(Duration::from_millis(370 * round));
        let is_killed = round % 2 == 0;
        if is_killed {
            plant.kill(active);
        } else {
            plant.order(active, "switchover");
        }
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        if is_killed {
            plant.start(active);
        }
        active = 1 - active;
        assert_eq!(plant.wait_until_redundant(), active);
    }
    // On until a run has begun and ended behind the last move: with it the windows and delays that were open then.
    for _ in 0..2 {
        let before = plant.newest();
        until("the last windows", PATIENCE, || newest_in(&plant.database(), Some(LAST)) > before);
    }
    for node in [1 - active, active] {
        // Whoever goes last delivers all it has once it goes alone.
        plant.wait_for_rows();
        plant.signal(node, "-TERM");
        plant.ended(node);
    }
    let data = format!("data-{}", ["primary", "backup"][active]);
    let wanted = recomputed(&plant.path(""), &["out", "--data", &data]);
    let found = delivered(&plant.database(), &wanted);
    assert_eq!(faults(&found, &wanted), Vec::<String>::new());
    for path in ["s.t000", "s.sum1", "s.late", "s.alarms.event", "s.seconds.mean", "s.sliding.gain", LAST] {
        let count = found.keys().filter(|(of, ..)| of.starts_with(path)).count();
        assert!(count > 5, "{count} of {path}");
    }
    // Negative control: a total that begins anew at a takeover.
    let (key, value) = found.iter().rfind(|((path, ..), _)| path == "s.starts").expect("a total");
    let mut changed = found.clone();
    changed.insert(key.clone(), ("0".to_owned(), value.1.clone()));
    assert_eq!(faults(&changed, &wanted).len(), 1);
}
