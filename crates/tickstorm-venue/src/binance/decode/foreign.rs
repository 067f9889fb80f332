//! The careful readers: any JSON, and the errors of what is wrong in it.

use tickstorm_market::event::{AccountId, ExecutionKind, Side, Snapshot};
use tickstorm_market::instrument::{AssetId, Instrument};

use super::{
    Found, Head, ListingNames, Lists, asset_balance, execution_kind, from_wire_time, order_status, side,
    whole_lots, whole_steps,
};
use crate::binance::RULES;
use crate::decoded::{
    AggregateTrade, Decoded, ExecutionReport, Level, QuoteUpdate, TickerUpdate, TradePrint, TransferUpdate,
};
use crate::decoder::DecodeError;
use crate::json::{Object, Value, quoted};
use crate::text::units_text;

impl ListingNames {
    pub(super) fn read_foreign(&self, bytes: &[u8], lists: &mut Lists) -> Result<Found, DecodeError> {
        lists.clear();
        let object = Object::parse(bytes)?;
        let head = match (object.find("stream"), object.find("data")) {
            (Some(_), Some(data)) if data.is_array() => return Ok(Found::Batch(data.range())),
            (Some(stream), Some(data)) => self.any_message(data.object()?, Some(stream), lists),
            _ => self.any_message(object, None, lists),
        }?;
        Ok(Found::One(head))
    }

    /// A message without the wrapper that names its stream.
    fn any_message(
        &self,
        mut object: Object<'_>,
        stream: Option<Value<'_>>,
        lists: &mut Lists,
    ) -> Result<Head, DecodeError> {
        if let Some(account) = object.find("subscriptionId") {
            let account = u32::try_from(account.number()?)
                .map(AccountId)
                .map_err(|_| account.wrong("a whole number below 2^32"))?;
            return self.any_event(object.field("event")?.object()?, account, lists);
        }
        if let Some(event) = object.find("event").filter(Value::is_object) {
            return self.any_event(event.object()?, AccountId(0), lists);
        }
        if object.find("e").is_some() {
            return self.any_event(object, AccountId(0), lists);
        }
        if object.find("bids").is_some() {
            return self.any_book(object.called("depth"), stream, lists);
        }
        if let Some(result) = object.find("result").filter(Value::is_object) {
            let mut result = result.object()?;
            if result.find("bids").is_some() {
                let symbol = object.field("id")?;
                let symbol = result.find("symbol").unwrap_or(symbol);
                return self.any_symbol_book(result.called("depth"), symbol, lists);
            }
        }
        if object.is_empty() || ANSWERS.iter().any(|field| object.find(field).is_some()) {
            return Ok(Head::Other(Decoded::Control));
        }
        self.any_quote(object.called("bookTicker"))
    }

    fn any_event(
        &self,
        mut event: Object<'_>,
        account: AccountId,
        lists: &mut Lists,
    ) -> Result<Head, DecodeError> {
        let name = event.field("e")?.string()?.into_owned();
        match &*name {
            "depthUpdate" => self.any_depth(event.called("depthUpdate"), lists),
            "trade" => self.any_trade(event.called("trade")),
            "aggTrade" => self.any_aggregate(event.called("aggTrade")),
            "24hrTicker" => self.any_ticker(event.called("24hrTicker")),
            "24hrMiniTicker" => self.any_short_ticker(event.called("24hrMiniTicker")),
            "executionReport" => self.any_execution(event.called("executionReport"), account),
            "outboundAccountPosition" => {
                self.any_balance(event.called("outboundAccountPosition"), account, lists)
            }
            "balanceUpdate" => self.any_transfer(event.called("balanceUpdate"), account),
            "serverShutdown" | "eventStreamTerminated" | "listStatus" | "externalLockUpdate" => {
                Ok(Head::Other(Decoded::Control))
            }
            _ => Err(DecodeError::UnknownEvent { event: quoted(&name), allowed: EVENTS }),
        }
    }

    /// A book that names its symbol only by its stream, if at all.
    fn any_book(
        &self,
        object: &Object<'_>,
        stream: Option<Value<'_>>,
        lists: &mut Lists,
    ) -> Result<Head, DecodeError> {
        let Some(stream) = stream else {
            return self.any_symbol_book(object, object.field("symbol")?, lists);
        };
        let name = stream.string()?;
        let (index, depth) = self.partial_stream(name.as_bytes()).ok_or_else(|| {
            stream.wrong("the stream of a listed symbol's best levels, as \"btcusdt@depth20\"")
        })?;
        let instrument = &self.listing.instruments[index as usize];
        let last = any_levels_of_book(object, instrument, lists)?;
        Ok(Head::Book { symbol: instrument.id, depth: Some(depth), last })
    }

