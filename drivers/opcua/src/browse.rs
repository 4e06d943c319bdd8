//! Looking around in the address space of a server, for people: what nodes there are, of which type, and what
//! they hold. Within bounds, in the pieces that the server allows.

mod data;
mod walk;

pub use data::Data;

use opcua::client::Session;
use opcua::types::{Identifier, NodeId, ObjectId, StatusCode};
use std::collections::HashMap;

/// Name of the property of a variable that tells its unit.
pub const ENGINEERING_UNITS: &str = "EngineeringUnits";

/// How far to look.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Levels below the first node.
    pub depth: usize,
    /// Nodes in all.
    pub nodes: usize,
    /// Whether current values are read.
    pub values: bool,
    /// Whether the server's own diagnostics (the object `Server`) and types are looked at.
    pub server: bool,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { depth: 10, nodes: 10_000, values: true, server: false }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its place in [`Tree::nodes`].
    pub parent: Option<usize>,
    pub depth: usize,
    /// Browse name without its namespace.
    pub name: String,
    /// As a program writes it: `nsu=urn:plant;s=Line1.Speed`.
    pub address: String,
    /// What variables have.
    pub data: Option<Data>,
}

/// What was found, each node behind its parent and before the parent's next child.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub nodes: Vec<Found>,
    /// What was left out, in words.
    pub left_out: Vec<String>,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    #[error("the server ended browsing with {0}")]
    Refused(StatusCode),
    #[error("there is no node {0} at the server")]
    NoNode(String),
    #[error("the server has no namespace {uri}; it has: {known}")]
    NoNamespace { uri: String, known: String },
    #[error("`{0}` is no address of a node; write nsu=urn:plant;s=Line1, ns=2;s=Line1 or i=85")]
    Address(String),
}

/// Namespaces of a server, by index.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(HashMap<u16, String>);

impl Namespaces {
    /// Asks the server for them.
    ///
    /// # Errors
    /// It does not tell.
    pub async fn of(session: &Session) -> Result<Namespaces, BrowseError> {
        let map =
            session.read_namespace_array().await.map_err(|error| BrowseError::Refused(error.status()))?;
        Ok(Namespaces(map.known_namespaces().iter().map(|(uri, index)| (*index, uri.clone())).collect()))
    }

    /// A node as a program writes it.
    pub fn address(&self, node: &NodeId) -> String {
        let identifier = &node.identifier;
        // An identifier that contains `#/` has another one behind it, or its rest would be a place in the value.
        let end = match identifier {
            Identifier::String(text) if text.as_ref().contains("#/") => "#/",
            _ => "",
        };
        match (node.namespace, self.0.get(&node.namespace)) {
            (0, _) => format!("{identifier}{end}"),
            (_, Some(uri)) => {
                format!("nsu={};{identifier}{end}", uri.replace('%', "%25").replace(';', "%3B"))
            }
            (index, None) => format!("ns={index};{identifier}{end}"),
        }
    }

    /// The node of an address.
    ///
    /// # Errors
    /// It is none, or its namespace is not there.
    pub fn node(&self, address: &str) -> Result<NodeId, BrowseError> {
        let wrong = || BrowseError::Address(address.into());
        let Some(rest) = address.strip_prefix("nsu=") else {
            return address.parse().map_err(|_| wrong());
        };
        let (uri, identifier) = rest.split_once(';').ok_or_else(wrong)?;
        let uri = uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%");
        let Some(index) = self.0.iter().find(|(_, known)| **known == uri).map(|(index, _)| *index) else {
            let mut known: Vec<&str> = self.0.values().map(String::as_str).collect();
            known.sort_unstable();
            return Err(BrowseError::NoNamespace { uri, known: known.join(", ") });
        };
        format!("ns={index};{identifier}").parse().map_err(|_| wrong())
    }
}

/// Browses from a node (`None`: the folder Objects) downwards.
///
/// # Errors
/// The server refuses, or has no such node.
pub async fn browse(session: &Session, start: Option<&str>, bounds: &Bounds) -> Result<Tree, BrowseError> {
    let namespaces = Namespaces::of(session).await?;
    let start = match start {
        Some(address) => namespaces.node(address)?,
        None => ObjectId::ObjectsFolder.into(),
    };
    let mut walk = walk::walk(session, &namespaces, start, bounds).await?;
    let types = data::read(session, &walk.ids, &mut walk.nodes, bounds.values).await?;
    walk.left_out.extend(types);
    hand_up_units(&mut walk.nodes);
    Ok(Tree { nodes: in_order(walk.nodes), left_out: walk.left_out })
}

