//! The rules of drivers, passed by OPC UA in scan slots, against a small server of our own.

#[path = "contract/server.rs"]
mod server;

use gwp_core::BoxFuture;
use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Driver, PlcType, Source};
use gwp_driver_contract::log::Log;
use gwp_driver_contract::proxy::{Mode, Proxy};
use gwp_driver_contract::rig::{Running, declare, ms};
use gwp_driver_contract::{Adapter, Device, Place};
use gwp_driver_opcua::OpcUa;
use std::sync::Arc;
use tokio::io::DuplexStream;

#[derive(Default)]
struct OfOpcUa {
    /// User and password.
    user: Option<(&'static str, &'static str)>,
}

impl Adapter for OfOpcUa {
    fn source(&self, at: &Place) -> Box<dyn Source> {
        let text = |text: String| SettingValue::Text(text.into());
        let pauses = [("first", ms(at.pauses_ms.0)), ("max", ms(at.pauses_ms.1))];
        let pauses = Settings(pauses.map(|(name, value)| (name.into(), value)).into());
        let mut settings = vec![
            ("address", text(format!("opc.tcp://{}", at.address))),
            ("mode", text("poll".into())),
            ("security", text("none".into())),
            ("pki", text(std::env::temp_dir().join("gwp-opcua-contract-pki").display().to_string())),
            ("timeout", ms(at.timeout_ms)),
            ("connect_timeout", ms(at.timeout_ms * 4)),
            ("reconnect", SettingValue::Block(pauses)),
            ("wire_log", text(at.wire_log.into())),
        ];
        if let Some((user, password)) = self.user {
            settings.extend([("user", text(user.into())), ("password", text(password.into()))]);
        }
        let points =
            [("nsu=urn:device;i=0", PlcType::Uint, false), ("nsu=urn:device;i=1", PlcType::Uint, true)];
        let mut declaration = declare(&settings, &[(at.period_ms, &points)]);
        declaration.item.name = at.name.into();
        OpcUa.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn serve(&self, stream: DuplexStream, device: Arc<Device>) -> BoxFuture<'static, ()> {
        Box::pin(server::serve(stream, device))
    }
}

gwp_driver_contract::every_driver!(OfOpcUa::default());
gwp_driver_contract::over_a_wire!(OfOpcUa::default());
gwp_driver_contract::writing!(OfOpcUa::default());

#[tokio::test]
async fn the_wire_log_tells_no_password() {
    const PASSWORD: &str = "not-for-the-log";
    let log = Log::capture();
    let (adapter, device) =
        (Arc::new(OfOpcUa { user: Some(("anna", PASSWORD)) }), Arc::new(Device::default()));
    let proxy = Proxy::start(adapter.clone(), device, Mode::Pass).await;
    let place = Place {
        name: "line",
        wire_log: "bytes",
        address: proxy.address,
        period_ms: 50,
        timeout_ms: 1_000,
        pauses_ms: (40, 160),
    };
    let mut running = Running::of(adapter.source(&place));
    running.good_slot(0, 600).await;
    running.stop().await;
    let lines = log.lines();
    let wire: Vec<&String> = lines.iter().filter(|line| line.contains(" wire: ")).collect();
    for said in ["Connect, attempt: 1, security none after ", "Read, nodes: 2, Good after "] {
        assert!(wire.iter().any(|line| line.contains(said)), "{wire:?}");
    }
    // Neither as it is nor byte by byte.
    let bytes: Vec<String> = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    for secret in [PASSWORD.into(), bytes.join(" "), bytes.concat()] {
        assert!(!lines.iter().any(|line| line.contains(&secret)), "{lines:?}");
    }
}
