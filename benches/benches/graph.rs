//! The whole graph in one process: source -> sequencer -> lane -> writer -> delivery -> a sink
//! that acknowledges at once. `plain` is a thread that makes the same batches and a loop that
//! takes those that wait, encodes them, appends them to a file with `fdatasync` and drops them.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gwp_core::record::SlotMark;
use gwp_core::sink::{Sink, SinkContext, SinkError};
use gwp_core::source::{Emission, Source, SourceContext, SourceError};
use gwp_core::{Batch, BoxFuture, Kind, PlanId, Record};
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{Engine, EngineConfig, PreparedSink};
use gwp_journal::SpacePolicy;
use gwp_journal::frame::encode_log;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use support::*;
use tokio::sync::{Semaphore, watch};

/// No wait in here is longer than this on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives a batch of group 0 for each permit.
struct OnDemand {
    wanted: Arc<Semaphore>,
    batch: Batch,
}

impl Source for OnDemand {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let emit = async {
                let mut number = 0;
                while let Ok(permit) = self.wanted.acquire().await {
                    permit.forget();
                    number += 1;
                    let batch = Batch { times: gwp_core::Times::Same(time(number)), ..self.batch.clone() };
                    cx.outlet.emit(Emission::Samples { slot: SlotMark { number, skipped: 0 }, batch }).await;
                }
            };
            tokio::select! {
                () = emit => {}
                () = cx.stop.stopped() => {}
            }
            Ok(())
        })
    }
}

/// Acknowledges at once and counts samples.
struct Null {
    taken: watch::Sender<u64>,
}

impl Sink for Null {
    fn run<'a>(&'a self, mut cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            cx.inlet.ready(None);
            while let Some(delivery) = cx.inlet.next().await {
                cx.inlet.ack(delivery.upto);
                self.taken.send_modify(|taken| *taken += delivery.samples() as u64);
            }
            Ok(())
        })
    }
}

/// A running engine that is fed on demand.
struct Plant {
    engine: Engine,
    wanted: Arc<Semaphore>,
    taken: watch::Receiver<u64>,
}

impl Plant {
    async fn start(dir: &Path) -> Plant {
        let wanted = Arc::new(Semaphore::new(0));
        let (taken_tx, taken) = watch::channel(0);
        let config = EngineConfig {
            plan: Arc::new(plan(Kind::Int)),
            sources: vec![Arc::new(OnDemand { wanted: wanted.clone(), batch: ints(1) })],
            sinks: vec![PreparedSink {
                sink: Arc::new(Null { taken: taken_tx }),
                limits: DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 64 },
            }],
            leaving: Vec::new(),
            data_dir: dir.into(),
            space: SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 40 },
        };
        Plant { engine: Engine::start(config).await.expect("an engine"), wanted, taken }
    }

    /// Feeds batches and waits until the sink has them all.
    async fn pass(&mut self, batches: usize) {
        let goal = *self.taken.borrow() + (batches * SAMPLES) as u64;
        self.wanted.add_permits(batches);
        let arrived = self.taken.wait_for(|taken| *taken >= goal);
        tokio::time::timeout(PATIENCE, arrived).await.expect("in time").expect("the sink lives");
    }
}

/// What the plain loop has to do before it may drop a batch.
fn store(file: &mut File, records: &[Arc<Record>]) {
    let frame = encode_log(PlanId([7; 16]), records);
    file.write_all(&frame).and_then(|()| file.sync_data()).expect("an append");
}

/// Takes `batches` batches from a thread that makes them; `at_once` of them at most per append.
fn plain(file: &mut File, batches: usize, at_once: usize) {
    let (tx, rx) = mpsc::sync_channel(64);
    let maker = std::thread::spawn(move || {
        let batch = ints(1);
        for seq in 1..=batches as u64 {
            if tx.send(record(seq, batch.clone())).is_err() {
                return;
            }
        }
    });
    while let Ok(first) = rx.recv() {
        let mut records = vec![first];
        records.extend(rx.try_iter().take(at_once - 1));
        store(file, &records);
    }
    maker.join().expect("the maker ends");
}

fn hop(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut plant = runtime.block_on(Plant::start(&dir.path().join("data")));
    let mut file = File::create(dir.path().join("plain")).expect("a new file");
    // It has its length from the start, so that an append need not write that, too.
    file.set_len(1 << 32).expect("a length");
    runtime.block_on(plant.pass(100));

    let mut group = c.benchmark_group("graph/throughput");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("batch of 1,000", |b| {
        b.iter_custom(|batches| {
            let since = Instant::now();
            runtime.block_on(plant.pass(batches as usize));
            since.elapsed()
        })
    });
    group.bench_function("plain batch of 1,000", |b| {
        b.iter_custom(|batches| {
            let since = Instant::now();
            plain(&mut file, batches as usize, 64);
            since.elapsed()
        })
    });
    group.finish();

    // One batch after the other: each waits out the 2 ms in which a commit hopes for company.
    let mut group = c.benchmark_group("graph/latency");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("batch of 1,000", |b| b.iter(|| runtime.block_on(plant.pass(1))));
    let one = [record(1, ints(1))];
    group.bench_function("plain batch of 1,000", |b| b.iter(|| store(&mut file, &one)));
    group.finish();
    runtime.block_on(plant.engine.stop());
}

criterion_group! {
    name = benches;
    config = short();
    targets = hop
}
criterion_main!(benches);
