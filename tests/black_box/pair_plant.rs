//! A redundant pair on loopback as processes: two nodes, a witness, and a database that both nodes deliver to. It keeps
//! each row that arrives there, so that what is delivered twice, late or in another order is seen.

use crate::kill::copy;
use crate::{ask, refused, said};
use gwp_tests::{PATIENCE, Process, gwp, until};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Numbers of the nodes.
pub const PRIMARY: usize = 0;
pub const BACKUP: usize = 1;
const NAMES: [&str; 2] = ["primary", "backup"];

const SLOT_NS: i64 = 50_000_000;

/// What the nodes run. The value of a counter tells which slot was read.
pub const PROGRAM: &str = "gateway plant {}\n\
    source sim : simulator { scan = 50 ms }\n\
    device m[1..3] on sim { tag x at \"counter 0..1000000000 step 1\" : dint }\n\
    sink out : sqlite { path = \"out.db\" }\n\
    flow all = m[*] -> out\n";

/// What keeps each row and each commit that arrives, in order.
const SPY: &str = "begin immediate;
    create table spy_rows (n integer primary key, time_ns, tag, marks, value);
    create trigger spy_on_rows before insert on samples_data begin
        insert into spy_rows (time_ns, tag, marks, value)
        values (new.time_ns, new.tag, 2 * new.repeat + ifnull(new.backfill, 0), new.value); end;
    create table spy_commits (n integer primary key, epoch, position_epoch, position_seq, part);
    create trigger spy_on_commits after update of position_seq on gwp_cursor begin
        insert into spy_commits (epoch, position_epoch, position_seq, part)
        values (new.epoch, new.position_epoch, new.position_seq, new.part); end;
    commit;";

/// A sample, by path, time as in a CSV file, and repeat.
pub type Key = (String, String, u32);

/// A sample at the destination.
#[derive(Clone, Debug)]
pub struct Row {
    /// Nanoseconds since 1970.
    pub time: i64,
    pub repeat: u32,
    pub value: Option<i64>,
    pub quality: String,
}

