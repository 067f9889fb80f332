//! How often values exceed a threshold, over all orders of magnitude.

/// Counts of whole numbers in buckets a sixteenth of their value wide; below sixteen they are exact.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    counts: Vec<u64>,
    values: u64,
    /// Of all values.
    sum: u128,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], values: 0, sum: 0 }
    }

    pub(super) fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.values += 1;
        self.sum += u128::from(value);
    }

    pub(super) fn exceedance(&self) -> Exceedance {
        let mut left = self.values;
        let mut points = Vec::new();
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count > 0 {
                points.push((lowest(bucket) as f64, left as f64 / self.values as f64));
                left -= count;
            }
        }
        let mean = if self.values > 0 { self.sum as f64 / self.values as f64 } else { 0.0 };
        Exceedance { values: self.values, mean, points }
    }
}

/// How large a share of values reaches a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Exceedance {
    /// How many values there were.
    pub values: u64,
    /// Their mean; zero if there were none.
    pub mean: f64,
    /// Threshold, rising, and the share of values that reach it.
    pub points: Vec<(f64, f64)>,
}

/// Of the sixteen buckets between two powers of two.
const STEPS: u64 = 16;

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEPS.ilog2();
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The least value of a bucket.
fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    (STEPS + bucket % STEPS) << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_point_says_what_share_reaches_it() {
        let mut tail = Tail::new();
        assert_eq!(tail.exceedance(), Exceedance { values: 0, mean: 0.0, points: vec![] });
        for value in [1, 1, 2, 1_000_000] {
            tail.add(value);
        }
        let exceedance = tail.exceedance();
        assert_eq!(exceedance.mean, 250_001.0);
        assert_eq!(exceedance.points[..2], [(1.0, 1.0), (2.0, 0.5)]);
        let (threshold, share) = exceedance.points[2];
        assert!((threshold / 1_000_000.0 - 1.0).abs() < 1.0 / 16.0 && share == 0.25, "{threshold} {share}");
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket_and_at_most_a_sixteenth_above_its_start(value: u64) {
            let start = lowest(bucket(value));
            prop_assert!(start <= value && value - start <= value / 16);
            prop_assert_eq!(bucket(start), bucket(value));
        }
    }
}
