//! The market over Coinbase's wire: nothing gets lost unseen, since every frame is numbered.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::{Body, Kind, Message, Regime};
use tickstorm_venue::{Conduct, Decoded, Venue};

use crate::wire::Wire;

fn wire(seed: u64, symbols: u32, regime: Regime) -> Wire {
    Wire::new(Venue::Coinbase, 0, seed, symbols, regime)
}

/// The frame of a message, which takes its number whether it arrives or not.
fn frame(wire: &mut Wire, message: &Message) -> Vec<u8> {
    let mut frame = Vec::new();
    assert!(wire.encoder.encode(message, &mut wire.numbering, &mut frame));
    frame
}

fn deliver(wire: &mut Wire, frame: &[u8]) -> Option<&'static str> {
    wire.bytes.clear();
    wire.bytes.extend_from_slice(frame);
    wire.receive()
}

#[test]
fn a_consumer_rebuilds_every_book_level_for_level() {
    for (regime, seed) in [(Regime::NORMAL, 1), (Regime::VOLATILE, 2)] {
        let mut wire = wire(seed, 20, regime);
        for _ in 0..20 {
            wire.run(10_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn a_consumer_of_batches_rebuilds_every_book_level_for_level() {
    let mut wire = wire(5, 5, Regime::VOLATILE);
    wire.replica.set_conduct(Conduct::Batched);
    let mut batches: BTreeMap<(u32, Kind), Vec<Message>> = BTreeMap::new();
    let mut frames = 0;
    for _ in 0..200 {
        for _ in 0..500 {
            let message = wire.next();
            batches.entry((message.symbol.0, message.body.kind())).or_default().push(message);
        }
        for messages in std::mem::take(&mut batches).into_values() {
            wire.bytes.clear();
            if wire.encoder.encode_batch(&messages, &mut wire.numbering, &mut wire.bytes) {
                frames += 1;
                assert_eq!(wire.receive(), None, "{}", String::from_utf8_lossy(&wire.bytes));
            }
        }
        wire.assert_books_equal();
    }
    assert!(frames > 2_000, "{frames}");
}

/// So many runs, each of another market.
const CASES: u32 = 24;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_dropped_frame_is_named_by_the_next_one(
        seed in 0..1_000u64,
        warm_up in 0..3_000usize,
        kind in prop::sample::select(vec![Kind::Book, Kind::Trade, Kind::Ticker, Kind::Execution]),
    ) {
        let mut wire = wire(seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let dropped = wire.run_until(kind);
        frame(&mut wire, &dropped);
        // Silent messages have no number.
        let next = loop {
            let message = wire.next();
            if !matches!(message.body, Body::Quote(_) | Body::Balance(_) | Body::Transfer(_)) {
                break message;
            }
        };
        prop_assert_eq!(wire.send(&next), Some("number"));
    }

    #[test]
    fn a_doubled_frame_is_named_at_once(
        seed in 0..1_000u64,
        kind in prop::sample::select(vec![Kind::Book, Kind::Trade, Kind::Ticker, Kind::Execution]),
    ) {
        let mut wire = wire(seed, 5, Regime::NORMAL);
        wire.run(500);
        let doubled = wire.run_until(kind);
        let frame = frame(&mut wire, &doubled);
        prop_assert_eq!(deliver(&mut wire, &frame), None);
        prop_assert_eq!(deliver(&mut wire, &frame), Some("number"));
        let next = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&next), None, "one error is one fault");
    }

    #[test]
    fn swapped_frames_are_named_at_once(seed in 0..1_000u64) {
        let mut wire = wire(seed, 1, Regime::NORMAL);
        wire.run(500);
        let (first, second) = (wire.run_until(Kind::Book), wire.next());
        prop_assume!(matches!(second.body.kind(), Kind::Book | Kind::Trade | Kind::Ticker));
        let (first, second) = (frame(&mut wire, &first), frame(&mut wire, &second));
        prop_assert_eq!(deliver(&mut wire, &second), Some("number"));
        prop_assert_eq!(deliver(&mut wire, &first), Some("number"));
    }

    /// Were the frames not numbered, most would be found all the same.
    #[test]
    fn without_numbers_lost_and_doubled_trades_and_doubled_levels_are_still_found(seed in 0..1_000u64) {
        let mut wire = wire(seed, 3, Regime::NORMAL);
        wire.run(5_000);
        let doubled = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&doubled), None);
        // A level cannot be removed twice, nor be given what it has.
        let found = wire.send(&doubled);
        prop_assert!(matches!(found, Some("nothing_new" | "unknown_level")), "{:?}", found);
        let doubled = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.send(&doubled), Some("old_trade"));
        wire.run_until(Kind::Trade);
        let mut found = wire.count_faults(10_000);
        prop_assert_eq!(found.remove("trade_gap"), Some(1));
        // The statistics that follow a lost trade name another price than the last one known.
        found.remove("ticker");
        prop_assert!(found.is_empty(), "{:?}", found);
    }

    /// A digit of a price or a quantity is found at once or by what is compared with it later; so are those of
    /// numbers. What nothing else repeats is not found: the page of the venue says what that is.
    #[test]
    fn a_flipped_digit_in_what_is_told_twice_is_found(
        seed in 0..1_000u64,
        place: prop::sample::Index,
        by in 1..10u8,
    ) {
        let mut wire = wire(seed, 1, Regime::NORMAL);
        wire.run(2_000);
        for (kind, fields) in [
            (Kind::Trade, &["sequence_num", "trade_id", "price"][..]),
            (Kind::Ticker, &["price", "best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"]),
            (Kind::Execution, &["filled_value", "cumulative_quantity"]),
        ] {
            for field in fields {
                // A fill, so that there is something to contradict.
                let message = loop {
                    let message = wire.run_until(kind);
                    match message.body {
                        Body::Execution(execution) if execution.filled_quantity == 0 => {
                            prop_assert_eq!(wire.send(&message), None);
                        }
                        _ => break message,
                    }
                };
                let good = frame(&mut wire, &message);
                let text = String::from_utf8(good.clone()).unwrap();
                let start = text.find(&format!("\"{field}\":")).unwrap() + field.len() + 3;
                let value = text[start..].trim_start_matches('"');
                let start = text.len() - value.len();
                let end = value.find(['"', ',']).unwrap();
                let digits: Vec<usize> = (start..start + end).filter(|&at| good[at] != b'.').collect();
                let at = digits[place.index(digits.len())];
                let mut flipped = good.clone();
                flipped[at] = b'0' + (good[at] - b'0' + by) % 10;
                let mut found = None;
                let mut decoder = wire.decoder.clone();
                let (mut replica, mut sequences) = (wire.replica.clone(), wire.sequences);
                decoder.decode_each(&flipped, |said| {
                    found = found.or(match said {
                        Err(error) => Some(error.kind()),
                        Ok(Decoded::Numbered(numbered)) => sequences.on_number(numbered).err().map(|it| it.kind()),
                        Ok(said) => replica.apply(&said).err().map(|fault| fault.kind()),
                    });
                });
                prop_assert!(found.is_some(), "{} in {}", field, String::from_utf8_lossy(&flipped));
                prop_assert_eq!(deliver(&mut wire, &good), None);
            }
        }
    }
}
