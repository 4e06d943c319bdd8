//! What must hold a sample before it is delivered: the peer's memory will do, or nobody but the own disk.

use crate::pair_plant::{PROGRAM, Plant};
use gwp_tests::{PATIENCE, until};

fn redundant(mirror: &str) -> Plant {
    Plant::keyed(&["--mirror", mirror], PROGRAM, ["", ""]).started(&[])
}

#[test]
fn what_is_in_the_memory_of_the_peer_is_not_lost_with_the_active() {
    let mut plant = redundant("memory");
    for _ in 0..3 {
        let active = plant.wait_until_redundant();
        let epoch = plant.epoch(active);
        plant.wait_for_rows();
        plant.kill(active);
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        plant.start(active);
    }
    let active = plant.wait_until_redundant();
    plant.finish(active);
}

#[test]
fn a_local_mirror_waits_for_nobody_and_says_so_at_a_takeover() {
    let mut plant = redundant("local");
    let active = plant.wait_until_redundant();
    let (standby, epoch) = (1 - active, plant.epoch(active));
    plant.signal(standby, "-STOP");
    for _ in 0..20 {
        plant.wait_for_rows();
        assert_ne!(plant.state(active), "active, alone", "nothing is asked of the witness");
    }
    plant.signal(standby, "-CONT");
    assert_eq!(plant.wait_until_redundant(), active);
    plant.kill(active);
    plant.wait_for_takeover(standby, epoch);
    let log = plant.log(standby);
    assert!(log.contains("deliveries of the peer did not wait for this copy"), "{log}");
    plant.wait_for_rows();
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), standby);
    until("what was set aside to be handed over", PATIENCE, || plant.asides(active) == 0);
    // What the old one had delivered alone comes again, behind newer samples.
    plant.finish_by(standby, |_| Vec::new());
}
