//! The decoder against known bytes, against a plain model, and with broken answers.

use super::*;
use crate::blocks::{Limits, coalesce};
use crate::point::Span;
use crate::point::tests::point;
use gwp_core::scan::Polled;
use gwp_core::source::PlcType;
use gwp_core::{Column, Kind, Qualities, Timestamp, Value};
use proptest::prelude::*;

/// Decodes all points against bytes that begin at address 0 of block 1.
fn decode(points: &[Point], bytes: &[u8]) -> (Column, Qualities) {
    let spans: Vec<Span> = points.iter().map(|point| point.span).collect();
    let mut readings = Readings::new(kinds(points), points.len());
    for block in coalesce(&spans, Limits { bytes_max: 942, gap_max: 32 }) {
        let range = block.span.start as usize..block.span.end() as usize;
        Program::new(&block, points).decode(&bytes[range], &mut readings);
    }
    match readings.finish() {
        Polled::Values { values, qualities } => (values, qualities),
        Polled::Failed(why) => (Column::nothing(points.len()), Qualities::Same(why)),
    }
}

fn one(address: &str, plc_type: PlcType, bytes: &[u8]) -> (Value, Quality) {
    let (values, qualities) = decode(&[point(address, plc_type)], bytes);
    (values.get(0), qualities.get(0))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn every_type_reads_its_bytes_at_an_odd_offset() {
    use PlcType::*;
    let moment = |ms| Value::Time(Timestamp::from_millis(ms));
    for (address, plc_type, bytes, value) in [
        ("DB1.DBX1.0", Bool, &[0x01u8][..], Value::Bool(true)),
        ("DB1.DBX1.7", Bool, &[0x7F], Value::Bool(false)),
        ("DB1.DBB1", Byte, &[0xFE], Value::Int(0xFE)),
        ("DB1.DBB1", Usint, &[0xFE], Value::Int(0xFE)),
        ("DB1.DBB1", Sint, &[0xFE], Value::Int(-2)),
        ("DB1.DBW1", Int, &[0xFF, 0xFE], Value::Int(-2)),
        ("DB1.DBW1", Uint, &[0xFF, 0xFE], Value::Int(0xFFFE)),
        ("DB1.DBW1", Word, &[0xFF, 0xFE], Value::Int(0xFFFE)),
        ("DB1.DBD1", Dint, &[0xFF, 0xFF, 0xFF, 0xFE], Value::Int(-2)),
        ("DB1.DBD1", Udint, &[0xFF, 0xFF, 0xFF, 0xFE], Value::Int(0xFFFF_FFFE)),
        ("DB1.DBD1", Dword, &[0, 1, 0, 2], Value::Int(0x1_0002)),
        ("DB1.DBB1", Lint, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE], Value::Int(-2)),
        ("DB1.DBB1", Ulint, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE], Value::UInt(u64::MAX - 1)),
        ("DB1.DBB1", Lword, &[0, 0, 0, 0, 0, 0, 1, 2], Value::UInt(258)),
        ("DB1.DBD1", Real, &[0x41, 0xC8, 0, 0], Value::Float(25.0)),
        ("DB1.DBB1", Lreal, &[0x40, 0x39, 0, 0, 0, 0, 0, 0], Value::Float(25.0)),
        ("DB1.DBB1 char", String, &[0xFC], text("ü")),
        ("DB1.DBB1 char len 4", String, &[b'P', b'U', 0, b'M'], text("PU")),
        ("DB1.DBW1 wchar", String, &[0x20, 0xAC], text("€")),
        ("DB1.DBB1 len 4", String, &[4, 3, b'P', b'U', 0xFC, 9], text("PUü")),
        ("DB1.DBB1 wstring len 2", String, &[0, 2, 0, 1, 0x20, 0xAC, 9, 9], text("€")),
        ("DB1.DBW1 bcd", Int, &[0xF1, 0x23], Value::Int(-123)),
        ("DB1.DBD1 bcd", Udint, &[0x12, 0x34, 0x56, 0x78], Value::Int(12_345_678)),
        ("DB1.DBW1 s5time", Udint, &[0x11, 0x23], Value::Int(12_300)),
        ("DB1.DBD1 time", Dint, &[0xFF, 0xFF, 0xFF, 0xFF], Value::Int(-1)),
        ("DB1.DBB1 ltime", Lint, &[0, 0, 0, 0, 0, 0, 0, 9], Value::Int(9)),
        ("DB1.DBD1 time_of_day", Udint, &[0x05, 0x26, 0x5B, 0xFF], Value::Int(86_399_999)),
        ("DB1.DBB1 ltime_of_day", Ulint, &[0, 0, 0, 0, 0, 0, 0, 9], Value::UInt(9)),
        ("DB1.DBW1 date", Time, &[0, 1], moment((7_305 + 1) * 86_400_000)),
        ("DB1.DBB1", Time, &[0x70 + 0x29, 0x12, 0x31, 0x23, 0x59, 0x59, 0x99, 0x96], moment(946_684_799_999)),
        ("DB1.DBB1 dtl", Time, &[0x07, 0xD0, 1, 1, 7, 0, 0, 1, 0, 0, 0, 0], moment(946_684_801_000)),
        ("DB1.DBB1 ldt", Time, &[0, 0, 0, 0, 0, 0x0F, 0x42, 0x40], moment(1)),
    ] {
        let bytes = [&[0xAA][..], bytes].concat();
        assert_eq!(one(address, plc_type, &bytes), (value, Quality::GOOD), "{address} {plc_type}");
    }
    let bytes = [0xAA, 0xAA, 0x21, 0x50, 0x0F];
    let timer =
        Point { span: Span { start: 1, count: 2, ..point("DB1.DBW1", Uint).span }, ..point("T1", Udint) };
    assert_eq!(
        decode(&[Point { span: Span { start: 2, ..timer.span }, ..timer }], &bytes).0.get(0),
        Value::Int(150_000)
    );
}

