//! Bybit's wording, read: the market's topics at once into plain values, everything else, and whatever is not as
//! expected, field by field. So only the careful readers have errors to report.

mod account;
mod quick;
mod values;

use tickstorm_market::event::Side;
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::rules::QUOTE_DEPTH;
use crate::decoded::{
    AssetBalance, Continuity, Decoded, DepthForm, DepthUpdate, Level, QuoteUpdate, TickerUpdate, TradePrint,
};
use crate::decoder::DecodeError;
use crate::json::{Object, Value, quoted};
use crate::names::Names;
use values::{from_ms, id_number, price, quantity};

/// Reads messages; holds the levels, trades and balances of the last one.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    names: ListingNames,
    lists: Lists,
}

#[derive(Debug, Clone)]
struct ListingNames {
    listing: Listing,
    symbols: Names,
    assets: Names,
}

/// Room for what a message has a variable number of, used again for the next one.
#[derive(Debug, Clone, Default)]
struct Lists {
    bids: Vec<Level>,
    asks: Vec<Level>,
    trades: Vec<TradePrint>,
    balances: Vec<AssetBalance>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic<'a> {
    Book { depth: u32, symbol: &'a str },
    Trades { symbol: &'a str },
    Ticker { symbol: &'a str },
    Order,
    Execution,
    Wallet,
}

/// What a book message says beside the levels.
#[derive(Debug, Clone, Copy)]
struct BookHead<'a> {
    instrument: &'a Instrument,
    form: DepthForm,
    depth: u32,
    event_ns: u64,
    engine_ns: Option<u64>,
    count: u64,
    cross_sequence: Option<u64>,
}

impl Decoder {
    pub(crate) fn new(listing: &Listing) -> Self {
        Self {
            names: ListingNames {
                symbols: Names::new(listing.instruments.iter().map(|instrument| instrument.symbol.as_str())),
                assets: Names::new(listing.assets.iter().map(String::as_str)),
                listing: listing.clone(),
            },
            lists: Lists::default(),
        }
    }

    #[inline]
    pub(crate) fn decode_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Result<Decoded<'_>, DecodeError>),
    ) {
        if self.names.read_quick(bytes, &mut self.lists, &mut |decoded| each(Ok(decoded))).is_some() {
            return;
        }
        let read = self.names.read_any(bytes, &mut self.lists, &mut |decoded| each(Ok(decoded)));
        if let Err(error) = read {
            each(Err(error));
        }
    }
}

impl Decoder {
    /// A whole book as REST tells it: the number of its last change, bids and asks.
    pub(super) fn read_book(
        &mut self,
        result: &Object<'_>,
        symbol: SymbolId,
    ) -> Result<(u64, Vec<Level>, Vec<Level>), DecodeError> {
        let instrument = self.names.listing.instrument(symbol);
        same_symbol(result.field("s")?, &instrument.symbol)?;
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        any_levels(result.field("b")?, instrument, &mut bids)?;
        any_levels(result.field("a")?, instrument, &mut asks)?;
        Ok((result.field("seq")?.number()?, bids, asks))
    }
}

impl<'a> Topic<'a> {
    fn parse(topic: &'a str) -> Option<Self> {
        let (kind, rest) = topic.split_once('.').unwrap_or((topic, ""));
        Some(match kind {
            "orderbook" => {
                let (depth, symbol) = rest.split_once('.')?;
                Topic::Book { depth: depth.parse().ok().filter(|&depth| depth > 0)?, symbol }
            }
            "publicTrade" => Topic::Trades { symbol: rest },
            "tickers" => Topic::Ticker { symbol: rest },
            // The topics of all categories together, or that of spot alone.
            "order" if rest.is_empty() || rest == "spot" => Topic::Order,
            "execution" if rest.is_empty() || rest == "spot" => Topic::Execution,
            "wallet" if rest.is_empty() => Topic::Wallet,
            _ => return None,
        })
    }
}

impl BookHead<'_> {
    /// The best prices, where the topic has no other levels; else the book.
    #[inline]
    fn complete<'l>(&self, lists: &'l Lists) -> Decoded<'l> {
        if self.depth == QUOTE_DEPTH {
            let best = |levels: &[Level]| levels.first().copied().filter(|level| level.quantity > 0);
            return Decoded::Quote(QuoteUpdate {
                symbol: self.instrument.id,
                event_ns: Some(self.event_ns),
                update_id: self.cross_sequence.unwrap_or(self.count),
                bid: best(&lists.bids).unwrap_or_default(),
                ask: best(&lists.asks).unwrap_or_default(),
            });
        }
        Decoded::Depth(DepthUpdate {
            symbol: self.instrument.id,
            form: self.form,
            depth: Some(self.depth),
            event_ns: Some(self.event_ns),
            engine_ns: self.engine_ns,
            continuity: Continuity::Count(self.count),
            cross_sequence: self.cross_sequence,
            checksum: None,
            bids: &lists.bids,
            asks: &lists.asks,
        })
    }
}

