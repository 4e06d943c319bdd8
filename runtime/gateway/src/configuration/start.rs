//! What a start runs: the files it is given, or what was in force last.

use super::bundle::{Bundle, File, Leaves, compile, fingerprint};
use super::history::{History, Pending};
use super::prepare;
use super::shared::take_over_at_start;
use crate::node::Node;
use crate::report;
use anyhow::{Context, bail};
use gwp_core::PlanId;
use gwp_engine::{LeavingSink, Removed};
use gwp_journal::Store;
use gwp_plan::Plan;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A program that was given as files and compiles.
#[derive(Clone)]
pub struct Given {
    pub files: Vec<File>,
    pub plan: Arc<Plan>,
}

/// What is to run.
pub struct Begin {
    pub history: History,
    /// Its id, and whether it is in force for the first time.
    pub id: String,
    pub bundle: Bundle,
    pub plan: Arc<Plan>,
    pub leaving: Vec<LeavingSink>,
    seen: Option<String>,
}

impl Begin {
    /// Finds out. Nobody else may use the data directory; `open`: its store, where that is open already.
    ///
    /// # Errors
    /// There is nothing to run, or it cannot be read.
    pub fn new(node: &Node, given: Option<Given>, open: Option<&Store>) -> anyhow::Result<Begin> {
        let stored = &Stored { data: &node.data, open };
        let mut history = History::open(&node.data)?;
        if let Some(store) = open.filter(|_| node.pair.is_some()) {
            take_over_at_start(&mut history, &store.configurations(), &store.plan().to_string())?;
        }
        if history.state.pending.is_some() {
            let plan = stored.look(|store| Ok(store.plan()))?.unwrap_or_default();
            history.resolve(&plan.to_string());
        }
        unconfirmed(&mut history, stored)?;
        let current = history.current()?;
        let seen = given.as_ref().map(|given| fingerprint(&given.files));
        let (id, bundle, plan) = match (given, &current) {
            (None, None) => bail!(
                "nothing has been put in force on {} yet: name the files of a program, as in `gwp run plant.gwp`",
                node.data.display()
            ),
            (None, Some((id, bundle))) => (id.clone(), bundle.clone(), compiled(id, bundle)?),
            (Some(given), Some((id, bundle))) if history.state.seen == seen => {
                if !bundle.has_files(&given.files) {
                    let (author, time) = (&bundle.author, &bundle.time);
                    tracing::warn!(%id, %author, %time, "what was applied last is newer than the files of this command; it runs. `gwp apply` puts the files in force");
                }
                (id.clone(), bundle.clone(), compiled(id, bundle)?)
            }
            (Some(given), Some((id, bundle))) if bundle.has_files(&given.files) => {
                (id.clone(), bundle.clone(), given.plan)
            }
            (Some(given), current) => {
                let parent = current.as_ref().map(|(id, _)| id.clone());
                let plan_id = given.plan.id().to_string();
                let mut bundle = Bundle::new(parent, &who(), "gwp run", plan_id, given.files);
                bundle.leaving = leaving(current.as_ref().map(|(_, bundle)| bundle), &given.plan, stored)?;
                (history.put(&bundle)?, bundle, given.plan)
            }
        };
        let leaving = prepared(&bundle.leaving, &plan, node, stored)?;
        Ok(Begin { history, id, bundle, plan, leaving, seen })
    }

    /// Before the engine starts.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn about_to_start(&mut self) -> anyhow::Result<()> {
        let plan = self.plan.id().to_string();
        self.history.state.pending = Some(Pending { id: self.id.clone(), plan, probation: None });
        Ok(self.history.save()?)
    }

    /// Once it runs.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn started(mut self) -> anyhow::Result<History> {
        let state = &mut self.history.state;
        state.current = Some(self.id);
        state.pending = None;
        state.seen = self.seen.or(state.seen.take());
        self.history.save()?;
        self.history.prune();
        Ok(self.history)
    }
}

/// What a start begins with, by what is known here alone: in short what [`Begin`] finds.
pub enum Next<'a> {
    Files(&'a Given),
    /// A configuration, by its id.
    Kept(String),
    Nothing,
}

