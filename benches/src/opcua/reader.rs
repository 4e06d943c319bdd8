//! Readers of the server, each in a process of its own: a bare loop over the library's client, and the driver.
//!
//! Both ask for the same: notifications of up to 1,000 values without security, two publish requests under way; or
//! Read services of 1,000 nodes, one at a time. Each second they print how many values came.

use super::server::NAMESPACE;
use anyhow::Context;
use gwp_core::command::Commands;
use gwp_core::edge::Edge;
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::source::{
    Driver, Emission, GroupDeclaration, Outlet, PlcType, PointDeclaration, SourceContext, SourceDeclaration,
    SourceMeter,
};
use gwp_core::stop::stop_pair;
use gwp_core::{BoxFuture, Clock, GroupId, TagId, Timestamp};
use gwp_driver_opcua::OpcUa;
use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::types::{
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ReadValueId,
    TimestampsToReturn, Variant,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PUBLISHING: Duration = Duration::from_millis(100);
const NODES_PER_REQUEST: usize = 1_000;
const NOTIFICATIONS_PER_PUBLISH: u32 = 1_000;
const QUEUE: u32 = 100;

/// What is read and how.
#[derive(Clone, Copy)]
pub struct Work {
    pub port: u16,
    pub items: u32,
    pub polls: bool,
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// A counter, of which a thread tells each second what came.
fn counter() -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let told = count.clone();
    std::thread::spawn(move || {
        let (mut at, mut before) = (std::time::Instant::now(), 0);
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let (now, count) = (std::time::Instant::now(), told.load(Relaxed));
            println!("{:.0}", (count - before) as f64 / (now - at).as_secs_f64());
            (at, before) = (now, count);
        }
    });
    count
}

/// The bare loop; runs until killed.
pub fn plain(work: Work) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    runtime()?.block_on(async {
        let session = session(folder.path(), work.port).await?;
        let count = counter();
        let nodes: Vec<ReadValueId> =
            (0..work.items).map(|item| ReadValueId::new_value(NodeId::new(1, item))).collect();
        if work.polls {
            poll(&session, &nodes, &count).await
        } else {
            subscribe(&session, nodes, count).await
        }
    })
}

async fn session(folder: &Path, port: u16) -> anyhow::Result<Arc<Session>> {
    let mut client = ClientBuilder::new()
        .application_name("plain")
        .application_uri("urn:plain")
        .pki_dir(folder)
        .create_sample_keypair(false)
        .trust_server_certs(true)
        .session_retry_limit(0)
        .client()
        .map_err(|errors| anyhow::anyhow!(errors.join("; ")))?;
    let endpoints = client.get_server_endpoints_from_url(format!("opc.tcp://127.0.0.1:{port}")).await?;
    let endpoint = endpoints.into_iter().next().context("no endpoint")?;
    let (session, events) = client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous)?;
    events.spawn();
    anyhow::ensure!(session.wait_for_connection().await, "no connection");
    Ok(session)
}

async fn subscribe(session: &Session, nodes: Vec<ReadValueId>, count: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut sum = 0.0;
    let callback = DataChangeCallback::new(move |data, _| {
        if let Some(Variant::Double(value)) = data.value {
            sum += value;
            count.fetch_add(1, Relaxed);
        }
        assert!(sum > 0.0, "values from 1 on");
    });
    let made =
        session.create_subscription(PUBLISHING, 3_000, 50, NOTIFICATIONS_PER_PUBLISH, 0, true, callback);
    let subscription = made.await?;
    for nodes in nodes.chunks(NODES_PER_REQUEST) {
        let item = |node: &ReadValueId| {
            let parameters = MonitoringParameters { queue_size: QUEUE, ..Default::default() };
            MonitoredItemCreateRequest::new(node.clone(), MonitoringMode::Reporting, parameters)
        };
        let items = nodes.iter().map(item).collect();
        session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await?;
    }
    std::future::pending().await
}

async fn poll(session: &Session, nodes: &[ReadValueId], count: &AtomicU64) -> anyhow::Result<()> {
    loop {
        for nodes in nodes.chunks(NODES_PER_REQUEST) {
            let values = session.read(nodes, TimestampsToReturn::Both, 0.0).await?;
            let sum: f64 = values
                .iter()
                .filter_map(|data| match data.value {
                    Some(Variant::Double(value)) => Some(value),
                    _ => None,
                })
                .sum();
            anyhow::ensure!(sum == 1.5 * nodes.len() as f64, "another value");
            count.fetch_add(values.len() as u64, Relaxed);
        }
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}

fn declaration(work: Work, pki: &Path) -> SourceDeclaration {
    let mut settings = Settings::default();
    let mut text = |name: &str, value: String| settings.set(name, SettingValue::Text(value.into()));
    text("address", format!("opc.tcp://127.0.0.1:{}", work.port));
    text("security", "none".into());
    text("pki", pki.display().to_string());
    text("mode", if work.polls { "poll" } else { "subscribe" }.into());
    settings.set("publishing", SettingValue::Duration(PUBLISHING.as_nanos() as i64));
    settings.set("queue", SettingValue::Int(i64::from(QUEUE)));
    let point = |item: u32| PointDeclaration {
        path: format!("plc.{item}").into(),
        address: format!("nsu={NAMESPACE};i={item}").into(),
        plc_type: PlcType::Lreal,
        writable: false,
        command: false,
    };
    let group = GroupDeclaration {
        id: GroupId(0),
        device: "plc".into(),
        device_settings: Settings::default(),
        // Always due.
        period_ns: 1_000,
        phase_ns: 0,
        tags: (0..work.items).map(TagId).collect(),
        points: (0..work.items).map(point).collect(),
    };
    let item = Declaration { name: "plc".into(), settings };
    SourceDeclaration { item, groups: vec![group], device_time: true }
}

/// The driver, whose values are taken over at once; runs until killed.
pub fn driver(work: Work) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = OpcUa.prepare(declaration(work, folder.path()));
    let source = source.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let count = counter();
    let hand = move |emission, credit: gwp_core::edge::Credit| {
        if let Emission::Samples { batch, .. } = emission {
            assert!(batch.qualities.get(0).is_good(), "a bad value");
            count.fetch_add(batch.len() as u64, Relaxed);
        }
        if let Some(receipt) = credit.settle() {
            receipt.give();
        }
    };
    let (_running, stop) = stop_pair();
    let cx = SourceContext {
        outlet: Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), Arc::new(hand)),
        clock: Arc::new(SystemClock),
        stop,
        meter: Arc::new(SourceMeter::default()),
        commands: Commands::none(),
        unpolled: [].into(),
    };
    runtime()?.block_on(source.run(cx)).map_err(|error| anyhow::anyhow!(error.message))
}
