//! Writes at work: commands out of the log, decisions, read-back, restarts.

mod support;

use gwp_core::command::Command;
use gwp_core::record::SlotMark;
use gwp_core::scan::{Polled, Poller, run_polled};
use gwp_core::sink::{Sink, SinkContext, SinkError};
use gwp_core::source::{Emission, GroupDeclaration, PlcType, Source, SourceContext, SourceError};
use gwp_core::{Batch, BoxFuture, Column, GroupId, Kind, Qualities, Quality, TagId, Timestamp, Value};
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::exits::{Exits, exits};
use gwp_engine::{Engine, EngineConfig, PairStart, PreparedSink, Release};
use gwp_journal::{SpacePolicy, Store};
use gwp_plan::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use support::{stopped, until};
use tokio::sync::mpsc;

const S: i64 = 1_000_000_000;
const TARGET: TagId = TagId(1);
const COMMAND: TagId = TagId(3);
const OUTCOME: TagId = TagId(2);
const COMMANDS: GroupId = GroupId(1);

/// A device with one tag, and operators who command it. Tags: connections, target, outcome, command.
fn plan(verify: bool) -> Plan {
    let mut plan = support::plan(1, 10, &["audit"]);
    let tag = |path: &str, origin: Origin, kind: Kind| {
        let mut tag = plan.tags[1].clone();
        (tag.info.path, tag.origin, tag.kind) = (path.into(), origin, kind);
        tag
    };
    let point = Origin::Point { address: "x".into(), plc_type: PlcType::Lint };
    let more = [
        tag("set.s", Origin::Outcome, Kind::Text),
        tag("set.s.command", point, Kind::Int),
        tag("z.connected", Origin::Connected { source: 1 }, Kind::Bool),
    ];
    plan.tags.extend(more);
    let mut operators = plan.sources[0].clone();
    (operators.name, operators.connected) = ("z".into(), TagId(4));
    plan.sources.push(operators);
    let mut commands = plan.groups[0].clone();
    (commands.source, commands.period_ns, commands.tags) = (1, 0, [COMMAND].into());
    plan.groups.push(commands);
    plan.sinks[0].routes[0].tags = vec![OUTCOME];
    plan.writes.push(Write {
        name: "set".into(),
        target: TARGET,
        command: COMMAND,
        outcome: OUTCOME,
        allow: Allow::Range { low: 0.0, high: 100.0 },
        limit: None,
        expire_ns: 10 * S,
        verify_ns: verify.then_some(5 * S),
    });
    plan
}

/// What the device has and was told.
#[derive(Default)]
struct State {
    value: Mutex<i64>,
    written: Mutex<Vec<Value>>,
    /// Takes commands and never answers.
    stuck: AtomicBool,
    /// Takes a value but keeps its own.
    deaf: AtomicBool,
}

struct Device {
    groups: Vec<GroupDeclaration>,
    state: Arc<State>,
}

struct DevicePoller {
    state: Arc<State>,
    held: Vec<Command>,
}

impl Poller for DevicePoller {
    fn poll<'a>(&'a mut self, _: usize, _: Timestamp) -> BoxFuture<'a, Polled> {
        let values = Column::uniform(Kind::Int, vec![*self.state.value.lock().unwrap() as u64]);
        Box::pin(std::future::ready(Polled::Values { values, qualities: Qualities::Same(Quality::GOOD) }))
    }

    fn write<'a>(&'a mut self, command: Command) -> BoxFuture<'a, ()> {
        self.state.written.lock().unwrap().push(command.value.clone());
        if let (Value::Int(value), false) = (&command.value, self.state.deaf.load(SeqCst)) {
            *self.state.value.lock().unwrap() = *value;
        }
        match self.state.stuck.load(SeqCst) {
            true => self.held.push(command),
            false => command.answer(Ok(())),
        }
        Box::pin(std::future::ready(()))
    }
}

impl Source for Device {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut poller = DevicePoller { state: self.state.clone(), held: Vec::new() };
            run_polled(&mut cx, &self.groups, &mut poller).await;
            Ok(())
        })
    }
}

