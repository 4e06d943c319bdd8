//! Recent items in memory, for readers that are in step.
//!
//! A ring bounded in bytes over something that is also on disk. A reader that
//! has fallen behind what the ring still holds is told so and reads the disk.

use std::collections::VecDeque;

/// A bounded run of the newest items, in order of their keys.
#[derive(Debug)]
pub struct Recent<K, T> {
    items: VecDeque<(K, usize, T)>,
    bytes: usize,
    bytes_max: usize,
    /// Everything above this key is here.
    floor: K,
}

/// What a reader gets.
#[derive(Debug, PartialEq)]
pub enum Read<T> {
    Items(Vec<T>),
    /// There is nothing newer.
    UpToDate,
    /// What comes next is no longer here: read the disk.
    Behind,
}

impl<K: Ord + Copy, T: Clone> Recent<K, T> {
    /// An empty ring; everything up to `floor` is on disk.
    pub fn new(floor: K, bytes_max: usize) -> Self {
        Recent { items: VecDeque::new(), bytes: 0, bytes_max, floor }
    }

    /// Adds the newest item. Gives up the oldest while there are too many bytes, but
    /// only those at or below `on_disk`.
    pub fn push(&mut self, key: K, bytes: usize, item: T, on_disk: K) {
        self.items.push_back((key, bytes, item));
        self.bytes += bytes;
        while self.bytes > self.bytes_max && self.items.front().is_some_and(|(key, ..)| *key <= on_disk) {
            if let Some((key, bytes, _)) = self.items.pop_front() {
                self.bytes -= bytes;
                self.floor = key;
            }
        }
    }

    /// Up to `count` items after a key.
    pub fn after(&self, key: K, count: usize) -> Read<T> {
        if key < self.floor {
            return Read::Behind;
        }
        let start = self.items.partition_point(|(item, ..)| *item <= key);
        let items: Vec<T> = self.items.range(start..).take(count).map(|(.., item)| item.clone()).collect();
        if items.is_empty() { Read::UpToDate } else { Read::Items(items) }
    }

    /// Forgets items at or below a key: their reader has them.
    pub fn release(&mut self, key: K) {
        while self.items.front().is_some_and(|(item, ..)| *item <= key) {
            if let Some((key, bytes, _)) = self.items.pop_front() {
                self.bytes -= bytes;
                self.floor = key;
            }
        }
    }

    /// Everything up to a key is on disk only.
    pub fn skip_to(&mut self, key: K) {
        self.release(key);
        self.floor = self.floor.max(key);
    }

    /// Everything above this key is here.
    pub fn floor(&self) -> K {
        self.floor
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_in_step_up_to_date_or_behind() {
        let mut recent = Recent::new(0, 30);
        assert_eq!(recent.after(0, 9), Read::UpToDate);
        for key in 1..=5 {
            recent.push(key, 10, key * 100, 3);
        }
        // 1 and 2 are given up; 3 fits the bound again.
        assert_eq!(recent.after(1, 9), Read::Behind);
        assert_eq!(recent.after(2, 2), Read::Items(vec![300, 400]));
        assert_eq!(recent.after(5, 2), Read::UpToDate);
        // Nothing that is not on disk is given up.
        for key in 6..=9 {
            recent.push(key, 10, key * 100, 3);
        }
        assert_eq!(recent.after(3, 9), Read::Items(vec![400, 500, 600, 700, 800, 900]));
        recent.release(7);
        assert_eq!((recent.after(6, 9), recent.bytes()), (Read::Behind, 20));
        recent.skip_to(8);
        assert_eq!((recent.after(7, 9), recent.after(8, 9)), (Read::Behind, Read::Items(vec![900])));
        recent.skip_to(20);
        assert_eq!((recent.after(19, 9), recent.after(20, 9)), (Read::Behind, Read::UpToDate));
        recent.skip_to(5);
        assert_eq!((recent.floor(), recent.bytes()), (20, 0));
    }
}
