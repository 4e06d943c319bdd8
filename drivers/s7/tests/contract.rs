//! The rules of drivers, passed by S7.

#[path = "../src/tests/device.rs"]
#[allow(dead_code)]
mod device;

use device::{Act, Asked};
use gwp_core::BoxFuture;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, PlcType, Source};
use gwp_driver_contract::rig::{declare, ms};
use gwp_driver_contract::{Adapter, Behaviour, Device, Place};
use gwp_driver_s7::S7;
use std::sync::Arc;
use tokio::io::DuplexStream;

struct OfS7;

impl Adapter for OfS7 {
    fn source(&self, at: &Place) -> Box<dyn Source> {
        let pauses = [("first", ms(at.pauses_ms.0)), ("max", ms(at.pauses_ms.1))];
        let pauses = Settings(pauses.map(|(name, value)| (name.into(), value)).into());
        let settings = [
            ("address", SettingValue::Text(at.address.to_string().into())),
            ("timeout", ms(at.timeout_ms)),
            ("connect_timeout", ms(at.timeout_ms * 4)),
            ("reconnect", SettingValue::Block(pauses)),
            ("wire_log", SettingValue::Text(at.wire_log.into())),
        ];
        let points = [("DB1.DBW1", PlcType::Uint, false), ("DB2.DBW1", PlcType::Uint, true)];
        let mut declaration = declare(&settings, &[(at.period_ms, &points)]);
        declaration.item.name = at.name.into();
        S7.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn serve(&self, stream: DuplexStream, device: Arc<Device>) -> BoxFuture<'static, ()> {
        let plc = device::Device::new(240, move |asked| vec![Act::Send(answer(asked, &device))]);
        Box::pin(plc.serve(stream))
    }
}

fn answer(asked: &Asked, device: &Device) -> Vec<u8> {
    let parameters = [asked.function, asked.items.len() as u8];
    match device.behaviour() {
        Behaviour::Busy => asked.refusal(0x83, 0x01),
        _ if asked.function == 5 => {
            device.write(u16::from_be_bytes([asked.data[0], asked.data[1]]));
            asked.answer()
        }
        Behaviour::WrongShape => asked.frame([0, 0], &parameters, &[0xFF, 4, 0, 8, 1]),
        Behaviour::Right => {
            let [high, low] = device.value().to_be_bytes();
            let value =
                |block: u16| if block == 1 { [0xFF, 4, 0, 16, high, low] } else { [0xFF, 4, 0, 16, 0, 0] };
            let data: Vec<u8> = asked.items.iter().flat_map(|item| value(item.block)).collect();
            asked.frame([0, 0], &parameters, &data)
        }
    }
}

gwp_driver_contract::every_driver!(OfS7);
gwp_driver_contract::over_a_wire!(OfS7);
gwp_driver_contract::writing!(OfS7);