/// A port that is free for UDP and TCP; below those that systems give to outgoing connections, so that it stays free
/// while a node is down.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id() % 11_000;
    for _ in 0..11_000 {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from((begin + next) % 11_000).expect("small");
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Two nodes, a witness, and where they deliver to.
pub struct Plant {
    folder: TempDir,
    nodes: [Option<Process>; 2],
    witness: Option<Process>,
}

impl Plant {
    /// Files of a new pair; nothing runs yet.
    pub fn new(profile: &str) -> Plant {
        Plant::with(profile, PROGRAM, ["", ""])
    }

    /// The same with another program, and a line of `[vars]` for each node.
    pub fn with(profile: &str, program: &str, vars: [&str; 2]) -> Plant {
        Plant::keyed(&["--profile", profile], program, vars)
    }

    /// The same with arguments of `gwp pair keys`.
    pub fn keyed(key: &[&str], program: &str, vars: [&str; 2]) -> Plant {
        let folder = tempfile::tempdir().expect("a folder");
        let plant = Plant { folder, nodes: [None, None], witness: None };
        said(&plant.ask(&[&["pair", "keys", "pair.key"], key].concat()));
        let ports = [port(), port(), port(), port(), port()];
        for (node, name) in NAMES.iter().enumerate() {
            let (here, peer) = (&ports[2 * node..2 * node + 2], &ports[2 - 2 * node..4 - 2 * node]);
            plant.write(
                &format!("{name}.toml"),
                &format!(
                    "[node]\nid = \"{name}\"\ndata = \"data-{name}\"\n[pair]\nme = \"{name}\"\nkey = \"pair.key\"\n\
                     links = [{{ here = \"127.0.0.1:{}\", peer = \"127.0.0.1:{}\", witness = \"127.0.0.1:{}\" }}, \
                     {{ here = \"127.0.0.1:{}\", peer = \"127.0.0.1:{}\" }}]\n[vars]\n{}\n",
                    here[0], peer[0], ports[4], here[1], peer[1], vars[node]
                ),
            );
            plant.write(&format!("{name}.gwp"), program);
        }
        let witness = format!(
            "[node]\ndata = \"data-witness\"\n[witness]\nkey = \"pair.key\"\nlisten = [\"127.0.0.1:{}\"]\n",
            ports[4]
        );
        plant.write("witness.toml", &witness);
        plant
    }

    /// A pair that is redundant, and delivers to a database where each arrival is kept.
    pub fn redundant(profile: &str) -> Plant {
        Plant::new(profile).started(&[])
    }

    /// The same with another program, and a line of `[vars]` for each node.
    pub fn redundant_with(profile: &str, program: &str, vars: [&str; 2]) -> Plant {
        Plant::with(profile, program, vars).started(&[])
    }

    /// The same of these files, with more arguments for both nodes.
    pub fn started(mut self, more: &[&str]) -> Plant {
        self.start_witness();
        for node in [PRIMARY, BACKUP] {
            self.start_with(node, more);
        }
        self.wait_until_redundant();
        self.spy();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file is written");
    }

    /// Adds lines to the `[pair]` of both nodes.
    pub fn tell_pair(&self, lines: &str) {
        for name in NAMES {
            let (name, text) = (format!("{name}.toml"), self.read(&format!("{name}.toml")));
            self.write(&name, &text.replace("[pair]\n", &format!("[pair]\n{lines}")));
        }
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn ask(&self, args: &[&str]) -> std::process::Output {
        ask(self.folder.path(), args)
    }

    /// Asks a node.
    pub fn ask_node(&self, node: usize, args: &[&str]) -> std::process::Output {
        self.ask(&[args, &["--data", &format!("data-{}", NAMES[node])]].concat())
    }

    /// The same, beside what else is done.
    pub fn begin_to_ask(&self, node: usize, args: &[&str]) -> Process {
        let data = format!("data-{}", NAMES[node]);
        self.launch(&[args, &["--data", &data]].concat(), "asked.log")
    }

    fn launch(&self, args: &[&str], log: &str) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(self.path(log)).expect("a log");
        let mut command = Command::new(gwp());
        Process::start(command.current_dir(self.folder.path()).args(args).stderr(Stdio::from(log)))
    }

    pub fn start(&mut self, node: usize) {
        self.start_with(node, &[]);
    }

    fn start_with(&mut self, node: usize, more: &[&str]) {
        let name = NAMES[node];
        let (program, machine) = (format!("{name}.gwp"), format!("{name}.toml"));
        let args = ["run", &program, "--node", &machine, "--quiet"];
        self.nodes[node] = Some(self.launch(&[&args, more].concat(), &format!("{name}.log")));
    }

    /// The process that works for a node that runs with a guard; the newest, if it was started again.
    pub fn worker(&self, node: usize) -> String {
        let log = self.log(node);
        let told = log.rsplit_once("the worker runs worker=").expect("a guard").1;
        told.chars().take_while(char::is_ascii_digit).collect()
    }

    /// Starts a node without naming files.
    pub fn start_bare(&mut self, node: usize) {
        let name = NAMES[node];
        self.nodes[node] =
            Some(self.launch(&["run", "--node", &format!("{name}.toml"), "--quiet"], &format!("{name}.log")));
    }

    pub fn start_witness(&mut self) {
        self.witness = Some(self.launch(&["witness", "witness.toml"], "witness.log"));
    }

    /// What a node has logged so far.
    pub fn log(&self, node: usize) -> String {
        self.read(&format!("{}.log", NAMES[node]))
    }

    /// What it has logged since it had logged so many bytes.
    pub fn logged_since(&self, node: usize, bytes: usize) -> String {
        self.log(node).split_off(bytes)
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].take().expect("a node that runs").kill();
    }

    pub fn kill_witness(&mut self) {
        self.witness.take().expect("a witness that runs").kill();
    }

    /// Sends a signal to a node.
    pub fn signal(&self, node: usize, signal: &str) {
        tell(&self.nodes[node].as_ref().expect("a node that runs").child.id().to_string(), signal);
    }

    /// Waits for the first commit of an epoch above at the destination; tells how long that took.
    pub fn wait_for_commit(&self, above: u64) -> Duration {
        let (since, reader) = (Instant::now(), self.reader().expect("the database"));
        let newest =
            || reader.query_row("select max(epoch) from spy_commits", [], |row| row.get::<_, i64>(0));
        while newest().expect("commits") <= i64::try_from(above).expect("small") {
            assert!(since.elapsed() < PATIENCE, "nothing is delivered in an epoch above {above}");
            std::thread::sleep(Duration::from_millis(2));
        }
        since.elapsed()
    }

    /// Waits for the end of a node, which must be in order.
    pub fn ended(&mut self, node: usize) {
        let mut process = self.nodes[node].take().expect("a node that runs");
        assert!(process.wait(PATIENCE).success());
    }

    /// Stops a node where it stands, but not while it holds the lock of the database.
    pub fn freeze(&self, node: usize) {
        let writer = Connection::open(self.database()).expect("the database");
        writer.busy_timeout(Duration::from_secs(1)).expect("a limit");
        until("a moment between two commits", PATIENCE, || {
            self.signal(node, "-STOP");
            let is_free = writer.execute_batch("begin immediate; rollback").is_ok();
            if !is_free {
                self.signal(node, "-CONT");
            }
            is_free
        });
    }

    /// The status of a node; null when it does not answer.
    pub fn status(&self, node: usize) -> Value {
        let out = self.ask(&["pair", "status", "--json", "--data", &format!("data-{}", NAMES[node])]);
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }

    pub fn state(&self, node: usize) -> String {
        self.status(node)["state"].as_str().unwrap_or("").to_owned()
    }

    pub fn epoch(&self, node: usize) -> u64 {
        self.status(node)["epoch"].as_u64().unwrap_or(0)
    }

    /// What a node heard its peer say last.
    pub fn peer_says(&self, node: usize) -> String {
        self.status(node)["members"][0]["says"].as_str().unwrap_or("").to_owned()
    }

    pub fn wait_for_state(&self, node: usize, state: &str) {
        until(&format!("{} to be {state}", NAMES[node]), PATIENCE, || self.state(node) == state);
    }

    /// One is active, the other holds everything; gives the number of the active one.
    pub fn wait_until_redundant(&self) -> usize {
        let mut active = None;
        until("a redundant pair", PATIENCE, || {
            let states = [self.state(PRIMARY), self.state(BACKUP)];
            active = match states.each_ref().map(String::as_str) {
                ["active, paired", "standby"] => Some(PRIMARY),
                ["standby", "active, paired"] => Some(BACKUP),
                _ => None,
            };
            active.is_some()
        });
        active.expect("checked above")
    }

    /// The node becomes active in an epoch above; gives the new one.
    pub fn wait_for_takeover(&self, node: usize, above: u64) -> u64 {
        let mut epoch = 0;
        until(&format!("{} to take over", NAMES[node]), PATIENCE, || {
            let status = self.status(node);
            epoch = status["epoch"].as_u64().unwrap_or(0);
            status["state"].as_str().is_some_and(|state| state.starts_with("active")) && epoch > above
        });
        epoch
    }

    /// Exit code and text of `gwp pair status`.
    pub fn shown(&self, node: usize) -> (Option<i32>, String) {
        let out = self.ask(&["pair", "status", "--data", &format!("data-{}", NAMES[node])]);
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Gives an operator's order to a node, which takes it.
    pub fn order(&self, node: usize, order: &str) {
        let data = format!("data-{}", NAMES[node]);
        let words: Vec<&str> =
            ["pair"].into_iter().chain(order.split(' ')).chain(["--data", &data]).collect();
        said(&self.ask(&words));
    }

    /// Gives an operator's order to a node, which refuses it; gives why.
    pub fn order_refused(&self, node: usize, order: &str) -> String {
        refused(&self.ask(&["pair", order, "--data", &format!("data-{}", NAMES[node])]), 2)
    }

    pub fn database(&self) -> PathBuf {
        self.path("out.db")
    }

    fn reader(&self) -> rusqlite::Result<Connection> {
        let reader =
            Connection::open_with_flags(self.database(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader.busy_timeout(PATIENCE)?;
        Ok(reader)
    }

    /// Newest time at the destination; 0 while there is none.
    pub fn newest(&self) -> i64 {
        let newest = |reader: Connection| {
            reader.query_row("select max(time_ns) from samples_data", [], |row| row.get::<_, Option<i64>>(0))
        };
        self.reader().and_then(newest).ok().flatten().unwrap_or(0)
    }

    /// Rows arrive that are some slots newer than the newest one.
    pub fn wait_for_rows(&self) {
        let before = self.newest();
        until("rows", PATIENCE, || self.newest() > before + 4 * SLOT_NS);
    }

    /// The standby reads, and what it reads leaves its shadow as its copy of the log goes on.
    pub fn wait_for_shadow(&self, standby: usize) {
        until("the standby to read", PATIENCE, || {
            let hot = self.status(standby)["standby_reads"].clone();
            hot["readings"].as_u64().is_some_and(|readings| readings < 20) && hot["is_compared"] == true
        });
        self.wait_for_rows();
    }

    /// What is at the destination, by path and in the order of time and repeat.
    pub fn rows(&self) -> BTreeMap<String, Vec<Row>> {
        let reader = self.reader().expect("the database");
        let sql = "select path, time_ns, repeat, value, quality from samples order by path, time_ns, repeat";
        let mut query = reader.prepare(sql).expect("a query");
        let row = |row: &rusqlite::Row| {
            let (time, repeat, quality) = (row.get(1)?, row.get(2)?, row.get(4)?);
            Ok((row.get::<_, String>(0)?, Row { time, repeat, value: row.get(3)?, quality }))
        };
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in query.query_map([], row).expect("rows") {
            let (path, row) = row.expect("a row");
            rows.entry(path).or_default().push(row);
        }
        rows
    }

    /// From here on each arrival is kept.
    pub fn spy(&self) {
        self.wait_for_rows();
        let writer = Connection::open(self.database()).expect("the database");
        writer.busy_timeout(PATIENCE).expect("a limit");
        writer.execute_batch(SPY).expect("triggers");
        self.wait_for_rows();
    }

    /// The destination refuses from now on, until what is given is dropped.
    pub fn outage(&self) -> Connection {
        let writer = Connection::open(self.database()).expect("the database");
        writer.busy_timeout(PATIENCE).expect("a limit");
        writer.execute_batch("begin immediate").expect("the lock");
        writer
    }

    /// What the log of a node that does not run makes: read from a copy, which opening may mend.
    pub fn logged(&self, node: usize) -> BTreeMap<Key, String> {
        let kept = tempfile::tempdir().expect("a folder");
        copy(&self.path(&format!("data-{}", NAMES[node])), kept.path());
        let text = said(&ask(kept.path(), &["journal", "recompute", "out", "--data", "."]));
        samples(&text).collect()
    }

    /// What waits for delivery at a node that does not run.
    pub fn waiting(&self, node: usize) -> BTreeSet<Key> {
        let kept = tempfile::tempdir().expect("a folder");
        copy(&self.path(&format!("data-{}", NAMES[node])), kept.path());
        let text = said(&ask(kept.path(), &["journal", "export", "out", "--data", "."]));
        text.lines().skip(1).map(|line| key(line, 0)).collect()
    }

    /// What is at the destination.
    pub fn delivered(&self) -> BTreeMap<Key, String> {
        let reader = self.reader().expect("the database");
        let mut query = reader.prepare("select path, time, repeat, value from samples").expect("a query");
        let row = |row: &rusqlite::Row| {
            let value = row.get::<_, Option<i64>>(3)?.map_or_else(String::new, |value| value.to_string());
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), value))
        };
        query.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
    }

    /// Folders with stores that were set aside at a node.
    pub fn asides(&self, node: usize) -> usize {
        let entries = std::fs::read_dir(self.path(&format!("data-{}", NAMES[node]))).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("store.aside-")).count()
    }

    /// Checks the order in which rows have arrived so far.
    pub fn check_arrivals(&self) {
        assert_eq!(arrivals(&self.reader().expect("the database"), faults_of_rows), Vec::<String>::new());
    }

    /// Ends all in order, the active last, and checks what was delivered against its log and the order of arrival.
    pub fn finish(self, active: usize) -> usize {
        self.finish_by(active, faults_of_rows)
    }

    /// The same with another check of the rows (tag, time, marks, value) in the order of their arrival.
    pub fn finish_by(mut self, active: usize, faults_of_rows: fn(&[[i64; 4]]) -> Vec<String>) -> usize {
        for node in [1 - active, active] {
            if self.nodes[node].is_some() {
                self.signal(node, "-TERM");
                self.ended(node);
            }
        }
        let (logged, waiting, delivered) = (self.logged(active), self.waiting(active), self.delivered());
        let mut faults = arrivals(&self.reader().expect("the database"), faults_of_rows);
        faults.extend(differences(&logged, &waiting, &delivered));
        assert_eq!(faults, Vec::<String>::new());
        delivered.len()
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut text = String::new();
            for name in ["primary", "backup", "witness"] {
                let _ = writeln!(text, "--- {name}\n{}", self.read(&format!("{name}.log")));
            }
            eprintln!("{text}");
        }
    }
}