    fn any_symbol_book(
        &self,
        object: &Object<'_>,
        symbol: Value<'_>,
        lists: &mut Lists,
    ) -> Result<Head, DecodeError> {
        let instrument = self.any_named(symbol)?;
        let last = any_levels_of_book(object, instrument, lists)?;
        Ok(Head::Book { symbol: instrument.id, depth: None, last })
    }

    fn any_depth(&self, object: &Object<'_>, lists: &mut Lists) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let first = object.field("U")?.number()?;
        let u = object.field("u")?;
        let last = u.number()?;
        if last < first {
            return Err(u.wrong("at least U"));
        }
        any_levels(object.field("b")?, instrument, &mut lists.levels)?;
        lists.bids_count = lists.levels.len();
        any_levels(object.field("a")?, instrument, &mut lists.levels)?;
        let event_ns = from_wire_time(object.field("E")?.number()?);
        Ok(Head::Update { symbol: instrument.id, event_ns, first, last })
    }

    fn any_trade(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        Ok(Head::Other(Decoded::Trade(TradePrint {
            symbol: instrument.id,
            event_ns: Some(from_wire_time(object.field("E")?.number()?)),
            engine_ns: from_wire_time(object.field("T")?.number()?),
            trade_id: object.field("t")?.number()?,
            matches: 1,
            price: any_price(object.field("p")?, instrument)?,
            quantity: any_quantity(object.field("q")?, instrument)?,
            taker: if object.field("m")?.boolean()? { Side::Sell } else { Side::Buy },
            cross_sequence: None,
        })))
    }

    fn any_aggregate(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let number = |field| object.field(field)?.number();
        let last = object.field("l")?;
        let [first_trade_id, last_trade_id] = [number("f")?, last.number()?];
        if last_trade_id < first_trade_id {
            return Err(last.wrong("at least f"));
        }
        Ok(Head::Other(Decoded::Aggregate(AggregateTrade {
            symbol: instrument.id,
            event_ns: from_wire_time(number("E")?),
            engine_ns: from_wire_time(number("T")?),
            aggregate_id: number("a")?,
            first_trade_id,
            last_trade_id,
            price: any_price(object.field("p")?, instrument)?,
            quantity: any_quantity(object.field("q")?, instrument)?,
            taker: if object.field("m")?.boolean()? { Side::Sell } else { Side::Buy },
        })))
    }

    fn any_quote(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let (bid, ask) = any_best(object, instrument)?;
        let update_id = object.field("u")?.number()?;
        Ok(Head::Other(Decoded::Quote(QuoteUpdate {
            symbol: instrument.id,
            event_ns: None,
            update_id,
            bid,
            ask,
        })))
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
        let share = any_thousandths(percent)?.checked_mul(RULES.share_step);
        Ok(Head::Other(Decoded::Ticker(TickerUpdate {
            symbol: instrument.id,
            event_ns: Some(from_wire_time(number("E")?)),
            last: price("c")?,
            high: price("h")?,
            low: price("l")?,
            volume: quantity("v")?,
            last_quantity: Some(quantity("Q")?),
            best: Some([bid, ask]),
            open: Some(price("o")?),
            change: Some(any_change(change, instrument)?),
            change_share: Some(share.ok_or_else(|| percent.wrong("a percentage with at most three places"))?),
            weighted_average_units: Some(narrow(average, average.units()?)?),
            quote_volume_units: Some(object.field("q")?.units()?),
            previous_close: Some(price("x")?),
            trade_ids: Some([number("F")?, number("L")?]),
            count: Some(number("n")?),
            window_ns: Some([from_wire_time(number("O")?), from_wire_time(number("C")?)]),
        })))
    }

    fn any_short_ticker(&self, object: &Object<'_>) -> Result<Head, DecodeError> {
        let instrument = self.any_symbol(object)?;
        let price = |field| any_price(object.field(field)?, instrument);
        let volume = any_quantity(object.field("v")?, instrument)?;
        Ok(Head::Other(Decoded::Ticker(TickerUpdate {
            event_ns: Some(from_wire_time(object.field("E")?.number()?)),
            open: Some(price("o")?),
            quote_volume_units: Some(object.field("q")?.units()?),
            ..TickerUpdate::short(instrument.id, price("c")?, price("h")?, price("l")?, volume)
        })))
    }

