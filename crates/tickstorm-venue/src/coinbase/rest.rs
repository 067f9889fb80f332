//! Paths, parameters and bodies of the HTTP interface.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::ids::{portfolio_text, wallet_text};
use super::protocol::{find_products, product};
use super::time::time_text;
use super::values::{Fields, price, quantity, time};
use super::wire::Raw;
use crate::decoder::DecodeError;
use crate::json::{quoted, read};
use crate::rest::{Answer, Call, Facts, HttpRequest, RestError};
use crate::text::units_text;

pub(crate) fn read_request(listing: &Listing, request: &HttpRequest<'_>) -> Result<Call, RestError> {
    let call = match request.path {
        PRODUCTS | "/api/v3/brokerage/products" => products_call(listing, request.query),
        BOOK | "/api/v3/brokerage/product_book" => book_call(listing, request.query),
        TIME => Ok(Call::Time),
        ASSETS => Ok(Call::Assets),
        BALANCES => Ok(Call::Balances),
        CURRENCIES => Ok(Call::Formality(CURRENCIES)),
        RATES => Ok(Call::Formality(RATES)),
        FEES => Ok(Call::Formality(FEES)),
        _ => return Err(RestError::UnknownPath),
    };
    if request.method != "GET" {
        return Err(RestError::WrongMethod { allowed: "GET" });
    }
    call
}

pub(crate) fn answer(listing: &Listing, call: &Call, facts: &Facts<'_>) -> Answer {
    match call {
        Call::Instruments(symbols) => {
            let all = symbols.is_empty();
            let asked = |instrument: &&Instrument| all || symbols.contains(&instrument.id);
            let products: Vec<Product<'_>> =
                listing.instruments.iter().filter(asked).map(|it| Product::new(listing, it)).collect();
            granted(&ProductList { num_products: products.len(), products })
        }
        Call::Depth { symbol, limit } => granted(&BookAnswer::new(listing, *symbol, *limit, facts)),
        Call::Time => granted(&TimeAnswer {
            iso: time_text(facts.now_unix_ns),
            epoch_seconds: (facts.now_unix_ns / 1_000_000_000).to_string(),
            epoch_millis: (facts.now_unix_ns / 1_000_000).to_string(),
        }),
        Call::Assets => {
            let data =
                listing.assets.iter().map(|name| Asset { code: name, name, kind: "crypto", exponent: 8 });
            granted(&Data { data: data.collect::<Vec<_>>() })
        }
        Call::Balances | Call::BalancesAndHolds => granted(&Accounts::new(listing, facts)),
        Call::Formality(RATES) => granted(&Data { data: Rates { currency: "USD", rates: Empty {} } }),
        Call::Formality(FEES) => granted(&Empty {}),
        Call::Formality(FUTURES) => granted(&ProductList { products: Vec::new(), num_products: 0 }),
        Call::Formality(_) => granted(&Data { data: [(); 0] }),
        Call::Ping | Call::Status | Call::SocketToken | Call::Tickers { .. } => {
            refuse(&RestError::UnknownPath, facts.now_unix_ns)
        }
    }
}

pub(crate) fn refuse(error: &RestError, _now_unix_ns: u64) -> Answer {
    let (status, word, details) = match error {
        RestError::UnknownPath => (404, "NOT_FOUND", "no such path".to_owned()),
        RestError::WrongMethod { allowed } => {
            (405, "METHOD_NOT_ALLOWED", format!("the method must be {allowed}"))
        }
        RestError::MissingParameter { name } => (400, "INVALID_ARGUMENT", format!("{name} is required")),
        RestError::WrongParameter { name, found } => {
            (400, "INVALID_ARGUMENT", format!("{name} {found:?} is not valid"))
        }
        RestError::UnknownSymbol { name } => {
            (404, "NOT_FOUND", format!("product {name:?} could not be found"))
        }
        RestError::NotAllowed | RestError::Access(_) => (401, "UNAUTHENTICATED", "Unauthorized".to_owned()),
        RestError::TooFrequent => (429, "RESOURCE_EXHAUSTED", "too many requests".to_owned()),
    };
    let body = body(&Refusal { error: word, error_details: &details, message: &details });
    Answer { status, headers: Vec::new(), body }
}

