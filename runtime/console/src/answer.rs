//! What handlers are given and what they give back.

use crate::console::Denied;
use crate::operations::{Outcome, Refusal};
use crate::role::Caller;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A request that was let in.
pub struct Call {
    /// Who calls; nobody on open routes.
    pub caller: Option<Caller>,
    pub from: SocketAddr,
    /// Parts of the path by name, decoded.
    pub path: BTreeMap<String, String>,
    /// The query, decoded; only names that the route knows.
    pub query: BTreeMap<String, String>,
    pub body: Bytes,
    pub note: Note,
}

impl Call {
    /// Name of the caller.
    pub fn by(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.name)
    }

    /// A part of the path.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A number of the query.
    ///
    /// # Errors
    /// It is no number in these bounds.
    pub fn number(&self, name: &str, default: u64, min: u64, max: u64) -> Result<u64, Refused> {
        let Some(text) = self.query.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| Refused::bad(format!("`{name}` is a whole number from {min} to {max}")))
    }
}

/// What a handler tells the audit log about a call.
#[derive(Clone, Default)]
pub struct Note(Arc<Mutex<Noted>>);

/// See [`Note`].
#[derive(Clone, Default)]
pub struct Noted {
    /// Who somebody claims to be that was not let in yet.
    pub claims: Option<String>,
    pub target: String,
    pub detail: Value,
}

impl Note {
    /// Changes what is told.
    pub fn edit(&self, edit: impl FnOnce(&mut Noted)) {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn noted(&self) -> Noted {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What went well.
pub enum Answer {
    Json(StatusCode, Value),
    /// A body of another kind, such as a stream.
    Other(Response),
}

/// What did not, and why.
#[derive(Debug)]
pub struct Refused {
    pub status: StatusCode,
    pub error: String,
    pub retry_after: Option<Duration>,
    pub diagnostics: Option<Value>,
}

/// What a handler gives back.
pub type Handled = Result<Answer, Refused>;

/// 200 with a body.
pub fn ok(body: Value) -> Handled {
    Ok(Answer::Json(StatusCode::OK, body))
}

/// The answer to an operation.
pub fn of_outcome(outcome: Outcome) -> Handled {
    ok(outcome?)
}

impl Refused {
    pub fn new(status: StatusCode, error: impl ToString) -> Refused {
        Refused { status, error: error.to_string(), retry_after: None, diagnostics: None }
    }

    /// 400
    pub fn bad(error: impl ToString) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, error)
    }

    /// 503, to be tried again soon.
    pub fn busy(error: impl ToString) -> Refused {
        let retry_after = Some(Duration::from_secs(1));
        Refused { retry_after, ..Refused::new(StatusCode::SERVICE_UNAVAILABLE, error) }
    }

    /// 429, to be tried again after some time.
    pub fn too_many(wait: Duration) -> Refused {
        let seconds = wait.as_secs_f64().ceil();
        let error = format!("there were too many wrong attempts; try again in {seconds} s");
        Refused { retry_after: Some(wait), ..Refused::new(StatusCode::TOO_MANY_REQUESTS, error) }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Refused {
        let error = match denied {
            Denied::TooMany(wait) => return Refused::too_many(wait),
            Denied::NoToken => {
                "a token is needed: `Authorization: Bearer <token>`, from control.json of the data directory, \
                 `gwp token add` or POST /v1/login"
            }
            Denied::Wrong => {
                "the token lets nobody in; it may have expired: log in again, or ask for a new one"
            }
        };
        Refused::new(StatusCode::UNAUTHORIZED, error)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let status = match refusal {
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        };
        let mut refused = Refused::new(status, &refusal);
        if let Refusal::Invalid(diagnostics) = refusal {
            refused.diagnostics = Some(diagnostics);
        }
        refused
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, kind, body.to_string()).into_response()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.error });
        if let Some(diagnostics) = self.diagnostics {
            body["diagnostics"] = diagnostics;
        }
        let mut response = json_response(self.status, &body);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Json(status, body) => json_response(status, &body),
            Answer::Other(response) => response,
        }
    }
}
