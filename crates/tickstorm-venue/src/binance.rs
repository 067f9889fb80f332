//! Binance Spot: market streams in their raw form (no combined wrapper) and user data as the WebSocket API
//! wraps it.
//!
//! Prices, quantities and amounts are strings with eight decimals whatever the tick; ids and times are
//! numbers.

mod decode;
mod encode;
mod fold;
mod instruments;
pub(crate) mod protocol;
pub(crate) mod rest;
mod rules;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use instruments::read_instruments;
pub(crate) use rules::RULES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{
        Body, BookChange, ExecutionKind, Message, Quote, Side, Snapshot, Status, Trade,
    };
    use tickstorm_market::instrument::SymbolId;

    use crate::decoded::{
        AggregateTrade, AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, Level,
        OrderStatus, TradePrint, TransferUpdate,
    };
    use crate::testing::{START_UNIX_NS, any_message, listing, message};
    use crate::{DecodeError, Encoder, Numbering, Venue};

    /// The example messages of the venue's documentation, retold for this project's market.
    const EXAMPLES: [(&str, &str); 11] = [
        ("trade", include_str!("../../../testdata/binance/trade.json")),
        ("bookTicker", include_str!("../../../testdata/binance/book_ticker.json")),
        ("depthUpdate", include_str!("../../../testdata/binance/depth_update.json")),
        ("24hrTicker", include_str!("../../../testdata/binance/ticker_24h.json")),
        ("executionReport", include_str!("../../../testdata/binance/execution_report.json")),
        ("outboundAccountPosition", include_str!("../../../testdata/binance/account_position.json")),
        ("balanceUpdate", include_str!("../../../testdata/binance/balance_update.json")),
        ("aggTrade", include_str!("../../../testdata/binance/agg_trade.json")),
        ("24hrMiniTicker", include_str!("../../../testdata/binance/mini_ticker.json")),
        ("partial depth", include_str!("../../../testdata/binance/partial_depth.json")),
        ("reply to depth", include_str!("../../../testdata/binance/depth_reply.json")),
    ];

    /// Those that say nothing of the market.
    const CONTROL: [&str; 7] = [
        include_str!("../../../testdata/binance/exchange_info.json"),
        include_str!("../../../testdata/binance/server_shutdown.json"),
        include_str!("../../../testdata/binance/event_stream_terminated.json"),
        include_str!("../../../testdata/binance/error.json"),
        include_str!("../../../testdata/binance/subscribed.json"),
        include_str!("../../../testdata/binance/subscribed_user.json"),
        include_str!("../../../testdata/binance/refused_user.json"),
    ];

    fn encoder() -> Encoder {
        Encoder::new(Venue::Binance, &listing(), START_UNIX_NS)
    }

    fn decoder() -> super::Decoder {
        super::Decoder::new(&listing())
    }

    fn encoded(message: &Message) -> String {
        let mut wire = Vec::new();
        encoder().encode(message, &mut Numbering::default(), &mut wire);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn every_example_decodes_and_encodes_to_the_same_bytes() {
        for (event, text) in EXAMPLES {
            let mut decoder = decoder();
            let decoded = decoder.decode(text.trim_end().as_bytes()).unwrap();
            let mut wire = Vec::new();
            encoder().encode_decoded(&decoded, &mut Numbering::default(), &mut wire);
            // The client's own id is not ours to keep: it is written from the order's id.
            let expected = text.trim_end().replace("ts-000017", "ts-77001042");
            assert_eq!(String::from_utf8(wire).unwrap(), expected, "{event}");
        }
    }

    #[test]
    fn the_depth_example_says_what_the_documentation_says() {
        let mut decoder = decoder();
        let Decoded::Depth(update) = decoder.decode(EXAMPLES[2].1.as_bytes()).unwrap() else {
            panic!("a depth update");
        };
        assert_eq!(update.event_ns, Some(1_795_420_800_200_000_000));
        assert_eq!(update.continuity, Continuity::Range { first: 400_900_218, last: 400_900_226 });
        let level = |price, quantity| Level { price, quantity };
        assert_eq!(update.bids, [level(670_124, 12_000), level(670_119, 0)]);
        assert_eq!(update.asks, [level(670_125, 37_570)]);
    }

    const BIDS: [Level; 2] =
        [Level { price: 670_124, quantity: 13_000 }, Level { price: 670_118, quantity: 6_200 }];

    #[test]
    fn a_book_is_read_from_every_kind_of_reply() {
        for (text, depth, last, best_bid) in [
            (include_str!("../../../testdata/binance/rest_depth.json"), None, 400_900_221, BIDS[0]),
            (EXAMPLES[10].1, None, 400_900_221, BIDS[0]),
            (EXAMPLES[9].1, Some(20), 400_900_226, Level { quantity: 12_000, ..BIDS[0] }),
        ] {
            let mut decoder = decoder();
            let Decoded::Depth(update) = decoder.decode(text.as_bytes()).unwrap() else {
                panic!("a snapshot");
            };
            assert_eq!((update.form, update.depth, update.event_ns), (DepthForm::Snapshot, depth, None));
            assert_eq!(update.continuity, Continuity::Range { first: last, last });
            assert_eq!(update.bids, [best_bid, BIDS[1]]);
            assert_eq!(update.asks.len(), 2);
        }
    }

    #[test]
    fn the_aggregate_example_says_what_the_documentation_says() {
        let expected = AggregateTrade {
            symbol: SymbolId(0),
            event_ns: 1_795_420_800_104_000_000,
            engine_ns: 1_795_420_800_103_000_000,
            aggregate_id: 91_827_364,
            first_trade_id: 550_112_201,
            last_trade_id: 550_112_203,
            price: 670_125,
            quantity: 4_300,
            taker: Side::Buy,
        };
        assert_eq!(decoder().decode(EXAMPLES[7].1.as_bytes()), Ok(Decoded::Aggregate(expected)));
        let backwards = EXAMPLES[7].1.replace(r#""f":550112201"#, r#""f":550112204"#);
        let error = decoder().decode(backwards.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), r#"field "l" at byte 117 is 550112203, must be at least f"#);
    }

    #[test]
    fn short_statistics_leave_open_what_they_do_not_tell() {
        let mut decoder = decoder();
        let Decoded::Ticker(update) = decoder.decode(EXAMPLES[8].1.as_bytes()).unwrap() else {
            panic!("statistics");
        };
        assert_eq!(
            (update.open, update.high, update.low, update.last),
            (Some(662_000), 672_301, 658_800, 670_125)
        );
        assert_eq!(update.volume, 1_825_040_110);
        assert_eq!(update.quote_volume_units, Some(121_390_740_689_541_360));
        assert_eq!((update.change, update.trade_ids, update.best), (None, None, None));
    }

    #[test]
    fn answers_and_announcements_say_nothing_of_the_market() {
        let more = [
            "{}",
            r#"{"serverTime":1795420800123}"#,
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
            r#"{"listenKey":"pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"}"#,
            r#"{"event":{"e":"serverShutdown","E":1795420800000}}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1795420800000}}"#,
            r#"{"result":["btcusdt@depth@100ms"],"id":3}"#,
            r#"{"subscriptionId":0,"event":{"e":"externalLockUpdate","E":1,"a":"BTC","d":"-1.00000000","T":1}}"#,
            r#"{"subscriptionId":0,"event":{"e":"executionReport","x":"REJECTED","X":"REJECTED"}}"#,
        ];
        for text in CONTROL.into_iter().chain(more) {
            assert_eq!(decoder().decode(text.as_bytes()), Ok(Decoded::Control), "{text}");
        }
    }

    #[test]
    fn an_order_that_the_venue_ends_is_cancelled() {
        for (kind, status) in [("EXPIRED", "EXPIRED"), ("TRADE_PREVENTION", "EXPIRED_IN_MATCH")] {
            let text =
                EXAMPLES[4].1.replace("PARTIALLY_FILLED", status).replace("\"TRADE\"", &format!("{kind:?}"));
            let mut decoder = decoder();
            let Decoded::Execution(report) = decoder.decode(text.as_bytes()).unwrap() else {
                panic!("a report");
            };
            assert_eq!((report.kind, report.status), (ExecutionKind::Canceled, OrderStatus::Canceled));
        }
    }

    #[test]
    fn user_events_of_older_connections_come_unwrapped_and_without_an_account() {
        for (name, text) in &EXAMPLES[4..7] {
            let event = text.trim_end().strip_prefix(r#"{"subscriptionId":0,"event":"#).unwrap();
            let bare = event.strip_suffix('}').unwrap();
            assert_eq!(decoder().decode(bare.as_bytes()), decoder().decode(text.as_bytes()), "{name}");
        }
    }

    /// What all messages say, with their lists, or the errors.
    fn all(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        decoder().decode_each(bytes, |said| all.push(format!("{said:?}")));
        all
    }

    #[test]
    fn a_wrapper_around_a_message_changes_nothing() {
        for (name, text) in &EXAMPLES[..9] {
            for space in ["", " "] {
                let wrapped = format!(r#"{{"stream":"btcusdt@trade",{space}"data":{text}}}"#);
                assert_eq!(all(wrapped.as_bytes()), all(text.as_bytes()), "{name}");
                let wrapped = wrapped.replace(char::is_whitespace, space);
                assert_eq!(all(wrapped.as_bytes()), all(text.as_bytes()), "{name}");
            }
        }
    }

    #[test]
    fn a_wrapper_may_hold_many_messages() {
        let (one, other) = (EXAMPLES[8].1.trim_end(), EXAMPLES[1].1.trim_end());
        let wrong = r#"{"e":"trade","s":"BTCUSDT","E":true}"#;
        let batch = format!(r#"[{one},{other},{{"e":"kline"}},{wrong}]"#);
        let wrapped = format!(r#"{{"stream":"!miniTicker@arr","data":{batch}}}"#);
        let (inner, outer) = (all(batch.as_bytes()), all(wrapped.as_bytes()));
        assert_eq!(inner.len(), 4);
        assert_eq!(inner[..3], outer[..3]);
        let offset = wrapped.rfind("true").unwrap();
        assert!(outer[3].contains(&format!("offset: {offset},")), "{outer:?}");
    }

    #[test]
    fn a_batch_of_trades_keeps_every_trade_and_of_other_kinds_the_last_counts() {
        let trades: Vec<Message> = (7..10)
            .map(|trade_id| message(Body::Trade(Trade { trade_id, price: 5, quantity: 1, taker: Side::Buy })))
            .collect();
        let batch = |messages: &[Message]| {
            let mut wire = Vec::new();
            let written = encoder().encode_batch(messages, &mut Numbering::default(), &mut wire);
            assert_eq!(written, !wire.is_empty());
            String::from_utf8(wire).unwrap()
        };
        let one_by_one: Vec<String> = trades.iter().map(encoded).collect();
        assert_eq!(all(batch(&trades).as_bytes()), all(format!("[{}]", one_by_one.join(",")).as_bytes()));
        assert_eq!(batch(&trades[..1]), one_by_one[0]);
        let quotes = [1, 2].map(|update_id| {
            let quote = Quote { update_id, bid: 1, bid_quantity: 1, ask: 2, ask_quantity: 1 };
            message(Body::Quote(quote))
        });
        assert_eq!(batch(&quotes), encoded(&quotes[1]));
        assert_eq!(batch(&[message(Body::Status(Status { trading: false })); 2]), "");
        assert_eq!(batch(&[]), "");
    }

    #[test]
    fn a_snapshot_reads_back_as_it_was() {
        for (symbol, count) in [(0, 0), (1, 300), (2, 1)] {
            let levels = |from: u32, step: i64| -> Vec<(u32, u64)> {
                (0..count).map(|n| ((i64::from(from) + step * n) as u32, 5 + n as u64)).collect()
            };
            let symbol = SymbolId(symbol);
            let (bids, asks) = (levels(1_000, -1), levels(1_001, 1));
            let snapshot = Snapshot { symbol, sequence: 3, update_id: 77, bids, asks };
            let mut wire = Vec::new();
            encoder().snapshot(&snapshot, 0, &mut Numbering::default(), &mut wire);
            let wire = String::from_utf8(wire).unwrap();
            let (mut decoder, mut careful) = (decoder(), decoder());
            let decoded = decoder.decode(wire.as_bytes());
            assert_eq!(decoded, careful.decode(reworded(&wire).as_bytes()));
            let Ok(Decoded::Depth(update)) = decoded else { panic!("a snapshot, not {decoded:?}") };
            assert_eq!((update.symbol, update.form), (symbol, DepthForm::Snapshot));
            assert_eq!(update.continuity, Continuity::Range { first: 77, last: 77 });
            let pairs = |levels: &[Level]| -> Vec<(u32, u64)> {
                levels.iter().map(|level| (level.price, level.quantity)).collect()
            };
            assert_eq!((pairs(update.bids), pairs(update.asks)), (snapshot.bids, snapshot.asks));
        }
    }

    #[test]
    fn wrappers_cannot_nest_without_end() {
        let mut text = EXAMPLES[0].1.trim_end().to_owned();
        for depth in 0..40 {
            text = format!(r#"{{"stream":"","data":[{text}]}}"#);
            let kinds: Vec<String> = all(text.as_bytes());
            assert_eq!(kinds.len(), 1);
            assert_eq!(kinds[0].contains("TooDeep"), depth >= 15, "{depth}: {kinds:?}");
        }
    }

    #[test]
    fn times_may_be_in_microseconds() {
        for (name, text) in &EXAMPLES {
            let micro = text
                .replace("1795420800104,", "1795420800104000,")
                .replace("1795420800103,", "1795420800103000,");
            assert_eq!(all(micro.as_bytes()), all(text.as_bytes()), "{name}");
        }
        let finer = EXAMPLES[0].1.replace("1795420800104,", "1795420800104567,");
        let mut decoder = decoder();
        let Decoded::Trade(print) = decoder.decode(finer.as_bytes()).unwrap() else { panic!("a trade") };
        assert_eq!(print.event_ns, Some(1_795_420_800_104_567_000));
    }

    /// Fields in another order, white space everywhere, unknown fields of any depth.
    fn reworded(wire: &str) -> String {
        let mut value: serde_json::Value = serde_json::from_str(wire).unwrap();
        let unknown = serde_json::json!({"deep": [[{"er": "}]\\\""}], 1.5e300, null]});
        value["\u{1f980}"] = unknown.clone();
        if let Some(event) = value.get_mut("event") {
            event["zz"] = unknown;
        }
        format!(" {}\r\n", serde_json::to_string_pretty(&value).unwrap())
    }

    /// What a message must read as, field by field, for the kinds that carry no figures of their own.
    fn check(message: &Message, decoded: &Decoded<'_>) {
        // The wire has whole milliseconds.
        let unix_ns = |ns: u64| (START_UNIX_NS as u64 + ns) / 1_000_000 * 1_000_000;
        let (due_ns, engine_ns) = (unix_ns(message.due_ns), unix_ns(message.event_ns));
        let event_ns = Some(due_ns);
        let symbol = message.symbol;
        match (&message.body, decoded) {
            (Body::Book(change), Decoded::Depth(update)) => {
                let level = [Level { price: change.price, quantity: change.quantity }];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                let continuity = Continuity::Range { first: change.update_id, last: change.update_id };
                let expected = DepthUpdate {
                    symbol,
                    form: DepthForm::Update,
                    depth: None,
                    event_ns,
                    engine_ns: None,
                    continuity,
                    cross_sequence: None,
                    checksum: None,
                    bids,
                    asks,
                };
                assert_eq!(*update, expected);
            }
            (Body::Trade(trade), Decoded::Trade(print)) => {
                let expected = TradePrint {
                    symbol,
                    event_ns,
                    engine_ns,
                    trade_id: trade.trade_id,
                    matches: 1,
                    price: trade.price,
                    quantity: trade.quantity,
                    taker: trade.taker,
                    cross_sequence: None,
                };
                assert_eq!(*print, expected);
            }
            (Body::Quote(quote), Decoded::Quote(update)) => {
                assert_eq!((update.symbol, update.update_id), (symbol, quote.update_id));
                assert_eq!((update.bid.price, update.bid.quantity), (quote.bid, quote.bid_quantity));
                assert_eq!((update.ask.price, update.ask.quantity), (quote.ask, quote.ask_quantity));
            }
            (Body::Ticker(ticker), Decoded::Ticker(update)) => {
                let instrument = listing().instrument(symbol).clone();
                assert_eq!((update.symbol, update.event_ns), (symbol, event_ns));
                assert_eq!(update.window_ns, Some([unix_ns(ticker.open_ns), due_ns]));
                assert_eq!(
                    (update.open, update.high, update.low),
                    (Some(ticker.open), ticker.high, ticker.low)
                );
                assert_eq!((update.last, update.last_quantity), (ticker.last, Some(ticker.last_quantity)));
                let quote = &ticker.quote;
                let best = [(quote.bid, quote.bid_quantity), (quote.ask, quote.ask_quantity)];
                assert_eq!(update.best, Some(best.map(|(price, quantity)| Level { price, quantity })));
                assert_eq!(update.previous_close, Some(ticker.previous_close));
                let change = i64::from(ticker.last) - i64::from(ticker.open);
                assert_eq!((update.change, update.volume), (Some(change), ticker.volume));
                assert_eq!(update.trade_ids, Some([ticker.first_trade_id, ticker.last_trade_id]));
                assert_eq!(update.count, Some(ticker.last_trade_id - ticker.first_trade_id + 1));
                let money = u128::from(instrument.tick * instrument.lot / 100_000_000);
                assert_eq!(update.quote_volume_units, Some(ticker.quote_volume * money));
                // The nearest unit: half a unit off at most, in units of volume.
                let average_units = update.weighted_average_units.unwrap();
                let average = u128::from(average_units) * u128::from(ticker.volume);
                let exact = ticker.quote_volume * u128::from(instrument.tick);
                assert!(2 * average.abs_diff(exact) <= u128::from(ticker.volume), "weighted average");
                let average_range =
                    u64::from(ticker.low) * instrument.tick..=u64::from(ticker.high) * instrument.tick;
                assert!(average_range.contains(&average_units));
                let share = update.change_share.unwrap();
                assert_eq!(share % 1_000, 0, "three places of a per cent");
                let percent = (share / 1_000).unsigned_abs() * u64::from(ticker.open);
                let exact = change.unsigned_abs() * 100_000;
                assert!(2 * percent.abs_diff(exact) <= u64::from(ticker.open), "per cent");
            }
            (Body::Execution(execution), Decoded::Execution(report)) => {
                let instrument = listing().instrument(symbol).clone();
                let fill = execution.kind == ExecutionKind::Trade;
                assert_eq!(
                    (report.symbol, report.account, report.side),
                    (symbol, execution.account, execution.side)
                );
                assert_eq!((report.event_ns, report.engine_ns), (event_ns, engine_ns));
                assert_eq!(report.placed_ns, Some(unix_ns(execution.placed_ns)));
                assert_eq!(
                    (report.order_id, report.execution_id),
                    (execution.order_id, Some(execution.execution_id))
                );
                assert_eq!((report.price, report.quantity), (execution.price, execution.quantity));
                assert_eq!(report.last.price, execution.last_price);
                assert_eq!(report.last.quantity, execution.last_quantity);
                assert_eq!(report.filled_quantity, execution.filled_quantity);
                assert_eq!(
                    report.last_quote_units,
                    Some(instrument.notional(execution.last_price, execution.last_quantity))
                );
                assert_eq!(
                    report.filled_quote_units,
                    Some(instrument.notional(execution.price, execution.filled_quantity))
                );
                assert_eq!(report.fee_units, execution.fee);
                assert_eq!(report.fee_asset, fill.then_some(execution.fee_asset));
                assert_eq!(report.trade_id, fill.then_some(execution.trade_id));
                let status = match execution.kind {
                    ExecutionKind::New => OrderStatus::New,
                    ExecutionKind::Canceled => OrderStatus::Canceled,
                    _ if execution.filled_quantity == execution.quantity => OrderStatus::Filled,
                    _ => OrderStatus::PartiallyFilled,
                };
                assert_eq!((report.kind, report.status), (execution.kind, status));
            }
            (Body::Balance(balance), Decoded::Balance(update)) => {
                let balances = [AssetBalance {
                    asset: balance.asset,
                    total_units: (balance.free + balance.locked) as i64,
                    locked_units: Some(balance.locked as i64),
                    change_units: None,
                }];
                let (account, form) = (balance.account, DepthForm::Update);
                let expected = BalanceUpdate { account, event_ns, engine_ns, form, balances: &balances };
                assert_eq!(*update, expected);
            }
            (Body::Transfer(transfer), Decoded::Transfer(update)) => {
                let (account, asset, amount_units) = (transfer.account, transfer.asset, transfer.amount);
                let event_ns = due_ns;
                assert_eq!(*update, TransferUpdate { account, event_ns, engine_ns, asset, amount_units });
            }
            (body, decoded) => panic!("{:?} was read as {decoded:?}", body.kind()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_message_reads_back_as_itself(message in any_message()) {
            let wire = encoded(&message);
            check(&message, &decoder().decode(wire.as_bytes()).unwrap());
        }

        #[test]
        fn another_wording_of_a_message_means_the_same(message in any_message()) {
            let wire = encoded(&message);
            let (mut one, mut other) = (decoder(), decoder());
            prop_assert_eq!(one.decode(wire.as_bytes()), other.decode(reworded(&wire).as_bytes()));
        }

        /// Levels are few, so that they change again and come and go within the batch.
        #[test]
        fn a_batch_of_changes_leaves_the_same_book(
            first_id in 1..u64::MAX / 2,
            changes in proptest::collection::vec((any::<bool>(), 1..8u32, 0..3u64), 1..40),
        ) {
            let messages: Vec<Message> = (first_id..).zip(&changes).map(|(update_id, &(buy, price, quantity))| {
                let side = if buy { Side::Buy } else { Side::Sell };
                message(Body::Book(BookChange { update_id, side, price, quantity }))
            }).collect();
            let mut wire = Vec::new();
            prop_assert!(encoder().encode_batch(&messages, &mut Numbering::default(), &mut wire));
            let mut decoder = decoder();
            let Decoded::Depth(update) = decoder.decode(&wire).unwrap() else { panic!("a depth update") };
            let last = first_id + changes.len() as u64 - 1;
            prop_assert_eq!(update.continuity, Continuity::Range { first: first_id, last });
            for (buy, levels) in [(true, update.bids), (false, update.asks)] {
                let last_of = |price| changes.iter().rev().find(|change| (change.0, change.1) == (buy, price));
                let expected: Vec<Level> = (1..8).filter_map(last_of)
                    .map(|&(_, price, quantity)| Level { price, quantity })
                    .collect();
                let mut levels = levels.to_vec();
                if buy {
                    levels.reverse();
                }
                prop_assert_eq!(levels, expected, "best first, each once");
            }
        }

        #[test]
        fn every_message_is_json_without_white_space(message in any_message()) {
            let wire = encoded(&message);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&wire).is_ok());
            prop_assert!(!wire.contains(char::is_whitespace));
        }

        #[test]
        fn damaged_messages_are_refused_or_read_alike_by_both_readers(
            message in any_message(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4),
        ) {
            let mut wire = encoded(&message).into_bytes();
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
            // A space at the end is foreign to the venue's wording, so that the careful reader gets the
            // message.
            let careful = [&wire[..], b" "].concat();
            let (mut one, mut other) = (decoder(), decoder());
            let (quick, careful) = (one.decode(&wire), other.decode(&careful));
            match (quick, careful) {
                (Ok(quick), Ok(careful)) => prop_assert_eq!(quick, careful),
                (Err(quick), Err(careful)) => prop_assert_eq!(quick.kind(), careful.kind()),
                (quick, careful) => prop_assert!(false, "{:?} but {:?}", quick, careful),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = decoder();
            let _ = decoder.decode(&bytes);
            let mut calls = 0;
            decoder.decode_each(&[b"[", &bytes[..]].concat(), |_| calls += 1);
            let is_empty_array = bytes.trim_ascii() == b"]";
            prop_assert!(calls > 0 || is_empty_array, "an array that does not end is never empty");
        }

        #[test]
        fn arbitrary_json_never_panics(
            text in "[\\[{]{0,3}(\"[eusbaBE\\\\]{0,3}\"[:,]|[0-9.-]{1,3}[,:}\\]]|[\\]}{\\[,: ]){0,30}"
        ) {
            let mut decoder = decoder();
            let _ = decoder.decode(text.as_bytes());
            decoder.decode_each(text.as_bytes(), |_| ());
        }

        #[test]
        fn a_batch_reads_as_its_messages_one_by_one(
            messages in proptest::collection::vec(any_message(), 0..6),
            spaced: bool,
        ) {
            let wires: Vec<String> = messages.iter().map(encoded).collect();
            let batch = if spaced {
                format!("\n[ {} ] ", wires.join(" ,\t"))
            } else {
                format!("[{}]", wires.join(","))
            };
            let mut at = 0;
            decoder().decode_each(batch.as_bytes(), |decoded| {
                check(&messages[at], &decoded.unwrap());
                at += 1;
            });
            prop_assert_eq!(at, messages.len());
        }
    }

    #[test]
    fn a_message_that_is_no_array_is_a_batch_of_one() {
        let mut ids = Vec::new();
        decoder().decode_each(EXAMPLES[0].1.as_bytes(), |decoded| match decoded {
            Ok(Decoded::Trade(print)) => ids.push(print.trade_id),
            other => panic!("{other:?}"),
        });
        assert_eq!(ids, [550_112_201]);
    }

    #[test]
    fn a_wrong_message_in_a_batch_spoils_no_other() {
        let good = EXAMPLES[0].1.trim_end();
        let batch = format!("[{good},{{\"e\":\"kline\"}},[],{good}]");
        let mut kinds = Vec::new();
        decoder().decode_each(batch.as_bytes(), |decoded| {
            kinds.push(decoded.map_or_else(|error| error.kind(), |_| "read"));
        });
        assert_eq!(kinds, ["read", "unknown_event", "malformed", "read"]);
    }

    #[test]
    fn a_broken_batch_ends_with_an_error_that_says_where() {
        let good = EXAMPLES[0].1.trim_end();
        let offset = 1 + good.len();
        for (batch, offset, problem) in [
            (format!("[{good}"), offset, "the array does not end"),
            (format!("[{good} {good}]"), offset + 1, "expected `,` or `]`"),
            (format!("[{good}] x"), offset + 2, "text behind the array"),
            (format!("[{good},"), offset + 1, "the array does not end"),
        ] {
            let mut last = None;
            let mut reads = 0;
            decoder().decode_each(batch.as_bytes(), |decoded| match decoded {
                Ok(_) => reads += 1,
                Err(error) => last = Some(error),
            });
            assert_eq!(reads, 1, "{batch}");
            assert_eq!(last, Some(DecodeError::Malformed { offset, problem: problem.into() }), "{batch}");
        }
    }

    #[test]
    fn errors_of_a_batch_count_bytes_from_the_beginning_of_the_batch() {
        let mut errors = Vec::new();
        decoder().decode_each(br#"[{"e":"depthUpdate","s":"BTCUSDT","U":"x"}]"#, |decoded| {
            errors.extend(decoded.err());
        });
        let text = r#"field "U" at byte 38 is "x", must be a whole number, not negative"#;
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    }
}
