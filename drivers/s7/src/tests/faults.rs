//! Devices that refuse, mumble, fall silent or go away: what turns bad, and how it comes back.

use super::rig::*;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Emission, PlcType};
use gwp_core::{GroupId, Quality, Value};
use gwp_driver_kit::wire::{Dial, Wire};
use gwp_driver_kit::wire_log::WireLog;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const ONE: Points<'_> = &[("DB1.DBW7", PlcType::Uint), ("DB1.DBW9", PlcType::Uint)];

fn settings() -> Vec<(&'static str, SettingValue)> {
    vec![("timeout", ms(100))]
}

fn right() -> Value {
    Value::Int(i64::from(u16::from_be_bytes([memory(1, 7), memory(1, 8)])))
}

/// The answer with other bytes in its telegram.
fn changed(asked: &Asked, change: impl Fn(&mut Vec<u8>)) -> Vec<Act> {
    let mut answer = asked.answer();
    change(&mut answer);
    vec![Act::Send(answer)]
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_are_bad_and_the_next_right_one_is_good_again() {
    type Spoil = fn(&Asked) -> Vec<Act>;
    let spoils: [(&str, Spoil); 13] = [
        ("garbage", |_| vec![Act::Send((0..40u8).map(|n| n.wrapping_mul(37)).collect())]),
        ("half a frame", |asked| vec![Act::Send(asked.answer()[..12].to_vec())]),
        ("half a frame, then the end", |asked| vec![Act::Send(asked.answer()[..12].to_vec()), Act::Close]),
        ("wrong reference", |asked| changed(asked, |answer| answer[11] ^= 1)),
        ("wrong function", |asked| changed(asked, |answer| answer[19] = 5)),
        ("wrong number of items", |asked| changed(asked, |answer| answer[20] = 2)),
        ("wrong length of a value", |asked| changed(asked, |answer| answer[24] = 16)),
        ("wrong protocol", |asked| changed(asked, |answer| answer[7] = 0x72)),
        ("a job and no answer", |asked| changed(asked, |answer| answer[8] = 1)),
        ("two answers", |asked| vec![Act::Send([asked.answer(), asked.answer()].concat())]),
        ("a unit of no content without end", |_| vec![Act::Send(vec![3, 0, 0, 7, 2, 0xF0, 0])]),
        ("nothing", |_| Vec::new()),
        ("disconnected", |_| vec![Act::Send(vec![3, 0, 0, 11, 6, 0x80, 0, 0, 0, 0, 0])]),
    ];
    for (name, spoil) in spoils {
        let device = Device::new(240, move |asked| match asked.number {
            2 | 3 => spoil(asked),
            _ => vec![Act::Send(asked.answer())],
        });
        let mut running = start(&settings(), &[(500, ONE)], MemoryDial::new(&device));
        running.good_slot(0, 1).await;
        running.good_slot(0, 1).await;
        let slot = running.slot(0).await;
        if name != "two answers" {
            assert!(slot.quality(0).is_bad() && slot.quality(1).is_bad(), "{name}: {slot:?}");
        }
        let batch = running.good_slot(0, 12).await;
        assert_eq!(batch.values.get(0), right(), "{name}");
        assert!(running.meter.errors.load(Relaxed) + running.meter.timeouts.load(Relaxed) > 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_qualities() {
    for (code, quality) in [
        (0x01, Quality::DEVICE_FAILURE),
        (0x03, Quality::NOT_READABLE),
        (0x05, Quality::UNKNOWN_ADDRESS),
        (0x06, Quality::CONFIG),
        (0x0A, Quality::UNKNOWN_ADDRESS),
        (0x77, Quality::DEVICE_FAILURE),
    ] {
        let device = Device::new(240, move |asked| vec![Act::Send(asked.answer_but(|_| Some(code)))]);
        let mut running = start(&settings(), &[(500, ONE)], MemoryDial::new(&device));
        assert_eq!(running.slot(0).await.quality(0), quality, "return code {code:#04x}");
        assert!(matches!(running.slot(0).await, Slot::Failed(_, why) if why == quality));
        assert_eq!(device.connections.load(Relaxed), 1, "a refusal is an answer");
    }
    for (class, code, quality) in
        [(0x81, 4, Quality::NOT_READABLE), (0x85, 0, Quality::CONFIG), (0x83, 1, Quality::DEVICE_BUSY)]
    {
        let device = Device::new(240, move |asked| vec![Act::Send(asked.refusal(class, code))]);
        let mut running = start(&settings(), &[(500, ONE)], MemoryDial::new(&device));
        assert_eq!(running.slot(0).await.quality(0), quality, "error {class:#04x}");
        assert_eq!(device.connections.load(Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_the_plc_lacks_spoils_no_other() {
    // Block 1 ends before byte 60, and there is no block 2.
    let device = Device::new(240, |asked| {
        vec![Act::Send(asked.answer_but(|item| match item.block {
            1 if item.start() + u32::from(item.count) > 60 => Some(0x05),
            2 => Some(0x0A),
            _ => None,
        }))]
    });
    let mut addresses: Vec<String> = (0..31).map(|at| format!("DB1.DBW{}", at * 2)).collect();
    addresses.extend(["DB2.DBW0".into(), "DB2.DBW2".into(), "DB3.DBW0".into()]);
    let points: Vec<_> = addresses.iter().map(|address| (address.as_str(), PlcType::Uint)).collect();
    let mut running = start(&settings(), &[(100, &points)], MemoryDial::new(&device));
    running.slot(0).await;
    running.slot(0).await;
    for _ in 0..3 {
        let batch = running.slot(0).await.batch();
        for (index, (address, _)) in points.iter().enumerate() {
            let expected = if matches!(index, 30..=32) { Quality::UNKNOWN_ADDRESS } else { Quality::GOOD };
            assert_eq!(batch.qualities.get(index), expected, "{address}");
        }
    }
    let before = running.meter.errors.load(Relaxed);
    for _ in 0..100 {
        running.slot(0).await;
    }
    assert_eq!(running.meter.errors.load(Relaxed), before, "what is known to be missing is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_never_taken_for_another() {
    // Every answer takes longer than the timeout, by an amount that differs.
    let device = Device::new(240, |asked| {
        let wait = 40 + 37 * (asked.number as u64 % 7);
        vec![Act::Wait(Duration::from_millis(wait)), Act::Send(asked.answer())]
    });
    let two: Points<'_> = &[("DB1.DBW7", PlcType::Uint)];
    let three: Points<'_> = &[("DB2.DBW7", PlcType::Uint)];
    let mut running = start(&settings(), &[(300, two), (300, three)], MemoryDial::new(&device));
    let (mut good, mut bad) = (0, 0);
    while good < 30 || bad < 30 {
        match running.next().await {
            Emission::Samples { batch, .. } if batch.qualities.get(0).is_good() => {
                let block = if batch.group == GroupId(0) { 1 } else { 2 };
                let expected = u16::from_be_bytes([memory(block, 7), memory(block, 8)]);
                assert_eq!(batch.values.get(0), Value::Int(i64::from(expected)));
                good += 1;
            }
            Emission::Samples { .. } | Emission::Failed { .. } => bad += 1,
            Emission::Connected { .. } | Emission::Bookmark { .. } => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_every_group_fails_at_once_and_no_slot_is_lost() {
    let device = Device::good(240);
    let dial = MemoryDial::new(&device);
    dial.refuse(8);
    let mut running = start(&settings(), &[(100, ONE), (100, ONE)], dial.clone());
    let (mut last, mut good, mut was_down) = ([None; 2], [0; 2], false);
    while good != [5; 2] {
        let (group, slot, quality) = match running.next().await {
            Emission::Samples { slot, batch } => (batch.group, slot, batch.qualities.get(0)),
            Emission::Failed { group, slot, why, .. } => (group, slot, why),
            Emission::Connected { up, .. } => {
                assert_ne!(up, !was_down, "down first, then up");
                was_down = !up;
                continue;
            }
            Emission::Bookmark { .. } => continue,
        };
        assert_eq!(slot.skipped, 0);
        if let Some(last) = last[group.index()].replace(slot.number) {
            assert_eq!(slot.number, last + 1);
        }
        if quality.is_good() {
            good[group.index()] = (good[group.index()] + 1).min(5);
        } else {
            assert_eq!(quality, Quality::NOT_CONNECTED);
        }
    }
    assert_eq!(dial.attempts.load(Relaxed), 9);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_comm_lost_until_it_is_back() {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let device = Device::new(240, move |asked| {
        if switch.load(Relaxed) { vec![Act::Close] } else { vec![Act::Send(asked.answer())] }
    });
    let dial = MemoryDial::new(&device);
    let mut running = start(&settings(), &[(500, ONE)], dial.clone());
    assert!(running.connected().await);
    running.good_slot(0, 1).await;
    dial.refuse(4);
    broken.store(true, Relaxed);
    assert!(!running.connected().await);
    assert_eq!(running.slot(0).await.quality(0), Quality::COMM_LOST);
    broken.store(false, Relaxed);
    assert!(running.connected().await);
    running.good_slot(0, 2).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_connections_is_enough_and_no_change_of_connected() {
    let device = Device::good(240);
    // Serves one connection and refuses every other.
    #[derive(Debug)]
    struct One(Device, AtomicUsize);
    impl Dial for One {
        fn dial(&self) -> gwp_core::BoxFuture<'_, std::io::Result<Wire>> {
            let first = self.1.fetch_add(1, Relaxed) == 0;
            Box::pin(async move {
                if !first {
                    return Err(std::io::ErrorKind::ConnectionRefused.into());
                }
                let (near, far) = tokio::io::duplex(4_096);
                tokio::spawn(self.0.clone().serve(far));
                Ok(Wire::new(near))
            })
        }
    }
    let dial = Arc::new(One(device, AtomicUsize::new(0)));
    let settings = [settings(), vec![("connections", SettingValue::Int(2))]].concat();
    let mut running = start(&settings, &[(100, ONE)], dial.clone());
    assert!(running.connected().await);
    for _ in 0..200 {
        match running.next().await {
            Emission::Samples { batch, slot } => {
                assert_eq!((batch.qualities.get(0), slot.skipped), (Quality::GOOD, 0));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(dial.1.load(Relaxed) > 2, "the other one is tried on");
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_costs_no_slot() {
    let device = Device::new(240, |asked| vec![Act::Send(asked.answer()), Act::Close]);
    let mut running = start(&settings(), &[(1_000, ONE)], MemoryDial::new(&device));
    assert!(running.connected().await);
    for _ in 0..10 {
        match running.next().await {
            Emission::Samples { batch, .. } => assert_eq!(batch.qualities.get(0), Quality::GOOD),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(device.connections.load(Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn a_plc_that_connects_and_never_answers_costs_few_slots_and_is_not_stormed() {
    let device = Device::new(240, |_| Vec::new());
    let dial = MemoryDial::new(&device);
    let mut running = start(&settings(), &[(100, ONE)], dial.clone());
    let mut skipped = 0;
    for _ in 0..600 {
        skipped += running.slot(0).await.mark().skipped;
    }
    // A minute, with pauses that grow from 0.5 s to 10 s.
    let attempts = dial.attempts.load(Relaxed);
    assert!((5..=20).contains(&attempts), "{attempts}");
    assert!(skipped <= 2 * attempts as u32, "a slot waits for one timeout: {skipped} skipped");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_hangs_holds_no_slot_longer_than_the_timeout() {
    #[derive(Debug)]
    struct Hanging(AtomicUsize);
    impl Dial for Hanging {
        fn dial(&self) -> gwp_core::BoxFuture<'_, std::io::Result<Wire>> {
            self.0.fetch_add(1, Relaxed);
            Box::pin(std::future::pending())
        }
    }
    let dial = Arc::new(Hanging(AtomicUsize::new(0)));
    let mut running = start(&settings(), &[(50, ONE)], dial.clone());
    let mut skipped = 0;
    for _ in 0..400 {
        let slot = running.slot(0).await;
        skipped += slot.mark().skipped;
        assert_eq!(slot.quality(0), Quality::NOT_CONNECTED);
    }
    assert!(skipped <= 3, "only the first slot waits, {skipped} were skipped");
    assert!(dial.0.load(Relaxed) >= 2, "an attempt has its own limit");
}

#[tokio::test(start_paused = true)]
async fn a_plc_that_takes_no_connection_is_told_so_by_the_handshake() {
    use crate::client::Client;
    use crate::protocol::frame::Tsaps;
    use tokio::io::AsyncWriteExt;
    let tsaps = Tsaps { local: 0x100, remote: 0x102 };
    for (answer, words) in [
        (&[3u8, 0, 0, 11, 6, 0x80, 0, 1, 0, 0, 2][..], "rack, slot or TSAP"),
        (&[], "the PLC closes the connection"),
        (&[3, 0, 0, 7, 2, 0xF0, 0x80], "before it is connected"),
        (b"HTTP/1.1 400", "a packet of version"),
    ] {
        let (near, mut far) = tokio::io::duplex(1_024);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let error = Client::connect(Wire::new(near), tsaps, 960, WireLog::default()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn the_wire_log_has_the_handshake_and_each_packet() {
    use crate::client::Client;
    use crate::protocol::frame::Tsaps;
    use crate::protocol::telegram::{Area, Item};
    use gwp_core::manifest::Settings;
    use gwp_driver_contract::log::Log;
    let written = Log::capture();
    let mut settings = Settings::default();
    settings.set("wire_log", SettingValue::Text("bytes".into()));
    let log = WireLog::new(&"filler".into(), &settings);
    let (near, far) = tokio::io::duplex(4_096);
    let device = Device::new(240, |asked| vec![Act::Send(asked.answer())]);
    tokio::spawn(device.serve(far));
    let tsaps = Tsaps { local: 0x100, remote: 0x102 };
    let mut client = Client::connect(Wire::new(near), tsaps, 960, log).await.unwrap();
    let item = Item { area: Area::Blocks, block: 1, start: 4, bit: None, count: 2 };
    client.read(&[item], Duration::from_secs(1)).await.unwrap();
    let lines = written.lines();
    let said = [
        "-> connect request, 22 bytes: 03 00 00 16 11 e0 ",
        "<- connection confirmed, ",
        "-> request 1: setup, 25 bytes: 03 00 00 19 02 f0 80 32 01 ",
        "<- answer to 1: setup, 27 bytes: ",
        "-> request 2: read, items: 1, 31 bytes: ",
        "<- answer to 2: read, items: 1, 27 bytes: ",
    ];
    assert_eq!(lines.len(), said.len(), "{lines:?}");
    for (line, said) in lines.iter().zip(said) {
        assert!(line.contains(said) && line.ends_with("source=filler"), "{line}");
    }
}
