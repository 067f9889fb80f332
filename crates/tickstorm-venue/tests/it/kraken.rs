//! The simulated market over Kraken's wire: what a consumer rebuilds is the market itself, and damage is found.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::{Body, Kind, Message, Regime, Side};
use tickstorm_venue::{Decoded, Venue};

use crate::wire::Wire;

fn wire(depth: u32, seed: u64, symbols: u32, regime: Regime) -> Wire {
    Wire::new(Venue::Kraken, depth, seed, symbols, regime)
}

#[test]
fn a_consumer_rebuilds_every_book_level_for_level_at_every_depth() {
    for (depth, regime, count) in [
        (1000, Regime::NORMAL, 200_000),
        (1000, Regime::VOLATILE, 100_000),
        (500, Regime::NORMAL, 50_000),
        (100, Regime::VOLATILE, 100_000),
        (25, Regime::NORMAL, 100_000),
        (10, Regime::NORMAL, 200_000),
        (10, Regime::VOLATILE, 100_000),
    ] {
        let mut wire = wire(depth, 1, 20, regime);
        for _ in 0..10 {
            wire.run(count / 10);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn the_same_market_gives_the_same_bytes_whatever_came_before_in_the_buffer() {
    let (mut one, mut other) = (wire(25, 4, 5, Regime::NORMAL), wire(25, 4, 5, Regime::NORMAL));
    let (mut joined, mut each) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        let message = one.next();
        one.encoder.encode(&message, &mut one.numbering, &mut joined);
        let message = other.next();
        let mut bytes = Vec::new();
        other.encoder.encode(&message, &mut other.numbering, &mut bytes);
        each.extend(bytes);
    }
    assert!(joined == each);
}

/// Batches of 100 ms for each symbol: every book is right after each of them.
#[test]
fn batches_lead_to_the_same_books() {
    for depth in [10, 1000] {
        let mut wire = wire(depth, 9, 3, Regime::VOLATILE);
        wire.replica.set_conduct(tickstorm_venue::Conduct::Batched);
        for _ in 0..300 {
            let mut changes: BTreeMap<_, Vec<Message>> = BTreeMap::new();
            for _ in 0..140 {
                let message = wire.next();
                if let Body::Book(_) = message.body {
                    changes.entry(message.symbol).or_default().push(message);
                }
            }
            for batch in changes.values() {
                wire.bytes.clear();
                if wire.encoder.encode_batch(batch, &mut wire.numbering, &mut wire.bytes) {
                    assert_eq!(wire.receive(), None, "{}", String::from_utf8_lossy(&wire.bytes));
                }
            }
            wire.assert_books_equal();
        }
    }
}

/// One kind of fault, so often.
fn faults<const N: usize>(kinds: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    kinds.into_iter().collect()
}

/// Two messages that the consumer has not got yet: book changes of one symbol without anything of it between them, and
/// of different levels, since what the next update overwrites no checksum can show.
fn two_changes(wire: &mut Wire) -> [Vec<u8>; 2] {
    loop {
        let first = wire.run_until(Kind::Book);
        let one = bytes(wire, &first);
        let second = loop {
            let message = wire.next();
            if message.symbol == first.symbol {
                break message;
            }
            assert_eq!(wire.send(&message), None);
        };
        let other = bytes(wire, &second);
        if !one.is_empty() && !other.is_empty() && price(&second).is_some_and(|it| price(&first) != Some(it))
        {
            return [one, other];
        }
        assert_eq!([receive(wire, &one), receive(wire, &other)], [None; 2]);
    }
}

fn price(message: &Message) -> Option<(Side, u32)> {
    match message.body {
        Body::Book(change) => Some((change.side, change.price)),
        _ => None,
    }
}

/// The bytes of a message, which the consumer does not get.
fn bytes(wire: &mut Wire, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire.encoder.encode(message, &mut wire.numbering, &mut bytes);
    bytes
}

fn receive(wire: &mut Wire, bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return None;
    }
    wire.bytes.clear();
    wire.bytes.extend_from_slice(bytes);
    wire.receive()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dropped_book_update_is_a_wrong_checksum_with_the_next(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(10, seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let [_, next] = two_changes(&mut wire);
        prop_assert_eq!(receive(&mut wire, &next), Some("checksum"));
        // A book that is known to be wrong is not complained of again.
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_doubled_book_update_is_found_at_once(seed in 0..1_000u64, warm_up in 0..3_000usize, depth in prop_oneof![Just(10), Just(1000)]) {
        let mut wire = wire(depth, seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let doubled = loop {
            let change = wire.run_until(Kind::Book);
            prop_assert_eq!(wire.send(&change), None);
            if !wire.bytes.is_empty() {
                break wire.bytes.clone();
            }
        };
        let found = receive(&mut wire, &doubled);
        prop_assert!(matches!(found, Some("nothing_new" | "unknown_level")), "{found:?}");
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        wire.assert_books_equal();
    }

    #[test]
    fn swapped_book_updates_are_a_wrong_checksum(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(10, seed, 1, Regime::NORMAL);
        wire.run(warm_up);
        let [first, second] = two_changes(&mut wire);
        prop_assert_eq!(receive(&mut wire, &second), Some("checksum"));
        prop_assert_eq!(receive(&mut wire, &first), None);
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_trade_is_one_gap(seed in 0..1_000u64) {
        let mut wire = wire(1000, seed, 3, Regime::NORMAL);
        // Long enough that every symbol has traded: what nothing came before cannot be missed.
        wire.run(5_000);
        let dropped = wire.run_until(Kind::Trade);
        bytes(&mut wire, &dropped);
        let mut found = wire.count_faults(10_000);
        // Statistics that know the trade may come before the next one.
        prop_assert!(found.remove("ticker").unwrap_or(0) <= 40);
        prop_assert_eq!(found, faults([("trade_gap", 1)]));
    }

    #[test]
    fn a_doubled_trade_is_one_old_one_and_swapped_ones_are_a_gap_and_an_old_one(seed in 0..1_000u64) {
        let mut wire = wire(1000, seed, 3, Regime::NORMAL);
        wire.run(500);
        let first = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&first), None);
        let doubled = wire.bytes.clone();
        prop_assert_eq!(receive(&mut wire, &doubled), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        let first = wire.run_until(Kind::Trade);
        let Body::Trade(trade) = first.body else { unreachable!() };
        let later = Message { body: Body::Trade(tickstorm_market::Trade { trade_id: trade.trade_id + 1, ..trade }), ..first };
        prop_assert_eq!(wire.send(&later), Some("trade_gap"));
        prop_assert_eq!(wire.send(&first), Some("old_trade"));
    }

    #[test]
    fn a_dropped_private_message_is_one_missing_number(seed in 0..1_000u64, orders: bool) {
        let mut wire = wire(10, seed, 3, Regime::VOLATILE);
        wire.run(20_000);
        let kind = if orders { Kind::Execution } else { Kind::Balance };
        loop {
            let dropped = wire.run_until(kind);
            if !bytes(&mut wire, &dropped).is_empty() {
                break;
            }
        }
        let found = wire.count_faults(20_000);
        prop_assert_eq!(found.get("number"), Some(&1), "{:?}", found);
        // The totals of the order, or the next balance of the same asset, show it too.
        let others: u32 = found.iter().filter(|(kind, _)| **kind != "number").map(|(_, count)| count).sum();
        prop_assert!(others <= 1, "{found:?}");
    }

    /// Within the best ten, which is everything at this depth, no digit of a price, quantity or checksum can change
    /// unseen.
    #[test]
    fn a_flipped_digit_in_a_book_update_is_found_at_once(
        seed in 0..1_000u64,
        warm_up in 0..2_000usize,
        place: prop::sample::Index,
        other in 1..10u8,
    ) {
        let mut wire = wire(10, seed, 3, Regime::NORMAL);
        wire.run(warm_up);
        let mut flipped = loop {
            let change = wire.run_until(Kind::Book);
            let bytes = bytes(&mut wire, &change);
            if !bytes.is_empty() {
                break bytes;
            }
        };
        let text = String::from_utf8(flipped.clone()).unwrap();
        let end = text.find(",\"timestamp\"").unwrap();
        let start = text.find("\"bids\"").unwrap();
        let digits: Vec<usize> = (start..end).filter(|&at| flipped[at].is_ascii_digit()).collect();
        let at = digits[place.index(digits.len())];
        flipped[at] = b'0' + (flipped[at] - b'0' + other) % 10;
        let mut found = false;
        let Wire { decoder, replica, .. } = &mut wire;
        decoder.decode_each(&flipped, |said| match said {
            Err(_) => found = true,
            Ok(said @ Decoded::Depth(_)) => found |= replica.apply(&said).is_err(),
            Ok(_) => {}
        });
        prop_assert!(found, "{} for {text}", String::from_utf8_lossy(&flipped));
    }
}
