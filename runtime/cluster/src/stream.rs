//! The stream between the two nodes of a pair: TLS 1.3, each side knows the other's key.
//!
//! ```text
//!            secret of the pair
//!        HKDF /              \ HKDF
//!   key of the primary    key of the backup          (Ed25519)
//!
//!   primary: signs with its own, lets the backup's through; backup: the other way round
//!
//!   connects                                    accepts
//!      |------------- TLS 1.3, both keys ---------->|
//!      |<------------ "gwp", version ---------------|   only now does it know it is let through
//!      |------------- "gwp", version -------------->|
//!      |<============ messages (bulk) =============>|
//! ```
//!
//! In TLS 1.3 the connecting side is done before its own key has been looked at. So the accepting
//! side speaks first: a node that is refused is told so by [`StreamKeys::connect`], and not by
//! the first message that does not come.
//!
//! Nothing is resumed and nothing is sent early: every connection proves both keys anew. Who has
//! the secret, a witness too, could make either key; it is for members alone.

mod pin;

use crate::seal::Secret;
use gwp_redundancy::member::NodeId;
use pin::{NotThePeer, Pinned};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::pki_types::ServerName;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, OtherError, ServerConfig};
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Version of what is said after the handshake. Both nodes speak the same.
pub const VERSION: u8 = 1;

/// TCP connection, handshake and greeting together take no longer.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

const GREETING: [u8; 4] = [b'g', b'w', b'p', VERSION];

/// An idle connection is looked after by TCP as well. Who listens sees silence sooner.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
    #[error("no connection to the peer: {0}")]
    Io(io::Error),
    #[error("the peer has not proved its key within {0:?}: is that address a gwp of the pair?")]
    TooSlow(Duration),
    #[error("the peer has another secret: give all members of the pair the same one")]
    Stranger,
    #[error("the peer is the {} as well: make one node the primary and the other the backup", name(*.0))]
    OwnRole(NodeId),
    #[error(
        "the peer does not let this node through: give both nodes the same secret, and make one of \
         them the primary and the other the backup"
    )]
    RefusedByPeer,
    #[error("what is at the other end speaks no TLS: only the peer may use this port")]
    NotTls,
    #[error("the peer does not speak TLS 1.3 with raw public keys ({0}): is it a gwp of the pair?")]
    Incompatible(String),
    #[error("the peer closed the connection before its key was proved")]
    Closed,
    #[error("the peer speaks version {0} of the stream, not {VERSION}: run the same version of gwp on both")]
    Version(u8),
    #[error("the peer has the key and does not speak as a gwp does")]
    Greeting,
    #[error("TLS with the peer failed: {0}")]
    Tls(rustls::Error),
}

fn name(node: NodeId) -> &'static str {
    match node {
        NodeId::Primary => "primary",
        NodeId::Backup => "backup",
    }
}

/// What a node needs to open streams to its peer, and to let it in.
#[derive(Clone)]
pub struct StreamKeys {
    me: NodeId,
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    limit: Duration,
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKeys({})", name(self.me))
    }
}

impl StreamKeys {
    /// For node `me` of the pair that has this secret.
    ///
    /// # Errors
    /// [`StreamError::Setup`], which would be a mistake of this program.
    pub fn new(secret: &Secret, me: NodeId) -> Result<StreamKeys, StreamError> {
        let (key, pinned) = pin::keys(secret, me).map_err(StreamError::Setup)?;
        StreamKeys::of(me, &Arc::new(key), &Arc::new(pinned)).map_err(StreamError::Setup)
    }

    fn of(me: NodeId, key: &Arc<CertifiedKey>, pinned: &Arc<Pinned>) -> Result<StreamKeys, rustls::Error> {
        let (client, server) = configs(key, pinned)?;
        Ok(StreamKeys {
            me,
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            limit: HANDSHAKE_LIMIT,
        })
    }

    /// The same with another limit than [`HANDSHAKE_LIMIT`].
    pub fn with_limit(self, limit: Duration) -> StreamKeys {
        StreamKeys { limit, ..self }
    }

