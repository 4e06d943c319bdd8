//! What a node makes of what it hears.

use super::{Event, Node, Output, Role, Seen};
use crate::member::{Epoch, Member};
use crate::message::{Body, Message, Report, Stance};
use crate::mono::Mono;
use crate::vote::Verdict;

impl Node {
    pub(super) fn hear(&mut self, now: Mono, from: Member, message: Message, out: &mut Vec<Output>) {
        let Message { report, body } = message;
        match from {
            Member::Witness => {
                note(&mut self.witness, now, report);
                match body {
                    Body::Vote { epoch, sent, granted } => self.vote(now, from, epoch, sent, granted, out),
                    Body::Marked(mark) => self.marked(mark, out),
                    Body::Hello | Body::Ask { .. } | Body::Mark(_) => {}
                }
            }
            Member::Node(node) if node == self.peer() => {
                note(&mut self.peer, now, report);
                self.peer_off = false;
                self.heed(now, &report, out);
                match body {
                    Body::Ask { epoch, sent } => self.answer(now, epoch, sent, &report, out),
                    Body::Vote { epoch, sent, granted } => self.vote(now, from, epoch, sent, granted, out),
                    Body::Hello | Body::Mark(_) | Body::Marked(_) => {}
                }
            }
            Member::Node(_) => {}
        }
    }

    /// What the peer's report alone changes.
    fn heed(&mut self, now: Mono, report: &Report, out: &mut Vec<Output>) {
        self.voter.relinquished(self.settings.me.peer(), report.relinquished);
        self.peer_gave_up = self.peer_gave_up.max(report.relinquished);
        // One that it led and is over counts, too: it can follow nobody in a lower one.
        let over = if mutant!("lower_epoch_goes_on") { 0 } else { report.relinquished };
        let led = if report.stance == Stance::Active { report.epoch.max(over) } else { over };
        let held = self.lease.epoch;
        self.leader = self.leader.max(led);
        if self.role.holds() && led > held {
            out.push(Output::Notify(Event::DualActive { epoch: held, higher: led }));
            self.lose(now, out);
        }
    }

    /// The peer wants this node's vote.
    fn answer(&mut self, now: Mono, epoch: Epoch, sent: Mono, report: &Report, out: &mut Vec<Output>) {
        if self.disk.failed || self.switch_takes(now, epoch, sent, report, out) {
            return;
        }
        // Of two candidates the one with the higher epoch goes on; nothing rests on the other's own vote.
        let active = self.is_active(report);
        let outdone = epoch > self.lease.epoch || active;
        if self.role == Role::Candidate && outdone {
            self.step_aside(now, out);
        }
        match self.voter.ask(now, &self.settings.timing, self.peer(), epoch) {
            Verdict::Denied => {
                self.send(now, Member::Node(self.peer()), Body::Vote { epoch, sent, granted: false }, out);
            }
            Verdict::Given | Verdict::Renewed => self.owed = Some((epoch, sent)),
        }
        if active {
            self.follow(now, epoch, sent, report, out);
        }
    }

    /// Whether the peer is active by this report. One of an epoch that it gave up since is late.
    pub(super) fn is_active(&self, report: &Report) -> bool {
        report.stance == Stance::Active && report.epoch > self.peer_gave_up
    }

    /// The peer is active: this node is its standby, or on the way to be.
    fn follow(&mut self, now: Mono, epoch: Epoch, sent: Mono, report: &Report, out: &mut Vec<Output>) {
        let newer = epoch > self.followed;
        if epoch < self.leader || (!newer && sent < self.peer_sent) {
            return;
        }
        if newer {
            self.failback.switched(now);
        }
        (self.followed, self.peer_sent) = (epoch, sent);
        self.peer_hello_at = now.plus(2 * self.settings.timing.beat + 1);
        // Around a change it is ready for both: the log says which.
        let theirs = Some(report.node.configured);
        let same = self.configured == theirs || self.also == theirs;
        let in_step = report.node.paired && same;
        match self.role {
            Role::Starting | Role::CatchingUp | Role::Standby | Role::Fenced => {
                self.in_step = if in_step { epoch } else { 0 };
                self.become_role(now, if in_step { Role::Standby } else { Role::CatchingUp }, out);
            }
            Role::Maintenance => self.in_step = if in_step { epoch } else { 0 },
            _ => {}
        }
    }

    /// A voter has answered.
    fn vote(
        &mut self,
        now: Mono,
        from: Member,
        epoch: Epoch,
        sent: Mono,
        granted: bool,
        out: &mut Vec<Output>,
    ) {
        if !granted {
            return;
        }
        if self.handed_over(epoch) {
            self.stand_for(now, epoch, out);
        }
        if epoch != self.lease.epoch || !(self.role == Role::Candidate || self.role.holds()) {
            return;
        }
        let before = self.lease.until();
        if self.lease.vote(now, &self.settings.timing, from, self.settings.me, sent) {
            self.permit_if_longer(before, out);
        }
    }

    /// People are told once when somebody falls silent or is back.
    pub(super) fn notice_silence(&mut self, now: Mono, out: &mut Vec<Output>) {
        let timing = &self.settings.timing;
        // The witness is asked more rarely while all is well.
        let patience = timing.lease.max(timing.idle_hello.saturating_mul(3));
        let told = [(Event::PeerLost, Event::PeerBack), (Event::WitnessLost, Event::WitnessBack)];
        for (seen, (lost, back)) in [&mut self.peer, &mut self.witness].into_iter().zip(told) {
            let silent = seen.at != Mono::NEVER && now.since(seen.at) >= patience;
            if silent != seen.missed {
                seen.missed = silent;
                out.push(Output::Notify(if silent { lost } else { back }));
            }
        }
    }
}

fn note(seen: &mut Seen, now: Mono, report: Report) {
    seen.at = now;
    seen.free_at = now.plus(report.bound_for);
    // Kept as an instant; as a duration it would be told anew at each look.
    seen.report = Report { bound_for: 0, ..report };
}
