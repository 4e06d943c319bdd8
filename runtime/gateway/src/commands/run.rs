//! `gwp run`: from text to a running engine, its changes while it runs, and its orderly end.

use super::program;
use crate::cli::RunArgs;
use crate::configuration::bundle::files_of;
use crate::configuration::desk::ChangeDesk;
use crate::configuration::history::History;
use crate::configuration::prepare::{self, Components};
use crate::configuration::start::{Begin, Given};
use crate::control::live::Looks;
use crate::control::operations::Gateway;
use crate::metrics::{self, Exported};
use crate::node::{self, Node, TlsFiles};
use crate::pair::desk::PairDesk;
use crate::service::Service;
use crate::stop_signal::{ReloadSignal, StopSignal};
use crate::{guard, log, report, status_line};
use anyhow::{Context, bail};
use gwp_console::Running;
use gwp_console::server::{Bound, Listen, bind};
use gwp_console::tls;
use gwp_core::Clock;
use gwp_engine::{Engine, EngineConfig};
use gwp_journal::Store;
use gwp_syntax::{Diagnostics, SourceMap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often watched files are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// How long the log may stand still before the service manager is no longer told that all is well.
const STANDSTILL: Duration = Duration::from_secs(10);

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    if args.guard && !guard::is_guarded() {
        return guard::guard(args);
    }
    let Some(node) = load_node(args)? else { return Ok(ExitCode::FAILURE) };
    log::start(&node);
    let given = match args.files.is_empty() {
        true => None,
        false => {
            let program = program::load(&args.files)?;
            report::print_problems(&program.diagnostics, &program.sources);
            match program.plan {
                Some(plan) => Some(Given { files: files_of(&program.sources), plan: Arc::new(plan) }),
                None if Service::new().is_there() && has_run(&node) => {
                    tracing::error!("the files have errors; what was in force last runs");
                    None
                }
                None => return Ok(ExitCode::FAILURE),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
        .build()
        .context("the operating system gives no threads")?;
    let code = runtime.block_on(serve(args, node, given));
    // Blocking reads of a stuck disk or terminal must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

/// Whether something has been in force on the data directory: a service must not stay down for a broken file.
fn has_run(node: &Node) -> bool {
    History::open(&node.data).is_ok_and(|history| history.state.current.is_some())
}

fn load_node(args: &RunArgs) -> anyhow::Result<Option<Node>> {
    let mut node = match &args.node {
        None => Node::default(),
        Some(path) => {
            let (mut sources, mut found) = (SourceMap::default(), Diagnostics::default());
            let node = node::load(path, &mut sources, &mut found)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let failed = found.has_errors();
            report::print(&found.into_sorted(), &sources);
            if failed {
                return Ok(None);
            }
            if node.witness.is_some() && node.pair.is_none() {
                let path = path.display();
                bail!(
                    "{path} is the file of a witness, which runs no program: start it with `gwp witness {path}`"
                );
            }
            node
        }
    };
    if let Some(data) = &args.data {
        node.data.clone_from(data);
    }
    if let Some(address) = args.metrics {
        if !address.ip().is_loopback() {
            bail!("--metrics {address}: metrics are served without authentication, so on loopback only");
        }
        node.metrics = Some(address);
    }
    gwp_driver_opcua::security::set_folder(node.data.join("pki"));
    Ok(Some(node))
}

async fn serve(args: &RunArgs, node: Node, given: Option<Given>) -> anyhow::Result<ExitCode> {
    // Before anything starts, so that a signal at any moment ends in order.
    let mut stop = StopSignal::new();
    if node.pair.is_some() {
        return crate::pair::run::run(args, Arc::new(node), given, stop).await;
    }
    let node = Arc::new(node);
    let listeners = match Listeners::bind(&node).await? {
        Some(listeners) => listeners,
        None => return Ok(ExitCode::FAILURE),
    };
    let Some(ready) = Ready::new(&node, given, None)? else { return Ok(ExitCode::FAILURE) };
    let (config, begin) = ready.config(&node)?;
    let engine = Arc::new(Engine::start(config).await?);
    let running = Graph { args, node: &node, engine, begin, peer: None };
    let ended = running.serve(listeners, stop.wait(args.run_for)).await?;
    Ok(ended.code())
}

/// What is to run, with its components.
pub(crate) struct Ready {
    begin: Begin,
    components: Components,
}

impl Ready {
    /// `None` if components refuse it, which is printed. `open`: the store, where it is open already.
    ///
    /// # Errors
    /// There is nothing to run, or it cannot be read.
    pub fn new(node: &Node, given: Option<Given>, open: Option<&Store>) -> anyhow::Result<Option<Ready>> {
        let begin = Begin::new(node, given, open)?;
        match prepare::components(&begin.plan, node) {
            Ok(components) => Ok(Some(Ready { begin, components })),
            Err(errors) => {
                errors.iter().for_each(|error| eprintln!("error: {error}"));
                Ok(None)
            }
        }
    }

    /// For the engine that is started next.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn config(mut self, node: &Node) -> anyhow::Result<(EngineConfig, Begin)> {
        self.begin.about_to_start()?;
        let config = EngineConfig {
            plan: self.begin.plan.clone(),
            sources: self.components.sources,
            sinks: self.components.sinks,
            leaving: std::mem::take(&mut self.begin.leaving),
            data_dir: node.data.clone(),
            space: node.space,
        };
        Ok((config, self.begin))
    }
}

/// What is bound before the engine starts: a port in use must not cost an epoch and a connection to each device.
pub(crate) struct Listeners {
    metrics: Option<TcpListener>,
    pub control: Bound,
}

impl Listeners {
    /// `None` if what was told of them is wrong, which is printed.
    ///
    /// # Errors
    /// The machine refuses.
    pub async fn bind(node: &Node) -> anyhow::Result<Option<Listeners>> {
        let metrics = match node.metrics {
            Some(address) => {
                let bound = TcpListener::bind(address).await;
                Some(bound.with_context(|| format!("metrics cannot be served on {address}"))?)
            }
            None => None,
        };
        let tls = node.tls.clone().map(|TlsFiles { certificate, key }| tls::TlsFiles { certificate, key });
        let listen = Listen { control: node.control, tls };
        match bind(&listen, &node.data).await {
            Err(error) if error.is_configuration() => {
                eprintln!("error: {error}");
                Ok(None)
            }
            bound => Ok(Some(Listeners { metrics, control: bound? })),
        }
    }

    /// Serves metrics, if they are asked for.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn metrics(
        &mut self,
        running: &Running,
        pair: Option<Arc<PairDesk>>,
    ) -> anyhow::Result<Option<JoinHandle<()>>> {
        let Some(listener) = self.metrics.take() else { return Ok(None) };
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        let (status, clock) = (running.status.clone(), running.clock.clone());
        Ok(Some(metrics::serve(listener, Exported { status, clock, pair })))
    }
}

/// How the run of a graph ended.
pub(crate) enum Ended {
    /// Somebody wanted it so.
    Stopped,
    /// The store failed.
    Failed,
}

impl Ended {
    pub fn code(&self) -> ExitCode {
        match self {
            Ended::Stopped => ExitCode::SUCCESS,
            Ended::Failed => ExitCode::from(3),
        }
    }
}

/// A graph that runs.
pub(crate) struct Graph<'a> {
    pub args: &'a RunArgs,
    pub node: &'a Arc<Node>,
    pub engine: Arc<Engine>,
    pub begin: Begin,
    /// The other node, if there is one.
    pub peer: Option<Arc<PairDesk>>,
}

impl Graph<'_> {
    /// Serves until `over` says why it ends, an operator ends it, or it cannot go on; then stops it in order.
    ///
    /// # Errors
    /// The machine refuses.
    pub async fn serve(
        self,
        mut listeners: Listeners,
        over: impl Future<Output = &'static str>,
    ) -> anyhow::Result<Ended> {
        let Graph { args, node, engine, begin, peer } = self;
        let (status, plan) = (engine.status.clone(), begin.plan.clone());
        tracing::info!(node = %node.id, plan = %plan.id(), configuration = %begin.id, data = %node.data.display(), "running");
        let desk = ChangeDesk::new(engine.clone(), node.clone(), begin.started()?, peer.clone());
        let running = Running { node: node.id.clone(), status: status.clone(), clock: engine.clock.clone() };
        let metrics = listeners.metrics(&running, peer.clone())?;
        let (end, mut ended) = watch::channel(false);
        let gateway = Arc::new(Gateway { desk: desk.clone(), end, looks: Looks::default(), peer });
        let control = listeners.control.serve(running, gateway.clone(), gateway)?;
        let service = Arc::new(Service::new());
        let watched = if args.watch { args.files.clone() } else { Vec::new() };
        let tasks = [
            tokio::spawn(watchdog(service.clone(), engine.clone())),
            tokio::spawn(reload_on_signal(
                ReloadSignal::new(),
                desk.clone(),
                args.files.clone(),
                service.clone(),
            )),
            tokio::spawn(watch_files(desk.clone(), watched)),
        ];
        let draws_a_table = plan
            .sinks
            .iter()
            .any(|sink| &*sink.driver == "console" && gwp_sink_console::draws_table(&sink.settings));
        service.tell("READY=1");
        let how = tokio::select! {
            reason = over => {
                tracing::info!(reason, "stopping");
                Ended::Stopped
            }
            _ = ended.wait_for(|end| *end) => {
                tracing::info!(reason = "asked to by an operator", "stopping");
                Ended::Stopped
            }
            reason = engine.failed() => {
                tracing::error!(%reason, "the gateway cannot go on; everything acknowledged is safe, start it again");
                Ended::Failed
            }
            () = status_line::show(status, args.quiet || draws_a_table) => Ended::Stopped,
        };
        service.tell("STOPPING=1");
        tasks.iter().chain(&metrics).for_each(JoinHandle::abort);
        engine.stop().await;
        // In a pair its port is bound again at once.
        if let Some(task) = metrics {
            let _ = task.await;
        }
        desk.close();
        control.stop().await;
        Ok(how)
    }
}

