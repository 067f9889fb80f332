//! Binance's wording, read: first as the venue writes it, byte for byte, then as any JSON.
//!
//! The fast readers know the order of the fields and give up at the first surprise, a wrong value included;
//! the careful ones then find out what it is. So only the careful ones have errors to report.

mod foreign;
mod known;

pub(super) use foreign::read_rest_book;

use std::ops::Range;

use tickstorm_market::event::{AccountId, ExecutionKind, Side};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use crate::decoded::{
    AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, Level, OrderStatus,
};
use crate::decoder::DecodeError;
use crate::json::{skip_space, unfinished, value_end};
use crate::names::Names;

/// Reads messages; holds the levels and balances of the last one.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    names: ListingNames,
    lists: Lists,
}

#[derive(Debug, Clone)]
struct ListingNames {
    listing: Listing,
    symbols: Names,
    /// Symbols as the names of streams have them: in small letters.
    streams: Names,
    assets: Names,
}

/// Room for what a message has a variable number of, used again for the next one.
#[derive(Debug, Clone, Default)]
struct Lists {
    /// Bids, then asks.
    levels: Vec<Level>,
    bids_count: usize,
    balances: Vec<AssetBalance>,
}

/// A message without its lists, so that it can be passed on while they are still being written.
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
enum Head {
    Update {
        symbol: SymbolId,
        event_ns: u64,
        first: u64,
        last: u64,
    },
    /// All levels, or so many of the best.
    Book {
        symbol: SymbolId,
        depth: Option<u32>,
        last: u64,
    },
    Balance {
        account: AccountId,
        event_ns: u64,
        engine_ns: u64,
    },
    Other(Decoded<'static>),
}

/// What a message in a foreign wording is.
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
enum Found {
    One(Head),
    /// A wrapper around several, which are these bytes of it.
    Batch(Range<usize>),
}

impl Decoder {
    pub(crate) fn new(listing: &Listing) -> Self {
        let symbols = || listing.instruments.iter().map(|instrument| &*instrument.symbol);
        let streams: Vec<String> = symbols().map(str::to_lowercase).collect();
        Self {
            names: ListingNames {
                symbols: Names::new(symbols()),
                streams: Names::new(streams.iter().map(String::as_str)),
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
        match self.names.read_known(bytes, 0, &mut self.lists) {
            Some((head, end)) if end == bytes.len() => each(Ok(self.lists.complete(head))),
            _ if bytes.get(skip_space(bytes, 0)) == Some(&b'[') => self.batch(bytes, 0, &mut each),
            _ => self.foreign(bytes, 0, &mut each),
        }
    }

    /// The one thing that a message says.
    #[cfg(test)]
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded<'_>, DecodeError> {
        let head = match self.names.read_known(bytes, 0, &mut self.lists) {
            Some((head, end)) if end == bytes.len() => head,
            _ => match self.names.read_foreign(bytes, &mut self.lists)? {
                Found::One(head) => head,
                Found::Batch(_) => panic!("several messages in one wrapper"),
            },
        };
        Ok(self.lists.complete(head))
    }

    /// A batch that begins at `start` of what errors refer to.
    fn batch(&mut self, bytes: &[u8], start: usize, each: &mut Each<'_>) {
        let mut at = skip_space(bytes, skip_space(bytes, 0) + 1);
        if bytes.get(at) == Some(&b']') {
            return expect_end(bytes, at + 1, start, each);
        }
        loop {
            let end = match self.names.read_known(bytes, at, &mut self.lists) {
                Some((head, end)) => {
                    each(Ok(self.lists.complete(head)));
                    end
                }
                None => match value_end(bytes, at) {
                    Ok(end) => {
                        self.foreign(&bytes[at..end], start + at, each);
                        end
                    }
                    Err(error) => return each(Err(error.moved(start))),
                },
            };
            at = skip_space(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => return expect_end(bytes, at + 1, start, each),
                Some(_) => return each(Err(surprise(start + at, "expected `,` or `]`"))),
                None => return each(Err(unfinished(bytes).moved(start))),
            }
        }
    }

    /// A message in a foreign wording, or with a mistake. Wrappers cannot nest without end, since brackets cannot.
    #[cold]
    fn foreign(&mut self, bytes: &[u8], start: usize, each: &mut Each<'_>) {
        match self.names.read_foreign(bytes, &mut self.lists) {
            Ok(Found::One(head)) => each(Ok(self.lists.complete(head))),
            Ok(Found::Batch(part)) => self.batch(&bytes[part.clone()], start + part.start, each),
            Err(error) => each(Err(error.moved(start))),
        }
    }
}

type Each<'a> = dyn FnMut(Result<Decoded<'_>, DecodeError>) + 'a;

/// Behind a batch there is nothing but white space.
fn expect_end(bytes: &[u8], at: usize, start: usize, each: &mut Each<'_>) {
    let at = skip_space(bytes, at);
    if at < bytes.len() {
        each(Err(surprise(start + at, "text behind the array")));
    }
}

fn surprise(offset: usize, problem: &str) -> DecodeError {
    DecodeError::Malformed { offset, problem: problem.to_owned() }
}

impl Lists {
    #[inline]
    fn clear(&mut self) {
        self.levels.clear();
        self.balances.clear();
    }

