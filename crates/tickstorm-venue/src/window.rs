//! The part of a book that a venue shows: so many levels a side.

use tickstorm_market::event::{BookChange, Side, Snapshot};

use crate::decoded::Level;
use crate::ladder::Ladder;

/// A venue's own book of a symbol, from which it tells subscribers what happens among the best levels.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    bids: Ladder<u32>,
    asks: Ladder<u32>,
    depth: usize,
}

/// What a change of the book means to those who see only the best levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    /// The level itself, if it is, or was, among the best.
    pub(crate) level: Option<Level>,
    /// A level that a removal has brought into sight.
    pub(crate) risen: Option<Level>,
    /// A level that a new one has pushed out of sight, as it was. Whether subscribers are told differs between
    /// venues.
    pub(crate) fallen: Option<Level>,
}

/// What a change of the book found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Was {
    /// The level's quantity before.
    pub(crate) had: u64,
    /// How many levels of the side are better.
    pub(crate) better: usize,
}

impl Window {
    /// Shows `depth` levels a side, everything if that is zero.
    pub(crate) fn new(depth: u32) -> Self {
        let depth = if depth == 0 { usize::MAX } else { depth as usize };
        Self { bids: Ladder::new(Side::Buy), asks: Ladder::new(Side::Sell), depth }
    }

    /// Replaces the book.
    pub(crate) fn seed(&mut self, snapshot: &Snapshot) {
        for (ladder, levels) in [(&mut self.bids, &snapshot.bids), (&mut self.asks, &snapshot.asks)] {
            ladder.clear();
            for &(price, quantity) in levels.iter().rev() {
                ladder.set(price, narrow(quantity));
            }
        }
    }

    /// Takes in a change.
    #[inline]
    pub(crate) fn apply(&mut self, change: &BookChange) -> Shown {
        let was = self.set(change);
        self.shown(change, was, self.depth)
    }

    /// Takes in a change without asking who sees it.
    #[inline]
    pub(crate) fn set(&mut self, change: &BookChange) -> Was {
        let ladder = match change.side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let (had, better) = ladder.set(change.price, narrow(change.quantity));
        Was { had: had.into(), better }
    }

    /// What the last change, which found this, means to those who see so many levels.
    #[inline]
    pub(crate) fn shown(&self, change: &BookChange, was: Was, depth: usize) -> Shown {
        if was.better >= depth {
            return Shown::default();
        }
        let ladder = self.ladder(change.side);
        let level = Some(Level { price: change.price, quantity: change.quantity });
        match (was.had > 0, change.quantity > 0) {
            (true, false) => Shown { level, risen: ladder.behind(depth - 1), fallen: None },
            (false, true) => Shown { level, risen: None, fallen: ladder.behind(depth) },
            _ => Shown { level, ..Shown::default() },
        }
    }

    /// What is shown at a price; zero if there is nothing, or nothing to be seen.
    pub(crate) fn quantity(&self, side: Side, price: u32) -> u64 {
        let (quantity, better) = self.ladder(side).quantity(price);
        if better < self.depth { quantity.into() } else { 0 }
    }

    /// The levels of a side that are shown, best first.
    pub(crate) fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        self.ladder(side).levels().take(self.depth)
    }

    /// So many levels of a side, best first, shown or not.
    pub(crate) fn best_levels(&self, side: Side, depth: usize) -> impl Iterator<Item = Level> {
        self.ladder(side).levels().take(depth)
    }

    /// The best level of a side.
    #[inline]
    pub(crate) fn best(&self, side: Side) -> Option<Level> {
        self.ladder(side).best()
    }

    /// The level of a side with so many better ones, shown or not.
    #[inline]
    pub(crate) fn behind(&self, side: Side, better: usize) -> Option<Level> {
        self.ladder(side).behind(better)
    }

    fn ladder(&self, side: Side) -> &Ladder<u32> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// The market's own books hold 32 bits of lots a level.
fn narrow(quantity: u64) -> u32 {
    u32::try_from(quantity).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::instrument::SymbolId;

    use super::*;

    fn change(side: Side, price: u32, quantity: u64) -> BookChange {
        BookChange { update_id: 1, side, price, quantity }
    }

    fn level(price: u32, quantity: u64) -> Option<Level> {
        Some(Level { price, quantity })
    }

    fn seeded(depth: u32) -> Window {
        let mut window = Window::new(depth);
        let asks = vec![(10, 1), (11, 2), (12, 3)];
        let bids = vec![(9, 1), (8, 2)];
        window.seed(&Snapshot { symbol: SymbolId(0), sequence: 0, update_id: 0, bids, asks });
        window
    }

    #[test]
    fn a_removal_brings_the_next_level_into_sight() {
        let shown = seeded(2).apply(&change(Side::Sell, 10, 0));
        assert_eq!(shown, Shown { level: level(10, 0), risen: level(12, 3), fallen: None });
    }

    #[test]
    fn a_new_level_pushes_the_last_one_out_of_sight() {
        let shown = seeded(2).apply(&change(Side::Buy, 10, 7));
        assert_eq!(shown, Shown { level: level(10, 7), risen: None, fallen: level(8, 2) });
    }

    #[test]
    fn what_happens_behind_the_window_is_not_shown() {
        let mut window = seeded(2);
        assert_eq!(window.apply(&change(Side::Sell, 12, 0)), Shown::default());
        assert_eq!(window.apply(&change(Side::Sell, 13, 1)), Shown::default());
        assert_eq!(window.apply(&change(Side::Sell, 10, 0)).risen, level(13, 1));
    }

    #[test]
    fn without_a_limit_everything_is_shown_as_it_is() {
        let mut window = seeded(0);
        for quantity in [5, 0] {
            let shown = window.apply(&change(Side::Sell, 900, quantity));
            assert_eq!(shown, Shown { level: level(900, quantity), ..Shown::default() });
        }
    }

    proptest! {
        /// Both kinds of subscriber end with the same best levels: one who is told of levels that fall, and one
        /// who cuts his book himself.
        #[test]
        fn a_subscriber_keeps_exactly_the_best_levels(
            depth in 1..6u32,
            changes in proptest::collection::vec((any::<bool>(), 0..20u32, 0..3u64), 0..200),
        ) {
            let mut window = Window::new(depth);
            let mut told = [Ladder::<u64>::new(Side::Buy), Ladder::new(Side::Sell)];
            let mut cutting = told.clone();
            for (buy, price, quantity) in changes {
                let (side, index) = if buy { (Side::Buy, 0) } else { (Side::Sell, 1) };
                let shown = window.apply(&change(side, price, quantity));
                for level in [shown.level, shown.risen].into_iter().flatten() {
                    told[index].set(level.price, level.quantity);
                    cutting[index].set(level.price, level.quantity);
                }
                if let Some(fallen) = shown.fallen {
                    told[index].set(fallen.price, 0);
                }
                cutting[index].cut(depth as usize);
                let expected: Vec<Level> = window.levels(side).collect();
                prop_assert_eq!(told[index].levels().collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!(cutting[index].levels().collect::<Vec<_>>(), expected);
            }
        }
    }
}
