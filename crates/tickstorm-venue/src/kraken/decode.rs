//! Kraken's wording, read. Numbers are read from their text, never as floating point.

mod account;

use serde_json::value::RawValue;
use tickstorm_market::event::Side;
use tickstorm_market::instrument::{AssetId, Instrument, Listing};

use super::encode::symbol_name;
use super::instruments::{WirePair, is_trading};
use super::time;
use super::wire::{Frame, Reader, fields, units};
use crate::decoded::{
    AssetBalance, Continuity, Decoded, DepthForm, DepthUpdate, Level, StatusUpdate, TickerUpdate, TradePrint,
};
use crate::decoder::DecodeError;
use crate::json::{Value, quoted};
use crate::names::Names;
use crate::text::units_text;

/// Reads messages; holds the levels and balances of the last one.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    names: ListingNames,
    /// Bids, then asks.
    levels: Vec<Level>,
    balances: Vec<AssetBalance>,
}

#[derive(Debug, Clone)]
struct ListingNames {
    listing: Listing,
    symbols: Names,
    assets: Names,
}

impl Decoder {
    pub(crate) fn new(listing: &Listing) -> Self {
        let symbols: Vec<String> =
            listing.instruments.iter().map(|instrument| symbol_name(listing, instrument)).collect();
        Self {
            names: ListingNames {
                symbols: Names::new(symbols.iter().map(String::as_str)),
                assets: Names::new(listing.assets.iter().map(String::as_str)),
                listing: listing.clone(),
            },
            levels: Vec::new(),
            balances: Vec::new(),
        }
    }

