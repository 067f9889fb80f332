//! The simulated market over Bybit's wire: what a consumer rebuilds is the market itself at every depth, and damage
//! is found wherever the venue's own data can show it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use tickstorm_market::{Body, Kind, Message, Regime};
use tickstorm_venue::decoded::Level;
use tickstorm_venue::{Conduct, Decoded, Venue};

use crate::wire::Wire;

fn wire(depth: u32, seed: u64, symbols: u32, regime: Regime) -> Wire {
    Wire::new(Venue::Bybit, depth, seed, symbols, regime)
}

#[test]
fn a_consumer_rebuilds_every_book_at_every_depth() {
    for (depth, regime, seed) in [
        (1000, Regime::NORMAL, 1),
        (1000, Regime::VOLATILE, 2),
        (200, Regime::VOLATILE, 3),
        (50, Regime::NORMAL, 4),
    ] {
        let mut wire = wire(depth, seed, 20, regime);
        for _ in 0..20 {
            wire.run(10_000);
            wire.assert_books_equal();
        }
    }
}

#[test]
fn at_depth_one_the_best_prices_are_all_that_is_told_of_the_book() {
    let mut wire = wire(1, 5, 1, Regime::VOLATILE);
    let mut best = None;
    for _ in 0..20_000 {
        let message = wire.next();
        assert_eq!(wire.send(&message), None, "{message:?}");
        let told = String::from_utf8_lossy(&wire.bytes);
        wire.decoder.decode_each(&wire.bytes, |said| {
            if let Ok(Decoded::Quote(quote)) = said {
                best = Some((quote.bid, quote.ask));
            }
        });
        match message.body {
            Body::Book(_) => {
                assert!(told.is_empty() || told.starts_with(r#"{"topic":"orderbook.1."#), "{told}")
            }
            Body::Quote(quote) => {
                assert_eq!(told, "", "the change before has told it");
                let bid = Level { price: quote.bid, quantity: quote.bid_quantity };
                let ask = Level { price: quote.ask, quantity: quote.ask_quantity };
                assert_eq!(best, Some((bid, ask)));
            }
            _ => {}
        }
    }
}

#[test]
fn messages_that_are_due_together_have_one_time_each() {
    let mut wire = wire(1000, 3, 5, Regime::NORMAL);
    for _ in 0..20_000 {
        let message = *wire.market.next(1_000_000);
        assert_eq!(wire.send(&message), None, "{message:?}");
    }
    wire.assert_books_equal();
}

/// Book changes of each symbol folded into batches, as the venue's clock does; all else as it comes.
#[test]
fn batches_of_changes_lead_to_the_same_books() {
    for (depth, batch) in [(1000, 7), (50, 20), (50, 300)] {
        let mut wire = wire(depth, 6, 3, Regime::VOLATILE);
        wire.replica.set_conduct(Conduct::Batched);
        let mut waiting: BTreeMap<u32, Vec<Message>> = BTreeMap::new();
        for _ in 0..60_000 {
            let message = wire.next();
            if message.body.kind() != Kind::Book {
                assert_eq!(wire.send(&message), None, "{message:?}");
                continue;
            }
            let changes = waiting.entry(message.symbol.0).or_default();
            changes.push(message);
            if changes.len() == batch {
                let changes = std::mem::take(changes);
                assert_eq!(send_batch(&mut wire, &changes), None, "{changes:?}");
            }
        }
        for changes in waiting.values() {
            assert_eq!(send_batch(&mut wire, changes), None);
        }
        wire.assert_books_equal();
    }
}

#[test]
fn a_batch_of_trades_is_one_message_of_all_of_them() {
    let mut wire = wire(1000, 7, 1, Regime::VOLATILE);
    wire.replica.set_conduct(Conduct::Batched);
    let mut trades = Vec::new();
    while trades.len() < 40 {
        let message = wire.next();
        if message.body.kind() == Kind::Trade {
            trades.push(message);
        }
    }
    assert_eq!(send_batch(&mut wire, &trades), None);
    let message: Value = serde_json::from_slice(&wire.bytes).expect("the wire is JSON");
    for (trade, written) in trades.iter().zip(message["data"].as_array().expect("a list of trades")) {
        let Body::Trade(trade) = trade.body else { panic!("only trades were kept") };
        assert_eq!(written["i"], trade.trade_id.to_string());
    }
    assert_eq!(message["data"].as_array().map(Vec::len), Some(40));
}

#[test]
fn a_second_snapshot_in_the_middle_of_the_stream_changes_nothing() {
    let mut wire = wire(200, 8, 2, Regime::NORMAL);
    for _ in 0..20 {
        wire.run(500);
        for snapshot in wire.market.snapshots() {
            wire.bytes.clear();
            let due_ns = wire.due_ns;
            wire.encoder.snapshot(&snapshot, due_ns, &mut wire.numbering, &mut wire.bytes);
            assert_eq!(wire.receive(), None);
        }
    }
    wire.assert_books_equal();
}

/// One kind of fault, so often.
fn faults<const N: usize>(kinds: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    kinds.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dropped_book_message_is_one_gap(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(1000, seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let dropped = wire.run_until(Kind::Book);
        // The venue numbers the message, though nobody gets it.
        prop_assert!(wire.encoder.encode(&dropped, &mut wire.numbering, &mut Vec::new()));
        // Long enough that the symbol has another one.
        let mut found = wire.count_faults(3_000);
        // A trade that comes before the symbol's next change shows the loss too, but cannot name it.
        prop_assert!(found.remove("off_touch").unwrap_or(0) <= 2);
        prop_assert_eq!(found, faults([("update_gap", 1)]));
        prop_assert!(!wire.replica.book(dropped.symbol).is_synchronised());
    }

    #[test]
    fn a_doubled_book_message_is_one_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(1000, seed, 5, Regime::NORMAL);
        wire.run(warm_up);
        let doubled = wire.run_until(Kind::Book);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.receive(), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
        wire.assert_books_equal();
    }

    #[test]
    fn swapped_book_messages_are_a_gap_and_an_old_one(seed in 0..1_000u64, warm_up in 0..3_000usize) {
        let mut wire = wire(1000, seed, 1, Regime::NORMAL);
        wire.run(warm_up);
        let (first, second) = loop {
            let first = wire.run_until(Kind::Book);
            let second = wire.next();
            if second.body.kind() == Kind::Book {
                break (first, second);
            }
            prop_assert_eq!((wire.send(&first), wire.send(&second)), (None, None));
        };
        let (first, second) = (encoded(&mut wire, &first), encoded(&mut wire, &second));
        prop_assert_eq!(receive(&mut wire, second), Some("update_gap"));
        prop_assert_eq!(receive(&mut wire, first), Some("old_update"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));
    }

    #[test]
    fn a_dropped_trade_is_one_gap(seed in 0..1_000u64) {
        let mut wire = wire(1000, seed, 3, Regime::NORMAL);
        // Long enough that every symbol has traded: what nothing came before cannot be missed.
        wire.run(5_000);
        wire.run_until(Kind::Trade);
        let mut found = wire.count_faults(10_000);
        // The fills and statistics that come before the symbol's next trade show the loss too, but cannot name it.
        prop_assert!(found.remove("ticker").unwrap_or(0) <= 1);
        prop_assert_eq!(found, faults([("trade_gap", 1)]));
    }

    #[test]
    fn doubled_and_swapped_trades_are_old_ones(seed in 0..1_000u64) {
        let mut wire = wire(1000, seed, 3, Regime::NORMAL);
        wire.run(500);
        let doubled = wire.run_until(Kind::Trade);
        prop_assert_eq!(wire.send(&doubled), None);
        prop_assert_eq!(wire.receive(), Some("old_trade"));
        prop_assert_eq!(wire.count_faults(3_000), faults([]));

        let first = wire.run_until(Kind::Trade);
        let late = encoded(&mut wire, &first);
        loop {
            let message = wire.next();
            let fault = wire.send(&message);
            if message.symbol == first.symbol && message.body.kind() == Kind::Trade {
                prop_assert_eq!(fault, Some("trade_gap"));
                break;
            }
            // Statistics of the trade that is still to come.
            prop_assert!(fault.is_none_or(|kind| kind == "ticker"));
        }
        prop_assert_eq!(receive(&mut wire, late), Some("old_trade"));
    }

    #[test]
    fn a_dropped_fill_is_found_with_the_next_report_of_its_order(seed in 0..1_000u64) {
        let mut wire = wire(1000, seed, 3, Regime::VOLATILE);
        // A fill that leaves the order on the book, so that another report follows.
        let dropped = loop {
            let message = wire.run_until(Kind::Execution);
            match message.body {
                Body::Execution(execution)
                    if execution.filled_quantity > 0 && execution.filled_quantity < execution.quantity
                        && execution.last_quantity > 0 => break execution,
                _ => prop_assert_eq!(wire.send(&message), None),
            }
        };
        for _ in 0..200_000 {
            let message = wire.next();
            match (wire.send(&message), message.body) {
                (None, _) => {}
                (fault, Body::Execution(execution)) => {
                    prop_assert_eq!((fault, execution.order_id), (Some("execution"), dropped.order_id));
                    break;
                }
                (fault, _) => prop_assert_eq!(fault, None),
            }
        }
    }
}

/// The values that the venue's data proves to the last digit, by the start of the topic and the pointer to the
/// value. What is missing here (most sizes of a book, balances, highest and lowest price, times) can be wrong unseen.
const PROVEN: [(&str, &str); 12] = [
    ("orderbook.1000", "/data/u"),
    ("orderbook.1.", "/data/b/0/0"),
    ("orderbook.1.", "/data/b/0/1"),
    ("orderbook.1.", "/data/a/0/0"),
    ("orderbook.1.", "/data/a/0/1"),
    ("publicTrade", "/data/0/i"),
    ("publicTrade", "/data/0/p"),
    ("tickers", "/data/lastPrice"),
    ("execution", "/data/0/execPrice"),
    ("execution", "/data/0/execQty"),
    ("execution", "/data/0/execValue"),
    ("order", "/data/0/cumExecQty"),
];

#[test]
fn a_single_wrong_digit_is_found_wherever_the_data_can_show_it() {
    let mut wire = wire(1000, 11, 2, Regime::VOLATILE);
    // Long enough that the last trades and all open orders are known.
    wire.run(20_000);
    let mut tried: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for _ in 0..20_000 {
        let message = wire.next();
        let bytes = encoded(&mut wire, &message);
        let text = String::from_utf8(bytes.clone()).expect("the wire is text");
        if !bytes.is_empty() {
            let whole: Value = serde_json::from_str(&text).expect("the wire is JSON");
            let topic = whole["topic"].as_str().expect("every message has a topic");
            for proven in PROVEN.into_iter().filter(|(start, _)| topic.starts_with(start)) {
                let count = tried.entry(proven).or_default();
                for damaged in wrong_digits(&text, &whole, proven.1).take(usize::from(*count < 500) * 99) {
                    *count += 1;
                    assert!(
                        finds_fault(&wire, damaged.as_bytes()),
                        "{} in {damaged}, right is {text}",
                        proven.1
                    );
                }
            }
        }
        assert_eq!(receive(&mut wire, bytes), None, "{text}");
    }
    for proven in PROVEN {
        assert!(tried.get(&proven).is_some_and(|&count| count > 20), "{proven:?}: {tried:?}");
    }
}

/// The message with one digit of one value replaced by the next one.
fn wrong_digits<'a>(text: &'a str, whole: &'a Value, pointer: &'a str) -> impl Iterator<Item = String> + 'a {
    let digits = text.char_indices().filter(|(_, letter)| letter.is_ascii_digit());
    digits.filter_map(move |(at, digit)| {
        let other = if digit == '9' { '0' } else { (digit as u8 + 1) as char };
        let damaged = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let read: Value = serde_json::from_str(&damaged).ok()?;
        (read.pointer(pointer) != whole.pointer(pointer)).then_some(damaged)
    })
}

/// Whether the consumer, as he is now, would refuse the message or find a fault in it.
fn finds_fault(wire: &Wire, bytes: &[u8]) -> bool {
    let (mut decoder, mut replica) = (wire.decoder.clone(), wire.replica.clone());
    let mut found = false;
    decoder.decode_each(bytes, |said| found |= said.map_or(true, |said| replica.apply(&said).is_err()));
    found
}

/// What goes over the wire for a message; the consumer does not get it.
fn encoded(wire: &mut Wire, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire.encoder.encode(message, &mut wire.numbering, &mut bytes);
    bytes
}

fn receive(wire: &mut Wire, bytes: Vec<u8>) -> Option<&'static str> {
    wire.bytes = bytes;
    if wire.bytes.is_empty() { None } else { wire.receive() }
}

fn send_batch(wire: &mut Wire, messages: &[Message]) -> Option<&'static str> {
    wire.bytes.clear();
    let written = wire.encoder.encode_batch(messages, &mut wire.numbering, &mut wire.bytes);
    assert_eq!(written, !wire.bytes.is_empty());
    if written { wire.receive() } else { None }
}
