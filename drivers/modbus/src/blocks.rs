//! Coalescing: the fewest requests that read all points of a poll group.
//!
//! ```text
//! points   [100] [101,102]      [110]            [300]
//! blocks   |100 ............... 110|             |300|       gap_max = 16
//! ```
//! A block stays in one table and within what one answer may carry, reads over
//! at most `gap_max` unlisted registers between two points, and never tears a
//! point apart: all registers of a value come from one answer.

use crate::point::Span;

/// What one request to a device may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Registers at most, 1 to 125 (MODBUS Application Protocol V1.1b3, 6.3).
    pub registers_max: u16,
    /// Coils or discrete inputs at most, 1 to 2,000 (6.1).
    pub coils_max: u16,
    /// Unlisted registers that may be read over to join two points; of coils 16 times as
    /// many, which takes as many bytes.
    pub gap_max: u16,
}

/// One request and the points its answer serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub span: Span,
    /// Indexes of the points in their group, by start address.
    pub points: Vec<u32>,
}

/// Blocks that cover each of `spans` exactly once, by table and address.
///
/// A span longer than the limit gets a block of its own; declarations are checked for it before.
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
    let (count_max, gap_max) = if next.table.is_bits() {
        (limits.coils_max, u32::from(limits.gap_max) * 16)
    } else {
        (limits.registers_max, u32::from(limits.gap_max))
    };
    let gap = u32::from(next.start).saturating_sub(block.end());
    let count = block.end().max(next.end()) - u32::from(block.start);
    let fits = block.table == next.table && gap <= gap_max && count <= u32::from(count_max);
    u16::try_from(count).ok().filter(|_| fits).map(|count| Span { count, ..block })
}

