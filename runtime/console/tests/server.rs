//! The listeners: what is refused before anything is served, TLS, and an end that cuts nobody off.

mod common;

use common::{Gateway, running};
use gwp_console::Role;
use gwp_console::access::Access;
use gwp_console::accounts::{Accounts, Token};
use gwp_console::console::utc;
use gwp_console::live::LiveValue;
use gwp_console::server::{BindError, Listen, Serving, bind};
use gwp_console::tls::TlsFiles;
use gwp_core::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn listen(address: &str, tls: Option<TlsFiles>) -> Listen {
    Listen { control: address.parse().unwrap(), tls }
}

fn certificate(folder: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("gw.pem"), folder.join("gw.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    TlsFiles { certificate, key }
}

async fn serve(folder: &Path, listen: &Listen) -> (Serving, Arc<Gateway>, Access) {
    let gateway = Arc::new(Gateway::default());
    let bound = bind(listen, folder).await.unwrap();
    let serving = bound.serve(running(), gateway.clone(), gateway.clone()).unwrap();
    (serving, gateway, Access::of(folder).unwrap())
}

fn request(route: &str, token: &str) -> String {
    format!("GET {route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
}

/// All that is answered on a connection until it is closed.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_address_that_others_reach_needs_tls_and_somebody_who_can_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9465"] {
        let refused = bind(&listen(address, None), folder).await.err().unwrap();
        assert!(matches!(refused, BindError::NoTls(_)) && refused.is_configuration(), "{refused}");
    }
    let tls = Some(certificate(folder));
    let refused = bind(&listen("0.0.0.0:0", tls.clone()), folder).await.err().unwrap();
    assert!(matches!(refused, BindError::Nobody(..)), "{refused}");
    let swapped = TlsFiles { key: folder.join("gw.pem"), ..tls.clone().unwrap() };
    let refused = bind(&listen("127.0.0.1:0", Some(swapped)), folder).await.err().unwrap();
    assert!(matches!(refused, BindError::Tls(_)), "{refused}");
    let token = Token::new("scada".into(), Role::Viewer, "secret", None, utc());
    Accounts::load(folder).unwrap().add_token(token).unwrap();
    bind(&listen("0.0.0.0:0", tls), folder).await.unwrap();
}

#[tokio::test]
async fn two_gateways_cannot_have_one_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let _one = bind(&listen("127.0.0.1:0", None), folder.path()).await.unwrap();
    let refused = bind(&listen("127.0.0.1:0", None), folder.path()).await.err().unwrap();
    assert!(refused.to_string().contains("in use") && !refused.is_configuration(), "{refused}");
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_named_and_the_machine_keeps_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let files = certificate(folder);
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (serving, _, access) = serve(folder, &Listen { control: address, tls: Some(files.clone()) }).await;
    assert_ne!(access.address, address);
    let local = TcpStream::connect(access.address).await.unwrap();
    assert!(ask(local, &request("/v1/status", &access.token)).await.starts_with("HTTP/1.1 200"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert!(ask(stream, &request("/v1/health", "")).await.contains("{\"ok\":true}"));

    let plain = TcpStream::connect(address).await.unwrap();
    assert!(!ask(plain, &request("/v1/health", "")).await.contains("ok"));
    serving.stop().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_closed_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (serving, _, access) = serve(folder.path(), &listen("127.0.0.1:0", None)).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for text in
        ["\r\n\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long]
    {
        let stream = TcpStream::connect(access.address).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let _ = writing.write_all(text.as_bytes()).await;
        let _ = writing.shutdown().await;
        let mut answer = Vec::new();
        let _ = reading.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let stream = TcpStream::connect(access.address).await.unwrap();
    assert!(ask(stream, &request("/v1/status", &access.token)).await.starts_with("HTTP/1.1 200"));
    serving.stop().await;
}

#[tokio::test]
async fn a_stop_ends_watchers_and_takes_the_file_away() {
    let folder = tempfile::tempdir().unwrap();
    let (serving, gateway, access) = serve(folder.path(), &listen("127.0.0.1:0", None)).await;
    let address: SocketAddr = access.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request("/v1/live?tags=press.oil", &access.token).as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let sender = gateway.watchers.lock().unwrap().pop().unwrap();
    let value =
        LiveValue { path: "press.oil".into(), time: Timestamp(0), value: 5.into(), quality: "good".into() };
    assert!(sender.send(value));
    let mut seen = String::new();
    while !seen.contains("\"value\":5") {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    serving.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(Access::of(folder.path()).is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