fn depth_form(name: &str) -> Option<DepthForm> {
    match name {
        "snapshot" => Some(DepthForm::Snapshot),
        "delta" => Some(DepthForm::Update),
        _ => None,
    }
}

fn side(name: &str) -> Option<Side> {
    match name {
        "Buy" => Some(Side::Buy),
        "Sell" => Some(Side::Sell),
        _ => None,
    }
}

/// The careful readers. What they read is handed to `each` as it is found.
impl ListingNames {
    #[cold]
    fn read_any(
        &self,
        bytes: &[u8],
        lists: &mut Lists,
        each: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let mut message = Object::parse(bytes)?;
        let Some(topic) = message.find("topic") else {
            // What is no push is an answer: of the socket, of the trading socket, or of REST.
            if !["success", "op", "retCode"].into_iter().any(|field| message.find(field).is_some()) {
                return Err(DecodeError::MissingField { event: "message", field: "topic" });
            }
            each(Decoded::Control);
            return Ok(());
        };
        let name = topic.string()?;
        match Topic::parse(&name) {
            Some(Topic::Book { depth, symbol }) => {
                each(self.any_book(message.called("orderbook"), depth, symbol, lists)?.complete(lists));
                Ok(())
            }
            Some(Topic::Trades { symbol }) => self.any_trades(message.called("publicTrade"), symbol, each),
            Some(Topic::Ticker { symbol }) => {
                each(Decoded::Ticker(self.any_ticker(message.called("tickers"), symbol)?));
                Ok(())
            }
            Some(Topic::Order) => self.any_orders(message.called("order"), each),
            Some(Topic::Execution) => self.any_executions(message.called("execution"), each),
            Some(Topic::Wallet) => self.any_wallet(message.called("wallet"), lists, each),
            None => Err(DecodeError::UnknownEvent { event: quoted(&name), allowed: TOPICS }),
        }
    }

