//! One line of the audit log, and the chain that lines make. Pure.
//!
//! A line is a JSON object that ends in `,"hash":"<64 digits>"}`; the hash is the BLAKE3 of all bytes before that, and
//! `previous`, which is among them, is the hash of the line before. So no line can be changed, added or taken out
//! without changing all that follow.

use gwp_core::Timestamp;
use serde::{Deserialize, Serialize};

/// `previous` of the first line.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What comes before the hash, and how long it is with the hash.
const MARK: &str = ",\"hash\":\"";
const TAIL_BYTES: usize = MARK.len() + 64 + 2;

/// Something that was done, or that somebody tried to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Name of who did it; for a login, who it claimed to be.
    pub by: String,
    /// `viewer`, ...; empty if nobody was let in.
    pub role: String,
    /// Address it came from; empty if it came from this machine's command line.
    pub from: String,
    /// Name of the operation, such as `apply`.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// `done`, or why not.
    pub outcome: String,
    /// HTTP status of the answer; 0 if there was none.
    pub status: u16,
    /// More about it.
    pub detail: serde_json::Value,
}

/// An event with its place in the chain.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Counts from 1.
    pub number: u64,
    /// RFC 3339, by the machine's clock.
    pub time: String,
    #[serde(flatten)]
    pub event: Event,
    pub previous: String,
    pub hash: String,
}

/// Where the next line goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Number of the last line.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for End {
    fn default() -> Self {
        End { number: 0, hash: FIRST.into() }
    }
}

impl End {
    /// The line for an event, with its line break, and the end behind it.
    pub fn add(&self, event: &Event, time: Timestamp) -> (String, End) {
        #[derive(Serialize)]
        struct Hashed<'a> {
            number: u64,
            time: String,
            #[serde(flatten)]
            event: &'a Event,
            previous: &'a str,
        }
        let number = self.number.saturating_add(1);
        let hashed = Hashed { number, time: time.to_string(), event, previous: &self.hash };
        let text = serde_json::to_string(&hashed).unwrap_or_else(|_| "{}".into());
        let body = text.strip_suffix('}').unwrap_or(&text);
        let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
        (format!("{body}{MARK}{hash}\"}}\n"), End { number, hash })
    }

    /// The end of the chain behind a line, which must be the next one.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn follow(&self, line: &Line) -> Result<End, String> {
        if line.number != self.number.saturating_add(1) {
            return Err(format!("line {} follows line {}", line.number, self.number));
        }
        if line.previous != self.hash {
            return Err(format!("line {} does not follow from the line before it", line.number));
        }
        Ok(End { number: line.number, hash: line.hash.clone() })
    }
}

/// Reads a line, without its line break.
///
/// # Errors
/// It is none, or its hash is not the one of its text.
pub fn read(text: &str) -> Result<Line, String> {
    let line: Line =
        serde_json::from_str(text).map_err(|error| format!("it is no line of audit: {error}"))?;
    let cut = text.len().checked_sub(TAIL_BYTES).and_then(|at| text.split_at_checked(at));
    let (body, tail) = cut.ok_or("it is too short")?;
    let hash = blake3::hash(body.as_bytes()).to_hex();
    if tail != format!("{MARK}{hash}\"}}") {
        return Err("its text is not what was written".into());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(target: &str) -> Event {
        Event {
            by: "anna".into(),
            role: "admin".into(),
            from: "10.0.0.7:5000".into(),
            action: "apply".into(),
            target: target.into(),
            outcome: "done".into(),
            status: 200,
            detail: serde_json::json!({ "message": "more \"of\" it,\"hash\":\"" }),
        }
    }

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        let (first, end) = End::default().add(&event("a"), Timestamp(0));
        let (second, last) = end.add(&event("b"), Timestamp(1));
        let first = read(first.trim_end()).unwrap();
        let second = read(second.trim_end()).unwrap();
        assert_eq!(first.event, event("a"));
        let after = End::default().follow(&first).unwrap().follow(&second).unwrap();
        assert_eq!(after, last);
        assert!(End::default().follow(&second).unwrap_err().contains("line 2 follows line 0"));
        let (other, _) = End { number: 1, hash: FIRST.into() }.add(&event("b"), Timestamp(1));
        let other = read(other.trim_end()).unwrap();
        assert!(end.follow(&other).unwrap_err().contains("does not follow"));
    }

    proptest! {
        #[test]
        fn no_byte_of_a_line_can_be_changed(target in ".{0,20}", at in 0usize..10_000, to in 32u8..127) {
            let (line, _) = End::default().add(&event(&target), Timestamp(77));
            let text = line.trim_end_matches('\n');
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert!(read(&changed).is_err());
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,200}") {
            prop_assert!(read(&text).is_err());
        }
    }
}
