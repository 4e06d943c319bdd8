//! `gwp plan`: what would run, before it runs.

// What `plan --against` and `apply` print.
pub mod changes;

use super::program;
use crate::catalog;
use crate::cli::{ElsewhereArgs, ProjectArgs};
use crate::pair::policy;
use crate::report::{self, counted};
use gwp_core::source::{GroupDeclaration, GroupLoad};
use gwp_plan::plan::ROW_BUILT_IN;
use gwp_plan::{FullPolicy, Period, Plan, Window, WindowKind};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Stored bytes per sample assumed before there is a measurement (columnar, LZ4).
const SAMPLE_BYTES: f64 = 6.0;

/// What a frame of the journal takes besides its samples: header, cursors, key (measured).
const FRAME_BYTES: f64 = 112.0;

/// Commits a second, as far as slots are not together anyway.
const COMMITS_PER_S: f64 = 100.0;

/// What to look at, and how.
#[derive(clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Compare with what runs on the gateway of this data directory
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Print a table for a merge request; with --against
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let (files, json) = (&args.project.files, args.json);
    if let Some(gateway) = args.elsewhere.gateway(args.against.as_deref()) {
        return super::change::plan_against(files, &gateway, json, args.markdown);
    }
    let program = program::load(files)?;
    report::print_problems(&program.diagnostics, &program.sources);
    let Some(plan) = program.plan else { return Ok(ExitCode::FAILURE) };
    let forecast = Forecast::of(&plan);
    if json {
        println!("{:#}", forecast.json(&plan));
    } else {
        print!("{}", forecast.text(&plan));
    }
    Ok(ExitCode::SUCCESS)
}

/// What can be said of a plan without running it.
struct Forecast {
    sources: Vec<SourceForecast>,
    sinks: Vec<SinkForecast>,
}

struct SourceForecast {
    name: String,
    driver: String,
    devices: Vec<DeviceForecast>,
    /// Share of the link's time that the slots need; above 1 slots are skipped. 0 = unknown.
    link_share: f64,
}

struct DeviceForecast {
    name: String,
    tags: usize,
    samples_per_s: f64,
    requests_per_s: f64,
    bytes_per_s: f64,
    link_share: f64,
}

struct SinkForecast {
    name: String,
    driver: String,
    samples_per_s: f64,
    bytes_per_s: f64,
    /// Until the journal is full, at this rate and nothing delivered; none when nothing comes in.
    hours: Option<f64>,
    /// Not its capacity but `keep` ends it.
    by_age: bool,
    /// What can arrive twice after a failure, in samples.
    twice_max: usize,
}

impl Forecast {
    fn of(plan: &Plan) -> Forecast {
        let sources = (0..plan.sources.len())
            .filter_map(|index| {
                let source = &plan.sources[index];
                let declaration = plan.source_declaration(index)?;
                let driver = catalog::driver(&source.driver)?;
                let loads = driver.load(&declaration);
                Some(source_forecast(&source.name, &source.driver, &declaration.groups, &loads))
            })
            .collect();
        let sinks = plan.sinks.iter().map(|sink| sink_forecast(plan, sink)).collect();
        Forecast { sources, sinks }
    }

