//! What variables hold: type, access, value.

use super::{BrowseError, Found};
use crate::security::printable;
use gwp_core::source::PlcType;
use opcua::client::Session;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, DataValue, EUInformation, Identifier, NodeId,
    ReadValueId, ReferenceTypeId, StatusCode, TimestampsToReturn, Variant,
};
use std::collections::HashMap;

/// Variables that are read in one request.
const VARIABLES_PER_REQUEST: usize = 100;
/// Elements of an array, and characters of a value, that are shown.
const SHOWN_ELEMENTS: usize = 8;
const SHOWN_CHARS: usize = 60;
/// Types above a type, until one that is built in.
const SUPERTYPES_MAX: usize = 12;
/// Types of a server that are looked up.
const TYPES_MAX: usize = 2_000;

/// What a variable holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data {
    /// Type of a tag for it, or for an element; `None` where no tag can hold it (structures).
    pub plc_type: Option<PlcType>,
    /// The built-in type of the standard: `Double`.
    pub type_name: String,
    /// Number of dimensions; 0 for a single value, `None` where the server leaves it open.
    pub dimensions: Option<usize>,
    /// Elements of an array with one dimension: of its current value, else as many as it may have.
    pub length: Option<usize>,
    /// Engineering unit of the value, by its display name.
    pub unit: Option<String>,
    pub readable: bool,
    pub writable: bool,
    /// The current value as text, or the status in its place.
    pub value: Option<String>,
}

/// Fills in the data of all variables. Answers what could not be found out.
pub async fn read(
    session: &Session,
    ids: &[NodeId],
    nodes: &mut [Found],
    values: bool,
) -> Result<Vec<String>, BrowseError> {
    let variables: Vec<usize> = (0..nodes.len()).filter(|index| nodes[*index].data.is_some()).collect();
    let mut types = Types::default();
    let mut step = VARIABLES_PER_REQUEST;
    let mut with_values = values;
    let mut left_out = Vec::new();
    let mut at = 0;
    while at < variables.len() {
        let chunk = &variables[at..(at + step).min(variables.len())];
        let attributes = attributes(with_values);
        let wanted: Vec<ReadValueId> = chunk
            .iter()
            .flat_map(|index| {
                attributes.iter().map(|attribute| ReadValueId::new(ids[*index].clone(), *attribute))
            })
            .collect();
        let answers = match session.read(&wanted, TimestampsToReturn::Neither, 0.0).await {
            Ok(answers) if answers.len() == wanted.len() => answers,
            Err(_) if step > 1 => {
                step = step.div_ceil(2);
                continue;
            }
            // One variable alone: its value is what cannot be read.
            Err(_) if with_values => {
                with_values = false;
                left_out.push(format!("the value of {} and of those behind it", nodes[chunk[0]].address));
                continue;
            }
            Ok(_) => return Err(BrowseError::Refused(StatusCode::BadUnknownResponse)),
            Err(error) => return Err(BrowseError::Refused(error.status())),
        };
        for (index, of_one) in chunk.iter().zip(answers.chunks(attributes.len())) {
            nodes[*index].data = Some(types.data(session, of_one).await);
        }
        at += chunk.len();
    }
    Ok(left_out)
}

fn attributes(values: bool) -> Vec<AttributeId> {
    let always = [
        AttributeId::DataType,
        AttributeId::ValueRank,
        AttributeId::UserAccessLevel,
        AttributeId::ArrayDimensions,
    ];
    always.into_iter().chain(values.then_some(AttributeId::Value)).collect()
}

/// Types of a server that were looked up.
#[derive(Default)]
struct Types(HashMap<NodeId, Option<u32>>);

impl Types {
    /// What the attributes of a variable say, in the order of [`attributes`].
    async fn data(&mut self, session: &Session, attributes: &[DataValue]) -> Data {
        let value = |index: usize| attributes.get(index).and_then(|data| data.value.as_ref());
        let held = value(4);
        let builtin = match value(0) {
            Some(Variant::NodeId(node)) => self.builtin(session, node).await,
            _ => None,
        };
        // A type that says nothing is told by the value.
        let builtin = match (builtin, held) {
            (None | Some(24), Some(held)) => builtin_of_value(held).or(builtin),
            _ => builtin,
        };
        let rank = match value(1) {
            Some(Variant::Int32(rank)) => Some(*rank),
            _ => None,
        };
        let access = match value(2) {
            Some(Variant::Byte(access)) => *access,
            _ => 0,
        };
        let (plc_type, type_name) = builtin.map_or((None, "unknown"), known);
        let dimensions = match rank {
            Some(-1) => Some(0),
            Some(rank) if rank > 0 => usize::try_from(rank).ok(),
            _ => held.map(dimensions),
        };
        Data {
            plc_type,
            type_name: type_name.into(),
            dimensions,
            length: if dimensions == Some(1) { length(held, value(3)) } else { None },
            unit: held.and_then(unit),
            readable: access & 1 != 0,
            writable: access & 2 != 0,
            value: attributes.get(4).map(shown),
        }
    }

