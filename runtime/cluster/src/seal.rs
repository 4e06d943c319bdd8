//! Datagrams that only the members of a pair can make, each heard once, and never one of an
//! earlier life. Without sockets, clock or randomness.
//!
//! A vote that is replayed could let a node be active that nobody votes for any more, and a
//! replayed word of a dead process that it is active would keep its peer from taking over. So
//! what reaches the machine is fresh in three ways.
//!
//! # The rule
//!
//! Each process start has a *boot id*, random and known to nobody before. A member *meets* one
//! boot of each peer at a time, and counts them: its *era* for that peer is the number of boots it
//! has met. Each frame names the sender's boot and era, and the receiver's boot and era as the
//! sender knows them (`to_boot`, `to_era`). A frame is let through if
//!
//! 1. it is authentic (ChaCha20-Poly1305, the key derived from the secret, the direction and the
//!    sender's boot; the header is authenticated too) and addressed to this member;
//! 2. `to_boot` is this boot: it was sealed in this process's lifetime. This stops all that was
//!    recorded before a restart of the *receiver*;
//! 3. its sender is the boot that was met, or, if it is another, `to_era` is the present era: then
//!    that one is met from now on, the era is the next one, and the boot before is never heard again.
//!    Whether the boot that is met may be replaced at all, says the caller ([`crate::admission`]).
//!    This stops all of earlier boots of the *sender*, also frames that were held back and never
//!    came before: who knows the present era was alive after the boot that is met now had been met,
//!    and a process that ended before that one began cannot know it;
//! 4. its counter is new in a sliding window of 128. This stops doubles within one boot.
//!
//! A list of superseded boots (1,024 for each peer) is a second lock for rule 3: of two processes that
//! both say they are the same member, the one that was met last is heard, and the one before not
//! before it is started again. So a second one is not met while the first one lives: it is *turned
//! away* by a frame whose body is one zero byte, which begins no message.
//!
//! # Meeting
//!
//! An authentic message that is not let through by rule 2 or 3 does not change who is met. It is
//! answered by a *greeting*: a frame without a body, whose `to_boot` and `to_era` repeat the boot and era that
//! the message named as its own. A greeting is judged by the same rules, and is never answered. So
//! greetings cannot go to and fro, and one is never longer than what it answers.
//!
//! ```text
//! A (era 0)                                            B (era 0)
//!   message  boot a, era 0, to nobody ------------------> not for b: changes nothing
//!   <----------------- greeting boot b, era 0, to a era 0
//!   a, and era 0 is the present one: A meets b (era 1)
//!   message  boot a, era 1, to b era 0 -----------------> b, and era 0 is the present one: B meets a (era 1)
//!   <----------------- message boot b, era 1, to a era 1
//! ```
//!
//! Two that know nothing of each other have met after two round trips, whoever begins, also if only
//! one of them ever begins; and so have one that was restarted and its peer.
//!
//! # Why replays cannot keep a live pair apart
//!
//! Let a and b be the only live processes of A and B.
//!
//! - *A pair that has met stays met.* To hear b no more, A must meet another boot of B, by a frame
//!   of it that names a and the present era of A. That era began when A met b or later, so only a
//!   process that was alive then could name it; of B there is only b. The same holds for B.
//! - *Held-back frames spoil one exchange for each side at most.* A message of A that B does not let
//!   through is greeted; the greeting repeats the era that A had and names the one that B has, and A's
//!   next message repeats that. So A hears the greeting and B the next message, unless the receiver
//!   has met a dead boot in between, by a frame that was held back until then. That begins a new
//!   era, which no dead process has named: it happens once.
//! - *Replays use up a greeting once.* A boot is greeted once in 20 ms, and only for a frame with a
//!   higher counter than all of it that came before. So a recorded frame can take the place of a
//!   living one once, and after the next frame of the living boot never again. This is remembered
//!   of 32 boots: who holds recordings of more dead boots than these, and sends more than 1,600 frames
//!   per second of them, can delay a meeting for as long. A pair that has met does not notice.
//!
//! # What the caller answers for
//!
//! Boot ids come from the system's randomness, one for each start of the process. Key and nonce
//! would repeat if a process went on twice from one memory image: a virtual machine that is set
//! back to a snapshot must start its gateway anew.

mod frame;
mod peer;
mod secret;
mod window;

pub use frame::{BODY_MAX, FRAME_MAX};
pub(crate) use secret::Keys;
pub use secret::{Secret, SecretError};

