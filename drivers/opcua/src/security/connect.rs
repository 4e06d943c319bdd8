//! Making a session: endpoints are asked for, one is chosen, the server's certificate is judged, then the
//! library connects to the address that was given.
//!
//! What the library's event loop does on its own, so that who drives it knows:
//!
//! - It must be polled all the time, or nothing is sent or received. Between polls nothing happens.
//! - It renews the secure channel and reads the server's state every `keep_alive`; after two failures in a row
//!   it closes the session. Requests that time out do not end the connection.
//! - When the connection is lost it says `ConnectionLost` and tries **once** to connect and to log in again, at
//!   once; if that fails, the stream ends with the status and [`connect`] has to be called again, after a pause.
//!   On a secure channel the old session cannot be taken up again (the library signs the wrong nonce), so it
//!   makes a new one (`Reconnected(NewSession)`); the old one lives on the server until `session_timeout`.
//! - It never recreates or transfers subscriptions here. After any reconnection it sends no publish request by
//!   itself until one is triggered (`Session::trigger_publish_now`), even though subscriptions are still known.

use super::certificate::{Facts, Unfit};
use super::endpoint::{self, Chosen};
use super::options::{Identity, Mode, Options, Policy};
use super::own::{self, Own};
use super::store::{Store, StoreError, Trust};
use super::words::{ConnectError, explain};
use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use opcua::client::transport::TcpConnector;
use opcua::client::{Client, ClientBuilder, IdentityToken, Session, SessionEventLoop, SessionPollResult};
use opcua::crypto::CertificateStore;
use opcua::types::{EndpointDescription, Error, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Largest message of a server that is taken.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Chunks of such a message: servers cut them at 8 KiB or more.
const CHUNKS_MAX: usize = MESSAGE_BYTES_MAX / 8_192;
/// Longest text or byte string in it.
const STRING_BYTES_MAX: usize = 16 << 20;
/// Longest array in it.
const ARRAY_MAX: usize = 1 << 20;
/// Signs of life in a row that may stay away.
const KEEP_ALIVES_MISSED_MAX: u64 = 2;

/// What later faults of a session are explained with.
#[derive(Clone, Debug)]
pub struct Context {
    pub url: String,
    pub mode: Mode,
    /// `None` without security.
    pub policy: Option<Policy>,
    pub(super) identity: Identity,
    /// Name of the server's application, as it says it.
    pub server: String,
    pub own_certificate: PathBuf,
    pub own_thumbprint: String,
    /// The session has stood: a closed connection is a lost one then, and no sign of missing trust.
    pub(super) has_stood: bool,
    /// What an operator should know although it goes on, for the log.
    pub warnings: Vec<String>,
}

impl Context {
    /// What the status means with which the event loop ended.
    pub fn explain(&self, status: StatusCode) -> ConnectError {
        explain(status, self)
    }

    /// What it means that the event loop ended without a status.
    pub fn ended(&self) -> ConnectError {
        explain(StatusCode::BadConnectionClosed, self)
    }
}

/// A session that is not connected yet: its event loop does that when it is polled.
pub struct Prepared {
    pub session: Arc<Session>,
    pub event_loop: SessionEventLoop<TcpConnector>,
    pub context: Context,
}

/// A session that stands.
pub struct Connection {
    pub session: Arc<Session>,
    /// The event loop: it has to be polled all the time. See the module for what it does by itself.
    pub events: BoxStream<'static, Result<SessionPollResult, StatusCode>>,
    pub context: Context,
}

/// Makes a session and waits until it stands.
///
/// # Errors
/// In plain words, with what mends it. [`ConnectError::needs_person`] tells whether trying again is of use.
pub async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    let Prepared { session, event_loop, mut context } = prepare(options).await?;
    let mut events = event_loop.enter().boxed();
    let standing = async {
        loop {
            match events.next().await {
                Some(Ok(SessionPollResult::Reconnected(_))) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(status)) => return Err(status),
                None => return Err(StatusCode::BadConnectionClosed),
            }
        }
    };
    match timeout(options.connect_timeout, standing).await {
        Ok(Ok(())) => {
            context.has_stood = true;
            Ok(Connection { session, events, context })
        }
        Ok(Err(status)) => Err(context.explain(status)),
        Err(_) => Err(silent(options)),
    }
}

