use super::*;
use opcua::types::ByteString;

fn token(kind: UserTokenType, policy: &str) -> UserTokenPolicy {
    let uri = if policy.is_empty() { UAString::null() } else { format!("{POLICY_PREFIX}{policy}").into() };
    UserTokenPolicy {
        token_type: kind,
        security_policy_uri: uri,
        policy_id: policy.into(),
        ..Default::default()
    }
}

fn endpoint(mode: MessageSecurityMode, policy: &str, tokens: Vec<UserTokenPolicy>) -> EndpointDescription {
    EndpointDescription {
        endpoint_url: "opc.tcp://inside:4840/path".into(),
        security_mode: mode,
        security_policy_uri: format!("{POLICY_PREFIX}{policy}").into(),
        user_identity_tokens: Some(tokens),
        transport_profile_uri: TRANSPORT.into(),
        server_certificate: ByteString::from(&[1, 2, 3]),
        ..Default::default()
    }
}

fn all() -> Vec<EndpointDescription> {
    use MessageSecurityMode::{None, Sign, SignAndEncrypt};
    let tokens = || {
        vec![
            token(UserTokenType::Anonymous, ""),
            token(UserTokenType::UserName, ""),
            token(UserTokenType::Certificate, ""),
        ]
    };
    vec![
        endpoint(None, "None", vec![token(UserTokenType::Anonymous, "")]),
        endpoint(Sign, "Basic256Sha256", tokens()),
        endpoint(SignAndEncrypt, "Basic256", tokens()),
        endpoint(SignAndEncrypt, "Basic256Sha256", tokens()),
        endpoint(SignAndEncrypt, "Aes128_Sha256_RsaOaep", tokens()),
    ]
}

const URL: &str = "opc.tcp://outside:14840";

fn user() -> Identity {
    Identity::User { name: "anna".into(), password: "secret".into() }
}

#[test]
fn the_best_policy_is_taken_and_the_address_is_ours() {
    let chosen = choose(&all(), URL, Mode::SignAndEncrypt, None, &Identity::Anonymous).unwrap();
    assert_eq!(chosen.policy, Some(Policy::Aes128Sha256RsaOaep));
    assert_eq!(chosen.endpoint.endpoint_url.as_ref(), URL);
    let policy = Some(Policy::Basic256Sha256);
    let chosen = choose(&all(), URL, Mode::SignAndEncrypt, policy, &Identity::Anonymous).unwrap();
    assert_eq!(chosen.policy, policy);
    assert_eq!(chosen.endpoint.security_mode, MessageSecurityMode::SignAndEncrypt);
    assert_eq!(choose(&all(), URL, Mode::None, None, &Identity::Anonymous).unwrap().policy, None);
}

#[test]
fn what_is_not_offered_is_told_with_what_is() {
    let policy = Some(Policy::Aes256Sha256RsaPss);
    let error = choose(&all(), URL, Mode::Sign, policy, &Identity::Anonymous).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server has no endpoint with security sign and Aes256_Sha256_RsaPss; it offers: none, \
         sign with Basic256Sha256, sign_and_encrypt with Basic256, sign_and_encrypt with Basic256Sha256, \
         sign_and_encrypt with Aes128_Sha256_RsaOaep"
    );
    let error = choose(&[], URL, Mode::None, None, &Identity::Anonymous).unwrap_err();
    assert_eq!(error.to_string(), "the server has no endpoint with security none; it offers: nothing");
    // An old policy is never taken by itself.
    let old = [endpoint(MessageSecurityMode::Sign, "Basic128Rsa15", vec![])];
    assert!(choose(&old, URL, Mode::Sign, None, &Identity::Anonymous).is_err());
}

#[test]
fn an_identity_that_is_not_taken_is_told_with_those_that_are() {
    let error = choose(&all(), URL, Mode::None, None, &user()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "with security none the server does not take user and password; it takes: anonymous"
    );
}

#[test]
fn an_endpoint_that_takes_the_identity_comes_before_a_better_policy() {
    let mut offered = all();
    offered[4].user_identity_tokens = Some(vec![token(UserTokenType::Anonymous, "")]);
    let chosen = choose(&offered, URL, Mode::SignAndEncrypt, None, &user()).unwrap();
    assert_eq!(chosen.policy, Some(Policy::Basic256Sha256));
}

#[test]
fn a_login_without_a_policy_has_that_of_the_endpoint() {
    let identity = Identity::Certificate { certificate: "a.der".into(), key: "a.pem".into() };
    let chosen = choose(&all(), URL, Mode::Sign, None, &identity).unwrap();
    let tokens = chosen.endpoint.user_identity_tokens.unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].security_policy_uri.as_ref().ends_with("#Basic256Sha256"));
}

#[test]
fn a_password_is_encrypted_where_the_server_allows_it() {
    use UserTokenType::UserName;
    let none = |tokens| endpoint(MessageSecurityMode::None, "None", tokens);
    let both =
        none(vec![token(UserName, "None"), token(UserName, "Basic256Sha256"), token(UserName, "Basic256")]);
    let chosen = choose(&[both], URL, Mode::None, None, &user()).unwrap();
    assert!(!chosen.plain_password);
    assert_eq!(chosen.endpoint.user_identity_tokens.unwrap()[0].policy_id.as_ref(), "Basic256Sha256");

    let chosen = choose(&[none(vec![token(UserName, "")])], URL, Mode::None, None, &user()).unwrap();
    assert!(chosen.plain_password);
    // The library would panic without a certificate to encrypt with.
    let mut bare = none(vec![token(UserName, "Basic256Sha256")]);
    bare.server_certificate = ByteString::null();
    let error = choose(&[bare], URL, Mode::None, None, &user()).unwrap_err();
    assert_eq!(error, NoEndpoint::NoCertificate { for_what: "user and password" });
    // In a channel that is only signed, a login without encryption would be readable.
    let sign = endpoint(MessageSecurityMode::Sign, "Basic256Sha256", vec![token(UserName, "None")]);
    assert!(choose(&[sign], URL, Mode::Sign, None, &user()).is_err());
}

#[test]
fn other_transports_are_left_alone() {
    let mut https = all().remove(3);
    https.transport_profile_uri = "http://opcfoundation.org/UA-Profile/Transport/https-uabinary".into();
    let error = choose(&[https], URL, Mode::SignAndEncrypt, None, &Identity::Anonymous).unwrap_err();
    assert!(
        error.to_string().ends_with("sign_and_encrypt with Basic256Sha256 over another transport"),
        "{error}"
    );
}
