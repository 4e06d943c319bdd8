//! Takes changes of the program while it runs: from the control interface, from SIGHUP, from saved files.

use super::bundle::{Bundle, File, Leaves, compile, fingerprint};
use super::history::{History, HistoryError, Pending, Probation};
use super::prepare;
use super::start::{left_behind, merged};
use crate::commands::program::{self, Program};
use crate::node::Node;
use crate::pair::desk::PairDesk;
use crate::report;
use gwp_compile::Compiled;
use gwp_console::console::utc;
use gwp_console::{ApplyOptions, Refusal};
use gwp_engine::{ChangeError, Changed, Engine, Removed, Step, Target};
use gwp_plan::Plan;
use gwp_plan::diff::Changes;
use gwp_syntax::{Diagnostic, Severity, SourceMap};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Configurations that are listed.
const SHOWN_MAX: usize = 100;

/// Takes changes of the program.
pub struct ChangeDesk {
    pub engine: Arc<Engine>,
    node: Arc<Node>,
    /// The pair, if this node is the active of one.
    peer: Option<Arc<PairDesk>>,
    /// One change at a time.
    history: tokio::sync::Mutex<History>,
    /// Goes back unless it is confirmed.
    probation: Mutex<Option<JoinHandle<()>>>,
}

/// A program that compiles, and is wanted.
struct Wanted {
    files: Vec<File>,
    plan: Arc<Plan>,
    warnings: Vec<Diagnostic>,
    sources: SourceMap,
}

impl Wanted {
    fn of(compiled: Compiled, files: Vec<File>) -> Result<Wanted, Refusal> {
        let Compiled { plan, diagnostics, sources, .. } = compiled;
        match plan {
            Some(plan) => Ok(Wanted { files, plan: Arc::new(plan), warnings: diagnostics, sources }),
            None => Err(Refusal::Invalid(report::json(&diagnostics, &sources))),
        }
    }

    fn diagnostics(&self) -> Value {
        report::json(&self.warnings, &self.sources)
    }
}

/// Who wants a change and why.
struct Reason<'a> {
    by: &'a str,
    message: String,
    /// Fingerprint of files of this machine that were taken.
    seen: Option<String>,
    /// It goes back: what is on probation is no reason against it.
    back: bool,
}

impl ChangeDesk {
    pub fn new(
        engine: Arc<Engine>,
        node: Arc<Node>,
        history: History,
        peer: Option<Arc<PairDesk>>,
    ) -> Arc<ChangeDesk> {
        let history = tokio::sync::Mutex::new(history);
        Arc::new(ChangeDesk { engine, node, peer, history, probation: Mutex::default() })
    }

