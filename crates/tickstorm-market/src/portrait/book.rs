//! A book as a consumer without a snapshot keeps it: it may start empty and then fills up.

use std::collections::BTreeMap;

use crate::event::{Quote, Side, Snapshot};

/// Levels of both sides and the best prices as of the last moment that there were two.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    touch: Option<Touch>,
    /// Whether these are the levels' best prices now: then a change behind them changes nothing.
    current: bool,
}

/// The best prices, ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) bid: u32,
    pub(super) ask: u32,
}

impl Touch {
    pub(super) fn spread(self) -> u32 {
        self.ask.saturating_sub(self.bid)
    }

    /// Whole, where the middle itself may lie between two ticks.
    pub(super) fn twice_middle(self) -> u64 {
        u64::from(self.bid) + u64::from(self.ask)
    }
}

impl Book {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut book = Self {
            bids: snapshot.bids.iter().copied().collect(),
            asks: snapshot.asks.iter().copied().collect(),
            touch: None,
            current: false,
        };
        book.find_touch();
        book
    }

    /// Gives a level new lots. A book never crosses, so levels that this one would cross are gone: their removal
    /// was missed, or is yet to come.
    pub(super) fn set(&mut self, side: Side, price: u32, lots: u64) {
        let (own, other) = match side {
            Side::Buy => (&mut self.bids, &mut self.asks),
            Side::Sell => (&mut self.asks, &mut self.bids),
        };
        if lots == 0 {
            own.remove(&price);
        } else {
            own.insert(price, lots);
        }
        let behind = self.touch.is_some_and(|touch| match side {
            Side::Buy => price < touch.bid,
            Side::Sell => price > touch.ask,
        });
        if self.current && behind {
            return;
        }
        let crossed = |standing: u32| match side {
            Side::Buy => standing <= price,
            Side::Sell => standing >= price,
        };
        while lots > 0
            && let Some(standing) = best(other, side.opposite()).filter(|&standing| crossed(standing))
        {
            other.remove(&standing);
        }
        self.find_touch();
    }

    /// Takes the best prices from a quote, where there are no levels to know them from.
    pub(super) fn on_quote(&mut self, quote: &Quote) {
        if self.bids.is_empty() && self.asks.is_empty() && quote.bid > 0 && quote.ask > quote.bid {
            self.touch = Some(Touch { bid: quote.bid, ask: quote.ask });
        }
    }

    pub(super) fn touch(&self) -> Option<Touch> {
        self.touch
    }

    /// Price and lots, best first.
    pub(super) fn side(&self, side: Side) -> Box<dyn Iterator<Item = (u32, u64)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(&price, &lots)| (price, lots))),
            Side::Sell => Box::new(self.asks.iter().map(|(&price, &lots)| (price, lots))),
        }
    }

    fn find_touch(&mut self) {
        let bests = best(&self.bids, Side::Buy).zip(best(&self.asks, Side::Sell));
        self.current = bests.is_some();
        if let Some((bid, ask)) = bests {
            self.touch = Some(Touch { bid, ask });
        }
    }
}

/// The best price of a side's levels.
fn best(levels: &BTreeMap<u32, u64>, side: Side) -> Option<u32> {
    let level = match side {
        Side::Buy => levels.last_key_value(),
        Side::Sell => levels.first_key_value(),
    };
    level.map(|(&price, _)| price)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_book_fills_up_and_keeps_its_last_best_prices() {
        let mut book = Book::default();
        assert_eq!(book.touch(), None);
        book.set(Side::Buy, 99, 5);
        assert_eq!(book.touch(), None);
        book.set(Side::Sell, 101, 5);
        book.set(Side::Buy, 98, 7);
        assert_eq!(book.touch(), Some(Touch { bid: 99, ask: 101 }));
        assert_eq!(book.side(Side::Buy).collect::<Vec<_>>(), [(99, 5), (98, 7)]);
        book.set(Side::Sell, 101, 0);
        assert_eq!(book.touch(), Some(Touch { bid: 99, ask: 101 }));
    }

    #[test]
    fn levels_that_a_new_one_crosses_are_gone() {
        let mut book = Book::default();
        book.set(Side::Sell, 101, 5);
        book.set(Side::Sell, 102, 5);
        book.set(Side::Sell, 104, 5);
        book.set(Side::Buy, 102, 1);
        assert_eq!(book.touch(), Some(Touch { bid: 102, ask: 104 }));
        book.set(Side::Sell, 100, 1);
        assert_eq!(book.side(Side::Buy).count(), 0);
    }

    #[test]
    fn quotes_stand_in_for_a_book_that_nobody_sends() {
        let quote = Quote { update_id: 1, bid: 10, bid_quantity: 1, ask: 12, ask_quantity: 1 };
        let mut book = Book::default();
        book.on_quote(&quote);
        assert_eq!(book.touch(), Some(Touch { bid: 10, ask: 12 }));
        book.set(Side::Buy, 20, 1);
        book.set(Side::Sell, 21, 1);
        book.on_quote(&quote);
        assert_eq!(book.touch(), Some(Touch { bid: 20, ask: 21 }));
    }

    proptest! {
        #[test]
        fn the_best_prices_are_those_of_the_levels(
            changes in prop::collection::vec((any::<bool>(), 90_u32..110, 0_u64..3), 1..200),
        ) {
            let mut book = Book::default();
            let mut expected = None;
            for (buy, price, lots) in changes {
                book.set(if buy { Side::Buy } else { Side::Sell }, price, lots);
                let bests = book.side(Side::Buy).next().zip(book.side(Side::Sell).next());
                if let Some(((bid, _), (ask, _))) = bests {
                    prop_assert!(bid < ask);
                    expected = Some(Touch { bid, ask });
                }
                prop_assert_eq!(book.touch(), expected);
            }
        }
    }
}
