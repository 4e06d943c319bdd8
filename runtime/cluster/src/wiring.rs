//! What drivers of nodes and of a witness share: from datagrams to messages and back.

use crate::links::{Arrived, Links};
use crate::seal::{Opened, Sealer, Why};
use crate::wire;
use gwp_redundancy::member::Member;
use gwp_redundancy::message::Message;
use gwp_redundancy::mono::Mono;

/// Sockets and seal.
pub(crate) struct Wiring {
    links: Links,
    sealer: Sealer,
    body: Vec<u8>,
    datagram: Vec<u8>,
    /// Authentic, but not to be understood: another version of gwp.
    unreadable: u64,
    /// When each member was heard last over each link, by number of the member.
    heard: Vec<[Option<Mono>; 3]>,
}

/// Figures for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WireFigures {
    /// By reason.
    pub refused: Vec<(&'static str, u64)>,
    /// By link: nanoseconds since the primary, the backup and the witness were heard over it.
    pub silent_for: Vec<[Option<u64>; 3]>,
}

impl Wiring {
    pub fn new(links: Links, sealer: Sealer) -> Wiring {
        let heard = vec![[None; 3]; links.addresses().len()];
        Wiring { links, sealer, body: Vec::new(), datagram: Vec::new(), unreadable: 0, heard }
    }

    /// Says something to a member over all links.
    pub fn send(&mut self, now: Mono, to: Member, message: &Message) {
        self.body.clear();
        wire::encode(message, &mut self.body);
        match self.sealer.seal(to, &self.body, &mut self.datagram) {
            Ok(()) => self.links.send(to, &self.datagram, now),
            Err(error) => tracing::error!(%error, %to, "a message of the pair cannot be sealed"),
        }
    }

    /// The message of a datagram, if it is one for the machine.
    pub fn take(&mut self, now: Mono, mut arrived: Arrived) -> Option<(Member, Message)> {
        match self.sealer.open(now, &mut arrived.datagram) {
            Opened::Message { from, body } => {
                let message = wire::decode(body);
                self.links.heard(arrived.link, from, arrived.from, now);
                if let Some(link) = self.heard.get_mut(arrived.link) {
                    link[index(from)] = Some(now);
                }
                match message {
                    Ok(message) => Some((from, message)),
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
                None
            }
            Opened::Nothing(why) => {
                if why != Why::Replayed && self.sealer.refused(why) == 1 {
                    tracing::warn!(from = %arrived.from, why = why.label(), "a datagram of the pair is refused; further ones are counted{}", why.remedy());
                }
                None
            }
        }
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
        }
    }
}

fn index(member: Member) -> usize {
    match member {
        Member::Node(node) => node.index(),
        Member::Witness => 2,
    }
}
