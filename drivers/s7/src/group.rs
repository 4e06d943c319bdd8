//! A poll group while it runs: what is asked for, and what the PLC refuses.
//!
//! ```text
//! begin -> requests -> took | refused | failed -> requests ... -> finish
//!                           a refused block is cut in two and asked for again
//! ```
//! A block of memory that the PLC does not have as a whole is refused as a whole. It is then split
//! until only the offending points are bad; the split is kept, the refused points are asked for
//! again from time to time, and now and then the group begins anew. Pure: `now` is an argument.

use crate::blocks::{Block, Limits, coalesce, split};
use crate::decode::{Program, Readings, kinds};
use crate::pack::{Request, item_bytes_max, pack};
use crate::point::{Point, Span};
use crate::protocol::refusal::Treatment;
use gwp_core::batch::Kinds;
use gwp_core::scan::Polled;
use gwp_core::time::NS_PER_S;
use gwp_core::{Quality, Timestamp};

/// What was refused is asked for again after this time.
const ASK_AGAIN_NS: i64 = 60 * NS_PER_S;

/// A group that was split begins anew with whole blocks after this time.
const RESTORE_NS: i64 = 600 * NS_PER_S;

/// Times in one slot that what is left of a split is asked for; the rest waits for the next slot.
pub const ROUNDS_MAX: usize = 4;

/// State of one poll group.
#[derive(Debug)]
pub struct Group {
    points: Vec<Point>,
    spans: Vec<Span>,
    kinds: Kinds,
    gap_max: u32,
    /// PDU that the blocks were made for; 0 before the first connection.
    pdu: u16,
    asks: Vec<Ask>,
    split_at: Option<Timestamp>,
    /// Outages of the connection when the split was made.
    split_in: u32,
    readings: Readings,
}

/// One block of the group.
#[derive(Debug)]
struct Ask {
    block: Block,
    program: Program,
    refused: Option<Refusal>,
    /// What has come of it in this slot.
    bytes: Vec<u8>,
    missing: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// To be cut in two at the end of the round.
    Split,
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    why: Quality,
    again_at: Timestamp,
}

impl Group {
    pub fn new(points: Vec<Point>, gap_max: u32) -> Group {
        let spans = points.iter().map(|point| point.span).collect();
        let kinds = kinds(&points);
        let readings = Readings::new(kinds.clone(), points.len());
        Group {
            points,
            spans,
            kinds,
            gap_max,
            pdu: 0,
            asks: Vec::new(),
            split_at: None,
            split_in: 0,
            readings,
        }
    }

    /// Requests that read the whole group once with a PDU, for an estimate.
    pub fn load(&self, pdu: u16) -> Vec<Request> {
        pack(self.whole(pdu).iter().map(|block| block.span).enumerate(), pdu)
    }

    fn whole(&self, pdu: u16) -> Vec<Block> {
        coalesce(&self.spans, Limits { bytes_max: item_bytes_max(pdu), gap_max: self.gap_max })
    }

    /// Begins a slot over a connection with this PDU. `outages` tell that the PLC may be another
    /// one now.
    pub fn begin(&mut self, now: Timestamp, pdu: u16, outages: u32) {
        let stale = self
            .split_at
            .is_some_and(|split_at| self.split_in != outages || now >= split_at.plus(RESTORE_NS));
        if pdu != self.pdu || stale {
            self.pdu = pdu;
            self.asks = self.whole(pdu).into_iter().map(|block| Ask::new(block, &self.points)).collect();
            self.split_at = None;
        }
        if self.split_at.is_none() {
            self.split_in = outages;
        }
        self.readings = Readings::new(self.kinds.clone(), self.points.len());
        self.asks.iter_mut().for_each(Ask::begin);
    }

    /// What is still to be asked for in this slot. What was refused waits for its time.
    pub fn requests(&mut self, now: Timestamp) -> Vec<Request> {
        self.cut_in_two();
        for ask in self.asks.iter_mut().filter(|ask| ask.state == State::Open) {
            if let Some(refusal) = ask.refused.filter(|refusal| now < refusal.again_at) {
                ask.fail(refusal.why, &mut self.readings);
            }
        }
        let open = self.asks.iter().enumerate().filter(|(_, ask)| ask.state == State::Open);
        pack(open.map(|(index, ask)| (index, ask.block.span)), self.pdu)
    }

