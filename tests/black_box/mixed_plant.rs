//! A plant of three protocols and two destinations, all of other people's making: whichever of the five stands still or
//! dies, the others go on as if nothing had happened.

use crate::Row;
use crate::broker::Broker;
use crate::kill::terminate;
use gwp_tests::{PATIENCE, Process, gwp, peers_wanted, python_with, until, workspace};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SLOT_NS: i64 = 500_000_000;

const PROGRAM: &str = r#"
source plc : modbus_tcp {
  address = node("plc"), unit_id = 1, scan = 500 ms, timeout = 300 ms
  tag count at "hr 1000" : uint
}
source filler : s7 {
  address = node("filler"), rack = 0, slot = 1, scan = 500 ms
  tag level at "DB1.DBB3" : usint
}
source line : opcua {
  address = node("line"), security = none, publishing = 200 ms, keep_alive = 2 s
  tag seen at "nsu=urn:gwp:plant;s=Counter" : udint
}
sink rows : sqlite { path = "rows.db" }
sink broker : mqtt { broker = node("broker"), topic = "gwp/{device}" }
flow stored = plc, filler, line -> rows
flow told = plc, filler, line -> broker
"#;

/// A device: its tag, how it is started, and where it listens once it has been.
struct Device {
    tag: &'static str,
    python: PathBuf,
    args: Vec<String>,
    port_option: &'static str,
    /// Says where it listens in one line.
    port_behind: &'static str,
    port: String,
    process: Option<Process>,
}

impl Device {
    fn start(&mut self) {
        let mut command = Command::new(&self.python);
        command.args(&self.args).args([self.port_option, &self.port]).stderr(Stdio::null());
        let process = Process::start_with_input(&mut command);
        let line = process.line();
        let (_, port) = line.split_once(self.port_behind).unwrap_or_else(|| panic!("{line}"));
        self.port = port.chars().take_while(char::is_ascii_digit).collect();
        self.process = Some(process);
    }

    fn kill(&mut self) {
        self.process.take().expect("a device that runs").kill();
    }
}

/// The three of them, running.
fn devices(folder: &Path) -> [Device; 3] {
    let script = |name: &str| workspace().join("tests/peers").join(name).display().to_string();
    let device = |tag, packages: &[&str], args: Vec<String>, port_option, port_behind| Device {
        tag,
        python: python_with(packages),
        args,
        port_option,
        port_behind,
        port: "0".into(),
        process: None,
    };
    let keys = folder.join("opcua").display().to_string();
    let mut devices = [
        device("plc.count", &[], vec![script("modbus_server.py")], "--tcp", "tcp="),
        device("filler.level", &["python-snap7==2.0.2"], vec![script("s7_server.py")], "--port", "READY "),
        device("line.seen", &["asyncua==2.1.0"], vec![script("opcua_server.py"), keys], "--port", "READY "),
    ];
    devices.iter_mut().for_each(Device::start);
    devices
}

fn rows(database: &Path, path: &str) -> Vec<Row> {
    crate::try_rows(database).unwrap_or_default().into_iter().filter(|row| row.path == path).collect()
}

fn newest(database: &Path, path: &str) -> Option<Row> {
    rows(database, path).pop()
}

/// Some slots more of these tags arrive in the database.
fn wait_for_rows<'t>(database: &Path, tags: impl Iterator<Item = &'t str>) {
    for tag in tags {
        let before = newest(database, tag).map_or(0, |row| row.time_ns);
        until(&format!("rows of {tag}"), PATIENCE, || {
            newest(database, tag).is_some_and(|row| row.time_ns > before + 6 * SLOT_NS)
        });
    }
}

fn integer(row: &Row) -> i64 {
    let Value::Integer(value) = row.value else { panic!("{row:?}") };
    value
}

/// What is wrong with the rows of a tag in a time in which nothing was wrong with its device.
fn disturbed(all: &[Row], tag: &str, during: (i64, i64)) -> Vec<String> {
    let rows: Vec<&Row> = all.iter().filter(|row| (during.0..during.1).contains(&row.time_ns)).collect();
    assert!(rows.len() > 3, "{} rows of {tag}", rows.len());
    let bad = rows.iter().filter(|row| row.quality != "good").map(|row| format!("{row:?}"));
    let apart = rows.windows(2).filter(|pair| match tag {
        // Each change is told of, and the counter misses none.
        "line.seen" => integer(pair[1]) != integer(pair[0]) + 1,
        _ => pair[1].time_ns - pair[0].time_ns != SLOT_NS,
    });
    let apart = apart.map(|pair| format!("{:?}, then {:?}", pair[0], pair[1]));
    bad.chain(apart.take(5)).collect()
}

#[test]
fn a_disturbance_is_found() {
    let row = |slot: i64, value, quality: &str| Row {
        time_ns: slot * SLOT_NS,
        path: String::new(),
        value: Value::Integer(value),
        quality: quality.into(),
    };
    let whole: Vec<Row> = (0..6).map(|slot| row(slot, slot, "good")).collect();
    let all = (0, 6 * SLOT_NS);
    for tag in ["plc.count", "line.seen"] {
        assert_eq!(disturbed(&whole, tag, all), Vec::<String>::new());
        let less = [&whole[..2], &whole[3..]].concat();
        assert_eq!(disturbed(&less, tag, all).len(), 1, "{tag}");
    }
    let mut bad = whole.clone();
    bad[3].quality = "bad(timeout)".into();
    assert_eq!(disturbed(&bad, "filler.level", all).len(), 1);
}

