//! Paths, parameters and bodies of the HTTP interface. Every answer has the same envelope, errors too.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{Listing, SymbolId};

use super::answers;
use super::wording::{LEVEL_ROOM, Pieces, Wording};
use crate::access::AccessError;
use crate::decoded::{BalanceUpdate, DepthForm, Level};
use crate::decoder::DecodeError;
use crate::json::quoted;
use crate::rest::{Answer, Call, Facts, HttpRequest, RestError};
use crate::text::{NUMBER_ROOM, append};
use crate::venue::Venue;

pub(crate) fn read_request(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let query = Query(request.query);
    if !PATHS.contains(&request.path) {
        return Err(RestError::UnknownPath);
    }
    if request.method != "GET" {
        return Err(RestError::WrongMethod { allowed: "GET" });
    }
    match request.path {
        TIME => Ok(Call::Time),
        STATUS => Ok(Call::Status),
        INSTRUMENTS => query.instruments(listing),
        BOOKS => query.depth(listing),
        CURRENCIES => Ok(Call::Assets),
        BALANCE => Ok(Call::Balances),
        TICKER => {
            let symbol = query.symbol(listing)?.ok_or(RestError::MissingParameter { name: "instId" })?;
            Ok(Call::Tickers { symbols: vec![symbol], single: true })
        }
        TICKERS => match query.instruments(listing)? {
            Call::Instruments(_) => Ok(Call::Tickers { symbols: Vec::new(), single: false }),
            _ => Ok(Call::Formality(TICKERS)),
        },
        CONFIG => Ok(Call::Formality(CONFIG)),
        // Spot accounts have none.
        _ => Ok(Call::Formality(POSITIONS)),
    }
}

/// Of a call whose facts are missing the answer has no data.
pub(crate) fn answer(listing: &Listing, call: &Call, facts: &Facts<'_>) -> Answer {
    let now_ms = facts.now_unix_ns / NS_PER_MS;
    let mut body = Vec::new();
    match call {
        Call::Time => body = enveloped(&format!("{{\"ts\":\"{now_ms}\"}}")),
        Call::Instruments(symbols) if symbols.is_empty() => {
            Wording::new(listing).instruments(listing.instruments.iter(), &mut body);
        }
        Call::Instruments(symbols) => {
            let instruments = symbols.iter().map(|&symbol| listing.instrument(symbol));
            Wording::new(listing).instruments(instruments, &mut body);
        }
        Call::Depth { symbol, limit } => match facts.book {
            Some(book) => body = depth(listing, *symbol, *limit, book, now_ms),
            None => body = enveloped(""),
        },
        Call::Assets => {
            let assets: Vec<String> = listing.assets.iter().map(|name| asset(name)).collect();
            body = enveloped(&assets.join(","));
        }
        Call::Balances | Call::BalancesAndHolds => match facts.balances {
            Some((account, balances)) => {
                let update = BalanceUpdate {
                    account,
                    event_ns: Some(facts.now_unix_ns),
                    engine_ns: facts.now_unix_ns,
                    form: DepthForm::Snapshot,
                    balances,
                };
                Wording::new(listing).balances(&update, &mut body);
            }
            None => body = enveloped(""),
        },
        // A simple account, which trades spot.
        Call::Formality(CONFIG) => {
            let uid = facts.balances.map_or(0, |(account, _)| account.0);
            body = enveloped(&format!(
                r#"{{"acctLv":"1","autoLoan":false,"ctIsoMode":"automatic","greeksType":"PA","ip":"","label":"","level":"Lv1","levelTmp":"","mainUid":"{uid}","mgnIsoMode":"automatic","opAuth":"0","perm":"read_only","posMode":"net_mode","roleType":"0","spotOffsetType":"","type":"0","uid":"{uid}"}}"#
            ));
        }
        // The state tells of maintenance that is planned: there is none.
        Call::Ping | Call::Status | Call::SocketToken | Call::Tickers { .. } | Call::Formality(_) => {
            body = enveloped("")
        }
    }
    Answer { status: 200, headers: Vec::new(), body }
}

