//! When time alone may change what a node does.

use super::switching::Switch;
use super::{Node, Role, Seen};
use crate::limits;
use crate::mono::Mono;

impl Node {
    /// The next instant after `now`, which is that of the last step, at which a tick may do something: until then
    /// only other inputs do. [`Mono::FOREVER`] = none is known.
    ///
    /// Three things have no instant here, as a step in each beat is often enough for them: words for people about who
    /// is silent, failback, and how healthy the nodes are.
    pub fn due(&self, now: Mono) -> Mono {
        let timing = &self.settings.timing;
        let heard = |seen: &Seen| [seen.free_at, seen.at.plus(timing.promise)];
        let lasts = match self.role {
            Role::Candidate => timing.lease,
            Role::Activating => limits::ACTIVATE_MAX,
            Role::Starting | Role::CatchingUp | Role::Fenced => self.hold(),
            _ => 0,
        };
        let switch = match self.switch {
            Switch::Preparing { since } => since.plus(limits::PREPARE_MAX),
            Switch::Draining { since, .. } => since.plus(limits::DRAIN_MAX),
            Switch::None | Switch::Asked | Switch::Prepared | Switch::Failed => Mono::NEVER,
        };
        let promise = if mutant!("end_of_promise_not_due") { Mono::NEVER } else { self.voter.until };
        let own =
            [self.next_beat, self.lease_until(), promise, self.since.plus(lasts), self.stand_after, switch];
        let all = own.into_iter().chain(heard(&self.peer)).chain(heard(&self.witness));
        all.filter(|at| *at > now).min().unwrap_or(Mono::FOREVER)
    }
}