    fn cut_in_two(&mut self) {
        for index in (0..self.asks.len()).rev() {
            let Some(ask) = self.asks.get(index).filter(|ask| ask.state == State::Split) else { continue };
            if let Some(halves) = split(&ask.block, &self.spans) {
                let halves = halves.map(|half| Ask::new(half, &self.points));
                self.asks.splice(index..=index, halves);
            }
        }
    }

    /// Takes the bytes of one piece of a block.
    pub fn took(&mut self, block: usize, offset: usize, bytes: &[u8]) {
        let Some(ask) = self.asks.get_mut(block).filter(|ask| ask.state == State::Open) else { return };
        let Some(place) = ask.bytes.get_mut(offset..offset + bytes.len()) else { return };
        place.copy_from_slice(bytes);
        ask.missing = ask.missing.saturating_sub(bytes.len());
        if ask.missing == 0 {
            ask.state = State::Done;
            ask.refused = None;
            ask.program.decode(&ask.bytes, &mut self.readings);
        }
    }

    /// Draws the consequence of a refused block. Gives its span when it will not be asked for in a
    /// while and was until now.
    pub fn refused(
        &mut self,
        block: usize,
        why: Quality,
        treatment: Treatment,
        now: Timestamp,
    ) -> Option<Span> {
        let ask = self.asks.get_mut(block).filter(|ask| ask.state == State::Open)?;
        if treatment == Treatment::Passing {
            ask.fail(why, &mut self.readings);
            return None;
        }
        if treatment == Treatment::Split && split(&ask.block, &self.spans).is_some() {
            ask.state = State::Split;
            self.split_at.get_or_insert(now);
            return None;
        }
        let first = ask.refused.replace(Refusal { why, again_at: now.plus(ASK_AGAIN_NS) }).is_none();
        ask.fail(why, &mut self.readings);
        first.then_some(ask.block.span)
    }

    /// Leaves the points of a block without a value in this slot.
    pub fn failed(&mut self, block: usize, why: Quality) {
        if let Some(ask) = self.asks.get_mut(block).filter(|ask| ask.state == State::Open) {
            ask.fail(why, &mut self.readings);
        }
    }

    /// Ends the slot: what has not come by now has failed for `why`.
    pub fn finish(&mut self, why: Quality) -> Polled {
        for ask in self.asks.iter_mut().filter(|ask| ask.state != State::Done) {
            let (points, readings) = (&ask.block.points, &mut self.readings);
            points.iter().for_each(|&index| readings.fail(index as usize, why));
        }
        std::mem::replace(&mut self.readings, Readings::new(self.kinds.clone(), 0)).finish()
    }
}

impl Ask {
    fn new(block: Block, points: &[Point]) -> Ask {
        let bytes = vec![0; block.span.bytes()];
        let missing = bytes.len();
        Ask {
            program: Program::new(&block, points),
            block,
            refused: None,
            bytes,
            missing,
            state: State::Open,
        }
    }

    fn begin(&mut self) {
        self.missing = self.bytes.len();
        if self.state == State::Done {
            self.state = State::Open;
        }
    }

