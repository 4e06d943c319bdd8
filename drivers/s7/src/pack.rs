//! Packing: the fewest requests for a number of blocks, within the agreed PDU.
//!
//! One request names up to 20 stretches; both it and its answer must fit. A block that is longer
//! than an answer (one long text) is cut, and its pieces go one behind the other.

use crate::point::Span;
use crate::protocol::telegram::{ANSWER_HEAD, ITEMS_MAX, Item, REQUEST_HEAD, REQUEST_ITEM, VALUE_HEAD};

/// Part of a block that one item reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Which block, in the caller's count.
    pub block: usize,
    /// Where its bytes belong in the block's.
    pub offset: usize,
    pub item: Item,
}

/// What one request reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    pub pieces: Vec<Piece>,
    answer: usize,
}

impl Request {
    /// Items as they go over the wire.
    pub fn items(&self) -> Vec<Item> {
        self.pieces.iter().map(|piece| piece.item).collect()
    }

    /// Bytes of the request and of its answer, at most.
    pub fn bytes(&self) -> (usize, usize) {
        (REQUEST_HEAD + self.pieces.len() * REQUEST_ITEM, ANSWER_HEAD + self.answer)
    }

    /// True if an item whose values have `bytes` still fits, of which the first always does.
    fn has_room(&self, bytes: usize, pdu: usize) -> bool {
        let (request, answer) = self.bytes();
        let fits = request + REQUEST_ITEM <= pdu && answer + VALUE_HEAD + bytes.next_multiple_of(2) <= pdu;
        self.pieces.is_empty() || (self.pieces.len() < ITEMS_MAX && fits)
    }

    fn push(&mut self, piece: Piece) {
        // Each value is made even.
        self.answer += VALUE_HEAD + piece.item.bytes().next_multiple_of(2);
        self.pieces.push(piece);
    }
}

/// Bytes of values that an answer with one item has room for: even, so that counted areas fit, too.
pub const fn item_bytes_max(pdu: u16) -> usize {
    (pdu as usize).saturating_sub(ANSWER_HEAD + VALUE_HEAD) / 2 * 2
}

/// Requests for the spans of `blocks`: (number of the block, its span).
pub fn pack(blocks: impl Iterator<Item = (usize, Span)>, pdu: u16) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for piece in blocks.flat_map(|(block, span)| cut(block, span, item_bytes_max(pdu))) {
        match requests.last_mut() {
            Some(request) if request.has_room(piece.item.bytes(), usize::from(pdu)) => request.push(piece),
            _ => {
                let mut request = Request::default();
                request.push(piece);
                requests.push(request);
            }
        }
    }
    requests
}

/// Pieces of a block, none longer than `bytes_max`.
fn cut(block: usize, span: Span, bytes_max: usize) -> impl Iterator<Item = Piece> {
    let step = (bytes_max / span.unit()).max(1);
    (0..span.count as usize).step_by(step).map(move |from| {
        let count = (span.count as usize - from).min(step);
        let item = Item {
            area: span.area,
            block: span.block,
            start: span.start + from as u32,
            bit: None,
            // At most 65,536 are cut into pieces of less than a PDU.
            count: u16::try_from(count).unwrap_or(u16::MAX),
        };
        Piece { block, offset: from * span.unit(), item }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::telegram::{self, Area};
    use proptest::prelude::*;

    fn db(start: u32, count: u32) -> Span {
        Span { area: Area::Blocks, block: 1, start, count }
    }

    fn packed(spans: &[Span], pdu: u16) -> Vec<Request> {
        pack(spans.iter().copied().enumerate(), pdu)
    }

    #[test]
    fn small_blocks_share_a_request_up_to_its_bounds() {
        let spans: Vec<_> = (0..45).map(|at| db(at * 100, 2)).collect();
        let lens = |pdu| packed(&spans, pdu).iter().map(|request| request.pieces.len()).collect::<Vec<_>>();
        // 12 + 12 x 19 bytes fill a PDU of 240.
        assert_eq!(lens(240), [19, 19, 7]);
        assert_eq!(lens(960), [20, 20, 5]);
        let requests = packed(&[db(0, 222), db(300, 2)], 240);
        assert_eq!(requests.iter().map(Request::bytes).collect::<Vec<_>>(), [(24, 240), (24, 20)]);
    }

    #[test]
    fn a_long_text_is_cut() {
        let [first, second] = &packed(&[db(10, 256)], 240)[..] else { panic!() };
        let parts = |request: &Request| {
            let piece = request.pieces[0];
            (piece.offset, piece.item.start, piece.item.count)
        };
        assert_eq!((parts(first), parts(second)), ((0, 10, 222), (222, 232, 34)));
        let timers = Span { area: Area::Timers, block: 0, start: 5, count: 112 };
        let requests = packed(&[timers], 240);
        assert_eq!((requests[0].pieces[0].item.count, requests[1].pieces[0].offset), (111, 222));
    }

    proptest! {
        #[test]
        fn requests_and_answers_fit_and_every_byte_is_asked_for_once(
            spans in prop::collection::vec((0u32..60_000, 1u32..700), 1..60), pdu in 64u16..=960,
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(start, count)| db(start, count)).collect();
            let mut read: Vec<Vec<u32>> = spans.iter().map(|span| vec![0; span.count as usize]).collect();
            for request in packed(&spans, pdu) {
                prop_assert!(request.pieces.len() <= ITEMS_MAX);
                prop_assert_eq!(telegram::read(0, &request.items()).len(), request.bytes().0);
                prop_assert!(request.bytes().0 <= usize::from(pdu) && request.bytes().1 <= usize::from(pdu));
                for piece in &request.pieces {
                    prop_assert_eq!(piece.item.start, spans[piece.block].start + piece.offset as u32);
                    for at in 0..usize::from(piece.item.count) {
                        read[piece.block][piece.offset + at] += 1;
                    }
                }
            }
            prop_assert!(read.iter().flatten().all(|&times| times == 1));
        }
    }
}