#[test]
fn what_is_no_value_turns_bad_alone() {
    use PlcType::*;
    for (address, plc_type, bytes, why) in [
        ("DB1.DBD0", Real, &[0x7F, 0xC0, 0, 0][..], Quality::NOT_A_NUMBER),
        ("DB1.DBB0", Lreal, &[0x7F, 0xF8, 0, 0, 0, 0, 0, 0], Quality::NOT_A_NUMBER),
        ("DB1.DBW0 bcd", Uint, &[0x1A, 0], Quality::DECODING),
        ("DB1.DBW0 s5time", Udint, &[0x0F, 0], Quality::DECODING),
        ("DB1.DBB0", Time, &[0; 8], Quality::DECODING),
        ("DB1.DBB0 dtl", Time, &[0; 12], Quality::DECODING),
        ("DB1.DBB0 len 2", String, &[2, 3, b'a', b'b'], Quality::DECODING),
        ("DB1.DBW0 wchar", String, &[0xD8, 0x00], Quality::DECODING),
    ] {
        assert_eq!(one(address, plc_type, bytes), (Value::Nothing, why), "{address} {plc_type}");
    }
    let points = [point("DB1.DBD0", Real), point("DB1.DBD4", Real)];
    let (values, qualities) = decode(&points, &[0x7F, 0xC0, 0, 0, 0x41, 0xC8, 0, 0]);
    assert_eq!(
        (values.get(1), qualities.get(0), qualities.get(1)),
        (Value::Float(25.0), Quality::NOT_A_NUMBER, Quality::GOOD)
    );
}

#[test]
fn a_text_that_is_longer_than_the_tag_is_cut_and_says_so() {
    let (value, quality) = one("DB1.DBB0 len 2", PlcType::String, &[9, 3, b'a', b'b', b'c']);
    assert_eq!((value, quality), (text("ab"), Quality::TRUNCATED));
}

#[test]
fn plain_words_make_one_run_and_a_uniform_column() {
    let points: Vec<_> = (0..100).map(|n| point(&format!("DB1.DBW{}", n * 2), PlcType::Uint)).collect();
    let spans: Vec<_> = points.iter().map(|point| point.span).collect();
    let block = &coalesce(&spans, Limits { bytes_max: 222, gap_max: 32 })[0];
    assert_eq!(Program::new(block, &points).runs.len(), 1);
    let words: Vec<u16> = (0..100).map(|n| n * 500).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let (values, qualities) = decode(&points, &bytes);
    assert_eq!(values, Column::uniform(Kind::Int, words.iter().map(|&word| u64::from(word)).collect()));
    assert_eq!(qualities, Qualities::Same(Quality::GOOD));
}

