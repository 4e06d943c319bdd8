//! Messages over the two halves of a stream, without a loss when a waiting task is stopped.
//!
//! ```text
//! push push push                      receive
//!    v    v    v                         ^
//!   backlog (bounded) --flush--> ... --> what has come so far
//! ```
//! Both halves keep what they have begun with in themselves. So the futures of [`Sender::flush`]
//! and [`Receiver::receive`] can be dropped at any time, say by a `select!`, and the next goes on.

use super::form;
use super::{BACKLOG_BYTES, BulkError, Message};
use crate::stream::Stream;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

/// Opaque bytes up to this length are copied behind the fields; longer ones are shared.
const COPIED_MAX: usize = 16 * 1024;
/// A chunk of this length is not added to: it goes when it is written.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// Read at a time.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// A buffer that has become larger for one message is given back.
pub(super) const BUFFER_KEPT: usize = 1024 * 1024;

/// Makes the two directions of a stream. A peer of which nothing is heard for `silence` is taken
/// for dead: it says something several times in it.
pub fn split(stream: Stream, silence: Duration) -> (Sender, Receiver) {
    let (read, write) = tokio::io::split(stream);
    (Sender::new(write), Receiver::new(read, silence))
}

enum Chunk {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// The direction to the peer.
pub struct Sender<W = WriteHalf<Stream>> {
    io: W,
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    written: usize,
    /// Bytes of all chunks that are not.
    backlog: usize,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    pub fn new(io: W) -> Sender<W> {
        Sender { io, chunks: VecDeque::new(), written: 0, backlog: 0 }
    }

    /// Whether a message can be pushed.
    pub fn has_room(&self) -> bool {
        self.backlog < BACKLOG_BYTES
    }

    /// Puts a message behind those that wait; [`Sender::flush`] sends them. Never waits.
    ///
    /// # Errors
    /// There is no room, or the message is longer than the peer would take, or its head and its
    /// bytes do not agree: nothing has changed.
    pub fn push(&mut self, message: &Message) -> Result<(), BulkError> {
        if !self.has_room() {
            return Err(BulkError::Full(self.backlog));
        }
        let mut encoded = match self.chunks.pop_back() {
            Some(Chunk::Own(last)) if last.len() < CHUNK_BYTES => last,
            other => {
                self.chunks.extend(other);
                Vec::new()
            }
        };
        let before = encoded.len();
        let result = form::encode(message, &mut encoded);
        let shared = match result {
            Ok(Some(bytes)) if bytes.len() > COPIED_MAX => Some(Chunk::Shared(Arc::clone(bytes))),
            Ok(bytes) => {
                encoded.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
                None
            }
            Err(_) => None,
        };
        self.backlog += encoded.len() - before + shared.as_ref().map_or(0, |chunk| chunk.bytes().len());
        if !encoded.is_empty() {
            self.chunks.push_back(Chunk::Own(encoded));
        }
        self.chunks.extend(shared);
        result.map(|_| ())
    }

    /// Sends all that was pushed. Dropped half-way, the next goes on where it stood.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn flush(&mut self) -> Result<(), BulkError> {
        while let Some(first) = self.chunks.front() {
            let rest = &first.bytes()[self.written..];
            if rest.is_empty() {
                self.chunks.pop_front();
                self.written = 0;
                continue;
            }
            match self.io.write(rest).await.map_err(broken)? {
                0 => return Err(BulkError::Io(io::ErrorKind::WriteZero.into())),
                more => {
                    self.written += more;
                    self.backlog -= more;
                }
            }
        }
        self.io.flush().await.map_err(broken)
    }

    /// Sends what waits and ends the direction in order.
    ///
    /// # Errors
    /// The stream broke.
    #[cfg(test)]
    pub(super) async fn close(&mut self) -> Result<(), BulkError> {
        self.flush().await?;
        self.io.shutdown().await.map_err(broken)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes().len()).sum()
    }
}

/// The direction from the peer.
pub struct Receiver<R = ReadHalf<Stream>> {
    io: R,
    /// What has come; the first `taken` bytes of it are done with.
    buffer: Vec<u8>,
    taken: usize,
    silence: Duration,
    /// Last bytes, or when waiting began: how long the caller does something else does not count.
    heard: Instant,
    waiting: bool,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// Takes a peer of which not a byte is heard for `silence` for dead.
    pub fn new(io: R, silence: Duration) -> Receiver<R> {
        Receiver { io, buffer: Vec::new(), taken: 0, silence, heard: Instant::now(), waiting: false }
    }

    /// The next message. Dropped while it waits, nothing is lost; the peer's silence goes on
    /// counting, so it is to be called again soon.
    ///
    /// # Errors
    /// The peer has gone or is silent, or said what is no message; then that is what is
    /// said from now on.
    pub async fn receive(&mut self) -> Result<Message, BulkError> {
        if !self.waiting {
            (self.heard, self.waiting) = (Instant::now(), true);
        }
        let message = self.next().await;
        self.waiting = false;
        message
    }

    async fn next(&mut self) -> Result<Message, BulkError> {
        loop {
            let here = &self.buffer[self.taken..];
            let whole = form::whole(here)?;
            if let Some(bytes) = whole.and_then(|len| here.get(..len)) {
                let message = form::decode(bytes)?;
                self.taken += bytes.len();
                return Ok(message);
            }
            self.make_room();
            // At most so much ahead, however much room one long message has left.
            let mut part = (&mut self.io).take(READ_BYTES as u64);
            match timeout_at(self.heard + self.silence, part.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(BulkError::Silent(self.silence)),
                Ok(Ok(0)) => return Err(self.ended()),
                Ok(Ok(_)) => self.heard = Instant::now(),
                Ok(Err(error)) => {
                    return Err(match broken(error) {
                        BulkError::Closed => self.ended(),
                        other => other,
                    });
                }
            }
        }
    }

    /// Bytes of the message that is on its way.
    fn unfinished(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn make_room(&mut self) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        if self.buffer.len() < READ_BYTES && self.buffer.capacity() > BUFFER_KEPT {
            self.buffer.shrink_to(2 * READ_BYTES);
        }
        // Never by what was announced: room grows with what is here.
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES {
            self.buffer.reserve(READ_BYTES);
        }
    }

    fn ended(&self) -> BulkError {
        match self.unfinished() {
            0 => BulkError::Closed,
            bytes => BulkError::Cut(bytes),
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

fn broken(error: io::Error) -> BulkError {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        // Ended without the leave that TLS takes.
        | io::ErrorKind::UnexpectedEof => BulkError::Closed,
        _ => BulkError::Io(error),
    }
}