    /// Makes a stream of a connection that came in. The caller bounds how many it tries at once.
    ///
    /// # Errors
    /// It is not the peer, or does not prove it in time.
    pub async fn accept(&self, tcp: TcpStream) -> Result<Stream, StreamError> {
        self.in_time(async {
            prepare(&tcp).map_err(StreamError::Io)?;
            let tls = self.acceptor.accept(tcp).await.map_err(|error| self.tell(error))?;
            let mut stream = Stream(TlsStream::Server(tls));
            self.greet(&mut stream).await?;
            self.hear_greeting(&mut stream).await?;
            Ok(stream)
        })
        .await
    }

    /// Opens a stream to the peer at this address.
    ///
    /// # Errors
    /// Nobody listens there, or it is not the peer, or it does not prove it in time.
    pub async fn connect(&self, to: SocketAddr) -> Result<Stream, StreamError> {
        self.in_time(async {
            let tcp = TcpStream::connect(to).await.map_err(StreamError::Io)?;
            self.secure(tcp).await
        })
        .await
    }

    /// The same over a connection that the caller has opened, say from an address of its choice.
    ///
    /// # Errors
    /// As of [`StreamKeys::connect`].
    pub async fn connect_over(&self, tcp: TcpStream) -> Result<Stream, StreamError> {
        self.in_time(self.secure(tcp)).await
    }

    async fn secure(&self, tcp: TcpStream) -> Result<Stream, StreamError> {
        prepare(&tcp).map_err(StreamError::Io)?;
        // A name is wanted by the interface; it is neither sent nor compared.
        let name = ServerName::try_from("gwp").map_err(|_| StreamError::Greeting)?;
        let tls = self.connector.connect(name, tcp).await.map_err(|error| self.tell(error))?;
        let mut stream = Stream(TlsStream::Client(tls));
        // Not before the other side has spoken: what it has not read when it refuses would make
        // TCP take back the alert that says so.
        self.hear_greeting(&mut stream).await?;
        self.greet(&mut stream).await?;
        Ok(stream)
    }

    async fn in_time(
        &self,
        made: impl Future<Output = Result<Stream, StreamError>>,
    ) -> Result<Stream, StreamError> {
        let late = |_| Err(StreamError::TooSlow(self.limit));
        tokio::time::timeout(self.limit, made).await.unwrap_or_else(late)
    }

    async fn greet(&self, stream: &mut Stream) -> Result<(), StreamError> {
        stream.write_all(&GREETING).await.map_err(|error| self.tell(error))?;
        stream.flush().await.map_err(|error| self.tell(error))
    }

    async fn hear_greeting(&self, stream: &mut Stream) -> Result<(), StreamError> {
        let mut heard = [0; GREETING.len()];
        stream.read_exact(&mut heard).await.map_err(|error| self.tell(error))?;
        match heard {
            GREETING => Ok(()),
            [b'g', b'w', b'p', other] => Err(StreamError::Version(other)),
            _ => Err(StreamError::Greeting),
        }
    }

    /// What an error of TLS means here.
    fn tell(&self, error: io::Error) -> StreamError {
        use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
                match why.downcast_ref::<NotThePeer>() {
                    Some(NotThePeer::OwnRole) => StreamError::OwnRole(self.me),
                    _ => StreamError::Stranger,
                }
            }
            Some(AlertReceived(AlertDescription::CertificateUnknown)) => StreamError::RefusedByPeer,
            Some(AlertReceived(
                alert @ (AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure),
            )) => StreamError::Incompatible(format!("{alert:?}")),
            Some(InvalidMessage(_)) => StreamError::NotTls,
            Some(PeerIncompatible(why)) => StreamError::Incompatible(format!("{why:?}")),
            Some(other) => StreamError::Tls(other.clone()),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => StreamError::Closed,
                _ => StreamError::Io(error),
            },
        }
    }
}

type Configs = (ClientConfig, ServerConfig);

fn configs(key: &Arc<CertifiedKey>, pinned: &Arc<Pinned>) -> Result<Configs, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(pinned) as _)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(key))));
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::clone(pinned) as _)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(key))));
    server.send_tls13_tickets = 0;
    Ok((client, server))
}

/// Small messages go out at once, and a dead host is noticed.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// Bytes to and from the peer, and nobody else.
#[derive(Debug)]
pub struct Stream(TlsStream<TcpStream>);

impl Stream {
    /// Where the peer is.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "stream/tests.rs"]
mod tests;