/// Does all that comes before connecting: asks for the endpoints (on a connection of its own, without
/// security), chooses one, judges the server's certificate.
///
/// # Errors
/// As [`connect`].
pub async fn prepare(options: &Options) -> Result<Prepared, ConnectError> {
    let host = host_of(&options.url)?;
    let store = Store::at(&options.pki);
    // Making the certificate takes a while, and files are read.
    let (own, mut client) = blocking({
        let (store, options) = (store.clone(), options.clone());
        move || {
            let own = store.own()?;
            let client = client(&options, &own)?;
            Ok::<_, StoreError>((own, client))
        }
    })
    .await?;
    let endpoints = endpoints(&client, options).await?;
    let chosen = endpoint::choose(&endpoints, &options.url, options.mode, options.policy, &options.identity)?;
    let identity = blocking({
        let (options, endpoint) = (options.clone(), chosen.endpoint.clone());
        move || {
            if options.mode != Mode::None {
                judge(&store, &options, &host, &endpoint)?;
            }
            token(&options.identity)
        }
    })
    .await?;
    let context = context(options, &chosen, &own);
    let (session, event_loop) = client
        .connect_to_endpoint_directly(chosen.endpoint, identity)
        .map_err(|error| ConnectError::Other { url: options.url.clone(), status: error.status() })?;
    Ok(Prepared { session, event_loop, context })
}

fn context(options: &Options, chosen: &Chosen, own: &Own) -> Context {
    let mut warnings: Vec<String> = own.warning(Timestamp::now()).into_iter().collect();
    if chosen.plain_password {
        warnings.push(format!(
            "the password goes to {} over the network as it is: without security this server takes it no other way",
            options.url
        ));
    }
    Context {
        url: options.url.clone(),
        mode: options.mode,
        policy: chosen.policy,
        identity: options.identity.clone(),
        server: super::certificate::printable(chosen.endpoint.server.application_name.text.as_ref()),
        own_certificate: own.certificate.clone(),
        own_thumbprint: own.facts.thumbprint.clone(),
        has_stood: false,
        warnings,
    }
}

/// Whether it is the address of a server.
pub fn is_address(url: &str) -> bool {
    host_of(url).is_ok()
}

/// The host of an address.
fn host_of(url: &str) -> Result<String, ConnectError> {
    let wrong = || ConnectError::Address { url: super::certificate::printable(url) };
    if !url.starts_with("opc.tcp://") || !opcua::core::comms::url::is_valid_opc_ua_url(url) {
        return Err(wrong());
    }
    match opcua::core::comms::url::hostname_from_url(url) {
        Ok(host) if !host.is_empty() => Ok(host),
        _ => Err(wrong()),
    }
}

fn client(options: &Options, own: &Own) -> Result<Client, StoreError> {
    let (certificate, key) = own::paths();
    let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    ClientBuilder::new()
        .application_name("gwp")
        .application_uri(own.application_uri())
        .product_uri("urn:gwp")
        .session_name(&options.session_name)
        .pki_dir(&options.pki)
        .certificate_path(certificate)
        .private_key_path(key)
        .create_sample_keypair(false)
        .trust_server_certs(false)
        // The pin stays; names and validity are checked in `judge`, in better words.
        .verify_server_certs(false)
        .session_retry_limit(0)
        .session_timeout(milliseconds(options.session_timeout))
        .request_timeout(options.request_timeout)
        .keep_alive_interval(options.keep_alive)
        .max_failed_keep_alive_count(KEEP_ALIVES_MISSED_MAX)
        .recreate_subscriptions(false)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_chunk_count(CHUNKS_MAX)
        .max_string_length(STRING_BYTES_MAX)
        .max_byte_string_length(STRING_BYTES_MAX)
        .max_array_length(ARRAY_MAX)
        .client()
        .map_err(|errors| StoreError::Make { why: errors.join("; ") })
}

