//! Sequence numbers of one subscription: what came, what is missing, what may be acknowledged.
//!
//! ```text
//!                 next                          the number expected
//!                  v
//!  .. 4 5 6 7 8 9 10 11 12      7 missing: asked for by Republish until it comes or the server lacks it
//!     a a s . h h               a acknowledged, s stored (to be acknowledged), h handed to the log
//! ```
//! The server keeps a notification until it is acknowledged, so an acknowledgement goes out only when the log
//! holds what it says. Numbers begin at 1 and go from 4294967295 to 1 (OPC UA Part 4, 7.26 and 5.14.1.1).
//! Pure: owns no socket and no clock.

use crate::limits::{ACKS_PER_PUBLISH, GAP_MAX, REMEMBERED_MAX};
use std::collections::{BTreeSet, VecDeque};

/// The number behind another.
pub const fn after(number: u32) -> u32 {
    match number {
        u32::MAX => 1,
        number => number + 1,
    }
}

/// Whether `number` is `of` or comes within half the range behind it.
pub const fn is_from(number: u32, of: u32) -> bool {
    number.wrapping_sub(of) < 1 << 31
}

/// What to do with a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Hand it over.
    Fresh,
    /// It came before: do nothing.
    Repeated,
}

/// The numbers of one subscription.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Expected next; unknown before the first notification.
    next: Option<u32>,
    /// What is older is in the log since a run before.
    floor: Option<u32>,
    /// Passed over, and asked for.
    missing: BTreeSet<u32>,
    /// Handed over, and not yet in the log.
    handed: BTreeSet<u32>,
    /// In the log, to be acknowledged.
    stored: VecDeque<u32>,
    /// Never came, and the server has them no more.
    lost: u64,
    /// The newest of those.
    given_up: BTreeSet<u32>,
}

impl Sequence {
    /// Of a subscription of a run before, whose log has all before `floor`.
    pub fn left(floor: Option<u32>) -> Sequence {
        Sequence { floor, ..Sequence::default() }
    }

    /// A notification has come, by a publish answer or a republished one. What it shows to be missing is in
    /// [`Sequence::missing`] afterwards. `available` = what the server still keeps, if it said so.
    pub fn arrived(&mut self, number: u32, available: &[u32]) -> Arrival {
        let fresh = match self.next {
            None if self.floor.is_some_and(|floor| !is_from(number, floor)) => false,
            None => {
                // Of what was sent before, only what the server still keeps is missing, and what the log lacks.
                let lacks = |held: u32| self.floor.is_none_or(|floor| is_from(held, floor));
                let before = available
                    .iter()
                    .filter(|held| **held != number && is_from(number, **held) && lacks(**held));
                self.missing.extend(before.take(GAP_MAX as usize));
                self.next = Some(after(number));
                true
            }
            Some(next) if is_from(number, next) => {
                self.gap(next, number);
                self.next = Some(after(number));
                true
            }
            // It may come late, after all.
            Some(_) if self.given_up.remove(&number) => {
                self.lost = self.lost.saturating_sub(1);
                true
            }
            Some(_) => self.missing.remove(&number),
        };
        if !fresh {
            self.again(number);
            return Arrival::Repeated;
        }
        if self.handed.len() < REMEMBERED_MAX {
            self.handed.insert(number);
        }
        Arrival::Fresh
    }

    /// A keep-alive says which number comes next; gives the numbers that should have come before it.
    /// They are worth a question and no more: some servers count otherwise.
    pub fn kept_alive(&self, coming: u32) -> Vec<u32> {
        match self.next {
            Some(next) if coming != 0 && is_from(coming, next) => numbers(next, coming).collect(),
            _ => Vec::new(),
        }
    }

    /// After the session came back with the subscription as it was: the number to ask for first.
    pub fn next(&self) -> u32 {
        self.next.unwrap_or(1)
    }

    /// After the subscription was transferred, `available` being what the server keeps: what of it never came.
    pub fn resumed(&mut self, available: &[u32]) -> Vec<u32> {
        let is_wanted = |number: u32| match (self.next, self.floor) {
            (Some(next), _) => is_from(number, next) || self.missing.contains(&number),
            (None, Some(floor)) => is_from(number, floor),
            (None, None) => true,
        };
        let (mut wanted, held): (Vec<u32>, Vec<u32>) =
            available.iter().copied().take(REMEMBERED_MAX).partition(|number| is_wanted(*number));
        // In the log, and the server has not heard so.
        held.into_iter().for_each(|number| self.again(number));
        let next = self.next.or(self.floor).unwrap_or(1);
        // In their order, also over the end of the range.
        wanted.sort_by_key(|number| number.wrapping_sub(next).wrapping_add(GAP_MAX));
        wanted
    }

    /// All before this number has come, or never will.
    pub fn reached(&self) -> u32 {
        self.missing().first().copied().unwrap_or_else(|| self.next())
    }

    /// Numbers that are asked for, oldest first.
    pub fn missing(&self) -> Vec<u32> {
        let next = self.next();
        let mut missing: Vec<u32> = self.missing.iter().copied().collect();
        missing.sort_by_key(|number| std::cmp::Reverse(next.wrapping_sub(*number)));
        missing
    }

    /// The server has it no more.
    pub fn unavailable(&mut self, number: u32) {
        if self.missing.remove(&number) {
            self.lost += 1;
            self.given_up.insert(number);
            while self.given_up.len() > REMEMBERED_MAX {
                self.given_up.pop_first();
            }
        }
    }

    /// How many never came.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The log holds it on disk.
    pub fn stored(&mut self, number: u32) {
        self.handed.remove(&number);
        self.acknowledge(number);
    }

    /// Acknowledgements to go with the next publish request.
    pub fn acknowledgements(&mut self) -> Vec<u32> {
        let count = self.stored.len().min(ACKS_PER_PUBLISH);
        self.stored.drain(..count).collect()
    }

    /// The request that took them along has failed.
    pub fn not_acknowledged(&mut self, numbers: impl IntoIterator<Item = u32>) {
        numbers.into_iter().for_each(|number| self.acknowledge(number));
    }

    fn acknowledge(&mut self, number: u32) {
        if self.stored.len() < REMEMBERED_MAX {
            self.stored.push_back(number);
        }
    }

    /// It came again: if the log has it, the server has missed the acknowledgement.
    fn again(&mut self, number: u32) {
        if !self.handed.contains(&number) && !self.stored.contains(&number) {
            self.acknowledge(number);
        }
    }

    /// All between the expected number and one that came are missing.
    fn gap(&mut self, next: u32, came: u32) {
        let mut count = 0;
        for number in numbers(next, came) {
            self.missing.insert(number);
            count += 1;
        }
        // What is beyond the bound is not asked for.
        self.lost += u64::from(came.wrapping_sub(next)).saturating_sub(count);
        while self.missing.len() > REMEMBERED_MAX {
            self.missing.pop_first();
            self.lost += 1;
        }
    }
}

/// The numbers from one to before another, the newest of them within the bound.
fn numbers(from: u32, to: u32) -> impl Iterator<Item = u32> {
    let count = to.wrapping_sub(from);
    let skipped = count.saturating_sub(GAP_MAX);
    // Zero is no number.
    (skipped..count).map(move |offset| from.wrapping_add(offset)).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests;
