//! For model checkers, which keep `now` and let everything else come nearer or move away, and
//! in which states that differ only in what cannot matter any more are one.

use super::{Node, Role, Seen};
use crate::failback::Failback;
use crate::health::Health;
use crate::lease::Basis;
use crate::member::Member;
use crate::message::{Body, Message, NodeReport, Report, Stance};
use crate::mono::{Mono, age, near};
use crate::policy::Quorum;

impl Node {
    /// `ns` pass by this node's clock.
    pub(crate) fn age(&mut self, ns: u64, now: Mono) {
        let mut past: Vec<&mut Mono> = vec![
            &mut self.since,
            &mut self.sequencer_moved,
            &mut self.store_moved,
            &mut self.peer.at,
            &mut self.witness.at,
        ];
        past.extend(self.holder.instants());
        past.extend(self.switch.instants());
        past.extend(self.failback.instants());
        past.extend(self.better.instants());
        past.into_iter().for_each(|instant| age(instant, ns));
        let due = [
            &mut self.voter.until,
            &mut self.next_beat,
            &mut self.peer_hello_at,
            &mut self.next_witness_hello,
            &mut self.stand_after,
            &mut self.peer.free_at,
            &mut self.witness.free_at,
        ];
        due.into_iter().chain(self.lease.instants()).for_each(|instant| near(instant, ns, now));
    }

    /// `ns` pass by the peer's clock.
    pub(crate) fn age_heard(&mut self, ns: u64) {
        let owed = self.owed.iter_mut().map(|(_, sent)| sent);
        for instant in owed.chain([&mut self.peer_sent]).chain(self.switch.heard()) {
            age(instant, ns);
        }
    }

    /// Gives what cannot matter any more one value. For pairs that fail back by hand, whose
    /// nodes are as healthy as each other and whose witness is never too silent; between two
    /// steps, with all on disk.
    pub(crate) fn forget(&mut self, now: Mono) {
        let timing = self.settings.timing;
        let longest = match self.role {
            Role::Candidate => timing.lease,
            Role::Starting | Role::CatchingUp | Role::Fenced => self.hold(),
            _ => 0,
        };
        if now.since(self.since) >= longest {
            self.since = Mono(1);
        }
        self.failback = Failback::new(self.settings.failback, Mono(1));
        self.better = Health::default();
        // That the peer was in step matters, not when.
        self.holder.in_step_since = self.holder.in_step_since.min(Mono(1));
        self.switch.instants().into_iter().for_each(|since| *since = Mono(1));
        // How long it counts that an active was heard, and, without a witness, that anybody was.
        let active = self.is_active(&self.peer.report);
        if !active {
            self.peer.report.stance = Stance::Aside;
        }
        let news =
            if active || self.settings.quorum != Quorum::Witnessed { timing.promise } else { timing.lease };
        let candidate = self.role == Role::Candidate;
        forget_seen(&mut self.peer, now, (timing.lease, news), candidate && now < self.lease.peer);
        let votes = candidate && now < self.lease.witness;
        // Who is active by an operator's word waits for a witness that it hears.
        let news = if self.lease.basis == Basis::Forced { timing.promise } else { timing.lease };
        forget_seen(&mut self.witness, now, (timing.lease, news), votes);
    }
}

/// `lease`: how long its vote is counted on; `news`: how long its stance is.
fn forget_seen(seen: &mut Seen, now: Mono, (lease, news): (u64, u64), votes: bool) {
    let Report { stance, epoch, promise, before, mark, node, .. } = seen.report;
    let heard = seen.within(now, news);
    if !heard && seen.at != Mono::NEVER {
        seen.at = Mono(1);
    }
    // Of an active one it is the switchover that matters, even if it has fallen silent.
    let active = stance == Stance::Active && (heard || node.switching);
    if active || !seen.within(now, lease) {
        seen.free_at = Mono::NEVER;
    }
    seen.report = Report {
        stance: if active { Stance::Active } else { Stance::Aside },
        epoch: if active { epoch } else { 0 },
        relinquished: 0,
        promise,
        bound_for: 0,
        before: if votes { before } else { Default::default() },
        mark: mark.filter(|_| votes),
        node: NodeReport {
            configured: node.configured,
            ready: node.ready && seen.within(now, lease),
            switching: node.switching && active,
            ..NodeReport::default()
        },
    };
}

impl Message {
    /// The same to whoever hears it: what this listener makes nothing of has one value.
    pub(crate) fn heard_by(&self, to: Member) -> Message {
        let Message { report, body } = *self;
        let granted = matches!(body, Body::Vote { granted: true, .. });
        if to == Member::Witness {
            let nothing = Report {
                stance: Stance::Witness,
                epoch: 0,
                relinquished: report.relinquished,
                promise: Default::default(),
                bound_for: 0,
                before: Default::default(),
                mark: None,
                node: NodeReport::default(),
            };
            return Message { report: nothing, body };
        }
        let asks = matches!(body, Body::Ask { .. });
        let active = report.stance == Stance::Active;
        let report = Report {
            stance: report.stance,
            epoch: if active { report.epoch } else { 0 },
            relinquished: report.relinquished,
            promise: report.promise,
            bound_for: report.bound_for,
            before: if granted { report.before } else { Default::default() },
            mark: report.mark.filter(|_| granted),
            node: NodeReport {
                configured: report.node.configured,
                paired: report.node.paired && active && asks,
                switching: report.node.switching && (active || asks),
                health: report.node.health,
                ready: report.node.ready,
            },
        };
        // A refusal is a word like any other.
        let body = if matches!(body, Body::Vote { granted: false, .. }) { Body::Hello } else { body };
        Message { report, body }
    }
}
