//! The drivers against pymodbus, a stack of other people's making, on all three transports.
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, and socat for the serial line.
//! Otherwise it says that it was skipped.

use gwp_core::command::Commands;
use gwp_core::edge::Edge;
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::source::{
    Driver, Emission, GroupDeclaration, Outlet, PlcType, PointDeclaration, SourceContext, SourceDeclaration,
    SourceMeter,
};
use gwp_core::stop::{StopSource, stop_pair};
use gwp_core::{Batch, BoxFuture, Clock, GroupId, Quality, TagId, Timestamp, Value};
use gwp_driver_modbus::DRIVERS;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

const MS: i64 = 1_000_000;
const DEADLINE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running peer and where it listens.
struct Peer {
    process: Process,
    places: Vec<(String, String)>,
}

impl Peer {
    fn start(arguments: &[&str]) -> Peer {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers");
        let python = Command::new("sh").arg(peers.join("venv.sh")).output().expect("sh runs");
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
        let python = String::from_utf8(python.stdout).expect("a path");
        let mut child = Command::new(python.trim())
            .arg(peers.join("modbus_server.py"))
            .args(arguments)
            .arg("--until-eof")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        let process = Process(child);
        BufReader::new(output).read_line(&mut line).expect("a line");
        let words = line.strip_prefix("READY ").unwrap_or_else(|| panic!("not ready: {line}"));
        let place =
            |word: &str| word.split_once('=').map(|(name, place)| (name.to_owned(), place.to_owned()));
        let places = words.split_whitespace().filter_map(place).collect();
        Peer { process, places }
    }

    fn place(&self, name: &str) -> String {
        self.places.iter().find(|(place, _)| place == name).expect("it listens there").1.clone()
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}

struct Running {
    emissions: mpsc::UnboundedReceiver<Emission>,
    meter: Arc<SourceMeter>,
    _stop: StopSource,
}

impl Running {
    async fn next(&mut self) -> Emission {
        tokio::time::timeout(DEADLINE, self.emissions.recv()).await.expect("nothing came").expect("it runs")
    }

    /// The next slot of a group for which `wanted` holds, whatever comes before.
    async fn until(&mut self, group: u32, wanted: impl Fn(&Batch) -> bool) -> Batch {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            assert!(tokio::time::Instant::now() < end, "it never came");
            if let Emission::Samples { batch, .. } = self.next().await
                && batch.group == GroupId(group)
                && wanted(&batch)
            {
                return batch;
            }
        }
    }

    async fn connected(&mut self, wanted: bool) {
        loop {
            if let Emission::Connected { up, .. } = self.next().await
                && up == wanted
            {
                return;
            }
        }
    }
}

/// Addresses of one group: static registers and bits, counting ones, fixed ones of all types, a missing one.
fn points() -> Vec<(String, PlcType)> {
    let mut points: Vec<(String, PlcType)> = (0..300).map(|n| (format!("hr {n}"), PlcType::Uint)).collect();
    let more = [
        ("ir 1000", PlcType::Uint),
        ("31011", PlcType::Uint),
        ("hr 1100", PlcType::Dint),
        ("hr 1102", PlcType::Real),
        ("hr 1104", PlcType::Lint),
        ("hr 1108", PlcType::Lreal),
        ("hr 1112", PlcType::Time),
        ("hr 1116 len 8", PlcType::String),
        ("hr 1100.0", PlcType::Bool),
        ("co 6", PlcType::Bool),
        ("di 1999", PlcType::Bool),
        ("hr 1125", PlcType::Int),
    ];
    points.extend(more.map(|(address, plc_type)| (address.to_owned(), plc_type)));
    points
}

