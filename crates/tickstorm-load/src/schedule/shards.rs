//! Which shard takes which message.

use std::cmp::Ordering;

use tickstorm_random::{Seed, Stream};

/// Splits counts between shards: a fixed binary tree of coins, seen by the owner of some shards.
///
/// Every inner node has a random stream of its own, and consumes it only for the messages that come by. So whoever
/// looks at a node sees the same coins, and whoever owns nothing below a node need not look. A node at depth d decides bit d of the shard's number, lowest first: owners of every n-th shard (n a power of two)
/// then share few nodes.
#[derive(Debug, Clone)]
pub(super) struct ShardTree {
    /// Inner nodes at `1..width`, the children of node i at 2i and 2i + 1; entry 0 is unused.
    nodes: Box<[Node]>,
    /// Whether an owned shard lies at or below the node; leaves at `width..2 * width`.
    is_owned: Box<[bool]>,
    leaves: Box<[Leaf]>,
}

#[derive(Debug, Clone)]
struct Node {
    stream: Stream,
    left: Share,
}

/// A shard and the stream of whatever is random within it.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) shard: u16,
    pub(super) stream: Stream,
}

const ROOT: usize = 1;

impl ShardTree {
    pub(super) fn new(seed: Seed, weights: &[u64], owned: impl Fn(u16) -> bool) -> ShardTree {
        let width = weights.len().next_power_of_two();
        let depth = width.trailing_zeros();
        let leaf = |position: usize| {
            // The path to a leaf reads the shard's bits from the lowest to the highest.
            let shard = if depth == 0 { 0 } else { position.reverse_bits() >> (usize::BITS - depth) } as u16;
            Leaf { shard, stream: seed.stream("shard arrivals", shard.into()) }
        };
        let leaves: Box<[Leaf]> = (0..width).map(leaf).collect();
        let mut below = vec![0u128; 2 * width];
        let mut is_owned = vec![false; 2 * width];
        for (position, Leaf { shard, .. }) in leaves.iter().enumerate() {
            if let Some(&weight) = weights.get(usize::from(*shard)) {
                below[width + position] = weight.into();
                is_owned[width + position] = owned(*shard);
            }
        }
        for node in (ROOT..width).rev() {
            below[node] = below[2 * node] + below[2 * node + 1];
            is_owned[node] = is_owned[2 * node] || is_owned[2 * node + 1];
        }
        let node = |node: usize| Node {
            stream: seed.stream("shard choice", node as u64),
            left: Share::of(below[2 * node], below[node]),
        };
        ShardTree { nodes: (0..width).map(node).collect(), is_owned: is_owned.into(), leaves }
    }

    /// Splits `count` messages that need not be told apart, and calls `take` with each owned shard's part.
    pub(super) fn split(&mut self, count: u64, take: &mut impl FnMut(&mut Leaf, u64)) {
        self.split_below(ROOT, count, take);
    }

    fn split_below(&mut self, node: usize, count: u64, take: &mut impl FnMut(&mut Leaf, u64)) {
        if count == 0 || !self.is_owned[node] {
            return;
        }
        let width = self.nodes.len();
        match self.nodes.get_mut(node) {
            None => take(&mut self.leaves[node - width], count),
            Some(Node { stream, left }) => {
                let left = left.binomial(stream, count);
                self.split_below(2 * node, left, take);
                self.split_below(2 * node + 1, count - left, take);
            }
        }
    }
}

/// Draws the shard of single messages, each from one random word, whatever the weights: an alias table.
///
/// Everyone draws for every message, owned or not. At three nanoseconds each that is less work than telling messages
/// apart by the coins of a [`ShardTree`], even for one owner among eight.
#[derive(Debug)]
pub(super) struct ShardWheel {
    fields: Box<[Field]>,
}

/// An equal part of the wheel, shared by two shards: its own one, which takes `own` of 2^32, and another.
#[derive(Debug, Clone, Copy)]
struct Field {
    own: u32,
    other: u16,
}

