//! Who is let in, who is not, and what each side is told, over loopback.

use super::*;
use NodeId::{Backup, Primary};
use proptest::prelude::*;
use rustls::ProtocolVersion;
use tokio::net::TcpListener;

fn secret(byte: u8) -> Secret {
    Secret::new([byte; 32]).unwrap()
}

fn keys(byte: u8, me: NodeId) -> StreamKeys {
    StreamKeys::new(&secret(byte), me).unwrap()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// What the accepting and the connecting side get.
async fn meet(
    accepts: &StreamKeys,
    connects: &StreamKeys,
) -> (Result<Stream, StreamError>, Result<Stream, StreamError>) {
    let (listener, at) = listen().await;
    let accepted = async { accepts.accept(listener.accept().await.unwrap().0).await };
    tokio::join!(accepted, connects.connect(at))
}

/// What `accepts` makes of a connection that says this and nothing more.
async fn hears(accepts: &StreamKeys, said: &[u8]) -> StreamError {
    let (listener, at) = listen().await;
    let accepted = async { accepts.accept(listener.accept().await.unwrap().0).await.unwrap_err() };
    let says = async {
        let mut tcp = TcpStream::connect(at).await.unwrap();
        tcp.write_all(said).await.unwrap();
        tcp.shutdown().await.unwrap();
        tcp
    };
    tokio::join!(accepted, says).0
}

#[tokio::test]
async fn the_nodes_of_a_pair_meet_whoever_connects() {
    for (accepts, connects) in [(Primary, Backup), (Backup, Primary)] {
        let (a, b) = meet(&keys(1, accepts), &keys(1, connects)).await;
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        let mut heard = [0; 5];
        a.write_all(b"there").await.unwrap();
        a.flush().await.unwrap();
        b.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"there");
        b.write_all(b"again").await.unwrap();
        b.flush().await.unwrap();
        a.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"again");
        for (stream, peer) in [(&a, connects), (&b, accepts)] {
            let (tcp, tls) = stream.0.get_ref();
            assert!(tcp.nodelay().unwrap() && SockRef::from(tcp).keepalive().unwrap());
            assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            let shown = pin::keys(&secret(1), peer).unwrap().0.cert;
            assert_eq!(tls.peer_certificates(), Some(shown.as_slice()));
        }
    }
}

#[tokio::test]
async fn a_node_of_another_pair_is_refused() {
    let (accepted, connected) = meet(&keys(1, Primary), &keys(2, Backup)).await;
    assert!(matches!(connected, Err(StreamError::Stranger)), "{connected:?}");
    assert!(matches!(accepted, Err(StreamError::RefusedByPeer)), "{accepted:?}");
}

#[tokio::test]
async fn two_of_one_role_are_told_so() {
    for me in [Primary, Backup] {
        let (accepted, connected) = meet(&keys(1, me), &keys(1, me)).await;
        assert!(matches!(&connected, Err(StreamError::OwnRole(role)) if *role == me), "{connected:?}");
        assert!(connected.unwrap_err().to_string().contains("the other the backup"));
        assert!(matches!(accepted, Err(StreamError::RefusedByPeer)), "{accepted:?}");
    }
}

/// These would let the accepting side through, so it is that side that has to refuse.
#[tokio::test]
async fn the_accepting_side_looks_at_the_key_too() {
    let pinned = || Arc::new(pin::keys(&secret(1), Backup).unwrap().1);
    let stranger = Arc::new(pin::keys(&secret(2), Backup).unwrap().0);
    let connects = StreamKeys::of(Backup, &stranger, &pinned()).unwrap();
    let (accepted, connected) = meet(&keys(1, Primary), &connects).await;
    assert!(matches!(accepted, Err(StreamError::Stranger)), "{accepted:?}");
    assert!(matches!(connected, Err(StreamError::RefusedByPeer)), "{connected:?}");

    let own_role = Arc::new(pin::keys(&secret(1), Primary).unwrap().0);
    let connects = StreamKeys::of(Backup, &own_role, &pinned()).unwrap();
    let (accepted, connected) = meet(&keys(1, Primary), &connects).await;
    assert!(matches!(accepted, Err(StreamError::OwnRole(Primary))), "{accepted:?}");
    assert!(matches!(connected, Err(StreamError::RefusedByPeer)), "{connected:?}");
}

