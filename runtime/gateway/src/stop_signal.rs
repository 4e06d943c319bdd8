//! What ends a running gateway in order: Ctrl-C and SIGTERM, on Windows what the
//! console and the session tell.
//!
//! Windows itself ends a process some seconds after its console was closed or a
//! shutdown was announced: a drain that takes longer is cut short, and what is
//! left stays in the journals.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Completes with the reason when its signal has come.
type Coming = Pin<Box<dyn Future<Output = &'static str>>>;

/// Signals, caught from the moment this is made.
pub struct StopSignal(Vec<Coming>);

impl StopSignal {
    #[cfg(unix)]
    pub fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        StopSignal(vec![
            coming("interrupted", signal(SignalKind::interrupt())),
            coming("terminated", signal(SignalKind::terminate())),
        ])
    }

    #[cfg(windows)]
    pub fn new() -> Self {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
        StopSignal(vec![
            coming("interrupted", ctrl_c()),
            coming("terminated", ctrl_break()),
            coming("the console was closed", ctrl_close()),
            coming("the user logs off", ctrl_logoff()),
            coming("the machine shuts down", ctrl_shutdown()),
        ])
    }

    /// Waits for one of them, or for the end of `--for`; says which it was.
    pub async fn wait(&mut self, run_for: Option<Duration>) -> &'static str {
        let first = std::future::poll_fn(|cx| {
            let ready = self.0.iter_mut().find_map(|signal| match signal.as_mut().poll(cx) {
                Poll::Ready(reason) => Some(reason),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        let Some(run_for) = run_for else { return first.await };
        tokio::time::timeout(run_for, first).await.unwrap_or("time is up")
    }
}

/// Asks for the files to be taken again: SIGHUP, where there is such a thing.
pub struct ReloadSignal {
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl ReloadSignal {
    pub fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangup = signal(SignalKind::hangup());
            if let Err(error) = &hangup {
                tracing::warn!(%error, "a signal cannot be caught");
            }
            ReloadSignal { hangup: hangup.ok() }
        }
        #[cfg(not(unix))]
        ReloadSignal {}
    }

    /// Waits for the next one.
    pub async fn wait(&mut self) {
        #[cfg(unix)]
        if let Some(hangup) = &mut self.hangup
            && hangup.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// One signal; one that cannot be caught never comes.
fn coming<S: Receive + 'static>(reason: &'static str, signal: std::io::Result<S>) -> Coming {
    Box::pin(async move {
        match signal {
            Ok(mut signal) => signal.receive().await,
            Err(error) => {
                tracing::warn!(%error, "a signal cannot be caught");
                std::future::pending().await
            }
        }
        reason
    })
}

/// A stream of signals, whatever the operating system calls it.
trait Receive {
    async fn receive(&mut self);
}

macro_rules! receive {
    ($($signal:ty),*) => {$(
        impl Receive for $signal {
            async fn receive(&mut self) {
                self.recv().await;
            }
        }
    )*};
}

#[cfg(unix)]
receive!(tokio::signal::unix::Signal);
#[cfg(windows)]
receive!(
    tokio::signal::windows::CtrlC,
    tokio::signal::windows::CtrlBreak,
    tokio::signal::windows::CtrlClose,
    tokio::signal::windows::CtrlLogoff,
    tokio::signal::windows::CtrlShutdown
);
