//! What drivers share that poll over a connection of their own: byte streams, keeping one connected
//! beside the scan slots, the columns of a slot while they fill, and the wire log.
//!
//! Of a driver whose protocol library owns its connections only the last concerns.

pub mod connector;
pub mod readings;
pub mod settings;
pub mod wire;
pub mod wire_log;
