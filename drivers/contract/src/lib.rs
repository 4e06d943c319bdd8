//! The rules of drivers (`drivers/README.md`) as cases that every driver passes.
//!
//! ```text
//! source under test --TCP--> Proxy (drops, delays, garbles) --stream--> device of the adapter
//! ```
//! A driver brings an [`Adapter`]: how its source is prepared, and a device that speaks its protocol
//! rightly. A device that has a port of its own (a server of other people's making) is reached by
//! passing the stream on to it. In a test of its crate stands
//!
//! ```text
//! gwp_driver_contract::every_driver!(adapter());
//! gwp_driver_contract::over_a_wire!(adapter());
//! gwp_driver_contract::writing!(adapter());
//! ```
//! Time is real here, as the sources own real sockets; no case depends on how fast the machine is.
//! For tests only: no driver depends on this crate but in its tests.

pub mod capture;
pub mod cases;
pub mod log;
pub mod proxy;
pub mod rig;

use gwp_core::BoxFuture;
use gwp_core::source::Source;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::DuplexStream;

/// What a driver brings to be tested.
///
/// Its source has one poll group: tag 0 is a whole number of 16 bits, read from the device; tag 1 is
/// another one, writable if the driver can write.
pub trait Adapter: Send + Sync {
    /// A source of the driver, prepared as a program would have it.
    fn source(&self, at: &Place) -> Box<dyn Source>;

    /// A device that serves one connection until it ends, as `device` says.
    fn serve(&self, stream: DuplexStream, device: Arc<Device>) -> BoxFuture<'static, ()>;
}

/// Where the device is, and the times the source is to keep.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Name of the source.
    pub name: &'static str,
    /// Its setting `wire_log`.
    pub wire_log: &'static str,
    pub address: SocketAddr,
    /// Period of its scan slots in milliseconds.
    pub period_ms: i64,
    /// Longest wait for an answer in milliseconds.
    pub timeout_ms: i64,
    /// First and longest pause between attempts to connect, in milliseconds.
    pub pauses_ms: (i64, i64),
}

/// What the device does about requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Behaviour {
    /// It answers rightly.
    #[default]
    Right,
    /// It refuses, in a way that may pass: it is busy.
    Busy,
    /// It answers a read with another number of bytes, or values of another type.
    WrongShape,
}

/// What a device holds and what it has been told.
#[derive(Debug, Default)]
pub struct Device(Mutex<DeviceState>);

#[derive(Debug, Default)]
struct DeviceState {
    behaviour: Behaviour,
    value: u16,
    writes: Vec<u16>,
}

impl Device {
    fn state(&self) -> std::sync::MutexGuard<'_, DeviceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is to answer now.
    pub fn behaviour(&self) -> Behaviour {
        self.state().behaviour
    }

    /// What tag 0 holds now.
    pub fn value(&self) -> u16 {
        self.state().value
    }

    /// Tag 1 is written; to be called by the device for each write that reaches it.
    pub fn write(&self, value: u16) {
        self.state().writes.push(value);
    }

    /// From now on it behaves so.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// From now on tag 0 holds this.
    pub fn hold(&self, value: u16) {
        self.state().value = value;
    }

    /// All writes that have reached it.
    pub fn writes(&self) -> Vec<u16> {
        self.state().writes.clone()
    }
}

/// One test for each of the named cases.
#[macro_export]
macro_rules! cases {
    ($adapter:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::cases::$case(::std::sync::Arc::new($adapter)).await;
            }
        )*
    };
}

/// What holds of every driver, also of one without a device.
#[macro_export]
macro_rules! every_driver {
    ($adapter:expr) => {
        $crate::cases!($adapter; every_slot_is_accounted_for, it_stops_when_told);
    };
}

/// What holds of drivers that have a connection.
#[macro_export]
macro_rules! over_a_wire {
    ($adapter:expr) => {
        $crate::cases!($adapter;
            connects_late, dropped_and_back, silence, late_answers, busy, garbage, half_frames,
            answers_in_single_bytes, wrong_shapes, no_storm_of_attempts, no_storm_of_short_connections,
            stops_while_busy, slots_of_an_outage, the_wire_log_of_one_source);
    };
}

/// What holds of drivers that write.
#[macro_export]
macro_rules! writing {
    ($adapter:expr) => {
        $crate::cases!($adapter;
            a_write_reaches_the_device_once, an_unanswered_write_is_unknown_and_not_repeated,
            a_write_without_a_connection_has_failed, a_write_that_does_not_fit_is_not_sent);
    };
}