    fn any_book(
        &self,
        message: &Object<'_>,
        depth: u32,
        symbol: &str,
        lists: &mut Lists,
    ) -> Result<BookHead<'_>, DecodeError> {
        let instrument = self.symbol(symbol)?;
        let data = message.field("data")?.object()?;
        same_symbol(data.field("s")?, symbol)?;
        let form = message.field("type")?;
        let form = depth_form(&form.string()?).ok_or_else(|| form.wrong("snapshot or delta"))?;
        for (field, levels) in [("b", &mut lists.bids), ("a", &mut lists.asks)] {
            let value = data.field(field)?;
            any_levels(value, instrument, levels)?;
            if depth == QUOTE_DEPTH && levels.len() > 1 {
                return Err(value.wrong("one level at most"));
            }
        }
        if depth == QUOTE_DEPTH && form != DepthForm::Snapshot {
            return Err(message.field("type")?.wrong("snapshot, of one level"));
        }
        Ok(BookHead {
            instrument,
            form,
            depth,
            event_ns: from_ms(message.field("ts")?.number()?),
            engine_ns: message.find("cts").map(Value::number).transpose()?.map(from_ms),
            count: data.field("u")?.number()?,
            cross_sequence: data.find("seq").map(Value::number).transpose()?,
        })
    }

    fn any_trades(
        &self,
        message: &Object<'_>,
        symbol: &str,
        each: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let instrument = self.symbol(symbol)?;
        let event_ns = from_ms(message.field("ts")?.number()?);
        for trade in message.field("data")?.array()? {
            let trade = trade.object()?;
            same_symbol(trade.field("s")?, symbol)?;
            let taker = trade.field("S")?;
            each(Decoded::Trade(TradePrint {
                symbol: instrument.id,
                event_ns: Some(event_ns),
                engine_ns: from_ms(trade.field("T")?.number()?),
                trade_id: id_number(&trade.field("i")?.string()?),
                matches: 1,
                price: price(trade.field("p")?, instrument)?,
                quantity: quantity(trade.field("v")?, instrument)?,
                taker: side(&taker.string()?).ok_or_else(|| taker.wrong("Buy or Sell"))?,
                cross_sequence: trade.find("seq").map(Value::number).transpose()?,
            }));
        }
        Ok(())
    }

    fn any_ticker(&self, message: &Object<'_>, symbol: &str) -> Result<TickerUpdate, DecodeError> {
        let instrument = self.symbol(symbol)?;
        let data = message.field("data")?.object()?;
        same_symbol(data.field("symbol")?, symbol)?;
        let tick_price = |field| price(data.field(field)?, instrument);
        let share = data.field("price24hPcnt")?;
        let share_units = i64::try_from(share.signed_units()?);
        Ok(TickerUpdate {
            symbol: instrument.id,
            event_ns: Some(from_ms(message.field("ts")?.number()?)),
            last: tick_price("lastPrice")?,
            high: tick_price("highPrice24h")?,
            low: tick_price("lowPrice24h")?,
            volume: quantity(data.field("volume24h")?, instrument)?,
            last_quantity: None,
            best: None,
            open: Some(tick_price("prevPrice24h")?),
            change: None,
            change_share: Some(share_units.map_err(|_| share.wrong("a share below 2^63 of 1e-8"))?),
            weighted_average_units: None,
            quote_volume_units: Some(data.field("turnover24h")?.units()?),
            previous_close: None,
            trade_ids: None,
            count: None,
            window_ns: None,
        })
    }

    #[inline]
    fn find_symbol(&self, name: &str) -> Option<&Instrument> {
        let index = self.symbols.find(name.as_bytes())?;
        Some(&self.listing.instruments[index as usize])
    }

    fn symbol(&self, name: &str) -> Result<&Instrument, DecodeError> {
        self.find_symbol(name).ok_or_else(|| DecodeError::UnknownSymbol { symbol: quoted(name) })
    }

    fn asset(&self, value: Value<'_>) -> Result<AssetId, DecodeError> {
        let name = value.string()?;
        let index = self.assets.find(name.as_bytes());
        index.map(AssetId).ok_or_else(|| DecodeError::UnknownAsset { asset: quoted(&name) })
    }
}

fn same_symbol(value: Value<'_>, symbol: &str) -> Result<(), DecodeError> {
    if value.string()? == symbol { Ok(()) } else { Err(value.wrong("the symbol that was asked for")) }
}

fn any_levels(value: Value<'_>, instrument: &Instrument, levels: &mut Vec<Level>) -> Result<(), DecodeError> {
    levels.clear();
    for element in value.array()? {
        let mut parts = element.array()?;
        let (Some(at), Some(size)) = (parts.next(), parts.next()) else {
            return Err(element.wrong("[price, size]"));
        };
        levels.push(Level { price: price(at, instrument)?, quantity: quantity(size, instrument)? });
    }
    Ok(())
}