pub(crate) fn path(listing: &Listing, call: &Call) -> Option<String> {
    let name = |symbol: SymbolId| {
        let name = product(listing, listing.instrument(symbol));
        utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string().replace("%2D", "-")
    };
    Some(match call {
        Call::Instruments(symbols) => {
            let parameters: Vec<String> =
                symbols.iter().map(|&symbol| format!("product_ids={}", name(symbol))).collect();
            let separator = if parameters.is_empty() { "" } else { "?" };
            format!("{PRODUCTS}{separator}{}", parameters.join("&"))
        }
        Call::Depth { symbol, limit: u32::MAX } => format!("{BOOK}?product_id={}", name(*symbol)),
        Call::Depth { symbol, limit } => format!("{BOOK}?product_id={}&limit={limit}", name(*symbol)),
        Call::Time => TIME.to_owned(),
        Call::Assets => ASSETS.to_owned(),
        Call::Balances => BALANCES.to_owned(),
        Call::Formality(path) => (*path).to_owned(),
        Call::Ping | Call::Status | Call::SocketToken | Call::Tickers { .. } | Call::BalancesAndHolds => {
            return None;
        }
    })
}

/// The venue does not number books.
pub(crate) fn read_depth(listing: &Listing, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
    let instrument = listing.instrument(symbol);
    let (message, answer) = read::<ReadAnswer<'_>>(body)?;
    let outer = Fields { message, event: "answer" };
    let mut snapshot = Snapshot { symbol, sequence: 0, update_id: 0, bids: Vec::new(), asks: Vec::new() };
    let whole = outer.get("pricebook", answer.pricebook)?;
    let book: ReadBook<'_> = whole.read()?;
    let fields = Fields { message, event: "pricebook" };
    let name = fields.get("product_id", book.product_id)?.string()?;
    if *name != product(listing, instrument) {
        return Err(DecodeError::UnknownSymbol { symbol: quoted(&name) });
    }
    for (field, raw, levels) in
        [("bids", book.bids, &mut snapshot.bids), ("asks", book.asks, &mut snapshot.asks)]
    {
        fields.get(field, raw)?.elements(|level: ReadLevel<'_>| {
            let fields = Fields { message, event: "level" };
            let price = price(fields.get("price", level.price)?, instrument)?;
            levels.push((price, quantity(fields.get("size", level.size)?, instrument)?));
            Ok(())
        })?;
    }
    Ok(snapshot)
}

pub(crate) fn read_instruments(body: &[u8]) -> Result<Listing, DecodeError> {
    super::read_instruments(body)?.ok_or(DecodeError::MissingField { event: "answer", field: "products" })
}

pub(crate) fn read_time(body: &[u8]) -> Result<u64, DecodeError> {
    let (message, answer) = read::<ReadAnswer<'_>>(body)?;
    time(Fields { message, event: "answer" }.get("iso", answer.iso)?)
}

/// Futures are asked for as a matter of form.
fn products_call(listing: &Listing, query: &str) -> Result<Call, RestError> {
    let mut names = Vec::new();
    for (name, value) in parameters(query) {
        match name {
            "product_type" if value == "FUTURE" => return Ok(Call::Formality(FUTURES)),
            "product_type" if value != "SPOT" && value != "UNKNOWN_PRODUCT_TYPE" => {
                return Err(RestError::WrongParameter { name: "product_type", found: quoted(&value) });
            }
            "product_ids" => names.push(value),
            _ => {}
        }
    }
    let found = find_products(listing, &names);
    found.map(Call::Instruments).map_err(|name| RestError::UnknownSymbol { name: quoted(name) })
}

/// Without a limit the whole book.
fn book_call(listing: &Listing, query: &str) -> Result<Call, RestError> {
    let value = |wanted| parameters(query).find_map(|(name, value)| (name == wanted).then_some(value));
    let name = value("product_id").ok_or(RestError::MissingParameter { name: "product_id" })?;
    let limit = match value("limit") {
        None => u32::MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|&limit| limit > 0)
            .ok_or_else(|| RestError::WrongParameter { name: "limit", found: quoted(&text) })?,
    };
    let names = [name];
    let symbols = find_products(listing, &names);
    let symbols = symbols.map_err(|name| RestError::UnknownSymbol { name: quoted(name) })?;
    Ok(Call::Depth { symbol: symbols[0], limit })
}

