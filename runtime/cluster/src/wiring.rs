//! What drivers of nodes and of a witness share: from datagrams to messages and back.

use crate::admission::Admission;
use crate::limits::{LINK_SILENT_BEATS, REMINDED_FOR, SECOND_TOLD_EVERY};
use crate::links::{Arrived, Links};
use crate::route::{LinkSet, LinkTimes};
use crate::seal::{Opened, Sealer, Why};
use crate::wire;
use gwp_redundancy::member::{Member, NodeId};
use gwp_redundancy::message::Message;
use gwp_redundancy::mono::Mono;
use gwp_redundancy::timing::Timing;

const MEMBERS: [Member; 3] = [Member::Node(NodeId::Primary), Member::Node(NodeId::Backup), Member::Witness];

/// Sockets and seal.
pub(crate) struct Wiring {
    links: Links,
    sealer: Sealer,
    datagram: Vec<u8>,
    /// Authentic, but not to be understood: another version of gwp.
    unreadable: u64,
    /// When each member was heard last over each link, by number of the member.
    heard: Vec<[Option<Mono>; 3]>,
    /// Which links are silent for each member.
    link_times: [LinkTimes; 3],
    said: [Said; 3],
    me: Member,
    admission: Admission,
    /// When a second process of a member was told of last.
    second_told: Option<Mono>,
    /// Since when other members say that they hear another process of this one, by number of the member.
    turned_away: [Option<Mono>; 3],
    /// So long they may say so after a start: what ran here before may not be over for them yet.
    patience: u64,
    turned_away_told: bool,
}

/// What was said to a member.
#[derive(Clone, Default)]
struct Said {
    /// The last body.
    body: Vec<u8>,
    first_at: Option<Mono>,
    /// It has said something to this boot: so it lets through what it is told.
    is_answered: bool,
}

impl Said {
    /// It may not have been let through yet.
    fn waits(&self, now: Mono) -> bool {
        !self.is_answered && self.first_at.is_some_and(|at| now.since(at) < REMINDED_FOR)
    }
}

/// Figures for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WireFigures {
    /// By reason.
    pub refused: Vec<(&'static str, u64)>,
    /// By link: nanoseconds since the primary, the backup and the witness were heard over it.
    pub silent_for: Vec<[Option<u64>; 3]>,
    /// Others hear another process that says it is this member.
    pub is_second: bool,
}

impl Wiring {
    pub fn new(links: Links, sealer: Sealer, me: Member, timing: Timing) -> Wiring {
        let count = links.addresses().len();
        let silent_after = timing.beat.saturating_mul(LINK_SILENT_BEATS);
        Wiring {
            links,
            sealer,
            datagram: Vec::new(),
            unreadable: 0,
            heard: vec![[None; 3]; count],
            link_times: std::array::from_fn(|_| LinkTimes::new(count, silent_after)),
            said: Default::default(),
            me,
            admission: Admission::new(me, timing),
            second_told: None,
            turned_away: [None; 3],
            patience: timing.lease.saturating_mul(3),
            turned_away_told: false,
        }
    }

    /// Says something to a member over all links.
    pub fn send(&mut self, now: Mono, to: Member, message: &Message) {
        let said = &mut self.said[index(to)];
        said.first_at.get_or_insert(now);
        said.body.clear();
        wire::encode(message, &mut said.body);
        self.say_again(now, to);
    }

    /// Says what was said last to those that have not let anything through yet. A process that was started again has
    /// something to say that others wait for, and first words are lost until both have met.
    pub fn remind(&mut self, now: Mono) {
        for to in MEMBERS {
            if self.said[index(to)].waits(now) {
                self.say_again(now, to);
            }
        }
    }

    /// Whether there is anything to say again.
    pub fn reminds(&self, now: Mono) -> bool {
        self.said.iter().any(|said| said.waits(now))
    }

    fn say_again(&mut self, now: Mono, to: Member) {
        match self.sealer.seal(to, &self.said[index(to)].body, &mut self.datagram) {
            Ok(()) => self.links.send(to, &self.datagram, now),
            Err(error) => tracing::error!(%error, %to, "a message of the pair cannot be sealed"),
        }
    }

