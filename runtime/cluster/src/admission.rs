//! When another process of a member is heard in place of the one that was heard last.
//!
//! Two processes can say they are the same member: a second machine with a wrong `me`, or the backup of a virtual
//! machine that was started. It must not take the place of the one that lives, or the pair loses a node that works. But
//! a node that was started again must be heard soon, as what it says first frees votes. So another process is heard
//!
//! - at once if the one before is silent for longer than a beat and was active in an epoch that the new one says is over:
//!   only who has its file of votes can know of that epoch, and has locked it since;
//! - otherwise when the one before is silent for so long that it must be dead or cut off. One that was active has no
//!   lease any more then.
//!
//! Who is turned away is told so. It goes on trying, and is heard once the other has ended. A witness is always heard:
//! it speaks only when it is spoken to, and a lease may rest on it alone.

use gwp_redundancy::member::Member;
use gwp_redundancy::message::{Message, Report, Stance};
use gwp_redundancy::mono::Mono;
use gwp_redundancy::timing::Timing;

/// A node speaks to its peer with every beat. After so many it is not there any more.
const BEATS: u64 = 5;

/// What a member knows of the processes that it hears.
pub(crate) struct Admission {
    me: Member,
    timing: Timing,
    /// What the process of each node that is heard said last, and when.
    last: [Option<(Report, Mono)>; 2],
}

impl Admission {
    pub fn new(me: Member, timing: Timing) -> Admission {
        Admission { me, timing, last: [None, None] }
    }

    /// The process of a member that is heard has said something.
    pub fn heard(&mut self, now: Mono, from: Member, report: Report) {
        if let Member::Node(node) = from {
            self.last[node.index()] = Some((report, now));
        }
    }

    /// Whether another process of `from` may be heard in place of the one that was heard last. `message` is what it
    /// says, `None` for a greeting.
    pub fn admits(&self, now: Mono, from: Member, message: Option<&Message>) -> bool {
        let Member::Node(node) = from else { return true };
        let Some((last, at)) = &self.last[node.index()] else { return true };
        let silent = now.since(*at);
        let is_over = |message: &Message| {
            let report = &message.report;
            last.stance == Stance::Active
                && report.stance != Stance::Active
                && report.relinquished == last.epoch
        };
        let beat = self.timing.beat;
        (silent > beat + beat / 4 && message.is_some_and(is_over)) || silent >= self.patience(last)
    }

    /// How long a process that said this last may be silent and live.
    fn patience(&self, last: &Report) -> u64 {
        let Timing { beat, lease, idle_hello, .. } = self.timing;
        match (self.me, last.stance) {
            (_, Stance::Active | Stance::Candidate) => lease,
            // A standby says hello to the witness more rarely.
            (Member::Witness, _) => idle_hello.saturating_mul(2),
            (Member::Node(_), _) => beat.saturating_mul(BEATS).min(lease),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_redundancy::member::NodeId;
    use gwp_redundancy::message::{Body, NodeReport};

    const A: Member = Member::Node(NodeId::Primary);
    const B: Member = Member::Node(NodeId::Backup);
    const MS: u64 = 1_000_000;

    fn says(stance: Stance, epoch: u32, relinquished: u32) -> Message {
        let report = Report {
            stance,
            epoch,
            relinquished,
            promise: Default::default(),
            bound_for: 0,
            before: Default::default(),
            mark: None,
            node: NodeReport::default(),
        };
        Message { report, body: Body::Hello }
    }

    /// After `last` at 1 s: whether what comes so many milliseconds later is heard.
    fn heard(me: Member, last: &Message, ms: u64, new: Option<&Message>) -> bool {
        let mut admission = Admission::new(me, Timing::DEFAULT);
        assert!(admission.admits(Mono(0), A, new), "nobody was heard before");
        admission.heard(Mono(1_000 * MS), A, last.report);
        assert!(admission.admits(Mono(1_000 * MS), B, new), "another member");
        admission.admits(Mono((1_000 + ms) * MS), A, new)
    }

    #[test]
    fn who_has_the_votes_of_the_active_is_heard_at_once() {
        let active = says(Stance::Active, 5, 0);
        for me in [B, Member::Witness] {
            let restarted = says(Stance::Aside, 0, 5);
            assert!(heard(me, &active, 126, Some(&restarted)));
            assert!(!heard(me, &active, 125, Some(&restarted)), "the other one still speaks");
            for wrong in [says(Stance::Aside, 0, 3), says(Stance::Aside, 0, 0), says(Stance::Active, 7, 5)] {
                assert!(!heard(me, &active, 1_199, Some(&wrong)));
                assert!(heard(me, &active, 1_200, Some(&wrong)), "it has no lease any more");
            }
            assert!(!heard(me, &active, 1_199, None) && heard(me, &active, 1_200, None));
        }
    }

    #[test]
    fn a_standby_is_replaced_when_it_is_not_heard_any_more() {
        let standby = says(Stance::Aside, 0, 4);
        let same = says(Stance::Aside, 0, 4);
        assert!(!heard(B, &standby, 499, Some(&same)) && heard(B, &standby, 500, Some(&same)));
        let w = Member::Witness;
        assert!(!heard(w, &standby, 2_399, Some(&same)) && heard(w, &standby, 2_400, Some(&same)));
    }

    #[test]
    fn a_witness_is_always_heard() {
        let mut admission = Admission::new(A, Timing::DEFAULT);
        admission.heard(Mono(5), Member::Witness, says(Stance::Witness, 0, 0).report);
        assert!(admission.admits(Mono(5), Member::Witness, None));
    }
}
