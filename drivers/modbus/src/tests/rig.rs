//! A source under test: fake devices, a dial to them, and what the source emits.
//!
//! Most tests run on paused time over in-memory streams: a second of scans
//! takes no time and every run is the same.

use crate::client::Framing;
use crate::prepare::Prepared;
use crate::settings::Transport;
use crate::source::ModbusSource;
use crate::wire::{Dial, Wire};
use gwp_core::command::{Command, CommandFault, CommandSender, command_channel};
use gwp_core::edge::Edge;
use gwp_core::limits::SOURCE_CREDIT_SAMPLES;
use gwp_core::manifest::{Declaration, SettingValue, Settings};
use gwp_core::record::SlotMark;
use gwp_core::source::{
    Emission, GroupDeclaration, Outlet, PlcType, PointDeclaration, Source, SourceContext, SourceDeclaration,
    SourceMeter,
};
use gwp_core::stop::{StopSource, stop_pair};
use gwp_core::{Batch, BoxFuture, Clock, GroupId, Quality, TagId, Timestamp, Value};
use gwp_driver_kit::wire_log::WireLogs;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub const MS: i64 = 1_000_000;

/// No test runs a source longer, mostly on paused time.
const DEADLINE: Duration = Duration::from_secs(3_600);

/// A clock on the runtime's time, so that pausing that pauses this.
pub struct TestClock {
    start: Instant,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000_000_000 * MS).plus(self.start.elapsed().as_nanos() as i64)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let wait = at.since(self.now());
        // The runtime counts whole milliseconds; a slot must be over when its wait is.
        Box::pin(tokio::time::sleep(wait + Duration::from_micros(1)))
    }
}

