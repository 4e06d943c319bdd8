//! Coalescing: the fewest stretches of memory that cover all points of a poll group.
//!
//! ```text
//! points   DB1 [0..4] [4..8]     [30]           DB2 [0..2]
//! blocks   DB1 |0 ............... 30|           DB2 |0..2|       gap_max = 32
//! ```
//! A block stays in one area or data block and within what one item of an answer may carry, reads
//! over at most `gap_max` unlisted bytes between two points, and never tears a point apart. Only a
//! text that is longer than an answer gets a block that takes several items.

use crate::point::Span;

/// What one block may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of values in one item at most.
    pub bytes_max: usize,
    /// Unlisted bytes that may be read over to join two points.
    pub gap_max: u32,
}

/// A stretch of memory and the points in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub span: Span,
    /// Indexes of the points in their group, by start address.
    pub points: Vec<u32>,
}

/// Blocks that cover each of `spans` exactly once, by area and address.
pub fn coalesce(spans: &[Span], limits: Limits) -> Vec<Block> {
    let mut order: Vec<u32> = (0..).take(spans.len()).collect();
    let span_of = |index: u32| spans.get(index as usize).copied();
    order.sort_by_key(|&index| (span_of(index), index));
    let mut blocks: Vec<Block> = Vec::new();
    for index in order {
        let Some(span) = span_of(index) else { continue };
        match blocks.last_mut().and_then(|block| joined(block.span, span, limits).map(|span| (block, span))) {
            Some((block, span)) => {
                block.span = span;
                block.points.push(index);
            }
            None => blocks.push(Block { span, points: vec![index] }),
        }
    }
    blocks
}

/// The span over both when they may be read together; `next` does not start before `block`.
fn joined(block: Span, next: Span, limits: Limits) -> Option<Span> {
    let gap = next.start.saturating_sub(block.end());
    let count = block.end().max(next.end()) - block.start;
    let over = Span { count, ..block };
    let same = (block.area, block.block) == (next.area, next.block);
    let gap_bytes = gap as usize * next.unit();
    let fits = same && gap_bytes <= limits.gap_max as usize && over.bytes() <= limits.bytes_max;
    // Points in one place share a block however long it is.
    let within = same && next.end() <= block.end();
    (fits || within).then_some(over)
}

