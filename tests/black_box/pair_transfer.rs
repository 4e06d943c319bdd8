//! A pair that subscribes at an OPC UA server loses its active node, and moves in order: the other node takes over the
//! subscription with what the server has kept, so each change is delivered once, with its own time.

use crate::pair_plant::{PROGRAM, Plant, Row};
use gwp_tests::{PATIENCE, Process, peers_wanted, until, workspace};
use std::process::{Command, Stdio};

/// The tag that counts the changes of the server's counter, one each 100 ms.
const TAG: &str = "line.seen";

fn seen(plant: &Plant) -> Vec<Row> {
    plant.rows().remove(TAG).unwrap_or_default()
}

/// Some changes more are delivered.
fn wait_for_changes(plant: &Plant) {
    let before = seen(plant).len();
    until("changes of the counter", PATIENCE, || seen(plant).len() > before + 10);
}

/// Changes that are missing, there twice, bad, or not in the order of their times.
fn faults(rows: &[Row]) -> Vec<String> {
    let is_next = |pair: &[Row]| {
        let [before, after] = pair else { return false };
        before.value.zip(after.value).is_some_and(|(before, after)| after == before + 1)
            && after.time > before.time
    };
    let broken = rows.windows(2).filter(|pair| !is_next(pair)).map(|pair| format!("{pair:?}"));
    broken.chain(rows.iter().filter(|row| row.quality != "good").map(|row| format!("{row:?}"))).collect()
}

#[test]
fn a_change_that_is_missing_or_there_twice_is_found() {
    let row =
        |value, quality: &str| Row { time: value, repeat: 0, value: Some(value), quality: quality.into() };
    assert_eq!(faults(&[row(1, "good"), row(2, "good")]), Vec::<String>::new());
    assert_eq!(faults(&[row(1, "good"), row(3, "good")]).len(), 1);
    assert_eq!(faults(&[row(1, "good"), row(1, "good")]).len(), 1);
    assert_eq!(faults(&[row(1, "good"), row(2, "bad(comm_lost)")]).len(), 1);
}

#[test]
fn the_other_node_goes_on_with_the_subscription_and_no_change_is_lost_or_doubled() {
    if !peers_wanted("node-opcua") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = workspace().join("tests/peers/opcua_node.sh");
    let mut server = Command::new("sh");
    server.arg(script).arg(folder.path()).stderr(Stdio::null());
    let server = Process::start_with_input(&mut server);
    let port = loop {
        let line = server.line();
        if let Some(port) = line.trim().strip_prefix("READY ") {
            break port.to_owned();
        }
    };
    let source = format!(
        "source line : opcua {{\n  address = \"opc.tcp://127.0.0.1:{port}/plant/\", security = none\n  \
         publishing = 200 ms, sampling = 0 s, standby = transfer\n  \
         tag seen at \"nsu=urn:gwp:plant;s=Counter\" : udint\n}}\nflow changes = line -> out\n"
    );
    let mut plant = Plant::redundant_with("fast", &format!("{PROGRAM}{source}"), ["", ""]);
    wait_for_changes(&plant);

    let active = plant.wait_until_redundant();
    let epoch = plant.epoch(active);
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    wait_for_changes(&plant);
    plant.start(active);
    assert_eq!(plant.wait_until_redundant(), 1 - active);
    wait_for_changes(&plant);

    let epoch = plant.epoch(1 - active);
    plant.order(1 - active, "switchover");
    plant.wait_for_takeover(active, epoch);
    wait_for_changes(&plant);
    for node in [active, 1 - active] {
        let log = plant.log(node);
        assert!(log.contains("subscriptions of before are taken up") && !log.contains("gone=1"), "{log}");
    }
    let rows = seen(&plant);
    assert_eq!(faults(&rows), Vec::<String>::new(), "among {}", rows.len());
    drop(plant);
    drop(server);
}
