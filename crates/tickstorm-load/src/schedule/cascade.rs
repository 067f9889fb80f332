//! Poisson and bursty arrivals: the messages of a window split between its halves, and so on down to single messages.
//!
//! One stream splits counts down to cells; everyone draws the whole of it. Within a cell the messages are split between
//! the shards, and each shard scatters its own by its own stream.

use tickstorm_random::{QuantileTable, Stream, beta_symmetric_table};

use super::clock::{CELLS_PER_SECOND, cell_of, cell_start_ns};
use super::shards::{Leaf, ShardTree, Share};
use super::{Inner, SECOND_NS, Slot};
use crate::arrivals::Arrivals;

/// Where the splitting stands.
#[derive(Debug, Clone)]
pub(super) struct Cascade {
    window_ns: u64,
    cap: Option<u32>,
    /// Splits counts between cells; streams of the shards go on within them.
    stream: Stream,
    /// The start of the next window, the segment that rules from there, and the count due by then.
    at_ns: u64,
    segment: usize,
    count: u64,
    /// What is left of the current window, the earliest range last.
    pending: Vec<Stretch>,
    shards: ShardTree,
}

/// A part of a window and the messages in it.
#[derive(Debug, Clone)]
struct Stretch {
    count: u64,
    lo_ns: u64,
    hi_ns: u64,
    /// The segments that it touches, from the first to the last.
    first: usize,
    last: usize,
}

impl Cascade {
    pub(super) fn new(
        inner: &Inner,
        owned: impl Fn(u16) -> bool,
        window_ns: u64,
        cap: Option<u32>,
    ) -> Cascade {
        Cascade {
            window_ns,
            cap,
            stream: inner.seed.stream("clock", 0),
            at_ns: 0,
            segment: 0,
            count: 0,
            pending: Vec::with_capacity(MAX_PENDING),
            shards: ShardTree::new(inner.seed, &inner.shard_weights, owned),
        }
    }

    pub(super) fn next_cell(&mut self, inner: &Inner, out: &mut Vec<Slot>) -> Option<u64> {
        if self.pending.is_empty() && !self.open_window(inner) {
            return None;
        }
        let mut end_ns = self.at_ns;
        while let Some(stretch) = self.pending.pop() {
            end_ns = stretch.hi_ns;
            if stretch.count == 0 {
                continue;
            }
            match stretch.middle_ns(inner) {
                Some(middle_ns) => self.halve(inner, &stretch, middle_ns),
                None => {
                    self.fill(inner, &stretch, out);
                    break;
                }
            }
        }
        Some(end_ns)
    }

    /// Puts the next window on the empty stack; false at the end of the run.
    fn open_window(&mut self, inner: &Inner) -> bool {
        let path = inner.integral.path();
        let (lo_ns, first) = (self.at_ns, self.segment);
        if lo_ns == path.duration_ns() {
            return false;
        }
        let hi_ns = lo_ns.saturating_add(self.window_ns).min(path.duration_ns());
        let next = path.segment_from(hi_ns);
        let last = if path.segments()[next].start_ns == hi_ns { next - 1 } else { next };
        let count = inner.integral.position(hi_ns, last).count;
        self.pending.push(Stretch { count: count - self.count, lo_ns, hi_ns, first, last });
        (self.at_ns, self.segment, self.count) = (hi_ns, next, count);
        true
    }

    /// Puts the two parts of a stretch on the stack, the left one last.
    fn halve(&mut self, inner: &Inner, stretch: &Stretch, middle_ns: u64) {
        let (mut left, mut right) = stretch.cut(inner, middle_ns);
        let left_area = inner.integral.area(left.lo_ns, left.hi_ns, left.first, left.last);
        let right_area = inner.integral.area(right.lo_ns, right.hi_ns, right.first, right.last);
        // A count above zero and no area meet only where rounding has swallowed the area.
        let p = if left_area + right_area > 0.0 { left_area / (left_area + right_area) } else { 0.5 };
        let share = match &inner.odds {
            // An edge of the profile inside a cell is no halving of time.
            Some(odds) if cell_of(stretch.lo_ns) != cell_of(stretch.hi_ns - 1) => {
                let table = odds.share(stretch.hi_ns - stretch.lo_ns);
                p + (2.0 * table.draw(&mut self.stream).as_f64() - 1.0) * p.min(1.0 - p)
            }
            _ => p,
        };
        left.count = Share::from_f64(share).binomial(&mut self.stream, stretch.count);
        if let Some(cap) = self.cap
            && p > 0.0
            && p < 1.0
        {
            left.count = within_capacity(left.count, stretch.count, left.capacity(cap), right.capacity(cap));
        }
        right.count = stretch.count - left.count;
        self.pending.push(right);
        self.pending.push(left);
    }

