//! Every bound of this source.

use std::time::Duration;

/// Bytes of a topic at most (MQTT 5.0, 1.5.4).
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Bytes of a packet beside its payload: header, topic, properties.
pub const PACKET_OVERHEAD: usize = 128 * 1024;

/// Topics in one SUBSCRIBE.
pub const TOPICS_PER_SUBSCRIBE: usize = 100;

/// Requests in the channel to the client library beside acknowledgements.
pub const CLIENT_CHANNEL: usize = 16;

/// Waits between attempts to connect: first and longest.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(500);
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// Time in which a broker must answer a SUBSCRIBE.
pub const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stopping source waits for the log, to acknowledge what it was given.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(1);
