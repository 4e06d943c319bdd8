//! Thin shell over the client library: both protocol versions as one.
//!
//! What the library does not give is made up for here and in [`crate::run`]:
//! it throws away unacknowledged publishes when a broker comes back without
//! the session, so a connection is used until its first fault and never again;
//! and it tells packet ids only as events, which [`crate::acks`] pairs.

use crate::limits::{CLIENT_CHANNEL, INCOMING_BYTES, PUBLISH_OVERHEAD};
use crate::settings::{Options, Qos};
use crate::topic::TOPIC_BYTES_MAX;
use gwp_mqtt::faults::{closed, fault_v5, fault_v311};
use gwp_mqtt::link::network;
use gwp_mqtt::{Fault, Version};
use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5 as packets5;
use rustls::ClientConfig;

/// What happened on the connection.
#[derive(Debug, PartialEq)]
pub enum Seen {
    Connected(Terms),
    /// A publish went out under this packet id; 0 for QoS 0, which nobody acknowledges.
    Sent(u16),
    Acked(u16),
    /// The broker will not take this message, at least not now.
    Refused {
        packet: u16,
        refusal: Refusal,
    },
    /// Our goodbye went out.
    Disconnected,
    /// Nothing a sink must know.
    Other,
}

/// What the broker allows, told when it accepts the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub session_present: bool,
    /// Messages not acknowledged at most.
    pub receive_max: u16,
    pub packet_max: Option<u32>,
    pub qos_max: u8,
    pub retain: bool,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub reason: String,
    /// It would be refused again.
    pub for_good: bool,
    /// The client library does not give the place in its window back.
    pub leaks: bool,
}

/// The way to publish. Never blocks: it refuses when the channel is full.
pub enum Publisher {
    V5(v5::AsyncClient),
    V311(rumqttc::AsyncClient),
}

/// What comes back. Must be awaited without being cancelled, or packets are lost.
pub struct Events {
    library: Library,
    /// Why the connection ended, while what had arrived before is still told.
    fault: Option<Fault>,
}

enum Library {
    V5(Box<v5::EventLoop>),
    V311(Box<rumqttc::EventLoop>),
}

/// A connection that connects when its events are first awaited.
pub fn open(options: &Options, tls: Option<ClientConfig>) -> (Publisher, Events) {
    // A session that outlived a connection may hold a QoS 2 message under a packet id that the new
    // connection gives to another one: the broker would take that for a repetition and drop it.
    let clean = options.clean || options.qos == Qos::Two;
    match options.link.version {
        Version::V5 => {
            let mut o = options.link.options_v5(tls, clean, INCOMING_BYTES);
            o.set_outgoing_inflight_upper_limit(options.window);
            let (client, events) = v5::AsyncClient::new(o, CLIENT_CHANNEL);
            (Publisher::V5(client), Events { library: Library::V5(Box::new(events)), fault: None })
        }
        Version::V311 => {
            let outgoing = options.payload_max + TOPIC_BYTES_MAX + PUBLISH_OVERHEAD;
            let mut o = options.link.options_v311(tls, clean, INCOMING_BYTES as usize, outgoing);
            o.set_inflight(options.window.max(1));
            let (client, mut events) = rumqttc::AsyncClient::new(o, CLIENT_CHANNEL);
            events.set_network_options(network());
            (Publisher::V311(client), Events { library: Library::V311(Box::new(events)), fault: None })
        }
    }
}

impl Publisher {
    /// Hands one message over; false when the channel is full and it must be tried again.
    /// The caller keeps count, so in practice it never is.
    pub fn publish(&self, topic: &str, payload: Vec<u8>, qos: Qos, retain: bool) -> bool {
        match self {
            Publisher::V5(client) => {
                let qos = match qos {
                    Qos::Zero => v5::mqttbytes::QoS::AtMostOnce,
                    Qos::One => v5::mqttbytes::QoS::AtLeastOnce,
                    Qos::Two => v5::mqttbytes::QoS::ExactlyOnce,
                };
                client.try_publish(topic, qos, retain, payload).is_ok()
            }
            Publisher::V311(client) => {
                let qos = match qos {
                    Qos::Zero => rumqttc::QoS::AtMostOnce,
                    Qos::One => rumqttc::QoS::AtLeastOnce,
                    Qos::Two => rumqttc::QoS::ExactlyOnce,
                };
                client.try_publish(topic, qos, retain, payload).is_ok()
            }
        }
    }

