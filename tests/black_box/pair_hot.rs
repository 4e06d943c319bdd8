//! A pair whose standby reads, too, loses its nodes one way after the other: no slot is missed, and what one node could
//! not read comes from the other.

use crate::pair_plant::{BACKUP, PRIMARY, PROGRAM, Plant, Row};
use gwp_tests::{PATIENCE, until};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Long enough that a busy machine skips no slot, and several are due in a takeover.
const SLOT_NS: i64 = 250_000_000;

/// The program of a plant whose standby reads. The value of a counter tells which slot was read.
fn hot() -> String {
    let hot = PROGRAM.replace("scan = 50 ms", "scan = 250 ms, standby = hot");
    assert_ne!(hot, PROGRAM);
    hot
}

/// Rows of (tag, time, marks, value) in the order in which they have arrived: those that are not marked as second or
/// late come in the order of time.
pub fn faults_of_order(rows: &[[i64; 4]]) -> Vec<String> {
    let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
    let first = rows.iter().filter(|row| row[2] == 0);
    first
        .filter_map(|[tag, time, ..]| {
            let before = newest.insert(*tag, *time)?;
            (*time <= before).then(|| format!("tag {tag}: {time} arrives after {before}"))
        })
        .collect()
}

/// Slots of a tag that no good sample tells of, from the first to the last, and samples that tell of one again.
fn faults_of_slots(rows: &[Row]) -> Vec<String> {
    let good: Vec<&Row> = rows.iter().filter(|row| row.quality == "good").collect();
    let pairs = good.windows(2).filter(|pair| pair[1].time - pair[0].time != SLOT_NS);
    pairs.map(|pair| format!("from {:?} to {:?}", pair[0], pair[1])).collect()
}

#[test]
fn a_slot_that_is_missed_or_there_twice_is_found() {
    let row = |slot: i64, repeat, quality: &str| Row {
        time: slot * SLOT_NS,
        repeat,
        value: Some(slot),
        quality: quality.into(),
    };
    let whole = [row(1, 0, "good"), row(2, 0, "bad(timeout)"), row(2, 1, "good"), row(3, 0, "good")];
    assert_eq!(faults_of_slots(&whole), Vec::<String>::new());
    assert_eq!(faults_of_slots(&whole[..2]).len() + faults_of_slots(&[row(1, 0, "good")]).len(), 0);
    assert_eq!(faults_of_slots(&[row(1, 0, "good"), row(3, 0, "good")]).len(), 1);
    assert_eq!(faults_of_slots(&[row(1, 0, "good"), row(1, 1, "good")]).len(), 1);
    assert_eq!(faults_of_order(&[[7, 2, 0, 2], [7, 1, 1, 1], [7, 3, 0, 3]]), Vec::<String>::new());
    assert_eq!(faults_of_order(&[[7, 2, 0, 2], [7, 1, 0, 1]]).len(), 1);
}

/// Each slot of each counter is there once, from the first to the last, with the value it has at its time.
fn whole(plant: &Plant) -> usize {
    let rows = plant.rows();
    assert_eq!(rows.len(), 3, "{:?}", rows.keys());
    for (path, rows) in &rows {
        assert_eq!(faults_of_slots(rows), Vec::<String>::new(), "{path}");
        let first = &rows[0];
        for row in rows {
            let (slots, counted) = ((row.time - first.time) / SLOT_NS, row.value.zip(first.value));
            assert!(
                counted.is_some_and(|(value, begun)| value - begun == slots),
                "{path}: {first:?}, {row:?}"
            );
        }
    }
    rows.values().map(Vec::len).sum()
}

#[test]
fn no_slot_is_missed_when_the_active_is_killed() {
    let mut plant = Plant::redundant_with("default", &hot(), ["", ""]);
    let mut active = plant.wait_until_redundant();
    for round in 0..3u64 {
        let epoch = plant.epoch(active);
        plant.wait_for_shadow(1 - active);
        // At another moment of a slot each time.
        std::thread::sleep(Duration::from_millis(83 * round));
        plant.kill(active);
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        plant.start(active);
        assert_eq!(plant.wait_until_redundant(), 1 - active);
        active = 1 - active;
    }
    plant.wait_for_rows();
    assert!(whole(&plant) > 50);
    plant.finish_by(active, faults_of_order);
}

