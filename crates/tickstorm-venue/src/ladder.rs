//! One side of a book, by price.

use tickstorm_market::event::Side;

use crate::decoded::Level;

/// Levels of one side in rising order of rank, so that the best level is last and what changes most moves
/// least. `Q` is as wide as quantities can be.
#[derive(Debug, Clone)]
pub(crate) struct Ladder<Q> {
    side: Side,
    rungs: Vec<Rung<Q>>,
}

#[derive(Debug, Clone, Copy)]
struct Rung<Q> {
    /// The better the price, the higher.
    rank: u32,
    quantity: Q,
}

impl<Q: Copy + Default + PartialEq + Into<u64>> Ladder<Q> {
    /// An empty side.
    pub(crate) fn new(side: Side) -> Self {
        Self { side, rungs: Vec::new() }
    }

    /// Forgets all levels.
    pub(crate) fn clear(&mut self) {
        self.rungs.clear();
    }

    /// Sets the quantity at a price; zero removes the level. Tells what was there before and how many levels
    /// are better.
    #[inline]
    pub(crate) fn set(&mut self, price: u32, quantity: Q) -> (Q, usize) {
        let rank = self.rank(price);
        let index = self.rungs.partition_point(|rung| rung.rank < rank);
        let there = self.rungs.get(index).is_some_and(|rung| rung.rank == rank);
        let removes = quantity == Q::default();
        let had = if there { self.rungs[index].quantity } else { Q::default() };
        match (there, removes) {
            (true, true) => {
                self.rungs.remove(index);
                return (had, self.rungs.len() - index);
            }
            (true, false) => self.rungs[index].quantity = quantity,
            (false, true) => return (had, self.rungs.len() - index),
            (false, false) => self.rungs.insert(index, Rung { rank, quantity }),
        }
        (had, self.rungs.len() - 1 - index)
    }

    /// The quantity at a price, zero if there is none, and how many levels are better.
    pub(crate) fn quantity(&self, price: u32) -> (Q, usize) {
        let rank = self.rank(price);
        let index = self.rungs.partition_point(|rung| rung.rank < rank);
        match self.rungs.get(index) {
            Some(rung) if rung.rank == rank => (rung.quantity, self.rungs.len() - 1 - index),
            _ => (Q::default(), self.rungs.len() - index),
        }
    }

    /// The best level.
    #[inline]
    pub(crate) fn best(&self) -> Option<Level> {
        self.rungs.last().map(|rung| self.level(rung))
    }

    /// The level with so many better ones.
    #[inline]
    pub(crate) fn behind(&self, better: usize) -> Option<Level> {
        let index = self.rungs.len().checked_sub(better)?.checked_sub(1)?;
        Some(self.level(&self.rungs[index]))
    }

    /// All levels, best first.
    pub(crate) fn levels(&self) -> impl Iterator<Item = Level> {
        self.rungs.iter().rev().map(|rung| self.level(rung))
    }

    /// Forgets all but the best levels.
    pub(crate) fn cut(&mut self, depth: usize) {
        if self.rungs.len() > depth {
            self.rungs.drain(..self.rungs.len() - depth);
        }
    }

    #[inline]
    fn rank(&self, price: u32) -> u32 {
        match self.side {
            Side::Buy => price,
            Side::Sell => !price,
        }
    }

    #[inline]
    fn level(&self, rung: &Rung<Q>) -> Level {
        Level { price: self.rank(rung.rank), quantity: rung.quantity.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ladder_is_a_sorted_map(changes in proptest::collection::vec((0..40u32, 0..4u64), 0..200)) {
            let (mut bids, mut asks) = (Ladder::<u64>::new(Side::Buy), Ladder::<u64>::new(Side::Sell));
            let mut model = BTreeMap::new();
            for (price, quantity) in changes {
                let had = if quantity == 0 { model.remove(&price) } else { model.insert(price, quantity) };
                let (higher, lower) = (model.range(price + 1..).count(), model.range(..price).count());
                prop_assert_eq!(bids.quantity(price), (had.unwrap_or(0), higher));
                prop_assert_eq!(bids.set(price, quantity), (had.unwrap_or(0), higher));
                prop_assert_eq!(asks.set(price, quantity), (had.unwrap_or(0), lower));
                let pairs = |ladder: &Ladder<u64>| -> Vec<(u32, u64)> {
                    ladder.levels().map(|level| (level.price, level.quantity)).collect()
                };
                let rising: Vec<(u32, u64)> = model.clone().into_iter().collect();
                prop_assert_eq!(pairs(&asks), rising.clone());
                prop_assert_eq!(pairs(&bids), rising.into_iter().rev().collect::<Vec<_>>());
                prop_assert_eq!(asks.behind(1), asks.levels().nth(1));
            }
        }
    }
}