/// Two blocks in place of one that the PLC refuses: cut in its widest gap of unlisted addresses,
/// else in the middle. `None` when all its points have the same span.
pub fn split(block: &Block, spans: &[Span]) -> Option<[Block; 2]> {
    let span_of = |&index: &u32| spans.get(index as usize).copied();
    let pieces: Vec<Span> = block.points.iter().map(span_of).collect::<Option<_>>()?;
    let middle = pieces.len() / 2;
    let mut reached = pieces.first()?.end();
    let mut best: Option<(u32, usize, usize)> = None;
    for (at, (before, piece)) in (1..).zip(pieces.iter().zip(pieces.iter().skip(1))) {
        reached = reached.max(before.end());
        if before == piece {
            continue;
        }
        let gap = piece.start.saturating_sub(reached);
        let off_middle = middle.abs_diff(at);
        if best.is_none_or(|(widest, off, _)| gap > widest || (gap == widest && off_middle < off)) {
            best = Some((gap, off_middle, at));
        }
    }
    let (_, _, at) = best?;
    let half = |indexes: &[u32], pieces: &[Span]| {
        let first = pieces.first()?;
        let end = pieces.iter().map(|piece| piece.end()).max()?;
        Some(Block { span: Span { count: end - first.start, ..*first }, points: indexes.to_vec() })
    };
    let (left, right) = (block.points.split_at(at), pieces.split_at(at));
    Some([half(left.0, right.0)?, half(left.1, right.1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::telegram::Area;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes_max: 222, gap_max: 32 };

    fn db(block: u16, start: u32, count: u32) -> Span {
        Span { area: Area::Blocks, block, start, count }
    }

    #[test]
    fn close_points_share_a_block_and_far_ones_do_not() {
        let blocks = coalesce(&[db(1, 300, 4), db(1, 0, 4), db(1, 30, 1), db(2, 0, 2), db(1, 4, 4)], LIMITS);
        assert_eq!(
            blocks,
            [
                Block { span: db(1, 0, 31), points: vec![1, 4, 2] },
                Block { span: db(1, 300, 4), points: vec![0] },
                Block { span: db(2, 0, 2), points: vec![3] },
            ]
        );
        assert_eq!(coalesce(&[db(1, 0, 1), db(1, 2, 1)], Limits { gap_max: 0, ..LIMITS }).len(), 2);
    }

    #[test]
    fn a_value_at_the_limit_goes_to_the_next_block_whole() {
        let spans: Vec<_> = (0..60).map(|at| db(1, at * 4, 4)).collect();
        let spans: Vec<_> = coalesce(&spans, LIMITS).iter().map(|block| block.span).collect();
        assert_eq!(spans, [db(1, 0, 220), db(1, 220, 20)]);
        let counters: Vec<_> =
            (0..120).map(|start| Span { area: Area::Counters, block: 0, start, count: 1 }).collect();
        assert_eq!(coalesce(&counters, LIMITS)[0].span.count, 111, "each has two bytes");
    }

    #[test]
    fn a_long_text_has_a_block_of_its_own_and_what_lies_within_it_too() {
        let blocks = coalesce(&[db(1, 0, 4), db(1, 4, 256), db(1, 4, 1), db(1, 260, 4)], LIMITS);
        let spans: Vec<_> = blocks.iter().map(|block| block.span).collect();
        assert_eq!(spans, [db(1, 0, 5), db(1, 4, 256), db(1, 260, 4)]);
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span =
            (0u16..3, 0u32..2_000, prop_oneof![Just(1u32), Just(2), Just(4), Just(8), Just(256), 1u32..60]);
        prop::collection::vec(span, 1..120)
            .prop_map(|all| all.into_iter().map(|(block, start, count)| db(block, start, count)).collect())
    }

    proptest! {
        #[test]
        fn each_point_is_covered_once_within_the_limits(spans in spans(), bytes_max in 40usize..942, gap_max in 0u32..40) {
            let blocks = coalesce(&spans, Limits { bytes_max, gap_max });
            let mut seen = vec![0; spans.len()];
            for block in &blocks {
                let mut reached = block.span.start;
                for &index in &block.points {
                    let span = spans[index as usize];
                    seen[index as usize] += 1;
                    prop_assert_eq!(span.block, block.span.block);
                    prop_assert!(span.start >= block.span.start && span.end() <= block.span.end());
                    prop_assert!(span.start.saturating_sub(reached) <= gap_max);
                    reached = reached.max(span.end());
                }
                prop_assert_eq!(reached, block.span.end(), "nothing is read behind the last");
                let longest = block.points.iter().map(|&index| spans[index as usize].bytes()).max();
                prop_assert!(block.span.bytes() <= bytes_max || Some(block.span.bytes()) == longest);
            }
            prop_assert!(seen.iter().all(|&times| times == 1));
        }

        #[test]
        fn splitting_ends_and_loses_no_point(spans in spans()) {
            for block in coalesce(&spans, LIMITS) {
                let count = block.points.len();
                let (mut open, mut done) = (vec![block], Vec::new());
                while let Some(block) = open.pop() {
                    match split(&block, &spans) {
                        Some(halves) => {
                            prop_assert!(halves.iter().all(|half| half.points.len() < block.points.len()));
                            open.extend(halves);
                        }
                        None => done.extend(block.points.iter().map(|&index| (index, block.span))),
                    }
                }
                prop_assert_eq!(done.len(), count);
                prop_assert!(done.iter().all(|(index, span)| spans[*index as usize] == *span));
            }
        }
    }
}
