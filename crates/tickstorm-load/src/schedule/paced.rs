//! Paced arrivals: messages at equal steps of the integral of the rate.

use tickstorm_random::Stream;

use super::clock::{cell_of, cell_start_ns};
use super::integral::{Integral, Position};
use super::{Inner, Slot};
use crate::path::MAX_RUN_NS;

/// Messages at equal steps of the integral.
#[derive(Debug, Clone)]
pub(super) struct Paced {
    at_ns: u64,
    /// The segment that rules from `at_ns` on.
    segment: usize,
    /// The integral at `at_ns`.
    position: Position,
    /// How many cells to try at once; above one while nothing is due.
    stride: u64,
    /// Draws the shard of every message, owned or not.
    stream: Stream,
    is_owned: Box<[bool]>,
}

impl Paced {
    pub(super) fn new(inner: &Inner, owned: impl Fn(u16) -> bool) -> Paced {
        Paced {
            at_ns: 0,
            segment: 0,
            position: inner.integral.position(0, 0),
            stride: 1,
            stream: inner.seed.stream("shard choice", 0),
            is_owned: (0..inner.shard_weights.len()).map(|shard| owned(shard as u16)).collect(),
        }
    }

    pub(super) fn next_cell(&mut self, inner: &Inner, out: &mut Vec<Slot>) -> Option<u64> {
        let segments = inner.integral.path().segments();
        let segment = segments.get(self.segment)?;
        let mut end_ns = cell_start_ns(cell_of(self.at_ns) + self.stride).min(segment.end_ns);
        let mut end = inner.integral.position(end_ns, self.segment);
        if end.count > self.position.count && self.stride > 1 {
            self.stride = 1;
            end_ns = cell_start_ns(cell_of(self.at_ns) + 1).min(segment.end_ns);
            end = inner.integral.position(end_ns, self.segment);
        }
        let count = end.count - self.position.count;
        if count == 0 {
            self.stride = (self.stride * 2).min(MAX_STRIDE);
        } else if segment.is_constant() {
            let steps =
                EqualSteps::new(self.position, self.at_ns, inner.integral.excess_per_ns(segment.from));
            self.deal(inner, count, steps, out);
        } else {
            let steps = RampSteps::new(&inner.integral, self.segment, self.position, self.at_ns, end_ns);
            let first = out.len();
            self.deal(inner, count, steps, out);
            // Where messages are nanoseconds apart, rounding may make two of them due together.
            if !out[first..].is_sorted() {
                out[first..].sort_unstable();
            }
        }
        (self.at_ns, self.position) = (end_ns, end);
        if end_ns == segment.end_ns {
            self.segment += 1;
            // A position's excess counts in units of its own segment.
            if self.segment < segments.len() {
                self.position = inner.integral.position(end_ns, self.segment);
            }
        }
        Some(end_ns)
    }

    /// Gives each of the next `count` due times to a shard, and appends those of owned shards.
    fn deal(&mut self, inner: &Inner, count: u64, due_ns: impl Iterator<Item = u64>, out: &mut Vec<Slot>) {
        for (_, due_ns) in (0..count).zip(due_ns) {
            let shard = inner.wheel.shard(self.stream.word());
            if self.is_owned[usize::from(shard)] {
                out.push(Slot::new(due_ns, shard));
            }
        }
    }
}

/// The due times of a constant rate: whole multiples of an exact gap, rounded up to the nanosecond.
struct EqualSteps {
    due_ns: u64,
    /// How far the exact due time lies below `due_ns`, in units of 1 / `unit` ns.
    early: u128,
    gap_ns: u64,
    gap_rest: u128,
    unit: u128,
}

impl EqualSteps {
    /// A message is due whenever the excess, which grows by `per_ns` each nanosecond, has reached another unit of
    /// `start`.
    fn new(start: Position, at_ns: u64, per_ns: u128) -> EqualSteps {
        // On a constant segment the unit is twice the reduced denominator of the rate: it fits 128 bits.
        debug_assert_eq!(*start.unit.high(), 0);
        let (whole, missing) = (*start.unit.low(), *(start.unit - start.excess).low());
        let first_ns = missing.div_ceil(per_ns);
        EqualSteps {
            due_ns: at_ns + first_ns as u64,
            early: first_ns * per_ns - missing,
            // A gap longer than any run is never gone.
            gap_ns: (whole / per_ns).min(MAX_RUN_NS.into()) as u64,
            gap_rest: whole % per_ns,
            unit: per_ns,
        }
    }
}

impl Iterator for EqualSteps {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let due_ns = self.due_ns;
        self.due_ns += self.gap_ns;
        if self.gap_rest > self.early {
            self.due_ns += 1;
            self.early += self.unit;
        }
        self.early -= self.gap_rest;
        Some(due_ns)
    }
}

/// The due times where the rate changes linearly, within one cell.
struct RampSteps {
    /// By how many messages the integral must rise from `lo_ns` to the next due time.
    next: f64,
    lo_ns: u64,
    hi_ns: u64,
    /// No message is due earlier than this.
    due_ns: u64,
    /// At `lo_ns`, in messages per nanosecond.
    rate: f64,
    /// By how much the rate rises each nanosecond.
    rise: f64,
}

impl RampSteps {
    fn new(integral: &Integral, segment: usize, start: Position, lo_ns: u64, hi_ns: u64) -> RampSteps {
        let (rate, rate_at_end) = (integral.per_ns(lo_ns, segment), integral.per_ns(hi_ns, segment));
        RampSteps {
            next: 1.0 - start.fraction(),
            lo_ns,
            hi_ns,
            due_ns: lo_ns + 1,
            rate,
            rise: (rate_at_end - rate) / (hi_ns - lo_ns) as f64,
        }
    }
}

impl Iterator for RampSteps {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        // next = rate · x + rise · x² / 2, solved without a difference of near numbers.
        let root = (self.rate * self.rate + 2.0 * self.rise * self.next).max(0.0).sqrt();
        let offset = 2.0 * self.next / (self.rate + root);
        // Whatever rounding did at a rate near zero, the cast gives a number, and the bounds a due time of this cell.
        let due_ns = self.lo_ns.saturating_add(offset.ceil() as u64).clamp(self.due_ns, self.hi_ns);
        self.due_ns = due_ns;
        self.next += 1.0;
        Some(due_ns)
    }
}

/// More cells than any run has, and few enough to multiply.
const MAX_STRIDE: u64 = 1 << 33;
