//! The decoder against known registers, against a plain model, and with broken answers.

use super::*;
use crate::address::{Address, Table, parse};
use crate::blocks::{Limits, coalesce};
use crate::point::tests::{PLAIN, point};
use crate::point::{Span, Traits};
use gwp_core::scan::Polled;
use gwp_core::source::PlcType;
use gwp_core::{Column, Kind, Qualities, Timestamp, Value};
use proptest::prelude::*;

const LIMITS: Limits = Limits { registers_max: 125, coils_max: 2_000, gap_max: 16 };

/// Decodes all points against registers that begin at address 0.
fn decode(points: &[Point], registers: &[u16]) -> (Column, Qualities) {
    let spans: Vec<Span> = points.iter().map(|point| point.span).collect();
    let mut readings = Readings::new(kinds(points), points.len());
    for block in coalesce(&spans, LIMITS) {
        let range = usize::from(block.span.start)..block.span.end() as usize;
        let answer = Answer::Registers(registers[range].to_vec());
        Program::new(&block, points).decode(&answer, &mut readings);
    }
    match readings.finish() {
        Polled::Values { values, qualities } => (values, qualities),
        Polled::Failed(why) => (Column::nothing(points.len()), Qualities::Same(why)),
    }
}

fn one(address: &str, plc_type: PlcType, registers: &[u16]) -> (Value, Quality) {
    let (values, qualities) = decode(&[point(address, plc_type)], registers);
    (values.get(0), qualities.get(0))
}

fn with_bytes(address: &str, plc_type: PlcType, bytes: Order) -> Point {
    Point::new(parse(address).unwrap(), plc_type, false, Traits { bytes, ..PLAIN }).unwrap()
}

#[test]
fn every_type_reads_its_registers() {
    let good = |value| (value, Quality::GOOD);
    for (address, plc_type, registers, value) in [
        ("hr 0.0", PlcType::Bool, &[0x8001u16][..], Value::Bool(true)),
        ("hr 0.15", PlcType::Bool, &[0x7FFF], Value::Bool(false)),
        ("hr 0", PlcType::Byte, &[0x12FE], Value::Int(0xFE)),
        ("hr 0.8", PlcType::Usint, &[0xFE12], Value::Int(0xFE)),
        ("hr 0", PlcType::Sint, &[0x12FE], Value::Int(-2)),
        ("hr 0", PlcType::Int, &[0xFFFE], Value::Int(-2)),
        ("hr 0", PlcType::Uint, &[0xFFFE], Value::Int(0xFFFE)),
        ("hr 0", PlcType::Word, &[0xFFFE], Value::Int(0xFFFE)),
        ("hr 0", PlcType::Dint, &[0xFFFF, 0xFFFE], Value::Int(-2)),
        ("hr 0", PlcType::Udint, &[0xFFFF, 0xFFFE], Value::Int(0xFFFF_FFFE)),
        ("hr 0", PlcType::Dword, &[1, 2], Value::Int(0x1_0002)),
        ("hr 0 low_first", PlcType::Dword, &[1, 2], Value::Int(0x2_0001)),
        ("hr 0", PlcType::Lint, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], Value::Int(-2)),
        ("hr 0", PlcType::Ulint, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], Value::UInt(u64::MAX - 1)),
        ("hr 0 low_first", PlcType::Lword, &[1, 2, 3, 4], Value::UInt(0x0004_0003_0002_0001)),
        ("hr 0", PlcType::Real, &[0x41C8, 0], Value::Float(25.0)),
        ("hr 0 low_first", PlcType::Real, &[0, 0x41C8], Value::Float(25.0)),
        ("hr 0", PlcType::Lreal, &[0x4039, 0, 0, 0], Value::Float(25.0)),
        ("hr 0", PlcType::Time, &[0, 0, 0, 1_500], Value::Time(Timestamp(1_500_000_000))),
        ("hr 0 len 3", PlcType::String, &[0x5055, 0x4D50], Value::Text("PUM".into())),
        ("hr 0 len 6", PlcType::String, &[0x5055, 0x2000, 0x4141], Value::Text("PU".into())),
        ("hr 0 len 2", PlcType::String, &[0x4BFC], Value::Text("Kü".into())),
    ] {
        assert_eq!(one(address, plc_type, registers), good(value), "{address} {plc_type}");
    }
}

