//! A real broker, a subscriber that writes down what arrives, and the engine's side of a sink.

use gwp_core::batch::Column;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::sink::*;
use gwp_core::stop::stop_pair;
use gwp_core::{Batch, Cursor, GroupId, Kind, Position, SinkId, TagId, TagInfo, TagTable, Timestamp};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// No wait of these tests is longer; a broken broker or sink fails the test.
const DEADLINE: Duration = Duration::from_secs(60);

/// True when real peers are wanted; says so when not.
pub fn wanted() -> bool {
    let wanted = std::env::var("GWP_PEER_TESTS").is_ok_and(|value| value == "1");
    if !wanted {
        println!("skipped: set GWP_PEER_TESTS=1 to run against a real mosquitto");
    }
    wanted
}

/// Waits for a future with the deadline of all tests.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}

/// A mosquitto of our own.
pub struct Broker {
    folder: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl Broker {
    /// Starts on a free port with additional configuration.
    pub fn start(folder: &Path, extra: &str) -> Broker {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("extra.conf"), extra).unwrap();
        let mut broker = Broker { folder: folder.into(), port: 0, child: None };
        broker.launch();
        broker
    }

    /// Starts again on the same port.
    pub fn launch(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/mosquitto.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(&self.folder).stdout(Stdio::piped());
        if self.port != 0 {
            command.arg(self.port.to_string());
        }
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut child = command.stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("READY ").and_then(|port| port.parse().ok());
        self.port = port.unwrap_or_else(|| panic!("mosquitto did not start: {line}{}", self.log()));
        self.child = Some(child);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// As a power cut: nothing is saved.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// In order: sessions and queues are saved.
    pub fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap();
    }

    /// Removes what the broker saved.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.folder.join("mosquitto.db"));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// One message as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub topic: String,
    pub payload: serde_json::Value,
    pub retain: bool,
}

/// Subscribes to everything and connects again whenever it must.
pub struct Subscriber {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    count: watch::Receiver<usize>,
    subscribed: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// With a client id of its own the session is kept, and QoS 1 used.
    pub async fn start(port: u16, kept: Option<&str>, login: Option<(&str, &str)>) -> Subscriber {
        let mut options = rumqttc::MqttOptions::new(kept.unwrap_or("watcher"), "127.0.0.1", port);
        options.set_clean_session(kept.is_none()).set_max_packet_size(1 << 24, 1 << 24);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let qos = if kept.is_some() { rumqttc::QoS::AtLeastOnce } else { rumqttc::QoS::AtMostOnce };
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let (count_tx, count) = watch::channel(0);
        let (subscribed_tx, subscribed) = watch::channel(false);
        let task = tokio::spawn(watch_everything(options, qos, arrivals.clone(), count_tx, subscribed_tx));
        let mut subscriber = Subscriber { arrivals, count, subscribed, task };
        subscriber.wait_subscribed().await;
        subscriber
    }

    pub async fn wait_subscribed(&mut self) {
        within("the subscriber is subscribed", self.subscribed.wait_for(|up| *up)).await.unwrap();
    }