    /// The difference between what runs and what these files say.
    ///
    /// # Errors
    /// The files have errors.
    pub async fn plan(&self, files: Vec<File>) -> Result<Value, Refusal> {
        let wanted = read(files).await?;
        let running = self.running()?;
        let node = self.node.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let problems = prepare::components(&wanted.plan, &node).err().unwrap_or_default();
            (Changes::between(&running, &wanted.plan), problems, wanted)
        });
        let (changes, problems, wanted) = compared.await.map_err(|error| unavailable(&error))?;
        Ok(json!({
            "running": self.engine.plan_id().to_string(),
            "plan": wanted.plan.id().to_string(),
            "changes": encoded(&changes),
            "journals": self.waiting(),
            "problems": problems,
            "diagnostics": wanted.diagnostics(),
        }))
    }

    /// Puts the program of these files in force.
    ///
    /// # Errors
    /// Why it is not; what ran before runs on.
    pub async fn apply(
        self: &Arc<Self>,
        files: Vec<File>,
        options: ApplyOptions,
        by: &str,
    ) -> Result<Value, Refusal> {
        let wanted = read(files).await?;
        let reason = Reason { by, message: options.message.clone(), seen: None, back: false };
        self.put_in_force(wanted, &options, reason).await
    }

    /// Puts the files of this machine in force, as they are now.
    pub async fn take_files(self: &Arc<Self>, files: &[PathBuf], why: &str) {
        let paths = files.to_vec();
        let loaded = tokio::task::spawn_blocking(move || program::load(&paths)).await;
        let status = &self.engine.status;
        let Program { plan, diagnostics, sources, .. } = match loaded {
            Ok(Ok(program)) => program,
            Ok(Err(error)) => return self.notice(&format!("{error:#}")),
            Err(error) => return self.notice(&error.to_string()),
        };
        report::print_problems(&diagnostics, &sources);
        let Some(plan) = plan else {
            return self.notice(&summary(&diagnostics, &sources));
        };
        let files = super::bundle::files_of(&sources);
        let seen = Some(fingerprint(&files));
        let wanted = Wanted { files, plan: Arc::new(plan), warnings: diagnostics, sources };
        let reason = Reason { by: &super::start::who(), message: why.to_owned(), seen, back: false };
        match self.put_in_force(wanted, &ApplyOptions::default(), reason).await {
            Ok(_) => status.set_notice(None),
            Err(refusal) => self.notice(&told(&refusal)),
        }
    }

    /// Something changed and is not in force.
    fn notice(&self, text: &str) {
        tracing::error!(reason = text, "the changed files are not in force; what ran before runs on");
        self.engine.status.set_notice(Some(text));
    }

    /// Puts a configuration of the history in force again.
    ///
    /// # Errors
    /// There is none such, or why it is not in force.
    pub async fn rollback(
        self: &Arc<Self>,
        id: &str,
        options: ApplyOptions,
        by: &str,
    ) -> Result<Value, Refusal> {
        let (id, bundle) = self.history.lock().await.find(id).map_err(refused)?;
        let wanted = read(bundle.files).await?;
        let message = match options.message.as_str() {
            "" => format!("rollback to {}: {}", &id[..8], bundle.message),
            message => message.to_owned(),
        };
        self.put_in_force(wanted, &options, Reason { by, message, seen: None, back: true }).await
    }

    /// Goes back from what was not confirmed in time; false if it was meanwhile.
    async fn go_back(self: &Arc<Self>, back_to: &str, seconds: u32) -> Result<bool, Refusal> {
        let mut history = self.history.lock().await;
        if history.state.probation.as_ref().is_none_or(|probation| probation.back_to != back_to) {
            return Ok(false);
        }
        let (_, bundle) = history.find(back_to).map_err(refused)?;
        let wanted = read(bundle.files).await?;
        let message = format!("not confirmed within {seconds} s");
        let reason = Reason { by: "gwp", message, seen: None, back: true };
        // Nobody is there to be asked, and what was not confirmed must not stay because the peer is away.
        let options = ApplyOptions { single: true, ..ApplyOptions::default() };
        self.put_in_force_with(&mut history, wanted, &options, reason).await.map(|_| true)
    }

    /// What was applied stays.
    ///
    /// # Errors
    /// Nothing waits to be confirmed.
    pub async fn confirm(&self) -> Result<Value, Refusal> {
        let mut history = self.history.lock().await;
        if history.state.probation.take().is_none() {
            return Err(Refusal::Conflict("nothing waits to be confirmed".into()));
        }
        self.end_probation();
        history.save().map_err(refused)?;
        self.held().await;
        Ok(json!({ "id": history.state.current }))
    }

    /// Nothing goes back by itself any more: the engine has ended.
    pub fn close(&self) {
        self.end_probation();
    }

    fn end_probation(&self) {
        let task = self.probation.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }

    /// What was in force, the newest first.
    pub async fn history(&self) -> Value {
        listed(self.history.lock().await.clone()).await
    }

    /// One configuration with its files.
    ///
    /// # Errors
    /// There is none such.
    pub async fn configuration(&self, id: &str) -> Result<Value, Refusal> {
        one(&*self.history.lock().await, id)
    }

    /// Samples that wait, by sink.
    pub fn waiting(&self) -> Value {
        use std::sync::atomic::Ordering::Relaxed;
        let graph = self.engine.status.graph();
        let sinks = graph.sinks.iter();
        sinks.map(|sink| (sink.name.to_string(), json!(sink.journal.pending_samples.load(Relaxed)))).collect()
    }

    fn running(&self) -> Result<Arc<Plan>, Refusal> {
        self.engine.plan().map_err(Refusal::Unavailable)
    }

    /// One change at a time: waits for one that is under way.
    async fn put_in_force(
        self: &Arc<Self>,
        wanted: Wanted,
        options: &ApplyOptions,
        reason: Reason<'_>,
    ) -> Result<Value, Refusal> {
        let mut history = self.history.lock().await;
        self.put_in_force_with(&mut history, wanted, options, reason).await
    }

    /// The same for who holds the history already.
    async fn put_in_force_with(
        self: &Arc<Self>,
        history: &mut History,
        wanted: Wanted,
        options: &ApplyOptions,
        reason: Reason<'_>,
    ) -> Result<Value, Refusal> {
        let (before, id) = (self.engine.plan_id().to_string(), wanted.plan.id().to_string());
        may(history, &wanted, options, &reason, &before)?;
        if let Some(peer) = &self.peer {
            peer.may_change(options.single).await?;
        }
        let current = history.current().map_err(refused)?;
        if let Some((current, _)) = current.as_ref().filter(|(_, bundle)| bundle.has_files(&wanted.files))
            && before == id
        {
            history.state.seen = reason.seen.or(history.state.seen.take());
            if reason.back {
                history.state.probation = None;
            }
            history.save().map_err(refused)?;
            let diagnostics = wanted.diagnostics();
            return Ok(json!({ "id": current, "plan": id, "unchanged": true, "diagnostics": diagnostics }));
        }
        let running = self.running()?;
        let (node, plan) = (self.node.clone(), wanted.plan.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare::components(&plan, &node));
        // Only the answer needs it: the change does not wait.
        let plan = wanted.plan.clone();
        let compared = tokio::task::spawn_blocking(move || Changes::between(&running, &plan));
        let components = prepared.await.map_err(|error| unavailable(&error))?;
        let components = components.map_err(|errors| Refusal::Invalid(json!(errors)))?;
        let pending = self.pending(history, current.as_ref(), &wanted, options, &reason)?;
        if let Some(peer) = self.peer.as_ref().filter(|_| !options.single)
            && let Err(refusal) = peer.staged(wanted.plan.id()).await
        {
            undone(history, &pending.id, &refusal);
            return Err(refusal);
        }
        let target = Target {
            plan: wanted.plan.clone(),
            sources: components.sources,
            sinks: components.sinks,
            removed: options.removed,
        };
        tracing::info!(id = %pending.id, by = reason.by, why = %reason.message, "a change is being put in force");
        let mut changed = match self.engine.change(target, &observed).await {
            Ok(changed) => changed,
            Err(error @ ChangeError::Stuck { .. }) => {
                // What is pending stays: at the next start the log says which plan holds.
                tracing::error!(%error, "a person must act");
                return Err(Refusal::Conflict(error.to_string()));
            }
            Err(error) => {
                undone(history, &pending.id, &error);
                return Err(Refusal::Conflict(error.to_string()));
            }
        };
        let bundle_id = self.now_current(history, pending, &changed, reason.seen, options);
        if !self.held().await {
            let what = "the peer does not have the change yet: it takes it over when it is back";
            changed.warnings.push(what.into());
        } else if options.single
            && let Some(peer) = &self.peer
        {
            changed.warnings.extend(peer.follows(changed.plan).await);
        }
        let changes = compared.await.map_err(|error| unavailable(&error))?;
        Ok(answer(&bundle_id, &changed, &changes, &wanted, options))
    }

    /// Keeps the bundle, and that it is about to be in force.
    fn pending(
        &self,
        history: &mut History,
        current: Option<&(String, Bundle)>,
        wanted: &Wanted,
        options: &ApplyOptions,
        reason: &Reason<'_>,
    ) -> Result<Pending, Refusal> {
        let parent = current.map(|(id, _)| id.clone());
        let plan = wanted.plan.id().to_string();
        let files = wanted.files.clone();
        let mut bundle = Bundle::new(parent.clone(), reason.by, &reason.message, plan.clone(), files);
        bundle.leaving = self.leaving(current.map(|(_, bundle)| bundle), &wanted.plan, options.removed)?;
        let id = history.put(&bundle).map_err(refused)?;
        let pending = Pending { id, plan, probation: probation(options, parent) };
        history.state.pending = Some(pending.clone());
        history.save().map_err(refused)?;
        Ok(pending)
    }

    /// What was pending is in force; gives its id.
    fn now_current(
        self: &Arc<Self>,
        history: &mut History,
        pending: Pending,
        changed: &Changed,
        seen: Option<String>,
        options: &ApplyOptions,
    ) -> String {
        if let Some(peer) = &self.peer {
            peer.in_force(changed.plan);
        }
        let id = pending.id;
        history.state.pending = None;
        history.state.current = Some(id.clone());
        history.state.seen = seen.or(history.state.seen.take());
        history.state.probation = pending.probation;
        self.watch_probation(history.state.probation.as_ref(), options);
        if let Err(error) = history.save() {
            // What is pending on disk, and the plan the log names, say the same.
            tracing::error!(%error, "the change is in force, but the history cannot be written");
        }
        history.prune();
        self.engine.status.set_notice(None);
        tracing::info!(%id, plan = %changed.plan, at = %changed.at.map_or_else(String::new, |at| at.to_string()), "the change is in force");
        id
    }

    /// In a pair: waits for the peer to have what was done; false if it does not come to that.
    async fn held(&self) -> bool {
        let Some(peer) = &self.peer else { return true };
        self.engine.flush().await;
        peer.held().await
    }

    /// Sinks that have not ended, and those that leave with this change.
    fn leaving(
        &self,
        before: Option<&Bundle>,
        plan: &Plan,
        removed: Removed,
    ) -> Result<Vec<Leaves>, Refusal> {
        let running = self.running()?;
        let graph = self.engine.status.graph();
        let at_work =
            |leaves: &&Leaves| graph.sinks.iter().any(|sink| sink.leaving && *sink.name == *leaves.sink);
        let before: Vec<Leaves> =
            before.iter().flat_map(|bundle| &bundle.leaving).filter(at_work).cloned().collect();
        let now = left_behind(&running, &graph.plan.to_string(), plan, removed);
        Ok(merged(&before, now, plan))
    }

    /// Has the configuration before come back in time, unless it is confirmed.
    fn watch_probation(self: &Arc<Self>, probation: Option<&Probation>, options: &ApplyOptions) {
        let task = probation.zip(options.confirm_within_s).map(|(probation, seconds)| {
            let (desk, back_to) = (self.clone(), probation.back_to.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                tracing::warn!(id = %back_to, "what was applied was not confirmed in time; going back");
                while let Err(refusal) = desk.go_back(&back_to, seconds).await {
                    desk.notice(&told(&refusal));
                    tokio::time::sleep(GO_BACK_AGAIN).await;
                }
            })
        });
        // A task that goes back itself has come to its end by then: it is let go, not ended.
        *self.probation.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }
}

