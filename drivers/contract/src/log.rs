//! What the log says while a test runs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// All lines of the thread that asked for it, until it is dropped. Tests of tokio run on one thread.
pub struct Log {
    bytes: Bytes,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn capture() -> Log {
        let bytes = Bytes::default();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(bytes.clone()).without_time().finish();
        Log { bytes, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// What was said so far.
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.bytes.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Bytes {
    type Writer = Bytes;

    fn make_writer(&self) -> Bytes {
        self.clone()
    }
}