    pub(crate) fn decode_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Result<Decoded<'_>, DecodeError>),
    ) {
        let read = Reader::new(bytes).and_then(|reader| self.read(reader, &mut |said| each(Ok(said))));
        if let Err(error) = read {
            each(Err(error));
        }
    }

    /// Hands over what a message says, up to its first mistake.
    fn read<'a>(&mut self, reader: Reader<'a>, say: &mut impl FnMut(Decoded<'_>)) -> Result<(), DecodeError> {
        let frame: Frame<'a> = reader.message()?;
        if frame.channel.is_none() && (frame.method.is_some() || frame.error.is_some()) {
            say(Decoded::Control);
            return Ok(());
        }
        let channel = reader.need("message", "channel", frame.channel)?;
        match &*channel.string()? {
            "book" => self.read_book(reader, &frame, say),
            "trade" => self.read_trades(reader, &frame, say),
            "ticker" => self.read_tickers(reader, &frame, say),
            "executions" => self.read_executions(reader, &frame, say),
            "balances" => self.read_balances(reader, &frame, say),
            "instrument" => self.read_pairs(reader, &frame, say),
            "status" | "heartbeat" => {
                say(Decoded::Control);
                Ok(())
            }
            other => Err(DecodeError::UnknownEvent { event: quoted(other), allowed: CHANNELS }),
        }
    }

    fn read_book<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let form = form(reader, "book", frame)?;
        let Self { names, levels, .. } = self;
        reader.need("book", "data", frame.data)?.elements(|book: WireBook<'a>| {
            let need = |field, raw| reader.need("book", field, raw);
            let instrument = names.symbol(need("symbol", book.symbol)?)?;
            levels.clear();
            read_levels(reader, need("bids", book.bids)?, instrument, levels)?;
            let bids_count = levels.len();
            read_levels(reader, need("asks", book.asks)?, instrument, levels)?;
            let checksum = need("checksum", book.checksum)?;
            let (bids, asks) = levels.split_at(bids_count);
            say(Decoded::Depth(DepthUpdate {
                symbol: instrument.id,
                form,
                depth: None,
                event_ns: None,
                engine_ns: optional_time(reader, book.timestamp)?,
                continuity: Continuity::None,
                cross_sequence: None,
                checksum: Some(read_checksum(checksum)?),
                bids,
                asks,
            }));
            Ok(())
        })
    }

    /// A snapshot has trades of before the subscription: no news.
    fn read_trades<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        if form(reader, "trade", frame)? == DepthForm::Snapshot {
            say(Decoded::Control);
            return Ok(());
        }
        reader.need("trade", "data", frame.data)?.elements(|trade: WireTrade<'a>| {
            let need = |field, raw| reader.need("trade", field, raw);
            let instrument = self.names.symbol(need("symbol", trade.symbol)?)?;
            say(Decoded::Trade(TradePrint {
                symbol: instrument.id,
                event_ns: None,
                engine_ns: read_time(need("timestamp", trade.timestamp)?)?,
                trade_id: need("trade_id", trade.trade_id)?.number()?,
                matches: 1,
                price: price(need("price", trade.price)?, instrument)?,
                quantity: quantity(need("qty", trade.qty)?, instrument)?,
                taker: side(need("side", trade.side)?)?,
                cross_sequence: None,
            }));
            Ok(())
        })
    }

    fn read_tickers<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        form(reader, "ticker", frame)?;
        reader.need("ticker", "data", frame.data)?.elements(|ticker: WireTicker<'a>| {
            let need = |field, raw| reader.need("ticker", field, raw);
            let instrument = self.names.symbol(need("symbol", ticker.symbol)?)?;
            let level = |[price_field, quantity_field]: [&'static str; 2], price_raw, quantity_raw| {
                Ok(Level {
                    price: price(need(price_field, price_raw)?, instrument)?,
                    quantity: quantity(need(quantity_field, quantity_raw)?, instrument)?,
                })
            };
            let vwap = need("vwap", ticker.vwap)?;
            say(Decoded::Ticker(TickerUpdate {
                symbol: instrument.id,
                event_ns: optional_time(reader, ticker.timestamp)?,
                last: price(need("last", ticker.last)?, instrument)?,
                high: price(need("high", ticker.high)?, instrument)?,
                low: price(need("low", ticker.low)?, instrument)?,
                volume: quantity(need("volume", ticker.volume)?, instrument)?,
                last_quantity: None,
                best: Some([
                    level(["bid", "bid_qty"], ticker.bid, ticker.bid_qty)?,
                    level(["ask", "ask_qty"], ticker.ask, ticker.ask_qty)?,
                ]),
                open: None,
                change: Some(price_change(need("change", ticker.change)?, instrument)?),
                change_share: Some(share(need("change_pct", ticker.change_pct)?)?),
                weighted_average_units: Some(amount(vwap)?),
                quote_volume_units: None,
                previous_close: None,
                trade_ids: None,
                count: None,
                window_ns: None,
            }));
            Ok(())
        })
    }

    fn read_pairs<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let mut news = false;
        if form(reader, "instrument", frame)? == DepthForm::Update {
            let data: WirePairs<'a> = reader.need("instrument", "data", frame.data)?.read()?;
            if let Some(pairs) = reader.find("pairs", data.pairs) {
                pairs.elements(|pair: WirePair<'a>| {
                    let symbol = self.names.symbol(reader.need("pair", "symbol", pair.symbol)?)?.id;
                    let trading = is_trading(reader.need("pair", "status", pair.status)?)?;
                    news = true;
                    say(Decoded::Status(StatusUpdate { symbol, event_ns: None, trading }));
                    Ok(())
                })?;
            }
        }
        if !news {
            say(Decoded::Control);
        }
        Ok(())
    }
}

impl ListingNames {
    #[inline]
    fn symbol(&self, value: Value<'_>) -> Result<&Instrument, DecodeError> {
        let name = value.string()?;
        match self.symbols.find(name.as_bytes()) {
            Some(index) => Ok(&self.listing.instruments[index as usize]),
            None => Err(DecodeError::UnknownSymbol { symbol: quoted(&name) }),
        }
    }

    fn asset(&self, value: Value<'_>) -> Result<AssetId, DecodeError> {
        let name = value.string()?;
        match self.assets.find(name.as_bytes()) {
            Some(index) => Ok(AssetId(index)),
            None => Err(DecodeError::UnknownAsset { asset: quoted(&name) }),
        }
    }
}

fn form<'a>(reader: Reader<'a>, event: &'static str, frame: &Frame<'a>) -> Result<DepthForm, DecodeError> {
    let value = reader.need(event, "type", frame.form)?;
    match &*value.string()? {
        "update" => Ok(DepthForm::Update),
        "snapshot" => Ok(DepthForm::Snapshot),
        _ => Err(value.wrong("snapshot or update")),
    }
}

