//! Asks a running gateway: the one on a data directory, or one elsewhere over TLS.

use crate::cli::GatewayArgs;
use anyhow::{Context, bail};
use gwp_console::access::Access;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// A longer answer is not read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A line of an event is not longer.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// How long to wait for an answer: longer than a gateway takes to say that it needs longer.
const TIMEOUT: Duration = Duration::from_secs(70);

/// A larger file holds no token.
const TOKEN_FILE_BYTES_MAX: u64 = 4_096;

/// Port of a URL that names none.
const PORT: u16 = 9465;

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

/// Where a gateway is, and how to be let in.
struct Target {
    /// As messages name it.
    name: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    token: String,
}

impl Target {
    fn of(args: &GatewayArgs) -> anyhow::Result<Target> {
        let Some(url) = &args.node_url else {
            if args.token_file.is_some() || args.ca.is_some() {
                bail!("--token-file and --ca belong to --node-url");
            }
            let Access { address, token } = Access::of(&args.data)?;
            let (host, port) = (address.ip().to_string(), address.port());
            return Ok(Target { name: args.data.display().to_string(), host, port, tls: None, token });
        };
        let Some(token_file) = &args.token_file else {
            bail!("--node-url needs --token-file FILE, with a token of `gwp token add` on that gateway");
        };
        let wrong = || format!("`{url}` is no address of a gateway: https://host:{PORT}");
        let uri: Uri = url.parse().with_context(wrong)?;
        let host = uri.host().with_context(wrong)?.trim_matches(['[', ']']).to_owned();
        let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let tls = match uri.scheme_str() {
            Some("https") => Some(connector(args.ca.as_deref())?),
            Some("http") if is_loopback => None,
            Some("http") => bail!("{url}: a token must not travel readable; use https://"),
            _ => bail!("{}", wrong()),
        };
        let port = uri.port_u16().unwrap_or(PORT);
        Ok(Target { name: url.clone(), host, port, tls, token: token(token_file)? })
    }
}

fn token(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("the token file {} cannot be read", path.display());
    let size = std::fs::metadata(path).with_context(unreadable)?.len();
    if size > TOKEN_FILE_BYTES_MAX {
        bail!("{} is too large for a token", path.display());
    }
    Ok(std::fs::read_to_string(path).with_context(unreadable)?.trim().to_owned())
}

/// TLS that trusts the authorities of a file, else those of this machine.
fn connector(ca: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let unreadable = || format!("the certificates of {} cannot be read", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
                roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        bail!("no authority to trust was found; name one with --ca FILE");
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Asks a gateway.
///
/// # Errors
/// There is none, or it does not answer.
pub fn ask(args: &GatewayArgs, method: Method, route: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let target = Target::of(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(TIMEOUT, exchange(&target, method, route, body)).await;
        answer
            .with_context(|| format!("the gateway on {} does not answer", target.name))?
            .with_context(|| format!("the gateway on {} cannot be asked; does it still run?", target.name))
    })
}

/// A connection to a gateway, with or without TLS.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// Sends a request; the connection lives as long as the task that is given back.
async fn send(
    target: &Target,
    method: Method,
    route: &str,
    body: Option<&Value>,
) -> anyhow::Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
    let host = match target.host.contains(':') {
        true => format!("[{}]:{}", target.host, target.port),
        false => format!("{}:{}", target.host, target.port),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(route)
        .header(HOST, host)
        .header(AUTHORIZATION, format!("Bearer {}", target.token));
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    let wire: Box<dyn Wire> = match &target.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connect(ServerName::try_from(target.host.clone())?, stream).await?),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
    let connection = tokio::spawn(connection);
    Ok((sender.send_request(request).await?, connection))
}

async fn exchange(
    target: &Target,
    method: Method,
    route: &str,
    body: Option<&Value>,
) -> anyhow::Result<Answer> {
    let (answer, connection) = send(target, method, route, body).await?;
    let answer = whole(answer).await;
    connection.abort();
    answer
}

async fn whole(answer: Response<Incoming>) -> anyhow::Result<Answer> {
    let status = answer.status();
    let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    Ok(Answer { status, body: serde_json::from_slice(&bytes).context("the answer is not JSON")? })
}

/// Follows a route of server-sent events until Ctrl-C, or until `each` has had enough of the data.
///
/// # Errors
/// The gateway cannot be asked, refuses, or ends the stream.
pub fn follow(args: &GatewayArgs, route: &str, mut each: impl FnMut(Value) -> bool) -> anyhow::Result<()> {
    let target = Target::of(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = tokio::time::timeout(TIMEOUT, send(&target, Method::GET, route, None)).await;
        let (answer, _connection) = begun
            .with_context(|| format!("the gateway on {} does not answer", target.name))?
            .with_context(|| format!("the gateway on {} cannot be asked; does it still run?", target.name))?;
        if !answer.status().is_success() {
            return whole(answer).await?.done().map(|_| ());
        }
        let (mut body, mut events) = (answer.into_body(), Events::default());
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let Some(frame) = frame else { bail!("the gateway on {} ended the stream", target.name) };
            if let Some(bytes) = frame?.data_ref()
                && !events.take(bytes)?.into_iter().all(&mut each)
            {
                return Ok(());
            }
        }
    })
}

/// Puts the data of events together.
#[derive(Default)]
struct Events {
    /// A line that has not ended yet.
    line: Vec<u8>,
}

impl Events {
    /// The data that is complete with these bytes; every event of a gateway has one line of it.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > EVENT_BYTES_MAX {
                bail!("an event of the gateway is too large");
            }
            if part.ends_with(b"\n") {
                if let Some(data) = self.line.strip_prefix(b"data:") {
                    found.push(serde_json::from_slice(data).context("an event is not JSON")?);
                }
                self.line.clear();
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let text = b": nothing changed\n\nevent: value\ndata: {\"a\":1}\n\nevent: value\ndata: {\"a\":2}\n\n";
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<Value> = text.chunks(size).flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(found, [json!({ "a": 1 }), json!({ "a": 2 })], "pieces of {size}");
        }
        assert!(Events::default().take(b"data: {\n").is_err());
        assert!(Events::default().take(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err());
    }
}
