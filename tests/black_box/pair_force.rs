//! Both others are gone for good: an operator makes the node that is left active, and it delivers.

use crate::pair_plant::Plant;

#[test]
fn who_is_left_alone_delivers_by_an_operators_word_and_takes_the_others_back() {
    let mut plant = Plant::redundant("fast");
    let active = plant.wait_until_redundant();
    let (left, epoch) = (1 - active, plant.epoch(active));
    plant.wait_for_rows();
    plant.kill_witness();
    plant.kill(active);
    plant.wait_for_state(left, "isolated");
    plant.order(left, "force-activate --peer-is-off");
    assert!(plant.wait_for_takeover(left, epoch) > epoch);
    plant.wait_for_rows();

    // Once they are back, all is as before.
    plant.start_witness();
    plant.wait_for_rows();
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), left);
    let epoch = plant.epoch(left);
    plant.kill(left);
    plant.wait_for_takeover(active, epoch);
    plant.wait_for_rows();
    plant.start(left);
    assert_eq!(plant.wait_until_redundant(), active);
    plant.finish(active);
}
