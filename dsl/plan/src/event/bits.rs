//! Sets of steps: which of a circuit are to run, taken out in order.

/// A set of small numbers.
#[derive(Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    pub fn set(&mut self, index: u32) {
        self.0[index as usize / 64] |= 1 << (index % 64);
    }

    /// Takes out the smallest member that is at least `from`.
    pub fn take_from(&mut self, from: u32) -> Option<u32> {
        let first = from as usize / 64;
        for (word, bits) in self.0.iter_mut().enumerate().skip(first) {
            let seen = if word == first { *bits & (u64::MAX << (from % 64)) } else { *bits };
            if seen != 0 {
                let bit = seen.trailing_zeros();
                *bits &= !(1 << bit);
                return Some(word as u32 * 64 + bit);
            }
        }
        None
    }
}
