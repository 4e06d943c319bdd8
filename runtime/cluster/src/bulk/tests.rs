//! The form of messages: round trips, bounds, and bytes that are none.

use super::form::{PREFIX, decode, encode, whole};
use super::*;
use crate::samples;
use proptest::prelude::*;

fn bytes(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    let opaque = encode(message, &mut out).unwrap().map(|bytes| bytes.to_vec());
    out.extend(opaque.unwrap_or_default());
    out
}

fn at(seq: u64) -> Place {
    Place { position: Position::new(2, seq), after: 3 }
}

fn join(ends: &[(u32, u64)]) -> Message {
    let history = History::of(ends.iter().map(|&(epoch, seq)| Position::new(epoch, seq)));
    Message::Join(Join {
        epoch: 5,
        incarnation: [9; 16],
        place: at(7),
        hash: RunningHash(1),
        complete: true,
        history,
    })
}

#[test]
fn the_form_is_fixed() {
    assert_eq!(bytes(&Message::Ping), [2, 0, 0, 0, VERSION, 0]);
    let kept_by = [22, 0, 0, 0, VERSION, 10, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0];
    assert_eq!(bytes(&Message::KeptBy { place: at(7), refused: 9 }), kept_by);
    let readings = |from| bytes(&Message::Readings { from, bytes: [5].as_slice().into() });
    assert_eq!(readings(From::Fill), [4, 0, 0, 0, VERSION, 3, 0, 5]);
    assert_eq!(readings(From::Rejoin), [4, 0, 0, 0, VERSION, 3, 1, 5]);
    let refused = Message::Refused { why: "no".into() };
    assert_eq!(bytes(&refused), [4, 0, 0, 0, VERSION, 11, b'n', b'o']);
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, number);
    }
    assert_eq!(Kind::of(Kind::ALL.len() as u8), None);
}

#[test]
fn what_is_too_long_is_refused_at_both_ends() {
    let long: Arc<[u8]> = vec![0; READINGS_BYTES_MAX + 1].into();
    let mut out = vec![1];
    let tail = Message::Readings { from: From::Rejoin, bytes: Arc::clone(&long) };
    let refused = encode(&tail, &mut out);
    assert!(matches!(refused, Err(BulkError::TooLarge { kind: "set of readings", len, max })
        if len == READINGS_BYTES_MAX + 2 && max == READINGS_BYTES_MAX + 1));
    assert_eq!(out, [1], "nothing is appended");
    let longest = Message::Readings { from: From::Rejoin, bytes: long[1..].into() };
    assert_eq!(bytes(&longest).len(), PREFIX + 1 + READINGS_BYTES_MAX);

    for kind in Kind::ALL {
        let head = |len: usize| {
            let mut head = (len as u32 + 2).to_le_bytes().to_vec();
            head.extend([VERSION, kind as u8]);
            head
        };
        assert_eq!(whole(&head(kind.max())).unwrap(), Some(PREFIX + kind.max()));
        let over = whole(&head(kind.max() + 1));
        assert!(matches!(over, Err(BulkError::TooLarge { max, .. }) if max == kind.max()), "{kind:?}");
    }
    assert!(matches!(whole(&[0xff; 4]), Ok(None)));
    assert!(matches!(whole(&[0xff, 0xff, 0xff, 0xff, VERSION, 7]), Err(BulkError::TooLarge { .. })));
}

#[test]
fn what_is_no_message_is_told_apart() {
    assert!(matches!(whole(&[1, 0, 0, 0]), Err(BulkError::Malformed(1))));
    assert!(
        matches!(whole(&[2, 0, 0, 0, VERSION + 1, 0]), Err(BulkError::Version(told)) if told == VERSION + 1)
    );
    assert!(matches!(whole(&[2, 0, 0, 0, VERSION, Kind::ALL.len() as u8]), Err(BulkError::Malformed(2))));
    let mut text = bytes(&Message::Refused { why: "no".into() });
    text[PREFIX] = 0xff;
    assert!(matches!(decode(&text), Err(BulkError::Malformed(4))));
}

#[test]
fn a_history_that_no_log_has_is_refused() {
    let good = bytes(&join(&[(2, 7), (3, 1)]));
    assert_eq!(decode(&good).unwrap(), join(&[(2, 7), (3, 1)]));
    let first = good.len() - 2 * POSITION;
    for (epoch, refused) in [(1, false), (3, true), (4, true)] {
        let mut bad = good.clone();
        bad[first] = epoch;
        assert_eq!(decode(&bad).is_err(), refused, "an epoch {epoch} before an epoch 3");
    }
    let most: Vec<(u32, u64)> = (0..EPOCHS_KEPT as u32).map(|epoch| (epoch, 1)).collect();
    let longest = bytes(&join(&most));
    assert_eq!(longest.len(), PREFIX + Kind::Join.max());
    assert_eq!(decode(&longest).unwrap(), join(&most));
}

#[test]
fn a_reason_is_cut_between_characters() {
    let why = format!("x{}", "é".repeat(REASON_BYTES_MAX));
    let Message::Refused { why: cut } = decode(&bytes(&Message::Refused { why: why.clone() })).unwrap()
    else {
        panic!("another message");
    };
    assert_eq!(cut.len(), REASON_BYTES_MAX - 1);
    assert!(why.starts_with(&cut));
}

#[test]
fn a_head_that_tells_of_other_bytes_is_not_sent() {
    let head =
        Head { before: at(1), hash_before: RunningHash(1), place: at(2), hash: RunningHash(2), bytes: 4 };
    let message = Message::Frame { head, bytes: [1, 2, 3].as_slice().into() };
    let refused = encode(&message, &mut Vec::new());
    assert!(matches!(refused, Err(BulkError::HeadLength { told: 4, len: 3 })));
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(message in samples::bulk()) {
        let bytes = bytes(&message);
        prop_assert_eq!(whole(&bytes).unwrap(), Some(bytes.len()));
        prop_assert_eq!(decode(&bytes).unwrap(), message);
    }

    #[test]
    fn bytes_too_few_or_too_many_are_refused(message in samples::bulk(), cut in any::<prop::sample::Index>()) {
        let mut bytes = bytes(&message);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(decode(&bytes).is_err());
    }

    /// What can be read at all is the one form of what it says.
    #[test]
    fn changed_bytes_are_read_or_refused(
        message in samples::bulk(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut changed = bytes(&message);
        for (at, byte) in changes {
            let at = at.index(changed.len().min(200));
            changed[at] = byte;
        }
        if let Ok(read) = decode(&changed) {
            prop_assert_eq!(bytes(&read), changed);
        }
    }

    /// The same with a prefix that fits, so that the fields are reached.
    #[test]
    fn any_fields_are_read_or_refused(kind in 0..17u8, fields in prop::collection::vec(any::<u8>(), 0..160)) {
        let mut any = (fields.len() as u32 + 2).to_le_bytes().to_vec();
        any.extend([VERSION, kind]);
        any.extend(fields);
        if let Ok(read) = decode(&any) {
            prop_assert_eq!(bytes(&read), any);
        }
    }
}