/// How long to wait before going back is tried again.
const GO_BACK_AGAIN: Duration = Duration::from_secs(10);

fn probation(options: &ApplyOptions, parent: Option<String>) -> Option<Probation> {
    let seconds = options.confirm_within_s?;
    Some(Probation { back_to: parent?, until_ms: utc().0 / 1_000_000 + i64::from(seconds) * 1_000 })
}

/// Whether a change is wanted that may be made now.
fn may(
    history: &History,
    wanted: &Wanted,
    options: &ApplyOptions,
    reason: &Reason<'_>,
    before: &str,
) -> Result<(), Refusal> {
    if let Some(expected) = options.expected.as_ref().filter(|expected| expected.as_str() != before) {
        return Err(Refusal::Conflict(format!("plan {before} runs, not {expected}: plan again")));
    }
    if wanted.plan.sources.is_empty() || wanted.plan.sinks.is_empty() {
        // Most likely a file that was cut short on its way here.
        let what = "the program has no source or no sink: to end everything, stop the gateway";
        return Err(Refusal::Conflict(what.into()));
    }
    if history.state.probation.is_some() && !reason.back {
        let what = "what was applied last waits to be confirmed: `gwp confirm`, or `gwp rollback` first";
        return Err(Refusal::Conflict(what.into()));
    }
    Ok(())
}