    fn fail(&mut self, why: Quality, readings: &mut Readings) {
        self.state = State::Done;
        self.block.points.iter().for_each(|&index| readings.fail(index as usize, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::tests::point;
    use gwp_core::source::PlcType;

    fn group(addresses: &[&str]) -> Group {
        Group::new(addresses.iter().map(|address| point(address, PlcType::Uint)).collect(), 32)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * NS_PER_S)
    }

    /// One slot against a PLC whose blocks end before byte `end`; gives the items asked for and the result.
    fn slot(group: &mut Group, now: Timestamp, outages: u32, end: u32) -> (usize, Polled) {
        group.begin(now, 240, outages);
        let mut items = 0;
        for _ in 0..ROUNDS_MAX {
            for request in group.requests(now) {
                for piece in request.pieces {
                    items += 1;
                    if piece.item.start + u32::from(piece.item.count) <= end {
                        group.took(piece.block, piece.offset, &vec![1; piece.item.bytes()]);
                    } else {
                        group.refused(piece.block, Quality::UNKNOWN_ADDRESS, Treatment::Split, now);
                    }
                }
            }
        }
        (items, group.finish(Quality::WAITING))
    }

    fn good(polled: &Polled) -> Vec<bool> {
        match polled {
            Polled::Values { values, qualities } => {
                (0..values.len()).map(|index| qualities.get(index).is_good()).collect()
            }
            Polled::Failed(_) => Vec::new(),
        }
    }

    #[test]
    fn only_points_the_plc_lacks_turn_bad_and_they_are_not_asked_every_time() {
        let addresses = ["DB1.DBW0", "DB1.DBW2", "DB1.DBW4", "DB1.DBW6", "DB1.DBW8", "DB1.DBW10"];
        let mut group = group(&addresses);
        let (_, polled) = slot(&mut group, at(0), 0, 11);
        assert_eq!(good(&polled), [true, true, true, true, true, false]);
        let (items, polled) = slot(&mut group, at(1), 0, 11);
        assert_eq!(good(&polled), [true, true, true, true, true, false]);
        assert_eq!(items, 3, "one for each part that was answered, none for the refused point");
        assert_eq!(slot(&mut group, at(60), 0, 11).0, 4, "it is asked for again");
        assert_eq!(good(&slot(&mut group, at(121), 0, 12).1), [true; 6]);
    }

    #[test]
    fn a_hole_that_was_read_over_costs_no_point() {
        let mut group = group(&["DB1.DBW0", "DB1.DBW20"]);
        group.begin(at(0), 240, 0);
        assert_eq!(group.requests(at(0))[0].pieces[0].item.count, 22);
        group.refused(0, Quality::UNKNOWN_ADDRESS, Treatment::Split, at(0));
        let pieces = &group.requests(at(0))[0].pieces.clone();
        assert_eq!(pieces.iter().map(|piece| piece.item.count).collect::<Vec<_>>(), [2, 2]);
        pieces.iter().for_each(|piece| group.took(piece.block, 0, &[0, 7]));
        assert_eq!(good(&group.finish(Quality::WAITING)), [true; 2]);
    }

    #[test]
    fn what_one_slot_has_no_rounds_for_waits_for_the_next() {
        let addresses: Vec<String> = (0..100).map(|at| format!("DB1.DBW{}", at * 2)).collect();
        let mut group = group(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        let (_, polled) = slot(&mut group, at(0), 0, 199);
        assert!(good(&polled).iter().filter(|good| !**good).count() > 1);
        let (_, polled) = slot(&mut group, at(1), 0, 199);
        assert_eq!(good(&polled).iter().filter(|good| !**good).count(), 1);
    }

    #[test]
    fn whole_blocks_come_back_after_an_outage_a_while_or_with_another_pdu() {
        for (now, outages, whole) in [(1, 0, false), (1, 1, true), (600, 0, true)] {
            let mut group = group(&["DB1.DBW0", "DB1.DBW2"]);
            slot(&mut group, at(0), 0, 3);
            assert_eq!(group.asks.len(), 2);
            group.begin(at(now), 240, outages);
            assert_eq!(group.asks.len() == 1, whole, "{now} {outages}");
            group.begin(at(now), 480, outages);
            assert_eq!(group.asks.len(), 1);
        }
    }

    #[test]
    fn a_refusal_without_a_split_rests_for_a_minute() {
        let mut group = group(&["DB1.DBW0", "DB1.DBW2"]);
        group.begin(at(0), 240, 0);
        group.requests(at(0));
        let span = group.refused(0, Quality::NOT_READABLE, Treatment::Refused, at(0));
        assert_eq!(span.map(|span| span.count), Some(4), "told once");
        assert!(matches!(group.finish(Quality::WAITING), Polled::Failed(Quality::NOT_READABLE)));
        group.begin(at(1), 240, 0);
        assert_eq!(group.requests(at(1)), []);
        assert!(matches!(group.finish(Quality::WAITING), Polled::Failed(Quality::NOT_READABLE)));
        group.begin(at(60), 240, 0);
        assert_eq!(group.requests(at(60)).len(), 1);
        assert_eq!(group.refused(0, Quality::NOT_READABLE, Treatment::Refused, at(60)), None);
    }
}