pub(crate) fn refuse(error: &RestError, _now_unix_ns: u64) -> Answer {
    let (status, code, msg): (u16, _, Cow<'_, str>) = match error {
        RestError::UnknownPath => (404, "404", "Not Found".into()),
        RestError::WrongMethod { .. } => (405, "50115", "Invalid request method.".into()),
        RestError::MissingParameter { name } => {
            (400, "50014", format!("Parameter {name} cannot be empty.").into())
        }
        RestError::WrongParameter { name, .. } => (200, "51000", format!("Parameter {name} error").into()),
        RestError::UnknownSymbol { .. } => (200, "51001", "Instrument ID does not exist.".into()),
        RestError::Access(error) => {
            let (code, msg) = access_words(error);
            (401, code, msg.into())
        }
        RestError::NotAllowed => (401, "50103", "Request header OK-ACCESS-KEY cannot be empty.".into()),
        RestError::TooFrequent => (429, "50011", "Requests too frequent.".into()),
    };
    let body = format!(r#"{{"code":"{code}","msg":"{msg}","data":[]}}"#);
    Answer { status, headers: Vec::new(), body: body.into_bytes() }
}

fn access_words(error: &AccessError) -> (&'static str, &'static str) {
    match error {
        AccessError::Missing { what: "OK-ACCESS-PASSPHRASE" } => {
            ("50104", "Request header OK-ACCESS-PASSPHRASE cannot be empty.")
        }
        AccessError::Missing { what: "OK-ACCESS-SIGN" } => {
            ("50106", "Request header OK-ACCESS-SIGN cannot be empty.")
        }
        AccessError::Missing { what: "OK-ACCESS-TIMESTAMP" } => {
            ("50107", "Request header OK-ACCESS-TIMESTAMP cannot be empty.")
        }
        AccessError::Missing { .. } => ("50103", "Request header OK-ACCESS-KEY cannot be empty."),
        AccessError::Unreadable { .. } | AccessError::Early => ("50112", "Invalid OK-ACCESS-TIMESTAMP."),
        AccessError::UnknownKey => ("50111", "Invalid OK-ACCESS-KEY."),
        AccessError::Late => ("50102", "Timestamp request expired."),
        AccessError::WrongPassphrase => ("50105", "Request header OK-ACCESS-PASSPHRASE incorrect."),
        AccessError::WrongSignature => ("50113", "Invalid Sign"),
    }
}

/// There is no ping; clients ask for the time.
pub(crate) fn path(listing: &Listing, call: &Call) -> Option<String> {
    let id = |symbol: SymbolId| {
        let name = Venue::Okx.symbol(listing, listing.instrument(symbol));
        utf8_percent_encode(&name, ESCAPED).to_string()
    };
    Some(match call {
        Call::Time => TIME.to_owned(),
        Call::Status => STATUS.to_owned(),
        Call::Instruments(symbols) => match symbols[..] {
            [] => format!("{INSTRUMENTS}?instType=SPOT"),
            [symbol] => format!("{INSTRUMENTS}?instType=SPOT&instId={}", id(symbol)),
            _ => return None,
        },
        Call::Assets => CURRENCIES.to_owned(),
        Call::Depth { symbol, limit } => {
            format!("{BOOKS}?instId={}&sz={}", id(*symbol), (*limit).clamp(1, DEPTH_MAX))
        }
        Call::Tickers { symbols, .. } => match symbols[..] {
            [] => format!("{TICKERS}?instType=SPOT"),
            [symbol] => format!("{TICKER}?instId={}", id(symbol)),
            _ => return None,
        },
        Call::Balances => BALANCE.to_owned(),
        Call::Formality(path) => (*path).to_owned(),
        Call::Ping | Call::SocketToken | Call::BalancesAndHolds => return None,
    })
}

pub(crate) fn read_depth(listing: &Listing, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
    answers::read_depth(listing.instrument(symbol), body)
}

pub(crate) fn read_instruments(body: &[u8]) -> Result<Listing, DecodeError> {
    let listing = answers::read_instruments(body)?;
    listing.ok_or(DecodeError::MissingField { event: "instruments", field: "data" })
}

pub(crate) fn read_time(body: &[u8]) -> Result<u64, DecodeError> {
    answers::read_time(body)
}

/// What follows the question mark of a path.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// None if it is absent or empty.
    fn find(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut parts = self.0.split('&').filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(key, value)| *key == name && !value.is_empty())?;
        Some(percent_decode_str(value).decode_utf8_lossy())
    }

    fn symbol(&self, listing: &Listing) -> Result<Option<SymbolId>, RestError> {
        let Some(name) = self.find("instId") else { return Ok(None) };
        let symbol = super::symbol(listing, &name);
        symbol.map(Some).ok_or_else(|| RestError::UnknownSymbol { name: quoted(&name) })
    }

    /// Clients ask for all types of instrument, one after the other; there is but one.
    fn instruments(&self, listing: &Listing) -> Result<Call, RestError> {
        match self.find("instType").as_deref() {
            Some("SPOT") => Ok(Call::Instruments(self.symbol(listing)?.into_iter().collect())),
            Some("MARGIN" | "SWAP" | "FUTURES" | "OPTION" | "EVENTS") => Ok(Call::Formality(INSTRUMENTS)),
            Some(found) => Err(RestError::WrongParameter { name: "instType", found: quoted(found) }),
            None => Err(RestError::MissingParameter { name: "instType" }),
        }
    }

    fn depth(&self, listing: &Listing) -> Result<Call, RestError> {
        let symbol = self.symbol(listing)?.ok_or(RestError::MissingParameter { name: "instId" })?;
        let limit = match self.find("sz") {
            None => 1,
            Some(size) => size
                .parse()
                .ok()
                .filter(|size| (1..=DEPTH_MAX).contains(size))
                .ok_or_else(|| RestError::WrongParameter { name: "sz", found: quoted(&size) })?,
        };
        Ok(Call::Depth { symbol, limit })
    }
}