/// A group to declare: unit, period in ms, addresses with types.
pub type Declared<'a> = (u8, i64, Points<'a>);
pub type Points<'a> = &'a [(&'a str, PlcType)];

/// Declares a source.
pub fn declare(settings: &[(&str, SettingValue)], groups: &[Declared<'_>]) -> SourceDeclaration {
    let mut all = Settings::default();
    settings.iter().for_each(|(name, value)| all.set(name, value.clone()));
    let mut tag = 0;
    let group = |(index, (unit, period_ms, points)): (usize, &Declared<'_>)| {
        let mut device_settings = Settings::default();
        device_settings.set("unit_id", SettingValue::Int(i64::from(*unit)));
        let first = tag;
        tag += points.len() as u32;
        GroupDeclaration {
            id: GroupId(index as u32),
            device: format!("unit{unit}").into(),
            device_settings,
            period_ns: period_ms * MS,
            phase_ns: 0,
            tags: (first..tag).map(TagId).collect(),
            points: points
                .iter()
                .map(|(address, plc_type)| PointDeclaration {
                    path: format!("unit{unit}.{address}").into(),
                    address: (*address).into(),
                    plc_type: *plc_type,
                    writable: !address.contains('.')
                        && (address.starts_with("hr") || address.starts_with("co")),
                    command: false,
                })
                .collect(),
        }
    };
    let groups = groups.iter().enumerate().map(group).collect();
    SourceDeclaration { item: Declaration { name: "line".into(), settings: all }, groups, device_time: false }
}

pub fn ms(ms: i64) -> SettingValue {
    SettingValue::Duration(ms * MS)
}

/// A running source.
pub struct Running {
    pub emissions: mpsc::UnboundedReceiver<Emission>,
    pub write: CommandSender,
    pub meter: Arc<SourceMeter>,
    pub stop: Option<StopSource>,
    pub task: tokio::task::JoinHandle<()>,
    deadline: Instant,
}

/// One slot of one group.
#[derive(Debug)]
pub enum Slot {
    Samples(SlotMark, Batch),
    Failed(SlotMark, Quality),
}

impl Running {
    /// Starts a source whose address is replaced by `dial`.
    pub fn start(transport: Transport, mut declaration: SourceDeclaration, dial: Arc<dyn Dial>) -> Running {
        let settings = &mut declaration.item.settings;
        settings.set("address", SettingValue::Text("127.0.0.1:1".into()));
        settings.set("port", SettingValue::Text("none".into()));
        let (prepared, errors) = Prepared::new(transport, &declaration);
        assert!(errors.is_empty(), "{errors:?}");
        let name = declaration.item.name.clone();
        Running::of(Box::new(ModbusSource::new(
            name,
            declaration.groups,
            prepared,
            dial,
            WireLogs::default(),
        )))
    }

    pub fn of(source: Box<dyn Source>) -> Running {
        let (write, commands) = command_channel();
        let (tx, emissions) = mpsc::unbounded_channel();
        let hand = Arc::new(move |emission, credit| {
            drop(credit);
            // The test may have seen enough.
            let _ = tx.send(emission);
        });
        let outlet = Outlet::new(Edge::new(SOURCE_CREDIT_SAMPLES), hand);
        let (stop_source, stop) = stop_pair();
        let meter = Arc::new(SourceMeter::default());
        let clock = Arc::new(TestClock { start: Instant::now() });
        let cx = SourceContext { outlet, clock, stop, meter: meter.clone(), commands, unpolled: [].into() };
        let task = tokio::spawn(async move { source.run(cx).await.unwrap() });
        Running {
            emissions,
            write,
            meter,
            stop: Some(stop_source),
            task,
            deadline: Instant::now() + DEADLINE,
        }
    }

    /// Writes a tag and waits for what becomes of it.
    pub async fn written(&mut self, tag: u32, value: Value) -> Result<(), CommandFault> {
        let (command, answer) = Command::new(TagId(tag), value);
        assert!(self.write.send(command));
        tokio::time::timeout_at(self.deadline, answer).await.expect("no answer came").unwrap()
    }

    pub async fn next(&mut self) -> Emission {
        tokio::time::timeout_at(self.deadline, self.emissions.recv()).await.expect("nothing came").unwrap()
    }

    /// The next slot of a group; other groups and changes of `connected` are passed over.
    pub async fn slot(&mut self, group: u32) -> Slot {
        loop {
            match self.next().await {
                Emission::Samples { slot, batch } if batch.group == GroupId(group) => {
                    return Slot::Samples(slot, batch);
                }
                Emission::Failed { group: of, slot, why, .. } if of == GroupId(group) => {
                    return Slot::Failed(slot, why);
                }
                _ => {}
            }
        }
    }

    /// The next slot of a group in which all is good, within so many slots.
    pub async fn good_slot(&mut self, group: u32, slots: usize) -> Batch {
        for _ in 0..slots {
            if let Slot::Samples(_, batch) = self.slot(group).await
                && (0..batch.len()).all(|index| batch.qualities.get(index).is_good())
            {
                return batch;
            }
        }
        panic!("no good slot among {slots}");
    }

    /// Waits for a change of `connected`.
    pub async fn connected(&mut self) -> bool {
        loop {
            if let Emission::Connected { up, .. } = self.next().await {
                return up;
            }
        }
    }
}

impl Slot {
    /// Quality of one point.
    pub fn quality(&self, index: usize) -> Quality {
        match self {
            Slot::Samples(_, batch) => batch.qualities.get(index),
            Slot::Failed(_, why) => *why,
        }
    }

    pub fn batch(self) -> Batch {
        match self {
            Slot::Samples(_, batch) => batch,
            Slot::Failed(slot, why) => panic!("slot {slot:?} failed: {why}"),
        }
    }
}

/// One request as a device sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Counts the requests of all connections, from 0.
    pub number: usize,
    pub transaction: [u8; 2],
    pub unit: u8,
    pub function: u8,
    pub start: u16,
    pub count: u16,
    pub framing: Framing,
    /// What follows the count in a request that carries values: their bytes.
    pub data: Vec<u8>,
}

/// What a device does about a request.
#[derive(Clone, Debug)]
pub enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
}

/// What a register holds: in all tests its address plus the unit's 10,000 times.
pub fn register(unit: u8, address: u16) -> u16 {
    address.wrapping_add(u16::from(unit).wrapping_mul(10_000))
}

/// Checksum of an RTU frame (MODBUS over Serial Line V1.02, 6.2.2).
pub fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFFu16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}

impl Asked {
    /// A request in an RTU frame.
    pub fn of_rtu(number: usize, frame: &[u8]) -> Asked {
        let (content, check) = frame.split_at(frame.len() - 2);
        assert_eq!(crc(content), check, "a request's checksum");
        Asked::of_pdu(number, frame)
    }

    /// A request from its unit identifier on.
    fn of_pdu(number: usize, bytes: &[u8]) -> Asked {
        Asked {
            number,
            transaction: [0; 2],
            unit: bytes[0],
            function: bytes[1],
            start: u16::from_be_bytes([bytes[2], bytes[3]]),
            count: u16::from_be_bytes([bytes[4], bytes[5]]),
            framing: Framing::Rtu,
            data: bytes.get(7..).unwrap_or_default().to_vec(),
        }
    }

