//! Any bytes as a frame of the log or of a journal, and as a batch: the decoders end, refuse or
//! decode, and what they decode is encoded and decoded to the same.
//!
//! The first byte chooses what the rest is. A checksum would stop nearly everything, so it is put
//! right here; the checks in front of it are reached with bytes that are left as they are.
#![no_main]

use gwp_core::{Cursor, PlanId, Position};
use gwp_journal::codec::{Reader, TagLists, put_batch, take_batch};
use gwp_journal::frame::{decode_journal, decode_log, encode_journal, encode_log, open_frame};
use libfuzzer_sys::fuzz_target;

const HEADER_BYTES: usize = 68;
const LOG: u8 = 1;
const JOURNAL: u8 = 2;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 5 {
        0 => batch(bytes),
        1 => log(&stored(LOG, bytes)),
        2 => journal(&stored(JOURNAL, bytes)),
        // Header fields and compressed bodies, with the right checksum.
        3 => any(&sealed(bytes.to_vec())),
        _ => any(bytes),
    }
});

/// A frame around a body that is not compressed.
fn stored(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame[4] = kind;
    frame[60..64].copy_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    sealed(frame)
}

/// Puts magic, version and checksum in their places, where there is room for them.
fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() >= HEADER_BYTES {
        frame[..4].copy_from_slice(b"gwF\x01");
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&frame[..64]);
        checksum.update(&frame[HEADER_BYTES..]);
        frame[64..68].copy_from_slice(&checksum.finalize().to_le_bytes());
    }
    frame
}

fn any(frame: &[u8]) {
    let _ = open_frame(frame);
    log(frame);
    journal(frame);
}

fn batch(bytes: &[u8]) {
    let lists = &mut TagLists::default();
    let mut reader = Reader::new(bytes);
    while let Ok(batch) = take_batch(&mut reader, lists) {
        assert_eq!(batch.len(), batch.values.len());
        let mut encoded = Vec::new();
        put_batch(&mut encoded, &batch);
        let mut again = Reader::new(&encoded);
        assert_eq!(take_batch(&mut again, lists).as_ref(), Ok(&batch));
        assert!(again.is_empty());
    }
}

fn log(frame: &[u8]) {
    let lists = &mut TagLists::default();
    let Ok(records) = decode_log(frame, Position::ZERO, lists) else { return };
    if !records.is_empty() {
        let encoded = encode_log(PlanId::default(), &records);
        assert_eq!(decode_log(&encoded, Position::ZERO, lists), Ok(records));
    }
}

fn journal(frame: &[u8]) {
    let lists = &mut TagLists::default();
    let Ok((plan, entries)) = decode_journal(frame, Cursor::ZERO, lists) else { return };
    if !entries.is_empty() {
        let encoded = encode_journal(plan, &entries);
        assert_eq!(decode_journal(&encoded, Cursor::ZERO, lists), Ok((plan, entries)));
    }
}