/// Sends a signal to a process.
pub fn tell(process: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, process]).status().expect("kill").success());
}

/// Path, time and repeat in a line of CSV: no field has a comma or a quote.
fn key(line: &str, repeat: u32) -> Key {
    let mut fields = line.split(',').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let time = next();
    (next(), time, repeat)
}

/// Samples as `gwp journal recompute` writes them, with their values.
fn samples(text: &str) -> impl Iterator<Item = (Key, String)> {
    text.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), 7, "{line}");
        (key(line, fields[5].parse().expect("a repeat")), fields[2].to_owned())
    })
}

/// What differs between the log of the last active and the destination, at most a few of each kind.
fn differences(
    logged: &BTreeMap<Key, String>,
    waiting: &BTreeSet<Key>,
    delivered: &BTreeMap<Key, String>,
) -> Vec<String> {
    let missing = logged.keys().filter(|key| !delivered.contains_key(*key) && !waiting.contains(*key));
    let more = delivered.keys().filter(|key| !logged.contains_key(*key));
    let other =
        delivered.iter().filter(|(key, value)| logged.get(*key).is_some_and(|wanted| wanted != *value));
    let missing = missing.take(5).map(|key| format!("not delivered: {key:?}"));
    let more = more.take(5).map(|key| format!("in no log: {key:?}"));
    missing.chain(more).chain(other.take(5).map(|other| format!("another value: {other:?}"))).collect()
}