    /// Deals a cell's messages to the shards, each of which scatters its own.
    fn fill(&mut self, inner: &Inner, cell: &Stretch, out: &mut Vec<Slot>) {
        let first = out.len();
        let length_ns = cell.hi_ns - cell.lo_ns;
        let halvings = length_ns.div_ceil(FINEST_NS).next_power_of_two().trailing_zeros();
        self.shards.split(cell.count, &mut |Leaf { shard, stream }, count| {
            // A position is the fraction of the cell gone by, in units of 2^-32.
            let mut emit = |position: u32| {
                out.push(Slot::new(cell.lo_ns + ((u64::from(position) * length_ns) >> 32), *shard));
            };
            match &inner.odds {
                Some(odds) => odds.scatter(count, 0, u32::MAX, halvings, stream, &mut emit),
                None => (0..count).for_each(|_| emit(stream.word() as u32)),
            }
        });
        // Shards came one after the other, but slots are handed out by due time.
        out[first..].sort_unstable();
    }
}

impl Stretch {
    /// Where to cut this stretch: between cells, or, within a cell, between segments; none where it is in one cell
    /// and one segment.
    fn middle_ns(&self, inner: &Inner) -> Option<u64> {
        let (first, last) = (cell_of(self.lo_ns), cell_of(self.hi_ns - 1));
        if first != last {
            return Some(cell_start_ns(first + (last - first).div_ceil(2)));
        }
        let middle = self.first + (self.last - self.first).div_ceil(2);
        (self.first != self.last).then(|| inner.integral.path().segments()[middle].start_ns)
    }

    /// The parts before and after `middle_ns`, without messages.
    fn cut(&self, inner: &Inner, middle_ns: u64) -> (Stretch, Stretch) {
        let segments = &inner.integral.path().segments()[self.first..self.last];
        let right_first = self.first + segments.partition_point(|segment| segment.end_ns <= middle_ns);
        let left_last = self.first + segments.partition_point(|segment| segment.end_ns < middle_ns);
        (
            Stretch { count: 0, hi_ns: middle_ns, last: left_last, ..*self },
            Stretch { count: 0, lo_ns: middle_ns, first: right_first, ..*self },
        )
    }

    /// How many messages fit at `cap` a cell. Parts of a stretch have exactly the capacity of the whole.
    fn capacity(&self, cap: u32) -> u64 {
        let cells = u128::from(cap) * 2 * u128::from(CELLS_PER_SECOND);
        // To the nearest: a cell that begins half a nanosecond early, by rounding, holds no more than its neighbour.
        let by = |t_ns: u64| ((u128::from(t_ns) * cells / u128::from(SECOND_NS)).div_ceil(2)) as u64;
        by(self.hi_ns) - by(self.lo_ns)
    }
}

/// The number nearest to `left` that keeps both sides within their capacities; in proportion to these where `count`
/// is more than fits.
fn within_capacity(left: u64, count: u64, left_capacity: u64, right_capacity: u64) -> u64 {
    match left_capacity + right_capacity {
        0 => left,
        both if count > both => (u128::from(count) * u128::from(left_capacity) / u128::from(both)) as u64,
        _ => left.clamp(count.saturating_sub(right_capacity), left_capacity),
    }
}

/// How unevenly halves share, as tables.
#[derive(Debug)]
pub(super) struct Odds {
    /// The left half's share where more than a second is halved, and below.
    above_a_second: QuantileTable<Share>,
    up_to_a_second: QuantileTable<Share>,
    /// For small counts within a cell, from 2 on.
    small: Box<[SmallOdds]>,
}

/// How a small count of messages falls apart: the mixture over all shares, so that no share need be drawn.
#[derive(Debug)]
struct SmallOdds {
    /// How many halvings leave all messages together.
    together: QuantileTable<u8>,
    /// How many of them the left half gets when they part.
    left: QuantileTable<u8>,
}