fn start(driver: &str, settings: &[(&str, SettingValue)], units: &[u8]) -> Running {
    let mut all = Settings::default();
    settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
    let group = |(index, unit): (usize, &u8)| {
        let mut device_settings = Settings::default();
        device_settings.set("unit_id", SettingValue::Int(i64::from(*unit)));
        let points = points();
        GroupDeclaration {
            id: GroupId(index as u32),
            device: format!("unit{unit}").into(),
            device_settings,
            period_ns: 200 * MS,
            phase_ns: 0,
            tags: (0..points.len() as u32).map(TagId).collect(),
            points: points
                .into_iter()
                .map(|(address, plc_type)| PointDeclaration {
                    path: address.as_str().into(),
                    address: address.as_str().into(),
                    plc_type,
                    writable: false,
                    command: false,
                })
                .collect(),
        }
    };
    let declaration = SourceDeclaration {
        item: Declaration { name: driver.into(), settings: all },
        groups: units.iter().enumerate().map(group).collect(),
        device_time: false,
    };
    let driver = DRIVERS.iter().find(|candidate| candidate.manifest().name == driver).expect("a driver");
    let source = driver.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"));
    let (tx, emissions) = mpsc::unbounded_channel();
    let hand = move |emission, credit| {
        drop(credit);
        let _ = tx.send(emission);
    };
    let (stop_source, stop) = stop_pair();
    let meter = Arc::new(SourceMeter::default());
    let outlet = Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), Arc::new(hand));
    let cx = SourceContext {
        outlet,
        clock: Arc::new(SystemClock),
        stop,
        meter: meter.clone(),
        commands: Commands::none(),
        unpolled: [].into(),
    };
    tokio::spawn(async move { source.run(cx).await.expect("a source runs until stopped") });
    Running { emissions, meter, _stop: stop_source }
}

/// Checks one batch of a unit against the peer's rule; gives the counter it was read at.
fn check(batch: &Batch, unit: i64) -> i64 {
    for index in 0..300 {
        assert_eq!(batch.values.get(index), Value::Int(unit * 1_000 + index as i64), "register {index}");
    }
    let int = |index: usize| match batch.values.get(300 + index) {
        Value::Int(value) => value,
        other => panic!("{other:?} with {}", batch.qualities.get(300 + index)),
    };
    assert_eq!(int(1) - int(0), 10, "both counters come from one answer");
    let fixed: Vec<Value> = (2..11).map(|index| batch.values.get(300 + index)).collect();
    assert_eq!(
        fixed,
        [
            Value::Int(-2),
            Value::Float(25.5),
            Value::Int(-2),
            Value::Float(1e-3),
            Value::Time(Timestamp(1_500 * MS)),
            Value::Text("PUMP 07".into()),
            Value::Bool(true),
            Value::Bool((unit + 6) % 2 == 1),
            Value::Bool((unit + 1_999) % 2 == 1),
        ]
    );
    assert_eq!(batch.qualities.get(311), Quality::UNKNOWN_ADDRESS);
    int(0)
}

fn is_read(batch: &Batch) -> bool {
    (0..311).all(|index| batch.qualities.get(index).is_good())
}

/// Reads two units for a while and compares with the rule and with the peer's own log.
async fn reads_what_was_served(running: &mut Running, log: &Path) {
    running.connected(true).await;
    let mut counters = Vec::new();
    for _ in 0..5 {
        for (group, unit) in [(0, 1), (1, 2)] {
            counters.push(check(&running.until(group, is_read).await, unit));
        }
    }
    assert!(counters.windows(2).all(|pair| pair[0] <= pair[1]), "{counters:?}");
    assert!(counters[0] < counters[9], "the peer counts: {counters:?}");
    let log = std::fs::read_to_string(log).expect("the peer's log");
    for counter in counters {
        assert!(
            log.contains(&format!("\"address\": 1000, \"count\": 11, \"counter\": {counter}}}")),
            "{counter}"
        );
    }
}

fn enabled() -> bool {
    let enabled = std::env::var("GWP_PEER_TESTS").is_ok_and(|value| value == "1");
    if !enabled {
        eprintln!("skipped: pymodbus is asked only with GWP_PEER_TESTS=1");
    }
    enabled
}

