//! The simulated market over OKX's wire.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::{Body, Kind, Message, Regime};
use tickstorm_venue::{Conduct, Decoded, Numbering, Venue};

use crate::wire::Wire;

fn wire(depth: u32, seed: u64, symbols: u32) -> Wire {
    Wire::new(Venue::Okx, depth, seed, symbols, Regime::NORMAL)
}

#[test]
fn a_consumer_rebuilds_every_book_level_for_level() {
    for (regime, seed) in [(Regime::NORMAL, 1), (Regime::VOLATILE, 2)] {
        let mut wire = Wire::new(Venue::Okx, 400, seed, 20, regime);
        for _ in 0..10 {
            wire.run(10_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn at_smaller_depths_he_has_the_best_levels() {
    for depth in [5, 50] {
        let mut wire = Wire::new(Venue::Okx, depth, 3, 20, Regime::VOLATILE);
        for _ in 0..10 {
            wire.run(5_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn at_depth_one_he_has_every_best_price() {
    let mut wire = wire(1, 4, 5);
    let mut best = BTreeMap::new();
    for _ in 0..50_000 {
        let message = wire.next();
        assert_eq!(wire.send(&message), None, "{message:?}");
        wire.decoder.decode_each(&wire.bytes, |said| {
            if let Ok(Decoded::Quote(update)) = said {
                best.insert(update.symbol, (update.bid, update.ask));
            }
        });
    }
    for snapshot in wire.market.snapshots() {
        let (bid, ask) = best[&snapshot.symbol];
        assert_eq!((bid.price, bid.quantity), snapshot.bids[0]);
        assert_eq!((ask.price, ask.quantity), snapshot.asks[0]);
    }
}

#[test]
fn folded_into_windows_the_books_are_the_same() {
    for depth in [5, 50, 400] {
        let mut wire = wire(depth, 5, 5);
        wire.replica.set_conduct(Conduct::Batched);
        for _ in 0..500 {
            let mut windows: BTreeMap<_, Vec<Message>> = BTreeMap::new();
            for _ in 0..100 {
                let message = wire.next();
                windows.entry((message.symbol, message.body.kind())).or_default().push(message);
            }
            // Own orders and balances are never folded.
            let folded = |kind| matches!(kind, Kind::Book | Kind::Trade | Kind::Quote | Kind::Ticker);
            for (_, batch) in windows.iter().filter(|((_, kind), _)| folded(*kind)) {
                wire.bytes.clear();
                if wire.encoder.encode_batch(batch, &mut Numbering::default(), &mut wire.bytes) {
                    assert_eq!(wire.receive(), None, "{}", String::from_utf8_lossy(&wire.bytes));
                }
            }
            wire.assert_books_equal();
        }
    }
}

#[test]
fn the_retired_checksum_holds_for_the_whole_market() {
    let mut wire = wire(400, 6, 5);
    wire.encoder = wire.encoder.with_retired_checksums();
    wire.run(20_000);
    wire.assert_books_equal();
}

/// One kind of fault, so often.
fn faults<const N: usize>(kinds: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    kinds.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_dropped_book_update_is_one_gap(
        seed in 0..1_000u64,
        warm_up in 0..3_000usize,
        depth in prop::sample::select(vec![50u32, 400]),
    ) {
        let mut wire = wire(depth, seed, 5);
        wire.run(warm_up);
        let dropped = loop {
            let message = wire.run_until(Kind::Book);
            wire.bytes.clear();
            if wire.encoder.encode(&message, &mut wire.numbering, &mut wire.bytes) {
                break message;
            }
        };
        // Long enough that the symbol has another one.
        let mut found = wire.count_faults(3_000);
        // What comes before the symbol's next update shows the loss too, but cannot name it.
        let early = found.remove("off_touch").unwrap_or(0) + found.remove("wrong_best").unwrap_or(0);
        prop_assert!(early <= 2);
        prop_assert_eq!(found, faults([("update_gap", 1)]));
        prop_assert!(!wire.replica.book(dropped.symbol).is_synchronised());
    }

    #[test]
    fn a_doubled_book_update_is_one_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(400, seed, 5);
        wire.run(warm_up);
        let doubled = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.receive(), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        wire.assert_books_equal();
    }

    #[test]
    fn swapped_book_updates_are_a_gap_and_an_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(400, seed, 1);
        wire.run(warm_up);
        let mut bytes = [const { Vec::new() }; 2];
        loop {
            let first = wire.run_until(Kind::Book);
            let second = wire.next();
            if second.body.kind() == Kind::Book {
                wire.encoder.encode(&first, &mut wire.numbering, &mut bytes[0]);
                wire.encoder.encode(&second, &mut wire.numbering, &mut bytes[1]);
                break;
            }
            prop_assert_eq!((wire.send(&first), wire.send(&second)), (None, None));
        }
        let [first, second] = bytes;
        wire.bytes = second;
        prop_assert_eq!(wire.receive(), Some("update_gap"));
        wire.bytes = first;
        prop_assert_eq!(wire.receive(), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_trade_is_one_gap(seed in 0..1_000u64) {
        let mut wire = wire(400, seed, 3);
        // Long enough that every symbol has traded: what nothing came before cannot be missed.
        wire.run(5_000);
        wire.run_until(Kind::Trade);
        let mut found = wire.count_faults(10_000);
        // The ticker of the same event has the trade's price and quantity, but not its number.
        prop_assert!(found.remove("ticker").unwrap_or(0) <= 1);
        prop_assert_eq!(found, faults([("trade_gap", 1)]));
    }

    #[test]
    fn a_doubled_trade_is_one_old_one(seed in 0..1_000u64) {
        let mut wire = wire(400, seed, 3);
        wire.run(500);
        let doubled = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn swapped_trades_are_a_gap_and_an_old_one(seed in 0..1_000u64) {
        let mut wire = wire(400, seed, 1);
        wire.replica.set_conduct(Conduct::Batched);
        wire.run(1_000);
        let first = wire.run_until(Kind::Trade);
        let second = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&second), Some("trade_gap"));
        prop_assert_eq!(wire.send(&first), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    /// Of a book update the venue's own numbers show damage to the chain; damage to a level is not seen by itself,
    /// unless the retired checksum is on.
    #[test]
    fn a_flipped_digit_of_a_book_update_is_seen_where_the_venue_lets_it(
        seed in 0..100u64,
        place in any::<prop::sample::Index>(),
        digit in 1..10u8,
    ) {
        let mut wire = wire(400, seed, 1);
        wire.encoder = wire.encoder.with_retired_checksums();
        wire.run(2_000);
        // A level among those that the checksum covers.
        let best = loop {
            let message = wire.run_until(Kind::Book);
            let Body::Book(change) = message.body else { unreachable!("a book change") };
            let near = wire.replica.levels(message.symbol, change.side).take(20).any(|(price, _)| price == change.price);
            if near && change.quantity > 0 {
                break message;
            }
            prop_assert_eq!(wire.send(&message), None);
        };
        wire.bytes.clear();
        wire.encoder.encode(&best, &mut wire.numbering, &mut wire.bytes);
        let text = String::from_utf8(wire.bytes.clone()).unwrap();
        // All digits but those of the time and of the number of orders, which nothing can be held against.
        let orders = text.find(r#","0",""#).unwrap()..text.find(r#"]],"#).or(text.find("]]")).unwrap();
        let time = text.find(r#""ts":""#).unwrap()..text.find(r#","checksum""#).unwrap();
        let level = text.find("[[").unwrap();
        let digits: Vec<usize> = (level..text.len())
            .filter(|at| text.as_bytes()[*at].is_ascii_digit() && !orders.contains(at) && !time.contains(at))
            .collect();
        let at = digits[place.index(digits.len())];
        wire.bytes[at] = b'0' + (wire.bytes[at] - b'0' + digit) % 10;
        let mut fault = None;
        let (decoder, replica) = (&mut wire.decoder, &mut wire.replica);
        decoder.decode_each(&wire.bytes, |said| {
            fault = match said {
                Ok(said) => replica.apply(&said).err().map(|fault| fault.kind()),
                Err(error) => Some(error.kind()),
            };
        });
        // A wrong number of this state is seen with the next update.
        let fault = fault.or_else(|| wire.count_faults(3_000).into_keys().next());
        prop_assert!(fault.is_some(), "{}", String::from_utf8_lossy(&wire.bytes));
    }
}
