//! Writing: one value, once, in the type that the node has shown, or that it was asked for before.

use crate::address::Step;
use crate::calls::{Call, What};
use crate::prepare::{Prepared, Tag};
use crate::server::{self, Facts, value_of};
use crate::value::to_variant;
use gwp_core::Value;
use gwp_core::command::{Command, CommandFault};
use gwp_driver_kit::wire_log::WireLog;
use opcua::client::services::Write;
use opcua::client::{Session, UARequest};
use opcua::types::{
    Array, AttributeId, DataValue, NodeId, NumericRange, ReadValueId, StatusCode, Variant,
    VariantScalarTypeId, VariantTypeId, WriteValue,
};

/// The types of nodes as their values in this session have shown them, by number.
#[derive(Debug, Default)]
pub struct Types(Vec<Option<VariantScalarTypeId>>);

impl Types {
    /// A node has this value.
    pub fn shown(&mut self, node: usize, data: &DataValue) {
        if let Some(scalar) = data.value.as_ref().and_then(scalar_of) {
            if self.0.len() <= node {
                self.0.resize(node + 1, None);
            }
            if let Some(known) = self.0.get_mut(node) {
                *known = Some(scalar);
            }
        }
    }

    /// Another session: the nodes may be others.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    fn of(&self, node: usize) -> Option<VariantScalarTypeId> {
        self.0.get(node).copied().flatten()
    }
}

/// Carries out a command and answers it.
pub async fn carry_out(
    session: &Session,
    facts: &Facts,
    prepared: &Prepared,
    types: &Types,
    command: Command,
) {
    let answer = match prepared.tags.iter().find(|tag| tag.id == command.tag && tag.writable) {
        Some(tag) => write(session, facts, prepared, tag, types.of(tag.node), &command).await,
        None => Err(CommandFault::Failed("the tag is not writable".into())),
    };
    command.answer(answer);
}

async fn write(
    session: &Session,
    facts: &Facts,
    prepared: &Prepared,
    tag: &Tag,
    known: Option<VariantScalarTypeId>,
    command: &Command,
) -> Result<(), CommandFault> {
    let failed = CommandFault::Failed;
    let name = prepared.nodes.get(tag.node).ok_or_else(|| failed("the tag has no node".into()))?;
    let node =
        facts.resolve(name).ok_or_else(|| failed(format!("the server has no namespace of `{name}`")))?;
    let wanted = match known {
        Some(known) => known,
        None => ask_for_type(session, &prepared.options.log, facts, &node).await?,
    };
    let written = change(node, wanted, &tag.place, &command.value).map_err(failed)?;
    if command.is_abandoned() {
        return Err(failed("it took too long to ask for the type".into()));
    }
    let call = Call::begin(&prepared.options.log, What("Write, nodes", 1));
    match call.answer(Write::new(session).node(written).send(session.channel()).await) {
        Ok(answer) => outcome(answer.results.unwrap_or_default().first().copied()),
        Err(error) if error.status() == StatusCode::BadNotConnected => {
            Err(failed(crate::dial::NO_CONNECTION.into()))
        }
        Err(error) if is_refusal(error.status()) => {
            Err(failed(format!("the server refuses it: {}", error.status())))
        }
        Err(error) => Err(CommandFault::Unknown(format!("no answer to the write: {}", error.status()))),
    }
}

/// Asks for the type of a node that has not shown it. Nothing is written yet, so any fault leaves the server as it was.
async fn ask_for_type(
    session: &Session,
    log: &WireLog,
    facts: &Facts,
    node: &NodeId,
) -> Result<VariantScalarTypeId, CommandFault> {
    let ids = [value_of(node.clone()), ReadValueId::new(node.clone(), AttributeId::DataType)];
    let read = server::read(session, log, &ids, facts.nodes_per_read).await;
    let read =
        read.map_err(|error| CommandFault::Failed(format!("its type cannot be read: {}", error.status())))?;
    type_of(&read).map_err(CommandFault::Failed)
}

/// What the server says of one write.
fn outcome(status: Option<StatusCode>) -> Result<(), CommandFault> {
    match status {
        None => Err(CommandFault::Unknown("the answer to the write says nothing of it".into())),
        Some(StatusCode::GoodCompletesAsynchronously) => {
            Err(CommandFault::Unknown("the server has taken it and will write it later".into()))
        }
        Some(status) if !status.is_bad() => Ok(()),
        // The server itself does not know what the device has made of it.
        Some(
            status @ (StatusCode::BadTimeout
            | StatusCode::BadCommunicationError
            | StatusCode::BadNoCommunication
            | StatusCode::BadUnexpectedError
            | StatusCode::BadInternalError),
        ) => Err(CommandFault::Unknown(format!("the server says {status}"))),
        Some(status) => Err(CommandFault::Failed(format!("the server refuses it: {status}"))),
    }
}

/// Faults of the request as a whole that come before it is carried out.
const fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadUserAccessDenied
            | StatusCode::BadServiceUnsupported
            | StatusCode::BadTooManyOperations
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionNotActivated
            | StatusCode::BadNothingToDo
    )
}