/// Names and values, decoded; what is no UTF-8 then is no product's name either.
fn parameters(query: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    query.split('&').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name, percent_decode_str(value).decode_utf8_lossy()))
    })
}

fn granted(answer: &impl Serialize) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: body(answer) }
}

fn body(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("texts and numbers are always JSON")
}

const PRODUCTS: &str = "/api/v3/brokerage/market/products";
const FUTURES: &str = "/api/v3/brokerage/market/products?product_type=FUTURE";
const BOOK: &str = "/api/v3/brokerage/market/product_book";
const TIME: &str = "/api/v3/brokerage/time";
const BALANCES: &str = "/api/v3/brokerage/accounts";
const FEES: &str = "/api/v3/brokerage/transaction_summary";
const ASSETS: &str = "/v2/currencies/crypto";
const CURRENCIES: &str = "/v2/currencies";
const RATES: &str = "/v2/exchange-rates";

#[derive(Serialize)]
struct ProductList<'a> {
    products: Vec<Product<'a>>,
    num_products: usize,
}

/// The price is the first of the run: clients get those that follow from the socket.
#[derive(Serialize)]
struct Product<'a> {
    product_id: String,
    price: String,
    base_increment: String,
    quote_increment: String,
    price_increment: String,
    base_min_size: String,
    base_max_size: &'static str,
    quote_min_size: &'static str,
    quote_max_size: &'static str,
    base_name: &'a str,
    quote_name: &'a str,
    is_disabled: bool,
    new: bool,
    status: &'static str,
    cancel_only: bool,
    limit_only: bool,
    post_only: bool,
    trading_disabled: bool,
    auction_mode: bool,
    view_only: bool,
    product_type: &'static str,
    base_currency_id: &'a str,
    quote_currency_id: &'a str,
    base_display_symbol: &'a str,
    quote_display_symbol: &'a str,
    alias: &'static str,
    alias_to: [(); 0],
    display_name: String,
}

impl<'a> Product<'a> {
    fn new(listing: &'a Listing, instrument: &Instrument) -> Self {
        let (base, quote) = (listing.asset(instrument.base), listing.asset(instrument.quote));
        let (tick, lot) = (units_text(instrument.tick.into()), units_text(instrument.lot.into()));
        Self {
            product_id: product(listing, instrument),
            price: units_text(u128::from(instrument.start_price) * u128::from(instrument.tick)),
            base_increment: lot.clone(),
            quote_increment: tick.clone(),
            price_increment: tick,
            base_min_size: lot,
            base_max_size: "1000000000",
            quote_min_size: "1",
            quote_max_size: "1000000000",
            base_name: base,
            quote_name: quote,
            is_disabled: false,
            new: false,
            status: "online",
            cancel_only: false,
            limit_only: false,
            post_only: false,
            trading_disabled: false,
            auction_mode: false,
            view_only: false,
            product_type: "SPOT",
            base_currency_id: base,
            quote_currency_id: quote,
            base_display_symbol: base,
            quote_display_symbol: quote,
            alias: "",
            alias_to: [],
            display_name: product(listing, instrument),
        }
    }
}

#[derive(Serialize)]
struct BookAnswer {
    pricebook: Book,
    last: String,
    mid_market: String,
    spread_bps: String,
    spread_absolute: String,
}

#[derive(Serialize)]
struct Book {
    product_id: String,
    bids: Vec<BookLevel>,
    asks: Vec<BookLevel>,
    time: String,
}

#[derive(Serialize)]
struct BookLevel {
    price: String,
    size: String,
}

