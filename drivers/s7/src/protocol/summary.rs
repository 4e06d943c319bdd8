//! What a packet says, in a few words for people.

use super::frame::{self, Unit};
use super::refusal::HeaderError;
use super::telegram::{ACK, ACK_DATA, JOB, PROTOCOL, READ_VAR, SETUP, WRITE_VAR};

/// Of a packet in either direction.
pub fn summary(packet: &[u8]) -> String {
    match frame::unit(packet) {
        Ok(Unit::Confirm) => "connection confirmed".into(),
        Ok(Unit::Disconnect(reason)) => format!("disconnect, reason {reason}"),
        Ok(Unit::Error(cause)) => format!("error, cause {cause}"),
        Ok(Unit::Data { bytes, .. }) => of_telegram(bytes),
        Err(_) if packet.get(frame::HEADER + 1) == Some(&frame::CONNECT_REQUEST) => "connect request".into(),
        Err(error) => error.to_string(),
    }
}

fn of_telegram(bytes: &[u8]) -> String {
    let [PROTOCOL, kind, _, _, a, b, _, _, _, _, rest @ ..] = bytes else {
        return "part of a telegram".into();
    };
    let number = u16::from_be_bytes([*a, *b]);
    match (*kind, rest) {
        (JOB, [function, count, ..]) => format!("request {number}: {}", what(*function, *count)),
        (ACK | ACK_DATA, [0, 0, function, count, ..]) => {
            format!("answer to {number}: {}", what(*function, *count))
        }
        (ACK | ACK_DATA, [class, code, ..]) if (*class, *code) != (0, 0) => {
            format!("answer to {number}: {}", HeaderError { class: *class, code: *code })
        }
        _ => format!("telegram {number} of kind {kind:#04x}"),
    }
}

fn what(function: u8, count: u8) -> String {
    match function {
        SETUP => "setup".into(),
        READ_VAR => format!("read, items: {count}"),
        WRITE_VAR => format!("write, items: {count}"),
        other => format!("function {other:#04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::Tsaps;
    use crate::protocol::telegram::{self, Agreement, Area, Item};
    use proptest::prelude::*;

    #[test]
    fn packets_of_both_ways_are_named() {
        let item = Item { area: Area::Blocks, block: 1, start: 0, bit: None, count: 2 };
        let data = |bytes: &[u8]| summary(&frame::data(bytes));
        assert_eq!(summary(&frame::connect(Tsaps { local: 0x100, remote: 0x102 })), "connect request");
        assert_eq!(summary(&[3, 0, 0, 11, 6, 0xD0, 0, 1, 0, 7, 0]), "connection confirmed");
        assert_eq!(summary(&[3, 0, 0, 11, 6, 0x80, 0, 1, 0, 7, 1]), "disconnect, reason 1");
        assert_eq!(data(&telegram::setup(1, Agreement { pdu: 240, jobs: 1 })), "request 1: setup");
        assert_eq!(data(&telegram::read(2, &[item, item])), "request 2: read, items: 2");
        assert_eq!(data(&telegram::write(3, &item, &[0, 7])), "request 3: write, items: 1");
        let answer = [0x32, 3, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 4, 2];
        assert_eq!(data(&answer), "answer to 2: read, items: 2");
        let refused = [0x32, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0x81, 0x04];
        assert!(
            data(&refused).starts_with("answer to 2: ") && data(&refused).len() > 20,
            "{}",
            data(&refused)
        );
        assert_eq!(data(&[1, 2, 3]), "part of a telegram");
        assert_eq!(summary(&[3, 0, 0, 7]), "a packet that ends early");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_short_summary(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(summary(&bytes).len() < 300);
            prop_assert!(summary(&frame::data(&bytes)).len() < 300);
        }
    }
}
