//! The list of instruments, `exchangeInfo`, both ways.

use std::borrow::Cow;
use std::collections::HashMap;

use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

use super::encode::json_string;
use crate::decoder::DecodeError;
use crate::json::Object;
use crate::text::{NUMBER_ROOM, Writer, append};

/// Appends the REST reply to `/api/v3/exchangeInfo` about some instruments of the listing, at a time in Unix
/// milliseconds.
pub(super) fn write_exchange_info<'a>(
    listing: &Listing,
    instruments: impl Iterator<Item = &'a Instrument>,
    unix_ms: u64,
    out: &mut Vec<u8>,
) {
    append(out, HEAD.len() + LIMITS.len() + NUMBER_ROOM, |w| {
        w.bytes(HEAD);
        w.number(unix_ms);
        w.bytes(LIMITS);
    });
    for (index, instrument) in instruments.enumerate() {
        let [symbol, base, quote] =
            [&*instrument.symbol, listing.asset(instrument.base), listing.asset(instrument.quote)]
                .map(json_string);
        let room = SYMBOL_ROOM + symbol.len() + base.len() + quote.len() + 6 * NUMBER_ROOM;
        append(out, room, |w| {
            w.bytes(if index == 0 { b"" } else { b"," });
            w.literal(br#"{"symbol":"#);
            w.bytes(symbol.as_bytes());
            w.literal(br#","status":"TRADING","baseAsset":"#);
            w.bytes(base.as_bytes());
            w.literal(br#","baseAssetPrecision":8,"quoteAsset":"#);
            w.bytes(quote.as_bytes());
            w.bytes(PERMITTED);
            write_filters(instrument, w);
            w.bytes(PERMISSIONS);
        });
    }
    out.extend_from_slice(b"]}");
}

/// The price filter comes first, where some clients look for the tick.
fn write_filters(instrument: &Instrument, w: &mut Writer<'_>) {
    w.literal(br#"[{"filterType":"PRICE_FILTER","minPrice":""#);
    w.units(instrument.tick);
    w.literal(br#"","maxPrice":""#);
    w.units(instrument.tick.saturating_mul(STEPS_MAX));
    w.literal(br#"","tickSize":""#);
    w.units(instrument.tick);
    w.literal(br#""},{"filterType":"LOT_SIZE","minQty":""#);
    w.units(instrument.lot);
    w.literal(br#"","maxQty":""#);
    w.units(instrument.lot.saturating_mul(STEPS_MAX));
    w.literal(br#"","stepSize":""#);
    w.units(instrument.lot);
    w.bytes(NOTIONAL);
}

/// The instruments that a reply of REST or of the WebSocket API lists; none if the message is another one. Assets
/// are numbered as they appear, the quote before the base. An instrument is left out if money in it cannot be
/// counted exactly.
pub(crate) fn read_instruments(bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
    if !bytes.windows(SYMBOLS_FIELD.len()).any(|window| window == SYMBOLS_FIELD) {
        return Ok(None);
    }
    let reply = Object::parse(bytes)?;
    let symbols = match (reply.find("symbols"), reply.find("result")) {
        (Some(symbols), _) => Some(symbols),
        (None, Some(result)) if result.is_object() => result.object()?.find("symbols"),
        _ => None,
    };
    let Some(symbols) = symbols else { return Ok(None) };

    let mut assets = Assets::default();
    let mut instruments = Vec::new();
    for symbol in symbols.array()? {
        let mut symbol = symbol.object()?;
        let symbol = symbol.called("exchangeInfo");
        let tick = filtered_step(symbol, "PRICE_FILTER", "tickSize")?;
        let lot = filtered_step(symbol, "LOT_SIZE", "stepSize")?;
        if !is_exact(tick, lot) {
            continue;
        }
        let quote = assets.id(symbol.field("quoteAsset")?.string()?);
        let base = assets.id(symbol.field("baseAsset")?.string()?);
        instruments.push(Instrument {
            id: SymbolId(index(instruments.len())),
            symbol: symbol.field("symbol")?.string()?.into_owned(),
            base,
            quote,
            tick,
            lot,
            start_price: 0,
        });
    }
    Ok(Some(Listing { instruments: instruments.into(), assets: assets.names.into() }))
}

/// A step in 1e-8 units that the filter of this type states.
fn filtered_step(symbol: &Object<'_>, filter_type: &str, field: &'static str) -> Result<u64, DecodeError> {
    for filter in symbol.field("filters")?.array()? {
        let mut filter = filter.object()?;
        if filter.called("filter").field("filterType")?.string()? == filter_type {
            let value = filter.field(field)?;
            return u64::try_from(value.units()?)
                .map_err(|_| value.wrong("a step below 2^64 of the smallest units"));
        }
    }
    Err(DecodeError::MissingField { event: "exchangeInfo", field })
}

/// Whether a lot at one tick is a whole number of the smallest units, as all sums of money assume.
fn is_exact(tick: u64, lot: u64) -> bool {
    tick.checked_mul(lot).is_some_and(|product| product > 0 && product % UNITS_PER_WHOLE == 0)
}

/// Names of assets in the order of their first use.
#[derive(Default)]
struct Assets {
    names: Vec<String>,
    ids: HashMap<String, AssetId>,
}

impl Assets {
    fn id(&mut self, name: Cow<'_, str>) -> AssetId {
        if let Some(&id) = self.ids.get(&*name) {
            return id;
        }
        let id = AssetId(index(self.names.len()));
        self.names.push(name.clone().into_owned());
        self.ids.insert(name.into_owned(), id);
        id
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("no message lists four billion things")
}

const SYMBOLS_FIELD: &[u8] = br#""symbols""#;

/// Prices and quantities are limited to so many steps: beyond any market, and round.
const STEPS_MAX: u64 = 1_000_000_000;

const HEAD: &[u8] = br#"{"timezone":"UTC","serverTime":"#;

const LIMITS: &[u8] = concat!(
    r#","rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},"#,
    r#"{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},"#,
    r#"{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":200000},"#,
    r#"{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}],"#,
    r#""exchangeFilters":[],"symbols":["#
)
.as_bytes();

const PERMITTED: &[u8] = concat!(
    r#","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"#,
    r#""orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":true,"ocoAllowed":true,"#,
    r#""otoAllowed":true,"opoAllowed":true,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":true,"#,
    r#""cancelReplaceAllowed":true,"amendAllowed":true,"pegInstructionsAllowed":true,"#,
    r#""isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":"#
)
.as_bytes();

const NOTIONAL: &[u8] = concat!(
    r#""},{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"#,
    r#""maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}]"#
)
.as_bytes();

const PERMISSIONS: &[u8] = concat!(
    r#","permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","#,
    r#""allowedSelfTradePreventionModes":["EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH"]}"#
)
.as_bytes();

/// The pieces between a symbol's values.
const SYMBOL_ROOM: usize = 300 + PERMITTED.len() + NOTIONAL.len() + PERMISSIONS.len();

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;
    use crate::testing::listing;

    fn written(listing: &Listing) -> String {
        let mut out = Vec::new();
        write_exchange_info(listing, listing.instruments.iter(), 1_795_420_800_123, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn without_prices(listing: &Listing) -> Listing {
        let unpriced = |instrument: &Instrument| Instrument { start_price: 0, ..instrument.clone() };
        Listing { instruments: listing.instruments.iter().map(unpriced).collect(), ..listing.clone() }
    }

    #[test]
    fn every_listing_reads_back_as_it_was_but_for_its_prices() {
        for listing in
            [listing(), Listing::synthetic(1, Seed::new(1)), Listing::synthetic(10_000, Seed::new(2))]
        {
            let text = written(&listing);
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            assert_eq!(read_instruments(text.as_bytes()), Ok(Some(without_prices(&listing))));
        }
    }

    #[test]
    fn the_list_has_the_fields_of_the_example_in_their_order() {
        let example = include_str!("../../../../testdata/binance/exchange_info.json").trim_end();
        let ours = Listing { instruments: listing().instruments[..1].into(), ..listing() };
        let written = written(&ours);
        // The limits are ours.
        for (limit, ours) in [("1000000.00000000", "100000000.00000000"), ("9000.00000000", "10000.00000000")]
        {
            assert!(example.contains(limit), "{limit}");
            assert!(written.contains(ours), "{ours}");
        }
        let example = example.replace("1000000.00000000", "100000000.00000000");
        assert_eq!(written, example.replace(r#""9000.00000000""#, r#""10000.00000000""#));
    }

    #[test]
    fn the_socket_lists_instruments_in_a_reply() {
        let reply = format!(r#"{{ "id": 1, "status": 200, "result": {} }}"#, written(&listing()));
        assert_eq!(read_instruments(reply.as_bytes()), Ok(Some(without_prices(&listing()))));
    }

    #[test]
    fn other_messages_list_nothing() {
        for text in ["", "{}", r#"{"e":"trade"}"#, r#"{"result":["\"symbols\""]}"#, r#"{"symbol":"symbols"}"#]
        {
            assert_eq!(read_instruments(text.as_bytes()), Ok(None), "{text}");
        }
    }

    #[test]
    fn instruments_whose_money_is_not_exact_are_left_out() {
        let text = written(&listing());
        let coarse = text.replacen(r#""stepSize":"0.00001000""#, r#""stepSize":"0.00000001""#, 1);
        let Ok(Some(listing)) = read_instruments(coarse.as_bytes()) else { panic!("a list") };
        let symbols: Vec<&str> = listing.instruments.iter().map(|instrument| &*instrument.symbol).collect();
        assert_eq!(symbols, ["PEPEUSDT", "Ü\"USDT"]);
        assert_eq!(*listing.assets, ["USDT", "PEPE", "Ü\""]);
        let without_step = text.replacen("0.10000000", "0.00000000", 3);
        assert!(
            matches!(read_instruments(without_step.as_bytes()), Ok(Some(list)) if list.instruments.len() == 2)
        );
    }

    #[test]
    fn mistakes_in_the_list_are_named() {
        let text = written(&listing());
        let error = |piece: &str, by: &str| {
            assert!(text.contains(piece), "{piece}");
            read_instruments(text.replacen(piece, by, 1).as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(error("PRICE_FILTER", "price"), r#"exchangeInfo without field "tickSize""#);
        assert_eq!(error(r#""baseAsset":"#, r#""base":"#), r#"exchangeInfo without field "baseAsset""#);
        let found = error(r#""stepSize":"0.00001000""#, r#""stepSize":"0,00001""#);
        assert!(found.starts_with(r#"field "stepSize" at byte "#), "{found}");
        assert!(found.ends_with(
            r#" is "0,00001", must be a decimal in quotes, not negative, with at most eight places"#
        ));
        assert!(error("[{", "[{{").starts_with("malformed at byte"));
        assert!(read_instruments(&text.as_bytes()[..text.len() / 2]).is_err());
    }
}