impl BookAnswer {
    /// The last trade is not known here: the best ask stands for it.
    fn new(listing: &Listing, symbol: SymbolId, limit: u32, facts: &Facts<'_>) -> Self {
        let instrument = listing.instrument(symbol);
        let units = |price: u32| u128::from(price) * u128::from(instrument.tick);
        let level = |&(price, quantity): &(u32, u64)| BookLevel {
            price: units_text(units(price)),
            size: units_text(u128::from(quantity) * u128::from(instrument.lot)),
        };
        let levels = |levels: &[(u32, u64)]| levels.iter().take(limit as usize).map(level).collect();
        let (bids, asks) = facts.book.map_or((&[][..], &[][..]), |book| (&book.bids[..], &book.asks[..]));
        let [bid, ask] = [bids, asks].map(|side| side.first().map_or(0, |&(price, _)| units(price)));
        let (middle, spread) = ((bid + ask) / 2, ask.saturating_sub(bid));
        Self {
            pricebook: Book {
                product_id: product(listing, instrument),
                bids: levels(bids),
                asks: levels(asks),
                time: time_text(facts.now_unix_ns),
            },
            last: units_text(ask),
            mid_market: units_text(middle),
            spread_bps: units_text(basis_points(spread, middle)),
            spread_absolute: units_text(spread),
        }
    }
}

/// In 1e-8, cut to five places.
fn basis_points(spread: u128, middle: u128) -> u128 {
    (spread * 1_000_000_000).checked_div(middle).unwrap_or_default() * 1_000
}

#[derive(Serialize)]
struct TimeAnswer {
    iso: String,
    #[serde(rename = "epochSeconds")]
    epoch_seconds: String,
    #[serde(rename = "epochMillis")]
    epoch_millis: String,
}

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Serialize)]
struct Asset<'a> {
    code: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    exponent: u8,
}

#[derive(Serialize)]
struct Rates {
    currency: &'static str,
    rates: Empty,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Accounts<'a> {
    accounts: Vec<Account<'a>>,
    has_next: bool,
    cursor: &'static str,
    size: usize,
}

#[derive(Serialize)]
struct Account<'a> {
    uuid: String,
    name: String,
    currency: &'a str,
    available_balance: Amount<'a>,
    default: bool,
    active: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    ready: bool,
    hold: Amount<'a>,
    retail_portfolio_id: String,
}

#[derive(Serialize)]
struct Amount<'a> {
    value: String,
    currency: &'a str,
}

impl<'a> Accounts<'a> {
    /// What the venue calls an account is one asset of one of ours.
    fn new(listing: &'a Listing, facts: &Facts<'_>) -> Self {
        let accounts: Vec<Account<'a>> = facts
            .balances
            .into_iter()
            .flat_map(|(account, balances)| balances.iter().map(move |balance| (account, balance)))
            .map(|(account, balance)| {
                let currency = listing.asset(balance.asset);
                let amount = |units| Amount { value: signed_text(units), currency };
                Account {
                    uuid: wallet_text(account, balance.asset),
                    name: format!("{currency} Wallet"),
                    currency,
                    available_balance: amount(balance.free_units()),
                    default: true,
                    active: true,
                    kind: "ACCOUNT_TYPE_CRYPTO",
                    ready: true,
                    hold: amount(balance.locked_units.unwrap_or_default()),
                    retail_portfolio_id: portfolio_text(account),
                }
            })
            .collect();
        Self { has_next: false, cursor: "", size: accounts.len(), accounts }
    }
}

fn signed_text(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}", units_text(units.unsigned_abs().into()))
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'static str,
    error_details: &'a str,
    message: &'a str,
}

#[derive(Deserialize)]
struct ReadAnswer<'a> {
    #[serde(borrow)]
    pricebook: Raw<'a>,
    #[serde(borrow)]
    iso: Raw<'a>,
}

#[derive(Deserialize)]
struct ReadBook<'a> {
    #[serde(borrow)]
    product_id: Raw<'a>,
    #[serde(borrow)]
    bids: Raw<'a>,
    #[serde(borrow)]
    asks: Raw<'a>,
}

