//! OKX's answers to HTTP requests, read.

use std::collections::HashMap;

use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::parts::{BookEntry, InstrumentEntry, Lists, Part, Top, Traded, is_beat, text};
use crate::decoded::Level;
use crate::decoder::DecodeError;
use crate::json::Value;

/// The instruments of an answer to `/api/v5/public/instruments`; none of any other message.
pub(crate) fn read_instruments(bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
    let message = text(bytes)?;
    if is_beat(message) {
        return Ok(None);
    }
    let top = Top::read(message)?;
    let (Some(_), None, Some(data)) = (top.code, top.event, top.data) else { return Ok(None) };
    let mut listed = Listed::default();
    match Value::new(message, "data", data).each(|entry| listed.add(message, entry)) {
        // An answer about something else.
        Err(DecodeError::MissingField { field: "baseCcy", .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(()) if listed.instruments.is_empty() => Ok(None),
        Ok(()) => Ok(Some(listed.finish())),
    }
}

/// The book of an answer to `/api/v5/market/books`.
pub(super) fn read_depth(instrument: &Instrument, bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    let (message, data) = read_answer(bytes)?;
    let (part, it) = (Part { message, channel: "books" }, Traded { instrument });
    let mut lists = Lists::default();
    let mut snapshot = None;
    data.each(|entry| {
        let entry: BookEntry<'_> = entry.read()?;
        let bids_count = lists.read_levels(part, &entry, &it)?;
        let (bids, asks) = lists.levels.split_at(bids_count);
        let pairs = |levels: &[Level]| levels.iter().map(|level| (level.price, level.quantity)).collect();
        snapshot = Some(Snapshot {
            symbol: instrument.id,
            sequence: 0,
            update_id: part.field("seqId", entry.seq_id)?.number()?,
            bids: pairs(bids),
            asks: pairs(asks),
        });
        Ok(())
    })?;
    snapshot.ok_or_else(|| data.wrong("[a book]"))
}

/// The time in an answer to `/api/v5/public/time`, in Unix ns.
pub(super) fn read_time(bytes: &[u8]) -> Result<u64, DecodeError> {
    let (message, data) = read_answer(bytes)?;
    let part = Part { message, channel: "time" };
    let mut time = None;
    data.each(|entry| {
        time = Some(part.time("ts", entry.read::<BookEntry<'_>>()?.ts)?);
        Ok(())
    })?;
    time.ok_or_else(|| data.wrong("[a time]"))
}

/// The data of an answer that is no error.
fn read_answer(bytes: &[u8]) -> Result<(&str, Value<'_>), DecodeError> {
    let message = text(bytes)?;
    let top = Top::read(message)?;
    let part = Part { message, channel: "answer" };
    let code = part.field("code", top.code)?;
    if code.string()? != "0" {
        return Err(code.wrong("0"));
    }
    Ok((message, part.field("data", top.data)?))
}

/// Instruments read so far. Assets come in the order in which they are first named, the quote before the base.
#[derive(Default)]
struct Listed {
    instruments: Vec<Instrument>,
    assets: Vec<String>,
    /// Only ever looked up.
    assets_by_name: HashMap<String, AssetId>,
}

impl Listed {
    fn add<'a>(&mut self, message: &'a str, entry: Value<'a>) -> Result<(), DecodeError> {
        let part = Part { message, channel: "instruments" };
        let entry: InstrumentEntry<'_> = entry.read()?;
        let base = part.text("baseCcy", entry.base_ccy)?;
        let quote = part.text("quoteCcy", entry.quote_ccy)?;
        let quote_id = self.asset(&quote);
        let base_id = self.asset(&base);
        self.instruments.push(Instrument {
            id: SymbolId(self.instruments.len() as u32),
            symbol: [base, quote].concat(),
            base: base_id,
            quote: quote_id,
            tick: step(part.field("tickSz", entry.tick_sz)?)?,
            lot: step(part.field("lotSz", entry.lot_sz)?)?,
            start_price: 0,
        });
        Ok(())
    }

    fn asset(&mut self, name: &str) -> AssetId {
        if let Some(&id) = self.assets_by_name.get(name) {
            return id;
        }
        let id = AssetId(self.assets.len() as u32);
        self.assets.push(name.to_owned());
        self.assets_by_name.insert(name.to_owned(), id);
        id
    }

    fn finish(self) -> Listing {
        Listing { instruments: self.instruments.into(), assets: self.assets.into() }
    }
}

fn step(value: Value<'_>) -> Result<u64, DecodeError> {
    const ALLOWED: &str = "a decimal in quotes above zero, with at most eight places";
    let units = u64::try_from(value.units()?).map_err(|_| value.wrong(ALLOWED))?;
    if units == 0 { Err(value.wrong(ALLOWED)) } else { Ok(units) }
}