/// Topics and payloads that a subscriber was given so far.
fn messages(file: &Path) -> Vec<(String, Json)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let parsed = text.lines().filter_map(|line| {
        let (topic, payload) = line.split_once(' ')?;
        Some((topic.to_owned(), serde_json::from_str(payload).ok()?))
    });
    parsed.collect()
}

/// Values of a tag in the messages.
fn told(file: &Path, tag: &str) -> BTreeSet<i64> {
    messages(file).iter().filter_map(|(_, message)| message["values"][tag].as_i64()).collect()
}

/// Something was wrong, and when.
type Outage = (&'static str, (i64, i64));

/// A device dies and is started again.
fn lose(device: &mut Device, tags: &[&'static str; 3], database: &Path) -> Outage {
    let tag = device.tag;
    let since = newest(database, tag).expect("a row").time_ns;
    device.kill();
    until("its tag to turn bad", PATIENCE, || {
        newest(database, tag).is_some_and(|row| row.quality.starts_with("bad"))
    });
    let others = tags.iter().copied().filter(|other| *other != tag);
    wait_for_rows(database, others.clone());
    device.start();
    until("it to come back by itself", PATIENCE, || {
        newest(database, tag).is_some_and(|row| row.quality == "good")
    });
    wait_for_rows(database, others);
    (tag, (since, newest(database, tag).expect("a row").time_ns))
}

/// First the broker stands still, then the database takes nothing.
fn hold_destinations(broker: &Broker, tags: &[&'static str; 3], database: &Path, given: &Path) -> Outage {
    let since = newest(database, tags[0]).expect("a row").time_ns;
    broker.signal("-STOP");
    wait_for_rows(database, tags.iter().copied());
    broker.signal("-CONT");
    let lock = Connection::open(database).expect("the database");
    lock.busy_timeout(PATIENCE).expect("a limit");
    lock.execute_batch("begin immediate").expect("the lock");
    let (count, before) = (told(given, tags[0]).len(), told(given, tags[2]).len());
    until("messages while the database takes nothing", PATIENCE, || {
        told(given, tags[0]).len() > count + 6 && told(given, tags[2]).len() > before + 20
    });
    lock.execute_batch("rollback").expect("no lock");
    wait_for_rows(database, tags.iter().copied());
    ("a destination", (since, newest(database, tags[0]).expect("a row").time_ns))
}

/// What the gateway has logged, if the test fails.
struct ShownOnPanic(PathBuf);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(&self.0).unwrap_or_default());
        }
    }
}

#[test]
fn whatever_fails_in_a_mixed_plant_the_others_are_undisturbed() {
    if !peers_wanted("whatever_fails_in_a_mixed_plant_the_others_are_undisturbed") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (database, given) = (folder.join("rows.db"), folder.join("messages"));
    let (broker, mut devices) = (Broker::start(folder), devices(folder));
    let tags = [devices[0].tag, devices[1].tag, devices[2].tag];
    let _subscriber = broker.subscribe(&given);
    std::fs::write(folder.join("p.gwp"), PROGRAM).expect("a program");
    let node = format!(
        "[node]\nid = \"mixed\"\ndata = \"data\"\n[vars]\nplc = \"127.0.0.1:{}\"\nfiller = \"127.0.0.1:{}\"\n\
         line = \"opc.tcp://127.0.0.1:{}\"\nbroker = \"mqtt://127.0.0.1:{}\"\n",
        devices[0].port, devices[1].port, devices[2].port, broker.port
    );
    std::fs::write(folder.join("node.toml"), node).expect("a node file");
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    let mut command = Command::new(gwp());
    command.current_dir(folder).args(["run", "p.gwp", "--node", "node.toml", "--quiet"]).stderr(log);
    let mut running = Process::start(&mut command);
    let _shown = ShownOnPanic(folder.join("log"));
    until("all three devices", PATIENCE, || {
        tags.iter().all(|tag| newest(&database, tag).is_some_and(|row| row.quality == "good"))
    });
    wait_for_rows(&database, tags.into_iter());

    let mut outages: Vec<_> = devices.iter_mut().map(|device| lose(device, &tags, &database)).collect();
    outages.push(hold_destinations(&broker, &tags, &database, &given));

    terminate(&mut running);
    let all = tags.map(|tag| rows(&database, tag));
    for (what, during) in outages {
        for (tag, rows) in tags.iter().zip(&all).filter(|(tag, _)| **tag != what) {
            assert_eq!(disturbed(rows, tag, during), Vec::<String>::new(), "{tag} while {what} was away");
        }
    }
    // Both destinations have the same in the end.
    for index in [0, 2] {
        let good = all[index].iter().filter(|row| row.quality == "good").map(integer);
        let stored: BTreeSet<i64> = good.collect();
        until("the last messages", Duration::from_secs(30), || {
            told(&given, tags[index]).len() >= stored.len()
        });
        assert_eq!(told(&given, tags[index]), stored, "{}", tags[index]);
    }
}