#[inline]
fn read_levels<'a>(
    reader: Reader<'a>,
    value: Value<'a>,
    instrument: &Instrument,
    levels: &mut Vec<Level>,
) -> Result<(), DecodeError> {
    value.elements(|level: WireLevel<'a>| {
        levels.push(Level {
            price: price(reader.need("level", "price", level.price)?, instrument)?,
            quantity: quantity(reader.need("level", "qty", level.qty)?, instrument)?,
        });
        Ok(())
    })
}

fn read_checksum(value: Value<'_>) -> Result<u32, DecodeError> {
    let number = value.raw().parse();
    number.map_err(|_| value.wrong("a whole number of 32 bits, not negative"))
}

fn read_time(value: Value<'_>) -> Result<u64, DecodeError> {
    const ALLOWED: &str = "a time in UTC between 1970 and 2500, as \"2026-11-23T08:00:00.104210Z\"";
    time::parse(&value.string()?).ok_or_else(|| value.wrong(ALLOWED))
}

fn optional_time<'a>(reader: Reader<'a>, raw: Option<&'a RawValue>) -> Result<Option<u64>, DecodeError> {
    reader.find("timestamp", raw).map(read_time).transpose()
}

fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    match &*value.string()? {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(value.wrong("buy or sell")),
    }
}

#[inline]
fn price(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    let units = not_negative(value)?;
    let ticks = whole_steps(units, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok());
    ticks.ok_or_else(|| off_tick(value, instrument))
}

#[inline]
fn quantity(value: Value<'_>, instrument: &Instrument) -> Result<u64, DecodeError> {
    let units = not_negative(value)?;
    let lots = whole_steps(units, instrument.lot).and_then(|lots| u64::try_from(lots).ok());
    lots.ok_or_else(|| DecodeError::OffLot {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: quoted(value.raw()),
        lot: units_text(instrument.lot.into()),
    })
}

fn price_change(value: Value<'_>, instrument: &Instrument) -> Result<i64, DecodeError> {
    let units = units(value)?;
    let ticks =
        whole_steps(units.unsigned_abs(), instrument.tick).and_then(|ticks| i64::try_from(ticks).ok());
    ticks.map(|ticks| if units < 0 { -ticks } else { ticks }).ok_or_else(|| off_tick(value, instrument))
}

#[cold]
fn off_tick(value: Value<'_>, instrument: &Instrument) -> DecodeError {
    DecodeError::OffTick {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: quoted(value.raw()),
        tick: units_text(instrument.tick.into()),
    }
}

#[inline]
fn whole_steps(units: u128, step: u64) -> Option<u128> {
    match u64::try_from(units) {
        Ok(units) => (units.checked_rem(step)? == 0).then(|| u128::from(units / step)),
        Err(_) => (units.checked_rem(step.into())? == 0).then(|| units / u128::from(step)),
    }
}

#[inline]
fn not_negative(value: Value<'_>) -> Result<u128, DecodeError> {
    let units = units(value)?;
    u128::try_from(units).map_err(|_| value.wrong("a number with at most eight decimals, not negative"))
}

fn amount(value: Value<'_>) -> Result<u64, DecodeError> {
    u64::try_from(not_negative(value)?).map_err(|_| value.wrong(AMOUNT))
}

fn signed_amount(value: Value<'_>) -> Result<i64, DecodeError> {
    i64::try_from(units(value)?).map_err(|_| value.wrong(AMOUNT))
}

/// Per cent on the wire, of one in 1e-8 here.
fn share(value: Value<'_>) -> Result<i64, DecodeError> {
    i64::try_from(units(value)? / 100).map_err(|_| value.wrong(AMOUNT))
}

const AMOUNT: &str = "an amount below 2^63 of the smallest units";

const CHANNELS: &str = "book, trade, ticker, instrument, executions, balances, status, heartbeat";

fields!(WireBook { symbol, bids, asks, checksum, timestamp });
fields!(WireLevel { price, qty });
fields!(WireTrade { symbol, side, price, qty, trade_id, timestamp });
fields!(WireTicker {
    symbol,
    bid,
    bid_qty,
    ask,
    ask_qty,
    last,
    volume,
    vwap,
    low,
    high,
    change,
    change_pct,
    timestamp,
});
fields!(WirePairs { pairs });
