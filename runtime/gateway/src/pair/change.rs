//! A change of the program at the active of a pair: what it asks of the peer, and what the machine is told.
//!
//! ```text
//! may_change --> bundle, pending in the store --> staged: the peer says it can run it
//!                  record of the switch in the log --> in_force: the machine knows
//!                  current in the store --> held: the peer has all of that
//! ```
//! Each step is in the row of changes of the store: a node that takes over between two of them decides by its copy.

use super::desk::PairDesk;
use gwp_cluster::driver::Look;
use gwp_console::Refusal;
use gwp_core::PlanId;
use gwp_redundancy::node::{Configured, Input, Role};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the peer may take to read a program and to say that it can run it.
const STAGED_WAIT: Duration = Duration::from_secs(15);

/// How long an answer waits for the peer to have what it is about.
const HELD_WAIT: Duration = Duration::from_secs(3);

const LOOK_EVERY: Duration = Duration::from_millis(10);

const REMEDY: &str = "`gwp pair status` there says why; with --single it is put in force here alone, and the peer takes it over when it can";

impl PairDesk {
    /// Whether the program may change now: with the peer in step, unless it is taken into account that it is not.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn may_change(&self, single: bool) -> Result<(), Refusal> {
        let Some(look) = self.inputs.look().await else {
            return Err(Refusal::Unavailable("the driver of the pair has ended".into()));
        };
        if look.role != Role::Active {
            return Err(Refusal::Unavailable(self.elsewhere()));
        }
        if !single && !self.is_in_step(&look) {
            let what = "the peer is away, or does not hold everything, or cannot run what runs here";
            return Err(Refusal::Conflict(format!("{what}. {REMEDY}")));
        }
        Ok(())
    }

    fn is_in_step(&self, look: &Look) -> bool {
        let hears = look.peer.as_ref().filter(|(_, silent)| *silent < self.settings.timing.lease);
        let same = hears.is_some_and(|(report, _)| Some(report.node.configured.plan) == self.plan());
        same && self.hub().is_some_and(|hub| hub.is_paired())
    }

    /// Waits until the peer has read a program that is about to be in force, and can run it.
    ///
    /// # Errors
    /// It cannot, or does not say so in time.
    pub async fn staged(&self, plan: PlanId) -> Result<(), Refusal> {
        let until = Instant::now() + STAGED_WAIT;
        // What it says of itself may be a beat old.
        let beats = 2 * Duration::from_nanos(self.settings.timing.beat);
        let mut refused: Option<Instant> = None;
        loop {
            let peer = self.inputs.look().await.and_then(|look| look.peer);
            match peer.filter(|(_, silent)| *silent < self.settings.timing.lease) {
                Some((report, _)) if report.node.configured.plan == plan => return Ok(()),
                Some((report, _)) if report.node.ready => refused = None,
                _ if refused.get_or_insert_with(Instant::now).elapsed() > beats => return Err(self.cannot()),
                _ => {}
            }
            if Instant::now() >= until {
                return Err(self.cannot());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the peer, if it is heard, has come to run this plan as well; what to warn of, if not.
    pub async fn follows(&self, plan: PlanId) -> Option<String> {
        let until = Instant::now() + HELD_WAIT;
        loop {
            let peer = self.inputs.look().await.and_then(|look| look.peer);
            let (report, _) = peer.filter(|(_, silent)| *silent < self.settings.timing.lease)?;
            if report.node.configured.plan == plan {
                return None;
            }
            if Instant::now() >= until {
                let peer = self.me.peer();
                return Some(format!(
                    "the {peer} does not run this program yet, so it is no standby: `gwp pair status` there says why"
                ));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn cannot(&self) -> Refusal {
        let peer = self.me.peer();
        Refusal::Conflict(format!("the {peer} does not say that it can run this program. {REMEDY}"))
    }

    /// This plan is in force here, at the active.
    pub fn in_force(&self, plan: PlanId) {
        self.set_plan(Some(plan));
        self.set_problem(None);
        self.set_refused(None);
        self.inputs.send(Input::AlsoConfigured(None));
        self.inputs.send(Input::Configured(Some(Configured { plan, ..Configured::default() })));
    }

    /// Waits until the peer has what is in the store by now; false if it is away, or takes too long.
    pub async fn held(&self) -> bool {
        let Some(hub) = self.hub() else { return false };
        let own = hub.figures().own;
        let wait = async {
            while hub.figures().peer < own {
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(HELD_WAIT, wait).await.is_ok()
    }
}
