//! Messages of the base protocol: a header with a length, then JSON.
//!
//! The usual libraries allocate whatever length a header states and give up at the first message that is no JSON. Here
//! lengths have a bound, and after anything that is wrong the next header is looked for.

use serde_json::Value;
use std::io::{BufRead, Read, Write};

/// Largest message in bytes: a file of the largest size, written as JSON.
pub const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest line of a header.
const HEADER_BYTES_MAX: u64 = 8 * 1024;

/// What comes in.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    Message(Value),
    /// Something that is no message; what is wrong with it.
    Fault(String),
    /// The other side has closed.
    End,
}

/// Reads the next message, or what is wrong where one should be.
///
/// # Errors
/// Standard input cannot be read.
pub fn read(input: &mut impl BufRead) -> std::io::Result<Incoming> {
    let mut length = None;
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(Incoming::End);
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        let header = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        if let Some((_, value)) = header.filter(|(name, _)| name.eq_ignore_ascii_case("Content-Length")) {
            length = value.parse::<u64>().ok();
        }
    }
    let Some(length) = length else {
        return Ok(Incoming::Fault("a header without Content-Length".into()));
    };
    if length > MESSAGE_BYTES_MAX {
        std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink())?;
        return Ok(Incoming::Fault(format!("{length} bytes are too many for one message")));
    }
    let mut body = Vec::new();
    input.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Ok(Incoming::End);
    }
    Ok(match serde_json::from_slice(&body) {
        Ok(message) => Incoming::Message(message),
        Err(error) => Incoming::Fault(format!("not JSON: {error}")),
    })
}

/// Writes a message.
///
/// # Errors
/// Standard output cannot be written.
pub fn write(output: &mut impl Write, message: &Value) -> std::io::Result<()> {
    let body = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(mut bytes: &[u8]) -> Vec<Incoming> {
        let mut found = Vec::new();
        loop {
            match read(&mut bytes).unwrap() {
                Incoming::End => return found,
                other => found.push(other),
            }
        }
    }

    #[test]
    fn messages_come_back_as_they_were_written() {
        let mut bytes = Vec::new();
        let messages = [json!({"method": "µ"}), json!([1, 2])];
        messages.iter().for_each(|message| write(&mut bytes, message).unwrap());
        assert_eq!(all(&bytes), messages.map(Incoming::Message));
    }

    #[test]
    fn after_a_fault_the_next_message_is_read() {
        let good = "Content-Length: 2\r\n\r\n{}";
        let huge = MESSAGE_BYTES_MAX + 1;
        for bad in ["X: 1\r\n\r\n", "Content-Length: 3\r\n\r\n{,}", "Content-Length: -1\r\n\r\n", "\n"] {
            let found = all(format!("{bad}{good}").as_bytes());
            assert!(
                matches!(found.as_slice(), [Incoming::Fault(_), Incoming::Message(_)]),
                "{bad:?}: {found:?}"
            );
        }
        assert_eq!(all(format!("Content-Length: {huge}\r\n\r\n{good}").as_bytes()).len(), 1);
        assert!(all(b"Content-Length: 50\r\n\r\n{}").is_empty(), "cut off");
    }
}
