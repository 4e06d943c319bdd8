//! What the client library says when a connection ends, as what the engine is to do.
//!
//! A fault that passes by itself is worth another try at once; one that a
//! person must mend (password, certificate, access list) is not, and its text
//! names the setting.

use crate::CONNECT_TIMEOUT;
use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5 as packets5;

/// Why a connection ended.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// It may work again.
    Lost(String),
    /// A person must act.
    Refused(String),
    /// Another client has connected with the same client id (reason code 0x8E; MQTT 5.0, 3.1.4).
    TakenOver(String),
    /// The broker closes because of a packet it finds too large.
    PacketTooLarge,
}

const WRONG_LOGIN: &str = "the broker refuses user or password: check `user` and `password`";
const NOT_AUTHORIZED: &str = "the broker does not authorize this client: check `user`, `password`, `client_id` and the broker's access list";
const WRONG_CLIENT_ID: &str = "the broker refuses the client id: set another `client_id`";
const WRONG_VERSION: &str = "the broker does not speak this version of MQTT: set `version` to `v311` or `v5`";

pub fn fault_v5(error: v5::ConnectionError) -> Fault {
    use packets5::ConnectReturnCode as Code;
    use packets5::DisconnectReasonCode as Reason;
    use v5::{ConnectionError, StateError};
    /// Reason code 0x95 in a PUBACK, which the library does not know (MQTT 5.0, 2.4).
    const PACKET_TOO_LARGE: u8 = 0x95;
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => match code {
            Code::BadUserNamePassword | Code::BadAuthenticationMethod => Fault::Refused(WRONG_LOGIN.into()),
            Code::NotAuthorized | Code::Banned => Fault::Refused(NOT_AUTHORIZED.into()),
            Code::BadClientId | Code::ClientIdentifierNotValid => Fault::Refused(WRONG_CLIENT_ID.into()),
            Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
                Fault::Refused(WRONG_VERSION.into())
            }
            Code::ServerMoved => Fault::Refused("the broker has moved: set another `broker`".into()),
            other => {
                Fault::Lost(format!("the broker refuses the connection: {}", in_words(&format!("{other:?}"))))
            }
        },
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            let text = reason_string.map(|text| format!(" ({text})")).unwrap_or_default();
            match reason_code {
                Reason::PacketTooLarge => Fault::PacketTooLarge,
                Reason::SessionTakenOver => Fault::TakenOver(
                    "another client connected with the same client id: give each gateway its own `client_id`"
                        .into(),
                ),
                Reason::NotAuthorized => Fault::Refused(format!("{NOT_AUTHORIZED}{text}")),
                other => Fault::Lost(format!(
                    "the broker closed the connection: {}{text}",
                    in_words(&format!("{other:?}"))
                )),
            }
        }
        ConnectionError::MqttState(StateError::Deserialization(
            v5::mqttbytes::Error::InvalidConnectReturnCode(PACKET_TOO_LARGE)
            | v5::mqttbytes::Error::InvalidReason(PACKET_TOO_LARGE),
        ))
        | ConnectionError::MqttState(StateError::OutgoingPacketTooLarge { .. }) => Fault::PacketTooLarge,
        ConnectionError::MqttState(StateError::Deserialization(v5::mqttbytes::Error::Io(error))) => {
            io_fault(&error)
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => Fault::Lost("the broker is silent".into()),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(),
        ConnectionError::MqttState(StateError::Io(error)) | ConnectionError::Io(error) => io_fault(&error),
        ConnectionError::Timeout(_) => timed_out(),
        ConnectionError::Tls(error) => tls_fault(&error),
        other => Fault::Lost(lower_first(&other.to_string())),
    }
}

