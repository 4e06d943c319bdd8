//! What a guard needs of the operating system: signals, and the news that its worker has ended.

use std::process::Child;
use std::time::Duration;

/// The worker is looked at this often even if no news came.
#[cfg(unix)]
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Elsewhere there is no news.
#[cfg(not(unix))]
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a guard hears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Look whether the worker has ended.
    Look,
    Terminate,
    Interrupt,
    /// The files are to be taken again.
    HangUp,
}

impl Heard {
    /// The gateway is to end.
    pub fn is_stop(self) -> bool {
        matches!(self, Heard::Terminate | Heard::Interrupt)
    }
}

#[cfg(unix)]
pub use unix::{Signals, end_with};

#[cfg(unix)]
mod unix {
    use super::{Child, Heard, LOOK_EVERY};
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::signal::unix::{self, SignalKind};

    /// Signals, caught from the moment this is made.
    pub struct Signals {
        child: unix::Signal,
        terminate: unix::Signal,
        interrupt: unix::Signal,
        hangup: unix::Signal,
    }

    impl Signals {
        pub fn new() -> std::io::Result<Signals> {
            Ok(Signals {
                child: unix::signal(SignalKind::child())?,
                terminate: unix::signal(SignalKind::terminate())?,
                interrupt: unix::signal(SignalKind::interrupt())?,
                hangup: unix::signal(SignalKind::hangup())?,
            })
        }

        pub async fn next(&mut self) -> Heard {
            tokio::select! {
                _ = self.child.recv() => Heard::Look,
                _ = self.terminate.recv() => Heard::Terminate,
                _ = self.interrupt.recv() => Heard::Interrupt,
                _ = self.hangup.recv() => Heard::HangUp,
                () = tokio::time::sleep(LOOK_EVERY) => Heard::Look,
            }
        }

        /// Tells a worker that has not been reaped.
        pub fn forward(&self, worker: &Child, heard: Heard) {
            let signal = match heard {
                Heard::Look => return,
                Heard::Terminate => Signal::TERM,
                Heard::Interrupt => Signal::INT,
                Heard::HangUp => Signal::HUP,
            };
            if let Err(error) = kill_process(Pid::from_child(worker), signal) {
                tracing::warn!(%error, "the worker cannot be told");
            }
        }
    }

    /// Whether the parent of this process is that one; if so, this process is told to end when it dies.
    pub fn end_with(parent: u32) -> bool {
        let is_there = || std::os::unix::process::parent_id() == parent;
        #[cfg(target_os = "linux")]
        if is_there()
            && let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        {
            eprintln!("gwp: the end of the guard will not be noticed: {error}");
        }
        is_there()
    }
}

#[cfg(not(unix))]
pub use elsewhere::{Signals, end_with};

#[cfg(not(unix))]
mod elsewhere {
    use super::{Child, Heard, LOOK_EVERY};
    use crate::stop_signal::StopSignal;

    /// The console tells the worker, too: there is nothing to hand on.
    pub struct Signals(StopSignal);

    impl Signals {
        pub fn new() -> std::io::Result<Signals> {
            Ok(Signals(StopSignal::new()))
        }

        pub async fn next(&mut self) -> Heard {
            match tokio::time::timeout(LOOK_EVERY, self.0.wait(None)).await {
                Ok(_) => Heard::Terminate,
                Err(_) => Heard::Look,
            }
        }

        pub fn forward(&self, _worker: &Child, _heard: Heard) {}
    }

    /// The parent is not known here: what the environment says is believed.
    pub fn end_with(_parent: u32) -> bool {
        true
    }
}
