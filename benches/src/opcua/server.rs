//! An OPC UA server that costs little, so that whoever reads from it is the limit: no security, a ready answer to
//! each request. Every node is a double with the moment of the answer as its time.

use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::message_chunk::MessageChunk;
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::comms::tcp_types::AcknowledgeMessage;
use opcua::core::sync::RwLock;
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::types::*;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Namespace of the nodes, whose identifiers are numbers.
pub const NAMESPACE: &str = "urn:bench";
/// Bytes of a frame at most.
const FRAME_MAX: usize = 65_536;
/// Frames of a connection that wait to be looked at.
const FRAMES_WAITING: usize = 32;
/// Chunks of one request at most.
const CHUNKS_MAX: usize = 64;
/// Values in one notification at most; the clients want no more, either.
const NOTIFICATIONS_PER_PUBLISH: usize = 1_000;

/// Listens on a free port, prints it, serves until killed. Each node changes `rate` times a second; 0: a publish
/// request is answered at once with as many new values as one notification holds.
pub fn serve(rate: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            let (told, frames) = mpsc::channel(FRAMES_WAITING);
            tokio::spawn(async move {
                let mut read = BufReader::with_capacity(FRAME_MAX, read);
                while let Some(frame) = frame(&mut read).await {
                    if told.send(frame).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(Connection::new(write, rate).run(frames));
        }
    })
}

/// The next frame with its header: three letters, one more, and its length.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut frame = vec![0; 8];
    stream.read_exact(&mut frame).await.ok()?;
    let length = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
    frame.resize(length.clamp(8, FRAME_MAX), 0);
    stream.read_exact(frame.get_mut(8..)?).await.ok()?;
    Some(frame)
}

/// One client.
struct Connection {
    channel: SecureChannel,
    out: SendBuffer,
    stream: OwnedWriteHalf,
    /// Of a request that is not whole yet.
    chunks: Vec<MessageChunk>,
    rate: u32,
    /// Handles of the monitored items, and the first one of the next notification.
    items: Vec<u32>,
    next: usize,
    /// Sequence number of the next notification, which is also the value that it tells.
    number: u32,
    /// Publish requests: number, header, acknowledgements.
    publishes: VecDeque<(u32, RequestHeader, usize)>,
    due: Instant,
}

impl Connection {
    fn new(stream: OwnedWriteHalf, rate: u32) -> Connection {
        // It has no certificate, and needs none.
        let store = Arc::new(RwLock::new(CertificateStore::new(Path::new("no such folder"))));
        let mut channel = SecureChannel::new(store, Role::Server, Arc::default());
        channel.set_security_policy(SecurityPolicy::None);
        channel.set_security_mode(MessageSecurityMode::None);
        Connection {
            channel,
            out: SendBuffer::new(FRAME_MAX, 0, 0, true),
            stream,
            chunks: Vec::new(),
            rate,
            items: Vec::new(),
            next: 0,
            number: 1,
            publishes: VecDeque::new(),
            due: Instant::now(),
        }
    }

    async fn run(mut self, mut frames: mpsc::Receiver<Vec<u8>>) {
        loop {
            let is_asked = !self.publishes.is_empty() && !self.items.is_empty();
            let go_on = tokio::select! {
                biased;
                frame = frames.recv() => match frame {
                    Some(frame) => self.take(&frame).await,
                    None => None,
                },
                () = tokio::time::sleep_until(self.due), if is_asked => self.notify().await,
            };
            if go_on.is_none() {
                return;
            }
        }
    }

    /// Takes a frame; `None` ends the connection.
    async fn take(&mut self, frame: &[u8]) -> Option<()> {
        match frame.get(..3)? {
            b"HEL" => {
                let size = FRAME_MAX as u32;
                self.out.write_ack(AcknowledgeMessage::new(0, size, size, 0, CHUNKS_MAX as u32));
                self.flush().await
            }
            b"OPN" | b"MSG" => {
                let options = self.channel.decoding_options();
                let chunk =
                    <MessageChunk as SimpleBinaryDecodable>::decode(&mut &frame[..], &options).ok()?;
                self.chunks.push(chunk);
                if frame[3] != b'F' {
                    return (self.chunks.len() < CHUNKS_MAX).then_some(());
                }
                let chunks = std::mem::take(&mut self.chunks);
                let id = chunks.first()?.chunk_info(&self.channel).ok()?.sequence_header.request_id;
                let request: RequestMessage = Chunker::decode(&chunks, &self.channel, None).ok()?;
                if let RequestMessage::Publish(request) = request {
                    let acknowledged = request.subscription_acknowledgements.unwrap_or_default().len();
                    self.publishes.push_back((id, request.request_header, acknowledged));
                    return (self.publishes.len() <= FRAMES_WAITING).then_some(());
                }
                let answer = self.answer(request);
                self.send(id, answer).await
            }
            _ => None,
        }
    }

    async fn send(&mut self, id: u32, answer: ResponseMessage) -> Option<()> {
        self.out.write(id, answer, &self.channel).ok()?;
        self.flush().await
    }

    async fn flush(&mut self) -> Option<()> {
        while self.out.should_encode_chunks() || self.out.can_read() {
            if self.out.should_encode_chunks() {
                self.out.encode_next_chunk(&self.channel).ok()?;
            }
            self.out.read_into_async(&mut self.stream).await.ok()?;
        }
        Some(())
    }

