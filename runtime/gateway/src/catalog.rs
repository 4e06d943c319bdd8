//! The catalog: every driver and sink of this binary.

use gwp_core::sink::SinkDriver;
use gwp_core::source::Driver;
use std::sync::Arc;

/// All drivers, by name.
pub fn drivers() -> Vec<Arc<dyn Driver>> {
    let mut drivers = gwp_driver_modbus::drivers();
    drivers.extend(gwp_driver_simulator::drivers());
    drivers
}

/// All sinks, by name.
pub fn sinks() -> Vec<Arc<dyn SinkDriver>> {
    let mut sinks = gwp_sink_console::sinks();
    sinks.extend(gwp_sink_file::sinks());
    sinks.extend(gwp_sink_mqtt::sinks());
    sinks.extend(gwp_sink_sql::sinks());
    sinks
}
