//! What the gateway says of itself, and orders to alarms.

use crate::answer::{Answer, Call, Handled, Refused, ok};
use crate::bodies::{self, Order};
use crate::console::{Console, Running};
use crate::limits::AUDIT_LINES_MAX;
use crate::role::Means;
use crate::{audit, openapi};
use axum::http::StatusCode;
use gwp_core::{Clock, Timestamp};
use gwp_engine::{AlarmHappened, AlarmView, OrderRefused};
use gwp_plan::AlarmOrder;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Says only that the process answers: nothing for who is not let in.
pub async fn health(_: Arc<Console>, _: Call) -> Handled {
    ok(json!({ "ok": true }))
}

pub async fn document(_: Arc<Console>, _: Call) -> Handled {
    ok(openapi::document())
}

pub async fn status(console: Arc<Console>, _: Call) -> Handled {
    ok(status_json(&console.running))
}

fn status_json(running: &Running) -> Value {
    let status = &running.status;
    let graph = status.graph();
    let sources = graph.sources.iter().map(|source| {
        json!({
            "name": short(&source.stage.name),
            "connected": source.meter.connected.load(Relaxed) == 1,
            "samples": source.edge.samples.load(Relaxed),
            "timeouts": source.meter.timeouts.load(Relaxed),
            "errors": source.meter.errors.load(Relaxed),
            "devices_silent": source.meter.devices_silent.load(Relaxed),
            "slots_skipped": source.meter.slots_skipped.load(Relaxed),
            "slots_failed": source.meter.slots_failed.load(Relaxed),
            "restarts": source.stage.restarts.load(Relaxed),
            "problem": source.stage.last_error().as_deref(),
        })
    });
    let sinks = graph.sinks.iter().map(|sink| {
        json!({
            "name": &*sink.name,
            "leaving": sink.leaving,
            "connected": sink.meter.connected.load(Relaxed) == 1,
            "waiting": sink.journal.pending_samples.load(Relaxed),
            "waiting_bytes": sink.journal.pending_bytes.load(Relaxed),
            "delivered": sink.journal.delivered_samples.load(Relaxed),
            "dropped": sink.journal.dropped_samples.load(Relaxed),
            "restarts": sink.stage.restarts.load(Relaxed) + sink.lane_stage.restarts.load(Relaxed),
            "problem": sink.stage.last_error().or_else(|| sink.lane_stage.last_error()).as_deref(),
        })
    });
    let active = graph.alarms.iter().flat_map(|desk| desk.board.alarms());
    let active = active.filter(|alarm| matches!(alarm.state, "unacknowledged" | "acknowledged")).count();
    json!({
        "node": running.node,
        "version": env!("CARGO_PKG_VERSION"),
        "plan": graph.plan.to_string(),
        "time": running.clock.now().to_string(),
        "log_samples": status.writer.samples.load(Relaxed),
        "disk_low": status.writer.low_space.load(Relaxed),
        "alarms_active": active,
        "notice": status.notice().as_deref(),
        "sources": sources.collect::<Vec<_>>(),
        "sinks": sinks.collect::<Vec<_>>(),
    })
}

/// `press` of `source/press`.
fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

pub async fn alarms(console: Arc<Console>, _: Call) -> Handled {
    let (alarms, events) = match &console.running.status.graph().alarms {
        Some(desk) => (desk.board.alarms(), desk.board.events()),
        None => Default::default(),
    };
    let alarms: Vec<Value> = alarms.iter().map(alarm_json).collect();
    let events: Vec<Value> = events.iter().map(event_json).collect();
    ok(json!({ "alarms": alarms, "events": events }))
}

fn alarm_json(alarm: &AlarmView) -> Value {
    json!({
        "device": &*alarm.device,
        "alarm": &*alarm.alarm,
        "severity": format!("{:?}", alarm.severity).to_lowercase(),
        "state": alarm.state,
        "since": alarm.since.map(|time: Timestamp| time.to_string()),
        "message": alarm.message,
    })
}

fn event_json(event: &AlarmHappened) -> Value {
    json!({
        "time": event.time.to_string(),
        "device": &*event.device,
        "alarm": &*event.alarm,
        "event": &*event.event,
        "state": &*event.state,
        "message": &*event.message,
        "operator": &*event.operator,
    })
}

/// `{"device": "press", "order": "acknowledge oil_hot by anna"}`
pub async fn order(console: Arc<Console>, call: Call) -> Handled {
    let body: Order = bodies::read(&call.body).map_err(Refused::bad)?;
    let mut order = AlarmOrder::read(&body.order).map_err(Refused::bad)?;
    // Who has the data directory speaks for others; who has logged in speaks for itself.
    if let Some(caller) = call.caller.as_ref().filter(|caller| caller.means != Means::Local) {
        order.by = caller.name.as_str().into();
    }
    call.note.edit(|note| {
        note.target = body.device.clone();
        note.detail = json!({ "order": order.to_string() });
    });
    let desk = console.running.status.graph().alarms.clone();
    let not_found = |error| Refused::new(StatusCode::NOT_FOUND, error);
    let desk = desk.ok_or_else(|| not_found("the plan has no alarms".to_owned()))?;
    let events = desk.order(&body.device, &order).await.map_err(|error| match error {
        OrderRefused::NoAlarm(_) => not_found(error.to_string()),
        OrderRefused::Stopping | OrderRefused::NotSafe => {
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, error)
        }
    })?;
    match events.iter().find(|event| &*event.event == "refused") {
        Some(event) if order.alarm.is_some() => Err(Refused::new(StatusCode::CONFLICT, &event.message)),
        _ => {
            let status = if events.is_empty() { StatusCode::ACCEPTED } else { StatusCode::OK };
            let events: Vec<Value> = events.iter().map(event_json).collect();
            Ok(Answer::Json(status, json!({ "events": events })))
        }
    }
}

/// Lines of the audit log, the newest first.
pub async fn audit(console: Arc<Console>, call: Call) -> Handled {
    let after = call.number("after", 0, 0, u64::MAX)?;
    let before = call.number("before", u64::MAX, 0, u64::MAX)?;
    let limit = call.number("limit", 100, 1, AUDIT_LINES_MAX as u64)? as usize;
    let records = console.records.clone();
    let read = move || audit::newest(records.data(), after, before, limit);
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(lines)) => ok(json!({ "lines": lines })),
        Ok(Err(error)) => Err(Refused::busy(format!("the audit log cannot be read: {error}"))),
        Err(_) => Err(Refused::busy("the audit log cannot be read")),
    }
}
