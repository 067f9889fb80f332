//! Paths, parameters and bodies of the HTTP interface. Kraken's documentation of "Get Server Time", "Get System Status",
//! "Get Asset Info", "Get Tradable Asset Pairs", "Get Order Book", "Get Account Balance" and "Get Websockets Token".
//!
//! Every answer is 200: errors are told in the body.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::encode::symbol_name;
use super::legacy;
use super::scale::{QUANTITY_PLACES, Scale};
use super::time::{rfc1123, time_text};
use super::wire::{Reader, fields};
use crate::access::AccessError;
use crate::decoder::DecodeError;
use crate::json::{Value, quoted};
use crate::rest::{Answer, Call, Facts, HttpRequest, RestError};
use crate::text::{NUMBER_ROOM, append, units_text};

pub(crate) fn read_request(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let (call, allowed) = match request.path {
        TIME => (Call::Time, "GET"),
        STATUS => (Call::Status, "GET"),
        ASSETS => (Call::Assets, "GET"),
        PAIRS => (Call::Instruments(read_pairs(listing, request)?), "GET"),
        DEPTH => (read_depth_call(listing, request)?, "GET"),
        BALANCE => (Call::Balances, "POST"),
        BALANCE_EX => (Call::BalancesAndHolds, "POST"),
        TOKEN => (Call::SocketToken, "POST"),
        _ => return Err(RestError::UnknownPath),
    };
    if request.method != allowed {
        return Err(RestError::WrongMethod { allowed });
    }
    Ok(call)
}

/// None named is all of them.
fn read_pairs(listing: &Listing, request: &HttpRequest<'_>) -> Result<Vec<SymbolId>, RestError> {
    let Some(names) = parameter(request.query, "pair") else { return Ok(Vec::new()) };
    names.split(',').map(|name| find_pair(listing, name)).collect()
}

fn read_depth_call(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let name = parameter(request.query, "pair").ok_or(RestError::MissingParameter { name: "pair" })?;
    let symbol = find_pair(listing, &name)?;
    let limit = match parameter(request.query, "count") {
        None => DEPTH_DEFAULT,
        Some(count) => count
            .parse()
            .ok()
            .filter(|limit| (1..=DEPTH_MAX).contains(limit))
            .ok_or_else(|| RestError::WrongParameter { name: "count", found: quoted(&count) })?,
    };
    Ok(Call::Depth { symbol, limit })
}

fn find_pair(listing: &Listing, name: &str) -> Result<SymbolId, RestError> {
    let mut instruments = listing.instruments.iter();
    let found = instruments.find(|instrument| legacy::names(listing, instrument, name));
    found.map(|instrument| instrument.id).ok_or_else(|| RestError::UnknownSymbol { name: quoted(name) })
}

/// The value of a parameter; none too if it is no text.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let value = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
    percent_decode_str(value).decode_utf8().ok()
}

pub(crate) fn answer(listing: &Listing, call: &Call, facts: &Facts<'_>) -> Answer {
    let second = facts.now_unix_ns / NS_PER_SECOND;
    match call {
        Call::Time => success(&Time { unixtime: second, rfc1123: rfc1123(facts.now_unix_ns) }),
        Call::Status => {
            let timestamp = time_text(second * NS_PER_SECOND).replace(".000000Z", "Z");
            success(&Status { status: "online", timestamp })
        }
        Call::Assets => success(&Map(listing
            .assets
            .iter()
            .map(|asset| (legacy::code(asset).to_owned(), Asset::of(asset))))),
        Call::Instruments(symbols) if symbols.is_empty() => success(&Map(listing
            .instruments
            .iter()
            .map(|instrument| (legacy::key(listing, instrument), Pair::of(listing, instrument))))),
        // Clients who ask for a pair by its modern name look for the answer under it.
        Call::Instruments(symbols) => success(&Map(symbols.iter().map(|&symbol| {
            let instrument = listing.instrument(symbol);
            (symbol_name(listing, instrument), Pair::of(listing, instrument))
        }))),
        Call::Depth { symbol, limit } => {
            let instrument = listing.instrument(*symbol);
            let levels = |side: fn(&Snapshot) -> &Vec<(u32, u64)>| {
                let levels = facts.book.map(side).into_iter().flatten().take(*limit as usize);
                let scale = Scale::of(instrument);
                levels.map(|&(price, lots)| level_text(&scale, price, lots, second)).collect()
            };
            let depth = Depth { asks: levels(|book| &book.asks), bids: levels(|book| &book.bids) };
            success(&Map([(legacy::key(listing, instrument), depth)].into_iter()))
        }
        Call::Balances => {
            let balances = facts.balances.map(|(_, balances)| balances).unwrap_or_default();
            success(&Map(balances.iter().map(|balance| {
                (legacy::code(listing.asset(balance.asset)).to_owned(), amount(balance.total_units))
            })))
        }
        Call::BalancesAndHolds => {
            let balances = facts.balances.map(|(_, balances)| balances).unwrap_or_default();
            success(&Map(balances.iter().map(|balance| {
                let hold_trade = amount(balance.locked_units.unwrap_or_default());
                let extended = Extended { balance: amount(balance.total_units), hold_trade };
                (legacy::code(listing.asset(balance.asset)).to_owned(), extended)
            })))
        }
        Call::SocketToken => success(&Token { token: facts.token, expires: TOKEN_SECONDS }),
        Call::Ping | Call::Tickers { .. } | Call::Formality(_) => failure("EGeneral:Unknown method"),
    }
}

