//! A running source with the newest sample of each tag, and a relay in front of a server.

use gwp_core::command::CommandFault;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, Emission, PlcType, Source, SourceMeter};
use gwp_core::{BoxFuture, Quality, TagId, Timestamp, Value};
use gwp_driver_contract::proxy::{Mode, Proxy};
use gwp_driver_contract::rig::{Point, Running, declare, ms};
use gwp_driver_contract::{Adapter, Device, Place};
use gwp_driver_opcua::OpcUa;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::{Instant, timeout_at};

/// What does not come in this time does not come: no test reads longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Settings with which a test does not wait long.
pub fn quick() -> Vec<(&'static str, SettingValue)> {
    let pauses = [("first", ms(50)), ("max", ms(500))].map(|(name, value)| (name.into(), value));
    vec![
        ("security", SettingValue::Text("none".into())),
        ("publishing", ms(100)),
        // Each change counts: one that is sampled may be missed by the server itself.
        ("sampling", ms(0)),
        ("keep_alive", ms(2_000)),
        (
            "pki",
            SettingValue::Text(std::env::temp_dir().join("gwp-opcua-peer-pki").display().to_string().into()),
        ),
        ("reconnect", SettingValue::Block(Settings(pauses.into()))),
    ]
}

/// A running source and what it has said.
pub struct Reader {
    running: Running,
    deadline: Instant,
    newest: BTreeMap<usize, (Timestamp, Value, Quality)>,
    /// Samples that nobody has looked at, by tag.
    waiting: BTreeMap<usize, VecDeque<(Timestamp, Value, Quality)>>,
}

/// Starts a source with these points; a period of 0 = it reports on its own.
pub fn start(
    url: &str,
    settings: &[(&'static str, SettingValue)],
    period_ms: i64,
    points: &[(String, PlcType, bool)],
) -> Reader {
    let mut all = vec![("address", SettingValue::Text(url.into()))];
    all.extend_from_slice(settings);
    let points: Vec<Point<'_>> =
        points.iter().map(|(address, plc_type, writable)| (&**address, *plc_type, *writable)).collect();
    let mut declaration = declare(&all, &[(period_ms, &points)]);
    declaration.device_time = true;
    let source = OpcUa.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"));
    let deadline = Instant::now() + PATIENCE;
    Reader { running: Running::of(source), deadline, newest: BTreeMap::new(), waiting: BTreeMap::new() }
}

impl Reader {
    /// Takes the next emission; whether the connection changed.
    async fn step(&mut self) -> Option<bool> {
        // There is always something, if only of another tag.
        assert!(Instant::now() < self.deadline, "what is waited for does not come");
        let next = timeout_at(self.deadline, self.running.next()).await;
        match next.expect("something comes") {
            Emission::Connected { up, .. } => Some(up),
            Emission::Samples { batch, .. } => {
                for index in 0..batch.len() {
                    let TagId(tag) = batch.tags[index];
                    let sample =
                        (batch.times.get(index), batch.values.get(index), batch.qualities.get(index));
                    self.newest.insert(tag as usize, sample.clone());
                    self.waiting.entry(tag as usize).or_default().push_back(sample);
                }
                None
            }
            Emission::Failed { .. } | Emission::Bookmark { .. } => None,
        }
    }

    /// The newest sample of a tag; waits for the first one.
    pub async fn newest(&mut self, tag: usize) -> (Timestamp, Value, Quality) {
        loop {
            if let Some(sample) = self.newest.get(&tag) {
                return sample.clone();
            }
            self.step().await;
        }
    }

    /// Waits for a value.
    pub async fn until(&mut self, tag: usize, wanted: impl Fn(&Value) -> bool) {
        while !self.newest.get(&tag).is_some_and(|(_, value, _)| wanted(value)) {
            self.step().await;
        }
    }

    /// Waits for a quality.
    pub async fn until_quality(&mut self, tag: usize, wanted: Quality) {
        while self.newest.get(&tag).is_none_or(|(_, _, quality)| *quality != wanted) {
            self.step().await;
        }
    }

    /// The newest value of a tag that counts.
    pub async fn number(&mut self, tag: usize) -> i64 {
        match self.newest(tag).await.1 {
            Value::Int(number) => number,
            other => panic!("{other} is no number"),
        }
    }

    /// Takes the next value of a counter, which must not have been there before.
    pub async fn count(&mut self, tag: usize, seen: &mut BTreeSet<i64>) {
        loop {
            match self.waiting.entry(tag).or_default().pop_front() {
                Some((_, Value::Int(number), Quality::GOOD)) => {
                    assert!(seen.insert(number), "{number} came twice");
                    return;
                }
                Some(_) => {}
                None => {
                    self.step().await;
                }
            }
        }
    }

    /// Takes the next values of a counter; each must be the one that follows.
    pub async fn follow(&mut self, tag: usize, seen: &mut Vec<i64>, count: usize) {
        let wanted = seen.len() + count;
        while seen.len() < wanted {
            match self.waiting.entry(tag).or_default().pop_front() {
                Some((_, Value::Int(number), Quality::GOOD)) => {
                    let before = seen.last().copied().unwrap_or(number - 1);
                    assert_eq!(number, before + 1, "after {} values", seen.len());
                    seen.push(number);
                }
                Some(_) => {}
                None => {
                    self.step().await;
                }
            }
        }
    }

    /// Samples of a tag that nobody has looked at.
    pub fn taken(&mut self, tag: usize) -> Vec<(Value, Quality)> {
        let samples = self.waiting.remove(&tag).unwrap_or_default();
        samples.into_iter().map(|(_, value, quality)| (value, quality)).collect()
    }

    /// Waits for a change of `connected`.
    pub async fn connected(&mut self) -> bool {
        loop {
            if let Some(up) = self.step().await {
                return up;
            }
        }
    }

    pub async fn written(&mut self, tag: u32, value: Value) -> Result<(), CommandFault> {
        self.running.written(tag, value).await
    }

    pub fn meter(&self) -> &SourceMeter {
        &self.running.meter
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A port in front of the server's.
pub struct Relay(Proxy);

struct To(u16);

impl Adapter for To {
    fn source(&self, _: &Place) -> Box<dyn Source> {
        panic!("the relay has no source")
    }

    fn serve(&self, mut stream: DuplexStream, _: Arc<Device>) -> BoxFuture<'static, ()> {
        let port = self.0;
        Box::pin(async move {
            if let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            }
        })
    }
}

impl Relay {
    pub async fn start(port: u16) -> Relay {
        Relay(Proxy::start(Arc::new(To(port)), Arc::default(), Mode::Pass).await)
    }

    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    pub fn cut(&self) {
        self.0.cut();
    }

    pub fn refuse(&self) {
        self.0.set(Mode::Refuse);
    }

    /// What the server says does not arrive any more.
    pub fn swallow(&self) {
        self.0.set(Mode::Silence);
    }

    pub fn pass(&self) {
        self.0.set(Mode::Pass);
    }

    pub fn accepted(&self) -> usize {
        self.0.accepted()
    }
}
