//! The values of fields, and the errors about them.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tickstorm_market::event::Side;
use tickstorm_market::instrument::Instrument;

use super::time::read_time;
use crate::decoded::DepthForm;
use crate::decoder::DecodeError;
use crate::json::Value;
use crate::text::{parse_short_units, parse_units, units_text};

/// The fields of one object of a message, which errors refer to.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) message: &'a str,
    /// What the object is.
    pub(super) event: &'static str,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn get(
        self,
        field: &'static str,
        raw: Option<&'a RawValue>,
    ) -> Result<Value<'a>, DecodeError> {
        let raw = raw.ok_or(DecodeError::MissingField { event: self.event, field })?;
        Ok(Value::new(self.message, field, raw))
    }
}

/// A string that is one of a few words.
pub(super) fn word<T>(
    value: Value<'_>,
    read: impl Fn(&str) -> Option<T>,
    allowed: &'static str,
) -> Result<T, DecodeError> {
    read(&text(value, allowed)?).ok_or_else(|| value.wrong(allowed))
}

fn text<'a>(value: Value<'a>, allowed: &'static str) -> Result<Cow<'a, str>, DecodeError> {
    value.string().map_err(|_| value.wrong(allowed))
}

pub(super) fn time(value: Value<'_>) -> Result<u64, DecodeError> {
    word(value, read_time, "an RFC 3339 time in UTC")
}

/// A whole number in quotes.
pub(super) fn count(value: Value<'_>) -> Result<u64, DecodeError> {
    word(value, |text| text.parse().ok(), "a whole number in quotes, not negative")
}

pub(super) fn price(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    let units = units(value)?;
    whole_steps(units, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok()).ok_or_else(|| {
        DecodeError::OffTick {
            field: value.name(),
            symbol: instrument.symbol.clone(),
            value: units_text(units),
            tick: units_text(instrument.tick.into()),
        }
    })
}

/// The limit of an order; zero where it has none.
pub(super) fn price_or_none(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    if value.string()?.is_empty() { Ok(0) } else { price(value, instrument) }
}

pub(super) fn quantity(value: Value<'_>, instrument: &Instrument) -> Result<u64, DecodeError> {
    let units = units(value)?;
    whole_steps(units, instrument.lot).ok_or_else(|| DecodeError::OffLot {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: units_text(units),
        lot: units_text(instrument.lot.into()),
    })
}

#[inline]
fn whole_steps(units: u128, step: u64) -> Option<u64> {
    // Nearly always 64 bits are enough, where a division costs a fifth.
    if let Ok(units) = u64::try_from(units) {
        let steps = units.checked_div(step)?;
        return (steps * step == units).then_some(steps);
    }
    let steps = u64::try_from(units.checked_div(step.into())?).ok()?;
    (u128::from(steps) * u128::from(step) == units).then_some(steps)
}

#[inline]
pub(super) fn units(value: Value<'_>) -> Result<u128, DecodeError> {
    let text = value.string().ok();
    match text.and_then(|text| parse_short_units(&text)) {
        Some(units) => Ok(units.into()),
        None => value.units(),
    }
}

/// An amount of money in 1e-8 units, what is below them cut off: averages and fees may have any number of
/// places. No text is no money.
pub(super) fn rough_units(value: Value<'_>) -> Result<u64, DecodeError> {
    const ALLOWED: &str = "a decimal in quotes, not negative";
    let text = text(value, ALLOWED)?;
    let units = if text.is_empty() { Some(0) } else { cut_units(&text) };
    units.and_then(|units| u64::try_from(units).ok()).ok_or_else(|| value.wrong(ALLOWED))
}

/// Per cent as a share in 1e-8.
pub(super) fn share(value: Value<'_>) -> Result<i64, DecodeError> {
    const ALLOWED: &str = "a decimal in quotes";
    let units = cut_units(&text(value, ALLOWED)?);
    // Half up, away from zero.
    let rounded = units.map(|units| (units.abs() + 50) / 100 * units.signum());
    rounded.and_then(|share| i64::try_from(share).ok()).ok_or_else(|| value.wrong(ALLOWED))
}

fn cut_units(text: &str) -> Option<i128> {
    let Some((whole, places)) = text.split_once('.') else { return parse_units(text) };
    let digits = places.bytes().all(|place| place.is_ascii_digit());
    let end = whole.len() + 1 + places.len().min(8);
    if digits { parse_units(&text[..end]) } else { None }
}

/// What was filled must have cost the average price, as far as its places go.
pub(super) fn check_average(
    filled_value: Value<'_>,
    filled_units: u64,
    average_units: u64,
    filled_quantity: u64,
    instrument: &Instrument,
) -> Result<(), DecodeError> {
    let base_units = u128::from(filled_quantity) * u128::from(instrument.lot);
    let exact = u128::from(average_units).checked_mul(base_units);
    let found = u128::from(filled_units) * UNITS;
    if exact.is_some_and(|exact| exact.abs_diff(found) <= base_units + UNITS) {
        return Ok(());
    }
    Err(filled_value.wrong("avg_price times cumulative_quantity"))
}

pub(super) fn form(text: &str) -> Option<DepthForm> {
    match text {
        "snapshot" => Some(DepthForm::Snapshot),
        "update" => Some(DepthForm::Update),
        _ => None,
    }
}

pub(super) fn book_side(text: &str) -> Option<Side> {
    match text {
        "bid" => Some(Side::Buy),
        "offer" => Some(Side::Sell),
        _ => None,
    }
}

pub(super) fn order_side(text: &str) -> Option<Side> {
    match text {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// What the venue calls an order's status, as far as it matters here.
pub(super) enum OrderState {
    Waiting,
    Open,
    Filled,
    Gone,
}

pub(super) fn order_state(text: &str) -> Option<OrderState> {
    match text {
        "PENDING" | "CANCEL_QUEUED" => Some(OrderState::Waiting),
        "OPEN" => Some(OrderState::Open),
        "FILLED" => Some(OrderState::Filled),
        "CANCELLED" | "EXPIRED" | "FAILED" => Some(OrderState::Gone),
        _ => None,
    }
}

pub(super) fn is_online(text: &str) -> Option<bool> {
    match text {
        "online" => Some(true),
        "offline" | "internal" | "delisted" => Some(false),
        _ => None,
    }
}

pub(super) const FORMS: &str = "snapshot or update";
pub(super) const SIDES: &str = "BUY or SELL";
pub(super) const ORDER_STATES: &str = "PENDING, OPEN, FILLED, CANCEL_QUEUED, CANCELLED, EXPIRED or FAILED";
pub(super) const PRODUCT_STATES: &str = "online, offline, internal or delisted";

/// 1e-8 in one.
const UNITS: u128 = 100_000_000;
