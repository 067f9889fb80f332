//! Paths, parameters and bodies of the HTTP interface.

use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::decode::Decoder;
use super::encode::COUNT_START;
use super::instruments;
use super::protocol::{find_symbol, json_string};
use crate::access::AccessError;
use crate::decoded::{AssetBalance, Level};
use crate::decoder::DecodeError;
use crate::json::Object;
use crate::rest::{Answer, Call, Facts, HttpRequest, RestError};
use crate::text::units_text;

pub(crate) fn read_request(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let query = Query(request.query);
    let known = [TIME, INSTRUMENTS, ORDERBOOK, TICKERS, BALANCES, ASSETS, KEY, ACCOUNT];
    if !known.contains(&request.path) {
        return Err(RestError::UnknownPath);
    }
    if request.method != "GET" {
        return Err(RestError::WrongMethod { allowed: "GET" });
    }
    match request.path {
        TIME => Ok(Call::Time),
        INSTRUMENTS => match query.required("category")? {
            "spot" => Ok(Call::Instruments(query.symbol(listing)?.into_iter().collect())),
            // Clients ask for all categories in turn; there is nothing in the others.
            category => OTHER_CATEGORIES
                .into_iter()
                .find(|(name, _)| *name == category)
                .map(|(_, path)| Call::Formality(path))
                .ok_or_else(|| RestError::WrongParameter { name: "category", found: category.to_owned() }),
        },
        ORDERBOOK => {
            let category = query.required("category")?;
            if category != "spot" {
                return Err(RestError::WrongParameter { name: "category", found: category.to_owned() });
            }
            query.required("symbol")?;
            let Some(symbol) = query.symbol(listing)? else {
                return Err(RestError::MissingParameter { name: "symbol" });
            };
            let limit = match query.find("limit") {
                None => 1,
                Some(text) => text
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                    .ok_or_else(|| RestError::WrongParameter { name: "limit", found: text.to_owned() })?,
            };
            Ok(Call::Depth { symbol, limit })
        }
        TICKERS => match query.required("category")? {
            "spot" => {
                let symbols: Vec<SymbolId> = query.symbol(listing)?.into_iter().collect();
                Ok(Call::Tickers { single: !symbols.is_empty(), symbols })
            }
            category => OTHER_CATEGORIES
                .into_iter()
                .find(|(name, _)| *name == category)
                .map(|(_, path)| Call::Formality(path))
                .ok_or_else(|| RestError::WrongParameter { name: "category", found: category.to_owned() }),
        },
        BALANCES => match query.required("accountType")? {
            "UNIFIED" => Ok(Call::Balances),
            other => Err(RestError::WrongParameter { name: "accountType", found: other.to_owned() }),
        },
        ASSETS => Ok(Call::Assets),
        KEY => Ok(Call::Formality(KEY)),
        _ => Ok(Call::Formality(ACCOUNT)),
    }
}

