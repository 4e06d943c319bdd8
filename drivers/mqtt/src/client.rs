//! Thin shell over the client library: both protocol versions as one.
//!
//! A connection is used until its first fault and never again: the session at the broker, not the
//! library, knows what was not acknowledged and sends it again.

use crate::limits::{CLIENT_CHANNEL, PACKET_OVERHEAD, TOPICS_PER_SUBSCRIBE};
use crate::settings::Options;
use crate::topics::Subscription;
use gwp_mqtt::faults::{fault_v5, fault_v311};
use gwp_mqtt::link::network;
use gwp_mqtt::{Fault, Version};
use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5 as packets5;
use rustls::ClientConfig;

/// What happened on the connection.
#[derive(Debug)]
pub enum Seen {
    Connected {
        session_present: bool,
    },
    Message(Box<Incoming>),
    /// The broker has answered the oldest SUBSCRIBE: for each of its topics whether it is refused.
    Subscribed(Vec<bool>),
    /// Our goodbye went out.
    Disconnected,
    /// Nothing a source must know.
    Other,
}

/// A message that was published.
#[derive(Debug)]
pub struct Incoming {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub repeated: bool,
    /// The user property `time`.
    pub time: Option<String>,
    /// What acknowledges it; `None` for QoS 0.
    pub ack: Option<Ack>,
}

/// The right to acknowledge one message.
#[derive(Debug)]
pub enum Ack {
    V5(packets5::Publish),
    V311(rumqttc::Publish),
}

/// The way to the broker. Never blocks.
pub enum Client {
    V5(v5::AsyncClient),
    V311(rumqttc::AsyncClient),
}

/// What comes back. Must be awaited without being cancelled, or packets are lost.
pub enum Events {
    V5(Box<v5::EventLoop>),
    V311(Box<rumqttc::EventLoop>),
}

/// A connection that connects when its events are first awaited.
pub fn open(options: &Options, tls: Option<ClientConfig>) -> (Client, Events) {
    let window = usize::from(options.window);
    let packet_max = options.payload_max + PACKET_OVERHEAD;
    match options.link.version {
        Version::V5 => {
            let mut o = options.link.options_v5(tls, false, u32::try_from(packet_max).unwrap_or(u32::MAX));
            o.set_manual_acks(true).set_receive_maximum(Some(options.window));
            let (client, events) = v5::AsyncClient::new(o, CLIENT_CHANNEL + window);
            (Client::V5(client), Events::V5(Box::new(events)))
        }
        Version::V311 => {
            let mut o = options.link.options_v311(tls, false, packet_max, packet_max);
            o.set_manual_acks(true);
            let (client, mut events) = rumqttc::AsyncClient::new(o, CLIENT_CHANNEL + window);
            events.set_network_options(network());
            (Client::V311(client), Events::V311(Box::new(events)))
        }
    }
}

/// What goes into one SUBSCRIBE each.
pub fn portions(subscriptions: &[Subscription]) -> impl Iterator<Item = &[Subscription]> {
    subscriptions.chunks(TOPICS_PER_SUBSCRIBE)
}

impl Client {
    /// Asks for topics; false when the channel is full and it must be tried again.
    pub fn subscribe(&self, topics: &[Subscription]) -> bool {
        match self {
            Client::V5(client) => {
                use v5::mqttbytes::QoS;
                let filter = |subscription: &Subscription| {
                    let qos = if subscription.commands { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                    let mut filter = packets5::Filter::new(subscription.topic.clone(), qos);
                    // A session that goes on has had them.
                    filter.retain_forward_rule = packets5::RetainForwardRule::OnNewSubscribe;
                    filter
                };
                client.try_subscribe_many(topics.iter().map(filter)).is_ok()
            }
            Client::V311(client) => {
                use rumqttc::QoS;
                let filter = |subscription: &Subscription| {
                    let qos = if subscription.commands { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                    rumqttc::SubscribeFilter::new(subscription.topic.clone(), qos)
                };
                client.try_subscribe_many(topics.iter().map(filter)).is_ok()
            }
        }
    }

    /// Acknowledges a message; false when the channel is full and it must be tried again.
    pub fn acknowledge(&self, ack: &Ack) -> bool {
        match (self, ack) {
            (Client::V5(client), Ack::V5(publish)) => client.try_ack(publish).is_ok(),
            (Client::V311(client), Ack::V311(publish)) => client.try_ack(publish).is_ok(),
            // A connection gives only its own.
            _ => true,
        }
    }

    /// Asks for a goodbye; [`Seen::Disconnected`] tells when it went out.
    pub fn disconnect(&self) -> bool {
        match self {
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::V311(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Events {
    /// The next event. After a fault the connection is of no more use.
    ///
    /// # Errors
    /// Whatever ends the connection.
    pub async fn next(&mut self) -> Result<Seen, Fault> {
        match self {
            Events::V5(events) => events.poll().await.map(seen_v5).map_err(fault_v5),
            Events::V311(events) => events.poll().await.map(seen_v311).map_err(fault_v311),
        }
    }
}

fn seen_v5(event: v5::Event) -> Seen {
    use packets5::{Packet, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => Seen::Connected { session_present: ack.session_present },
        v5::Event::Incoming(Packet::SubAck(ack)) => {
            let refused = |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
            Seen::Subscribed(ack.return_codes.iter().map(refused).collect())
        }
        v5::Event::Incoming(Packet::Publish(mut publish)) => {
            let properties = publish.properties.take().unwrap_or_default();
            let time = properties.user_properties.into_iter().find(|(name, _)| name == "time");
            let payload = std::mem::take(&mut publish.payload).to_vec();
            Seen::Message(Box::new(Incoming {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload,
                retained: publish.retain,
                repeated: publish.dup,
                time: time.map(|(_, value)| value),
                ack: (publish.qos != v5::mqttbytes::QoS::AtMostOnce).then_some(Ack::V5(publish)),
            }))
        }
        v5::Event::Outgoing(rumqttc::Outgoing::Disconnect) => Seen::Disconnected,
        _ => Seen::Other,
    }
}

fn seen_v311(event: rumqttc::Event) -> Seen {
    use rumqttc::{Packet, SubscribeReasonCode};
    match event {
        rumqttc::Event::Incoming(Packet::ConnAck(ack)) => {
            Seen::Connected { session_present: ack.session_present }
        }
        rumqttc::Event::Incoming(Packet::SubAck(ack)) => {
            let refused = |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
            Seen::Subscribed(ack.return_codes.iter().map(refused).collect())
        }
        rumqttc::Event::Incoming(Packet::Publish(mut publish)) => Seen::Message(Box::new(Incoming {
            topic: std::mem::take(&mut publish.topic),
            payload: std::mem::take(&mut publish.payload).to_vec(),
            retained: publish.retain,
            repeated: publish.dup,
            time: None,
            ack: (publish.qos != rumqttc::QoS::AtMostOnce).then_some(Ack::V311(publish)),
        })),
        rumqttc::Event::Outgoing(rumqttc::Outgoing::Disconnect) => Seen::Disconnected,
        _ => Seen::Other,
    }
}