/// What is wrong with the order in which rows and commits have arrived.
fn arrivals(reader: &Connection, faults_of_rows: fn(&[[i64; 4]]) -> Vec<String>) -> Vec<String> {
    let numbers = |sql: &str| -> Vec<[i64; 4]> {
        let mut query = reader.prepare(sql).expect("a query");
        // A bad sample has no value.
        let row = |row: &rusqlite::Row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?.unwrap_or(-1)])
        };
        query.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
    };
    let rows = numbers("select tag, time_ns, marks, value from spy_rows order by n");
    let mut faults = faults_of_rows(&rows);
    let commits = numbers("select epoch, position_epoch, position_seq, part from spy_commits order by n");
    assert!(!rows.is_empty() && !commits.is_empty(), "nothing has arrived");
    for pair in commits.windows(2) {
        if pair[1][0] < pair[0][0] {
            faults.push(format!("epoch {} delivers after epoch {}", pair[1][0], pair[0][0]));
        }
        if pair[1][1..] <= pair[0][1..] {
            faults.push(format!("commit of {:?} after {:?}", pair[1], pair[0]));
        }
    }
    faults
}

/// Rows of (tag, time, marks, value) in the order in which they have arrived; marks are twice the repeat number, and
/// one more if the row is flagged as backfill.
fn faults_of_rows(rows: &[[i64; 4]]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: BTreeMap<i64, [i64; 4]> = BTreeMap::new();
    for row in rows {
        let [tag, time, marks, value] = *row;
        if marks > 1 {
            faults.push(format!("tag {tag} has two values at {time}"));
        }
        let Some([_, before, _, counted]) = last.insert(tag, *row) else { continue };
        if time <= before {
            faults.push(format!("tag {tag}: {time} arrives after {before}"));
        }
        if (time - before) != (value - counted) * SLOT_NS {
            faults.push(format!("tag {tag}: {counted} at {before}, but {value} at {time}"));
        }
    }
    faults
}

