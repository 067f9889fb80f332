//! Names, figures and times as Bybit writes them.

use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use crate::decoded::Level;
use crate::text::{NUMBER_ROOM, Writer};

/// Names as they stand between the quotes of a JSON string.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) symbols: Box<[Box<[u8]>]>,
    pub(super) assets: Box<[Box<[u8]>]>,
}

/// How an instrument's figures are written.
#[derive(Clone, Copy)]
pub(super) struct Figures<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) name: &'a [u8],
}

/// The last time written. Most messages share their millisecond with the one before.
#[derive(Debug, Clone)]
pub(super) struct TimeText {
    ms: u64,
    digits: [u8; TIME_DIGITS],
}

impl Names {
    pub(super) fn new(listing: &Listing) -> Self {
        Self {
            symbols: listing.instruments.iter().map(|instrument| unquoted(&instrument.symbol)).collect(),
            assets: listing.assets.iter().map(|name| unquoted(name)).collect(),
        }
    }
}

/// A name as JSON writes it, without the quotes.
fn unquoted(name: &str) -> Box<[u8]> {
    let quoted = serde_json::Value::from(name).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].into()
}

#[inline(always)]
pub(super) fn figures<'a>(listing: &'a Listing, names: &'a Names, symbol: SymbolId) -> Figures<'a> {
    Figures { instrument: listing.instrument(symbol), name: &names.symbols[symbol.0 as usize] }
}

impl Figures<'_> {
    #[inline(always)]
    pub(super) fn price(&self, ticks: u32, w: &mut Writer<'_>) {
        w.trimmed_units(u64::from(ticks).saturating_mul(self.instrument.tick));
    }

    #[inline(always)]
    pub(super) fn quantity(&self, lots: u64, w: &mut Writer<'_>) {
        w.trimmed_units(lots.saturating_mul(self.instrument.lot));
    }

    #[inline(always)]
    pub(super) fn levels(&self, levels: &[Level], w: &mut Writer<'_>) {
        for (index, level) in levels.iter().enumerate() {
            if index > 0 {
                w.literal(b",");
            }
            w.literal(b"[\"");
            self.price(level.price, w);
            w.literal(br#"",""#);
            self.quantity(level.quantity, w);
            w.literal(b"\"]");
        }
    }
}

impl TimeText {
    pub(super) fn new() -> Self {
        Self { ms: NO_TIME, digits: *b"0000000000000" }
    }

    #[inline(always)]
    pub(super) fn write(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        let ms = unix_ns / NS_PER_MS;
        if ms == self.ms {
            w.literal(&self.digits);
        } else {
            self.write_new(ms, w);
        }
    }

    #[inline(never)]
    fn write_new(&mut self, ms: u64, w: &mut Writer<'_>) {
        let start = w.at();
        w.number(ms);
        if let Ok(digits) = w.written(start).try_into() {
            *self = Self { ms, digits };
        }
    }
}

/// Before the first message no time is written down: times in nanoseconds end long before this millisecond.
const NO_TIME: u64 = u64::MAX;

/// Digits of a Unix time in milliseconds from 2001 to 2286; other times are written without the memory.
const TIME_DIGITS: usize = 13;

pub(super) const NS_PER_MS: u64 = 1_000_000;

/// `,["` price `","` quantity `"]`.
pub(super) const LEVEL_ROOM: usize = 10 + 2 * NUMBER_ROOM;