    /// The message of a datagram, if it is one for the machine.
    pub fn take(&mut self, now: Mono, mut arrived: Arrived) -> Option<(Member, Message)> {
        let admission = &self.admission;
        let admits = |from, body: &[u8]| admission.admits(now, from, wire::decode(body).ok().as_ref());
        match self.sealer.open(now, &mut arrived.datagram, admits) {
            Opened::Message { from, body } => {
                let message = wire::decode(body);
                self.said[index(from)].is_answered = true;
                self.turned_away[index(from)] = None;
                self.links.heard(arrived.link, from, arrived.from, now);
                self.heard_over(arrived.link, from, now);
                match message {
                    Ok(message) => {
                        self.admission.heard(now, from, message.report);
                        Some((from, message))
                    }
                    Err(error) => {
                        if self.unreadable == 0 {
                            tracing::error!(%error, %from, "a message of the pair cannot be read: is it the same version of gwp?");
                        }
                        self.unreadable += 1;
                        None
                    }
                }
            }
            Opened::Greet { to, frame } => {
                // Who is greeted is authentic, and has no other address perhaps.
                self.links.heard(arrived.link, to, arrived.from, now);
                self.links.send(to, &frame, now);
                None
            }
            Opened::Met { from } => {
                tracing::debug!(%from, "met");
                // What was said before was not let through.
                if self.said[index(from)].first_at.is_some() {
                    self.say_again(now, from);
                }
                None
            }
            Opened::Second { from, frame } => {
                self.links.send_to(arrived.link, arrived.from, &frame);
                if self.second_told.is_none_or(|at| now.since(at) >= SECOND_TOLD_EVERY) {
                    self.second_told = Some(now);
                    tracing::warn!(from = %arrived.from, member = %from, why = Why::Second.label(), "a datagram of the pair is refused{}", Why::Second.remedy());
                }
                None
            }
            Opened::TurnedAway { from } => {
                self.turned_away(now, from);
                None
            }
            Opened::Again { from } => {
                self.heard_over(arrived.link, from, now);
                None
            }
            Opened::Nothing(why) => {
                if why == Why::Unmet {
                    // So begins each acquaintance.
                    tracing::debug!(from = %arrived.from, why = why.label(), "a datagram of the pair is refused");
                } else if why != Why::Replayed && self.sealer.refused(why) == 1 {
                    tracing::warn!(from = %arrived.from, why = why.label(), "a datagram of the pair is refused; further ones are counted{}", why.remedy());
                }
                None
            }
        }
    }

    fn heard_over(&mut self, link: usize, from: Member, now: Mono) {
        self.link_times[index(from)].heard(link, now);
        if let Some(link) = self.heard.get_mut(link) {
            link[index(from)] = Some(now);
        }
    }

    /// Links over which a member is not heard while it is over another.
    pub fn silent(&self, member: Member) -> LinkSet {
        self.link_times[index(member)].silent()
    }

    fn turned_away(&mut self, now: Mono, by: Member) {
        self.turned_away[index(by)].get_or_insert(now);
        if self.is_second(now) && !self.turned_away_told {
            self.turned_away_told = true;
            tracing::error!(
                %by,
                "another process says it is the {me}, and is heard: this one stays out while that one lives; stop one \
                 of them, or mend `me` in its node.toml",
                me = self.me
            );
        }
    }

    fn is_second(&self, now: Mono) -> bool {
        self.turned_away.iter().flatten().any(|since| now.since(*since) >= self.patience)
    }

    pub fn figures(&self, now: Mono) -> WireFigures {
        let refused = Why::ALL.iter().map(|why| (why.label(), self.sealer.refused(*why)));
        let since = |at: &Option<Mono>| at.map(|at| now.since(at));
        WireFigures {
            refused: refused.chain([("unreadable", self.unreadable)]).collect(),
            silent_for: self
                .heard
                .iter()
                .map(|link| [since(&link[0]), since(&link[1]), since(&link[2])])
                .collect(),
            is_second: self.is_second(now),
        }
    }
}

fn index(member: Member) -> usize {
    match member {
        Member::Node(node) => node.index(),
        Member::Witness => 2,
    }
}