use crate::encode;
use frame::Header;
use gwp_redundancy::member::Member;
use gwp_redundancy::member::NodeId::{Backup, Primary};
use gwp_redundancy::mono::Mono;
use peer::Peer;
use secret::CLUSTER;
use std::num::NonZeroU128;

/// Body of what a second process of a member is told. A message begins with its version, which is never 0.
const TURNED_AWAY: &[u8] = &[0];

/// Seals and opens the datagrams of one process.
#[derive(Debug)]
pub struct Sealer {
    me: Member,
    boot: NonZeroU128,
    keys: Keys,
    cluster: [u8; CLUSTER],
    /// By number of the member, from 1; the own one is not used.
    peers: [Peer; 3],
    refused: [u64; Why::ALL.len()],
}

/// What a datagram was.
#[derive(PartialEq, Eq, Debug)]
pub enum Opened<'d> {
    /// For the machine.
    Message { from: Member, body: &'d [u8] },
    /// Send this to that member, as everything else is sent.
    Greet { to: Member, frame: Vec<u8> },
    /// A greeting: what is said to that member now will be let through. Nothing need be done.
    Met { from: Member },
    /// Another process of that member is heard, and this one stays out. Send the frame to it: it says so.
    Second { from: Member, frame: Vec<u8> },
    /// That member hears another process of this member.
    TurnedAway { from: Member },
    /// What was let through before, of late: all is sent over each link. It tells that this link leads here, no more.
    Again { from: Member },
    /// Nothing is to be done, and the same is let through as before.
    Nothing(Why),
}

/// Why a datagram was not let through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// Too short, too long, or its header says what is never said.
    Malformed,
    /// Of members with another secret.
    Foreign,
    /// Of another version of gwp.
    Version,
    /// For another member, or from one that calls itself like this one.
    NotForMe,
    /// Not what a member has sealed.
    Forged,
    /// Seen before, or too late to know.
    Replayed,
    /// Of a boot of the sender that another one has superseded.
    EarlierBoot,
    /// Of a second process that says it is a member whose first one lives.
    Second,
    /// For nobody, or for an earlier boot or era of this member; and a greeting itself, or greeted
    /// just now, or older than what was greeted.
    Unmet,
}

impl Why {
    pub const ALL: [Why; 9] = [
        Why::Malformed,
        Why::Foreign,
        Why::Version,
        Why::NotForMe,
        Why::Forged,
        Why::Replayed,
        Why::EarlierBoot,
        Why::Second,
        Why::Unmet,
    ];

    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Why::Malformed => "malformed",
            Why::Foreign => "foreign",
            Why::Version => "version",
            Why::NotForMe => "not_for_me",
            Why::Forged => "forged",
            Why::Replayed => "replayed",
            Why::EarlierBoot => "earlier_boot",
            Why::Second => "second",
            Why::Unmet => "unmet",
        }
    }

    /// What people can do about it, if it lasts; empty where it is nothing but a start.
    pub const fn remedy(self) -> &'static str {
        match self {
            Why::Foreign => "; its sender has another key or profile: copy one key file to all members",
            Why::NotForMe => {
                "; it is for another member, or its sender calls itself like this node: look at `me` of both nodes, \
                 and where their links lead"
            }
            Why::Version => "; its sender is another version of gwp",
            Why::Second => {
                "; its sender says it is a member that runs already, and stays out while that one does: look at `me` \
                 in the node.toml of that machine (if the member was started again just now, it is heard in a moment)"
            }
            _ => "",
        }
    }
}

/// Why something cannot be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    #[error("a datagram holds 1 to {BODY_MAX} bytes, not {0}")]
    Length(usize),
    #[error("a member does not send to itself")]
    ToMyself,
    #[error("all counters of this boot are used up: start the process again")]
    Spent,
}

impl Sealer {
    /// For the process of `me` that has just started. `boot` is random and used for no other start.
    pub fn new(secret: &Secret, me: Member, boot: NonZeroU128) -> Sealer {
        let keys = Keys::new(secret);
        let peers = [Member::Node(Primary), Member::Node(Backup), Member::Witness];
        let peers = peers.map(|peer| Peer::new(keys.key(me, peer, boot)));
        Sealer { me, boot, cluster: keys.cluster(), keys, peers, refused: [0; Why::ALL.len()] }
    }

    /// Replaces `out` by a datagram that carries `body` (1 to [`BODY_MAX`] bytes) to a member. It is
    /// sent over all links: the second to come is refused as replayed.
    pub fn seal(&mut self, to: Member, body: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if body.is_empty() || body.len() > BODY_MAX {
            return Err(SealError::Length(body.len()));
        }
        if to == self.me {
            return Err(SealError::ToMyself);
        }
        let known = self.peers[index(to)].met.as_ref().map(|met| (met.boot, met.their_era));
        self.send(to, known, body, out)
    }