/// The program that runs after a takeover need not be the one that the standby has read by.
#[test]
fn no_slot_is_missed_when_the_active_is_killed_around_a_change() {
    let mut plant = Plant::redundant_with("default", &hot(), ["", ""]);
    let mut active = plant.wait_until_redundant();
    let first = plant.plan(active);
    // Another source before those there are: all tags and groups have other numbers.
    let program = |value: usize| {
        let other =
            format!("source a : simulator {{ scan = 1 s, tag x at \"constant {value}\" : int }}\nsource sim");
        hot().replacen("source sim", &other, 1)
    };
    // It goes back, as it was not confirmed.
    let second = plant.apply(active, &program(1), &["--confirm-within", "1h"]);
    assert_eq!(plant.wait_until_redundant(), active);
    assert_eq!(plant.plan(1 - active), second);
    for round in 2..5 {
        let epoch = plant.epoch(active);
        plant.wait_for_shadow(1 - active);
        plant.kill(active);
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        assert_eq!(plant.plan(1 - active) == first, round == 2);
        plant.start(active);
        active = plant.wait_until_redundant();
        // The next one dies as soon as its change is in force.
        plant.apply(active, &program(round), &[]);
    }
    plant.wait_for_rows();
    assert!(whole(&plant) > 50);
    plant.finish_by(active, faults_of_order);
}

#[test]
fn no_slot_is_missed_by_switchovers() {
    let plant = Plant::redundant_with("default", &hot(), ["", ""]);
    let mut active = plant.wait_until_redundant();
    for _ in 0..3 {
        let epoch = plant.epoch(active);
        plant.wait_for_shadow(1 - active);
        plant.order(active, "switchover");
        plant.wait_for_takeover(1 - active, epoch);
        plant.wait_for_rows();
        assert_eq!(plant.wait_until_redundant(), 1 - active);
        active = 1 - active;
    }
    whole(&plant);
    plant.finish_by(active, faults_of_order);
}

#[test]
fn no_slot_is_missed_when_the_active_stands_still_beyond_its_lease() {
    let plant = Plant::redundant_with("default", &hot(), ["", ""]);
    let old = plant.wait_until_redundant();
    let epoch = plant.epoch(old);
    plant.wait_for_shadow(1 - old);
    plant.freeze(old);
    plant.wait_for_takeover(1 - old, epoch);
    plant.wait_for_rows();
    plant.signal(old, "-CONT");
    assert_eq!(plant.wait_until_redundant(), 1 - old);
    // Who was stopped reads as the standby again, and takes over in its turn.
    let epoch = plant.epoch(1 - old);
    plant.wait_for_shadow(old);
    plant.order(1 - old, "switchover");
    plant.wait_for_takeover(old, epoch);
    plant.wait_for_rows();
    whole(&plant);
    plant.finish_by(old, faults_of_order);
}

/// A Modbus TCP device whose registers tell the time: milliseconds since 1970, as many as fit, high word first.
struct Clock {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    /// It takes no connection, and ends those it has.
    is_broken: Arc<AtomicBool>,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Clock {
    fn start() -> Clock {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (asked, is_broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let connections = Arc::new(AtomicU64::new(0));
        let (seen, known) = (connections.clone(), is_broken.clone());
        let clock = Clock { address, asked: asked.clone(), connections, is_broken: known };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, is_broken) = (asked.clone(), is_broken.clone());
                seen.fetch_add(1, SeqCst);
                std::thread::spawn(move || serve(stream, &asked, &is_broken));
            }
        });
        clock
    }
}

