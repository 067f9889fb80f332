//! Counts along a line, in bins that grow with it, so that any length fits.

use std::collections::VecDeque;

/// How much there was in each of a row of equally wide bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bins {
    /// Where the first bin starts.
    pub from: u64,
    /// How wide each bin is.
    pub width: u64,
    /// Bin by bin, up to the last that anything fell in.
    pub counts: Vec<u64>,
}

impl Bins {
    /// The bins so far, each as start, end and count.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.counts.iter().enumerate().map(|(index, &count)| {
            let from = self.from + index as u64 * self.width;
            (from, from.saturating_add(self.width), count)
        })
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// [`Bins`] that are merged in pairs whenever they would become more than `most`.
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    bins: Bins,
    most: usize,
}

impl Adaptive {
    pub(super) fn new(from: u64, width: u64, most: usize) -> Self {
        Self { bins: Bins { from, width, counts: Vec::new() }, most }
    }

    /// Counts one at this place; what lies before the first bin counts there.
    pub(super) fn add(&mut self, at: u64) {
        let offset = at.saturating_sub(self.bins.from);
        while offset / self.bins.width >= self.most as u64 {
            self.bins.counts = self.bins.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.bins.width *= 2;
        }
        let index = (offset / self.bins.width) as usize;
        if index >= self.bins.counts.len() {
            self.bins.counts.resize(index + 1, 0);
        }
        self.bins.counts[index] += 1;
    }

    pub(super) fn bins(&self) -> &Bins {
        &self.bins
    }
}

/// The stretch of [`BINS`] bins of a fixed width around the fullest of them.
#[derive(Debug, Clone)]
pub(super) struct Closeup {
    width_ns: u64,
    /// The latest bins; the last is still filling.
    recent: VecDeque<u64>,
    /// Number of the bin that is filling, counted from time zero.
    filling: u64,
    /// When that bin is full.
    full_ns: u64,
    fullest: u64,
    /// Bins that are still to be seen before the fullest is in the middle.
    awaited: usize,
    kept: Option<Bins>,
}

/// Bins of a close-up.
const BINS: usize = 1_000;

impl Closeup {
    pub(super) fn new(width_ns: u64) -> Self {
        Self {
            width_ns,
            recent: VecDeque::with_capacity(BINS),
            filling: 0,
            full_ns: 0,
            fullest: 0,
            awaited: 0,
            kept: None,
        }
    }

    pub(super) fn add(&mut self, at_ns: u64) {
        if at_ns >= self.full_ns {
            let bin = at_ns / self.width_ns;
            if self.recent.is_empty() {
                self.filling = bin;
                self.recent.push_back(0);
            }
            self.advance(bin);
            self.full_ns = (bin + 1).saturating_mul(self.width_ns);
        }
        if let Some(count) = self.recent.back_mut() {
            *count += 1;
        }
    }

    /// Ends the bin that is filling and starts the one with this number.
    fn advance(&mut self, bin: u64) {
        if let Some(&count) = self.recent.back()
            && count > self.fullest
        {
            self.fullest = count;
            self.awaited = BINS / 2;
            self.kept = None;
        }
        for _ in 0..(bin - self.filling).min(BINS as u64) {
            if self.awaited > 0 {
                self.awaited -= 1;
                if self.awaited == 0 {
                    self.kept = Some(self.window());
                }
            }
            self.filling += 1;
            if self.recent.len() == BINS {
                self.recent.pop_front();
            }
            self.recent.push_back(0);
        }
        // After a longer pause all bins are empty, wherever they are.
        self.filling = bin;
    }

    fn window(&self) -> Bins {
        let first = (self.filling + 1).saturating_sub(self.recent.len() as u64);
        Bins {
            from: first * self.width_ns,
            width: self.width_ns,
            counts: self.recent.iter().copied().collect(),
        }
    }

    /// The stretch, shorter if there is not so much; `None` before the first message.
    pub(super) fn bins(&self) -> Option<Bins> {
        let mut ended = self.clone();
        if !ended.recent.is_empty() {
            ended.advance(ended.filling + 1);
        }
        ended.kept.or_else(|| (!self.recent.is_empty()).then(|| self.window()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bins_lose_nothing_however_far_they_reach(
            places in prop::collection::vec((0_u32..50).prop_flat_map(|bits| 0..=(1_u64 << bits)), 1..300),
        ) {
            let mut adaptive = Adaptive::new(0, 3, 64);
            for &place in &places {
                adaptive.add(place);
            }
            let bins = adaptive.bins();
            prop_assert!(bins.counts.len() <= 64);
            prop_assert_eq!(bins.total(), places.len() as u64);
            for (from, until, count) in bins.iter() {
                prop_assert_eq!(places.iter().filter(|&&it| (from..until).contains(&it)).count() as u64, count);
            }
        }
    }

    #[test]
    fn a_close_up_has_the_fullest_bin_in_its_middle() {
        let mut closeup = Closeup::new(10);
        for at_ns in 0..100_000 {
            closeup.add(at_ns);
        }
        (0..20).for_each(|_| closeup.add(100_000));
        for at_ns in 100_001..200_000 {
            closeup.add(at_ns);
        }
        let bins = closeup.bins().unwrap();
        assert_eq!(bins.counts.len(), BINS);
        let fullest = bins.iter().max_by_key(|&(_, _, count)| count).unwrap();
        assert_eq!(fullest, (100_000, 100_010, 29));
        assert_eq!(bins.from, 95_000);
        assert!(bins.counts.iter().all(|&count| count == 10 || count == 29));
    }

    #[test]
    fn a_burst_at_the_end_is_shown_with_what_came_before_it() {
        let mut closeup = Closeup::new(10);
        assert_eq!(closeup.bins(), None);
        closeup.add(500);
        (0..3).for_each(|_| closeup.add(555));
        let bins = closeup.bins().unwrap();
        assert_eq!((bins.from, bins.counts), (500, vec![1, 0, 0, 0, 0, 3]));
    }

    #[test]
    fn a_pause_longer_than_a_close_up_is_empty_bins() {
        let mut closeup = Closeup::new(1);
        (0..5).for_each(|_| closeup.add(1_000));
        closeup.add(u64::MAX - 1);
        let bins = closeup.bins().unwrap();
        assert_eq!(bins.total(), 5);
        assert_eq!(bins.from, 1_000);
    }
}
