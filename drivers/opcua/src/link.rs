//! One session: the library's event loop, driven by a task of its own, and what it says.
//!
//! The event loop must be polled all the time, also while answers are waited for. After a lost connection it tries
//! once, at once, to come back; if that fails it has ended, and a new [`Link`] is made.

use crate::limits::{EVENTS_WAITING, FINISH_TIMEOUT};
use crate::security::{self, ConnectError, Context};
use futures_util::StreamExt;
use opcua::client::{Session, SessionConnectMode, SessionPollResult};
use opcua::types::StatusCode;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A session and the task that keeps it going. It ends with this value.
pub struct Link {
    pub session: Arc<Session>,
    pub context: Context,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

/// What became of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It is lost; one attempt to come back is under way.
    Lost,
    /// It is back, with the same session or a new one.
    Back { same_session: bool },
    /// It will not come back by itself.
    Ended(StatusCode),
}

impl Link {
    /// Connects and logs in.
    ///
    /// # Errors
    /// In plain words.
    pub async fn open(options: &security::Options) -> Result<Link, ConnectError> {
        let security::Connection { session, events: mut stream, context } =
            security::connect(options).await?;
        let (told, events) = mpsc::channel(EVENTS_WAITING);
        let task = tokio::spawn(async move {
            loop {
                let event = match stream.next().await {
                    Some(Ok(SessionPollResult::ConnectionLost(_))) => Event::Lost,
                    Some(Ok(SessionPollResult::Reconnected(how))) => {
                        Event::Back { same_session: matches!(how, SessionConnectMode::ReactivatedSession(_)) }
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(status)) => Event::Ended(status),
                    None => Event::Ended(StatusCode::BadConnectionClosed),
                };
                // The reader must not hold up the event loop. If it is so far behind, the channel's end tells it.
                let has_ended = told.try_send(event).is_err() || matches!(event, Event::Ended(_));
                if has_ended {
                    return;
                }
            }
        });
        Ok(Link { session, context, events, task })
    }

    /// Says farewell, as servers have few sessions; its subscriptions end with it.
    pub async fn close(self) {
        let _ = tokio::time::timeout(FINISH_TIMEOUT, self.session.disconnect()).await;
    }

    /// The next change. Nothing is lost when the future is dropped.
    pub async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap_or(Event::Ended(StatusCode::BadConnectionClosed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