    /// Waits until it has noticed that the broker is gone.
    pub async fn wait_lost(&mut self) {
        within("the subscriber lost its connection", self.subscribed.wait_for(|up| !*up)).await.unwrap();
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Waits until a condition holds for what has arrived.
    pub async fn wait(&mut self, what: &str, holds: impl Fn(&[Arrival]) -> bool) -> Vec<Arrival> {
        let arrivals = self.arrivals.clone();
        let enough = self.count.wait_for(|_| holds(&arrivals.lock().unwrap()));
        match tokio::time::timeout(DEADLINE, enough).await {
            Ok(found) => drop(found.unwrap()),
            Err(_) => panic!("not within {DEADLINE:?}: {what}; arrived: {}", arrivals.lock().unwrap().len()),
        }
        self.arrivals()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch_everything(
    options: rumqttc::MqttOptions,
    qos: rumqttc::QoS,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    count: watch::Sender<usize>,
    subscribed: watch::Sender<bool>,
) {
    use rumqttc::{Event, Packet};
    loop {
        let (client, mut events) = rumqttc::AsyncClient::new(options.clone(), 10);
        let note = |publish: rumqttc::Publish| {
            let payload = serde_json::from_slice(&publish.payload).unwrap();
            let arrival = Arrival { topic: publish.topic, payload, retain: publish.retain };
            arrivals.lock().unwrap().push(arrival);
            // Not while the list is locked: who waits reads it with the channel locked.
            count.send_modify(|count| *count += 1);
        };
        while let Ok(event) = events.poll().await {
            match event {
                Event::Incoming(Packet::ConnAck(_)) => client.try_subscribe("#", qos).unwrap(),
                Event::Incoming(Packet::SubAck(_)) => drop(subscribed.send_replace(true)),
                Event::Incoming(Packet::Publish(publish)) => note(publish),
                _ => {}
            }
        }
        // What was read together with the end of the connection is told by no poll.
        for event in events.state.events.drain(..) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                note(publish);
            }
        }
        subscribed.send_replace(false);
        // The broker is away: ask again soon, without keeping a core busy.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A sink as the engine sees it.
pub struct Engine {
    sink: Box<dyn Sink>,
    pub deliveries: Vec<Arc<Delivery>>,
    /// Deliveries acknowledged or rejected so far.
    pub done: usize,
    /// Of them, those that were rejected, with the reason.
    pub rejected: Vec<(usize, String)>,
    pub meter: Arc<SinkMeter>,
    pub in_flight: usize,
}

impl Engine {
    pub fn new(settings: &[(&str, SettingValue)], deliveries: Vec<Arc<Delivery>>) -> Engine {
        let mut all = Settings::default();
        settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
        let declaration = SinkDeclaration {
            item: Declaration { name: "scada".into(), settings: all },
            timezone: "UTC".into(),
        };
        let sink = gwp_sink_mqtt::Mqtt.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"));
        Engine { sink, deliveries, done: 0, rejected: Vec::new(), meter: Arc::default(), in_flight: 64 }
    }

    /// Runs the sink once, with everything not acknowledged, until it has delivered all or
    /// fails. `note` is told how many deliveries are done whenever that changes.
    pub async fn run(&mut self, mut note: impl FnMut(usize)) -> Result<(), SinkError> {
        let (mut handle, inlet) = inlet_pair(self.in_flight, self.meter.clone());
        let (_stop, stop) = stop_pair();
        let identity = SinkIdentity { incarnation: [7; 16], sink: SinkId(1), epoch: 3 };
        let run = self.sink.run(SinkContext { inlet, stop, identity, meter: self.meter.clone() });
        let feed = async {
            let first = within("the sink is ready", handle.reports.recv()).await;
            let Some(first) = first else { return };
            assert!(matches!(first, SinkReport::Ready { resume: None }), "{first:?}");
            let mut next = self.done;
            let mut open = 0;
            while self.done < self.deliveries.len() {
                let room = open < self.in_flight && next < self.deliveries.len();
                tokio::select! {
                    permit = handle.deliveries.reserve(), if room => {
                        let Ok(permit) = permit else { return };
                        permit.send(self.deliveries[next].clone());
                        next += 1;
                        open += 1;
                    }
                    report = handle.reports.recv() => {
                        let Some(report) = report else { return };
                        let before = self.done;
                        self.done = place(&self.deliveries, &report, before, next);
                        if let SinkReport::Reject { reason, .. } = report {
                            self.rejected.push((self.done - 1, reason));
                        }
                        open -= self.done - before;
                        note(self.done);
                    }
                }
            }
            drop(handle.deliveries);
        };
        let (result, ()) = within("the sink has run", async { tokio::join!(run, feed) }).await;
        result
    }
}

/// Deliveries done after a report, which must rise and name a delivery that was handed over.
fn place(deliveries: &[Arc<Delivery>], report: &SinkReport, before: usize, handed: usize) -> usize {
    let upto = match report {
        SinkReport::Ack { upto } | SinkReport::Reject { upto, .. } => *upto,
        SinkReport::Ready { .. } => panic!("ready twice"),
    };
    let index =
        deliveries.binary_search_by_key(&upto, |delivery| delivery.upto).expect("a cursor of a delivery");
    assert!(index >= before, "acknowledgements never fall back");
    assert!(index < handed, "nothing is acknowledged before it is handed over");
    index + 1
}

/// Names of `tags` tags `press.t0`, `press.t1` ...
pub fn names(tags: usize) -> Arc<FlowNames> {
    let tags = (0..tags).map(|number| TagInfo {
        path: format!("press.t{number}").into(),
        device: "press".into(),
        tag: format!("t{number}").into(),
        unit: "".into(),
        labels: Arc::new([]),
        desc: "".into(),
        row: "".into(),
    });
    Arc::new(FlowNames {
        flow: "live".into(),
        tags: Arc::new(TagTable { tags: tags.collect() }),
        renamed: Default::default(),
    })
}

/// Delivery `seq` of `tags` integers `seq`, `seq` + 1 ...
pub fn delivery(names: &Arc<FlowNames>, seq: u64, tags: usize) -> Arc<Delivery> {
    let ids = (0..tags).map(|tag| TagId(tag as u32)).collect();
    let cells = (0..tags as u64).map(|tag| seq + tag).collect();
    let time = Timestamp::from_millis(1_767_225_600_000 + seq as i64);
    let batch = Batch::uniform(GroupId(0), ids, time, Column::uniform(Kind::Int, cells));
    let cursor = Cursor::new(Position::new(3, seq), 0);
    let part = Part { cursor, flow: names.clone(), batch: Arc::new(batch) };
    Arc::new(Delivery { from: cursor, upto: cursor, parts: vec![part] })
}

/// Deliveries 1 to `count` with `tags` values each.
pub fn stream(count: u64, tags: usize) -> Vec<Arc<Delivery>> {
    let names = names(tags);
    (1..=count).map(|seq| delivery(&names, seq, tags)).collect()
}

/// Values of the first tag in order of arrival.
pub fn first_values(arrivals: &[Arrival]) -> Vec<i64> {
    arrivals.iter().filter_map(first_value).collect()
}

/// True when the first tag has had a value.
pub fn reached(arrivals: &[Arrival], value: i64) -> bool {
    arrivals.iter().rev().filter_map(first_value).any(|arrived| arrived == value)
}

fn first_value(arrival: &Arrival) -> Option<i64> {
    arrival.payload["values"]["press.t0"].as_i64()
}