    /// The built-in type that a type is made of.
    async fn builtin(&mut self, session: &Session, of: &NodeId) -> Option<u32> {
        let mut node = of.clone();
        let mut found = None;
        for _ in 0..SUPERTYPES_MAX {
            if let (0, Identifier::Numeric(number)) = (node.namespace, &node.identifier)
                && *number <= 29
            {
                found = Some(*number);
                break;
            }
            if let Some(known) = self.0.get(&node) {
                found = *known;
                break;
            }
            let Some(above) = supertype(session, &node).await else { break };
            node = above;
        }
        if self.0.len() < TYPES_MAX {
            self.0.insert(of.clone(), found);
        }
        found
    }
}

async fn supertype(session: &Session, node: &NodeId) -> Option<NodeId> {
    let description = BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Inverse,
        reference_type_id: ReferenceTypeId::HasSubtype.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: 0,
    };
    let answer = session.browse(&[description], 1, None).await.ok()?.into_iter().next()?;
    Some(answer.references?.into_iter().next()?.node_id.node_id)
}

/// Tag type and name of the built-in types (OPC UA Part 6, 5.1.2) and of the abstract ones above them.
fn known(number: u32) -> (Option<PlcType>, &'static str) {
    match number {
        1 => (Some(PlcType::Bool), "Boolean"),
        2 => (Some(PlcType::Sint), "SByte"),
        3 => (Some(PlcType::Usint), "Byte"),
        4 => (Some(PlcType::Int), "Int16"),
        5 => (Some(PlcType::Uint), "UInt16"),
        6 => (Some(PlcType::Dint), "Int32"),
        7 => (Some(PlcType::Udint), "UInt32"),
        8 => (Some(PlcType::Lint), "Int64"),
        9 => (Some(PlcType::Ulint), "UInt64"),
        10 => (Some(PlcType::Real), "Float"),
        11 => (Some(PlcType::Lreal), "Double"),
        12 => (Some(PlcType::String), "String"),
        13 => (Some(PlcType::Time), "DateTime"),
        14 => (Some(PlcType::String), "Guid"),
        15 => (Some(PlcType::String), "ByteString"),
        16 => (Some(PlcType::String), "XmlElement"),
        17 => (Some(PlcType::String), "NodeId"),
        18 => (Some(PlcType::String), "ExpandedNodeId"),
        19 => (Some(PlcType::Dword), "StatusCode"),
        20 => (Some(PlcType::String), "QualifiedName"),
        21 => (Some(PlcType::String), "LocalizedText"),
        22 => (None, "Structure"),
        26 => (Some(PlcType::Lreal), "Number"),
        27 => (Some(PlcType::Lint), "Integer"),
        28 => (Some(PlcType::Ulint), "UInteger"),
        29 => (Some(PlcType::Dint), "Enumeration"),
        _ => (None, "BaseDataType"),
    }
}

fn builtin_of_value(value: &Variant) -> Option<u32> {
    let scalar = match value {
        Variant::Array(array) => array.values.first()?,
        other => other,
    };
    let id = match scalar {
        Variant::Boolean(_) => 1,
        Variant::SByte(_) => 2,
        Variant::Byte(_) => 3,
        Variant::Int16(_) => 4,
        Variant::UInt16(_) => 5,
        Variant::Int32(_) => 6,
        Variant::UInt32(_) => 7,
        Variant::Int64(_) => 8,
        Variant::UInt64(_) => 9,
        Variant::Float(_) => 10,
        Variant::Double(_) => 11,
        Variant::String(_) => 12,
        Variant::DateTime(_) => 13,
        Variant::LocalizedText(_) => 21,
        Variant::ExtensionObject(_) => 22,
        _ => return None,
    };
    Some(id)
}

fn dimensions(value: &Variant) -> usize {
    match value {
        Variant::Array(array) => array.dimensions.as_ref().map_or(1, |all| all.len().max(1)),
        _ => 0,
    }
}

/// Elements of an array with one dimension, by its value and by what its variable declares: 0 leaves that open.
fn length(held: Option<&Variant>, declared: Option<&Variant>) -> Option<usize> {
    let held = match held {
        Some(Variant::Array(array)) => array.values.len(),
        _ => 0,
    };
    let declared = match declared {
        Some(Variant::Array(array)) => match array.values.as_slice() {
            [Variant::UInt32(length)] => *length as usize,
            _ => 0,
        },
        _ => 0,
    };
    [held, declared].into_iter().find(|length| *length > 0)
}

