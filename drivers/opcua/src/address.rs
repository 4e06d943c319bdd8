//! Addresses: a node, and with `#/` behind it a place in its value.
//!
//! ```text
//! nsu=urn:plant:line;s=Line1.Speed            namespace by URI: stays right when a server reorders its table
//! ns=2;s=Line1.Speed                          namespace by index
//! ns=2;s=Line1.Steps#/3/temperature           element 3 of an array, its field `temperature`
//! ```
//! Sources: OPC UA Part 6, 5.3.1.10 and 5.3.1.11 (NodeId and ExpandedNodeId as text, `nsu=` with `;` as `%3B` and
//! `%` as `%25`); RFC 6901 for what stands behind `#/`.

use crate::limits::{ADDRESS_BYTES_MAX, PLACE_DEPTH_MAX};
use opcua::types::{ByteString, Guid, Identifier, UAString};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A node as a program names it. Its index at the server is looked up on each connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeName {
    pub namespace: Namespace,
    pub identifier: Identifier,
}

/// A namespace of a server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Namespace {
    Uri(Arc<str>),
    Index(u16),
}

/// One step into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Name of a field.
    pub name: Box<str>,
    /// The same as an index of an array, when it is a number.
    pub index: Option<u32>,
}

/// One parsed address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub node: NodeName,
    /// From the node's value inwards; empty = the value itself.
    pub place: Vec<Step>,
}

/// What is wrong with an address, and its mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError {
    pub message: String,
    pub help: String,
}

const FORMS: &str = "write `nsu=urn:plant:line;s=Line1.Speed` or `ns=2;s=Line1.Speed`; the identifier is `s=` text, \
                     `i=` number, `g=` GUID or `b=` Base64";

fn wrong(message: impl Into<String>, help: impl Into<String>) -> AddressError {
    AddressError { message: message.into(), help: help.into() }
}

/// Parses an address.
///
/// # Errors
/// What is wrong, with the form that would be right.
pub fn parse(address: &str) -> Result<Address, AddressError> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(wrong(format!("an address has up to {ADDRESS_BYTES_MAX} bytes"), FORMS));
    }
    // The last one: an identifier with `#/` of its own is told from a place by a further `#/` behind it.
    let (node, place) = match address.rsplit_once("#/") {
        Some((node, place)) => (node, steps(place)?),
        None => (address, Vec::new()),
    };
    let (namespace, identifier) = if let Some(rest) = node.strip_prefix("nsu=") {
        let (uri, identifier) =
            rest.split_once(';').ok_or_else(|| wrong("behind the namespace stands no `;`", FORMS))?;
        (Namespace::Uri(uri_of(uri)?.into()), identifier)
    } else if let Some(rest) = node.strip_prefix("ns=") {
        let (index, identifier) =
            rest.split_once(';').ok_or_else(|| wrong("behind the namespace stands no `;`", FORMS))?;
        let number = index.parse().ok().filter(|_| index.bytes().all(|byte| byte.is_ascii_digit()));
        let help = "an index is a number up to 65535; a namespace by its name is `nsu=`";
        (
            Namespace::Index(
                number.ok_or_else(|| wrong(format!("`{index}` is no index of a namespace"), help))?,
            ),
            identifier,
        )
    } else {
        (Namespace::Index(0), node)
    };
    Ok(Address { node: NodeName { namespace, identifier: identifier_of(identifier)? }, place })
}

fn uri_of(written: &str) -> Result<String, AddressError> {
    if written.is_empty() {
        return Err(wrong("the namespace is empty", FORMS));
    }
    let mut uri = String::new();
    let mut parts = written.split('%');
    uri.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // Other escapes belong to the URI itself.
        match (part.get(..2).map(str::to_ascii_uppercase).as_deref(), part.get(2..)) {
            (Some("3B"), Some(rest)) => uri.extend([";", rest]),
            (Some("25"), Some(rest)) => uri.extend(["%", rest]),
            _ => uri.extend(["%", part]),
        }
    }
    Ok(uri)
}

fn identifier_of(written: &str) -> Result<Identifier, AddressError> {
    let (kind, text) = written
        .split_once('=')
        .filter(|(kind, _)| matches!(*kind, "i" | "s" | "g" | "b"))
        .ok_or_else(|| wrong(format!("`{written}` is no identifier of a node"), FORMS))?;
    match kind {
        "i" => {
            let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
            let help = "write `i=` and a whole number up to 4294967295; a text is `s=`";
            number.map(Identifier::Numeric).ok_or_else(|| wrong(format!("`{text}` is no number"), help))
        }
        "g" => {
            let help = "write `g=72962b91-fa75-4ae6-8d28-b404dc7daf63`";
            Guid::from_str(text)
                .map(Identifier::Guid)
                .map_err(|_| wrong(format!("`{text}` is no GUID"), help))
        }
        "b" => {
            let help = "write `b=` and the bytes in Base64";
            let bytes = ByteString::from_base64(text).filter(|bytes| !bytes.is_null_or_empty());
            bytes.map(Identifier::ByteString).ok_or_else(|| wrong(format!("`{text}` is no Base64"), help))
        }
        _ if text.is_empty() => Err(wrong("the identifier is empty", FORMS)),
        _ => Ok(Identifier::String(UAString::from(text))),
    }
}

