//! Round trips, and what is refused.

use super::*;
use crate::samples;
use proptest::prelude::*;

fn bytes(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &mut out);
    out
}

fn hello() -> Message {
    let report = Report {
        stance: Stance::Active,
        epoch: 3,
        relinquished: 1,
        promise: Default::default(),
        bound_for: 0,
        before: Default::default(),
        mark: None,
        node: NodeReport { paired: true, health: 90, ..Default::default() },
    };
    Message { report, body: Body::Hello }
}

/// Where the fields of [`hello`] stand.
const STANCE: usize = 1;
const HOLDER: usize = 14;
const MARK: usize = 28;
const FLAGS: usize = 57;
const HEALTH: usize = 58;
const TAG: usize = 59;

#[test]
fn the_form_is_fixed() {
    let bytes = bytes(&hello());
    assert_eq!(bytes.len(), 60);
    let known = [
        (0, VERSION),
        (STANCE, 3),
        (2, 3),
        (6, 1),
        (HOLDER, 0),
        (MARK, 0),
        (FLAGS, 1),
        (HEALTH, 90),
        (TAG, 0),
    ];
    for (at, byte) in known {
        assert_eq!(bytes[at], byte, "byte {at}");
    }
}

#[test]
fn values_that_do_not_exist_are_refused() {
    let good = bytes(&hello());
    assert_eq!(decode(&good), Ok(hello()));
    for (at, byte) in [(STANCE, 4), (HOLDER, 3), (MARK, 2), (FLAGS, 8), (FLAGS, 255), (HEALTH, 101), (TAG, 5)]
    {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(decode(&bad), Err(WireError::Malformed(60)), "byte {at} = {byte}");
    }
    let mut other = good.clone();
    other[0] = 2;
    assert_eq!(decode(&other), Err(WireError::Version(2)));
    assert_eq!(decode(&[]), Err(WireError::Malformed(0)));
}

#[test]
fn a_health_above_all_is_the_best_there_is() {
    let mut message = hello();
    message.report.node.health = 200;
    assert_eq!(decode(&bytes(&message)).unwrap().report.node.health, 100);
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(message in samples::message()) {
        let bytes = bytes(&message);
        prop_assert!(bytes.len() <= MESSAGE_MAX);
        prop_assert_eq!(decode(&bytes), Ok(message));
    }

    #[test]
    fn bytes_too_few_or_too_many_are_refused(message in samples::message(), more in any::<u8>()) {
        let mut bytes = bytes(&message);
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..length]), Err(WireError::Malformed(length)));
        }
        bytes.push(more);
        prop_assert_eq!(decode(&bytes), Err(WireError::Malformed(bytes.len())));
    }

    /// What can be read at all is the one form of what it says.
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(super::tests::bytes(&message), bytes);
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        message in samples::message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = bytes(&message);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(super::tests::bytes(&message), bytes);
        }
    }
}