fn serve(mut stream: TcpStream, asked: &AtomicU64, is_broken: &AtomicBool) {
    let mut head = [0; 12];
    while stream.read_exact(&mut head).is_ok() && !is_broken.load(SeqCst) {
        asked.fetch_add(1, SeqCst);
        let now = (now_ms() as u32).to_be_bytes();
        let count = u16::from_be_bytes([head[10], head[11]]);
        let registers: Vec<u8> = now.iter().copied().cycle().take(usize::from(count) * 2).collect();
        let mut answer = head[..4].to_vec();
        answer.extend((registers.len() as u16 + 3).to_be_bytes());
        answer.extend([head[6], 3, registers.len() as u8]);
        answer.extend(registers);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Both nodes read a device each, which is the same thing to the program.
fn of_devices(standby: &str, devices: [&Clock; 2]) -> Plant {
    let program = format!(
        "gateway plant {{}}\n\
        source plc : modbus_tcp {{ address = node(\"plc\"), scan = 250 ms, standby = {standby}\n  tag ms at \"hr 0\" : udint\n}}\n\
        sink out : sqlite {{ path = \"out.db\" }}\n\
        flow all = plc -> out\n"
    );
    let vars = devices.map(|device| format!("plc = \"{}\"", device.address));
    Plant::redundant_with("default", &program, [&vars[0], &vars[1]])
}

/// What was read at a slot was read when that was due, and not long before.
fn check_times(rows: &[Row]) {
    for row in rows.iter().filter(|row| row.quality == "good") {
        let late =
            (row.value.expect("a good value") as u32).wrapping_sub((row.time / 1_000_000) as u32) as i32;
        assert!((-100..5_000).contains(&late), "read {late} ms after its slot: {row:?}");
    }
}

#[test]
fn no_slot_of_a_modbus_device_is_missed_when_the_active_is_killed() {
    let devices = [Clock::start(), Clock::start()];
    let mut plant = of_devices("hot", [&devices[PRIMARY], &devices[BACKUP]]);
    let active = plant.wait_until_redundant();
    let epoch = plant.epoch(active);
    plant.wait_for_shadow(1 - active);
    let from = plant.newest();
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    plant.wait_for_rows();
    plant.wait_for_rows();
    let mut rows = plant.rows().remove("plc.ms").expect("rows");
    check_times(&rows);
    // What was there before was read while the nodes and their connections came up.
    rows.retain(|row| row.time >= from);
    assert_eq!(faults_of_slots(&rows), Vec::<String>::new());
    assert!(rows.len() > 4, "{rows:?}");
    assert!(devices.iter().all(|device| device.asked.load(SeqCst) > 0), "both nodes read");
    plant.finish_by(1 - active, faults_of_order);
}

#[test]
fn what_the_active_cannot_read_comes_from_the_standby() {
    let devices = [Clock::start(), Clock::start()];
    let plant = of_devices("hot", [&devices[PRIMARY], &devices[BACKUP]]);
    let active = plant.wait_until_redundant();
    plant.wait_for_shadow(1 - active);
    let from = plant.newest();
    devices[active].is_broken.store(true, SeqCst);
    let second = |rows: &[Row]| rows.iter().filter(|row| row.repeat == 1 && row.quality == "good").count();
    let rows = || plant.rows().remove("plc.ms").expect("rows");
    until("what the standby has read", PATIENCE, || second(&rows()) >= 6);
    devices[active].is_broken.store(false, SeqCst);
    until("the active to read again", PATIENCE, || {
        rows().last().is_some_and(|row| row.repeat == 0 && row.quality == "good")
    });
    // All that was offered has come.
    let upto = plant.newest();
    until("the shadow to be empty", PATIENCE, || {
        plant.newest() > upto + 3 * SLOT_NS
            && plant.status(1 - active)["standby_reads"]["readings"]
                .as_u64()
                .is_some_and(|readings| readings <= 2)
    });
    let mut rows = rows();
    rows.retain(|row| (from..=upto).contains(&row.time));
    assert_eq!(faults_of_slots(&rows), Vec::<String>::new());
    check_times(&rows);
    let bad: Vec<&Row> = rows.iter().filter(|row| row.quality != "good").collect();
    assert!(!bad.is_empty() && bad.iter().all(|row| row.repeat == 0), "{bad:?}");
    let shown = plant.shown(1 - active).1;
    assert!(shown.contains("reads as standby       plc") && shown.contains("clock"), "{shown}");
    plant.finish_by(active, faults_of_order);
}

#[test]
fn a_warm_standby_is_connected_and_reads_nothing_until_it_is_the_active() {
    let devices = [Clock::start(), Clock::start()];
    let mut plant = of_devices("warm", [&devices[PRIMARY], &devices[BACKUP]]);
    let active = plant.wait_until_redundant();
    let (standby, epoch) = (&devices[1 - active], plant.epoch(active));
    until("the standby to be connected", PATIENCE, || {
        let reads = &plant.status(1 - active)["standby_reads"];
        reads["warm"][0] == "plc" && reads["unconnected"].as_array().is_some_and(Vec::is_empty)
    });
    plant.wait_for_rows();
    let shown = plant.shown(1 - active).1;
    assert!(shown.contains("connected as standby   plc"), "{shown}");
    assert_eq!((standby.connections.load(SeqCst), standby.asked.load(SeqCst)), (1, 0));

    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    plant.wait_for_rows();
    assert_eq!(standby.connections.load(SeqCst), 1, "the same connection reads on");
    assert!(standby.asked.load(SeqCst) > 0);
    let rows = plant.rows().remove("plc.ms").expect("rows");
    check_times(&rows);
    assert!(rows.iter().all(|row| row.quality == "good"), "nothing is unknown while it takes over: {rows:?}");
    plant.finish_by(1 - active, faults_of_order);
}
