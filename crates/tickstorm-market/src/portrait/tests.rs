//! Hand-made streams with known figures, and the market's own.

use proptest::prelude::*;
use tickstorm_random::Seed;

use super::*;
use crate::event::{Body, Quote, Trade};
use crate::instrument::Listing;
use crate::market::ShardMarket;
use crate::spec::MarketSpec;

/// Messages of one symbol, each an event of its own.
struct Stream {
    portrait: Portrait,
    sent: u64,
    due_ns: u64,
}

impl Stream {
    fn new() -> Self {
        Self { portrait: Portrait::new(1, &[]), sent: 0, due_ns: 5_000_000_000 }
    }

    fn send(&mut self, body: Body) {
        self.sent += 1;
        self.portrait.observe(&Message {
            symbol: SymbolId(0),
            sequence: self.sent,
            event: self.sent,
            event_ns: self.due_ns,
            due_ns: self.due_ns,
            last: true,
            body,
        });
        self.due_ns += 1_000_000;
    }

    fn quote(&mut self, bid: u32, ask: u32) {
        self.send(Body::Quote(Quote { update_id: self.sent, bid, bid_quantity: 1, ask, ask_quantity: 1 }));
    }

    fn trade(&mut self, taker: Side, quantity: u64) {
        self.send(Body::Trade(Trade { trade_id: self.sent, price: 100, quantity, taker }));
    }

    fn sitting(&self) -> Sitting {
        self.portrait.finish().sittings.remove(0)
    }
}

#[test]
fn buyers_whom_the_price_follows_have_the_impact_that_it_moved() {
    let mut stream = Stream::new();
    stream.quote(100, 102);
    for cycle in 1..=1_000 {
        stream.trade(Side::Buy, 3);
        stream.quote(100 + cycle, 102 + cycle);
    }
    let sitting = stream.sitting();
    assert_eq!(sitting.trades, 1_000);
    // A tick every other message, the first of them just after the order.
    let expected = [(1, 1.0), (2, 1.0), (5, 3.0), (10, 5.0), (20, 10.0), (50, 25.0), (100, 50.0)];
    assert_eq!(sitting.response[..7], expected);
    assert_eq!(sitting.impact_by_size.len(), 1);
    assert_eq!((sitting.impact_by_size[0].lots, sitting.impact_by_size[0].ticks), (3.0, 25.0));
    assert_eq!(sitting.order_lots.points, [(3.0, 1.0)]);
    assert!(sitting.sign_autocorrelation.is_empty(), "signs that never change say nothing");
    assert_eq!(sitting.spreads.counts, [0, 0, 2_001]);
    // Eight cycles in sixteen messages.
    assert_eq!(sitting.returns.over_messages, 16);
    assert!(sitting.returns.ticks.iter().all(|&ticks| ticks == 8.0), "{:?}", sitting.returns.ticks);
    assert_eq!(sitting.returns.deviation_ticks, 0.0);
}

#[test]
fn time_is_counted_from_the_first_message() {
    let mut stream = Stream::new();
    (0..500).for_each(|_| stream.quote(100, 101));
    let picture = stream.portrait.finish();
    assert_eq!((picture.messages, picture.length_ns), (500, 499_000_000));
    assert_eq!(picture.rate.total(), 500);
    assert_eq!((picture.gaps_ns.values, picture.gaps_ns.mean), (499, 1_000_000.0));
    let moments = &picture.sittings[0].moments;
    assert_eq!((moments[0].from_ns, moments[0].bid, moments[0].ask), (0, 100, 101));
}

#[test]
fn a_calm_symbol_is_looked_at_over_longer_stretches() {
    let mut stream = Stream::new();
    for message in 0..100_000_u32 {
        let bid = 100 + message / 1_000 % 2;
        stream.quote(bid, bid + 1);
    }
    let returns = stream.sitting().returns;
    assert!(returns.over_messages > 16 && returns.ticks.len() >= 500, "{}", returns.over_messages);
}

