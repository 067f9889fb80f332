//! The statistics of a symbol's last 24 hours.

use std::collections::VecDeque;

use crate::event::{Quote, Ticker};

/// Running sums over the quarter hours in which something traded. The window is the current quarter hour and the
/// 95 before it, so it moves every 15 minutes and is 23:45 to 24:00 hours long.
///
/// Memory grows by a bucket for each quarter hour that trades, up to 96.
pub(crate) struct DayStatistics {
    quarters: VecDeque<Quarter>,
    volume: u64,
    quote_volume: u128,
    high: u32,
    low: u32,
    previous_close: u32,
    last: LastTrade,
}

#[derive(Clone, Copy)]
struct Quarter {
    number: u64,
    first_trade_id: u64,
    open: u32,
    high: u32,
    low: u32,
    close: u32,
    volume: u64,
    quote_volume: u128,
}

#[derive(Clone, Copy)]
struct LastTrade {
    id: u64,
    price: u32,
    lots: u32,
}

impl DayStatistics {
    pub(crate) fn new(start_price: u32) -> Self {
        Self {
            quarters: VecDeque::with_capacity(1),
            volume: 0,
            quote_volume: 0,
            high: start_price,
            low: start_price,
            previous_close: start_price,
            last: LastTrade { id: 0, price: start_price, lots: 0 },
        }
    }

    pub(crate) fn on_trade(&mut self, now_ns: u64, id: u64, price: u32, lots: u32) {
        let number = now_ns / QUARTER_NS;
        if self.quarters.back().is_none_or(|newest| newest.number < number) {
            self.begin_quarter(number, id, price);
        }
        let quote = u128::from(price) * u128::from(lots);
        if let Some(quarter) = self.quarters.back_mut() {
            quarter.high = quarter.high.max(price);
            quarter.low = quarter.low.min(price);
            quarter.close = price;
            quarter.volume += u64::from(lots);
            quarter.quote_volume += quote;
        }
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.volume += u64::from(lots);
        self.quote_volume += quote;
        self.last = LastTrade { id, price, lots };
    }

    /// Lets the quarter hours before the window expire, and opens the one that this first trade begins.
    fn begin_quarter(&mut self, number: u64, first_trade_id: u64, price: u32) {
        let mut extremes_expired = self.quarters.is_empty();
        while let Some(oldest) =
            self.quarters.front().filter(|oldest| oldest.number + WINDOW_QUARTERS <= number)
        {
            self.volume -= oldest.volume;
            self.quote_volume -= oldest.quote_volume;
            self.previous_close = oldest.close;
            extremes_expired |= oldest.high == self.high || oldest.low == self.low;
            self.quarters.pop_front();
        }
        self.quarters.push_back(Quarter {
            number,
            first_trade_id,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            quote_volume: 0,
        });
        if extremes_expired {
            self.high = self.quarters.iter().map(|quarter| quarter.high).fold(price, u32::max);
            self.low = self.quarters.iter().map(|quarter| quarter.low).fold(price, u32::min);
        }
    }

    /// The statistics as of the last trade.
    pub(crate) fn ticker(&self, quote: Quote) -> Ticker {
        let newest = self.quarters.back().map_or(0, |quarter| quarter.number);
        let oldest = self.quarters.front();
        Ticker {
            quote,
            last: self.last.price,
            last_quantity: u64::from(self.last.lots),
            open: oldest.map_or(self.last.price, |quarter| quarter.open),
            high: self.high,
            low: self.low,
            previous_close: self.previous_close,
            volume: self.volume,
            quote_volume: self.quote_volume,
            first_trade_id: oldest.map_or(0, |quarter| quarter.first_trade_id),
            last_trade_id: self.last.id,
            open_ns: (newest + 1).saturating_sub(WINDOW_QUARTERS) * QUARTER_NS,
        }
    }
}

/// A quarter of an hour.
const QUARTER_NS: u64 = 15 * 60 * 1_000_000_000;

/// Quarter hours in a day.
const WINDOW_QUARTERS: u64 = 96;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_NS: u64 = 4 * QUARTER_NS;
    const QUOTE: Quote = Quote { update_id: 1, bid: 9, bid_quantity: 1, ask: 10, ask_quantity: 1 };

    proptest! {
        #[test]
        fn statistics_equal_those_of_a_list_of_trades(
            trades in prop::collection::vec((0u64..8 * HOUR_NS, 900u32..1_100, 1u32..50), 1..60)
        ) {
            let mut day = DayStatistics::new(1_000);
            let mut now_ns = 0;
            let mut all: Vec<(u64, u32, u32)> = Vec::new();
            for (id, &(gap_ns, price, lots)) in (1..).zip(&trades) {
                now_ns += gap_ns;
                day.on_trade(now_ns, id, price, lots);
                all.push((now_ns, price, lots));
                let open_ns = (now_ns / QUARTER_NS + 1).saturating_sub(96) * QUARTER_NS;
                let first = all.iter().position(|trade| trade.0 >= open_ns).unwrap();
                let window = &all[first..];
                let ticker = day.ticker(QUOTE);
                prop_assert_eq!(ticker.open_ns, open_ns);
                prop_assert_eq!(ticker.open, window[0].1);
                prop_assert_eq!(ticker.first_trade_id, first as u64 + 1);
                prop_assert_eq!(ticker.last, price);
                prop_assert_eq!(ticker.high, window.iter().map(|trade| trade.1).max().unwrap());
                prop_assert_eq!(ticker.low, window.iter().map(|trade| trade.1).min().unwrap());
                prop_assert_eq!(ticker.volume, window.iter().map(|trade| u64::from(trade.2)).sum::<u64>());
                prop_assert_eq!(ticker.quote_volume,
                    window.iter().map(|trade| u128::from(trade.1) * u128::from(trade.2)).sum::<u128>());
                let before = first.checked_sub(1).map_or(1_000, |last| all[last].1);
                prop_assert_eq!(ticker.previous_close, before);
            }
        }
    }
}