/// What is held of an asset, and what of it is bound in orders.
#[derive(Serialize)]
struct Extended {
    balance: String,
    hold_trade: String,
}

fn amount(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    [sign, &decimal(units.unsigned_abs(), QUANTITY_PLACES)].concat()
}

pub(crate) fn refuse(error: &RestError, _now_unix_ns: u64) -> Answer {
    match error {
        RestError::UnknownPath => failure("EGeneral:Unknown method"),
        RestError::WrongMethod { .. } => failure("EGeneral:Invalid method"),
        RestError::MissingParameter { .. } => failure("EGeneral:Invalid arguments"),
        RestError::WrongParameter { name, .. } => failure(&format!("EGeneral:Invalid arguments:{name}")),
        RestError::UnknownSymbol { .. } => failure("EQuery:Unknown asset pair"),
        RestError::Access(AccessError::WrongSignature) => failure("EAPI:Invalid signature"),
        RestError::Access(
            AccessError::Missing { what: "nonce" }
            | AccessError::Unreadable { .. }
            | AccessError::Late
            | AccessError::Early,
        ) => failure("EAPI:Invalid nonce"),
        RestError::Access(
            AccessError::Missing { .. } | AccessError::UnknownKey | AccessError::WrongPassphrase,
        )
        | RestError::NotAllowed => failure("EAPI:Invalid key"),
        RestError::TooFrequent => failure("EAPI:Rate limit exceeded"),
    }
}

pub(crate) fn path(listing: &Listing, call: &Call) -> Option<String> {
    let name = |&symbol: &SymbolId| symbol_name(listing, listing.instrument(symbol));
    Some(match call {
        Call::Time => TIME.to_owned(),
        Call::Status => STATUS.to_owned(),
        Call::Assets => ASSETS.to_owned(),
        Call::Instruments(symbols) if symbols.is_empty() => PAIRS.to_owned(),
        Call::Instruments(symbols) => {
            format!("{PAIRS}?pair={}", symbols.iter().map(name).collect::<Vec<_>>().join(","))
        }
        Call::Depth { symbol, limit } => format!("{DEPTH}?pair={}&count={limit}", name(symbol)),
        Call::Balances => BALANCE.to_owned(),
        Call::BalancesAndHolds => BALANCE_EX.to_owned(),
        Call::SocketToken => TOKEN.to_owned(),
        Call::Ping | Call::Tickers { .. } | Call::Formality(_) => return None,
    })
}

/// The venue numbers no books: both numbers are zero.
pub(crate) fn read_depth(listing: &Listing, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
    let reader = Reader::new(body)?;
    let instrument = listing.instrument(symbol);
    let books = result(&reader)?.object()?;
    let (key, book) =
        books.all().next().ok_or(DecodeError::MissingField { event: "result", field: "the pair" })?;
    if !legacy::names(listing, instrument, key) {
        return Err(DecodeError::UnknownSymbol { symbol: quoted(key) });
    }
    let book: WireBook<'_> = book.read()?;
    let [bids, asks] = [("bids", book.bids), ("asks", book.asks)]
        .map(|(field, levels)| read_levels(reader.need("book", field, levels)?, instrument));
    Ok(Snapshot { symbol, sequence: 0, update_id: 0, bids: bids?, asks: asks? })
}

