//! Which of the endpoints that a server offers is taken: pure.

use super::options::{Identity, Mode, Policy};
use opcua::types::{EndpointDescription, MessageSecurityMode, UAString, UserTokenPolicy, UserTokenType};

/// Offers told of in a message, at most.
const OFFERS_MAX: usize = 12;
/// The one transport that is spoken here.
const TRANSPORT: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";
/// What all names of policies begin with.
const POLICY_PREFIX: &str = "http://opcfoundation.org/UA/SecurityPolicy#";

/// Why no endpoint fits.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoEndpoint {
    #[error("the server has no endpoint with security {wanted}; it offers: {offers}")]
    Security { wanted: String, offers: String },
    #[error("with security {security} the server does not take {identity}; it takes: {takes}")]
    Identity { security: String, identity: &'static str, takes: String },
    #[error("the server sends no certificate, which {for_what} needs")]
    NoCertificate { for_what: &'static str },
}

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// With the address that is connected to, and the one kind of login that is used.
    pub endpoint: EndpointDescription,
    /// `None` without security.
    pub policy: Option<Policy>,
    /// The password would go over the network as it is.
    pub plain_password: bool,
}

/// The endpoint for `mode`, `policy` and `identity`; without a policy the best one.
///
/// # Errors
/// None fits; the error says what the server offers.
pub fn choose(
    endpoints: &[EndpointDescription],
    url: &str,
    mode: Mode,
    policy: Option<Policy>,
    identity: &Identity,
) -> Result<Chosen, NoEndpoint> {
    let security = |endpoint: &EndpointDescription| security_of(endpoint, mode, policy);
    let mut fitting: Vec<(Option<Policy>, &EndpointDescription)> = endpoints
        .iter()
        .filter(|endpoint| spoken(endpoint))
        .filter_map(|endpoint| Some((security(endpoint)?, endpoint)))
        .collect();
    fitting.sort_by_key(|(policy, _)| Policy::ALL.iter().position(|one| Some(*one) == *policy));
    if fitting.is_empty() {
        let wanted = match policy {
            Some(policy) if mode != Mode::None => format!("{mode} and {policy}"),
            _ => mode.to_string(),
        };
        return Err(NoEndpoint::Security { wanted, offers: offers(endpoints) });
    }
    let taking = fitting
        .iter()
        .find_map(|(policy, endpoint)| Some((*policy, *endpoint, token(endpoint, *policy, mode, identity)?)));
    let Some((policy, endpoint, token)) = taking else {
        let takes =
            fitting.iter().flat_map(|(_, endpoint)| tokens(endpoint)).map(|token| kind(token.token_type));
        return Err(NoEndpoint::Identity {
            security: mode.to_string(),
            identity: identity.words(),
            takes: listed(takes),
        });
    };
    let plain_password = matches!(identity, Identity::User { .. })
        && mode == Mode::None
        && encryption(&token) == Some(Encryption::None);
    let encrypts_login = !matches!(identity, Identity::Anonymous) && !plain_password;
    if endpoint.server_certificate.is_null_or_empty() && (mode != Mode::None || encrypts_login) {
        let for_what = if mode == Mode::None { identity.words() } else { mode.word() };
        return Err(NoEndpoint::NoCertificate { for_what });
    }
    let mut endpoint = endpoint.clone();
    endpoint.endpoint_url = url.into();
    endpoint.user_identity_tokens = Some(vec![token]);
    Ok(Chosen { endpoint, policy, plain_password })
}

fn spoken(endpoint: &EndpointDescription) -> bool {
    let profile = endpoint.transport_profile_uri.as_ref();
    (profile == TRANSPORT || profile.is_empty()) && endpoint.endpoint_url.as_ref().starts_with("opc.tcp")
}

/// The policy of an endpoint that has this security; the inner `None` is that of no security.
#[allow(clippy::option_option)]
fn security_of(endpoint: &EndpointDescription, mode: Mode, policy: Option<Policy>) -> Option<Option<Policy>> {
    let has = match endpoint.security_mode {
        MessageSecurityMode::None => Mode::None,
        MessageSecurityMode::Sign => Mode::Sign,
        MessageSecurityMode::SignAndEncrypt => Mode::SignAndEncrypt,
        MessageSecurityMode::Invalid => return None,
    };
    let name = policy_name(&endpoint.security_policy_uri);
    match (has == mode, mode) {
        (false, _) => None,
        (true, Mode::None) => (name == "None").then_some(None),
        (true, _) => {
            let offered = Policy::ALL.into_iter().find(|one| one.name() == name)?;
            policy.is_none_or(|wanted| wanted == offered).then_some(Some(offered))
        }
    }
}

