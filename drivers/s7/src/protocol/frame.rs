//! Frames: one COTP unit in one TPKT packet.
//!
//! ```text
//! TPKT   03 00 length:2                    length counts the header (RFC 1006, 6)
//! COTP   length:1 type:1 ...               length does not count itself (X.224, 13.2)
//!        CR E0, CC D0  connect             reference, class and parameters (13.3, 13.4)
//!        DT F0         data                end of unit in bit 7 (13.7)
//!        DR 80, ER 70  refused, in error   (13.5, 13.12)
//! ```

use super::Malformed;

/// Bytes of the TPKT header.
pub const HEADER: usize = 4;

/// Bytes of a COTP data header.
const DATA_HEADER: usize = 3;

/// Bytes in front of a telegram on the wire.
pub const OVERHEAD: usize = HEADER + DATA_HEADER;

/// Longest packet taken from a peer. The largest telegram agreed on is 960 bytes.
pub const PACKET_MAX: usize = 2_048;

const VERSION: u8 = 3;
pub(super) const CONNECT_REQUEST: u8 = 0xE0;
const CONNECT_CONFIRM: u8 = 0xD0;
const DISCONNECT_REQUEST: u8 = 0x80;
const ERROR: u8 = 0x70;
const DATA: u8 = 0xF0;
const END_OF_UNIT: u8 = 0x80;

/// Our reference of the connection; there is one connection per stream, so it may be any.
const OUR_REFERENCE: [u8; 2] = [0, 1];

/// Parameters of a connect request (X.224, 13.3.4).
const TPDU_SIZE: u8 = 0xC0;
const CALLING_TSAP: u8 = 0xC1;
const CALLED_TSAP: u8 = 0xC2;

/// Units of up to 2^10 = 1,024 bytes, more than the largest telegram needs.
const TPDU_1024: u8 = 10;

/// Transport addresses of both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tsaps {
    pub local: u16,
    pub remote: u16,
}

/// What a packet holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit<'b> {
    /// The peer takes the connection.
    Confirm,
    /// The peer refuses or ends the connection, with its reason (X.224, 13.5.3).
    Disconnect(u8),
    /// The peer did not understand (X.224, 13.12).
    Error(u8),
    /// Part of a telegram, and whether it is the last one.
    Data { bytes: &'b [u8], last: bool },
}

/// The whole length of a packet that begins with `header`.
///
/// # Errors
/// It is no packet, or longer than any in this protocol.
pub fn packet_length(header: [u8; HEADER]) -> Result<usize, Malformed> {
    let [version, _, high, low] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version != VERSION {
        return Err(Malformed::new(format!("a packet of version {version}")));
    }
    if !(HEADER + 2..=PACKET_MAX).contains(&length) {
        return Err(Malformed::new(format!("a packet of {length} bytes")));
    }
    Ok(length)
}

/// The unit in a whole packet.
///
/// # Errors
/// Its parts do not fit together.
pub fn unit(packet: &[u8]) -> Result<Unit<'_>, Malformed> {
    let short = || Malformed::new("a packet that ends early");
    let (length, rest) = packet.get(HEADER..).and_then(<[u8]>::split_first).ok_or_else(short)?;
    let (head, user) = rest.split_at_checked(usize::from(*length)).ok_or_else(short)?;
    let byte = |at: usize| head.get(at).copied().ok_or_else(short);
    match byte(0)? & 0xF0 {
        CONNECT_CONFIRM => Ok(Unit::Confirm),
        DISCONNECT_REQUEST => Ok(Unit::Disconnect(byte(5)?)),
        ERROR => Ok(Unit::Error(byte(3)?)),
        DATA => Ok(Unit::Data { bytes: user, last: byte(1)? & END_OF_UNIT != 0 }),
        other => Err(Malformed::new(format!("a unit of type {other:#04x}"))),
    }
}

/// A packet that asks for a connection.
pub fn connect(tsaps: Tsaps) -> Vec<u8> {
    let [local, remote] = [tsaps.local.to_be_bytes(), tsaps.remote.to_be_bytes()];
    let mut unit = vec![CONNECT_REQUEST, 0, 0, OUR_REFERENCE[0], OUR_REFERENCE[1], 0];
    unit.extend([TPDU_SIZE, 1, TPDU_1024]);
    unit.extend([CALLING_TSAP, 2, local[0], local[1]]);
    unit.extend([CALLED_TSAP, 2, remote[0], remote[1]]);
    // 17 bytes.
    packet(&[&[unit.len() as u8][..], &unit].concat())
}

/// A packet that carries one telegram whole.
pub fn data(telegram: &[u8]) -> Vec<u8> {
    packet(&[&[2, DATA, END_OF_UNIT][..], telegram].concat())
}

fn packet(unit: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + unit.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[VERSION, 0, length[0], length[1]][..], unit].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_connect_request_names_both_ends() {
        let packet = connect(Tsaps { local: 0x0100, remote: 0x0102 });
        assert_eq!(packet, [3, 0, 0, 22, 17, 0xE0, 0, 0, 0, 1, 0, 0xC0, 1, 10, 0xC1, 2, 1, 0, 0xC2, 2, 1, 2]);
        assert_eq!(packet_length([3, 0, 0, 22]), Ok(packet.len()));
    }

    #[test]
    fn units_are_told_apart() {
        let of = |unit: &[u8]| super::unit(&packet(unit)).map(|unit| format!("{unit:?}"));
        assert_eq!(unit(&data(&[7, 8])), Ok(Unit::Data { bytes: &[7, 8], last: true }));
        assert_eq!(unit(&packet(&[2, 0xF0, 0, 9])), Ok(Unit::Data { bytes: &[9], last: false }));
        assert_eq!(of(&[6, 0xD0, 0, 1, 0, 5, 0]), Ok("Confirm".into()));
        assert_eq!(of(&[6, 0x80, 0, 1, 0, 5, 2]), Ok("Disconnect(2)".into()));
        assert_eq!(of(&[4, 0x70, 0, 1, 3]), Ok("Error(3)".into()));
        for bad in [&[][..], &[0], &[9, 0xF0, 0x80], &[1, 0xF0], &[2, 0x10, 0], &[3, 0x80, 0, 1]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_packets_have_a_length() {
        for bad in [[2, 0, 0, 20], [3, 0, 0, 0], [3, 0, 0, 5], [3, 0, 0xFF, 0xFF], *b"HTTP"] {
            assert!(packet_length(bad).is_err(), "{bad:?}");
        }
        assert_eq!(packet_length([3, 0, 0, 6]), Ok(6));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_unit_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = unit(&bytes);
        }
    }
}