pub fn fault_v311(error: rumqttc::ConnectionError) -> Fault {
    use rumqttc::ConnectReturnCode as Code;
    use rumqttc::{ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            Code::BadUserNamePassword => Fault::Refused(WRONG_LOGIN.into()),
            Code::NotAuthorized => Fault::Refused(NOT_AUTHORIZED.into()),
            Code::BadClientId => Fault::Refused(WRONG_CLIENT_ID.into()),
            Code::RefusedProtocolVersion => Fault::Refused(WRONG_VERSION.into()),
            other => {
                Fault::Lost(format!("the broker refuses the connection: {}", in_words(&format!("{other:?}"))))
            }
        },
        ConnectionError::MqttState(StateError::AwaitPingResp) => Fault::Lost("the broker is silent".into()),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(),
        ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::Io(error)))
        | ConnectionError::Io(error) => io_fault(&error),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => timed_out(),
        ConnectionError::Tls(error) => tls_fault(&error),
        other => Fault::Lost(lower_first(&other.to_string())),
    }
}

/// `ServerBusy` as `server busy`, where a library names its reasons only this way; sentences as they are.
fn in_words(reason: &str) -> String {
    if reason.contains(|letter: char| !letter.is_ascii_alphanumeric()) {
        return reason.into();
    }
    let mut words = String::new();
    for letter in reason.chars() {
        let begins = letter.is_ascii_uppercase() && words.ends_with(|last: char| last.is_ascii_lowercase());
        words.extend(begins.then_some(' '));
        words.push(letter.to_ascii_lowercase());
    }
    words
}

pub fn closed() -> Fault {
    Fault::Lost("the broker closed the connection".into())
}

fn timed_out() -> Fault {
    Fault::Lost(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
}

fn io_fault(error: &std::io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => rustls_fault(error),
        None => Fault::Lost(lower_first(&error.to_string())),
    }
}

fn tls_fault(error: &rumqttc::TlsError) -> Fault {
    match error {
        rumqttc::TlsError::Io(error) => io_fault(error),
        rumqttc::TlsError::TLS(error) => rustls_fault(error),
        other => Fault::Lost(lower_first(&other.to_string())),
    }
}

/// A certificate that is not trusted stays so until a person acts; anything else may pass.
fn rustls_fault(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(why) => Fault::Refused(format!(
            "the broker's certificate is not trusted ({}): check `ca` and the host name in `broker`",
            in_words(&why.to_string())
        )),
        rustls::Error::AlertReceived(alert) => Fault::Refused(format!(
            "the broker refuses TLS ({}): check `cert` and `cert_key`",
            in_words(&format!("{alert:?}"))
        )),
        other => Fault::Lost(format!("TLS: {other}")),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_a_person_must_mend_are_told_apart() {
        use packets5::ConnectReturnCode as Code;
        let fault = |code| fault_v5(v5::ConnectionError::ConnectionRefused(code));
        assert_eq!(fault(Code::BadUserNamePassword), Fault::Refused(WRONG_LOGIN.into()));
        assert_eq!(fault(Code::NotAuthorized), Fault::Refused(NOT_AUTHORIZED.into()));
        assert_eq!(fault(Code::ClientIdentifierNotValid), Fault::Refused(WRONG_CLIENT_ID.into()));
        let busy = Fault::Lost("the broker refuses the connection: server busy".into());
        assert_eq!(fault(Code::ServerBusy), busy);
        let taken_over = v5::StateError::ServerDisconnect {
            reason_code: packets5::DisconnectReasonCode::SessionTakenOver,
            reason_string: None,
        };
        let fault_taken_over = fault_v5(v5::ConnectionError::MqttState(taken_over));
        assert!(matches!(fault_taken_over, Fault::TakenOver(text) if text.contains("`client_id`")));
        let fault = |code| fault_v311(rumqttc::ConnectionError::ConnectionRefused(code));
        assert!(matches!(fault(rumqttc::ConnectReturnCode::NotAuthorized), Fault::Refused(_)));
        assert!(matches!(fault(rumqttc::ConnectReturnCode::ServiceUnavailable), Fault::Lost(_)));
    }
}