    /// A frame with this request's header around function and data.
    pub fn frame(&self, pdu: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Tcp => {
                let mut frame = self.transaction.to_vec();
                frame.extend([0, 0]);
                frame.extend(((pdu.len() + 1) as u16).to_be_bytes());
                frame.push(self.unit);
                frame.extend(pdu);
                frame
            }
            Framing::Rtu => {
                let mut frame = vec![self.unit];
                frame.extend(pdu);
                frame.extend(crc(&frame));
                frame
            }
        }
    }

    /// The right answer: registers after [`register`], bits set where the address is odd.
    pub fn answer(&self) -> Vec<u8> {
        if self.function >= 5 {
            let [a, b] = self.start.to_be_bytes();
            let [c, d] = self.count.to_be_bytes();
            return self.frame(&[self.function, a, b, c, d]);
        }
        let addresses = (self.start..=u16::MAX).take(usize::from(self.count));
        let data: Vec<u8> = if self.function <= 2 {
            let mut data = vec![0; usize::from(self.count).div_ceil(8)];
            for (at, address) in addresses.enumerate() {
                data[at / 8] |= ((address & 1) as u8) << (at % 8);
            }
            data
        } else {
            addresses.flat_map(|address| register(self.unit, address).to_be_bytes()).collect()
        };
        let mut pdu = vec![self.function, data.len() as u8];
        pdu.extend(data);
        self.frame(&pdu)
    }

    pub fn exception(&self, code: u8) -> Vec<u8> {
        self.frame(&[self.function | 0x80, code])
    }
}

pub type Behaviour = dyn FnMut(&Asked) -> Vec<Act> + Send;

/// A device: serves every connection with one behaviour and counts what it was asked.
#[derive(Clone)]
pub struct Device {
    behaviour: Arc<Mutex<Behaviour>>,
    framing: Framing,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub connections: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device")
    }
}

impl Device {
    pub fn new(framing: Framing, behaviour: impl FnMut(&Asked) -> Vec<Act> + Send + 'static) -> Device {
        Device {
            behaviour: Arc::new(Mutex::new(behaviour)),
            framing,
            asked: Arc::default(),
            connections: Arc::default(),
        }
    }

    /// A device that answers everything rightly at once.
    pub fn good(framing: Framing) -> Device {
        Device::new(framing, |asked| vec![Act::Send(asked.answer())])
    }

    pub fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Serves one connection until either side ends it.
    pub async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.connections.fetch_add(1, Relaxed);
        while let Ok(asked) = self.read_request(&mut stream).await {
            let acts = (self.behaviour.lock().unwrap())(&asked);
            for act in acts {
                match act {
                    Act::Send(bytes) if stream.write_all(&bytes).await.is_err() => return,
                    Act::Send(_) => {}
                    Act::Wait(time) => tokio::time::sleep(time).await,
                    Act::Close => return,
                }
            }
        }
    }

    async fn read_request(&self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Asked> {
        let mut frame = match self.framing {
            Framing::Tcp => vec![0; 12],
            Framing::Rtu => vec![0; 8],
        };
        stream.read_exact(&mut frame).await?;
        let function = if self.framing == Framing::Tcp { frame[7] } else { frame[1] };
        if matches!(function, 15 | 16) {
            // What is left of a request that carries values.
            let left = match self.framing {
                Framing::Tcp => usize::from(u16::from_be_bytes([frame[4], frame[5]])) - 6,
                Framing::Rtu => usize::from(frame[6]) + 1,
            };
            let mut rest = vec![0; left];
            stream.read_exact(&mut rest).await?;
            frame.extend(rest);
        }
        let mut all = self.asked.lock().unwrap();
        let asked = match self.framing {
            Framing::Tcp => Asked {
                transaction: [frame[0], frame[1]],
                framing: Framing::Tcp,
                ..Asked::of_pdu(all.len(), &frame[6..])
            },
            Framing::Rtu => Asked::of_rtu(all.len(), &frame),
        };
        all.push(asked.clone());
        Ok(asked)
    }
}

/// A dial to a device in memory; refuses while told so.
#[derive(Debug)]
pub struct MemoryDial {
    pub device: Device,
    /// What the next attempts meet; then all succeed.
    pub refusals: Mutex<VecDeque<io::ErrorKind>>,
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
            let (near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(64 * 1024);
            tokio::spawn(self.device.clone().serve(far));
            Ok(Wire::new(near))
        })
    }
}
