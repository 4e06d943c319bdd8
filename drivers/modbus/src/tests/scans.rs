//! Scans of devices that do as they should: over TCP, RTU in memory, RTU over TCP and a serial line.

use super::rig::*;
use crate::DRIVERS;
use crate::client::Framing;
use crate::settings::Transport;
use crate::wire::{SerialDial, TcpDial};
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Driver, Emission, PlcType};
use gwp_core::{Quality, Timestamp, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpListener;
use tokio_serial::{Parity, SerialPort, SerialStream, StopBits};

const ALL: Points<'_> = &[
    ("co 5", PlcType::Bool),
    ("di 6", PlcType::Bool),
    ("30008", PlcType::Uint),
    ("hr 100", PlcType::Int),
    ("hr 102", PlcType::Udint),
    ("hr 102 low_first", PlcType::Udint),
    ("40101.2", PlcType::Bool),
    ("hr 16705 len 4", PlcType::String),
];

/// What [`ALL`] reads from unit 1 of a device in which each register holds its address + 10,000.
fn expected() -> Vec<Value> {
    let text: String = [26_705u16, 26_706].iter().flat_map(|r| r.to_be_bytes()).map(char::from).collect();
    vec![
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(10_007),
        Value::Int(10_100),
        Value::Int(10_102 << 16 | 10_103),
        Value::Int(10_103 << 16 | 10_102),
        Value::Bool(true),
        Value::Text(text.into()),
    ]
}

async fn reads_all(mut running: Running) {
    let batch = running.good_slot(0, 3).await;
    let values: Vec<_> = (0..batch.len()).map(|index| batch.values.get(index)).collect();
    assert_eq!(values, expected());
    drop(running.stop.take());
    running.task.await.unwrap();
}

#[tokio::test]
async fn every_table_and_type_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let device = Device::good(Framing::Tcp);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(device.clone().serve(stream));
        }
    });
    let settings = [("address", SettingValue::Text(address.into()))];
    let source = DRIVERS[0].prepare(declare(&settings, &[(1, 20, ALL)]));
    let mut running = Running::of(source.map_err(|errors| format!("{errors:?}")).unwrap());
    assert!(matches!(running.next().await, Emission::Connected { up: true, .. }));
    reads_all(running).await;
}

#[tokio::test]
async fn every_table_and_type_in_rtu_frames_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let device = Device::good(Framing::Rtu);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(device.clone().serve(stream));
        }
    });
    let dial = Arc::new(TcpDial { address });
    reads_all(Running::start(Transport::RtuTcp, declare(&[], &[(1, 20, ALL)]), dial)).await;
}

#[tokio::test]
async fn every_table_and_type_on_a_serial_line() {
    let (far, near) = SerialStream::pair().unwrap();
    // Ports are opened exclusively, so the near end is closed and opened again by its name.
    let port = near.name().unwrap();
    drop(near);
    let dial = Arc::new(SerialDial { port, baud: 19_200, parity: Parity::None, stop_bits: StopBits::One });
    let mut running = Running::start(Transport::Rtu, declare(&[], &[(1, 50, ALL)]), dial);
    assert!(running.connected().await);
    // The far end can be read as soon as the near one is open.
    tokio::spawn(Device::good(Framing::Rtu).serve(far));
    reads_all(running).await;
}

#[tokio::test(start_paused = true)]
async fn samples_carry_their_slot_and_every_slot_is_there() {
    let device = Device::good(Framing::Tcp);
    let declaration =
        declare(&[], &[(1, 100, &[("hr 1", PlcType::Int)]), (2, 1_000, &[("hr 2", PlcType::Int)])]);
    let mut running = Running::start(Transport::Tcp, declaration, MemoryDial::new(&device));
    let mut slots = [Vec::new(), Vec::new()];
    while slots[1].len() < 3 {
        if let Emission::Samples { slot, batch } = running.next().await {
            let group = batch.group.index();
            assert_eq!(batch.times.get(0).0 % [100 * MS, 1_000 * MS][group], 0);
            assert_eq!(batch.values.get(0), Value::Int(i64::from([10_001, 20_002][group])));
            assert_eq!(slot.skipped, 0);
            slots[group].push(slot.number);
        }
    }
    for numbers in &slots {
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
    assert!(slots[0].len() >= 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_device_is_polled_back_to_back_and_skipped_slots_are_counted() {
    let device = Device::new(Framing::Tcp, |asked| {
        vec![Act::Wait(std::time::Duration::from_millis(250)), Act::Send(asked.answer())]
    });
    let declaration = declare(&[], &[(1, 100, &[("hr 1", PlcType::Int)])]);
    let mut running = Running::start(Transport::Tcp, declaration, MemoryDial::new(&device));
    let (mut accounted, mut first, mut last) = (0, None, 0);
    for _ in 0..20 {
        let Slot::Samples(slot, batch) = running.slot(0).await else { panic!() };
        assert_eq!(batch.qualities.get(0), Quality::GOOD);
        match first {
            None => first = Some(slot.number),
            Some(_) => accounted += 1 + u64::from(slot.skipped),
        }
        last = slot.number;
    }
    assert_eq!(accounted, last - first.unwrap());
    assert!(running.meter.slots_skipped.load(Relaxed) >= 19);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_registers_are_eight_requests_a_slot() {
    let device = Device::good(Framing::Tcp);
    let addresses: Vec<String> = (0..1_000).map(|start| format!("hr {start}")).collect();
    let points: Vec<_> = addresses.iter().map(|address| (address.as_str(), PlcType::Uint)).collect();
    let declaration = declare(&[], &[(1, 100, &points)]);
    let mut running = Running::start(Transport::Tcp, declaration, MemoryDial::new(&device));
    let batch = running.good_slot(0, 1).await;
    assert_eq!(device.requests(), 8);
    for index in 0..1_000 {
        assert_eq!(batch.values.get(index), Value::Int(10_000 + index as i64));
    }
    assert!(matches!(batch.times.get(0), Timestamp(time) if time % (100 * MS) == 0));
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_device() {
    let device = Device::new(Framing::Tcp, |_| Vec::new());
    let settings = [("timeout", ms(60_000))];
    let declaration = declare(&settings, &[(1, 100, &[("hr 1", PlcType::Int)])]);
    let mut running = Running::start(Transport::Tcp, declaration, MemoryDial::new(&device));
    assert!(running.connected().await);
    while device.requests() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let before = tokio::time::Instant::now();
    running.stop.take().unwrap().stop();
    running.task.await.unwrap();
    assert!(before.elapsed() < std::time::Duration::from_secs(1));
}
