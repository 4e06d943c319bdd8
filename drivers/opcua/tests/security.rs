//! Security of the driver against servers of other people's making: asyncua (Python), node-opcua (JavaScript) and
//! open62541 (C).
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, node and npm. Otherwise it says that it was skipped.

#[path = "security/peer.rs"]
mod peer;

use futures_util::StreamExt;
use gwp_driver_opcua::security::{
    ConnectError, Connection, Identity, Mode, Options, Policy, Store, Trust, connect,
};
use opcua::crypto::{X509, X509Data};
use opcua::types::{NodeId, ReadValueId, TimestampsToReturn, Variant};
use peer::{Folder, Peer, enabled};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PLANT: &str = "urn:gwp:plant";

fn options(peer: &Peer, pki: &Path, mode: Mode) -> Options {
    let mut options = Options::new(&peer.url, pki);
    options.mode = mode;
    options.check_names = peer.named;
    options.session_name = "gwp test".into();
    // node-opcua proves its key at its leisure when other tests run beside.
    options.connect_timeout = Duration::from_secs(60);
    options.request_timeout = Duration::from_secs(30);
    options
}

fn user(password: &str) -> Identity {
    Identity::User { name: "anna".into(), password: password.into() }
}

/// Reads `Line.Speed` through a session and ends it in order.
async fn speed(connection: Connection) -> f64 {
    let Connection { session, mut events, .. } = connection;
    let driven = tokio::spawn(async move { while let Some(Ok(_)) = events.next().await {} });
    let index = session.get_namespace_index(PLANT).await.expect("the namespace");
    let wanted = [ReadValueId::new_value(NodeId::new(index, "Line.Speed"))];
    let values = session.read(&wanted, TimestampsToReturn::Both, 0.0).await.expect("values");
    session.disconnect().await.expect("it ends");
    driven.await.expect("its loop ends");
    match values[0].value {
        Some(Variant::Double(speed)) => speed,
        ref other => panic!("{other:?}"),
    }
}

/// The error of a connection that must not come about.
async fn refused(options: &Options) -> ConnectError {
    match connect(options).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

/// Trusts whatever the first attempt met.
async fn trust(options: &Options) {
    let error = refused(options).await;
    let ConnectError::Untrusted { thumbprint, file, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("gwp certs trust {thumbprint}")), "{error}");
    assert!(file.exists(), "{}", file.display());
    let store = Store::at(&options.pki);
    let entry = store.find(thumbprint).expect("it was kept");
    assert_eq!(entry.seen.as_ref().expect("where").url, options.url);
    assert!(store.put(&entry.facts, Trust::Trusted).expect("it is written"));
    assert!(!file.exists());
}