impl ShardWheel {
    pub(super) fn new(weights: &[u64]) -> ShardWheel {
        let field_size: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        let mut sizes: Vec<u128> =
            weights.iter().map(|&weight| u128::from(weight) * weights.len() as u128).collect();
        let mut fields: Vec<Field> =
            (0..weights.len()).map(|shard| Field { own: 0, other: shard as u16 }).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for (shard, size) in sizes.iter().enumerate() {
            match size.cmp(&field_size) {
                Ordering::Less => small.push(shard),
                // A field that its shard fills names it on both sides.
                Ordering::Equal => {}
                Ordering::Greater => large.push(shard),
            }
        }
        // What a small shard leaves of its field, a large one takes. Sizes are whole and sum up to all fields, so both
        // lists end together.
        while let (Some(filled), Some(&taker)) = (small.pop(), large.last()) {
            fields[filled] = Field { own: ((sizes[filled] << 32) / field_size) as u32, other: taker as u16 };
            sizes[taker] -= field_size - sizes[filled];
            if sizes[taker] <= field_size {
                large.pop();
                if sizes[taker] < field_size {
                    small.push(taker);
                }
            }
        }
        ShardWheel { fields: fields.into() }
    }

    /// The upper half of the word picks a field, the lower half a side of it.
    #[inline]
    pub(super) fn shard(&self, word: u64) -> u16 {
        let index = ((word >> 32) * self.fields.len() as u64) >> 32;
        let Field { own, other } = self.fields[index as usize];
        if (word as u32) < own { index as u16 } else { other }
    }
}

/// A probability in units of 2^-63, both 0 and 1 included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(u64);

impl Share {
    const ONE: Share = Share(1 << 63);

    /// `part / whole`, and one half of nothing.
    fn of(part: u128, whole: u128) -> Share {
        if whole == 0 {
            return Share(Self::ONE.0 / 2);
        }
        // The sum of 4096 weights has 76 bits; its upper 64 are precise enough, unless a part would vanish.
        let excess = 64u32.saturating_sub(whole.leading_zeros());
        let share = Share((((part >> excess) << 63) / (whole >> excess)) as u64);
        if part == whole { Self::ONE } else { share }
    }

    /// The share nearest below `p`, which lies in [0, 1].
    pub(super) fn from_f64(p: f64) -> Share {
        Share((p * Self::ONE.0 as f64) as u64).min(Self::ONE)
    }

    fn min(self, other: Share) -> Share {
        Share(self.0.min(other.0))
    }

    pub(super) fn as_f64(self) -> f64 {
        self.0 as f64 / Self::ONE.0 as f64
    }

    /// One coin for each set bit of `lanes`; the bits of those that show this share's side stay set.
    ///
    /// A coin compares a random number with the share, most significant bit first, all lanes at once: each word
    /// decides half of the lanes that are still open. One half takes a single word.
    pub(super) fn coins(self, stream: &mut Stream, lanes: u64) -> u64 {
        if self == Self::ONE {
            return lanes;
        }
        let (mut open, mut below, mut bits) = (lanes, 0, self.0 << 1);
        while bits != 0 && open != 0 {
            let word = stream.word();
            if bits >> 63 == 1 {
                below |= open & !word;
                open &= word;
            } else {
                open &= !word;
            }
            bits <<= 1;
        }
        below
    }

