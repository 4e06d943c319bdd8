//! The way of every request: let in, read within bounds, done to its end, recorded, answered.
//!
//! ```text
//! request -> who is it? -> may it? -> query -> body -> place free? -> audit log writable? -> handler -> audit -> answer
//!             401, 429      403        400   408 413 415    503              503
//! ```
//! From the handler on it runs as a task of its own: what was begun ends and is recorded, also when the client is gone.

use crate::answer::{Answer, Call, Handled, Note, Refused};
use crate::audit::chain::Event;
use crate::console::{Console, Denied};
use crate::limits::{ANSWER_TIME, BODY_BYTES_MAX, BODY_TIME, FILES_TIME};
use crate::role::Caller;
use crate::routes::{ROUTES, Route, Verb};
use axum::body::Bytes;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Extension, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The router of all routes. Each request needs an [`Extension`] of [`Peer`].
pub fn router(console: Arc<Console>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
        };
        let console = console.clone();
        let answer = move |Extension(Peer(from)): Extension<Peer>,
                           path: Result<RawPathParams, RawPathParamsRejection>,
                           request: Request| {
            let console = console.clone();
            async move {
                let answered = answer(console, route, from, path, request).await;
                let response = answered.map_or_else(Refused::into_response, Answer::into_response);
                debug_assert!(route.answers().contains(&response.status().as_u16()), "{}", response.status());
                response
            }
        };
        router = router.route(route.path, on(filter, answer));
    }
    router.fallback(unknown).method_not_allowed_fallback(not_allowed)
}

async fn unknown() -> Response {
    Refused::new(StatusCode::NOT_FOUND, "there is no such route; GET /v1/openapi.json lists them")
        .into_response()
}

async fn not_allowed() -> Response {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; GET /v1/openapi.json lists them")
        .into_response()
}

async fn answer(
    console: Arc<Console>,
    route: &'static Route,
    from: SocketAddr,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Handled {
    let busy = || Refused::busy("too many requests at once");
    let caller = match let_in(&console, route, from, request.headers()) {
        Ok(caller) => caller,
        Err((refused, caller)) => return Err(record_refused(&console, route, from, caller, refused).await),
    };
    let path = path.map_err(|error| Refused::bad(format!("the path cannot be read: {error}")))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = query(route, request.uri().query().unwrap_or_default())?;
    let large = match route.body.is_some_and(|body| body.bytes_max > BODY_BYTES_MAX) {
        true => Some(console.large_requests.clone().try_acquire_owned().map_err(|_| busy())?),
        false => None,
    };
    let body = body(route, request).await?;
    // Not before the body is here: who sends it slowly must not keep others out.
    let place = console.requests.clone().try_acquire_owned().map_err(|_| busy())?;
    let call = Call { caller, from, path, query, body, note: Note::default() };
    let work = tokio::spawn(done(console, route, call, (place, large)));
    match tokio::time::timeout(ANSWER_TIME, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Refused::busy("this could not be answered; the gateway's log says why")),
        Err(_) => Err(Refused::busy("it takes longer than an answer may; it goes on, see GET /v1/status")),
    }
}

/// Who calls, if somebody has to be let in, and whether the role is enough.
fn let_in(
    console: &Console,
    route: &Route,
    from: SocketAddr,
    headers: &HeaderMap,
) -> Result<Option<Caller>, (Refused, Option<Box<Caller>>)> {
    let Some(least) = route.role else { return Ok(None) };
    let caller = console.admit(bearer(headers), from.ip()).map_err(|denied: Denied| (denied.into(), None))?;
    if caller.role >= least {
        return Ok(Some(caller));
    }
    let (name, role) = (&caller.name, caller.role);
    let error = format!("`{name}` is {role}; this needs the role {least}");
    Err((Refused::new(StatusCode::FORBIDDEN, error), Some(Box::new(caller))))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A query with known names, each at most once.
fn query(route: &Route, text: &str) -> Result<BTreeMap<String, String>, Refused> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8().map(|text| text.into_owned());
        decoded.map_err(|_| Refused::bad("the query is no UTF-8"))
    };
    let mut query = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if !route.query.iter().any(|known| known.name == name) {
            let known: Vec<&str> = route.query.iter().map(|known| known.name).collect();
            return Err(Refused::bad(format!(
                "this takes no `{name}` in its query; it takes [{}]",
                known.join(", ")
            )));
        }
        if query.insert(name.clone(), value).is_some() {
            return Err(Refused::bad(format!("`{name}` stands twice in the query")));
        }
    }
    match route.query.iter().find(|known| known.is_needed && !query.contains_key(known.name)) {
        Some(lacking) => Err(Refused::bad(format!("the query has no `{}`: {}", lacking.name, lacking.what))),
        None => Ok(query),
    }
}

