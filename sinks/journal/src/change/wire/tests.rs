//! Frames of changes: what comes back, and what is refused.

use super::*;
use gwp_core::Position;
use gwp_redundancy::mirror::RunningHash;
use proptest::prelude::*;

const LOG: (u64, &str) = (7, "log.0000000003");
const META: (u64, &str) = (1, "meta");

fn place() -> Place {
    Place { position: Position::new(3, 9), after: 2 }
}

fn recorded(wanted: bool) -> Recorder {
    let mut recorder = Recorder::new(wanted);
    recorder.insert(META, b"a", b"one");
    recorder.insert(LOG, &[1; 16], &[0; 3_000]);
    recorder.remove(META, b"b");
    recorder.delete("j12.0000000000");
    recorder.insert(META, b"c", b"");
    recorder
}

fn change() -> (Head, Arc<[u8]>) {
    let (checksum, bytes, frame) = recorded(true).finish(FrameKind::Change, 0, place());
    let before = Place { position: Position::new(3, 9), after: 1 };
    let hash_before = RunningHash(77);
    let head = Head { before, hash_before, place: place(), hash: hash_before.then(checksum), bytes };
    (head, frame.unwrap())
}

/// A frame around any body, with the right lengths and checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; CHECKED_BYTES];
    frame[..3].copy_from_slice(&MAGIC);
    (frame[3], frame[4]) = (VERSION, 1);
    frame[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let mut checksum = Xxh3::new();
    checksum.update(body);
    checksum.update(&frame);
    frame.extend_from_slice(&checksum.digest().to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

#[test]
fn operations_come_back_in_order() {
    let (head, bytes) = change();
    let frame = open_change(&head, &bytes).unwrap();
    assert_eq!((frame.kind, frame.number, frame.place), (FrameKind::Change, 0, place()));
    let insert = |keyspace, key, value| Op::Insert { keyspace, key, value };
    assert_eq!(
        frame.ops().collect::<Vec<_>>(),
        [
            insert("meta", b"a", b"one"),
            insert("log.0000000003", &[1; 16], &[0; 3_000]),
            Op::Remove { keyspace: "meta", key: b"b" },
            Op::Delete { keyspace: "j12.0000000000" },
            insert("meta", b"c", b""),
        ]
    );
}

#[test]
fn the_checksum_is_the_same_when_nobody_wants_the_bytes() {
    let (wanted, bytes, frame) = recorded(true).finish(FrameKind::Change, 0, place());
    let (unwanted, same, none) = recorded(false).finish(FrameKind::Change, 0, place());
    assert_eq!((wanted, bytes), (unwanted, same));
    assert_eq!((frame.unwrap().len(), none), (bytes as usize, None));
    let (elsewhere, ..) = recorded(false).finish(FrameKind::Change, 0, place().derived());
    assert_ne!(elsewhere, wanted, "the place is part of what is checked");
}

#[test]
fn a_head_that_tells_of_another_frame_is_refused() {
    let (head, bytes) = change();
    for other in [
        Head { place: place().derived(), ..head },
        Head { before: place(), ..head },
        Head { hash: RunningHash(1), ..head },
        Head { hash_before: RunningHash(1), ..head },
        Head { bytes: head.bytes + 1, ..head },
    ] {
        assert!(open_change(&other, &bytes).is_err(), "{other:?}");
    }
    let (checksum, bytes, piece) = recorded(true).finish(FrameKind::Piece, 0, place());
    let head = Head { hash: head.hash_before.then(checksum), bytes, ..head };
    assert!(open_change(&head, &piece.unwrap()).is_err(), "a piece is no change");
}

#[test]
fn only_keyspaces_of_a_store_are_named_and_meta_stays() {
    let named = |op: &[u8], name: &str| sealed(&[op, &[name.len() as u8], name.as_bytes()].concat());
    for name in ["meta", "ledger", "log.0000000000", "j4294967295.0000000009"] {
        assert!(open_frame(&named(&[0], name)).is_ok(), "{name}");
    }
    for name in
        ["", "other", "log.1", "j.0000000001", "jx.0000000001", "log.00000000x1", "../../../x.0000000001"]
    {
        assert!(open_frame(&named(&[0], name)).is_err(), "{name}");
    }
    assert!(open_frame(&named(&[3], "ledger")).is_ok());
    assert!(open_frame(&named(&[3], "meta")).is_err());
    // An empty key and a number that stands for nothing: fjall would panic at the first.
    assert!(open_frame(&sealed(b"\x00\x04meta\x02\x00\x01k")).is_ok());
    assert!(open_frame(&sealed(b"\x00\x04meta\x02\x00\x00")).is_err());
    assert!(open_frame(&sealed(b"\x00\x04meta\x02\x01\x01k")).is_err());
}

proptest! {
    #[test]
    fn mutated_frames_are_refused(at in 0usize..3_200, flip in 1u8.., cut in any::<bool>()) {
        let (head, bytes) = change();
        let mut bytes = bytes.to_vec();
        let at = at % bytes.len();
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= flip,
        }
        prop_assert!(open_frame(&bytes).is_err());
        prop_assert!(open_change(&head, &bytes).is_err());
    }

    #[test]
    fn bytes_with_a_right_checksum_never_panic(
        body in proptest::collection::vec(prop_oneof![3 => 0u8..5, 1 => any::<u8>()], 0..200),
        named in any::<bool>(),
    ) {
        let body = if named { [b"\x00\x04meta".as_slice(), &body].concat() } else { body };
        if let Ok(frame) = open_frame(&sealed(&body)) {
            // What is given is what could be written again.
            let mut again = Recorder::new(true);
            for op in frame.ops() {
                match op {
                    Op::Insert { keyspace, key, value } => again.insert((keyspace.len() as u64, keyspace), key, value),
                    Op::Remove { keyspace, key } => again.remove((keyspace.len() as u64, keyspace), key),
                    Op::Delete { keyspace } => again.delete(keyspace),
                }
            }
            let (_, _, bytes) = again.finish(FrameKind::Change, 0, Place::ZERO);
            let bytes = bytes.unwrap();
            prop_assert!(open_frame(&bytes).unwrap().ops().eq(frame.ops()));
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open_frame(&bytes).is_err());
    }
}