    #[inline]
    fn complete(&self, head: Head) -> Decoded<'_> {
        match head {
            Head::Update { symbol, event_ns, first, last } => Decoded::Depth(DepthUpdate {
                event_ns: Some(event_ns),
                ..self.depth(symbol, DepthForm::Update, [first, last])
            }),
            Head::Book { symbol, depth, last } => {
                Decoded::Depth(DepthUpdate { depth, ..self.depth(symbol, DepthForm::Snapshot, [last; 2]) })
            }
            Head::Balance { account, event_ns, engine_ns } => Decoded::Balance(BalanceUpdate {
                account,
                event_ns: Some(event_ns),
                engine_ns,
                form: DepthForm::Update,
                balances: &self.balances,
            }),
            Head::Other(decoded) => decoded,
        }
    }

    #[inline]
    fn depth(&self, symbol: SymbolId, form: DepthForm, [first, last]: [u64; 2]) -> DepthUpdate<'_> {
        let (bids, asks) = self.levels.split_at(self.bids_count);
        DepthUpdate {
            symbol,
            form,
            depth: None,
            event_ns: None,
            engine_ns: None,
            continuity: Continuity::Range { first, last },
            cross_sequence: None,
            checksum: None,
            bids,
            asks,
        }
    }
}

fn asset_balance(asset: AssetId, free_units: i64, locked_units: i64) -> Option<AssetBalance> {
    let total_units = free_units.checked_add(locked_units)?;
    Some(AssetBalance { asset, total_units, locked_units: Some(locked_units), change_units: None })
}

/// A time on the wire: milliseconds, or microseconds where the client has asked for them. Beyond the year 2500 it is
/// the last instant there is.
#[inline(always)]
pub(super) fn from_wire_time(time: u64) -> u64 {
    time.saturating_mul(if time > MS_MAX { 1_000 } else { 1_000_000 })
}

/// As milliseconds 32,000 years ahead, as microseconds in 2001.
const MS_MAX: u64 = 1_000_000_000_000_000;

#[inline(always)]
fn whole_steps(units: u64, step: u64) -> Option<u64> {
    let steps = units.checked_div(step)?;
    (steps * step == units).then_some(steps)
}

/// Whole lots of an amount that may exceed 64 bits, as a day's volume of a cheap coin does.
#[inline]
fn whole_lots(units: u128, instrument: &Instrument) -> Option<u64> {
    if let Ok(units) = u64::try_from(units) {
        return whole_steps(units, instrument.lot);
    }
    let lots = u64::try_from(units.checked_div(instrument.lot.into())?).ok()?;
    (u128::from(lots) * u128::from(instrument.lot) == units).then_some(lots)
}