async fn body(route: &Route, request: Request) -> Result<Bytes, Refused> {
    let bytes_max = route.body.map_or(0, |body| body.bytes_max);
    if route.body.is_some() {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if kind.as_deref() != Some("application/json") {
            let error = "the body is JSON: send the header `Content-Type: application/json`";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
    }
    let read = Limited::new(request.into_body(), bytes_max).collect();
    let time = if bytes_max > BODY_BYTES_MAX { FILES_TIME } else { BODY_TIME };
    match tokio::time::timeout(time, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let error = match bytes_max {
                0 => "this takes no body".to_owned(),
                _ => format!("the body has more than {bytes_max} bytes"),
            };
            Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, error))
        }
        Ok(Err(error)) => Err(Refused::bad(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    }
}

/// Does what was asked and records it, with its places taken until then.
async fn done(
    console: Arc<Console>,
    route: &'static Route,
    call: Call,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
) -> Handled {
    let unwritable = |error| {
        tracing::error!(%error, "the audit log cannot be written");
        format!("the audit log cannot be written: {error}")
    };
    if route.is_audited {
        let records = console.records.clone();
        let checked = tokio::task::spawn_blocking(move || records.can_record()).await;
        checked
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| Refused::busy(format!("nothing was done: {}", unwritable(error))))?;
    }
    let (note, from, caller) = (call.note.clone(), call.from, call.caller.clone());
    let answer = (route.handler)(console.clone(), call).await;
    if !route.is_audited {
        return answer;
    }
    let (status, outcome) = match &answer {
        // A write that was tried and has failed says so.
        Ok(Answer::Json(status, body)) if body.get("done") == Some(&Value::Bool(false)) => {
            let outcome = body.get("outcome").and_then(Value::as_str).unwrap_or("failed");
            (status.as_u16(), outcome.to_owned())
        }
        Ok(Answer::Json(status, _)) => (status.as_u16(), "done".to_owned()),
        Ok(Answer::Other(response)) => (response.status().as_u16(), "done".to_owned()),
        Err(refused) => (refused.status.as_u16(), refused.error.clone()),
    };
    // Who was not let in can make a line only by an attempt that counts, so nobody can fill the log.
    if caller.is_none() && ![200, 401].contains(&status) {
        return answer;
    }
    let recorded = record(&console, event(route, from, caller.as_ref(), &note, status, outcome)).await;
    match recorded {
        Ok(()) => answer,
        Err(error) => Err(Refused::busy(format!("it was answered with {status}, but {}", unwritable(error)))),
    }
}

fn event(
    route: &Route,
    from: SocketAddr,
    caller: Option<&Caller>,
    note: &Note,
    status: u16,
    outcome: String,
) -> Event {
    let noted = note.noted();
    Event {
        by: caller.map(|caller| caller.name.clone()).or(noted.claims).unwrap_or_default(),
        role: caller.map_or(String::new(), |caller| caller.role.to_string()),
        from: from.to_string(),
        action: route.operation.into(),
        target: noted.target,
        outcome,
        status,
        detail: noted.detail,
    }
}

async fn record(console: &Console, event: Event) -> std::io::Result<()> {
    let records = console.records.clone();
    let recorded = tokio::task::spawn_blocking(move || records.record(&event)).await;
    recorded.unwrap_or_else(|error| Err(std::io::Error::other(error))).map(drop)
}

/// Records who was not let in where it would have changed something. Those that try too often are only counted by
/// the delay they get: nobody can fill the log without a token.
async fn record_refused(
    console: &Console,
    route: &Route,
    from: SocketAddr,
    caller: Option<Box<Caller>>,
    refused: Refused,
) -> Refused {
    let is_known = caller.is_some() || refused.status == StatusCode::UNAUTHORIZED;
    if route.is_audited && is_known {
        let (status, outcome) = (refused.status.as_u16(), refused.error.clone());
        let event = event(route, from, caller.as_deref(), &Note::default(), status, outcome);
        if let Err(error) = record(console, event).await {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
    refused
}
