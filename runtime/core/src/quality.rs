//! Quality of a sample as an OPC UA status code.
//!
//! Source: OPC UA Part 4, 7.39 (StatusCode) and Part 8 (data access codes).
//! The two top bits are the severity; the rest says why.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Quality of one sample: good, uncertain(why) or bad(why), kept as an OPC UA status code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quality(pub u32);

/// The three classes a reader acts on, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    Good,
    Uncertain,
    Bad,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $word:literal, $doc:literal;)*) => {
        impl Quality {
            $(#[doc = $doc] pub const $name: Quality = Quality($code);)*
        }
        /// Codes with a name of their own: constant, word in texts and payloads.
        const NAMED: &[(Quality, &str)] = &[$((Quality::$name, $word)),*];
    };
}

codes! {
    GOOD = 0x0000_0000, "good", "The value is what the device reported.";
    GOOD_CLAMPED = 0x0030_0000, "good(clamped)", "The value was limited to its declared range.";
    LOCAL_OVERRIDE = 0x0096_0000, "good(local_override)", "Somebody has set the value by hand at the device.";
    UNCERTAIN = 0x4000_0000, "uncertain", "Uncertain for no named reason.";
    NO_COMMUNICATION_LAST_USABLE = 0x408F_0000, "uncertain(no_communication)", "The server cannot reach the device; this is the last usable value.";
    LAST_USABLE = 0x4090_0000, "uncertain(last_usable)", "Communication failed; this is the last usable value.";
    SUBSTITUTED = 0x4091_0000, "uncertain(substituted)", "`otherwise` supplied the value.";
    INITIAL = 0x4092_0000, "uncertain(initial)", "No sample since the start; an initial value.";
    NOT_ACCURATE = 0x4093_0000, "uncertain(not_accurate)", "The sensor is at one of its limits or not calibrated.";
    SUB_NORMAL = 0x4095_0000, "uncertain(sub_normal)", "Fewer good sources than wanted made the value.";
    OUT_OF_RANGE = 0x4094_0000, "uncertain(out_of_range)", "Outside the declared range of engineering units.";
    TRUNCATED = 0x40A4_0000, "uncertain(truncated)", "A text was cut at its declared or largest length.";
    BAD = 0x8000_0000, "bad", "Bad for no named reason.";
    COMM_LOST = 0x8005_0000, "bad(comm_lost)", "The device does not answer or the connection is broken.";
    TIMEOUT = 0x800A_0000, "bad(timeout)", "The device did not answer in time.";
    ACCESS_DENIED = 0x801F_0000, "bad(access_denied)", "The user may not read this address.";
    NO_COMMUNICATION = 0x8031_0000, "bad(no_communication)", "The server cannot reach the device behind it.";
    WAITING = 0x8032_0000, "bad(waiting)", "No value has been received yet.";
    UNKNOWN_ADDRESS = 0x8034_0000, "bad(unknown_address)", "The device does not have this address.";
    CONFIG = 0x8089_0000, "bad(config)", "The device refuses the request as configured.";
    NOT_CONNECTED = 0x808A_0000, "bad(not_connected)", "Never connected since the start.";
    DEVICE_FAILURE = 0x808B_0000, "bad(device_failure)", "The device reports a failure of its own.";
    SENSOR_FAILURE = 0x808C_0000, "bad(sensor_failure)", "The device reports a sensor failure.";
    DEVICE_BUSY = 0x80EE_0000, "bad(device_busy)", "The device refuses because it is busy.";
    NOT_READABLE = 0x803A_0000, "bad(not_readable)", "The device forbids reading this address.";
    OVERFLOW = 0x803C_0000, "bad(overflow)", "A result does not fit its type.";
    NOT_A_NUMBER = 0x8074_0000, "bad(not_a_number)", "The value has not the declared type, or is NaN.";
    DIVISION_BY_ZERO = 0x80AB_0000, "bad(division_by_zero)", "Division by zero.";
    DECODING = 0x8007_0000, "bad(decoding)", "The bytes from the device make no value.";
    TOO_MANY_ITEMS = 0x80DB_0000, "bad(too_many_items)", "The server monitors no more nodes.";
    STOPPED = 0x808D_0000, "bad(out_of_service)", "The source is stopped on purpose.";
}

impl Quality {
    /// Class of this code. The reserved fourth pattern counts as bad.
    pub const fn severity(self) -> Severity {
        match self.0 >> 30 {
            0 => Severity::Good,
            1 => Severity::Uncertain,
            _ => Severity::Bad,
        }
    }

    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    pub const fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }

    /// The worse of two qualities; of equally bad ones the first. The rule by which
    /// quality passes through expressions.
    pub fn worst(self, other: Quality) -> Quality {
        if other.severity() > self.severity() { other } else { self }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, word)) = NAMED.iter().find(|(code, _)| code == self) {
            return f.write_str(word);
        }
        match self.severity() {
            Severity::Good => write!(f, "good(0x{:08X})", self.0),
            Severity::Uncertain => write!(f, "uncertain(0x{:08X})", self.0),
            Severity::Bad => write!(f, "bad(0x{:08X})", self.0),
        }
    }
}

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_keeps_the_first_of_equals() {
        assert_eq!(Quality::GOOD.worst(Quality::TIMEOUT), Quality::TIMEOUT);
        assert_eq!(Quality::COMM_LOST.worst(Quality::TIMEOUT), Quality::COMM_LOST);
        assert_eq!(Quality::SUBSTITUTED.worst(Quality::GOOD), Quality::SUBSTITUTED);
        assert_eq!(Quality(0xC000_0000).severity(), Severity::Bad);
    }

    #[test]
    fn every_named_code_is_unique_and_shows_its_severity() {
        for (i, (code, word)) in NAMED.iter().enumerate() {
            assert!(NAMED[i + 1..].iter().all(|(other, text)| other != code && text != word));
            let class = format!("{:?}", code.severity()).to_lowercase();
            assert!(word.starts_with(&class), "{word}");
        }
        assert_eq!(Quality(0x8012_3400).to_string(), "bad(0x80123400)");
    }
}
