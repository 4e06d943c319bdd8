//! Stage actors: one supervised task each.
//!
//! A stage's work is an async task; its actor owns the task, turns its end or
//! panic into a supervision event and stops it in order. The actor itself never
//! blocks, so `stop` is always seen at once.

use crate::limits::STAGE_STOP;
use gwp_core::BoxFuture;
use gwp_core::stop::{Stop, StopSource, stop_pair};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::any::Any;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The work of a stage: runs until stopped, or fails with a reason.
pub type StageWork = Box<dyn FnOnce(Stop) -> BoxFuture<'static, Result<(), String>> + Send>;

/// Makes the work anew for each start.
pub type StageMake = Arc<dyn Fn() -> StageWork + Send + Sync>;

/// The actor around one stage.
pub struct StageActor;

/// What a stage actor is told.
#[derive(Debug)]
pub enum StageMsg {
    /// Its task has ended.
    Ended(Result<(), String>),
}

/// The running task; dropped with the actor, however it ends.
pub struct StageState {
    stop: StopSource,
    task: Option<JoinHandle<()>>,
}

impl Drop for StageState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Actor for StageActor {
    type Msg = StageMsg;
    type State = StageState;
    type Arguments = StageWork;

    async fn pre_start(
        &self,
        myself: ActorRef<StageMsg>,
        work: StageWork,
    ) -> Result<StageState, ActorProcessingErr> {
        let (stop, stopped) = stop_pair();
        let task = tokio::spawn(async move {
            // A task of its own, so that a panic in it ends here and becomes a message.
            let ended = AbortOnDrop(tokio::spawn(work(stopped))).await;
            let _ = myself.cast(StageMsg::Ended(ended));
        });
        Ok(StageState { stop, task: Some(task) })
    }

    async fn handle(
        &self,
        myself: ActorRef<StageMsg>,
        message: StageMsg,
        _: &mut StageState,
    ) -> Result<(), ActorProcessingErr> {
        let StageMsg::Ended(result) = message;
        result.map_err(ActorProcessingErr::from)?;
        myself.stop(None);
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<StageMsg>,
        state: &mut StageState,
    ) -> Result<(), ActorProcessingErr> {
        state.stop.stop();
        if let Some(mut task) = state.task.take()
            && tokio::time::timeout(STAGE_STOP, &mut task).await.is_err()
        {
            // One stage that does not end must not keep the others from ending in order.
            task.abort();
        }
        Ok(())
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or_default())
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop(pub JoinHandle<Result<(), String>>);

impl Future for AbortOnDrop {
    type Output = Result<(), String>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), String>> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(|joined| match joined {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(panic_text(&*error.into_panic())),
            Err(_) => Ok(()),
        })
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