/// Compiles what was sent.
async fn read(files: Vec<File>) -> Result<Wanted, Refusal> {
    let read = tokio::task::spawn_blocking(move || Wanted::of(compile(&files), files));
    read.await.map_err(|error| unavailable(&error))?
}

fn observed(step: Step) -> Result<(), String> {
    let done = match step {
        Step::Prepared => "the store is ready",
        Step::Stopped => "what differs is stopped",
        Step::Drilled => "new components have what they need",
        Step::Switched => "the record has its position",
        Step::Durable => "the record is on disk",
        Step::Started => "what is new runs",
    };
    tracing::debug!(done, "change");
    Ok(())
}

fn answer(id: &str, changed: &Changed, changes: &Changes, wanted: &Wanted, options: &ApplyOptions) -> Value {
    json!({
        "id": id,
        "before": changed.before.to_string(),
        "plan": changed.plan.to_string(),
        "at": changed.at.map(|at| at.to_string()),
        "confirm_within_s": options.confirm_within_s,
        "changes": encoded(changes),
        "warnings": changed.warnings,
        "diagnostics": wanted.diagnostics(),
    })
}

/// A change is not in force.
fn undone(history: &mut History, id: &str, why: &dyn std::fmt::Display) {
    tracing::error!(error = %why, "a change is not in force");
    history.state.pending = None;
    history.take_back(id);
    if let Err(error) = history.save() {
        tracing::warn!(%error, "the state of the configurations cannot be written");
    }
}

