//! Commands: values on their way into a device, and what became of them.
//!
//! The engine decides which command may run; a source carries it out on the
//! same link and in the same task as its polls, one at a time. A command whose
//! giver no longer waits is abandoned: it must not reach the device any more.

use crate::{TagId, Value};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Commands that wait for one source at most.
pub const COMMANDS_WAITING: usize = 64;

/// Why a value is not known to be in the device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandFault {
    /// The device keeps what it had.
    #[error("{0}")]
    Failed(String),
    /// The device may have it or not.
    #[error("{0}")]
    Unknown(String),
}

/// What became of a command.
pub type Answer = oneshot::Receiver<Result<(), CommandFault>>;

/// One value for one tag.
#[derive(Debug)]
pub struct Command {
    pub tag: TagId,
    /// Raw: in the tag's type at the device, not scaled.
    pub value: Value,
    answer: oneshot::Sender<Result<(), CommandFault>>,
}

impl Command {
    /// A command and the way its answer comes back; dropping that abandons it.
    pub fn new(tag: TagId, value: Value) -> (Command, Answer) {
        let (answer, answered) = oneshot::channel();
        (Command { tag, value, answer }, answered)
    }

    /// Nobody waits any more: it must not be carried out.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Says what became of it. Dropping it unanswered says that this is not known.
    pub fn answer(self, answer: Result<(), CommandFault>) {
        let _ = self.answer.send(answer);
    }
}

/// The giving end of a source's commands.
#[derive(Clone, Debug)]
pub struct CommandSender(mpsc::Sender<Command>);

/// The taking end. Clones take from one queue, so that it outlives a run of the source.
#[derive(Clone, Debug)]
pub struct Commands(Arc<Mutex<mpsc::Receiver<Command>>>);

/// A connected pair.
pub fn command_channel() -> (CommandSender, Commands) {
    let (sender, receiver) = mpsc::channel(COMMANDS_WAITING);
    (CommandSender(sender), Commands(Arc::new(Mutex::new(receiver))))
}

impl CommandSender {
    /// Queues a command; false when too many wait.
    pub fn send(&self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

impl Commands {
    /// A queue that nobody gives to.
    pub fn none() -> Commands {
        command_channel().1
    }

    /// The next command that is not abandoned; waits for ever when nobody gives any.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&self) -> Command {
        let mut queue = self.0.lock().await;
        loop {
            match queue.recv().await {
                Some(command) if command.is_abandoned() => {}
                Some(command) => return command,
                None => std::future::pending().await,
            }
        }
    }

    /// The next command that is there now.
    pub fn try_next(&self) -> Option<Command> {
        let mut queue = self.0.try_lock().ok()?;
        std::iter::from_fn(|| queue.try_recv().ok()).find(|command| !command.is_abandoned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_abandoned_command_is_never_taken() {
        let (sender, commands) = command_channel();
        let (first, answer) = Command::new(TagId(1), Value::Int(1));
        assert!(sender.send(first));
        drop(answer);
        assert!(commands.try_next().is_none());
        let (second, _) = Command::new(TagId(1), Value::Int(2));
        let (third, answer) = Command::new(TagId(1), Value::Int(3));
        assert!(sender.send(second) && sender.send(third));
        let taken = commands.next().await;
        assert_eq!(taken.value, Value::Int(3));
        taken.answer(Ok(()));
        assert_eq!(answer.await, Ok(Ok(())));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_outlives_a_taker() {
        let (sender, commands) = command_channel();
        let mut answers = Vec::new();
        for number in 0..COMMANDS_WAITING as i64 {
            let (command, answer) = Command::new(TagId(1), Value::Int(number));
            assert!(sender.send(command));
            answers.push(answer);
        }
        let (one_more, _answer) = Command::new(TagId(1), Value::Int(-1));
        assert!(!sender.send(one_more));
        let again = commands.clone();
        drop(commands);
        assert_eq!(again.next().await.value, Value::Int(0));
    }
}
