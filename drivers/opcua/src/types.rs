//! Types of structures, as the server describes them.
//!
//! They are asked for only when an address leads into a structure: the whole tree of types is browsed. Structures of
//! the standard itself are then decoded by the server's description, too, and not into the types that the library has
//! for them, whose fields have no names; except those that the driver reads as what they are.

use crate::prepare::Prepared;
use opcua::client::Session;
use opcua::client::custom_types::DataTypeTreeBuilder;
use opcua::types::custom::DynamicTypeLoader;
use opcua::types::{
    Context, DataTypeId, DynEncodable, EncodingResult, FallbackTypeLoader, GeneratedTypeLoader, NodeId,
    TypeLoader, TypeLoaderCollection, TypeLoaderPriority,
};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Times the longest answer that browsing all types may take.
const ANSWERS: u32 = 20;

/// What the driver, or the library, takes as a type of its own.
const OWN: [DataTypeId; 8] = [
    DataTypeId::DataChangeNotification,
    DataTypeId::EventNotificationList,
    DataTypeId::StatusChangeNotification,
    DataTypeId::HistoryData,
    DataTypeId::HistoryModifiedData,
    DataTypeId::HistoryEvent,
    DataTypeId::StructureDefinition,
    DataTypeId::EnumDefinition,
];

/// Goes before the types of the library.
struct First(DynamicTypeLoader);

impl TypeLoader for First {
    fn load_from_binary(
        &self,
        node_id: &NodeId,
        stream: &mut dyn Read,
        ctx: &Context<'_>,
        length: Option<usize>,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        self.0.load_from_binary(node_id, stream, ctx, length)
    }

    fn priority(&self) -> TypeLoaderPriority {
        TypeLoaderPriority::Core
    }
}

/// Whether a type is decoded by what the server says of it.
fn is_described(node: &NodeId) -> bool {
    node.namespace > 0 || OWN.iter().all(|own| *node != *own)
}

/// Lets the session decode the server's structures, if a tag needs that. Without them such tags are
/// `bad(decoding)`, which is told.
pub async fn load(session: &Session, prepared: &Prepared) {
    let is_wanted = prepared.tags.iter().any(|tag| tag.place.iter().any(|step| step.index.is_none()));
    if !is_wanted {
        return;
    }
    let patience: Duration = prepared.options.timeout.saturating_mul(ANSWERS);
    let built = DataTypeTreeBuilder::new(is_described).build(session);
    let why = match tokio::time::timeout(patience, built).await {
        Ok(Ok(tree)) => {
            let mut loaders = TypeLoaderCollection::new_empty();
            loaders.add_type_loader(First(DynamicTypeLoader::new(Arc::new(tree))));
            // Of the same rank: in the order in which they are added.
            loaders.add_type_loader(GeneratedTypeLoader);
            loaders.add_type_loader(FallbackTypeLoader);
            *session.encoding_context().write().loaders_mut() = loaders;
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".into(),
    };
    tracing::warn!(
        source = %prepared.name,
        why,
        "the server does not give its types: fields of structures are bad(decoding)"
    );
}
