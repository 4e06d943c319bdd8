//! The data path over secure channels: trust, values, writing, a cut, an outage, a restart of the server.

use crate::peer::{Folder, Peer, enabled};
use crate::rig::{Reader, Relay, quick, start};
use crate::{Start, line};
use gwp_core::Value;
use gwp_core::manifest::SettingValue;
use gwp_driver_opcua::security::{Store, Trust};
use std::path::Path;

const COUNTER: usize = 0;
const SPEED: usize = 1;

fn settings(peer: &Peer, pki: &Path, policy: &str) -> Vec<(&'static str, SettingValue)> {
    let text = |text: &str| SettingValue::Text(text.into());
    let mut settings = quick();
    settings.retain(|(name, _)| !["security", "pki"].contains(name));
    settings.extend([
        ("security", text("sign_and_encrypt")),
        ("policy", text(policy)),
        ("pki", text(&pki.display().to_string())),
        ("user", text("anna")),
        ("password", text("secret")),
        ("check_names", SettingValue::Bool(peer.named)),
    ]);
    settings
}

/// Does what the driver says is to be done about a server that is not trusted: `gwp certs trust`.
fn trust(pki: &Path, url: &str) {
    let store = Store::at(pki);
    let (met, unreadable) = store.list().expect("the certificates that were met");
    let [server] = &met[..] else { panic!("{met:?}") };
    assert_eq!((server.trust, unreadable.len()), (Trust::Rejected, 0));
    assert_eq!(server.seen.as_ref().expect("where").url, url);
    assert!(store.put(&server.facts, Trust::Trusted).expect("it is written"));
}

async fn write(reader: &mut Reader, peer: &mut Peer, speed: f64) {
    assert_eq!(reader.written(SPEED as u32, Value::Float(speed)).await, Ok(()));
    assert_eq!(peer.tell("get Line.Speed"), speed.to_string());
    reader.until(SPEED, |value| *value == Value::Float(speed)).await;
}

async fn over_a_secure_channel(start_peer: Start, policy: &str, options: &[&str]) {
    let folder = Folder::new(&format!("channel-{policy}"));
    let (server, pki) = (folder.0.join("server"), folder.0.join("pki"));
    let mut peer = start_peer(&server, options);
    let relay = Relay::start(peer.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let mut reader = start(&url, &settings(&peer, &pki, policy), 0, &line());
    assert!(!reader.connected().await, "a server that nobody trusts is not spoken with");
    trust(&pki, &url);
    assert!(reader.connected().await, "trust counts without a restart");
    let mut seen = Vec::new();
    reader.follow(COUNTER, &mut seen, 5).await;
    write(&mut reader, &mut peer, 99.5).await;
    for outage in [false, true] {
        if outage {
            relay.refuse();
        }
        relay.cut();
        if outage {
            assert!(!reader.connected().await, "the break is told");
            relay.pass();
            assert!(reader.connected().await);
        }
        // The server's queue has room for it all.
        reader.follow(COUNTER, &mut seen, 15).await;
    }
    write(&mut reader, &mut peer, 12.25).await;
    let port = peer.port.to_string();
    drop(peer);
    assert!(!reader.connected().await);
    reader.taken(COUNTER);
    let mut peer = start_peer(&server, &[options, &["--port", &port]].concat());
    assert!(reader.connected().await, "it is still trusted");
    reader.follow(COUNTER, &mut Vec::new(), 10).await;
    reader.until(SPEED, |value| *value == Value::Float(12.5)).await;
    write(&mut reader, &mut peer, 77.5).await;
    reader.stop().await;
}

#[tokio::test]
async fn asyncua_over_basic256_sha256() {
    if enabled() {
        over_a_secure_channel(Peer::asyncua, "basic256_sha256", &["--whole-transfer"]).await;
    }
}

#[tokio::test]
async fn node_opcua_over_aes256_sha256_rsa_pss() {
    if enabled() {
        over_a_secure_channel(Peer::node, "aes256_sha256_rsa_pss", &[]).await;
    }
}

#[tokio::test]
async fn open62541_over_aes128_sha256_rsa_oaep() {
    if enabled() {
        over_a_secure_channel(Peer::open62541, "aes128_sha256_rsa_oaep", &[]).await;
    }
}
