//! Cost and size of frames, per batch of 1,000 samples (microseconds per batch are
//! nanoseconds per sample). `plain` is a row of fixed fields per sample through the
//! same compression and checksum.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gwp_core::{Batch, Fact, PlanId, Position, Record};
use gwp_journal::codec::TagLists;
use gwp_journal::frame::{decode_log, encode_log};
use std::hint::black_box;
use std::sync::Arc;
use support::*;

const PLAN: PlanId = PlanId([7; 16]);

/// Tag, time, quality, kind, cell: little-endian, one after the other. (Texts are left out: their
/// cells are indexes.)
fn put_rows(out: &mut Vec<u8>, batch: &Batch) {
    for (index, tag) in batch.tags.iter().enumerate() {
        out.extend_from_slice(&tag.0.to_le_bytes());
        out.extend_from_slice(&batch.times.get(index).0.to_le_bytes());
        out.extend_from_slice(&batch.qualities.get(index).0.to_le_bytes());
        out.push(batch.values.kind(index) as u8);
        out.extend_from_slice(&batch.values.cells[index].to_le_bytes());
    }
}

/// Rows, compressed and checksummed as a frame is.
fn pack_rows(batch: &Batch) -> Vec<u8> {
    let mut rows = Vec::with_capacity(batch.len() * ROW_BYTES);
    put_rows(&mut rows, batch);
    let packed = lz4_flex::block::compress(&rows);
    let mut frame = crc32fast::hash(&packed).to_le_bytes().to_vec();
    frame.extend_from_slice(&packed);
    frame
}

const ROW_BYTES: usize = 25;

/// Tag, time, quality, kind, cell.
type Row = (u32, i64, u32, u8, u64);

fn unpack_rows(frame: &[u8]) -> Option<Vec<Row>> {
    let (checksum, packed) = frame.split_first_chunk::<4>()?;
    if crc32fast::hash(packed) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let rows = lz4_flex::block::decompress(packed, SAMPLES * ROW_BYTES).ok()?;
    rows.chunks_exact(ROW_BYTES)
        .map(|row| {
            let (tag, rest) = row.split_first_chunk::<4>()?;
            let (time, rest) = rest.split_first_chunk::<8>()?;
            let (quality, rest) = rest.split_first_chunk::<4>()?;
            let (kind, rest) = rest.split_first()?;
            let (cell, _) = rest.split_first_chunk::<8>()?;
            Some((
                u32::from_le_bytes(*tag),
                i64::from_le_bytes(*time),
                u32::from_le_bytes(*quality),
                *kind,
                u64::from_le_bytes(*cell),
            ))
        })
        .collect()
}

fn batches() -> [(&'static str, Batch); 3] {
    [("ints", ints(1)), ("floats", floats(1)), ("mixed", mixed(1))]
}

fn batch_of(record: &Record) -> &Batch {
    match &record.fact {
        Fact::Samples { batch, .. } => batch,
        _ => unreachable!("every record of these benches carries samples"),
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/encode");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    println!("bytes per sample (frame; plain):");
    for (name, batch) in batches() {
        let records = [record(1, batch)];
        let bytes = encode_log(PLAN, &records).len() as f64 / SAMPLES as f64;
        let plain = pack_rows(batch_of(&records[0])).len() as f64 / SAMPLES as f64;
        println!("  {name:8} {bytes:5.2}; {plain:5.2}");
        group.bench_function(name, |b| b.iter(|| encode_log(PLAN, black_box(&records))));
        group.bench_function(format!("plain {name}"), |b| {
            b.iter(|| pack_rows(batch_of(black_box(&records[0]))))
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/decode");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (name, batch) in batches() {
        let records = [record(1, batch)];
        let frame = encode_log(PLAN, &records);
        let mut lists = TagLists::default();
        let back = decode_log(&frame, Position::ZERO, &mut lists).expect("a frame just encoded");
        assert_eq!(back[..], records);
        group.bench_function(name, |b| {
            b.iter(|| decode_log(black_box(&frame), Position::ZERO, &mut lists).map(|all| all.len()))
        });
        let rows = pack_rows(batch_of(&records[0]));
        assert_eq!(unpack_rows(&rows).map(|rows| rows.len()), Some(SAMPLES));
        group.bench_function(format!("plain {name}"), |b| b.iter(|| unpack_rows(black_box(&rows))));
    }
    group.finish();
}

/// A group commit's frame: ten records share one compression.
fn ten_records(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/ten records");
    group.throughput(Throughput::Elements(10 * SAMPLES as u64));
    let records: Vec<Arc<Record>> = (1..=10).map(|seq| record(seq, ints(seq))).collect();
    let frame = encode_log(PLAN, &records);
    println!("ten records of ints in a frame: {:.2} bytes per sample", frame.len() as f64 / 1e4);
    group.bench_function("encode ints", |b| b.iter(|| encode_log(PLAN, black_box(&records))));
    let mut lists = TagLists::default();
    group.bench_function("decode ints", |b| {
        b.iter(|| decode_log(black_box(&frame), Position::ZERO, &mut lists).map(|all| all.len()))
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = encode, decode, ten_records
}
criterion_main!(benches);