fn side(name: &[u8]) -> Option<Side> {
    match name {
        b"BUY" => Some(Side::Buy),
        b"SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// The venue itself may end an order, at a rule of its own or to keep its owner from trading with himself.
fn execution_kind(name: &[u8]) -> Option<ExecutionKind> {
    match name {
        b"NEW" => Some(ExecutionKind::New),
        b"TRADE" => Some(ExecutionKind::Trade),
        b"CANCELED" | b"EXPIRED" | b"TRADE_PREVENTION" => Some(ExecutionKind::Canceled),
        _ => None,
    }
}

fn order_status(name: &[u8]) -> Option<OrderStatus> {
    match name {
        b"NEW" | b"PENDING_NEW" => Some(OrderStatus::New),
        b"PARTIALLY_FILLED" => Some(OrderStatus::PartiallyFilled),
        b"FILLED" => Some(OrderStatus::Filled),
        b"CANCELED" | b"EXPIRED" | b"EXPIRED_IN_MATCH" => Some(OrderStatus::Canceled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tickstorm_market::{MarketSpec, ShardMarket};
    use tickstorm_random::Seed;

    use super::*;
    use crate::Numbering;
    use crate::testing::{START_UNIX_NS, listing};

    fn error(text: &str) -> String {
        let mut decoder = Decoder::new(&listing());
        match decoder.decode(text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(decoded) => panic!("{text} was read as {decoded:?}"),
        }
    }

    const DEPTH: &str =
        r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":5,"u":6,"b":[["67012.40000000","0.12000000"]],"a":[]}"#;
    const TRANSFER: &str =
        r#"{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1,"a":"USDT","d":"250.00000000","T":1}}"#;

    /// The message with one piece replaced, which must be there.
    fn damaged(text: &str, piece: &str, by: &str) -> String {
        assert!(text.contains(piece), "{piece} in {text}");
        error(&text.replacen(piece, by, 1))
    }

    #[test]
    fn prices_and_quantities_between_the_steps_are_named() {
        assert_eq!(
            damaged(DEPTH, "67012.40000000", "67012.45000000"),
            "price 67012.45 in field \"b\" of BTCUSDT is not a whole number of ticks of 0.1"
        );
        assert_eq!(
            damaged(DEPTH, "0.12000000", "0.12000500"),
            "quantity 0.120005 in field \"b\" of BTCUSDT is not a whole number of lots of 0.00001"
        );
        assert_eq!(
            damaged(DEPTH, "67012.40000000", "429496729.60000000"),
            "price 429496729.6 in field \"b\" of BTCUSDT is not a whole number of ticks of 0.1"
        );
    }

    #[test]
    fn values_that_are_no_decimals_are_named_with_their_place() {
        let allowed = "must be a decimal in quotes, not negative, with at most eight places";
        for wrong in ["\"-0.12000000\"", "\"1e3\"", "\"0.123456789\"", "\"\"", "0.12", "null", "[]"] {
            let found = damaged(DEPTH, "\"0.12000000\"", wrong);
            assert_eq!(found, format!("field \"b\" at byte 74 is {wrong}, {allowed}"));
        }
        let long = "9".repeat(1000);
        let found = damaged(DEPTH, "0.12000000", &long);
        assert_eq!(found, format!("field \"b\" at byte 74 is \"{}..., {allowed}", "9".repeat(63)));
    }

    #[test]
    fn unknown_symbols_assets_and_events_are_named() {
        assert_eq!(damaged(DEPTH, "BTCUSDT", "btcusdt"), "unknown symbol \"btcusdt\"");
        assert_eq!(damaged(TRANSFER, "USDT", "EUR"), "unknown asset \"EUR\"");
        let allowed = "depthUpdate, trade, aggTrade, 24hrTicker, 24hrMiniTicker, executionReport, \
            outboundAccountPosition, balanceUpdate, or none for a book ticker";
        for (text, event, by) in [(DEPTH, "depthUpdate", "kline"), (TRANSFER, "balanceUpdate", "blockTrade")]
        {
            let expected = format!("unknown event {by:?}, must be one of: {allowed}");
            assert_eq!(damaged(text, event, by), expected);
        }
    }

    const PARTIAL: &str = r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":7,"bids":[],"asks":[]}}"#;

    #[test]
    fn missing_and_wrong_fields_are_named() {
        assert_eq!(damaged(DEPTH, "\"U\":5,", ""), "depthUpdate without field \"U\"");
        assert_eq!(damaged(TRANSFER, "\"d\":\"250.00000000\",", ""), "balanceUpdate without field \"d\"");
        assert_eq!(error(r#"{"u":1}"#), "bookTicker without field \"s\"");
        assert_eq!(damaged(DEPTH, "\"u\":6", "\"u\":4"), "field \"u\" at byte 49 is 4, must be at least U");
        assert_eq!(
            damaged(DEPTH, "\"E\":1", "\"E\":1.5"),
            "field \"E\" at byte 23 is 1.5, must be a whole number, not negative"
        );
        assert_eq!(
            damaged(TRANSFER, "\"subscriptionId\":0", "\"subscriptionId\":4294967296"),
            "field \"subscriptionId\" at byte 18 is 4294967296, must be a whole number below 2^32"
        );
        assert_eq!(damaged(DEPTH, "[[", "[[],["), "field \"b\" at byte 56 is [], must be [price, quantity]");
        let allowed = "must be the stream of a listed symbol's best levels, as \"btcusdt@depth20\"";
        for wrong in ["ethusdt@depth5", "btcusdt@depth", "btcusdt@depthx", "btcusdt@trade", "btcusdt", ""] {
            let found = damaged(PARTIAL, "btcusdt@depth5", wrong);
            assert_eq!(found, format!("field \"stream\" at byte 10 is {wrong:?}, {allowed}"));
        }
        assert_eq!(damaged(PARTIAL, "\"stream\"", "\"strom\""), "bookTicker without field \"s\"");
        assert_eq!(
            error(r#"{"lastUpdateId":7,"bids":[],"asks":[]}"#),
            "depth without field \"symbol\"",
            "a book without a wrapper could be of any symbol"
        );
        assert_eq!(
            error(r#"{"id":"r1","status":200,"result":{"lastUpdateId":7,"bids":[],"asks":[]}}"#),
            "unknown symbol \"r1\""
        );
    }

    #[test]
    fn malformed_text_is_refused_with_its_place() {
        assert_eq!(error(""), "malformed at byte 0: EOF while parsing a value");
        assert_eq!(error("[]"), "malformed at byte 0: invalid type: sequence, expected a JSON object");
        assert_eq!(error("\n\n {\"e\":tru}"), "malformed at byte 11: expected ident");
        assert_eq!(error(&DEPTH[..40]), "malformed at byte 39: EOF while parsing a string");
        assert_eq!(
            error(&format!("{DEPTH}{DEPTH}")),
            format!("malformed at byte {}: trailing characters", DEPTH.len())
        );
        let mut decoder = Decoder::new(&listing());
        let damaged = DEPTH.replace("BTC", "BT\u{e9}").replace('\u{e9}', "?");
        let mut bytes = damaged.into_bytes();
        let offset = bytes.iter().position(|&byte| byte == b'?').unwrap();
        bytes[offset] = 0xe9;
        assert_eq!(decoder.decode(&bytes), Err(DecodeError::NotUtf8 { offset }));
    }

    #[test]
    fn text_nested_without_end_is_refused_before_it_costs_anything() {
        let mut decoder = Decoder::new(&listing());
        let deep = "[".repeat(1_000_000);
        let unknown = DEPTH.replace("{\"e\"", &format!("{{\"zz\":{deep},\"e\""));
        for text in [&deep, &unknown] {
            let offset = text.find("[[").unwrap() + if text == &deep { 32 } else { 31 };
            assert_eq!(decoder.decode(text.as_bytes()), Err(DecodeError::TooDeep { offset, allowed: 32 }));
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = DEPTH.replace("{\"e\"", &format!("{{\"zz\":\"{}\\\"[\",\"e\"", "[".repeat(100)));
        assert!(Decoder::new(&listing()).decode(text.as_bytes()).is_ok());
    }

    #[test]
    fn of_fields_with_one_name_the_last_counts() {
        let text = DEPTH.replace("\"E\":1,", "\"E\":1,\"\\u0045\":7,");
        match Decoder::new(&listing()).decode(text.as_bytes()) {
            Ok(Decoded::Depth(update)) => assert_eq!(update.event_ns, Some(7_000_000)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn balances_below_zero_can_be_read() {
        let text = r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"BTC","f":"-0.00000001","l":"0.00000000"}]}}"#;
        match Decoder::new(&listing()).decode(text.as_bytes()) {
            Ok(Decoded::Balance(update)) => assert_eq!(update.balances[0].free_units(), -1),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_that_the_market_says_is_read_the_fast_way() {
        let listing = Listing::synthetic(100, Seed::new(7));
        let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(7), listing.clone()) };
        let mut market = ShardMarket::new(&spec, 0).unwrap();
        let mut encoder = super::super::Encoder::new(&listing, START_UNIX_NS, 0);
        let mut decoder = Decoder::new(&listing);
        let mut wire = Vec::new();
        for due_ns in 0..100_000 {
            wire.clear();
            encoder.encode(market.next(due_ns), &mut Numbering::default(), &mut wire);
            let read = decoder.names.read_known(&wire, 0, &mut decoder.lists);
            assert_eq!(read.map(|(_, end)| end), Some(wire.len()), "{}", String::from_utf8_lossy(&wire));
        }
    }
}
