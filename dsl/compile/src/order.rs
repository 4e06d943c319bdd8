//! Orders things that build on each other, and finds the rings among them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An order in which everything stands after what it needs.
pub(crate) struct Order {
    /// Those outside of rings, and not above one; as early as possible, smaller numbers first.
    pub sorted: Vec<usize>,
    /// Each ring once: every element needs the next one, the last needs the first.
    pub rings: Vec<Vec<usize>>,
}

/// `needs[i]` lists what `i` needs. The result does not depend on the order within these lists.
pub(crate) fn order(needs: &[Vec<usize>]) -> Order {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (thing, needs) in needs.iter().enumerate() {
        for need in needs {
            if let Some(list) = needed_by.get_mut(*need) {
                list.push(thing);
            }
        }
    }
    let free = (0..needs.len()).filter(|thing| open[*thing] == 0);
    let mut ready: BinaryHeap<_> = free.map(Reverse).collect();
    let mut sorted = Vec::with_capacity(needs.len());
    while let Some(Reverse(thing)) = ready.pop() {
        sorted.push(thing);
        for next in &needed_by[thing] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    let rings = rings(needs, &open);
    Order { sorted, rings }
}

/// Follows one open need after the other until it meets its own way.
fn rings(needs: &[Vec<usize>], open: &[usize]) -> Vec<Vec<usize>> {
    const NEVER: usize = usize::MAX;
    let mut walk_of = vec![NEVER; needs.len()];
    let mut rings = Vec::new();
    for start in 0..needs.len() {
        let mut way = Vec::new();
        let mut thing = start;
        // every open thing has an open need, so the walk ends only where it or an earlier one has been
        while open[thing] > 0 && walk_of[thing] == NEVER {
            walk_of[thing] = start;
            way.push(thing);
            match needs[thing].iter().copied().filter(|need| open[*need] > 0).min() {
                Some(next) => thing = next,
                None => break,
            }
        }
        if let Some(from) = way.iter().position(|other| *other == thing && walk_of[thing] == start) {
            rings.push(way.split_off(from));
        }
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first_and_else_the_smaller_number() {
        let order = order(&[vec![2], vec![], vec![1], vec![]]);
        assert_eq!(order.sorted, [1, 2, 0, 3]);
        assert!(order.rings.is_empty());
    }

    #[test]
    fn every_ring_is_found_once() {
        // 0 -> 1 -> 2 -> 1, 3 -> 3, 4 needs the ring, 5 is free
        let order = order(&[vec![1], vec![2], vec![1], vec![3], vec![0], vec![]]);
        assert_eq!(order.sorted, [5]);
        assert_eq!(order.rings, [vec![1, 2], vec![3]]);
    }
}