    /// Answers a publish request with new values of the next items.
    async fn notify(&mut self) -> Option<()> {
        let (id, header, acknowledged) = self.publishes.pop_front()?;
        let count = self.items.len().min(NOTIFICATIONS_PER_PUBLISH);
        let now = DateTime::now();
        let change = |handle: &u32| MonitoredItemNotification {
            client_handle: *handle,
            value: value(f64::from(self.number), now),
        };
        let changes: Vec<_> = self.items.iter().cycle().skip(self.next).take(count).map(change).collect();
        let changes = DataChangeNotification { monitored_items: Some(changes), diagnostic_infos: None };
        let answer = PublishResponse {
            response_header: ResponseHeader::new_good(&header),
            subscription_id: 1,
            available_sequence_numbers: Some(vec![self.number]),
            more_notifications: self.rate == 0,
            notification_message: NotificationMessage {
                sequence_number: self.number,
                publish_time: now,
                notification_data: Some(vec![ExtensionObject::from_message(changes)]),
            },
            results: Some(vec![StatusCode::Good; acknowledged]),
            diagnostic_infos: None,
        };
        self.next = (self.next + count) % self.items.len();
        self.number += 1;
        if self.rate > 0 {
            let per_second = f64::from(self.rate) * self.items.len() as f64;
            self.due = self.due.max(Instant::now() - Duration::from_secs(1))
                + Duration::from_secs_f64(count as f64 / per_second);
        }
        self.send(id, answer.into()).await
    }

    fn answer(&mut self, request: RequestMessage) -> ResponseMessage {
        let response_header = ResponseHeader::new_good(request.request_header());
        match request {
            RequestMessage::OpenSecureChannel(_) => self.open(response_header),
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
            RequestMessage::CreateSubscription(request) => CreateSubscriptionResponse {
                response_header,
                subscription_id: 1,
                revised_publishing_interval: request.requested_publishing_interval,
                revised_lifetime_count: request.requested_lifetime_count,
                revised_max_keep_alive_count: request.requested_max_keep_alive_count,
            }
            .into(),
            RequestMessage::CreateMonitoredItems(request) => {
                let wanted = request.items_to_create.unwrap_or_default();
                let created = |item: MonitoredItemCreateRequest| {
                    self.items.push(item.requested_parameters.client_handle);
                    MonitoredItemCreateResult {
                        status_code: StatusCode::Good,
                        monitored_item_id: self.items.len() as u32,
                        revised_sampling_interval: item.requested_parameters.sampling_interval,
                        revised_queue_size: item.requested_parameters.queue_size,
                        filter_result: ExtensionObject::null(),
                    }
                };
                let results = Some(wanted.into_iter().map(created).collect());
                self.due = Instant::now();
                CreateMonitoredItemsResponse { response_header, results, diagnostic_infos: None }.into()
            }
            RequestMessage::Read(request) => {
                let now = DateTime::now();
                let nodes = request.nodes_to_read.unwrap_or_default();
                let results = Some(nodes.iter().map(|node| read(node, now)).collect());
                ReadResponse { response_header, results, diagnostic_infos: None }.into()
            }
            RequestMessage::CloseSession(_) => CloseSessionResponse { response_header }.into(),
            other => {
                let status = StatusCode::BadServiceUnsupported;
                ServiceFault {
                    response_header: ResponseHeader::new_service_result(other.request_header(), status),
                }
                .into()
            }
        }
    }

    fn open(&mut self, response_header: ResponseHeader) -> ResponseMessage {
        let security_token = ChannelSecurityToken {
            channel_id: 1,
            token_id: 1,
            created_at: DateTime::now(),
            revised_lifetime: 3_600_000,
        };
        self.channel.set_security_token(security_token.clone());
        OpenSecureChannelResponse {
            response_header,
            server_protocol_version: 0,
            security_token,
            server_nonce: ByteString::null(),
        }
        .into()
    }
}

fn endpoint(endpoint_url: UAString) -> EndpointDescription {
    EndpointDescription {
        endpoint_url,
        security_mode: MessageSecurityMode::None,
        security_policy_uri: SecurityPolicy::None.to_uri().into(),
        user_identity_tokens: Some(vec![UserTokenPolicy {
            policy_id: "anonymous".into(),
            token_type: UserTokenType::Anonymous,
            ..Default::default()
        }]),
        transport_profile_uri: "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary".into(),
        ..Default::default()
    }
}

fn value(value: impl Into<Variant>, now: DateTime) -> DataValue {
    DataValue {
        value: Some(value.into()),
        source_timestamp: Some(now),
        server_timestamp: Some(now),
        ..DataValue::null()
    }
}

fn read(node: &ReadValueId, now: DateTime) -> DataValue {
    if node.node_id.namespace == 1 {
        return value(1.5, now);
    }
    match node.node_id.as_variable_id() {
        Ok(VariableId::Server_NamespaceArray) => {
            let namespaces: Vec<UAString> = vec!["http://opcfoundation.org/UA/".into(), NAMESPACE.into()];
            value(namespaces, now)
        }
        Ok(VariableId::Server_ServerStatus_State) => value(0i32, now),
        _ => DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() },
    }
}
