//! `gwp run`: from text to a running engine, and its orderly end.

use super::program;
use crate::cli::RunArgs;
use crate::control::operations::Fixed;
use crate::metrics::{self, Exported};
use crate::node::{self, Node};
use crate::resolve::{lines, resolve};
use crate::stop_signal::StopSignal;
use crate::{catalog, log, report, status_line};
use anyhow::{Context, bail};
use gwp_console::Running;
use gwp_console::server::{Listen, bind};
use gwp_core::Declaration;
use gwp_core::manifest::Setting;
use gwp_core::sink::SinkDeclaration;
use gwp_core::source::Source;
use gwp_engine::delivery::DeliveryLimits;
use gwp_engine::{Engine, EngineConfig, PreparedSink};
use gwp_plan::{Plan, SinkPlan, SourcePlan};
use gwp_syntax::{Diagnostics, SourceMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let Some(node) = load_node(args)? else { return Ok(ExitCode::FAILURE) };
    log::start(&node);
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

/// Resolves references and prepares all components; every error is printed.
fn prepare(plan: &Arc<Plan>, node: &Node) -> Option<EngineConfig> {
    let mut errors = Vec::new();
    let sources =
        (0..plan.sources.len()).filter_map(|at| prepare_source(plan, at, node, &mut errors)).collect();
    let sinks = plan.sinks.iter().filter_map(|sink| prepare_sink(plan, sink, node, &mut errors)).collect();
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

fn prepare_source(
    plan: &Plan,
    index: usize,
    node: &Node,
    errors: &mut Vec<String>,
) -> Option<Arc<dyn Source>> {
    let SourcePlan { name, driver, .. } = plan.sources.get(index)?;
    let of = format!("source/{name}");
    let mut declaration = plan.source_declaration(index)?;
    let Some(driver) = catalog::driver(driver) else {
        errors.push(format!("{of}: this gwp has no driver `{driver}`"));
        return None;
    };
    let before = errors.len();
    let (manifest, item) = (driver.manifest(), &mut declaration.item);
    item.settings = resolve(&item.settings, manifest.settings, node, &of, errors);
    let of_devices = manifest.source().map_or(&[] as &[Setting], |traits| traits.device_settings);
    for group in &mut declaration.groups {
        group.device_settings = resolve(&group.device_settings, of_devices, node, &of, errors);
    }
    // What has no value is said; a check finds what else is wrong, and takes that as right.
    let prepared = match errors.len() > before {
        true => Err(driver.check(&declaration)),
        false => driver.prepare(declaration),
    };
    prepared.map(Arc::from).map_err(|found| errors.extend(lines(&of, found))).ok()
}

fn prepare_sink(plan: &Plan, sink: &SinkPlan, node: &Node, errors: &mut Vec<String>) -> Option<PreparedSink> {
    let of = format!("sink/{}", sink.name);
    let known = catalog::sink(&sink.driver).and_then(|driver| Some((driver, driver.manifest().sink()?)));
    let Some((driver, traits)) = known else {
        errors.push(format!("{of}: this gwp has no sink `{}`", sink.driver));
        return None;
    };
    let before = errors.len();
    let settings = resolve(&sink.settings, driver.manifest().settings, node, &of, errors);
    let declaration = SinkDeclaration {
        item: Declaration { name: sink.name.clone(), settings },
        timezone: plan.gateway.timezone.clone(),
    };
    let prepared = match errors.len() > before {
        true => Err(driver.check(&declaration)),
        false => driver.prepare(declaration),
    };
    let limits = DeliveryLimits {
        batch_samples: traits.batch_samples,
        batch_bytes: traits.batch_bytes,
        in_flight: traits.in_flight,
    };
    let prepared = prepared.map_err(|found| errors.extend(lines(&of, found))).ok()?;
    Some(PreparedSink { sink: prepared.into(), limits })
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
    let listen = Listen { control: node.control, tls: node.tls.clone() };
    let control = match bind(&listen, &node.data).await {
        Err(error) if error.is_configuration() => {
            eprintln!("error: {error}");
            return Ok(ExitCode::FAILURE);
        }
        bound => bound?,
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
    let running = Running {
        node: node.id.clone(),
        plan: plan.id().to_string(),
        status: engine.status.clone(),
        clock: engine.clock.clone(),
        alarms: engine.alarms.clone(),
    };
    let control = control.serve(running, Arc::new(Fixed), Arc::new(Fixed))?;
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
    control.stop().await;
    Ok(code)
}