/// Time of the newest sample.
pub fn newest_of(samples: &BTreeMap<Key, String>) -> String {
    samples.keys().map(|(_, time, _)| time.clone()).max().unwrap_or_default()
}

#[test]
fn the_check_finds_what_is_wrong() {
    let good = [[1, SLOT_NS, 0, 1], [2, SLOT_NS, 0, 1], [1, 3 * SLOT_NS, 0, 3]];
    assert_eq!(faults_of_rows(&good), Vec::<String>::new());
    for wrong in
        [[1, 3 * SLOT_NS, 0, 3], [1, 2 * SLOT_NS, 0, 2], [1, 4 * SLOT_NS, 0, 5], [1, 4 * SLOT_NS, 2, 4]]
    {
        assert!(!faults_of_rows(&[&good[..], &[wrong]].concat()).is_empty(), "{wrong:?}");
    }
    let sample = |time: &str| (("m1.x".to_owned(), time.to_owned(), 0), "1".to_owned());
    let both: BTreeMap<Key, String> = [sample("1"), sample("2")].into();
    let one: BTreeMap<Key, String> = [sample("1")].into();
    let none = BTreeSet::new();
    assert_eq!(differences(&both, &none, &both).len(), 0);
    assert_eq!(differences(&both, &none, &one).len(), 1);
    assert_eq!(differences(&both, &[sample("2").0].into(), &one).len(), 0);
    assert_eq!(differences(&one, &none, &both).len(), 1);
}