pub(crate) fn answer(listing: &Listing, call: &Call, facts: &Facts<'_>) -> Answer {
    let result = match call {
        Call::Time | Call::Ping | Call::Status => {
            let now = facts.now_unix_ns;
            format!(r#"{{"timeSecond":"{}","timeNano":"{now}"}}"#, now / 1_000_000_000)
        }
        Call::Instruments(symbols) => {
            let named = |it: &&Instrument| symbols.is_empty() || symbols.contains(&it.id);
            instruments::result(listing, listing.instruments.iter().filter(named))
        }
        Call::Depth { symbol, limit } => depth_result(listing, *symbol, *limit, facts),
        Call::Assets => {
            let rows: Vec<String> = listing.assets.iter().map(|name| asset_row(name)).collect();
            format!(r#"{{"rows":[{}]}}"#, rows.join(","))
        }
        Call::Balances | Call::BalancesAndHolds => balances_result(listing, facts),
        Call::Formality(KEY) => KEY_RESULT.to_owned(),
        Call::Formality(ACCOUNT) => format!(
            r#"{{"unifiedMarginStatus":5,"marginMode":"ISOLATED_MARGIN","isMasterTrader":false,"spotHedgingStatus":"OFF","updatedTime":"{}"}}"#,
            facts.now_unix_ns / NS_PER_MS
        ),
        Call::Formality(path) => {
            let category = path.rsplit('=').next().unwrap_or_default();
            format!(r#"{{"category":{},"list":[],"nextPageCursor":""}}"#, json_string(category))
        }
        Call::Tickers { .. } => r#"{"category":"spot","list":[]}"#.to_owned(),
        Call::SocketToken => "{}".to_owned(),
    };
    enveloped(200, 0, "OK", &result, facts.now_unix_ns)
}

/// Mistakes in what is asked have a code of the venue's and the status of a success.
pub(crate) fn refuse(error: &RestError, now_unix_ns: u64) -> Answer {
    let (status, code, text) = match error {
        RestError::UnknownPath => (404, 404, "path not found".to_owned()),
        RestError::WrongMethod { allowed } => (404, 404, format!("path not found, try {allowed}")),
        RestError::MissingParameter { name } => (200, 10_001, format!("params error: {name} is required")),
        RestError::WrongParameter { name, found } => {
            (200, 10_001, format!("params error: {name} invalid: {found}"))
        }
        RestError::UnknownSymbol { .. } => (200, 10_001, "Not supported symbols".to_owned()),
        RestError::Access(AccessError::Late | AccessError::Early) => {
            (200, 10_002, "The request time exceeds the time window range.".to_owned())
        }
        RestError::Access(AccessError::WrongSignature) => {
            (200, 10_004, "Error sign, please check your signature generation algorithm.".to_owned())
        }
        RestError::Access(AccessError::Unreadable { what }) => {
            (200, 10_001, format!("params error: {what} invalid"))
        }
        RestError::Access(
            AccessError::Missing { .. } | AccessError::UnknownKey | AccessError::WrongPassphrase,
        )
        | RestError::NotAllowed => (200, 10_003, "API key is invalid.".to_owned()),
        RestError::TooFrequent => (200, 10_006, "Too many visits!".to_owned()),
    };
    enveloped(status, code, &text, "{}", now_unix_ns)
}

pub(crate) fn path(listing: &Listing, call: &Call) -> Option<String> {
    Some(match call {
        Call::Time => TIME.to_owned(),
        Call::Instruments(symbols) => match symbols[..] {
            [] => format!("{INSTRUMENTS}?category=spot"),
            [symbol] => format!("{INSTRUMENTS}?category=spot&symbol={}", listing.instrument(symbol).symbol),
            // The venue knows one or all.
            _ => return None,
        },
        Call::Depth { symbol, limit } => {
            let limit = if *limit == 0 { LIMIT_MAX } else { (*limit).min(LIMIT_MAX) };
            let symbol = &listing.instrument(*symbol).symbol;
            format!("{ORDERBOOK}?category=spot&symbol={symbol}&limit={limit}")
        }
        Call::Assets => ASSETS.to_owned(),
        Call::Tickers { symbols, .. } => match symbols[..] {
            [] => format!("{TICKERS}?category=spot"),
            [symbol] => format!("{TICKERS}?category=spot&symbol={}", listing.instrument(symbol).symbol),
            _ => return None,
        },
        Call::Balances => format!("{BALANCES}?accountType=UNIFIED"),
        Call::Formality(path) => (*path).to_owned(),
        Call::Ping | Call::Status | Call::SocketToken | Call::BalancesAndHolds => return None,
    })
}

/// The snapshot stands at the change that `seq` names.
pub(crate) fn read_depth(listing: &Listing, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
    let answer = Object::parse(body)?;
    let mut result = successful(&answer)?;
    let (update_id, bids, asks) = Decoder::new(listing).read_book(result.called("orderbook"), symbol)?;
    let pairs = |levels: Vec<Level>| levels.iter().map(|level| (level.price, level.quantity)).collect();
    Ok(Snapshot { symbol, sequence: 0, update_id, bids: pairs(bids), asks: pairs(asks) })
}

pub(crate) fn read_instruments(body: &[u8]) -> Result<Listing, DecodeError> {
    successful(&Object::parse(body)?)?;
    let missing = DecodeError::MissingField { event: "instruments-info", field: "list" };
    instruments::read_instruments(body)?.ok_or(missing)
}

pub(crate) fn read_time(body: &[u8]) -> Result<u64, DecodeError> {
    let answer = Object::parse(body)?;
    let time = successful(&answer)?.field("timeNano")?;
    time.string()?.parse().map_err(|_| time.wrong("nanoseconds in quotes"))
}

/// The result of an answer that is no error.
fn successful<'a>(answer: &Object<'a>) -> Result<Object<'a>, DecodeError> {
    let code = answer.field("retCode")?;
    if code.number()? != 0 {
        return Err(code.wrong("0"));
    }
    answer.field("result")?.object()
}

/// `u` is that of the stream of all levels, which counts every change.
fn depth_result(listing: &Listing, symbol: SymbolId, limit: u32, facts: &Facts<'_>) -> String {
    let instrument = listing.instrument(symbol);
    let side = |levels: Option<&Vec<(u32, u64)>>| {
        let texts: Vec<String> = levels
            .into_iter()
            .flatten()
            .take(limit as usize)
            .map(|&(price, quantity)| {
                let price = u128::from(price) * u128::from(instrument.tick);
                let quantity = u128::from(quantity) * u128::from(instrument.lot);
                format!(r#"["{}","{}"]"#, units_text(price), units_text(quantity))
            })
            .collect();
        texts.join(",")
    };
    let update_id = facts.book.map_or(0, |book| book.update_id);
    let now_ms = facts.now_unix_ns / NS_PER_MS;
    format!(
        r#"{{"s":{},"b":[{}],"a":[{}],"ts":{now_ms},"u":{},"seq":{update_id},"cts":{now_ms}}}"#,
        json_string(&instrument.symbol),
        side(facts.book.map(|book| &book.bids)),
        side(facts.book.map(|book| &book.asks)),
        COUNT_START.saturating_add(update_id),
    )
}

/// Coins can neither be sent in nor out here.
fn asset_row(name: &str) -> String {
    let name = json_string(name);
    format!(r#"{{"name":{name},"coin":{name},"remainAmount":"0","chains":[]}}"#)
}

/// As the wallet message tells it.
fn balances_result(listing: &Listing, facts: &Facts<'_>) -> String {
    let balances = facts.balances.map_or(&[][..], |(_, balances)| balances);
    let coins: Vec<String> = balances.iter().map(|balance| coin(listing, balance)).collect();
    format!(
        r#"{{"list":[{{"accountType":"UNIFIED","accountIMRate":"","accountMMRate":"","totalEquity":"","totalWalletBalance":"","totalMarginBalance":"","totalAvailableBalance":"","totalPerpUPL":"","totalInitialMargin":"","totalMaintenanceMargin":"","accountLTV":"","coin":[{}]}}]}}"#,
        coins.join(",")
    )
}

fn coin(listing: &Listing, balance: &AssetBalance) -> String {
    let signed = |units: i64| {
        let sign = if units < 0 { "-" } else { "" };
        format!("{sign}{}", units_text(units.unsigned_abs().into()))
    };
    let total = signed(balance.total_units);
    format!(
        r#"{{"coin":{},"equity":"{total}","usdValue":"0","walletBalance":"{total}","locked":"{}","spotHedgingQty":"0","borrowAmount":"0","accruedInterest":"0","totalOrderIM":"0","totalPositionIM":"0","totalPositionMM":"0","unrealisedPnl":"0","cumRealisedPnl":"0","bonus":"0","collateralSwitch":false,"marginCollateral":false,"availableToWithdraw":"","availableToBorrow":""}}"#,
        json_string(listing.asset(balance.asset)),
        signed(balance.locked_units.unwrap_or_default()),
    )
}

pub(crate) fn enveloped(status: u16, code: u32, text: &str, result: &str, now_unix_ns: u64) -> Answer {
    let body = instruments::envelope(code, &json_string(text), result, now_unix_ns);
    Answer { status, headers: Vec::new(), body: body.into_bytes() }
}

/// The parameters behind a question mark. Names of symbols and coins need no escapes.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn find(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|&(found, value)| found == name && !value.is_empty()).map(|(_, value)| value)
    }

    fn required(&self, name: &'static str) -> Result<&'a str, RestError> {
        self.find(name).ok_or(RestError::MissingParameter { name })
    }

    fn symbol(&self, listing: &Listing) -> Result<Option<SymbolId>, RestError> {
        self.find("symbol")
            .map(|name| {
                find_symbol(listing, name).ok_or_else(|| RestError::UnknownSymbol { name: name.to_owned() })
            })
            .transpose()
    }
}

const TIME: &str = "/v5/market/time";
const TICKERS: &str = "/v5/market/tickers";
const INSTRUMENTS: &str = "/v5/market/instruments-info";
const ORDERBOOK: &str = "/v5/market/orderbook";
const BALANCES: &str = "/v5/account/wallet-balance";
const ASSETS: &str = "/v5/asset/coin/query-info";
const KEY: &str = "/v5/user/query-api";
const ACCOUNT: &str = "/v5/account/info";

const OTHER_CATEGORIES: [(&str, &str); 3] = [
    ("linear", "/v5/market/instruments-info?category=linear"),
    ("inverse", "/v5/market/instruments-info?category=inverse"),
    ("option", "/v5/market/instruments-info?category=option"),
];

/// Whoever asks owns a key of a unified account that may do everything.
const KEY_RESULT: &str = r#"{"id":"1","note":"","apiKey":"","readOnly":0,"secret":"","permissions":{"ContractTrade":[],"Spot":["SpotTrade"],"Wallet":["AccountTransfer"],"Options":[],"Derivatives":[],"CopyTrading":[],"BlockTrade":[],"Exchange":[],"NFT":[]},"ips":["*"],"type":1,"unified":0,"uta":1,"userID":1,"inviterID":0,"vipLevel":"No VIP","mktMakerLevel":"0","affiliateID":0}"#;

/// Levels a side in an answer: those of the deepest stream.
const LIMIT_MAX: u32 = 1000;

const NS_PER_MS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::AccountId;
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::testing::listing;

    const NOW: u64 = 1_795_420_800_212_345_678;

    const NO_FACTS: Facts<'_> = Facts { now_unix_ns: NOW, book: None, balances: None, token: "" };

    fn read(target: &str) -> Result<Call, RestError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        read_request(&listing(), &HttpRequest { method: "GET", path, query, body: b"" })
    }

    fn answered(call: &Call, facts: &Facts<'_>) -> String {
        let answer = answer(&listing(), call, facts);
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    #[test]
    fn every_path_is_read_and_written_again() {
        for (target, call) in [
            ("/v5/market/time", Call::Time),
            ("/v5/market/instruments-info?category=spot", Call::Instruments(vec![])),
            (
                "/v5/market/instruments-info?category=spot&symbol=PEPEUSDT",
                Call::Instruments(vec![SymbolId(1)]),
            ),
            (
                "/v5/market/instruments-info?category=linear",
                Call::Formality("/v5/market/instruments-info?category=linear"),
            ),
            (
                "/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=50",
                Call::Depth { symbol: SymbolId(0), limit: 50 },
            ),
            ("/v5/account/wallet-balance?accountType=UNIFIED", Call::Balances),
            ("/v5/asset/coin/query-info", Call::Assets),
            ("/v5/user/query-api", Call::Formality("/v5/user/query-api")),
            ("/v5/account/info", Call::Formality("/v5/account/info")),
        ] {
            assert_eq!(read(target).as_ref(), Ok(&call));
            assert_eq!(path(&listing(), &call).as_deref(), Some(target));
            let body = answered(&call, &NO_FACTS);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((&value["retCode"], &value["time"]), (&0.into(), &(NOW / NS_PER_MS).into()), "{body}");
            assert!(value["result"].is_object(), "{body}");
        }
        let default = read("/v5/market/orderbook?symbol=BTCUSDT&category=spot&x=y");
        assert_eq!(default, Ok(Call::Depth { symbol: SymbolId(0), limit: 1 }));
    }

    #[test]
    fn wrong_requests_are_refused_with_the_venues_code() {
        let wrong = |name, found: &str| RestError::WrongParameter { name, found: found.to_owned() };
        for (target, error, status, start) in [
            ("/v5/x", RestError::UnknownPath, 404, r#"{"retCode":404,"#),
            (
                "/v5/market/instruments-info",
                RestError::MissingParameter { name: "category" },
                200,
                r#"{"retCode":10001,"retMsg":"params error: category is required","result":{}"#,
            ),
            (
                "/v5/market/instruments-info?category=x",
                wrong("category", "x"),
                200,
                r#"{"retCode":10001,"retMsg":"params error: category invalid: x","#,
            ),
            (
                "/v5/market/orderbook?category=spot&symbol=XYZ",
                RestError::UnknownSymbol { name: "XYZ".to_owned() },
                200,
                r#"{"retCode":10001,"retMsg":"Not supported symbols","#,
            ),
            (
                "/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=1001",
                wrong("limit", "1001"),
                200,
                r#"{"retCode":10001,"#,
            ),
        ] {
            assert_eq!(read(target).as_ref(), Err(&error), "{target}");
            let answer = refuse(&error, NOW);
            let body = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, status);
            assert!(body.starts_with(start), "{body}");
        }
        let posted = HttpRequest { method: "POST", path: TIME, query: "", body: b"" };
        assert_eq!(read_request(&listing(), &posted), Err(RestError::WrongMethod { allowed: "GET" }));
        let refused = refuse(&RestError::NotAllowed, NOW);
        assert!(refused.body.starts_with(br#"{"retCode":10003,"#));
    }

    fn book() -> Snapshot {
        Snapshot {
            symbol: SymbolId(0),
            sequence: 0,
            update_id: 133,
            bids: vec![(670_124, 15_000), (670_118, 6_200)],
            asks: vec![(670_125, 40_770)],
        }
    }

    #[test]
    fn a_book_has_the_documented_form_and_reads_back() {
        let facts = Facts { book: Some(&book()), ..NO_FACTS };
        let body = answered(&Call::Depth { symbol: SymbolId(0), limit: 1 }, &facts);
        assert_eq!(
            body,
            r#"{"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","b":[["67012.4","0.15"]],"a":[["67012.5","0.4077"]],"ts":1795420800212,"u":200000133,"seq":133,"cts":1795420800212},"retExtInfo":{},"time":1795420800212}"#
        );
        let body = answered(&Call::Depth { symbol: SymbolId(0), limit: 50 }, &facts);
        assert_eq!(read_depth(&listing(), SymbolId(0), body.as_bytes()), Ok(book()));
    }

    #[test]
    fn the_documented_example_of_a_book_is_read() {
        let text = include_str!("../../../../testdata/bybit/rest_orderbook.json");
        let read = read_depth(&listing(), SymbolId(0), text.as_bytes()).unwrap();
        assert_eq!(
            (read.update_id, read.bids, read.asks),
            (91_400_000_133, vec![(670_124, 15_000)], vec![(670_125, 40_770)])
        );
        let other = read_depth(&listing(), SymbolId(1), text.as_bytes());
        assert!(matches!(other, Err(DecodeError::WrongValue { field: "s", .. })), "{other:?}");
    }

    #[test]
    fn instruments_and_the_time_read_back() {
        let body = answered(&Call::Instruments(vec![]), &NO_FACTS);
        let read = read_instruments(body.as_bytes()).unwrap();
        assert_eq!((read.instruments.len(), &read.assets), (3, &listing().assets));
        let one = answered(&Call::Instruments(vec![SymbolId(1)]), &NO_FACTS);
        assert_eq!(read_instruments(one.as_bytes()).unwrap().instruments[0].symbol, "PEPEUSDT");
        assert_eq!(read_time(answered(&Call::Time, &NO_FACTS).as_bytes()), Ok(NOW));
    }

    #[test]
    fn errors_of_the_venue_are_named() {
        let refused = refuse(&RestError::TooFrequent, NOW);
        for read in [read_time(&refused.body).err(), read_instruments(&refused.body).err()] {
            assert_eq!(read.unwrap().to_string(), "field \"retCode\" at byte 11 is 10006, must be 0");
        }
        let empty = answered(&Call::Formality("/v5/market/instruments-info?category=linear"), &NO_FACTS);
        let error = read_instruments(empty.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "instruments-info without field \"list\"");
    }

    #[test]
    fn balances_are_told_as_the_wallet_tells_them() {
        let held = [AssetBalance {
            asset: AssetId(1),
            total_units: 103_900_000,
            locked_units: Some(3_900_000),
            change_units: None,
        }];
        let facts = Facts { balances: Some((AccountId(3), &held)), ..NO_FACTS };
        let body = answered(&Call::Balances, &facts);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let coin = &value["result"]["list"][0]["coin"][0];
        assert_eq!(
            (&coin["coin"], &coin["walletBalance"], &coin["locked"]),
            (&"BTC".into(), &"1.039".into(), &"0.039".into())
        );
    }

    proptest! {
        #[test]
        fn arbitrary_requests_and_bodies_never_panic(target in "(/v5/market/(orderbook|instruments-info|time))?[?&=a-zA-Z0-9]{0,40}", body in "\\{?(\"(retCode|result|list|s|b|a|u|seq)\":|[\\[\\]{},0-9\"]){0,20}") {
            let _ = read(&target);
            let _ = read_depth(&listing(), SymbolId(0), body.as_bytes());
            let _ = read_instruments(body.as_bytes());
            let _ = read_time(body.as_bytes());
        }
    }
}
