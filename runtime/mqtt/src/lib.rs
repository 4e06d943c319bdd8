//! A connection to an MQTT broker: what the source `mqtt` and the sink `mqtt` have in common.
//!
//! ```text
//! rows      lines of both manifests
//! link      settings -> Link -> options of the client library, 5.0 and 3.1.1
//! tls       PEM files -> configuration
//! faults    what the library says -> what is to be done
//! ```
//! What travels on a connection, and what is acknowledged when, is theirs.

pub mod faults;
pub mod link;
pub mod rows;
pub mod tls;

pub use faults::Fault;
pub use link::{Broker, Link, Version};

/// Time to connect, TLS and CONNACK included.
pub const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Time to say goodbye.
pub const DISCONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