/// Passes on what the test commands: value and age.
struct Operators {
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<(i64, i64, Quality)>>,
    /// Whether the gateway took responsibility, by command.
    receipts: Arc<Mutex<Vec<bool>>>,
}

impl Source for Operators {
    fn run<'a>(&'a self, mut cx: SourceContext) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut inbox = self.inbox.lock().await;
            loop {
                let (value, age_ns, quality) = tokio::select! {
                    () = cx.stop.stopped() => return Ok(()),
                    Some(command) = inbox.recv() => command,
                };
                let time = cx.clock.now().plus(-age_ns);
                let values = Column::uniform(Kind::Int, vec![value as u64]);
                let mut batch = Batch::uniform(COMMANDS, [COMMAND].into(), time, values);
                batch.qualities = Qualities::Same(quality);
                let mut receipt =
                    cx.outlet.emit_for_receipt(Emission::Samples { slot: SlotMark::default(), batch }).await;
                let settled = receipt.as_mut().unwrap().settled().await;
                self.receipts.lock().unwrap().push(settled);
            }
        })
    }
}

/// Keeps the texts it gets.
struct Audit(Arc<Mutex<Vec<String>>>);

impl Sink for Audit {
    fn run<'a>(&'a self, mut cx: SinkContext) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            cx.inlet.ready(None);
            while let Some(delivery) = cx.inlet.next().await {
                for part in &delivery.parts {
                    for index in 0..part.batch.len() {
                        self.0.lock().unwrap().push(part.batch.values.get(index).to_string());
                    }
                }
                cx.inlet.ack(delivery.upto);
            }
            Ok(())
        })
    }
}

struct Plant {
    engine: Engine,
    state: Arc<State>,
    audit: Arc<Mutex<Vec<String>>>,
    command: mpsc::UnboundedSender<(i64, i64, Quality)>,
    receipts: Arc<Mutex<Vec<bool>>>,
}

async fn start(plan: Plan, dir: &Path) -> Plant {
    start_behind(plan, dir, None).await
}

