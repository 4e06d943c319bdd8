//! Names of sinks from one plan to the next: journals follow `moved`, and those that nobody takes over are told.

use gwp_core::{SinkId, Timestamp};
use gwp_journal::sinks::SinkJournal;
use gwp_journal::{Renamed, Store, StoreError};
use gwp_plan::Plan;
use std::sync::Arc;

/// Gives journals the names that the sinks of a plan have now. Before any of them is registered.
///
/// # Errors
/// The store cannot be written.
pub fn follow_names(store: &mut Store, plan: &Plan) -> Result<(), StoreError> {
    let renames = plan.renames();
    for sink in &plan.sinks {
        for old in renames.former_names_of_sink(&sink.name) {
            match store.rename(&old, &sink.name)? {
                Renamed::Nothing => {}
                Renamed::Done => {
                    tracing::info!(sink = %sink.name, %old, "the journal has followed `moved`");
                }
                Renamed::Refused { waiting } => tracing::warn!(
                    sink = %sink.name,
                    %old,
                    waiting,
                    "`moved` cannot be followed: both names have a journal; that of the old name is kept until it is too old"
                ),
            }
        }
    }
    Ok(())
}

/// Forgets sinks that nobody runs and nothing waits for: also those that a change which did not come to be had made.
/// After all sinks that run are registered.
///
/// # Errors
/// The store cannot be written.
pub fn forget_empty(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let idle = |sink: &&SinkJournal| sink.pending_samples() == 0 && !store.is_registered(sink.id);
    let empty: Vec<SinkId> = store.sinks().filter(idle).map(|sink| sink.id).collect();
    empty.into_iter().try_for_each(|id| store.forget(id, now))
}

/// A journal with waiting samples whose sink is not in the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Orphan {
    pub name: Arc<str>,
    pub samples: u64,
    /// A sink to the same kind of destination that is new in the plan.
    pub perhaps_now: Option<Arc<str>>,
}

/// Journals that nobody takes over. Before the sinks of the plan are registered.
pub fn orphans(store: &Store, plan: &Plan) -> Vec<Orphan> {
    let in_plan = |name: &str| plan.sinks.iter().any(|sink| &*sink.name == name);
    let in_store = |name: &str| store.sinks().any(|sink| &*sink.name == name);
    // A store that is empty, or whose last plan is of another version, gives no hint.
    let bytes = store.plan_reader().get(store.plan()).ok().flatten();
    let before = bytes.and_then(|bytes| Plan::from_bytes(&bytes).ok());
    let perhaps_now = |orphan: &str| {
        let was = before.as_ref()?.sinks.iter().find(|sink| &*sink.name == orphan)?;
        let mut new = plan.sinks.iter().filter(|sink| sink.driver == was.driver && !in_store(&sink.name));
        Some(new.next()?.name.clone())
    };
    let left = store.sinks().filter(|sink| !in_plan(&sink.name) && sink.pending_samples() > 0);
    left.map(|sink| Orphan {
        name: sink.name.clone(),
        samples: sink.pending_samples(),
        perhaps_now: perhaps_now(&sink.name),
    })
    .collect()
}

/// Warns of them, unless they are known to end by themselves.
pub fn warn_of_orphans(store: &Store, plan: &Plan, ends: impl Fn(&str) -> bool) {
    let left = orphans(store, plan).into_iter().filter(|orphan| !ends(&orphan.name));
    for Orphan { name: sink, samples, perhaps_now } in left {
        match perhaps_now {
            None => tracing::warn!(
                %sink,
                samples,
                "the plan has no such sink any more; its journal is kept until it is too old"
            ),
            Some(now) => tracing::warn!(
                %sink,
                samples,
                "the plan has no such sink any more; its journal is kept until it is too old. If its name is `{now}` now, stop and add `moved {sink} -> {now}`"
            ),
        }
    }
}
