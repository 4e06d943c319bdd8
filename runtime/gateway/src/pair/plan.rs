//! The program of a node that is not active: that of the active, as the copy of its store says.
//!
//! ```text
//! follower --copied--> taken: programs, what is in force and what is about to be  --> data/configurations/
//!                        | other than before
//!                        v
//!                      judged: does it compile here, has it all it needs?
//!                        | machine: Configured, AlsoConfigured, Ready      people: log, `gwp pair status`, `gwp status`
//! ```
//! A node that cannot run what is in force is no standby and does not stand. Why, is looked at again from time to time:
//! a secret that is in a file may be there by then.

use super::desk::PairDesk;
use crate::configuration::bundle::{Bundle, compile, fingerprint};
use crate::configuration::history::History;
use crate::configuration::prepare;
use crate::configuration::shared;
use crate::configuration::start::{Given, Next, keep, kept};
use crate::node::Node;
use anyhow::Context;
use gwp_cluster::driver::Inputs;
use gwp_core::PlanId;
use gwp_engine::status::EngineStatus;
use gwp_journal::Replica;
use gwp_plan::Plan;
use gwp_redundancy::node::{Configured, Input};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked again whether a program can run here that could not.
const AGAIN: Duration = Duration::from_secs(5);

/// What a node would run by itself, or why it cannot.
///
/// # Errors
/// Its history cannot be read.
pub fn at_start(node: &Node, given: Option<&Given>) -> anyhow::Result<Result<PlanId, String>> {
    let history = History::open(&node.data)?;
    Ok(match Next::new(&history, given) {
        Next::Files(given) => prepared(node, &given.plan),
        Next::Kept(id) => {
            let bundle = history.get(&id).context("what was in force last")?;
            judge(node, &(id, bundle))
        }
        Next::Nothing => Err(NOTHING.into()),
    })
}

const NOTHING: &str =
    "nothing has been in force here yet, and no files are named: it takes over what its peer runs";

/// Whether a program can run on this node, and as which plan.
fn judge(node: &Node, (of, bundle): &(String, Bundle)) -> Result<PlanId, String> {
    let plan = match kept(of) {
        Some(plan) => plan,
        None => {
            let compiled = compile(&bundle.files);
            let Some(plan) = compiled.plan else {
                let said = crate::configuration::desk::summary(&compiled.diagnostics, &compiled.sources);
                return Err(format!("it has errors for this version of gwp: {said}"));
            };
            Arc::new(plan)
        }
    };
    let id = prepared(node, &plan)?;
    match id.to_string() == bundle.plan {
        true => {
            keep(of, plan);
            Ok(id)
        }
        false => Err(format!(
            "this version of gwp makes another plan of it ({id} instead of {}): run the same version on both nodes",
            bundle.plan
        )),
    }
}

fn prepared(node: &Node, plan: &Plan) -> Result<PlanId, String> {
    prepare::components(plan, node).map(|_| plan.id()).map_err(|errors| errors.join("; "))
}

/// Follows the program of the active while this node is not.
pub struct Following {
    node: Arc<Node>,
    given: Option<Given>,
    inputs: Inputs,
    desk: Arc<PairDesk>,
    /// For `gwp status` of this node.
    status: Arc<EngineStatus>,
    /// What the copy said last.
    last: Mutex<Option<Vec<u8>>>,
    taken: watch::Sender<Option<Taken>>,
    in_force: watch::Sender<Option<PlanId>>,
}

/// What is in force by the copy, and what is about to be.
#[derive(Clone, PartialEq)]
struct Taken {
    current: Option<(String, Bundle)>,
    pending: Option<(String, Bundle)>,
}

/// What the machine was told.
#[derive(Default)]
struct Told {
    newest: Option<PlanId>,
    also: Option<PlanId>,
    problem: Option<String>,
}

impl Following {
    pub fn new(
        node: Arc<Node>,
        given: Option<Given>,
        inputs: Inputs,
        desk: Arc<PairDesk>,
        status: Arc<EngineStatus>,
    ) -> Following {
        let (taken, in_force) = (watch::Sender::new(None), watch::Sender::new(None));
        Following { node, given, inputs, desk, status, last: Mutex::default(), taken, in_force }
    }

