//! The rules of drivers, passed by OPC UA in scan slots, against a small server of our own.

#[path = "contract/server.rs"]
mod server;

use gwp_core::BoxFuture;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, PlcType, Source};
use gwp_driver_contract::rig::{declare, ms};
use gwp_driver_contract::{Adapter, Device, Place};
use gwp_driver_opcua::OpcUa;
use std::sync::Arc;
use tokio::io::DuplexStream;

struct OfOpcUa;

impl Adapter for OfOpcUa {
    fn source(&self, at: &Place) -> Box<dyn Source> {
        let text = |text: String| SettingValue::Text(text.into());
        let pauses = [("first", ms(at.pauses_ms.0)), ("max", ms(at.pauses_ms.1))];
        let pauses = Settings(pauses.map(|(name, value)| (name.into(), value)).into());
        let settings = [
            ("address", text(format!("opc.tcp://{}", at.address))),
            ("mode", text("poll".into())),
            ("security", text("none".into())),
            ("pki", text(std::env::temp_dir().join("gwp-opcua-contract-pki").display().to_string())),
            ("timeout", ms(at.timeout_ms)),
            ("connect_timeout", ms(at.timeout_ms * 4)),
            ("reconnect", SettingValue::Block(pauses)),
        ];
        let points =
            [("nsu=urn:device;i=0", PlcType::Uint, false), ("nsu=urn:device;i=1", PlcType::Uint, true)];
        let declaration = declare(&settings, &[(at.period_ms, &points)]);
        OpcUa.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn serve(&self, stream: DuplexStream, device: Arc<Device>) -> BoxFuture<'static, ()> {
        Box::pin(server::serve(stream, device))
    }
}

gwp_driver_contract::every_driver!(OfOpcUa);
gwp_driver_contract::over_a_wire!(OfOpcUa);
gwp_driver_contract::writing!(OfOpcUa);