    fn text(&self, plan: &Plan) -> String {
        let mut out = format!("plan {}\n", plan.id());
        for source in &self.sources {
            out.push_str(&format!("\nsource/{}  {}\n", source.name, source.driver));
            for device in &source.devices {
                out.push_str(&format!(
                    "  {:<24} {:>6} tags {:>10.1} samples/s {:>8.1} requests/s {:>9.1} kB/s",
                    device.name,
                    device.tags,
                    device.samples_per_s,
                    device.requests_per_s,
                    device.bytes_per_s / 1e3
                ));
                if device.link_share > 0.0 {
                    out.push_str(&format!("  {:>4.0} % of the link", device.link_share * 100.0));
                }
                out.push('\n');
            }
            if source.link_share > 1.0 {
                out.push_str(&format!(
                    "  overrun: the slots need {:.0} % of the link's time; slots will be skipped and counted. Scan slower, or split the line.\n",
                    source.link_share * 100.0
                ));
            }
        }
        for sink in &self.sinks {
            let hours = match sink.hours {
                Some(hours) if sink.by_age => {
                    format!("keeps the last {:.1} d (`keep`) without its destination", hours / 24.0)
                }
                Some(hours) if hours < 48.0 => format!("full after {hours:.1} h without its destination"),
                Some(hours) => format!("full after {:.1} d without its destination", hours / 24.0),
                None => "nothing comes in at a known rate".to_owned(),
            };
            let twice = match sink.twice_max {
                0 => "nothing comes twice after a failure".to_owned(),
                most => format!("at most {} come twice after a failure", counted(most, "sample")),
            };
            out.push_str(&format!(
                "\nlane/{0}, sink/{0}  {1}\n  at most {2:.1} samples/s, {3:.1} kB/s of journal; {hours}\n  {twice}\n",
                sink.name,
                sink.driver,
                sink.samples_per_s,
                sink.bytes_per_s / 1e3,
            ));
        }
        let actors = plan.sources.len() + 2 * plan.sinks.len();
        out.push_str(&format!(
            "\n{}, {}, {}; {}\n",
            counted(plan.tags.len(), "tag"),
            counted(plan.calcs.len(), "calc"),
            counted(plan.groups.len(), "poll group"),
            counted(actors, "stage actor")
        ));
        out.push_str(&format!("in a pair without a witness: {}\n", policy::sentence(&policy::derive(plan))));
        out
    }