    /// The plan that is in force by the copy and can run here.
    pub fn in_force(&self) -> watch::Receiver<Option<PlanId>> {
        self.in_force.subscribe()
    }

    /// The copy has come further: takes over what is new in it.
    pub fn copied(&self, replica: &Replica) {
        if let Err(error) = self.take(replica) {
            let error = format!("{error:#}");
            self.taken.send_if_modified(|taken| {
                *taken = None;
                false
            });
            tracing::error!(%error, "the program of the active cannot be taken over");
            self.cannot(&error);
        }
    }

    fn take(&self, replica: &Replica) -> anyhow::Result<()> {
        let Some(kept) = replica.configurations() else { return Ok(()) };
        let state = kept.state()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == state {
            return Ok(());
        }
        last.clone_from(&state);
        let mut history = History::open(&self.node.data)?;
        let own = history.state.current.clone();
        let active = shared::take_over(&mut history, &kept)?;
        if let Some(own) = own.filter(|own| kept.ids().is_ok_and(|ids| !ids.contains(own))) {
            tracing::warn!(kept_as = %own, "what was in force on this node last is not in the history of the active, whose program it takes over: `gwp history ID` shows it");
        }
        let pending = history.state.pending.clone();
        let read = |id: &Option<String>| -> anyhow::Result<Option<(String, Bundle)>> {
            let Some(id) = id else { return Ok(None) };
            Ok(Some((id.clone(), history.get(id).context("what is in force is not in the copy")?)))
        };
        let (current, pending) = (read(&history.state.current)?, read(&pending.map(|pending| pending.id))?);
        self.file_counts(&mut history, current.as_ref().or(pending.as_ref()))?;
        history.save()?;
        history.prune();
        self.desk.set_active(active);
        let taken = Taken { current, pending };
        self.taken.send_if_modified(|before| {
            let is_new = before.as_ref() != Some(&taken);
            *before = Some(taken);
            is_new
        });
        Ok(())
    }

    /// The files of this command count as taken: what runs now is newer. If they were not taken before, they are kept.
    fn file_counts(&self, history: &mut History, now: Option<&(String, Bundle)>) -> anyhow::Result<()> {
        let (Some(given), Some((id, bundle))) = (&self.given, now) else { return Ok(()) };
        let seen = Some(fingerprint(&given.files));
        if history.state.seen == seen {
            return Ok(());
        }
        history.state.seen = seen;
        if bundle.has_files(&given.files) {
            return Ok(());
        }
        let who = crate::configuration::start::who();
        let plan = given.plan.id().to_string();
        let own = Bundle::new(None, &who, "gwp run, not in force", plan, given.files.clone());
        let kept_as = history.put(&own)?;
        tracing::warn!(in_force = %id, author = %bundle.author, time = %bundle.time, %kept_as, "the files of this command say another program than the active runs, whose program this node takes over; theirs is kept: `gwp history ID` shows it, `gwp apply` at the active puts it in force");
        Ok(())
    }

