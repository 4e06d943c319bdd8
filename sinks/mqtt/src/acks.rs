//! Which deliveries the broker has taken, without I/O.
//!
//! The client library numbers publishes itself and tells the packet id only
//! when it has sent one, so messages are paired with packet ids in the order
//! in which they were handed over. Acknowledgements may come in any order; the
//! engine gets them cumulatively and in order.
//!
//! ```text
//! open(delivery) -> publish()* -> close()
//!                      |  sent(pkid)      in call order
//!                      v
//!                   acked(pkid) / refused(pkid)     any order
//!                      |
//!                      v
//!                   next_report()         in order, whole deliveries
//! ```

use gwp_core::Cursor;
use std::collections::{HashMap, VecDeque};

/// Deliveries and messages between the engine and the broker.
#[derive(Debug, Default)]
pub struct Acks {
    deliveries: VecDeque<Delivery>,
    /// Number of the first of `deliveries`.
    first_delivery: u64,
    /// Messages from the oldest one not acknowledged on.
    messages: VecDeque<Message>,
    /// Number of the first of `messages`.
    first_message: u64,
    /// Number of the next message that will be sent.
    next_sent: u64,
    /// Message by packet id.
    packets: HashMap<u16, u64>,
}

#[derive(Debug)]
struct Delivery {
    upto: Cursor,
    samples: usize,
    /// Messages handed over and not acknowledged.
    pending: usize,
    /// All its messages are handed over.
    closed: bool,
    refused: Option<String>,
}

#[derive(Debug)]
struct Message {
    delivery: u64,
    done: bool,
}

/// What the engine is to be told.
#[derive(Debug, PartialEq)]
pub enum Report {
    Ack { upto: Cursor, samples: usize },
    Reject { upto: Cursor, reason: String },
}

/// The client library and the broker disagree about packet ids: the connection is of no use.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum AckError {
    #[error("a packet went out that nobody handed over")]
    NothingToSend,
    #[error("packet id {0} went out again before it was acknowledged")]
    StillInUse(u16),
    #[error("packet id {0} was acknowledged and never sent")]
    NeverSent(u16),
}

impl Acks {
    /// Begins a delivery; its messages follow.
    pub fn open(&mut self, upto: Cursor, samples: usize) {
        self.deliveries.push_back(Delivery { upto, samples, pending: 0, closed: false, refused: None });
    }

    /// Notes that a message of the newest delivery was handed to the client.
    pub fn publish(&mut self) {
        let Some(delivery) = self.deliveries.back_mut() else { return };
        delivery.pending += 1;
        let number = self.first_delivery + self.deliveries.len() as u64 - 1;
        self.messages.push_back(Message { delivery: number, done: false });
    }

    /// Notes that the newest delivery has no more messages.
    pub fn close(&mut self) {
        if let Some(delivery) = self.deliveries.back_mut() {
            delivery.closed = true;
        }
    }

    /// Gives the newest delivery up; the first reason stays.
    pub fn refuse_newest(&mut self, reason: String) {
        if let Some(delivery) = self.deliveries.back_mut() {
            delivery.refused.get_or_insert(reason);
        }
    }

    /// Notes that the oldest message not yet sent went out under a packet id.
    ///
    /// # Errors
    /// When there is none, or the packet id is still in use.
    pub fn sent(&mut self, packet: u16) -> Result<(), AckError> {
        let number = self.next_message()?;
        if self.packets.insert(packet, number).is_some() {
            return Err(AckError::StillInUse(packet));
        }
        Ok(())
    }

    /// Notes that the oldest message not yet sent went out and nobody will acknowledge it (QoS 0).
    ///
    /// # Errors
    /// When there is none.
    pub fn sent_for_good(&mut self) -> Result<(), AckError> {
        let number = self.next_message()?;
        self.finish(number, None);
        Ok(())
    }

    /// Notes that the broker took a message.
    ///
    /// # Errors
    /// When no message has this packet id.
    pub fn acked(&mut self, packet: u16) -> Result<(), AckError> {
        let number = self.packets.remove(&packet).ok_or(AckError::NeverSent(packet))?;
        self.finish(number, None);
        Ok(())
    }

