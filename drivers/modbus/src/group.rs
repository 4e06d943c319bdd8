//! A poll group while it runs: what is asked for, and what the device refuses.
//!
//! A device that lacks one address of a block refuses the whole block. The
//! block is then split until only the offending points are bad; the split is
//! kept, the refused points are asked for again from time to time, and now
//! and then the group begins anew with whole blocks. Pure: `now` is an argument.

use crate::blocks::{Block, split};
use crate::decode::{Answer, Program, Readings, kinds};
use crate::exception::{Exception, Treatment};
use crate::point::{Point, Span};
use crate::prepare::GroupPlan;
use gwp_core::batch::Kinds;
use gwp_core::time::NS_PER_S;
use gwp_core::{Quality, Timestamp};

/// A refused block is asked for again after this time.
const ASK_AGAIN_NS: i64 = 60 * NS_PER_S;

/// A group that was split begins anew with whole blocks after this time.
const RESTORE_NS: i64 = 600 * NS_PER_S;

/// Refused requests one slot may spend on splitting and asking again.
pub const REFUSALS_PER_SLOT: usize = 16;

/// State of one poll group.
#[derive(Debug)]
pub struct Group {
    pub unit: u8,
    points: Vec<Point>,
    spans: Vec<Span>,
    kinds: Kinds,
    whole: Vec<Block>,
    asks: Vec<Ask>,
    split_at: Option<Timestamp>,
    /// Outages of the link and returns of the unit when the split was made.
    split_in: (u32, u32),
}

/// One request of the group.
#[derive(Debug)]
struct Ask {
    block: Block,
    program: Program,
    refused: Option<Refusal>,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    why: Quality,
    again_at: Timestamp,
}

/// What to do about one request of the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Ask(Span),
    /// The device has refused it for this reason; it is not asked now.
    Skip(Quality),
}

/// What a refusal led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Two smaller requests stand in its place.
    Split,
    /// It will not be asked for a while; `first` if it was asked until now.
    Refused { first: bool },
}

impl Group {
    pub fn new(plan: GroupPlan) -> Group {
        let spans = plan.points.iter().map(|point| point.span).collect();
        let kinds = kinds(&plan.points);
        let mut group = Group {
            unit: plan.unit,
            points: plan.points,
            spans,
            kinds,
            whole: plan.blocks,
            asks: Vec::new(),
            split_at: None,
            split_in: (0, 0),
        };
        group.begin_anew();
        group
    }

    fn begin_anew(&mut self) {
        self.asks = self.whole.iter().map(|block| Ask::new(block.clone(), &self.points)).collect();
        self.split_at = None;
    }

    /// Begins a slot. `outages` of the link and `returns` of the unit tell that the device may be
    /// another one now.
    pub fn begin(&mut self, now: Timestamp, outages: u32, returns: u32) -> Readings {
        if let Some(split_at) = self.split_at
            && (self.split_in != (outages, returns) || now >= split_at.plus(RESTORE_NS))
        {
            self.begin_anew();
        }
        if self.split_at.is_none() {
            self.split_in = (outages, returns);
        }
        Readings::new(self.kinds.clone(), self.points.len())
    }

    /// The request at index `at`; `None` behind the last. What was refused is asked again in its
    /// time, if this slot `may_be_refused` once more.
    pub fn next(&self, at: usize, now: Timestamp, may_be_refused: bool) -> Option<Next> {
        let ask = self.asks.get(at)?;
        Some(match ask.refused {
            Some(refusal) if now < refusal.again_at || !may_be_refused => Next::Skip(refusal.why),
            _ => Next::Ask(ask.block.span),
        })
    }

    /// Takes the answer to the request at index `at`.
    pub fn answered(&mut self, at: usize, answer: &Answer, readings: &mut Readings) {
        if let Some(ask) = self.asks.get_mut(at) {
            ask.refused = None;
            ask.program.decode(answer, readings);
        }
    }

    /// Leaves the points of the request at index `at` without a value in this slot.
    pub fn failed(&self, at: usize, why: Quality, readings: &mut Readings) {
        let points = self.asks.get(at).map(|ask| ask.block.points.as_slice()).unwrap_or_default();
        points.iter().for_each(|&index| readings.fail(index as usize, why));
    }

    /// Draws the consequence of a refused request.
    pub fn refused(&mut self, at: usize, exception: Exception, now: Timestamp) -> Outcome {
        let Some(ask) = self.asks.get_mut(at) else { return Outcome::Refused { first: false } };
        if exception.treatment() == Treatment::Split
            && let Some(halves) = split(&ask.block, &self.spans)
        {
            let halves = halves.map(|half| Ask::new(half, &self.points));
            self.asks.splice(at..=at, halves);
            self.split_at.get_or_insert(now);
            return Outcome::Split;
        }
        let refusal = Refusal { why: exception.quality(), again_at: now.plus(ASK_AGAIN_NS) };
        let first = ask.refused.replace(refusal).is_none();
        Outcome::Refused { first }
    }
}

