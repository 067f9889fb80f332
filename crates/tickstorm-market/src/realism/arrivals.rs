//! How unevenly messages come: those of the whole stream, and those of one symbol.

/// Counts of messages in windows of a fixed width. The first window and the last are left out: the recording may
/// hold only a part of them.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    width_ns: u64,
    /// Number of the window under way, and its messages so far.
    open: Option<(u64, u64)>,
    /// Windows that are over, the first one apart.
    windows: u64,
    sum: u64,
    sum_of_squares: u128,
    largest: u64,
    first_is_over: bool,
}

impl Windows {
    pub(crate) fn new(width_ns: u64) -> Self {
        Self { width_ns, open: None, windows: 0, sum: 0, sum_of_squares: 0, largest: 0, first_is_over: false }
    }

    pub(crate) fn on_message(&mut self, due_ns: u64) {
        let number = due_ns / self.width_ns;
        let (open, count) = self.open.unwrap_or((number, 0));
        if number <= open {
            self.open = Some((open, count + 1));
            return;
        }
        if self.first_is_over {
            self.windows += 1;
            self.sum += count;
            self.sum_of_squares += u128::from(count) * u128::from(count);
            self.largest = self.largest.max(count);
        }
        self.first_is_over = true;
        self.windows += number - open - 1;
        self.open = Some((number, 1));
    }

    /// `Var n / mean² - 1 / mean`: how much more the counts vary than those of a Poisson stream, whatever the rate.
    pub(crate) fn excess(&self) -> Option<f64> {
        let mean = self.mean()?;
        let variance = self.sum_of_squares as f64 / self.windows as f64 - mean * mean;
        Some(variance / (mean * mean) - 1.0 / mean)
    }

    /// The fullest window as a multiple of the mean.
    pub(crate) fn peak(&self) -> Option<f64> {
        Some(self.largest as f64 / self.mean()?)
    }

    fn mean(&self) -> Option<f64> {
        let enough = self.windows >= LEAST_WINDOWS && self.sum >= LEAST_MESSAGES;
        enough.then(|| self.sum as f64 / self.windows as f64)
    }
}

/// A second of windows of 10 ms, less the two at its ends.
const LEAST_WINDOWS: u64 = 98;

/// Enough that a window of a burst holds more than chance.
const LEAST_MESSAGES: u64 = 100_000;

/// The arrivals of one symbol: their counts in bins that grow with the recording, and their gaps.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    first_ns: Option<u64>,
    last_ns: u64,
    /// Messages by time since the first, in bins of `1 << shift` ns.
    bins: Vec<u32>,
    shift: u32,
    messages: u64,
    gaps: f64,
    squared_gaps: f64,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self {
            first_ns: None,
            last_ns: 0,
            bins: Vec::new(),
            shift: FINEST_SHIFT,
            messages: 0,
            gaps: 0.0,
            squared_gaps: 0.0,
        }
    }

    pub(crate) fn on_message(&mut self, due_ns: u64) {
        let first_ns = *self.first_ns.get_or_insert(due_ns);
        if self.messages > 0 {
            let gap = due_ns.saturating_sub(self.last_ns) as f64;
            self.gaps += gap;
            self.squared_gaps += gap * gap;
        }
        self.last_ns = due_ns;
        self.messages += 1;
        let since_ns = due_ns.saturating_sub(first_ns);
        while since_ns >> self.shift >= MOST_BINS as u64 {
            self.bins = self.bins.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.shift += 1;
        }
        let bin = (since_ns >> self.shift) as usize;
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
    }

    /// `1 - sqrt(mean / Var)` of the counts in windows that hold thirty messages on average: the share of messages
    /// that would be children of earlier ones, were the stream a self-exciting process.
    pub(crate) fn self_excitation(&self) -> Option<f64> {
        let bins_a_window = MESSAGES_A_WINDOW * self.bins.len() as f64 / self.messages as f64;
        let bins_a_window = (libm::round(bins_a_window) as usize).max(1);
        let counts = self
            .bins
            .chunks_exact(bins_a_window)
            .map(|window| window.iter().map(|&count| f64::from(count)).sum::<f64>());
        if self.messages < LEAST_OF_A_SYMBOL || counts.len() < 200 {
            return None;
        }
        let (mean, variance) = super::statistics::moments(counts)?;
        (variance > 0.0).then(|| 1.0 - libm::sqrt(mean / variance))
    }

    /// Standard deviation of the gaps over their mean; one for a Poisson stream.
    pub(crate) fn gap_variation(&self) -> Option<f64> {
        if self.messages < LEAST_OF_A_SYMBOL {
            return None;
        }
        let gaps = (self.messages - 1) as f64;
        let mean = self.gaps / gaps;
        let variance = (self.squared_gaps / gaps - mean * mean).max(0.0);
        (mean > 0.0).then(|| libm::sqrt(variance) / mean)
    }
}

const MESSAGES_A_WINDOW: f64 = 30.0;

/// Two hundred windows of thirty.
const LEAST_OF_A_SYMBOL: u64 = 6_000;

/// A microsecond, about: finer than any burst that the windows could tell apart.
const FINEST_SHIFT: u32 = 10;

/// A megabyte a symbol. Windows are four bins or more for up to two million messages.
const MOST_BINS: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn equal_gaps_are_calmer_than_poisson_and_double_bursts_are_not() {
        let mut even = Windows::new(1_000_000);
        let mut bursts = Windows::new(1_000_000);
        for number in 0..400_000u64 {
            even.on_message(number * 100_000);
            // All messages of two windows in the first of them.
            bursts.on_message(number * 100_000 / 2_000_000 * 2_000_000);
        }
        assert!((even.excess().unwrap() + 0.1).abs() < 1e-9, "{:?}", even.excess());
        assert_eq!(even.peak(), Some(1.0));
        assert!((bursts.excess().unwrap() - 0.9).abs() < 0.01, "{:?}", bursts.excess());
        assert!((bursts.peak().unwrap() - 2.0).abs() < 0.001);
        assert_eq!(Windows::new(1_000_000).excess(), None);
    }

    #[test]
    fn a_poisson_symbol_does_not_excite_itself_however_long_it_is_followed() {
        for mean_gap_ns in [1_000.0, 3e6] {
            let mut stream = Seed::new(1).stream("test", 0);
            let mut arrivals = Arrivals::new();
            let mut due_ns = 0.0;
            for _ in 0..100_000 {
                due_ns -= mean_gap_ns * libm::log(stream.open_unit());
                arrivals.on_message(due_ns as u64);
            }
            let excitation = arrivals.self_excitation().unwrap();
            assert!(excitation.abs() < 0.05, "{excitation}");
            let variation = arrivals.gap_variation().unwrap();
            assert!((variation - 1.0).abs() < 0.02, "{variation}");
        }
    }

    #[test]
    fn times_that_fall_or_leap_are_survived() {
        let mut arrivals = Arrivals::new();
        let mut windows = Windows::new(1_000_000);
        for due_ns in [5_000_000_000, 0, u64::MAX, 7] {
            arrivals.on_message(due_ns);
            windows.on_message(due_ns);
        }
        assert_eq!((arrivals.self_excitation(), windows.excess()), (None, None));
    }
}
