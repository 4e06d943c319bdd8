//! The source against a real mosquitto: `GWP_PEER_TESTS=1 cargo test -p gwp-driver-mqtt --test mosquitto`.

use gwp_core::command::Commands;
use gwp_core::edge::{Credit, DueReceipt, Edge};
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::source::*;
use gwp_core::stop::{StopSource, stop_pair};
use gwp_core::{BoxFuture, Clock, GroupId, Quality, TagId, Timestamp, Value};
use gwp_driver_mqtt::Mqtt;
use gwp_tests::{Process, peers_wanted, workspace};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(30);

/// A mosquitto of our own, started again on the same port.
struct Broker {
    folder: PathBuf,
    port: String,
    process: Option<Process>,
}

impl Broker {
    fn start(folder: &Path, extra: &str) -> Broker {
        std::fs::write(folder.join("extra.conf"), extra).unwrap();
        let mut broker = Broker { folder: folder.into(), port: String::new(), process: None };
        broker.launch();
        broker
    }

    fn launch(&mut self) {
        let mut command = Command::new("bash");
        command.arg(workspace().join("tests/peers/mosquitto.sh")).arg(&self.folder);
        if !self.port.is_empty() {
            command.arg(&self.port);
        }
        command.stderr(std::fs::File::create(self.folder.join("log")).unwrap());
        let process = Process::start(&mut command);
        self.port = process.line().trim_start_matches("READY ").to_owned();
        self.process = Some(process);
    }

    /// In order: it saves sessions and queues.
    fn terminate(&mut self) {
        let mut process = self.process.take().unwrap();
        assert!(Command::new("kill").arg(process.child.id().to_string()).status().unwrap().success());
        process.wait(DEADLINE);
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-q", "1", "-t", topic, "-m", payload]).args(more);
        assert!(command.status().unwrap().success());
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(since.as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}

/// The engine's side of a source: what it emitted, and whether a log takes it.
struct Running {
    emissions: mpsc::UnboundedReceiver<Emission>,
    /// Credits that the log has not settled.
    held: Arc<Mutex<Vec<Credit>>>,
    /// The log holds everything at once.
    storing: Arc<Mutex<bool>>,
    stop: Option<StopSource>,
    task: tokio::task::JoinHandle<Result<(), SourceError>>,
}

/// Tags 0.. with these addresses; those that begin with `!` are commands, in a group of their own.
fn start(broker: &Broker, version: &str, points: &[(&str, PlcType)]) -> Running {
    let mut settings = Settings::default();
    for (name, value) in
        [("broker", format!("mqtt://127.0.0.1:{}", broker.port)), ("version", version.into())]
    {
        settings.set(name, SettingValue::Text(value.into()));
    }
    let group = |id: u32, commands: bool| {
        let own = (0u32..).zip(points).filter(|(_, (address, _))| address.starts_with('!') == commands);
        let own: Vec<_> = own.collect();
        GroupDeclaration {
            id: GroupId(id),
            device: "scada".into(),
            device_settings: Settings::default(),
            period_ns: 0,
            phase_ns: 0,
            tags: own.iter().map(|(tag, _)| TagId(*tag)).collect(),
            points: own
                .iter()
                .map(|(_, (address, plc_type))| PointDeclaration {
                    path: (*address).into(),
                    address: address.trim_start_matches('!').into(),
                    plc_type: *plc_type,
                    writable: false,
                    command: commands,
                })
                .collect(),
        }
    };
    let groups = vec![group(0, false), group(1, true)];
    let unpolled = [(groups[0].id, groups[0].tags.clone())].into();
    let item = Declaration { name: format!("scada-{version}").into(), settings };
    let source = Mqtt.prepare(SourceDeclaration { item, groups, device_time: false });
    let source = source.unwrap_or_else(|errors| panic!("{errors:?}"));
    let (tx, emissions) = mpsc::unbounded_channel();
    let (held, storing) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(true)));
    let hand = {
        let (held, storing) = (held.clone(), storing.clone());
        move |emission, credit: Credit| {
            match *storing.lock().unwrap() {
                true => credit.settle().map_or((), DueReceipt::give),
                false => held.lock().unwrap().push(credit),
            }
            let _ = tx.send(emission);
        }
    };
    let (stop_source, stop) = stop_pair();
    let cx = SourceContext {
        outlet: Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), Arc::new(hand)),
        clock: Arc::new(SystemClock),
        stop,
        meter: Arc::default(),
        commands: Commands::none(),
        unpolled,
    };
    let task = tokio::spawn(async move { source.run(cx).await });
    Running { emissions, held, storing, stop: Some(stop_source), task }
}

impl Running {
    async fn next(&mut self) -> Emission {
        let next = tokio::time::timeout(DEADLINE, self.emissions.recv()).await;
        next.expect("nothing came in time").expect("the source runs")
    }

    async fn connected(&mut self) -> bool {
        loop {
            if let Emission::Connected { up, .. } = self.next().await {
                return up;
            }
        }
    }

