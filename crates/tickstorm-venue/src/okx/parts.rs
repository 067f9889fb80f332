//! The parts that OKX's messages are made of, and their values.
//!
//! Values stay text until the field is asked for, so that errors can name the field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tickstorm_market::event::Side;
use tickstorm_market::instrument::Instrument;

use crate::decoded::{AssetBalance, Level, OrderStatus};
use crate::decoder::DecodeError;
use crate::json::{Value, malformed};
use crate::text::{parse_short_units, units_text};

/// What tells messages apart.
#[derive(Deserialize)]
pub(super) struct Top<'a> {
    #[serde(borrow)]
    pub(super) arg: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) action: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(borrow, rename = "eventType")]
    pub(super) event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) op: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
}

/// The subscription that a message belongs to.
#[derive(Deserialize)]
pub(super) struct Arg<'a> {
    #[serde(borrow)]
    pub(super) channel: Option<&'a RawValue>,
    #[serde(borrow, rename = "instId")]
    pub(super) inst_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) uid: Option<&'a RawValue>,
}

/// Of `books` and its siblings.
#[derive(Deserialize)]
pub(super) struct BookEntry<'a> {
    #[serde(borrow)]
    pub(super) asks: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) bids: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ts: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) checksum: Option<&'a RawValue>,
    #[serde(borrow, rename = "seqId")]
    pub(super) seq_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "prevSeqId")]
    pub(super) prev_seq_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TradeEntry<'a> {
    #[serde(borrow)]
    pub(super) trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) px: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) side: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ts: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) count: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) seq_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TickerEntry<'a> {
    #[serde(borrow)]
    pub(super) last: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) last_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ask_px: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ask_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) bid_px: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) bid_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) open24h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) high24h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) low24h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) vol_ccy24h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) vol24h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderEntry<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ord_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) px: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) side: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) state: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) fill_px: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) fill_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) acc_fill_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) fill_fee: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) fill_fee_ccy: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) u_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) c_time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountEntry<'a> {
    #[serde(borrow)]
    pub(super) u_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HoldingEntry<'a> {
    #[serde(borrow)]
    pub(super) ccy: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) eq: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) frozen_bal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) u_time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstrumentEntry<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) base_ccy: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) quote_ccy: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tick_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) lot_sz: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) state: Option<&'a RawValue>,
}

impl<'a> Top<'a> {
    pub(super) fn read(message: &'a str) -> Result<Self, DecodeError> {
        // serde would take an array for the fields in their order.
        if !message.trim_start().starts_with('{') {
            let problem = "expected an object".to_owned();
            let offset = message.len() - message.trim_start().len();
            return Err(DecodeError::Malformed { offset, problem });
        }
        serde_json::from_str(message).map_err(|error| malformed(message, 0, &error))
    }
}

/// An entry of a message's data, or its subscription: names the fields that its values came from.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) message: &'a str,
    pub(super) channel: &'static str,
}

pub(super) type Raw<'a> = Option<&'a RawValue>;

impl<'a> Part<'a> {
    pub(super) fn field(self, field: &'static str, raw: Raw<'a>) -> Result<Value<'a>, DecodeError> {
        match raw {
            Some(raw) => Ok(Value::new(self.message, field, raw)),
            None => Err(DecodeError::MissingField { event: self.channel, field }),
        }
    }

    /// The field unless it is absent or empty.
    pub(super) fn told(self, field: &'static str, raw: Raw<'a>) -> Option<Value<'a>> {
        let raw = raw.filter(|raw| raw.get() != "\"\"")?;
        Some(Value::new(self.message, field, raw))
    }

    pub(super) fn text(self, field: &'static str, raw: Raw<'a>) -> Result<Cow<'a, str>, DecodeError> {
        self.field(field, raw)?.string()
    }

    /// Milliseconds in quotes.
    #[inline]
    pub(super) fn time(self, field: &'static str, raw: Raw<'a>) -> Result<u64, DecodeError> {
        let value = self.field(field, raw)?;
        let ms = whole_number(value, "milliseconds in quotes")?;
        Ok(ms.saturating_mul(NS_PER_MS))
    }

    #[inline]
    pub(super) fn price(
        self,
        field: &'static str,
        raw: Raw<'a>,
        it: &Traded<'_>,
    ) -> Result<u32, DecodeError> {
        it.price(self.field(field, raw)?)
    }

    #[inline]
    pub(super) fn quantity(
        self,
        field: &'static str,
        raw: Raw<'a>,
        it: &Traded<'_>,
    ) -> Result<u64, DecodeError> {
        it.quantity(self.field(field, raw)?)
    }

    pub(super) fn told_price(
        self,
        field: &'static str,
        raw: Raw<'a>,
        it: &Traded<'_>,
    ) -> Result<u32, DecodeError> {
        self.told(field, raw).map_or(Ok(0), |value| it.price(value))
    }

    pub(super) fn told_quantity(
        self,
        field: &'static str,
        raw: Raw<'a>,
        it: &Traded<'_>,
    ) -> Result<u64, DecodeError> {
        self.told(field, raw).map_or(Ok(0), |value| it.quantity(value))
    }
}

