//! Exception answers: what a device says when it does not answer with values.
//!
//! Source: MODBUS Application Protocol Specification V1.1b3, 7.

use gwp_core::Quality;

/// Code of an exception answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exception(pub u8);

/// What follows from an exception.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// Part of the block may not exist, or it is too long for the device: ask for less.
    Split,
    /// The device will say so again: ask seldom.
    Refused,
    /// It may pass: ask in the next slot.
    Passing,
    /// A gateway answers in place of a device that does not.
    Absent,
}

impl Exception {
    /// The device does not have the function.
    pub const ILLEGAL_FUNCTION: Exception = Exception(0x01);

    /// Quality of the points that were asked for.
    pub const fn quality(self) -> Quality {
        match self.0 {
            0x01 | 0x03 => Quality::CONFIG,
            0x02 => Quality::UNKNOWN_ADDRESS,
            0x05 | 0x06 => Quality::DEVICE_BUSY,
            0x0A => Quality::COMM_LOST,
            0x0B => Quality::TIMEOUT,
            _ => Quality::DEVICE_FAILURE,
        }
    }

    pub const fn treatment(self) -> Treatment {
        match self.0 {
            0x02 | 0x03 => Treatment::Split,
            0x01 => Treatment::Refused,
            0x0A | 0x0B => Treatment::Absent,
            _ => Treatment::Passing,
        }
    }

    /// The specification's words, for logs.
    pub const fn text(self) -> &'static str {
        match self.0 {
            0x01 => "illegal function",
            0x02 => "illegal data address",
            0x03 => "illegal data value",
            0x04 => "device failure",
            0x05 => "acknowledged, not done yet",
            0x06 => "device busy",
            0x08 => "memory parity error",
            0x0A => "gateway path unavailable",
            0x0B => "gateway target device failed to respond",
            _ => "unknown exception",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_bad_quality_and_a_treatment() {
        for code in 0..=u8::MAX {
            assert!(Exception(code).quality().is_bad(), "{code}");
        }
        assert_eq!(Exception(0x02).quality(), Quality::UNKNOWN_ADDRESS);
        assert_eq!(Exception(0x02).treatment(), Treatment::Split);
        assert_eq!(Exception(0x06).quality(), Quality::DEVICE_BUSY);
        assert_eq!(Exception(0x06).treatment(), Treatment::Passing);
        assert_eq!(Exception(0x0B).quality(), Quality::TIMEOUT);
        assert_eq!(Exception(0x0B).treatment(), Treatment::Absent);
        assert_eq!(Exception(0x77).quality(), Quality::DEVICE_FAILURE);
    }
}