/// Who shows the key of the peer and does not have it.
#[tokio::test]
async fn a_public_key_alone_opens_nothing() {
    let (right, pinned) = pin::keys(&secret(1), Backup).unwrap();
    let (wrong, _) = pin::keys(&secret(2), Backup).unwrap();
    let forged = Arc::new(CertifiedKey::new(right.cert, wrong.key));
    let connects = StreamKeys::of(Backup, &forged, &Arc::new(pinned)).unwrap();
    let (accepted, connected) = meet(&keys(1, Primary), &connects).await;
    assert!(matches!(accepted, Err(StreamError::Tls(_))), "{accepted:?}");
    assert!(connected.is_err(), "{connected:?}");
}

/// A client that would take any certificate of an authority, of which there is none.
async fn usual_client(version: &'static rustls::SupportedProtocolVersion) -> StreamError {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    let connects = StreamKeys { connector, ..keys(1, Backup) };
    let (accepted, connected) = meet(&keys(1, Primary), &connects).await;
    assert!(matches!(connected, Err(StreamError::Incompatible(_))), "{connected:?}");
    accepted.unwrap_err()
}

#[tokio::test]
async fn older_tls_and_clients_without_raw_keys_are_refused() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let error = usual_client(version).await;
        assert!(matches!(error, StreamError::Incompatible(_)), "{version:?}: {error:?}");
        assert!(error.to_string().contains("TLS 1.3 with raw public keys"));
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_apart() {
    let primary = keys(1, Primary);
    let error = hears(&primary, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(matches!(error, StreamError::NotTls), "{error:?}");
    let error = hears(&primary, b"").await;
    assert!(matches!(error, StreamError::Closed), "{error:?}");

    let (listener, at) = listen().await;
    let answers = async {
        let mut tcp = listener.accept().await.unwrap().0;
        tcp.write_all(b"220 here, what do you want?\r\n").await.unwrap();
        tcp
    };
    let error = tokio::join!(primary.connect(at), answers).0.unwrap_err();
    assert!(matches!(error, StreamError::NotTls), "{error:?}");
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    let limit = Duration::from_millis(40);
    let primary = keys(1, Primary).with_limit(limit);
    let (listener, at) = listen().await;
    let error = primary.connect(at).await.unwrap_err();
    assert!(matches!(error, StreamError::TooSlow(told) if told == limit), "{error:?}");

    // Nor does a connection that stays silent hold the accepting side.
    let tcp = TcpStream::connect(at).await.unwrap();
    for _ in 0..2 {
        let error = primary.accept(listener.accept().await.unwrap().0).await.unwrap_err();
        assert!(matches!(error, StreamError::TooSlow(_) | StreamError::Closed), "{error:?}");
    }
    drop((tcp, listener));
    let error = keys(1, Primary).connect(at).await.unwrap_err();
    assert!(matches!(error, StreamError::Io(_)), "{error:?}");
}

#[tokio::test]
async fn a_peer_of_another_version_is_told_so() {
    let backup = keys(1, Backup);
    for (said, version) in [(b"gwp\x02", Some(2)), (b"what", None)] {
        let (listener, at) = listen().await;
        let answers = async {
            let tcp = listener.accept().await.unwrap().0;
            let mut tls = keys(1, Primary).acceptor.accept(tcp).await.unwrap();
            tls.write_all(said).await.unwrap();
            tls.flush().await.unwrap();
            tls
        };
        let error = tokio::join!(backup.connect(at), answers).0.unwrap_err();
        match (version, &error) {
            (Some(version), StreamError::Version(told)) => assert_eq!(*told, version),
            (None, StreamError::Greeting) => {}
            _ => panic!("{error:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_are_refused(
        said in prop::collection::vec(any::<u8>(), 0..600),
        record in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // As they are, or as the body of a record that tells of a handshake.
        let len = (said.len() as u16).to_be_bytes();
        let before: &[u8] = if record { &[22, 3, 1, len[0], len[1]] } else { &[] };
        let error = runtime.block_on(hears(&keys(1, Primary), &[before, &said].concat()));
        prop_assert!(!error.to_string().is_empty());
        prop_assert!(!matches!(error, StreamError::TooSlow(_)), "{:?}", error);
    }
}
