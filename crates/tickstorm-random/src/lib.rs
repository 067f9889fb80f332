//! All randomness of tickstorm: one printed seed, named streams derived from it, and the distributions drawn
//! from them.
//!
//! It exists so that the schedule and the market, which know nothing of each other, share one rule of
//! derivation. Nothing here reads a clock or the machine's entropy, and every floating-point function is from a
//! portable library, so the same seed gives the same draws on every machine.
//!
//! ```
//! use tickstorm_random::Seed;
//!
//! let mut first = Seed::new(1).stream("market", 7);
//! let mut again = Seed::new(1).stream("market", 7);
//! assert_eq!(first.word(), again.word());
//! ```

mod table;

pub use table::{QuantileTable, beta_symmetric_table, normal_quantile};

use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoroshiro128PlusPlus;

/// The number from which everything random in a run follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The seed with this value; every value is as good as any other.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number a user writes to get the same run again.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// A seed of its own for the `index`-th thing called `name`.
    pub fn child(self, name: &str, index: u64) -> Seed {
        let mut hash = mix(self.0);
        for byte in name.bytes() {
            hash = mix(hash ^ u64::from(byte));
        }
        Seed(mix(hash ^ mix(index)))
    }

    /// The random stream of the `index`-th thing called `name`. Streams of different names or indices are
    /// independent, so adding one does not reshuffle the others.
    pub fn stream(self, name: &str, index: u64) -> Stream {
        Stream(Xoroshiro128PlusPlus::seed_from_u64(self.child(name, index).0))
    }
}

/// A stream of random words: xoroshiro128++, about a nanosecond a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream(Xoroshiro128PlusPlus);

impl Stream {
    /// The next 64 random bits.
    #[inline]
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in [0, 1) with 53 random bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A whole number in [0, bound); `bound` must be above zero. The bias is below one in 2^32 for every bound
    /// that is used here.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// How many of `n` independent trials of probability `p` succeed. A mean below 16 is drawn by inversion;
    /// above, a rounded normal, clamped to `0..=n`, serves what the counts of a schedule need: the mean exact and
    /// the cost bounded.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        if n == 1 {
            return u64::from(self.unit() < p);
        }
        let mean = n as f64 * p;
        if mean < 16.0 {
            return self.binomial_by_inversion(n, p);
        }
        let spread = libm::sqrt(mean * (1.0 - p));
        let draw = libm::floor(mean + spread * normal_quantile(self.open_unit()) + 0.5);
        (draw.max(0.0) as u64).min(n)
    }

    /// Walks up the distribution function from zero; about `n·p` steps.
    fn binomial_by_inversion(&mut self, n: u64, p: f64) -> u64 {
        let odds = p / (1.0 - p);
        let mut mass = libm::exp(n as f64 * libm::log1p(-p));
        let mut left = self.unit();
        let mut k = 0;
        while left >= mass && k < n {
            left -= mass;
            mass *= odds * (n - k) as f64 / (k + 1) as f64;
            k += 1;
        }
        k
    }

    /// A number in (0, 1), both ends excluded, for functions that are infinite there.
    #[inline]
    pub fn open_unit(&mut self) -> f64 {
        ((self.word() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }
}

/// The finaliser of splitmix64: every input bit changes every output bit.
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_frozen() {
        let mut stream = Seed::new(1).stream("clock", 0);
        let words: Vec<u64> = (0..3).map(|_| stream.word()).collect();
        assert_eq!(words, FROZEN, "every fingerprint in the tree hangs on these");
    }

    #[test]
    fn names_and_indices_give_different_streams() {
        let seed = Seed::new(1);
        let first = seed.stream("clock", 0).word();
        assert_ne!(first, seed.stream("clock", 1).word());
        assert_ne!(first, seed.stream("clocks", 0).word());
        assert_ne!(first, Seed::new(2).stream("clock", 0).word());
    }

    #[test]
    fn binomial_has_the_right_mean_and_stays_in_range() {
        let mut stream = Seed::new(3).stream("test", 0);
        for (n, p) in [(10, 0.3), (24, 0.5), (25, 0.01), (1000, 0.9), (50_000, 0.5)] {
            let draws = 4000;
            let sum: u64 = (0..draws).map(|_| stream.binomial(n, p)).inspect(|&k| assert!(k <= n)).sum();
            let mean = sum as f64 / f64::from(draws);
            let error = (n as f64 * p * (1.0 - p) / f64::from(draws)).sqrt();
            assert!((mean - n as f64 * p).abs() < 5.0 * error, "n {n} p {p}: mean {mean}");
        }
        assert_eq!(stream.binomial(9, 0.0), 0);
        assert_eq!(stream.binomial(9, 1.0), 9);
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let mut stream = Seed::new(4).stream("test", 0);
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[stream.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 800 && count < 1200), "{seen:?}");
    }

    const FROZEN: [u64; 3] = [4465951178006176815, 5807748059674500925, 10895766128356796847];
}