    /// Notes that the broker will never take a message.
    ///
    /// # Errors
    /// When no message has this packet id.
    pub fn refused(&mut self, packet: u16, reason: String) -> Result<(), AckError> {
        let number = self.packets.remove(&packet).ok_or(AckError::NeverSent(packet))?;
        self.finish(number, Some(reason));
        Ok(())
    }

    /// Messages from the oldest one not acknowledged to the newest: packet ids in use lie in it.
    pub fn span(&self) -> usize {
        self.messages.len()
    }

    /// Messages handed over that have not gone out yet.
    pub fn unsent(&self) -> usize {
        (self.first_message + self.messages.len() as u64).saturating_sub(self.next_sent) as usize
    }

    /// True when every delivery has been reported.
    pub fn is_idle(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// True when the newest delivery is refused: more messages of it are of no use.
    pub fn newest_is_refused(&self) -> bool {
        self.deliveries.back().is_some_and(|delivery| delivery.refused.is_some())
    }

    /// The next thing to tell the engine: deliveries that follow each other and are all
    /// acknowledged make one report. A refused one does not wait for its other messages:
    /// some brokers close the connection over it, and it would come again for ever.
    pub fn next_report(&mut self) -> Option<Report> {
        let mut acked = None;
        while let Some(delivery) = self.deliveries.front_mut() {
            if let Some(reason) = delivery.refused.take_if(|_| acked.is_none()) {
                let upto = delivery.upto;
                self.drop_first();
                return Some(Report::Reject { upto, reason });
            }
            if delivery.refused.is_some() || !delivery.closed || delivery.pending > 0 {
                break;
            }
            let before = acked.map_or(0, |(_, samples)| samples);
            acked = Some((delivery.upto, before + delivery.samples));
            self.drop_first();
        }
        acked.map(|(upto, samples)| Report::Ack { upto, samples })
    }

    fn drop_first(&mut self) {
        self.deliveries.pop_front();
        self.first_delivery += 1;
    }

    fn next_message(&mut self) -> Result<u64, AckError> {
        if self.next_sent >= self.first_message + self.messages.len() as u64 {
            return Err(AckError::NothingToSend);
        }
        self.next_sent += 1;
        Ok(self.next_sent - 1)
    }

    fn finish(&mut self, number: u64, refused: Option<String>) {
        // A number is given out once and its message stays until it is done, so both are there.
        let Some(message) = self.messages.get_mut((number - self.first_message) as usize) else { return };
        message.done = true;
        // A refused delivery may be gone before its last message.
        let place = message.delivery.checked_sub(self.first_delivery);
        if let Some(delivery) = place.and_then(|place| self.deliveries.get_mut(place as usize)) {
            delivery.pending -= 1;
            if let Some(reason) = refused {
                delivery.refused.get_or_insert(reason);
            }
        }
        while self.messages.front().is_some_and(|message| message.done) {
            self.messages.pop_front();
            self.first_message += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::Position;
    use proptest::prelude::*;

    fn cursor(seq: u64) -> Cursor {
        Cursor::new(Position::new(1, seq), 0)
    }

    fn deliver(acks: &mut Acks, seq: u64, messages: usize) {
        acks.open(cursor(seq), 1);
        (0..messages).for_each(|_| acks.publish());
        acks.close();
    }

    #[test]
    fn a_delivery_is_reported_when_all_before_it_are() {
        let mut acks = Acks::default();
        deliver(&mut acks, 1, 2);
        deliver(&mut acks, 2, 1);
        for packet in 1..=3 {
            acks.sent(packet).unwrap();
        }
        acks.acked(3).unwrap();
        acks.acked(1).unwrap();
        assert_eq!(acks.next_report(), None);
        assert_eq!(acks.span(), 2);
        acks.acked(2).unwrap();
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(2), samples: 2 }));
        assert_eq!(acks.next_report(), None);
        assert!(acks.is_idle());
        assert_eq!(acks.span(), 0);
    }

