//! The driver against the server of Snap7, a stack of other people's making.
//!
//! Runs when `GWP_PEER_TESTS=1`; needs python3, and installs tshark where it is missing. Otherwise it
//! says that it was skipped.

#[path = "snap7/peer.rs"]
mod peer;

use gwp_core::command::CommandFault;
use gwp_core::manifest::SettingValue;
use gwp_core::source::{Driver, PlcType};
use gwp_core::{Batch, Quality, Timestamp, Value};
use gwp_driver_contract::capture::Relay;
use gwp_driver_contract::rig::{Point, Running, Slot, declare, ms};
use gwp_driver_s7::S7;
use peer::Peer;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes that are read in the large test.
const BYTES: u32 = 20_000;

/// What byte `address` of a block holds: the rule of the server.
fn memory(block: u32, address: u32) -> u8 {
    (address.wrapping_mul(7) ^ block.wrapping_mul(13) ^ address >> 8) as u8
}

fn big_endian(block: u32, start: u32, bytes: u32) -> i64 {
    (start..start + bytes).fold(0, |number, address| number << 8 | i64::from(memory(block, address)))
}

fn start(port: u16, more: &[(&str, SettingValue)], groups: &[(i64, &[Point<'_>])]) -> Running {
    let mut settings = vec![("address", SettingValue::Text(format!("127.0.0.1:{port}").into()))];
    settings.extend_from_slice(more);
    let source = S7.prepare(declare(&settings, groups)).unwrap_or_else(|errors| panic!("{errors:?}"));
    Running::of(source)
}

fn quick() -> Vec<(&'static str, SettingValue)> {
    let pauses = [("first", ms(50)), ("max", ms(200))].map(|(name, value)| (name.into(), value));
    vec![("reconnect", SettingValue::Block(gwp_core::Settings(pauses.into())))]
}

fn enabled() -> bool {
    let enabled = std::env::var("GWP_PEER_TESTS").is_ok_and(|value| value == "1");
    if !enabled {
        eprintln!("skipped: Snap7 is asked only with GWP_PEER_TESTS=1");
    }
    enabled
}

/// Addresses in DB10 of the server, with what they hold.
fn types() -> Vec<(&'static str, PlcType, Value)> {
    use PlcType::*;
    let at = |ns| Value::Time(Timestamp(ns));
    vec![
        ("DB10.DBB1", Usint, Value::Int(254)),
        ("DB10.DBB2", Sint, Value::Int(-2)),
        ("DB10.DBW3", Int, Value::Int(-2)),
        ("DB10.DBW5", Uint, Value::Int(65_534)),
        ("DB10.DBD7", Dint, Value::Int(-2)),
        ("DB10.DBD11", Udint, Value::Int(4_294_967_294)),
        ("DB10.DBB15", Lint, Value::Int(-2)),
        ("DB10.DBB23", Ulint, Value::UInt(u64::MAX - 1)),
        ("DB10.DBD31", Real, Value::Float(25.5)),
        ("DB10.DBB35", Lreal, Value::Float(1e-3)),
        ("DB10.DBX43.5", Bool, Value::Bool(true)),
        ("DB10.DBX43.4", Bool, Value::Bool(false)),
        ("DB10.DBB44 char", String, Value::Text("ü".into())),
        ("DB10.DBB45 len 20", String, Value::Text("PUMP 07".into())),
        ("DB10.DBB67 wstring len 10", String, Value::Text("Ω€".into())),
        ("DB10.DBW91 s5time", Udint, Value::Int(12_300)),
        ("DB10.DBD93 time", Dint, Value::Int(-1_500)),
        ("DB10.DBB97 ltime", Lint, Value::Int(-7)),
        ("DB10.DBD105 time_of_day", Udint, Value::Int(86_399_999)),
        ("DB10.DBB109 ltime_of_day", Ulint, Value::UInt(9)),
        ("DB10.DBW117 date", Time, at((7_305 + 12_345) * 86_400_000_000_000)),
        ("DB10.DBB119", Time, at(756_807_154_567_000_000)),
        ("DB10.DBB127 dtl", Time, at(1_709_251_198_000_000_009)),
        ("DB10.DBB139 ldt", Time, at(1_700_000_000_000_000_009)),
        ("DB10.DBW147 bcd", Int, Value::Int(-123)),
        ("DB10.DBD149 bcd", Udint, Value::Int(12_345_678)),
        ("DB10.DBW153 wchar", String, Value::Text("€".into())),
        ("DB10.DBW3", Word, Value::Int(65_534)),
        ("DB10.DBD11", Dword, Value::Int(4_294_967_294)),
        ("DB10.DBB23", Lword, Value::UInt(u64::MAX - 1)),
        ("DB10.DBB1", Byte, Value::Int(254)),
        ("M33.3", Bool, Value::Bool(memory(0, 33) >> 3 & 1 == 1)),
        ("IW7", Word, Value::Int(big_endian(0, 7, 2))),
        ("QD5", Udint, Value::Int(big_endian(0, 5, 4))),
        // A PLC has element 84 at bytes 168 and 169; this server, whoever asks, at half the number: 42.
        ("T84", Udint, Value::Int(210)),
        ("C100", Uint, Value::Int(25)),
    ]
}

/// All points are good but those of a block that is not there.
fn check_types(batch: &Batch, types: &[(&str, PlcType, Value)]) {
    for (index, (address, plc_type, value)) in types.iter().enumerate() {
        let found = (batch.values.get(index), batch.qualities.get(index));
        assert_eq!(found, (value.clone(), Quality::GOOD), "{address} {plc_type}");
    }
}

#[tokio::test]
async fn every_type_at_an_odd_offset_and_wireshark_understands_it() {
    if !enabled() {
        return;
    }
    let peer = Peer::start(0);
    let relay = Relay::start(peer.port).await;
    let types = types();
    let mut points: Vec<Point<'_>> =
        types.iter().map(|(address, plc_type, _)| (*address, *plc_type, false)).collect();
    // There is no block 77, and block 10 ends before byte 400.
    points.extend([("DB77.DBW0", PlcType::Int, false), ("DB10.DBW400", PlcType::Int, false)]);
    points.push(("DB100.DBW11", PlcType::Int, true));
    let mut running = start(relay.port, &[("pdu_size", SettingValue::Int(240))], &[(100, &points)]);
    for _ in 0..3 {
        let batch = running.slot(0).await.batch();
        check_types(&batch, &types);
        let [missing, behind] = [types.len(), types.len() + 1].map(|index| batch.qualities.get(index));
        assert_eq!((missing, behind), (Quality::UNKNOWN_ADDRESS, Quality::UNKNOWN_ADDRESS));
    }
    assert_eq!(running.written(types.len() as u32 + 2, Value::Int(-2)).await, Ok(()));
    running.stop().await;
    let capture = relay.read(102);
    capture.must_be_whole("s7comm || cotp");
    let seen = capture.fields(&["s7comm.header.rosctr", "s7comm.param.func"]);
    let [jobs, answers] =
        ["1\t", "3\t"].map(|kind| seen.iter().filter(|line| line.starts_with(kind)).count());
    assert!(jobs > 0 && jobs == answers, "{jobs} requests, {answers} answers");
    for function in ["0x04", "0x05", "0xf0"] {
        assert!(seen.iter().any(|line| line.contains(function)), "no {function} in {seen:?}");
    }
}

#[tokio::test]
async fn twenty_thousand_bytes_of_three_blocks_with_every_pdu_size() {
    if !enabled() {
        return;
    }
    let peer = Peer::start(0);
    // Six thousand and some bytes of each block, from an odd byte on.
    let places: Vec<(u32, u32)> = (0..BYTES / 4).map(|at| (1 + at % 3, 1 + at / 3 * 4)).collect();
    let addresses: Vec<String> =
        places.iter().map(|(block, start)| format!("DB{block}.DBD{start}")).collect();
    let points: Vec<Point<'_>> =
        addresses.iter().map(|address| (address.as_str(), PlcType::Udint, false)).collect();
    let groups: Vec<(i64, &[Point<'_>])> = points.chunks(1_000).map(|points| (1_000, points)).collect();
    for pdu in [240u16, 480, 960] {
        for connections in [1, 3] {
            let settings = [
                ("pdu_size", SettingValue::Int(i64::from(pdu))),
                ("connections", SettingValue::Int(connections)),
            ];
            let mut running = start(peer.port, &settings, &groups);
            for group in 0..groups.len() as u32 {
                let batch = running.good_slot(group, 10).await;
                for (index, (block, start)) in
                    places.iter().skip(group as usize * 1_000).take(1_000).enumerate()
                {
                    let expected = Value::Int(big_endian(*block, *start, 4));
                    assert_eq!(batch.values.get(index), expected, "DB{block}.DBD{start}, PDU {pdu}");
                }
            }
            assert_eq!(running.meter.errors.load(Relaxed), 0);
            // With three connections each has been opened by the end of the first slots, with one just that.
            assert!(running.meter.connects.load(Relaxed) <= connections as u64);
            running.stop().await;
        }
    }
}

#[tokio::test]
async fn requests_are_as_large_as_the_server_agrees() {
    if !enabled() {
        return;
    }
    let peer = Peer::start(0);
    let addresses: Vec<String> = (0..900).map(|at| format!("DB1.DBW{}", 1 + 2 * at)).collect();
    let points: Vec<Point<'_>> =
        addresses.iter().map(|address| (address.as_str(), PlcType::Uint, false)).collect();
    // 1,800 bytes, in words of at most pdu - 18 bytes.
    for (pdu, requests) in [(240, 9), (480, 4), (960, 2)] {
        // The slot after the first is five seconds away.
        let mut running = start(peer.port, &[("pdu_size", SettingValue::Int(pdu))], &[(5_000, &points)]);
        running.good_slot(0, 1).await;
        assert_eq!(running.meter.requests.load(Relaxed), requests, "PDU {pdu}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back() {
    if !enabled() {
        return;
    }
    let peer = Peer::start(0);
    let port = peer.port;
    let points = [("DB1.DBD1", PlcType::Udint, false)];
    let mut running = start(port, &quick(), &[(50, &points)]);
    assert!(running.connected().await);
    assert_eq!(running.good_slot(0, 10).await.values.get(0), Value::Int(big_endian(1, 1, 4)));
    drop(peer);
    assert!(!running.connected().await);
    let slot = running.slot(0).await;
    assert_eq!(slot.quality(0), Quality::COMM_LOST, "{slot:?}");
    let _peer = Peer::start(port);
    assert!(running.connected().await);
    loop {
        if let Slot::Samples(_, batch) = running.slot(0).await
            && batch.qualities.get(0).is_good()
        {
            assert_eq!(batch.values.get(0), Value::Int(big_endian(1, 1, 4)));
            break;
        }
    }
    running.stop().await;
}

/// Address, type and value of a write; area and first byte where the server shows it, and how.
type Change<'a> = (&'a str, PlcType, Value, (&'a str, u32), &'a str);

#[tokio::test]
async fn what_is_written_is_in_the_server() {
    if !enabled() {
        return;
    }
    let mut peer = Peer::start(0);
    let time = Timestamp(1_709_251_198_123_000_000);
    use PlcType::*;
    let changes: Vec<Change<'_>> = vec![
        ("DB100.DBB1", Usint, Value::Int(254), ("db 100", 1), "fe"),
        ("DB100.DBW3", Int, Value::Int(-2), ("db 100", 3), "fffe"),
        ("DB100.DBD5", Dint, Value::Int(-2), ("db 100", 5), "fffffffe"),
        ("DB100.DBB9", Lint, Value::Int(-2), ("db 100", 9), "fffffffffffffffe"),
        ("DB100.DBD17", Real, Value::Float(25.5), ("db 100", 17), "41cc0000"),
        ("DB100.DBB21", Lreal, Value::Float(25.5), ("db 100", 21), "4039800000000000"),
        ("DB100.DBX31.5", Bool, Value::Bool(true), ("db 100", 31), "20"),
        ("DB100.DBW33 s5time", Udint, Value::Int(12_300), ("db 100", 33), "1123"),
        ("DB100.DBB41", Time, Value::Time(time), ("db 100", 41), "2402292359581235"),
        ("DB100.DBB51 dtl", Time, Value::Time(time), ("db 100", 51), "07e8021d05173b3a0754d4c0"),
        (
            "DB100.DBB201 len 20",
            String,
            Value::Text("PUMP ü".into()),
            ("db 100", 201),
            "140650554d5020fc0000",
        ),
        ("DB100.DBB301 wstring len 10", String, Value::Text("Ω".into()), ("db 100", 301), "000a000103a90000"),
        ("MW33", Word, Value::Int(0xABCD), ("mk 0", 33), "abcd"),
    ];
    let points: Vec<Point<'_>> =
        changes.iter().map(|(address, plc_type, ..)| (*address, *plc_type, true)).collect();
    let too_long = ("DB100.DBB401 len 20", String, true);
    let missing = ("DB77.DBW0", Int, true);
    let points = [points, vec![too_long, missing]].concat();
    let mut running = start(peer.port, &[], &[(100, &points)]);
    running.slot(0).await;
    for (tag, (address, _, value, (area, from), bytes)) in (0..).zip(&changes) {
        assert_eq!(running.written(tag, value.clone()).await, Ok(()), "{address}");
        assert_eq!(peer.bytes(area, *from, bytes.len() / 2), *bytes, "{address}");
    }
    let (too_long, missing) = (changes.len() as u32, changes.len() as u32 + 1);
    for (tag, value, words) in
        [(too_long, Value::Text("x".into()), "has room for 0"), (missing, Value::Int(1), "does not exist")]
    {
        match running.written(tag, value).await {
            Err(CommandFault::Failed(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.bytes("db 100", 401, 4), "00000000");
    running.stop().await;
}
