//! One symbol's order book: a ring of price levels around the best prices.

use crate::event::Side;
use crate::prefetch::prefetch;

/// Quantities by price, both sides in one ring, because a book is never crossed.
///
/// A price's slot is the price modulo the ring's length. That is unambiguous because every occupied level lies
/// within [`REACH`] of its own side's best price and the best prices lie within [`WIDEST_SPREAD`] of each other;
/// whoever moves a best price away from old levels must empty those that fall out of reach.
#[derive(Clone)]
pub(crate) struct Book {
    quantities: [u32; RING],
    occupied: [u64; RING / 64],
    bid: u32,
    ask: u32,
}

/// Ticks behind its side's best price at which a level may still rest.
pub(crate) const REACH: u32 = 180;

/// Ticks between the best prices, at most.
pub(crate) const WIDEST_SPREAD: u32 = 100;

const RING: usize = 512;

const _: () = assert!((2 * REACH + WIDEST_SPREAD) < RING as u32, "two prices in use never share a slot");

impl Book {
    /// An empty book whose best prices are set, to be filled at once.
    pub(crate) fn new(bid: u32, ask: u32) -> Self {
        Self { quantities: [0; RING], occupied: [0; RING / 64], bid, ask }
    }

    #[inline]
    pub(crate) fn best(&self, side: Side) -> u32 {
        match side {
            Side::Buy => self.bid,
            Side::Sell => self.ask,
        }
    }

    #[inline]
    pub(crate) fn set_best(&mut self, side: Side, price: u32) {
        match side {
            Side::Buy => self.bid = price,
            Side::Sell => self.ask = price,
        }
        debug_assert!(self.bid < self.ask && self.spread() <= WIDEST_SPREAD);
    }

    #[inline]
    pub(crate) fn spread(&self) -> u32 {
        self.ask - self.bid
    }

    /// Lots at a price within reach of the best prices.
    #[inline]
    pub(crate) fn quantity(&self, price: u32) -> u32 {
        self.quantities[slot(price)]
    }

    /// Changes a level within reach; the best prices are the caller's to move.
    #[inline]
    pub(crate) fn set_quantity(&mut self, price: u32, lots: u32) {
        let slot = slot(price);
        self.quantities[slot] = lots;
        let bit = 1 << (slot % 64);
        if lots == 0 {
            self.occupied[slot / 64] &= !bit;
        } else {
            self.occupied[slot / 64] |= bit;
        }
    }

    /// Whether a price belongs to this side, at or behind its best price and within reach.
    #[inline]
    pub(crate) fn holds(&self, side: Side, price: u32) -> bool {
        match side {
            Side::Buy => price <= self.bid && self.bid - price <= REACH,
            Side::Sell => price >= self.ask && price - self.ask <= REACH,
        }
    }

    /// Whether an order of this side may be added at the price: short of the other side, and within reach.
    #[inline]
    pub(crate) fn admits(&self, side: Side, price: u32) -> bool {
        match side {
            Side::Buy => price < self.ask && price + REACH >= self.bid,
            Side::Sell => price > self.bid && price <= self.ask + REACH,
        }
    }

    /// The occupied level nearest to `from`, going away from the other side for at most `ticks`.
    pub(crate) fn nearest(&self, side: Side, from: u32, ticks: u32) -> Option<u32> {
        let mut gone = 0;
        while gone <= ticks {
            let slot = slot(behind(side, from, gone));
            let (word, bit) = (self.occupied[slot / 64], (slot % 64) as u32);
            let (skipped, rest_of_word) = match side {
                Side::Buy => ((word << (63 - bit)).leading_zeros(), bit + 1),
                Side::Sell => ((word >> bit).trailing_zeros(), 64 - bit),
            };
            if skipped < rest_of_word {
                gone += skipped;
                return (gone <= ticks).then(|| behind(side, from, gone));
            }
            gone += rest_of_word;
        }
        None
    }

    /// Brings near where the best prices are found.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.occupied);
        prefetch(&self.bid);
    }

    /// All levels of a side, best first.
    pub(crate) fn levels(&self, side: Side) -> impl Iterator<Item = (u32, u32)> {
        let best = self.best(side);
        let prices = (0..=REACH).map(move |distance| behind(side, best, distance));
        prices.map(|price| (price, self.quantity(price))).filter(|&(_, lots)| lots > 0)
    }
}

/// The price so many ticks behind another, as this side sees it: lower for a buyer, higher for a seller.
#[inline]
pub(crate) fn behind(side: Side, price: u32, ticks: u32) -> u32 {
    match side {
        Side::Buy => price - ticks,
        Side::Sell => price + ticks,
    }
}

/// The price so many ticks ahead of another, towards the other side.
#[inline]
pub(crate) fn ahead(side: Side, price: u32, ticks: u32) -> u32 {
    match side {
        Side::Buy => price + ticks,
        Side::Sell => price - ticks,
    }
}

#[inline]
fn slot(price: u32) -> usize {
    price as usize % RING
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_level_is_the_one_a_sorted_map_finds(
            bid in 1_000u32..3_000,
            bids in prop::collection::vec(0u32..=REACH, 0..40),
            asks in prop::collection::vec(0u32..=REACH, 0..40),
            from in 0u32..=REACH,
            ticks in 0u32..=REACH,
        ) {
            let ask = bid + 7;
            let mut book = Book::new(bid, ask);
            let mut model = BTreeMap::new();
            for distance in bids {
                book.set_quantity(bid - distance, distance + 1);
                model.insert(bid - distance, distance + 1);
            }
            for distance in asks {
                book.set_quantity(ask + distance, distance + 1);
                model.insert(ask + distance, distance + 1);
            }
            let ticks = ticks.min(REACH - from);
            let below = model.range(bid - from - ticks..=bid - from).next_back().map(|(&price, _)| price);
            prop_assert_eq!(book.nearest(Side::Buy, bid - from, ticks), below);
            let above = model.range(ask + from..=ask + from + ticks).next().map(|(&price, _)| price);
            prop_assert_eq!(book.nearest(Side::Sell, ask + from, ticks), above);
            let bids: Vec<_> = book.levels(Side::Buy).collect();
            let expected: Vec<_> = model.range(..=bid).rev().map(|(&price, &lots)| (price, lots)).collect();
            prop_assert_eq!(bids, expected);
        }
    }

    #[test]
    fn a_price_is_held_by_its_own_side_only_and_admitted_short_of_the_other() {
        let book = Book::new(1_000, 1_005);
        assert!(book.holds(Side::Buy, 1_000) && !book.holds(Side::Buy, 1_001));
        assert!(book.holds(Side::Sell, 1_005 + REACH) && !book.holds(Side::Sell, 1_006 + REACH));
        assert!(book.admits(Side::Buy, 1_004) && !book.admits(Side::Buy, 1_005));
        assert!(book.admits(Side::Sell, 1_001) && !book.admits(Side::Sell, 1_000));
        assert!(!book.admits(Side::Buy, 1_000 - REACH - 1));
    }
}
