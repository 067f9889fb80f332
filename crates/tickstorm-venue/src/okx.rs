//! OKX v5, spot: the public channels `books`, `books50-l2-tbt`, `books5`, `bbo-tbt`, `trades`, `tickers` and
//! `instruments`, the private ones `orders` and `account`, and the list of instruments as REST has it.
//!
//! Everything but a few ids is a string: decimals without trailing zeros, times in milliseconds. Where a field does
//! not apply, the string is empty.

mod answers;
mod checksum;
mod decode;
mod encode;
mod parts;
pub(crate) mod protocol;
pub(crate) mod rest;
mod rules;
mod wording;

pub(crate) use answers::read_instruments;
pub(crate) use checksum::checksum;
pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use rules::RULES;

use tickstorm_market::instrument::{Listing, SymbolId};

/// The instrument with this id of the venue's. For lookups that are rare: walks through the listing.
fn symbol(listing: &Listing, inst_id: &str) -> Option<SymbolId> {
    let found = listing.instruments.iter().find(|instrument| {
        let quote =
            inst_id.strip_prefix(listing.asset(instrument.base)).and_then(|rest| rest.strip_prefix('-'));
        quote == Some(listing.asset(instrument.quote))
    });
    found.map(|instrument| instrument.id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{AccountId, Body, ExecutionKind, Message, Side, Status};
    use tickstorm_market::instrument::{AssetId, Listing, SymbolId};

    use super::{Decoder, read_instruments};
    use crate::decoded::{
        AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level,
        OrderStatus, QuoteUpdate, StatusUpdate, TickerUpdate, TradePrint, WallClock,
    };
    use crate::testing::{START_UNIX_NS, any_message, listing, message};
    use crate::{DecodeError, Encoder, Numbering, Venue};

    /// The example messages of the venue's documentation, retold for this project's market, and where ours differ:
    /// numbers of orders, prices of the day, and values in dollars are not known to the market, and a client's id
    /// of an order comes from the venue's.
    const EXAMPLES: [(&str, &[(&str, &str)]); 7] = [
        (include_str!("../../../testdata/okx/books_snapshot.json"), &COUNTS),
        (include_str!("../../../testdata/okx/books_update.json"), &COUNTS),
        (include_str!("../../../testdata/okx/books5.json"), &COUNTS),
        (include_str!("../../../testdata/okx/bbo_tbt.json"), &COUNTS),
        (include_str!("../../../testdata/okx/trades.json"), &[]),
        (include_str!("../../../testdata/okx/tickers.json"), &[("66410.2", "66200"), ("66388", "66200")]),
        (include_str!("../../../testdata/okx/orders.json"), &[("ts000017", "ts880000000000000017")]),
    ];

    const ACCOUNT: &str = include_str!("../../../testdata/okx/account.json");

    const COUNTS: [(&str, &str); 5] = [
        (r#""0","1"],["67011""#, r#""0","7"],["67011""#),
        (r#""0","1"]"#, r#""0","6"]"#),
        (r#""0","2"]"#, r#""0","7"]"#),
        (r#""0","3"]"#, r#""0","8"]"#),
        (r#""0","4"]"#, r#""0","9"]"#),
    ];

    /// Messages that say nothing of the market.
    const CONTROLS: [&str; 12] = [
        include_str!("../../../testdata/okx/subscribe.json"),
        include_str!("../../../testdata/okx/subscribed.json"),
        include_str!("../../../testdata/okx/unsubscribe.json"),
        include_str!("../../../testdata/okx/unsubscribed.json"),
        include_str!("../../../testdata/okx/error.json"),
        include_str!("../../../testdata/okx/notice.json"),
        include_str!("../../../testdata/okx/channel_conn_count.json"),
        include_str!("../../../testdata/okx/login.json"),
        include_str!("../../../testdata/okx/logged_in.json"),
        include_str!("../../../testdata/okx/login_failed.json"),
        include_str!("../../../testdata/okx/rest_books.json"),
        "pong",
    ];

    fn encoder() -> Encoder {
        Encoder::new(Venue::Okx, &listing(), START_UNIX_NS)
    }

    fn decoder() -> Decoder {
        Decoder::new(&listing())
    }

    /// One message; none where the venue does not tell.
    fn encoded(message: &Message) -> Option<String> {
        let mut wire = Vec::new();
        let told = encoder().encode(message, &mut Numbering::default(), &mut wire);
        assert_eq!(told, !wire.is_empty());
        told.then(|| String::from_utf8(wire).unwrap())
    }

    /// Hands on the one thing that a message says.
    fn with_decoded<T>(wire: &str, look: impl FnOnce(&Decoded<'_>) -> T) -> T {
        let (mut look, mut seen) = (Some(look), None);
        decoder().decode_each(wire.as_bytes(), |decoded| {
            let look = look.take().expect("one thing is said");
            seen = Some(look(&decoded.unwrap_or_else(|error| panic!("{error}: {wire}"))));
        });
        seen.expect("something is said")
    }

    fn refusal(wire: &str) -> String {
        let mut found = None;
        decoder().decode_each(wire.as_bytes(), |decoded| found = Some(decoded.map(|it| format!("{it:?}"))));
        found.unwrap().unwrap_err().to_string()
    }

    fn written_again(wire: &str) -> String {
        with_decoded(wire, |decoded| {
            let mut again = Vec::new();
            assert!(encoder().encode_decoded(decoded, &mut Numbering::default(), &mut again), "{decoded:?}");
            String::from_utf8(again).unwrap()
        })
    }

    #[test]
    fn every_example_reads_and_writes_as_the_same_bytes_but_for_what_the_market_does_not_know() {
        for (text, ours) in EXAMPLES {
            let expected =
                ours.iter().fold(text.trim_end().to_owned(), |text, (old, new)| text.replace(old, new));
            assert_eq!(written_again(text.trim_end()), expected);
        }
    }

    #[test]
    fn the_account_example_is_written_again_without_values_in_dollars() {
        let mut expected: serde_json::Value = serde_json::from_str(ACCOUNT).unwrap();
        let account = &mut expected["data"][0];
        account["totalEq"] = "".into();
        for holding in account["details"].as_array_mut().unwrap() {
            for field in ["eqUsd", "disEq", "coinUsdPrice"] {
                holding[field] = "".into();
            }
        }
        let again = written_again(ACCOUNT);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), expected);
    }

    fn level(price: u32, quantity: u64) -> Level {
        Level { price, quantity }
    }

    const NOON: u64 = START_UNIX_NS as u64;

    #[test]
    fn the_book_examples_say_what_the_documentation_says() {
        let update = DepthUpdate {
            symbol: SymbolId(0),
            form: DepthForm::Update,
            depth: Some(400),
            event_ns: Some(NOON + 200_000_000),
            engine_ns: None,
            continuity: Continuity::Chain { previous: Some(59_000_000_010), id: 59_000_000_017 },
            cross_sequence: None,
            checksum: None,
            bids: &[level(670_118, 0)],
            asks: &[level(670_125, 40_770)],
        };
        with_decoded(EXAMPLES[1].0, |it| assert_eq!(*it, Decoded::Depth(update)));
        let snapshot = DepthUpdate {
            form: DepthForm::Snapshot,
            event_ns: Some(NOON + 100_000_000),
            continuity: Continuity::Chain { previous: None, id: 59_000_000_010 },
            bids: &[level(670_124, 15_000), level(670_118, 6_200), level(670_110, 80_000)],
            asks: &[level(670_125, 41_870), level(670_129, 2_500)],
            ..update
        };
        with_decoded(EXAMPLES[0].0, |it| assert_eq!(*it, Decoded::Depth(snapshot)));
        let five = DepthUpdate {
            depth: Some(5),
            event_ns: Some(NOON + 200_000_000),
            continuity: Continuity::Chain { previous: None, id: 59_000_000_017 },
            bids: &[level(670_124, 15_000), level(670_110, 80_000)],
            asks: &[level(670_125, 40_770), level(670_129, 2_500)],
            ..snapshot
        };
        with_decoded(EXAMPLES[2].0, |it| assert_eq!(*it, Decoded::Depth(five)));
        let best = QuoteUpdate {
            symbol: SymbolId(0),
            event_ns: Some(NOON + 110_000_000),
            update_id: 59_000_000_012,
            bid: level(670_124, 15_000),
            ask: level(670_125, 40_770),
        };
        with_decoded(EXAMPLES[3].0, |it| assert_eq!(*it, Decoded::Quote(best)));
    }

    #[test]
    fn the_trade_and_ticker_examples_say_what_the_documentation_says() {
        let print = TradePrint {
            symbol: SymbolId(0),
            event_ns: None,
            engine_ns: NOON + 103_000_000,
            trade_id: 700_112_201,
            matches: 2,
            price: 670_125,
            quantity: 1_100,
            taker: Side::Buy,
            cross_sequence: Some(59_000_000_012),
        };
        with_decoded(EXAMPLES[4].0, |it| assert_eq!(*it, Decoded::Trade(print)));
        let older = EXAMPLES[4].0.replace(r#","count":"2","source":"0","seqId":59000000012"#, "");
        let print = TradePrint { matches: 1, cross_sequence: None, ..print };
        with_decoded(&older, |it| assert_eq!(*it, Decoded::Trade(print)));
        let statistics = TickerUpdate {
            symbol: SymbolId(0),
            event_ns: Some(NOON + 110_000_000),
            last: 670_125,
            high: 672_301,
            low: 658_800,
            volume: 825_040_110,
            last_quantity: Some(1_100),
            best: Some([level(670_124, 15_000), level(670_125, 40_770)]),
            open: Some(662_000),
            change: None,
            change_share: None,
            weighted_average_units: None,
            quote_volume_units: Some(54_876_727_615_000_000),
            previous_close: None,
            trade_ids: None,
            count: None,
            window_ns: None,
        };
        with_decoded(EXAMPLES[5].0, |it| assert_eq!(*it, Decoded::Ticker(statistics)));
    }

    const FILL: ExecutionReport = ExecutionReport {
        account: AccountId(44_000_017),
        symbol: SymbolId(0),
        event_ns: None,
        engine_ns: NOON + 103_000_000,
        kind: ExecutionKind::Trade,
        status: OrderStatus::PartiallyFilled,
        side: Side::Sell,
        order_id: 880_000_000_000_000_017,
        execution_id: None,
        price: 670_125,
        quantity: 5_000,
        last: Level { price: 670_125, quantity: 1_100 },
        filled_quantity: 1_100,
        last_quote_units: None,
        filled_quote_units: None,
        fee_units: 58_971_000,
        fee_asset: Some(AssetId(0)),
        trade_id: Some(700_112_201),
        placed_ns: Some(NOON - 4_990_000_000),
    };

    #[test]
    fn the_private_examples_say_what_the_documentation_says() {
        with_decoded(EXAMPLES[6].0, |it| assert_eq!(*it, Decoded::Execution(FILL)));
        let holding = |asset, total_units, locked_units| AssetBalance {
            asset: AssetId(asset),
            total_units,
            locked_units: Some(locked_units),
            change_units: None,
        };
        let update = BalanceUpdate {
            account: AccountId(44_000_017),
            event_ns: Some(NOON + 103_000_000),
            engine_ns: NOON + 103_000_000,
            form: DepthForm::Snapshot,
            balances: &[holding(1, 103_900_000, 3_900_000), holding(0, 5_073_640_000_000, 0)],
        };
        with_decoded(ACCOUNT, |it| assert_eq!(*it, Decoded::Balance(update)));
        let later = ACCOUNT.replace("snapshot", "event_update");
        let update = BalanceUpdate { form: DepthForm::Update, ..update };
        with_decoded(&later, |it| assert_eq!(*it, Decoded::Balance(update)));
    }

    #[test]
    fn foreign_ids_are_numbers_too() {
        let ids = |uid: &str, order_id: &str| {
            let wire = EXAMPLES[6].0.replace("44000017", uid).replace("880000000000000017", order_id);
            with_decoded(&wire, |it| match it {
                Decoded::Execution(report) => (report.account, report.order_id),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(ids("7", "18"), (AccountId(7), 18));
        assert_eq!(ids("446556749218304017", "x-18"), ids("main", "x-18"), "account 0, the same hash");
        assert_ne!(ids("main", "x-18").1, ids("main", "x-19").1);
    }

    #[test]
    fn a_change_of_a_filled_order_without_a_trade_is_no_fill() {
        let wire = EXAMPLES[6].0.replace(r#""tradeId":"700112201""#, r#""tradeId":"""#);
        let expected = ExecutionReport {
            kind: ExecutionKind::New,
            last: Level::default(),
            fee_units: 0,
            fee_asset: None,
            trade_id: None,
            ..FILL
        };
        with_decoded(&wire, |it| assert_eq!(*it, Decoded::Execution(expected)));
    }

    #[test]
    fn answers_notices_and_beats_say_nothing_of_the_market() {
        for wire in CONTROLS {
            with_decoded(wire.trim_end(), |it| assert_eq!(*it, Decoded::Control, "{wire}"));
            if let Ok(Some(listing)) = read_instruments(wire.trim_end().as_bytes()) {
                panic!("{wire} is no {listing:?}");
            }
        }
    }

    #[test]
    fn several_entries_of_one_message_are_as_many_things_said() {
        let trade = EXAMPLES[4].0.trim_end();
        let entry = &trade[trade.find("[").unwrap() + 1..trade.len() - 2];
        let wire = trade.replace(entry, &[entry, entry, entry].join(","));
        let mut count = 0;
        decoder().decode_each(wire.as_bytes(), |decoded| {
            assert!(matches!(decoded, Ok(Decoded::Trade(print)) if print.trade_id == 700_112_201));
            count += 1;
        });
        assert_eq!(count, 3);
    }

    #[test]
    fn a_status_is_a_push_of_the_instrument() {
        for (trading, state) in [(true, r#""state":"live""#), (false, r#""state":"suspend""#)] {
            let wire = encoded(&message(Body::Status(Status { trading }))).unwrap();
            assert!(
                wire.starts_with(r#"{"arg":{"channel":"instruments","instType":"SPOT"},"data":[{"#),
                "{wire}"
            );
            assert!(wire.contains(r#""instId":"BTC-USDT""#) && wire.contains(state), "{wire}");
            let expected = Decoded::Status(StatusUpdate { symbol: SymbolId(0), event_ns: None, trading });
            with_decoded(&wire, |it| assert_eq!(*it, expected));
            assert_eq!(written_again(&wire), wire);
            assert_eq!(read_instruments(wire.as_bytes()), Ok(None), "not the list of them");
            let foreign = wire.replace("BTC-USDT", "XYZ-USDT");
            with_decoded(&foreign, |it| assert_eq!(*it, Decoded::Control));
        }
    }

    #[test]
    fn the_list_of_instruments_reads_back_without_start_prices() {
        let mut wire = Vec::new();
        encoder().instruments(0, &mut Numbering::default(), &mut wire);
        let listing = listing();
        let instruments = listing
            .instruments
            .iter()
            .cloned()
            .map(|instrument| tickstorm_market::instrument::Instrument { start_price: 0, ..instrument });
        let expected = Listing { instruments: instruments.collect(), ..listing };
        assert_eq!(read_instruments(&wire), Ok(Some(expected)));
        with_decoded(std::str::from_utf8(&wire).unwrap(), |it| assert_eq!(*it, Decoded::Control));
        let wrong = String::from_utf8(wire).unwrap().replace(r#""tickSz":"0.1""#, r#""tickSz":"0""#);
        let error = read_instruments(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(r#"is "0", must be a decimal in quotes above zero"#), "{error}");
    }

    #[test]
    fn errors_name_the_field_its_value_and_what_is_allowed() {
        let book = EXAMPLES[1].0.trim_end();
        for (wire, text) in [
            (
                book.replace("67012.5", "67012.55"),
                "price 67012.55 in field \"asks\" of BTCUSDT is not a whole number of ticks of 0.1",
            ),
            (
                book.replace("0.4077", "0.4077001"),
                "quantity 0.4077001 in field \"asks\" of BTCUSDT is not a whole number of lots of 0.00001",
            ),
            (book.replace("BTC-USDT", "XYZ-USDT"), "unknown symbol \"XYZ-USDT\""),
            (
                book.replace("\"books\"", "\"candle1D\""),
                "unknown event \"candle1D\", must be one of: books, ",
            ),
            (
                book.replace("\"update\"", "\"partial\""),
                "field \"action\" at byte 56 is \"partial\", must be snapshot or update",
            ),
            (book.replace(r#","seqId":59000000017"#, ""), "books without field \"seqId\""),
            (book.replace("59000000010", "-7"), "is -7, must be -1 or a whole number"),
            (
                book.replace(r#"["67012.5","0.4077","0","3"]"#, r#"["67012.5"]"#),
                "field \"asks\" at byte 82 is [\"67012.5\"], must be [price, quantity, \"0\", orders]",
            ),
            (
                book.replace(r#""checksum":0"#, r#""checksum":4294967295"#),
                "is 4294967295, must be a whole number of 32 bits with a sign",
            ),
            (
                EXAMPLES[6].0.replace(r#""fillFee":"-0.58971""#, r#""fillFee":"0.58971""#),
                "is \"0.58971\", must be a decimal in quotes, zero or negative: no rebate",
            ),
            (ACCOUNT.replace("USDT", "EUR"), "unknown asset \"EUR\""),
            (book[..100].to_owned(), "malformed at byte "),
            ("{}".to_owned(), "message without field \"arg\""),
            ("7".to_owned(), "malformed at byte 0: expected an object"),
        ] {
            let found = refusal(&wire);
            assert!(found.contains(text), "{found} for {wire}");
        }
    }

    /// What a message must read as; none where the venue does not tell.
    fn expected(message: &Message, check: impl FnOnce(Option<&Decoded<'_>>)) {
        let clock = WallClock::new(START_UNIX_NS);
        let whole_ms = |ns: u64| ns / 1_000_000 * 1_000_000;
        let event_ns = Some(whole_ms(clock.unix_ns(message.due_ns)));
        let engine_ns = whole_ms(clock.unix_ns(message.event_ns));
        let symbol = message.symbol;
        let listing = listing();
        let instrument = listing.instrument(symbol);
        match &message.body {
            Body::Book(change) => {
                let level = [level(change.price, change.quantity)];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                let (previous, id) = (Some(change.update_id.saturating_sub(1)), change.update_id);
                check(Some(&Decoded::Depth(DepthUpdate {
                    symbol,
                    form: DepthForm::Update,
                    depth: Some(400),
                    event_ns,
                    engine_ns: None,
                    continuity: Continuity::Chain { previous, id },
                    cross_sequence: None,
                    checksum: None,
                    bids,
                    asks,
                })));
            }
            Body::Trade(trade) => {
                let print = TradePrint::of(message, trade, clock);
                let cross_sequence = Some(1);
                check(Some(&Decoded::Trade(TradePrint {
                    event_ns: None,
                    engine_ns,
                    cross_sequence,
                    ..print
                })));
            }
            Body::Quote(quote) => {
                let update = QuoteUpdate::of(message, quote, clock);
                check(Some(&Decoded::Quote(QuoteUpdate { event_ns, ..update })));
            }
            Body::Ticker(ticker) => {
                let update = TickerUpdate::of(message, ticker, instrument, 1, clock);
                check(Some(&Decoded::Ticker(TickerUpdate {
                    event_ns,
                    change: None,
                    change_share: None,
                    weighted_average_units: None,
                    previous_close: None,
                    trade_ids: None,
                    count: None,
                    window_ns: None,
                    ..update
                })));
            }
            Body::Execution(execution) => {
                let report = ExecutionReport::of(message, execution, instrument, clock);
                check(Some(&Decoded::Execution(ExecutionReport {
                    event_ns: None,
                    engine_ns,
                    execution_id: None,
                    last_quote_units: None,
                    filled_quote_units: None,
                    placed_ns: report.placed_ns.map(whole_ms),
                    ..report
                })));
            }
            Body::Balance(balance) => check(Some(&Decoded::Balance(BalanceUpdate {
                account: balance.account,
                event_ns,
                engine_ns,
                form: DepthForm::Update,
                balances: &[AssetBalance::of(balance)],
            }))),
            Body::Status(status) => {
                check(Some(&Decoded::Status(StatusUpdate {
                    symbol,
                    event_ns: None,
                    trading: status.trading,
                })));
            }
            Body::Transfer(_) => check(None),
        }
    }

    /// Fields in another order, white space everywhere, escapes, unknown fields of any depth.
    fn reworded(wire: &str) -> String {
        let mut value: serde_json::Value = serde_json::from_str(wire).unwrap();
        let unknown = serde_json::json!({"deep": [[{"er": "}]\\\""}], 1.5e300, null]});
        value["\u{1f980}"] = unknown.clone();
        value["arg"]["zz"] = unknown.clone();
        for entry in value["data"].as_array_mut().unwrap() {
            entry["aa"] = unknown.clone();
        }
        let text = serde_json::to_string_pretty(&value).unwrap();
        format!(" {}\r\n", text.replace("\"buy\"", "\"b\\u0075y\"").replace("\"instId\"", "\"inst\\u0049d\""))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_message_reads_back_as_itself(message in any_message()) {
            expected(&message, |expected| match (encoded(&message), expected) {
                (Some(wire), Some(expected)) => with_decoded(&wire, |it| assert_eq!(it, expected, "{wire}")),
                (wire, expected) => assert_eq!((wire, expected), (None, None)),
            });
        }

        #[test]
        fn what_was_read_is_written_as_the_same_bytes(message in any_message()) {
            if let Some(wire) = encoded(&message) {
                prop_assert_eq!(written_again(&wire), wire);
            }
        }

        #[test]
        fn another_wording_of_a_message_means_the_same(message in any_message()) {
            if let Some(wire) = encoded(&message) {
                let said = with_decoded(&wire, |it| format!("{it:?}"));
                prop_assert_eq!(said, with_decoded(&reworded(&wire), |it| format!("{it:?}")));
            }
        }

        #[test]
        fn every_message_is_json_without_white_space(message in any_message()) {
            if let Some(wire) = encoded(&message) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&wire).is_ok());
                prop_assert!(!wire.contains(char::is_whitespace));
            }
        }

        #[test]
        fn damaged_messages_never_panic(
            message in any_message(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4),
        ) {
            let mut wire = encoded(&message).unwrap_or_default().into_bytes();
            for (place, what, byte) in damage {
                let at = place.index(wire.len().max(1)).min(wire.len().saturating_sub(1));
                match what {
                    _ if wire.is_empty() => {}
                    0 => wire.truncate(at),
                    1 => wire[at] = byte,
                    2 => wire[at] = b"0123456789.-\"{}[],:eE"[usize::from(byte) % 21],
                    3 => wire.insert(at, byte),
                    _ => drop(wire.remove(at)),
                }
            }
            let mut said = 0;
            decoder().decode_each(&wire, |_| said += 1);
            prop_assert!(said > 0);
            let _ = read_instruments(&wire);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decoder().decode_each(&bytes, |_| ());
            let _ = read_instruments(&bytes);
        }

        #[test]
        fn arbitrary_json_never_panics(
            channel in prop::sample::select(vec!["books", "books5", "bbo-tbt", "trades", "tickers", "orders", "account", "instruments"]),
            data in "[\\[{]{0,3}(\"(bids|asks|ts|seqId|instId|details|[a-z\\\\]{0,3})\"[:,]|\"?[0-9.-]{1,3}\"?[,:}\\]]|[\\]}{\\[,: ]){0,30}"
        ) {
            let wire = format!(
                r#"{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},"action":"update","data":{data}}}"#
            );
            decoder().decode_each(wire.as_bytes(), |_| ());
        }
    }

    #[test]
    fn messages_of_any_depth_are_refused_without_recursion() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = [&open.repeat(100_000), "0", &close.repeat(100_000)].concat();
            for wire in [
                format!(r#"{{"arg":{deep},"data":[]}}"#),
                format!(
                    r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":{deep},"bids":[]}}]}}"#
                ),
            ] {
                let refusal = refusal(&wire);
                assert!(refusal.contains("must be") || refusal.contains("without field"), "{refusal}");
                assert!(refusal.len() < 200, "{refusal}");
            }
        }
    }

    #[test]
    fn text_that_is_none_is_refused_by_its_first_wrong_byte() {
        let mut found = None;
        decoder().decode_each(b"{\"arg\":\xff}", |decoded| found = decoded.err());
        assert_eq!(found, Some(DecodeError::NotUtf8 { offset: 7 }));
    }
}