fn read_levels(value: Value<'_>, instrument: &Instrument) -> Result<Vec<(u32, u64)>, DecodeError> {
    let mut levels = Vec::new();
    value.each(|level| {
        let mut figures = level.array()?;
        let (Some(price), Some(volume)) = (figures.next(), figures.next()) else {
            return Err(level.wrong("a price and a volume"));
        };
        let ticks = whole_steps(price.units()?, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok());
        let lots = whole_steps(volume.units()?, instrument.lot).and_then(|lots| u64::try_from(lots).ok());
        let (Some(ticks), Some(lots)) = (ticks, lots) else {
            return Err(match ticks {
                None => DecodeError::OffTick {
                    field: "price",
                    symbol: instrument.symbol.clone(),
                    value: quoted(price.raw()),
                    tick: units_text(instrument.tick.into()),
                },
                Some(_) => DecodeError::OffLot {
                    field: "volume",
                    symbol: instrument.symbol.clone(),
                    value: quoted(volume.raw()),
                    lot: units_text(instrument.lot.into()),
                },
            });
        };
        levels.push((ticks, lots));
        Ok(())
    })?;
    Ok(levels)
}

/// The venue does not list assets here: those that are paid with come first, in the order in which pairs name them.
pub(crate) fn read_instruments(body: &[u8]) -> Result<Listing, DecodeError> {
    let reader = Reader::new(body)?;
    let mut pairs = Vec::new();
    for (_, value) in result(&reader)?.object()?.all() {
        let pair: WirePair<'_> = value.read()?;
        let name = reader.need("pair", "wsname", pair.wsname)?;
        let names = legacy::split(&name.string()?).ok_or_else(|| name.wrong("as \"XBT/USD\""))?;
        let tick = reader.need("pair", "tick_size", pair.tick_size)?;
        let tick_units = u64::try_from(tick.units()?).ok().filter(|&units| units > 0);
        pairs.push((names, tick_units.ok_or_else(|| tick.wrong("above zero"))?, read_lot(&reader, &pair)?));
    }
    let (bases, quotes): (Vec<_>, Vec<_>) = pairs.iter().map(|([base, quote], ..)| (base, quote)).unzip();
    let mut assets: Vec<String> = Vec::new();
    let mut ids: HashMap<&str, AssetId> = HashMap::new();
    for name in quotes.into_iter().chain(bases) {
        ids.entry(name).or_insert_with(|| {
            assets.push(name.clone());
            AssetId(assets.len() as u32 - 1)
        });
    }
    let instruments = (0..).map(SymbolId).zip(&pairs).map(|(id, ([base, quote], tick, lot))| Instrument {
        id,
        symbol: [base.as_str(), quote].concat(),
        base: ids[base.as_str()],
        quote: ids[quote.as_str()],
        tick: *tick,
        lot: *lot,
        start_price: 0,
    });
    Ok(Listing { instruments: instruments.collect(), assets: assets.into() })
}

/// `lot_multiplier` units of the last of `lot_decimals`.
fn read_lot<'a>(reader: &Reader<'a>, pair: &WirePair<'a>) -> Result<u64, DecodeError> {
    let decimals = reader.need("pair", "lot_decimals", pair.lot_decimals)?;
    let zeros = u64::from(QUANTITY_PLACES).checked_sub(decimals.number()?);
    let unit = zeros.map(|zeros| 10u64.pow(zeros as u32)).ok_or_else(|| decimals.wrong("at most eight"))?;
    let Some(multiplier) = reader.find("lot_multiplier", pair.lot_multiplier) else { return Ok(unit) };
    let lot = multiplier.number()?.checked_mul(unit).filter(|&lot| lot > 0);
    lot.ok_or_else(|| multiplier.wrong("above zero, and a lot below 2^64 smallest units"))
}

pub(crate) fn read_time(body: &[u8]) -> Result<u64, DecodeError> {
    let reader = Reader::new(body)?;
    let time: WireTime<'_> = result(&reader)?.read()?;
    let second = reader.need("time", "unixtime", time.unixtime)?;
    let unix_ns = second.number()?.checked_mul(NS_PER_SECOND);
    unix_ns.ok_or_else(|| second.wrong("a Unix time in seconds, before 2554"))
}