fn policy_name(uri: &UAString) -> &str {
    uri.as_ref().strip_prefix(POLICY_PREFIX).unwrap_or_default()
}

fn tokens(endpoint: &EndpointDescription) -> &[UserTokenPolicy] {
    endpoint.user_identity_tokens.as_deref().unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    None,
    Old,
    Good,
}

/// How a login is protected by its own policy; `None`: one that is not known here.
fn encryption(token: &UserTokenPolicy) -> Option<Encryption> {
    match policy_name(&token.security_policy_uri) {
        "None" => Some(Encryption::None),
        "Basic256" | "Basic128Rsa15" => Some(Encryption::Old),
        name => Policy::ALL.iter().any(|policy| policy.name() == name).then_some(Encryption::Good),
    }
}

/// The best way of logging in that an endpoint has for an identity. One that names no policy has that of the
/// endpoint; it is written down, as the library would take none for a certificate.
fn token(
    endpoint: &EndpointDescription,
    policy: Option<Policy>,
    mode: Mode,
    identity: &Identity,
) -> Option<UserTokenPolicy> {
    let wanted = match identity {
        Identity::Anonymous => UserTokenType::Anonymous,
        Identity::User { .. } => UserTokenType::UserName,
        Identity::Certificate { .. } => UserTokenType::Certificate,
    };
    let of_endpoint = format!("{POLICY_PREFIX}{}", policy.map_or("None", Policy::name));
    let usable = tokens(endpoint).iter().filter(|token| token.token_type == wanted).filter_map(|token| {
        let mut token = token.clone();
        if token.security_policy_uri.is_empty() {
            token.security_policy_uri = of_endpoint.as_str().into();
        }
        let rank = match (identity, encryption(&token)?) {
            (Identity::Anonymous, _) => 0,
            (_, Encryption::Good) => 3,
            (_, Encryption::Old) => 1,
            // A password in an encrypted channel; a signature cannot be made with no policy.
            (Identity::User { .. }, Encryption::None) if mode == Mode::SignAndEncrypt => 2,
            (Identity::User { .. }, Encryption::None) if mode == Mode::None => 0,
            _ => return None,
        };
        Some((rank, token))
    });
    let best = usable.max_by_key(|(rank, _)| *rank).map(|(_, token)| token);
    // A server that lists no ways of logging in takes anybody.
    let none_listed = tokens(endpoint).is_empty() && wanted == UserTokenType::Anonymous;
    best.or_else(|| {
        none_listed.then(|| UserTokenPolicy { token_type: UserTokenType::Anonymous, ..Default::default() })
    })
}

fn kind(token: UserTokenType) -> String {
    match token {
        UserTokenType::Anonymous => "anonymous",
        UserTokenType::UserName => "user and password",
        UserTokenType::Certificate => "user certificate",
        UserTokenType::IssuedToken => "issued token",
    }
    .into()
}

/// `sign with Basic256Sha256, none`.
fn offers(endpoints: &[EndpointDescription]) -> String {
    listed(endpoints.iter().map(|endpoint| {
        let policy = policy_name(&endpoint.security_policy_uri);
        let policy = if policy.is_empty() { endpoint.security_policy_uri.as_ref() } else { policy };
        let mode = match endpoint.security_mode {
            MessageSecurityMode::None => return Mode::None.to_string(),
            MessageSecurityMode::Sign => Mode::Sign,
            MessageSecurityMode::SignAndEncrypt => Mode::SignAndEncrypt,
            MessageSecurityMode::Invalid => return "an unknown one".into(),
        };
        let other = if spoken(endpoint) { "" } else { " over another transport" };
        format!("{mode} with {policy:.80}{other}")
    }))
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        if all.len() < OFFERS_MAX && !all.contains(&word) {
            all.push(word);
        }
    }
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
