//! A console over a gateway that does as it is told, and ways to ask it.
#![allow(dead_code)]

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::{Extension, Router};
use gwp_console::access::Access;
use gwp_console::accounts::{Token, User};
use gwp_console::console::utc;
use gwp_console::gate::{Peer, router};
use gwp_console::live::{LiveReceiver, LiveSender, LiveTag, LiveValue, LiveView, channel};
use gwp_console::secret::hash_password;
use gwp_console::{
    ApplyOptions, Change, Console, Operations, Outcome, Records, Refusal, Role, Running, audit,
};
use gwp_core::{BoxFuture, Timestamp};
use gwp_engine::{EngineStatus, GatewayClock};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

/// Remembers what it was asked to do.
#[derive(Default)]
pub struct Gateway {
    pub asked: Mutex<Vec<String>>,
    pub watchers: Mutex<Vec<LiveSender>>,
}

impl Gateway {
    fn done(&self, what: String) -> BoxFuture<'_, Outcome> {
        self.asked.lock().unwrap().push(what);
        Box::pin(async { Ok(json!({ "done": true })) })
    }
}

impl Operations for Gateway {
    fn plan(&self, change: Change) -> BoxFuture<'_, Outcome> {
        match change.files.iter().any(|(_, text)| text == "wrong") {
            true => Box::pin(async { Err(Refusal::Invalid(json!([{ "code": "E001" }]))) }),
            false => self.done(format!("plan {} files", change.files.len())),
        }
    }

    fn apply<'a>(&'a self, change: Change, options: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("apply {} files, {:?}, by {by}", change.files.len(), options.removed))
    }

    fn confirm<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("confirm by {by}"))
    }

    fn history(&self) -> BoxFuture<'_, Outcome> {
        self.done("history".into())
    }

    fn configuration<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Outcome> {
        match id {
            "7" => self.done("configuration 7".into()),
            _ => Box::pin(async { Err(Refusal::NotFound("there is no such configuration".into())) }),
        }
    }

    fn rollback<'a>(&'a self, id: &'a str, _: ApplyOptions, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("rollback {id} by {by}"))
    }

    fn journals(&self) -> BoxFuture<'_, Outcome> {
        self.done("journals".into())
    }

    fn drain<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("drain by {by}"))
    }

    fn stop<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("stop by {by}"))
    }
}

impl LiveView for Gateway {
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>> {
        let latest = LiveValue {
            path: "press.oil".into(),
            time: Timestamp(0),
            value: json!(70.5),
            quality: "good".into(),
        };
        let kind = "real".into();
        let tag = LiveTag { path: "press.oil".into(), kind, unit: Some("degC".into()), latest: Some(latest) };
        Box::pin(async { Ok([tag].into()) })
    }

    fn watch(&self, paths: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        if paths.iter().any(|path| &**path == "nothing") {
            return Err(Refusal::NotFound("there is no tag `nothing`".into()));
        }
        let (sender, receiver) = channel(paths);
        self.watchers.lock().unwrap().push(sender);
        Ok(receiver)
    }

    fn write<'a>(&'a self, path: &'a str, value: &'a Value, by: &'a str) -> BoxFuture<'a, Outcome> {
        self.done(format!("write {value} to {path} by {by}"))
    }
}

pub const PASSWORD: &str = "correct horse";

/// A console with a user, a token for each role (called as the role), and one that has expired.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub gateway: Arc<Gateway>,
    pub console: Arc<Console>,
    pub router: Router,
    /// The token of `control.json`.
    pub local: String,
}

pub fn running() -> Running {
    Running {
        node: "alpha".into(),
        status: Arc::new(EngineStatus::default()),
        clock: Arc::new(GatewayClock::new(None)),
    }
}

pub fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::new("127.0.0.1:1".parse().unwrap()).unwrap();
    let records = Records::open(folder.path()).unwrap();
    let long_ago = Timestamp::from_millis(utc().millis() - 3_600_000);
    {
        let mut accounts = records.accounts();
        for role in gwp_console::role::ROLES {
            accounts.add_token(Token::new(role.to_string(), role, role.word(), None, utc())).unwrap();
        }
        accounts.add_token(Token::new("expired".into(), Role::Admin, "expired", Some(60), long_ago)).unwrap();
        let password = hash_password(PASSWORD).unwrap();
        let (name, since) = ("anna".into(), utc().to_string());
        accounts.add_user(User { name, role: Role::Engineer, password, since }).unwrap();
    }
    let gateway = Arc::new(Gateway::default());
    let local = access.token.clone();
    let console = Arc::new(Console::new(access, records, running(), gateway.clone(), gateway.clone()));
    Bench { folder, gateway, router: router(console.clone()), console, local }
}

pub const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

impl Bench {
    /// Asks; a body makes it JSON.
    pub async fn ask(
        &self,
        verb: &str,
        path: &str,
        token: Option<&str>,
        from: IpAddr,
        body: Option<&str>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(verb).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap();
        self.send(request, from).await
    }

    pub async fn send(&self, request: Request<Body>, from: IpAddr) -> Response<Body> {
        let peer = Extension(Peer(SocketAddr::new(from, 4711)));
        self.router.clone().layer(peer).oneshot(request).await.unwrap()
    }

    /// Status and JSON of an answer.
    pub async fn json(&self, verb: &str, path: &str, token: &str, body: Option<&str>) -> (StatusCode, Value) {
        read(self.ask(verb, path, Some(token), LOOPBACK, body).await).await
    }

    /// A login; the token, if it went well.
    pub async fn login(&self, user: &str, password: &str, from: IpAddr) -> (StatusCode, Value) {
        let body = json!({ "user": user, "password": password }).to_string();
        read(self.ask("POST", "/v1/login", None, from, Some(&body)).await).await
    }

    /// Lines of the audit log, the newest first, as `action target status`.
    pub fn audited(&self) -> Vec<String> {
        let lines = audit::newest(self.folder.path(), 0, u64::MAX, 1_000).unwrap();
        let told = lines.iter().map(|line| {
            let event = &line.event;
            format!("{} {} {} {}", event.by, event.action, event.target, event.status)
        });
        told.collect()
    }
}

pub async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