    #[test]
    fn a_refused_message_rejects_its_delivery_alone() {
        let mut acks = Acks::default();
        (1..=3).for_each(|seq| deliver(&mut acks, seq, 1));
        (1..=3).for_each(|packet| acks.sent(packet).unwrap());
        acks.refused(2, "not authorized".into()).unwrap();
        acks.acked(3).unwrap();
        assert_eq!(acks.next_report(), None);
        acks.acked(1).unwrap();
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(1), samples: 1 }));
        assert_eq!(
            acks.next_report(),
            Some(Report::Reject { upto: cursor(2), reason: "not authorized".into() })
        );
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(3), samples: 1 }));
    }

    #[test]
    fn a_refused_delivery_does_not_wait_for_its_other_messages() {
        let mut acks = Acks::default();
        deliver(&mut acks, 1, 1);
        acks.open(cursor(2), 1);
        (0..3).for_each(|_| acks.publish());
        (1..=4).for_each(|packet| acks.sent(packet).unwrap());
        acks.refused(3, "no".into()).unwrap();
        assert!(acks.newest_is_refused());
        assert_eq!(acks.next_report(), None, "the one before it comes first");
        acks.acked(1).unwrap();
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(1), samples: 1 }));
        assert_eq!(acks.next_report(), Some(Report::Reject { upto: cursor(2), reason: "no".into() }));
        assert!(acks.is_idle());
        // Its other messages still hold their packet ids.
        assert_eq!(acks.span(), 3);
        deliver(&mut acks, 3, 0);
        acks.acked(2).unwrap();
        acks.acked(4).unwrap();
        assert_eq!(acks.span(), 0);
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(3), samples: 1 }));
    }

    #[test]
    fn an_open_or_empty_delivery_is_not_forgotten() {
        let mut acks = Acks::default();
        acks.open(cursor(1), 1);
        acks.publish();
        acks.sent_for_good().unwrap();
        assert_eq!(acks.next_report(), None, "more messages of it may follow");
        acks.close();
        deliver(&mut acks, 2, 0);
        assert_eq!(acks.next_report(), Some(Report::Ack { upto: cursor(2), samples: 2 }));
    }

    #[test]
    fn disagreement_about_packet_ids_is_an_error() {
        let mut acks = Acks::default();
        assert_eq!(acks.sent(1), Err(AckError::NothingToSend));
        deliver(&mut acks, 1, 2);
        acks.sent(1).unwrap();
        assert_eq!(acks.sent(1), Err(AckError::StillInUse(1)));
        assert_eq!(acks.acked(7), Err(AckError::NeverSent(7)));
    }

    proptest! {
        /// Whatever the order of acknowledgements: reports rise, cover exactly the deliveries of which
        /// every message is done or one is refused, and each refused delivery is reported as such.
        #[test]
        fn reports_are_cumulative_and_never_early(
            sizes in prop::collection::vec(0usize..5, 1..12),
            order in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.2)), 0..60),
        ) {
            let mut acks = Acks::default();
            let mut owner = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                deliver(&mut acks, index as u64 + 1, *size);
                owner.extend(std::iter::repeat_n(index, *size));
            }
            let mut open: Vec<u16> = (1..=owner.len() as u16).collect();
            for packet in &open {
                acks.sent(*packet).unwrap();
            }
            let mut pending = sizes.clone();
            let mut refused = vec![false; sizes.len()];
            let mut reported = 0;
            let total: usize = sizes.len();
            for (pick, refuse) in order {
                if !open.is_empty() {
                    let packet = open.swap_remove(pick.index(open.len()));
                    let delivery = owner[usize::from(packet) - 1];
                    pending[delivery] -= 1;
                    if refuse {
                        refused[delivery] = true;
                        acks.refused(packet, "no".into()).unwrap();
                    } else {
                        acks.acked(packet).unwrap();
                    }
                }
                while let Some(report) = acks.next_report() {
                    let (upto, was_refused) = match report {
                        Report::Ack { upto, .. } => (upto, false),
                        Report::Reject { upto, .. } => (upto, true),
                    };
                    let last = upto.position.seq as usize - 1;
                    prop_assert!(last >= reported);
                    for delivery in reported..=last {
                        prop_assert!(pending[delivery] == 0 || refused[delivery]);
                        prop_assert_eq!(refused[delivery], was_refused && delivery == last);
                    }
                    reported = last + 1;
                }
                let waits = |delivery: &usize| pending[*delivery] > 0 && !refused[*delivery];
                let due = (0..total).find(waits).unwrap_or(total);
                prop_assert_eq!(reported, due);
                let oldest = open.iter().min().map_or(owner.len(), |packet| usize::from(*packet) - 1);
                prop_assert_eq!(acks.span(), owner.len() - oldest);
            }
        }
    }
}
