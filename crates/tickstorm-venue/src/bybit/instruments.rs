//! The list of instruments, as REST gives it, both ways.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

use super::protocol::json_string;
use crate::decoder::DecodeError;
use crate::json::{Object, Value};
use crate::text::units_text;

/// Appends the body of `/v5/market/instruments-info?category=spot`.
pub(super) fn write_instruments(listing: &Listing, unix_ns: u64, out: &mut Vec<u8>) {
    let result = result(listing, listing.instruments.iter());
    out.extend_from_slice(envelope(0, r#""OK""#, &result, unix_ns).as_bytes());
}

/// What every answer is wrapped in. The text is a JSON string.
pub(super) fn envelope(code: u32, text: &str, result: &str, unix_ns: u64) -> String {
    let unix_ms = unix_ns / 1_000_000;
    format!(r#"{{"retCode":{code},"retMsg":{text},"result":{result},"retExtInfo":{{}},"time":{unix_ms}}}"#)
}

/// The result of the answer, of some instruments of the listing.
pub(super) fn result<'a>(listing: &Listing, instruments: impl Iterator<Item = &'a Instrument>) -> String {
    let entries: Vec<String> = instruments.map(|instrument| entry(listing, instrument)).collect();
    format!(r#"{{"category":"spot","list":[{}],"nextPageCursor":""}}"#, entries.join(","))
}

/// The largest quantity and amount are the largest that a level of the market holds.
fn entry(listing: &Listing, instrument: &Instrument) -> String {
    let lot = units_text(instrument.lot.into());
    let money = u128::from(instrument.notional(1, 1));
    let largest = u128::from(u32::MAX);
    format!(
        concat!(
            r#"{{"symbol":{},"baseCoin":{},"quoteCoin":{},"innovation":"0","status":"Trading","marginTrading":"none","#,
            r#""stTag":"0","lotSizeFilter":{{"basePrecision":"{lot}","quotePrecision":"{money}","minOrderQty":"{lot}","#,
            r#""maxOrderQty":"{most}","minOrderAmt":"{money}","maxOrderAmt":"{most_money}"}},"#,
            r#""priceFilter":{{"tickSize":"{tick}"}}}}"#
        ),
        json_string(&instrument.symbol),
        json_string(listing.asset(instrument.base)),
        json_string(listing.asset(instrument.quote)),
        lot = lot,
        money = units_text(money),
        most = units_text(largest * u128::from(instrument.lot)),
        most_money = units_text(largest * largest * money),
        tick = units_text(instrument.tick.into()),
    )
}

/// Assets are numbered as they appear, the quote before the base. An instrument is left out if money in it cannot be
/// counted exactly.
pub(crate) fn read_instruments(bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
    if !may_be_answer(bytes) {
        return Ok(None);
    }
    let message = Object::parse(bytes)?;
    let Some(result) = message.find("result") else { return Ok(None) };
    let Ok(result) = result.object() else { return Ok(None) };
    let Some(list) = result.find("list") else { return Ok(None) };
    let mut assets = Assets::default();
    let mut instruments = Vec::new();
    for entry in list.array()? {
        let mut entry = entry.object()?;
        let entry = entry.called("instrument");
        let (Some(lots), Some(prices)) = (entry.find("lotSizeFilter"), entry.find("priceFilter")) else {
            return Ok(None);
        };
        let (tick, lot) = (step(prices, "tickSize")?, step(lots, "basePrecision")?);
        if !is_exact(tick, lot) {
            continue;
        }
        let quote = assets.id(&entry.field("quoteCoin")?.string()?);
        let base = assets.id(&entry.field("baseCoin")?.string()?);
        instruments.push(Instrument {
            id: SymbolId(instruments.len() as u32),
            symbol: entry.field("symbol")?.string()?.into_owned(),
            base,
            quote,
            tick,
            lot,
            start_price: 0,
        });
    }
    // Other answers have lists, too: an empty one does not tell of what.
    Ok((!instruments.is_empty())
        .then(|| Listing { instruments: instruments.into(), assets: assets.names.into() }))
}

/// A step in 1e-8 units that a filter states.
fn step(filter: Value<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let value = filter.object()?.field(field)?;
    u64::try_from(value.units()?).map_err(|_| value.wrong("a step below 2^64 of the smallest units"))
}

/// Whether a lot at one tick is a whole number of the smallest units, as all sums of money assume.
fn is_exact(tick: u64, lot: u64) -> bool {
    tick.checked_mul(lot).is_some_and(|product| product > 0 && product.is_multiple_of(UNITS_PER_WHOLE))
}

/// Whether a message has the envelope of an answer. Those of the topics are told by their first field, at once.
fn may_be_answer(bytes: &[u8]) -> bool {
    let topic = [&br#"{"topic""#[..], br#"{"id""#].iter().any(|start| bytes.starts_with(start));
    !topic && serde_json::from_slice::<Answer<'_>>(bytes).is_ok()
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[expect(dead_code, reason = "that it is there is all that matters")]
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Default)]
struct Assets {
    names: Vec<String>,
    ids: HashMap<String, AssetId>,
}

impl Assets {
    fn id(&mut self, name: &str) -> AssetId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = AssetId(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;
    use crate::testing::listing;

    fn written(listing: &Listing) -> Vec<u8> {
        let mut body = Vec::new();
        write_instruments(listing, 1_795_420_800_104_999_999, &mut body);
        body
    }

    #[test]
    fn the_list_has_the_documented_form() {
        let all = listing();
        let one = Listing { instruments: all.instruments[..1].into(), assets: all.assets };
        assert_eq!(
            String::from_utf8(written(&one)).unwrap(),
            concat!(
                r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","#,
                r#""quoteCoin":"USDT","innovation":"0","status":"Trading","marginTrading":"none","stTag":"0","lotSizeFilter":{"#,
                r#""basePrecision":"0.00001","quotePrecision":"0.000001","minOrderQty":"0.00001","maxOrderQty":"42949.67295","#,
                r#""minOrderAmt":"0.000001","maxOrderAmt":"18446744065119.617025"},"priceFilter":{"tickSize":"0.1"}}],"#,
                r#""nextPageCursor":""},"retExtInfo":{},"time":1795420800104}"#
            )
        );
    }

    #[test]
    fn a_listing_reads_back_as_itself_but_for_the_start_prices() {
        for listing in [listing(), Listing::synthetic(500, Seed::new(3))] {
            let read = read_instruments(&written(&listing)).unwrap().unwrap();
            let expected: Vec<Instrument> =
                listing.instruments.iter().map(|it| Instrument { start_price: 0, ..it.clone() }).collect();
            assert_eq!(read.instruments[..], expected);
            assert_eq!(read.assets, listing.assets);
        }
    }

    #[test]
    fn other_messages_list_no_instruments() {
        for text in [
            include_str!("../../../../testdata/bybit/orderbook_delta.json"),
            include_str!("../../../../testdata/bybit/wallet.json"),
            include_str!("../../../../testdata/bybit/subscribed.json"),
            include_str!("../../../../testdata/bybit/rest_orderbook.json"),
            r#"{"retCode":0,"result":{"list":[]}}"#,
            r#"{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT"}]}}"#,
            r#"{"retCode":10001,"retMsg":"params error","result":{}}"#,
        ] {
            assert_eq!(read_instruments(text.as_bytes()), Ok(None), "{text}");
        }
    }

    #[test]
    fn instruments_whose_money_is_not_exact_are_left_out_and_wrong_steps_are_named() {
        let text = String::from_utf8(written(&listing())).unwrap();
        let fine = text.replacen("\"tickSize\":\"0.1\"", "\"tickSize\":\"0.00001\"", 1);
        let read = read_instruments(fine.as_bytes()).unwrap().unwrap();
        assert_eq!(read.instruments.len(), 2);
        assert_eq!(read.instruments[0].symbol, "PEPEUSDT");
        let wrong = text.replacen("\"tickSize\":\"0.1\"", "\"tickSize\":\"fine\"", 1);
        let error = read_instruments(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("field \"tickSize\" at byte "), "{error}");
        let missing = text.replacen("\"baseCoin\":\"BTC\",", "", 1);
        assert_eq!(
            read_instruments(missing.as_bytes()).unwrap_err().to_string(),
            "instrument without field \"baseCoin\""
        );
    }
}