/// What was asked for; the venue's errors are errors here.
fn result<'a>(reader: &Reader<'a>) -> Result<Value<'a>, DecodeError> {
    let envelope: WireEnvelope<'a> = reader.message()?;
    if let Some(errors) = reader.find("error", envelope.error) {
        errors.elements(|_: &RawValue| Err(errors.wrong("empty")))?;
    }
    reader.need("answer", "result", envelope.result)
}

fn whole_steps(units: u128, step: u64) -> Option<u128> {
    (units.checked_rem(step.into())? == 0).then(|| units / u128::from(step))
}

fn success(result: &impl Serialize) -> Answer {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        error: [&'static str; 0],
        result: &'a T,
    }
    answer_of(&Envelope { error: [], result })
}

fn failure(error: &str) -> Answer {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: [&'a str; 1],
    }
    answer_of(&Envelope { error: [error] })
}

fn answer_of(envelope: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(envelope).expect("text and numbers can be written to memory");
    Answer { status: 200, headers: Vec::new(), body }
}

/// An object in the order of its fields, which is the listing's.
struct Map<I>(I);

impl<I: Iterator<Item = (String, V)> + Clone, V: Serialize> Serialize for Map<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

#[derive(Serialize)]
struct Time {
    unixtime: u64,
    rfc1123: String,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    timestamp: String,
}

#[derive(Serialize)]
struct Asset<'a> {
    aclass: &'static str,
    altname: &'a str,
    decimals: u32,
    display_decimals: u32,
    status: &'static str,
}

#[derive(Serialize)]
struct Pair<'a> {
    altname: String,
    wsname: String,
    aclass_base: &'static str,
    base: &'a str,
    aclass_quote: &'static str,
    quote: &'a str,
    lot: &'static str,
    cost_decimals: u32,
    pair_decimals: u32,
    lot_decimals: u32,
    lot_multiplier: u32,
    leverage_buy: [u32; 0],
    leverage_sell: [u32; 0],
    fees: [(u32, f64); 1],
    fees_maker: [(u32, f64); 1],
    fee_volume_currency: &'static str,
    margin_call: u32,
    margin_stop: u32,
    ordermin: String,
    costmin: &'static str,
    tick_size: String,
    status: &'static str,
}

#[derive(Serialize, Clone)]
struct Depth {
    asks: Vec<(String, String, u64)>,
    bids: Vec<(String, String, u64)>,
}

#[derive(Serialize)]
struct Token<'a> {
    token: &'a str,
    expires: u32,
}

impl<'a> Asset<'a> {
    fn of(name: &'a str) -> Self {
        Self {
            aclass: "currency",
            altname: legacy::short(name),
            decimals: QUANTITY_PLACES,
            display_decimals: QUANTITY_PLACES,
            status: "enabled",
        }
    }
}

impl<'a> Pair<'a> {
    /// Clients format the figures of a checksum with `pair_decimals` and `lot_decimals`, so that these are the sockets'
    /// own. The multiplier is one on every pair, and some clients have no room for more: the lot is told as the least
    /// order.
    fn of(listing: &'a Listing, instrument: &Instrument) -> Self {
        let scale = Scale::of(instrument);
        let [base, quote] = [instrument.base, instrument.quote].map(|asset| listing.asset(asset));
        Self {
            altname: legacy::alternative(listing, instrument),
            wsname: [legacy::short(base), legacy::short(quote)].join("/"),
            aclass_base: "currency",
            base: legacy::code(base),
            aclass_quote: "currency",
            quote: legacy::code(quote),
            lot: "unit",
            cost_decimals: QUANTITY_PLACES,
            pair_decimals: scale.price_places(),
            lot_decimals: QUANTITY_PLACES,
            lot_multiplier: 1,
            leverage_buy: [],
            leverage_sell: [],
            fees: [(0, 0.1)],
            fees_maker: [(0, 0.1)],
            fee_volume_currency: "ZUSD",
            margin_call: 80,
            margin_stop: 40,
            ordermin: units_text(scale.lot().into()),
            costmin: "0.5",
            tick_size: units_text(scale.tick().into()),
            status: "online",
        }
    }
}

fn level_text(scale: &Scale, price: u32, lots: u64, second: u64) -> (String, String, u64) {
    let price = decimal(scale.price(price), scale.price_places());
    (price, decimal(scale.quantity(lots), QUANTITY_PLACES), second)
}

