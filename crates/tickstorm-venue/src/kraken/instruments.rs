//! The `instrument` channel: all assets and pairs, and pairs whose state has changed.
//!
//! `price_precision` and `qty_precision` are the decimals of every price and quantity on the wire, and so those of the
//! checksum.

use std::collections::HashMap;

use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::encode::Pieces;
use super::scale::QUANTITY_PLACES;
use super::wire::{Frame, Reader, fields};
use crate::decoder::DecodeError;
use crate::json::Value;
use crate::text::{NUMBER_ROOM, Writer, append};

/// Appends the message with all instruments.
pub(super) fn write_snapshot(
    listing: &Listing,
    pieces: &[Pieces],
    assets: &[Box<[u8]>],
    trading: impl Fn(SymbolId) -> bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"channel":"instrument","type":"snapshot","data":{"assets":["#);
    for (index, asset) in assets.iter().enumerate() {
        append(out, 200 + asset.len(), |w| {
            if index > 0 {
                w.literal(b",");
            }
            w.literal(br#"{"id":"#);
            w.bytes(asset);
            w.literal(br#","status":"enabled","precision":8,"precision_display":8,"borrowable":false,"#);
            w.literal(br#""collateral_value":0.00,"margin_rate":0.000000}"#);
        });
    }
    out.extend_from_slice(br#"],"pairs":["#);
    for (instrument, pieces) in listing.instruments.iter().zip(pieces) {
        let [base, quote] = [instrument.base, instrument.quote].map(|asset| &*assets[asset.0 as usize]);
        append(out, 1 + PAIR_ROOM + pieces.symbol.len() + base.len() + quote.len(), |w| {
            if instrument.id != SymbolId(0) {
                w.literal(b",");
            }
            write_pair(pieces, base, quote, trading(instrument.id), w);
        });
    }
    out.extend_from_slice(b"]}}");
}

/// One pair. A halt is a market that takes nothing but orders that rest.
pub(super) fn write_pair(pieces: &Pieces, base: &[u8], quote: &[u8], trading: bool, w: &mut Writer<'_>) {
    w.literal(br#"{"symbol":"#);
    w.bytes(&pieces.symbol);
    w.literal(br#","base":"#);
    w.bytes(base);
    w.literal(br#","quote":"#);
    w.bytes(quote);
    if trading {
        w.literal(br#","status":"online","qty_precision":"#);
    } else {
        w.literal(br#","status":"post_only","qty_precision":"#);
    }
    w.number(QUANTITY_PLACES.into());
    w.literal(br#","qty_increment":"#);
    w.units(pieces.scale.lot());
    w.literal(br#","price_precision":"#);
    w.number(pieces.scale.price_places().into());
    w.literal(br#","cost_precision":8,"marginable":false,"has_index":false,"cost_min":0.50,"tick_size":"#);
    pieces.price(1, w);
    w.literal(br#","price_increment":"#);
    pieces.price(1, w);
    w.literal(br#","qty_min":"#);
    w.units(pieces.scale.lot());
    w.literal(b"}");
}

/// Room for a pair without its names.
pub(super) const PAIR_ROOM: usize = 300 + 6 * NUMBER_ROOM;

pub(crate) fn read_instruments(bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let reader = Reader::new(bytes)?;
    let frame: Frame<'_> = reader.message()?;
    let channel = reader.find("channel", frame.channel).map(Value::string).transpose()?;
    let form = reader.find("type", frame.form).map(Value::string).transpose()?;
    if (channel.as_deref(), form.as_deref()) != (Some("instrument"), Some("snapshot")) {
        return Ok(None);
    }
    let data: WireInstruments<'_> = reader.need("instrument", "data", frame.data)?.read()?;
    let mut assets = Vec::new();
    reader.need("instrument", "assets", data.assets)?.elements(|asset: WireAsset<'_>| {
        assets.push(reader.need("asset", "id", asset.id)?.string()?.into_owned());
        Ok(())
    })?;
    let ids: HashMap<&str, AssetId> =
        (0..).map(AssetId).zip(&assets).map(|(id, name)| (name.as_str(), id)).collect();
    let mut instruments = Vec::new();
    reader.need("instrument", "pairs", data.pairs)?.elements(|pair: WirePair<'_>| {
        instruments.push(read_pair(&reader, &pair, SymbolId(instruments.len() as u32), &ids)?);
        Ok(())
    })?;
    Ok(Some(Listing { instruments: instruments.into(), assets: assets.into() }))
}

fn read_pair(
    reader: &Reader<'_>,
    pair: &WirePair<'_>,
    id: SymbolId,
    assets: &HashMap<&str, AssetId>,
) -> Result<Instrument, DecodeError> {
    let asset = |field, raw| {
        let name = reader.need("pair", field, raw)?.string()?;
        match assets.get(&*name) {
            Some(&id) => Ok((id, name)),
            None => Err(DecodeError::UnknownAsset { asset: crate::json::quoted(&name) }),
        }
    };
    let step = |field, raw| {
        let value = reader.need("pair", field, raw)?;
        let units = super::wire::units(value)?;
        u64::try_from(units).ok().filter(|&units| units > 0).ok_or_else(|| value.wrong("above zero"))
    };
    let ((base, base_name), (quote, quote_name)) = (asset("base", pair.base)?, asset("quote", pair.quote)?);
    Ok(Instrument {
        id,
        symbol: [base_name, quote_name].concat(),
        base,
        quote,
        tick: step("price_increment", pair.price_increment)?,
        lot: step("qty_increment", pair.qty_increment)?,
        start_price: 0,
    })
}

/// Whether orders are matched in a pair of this status.
pub(super) fn is_trading(value: Value<'_>) -> Result<bool, DecodeError> {
    match &*value.string()? {
        "online" | "limit_only" | "reduce_only" => Ok(true),
        "post_only" | "cancel_only" | "maintenance" | "work_in_progress" | "delisted" => Ok(false),
        _ => Err(value.wrong(
            "online, limit_only, reduce_only, post_only, cancel_only, maintenance, work_in_progress or delisted",
        )),
    }
}

fields!(WireInstruments { assets, pairs });
fields!(WireAsset { id });
fields!(pub(super) WirePair { symbol, base, quote, status, price_increment, qty_increment });