/// Tells the service manager that the process is alive, as long as gateway time gets into the log: a process that only
/// seems to live is to be started again. A full disk is no reason: a restart would not mend it.
async fn watchdog(service: Arc<Service>, engine: Arc<Engine>) {
    let Some(every) = service.watchdog() else { return };
    let writer = &engine.status.writer;
    let mut last = (writer.durable(), engine.clock.now());
    loop {
        tokio::time::sleep(every).await;
        let (durable, now) = (writer.durable(), engine.clock.now());
        if durable != last.0 || writer.low_space.load(std::sync::atomic::Ordering::Relaxed) {
            last = (durable, now);
        }
        if now.0.saturating_sub(last.1.0) < STANDSTILL.as_nanos() as i64 {
            service.tell("WATCHDOG=1");
        }
    }
}

/// SIGHUP puts the files in force that the process was started with, as they are now.
async fn reload_on_signal(
    mut signal: ReloadSignal,
    desk: Arc<ChangeDesk>,
    files: Vec<PathBuf>,
    service: Arc<Service>,
) {
    loop {
        signal.wait().await;
        if files.is_empty() {
            tracing::warn!("SIGHUP: this gateway was started without files, so there are none to take");
            continue;
        }
        service.tell("RELOADING=1");
        desk.take_files(&files, "SIGHUP").await;
        service.tell("READY=1");
    }
}

