use std::ops::Range;

/// Every choice of one run; the same seed makes the same choices.
#[derive(Debug)]
pub struct Dice(fastrand::Rng);

impl Dice {
    /// The choices of this seed.
    pub fn of(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number of the range, which must not be empty.
    pub fn number(&mut self, range: Range<u64>) -> u64 {
        self.0.u64(range)
    }

    /// An index below `len`, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.0.usize(..len)
    }

    /// True once in `n` times on average.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.0.u64(..n) == 0
    }

    /// One of the items with its share of the sum of all weights.
    pub fn pick<T: Copy>(&mut self, weights: &[(u32, T)]) -> T {
        let sum: u32 = weights.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.u32(..sum);
        for (weight, item) in weights {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *item,
            }
        }
        weights[0].1
    }
}