impl Next<'_> {
    pub fn new<'a>(history: &History, given: Option<&'a Given>) -> Next<'a> {
        let state = &history.state;
        let before = state.probation.as_ref().map(|probation| &probation.back_to);
        let is_new = |given: &Given| state.seen.as_ref() != Some(&fingerprint(&given.files));
        match (given, before.or(state.current.as_ref())) {
            (Some(given), None) => Next::Files(given),
            (Some(given), Some(_)) if is_new(given) => Next::Files(given),
            (_, Some(id)) => Next::Kept(id.clone()),
            (None, None) => Next::Nothing,
        }
    }
}

/// What was to be confirmed and was not before the process ended gives way to the configuration before it.
fn unconfirmed(history: &mut History, stored: &Stored<'_>) -> anyhow::Result<()> {
    let Some(probation) = history.state.probation.take() else { return Ok(()) };
    tracing::warn!(id = %probation.back_to, "what was applied last was not confirmed before the gateway ended; the configuration before it runs");
    let last = history.current()?;
    let (_, before) = history.find(&probation.back_to)?;
    let plan = compiled(&probation.back_to, &before)?;
    let message = "not confirmed before the gateway ended";
    let parent = last.as_ref().map(|(id, _)| id.clone());
    let mut bundle = Bundle::new(parent, "gwp", message, before.plan, before.files);
    // Sinks that only the program of the log has must deliver what they have taken.
    bundle.leaving = leaving(last.as_ref().map(|(_, bundle)| bundle), &plan, stored)?;
    let id = history.put(&bundle)?;
    keep(&id, plan);
    history.state.current = Some(id);
    Ok(())
}

/// Who starts a program from the command line.
pub fn who() -> String {
    let name = ["SUDO_USER", "USER", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "local".into())
}

/// Plans that were made last, by the id of their configuration, which is one of its content; newest first.
#[cfg_attr(test, derive(Default))]
struct Made(Vec<(String, Arc<Plan>)>);

/// A standby is ready for two around a change.
const MADE_MAX: usize = 2;

impl Made {
    fn find(&self, id: &str) -> Option<Arc<Plan>> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, plan)| plan.clone())
    }

    fn keep(&mut self, id: &str, plan: Arc<Plan>) {
        self.0.retain(|(known, _)| known != id);
        self.0.insert(0, (id.to_owned(), plan));
        self.0.truncate(MADE_MAX);
    }
}

static MADE: Mutex<Made> = Mutex::new(Made(Vec::new()));

fn made() -> MutexGuard<'static, Made> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the plan of a configuration: a node that takes over must not wait for the compiler.
pub fn keep(id: &str, plan: Arc<Plan>) {
    made().keep(id, plan);
}

/// The plan of a configuration, if it was made of late.
pub fn kept(id: &str) -> Option<Arc<Plan>> {
    made().find(id)
}

/// The plan of a configuration.
///
/// # Errors
/// This version of gwp finds errors in its files, which are printed.
pub fn compiled(id: &str, bundle: &Bundle) -> anyhow::Result<Arc<Plan>> {
    if let Some(plan) = kept(id) {
        return Ok(plan);
    }
    let compiled = compile(&bundle.files);
    match compiled.plan {
        Some(plan) => {
            let plan = Arc::new(plan);
            keep(id, plan.clone());
            Ok(plan)
        }
        None => {
            report::print_problems(&compiled.diagnostics, &compiled.sources);
            bail!(
                "configuration {id}, which was in force last, has errors for this version of gwp: mend its files and name them, as in `gwp run plant.gwp`"
            )
        }
    }
}

/// Sinks that leave with the change from `before` to `plan`, and those that have been leaving.
fn leaving(before: Option<&Bundle>, plan: &Plan, stored: &Stored<'_>) -> anyhow::Result<Vec<Leaves>> {
    let Some(before) = before else { return Ok(Vec::new()) };
    let read = stored.look(|store| Ok(read_plan(store, &before.plan)))?.flatten();
    let left = read.map(|old| left_behind(&old, &before.plan, plan, Removed::Drain));
    Ok(merged(&before.leaving, left.unwrap_or_default(), plan))
}