#[derive(Deserialize)]
struct ReadLevel<'a> {
    #[serde(borrow)]
    price: Raw<'a>,
    #[serde(borrow)]
    size: Raw<'a>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::AccountId;
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::decoded::AssetBalance;
    use crate::testing::{START_UNIX_NS, listing};

    const PRODUCT_BOOK: &str = include_str!("../../../../testdata/coinbase/product_book.json");

    const FACTS: Facts<'static> =
        Facts { now_unix_ns: START_UNIX_NS as u64 + 250_113_000, book: None, balances: None, token: "" };

    fn get<'a>(path: &'a str, query: &'a str) -> HttpRequest<'a> {
        HttpRequest { method: "GET", path, query, body: b"" }
    }

    fn called(path: &str, query: &str) -> Result<Call, RestError> {
        read_request(&listing(), &get(path, query))
    }

    fn text(answer: Answer) -> String {
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    #[test]
    fn the_book_of_the_documentation_is_written_and_read() {
        let book = Snapshot {
            symbol: SymbolId(0),
            sequence: 0,
            update_id: 0,
            bids: vec![(670_124, 15_000)],
            asks: vec![(670_125, 40_770)],
        };
        let call = Call::Depth { symbol: SymbolId(0), limit: u32::MAX };
        let answer = text(answer(&listing(), &call, &Facts { book: Some(&book), ..FACTS }));
        assert_eq!(answer, PRODUCT_BOOK.trim_end());
        assert_eq!(read_depth(&listing(), SymbolId(0), PRODUCT_BOOK.as_bytes()), Ok(book));
        let foreign = read_depth(&listing(), SymbolId(1), PRODUCT_BOOK.as_bytes());
        assert_eq!(foreign, Err(DecodeError::UnknownSymbol { symbol: "BTC-USDT".to_owned() }));
    }

    #[test]
    fn books_are_cut_to_the_limit_and_may_be_empty() {
        let levels: Vec<(u32, u64)> = (1..=9).map(|price| (price, 1)).collect();
        let (bids, asks) = (Vec::new(), levels.clone());
        let book = Snapshot { symbol: SymbolId(1), sequence: 0, update_id: 0, bids, asks };
        let call = Call::Depth { symbol: SymbolId(1), limit: 4 };
        let answer = answer(&listing(), &call, &Facts { book: Some(&book), ..FACTS });
        let read = read_depth(&listing(), SymbolId(1), &answer.body).unwrap();
        assert_eq!((read.bids, read.asks), (Vec::new(), levels[..4].to_vec()));
    }

    #[test]
    fn the_list_of_products_is_the_listing_without_prices() {
        let mut expected = listing();
        let instruments = std::sync::Arc::make_mut(&mut expected.instruments);
        instruments.iter_mut().for_each(|instrument| instrument.start_price = 0);
        let all = answer(&listing(), &Call::Instruments(vec![]), &FACTS);
        assert_eq!(read_instruments(&all.body), Ok(expected.clone()));
        let one = answer(&listing(), &Call::Instruments(vec![SymbolId(1)]), &FACTS);
        let one = read_instruments(&one.body).unwrap();
        assert_eq!(one.instruments.len(), 1);
        assert_eq!(one.instruments[0].symbol, "PEPEUSDT");
        let futures = answer(&listing(), &Call::Formality(FUTURES), &FACTS);
        assert_eq!(text(futures), r#"{"products":[],"num_products":0}"#);
        assert_eq!(read_instruments(b"{}").unwrap_err().to_string(), "answer without field \"products\"");
    }

    #[test]
    fn time_assets_balances_and_formalities_are_answered() {
        let time = answer(&listing(), &Call::Time, &FACTS);
        assert_eq!(read_time(&time.body), Ok(FACTS.now_unix_ns));
        assert_eq!(
            text(time),
            r#"{"iso":"2026-11-23T08:00:00.250113Z","epochSeconds":"1795420800","epochMillis":"1795420800250"}"#
        );
        let assets = text(answer(&listing(), &Call::Assets, &FACTS));
        assert!(
            assets.starts_with(r#"{"data":[{"code":"USDT","name":"USDT","type":"crypto","exponent":8},"#),
            "{assets}"
        );
        let balances = [AssetBalance {
            asset: AssetId(1),
            total_units: 103_900_000,
            locked_units: Some(3_900_000),
            change_units: None,
        }];
        let facts = Facts { balances: Some((AccountId(3), &balances)), ..FACTS };
        let accounts = text(answer(&listing(), &Call::Balances, &facts));
        assert!(
            accounts.contains(r#""currency":"BTC","available_balance":{"value":"1","currency":"BTC"}"#),
            "{accounts}"
        );
        assert!(accounts.contains(r#""hold":{"value":"0.039","currency":"BTC"},"retail_portfolio_id":"11111111-0000-4000-8000-000000000003""#), "{accounts}");
        for (path, expected) in [
            (CURRENCIES, r#"{"data":[]}"#),
            (RATES, r#"{"data":{"currency":"USD","rates":{}}}"#),
            (FEES, "{}"),
        ] {
            assert_eq!(text(answer(&listing(), &called(path, "").unwrap(), &FACTS)), expected);
        }
    }

    #[test]
    fn every_path_that_is_written_is_read_as_the_same_call() {
        for call in [
            Call::Instruments(vec![]),
            Call::Instruments(vec![SymbolId(0), SymbolId(2)]),
            Call::Depth { symbol: SymbolId(0), limit: u32::MAX },
            Call::Depth { symbol: SymbolId(2), limit: 10 },
            Call::Time,
            Call::Assets,
            Call::Balances,
            Call::Formality(CURRENCIES),
            Call::Formality(RATES),
            Call::Formality(FEES),
            Call::Formality(FUTURES),
        ] {
            let path = path(&listing(), &call).unwrap();
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            assert_eq!(called(path, query), Ok(call), "{path}?{query}");
        }
        assert_eq!(path(&listing(), &Call::Ping), None);
        let book = path(&listing(), &Call::Depth { symbol: SymbolId(0), limit: 5 });
        assert_eq!(
            book.as_deref(),
            Some("/api/v3/brokerage/market/product_book?product_id=BTC-USDT&limit=5")
        );
    }

    #[test]
    fn wrong_requests_are_refused_with_the_reason() {
        let found = |text: &str| text.to_owned();
        for (path, query, error, status) in [
            ("/api/v3/brokerage/orders", "", RestError::UnknownPath, 404),
            (BOOK, "", RestError::MissingParameter { name: "product_id" }, 400),
            (BOOK, "product_id=X-Y", RestError::UnknownSymbol { name: found("X-Y") }, 404),
            (
                BOOK,
                "product_id=BTC-USDT&limit=-1",
                RestError::WrongParameter { name: "limit", found: found("-1") },
                400,
            ),
            (
                BOOK,
                "product_id=BTC-USDT&limit=0",
                RestError::WrongParameter { name: "limit", found: found("0") },
                400,
            ),
            (PRODUCTS, "product_ids=%ff", RestError::UnknownSymbol { name: found("\u{fffd}") }, 404),
            (
                PRODUCTS,
                "product_type=x",
                RestError::WrongParameter { name: "product_type", found: found("x") },
                400,
            ),
        ] {
            assert_eq!(called(path, query), Err(error.clone()));
            let answer = refuse(&error, 0);
            assert_eq!(answer.status, status);
            assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok());
        }
        let post = HttpRequest { method: "POST", ..get(PRODUCTS, "") };
        assert_eq!(read_request(&listing(), &post), Err(RestError::WrongMethod { allowed: "GET" }));
        assert_eq!(refuse(&RestError::NotAllowed, 0).status, 401);
        assert_eq!(refuse(&RestError::TooFrequent, 0).status, 429);
    }

    proptest! {
        #[test]
        fn arbitrary_requests_and_bodies_never_panic(
            path in "(/api/v3/brokerage/(market/)?(products|product_book|time))|.{0,20}",
            query in "((product_ids?|limit|product_type)=[A-Z0-9%-]{0,10}&?){0,4}|.{0,20}",
            body in proptest::collection::vec(any::<u8>(), 0..100),
            at: prop::sample::Index,
            with: u8,
        ) {
            let _ = called(&path, &query);
            let mut damaged = PRODUCT_BOOK.as_bytes().to_vec();
            let at = at.index(damaged.len());
            damaged[at] = with;
            for body in [&body, &damaged] {
                let _ = read_depth(&listing(), SymbolId(0), body);
                let _ = read_instruments(body);
                let _ = read_time(body);
            }
        }
    }
}
