//! The rules of drivers, passed by Modbus TCP.

use gwp_core::BoxFuture;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, PlcType, Source};
use gwp_driver_contract::rig::{declare, ms};
use gwp_driver_contract::{Adapter, Behaviour, Device, Place};
use gwp_driver_modbus::DRIVERS;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

struct OfModbus;

impl Adapter for OfModbus {
    fn source(&self, at: &Place) -> Box<dyn Source> {
        let pauses = [("first", ms(at.pauses_ms.0)), ("max", ms(at.pauses_ms.1))];
        let pauses = Settings(pauses.map(|(name, value)| (name.into(), value)).into());
        let settings = [
            ("address", SettingValue::Text(at.address.to_string().into())),
            ("timeout", ms(at.timeout_ms)),
            ("connect_timeout", ms(at.timeout_ms * 4)),
            ("probe", ms(200)),
            ("reconnect", SettingValue::Block(pauses)),
            ("wire_log", SettingValue::Text(at.wire_log.into())),
        ];
        let points = [("hr 1", PlcType::Uint, false), ("hr 2", PlcType::Uint, true)];
        let mut declaration = declare(&settings, &[(at.period_ms, &points)]);
        declaration.item.name = at.name.into();
        DRIVERS[0].prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn serve(&self, stream: DuplexStream, device: Arc<Device>) -> BoxFuture<'static, ()> {
        Box::pin(serve(stream, device))
    }
}

/// A unit with the holding registers 1 and 2, functions 3 and 6.
async fn serve(mut stream: DuplexStream, device: Arc<Device>) {
    let mut request = [0; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let (function, start) = (request[7], u16::from_be_bytes([request[8], request[9]]));
        let count = u16::from_be_bytes([request[10], request[11]]);
        let pdu = match device.behaviour() {
            Behaviour::Busy => vec![function | 0x80, 6],
            _ if function == 6 => {
                device.write(count);
                request[7..].to_vec()
            }
            // Another number of registers.
            Behaviour::WrongShape => vec![function, 6, 1, 2, 3, 4, 5, 6],
            Behaviour::Right => {
                let register = |address: u16| if address == 1 { device.value() } else { 0 };
                let registers = (start..start + count).flat_map(|address| register(address).to_be_bytes());
                [&[function, count as u8 * 2][..], &registers.collect::<Vec<u8>>()].concat()
            }
        };
        let mut frame = request[..4].to_vec();
        frame.extend((pdu.len() as u16 + 1).to_be_bytes());
        frame.push(request[6]);
        frame.extend(pdu);
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

gwp_driver_contract::every_driver!(OfModbus);
gwp_driver_contract::over_a_wire!(OfModbus);
gwp_driver_contract::writing!(OfModbus);