/// Sinks of `old` that `new` does not have, also not under another name.
pub fn left_behind(old: &Plan, old_id: &str, new: &Plan, how: Removed) -> Vec<Leaves> {
    let renames = new.renames();
    let goes_on = |name: &str| {
        new.sinks.iter().any(|sink| {
            *sink.name == *name || renames.former_names_of_sink(&sink.name).iter().any(|old| **old == *name)
        })
    };
    let left = old.sinks.iter().filter(|sink| !goes_on(&sink.name));
    left.map(|sink| Leaves { sink: sink.name.to_string(), plan: old_id.to_owned(), how }).collect()
}

/// Those that were leaving and those that leave now; what the plan has is not among them.
pub fn merged(before: &[Leaves], now: Vec<Leaves>, plan: &Plan) -> Vec<Leaves> {
    let still = |leaves: &&Leaves| {
        plan.sinks.iter().all(|sink| *sink.name != *leaves.sink)
            && now.iter().all(|other| other.sink != leaves.sink)
    };
    let before: Vec<Leaves> = before.iter().filter(still).cloned().collect();
    before.into_iter().chain(now).collect()
}

/// Sinks that have left and may not have ended, ready to run.
fn prepared(
    leaving: &[Leaves],
    plan: &Plan,
    node: &Node,
    stored: &Stored<'_>,
) -> anyhow::Result<Vec<LeavingSink>> {
    let in_plan = |leaves: &&Leaves| plan.sinks.iter().all(|sink| *sink.name != *leaves.sink);
    let wanted: Vec<&Leaves> = leaving.iter().filter(in_plan).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sinks = stored.look(|store| {
        let known: Vec<String> = store.sinks().map(|sink| sink.name.to_string()).collect();
        let mut sinks = Vec::new();
        for leaves in wanted.into_iter().filter(|leaves| known.contains(&leaves.sink)) {
            let Some(old) = read_plan(store, &leaves.plan).map(Arc::new) else { continue };
            let at = old.sinks.iter().position(|sink| *sink.name == *leaves.sink);
            let Some(index) = at else { continue };
            let mut errors = Vec::new();
            match prepare::sink(&old, &old.sinks[index], node, &mut errors) {
                Some(sink) => sinks.push(LeavingSink { plan: old, index, sink, how: leaves.how }),
                None => {
                    tracing::warn!(sink = %leaves.sink, errors = errors.join("; "), "it has left the plan and cannot be run to deliver what waits; that is kept until it is too old")
                }
            }
        }
        Ok(sinks)
    })?;
    Ok(sinks.unwrap_or_default())
}

fn read_plan(store: &Store, id: &str) -> Option<Plan> {
    let id: PlanId = id.parse().ok()?;
    let bytes = store.plan_reader().get(id).ok()??;
    Plan::from_bytes(&bytes).ok()
}

/// The store of a data directory, open or not.
struct Stored<'a> {
    data: &'a Path,
    open: Option<&'a Store>,
}

impl Stored<'_> {
    /// Looks into it, if there is one.
    fn look<T>(&self, look: impl FnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        if let Some(store) = self.open {
            return look(store).map(Some);
        }
        if !self.data.join("store").exists() {
            return Ok(None);
        }
        let opened = Store::open(self.data).context("the store cannot be looked into")?;
        look(&opened.store).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_plans_are_kept() {
        let plan = |value: u32| {
            let text = format!(
                "source s : simulator {{ scan = 1 s\n  tag a at \"constant {value}\" : int\n}}\nsink o : csv {{ path = \"o.csv\" }}\nflow f = s -> o\n"
            );
            Arc::new(compile(&[File { name: "p.gwp".into(), text }]).plan.expect("a program"))
        };
        let (mut made, first, second) = (Made::default(), plan(1), plan(2));
        made.keep("1", first.clone());
        made.keep("2", second.clone());
        assert!(Arc::ptr_eq(&made.find("1").unwrap(), &first));
        made.keep("1", first.clone());
        made.keep("3", plan(3));
        assert!(made.find("2").is_none(), "the oldest goes");
        assert!(Arc::ptr_eq(&made.find("1").unwrap(), &first));
        assert_eq!(made.0.len(), MADE_MAX);
    }
}
