//! The fast readers: they know the order of the fields and give up at the first surprise.

use tickstorm_market::event::{AccountId, ExecutionKind, Side};
use tickstorm_market::instrument::{AssetId, Instrument};

use super::{
    Head, ListingNames, Lists, asset_balance, execution_kind, from_wire_time, order_status, side, whole_lots,
    whole_steps,
};
use crate::binance::RULES;
use crate::binance::encode::DEPTH_LIMITS;
use crate::decoded::{
    AggregateTrade, Decoded, ExecutionReport, Level, QuoteUpdate, TickerUpdate, TradePrint, TransferUpdate,
};
use crate::text::Cursor;

impl ListingNames {
    /// The message at `start` and its end, if it is worded as the venue does.
    #[inline]
    pub(super) fn read_known(&self, bytes: &[u8], start: usize, lists: &mut Lists) -> Option<(Head, usize)> {
        let c = &mut Cursor::new(bytes, start);
        lists.clear();
        // The first letters of the first field and its value tell the events apart, as in
        // `{"e":"depthUpdate"`.
        let head = match (bytes.get(start + 2)?, bytes.get(start + 6)?) {
            (b's', b'a') => self.known_wrapped(c, bytes, lists),
            (b'i', _) => self.known_book_reply(c, lists),
            (&field, &value) => self.known_bare(field, value, c, lists),
        }?;
        Some((head, c.at()))
    }

    #[inline(always)]
    fn known_bare(&self, field: u8, value: u8, c: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
        match (field, value) {
            (b'e', b'd') => self.known_depth(c, lists),
            (b'e', b't') => self.known_trade(c),
            (b'e', b'a') => self.known_aggregate(c),
            (b'e', b'2') => self.known_statistics(c),
            (b'u', _) => self.known_quote(c),
            (b's', b'c') => self.known_user_event(c, lists),
            _ => None,
        }
    }

