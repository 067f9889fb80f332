//! Binance's wording, read: first as the venue writes it, byte for byte, then as any JSON.
//!
//! The fast readers know the order of the fields and give up at the first surprise, a wrong value included;
//! the careful ones then find out what it is. So only the careful ones have errors to report.

use tickstorm_market::event::{AccountId, ExecutionKind, Side};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use crate::decoded::{
    AssetBalance, BalanceUpdate, Decoded, DepthUpdate, ExecutionReport, Level, OrderStatus, QuoteUpdate,
    TickerUpdate, TradePrint, TransferUpdate,
};
use crate::decoder::DecodeError;
use crate::json::{Object, Value, quoted, skip_space, unfinished, value_end};
use crate::names::Names;
use crate::text::{Cursor, units_text};

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
enum Head {
    Depth { symbol: SymbolId, event_ms: u64, first_update_id: u64, last_update_id: u64 },
    Balance { account: AccountId, event_ms: u64, engine_ms: u64 },
    Other(Decoded<'static>),
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
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded<'_>, DecodeError> {
        let head = match self.names.read_known(bytes, 0, &mut self.lists) {
            Some((head, end)) if end == bytes.len() => head,
            _ => self.names.read_any(bytes, &mut self.lists)?,
        };
        Ok(self.lists.complete(head))
    }

    pub(crate) fn decode_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Result<Decoded<'_>, DecodeError>),
    ) {
        let mut at = skip_space(bytes, 0);
        if bytes.get(at) != Some(&b'[') {
            return each(self.decode(bytes));
        }
        at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b']') {
            return self.expect_end(bytes, at + 1, each);
        }
        loop {
            let (head, end) = match self.names.read_known(bytes, at, &mut self.lists) {
                Some((head, end)) => (Ok(head), end),
                None => match value_end(bytes, at) {
                    Ok(end) => (self.names.read_any(&bytes[at..end], &mut self.lists), end),
                    Err(error) => return each(Err(error)),
                },
            };
            each(head.map(|head| self.lists.complete(head)).map_err(|error| error.moved(at)));
            at = skip_space(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => return self.expect_end(bytes, at + 1, each),
                Some(_) => return each(Err(surprise(at, "expected `,` or `]`"))),
                None => return each(Err(unfinished(bytes))),
            }
        }
    }

    /// Behind a batch there is nothing but white space.
    fn expect_end(&self, bytes: &[u8], at: usize, mut each: impl FnMut(Result<Decoded<'_>, DecodeError>)) {
        let at = skip_space(bytes, at);
        if at < bytes.len() {
            each(Err(surprise(at, "text behind the array")));
        }
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
            Head::Depth { symbol, event_ms, first_update_id, last_update_id } => {
                let (bids, asks) = self.levels.split_at(self.bids_count);
                Decoded::Depth(DepthUpdate { symbol, event_ms, first_update_id, last_update_id, bids, asks })
            }
            Head::Balance { account, event_ms, engine_ms } => {
                Decoded::Balance(BalanceUpdate { account, event_ms, engine_ms, balances: &self.balances })
            }
            Head::Other(decoded) => decoded,
        }
    }
}

/// The fast readers.
impl ListingNames {
    /// The message at `start` and its end, if it is worded as the venue does.
    #[inline]
    fn read_known(&self, bytes: &[u8], start: usize, lists: &mut Lists) -> Option<(Head, usize)> {
        let c = &mut Cursor::new(bytes, start);
        lists.clear();
        // The first letters of the first field and its value tell the events apart, as in
        // `{"e":"depthUpdate"`.
        let head = match (bytes.get(start + 2)?, bytes.get(start + 6)?) {
            (b'e', b'd') => self.known_depth(c, lists),
            (b'e', b't') => self.known_trade(c),
            (b'e', b'2') => self.known_ticker(c),
            (b'u', _) => self.known_quote(c),
            (b's', _) => self.known_user_event(c, lists),
            _ => None,
        }?;
        Some((head, c.at()))
    }

