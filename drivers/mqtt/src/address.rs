//! Addresses: a topic, and with `#/pointer` behind it a place in its JSON payload.
//!
//! `site/press/oil` is the payload as it is. `site/press#/values/oil` is the member `oil` of the member
//! `values`: a JSON Pointer as the fragment of an address (RFC 6901, 6). `#` is a wildcard in filters
//! and so never part of a topic that is published to (MQTT 5.0, 4.7.1): nothing is ambiguous.

use crate::limits::TOPIC_BYTES_MAX;

/// One parsed address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub topic: String,
    /// As RFC 6901 writes it; `None` = the whole payload.
    pub pointer: Option<String>,
}

/// What is wrong with an address, and its mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError {
    pub message: String,
    pub help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> AddressError {
    AddressError { message: message.into(), help: help.into() }
}

/// Parses an address.
///
/// # Errors
/// What is wrong, with the form that would be right.
pub fn parse(address: &str) -> Result<Address, AddressError> {
    let (topic, pointer) = match address.split_once("#/") {
        Some((topic, pointer)) => (topic, Some(format!("/{pointer}"))),
        None => (address, None),
    };
    const FORMS: &str = "write `site/press/oil`, or `site/press#/values/oil` for a place in a JSON payload";
    if topic.is_empty() {
        return Err(wrong("the topic is missing", FORMS));
    }
    if topic.contains(['+', '#']) {
        return Err(wrong(format!("`{topic}` is many topics"), format!("a tag has one topic: {FORMS}")));
    }
    if topic.len() > TOPIC_BYTES_MAX || topic.contains('\0') {
        return Err(wrong("a topic has up to 65,535 bytes and no zero bytes", FORMS));
    }
    if topic.starts_with("$share/") {
        return Err(wrong("a shared subscription divides messages among clients", "write the topic itself"));
    }
    if let Some(pointer) = &pointer {
        check_pointer(pointer)?;
    }
    Ok(Address { topic: topic.into(), pointer })
}

/// Checks a JSON Pointer (RFC 6901, 3): it begins with `/`, and `~` only stands in `~0` and `~1`.
///
/// # Errors
/// What is wrong.
pub fn check_pointer(pointer: &str) -> Result<(), AddressError> {
    if !pointer.starts_with('/') {
        return Err(wrong(format!("`{pointer}` does not begin with `/`"), format!("write `/{pointer}`")));
    }
    let escapes = pointer.split('~').skip(1);
    if escapes.into_iter().any(|after| !after.starts_with(['0', '1'])) {
        return Err(wrong(format!("`~` stands alone in `{pointer}`"), "write `~0` for `~` and `~1` for `/`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_alone_or_with_a_pointer() {
        let of = |text| parse(text).map(|address| (address.topic, address.pointer));
        assert_eq!(of("site/press/oil"), Ok(("site/press/oil".into(), None)));
        assert_eq!(of("/a//b"), Ok(("/a//b".into(), None)));
        assert_eq!(
            of("gwp/press#/values/press.oil"),
            Ok(("gwp/press".into(), Some("/values/press.oil".into())))
        );
        assert_eq!(of("x#/a~1b/0"), Ok(("x".into(), Some("/a~1b/0".into()))));
        assert_eq!(of("x#/"), Ok(("x".into(), Some("/".into()))), "the member with the empty name");
    }

    #[test]
    fn what_is_no_topic_is_told() {
        for (text, message) in [
            ("", "the topic is missing"),
            ("#/a", "the topic is missing"),
            ("site/#", "`site/#` is many topics"),
            ("site/+/oil", "`site/+/oil` is many topics"),
            ("$share/g/site", "a shared subscription"),
            ("x#/a~b", "`~` stands alone"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert!(!error.help.is_empty());
        }
        assert!(parse(&"x".repeat(65_536)).is_err());
        assert!(check_pointer("time").is_err());
    }
}
