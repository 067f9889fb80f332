//! The simulated market over a venue's wire: what a consumer rebuilds is the market itself, and damage is
//! found.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::{Kind, Listing, MarketSpec, Message, Regime, ShardMarket, Side};
use tickstorm_random::Seed;
use tickstorm_venue::{Decoder, Encoder, Replica, Venue};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// A market, and a consumer that got its snapshots before the first message.
struct Wire {
    market: ShardMarket,
    encoder: Encoder,
    decoder: Decoder,
    replica: Replica,
    due_ns: u64,
    bytes: Vec<u8>,
}

impl Wire {
    fn new(seed: u64, symbols: u32, regime: Regime) -> Self {
        let listing = Listing::synthetic(symbols, Seed::new(seed));
        let spec = MarketSpec { shards: 1, regime, ..MarketSpec::new(Seed::new(seed), listing.clone()) };
        let market = ShardMarket::new(&spec, 0).expect("the spec is valid");
        let mut replica = Replica::new(Venue::Binance, &listing);
        market.snapshots().iter().for_each(|snapshot| replica.seed(snapshot));
        Self {
            market,
            encoder: Encoder::new(Venue::Binance, &listing, START_UNIX_NS),
            decoder: Decoder::new(Venue::Binance, &listing),
            replica,
            due_ns: 0,
            bytes: Vec::new(),
        }
    }

    fn next(&mut self) -> Message {
        self.due_ns += 700_000;
        *self.market.next(self.due_ns)
    }

    /// Sends a message; the kind of fault that the consumer finds.
    fn send(&mut self, message: &Message) -> Option<&'static str> {
        self.bytes.clear();
        self.encoder.encode(message, &mut self.bytes);
        let decoded = self.decoder.decode(&self.bytes).expect("we wrote it");
        self.replica.apply(&decoded).err().map(|fault| fault.kind())
    }

    /// Sends so many messages of the market, none of which may be at fault.
    fn run(&mut self, count: usize) {
        for _ in 0..count {
            let message = self.next();
            assert_eq!(self.send(&message), None, "{message:?}");
        }
    }

    /// The next message of this kind; those before it are sent.
    fn run_until(&mut self, kind: Kind) -> Message {
        loop {
            let message = self.next();
            if message.body.kind() == kind {
                return message;
            }
            assert_eq!(self.send(&message), None, "{message:?}");
        }
    }

    /// Sends so many messages more and counts the kinds of fault.
    fn count_faults(&mut self, count: usize) -> BTreeMap<&'static str, u32> {
        let mut faults = BTreeMap::new();
        for _ in 0..count {
            let message = self.next();
            if let Some(kind) = self.send(&message) {
                *faults.entry(kind).or_default() += 1;
            }
        }
        faults
    }

    fn assert_books_equal(&self) {
        for snapshot in self.market.snapshots() {
            let symbol = snapshot.symbol;
            assert_eq!(self.replica.levels(symbol, Side::Buy).collect::<Vec<_>>(), snapshot.bids);
            assert_eq!(self.replica.levels(symbol, Side::Sell).collect::<Vec<_>>(), snapshot.asks);
            assert_eq!(self.replica.book(symbol).update_id(), Some(snapshot.update_id));
            assert!(self.replica.book(symbol).is_synchronised());
        }
    }
}

#[test]
fn a_consumer_rebuilds_every_book_level_for_level() {
    for (regime, seed) in [(Regime::NORMAL, 1), (Regime::VOLATILE, 2)] {
        let mut wire = Wire::new(seed, 20, regime);
        for _ in 0..20 {
            wire.run(10_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn messages_that_are_due_together_have_one_time_each() {
    let mut wire = Wire::new(3, 5, Regime::NORMAL);
    for _ in 0..20_000 {
        let message = *wire.market.next(1_000_000);
        assert_eq!(wire.send(&message), None, "{message:?}");
    }
    wire.assert_books_equal();
}

#[test]
fn the_same_market_gives_the_same_bytes_whatever_came_before_in_the_buffer() {
    let (mut one, mut other) = (Wire::new(4, 5, Regime::NORMAL), Wire::new(4, 5, Regime::NORMAL));
    let (mut joined, mut each) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        let message = one.next();
        one.encoder.encode(&message, &mut joined);
        let message = other.next();
        let mut bytes = Vec::new();
        other.encoder.encode(&message, &mut bytes);
        each.extend(bytes);
    }
    assert!(joined == each);
}

/// One kind of fault, so often.
fn faults<const N: usize>(kinds: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    kinds.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dropped_depth_update_is_one_gap(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = Wire::new(seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let dropped = wire.run_until(Kind::Book);
        // Long enough that the symbol has another one.
        let mut found = wire.count_faults(3_000);
        // A trade or a ticker that comes before the symbol's next update shows the loss too, but cannot name
        // it.
        let early = found.remove("off_touch").unwrap_or(0) + found.remove("wrong_best").unwrap_or(0);
        prop_assert!(early <= 2);
        prop_assert_eq!(found, faults([("update_gap", 1)]));
        prop_assert!(!wire.replica.book(dropped.symbol).is_synchronised());
    }

    #[test]
    fn a_doubled_depth_update_is_one_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = Wire::new(seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let doubled = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        wire.assert_books_equal();
    }

    #[test]
    fn swapped_depth_updates_are_a_gap_and_an_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = Wire::new(seed, 1, Regime::NORMAL);
        wire.run(warm_up);
        let (first, second) = loop {
            let first = wire.run_until(Kind::Book);
            let second = wire.next();
            if second.body.kind() == Kind::Book {
                break (first, second);
            }
            prop_assert_eq!((wire.send(&first), wire.send(&second)), (None, None));
        };
        prop_assert_eq!(wire.send(&second), Some("update_gap"));
        prop_assert_eq!(wire.send(&first), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_trade_is_one_gap(seed in 0..1_000u64) {
        let mut wire = Wire::new(seed, 3, Regime::NORMAL);
        // Long enough that every symbol has traded: what nothing came before cannot be missed.
        wire.run(5_000);
        wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.count_faults(10_000), faults([("trade_gap", 1)]));
    }

    #[test]
    fn a_doubled_trade_is_one_old_one(seed in 0..1_000u64) {
        let mut wire = Wire::new(seed, 3, Regime::NORMAL);
        wire.run(500);
        let doubled = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_fill_is_found_with_the_next_report_of_its_order(seed in 0..1_000u64) {
        let mut wire = Wire::new(seed, 3, Regime::VOLATILE);
        // A fill that leaves the order on the book, so that another report follows.
        let dropped = loop {
            let message = wire.run_until(Kind::Execution);
            match message.body {
                tickstorm_market::Body::Execution(execution)
                    if execution.filled_quantity > 0 && execution.filled_quantity < execution.quantity
                        && execution.last_quantity > 0 => break execution,
                _ => prop_assert_eq!(wire.send(&message), None),
            }
        };
        for _ in 0..200_000 {
            let message = wire.next();
            let fault = wire.send(&message);
            if let tickstorm_market::Body::Execution(execution) = message.body
                && execution.order_id == dropped.order_id
                && fault.is_some()
            {
                prop_assert_eq!(fault, Some("execution"));
                break;
            }
            prop_assert_eq!(fault, None);
        }
    }
}
