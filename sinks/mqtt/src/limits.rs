//! Every bound of this sink.

use std::time::Duration;

/// Samples of one delivery: one journal entry. Merging more saves nothing, a message never spans entries.
pub const DELIVERY_SAMPLES: usize = 1_000;

/// Bytes of one delivery, roughly.
pub const DELIVERY_BYTES: usize = 128 * 1024;

/// Deliveries handed over and not acknowledged: with 1,000 samples each, 64 of them carry 640,000
/// values/s over a link with a round trip of 100 ms.
pub const DELIVERIES_IN_FLIGHT: usize = 64;

/// Requests in the channel to the client library.
pub const CLIENT_CHANNEL: usize = 32;

/// Bytes of one packet from the broker; a sink receives acknowledgements only.
pub const INCOMING_BYTES: u32 = 64 * 1024;

/// Bytes an MQTT 5.0 or 3.1.1 publish needs beside topic and payload: fixed header 5, length of the
/// topic 2, packet id 2, length of the (absent) properties 1.
pub const PUBLISH_OVERHEAD: usize = 10;

/// Time in which a broker with messages to acknowledge must acknowledge one.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// How often [`ACK_TIMEOUT`] is looked at.
pub const ACK_CHECK: Duration = Duration::from_secs(5);

/// Smallest bound on packets that is learned from a broker which closes on large ones.
pub const LEARNED_PACKET_MIN: usize = 256;

/// Messages in flight with QoS 2 over 3.1.1: mosquitto's default, which it enforces by closing the
/// connection and cannot tell in that version.
pub const QOS_2_WINDOW_V311: u16 = 20;

/// A connection lost within this time was lost early.
pub const EARLY: Duration = Duration::from_secs(5);

/// Early losses in a row before messages go one by one.
pub const EARLY_LOSSES_MAX: u32 = 2;