async fn endpoints(client: &Client, options: &Options) -> Result<Vec<EndpointDescription>, ConnectError> {
    let asked = client.get_server_endpoints_from_url(options.url.as_str());
    match timeout(options.connect_timeout, asked).await {
        Ok(Ok(endpoints)) => Ok(endpoints),
        Ok(Err(error)) => Err(unlisted(&error, &options.url)),
        Err(_) => Err(silent(options)),
    }
}

fn unlisted(error: &Error, url: &str) -> ConnectError {
    let (url, why) = (url.into(), super::certificate::printable(&error.to_string()));
    match error.status() {
        StatusCode::BadCommunicationError | StatusCode::BadTcpEndpointUrlInvalid => {
            ConnectError::Unreachable { url, why }
        }
        _ => ConnectError::NoServer { url, why },
    }
}

fn silent(options: &Options) -> ConnectError {
    ConnectError::Silent { url: options.url.clone(), seconds: options.connect_timeout.as_secs() }
}

/// Whether the server that was met may be spoken with.
fn judge(
    store: &Store,
    options: &Options,
    host: &str,
    endpoint: &EndpointDescription,
) -> Result<(), ConnectError> {
    let url = options.url.clone();
    let unfit = |thumbprint: &str, unfit: Unfit| ConnectError::Unfit {
        url: url.clone(),
        thumbprint: thumbprint.into(),
        unfit,
    };
    let facts =
        Facts::of_bytes(endpoint.server_certificate.as_ref()).map_err(|error| unfit("unknown", error))?;
    let now = Timestamp::now();
    if store.judge(&facts, &url, now)? == Trust::Rejected {
        let file = store.folder().join("rejected").join(format!("{}.der", facts.thumbprint));
        return Err(ConnectError::Untrusted {
            url,
            subject: facts.subject,
            thumbprint: facts.thumbprint,
            file,
            pki: options.pki.clone(),
        });
    }
    facts.check(now).map_err(|error| unfit(&facts.thumbprint, error))?;
    if options.check_names {
        let names = facts.check_names(host, endpoint.server.application_uri.as_ref());
        names.map_err(|unfit| ConnectError::Names { url, unfit })?;
    }
    Ok(())
}

fn token(identity: &Identity) -> Result<IdentityToken, ConnectError> {
    match identity {
        Identity::Anonymous => Ok(IdentityToken::Anonymous),
        Identity::User { name, password } => Ok(IdentityToken::new_user_name(name, password)),
        Identity::Certificate { certificate, key } => {
            let facts = super::store::read_certificate(certificate)?;
            let x509 = opcua::crypto::X509::from_der(&facts.der).map_err(|_| StoreError::Certificate {
                file: certificate.clone(),
                unfit: Unfit::Unreadable,
            })?;
            let key = CertificateStore::read_pkey(key).map_err(|_| StoreError::Key { file: key.clone() })?;
            Ok(IdentityToken::new_x509(x509, key))
        }
    }
}

async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ConnectError>
where
    ConnectError: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(StoreError::Make { why: error.to_string() }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_texts() {
        assert_eq!(host_of("opc.tcp://10.1.4.40:4840").unwrap(), "10.1.4.40");
        assert_eq!(host_of("opc.tcp://plc.plant.example/ua").unwrap(), "plc.plant.example");
        assert_eq!(host_of("opc.tcp://[::1]:4840").unwrap(), "[::1]");
        for wrong in ["10.1.4.40", "http://plc", "opc.tcp://", "opc.https://plc", "opc.tcp://:4840", ""] {
            assert!(host_of(wrong).is_err(), "{wrong}");
        }
    }
}
