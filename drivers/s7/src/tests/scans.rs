//! Good devices: what is read is what they hold, in few requests, whatever PDU they agree to.

use super::rig::*;
use gwp_core::manifest::SettingValue;
use gwp_core::source::PlcType;
use gwp_core::{Batch, Value};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn big_endian(block: u16, start: u32, bytes: u32) -> i64 {
    (start..start + bytes).fold(0, |number, address| number << 8 | i64::from(memory(block, address)))
}

/// `count` words of a block from an odd byte on.
fn words(block: u16, count: u32) -> Vec<String> {
    (0..count).map(|at| format!("DB{block}.DBW{}", 1 + 2 * at)).collect()
}

fn as_points(addresses: &[String]) -> Vec<(&str, PlcType)> {
    addresses.iter().map(|address| (address.as_str(), PlcType::Uint)).collect()
}

fn check_words(batch: &Batch, block: u16, count: u32) {
    for at in 0..count {
        assert_eq!(batch.values.get(at as usize), Value::Int(big_endian(block, 1 + 2 * at, 2)), "word {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_pdu_size_gives_the_same_values_in_as_few_requests_as_it_allows() {
    let addresses = words(7, 900);
    let points = as_points(&addresses);
    // 1,800 bytes, in words of at most pdu - 18 bytes.
    for (pdu, requests) in [(112, 20), (240, 9), (480, 4), (960, 2)] {
        let device = Device::good(pdu);
        let mut running = start(&[], &[(1_000, &points)], MemoryDial::new(&device));
        for _ in 0..3 {
            check_words(&running.good_slot(0, 1).await, 7, 900);
        }
        assert_eq!(device.requests(), 3 * requests, "PDU {pdu}");
        assert_eq!(device.connections.load(Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn areas_blocks_and_types_are_read_together() {
    let device = Device::good(240);
    let points: Points<'_> = &[
        ("DB3.DBD11", PlcType::Udint),
        ("DB9.DBX401.6", PlcType::Bool),
        ("MW33", PlcType::Word),
        ("IB7", PlcType::Byte),
        ("QD5", PlcType::Dword),
        ("T12", PlcType::Udint),
        ("C7", PlcType::Uint),
        ("C8", PlcType::Uint),
    ];
    let mut running = start(&[], &[(1_000, points)], MemoryDial::new(&device));
    let batch = running.good_slot(0, 1).await;
    let expected = [
        Value::Int(big_endian(3, 11, 4)),
        Value::Bool(memory(9, 401) >> 6 & 1 == 1),
        Value::Int(big_endian(0, 33, 2)),
        Value::Int(big_endian(0, 7, 1)),
        Value::Int(big_endian(0, 5, 4)),
        Value::Int(120),
        Value::Int(7),
        Value::Int(8),
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        assert_eq!(batch.values.get(index), expected, "{}", points[index].0);
    }
    let asked = device.asked.lock().unwrap();
    assert_eq!((asked.len(), asked[0].items.len()), (1, 7), "both counters are one item");
}

#[tokio::test(start_paused = true)]
async fn a_text_longer_than_the_pdu_is_read_in_pieces() {
    // The first byte of the text is its greatest, the second its actual number of characters.
    let start_at = (0..2_000).find(|at| {
        memory(4, *at) >= 240 && memory(4, *at + 1) >= 230 && memory(4, *at + 1) <= memory(4, *at)
    });
    let address = format!("DB4.DBB{}", start_at.expect("such a place"));
    let points = [(address.as_str(), PlcType::String)];
    for pdu in [112, 240, 480] {
        let device = Device::good(pdu);
        let mut running = start(&[], &[(1_000, &points)], MemoryDial::new(&device));
        let start = start_at.unwrap();
        let count = u32::from(memory(4, start + 1));
        let text: String = (start + 2..).take(count as usize).map(|at| char::from(memory(4, at))).collect();
        assert_eq!(running.good_slot(0, 1).await.values.get(0), Value::Text(text.into()), "PDU {pdu}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_connections_share_the_requests_of_a_slot() {
    let device =
        Device::new(240, |asked| vec![Act::Wait(Duration::from_millis(50)), Act::Send(asked.answer())]);
    let addresses = words(7, 900);
    let points = as_points(&addresses);
    let settings = [("connections", SettingValue::Int(3))];
    let mut running = start(&settings, &[(1_000, &points)], MemoryDial::new(&device));
    assert!(running.connected().await);
    running.good_slot(0, 5).await;
    let before = device.requests();
    let batch = running.good_slot(0, 1).await;
    check_words(&batch, 7, 900);
    assert_eq!(device.requests() - before, 9);
    assert_eq!(device.connections.load(Relaxed), 3);
    // Nine answers of 50 ms, three at a time.
    assert!((150..170).contains(&(batch.read_after_ns / 1_000_000)), "{}", batch.read_after_ns);
}

#[tokio::test(start_paused = true)]
async fn answers_in_single_bytes_and_in_parts_are_whole() {
    let device = Device::new(240, |asked| {
        let answer = asked.answer();
        if asked.number % 2 == 0 {
            return answer
                .chunks(1)
                .flat_map(|byte| [Act::Send(byte.to_vec()), Act::Wait(Duration::from_millis(1))])
                .collect();
        }
        // One telegram in two units: the first is not the last.
        let (first, second) = answer[7..].split_at(20);
        let mut part = packet(first);
        part[6] = 0;
        vec![Act::Send([part, packet(second)].concat())]
    });
    let addresses = words(7, 100);
    let mut running = start(&[], &[(1_000, &as_points(&addresses))], MemoryDial::new(&device));
    for _ in 0..4 {
        check_words(&running.good_slot(0, 1).await, 7, 100);
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_are_open_as_the_plc_takes_and_answers_may_come_in_any_order() {
    let mut held: Vec<u8> = Vec::new();
    let mut count = 0;
    // Three answers together, the last one first.
    let behaviour = move |asked: &Asked| {
        held = [asked.answer(), std::mem::take(&mut held)].concat();
        count += 1;
        if count % 3 == 0 { vec![Act::Send(std::mem::take(&mut held))] } else { Vec::new() }
    };
    let mut device = Device::new(240, behaviour);
    device.jobs = 3;
    let addresses = words(7, 900);
    let mut running =
        start(&[("timeout", ms(100))], &[(1_000, &as_points(&addresses))], MemoryDial::new(&device));
    for _ in 0..3 {
        check_words(&running.good_slot(0, 1).await, 7, 900);
    }
    assert_eq!(device.requests(), 3 * 9);
}