#[test]
fn the_order_of_bytes_is_the_devices() {
    let low = |address, plc_type, registers: &[u16]| {
        decode(&[with_bytes(address, plc_type, Order::LowFirst)], registers).0.get(0)
    };
    assert_eq!(low("hr 0", PlcType::Uint, &[0x3412]), Value::Int(0x1234));
    assert_eq!(low("hr 0", PlcType::Int, &[0xFEFF]), Value::Int(-2));
    assert_eq!(low("hr 0", PlcType::Real, &[0xC841, 0]), Value::Float(25.0));
    assert_eq!(low("hr 0.0", PlcType::Bool, &[0x0100]), Value::Bool(true));
    assert_eq!(low("hr 0 len 4", PlcType::String, &[0x5550, 0x504D]), Value::Text("PUMP".into()));
}

#[test]
fn what_is_no_value_turns_bad_alone() {
    let points = [point("hr 0", PlcType::Real), point("hr 2", PlcType::Real), point("hr 4", PlcType::Time)];
    let (values, qualities) = decode(&points, &[0x7FC0, 0, 0x41C8, 0, 0x7FFF, 0, 0, 0]);
    assert_eq!((values.get(0), qualities.get(0)), (Value::Nothing, Quality::NOT_A_NUMBER));
    assert_eq!((values.get(1), qualities.get(1)), (Value::Float(25.0), Quality::GOOD));
    assert_eq!((values.get(2), qualities.get(2)), (Value::Nothing, Quality::OVERFLOW));
}

#[test]
fn plain_registers_make_one_run_and_a_uniform_column() {
    let points: Vec<_> = (0..125).map(|n| point(&format!("hr {n}"), PlcType::Uint)).collect();
    let spans: Vec<_> = points.iter().map(|point| point.span).collect();
    let block = &coalesce(&spans, LIMITS)[0];
    assert_eq!(Program::new(block, &points).runs.len(), 1);
    let registers: Vec<u16> = (0..125).map(|n| n * 500).collect();
    let (values, qualities) = decode(&points, &registers);
    assert_eq!(values, Column::uniform(Kind::Int, registers.iter().map(|&r| u64::from(r)).collect()));
    assert_eq!(qualities, Qualities::Same(Quality::GOOD));
}

#[test]
fn bits_are_decoded_from_coils() {
    let points = [point("co 9", PlcType::Bool), point("co 3", PlcType::Bool), point("co 4", PlcType::Bool)];
    let spans: Vec<_> = points.iter().map(|point| point.span).collect();
    let block = &coalesce(&spans, LIMITS)[0];
    let mut readings = Readings::new(kinds(&points), 3);
    let answer = Answer::Bits(vec![true, false, false, false, false, false, true, false]);
    Program::new(block, &points).decode(&answer, &mut readings);
    let Polled::Values { values, qualities } = readings.finish() else { panic!() };
    assert_eq!(values, Column::uniform(Kind::Bool, vec![1, 1, 0]));
    assert_eq!(qualities, Qualities::Same(Quality::GOOD));
}

#[test]
fn a_group_that_failed_alike_says_only_why() {
    let mut readings = Readings::new(Kinds::Same(Kind::Int), 2);
    readings.fail(0, Quality::TIMEOUT);
    readings.fail(1, Quality::TIMEOUT);
    assert!(matches!(readings.finish(), Polled::Failed(Quality::TIMEOUT)));
    let mut readings = Readings::new(Kinds::Same(Kind::Int), 2);
    readings.fail(0, Quality::TIMEOUT);
    readings.fail(1, Quality::COMM_LOST);
    assert!(matches!(readings.finish(), Polled::Values { .. }));
}

