use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

/// How often each duration occurred, from 0 ns to an hour, to three significant digits.
///
/// The memory is fixed (about 270 kB), however many values are recorded. Count, sum, smallest and largest value
/// are exact. A value above [`Histogram::TOP_NS`] has no bucket, but it is not clipped into one either: it is in
/// the count, the sum and the maximum, [`beyond`](Histogram::beyond) says how many there were, and a percentile
/// that falls among them is the maximum.
///
/// Histograms merge: the merged one equals the one into which everything was recorded. Read percentiles from
/// the merged histogram; percentiles themselves cannot be added or averaged.
///
/// ```
/// let mut latency = tickstorm_load::Histogram::new();
/// for millis in 1..=1000 {
///     latency.record(millis * 1_000_000);
/// }
/// assert_eq!(latency.percentile_ns(50.0) / 1_000_000, 500);
/// assert_eq!(latency.max_ns(), 1_000_000_000);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    buckets: hdrhistogram::Histogram<u64>,
    beyond: u64,
    sum_ns: u128,
    /// `u64::MAX` while nothing is recorded.
    min_ns: u64,
    max_ns: u64,
}

impl Histogram {
    /// The largest value that has a bucket: an hour.
    pub const TOP_NS: u64 = 3_600_000_000_000;

    /// An empty histogram.
    pub fn new() -> Self {
        let buckets = hdrhistogram::Histogram::new_with_bounds(1, Self::TOP_NS, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that the library accepts");
        Self { buckets, beyond: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        // The path of every message: without the multiplication and the zero count of `record_n`.
        if ns <= Self::TOP_NS {
            self.buckets.record(ns).expect("there is a bucket for every value up to the top");
        } else {
            self.beyond += 1;
        }
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Counts the same value `n` times.
    #[inline]
    pub fn record_n(&mut self, ns: u64, n: u64) {
        if n == 0 {
            return;
        }
        if ns <= Self::TOP_NS {
            self.buckets.record_n(ns, n).expect("there is a bucket for every value up to the top");
        } else {
            self.beyond += n;
        }
        self.sum_ns += u128::from(ns) * u128::from(n);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.add(&other.buckets).expect("all histograms have the same bounds");
        self.beyond += other.beyond;
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.buckets.reset();
        self.beyond = 0;
        self.sum_ns = 0;
        self.min_ns = u64::MAX;
        self.max_ns = 0;
    }

    /// Whether nothing was recorded. Every statistic of an empty histogram is zero, which means "unknown".
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many values were recorded, those beyond the top included.
    pub fn count(&self) -> u64 {
        self.buckets.len() + self.beyond
    }

    /// How many values were above [`Histogram::TOP_NS`].
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The exact sum of all values.
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The mean, from the exact sum; zero when empty.
    pub fn mean_ns(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum_ns as f64 / self.count() as f64 }
    }

    /// The smallest value, exactly; zero when empty.
    pub fn min_ns(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min_ns }
    }

    /// The largest value, exactly; zero when empty.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The value at or below which `p` percent of all values lie (the nearest rank, without interpolation), as
    /// the upper end of its bucket: at most a thousandth above the truth and never below it.
    ///
    /// `p` is read to a millionth of a percent and limited to 0 ..= 100; 0 gives the exact minimum, 100 the exact
    /// maximum. Among the values beyond the top every percentile is the maximum. Zero when empty.
    pub fn percentile_ns(&self, p: f64) -> u64 {
        let rank = rank(p, self.count());
        let bucketed = self.buckets.len();
        if rank == 0 {
            return self.min_ns();
        }
        if rank > bucketed {
            return self.max_ns;
        }
        // Half a rank below the wanted one, so that the library's product of quantile and count cannot round to
        // the next rank.
        let quantile = (rank as f64 - 0.5) / bucketed as f64;
        self.buckets.value_at_quantile(quantile).min(self.max_ns)
    }

    /// The buckets in the compressed form (V2 with DEFLATE) that HdrHistogram tools read. Values beyond the top
    /// are not in it.
    pub fn encode_v2_deflate(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.buckets, &mut bytes)
            .expect("memory takes every byte and no count reaches 2^63");
        bytes
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The 1-based rank of the value at percentile `p` among `count` values, in whole numbers: in floating point 99.9 %
/// of 1000 would be a little more than 999.
fn rank(p: f64, count: u64) -> u64 {
    let millionths = (p.clamp(0.0, 100.0) * 1e6).round() as u128;
    (u128::from(count) * millionths).div_ceil(100_000_000) as u64
}

/// A percentile is right to a thousandth of its value: finer than any repetition of a run.
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_histogram_knows_nothing() {
        let empty = Histogram::new();
        assert!(empty.is_empty());
        assert_eq!((empty.count(), empty.beyond(), empty.sum_ns()), (0, 0, 0));
        assert_eq!((empty.mean_ns(), empty.min_ns(), empty.max_ns()), (0.0, 0, 0));
        assert_eq!(
            (empty.percentile_ns(0.0), empty.percentile_ns(50.0), empty.percentile_ns(100.0)),
            (0, 0, 0)
        );
    }

    #[test]
    fn zero_is_a_value() {
        let mut histogram = Histogram::new();
        histogram.record_n(0, 3);
        histogram.record(7);
        assert_eq!(histogram.count(), 4);
        assert_eq!(
            (histogram.min_ns(), histogram.percentile_ns(75.0), histogram.percentile_ns(76.0)),
            (0, 0, 7)
        );
    }

    #[test]
    fn recording_no_times_changes_nothing() {
        let mut histogram = Histogram::new();
        histogram.record_n(5, 0);
        histogram.record_n(u64::MAX, 0);
        assert_eq!(histogram, Histogram::new());
    }

    #[test]
    fn a_rank_is_not_moved_by_rounding() {
        let histogram = of(1..=1000);
        for (p, expected) in [(0.1, 1), (50.0, 500), (50.05, 501), (99.0, 990), (99.9, 999), (99.99, 1000)] {
            assert_eq!(histogram.percentile_ns(p), expected, "p{p}");
        }
        // Nor where the count is large: here 99.9999 % is one message below the last million.
        let mut large = Histogram::new();
        large.record_n(1, 999_999_000_000);
        large.record_n(2, 1_000_000);
        assert_eq!((large.percentile_ns(99.9999), large.percentile_ns(99.999901)), (1, 2));
    }

    #[test]
    fn a_percentile_outside_the_scale_is_the_nearest_end() {
        let histogram = of([5_000_123, 9_000_456]);
        for low in [0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(histogram.percentile_ns(low), 5_000_123);
        }
        for high in [100.0, 100.1, f64::INFINITY] {
            assert_eq!(histogram.percentile_ns(high), 9_000_456);
        }
    }

    #[test]
    fn values_beyond_the_top_are_counted_and_not_clipped() {
        let mut histogram = of([10, 20, Histogram::TOP_NS]);
        assert_eq!(histogram.beyond(), 0);
        histogram.record_n(Histogram::TOP_NS + 1, 2);
        histogram.record(u64::MAX);

        assert_eq!((histogram.count(), histogram.beyond(), histogram.max_ns()), (6, 3, u64::MAX));
        let sum = 30 + 3 * u128::from(Histogram::TOP_NS) + 2 + u128::from(u64::MAX);
        assert_eq!(histogram.sum_ns(), sum);
        assert_eq!(histogram.percentile_ns(33.0), 20);
        assert_eq!(histogram.percentile_ns(51.0), u64::MAX, "the fourth of six has no bucket");
    }

    #[test]
    fn a_histogram_of_values_beyond_the_top_alone_is_defined() {
        let histogram = of([2 * Histogram::TOP_NS]);
        assert_eq!(histogram.min_ns(), 2 * Histogram::TOP_NS);
        assert_eq!(histogram.percentile_ns(50.0), 2 * Histogram::TOP_NS);
        assert_eq!(histogram.mean_ns(), 2.0 * Histogram::TOP_NS as f64);
    }

    #[test]
    fn a_cleared_histogram_is_like_new() {
        let mut histogram = of([1, 1_000_000, u64::MAX]);
        histogram.clear();
        assert_eq!(histogram, Histogram::new());
        histogram.record(3);
        assert_eq!(histogram, of([3]));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(value(), 1..300),
            thousandths in prop_oneof![0..=100_000u64, prop::sample::select(vec![99_000, 99_900, 100_000])],
        ) {
            let histogram = of(values.iter().copied());
            values.sort_unstable();
            let rank = (thousandths * values.len() as u64).div_ceil(100_000).max(1);
            let exact = values[rank as usize - 1];
            let measured = histogram.percentile_ns(thousandths as f64 / 1000.0);
            if exact > Histogram::TOP_NS {
                prop_assert_eq!(measured, values[values.len() - 1]);
            } else {
                prop_assert!(measured >= exact, "{} is below {}", measured, exact);
                prop_assert!(measured - exact <= exact / 1000, "{} is far above {}", measured, exact);
            }
        }

        #[test]
        fn what_is_said_to_be_exact_is(values in prop::collection::vec(value(), 1..300)) {
            let histogram = of(values.iter().copied());
            let sum: u128 = values.iter().map(|&value| u128::from(value)).sum();
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.sum_ns(), sum);
            prop_assert_eq!(histogram.mean_ns(), sum as f64 / values.len() as f64);
            prop_assert_eq!(Some(histogram.min_ns()), values.iter().copied().min());
            prop_assert_eq!(Some(histogram.max_ns()), values.iter().copied().max());
        }

        #[test]
        fn merging_equals_having_recorded_once(
            one in prop::collection::vec(value(), 0..100),
            two in prop::collection::vec(value(), 0..100),
        ) {
            let (first, second) = (of(one.iter().copied()), of(two.iter().copied()));
            let whole = of(one.into_iter().chain(two));
            prop_assert_eq!(&merged(&first, &second), &whole);
            prop_assert_eq!(&merged(&second, &first), &whole);
        }
    }

    /// Durations of every size, some of them beyond the top.
    fn value() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift)
    }

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    fn merged(first: &Histogram, second: &Histogram) -> Histogram {
        let mut whole = first.clone();
        whole.merge(second);
        whole
    }
}