    /// Asks for a goodbye; [`Seen::Disconnected`] tells when it went out.
    pub fn disconnect(&self) -> bool {
        match self {
            Publisher::V5(client) => client.try_disconnect().is_ok(),
            Publisher::V311(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Events {
    /// The next event. After a fault the connection is of no more use.
    ///
    /// # Errors
    /// Whatever ends the connection.
    pub async fn next(&mut self) -> Result<Seen, Fault> {
        if self.fault.is_none() {
            let polled = match &mut self.library {
                Library::V5(events) => events.poll().await.map(seen_v5).map_err(fault_v5),
                Library::V311(events) => events.poll().await.map(seen_v311).map_err(fault_v311),
            };
            match polled {
                Ok(seen) => return Ok(seen),
                Err(fault) => self.fault = Some(fault),
            }
        }
        // Acknowledgements read together with the end of the connection are told by no poll.
        let left = match &mut self.library {
            Library::V5(events) => events.state.events.pop_front().map(seen_v5),
            Library::V311(events) => events.state.events.pop_front().map(seen_v311),
        };
        match left {
            // What was about to go out did not.
            Some(Seen::Sent(_)) => Ok(Seen::Other),
            Some(seen) => Ok(seen),
            None => Err(self.fault.take().unwrap_or_else(closed)),
        }
    }
}

fn seen_v5(event: v5::Event) -> Seen {
    use packets5::{Packet, PubAckReason, PubCompReason, PubRecReason};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => {
            let properties = ack.properties.as_ref();
            Seen::Connected(Terms {
                session_present: ack.session_present,
                receive_max: properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX).max(1),
                packet_max: properties.and_then(|p| p.max_packet_size),
                qos_max: properties.and_then(|p| p.max_qos).unwrap_or(2),
                retain: properties.and_then(|p| p.retain_available) != Some(0),
            })
        }
        v5::Event::Incoming(Packet::PubAck(ack)) => {
            let text = ack.properties.and_then(|p| p.reason_string);
            let (word, for_good) = match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return Seen::Acked(ack.pkid),
                PubAckReason::UnspecifiedError => ("unspecified error", false),
                PubAckReason::ImplementationSpecificError => ("implementation specific error", false),
                PubAckReason::NotAuthorized => ("not authorized", true),
                PubAckReason::TopicNameInvalid => ("topic name invalid", true),
                PubAckReason::PacketIdentifierInUse => ("packet identifier in use", false),
                PubAckReason::QuotaExceeded => ("quota exceeded", false),
                PubAckReason::PayloadFormatInvalid => ("payload format invalid", true),
            };
            Seen::Refused { packet: ack.pkid, refusal: refusal(word, text, for_good, false) }
        }
        v5::Event::Incoming(Packet::PubRec(rec)) => {
            let text = rec.properties.and_then(|p| p.reason_string);
            let (word, for_good) = match rec.reason {
                // Done only with PUBCOMP.
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => return Seen::Other,
                PubRecReason::UnspecifiedError => ("unspecified error", false),
                PubRecReason::ImplementationSpecificError => ("implementation specific error", false),
                PubRecReason::NotAuthorized => ("not authorized", true),
                PubRecReason::TopicNameInvalid => ("topic name invalid", true),
                PubRecReason::PacketIdentifierInUse => ("packet identifier in use", false),
                PubRecReason::QuotaExceeded => ("quota exceeded", false),
                PubRecReason::PayloadFormatInvalid => ("payload format invalid", true),
            };
            Seen::Refused { packet: rec.pkid, refusal: refusal(word, text, for_good, true) }
        }
        v5::Event::Incoming(Packet::PubComp(comp)) => match comp.reason {
            PubCompReason::Success => Seen::Acked(comp.pkid),
            // The broker forgot a message it had taken: whether it passed it on is unknown.
            PubCompReason::PacketIdentifierNotFound => Seen::Refused {
                packet: comp.pkid,
                refusal: refusal("packet identifier not found", None, false, true),
            },
        },
        v5::Event::Outgoing(out) => seen_outgoing(out),
        v5::Event::Incoming(_) => Seen::Other,
    }
}

fn seen_v311(event: rumqttc::Event) -> Seen {
    use rumqttc::Packet;
    match event {
        rumqttc::Event::Incoming(Packet::ConnAck(ack)) => Seen::Connected(Terms {
            session_present: ack.session_present,
            receive_max: u16::MAX,
            packet_max: None,
            qos_max: 2,
            retain: true,
        }),
        rumqttc::Event::Incoming(Packet::PubAck(ack)) => Seen::Acked(ack.pkid),
        rumqttc::Event::Incoming(Packet::PubComp(comp)) => Seen::Acked(comp.pkid),
        rumqttc::Event::Outgoing(out) => seen_outgoing(out),
        rumqttc::Event::Incoming(_) => Seen::Other,
    }
}

fn seen_outgoing(out: rumqttc::Outgoing) -> Seen {
    match out {
        rumqttc::Outgoing::Publish(packet) => Seen::Sent(packet),
        rumqttc::Outgoing::Disconnect => Seen::Disconnected,
        _ => Seen::Other,
    }
}

fn refusal(word: &str, text: Option<String>, for_good: bool, leaks: bool) -> Refusal {
    let reason = match text {
        Some(text) if !text.is_empty() => format!("the broker refuses it: {word} ({text})"),
        _ => format!("the broker refuses it: {word}"),
    };
    Refusal { reason, for_good, leaks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packets5::{Packet, PubAck, PubAckReason, PubRec, PubRecReason};

    fn puback(reason: PubAckReason) -> Seen {
        let mut ack = PubAck::new(7, None);
        ack.reason = reason;
        seen_v5(v5::Event::Incoming(Packet::PubAck(ack)))
    }

    #[test]
    fn a_refused_publish_says_whether_it_may_be_tried_again() {
        assert_eq!(puback(PubAckReason::Success), Seen::Acked(7));
        assert_eq!(puback(PubAckReason::NoMatchingSubscribers), Seen::Acked(7));
        let for_good = |seen| match seen {
            Seen::Refused { packet: 7, refusal } => refusal.for_good,
            other => panic!("{other:?}"),
        };
        for reason in
            [PubAckReason::NotAuthorized, PubAckReason::TopicNameInvalid, PubAckReason::PayloadFormatInvalid]
        {
            assert!(for_good(puback(reason)), "{reason:?}");
        }
        for reason in [
            PubAckReason::QuotaExceeded,
            PubAckReason::UnspecifiedError,
            PubAckReason::ImplementationSpecificError,
        ] {
            assert!(!for_good(puback(reason)), "{reason:?}");
        }
    }

    #[test]
    fn with_qos_2_only_the_last_step_acknowledges() {
        let rec = |reason| {
            let mut rec = PubRec::new(7, None);
            rec.reason = reason;
            seen_v5(v5::Event::Incoming(Packet::PubRec(rec)))
        };
        assert_eq!(rec(PubRecReason::Success), Seen::Other);
        assert!(matches!(rec(PubRecReason::NotAuthorized), Seen::Refused { refusal, .. } if refusal.leaks));
        let comp = v5::Event::Incoming(Packet::PubComp(packets5::PubComp::new(7, None)));
        assert_eq!(seen_v5(comp), Seen::Acked(7));
        assert_eq!(
            seen_v311(rumqttc::Event::Incoming(rumqttc::Packet::PubRec(rumqttc::PubRec::new(7)))),
            Seen::Other
        );
    }
}
