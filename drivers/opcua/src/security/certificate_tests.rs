use super::*;
use jiff::ToSpan;
use opcua::crypto::{KeySize, PrivateKey, X509Data};
use std::sync::OnceLock;

/// Made once: keys take their time.
pub(crate) fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::new(2048).unwrap())
}

pub(crate) fn certificate(name: &str, hosts: &[&str]) -> Facts {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let data = X509Data {
        key_size: 2048,
        common_name: name.into(),
        organization: "Acme".into(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names("urn:plc:acme", Some(hosts), false, false, false),
        certificate_duration_days: 10,
    };
    Facts::of_bytes(&X509::from_pkey(key(), &data).unwrap().to_der().unwrap()).unwrap()
}

#[test]
fn a_certificate_says_what_it_is_for() {
    assert_eq!(key().bit_length(), 2048);
    let facts = certificate("line 1", &["plc.plant.example", "10.1.4.40", "fe80::1"]);
    assert_eq!(facts.subject, "CN=line 1,O=Acme");
    assert_eq!(facts.application_uri.as_deref(), Some("urn:plc:acme"));
    assert_eq!(facts.hosts, ["plc.plant.example", "10.1.4.40", "fe80::1"]);
    assert_eq!(facts.thumbprint.len(), 40);
    let now = Timestamp::now();
    assert!((9..=10).contains(&facts.days_left(now)));
    facts.check(now).unwrap();
    assert!(matches!(facts.check(now + (11 * 24).hours()), Err(Unfit::Ended(_))));
    assert!(matches!(facts.check(now - 48.hours()), Err(Unfit::TooEarly(_))));
}

#[test]
fn names_are_compared_as_names_and_addresses_as_addresses() {
    let facts = certificate("line 1", &["PLC.plant.example", "10.1.4.40", "fe80::1"]);
    for host in ["plc.Plant.Example", "10.1.4.40", "[fe80:0:0::1]"] {
        facts.check_names(host, "urn:plc:acme").unwrap();
    }
    let error = facts.check_names("10.1.4.4", "urn:plc:acme").unwrap_err();
    assert_eq!(error.to_string(), "it is for PLC.plant.example, 10.1.4.40, fe80::1, not for 10.1.4.4");
    let error = facts.check_names("10.1.4.40", "urn:other").unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is for the application urn:plc:acme, but the server says it is urn:other"
    );
}

#[test]
fn what_is_no_certificate_is_told() {
    assert_eq!(Facts::of_bytes(b"").unwrap_err(), Unfit::Unreadable);
    assert_eq!(Facts::of_bytes(&[0x30; 70_000]).unwrap_err(), Unfit::Unreadable);
    assert_eq!(
        Facts::of_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END").unwrap_err(),
        Unfit::Unreadable
    );
    let facts = certificate("line 1", &[]);
    let two = [facts.der.clone(), facts.der.clone()].concat();
    assert_eq!(Facts::of_bytes(&two).unwrap_err(), Unfit::Chain);
    // Any damage is either seen or leaves another certificate, with another thumbprint.
    for at in 0..facts.der.len() {
        let mut damaged = facts.der.clone();
        damaged[at] ^= 0x10;
        if let Ok(other) = Facts::of_bytes(&damaged) {
            assert_ne!(other.thumbprint, facts.thumbprint, "{at}");
        }
    }
}

#[test]
fn pem_is_read_like_der() {
    let facts = certificate("line 1", &[]);
    let pem = facts.pem();
    assert!(
        pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"),
        "{pem}"
    );
    assert_eq!(Facts::of_bytes(pem.as_bytes()).unwrap().der, facts.der);
    assert_eq!(
        Facts::of_bytes(format!("\n{}", pem.replace('\n', "\r\n")).as_bytes()).unwrap().der,
        facts.der
    );
}