/// In a pair, if there are exits and a release.
async fn start_behind(plan: Plan, dir: &Path, pair: Option<(Exits, Release)>) -> Plant {
    let (state, audit) = (Arc::new(State::default()), Arc::new(Mutex::new(Vec::new())));
    let (command, inbox) = mpsc::unbounded_channel();
    let receipts: Arc<Mutex<Vec<bool>>> = Arc::default();
    let groups = plan.source_declaration(0).unwrap().groups;
    let sources: Vec<Arc<dyn Source>> = vec![
        Arc::new(Device { groups, state: state.clone() }),
        Arc::new(Operators { inbox: tokio::sync::Mutex::new(inbox), receipts: receipts.clone() }),
    ];
    let config = || EngineConfig {
        plan: Arc::new(plan.clone()),
        sources: sources.clone(),
        sinks: vec![PreparedSink {
            sink: Arc::new(Audit(audit.clone())),
            limits: DeliveryLimits { batch_samples: 1_000, batch_bytes: 1 << 20, in_flight: 4 },
        }],
        leaving: Vec::new(),
        data_dir: dir.into(),
        space: SpacePolicy { reserve_bytes: 0, ballast_bytes: 0, log_bytes_max: 1 << 30 },
    };
    // A store that was left without a goodbye is let go by its own thread.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let engine = loop {
        let started = match &pair {
            None => Engine::start(config()).await,
            Some((exits, release)) => {
                let store = Store::open(dir).unwrap().store;
                let (exits, release) = (exits.clone(), release.clone());
                Engine::start_in_pair(
                    config(),
                    PairStart { store, epoch: 1, exits, release, hot: None, stale: false },
                )
                .await
            }
        };
        match started {
            Ok(engine) => break engine,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    Plant { engine, state, audit, command, receipts }
}

impl Plant {
    async fn outcomes(&self, count: usize) -> Vec<String> {
        until("outcomes", || self.audit.lock().unwrap().len() >= count).await;
        self.audit.lock().unwrap().clone()
    }

    fn written(&self) -> Vec<Value> {
        self.state.written.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_is_written_and_confirmed_all_else_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(plan(true), dir.path()).await;
    plant.command.send((50, 0, Quality::GOOD)).unwrap();
    assert_eq!(plant.outcomes(1).await, ["confirmed: 50"]);
    plant.command.send((500, 0, Quality::GOOD)).unwrap();
    plant.command.send((60, 60 * S, Quality::GOOD)).unwrap();
    plant.command.send((70, 0, Quality::INITIAL)).unwrap();
    let outcomes = plant.outcomes(4).await;
    assert_eq!(outcomes[1], "refused: 500 is outside 0..100");
    assert!(outcomes[2].starts_with("refused: the command is 1 min old"), "{}", outcomes[2]);
    assert_eq!(outcomes[3], "refused: a retained or repeated message is no command");
    assert_eq!(plant.written(), [Value::Int(50)]);
    let meter = plant.engine.status.graph().writes[0].meter.clone();
    assert_eq!([&meter.executed, &meter.refused, &meter.failed].map(|m| m.load(SeqCst)), [1, 3, 0]);
    stopped(plant.engine).await;

    // What is in the log is not carried out again.
    let again = start(plan(true), dir.path()).await;
    again.command.send((80, 0, Quality::GOOD)).unwrap();
    assert_eq!(again.outcomes(1).await, ["confirmed: 80"]);
    assert_eq!(again.written(), [Value::Int(80)]);
    stopped(again.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_shut_exits_nothing_is_written_and_nobody_is_told_that_it_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(plan(true), dir.path()).await;
    plant.command.send((50, 0, Quality::GOOD)).unwrap();
    assert_eq!(plant.outcomes(1).await, ["confirmed: 50"]);
    let keeper = plant.engine.exits().unwrap();
    keeper.shut();
    keeper.emptied().await;
    plant.command.send((60, 0, Quality::GOOD)).unwrap();
    until("receipts", || plant.receipts.lock().unwrap().len() == 2).await;
    assert_eq!(*plant.receipts.lock().unwrap(), [true, false]);
    keeper.set(gwp_redundancy::lone::activate(1, |_| Ok::<(), ()>(())).unwrap());
    assert_eq!(plant.outcomes(2).await[1], "refused: this gateway was not active");
    plant.command.send((70, 0, Quality::GOOD)).unwrap();
    assert_eq!(plant.outcomes(3).await[2], "confirmed: 70");
    assert_eq!(plant.written(), [Value::Int(50), Value::Int(70)]);
    stopped(plant.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_pair_commands_and_receipts_wait_for_their_release_and_credit_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, exits) = exits();
    keeper.set(support::gate(0));
    let release = Release::held();
    let plant = start_behind(plan(true), dir.path(), Some((exits, release.clone()))).await;
    assert!(plant.engine.exits().is_none(), "the caller has the keeper");
    let status = plant.engine.status.clone();
    plant.command.send((50, 0, Quality::GOOD)).unwrap();
    let edge = status.graph().sources[1].edge.clone();
    until("credit is back", || edge.samples.load(SeqCst) == 1 && edge.depth.load(SeqCst) == 0).await;
    let logged = status.writer.records.load(SeqCst);
    until("the log goes on", || status.writer.records.load(SeqCst) >= logged + 20).await;
    assert_eq!((plant.written(), plant.receipts.lock().unwrap().len()), (Vec::new(), 0));
    release.release(release.newest());
    until("the device is written", || plant.written() == [Value::Int(50)]).await;
    until("the receipt", || *plant.receipts.lock().unwrap() == [true]).await;
    // The outcome is in the log by itself, and leaves with its own release.
    let executed = status.graph().writes[0].meter.clone();
    until("it reads back", || executed.executed.load(SeqCst) == 1).await;
    let logged = status.writer.records.load(SeqCst);
    until("the log goes on", || status.writer.records.load(SeqCst) >= logged + 20).await;
    assert_eq!(*plant.audit.lock().unwrap(), Vec::<String>::new());
    release.release(release.newest());
    assert_eq!(plant.outcomes(1).await, ["confirmed: 50"]);
    stopped(plant.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_does_not_read_back_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(true);
    plan.writes[0].verify_ns = Some(S / 5);
    let plant = start(plan, dir.path()).await;
    plant.state.deaf.store(true, SeqCst);
    plant.command.send((50, 0, Quality::GOOD)).unwrap();
    assert_eq!(plant.outcomes(1).await, ["not confirmed: 50 was written, 0 is read back"]);
    stopped(plant.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_for_one_target_wait_for_each_other_and_their_number_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(plan(false), dir.path()).await;
    plant.state.stuck.store(true, SeqCst);
    for value in 0..40 {
        plant.command.send((value, 0, Quality::GOOD)).unwrap();
    }
    // One is under way, fifteen wait, the others are refused.
    let outcomes = plant.outcomes(24).await;
    assert!(outcomes.iter().all(|outcome| outcome == "refused: too many commands wait for this tag"));
    assert_eq!(plant.written().len(), 1);
    // Stopping tells what becomes of each.
    let audit = plant.audit.clone();
    stopped(plant.engine).await;
    let outcomes = audit.lock().unwrap().clone();
    let count = |text: &str| outcomes.iter().filter(|outcome| outcome.starts_with(text)).count();
    assert_eq!(count("refused: the gateway is being stopped"), 15);
    assert_eq!(count("unknown: 0, the gateway was stopped before the device answered"), 1);
}

#[test]
fn a_command_without_outcome_is_told_once_and_never_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        let plant = start(plan(false), dir.path()).await;
        plant.command.send((10, 0, Quality::GOOD)).unwrap();
        assert_eq!(plant.outcomes(1).await, ["done: 10"]);
        plant.state.stuck.store(true, SeqCst);
        plant.command.send((20, 0, Quality::GOOD)).unwrap();
        until("the device is asked", || plant.written().len() == 2).await;
    });
    // Everything ends as it stands.
    first.shutdown_timeout(std::time::Duration::from_secs(5));
    for run in 0..2 {
        runtime().block_on(async {
            let plant = start(plan(false), dir.path()).await;
            plant.command.send((30 + run, 0, Quality::GOOD)).unwrap();
            let expected: &[String] = match run {
                0 => &["unknown: the gateway stopped before the device answered".into(), "done: 30".into()],
                _ => &["done: 31".into()],
            };
            assert_eq!(plant.outcomes(expected.len()).await, expected);
            assert_eq!(plant.written(), [Value::Int(30 + run)]);
            stopped(plant.engine).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_write_is_a_command_like_any_other_and_each_hears_its_own_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(plan(false), dir.path()).await;
    let write = |path, value| plant.engine.write(path, value);
    for value in 0..10 {
        plant.command.send((value, 0, Quality::GOOD)).unwrap();
    }
    let (first, second) = tokio::join!(write("s.t00000", Value::Int(50)), async {
        write("s.t00000", Value::Float(60.0)).await
    });
    assert_eq!((first.unwrap().as_str(), second.unwrap().as_str()), ("done: 50", "done: 60"));
    assert_eq!(write("s.t00000", Value::Int(500)).await.unwrap(), "refused: 500 is outside 0..100");
    let outcomes = plant.outcomes(13).await;
    for outcome in ["done: 50", "done: 60", "refused: 500 is outside 0..100", "done: 9"] {
        assert_eq!(outcomes.iter().filter(|text| *text == outcome).count(), 1, "{outcomes:?}");
    }
    for (path, value, why) in [
        ("s.nothing", Value::Int(1), "there is no tag `s.nothing`"),
        ("s.connected", Value::Bool(true), "declare `write NAME to s.connected from SOURCE"),
        ("s.t00000", Value::Text("much".into()), "`s.t00000` takes int"),
        ("s.t00000", Value::Float(1.5), "`s.t00000` takes int"),
    ] {
        let error = write(path, value).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(plant.written().len(), 12);
    plant.engine.stop_sources().await;
    let refused = write("s.t00000", Value::Int(1)).await.unwrap_err();
    assert_eq!(refused, gwp_engine::WriteRefused::Stopping);
    stopped(plant.engine).await;
}
