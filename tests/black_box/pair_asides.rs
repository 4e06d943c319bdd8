//! What only the old active had comes back with it: it arrives as backfill, once, and no command of it is carried out.

use crate::pair_hot::faults_of_order;
use crate::pair_plant::{Key, PROGRAM, Plant};
use crate::{refused, said};
use gwp_tests::{PATIENCE, until};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// The program of the plant, with something to write and an alarm. Their rows go to a database of their own.
fn acting() -> String {
    let tags = "scan = 50 ms\n  tag limit at \"constant 100\" : real kW range 0..500 kW writable\n  \
                alarm hot when limit > 90 kW\n";
    let more = "source control : mqtt { broker = \"mqtt://127.0.0.1:9\" }\n\
                write set_limit to sim.limit from control at \"set/limit\" { allow = 50..400 kW, verify = 5 s }\n\
                sink audit : sqlite { path = \"audit.db\" }\n\
                flow told = set_limit -> audit\n";
    format!("{}{more}", PROGRAM.replace("scan = 50 ms", tags))
}

/// Records of the newest epoch that are durable at an active.
fn durable(plant: &Plant, node: usize) -> u64 {
    let text = plant.status(node)["copy"].as_str().unwrap_or_default().to_owned();
    let seq =
        text.strip_prefix("durable here up to ").and_then(|text| text.split_once(':')).map_or("", |of| of.1);
    seq.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// Samples at the destination, by path and time: how many there are, and whether all are flagged as backfill.
fn at_destination(plant: &Plant) -> BTreeMap<(String, String), (u32, bool)> {
    let reader = Connection::open(plant.database()).expect("the database");
    reader.busy_timeout(PATIENCE).expect("a limit");
    let sql = "select path, time, count(*), min(backfill) from samples group by path, time";
    let mut query = reader.prepare(sql).expect("a query");
    let row = |row: &rusqlite::Row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)));
    query.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
}

/// Path and time.
fn sample((path, time, _): &Key) -> (String, String) {
    (path.clone(), time.clone())
}

/// The peer stands still, `act` is done at the active, which reads on alone; what it reads last it cannot deliver, and
/// then it is killed. The peer takes over. Gives what the killed one had read and nobody else has.
fn part(plant: &mut Plant, old: usize, act: impl FnOnce(&Plant)) -> BTreeSet<(String, String)> {
    let (new, epoch) = (1 - old, plant.epoch(old));
    plant.wait_for_rows();
    plant.freeze(new);
    plant.wait_for_state(old, "active, alone");
    act(plant);
    plant.wait_for_rows();
    let outage = plant.outage();
    let before = durable(plant, old);
    until("records that only the active has", PATIENCE, || durable(plant, old) > before + 80);
    plant.kill(old);
    let read = plant.logged(old);
    drop(outage);
    plant.signal(new, "-CONT");
    plant.wait_for_takeover(new, epoch);
    plant.wait_for_rows();
    let there = at_destination(plant);
    let only: BTreeSet<_> = read.keys().map(sample).filter(|key| !there.contains_key(key)).collect();
    assert!(only.len() > 20, "{only:?}");
    only
}

/// All of these are there, once, and flagged as backfill.
fn check(plant: &Plant, only: &BTreeSet<(String, String)>) {
    let there = at_destination(plant);
    let wrong: Vec<_> = only.iter().filter(|key| there.get(*key) != Some(&(1, true))).collect();
    assert_eq!(wrong, Vec::<&(String, String)>::new(), "{:?}", wrong.first().map(|key| there.get(*key)));
    let twice: Vec<_> = there.iter().filter(|(_, (count, _))| *count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn what_only_the_old_active_had_arrives_as_backfill_and_its_commands_are_not_carried_out() {
    let mut plant = Plant::redundant_with("default", &acting(), ["", ""]);
    let old = plant.wait_until_redundant();
    let new = 1 - old;
    let only = part(&mut plant, old, |plant| {
        let written = said(&plant.ask_node(old, &["tags", "write", "sim.limit", "300"]));
        assert_eq!(written, "sim.limit: confirmed: 300 kW\n");
        said(&plant.ask_node(old, &["alarm", "shelve", "sim.hot", "--for", "30min", "--by", "anna"]));
    });
    plant.start(old);
    assert_eq!(plant.wait_until_redundant(), new);
    until("what was set aside to be handed over", PATIENCE, || plant.log(old).contains("it is deleted"));
    let log = plant.log(old);
    assert!(
        log.contains("they are kept beside") && log.contains("commands=2"),
        "the command, the order: {log}"
    );
    assert_eq!(plant.asides(old), 0);
    assert!(plant.log(new).contains("the peer hands over what only it had"));
    assert_eq!(plant.status(old)["handing_over"], serde_json::Value::Null);
    plant.wait_for_rows();
    check(&plant, &only);

    // Each node has a simulator of its own: nobody has written to this one, and nobody has shelved its alarm.
    let limit = said(&plant.ask_node(new, &["tags", "get", "sim.limit"]));
    assert!(limit.contains("100") && limit.contains("good"), "{limit}");
    let alarms = said(&plant.ask_node(new, &["alarm", "ls", "--json"]));
    assert!(alarms.contains("unacknowledged") && !alarms.contains("\"shelved\""), "{alarms}");
    // What became of the command where it was carried out is told once.
    let outcomes = || {
        let reader = Connection::open(plant.path("audit.db")).expect("the database");
        let sql = "select count(*) from samples where path = 'set_limit.sim'";
        reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    assert_eq!(outcomes(), 1);
    plant.finish_by(new, faults_of_order);
}

#[test]
fn what_is_of_another_program_stays_until_that_is_in_force_and_an_active_hands_over_to_itself() {
    let mut plant = Plant::redundant("default");
    let old = plant.wait_until_redundant();
    let new = 1 - old;
    let only = part(&mut plant, old, |_| {});
    plant.write("new.gwp", &PROGRAM.replace("m[1..3]", "m[1..4]"));
    said(&plant.ask_node(new, &["apply", "new.gwp", "--single"]));
    plant.start(old);
    assert_eq!(plant.wait_until_redundant(), new);
    let why = "are of another program";
    until("the reason why it stays", PATIENCE, || plant.log(old).contains(why));
    let (_, text) = plant.shown(old);
    assert!(text.contains("store.aside-1 stays") && text.contains(why), "{text}");
    let listed = said(&plant.ask_node(old, &["pair", "asides", "ls"]));
    assert!(listed.contains("stays: ") && listed.contains(why), "{listed}");
    let csv = said(&plant.ask_node(old, &["pair", "asides", "export", "1", "out"]));
    assert!(csv.starts_with("time,") && csv.lines().count() > 20, "{csv}");
    refused(&plant.ask_node(old, &["pair", "asides", "rm", "2"]), 2);
    assert_eq!(plant.asides(old), 1);

    // The node that has it becomes active, and its program is the one before again.
    let epoch = plant.epoch(new);
    plant.order(new, "switchover");
    plant.wait_for_takeover(old, epoch);
    assert_eq!(plant.wait_until_redundant(), old);
    plant.write("new.gwp", PROGRAM);
    said(&plant.ask_node(old, &["apply", "new.gwp"]));
    until("what was set aside to be handed over", PATIENCE, || plant.asides(old) == 0);
    let flagged = || {
        let there = at_destination(&plant);
        only.iter().all(|key| there.get(key).is_some_and(|(_, is_backfill)| *is_backfill))
    };
    until("what only this node had", PATIENCE, flagged);
    check(&plant, &only);
    assert_eq!(plant.wait_until_redundant(), old);
    plant.finish_by(old, faults_of_order);
}
