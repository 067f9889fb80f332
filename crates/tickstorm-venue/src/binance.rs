//! Binance Spot: market streams in their raw form (no combined wrapper) and user data as the WebSocket API
//! wraps it.
//!
//! Prices, quantities and amounts are strings with eight decimals whatever the tick; ids and times are
//! numbers.

mod decode;
mod encode;
mod rules;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use rules::admit;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{Body, ExecutionKind, Message, Side};

    use crate::decoded::{
        AssetBalance, BalanceUpdate, Decoded, DepthUpdate, Level, OrderStatus, TradePrint, TransferUpdate,
    };
    use crate::testing::{START_UNIX_NS, any_message, listing};
    use crate::{DecodeError, Decoder, Encoder, Venue};

    /// The example messages of the venue's documentation, retold for this project's market.
    const EXAMPLES: [(&str, &str); 7] = [
        ("trade", include_str!("../../../testdata/binance/trade.json")),
        ("bookTicker", include_str!("../../../testdata/binance/book_ticker.json")),
        ("depthUpdate", include_str!("../../../testdata/binance/depth_update.json")),
        ("24hrTicker", include_str!("../../../testdata/binance/ticker_24h.json")),
        ("executionReport", include_str!("../../../testdata/binance/execution_report.json")),
        ("outboundAccountPosition", include_str!("../../../testdata/binance/account_position.json")),
        ("balanceUpdate", include_str!("../../../testdata/binance/balance_update.json")),
    ];

    fn encoder() -> Encoder {
        Encoder::new(Venue::Binance, &listing(), START_UNIX_NS)
    }

    fn decoder() -> Decoder {
        Decoder::new(Venue::Binance, &listing())
    }

    fn encoded(message: &Message) -> String {
        let mut wire = Vec::new();
        encoder().encode(message, &mut wire);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn every_example_decodes_and_encodes_to_the_same_bytes() {
        for (event, text) in EXAMPLES {
            let mut decoder = decoder();
            let decoded = decoder.decode(text.trim_end().as_bytes()).unwrap();
            let mut wire = Vec::new();
            encoder().encode_decoded(&decoded, &mut wire);
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
        assert_eq!(update.event_ms, 1_795_420_800_200);
        assert_eq!((update.first_update_id, update.last_update_id), (400_900_218, 400_900_226));
        let level = |price, quantity| Level { price, quantity };
        assert_eq!(update.bids, [level(670_124, 12_000), level(670_119, 0)]);
        assert_eq!(update.asks, [level(670_125, 37_570)]);
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
        let ms = |ns: u64| (START_UNIX_NS as u64 + ns) / 1_000_000;
        let (event_ms, engine_ms) = (ms(message.due_ns), ms(message.event_ns));
        let symbol = message.symbol;
        match (&message.body, decoded) {
            (Body::Book(change), Decoded::Depth(update)) => {
                let level = [Level { price: change.price, quantity: change.quantity }];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                let (first_update_id, last_update_id) = (change.update_id, change.update_id);
                assert_eq!(
                    *update,
                    DepthUpdate { symbol, event_ms, first_update_id, last_update_id, bids, asks }
                );
            }
            (Body::Trade(trade), Decoded::Trade(print)) => {
                let (trade_id, price, quantity, taker) =
                    (trade.trade_id, trade.price, trade.quantity, trade.taker);
                assert_eq!(
                    *print,
                    TradePrint { symbol, event_ms, engine_ms, trade_id, price, quantity, taker }
                );
            }
            (Body::Quote(quote), Decoded::Quote(update)) => {
                assert_eq!((update.symbol, update.update_id), (symbol, quote.update_id));
                assert_eq!((update.bid.price, update.bid.quantity), (quote.bid, quote.bid_quantity));
                assert_eq!((update.ask.price, update.ask.quantity), (quote.ask, quote.ask_quantity));
            }
            (Body::Ticker(ticker), Decoded::Ticker(update)) => {
                let instrument = listing().instrument(symbol).clone();
                assert_eq!((update.symbol, update.event_ms, update.close_ms), (symbol, event_ms, event_ms));
                assert_eq!((update.open, update.high, update.low), (ticker.open, ticker.high, ticker.low));
                assert_eq!((update.last.price, update.last.quantity), (ticker.last, ticker.last_quantity));
                assert_eq!((update.bid.price, update.ask.price), (ticker.quote.bid, ticker.quote.ask));
                assert_eq!(update.previous_close, ticker.previous_close);
                assert_eq!(update.open_ms, ms(ticker.open_ns));
                assert_eq!(update.change, i64::from(ticker.last) - i64::from(ticker.open));
                assert_eq!(update.volume, ticker.volume);
                assert_eq!(update.count, ticker.last_trade_id - ticker.first_trade_id + 1);
                let money = u128::from(instrument.tick * instrument.lot / 100_000_000);
                assert_eq!(update.quote_volume_units, ticker.quote_volume * money);
                // The nearest unit: half a unit off at most, in units of volume.
                let average = u128::from(update.weighted_average_units) * u128::from(ticker.volume);
                let exact = ticker.quote_volume * u128::from(instrument.tick);
                assert!(2 * average.abs_diff(exact) <= u128::from(ticker.volume), "weighted average");
                let average_range =
                    u64::from(ticker.low) * instrument.tick..=u64::from(ticker.high) * instrument.tick;
                assert!(average_range.contains(&update.weighted_average_units));
                let percent = update.change_millipercent.unsigned_abs() * u64::from(ticker.open);
                let exact = update.change.unsigned_abs() * 100_000;
                assert!(2 * percent.abs_diff(exact) <= u64::from(ticker.open), "per cent");
            }
            (Body::Execution(execution), Decoded::Execution(report)) => {
                let instrument = listing().instrument(symbol).clone();
                let fill = execution.kind == ExecutionKind::Trade;
                assert_eq!(
                    (report.symbol, report.account, report.side),
                    (symbol, execution.account, execution.side)
                );
                assert_eq!((report.event_ms, report.engine_ms), (event_ms, engine_ms));
                assert_eq!(report.placed_ms, ms(execution.placed_ns));
                assert_eq!(
                    (report.order_id, report.execution_id),
                    (execution.order_id, execution.execution_id)
                );
                assert_eq!((report.price, report.quantity), (execution.price, execution.quantity));
                assert_eq!(report.last.price, execution.last_price);
                assert_eq!(report.last.quantity, execution.last_quantity);
                assert_eq!(report.filled_quantity, execution.filled_quantity);
                assert_eq!(
                    report.last_quote_units,
                    instrument.notional(execution.last_price, execution.last_quantity)
                );
                assert_eq!(
                    report.filled_quote_units,
                    instrument.notional(execution.price, execution.filled_quantity)
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
                    free_units: balance.free as i64,
                    locked_units: balance.locked as i64,
                }];
                let account = balance.account;
                assert_eq!(*update, BalanceUpdate { account, event_ms, engine_ms, balances: &balances });
            }
            (Body::Transfer(transfer), Decoded::Transfer(update)) => {
                let (account, asset, amount_units) = (transfer.account, transfer.asset, transfer.amount);
                assert_eq!(*update, TransferUpdate { account, event_ms, engine_ms, asset, amount_units });
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
            prop_assert!(calls > 0, "an array that does not end is never empty");
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
