//! The listeners: one for the commands of this machine, and, where `[listen] control` names an address with TLS, one
//! for others.

use crate::access::{Access, Published};
use crate::console::{Console, Records, RecordsError, Running};
use crate::gate::{Peer, router};
use crate::limits::{CONNECTION_LIFE, CONNECTIONS_MAX, HANDSHAKE_TIME, HEAD_BYTES_MAX, HEAD_TIME, STOP_TIME};
use crate::live::LiveView;
use crate::operations::Operations;
use crate::tls::{self, TlsError, TlsFiles};
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// How long to wait when no connection can be taken, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// `[listen] control`
    pub control: SocketAddr,
    /// `[tls]`
    pub tls: Option<TlsFiles>,
}

/// Why the control interface cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "[listen] control = \"{0}\" can be reached from other machines, so it needs TLS: add [tls] with `certificate` \
         and `key`, or listen on 127.0.0.1"
    )]
    NoTls(SocketAddr),
    #[error(
        "[listen] control = \"{0}\" can be reached from other machines, but nobody could log in: add a user first with \
         `gwp user add NAME --role ROLE --data {1}`, or a token with `gwp token add`"
    )]
    Nobody(SocketAddr, PathBuf),
    #[error("[tls]: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("the control interface cannot be served on {0}")]
    Bind(SocketAddr, #[source] io::Error),
    #[error("the control interface cannot be started")]
    Start(#[source] io::Error),
}

impl BindError {
    /// True where what was told to the gateway is wrong, false where the machine refuses.
    pub fn is_configuration(&self) -> bool {
        matches!(self, BindError::NoTls(_) | BindError::Nobody(..) | BindError::Tls(_))
    }
}

/// Listeners that are bound and records that are open, before anything is served.
pub struct Bound {
    /// For the commands of this machine.
    local: TcpListener,
    others: Option<(TcpListener, TlsAcceptor)>,
    records: Records,
}

/// Binds and opens. Nothing is answered yet, so that a port in use costs nothing.
///
/// # Errors
/// See [`BindError`].
pub async fn bind(listen: &Listen, data: &Path) -> Result<Bound, BindError> {
    let address = listen.control;
    let is_open = !address.ip().is_loopback();
    if is_open && listen.tls.is_none() {
        return Err(BindError::NoTls(address));
    }
    let acceptor = listen.tls.as_ref().map(tls::acceptor).transpose()?;
    let records = Records::open(data)?;
    let nobody = records.accounts().users().is_empty() && records.accounts().tokens().is_empty();
    if is_open && nobody {
        return Err(BindError::Nobody(address, data.into()));
    }
    let bound =
        async |address| TcpListener::bind(address).await.map_err(|error| BindError::Bind(address, error));
    let listener = bound(address).await?;
    let (local, others) = match acceptor {
        None => (listener, None),
        // The certificate has the name of this machine, not of loopback; so its own commands have a way of their own.
        Some(acceptor) => (bound((Ipv4Addr::LOCALHOST, 0).into()).await?, Some((listener, acceptor))),
    };
    Ok(Bound { local, others, records })
}

impl Bound {
    /// Serves from now on, and leaves `control.json` in the data directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn serve(
        self,
        running: Running,
        operations: Arc<dyn Operations>,
        live: Arc<dyn LiveView>,
    ) -> Result<Serving, BindError> {
        let Bound { local, others, records } = self;
        let access = local.local_addr().and_then(Access::new).map_err(BindError::Start)?;
        let published = access.publish(records.data()).map_err(BindError::Start)?;
        let console = Arc::new(Console::new(access, records, running, operations, live));
        let app = router(console.clone());
        let stopping = || console.stopping.subscribe();
        let mut loops = vec![tokio::spawn(listen_on(local, None, app.clone(), stopping()))];
        if let Some((listener, acceptor)) = others {
            if let Ok(address) = listener.local_addr() {
                tracing::info!("control interface on https://{address}");
            }
            loops.push(tokio::spawn(listen_on(listener, Some(acceptor), app, stopping())));
        }
        Ok(Serving { console, loops, published })
    }
}

/// A control interface that answers.
pub struct Serving {
    pub console: Arc<Console>,
    loops: Vec<tokio::task::JoinHandle<()>>,
    published: Published,
}

impl Serving {
    /// Takes no more connections, and waits a bounded time for answers that are on their way.
    pub async fn stop(self) {
        drop(self.published);
        self.console.stopping.send_replace(true);
        let ended = async {
            for listening in self.loops {
                let _ = listening.await;
            }
        };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::warn!("some answers of the control interface were cut off");
        }
    }
}

/// Takes connections until the gateway stops, then waits for those that are there.
async fn listen_on(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let taken = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (taken, place) = tokio::select! {
            taken = taken => taken,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        match taken {
            Ok((stream, from)) => {
                let connection = connection(stream, from, tls.clone(), app.clone(), graceful.watcher());
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION_LIFE, connection).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control interface cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => answer(stream, from, app, watcher).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, from, app, watcher).await,
            Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS with a client"),
            Err(_) => tracing::debug!(%from, "a client took too long to agree on TLS"),
        },
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    from: SocketAddr,
    app: Router,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(app.layer(Extension(Peer(from))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%from, %error, "a connection of the control interface ended");
    }
}