/// Value of one point in the plainest way: bytes in reading order, then one conversion.
fn model(point: &Point, registers: &[u16]) -> Value {
    let start = usize::from(point.span.start);
    let mut registers: Vec<u16> = registers[start..start + usize::from(point.span.count)].to_vec();
    if point.bytes == Order::LowFirst {
        registers.iter_mut().for_each(|register| *register = register.swap_bytes());
    }
    if point.words == Order::LowFirst && point.plc_type != PlcType::String {
        registers.reverse();
    }
    let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
    let float = |value: f64| if value.is_nan() { Value::Nothing } else { Value::Float(value) };
    match point.plc_type {
        PlcType::Uint => Value::Int(i64::from(u16::from_be_bytes(bytes[..].try_into().unwrap()))),
        PlcType::Int => Value::Int(i64::from(i16::from_be_bytes(bytes[..].try_into().unwrap()))),
        PlcType::Dint => Value::Int(i64::from(i32::from_be_bytes(bytes[..].try_into().unwrap()))),
        PlcType::Udint => Value::Int(i64::from(u32::from_be_bytes(bytes[..].try_into().unwrap()))),
        PlcType::Real => float(f64::from(f32::from_be_bytes(bytes[..].try_into().unwrap()))),
        PlcType::Lreal => float(f64::from_be_bytes(bytes[..].try_into().unwrap())),
        PlcType::Lint => Value::Int(i64::from_be_bytes(bytes[..].try_into().unwrap())),
        PlcType::Ulint => Value::UInt(u64::from_be_bytes(bytes[..].try_into().unwrap())),
        PlcType::Sint => Value::Int(i64::from(bytes[1] as i8)),
        other => panic!("{other}"),
    }
}

const MODELLED: [PlcType; 9] = [
    PlcType::Uint,
    PlcType::Int,
    PlcType::Dint,
    PlcType::Udint,
    PlcType::Real,
    PlcType::Lreal,
    PlcType::Lint,
    PlcType::Ulint,
    PlcType::Sint,
];

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (0u16..300, 0usize..MODELLED.len(), any::<bool>(), any::<bool>());
    prop::collection::vec(point, 1..120).prop_map(|all| {
        let order = |low| if low { Order::LowFirst } else { Order::HighFirst };
        all.into_iter()
            .map(|(start, plc_type, words, bytes)| {
                let address =
                    Address { table: Table::HoldingRegisters, start, bit: None, len: None, words: None };
                let traits = Traits { words: order(words), bytes: order(bytes), registers_max: 125 };
                Point::new(address, MODELLED[plc_type], false, traits).unwrap()
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn runs_give_what_each_point_gives_alone(points in points(), registers in prop::collection::vec(any::<u16>(), 304)) {
        let (values, qualities) = decode(&points, &registers);
        for (index, point) in points.iter().enumerate() {
            let expected = model(point, &registers);
            prop_assert_eq!(qualities.get(index).is_good(), expected != Value::Nothing);
            prop_assert_eq!(values.get(index), expected, "point {}: {:?}", index, point);
        }
    }

    #[test]
    fn short_or_foreign_answers_turn_points_bad_and_nothing_else(
        points in points(), registers in prop::collection::vec(any::<u16>(), 0..130), bits in any::<bool>(),
    ) {
        let spans: Vec<Span> = points.iter().map(|point| point.span).collect();
        let mut readings = Readings::new(kinds(&points), points.len());
        let answer = if bits {
            Answer::Bits(registers.iter().map(|register| register % 2 == 0).collect())
        } else {
            Answer::Registers(registers)
        };
        for block in coalesce(&spans, LIMITS) {
            Program::new(&block, &points).decode(&answer, &mut readings);
        }
        if let Polled::Values { values, qualities } = readings.finish() {
            prop_assert_eq!(values.len(), points.len());
            for index in 0..points.len() {
                prop_assert_eq!(qualities.get(index).is_good(), values.get(index) != Value::Nothing);
            }
        }
    }
}