    /// Judges what was taken over, until it is ended.
    pub async fn judge(self: Arc<Self>) {
        let problem = self.desk.problem();
        let (mut taken, mut told) = (self.taken.subscribe(), Told { problem, ..Told::default() });
        loop {
            let again = async {
                match told.problem {
                    Some(_) => tokio::time::sleep(AGAIN).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = taken.changed() => if changed.is_err() { return },
                () = again => {}
            }
            let Some(now) = taken.borrow_and_update().clone() else {
                self.look_again(&mut told).await;
                continue;
            };
            // What is new is not known to be wrong.
            self.inputs.send(Input::Ready(true));
            let (node, of) = (self.node.clone(), now.clone());
            let judged = tokio::task::spawn_blocking(move || {
                let judge = |one: &(String, Bundle)| judge(&node, one);
                (of.current.as_ref().map(judge), of.pending.as_ref().map(judge))
            });
            let Ok((current, pending)) = judged.await else { continue };
            self.tell(&now, current, pending, &mut told);
        }
    }

    /// Nothing was taken over yet, and what this node would run by itself could not run: it may by now.
    async fn look_again(&self, told: &mut Told) {
        let (node, given) = (self.node.clone(), self.given.clone());
        let look = tokio::task::spawn_blocking(move || at_start(&node, given.as_ref())).await;
        if let Ok(Ok(Ok(plan))) = look {
            tracing::info!(%plan, "this node can run its program");
            self.inputs.send(Input::Configured(Some(Configured { plan, ..Configured::default() })));
            self.desk.set_plan(Some(plan));
            self.desk.set_problem(None);
            *told = Told { newest: Some(plan), ..Told::default() };
        }
    }

    fn tell(
        &self,
        taken: &Taken,
        current: Option<Result<PlanId, String>>,
        pending: Option<Result<PlanId, String>>,
        told: &mut Told,
    ) {
        let id = |one: &Option<(String, Bundle)>| one.as_ref().map_or_else(String::new, |(id, _)| id.clone());
        // The first one of all is not yet in force, and there is none before it.
        let (in_force, next, of) = match current {
            Some(current) => (current, pending, &taken.current),
            None => match pending {
                Some(pending) => (pending, None, &taken.pending),
                None => return,
            },
        };
        let plan = match in_force {
            Ok(plan) => plan,
            Err(why) => {
                // Of what was about to be in force the same may have been said.
                if told.newest.is_some() || told.problem.as_ref() != Some(&why) {
                    tracing::error!(id = %id(of), %why, "the program that is in force cannot run here: this node is no standby");
                    self.cannot(&why);
                }
                *told = Told { problem: Some(why), ..Told::default() };
                return;
            }
        };
        self.in_force.send_if_modified(|in_force| in_force.replace(plan) != Some(plan));
        let before = [told.newest, told.also].into_iter().flatten().find(|before| *before != plan);
        let (newest, also, problem) = match next {
            None => (plan, before, None),
            Some(Ok(next)) => (next, Some(plan), None),
            Some(Err(why)) => (plan, before, Some(why)),
        };
        if told.newest != Some(newest) || told.problem.is_some() {
            tracing::info!(id = %id(if newest == plan { of } else { &taken.pending }), plan = %newest, "this node has the program of the active, and can run it");
        }
        let configured = |plan| Configured { plan, ..Configured::default() };
        // The other one first: between the two nothing is lost.
        self.inputs.send(Input::AlsoConfigured(also.map(configured)));
        self.inputs.send(Input::Configured(Some(configured(newest))));
        self.inputs.send(Input::Ready(problem.is_none()));
        self.desk.set_plan(Some(newest));
        if let Some(why) = problem.as_ref().filter(|_| told.problem != problem) {
            tracing::error!(id = %id(&taken.pending), %why, "the program that is about to be in force cannot run here");
        }
        if told.newest != Some(newest) {
            self.desk.set_refused(None);
        }
        if let (Some(why), Some((id, bundle))) = (&problem, &taken.pending) {
            let (author, time) = (&bundle.author, &bundle.time);
            let refused =
                format!("what {author} wanted to put in force ({id}, {time}) cannot run here: {why}");
            self.desk.set_refused(Some(&refused));
        }
        let shown = problem.as_ref().map(|why| format!("what is about to be in force: {why}"));
        self.desk.set_problem(shown.as_deref());
        self.status.set_notice(shown.as_deref());
        *told = Told { newest: Some(newest), also, problem };
    }

    /// This node cannot run what is in force.
    fn cannot(&self, why: &str) {
        self.inputs.send(Input::AlsoConfigured(None));
        self.inputs.send(Input::Configured(None));
        self.desk.set_plan(None);
        self.desk.set_refused(None);
        self.desk.set_problem(Some(why));
        self.status.set_notice(Some(&format!("the program of the active cannot run here: {why}")));
    }
}
