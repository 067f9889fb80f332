//! Bybit v5, spot and the private topics of a unified account.
//!
//! Prices, quantities and ids are strings, decimals without zeros at their end; times are milliseconds, as numbers
//! in public messages and as strings in private ones. A book says how many messages of its topic there were (`u`)
//! and where in the order of all topics its last change stands (`seq`); subscribers cut it to the depth of their
//! topic themselves.
//!
//! The venue has no room for an account's number. It stands in the free texts: `orderLinkId` of an order and the
//! wallet message's `id` are `ts-<account>-<number>`.

mod decode;
mod encode;
mod instruments;
pub(crate) mod protocol;
pub(crate) mod rest;
mod rules;

pub(crate) use decode::Decoder;
pub(crate) use encode::{COUNT_START, Encoder};
pub(crate) use instruments::read_instruments;
pub(crate) use rules::RULES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tickstorm_market::event::{AccountId, Body, ExecutionKind, Message, Side};

    use crate::decoded::{
        AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level,
        OrderStatus, QuoteUpdate, TickerUpdate, TradePrint, WallClock,
    };
    use crate::testing::{START_UNIX_NS, any_message, listing};
    use crate::{DecodeError, Decoder, Encoder, Numbering, Venue};

    /// The example messages of the venue's documentation, retold for this project's market.
    const ORDERBOOK_SNAPSHOT: &str = include_str!("../../../testdata/bybit/orderbook_snapshot.json");
    const ORDERBOOK_DELTA: &str = include_str!("../../../testdata/bybit/orderbook_delta.json");
    const ORDERBOOK_1: &str = include_str!("../../../testdata/bybit/orderbook_1.json");
    const PUBLIC_TRADE: &str = include_str!("../../../testdata/bybit/public_trade.json");
    const TICKERS: &str = include_str!("../../../testdata/bybit/tickers.json");
    const WALLET: &str = include_str!("../../../testdata/bybit/wallet.json");
    const ORDER: &str = include_str!("../../../testdata/bybit/order.json");
    const EXECUTION: &str = include_str!("../../../testdata/bybit/execution.json");

    const MS: u64 = 1_000_000;

    fn encoder() -> Encoder {
        Encoder::new(Venue::Bybit, &listing(), START_UNIX_NS)
    }

    /// Hands the single thing that the message says to `read`.
    fn decode<T>(wire: &str, read: impl FnOnce(Result<Decoded<'_>, DecodeError>) -> T) -> T {
        let (mut read, mut result) = (Some(read), None);
        Decoder::new(Venue::Bybit, &listing()).decode_each(wire.as_bytes(), |said| {
            result = Some(read.take().expect("one thing is said")(said));
        });
        result.expect("something is said")
    }

    /// What the message says, as text that can be compared.
    fn meaning(wire: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        Decoder::new(Venue::Bybit, &listing()).decode_each(wire, |it| said.push(format!("{it:?}")));
        said
    }

    fn encoded(message: &Message) -> Option<String> {
        let mut wire = Vec::new();
        let written = encoder().encode(message, &mut Numbering::default(), &mut wire);
        assert_eq!(written, !wire.is_empty());
        written.then(|| String::from_utf8(wire).unwrap())
    }

    /// The message decoded and encoded again, as JSON, but for the values that `own` names: they are not the
    /// example's to tell.
    fn assert_re_encoded(example: &str, own: &[(&str, Value)]) {
        let mut wire = Vec::new();
        decode(example, |decoded| {
            encoder().encode_decoded(&decoded.unwrap(), &mut Numbering::default(), &mut wire);
        });
        let text = String::from_utf8(wire).unwrap();
        let mut expected: Value = serde_json::from_str(example).unwrap();
        for (pointer, value) in own {
            *expected.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} in {example}")) =
                value.clone();
        }
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        if own.is_empty() {
            assert_eq!(text, example.trim_end());
        } else {
            // The fields are in the venue's order all the same.
            let names = |text: &str| -> Vec<String> {
                text.split('"')
                    .filter(|part| part.starts_with(char::is_alphabetic))
                    .map(str::to_owned)
                    .collect()
            };
            let count = names(example).len();
            let same = names(&text).iter().zip(&names(example)).filter(|(one, other)| one == other).count();
            assert!(same + own.len() >= count, "{text}\n{example}");
        }
    }

    const fn level(price: u32, quantity: u64) -> Level {
        Level { price, quantity }
    }

    #[test]
    fn book_messages_say_what_the_documentation_says() {
        decode(ORDERBOOK_SNAPSHOT, |said| {
            let expected = DepthUpdate {
                symbol: listing().instruments[0].id,
                form: DepthForm::Snapshot,
                depth: Some(50),
                event_ns: Some(1_795_420_800_095 * MS),
                engine_ns: Some(1_795_420_800_090 * MS),
                continuity: Continuity::Count(217_107_085),
                cross_sequence: Some(91_400_000_120),
                checksum: None,
                bids: &[level(670_124, 15_000), level(670_118, 6_200)],
                asks: &[level(670_125, 41_870), level(670_129, 2_500)],
            };
            assert_eq!(said, Ok(Decoded::Depth(expected)));
        });
        decode(ORDERBOOK_DELTA, |said| {
            let Ok(Decoded::Depth(update)) = said else { panic!("a depth update") };
            assert_eq!((update.form, update.continuity), (DepthForm::Update, Continuity::Count(217_107_086)));
            assert_eq!(update.change_id(), Some(91_400_000_133));
            assert_eq!((update.bids, update.asks), (&[level(670_118, 0)][..], &[level(670_125, 40_770)][..]));
        });
        decode(ORDERBOOK_1, |said| {
            let expected = QuoteUpdate {
                symbol: listing().instruments[0].id,
                event_ns: Some(1_795_420_800_106 * MS),
                update_id: 91_400_000_133,
                bid: level(670_124, 15_000),
                ask: level(670_125, 40_770),
            };
            assert_eq!(said, Ok(Decoded::Quote(expected)));
        });
    }

    #[test]
    fn trades_and_statistics_say_what_the_documentation_says() {
        let symbol = listing().instruments[0].id;
        decode(PUBLIC_TRADE, |said| {
            let expected = TradePrint {
                symbol,
                event_ns: Some(1_795_420_800_105 * MS),
                engine_ns: 1_795_420_800_103 * MS,
                trade_id: 2_290_000_000_012_201,
                matches: 1,
                price: 670_125,
                quantity: 1_100,
                taker: Side::Buy,
                cross_sequence: Some(91_400_000_131),
            };
            assert_eq!(said, Ok(Decoded::Trade(expected)));
        });
        decode(TICKERS, |said| {
            let expected = TickerUpdate {
                symbol,
                event_ns: Some(1_795_420_800_150 * MS),
                last: 670_125,
                high: 672_301,
                low: 658_800,
                volume: 825_040_110,
                last_quantity: None,
                best: None,
                open: Some(662_000),
                change: None,
                change_share: Some(1_230_000),
                weighted_average_units: None,
                quote_volume_units: Some(54_876_727_615_000_000),
                previous_close: None,
                trade_ids: None,
                count: None,
                window_ns: None,
            };
            assert_eq!(said, Ok(Decoded::Ticker(expected)));
        });
    }

    #[test]
    fn private_messages_say_what_the_documentation_says() {
        let instrument = listing().instruments[0].clone();
        let fill = ExecutionReport {
            account: AccountId(0),
            symbol: instrument.id,
            event_ns: Some(1_795_420_800_106 * MS),
            engine_ns: 1_795_420_800_103 * MS,
            kind: ExecutionKind::Trade,
            status: OrderStatus::PartiallyFilled,
            side: Side::Sell,
            order_id: 2_100_000_000_000_000_017,
            execution_id: None,
            price: 670_125,
            quantity: 5_000,
            last: level(670_125, 1_100),
            filled_quantity: 1_100,
            last_quote_units: Some(73_713_750_000),
            filled_quote_units: None,
            fee_units: 73_713_750,
            fee_asset: Some(instrument.quote),
            trade_id: Some(2_290_000_000_012_201),
            placed_ns: None,
        };
        decode(EXECUTION, |said| assert_eq!(said, Ok(Decoded::Execution(fill))));
        let state = ExecutionReport {
            engine_ns: 1_795_420_800_104 * MS,
            last: Level::default(),
            last_quote_units: Some(0),
            filled_quote_units: Some(73_713_750_000),
            fee_units: 0,
            fee_asset: None,
            trade_id: None,
            placed_ns: Some(1_795_420_795_010 * MS),
            ..fill
        };
        decode(ORDER, |said| assert_eq!(said, Ok(Decoded::Execution(state))));
        decode(WALLET, |said| {
            let expected = BalanceUpdate {
                account: AccountId(0),
                event_ns: Some(1_795_420_800_106 * MS),
                engine_ns: 1_795_420_800_106 * MS,
                form: DepthForm::Update,
                balances: &[AssetBalance {
                    asset: instrument.base,
                    total_units: 103_900_000,
                    locked_units: Some(3_900_000),
                    change_units: None,
                }],
            };
            assert_eq!(said, Ok(Decoded::Balance(expected)));
        });
    }

    #[test]
    fn every_example_encodes_to_the_same_again() {
        assert_re_encoded(ORDERBOOK_SNAPSHOT, &[]);
        assert_re_encoded(ORDERBOOK_DELTA, &[]);
        assert_re_encoded(PUBLIC_TRADE, &[]);
        // Counts and places in the order of all topics are the encoder's own.
        assert_re_encoded(
            ORDERBOOK_1,
            &[("/data/u", json!(200_000_001)), ("/cts", json!(1_795_420_800_106u64))],
        );
        assert_re_encoded(TICKERS, &[("/cs", json!(0)), ("/data/usdIndexPrice", json!("67012.5"))]);
        let own_ids = [("/id", json!("ts-0-1")), ("/data/0/orderLinkId", json!("ts-0-2100000000000000017"))];
        let [id, link] = own_ids;
        assert_re_encoded(EXECUTION, &[id.clone(), link.clone(), ("/data/0/seq", json!(0))]);
        // What the order has cost is known from its fills, of which the encoder saw none.
        let fees = [("/data/0/cumExecFee", json!("0")), ("/data/0/cumFeeDetail", json!({"USDT": "0"}))];
        assert_re_encoded(ORDER, &[&[id.clone(), link][..], &fees].concat());
        // Neither sums over the whole account nor values in dollars are told.
        let sums = [
            "accountIMRate",
            "accountMMRate",
            "totalEquity",
            "totalWalletBalance",
            "totalMarginBalance",
            "totalAvailableBalance",
            "totalPerpUPL",
            "totalInitialMargin",
            "totalMaintenanceMargin",
            "accountLTV",
        ]
        .map(|name| (format!("/data/0/{name}"), json!("")));
        let mut own = vec![
            id,
            ("/data/0/coin/0/usdValue", json!("0")),
            ("/data/0/coin/0/collateralSwitch", json!(false)),
            ("/data/0/coin/0/marginCollateral", json!(false)),
        ];
        own.extend(sums.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())));
        assert_re_encoded(WALLET, &own);
    }

    /// Whatever a message says beside the market is no fault.
    #[test]
    fn answers_are_control() {
        for text in [
            include_str!("../../../testdata/bybit/subscribed.json"),
            include_str!("../../../testdata/bybit/handler_not_found.json"),
            include_str!("../../../testdata/bybit/pong_public.json"),
            include_str!("../../../testdata/bybit/pong_private.json"),
            include_str!("../../../testdata/bybit/authenticated.json"),
            include_str!("../../../testdata/bybit/rest_orderbook.json"),
        ] {
            decode(text, |said| assert_eq!(said, Ok(Decoded::Control), "{text}"));
        }
    }

    /// What a message of the market must read as; none where the venue has no message.
    fn expected<'a>(
        message: &Message,
        levels: &'a mut Vec<Level>,
        balances: &'a mut Vec<AssetBalance>,
    ) -> Option<Decoded<'a>> {
        let clock = WallClock::new(START_UNIX_NS);
        let listing = listing();
        let instrument = listing.instrument(message.symbol);
        let whole_ms = |ns: u64| ns / MS * MS;
        let event_ns = whole_ms(clock.unix_ns(message.due_ns));
        let engine_ns = whole_ms(clock.unix_ns(message.event_ns));
        Some(match &message.body {
            Body::Book(change) => {
                levels.push(level(change.price, change.quantity));
                let (bids, asks) = match change.side {
                    Side::Buy => (&levels[..], &[][..]),
                    Side::Sell => (&[][..], &levels[..]),
                };
                Decoded::Depth(DepthUpdate {
                    symbol: message.symbol,
                    form: DepthForm::Update,
                    depth: Some(1000),
                    event_ns: Some(event_ns),
                    engine_ns: Some(engine_ns),
                    continuity: Continuity::Count(200_000_001),
                    cross_sequence: Some(change.update_id),
                    checksum: None,
                    bids,
                    asks,
                })
            }
            Body::Trade(trade) => {
                let print = TradePrint::of(message, trade, clock);
                let event_ns = Some(event_ns);
                Decoded::Trade(TradePrint { event_ns, engine_ns, cross_sequence: Some(1), ..print })
            }
            Body::Quote(quote) => {
                // An empty side has no price either.
                let told = |level: Level| if level.quantity > 0 { level } else { Level::default() };
                let update = QuoteUpdate::of(message, quote, clock);
                let (bid, ask) = (told(update.bid), told(update.ask));
                Decoded::Quote(QuoteUpdate { event_ns: Some(event_ns), bid, ask, ..update })
            }
            Body::Ticker(ticker) => {
                let update = TickerUpdate::of(message, ticker, instrument, super::RULES.share_step, clock);
                Decoded::Ticker(TickerUpdate {
                    event_ns: Some(event_ns),
                    last_quantity: None,
                    best: None,
                    change: None,
                    weighted_average_units: None,
                    previous_close: None,
                    trade_ids: None,
                    count: None,
                    window_ns: None,
                    ..update
                })
            }
            Body::Execution(execution) => {
                let report = ExecutionReport::of(message, execution, instrument, clock);
                let report =
                    ExecutionReport { event_ns: Some(event_ns), engine_ns, execution_id: None, ..report };
                Decoded::Execution(match report.kind {
                    ExecutionKind::Trade => {
                        ExecutionReport { placed_ns: None, filled_quote_units: None, ..report }
                    }
                    _ => ExecutionReport { placed_ns: report.placed_ns.map(whole_ms), ..report },
                })
            }
            Body::Balance(balance) => {
                balances.push(AssetBalance::of(balance));
                let (account, form) = (balance.account, DepthForm::Update);
                let engine_ns = event_ns;
                Decoded::Balance(BalanceUpdate {
                    account,
                    event_ns: Some(event_ns),
                    engine_ns,
                    form,
                    balances,
                })
            }
            Body::Transfer(_) | Body::Status(_) => return None,
        })
    }

    /// Fields in the order of their names, white space everywhere, unknown fields of any depth.
    fn reworded(wire: &str) -> String {
        let mut value: Value = serde_json::from_str(wire).unwrap();
        let unknown = json!({"deep": [[{"er": "}]\\\""}], 1.5e300, null]});
        value["\u{1f980}"] = unknown.clone();
        match &mut value["data"] {
            Value::Array(elements) => elements.iter_mut().for_each(|element| element["zz"] = unknown.clone()),
            data => data["zz"] = unknown,
        }
        format!(" {}\r\n", serde_json::to_string_pretty(&value).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_message_reads_back_as_itself(message in any_message()) {
            let (mut levels, mut balances) = (Vec::new(), Vec::new());
            match (encoded(&message), expected(&message, &mut levels, &mut balances)) {
                (Some(wire), Some(expected)) => {
                    decode(&wire, |said| assert_eq!(said, Ok(expected)));
                }
                (written, expected) => {
                    prop_assert_eq!((written, expected), (None, None));
                }
            }
        }

        #[test]
        fn what_was_read_is_written_with_the_same_meaning(message in any_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            let mut again = Vec::new();
            decode(&wire, |said| {
                encoder().encode_decoded(&said.unwrap(), &mut Numbering::default(), &mut again)
            });
            prop_assert_eq!(meaning(&again), meaning(wire.as_bytes()));
        }

        #[test]
        fn another_wording_of_a_message_means_the_same(message in any_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            prop_assert_eq!(meaning(wire.as_bytes()), meaning(reworded(&wire).as_bytes()));
        }

        #[test]
        fn every_message_is_json_without_white_space(message in any_message()) {
            let Some(wire) = encoded(&message) else { return Ok(()) };
            prop_assert!(serde_json::from_str::<Value>(&wire).is_ok());
            prop_assert!(!wire.contains(char::is_whitespace));
        }

        #[test]
        fn damaged_messages_are_refused_or_read_alike_by_both_readers(
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
            // What begins with a space is not tried the quick way.
            let careful = [b" ", &wire[..]].concat();
            let kinds = |wire: &[u8]| {
                let mut kinds = Vec::new();
                Decoder::new(Venue::Bybit, &listing()).decode_each(wire, |said| {
                    kinds.push(said.map(|said| format!("{said:?}")).map_err(|error| error.kind()));
                });
                kinds
            };
            prop_assert_eq!(kinds(&wire), kinds(&careful));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!meaning(&bytes).is_empty());
            let _ = Decoder::read_instruments(Venue::Bybit, &bytes);
        }

        #[test]
        fn arbitrary_json_never_panics(
            text in "[\\[{]{0,3}(\"(topic|data|orderbook.50.BTCUSDT|wallet|order|b|a|u|s|coin|[eS\\\\]{0,3})\"[:,]|[0-9.-]{1,3}[,:}\\]]|[\\]}{\\[,: ]){0,30}"
        ) {
            let mut decoder = Decoder::new(Venue::Bybit, &listing());
            decoder.decode_each(text.as_bytes(), |_| ());
            let _ = Decoder::read_instruments(Venue::Bybit, text.as_bytes());
        }
    }
}