/// Room for what a message has a variable number of, used again for the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    /// Bids, then asks.
    pub(super) levels: Vec<Level>,
    pub(super) balances: Vec<AssetBalance>,
}

impl Lists {
    /// Both sides of an entry; tells how many bids.
    #[inline]
    pub(super) fn read_levels<'a>(
        &mut self,
        part: Part<'a>,
        entry: &BookEntry<'a>,
        it: &Traded<'_>,
    ) -> Result<usize, DecodeError> {
        self.levels.clear();
        part.field("bids", entry.bids)?.each(|level| self.read_level(level, it))?;
        let bids_count = self.levels.len();
        part.field("asks", entry.asks)?.each(|level| self.read_level(level, it))?;
        Ok(bids_count)
    }

    /// Behind price and quantity come a field that has been retired and the number of orders, which the market
    /// does not know.
    #[inline]
    pub(super) fn read_level(&mut self, level: Value<'_>, it: &Traded<'_>) -> Result<(), DecodeError> {
        let (mut price, mut quantity) = (None, None);
        let mut index = 0;
        level.each(|part| {
            match index {
                0 => price = Some(it.price(part)?),
                1 => quantity = Some(it.quantity(part)?),
                _ => {}
            }
            index += 1;
            Ok(())
        })?;
        let (Some(price), Some(quantity)) = (price, quantity) else {
            return Err(level.wrong("[price, quantity, \"0\", orders]"));
        };
        self.levels.push(Level { price, quantity });
        Ok(())
    }
}

/// The instrument that a message is about, by whose steps its numbers are read.
pub(super) struct Traded<'l> {
    pub(super) instrument: &'l Instrument,
}

impl Traded<'_> {
    #[inline]
    pub(super) fn price(&self, value: Value<'_>) -> Result<u32, DecodeError> {
        let Instrument { symbol, tick, .. } = self.instrument;
        let ticks = steps(value, *tick)?.and_then(|ticks| u32::try_from(ticks).ok());
        ticks.ok_or_else(|| DecodeError::OffTick {
            field: value.name(),
            symbol: symbol.clone(),
            value: value.shown(),
            tick: units_text((*tick).into()),
        })
    }

    #[inline]
    pub(super) fn quantity(&self, value: Value<'_>) -> Result<u64, DecodeError> {
        let Instrument { symbol, lot, .. } = self.instrument;
        let lots = steps(value, *lot)?;
        lots.ok_or_else(|| DecodeError::OffLot {
            field: value.name(),
            symbol: symbol.clone(),
            value: value.shown(),
            lot: units_text((*lot).into()),
        })
    }
}

/// A decimal as whole steps, if it is that.
#[inline]
fn steps(value: Value<'_>, step: u64) -> Result<Option<u64>, DecodeError> {
    let quick = value.plain().and_then(parse_short_units);
    let Some(units) = quick else {
        // Beyond 64 bits, as a day's volume of a cheap coin may be, or no decimal.
        let (units, step) = (value.units()?, u128::from(step));
        let steps = units.checked_div(step).filter(|steps| steps * step == units);
        return Ok(steps.and_then(|steps| u64::try_from(steps).ok()));
    };
    Ok(units.checked_div(step).filter(|steps| steps * step == units))
}

pub(super) fn whole_number(value: Value<'_>, allowed: &'static str) -> Result<u64, DecodeError> {
    let number = value.string().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| value.wrong(allowed))
}

pub(super) fn amount(value: Value<'_>) -> Result<i64, DecodeError> {
    const ALLOWED: &str = "a decimal in quotes below 2^63 smallest units, with at most eight places";
    i64::try_from(value.signed_units()?).map_err(|_| value.wrong(ALLOWED))
}

/// A fee: what was charged is negative.
pub(super) fn charged(value: Value<'_>) -> Result<u64, DecodeError> {
    let units = value.signed_units()?;
    u64::try_from(-units).map_err(|_| value.wrong("a decimal in quotes, zero or negative: no rebate"))
}

/// None if it is zero, as all are since the venue has retired them.
pub(super) fn checksum(value: Value<'_>) -> Result<Option<u32>, DecodeError> {
    let number =
        value.raw().parse::<i32>().map_err(|_| value.wrong("a whole number of 32 bits with a sign"))?;
    Ok((number != 0).then_some(number as u32))
}

pub(super) fn side(value: Value<'_>) -> Result<Side, DecodeError> {
    match &*value.string()? {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(value.wrong("buy or sell")),
    }
}

pub(super) fn order_status(value: Value<'_>) -> Result<OrderStatus, DecodeError> {
    match &*value.string()? {
        "live" => Ok(OrderStatus::New),
        "partially_filled" => Ok(OrderStatus::PartiallyFilled),
        "filled" => Ok(OrderStatus::Filled),
        "canceled" | "mmp_canceled" => Ok(OrderStatus::Canceled),
        _ => Err(value.wrong("live, partially_filled, filled, canceled or mmp_canceled")),
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })
}

/// Client and server keep each other awake with a bare word.
pub(super) fn is_beat(message: &str) -> bool {
    matches!(message, "ping" | "pong")
}

const NS_PER_MS: u64 = 1_000_000;
