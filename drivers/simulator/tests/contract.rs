//! The rules of drivers, as far as they concern one without a device, passed by the simulator.

use gwp_core::BoxFuture;
use gwp_core::source::{Driver, PlcType, Source};
use gwp_driver_contract::rig::declare;
use gwp_driver_contract::{Adapter, Device, Place};
use gwp_driver_simulator::Simulator;
use std::sync::Arc;
use tokio::io::DuplexStream;

struct OfSimulator;

impl Adapter for OfSimulator {
    fn source(&self, at: &Place) -> Box<dyn Source> {
        let points = [("counter 0..999", PlcType::Int, false), ("counter 0..9", PlcType::Int, false)];
        let declaration = declare(&[], &[(at.period_ms, &points)]);
        Simulator.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn serve(&self, _: DuplexStream, _: Arc<Device>) -> BoxFuture<'static, ()> {
        unreachable!("nobody connects to it")
    }
}

gwp_driver_contract::every_driver!(OfSimulator);
