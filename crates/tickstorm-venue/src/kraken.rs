//! Kraken Spot, WebSocket v2: every channel, public and private, on one wire.
//!
//! Prices, quantities and amounts are JSON numbers with a fixed count of decimals; times are text with microseconds.
//! Books have no numbers but a checksum in every message.

mod accounts;
mod checksum;
mod decode;
mod encode;
mod ids;
mod instruments;
mod legacy;
pub(crate) mod protocol;
pub(crate) mod rest;
mod rules;
mod scale;
mod time;
mod wire;

pub(crate) use checksum::TopDigits;
pub(crate) use decode::Decoder;
pub(crate) use encode::{Encoder, on_trade, without_trades};
pub(crate) use instruments::read_instruments;
pub(crate) use rules::RULES;
pub(crate) use scale::Scale;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{
        AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Message, Side, Snapshot, Status,
        Trade, Transfer,
    };
    use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

    use super::*;
    use crate::blotter::OpenOrder;
    use crate::decoded::{
        AssetBalance, BalanceUpdate, Continuity, Counted, Decoded, DepthForm, DepthUpdate, ExecutionReport,
        Level, Numbered, OrderStatus, StatusUpdate, TickerUpdate, TradePrint, WallClock,
    };
    use crate::encoder::Numbering;
    use crate::testing::{START_UNIX_NS, any_message, listing, message};
    use crate::{DecodeError, Venue};

    macro_rules! example {
        ($name:literal) => {
            include_str!(concat!("../../../testdata/kraken/", $name, ".json")).trim_end()
        };
    }

    /// The venue's documentation speaks of this pair, in steps of ten cents and a satoshi.
    fn documented() -> Listing {
        let instrument = |id, symbol: &str, tick| Instrument {
            id: SymbolId(id),
            symbol: symbol.into(),
            base: AssetId(2 * id),
            quote: AssetId(1),
            tick,
            lot: 1,
            start_price: 0,
        };
        Listing {
            instruments: [instrument(0, "BTCUSD", 10_000_000), instrument(1, "ETHUSD", 1_000_000)].into(),
            assets: ["BTC", "USD", "ETH"].map(String::from).into(),
        }
    }

    /// Everything that a message says, each thing written again.
    fn decoded_and_encoded(listing: &Listing, wire: &str) -> (Vec<String>, String) {
        let mut encoder = Encoder::new(listing, START_UNIX_NS, 1000);
        let (mut said, mut again, mut numbering) = (Vec::new(), Vec::new(), Numbering::default());
        Decoder::new(listing).decode_each(wire.as_bytes(), |item| {
            let item = item.unwrap();
            said.push(format!("{item:?}"));
            encoder.encode_decoded(&item, &mut numbering, &mut again);
        });
        (said, String::from_utf8(again).unwrap())
    }

    fn said(listing: &Listing, wire: &str) -> Vec<String> {
        decoded_and_encoded(listing, wire).0
    }

    fn errors(wire: &[u8]) -> Vec<DecodeError> {
        let mut errors = Vec::new();
        Decoder::new(&documented()).decode_each(wire, |item| errors.extend(item.err()));
        errors
    }

    #[test]
    fn books_trades_and_tickers_of_the_documentation_are_written_byte_for_byte() {
        for text in [
            example!("book_snapshot"),
            example!("book_update_removal"),
            example!("book_update_insertion"),
            &example!("trade").replace("market", "limit"),
            example!("ticker"),
        ] {
            assert_eq!(decoded_and_encoded(&documented(), text).1, text);
        }
    }

    /// Our names of orders, executions and ledger entries are our own.
    #[test]
    fn private_messages_of_the_documentation_mean_the_same_when_written_again() {
        for text in [
            example!("balances_snapshot"),
            example!("balances_update"),
            example!("executions_new"),
            example!("executions_trade"),
        ] {
            let ours = decoded_and_encoded(&documented(), text).1;
            let [ours, documented] = [&ours[..], text].map(|text| {
                let mut message: serde_json::Value = serde_json::from_str(text).unwrap();
                for entry in message["data"].as_array_mut().unwrap() {
                    for field in ["order_id", "exec_id", "cl_ord_id", "ledger_id", "ref_id"] {
                        if let Some(id) = entry.get_mut(field) {
                            *id = "id".into();
                        }
                    }
                }
                message
            });
            assert_eq!(ours, documented);
        }
    }

    #[test]
    fn messages_that_are_no_news_are_control() {
        for text in [
            example!("status"),
            example!("heartbeat"),
            example!("pong"),
            example!("subscribed_book"),
            example!("unsubscribed_book"),
            example!("refused"),
            example!("subscribed_executions"),
            example!("instrument"),
            &example!("trade").replace("update", "snapshot"),
        ] {
            assert_eq!(said(&documented(), text), ["Control"], "{text}");
        }
        let snapshot = example!("executions_new").replace("update", "snapshot");
        let filled = example!("executions_trade").replace("\"trade\",\"exec_id\"", "\"filled\",\"exec_id\"");
        assert_eq!(said(&documented(), &snapshot).last().unwrap(), "Control");
        assert_eq!(said(&documented(), &filled).last().unwrap(), "Control");
    }

    #[test]
    fn the_fill_of_the_documentation_says_what_the_documentation_says() {
        let mut items = Vec::new();
        Decoder::new(&documented()).decode_each(example!("executions_trade").as_bytes(), |item| {
            match item.unwrap() {
                Decoded::Execution(report) => items.push(report),
                other => {
                    assert_eq!(other, Decoded::Numbered(Numbered { counted: Counted::Orders, number: 8 }))
                }
            }
        });
        let [report] = items[..] else { panic!("{items:?}") };
        assert_eq!(
            report,
            ExecutionReport {
                account: AccountId(0),
                symbol: SymbolId(0),
                event_ns: None,
                engine_ns: 1_795_420_800_103_412_000,
                kind: ExecutionKind::Trade,
                status: OrderStatus::PartiallyFilled,
                side: Side::Sell,
                order_id: ids::read("OTS001-AAAAA-000017", b'O', 0),
                execution_id: Some(ids::read("TTS001-AAAAA-000001", b'T', 0)),
                price: 670_125,
                quantity: 5_000_000,
                last: Level { price: 670_125, quantity: 1_100_000 },
                filled_quantity: 1_100_000,
                last_quote_units: Some(73_713_750_000),
                filled_quote_units: Some(73_713_750_000),
                fee_units: 73_714_000,
                fee_asset: Some(AssetId(1)),
                trade_id: Some(84_210_377),
                placed_ns: None,
            }
        );
    }

    #[test]
    fn the_instruments_of_the_documentation_are_a_listing_that_reads_back() {
        let text = example!("instrument");
        let listing = read_instruments(text.as_bytes()).unwrap().unwrap();
        let documented = documented();
        assert_eq!(listing.instruments[..], documented.instruments[..1]);
        assert_eq!(listing.assets[..], documented.assets[..2]);
        for other in [example!("trade"), example!("heartbeat"), "[]", &text.replace("snapshot", "update")] {
            assert_eq!(read_instruments(other.as_bytes()), Ok(None), "{other}");
        }
    }

    #[test]
    fn instruments_that_are_written_read_back() {
        for listing in [listing(), Listing::synthetic(500, tickstorm_random::Seed::new(3))] {
            let mut wire = Vec::new();
            Encoder::new(&listing, START_UNIX_NS, 10).instruments(0, &mut Numbering::default(), &mut wire);
            let read = read_instruments(&wire).unwrap().unwrap();
            let instruments: Vec<Instrument> = listing
                .instruments
                .iter()
                .map(|instrument| Instrument {
                    // Names are put together from those of the assets.
                    symbol: [listing.asset(instrument.base), listing.asset(instrument.quote)].concat(),
                    start_price: 0,
                    ..instrument.clone()
                })
                .collect();
            assert_eq!(read, Listing { instruments: instruments.into(), assets: listing.assets.clone() });
        }
    }

    #[test]
    fn damaged_instruments_are_named() {
        let text = example!("instrument");
        let error = |from: &str, to: &str| {
            read_instruments(text.replace(from, to).as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(error("\"base\":\"BTC\"", "\"base\":\"XBT\""), "unknown asset \"XBT\"");
        assert_eq!(
            error("\"price_increment\":0.1", "\"price_increment\":0.0"),
            "field \"price_increment\" at byte 646 is 0.0, must be above zero"
        );
        assert_eq!(error("\"qty_increment\"", "\"lot\""), "pair without field \"qty_increment\"");
    }

    fn encoded_by(encoder: &mut Encoder, body: Body) -> Option<String> {
        let mut wire = Vec::new();
        encoder
            .encode(&message(body), &mut Numbering::default(), &mut wire)
            .then(|| String::from_utf8(wire).unwrap())
    }

    fn encoder() -> Encoder {
        Encoder::new(&listing(), START_UNIX_NS, 1000)
    }

    #[test]
    fn a_halt_is_a_pair_that_takes_only_orders_that_rest() {
        for (trading, status) in [(false, "post_only"), (true, "online")] {
            let text = encoded_by(&mut encoder(), Body::Status(Status { trading })).unwrap();
            assert!(
                text.contains(&format!(r#""quote":"USDT","status":"{status}","qty_precision":8,"#)),
                "{text}"
            );
            let update = StatusUpdate { symbol: SymbolId(0), event_ns: None, trading };
            assert_eq!(said(&listing(), &text), [format!("{:?}", Decoded::Status(update))]);
        }
    }

    const FILL: Execution = Execution {
        account: AccountId(3),
        order_id: 17,
        execution_id: 18,
        kind: ExecutionKind::Trade,
        side: Side::Sell,
        price: 670_125,
        quantity: 5_000,
        last_quantity: 1_100,
        last_price: 670_125,
        filled_quantity: 1_100,
        fee: 73_713_750,
        fee_asset: AssetId(0),
        trade_id: 84_210_377,
        placed_ns: 0,
    };

    /// As executions are when they are news, but for the sums of what was filled before.
    #[test]
    fn open_orders_and_last_fills_are_one_snapshot() {
        let placed = Execution {
            kind: ExecutionKind::New,
            last_quantity: 0,
            last_price: 0,
            filled_quantity: 0,
            fee: 0,
            trade_id: 0,
            ..FILL
        };
        let order = |execution, fills, fee_units| OpenOrder {
            last: message(Body::Execution(execution)),
            fills,
            fee_units,
        };
        let orders = [order(placed, 0, 0), order(Execution { order_id: 18, ..FILL }, 3, 90_000_000)];
        let fill = message(Body::Execution(FILL));
        let (mut encoder, mut numbering, mut wire) = (encoder(), Numbering::default(), Vec::new());
        encoder.open_orders(&orders, &[fill], &mut numbering, &mut wire);
        let entry = |body| {
            let text = encoded_by(&mut Encoder::new(&listing(), START_UNIX_NS, 1000), body).unwrap();
            let entry = text.strip_prefix(r#"{"channel":"executions","type":"update","data":["#).unwrap();
            entry.strip_suffix(r#"],"sequence":1}"#).unwrap().to_owned()
        };
        let filled = concat!(
            r#"{"order_id":"O00000-00000-00000I","cl_ord_id":"ts-000018","symbol":"BTC/USDT","side":"sell","#,
            r#""order_type":"limit","order_qty":0.05000000,"limit_price":67012.5,"limit_price_type":"static","#,
            r#""time_in_force":"GTC","exec_type":"status","order_status":"partially_filled","#,
            r#""cum_qty":0.01100000,"cum_cost":737.13750000,"avg_price":67012.5,"fee_usd_equiv":0.90000000,"#,
            r#""fee_ccy_pref":"fciq","post_only":false,"reduce_only":false,"order_userref":3,"#,
            r#""timestamp":"2026-11-23T08:00:00.103000Z"}"#
        );
        let entries = [entry(Body::Execution(placed)), filled.to_owned(), entry(Body::Execution(FILL))];
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            format!(
                r#"{{"channel":"executions","type":"snapshot","data":[{}],"sequence":1}}"#,
                entries.join(",")
            )
        );
    }

    proptest! {
        #[test]
        fn there_is_room_for_any_open_orders_and_fills(
            orders in proptest::collection::vec((any_message(), any::<u64>(), any::<u64>()), 0..20),
            fills in proptest::collection::vec(any_message(), 0..20),
        ) {
            let orders: Vec<OpenOrder> = orders
                .into_iter()
                .map(|(last, fills, fee_units)| OpenOrder { last, fills, fee_units })
                .collect();
            let executions = orders.iter().map(|order| &order.last).chain(&fills);
            let count = executions.filter(|last| matches!(last.body, Body::Execution(_))).count();
            let (mut encoder, mut wire) = (encoder(), Vec::new());
            encoder.open_orders(&orders, &fills, &mut Numbering::default(), &mut wire);
            let message: serde_json::Value = serde_json::from_slice(&wire).unwrap();
            prop_assert_eq!(message["data"].as_array().unwrap().len(), count);
        }
    }

    fn balance(asset: u32, free: u64, locked: u64) -> Body {
        Body::Balance(Balance { account: AccountId(3), asset: AssetId(asset), free, locked })
    }

    #[test]
    fn a_fill_has_two_entries_in_the_ledger_and_the_fee_is_in_the_second() {
        let mut encoder = encoder();
        encoded_by(&mut encoder, Body::Execution(FILL)).unwrap();
        assert_eq!(
            encoded_by(&mut encoder, balance(1, 100_000_000, 3_900_000)).unwrap(),
            concat!(
                r#"{"channel":"balances","type":"update","data":[{"ledger_id":"L00000-03000-000001","#,
                r#""ref_id":"T00000-00000-00000I","timestamp":"2026-11-23T08:00:00.103000Z","type":"trade","#,
                r#""asset":"BTC","asset_class":"currency","category":"trade","wallet_type":"spot","#,
                r#""wallet_id":"main-3","amount":-0.01100000,"fee":0.00000000,"balance":1.03900000}],"sequence":1}"#
            )
        );
        let quote = encoded_by(&mut encoder, balance(0, 5_000_000_000_000, 0)).unwrap();
        assert!(
            quote.contains(r#""amount":737.13750000,"fee":0.73713750,"balance":50000.00000000"#),
            "{quote}"
        );
    }

    #[test]
    fn a_transfer_is_told_by_its_balance_and_a_mere_lock_is_not_told() {
        let mut encoder = encoder();
        let transfer = |amount| Body::Transfer(Transfer { account: AccountId(3), asset: AssetId(0), amount });
        assert_eq!(encoded_by(&mut encoder, transfer(500)), None);
        let text = encoded_by(&mut encoder, balance(0, 1_000, 0)).unwrap();
        assert!(text.contains(r#""type":"deposit""#) && text.contains(r#""amount":0.00000500"#), "{text}");
        assert_eq!(encoded_by(&mut encoder, balance(0, 400, 600)), None, "locked");
        assert_eq!(encoded_by(&mut encoder, transfer(-250)), None);
        let text = encoded_by(&mut encoder, balance(0, 150, 600)).unwrap();
        assert!(
            text.contains(r#""type":"withdrawal""#) && text.contains(r#""amount":-0.00000250"#),
            "{text}"
        );
        assert!(text.contains(r#""balance":0.00000750"#), "{text}");
    }

    #[test]
    fn best_prices_are_told_with_the_last_statistics_and_the_trades_since() {
        let mut encoder = encoder();
        let quote = tickstorm_market::event::Quote {
            update_id: 9,
            bid: 99,
            bid_quantity: 1,
            ask: 101,
            ask_quantity: 2,
        };
        let text = encoded_by(&mut encoder, Body::Quote(quote)).unwrap();
        assert!(
            text.contains(r#""bid":9.9,"bid_qty":0.00001000,"ask":10.1,"ask_qty":0.00002000,"last":1000.0,"#),
            "{text}"
        );
        let trade = |trade_id, price| Body::Trade(Trade { trade_id, price, quantity: 4, taker: Side::Buy });
        encoded_by(&mut encoder, trade(7, 100)).unwrap();
        encoded_by(&mut encoder, trade(8, 103)).unwrap();
        let text = encoded_by(&mut encoder, Body::Quote(quote)).unwrap();
        let statistics = r#""last":10.3,"volume":0.00008000,"vwap":10.2,"low":10.0,"high":10.3,"change":0.3,"change_pct":3.00"#;
        assert!(text.contains(statistics), "{text}");
    }

    fn change(update_id: u64, side: Side, price: u32, quantity: u64) -> Message {
        message(Body::Book(BookChange { update_id, side, price, quantity }))
    }

    #[test]
    fn a_level_that_comes_into_sight_is_told_and_one_that_falls_out_is_not() {
        let mut encoder = Encoder::new(&listing(), START_UNIX_NS, 10);
        let asks = (0..11).map(|n| (1_000 + n, 5)).collect();
        let mut wire = Vec::new();
        let mut numbering = Numbering::default();
        encoder.snapshot(
            &Snapshot { symbol: SymbolId(0), sequence: 0, update_id: 0, bids: vec![(999, 5)], asks },
            0,
            &mut numbering,
            &mut wire,
        );
        let text = String::from_utf8(wire).unwrap();
        assert!(text.contains(r#"{"price":100.9,"qty":0.00005000}],"checksum""#), "ten of eleven: {text}");
        let mut told = |message| {
            let mut wire = Vec::new();
            encoder.encode(&message, &mut numbering, &mut wire).then(|| String::from_utf8(wire).unwrap())
        };
        let removal = told(change(1, Side::Sell, 1_000, 0)).unwrap();
        let levels = r#""asks":[{"price":100.0,"qty":0.00000000},{"price":101.0,"qty":0.00005000}],"#;
        assert!(removal.contains(levels), "{removal}");
        let insertion = told(change(2, Side::Sell, 1_000, 7)).unwrap();
        assert!(insertion.contains(r#""asks":[{"price":100.0,"qty":0.00007000}],"#), "{insertion}");
        assert_eq!(told(change(3, Side::Sell, 1_010, 8)), None, "behind the tenth");
    }

    /// Text of a random wording: fields in reverse order among unknown ones, spaces, escapes. Numbers stay as they
    /// are, since their digits matter.
    fn reworded(wire: &str) -> String {
        use std::collections::BTreeMap;

        use serde_json::value::RawValue;
        if wire.starts_with('{') {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(wire).unwrap();
            let fields =
                fields.iter().rev().map(|(name, value)| format!("\"{name}\" :\t{}", reworded(value.get())));
            let unknown = r#""\ud83e\udd80":{"deep":[[{"er":"}]\\\""}],1.5e300,null]}"#.to_owned();
            format!("{{ {}\n}}", fields.chain([unknown]).collect::<Vec<_>>().join(" ,"))
        } else if wire.starts_with('[') {
            let elements: Vec<&RawValue> = serde_json::from_str(wire).unwrap();
            format!("[ {} ]", elements.iter().map(|it| reworded(it.get())).collect::<Vec<_>>().join(" , "))
        } else {
            wire.replace('/', "\\/").replace("\"b", "\"\\u0062")
        }
    }

    /// A message, as it is written by an encoder that knows why balances change.
    fn encoded(message: &Message) -> Option<String> {
        let mut encoder = encoder();
        let mut wire = Vec::new();
        if let Body::Balance(Balance { account, asset, .. }) = message.body {
            let transfer = Body::Transfer(Transfer { account, asset, amount: -7 });
            assert!(!encoder.encode(
                &Message { body: transfer, ..*message },
                &mut Numbering::default(),
                &mut wire
            ));
        }
        let mut numbering = Numbering { frames: 0, orders: 41, balances: 12 };
        encoder.encode(message, &mut numbering, &mut wire).then(|| String::from_utf8(wire).unwrap())
    }

    /// What a message must read as.
    fn expected(message: &Message) -> Vec<String> {
        let clock = WallClock::new(START_UNIX_NS);
        let us = |run_ns| clock.unix_ns(run_ns) / 1_000 * 1_000;
        let (listing, symbol) = (listing(), message.symbol);
        let instrument = listing.instrument(symbol);
        let number = |counted, number| format!("{:?}", Decoded::Numbered(Numbered { counted, number }));
        match &message.body {
            Body::Book(change) => {
                let level = [Level { price: change.price, quantity: change.quantity }];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                let mut ladders = [Side::Buy, Side::Sell].map(crate::ladder::Ladder::new);
                ladders[usize::from(change.side == Side::Sell)].set(change.price, change.quantity);
                let [bid_ladder, ask_ladder] = &ladders;
                let update = DepthUpdate {
                    symbol,
                    form: DepthForm::Update,
                    depth: None,
                    event_ns: None,
                    engine_ns: Some(us(message.event_ns)),
                    continuity: Continuity::None,
                    cross_sequence: None,
                    checksum: Some(checksum::of_book(bid_ladder, ask_ladder, instrument)),
                    bids,
                    asks,
                };
                vec![format!("{:?}", Decoded::Depth(update))]
            }
            Body::Trade(trade) => {
                let engine_ns = us(message.event_ns);
                let print = TradePrint { event_ns: None, engine_ns, ..TradePrint::of(message, trade, clock) };
                vec![format!("{:?}", Decoded::Trade(print))]
            }
            Body::Quote(quote) => {
                let [bid, ask] = [(quote.bid, quote.bid_quantity), (quote.ask, quote.ask_quantity)]
                    .map(|(price, quantity)| Level { price, quantity });
                let price = instrument.start_price;
                let update = TickerUpdate {
                    symbol,
                    event_ns: Some(us(message.due_ns)),
                    last: price,
                    high: price,
                    low: price,
                    volume: 0,
                    last_quantity: None,
                    best: Some([bid, ask]),
                    open: None,
                    change: Some(0),
                    change_share: Some(0),
                    weighted_average_units: Some(u64::from(price) * instrument.tick),
                    quote_volume_units: None,
                    previous_close: None,
                    trade_ids: None,
                    count: None,
                    window_ns: None,
                };
                vec![format!("{:?}", Decoded::Ticker(update))]
            }
            Body::Ticker(ticker) => {
                let full = TickerUpdate::of(message, ticker, instrument, RULES.share_step, clock);
                let average = full.weighted_average_units.unwrap();
                let update = TickerUpdate {
                    event_ns: Some(us(message.due_ns)),
                    weighted_average_units: Some(scale::Scale::of(instrument).rounded_to_price(average)),
                    last_quantity: None,
                    open: None,
                    quote_volume_units: None,
                    previous_close: None,
                    trade_ids: None,
                    count: None,
                    window_ns: None,
                    ..full
                };
                vec![format!("{:?}", Decoded::Ticker(update))]
            }
            Body::Execution(execution) => {
                let full = ExecutionReport::of(message, execution, instrument, clock);
                let fill = execution.kind == ExecutionKind::Trade;
                let report = ExecutionReport {
                    event_ns: None,
                    engine_ns: us(message.event_ns),
                    execution_id: full.execution_id.filter(|_| fill),
                    last_quote_units: full.last_quote_units.filter(|_| fill),
                    placed_ns: None,
                    ..full
                };
                vec![number(Counted::Orders, 42), format!("{:?}", Decoded::Execution(report))]
            }
            Body::Balance(balance) => {
                let balances = [AssetBalance {
                    locked_units: None,
                    change_units: Some(-7),
                    ..AssetBalance::of(balance)
                }];
                let update = BalanceUpdate {
                    account: balance.account,
                    event_ns: None,
                    engine_ns: us(message.event_ns),
                    form: DepthForm::Update,
                    balances: &balances,
                };
                vec![number(Counted::Balances, 13), format!("{:?}", Decoded::Balance(update))]
            }
            Body::Transfer(_) => Vec::new(),
            Body::Status(status) => {
                let update = StatusUpdate { symbol, event_ns: None, trading: status.trading };
                vec![format!("{:?}", Decoded::Status(update))]
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_message_reads_back_as_itself_and_is_written_again_the_same(message in any_message()) {
            let Some(wire) = encoded(&message) else {
                prop_assert!(matches!(message.body, Body::Transfer(_)));
                return Ok(());
            };
            prop_assert!(!wire.replace("User requested", "").contains(char::is_whitespace));
            let (said, again) = decoded_and_encoded(&listing(), &wire);
            prop_assert_eq!(&said, &expected(&message));
            if matches!(message.body, Body::Balance(_)) {
                // Why a balance has changed is not kept.
                prop_assert_eq!(self::said(&listing(), &again), said);
            } else {
                prop_assert_eq!(again, wire);
            }
        }

        #[test]
        fn another_wording_of_a_message_means_the_same(message in any_message()) {
            if let Some(wire) = encoded(&message) {
                prop_assert_eq!(said(&listing(), &wire), said(&listing(), &reworded(&wire)));
            }
        }

        #[test]
        fn damaged_messages_are_read_or_refused(
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
            Decoder::new(&listing()).decode_each(&wire, |_| said += 1);
            prop_assert!(said > 0 || serde_json::from_slice::<serde_json::Value>(&wire).is_ok());
            let _ = read_instruments(&wire);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!errors(&bytes).is_empty());
            let _ = read_instruments(&bytes);
        }

        /// The batch's message does to a subscriber what its changes do one by one, and has their last checksum.
        #[test]
        fn a_batch_of_changes_is_one_message_to_the_same_end(
            depth in prop_oneof![Just(10), Just(25)],
            before in proptest::collection::vec((any::<bool>(), 0..40u32, 0..3u64), 0..60),
            batch in proptest::collection::vec((any::<bool>(), 0..40u32, 0..3u64), 1..30),
        ) {
            let changes = |list: Vec<(bool, u32, u64)>| -> Vec<Message> {
                list.into_iter()
                    .map(|(buy, price, quantity)| match buy {
                        true => change(1, Side::Buy, 100 + price, quantity),
                        false => change(1, Side::Sell, 200 + price, quantity),
                    })
                    .collect()
            };
            let (before, batch) = (changes(before), changes(batch));
            let mut one_by_one = Encoder::new(&listing(), START_UNIX_NS, depth);
            let mut wire = Vec::new();
            let mut numbering = Numbering::default();
            let mut decoder = Decoder::new(&listing());
            let mut replicas = [(); 2].map(|()| crate::Replica::with_depth(Venue::Kraken, &listing(), depth));
            let empty = Snapshot { symbol: SymbolId(0), sequence: 0, update_id: 0, bids: vec![], asks: vec![] };
            replicas.iter_mut().for_each(|replica| replica.seed(&empty));
            replicas.iter_mut().for_each(|replica| replica.set_conduct(crate::Conduct::Batched));
            for message in &before {
                wire.clear();
                if one_by_one.encode(message, &mut numbering, &mut wire) {
                    decoder.decode_each(&wire, |item| {
                        let item = item.unwrap();
                        replicas.iter_mut().for_each(|replica| replica.apply(&item).unwrap());
                    });
                }
            }
            let mut at_once = one_by_one.clone();
            let [one, other] = &mut replicas;
            for message in &batch {
                wire.clear();
                if one_by_one.encode(message, &mut numbering, &mut wire) {
                    decoder.decode_each(&wire, |item| one.apply(&item.unwrap()).unwrap());
                }
            }
            wire.clear();
            if at_once.encode_batch(&batch, &mut numbering, &mut wire) {
                decoder.decode_each(&wire, |item| other.apply(&item.unwrap()).unwrap());
            }
            for side in [Side::Buy, Side::Sell] {
                let levels = |replica: &crate::Replica| replica.levels(SymbolId(0), side).collect::<Vec<_>>();
                prop_assert_eq!(levels(one), levels(other));
            }
            let nothing_left = at_once.encode_batch(&[batch[batch.len() - 1]], &mut numbering, &mut wire);
            prop_assert!(!nothing_left, "the last change is in the book already");
        }
    }

    #[test]
    fn a_batch_of_trades_is_one_message_with_all_of_them() {
        let trade =
            |trade_id| message(Body::Trade(Trade { trade_id, price: 9, quantity: 4, taker: Side::Sell }));
        let mut wire = Vec::new();
        assert!(encoder().encode_batch(&[trade(1), trade(2)], &mut Numbering::default(), &mut wire));
        let said = said(&listing(), std::str::from_utf8(&wire).unwrap());
        assert_eq!(said.len(), 2);
        assert!(said[0].contains("trade_id: 1") && said[1].contains("trade_id: 2"), "{said:?}");
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_what_is_allowed() {
        let text = |wire: &str| errors(wire.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
        let trade = example!("trade");
        for (wire, expected) in [
            ("[1]", "malformed at byte 0: invalid type: sequence, expected an object"),
            (
                &example!("book_update_insertion")
                    .replace(r#"{"price":67012.6,"qty":0.03000000}"#, "[67012.6,0.03]"),
                "malformed at byte 69: invalid type: sequence, expected an object",
            ),
            ("{}", "message without field \"channel\""),
            (
                r#"{"channel":"ohlc"}"#,
                "unknown event \"ohlc\", must be one of: book, trade, ticker, instrument, executions, balances, status, heartbeat",
            ),
            (r#"{"channel":7}"#, "field \"channel\" at byte 11 is 7, must be a string"),
            (
                r#"{"channel":"trade","type":"insert"}"#,
                "field \"type\" at byte 26 is \"insert\", must be snapshot or update",
            ),
            (
                r#"{"channel":"trade","type":"update","data":{}}"#,
                "field \"data\" at byte 42 is {}, must be an array",
            ),
            (&trade.replace("BTC/USD", "XBT/USD"), "unknown symbol \"XBT/USD\""),
            (
                &trade.replace("67012.5", "67012.51"),
                "price 67012.51 in field \"price\" of BTCUSD is not a whole number of ticks of 0.1",
            ),
            (
                &trade.replace("67012.5", "-67012.5"),
                "field \"price\" at byte 84 is -67012.5, must be a number with at most eight decimals, not negative",
            ),
            (
                &trade.replace("67012.5", "\"67012.5\""),
                "field \"price\" at byte 84 is \"67012.5\", must be a number with at most eight decimals",
            ),
            (&trade.replace("\"buy\"", "\"b\""), "field \"side\" at byte 70 is \"b\", must be buy or sell"),
            (
                &trade.replace("08:00", "24:00"),
                "field \"timestamp\" at byte 161 is \"2026-11-23T24:00:00.103412Z\", must be a time in UTC between 1970 and 2500, as \"2026-11-23T08:00:00.104210Z\"",
            ),
            (&trade.replace("\"price\"", "\"prize\""), "trade without field \"price\""),
            (
                &example!("book_update_removal").replace("1102843236", "-1"),
                "field \"checksum\" at byte 162 is -1, must be a whole number of 32 bits, not negative",
            ),
        ] {
            assert_eq!(text(wire), [expected], "{wire}");
        }
        assert_eq!(errors(b"{\"channel\":\"\xff\"}"), [DecodeError::NotUtf8 { offset: 12 }]);
        let deep = format!("{{\"channel\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(errors(deep.as_bytes()).len(), 1);
    }

    #[test]
    fn what_stands_before_a_mistake_is_said_all_the_same() {
        let trade = example!("trade");
        let entry = &trade[trade.find("[{").unwrap() + 1..trade.len() - 2];
        let two = trade.replace(entry, &[entry, &entry.replace("buy", "bye")].join(","));
        let mut kinds = Vec::new();
        Decoder::new(&documented()).decode_each(two.as_bytes(), |item| {
            kinds.push(item.map_or_else(|error| error.kind(), |_| "read"))
        });
        assert_eq!(kinds, ["read", "wrong_value"]);
    }

    #[test]
    fn there_is_room_for_the_largest_values() {
        let largest = Execution {
            account: AccountId(u32::MAX),
            order_id: u64::MAX,
            execution_id: u64::MAX,
            price: u32::MAX,
            quantity: u64::MAX / 1_000,
            trade_id: u64::MAX,
            fee: u64::MAX / 2,
            ..FILL
        };
        let quote = tickstorm_market::event::Quote {
            update_id: u64::MAX,
            bid: u32::MAX,
            bid_quantity: u64::MAX,
            ask: u32::MAX,
            ask_quantity: u64::MAX,
        };
        let ticker = tickstorm_market::event::Ticker {
            quote,
            last: u32::MAX,
            last_quantity: u64::MAX,
            open: 1,
            high: u32::MAX,
            low: 0,
            previous_close: 1,
            volume: u64::MAX,
            quote_volume: u128::from(u64::MAX) * u128::from(u32::MAX),
            first_trade_id: 0,
            last_trade_id: u64::MAX - 1,
            open_ns: 0,
        };
        for body in [
            Body::Execution(largest),
            Body::Ticker(ticker),
            Body::Quote(quote),
            Body::Book(BookChange {
                update_id: u64::MAX,
                price: u32::MAX,
                quantity: u64::MAX,
                side: Side::Buy,
            }),
            Body::Trade(Trade { trade_id: u64::MAX, price: u32::MAX, quantity: u64::MAX, taker: Side::Buy }),
            Body::Status(Status { trading: false }),
        ] {
            let text = encoded_by(&mut encoder(), body).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        let mut encoder = encoder();
        let (account, asset) = (AccountId(u32::MAX), AssetId(3));
        encoded_by(&mut encoder, Body::Transfer(Transfer { account, asset, amount: i64::MIN }));
        let last = Body::Balance(Balance { account, asset, free: u64::MAX, locked: u64::MAX });
        let text = encoded_by(&mut encoder, last).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }
}