    fn json(&self, plan: &Plan) -> serde_json::Value {
        serde_json::json!({
            "plan": plan.id().to_string(),
            "tags": plan.tags.len(),
            "calcs": plan.calcs.len(),
            "poll_groups": plan.groups.len(),
            "pair_without_witness": policy::sentence(&policy::derive(plan)),
            "sources": self.sources.iter().map(|source| serde_json::json!({
                "name": source.name,
                "driver": source.driver,
                "link_share": source.link_share,
                "devices": source.devices.iter().map(|device| serde_json::json!({
                    "name": device.name,
                    "tags": device.tags,
                    "samples_per_s": device.samples_per_s,
                    "requests_per_s": device.requests_per_s,
                    "bytes_per_s": device.bytes_per_s,
                    "link_share": device.link_share,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "sinks": self.sinks.iter().map(|sink| serde_json::json!({
                "name": sink.name,
                "driver": sink.driver,
                "samples_per_s": sink.samples_per_s,
                "journal_bytes_per_s": sink.bytes_per_s,
                "journal_hours": sink.hours,
                "samples_twice_max": sink.twice_max,
            })).collect::<Vec<_>>(),
        })
    }
}

fn source_forecast(
    name: &str,
    driver: &str,
    groups: &[GroupDeclaration],
    loads: &[GroupLoad],
) -> SourceForecast {
    let mut devices: BTreeMap<&str, DeviceForecast> = BTreeMap::new();
    let idle = GroupLoad::default();
    for (index, group) in groups.iter().enumerate() {
        let load = loads.get(index).unwrap_or(&idle);
        let per_s = if group.period_ns > 0 { 1e9 / group.period_ns as f64 } else { 0.0 };
        let device = devices.entry(&group.device).or_insert_with(|| DeviceForecast {
            name: group.device.to_string(),
            tags: 0,
            samples_per_s: 0.0,
            requests_per_s: 0.0,
            bytes_per_s: 0.0,
            link_share: 0.0,
        });
        device.tags += group.tags.len();
        device.samples_per_s += group.tags.len() as f64 * per_s;
        device.requests_per_s += load.requests as f64 * per_s;
        device.bytes_per_s += load.bytes as f64 * per_s;
        device.link_share += load.link_ns as f64 / 1e9 * per_s;
    }
    let devices: Vec<DeviceForecast> = devices.into_values().collect();
    let link_share = devices.iter().map(|device| device.link_share).sum();
    SourceForecast { name: name.into(), driver: driver.into(), devices, link_share }
}

/// Values of the rows of a window per second; 0 for windows that follow a condition.
fn row_values_per_s(window: &Window) -> f64 {
    const DAY_S: f64 = 86_400.0;
    let WindowKind::Every { calendar, .. } = &window.kind else { return 0.0 };
    let period_s = match calendar.period {
        Period::Time(ns) => ns as f64 / 1e9,
        Period::Days(days) => f64::from(days) * DAY_S,
        Period::Months(months) => f64::from(months) * 30.0 * DAY_S,
    };
    let values = window.instances.iter().map(|instance| instance.columns.len() + ROW_BUILT_IN);
    values.sum::<usize>() as f64 / period_s
}

/// Frames in the journal of a sink: one per slot that gives it something, as far as they do not
/// share a commit.
fn frames_per_s(plan: &Plan, sink: &gwp_plan::SinkPlan) -> f64 {
    let taken = |group: &gwp_plan::Group| {
        let routes = sink.routes.iter().filter(|route| route.window.is_none());
        routes.flat_map(|route| &route.tags).any(|tag| group.tags.binary_search(tag).is_ok())
    };
    let polled = plan.groups.iter().filter(|group| group.period_ns > 0 && taken(group));
    polled.map(|group| 1e9 / group.period_ns as f64).sum::<f64>().min(COMMITS_PER_S)
}

fn sink_forecast(plan: &Plan, sink: &gwp_plan::SinkPlan) -> SinkForecast {
    // Each tag at its scan rate; conditions and deadbands only make it less. A calc
    // comes at most as often as all it reads together, counted as its fastest input.
    let mut rate = vec![0.0f64; plan.tags.len()];
    for group in plan.groups.iter().filter(|group| group.period_ns > 0) {
        for tag in group.tags.iter() {
            rate[tag.index()] = 1e9 / group.period_ns as f64;
        }
    }
    for calc in &plan.calcs {
        let mut fastest = 0.0f64;
        calc.for_each_expr(&mut |expr| {
            expr.for_each_tag(&mut |tag| fastest = fastest.max(rate[tag.index()]))
        });
        rate[calc.tag.index()] = fastest;
    }
    let samples_per_s: f64 = sink
        .routes
        .iter()
        .map(|route| match &route.window {
            Some(window) => row_values_per_s(window),
            None => route.tags.iter().map(|tag| rate[tag.index()]).sum(),
        })
        .sum();
    let bytes_per_s = samples_per_s * SAMPLE_BYTES + frames_per_s(plan, sink) * FRAME_BYTES;
    let by_bytes = sink.journal.capacity_bytes as f64 / bytes_per_s / 3600.0;
    let by_age = sink.journal.keep_ns as f64 / 3.6e12;
    let hours = match sink.journal.full {
        _ if samples_per_s == 0.0 => None,
        FullPolicy::Block => Some(by_bytes),
        FullPolicy::DropOldest | FullPolicy::DropNewest => Some(by_bytes.min(by_age)),
    };
    let by_age = sink.journal.full != FullPolicy::Block && by_age < by_bytes;
    let twice_max = catalog::sink(&sink.driver).and_then(|driver| {
        driver.manifest().sink().map(|traits| match traits.transactional {
            true => 0,
            false => traits.in_flight * traits.batch_samples,
        })
    });
    SinkForecast {
        name: sink.name.to_string(),
        driver: sink.driver.to_string(),
        samples_per_s,
        bytes_per_s,
        hours,
        by_age,
        twice_max: twice_max.unwrap_or(0),
    }
}
