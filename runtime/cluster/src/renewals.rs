//! How often an active asks the witness for its vote while its peer votes.
//!
//! One vote of another is enough to go on, and the peer's comes with each beat. While it does, the witness is asked
//! more rarely, so that a pair at rest costs less. To the machine an ask that is spared is a message that was lost.
//! When the peer's votes stay away, the witness is asked in each beat again, long before the lease ends.

use gwp_redundancy::member::{Epoch, Member};
use gwp_redundancy::message::{Body, Message};
use gwp_redundancy::mono::Mono;

/// So old the peer's last vote may be at most for an ask to be spared, and the witness's; in beats. A lease is ten
/// beats or more.
const PEER_BEATS: u64 = 2;
const WITNESS_BEATS: u64 = 3;

/// Votes as they came.
#[derive(Default)]
pub struct Renewals {
    peer: (Epoch, Mono),
    witness: (Epoch, Mono),
}

impl Renewals {
    /// A message has come.
    pub fn heard(&mut self, now: Mono, from: Member, message: &Message) {
        if let Body::Vote { epoch, granted: true, .. } = message.body {
            let vote = if from == Member::Witness { &mut self.witness } else { &mut self.peer };
            *vote = (epoch, now);
        }
    }

    /// Whether an active need not say this now.
    pub fn spares(&self, now: Mono, beat: u64, to: Member, message: &Message) -> bool {
        let Body::Ask { epoch, .. } = message.body else { return false };
        let is_fresh = |vote: (Epoch, Mono), beats: u64| vote.0 == epoch && now.since(vote.1) < beats * beat;
        to == Member::Witness && is_fresh(self.peer, PEER_BEATS) && is_fresh(self.witness, WITNESS_BEATS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_redundancy::member::NodeId;
    use gwp_redundancy::message::{NodeReport, Report, Stance};

    const BEAT: u64 = 100;
    const PEER: Member = Member::Node(NodeId::Backup);

    fn message(body: Body) -> Message {
        let report = Report {
            stance: Stance::Aside,
            epoch: 0,
            relinquished: 0,
            promise: Default::default(),
            bound_for: 0,
            before: Default::default(),
            mark: None,
            node: NodeReport::default(),
        };
        Message { report, body }
    }

    fn vote(epoch: Epoch, granted: bool) -> Message {
        message(Body::Vote { epoch, sent: Mono(1), granted })
    }

    fn ask(epoch: Epoch) -> Message {
        message(Body::Ask { epoch, sent: Mono(1) })
    }

    #[test]
    fn the_witness_is_asked_in_each_third_beat_while_the_peer_votes() {
        let mut renewals = Renewals::default();
        let mut asked = Vec::new();
        for beat in 1..=9 {
            let now = Mono(beat * BEAT);
            if !renewals.spares(now, BEAT, Member::Witness, &ask(1)) {
                asked.push(beat);
                renewals.heard(now, Member::Witness, &vote(1, true));
            }
            assert!(!renewals.spares(now, BEAT, PEER, &ask(1)), "the peer is always asked");
            renewals.heard(now, PEER, &vote(1, true));
        }
        assert_eq!(asked, [1, 4, 7]);
        assert!(!renewals.spares(Mono(10 * BEAT - 1), BEAT, Member::Witness, &message(Body::Hello)));
    }

    #[test]
    fn it_is_asked_in_each_beat_when_the_peer_does_not_vote_or_it_has_not_voted_itself() {
        let witness = Member::Witness;
        let spares = |heard: &[(Member, Message)], after: u64| {
            let mut renewals = Renewals::default();
            heard.iter().for_each(|(from, message)| renewals.heard(Mono(BEAT), *from, message));
            renewals.spares(Mono(BEAT + after), BEAT, witness, &ask(2))
        };
        let both = [(PEER, vote(2, true)), (witness, vote(2, true))];
        assert!(spares(&both, 2 * BEAT - 1));
        assert!(!spares(&both, 2 * BEAT), "the peer has fallen silent");
        assert!(!spares(&both[..1], 1) && !spares(&both[1..], 1));
        assert!(!spares(&[(PEER, vote(2, false)), both[1]], 1), "it was refused");
        assert!(!spares(&[(PEER, vote(1, true)), both[1]], 1), "of another epoch");
    }
}
