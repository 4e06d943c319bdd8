//! A small OPC UA server without security: two numbers in the namespace `urn:device`, read and written.

use gwp_driver_contract::{Behaviour, Device};
use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::message_chunk::MessageChunk;
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::comms::tcp_types::AcknowledgeMessage;
use opcua::core::sync::RwLock;
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::types::*;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, DuplexStream};

/// Bytes of a frame at most.
const FRAME_MAX: usize = 65_536;

/// Serves one connection until it ends.
pub async fn serve(mut stream: DuplexStream, device: Arc<Device>) {
    // It has no certificate, and needs none.
    let store = Arc::new(RwLock::new(CertificateStore::new(Path::new("no such folder"))));
    let mut channel = SecureChannel::new(store, Role::Server, Arc::default());
    channel.set_security_policy(SecurityPolicy::None);
    channel.set_security_mode(MessageSecurityMode::None);
    let mut out = SendBuffer::new(FRAME_MAX, 0, 0, true);
    while let Some(frame) = frame(&mut stream).await {
        match frame.get(..3) {
            Some(b"HEL") => {
                out.write_ack(AcknowledgeMessage::new(0, FRAME_MAX as u32, FRAME_MAX as u32, 0, 0));
            }
            Some(b"OPN" | b"MSG") => {
                let Some((id, response)) = answer(&frame, &mut channel, &device) else { return };
                out.write(id, response, &channel).expect("it is encoded");
            }
            _ => return,
        }
        while out.should_encode_chunks() || out.can_read() {
            if out.should_encode_chunks() {
                out.encode_next_chunk(&channel).expect("it is encoded");
            }
            if out.read_into_async(&mut stream).await.is_err() {
                return;
            }
        }
    }
}

/// The next frame with its header: three letters, one more, and its length.
async fn frame(stream: &mut DuplexStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 8];
    stream.read_exact(&mut frame).await.ok()?;
    let length = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
    frame.resize(length.clamp(8, FRAME_MAX), 0);
    stream.read_exact(frame.get_mut(8..)?).await.ok()?;
    Some(frame)
}

fn answer(frame: &[u8], channel: &mut SecureChannel, device: &Device) -> Option<(u32, ResponseMessage)> {
    let chunk =
        <MessageChunk as SimpleBinaryDecodable>::decode(&mut &frame[..], &channel.decoding_options()).ok()?;
    let id = chunk.chunk_info(channel).ok()?.sequence_header.request_id;
    let request: RequestMessage = Chunker::decode(&[chunk], channel, None).ok()?;
    let response_header = ResponseHeader::new_good(request.request_header());
    let response: ResponseMessage = match request {
        RequestMessage::OpenSecureChannel(_) => {
            let created_at = DateTime::now();
            let security_token =
                ChannelSecurityToken { channel_id: 1, token_id: 1, created_at, revised_lifetime: 3_600_000 };
            channel.set_security_token(security_token.clone());
            OpenSecureChannelResponse {
                response_header,
                server_protocol_version: 0,
                security_token,
                server_nonce: ByteString::null(),
            }
            .into()
        }
        RequestMessage::GetEndpoints(request) => {
            let endpoints = Some(vec![endpoint(request.endpoint_url)]);
            GetEndpointsResponse { response_header, endpoints }.into()
        }
        RequestMessage::CreateSession(request) => CreateSessionResponse {
            response_header,
            session_id: NodeId::new(1, 1u32),
            authentication_token: NodeId::new(1, 2u32),
            revised_session_timeout: request.requested_session_timeout,
            server_endpoints: Some(vec![endpoint(request.endpoint_url)]),
            ..Default::default()
        }
        .into(),
        RequestMessage::ActivateSession(_) => {
            ActivateSessionResponse { response_header, ..Default::default() }.into()
        }
        RequestMessage::Read(request) => {
            let nodes = request.nodes_to_read.unwrap_or_default();
            let mut results: Vec<DataValue> = nodes.iter().map(|node| value(node, device)).collect();
            if device.behaviour() == Behaviour::WrongShape && nodes.iter().any(is_of_device) {
                results.pop();
            }
            ReadResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
        }
        RequestMessage::Write(request) => {
            let values = request.nodes_to_write.unwrap_or_default().into_iter().map(|node| node.value.value);
            let results = values.map(|value| match value {
                Some(Variant::UInt16(value)) => {
                    device.write(value);
                    StatusCode::Good
                }
                _ => StatusCode::BadTypeMismatch,
            });
            WriteResponse { response_header, results: Some(results.collect()), diagnostic_infos: None }.into()
        }
        RequestMessage::CloseSession(_) => CloseSessionResponse { response_header }.into(),
        _ => return None,
    };
    Some((id, response))
}

fn endpoint(endpoint_url: UAString) -> EndpointDescription {
    EndpointDescription {
        endpoint_url,
        security_mode: MessageSecurityMode::None,
        security_policy_uri: SecurityPolicy::None.to_uri().into(),
        user_identity_tokens: Some(vec![
            UserTokenPolicy {
                policy_id: "anonymous".into(),
                token_type: UserTokenType::Anonymous,
                ..Default::default()
            },
            // Any user, with the password as it is.
            UserTokenPolicy {
                policy_id: "user".into(),
                token_type: UserTokenType::UserName,
                security_policy_uri: SecurityPolicy::None.to_uri().into(),
                ..Default::default()
            },
        ]),
        transport_profile_uri: "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary".into(),
        ..Default::default()
    }
}

fn is_of_device(node: &ReadValueId) -> bool {
    node.node_id.namespace == 1
}

fn value(node: &ReadValueId, device: &Device) -> DataValue {
    if is_of_device(node) {
        return match (device.behaviour(), node.node_id.as_u32()) {
            // Too busy.
            (Behaviour::Busy, _) => {
                DataValue { status: Some(StatusCode::from(0x80EE_0000)), ..DataValue::null() }
            }
            (_, Some(0)) => DataValue::new_now(device.value()),
            _ => DataValue::new_now(0u16),
        };
    }
    match node.node_id.as_variable_id() {
        Ok(VariableId::Server_NamespaceArray) => {
            let namespaces: Vec<UAString> = vec!["http://opcfoundation.org/UA/".into(), "urn:device".into()];
            DataValue::new_now(namespaces)
        }
        Ok(VariableId::Server_ServerStatus_State) => DataValue::new_now(0i32),
        _ => DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() },
    }
}