impl Odds {
    /// None where shares are even.
    pub(super) fn new(arrivals: Arrivals) -> Option<Odds> {
        match arrivals {
            Arrivals::Bursty(burst) if burst.a().is_finite() => Some(Odds {
                above_a_second: beta_symmetric_table(
                    burst.a().max(MIN_A_ABOVE_A_SECOND),
                    BETA_ENTRIES,
                    Share::from_f64,
                ),
                up_to_a_second: beta_symmetric_table(burst.a(), BETA_ENTRIES, Share::from_f64),
                small: (2..=MAX_SMALL).map(|count| SmallOdds::new(count, burst.a())).collect(),
            }),
            _ => None,
        }
    }

    fn share(&self, length_ns: u64) -> &QuantileTable<Share> {
        if length_ns > SECOND_NS { &self.above_a_second } else { &self.up_to_a_second }
    }

    /// Places `count` messages in the block of positions that begins at `start` and whose last is `start | mask`, by
    /// at most so many halvings; what is still together then, or alone before, falls anywhere in its block.
    fn scatter(
        &self,
        mut count: u64,
        mut start: u32,
        mut mask: u32,
        mut halvings: u32,
        stream: &mut Stream,
        emit: &mut impl FnMut(u32),
    ) {
        while count > 1 && halvings > 0 {
            let word = stream.word();
            let left = match self.small.get(count as usize - 2) {
                Some(odds) => {
                    let together = u32::from(odds.together.at(word)).min(halvings);
                    // Where to, halving by halving, is for the word's lower half to say.
                    let block = mask >> together;
                    start |= word as u32 & mask & !block;
                    (mask, halvings) = (block, halvings - together);
                    if halvings == 0 {
                        break;
                    }
                    odds.left.at(word << TABLE_BITS).into()
                }
                None => self.up_to_a_second.at(word).binomial(stream, count),
            };
            (mask, halvings) = (mask >> 1, halvings - 1);
            if left == 1 {
                emit(start | (stream.word() as u32 & mask));
            } else if left > 1 {
                self.scatter(left, start, mask, halvings, stream, emit);
            }
            start |= mask + 1;
            count -= left;
        }
        for _ in 0..count {
            emit(start | (stream.word() as u32 & mask));
        }
    }
}

impl SmallOdds {
    fn new(count: u64, a: f64) -> SmallOdds {
        let chances = beta_binomial(count, a);
        let together = chances[0] + chances[count as usize];
        let apart: f64 = chances[1..count as usize].iter().sum();
        SmallOdds {
            together: QuantileTable::new(1 << TABLE_BITS, |u| {
                let (mut halvings, mut remaining) = (0, together);
                while remaining > 1.0 - u && halvings < 32 {
                    remaining *= together;
                    halvings += 1;
                }
                halvings
            }),
            left: QuantileTable::new(1 << TABLE_BITS, |u| {
                let (mut left, mut below) = (1, chances[1] / apart);
                while below < u && left < count as u8 - 1 {
                    left += 1;
                    below += chances[usize::from(left)] / apart;
                }
                left
            }),
        }
    }
}

/// The chances that the left half gets 0, 1, ... `count` messages, when its share is drawn from Beta(a, a).
fn beta_binomial(count: u64, a: f64) -> Vec<f64> {
    let mut weights = vec![1.0];
    for left in 0..count {
        let (left, right) = (left as f64, (count - left) as f64);
        weights.push(weights[weights.len() - 1] * right / (left + 1.0) * (left + a) / (right - 1.0 + a));
    }
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Ten halvings of a cell: bursts finer than about a microsecond are not to be seen through any socket.
const FINEST_NS: u64 = 1024;
/// Live feeds vary much less from minute to minute than their bursts below a second suggest.
const MIN_A_ABOVE_A_SECOND: f64 = 11.0;
/// Ten bits of a random word pick a share; the rest of the word is left for coins.
const BETA_ENTRIES: usize = 1024;
/// The depth of the longest run's halvings down to cells, and a cell's down to segments.
const MAX_PENDING: usize = 64;
/// Counts up to here make most of the splits, and their tables stay in a processor's first cache.
const MAX_SMALL: u64 = 16;
/// Two look-ups and a position come from one random word.
const TABLE_BITS: u32 = 10;
