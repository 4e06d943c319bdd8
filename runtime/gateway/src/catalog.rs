//! The catalog: every driver and sink of this binary.

use gwp_compile::Catalog;
use gwp_core::sink::SinkDriver;
use gwp_core::source::Driver;

/// All drivers.
pub fn drivers() -> Vec<&'static dyn Driver> {
    let mut drivers: Vec<&'static dyn Driver> = vec![&gwp_driver_simulator::Simulator];
    drivers.extend(gwp_driver_modbus::DRIVERS.iter().map(|driver| driver as &dyn Driver));
    drivers.push(&gwp_driver_mqtt::Mqtt);
    drivers.push(&gwp_driver_opcua::OpcUa);
    drivers.push(&gwp_driver_s7::S7);
    drivers
}

/// All sinks.
pub fn sinks() -> Vec<&'static dyn SinkDriver> {
    vec![&gwp_sink_console::Console, &gwp_sink_file::Csv, &gwp_sink_mqtt::Mqtt, &gwp_sink_sql::Sqlite]
}

/// The driver of a name.
pub fn driver(name: &str) -> Option<&'static dyn Driver> {
    drivers().into_iter().find(|driver| driver.manifest().name == name)
}

/// The sink of a name.
pub fn sink(name: &str) -> Option<&'static dyn SinkDriver> {
    sinks().into_iter().find(|sink| sink.manifest().name == name)
}

/// What the compiler is told of them.
pub fn catalog() -> Catalog {
    let drivers = drivers().into_iter().map(|driver| driver.manifest());
    Catalog::new(drivers.chain(sinks().into_iter().map(|sink| sink.manifest())))
}
