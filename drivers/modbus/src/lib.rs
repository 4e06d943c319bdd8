//! Modbus as a source: over TCP, on a serial line (RTU), and RTU over TCP.
//!
//! ```text
//! pure    address -> point -> blocks (coalescing) -> decode (programs per block)
//!         write (a value as a request)
//!         units (who answers) · owed (late answers) · group (refusals) · backoff
//! shell   source -> link -> client (tokio-modbus) -> wire;  the kit's connector beside them
//! ```
//! Source of all numbers: MODBUS Application Protocol V1.1b3, MODBUS over
//! Serial Line V1.02, MODBUS Messaging on TCP/IP V1.0b (modbus.org).

mod address;
mod blocks;
mod client;
mod decode;
mod exception;
mod group;
mod link;
mod manifest;
mod owed;
mod point;
mod prepare;
mod settings;
mod source;
mod units;
mod wire;
mod write;

use gwp_core::manifest::{Manifest, SettingError};
use gwp_core::source::{Driver, GroupLoad, Source, SourceDeclaration};
use gwp_driver_kit::wire_log::WireLogs;
use prepare::Prepared;
use settings::Transport;
use source::ModbusSource;

/// One of the Modbus drivers; see [`DRIVERS`].
#[derive(Debug)]
pub struct Modbus {
    transport: Transport,
}

/// The drivers `modbus_tcp`, `modbus_rtu` and `modbus_rtu_tcp`.
pub static DRIVERS: [Modbus; 3] = [
    Modbus { transport: Transport::Tcp },
    Modbus { transport: Transport::Rtu },
    Modbus { transport: Transport::RtuTcp },
];

impl Driver for Modbus {
    fn manifest(&self) -> &'static Manifest {
        self.transport.manifest()
    }

    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError> {
        Prepared::new(self.transport, declaration).1
    }

    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>> {
        let (prepared, mut errors) = Prepared::new(self.transport, &declaration);
        match prepared.link.dial.clone() {
            Some(dial) if errors.is_empty() => {
                let name = declaration.item.name.clone();
                let units = prepared.groups.iter().map(|plan| plan.unit);
                let devices = units.zip(declaration.groups.iter().map(|group| &group.device_settings));
                let logs = WireLogs::new(&name, &declaration.item.settings, devices);
                Ok(Box::new(ModbusSource::new(name, declaration.groups, prepared, dial, logs)))
            }
            _ => {
                if errors.is_empty() {
                    errors.push(settings::unresolved(self.transport));
                }
                Err(errors)
            }
        }
    }

    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad> {
        Prepared::new(self.transport, declaration).0.load()
    }
}

#[cfg(test)]
mod tests;
