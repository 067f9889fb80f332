//! Coinbase Advanced Trade, spot: market data channels and the user channel.
//!
//! Every frame has an envelope with the channel, the time and a number that counts all frames of the connection.
//! Prices and sizes are strings without zeros at their end, volumes strings with eight places, times RFC 3339.

mod decode;
mod encode;
mod ids;
mod instruments;
mod pieces;
pub(crate) mod protocol;
pub(crate) mod rest;
mod rules;
mod time;
mod values;
mod wire;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use instruments::read_instruments;
pub(crate) use rules::RULES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{Body, Execution, ExecutionKind, Message, Side, Snapshot, Status};
    use tickstorm_market::instrument::{AssetId, Listing, SymbolId};

    use super::*;
    use crate::DecodeError;
    use crate::blotter::OpenOrder;
    use crate::decoded::{
        Continuity, Counted, Decoded, DepthForm, DepthUpdate, Level, Numbered, OrderStatus, StatusUpdate,
        TradePrint,
    };
    use crate::encoder::{ClientId, Numbering};
    use crate::testing::{START_UNIX_NS, any_message, listing, message};

    /// The example messages of the venue's documentation, retold for this project's market.
    const LEVEL2_SNAPSHOT: &str = include_str!("../../../testdata/coinbase/level2_snapshot.json");
    const LEVEL2_UPDATE: &str = include_str!("../../../testdata/coinbase/level2_update.json");
    const MARKET_TRADES: &str = include_str!("../../../testdata/coinbase/market_trades.json");
    const TICKER: &str = include_str!("../../../testdata/coinbase/ticker.json");
    const USER_ORDER: &str = include_str!("../../../testdata/coinbase/user_order.json");
    const STATUS: &str = include_str!("../../../testdata/coinbase/status.json");
    const SUBSCRIPTIONS: &str = include_str!("../../../testdata/coinbase/subscriptions.json");
    const HEARTBEATS: &str = include_str!("../../../testdata/coinbase/heartbeats.json");
    const ERROR: &str = include_str!("../../../testdata/coinbase/error.json");

    const BTC: SymbolId = SymbolId(0);

    fn encoder() -> Encoder {
        Encoder::new(&listing(), START_UNIX_NS, 0)
    }

    fn encoded(message: &Message) -> Option<String> {
        let mut wire = Vec::new();
        let told = encoder().encode(message, &mut Numbering { frames: 5, ..Numbering::default() }, &mut wire);
        assert_eq!(told, !wire.is_empty());
        told.then(|| String::from_utf8(wire).unwrap())
    }

    fn decode(wire: &[u8], mut each: impl FnMut(usize, Result<Decoded<'_>, DecodeError>)) {
        let mut count = 0;
        Decoder::new(&listing()).decode_each(wire, |decoded| {
            each(count, decoded);
            count += 1;
        });
        assert!(count > 0, "once at least");
    }

    /// What a frame says, as text to compare.
    fn said(wire: &str) -> Vec<String> {
        let mut all = Vec::new();
        decode(wire.as_bytes(), |_, decoded| {
            all.push(match decoded {
                Ok(decoded) => format!("{decoded:?}"),
                Err(error) => error.to_string(),
            });
        });
        all
    }

    /// Everything that a frame says beside its number, written again with that number.
    fn rewritten(wire: &str) -> String {
        let (mut encoder, mut numbering) = (encoder(), Numbering::default());
        let mut out = Vec::new();
        decode(wire.as_bytes(), |_, decoded| match decoded.unwrap() {
            Decoded::Numbered(numbered) => numbering.frames = numbered.number,
            decoded => assert!(encoder.encode_decoded(&decoded, &mut numbering, &mut out), "{decoded:?}"),
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn examples_decode_and_encode_to_the_same_bytes() {
        for text in [LEVEL2_SNAPSHOT, MARKET_TRADES, USER_ORDER] {
            assert_eq!(rewritten(text), text.trim_end());
        }
    }

    #[test]
    fn a_rewritten_ticker_knows_no_other_extremes_than_those_of_the_day() {
        let expected = TICKER.trim_end().replace(
            r#""low_52_w":"49010.2","high_52_w":"126200.0""#,
            r#""low_52_w":"65880","high_52_w":"67230.1""#,
        );
        assert_eq!(rewritten(TICKER), expected);
    }

    #[test]
    fn a_rewritten_book_update_has_one_time_and_bids_first() {
        let offer = r#"{"side":"offer","event_time":"2026-11-23T08:00:00.201998Z","price_level":"67012.5","new_quantity":"0.4077"}"#;
        let bid = r#"{"side":"bid","event_time":"2026-11-23T08:00:00.201998Z","price_level":"67011.9","new_quantity":"0"}"#;
        let text = rewritten(LEVEL2_UPDATE);
        assert!(text.ends_with(&format!(r#""updates":[{bid},{offer}]}}]}}"#)), "{text}");
        assert_eq!(said(&text), said(LEVEL2_UPDATE));
    }

    #[test]
    fn the_book_examples_say_what_the_documentation_says() {
        let level = |price, quantity| Level { price, quantity };
        let (bids, asks) = ([level(670_124, 15_000)], [level(670_125, 41_870)]);
        let start = START_UNIX_NS as u64;
        let expected = DepthUpdate {
            symbol: BTC,
            form: DepthForm::Snapshot,
            depth: None,
            event_ns: Some(start + 118_802_001),
            engine_ns: None,
            continuity: Continuity::None,
            cross_sequence: None,
            checksum: None,
            bids: &bids,
            asks: &asks,
        };
        let number =
            |number| format!("{:?}", Decoded::Numbered(Numbered { counted: Counted::Frames, number }));
        assert_eq!(said(LEVEL2_SNAPSHOT), [number(0), format!("{:?}", Decoded::Depth(expected))]);
        let expected = DepthUpdate {
            form: DepthForm::Update,
            event_ns: Some(start + 250_113_407),
            engine_ns: Some(start + 201_998_000),
            bids: &[level(670_119, 0)],
            asks: &[level(670_125, 40_770)],
            ..expected
        };
        assert_eq!(said(LEVEL2_UPDATE), [number(4), format!("{:?}", Decoded::Depth(expected))]);
    }

    #[test]
    fn the_trade_example_names_the_maker_so_that_the_taker_is_the_other() {
        decode(MARKET_TRADES.as_bytes(), |index, decoded| {
            let Ok(Decoded::Trade(print)) = decoded else { return assert_eq!(index, 0) };
            assert_eq!((print.trade_id, print.price, print.quantity), (912_345_678, 670_125, 1_100));
            assert_eq!(print.taker, Side::Buy);
            assert_eq!(print.engine_ns, START_UNIX_NS as u64 + 103_412_000);
        });
    }

    #[test]
    fn the_order_example_says_what_the_documentation_says() {
        let mut count = 0;
        decode(USER_ORDER.as_bytes(), |_, decoded| {
            let Ok(Decoded::Execution(report)) = decoded else { return };
            count += 1;
            assert_eq!((report.order_id, report.account.0), (17, 1));
            assert_eq!((report.kind, report.status), (ExecutionKind::Trade, OrderStatus::PartiallyFilled));
            assert_eq!((report.price, report.quantity, report.filled_quantity), (670_125, 5_000, 1_100));
            assert_eq!(report.last, Level { price: 670_125, quantity: 1_100 });
            assert_eq!(report.filled_quote_units, Some(73_713_750_000));
            assert_eq!((report.fee_units, report.fee_asset), (294_855_000, Some(AssetId(0))));
        });
        assert_eq!(count, 1);
    }

    #[test]
    fn acknowledgements_heartbeats_lists_and_errors_say_nothing_of_the_market() {
        for (text, number) in
            [(SUBSCRIPTIONS, Some(3)), (HEARTBEATS, Some(9)), (STATUS, Some(1)), (ERROR, None)]
        {
            let numbered =
                number.map(|number| Decoded::Numbered(Numbered { counted: Counted::Frames, number }));
            let expected: Vec<String> =
                numbered.into_iter().chain([Decoded::Control]).map(|said| format!("{said:?}")).collect();
            assert_eq!(said(text), expected);
        }
    }

    #[test]
    fn what_was_before_a_subscription_is_no_event() {
        for text in [MARKET_TRADES, USER_ORDER] {
            let text = text.replacen(r#""type":"update""#, r#""type":"snapshot""#, 1);
            assert_eq!(said(&text)[1..], ["Control"]);
        }
    }

    #[test]
    fn the_list_of_products_is_the_listing_without_prices() {
        let told = |listing: &Listing| {
            let mut wire = Vec::new();
            Encoder::new(listing, START_UNIX_NS, 0).instruments(
                1,
                &mut Numbering { frames: 1, ..Numbering::default() },
                &mut wire,
            );
            String::from_utf8(wire).unwrap()
        };
        assert_eq!(told(&listing()), STATUS.trim_end());
        for mut listing in [listing(), Listing::synthetic(300, tickstorm_random::Seed::new(1))] {
            let wire = told(&listing);
            let reworded = reworded(&wire);
            let instruments = std::sync::Arc::make_mut(&mut listing.instruments);
            instruments.iter_mut().for_each(|instrument| instrument.start_price = 0);
            assert_eq!(read_instruments(wire.as_bytes()), Ok(Some(listing.clone())));
            assert_eq!(read_instruments(reworded.as_bytes()), Ok(Some(listing)));
        }
    }

    #[test]
    fn other_messages_list_no_products() {
        for text in
            [LEVEL2_UPDATE, SUBSCRIPTIONS, ERROR, &reworded(TICKER), &STATUS.replace("snapshot", "update")]
        {
            assert_eq!(read_instruments(text.as_bytes()), Ok(None), "{text}");
        }
        let error = read_instruments(STATUS.replace("\"0.1\"", "\"0\"").as_bytes()).unwrap_err();
        assert_eq!(error.kind(), "wrong_value");
        assert!(error.to_string().starts_with("field \"quote_increment\" at byte "), "{error}");
    }

    #[test]
    fn every_frame_has_the_next_number() {
        let (mut encoder, mut numbering) = (encoder(), Numbering::default());
        let mut numbers = Vec::new();
        let mut count = |wire: &[u8]| {
            decode(wire, |_, decoded| {
                if let Ok(Decoded::Numbered(numbered)) = decoded {
                    numbers.push(numbered.number);
                }
            });
        };
        let snapshot = Snapshot { symbol: BTC, sequence: 0, update_id: 0, bids: vec![], asks: vec![(9, 1)] };
        let halted = message(Body::Status(Status { trading: false }));
        let mut wire = Vec::new();
        encoder.instruments(0, &mut numbering, &mut wire);
        count(&std::mem::take(&mut wire));
        encoder.snapshot(&snapshot, 0, &mut numbering, &mut wire);
        count(&std::mem::take(&mut wire));
        assert!(encoder.encode(&halted, &mut numbering, &mut wire));
        count(&std::mem::take(&mut wire));
        let status = Decoded::Status(StatusUpdate { symbol: BTC, event_ns: None, trading: true });
        assert!(encoder.encode_decoded(&status, &mut numbering, &mut wire));
        count(&wire);
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(numbering, Numbering { frames: 4, ..Numbering::default() });
    }

    #[test]
    fn the_client_id_of_older_days_is_there_if_asked_for() {
        let (mut encoder, mut wire) = (encoder(), Vec::new());
        encoder.set_client_id(ClientId::Empty);
        let halted = message(Body::Status(Status { trading: false }));
        assert!(encoder.encode(&halted, &mut Numbering::default(), &mut wire));
        let text = String::from_utf8(wire).unwrap();
        assert!(
            text.starts_with(
                r#"{"channel":"status","client_id":"","timestamp":"2026-11-23T08:00:00.104999999Z""#
            ),
            "{text}"
        );
        assert_eq!(said(&text), said(&text.replace(r#""client_id":"","#, "")));
    }

    #[test]
    fn trades_of_a_frame_are_told_oldest_first_in_either_order() {
        let trade = |id: u64| {
            format!(
                r#"{{"trade_id":"{id}","product_id":"BTC-USDT","price":"1","size":"1","side":"BUY","time":"2026-11-23T08:00:00Z"}}"#
            )
        };
        for ids in [[7, 8, 9], [9, 8, 7]] {
            let trades = ids.map(trade).join(",");
            let frame = format!(
                r#"{{"channel":"market_trades","timestamp":"2026-11-23T08:00:00Z","sequence_num":0,"events":[{{"type":"update","trades":[{trades}]}}]}}"#
            );
            let mut found = Vec::new();
            decode(frame.as_bytes(), |_, decoded| {
                if let Ok(Decoded::Trade(print)) = decoded {
                    found.push(print.trade_id);
                }
            });
            assert_eq!(found, [7, 8, 9]);
        }
    }

    const FILL: Execution = Execution {
        account: tickstorm_market::event::AccountId(3),
        order_id: 17,
        execution_id: 1,
        kind: ExecutionKind::Trade,
        side: Side::Sell,
        price: 670_125,
        quantity: 5_000,
        last_quantity: 1_100,
        last_price: 670_125,
        filled_quantity: 1_100,
        fee: 50_000_000,
        fee_asset: AssetId(0),
        trade_id: 9,
        placed_ns: 0,
    };

    #[test]
    fn open_orders_are_a_snapshot_that_later_messages_continue() {
        let open = |order_id, fills, fee_units| OpenOrder {
            last: message(Body::Execution(Execution { order_id, ..FILL })),
            fills,
            fee_units,
        };
        let orders = [open(17, 2, 70_000_000), open(18, 1, 50_000_000)];
        let (mut encoder, mut numbering, mut wire) = (encoder(), Numbering::default(), Vec::new());
        encoder.open_orders(&orders, 104_999_999, &mut numbering, &mut wire);
        let told = String::from_utf8(std::mem::take(&mut wire)).unwrap();
        let envelope = r#"{"channel":"user","timestamp":"2026-11-23T08:00:00.104999999Z","sequence_num":0,"events":[{"type":"snapshot","orders":[{"order_id":"#;
        assert!(told.starts_with(envelope), "{told}");
        for sums in [
            r#""number_of_fills":"2","total_fees":"0.7","total_value_after_fees":"736.4375""#,
            r#""number_of_fills":"1","total_fees":"0.5","total_value_after_fees":"736.6375""#,
        ] {
            assert_eq!(told.matches(sums).count(), 1, "{told}");
        }
        assert_eq!(said(&told).last().map(String::as_str), Some("Control"), "no news");
        orders.iter().for_each(|order| encoder.seed_order(order));
        let third = message(Body::Execution(Execution { filled_quantity: 2_200, ..FILL }));
        assert!(encoder.encode(&third, &mut numbering, &mut wire));
        let told = String::from_utf8(wire).unwrap();
        assert!(told.contains(r#""sequence_num":1,"#), "{told}");
        assert!(told.contains(r#""number_of_fills":"3","total_fees":"1.2","#), "{told}");
    }

    #[test]
    fn fills_and_fees_of_an_order_are_summed() {
        let (mut encoder, mut numbering) = (encoder(), Numbering::default());
        let mut text = |execution| {
            let mut wire = Vec::new();
            encoder.encode(&message(Body::Execution(execution)), &mut numbering, &mut wire);
            String::from_utf8(wire).unwrap()
        };
        let first = text(FILL);
        assert!(
            first.contains(r#""number_of_fills":"1","total_fees":"0.5","total_value_after_fees":"736.6375""#),
            "{first}"
        );
        let second = text(Execution { filled_quantity: 2_200, ..FILL });
        assert!(
            second.contains(r#""number_of_fills":"2","total_fees":"1","total_value_after_fees":"1473.275""#),
            "{second}"
        );
        let canceled =
            Execution { kind: ExecutionKind::Canceled, last_quantity: 0, last_price: 0, fee: 0, ..FILL };
        let last = text(Execution { filled_quantity: 2_200, ..canceled });
        assert!(last.contains(r#""number_of_fills":"2","total_fees":"1""#), "{last}");
        assert!(last.contains(r#""outstanding_hold_amount":"0""#), "{last}");
        let later = text(Execution { filled_quantity: 2_200, ..FILL });
        assert!(later.contains(r#""number_of_fills":"2","total_fees":"0.5""#), "forgotten: {later}");
        let bought = text(Execution { side: Side::Buy, order_id: 18, ..FILL });
        assert!(
            bought.contains(r#""total_value_after_fees":"737.6375","outstanding_hold_amount":"2613.4875""#),
            "{bought}"
        );
    }

    #[test]
    fn of_several_fills_only_the_sums_are_told() {
        let second = USER_ORDER.replace(r#""number_of_fills":"1""#, r#""number_of_fills":"2""#);
        decode(second.as_bytes(), |_, decoded| {
            let Ok(Decoded::Execution(report)) = decoded else { return };
            assert_eq!((report.last, report.last_quote_units), (Level::default(), None));
            assert_eq!((report.fee_units, report.fee_asset, report.filled_quantity), (0, None, 1_100));
        });
    }

    #[test]
    fn an_order_that_waits_has_not_changed_yet() {
        for waiting in ["PENDING", "CANCEL_QUEUED"] {
            assert_eq!(said(&USER_ORDER.replace("OPEN", waiting)).len(), 1);
        }
        for gone in ["EXPIRED", "FAILED", "CANCELLED"] {
            assert!(said(&USER_ORDER.replace("OPEN", gone))[1].contains("status: Canceled"));
        }
    }

    #[test]
    fn errors_name_the_field_the_value_and_what_is_allowed() {
        for (text, from, to, expected) in [
            (
                LEVEL2_UPDATE,
                "\"67012.5\"",
                "\"67012.55\"",
                "price 67012.55 in field \"price_level\" of BTCUSDT is not a whole number of ticks of 0.1",
            ),
            (
                LEVEL2_UPDATE,
                "\"0.4077\"",
                "\"0.40777777\"",
                "quantity 0.40777777 in field \"new_quantity\" of BTCUSDT is not a whole number of lots of 0.00001",
            ),
            (
                LEVEL2_UPDATE,
                "\"offer\"",
                "\"ask\"",
                "field \"side\" at byte 153 is \"ask\", must be bid or offer",
            ),
            (LEVEL2_UPDATE, "\"offer\"", "1", "field \"side\" at byte 153 is 1, must be bid or offer"),
            (LEVEL2_UPDATE, "BTC-USDT", "BTC-USD", "unknown symbol \"BTC-USD\""),
            (
                LEVEL2_UPDATE,
                "l2_data",
                "l3_data",
                "unknown event \"l3_data\", must be one of: l2_data, market_trades, ticker, ticker_batch, user, status, subscriptions, heartbeats, candles, futures_balance_summary",
            ),
            (LEVEL2_UPDATE, "new_quantity", "quantity", "l2_data update without field \"new_quantity\""),
            (
                LEVEL2_UPDATE,
                "\"updates\":[",
                "\"updates\":7,\"x\":[",
                "field \"updates\" at byte 144 is 7, must be an array",
            ),
            (
                LEVEL2_UPDATE,
                ".103412Z",
                ".103412",
                "field \"event_time\" at byte 174 is \"2026-11-23T08:00:00.103412\", must be an RFC 3339 time in UTC",
            ),
            (
                MARKET_TRADES,
                "\"912345678\"",
                "912345678",
                "field \"trade_id\" at byte 135 is 912345678, must be a whole number in quotes, not negative",
            ),
            (
                USER_ORDER,
                "737.1375",
                "737.2375",
                "field \"filled_value\" at byte 470 is \"737.2375\", must be avg_price times cumulative_quantity",
            ),
            (STATUS, "\"channel\"", "\"chanel\"", "frame without field \"channel\""),
            (ERROR, "error", "oops", "field \"type\" at byte 8 is \"oops\", must be error"),
            (ERROR, "\"error\"", "\"error\"}", "malformed at byte 16: trailing characters"),
        ] {
            let found = said(&text.replacen(from, to, 1));
            assert_eq!(found.last().map(String::as_str), Some(expected), "{text}");
        }
    }

    /// Fields in another order, white space everywhere, unknown fields of any depth, escapes.
    fn reworded(wire: &str) -> String {
        fn add_unknown(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::Object(fields) => {
                    fields.values_mut().for_each(add_unknown);
                    let unknown = serde_json::json!({"deep": [[{"er": "}]\\\""}], 1.5e300, null]});
                    fields.insert("\u{1f980}".to_owned(), unknown);
                }
                serde_json::Value::Array(elements) => elements.iter_mut().for_each(add_unknown),
                _ => {}
            }
        }
        let mut value: serde_json::Value = serde_json::from_str(wire).unwrap();
        add_unknown(&mut value);
        let text = serde_json::to_string_pretty(&value)
            .unwrap()
            .replace("BTC", "\\u0042TC")
            .replace("\"bid\"", "\"\\u0062id\"");
        format!(" {text}\r\n")
    }

    /// A fill is of something and no more than what has been filled; a new order is not filled.
    fn any_consistent_message() -> impl Strategy<Value = Message> {
        let any_status = (any_message(), any::<bool>())
            .prop_map(|(message, trading)| Message { body: Body::Status(Status { trading }), ..message });
        prop_oneof![9 => any_message(), 1 => any_status].prop_map(|mut message| {
            if let Body::Execution(execution) = &mut message.body {
                match execution.kind {
                    ExecutionKind::New => execution.filled_quantity = 0,
                    ExecutionKind::Trade => {
                        execution.filled_quantity = execution.filled_quantity.max(1);
                        execution.last_quantity = execution.last_quantity.min(execution.filled_quantity);
                    }
                    ExecutionKind::Canceled => {}
                }
            }
            message
        })
    }

    /// What a message must read as.
    fn check(message: &Message, decoded: &Decoded<'_>) {
        let unix_ns = |ns: u64| START_UNIX_NS as u64 + ns;
        let us = |ns: u64| unix_ns(ns) / 1_000 * 1_000;
        let symbol = message.symbol;
        let instrument = &listing().instruments[symbol.0 as usize];
        let (event_ns, engine_ns) = (Some(unix_ns(message.due_ns)), us(message.event_ns));
        match (&message.body, decoded) {
            (Body::Book(change), Decoded::Depth(update)) => {
                let level = [Level { price: change.price, quantity: change.quantity }];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                let expected = DepthUpdate {
                    symbol,
                    form: DepthForm::Update,
                    depth: None,
                    event_ns,
                    engine_ns: Some(engine_ns),
                    continuity: Continuity::None,
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
            (Body::Ticker(ticker), Decoded::Ticker(update)) => {
                assert_eq!((update.symbol, update.event_ns), (symbol, event_ns));
                assert_eq!((update.last, update.high, update.low), (ticker.last, ticker.high, ticker.low));
                assert_eq!(update.volume, ticker.volume);
                let [bid, ask] = update.best.unwrap();
                let quote = &ticker.quote;
                assert_eq!((bid.price, bid.quantity), (quote.bid, quote.bid_quantity));
                assert_eq!((ask.price, ask.quantity), (quote.ask, quote.ask_quantity));
                // The nearest of five places of a per cent: half a place off at most.
                let share = i128::from(update.change_share.unwrap()) * i128::from(ticker.open);
                let exact = (i128::from(ticker.last) - i128::from(ticker.open)) * 100_000_000;
                assert!(2 * share.abs_diff(exact) <= 10 * u128::from(ticker.open), "per cent");
            }
            (Body::Execution(execution), Decoded::Execution(report)) => {
                assert_eq!((report.symbol, report.account), (symbol, execution.account));
                assert_eq!((report.event_ns, report.engine_ns), (event_ns, unix_ns(message.due_ns)));
                assert_eq!(report.placed_ns, Some(us(execution.placed_ns)));
                assert_eq!((report.order_id, report.side), (execution.order_id, execution.side));
                assert_eq!((report.price, report.quantity), (execution.price, execution.quantity));
                assert_eq!(report.filled_quantity, execution.filled_quantity);
                let money = instrument.notional(execution.price, execution.filled_quantity);
                assert_eq!(report.filled_quote_units, Some(money));
                let status = match execution.kind {
                    ExecutionKind::New => OrderStatus::New,
                    ExecutionKind::Canceled => OrderStatus::Canceled,
                    _ if execution.filled_quantity == execution.quantity => OrderStatus::Filled,
                    _ => OrderStatus::PartiallyFilled,
                };
                assert_eq!((report.kind, report.status), (execution.kind, status));
                let first = execution.kind == ExecutionKind::Trade
                    && execution.last_quantity == execution.filled_quantity;
                let last = Level { price: execution.last_price, quantity: execution.last_quantity };
                assert_eq!(report.last, if first { last } else { Level::default() });
                assert_eq!(report.fee_units, if first { execution.fee } else { 0 });
                assert_eq!(report.fee_asset, first.then_some(instrument.quote));
                assert_eq!((report.execution_id, report.trade_id), (None, None));
            }
            (Body::Status(status), Decoded::Status(update)) => {
                assert_eq!(*update, StatusUpdate { symbol, event_ns, trading: status.trading });
            }
            (body, decoded) => panic!("{:?} was read as {decoded:?}", body.kind()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_message_that_is_told_reads_back_as_itself(message in any_consistent_message()) {
            let silent = matches!(message.body, Body::Quote(_) | Body::Balance(_) | Body::Transfer(_));
            let wire = encoded(&message);
            prop_assert_eq!(wire.is_none(), silent);
            let Some(wire) = wire else { return Ok(()) };
            let mut count = 0;
            decode(wire.as_bytes(), |index, decoded| {
                count += 1;
                match (index, decoded.unwrap()) {
                    (0, decoded) => {
                        let numbered = Numbered { counted: Counted::Frames, number: 5 };
                        assert_eq!(decoded, Decoded::Numbered(numbered));
                    }
                    (_, decoded) => check(&message, &decoded),
                }
            });
            prop_assert_eq!(count, 2);
        }

        #[test]
        fn what_was_read_is_written_again_as_it_was(message in any_consistent_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            prop_assert_eq!(said(&rewritten(&wire)), said(&wire));
        }

        #[test]
        fn another_wording_of_a_message_means_the_same(message in any_consistent_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            prop_assert_eq!(said(&reworded(&wire)), said(&wire));
        }

        #[test]
        fn every_message_is_json_without_white_space(message in any_consistent_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            prop_assert!(serde_json::from_str::<serde_json::Value>(&wire).is_ok());
            prop_assert!(!wire.replace("User requested cancel", "").contains(char::is_whitespace));
        }

        #[test]
        fn damaged_messages_never_panic(
            message in any_consistent_message(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4),
        ) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            let mut wire = wire.into_bytes();
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
            let mut last = false;
            decode(&wire, |_, decoded| {
                assert!(!last, "an error is the last");
                last = decoded.is_err();
            });
            let _ = read_instruments(&wire);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&bytes, |_, _| ());
            let _ = read_instruments(&bytes);
        }

        #[test]
        fn arbitrary_values_in_any_place_never_panic(
            example in prop::sample::select(vec![LEVEL2_UPDATE, MARKET_TRADES, TICKER, USER_ORDER, STATUS]),
            place: prop::sample::Index,
            value in "\"[0-9.-]{0,40}\"|-?[0-9]{1,40}|null|\\[\\]|\\{\\}|\"[a-zé]{0,4}\"|\\[\\[\\[\\[1,2\\]",
        ) {
            // Strings are the places where a value can stand.
            let quotes: Vec<usize> = example.match_indices('"').map(|(at, _)| at).collect();
            let index = place.index(quotes.len() / 2) * 2;
            let changed = [&example[..quotes[index]], &value, &example[quotes[index + 1] + 1..]].concat();
            decode(changed.as_bytes(), |_, _| ());
            let _ = read_instruments(changed.as_bytes());
        }

        #[test]
        fn a_batch_is_one_frame_of_all_levels_and_all_trades(
            changes in proptest::collection::vec((any::<bool>(), 1..6u32, 0..4u64), 1..40),
        ) {
            let (mut encoder, mut numbering) = (encoder(), Numbering::default());
            let body = |(buy, price, quantity)| {
                let side = if buy { Side::Buy } else { Side::Sell };
                tickstorm_market::event::BookChange { update_id: 1, side, price, quantity }
            };
            let messages: Vec<Message> = (0..).zip(&changes).map(|(index, &change)| Message {
                event_ns: index * 1_000,
                due_ns: index * 1_000 + 500,
                ..message(Body::Book(body(change)))
            }).collect();
            let mut wire = Vec::new();
            prop_assert!(encoder.encode_batch(&messages, &mut numbering, &mut wire));
            let mut expected = std::collections::BTreeMap::new();
            for &(buy, price, quantity) in &changes {
                expected.insert((!buy, price), quantity);
            }
            let mut found = Vec::new();
            let count = messages.len() as u64;
            decode(&wire, |_, decoded| if let Decoded::Depth(update) = decoded.unwrap() {
                let unix_ns = START_UNIX_NS as u64 + (count - 1) * 1_000;
                assert_eq!((update.event_ns, update.engine_ns), (Some(unix_ns + 500), Some(unix_ns)));
                found.extend(update.bids.iter().map(|level| ((false, level.price), level.quantity)));
                found.extend(update.asks.iter().map(|level| ((true, level.price), level.quantity)));
            });
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(numbering.frames, 1);

            let trades: Vec<Message> = (0..count).map(|trade_id| {
                let trade = tickstorm_market::event::Trade { trade_id, price: 1, quantity: 2, taker: Side::Sell };
                message(Body::Trade(trade))
            }).collect();
            wire.clear();
            prop_assert!(encoder.encode_batch(&trades, &mut numbering, &mut wire));
            let mut ids = Vec::new();
            decode(&wire, |_, decoded| if let Decoded::Trade(print) = decoded.unwrap() {
                ids.push(print.trade_id);
            });
            prop_assert_eq!(ids, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_of_orders_is_told_order_by_order_and_of_the_rest_the_last_is_told() {
        let (mut encoder, mut numbering) = (encoder(), Numbering::default());
        let orders = [17, 18].map(|order_id| message(Body::Execution(Execution { order_id, ..FILL })));
        let mut wire = Vec::new();
        assert!(encoder.encode_batch(&orders, &mut numbering, &mut wire));
        let mut ids = Vec::new();
        decode(&wire, |_, decoded| {
            if let Decoded::Execution(report) = decoded.unwrap() {
                ids.push(report.order_id);
            }
        });
        assert_eq!(ids, [17, 18]);
        let statuses = [false, true].map(|trading| message(Body::Status(Status { trading })));
        wire.clear();
        assert!(encoder.encode_batch(&statuses, &mut numbering, &mut wire));
        let said = said(std::str::from_utf8(&wire).unwrap());
        assert_eq!(said.len(), 2);
        assert!(said[1].contains("trading: true"), "{said:?}");
        assert!(!encoder.encode_batch(&[], &mut numbering, &mut wire));
    }

    #[test]
    fn room_is_left_for_the_largest_values() {
        use tickstorm_market::event::{AccountId, BookChange, Quote, Ticker, Trade};
        let quote = Quote {
            update_id: 1,
            bid: u32::MAX,
            bid_quantity: u64::MAX,
            ask: u32::MAX,
            ask_quantity: u64::MAX,
        };
        let ticker = Ticker {
            quote,
            last: u32::MAX,
            last_quantity: u64::MAX,
            open: 1,
            high: u32::MAX,
            low: u32::MAX,
            previous_close: 1,
            volume: u64::MAX,
            quote_volume: u128::from(u64::MAX) * u128::from(u32::MAX),
            first_trade_id: 0,
            last_trade_id: u64::MAX - 1,
            open_ns: 0,
        };
        let execution = Execution {
            account: AccountId(u32::MAX),
            order_id: u64::MAX,
            price: u32::MAX,
            quantity: u64::MAX / 40_000,
            filled_quantity: 40_000_000,
            last_quantity: 1,
            fee: u64::MAX,
            ..FILL
        };
        let book = BookChange { update_id: 1, side: Side::Sell, price: u32::MAX, quantity: u64::MAX };
        let trade = Trade { trade_id: u64::MAX, price: u32::MAX, quantity: u64::MAX, taker: Side::Buy };
        for body in [Body::Ticker(ticker), Body::Execution(execution), Body::Book(book), Body::Trade(trade)] {
            for symbol in [0, 2] {
                let mut wire = Vec::new();
                let mut numbering = Numbering { frames: u64::MAX - 1, ..Numbering::default() };
                let message = Message { symbol: SymbolId(symbol), ..message(body) };
                assert!(encoder().encode(&message, &mut numbering, &mut wire));
                assert!(serde_json::from_slice::<serde_json::Value>(&wire).is_ok());
            }
        }
    }
}