/// The type that the node has: that of its value, or what its data type is built on.
fn type_of(read: &[DataValue]) -> Result<VariantScalarTypeId, String> {
    let value = read.first();
    if let Some(status) = value.and_then(|data| data.status).filter(|status| status.is_bad())
        && status != StatusCode::BadNotReadable
        && status != StatusCode::BadWaitingForInitialData
    {
        return Err(format!("its type cannot be read: {status}"));
    }
    if let Some(scalar) = value.and_then(|data| data.value.as_ref()).and_then(scalar_of) {
        return Ok(scalar);
    }
    let declared = match read.get(1).and_then(|data| data.value.as_ref()) {
        Some(Variant::NodeId(node)) if node.namespace == 0 => node.as_u32(),
        _ => None,
    };
    // The first 25 data types are the built-in ones (OPC UA Part 6, 5.1.2).
    let built_in = declared.and_then(|number| VariantScalarTypeId::try_from(number).ok());
    built_in.ok_or_else(|| "the node has no value yet, and its type is not a built-in one".into())
}

/// The type of a value, or of the elements of an array.
fn scalar_of(variant: &Variant) -> Option<VariantScalarTypeId> {
    match variant.type_id() {
        VariantTypeId::Scalar(scalar) | VariantTypeId::Array(scalar, _) => Some(scalar),
        VariantTypeId::Empty => None,
    }
}

/// The request that gives a node, or an element of its array, a value.
fn change(
    node: NodeId,
    wanted: VariantScalarTypeId,
    place: &[Step],
    value: &Value,
) -> Result<WriteValue, String> {
    let scalar = to_variant(value, wanted)?;
    let indexes: Vec<u32> = place.iter().filter_map(|step| step.index).collect();
    let (index_range, written) = match indexes.as_slice() {
        [] => (NumericRange::None, scalar),
        // A range is written as an array, also of one element (OPC UA Part 4, 7.27).
        [index] => (NumericRange::Index(*index), array(wanted, scalar, None)?),
        many => {
            let ranges = many.iter().map(|index| NumericRange::Index(*index)).collect();
            (NumericRange::MultipleRanges(ranges), array(wanted, scalar, Some(vec![1; many.len()]))?)
        }
    };
    Ok(WriteValue {
        node_id: node,
        attribute_id: AttributeId::Value as u32,
        index_range,
        // Many servers refuse time stamps and a status in a write.
        value: DataValue { value: Some(written), status: None, ..DataValue::null() },
    })
}

fn array(kind: VariantScalarTypeId, element: Variant, sizes: Option<Vec<u32>>) -> Result<Variant, String> {
    let made = match sizes {
        None => Array::new(kind, vec![element]),
        Some(sizes) => Array::new_multi(kind, vec![element], sizes),
    };
    made.map(Variant::from).map_err(|error| format!("no array of it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_that_of_the_value_or_the_declared_one() {
        let value = DataValue::value_only(5u16);
        let declared = |number: u32| DataValue::value_only(Variant::from(NodeId::new(0, number)));
        assert_eq!(type_of(&[value.clone(), declared(6)]), Ok(VariantScalarTypeId::UInt16));
        assert_eq!(
            type_of(&[DataValue::value_only(vec![1.5f32]), declared(6)]),
            Ok(VariantScalarTypeId::Float)
        );
        assert_eq!(type_of(&[DataValue::null(), declared(6)]), Ok(VariantScalarTypeId::Int32));
        assert!(type_of(&[DataValue::null(), declared(290)]).is_err());
        let unknown = DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() };
        assert!(type_of(&[unknown, declared(6)]).unwrap_err().contains("BadNodeIdUnknown"));
    }

    #[test]
    fn what_the_server_says_is_what_became_of_it() {
        assert_eq!(outcome(Some(StatusCode::Good)), Ok(()));
        assert_eq!(outcome(Some(StatusCode::GoodClamped)), Ok(()));
        let is_unknown = |status| matches!(outcome(status), Err(CommandFault::Unknown(_)));
        assert!(is_unknown(None) && is_unknown(Some(StatusCode::BadTimeout)));
        assert!(is_unknown(Some(StatusCode::GoodCompletesAsynchronously)));
        let refused = outcome(Some(StatusCode::BadNotWritable));
        assert!(matches!(refused, Err(CommandFault::Failed(why)) if why.contains("BadNotWritable")));
    }

    #[test]
    fn an_element_is_written_alone() {
        let place = crate::address::parse("i=1#/3").unwrap().place;
        let written =
            change(NodeId::new(2, "x"), VariantScalarTypeId::Int16, &place, &Value::Int(7)).unwrap();
        assert_eq!(written.index_range, NumericRange::Index(3));
        assert_eq!(written.value.value, Some(Variant::from(vec![7i16])));
        let whole = change(NodeId::new(2, "x"), VariantScalarTypeId::Int16, &[], &Value::Int(7)).unwrap();
        assert_eq!(whole.value.value, Some(Variant::Int16(7)));
        assert!(change(NodeId::new(2, "x"), VariantScalarTypeId::Int16, &[], &Value::Int(40_000)).is_err());
    }
}
