//! Commands: values on their way into a device, and what became of them.
//!
//! The engine decides which command may run; a source carries it out on the
//! same link and in the same task as its polls, one at a time. A command whose
//! giver no longer waits is abandoned: it must not reach the device any more.

use crate::exit::ExitCheck;
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
    exit: Option<ExitCheck>,
}

impl Command {
    /// A command and the way its answer comes back; dropping that abandons it.
    pub fn new(tag: TagId, value: Value) -> (Command, Answer) {
        let (answer, answered) = oneshot::channel();
        (Command { tag, value, answer, exit: None }, answered)
    }

    /// It is carried out only if the exit is open when the source takes it.
    pub fn behind(mut self, exit: ExitCheck) -> Command {
        self.exit = Some(exit);
        self
    }

    /// Nobody waits any more: it must not be carried out.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Itself, if it may still be carried out; otherwise its giver is told.
    fn still_wanted(self) -> Option<Command> {
        if self.exit.as_ref().is_some_and(|exit| !exit.is_open()) {
            self.answer(Err(CommandFault::Failed("this gateway is not active any more".into())));
            return None;
        }
        (!self.is_abandoned()).then_some(self)
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

    /// The next command that is not abandoned and may leave; waits for ever when nobody gives any.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&self) -> Command {
        let mut queue = self.0.lock().await;
        loop {
            match queue.recv().await.map(Command::still_wanted) {
                Some(Some(command)) => return command,
                Some(None) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// The next command that is there now.
    pub fn try_next(&self) -> Option<Command> {
        let mut queue = self.0.try_lock().ok()?;
        std::iter::from_fn(|| queue.try_recv().ok()).find_map(Command::still_wanted)
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
        let (shut, answer) = Command::new(TagId(1), Value::Int(4));
        assert!(sender.send(shut.behind(ExitCheck::new(|| false))));
        assert!(commands.try_next().is_none());
        assert!(matches!(answer.await, Ok(Err(CommandFault::Failed(_)))));
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
