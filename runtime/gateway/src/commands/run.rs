//! `gwp run`: from text to a running engine, and its orderly end.

use super::program;
use crate::cli::RunArgs;
use crate::metrics::{self, Exported};
use crate::node::{self, LogFormat, Node};
use crate::stop_signal::StopSignal;
use crate::{catalog, report, resolve, status_line};
use anyhow::{Context, bail};
use gwp_core::Declaration;
use gwp_core::sink::SinkDeclaration;
use gwp_core::source::Source;
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{Engine, EngineConfig, PreparedSink};
use gwp_plan::Plan;
use gwp_syntax::{Diagnostics, SourceMap};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let Some(node) = load_node(args)? else { return Ok(ExitCode::FAILURE) };
    start_logging(&node);
    let program = program::load(&args.project.files)?;
    report::print_problems(&program.diagnostics, &program.sources);
    let Some(plan) = program.plan else { return Ok(ExitCode::FAILURE) };
    let plan = Arc::new(plan);
    let Some(config) = prepare(&plan, &node) else { return Ok(ExitCode::FAILURE) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
        .build()
        .context("the operating system gives no threads")?;
    let code = runtime.block_on(serve(args, &node, &plan, config));
    // Blocking reads of a stuck disk or terminal must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
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
    Ok(Some(node))
}

fn start_logging(node: &Node) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(format!(
            "{},rumqttc=error,fjall=error,lsm_tree=error",
            node.log_level
        ))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second subscriber in one process (tests) is refused; the first one serves.
    let _ = match node.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Resolves references and prepares all components; every error is printed.
fn prepare(plan: &Arc<Plan>, node: &Node) -> Option<EngineConfig> {
    let mut errors = Vec::new();
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for index in 0..plan.sources.len() {
        let of = format!("source/{}", plan.sources[index].name);
        let Some(mut declaration) = plan.source_declaration(index) else { continue };
        declaration.item.settings = resolve::resolve(&declaration.item.settings, node, &of, &mut errors);
        for group in &mut declaration.groups {
            group.device_settings = resolve::resolve(&group.device_settings, node, &of, &mut errors);
        }
        match catalog::driver(&plan.sources[index].driver).map(|driver| driver.prepare(declaration)) {
            Some(Ok(source)) => sources.push(source.into()),
            Some(Err(found)) => errors.extend(resolve::lines(&of.into(), found)),
            None => errors.push(format!("{of}: this gwp has no driver `{}`", plan.sources[index].driver)),
        }
    }
    let mut sinks = Vec::new();
    for sink in &plan.sinks {
        let of = format!("sink/{}", sink.name);
        let settings = resolve::resolve(&sink.settings, node, &of, &mut errors);
        let declaration = SinkDeclaration {
            item: Declaration { name: sink.name.clone(), settings },
            timezone: plan.gateway.timezone.clone(),
        };
        let Some(driver) = catalog::sink(&sink.driver) else {
            errors.push(format!("{of}: this gwp has no sink `{}`", sink.driver));
            continue;
        };
        match (driver.prepare(declaration), driver.manifest().sink()) {
            (Ok(prepared), Some(traits)) => sinks.push(PreparedSink {
                sink: prepared.into(),
                limits: DeliveryLimits {
                    batch_samples: traits.batch_samples,
                    batch_bytes: traits.batch_bytes,
                    in_flight: traits.in_flight,
                },
            }),
            (Ok(_), None) => errors.push(format!("{of}: `{}` is not a sink", sink.driver)),
            (Err(found), _) => errors.extend(resolve::lines(&of.into(), found)),
        }
    }
    for error in &errors {
        eprintln!("error: {error}");
    }
    errors.is_empty().then(|| EngineConfig {
        plan: plan.clone(),
        sources,
        sinks,
        data_dir: node.data.clone(),
        space: node.space,
    })
}

async fn serve(args: &RunArgs, node: &Node, plan: &Plan, config: EngineConfig) -> anyhow::Result<ExitCode> {
    // Before the engine starts: a port in use must not cost an epoch and a connection to each device.
    let listener = match node.metrics {
        Some(address) => {
            let bound = tokio::net::TcpListener::bind(address).await;
            Some(bound.with_context(|| format!("metrics cannot be served on {address}"))?)
        }
        None => None,
    };
    // Before anything starts, so that a signal at any moment ends in order.
    let stop = StopSignal::new();
    let engine = Engine::start(config).await?;
    tracing::info!(node = %node.id, plan = %plan.id(), data = %node.data.display(), "running");
    if let Some(listener) = listener {
        let bound = listener.local_addr()?;
        let exported = Exported {
            status: engine.status.clone(),
            clock: engine.clock.clone(),
            plan: plan.id().to_string(),
        };
        metrics::serve(listener, exported);
        tracing::info!("metrics on http://{bound}/metrics");
    }
    let draws_a_table = plan
        .sinks
        .iter()
        .any(|sink| &*sink.driver == "console" && gwp_sink_console::draws_table(&sink.settings));
    let status = engine.status.clone();
    let code = tokio::select! {
        reason = stop.wait(args.run_for) => {
            tracing::info!(reason, "stopping");
            ExitCode::SUCCESS
        }
        reason = engine.failed() => {
            tracing::error!(%reason, "the gateway cannot go on; everything acknowledged is safe, start it again");
            ExitCode::from(3)
        }
        () = status_line::show(status, args.quiet || draws_a_table) => ExitCode::SUCCESS,
    };
    engine.stop().await;
    Ok(code)
}