/// Value of one point in the plainest way.
fn model(point: &Point, bytes: &[u8]) -> Value {
    let start = point.span.start as usize;
    let bytes = &bytes[start..start + point.span.bytes()];
    let float = |value: f64| if value.is_nan() { Value::Nothing } else { Value::Float(value) };
    match point.plc_type {
        PlcType::Usint => Value::Int(i64::from(bytes[0])),
        PlcType::Sint => Value::Int(i64::from(bytes[0].cast_signed())),
        PlcType::Uint => Value::Int(i64::from(u16::from_be_bytes(bytes.try_into().unwrap()))),
        PlcType::Int => Value::Int(i64::from(i16::from_be_bytes(bytes.try_into().unwrap()))),
        PlcType::Dint => Value::Int(i64::from(i32::from_be_bytes(bytes.try_into().unwrap()))),
        PlcType::Udint => Value::Int(i64::from(u32::from_be_bytes(bytes.try_into().unwrap()))),
        PlcType::Lint => Value::Int(i64::from_be_bytes(bytes.try_into().unwrap())),
        PlcType::Ulint => Value::UInt(u64::from_be_bytes(bytes.try_into().unwrap())),
        PlcType::Real => float(f64::from(f32::from_be_bytes(bytes.try_into().unwrap()))),
        PlcType::Lreal => float(f64::from_be_bytes(bytes.try_into().unwrap())),
        other => panic!("{other}"),
    }
}

const MODELLED: [(PlcType, &str); 10] = [
    (PlcType::Usint, "B"),
    (PlcType::Sint, "B"),
    (PlcType::Uint, "W"),
    (PlcType::Int, "W"),
    (PlcType::Dint, "D"),
    (PlcType::Udint, "D"),
    (PlcType::Lint, "B"),
    (PlcType::Ulint, "B"),
    (PlcType::Real, "D"),
    (PlcType::Lreal, "B"),
];

fn points() -> impl Strategy<Value = Vec<Point>> {
    prop::collection::vec((0u16..500, 0usize..MODELLED.len()), 1..120).prop_map(|all| {
        let of = |(start, which): (u16, usize)| {
            let (plc_type, letter) = MODELLED[which];
            point(&format!("DB1.DB{letter}{start}"), plc_type)
        };
        all.into_iter().map(of).collect()
    })
}

/// All forms there are, for answers that end early.
fn forms() -> Vec<Point> {
    use PlcType::*;
    [
        ("DB1.DBX3.1", Bool),
        ("DB1.DBW5", Int),
        ("DB1.DBB9 len 20", String),
        ("DB1.DBB30 wstring len 9", String),
        ("DB1.DBB50 char len 9", String),
        ("DB1.DBB60 dtl", Time),
        ("DB1.DBB72", Time),
        ("DB1.DBW80 date", Time),
        ("DB1.DBW82 s5time", Udint),
        ("DB1.DBD84 bcd", Dint),
        ("DB1.DBW88 wchar", String),
        ("DB1.DBB90 ldt", Time),
    ]
    .map(|(address, plc_type)| point(address, plc_type))
    .to_vec()
}

proptest! {
    #[test]
    fn runs_give_what_each_point_gives_alone(points in points(), bytes in prop::collection::vec(any::<u8>(), 510)) {
        let (values, qualities) = decode(&points, &bytes);
        for (index, point) in points.iter().enumerate() {
            let expected = model(point, &bytes);
            prop_assert_eq!(qualities.get(index).is_good(), expected != Value::Nothing);
            prop_assert_eq!(values.get(index), expected, "point {}: {:?}", index, point);
        }
    }

    #[test]
    fn any_bytes_give_a_value_or_a_bad_quality(bytes in prop::collection::vec(any::<u8>(), 0..110)) {
        let points = forms();
        let spans: Vec<Span> = points.iter().map(|point| point.span).collect();
        let mut readings = Readings::new(kinds(&points), points.len());
        for block in coalesce(&spans, Limits { bytes_max: 222, gap_max: 32 }) {
            Program::new(&block, &points).decode(&bytes, &mut readings);
        }
        if let Polled::Values { values, qualities } = readings.finish() {
            prop_assert_eq!(values.len(), points.len());
            for index in 0..points.len() {
                prop_assert_eq!(qualities.get(index).is_bad(), values.get(index) == Value::Nothing);
            }
        }
    }
}