/// What was in force, the newest first.
pub async fn listed(history: History) -> Value {
    let read = history.clone();
    let list = tokio::task::spawn_blocking(move || read.list(SHOWN_MAX)).await.unwrap_or_default();
    let entry = |(id, bundle): (String, Bundle)| {
        json!({
            "id": id,
            "parent": bundle.parent,
            "author": bundle.author,
            "time": bundle.time,
            "message": bundle.message,
            "plan": bundle.plan,
            "files": bundle.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>(),
        })
    };
    let probation = history.state.probation.as_ref();
    json!({
        "current": history.state.current,
        "unconfirmed_until": probation.map(|probation| gwp_core::Timestamp(probation.until_ms * 1_000_000).to_string()),
        "configurations": list.into_iter().map(entry).collect::<Vec<_>>(),
    })
}

/// One configuration with its files, by the beginning of its id.
///
/// # Errors
/// There is none such, or several.
pub fn one(history: &History, id: &str) -> Result<Value, Refusal> {
    let (id, bundle) = history.find(id).map_err(refused)?;
    let mut value = encoded(&bundle);
    value["id"] = id.into();
    Ok(value)
}

/// Plain data as JSON.
fn encoded(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn unavailable(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

fn refused(error: HistoryError) -> Refusal {
    match error {
        HistoryError::Unknown(_) => Refusal::NotFound(error.to_string()),
        HistoryError::Ambiguous(_) => Refusal::Conflict(error.to_string()),
        HistoryError::File(..) | HistoryError::Damaged(_) => {
            Refusal::Unavailable(gwp_core::sink::with_causes(&error))
        }
    }
}

/// A refusal in a line.
fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(Value::Array(all)) => {
            let text =
                |value: &Value| value.as_str().or_else(|| value["message"].as_str()).map(str::to_owned);
            all.iter().filter_map(text).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// The first error and how many there are.
pub fn summary(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let mut errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let Some(first) = errors.next() else { return String::new() };
    let more = errors.count();
    let place = sources.place(first.span);
    let first = format!("{place}: {}: {}", first.code, first.message);
    if more == 0 { first } else { format!("{first} (and {more} more)") }
}