impl Ask {
    fn new(block: Block, points: &[Point]) -> Ask {
        Ask { program: Program::new(&block, points), block, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{Limits, coalesce};
    use crate::point::tests::point;
    use gwp_core::scan::Polled;
    use gwp_core::source::PlcType;

    fn group(addresses: &[&str]) -> Group {
        let points: Vec<_> = addresses.iter().map(|address| point(address, PlcType::Uint)).collect();
        let spans: Vec<_> = points.iter().map(|point| point.span).collect();
        let blocks = coalesce(&spans, Limits { registers_max: 125, coils_max: 2_000, gap_max: 16 });
        Group::new(GroupPlan { unit: 1, points, blocks })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * NS_PER_S)
    }

    /// One slot against a device that has the registers `has`; gives the requests and the result.
    fn slot(group: &mut Group, now: Timestamp, has: std::ops::Range<u32>) -> (usize, Polled) {
        let mut readings = group.begin(now, 0, 0);
        let (mut index, mut requests) = (0, 0);
        while let Some(next) = group.next(index, now, true) {
            let span = match next {
                Next::Ask(span) => span,
                Next::Skip(why) => {
                    group.failed(index, why, &mut readings);
                    index += 1;
                    continue;
                }
            };
            requests += 1;
            if u32::from(span.start) >= has.start && span.end() <= has.end {
                let registers = (span.start..).take(usize::from(span.count)).collect();
                group.answered(index, &Answer::Registers(registers), &mut readings);
            } else if group.refused(index, Exception(2), now) == Outcome::Split {
                continue;
            } else {
                group.failed(index, Quality::UNKNOWN_ADDRESS, &mut readings);
            }
            index += 1;
        }
        (requests, readings.finish())
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
    fn only_points_the_device_lacks_turn_bad_and_they_are_not_asked_every_time() {
        let mut group = group(&["hr 10", "hr 11", "hr 12", "hr 13", "hr 14", "hr 15"]);
        let (requests, polled) = slot(&mut group, at(0), 0..15);
        assert_eq!(good(&polled), [true, true, true, true, true, false]);
        assert!(requests > 2);
        let (requests, polled) = slot(&mut group, at(1), 0..15);
        assert_eq!(good(&polled), [true, true, true, true, true, false]);
        assert_eq!(requests, 3, "one for each part that was answered, none for the refused point");
        let (requests, _) = slot(&mut group, at(60), 0..15);
        assert_eq!(requests, 4, "the refused point is asked for again");
        let (_, polled) = slot(&mut group, at(121), 0..16);
        assert_eq!(good(&polled), [true; 6]);
    }

    #[test]
    fn a_hole_that_was_read_over_costs_no_point() {
        let mut group = group(&["hr 10", "hr 11", "hr 20"]);
        let mut readings = group.begin(at(0), 0, 0);
        let Some(Next::Ask(span)) = group.next(0, at(0), true) else { panic!() };
        assert_eq!(span.count, 11);
        assert_eq!(group.refused(0, Exception(2), at(0)), Outcome::Split);
        for index in 0..2 {
            let Some(Next::Ask(span)) = group.next(index, at(0), true) else { panic!() };
            assert_eq!((span.start, span.count), [(10, 2), (20, 1)][index]);
            group.answered(index, &Answer::Registers(vec![7; usize::from(span.count)]), &mut readings);
        }
        assert_eq!(good(&readings.finish()), [true; 3]);
    }

    #[test]
    fn whole_blocks_come_back_after_an_outage_a_return_or_a_while() {
        for (now, outages, returns, whole) in
            [(1, 0, 0, false), (1, 1, 0, true), (1, 0, 1, true), (600, 0, 0, true)]
        {
            let mut group = group(&["hr 10", "hr 11"]);
            slot(&mut group, at(0), 0..11);
            assert_eq!(group.asks.len(), 2);
            group.begin(at(now), outages, returns);
            assert_eq!(group.asks.len() == 1, whole, "{now} {outages} {returns}");
        }
    }

    #[test]
    fn a_function_the_device_lacks_is_refused_without_splitting() {
        let mut group = group(&["hr 10", "hr 11"]);
        group.begin(at(0), 0, 0);
        assert_eq!(group.refused(0, Exception(1), at(0)), Outcome::Refused { first: true });
        assert_eq!(group.next(0, at(1), true), Some(Next::Skip(Quality::CONFIG)));
        assert_eq!(group.next(0, at(60), false), Some(Next::Skip(Quality::CONFIG)));
        assert!(matches!(group.next(0, at(60), true), Some(Next::Ask(_))));
        assert_eq!(group.refused(0, Exception(1), at(60)), Outcome::Refused { first: false });
    }
}