/// The display name of an engineering unit (OPC UA Part 8, EUInformation).
fn unit(value: &Variant) -> Option<String> {
    let Variant::ExtensionObject(object) = value else { return None };
    let name = printable(object.inner_as::<EUInformation>()?.display_name.text.as_ref());
    Some(name.chars().take(SHOWN_CHARS).collect()).filter(|name: &String| !name.trim().is_empty())
}

/// A value on one line, cut where it is long.
fn shown(data: &DataValue) -> String {
    let status = data.status.unwrap_or(StatusCode::Good);
    let text = match &data.value {
        _ if status.is_bad() => format!("({status})"),
        None | Some(Variant::Empty) => "(nothing)".into(),
        Some(Variant::Array(array)) => {
            let mut all: Vec<String> = array.values.iter().take(SHOWN_ELEMENTS).map(scalar).collect();
            if array.values.len() > SHOWN_ELEMENTS {
                all.push(format!(".. {} in all", array.values.len()));
            }
            format!("[{}]", all.join(", "))
        }
        Some(value) => scalar(value),
    };
    let text = printable(&text);
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    text.chars().take(SHOWN_CHARS - 2).chain("..".chars()).collect()
}

fn scalar(value: &Variant) -> String {
    match value {
        Variant::String(text) => format!("\"{}\"", text.as_ref()),
        Variant::LocalizedText(text) => format!("\"{}\"", text.text.as_ref()),
        Variant::QualifiedName(name) => format!("\"{}\"", name.name.as_ref()),
        Variant::XmlElement(element) => element.to_string(),
        Variant::StatusCode(status) => status.to_string(),
        Variant::ByteString(bytes) => {
            let bytes: &[u8] = bytes.as_ref();
            bytes.iter().take(SHOWN_CHARS / 2).map(|byte| format!("{byte:02x}")).collect()
        }
        Variant::ExtensionObject(_) => unit(value).unwrap_or_else(|| "{..}".into()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{ExtensionObject, LocalizedText};

    #[test]
    fn values_are_shown_on_a_line() {
        let text = |value: Variant| shown(&DataValue::value_only(value));
        assert_eq!(text(2.25f64.into()), "2.25");
        assert_eq!(text("a\nb".into()), "\"a?b\"");
        assert_eq!(text(vec![1i32, -2, 3].into()), "[1, -2, 3]");
        assert_eq!(text((0..20).collect::<Vec<i32>>().into()), "[0, 1, 2, 3, 4, 5, 6, 7, .. 20 in all]");
        assert_eq!(text(Variant::Empty), "(nothing)");
        assert_eq!(text("x".repeat(500).into()).chars().count(), SHOWN_CHARS);
        let bad = DataValue { status: Some(StatusCode::BadNotReadable), ..Default::default() };
        assert_eq!(shown(&bad), "(BadNotReadable)");
    }

    #[test]
    fn every_built_in_type_has_a_tag_type_that_holds_it() {
        for number in 1..=21 {
            assert!(known(number).0.is_some(), "{number}");
        }
        assert_eq!(known(22), (None, "Structure"));
        assert_eq!(builtin_of_value(&vec![1.5f32].into()), Some(10));
        assert_eq!(dimensions(&vec![1i32].into()), 1);
    }

    #[test]
    fn an_array_is_as_long_as_its_value_else_as_declared() {
        let (held, most): (Variant, Variant) = (vec![1.5f64, 2.5].into(), vec![8u32].into());
        assert_eq!(length(Some(&held), Some(&most)), Some(2));
        assert_eq!(length(Some(&Variant::Empty), Some(&most)), Some(8));
        assert_eq!(length(None, Some(&most)), Some(8));
        let (open, two): (Variant, Variant) = (vec![0u32].into(), vec![2u32, 3].into());
        assert_eq!(length(None, Some(&open)), None);
        assert_eq!(length(None, Some(&two)), None);
        assert_eq!(length(Some(&Vec::<f64>::new().into()), None), None);
    }

    #[test]
    fn an_engineering_unit_has_a_name() {
        let of = |name: &str| {
            let display_name = LocalizedText::new("en", name);
            let information = EUInformation { display_name, ..Default::default() };
            Variant::from(ExtensionObject::from_message(information))
        };
        assert_eq!(unit(&of("°C")).as_deref(), Some("°C"));
        assert_eq!(unit(&of("a\nb")).as_deref(), Some("a?b"));
        assert_eq!(unit(&of(&"x".repeat(500))).map(|name| name.len()), Some(SHOWN_CHARS));
        assert_eq!(unit(&of(" ")), None);
        assert_eq!(unit(&1.5f64.into()), None);
        assert_eq!(shown(&DataValue::value_only(of("m³/h"))), "m³/h");
    }
}