/// A variable has the unit that its property `EngineeringUnits` tells (OPC UA Part 8, AnalogItemType).
fn hand_up_units(nodes: &mut [Found]) {
    for index in 0..nodes.len() {
        let node = &mut nodes[index];
        let Some((parent, data)) = node.parent.zip(node.data.as_mut()) else { continue };
        let Some(unit) = data.unit.take() else { continue };
        let is_property = node.name == ENGINEERING_UNITS;
        if let Some(data) = nodes[parent].data.as_mut().filter(|_| is_property) {
            data.unit = Some(unit);
        }
    }
}

/// Puts nodes that were found level by level behind their parents.
fn in_order(nodes: Vec<Found>) -> Vec<Found> {
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        children.entry(node.parent).or_default().push(index);
    }
    let mut nodes: Vec<Option<Found>> = nodes.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(nodes.len());
    // Of each node: its index before, and its parent's index now.
    let mut next: Vec<(usize, Option<usize>)> = vec![];
    let below = |of: Option<usize>, now: Option<usize>| {
        children.get(&of).into_iter().flatten().rev().map(move |index| (*index, now)).collect::<Vec<_>>()
    };
    next.extend(below(None, None));
    while let Some((index, parent)) = next.pop() {
        let Some(mut node) = nodes[index].take() else { continue };
        node.parent = parent;
        next.extend(below(Some(index), Some(ordered.len())));
        ordered.push(node);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, parent: Option<usize>) -> Found {
        Found { parent, depth: 0, name: name.into(), address: String::new(), data: None }
    }

    #[test]
    fn children_stand_behind_their_parents() {
        let levels = vec![
            found("a", None),
            found("b", None),
            found("a1", Some(0)),
            found("b1", Some(1)),
            found("a2", Some(0)),
            found("a1x", Some(2)),
        ];
        let ordered = in_order(levels);
        let names: Vec<&str> = ordered.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["a", "a1", "a1x", "a2", "b", "b1"]);
        let parents: Vec<Option<usize>> = ordered.iter().map(|node| node.parent).collect();
        assert_eq!(parents, [None, Some(0), Some(1), Some(0), None, Some(4)]);
    }

    #[test]
    fn a_property_tells_the_unit_of_its_variable_only() {
        let unit = |name: &str| Some(Data { unit: Some(name.into()), ..Data::default() });
        let mut nodes = vec![
            found("folder", None),
            Found { data: Some(Data::default()), ..found("oil", Some(0)) },
            Found { data: unit("bar"), ..found(ENGINEERING_UNITS, Some(1)) },
            Found { data: unit("kg"), ..found("Other", Some(1)) },
            Found { data: unit("m"), ..found(ENGINEERING_UNITS, Some(0)) },
        ];
        hand_up_units(&mut nodes);
        let units: Vec<Option<&str>> =
            nodes.iter().map(|node| node.data.as_ref().and_then(|data| data.unit.as_deref())).collect();
        assert_eq!(units, [None, Some("bar"), None, None, None]);
    }

    #[test]
    fn addresses_name_the_namespace_and_are_read_again() {
        let known = [(0, "http://opcfoundation.org/UA/"), (2, "urn:a;b%c"), (3, "urn:plant")];
        let namespaces = Namespaces(known.map(|(index, uri)| (index, uri.to_owned())).into());
        for (node, address) in [
            (NodeId::new(3, "Line1.Speed"), "nsu=urn:plant;s=Line1.Speed"),
            (NodeId::new(2, 17u32), "nsu=urn:a%3Bb%25c;i=17"),
            (NodeId::new(0, 2258u32), "i=2258"),
            (NodeId::new(9, "x"), "ns=9;s=x"),
        ] {
            assert_eq!(namespaces.address(&node), address);
            assert_eq!(namespaces.node(address).unwrap(), node);
        }
        assert_eq!(namespaces.address(&NodeId::new(3, "a#/b")), "nsu=urn:plant;s=a#/b#/");
        let error = namespaces.node("nsu=urn:gone;i=1").unwrap_err().to_string();
        assert!(error.contains("no namespace urn:gone") && error.contains("urn:plant"), "{error}");
        assert!(namespaces.node("Line1").is_err());
    }
}