const TOPICS: &str =
    "orderbook.<depth>.<symbol>, publicTrade.<symbol>, tickers.<symbol>, order, execution, wallet";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listing;

    fn said(text: &str) -> Vec<Result<String, DecodeError>> {
        let mut said = Vec::new();
        Decoder::new(&listing())
            .decode_each(text.as_bytes(), |it| said.push(it.map(|decoded| format!("{decoded:?}"))));
        said
    }

    fn error(text: &str) -> String {
        match &said(text)[..] {
            [Err(error)] => error.to_string(),
            other => panic!("{text} was read as {other:?}"),
        }
    }

    /// The message with one piece replaced, which must be there.
    fn damaged(text: &str, piece: &str, by: &str) -> String {
        assert!(text.contains(piece), "{piece} in {text}");
        error(&text.replacen(piece, by, 1))
    }

    const BOOK: &str = r#"{"topic":"orderbook.50.BTCUSDT","ts":9,"type":"delta","data":{"s":"BTCUSDT","b":[["67012.4","0.12"]],"a":[],"u":5,"seq":6},"cts":8}"#;
    const TRADES: &str = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":9,"data":[{"i":"7","T":8,"p":"67012.5","v":"0.011","S":"Buy","s":"BTCUSDT","BT":false,"RPI":false,"seq":3},{"i":"8","T":8,"p":"67012.5","v":"0.011","S":"Sell","s":"BTCUSDT"}]}"#;
    const WALLET: &str = include_str!("../../../../testdata/bybit/wallet.json");
    const ORDER: &str = include_str!("../../../../testdata/bybit/order.json");
    const EXECUTION: &str = include_str!("../../../../testdata/bybit/execution.json");

    #[test]
    fn prices_and_quantities_between_the_steps_are_named() {
        assert_eq!(
            damaged(BOOK, "67012.4", "67012.45"),
            "price 67012.45 in field \"b\" of BTCUSDT is not a whole number of ticks of 0.1"
        );
        assert_eq!(
            damaged(BOOK, "0.12", "0.120005"),
            "quantity 0.120005 in field \"b\" of BTCUSDT is not a whole number of lots of 0.00001"
        );
        assert_eq!(
            damaged(BOOK, "67012.4", "429496729.6"),
            "price 429496729.6 in field \"b\" of BTCUSDT is not a whole number of ticks of 0.1"
        );
    }

    /// The value of a field replaced by another, which the error names with its place and what is allowed.
    fn assert_named(text: &str, field: &str, value: &str, by: &str, allowed: &str) {
        let offset = text.find(value).unwrap_or_else(|| panic!("{value} in {text}"));
        let expected = format!("field {field:?} at byte {offset} is {by}, must be {allowed}");
        assert_eq!(damaged(text, value, by), expected);
    }

    #[test]
    fn wrong_values_are_named_with_their_place() {
        let decimal = "a decimal in quotes, not negative, with at most eight places";
        for wrong in ["\"-0.12\"", "\"1e3\"", "\"0.123456789\"", "\"\"", "0.12", "null", "[]"] {
            assert_named(BOOK, "b", "\"0.12\"", wrong, decimal);
        }
        let number = "a whole number, not negative";
        assert_named(&BOOK.replace("5,", "555,"), "u", "555", "\"555\"", number);
        assert_named(&BOOK.replace(":8", ":888"), "cts", "888", "null", number);
        assert_named(BOOK, "type", "\"delta\"", "\"full\"", "snapshot or delta");
        assert_named(BOOK, "s", "\"BTCUSDT\"", "\"PEPEUSDT\"", "the symbol that was asked for");
        assert_named(BOOK, "b", "[\"67012.4\",\"0.12\"]", "[]", "[price, size]");
        assert_named(EXECUTION, "leavesQty", "\"0.039\"", "\"0.06\"", "at most orderQty");
        assert_named(ORDER, "category", "\"spot\"", "\"linear\"", "spot");
        assert_named(ORDER, "updatedTime", "\"1795420800104\"", "1795420800104", "milliseconds in quotes");
        let states = "New, PartiallyFilled, Filled, Cancelled or PartiallyFilledCanceled";
        assert_named(ORDER, "orderStatus", "\"PartiallyFilled\"", "\"Untriggered\"", states);
        let best = BOOK.replace("orderbook.50", "orderbook.1");
        assert_eq!(
            error(&best),
            format!(
                "field \"type\" at byte {} is \"delta\", must be snapshot, of one level",
                best.find("\"delta").unwrap()
            )
        );
        let two = best.replace("[[", "[[\"1\",\"1\"],[").replace("delta", "snapshot");
        assert!(error(&two).ends_with("must be one level at most"), "{}", error(&two));
    }

    #[test]
    fn missing_fields_and_unknown_names_are_named() {
        assert_eq!(damaged(BOOK, "\"u\":5,", ""), "data without field \"u\"");
        assert_eq!(damaged(BOOK, "\"ts\":9,", ""), "orderbook without field \"ts\"");
        assert_eq!(error("{}"), "message without field \"topic\"");
        assert_eq!(damaged(BOOK, "50.BTCUSDT", "50.BTCEUR"), "unknown symbol \"BTCEUR\"");
        assert_eq!(damaged(WALLET, "\"coin\":\"BTC\"", "\"coin\":\"EUR\""), "unknown asset \"EUR\"");
        let allowed = "must be one of: orderbook.<depth>.<symbol>, publicTrade.<symbol>, tickers.<symbol>, order, execution, wallet";
        for topic in
            ["kline.1.BTCUSDT", "orderbook.BTCUSDT", "orderbook.0.BTCUSDT", "order.linear", "wallet.x"]
        {
            assert_eq!(
                damaged(BOOK, "orderbook.50.BTCUSDT", topic),
                format!("unknown event {topic:?}, {allowed}")
            );
        }
    }

    #[test]
    fn trades_before_a_wrong_one_are_read() {
        let text = TRADES.replace("Sell", "Both");
        let found = said(&text);
        assert!(found[0].as_ref().is_ok_and(|trade| trade.contains("trade_id: 7")), "{found:?}");
        assert_eq!(found[1].as_ref().map_err(DecodeError::kind), Err("wrong_value"));
        assert_eq!(said(TRADES).len(), 2);
    }

    #[test]
    fn statistics_of_other_categories_are_refused() {
        let linear = include_str!("../../../../testdata/bybit/tickers_linear.json");
        assert_eq!(error(linear), "data without field \"price24hPcnt\"");
    }

    #[test]
    fn accounts_are_read_from_our_own_ids_only() {
        let account = |link: &str| {
            let text = ORDER.replace("\"ts-000017\"", &serde_json::Value::from(link).to_string());
            let found = said(&text).remove(0).unwrap();
            let start = found.find("AccountId(").unwrap() + "AccountId(".len();
            found[start..].split(')').next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(account("ts-12-17"), 12);
        assert_eq!(account("ts-4294967295-18446744073709551615"), 4_294_967_295);
        for foreign in ["", "ts-000017", "ts-1-", "ts--1", "ts-1-1-1", "ts-4294967296-1", "x-1-1", "ts-+1-1"]
        {
            assert_eq!(account(foreign), 0, "{foreign:?}");
        }
    }

    #[test]
    fn ids_that_are_no_numbers_are_hashed_alike_wherever_they_appear() {
        let id = |text: &str| match said(text).remove(0) {
            Ok(found) => {
                let start = found.find("trade_id: ").unwrap() + "trade_id: ".len();
                found[start..].trim_start_matches("Some(").split([',', ')']).next().unwrap().to_owned()
            }
            Err(error) => panic!("{error}"),
        };
        let uuid = "5c1e2a7e-0000-4000-8000-000000000001";
        let trade = id(&TRADES.replace("\"7\"", &format!("\"{uuid}\"")));
        let fill = id(&EXECUTION.replace("2290000000012201", uuid));
        assert_eq!(trade, fill);
        assert_ne!(trade, id(TRADES));
    }

    #[test]
    fn values_that_the_venue_leaves_empty_are_not_told() {
        let text = ORDER.replace("\"737.1375\"", "\"\"").replace("\"price\":\"67012.5\"", "\"price\":\"\"");
        let found = said(&text).remove(0).unwrap();
        assert!(found.contains("filled_quote_units: None"), "{found}");
        assert!(found.contains(" price: 0,"), "{found}");
        let wallet = said(&WALLET.replace("\"locked\":\"0.039\"", "\"locked\":\"\"")).remove(0).unwrap();
        assert!(wallet.contains("locked_units: None"), "{wallet}");
    }

    #[test]
    fn the_fields_of_a_wallet_with_several_accounts_are_updates_of_their_own() {
        let whole: serde_json::Value = serde_json::from_str(WALLET).unwrap();
        let mut twice = whole.clone();
        twice["data"] = serde_json::json!([whole["data"][0], whole["data"][0]]);
        assert_eq!(said(&twice.to_string()), [said(WALLET), said(WALLET)].concat());
    }

    #[test]
    fn malformed_text_is_refused_with_its_place() {
        assert_eq!(error(""), "malformed at byte 0: EOF while parsing a value");
        assert_eq!(error(&BOOK[..40]), "malformed at byte 39: EOF while parsing a string");
        assert_eq!(
            error(&format!("{BOOK}{BOOK}")),
            format!("malformed at byte {}: trailing characters", BOOK.len())
        );
        let deep = BOOK.replace("\"ts\"", &format!("\"zz\":{},\"ts\"", "[".repeat(1_000_000)));
        assert!(error(&deep).starts_with("nested deeper than 32 levels at byte"), "{:.80}", error(&deep));
    }

    /// The careful readers are several times slower: what the market says most must not need them.
    #[test]
    fn everything_that_the_market_says_in_public_is_read_the_quick_way() {
        let decoder = Decoder::new(&listing());
        let example = |name: &str| name.trim_end().to_owned();
        for text in [
            BOOK.to_owned(),
            TRADES.to_owned(),
            example(include_str!("../../../../testdata/bybit/orderbook_snapshot.json")),
            example(include_str!("../../../../testdata/bybit/orderbook_delta.json")),
            example(include_str!("../../../../testdata/bybit/orderbook_1.json")),
            example(include_str!("../../../../testdata/bybit/public_trade.json")),
        ] {
            let mut lists = Lists::default();
            assert!(decoder.names.read_quick(text.as_bytes(), &mut lists, &mut |_| ()).is_some(), "{text}");
        }
    }
}