    /// Judges a datagram that has come at `now`, and deciphers it in place. `admits` says whether another process of a
    /// member may be heard in place of the one that is met, by what it says (empty: a greeting).
    pub fn open<'d>(
        &mut self,
        now: Mono,
        datagram: &'d mut [u8],
        admits: impl FnOnce(Member, &[u8]) -> bool,
    ) -> Opened<'d> {
        let opened = self.judge(now, datagram, admits);
        let why = match &opened {
            Ok(Opened::Second { .. }) => Some(Why::Second),
            Ok(Opened::Again { .. }) => Some(Why::Replayed),
            Ok(_) => None,
            Err(why) => Some(*why),
        };
        if let Some(why) = why {
            self.refused[why as usize] += 1;
        }
        opened.unwrap_or_else(Opened::Nothing)
    }

    /// How many datagrams were refused for a reason.
    pub fn refused(&self, why: Why) -> u64 {
        self.refused[why as usize]
    }

    /// The boot of a member that is heard.
    pub fn met(&self, member: Member) -> Option<NonZeroU128> {
        self.peers[index(member)].met.as_ref().map(|met| met.boot)
    }

    fn judge<'d>(
        &mut self,
        now: Mono,
        datagram: &'d mut [u8],
        admits: impl FnOnce(Member, &[u8]) -> bool,
    ) -> Result<Opened<'d>, Why> {
        let header = Header::read(&self.cluster, datagram)?;
        let Header { from, from_boot, .. } = header;
        if header.to != self.me || from == self.me {
            return Err(Why::NotForMe);
        }
        let for_this_boot = header.to_boot == Some(self.boot);
        let peer = &mut self.peers[index(from)];
        let mut is_second = false;
        let body = match peer.met.as_mut().filter(|met| met.boot == from_boot) {
            Some(met) => {
                let body = header.open(&met.key, datagram)?;
                if for_this_boot {
                    let is_new = met.hear(&header)?;
                    return Ok(if is_new { let_through(from, body) } else { Opened::Again { from } });
                }
                body
            }
            None => {
                let key = self.keys.key(from, self.me, from_boot);
                let body = header.open(&key, datagram)?;
                if peer.is_superseded(from_boot) {
                    return Err(Why::EarlierBoot);
                }
                let may_meet = peer.met.is_none() || admits(from, body);
                // A greeting answers what was said to the boot before: nobody need be told of it.
                is_second = !may_meet && !body.is_empty();
                if for_this_boot && header.to_era == peer.era && may_meet {
                    peer.meet(&header, key);
                    return Ok(let_through(from, body));
                }
                body
            }
        };
        if body.is_empty() || body == TURNED_AWAY || !peer.may_greet(now, from_boot, header.counter) {
            return Err(if is_second { Why::Second } else { Why::Unmet });
        }
        let mut frame = Vec::new();
        let body = if is_second { TURNED_AWAY } else { &[] };
        self.send(from, Some((from_boot, header.from_era)), body, &mut frame).map_err(|_| Why::Unmet)?;
        Ok(if is_second { Opened::Second { from, frame } } else { Opened::Greet { to: from, frame } })
    }

    /// Seals for a boot and era of a member, as far as they are known.
    fn send(
        &mut self,
        to: Member,
        known: Option<(NonZeroU128, u64)>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let peer = &mut self.peers[index(to)];
        peer.sent = peer.sent.checked_add(1).ok_or(SealError::Spent)?;
        let header = Header {
            from: self.me,
            to,
            from_boot: self.boot,
            to_boot: known.map(|(boot, _)| boot),
            from_era: peer.era,
            to_era: known.map_or(0, |(_, era)| era),
            counter: peer.sent,
        };
        header.seal(&self.cluster, &peer.key, body, out);
        Ok(())
    }
}

fn let_through(from: Member, body: &[u8]) -> Opened<'_> {
    match body {
        [] => Opened::Met { from },
        TURNED_AWAY => Opened::TurnedAway { from },
        body => Opened::Message { from, body },
    }
}

fn index(member: Member) -> usize {
    encode::number(member) as usize - 1
}

#[cfg(test)]
#[path = "seal/replay_tests.rs"]
mod replay_tests;
#[cfg(test)]
#[path = "seal/tests.rs"]
mod tests;
