//! Answers that units still owe: the guard against late answers on RTU.
//!
//! An RTU answer carries no transaction number, only unit, function and
//! length. If unit 5 did not answer a read of ten registers in time, the ten
//! registers that arrive later look like the answer to any other read of ten
//! registers from unit 5. Waiting helps, but no wait is long enough. So a
//! request whose answer could be mistaken for an owed one is not sent: a
//! shorter read of the same registers goes first. A device answers in order;
//! once that read is answered (its length tells it apart), nothing before it
//! can still come. Pure: `now` is an argument.
//!
//! Source: MODBUS over Serial Line V1.02, 2.4.1 (a master may not have two
//! requests open) and 2.5.1 (frame content).

use crate::address::Table;
use crate::point::Span;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Owed answers that are remembered at most; the oldest are the least likely to come.
const OWED_MAX: usize = 1_024;

/// Owed answers of all units on one link.
#[derive(Debug, Default)]
pub struct Owed {
    /// In the order of their requests.
    answers: VecDeque<Debt>,
    /// When something last came that nobody waited for.
    stray_at: Option<Instant>,
}

/// Unit, table and bytes are all that tells RTU answers apart.
#[derive(Clone, Copy, Debug)]
struct Debt {
    unit: u8,
    table: Table,
    bytes: usize,
    since: Instant,
}

impl Debt {
    fn fits(&self, unit: u8, table: Table, bytes: usize) -> bool {
        (self.unit, self.table, self.bytes) == (unit, table, bytes)
    }
}

impl Owed {
    /// The answer to reading `span` did not come, or something else came in its place.
    pub fn add(&mut self, unit: u8, span: Span, now: Instant) {
        if self.answers.len() >= OWED_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(Debt { unit, table: span.table, bytes: span.answer_bytes(), since: now });
    }

    /// The unit has given an answer that none of its owed ones could be: those before are void.
    pub fn settle(&mut self, unit: u8) {
        if !self.answers.is_empty() {
            self.answers.retain(|debt| debt.unit != unit);
        }
    }

    /// The unit has given an answer to an earlier request: that one and those before it are void.
    pub fn came(&mut self, unit: u8, table: Table, bytes: usize) {
        let Some(at) = self.answers.iter().position(|debt| debt.fits(unit, table, bytes)) else { return };
        let mut index = 0;
        self.answers.retain(|debt| {
            index += 1;
            debt.unit != unit || index > at + 1
        });
    }

    /// Something came that nobody waited for: whoever is late may not be done yet.
    pub fn stray(&mut self, now: Instant) {
        self.stray_at = Some(now);
    }

    /// True if an owed answer would pass for the answer to reading `span`.
    pub fn is_ambiguous(&self, unit: u8, span: Span) -> bool {
        self.answers.iter().any(|debt| debt.fits(unit, span.table, span.answer_bytes()))
    }

    /// True if the unit owes any answer from the table. Exceptions tell no more of their request.
    pub fn owes(&self, unit: u8, table: Table) -> bool {
        self.answers.iter().any(|debt| debt.unit == unit && debt.table == table)
    }

    /// The longest shorter read from the start of `span` whose answer none of the owed ones could be.
    pub fn distinct_read(&self, unit: u8, span: Span) -> Option<Span> {
        (1..span.count).rev().map(|count| Span { count, ..span }).find(|span| !self.is_ambiguous(unit, *span))
    }

    /// True if for `patience` the unit has owed nothing new and nothing stray has come.
    pub fn is_expired(&self, unit: u8, patience: Duration, now: Instant) -> bool {
        let since = self.answers.iter().filter(|debt| debt.unit == unit).map(|debt| debt.since);
        since.chain(self.stray_at).all(|since| now.saturating_duration_since(since) >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hr(start: u16, count: u16) -> Span {
        Span { table: Table::HoldingRegisters, start, count }
    }

    #[test]
    fn only_answers_of_the_same_unit_function_and_length_are_mistaken() {
        let now = Instant::now();
        let mut owed = Owed::default();
        assert!(!owed.is_ambiguous(5, hr(0, 10)));
        owed.add(5, hr(0, 10), now);
        assert!(owed.is_ambiguous(5, hr(200, 10)));
        assert!(!owed.is_ambiguous(6, hr(0, 10)));
        assert!(!owed.is_ambiguous(5, hr(0, 9)));
        assert!(!owed.is_ambiguous(5, Span { table: Table::InputRegisters, ..hr(0, 10) }));
        assert!(owed.owes(5, Table::HoldingRegisters) && !owed.owes(5, Table::Coils));
        owed.settle(6);
        assert!(owed.is_ambiguous(5, hr(0, 10)));
        owed.settle(5);
        assert!(!owed.is_ambiguous(5, hr(0, 10)));
    }

    #[test]
    fn a_distinct_read_stays_within_the_span_and_is_unlike_all_owed() {
        let now = Instant::now();
        let mut owed = Owed::default();
        owed.add(5, hr(0, 10), now);
        owed.add(5, hr(0, 9), now);
        assert_eq!(owed.distinct_read(5, hr(100, 10)), Some(hr(100, 8)));
        assert_eq!(owed.distinct_read(5, hr(100, 1)), None);
        let coils = |count| Span { table: Table::Coils, start: 0, count };
        owed.add(5, coils(12), now);
        assert_eq!(owed.distinct_read(5, coils(16)), Some(coils(8)));
        assert_eq!(owed.distinct_read(5, coils(8)), Some(coils(7)));
        owed.add(5, coils(1), now);
        assert_eq!(owed.distinct_read(5, coils(8)), None);
    }

    #[test]
    fn an_answer_that_comes_voids_those_before_it() {
        let now = Instant::now();
        let mut owed = Owed::default();
        for (unit, count) in [(5, 10), (6, 8), (5, 9), (5, 8), (5, 9)] {
            owed.add(unit, hr(0, count), now);
        }
        owed.came(5, Table::HoldingRegisters, 18);
        assert!(!owed.is_ambiguous(5, hr(0, 10)));
        assert!(owed.is_ambiguous(5, hr(0, 9)), "asked twice");
        assert!(owed.is_ambiguous(5, hr(0, 8)));
        assert!(owed.is_ambiguous(6, hr(0, 8)));
        owed.came(5, Table::Coils, 1);
        assert!(owed.is_ambiguous(5, hr(0, 8)), "nothing of the kind was owed");
    }

    #[test]
    fn debts_expire_only_on_a_silent_line() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut owed = Owed::default();
        owed.add(5, hr(0, 1), now);
        assert!(!owed.is_expired(5, second, now));
        assert!(owed.is_expired(5, second, now + second));
        owed.stray(now + second);
        assert!(!owed.is_expired(5, second, now + second));
        assert!(owed.is_expired(5, second, now + 2 * second));
    }

    #[test]
    fn memory_is_bounded() {
        let mut owed = Owed::default();
        for unit in 0..=255 {
            (1..=125).for_each(|count| owed.add(unit, hr(0, count), Instant::now()));
        }
        assert_eq!(owed.answers.len(), OWED_MAX);
        assert!(owed.is_ambiguous(255, hr(0, 125)));
    }
}
