//! Metrics in the Prometheus text format, rendered from the engine's counters.
//!
//! What each of them means stands in `runtime/README.md`; a test sees that none is missing there.

use crate::pair::desk::PairDesk;
use crate::pair::metrics as pair;
use gwp_core::Clock;
use gwp_engine::{EngineStatus, GatewayClock, GraphStatus};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the endpoint shows.
#[derive(Clone)]
pub struct Exported {
    pub status: Arc<EngineStatus>,
    pub clock: Arc<GatewayClock>,
    /// Of a node of a pair.
    pub pair: Option<Arc<PairDesk>>,
}

/// Serves `/metrics` until the runtime ends.
pub fn serve(listener: tokio::net::TcpListener, exported: Exported) -> tokio::task::JoinHandle<()> {
    let route = axum::routing::get(move || {
        let exported = exported.clone();
        async move {
            let mut page = Page(render(&exported));
            if let Some(desk) = &exported.pair {
                pair::add(&mut page, desk).await;
            }
            ([("content-type", "text/plain; version=0.0.4")], page.0)
        }
    });
    let app = axum::Router::new().route("/metrics", route);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::warn!(%error, "metrics are no longer served");
        }
    })
}

/// One family of samples under one name.
pub(crate) struct Page(String);

impl Page {
    pub fn family(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    pub fn line(&mut self, name: &str, label: Option<(&str, &str)>, value: f64) {
        let _ = match label {
            Some((key, of)) => writeln!(self.0, "{name}{{{key}=\"{}\"}} {value}", escaped(of)),
            None => writeln!(self.0, "{name} {value}"),
        };
    }

    fn each<'a, T: 'a>(
        &mut self,
        name: &str,
        kind: &str,
        label: &str,
        of: impl Iterator<Item = &'a T>,
        read: impl Fn(&'a T) -> (&'a str, f64),
    ) {
        self.family(name, kind);
        for item in of {
            let (labelled, value) = read(item);
            self.line(name, Some((label, labelled)), value);
        }
    }

    pub fn one(&mut self, name: &str, kind: &str, value: f64) {
        self.family(name, kind);
        self.line(name, None, value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: &AtomicU64) -> f64 {
    value.load(Relaxed) as f64
}

/// The page as text.
pub fn render(exported: &Exported) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.family("gwp_info", "gauge");
    let _ = writeln!(
        page.0,
        "gwp_info{{version=\"{}\",plan=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION"),
        exported.status.graph().plan
    );
    let graph = exported.status.graph();
    sources(&mut page, &graph);
    writes(&mut page, &graph);
    edges_and_stages(&mut page, &graph);
    sinks(&mut page, &graph, exported.clock.now().0);
    writer(&mut page, &exported.status);
    page.0
}

fn sources(page: &mut Page, status: &GraphStatus) {
    macro_rules! each {
        ($name:literal, $kind:literal, |$source:ident| $value:expr) => {
            page.each($name, $kind, "source", status.sources.iter(), |$source| {
                (short(&$source.stage.name), $value)
            })
        };
    }
    each!("gwp_source_connected", "gauge", |source| number(&source.meter.connected));
    each!("gwp_source_samples_total", "counter", |source| number(&source.edge.samples));
    each!("gwp_source_requests_total", "counter", |source| number(&source.meter.requests));
    each!("gwp_source_timeouts_total", "counter", |source| number(&source.meter.timeouts));
    each!("gwp_source_errors_total", "counter", |source| number(&source.meter.errors));
    each!("gwp_source_connects_total", "counter", |source| number(&source.meter.connects));
    each!("gwp_source_slots_skipped_total", "counter", |source| number(&source.meter.slots_skipped));
    each!("gwp_source_slots_failed_total", "counter", |source| number(&source.meter.slots_failed));
    each!("gwp_source_devices_silent", "gauge", |source| number(&source.meter.devices_silent));
}

fn writes(page: &mut Page, status: &GraphStatus) {
    macro_rules! each {
        ($name:literal, $counter:ident) => {
            page.each($name, "counter", "write", status.writes.iter(), |write| {
                (&*write.name, number(&write.meter.$counter))
            })
        };
    }
    each!("gwp_write_executed_total", executed);
    each!("gwp_write_refused_total", refused);
    each!("gwp_write_failed_total", failed);
}

/// `press` of `source/press`.
fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

fn edges_and_stages(page: &mut Page, status: &GraphStatus) {
    let edges: Vec<(&str, &gwp_core::edge::EdgeMeter)> = status
        .sources
        .iter()
        .map(|source| (&*source.stage.name, &*source.edge))
        .chain(status.sinks.iter().map(|sink| (&*sink.lane_stage.name, &*sink.lane_edge)))
        .collect();
    page.each("gwp_edge_depth_samples", "gauge", "edge", edges.iter(), |(name, edge)| {
        (name, number(&edge.depth))
    });
    page.each("gwp_edge_blocked_seconds_total", "counter", "edge", edges.iter(), |(name, edge)| {
        (name, number(&edge.blocked_ns) / 1e9)
    });
    let stages: Vec<_> = status
        .sources
        .iter()
        .map(|source| &source.stage)
        .chain(status.sinks.iter().flat_map(|sink| [&sink.lane_stage, &sink.stage]))
        .chain(&status.stages)
        .collect();
    page.each("gwp_stage_restarts_total", "counter", "stage", stages.iter(), |stage| {
        (&stage.name, number(&stage.restarts))
    });
    page.each("gwp_stage_running", "gauge", "stage", stages.iter(), |stage| {
        (&stage.name, f64::from(u8::from(stage.running.load(Relaxed))))
    });
}

fn sinks(page: &mut Page, status: &GraphStatus, now_ns: i64) {
    macro_rules! each {
        ($name:literal, $kind:literal, |$sink:ident| $value:expr) => {
            page.each($name, $kind, "sink", status.sinks.iter(), |$sink| (&*$sink.name, $value))
        };
    }
    each!("gwp_lane_samples_total", "counter", |sink| number(&sink.lane.samples));
    each!("gwp_lane_records_read_back_total", "counter", |sink| number(&sink.lane.records_read_back));
    each!("gwp_lane_late_samples_total", "counter", |sink| number(&sink.lane.late));
    each!("gwp_lane_waiting", "gauge", |sink| f64::from(u8::from(sink.lane.waiting.load(Relaxed))));
    each!("gwp_journal_pending_samples", "gauge", |sink| number(&sink.journal.pending_samples));
    each!("gwp_journal_pending_bytes", "gauge", |sink| number(&sink.journal.pending_bytes));
    each!("gwp_journal_oldest_seconds", "gauge", |sink| {
        match sink.journal.oldest_ns.load(Relaxed) {
            0 => 0.0,
            oldest => (now_ns as f64 - oldest as f64).max(0.0) / 1e9,
        }
    });
    each!("gwp_journal_delivered_samples_total", "counter", |sink| number(&sink.journal.delivered_samples));
    each!("gwp_journal_dropped_samples_total", "counter", |sink| number(&sink.journal.dropped_samples));
    each!("gwp_sink_connected", "gauge", |sink| number(&sink.meter.connected));
    each!("gwp_sink_connects_total", "counter", |sink| number(&sink.meter.connects));
    each!("gwp_sink_requests_total", "counter", |sink| number(&sink.meter.requests));
    each!("gwp_sink_bytes_total", "counter", |sink| number(&sink.meter.bytes));
    each!("gwp_sink_rejected_total", "counter", |sink| number(&sink.meter.rejected));
}

fn writer(page: &mut Page, status: &EngineStatus) {
    let writer = &status.writer;
    page.one("gwp_log_commits_total", "counter", number(&writer.commits));
    page.one("gwp_log_commit_seconds_total", "counter", number(&writer.commit_ns) / 1e9);
    page.one("gwp_log_commit_seconds_max", "gauge", number(&writer.commit_ns_max) / 1e9);
    page.one("gwp_log_records_total", "counter", number(&writer.records));
    page.one("gwp_log_samples_total", "counter", number(&writer.samples));
    page.one("gwp_log_bytes", "gauge", number(&writer.log_bytes));
    page.one("gwp_disk_free_bytes", "gauge", number(&writer.free_bytes));
    page.one("gwp_disk_low", "gauge", f64::from(u8::from(writer.low_space.load(Relaxed))));
}

#[cfg(test)]
mod tests {
    /// The table of the architecture page, and nothing else, is the list of metrics.
    #[test]
    fn every_metric_is_explained() {
        let code = include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let code = [code, include_str!("pair/metrics.rs")].concat();
        let names: Vec<&str> = code
            .split('"')
            .filter(|text| {
                text.starts_with("gwp_") && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            })
            .collect();
        let page = include_str!("../../README.md");
        assert!(names.len() > 30);
        let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let explained = page.split('`').filter(|text| text.starts_with("gwp_"));
        let gone: Vec<_> = explained.filter(|name| !names.contains(name)).collect();
        assert!(gone.is_empty(), "{gone:?}");
    }
}
