//! What drivers share that poll over a connection of their own: byte streams, keeping one connected
//! beside the scan slots, and the columns of a slot while they fill.
//!
//! A driver whose protocol library owns its connections has no need of it.

pub mod connector;
pub mod readings;
pub mod settings;
pub mod wire;
