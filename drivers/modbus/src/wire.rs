//! The wires of Modbus: TCP connections as all drivers have them, and serial ports.

use gwp_core::BoxFuture;
pub use gwp_driver_kit::wire::{Dial, Recorded, TcpDial, Wire};
use std::io;
use tokio_serial::SerialStream;

/// A serial port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SerialDial {
    /// Path of the device file, or name of the port.
    pub port: String,
    pub baud: u32,
    pub parity: tokio_serial::Parity,
    pub stop_bits: tokio_serial::StopBits,
}

impl Dial for SerialDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Wire>> {
        Box::pin(async {
            let builder = tokio_serial::new(&self.port, self.baud)
                .data_bits(tokio_serial::DataBits::Eight)
                .parity(self.parity)
                .stop_bits(self.stop_bits)
                .flow_control(tokio_serial::FlowControl::None);
            Ok(Wire::new(SerialStream::open(&builder)?))
        })
    }

    fn drill(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            let opened = self.dial().await;
            opened.map(drop).map_err(|error| format!("the port {} cannot be opened: {error}", self.port))
        })
    }
}