    /// `{"stream":"btcusdt@trade","data":{...}}`
    fn known_wrapped(&self, c: &mut Cursor<'_>, bytes: &[u8], lists: &mut Lists) -> Option<Head> {
        c.literal(br#"{"stream":""#)?;
        let stream = c.plain()?;
        c.literal(br#"","data":"#)?;
        let head = match (bytes.get(c.at() + 2)?, bytes.get(c.at() + 6)?) {
            (b'l', _) => {
                let (index, depth) = self.partial_stream(stream)?;
                let instrument = &self.listing.instruments[index as usize];
                let last = known_book(c, instrument, lists)?;
                Head::Book { symbol: instrument.id, depth: Some(depth), last }
            }
            (&field, &value) => self.known_bare(field, value, c, lists)?,
        };
        c.literal(b"}")?;
        Some(head)
    }

    fn known_book_reply(&self, c: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"{"id":""#)?;
        let index = self.symbols.find(c.plain()?)?;
        c.literal(br#"","status":200,"result":"#)?;
        let instrument = &self.listing.instruments[index as usize];
        let last = known_book(c, instrument, lists)?;
        c.literal(DEPTH_LIMITS)?;
        Some(Head::Book { symbol: instrument.id, depth: None, last })
    }

    #[inline]
    fn known_depth(&self, c: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"{"e":"depthUpdate","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        let instrument = self.known_symbol(c)?;
        c.literal(br#","U":"#)?;
        let first = c.number()?;
        c.literal(br#","u":"#)?;
        let last = c.number()?;
        c.literal(br#","b":["#)?;
        known_levels(c, instrument, &mut lists.levels)?;
        lists.bids_count = lists.levels.len();
        c.literal(br#","a":["#)?;
        known_levels(c, instrument, &mut lists.levels)?;
        c.literal(b"}")?;
        (first <= last).then_some(Head::Update { symbol: instrument.id, event_ns, first, last })
    }

    fn known_trade(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"e":"trade","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        let instrument = self.known_symbol(c)?;
        c.literal(br#","t":"#)?;
        let trade_id = c.number()?;
        c.literal(br#","p":""#)?;
        let price = known_price(c, instrument)?;
        c.literal(br#"","q":""#)?;
        let quantity = known_quantity(c, instrument)?;
        c.literal(br#"","T":"#)?;
        let engine_ns = from_wire_time(c.number()?);
        c.literal(br#","m":"#)?;
        let taker = if known_boolean(c)? { Side::Sell } else { Side::Buy };
        c.literal(br#","M":true}"#)?;
        let symbol = instrument.id;
        Some(Head::Other(Decoded::Trade(TradePrint {
            symbol,
            event_ns: Some(event_ns),
            engine_ns,
            trade_id,
            matches: 1,
            price,
            quantity,
            taker,
            cross_sequence: None,
        })))
    }

    fn known_aggregate(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"e":"aggTrade","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        let instrument = self.known_symbol(c)?;
        c.literal(br#","a":"#)?;
        let aggregate_id = c.number()?;
        c.literal(br#","p":""#)?;
        let price = known_price(c, instrument)?;
        c.literal(br#"","q":""#)?;
        let quantity = known_quantity(c, instrument)?;
        c.literal(br#"","f":"#)?;
        let first_trade_id = c.number()?;
        c.literal(br#","l":"#)?;
        let last_trade_id = c.number()?;
        c.literal(br#","T":"#)?;
        let engine_ns = from_wire_time(c.number()?);
        c.literal(br#","m":"#)?;
        let taker = if known_boolean(c)? { Side::Sell } else { Side::Buy };
        c.literal(br#","M":true}"#)?;
        (first_trade_id <= last_trade_id).then_some(Head::Other(Decoded::Aggregate(AggregateTrade {
            symbol: instrument.id,
            event_ns,
            engine_ns,
            aggregate_id,
            first_trade_id,
            last_trade_id,
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
        Some(Head::Other(Decoded::Quote(QuoteUpdate {
            symbol: instrument.id,
            event_ns: None,
            update_id,
            bid,
            ask,
        })))
    }

    fn known_statistics(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"{"e":"24hr"#)?;
        match c.peek()? {
            b'M' => self.known_short_ticker(c),
            _ => self.known_ticker(c),
        }
    }

    fn known_short_ticker(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"MiniTicker","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        let instrument = self.known_symbol(c)?;
        c.literal(br#","c":""#)?;
        let last = known_price(c, instrument)?;
        c.literal(br#"","o":""#)?;
        let open = known_price(c, instrument)?;
        c.literal(br#"","h":""#)?;
        let high = known_price(c, instrument)?;
        c.literal(br#"","l":""#)?;
        let low = known_price(c, instrument)?;
        c.literal(br#"","v":""#)?;
        let volume = whole_lots(c.wide_units()?, instrument)?;
        c.literal(br#"","q":""#)?;
        let quote_volume_units = Some(c.wide_units()?);
        c.literal(br#""}"#)?;
        let (symbol, event_ns, open) = (instrument.id, Some(event_ns), Some(open));
        Some(Head::Other(Decoded::Ticker(TickerUpdate {
            event_ns,
            open,
            quote_volume_units,
            ..TickerUpdate::short(symbol, last, high, low, volume)
        })))
    }

    fn known_ticker(&self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#"Ticker","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
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
        let open_ns = from_wire_time(c.number()?);
        c.literal(br#","C":"#)?;
        let close_ns = from_wire_time(c.number()?);
        c.literal(br#","F":"#)?;
        let first_trade_id = c.number()?;
        c.literal(br#","L":"#)?;
        let last_trade_id = c.number()?;
        c.literal(br#","n":"#)?;
        let count = c.number()?;
        c.literal(b"}")?;
        let (change, share) = (
            if change_negative { -change } else { change },
            if percent_negative { -millipercent } else { millipercent },
        );
        Some(Head::Other(Decoded::Ticker(TickerUpdate {
            symbol: instrument.id,
            event_ns: Some(event_ns),
            last: last_price,
            high,
            low,
            volume,
            last_quantity: Some(last_quantity),
            best: Some([bid, ask]),
            open: Some(open),
            change: Some(change),
            change_share: Some(share.checked_mul(RULES.share_step)?),
            weighted_average_units: Some(weighted_average_units),
            quote_volume_units: Some(quote_volume_units),
            previous_close: Some(previous_close),
            trade_ids: Some([first_trade_id, last_trade_id]),
            count: Some(count),
            window_ns: Some([open_ns, close_ns]),
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
        let event_ns = from_wire_time(c.number()?);
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
        let engine_ns = from_wire_time(c.number()?);
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
        let placed_ns = from_wire_time(c.number()?);
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
            event_ns: Some(event_ns),
            engine_ns,
            kind,
            status,
            side,
            order_id,
            execution_id: Some(execution_id),
            price,
            quantity,
            last: Level { price: last_price, quantity: last_quantity },
            filled_quantity,
            last_quote_units: Some(last_quote_units),
            filled_quote_units: Some(filled_quote_units),
            fee_units,
            fee_asset,
            trade_id,
            placed_ns: Some(placed_ns),
        })))
    }

    fn known_balance(&self, c: &mut Cursor<'_>, account: AccountId, lists: &mut Lists) -> Option<Head> {
        c.literal(br#"outboundAccountPosition","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        c.literal(br#","u":"#)?;
        let engine_ns = from_wire_time(c.number()?);
        c.literal(br#","B":["#)?;
        loop {
            c.literal(br#"{"a":"#)?;
            let asset = self.known_asset(c)?;
            c.literal(br#","f":""#)?;
            let free_units = c.units()? as i64;
            c.literal(br#"","l":""#)?;
            let locked_units = c.units()? as i64;
            c.literal(b"\"}")?;
            lists.balances.push(asset_balance(asset, free_units, locked_units)?);
            if !c.literal_if(b',') {
                break;
            }
        }
        c.literal(b"]")?;
        Some(Head::Balance { account, event_ns, engine_ns })
    }

    fn known_transfer(&self, c: &mut Cursor<'_>, account: AccountId) -> Option<Head> {
        c.literal(br#"balanceUpdate","E":"#)?;
        let event_ns = from_wire_time(c.number()?);
        c.literal(br#","a":"#)?;
        let asset = self.known_asset(c)?;
        c.literal(br#","d":""#)?;
        let negative = c.literal_if(b'-');
        let magnitude = c.units()? as i64;
        c.literal(br#"","T":"#)?;
        let engine_ns = from_wire_time(c.number()?);
        let amount_units = if negative { -magnitude } else { magnitude };
        Some(Head::Other(Decoded::Transfer(TransferUpdate {
            account,
            event_ns,
            engine_ns,
            asset,
            amount_units,
        })))
    }

    /// The instrument and the depth of the stream of a partial book, `btcusdt@depth20@100ms`.
    pub(super) fn partial_stream(&self, stream: &[u8]) -> Option<(u32, u32)> {
        let (symbol, rest) = stream.split_at(stream.iter().position(|&byte| byte == b'@')?);
        let depth = rest.strip_prefix(b"@depth")?;
        let depth = depth.strip_suffix(b"@100ms").unwrap_or(depth);
        let depth = std::str::from_utf8(depth).ok()?.parse().ok()?;
        Some((self.streams.find(symbol)?, depth))
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

/// A book that does not tell its symbol; the number of the last change in it.
fn known_book(c: &mut Cursor<'_>, instrument: &Instrument, lists: &mut Lists) -> Option<u64> {
    c.literal(br#"{"lastUpdateId":"#)?;
    let last = c.number()?;
    c.literal(br#","bids":["#)?;
    known_levels(c, instrument, &mut lists.levels)?;
    lists.bids_count = lists.levels.len();
    c.literal(br#","asks":["#)?;
    known_levels(c, instrument, &mut lists.levels)?;
    c.literal(b"}")?;
    Some(last)
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

fn known_boolean(c: &mut Cursor<'_>) -> Option<bool> {
    match c.peek()? {
        b't' => c.literal(b"true").map(|()| true),
        _ => c.literal(b"false").map(|()| false),
    }
}