    fn any_execution(&self, object: &Object<'_>, account: AccountId) -> Result<Head, DecodeError> {
        if object.field("x")?.string()? == "REJECTED" {
            // There never was such an order.
            return Ok(Head::Other(Decoded::Control));
        }
        let instrument = self.any_symbol(object)?;
        let price = |field| any_price(object.field(field)?, instrument);
        let quantity = |field| any_quantity(object.field(field)?, instrument);
        let number = |field| object.field(field)?.number();
        let amount = |field| object.field(field).and_then(|value| narrow(value, value.units()?));
        let kind = any_word(
            object.field("x")?,
            execution_kind,
            "NEW, TRADE, CANCELED, EXPIRED, TRADE_PREVENTION or REJECTED",
        )?;
        let (fee_asset, trade_id) = match kind {
            ExecutionKind::Trade => (Some(self.any_asset(object.field("N")?)?), Some(number("t")?)),
            ExecutionKind::New | ExecutionKind::Canceled => (None, None),
        };
        Ok(Head::Other(Decoded::Execution(ExecutionReport {
            account,
            symbol: instrument.id,
            event_ns: Some(from_wire_time(number("E")?)),
            engine_ns: from_wire_time(number("T")?),
            kind,
            status: any_word(
                object.field("X")?,
                order_status,
                "NEW, PENDING_NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED or EXPIRED_IN_MATCH",
            )?,
            side: any_word(object.field("S")?, side, "BUY or SELL")?,
            order_id: number("i")?,
            execution_id: Some(number("I")?),
            price: price("p")?,
            quantity: quantity("q")?,
            last: Level { price: price("L")?, quantity: quantity("l")? },
            filled_quantity: quantity("z")?,
            last_quote_units: Some(amount("Y")?),
            filled_quote_units: Some(amount("Z")?),
            fee_units: amount("n")?,
            fee_asset,
            trade_id,
            placed_ns: Some(from_wire_time(number("O")?)),
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
            let asset = self.any_asset(balance.field("a")?)?;
            let free_units = any_amount(balance.field("f")?)?;
            let locked = balance.field("l")?;
            let balance = asset_balance(asset, free_units, any_amount(locked)?);
            lists.balances.push(balance.ok_or_else(|| locked.wrong(AMOUNT))?);
        }
        let event_ns = from_wire_time(object.field("E")?.number()?);
        let engine_ns = from_wire_time(object.field("u")?.number()?);
        Ok(Head::Balance { account, event_ns, engine_ns })
    }

    fn any_transfer(&self, object: &Object<'_>, account: AccountId) -> Result<Head, DecodeError> {
        Ok(Head::Other(Decoded::Transfer(TransferUpdate {
            account,
            event_ns: from_wire_time(object.field("E")?.number()?),
            engine_ns: from_wire_time(object.field("T")?.number()?),
            asset: self.any_asset(object.field("a")?)?,
            amount_units: any_amount(object.field("d")?)?,
        })))
    }

    fn any_symbol(&self, object: &Object<'_>) -> Result<&Instrument, DecodeError> {
        self.any_named(object.field("s")?)
    }

    fn any_named(&self, symbol: Value<'_>) -> Result<&Instrument, DecodeError> {
        let name = symbol.string()?;
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

/// The body of a book as REST has it.
pub(in crate::binance) fn read_rest_book(
    bytes: &[u8],
    instrument: &Instrument,
) -> Result<Snapshot, DecodeError> {
    let mut lists = Lists::default();
    let update_id = any_levels_of_book(Object::parse(bytes)?.called("depth"), instrument, &mut lists)?;
    let (bids, asks) = lists.levels.split_at(lists.bids_count);
    let [bids, asks] =
        [bids, asks].map(|levels| levels.iter().map(|level| (level.price, level.quantity)).collect());
    Ok(Snapshot { symbol: instrument.id, sequence: 0, update_id, bids, asks })
}

/// The levels of a book, and the number of the last change in it.
fn any_levels_of_book(
    object: &Object<'_>,
    instrument: &Instrument,
    lists: &mut Lists,
) -> Result<u64, DecodeError> {
    any_levels(object.field("bids")?, instrument, &mut lists.levels)?;
    lists.bids_count = lists.levels.len();
    any_levels(object.field("asks")?, instrument, &mut lists.levels)?;
    object.field("lastUpdateId")?.number()
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

const AMOUNT: &str = "an amount below 2^63 of the smallest units";

fn any_amount(value: Value<'_>) -> Result<i64, DecodeError> {
    i64::try_from(value.signed_units()?).map_err(|_| value.wrong(AMOUNT))
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

/// A message with one of these fields is an answer that says nothing of the market.
const ANSWERS: [&str; 6] = ["result", "error", "code", "timezone", "serverTime", "listenKey"];

const EVENTS: &str = "depthUpdate, trade, aggTrade, 24hrTicker, 24hrMiniTicker, executionReport, \
    outboundAccountPosition, balanceUpdate, or none for a book ticker";
