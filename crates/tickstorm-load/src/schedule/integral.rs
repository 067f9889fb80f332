//! The integral of the rate, in exact arithmetic.

use ethnum::U256;

use crate::path::{Path, Segment};
use crate::rate::{Factor, Rate, gcd};

/// Λ, the number of messages that the rate has asked for since the start, a fraction included.
///
/// With A the area below the path in millionths times nanoseconds, `Λ = rate · A`, and the rate a ratio of whole
/// numbers. 2A is whole at the ends of segments and at every nanosecond of a constant segment.
#[derive(Debug)]
pub(super) struct Integral {
    path: Path,
    /// 2A at the start of each segment.
    twice_area_before: Box<[u128]>,
    /// Messages per millionth and nanosecond, as a reduced ratio.
    count: u128,
    per: u128,
}

/// Where Λ + 1/2 stands: `count` whole messages and `excess / unit` of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) count: u64,
    pub(super) excess: U256,
    pub(super) unit: U256,
}

impl Position {
    /// The part of the next message, in [0, 1).
    pub(super) fn fraction(&self) -> f64 {
        self.excess.as_f64() / self.unit.as_f64()
    }
}

impl Integral {
    /// None where the rate exceeds a message a nanosecond somewhere.
    pub(super) fn new(base_rate: Rate, multiplier: Factor, path: Path) -> Option<Integral> {
        let count = u128::from(base_rate.count()) * u128::from(multiplier.millionths());
        let per = u128::from(base_rate.per_ns()) * MILLION * MILLION;
        if count.checked_mul(path.peak().millionths().into()).is_none_or(|at_peak| at_peak > per) {
            return None;
        }
        let divisor = gcd(count, per);
        let area = |before: &mut u128, segment: &Segment| {
            let here = *before;
            *before += segment.twice_area();
            Some(here)
        };
        let twice_area_before = path.segments().iter().scan(0, area).collect();
        Some(Integral { path, twice_area_before, count: count / divisor, per: per / divisor })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn total(&self) -> u64 {
        self.position(self.path.duration_ns(), self.path.segments().len() - 1).count
    }

    /// Λ + 1/2 at `t_ns`, which lies in segment `index` or at either end of it.
    ///
    /// The peak of a message a nanosecond and the longest run keep everything below 2^250.
    pub(super) fn position(&self, t_ns: u64, index: usize) -> Position {
        let segment = &self.path.segments()[index];
        let before = self.twice_area_before[index];
        let gone = u128::from(t_ns - segment.start_ns);
        let (from, to) = (u128::from(segment.from.millionths()), u128::from(segment.to.millionths()));
        let (twice_area, unit) = if from == to {
            (U256::from(before + 2 * from * gone), U256::ONE)
        } else {
            let length = u128::from(segment.len_ns());
            let level = U256::from(before + 2 * from * gone) * U256::from(length);
            let slope = U256::from(from.abs_diff(to)) * U256::from(gone * gone);
            (if from < to { level + slope } else { level - slope }, U256::from(length))
        };
        // Λ + 1/2 = (count · 2A + per) / (2 · per), and 2A = twice_area / unit.
        let value = U256::from(self.count) * twice_area + U256::from(self.per) * unit;
        let unit = U256::from(2 * self.per) * unit;
        let (whole, excess) = divide(value, unit);
        // Saturated only before the total is checked against its limit.
        Position { count: u64::try_from(whole).unwrap_or(u64::MAX), excess, unit }
    }

    /// By how much a constant factor moves a position's excess each nanosecond.
    pub(super) fn excess_per_ns(&self, factor: Factor) -> u128 {
        2 * self.count * u128::from(factor.millionths())
    }

    /// The rate at this factor, per second.
    pub(super) fn per_second(&self, factor: f64) -> f64 {
        self.count as f64 / self.per as f64 * (factor * 1e6) * 1e9
    }

    /// The rate at `t_ns` in segment `index`, in messages per nanosecond.
    pub(super) fn per_ns(&self, t_ns: u64, index: usize) -> f64 {
        self.count as f64 / self.per as f64 * self.path.segments()[index].millionths_at(t_ns)
    }

    /// The area below the path from `lo_ns`, in segment `first`, to `hi_ns`, in segment `last`. Only ratios of areas
    /// matter, so the scale is free.
    pub(super) fn area(&self, lo_ns: u64, hi_ns: u64, first: usize, last: usize) -> f64 {
        let segments = self.path.segments();
        let part = |segment: &Segment, lo_ns: u64, hi_ns: u64| {
            (hi_ns - lo_ns) as f64 * (segment.millionths_at(lo_ns) + segment.millionths_at(hi_ns))
        };
        if first == last {
            return part(&segments[first], lo_ns, hi_ns);
        }
        let between = self.twice_area_before[last] - self.twice_area_before[first + 1];
        part(&segments[first], lo_ns, segments[first].end_ns)
            + between as f64
            + part(&segments[last], segments[last].start_ns, hi_ns)
    }
}

/// Quotient and remainder; 128 bits suffice at most times, and are much faster.
fn divide(value: U256, unit: U256) -> (U256, U256) {
    if *value.high() == 0 && *unit.high() == 0 {
        let (value, unit) = (*value.low(), *unit.low());
        let whole = value / unit;
        return (whole.into(), (value - whole * unit).into());
    }
    let whole = value / unit;
    (whole, value - whole * unit)
}

const MILLION: u128 = 1_000_000;
