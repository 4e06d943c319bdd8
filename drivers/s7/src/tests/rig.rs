//! A source over in-memory streams to a device of the tests.

pub use super::device::*;
use crate::client::PlcDial;
use crate::prepare::Prepared;
use crate::source::S7Source;
use gwp_core::BoxFuture;
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_driver_contract::rig::declare;
pub use gwp_driver_contract::rig::{Running, Slot, ms};
use gwp_driver_kit::wire::{Dial, Wire};
use gwp_driver_kit::wire_log::WireLog;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Tags of one group: addresses and types. Those of blocks and flags are writable.
pub type Points<'a> = &'a [(&'a str, PlcType)];

/// A dial to a device in memory; refuses while told so.
#[derive(Debug)]
pub struct MemoryDial {
    device: Device,
    refusals: Mutex<VecDeque<io::ErrorKind>>,
    pub attempts: AtomicUsize,
}

impl MemoryDial {
    pub fn new(device: &Device) -> Arc<MemoryDial> {
        Arc::new(MemoryDial {
            device: device.clone(),
            refusals: Mutex::default(),
            attempts: AtomicUsize::new(0),
        })
    }

    /// So many next attempts fail.
    pub fn refuse(&self, times: usize) {
        self.refusals.lock().unwrap().extend(vec![io::ErrorKind::ConnectionRefused; times]);
    }
}

impl Dial for MemoryDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Wire>> {
        Box::pin(async {
            self.attempts.fetch_add(1, Relaxed);
            if let Some(kind) = self.refusals.lock().unwrap().pop_front() {
                return Err(kind.into());
            }
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(self.device.clone().serve(far));
            Ok(Wire::new(near))
        })
    }
}

/// Starts a source with one group per (period in ms, points), whose address is replaced by `wires`.
pub fn start(
    settings: &[(&str, SettingValue)],
    groups: &[(i64, Points<'_>)],
    wires: Arc<dyn Dial>,
) -> Running {
    let mut settings = settings.to_vec();
    settings.push(("address", SettingValue::Text("plc".into())));
    let with_rights: Vec<Vec<_>> = groups
        .iter()
        .map(|(_, points)| {
            let is_writable = |address: &str| address.starts_with("DB") || address.starts_with('M');
            points.iter().map(|(address, plc_type)| (*address, *plc_type, is_writable(address))).collect()
        })
        .collect();
    let groups: Vec<_> =
        groups.iter().zip(&with_rights).map(|((period, _), points)| (*period, &points[..])).collect();
    let declaration = declare(&settings, &groups);
    let (prepared, errors) = Prepared::new(&declaration);
    assert_eq!(errors, []);
    let dial = PlcDial { wires, tsaps: prepared.link.tsaps, pdu: prepared.link.pdu, log: WireLog::default() };
    Running::of(Box::new(S7Source::new("plc".into(), declaration.groups, prepared, Arc::new(dial))))
}