    /// How many of `count` coins show this share's side.
    #[inline]
    pub(super) fn binomial(self, stream: &mut Stream, count: u64) -> u64 {
        match count {
            0 => 0,
            1..=64 => self.coins(stream, u64::MAX >> (64 - count)).count_ones().into(),
            _ => stream.binomial(count, self.as_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream() -> Stream {
        Seed::new(7).stream("test", 0)
    }

    #[test]
    fn coins_fall_in_the_share_s_proportion() {
        let mut stream = stream();
        for p in [0.0, 1e-3, 0.25, 0.5, 0.7, 1.0] {
            let share = Share::from_f64(p);
            let draws = 20_000;
            let heads: u64 = (0..draws).map(|_| u64::from(share.coins(&mut stream, !0).count_ones())).sum();
            let trials = f64::from(draws * 64);
            let error = (p * (1.0 - p) / trials).sqrt();
            assert!((heads as f64 / trials - p).abs() <= 5.0 * error, "p {p}: {heads}");
        }
    }

    #[test]
    fn coins_leave_other_lanes_alone_and_binomials_stay_in_range() {
        let mut stream = stream();
        let share = Share::from_f64(0.3);
        for _ in 0..100 {
            let lanes = stream.word();
            assert_eq!(share.coins(&mut stream, lanes) & !lanes, 0);
        }
        for count in [0, 1, 2, 63, 64, 65, 1000] {
            assert!(share.binomial(&mut stream, count) <= count);
        }
        assert_eq!(Share::ONE.binomial(&mut stream, 99), 99);
        assert_eq!(Share(0).binomial(&mut stream, 99), 0);
    }

    #[test]
    fn shares_of_whole_numbers_reach_both_ends() {
        assert_eq!(Share::of(0, 5), Share(0));
        assert_eq!(Share::of(5, 5), Share::ONE);
        assert_eq!(Share::of(1, 2), Share(1 << 62));
        let huge = 4096 * u128::from(u64::MAX);
        assert_eq!(Share::of(huge, huge), Share::ONE);
        assert!((Share::of(huge / 3, huge).as_f64() - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_shard_gets_messages_in_proportion_to_its_weight_and_none_without() {
        let weights = [1, 0, 5, 4, 0, 0];
        let mut tree = ShardTree::new(Seed::new(3), &weights, |_| true);
        let wheel = ShardWheel::new(&weights);
        let mut stream = stream();
        let (mut drawn, mut split) = ([0u64; 6], [0u64; 6]);
        for _ in 0..2000 {
            for _ in 0..50 {
                drawn[usize::from(wheel.shard(stream.word()))] += 1;
            }
            tree.split(500, &mut |leaf, count| split[usize::from(leaf.shard)] += count);
        }
        for counts in [drawn, split] {
            let total: u64 = counts.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let share = *count as f64 / total as f64;
                assert!((share - weight as f64 / 10.0).abs() < 0.01, "{counts:?}");
                assert_eq!(*count == 0, weight == 0, "{counts:?}");
            }
        }
        assert_eq!((drawn.iter().sum::<u64>(), split.iter().sum::<u64>()), (100_000, 1_000_000));
    }

    #[test]
    fn partial_owners_see_the_coins_of_the_full_owner() {
        let weights: Vec<u64> = (1..=11).collect();
        let mut full = ShardTree::new(Seed::new(3), &weights, |_| true);
        let mut parts: Vec<_> =
            (0..3).map(|part| ShardTree::new(Seed::new(3), &weights, |shard| shard % 3 == part)).collect();
        for round in 0..200 {
            let collect = |tree: &mut ShardTree| {
                let mut split = Vec::new();
                tree.split(round, &mut |leaf, count| split.push((leaf.shard, count)));
                split
            };
            let mut whole = collect(&mut full);
            let mut in_parts: Vec<_> = parts.iter_mut().flat_map(collect).collect();
            whole.sort_unstable();
            in_parts.sort_unstable();
            assert_eq!(whole, in_parts);
        }
    }

    proptest! {
        #[test]
        fn the_wheel_s_fields_add_up_to_the_weights(weights in prop::collection::vec(0u64..1000, 1..50)) {
            let total: u64 = weights.iter().sum();
            prop_assume!(total > 0);
            let wheel = ShardWheel::new(&weights);
            let mut sizes = vec![0.0; weights.len()];
            for (shard, field) in wheel.fields.iter().enumerate() {
                let own = f64::from(field.own) / 4_294_967_296.0;
                sizes[shard] += own / weights.len() as f64;
                sizes[usize::from(field.other)] += (1.0 - own) / weights.len() as f64;
            }
            for (size, weight) in sizes.iter().zip(&weights) {
                let expected = *weight as f64 / total as f64;
                prop_assert!((size - expected).abs() < 1e-8, "{} for {}", size, expected);
            }
        }
    }
}
