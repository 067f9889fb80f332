//! The simulated market over a venue's wire: what a consumer rebuilds is the market itself, and damage is
//! found.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::{Kind, Regime};
use tickstorm_venue::Numbering;

use crate::wire::Wire;

#[test]
fn a_consumer_rebuilds_every_book_level_for_level() {
    for (regime, seed) in [(Regime::NORMAL, 1), (Regime::VOLATILE, 2)] {
        let mut wire = Wire::binance(seed, 20, regime);
        for _ in 0..20 {
            wire.run(10_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn messages_that_are_due_together_have_one_time_each() {
    let mut wire = Wire::binance(3, 5, Regime::NORMAL);
    for _ in 0..20_000 {
        let message = *wire.market.next(1_000_000);
        assert_eq!(wire.send(&message), None, "{message:?}");
    }
    wire.assert_books_equal();
}

#[test]
fn the_same_market_gives_the_same_bytes_whatever_came_before_in_the_buffer() {
    let (mut one, mut other) = (Wire::binance(4, 5, Regime::NORMAL), Wire::binance(4, 5, Regime::NORMAL));
    let (mut joined, mut each) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        let message = one.next();
        one.encoder.encode(&message, &mut Numbering::default(), &mut joined);
        let message = other.next();
        let mut bytes = Vec::new();
        other.encoder.encode(&message, &mut Numbering::default(), &mut bytes);
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
        let mut wire = Wire::binance(seed, 5, Regime::NORMAL);
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
        let mut wire = Wire::binance(seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let doubled = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        wire.assert_books_equal();
    }

    #[test]
    fn swapped_depth_updates_are_a_gap_and_an_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = Wire::binance(seed, 1, Regime::NORMAL);
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
        let mut wire = Wire::binance(seed, 3, Regime::NORMAL);
        // Long enough that every symbol has traded: what nothing came before cannot be missed.
        wire.run(5_000);
        wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.count_faults(10_000), faults([("trade_gap", 1)]));
    }

    #[test]
    fn a_doubled_trade_is_one_old_one(seed in 0..1_000u64) {
        let mut wire = Wire::binance(seed, 3, Regime::NORMAL);
        wire.run(500);
        let doubled = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_fill_is_found_with_the_next_report_of_its_order(seed in 0..1_000u64) {
        let mut wire = Wire::binance(seed, 3, Regime::VOLATILE);
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
        // The balance that follows it shows the loss too, if the one before is known.
        for _ in 0..200_000 {
            let message = wire.next();
            match (wire.send(&message), message.body) {
                (None, _) => {}
                (Some("balance"), tickstorm_market::Body::Balance(balance)) => {
                    prop_assert_eq!(balance.account, dropped.account);
                }
                (fault, tickstorm_market::Body::Execution(execution)) => {
                    prop_assert_eq!((fault, execution.order_id), (Some("execution"), dropped.order_id));
                    break;
                }
                (fault, _) => prop_assert_eq!(fault, None),
            }
        }
    }
}