fn enveloped(data: &str) -> Vec<u8> {
    format!(r#"{{"code":"0","msg":"","data":[{data}]}}"#).into_bytes()
}

fn depth(listing: &Listing, symbol: SymbolId, limit: u32, book: &Snapshot, now_ms: u64) -> Vec<u8> {
    let pieces = Pieces::new(listing, listing.instrument(symbol));
    let levels = |levels: &[(u32, u64)]| -> Vec<Level> {
        levels.iter().take(limit as usize).map(|&(price, quantity)| Level { price, quantity }).collect()
    };
    let (bids, asks) = (levels(&book.bids), levels(&book.asks));
    let mut body = Vec::new();
    append(&mut body, 100 + 2 * NUMBER_ROOM + (bids.len() + asks.len()) * LEVEL_ROOM, |w| {
        w.literal(br#"{"code":"0","msg":"","data":[{"asks":["#);
        pieces.levels(&asks, w);
        w.literal(br#"],"bids":["#);
        pieces.levels(&bids, w);
        w.literal(br#"],"ts":""#);
        w.number(now_ms);
        w.literal(br#"","seqId":"#);
        w.number(book.update_id);
        w.literal(b"}]}");
    });
    body
}

/// Every asset has one chain, named like itself.
fn asset(name: &str) -> String {
    serde_json::json!({
        "ccy": name, "name": name, "chain": format!("{name}-{name}"), "ctAddr": "", "mainNet": true,
        "canDep": true, "canWd": true, "canInternal": true, "needTag": false,
        "minDep": "0", "minWd": "0", "maxWd": "1000000000", "wdTickSz": "8", "minFee": "0", "maxFee": "0", "fee": "0",
    })
    .to_string()
}

const TIME: &str = "/api/v5/public/time";
const STATUS: &str = "/api/v5/system/status";
const INSTRUMENTS: &str = "/api/v5/public/instruments";
const BOOKS: &str = "/api/v5/market/books";
const CURRENCIES: &str = "/api/v5/asset/currencies";
const BALANCE: &str = "/api/v5/account/balance";
const POSITIONS: &str = "/api/v5/account/positions";

/// What kind of account it is.
const CONFIG: &str = "/api/v5/account/config";
const TICKER: &str = "/api/v5/market/ticker";
const TICKERS: &str = "/api/v5/market/tickers";
const PATHS: [&str; 10] =
    [TIME, STATUS, INSTRUMENTS, BOOKS, CURRENCIES, BALANCE, POSITIONS, CONFIG, TICKER, TICKERS];

/// What stands in a path as it is: instruments have a dash.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

const DEPTH_MAX: u32 = 400;

const NS_PER_MS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::AccountId;
    use tickstorm_market::instrument::{AssetId, Instrument};

    use super::*;
    use crate::decoded::AssetBalance;
    use crate::testing::{START_UNIX_NS, listing};

    const NOW: u64 = START_UNIX_NS as u64 + 210_000_000;

    const FACTS: Facts<'_> = Facts { now_unix_ns: NOW, book: None, balances: None, token: "" };

    fn get<'a>(path: &'a str, query: &'a str) -> HttpRequest<'a> {
        HttpRequest { method: "GET", path, query, body: b"" }
    }

    fn body(call: &Call, facts: &Facts<'_>) -> String {
        let answer = answer(&listing(), call, facts);
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    #[test]
    fn every_call_reads_back_from_its_path() {
        for call in [
            Call::Time,
            Call::Status,
            Call::Instruments(vec![]),
            Call::Instruments(vec![SymbolId(1)]),
            Call::Instruments(vec![SymbolId(2)]),
            Call::Assets,
            Call::Depth { symbol: SymbolId(0), limit: 400 },
            Call::Depth { symbol: SymbolId(2), limit: 1 },
            Call::Balances,
            Call::Formality(POSITIONS),
        ] {
            let path = path(&listing(), &call).unwrap();
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            assert!(query.is_ascii());
            assert_eq!(read_request(&listing(), &get(path, query)), Ok(call));
        }
        assert_eq!(path(&listing(), &Call::SocketToken), None);
    }

    #[test]
    fn a_book_is_the_example_of_the_documentation_and_reads_back() {
        let example = include_str!("../../../../testdata/okx/rest_books.json").trim_end();
        let symbol = SymbolId(0);
        let read = read_depth(&listing(), symbol, example.as_bytes()).unwrap();
        let book = Snapshot {
            symbol,
            sequence: 0,
            update_id: 59_000_000_017,
            bids: vec![(670_124, 15_000)],
            asks: vec![(670_125, 40_770)],
        };
        assert_eq!(read, book);
        let deeper = Snapshot {
            bids: vec![(670_124, 15_000), (670_123, 1)],
            asks: vec![(670_125, 40_770), (670_126, 1)],
            ..book.clone()
        };
        let written = body(&Call::Depth { symbol, limit: 1 }, &Facts { book: Some(&deeper), ..FACTS });
        // The market does not know how many orders rest at a level.
        assert_eq!(written, example.replace(r#""0","3""#, r#""0","8""#).replace(r#""0","2""#, r#""0","7""#));
    }

    #[test]
    fn instruments_and_time_read_back() {
        let without_prices = |instruments: &[Instrument]| -> Vec<Instrument> {
            instruments.iter().map(|it| Instrument { start_price: 0, ..it.clone() }).collect()
        };
        let all = read_instruments(body(&Call::Instruments(vec![]), &FACTS).as_bytes()).unwrap();
        assert_eq!(all.instruments[..], without_prices(&listing().instruments));
        assert_eq!(all.assets, listing().assets);
        let one = read_instruments(body(&Call::Instruments(vec![SymbolId(2)]), &FACTS).as_bytes()).unwrap();
        assert_eq!(one.instruments.len(), 1);
        assert_eq!(one.instruments[0].symbol, "Ü\"USDT");
        assert_eq!(body(&Call::Time, &FACTS), r#"{"code":"0","msg":"","data":[{"ts":"1795420800210"}]}"#);
        assert_eq!(read_time(body(&Call::Time, &FACTS).as_bytes()), Ok(NOW));
    }

    #[test]
    fn types_of_instrument_that_are_not_offered_are_empty() {
        let call = read_request(&listing(), &get(INSTRUMENTS, "instType=SWAP")).unwrap();
        assert_eq!(body(&call, &FACTS), r#"{"code":"0","msg":"","data":[]}"#);
    }

    #[test]
    fn balances_are_those_of_the_account_channel() {
        let balance = AssetBalance {
            asset: AssetId(1),
            total_units: 103_900_000,
            locked_units: Some(3_900_000),
            change_units: None,
        };
        let facts = Facts { balances: Some((AccountId(7), &[balance])), ..FACTS };
        let answer: serde_json::Value = serde_json::from_str(&body(&Call::Balances, &facts)).unwrap();
        let holding = &answer["data"][0]["details"][0];
        assert_eq!((&holding["ccy"], &holding["eq"]), (&"BTC".into(), &"1.039".into()));
        assert_eq!((&holding["availBal"], &holding["frozenBal"]), (&"1".into(), &"0.039".into()));
        let assets: serde_json::Value = serde_json::from_str(&body(&Call::Assets, &FACTS)).unwrap();
        assert_eq!(assets["data"].as_array().unwrap().len(), listing().assets.len());
        assert_eq!(assets["data"][1]["ccy"], "BTC");
    }

    #[test]
    fn wrong_requests_have_the_venues_codes() {
        for (request, error, status, code) in [
            (get("/api/v5/nothing", ""), RestError::UnknownPath, 404, "404"),
            (
                HttpRequest { method: "POST", ..get(TIME, "") },
                RestError::WrongMethod { allowed: "GET" },
                405,
                "50115",
            ),
            (get(INSTRUMENTS, ""), RestError::MissingParameter { name: "instType" }, 400, "50014"),
            (
                get(INSTRUMENTS, "instType=spot"),
                RestError::WrongParameter { name: "instType", found: "spot".into() },
                200,
                "51000",
            ),
            (get(BOOKS, "sz=5"), RestError::MissingParameter { name: "instId" }, 400, "50014"),
            (
                get(BOOKS, "instId=BTC-USDT&sz=401"),
                RestError::WrongParameter { name: "sz", found: "401".into() },
                200,
                "51000",
            ),
            (
                get(BOOKS, "instId=XYZ-USDT"),
                RestError::UnknownSymbol { name: "XYZ-USDT".into() },
                200,
                "51001",
            ),
        ] {
            assert_eq!(read_request(&listing(), &request), Err(error.clone()), "{request:?}");
            let answer = refuse(&error, NOW);
            assert_eq!(answer.status, status);
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.starts_with(&format!(r#"{{"code":"{code}","msg":""#)), "{text}");
            assert!(
                read_time(text.as_bytes()).is_err()
                    && read_depth(&listing(), SymbolId(0), text.as_bytes()).is_err()
            );
        }
        assert_eq!(refuse(&RestError::NotAllowed, NOW).status, 401);
        assert_eq!(refuse(&RestError::TooFrequent, NOW).status, 429);
    }

    proptest! {
        #[test]
        fn arbitrary_requests_and_answers_never_panic(
            path in prop::sample::select(PATHS.to_vec()),
            query in "(instId|sz|instType)?[=&%A-Z0-9-]{0,20}",
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = read_request(&listing(), &get(path, &query));
            let _ = read_depth(&listing(), SymbolId(0), &bytes);
            let _ = (read_time(&bytes), read_instruments(&bytes));
        }
    }
}
