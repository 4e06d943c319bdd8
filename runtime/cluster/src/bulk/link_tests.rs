//! Messages over loopback: in pieces of any size, with waits that are broken off, and cut short.

use super::link::{BUFFER_KEPT, CHUNK_BYTES, READ_BYTES};
use super::*;
use crate::samples;
use crate::seal::Secret;
use crate::stream::StreamKeys;
use gwp_redundancy::member::NodeId::{Backup, Primary};
use proptest::prelude::*;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

/// No test waits for it.
const LONG: Duration = Duration::from_secs(60);

fn piece(len: usize) -> Message {
    Message::Piece { bytes: vec![7; len].into() }
}

fn end() -> Message {
    Message::Readings { from: From::Rejoin, bytes: [].into() }
}

fn encoded(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        let opaque = super::form::encode(message, &mut out).unwrap().map(|bytes| bytes.to_vec());
        out.extend(opaque.unwrap_or_default());
    }
    out
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

/// The two ends of a stream of a pair: of the primary, and of the backup.
async fn pair(silence: Duration) -> ((Sender, Receiver), (Sender, Receiver)) {
    let secret = Secret::new([3; 32]).unwrap();
    let (primary, backup) =
        (StreamKeys::new(&secret, Primary).unwrap(), StreamKeys::new(&secret, Backup).unwrap());
    let (connected, accepted) = connection().await;
    let (accepted, connected) = tokio::join!(primary.accept(accepted), backup.connect_over(connected));
    (split(accepted.unwrap(), silence), split(connected.unwrap(), silence))
}

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Both ways at once, flushed after any number of messages.
    #[test]
    fn messages_come_over_a_stream_as_they_were(
        messages in prop::collection::vec(samples::bulk(), 0..20),
        each in 1..6usize,
    ) {
        in_runtime(async {
            let ((mut a, mut from_b), (mut b, mut from_a)) = pair(LONG).await;
            let send = async |sender: &mut Sender| {
                for group in messages.chunks(each) {
                    for message in group {
                        sender.push(message).unwrap();
                    }
                    sender.flush().await.unwrap();
                }
                sender.close().await.unwrap();
            };
            let receive = async |receiver: &mut Receiver| {
                for message in &messages {
                    assert_eq!(&receiver.receive().await.unwrap(), message);
                }
                let end = receiver.receive().await;
                assert!(matches!(end, Err(BulkError::Closed)), "{end:?}");
            };
            tokio::join!(send(&mut a), send(&mut b), receive(&mut from_a), receive(&mut from_b));
        });
    }

    /// In pieces of any size, while every wait of the receiver is broken off at once.
    #[test]
    fn a_wait_that_is_broken_off_loses_nothing(
        messages in prop::collection::vec(samples::bulk(), 1..12),
        sizes in prop::collection::vec(1..5_000usize, 1..20),
    ) {
        in_runtime(async {
            let (mut writes, reads) = connection().await;
            writes.set_nodelay(true).unwrap();
            let mut receiver = Receiver::new(reads, LONG);
            let bytes = encoded(&messages);
            let write = async move {
                let mut rest = bytes.as_slice();
                for size in sizes.iter().cycle() {
                    let (now, later) = rest.split_at(rest.len().min(*size));
                    writes.write_all(now).await.unwrap();
                    tokio::task::yield_now().await;
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                writes
            };
            let receive = async {
                let mut received = Vec::new();
                while received.len() < messages.len() {
                    tokio::select! {
                        biased;
                        message = receiver.receive() => received.push(message.unwrap()),
                        () = tokio::task::yield_now() => {}
                    }
                }
                received
            };
            let (_open, received) = tokio::join!(write, receive);
            assert_eq!(received, messages);
        });
    }

    /// Damaged bytes: messages and then an error, or the end; never a panic, never without end.
    #[test]
    fn changed_bytes_end_in_an_error(
        messages in prop::collection::vec(samples::bulk(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encoded(&messages);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        in_runtime(async {
            let mut receiver = Receiver::new(bytes.as_slice(), LONG);
            while receiver.receive().await.is_ok() {}
        });
    }
}

#[tokio::test]
async fn a_message_cut_short_is_told_from_an_end() {
    let bytes = encoded(&[Message::Ping, piece(100)]);
    for (len, cut) in [(6, None), (8, Some(2)), (12, Some(6)), (111, Some(105)), (112, None)] {
        let (mut writes, reads) = connection().await;
        let mut receiver = Receiver::new(reads, LONG);
        writes.write_all(&bytes[..len]).await.unwrap();
        drop(writes);
        assert_eq!(receiver.receive().await.unwrap(), Message::Ping);
        if len == bytes.len() {
            assert_eq!(receiver.receive().await.unwrap(), piece(100));
        }
        let end = receiver.receive().await.unwrap_err();
        match cut {
            Some(here) => assert!(matches!(end, BulkError::Cut(told) if told == here), "{end:?}"),
            None => assert!(matches!(end, BulkError::Closed), "{end:?}"),
        }
    }
}

/// A process that dies takes no leave of TLS.
#[tokio::test]
async fn a_stream_that_ends_without_leave_ends_clearly() {
    let ((mut sender, kept), (other, mut receiver)) = pair(LONG).await;
    sender.push(&end()).unwrap();
    sender.flush().await.unwrap();
    drop((sender, kept));
    assert_eq!(receiver.receive().await.unwrap(), end());
    let end = receiver.receive().await.unwrap_err();
    assert!(matches!(end, BulkError::Closed), "{end:?}");
    drop(other);
}

#[tokio::test]
async fn room_is_made_for_what_comes_not_for_what_is_announced() {
    // As long as a frame may be, and a byte longer.
    let longest = super::HEAD + FRAME_BYTES_MAX;
    for (len, allowed) in [(longest, true), (longest + 1, false), (u32::MAX as usize - 2, false)] {
        let mut bytes = (len as u32 + 2).to_le_bytes().to_vec();
        bytes.extend([VERSION, 7, 1, 2, 3]);
        let mut receiver = Receiver::new(bytes.as_slice(), LONG);
        let error = receiver.receive().await.unwrap_err();
        match allowed {
            true => assert!(matches!(error, BulkError::Cut(9)), "{error:?}"),
            false => assert!(matches!(error, BulkError::TooLarge { kind: "frame", .. }), "{error:?}"),
        }
        assert!(receiver.capacity() <= 2 * READ_BYTES, "{}", receiver.capacity());
        // It is not forgotten.
        assert_eq!(receiver.receive().await.unwrap_err().to_string(), error.to_string());
    }
}

#[tokio::test]
async fn room_for_a_long_message_is_given_back() {
    let messages = [piece(3 * BUFFER_KEPT), piece(100), Message::Ping];
    let bytes = encoded(&messages);
    let mut receiver = Receiver::new(bytes.as_slice(), LONG);
    assert_eq!(receiver.receive().await.unwrap(), messages[0]);
    assert!(receiver.capacity() > BUFFER_KEPT);
    assert_eq!(receiver.receive().await.unwrap(), messages[1]);
    assert_eq!(receiver.receive().await.unwrap(), messages[2]);
    assert!(matches!(receiver.receive().await, Err(BulkError::Closed)));
    assert!(receiver.capacity() <= BUFFER_KEPT);
}

/// The wait counts from when it first began; how often it is broken off does not matter.
#[tokio::test]
async fn a_silent_peer_is_noticed_though_waits_are_broken_off() {
    let silence = Duration::from_millis(200);
    let ((_a, _from_b), (_b, mut from_a)) = pair(silence).await;
    let mut error = None;
    for round in 0..200 {
        tokio::select! {
            biased;
            message = from_a.receive() => {
                error = message.err();
                break;
            }
            () = tokio::task::yield_now() => {}
        }
        if round == 0 {
            tokio::time::sleep(silence).await;
        }
    }
    assert!(matches!(error, Some(BulkError::Silent(told)) if told == silence), "{error:?}");
}

/// A caller that does something else between two messages does not take the peer for dead.
#[tokio::test]
async fn time_between_waits_is_not_silence() {
    let silence = Duration::from_millis(300);
    let ((mut sender, _from_b), (_b, mut from_a)) = pair(silence).await;
    sender.push(&Message::Ping).unwrap();
    sender.flush().await.unwrap();
    assert_eq!(from_a.receive().await.unwrap(), Message::Ping);
    tokio::time::sleep(silence).await;
    for _ in 0..3 {
        tokio::select! {
            biased;
            message = from_a.receive() => panic!("{message:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
}

/// Counts what is asked of it.
#[derive(Default)]
struct Counting {
    bytes: Vec<u8>,
    writes: usize,
    flushes: usize,
}

impl AsyncWrite for &mut Counting {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.bytes.extend_from_slice(buf);
        self.writes += 1;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn messages_that_are_ready_go_out_together() {
    let mut io = Counting::default();
    let ready: Vec<Message> = (0..100).map(piece).collect();
    let mut sender = Sender::new(&mut io);
    for message in &ready {
        sender.push(message).unwrap();
    }
    sender.flush().await.unwrap();
    assert_eq!(io.bytes, encoded(&ready));
    assert_eq!((io.writes, io.flushes), (1, 1));
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let mut io = Counting::default();
    let mut sender = Sender::new(&mut io);
    let (long, mut sent) = (piece(BACKLOG_BYTES / 3), Vec::new());
    while sender.has_room() {
        sender.push(&long).unwrap();
        sent.push(long.clone());
    }
    assert_eq!(sent.len(), 3);
    assert!(matches!(sender.push(&Message::Ping), Err(BulkError::Full(waits)) if waits >= BACKLOG_BYTES));
    sender.flush().await.unwrap();
    sender.push(&Message::Ping).unwrap();
    // A message that is refused leaves no trace between those before and after it.
    let over = Message::Readings { from: From::Fill, bytes: vec![0; READINGS_BYTES_MAX + 1].into() };
    assert!(matches!(sender.push(&over), Err(BulkError::TooLarge { .. })));
    sender.push(&end()).unwrap();
    sender.flush().await.unwrap();
    sent.extend([Message::Ping, end()]);
    assert_eq!(io.bytes, encoded(&sent));
}

/// As much is pushed as is written, and never is everything: what is written is let go of.
#[tokio::test]
async fn what_is_written_is_let_go_of_though_something_always_waits() {
    let message = piece(1_000);
    let length = encoded(std::slice::from_ref(&message)).len();
    let (ours, mut theirs) = duplex(length);
    let mut sender = Sender::new(ours);
    sender.push(&message).unwrap();
    let mut read = vec![0; length];
    for _ in 0..4 * CHUNK_BYTES / length {
        sender.push(&message).unwrap();
        tokio::select! {
            biased;
            _ = sender.flush() => panic!("more waits than fits"),
            () = std::future::ready(()) => {}
        }
        assert!(sender.held() <= 2 * CHUNK_BYTES, "{}", sender.held());
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(read, encoded(std::slice::from_ref(&message)));
    }
}

/// Seven bytes fit, so every flush but the last is broken off within a message.
#[tokio::test]
async fn a_flush_that_is_broken_off_is_gone_on_with() {
    let (ours, theirs) = duplex(7);
    let (mut sender, mut receiver) = (Sender::new(ours), Receiver::new(theirs, LONG));
    let messages = [piece(40), Message::Ping, piece(30_000), end()];
    let (mut waiting, mut received) = (messages.iter(), Vec::new());
    while received.len() < messages.len() {
        if let Some(message) = waiting.next() {
            sender.push(message).unwrap();
        }
        tokio::select! {
            biased;
            flushed = sender.flush() => flushed.unwrap(),
            () = std::future::ready(()) => {}
        }
        tokio::select! {
            biased;
            message = receiver.receive() => received.push(message.unwrap()),
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(received, messages);
}
