//! Users and tokens of a data directory: changed by the gateway that runs on it, or here while none does.
//!
//! Who holds the lock of the console's files may change them. Without a gateway it is taken here, and the same routes
//! answer that a gateway has: one code checks, writes and records either way.

use super::client::{self, Answer};
use super::operations::NoGraph;
use crate::cli::GatewayArgs;
use anyhow::{Context, bail};
use axum::Extension;
use axum::body::Body;
use gwp_console::access::Access;
use gwp_console::gate::{Peer, router};
use gwp_console::home::HomeError;
use gwp_console::{Console, Records, RecordsError, Running};
use gwp_engine::GatewayClock;
use http_body_util::BodyExt;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tower::ServiceExt;

/// Asks the gateway, or answers as it would if none runs on the data directory.
///
/// # Errors
/// The gateway does not answer, or the files of the data directory cannot be used.
pub fn ask(args: &GatewayArgs, method: Method, route: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    if args.node_url.is_some() {
        return client::ask(args, method, route, body);
    }
    if method == Method::GET && !args.data.is_dir() {
        bail!("there is no data directory {}; name the one of the gateway with --data", args.data.display());
    }
    match Records::open(&args.data) {
        Ok(records) => answer(records, method, route, body),
        Err(RecordsError::Home(HomeError::Taken(_))) => client::ask(args, method, route, body),
        Err(error) => Err(error.into()),
    }
}

fn answer(records: Records, method: Method, route: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let access = Access::new(here)?;
    let mut request = Request::builder().method(method).uri(route);
    request = request.header(AUTHORIZATION, format!("Bearer {}", access.token));
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Body::from(body.map(Value::to_string).unwrap_or_default()))?;
    let nothing =
        Running { node: String::new(), status: Arc::default(), clock: Arc::new(GatewayClock::new(None)) };
    let nobody = Arc::new(NoGraph::nobody());
    let console = Console::new(access, records, nothing, nobody.clone(), nobody);
    let routes = router(Arc::new(console)).layer(Extension(Peer(here)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = routes.oneshot(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.context("the answer cannot be read")?.to_bytes();
        Ok(Answer { status, body: serde_json::from_slice(&bytes).context("the answer is not JSON")? })
    })
}