    /// The next samples: tag, value, quality.
    async fn samples(&mut self) -> Vec<(u32, Value, Quality)> {
        loop {
            if let Emission::Samples { batch, .. } = self.next().await {
                let one = |at: usize| (batch.tags[at].0, batch.values.get(at), batch.qualities.get(at));
                return (0..batch.len()).map(one).collect();
            }
        }
    }

    /// Values of one tag until `last` comes.
    async fn values_until(&mut self, last: i64) -> Vec<i64> {
        let mut values = Vec::new();
        while values.last() != Some(&last) {
            for (_, value, _) in self.samples().await {
                if let Value::Int(value) = value {
                    values.push(value);
                }
            }
        }
        values
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops").unwrap().unwrap();
    }
}

/// Waits until a topic is subscribed to: what is published from then on arrives.
async fn until_subscribed(broker: &Broker, running: &mut Running, topic: &str) {
    assert!(running.connected().await);
    loop {
        broker.publish(topic, "-1", &[]);
        let came = tokio::time::timeout(Duration::from_millis(300), running.emissions.recv()).await;
        if matches!(came, Ok(Some(Emission::Samples { .. }))) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_away_arrives_and_only_what_the_log_holds_is_acknowledged() {
    if !peers_wanted("mqtt: published while away") {
        return;
    }
    for version in ["v5", "v311"] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path(), "");
        let points = [("n", PlcType::Dint)];
        let mut running = start(&broker, version, &points);
        until_subscribed(&broker, &mut running, "n").await;
        broker.publish("n", "1", &[]);
        assert_eq!(running.values_until(1).await.last(), Some(&1));
        // The log takes no more: 2 to 4 arrive, but nobody may say so to the broker.
        *running.storing.lock().unwrap() = false;
        for value in 2..=4 {
            broker.publish("n", &value.to_string(), &[]);
        }
        assert_eq!(running.values_until(4).await, [2, 3, 4]);
        // As killed: no goodbye, no acknowledgement.
        running.task.abort();
        assert_eq!(running.held.lock().unwrap().len(), 3);
        for value in 5..=300 {
            broker.publish("n", &value.to_string(), &[]);
        }
        let mut again = start(&broker, version, &points);
        assert_eq!(again.values_until(300).await, (2..=300).collect::<Vec<_>>(), "{version}");
        again.stop().await;
        // All of it was acknowledged.
        broker.publish("n", "301", &[]);
        let mut third = start(&broker, version, &points);
        assert_eq!(third.values_until(301).await, [301], "{version}");
        third.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_pointers_retained_messages_and_commands() {
    if !peers_wanted("mqtt: types and commands") {
        return;
    }
    for version in ["v5", "v311"] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path(), "");
        broker.publish("state", "on", &["-r"]);
        broker.publish("set", "9", &["-r"]);
        let points = [
            ("press#/values/oil", PlcType::Real),
            ("press#/values/n", PlcType::Int),
            ("state", PlcType::Bool),
            ("!set", PlcType::Dint),
        ];
        let mut running = start(&broker, version, &points);
        assert!(running.connected().await);
        let mut first = [running.samples().await, running.samples().await].concat();
        first.sort_by_key(|(tag, ..)| *tag);
        assert_eq!(
            first,
            [(2, Value::Bool(true), Quality::INITIAL), (3, Value::Int(9), Quality::INITIAL)],
            "kept from an earlier time"
        );
        broker.publish("press", r#"{"values":{"oil":42.5,"n":7}}"#, &[]);
        assert_eq!(
            running.samples().await,
            [(0, Value::Float(42.5), Quality::GOOD), (1, Value::Int(7), Quality::GOOD)]
        );
        broker.publish("set", "5", &[]);
        assert_eq!(running.samples().await, [(3, Value::Int(5), Quality::GOOD)]);
        running.task.abort();
        let _ = (&mut running.task).await;
        // Commands do not wait for a gateway that is away.
        broker.publish("set", "6", &[]);
        broker.publish("press", r#"{"values":{"n":8}}"#, &[]);
        let mut again = start(&broker, version, &points);
        let mut seen = Vec::new();
        while !seen.contains(&(1, Value::Int(8), Quality::GOOD)) {
            seen.extend(again.samples().await);
        }
        broker.publish("set", "7", &[]);
        while !seen.contains(&(3, Value::Int(7), Quality::GOOD)) {
            seen.extend(again.samples().await);
        }
        let fresh: Vec<_> = seen.iter().filter(|(tag, _, quality)| *tag == 3 && quality.is_good()).collect();
        assert_eq!(fresh, [&(3, Value::Int(7), Quality::GOOD)], "{version}");
        again.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_and_comes_back_is_told_and_found_again() {
    if !peers_wanted("mqtt: broker away") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(dir.path(), "");
    let mut running = start(&broker, "v5", &[("n", PlcType::Dint)]);
    until_subscribed(&broker, &mut running, "n").await;
    broker.terminate();
    assert!(!running.connected().await);
    assert_eq!(running.samples().await, [(0, Value::Nothing, Quality::COMM_LOST)]);
    broker.launch();
    assert!(running.connected().await);
    broker.publish("n", "5", &[]);
    assert_eq!(running.values_until(5).await.last(), Some(&5));
    running.stop().await;
}