/// `3/temperature`, escaped as RFC 6901 says; nothing is the value itself.
fn steps(place: &str) -> Result<Vec<Step>, AddressError> {
    if place.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = place.split('/').collect();
    if parts.len() > PLACE_DEPTH_MAX {
        return Err(wrong(
            format!("a place has up to {PLACE_DEPTH_MAX} steps"),
            "name a node that is nearer to it",
        ));
    }
    let step = |part: &str| {
        if part.is_empty() {
            let help = "write an index or the name of a field between two `/`";
            return Err(wrong(format!("`#/{place}` has an empty step"), help));
        }
        if part.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            let help = "write `~0` for `~` and `~1` for `/`";
            return Err(wrong(format!("`~` stands alone in `#/{place}`"), help));
        }
        let index = part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        Ok(Step { name: part.replace("~1", "/").replace("~0", "~").into(), index })
    };
    parts.into_iter().map(step).collect()
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Namespace::Uri(uri) => {
                write!(f, "nsu={};{}", uri.replace('%', "%25").replace(';', "%3B"), self.identifier)
            }
            Namespace::Index(0) => write!(f, "{}", self.identifier),
            Namespace::Index(index) => write!(f, "ns={index};{}", self.identifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> (Namespace, Identifier) {
        let address = parse(text).unwrap();
        (address.node.namespace, address.node.identifier)
    }

    #[test]
    fn every_kind_of_identifier_in_every_kind_of_namespace() {
        let uri = |text: &str| Namespace::Uri(text.into());
        assert_eq!(
            node("nsu=urn:plant;s=Line1.Speed"),
            (uri("urn:plant"), Identifier::String("Line1.Speed".into()))
        );
        assert_eq!(node("ns=2;i=4711"), (Namespace::Index(2), Identifier::Numeric(4711)));
        assert_eq!(node("i=2258"), (Namespace::Index(0), Identifier::Numeric(2258)));
        assert_eq!(node("nsu=a%3Bb%25c%20d;i=1"), (uri("a;b%c%20d"), Identifier::Numeric(1)));
        let guid = Guid::from_str("72962b91-fa75-4ae6-8d28-b404dc7daf63").unwrap();
        assert_eq!(
            node("ns=1;g=72962B91-FA75-4AE6-8D28-B404DC7DAF63"),
            (Namespace::Index(1), Identifier::Guid(guid))
        );
        assert_eq!(node("ns=1;b=AQID"), (Namespace::Index(1), Identifier::ByteString(vec![1, 2, 3].into())));
        assert_eq!(
            node("ns=3;s=\"DB 1\".\"a;b=c\"[0]"),
            (Namespace::Index(3), Identifier::String("\"DB 1\".\"a;b=c\"[0]".into()))
        );
    }

    #[test]
    fn a_place_stands_behind_the_last_hash_and_slash() {
        let place = |text: &str| -> Vec<(String, Option<u32>)> {
            let steps = parse(text).unwrap().place;
            steps.into_iter().map(|step| (step.name.into(), step.index)).collect()
        };
        assert_eq!(place("ns=2;s=a"), []);
        assert_eq!(place("ns=2;s=a#/3/speed~1max"), [("3".into(), Some(3)), ("speed/max".into(), None)]);
        assert_eq!(node("ns=2;s=a#/b#/").1, Identifier::String("a#/b".into()));
        assert_eq!(place("ns=2;s=a#/b#/"), []);
    }

    #[test]
    fn what_is_no_address_is_told() {
        for (text, message) in [
            ("", "`` is no identifier of a node"),
            ("Line1.Speed", "`Line1.Speed` is no identifier"),
            ("ns=2", "behind the namespace stands no `;`"),
            ("ns=x;i=1", "`x` is no index"),
            ("ns=+2;i=1", "`+2` is no index"),
            ("ns=70000;i=1", "`70000` is no index"),
            ("nsu=;i=1", "the namespace is empty"),
            ("nsu=urn:a", "behind the namespace"),
            ("ns=2;s=", "the identifier is empty"),
            ("ns=2;i=-1", "`-1` is no number"),
            ("ns=2;i=4294967296", "`4294967296` is no number"),
            ("ns=2;g=12", "`12` is no GUID"),
            ("ns=2;b=###", "`###` is no Base64"),
            ("ns=2;x=1", "`x=1` is no identifier"),
            ("ns=2;s=a#/1//2", "`#/1//2` has an empty step"),
            ("ns=2;s=a#/x~y", "`~` stands alone"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert!(!error.help.is_empty());
        }
        assert!(parse(&format!("s={}", "x".repeat(5_000))).is_err());
        assert!(parse(&format!("s=x#/{}", "1/".repeat(40))).is_err());
    }

    #[test]
    fn a_name_is_written_as_it_is_read() {
        for text in ["nsu=a%3Bb;s=x", "ns=2;i=5", "i=84", "ns=1;b=AQID"] {
            assert_eq!(
                parse(&parse(text).unwrap().node.to_string()).unwrap(),
                parse(text).unwrap(),
                "{text}"
            );
        }
    }
}
