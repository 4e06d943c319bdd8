//! What a PLC says when it does not do what it is asked.
//!
//! Two kinds: a code for one item of a request ([`ReturnCode`]), and one for the request as a whole
//! ([`HeaderError`]: error class and code of the telegram's head).

use gwp_core::Quality;
use std::fmt;

/// Code of one item; 0xFF is success and none of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReturnCode(pub u8);

/// Error class and error code of a telegram's head, not both zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderError {
    pub class: u8,
    pub code: u8,
}

/// What to do about a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// Part of the area may not exist: ask for less.
    Split,
    /// The PLC will say so again: ask seldom.
    Refused,
    /// It may pass: ask in the next slot.
    Passing,
}

const PUT_GET: &str = "PUT/GET is not allowed in the PLC (S7-1200 and S7-1500: properties of the CPU, \
                       Protection & Security, Connection mechanisms)";

impl ReturnCode {
    /// The item was read or written.
    pub const SUCCESS: u8 = 0xFF;

    /// Quality of the points that were asked for.
    pub const fn quality(self) -> Quality {
        match self.0 {
            0x03 => Quality::NOT_READABLE,
            0x05 | 0x0A => Quality::UNKNOWN_ADDRESS,
            0x06 | 0x07 => Quality::CONFIG,
            _ => Quality::DEVICE_FAILURE,
        }
    }

    pub const fn treatment(self) -> Treatment {
        match self.0 {
            0x05 | 0x0A => Treatment::Split,
            0x03 | 0x06 | 0x07 => Treatment::Refused,
            _ => Treatment::Passing,
        }
    }
}

impl fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            0x01 => "hardware fault",
            0x03 => return write!(f, "access denied (0x03): the block is protected, or {PUT_GET}"),
            0x05 => "address out of range: the block is optimized or too short, or the area ends before",
            0x06 => "data type not supported",
            0x07 => "data type inconsistent with the area",
            0x0A => "no such object: the block does not exist or is optimized",
            _ => "unknown return code",
        };
        write!(f, "{text} ({:#04x})", self.0)
    }
}

impl HeaderError {
    /// Quality of the points that were asked for.
    pub const fn quality(self) -> Quality {
        match (self.class, self.code) {
            (0x81, 0x04) | (0xD2 | 0xD4 | 0xD6, _) => Quality::NOT_READABLE,
            (0x81 | 0x82 | 0x85 | 0x87, _) => Quality::CONFIG,
            (0x83, _) => Quality::DEVICE_BUSY,
            _ => Quality::DEVICE_FAILURE,
        }
    }

    pub const fn treatment(self) -> Treatment {
        match self.class {
            0x81 | 0x82 | 0x85 | 0x87 | 0xD2 | 0xD4 | 0xD6 => Treatment::Refused,
            _ => Treatment::Passing,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, code) = (self.class, self.code);
        let text = match (class, code) {
            (0x81, 0x04) => {
                return write!(f, "function not available (0x8104): the PLC lacks it, or {PUT_GET}");
            }
            (0xD6, _) => "wrong or missing password",
            (0x81, _) => "error of the application relationship",
            (0x82, _) => "error in the definition of the object",
            (0x83, _) => "no resources available",
            (0x84, _) => "error of the service processing",
            (0x85, _) => "error in the supplies: the request is longer than agreed",
            (0x87, _) => "access error",
            (0xD2 | 0xD4, _) => "the protection level of the PLC forbids it",
            _ => "unknown error",
        };
        write!(f, "{text} (0x{class:02x}{code:02x})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_a_bad_quality_and_a_treatment() {
        for class in 0..=u8::MAX {
            assert!(ReturnCode(class).quality().is_bad() && !ReturnCode(class).to_string().is_empty());
            for code in 0..=u8::MAX {
                let error = HeaderError { class, code };
                assert!(error.quality().is_bad());
                assert!(error.to_string().contains(&format!("(0x{class:02x}{code:02x})")), "{error}");
            }
        }
    }

    #[test]
    fn the_usual_ones_say_what_to_do() {
        assert!(ReturnCode(3).to_string().contains("PUT/GET is not allowed in the PLC"));
        assert!(ReturnCode(5).to_string().contains("optimized or too short"));
        assert!(ReturnCode(0x0A).to_string().contains("does not exist"));
        assert!(HeaderError { class: 0x81, code: 4 }.to_string().contains("PUT/GET is not allowed"));
        assert_eq!(ReturnCode(5).treatment(), Treatment::Split);
        assert_eq!(ReturnCode(3).treatment(), Treatment::Refused);
        assert_eq!(HeaderError { class: 0x83, code: 1 }.treatment(), Treatment::Passing);
    }
}
