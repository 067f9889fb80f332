/// What happened in each whole second of run time.
///
/// Only seconds in which something happened take memory (40 bytes each), so the series of an interval is as long
/// as the interval, wherever in the run it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// In ascending order, each second once.
    rows: Vec<SecondCounts>,
}

/// The counts of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecondCounts {
    /// Which second: it began at run time `second` s.
    pub second: u64,
    /// Messages sent in it.
    pub sent: u64,
    /// Messages whose good reply came in it.
    pub processed: u64,
    /// Messages that failed in it.
    pub failed: u64,
    /// Messages dropped in it.
    pub dropped: u64,
}

impl Series {
    /// Counts a message sent at run time `at_ns`.
    #[inline]
    pub fn on_sent(&mut self, at_ns: u64) {
        self.row_mut(at_ns / NS_PER_SECOND).sent += 1;
    }

    /// Counts a message processed at run time `at_ns`.
    #[inline]
    pub fn on_processed(&mut self, at_ns: u64) {
        self.row_mut(at_ns / NS_PER_SECOND).processed += 1;
    }

    /// Counts `n` messages sent and processed at run time `at_ns`.
    #[inline]
    pub fn on_delivered(&mut self, at_ns: u64, n: u64) {
        let row = self.row_mut(at_ns / NS_PER_SECOND);
        row.sent += n;
        row.processed += n;
    }

    /// Counts a message that failed at run time `at_ns`.
    pub fn on_failed(&mut self, at_ns: u64) {
        self.row_mut(at_ns / NS_PER_SECOND).failed += 1;
    }

    /// Counts `n` messages dropped at run time `at_ns`.
    pub fn on_dropped(&mut self, at_ns: u64, n: u64) {
        if n > 0 {
            self.row_mut(at_ns / NS_PER_SECOND).dropped += n;
        }
    }

    /// The seconds in which something happened, in order.
    pub fn rows(&self) -> &[SecondCounts] {
        &self.rows
    }

    /// The most messages processed in one whole second of the first `until_ns` of run time. Zero when these hold
    /// no whole second.
    pub fn peak_processed_in_a_second(&self, until_ns: u64) -> u64 {
        let whole_seconds = until_ns / NS_PER_SECOND;
        let inside = self.rows.partition_point(|row| row.second < whole_seconds);
        self.rows[..inside].iter().map(|row| row.processed).max().unwrap_or(0)
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Series) {
        for more in &other.rows {
            let SecondCounts { second, sent, processed, failed, dropped } = more;
            let row = self.row_mut(*second);
            row.sent += sent;
            row.processed += processed;
            row.failed += failed;
            row.dropped += dropped;
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// The row of a second. Nearly always it is the last one.
    #[inline]
    fn row_mut(&mut self, second: u64) -> &mut SecondCounts {
        let last = self.rows.len().wrapping_sub(1);
        let index = match self.rows.get(last) {
            Some(row) if row.second == second => last,
            _ => self.find_or_insert(second),
        };
        &mut self.rows[index]
    }

    #[cold]
    fn find_or_insert(&mut self, second: u64) -> usize {
        match self.rows.binary_search_by_key(&second, |row| row.second) {
            Ok(index) => index,
            Err(index) => {
                self.rows.insert(index, SecondCounts { second, ..SecondCounts::default() });
                index
            }
        }
    }
}

const NS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_counts() {
        let mut series = Series::default();
        series.on_sent(0);
        series.on_sent(999_999_999);
        series.on_sent(1_000_000_000);
        series.on_processed(1_000_000_001);
        series.on_failed(1_999_999_999);
        series.on_dropped(7_500_000_000, 3);
        series.on_dropped(8_000_000_000, 0);
        assert_eq!(
            series.rows(),
            [
                SecondCounts { second: 0, sent: 2, ..SecondCounts::default() },
                SecondCounts { second: 1, sent: 1, processed: 1, failed: 1, ..SecondCounts::default() },
                SecondCounts { second: 7, dropped: 3, ..SecondCounts::default() },
            ]
        );
    }

    #[test]
    fn the_peak_is_that_of_a_whole_second_inside_the_span() {
        let mut series = Series::default();
        for (second, processed) in [(0, 3), (1, 5), (2, 9)] {
            (0..processed).for_each(|_| series.on_processed(second * NS_PER_SECOND));
        }
        assert_eq!(series.peak_processed_in_a_second(u64::MAX), 9);
        assert_eq!(series.peak_processed_in_a_second(3 * NS_PER_SECOND), 9);
        assert_eq!(
            series.peak_processed_in_a_second(3 * NS_PER_SECOND - 1),
            5,
            "a part of a second is no second"
        );
        assert_eq!(series.peak_processed_in_a_second(NS_PER_SECOND - 1), 0);
    }

    #[test]
    fn a_late_interval_takes_no_more_memory_than_an_early_one() {
        let mut series = Series::default();
        series.on_processed(u64::MAX);
        series.on_processed(0);
        assert_eq!(series.rows().iter().map(|row| row.second).collect::<Vec<_>>(), [0, 18_446_744_073]);
    }

    #[test]
    fn seconds_that_overlap_are_added_when_merged() {
        let (mut early, mut late) = (Series::default(), Series::default());
        early.on_sent(1);
        early.on_sent(NS_PER_SECOND);
        late.on_sent(NS_PER_SECOND);
        late.on_sent(5 * NS_PER_SECOND);
        let mut merged = late.clone();
        merged.merge(&early);
        early.merge(&late);
        assert_eq!(merged, early);
        assert_eq!(
            merged.rows().iter().map(|row| (row.second, row.sent)).collect::<Vec<_>>(),
            [(0, 1), (1, 2), (5, 1)]
        );
    }
}