/// Two blocks in place of one that the device refuses as a whole: cut in its widest gap of
/// unlisted addresses, else in the middle. `None` when all its points have the same span.
pub fn split(block: &Block, spans: &[Span]) -> Option<[Block; 2]> {
    let span_of = |&index: &u32| spans.get(index as usize).copied();
    let pieces: Vec<Span> = block.points.iter().map(span_of).collect::<Option<_>>()?;
    let middle = pieces.len() / 2;
    let mut reached = pieces.first()?.end();
    let mut best: Option<(u32, usize, usize)> = None;
    for (at, (before, piece)) in pieces.iter().zip(pieces.iter().skip(1)).enumerate() {
        reached = reached.max(before.end());
        let at = at + 1;
        if before == piece {
            continue;
        }
        let gap = u32::from(piece.start).saturating_sub(reached);
        let off_middle = at.abs_diff(middle);
        if best.is_none_or(|(widest, off, _)| gap > widest || (gap == widest && off_middle < off)) {
            best = Some((gap, off_middle, at));
        }
    }
    let (_, _, at) = best?;
    let half = |indexes: &[u32], pieces: &[Span]| {
        let first = pieces.first()?;
        let end = pieces.iter().map(|piece| piece.end()).max()?;
        let count = u16::try_from(end - u32::from(first.start)).ok()?;
        Some(Block { span: Span { count, ..*first }, points: indexes.to_vec() })
    };
    let (left, right) = (block.points.split_at(at), pieces.split_at(at));
    Some([half(left.0, right.0)?, half(left.1, right.1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Table;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { registers_max: 125, coils_max: 2_000, gap_max: 16 };

    fn hr(start: u16, count: u16) -> Span {
        Span { table: Table::HoldingRegisters, start, count }
    }

    #[test]
    fn close_points_share_a_block_and_far_ones_do_not() {
        let blocks = coalesce(&[hr(300, 1), hr(100, 1), hr(110, 1), hr(101, 2)], LIMITS);
        assert_eq!(
            blocks,
            [Block { span: hr(100, 11), points: vec![1, 3, 2] }, Block { span: hr(300, 1), points: vec![0] },]
        );
        let none_read_over = coalesce(&[hr(100, 1), hr(102, 1)], Limits { gap_max: 0, ..LIMITS });
        assert_eq!(none_read_over.len(), 2);
    }

    #[test]
    fn a_thousand_registers_take_eight_requests() {
        let spans: Vec<_> = (0..1_000).map(|start| hr(start, 1)).collect();
        let blocks = coalesce(&spans, LIMITS);
        assert_eq!(blocks.len(), 8);
        assert!(blocks.iter().all(|block| block.span.count == 125));
    }

    #[test]
    fn a_value_at_the_limit_goes_to_the_next_block_whole() {
        let mut spans: Vec<_> = (0..124).map(|start| hr(start, 1)).collect();
        spans.push(hr(124, 2));
        let blocks = coalesce(&spans, LIMITS);
        assert_eq!(blocks.iter().map(|block| block.span).collect::<Vec<_>>(), [hr(0, 124), hr(124, 2)]);
    }

    #[test]
    fn a_refused_block_is_cut_in_its_widest_gap_then_in_the_middle() {
        let spans = [hr(0, 1), hr(5, 1), hr(20, 2), hr(22, 1), hr(22, 1)];
        let [block] = &coalesce(&spans, LIMITS)[..] else { panic!() };
        let [left, right] = split(block, &spans).unwrap();
        assert_eq!((left.span, right.span), (hr(0, 6), hr(20, 3)));
        let [left, right] = split(&right, &spans).unwrap();
        assert_eq!((left.span, right.span), (hr(20, 2), hr(22, 1)));
        assert_eq!(right.points, [3, 4]);
        assert_eq!(split(&right, &spans), None);
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0usize..4, 0u16..3_000, prop_oneof![Just(1u16), Just(2), Just(4), 1u16..125]);
        let tables = [Table::Coils, Table::DiscreteInputs, Table::InputRegisters, Table::HoldingRegisters];
        prop::collection::vec(span, 1..200).prop_map(move |all| {
            all.into_iter()
                .map(|(table, start, count)| Span {
                    table: tables[table],
                    start: if start % 7 == 0 { u16::MAX - count + 1 } else { start },
                    count,
                })
                .collect()
        })
    }

    fn covers(blocks: &[Block], spans: &[Span]) -> Result<(), TestCaseError> {
        let mut seen = vec![0u32; spans.len()];
        for block in blocks {
            prop_assert!(block.span.end() <= 1 << 16);
            for &index in &block.points {
                seen[index as usize] += 1;
                let span = spans[index as usize];
                prop_assert_eq!(span.table, block.span.table);
                prop_assert!(span.start >= block.span.start && span.end() <= block.span.end());
            }
            // Nothing is read before the first point or behind the last.
            let of = |f: fn(&Span) -> u32| block.points.iter().map(move |&index| f(&spans[index as usize]));
            prop_assert_eq!(of(|span| u32::from(span.start)).min(), Some(u32::from(block.span.start)));
            prop_assert_eq!(of(|span| span.end()).max(), Some(block.span.end()));
        }
        prop_assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn each_point_is_covered_once_within_the_limits(
            spans in spans(), registers_max in 125u16..=125, coils_max in 125u16..=2_000, gap_max in 0u16..40,
        ) {
            let limits = Limits { registers_max, coils_max, gap_max };
            let blocks = coalesce(&spans, limits);
            covers(&blocks, &spans)?;
            for block in &blocks {
                let bits = block.span.table.is_bits();
                let (count_max, gap_max) = if bits { (coils_max, gap_max * 16) } else { (registers_max, gap_max) };
                prop_assert!(block.span.count <= count_max);
                let mut reached = u32::from(block.span.start);
                for &index in &block.points {
                    let span = spans[index as usize];
                    let gap = u32::from(span.start).saturating_sub(reached);
                    prop_assert!(gap <= u32::from(gap_max));
                    reached = reached.max(span.end());
                }
            }
        }

        #[test]
        fn splitting_ends_and_loses_no_point(spans in spans()) {
            for block in coalesce(&spans, LIMITS) {
                let mut open = vec![block];
                let mut done = Vec::new();
                while let Some(block) = open.pop() {
                    match split(&block, &spans) {
                        Some(halves) => {
                            prop_assert!(halves.iter().all(|half| half.points.len() < block.points.len()));
                            open.extend(halves);
                        }
                        None => done.push(block),
                    }
                }
                let mut points: Vec<u32> = done.iter().flat_map(|block| block.points.clone()).collect();
                points.sort_unstable();
                points.dedup();
                let total: usize = done.iter().map(|block| block.points.len()).sum();
                prop_assert_eq!(points.len(), total);
                for block in &done {
                    let first = spans[block.points[0] as usize];
                    prop_assert!(block.points.iter().all(|&index| spans[index as usize] == first));
                    prop_assert_eq!(block.span, first);
                }
            }
        }
    }
}
