//! Whatever a server sends: it is decoded or refused, within the bounds that the driver gives the library; what a value
//! says of a tag is good and has a value, or is bad with the reason and has none; numbers of notifications are asked
//! for, acknowledged and remembered within bounds, whatever their order. And whatever is written as an address: it is
//! one, or it is refused.
//!
//! The pure modules of the driver are compiled here by themselves, so that the driver need not publish its insides.
//!
//! Input: one byte for what it is, the rest is that.
#![no_main]

#[path = "../src/address.rs"]
mod address;
#[path = "../src/limits.rs"]
#[allow(dead_code)]
mod limits;
#[path = "../src/sequence.rs"]
#[allow(dead_code)]
mod sequence;
#[path = "../src/value.rs"]
#[allow(dead_code)]
mod value;

use address::Step;
use gwp_core::Value;
use gwp_core::source::PlcType;
use libfuzzer_sys::fuzz_target;
use opcua::core::ResponseMessage;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::message_chunk::MessageChunk;
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::sync::RwLock;
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::types::{
    BinaryDecodable, BrowseResponse, ContextOwned, DataChangeNotification, DataValue, DecodingOptions,
    MessageSecurityMode, PublishResponse, ReadResponse, RepublishResponse, SimpleBinaryDecodable,
    VariantScalarTypeId,
};
use sequence::Sequence;
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|input: &[u8]| {
    let Some((what, mut bytes)) = input.split_first() else { return };
    let context = ContextOwned::new_default(Default::default(), options());
    let context = context.context();
    match what % 7 {
        0 => parse(bytes),
        1 => {
            if let Ok(data) = DataValue::decode(&mut bytes, &context) {
                readings(&data);
            }
        }
        2 => {
            if let Ok(answer) = PublishResponse::decode(&mut bytes, &context) {
                notification(answer.notification_message.notification_data);
            }
        }
        3 => {
            if let Ok(answer) = RepublishResponse::decode(&mut bytes, &context) {
                notification(answer.notification_message.notification_data);
            }
        }
        4 => {
            if let Ok(answer) = ReadResponse::decode(&mut bytes, &context) {
                answer.results.iter().flatten().for_each(readings);
            }
            let _ = BrowseResponse::decode(&mut bytes, &context);
        }
        5 => frames(bytes),
        _ => numbers(bytes),
    }
});

/// As strict as the driver's.
fn options() -> DecodingOptions {
    DecodingOptions {
        max_message_size: 64 << 20,
        max_chunk_count: (64 << 20) / 8_192,
        max_string_length: 16 << 20,
        max_byte_string_length: 16 << 20,
        max_array_length: 1 << 20,
        ..DecodingOptions::default()
    }
}

fn parse(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(address) = address::parse(text)
    {
        assert!(address.place.len() <= limits::PLACE_DEPTH_MAX);
        // An identifier may have `#/` in it; the last one begins the place.
        let node = format!("{}#/", address.node);
        assert_eq!(address::parse(&node).map(|again| again.node), Ok(address.node), "{node}");
    }
}

/// What it says of a tag of each type, at some places in it.
fn readings(data: &DataValue) {
    let step = |name: &str| Step { name: name.into(), index: name.parse().ok() };
    for place in [&[][..], &[step("0")], &[step("1"), step("2")], &[step("a"), step("0")]] {
        for plc_type in PlcType::ALL {
            let reading = value::reading(data, place, plc_type);
            assert_eq!(reading.value == Value::Nothing, reading.quality.is_bad());
            for wanted in [VariantScalarTypeId::Byte, VariantScalarTypeId::Float, VariantScalarTypeId::String] {
                let _ = value::to_variant(&reading.value, wanted);
            }
        }
    }
}

fn notification(data: Option<Vec<opcua::types::ExtensionObject>>) {
    for object in data.iter().flatten() {
        if let Some(change) = object.inner_as::<DataChangeNotification>() {
            change.monitored_items.iter().flatten().for_each(|item| readings(&item.value));
        }
    }
}

/// Frames as they come on a channel without security.
fn frames(mut bytes: &[u8]) {
    let store = Arc::new(RwLock::new(CertificateStore::new(Path::new("no such folder"))));
    let mut channel = SecureChannel::new(store, Role::Client, Arc::default());
    channel.set_security_policy(SecurityPolicy::None);
    channel.set_security_mode(MessageSecurityMode::None);
    let mut chunks = Vec::new();
    while let Ok(chunk) = <MessageChunk as SimpleBinaryDecodable>::decode(&mut bytes, &options()) {
        if chunk.chunk_info(&channel).is_err() || bytes.is_empty() {
            break;
        }
        chunks.push(chunk);
    }
    if !chunks.is_empty() {
        let _ = Chunker::validate_chunks(&channel, &chunks);
        let _: Result<ResponseMessage, _> = Chunker::decode(&chunks, &channel, None);
    }
}

/// Five bytes each: what happens, and to which number.
fn numbers(bytes: &[u8]) {
    let mut sequence = Sequence::default();
    let mut known = Vec::new();
    for step in bytes.chunks_exact(5) {
        let number = u32::from_le_bytes([step[1], step[2], step[3], step[4]]);
        match step[0] % 6 {
            0 => {
                sequence.arrived(number, &known);
                known.push(number);
                known.truncate(16);
            }
            1 => sequence.stored(number),
            2 => sequence.unavailable(number),
            3 => sequence.not_acknowledged([number]),
            4 => assert!(sequence.kept_alive(number).len() <= limits::GAP_MAX as usize),
            _ => assert!(sequence.resumed(&known).len() <= limits::REMEMBERED_MAX),
        }
        assert!(sequence.missing().len() <= limits::REMEMBERED_MAX + limits::GAP_MAX as usize);
        assert!(sequence.acknowledgements().len() <= limits::ACKS_PER_PUBLISH);
    }
}