proptest! {
    #[test]
    fn the_memory_of_signs_is_that_of_the_whole_series(buyers in prop::collection::vec(any::<bool>(), 200..600)) {
        let mut stream = Stream::new();
        stream.quote(99, 101);
        for &buyer in &buyers {
            stream.trade(if buyer { Side::Buy } else { Side::Sell }, 1);
        }
        // Ends the last order.
        stream.quote(99, 101);
        let signs: Vec<f64> = buyers.iter().map(|&buyer| if buyer { 1.0 } else { -1.0 }).collect();
        let mean = signs.iter().sum::<f64>() / signs.len() as f64;
        for (index, value) in stream.sitting().sign_autocorrelation.into_iter().enumerate() {
            let pairs = signs.iter().zip(&signs[index + 1..]);
            let product = pairs.map(|(a, b)| a * b).sum::<f64>() / (signs.len() - index - 1) as f64;
            let expected = (product - mean * mean) / (1.0 - mean * mean);
            prop_assert!((value - expected).abs() < 1e-9, "lag {}: {value}, not {expected}", index + 1);
        }
    }
}

#[test]
fn memory_stays_bounded_over_any_time() {
    let mut stream = Stream::new();
    for message in 0..300_000_u64 {
        stream.due_ns += message * message;
        match message % 4 {
            0 => stream.trade(Side::Sell, message),
            _ => stream.quote(100 + message as u32 / 100, 200 + message as u32 / 10),
        }
    }
    let picture = stream.portrait.finish();
    let sitting = &picture.sittings[0];
    assert!((400..=800).contains(&picture.rate.counts.len()));
    assert!(picture.closeups.iter().all(|bins| bins.counts.len() <= 1_000));
    assert!((256..=512).contains(&sitting.moments.len()));
    assert!(sitting.depth.lots.len() <= 512 * 128);
    assert!(sitting.trade_points.len() <= 2_048);
    assert!(sitting.spreads.counts.len() <= 128);
    assert_eq!(sitting.spreads.total(), 299_999, "all but the message before the first quote");
}

#[test]
fn a_book_without_a_snapshot_becomes_the_real_one() {
    let seed = Seed::new(1);
    let spec = MarketSpec { shards: 1, ..MarketSpec::new(seed, Listing::synthetic(20, seed)) };
    let mut market = ShardMarket::new(&spec, 0).unwrap();
    let mut blind = Portrait::new(20, &[]);
    let mut portrait = Portrait::new(20, &market.snapshots());
    for number in 0..200_000 {
        let message = market.next(number * 50_000);
        blind.observe(message);
        portrait.observe(message);
    }
    for picture in [blind.finish(), portrait.finish()] {
        assert_eq!(picture.activity.iter().sum::<u64>(), 200_000);
        assert_eq!(picture.sittings.len(), 3);
        for sitting in &picture.sittings {
            let last = sitting.moments.last().unwrap();
            let book = market.snapshot(sitting.symbol).unwrap();
            assert_eq!((last.bid, last.ask), (book.bids[0].0, book.asks[0].0));
        }
    }
    let sitting = &portrait.finish().sittings[0];
    let last = sitting.moments.last().unwrap();
    let book = market.snapshot(sitting.symbol).unwrap();
    let near = |levels: &[(u32, u64)]| -> u64 {
        let near = |price: u32| price.abs_diff(levels[0].0) < Moment::NEAR_TICKS;
        levels.iter().filter(|level| near(level.0)).map(|level| level.1).sum()
    };
    assert_eq!((last.near_bid_lots, last.near_ask_lots), (near(&book.bids) as f64, near(&book.asks) as f64));
    assert!(sitting.shape.bids.len() > 20 && sitting.shape.bids[..20].iter().all(|&lots| lots > 0.0));
}

#[test]
fn nothing_and_nonsense_still_give_a_picture() {
    assert_eq!(Portrait::new(0, &[]).finish().sittings, []);
    assert_eq!(Portrait::new(5, &[]).finish().messages, 0);
    let mut stream = Stream::new();
    // A falling clock, a crossed quote, and extreme prices.
    stream.quote(u32::MAX - 1, u32::MAX);
    stream.due_ns = 0;
    stream.quote(7, 3);
    stream.trade(Side::Buy, u64::MAX);
    stream.trade(Side::Buy, u64::MAX);
    stream.due_ns = u64::MAX - 1_000_000;
    stream.quote(1, u32::MAX);
    let sitting = stream.sitting();
    assert_eq!(sitting.messages, 5);
    let lots = sitting.depth.lots.len();
    assert_eq!(lots, sitting.depth.rows * sitting.moments.len());
}
