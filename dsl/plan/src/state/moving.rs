//! The memory of `moving_avg`: the last span of time in a bounded number of pieces.

use super::{Held, nanoseconds};
use crate::sum::Sum;
use gwp_core::{Quality, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Samples that together last at most this part of the span share a piece. The average is
/// exact but for the piece that the beginning of the span cuts: of that one, at most 1/256 of
/// the weight, the mean stands for all of it. At most twice as many pieces (and two) are kept.
const PIECES: i64 = 256;

/// Time-weighted average over a sliding span of a value that is held between samples.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MovingAvg {
    /// Oldest first; time without a usable value has none.
    pieces: VecDeque<Piece>,
    held: Option<Held>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Piece {
    start: Timestamp,
    end: Timestamp,
    /// Nanoseconds between them with a usable value.
    usable_ns: f64,
    /// Sum over these of the value.
    area: f64,
    quality: Quality,
}

impl MovingAvg {
    /// Takes over the value from `time` on (`Err`: there is no usable one); the average up to
    /// `time`, which of the first sample is that sample.
    pub fn step(
        &mut self,
        span_ns: i64,
        time: Timestamp,
        value: Result<(f64, Quality), Quality>,
    ) -> Result<(f64, Quality), Quality> {
        let time = self.held.as_ref().map_or(time, |held| held.time.max(time));
        if let Some(held) = self.held.take() {
            self.append(span_ns, held, time);
        }
        let from = time.plus(span_ns.saturating_neg());
        while self.pieces.front().is_some_and(|piece| piece.end <= from) {
            self.pieces.pop_front();
        }
        let (value, quality) = value?;
        self.held = Some(Held { time, value, quality });
        Ok(self.average(from).map_or((value, quality), |(mean, of_pieces)| (mean, quality.worst(of_pieces))))
    }

    fn append(&mut self, span_ns: i64, held: Held, end: Timestamp) {
        if end <= held.time {
            return;
        }
        let usable_ns = nanoseconds(held.time, end);
        let area = held.value * usable_ns;
        if let Some(last) = self.pieces.back_mut()
            && end.0.saturating_sub(last.start.0) <= span_ns / PIECES
        {
            last.usable_ns += usable_ns;
            last.area += area;
            last.end = end;
            last.quality = last.quality.worst(held.quality);
            return;
        }
        self.pieces.push_back(Piece { start: held.time, end, usable_ns, area, quality: held.quality });
    }

    /// Average of the pieces from `from` on.
    fn average(&self, from: Timestamp) -> Option<(f64, Quality)> {
        let (mut area, mut usable_ns, mut quality) = (Sum::default(), 0.0, Quality::GOOD);
        for piece in &self.pieces {
            let share = if piece.start < from {
                nanoseconds(from, piece.end) / nanoseconds(piece.start, piece.end)
            } else {
                1.0
            };
            area.add(piece.area * share);
            usable_ns += piece.usable_ns * share;
            quality = quality.worst(piece.quality);
        }
        (usable_ns > 0.0).then(|| (area.total() / usable_ns, quality))
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }
}