    #[inline]
    fn known_depth(&self, c: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"{"e":"depthUpdate","E":"#)?;
        let event_ms = c.number()?;
        let instrument = self.known_symbol(c)?;
        c.literal(br#","U":"#)?;
        let first_update_id = c.number()?;
        c.literal(br#","u":"#)?;
        let last_update_id = c.number()?;
        c.literal(br#","b":["#)?;
        known_levels(c, instrument, &mut lists.levels)?;
        lists.bids_count = lists.levels.len();
        c.literal(br#","a":["#)?;
        known_levels(c, instrument, &mut lists.levels)?;
        c.literal(b"}")?;
        (first_update_id <= last_update_id).then_some(Head::Depth {
            symbol: instrument.id,
            event_ms,
            first_update_id,
            last_update_id,
        })
    }

    fn known_trade(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"e":"trade","E":"#)?;
        let event_ms = c.number()?;
        let instrument = self.known_symbol(c)?;
        c.literal(br#","t":"#)?;
        let trade_id = c.number()?;
        c.literal(br#","p":""#)?;
        let price = known_price(c, instrument)?;
        c.literal(br#"","q":""#)?;
        let quantity = known_quantity(c, instrument)?;
        c.literal(br#"","T":"#)?;
        let engine_ms = c.number()?;
        c.literal(br#","m":"#)?;
        let taker = if known_boolean(c)? { Side::Sell } else { Side::Buy };
        c.literal(br#","M":true}"#)?;
        let symbol = instrument.id;
        Some(Head::Other(Decoded::Trade(TradePrint {
            symbol,
            event_ms,
            engine_ms,
            trade_id,
            price,
            quantity,
            taker,
        })))
    }

    fn known_quote(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"u":"#)?;
        let update_id = c.number()?;
        let instrument = self.known_symbol(c)?;
        c.literal(b",")?;
        let (bid, ask) = known_best(c, instrument)?;
        c.literal(b"}")?;
        Some(Head::Other(Decoded::Quote(QuoteUpdate { symbol: instrument.id, update_id, bid, ask })))
    }

    fn known_ticker(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"e":"24hrTicker","E":"#)?;
        let event_ms = c.number()?;
        let instrument = self.known_symbol(c)?;
        c.literal(br#","p":""#)?;
        let change_negative = c.literal_if(b'-');
        let change = i64::from(known_price(c, instrument)?);
        c.literal(br#"","P":""#)?;
        let percent_negative = c.literal_if(b'-');
        let millipercent = c.thousandths()?;
        c.literal(br#"","w":""#)?;
        let weighted_average_units = c.units()?;
        c.literal(br#"","x":""#)?;
        let previous_close = known_price(c, instrument)?;
        c.literal(br#"","c":""#)?;
        let last_price = known_price(c, instrument)?;
        c.literal(br#"","Q":""#)?;
        let last_quantity = known_quantity(c, instrument)?;
        c.literal(br#"","#)?;
        let (bid, ask) = known_best(c, instrument)?;
        c.literal(br#","o":""#)?;
        let open = known_price(c, instrument)?;
        c.literal(br#"","h":""#)?;
        let high = known_price(c, instrument)?;
        c.literal(br#"","l":""#)?;
        let low = known_price(c, instrument)?;
        c.literal(br#"","v":""#)?;
        let volume = whole_lots(c.wide_units()?, instrument)?;
        c.literal(br#"","q":""#)?;
        let quote_volume_units = c.wide_units()?;
        c.literal(br#"","O":"#)?;
        let open_ms = c.number()?;
        c.literal(br#","C":"#)?;
        let close_ms = c.number()?;
        c.literal(br#","F":"#)?;
        let first_trade_id = c.number()?;
        c.literal(br#","L":"#)?;
        let last_trade_id = c.number()?;
        c.literal(br#","n":"#)?;
        let count = c.number()?;
        c.literal(b"}")?;
        Some(Head::Other(Decoded::Ticker(TickerUpdate {
            symbol: instrument.id,
            event_ms,
            change: if change_negative { -change } else { change },
            change_millipercent: if percent_negative { -millipercent } else { millipercent },
            weighted_average_units,
            previous_close,
            last: Level { price: last_price, quantity: last_quantity },
            bid,
            ask,
            open,
            high,
            low,
            volume,
            quote_volume_units,
            open_ms,
            close_ms,
            first_trade_id,
            last_trade_id,
            count,
        })))
    }

    fn known_user_event(&self, c: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"{"subscriptionId":"#)?;
        let account = AccountId(u32::try_from(c.number()?).ok()?);
        c.literal(br#","event":{"e":""#)?;
        let head = match c.peek()? {
            b'e' => self.known_execution(c, account),
            b'o' => self.known_balance(c, account, lists),
            b'b' => self.known_transfer(c, account),
            _ => None,
        }?;
        c.literal(b"}}")?;
        Some(head)
    }

    fn known_execution(&self, c: &mut Cursor<'_>, account: AccountId) -> Option<Head> {
        c.literal(br#"executionReport","E":"#)?;
        let event_ms = c.number()?;
        let instrument = self.known_symbol(c)?;
        c.literal(br#","c":""#)?;
        c.plain()?;
        c.literal(br#"","S":""#)?;
        let side = side(c.plain()?)?;
        c.literal(br#"","o":"LIMIT","f":"GTC","q":""#)?;
        let quantity = known_quantity(c, instrument)?;
        c.literal(br#"","p":""#)?;
        let price = known_price(c, instrument)?;
        c.literal(br#"","P":"0.00000000","F":"0.00000000","g":-1,"C":""#)?;
        c.plain()?;
        c.literal(br#"","x":""#)?;
        let kind = execution_kind(c.plain()?)?;
        c.literal(br#"","X":""#)?;
        let status = order_status(c.plain()?)?;
        c.literal(br#"","r":"NONE","i":"#)?;
        let order_id = c.number()?;
        c.literal(br#","l":""#)?;
        let last_quantity = known_quantity(c, instrument)?;
        c.literal(br#"","z":""#)?;
        let filled_quantity = known_quantity(c, instrument)?;
        c.literal(br#"","L":""#)?;
        let last_price = known_price(c, instrument)?;
        let (fee_units, fee_asset) = match kind {
            ExecutionKind::Trade => {
                c.literal(br#"","n":""#)?;
                let fee_units = c.units()?;
                c.literal(br#"","N":"#)?;
                (fee_units, Some(self.known_asset(c)?))
            }
            ExecutionKind::New | ExecutionKind::Canceled => {
                c.literal(br#"","n":"0","N":null"#)?;
                (0, None)
            }
        };
        c.literal(br#","T":"#)?;
        let engine_ms = c.number()?;
        let trade_id = match kind {
            ExecutionKind::Trade => {
                c.literal(br#","t":"#)?;
                Some(c.number()?)
            }
            ExecutionKind::New | ExecutionKind::Canceled => {
                c.literal(br#","t":-1"#)?;
                None
            }
        };
        c.literal(br#","I":"#)?;
        let execution_id = c.number()?;
        c.literal(br#","w":"#)?;
        let on_book = known_boolean(c)?;
        c.literal(br#","m":"#)?;
        known_boolean(c)?;
        c.literal(br#","M":true,"O":"#)?;
        let placed_ms = c.number()?;
        c.literal(br#","Z":""#)?;
        let filled_quote_units = c.units()?;
        c.literal(br#"","Y":""#)?;
        let last_quote_units = c.units()?;
        c.literal(br#"","Q":"0.00000000""#)?;
        if on_book {
            c.literal(br#","W":"#)?;
            c.number()?;
        }
        c.literal(br#","V":"EXPIRE_MAKER""#)?;
        Some(Head::Other(Decoded::Execution(ExecutionReport {
            account,
            symbol: instrument.id,
            event_ms,
            engine_ms,
            kind,
            status,
            side,
            order_id,
            execution_id,
            price,
            quantity,
            last: Level { price: last_price, quantity: last_quantity },
            filled_quantity,
            last_quote_units,
            filled_quote_units,
            fee_units,
            fee_asset,
            trade_id,
            placed_ms,
        })))
    }

    fn known_balance(&self, c: &mut Cursor<'_>, account: AccountId, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"outboundAccountPosition","E":"#)?;
        let event_ms = c.number()?;
        c.literal(br#","u":"#)?;
        let engine_ms = c.number()?;
        c.literal(br#","B":["#)?;
        loop {
            c.literal(br#"{"a":"#)?;
            let asset = self.known_asset(c)?;
            c.literal(br#","f":""#)?;
            let free_units = c.units()? as i64;
            c.literal(br#"","l":""#)?;
            let locked_units = c.units()? as i64;
            c.literal(b"\"}")?;
            lists.balances.push(AssetBalance { asset, free_units, locked_units });
            if !c.literal_if(b',') {
                break;
            }
        }
        c.literal(b"]")?;
        Some(Head::Balance { account, event_ms, engine_ms })
    }

    fn known_transfer(&self, c: &mut Cursor<'_>, account: AccountId) -> Option<Head> {
        c.literal(br#"balanceUpdate","E":"#)?;
        let event_ms = c.number()?;
        c.literal(br#","a":"#)?;
        let asset = self.known_asset(c)?;
        c.literal(br#","d":""#)?;
        let negative = c.literal_if(b'-');
        let magnitude = c.units()? as i64;
        c.literal(br#"","T":"#)?;
        let engine_ms = c.number()?;
        let amount_units = if negative { -magnitude } else { magnitude };
        Some(Head::Other(Decoded::Transfer(TransferUpdate {
            account,
            event_ms,
            engine_ms,
            asset,
            amount_units,
        })))
    }

    #[inline]
    fn known_symbol(&self, c: &mut Cursor<'_>) -> Option<&Instrument> {
        c.literal(br#","s":""#)?;
        let index = self.symbols.find(c.plain()?)?;
        c.literal(b"\"")?;
        Some(&self.listing.instruments[index as usize])
    }

    fn known_asset(&self, c: &mut Cursor<'_>) -> Option<AssetId> {
        c.literal(b"\"")?;
        let index = self.assets.find(c.plain()?)?;
        c.literal(b"\"")?;
        Some(AssetId(index))
    }
}

/// The rest of an array of levels whose bracket is open.
#[inline]
fn known_levels(c: &mut Cursor<'_>, instrument: &Instrument, levels: &mut Vec<Level>) -> Option<()> {
    if c.literal_if(b']') {
        return Some(());
    }
    loop {
        c.literal(b"[\"")?;
        let price = known_price(c, instrument)?;
        c.literal(br#"",""#)?;
        let quantity = known_quantity(c, instrument)?;
        c.literal(b"\"]")?;
        levels.push(Level { price, quantity });
        if !c.literal_if(b',') {
            return c.literal(b"]");
        }
    }
}

/// The best prices as quote and ticker have them, with the last closing quote.
fn known_best(c: &mut Cursor<'_>, instrument: &Instrument) -> Option<(Level, Level)> {
    c.literal(br#""b":""#)?;
    let bid_price = known_price(c, instrument)?;
    c.literal(br#"","B":""#)?;
    let bid_quantity = known_quantity(c, instrument)?;
    c.literal(br#"","a":""#)?;
    let ask_price = known_price(c, instrument)?;
    c.literal(br#"","A":""#)?;
    let ask_quantity = known_quantity(c, instrument)?;
    c.literal(b"\"")?;
    Some((
        Level { price: bid_price, quantity: bid_quantity },
        Level { price: ask_price, quantity: ask_quantity },
    ))
}

#[inline(always)]
fn known_price(c: &mut Cursor<'_>, instrument: &Instrument) -> Option<u32> {
    whole_steps(c.units()?, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok())
}

#[inline(always)]
fn known_quantity(c: &mut Cursor<'_>, instrument: &Instrument) -> Option<u64> {
    whole_steps(c.units()?, instrument.lot)
}

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

fn known_boolean(c: &mut Cursor<'_>) -> Option<bool> {
    match c.peek()? {
        b't' => c.literal(b"true").map(|()| true),
        _ => c.literal(b"false").map(|()| false),
    }
}

fn side(name: &[u8]) -> Option<Side> {
    match name {
        b"BUY" => Some(Side::Buy),
        b"SELL" => Some(Side::Sell),
        _ => None,
    }
}

fn execution_kind(name: &[u8]) -> Option<ExecutionKind> {
    match name {
        b"NEW" => Some(ExecutionKind::New),
        b"TRADE" => Some(ExecutionKind::Trade),
        b"CANCELED" => Some(ExecutionKind::Canceled),
        _ => None,
    }
}

fn order_status(name: &[u8]) -> Option<OrderStatus> {
    match name {
        b"NEW" => Some(OrderStatus::New),
        b"PARTIALLY_FILLED" => Some(OrderStatus::PartiallyFilled),
        b"FILLED" => Some(OrderStatus::Filled),
        b"CANCELED" => Some(OrderStatus::Canceled),
        _ => None,
    }
}

/// The careful readers.
impl ListingNames {
    #[cold]
    fn read_any(&self, bytes: &[u8], lists: &mut Lists) -> Result<Head, DecodeError> {
        lists.clear();
        let mut object = Object::parse(bytes)?;
        if let Some(account) = object.find("subscriptionId") {
            let account = u32::try_from(account.number()?)
                .map(AccountId)
                .map_err(|_| account.wrong("a whole number below 2^32"))?;
            let mut event = object.field("event")?.object()?;
            let name = event.field("e")?.string()?.into_owned();
            return match name.as_str() {
                "executionReport" => self.any_execution(event.called("executionReport"), account),
                "outboundAccountPosition" => {
                    self.any_balance(event.called("outboundAccountPosition"), account, lists)
                }
                "balanceUpdate" => self.any_transfer(event.called("balanceUpdate"), account),
                _ => Err(DecodeError::UnknownEvent { event: quoted(&name), allowed: USER_EVENTS }),
            };
        }
        let Some(name) = object.find("e") else {
            return self.any_quote(object.called("bookTicker"));
        };
        let name = name.string()?;
        match &*name {
            "depthUpdate" => self.any_depth(object.called("depthUpdate"), lists),
            "trade" => self.any_trade(object.called("trade")),
            "24hrTicker" => self.any_ticker(object.called("24hrTicker")),
            _ => Err(DecodeError::UnknownEvent { event: quoted(&name), allowed: MARKET_EVENTS }),
        }
    }

    fn any_depth(&self, object: &Object<'_>, lists: &mut Lists) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let first_update_id = object.field("U")?.number()?;
        let last = object.field("u")?;
        let last_update_id = last.number()?;
        if last_update_id < first_update_id {
            return Err(last.wrong("at least U"));
        }
        any_levels(object.field("b")?, instrument, &mut lists.levels)?;
        lists.bids_count = lists.levels.len();
        any_levels(object.field("a")?, instrument, &mut lists.levels)?;
        let event_ms = object.field("E")?.number()?;
        Ok(Head::Depth { symbol: instrument.id, event_ms, first_update_id, last_update_id })
    }

    fn any_trade(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        Ok(Head::Other(Decoded::Trade(TradePrint {
            symbol: instrument.id,
            event_ms: object.field("E")?.number()?,
            engine_ms: object.field("T")?.number()?,
            trade_id: object.field("t")?.number()?,
            price: any_price(object.field("p")?, instrument)?,
            quantity: any_quantity(object.field("q")?, instrument)?,
            taker: if object.field("m")?.boolean()? { Side::Sell } else { Side::Buy },
        })))
    }

    fn any_quote(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let (bid, ask) = any_best(object, instrument)?;
        let update_id = object.field("u")?.number()?;
        Ok(Head::Other(Decoded::Quote(QuoteUpdate { symbol: instrument.id, update_id, bid, ask })))
    }

    fn any_ticker(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let (bid, ask) = any_best(object, instrument)?;
        let price = |field| any_price(object.field(field)?, instrument);
        let quantity = |field| any_quantity(object.field(field)?, instrument);
        let number = |field| object.field(field)?.number();
        let change = object.field("p")?;
        let percent = object.field("P")?;
        let average = object.field("w")?;
        Ok(Head::Other(Decoded::Ticker(TickerUpdate {
            symbol: instrument.id,
            event_ms: number("E")?,
            change: any_change(change, instrument)?,
            change_millipercent: any_thousandths(percent)?,
            weighted_average_units: narrow(average, average.units()?)?,
            previous_close: price("x")?,
            last: Level { price: price("c")?, quantity: quantity("Q")? },
            bid,
            ask,
            open: price("o")?,
            high: price("h")?,
            low: price("l")?,
            volume: quantity("v")?,
            quote_volume_units: object.field("q")?.units()?,
            open_ms: number("O")?,
            close_ms: number("C")?,
            first_trade_id: number("F")?,
            last_trade_id: number("L")?,
            count: number("n")?,
        })))
    }

    fn any_execution(&self, object: &Object<'_>, account: AccountId) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let price = |field| any_price(object.field(field)?, instrument);
        let quantity = |field| any_quantity(object.field(field)?, instrument);
        let number = |field| object.field(field)?.number();
        let amount = |field| object.field(field).and_then(|value| narrow(value, value.units()?));
        let kind = any_word(object.field("x")?, execution_kind, "NEW, TRADE or CANCELED")?;
        let (fee_asset, trade_id) = match kind {
            ExecutionKind::Trade => (Some(self.any_asset(object.field("N")?)?), Some(number("t")?)),
            ExecutionKind::New | ExecutionKind::Canceled => (None, None),
        };
        Ok(Head::Other(Decoded::Execution(ExecutionReport {
            account,
            symbol: instrument.id,
            event_ms: number("E")?,
            engine_ms: number("T")?,
            kind,
            status: any_word(object.field("X")?, order_status, "NEW, PARTIALLY_FILLED, FILLED or CANCELED")?,
            side: any_word(object.field("S")?, side, "BUY or SELL")?,
            order_id: number("i")?,
            execution_id: number("I")?,
            price: price("p")?,
            quantity: quantity("q")?,
            last: Level { price: price("L")?, quantity: quantity("l")? },
            filled_quantity: quantity("z")?,
            last_quote_units: amount("Y")?,
            filled_quote_units: amount("Z")?,
            fee_units: amount("n")?,
            fee_asset,
            trade_id,
            placed_ms: number("O")?,
        })))
    }

    fn any_balance(
        &self,
        object: &Object<'_>,
        account: AccountId,
        lists: &mut Lists,
    ) -> Result<Head, DecodeError> {
        for element in object.field("B")?.array()? {
            let balance = element.object()?;
            lists.balances.push(AssetBalance {
                asset: self.any_asset(balance.field("a")?)?,
                free_units: any_amount(balance.field("f")?)?,
                locked_units: any_amount(balance.field("l")?)?,
            });
        }
        let event_ms = object.field("E")?.number()?;
        let engine_ms = object.field("u")?.number()?;
        Ok(Head::Balance { account, event_ms, engine_ms })
    }

    fn any_transfer(&self, object: &Object<'_>, account: AccountId) -> Result<Head, DecodeError> {
        Ok(Head::Other(Decoded::Transfer(TransferUpdate {
            account,
            event_ms: object.field("E")?.number()?,
            engine_ms: object.field("T")?.number()?,
            asset: self.any_asset(object.field("a")?)?,
            amount_units: any_amount(object.field("d")?)?,
        })))
    }

    fn any_symbol(&self, object: &Object<'_>) -> Result<&Instrument, DecodeError> {
        let name = object.field("s")?.string()?;
        match self.symbols.find(name.as_bytes()) {
            Some(index) => Ok(&self.listing.instruments[index as usize]),
            None => Err(DecodeError::UnknownSymbol { symbol: quoted(&name) }),
        }
    }

    fn any_asset(&self, value: Value<'_>) -> Result<AssetId, DecodeError> {
        let name = value.string()?;
        let index = self.assets.find(name.as_bytes());
        index.map(AssetId).ok_or_else(|| DecodeError::UnknownAsset { asset: quoted(&name) })
    }
}

/// Levels may have more than price and quantity, as in older messages.
fn any_levels(value: Value<'_>, instrument: &Instrument, levels: &mut Vec<Level>) -> Result<(), DecodeError> {
    for element in value.array()? {
        let mut parts = element.array()?;
        let (Some(price), Some(quantity)) = (parts.next(), parts.next()) else {
            return Err(element.wrong("[price, quantity]"));
        };
        levels.push(Level {
            price: any_price(price, instrument)?,
            quantity: any_quantity(quantity, instrument)?,
        });
    }
    Ok(())
}

fn any_best(object: &Object<'_>, instrument: &Instrument) -> Result<(Level, Level), DecodeError> {
    let level = |price, quantity| {
        Ok(Level {
            price: any_price(object.field(price)?, instrument)?,
            quantity: any_quantity(object.field(quantity)?, instrument)?,
        })
    };
    Ok((level("b", "B")?, level("a", "A")?))
}

fn any_price(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    let units = value.units()?;
    let ticks = u64::try_from(units).ok().and_then(|units| whole_steps(units, instrument.tick));
    ticks.and_then(|ticks| u32::try_from(ticks).ok()).ok_or_else(|| off_tick(value, units, instrument))
}

fn any_quantity(value: Value<'_>, instrument: &Instrument) -> Result<u64, DecodeError> {
    let units = value.units()?;
    whole_lots(units, instrument).ok_or_else(|| DecodeError::OffLot {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: units_text(units),
        lot: units_text(instrument.lot.into()),
    })
}

/// A difference of two prices, in ticks.
fn any_change(value: Value<'_>, instrument: &Instrument) -> Result<i64, DecodeError> {
    let units = value.signed_units()?;
    let magnitude = u64::try_from(units.unsigned_abs()).ok();
    let ticks =
        magnitude.and_then(|units| whole_steps(units, instrument.tick)).and_then(|n| u32::try_from(n).ok());
    let ticks = ticks.map(i64::from).ok_or_else(|| off_tick(value, units.unsigned_abs(), instrument))?;
    Ok(if units < 0 { -ticks } else { ticks })
}

fn off_tick(value: Value<'_>, units: u128, instrument: &Instrument) -> DecodeError {
    DecodeError::OffTick {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: units_text(units),
        tick: units_text(instrument.tick.into()),
    }
}

fn any_thousandths(value: Value<'_>) -> Result<i64, DecodeError> {
    const UNITS_PER_THOUSANDTH: i128 = 100_000;
    let units = value.signed_units()?;
    let thousandths = i64::try_from(units / UNITS_PER_THOUSANDTH).ok();
    let exact = thousandths.filter(|_| units % UNITS_PER_THOUSANDTH == 0);
    exact.ok_or_else(|| value.wrong("a decimal in quotes with at most three places"))
}

fn any_amount(value: Value<'_>) -> Result<i64, DecodeError> {
    i64::try_from(value.signed_units()?)
        .map_err(|_| value.wrong("an amount below 2^63 of the smallest units"))
}

fn narrow(value: Value<'_>, units: u128) -> Result<u64, DecodeError> {
    u64::try_from(units).map_err(|_| value.wrong("an amount below 2^64 of the smallest units"))
}

fn any_word<T>(
    value: Value<'_>,
    meaning: impl Fn(&[u8]) -> Option<T>,
    allowed: &'static str,
) -> Result<T, DecodeError> {
    meaning(value.string()?.as_bytes()).ok_or_else(|| value.wrong(allowed))
}

const MARKET_EVENTS: &str = "depthUpdate, trade, 24hrTicker, or none for a book ticker";
const USER_EVENTS: &str = "executionReport, outboundAccountPosition, balanceUpdate";

#[cfg(test)]
mod tests {
    use tickstorm_market::{MarketSpec, ShardMarket};
    use tickstorm_random::Seed;

    use super::*;
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
        assert_eq!(
            damaged(DEPTH, "depthUpdate", "kline"),
            "unknown event \"kline\", must be one of: depthUpdate, trade, 24hrTicker, or none for a book ticker"
        );
        assert_eq!(
            damaged(TRANSFER, "balanceUpdate", "listStatus"),
            "unknown event \"listStatus\", must be one of: executionReport, outboundAccountPosition, balanceUpdate"
        );
    }

    #[test]
    fn missing_and_wrong_fields_are_named() {
        assert_eq!(damaged(DEPTH, "\"U\":5,", ""), "depthUpdate without field \"U\"");
        assert_eq!(damaged(TRANSFER, "\"d\":\"250.00000000\",", ""), "balanceUpdate without field \"d\"");
        assert_eq!(damaged("{}", "{}", "{}"), "bookTicker without field \"s\"");
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
            Ok(Decoded::Depth(update)) => assert_eq!(update.event_ms, 7),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn balances_below_zero_can_be_read() {
        let text = r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"BTC","f":"-0.00000001","l":"0.00000000"}]}}"#;
        match Decoder::new(&listing()).decode(text.as_bytes()) {
            Ok(Decoded::Balance(update)) => assert_eq!(update.balances[0].free_units, -1),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_that_the_market_says_is_read_the_fast_way() {
        let listing = Listing::synthetic(100, Seed::new(7));
        let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(7), listing.clone()) };
        let mut market = ShardMarket::new(&spec, 0).unwrap();
        let mut encoder = super::super::Encoder::new(&listing, START_UNIX_NS);
        let mut decoder = Decoder::new(&listing);
        let mut wire = Vec::new();
        for due_ns in 0..100_000 {
            wire.clear();
            encoder.encode(market.next(due_ns), &mut wire);
            let read = decoder.names.read_known(&wire, 0, &mut decoder.lists);
            assert_eq!(read.map(|(_, end)| end), Some(wire.len()), "{}", String::from_utf8_lossy(&wire));
        }
    }
}
