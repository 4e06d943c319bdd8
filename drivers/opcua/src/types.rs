//! Types of structures, as the server describes them.
//!
//! They are asked for only when an address leads into a structure: the whole tree of types is browsed.

use crate::prepare::Prepared;
use opcua::client::Session;
use opcua::client::custom_types::DataTypeTreeBuilder;
use opcua::types::custom::DynamicTypeLoader;
use std::sync::Arc;
use std::time::Duration;

/// Times the longest answer that browsing all types may take.
const ANSWERS: u32 = 20;

/// Lets the session decode the server's structures, if a tag needs that. Without them such tags are
/// `bad(decoding)`, which is told.
pub async fn load(session: &Session, prepared: &Prepared) {
    let is_wanted = prepared.tags.iter().any(|tag| tag.place.iter().any(|step| step.index.is_none()));
    if !is_wanted {
        return;
    }
    let patience: Duration = prepared.options.timeout.saturating_mul(ANSWERS);
    let built = DataTypeTreeBuilder::new(|node| node.namespace > 0).build(session);
    let why = match tokio::time::timeout(patience, built).await {
        Ok(Ok(tree)) => {
            session.add_type_loader(Arc::new(DynamicTypeLoader::new(Arc::new(tree))));
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
