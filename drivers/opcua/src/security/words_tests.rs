use super::*;
use opcua::types::StatusCode as S;

fn context(mode: Mode, identity: Identity) -> Context {
    Context {
        url: "opc.tcp://plc:4840".into(),
        mode,
        policy: None,
        identity,
        server: "PLC".into(),
        own_certificate: "pki/own/cert.der".into(),
        own_thumbprint: "ab".repeat(20),
        has_stood: false,
        warnings: Vec::new(),
    }
}

#[test]
fn a_wrong_password_is_said_and_not_tried_again() {
    let identity = Identity::User { name: "anna".into(), password: "hunter2".into() };
    for status in [S::BadUserAccessDenied, S::BadIdentityTokenRejected, S::BadIdentityTokenInvalid] {
        let error = explain(status, &context(Mode::None, identity.clone()));
        assert!(error.locks_out() && error.needs_person());
        let text = error.to_string();
        assert!(text.starts_with("opc.tcp://plc:4840 refuses the user anna (Bad"), "{text}");
        assert!(text.contains("check user and password") && !text.contains("hunter2"), "{text}");
    }
    let text = explain(S::BadUserAccessDenied, &context(Mode::None, Identity::Anonymous)).to_string();
    assert!(text.contains("give this source a user"), "{text}");
}

#[test]
fn a_server_that_does_not_know_us_is_told_with_the_file_and_the_command() {
    for status in [S::BadSecurityChecksFailed, S::BadCertificateUntrusted, S::BadConnectionClosed] {
        let error = explain(status, &context(Mode::Sign, Identity::Anonymous));
        assert!(error.needs_person() && !error.locks_out());
        let text = error.to_string();
        for part in ["pki/own/cert.der", &"ab".repeat(20), "gwp certs export own.der"] {
            assert!(text.contains(part), "{text}");
        }
    }
    // What was trusted before is lost, not refused.
    let mut later = context(Mode::Sign, Identity::Anonymous);
    later.has_stood = true;
    assert!(!explain(S::BadConnectionClosed, &later).needs_person());
    assert!(explain(S::BadCertificateUntrusted, &later).needs_person());
    // Without security there is nothing to trust.
    let error = explain(S::BadConnectionClosed, &context(Mode::None, Identity::Anonymous));
    assert!(matches!(error, ConnectError::Other { .. }) && !error.needs_person());
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let error = explain(S::BadTooManySessions, &context(Mode::Sign, Identity::Anonymous));
    assert!(!error.needs_person());
    assert!(error.to_string().contains("no session left"), "{error}");
    let error = explain(S::BadCertificateTimeInvalid, &context(Mode::Sign, Identity::Anonymous));
    assert!(error.to_string().contains("it has ended"), "{error}");
}