fn common(more: &[(&'static str, SettingValue)]) -> Vec<(&'static str, SettingValue)> {
    let ms = |ms: i64| SettingValue::Duration(ms * MS);
    let mut settings = vec![("timeout", ms(1_000)), ("probe", ms(500))];
    settings.extend_from_slice(more);
    settings
}

fn text(text: impl AsRef<str>) -> SettingValue {
    SettingValue::Text(text.as_ref().into())
}

/// A folder of this test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gwp-pymodbus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn over_tcp_and_through_a_restart() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("tcp");
    let log = folder.file("log");
    let peer = Peer::start(&["--tcp", "0", "--units", "2", "--log", &log]);
    let port = peer.place("tcp");
    let address = ("address", text(format!("127.0.0.1:{port}")));
    let mut running = start("modbus_tcp", &common(&[address]), &[1, 2, 9]);
    reads_what_was_served(&mut running, Path::new(&log)).await;
    assert_eq!(running.meter.devices_silent.load(Relaxed), 1, "there is no unit 9");

    drop(peer.process);
    running.connected(false).await;
    let batch = running.until(0, |batch| batch.qualities.get(0).is_bad()).await;
    assert_eq!(batch.qualities.get(0), Quality::COMM_LOST);
    let _peer = Peer::start(&["--tcp", &port, "--units", "2"]);
    running.connected(true).await;
    check(&running.until(1, is_read).await, 2);
}

#[tokio::test]
async fn a_unit_that_is_always_late_over_tcp_is_never_misread() {
    if !enabled() {
        return;
    }
    let peer = Peer::start(&["--tcp", "0", "--units", "2", "--delay", "2=400"]);
    let address = ("address", text(format!("127.0.0.1:{}", peer.place("tcp"))));
    let timeout = ("timeout", SettingValue::Duration(300 * MS));
    let mut running = start("modbus_tcp", &common(&[address, timeout]), &[1, 2]);
    while running.meter.timeouts.load(Relaxed) < 5 {
        match running.next().await {
            Emission::Samples { batch, .. } if batch.group == GroupId(0) => {
                if is_read(&batch) {
                    check(&batch, 1);
                }
            }
            Emission::Samples { batch, .. } => assert_eq!(batch.qualities.get(0), Quality::TIMEOUT),
            Emission::Failed { group, .. } => assert_eq!(group, GroupId(1)),
            Emission::Connected { up, .. } => assert!(up),
            Emission::Bookmark { name, .. } => panic!("{name}: Modbus has nothing to go on with"),
        }
    }
}

#[tokio::test]
async fn in_rtu_frames_over_tcp() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("rtu-tcp");
    let log = folder.file("log");
    let peer = Peer::start(&["--rtu-over-tcp", "0", "--units", "2", "--log", &log]);
    let address = ("address", text(format!("127.0.0.1:{}", peer.place("rtu-over-tcp"))));
    let mut running = start("modbus_rtu_tcp", &common(&[address]), &[1, 2]);
    reads_what_was_served(&mut running, Path::new(&log)).await;
}

#[tokio::test]
async fn on_a_serial_line_and_through_a_restart() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("serial");
    let (ours, theirs, log) = (folder.file("a"), folder.file("b"), folder.file("log"));
    let end = |link: &str| format!("pty,raw,echo=0,link={link}");
    let _line = Process(Command::new("socat").args([end(&ours), end(&theirs)]).spawn().expect("socat runs"));
    let deadline = std::time::Instant::now() + DEADLINE;
    while !(Path::new(&ours).exists() && Path::new(&theirs).exists()) {
        assert!(std::time::Instant::now() < deadline, "socat made no line");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let arguments = ["--serial", &theirs, "--units", "2", "--log", &log];
    let peer = Peer::start(&arguments);
    let port = [("port", text(&ours)), ("parity", text("none")), ("baud", SettingValue::Int(115_200))];
    let mut running = start("modbus_rtu", &common(&port), &[1, 2]);
    reads_what_was_served(&mut running, Path::new(&log)).await;

    drop(peer.process);
    let batch = running.until(0, |batch| batch.qualities.get(0).is_bad()).await;
    assert_eq!(batch.qualities.get(0), Quality::TIMEOUT);
    while running.meter.devices_silent.load(Relaxed) < 2 {
        running.next().await;
    }
    let _peer = Peer::start(&arguments);
    check(&running.until(0, is_read).await, 1);
    check(&running.until(1, is_read).await, 2);
    assert_eq!(running.meter.devices_silent.load(Relaxed), 0);
}
