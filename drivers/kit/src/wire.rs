//! Wires: the byte streams a connection may run over, and how to get one.

use crate::wire_log::Passed;
use gwp_core::BoxFuture;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes thrown away at most before a request; a line with more never falls silent.
const DRAIN_MAX: usize = 16 * 1024;

/// What a wire is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Stream for T {}

/// One open stream. Clones are the same stream: the protocol client owns one, the link
/// another, so that stale bytes can be removed between two requests.
#[derive(Clone, Debug)]
pub struct Wire(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    stream: Box<dyn Stream>,
    recorded: Option<Recorded>,
}

/// What has gone over a wire since the last look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorded {
    pub sent: Passed,
    pub came: Passed,
}

impl Line {
    fn read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let read = Pin::new(&mut *self.stream).poll_read(cx, room);
        if let Some(recorded) = &mut self.recorded {
            recorded.came.add(room.filled().get(before..).unwrap_or_default());
        }
        read
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream).poll_write(cx, bytes);
        if let (Some(recorded), Poll::Ready(Ok(count))) = (&mut self.recorded, &written) {
            recorded.sent.add(bytes.get(..*count).unwrap_or_default());
        }
        written
    }
}

impl Wire {
    pub fn new(stream: impl Stream + 'static) -> Wire {
        Wire(Arc::new(Mutex::new(Line { stream: Box::new(stream), recorded: None })))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on what goes over it is kept, within a bound, until it is asked for.
    pub fn record(&self) {
        self.line().recorded = Some(Recorded::default());
    }

    /// What has gone over it since this was asked last; nothing without [`Wire::record`].
    pub fn recorded(&self) -> Recorded {
        self.line().recorded.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Throws away all that has arrived and says how many bytes it was. Waits for nothing.
    ///
    /// # Errors
    /// The stream has ended or failed, or it never falls silent.
    pub async fn drain(&self) -> io::Result<usize> {
        // The scheduler's fairness may report "nothing there" early, which must not hide bytes here.
        tokio::task::unconstrained(std::future::poll_fn(|cx| Poll::Ready(self.drain_now(cx)))).await
    }

    fn drain_now(&self, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut drained = 0;
        let mut line = self.line();
        loop {
            let mut room = [0; 512];
            let mut room = ReadBuf::new(&mut room);
            match line.read(cx, &mut room) {
                Poll::Pending => return Ok(drained),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if room.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(Ok(())) => drained += room.filled().len(),
            }
            if drained > DRAIN_MAX {
                return Err(io::Error::other("the line never falls silent"));
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line().read(cx, room)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line().write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.line().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.line().stream).poll_shutdown(cx)
    }
}

/// A way to get a wire, or a `W` that a handshake makes of one.
pub trait Dial<W = Wire>: Send + Sync + fmt::Debug {
    /// One attempt. Whoever calls it sets the time limit.
    fn dial(&self) -> BoxFuture<'_, io::Result<W>>;

    /// Tries whether this machine has what is needed; devices are not asked.
    ///
    /// # Errors
    /// A sentence for people.
    fn drill(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// A TCP connection to `host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpDial {
    pub address: String,
}

impl Dial for TcpDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Wire>> {
        Box::pin(async {
            let stream = tokio::net::TcpStream::connect(&self.address).await?;
            // A request is one small segment and its answer is waited for.
            stream.set_nodelay(true)?;
            Ok(Wire::new(stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_goes_over_a_wire_is_kept_if_that_is_wanted() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut wire = Wire::new(ours);
        wire.write_all(&[1]).await.unwrap();
        assert_eq!(wire.recorded(), Recorded::default());
        wire.record();
        wire.clone().write_all(&[2, 3]).await.unwrap();
        theirs.write_all(&[4; 1_000]).await.unwrap();
        assert_eq!(wire.read_u8().await.unwrap(), 4);
        wire.drain().await.unwrap();
        let recorded = wire.recorded();
        assert_eq!((recorded.sent.first.as_slice(), recorded.sent.length), (&[2, 3][..], 2));
        assert_eq!((recorded.came.first.len(), recorded.came.length), (crate::wire_log::BYTES_MAX, 1_000));
        assert_eq!(wire.recorded(), Recorded::default());
    }

    #[tokio::test]
    async fn draining_removes_what_has_come_and_nothing_else() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut wire = Wire::new(ours);
        assert_eq!(wire.drain().await.unwrap(), 0);
        theirs.write_all(&[7; 1_000]).await.unwrap();
        assert_eq!(wire.drain().await.unwrap(), 1_000);
        theirs.write_all(&[8]).await.unwrap();
        assert_eq!(wire.read_u8().await.unwrap(), 8);
        theirs.write_all(&[0; DRAIN_MAX + 1]).await.unwrap();
        assert!(wire.drain().await.is_err());
        drop(theirs);
        while wire.drain().await.is_ok() {}
        assert_eq!(wire.drain().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
