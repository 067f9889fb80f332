//! The topics that nearly all messages belong to, read without a detour. Whatever is not as expected, a wrong value
//! included, gives `None`: the careful readers then find out what it is.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tickstorm_market::instrument::Instrument;

use super::values::{from_ms, id_number, whole_steps, whole_ticks, whole_units};
use super::{BookHead, ListingNames, Lists, QUOTE_DEPTH, Topic, depth_form, side};
use crate::decoded::{Decoded, DepthForm, Level, TradePrint};

/// What every public message has around its data.
#[derive(Deserialize)]
struct Push<'a> {
    topic: &'a str,
    #[serde(rename = "type")]
    form: &'a str,
    ts: u64,
    #[serde(default, deserialize_with = "number")]
    cts: Option<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct TradeText<'a> {
    i: &'a str,
    #[serde(rename = "T")]
    engine_ms: u64,
    p: &'a str,
    v: &'a str,
    #[serde(rename = "S")]
    taker: &'a str,
    s: &'a str,
    #[serde(default, deserialize_with = "number")]
    seq: Option<u64>,
}

/// A field that may be absent, but is a number if it is there.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

impl ListingNames {
    #[inline]
    pub(super) fn read_quick(
        &self,
        bytes: &[u8],
        lists: &mut Lists,
        each: &mut impl FnMut(Decoded<'_>),
    ) -> Option<()> {
        // Messages of the private topics begin with their id.
        if !bytes.starts_with(br#"{"topic""#) {
            return None;
        }
        let push: Push<'_> = serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
        match Topic::parse(push.topic)? {
            Topic::Book { depth, symbol } => {
                let head = self.quick_book(&push, depth, symbol, lists)?;
                each(head.complete(lists));
            }
            Topic::Trades { symbol } => {
                self.quick_trades(&push, symbol, &mut lists.trades)?;
                lists.trades.iter().for_each(|print| each(Decoded::Trade(*print)));
            }
            Topic::Ticker { .. } | Topic::Order | Topic::Execution | Topic::Wallet => return None,
        }
        Some(())
    }

    #[inline]
    fn quick_book(
        &self,
        push: &Push<'_>,
        depth: u32,
        symbol: &str,
        lists: &mut Lists,
    ) -> Option<BookHead<'_>> {
        let instrument = self.find_symbol(symbol)?;
        let form = depth_form(push.form)?;
        let book = BookText { instrument, symbol, lists };
        let (count, cross_sequence) = read(push.data, book)?;
        let one_level = form == DepthForm::Snapshot && lists.bids.len() <= 1 && lists.asks.len() <= 1;
        if depth == QUOTE_DEPTH && !one_level {
            return None;
        }
        Some(BookHead {
            instrument,
            form,
            depth,
            event_ns: from_ms(push.ts),
            engine_ns: push.cts.map(from_ms),
            count,
            cross_sequence,
        })
    }

    fn quick_trades(&self, push: &Push<'_>, symbol: &str, trades: &mut Vec<TradePrint>) -> Option<()> {
        let instrument = self.find_symbol(symbol)?;
        trades.clear();
        let event_ns = from_ms(push.ts);
        read(
            push.data,
            elements(|text: TradeText<'_>| {
                if text.s != symbol {
                    return None;
                }
                trades.push(TradePrint {
                    symbol: instrument.id,
                    event_ns: Some(event_ns),
                    engine_ns: from_ms(text.engine_ms),
                    trade_id: id_number(text.i),
                    matches: 1,
                    price: whole_ticks(whole_units(text.p)?, instrument)?,
                    quantity: whole_steps(whole_units(text.v)?, instrument.lot)?,
                    taker: side(text.taker)?,
                    cross_sequence: text.seq,
                });
                Some(())
            }),
        )
    }
}

fn read<'a, S: DeserializeSeed<'a>>(raw: &'a RawValue, seed: S) -> Option<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    seed.deserialize(&mut deserializer).ok()
}

/// The data of a book message: the levels go into the lists, `u` and `seq` come back.
struct BookText<'a> {
    instrument: &'a Instrument,
    symbol: &'a str,
    lists: &'a mut Lists,
}

impl<'de> DeserializeSeed<'de> for BookText<'_> {
    type Value = (u64, Option<u64>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BookText<'_> {
    type Value = (u64, Option<u64>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of a book")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut named, mut has_bids, mut has_asks) = (false, false, false);
        let (mut count, mut sequence) = (None, None);
        while let Some(key) = map.next_key::<&str>()? {
            // Of fields with one name the last counts, which the careful readers see to.
            match key {
                "s" if !named => named = map.next_value::<&str>()? == self.symbol,
                "b" if !has_bids => {
                    has_bids = true;
                    map.next_value_seed(levels(self.instrument, &mut self.lists.bids))?;
                }
                "a" if !has_asks => {
                    has_asks = true;
                    map.next_value_seed(levels(self.instrument, &mut self.lists.asks))?;
                }
                "u" if count.is_none() => count = Some(map.next_value()?),
                "seq" if sequence.is_none() => sequence = Some(map.next_value()?),
                "s" | "b" | "a" | "u" | "seq" => return Err(A::Error::custom("a field twice")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match count {
            Some(count) if named && has_bids && has_asks => Ok((count, sequence)),
            _ => Err(A::Error::custom("a field is missing")),
        }
    }
}

/// An array of prices and sizes, which replaces what is in `levels`.
fn levels<'de>(instrument: &Instrument, levels: &mut Vec<Level>) -> impl DeserializeSeed<'de, Value = ()> {
    levels.clear();
    elements(move |(price, size): (&'de str, &'de str)| {
        levels.push(Level {
            price: whole_ticks(whole_units(price)?, instrument)?,
            quantity: whole_steps(whole_units(size)?, instrument.lot)?,
        });
        Some(())
    })
}

/// An array whose elements are handed to a function as they come, until it refuses one.
struct Elements<F, T>(F, PhantomData<T>);

fn elements<'de, T: Deserialize<'de>, F: FnMut(T) -> Option<()>>(each: F) -> Elements<F, T> {
    Elements(each, PhantomData)
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Option<()>> DeserializeSeed<'de> for Elements<F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Option<()>> Visitor<'de> for Elements<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element()? {
            (self.0)(element).ok_or_else(|| A::Error::custom("not as expected"))?;
        }
        Ok(())
    }
}
