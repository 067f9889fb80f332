//! Paths, parameters and bodies of the HTTP interface.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::decode::{from_wire_time, read_rest_book};
use super::encode::{amount_text, json_string, write_rest_book};
use super::instruments::write_exchange_info;
use super::protocol::{access_error, malformed};
use crate::decoder::DecodeError;
use crate::json::{Object, quoted};
use crate::rest::{Answer, Call, Facts, HttpRequest, RestError};

pub(crate) fn read_request(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let method = |allowed: &'static str, call: Call| {
        if request.method == allowed { Ok(call) } else { Err(RestError::WrongMethod { allowed }) }
    };
    match request.path {
        "/api/v3/ping" => method("GET", Call::Ping),
        "/api/v3/time" => method("GET", Call::Time),
        "/sapi/v1/system/status" => method("GET", Call::Status),
        "/api/v3/exchangeInfo" => method("GET", Call::Instruments(read_symbols(listing, request.query)?)),
        "/api/v3/depth" => method("GET", read_depth_call(listing, request.query)?),
        TICKERS => {
            let symbols = read_symbols(listing, request.query)?;
            let single = parameter(request.query, "symbol").is_some();
            method("GET", Call::Tickers { symbols, single })
        }
        "/api/v3/account" => method("GET", Call::Balances),
        "/sapi/v1/capital/config/getall" => method("GET", Call::Assets),
        LISTEN_KEY => match request.method {
            "PUT" | "DELETE" => Ok(Call::Formality(LISTEN_KEY)),
            _ => method("POST", Call::SocketToken),
        },
        path => match NOTHING_THERE.into_iter().find(|known| *known == path) {
            Some(known) => method("GET", Call::Formality(known)),
            None => Err(RestError::UnknownPath),
        },
    }
}

/// None stands for all.
fn read_symbols(listing: &Listing, query: &str) -> Result<Vec<SymbolId>, RestError> {
    if let Some(name) = parameter(query, "symbol") {
        return Ok(vec![find(listing, &name)?]);
    }
    let Some(names) = parameter(query, "symbols") else { return Ok(Vec::new()) };
    let wrong = || RestError::WrongParameter { name: "symbols", found: quoted(&names) };
    let names: Vec<String> = serde_json::from_str(&names).map_err(|_| wrong())?;
    names.iter().map(|name| find(listing, name)).collect()
}

fn read_depth_call(listing: &Listing, query: &str) -> Result<Call, RestError> {
    let name = parameter(query, "symbol").filter(|name| !name.is_empty());
    let symbol = find(listing, &name.ok_or(RestError::MissingParameter { name: "symbol" })?)?;
    let Some(limit) = parameter(query, "limit") else {
        return Ok(Call::Depth { symbol, limit: DEPTH_DEFAULT });
    };
    // A limit beyond the largest is cut to it, however large.
    let digits = !limit.is_empty() && limit.bytes().all(|byte| byte.is_ascii_digit());
    let limit = match limit.parse::<u32>() {
        Ok(0) => None,
        Ok(limit) => Some(limit.min(DEPTH_MAX)),
        Err(_) => digits.then_some(DEPTH_MAX),
    }
    .ok_or_else(|| RestError::WrongParameter { name: "limit", found: quoted(&limit) })?;
    Ok(Call::Depth { symbol, limit })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy())
}

fn find(listing: &Listing, name: &str) -> Result<SymbolId, RestError> {
    let listed = listing.instruments.iter().find(|instrument| instrument.symbol == name);
    listed.map(|instrument| instrument.id).ok_or_else(|| RestError::UnknownSymbol { name: quoted(name) })
}

