//! Answers the commands of this program.

use super::access::Access;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gwp_core::{Clock, Timestamp};
use gwp_engine::{AlarmDesk, AlarmHappened, AlarmView, EngineStatus, GatewayClock, OrderRefused};
use gwp_plan::AlarmOrder;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpListener;

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What can be asked of a running gateway.
pub struct Controlled {
    pub node: String,
    pub plan: String,
    pub status: Arc<EngineStatus>,
    pub clock: Arc<GatewayClock>,
    pub alarms: Option<Arc<AlarmDesk>>,
}

/// An answer that is JSON.
struct Json(StatusCode, Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        (self.0, [(header::CONTENT_TYPE, "application/json")], self.1.to_string()).into_response()
    }
}

fn refused(status: StatusCode, why: impl ToString) -> Json {
    Json(status, json!({ "error": why.to_string() }))
}

/// Serves until the runtime ends.
pub fn serve(listener: TcpListener, access: Access, controlled: Controlled) {
    let app = routes(access, controlled);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::warn!(%error, "the control interface is no longer served");
        }
    });
}

fn routes(access: Access, controlled: Controlled) -> Router {
    let access = Arc::new(access);
    let admit = move |headers: HeaderMap, request: Request, next: Next| {
        let access = access.clone();
        async move {
            let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = token.and_then(|value| value.strip_prefix("Bearer "));
            match token.is_some_and(|token| access.admits(token)) {
                true => next.run(request).await,
                false => {
                    refused(StatusCode::UNAUTHORIZED, "the token of control.json is needed").into_response()
                }
            }
        }
    };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/alarms", get(alarms).post(order))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is no such route") })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(axum::middleware::from_fn(admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(controlled))
}

async fn status(State(controlled): State<Arc<Controlled>>) -> Json {
    let status = &controlled.status;
    let sources = status.sources.iter().map(|source| {
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
    let sinks = status.sinks.iter().map(|sink| {
        json!({
            "name": &*sink.name,
            "connected": sink.meter.connected.load(Relaxed) == 1,
            "waiting": sink.journal.pending_samples.load(Relaxed),
            "waiting_bytes": sink.journal.pending_bytes.load(Relaxed),
            "delivered": sink.journal.delivered_samples.load(Relaxed),
            "dropped": sink.journal.dropped_samples.load(Relaxed),
            "restarts": sink.stage.restarts.load(Relaxed) + sink.lane_stage.restarts.load(Relaxed),
            "problem": sink.stage.last_error().or_else(|| sink.lane_stage.last_error()).as_deref(),
        })
    });
    let active = controlled.alarms.iter().flat_map(|desk| desk.board.alarms());
    let active = active.filter(|alarm| matches!(alarm.state, "unacknowledged" | "acknowledged")).count();
    Json(
        StatusCode::OK,
        json!({
            "node": controlled.node,
            "version": env!("CARGO_PKG_VERSION"),
            "plan": controlled.plan,
            "time": controlled.clock.now().to_string(),
            "log_samples": status.writer.samples.load(Relaxed),
            "disk_low": status.writer.low_space.load(Relaxed),
            "alarms_active": active,
            "sources": sources.collect::<Vec<_>>(),
            "sinks": sinks.collect::<Vec<_>>(),
        }),
    )
}

/// `press` of `source/press`.
fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

async fn alarms(State(controlled): State<Arc<Controlled>>) -> Json {
    let (alarms, events) = match &controlled.alarms {
        Some(desk) => (desk.board.alarms(), desk.board.events()),
        None => Default::default(),
    };
    let alarms: Vec<Value> = alarms.iter().map(alarm_json).collect();
    let events: Vec<Value> = events.iter().map(event_json).collect();
    Json(StatusCode::OK, json!({ "alarms": alarms, "events": events }))
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
async fn order(State(controlled): State<Arc<Controlled>>, body: Bytes) -> Json {
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return refused(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(device), Some(order)) = (text("device"), text("order")) else {
        return refused(StatusCode::BAD_REQUEST, "`device` and `order` are needed, as texts");
    };
    let order = match AlarmOrder::read(order) {
        Ok(order) => order,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error),
    };
    let Some(desk) = &controlled.alarms else {
        return refused(StatusCode::NOT_FOUND, "the plan has no alarms");
    };
    match desk.order(device, &order).await {
        Err(error @ OrderRefused::NoAlarm(_)) => refused(StatusCode::NOT_FOUND, error),
        Err(error @ OrderRefused::Stopping) => refused(StatusCode::SERVICE_UNAVAILABLE, error),
        Ok(events) => match events.iter().find(|event| &*event.event == "refused") {
            Some(event) if order.alarm.is_some() => refused(StatusCode::CONFLICT, &event.message),
            _ => {
                let status = if events.is_empty() { StatusCode::ACCEPTED } else { StatusCode::OK };
                Json(status, json!({ "events": events.iter().map(event_json).collect::<Vec<_>>() }))
            }
        },
    }
}
