//! A stop signal that tasks can poll or await.

use tokio::sync::watch;

/// The giving end: dropping it stops as well.
#[derive(Debug)]
pub struct StopSource(watch::Sender<bool>);

/// The taking end, cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A connected pair.
pub fn stop_pair() -> (StopSource, Stop) {
    let (tx, rx) = watch::channel(false);
    (StopSource(tx), Stop(rx))
}

impl StopSource {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Completes once stopped.
    pub async fn stopped(&mut self) {
        // An error means that the source is gone: that stops as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