/// Puts saved files in force.
async fn watch_files(desk: Arc<ChangeDesk>, files: Vec<PathBuf>) {
    if files.is_empty() {
        return;
    }
    let mut names = files_with_used(&files).await;
    let mut taken = stamp(&names);
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let before = stamp(&names);
        if before == taken {
            continue;
        }
        // An editor may still be writing.
        tokio::time::sleep(WATCH_EVERY).await;
        if stamp(&names) == before {
            desk.take_files(&files, "saved").await;
            let now = files_with_used(&files).await;
            // What was saved meanwhile is another change.
            taken = if now == names { before } else { stamp(&now) };
            names = now;
        }
    }
}

/// On a node that is not active: SIGHUP and saved files put nothing in force, which is said.
pub(crate) async fn not_taken(files: Vec<PathBuf>, watched: bool) {
    const WHY: &str = "this node is not active, so its files are not put in force: `gwp apply` at its peer";
    let (mut signal, mut taken) = (ReloadSignal::new(), stamp(&files));
    loop {
        tokio::select! {
            () = signal.wait() => tracing::warn!("SIGHUP: {WHY}"),
            () = tokio::time::sleep(WATCH_EVERY), if watched => {
                let now = stamp(&files);
                if now != taken {
                    taken = now;
                    tracing::warn!("saved: {WHY}");
                }
            }
        }
    }
}

/// The files of a program and those they use.
async fn files_with_used(files: &[PathBuf]) -> Vec<PathBuf> {
    let entries = files.to_vec();
    let load = move || match program::load(&entries) {
        Ok(program) => program.sources.names().map(PathBuf::from).collect(),
        Err(_) => entries,
    };
    tokio::task::spawn_blocking(load).await.unwrap_or_else(|_| files.to_vec())
}

/// When a file was changed last, and its size.
type Stamp = Option<(std::time::SystemTime, u64)>;

/// Changes when one of the files does.
fn stamp(files: &[PathBuf]) -> Vec<Stamp> {
    let of = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files.iter().map(of).collect()
}
