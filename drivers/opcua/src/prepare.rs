//! From a declaration to what can run: distinct nodes, tags with their places in them, and all that is wrong.

use crate::address::{self, NodeName, Step};
use crate::settings::Options;
use gwp_core::manifest::{Place, SettingError};
use gwp_core::source::{GroupDeclaration, PlcType, SourceDeclaration};
use gwp_core::{GroupId, TagId};
use std::collections::HashMap;
use std::sync::Arc;

/// A tag and where its value stands.
#[derive(Clone, Debug)]
pub struct Tag {
    pub id: TagId,
    pub group: GroupId,
    pub plc_type: PlcType,
    pub writable: bool,
    /// Index into the nodes.
    pub node: usize,
    /// From the node's value inwards.
    pub place: Vec<Step>,
}

/// A source's declaration, understood.
#[derive(Debug)]
pub struct Prepared {
    pub name: Arc<str>,
    pub options: Options,
    /// Each once, however many tags are in it.
    pub nodes: Vec<NodeName>,
    /// In the order of the groups and their points.
    pub tags: Vec<Tag>,
    /// Tags of each node, by index.
    pub tags_of: Vec<Vec<usize>>,
    pub groups: Vec<GroupDeclaration>,
}

impl Prepared {
    /// Understands a declaration; every error found goes to the list. Tags with errors are left out, so a
    /// `Prepared` with errors is good for an estimate only.
    pub fn new(declaration: &SourceDeclaration) -> (Prepared, Vec<SettingError>) {
        let mut errors = Vec::new();
        let options = Options::read(declaration, &mut errors);
        let mut prepared = Prepared {
            name: declaration.item.name.clone(),
            options,
            nodes: Vec::new(),
            tags: Vec::new(),
            tags_of: Vec::new(),
            groups: declaration.groups.clone(),
        };
        let mut numbers = HashMap::new();
        for (group, declared) in declaration.groups.iter().enumerate() {
            for (point, (tag, of)) in declared.tags.iter().zip(&declared.points).enumerate() {
                let at = Place::Address { group, point };
                let address = match address::parse(&of.address) {
                    Ok(address) => address,
                    Err(error) => {
                        let (message, help) = (error.message, error.help);
                        errors.push(SettingError { place: at, code: Some("E401"), message, help });
                        continue;
                    }
                };
                if of.writable && !is_writable(&address.place) {
                    errors.push(SettingError {
                        place: at,
                        code: Some("E401"),
                        message: "a part of a structure cannot be written alone".into(),
                        help: "name a node of its own, or one element of an array: `ns=2;s=Steps#/3`".into(),
                    });
                    continue;
                }
                let node = *numbers.entry(address.node.clone()).or_insert_with(|| {
                    prepared.nodes.push(address.node);
                    prepared.tags_of.push(Vec::new());
                    prepared.nodes.len() - 1
                });
                if let Some(tags) = prepared.tags_of.get_mut(node) {
                    tags.push(prepared.tags.len());
                }
                prepared.tags.push(Tag {
                    id: *tag,
                    group: declared.id,
                    plc_type: of.plc_type,
                    writable: of.writable,
                    node,
                    place: address.place,
                });
            }
        }
        (prepared, errors)
    }

    /// Whether a node has tags of numbers only, taken as they are.
    pub fn is_number(&self, node: usize) -> bool {
        let tags = self.tags_of.get(node).into_iter().flatten().filter_map(|tag| self.tags.get(*tag));
        let is_number = |plc_type: PlcType| {
            plc_type.whole_bounds().is_some() || matches!(plc_type, PlcType::Real | PlcType::Lreal)
        };
        tags.into_iter().all(|tag| tag.place.is_empty() && is_number(tag.plc_type))
    }
}

/// The whole value, or an element of an array.
fn is_writable(place: &[Step]) -> bool {
    place.iter().all(|step| step.index.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::SettingValue;
    use gwp_driver_contract::rig::declare;

    #[test]
    fn a_node_is_asked_for_once_and_every_error_is_told() {
        let settings = [("address", SettingValue::Text("opc.tcp://plc:4840".into()))];
        let points = [
            ("ns=2;s=a", PlcType::Dint, false),
            ("ns=2;s=b#/0", PlcType::Lreal, true),
            ("ns=2;s=b#/1", PlcType::Lreal, false),
        ];
        let (prepared, errors) = Prepared::new(&declare(&settings, &[(0, &points)]));
        assert_eq!(errors, []);
        assert_eq!((prepared.nodes.len(), prepared.tags.len()), (2, 3));
        assert_eq!(prepared.tags_of, [vec![0], vec![1, 2]]);
        assert!(prepared.is_number(0) && !prepared.is_number(1));
        let wrong = [("ns=2", PlcType::Dint, false), ("ns=2;s=b#/x", PlcType::Lreal, true)];
        let (_, errors) = Prepared::new(&declare(&[], &[(0, &wrong)]));
        let at = |point| Place::Address { group: 0, point };
        let places: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
        assert_eq!(places, [Place::Setting("address"), at(0), at(1)]);
    }
}
