//! Asks a running gateway.

use anyhow::{Context, bail};
use gwp_console::access::Access;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// A longer answer is not read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a gateway answered.
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// The body, if the gateway did what it was asked.
    ///
    /// # Errors
    /// What it says against it.
    pub fn done(self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        match self.body.get("error").and_then(Value::as_str) {
            Some(why) => bail!("{why}"),
            None => bail!("the gateway answered {}", self.status),
        }
    }
}

/// Asks the gateway that runs on a data directory.
///
/// # Errors
/// There is none, or it does not answer.
pub fn ask(data: &Path, method: Method, route: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let access = Access::of(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(TIMEOUT, exchange(&access, method, route, body)).await;
        answer
            .with_context(|| format!("the gateway on {} does not answer", data.display()))?
            .with_context(|| format!("the gateway on {} cannot be asked; does it still run?", data.display()))
    })
}

async fn exchange(
    access: &Access,
    method: Method,
    route: &str,
    body: Option<&Value>,
) -> anyhow::Result<Answer> {
    let stream = tokio::net::TcpStream::connect(access.address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(route)
        .header(HOST, access.address.to_string())
        .header(AUTHORIZATION, format!("Bearer {}", access.token))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    connection.abort();
    Ok(Answer { status, body: serde_json::from_slice(&bytes).context("the answer is not JSON")? })
}
