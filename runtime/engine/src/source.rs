//! A source at work, and what is said of its tags when it ends unasked.
//!
//! A source that panicked or gave up says nothing any more, so its tags would
//! keep their last good value until it runs again. The engine says it instead.

use crate::hot::HotRun;
use crate::stage::AbortOnDrop;
use gwp_core::command::Commands;
use gwp_core::record::SlotMark;
use gwp_core::source::{Emission, Outlet, Source, SourceContext, SourceMeter};
use gwp_core::stop::Stop;
use gwp_core::{Batch, Clock, GroupId, Quality, TagId};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// The place of a source: what outlives its restarts.
pub struct SourceSeat {
    pub source: Arc<dyn Source>,
    /// Poll groups whose tags turn bad when it fails.
    pub groups: Vec<(GroupId, Arc<[TagId]>)>,
    /// Knows which slots are accounted for, so that the next run goes on after them.
    pub outlet: Outlet,
    pub clock: Arc<dyn Clock>,
    pub meter: Arc<SourceMeter>,
    /// Values to write; the queue outlives a run.
    pub commands: Commands,
    /// Those of `groups` that have no slots.
    pub unpolled: Arc<[(GroupId, Arc<[TagId]>)]>,
    /// Its first run, if it began before the epoch.
    pub running: Mutex<Option<HotRun>>,
}

impl SourceSeat {
    /// Runs the source until it is stopped.
    ///
    /// # Errors
    /// The source has to be started anew; its tags are bad then.
    pub async fn run(self: Arc<Self>, mut stop: Stop) -> Result<(), String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match running {
            Some(running) => running.until(stop.clone()).await,
            None => self.run_once(stop.clone()).await,
        };
        if !stop.is_stopped() {
            tokio::select! {
                () = self.mark_bad() => {}
                () = stop.stopped() => {}
            }
        }
        ended
    }

    /// Runs the source until it ends.
    ///
    /// # Errors
    /// Why it did.
    pub async fn run_once(&self, stop: Stop) -> Result<(), String> {
        let cx = SourceContext {
            outlet: self.outlet.clone(),
            clock: self.clock.clone(),
            stop,
            meter: self.meter.clone(),
            commands: self.commands.clone(),
            unpolled: self.unpolled.clone(),
        };
        let source = self.source.clone();
        let run = async move { source.run(cx).await.map_err(|error| error.to_string()) };
        // A task of its own, so that a panic in it ends here.
        AbortOnDrop(tokio::spawn(run)).await
    }

    /// One bad sample per tag, between two slots; `connected` turns false.
    async fn mark_bad(&self) {
        let time = self.clock.now();
        if self.meter.connected.swap(0, Relaxed) != 0 {
            self.outlet.emit(Emission::Connected { up: false, time }).await;
        }
        if !self.outlet.bookmarks().is_empty() {
            self.outlet.set_broken(time).await;
        }
        for (group, tags) in &self.groups {
            let batch = Batch::failed(*group, tags.clone(), time, Quality::COMM_LOST);
            self.outlet.emit(Emission::Samples { slot: SlotMark::default(), batch }).await;
        }
    }
}