fn decimal(units: u64, places: u32) -> String {
    let mut text = Vec::new();
    append(&mut text, NUMBER_ROOM + 9, |w| w.units_cut(units, places));
    String::from_utf8(text).expect("digits and a point are text")
}

fields!(WireEnvelope { error, result });
fields!(WireTime { unixtime });
fields!(WireBook { asks, bids });
fields!(WirePair { wsname, tick_size, lot_decimals, lot_multiplier });

const TIME: &str = "/0/public/Time";
const STATUS: &str = "/0/public/SystemStatus";
const ASSETS: &str = "/0/public/Assets";
const PAIRS: &str = "/0/public/AssetPairs";
const DEPTH: &str = "/0/public/Depth";
const BALANCE: &str = "/0/private/Balance";
const BALANCE_EX: &str = "/0/private/BalanceEx";
const TOKEN: &str = "/0/private/GetWebSocketsToken";

/// Levels a side without `count`, and at most.
const DEPTH_DEFAULT: u32 = 100;
const DEPTH_MAX: u32 = 500;

/// How long a token may be used.
const TOKEN_SECONDS: u32 = 900;

const NS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use tickstorm_market::event::AccountId;
    use tickstorm_random::Seed;

    use super::*;
    use crate::decoded::AssetBalance;

    fn listing() -> Listing {
        Listing::synthetic(70, Seed::new(1))
    }

    fn get<'a>(path: &'a str, query: &'a str) -> HttpRequest<'a> {
        HttpRequest { method: "GET", path, query, body: b"" }
    }

    const FACTS: Facts<'_> = Facts {
        now_unix_ns: 1_795_420_800_104_210_000,
        book: None,
        balances: None,
        token: "demoToken0123456789",
    };

    fn text(call: &Call, facts: &Facts<'_>) -> String {
        String::from_utf8(answer(&listing(), call, facts).body).unwrap()
    }

    #[test]
    fn every_call_reads_back_from_its_path() {
        let calls = [
            Call::Time,
            Call::Status,
            Call::Assets,
            Call::Instruments(vec![]),
            Call::Instruments(vec![SymbolId(4), SymbolId(0)]),
            Call::Depth { symbol: SymbolId(2), limit: 500 },
            Call::Balances,
            Call::SocketToken,
        ];
        for call in calls {
            let path = path(&listing(), &call).unwrap();
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let method = if path.starts_with("/0/private") { "POST" } else { "GET" };
            let request = HttpRequest { method, path, query, body: b"" };
            assert_eq!(read_request(&listing(), &request), Ok(call));
        }
        assert_eq!(path(&listing(), &Call::Ping), None);
    }

    #[test]
    fn pairs_are_found_by_any_of_their_names() {
        for query in ["pair=XBTUSDT", "a=b&pair=BTC%2FUSDT", "pair=XBT/USDT", "pair=BTCUSDT"] {
            let call = Call::Instruments(vec![SymbolId(0)]);
            assert_eq!(read_request(&listing(), &get(PAIRS, query)), Ok(call), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_granted_is_named() {
        let unknown = |name: &str| RestError::UnknownSymbol { name: name.to_owned() };
        let count = |found: &str| RestError::WrongParameter { name: "count", found: found.to_owned() };
        for (path, query, error) in [
            ("/0/public/Ticker", "", RestError::UnknownPath),
            (BALANCE, "", RestError::WrongMethod { allowed: "POST" }),
            (DEPTH, "", RestError::MissingParameter { name: "pair" }),
            (DEPTH, "pair=BTCUSDT&count=501", count("501")),
            (DEPTH, "pair=BTCUSDT&count=", count("")),
            (DEPTH, "pair=", unknown("")),
            (PAIRS, "pair=XBTUSDT,XYZUSDT", unknown("XYZUSDT")),
        ] {
            assert_eq!(read_request(&listing(), &get(path, query)), Err(error), "{path} {query}");
        }
        let refused = refuse(&unknown("XYZUSD"), 0);
        assert_eq!(
            (refused.status, &refused.body[..]),
            (200, &br#"{"error":["EQuery:Unknown asset pair"]}"#[..])
        );
        let error = read_time(&refused.body).unwrap_err().to_string();
        assert_eq!(error, r#"field "error" at byte 9 is ["EQuery:Unknown asset pair"], must be empty"#);
    }

    #[test]
    fn answers_have_the_documented_form() {
        assert_eq!(
            text(&Call::Time, &FACTS),
            r#"{"error":[],"result":{"unixtime":1795420800,"rfc1123":"Mon, 23 Nov 26 08:00:00 +0000"}}"#
        );
        assert_eq!(
            text(&Call::Status, &FACTS),
            r#"{"error":[],"result":{"status":"online","timestamp":"2026-11-23T08:00:00Z"}}"#
        );
        assert_eq!(
            text(&Call::SocketToken, &FACTS),
            include_str!("../../../../testdata/kraken/rest_token.json").trim_end()
        );
        let assets = text(&Call::Assets, &FACTS);
        let bitcoin = r#""XXBT":{"aclass":"currency","altname":"XBT","decimals":8,"display_decimals":8,"status":"enabled"}"#;
        assert!(assets.contains(bitcoin), "{assets}");
        let balance = |asset, total_units| AssetBalance {
            asset: AssetId(asset),
            total_units,
            locked_units: None,
            change_units: None,
        };
        let balances = [balance(1, 105_000_000), balance(0, -1)];
        let facts = Facts { balances: Some((AccountId(3), &balances)), ..FACTS };
        assert_eq!(
            text(&Call::Balances, &facts),
            r#"{"error":[],"result":{"XXBT":"1.05000000","USDT":"-0.00000001"}}"#
        );
    }

    #[test]
    fn a_pair_has_all_the_documented_fields_in_their_order() {
        let documented = include_str!("../../../../testdata/kraken/rest_asset_pairs.json");
        let names = |text: &str| -> Vec<String> {
            text.split(['{', ',']).filter_map(|part| Some(part.split_once("\":")?.0.to_owned())).collect()
        };
        let ours = text(&Call::Instruments(vec![SymbolId(0)]), &FACTS);
        let ours = ours.replace("BTC/USDT", "XXBTZUSD");
        assert_eq!(names(&ours), names(documented));
        let read = read_instruments(documented.as_bytes()).unwrap();
        let bitcoin = &read.instruments[0];
        assert_eq!((bitcoin.symbol.as_str(), bitcoin.tick, bitcoin.lot), ("BTCUSD", 10_000_000, 1));
    }

    #[test]
    fn instruments_read_back() {
        let listing = listing();
        let read = read_instruments(text(&Call::Instruments(vec![]), &FACTS).as_bytes()).unwrap();
        let instruments: Vec<Instrument> = listing
            .instruments
            .iter()
            // The venue says nothing of its lots but their places.
            .map(|instrument| Instrument { start_price: 0, lot: 1, ..instrument.clone() })
            .collect();
        assert_eq!(read, Listing { instruments: instruments.into(), assets: listing.assets.clone() });
    }

    #[test]
    fn a_book_reads_back_as_deep_as_it_was_asked_for() {
        let book = Snapshot {
            symbol: SymbolId(1),
            sequence: 7,
            update_id: 8,
            bids: vec![(34_999, 5), (34_998, 6), (34_000, 7)],
            asks: vec![(35_000, 1)],
        };
        let facts = Facts { book: Some(&book), ..FACTS };
        let body = text(&Call::Depth { symbol: SymbolId(1), limit: 2 }, &facts);
        let read = read_depth(&listing(), SymbolId(1), body.as_bytes()).unwrap();
        assert_eq!(
            read,
            Snapshot { sequence: 0, update_id: 0, bids: book.bids[..2].to_vec(), ..book.clone() }
        );
        assert_eq!(
            read_depth(&listing(), SymbolId(0), body.as_bytes()),
            Err(DecodeError::UnknownSymbol { symbol: "ETHUSDT".to_owned() })
        );
        let broken = body.replace("\"3499", "\"x3499");
        assert_eq!(read_depth(&listing(), SymbolId(1), broken.as_bytes()).unwrap_err().kind(), "wrong_value");
    }

    #[test]
    fn a_time_reads_back_to_the_second() {
        let body = text(&Call::Time, &FACTS);
        assert_eq!(read_time(body.as_bytes()), Ok(1_795_420_800_000_000_000));
        assert!(read_time(b"{}").is_err() && read_time(b"").is_err());
    }
}