/// Every mode with every policy, anonymous and with a password.
async fn every_security(peer: &Peer, pki: &Path) {
    trust(&options(peer, pki, Mode::Sign)).await;
    for mode in Mode::ALL {
        for policy in Policy::ALL {
            for identity in [Identity::Anonymous, user("secret")] {
                let mut options = options(peer, pki, mode);
                options.identity = identity;
                options.policy = Some(policy);
                let connection =
                    connect(&options).await.unwrap_or_else(|error| panic!("{mode} {policy}: {error}"));
                let expected = (mode != Mode::None).then_some(policy);
                assert_eq!(connection.context.policy, expected);
                assert!(connection.context.warnings.is_empty(), "{:?}", connection.context.warnings);
                assert_eq!(speed(connection).await, 12.5, "{mode} {policy} {options:?}");
            }
        }
    }
    // Without a policy the best one is taken.
    let connection = connect(&options(peer, pki, Mode::SignAndEncrypt)).await.expect("it connects");
    assert_eq!(connection.context.policy, Some(Policy::Aes256Sha256RsaPss));
    assert_eq!(speed(connection).await, 12.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_and_policy_with_asyncua() {
    if enabled() {
        let folder = Folder::new("all-asyncua");
        let peer = Peer::asyncua(&folder.0.join("server"), &[]);
        every_security(&peer, &folder.0.join("pki")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_and_policy_with_node_opcua() {
    if enabled() {
        let folder = Folder::new("all-node");
        let peer = Peer::node(&folder.0.join("server"), &[]);
        every_security(&peer, &folder.0.join("pki")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_and_policy_with_open62541() {
    if enabled() {
        let folder = Folder::new("all-open62541");
        let peer = Peer::open62541(&folder.0.join("server"), &[]);
        every_security(&peer, &folder.0.join("pki")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_once_and_in_words() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("password");
    let peers = [
        Peer::asyncua(&folder.0.join("asyncua"), &[]),
        Peer::node(&folder.0.join("node"), &[]),
        Peer::open62541(&folder.0.join("open62541"), &[]),
    ];
    for peer in &peers {
        for mode in [Mode::None, Mode::SignAndEncrypt] {
            let mut options = options(peer, &folder.0.join("pki"), mode);
            if mode != Mode::None {
                trust(&options).await;
            }
            options.identity = user("guess");
            let error = refused(&options).await;
            assert!(error.locks_out(), "{error}");
            let text = error.to_string();
            assert!(text.contains("refuses the user anna") && !text.contains("guess"), "{text}");
        }
    }
}

/// A certificate of a user with its key, as files.
fn user_certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let data = X509Data {
        key_size: 2048,
        common_name: name.into(),
        organization: "Acme".into(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names("urn:user", None, false, false, false),
        certificate_duration_days: 10,
    };
    let (certificate, key) = X509::cert_and_pkey(&data).expect("a certificate");
    let paths = (folder.join(format!("{name}.der")), folder.join(format!("{name}.pem")));
    std::fs::write(&paths.0, certificate.to_der().expect("DER")).expect("written");
    let key = key.to_der().expect("DER");
    std::fs::write(&paths.1, key.to_pem("PRIVATE KEY", Default::default()).expect("PEM").as_bytes())
        .expect("written");
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_can_be_a_user() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("certificate");
    let (certificate, key) = user_certificate(&folder.0, "user1");
    let of_stranger = user_certificate(&folder.0, "user2");
    let known = certificate.to_str().expect("a path").to_owned();
    let peer = Peer::asyncua(&folder.0.join("server"), &["--user-certificate", &known]);
    for mode in Mode::ALL {
        let mut options = options(&peer, &folder.0.join("pki"), mode);
        if mode == Mode::Sign {
            trust(&options).await;
        }
        options.identity = Identity::Certificate { certificate: certificate.clone(), key: key.clone() };
        let connection = connect(&options).await.unwrap_or_else(|error| panic!("{mode}: {error}"));
        assert_eq!(speed(connection).await, 12.5);
        options.identity =
            Identity::Certificate { certificate: of_stranger.0.clone(), key: of_stranger.1.clone() };
        let error = refused(&options).await;
        assert!(error.to_string().contains("refuses the user certificate"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_us_says_where_our_certificate_is() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("strict");
    let (asyncua, node) = (folder.0.join("asyncua"), folder.0.join("node"));
    let peers = [
        (Peer::asyncua(&asyncua, &["--strict"]), asyncua.join("clients")),
        (Peer::node(&node, &["--strict"]), node.join("pki/trusted/certs")),
    ];
    for (peer, clients) in &peers {
        let options = options(peer, &folder.0.join("pki"), Mode::SignAndEncrypt);
        trust(&options).await;
        let error = refused(&options).await;
        let own = Store::at(&options.pki).own().expect("our certificate");
        assert!(matches!(error, ConnectError::NotTrustedThere { .. }), "{error}");
        let text = error.to_string();
        for part in [own.certificate.to_str().expect("a path"), &own.facts.thumbprint, "gwp certs export"] {
            assert!(text.contains(part), "{text}");
        }
        // What the remedy says: trusted there, from the server's list of rejected ones or from our file.
        std::fs::create_dir_all(clients).expect("its folder");
        std::fs::copy(&own.certificate, clients.join("gwp.der")).expect("copied");
        let rejected = node.join("pki/rejected");
        for file in std::fs::read_dir(&rejected).into_iter().flatten().flatten() {
            std::fs::rename(file.path(), clients.join(file.file_name())).expect("moved");
        }
        // The server looks at its folders when it likes.
        let mut attempts = 0;
        let connection = loop {
            match connect(&options).await {
                Ok(connection) => break connection,
                Err(error) => {
                    attempts += 1;
                    assert!(attempts < 100, "{error}");
                    assert!(matches!(error, ConnectError::NotTrustedThere { .. }), "{error}");
                }
            }
        };
        assert_eq!(speed(connection).await, 12.5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open62541_that_does_not_know_us_takes_us_once_our_certificate_is_there() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("strict-open62541");
    let server = folder.0.join("server");
    let peer = Peer::open62541(&server, &["--strict"]);
    let port = peer.port.to_string();
    let options = options(&peer, &folder.0.join("pki"), Mode::SignAndEncrypt);
    trust(&options).await;
    let error = refused(&options).await;
    assert!(matches!(error, ConnectError::NotTrustedThere { .. }), "{error}");
    let own = Store::at(&options.pki).own().expect("our certificate");
    assert!(error.to_string().contains(&own.facts.thumbprint), "{error}");
    std::fs::copy(&own.certificate, server.join("clients/gwp.der")).expect("copied");
    // It looks at its folder when it starts.
    drop(peer);
    let _peer = Peer::open62541(&server, &["--strict", "--port", &port]);
    assert_eq!(speed(connect(&options).await.expect("it connects")).await, 12.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_refused_unless_names_do_not_count() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("names");
    let peer = Peer::asyncua(&folder.0.join("server"), &["--name", "plc.plant.example"]);
    let mut options = options(&peer, &folder.0.join("pki"), Mode::Sign);
    trust(&options).await;
    let error = refused(&options).await;
    assert!(error.to_string().contains("it is for plc.plant.example, not for 127.0.0.1"), "{error}");
    options.check_names = false;
    assert_eq!(speed(connect(&options).await.expect("it connects")).await, 12.5);
    // The pin stays.
    options.pki = folder.0.join("other");
    let error = refused(&options).await;
    assert!(matches!(error, ConnectError::Untrusted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_at_the_same_address_is_not_trusted() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("other");
    let pki = folder.0.join("pki");
    let first = Peer::asyncua(&folder.0.join("first"), &[]);
    let of_first = options(&first, &pki, Mode::SignAndEncrypt);
    trust(&of_first).await;
    assert_eq!(speed(connect(&of_first).await.expect("it connects")).await, 12.5);
    let port = first.port.to_string();
    drop(first);
    // The same names and the same address, another key.
    let second = Peer::asyncua(&folder.0.join("second"), &["--port", &port]);
    let error = refused(&options(&second, &pki, Mode::SignAndEncrypt)).await;
    assert!(matches!(error, ConnectError::Untrusted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_security_says_what_it_offers() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("plain");
    let mut peer = Peer::asyncua(&folder.0.join("server"), &["--plain"]);
    let pki = folder.0.join("pki");
    let error = refused(&options(&peer, &pki, Mode::Sign)).await;
    assert_eq!(error.to_string(), "the server has no endpoint with security sign; it offers: none");
    // The password would be readable: that is told.
    let mut plain = options(&peer, &pki, Mode::None);
    plain.identity = user("secret");
    let connection = connect(&plain).await.expect("it connects");
    assert!(connection.context.warnings[0].contains("over the network as it is"), "{:?}", connection.context);
    assert_eq!(peer.tell("sessions"), "1");
    assert_eq!(speed(connection).await, 12.5);
    assert_eq!(peer.tell("sessions"), "0");
}

/// Forwards connections to a port, as a router does: the server knows another address of itself.
async fn router(to: u16) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut outside =
                    tokio::net::TcpStream::connect(("127.0.0.1", to)).await.expect("the server");
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_a_router_is_reached_at_the_given_address() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("router");
    let mut peer = Peer::node(&folder.0.join("server"), &[]);
    let port = router(peer.port).await;
    peer.url = format!("opc.tcp://127.0.0.1:{port}/plant");
    let options = options(&peer, &folder.0.join("pki"), Mode::SignAndEncrypt);
    trust(&options).await;
    let connection = connect(&options).await.expect("it connects");
    assert_eq!(connection.session.endpoint_info().endpoint.endpoint_url.as_ref(), peer.url);
    assert_eq!(speed(connection).await, 12.5);
}

#[tokio::test]
async fn what_is_no_server_is_told() {
    let folder = Folder::new("nobody");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("opc.tcp://{}", listener.local_addr().expect("its address"));
    let closing = tokio::spawn(async move {
        // Takes a connection and closes it, as something else than a server does.
        drop(listener.accept().await);
        drop(listener);
    });
    let options = Options::new(&url, folder.0.join("pki"));
    let error = refused(&options).await;
    assert!(matches!(error, ConnectError::NoServer { .. }), "{error}");
    assert!(!error.needs_person());
    closing.await.expect("it ends");
    let error = refused(&options).await;
    assert!(error.to_string().starts_with(&format!("nothing answers at {url}")), "{error}");
    let error = refused(&Options::new("http://plc", folder.0.join("pki"))).await;
    assert!(error.needs_person() && error.to_string().contains("opc.tcp://10.1.4.40:4840"), "{error}");
}