pub(crate) fn answer(listing: &Listing, call: &Call, facts: &Facts<'_>) -> Answer {
    let ms = facts.now_unix_ns / 1_000_000;
    let body = match call {
        Call::Ping => "{}".to_owned().into_bytes(),
        Call::Time => format!(r#"{{"serverTime":{ms}}}"#).into_bytes(),
        Call::Status => r#"{"status":0,"msg":"normal"}"#.to_owned().into_bytes(),
        Call::Instruments(symbols) => instruments(listing, symbols, ms),
        Call::Assets => assets(listing).into_bytes(),
        Call::Depth { symbol, limit } => depth(listing, *symbol, *limit, facts.book),
        Call::Balances | Call::BalancesAndHolds => account(listing, facts, ms).into_bytes(),
        Call::SocketToken => format!(r#"{{"listenKey":{}}}"#, json_string(facts.token)).into_bytes(),
        Call::Formality(LISTEN_KEY) => "{}".to_owned().into_bytes(),
        Call::Formality(USD_FUTURES | COIN_FUTURES) => format!(
            r#"{{"timezone":"UTC","serverTime":{ms},"rateLimits":[],"exchangeFilters":[],"assets":[],"symbols":[]}}"#
        )
        .into_bytes(),
        Call::Formality(_) | Call::Tickers { .. } => "[]".to_owned().into_bytes(),
    };
    let headers = vec![("X-MBX-USED-WEIGHT-1M", weight(call).to_string())];
    Answer { status: 200, headers, body }
}

/// What a call costs of the 6000 a minute. Sums are not kept here.
pub(crate) fn weight(call: &Call) -> u32 {
    match call {
        Call::Depth { limit: ..=100, .. } => 5,
        Call::Depth { limit: ..=500, .. } => 25,
        Call::Depth { limit: ..=1000, .. } => 50,
        Call::Depth { .. } => 250,
        Call::Instruments(_) | Call::Balances | Call::BalancesAndHolds => 20,
        Call::SocketToken => 2,
        Call::Tickers { symbols, .. } => match symbols.len() {
            1..=20 => 2,
            21..=100 => 40,
            _ => 80,
        },
        Call::Ping | Call::Time | Call::Status | Call::Assets | Call::Formality(_) => 1,
    }
}

fn instruments(listing: &Listing, symbols: &[SymbolId], ms: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if symbols.is_empty() {
        write_exchange_info(listing, listing.instruments.iter(), ms, &mut out);
    } else {
        let asked = symbols.iter().filter_map(|symbol| listing.instruments.get(symbol.0 as usize));
        write_exchange_info(listing, asked, ms, &mut out);
    }
    out
}

fn depth(listing: &Listing, symbol: SymbolId, limit: u32, book: Option<&Snapshot>) -> Vec<u8> {
    let mut out = Vec::new();
    if let (Some(instrument), Some(book)) = (listing.instruments.get(symbol.0 as usize), book) {
        write_rest_book(instrument, book, limit as usize, &mut out);
    } else {
        out.extend_from_slice(br#"{"lastUpdateId":0,"bids":[],"asks":[]}"#);
    }
    out
}

fn assets(listing: &Listing) -> String {
    let asset = |name: &String| {
        let name = json_string(name);
        format!(
            concat!(
                r#"{{"coin":{},"depositAllEnable":true,"withdrawAllEnable":true,"name":{},"free":"0","locked":"0","#,
                r#""freeze":"0","withdrawing":"0","ipoing":"0","ipoable":"0","storage":"0","isLegalMoney":false,"#,
                r#""trading":true,"networkList":[]}}"#
            ),
            name, name
        )
    };
    let assets: Vec<String> = listing.assets.iter().map(asset).collect();
    format!("[{}]", assets.join(","))
}

fn account(listing: &Listing, facts: &Facts<'_>, ms: u64) -> String {
    let (account, balances) =
        facts.balances.map_or((0, &[][..]), |(account, balances)| (account.0, balances));
    let listed = balances.iter().filter_map(|balance| {
        let name = json_string(listing.assets.get(balance.asset.0 as usize)?);
        let free = amount_text(balance.free_units());
        let locked = amount_text(balance.locked_units.unwrap_or_default());
        Some(format!(r#"{{"asset":{name},"free":"{free}","locked":"{locked}"}}"#))
    });
    let balances: Vec<String> = listed.collect();
    format!(
        concat!(
            r#"{{"makerCommission":10,"takerCommission":10,"buyerCommission":0,"sellerCommission":0,"#,
            r#""commissionRates":{{"maker":"0.00100000","taker":"0.00100000","buyer":"0.00000000","seller":"0.00000000"}},"#,
            r#""canTrade":true,"canWithdraw":true,"canDeposit":true,"brokered":false,"#,
            r#""requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"accountType":"SPOT","#,
            r#""balances":[{}],"permissions":["SPOT"],"uid":{}}}"#
        ),
        ms,
        balances.join(","),
        account
    )
}

pub(crate) fn refuse(error: &RestError, _now_unix_ns: u64) -> Answer {
    let (status, code, text) = match error {
        RestError::UnknownPath => (404, -1020, NOT_SUPPORTED.to_owned()),
        RestError::WrongMethod { .. } => (405, -1020, NOT_SUPPORTED.to_owned()),
        RestError::MissingParameter { name } => (400, -1102, malformed(name)),
        RestError::WrongParameter { name: "limit", .. } => {
            let text = "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.";
            (400, -1100, text.to_owned())
        }
        RestError::WrongParameter { name, .. } => {
            (400, -1100, format!("Illegal characters found in parameter '{name}'."))
        }
        RestError::UnknownSymbol { .. } => (400, -1121, "Invalid symbol.".to_owned()),
        RestError::Access(error) => access_error(error),
        RestError::NotAllowed => (401, -2015, "Invalid API-key, IP, or permissions for action.".to_owned()),
        RestError::TooFrequent => {
            let text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. \
                Please use WebSocket Streams for live updates to avoid polling the API.";
            (429, -1003, text.to_owned())
        }
    };
    let headers = match error {
        RestError::TooFrequent => vec![("Retry-After", "60".to_owned())],
        RestError::WrongMethod { allowed } => vec![("Allow", (*allowed).to_owned())],
        _ => Vec::new(),
    };
    Answer {
        status,
        headers,
        body: format!(r#"{{"code":{code},"msg":{}}}"#, json_string(&text)).into_bytes(),
    }
}

pub(crate) fn path(listing: &Listing, call: &Call) -> Option<String> {
    let symbol = |symbol: &SymbolId| Some(encoded(&listing.instruments.get(symbol.0 as usize)?.symbol));
    Some(match call {
        Call::Ping => "/api/v3/ping".to_owned(),
        Call::Time => "/api/v3/time".to_owned(),
        Call::Status => "/sapi/v1/system/status".to_owned(),
        Call::Instruments(symbols) => match &symbols[..] {
            [] => "/api/v3/exchangeInfo".to_owned(),
            [one] => format!("/api/v3/exchangeInfo?symbol={}", symbol(one)?),
            _ => format!("/api/v3/exchangeInfo?symbols={}", symbol_list(listing, symbols)?),
        },
        Call::Tickers { symbols, single } => match &symbols[..] {
            [] => TICKERS.to_owned(),
            [one] if *single => format!("{TICKERS}?symbol={}", symbol(one)?),
            _ => format!("{TICKERS}?symbols={}", symbol_list(listing, symbols)?),
        },
        Call::Assets => "/sapi/v1/capital/config/getall".to_owned(),
        Call::Depth { symbol: of, limit } => format!("/api/v3/depth?symbol={}&limit={limit}", symbol(of)?),
        Call::Balances => "/api/v3/account".to_owned(),
        Call::BalancesAndHolds => return None,
        Call::SocketToken => LISTEN_KEY.to_owned(),
        Call::Formality(path) => (*path).to_owned(),
    })
}

fn symbol_list(listing: &Listing, symbols: &[SymbolId]) -> Option<String> {
    let name = |symbol: &SymbolId| Some(json_string(&listing.instruments.get(symbol.0 as usize)?.symbol));
    let names: Option<Vec<String>> = symbols.iter().map(name).collect();
    Some(encoded(&format!("[{}]", names?.join(","))))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(crate) fn read_depth(listing: &Listing, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
    let instrument: Option<&Instrument> = listing.instruments.get(symbol.0 as usize);
    let unknown = || DecodeError::UnknownSymbol { symbol: format!("number {}", symbol.0) };
    read_rest_book(body, instrument.ok_or_else(unknown)?)
}

pub(crate) fn read_instruments(body: &[u8]) -> Result<Listing, DecodeError> {
    let listing = super::read_instruments(body)?;
    listing.ok_or(DecodeError::MissingField { event: "exchangeInfo", field: "symbols" })
}

pub(crate) fn read_time(body: &[u8]) -> Result<u64, DecodeError> {
    let mut object = Object::parse(body)?;
    Ok(from_wire_time(object.called("time").field("serverTime")?.number()?))
}

/// Levels a side when nothing is said, and at most.
const DEPTH_DEFAULT: u32 = 100;
const DEPTH_MAX: u32 = 5_000;

const TICKERS: &str = "/api/v3/ticker/24hr";

/// Opened user data before the WebSocket API did; older clients still ask.
pub(crate) const LISTEN_KEY: &str = "/api/v3/userDataStream";

/// Some clients ask for the instruments of all of Binance's markets before anything else; here is the spot market alone.
const NOTHING_THERE: [&str; 4] =
    ["/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", USD_FUTURES, COIN_FUTURES];

const USD_FUTURES: &str = "/fapi/v1/exchangeInfo";
const COIN_FUTURES: &str = "/dapi/v1/exchangeInfo";

const NOT_SUPPORTED: &str = "This operation is not supported.";

#[cfg(test)]
mod tests {
    use tickstorm_market::event::AccountId;
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::decoded::AssetBalance;
    use crate::testing::listing;

    const NOW: u64 = 1_795_420_800_123_000_000;

    fn facts<'a>() -> Facts<'a> {
        Facts { now_unix_ns: NOW, book: None, balances: None, token: "key" }
    }

    fn called(method: &str, path_and_query: &str) -> Result<Call, RestError> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        read_request(&listing(), &HttpRequest { method, path, query, body: b"" })
    }

    fn get(path_and_query: &str) -> Result<Call, RestError> {
        called("GET", path_and_query)
    }

    fn body(call: &Call, facts: &Facts<'_>) -> String {
        let answer = answer(&listing(), call, facts);
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    #[test]
    fn every_call_reads_back_from_its_path() {
        for call in [
            Call::Ping,
            Call::Time,
            Call::Status,
            Call::Instruments(vec![]),
            Call::Instruments(vec![SymbolId(2)]),
            Call::Instruments(vec![SymbolId(2), SymbolId(0)]),
            Call::Assets,
            Call::Depth { symbol: SymbolId(2), limit: 17 },
            Call::Tickers { symbols: vec![], single: false },
            Call::Tickers { symbols: vec![SymbolId(2)], single: true },
            Call::Tickers { symbols: vec![SymbolId(2), SymbolId(0)], single: false },
            Call::Balances,
            Call::Formality(NOTHING_THERE[0]),
        ] {
            let path = path(&listing(), &call).unwrap();
            assert!(path.is_ascii(), "{path}");
            assert_eq!(get(&path), Ok(call));
        }
        assert_eq!(called("POST", LISTEN_KEY), Ok(Call::SocketToken));
        assert_eq!(called("PUT", LISTEN_KEY), Ok(Call::Formality(LISTEN_KEY)));
        assert_eq!(path(&listing(), &Call::Depth { symbol: SymbolId(9), limit: 1 }), None);
    }

    #[test]
    fn a_limit_has_a_default_and_a_largest_value() {
        let limit = |query: &str| match get(&format!("/api/v3/depth?symbol=BTCUSDT{query}")) {
            Ok(Call::Depth { limit, .. }) => Ok(limit),
            Ok(call) => panic!("{call:?}"),
            Err(error) => Err(error),
        };
        assert_eq!(limit(""), Ok(100));
        assert_eq!(limit("&limit=1000"), Ok(1000));
        assert_eq!(limit("&limit=5001"), Ok(5000));
        assert_eq!(limit("&limit=99999999999999999999"), Ok(5000));
        for wrong in ["0", "-1", "", "1.5", "x"] {
            let expected = RestError::WrongParameter { name: "limit", found: wrong.into() };
            assert_eq!(limit(&format!("&limit={wrong}")), Err(expected));
        }
    }

    #[test]
    fn books_are_cut_to_the_limit_and_read_back() {
        let (bids, asks) =
            (vec![(670_124, 13_000), (670_118, 6_200)], vec![(670_125, 37_570), (670_129, 2_500)]);
        let book = Snapshot { symbol: SymbolId(0), sequence: 0, update_id: 400_900_221, bids, asks };
        let facts = Facts { book: Some(&book), ..facts() };
        let whole = body(&Call::Depth { symbol: SymbolId(0), limit: 100 }, &facts);
        let example = include_str!("../../../../testdata/binance/rest_depth.json").trim_end();
        assert_eq!(whole, example.replace(r#""symbol":"BTCUSDT","#, ""));
        assert_eq!(read_depth(&listing(), SymbolId(0), whole.as_bytes()), Ok(book.clone()));
        let best = body(&Call::Depth { symbol: SymbolId(0), limit: 1 }, &facts);
        let best = read_depth(&listing(), SymbolId(0), best.as_bytes()).unwrap();
        assert_eq!((&best.bids[..], &best.asks[..]), (&book.bids[..1], &book.asks[..1]));
        assert!(read_depth(&listing(), SymbolId(9), whole.as_bytes()).is_err());
        assert!(read_depth(&listing(), SymbolId(0), b"{}").is_err());
    }

    #[test]
    fn instruments_and_time_read_back() {
        let text = body(&Call::Instruments(vec![SymbolId(1)]), &facts());
        let listed = read_instruments(text.as_bytes()).unwrap();
        assert_eq!(listed.instruments.len(), 1);
        assert_eq!(listed.instruments[0].symbol, "PEPEUSDT");
        assert!(text.contains(r#""serverTime":1795420800123,"#));
        let all = read_instruments(body(&Call::Instruments(vec![]), &facts()).as_bytes()).unwrap();
        assert_eq!(all.assets, listing().assets);
        let error = read_instruments(b"{}").unwrap_err().to_string();
        assert_eq!(error, r#"exchangeInfo without field "symbols""#);
        assert_eq!(read_time(body(&Call::Time, &facts()).as_bytes()), Ok(NOW));
        assert_eq!(read_time(br#"{"serverTime":1795420800123000}"#), Ok(NOW), "microseconds");
    }

    #[test]
    fn an_account_has_its_balances() {
        let balances = [AssetBalance {
            asset: AssetId(1),
            total_units: 103_900_000,
            locked_units: Some(3_900_000),
            change_units: None,
        }];
        let facts = Facts { balances: Some((AccountId(7), &balances)), ..facts() };
        let text = body(&Call::Balances, &facts);
        assert!(
            text.contains(r#""balances":[{"asset":"BTC","free":"1.00000000","locked":"0.03900000"}]"#),
            "{text}"
        );
        assert!(text.ends_with(r#""uid":7}"#), "{text}");
    }

    #[test]
    fn the_futures_markets_are_empty() {
        for path in [USD_FUTURES, COIN_FUTURES] {
            let text = body(&get(path).unwrap(), &facts());
            assert!(text.ends_with(r#""symbols":[]}"#), "{text}");
        }
    }

    #[test]
    fn every_answer_is_json() {
        for call in [
            Call::Ping,
            Call::Time,
            Call::Status,
            Call::Instruments(vec![]),
            Call::Assets,
            Call::Depth { symbol: SymbolId(0), limit: 5 },
            Call::Balances,
            Call::SocketToken,
            Call::Formality(NOTHING_THERE[1]),
            Call::Formality(USD_FUTURES),
            Call::Formality(LISTEN_KEY),
        ] {
            let text = body(&call, &facts());
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn mistakes_have_the_venue_s_codes() {
        for (request, status, expected) in [
            (get("/api/v3/depth?symbol=X"), 400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            (
                get("/api/v3/depth"),
                400,
                r#"{"code":-1102,"msg":"Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."}"#,
            ),
            (
                get("/api/v3/exchangeInfo?symbols=BTCUSDT"),
                400,
                r#"{"code":-1100,"msg":"Illegal characters found in parameter 'symbols'."}"#,
            ),
            (get("/api/v3/nothing"), 404, r#"{"code":-1020,"msg":"This operation is not supported."}"#),
            (
                called("POST", "/api/v3/ping"),
                405,
                r#"{"code":-1020,"msg":"This operation is not supported."}"#,
            ),
        ] {
            let answer = refuse(&request.unwrap_err(), NOW);
            assert_eq!(answer.status, status);
            assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
        }
        let frequent = refuse(&RestError::TooFrequent, NOW);
        assert_eq!((frequent.status, frequent.headers), (429, vec![("Retry-After", "60".to_owned())]));
    }
}
